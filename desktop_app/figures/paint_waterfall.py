"""The painter of waterfalls: the terms of a sum as bars, each of which begins where the previous one ends."""

from dataclasses import dataclass

import numpy as np

from desktop_app.core.levels import short
from desktop_app.core.panels import Rise, WaterfallPanel
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.paint_common import ROW, Extent, heading, heading_height
from desktop_app.figures.paint_curves import ticks
from desktop_app.gpt2.phrase import Phrase

_LEAST_ROW, _MOST_ROW = 18.5, 30.0
_AXIS, _LEVEL = 34.0, 19.0  # height of the foot: in two lines, and in one where it fits
_INDENT = 16.0
_LEAST_TRACK = 70.0
_FINE = 0.7  # width of background lines
_MEANINGS = ((3, Phrase("adds")), (1, Phrase("takes away")))  # of the stops of the diverging colour scale


@dataclass(frozen=True)
class _Columns:
    """Widths: of the labels, of the numbers, of the remarks (0 without them), and of all that is right of the bars.

    `level` says whether the colours' meaning and the axis's label fit into the line of the axis's numbers.
    """

    left: float
    text: float
    remark: float
    right: float
    level: bool

    @property
    def foot(self) -> float:
        """The height below the bars, in design units."""
        return _LEVEL if self.level else _AXIS


def _columns(panel: WaterfallPanel, width: float, page: Page) -> _Columns:
    rises = panel.rises
    text = max(page.width(rise.text, size=12, bold=rise.marked or rise.total) for rise in rises)
    # In a narrow panel labels need the space more than bars and remarks.
    most = max(0.34 * width, min(0.5 * width, width - text - page.u(_LEAST_TRACK + 14)))
    left = min(most, max(_label_width(rise, page) for rise in rises))
    remark = max(page.width(rise.remark, size=11) for rise in rises)
    remark = min(remark, max(0.0, width - left - text - page.u(_LEAST_TRACK + 24)), 0.4 * width)
    if remark < page.u(40):
        remark = 0.0
    right = text + page.u(14) + (remark + page.u(10) if remark else 0)
    colours = sum(page.width(page.say(words), size=10) + page.u(_INDENT) for _, words in _MEANINGS) + page.u(12)
    level = colours + page.u(8) <= left and page.width(panel.x_label, size=10) <= text
    return _Columns(left, text, remark, right, level)


