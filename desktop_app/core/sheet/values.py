"""What a picture of the sheet shows at a given size: its cells or, if they are smaller than a pixel, pooled cells.

A pooled pixel represents rows x columns of one tensor, and shows the number of largest magnitude, with its sign.
Nothing is averaged and nothing is left out, so a single strong cell is visible from far away.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from desktop_app.core.levels import Levels, diverging, unit
from desktop_app.core.panels import Array
from desktop_app.core.sheet.layout import Plate, lay_out_sheet
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.mask import mask_of
from desktop_app.gpt2.phrase import Phrase
from desktop_app.gpt2.trace import Trace

_KEPT = 48 << 20  # bytes of pooled numbers cached for the next tile
_PIECE = 1 << 18  # pooled numbers computed together
_READ = 1 << 20  # numbers of a tensor read at once
_JUDGED = 1 << 19  # numbers from which colour limits are chosen
_LOGIT_ROWS = 8
_TAKEN = 24_000_000  # maximum of numbers sent to a drawing process (A0 at 150 dpi has 35 million pixels)


Check = Callable[[], None]
"""Called between two steps of a long computation: raises Cancelled if the result is no longer wanted."""


def _go_on() -> None: ...


def factors(plate: Plate, units: int) -> tuple[int, int]:
    """How many rows and columns of a plate a pixel of `units` x `units` represents."""
    return max(1, units // plate.cell_h), max(1, units // plate.cell_w)


def strongest(values: Array, rows: int, columns: int) -> Array:
    """`values` [r, c] with each block of `rows` x `columns` replaced by its member of largest magnitude, sign kept.

    Missing cells (NaN) are ignored; a block of only missing cells is NaN. Of x and -x in a block x is shown.
    """
    found = np.ascontiguousarray(values, np.float32)
    high = low = found
    for axis, by in ((1, columns), (0, rows)):
        if by > 1:
            high, low = _blocks(np.fmax, high, by, axis), _blocks(np.fmin, low, by, axis)
    return high if high is found else np.where(high >= -low, high, np.where(np.isnan(low), high, low))


def _blocks(extreme: np.ufunc, values: Array, by: int, axis: int) -> Array:
    starts = np.arange(0, values.shape[axis], by)
    # Whole blocks by strides, which numpy does at memory speed; the remainder at the end separately.
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


class SheetValues:
    """Reads the tensors of one pass for its sheet. Caches the latest pooled values, up to a limit; thread-safe."""

    units = 1
    """How many units of the sheet the finest available pixel represents."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._lock = threading.Lock()
        self._pieces: OrderedDict[tuple[str, int | None, int, int, int], Array] = OrderedDict()
        self._held = 0
        self._levels: dict[str, Levels] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle for a drawing process: every plate's numbers or, if they are too many, pooled ones that fit."""
        sheet = lay_out_sheet(self.trace.config, len(self.trace))
        units = 1
        while sum(p.rows * p.columns / math.prod(factors(p, units)) for p in sheet.plates) > _TAKEN:
            units *= 2
        plates = [plate for plate in sheet.plates if plate.axes > 1]
        taken = {
            (p.name, p.head, p.first): self.pooled(p, units, range(-(-p.rows // factors(p, units)[0]))) for p in plates
        }
        levels = {name: self.levels(name) for name in dict.fromkeys(p.name for p in plates)}
        return TakenValues, (units, taken, levels)

    def cells(self, plate: Plate, rows: range, columns: range) -> Array:
        """The numbers of a part of a plate, not pooled; NaN where the mask hides a cell."""
        found = self._read(plate.name, plate.head, rows.start, rows.stop)
        return found[:, plate.first + columns.start : plate.first + columns.stop]

    def pooled(self, plate: Plate, units: int, rows: range, check: Check = _go_on) -> Array:
        """Pooled rows of a plate, with every column, at `units` per pixel; `rows` counts pooled rows."""
        by_row, by_column = factors(plate, units)
        cut = self._cut(plate)
        chunk = math.ceil(cut / by_column)
        width = math.ceil(self._width(plate) / cut) * chunk
        each = max(8, min(256, _PIECE // max(width, 1)))
        found = [
            self._piece(plate, by_row, by_column, n, each, check)
            for n in range(rows.start // each, -(-rows.stop // each))
        ]  # fmt: skip
        joined = found[0] if len(found) == 1 else np.concatenate(found)
        begin = rows.start - rows.start // each * each
        first = plate.first // cut * chunk
        return joined[begin : begin + len(rows), first : first + math.ceil(plate.columns / by_column)]

    def levels(self, name: str, scale: str = "linear") -> Levels:
        """The colour scale of a tensor: 0 to 1 for patterns, for others by the values of this tensor in this block.

        For a large tensor the values of evenly spaced rows are used, for the logits those of eight rows.
        """
        if name.endswith("attn.pattern"):
            return unit(scale)
        known = self._levels.get(name)
        if known is None:
            known = diverging(self._judged(name), rule=Phrase("this tensor"))
            self._levels[name] = known
        return known

    def _judged(self, name: str) -> Array:
        if name == "tokens":
            return np.zeros(1)
        trace = self.trace
        count = len(trace)
        if name == "logits":
            rows = np.unique(np.linspace(0, count - 1, min(count, _LOGIT_ROWS)).astype(int))
            return np.stack([trace.logits(int(row)) for row in rows])
        spec = trace.table[name].spec
        total = math.prod(spec.shape(trace.config, count))
        every = max(1, math.ceil(total / _JUDGED))
        found = trace.read(name, every=min(every, count))
        return np.where(np.isfinite(found), found, np.nan) if name.endswith("attn.masked") else found

    def _cut(self, plate: Plate) -> int:
        """The number of columns of the plate's tensor after which the next plate begins."""
        width = self._width(plate)
        return width if plate.head is not None else min(width, self.trace.config.n_embd)

    def _width(self, plate: Plate) -> int:
        spec = self.trace.table[plate.name].spec
        shape = spec.shape(self.trace.config, len(self.trace))
        return shape[-1] if len(shape) > 1 else 1

    def _piece(self, plate: Plate, by_row: int, by_column: int, n: int, each: int, check: Check) -> Array:
        key = (plate.name, plate.head, by_row, by_column, n)
        with self._lock:
            if key in self._pieces:
                self._pieces.move_to_end(key)
                return self._pieces[key]
        start, stop = n * each * by_row, min(len(self.trace), (n + 1) * each * by_row)
        at_once = max(by_row, _READ // max(1, self._width(plate)) // by_row * by_row)
        parts, cut = [], self._cut(plate)
        for low in range(start, stop, at_once):
            check()
            cells = self._read(plate.name, plate.head, low, min(stop, low + at_once))
            pieces = [
                strongest(cells[:, left : left + cut], by_row, by_column) for left in range(0, cells.shape[1], cut)
            ]
            parts.append(pieces[0] if len(pieces) == 1 else np.concatenate(pieces, 1))
        made = parts[0] if len(parts) == 1 else np.concatenate(parts)
        with self._lock:
            if key not in self._pieces:
                self._pieces[key] = made
                self._held += made.nbytes
                while self._held > _KEPT and len(self._pieces) > 1:
                    self._held -= self._pieces.popitem(last=False)[1].nbytes
        return made

    def _read(self, name: str, head: int | None, start: int, stop: int) -> Array:
        """Rows of a tensor, [row, column]; NaN where the mask hides a cell."""
        trace = self.trace
        found = trace.read_rows(name, stop, start, head=head)
        if found.ndim == 1:
            return found[:, None].astype(np.float32)
        if head is None or not name.endswith(("attn.masked", "attn.pattern")):
            return found
        layer = int(name.split(".")[1])
        mask = mask_of(trace.run.mask, trace.config)
        hidden = mask.hidden(trace.config, layer, np.arange(start, stop), np.arange(found.shape[-1]))
        return np.where(hidden[head if len(hidden) > 1 else 0], np.float32(np.nan), found)


class TakenValues(SheetValues):
    """The values of a sheet without its pass, as another process sent them: pooled at `units` per pixel, or coarser."""

    def __init__(self, units: int, taken: dict[tuple[str, int | None, int], Array], levels: dict[str, Levels]) -> None:
        self.units, self._taken, self._own = units, taken, levels

    def __reduce__(self) -> tuple[Any, ...]:
        return TakenValues, (self.units, self._taken, self._own)

    def cells(self, plate: Plate, rows: range, columns: range) -> Array:
        """The numbers of a part of a plate. Raises ExportError if only pooled ones were sent."""
        if self.units > 1:
            raise ExportError("This sheet holds pooled numbers alone; logitscope trace writes those of the whole pass.")
        found = self._taken[plate.name, plate.head, plate.first]
        return found[rows.start : rows.stop, columns.start : columns.stop]

    def pooled(self, plate: Plate, units: int, rows: range, check: Check = _go_on) -> Array:
        """Pooled rows of a plate; never finer than `self.units`."""
        check()
        own, asked = factors(plate, self.units), factors(plate, max(units, self.units))
        found = strongest(self._taken[plate.name, plate.head, plate.first], asked[0] // own[0], asked[1] // own[1])
        return found[rows.start : rows.stop]

    def levels(self, name: str, scale: str = "linear") -> Levels:
        """The colour scale of a tensor."""
        return unit(scale) if name.endswith("attn.pattern") else self._own[name]
