"""Measure the committed models and write the figures into the model card.

    python evaluate.py models/bundled --write                     the bundled model; updates the card and stored figures
    python evaluate.py models/bundled --corpus FOLDER             with the bigram model refitted to the books
    python evaluate.py models/sorter                              the letter-sorting model, at each of its snapshots
    python evaluate.py models/learner                             the learner, at each of its snapshots

It needs numpy, tokenizers and safetensors, but not PyTorch.
"""

from __future__ import annotations

import argparse
import json
import os
from itertools import product
from pathlib import Path

# Many matrix products here are small, so threads cost more than they gain. Must be set before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import card
import corpus
import forward
import learned
import measure
import numpy as np

KEPT = measure.DATA / "bundled.json"  # the figures of the card as JSON, for the tests


def sorted_right(model: forward.Model, length: int = 6) -> float:
    """Return the share of all inputs whose letters the model sorts correctly by greedy decoding."""
    inputs = np.array(list(product(range(3), repeat=length)))
    ids = inputs
    for _ in range(length):
        ids = np.concatenate((ids, model.last_logits(ids).argmax(-1)[:, None]), axis=1)
    return float((ids[:, length:] == np.sort(inputs, axis=1)).all(axis=1).mean())


def sorter_report(folder: Path, *, keep: bool = False) -> str:
    """Return the share of the 729 inputs sorted correctly by the model and by each of its snapshots, as Markdown.

    With `keep` the shares are also written to snapshots/curves.csv, which the app draws above its snapshot slider.
    """
    lines = ["| training step | inputs sorted right, of 729 |", "|---|---|"]
    curve = ["step,sorted right"]
    for path in sorted(path for path in (folder / "snapshots").iterdir() if path.is_dir()):
        share = sorted_right(forward.load(path))
        lines.append(f"| {int(path.name)} | {round(729 * share)} ({100 * share:.1f} %) |")
        curve.append(f"{int(path.name)},{share:.4f}")
    if keep:
        (folder / "snapshots" / "curves.csv").write_text("\n".join(curve) + "\n", encoding="utf-8")
    share = sorted_right(forward.load(folder))
    lines.append(f"| the model | {round(729 * share)} ({100 * share:.1f} %) |")
    return "\n".join(lines)


def main() -> None:
    """Print the figures of a model folder and, if asked to, write them into its card."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", type=Path, help="books to fit the bigram model to; else its kept figure is used")
    parser.add_argument("--write", action="store_true", help="write the figures into the folder's README.md")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="write the bundled model's figures there, as JSON")
    args = parser.parse_args()
    if (args.folder / "snapshots" / learned.FILE).exists() and args.folder.name == "learner":
        text = learned.report(args.folder, measure.DATA / corpus.HELD_OUT_BOOK)
        print(text)
        if args.write:
            card.write(args.folder / "README.md", text)
        return
    is_sorter = (args.folder / "snapshots").is_dir()
    figures = {} if is_sorter else measure.measure(args.folder, args.corpus)
    text = sorter_report(args.folder, keep=args.write) if is_sorter else card.report(figures)
    print(text)
    if args.write:
        card.write(args.folder / "README.md", text)
    for path in [args.figures] * bool(args.figures) + [KEPT] * (args.write and not is_sorter):
        path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
