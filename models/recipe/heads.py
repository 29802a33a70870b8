"""Scores of attention heads: where they attend in repeated random tokens, and whether they write successors.

Definitions follow Olsson et al. 2022, In-context Learning and Induction Heads. The text is the end-of-text token,
then random ids, then the same ids again. A score is the mean attention weight that a head gives, over all positions
for which it is defined, to one key:

- previous-token: the token before; first-token: position 0; same-position: the token itself;
- duplicate-token: the first copy of the current token; induction: the token after the first copy of the current token.

A successor head (Gould et al. 2023) writes " Tuesday" when it reads " Monday", wherever it attends. Its score is the
share of words, over all sequences, for which the head's output from that word's residual stream alone favours the next
word over all others of the sequence, along the directions of the unembedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from forward import Model, norm

KINDS = ("previous-token", "first-token", "induction", "duplicate-token", "same-position")
SUCCESSOR = "successor"


def scores(model: Model, sequences: int = 16, length: int = 60, seed: int = 0) -> dict[str, np.ndarray]:
    """Return for each kind the scores [block, head]; tokens are drawn uniformly, without repetition within a copy."""
    rng = np.random.default_rng(seed)
    vocab = len(model.weights["wte.weight"]) - 1
    once = np.stack([rng.choice(vocab, length, replace=False) for _ in range(sequences)])
    tokens = np.concatenate((np.full((sequences, 1), model.end_of_text), once, once), axis=1)
    patterns: list[np.ndarray] = []
    model.forward(tokens, patterns)
    pattern = np.stack(patterns).mean(1)  # [block, head, query, key]
    queries = np.arange(1, 2 * length + 1)
    second = queries[length:]
    keys = {
        "previous-token": (queries, queries - 1),
        "first-token": (queries[1:], np.zeros_like(queries[1:])),
        "induction": (second, second - length + 1),
        "duplicate-token": (second, second - length),
        "same-position": (queries, queries),
    }
    return {kind: pattern[:, :, q, k].mean(-1) for kind, (q, k) in keys.items()}


def successor_scores(
    model: Model, encode: Callable[[str], list[int]], cycles: Sequence[tuple[Sequence[str], bool]]
) -> np.ndarray:
    """Return the successor score of every head, [block, head].

    `cycles` are sequences of words, and whether the first word follows the last; each word must be one token with its
    leading space.
    """
    w = model.weights
    right = np.zeros((model.blocks, model.heads))
    asked = 0
    for words, closed in cycles:
        ids = np.array([encode(f" {word}") for word in words])[:, 0]
        tokens = np.stack((np.full(len(ids), model.end_of_text), ids), axis=1)
        streams: list[np.ndarray] = []
        model.forward(tokens, streams=streams)
        count = len(ids) if closed else len(ids) - 1
        following = (np.arange(count) + 1) % len(ids)
        asked += count
        for block in range(model.blocks):
            at = f"h.{block}."
            x = norm(streams[block][:count, 1], w, at + "ln_1")
            width = x.shape[-1]
            value = x @ w[at + "attn.c_attn.weight"][:, 2 * width :] + w[at + "attn.c_attn.bias"][2 * width :]
            for head, part in enumerate(np.split(value, model.heads, axis=-1)):
                rows = slice(head * part.shape[-1], (head + 1) * part.shape[-1])
                written = part @ w[at + "attn.c_proj.weight"][rows]
                favoured = (written * w["ln_f.weight"]) @ w["wte.weight"][ids].T
                favoured -= favoured.mean(0)  # removes what the head writes for every word
                right[block, head] += (favoured.argmax(-1) == following).sum()
    return right / asked


def best(score: np.ndarray) -> tuple[int, int, float]:
    """Return block, head and score of the highest-scoring head."""
    block, head = np.unravel_index(score.argmax(), score.shape)
    return int(block), int(head), float(score[block, head])
