"""All figures of the bundled model as plain data, computed in numpy; the card states them and the tests check them.

All random choices have fixed seeds. It needs numpy, tokenizers and safetensors, but not PyTorch.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import analogies
import bigram
import corpus
import forward
import heads
import numpy as np
import plain
import tokenizer as bpe
import words
from passages import SKILLS, UNLIKE, held_out_items
from safetensors import safe_open
from templates import Passage

Encode = Callable[[str], list[int]]

DATA = Path(__file__).resolve().parents[2] / "tests" / "models" / "data"
ITEMS = 240
PROMPTS = (
    "Once upon a time there was a king who",
    "The old man opened the door and looked",
    '"Where have you been?" said the',
    "One fine morning the children went down to the sea, and",
    "Far away, in the middle of the forest, there stood",
)
CONTINUATION = 80
LOOP = 8  # a text loops if this many consecutive tokens occur twice


def book_bits_per_byte(model: forward.Model, ids: list[int], bytes_in: int) -> float:
    """Return bits per byte of a text; windows of the whole context advance by half of it, so that every id past
    the first half context is predicted from at least half a context."""
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


def likeliest(model: forward.Model, prompts: list[list[int]]) -> list[int]:
    """Return the likeliest next id of every prompt; prompts of equal length are computed together."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for at, ids in enumerate(prompts):
        by_length[len(ids)].append(at)
    found = [0] * len(prompts)
    for group in by_length.values():
        tops = model.last_logits(np.array([prompts[at] for at in group])).argmax(-1)
        for at, top in zip(group, tops, strict=True):
            found[at] = int(top)
    return found


def answered(tokenizer: bpe.Tokenizer, item: Passage, token: int) -> bool:
    """Tell whether a token answers an item."""
    first = tokenizer.encode(item.answer).ids[0]
    return item.is_answered_by(tokenizer.decode([token]), tokenizer.decode([first]))


def skill_accuracy(
    model: forward.Model, tokenizer: bpe.Tokenizer, skill: str, count: int = ITEMS, unlike: bool = False
) -> dict[str, float]:
    """Return the share of held-out items that the likeliest token answers, chance among sensible answers, and items.

    `unlike` as in `held_out_items`.
    """
    items = held_out_items(skill, count, unlike=unlike)
    tops = likeliest(model, [tokenizer.encode(item.prompt).ids for item in items])
    right = [answered(tokenizer, item, top) for top, item in zip(tops, items, strict=True)]
    chance = float(np.mean([1 / item.choices for item in items]))
    return {"right": sum(right) / len(items), "chance": chance, "items": len(items)}


def continued_greedily(model: forward.Model, tokenizer: bpe.Tokenizer, prompts: list[str], count: int) -> list[str]:
    """Return the model's greedy continuation of each prompt."""
    texts = [tokenizer.encode(prompt).ids for prompt in prompts]
    begun = [len(ids) for ids in texts]
    for _ in range(count):
        for ids, top in zip(texts, likeliest(model, texts), strict=True):
            ids.append(top)
    return [tokenizer.decode(ids[start:]) for ids, start in zip(texts, begun, strict=True)]


def plain_sentences(model: forward.Model, tokenizer: bpe.Tokenizer) -> list[dict[str, object]]:
    """Return every plain sentence with the model's greedy continuation, and whether it begins as accepted."""
    found = continued_greedily(model, tokenizer, [s.prompt for s in plain.SENTENCES], plain.TOKENS)
    return [
        {"kind": s.kind, "prompt": s.prompt, "continued": text, "right": s.is_continued_by(text)}
        for s, text in zip(plain.SENTENCES, found, strict=True)
    ]


def loops(ids: list[int]) -> bool:
    """Tell whether any `LOOP` consecutive tokens occur twice in a text."""
    runs = [tuple(ids[at : at + LOOP]) for at in range(len(ids) - LOOP + 1)]
    return len(set(runs)) < len(runs)


def continuations(model: forward.Model, tokenizer: bpe.Tokenizer) -> list[dict[str, object]]:
    """Continue the fixed prompts at temperature 0.7 and top-p 0.9."""
    drawn = [
        forward.sample(model, tokenizer.encode(prompt).ids, CONTINUATION, 0.7, 0.9, seed)
        for seed, prompt in enumerate(PROMPTS)
    ]
    return [
        {"prompt": prompt, "continued": tokenizer.decode(ids), "loops": loops(ids)}
        for prompt, ids in zip(PROMPTS, drawn, strict=True)
    ]


