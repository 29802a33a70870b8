"""Formats the figures of a model as Markdown, and writes them into its model card."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import heads
import measure
import numpy as np

MARKS = ("<!-- figures -->", "<!-- end of figures -->")


def report(figures: dict[str, Any]) -> str:
    """Return the figures of the bundled model from `measure.measure` as Markdown."""
    training = figures["training"]
    lines = [
        f"{training['parameters']} parameters, trained on {training['tokens']} tokens in {training['steps']} steps, "
        f"{training['minutes']} minutes.",
        "",
        "| what | measured | beside it |",
        "|---|---|---|",
        f"| *The Story of Doctor Dolittle*, whole book, held out | {figures['bits_per_byte']:.3f} bits per byte "
        f"| bigram model of the same tokenizer: {figures['bigram']:.3f} |",
    ]
    right, of = (
        Counter(s["kind"] for s in figures["plain"] if s["right"]),
        Counter(s["kind"] for s in figures["plain"]),
    )
    lines.append(f"| plain sentences, greedy continuation | {right.total()} of {of.total()} right | by kind below |")
    for skill, score in figures["skills"].items():
        lines.append(
            f"| {skill}, top-1 on {score['items']} items of held-out phrasings | {100 * score['right']:.1f} % "
            f"| chance {100 * score['chance']:.1f} %{_unlike(figures['unlike'].get(skill))} |"
        )
    for kind, score in figures["heads"].items():
        block, head, value = heads.best(np.array(score))
        lines.append(f"| best {kind} head | {value:.2f} | L{block}H{head} |")
    first, found = figures["first position"], [a["found"] == a["answer"] for a in figures["analogies"]]
    lines += [
        f"| residual stream at position 0, halfway | norm {first['norm']:.1f} | elsewhere {first['elsewhere']:.1f} |",
        f"| most attention to position 0, on the held-out book | {first['attention']:.2f} "
        f"| L{first['block']}H{first['head']} |",
        f"| analogies by the centred embedding, answer first | {sum(found)} of {len(found)} | below |",
        f"| continuations below that loop | {sum(c['loops'] for c in figures['continuations'])} "
        f"of {len(figures['continuations'])} | {measure.LOOP} tokens twice |",
        "",
        "Plain sentences, by kind: "
        + ", ".join(f"{kind} {right[kind]} of {of[kind]}" for kind in of)
        + ". Wrong were:",
        "",
    ]
    lines += [f"- {s['prompt']} **{_one_line(s['continued'])}**" for s in figures["plain"] if not s["right"]]
    lines += ["", "Analogies: " + "; ".join(_analogy(a) for a in figures["analogies"]) + "."]
    kinds = figures["heads"]
    lines += [
        "",
        "Every head: mean attention on random repeated tokens to the key that names the score; successor,",
        "",
    ]
    lines[-2] += " the share of days, months and numbers for which it writes the next one:"
    lines += ["| head | " + " | ".join(kinds) + " |", "|---" * (1 + len(kinds)) + "|"]
    shape = np.array(kinds[heads.SUCCESSOR]).shape
    for block, head in product(*map(range, shape)):
        lines.append(
            f"| L{block}H{head} | " + " | ".join(f"{score[block][head]:.2f}" for score in kinds.values()) + " |"
        )
    lines += [
        "",
        f"Five prompts, each continued by {measure.CONTINUATION} tokens at temperature 0.7, top-p 0.9, uncut:",
        "",
    ]
    for drawn in figures["continuations"]:
        lines += [f"> **{drawn['prompt']}**{drawn['continued']}".replace("\n", "\n> "), ""]
    return "\n".join(lines)


def write(card: Path, figures: str) -> None:
    """Put the figures between the two markers in the card."""
    text = card.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(MARKS[0]) + ".*?" + re.escape(MARKS[1]), re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{card} has no place for the figures; add the lines {MARKS[0]} and {MARKS[1]}.")
    card.write_text(pattern.sub(lambda _: f"{MARKS[0]}\n{figures}\n{MARKS[1]}", text), encoding="utf-8")


def _unlike(score: dict[str, float] | None) -> str:
    return f"; on phrasings unlike any trained on {100 * score['right']:.1f} %" if score else ""


def _one_line(text: str) -> str:
    return " / ".join(part for part in text.strip().splitlines() if part)


def _analogy(found: dict[str, str]) -> str:
    wrong = "" if found["found"] == found["answer"] else f", not {found['answer']}"
    return f"{found['asked']} = {found['found']}{wrong}"
