"""Scores of attention heads on random repeated tokens.

Definitions after Olsson et al. 2022, In-context Learning and Induction Heads. The text is the end-of-text token,
then random ids, then the same ids again. A score is the mean attention that a head pays, over all positions for
which it is defined, to one key:

- previous-token: the token before; first-token: position 0; same-position: the token itself;
- duplicate-token: the first copy of the current token; induction: the token after the first copy of the current token.
"""

from __future__ import annotations

import numpy as np
from forward import Model

KINDS = ("previous-token", "first-token", "induction", "duplicate-token", "same-position")


def scores(model: Model, sequences: int = 16, length: int = 60, seed: int = 0) -> dict[str, np.ndarray]:
    """Return for each kind the scores [block, head]; tokens are drawn evenly, without repetition inside a copy."""
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


def best(score: np.ndarray) -> tuple[int, int, float]:
    """Return block, head and score of the strongest head."""
    block, head = np.unravel_index(score.argmax(), score.shape)
    return int(block), int(head), float(score[block, head])
