"""Reads a folder of plain-text books, and turns books and generated passages into streams of token ids."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
from passages import training_passages
from tokenizers import Tokenizer

HELD_OUT_BOOK = "pg501.txt"  # The Story of Doctor Dolittle
BEGIN_SHARE = 0.25
JOINTS, JOINT_SHARES = ("", "\n", " "), (0.25, 0.4, 0.35)  # between passages; "" stands for an end-of-text token
PACKED_AT_ONCE = 20_000


def training_books(folder: Path) -> list[Path]:
    """List the .txt files of a folder in order of name, without the held-out book."""
    books = sorted(path for path in folder.glob("*.txt") if path.name != HELD_OUT_BOOK)
    if not books:
        raise SystemExit(f"{folder} has no .txt file to train on; name a folder of plain-text books.")
    return books


def book_text(path: Path) -> str:
    """Read a book and remove blank lines at both ends."""
    return path.read_text(encoding="utf-8").strip() + "\n"


def book_ids(tokenizer: Tokenizer, folder: Path, end_of_text: int) -> np.ndarray:
    """Encode all training books, each followed by the end-of-text id; uint16 [token]."""
    ids: list[int] = []
    for path in training_books(folder):
        ids += tokenizer.encode(book_text(path)).ids
        ids.append(end_of_text)
    return np.array(ids, dtype=np.uint16)


def passage_texts(count: int, seed: int | str) -> Iterator[str]:
    """Yield `count` training passages; the same seed gives the same passages."""
    return (passage.text for passage in islice(training_passages(seed), count))


def passage_rows(tokenizer: Tokenizer, count: int, seed: int | str, end_of_text: int, length: int) -> np.ndarray:
    """Pack passages into rows of `length` ids that each begin with a passage; uint16 [row, length].

    A prompt typed into the app has no end-of-text token before it, so most rows have none before their first passage;
    a quarter have one, as sampled texts may. Some passages share a text, separated by a space or a newline.
    """
    rng = Random(seed)
    rows = np.empty((0, length), dtype=np.uint16)
    row: list[int] = []
    texts = passage_texts(count, seed)
    while batch := list(islice(texts, PACKED_AT_ONCE)):
        joints = rng.choices(JOINTS, JOINT_SHARES, k=len(batch))
        alone = tokenizer.encode_batch(batch)
        joined = tokenizer.encode_batch([joint + text for joint, text in zip(joints, batch, strict=True)])
        found: list[list[int]] = []
        for joint, first, later in zip(joints, alone, joined, strict=True):
            if row:
                row += later.ids if joint else [end_of_text, *later.ids]
            else:
                row = [*([end_of_text] if rng.random() < BEGIN_SHARE else []), *first.ids]
            if len(row) >= length:
                found.append(row[:length])
                row = []
        rows = np.concatenate((rows, np.array(found, dtype=np.uint16).reshape(-1, length)))
    return rows
