"""Session files: a state as versioned JSON, read with bounds, written whole."""

import json
import reprlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from desktop_app.core.library.find import reference_of, referred
from desktop_app.core.state import State, ViewOptions
from desktop_app.gpt2.errors import SamplingError, SessionError
from desktop_app.gpt2.files import whole_file
from desktop_app.gpt2.jsonfile import parse_json, read_json
from desktop_app.gpt2.sampling import Sampling

VERSION = 1
_LIMIT = 16 << 20
_TEXT_LIMIT = 1_000_000  # at twelve bytes a character, the most that JSON needs, they fit into the file
_LIST_LIMIT = 200_000
_OPTIONS = {"pattern_scale": ("linear", "sqrt", "log"), "limits": ("view", "layer")}


def save_session(path: Path, state: State) -> None:
    """Write `state`; the file appears whole or not at all, and can be opened again. Raises SessionError."""
    data = to_json(state)
    from_json(data, "The session")
    with whole_file(path, SessionError) as file:
        file.write(data)


def to_json(state: State) -> bytes:
    """A state as the bytes of a session file, in ASCII; half a surrogate pair, which is no text, becomes U+FFFD."""
    fields = asdict(state) | {"model": reference_of(state.model)}
    fields = {name: _text(value) if isinstance(value, str) else value for name, value in fields.items()}
    return json.dumps({"logitscope": VERSION, "state": fields}, indent=1).encode("ascii")


def _text(value: str) -> str:
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def load_session(path: Path) -> State:
    """The state in a session file. Raises SessionError naming the field that cannot be used."""
    if path.exists() and not path.is_file():
        raise SessionError(f"{path} is not a file; choose a session file.")
    return _state(read_json(path, limit=_LIMIT, error=SessionError), str(path))


def from_json(data: bytes, where: str) -> State:
    """The state in the bytes of a session file. Raises SessionError."""
    return _state(parse_json(data, what=where, error=SessionError), where)


def _state(raw: dict[str, Any], where: str) -> State:
    version = raw.get("logitscope")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SessionError(f"{where} is not a Logitscope session.")
    if version > VERSION:
        raise SessionError(
            f"{where} was saved by a newer Logitscope (format {reprlib.repr(version)}; this one reads {VERSION}); "
            f"update to open it."
        )
    read = _Reader(raw.get("state"), where)
    try:
        sampling = read.record("sampling")
        settings = Sampling(
            temperature=sampling.real("temperature", 1.0),
            top_k=sampling.whole("top_k", 0, 0, 2**31 - 1),
            top_p=sampling.real("top_p", 1.0),
            greedy=sampling.flag("greedy"),
            seed=sampling.whole("seed", 0, 0, 2**64 - 1),
        )
    except SamplingError as reason:
        raise SessionError(f"{where}: {reason}") from reason
    view = read.record("view")
    options = ViewOptions(
        **{name: view.choice(name, choices) for name, choices in _OPTIONS.items()},
        skip_first=view.flag("skip_first"),
        keys_down=view.flag("keys_down"),
        sort_neurons=view.flag("sort_neurons"),
        limit=view.size("limit"),
        pattern_limit=view.size("pattern_limit"),
    )
    return State(
        text=read.text("text", _TEXT_LIMIT),
        appended=read.numbers("appended"),
        start=read.switch("start"),
        space=read.switch("space"),
        model=referred(read.text("model", 4096)),
        int8=read.flag("int8"),
        step=read.text("step", 200) or "text",
        layer=read.whole("layer", 0, 0, 511),
        head=read.whole("head", 0, 0, 511),
        token=read.position("token"),
        position=read.position("position"),
        sampling=settings,
        draws=read.whole("draws", 0, 0, 2**53),
        pinned=read.numbers("pinned"),
        view=options,
    )


class _Reader:
    """Reads fields of one JSON object, each with its bound; a missing field has its default."""

    def __init__(self, raw: Any, where: str) -> None:
        if not isinstance(raw, dict):
            raise SessionError(f"{where} holds no state; the file is damaged.")
        self._raw = raw
        self._where = where

    def _refuse(self, name: str, wanted: str) -> SessionError:
        return SessionError(f"{self._where}: {name} is {reprlib.repr(self._raw[name])}; it must be {wanted}.")

    def record(self, name: str) -> "_Reader":
        value = self._raw.get(name, {})
        if not isinstance(value, dict):
            raise self._refuse(name, "an object")
        return _Reader(value, f"{self._where}: {name}")

    def text(self, name: str, limit: int) -> str:
        value = self._raw.get(name, "")
        if not isinstance(value, str) or len(value) > limit:
            raise self._refuse(name, f"a text of at most {limit:,} characters")
        return value

    def flag(self, name: str) -> bool:
        value = self._raw.get(name, False)
        if not isinstance(value, bool):
            raise self._refuse(name, "true or false")
        return value

    def switch(self, name: str) -> bool | None:
        """On, off, or neither: as it is by itself."""
        return None if self._raw.get(name) is None else self.flag(name)

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        value = self._raw.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._refuse(name, f"a whole number from {low} to {high:,}")
        return value

    def position(self, name: str) -> int | None:
        return None if self._raw.get(name) is None else self.whole(name, 0, 0, _LIST_LIMIT)

    def real(self, name: str, default: float) -> float:
        value = self._raw.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > 1e300:
            raise self._refuse(name, "a number")
        return float(value)

    def size(self, name: str) -> float | None:
        """A number above zero, or None where it is not given."""
        if self._raw.get(name) is None:
            return None
        value = self.real(name, 0.0)
        if not value > 0:
            raise self._refuse(name, "a number above 0")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self._raw.get(name, choices[0])
        if value not in choices:
            raise self._refuse(name, f"one of {', '.join(choices)}")
        return str(value)

    def numbers(self, name: str) -> tuple[int, ...]:
        value = self._raw.get(name, [])
        good = isinstance(value, list) and len(value) <= _LIST_LIMIT
        if not good or not all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 2**31 for v in value):
            raise self._refuse(name, "a list of token ids")
        return tuple(value)
