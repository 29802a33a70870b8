"""The painter of arcs: the tokens of a text in a line, joined by arcs whose width is the attention weight."""

import math
from collections.abc import Callable

import numpy as np

from desktop_app.core.asking.intents import Select
from desktop_app.core.levels import percent
from desktop_app.core.panels import ArcsPanel, Source
from desktop_app.figures.marks import Array, Dots, Page, Pick, Rect
from desktop_app.figures.paint_common import Extent, heading, heading_height
from desktop_app.figures.theme import mix
from desktop_app.gpt2.phrase import Phrase

_Arc = Callable[[int, int], tuple[Array, Array]]
_Top = Callable[[int, int], tuple[float, float]]
_SIZES = (30.0, 26.0, 22.0, 19.0, 16.0, 14.0)  # type sizes of words side by side; the largest that fits is used
_DOWN, _LINE = 15.0, 25.0  # for words one below the other: their type size, and the height of a line
_GAP = 12.0
_THICK = 12.0  # width of an arc of weight 1
_LEAST_DOWN, _MOST_DOWN = 90.0, 260.0  # minimum and preferred height of the arcs over words side by side
_LEGEND = 26.0
_WEIGHTS = (0.1, 0.3, 1.0)
_POINTS = 49
_NUMBERED = 4  # the number of the chosen token's arcs that are labelled with their weights


def _size_across(panel: ArcsPanel, width: float, page: Page) -> float | None:
    """The type size of tokens placed side by side; None if they are placed one below the other."""
    for size in _SIZES:
        words = sum(page.width(piece, size=size, mono=True) for piece in panel.pieces)
        if (words + page.u(_GAP) * len(panel.pieces)) * (1 + page.slack) <= width:
            return size
    return None


