"""Passages that other processes make while training goes on, so that no fixed set of them is repeated.

Chunks of passages are computed side by side but served in their order: the same seed gives the same rows at whatever
speed.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import corpus
import numpy as np
import tokenizer as bpe

PASSAGES = 20_000  # in a chunk
AHEAD = 2  # chunks that are being made or wait, for each process


def chunk(folder: Path, seed: int, number: int, length: int, passages: int = PASSAGES) -> np.ndarray:
    """Return the rows of one chunk of passages, with the tokenizer of `folder`; uint16 [row, length]."""
    tokenizer = bpe.load(folder)
    return corpus.passage_rows(tokenizer, passages, f"{seed} {number}", bpe.end_of_text(folder), length)


def _alone() -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there is a process for every core already


class PassageStream:
    """Gives rows of fresh passages without end.

    `chunks` is the number of chunks begun so far, and `first` that of an earlier run, which this one continues.
    """

    def __init__(
        self, folder: Path, seed: int, length: int, processes: int, first: int = 0, passages: int = PASSAGES
    ) -> None:
        self.folder, self.seed, self.length, self.chunks, self.passages = folder, seed, length, first, passages
        self._pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _alone)
        self._made: deque[Future[np.ndarray]] = deque()
        self._rows: Iterator[np.ndarray] = iter(())
        for number in range(first, first + AHEAD * processes):
            self._ask(number)

    def _ask(self, number: int) -> None:
        self._made.append(self._pool.submit(chunk, self.folder, self.seed, number, self.length, self.passages))

    def __next__(self) -> np.ndarray:
        """Return the next row, uint16 [length]; wait for it where training is faster than the processes."""
        for row in self._rows:
            return row
        self._rows = iter(self._made.popleft().result())
        self._ask(self.chunks + len(self._made) + 1)
        self.chunks += 1
        return next(self)

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(wait=False, cancel_futures=True)
