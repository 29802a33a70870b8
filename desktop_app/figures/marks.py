"""The painters' drawing tools: marks on a page, and rectangles on the page that respond to the pointer.

Lengths are in pixels on screen and in points in a figure. y grows downwards.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.asking.intents import Choosing, Intent
from desktop_app.core.opening.cells import Region
from desktop_app.core.panels import AnyPanel, Source
from desktop_app.figures.pool import pixels, strength
from desktop_app.figures.theme import Table, Theme, words_on

Array = NDArray[Any]


@dataclass(frozen=True)
class Rect:
    """A rectangle on the page: `x` and `y` of its top left corner, width and height."""

    x: float
    y: float
    w: float
    h: float

    def inset(self, left: float = 0, top: float = 0, right: float = 0, bottom: float = 0) -> "Rect":
        """The rectangle made smaller by a margin on each side."""
        return Rect(self.x + left, self.y + top, max(0, self.w - left - right), max(0, self.h - top - bottom))

    def holds(self, x: float, y: float) -> bool:
        """Whether a point is inside the rectangle."""
        return self.x <= x < self.x + self.w and self.y <= y < self.y + self.h

    @property
    def middle(self) -> tuple[float, float]:
        """The centre, as (x, y)."""
        return self.x + self.w / 2, self.y + self.h / 2


@dataclass(frozen=True)
class Fill:
    """A rectangle, filled, outlined or both."""

    rect: Rect
    fill: str | None = None
    stroke: str | None = None
    width: float = 1.0
    radius: float = 0.0


@dataclass(frozen=True)
class Words:
    """One line of text. `y` is the middle of the line's height; `angle` turns it counter-clockwise about (x, y)."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    mono: bool = False
    bold: bool = False
    align: str = "left"
    angle: float = 0.0


@dataclass(frozen=True)
class Path:
    """A polyline; at NaN it is interrupted."""

    x: Array
    y: Array
    colour: str
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True)
class Dots:
    """Small discs."""

    x: Array
    y: Array
    colour: str
    radius: float = 1.5


@dataclass(frozen=True)
class Heat:
    """Cells whose values from 0 to 1 are coloured by a colour table; NaN is transparent."""

    rect: Rect
    fractions: Array  # [rows, columns]
    table: Table = field(repr=False)


@dataclass(frozen=True)
class Picture:
    """Raw pixels, each 0xAARRGGBB; 0 is transparent."""

    rect: Rect
    pixels: Array  # [rows, columns] uint32


Mark = Fill | Words | Path | Dots | Heat | Picture


def reaches(mark: Mark, top: float, bottom: float) -> bool:
    """Whether a line of text, a box or a picture may be visible between two heights; True for all other marks."""
    if isinstance(mark, Words):
        # Text at an angle may be as high as it is long.
        far = mark.size * (1 if not mark.angle else len(mark.text))
        return top - far < mark.y < bottom + far
    if isinstance(mark, Fill | Heat | Picture):
        far = 1 + (mark.width / 2 if isinstance(mark, Fill) else 0)
        return mark.rect.y - far < bottom and mark.rect.y + mark.rect.h + far > top
    return True


