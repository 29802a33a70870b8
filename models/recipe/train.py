"""Train the bundled model: a small GPT-2 on a folder of books and on generated passages.

    python train.py CORPUS WORK --minutes 120             start, or go on where the last run stopped
    python train.py CORPUS WORK --minutes 480             go on for longer (the schedule is planned anew)

WORK receives the tokenizer, `checkpoint.safetensors` (weights, their running mean, momenta, counters), snapshots of
the weights in the Hugging Face layout, `loss.jsonl` and `loss.svg`. The learning rate warms up, stays, and falls
linearly over the last part of the budget. `stable.safetensors` is the checkpoint from before the fall: a later, longer
run goes on from there (`--from-stable`), since a rate that has fallen to nothing cannot be taken up again.

On a CPU the rows of a batch are shared out to one thread per worker, each with its own gradients: a core that is
busy elsewhere then does fewer of them and holds nobody up.
"""

from __future__ import annotations

import argparse
import copy
import os
import shutil
import signal
import threading
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import corpus
import numpy as np
import tokenizer as bpe
import torch
from checkpoint import restore, save
from export import export
from journal import Journal
from model import GPT2, Shape
from optimizer import Optimizer
from rows import Progress, Rows
from safetensors.torch import load_file
from workers import Workers

WARM_UP_STEPS = 60
MEAN_HORIZON = 200  # steps over which the running mean of the weights looks back
PASSAGES = 300_000


def rate(progress: Progress, done: float, fall: float) -> float:
    """Return the factor of the peak rate after the share `done` of the budget: up, level, then linearly down."""
    warm = min(1.0, (progress.step + 1) / WARM_UP_STEPS)
    return warm * min(1.0, max(0.02, (1 - done) / fall))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpus", type=Path, help="folder of plain-text books")
    parser.add_argument("work", type=Path, help="folder for checkpoints, snapshots and logs")
    parser.add_argument(
        "--minutes", type=float, default=120, help="whole budget of training time, earlier runs included"
    )
    parser.add_argument("--fall", type=float, default=0.4, help="share of the budget over which the rate falls")
    parser.add_argument("--from-stable", action="store_true", help="go on from before the last fall of the rate")
    parser.add_argument("--start-from", type=Path, metavar="FOLDER", help="begin with an exported model's weights")
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--rows", type=int, default=32, help="rows in a batch")
    parser.add_argument("--rows-at-once", type=int, default=4, help="rows that one worker takes at a time")
    parser.add_argument("--share", type=float, default=0.35, help="share of generated passages")
    parser.add_argument("--drills", type=int, default=2, help="rows of a batch that are random tokens, repeated")
    parser.add_argument("--matrix-rate", type=float, default=0.015)
    parser.add_argument("--other-rate", type=float, default=0.003)
    parser.add_argument("--decay", type=float, default=0.1, help="weight decay of the matrices")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--checkpoint-minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def prepare(args: argparse.Namespace, device: str) -> tuple[Rows, Journal, Shape]:
    """Make or read the tokenizer and the token streams, and open the journal at the start of the held-out book."""
    folder = args.work / "tokenizer"
    if args.start_from and not folder.exists():
        folder.mkdir()
        for name in ("vocab.json", "merges.txt"):
            shutil.copyfile(args.start_from / name, folder / name)
    if not (folder / "vocab.json").exists():
        bpe.save(folder, *bpe.train(args.corpus))
    tokenizer = bpe.load(folder)
    end = bpe.end_of_text(folder)
    cache = args.work / f"tokens-{args.seed}-{args.context}.npz"
    if not cache.exists():
        books = corpus.book_ids(tokenizer, args.corpus, end)
        rows = corpus.passage_rows(tokenizer, PASSAGES, args.seed, end, args.context + 1)
        np.savez(args.work / "part.npz", books=books, passages=rows)
        (args.work / "part.npz").replace(cache)
    with np.load(cache, allow_pickle=False) as streams:
        rows = Rows(
            streams["books"],
            streams["passages"],
            share=args.share,
            drills=args.drills,
            context=args.context,
            vocab=end + 1,
            new_line=tokenizer.encode("\n").ids[0],
            seed=args.seed,
        )
    look = torch.tensor([end, *tokenizer.encode(corpus.book_text(args.corpus / corpus.HELD_OUT_BOOK)).ids])
    look = look[: 40 * args.context]
    look_bytes = len(tokenizer.decode(look[1:].tolist()).encode())
    shape = Shape(end + 1, args.context, args.width, args.blocks, args.heads)
    journal = Journal(args.work, look, look_bytes, lambda text: tokenizer.encode(text).ids, device)
    return rows, journal, shape


