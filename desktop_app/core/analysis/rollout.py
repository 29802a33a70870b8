"""Attention summarised: means over heads and blocks, and attention rollout, a baseline.

Rollout multiplies the blocks' mean patterns, each averaged with the identity, which stands for the residual stream:

    R_l = ((mean over heads of A_l) / 2 + I / 2) R_(l-1),    R_0 = I

It follows only attention weights, not what heads write, and in GPT-2 most of it ends up at the first token; therefore
it can also be computed without that token.
Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", arXiv 2005.00928, section 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Closing, Progress, closing, unheard
from desktop_app.core.analysis.heads import patterns
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Summary(NamedArrays):
    """One grid [query, key] that summarises many: `kind` says how ("mean" or "rollout"), `layers` over which blocks.

    Rows add up to 1. With `leave_first`, column 0 (the first token) is 0, except in the first row, which has no other
    key.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {"grid": ("query", "key")}

    kind: str
    layers: tuple[int, ...]
    leave_first: bool
    grid: Array
    factors: tuple[Array, Array] | None = None
    """Of rollout: the last block's factor and the rollout of the blocks before it, whose product is the grid."""

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {"grid": self.grid}

    def closings(self) -> tuple[Closing, ...]:
        """The check that rows add up to 1."""
        sums = self.grid.sum(-1, dtype=np.float64)
        without = " without the first token" if self.leave_first else ""
        return (closing(f"{self.kind} of attention{without}: rows", sums, np.ones(len(sums)), 1.0),)


def mean(
    trace: Trace,
    layers: Sequence[int] | None = None,
    *,
    leave_first: bool = False,
    stop: Stop | None = None,
    progress: Progress = unheard,
) -> Summary:
    """The mean pattern over the heads of `layers`, by default of all blocks. Raises Cancelled on a stop."""
    chosen = tuple(range(trace.config.n_layer)) if layers is None else tuple(layers)
    found = np.zeros((len(trace), len(trace)))
    for n, layer in enumerate(chosen):
        found += _mean_of_heads(trace, layer, stop or Stop()) / len(chosen)
        progress((n + 1) / len(chosen))
    return Summary("mean", chosen, leave_first, _without_first(found) if leave_first else found)


def rollout(
    trace: Trace,
    layer: int | None = None,
    *,
    leave_first: bool = False,
    stop: Stop | None = None,
    progress: Progress = unheard,
) -> Summary:
    """Rollout up to and including block `layer`, by default the last. Raises Cancelled on a stop.

    With `leave_first`, key 0 is removed from each block's mean pattern, whose rows are then renormalised to 1.
    """
    last = trace.config.n_layer - 1 if layer is None else layer
    found = before = np.eye(len(trace))
    for n in range(last + 1):
        grid = _mean_of_heads(trace, n, stop or Stop())
        if leave_first:
            grid = _without_first(grid)
        before, found = found, (grid @ found + found) / 2
        progress((n + 1) / (last + 1))
    factor = (grid + np.eye(len(trace))) / 2
    return Summary("rollout", tuple(range(last + 1)), leave_first, found, (factor, before))


def _mean_of_heads(trace: Trace, layer: int, stop: Stop) -> Array:
    found = np.zeros((len(trace), len(trace)))
    for _, grid in patterns(trace, layer):
        stop.check()
        found += grid.sum(0)
    return found / trace.config.n_head


def _without_first(grid: Array) -> Array:
    """The rows of a pattern without key 0, renormalised to 1; a row without weight on other keys keeps key 0."""
    rest = grid.copy()
    rest[:, 0] = 0
    sums = rest.sum(-1, keepdims=True)
    empty = sums[:, 0] <= 0
    rest[empty, 0] = sums[empty] = 1
    return rest / sums
