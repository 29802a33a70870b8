"""The layout of a pass on the sheet: every tensor of every block has a place along the residual stream.

The sheet is read like a page: inputs in the first line, one or more blocks in each following line, and outputs at the
end. The residual stream runs along the top of each block; the tensors computed from it, and those written into it, are
below it in the order of computation. Lengths are whole units. The sides of cells are powers of two, and every picture
begins at a multiple of the gap, so that a pixel of F x F units never mixes two pictures if F is at most the gap.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.panels import Hue, Source
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.phrase import Phrase
from desktop_app.gpt2.tensors import tensor_table

_SIDE = 64  # units: the minimum height of a picture, for any length of text
_SHAPE = 1.6  # target ratio of a sheet's width to its height
_LANE = ("q", "k", "v", "scores", "scaled", "masked", "pattern", "z")
"""The tensors that one head computes, from left to right."""
_HUES = {"q": Hue.QUERY, "k": Hue.KEY, "v": Hue.VALUE, "z": Hue.VALUE}
IN, OUT = "in", "out"


@dataclass(frozen=True)
class Box:
    """A rectangle of the sheet, in units; y grows downwards."""

    x: float
    y: float
    w: float
    h: float

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies in the rectangle."""
        return self.x <= x < self.x + self.w and self.y <= y < self.y + self.h

    def around(self, other: "Box") -> "Box":
        """The smallest rectangle that contains both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right, low = max(self.x + self.w, other.x + other.w), max(self.y + self.h, other.y + other.h)
        return Box(x, y, right - x, low - y)

    def grown(self, by: float) -> "Box":
        """The same box with a margin."""
        return Box(self.x - by, self.y - by, self.w + 2 * by, self.h + 2 * by)


@dataclass(frozen=True)
class Plate:
    """A picture of one tensor, of one head's part of it, or of `columns` of its columns from `first` on.

    A row is a token (a query) and has the same height in every picture. A cell is `cell_w` x `cell_h` units.
    """

    name: str
    label: str
    x: int
    y: int
    rows: int
    columns: int
    cell_w: int
    cell_h: int
    hue: Hue
    head: int | None = None
    first: int = 0
    axes: int = 2

    @property
    def box(self) -> Box:
        """The rectangle of the plate."""
        return Box(self.x, self.y, self.columns * self.cell_w, self.rows * self.cell_h)

    @property
    def source(self) -> Source:
        """The tensor and the index of each of its cells."""
        if self.axes == 1:
            return Source(self.name, ("row",))
        own: tuple[int | str, ...] = ("row", "col") if self.head is None else (self.head, "row", "col")
        return Source(self.name, own, first_col=self.first)

    def cell_at(self, x: float, y: float) -> tuple[int, int]:
        """The row and column at a point of the sheet, or the nearest ones if it is outside the plate."""
        row, column = int((y - self.y) // self.cell_h), int((x - self.x) // self.cell_w)
        return min(max(row, 0), self.rows - 1), min(max(column, 0), self.columns - 1)

    def cell_box(self, row: int, column: int) -> Box:
        """The rectangle of a cell."""
        return Box(self.x + column * self.cell_w, self.y + row * self.cell_h, self.cell_w, self.cell_h)


@dataclass(frozen=True)
class Card:
    """The background of a block, the inputs or the outputs. `plates` are the indices of its plates in the sheet."""

    title: str
    layer: int | None
    box: Box
    plates: range
    lanes: tuple[tuple[int, Box], ...] = ()  # (head, rectangle of its row of pictures) for each head
    road: tuple[float, float, float] = (0, 0, 0)  # the line of the residual stream: its left x, right x, and y


@dataclass(frozen=True)
class Sheet:
    """The complete layout. `gap` is the space between two pictures, in units."""

    width: int
    height: int
    gap: int
    positions: int
    plates: tuple[Plate, ...]
    cards: tuple[Card, ...]

    @property
    def box(self) -> Box:
        """The whole sheet."""
        return Box(0, 0, self.width, self.height)

    @property
    def blocks_from(self) -> float:
        """The y at which the inputs end."""
        return self.cards[0].box.y + self.cards[0].box.h

    @cached_property
    def boxes(self) -> NDArray[np.float64]:
        """Left, top, right and bottom of every plate, [plate, 4]."""
        edges = [(p.x, p.y, p.x + p.columns * p.cell_w, p.y + p.rows * p.cell_h) for p in self.plates]
        return np.array(edges, float).reshape(-1, 4)

    @cached_property
    def _of_tensor(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for n, plate in enumerate(self.plates):
            found.setdefault(plate.name, []).append(n)
        return found

    def seen(self, view: Box) -> NDArray[np.intp]:
        """The indices of the plates that intersect a part of the sheet."""
        left, top, right, low = self.boxes.T
        there = (left < view.x + view.w) & (right > view.x) & (top < view.y + view.h) & (low > view.y)
        return np.flatnonzero(there)

    def of_tensor(self, name: str, head: int | None = None) -> tuple[int, ...]:
        """The indices of a tensor's plates: all of them, or those of one head."""
        own = self._of_tensor.get(name, ())
        return tuple(n for n in own if head is None or self.plates[n].head in (None, head))

    def plate_at(self, x: float, y: float) -> int | None:
        """The index of the plate at a point; None if there is none."""
        left, top, right, low = self.boxes.T
        found = np.flatnonzero((left <= x) & (x < right) & (top <= y) & (y < low))
        return int(found[0]) if found.size else None

    def card_of(self, plate: int) -> Card:
        """The card on which a plate lies."""
        return next(card for card in self.cards if plate in card.plates)

    def around(self, plates: tuple[int, ...]) -> Box:
        """The smallest rectangle that contains these plates; the whole sheet if there are none."""
        if not plates:
            return self.box
        found = self.plates[plates[0]].box
        for n in plates[1:]:
            found = found.around(self.plates[n].box)
        return found

    def region_boxes(self, name: str, index: tuple[int | None, ...]) -> list[Box]:
        """The rectangles of cells of a tensor, one per plate with some of them; None in `index` is a whole axis."""
        found = []
        for n in self._of_tensor.get(name, ()):
            plate = self.plates[n]
            rest = index if plate.head is None else index[1:]
            if not rest or (plate.head is not None and index[0] not in (None, plate.head)):
                continue
            row, last = rest[0], rest[-1] if len(rest) > 1 else None
            column = None if last is None else last - plate.first
            if (row is not None and not 0 <= row < plate.rows) or (
                column is not None and not 0 <= column < plate.columns
            ):
                continue
            first = plate.cell_box(row or 0, column or 0)
            end = plate.cell_box(
                plate.rows - 1 if row is None else row, plate.columns - 1 if column is None else column
            )
            found.append(first.around(end))
        return found

    @property
    def cells(self) -> int:
        """How many numbers the sheet shows."""
        return sum(p.rows * p.columns for p in self.plates)