def waterfall_extent(panel: WaterfallPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: one row per bar, at least 18.5 units high, and the axis."""
    fixed = heading_height(panel) + (_columns(panel, width, page).foot if panel.rises else _AXIS)
    return fixed + len(panel.rises) * _LEAST_ROW, fixed + len(panel.rises) * ROW


def paint_waterfall(panel: WaterfallPanel, rect: Rect, page: Page) -> None:
    """Paint an axis, and bars with label, value and remark; each starts where the previous one ended, totals at 0."""
    body = heading(panel, rect, page)
    rises, theme = panel.rises, page.theme
    if not rises:
        return
    columns = _columns(panel, body.w, page)
    left, right = columns.left, columns.right
    track = Rect(body.x + left, body.y, max(page.u(8), body.w - left - right), body.h - page.u(columns.foot))
    ends = [v for rise in rises for v in (rise.start, rise.start + rise.value)]
    low, high = min(0.0, *ends), max(0.0, *ends)
    span = high - low or 1.0
    low, high = low - 0.02 * span, high + 0.02 * span

    def px(value: float) -> float:
        return track.x + (value - low) / (high - low) * track.w

    height = min(max(track.h / len(rises), page.u(_LEAST_ROW)), page.u(_MOST_ROW))
    foot = track.y + len(rises) * height
    _axis((low, high), Rect(track.x, track.y, track.w, foot - track.y), page)
    numbers = track.x + track.w + page.u(14) + columns.text
    if columns.level:  # the label is a unit of the numbers too
        page.words(numbers, foot + page.u(8), panel.x_label, size=10, colour=theme.dim, align="right")
    else:
        page.words(track.x + track.w / 2, foot + page.u(23), panel.x_label, size=10, colour=theme.dim, align="center")
    _colours(Rect(body.x, foot, left, page.u(columns.foot)), page, level=columns.level)
    first_total = next((n for n, rise in enumerate(rises) if rise.total), len(rises))
    y, last = track.y, None
    for n, rise in enumerate(rises):
        if n == first_total:
            page.path([body.x, body.x + body.w], [y, y], theme.faint, page.u(_FINE))
        line = Rect(body.x, y, body.w, height)
        start, end = px(rise.start), px(rise.start + rise.value)
        if last is not None and not rise.total:
            page.path([start, start], [last, y + 0.2 * height], theme.faint, page.u(_FINE))
        _bar(rise, line, (start, end), page)
        _words(rise, line, (left, numbers, columns.remark), page)
        if not rise.unfolded:
            last = y + 0.8 * height
        y += height
    if panel.source is not None:
        values = np.array([[rise.value] for rise in rises])
        page.put_cells(Rect(body.x, track.y, body.w, foot - track.y), values.shape, values, panel.source, panel.title)


def _label_width(rise: Rise, page: Page) -> float:
    inset = page.u(_INDENT * (2 if rise.deeper else 1))
    return inset + page.width(rise.label, size=12, bold=rise.marked or rise.total) + page.u(12)


def _bar(rise: Rise, line: Rect, ends: tuple[float, float], page: Page) -> None:
    theme = page.theme
    colour = theme.accent if rise.total else theme.diverging_stops[3 if rise.value >= 0 else 1]
    thick = line.h * (0.64 if not rise.unfolded else 0.5)
    left, width = min(ends), max(abs(ends[1] - ends[0]), page.u(1))
    box = Rect(left, line.y + (line.h - thick) / 2, width, thick)
    if rise.unfolded:
        page.fill(box, stroke=colour, width=page.u(1))
    else:
        page.fill(box, colour, radius=min(page.u(2), width / 2))


def _words(rise: Rise, line: Rect, columns: tuple[float, float, float], page: Page) -> None:
    """Write label, number and remark; `columns` are the labels' width, the numbers' right edge, the remarks' width."""
    left, numbers, remark = columns
    theme, y = page.theme, line.y + line.h / 2
    bold = rise.marked or rise.total
    x = line.x + page.u(_INDENT * (2 if rise.deeper else 1))
    if rise.unfolded is not None:
        _arrow(line.x + page.u(5), y, page, down=rise.unfolded)
    page.words(x, y, rise.label, size=12, bold=bold, colour=theme.dim if rise.unfolded else theme.ink,
               room=line.x + left - x - page.u(8))  # fmt: skip
    page.words(numbers, y, rise.text, size=12, bold=bold, align="right",
               colour=theme.dim if rise.unfolded else theme.ink)  # fmt: skip
    # A remark about one term is written only if it fits; the remark about the sum's error is always written.
    if remark and (rise.total or page.width(rise.remark, size=11) <= remark):
        page.words(numbers + page.u(10), y, rise.remark, size=11, colour=theme.dim, room=remark)


def _arrow(x: float, y: float, page: Page, *, down: bool) -> None:
    """Draw an arrow that says whether a row can be unfolded into its parts (pointing right) or is unfolded (down)."""
    far, near = page.u(4), page.u(2)
    if down:
        page.path([x - far, x, x + far], [y - near, y + near, y - near], page.theme.dim, page.u(1.5))
    else:
        page.path([x - near, x + near, x - near], [y - far, y, y + far], page.theme.dim, page.u(1.5))


def _axis(limits: tuple[float, float], box: Rect, page: Page) -> None:
    """Draw lines at round numbers behind the bars, the line at 0 darker than the others, and the numbers under them."""
    theme, (low, high) = page.theme, limits
    foot = box.y + box.h
    end = box.x - page.u(8)
    for tick in ticks(low, high, min(max(3, int(box.w / page.u(50))), 8)):
        x = box.x + (tick - low) / (high - low) * box.w
        page.path([x, x], [box.y, foot], theme.faint if tick == 0 else theme.line, page.u(_FINE))
        words = short(tick)
        half = page.width(words, size=10) / 2
        if x - half > end:
            page.words(x, foot + page.u(8), words, size=10, colour=theme.dim, align="center")
            end = x + half + page.u(4)


def _colours(rect: Rect, page: Page, *, level: bool) -> None:
    """Show what the two colours mean, under the labels: side by side if `level`."""
    x, y = rect.x, rect.y + page.u(8)
    for stop, words in _MEANINGS:
        page.fill(Rect(x, y - page.u(4), page.u(8), page.u(8)), page.theme.diverging_stops[stop], radius=page.u(2))
        room = rect.x + rect.w - x - page.u(24)
        wide = page.words(x + page.u(_INDENT), y, page.say(words), size=10, colour=page.theme.dim, room=room)
        if level:
            x += wide + page.u(_INDENT + 12)
        else:
            y += page.u(15)