@dataclass(frozen=True)
class Cells:
    """A picture of cells: a rectangle whose points belong to cells of a tensor, or of values without a tensor.

    Cell (r, c) is row r, column c of the panel's `values`. In a wrapped strip, where `stride` is given, it is element
    `start` + r * stride + c of a vector. `density` is the number of pixels per unit of the page for which the picture
    was pooled.
    """

    rect: Rect
    rows: int
    columns: int
    values: Array
    source: Source | None
    label: str
    start: int = 0
    stride: int | None = None
    density: float = 1.0

    @property
    def what(self) -> tuple[object, ...]:
        """What the picture shows: the source, label and first element, without its position on the page."""
        return self.source, self.label, self.start

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """The row and column of `values` at a point; in a pooled picture, of the strongest cell of the pixel there."""
        rows = _span(y - self.rect.y, self.rect.h, self.rows, self.density)
        columns = _span(x - self.rect.x, self.rect.w, self.columns, self.density)
        if self.stride is not None:
            offsets = (np.arange(*rows)[:, None] * self.stride + np.arange(*columns)[None, :]).ravel() + self.start
            offsets = offsets[offsets < self.values.shape[-1]]
            if not offsets.size:
                return 0, self.values.shape[-1] - 1
            strongest = int(offsets[np.argmax(strength(self.values.reshape(-1)[offsets]))])
            return 0, strongest
        block = strength(self.values[slice(*rows), slice(*columns)])
        row, column = np.unravel_index(int(np.argmax(block)), block.shape)
        return rows[0] + int(row), columns[0] + int(column)

    def reaches(self, x: float, y: float) -> bool:
        """Whether a point of the page belongs to this picture."""
        return self.rect.holds(x, y)

    def place(self, row: int, column: int) -> Rect:
        """The rectangle in which a cell of `values` is drawn."""
        if self.stride is not None:
            row, column = divmod(column - self.start, self.stride)
        w, h = self.rect.w / self.columns, self.rect.h / self.rows
        return Rect(self.rect.x + column * w, self.rect.y + row * h, w, h)

    def line(self, column: int) -> tuple[float, float, float, float] | None:
        """The ends (x, y, x, y) of the line that represents a cell; None if the cell is not drawn as a line."""
        del column
        return None

    def lit_line(self, index: tuple[int | None, ...]) -> tuple[float, float, float, float] | None:
        """The ends of the line that shows the cell at this index of the source; None if no line does."""
        each = () if self.source is None or self.source.each is None else self.source.each
        return self.line(each.index(index)) if index in each else None

    def moved(self, row: int, column: int, down: int, across: int) -> tuple[int, int]:
        """The row and column of the cell `down` rows and `across` columns further, limited to the picture."""
        if self.stride is not None:
            last = min(self.values.shape[-1], self.start + self.rows * self.stride) - 1
            return row, min(max(column + across + down * self.stride, self.start), last)
        return min(max(row + down, 0), self.rows - 1), min(max(column + across, 0), self.columns - 1)

    def has(self, row: int, column: int) -> bool:
        """Whether `values` has a cell at this row and column, drawn or not."""
        rows = self.values.shape[0] if self.values.ndim > 1 else 1
        return 0 <= row < rows and 0 <= column < self.values.shape[-1]

    def lit(self, region: Region) -> Rect | None:
        """The rectangle in which these cells are shown; None if the picture does not show them."""
        source, index = self.source, region.index
        if source is None or (source.name, source.run) != (region.name, region.run):
            return None
        if source.each is not None:
            return self.place(0, source.each.index(index)) if index in source.each else None
        if len(source.index) != len(index):
            return None
        rows, columns = (0, self.rows), (0, self.values.shape[-1])
        group: int | None = None
        for mine, wanted in zip(source.index, index, strict=True):
            if wanted is None:
                continue
            if isinstance(mine, int):
                if mine != wanted:
                    return None
            elif mine == "row":
                row = _place(wanted, source.rows, source.first_row)
                if not 0 <= row < len(self.values):
                    return None
                rows = (row, row + 1)
            elif mine == "col":
                column = _place(wanted, source.cols, source.first_col)
                if not 0 <= column < self.values.shape[-1]:
                    return None
                columns = (column, column + 1)
            elif mine == "group":
                group = wanted
                columns = (wanted * source.group, (wanted + 1) * source.group)
            elif mine == "within" and group is not None:
                columns = (group * source.group + wanted, group * source.group + wanted + 1)
        return self._part(rows, columns)

    def _part(self, rows: tuple[int, int], columns: tuple[int, int]) -> Rect | None:
        """The rectangle around a range of cells of `values`; in a wrapped strip, around all rows that show them."""
        if self.stride is None:
            first, last = self.place(rows[0], columns[0]), self.place(rows[1] - 1, columns[1] - 1)
            return Rect(first.x, first.y, last.x + last.w - first.x, last.y + last.h - first.y)
        low, high = max(columns[0], self.start), min(columns[1], self.start + self.rows * self.stride)
        if low >= high:
            return None
        first, last = self.place(0, low), self.place(0, high - 1)
        if first.y == last.y:
            return Rect(first.x, first.y, last.x + last.w - first.x, first.h)
        return Rect(self.rect.x, first.y, self.rect.w, last.y + last.h - first.y)


