"""The numbers of a pass for its sheet: read from the trace, pooled for any size on screen, with colour scales."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from desktop_app.core.comparing.alignment import Alignment
from desktop_app.core.levels import Levels
from desktop_app.core.panels import Array
from desktop_app.core.sheet.layout import Plate, lay_out_sheet
from desktop_app.core.sheet.pooling import factors, strongest
from desktop_app.core.sheet.scales import MOST, Colours, Scale, chosen_columns, is_centred, is_diverging, joint, natural
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.mask import mask_of
from desktop_app.gpt2.trace import Trace

_KEPT = 48 << 20  # bytes of pooled numbers that are cached
_PIECE = 1 << 18  # pooled numbers computed at once
_READ = 1 << 20  # numbers of a tensor read at once
_TAKEN = 24_000_000  # the maximum count of numbers sent to a drawing process (A0 at 150 dpi has 35 million pixels)


Check = Callable[[], None]
"""Called between two parts of a long computation; raises Cancelled if the result is not needed any more."""


def _go_on() -> None: ...


@dataclass(eq=False)
class _Store:
    """What was computed from one pass, shared by all instances that show it in different colours."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    pieces: "OrderedDict[tuple[str, int | None, int, int, int], Array]" = field(default_factory=OrderedDict)
    held: int = 0  # size of `pieces` in bytes
    natural: dict[str, Levels] = field(default_factory=dict)
    scales: dict[tuple[object, ...], Scale] = field(default_factory=dict)
    less: "tuple[object, Alignment, _Store] | None" = None  # of the difference that was computed last
    identity: object = field(default_factory=object)
    """Represents this store in another's keys: two stores that refer to each other would keep both passes in memory."""


