"""Train the small model that shows induction heads forming, and keep twenty-one snapshots of its training.

    python train_learner.py CORPUS models/learner
    python train_learner.py CORPUS models/learner --work WORK --steps 300     part of it; without --steps, the rest

CORPUS is a folder of plain-text books. Half of the rows of a batch are pieces of books; the others are repeated
sequences of random tokens, predictable from the second copy on, and only by attending back. Snapshots are densest
where most is learned. `snapshots/curves.csv` gets the measurements during training (see `learned.py`), at more steps
than there are snapshots. Training takes about two minutes on one CPU core.

With --work, the training state is saved there at every snapshot; the same command resumes from it and ends with the
same weights as an uninterrupted run.
"""

from __future__ import annotations

import argparse
import copy
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import corpus
import forward
import learned
import numpy as np
import tokenizer as bpe
import torch
from checkpoint import restore, save
from export import export
from model import GPT2, Shape
from optimizer import Optimizer
from rows import Progress, Rows

SHAPE = Shape(vocab=512, context=128, width=64, blocks=2, heads=2)
SNAPSHOTS = (0, 10, 20, 40, 70, 100, 140, 180, 220, 250, 280, 300, 320, 340, 360, 380, 400, 440, 480, 560, 700)
BETWEEN = (60, 74, 92, 115, 144, 179, 223, 277, 345, 430, 535, 666)
"""Steps of curve points in addition to the snapshots."""
ROWS, DRILLS, LONGEST = 16, 8, 32
MATRIX_RATE, OTHER_RATE, DECAY, WARM_UP = 0.006, 0.003, 0.1, 50


def tokens_of(folder: Path, books: Path) -> np.ndarray:
    """Make the tokenizer of the model's folder from the books, and return the books' ids [token]."""
    if not (folder / "vocab.json").exists():
        bpe.save(folder, *bpe.train(books, SHAPE.vocab, plain=True))
    return corpus.book_ids(bpe.load(folder), books, bpe.end_of_text(folder))


def in_numpy(model: GPT2) -> forward.Model:
    """The model with its weights rounded to float16, as they will be read from its file."""
    weights = {name: t.detach().half().float().numpy() for name, t in model.state_dict().items()}
    return forward.Model(weights, SHAPE.heads, SHAPE.blocks, SHAPE.context, SHAPE.vocab - 1)


def main() -> None:
    """Train, write the model folder with its snapshots and curves, and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--work", type=Path, help="a folder for the training state, to resume from")
    parser.add_argument("--steps", type=int, help="stop after this many steps (default: those of the last snapshot)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)  # the same order of summation, whatever the number of cores
    torch.manual_seed(args.seed)
    args.output.mkdir(parents=True, exist_ok=True)
    books = tokens_of(args.output, args.corpus)
    look = learned.rows(args.output, args.corpus / corpus.HELD_OUT_BOOK, SHAPE.context)
    new_line = bpe.load(args.output).encode("\n").ids[0]
    rows = Rows(books, np.empty((0, 0), np.uint16), share=0, drills=DRILLS, context=SHAPE.context, vocab=SHAPE.vocab,
                new_line=new_line, seed=args.seed, longest=LONGEST)  # fmt: skip
    model, progress = GPT2(SHAPE), Progress()
    optimizer = Optimizer(dict(model.named_parameters()), MATRIX_RATE, OTHER_RATE, DECAY)
    pool = ThreadPoolExecutor(1)
    snapshots, curves = args.output / "snapshots", learned.Curves(args.output / "snapshots" / learned.FILE)
    state = None if args.work is None else args.work / "training.safetensors"
    goes_on = state is not None and state.exists()
    if goes_on:
        progress = restore(state, model, model, optimizer)
        curves.cut(progress.step)
    else:
        shutil.rmtree(snapshots, ignore_errors=True)
        snapshots.mkdir()
    start, steps = progress.step, SNAPSHOTS[-1] if args.steps is None else min(args.steps, SNAPSHOTS[-1])
    for step in range(start, steps + 1):
        there = goes_on and step == start
        if step in SNAPSHOTS and not there:
            export(model, args.output, snapshots / f"{step:05d}", {"step": str(step)})
        if step in (*SNAPSHOTS, *BETWEEN) and not there:
            found = learned.measure(in_numpy(model), look)
            curves.add(step, found)
            print(f"step {step:5d}  " + "  ".join(f"{name} {found[name]:.2f}" for name in learned.SHOWN), flush=True)
        if state is not None and not there and (step in SNAPSHOTS or step == steps):
            args.work.mkdir(parents=True, exist_ok=True)
            save(state, model, copy.deepcopy(model), optimizer, progress)
        if step == steps:
            break
        model.loss(*rows.batch(progress, ROWS)).backward()
        optimizer.step(min((step + 1) / WARM_UP, 1.0), pool)
        progress.step += 1
    export(model, args.output, args.output, {"step": str(progress.step)})


if __name__ == "__main__":
    main()
