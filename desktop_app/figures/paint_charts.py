"""Painters of charts: bars, and the interval from 0 to 1 in which a token is drawn."""

import math

import numpy as np

from desktop_app.core.panels import Bar, BarsPanel, RulerPanel, Source
from desktop_app.figures.marks import Page, Pick, Rect
from desktop_app.figures.paint_common import LEGEND, ROW, Extent, clauses_in, heading, heading_height, map_height
from desktop_app.figures.theme import mix

_CUT = 18.0
_LABELS = 0.62  # the share of the width that labels may take, if enough is left for the bars
_SHORT_NAME = 96.0  # names up to this width, such as a neuron's, are never shortened in favour of a remark
_LEAST_ROW, _MOST_ROW, _THICKEST = 18.5, 44.0, 18.0
_LEAST_BESIDE = 15.0  # height of a row beside a map, whose rows have no space between them


def bars_extent(panel: BarsPanel, _width: float, _page: Page) -> Extent:
    """Minimum and preferred height: one row per bar, at least 18.5 units high, or 15 beside a map."""
    fixed = heading_height(panel) + (LEGEND if panel.beside_map else len(panel.cuts) * _CUT + 8)
    least = _LEAST_BESIDE if panel.beside_map else _LEAST_ROW
    return fixed + len(panel.bars) * least, fixed + len(panel.bars) * ROW


def paint_bars(panel: BarsPanel, rect: Rect, page: Page) -> None:
    """Paint horizontal bars from the base, with label, value and remark, and a dashed line at each cut."""
    body = heading(panel, rect, page)
    if not panel.bars:
        return
    if not panel.drawn:
        _numbers(panel, body, page)
        return
    measured = panel.peers or panel.bars
    text = max(page.width(b.text, size=12) for b in measured) + page.u(10)
    remark = max(page.width(b.remark, size=11) for b in measured)
    label = max(page.width(b.label, size=12, mono=True, bold=b.marked) for b in measured) + page.u(10)
    # Remarks and labels may each take a third of the width, or more if enough is left for the bars.
    spare = body.w - text - min(label, body.w * 0.34) - page.u(110)
    whole, remark = label, min(remark, max(body.w * 0.3, spare)) + page.u(8) if remark else 0.0

    def label_beside(remark: float) -> float:
        spare = body.w - text - remark - page.u(70)
        return min(whole, max(body.w * 0.34, page.u(_SHORT_NAME), min(body.w * _LABELS, spare)))

    label = label_beside(remark)
    if body.w - label - text - remark < page.u(34):
        remark = 0.0
        label = label_beside(remark)
    # On very narrow pages, labels are shortened so that the numbers stay on the page.
    label = min(label, max(page.u(30), body.w - text - remark - page.u(30)))
    track = Rect(body.x + label, body.y, max(page.u(8), body.w - label - text - remark), body.h)
    # Bars with values below the base extend to its left, so the base is moved right by the space that they need.
    # Infinite values, with which no other could be compared, have no bar.
    ends = [v for b in measured for v in (b.value, b.outline) if v is not None and math.isfinite(v)]
    below = max([0.0, *(panel.base - v for v in ends)])
    above = max([panel.reach if math.isfinite(panel.reach) else 0.0, 0.0, *(v - panel.base for v in ends)])
    unit = track.w / (above + below or 1.0)
    zero = track.x + below * unit
    y = body.y
    free = body.h - page.u(len(panel.cuts) * _CUT + 8)
    height = min(max(free / len(panel.bars), page.u(_LEAST_ROW)), page.u(_MOST_ROW))
    if panel.beside_map:
        height = map_height(len(panel.bars), body.h, page) / len(panel.bars)
    for n, bar in enumerate(panel.bars):
        y = _cut_lines(panel, n, body, y, page)
        line = Rect(body.x, y, body.w, height)
        _bar(bar, panel, line, zero, unit, label, page)
        page.words(track.x + track.w + text - page.u(2), y + line.h / 2, bar.text, size=12, align="right",
                   colour=page.theme.ink if bar.kept else page.theme.dim)  # fmt: skip
        if remark:
            room = remark - page.u(8)
            words = clauses_in(bar.remark, room, 11, page)
            page.words(
                track.x + track.w + text + page.u(8), y + line.h / 2, words, size=11, colour=page.theme.dim, room=room
            )
        y += line.h
    _cut_lines(panel, len(panel.bars), body, y, page)
    if below:
        page.path([zero, zero], [body.y, y], page.theme.faint)


