"""Rounding to int8 by groups, in plain numpy: each number a whole multiple of its group's largest over 127."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

GROUP = 128
"""How many numbers in a row share a scale."""


def codes_of(x: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Whole numbers from -127 to 127, [..., group, GROUP], and scales, [..., group], of groups along the last axis.

    The last group is filled up with zeros. All in float32, as the kernels compute it: a half goes to the even number.
    """
    length = x.shape[-1]
    groups = -(-length // GROUP)
    wide = np.zeros((*x.shape[:-1], groups * GROUP), np.float32)
    wide[..., :length] = x
    wide = wide.reshape(*x.shape[:-1], groups, GROUP)
    scales = np.abs(wide).max(-1) / np.float32(127)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(wide, scales[..., None], out=wide)
    np.nan_to_num(wide, copy=False, nan=0.0)  # a group of zeros
    return np.rint(wide, out=wide), scales


def rounded(x: Array, axis: int = -1) -> Array:
    """The numbers that stand for `x` in an int8 product that sums over `axis`; same shape and dtype."""
    along = np.moveaxis(x, axis, -1)
    whole, scales = codes_of(along)
    flat = (whole * scales[..., None]).astype(x.dtype, copy=False).reshape(*along.shape[:-1], -1)
    return np.ascontiguousarray(np.moveaxis(flat[..., : along.shape[-1]], -1, axis))
