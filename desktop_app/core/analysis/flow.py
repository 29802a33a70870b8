"""Information flow: which parts each vector consists of, traced from one position down to the embeddings.

A vector f is the sum of parts y_k. With |.| the sum of absolute values, the importance of a part is how much smaller f
would be without it:

    importance(y_k) = max(|f| - |f - y_k|, eps) / (their sum over all parts)

so the importances of a vector's parts add up to 1. The nodes of the graph are the residual stream at a position.
`resid_post` of a block is resid_mid + MLP + b_out; its residual edge and its MLP edge both lead to resid_mid, which the
MLP reads. `resid_mid` is resid_pre + b_O + the sum of A_ij v_j W_O over all heads and source positions j. From the
chosen position the graph is traversed down every edge whose importance reaches the threshold. For the other edges of a
node, the sum of the importances is recorded.

An edit replaces a tensor x by keep x + put. Each part is therefore multiplied by the `keep` of all edits that follow
it, and what those edits add is one more part, `edit`, so that the parts still add up to the vector. A part that an edit
sets to 0 has an importance of nearly 0 in every vector after the edit.

The flow describes what vectors consist of, not what they cause.

Source: Ferrando and Voita 2024, "Information Flow Routes", arXiv 2403.00824, sections 2.1 and 2.2.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Closing, Progress, closing, unheard
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.core.analysis.parts import before_edit, bias_of, head_rows, output_matrices
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.mask import reach
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

THRESHOLD = 0.04
"""The smallest importance at which an edge is followed, as in the paper."""

_EPS = 1e-9  # times |f|: the importance, before normalising, of a part whose removal would not make |f| smaller


class Edge(Enum):
    """The kind of an edge, by which a node was reached from the one above it; the value is the displayed name."""

    STREAM = "residual stream"
    ATTENTION = "attention"
    MLP = "MLP"


@dataclass(frozen=True)
class Node:
    """The residual stream at one position: `tensor` is resid_mid or resid_post of a block, or `blocks.0.resid_pre`.

    `reached` is the largest product of importances along any path to this node. `made_of` holds the
    importance of each part that leads to no lower node: `b_O`, `b_out`, `embed` and `pos_embed`; `rounding` in an int8
    model; `edit` if an edit adds something; and `rest`, the sum over all edges below the threshold. These and the
    importances of the node's edges add up to 1.
    """

    tensor: str
    position: int
    reached: float
    made_of: Mapping[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class Flow(NamedArrays):
    """The graph below `position`. Edges are parallel arrays; `upper` and `lower` are indices in `nodes`.

    `importance` [edge]; `by_head` [edge, head] splits it by head (0 unless it is an edge of attention).
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "tensors": ("node",),
        "positions": ("node",),
        "reached": ("node",),
        "upper": ("edge",),
        "lower": ("edge",),
        "importance": ("edge",),
        "by_head": ("edge", "head"),
    }

    position: int
    threshold: float
    nodes: tuple[Node, ...]
    kinds: tuple[Edge, ...]
    upper: Array
    lower: Array
    importance: Array
    by_head: Array

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {
            "tensors": np.array([node.tensor for node in self.nodes]),
            "positions": np.array([node.position for node in self.nodes], np.int64),
            "reached": np.array([node.reached for node in self.nodes]),
            "upper": self.upper,
            "lower": self.lower,
            "importance": self.importance,
            "by_head": self.by_head,
        }

    def closings(self) -> tuple[Closing, ...]:
        """The check that each node's importances add up to 1."""
        edges = np.bincount(self.upper, self.importance, len(self.nodes))
        sums = [edges[n] + sum(node.made_of.values()) for n, node in enumerate(self.nodes)]
        heads = self.by_head.sum(-1)[[kind is Edge.ATTENTION for kind in self.kinds]]
        whole = self.importance[[kind is Edge.ATTENTION for kind in self.kinds]]
        found = [closing("flow: importances of a node", np.array(sums), np.ones(len(sums)), 1.0)]
        if len(heads):
            found.append(closing("flow: heads of an edge", heads, whole, 1.0))
        return tuple(found)


