"""Reads a tokenizer's files within bounds, and reports a faulty part in one sentence."""

from collections.abc import Sized
from pathlib import Path
from typing import Any

from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.files import regular
from desktop_app.gpt2.jsonfile import parse_json

MAX_FILE_BYTES = 32 * 2**20  # GPT-2's tokenizer.json has 3.5 MB, large multilingual ones about 20
MAX_ID = 2**24
MAX_TOKEN_CHARS = 1024
MAX_ADDED = 50_000  # real tokenizers have at most a few thousand


def read_text(path: Path) -> str:
    """The UTF-8 text in `path`. Raises TokenizerError."""
    try:
        return _read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path} is not UTF-8 text (byte {error.start}); fetch the file again.") from error


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises TokenizerError."""
    return parse_json(_read_bytes(path), what=str(path), error=TokenizerError)


def as_object(path: Path, what: str, value: object) -> dict[str, Any]:
    """`value` if it is a JSON object. Raises TokenizerError, which calls it `what`."""
    if not isinstance(value, dict):
        raise TokenizerError(f"{path}: {what} is not a JSON object.")
    return value


def as_list(path: Path, what: str, value: object) -> list[Any]:
    """`value` if it is a JSON list. Raises TokenizerError, which calls it `what`."""
    if not isinstance(value, list):
        raise TokenizerError(f"{path}: {what} is not a JSON list.")
    return value


def check_count(path: Path, entries: Sized) -> None:
    """Raise TokenizerError, before time is spent on them, for more added tokens than real tokenizers have."""
    if len(entries) > MAX_ADDED:
        raise TokenizerError(f"{path} adds {len(entries):,} tokens; no GPT-2 tokenizer adds more than {MAX_ADDED:,}.")


def as_flag(path: Path, what: str, value: object) -> bool:
    """`value` if it is true or false; null is false. Raises TokenizerError, which calls it `what`."""
    if value is not None and not isinstance(value, bool):
        raise TokenizerError(f"{path}: {what} is {short(value)}; it must be true or false.")
    return bool(value)


def as_token(path: Path, value: object) -> str:
    """`value` if it is a token's text. Raises TokenizerError."""
    if not isinstance(value, str) or len(value) > MAX_TOKEN_CHARS or not _is_encodable(value):
        raise TokenizerError(f"{path}: the entry {short(value)} is not a token of Unicode text.")
    return value


def as_id(path: Path, token: object, number: object) -> int:
    """`number` if it is an id. Raises TokenizerError naming the `token` that has it."""
    if type(number) is not int or not 0 <= number <= MAX_ID:
        raise TokenizerError(
            f"{path}: the id of {short(token)} is {short(number)}; ids are whole numbers from 0 to {MAX_ID}."
        )
    return number


def short(value: object) -> str:
    """An untrusted value for use in a sentence: escaped to ASCII and never long."""
    if isinstance(value, (list, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def _read_bytes(path: Path) -> bytes:
    try:
        regular(path, TokenizerError)
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TokenizerError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(data) > MAX_FILE_BYTES:
        raise TokenizerError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MB; no GPT-2 tokenizer is.")
    return data


def _is_encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
