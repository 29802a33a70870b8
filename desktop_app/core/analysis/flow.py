"""Flow: which parts made each vector, by how much of it would be missing without them, followed down from a token.

A vector f is the sum of parts y_k. With |.| the sum of absolute values,

    importance(y_k) = max(|f| - |f - y_k|, eps) / (their sum over all parts)

so that a node's importances add up to 1. Nodes are the residual stream at a position: `resid_post` of a block is
resid_mid + MLP + b_out (both edges lead to resid_mid, which the MLP reads), and `resid_mid` is resid_pre + A_ij v_j W_O
of every head and source j + b_O. From the chosen position the graph is walked down through every edge whose importance
reaches the threshold; the rest is summed up.
It says how vectors are made up, which is not what they cause.
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
from desktop_app.core.analysis.parts import bias_of, head_rows, output_matrices, require_unedited
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

THRESHOLD = 0.04
"""The importance from which an edge is followed, as in the paper."""

_EPS = 1e-9  # of |f|: what a part counts that only works against the others


class Edge(Enum):
    """How a node was reached from one above it; the value is what a person reads."""

    STREAM = "residual stream"
    ATTENTION = "attention"
    MLP = "MLP"


@dataclass(frozen=True)
class Node:
    """The residual stream at one position: `tensor` is resid_mid or resid_post of a block, or `blocks.0.resid_pre`.

    `reached` is the largest product of importances along a way down to it. `made_of` has its importances that lead to
    no node below: `b_O`, `b_out`, `embed` and `pos_embed`, `rounding` in an int8 model, and `rest`, all edges below the
    threshold together. With its edges they add up to 1.
    """

    tensor: str
    position: int
    reached: float
    made_of: Mapping[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class Flow(NamedArrays):
    """The graph below `position`. Edges are parallel arrays: `upper` and `lower` index `nodes`.

    `importance` [edge]; `by_head` [edge, head] how it is shared among heads (0 on edges of the residual stream).
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
        """What is written to a file."""
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
        """Each node's importances add up to 1."""
        edges = np.bincount(self.upper, self.importance, len(self.nodes))
        sums = [edges[n] + sum(node.made_of.values()) for n, node in enumerate(self.nodes)]
        heads = self.by_head.sum(-1)[[kind is Edge.ATTENTION for kind in self.kinds]]
        whole = self.importance[[kind is Edge.ATTENTION for kind in self.kinds]]
        found = [closing("flow: importances of a node", np.array(sums), np.ones(len(sums)), 1.0)]
        if len(heads):
            found.append(closing("flow: heads of an edge", heads, whole, 1.0))
        return tuple(found)


UNFIT = ("resid_pre", "attn.z", "attn_out", "resid_mid", "mlp_out")
"""Edits of these put something into the stream that comes from no node of the graph."""


def compute(
    checkpoint: Checkpoint,
    trace: Trace,
    *,
    position: int = -1,
    threshold: float = THRESHOLD,
    stop: Stop | None = None,
    progress: Progress = unheard,
) -> Flow:
    """Walk down from the last `resid_post` at `position` (a negative one counts from the end).

    Raises ModelError for a position outside the text or a threshold that is not a share, Cancelled on a stop.
    """
    stop, config = stop or Stop(), checkpoint.config
    if not 0 < threshold <= 1:
        raise ModelError(f"The threshold is {threshold:g}; it must be above 0 and at most 1.")
    if not -len(trace) <= position < len(trace):
        raise ModelError(f"Position {position} is outside the text of {len(trace)} tokens.")
    require_unedited(trace, UNFIT, "what flows through it is not all from what was read")
    graph = _Graph(threshold, config.n_head)
    level = {position % len(trace): 1.0}
    for layer in reversed(range(config.n_layer)):
        stop.check()
        post, mid = f"blocks.{layer}.resid_post", f"blocks.{layer}.resid_mid"
        below = f"blocks.{layer - 1}.resid_post" if layer else "blocks.0.resid_pre"
        middle: dict[int, float] = {}
        for row, reached in level.items():
            stream, mlp, bias = mlp_importance(checkpoint, trace, layer, row)
            edges: list[_Way] = [(Edge.STREAM, row, stream, None), (Edge.MLP, row, mlp, None)]
            graph.add(post, mid, row, reached, edges, {"b_out": bias}, middle)
        level = {}
        rows = sorted(middle)
        for row, found in zip(rows, _attention(checkpoint, trace, layer, rows, stop), strict=True):
            by_key = found.heads.sum(0)
            edges = [(Edge.STREAM, row, found.stream, None)]
            edges += [(Edge.ATTENTION, key, float(by_key[key]), found.heads[:, key]) for key in range(row + 1)]
            made_of = {"b_O": found.bias} | ({"rounding": found.rounding} if config.int8 else {})
            graph.add(mid, below, row, middle[row], edges, made_of, level)
        progress((config.n_layer - layer) / config.n_layer)
    for row, reached in level.items():
        parts = (trace.read("embed", row=row), trace.read("pos_embed", row=row))
        token, place = _shares(parts[0] + parts[1], parts)
        graph.add("blocks.0.resid_pre", "", row, reached, [], {"embed": token, "pos_embed": place}, {})
    return graph.finished(position % len(trace))


