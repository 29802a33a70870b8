"""Whether what was taken apart adds up to the model's own number."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TOLERANCE = 1e-4
"""Largest difference, against the largest term (or 1, if that is more), that counts as float32 rounding."""

Progress = Callable[[float], None]
"""Hears the share of the work that is done, from 0 to 1."""


def unheard(_share: float) -> None:
    """The `progress` of callers that do not ask for it."""


@dataclass(frozen=True)
class Closing:
    """A sum beside the number that it must be: `found` what the terms add up to, `own` the model's own number.

    Of several sums it is the worst one, at `index`. `largest` is the largest absolute term.
    """

    name: str
    found: float
    own: float
    largest: float
    index: tuple[int, ...] = ()

    @property
    def difference(self) -> float:
        """How far the sum is from the model's own number; NaN if either is NaN."""
        return abs(self.found - self.own)

    @property
    def limit(self) -> float:
        """The difference up to which this counts as rounding."""
        return TOLERANCE * max(1.0, self.largest)

    @property
    def good(self) -> bool:
        """Whether it closes."""
        return self.difference <= self.limit


def closing(name: str, found: Array | float, own: Array | float, largest: Array | float) -> Closing:
    """The worst of sums `found` beside `own` (of one shape); `largest` is the largest absolute term of each or all."""
    one, other, most = (np.asarray(array, np.float64) for array in np.broadcast_arrays(found, own, largest))
    with np.errstate(all="ignore"):
        over = np.abs(one - other) / np.maximum(1.0, most)
    over = np.where(np.isnan(over), np.inf, over)
    index = np.unravel_index(int(np.argmax(over)), over.shape)
    at = tuple(int(i) for i in index)
    return Closing(name, float(one[at]), float(other[at]), float(most[at]), at)