def arcs_extent(panel: ArcsPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: arcs over one line of words, or one line for each word."""
    fixed = heading_height(panel) + _LEGEND
    size = _size_across(panel, width, page)
    if size is None:
        return fixed + 18.0 * len(panel.pieces), fixed + _LINE * len(panel.pieces)
    return fixed + _LEAST_DOWN + 2 * size, fixed + _MOST_DOWN + 2 * size


def paint_arcs(panel: ArcsPanel, rect: Rect, page: Page) -> None:
    """Paint words, and arcs from each query to its keys; those of the chosen token have full colour and weights."""
    body = heading(panel, rect, page)
    foot = Rect(body.x, body.y + body.h - page.u(_LEGEND), body.w, page.u(_LEGEND))
    room = body.inset(bottom=page.u(_LEGEND))
    size = _size_across(panel, body.w, page)
    if size is None:
        _down(panel, room, page)
    else:
        _across(panel, room, size, page)
    _legend(panel, foot, page)


def _across(panel: ArcsPanel, room: Rect, size: float, page: Page) -> None:
    widths = [page.width(piece, size=size, mono=True) for piece in panel.pieces]
    total = sum(widths) + page.u(_GAP) * len(widths)
    spread = min(max(room.w - total, 0) / max(len(widths), 1), page.u(60))
    x, boxes = room.x, []
    height = page.u(1.7 * size)
    for width in widths:
        boxes.append(Rect(x, room.y + room.h - height, width + page.u(_GAP), height))
        x += width + page.u(_GAP) + spread
    middles = np.array([box.x + box.w / 2 for box in boxes])
    base = boxes[0].y - page.u(3)
    tall = base - room.y - page.u(14)
    far = max(len(boxes) - 1, 1)

    def arc(query: int, key: int) -> tuple[Array, Array]:
        turn = np.linspace(0, math.pi, _POINTS)
        if query == key:
            radius = page.u(8)
            return middles[query] + radius * np.sin(2 * turn), base - radius + radius * np.cos(2 * turn)
        high = tall * math.sqrt(abs(query - key) / far)
        centre, half = (middles[query] + middles[key]) / 2, (middles[query] - middles[key]) / 2
        return centre + half * np.cos(turn), base - high * np.sin(turn)

    def top(query: int, key: int) -> tuple[float, float]:
        own = tall * math.sqrt(abs(query - key) / far) if query != key else page.u(20)
        return float((middles[query] + middles[key]) / 2), base - own - page.u(8)

    _arcs(panel, arc, page)
    _numbers(panel, top, page)
    for n, box in enumerate(boxes):
        _word(panel, n, box, size, page, align="center")


def _down(panel: ArcsPanel, room: Rect, page: Page) -> None:
    count = len(panel.pieces)
    line = room.h / count
    widest = min(max(page.width(piece, size=_DOWN, mono=True) for piece in panel.pieces) + page.u(12), 0.5 * room.w)
    boxes = [Rect(room.x + room.w - widest, room.y + n * line, widest, line) for n in range(count)]
    middles = np.array([box.y + box.h / 2 for box in boxes])
    base = boxes[0].x - page.u(3)
    wide = min(base - room.x - page.u(40), page.u(420))
    far = max(count - 1, 1)

    def reach(query: int, key: int) -> float:
        return wide * math.sqrt(abs(query - key) / far)

    def arc(query: int, key: int) -> tuple[Array, Array]:
        turn = np.linspace(0, math.pi, _POINTS)
        if query == key:
            radius = min(page.u(7), 0.4 * line)
            return base - radius + radius * np.cos(2 * turn), middles[query] + radius * np.sin(2 * turn)
        centre, half = (middles[query] + middles[key]) / 2, (middles[query] - middles[key]) / 2
        return base - reach(query, key) * np.sin(turn), centre + half * np.cos(turn)

    def top(query: int, key: int) -> tuple[float, float]:
        own = reach(query, key) if query != key else page.u(18)
        return base - own - page.u(24), float((middles[query] + middles[key]) / 2)

    _arcs(panel, arc, page)
    _numbers(panel, top, page)
    for n, box in enumerate(boxes):
        _word(panel, n, box, _DOWN, page, align="left")


def _arcs(panel: ArcsPanel, arc: _Arc, page: Page) -> None:
    """Paint all arcs, faint ones first, with dots at the chosen token's keys. If none is chosen, all are in colour."""
    colour = page.theme.hues[panel.hue]
    pairs = [(int(i), int(j)) for i, j in np.argwhere(panel.values >= panel.least)]
    mine = [pair for pair in pairs if panel.selected in (None, pair[0])]
    for query, key in sorted((p for p in pairs if p not in mine), key=lambda p: panel.values[p]):
        weight = float(panel.values[query, key])
        faint = mix(colour, page.theme.background, 0.1 + 0.2 * weight)
        page.path(*arc(query, key), faint, max(page.u(0.7), page.u(0.4 * _THICK) * weight))
    for query, key in sorted(mine, key=lambda p: panel.values[p]):
        weight = float(panel.values[query, key])
        x, y = arc(query, key)
        shade = mix(colour, page.theme.background, 0.75 + 0.25 * weight)
        page.path(x, y, shade, max(page.u(1.2), page.u(_THICK) * weight))
        if query != key:
            page.marks.append(Dots(x[-1:], y[-1:], shade, max(page.u(2.5), page.u(0.5 * _THICK) * weight)))


def _numbers(panel: ArcsPanel, top: _Top, page: Page) -> None:
    """Write the weights of the chosen token's strongest arcs where they fit."""
    if panel.selected is None:
        return
    own = panel.values[panel.selected]
    order = np.argsort(np.where(np.isfinite(own), -own, np.inf), kind="stable")[:_NUMBERED]
    taken: list[tuple[float, float]] = []
    for key in (int(k) for k in order if own[k] >= panel.least):
        x, y = top(panel.selected, key)
        if all(abs(x - a) > page.u(46) or abs(y - b) > page.u(16) for a, b in taken):
            words = percent(float(own[key]))
            wide = page.width(words, size=13, bold=True) + page.u(6)
            page.fill(Rect(x - wide / 2, y - page.u(8), wide, page.u(16)), page.theme.background, radius=page.u(3))
            page.words(x, y, words, size=13, bold=True, align="center")
            taken.append((x, y))


def _word(panel: ArcsPanel, n: int, box: Rect, size: float, page: Page, *, align: str) -> None:
    chosen = n == panel.selected
    own = panel.values[panel.selected, n] if panel.selected is not None else math.nan
    read = bool(own >= panel.least)
    if chosen:
        page.fill(box.inset(top=page.u(1), bottom=page.u(1)), None, stroke=page.theme.accent, width=page.u(2),
                  radius=page.u(3))  # fmt: skip
    x = box.x + box.w / 2 if align == "center" else box.x + page.u(6)
    page.words(x, box.y + box.h / 2, panel.pieces[n], size=size, mono=True, bold=chosen, align=align,
               colour=page.theme.ink if read or chosen else page.theme.dim, room=box.w)  # fmt: skip
    if panel.source is not None and panel.selected is not None and not np.isnan(own):
        cell = Source(panel.source.name, panel.source.at(panel.selected, n), run=panel.source.run)
        page.put_cells(box, (1, 1), np.array([[own]]), cell, panel.pieces[n])
    page.picks.append(Pick(box, Select(n), panel.pieces[n]))


def _legend(panel: ArcsPanel, rect: Rect, page: Page) -> None:
    """Show the width of arcs for some weights, and write the smallest weight for which an arc is drawn."""
    colour = mix(page.theme.hues[panel.hue], page.theme.background, 0.75)
    x, y = rect.x, rect.y + rect.h / 2
    for weight in _WEIGHTS:
        page.path([x, x + page.u(18)], [y, y], colour, max(page.u(1.2), page.u(_THICK) * weight))
        x += page.u(24)
        x += page.words(x, y, f"{100 * weight:g} %", size=11, colour=page.theme.dim) + page.u(12)
    words = page.say(Phrase("weights of {1} % or more", f"{100 * panel.least:g}"))
    page.words(x, y, words, size=11, colour=page.theme.dim, room=rect.x + rect.w - x)