def compute(
    checkpoint: Checkpoint,
    trace: Trace,
    *,
    position: int = -1,
    threshold: float = THRESHOLD,
    stop: Stop | None = None,
    progress: Progress = unheard,
) -> Flow:
    """The graph below the last `resid_post` at `position`; a negative position counts from the end.

    Raises ModelError for a position outside the text or a threshold outside (0, 1], Cancelled on a stop.
    """
    stop, config = stop or Stop(), checkpoint.config
    if not 0 < threshold <= 1:
        raise ModelError(f"The threshold is {threshold:g}; it must be above 0 and at most 1.")
    if not -len(trace) <= position < len(trace):
        raise ModelError(f"Position {position} is outside the text of {len(trace)} tokens.")
    graph = _Graph(threshold, config.n_head)
    level = {position % len(trace): 1.0}
    for layer in reversed(range(config.n_layer)):
        stop.check()
        post, mid = f"blocks.{layer}.resid_post", f"blocks.{layer}.resid_mid"
        below = f"blocks.{layer - 1}.resid_post" if layer else "blocks.0.resid_pre"
        middle: dict[int, float] = {}
        for row, reached in level.items():
            made_of = shares_of(trace, post, row, parts_of_post(checkpoint, trace, layer, row))
            edges: list[_Way] = [(kind, row, made_of.pop(kind.value), None) for kind in (Edge.STREAM, Edge.MLP)]
            graph.add(post, mid, row, reached, edges, made_of, middle)
        level = {}
        rows = sorted(middle)
        for row, found in zip(rows, _attention(checkpoint, trace, layer, rows, stop), strict=True):
            by_key = found.heads.sum(0)
            edges = [(Edge.STREAM, row, found.stream, None)]
            edges += [(Edge.ATTENTION, key, float(share), found.heads[:, key]) for key, share in enumerate(by_key)]
            graph.add(mid, below, row, middle[row], edges, dict(found.others), level)
        progress((config.n_layer - layer) / config.n_layer)
    for row, reached in level.items():
        made_of = shares_of(trace, "blocks.0.resid_pre", row, parts_of_first(trace, row))
        graph.add("blocks.0.resid_pre", "", row, reached, [], made_of, {})
    return graph.finished(position % len(trace))


_Way = tuple[Edge, int, float, Array | None]
"""A candidate edge: its kind, the position of its lower node, its importance, and its importance by head."""


class _Graph:
    """The graph during traversal. A node is identified by tensor and position, an edge by its two nodes."""

    def __init__(self, threshold: float, heads: int) -> None:
        self._threshold, self._none = threshold, np.zeros(heads)
        self._nodes: dict[tuple[str, int], Node] = {}
        self._edges: list[tuple[Edge, tuple[str, int], tuple[str, int], float, Array]] = []

    def add(
        self,
        tensor: str,
        below: str,
        row: int,
        reached: float,
        edges: Sequence[_Way],
        made_of: dict[str, float],
        level: dict[int, float],
    ) -> None:
        """Add a node with its edges to tensor `below` that reach the threshold; add their lower nodes to `level`."""
        rest = 0.0
        for kind, key, importance, heads in edges:
            if importance < self._threshold:
                rest += importance
                continue
            level[key] = max(level.get(key, 0.0), reached * importance)
            self._edges.append((kind, (tensor, row), (below, key), importance, self._none if heads is None else heads))
        if edges:
            made_of = made_of | {"rest": rest}
        self._nodes[tensor, row] = Node(tensor, row, reached, made_of)

    def finished(self, position: int) -> Flow:
        index = {key: n for n, key in enumerate(self._nodes)}
        return Flow(
            position=position,
            threshold=self._threshold,
            nodes=tuple(self._nodes.values()),
            kinds=tuple(edge[0] for edge in self._edges),
            upper=np.array([index[edge[1]] for edge in self._edges], np.int64),
            lower=np.array([index[edge[2]] for edge in self._edges], np.int64),
            importance=np.array([edge[3] for edge in self._edges]),
            by_head=np.array([edge[4] for edge in self._edges]).reshape(-1, len(self._none)),
        )