def _power(least: float) -> int:
    """The smallest power of two that is at least `least`."""
    return int(2 ** math.ceil(math.log2(max(least, 1))))


class _Layout:
    """Computes the layout for one model's pass over a text with a given number of tokens."""

    def __init__(self, config: Config, positions: int) -> None:
        self.config, self.positions = config, positions
        self.row = _power(_SIDE / positions)
        self.high = self.row * positions
        self.gap = max(16, _power(0.15 * self.high))
        self.pitch = self._snap(self.high + self.gap)
        self.wide = self._snap(config.n_embd)
        self.table = tensor_table(config)
        self.plates: list[Plate] = []
        self.cards: list[Card] = []

    def _snap(self, length: float) -> int:
        return math.ceil(length / self.gap) * self.gap

    def plate(self, name: str, label: str, x: int, y: int, hue: Hue, head: int | None = None, first: int = 0,
              columns: int | None = None) -> int:  # fmt: skip
        """Place a picture; return the x at which the next picture to its right may begin."""
        shape = self.table[name].spec.shape(self.config, self.positions)
        wide = shape[-1] if len(shape) > 1 else 1
        count = min(columns or wide, wide - first)
        cell = self.row if self.table[name].axes[-1] == "key" else 1
        if wide == 1:  # one number per token: draw it wide enough to be visible
            cell = self.gap // 2
        plain = 1 if len(shape) == 1 else 2
        self.plates.append(Plate(name, label, x, y, self.positions, count, cell, self.row, hue, head, first, plain))
        return x + self._snap(count * cell) + self.gap

    def norm(self, name: str, label: str, x: int, y: int) -> int:
        """Place a layer norm's normalised vectors, mean, scale and output; return the y of the row below."""
        right = self.plate(f"{name}.normalized", f"{label}.normalized", x, y, Hue.RESIDUAL)
        right = self.plate(f"{name}.mean", "mean", right, y, Hue.RESIDUAL)
        self.plate(f"{name}.scale", "scale", right, y, Hue.RESIDUAL)
        self.plate(f"{name}.out", f"{label}.out", x, y + self.pitch, Hue.RESIDUAL)
        return y + 2 * self.pitch

    def chunks(self, name: str, label: str, x: int, y: int, hue: Hue, across: int = 1) -> int:
        """Place a tensor in pieces as wide as the stream, `across` per row; return the y of the row below."""
        whole = self.table[name].spec.shape(self.config, self.positions)[-1]
        width = self.config.n_embd
        count = -(-whole // width)
        for n in range(count):
            first = n * width
            words = label if count == 1 else f"{label} {first}–{min(whole, first + width) - 1}"
            at = x + (n % across) * (self.wide + self.gap), y + (n // across) * self.pitch
            self.plate(name, words, *at, hue, first=first, columns=width)
        return y + -(-count // across) * self.pitch

    # One block

    @property
    def column(self) -> int:
        """The width of a column of vectors, including the mean and scale of its layer norm."""
        return self.wide + 5 * self.gap

    @property
    def lane(self) -> int:
        """The width of the pictures of one head."""
        vectors = 4 * (self._snap(self.config.d_head) + self.gap)
        return vectors + 4 * (self._snap(self.high) + self.gap) + self.gap

    @cached_property
    def shape(self) -> tuple[int, int]:
        """The number of rows below the stream, and the number of columns of heads side by side."""
        pieces = -(-self.config.d_mlp // self.config.n_embd)
        rows = max(4, 1 + pieces)
        columns = -(-self.config.n_head // rows)
        return max(rows, -(-self.config.n_head // columns)), columns

    @property
    def block_size(self) -> tuple[int, int]:
        """The width and height of a block's card."""
        rows, columns = self.shape
        return 2 * (self.column + self.wide) + 3 * self.gap + columns * self.lane, 3 * self.gap + (
            rows + 1
        ) * self.pitch

    def block(self, layer: int, x: int, y: int) -> None:
        """Place a block: the stream at the top, below it the tensors of attention and the MLP, from left to right."""
        begin, b = len(self.plates), f"blocks.{layer}."
        _, columns = self.shape
        per_column = -(-self.config.n_head // columns)
        width, height = self.block_size
        top, left = y + 2 * self.gap, x + self.gap
        below = top + self.pitch
        self.plate(f"{b}resid_pre", "resid_pre", left, top, Hue.RESIDUAL)
        self.norm(f"{b}ln1", "ln1", left, below)
        at = left + self.column
        lanes = []
        for head in range(self.config.n_head):
            right = start = at + (head // per_column) * self.lane
            high = below + (head % per_column) * self.pitch
            for op in _LANE:
                hue = _HUES.get(op, Hue.ATTENTION)
                right = self.plate(f"{b}attn.{op}", op, right, high, hue, head)
            lanes.append((head, Box(start, high, right - self.gap - start, self.high)))
        at += columns * self.lane
        self.plate(f"{b}resid_mid", "resid_mid", at, top, Hue.RESIDUAL)
        # Tensors written into the stream are directly below the stream that results.
        self.plate(f"{b}attn_out", "attn_out", at, below, Hue.ATTENTION)
        self.plate(f"{b}attn.concat", "concat", at, below + self.pitch, Hue.ATTENTION)
        self.norm(f"{b}ln2", "ln2", at, below + 2 * self.pitch)
        at += self.column
        self.chunks(f"{b}mlp.pre", "mlp.pre", at, below + self.pitch, Hue.MLP)
        at += self.wide + self.gap
        self.plate(f"{b}resid_post", "resid_post", at, top, Hue.RESIDUAL)
        self.plate(f"{b}mlp_out", "mlp_out", at, below, Hue.MLP)
        self.chunks(f"{b}mlp.post", "mlp.post", at, below + self.pitch, Hue.MLP)
        road = (x, x + width, top + self.high / 2)
        box = Box(x, y, width, height)
        self.cards.append(
            Card(Phrase("Block {1}", layer), layer, box, range(begin, len(self.plates)), tuple(lanes), road)
        )

    # The whole sheet

    def sheet(self) -> Sheet:
        """The whole sheet: the inputs, the blocks in lines of equal length, and the outputs."""
        width, height = self.block_size
        apart = 2 * self.gap
        count = self.config.n_layer
        logits = -(-self.config.vocab_size // self.config.n_embd)

        def size(across: int) -> tuple[int, int]:
            lines, wide = -(-count // across), across * (width + apart) + apart
            fits = max(1, (wide - 4 * self.gap) // (self.wide + self.gap))
            ends = 2 * (3 * self.gap + self.pitch + apart) + -(-logits // fits) * self.pitch
            return wide, lines * (height + apart) + ends

        best = min(range(1, count + 1), key=lambda n: abs(math.log(size(n)[0] / size(n)[1] / _SHAPE)))
        wide = size(best)[0]
        y = self._begin(apart, apart, wide) + apart
        for layer in range(count):
            self.block(layer, apart + (layer % best) * (width + apart), y + (layer // best) * (height + apart))
        y += -(-count // best) * (height + apart)
        low = self._end(apart, y, wide)
        plates = tuple(self.plates)
        return Sheet(wide, low + apart, self.gap, self.positions, plates, tuple(self.cards))

    def _begin(self, x: int, y: int, wide: int) -> int:
        top, right = y + 2 * self.gap, x + self.gap
        right = self.plate("tokens", "tokens", right, top, Hue.INK)
        right += 4 * self.gap  # space for the text of the tokens
        right = self.plate("embed", "embed", right, top, Hue.RESIDUAL)
        right = self.plate("pos_embed", "pos_embed", right + self.gap, top, Hue.RESIDUAL)
        low = top + self.pitch + self.gap
        self.cards.append(
            Card(Phrase("In"), None, Box(x, y, min(right, wide - x) - x, low - y), range(len(self.plates)))
        )
        return low

    def _end(self, x: int, y: int, wide: int) -> int:
        begin, top, left = len(self.plates), y + 2 * self.gap, x + self.gap
        right = self.plate("ln_final.normalized", "ln_final.normalized", left, top, Hue.RESIDUAL)
        right = self.plate("ln_final.mean", "mean", right, top, Hue.RESIDUAL)
        right = self.plate("ln_final.scale", "scale", right, top, Hue.RESIDUAL)
        self.plate("ln_final.out", "ln_final.out", right, top, Hue.RESIDUAL)
        across = max(1, (wide - 2 * x - 2 * self.gap) // (self.wide + self.gap))
        low = self.chunks("logits", "logits", left, top + self.pitch, Hue.ACCENT, across) + self.gap
        self.cards.append(Card(Phrase("Out"), None, Box(x, y, wide - 2 * x, low - y), range(begin, len(self.plates))))
        return low


@lru_cache(maxsize=8)
def lay_out_sheet(config: Config, positions: int) -> Sheet:
    """The sheet for a pass over `positions` tokens by a model with this config."""
    return _Layout(config, positions).sheet()


def roads(sheet: Sheet) -> Iterator[tuple[tuple[float, float], ...]]:
    """The path of the residual stream as lines: along each block, on to the next, and down at the end of a line."""
    blocks = [card for card in sheet.cards if card.layer is not None]
    for card, after in zip(blocks, [*blocks[1:], None], strict=True):
        left, right, y = card.road
        way = [(left, y), (right, y)]
        if after is not None:
            there, _, down = after.road
            if down != y:
                edge, between = right + sheet.gap, card.box.y + card.box.h + sheet.gap
                way += [(edge, y), (edge, between), (there - sheet.gap, between), (there - sheet.gap, down)]
            way.append((there, down))
        yield tuple(way)