def fall_behind(mean: GPT2, model: GPT2, step: int) -> None:
    """Let the running mean of the weights follow the model by one step."""
    keep = min(1 - 1 / MEAN_HORIZON, (step + 1) / (step + 10))
    with torch.no_grad():
        for slow, fast in zip(mean.parameters(), model.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)


def snapshot_is_due(progress: Progress) -> bool:
    """Tell whether weights are kept at this step: at the start, and then whenever steps have grown by a half."""
    if not progress.snapshots:
        return True
    return progress.step >= max(25, 1.5 * progress.snapshots[-1])


def main() -> None:
    """Train until the budget is used up or a termination signal comes."""
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    rows, journal, shape = prepare(args, device)
    model = GPT2(shape, args.dropout).to(device)
    if args.start_from:
        model.load_state_dict(load_file(args.start_from / "model.safetensors"))
    mean = copy.deepcopy(model).eval()
    optimizer = Optimizer(dict(model.named_parameters()), args.matrix_rate, args.other_rate, args.decay)
    checkpoint, stable = args.work / "checkpoint.safetensors", args.work / "stable.safetensors"
    source = stable if args.from_stable else checkpoint
    progress = restore(source, model, mean, optimizer) if source.exists() else Progress()
    threads, rows_at_once = (args.workers, args.rows_at_once) if device == "cpu" else (1, args.rows)
    workers = Workers(model, threads, rows_at_once, device, not args.no_compile)
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(rows.books):,} book tokens, "
        f"{rows.passages.size:,} passage tokens, on {device}, from step {progress.step}",
        flush=True,
    )
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    budget = args.minutes * 60
    last_checkpoint, last_line, before = time.monotonic(), 0.0, time.monotonic()
    falling = progress.seconds / budget > 1 - args.fall
    model.train()
    while not stopped.is_set() and progress.seconds < budget:
        if snapshot_is_due(progress):
            export(mean, args.work / "tokenizer", args.work / "snapshots" / f"step_{progress.step:06d}")
            progress.snapshots.append(progress.step)
        done = progress.seconds / budget
        if done > 1 - args.fall and not falling:
            falling = True
            save(stable, model, mean, optimizer, progress)
        scale = rate(progress, done, args.fall)
        loss = workers.gradient(*rows.batch(progress, args.rows))
        norm = optimizer.step(scale, workers.pool)
        fall_behind(mean, model, progress.step)
        progress.step += 1
        progress.tokens += args.rows * args.context
        now = time.monotonic()
        speed = args.rows * args.context / (now - before)
        progress.seconds += now - before
        before = now
        journal.step(progress, loss)
        if now - last_line > 10:
            last_line = now
            print(
                f"step {progress.step}  {progress.tokens / 1e6:.2f} M tokens  loss {loss:.3f}  norm {norm:.2f}  "
                f"rate {scale:.2f}  {speed:,.0f} tokens/s  {(budget - progress.seconds) / 60:.0f} min left",
                flush=True,
            )
        if now - last_checkpoint > args.checkpoint_minutes * 60 or progress.seconds >= budget or stopped.is_set():
            save(checkpoint, model, mean, optimizer, progress)
            journal.look(mean, progress)
            last_checkpoint = time.monotonic()
    print("stopped; the same command goes on from here" if stopped.is_set() else "done", flush=True)


if __name__ == "__main__":
    main()