def shares_of(trace: Trace, tensor: str, row: int, parts: Mapping[str, Array]) -> dict[str, float]:
    """The importance of each of `parts`, which add up to the vector of `tensor` at position `row`."""
    whole = trace.read(tensor, row=row)
    size = float(np.abs(whole).sum(dtype=np.float64))
    lost = np.array([np.abs(whole - y).sum(dtype=np.float64) for y in parts.values()])
    return dict(zip(parts, _normalized(size, lost).tolist(), strict=True))


def not_normalized(size: float, lost: Array) -> Array:
    """The importances before they are divided by their sum, from |f| and every |f - y_k|; positive even if f is 0."""
    return np.maximum(size - lost, max(_EPS * size, 1e-300))


def _normalized(size: float, lost: Array) -> Array:
    raw = not_normalized(size, lost)
    return raw / raw.sum()


# The parts that add up to a vector


def _through(trace: Trace, tensor: str, row: int) -> tuple[Array | float, Array | float]:
    """The product `keep` and the sum `put` of a tensor's edits at a position; 1 and 0 if there are none."""
    if before_edit(trace, tensor) == tensor:
        return 1.0, 0.0
    return trace.read(f"{tensor}.keep", row=row), trace.read(f"{tensor}.put", row=row)


def _with_edit(parts: dict[str, Array], put: Array | float) -> dict[str, Array]:
    """The parts, and one more part if edits add something."""
    return parts | {EDIT: np.asarray(put)} if np.any(put) else parts


EDIT = "edit"
"""The name of the part that edits add."""


def parts_of_first(trace: Trace, row: int) -> dict[str, Array]:
    """The parts of `blocks.0.resid_pre` at a position: name -> [d_model]."""
    keep, put = _through(trace, "blocks.0.resid_pre", row)
    return _with_edit({name: keep * trace.read(name, row=row) for name in ("embed", "pos_embed")}, put)


def parts_of_post(checkpoint: Checkpoint, trace: Trace, layer: int, row: int) -> dict[str, Array]:
    """The parts of a block's `resid_post` at a position: name -> [d_model]. The part of an edge has its kind's name."""
    name = f"blocks.{layer}."
    bias, (keep, put) = bias_of(checkpoint, layer, "mlp.b_out"), _through(trace, name + "mlp_out", row)
    written = trace.read(before_edit(trace, name + "mlp_out"), row=row)
    stream = trace.read(name + "resid_mid", row=row)
    parts = {Edge.STREAM.value: stream, Edge.MLP.value: keep * (written - bias), "b_out": keep * bias}
    return _with_edit(parts, put)


@dataclass(frozen=True, eq=False)
class Middle:
    """`resid_mid` of a block at one position as a sum.

    `parts` are the terms that no head writes: name -> [d_model]. What a head writes from each source position is
    computed by `written`, from the head's values at the first `keys` positions, [key, d_head].
    """

    whole: Array
    parts: Mapping[str, Array]
    keys: int
    _weights: Array  # attention weights, [head, key]
    _inside: Array | float  # the `keep` of edits of z, [head, d_head]
    _after: Array | float  # the `keep` of edits of attn_out and resid_mid, [d_model]

    def written(self, head: int, values: Array, matrix: Array) -> Array:
        """What a head adds here from each source, [key, d_model], given its values and its W_O [d_head, d_model]."""
        if isinstance(self._inside, np.ndarray) and (self._inside[head] != 1).any():
            values = self._inside[head] * values[: self.keys]
            return self.weighted(head, values @ matrix)
        return self.weighted(head, values[: self.keys] @ matrix)

    def weighted(self, head: int, brought: Array) -> Array:
        """As `written`, given what the head would add from each source at an attention weight of 1, [key, d_model]."""
        found = self._weights[head, : self.keys, None] * brought[: self.keys]
        return found if isinstance(self._after, float) else found * self._after

    def is_plain(self, head: int) -> bool:
        """Whether no edit scales the z of this head."""
        return not isinstance(self._inside, np.ndarray) or bool((self._inside[head] == 1).all())


