"""Analogies in the embedding: a - b + c should be nearest to d."""

from __future__ import annotations

import numpy as np

# Each reads: a - b + c = d.
ANALOGIES = (
    ("uncle", "man", "woman", "aunt"),
    ("Paris", "France", "Italy", "Rome"),
    ("boys", "boy", "girl", "girls"),
    ("he", "his", "her", "she"),
    ("king", "man", "woman", "queen"),
    ("brother", "boy", "girl", "sister"),
    ("kitten", "cat", "dog", "puppy"),
    ("dogs", "dog", "horse", "horses"),
    ("was", "is", "are", "were"),
    ("London", "England", "Spain", "Madrid"),
)


def nearest(embedding: np.ndarray, a: int, b: int, c: int) -> int:
    """Return the id whose centred embedding has the largest cosine with a - b + c, excluding these three.

    `embedding` is W_E, [vocab, d_model]; it is centred over the vocabulary.
    """
    centred = embedding - embedding.mean(0)
    wanted = centred[a] - centred[b] + centred[c]
    cosines = centred @ wanted / np.linalg.norm(centred, axis=-1)
    cosines[[a, b, c]] = -np.inf
    return int(cosines.argmax())
