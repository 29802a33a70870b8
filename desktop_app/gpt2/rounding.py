"""Rounding to int8 in groups, in plain numpy: each number becomes a multiple of its group's scale, max |x| / 127."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

GROUP = 128
"""The number of consecutive numbers that share a scale."""


def codes_of(x: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Integers from -127 to 127, [..., group, GROUP], and scales, [..., group], of groups along the last axis.

    The last group is padded with zeros. Everything is float32 and bit-identical to onnxruntime's x86 kernels (MLAS,
    QuantizeARow_CompInt8): a number is multiplied by 127 / largest, not divided by the scale; halves are rounded to
    even.
    """
    length = x.shape[-1]
    groups = -(-length // GROUP)
    wide = np.zeros((*x.shape[:-1], groups * GROUP), np.float32)
    wide[..., :length] = x
    wide = wide.reshape(*x.shape[:-1], groups, GROUP)
    largest = np.abs(wide).max(-1)
    # A group whose largest magnitude is below 1e-36 counts as zero: 127 divided by it would overflow float32.
    steps = np.float32(127) / np.where(largest < 1e-36, np.float32(np.inf), largest)
    wide *= steps[..., None]
    return np.rint(wide, out=wide), largest / np.float32(127)


def rounded(x: Array, axis: int = -1) -> Array:
    """The numbers that replace `x` in an int8 product that sums over `axis`; same shape and dtype."""
    along = np.moveaxis(x, axis, -1)
    whole, scales = codes_of(along)
    flat = (whole * scales[..., None]).astype(x.dtype, copy=False).reshape(*along.shape[:-1], -1)
    return np.ascontiguousarray(np.moveaxis(flat[..., : along.shape[-1]], -1, axis))
