"""Session files: a state as versioned JSON, read with bounds, written atomically."""

import json
import reprlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from desktop_app.core.library.find import reference_of, referred
from desktop_app.core.session.fields import Kind, Reader, flag, real, whole
from desktop_app.core.session.state import State, ViewOptions
from desktop_app.gpt2.errors import SamplingError, SessionError
from desktop_app.gpt2.files import whole_file
from desktop_app.gpt2.jsonfile import parse_json, read_json
from desktop_app.gpt2.sampling import MAX_SEED, MAX_TOP_K, Sampling

VERSION = 1
_LIMIT = 16 << 20
_SAMPLING: dict[str, Kind] = {
    "temperature": real,
    "top_k": whole(0, MAX_TOP_K),
    "top_p": real,
    "greedy": flag,
    "seed": whole(0, MAX_SEED),
}


def save_session(path: Path, state: State) -> None:
    """Write `state` atomically, to a file that can be opened again. Raises SessionError."""
    data = to_json(state)
    from_json(data, "The session")
    with whole_file(path, SessionError) as file:
        file.write(data)


def to_json(state: State) -> bytes:
    """A state as the bytes of a session file, in ASCII; a lone surrogate, which is invalid text, becomes U+FFFD."""
    fields = asdict(state) | {
        "model": reference_of(state.model),
        "beside": reference_of(state.beside),
        "opened": [cell.as_fields() for cell in state.opened],
    }
    fields = {name: _text(value) if isinstance(value, str) else value for name, value in fields.items()}
    return json.dumps({"logitscope": VERSION, "state": fields}, indent=1).encode("ascii")


def _text(value: str) -> str:
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def load_session(path: Path) -> State:
    """The state in a session file. Raises SessionError that names the field at fault."""
    if path.exists() and not path.is_file():
        raise SessionError(f"{path} is not a file; choose a session file.")
    return _state(read_json(path, limit=_LIMIT, error=SessionError), str(path))


def from_json(data: bytes, where: str) -> State:
    """The state in the bytes of a session file. Raises SessionError."""
    return _state(parse_json(data, what=where, error=SessionError), where)


def read_sampling(read: Reader, where: str, otherwise: Sampling | None = None) -> Sampling:
    """The sampling settings in a record; missing fields are taken from `otherwise`. Raises SessionError."""
    base = otherwise or Sampling()
    try:
        return Sampling(**{name: read.read(name, getattr(base, name), kind) for name, kind in _SAMPLING.items()})
    except SamplingError as reason:
        raise SessionError(f"{where}: {reason}") from reason


def _state(raw: dict[str, Any], where: str) -> State:
    version = raw.get("logitscope")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SessionError(f"{where} is not a Logitscope session.")
    if version > VERSION:
        raise SessionError(
            f"{where} was saved by a newer Logitscope (format {reprlib.repr(version)}; this one reads {VERSION}); "
            f"update to open it."
        )
    read = Reader(raw.get("state"), where)
    settings = read_sampling(read.record("sampling"), where)
    view = ViewOptions(**read.record("view").all_of(ViewOptions))
    state = State(**read.all_of(State), sampling=settings, view=view)
    state = replace(state, beside=referred(state.beside) if state.beside else "")
    return replace(state, model=referred(state.model), step=state.step or State.step)
