"""How numbers become colours: limits that ignore outliers, the names of scales, and numbers as text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.phrase import Phrase

Array = NDArray[Any]

PERCENTILE = 99.5
"""The percentile of |x| used as limit: GPT-2 has a few activations in the thousands, and the rest are about 2."""

BY_HAND = Phrase("set by hand")

_FEW, _FEW_OF_A_VECTOR, _FAR = 4, 0.02, 16.0
_LINES, _APART, _ABOVE = 0.05, 3.0, 2.0
_PIECE = 1 << 17  # cells compared at once, so that they stay in the processor's cache
_MANY, _SAMPLE = 1 << 14, 1 << 11
_WIDEST = 1e38


@dataclass(frozen=True)
class Levels:
    """A colour scale: from `low` to `high`, diverging around zero or sequential from zero.

    `power` 1 is a linear scale and 0.5 a square-root scale; `decades` > 0 is a logarithmic scale over that many powers
    of ten. Cells outside the limits have the colour of the nearest end. With `turned`, the smallest number has the
    strongest colour, as for ranks, where 1 matters most. With `centred`, the scale is for numbers minus the mean of
    their row. `rule` says what the limits were computed from, and `apart` how many outlying rows and columns were
    ignored for them.
    """

    low: float
    high: float
    diverging: bool = True
    power: float = 1.0
    decades: int = 0
    rule: str = ""
    apart: int = 0
    turned: bool = False
    centred: bool = False

    def fraction(self, values: Array) -> Array:
        """Numbers as fractions, 0 to 1, of the colour table; NaN stays NaN, and infinities go to the ends."""
        span = max(self.high - self.low, 1e-30)
        if self.decades:
            floor = self.high * 10.0**-self.decades
            with np.errstate(divide="ignore", invalid="ignore"):
                raised = np.log10(np.maximum(values, floor) / floor) / self.decades
            return np.clip(raised, 0, 1)
        if span > _WIDEST:  # the difference of two numbers of float32 may be beyond its largest
            values = np.asarray(values, np.float64)
        linear = np.clip((values - self.low) / span, 0, 1)
        raised = linear if self.power == 1 else linear**self.power
        return 1 - raised if self.turned else raised

    def is_beyond(self, values: Array) -> Array:
        """Which cells lie outside the limits; infinite cells (masked ones) do not count."""
        return ((values > self.high) | (values < self.low)) & np.isfinite(values)

    def beyond(self, *arrays: Array) -> int:
        """The number of cells that lie outside the limits."""
        return sum(
            _finite(piece, piece > self.high) + _finite(piece, piece < self.low)
            for flat in (np.ravel(a) for a in arrays)
            for piece in np.array_split(flat, 1 + flat.size // _PIECE)
        )

    def limited(self, limit: float | None) -> "Levels":
        """The scale with a limit that the user set; unchanged if that is None or not above `low` (0.1 for ranks)."""
        if limit is None or (not self.diverging and limit <= self.low):
            return self
        return replace(self, low=-limit if self.diverging else self.low, high=limit, rule=BY_HAND, apart=0)

    @property
    def scale_name(self) -> str:
        """The name of the scale, if it is not a linear one of the numbers themselves; else ""."""
        if self.centred:
            return Phrase("less the mean of its row")
        if self.decades:
            return Phrase("log, {1} decades", self.decades)
        return {0.5: Phrase("square root"), 0.25: Phrase("fourth root")}.get(self.power, "")


def _finite(values: Array, chosen: Array) -> int:
    """How many of the chosen cells are finite. In most views no cell is chosen."""
    return int(np.isfinite(values[chosen]).sum()) if np.count_nonzero(chosen) else 0


def diverging(*arrays: Array, rule: str = Phrase("this view")) -> Levels:
    """Limits centred on zero at the 99.5th percentile of |x| over all finite cells.

    Outliers do not determine the limits, whatever the length of the text:

    - A few whole columns or rows (the key that every query attends to, dimensions that are large in every token,
      position 0). Up to a twentieth of them, or two if that is more, are ignored if the percentile without them is less
      than a third of the percentile with them.
    - A few cells. Up to four per array, or a fiftieth of a vector, are ignored if they are sixteen times larger than
      all others.
    """
    tables = [table for a in arrays for table in _tables(a)]
    sizes, apart = _Sizes(tables), 0
    whole = sizes.percentile()
    for axis in (0, 1):
        lines = _leave_out(tables, sizes, whole, axis)
        if lines:
            sizes, apart = _Sizes(tables), apart + lines
            whole = sizes.percentile()
    few = sum(max(_FEW, math.ceil(_FEW_OF_A_VECTOR * t.size)) if len(t) == 1 else _FEW for t in tables)
    limit = _limit(sizes, whole, few) or float(sizes.cells.max(initial=0)) or 1.0
    return Levels(-limit, limit, rule=rule, apart=apart)


def _tables(values: Array) -> list[Array]:
    """|x| as tables [row, column], one for each matrix of a stack; -1 where a cell is masked or missing."""
    sizes = np.abs(values)
    if not np.isfinite(sizes.max(initial=0)):  # the maximum is NaN if any cell is
        least = sizes.dtype.type(-1)
        np.fmax(sizes, least, out=sizes)  # which is not NaN where one of the two is a number
        if sizes.max() == np.inf:
            sizes[sizes == np.inf] = least
    if sizes.ndim < 2 or not sizes.size:
        return [sizes.reshape(1, -1)]
    return list(sizes.reshape(-1, *sizes.shape[-2:]))


class _Sizes:
    """The cells of tables as one flat array, in the order in which they are in memory, and how many are present."""

    def __init__(self, tables: Sequence[Array]) -> None:
        flat = [t.ravel(order="K") for t in tables]
        self.cells: Array = flat[0] if len(flat) == 1 else np.concatenate(flat or [np.zeros(0)])
        self.count = int(np.count_nonzero(self.cells >= 0))

    def percentile(self) -> float:
        """The percentile of the cells that are present, or 0 if none is."""
        return float(self.largest(self.count - _rank(self.count))[0]) if self.count else 0.0

    def largest(self, count: int) -> Array:
        """The `count` largest cells, at most as many as are present; the smallest is first, the others in any order."""
        cells = self.cells
        if cells.size > _MANY:
            # For this many cells, a sorted sample gives an approximate threshold, and one comparison discards most.
            # An odd step takes cells from every column, not always from the same few of a table of 1,024.
            sample = np.sort(cells[:: cells.size // _SAMPLE | 1])
            guess = sample[max(0, sample.size - 2 * math.ceil(sample.size * count / cells.size) - 4)]
            large = cells[cells >= guess]
            if large.size >= count:
                cells = large
        first = cells.size - count
        return np.partition(cells, first)[first:]


def _leave_out(tables: list[Array], sizes: _Sizes, whole: float, axis: int) -> int:
    """Remove outlying columns (`axis` 0) or rows (1) from `tables`; return how many were removed.

    `sizes` are the cells of the tables, and `whole` is their percentile. Only columns or rows of at least two cells are
    removed: the cells of a vector are judged one by one.
    """
    counts = [t.shape[1 - axis] if t.shape[axis] > 1 else 0 for t in tables]
    most = [min(max(2, math.ceil(_LINES * n)), n // 2) for n in counts]
    if not sizes.count or not any(most):
        return 0
    # The percentile falls most if the lines that hold the largest cells are removed. If it would stay above whole /
    # _APART even then, there are no outliers; counting cells shows that faster than sorting them.
    left = sizes.count - sum(n * t.shape[axis] for n, t in zip(most, tables, strict=True))
    large = np.count_nonzero(sizes.cells >= whole / _APART)
    if left > 0 and large >= sizes.count - _rank(left):
        return 0
    per_line = [np.sort(np.count_nonzero(t >= whole / _APART, axis=axis)) for t in tables]
    held = sum(int(counts[counts.size - n :].sum()) for counts, n in zip(per_line, most, strict=True))
    if large - held >= sizes.count - _rank(sizes.count):
        return 0
    typical = [_middle(t, axis) for t in tables]
    strongest = [np.argsort(-m, kind="stable")[:n] for m, n in zip(typical, most, strict=True)]
    core = _Sizes([np.delete(t, lines, 1 - axis) for t, lines in zip(tables, strongest, strict=True)]).percentile()
    if not 0 < _APART * core < whole:
        return 0
    # Of these lines, remove only those that are far above the rest.
    apart = [lines[m[lines] > _ABOVE * core] for m, lines in zip(typical, strongest, strict=True)]
    tables[:] = [np.delete(t, lines, 1 - axis) for t, lines in zip(tables, apart, strict=True)]
    return sum(map(len, apart))


def _middle(table: Array, axis: int) -> Array:
    """The lower median along an axis; masked or missing cells count as the smallest."""
    across = np.ascontiguousarray(table.T if axis == 0 else table)
    if not across.shape[1]:
        return np.zeros(len(across))
    middle = (across.shape[1] - 1) // 2
    return np.partition(across, middle, axis=1)[:, middle]


def _rank(count: int) -> int:
    """The index of the percentile among `count` sorted cells: an existing cell, not an interpolated value."""
    return math.ceil((count - 1) * PERCENTILE / 100)


def _limit(sizes: _Sizes, whole: float, most: int) -> float:
    """The percentile of `sizes` or, if smaller, the largest cell below a wide gap with at most `most` cells above."""
    if not sizes.count:
        return 1.0
    first = max(0, sizes.count - most - 1)
    if first >= _rank(sizes.count):
        return whole  # the percentile is below any such gap
    last = np.sort(sizes.largest(sizes.count - first))
    wide = np.flatnonzero((last[1:] > _FAR * last[:-1]) & (last[:-1] > 0))
    return float(min(whole, last[wide[0]] if wide.size else np.inf))


def unit(scale: str = "linear") -> Levels:
    """Limits 0 to 1, for attention patterns, on a linear, square-root ("sqrt") or logarithmic ("log") scale."""
    return Levels(
        0,
        1,
        diverging=False,
        power=0.5 if scale == "sqrt" else 1.0,
        decades=4 if scale == "log" else 0,
        rule=Phrase("fixed, 0 to 1"),
    )


def number(value: float) -> str:
    """A number for an axis or a readout: four significant digits, a minus sign (U+2212), no spurious zeros."""
    return "".join(_written(value))


def short(value: float) -> str:
    """A number for a limit or a tick: three significant digits, no trailing zeros."""
    sign, digits, power = _written(float(f"{value:.3g}"))
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return sign + power.removeprefix("·") if digits == "1" and power else sign + digits + power


def _written(value: float) -> tuple[str, str, str]:
    """The sign and the digits of a number, and the power of ten by which they are multiplied; "" if there is none."""
    if np.isnan(value):
        return "", "not a number", ""
    sign = "−" if value < 0 else ""
    if np.isinf(value):
        return sign, "∞", ""
    size = abs(float(f"{value:.4g}"))  # rounded first, so that 9.99996 becomes 10.00, not 10.000
    if size == 0:
        return "", "0", ""
    if size >= 1e5 or size < 1e-3:
        return sign, *_power(size, 3)
    decimals = 0 if size >= 1000 else max(0, 3 - _exponent(size))
    return sign, f"{size:.{decimals}f}", ""


def cell_text(value: float, *, share: bool = False) -> str:
    """A number for display inside a cell: at most two decimals, or two significant digits if it is small; "" for NaN.

    A `share`, a number from 0 to 1, is written as 1.00 only if it is exactly 1.
    """
    if np.isnan(value):
        return ""
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 99.95:
        text = f"{size:.0f}" if size < 99999.5 else "".join(_power(size, 2))
    elif size >= 9.995:
        text = f"{size:.1f}"
    elif share and 0.995 <= size < 1:
        text = f"{size:.{min(4, -_exponent(1 - size))}f}"
        text = ">0.9999" if text == "1.0000" else text
    elif size >= 0.0995:
        text = f"{size:.2f}"
    else:
        rounded = float(f"{size:.1e}")
        text = f"{rounded:.{1 - _exponent(rounded)}f}" if rounded >= 1e-3 else "".join(_power(size, 2))
    return ("−" if value < 0 else "") + text


def fraction_text(value: float, places: int) -> str:
    """A number from -1 to 1 with this many decimals and without the 0 before them; what rounds to 0 has no sign."""
    return f"{value:z.{places}f}".replace("-", "−").replace("0.", ".")


class Percent(str):
    """A percentage as text. Charts recognise the type and write it with their own number format."""

    __slots__ = ()


def percent(probability: float) -> str:
    """A probability in per cent, never rounded to 0 or 100: 22.4 %, 0.41 %, 0.0031 %, 4.2·10⁻⁷ %, 99.997 %."""
    if not math.isfinite(probability):
        return Percent(number(probability))
    return Percent(f"{_hundredths(100 * probability, certain=probability >= 1)} %")


def _hundredths(value: float, *, certain: bool) -> str:
    if value == 0:
        return "0"
    rounded = float(f"{value:.2g}")
    if value >= 99.95 and not certain:
        # A probability below 1 is not shown as 100: its digits are written up to the first that is not 9, if they fit.
        decimals = -_exponent(100 - value)
        return f"{value:.{max(2, decimals)}f}" if decimals <= 4 else ">99.9999"
    if rounded >= 10:
        return f"{value:.1f}"
    return f"{rounded:.{max(1, 1 - _exponent(rounded))}f}" if rounded >= 1e-4 else "".join(_power(rounded, 2))


def share_text(probability: float) -> Percent:
    """A probability in per cent with two decimals, for a column of a chart: 0.41 %, <0.01 %, >99.99 %."""
    if 0 < probability < 0.00005:
        return Percent("<0.01 %")
    if 0.99995 <= probability < 1:
        return Percent(">99.99 %")
    return Percent(f"{100 * probability:.2f} %" if probability else "0 %")


def _exponent(size: float) -> int:
    """The decimal exponent of a positive number."""
    return int(f"{size:e}".split("e")[1])


def _power(size: float, digits: int) -> tuple[str, str]:
    """A positive number as mantissa and power of ten: 1.23 and ·10⁻⁷."""
    mantissa, exponent = f"{size:.{digits - 1}e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return mantissa, f"·10{raised}"
