"""The labels of a head, from its scores on repeated random tokens, and the heads most similar to it.

A label requires a score of at least LIMIT with key 0 left out, and a score of at least MULTIPLE times that of uniform
attention with key 0 included. The second condition keeps a head with nearly all its attention on the first token from
being labelled by the small remainder. "First token" requires both with key 0 included, and is a label only for heads
without any other label, because nearly every head attends there at times. A head may have two labels, or none.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.heads import Heads
from desktop_app.core.analysis.measures import MEASURES, PATTERNS, SCORES

LIMIT = 0.4
MULTIPLE = 3.0


@dataclass(frozen=True)
class Label:
    """One label of one head: its score's name (one of PATTERNS), and the score with key 0 included and left out."""

    layer: int
    head: int
    score: str
    value: float
    without_first: float

    @property
    def words(self) -> str:
        """The label as text."""
        return SCORES[self.score]


def labels(heads: Heads) -> tuple[Label, ...]:
    """Every label of every head, by block and head."""
    layers, count = heads.scores["first"].shape
    return tuple(label for layer in range(layers) for head in range(count) for label in labels_of(heads, layer, head))


def labels_of(heads: Heads, layer: int, head: int) -> tuple[Label, ...]:
    """The labels of one head, the strongest first."""

    def label(name: str) -> Label:
        return Label(
            layer,
            head,
            name,
            float(heads.scores[name][layer, head]),
            float(heads.without_first[name][layer, head]),
        )

    def enough(name: str) -> bool:
        return float(heads.scores[name][layer, head]) >= MULTIPLE * heads.uniform[name]

    found = [label(name) for name in PATTERNS if name != "first" and enough(name)]
    found = sorted((x for x in found if x.without_first >= LIMIT), key=lambda x: -x.without_first)
    first = label("first")
    if not found and enough("first") and first.value >= LIMIT:
        found = [first]
    return tuple(found)


def most_like(heads: Heads, layer: int, head: int) -> tuple[tuple[int, int, float], ...]:
    """(block, head, cosine) of every other head, by descending cosine of the heads' score vectors.

    Distances are divided by the largest possible mean distance, so that they lie between 0 and 1 as most scores do.
    """
    vectors = vectors_of(heads)
    flat = vectors.reshape(-1, vectors.shape[-1])
    lengths = np.linalg.norm(flat, axis=-1)
    own = layer * vectors.shape[1] + head
    cosines = flat @ flat[own] / np.maximum(lengths * lengths[own], 1e-30)
    order = np.argsort(-cosines, kind="stable")
    return tuple((*divmod(int(n), vectors.shape[1]), float(cosines[n])) for n in order if n != own)


def vectors_of(heads: Heads) -> NDArray[np.float64]:
    """The score vectors by which heads are compared: [layer, head, measure]."""
    longest = heads.tokens.shape[1] / 2
    columns = [heads.scores[name] / (longest if name == "distance" else 1) for name in MEASURES]
    return np.stack(columns, -1).astype(np.float64)
