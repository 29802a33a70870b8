"""Why a head attends where it does: one attention score as the sum over pairs of a query part and a key part.

Layer norm 1's scale s is frozen at both positions. Part c of the residual stream becomes c' = (c - mean c) / s * w; the
norm's bias together with b_Q (or b_K) is one more part. Then, with the config's divisor (the square root of d_head for
GPT-2),

    score_ij = sum over query parts a, key parts b of (a'_i W_Q) . (b'_j W_K) / divisor

The sum is exact, because GPT-2 adds positions to the embedding and not inside attention. Softmax ignores what all keys
of a query share, so `relative` holds each term minus its mean over the keys that the query may see.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits", "QK circuit".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Closing, closing
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.core.analysis.parts import Kind, Part, combine, edited_site, names_of, parts
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.formula import Place
from desktop_app.gpt2.formulas import multiplied
from desktop_app.gpt2.mask import seen_by
from desktop_app.gpt2.phrase import Phrase
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Score(NamedArrays):
    """One cell of `attn.scaled` as a sum over pairs of parts.

    `terms` [query part, key part] add up to `score`, the number that the model computed (scale included). `relative`,
    with the same axes, is `terms` minus their mean over the keys that the query may see. Its sum, `relative_score`, is
    the score minus the mean of its row.

    A term is the dot product of a row of `query_vectors` and a row of `key_vectors`, both [part, d_head], over
    `divisor`. For a relative term, `mean_key_vectors` is subtracted from `key_vectors` first.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "query_parts": ("query part",),
        "key_parts": ("key part",),
        "terms": ("query part", "key part"),
        "relative": ("query part", "key part"),
        "score": (),
        "relative_score": (),
    }

    layer: int
    head: int
    query: int
    key: int
    query_parts: tuple[Part, ...]
    key_parts: tuple[Part, ...]
    terms: Array
    relative: Array
    score: float
    relative_score: float
    query_vectors: Array
    key_vectors: Array
    mean_key_vectors: Array
    divisor: float

    def by_query_part(self, *, relative: bool = False) -> Array:
        """Each query part's sum over the key parts."""
        return (self.relative if relative else self.terms).sum(1)

    def by_key_part(self, *, relative: bool = False) -> Array:
        """Each key part's sum over the query parts."""
        return (self.relative if relative else self.terms).sum(0)

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {
            "query_parts": names_of(self.query_parts),
            "key_parts": names_of(self.key_parts),
            "terms": self.terms,
            "relative": self.relative,
            "score": np.array(self.score),
            "relative_score": np.array(self.relative_score),
        }

    def closings(self) -> tuple[Closing, ...]:
        """The checks that the terms add up to the score, and the relative terms to the score minus its row's mean."""
        raw, relative = np.abs(self.terms).max(), np.abs(self.relative).max()
        cell = f"blocks.{self.layer}.attn.scaled[{self.head},{self.query},{self.key}]"
        return (
            closing(f"score {cell}: query parts x key parts", self.terms.sum(), self.score, raw),
            closing(
                f"score {cell}: above its row's mean", self.relative.sum(), self.relative_score, max(raw, relative)
            ),
        )


def refusal(trace: Trace, layer: int) -> str:
    """A sentence that says which edit keeps the scores of a block from being sums of parts; "" if none does."""
    site = edited_site(trace, [f"blocks.{layer}.attn.{name}" for name in ("q", "k", "scaled")])
    return site and Phrase(
        "{1} is edited, so the scores of block {2} are not what the stream's parts add up to; leave that edit out.",
        site,
        layer,
    )


