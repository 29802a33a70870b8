"""Painters of many small attention grids: one head's without labels, all heads' of a block, and those of all blocks."""

import math
from dataclasses import replace

import numpy as np

from desktop_app.core.asking.intents import GoTo, ShowHead
from desktop_app.core.levels import short
from desktop_app.core.panels import AtlasPanel, GridPanel, MultiplesPanel
from desktop_app.figures.marks import Array, Heat, Page, Pick, Rect
from desktop_app.figures.paint_common import (
    FOOT,
    LEGEND,
    Extent,
    heading,
    heading_height,
    heat,
    label_step,
    labelled,
    legend,
)
from desktop_app.figures.pool import pixels, pool, pooled_words
from desktop_app.gpt2.phrase import Count, Phrase, joined

_WORDS = 58.0  # height of the words above and below a small grid
_THUMB_GAP, _THUMB_NAME, _THUMB_MOST = 12.0, 18.0, 420.0
_HOLE = 0.7


def small_extent(width: float, page: Page) -> Extent:
    """Minimum and preferred height of one head's grid without labels."""
    return _WORDS + 96, _WORDS + min(width / page.scale, 190)


def paint_small(panel: GridPanel, rect: Rect, page: Page) -> None:
    """Paint one head's grid without labels."""
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
    side = max(page.u(24), min(rect.w - page.u(8), rect.h - page.u(_WORDS)))
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
    """Paint every head's grid in one picture, with the numbers of blocks and heads at its edges.

    In a window, the whole picture is visible at once, however high the panels beside it are.
    """
    body = heading(panel, rect, page).inset(left=page.u(_ATLAS_LABELS), top=page.u(_ATLAS_HEADS), bottom=page.u(LEGEND))
    rows, columns = panel.values.shape[:2]
    # Larger type makes a larger picture, even if that then has to be scrolled.
    seen = page.room + page.u(FOOT) - (rect.h - body.h) if page.scale <= 1 else math.inf
    high = min(body.h, max(seen, rows * page.u(_ATLAS_SIDE)))
    side = max(page.u(2), min(body.w / columns, high / rows, page.u(_ATLAS_MOST)))
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
