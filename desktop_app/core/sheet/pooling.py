"""What a picture of the sheet shows at a given size: its cells or, if they are smaller than a pixel, pooled cells.

A pooled pixel represents rows x columns of one tensor, and shows the number of largest magnitude, with its sign.
Nothing is averaged and nothing is left out, so that a single strong cell is visible at any size.
"""

import numpy as np

from desktop_app.core.panels import Array
from desktop_app.core.sheet.layout import Plate


def factors(plate: Plate, units: int) -> tuple[int, int]:
    """How many rows and columns of a plate a pixel of `units` x `units` represents."""
    return max(1, units // plate.cell_h), max(1, units // plate.cell_w)


def strongest(values: Array, rows: int, columns: int) -> Array:
    """`values` [r, c] with each block of `rows` x `columns` replaced by its number of largest magnitude, with sign.

    Missing cells (NaN) are ignored; a block of only missing cells gives NaN. Of x and -x in a block, x is shown.
    """
    found = np.ascontiguousarray(values, np.float32)
    high = low = found
    for axis, by in ((1, columns), (0, rows)):
        if by > 1:
            high, low = _blocks(np.fmax, high, by, axis), _blocks(np.fmin, low, by, axis)
    return high if high is found else np.where(high >= -low, high, np.where(np.isnan(low), high, low))


def _blocks(extreme: np.ufunc, values: Array, by: int, axis: int) -> Array:
    starts = np.arange(0, values.shape[axis], by)
    # Whole blocks are pooled by strided slices, which numpy does at memory speed; the remainder follows separately.
    whole = values.shape[axis] // by
    if whole == 0:
        return np.asarray(extreme.reduceat(values, starts, axis))
    cut = values.take(range(whole * by), axis) if whole * by < values.shape[axis] else values
    shape = (*values.shape[:axis], whole, by, *values.shape[axis + 1 :])
    blocks = cut.reshape(shape)
    found = np.take(blocks, 0, axis + 1)
    for n in range(1, by):
        found = extreme(found, np.take(blocks, n, axis + 1))
    if whole * by < values.shape[axis]:
        rest = extreme.reduce(values.take(range(whole * by, values.shape[axis]), axis), axis=axis, keepdims=True)
        found = np.concatenate([found, rest], axis)
    return found