def compute(
    checkpoint: Checkpoint,
    trace: Trace,
    *,
    layer: int,
    head: int,
    query: int,
    key: int,
    stop: Stop | None = None,
) -> Score:
    """The cell [head, query, key] of `blocks.layer.attn.scaled` as a sum of terms. Positions count from 0.

    Raises ModelError for a block, head or position that does not exist, and for an edit that `refusal` names; Cancelled
    on a stop.
    """
    stop, config = stop or Stop(), checkpoint.config
    if not 0 <= layer < config.n_layer:
        raise ModelError(f"There is no block {layer}; this model's blocks are 0 to {config.n_layer - 1}.")
    if reason := refusal(trace, layer):
        raise ModelError(reason)
    for position in (query, key):
        if not 0 <= position < len(trace):
            raise ModelError(
                f"Position {position} is outside the text of {len(trace)} tokens; give one from 0 to {len(trace) - 1}."
            )
    row = trace.read(f"blocks.{layer}.attn.scaled", head=head, row=query).astype(np.float64)
    one = np.ones(1)
    queries = _projected(checkpoint, trace, layer, head, "q", query, one, stop)
    keys = _projected(checkpoint, trace, layer, head, "k", key, one, stop)
    seen = seen_by(trace.run.mask, config, layer, head, query, len(trace))
    seen = seen[: int(np.flatnonzero(seen)[-1]) + 1]
    mean_keys = _projected(checkpoint, trace, layer, head, "k", 0, seen / seen.sum(), stop)
    divisor = config.score_divisor(layer)
    terms = queries @ keys.T / divisor
    score = float(row[key])
    return Score(
        layer=layer,
        head=head,
        query=query,
        key=key,
        query_parts=score_parts(trace, layer, "q"),
        key_parts=score_parts(trace, layer, "k"),
        terms=terms,
        relative=terms - queries @ mean_keys.T / divisor,
        score=score,
        relative_score=score - float(row[: len(seen)][seen].mean()),
        query_vectors=queries,
        key_vectors=keys,
        mean_key_vectors=mean_keys,
        divisor=divisor,
    )


def score_parts(trace: Trace, layer: int, letter: str) -> tuple[Part, ...]:
    """The parts of a query ("q") or key ("k") of block `layer`, in the order of the axes of `Score.terms`."""
    config = trace.config
    bias = Part(f"blocks.{layer}.attn.b_{letter.upper()}", Kind.NORM_BIAS, layer)
    rounding = (Part("rounding", Kind.ROUNDING),) if config.int8 else ()
    return (*parts(trace, layer), bias, *rounding)


def _projected(
    checkpoint: Checkpoint,
    trace: Trace,
    layer: int,
    head: int,
    letter: str,
    start: int,
    share: Array,
    stop: Stop,
) -> Array:
    """Each part's contribution to a query or key, as a weighted sum over positions from `start` on: [part, d_head]."""
    config, weights, end = checkpoint.config, checkpoint.weights, start + len(share)
    columns = columns_of(config.n_embd, config.d_head, head, letter)
    matrix = weights[f"blocks.{layer}.attn.W_QKV"][:, columns].astype(np.float64)
    total = float(share.sum())
    vectors = combine(checkpoint, trace, layer, start, share / frozen_scales(trace, layer, start, end), stop)
    vectors -= vectors.mean(-1, keepdims=True)
    found = [
        (vectors * weights[f"blocks.{layer}.ln1.w"]) @ matrix,
        total * (weights[f"blocks.{layer}.ln1.b"] @ matrix + weights[f"blocks.{layer}.attn.b_QKV"][columns])[None],
    ]
    if config.int8:
        out = trace.read_rows(f"blocks.{layer}.ln1.out", end, start)
        rounded = multiplied(Place(config, layer, np.arange(start, end)), out)
        found.append((share @ (rounded.astype(np.float64) - out) @ matrix)[None])
    return np.concatenate(found)


def columns_of(width: int, d_head: int, head: int, letter: str) -> slice:
    """The columns of W_QKV that produce a head's queries, keys or values."""
    start = "qkv".index(letter) * width + head * d_head
    return slice(start, start + d_head)


def frozen_scales(trace: Trace, layer: int, start: int, end: int) -> Array:
    """Layer norm 1's scale at some positions, [pos]; treated as a constant, although it depends on the parts."""
    return trace.read_rows(f"blocks.{layer}.ln1.scale", end, start)[:, 0].astype(np.float64)
