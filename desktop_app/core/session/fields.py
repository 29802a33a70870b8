"""Reads the fields of a state from a session file; each field has a kind, which checks the JSON value."""

import reprlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from desktop_app.core.opening.cells import Cell
from desktop_app.gpt2.errors import SessionError

_LIST_LIMIT = 200_000
_PATH_LIMIT = 200


class Reader:
    """Reads fields of one JSON object. A missing field has its default. Raises SessionError that names the field."""

    def __init__(self, raw: Any, where: str) -> None:
        if not isinstance(raw, dict):
            raise SessionError(f"{where} holds no state; the file is damaged.")
        self._raw = raw
        self._where = where

    def read(self, name: str, default: Any, kind: "Kind") -> Any:
        """The value of a field, read by `kind`; the default if the field is missing."""
        if name not in self._raw:
            return default
        return kind(self._raw[name], lambda wanted: self._refuse(name, wanted))

    def _refuse(self, name: str, wanted: str) -> SessionError:
        return SessionError(f"{self._where}: {name} is {reprlib.repr(self._raw[name])}; it must be {wanted}.")

    def record(self, name: str) -> "Reader":
        """A reader for a nested object."""
        value = self._raw.get(name, {})
        if not isinstance(value, dict):
            raise self._refuse(name, "an object")
        return Reader(value, f"{self._where}: {name}")

    def all_of(self, record: type[Any]) -> dict[str, Any]:
        """The values of every field of a dataclass that was declared with `kept`."""
        kinds = ((f.name, f.default, f.metadata["kind"]) for f in fields(record) if "kind" in f.metadata)
        return {name: self.read(name, default, kind) for name, default, kind in kinds}


Kind = Callable[[Any, Callable[[str], SessionError]], Any]
"""Checks a JSON value and returns it, or raises the error that its second argument makes from a description."""


def kept(default: Any, kind: Kind, *, run: bool = False, undo: bool = False) -> Any:
    """A field that is saved in sessions.

    `run`: it determines what the pass computes. `undo`: undo restores it, as it does every `run` field.
    """
    return field(default=default, metadata={"kind": kind, "run": run, "undo": undo or run})


def text(limit: int) -> Kind:
    """The kind of a text of at most `limit` characters."""

    def read(value: Any, refuse: Callable[[str], SessionError]) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise refuse(f"a text of at most {limit:,} characters")
        return value

    return read


def texts(count: int, limit: int) -> Kind:
    """The kind of a list of at most `count` texts, each of at most `limit` characters."""

    def read(value: Any, refuse: Callable[[str], SessionError]) -> tuple[str, ...]:
        good = isinstance(value, list) and len(value) <= count
        if not good or not all(isinstance(v, str) and len(v) <= limit for v in value):
            raise refuse(f"a list of at most {count} texts of at most {limit:,} characters")
        return tuple(value)

    return read


def flag(value: Any, refuse: Callable[[str], SessionError]) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise refuse("true or false")
    return value


def switch(value: Any, refuse: Callable[[str], SessionError]) -> bool | None:
    """Read true, false, or null for the default."""
    return None if value is None else flag(value, refuse)


def whole(low: int, high: int) -> Kind:
    """The kind of a whole number from `low` to `high`."""

    def read(value: Any, refuse: Callable[[str], SessionError]) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise refuse(f"a whole number from {low} to {high:,}")
        return value

    return read


def position(value: Any, refuse: Callable[[str], SessionError]) -> int | None:
    """Read a position in the text, or null."""
    return None if value is None else whole(0, _LIST_LIMIT)(value, refuse)


def token(value: Any, refuse: Callable[[str], SessionError]) -> int | None:
    """Read a token's id, or null."""
    return None if value is None else whole(0, 2**31 - 1)(value, refuse)


def real(value: Any, refuse: Callable[[str], SessionError]) -> float:
    """Read a finite number."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= 1e300:
        raise refuse("a number")
    return float(value)


def size(value: Any, refuse: Callable[[str], SessionError]) -> float | None:
    """Read a number above zero, or null."""
    if value is None:
        return None
    if not (found := real(value, refuse)) > 0:
        raise refuse("a number above 0")
    return found


def share(value: Any, refuse: Callable[[str], SessionError]) -> float:
    """Read a number from 0 to 1."""
    if not 0 <= (found := real(value, refuse)) <= 1:
        raise refuse("a number from 0 to 1")
    return found


def window(value: Any, refuse: Callable[[str], SessionError]) -> tuple[float, ...]:
    """Read a rectangle in a plane: start x and y, end x and y, as fractions of it; an empty list is all of it."""
    wanted = "an empty list, or four numbers from 0 to 1: x and y from, x and y to"
    if not isinstance(value, list) or len(value) not in (0, 4):
        raise refuse(wanted)
    found = tuple(share(v, lambda _: refuse(wanted)) for v in value)
    if found and not (found[0] < found[2] and found[1] < found[3]):
        raise refuse(wanted)
    return found


def choice(*choices: str) -> Kind:
    """The kind of a field that has one of these words as its value."""

    def read(value: Any, refuse: Callable[[str], SessionError]) -> str:
        if value not in choices:
            raise refuse(f"one of {', '.join(choices)}")
        return str(value)

    return read


def ids(value: Any, refuse: Callable[[str], SessionError]) -> tuple[int, ...]:
    """Read a list of token ids."""
    good = isinstance(value, list) and len(value) <= _LIST_LIMIT
    if not good or not all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 2**31 for v in value):
        raise refuse("a list of token ids")
    return tuple(value)


@dataclass(frozen=True)
class Change:
    """An edit as the user typed it, and whether it is on."""

    text: str
    on: bool = True


_CHANGES, _CHANGE_LIMIT = 500, 4_000


def changes(value: Any, refuse: Callable[[str], SessionError]) -> tuple[Change, ...]:
    """Read a list of edits, each an object with `text` and `on`."""
    wanted = f"a list of at most {_CHANGES} edits, each a text and whether it is on"
    if not isinstance(value, list) or len(value) > _CHANGES:
        raise refuse(wanted)
    found = []
    for raw in value:
        if not isinstance(raw, dict) or raw.keys() != {"text", "on"}:
            raise refuse(wanted)
        words, on = raw["text"], raw["on"]
        if not isinstance(words, str) or not 0 < len(words) <= _CHANGE_LIMIT or not isinstance(on, bool):
            raise refuse(wanted)
        found.append(Change(words, on))
    return tuple(found)


def cells(value: Any, refuse: Callable[[str], SessionError]) -> tuple[Cell, ...]:
    """Read a list of cells, each an object with `name` and `index`."""
    wanted = "a list of cells, each a name and an index of up to four whole numbers"
    if not isinstance(value, list) or len(value) > _PATH_LIMIT:
        raise refuse(wanted)
    found = []
    for raw in value:
        if not isinstance(raw, dict) or raw.keys() != {"name", "index"}:
            raise refuse(wanted)
        name, index = raw["name"], raw["index"]
        if not isinstance(name, str) or len(name) > 200 or not isinstance(index, list) or len(index) > 4:
            raise refuse(wanted)
        if not all(isinstance(i, int) and not isinstance(i, bool) and 0 <= i < 2**31 for i in index):
            raise refuse(wanted)
        found.append(Cell.read(name, tuple(index)))
    return tuple(found)
