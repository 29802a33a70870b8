"""Reads a file that lists figures (figures.toml) into orders, and reports each fault with its place in the file.

An entry `[[figure]]` has a `name`, a `prompt` (or `ids`, `session` or `trace`), and otherwise options of `logitscope
figure` as keys, without the dashes before them. `[defaults]` contains keys for all entries, which an entry may
override.
"""

import argparse
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

from desktop_app.core.asking.options import Kind, Option, Options, declare, each
from desktop_app.figures.export import FORMATS
from desktop_app.figures.order import Order
from desktop_app.gpt2.errors import ExportError, LogitscopeError
from desktop_app.gpt2.files import regular

_LIMIT = 4 << 20
_MOST_FAULTS = 20  # the maximum number of faults reported at once
_PARTS = 32
_QUOTED = re.compile(r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL)
"""Strings and comments, whose dots do not belong to keys."""
_DOTTED = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{_PARTS},}}")
_OWN = ("name", "format", "prompt")  # keys that are not options of the command
_LISTS = ("ids", "data", "head")
_PATHS = ("model", "beside", "session", "trace", "translators")
_PROMPTS = ("prompt", "ids", "session", "trace")
_HEADER = re.compile(r"\s*\[\[\s*figure\s*\]\]")


@dataclass(frozen=True)
class ListedFigure:
    """One figure to be made: what it shows, and where in the listing it is requested."""

    order: Order
    name: str  # the name of the file, as in the listing
    where: str


class Listing:
    """The content of a listing, and the line numbers of its parts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            regular(path, ExportError)
            with path.open("rb") as file:
                data = file.read(_LIMIT + 1)
        except OSError as reason:
            raise ExportError(f"{path} cannot be read: {reason.strerror or reason}.") from reason
        if len(data) > _LIMIT:
            raise ExportError(f"{path} has more than {_LIMIT >> 20} MB; no list of figures is so long.")
        try:
            text = data.decode("utf-8")
            if _DOTTED.search(_QUOTED.sub("_", text)):  # parsing time grows with the square of a key's number of parts
                raise ExportError(f"{path} has a key of more than {_PARTS} parts; no figure has one.")
            self.table = tomllib.loads(text)
        except UnicodeDecodeError as reason:
            raise ExportError(f"{path} is not UTF-8 text (byte {reason.start}).") from reason
        except (tomllib.TOMLDecodeError, RecursionError) as reason:
            raise ExportError(f"{path} is not TOML: {reason}.") from reason
        except ValueError as reason:  # Python does not read whole numbers of more than 4,300 digits
            raise ExportError(f"{path} has a number of thousands of digits; no figure has one.") from reason
        self._lines = text.splitlines()
        self._starts = [n for n, line in enumerate(self._lines) if _HEADER.match(line)]

    def where(self, entry: int, key: str = "") -> str:
        """The place of an entry, or of a key in it: "figures.toml, line 12"."""
        named = f"{self.path.name}, figure {entry + 1}"
        # not all entries are under [[figure]], so line numbers are unknown
        if len(self._starts) != len(self.table["figure"]):
            return named
        start = self._starts[entry]
        own = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
        for n in range(start + 1, len(self._lines)):
            if self._lines[n].lstrip().startswith("["):
                break
            if key and own.match(self._lines[n]):
                return f"{self.path.name}, line {n + 1}"
        return f"{self.path.name}, line {start + 1}"


MakeOrder = Callable[[argparse.Namespace, str | None], Order]


def read_listing(path: Path, folder: Path, options: Options, make_order: MakeOrder) -> list[ListedFigure]:
    """The figures that `path` lists, each to be written below `folder`.

    `options` are those of `logitscope figure` that an entry may give as keys; `make_order` reads them. Raises
    ExportError that names the entries and lines at fault, at most 20 of them.
    """
    listing = Listing(path)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    declare(parser, options)
    rows = {option.key: option for option in each(options)}
    known = (*_OWN, *rows)
    faults = _shape_faults(listing, known)
    _refuse(faults)
    entries: list[ListedFigure] = []
    for n, own in enumerate(listing.table["figure"]):
        key = ""
        try:
            fields = {**listing.table.get("defaults", {}), **own}
            for place in (*_PROMPTS, "step", "cell"):
                rivals = ("step", "cell") if place in ("step", "cell") else _PROMPTS
                if place in own:  # an entry's prompt, step or cell replaces one of another kind from the defaults
                    fields = {k: v for k, v in fields.items() if k == place or k not in rivals or k in own}
            files = _names(fields)
            for key in fields:
                _check_value(key, fields[key], rows.get(key))
            key = ""
            for name in files:
                arguments = _parsed(parser, fields, rows, path.parent)
                arguments.out = folder / name
                # data files are written once, next to the first figure
                arguments.data = arguments.data if name == files[0] else ""
                prompt = fields.get("prompt")
                if sum(place in fields for place in _PROMPTS) > 1:
                    raise ExportError("prompt, ids, session and trace exclude each other; give one of them.")
                entries.append(ListedFigure(make_order(arguments, prompt), name, listing.where(n)))
        except LogitscopeError as reason:
            if len(faults) > _MOST_FAULTS:
                break
            faults.append(f"{listing.where(n, key or reason.option)}: {reason}")
    record = record_file(path, folder)
    taken = {_place(path): f"{path.name} is the list itself", _place(record): f"{record.name} is written by the build"}
    for entry in entries:
        for file in entry.order.files:
            if (place := _place(file)) in taken:
                faults.append(f"{entry.where}: {taken[place]}; give the figure another name.")
            taken.setdefault(place, f"{file.name} is written by the figure in {entry.where} already")
    _refuse(faults)
    return entries


def record_file(path: Path, folder: Path) -> Path:
    """The file in which a build of the listing `path` into `folder` records what it made."""
    return folder / f"{path.stem}.built.json"


def _place(file: Path) -> str:
    """A file's path with case folded, since Windows and macOS ignore case and listings move between systems."""
    return str(file.absolute()).casefold()