@dataclass(frozen=True)
class Strands(Cells):
    """Cells drawn as lines: cell n is the line `ends[n]`, from (x, y) to (x, y). For a point, both ends are equal.

    A point of the page belongs to the nearest line, if that is at most `reach` away.
    """

    ends: Array = field(default_factory=lambda: np.zeros((0, 4)))
    reach: float = 6.0

    def reaches(self, x: float, y: float) -> bool:
        """Whether a line passes within `reach` of a point of the page."""
        return super().reaches(x, y) and float(self._distances(x, y).min()) <= self.reach

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """The row and column of the nearest line: row 0, and the line's index."""
        return 0, int(self._distances(x, y).argmin())

    def place(self, row: int, column: int) -> Rect:  # noqa: ARG002 - there is one row
        """A square around the middle of a cell's line, of side 2 `reach`."""
        x0, y0, x1, y1 = (float(v) for v in self.ends[column])
        return Rect((x0 + x1) / 2 - self.reach, (y0 + y1) / 2 - self.reach, 2 * self.reach, 2 * self.reach)

    def line(self, column: int) -> tuple[float, float, float, float] | None:
        """The ends of a cell's line, (x, y, x, y); None if it is a point."""
        x0, y0, x1, y1 = (float(v) for v in self.ends[column])
        return None if (x0, y0) == (x1, y1) else (x0, y0, x1, y1)

    def moved(self, row: int, column: int, down: int, across: int) -> tuple[int, int]:
        """The cell of the nearest line in that direction. Distance ahead counts once, distance sideways twice."""
        middles = (self.ends[:, :2] + self.ends[:, 2:]) / 2
        off = middles - middles[column]
        ahead, aside = off @ np.array([across, down]), np.abs(off @ np.array([down, across]))
        cost = np.where(ahead > 0.5, ahead + 2 * aside, np.inf)
        return (row, int(cost.argmin())) if np.isfinite(cost).any() else (row, column)

    def _distances(self, x: float, y: float) -> Array:
        """The distances from a point of the page to each line, [column]."""
        start, along = self.ends[:, :2], self.ends[:, 2:] - self.ends[:, :2]
        to_point = np.array([x, y]) - start
        length = np.maximum((along**2).sum(1), 1e-9)
        at = np.clip((to_point * along).sum(1) / length, 0, 1)
        found: Array = np.hypot(*(to_point - at[:, None] * along).T)
        return found


@dataclass(frozen=True)
class Movable:
    """A plane of points that can be dragged and zoomed, in `box`.

    `x` and `y` [point] are page coordinates and `kind` [point] is each point's index in `colours`. `along` are marks
    that move with a point, each with the index of that point. `window` is the visible part, as fractions of the whole
    plane. It is drawn in the centre of the box, with the width and height `inner`.
    """

    box: Rect
    inner: tuple[float, float]
    x: Array
    y: Array
    kind: Array
    colours: tuple[str, ...]
    radius: float
    along: tuple[tuple[int, Words | Dots], ...]
    window: tuple[float, ...]


def _place(wanted: int, shown: tuple[int, ...] | None, first: int) -> int:
    """The row or column that shows this index of the axis; -1 if none does."""
    if shown is None:
        return wanted - first
    return shown.index(wanted) if wanted in shown else -1


def _span(distance: float, length: float, count: int, density: float) -> tuple[int, int]:
    """The cells that the pixel at `distance` shows: one, or several where cells are smaller than a pixel."""
    shown = min(count, pixels(length, density))
    pixel = min(max(int(distance * shown / length), 0), shown - 1)
    return pixel * count // shown, (pixel + 1) * count // shown


@dataclass(frozen=True)
class Pick:
    """A rectangle with the intent of a click on it, or split into `rows` of equal height with an intent each."""

    rect: Rect
    asks: Intent | Choosing
    label: str
    rows: int = 0

    def at(self, y: float) -> Intent:
        """The intent of a click at the height `y` of the page."""
        if not callable(self.asks):
            return self.asks
        return self.asks(min(max(int((y - self.rect.y) / self.rect.h * self.rows), 0), self.rows - 1))


class Measure(Protocol):
    """A function that measures text in the fonts that will draw it."""

    def __call__(self, text: str, size: float, *, mono: bool = False, bold: bool = False) -> float:
        """The width of one line of text."""
        ...


