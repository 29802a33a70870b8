"""Measurements of the small model during training: losses by token, the in-context score, head scores.

On rows of the held-out book, each as long as the context: `loss` is the mean cross-entropy in nats per token, `loss of
token n` that of the n-th token alone, over all rows. The in-context score is the loss late in the text minus the early
loss (Olsson et al. 2022 take tokens 500 and 50 of 512), scaled to a context of 128: here the mean over tokens 112 to
127 minus that over 8 to 15, both of which are written too. Negative means that earlier context helps. `loss when
repeated` is the loss of random tokens at their second occurrence. Each head's scores are those of `heads.py`, on the
same random tokens.

curves.csv has a row for each measured step: the step, then these numbers. In the committed file the two
means of the score are given only at the snapshots; they were added later.
"""

from __future__ import annotations

import csv
from pathlib import Path

import corpus
import forward
import heads
import numpy as np
import tokenizer as bpe

FILE = "curves.csv"
ROWS = 64
TOKENS = (2, 4, 8, 16, 32, 64, 125)
EARLY, LATE = slice(7, 15), slice(111, 127)  # indices of losses; the first loss is that of token 1 given token 0
KINDS = ("induction", "previous-token")
SEQUENCES, LENGTH = 8, 40
SHOWN = ("loss", "in-context score", "loss when repeated", "best previous-token", "best induction")


def rows(folder: Path, book: Path, context: int) -> np.ndarray:
    """Evenly spaced rows of a book that is not in the training data: ids [row, context]."""
    ids = np.array(bpe.load(folder).encode(corpus.book_text(book)).ids)
    starts = np.linspace(0, len(ids) - context, ROWS).astype(int)
    return ids[starts[:, None] + np.arange(context)]


def measure(model: forward.Model, look: np.ndarray) -> dict[str, float]:
    """All numbers of one step, by name."""
    nats = model.nats(look).mean(0, dtype=np.float64)
    once = np.stack([np.random.default_rng(n).choice(len(model.weights["wte.weight"]) - 1, LENGTH, replace=False)
                     for n in range(SEQUENCES)])  # fmt: skip
    again = model.nats(np.concatenate((np.full((SEQUENCES, 1), model.end_of_text), once, once), axis=1))
    scores = heads.scores(model, SEQUENCES, LENGTH)
    found = {
        "loss": nats.mean(),
        "in-context score": nats[LATE].mean() - nats[EARLY].mean(),
        **{f"best {kind}": scores[kind].max() for kind in KINDS},
        "loss when repeated": again[:, LENGTH + 1 :].mean(dtype=np.float64),
    }
    found |= {f"loss of token {n}": nats[n - 1] for n in TOKENS}
    found |= {f"loss of tokens {span.start + 1} to {span.stop}": nats[span].mean() for span in (EARLY, LATE)}
    for kind in KINDS:
        found |= {f"{kind} L{b}H{h}": scores[kind][b, h] for b in range(model.blocks) for h in range(model.heads)}
    return {name: float(value) for name, value in found.items()}


class Curves:
    """curves.csv, written row by row."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, step: int, found: dict[str, float]) -> None:
        """Append the measurements of a step."""
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["step", *found])
            writer.writerow([step, *(f"{value:.4f}" for value in found.values())])

    def cut(self, step: int) -> None:
        """Drop the measurements after a step; they will be repeated."""
        if self.path.exists():
            names, *lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if int(line.split(",")[0]) <= step]
            self.path.write_text("".join((names, *kept)), encoding="utf-8", newline="")


def report(folder: Path, book: Path) -> str:
    """Measure every snapshot anew on the held-out book, and return the main numbers as Markdown."""
    lines = ["| training step | " + " | ".join(SHOWN) + " |", "|---" * (1 + len(SHOWN)) + "|"]
    for path in sorted(path for path in (folder / "snapshots").iterdir() if path.is_dir()):
        model = forward.load(path)
        found = measure(model, rows(folder, book, model.context))
        lines.append(f"| {int(path.name)} | " + " | ".join(f"{found[name]:.2f}" for name in SHOWN) + " |")
    return "\n".join(lines)
