"""Train the tiny model that sorts six letters, and keep twelve snapshots of its training.

    python train_sorter.py models/sorter

A text is six letters out of A, B, C followed by the same letters in order; only the last six are predicted.
A quarter of the 729 inputs is held out of training, to show that the model sorts rather than memorizes. The
task is that of minGPT's sorting demo.
"""

from __future__ import annotations

import argparse
import json
import shutil
from itertools import product
from pathlib import Path

import torch
from export import export
from model import GPT2, Shape

LETTERS = "ABC"
LENGTH = 6
SHAPE = Shape(vocab=len(LETTERS), context=2 * LENGTH, width=48, blocks=3, heads=3)
SNAPSHOTS = (0, 10, 15, 20, 25, 30, 40, 50, 75, 150, 400, 1000)
PEAK_RATE = 5e-4


def all_inputs() -> torch.Tensor:
    """Return the 729 inputs [input, letter] in alphabetical order."""
    return torch.tensor(list(product(range(len(LETTERS)), repeat=LENGTH)))


def split(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the indices of the inputs to train on and of the held-out quarter."""
    order = torch.randperm(len(LETTERS) ** LENGTH, generator=torch.Generator().manual_seed(seed))
    quarter = len(order) // 4
    return order[quarter:], order[:quarter]


@torch.no_grad()
def sorts(model: GPT2, inputs: torch.Tensor) -> torch.Tensor:
    """Tell for each input whether greedy decoding gives the sorted letters."""
    ids = inputs
    for _ in range(LENGTH):
        ids = torch.cat((ids, model(ids)[:, -1].argmax(-1, keepdim=True)), dim=1)
    return (ids[:, LENGTH:] == inputs.sort(dim=1).values).all(dim=1)


def main() -> None:
    """Train, write the model folder with its snapshots, and print the share sorted correctly."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small to parallelize
    torch.manual_seed(args.seed)
    model = GPT2(SHAPE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    inputs = all_inputs()
    seen, left_out = split(args.seed)
    snapshots = args.output / "snapshots"
    shutil.rmtree(snapshots, ignore_errors=True)
    snapshots.mkdir(parents=True)
    (args.output / "vocab.json").write_text(json.dumps({letter: at for at, letter in enumerate(LETTERS)}) + "\n")
    (args.output / "merges.txt").write_text("#version: 0.2\n")
    steps = SNAPSHOTS[-1]
    for step in range(steps + 1):
        if step in SNAPSHOTS:
            export(model, args.output, snapshots / f"{step:05d}", {"step": str(step)})
            right = sorts(model, inputs).float()
            print(f"step {step:5d}  sorted right: {100 * right.mean():5.1f} % of all, "
                  f"{100 * right[left_out].mean():5.1f} % of those held out", flush=True)  # fmt: skip
        if step == steps:
            break
        rate = PEAK_RATE * min((step + 1) / 50, (steps - step) / steps)
        optimizer.param_groups[0]["lr"] = rate
        batch = inputs[seen[torch.randint(len(seen), (128,))]]
        ids = torch.cat((batch, batch.sort(dim=1).values), dim=1)
        targets = ids[:, 1:].clone()
        targets[:, : LENGTH - 1] = -100
        model.loss(ids[:, :-1], targets).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    export(model, args.output, args.output)


if __name__ == "__main__":
    main()
