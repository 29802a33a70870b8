"""Shrinking pictures honestly: a pixel shows the strongest of the cells that fall on it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def pixels(length: float, density: float = 1.0) -> int:
    """Whole pixels along a length of the page."""
    return max(1, int(length * density))


def strength(values: Array) -> Array:
    """|x|, with less than nothing for NaN."""
    size = np.abs(values)
    return np.where(np.isnan(size), -1, size)


def pool(values: Array, rows: int, columns: int) -> Array:
    """`values` [r, c] reduced to at most `rows` x `columns`, each cell the strongest (largest |x|) of its block.

    NaN counts as nothing; a block of NaN alone stays NaN. Block k of n of a side holds cells k*r//n to (k+1)*r//n.
    """
    return _strongest(_strongest(values, max(1, rows)).T, max(1, columns)).T


def _strongest(values: Array, count: int) -> Array:
    length = len(values)
    if length <= count:
        return values
    starts = np.arange(count) * length // count
    high = np.fmax.reduceat(values, starts, axis=0)
    low = np.fmin.reduceat(values, starts, axis=0)
    return np.where(np.abs(low) > np.abs(high), low, high)


def pooled_words(shape: tuple[int, ...], rows: int, columns: int) -> str:
    """What a pixel of so many stands for, where it is more than one cell: "one pixel = 3 × 2, strongest shown"."""
    down, across = (-(-cells // shown) for cells, shown in zip(shape, (rows, columns), strict=True))
    if down <= 1 and across <= 1:
        return ""
    return f"one pixel = {down} × {across}, strongest shown"