def found_analogies(model: forward.Model, tokenizer: bpe.Tokenizer) -> list[dict[str, str]]:
    """Return each analogy with the word that is nearest in the centred embedding."""
    found = []
    for a, b, c, d in analogies.ANALOGIES:
        ids = [tokenizer.encode(f" {word}").ids[0] for word in (a, b, c)]
        nearest = analogies.nearest(model.weights["wte.weight"], *ids)
        found.append({"asked": f"{a} - {b} + {c}", "answer": d, "found": tokenizer.decode([nearest]).strip()})
    return found


def first_position(model: forward.Model, ids: list[int], windows: int = 16, length: int = 64) -> dict[str, float]:
    """Return mean norms of the residual stream at position 0 and elsewhere, halfway through the blocks, and the
    largest mean attention that a head pays to position 0 from positions 8 and up, over windows of a book."""
    tokens = np.array(ids[: windows * length]).reshape(windows, length)
    patterns: list[np.ndarray] = []
    streams: list[np.ndarray] = []
    model.forward(tokens, patterns, streams)
    norms = np.linalg.norm(streams[(model.blocks + 1) // 2], axis=-1).mean(0)
    sinks = np.stack([pattern[:, :, 8:, 0].mean((0, 2)) for pattern in patterns])
    block, head, attention = heads.best(sinks)
    return {
        "norm": float(norms[0]), "elsewhere": float(norms[1:].mean()),
        "block": block, "head": head, "attention": attention,
    }  # fmt: skip


def tokenizer_digest(folder: Path) -> str:
    """Return the digest of the tokenizer that a stored bigram figure belongs to."""
    return hashlib.sha256((folder / "vocab.json").read_bytes() + (folder / "merges.txt").read_bytes()).hexdigest()


def bigram_figure(folder: Path, corpus_folder: Path | None) -> float:
    """Fit the bigram model and store its figure, or read the stored one, which must be for the same tokenizer."""
    kept = DATA / "bigram.json"
    if corpus_folder:
        figure = bigram.bits_per_byte(corpus_folder, folder, DATA / corpus.HELD_OUT_BOOK)
        record = {"tokenizer": tokenizer_digest(folder), "bits_per_byte": round(figure, 6)}
        kept.write_text(json.dumps(record, indent=2) + "\n")
        return figure
    record = json.loads(kept.read_text())
    if record["tokenizer"] != tokenizer_digest(folder):
        raise SystemExit(f"{kept} is for another tokenizer; run with --corpus to fit the bigram model anew.")
    return float(record["bits_per_byte"])


def measure(folder: Path, corpus_folder: Path | None = None) -> dict[str, object]:
    """Return every figure of the model in a folder, as data that can be written as JSON."""
    model, tokenizer = forward.load(folder), bpe.load(folder)

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text).ids

    text = corpus.book_text(DATA / corpus.HELD_OUT_BOOK)
    with safe_open(folder / "model.safetensors", "np") as file:
        training = dict(file.metadata())
    scores = heads.scores(model)
    scores[heads.SUCCESSOR] = heads.successor_scores(model, encode, successions(encode))
    return {
        "training": {name: training[name] for name in ("parameters", "tokens", "steps", "minutes")},
        "bits_per_byte": book_bits_per_byte(model, encode(text), len(text.encode())),
        "bigram": bigram_figure(folder, corpus_folder),
        "skills": {skill: skill_accuracy(model, tokenizer, skill) for skill in SKILLS},
        "unlike": {skill: skill_accuracy(model, tokenizer, skill, unlike=True) for skill in UNLIKE},
        "plain": plain_sentences(model, tokenizer),
        "heads": {kind: score.round(4).tolist() for kind, score in scores.items()},
        "analogies": found_analogies(model, tokenizer),
        "first position": first_position(model, encode(text)),
        "continuations": continuations(model, tokenizer),
    }


def successions(encode: Encode) -> list[tuple[tuple[str, ...], bool]]:
    """Return days, months, numbers and ordinals whose words are one token each, and whether they form a cycle."""
    orders = [(words.words(slot), words.SLOTS[slot].order == "cycle") for slot in ("day", "month", "number", "ordinal")]
    return [
        (kept, closed and len(kept) == len(order))
        for order, closed in orders
        if len(kept := tuple(word for word in order if len(encode(f" {word}")) == 1)) > 2
    ]