def _numbers(panel: BarsPanel, body: Rect, page: Page) -> None:
    """Write labels, numbers and remarks in three columns, without bars."""
    text = max(page.width(b.text, size=12) for b in panel.bars)
    label = min(max(page.width(b.label, size=12, mono=True) for b in panel.bars), body.w - text - page.u(32))
    for n, bar in enumerate(panel.bars):
        line = Rect(body.x, body.y + n * page.u(ROW), body.w, page.u(ROW))
        y, end = line.y + line.h / 2, body.x + label + page.u(16) + text
        page.words(body.x, y, bar.label, size=12, mono=True, room=label)
        page.words(end, y, bar.text, size=12, align="right")
        page.words(
            end + page.u(16), y, bar.remark, size=11, colour=page.theme.dim, room=body.x + body.w - end - page.u(16)
        )
        _answer(bar, line, page)


def _answer(bar: Bar, line: Rect, page: Page) -> None:
    """Make a bar's line respond to the pointer."""
    if bar.source is not None:
        name, index = bar.source
        page.put_cells(line, (1, 1), np.array([[bar.value]]), Source(name, index, run=bar.run), bar.label)
    if bar.pick is not None:
        page.picks.append(Pick(line, bar.pick, bar.label))


def _bar(bar: Bar, panel: BarsPanel, line: Rect, zero: float, unit: float, label: float, page: Page) -> None:
    theme, y = page.theme, line.y + line.h / 2
    height = min(line.h * 0.64, page.u(_THICKEST))
    if bar.marked:
        page.fill(Rect(line.x, line.y, line.w, line.h), theme.accent_fill, radius=page.u(3))
    page.words(line.x + label - page.u(8), y, bar.label, size=12, mono=True, align="right", bold=bar.marked,
               colour=theme.ink if bar.kept else theme.dim, room=label - page.u(10))  # fmt: skip
    length = abs(bar.value - panel.base) * unit
    left = zero - length if bar.value < panel.base else zero
    colour = theme.hues[panel.hue] if bar.kept else theme.faint
    if bar.value != panel.base and math.isfinite(bar.value):
        # A value too small for a pixel is still drawn as a hairline, because it is not zero.
        drawn = Rect(left, y - height / 2, max(length, page.u(1)), height)
        page.fill(drawn, colour, radius=min(page.u(3), drawn.w / 2))
    if bar.outline and math.isfinite(bar.outline):
        # The frame is over the bar and slightly higher, so that it is not taken for a part of the bar.
        reached = (bar.outline - panel.base) * unit
        frame = Rect(zero, y - height / 2 - page.u(1.5), max(reached, page.u(1)), height + page.u(3))
        page.fill(frame, stroke=theme.ink, width=page.u(1), radius=page.u(2))
    _answer(bar, line, page)


def _cut_lines(panel: BarsPanel, above: int, body: Rect, y: float, page: Page) -> float:
    """Draw the dividing lines below `above` bars; return the y at which the next bar begins."""
    for cut in panel.cuts:
        if cut.place == above:
            page.path([body.x, body.x + body.w], [y + page.u(2)] * 2, page.theme.dim, page.u(1), dashed=True)
            page.words(
                body.x + body.w, y + page.u(10), cut.words, size=11, colour=page.theme.dim, align="right", room=body.w
            )
            y += page.u(_CUT)
    return y


def ruler_extent(panel: RulerPanel, _width: float, _page: Page) -> Extent:
    """Minimum and preferred height: a bar with the number above it and ticks below."""
    return heading_height(panel) + 96, heading_height(panel) + 96


def paint_ruler(panel: RulerPanel, rect: Rect, page: Page) -> None:
    """Paint the interval from 0 to 1 divided among tokens, with the random number u marked on it."""
    theme = page.theme
    body = heading(panel, rect, page)
    bar = Rect(body.x, body.y + page.u(30), body.w, page.u(36))
    for n, words in enumerate(panel.labels):
        left, right = (bar.x + e * bar.w for e in panel.edges[n : n + 2])
        piece = Rect(left, bar.y, max(right - left, 0.5), bar.h)
        landed = n == panel.landed
        ground = theme.accent if landed else mix(theme.accent, theme.panel, 0.22 if n % 2 else 0.38)
        page.fill(piece, ground)
        if piece.w > page.width(words, size=12, mono=True, bold=landed) + page.u(6):
            page.words(piece.x + piece.w / 2, bar.y + bar.h / 2, words, size=12, mono=True, align="center",
                       bold=landed, on=ground)  # fmt: skip
    page.fill(bar, stroke=theme.line)
    x = bar.x + panel.u * bar.w
    page.path([x, x], [bar.y - page.u(8), bar.y + bar.h + page.u(4)], theme.ink, page.u(2))
    side = "right" if panel.u > 0.8 else "left"
    page.words(
        x + page.u(-6 if side == "right" else 6),
        bar.y - page.u(13),
        f"u = {panel.u:.4f}",
        size=12,
        bold=True,
        align=side,
    )
    for tick in (0, 0.25, 0.5, 0.75, 1):
        align = "left" if tick == 0 else "right" if tick == 1 else "center"
        page.words(
            bar.x + tick * bar.w, bar.y + bar.h + page.u(14), f"{tick:g}", size=10, colour=theme.dim, align=align
        )
