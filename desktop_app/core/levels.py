"""How numbers become colours: limits that survive outliers, and scales that are said out loud."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PERCENTILE = 99.5
"""Limits stand at this percentile of |x|: GPT-2 has a few activations in the thousands where the rest is about 2."""

_FEW, _FAR = 4, 20.0

_SAMPLE = 65_536  # above this many cells every n-th is looked at; limits need no more


@dataclass(frozen=True)
class Levels:
    """A colour scale: from `low` to `high`, diverging around zero or sequential from zero.

    `power` 0.5 is a square-root scale, 1 linear; `decades` > 0 a logarithmic one over so many powers of ten.
    `beyond` counts the cells outside, which take the end colour; `rule` says where the limits come from.
    """

    low: float
    high: float
    diverging: bool = True
    power: float = 1.0
    decades: int = 0
    beyond: int = 0
    rule: str = ""

    def fraction(self, values: Array) -> Array:
        """Values -> 0..1 along the colour table; NaN stays NaN, infinities go to the ends."""
        span = max(self.high - self.low, 1e-30)
        if self.decades:
            floor = self.high * 10.0**-self.decades
            with np.errstate(divide="ignore", invalid="ignore"):
                raised = np.log10(np.maximum(values, floor) / floor) / self.decades
            return np.clip(raised, 0, 1)
        linear = np.clip((values - self.low) / span, 0, 1)
        return linear if self.power == 1 else linear**self.power

    @property
    def scale_name(self) -> str:
        """In words, where the scale is not linear."""
        if self.decades:
            return f"log, {self.decades} decades"
        return "square root" if self.power == 0.5 else ""


def _sampled(arrays: Sequence[Array]) -> Array:
    cells = sum(a.size for a in arrays)
    step = max(1, cells // _SAMPLE)
    found = [np.ravel(a)[::step] for a in arrays]
    joined = np.concatenate(found) if found else np.zeros(0)
    return joined[np.isfinite(joined)]


def diverging(*arrays: Array, rule: str = "this view") -> Levels:
    """Limits centred on zero at the 99.5th percentile of |x| of the finite cells.

    In a short vector three enormous cells are more than half a per cent of it: up to four cells an array that stand
    twenty times above all others are left out as well.
    """
    sample = np.abs(_sampled(arrays))
    limit = _limit(sample, _FEW * len(arrays)) or float(sample.max(initial=0)) or 1.0
    beyond = sum(int(np.count_nonzero(np.abs(a) > limit)) - int(np.count_nonzero(np.isinf(a))) for a in arrays)
    return Levels(-limit, limit, beyond=beyond, rule=rule)


def _limit(sizes: Array, most: int) -> float:
    """The percentile of `sizes`, or the largest below a wide gap with at most `most` above it, whichever is less."""
    if not sizes.size:
        return 1.0
    # A cell that is there, not a number between two: a view of a few cells then has none beyond its limits.
    rank = math.ceil((sizes.size - 1) * PERCENTILE / 100)
    first = min(rank, max(0, sizes.size - most - 1))
    top = np.sort(np.partition(sizes, first)[first:])
    last = top[-most - 1 :]
    wide = np.flatnonzero((last[1:] > _FAR * last[:-1]) & (last[:-1] > 0))
    return float(min(top[rank - first], last[wide[0]] if wide.size else np.inf))


def unit(scale: str = "linear") -> Levels:
    """Limits 0 to 1 for patterns, on a linear, square-root ("sqrt") or logarithmic ("log") scale."""
    return Levels(
        0,
        1,
        diverging=False,
        power=0.5 if scale == "sqrt" else 1.0,
        decades=4 if scale == "log" else 0,
        rule="fixed, 0 to 1",
    )


def number(value: float) -> str:
    """A number for an axis or a readout: four significant digits, a real minus sign, no false zeros."""
    if np.isnan(value):
        return "not a number"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(float(f"{value:.4g}"))  # rounded first: 9.99996 is 10.00, not 10.000
    if size == 0:
        text = "0"
    elif size >= 1e5 or size < 1e-3:
        text = _power(size, 3)
    elif size >= 1000:
        text = f"{size:.0f}"
    else:
        text = f"{size:.{max(0, 3 - _exponent(size))}f}"
    return ("−" if value < 0 and size else "") + text


def short(value: float) -> str:
    """A limit or a tick: three significant digits, no zeros at the end."""
    text = number(float(f"{value:.3g}"))
    if "·" in text:
        mantissa, power = text.split("·")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return power if mantissa == "1" else f"−{power}" if mantissa == "−1" else f"{mantissa}·{power}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(probability: float) -> str:
    """A probability in per cent, honest at both ends: 22.4 %, 0.41 %, 0.0031 %, 4.2·10⁻⁷ %, 99.997 %."""
    value = 100 * probability
    if value == 0:
        return "0 %"
    rounded = float(f"{value:.2g}")
    if value >= 99.95 and probability < 1:
        # What is not certain is not called so: nines until the first other digit, as far as a label has room.
        decimals = -_exponent(100 - value)
        return f"{value:.{max(2, decimals)}f} %" if decimals <= 4 else ">99.9999 %"
    if rounded >= 10:
        return f"{value:.1f} %"
    if rounded >= 1e-4:
        return f"{rounded:.{max(1, 1 - _exponent(rounded))}f} %"
    return f"{_power(rounded, 2)} %"


def _exponent(size: float) -> int:
    """The power of ten of a positive number's first digit."""
    return int(f"{size:e}".split("e")[1])


def _power(size: float, digits: int) -> str:
    """A positive number as 1.23·10⁻⁷."""
    mantissa, exponent = f"{size:.{digits - 1}e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}·10{raised}"
