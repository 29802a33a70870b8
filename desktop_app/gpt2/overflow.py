"""Numbers beyond the largest that their type holds are shown as ∞, and what they make undefined as "not a number"."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from desktop_app.gpt2.errors import ModelError

without_warnings = np.errstate(all="ignore")
"""A decorator of functions whose results are shown: numpy's warnings of overflow would only repeat on the console what
the view says."""


@contextmanager
def decomposing() -> Iterator[None]:
    """Raise ModelError if a matrix cannot be decomposed, as one with an infinite number cannot."""
    try:
        yield
    except np.linalg.LinAlgError as reason:
        raise ModelError(
            "The weights are too large for this: a matrix computed from them has numbers that are not finite."
        ) from reason
