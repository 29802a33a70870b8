"""Bounded, strict reading of untrusted JSON files."""

import json
from pathlib import Path
from typing import Any, NoReturn

from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.files import regular

_LONGEST_NUMBER = 4300  # digits; Python does not convert more
_CURE = "the file is damaged or was cut off, get a complete copy"  # for checkpoints and sessions alike


def read_json(path: Path, *, limit: int, error: type[LogitscopeError]) -> dict[str, Any]:
    """The JSON object in `path`, which may have at most `limit` bytes.

    Repeated keys, NaN and Infinity, extremely long numbers, other top-level values, and nesting too deep to parse are
    refused with `error`, whose sentence names the file.
    """
    try:
        regular(path, error)
        with path.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise error(f"{path} is longer than the {limit:,} bytes that such a file may have.")
    except FileNotFoundError:
        raise error(f"{path} does not exist; check the folder's name.") from None
    except OSError as reason:
        raise error(f"{path} cannot be read: {reason.strerror or reason}.") from reason
    return parse_json(data, what=str(path), error=error)


def parse_json(data: bytes, *, what: str, error: type[LogitscopeError]) -> dict[str, Any]:
    """The JSON object in `data`; `what` names it in the error's sentence. See `read_json`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"the key {key[:80]!r} occurs twice")
            found[key] = value
        return found

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a JSON number")

    def whole(digits: str) -> int | float:
        if len(digits) > _LONGEST_NUMBER:
            raise ValueError(f"a number has {len(digits)} digits")
        return -0.0 if digits == "-0" else int(digits)  # minus zero is not a whole number

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse, parse_int=whole)
    except UnicodeDecodeError as reason:
        raise error(f"{what} is not UTF-8 text (byte {reason.start}); {_CURE}.") from reason
    except RecursionError as reason:
        raise error(f"{what} is nested too deeply.") from reason
    except ValueError as reason:
        raise error(f"{what} is not valid JSON: {str(reason)[:200]}; {_CURE}.") from reason
    if not isinstance(value, dict):
        raise error(f"{what} contains a JSON {type(value).__name__}, not an object.")
    return value
