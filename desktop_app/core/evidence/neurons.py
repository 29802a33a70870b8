"""Statistics of every neuron of a block on a window, before and after the activation: sums, histograms, maxima.

Position 0 is counted separately, with its own sum and sum of squares: its values are nearly the same in every window,
and enormous in many models.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SIDES = ("pre", "post")
"""Before the activation, and after it."""

_LOWEST, _STEPS = 2 * (127 - 6), 24
HALF = _STEPS
BINS = 2 * HALF + 1
"""The number of bins of a histogram: one for |x| < 1/64 and, on each side, two per doubling, the last from 48 on."""


def edges() -> Array:
    """The bounds of the bins, [BINS - 1]; on the positive side, a value equal to a bound belongs to the bin above it.

    Bin n lies between bounds n-1 and n. They are 1/64, 1.5/64, 2/64, 3/64 ... 48 and their negatives.
    """
    upper = np.array([2.0 ** (k // 2 - 6) * (1 + (k % 2) / 2) for k in range(_STEPS)])
    return np.concatenate([-upper[::-1], upper])


def bins_of(values: Array) -> Array:
    """The bin of each float32 value, int16 of the same shape, from its sign, exponent and first bit of the mantissa.

    NaN is put into the outermost bin of its sign.
    """
    upper = np.ascontiguousarray(values, "<f4").view("<i2")[..., 1::2]  # sign, exponent, and seven bits of the mantissa
    size = upper & np.int16(0x7FFF)
    size >>= 6
    size -= _LOWEST - 1
    np.clip(size, 0, HALF, out=size)
    sign = upper >> np.int16(15)  # -1 where the value is negative, else 0
    size ^= sign
    size -= sign
    size += HALF
    return size


def first_greatest(values: Array) -> tuple[Array, Array]:
    """The largest value of each column of [row, column], and the first row in which it occurs."""
    most, rows = values.max(0), len(values)
    kind = np.uint8 if rows < 256 else np.uint16
    found = (values == most).view(np.uint8)
    # Faster than argmax along columns: matches are numbered down from the first row, so the first has the largest
    # number.
    return most, rows - (found * np.arange(rows, 0, -1, dtype=kind)[:, None]).max(0).astype(np.int32)


class NeuronCounts:
    """The counts of one block and side over several windows; all arrays are [neuron], `histogram` [neuron, bin]."""

    def __init__(self, neurons: int) -> None:
        self.sum = np.zeros(neurons)
        self.squares = np.zeros(neurons)
        self.positive = np.zeros(neurons, np.int64)
        self.first_sum = np.zeros(neurons)
        self.first_squares = np.zeros(neurons)
        self.histogram = np.zeros(neurons * BINS, np.int64)
        self._offsets = (np.arange(neurons) * BINS)[None]

    def add(self, values: Array) -> tuple[Array, Array]:
        """Count a window's values [pos, neuron]; return the largest from position 1 on, and where: [neuron] each."""
        body = values[1:]
        wide = body.astype(np.float64)
        self.sum += wide.sum(0)
        self.squares += np.einsum("pn,pn->n", wide, wide)
        self.positive += np.add.reduce((body > 0).view(np.int8), 0, np.int16)
        first = values[0].astype(np.float64)
        self.first_sum += first
        self.first_squares += first * first
        where = bins_of(body) + self._offsets
        self.histogram += np.bincount(where.reshape(-1), minlength=len(self.histogram))
        most, row = first_greatest(body)
        return most, row + 1

    def arrays(self) -> dict[str, Array]:
        """All counts, by name."""
        return {
            "sum": self.sum,
            "squares": self.squares,
            "positive": self.positive,
            "first_sum": self.first_sum,
            "first_squares": self.first_squares,
            "histogram": self.histogram.reshape(-1, BINS),
        }
