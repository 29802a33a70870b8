"""Bounded, strict reading of JSON files that came from outside."""

import json
from pathlib import Path
from typing import Any, NoReturn

from desktop_app.gpt2.errors import LogitscopeError


def read_json(path: Path, *, limit: int, error: type[LogitscopeError]) -> dict[str, Any]:
    """The JSON object in `path`, at most `limit` bytes long.

    Repeated keys, NaN and Infinity, other top-level values, and nesting too deep to parse are refused
    with `error`, whose sentence names the file.
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise error(f"{path} is {size:,} bytes long, more than the {limit:,} that such a file may have.")
        data = path.read_bytes()
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
                raise ValueError(f"the key {key[:80]!r} stands there twice")
            found[key] = value
        return found

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a JSON number")

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except UnicodeDecodeError as reason:
        raise error(f"{what} is not UTF-8 text (byte {reason.start}); fetch the file again.") from reason
    except RecursionError as reason:
        raise error(f"{what} is nested too deeply to be what its name says.") from reason
    except ValueError as reason:
        raise error(f"{what} is not valid JSON: {str(reason)[:200]}. Fetch the file again.") from reason
    if not isinstance(value, dict):
        raise error(f"{what} holds a JSON {type(value).__name__} where an object is expected.")
    return value
