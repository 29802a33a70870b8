"""Shrinking pictures honestly: a pixel shows the strongest of the cells that fall on it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def pool(values: Array, rows: int, columns: int) -> Array:
    """`values` [r, c] reduced to at most `rows` x `columns`, each cell the strongest (largest |x|) of its block.

    NaN counts as nothing; a block of NaN alone stays NaN. Blocks are those of cells that share a pixel.
    """
    return _strongest(_strongest(values, max(1, rows)).T, max(1, columns)).T


def _strongest(values: Array, count: int) -> Array:
    length = len(values)
    if length <= count:
        return values
    starts = np.floor(np.arange(count) * length / count).astype(int)
    high = np.fmax.reduceat(values, starts, axis=0)
    low = np.fmin.reduceat(values, starts, axis=0)
    return np.where(np.abs(low) > np.abs(high), low, high)


def pooled_words(rows: int, columns: int, pixel_rows: float, pixel_columns: float) -> str:
    """What a pixel stands for, where it is more than one cell: "one pixel = 3 × 2, strongest shown"."""
    down = int(np.ceil(rows / max(1, int(pixel_rows))))
    across = int(np.ceil(columns / max(1, int(pixel_columns))))
    if down <= 1 and across <= 1:
        return ""
    return f"one pixel = {down} × {across} cells, strongest shown"
