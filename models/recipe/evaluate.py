"""Measure the committed models and write the figures into the model card.

    python evaluate.py models/bundled --write                     the bundled model, card included
    python evaluate.py models/bundled --corpus FOLDER             with the bigram model fitted anew to the books
    python evaluate.py models/sorter                              the letter-sorting model, at each of its snapshots

It needs numpy, tokenizers and safetensors, no PyTorch. Everything is drawn from fixed seeds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from pathlib import Path

import bigram
import corpus
import forward
import heads
import numpy as np
import tokenizer as bpe
from passages import MAKERS, held_out_items
from safetensors import safe_open

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "tests" / "models" / "data"
ITEMS = 240
PROMPTS = (
    "Once upon a time there was a king who",
    "The old man opened the door and looked",
    '"Where have you been?" said the',
    "One fine morning the children went down to the sea, and",
    "Far away, in the middle of the forest, there stood",
)
CONTINUATION = 80
MARKS = ("<!-- figures -->", "<!-- end of figures -->")


def book_bits_per_byte(model: forward.Model, ids: list[int], bytes_in: int) -> float:
    """Return bits per byte of a text; windows of the whole context advance by half, so that every id but the first
    few is predicted from at least half a context."""
    tokens = np.array([model.end_of_text, *ids])
    half = model.context // 2
    nats, counted = 0.0, 1
    for start in range(0, len(tokens) - 1, half):
        window = tokens[start : start + model.context + 1]
        nats += float(model.nats(window[None])[0, counted - start - 1 :].sum())
        counted = start + len(window)
        if counted == len(tokens):
            break
    return nats / np.log(2) / bytes_in


def skill_accuracy(
    model: forward.Model, encode: Callable[[str], list[int]], skill: str, count: int = ITEMS
) -> tuple[float, float]:
    """Return top-1 accuracy on the first token of the held-out answers, and chance among the sensible ones."""
    items = held_out_items(skill, count)
    by_length = defaultdict(list)
    for item in items:
        ids = encode(item.prompt)
        by_length[len(ids)].append((ids, encode(item.answer)[0]))
    right = 0
    for group in by_length.values():
        prompts, answers = zip(*group, strict=True)
        right += int((model.last_logits(np.array(prompts)).argmax(-1) == answers).sum())
    return right / count, float(np.mean([1 / item.choices for item in items]))


def continuations(model: forward.Model, tokenizer: bpe.Tokenizer) -> list[tuple[str, str]]:
    """Continue the fixed prompts at temperature 0.7 and top-p 0.9."""
    return [
        (prompt, tokenizer.decode(forward.sample(model, tokenizer.encode(prompt).ids, CONTINUATION, 0.7, 0.9, seed)))
        for seed, prompt in enumerate(PROMPTS)
    ]  # fmt: skip


def tokenizer_digest(folder: Path) -> str:
    """Return what ties a bigram figure to a tokenizer."""
    return hashlib.sha256((folder / "vocab.json").read_bytes() + (folder / "merges.txt").read_bytes()).hexdigest()


def bigram_figure(folder: Path, corpus_folder: Path | None) -> float:
    """Fit the bigram model and keep its figure, or read the kept one, which must be of this very tokenizer."""
    kept = DATA / "bigram.json"
    if corpus_folder:
        figure = bigram.bits_per_byte(corpus_folder, folder, DATA / corpus.HELD_OUT_BOOK)
        record = {"tokenizer": tokenizer_digest(folder), "bits_per_byte": round(figure, 6)}
        kept.write_text(json.dumps(record, indent=2) + "\n")
        return figure
    record = json.loads(kept.read_text())
    if record["tokenizer"] != tokenizer_digest(folder):
        raise SystemExit(f"{kept} is of another tokenizer; run with --corpus to fit the bigram model anew.")
    return float(record["bits_per_byte"])


def report(folder: Path, corpus_folder: Path | None) -> str:
    """Return the figures of the bundled model as Markdown."""
    model, tokenizer = forward.load(folder), bpe.load(folder)

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text).ids

    text = corpus.book_text(DATA / corpus.HELD_OUT_BOOK)
    bits = book_bits_per_byte(model, encode(text), len(text.encode()))
    with safe_open(folder / "model.safetensors", "np") as file:
        training = file.metadata()
    lines = [
        f"{training['parameters']} parameters, trained on {training['tokens']} tokens in {training['steps']} steps, "
        f"{training['minutes']} minutes.",
        "",
        "| what | measured | beside it |",
        "|---|---|---|",
    ]
    lines.append(
        f"| *The Story of Doctor Dolittle*, whole book, held out | {bits:.3f} bits per byte "
        f"| bigram model of the same tokenizer: {bigram_figure(folder, corpus_folder):.3f} |"
    )
    for skill in MAKERS:
        accuracy, chance = skill_accuracy(model, encode, skill)
        lines.append(
            f"| {skill}, top-1 on {ITEMS} held-out items | {100 * accuracy:.1f} % | chance {100 * chance:.1f} % |"
        )
    scores = heads.scores(model)
    for kind, score in scores.items():
        block, head, value = heads.best(score)
        lines.append(f"| best {kind} head | {value:.2f} | L{block}H{head} |")
    lines += ["", "Every head on random repeated tokens (mean attention to the key that names the score):", ""]
    lines += ["| head | " + " | ".join(scores) + " |", "|---" * (1 + len(scores)) + "|"]
    for block, head in product(range(model.blocks), range(model.heads)):
        values = " | ".join(f"{score[block, head]:.2f}" for score in scores.values())
        lines.append(f"| L{block}H{head} | {values} |")
    lines += ["", f"Five prompts, each continued by {CONTINUATION} tokens at temperature 0.7 and top-p 0.9, uncut:", ""]
    for prompt, drawn in continuations(model, tokenizer):
        lines += [f"> **{prompt}**{drawn}".replace("\n", "\n> "), ""]
    return "\n".join(lines)


def write_card(card: Path, figures: str) -> None:
    """Put the figures between the marks of the card."""
    text = card.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(MARKS[0]) + ".*?" + re.escape(MARKS[1]), re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{card} has no place for the figures; add the lines {MARKS[0]} and {MARKS[1]}.")
    card.write_text(pattern.sub(lambda _: f"{MARKS[0]}\n{figures}\n{MARKS[1]}", text), encoding="utf-8")


def sorted_right(model: forward.Model, length: int = 6) -> float:
    """Return the share of all inputs whose letters the model writes in order, fed with its own output."""
    inputs = np.array(list(product(range(3), repeat=length)))
    ids = inputs
    for _ in range(length):
        ids = np.concatenate((ids, model.last_logits(ids).argmax(-1)[:, None]), axis=1)
    return float((ids[:, length:] == np.sort(inputs, axis=1)).all(axis=1).mean())


def sorter_report(folder: Path) -> str:
    """Return the share of the 729 inputs sorted right by the model and by each of its snapshots, as Markdown."""
    lines = ["| training step | inputs sorted right, of 729 |", "|---|---|"]
    for path in sorted((folder / "snapshots").iterdir()):
        share = sorted_right(forward.load(path))
        lines.append(f"| {int(path.name)} | {round(729 * share)} ({100 * share:.1f} %) |")
    share = sorted_right(forward.load(folder))
    lines.append(f"| the model | {round(729 * share)} ({100 * share:.1f} %) |")
    return "\n".join(lines)


def main() -> None:
    """Print the figures of a model folder and, if asked, write them into its card."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", type=Path, help="books to fit the bigram model to; else its kept figure is used")
    parser.add_argument("--write", action="store_true", help="write the figures into the folder's README.md")
    args = parser.parse_args()
    is_sorter = (args.folder / "snapshots").is_dir()
    figures = sorter_report(args.folder) if is_sorter else report(args.folder, args.corpus)
    print(figures)
    if args.write:
        write_card(args.folder / "README.md", figures)


if __name__ == "__main__":
    main()
