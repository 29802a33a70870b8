"""The order of token rows from books and passages, and the progress counters that a checkpoint stores."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from stream import PassageStream


@dataclass
class Progress:
    """The counters that a checkpoint stores in addition to its tensors."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stretch: int = 1  # number of the current stretch of training, or of the last one if that has ended
    stretch_step: int = 0
    stretch_seconds: float = 0.0
    ended: bool = False  # the learning-rate decay is complete
    book_rows: int = 0
    passage_rows: int = 0
    chunks: int = 0  # of passages made during training
    snapshots: list[int] = field(default_factory=list)

    def begin_stretch(self) -> None:
        """Start a new stretch."""
        self.stretch, self.stretch_step, self.stretch_seconds, self.ended = self.stretch + 1, 0, 0.0, False

    def served(self, after: Progress) -> None:
        """Take over what has been served from books and passages."""
        self.book_rows, self.passage_rows, self.chunks = after.book_rows, after.passage_rows, after.chunks


class Rows:
    """Serves rows of context + 1 ids, from books and passages in a fixed proportion, each epoch in a new order.

    Passages may have been packed into longer rows, which are cut; those of `fresh`, if given, come in their own order.
    Every other row of a book is shifted back to the beginning of a paragraph, where prompts begin too.

    A few rows of a batch may be drills: a sequence of random ids (without the last id, which ends texts) repeated to
    the end of the row, in every third drill forwards and backwards in turn. Only the predictable part, everything after
    the first copy, counts in the loss. The former train induction heads; the latter duplicate-token heads, since what
    came before a token is known only where it was there before.

    `noise` is the fraction of the tokens read in passages that are replaced by random ids; what is to be predicted
    stays as it was. A phrasing that is never read whole twice is harder to learn by heart (word dropout, Bowman et al.
    2016).
    """

    def __init__(
        self,
        books: np.ndarray,
        passages: np.ndarray,
        *,
        share: float,
        drills: int,
        context: int,
        vocab: int,
        new_line: int,
        seed: int,
        longest: int | None = None,
        fresh: PassageStream | None = None,
        noise: float = 0.0,
    ) -> None:
        self.books, self.passages, self.drills, self.vocab = books, passages, drills, vocab
        self.share, self.context, self.seed, self.fresh, self.noise = share, context, seed, fresh, noise
        self.longest = longest or context // 2  # the longest sequence that a drill repeats
        self.paragraphs = np.flatnonzero(books == new_line) + 1
        self.book_rows = (len(books) - context - 1) // context - 1
        self.orders: dict[tuple[int, int], np.ndarray] = {}

    def _order(self, stream: int, epoch: int, count: int) -> np.ndarray:
        if (stream, epoch) not in self.orders:
            self.orders = {key: order for key, order in self.orders.items() if key[0] != stream}
            self.orders[stream, epoch] = np.random.default_rng((self.seed, stream, epoch)).permutation(count)
        return self.orders[stream, epoch]

    def _book_row(self, number: int) -> np.ndarray:
        epoch, at = divmod(number, self.book_rows)
        shift = int(np.random.default_rng((self.seed, 7, epoch)).integers(self.context))
        start = shift + int(self._order(0, epoch, self.book_rows)[at]) * self.context
        if number % 2:
            before = self.paragraphs[: np.searchsorted(self.paragraphs, start, "right")][-1:]
            start = next((int(begin) for begin in before if start - begin < self.context), start)
        return self.books[start : start + self.context + 1]

    def _passage_row(self, progress: Progress) -> np.ndarray:
        if self.fresh:
            row = next(self.fresh)
            progress.chunks = self.fresh.chunks
            return row[: self.context + 1]
        epoch, at = divmod(progress.passage_rows, len(self.passages))
        return self.passages[self._order(1, epoch, len(self.passages))[at]][: self.context + 1]

    def _drill(self, number: int) -> tuple[np.ndarray, int]:
        """Return a row of repeated random ids, and the length of the repeated sequence."""
        rng = np.random.default_rng((self.seed, 9, number))
        length = int(rng.integers(8, self.longest))
        once = rng.choice(self.vocab - 1, length, replace=False)
        period = np.concatenate((once, once[::-1])) if number % 3 == 2 else once
        return np.resize(period, self.context + 1), length

    def batch(self, progress: Progress, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next ids and their targets, [rows, context] each, and count them in `progress`.

        Targets of -100 are ignored in the loss.
        """
        out = []
        from_passages = int(rows * self.share)
        for _ in range(rows - from_passages - self.drills):
            out.append(self._book_row(progress.book_rows))
            progress.book_rows += 1
        for _ in range(from_passages):
            out.append(self._passage_row(progress))
            progress.passage_rows += 1
        drills = [self._drill(progress.step * self.drills + at) for at in range(self.drills)]
        ids = torch.from_numpy(np.stack([*out, *(row for row, _ in drills)]).astype(np.int64))
        targets = ids[:, 1:].clone()
        for row, (_, length) in zip(targets[len(out) :], drills, strict=True):
            row[:length] = -100
        read = ids[:, :-1]
        if self.noise:
            rng = np.random.default_rng((self.seed, 11, progress.step))
            noisy = read[len(out) - from_passages : len(out)]
            struck = torch.from_numpy(rng.random(noisy.shape) < self.noise)
            noisy[struck] = torch.from_numpy(rng.integers(self.vocab - 1, size=int(struck.sum())))
        return read, targets


Batch = tuple[torch.Tensor, torch.Tensor, Progress]


def batches(rows: Rows, progress: Progress, count: int) -> Iterator[Batch]:
    """Yield batches of `count` rows without end: ids, targets, and what has been served with them."""
    mine = replace(progress)
    while True:
        ids, targets = rows.batch(mine, count)
        mine.step += 1
        yield ids, targets, replace(mine)


def ahead(source: Iterator[Batch], depth: int = 8) -> Iterator[Batch]:
    """Make batches in a thread, in memory from which an accelerator copies without waiting."""

    def make() -> Batch:
        ids, targets, after = next(source)
        return ids.pin_memory(), targets.pin_memory(), after

    pool = ThreadPoolExecutor(1)
    made = deque(pool.submit(make) for _ in range(depth))
    while True:
        made.append(pool.submit(make))
        yield made.popleft().result()
