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

    NaN counts as nothing; a block of NaN alone stays NaN. Block k of n of a side holds cells k*r//n to (k+1)*r//n. Of
    x and -x in one block x is shown. Floats stay of their precision.
    """
    if values.shape[0] <= max(1, rows) and values.shape[1] <= max(1, columns):
        return values
    keys = _strongest(_strongest(_keys(values), max(1, rows), 0), max(1, columns), 1)
    return _floats(keys)


_WORDS: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.float32): np.dtype(np.uint32),
    np.dtype(np.float64): np.dtype(np.uint64),
}


def _keys(values: Array) -> Array:
    """Floats as whole numbers in the order of their strength, which compare many times faster: 0 for NaN.

    The bits of a positive IEEE 754 number grow with it, so |x|'s bits shifted up by one order numbers by strength; the
    freed lowest bit is 1 for positive ones.
    """
    floats = np.ascontiguousarray(values if values.dtype in _WORDS else values.astype(np.float64))
    bits = floats.view(_WORDS[floats.dtype])
    one = bits.dtype.type(1)
    keys = (bits << one) + one  # what the sign was is shifted out
    keys += one - (bits >> bits.dtype.type(8 * bits.itemsize - 1))
    keys[np.isnan(floats)] = 0
    return keys


def _floats(keys: Array) -> Array:
    one = keys.dtype.type(1)
    top = keys.dtype.type(8 * keys.itemsize - 1)
    plain = keys - one  # wraps for NaN, which is put back below
    positive = plain & one
    bits = (plain >> one) | ((one - positive) << top)
    floats: Array = bits.view(np.float32 if keys.dtype == np.uint32 else np.float64)
    return np.where(keys == 0, floats.dtype.type(np.nan), floats)


def _strongest(keys: Array, count: int, axis: int) -> Array:
    length = keys.shape[axis]
    if length <= count:
        return keys
    edges = np.arange(count + 1) * length // count
    starts, last = edges[:-1], edges[1:] - 1
    found = keys.take(starts, axis)
    for step in range(1, int((last - starts).max()) + 1):
        np.maximum(found, keys.take(np.minimum(starts + step, last), axis), out=found)
    return found


def pooled_words(shape: tuple[int, ...], rows: int, columns: int) -> str:
    """What a pixel of so many stands for, where it is more than one cell: "one pixel = 3 × 2, strongest shown"."""
    down, across = (-(-cells // shown) for cells, shown in zip(shape, (rows, columns), strict=True))
    if down <= 1 and across <= 1:
        return ""
    return f"one pixel = {down} × {across}, strongest shown"
