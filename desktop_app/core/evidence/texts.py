"""Reads texts of any size, piece by piece: plain text, JSONL, CSV, TSV, Parquet, each also compressed (gzip or zstd).

The contents are treated as plain text: nothing in them is executed, followed or unpacked further. A file that cannot be
read to its end yields a `Fault` that says where; the files after it are still read.
"""

import csv
import glob
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from desktop_app.gpt2.errors import LogitscopeError

PIECE = 1 << 14
"""Characters of plain text after which a piece ends at the next line break; a line of four times as many is split."""

RECORD = 1 << 22
"""The maximum number of characters in a line of JSONL or a field of CSV or TSV."""

_PACKED = (".gz", ".zst")
_LINES, _TABLES, _PARQUET = (".jsonl", ".ndjson"), {".csv": ",", ".tsv": "\t"}, (".parquet",)


@dataclass(frozen=True)
class Piece:
    """A single text: its file, the index of its record in the file, and its characters."""

    file: str
    record: int
    text: str


@dataclass(frozen=True)
class Fault:
    """What could not be used, in words that follow the file's name. `whole`: the rest of the file was skipped."""

    file: str
    record: int
    words: str
    whole: bool


def find_texts(names: Sequence[str]) -> list[Path]:
    """The files that `names` describe: each is a file, a folder with all files below it, or a pattern with * or ?.

    Files are in the order of the names, without duplicates; those of a folder or a pattern are sorted by name. Hidden
    files in folders are left out, and so are links that lead out of the folder. Raises LogitscopeError for a name that
    matches nothing.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            files = _below(path)
        elif path.exists():
            files = [path]
        else:
            matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 - the pattern may begin at the root
            files = sorted(Path(match) for match in matches if Path(match).is_file())
        if not files:
            raise LogitscopeError(f"{name} is neither a file nor a folder with files; give texts to read.")
        found |= dict.fromkeys(file.absolute() for file in files)
    return list(found)


def _below(folder: Path) -> list[Path]:
    root = folder.resolve()
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.resolve().is_relative_to(root)
    )


def read_pieces(path: Path, column: str = "text") -> Iterator[Piece | Fault]:
    """The texts of a file, in order, and a fault for each part that could not be used.

    The format is that of the extension, without .gz or .zst; an unknown extension means plain text in UTF-8. For tables
    and JSONL, the column (or key) `column` is read.
    """
    suffix = (Path(path.stem) if path.suffix.lower() in _PACKED else path).suffix.lower()
    name, record = str(path), 0
    try:
        for record, text in enumerate(_reader(suffix)(path, suffix, column)):
            if isinstance(text, str):
                yield Piece(name, record, text)
            else:
                yield Fault(name, record, text.words, whole=False)
    except _Unusable as reason:
        yield Fault(name, record, str(reason), whole=True)
    except (OSError, EOFError, zlib.error) as reason:
        yield Fault(
            name, record, f"cannot be read to its end: {getattr(reason, 'strerror', None) or reason}", whole=True
        )
    except UnicodeDecodeError as reason:
        yield Fault(name, record, f"is not UTF-8: {reason.reason} ({reason.object[reason.start]:#04x})", whole=True)


class _Unusable(Exception):
    """The rest of a file cannot be used; the message says why."""


@dataclass(frozen=True)
class _Refused:
    """A record without usable text; the next one may have some."""

    words: str


_Texts = Iterator[str | _Refused]


def _reader(suffix: str) -> Callable[[Path, str, str], _Texts]:
    if suffix in _LINES:
        return _json_lines
    if suffix in _TABLES:
        return _table
    return _parquet if suffix in _PARQUET else _plain


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The characters of a file, decompressed if its extension is that of a compressed file."""
    if not path.is_file():
        raise _Unusable("is not a regular file")
    packed = path.suffix.lower()
    if packed == ".zst":
        arrow = _pyarrow("pyarrow")
        with arrow.OSFile(str(path)) as raw, arrow.CompressedInputStream(raw, "zstd") as stream:
            yield io.TextIOWrapper(io.BufferedReader(stream), "utf-8-sig", newline=None)
        return
    with (gzip.open if packed == ".gz" else open)(path, "rb") as raw:
        yield io.TextIOWrapper(raw, "utf-8-sig", newline=None)


def _pyarrow(name: str) -> Any:
    try:
        from importlib import import_module

        return import_module(name)
    except ImportError as reason:
        raise _Unusable("needs pyarrow to be read, which is not installed") from reason


def _plain(path: Path, _suffix: str, _column: str) -> _Texts:
    with _opened(path) as file:
        lines: list[str] = []
        size = 0
        while line := file.readline(4 * PIECE):
            lines.append(line)
            size += len(line)
            if size >= PIECE:
                yield "".join(lines)
                lines, size = [], 0
        if lines:
            yield "".join(lines)


def _json_lines(path: Path, _suffix: str, column: str) -> _Texts:
    with _opened(path) as file:
        while line := file.readline(RECORD + 1):
            if len(line) > RECORD:
                raise _Unusable(f"has a line of more than {RECORD:,} characters")
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):  # reported as a fault of this one record
                yield _Refused("is not JSON")
                continue
            yield _text_of(record.get(column) if isinstance(record, dict) else record, column)


def _text_of(value: object, column: str) -> str | _Refused:
    return value if isinstance(value, str) else _Refused(f"has no text {column!r}")


def _table(path: Path, suffix: str, column: str) -> _Texts:
    with _opened(path) as file:
        csv.field_size_limit(RECORD)
        try:
            rows = csv.DictReader(file, delimiter=_TABLES[suffix], strict=True)
            if column not in (rows.fieldnames or ()):
                raise _Unusable(
                    f"has no column {column!r}; its columns: {', '.join(list(rows.fieldnames or ())[:12]) or 'none'}"
                )
            for row in rows:
                yield _text_of(row[column], column)
        except csv.Error as reason:
            raise _Unusable(f"is not a readable table: {reason}") from reason


def _parquet(path: Path, _suffix: str, column: str) -> _Texts:
    parquet, arrow = _pyarrow("pyarrow.parquet"), _pyarrow("pyarrow")
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if column not in names:
                raise _Unusable(f"has no column {column!r}; its columns: {', '.join(names[:12]) or 'none'}")
            for batch in file.iter_batches(batch_size=256, columns=[column]):
                yield from (_text_of(value.as_py(), column) for value in batch.column(0))
    except arrow.ArrowException as reason:
        raise _Unusable(f"is not readable Parquet: {str(reason)[:120]}") from reason


def size_of(paths: Sequence[Path]) -> int:
    """The total size in bytes of the files that exist."""
    return sum(path.stat().st_size for path in paths if path.is_file())


def first_words(words: Sequence[str], count: int = 3) -> str:
    """The first items of a list, and how many more there are, as text."""
    more = f" and {len(words) - count} more" if len(words) > count else ""
    return ", ".join(islice(words, count)) + more
