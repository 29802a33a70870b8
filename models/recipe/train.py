"""Train the bundled model: a small GPT-2 on a folder of books and on generated passages.

    python train.py CORPUS WORK --minutes 60            train a stretch of 60 minutes
    python train.py CORPUS WORK --minutes 60            resume an interrupted stretch, or add another
    python train.py CORPUS WORK --million 6             train a stretch of 6 million tokens, for a shared machine
    python train.py CORPUS WORK --prepare               make tokenizer and token streams only

WORK receives the tokenizer, `checkpoint.safetensors` (weights, their running mean, momenta, counters), snapshots of
the weights in the Hugging Face layout, `loss.jsonl` and `loss.svg`. Training proceeds in stretches. In each of them the
learning rate warms up, stays, and falls linearly over the last part, so that every stretch ends with a usable model
(after WSD-S, Wen et al. 2024). An interrupted stretch is resumed; after a complete one, the same command
starts another from its weights. Once prepared, WORK is all that training needs, even without the books.

On a CPU the rows of a batch are distributed over one thread per worker, each with its own gradients: a core that is
busy elsewhere then takes fewer rows and does not delay the others. On an accelerator (`--device cuda`) a batch is
computed at once and only the progress lines wait for the device. There, `--processes` make fresh passages all the time.
"""

from __future__ import annotations

import argparse
import copy
import os
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
from grow import grown
from journal import Journal
from model import GPT2, Shape
from optimizer import Optimizer
from rows import Progress, Rows, ahead, batches
from stream import PassageStream
from workers import Workers

WARM_UP_STEPS = 60
MEAN_HORIZON = 200  # steps that the running mean of the weights covers
LOOK_TOKENS = 10_240
READ_EVERY = 20  # steps


def rate(progress: Progress, done: float, fall: float) -> float:
    """Return the factor of the peak rate after the share `done` of a stretch: warm-up, constant, linear decay."""
    warm = min(1.0, (progress.stretch_step + 1) / WARM_UP_STEPS)
    return warm * min(1.0, max(0.02, (1 - done) / fall))


def done(args: argparse.Namespace, progress: Progress) -> float:
    """Return the completed fraction of a stretch: by time or by tokens, whichever is larger."""
    by_tokens = progress.stretch_step * args.rows * length_of_rows(args) / (args.million * 1e6) if args.million else 0.0
    minutes = args.minutes or (0 if args.million else 60)
    return max(by_tokens, progress.stretch_seconds / (minutes * 60) if minutes else 0.0)


def length_of_rows(args: argparse.Namespace) -> int:
    """Return the tokens per row: `--length` if given, at most the context; else the context."""
    return min(args.length or args.context, args.context)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpus", type=Path, help="folder of plain-text books")
    parser.add_argument("work", type=Path, help="folder for checkpoints, snapshots and logs")
    parser.add_argument("--minutes", type=float, help="length of a stretch by the clock; 60 if no length is given")
    parser.add_argument(
        "--million", type=float, help="length of a stretch in millions of tokens, whatever the clock says"
    )
    parser.add_argument("--fall", type=float, default=0.4, help="share of a stretch over which the rate falls")
    parser.add_argument("--prepare", action="store_true", help="make tokenizer and token streams, and stop")
    parser.add_argument("--start-from", type=Path, metavar="FOLDER", help="begin with an exported model's weights")
    parser.add_argument("--tokens", type=int, default=bpe.VOCAB_SIZE, help="size of a new tokenizer")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument(
        "--length", type=int, help="tokens in a row, if shorter than the context; early stretches may be"
    )
    parser.add_argument("--rows", type=int, default=16, help="rows in a batch")
    parser.add_argument("--rows-at-once", type=int, default=2, help="rows that one worker takes at a time, on a CPU")
    parser.add_argument("--passages", type=int, default=300_000, help="how many passages are generated")
    parser.add_argument("--processes", type=int, default=0, help="processes that make fresh passages during training")
    parser.add_argument("--share", type=float, default=0.45, help="share of generated passages")
    parser.add_argument("--drills", type=int, default=1, help="rows of a batch that are random tokens with repeats")
    parser.add_argument("--matrix-rate", type=float, default=0.015)
    parser.add_argument("--other-rate", type=float, default=0.003)
    parser.add_argument("--decay", type=float, default=0.1, help="weight decay of the matrices")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--noise", type=float, default=0.0, help="share of passage tokens that are read as random ones")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads, on a CPU")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--checkpoint-minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> tuple[Rows, Journal, Shape]:
    """Make or read the tokenizer and the token streams, and create the journal with the start of the held-out book."""
    folder = args.work / "tokenizer"
    if not (folder / "vocab.json").exists():
        bpe.save(folder, *bpe.train(args.corpus, args.tokens))
    tokenizer = bpe.load(folder)
    end = bpe.end_of_text(folder)
    cache = args.work / f"tokens-{args.seed}-{args.context}.npz"
    if not cache.exists():
        books = corpus.book_ids(tokenizer, args.corpus, end)
        rows = corpus.passage_rows(tokenizer, args.passages, args.seed, end, args.context + 1)
        look = [end, *tokenizer.encode(corpus.book_text(args.corpus / corpus.HELD_OUT_BOOK)).ids]
        look = np.array(look[:LOOK_TOKENS], dtype=np.uint16)
        np.savez_compressed(args.work / "part.npz", books=books, passages=rows, look=look)
        (args.work / "part.npz").replace(cache)
    with np.load(cache, allow_pickle=False) as streams:
        look = torch.from_numpy(streams["look"].astype(np.int64))
        rows = Rows(
            streams["books"],
            streams["passages"],
            share=args.share,
            drills=args.drills,
            context=length_of_rows(args),
            vocab=end + 1,
            new_line=tokenizer.encode("\n").ids[0],
            seed=args.seed,
            noise=args.noise,
        )
    look_bytes = len(tokenizer.decode(look[1:].tolist()).encode())
    shape = Shape(end + 1, args.context, args.width, args.blocks, args.heads)
    journal = Journal(args.work, look, look_bytes, tokenizer, args.device)
    return rows, journal, shape


