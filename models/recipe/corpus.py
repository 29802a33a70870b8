"""Read a folder of plain-text books and turn books and generated passages into streams of token ids."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from passages import training_passages
from tokenizers import Tokenizer

HELD_OUT_BOOK = "pg501.txt"  # The Story of Doctor Dolittle


def training_books(folder: Path) -> list[Path]:
    """List the .txt files of a folder in order of name, without the held-out book."""
    books = sorted(path for path in folder.glob("*.txt") if path.name != HELD_OUT_BOOK)
    if not books:
        raise SystemExit(f"{folder} holds no .txt file to train on; name a folder of plain-text books.")
    return books


def book_text(path: Path) -> str:
    """Read a book, with blank lines at both ends removed."""
    return path.read_text(encoding="utf-8").strip() + "\n"


def book_ids(tokenizer: Tokenizer, folder: Path, end_of_text: int) -> np.ndarray:
    """Encode all training books, each followed by the end-of-text id; uint16 [token]."""
    ids: list[int] = []
    for path in training_books(folder):
        ids += tokenizer.encode(book_text(path)).ids
        ids.append(end_of_text)
    return np.array(ids, dtype=np.uint16)


def passage_texts(count: int, seed: int) -> Iterator[str]:
    """Yield `count` training passages, deterministic by seed."""
    return (passage.text for passage in islice(training_passages(seed), count))


def passage_rows(tokenizer: Tokenizer, count: int, seed: int, end_of_text: int, length: int) -> np.ndarray:
    """Pack passages into rows of `length` ids that each begin with a passage; uint16 [row, length].

    A prompt typed into the app has no end-of-text token before it, so neither has the first passage of a row.
    """
    rows: list[list[int]] = []
    row: list[int] = []
    texts = list(passage_texts(count, seed))
    for encoding in tokenizer.encode_batch(texts):
        row += [*encoding.ids, end_of_text]
        if len(row) >= length:
            rows.append(row[:length])
            row = []
    return np.array(rows, dtype=np.uint16)
