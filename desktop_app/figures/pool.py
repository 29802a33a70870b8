"""Downscales pictures so that each pixel shows the strongest (largest |x|) of the cells that fall on it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.phrase import Phrase

Array = NDArray[Any]


def pixels(length: float, density: float = 1.0) -> int:
    """Whole pixels along a length of the page."""
    return max(1, int(length * density))


def strength(values: Array) -> Array:
    """|x|, with a negative number for NaN."""
    size = np.abs(values)
    return np.where(np.isnan(size), -1, size)


def pool(values: Array, rows: int, columns: int, *, signed: bool = True) -> Array:
    """`values` [r, c] reduced to at most `rows` x `columns`, each cell the strongest (largest |x|) of its block.

    NaN is ignored; a block of only NaN stays NaN. Block k of n along an axis of length r holds cells k*r//n to
    (k+1)*r//n. If a block has both x and -x, x is shown. Floats keep their precision. `signed` False: all values >= 0.
    """
    if values.shape[0] <= max(1, rows) and values.shape[1] <= max(1, columns):
        return values
    floats = values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
    found = [floats, floats] if signed else [floats]  # the highest, and the lowest
    for axis, count in enumerate((rows, columns)):
        found = _reduced(found, max(1, count), axis)
    return np.where(found[0] >= -found[-1], found[0], found[-1]) if signed else found[0]


def _reduced(extremes: list[Array], count: int, axis: int) -> list[Array]:
    """Along an axis, the highest of each block of the first array, and the lowest of the second, if there is one."""
    length = extremes[0].shape[axis]
    if length <= count:
        return extremes
    edges = np.arange(count + 1) * length // count
    starts, last = edges[:-1], edges[1:] - 1
    cells = [x.take(starts, axis) for x in extremes]
    for step in range(1, int((last - starts).max()) + 1):
        at = np.minimum(starts + step, last)
        further = extremes[0].take(at, axis)
        np.fmax(cells[0], further, out=cells[0])
        if len(cells) > 1:
            if extremes[1] is not extremes[0]:
                further = extremes[1].take(at, axis)
            np.fmin(cells[1], further, out=cells[1])
    return cells


def pooled_words(shape: tuple[int, ...], rows: int, columns: int) -> str:
    """What one pixel represents, where that is more than one cell: "one pixel = 3 × 2, strongest shown"."""
    down, across = (-(-cells // shown) for cells, shown in zip(shape, (rows, columns), strict=True))
    if down <= 1 and across <= 1:
        return ""
    return Phrase("one pixel = {1} × {2}, strongest shown", down, across)
