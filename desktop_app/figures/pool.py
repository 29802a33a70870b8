"""Downscales pictures so that each pixel shows the strongest (largest |x|) of the cells that fall on it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.phrase import Phrase

Array = NDArray[Any]

_PIECE = 1 << 17  # cells reduced at once: they stay in the processor's cache


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
    (k+1)*r//n. If a block has both x and -x, x is shown. Floats keep their precision. `signed` may be False if no
    value is negative.
    """
    rows, columns = (min(cells, max(1, most)) for cells, most in zip(values.shape, (rows, columns), strict=True))
    if values.shape == (rows, columns):
        return values
    floats = values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
    down, across = (np.arange(n + 1) * length // n for n, length in zip((rows, columns), floats.shape, strict=True))
    found = np.empty((rows, columns), floats.dtype)
    step = max(1, _PIECE * rows // max(1, floats.size))
    for top in range(0, rows, step):
        edges = down[top : top + step + 1]
        band = floats[edges[0] : edges[-1]]
        extremes = [band, band] if signed else [band]  # the highest, and the lowest
        extremes = _reduced(_reduced(extremes, edges - edges[0], 0), across, 1)
        found[top : top + step] = (
            np.where(extremes[0] >= -extremes[1], extremes[0], extremes[1]) if signed else extremes[0]
        )
    return found


def _reduced(extremes: list[Array], edges: Array, axis: int) -> list[Array]:
    """Along an axis, the highest of each block of the first array, and the lowest of the second, if there is one."""
    starts, last = edges[:-1], edges[1:] - 1
    most = int((last - starts).max(initial=0))
    if not most:
        return extremes
    cells = [x.take(starts, axis) for x in extremes]
    for step in range(1, most + 1):
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
