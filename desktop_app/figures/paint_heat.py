"""Painters of tables of coloured cells with labels along both sides: maps and attention grids."""

import math
from dataclasses import dataclass, replace

from desktop_app.core.asking.intents import Select
from desktop_app.core.panels import GridPanel, MapPanel
from desktop_app.figures.marks import Page, Pick, Rect
from desktop_app.figures.paint_common import (
    FOOT,
    LEGEND,
    Extent,
    beyond_marks,
    cell_numbers,
    cell_words,
    heading,
    heading_height,
    heat,
    label_step,
    label_words,
    labelled,
    labels_width,
    legend,
    longest,
    map_height,
    row_labels,
)
from desktop_app.figures.paint_thumbnails import paint_small, small_extent
from desktop_app.gpt2.phrase import Phrase

_LONGEST_LABEL = 118.0  # maximum length of a column's label
_COLUMN = 13.0  # the least distance of two labels that slant over columns; beside a grid, its rows have the same
_LEVEL_ROOM = 32.0  # height of labels over columns that do not slant, and of "query" and "key" beside them
_COS, _SIN = math.cos(math.radians(55)), math.sin(math.radians(55))


def map_extent(panel: MapPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: rows of 9 and 18 units, up to 200 and 460; rows with words in cells are higher."""
    fixed = heading_height(panel) + LEGEND
    rows = len(panel.values)
    _, over = _map_sides(panel, width, math.inf, page)
    fixed += over.height(page) / page.scale
    if panel.texts:
        return fixed + max(rows * 15, 40), fixed + max(rows * 22, 40)
    return fixed + min(max(rows * 9, 40), 200), fixed + min(max(rows * 18, 40), 460)


def paint_map(panel: MapPanel, rect: Rect, page: Page) -> None:
    """Paint a table of numbers as colours with labelled rows, and with labelled columns if these have names."""
    whole = heading(panel, rect, page)
    body = whole.inset(bottom=page.u(LEGEND))
    tokens = panel.picks is Select
    rows, columns = panel.values.shape
    across = panel.column_picks is Select
    left, over = _map_sides(panel, rect.w, body.h, page)
    top = over.height(page)
    box = body.inset(left=left, top=top, right=over.beyond)
    box = Rect(box.x, box.y, box.w, map_height(rows, whole.h - top, page))
    _column_labels(panel.column_labels, panel.selected_column, box, over, page, first=panel.first_column, tokens=across)
    shades = panel.shades
    said = heat(shades, panel.levels, box, page)
    marked = beyond_marks(shades, panel.levels, box, page)
    if panel.texts:
        cell_words(panel.texts, shades, panel.levels, box, page, words=panel.words)
    else:
        cell_numbers(panel.values, panel.levels, box, page, shades)
    row_labels(
        panel.row_labels,
        Rect(body.x, box.y, left - page.u(4), box.h),
        page,
        selected=panel.selected,
        fresh=panel.fresh,
        first=panel.first,
        tokens=tokens,
    )
    if panel.sums:
        _rule_off_sums(rows, columns, box, page)
    _outline_row(panel.selected, rows, box, page)
    _outline_column(panel.selected_column, columns, box, page)
    page.put_cells(box, (rows, columns), panel.values, panel.source, panel.title)
    if panel.picks is not None:
        page.picks.append(Pick(Rect(body.x, box.y, left, box.h), panel.picks, "choose this row", rows))
    if panel.column_picks:
        for n in range(columns):
            place = Rect(box.x + n * box.w / columns, body.y, box.w / columns, box.y - body.y)
            page.picks.append(Pick(place, panel.column_picks(panel.first_column + n), "choose this column"))
    under = Rect(box.x, box.y + box.h, box.w, page.u(LEGEND))
    legend(panel.levels, under, page, panel.levels.beyond(shades), said, panel.x_label, marked=marked)


def _map_sides(panel: MapPanel, width: float, height: float, page: Page) -> tuple[float, "_Over"]:
    """Room to the left of a table of this size, and above it."""
    tokens, columns = panel.picks is Select, panel.values.shape[1]
    over = _slanting(panel.column_labels, 0.7 * width, 0.3 * width, page, tokens=panel.column_picks is Select)
    # Row labels that are not tokens may be wider if the words in the cells leave room. Tokens can be read in the text.
    widest = max((page.width(t, size=12, mono=True) for line in panel.texts for t in line), default=page.u(20))
    spare = width - over.beyond - columns * (widest + page.u(5)) - page.u(4)
    most = width * 0.3 if tokens else max(width * 0.3, min(width * 0.45, spare))
    left = labels_width(panel.row_labels, height, most, page, tokens=tokens) + page.u(4)
    return left, over.levelled(panel.column_labels, width - left, page)


def _rule_off_sums(rows: int, columns: int, box: Rect, page: Page) -> None:
    """Draw lines before the last row and column, which are sums."""
    x, y = box.x + box.w * (columns - 1) / columns, box.y + box.h * (rows - 1) / rows
    for colour, width in ((page.theme.background, 5), (page.theme.ink, 1.2)):
        page.path([x, x], [box.y, box.y + box.h], colour, page.u(width))
        page.path([box.x, box.x + box.w], [y, y], colour, page.u(width))


def _outline_row(selected: int | None, rows: int, box: Rect, page: Page) -> None:
    if selected is not None and rows > 1:
        height = box.h / rows
        top = min(box.y + selected * height, box.y + box.h - page.u(2))
        page.fill(Rect(box.x, top, box.w, max(height, page.u(2))), stroke=page.theme.accent, width=page.u(1.5))


def _outline_column(selected: int | None, columns: int, box: Rect, page: Page) -> None:
    if selected is not None and columns > 1:
        width = box.w / columns
        left = min(box.x + selected * width, box.x + box.w - page.u(2))
        page.fill(Rect(left, box.y, max(width, page.u(2)), box.h), stroke=page.theme.accent, width=page.u(1.5))


_SMALLEST_GRID = 320.0  # the wanted side of a grid of a few tokens
_LEAST_GRID, _LEAST_VISIBLE = 440, 300
"""The minimum height of a large grid, in design units, and of one in a window where 440 are not visible at once."""


def grid_extent(panel: GridPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: a square of the available width, plus labels and colour bar."""
    if panel.small:
        return small_extent(width, page)
    left, over = _grid_margins(panel, width, width, page)
    side = min(width - left - over.beyond, _grid_side(panel, page))
    wanted = heading_height(panel) + LEGEND + (over.height(page) + side) / page.scale
    # Larger type makes a larger picture, even if that then has to be scrolled.
    least = max(_LEAST_VISIBLE, min(_LEAST_GRID, page.room + FOOT)) if page.scale <= 1 else _LEAST_GRID
    return min(least, wanted), wanted


def _grid_side(panel: GridPanel, page: Page) -> float:
    """The preferred side of a grid: cells of 64 units, larger ones if there are few tokens."""
    return page.u(max(64 * len(panel.values), _SMALLEST_GRID))


def _grid_margins(panel: GridPanel, width: float, length: float, page: Page) -> tuple[float, "_Over"]:
    """Room to the left of a grid at most `length` high, and above it."""
    corner = max(page.width(page.say(words), size=10) for words in (_corner(panel), _across(panel))) + page.u(12)
    left = max(labels_width(panel.labels, 0.7 * length, 0.28 * width, page) + page.u(4), corner)
    side = min(width - left, length - page.u(_LEVEL_ROOM + LEGEND), _grid_side(panel, page))
    return left, _slanting(panel.labels, 0.7 * length, 0.3 * width, page).levelled(panel.labels, side, page)


def _corner(panel: GridPanel) -> str:
    return Phrase("key ↓") if panel.keys_down else Phrase("query ↓")


def _across(panel: GridPanel) -> str:
    return Phrase("query →") if panel.keys_down else Phrase("key →")


def paint_grid(panel: GridPanel, rect: Rect, page: Page) -> None:
    """Paint one head's grid: small without labels, or large with its tokens along both sides."""
    if panel.small:
        paint_small(panel, rect, page)
        return
    body = heading(panel, rect, page)
    count = len(panel.values)
    left, over = _grid_margins(panel, body.w, min(body.w, body.h), page)
    top = over.height(page)
    room = min(body.w - left - over.beyond, body.h - top - page.u(LEGEND))
    side = max(page.u(40), min(room, 1.5 * _grid_side(panel, page)))
    box = Rect(body.x + left, body.y + top, side, side)
    said = heat(panel.values, panel.levels, box, page)
    marked = beyond_marks(panel.values, panel.levels, box, page)
    cell_numbers(panel.values, panel.levels, box, page)
    row_labels(
        panel.labels,
        Rect(body.x, box.y, left - page.u(4), side),
        page,
        selected=None if panel.keys_down else panel.selected,
        fresh=0 if panel.keys_down else panel.fresh,
        first=panel.first,
        least=_COLUMN,
    )
    _column_labels(panel.labels, panel.selected if panel.keys_down else None, box, over, page, first=panel.first)
    if panel.keys_down:
        _outline_column(panel.selected, count, box, page)
    else:
        _outline_row(panel.selected, count, box, page)
    page.put_cells(box, (count, count), panel.values, panel.source, panel.title)
    page.picks.append(Pick(Rect(body.x, box.y, left, side), Select, "choose this token", count))
    # If rows are lower than the type of their labels, the first label rises above the grid.
    lift = page.u(9) + max(0.0, page.u(7) - side / count / 2)
    for n, words in enumerate((_corner(panel), _across(panel))):
        place = box.y - lift - n * page.u(14)
        page.words(box.x - page.u(10), place, page.say(words), size=10, colour=page.theme.dim, align="right")
    under = Rect(box.x, box.y + side, max(side, body.w - left), page.u(LEGEND))
    legend(panel.levels, under, page, panel.levels.beyond(panel.values), said, marked=marked)


@dataclass(frozen=True)
class _Over:
    """Room for the labels over columns: they slant to the right, or are level if each fits over its column."""

    length: float = 0.0
    level: bool = False

    def height(self, page: Page) -> float:
        """Room above the columns."""
        if not self.length:
            return 0.0
        return page.u(_LEVEL_ROOM) if self.level else self.length * _SIN + page.u(12)

    @property
    def beyond(self) -> float:
        """Room to the right of the last column."""
        return 0.0 if self.level else self.length * _COS

    def levelled(self, labels: tuple[str, ...], width: float, page: Page) -> "_Over":
        """Level labels, if the widest fits over a column of a table this wide."""
        widest = max((page.width(t, size=11, mono=True, bold=True) for t in longest(labels)), default=0.0)
        return replace(self, level=(widest + page.u(6)) * len(labels) <= width)


def _slanting(labels: tuple[str, ...], length: float, most: float, page: Page, *, tokens: bool = True) -> _Over:
    """Room for labels that slant over a table at most `length` wide; none if it has no labels."""
    room = labels_width(labels, length, most, page, tokens=tokens)
    return _Over(min(room, page.u(_LONGEST_LABEL)) if labels else 0.0)


def _column_labels(
    labels: tuple[str, ...],
    selected: int | None,
    box: Rect,
    over: _Over,
    page: Page,
    *,
    first: int = 0,
    tokens: bool = True,
) -> None:
    """Write labels over the columns of `box`, the first of which has the number `first`.

    The selected one is never left out.
    """
    width = box.w / max(len(labels), 1)
    step = 1 if over.level else label_step(len(labels), box.w, page, _COLUMN)
    size = 11 if step == 1 else 10
    chosen = selected if selected is not None and 0 <= selected < len(labels) else None
    for n in labelled(len(labels), step, chosen):
        bold, colour = n == chosen, page.theme.accent if n == chosen else None
        middle = box.x + (n + 0.5) * width
        if over.level:
            page.words(middle, box.y - page.u(9), labels[n], size=size, mono=True, align="center", bold=bold,
                       colour=colour, room=width)  # fmt: skip
            continue
        words = label_words(labels[n], first + n, step if tokens else 1, over.length, page, size)
        page.words(middle + page.u(3), box.y - page.u(7), words, size=size, mono=True, angle=55, room=over.length,
                   bold=bold, colour=colour)  # fmt: skip
