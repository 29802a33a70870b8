"""Painters of heatmaps: strips, maps, attention grids and many small grids."""

import math
from dataclasses import dataclass, replace

import numpy as np

from desktop_app.core.intents import GoTo, Select, ShowHead
from desktop_app.core.levels import short
from desktop_app.core.panels import AtlasPanel, GridPanel, MapPanel, MultiplesPanel, Strip, StripsPanel
from desktop_app.figures.marks import Array, Heat, Page, Pick, Rect
from desktop_app.figures.paint_common import (
    LEGEND,
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
from desktop_app.figures.pool import pixels, pool, pooled_words
from desktop_app.gpt2.phrase import Count, Phrase, joined

Extent = tuple[float, float]
"""Minimum and preferred height, in design units."""

# maximum width of labels beside a strip, and the part of it that is not for words
_STRIP_LABEL, _BESIDE_LABEL = 118.0, 38.0
_HIGHEST = 48.0  # the maximum height of a row of cells
_STRIP_GAP = 10.0
_GROUP_HEAD = 14.0
_SMALL_WORDS = 58.0  # height of the words above and below a small grid
_THUMB_GAP, _THUMB_NAME, _THUMB_MOST = 12.0, 18.0, 420.0
_LONGEST_LABEL = 118.0  # maximum length of a column's label
_LEVEL_ROOM = 32.0  # height of level labels over columns, and of the names of both sides beside them
_COS, _SIN = math.cos(math.radians(55)), math.sin(math.radians(55))


def strips_extent(panel: StripsPanel, _width: float, _page: Page) -> Extent:
    """Minimum and preferred height: rows of 6 to 18 units for a strip, of 3 to 8 if it has many rows."""
    least = most = heading_height(panel) + LEGEND
    for strip in panel.strips:
        rows = _rows(strip, panel)
        head = _GROUP_HEAD * rows if panel.group else 0
        words = _words_height(strip)
        least += max(rows * (6 if rows <= 10 else 4 if rows <= 20 else 3) + head, words) + _STRIP_GAP
        most += max(rows * (18 if rows <= 3 else 12 if rows <= 10 else 8) + head, words) + _STRIP_GAP
    return least, most


def _rows(strip: Strip, panel: StripsPanel) -> int:
    return math.ceil(len(strip.values) / panel.wrap)


def _words_height(strip: Strip) -> float:
    """The height of the label and the remark under it."""
    return 30.0 if strip.remark else 14.0


def paint_strips(panel: StripsPanel, rect: Rect, page: Page) -> None:
    """Paint vectors as aligned strips with their labels, operators and remarks on the left."""
    body = heading(panel, rect, page).inset(bottom=page.u(LEGEND))
    head = page.u(_GROUP_HEAD) if panel.group else 0.0
    height = _row_height(panel, body.h, head, page)
    y, said, marked = body.y, "", False
    left = _label_width(panel, page)
    for strip in panel.strips:
        own = _rows(strip, panel) * (height + head)
        total = max(own, page.u(_words_height(strip)))
        _strip_label(strip, Rect(body.x, y, left, total), page, head)
        cells = Rect(body.x, y + (total - own) / 2, body.w, own).inset(left=left)
        pooled, ticked = _strip_cells(strip, panel, cells, height, page)
        said, marked = pooled or said, marked or ticked
        y += total + page.u(_STRIP_GAP)
    legend(
        panel.levels,
        Rect(body.x + left, y - page.u(4), body.w - left, page.u(LEGEND)),
        page,
        panel.levels.beyond(*(s.values for s in panel.strips)),
        said,
        marked=marked,
    )


def _row_height(panel: StripsPanel, room: float, head: float, page: Page) -> float:
    """The height of a row of cells at which the strips fill `room`, each of them at least as high as its words."""
    room -= page.u(_STRIP_GAP) * len(panel.strips)
    taken, rows = 0.0, sum(_rows(s, panel) for s in panel.strips)
    height = page.u(_HIGHEST)
    for strip in sorted(panel.strips, key=lambda s: _rows(s, panel)):
        height = min(page.u(_HIGHEST), (room - taken) / max(rows, 1) - head)
        own, words = _rows(strip, panel), page.u(_words_height(strip))
        if own * (height + head) >= words:
            break
        taken, rows = taken + words, rows - own
    return max(1.0, height)


def _label_width(panel: StripsPanel, page: Page) -> float:
    """The width of the labels beside the strips: that of the longest label or remark, within limits."""
    strips = (*panel.strips, *panel.peers)
    labels = [page.width(s.label, size=12, mono=True, bold=True) for s in strips]
    remarks = [page.width(s.remark, size=11) for s in strips]
    return min(max(*labels, *remarks, page.u(14)) + page.u(_BESIDE_LABEL), page.u(_STRIP_LABEL))


def _strip_label(strip: Strip, place: Rect, page: Page, head: float) -> None:
    top, height = place.y + head, place.h - head
    page.fill(Rect(place.x + page.u(18), top, page.u(3), height), page.theme.hues[strip.hue], radius=page.u(1))
    first = top + min(height / 2, page.u(14))
    both = bool(strip.remark) and height >= page.u(28)
    if both:
        first -= page.u(7) if height < page.u(36) else page.u(4)
    if strip.operator:
        page.words(place.x + page.u(7), first, strip.operator, size=15, bold=True, align="center")
    room = place.w - page.u(30)
    page.words(place.x + page.u(27), first, strip.label, size=12, mono=True, bold=True, room=room)
    if both:
        size = page.fitting(strip.remark, room, (11, 10, 9))
        page.words(place.x + page.u(27), first + page.u(15), strip.remark, size=size, colour=page.theme.dim, room=room)


def _strip_cells(strip: Strip, panel: StripsPanel, place: Rect, height: float, page: Page) -> tuple[str, bool]:
    """Paint one strip's cells, as one picture or as one picture per group.

    Returns what a pixel represents if cells are pooled, and whether cells beyond the limits are marked.
    """
    values = np.asarray(strip.values, float)
    rows = _rows(strip, panel)
    if not panel.group:
        padded = np.full(rows * panel.wrap, np.nan)
        padded[: len(values)] = values
        grid = padded.reshape(rows, panel.wrap)
        box = Rect(place.x, place.y, place.w, rows * height)
        if rows == 1 and len(values) < panel.wrap:
            grid, box = grid[:, : len(values)], Rect(place.x, place.y, place.w * len(values) / panel.wrap, height)
        said = heat(grid, panel.levels, box, page)
        marked = beyond_marks(grid, panel.levels, box, page)
        cell_numbers(grid, panel.levels, box, page)
        page.put_cells(box, (rows, grid.shape[1]), values[None, :], strip.source, strip.label, 0, panel.wrap)
        return said, marked
    said, marked = "", False
    across = panel.wrap // panel.group
    gap = page.u(6)
    width = (place.w - gap * (across - 1)) / across
    line = height + page.u(_GROUP_HEAD)
    for n in range(math.ceil(len(values) / panel.group)):
        row, column = divmod(n, across)
        box = Rect(place.x + column * (width + gap), place.y + row * line + page.u(_GROUP_HEAD), width, height)
        piece = values[n * panel.group : (n + 1) * panel.group][None, :]
        said = heat(piece, panel.levels, box, page) or said
        marked = beyond_marks(piece, panel.levels, box, page) or marked
        chosen = n == panel.selected_group
        colour = page.theme.accent if chosen else page.theme.dim
        page.words(
            box.x, box.y - page.u(7), page.say(Phrase("head {1}", n)), size=10, colour=colour, bold=chosen, room=width
        )
        if chosen:
            page.fill(box, stroke=page.theme.accent, width=page.u(1.5))
        page.put_cells(box, (1, panel.group), values[None, :], strip.source, strip.label, n * panel.group, panel.group)
        page.picks.append(
            Pick(
                Rect(box.x, box.y - page.u(_GROUP_HEAD), width, height + page.u(_GROUP_HEAD)),
                ShowHead(n),
                Phrase("head {1}", n),
            )
        )
    return said, marked


def map_extent(panel: MapPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: rows of 3 to 18 units, 70 to 460 in total; rows with words in cells are higher."""
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
        cell_words(panel.texts, shades, panel.levels, box, page)
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
    # Row labels are shortened only if the words in the cells need the space; the tokens can also be read in the text.
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


_HOLE = 0.8
_SMALLEST_GRID = 320.0  # the wanted side of a grid of a few tokens
_LEAST_GRID = 440
"""The minimum height of a large grid, in design units; a lower window scrolls."""


def grid_extent(panel: GridPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: a square of the available width, plus labels and colour bar."""
    if panel.small:
        return _SMALL_WORDS + 96, _SMALL_WORDS + min(width / page.scale, 190)
    left, over = _grid_margins(panel, width, width, page)
    side = min(width - left - over.beyond, _grid_side(panel, page))
    wanted = heading_height(panel) + LEGEND + (over.height(page) + side) / page.scale
    return min(_LEAST_GRID, wanted), wanted


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
        _paint_small(panel, rect, page)
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
    )
    _column_labels(panel.labels, panel.selected if panel.keys_down else None, box, over, page, first=panel.first)
    if panel.keys_down:
        _outline_column(panel.selected, count, box, page)
    else:
        _outline_row(panel.selected, count, box, page)
    page.put_cells(box, (count, count), panel.values, panel.source, panel.title)
    page.picks.append(Pick(Rect(body.x, box.y, left, side), Select, "choose this token", count))
    # The first row's label is higher than a row of less than its type size.
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
    step = 1 if over.level else label_step(len(labels), box.w, page, 13)
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


def _paint_small(panel: GridPanel, rect: Rect, page: Page) -> None:
    colour = page.theme.accent if panel.current else page.theme.ink
    # In a narrow column, the heading is made smaller instead of being cut.
    size = page.fitting(panel.title, rect.w, (13, 12, 11, 10, 9), bold=True)
    page.words(rect.x, rect.y + page.u(9), panel.title, size=size, bold=True, colour=colour, room=rect.w)
    ends = f"{short(panel.levels.low)} … {short(panel.levels.high)}"
    limits = f"{ends} · {page.say(Phrase('one query in {1}', panel.every))}" if panel.every > 1 else ends
    words = f"{panel.note} · {limits}" if panel.note else limits
    if page.width(words, size=11) > rect.w:
        words = limits if page.width(limits, size=9) <= rect.w else ends
    size = page.fitting(words, rect.w, (11, 10, 9))
    page.words(rect.x, rect.y + page.u(27), words, size=size, colour=page.theme.dim, room=rect.w)
    side = max(page.u(24), min(rect.w - page.u(8), rect.h - page.u(_SMALL_WORDS)))
    box = Rect(rect.x + page.u(2), rect.y + page.u(40), side, side)
    beyond = panel.levels.beyond(panel.values)
    if beyond:
        outside = page.say(Phrase("{1} beyond", Count(beyond)))
        size = page.fitting(outside, rect.w, (11, 10, 9, 8))
        page.words(rect.x, box.y + side + page.u(9), outside, size=size, colour=page.theme.dim, room=rect.w)
    heat(panel.values, panel.levels, box, page)
    if panel.current:
        edge = Rect(box.x - page.u(2), box.y - page.u(2), side + page.u(4), side + page.u(4))
        page.fill(edge, stroke=page.theme.accent, width=page.u(2))
    page.put_cells(box, panel.values.shape, panel.values, panel.source, panel.title)
    page.picks.append(Pick(box, GoTo(f"blocks.*.attn.{panel.op}"), f"go to {panel.title}"))


def multiples_extent(panel: MultiplesPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: named thumbnails of 44, preferably 90 to 150 units, in as many rows as needed."""
    fixed, count, room = heading_height(panel) + LEGEND, len(panel.values), width / page.scale
    least = math.ceil(count / max(1, int(room / 62))) * 66
    columns = min(count, max(1, int((room + _THUMB_GAP) / (90 + _THUMB_GAP))))
    side = min(150, (room + _THUMB_GAP) / columns - _THUMB_GAP)
    return fixed + least, fixed + math.ceil(count / columns) * (side + _THUMB_NAME + 4)


def paint_multiples(panel: MultiplesPanel, rect: Rect, page: Page) -> None:
    """Paint every head's grid, with an outline around the selected one."""
    body = heading(panel, rect, page).inset(bottom=page.u(LEGEND))
    count = len(panel.values)
    gap, name = page.u(_THUMB_GAP), page.u(_THUMB_NAME)
    best = max(
        range(1, count + 1),
        # Full rows are preferred to slightly larger grids: a gap looks like a missing head.
        key=lambda n: (
            min((body.w - gap * (n - 1)) / n, (body.h - gap) / math.ceil(count / n) - name)
            * (1.0 if count % n == 0 else _HOLE)
        ),
    )
    rows = math.ceil(count / best)
    side = min((body.w - gap * (best - 1)) / best, body.h / rows - name - page.u(4), page.u(_THUMB_MOST))
    side = max(side, page.u(12))
    said = ""
    for head in range(count):
        row, column = divmod(head, best)
        box = Rect(body.x + column * (side + gap), body.y + row * (side + name + page.u(4)), side, side)
        said = heat(panel.values[head], panel.levels, box, page)
        chosen = head == panel.selected
        if chosen:
            edge = Rect(box.x - page.u(2), box.y - page.u(2), side + page.u(4), side + page.u(4))
            page.fill(edge, stroke=page.theme.accent, width=page.u(2))
        page.words(box.x + side / 2, box.y + side + page.u(11), panel.names[head], size=11, align="center", bold=chosen,
                   colour=page.theme.accent if chosen else page.theme.dim, room=side + gap)  # fmt: skip
        source = None
        if panel.source is not None:
            source = replace(panel.source, index=(head, *panel.source.index[1:]))
        page.put_cells(box, panel.values[head].shape, panel.values[head], source, panel.names[head])
        page.picks.append(Pick(box, ShowHead(head), panel.names[head]))
    bottom = body.y + rows * (side + name + page.u(4))
    if panel.every > 1:
        said = joined(" · ", filter(None, (Phrase("one query in {1}", panel.every), said)))
    under = Rect(body.x, bottom, body.w, page.u(LEGEND))
    legend(panel.levels, under, page, panel.levels.beyond(panel.values), said)


_ATLAS_SIDE, _ATLAS_WANTED, _ATLAS_MOST = 12.0, 52.0, 150.0  # side of one head's grid: minimum, preferred, maximum
_ATLAS_LABELS, _ATLAS_HEADS = 40.0, 20.0  # space beside the picture and above it


def atlas_extent(panel: AtlasPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: square grids as wide as possible, large enough to distinguish stripes."""
    rows, columns = panel.values.shape[:2]
    fixed = heading_height(panel) + LEGEND + _ATLAS_HEADS
    side = (width / page.scale - _ATLAS_LABELS) / columns
    return fixed + rows * min(_ATLAS_SIDE, side), fixed + rows * min(side, _ATLAS_WANTED)


def paint_atlas(panel: AtlasPanel, rect: Rect, page: Page) -> None:
    """Paint every head's grid in one picture, with the numbers of blocks and heads at its edges."""
    body = heading(panel, rect, page).inset(left=page.u(_ATLAS_LABELS), top=page.u(_ATLAS_HEADS), bottom=page.u(LEGEND))
    rows, columns = panel.values.shape[:2]
    side = max(page.u(2), min(body.w / columns, body.h / rows, page.u(_ATLAS_MOST)))
    box = Rect(body.x, body.y, side * columns, side * rows)
    page.fill(box, page.theme.background)
    picture, said = _atlas_picture(panel, pixels(side, page.density))
    page.marks.append(Heat(box, panel.levels.fraction(picture), page.theme.table(panel.levels.diverging)))
    for count, length, across in ((rows, box.h, False), (columns, box.w, True)):
        step = label_step(count, length, page, 24 if across else 14)
        selected = None if panel.selected is None else panel.selected[1 if across else 0]
        for n in labelled(count, step, selected):
            chosen, at = n == selected, (n + 0.5) * side
            x, y = (box.x + at, box.y - page.u(9)) if across else (box.x - page.u(8), box.y + at)
            colour = page.theme.accent if chosen else page.theme.dim
            page.words(x, y, f"{'H' if across else 'L'}{n}", size=10, mono=True, bold=chosen, colour=colour,
                       align="center" if across else "right")  # fmt: skip
    if panel.selected is not None:
        row, column = panel.selected
        edge = Rect(box.x + column * side, box.y + row * side, side, side)
        page.fill(edge, stroke=page.theme.accent, width=page.u(2))
    page.put_cells(box, (rows, columns), panel.numbers, panel.source, panel.title)
    under = Rect(box.x, box.y + box.h, max(box.w, body.w), page.u(LEGEND))
    legend(panel.levels, under, page, panel.levels.beyond(panel.values), panel.pooled or said)


def _atlas_picture(panel: AtlasPanel, side: int) -> tuple[Array, str]:
    """All grids in one picture [row, column], each `side` pixels wide and with a gap; and what a pixel represents."""
    rows, columns, queries, keys = panel.values.shape
    gap = 1 if side < 24 else 2 if side < 60 else 4
    inner = max(1, side - gap)
    whole = np.full((rows * side, columns * side), np.nan, np.float32)
    down, across = np.arange(inner) * min(queries, inner) // inner, np.arange(inner) * min(keys, inner) // inner
    signed = panel.levels.low < 0
    for row in range(rows):
        for column in range(columns):
            grid = pool(panel.values[row, column], inner, inner, signed=signed)
            top, left = row * side, column * side
            whole[top : top + inner, left : left + inner] = grid[down][:, across]
    return whole, pooled_words((queries, keys), min(queries, inner), min(keys, inner))