def _refuse(faults: list[str]) -> None:
    """Raise ExportError with the first of the faults, if there are any."""
    if faults:
        more = [f"... and {len(faults) - _MOST_FAULTS} more."] if len(faults) > _MOST_FAULTS else []
        raise ExportError(*faults[:_MOST_FAULTS], *more)


def _shape_faults(listing: Listing, known: tuple[str, ...]) -> list[str]:
    """Sentences about entries and keys that cannot belong to a figure."""
    table, path = listing.table, listing.path
    faults = [
        f"{path.name}: {_unknown(key, ('figure', 'defaults'))}" for key in table if key not in ("figure", "defaults")
    ]
    figures = table.get("figure", [])
    if not isinstance(figures, list) or not all(isinstance(f, dict) for f in figures):
        return [*faults, f"{path.name}: figures are listed under [[figure]], in double brackets."]
    if not figures:
        return [*faults, f"{path.name} lists no figure; each begins with [[figure]]."]
    defaults = table.get("defaults", {})
    if not isinstance(defaults, dict):
        return [*faults, f"{path.name}: defaults must be a table, [defaults]."]
    faults += [f"{path.name}, [defaults]: {_unknown(key, known)}" for key in defaults if key not in known]
    for n, figure in enumerate(figures):
        for key in figure:
            if key not in known:
                # Finding the line of each of thousands of keys would take minutes.
                told = len(faults) < _MOST_FAULTS
                faults.append(f"{listing.where(n, key)}: {_unknown(key, known)}" if told else key)
    return faults


def _unknown(key: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(key.replace("_", "-"), known, 2, 0.6)
    return f"there is no key {key[:40]!r}; " + (
        f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}."
    )


def _names(fields: Mapping[str, Any]) -> list[str]:
    """The files that an entry requests: its name with its suffix, or with each of its formats."""
    name, formats = fields.get("name"), fields.get("format", "svg")
    if not isinstance(name, str) or not name:
        raise ExportError("a figure needs a name, which becomes that of its file.", option="name")
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\\" in name or "\0" in name or not place.name:
        raise ExportError(f"name is {name[:60]!r}; it must be inside the listing's folder.", option="name")
    if place.suffix.lower().removeprefix(".") in FORMATS:
        return [str(place)]
    formats = [formats] if isinstance(formats, str) else formats
    if not isinstance(formats, list) or not formats or not all(f in FORMATS for f in formats):
        raise ExportError(f"format must be one of {', '.join(FORMATS)}, or a list of these.", option="format")
    return [f"{place}.{kind}" for kind in dict.fromkeys(formats)]


def _check_value(key: str, value: Any, option: Option | None) -> None:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and "\0" in one:
            raise ExportError(f"{key} contains a null character, which is not allowed.")
        if isinstance(one, int) and abs(one) >= 1 << 63:
            raise ExportError(f"{key} is too large a number (more than 63 bits).")
    again = option is not None and option.kind is Kind.AGAIN
    if (again or key in _LISTS) and isinstance(value, list):
        return
    if option is not None and option.is_switch:
        if not isinstance(value, bool):
            raise ExportError(f"{key} must be true or false.")
    elif key != "format" and (isinstance(value, bool) or not isinstance(value, str | int | float)):
        raise ExportError(f"{key} must be a text or a number.")
    if key in ("prompt", "name") and not isinstance(value, str):
        raise ExportError(f"{key} must be a text, in quotes.")


def _is_there(path: Path) -> bool:
    """Tell whether a file or folder has this path; False for a name that is too long for one."""
    try:
        return path.exists()
    except OSError:  # no file can have this name; what is wrong with it is said where the model is looked up
        return False


def _parsed(
    parser: argparse.ArgumentParser, fields: Mapping[str, Any], rows: Mapping[str, Option], base: Path
) -> argparse.Namespace:
    argv = []
    for key, value in fields.items():
        if key in _OWN:
            continue
        kind = rows[key].kind
        if kind is Kind.EITHER:
            argv.append(f"--{key}" if value else f"--no-{key}")
            continue
        if kind is Kind.FLAG:
            argv += [f"--{key}"] if value else []
            continue
        if kind is Kind.AGAIN:
            argv += [f"--{key}={one}" for one in (value if isinstance(value, list) else [value])]
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        # The value may also be a model's name: bundled, or owner/name on the hub.
        is_path = key in _PATHS and (key not in ("model", "beside") or _is_there(base / text))
        argv.append(f"--{key}={base / text if is_path else text}")
    try:
        return parser.parse_args(argv)
    except argparse.ArgumentError as reason:
        named = (reason.argument_name or "").lstrip("-")
        raise ExportError(f"{named}: {reason.message}" if named else reason.message, option=named) from None