def middle_of(checkpoint: Checkpoint, trace: Trace, layer: int, row: int) -> Middle:
    """`resid_mid` of a block at position `row` as a sum of terms."""
    config, name = checkpoint.config, f"blocks.{layer}."
    (before, put_before), (inside, put_inside), (outside, put_outside), (last, put_last) = (
        _through(trace, name + end, row) for end in ("resid_pre", "attn.z", "attn_out", "resid_mid")
    )
    stream = name + "resid_pre"
    if layer:
        stream = before_edit(trace, stream)
    else:
        before, put_before = 1.0, 0.0  # the lower node is this tensor after its edits
    after = last * outside
    matrix = checkpoint.weights[name + "attn.W_O"]
    parts = {
        Edge.STREAM.value: last * before * trace.read(stream, row=row),
        "b_O": after * bias_of(checkpoint, layer, "attn.b_O"),
    }
    if config.int8:
        parts["rounding"] = after * _rounding(checkpoint, trace, layer, row)
    put: Array | float = put_last + last * (put_before + put_outside)
    if np.any(put_inside):
        put = put + after * (np.asarray(put_inside).reshape(-1) @ matrix)
    keys = max(reach(trace.run.mask, config, layer, head, row, len(trace)) for head in range(config.n_head))
    return Middle(
        trace.read(name + "resid_mid", row=row),
        _with_edit(parts, put),
        keys,
        trace.read(name + "attn.pattern", row=row),
        inside,
        after,
    )


@dataclass(frozen=True, eq=False)
class AttentionImportance:
    """Importances for `resid_mid` at a position: `stream` for resid_pre, `heads` [head, key] for each source.

    `others` holds the importances of `b_O`, of `rounding` (of z to int8), and of what edits add (`edit`). All
    importances add up to 1.
    """

    stream: float
    others: Mapping[str, float]
    heads: Array


def attention_importance(
    checkpoint: Checkpoint, trace: Trace, layer: int, position: int, stop: Stop | None = None
) -> AttentionImportance:
    """The importance of each term of `resid_mid` of a block at a position, as shown when an edge is opened."""
    return _attention(checkpoint, trace, layer, [position % len(trace)], stop or Stop())[0]


def _attention(
    checkpoint: Checkpoint, trace: Trace, layer: int, rows: Sequence[int], stop: Stop
) -> list[AttentionImportance]:
    """`attention_importance` of several positions: each head's values are multiplied by W_O once for all of them."""
    if not rows:
        return []
    config = checkpoint.config
    found = {row: middle_of(checkpoint, trace, layer, row) for row in rows}
    most = max(middle.keys for middle in found.values())
    values, matrices = trace.read_rows(f"blocks.{layer}.attn.v", most), output_matrices(checkpoint, layer)
    ones = np.ones(config.n_embd, np.float32)

    def of_head(head: int) -> dict[int, Array]:
        """Position -> |f - y| [key], where y is what the head adds at that position from each source."""
        stop.check()
        # [key, d_model], before multiplication by a position's attention weights
        brought = values[head] @ matrices[head]
        lost = {}
        for row, middle in found.items():
            plain = middle.is_plain(head)
            left = middle.weighted(head, brought) if plain else middle.written(head, values[head], matrices[head])
            np.subtract(middle.whole, left, out=left)
            lost[row] = np.abs(left, out=left) @ ones
        return lost

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lost = list(pool.map(of_head, range(config.n_head)))
    made = []
    for row, middle in found.items():
        size = float(np.abs(middle.whole).sum(dtype=np.float64))
        alone = [np.abs(middle.whole - y).sum(dtype=np.float64) for y in middle.parts.values()]
        heads = np.stack([of_row[row] for of_row in lost]).astype(np.float64)
        shares = _normalized(size, np.concatenate([alone, heads.reshape(-1)]))
        others = dict(zip(middle.parts, shares.tolist(), strict=False))
        stream = others.pop(Edge.STREAM.value)
        made.append(AttentionImportance(stream, others, shares[len(alone) :].reshape(config.n_head, middle.keys)))
    return made


def _rounding(checkpoint: Checkpoint, trace: Trace, layer: int, row: int) -> Array:
    """What rounding z to int8 adds to `attn_out` at a position, [d_model]; zeros in other models."""
    if not checkpoint.config.int8:
        return np.zeros(checkpoint.config.n_embd, np.float32)
    lost = head_rows(trace, layer, row, row + 1)[:, 0] - trace.read(f"blocks.{layer}.attn.z", row=row)
    return lost.reshape(-1).astype(np.float32) @ checkpoint.weights[f"blocks.{layer}.attn.W_O"]