@dataclass
class Page:
    """A page: the marks and rectangles that painters added, and the settings that painters need.

    `scale` multiplies every length in design units; `density` is the number of pixels per unit of the page. Text that
    has too little space is drawn smaller, but not below `least` design units.
    """

    theme: Theme
    measure: Measure
    scale: float = 1.0
    density: float = 1.0
    slack: float = 0.0  # fraction by which text may be wider than measured, because a viewer may lack the fonts
    say: Callable[[str], str] = str  # translates the painters' words into the language of the figure
    marks: list[Mark] = field(default_factory=list)
    cells: list[Cells] = field(default_factory=list)
    picks: list[Pick] = field(default_factory=list)
    # panels and their rectangles, in the order in which they were placed
    panels: list[tuple[AnyPanel, Rect]] = field(default_factory=list)
    movable: list[Movable] = field(default_factory=list)
    # measured sizes of panels, by panel and width
    extents: dict[tuple[int, float], tuple[float, float]] = field(default_factory=dict)
    live: bool = False  # True in a window, which draws planes that can be zoomed and animations itself
    room: float = math.inf  # in a window, the height that is visible at once below a view's words
    least: float = 7.0

    def u(self, size: float) -> float:
        """A length in design units (8 to a grid cell; body text is 13) in units of this page."""
        return size * self.scale

    def words(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 13,
        colour: str | None = None,
        on: str | None = None,
        mono: bool = False,
        bold: bool = False,
        align: str = "left",
        angle: float = 0,
        room: float | None = None,
    ) -> float:
        """Draw a line of text, shortened to the width `room` if given, and return its width; `size` is in design units.

        The text has `colour`, darkened or lightened until it is legible on the page, or on the colour `on`.
        """
        if room is not None:
            text = self.shorten(text, room, size=size, mono=mono, bold=bold)
        if not text:
            return 0
        shade = self.theme.words(colour or self.theme.ink) if on is None else words_on(on)
        self.marks.append(Words(x, y, text, self.u(size), shade, mono, bold, align, angle))
        return self.width(text, size=size, mono=mono, bold=bold)

    def width(self, text: str, *, size: float = 13, mono: bool = False, bold: bool = False) -> float:
        """The width of a line of text on this page."""
        return self.measure(text, self.u(size), mono=mono, bold=bold)

    def fitting(self, text: str, room: float, sizes: Sequence[float], *, bold: bool = False) -> float:
        """The first of `sizes` in which the text fits into `room`, else the last. Sizes below `least` are skipped.

        If all sizes are below `least`, the first one is returned.
        """
        sizes = [size for size in sizes if size >= self.least] or sizes[:1]
        return next((size for size in sizes if self.width(text, size=size, bold=bold) <= room), sizes[-1])

    def shorten(self, text: str, room: float, *, size: float = 13, mono: bool = False, bold: bool = False) -> str:
        """The text, or its beginning with an ellipsis if it is wider than `room`."""
        # After a margin was added and subtracted, a width measured for this very text can be too small by a rounding
        # error.
        room += 1e-6 * room + 1e-6
        if self.width(text, size=size, mono=mono, bold=bold) <= room:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self.width(text[:middle] + "…", size=size, mono=mono, bold=bold) <= room:
                low = middle
            else:
                high = middle - 1
        return text[:low] + "…" if low else ""

    def wrap(self, text: str, room: float, *, size: float = 13, mono: bool = False, bold: bool = False) -> list[str]:
        """The text broken at spaces into lines that fit into `room` even if text is wider than measured by `slack`."""
        room /= 1 + self.slack
        lines: list[str] = []
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}" if line else word
            if line and self.width(longer, size=size, mono=mono, bold=bold) > room:
                lines.append(line)
                line = word
            else:
                line = longer
        return [*lines, line] if line else lines

    def fill(
        self, rect: Rect, fill: str | None = None, stroke: str | None = None, width: float = 1, radius: float = 0
    ) -> None:
        """Draw a rectangle."""
        self.marks.append(Fill(rect, fill, stroke, width * self.theme.stroke, radius))

    def put_cells(
        self,
        rect: Rect,
        shape: tuple[int, int],
        values: Array,
        source: Source | None,
        label: str,
        start: int = 0,
        stride: int | None = None,
    ) -> None:
        """Make a rectangle of `shape` rows and columns respond to the pointer as cells."""
        self.cells.append(Cells(rect, *shape, values, source, label, start, stride, self.density))

    def cells_at(self, x: float, y: float) -> Cells | None:
        """The topmost picture of cells at a point; None if there is none."""
        return next((cells for cells in reversed(self.cells) if cells.reaches(x, y)), None)

    def pick_at(self, x: float, y: float) -> Pick | None:
        """The topmost rectangle at a point that responds to clicks; None if there is none."""
        return next((pick for pick in reversed(self.picks) if pick.rect.holds(x, y)), None)

    def neighbour(self, cells: Cells, down: int, across: int) -> Cells:
        """The nearest picture of a single cell in that direction; `cells` itself if there is none."""
        alone = [other for other in self.cells if other.rows * other.columns == 1]

        def cost(other: Cells) -> float:
            x = other.rect.x + other.rect.w / 2 - cells.rect.x - cells.rect.w / 2
            y = other.rect.y + other.rect.h / 2 - cells.rect.y - cells.rect.h / 2
            ahead, aside = x * across + y * down, abs(x * down + y * across)
            return ahead + 2 * aside if ahead > 0.5 else math.inf

        best = min(alone, key=cost, default=cells)
        return best if cost(best) < math.inf else cells

    def again(self, cells: Cells, before: "Page") -> Cells | None:
        """The picture on this page that shows what `cells` showed on the page `before`; None if there is none."""
        twins = [c for c in before.cells if c.what == cells.what]
        nth = next((n for n, c in enumerate(twins) if c is cells), 0)
        own = [c for c in self.cells if c.what == cells.what]
        return own[nth] if nth < len(own) else None

    def path(self, x: Any, y: Any, colour: str, width: float = 1, *, dashed: bool = False) -> None:
        """Draw a polyline."""
        self.marks.append(Path(np.asarray(x, float), np.asarray(y, float), colour, width * self.theme.stroke, dashed))
