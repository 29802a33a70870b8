"""Measurements on one pass: a head worth showing, the effect of ablating it, and where the answer arises.

Everything here is measured on the given pass, so that a sentence that states it is true for any model.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis import attribution, lens, score
from desktop_app.core.analysis.heads import Heads
from desktop_app.core.analysis.labels import labels_of
from desktop_app.core.analysis.parts import Kind, Part
from desktop_app.core.model import Model
from desktop_app.core.runs import compute_passes
from desktop_app.core.scene import Scene, make_scene

_CLEAR = 0.4  # an attention weight whose colour can be seen from the last row of a lecture hall
_MOSTLY = 0.6  # the fraction of queries at which a head must behave in some way for this to count as typical
_COPIES = ("induction", "duplicate")


@dataclass(frozen=True)
class Look:
    """The attention of a head's query to one key: its `weight`."""

    layer: int
    head: int
    query: int
    key: int
    weight: float

    @property
    def name(self) -> str:
        """The head in the usual notation, like L5H1."""
        return f"L{self.layer}H{self.head}"


def _rows(scene: Scene) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """(block, row of the selected token in every head's pattern [head, key]) for each block."""
    for layer in range(scene.config.n_layer):
        yield layer, np.asarray(scene.trace.read(f"blocks.{layer}.attn.pattern", row=scene.token), float)


def look_of(scene: Scene, layer: int, head: int) -> Look:
    """The key to which one head attends most from the selected token."""
    row = scene.trace.read(f"blocks.{layer}.attn.pattern", head=head, row=scene.token)
    key = int(np.argmax(row))
    return Look(layer, head, scene.token, key, float(row[key]))


def worth_showing(scene: Scene, heads: Heads | None) -> Look | None:
    """The head whose attention from the selected token is most informative.

    It attends most, and clearly, to a token between the first and the previous one. Among such heads, those labelled as
    induction or duplicate-token heads by the measurements `heads` come first, then those that add most to the likeliest
    next token's logit.
    """
    token, best, found = scene.token, (False, -np.inf), None
    if token < 2:
        return None
    adds = contributions(scene)
    for layer, rows in _rows(scene):
        inner = rows[:, 1 : token - 1] if token > 2 else rows[:, :0]
        for head, row in enumerate(inner):
            if not len(row) or row.max() < max(_CLEAR, rows[head].max()):
                continue
            labels = {label.score for label in labels_of(heads, layer, head)} if heads is not None else set()
            rank = (not labels.isdisjoint(_COPIES), adds.get((layer, head), 0.0))
            if rank > best:
                key = int(np.argmax(row)) + 1
                best, found = rank, Look(layer, head, token, key, float(row[key - 1]))
    return found


def contributions(scene: Scene) -> dict[tuple[int, int], float]:
    """(block, head) -> what it adds to the logit of the likeliest next token, relative to the mean of all tokens."""
    return {(p.layer or 0, p.head): v for p, v in parts_of_logit(scene) if p.kind is Kind.HEAD and p.head is not None}


def parts_of_logit(scene: Scene) -> list[tuple[Part, float]]:
    """Every part of the residual stream, with what it adds to the likeliest next token's logit."""
    made = attribution.compute(
        scene.checkpoint,
        scene.trace,
        target=int(scene.ranked.order[0]),
        position=scene.position,
        sources=False,
        neurons=False,
    )
    return list(zip(made.parts, map(float, made.contribution), strict=True))


def previous_token(scene: Scene) -> tuple[int, int, int, int] | None:
    """(block, head, number of queries that attend most to the previous token, number of queries), for one head.

    It is the head with most such queries; None if no head attends in this way for most of the text.
    """
    count = len(scene.trace) - 1
    best: tuple[int, int, int, int] | None = None
    for layer in range(scene.config.n_layer if count >= 3 else 0):
        pattern = scene.trace.read(f"blocks.{layer}.attn.pattern")
        good = (pattern.argmax(-1)[:, 1:] == np.arange(count)).sum(-1)
        head = int(np.argmax(good))
        if int(good[head]) > (best[2] if best is not None else _MOSTLY * count):
            best = layer, head, int(good[head]), count
    return best


def writers_of_key(scene: Scene, look: Look) -> list[tuple[Part, float]]:
    """The parts of the stream that the key consists of, and by how much each raises the score above its row's mean."""
    found = score.compute(
        scene.checkpoint, scene.trace, layer=look.layer, head=look.head, query=look.query, key=look.key
    )
    parts = zip(found.key_parts, map(float, found.by_key_part(relative=True)), strict=True)
    return sorted(parts, key=lambda pair: -pair[1])


def without_head(model: Model, scene: Scene, look: Look) -> Scene:
    """The scene after the head's output was set to zero and the later blocks were computed again."""
    asked = scene.passes.asked
    asked = replace(asked, edits=(*asked.edits, f"blocks.{look.layer}.attn.z[{look.head}]=0"))
    trace = compute_passes(model.engine, model.tokenizer, asked, reuse=scene.passes).trace
    return make_scene(scene.name, scene.checkpoint, scene.tokenizer, trace, scene.state)


@dataclass(frozen=True)
class Arising:
    """The logit lens after a block: its likeliest token, and the probability of the model's likeliest token there."""

    block: int
    leads: int
    share: float


def arising(scene: Scene) -> list[Arising]:
    """The prediction after each block, from the final layer norm and the unembedding (the logit lens)."""
    top = int(scene.ranked.order[0])
    found = lens.compute(scene.checkpoint, scene.trace, targets=(top,), start=scene.position, end=scene.position + 1)
    ends = [n for n, name in enumerate(found.points) if name.endswith("resid_post")]
    return [
        Arising(block, int(found.top_id[n, 0]), float(found.target_probability[0, n, 0]))
        for block, n in enumerate(ends)
    ]


def leads_from(found: list[Arising]) -> int:
    """The first block from which the likeliest token stays the same up to the last block."""
    last = found[-1].leads
    return next(n for n in range(len(found)) if all(one.leads == last for one in found[n:]))
