"""Whether the terms of a decomposition add up to the number that the model computed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TOLERANCE = 1e-4
"""The largest difference, relative to the largest term (or to 1, if greater), that counts as float32 rounding."""

Progress = Callable[[float], None]
"""A callback that receives the fraction of the work done, from 0 to 1."""


def unheard(_share: float) -> None:
    """The default `progress`: do nothing."""


@dataclass(frozen=True)
class Closing:
    """A sum and the number that it must equal: `found` is the sum of the terms, `own` the number computed by the model.

    If several sums were compared, this is the one with the largest difference, at `index`. `largest` is the largest
    absolute term.
    """

    name: str
    found: float
    own: float
    largest: float
    index: tuple[int, ...] = ()

    @property
    def difference(self) -> float:
        """How far the sum is from the model's number; NaN if either is NaN."""
        return abs(self.found - self.own)

    @property
    def limit(self) -> float:
        """The largest difference that counts as rounding."""
        return TOLERANCE * max(1.0, self.largest)

    @property
    def good(self) -> bool:
        """Whether the difference is within the limit."""
        return self.difference <= self.limit


def closing(name: str, found: Array | float, own: Array | float, largest: Array | float) -> Closing:
    """The closing of that sum in `found` which differs most from `own`, an array of the same shape.

    `largest` is the largest absolute term, of each sum or of all.
    """
    one, other, most = (np.asarray(array, np.float64) for array in np.broadcast_arrays(found, own, largest))
    with np.errstate(all="ignore"):
        over = np.abs(one - other) / np.maximum(1.0, most)
    over = np.where(np.isnan(over), np.inf, over)
    index = np.unravel_index(int(np.argmax(over)), over.shape)
    at = tuple(int(i) for i in index)
    return Closing(name, float(one[at]), float(other[at]), float(most[at]), at)