_Way = tuple[Edge, int, float, Array | None]
"""An edge before it is judged: its kind, the position it leads to, its importance, and that by head."""


class _Graph:
    """A graph while it is walked down. A node is known by its tensor and position; an edge by the two ends' keys."""

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
        """A node with its edges to nodes of `below`; those that reach the threshold are noted in `level`."""
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


def _shares(whole: Array, vectors: Sequence[Array]) -> list[float]:
    """The importance of each of `vectors`, which add up to `whole`."""
    size = float(np.abs(whole).sum(dtype=np.float64))
    lost = np.array([np.abs(whole - y).sum(dtype=np.float64) for y in vectors])
    return _normalized(size, lost).tolist()


def _normalized(size: float, lost: Array) -> Array:
    """Importances from |f| and every |f - y_k|."""
    raw = np.maximum(size - lost, max(_EPS * size, 1e-300))
    return raw / raw.sum()


def mlp_importance(checkpoint: Checkpoint, trace: Trace, layer: int, position: int) -> tuple[float, float, float]:
    """Of `resid_post` at a position: importance of resid_mid, of the MLP without b_out, and of b_out."""
    bias = bias_of(checkpoint, layer, "mlp.b_out")
    mid, written = (trace.read(f"blocks.{layer}.{name}", row=position) for name in ("resid_mid", "mlp_out"))
    stream, mlp, rest = _shares(mid + written, (mid, written - bias, bias))
    return stream, mlp, rest


@dataclass(frozen=True, eq=False)
class AttentionImportance:
    """Of `resid_mid` at a position: importance of resid_pre, b_O and each head's sources, `heads` [head, key].

    `rounding` is that of what int8 takes from z. They add up to 1.
    """

    stream: float
    bias: float
    rounding: float
    heads: Array


def attention_importance(
    checkpoint: Checkpoint, trace: Trace, layer: int, position: int, stop: Stop | None = None
) -> AttentionImportance:
    """What made `resid_mid` of a block at a position: what an edge opens to."""
    return _attention(checkpoint, trace, layer, [position % len(trace)], stop or Stop())[0]


def _attention(
    checkpoint: Checkpoint, trace: Trace, layer: int, rows: Sequence[int], stop: Stop
) -> list[AttentionImportance]:
    """`attention_importance` of several positions: what a head writes from a source is made once for all of them."""
    if not rows:
        return []
    config, name, last = checkpoint.config, f"blocks.{layer}.", max(rows) + 1
    pre = {row: trace.read(name + "resid_pre", row=row) for row in rows}
    whole = {row: pre[row] + trace.read(name + "attn_out", row=row) for row in rows}
    looks = {row: trace.read(name + "attn.pattern", row=row) for row in rows}
    values, matrices = trace.read_rows(name + "attn.v", last), output_matrices(checkpoint, layer)
    bias = bias_of(checkpoint, layer, "attn.b_O")
    ones = np.ones(config.n_embd, np.float32)

    def of_head(head: int) -> dict[int, Array]:
        """Position -> |f - y| without what the head wrote there from each source, [key]."""
        stop.check()
        written = values[head] @ matrices[head]  # [key, d_model], times the weight it has in a row
        found = {}
        for row in rows:
            left = looks[row][head, : row + 1, None] * written[: row + 1]
            np.subtract(whole[row], left, out=left)
            found[row] = np.abs(left, out=left) @ ones
        return found

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lost = list(pool.map(of_head, range(config.n_head)))
    made = []
    for row in rows:
        others = [pre[row], bias, _rounding(checkpoint, trace, layer, row)]
        size = float(np.abs(whole[row]).sum(dtype=np.float64))
        alone = [np.abs(whole[row] - y).sum(dtype=np.float64) for y in others[: 3 if config.int8 else 2]]
        heads = np.stack([of_row[row] for of_row in lost]).astype(np.float64)
        shares = _normalized(size, np.concatenate([alone, heads.reshape(-1)]))
        stream, of_bias, *rest = shares[: len(alone)].tolist()
        made.append(
            AttentionImportance(stream, of_bias, sum(rest), shares[len(alone) :].reshape(config.n_head, row + 1))
        )
    return made


def _rounding(checkpoint: Checkpoint, trace: Trace, layer: int, row: int) -> Array:
    """What int8 adds to `attn_out` at a position by rounding z, [d_model]; zeros in other models."""
    if not checkpoint.config.int8:
        return np.zeros(checkpoint.config.n_embd, np.float32)
    lost = head_rows(trace, layer, row, row + 1)[:, 0] - trace.read(f"blocks.{layer}.attn.z", row=row)
    return lost.reshape(-1).astype(np.float32) @ checkpoint.weights[f"blocks.{layer}.attn.W_O"]
