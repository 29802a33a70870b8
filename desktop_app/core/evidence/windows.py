"""Cuts texts into windows of tokens, stored in two files so that a scan of any size can read them piece by piece.

A window starts with the token that begins the model's texts, if there is one, and has up to `length` tokens including
that. It never extends past the end of a text. `ids.bin` has the ids of all windows concatenated, little-endian, with
two bytes each if the vocabulary allows it. `index.bin` has a row of INDEX for each window.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.evidence.texts import Fault, Piece
from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.tokenizer import Tokenizer

Array = NDArray[Any]

IDS, ROWS = "ids.bin", "index.bin"

INDEX = np.dtype([("start", "<i8"), ("length", "<i4"), ("file", "<i4"), ("record", "<i8"), ("offset", "<i4")])
"""Of a window: the index of its first id in ids.bin, the number of ids, the number of its file, its record in the file,
and how many tokens of that text precede it."""

LEAST = 3
"""The minimum number of tokens in a window: at least one informative token between the first and the last."""


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of all texts, mapped from their files: `ids` [token], `index` [window] of INDEX."""

    ids: Array
    index: Array

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> Array:
        """The ids of a window [pos]."""
        row = self.index[number]
        return self.ids[row["start"] : row["start"] + row["length"]]

    def batch(self, start: int, stop: int) -> list[Array]:
        """The ids of the windows from `start` up to but not including `stop`, each a copy."""
        return [np.array(self[number]) for number in range(start, min(stop, len(self)))]


@dataclass(frozen=True)
class Cut:
    """The result of cutting: how many windows and tokens, the faults met, and the SHA-256 of all windows.

    The hash covers, window by window, the row in index.bin and the ids in ids.bin.
    """

    windows: int
    tokens: int
    pieces: int
    faults: tuple[Fault, ...]
    left_out: int
    digest: str


FAULTS = 1000
"""How many faults are recorded individually; further ones are only counted."""


def cut(
    read: Iterable[Piece | Fault],
    tokenizer: Tokenizer,
    vocab_size: int,
    folder: Path,
    *,
    length: int,
    limit: int | None = None,
    progress: Callable[[int], None] = lambda _tokens: None,
) -> Cut:
    """Write the windows of all texts into `folder`.

    Args:
        read: texts and faults, in order; files are numbered in order of appearance.
        tokenizer: encodes the texts. A text that it cannot encode is a fault.
        vocab_size: the number of rows of the embedding.
        folder: where IDS and ROWS are written.
        length: the number of tokens of a window, including the one that begins a text.
        limit: the number of tokens after which no further window begins.
        progress: receives the number of tokens so far.

    Raises OSError, as on a full disk.
    """
    first = tokenizer.first
    kind = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
    digest, faults, files = hashlib.sha256(), list[Fault](), dict[str, int]()
    windows = tokens = pieces = left_out = 0
    with (folder / IDS).open("wb") as ids_file, (folder / ROWS).open("wb") as rows_file:
        for piece in read:
            number = files.setdefault(piece.file, len(files))
            if isinstance(piece, Piece):
                try:
                    ids = tokenizer.encode(piece.text).ids
                except TokenizerError as reason:
                    piece = Fault(piece.file, piece.record, str(reason), whole=False)  # noqa: PLW2901 - now a fault
            if isinstance(piece, Fault):
                left_out += 1
                faults += [piece] if len(faults) < FAULTS else []
                continue
            pieces += 1
            for offset, window in _windows(ids, first, length):
                data = np.array(window, kind).tobytes()
                ids_file.write(data)
                row = np.array((tokens, len(window), number, piece.record, offset), INDEX).tobytes()
                rows_file.write(row)
                digest.update(row + data)
                windows, tokens = windows + 1, tokens + len(window)
                if limit is not None and tokens >= limit:
                    return Cut(windows, tokens, pieces, tuple(faults), left_out, digest.hexdigest())
            progress(tokens)
    return Cut(windows, tokens, pieces, tuple(faults), left_out, digest.hexdigest())


def _windows(ids: tuple[int, ...], first: tuple[int, ...], length: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The windows of one text: (number of its tokens before the window, ids, including those that begin a text)."""
    room = length - len(first)
    for offset in range(0, len(ids), room):
        window = (*first, *ids[offset : offset + room])
        if len(window) >= LEAST:
            yield offset, window


def open_windows(folder: Path, vocab_size: int) -> Windows:
    """Open the windows that `cut` wrote. Raises OSError, or ValueError if the files are incomplete."""
    kind = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
    return Windows(np.memmap(folder / IDS, kind, "r"), np.memmap(folder / ROWS, INDEX, "r"))