def fall_behind(mean: GPT2, model: GPT2, step: int) -> None:
    """Update the running mean of the weights by one step, with a short horizon at the start of a stretch."""
    keep = min(1 - 1 / MEAN_HORIZON, (step + 1) / (step + 10))
    with torch.no_grad():
        torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), 1 - keep)


def snapshot_is_due(progress: Progress) -> bool:
    """Tell whether to save a snapshot at this step: at the start, then whenever the step count has grown by half."""
    if not progress.snapshots:
        return True
    return progress.step >= max(25, 1.5 * progress.snapshots[-1])


def main() -> None:
    """Train until the stretch has ended or a termination signal comes."""
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    rows, journal, shape = prepare(args)
    if args.prepare:
        return
    checkpoint = args.work / "checkpoint.safetensors"
    if args.start_from and not checkpoint.exists():
        model = grown(args.start_from, args.work / "tokenizer", shape, args.dropout).to(args.device)
    else:
        model = GPT2(shape, args.dropout).to(args.device)
    mean = copy.deepcopy(model).eval()
    optimizer = Optimizer(dict(model.named_parameters()), args.matrix_rate, args.other_rate, args.decay)
    progress = restore(checkpoint, model, mean, optimizer) if checkpoint.exists() else Progress()
    if progress.ended:
        progress.begin_stretch()
        # The result of the previous stretch was the running mean; continue from there.
        model.load_state_dict(mean.state_dict())
    threads, rows_at_once = (args.workers, args.rows_at_once) if args.device == "cpu" else (1, args.rows)
    workers = Workers(model, threads, rows_at_once, args.device, not args.no_compile)
    if args.processes:
        folder, length = args.work / "tokenizer", args.context + 1
        rows.fresh = PassageStream(folder, args.seed, length, args.processes, progress.chunks)
    source = batches(rows, progress, args.rows)
    source = source if args.device == "cpu" else ahead(source)
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(rows.books):,} book tokens, "
        f"{rows.passages.size:,} passage tokens, on {args.device}, stretch {progress.stretch}, step {progress.step}",
        flush=True,
    )
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    before = last_checkpoint = last_line = time.monotonic()
    tokens_before = progress.tokens
    losses: list[tuple[int, int, torch.Tensor]] = []
    model.train()
    while not progress.ended:
        if snapshot_is_due(progress):
            export(mean, args.work / "tokenizer", args.work / "snapshots" / f"step_{progress.step:06d}")
            progress.snapshots.append(progress.step)
        scale = rate(progress, done(args, progress), args.fall)
        ids, targets, after = next(source)
        loss = workers.gradient(ids, targets)
        progress.served(after)
        norm = optimizer.step(scale, workers.pool, threads)
        fall_behind(mean, model, progress.stretch_step)
        progress.step += 1
        progress.stretch_step += 1
        progress.tokens += args.rows * length_of_rows(args)
        losses.append((progress.step, progress.tokens, loss))
        if len(losses) % READ_EVERY == 0:
            loss.item()  # synchronizes, so that the clock does not run ahead of the device
        now = time.monotonic()
        progress.seconds += now - before
        progress.stretch_seconds += now - before
        before = now
        progress.ended = done(args, progress) >= 1
        leaving = progress.ended or stopped.is_set()
        if leaving or now - last_line > 10:
            speed = (progress.tokens - tokens_before) / max(1e-9, now - last_line)
            journal.steps([(step, tokens, value.item()) for step, tokens, value in losses])
            losses, last_line, tokens_before = [], now, progress.tokens
            print(
                f"step {progress.step}  {progress.tokens / 1e6:.2f} M tokens  loss {loss.item():.3f}  "
                f"norm {norm.item():.2f}  rate {scale:.2f}  {speed:,.0f} tokens/s  "
                f"{100 * done(args, progress):.1f} % of the stretch",
                flush=True,
            )
        if leaving or now - last_checkpoint > args.checkpoint_minutes * 60:
            save(checkpoint, model, mean, optimizer, progress)
            journal.look(mean, progress)
            before = last_checkpoint = time.monotonic()  # evaluation does not count as training time
        if stopped.is_set():
            break
    if rows.fresh:
        rows.fresh.close()
    print("the stretch has ended" if progress.ended else "stopped; the same command goes on from here", flush=True)


if __name__ == "__main__":
    main()