class SheetValues:
    """The tensors of one pass as the sheet shows them, with their colour scales.

    Caches every scale and, up to a limit, the pooled values used last. Thread-safe. `beside` are the passes with which
    it shares scales.
    """

    units = 1
    """How many units of the sheet the finest available pixel represents."""
    beside: "tuple[SheetValues, ...]" = ()

    def __init__(self, trace: Trace, colours: Colours = Colours()) -> None:  # noqa: B008 # it is immutable
        self.trace = trace
        self.colours = colours
        self._store = _Store()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle for a drawing process: every plate's numbers or, if they are too many, pooled numbers."""
        sheet = lay_out_sheet(self.trace.config, len(self.trace))
        units = 1
        while sum(p.rows * p.columns / math.prod(factors(p, units)) for p in sheet.plates) > _TAKEN:
            units *= 2
        taken = {
            (p.name, p.head, p.first): self.cells(p, range(p.rows), range(p.columns))
            if units == 1
            else self.pooled(p, units, range(-(-p.rows // factors(p, units)[0])))
            for p in sheet.plates
        }
        centred = (name for name in dict.fromkeys(p.name for p in sheet.plates) if units == 1 and self.is_centred(name))
        means = {name: _means(self._read(name, None, 0, len(self.trace))) for name in centred}
        # Token ids have no colours.
        scales = {name: self.scale(name) for name in dict.fromkeys(p.name for p in sheet.plates if p.axes > 1)}
        return TakenValues, (units, taken, means, scales, self.colours)

    # The same numbers in different colours

    def coloured(self, colours: Colours, beside: "Sequence[SheetValues]" = ()) -> Self:
        """The same numbers in different colours, on scales shared with those of `beside`."""
        if colours == self.colours and not beside and not self.beside:
            return self
        found = object.__new__(type(self))
        found.__dict__.update(self.__dict__, colours=colours, beside=tuple(beside))
        return found

    def same_numbers(self, other: "SheetValues") -> bool:
        """Whether both show the same numbers, whatever their colours."""
        return self._store is other._store

    def same_colours(self, other: "SheetValues") -> bool:
        """Whether both have the same scales, given that they show the same numbers."""
        return self._key("") == other._key("")

    def less(self, other: "SheetValues", alignment: Alignment = ()) -> "SheetValues":
        """The numbers of this pass minus those of another, where positions correspond by the alignment."""
        found, known = Difference(self, other, alignment), self._store.less
        if known is not None and known[0] is other._store.identity and known[1] == alignment:
            found._store = known[2]
        else:
            self._store.less = other._store.identity, alignment, found._store
        return found

    # Numbers

    def cells(self, plate: Plate, rows: range, columns: range) -> Array:
        """The numbers in a part of a plate, not pooled; NaN where the mask hides a cell."""
        found = self._read(plate.name, plate.head, rows.start, rows.stop)
        return found[:, plate.first + columns.start : plate.first + columns.stop]

    def shades(self, plate: Plate, rows: range, columns: range) -> Array:
        """The numbers by which a part of a plate is coloured: its cells, or those less the mean of their row."""
        found = self._shades(plate.name, plate.head, rows.start, rows.stop)
        return found[:, plate.first + columns.start : plate.first + columns.stop]

    def pooled(self, plate: Plate, units: int, rows: range, check: Check = _go_on) -> Array:
        """Pooled rows of a plate's shades, with every column, at `units` per pixel. `rows` counts pooled rows."""
        by_row, by_column = factors(plate, units)
        cut = self._cut(plate)
        chunk = math.ceil(cut / by_column)
        width = math.ceil(self._width_of(plate.name) / cut) * chunk
        each = max(8, min(256, _PIECE // max(width, 1)))
        found = [
            self._piece(plate, by_row, by_column, n, each, check)
            for n in range(rows.start // each, -(-rows.stop // each))
        ]  # fmt: skip
        joined = found[0] if len(found) == 1 else np.concatenate(found)
        begin = rows.start - rows.start // each * each
        first = plate.first // cut * chunk
        return joined[begin : begin + len(rows), first : first + math.ceil(plate.columns / by_column)]

    # Colours

    def is_diverging(self, name: str) -> bool:
        """Whether a tensor's scale is centred on zero."""
        return is_diverging(name)

    def is_centred(self, name: str) -> bool:
        """Whether a tensor's numbers are coloured less the mean of their row."""
        return is_centred(name)

    def levels(self, name: str) -> Levels:
        """The colour scale of a tensor: 0 to 1 for patterns, else from the values of this tensor in this block."""
        return self.scale(name).levels

    def scale(self, name: str, check: Check = _go_on) -> Scale:
        """A tensor's colour scale, and the number of cells beyond it; the first call reads the whole tensor."""
        found = self.known(name)
        if found is None:
            levels = self._fixed(name) or joint(one._natural(name, check) for one in (self, *self.beside))
            levels = replace(levels, centred=self.is_centred(name))
            beyond = sum(levels.beyond(piece) for _, piece in self._pieces_of(name, check))
            found = self._store.scales[self._key(name)] = Scale(levels, beyond)
        return found

    def known(self, name: str) -> Scale | None:
        """The scale of a tensor; None if it has not been computed yet."""
        return self._store.scales.get(self._key(name))

    def beyond(self, names: Sequence[str]) -> int:
        """The number of cells of these tensors that lie beyond their limits."""
        return sum(self.scale(name).beyond for name in names)

    def _key(self, name: str) -> tuple[object, ...]:
        return name, self.colours, *(one._store.identity for one in self.beside)

    def _fixed(self, name: str) -> Levels | None:
        return self.colours.fixed(name)

    def _natural(self, name: str, check: Check) -> Levels:
        known = self._store.natural.get(name)
        if known is None:
            known = self._store.natural[name] = self._judged(name, list(self._judged_tables(name, check)))
        return known

    def _judged(self, name: str, tables: list[Array]) -> Levels:
        return natural(name, self.trace.config, tables)

    def _judged_tables(self, name: str, check: Check) -> Iterator[Array]:
        """For each head, a table [row, column] of the whole tensor, or of the columns that are drawn."""
        heads = self._heads(name)
        most = max(1, MOST // (len(heads) * len(self.trace)))
        columns = [chosen_columns(self._width_of(name), most, head or 0) for head in heads]
        parts: list[list[Array]] = [[] for _ in heads]
        for n, piece in self._pieces_of(name, check):
            parts[n].append(piece if len(columns[n]) == piece.shape[1] else piece[:, columns[n]])
        return (np.concatenate(own) if len(own) > 1 else own[0] for own in parts)

    def _pieces_of(self, name: str, check: Check) -> Iterator[tuple[int, Array]]:
        """All shades of a tensor, a few rows of one head at a time, with the head's index in `_heads`."""
        at_once = max(1, _READ // self._width_of(name))
        for n, head in enumerate(self._heads(name)):
            for low in range(0, len(self.trace), at_once):
                check()
                yield n, self._shades(name, head, low, min(len(self.trace), low + at_once))

    def _heads(self, name: str) -> Sequence[int | None]:
        return range(self.trace.config.n_head) if self.trace.table[name].spec.per_head else (None,)

    # Reading and pooling

    def _cut(self, plate: Plate) -> int:
        """The number of columns of a tensor that one plate shows; the next plate begins after them."""
        width = self._width_of(plate.name)
        return width if plate.head is not None else min(width, self.trace.config.n_embd)

    def _width_of(self, name: str) -> int:
        shape = self.trace.table[name].spec.shape(self.trace.config, len(self.trace))
        return shape[-1] if len(shape) > 1 else 1

    def _piece(self, plate: Plate, by_row: int, by_column: int, n: int, each: int, check: Check) -> Array:
        key = (plate.name, plate.head, by_row, by_column, n)
        with self._store.lock:
            if key in self._store.pieces:
                self._store.pieces.move_to_end(key)
                return self._store.pieces[key]
        start, stop = n * each * by_row, min(len(self.trace), (n + 1) * each * by_row)
        at_once = max(by_row, _READ // max(1, self._width_of(plate.name)) // by_row * by_row)
        parts, cut = [], self._cut(plate)
        for low in range(start, stop, at_once):
            check()
            cells = self._shades(plate.name, plate.head, low, min(stop, low + at_once))
            pieces = [
                strongest(cells[:, left : left + cut], by_row, by_column) for left in range(0, cells.shape[1], cut)
            ]
            parts.append(pieces[0] if len(pieces) == 1 else np.concatenate(pieces, 1))
        made = parts[0] if len(parts) == 1 else np.concatenate(parts)
        with self._store.lock:
            if key not in self._store.pieces:
                self._store.pieces[key] = made
                self._store.held += made.nbytes
                while self._store.held > _KEPT and len(self._store.pieces) > 1:
                    self._store.held -= self._store.pieces.popitem(last=False)[1].nbytes
        return made

    def _shades(self, name: str, head: int | None, start: int, stop: int) -> Array:
        """Rows of a tensor as they are coloured."""
        found = self._read(name, head, start, stop)
        return found - _means(found)[:, None] if self.is_centred(name) else found

    def _read(self, name: str, head: int | None, start: int, stop: int) -> Array:
        """Rows of a tensor, [row, column]; NaN where the mask hides a cell."""
        trace = self.trace
        # not cached here, because the pooled numbers are
        found = trace.read_rows(name, stop, start, head=head, keep=False)
        if found.ndim == 1:
            return found[:, None].astype(np.float32)
        if head is None or not name.endswith(("attn.masked", "attn.pattern")):
            return found
        layer = int(name.split(".")[1])
        mask = mask_of(trace.run.mask, trace.config)
        hidden = mask.hidden(trace.config, layer, np.arange(start, stop), np.arange(found.shape[-1]))
        return np.where(hidden[head if len(hidden) > 1 else 0], np.float32(np.nan), found)


class Difference(SheetValues):
    """The numbers of one pass minus those of another, cell by cell; NaN where the other has no corresponding cell."""

    def __init__(self, one: SheetValues, other: SheetValues, alignment: Alignment) -> None:
        super().__init__(one.trace, one.colours)
        self._one, self._other = one, other
        whole = tuple(range(len(one.trace)))
        self._places = None if alignment in ((), whole) and len(other.trace) == len(whole) else alignment or whole

    def is_diverging(self, _name: str) -> bool:
        """True: every difference has a scale centred on zero, that of patterns too."""
        return True

    def is_centred(self, _name: str) -> bool:
        """No difference is centred: those of logits are around zero by themselves."""
        return False

    def _fixed(self, _name: str) -> Levels | None:
        return self.colours.fixed("")

    def _judged(self, _name: str, tables: list[Array]) -> Levels:
        return natural("", self.trace.config, tables)

    def _read(self, name: str, head: int | None, start: int, stop: int) -> Array:
        mine = self._one._read(name, head, start, stop)
        with np.errstate(invalid="ignore"):  # the difference of equal infinities is NaN, as for hidden cells
            if self._places is None:
                return np.asarray(mine - self._other._read(name, head, start, stop), np.float32)
            return np.asarray(mine - self._aligned(name, head, start, stop), np.float32)

    def _aligned(self, name: str, head: int | None, start: int, stop: int) -> Array:
        """The other pass's numbers, moved to the corresponding positions of this pass."""
        assert self._places is not None
        count = len(self._other.trace)
        places = [n if n is not None and n < count else None for n in self._places]
        rows = [n for n in places[start:stop] if n is not None]
        theirs = self._other._read(name, head, min(rows, default=0), max(rows, default=0) + 1)
        found = _placed(theirs, [None if n is None else n - min(rows) for n in places[start:stop]], 0)
        return _placed(found, places, 1) if self.trace.table[name].axes[-1] == "key" else found


def _means(rows: Array) -> Array:
    """The mean of each row, summed in float64."""
    return np.asarray(rows.mean(1, dtype=np.float64).astype(np.float32))


def _placed(values: Array, places: Sequence[int | None], axis: int) -> Array:
    """The values at these places along an axis; NaN where a place is None."""
    found = np.array(values.take([0 if n is None else n for n in places], axis), np.float32)
    np.moveaxis(found, axis, 0)[[n for n, place in enumerate(places) if place is None]] = np.nan
    return found


class TakenValues(SheetValues):
    """The values of a sheet without its pass, as sent by another process: pooled at `units` per pixel, or coarser.

    At one unit, `taken` holds the cells themselves, and `means` the row means of tensors that are coloured minus them.
    """

    def __init__(
        self,
        units: int,
        taken: dict[tuple[str, int | None, int], Array],
        means: dict[str, Array],
        scales: dict[str, Scale],
        colours: Colours,
    ) -> None:
        self.units, self._taken, self._means, self._scales, self.colours = units, taken, means, scales, colours
        self._store = _Store()

    def __reduce__(self) -> tuple[Any, ...]:
        return TakenValues, (self.units, self._taken, self._means, self._scales, self.colours)

    def cells(self, plate: Plate, rows: range, columns: range) -> Array:
        """The numbers in a part of a plate. Raises ExportError if only pooled numbers were sent."""
        if self.units > 1:
            raise ExportError("This sheet has only pooled numbers; logitscope trace writes all of them.")
        found = self._taken[plate.name, plate.head, plate.first]
        return found[rows.start : rows.stop, columns.start : columns.stop]

    def pooled(self, plate: Plate, units: int, rows: range, check: Check = _go_on) -> Array:
        """Pooled rows of a plate; never finer than `self.units`."""
        check()
        own, asked = factors(plate, self.units), factors(plate, max(units, self.units))
        shades = self._taken[plate.name, plate.head, plate.first]
        if plate.name in self._means:
            shades = shades - self._means[plate.name][:, None]
        found = strongest(shades, asked[0] // own[0], asked[1] // own[1])
        return found[rows.start : rows.stop]

    def is_diverging(self, name: str) -> bool:
        """Whether a tensor's scale is centred on zero."""
        return self._scales[name].levels.diverging

    def known(self, name: str) -> Scale | None:
        """The scale of a tensor in the colours that were sent; None for token ids, which have none."""
        return self._scales.get(name)
