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


def pool(values: Array, rows: int, columns: int, *, signed: bool = True) -> Array:
    """`values` [r, c] reduced to at most `rows` x `columns`, each cell the strongest (largest |x|) of its block.

    NaN counts as nothing; a block of NaN alone stays NaN. Block k of n of a side holds cells k*r//n to (k+1)*r//n. Of
    x and -x in one block x is shown. Floats stay of their precision. Not `signed`, nothing is below zero.
    """
    if values.shape[0] <= max(1, rows) and values.shape[1] <= max(1, columns):
        return values
    floats = values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
    found = [
        _blockwise(_blockwise(floats, max(1, rows), 0, larger), max(1, columns), 1, larger)
        for larger in ((np.fmax, np.fmin) if signed else (np.fmax,))
    ]
    return np.where(found[0] >= -found[-1], found[0], found[-1]) if signed else found[0]


def _blockwise(values: Array, count: int, axis: int, larger: np.ufunc) -> Array:
    length = values.shape[axis]
    if length <= count:
        return values
    edges = np.arange(count + 1) * length // count
    starts, last = edges[:-1], edges[1:] - 1
    found = values.take(starts, axis)
    for step in range(1, int((last - starts).max()) + 1):
        larger(found, values.take(np.minimum(starts + step, last), axis), out=found)
    return found


def pooled_words(shape: tuple[int, ...], rows: int, columns: int) -> str:
    """What a pixel of so many stands for, where it is more than one cell: "one pixel = 3 × 2, strongest shown"."""
    down, across = (-(-cells // shown) for cells, shown in zip(shape, (rows, columns), strict=True))
    if down <= 1 and across <= 1:
        return ""
    return f"one pixel = {down} × {across}, strongest shown"
