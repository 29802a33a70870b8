"""The attention patterns of all heads on one text, downsampled to what one picture of all of them needs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Progress, unheard
from desktop_app.gpt2.mask import mask_of
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

_MANY = 300  # with more heads than this, each is drawn in few pixels
# the maximum number of cells along a side of a head's grid; the second number is for many heads
_SIDE, _SIDE_OF_MANY = 64, 32
_WHOLE = 256  # up to this number of tokens, every query is read


@dataclass(frozen=True, eq=False)
class Atlas:
    """Max-pooled patterns [block, head, query, key]; NaN where none of the pooled queries sees any of the pooled keys.

    Each cell is the maximum over at most `pooled` = (queries, keys). For a text of more than 256 tokens, only every
    n-th query (`every`) is read, the last one included, and `pooled` counts only queries that are read.
    """

    grids: Array
    every: int
    pooled: tuple[int, int]
    leave_first: bool


def compute(
    trace: Trace, *, leave_first: bool = False, stop: Stop | None = None, progress: Progress = unheard
) -> Atlas:
    """The pooled patterns, read block by block. Raises Cancelled on a stop.

    With `leave_first`, key 0 is left out, unless the text consists of that token alone.
    """
    stop, config, count = stop or Stop(), trace.config, len(trace)
    most = _SIDE if config.n_layer * config.n_head <= _MANY else _SIDE_OF_MANY
    every = 1 if count <= _WHOLE else -(-count // most)
    queries = np.arange((count - 1) % every, count, every)
    mask, first = mask_of(trace.run.mask, config), (np.arange(count) == 0) & (leave_first and count > 1)
    rows, columns = min(most, len(queries)), min(most, count)
    grids = np.empty((config.n_layer, config.n_head, rows, columns), np.float32)
    for layer in range(config.n_layer):
        stop.check()
        hidden = mask.hidden(config, layer, queries, np.arange(count)) | first
        pattern = np.where(hidden, -1, trace.read(f"blocks.{layer}.attn.pattern", every=every))
        grids[layer] = _strongest(_strongest(pattern, rows, 1), columns, 2)
        progress((layer + 1) / config.n_layer)
    grids[grids < 0] = np.nan
    return Atlas(grids, every, (-(-len(queries) // rows), -(-count // columns)), leave_first)


def _strongest(values: Array, count: int, axis: int) -> Array:
    """The maximum of each of `count` consecutive blocks along an axis."""
    length = values.shape[axis]
    return values if length == count else np.maximum.reduceat(values, np.arange(count) * length // count, axis)
