"""Painters of vectors as strips of coloured cells, below each other."""

import math

import numpy as np

from desktop_app.core.asking.intents import ShowHead
from desktop_app.core.panels import Strip, StripsPanel
from desktop_app.figures.marks import Page, Pick, Rect
from desktop_app.figures.paint_common import (
    LEGEND,
    Extent,
    beyond_marks,
    cell_numbers,
    heading,
    heading_height,
    heat,
    legend,
)
from desktop_app.gpt2.phrase import Phrase

# maximum width of labels beside a strip, and the part of it that is not for words
_STRIP_LABEL, _BESIDE_LABEL = 118.0, 38.0
_HIGHEST = 48.0  # the maximum height of a row of cells
_STRIP_GAP = 10.0
_GROUP_HEAD = 14.0


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
