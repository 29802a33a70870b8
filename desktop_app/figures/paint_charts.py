"""Painters of charts: bars, curves, and the interval from 0 to 1 in which a token is drawn."""

import math

import numpy as np

from desktop_app.core.levels import diverging, number, short
from desktop_app.core.panels import Bar, BarsPanel, CurvePanel, Hue, RulerPanel, Source
from desktop_app.figures.marks import Dots, Page, Pick, Rect
from desktop_app.figures.paint_common import LEGEND, ROW, clauses_in, heading, heading_height, map_height
from desktop_app.figures.theme import mix
from desktop_app.gpt2.phrase import Count, Phrase

Extent = tuple[float, float]
_CUT = 18.0
_SHORT_NAME = 96.0  # names up to this width, such as a neuron's, are never shortened to make room for a remark
_LEAST_ROW, _MOST_ROW, _THICKEST = 18.5, 44.0, 18.0
_LEAST_BESIDE = 15.0  # a row beside a map, which has no room between its cells
_NAMES = 18.0  # height of a line of words above the axes
_LISTED = 6

_LINE_HUES = (Hue.ACCENT, Hue.KEY, Hue.VALUE, Hue.MLP, Hue.QUERY, Hue.RESIDUAL)
"""The colours of several named lines, in order."""


def bars_extent(panel: BarsPanel, _width: float, _page: Page) -> Extent:
    """Least and wanted height: one row for each bar, at least 18.5 units high, or 15 beside a map."""
    fixed = heading_height(panel) + (LEGEND if panel.beside_map else len(panel.cuts) * _CUT + 8)
    least = _LEAST_BESIDE if panel.beside_map else _LEAST_ROW
    return fixed + len(panel.bars) * least, fixed + len(panel.bars) * ROW


def paint_bars(panel: BarsPanel, rect: Rect, page: Page) -> None:
    """Paint horizontal bars from the base with label, value and remark, and a dashed line at each cut-off."""
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
    # Remarks and labels take up to a third of the width each, or more where that leaves enough for the bars.
    spare = body.w - text - min(label, body.w * 0.34) - page.u(110)
    whole, remark = label, min(remark, max(body.w * 0.3, spare)) + page.u(8) if remark else 0.0

    def label_beside(remark: float) -> float:
        spare = body.w - text - remark - page.u(70)
        return min(whole, max(body.w * 0.34, page.u(_SHORT_NAME), min(body.w * 0.5, spare)))

    label = label_beside(remark)
    if body.w - label - text - remark < page.u(34):
        remark = 0.0
        label = label_beside(remark)
    # On the narrowest pages labels are shortened so that numbers stay on the page.
    label = min(label, max(page.u(30), body.w - text - remark - page.u(30)))
    track = Rect(body.x + label, body.y, max(page.u(8), body.w - label - text - remark), body.h)
    # Bars below the base extend to its left, so the base is moved right by as much as they need.
    below = max(0.0, *(panel.base - b.value for b in measured))
    above = max(panel.reach, 0.0, *(max(b.value, b.outline or panel.base) - panel.base for b in measured))
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
    """Labels, numbers and remarks in three columns, without bars."""
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
    """Let a bar's line respond to the pointer."""
    if bar.source is not None:
        name, index = bar.source
        page.put_cells(line, (1, 1), np.array([[bar.value]]), Source(name, index), bar.label)
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
    if bar.value != panel.base:
        # A value too small for a pixel still gets a hairline: it is not zero.
        drawn = Rect(left, y - height / 2, max(length, page.u(1)), height)
        page.fill(drawn, colour, radius=min(page.u(3), drawn.w / 2))
    if bar.outline:
        # Over the bar and a little higher, so that it reads as a separate frame and not as a part of the bar.
        reached = (bar.outline - panel.base) * unit
        frame = Rect(zero, y - height / 2 - page.u(1.5), max(reached, page.u(1)), height + page.u(3))
        page.fill(frame, stroke=theme.ink, width=page.u(1), radius=page.u(2))
    _answer(bar, line, page)


def _cut_lines(panel: BarsPanel, above: int, body: Rect, y: float, page: Page) -> float:
    """The separator lines below `above` bars; returns where the next bar begins."""
    for cut in panel.cuts:
        if cut.place == above:
            page.path([body.x, body.x + body.w], [y + page.u(2)] * 2, page.theme.dim, page.u(1), dashed=True)
            page.words(
                body.x + body.w, y + page.u(10), cut.words, size=11, colour=page.theme.dim, align="right", room=body.w
            )
            y += page.u(_CUT)
    return y


def curve_extent(panel: CurvePanel, width: float, page: Page) -> Extent:
    """Least and wanted height: those of a wide, low box."""
    return heading_height(panel) + 120, heading_height(panel) + min(max(150, width / page.scale * 0.5), 280)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two limits: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def paint_curve(panel: CurvePanel, rect: Rect, page: Page) -> None:
    """Paint axes with round numbers, named level lines and bands, lines, dots, and one named dot."""
    theme = page.theme
    body = heading(panel, rect, page)
    xs = [a for a, _ in panel.lines] + ([panel.points[0]] if panel.points else [])
    ys = [b for _, b in panel.lines] + ([panel.points[1]] if panel.points else [])
    if not xs and panel.focus is not None:
        xs, ys = [np.array([panel.focus[0]])], [np.array([panel.focus[1]])]
    if not xs:  # hidden values: axes without a scale
        page.fill(body.inset(left=page.u(26), bottom=page.u(36)), theme.panel, stroke=theme.line)
        middle = body.x + body.w / 2
        page.words(middle, body.y + body.h - page.u(9), panel.x_label, size=11, colour=theme.dim, align="center")
        return
    x0, x1 = panel.x_range or (float(min(a.min() for a in xs)), float(max(a.max() for a in xs)))
    x1 = x1 if x1 > x0 else x0 + 1
    y0, y1 = _limits(panel, ys, (x0, x1))
    outside = _outside(panel, (x0, x1, y0, y1))
    marks = _marks(y0, y1, body.h - page.u(56 + (_NAMES if outside.any() else 0)), page, ends=panel.stems)
    left = max((page.width(short(t), size=10) for t in marks), default=0) + page.u(26 if panel.y_label else 12)
    top = page.u(4) + _above(panel, outside, body.inset(left=left), page)
    names = min(max((page.width(n, size=11, mono=True) for n in panel.line_names), default=0), body.w / 4)
    right = page.u(14) + (names + page.u(8) if names else 0)
    box = body.inset(left=left, bottom=page.u(36), right=right, top=top)

    def px(x: object) -> np.ndarray:
        return box.x + (np.asarray(x, float) - x0) / (x1 - x0) * box.w

    def py(y: object) -> np.ndarray:
        return box.y + box.h - (np.clip(np.asarray(y, float), y0, y1) - y0) / (y1 - y0) * box.h

    page.fill(box, theme.panel, stroke=theme.line)
    if panel.band:
        low, high = (float(v) for v in py(panel.band))
        page.fill(Rect(box.x, high, box.w, max(low - high, 1)), _band_colour(page))
    for tick in marks:
        y = float(py(tick))
        page.path([box.x - page.u(4), box.x], [y, y], theme.faint)
        page.words(box.x - page.u(7), y, short(tick), size=10, colour=theme.dim, align="right")
    for tick in ticks(x0, x1, max(2, int(box.w / page.u(70)))):
        x = float(px(tick))
        page.path([x, x], [box.y + box.h, box.y + box.h + page.u(4)], theme.faint)
        page.words(x, box.y + box.h + page.u(11), short(tick), size=10, colour=theme.dim, align="center")
    page.words(box.x + box.w / 2, box.y + box.h + page.u(27), panel.x_label, size=11, colour=theme.dim, align="center")
    if panel.y_label:
        page.words(
            rect.x + page.u(6), box.y + box.h / 2, panel.y_label, size=11, colour=theme.dim, align="center", angle=90
        )
    hue = theme.hues[panel.hue]
    if panel.points is not None:
        _points(panel, outside, px, py, hue, page)
    colours = [theme.hues[h] for h in _LINE_HUES] if panel.line_names else [hue]
    for n, (line_x, line_y) in enumerate(panel.lines):
        dashed = n // len(colours) % 2 == 1  # more lines than hues: those that reuse a hue are dashed
        page.path(px(line_x), py(line_y), colours[n % len(colours)], page.u(2), dashed=dashed)
    if panel.line_names:
        ends = [float(py(line_y[-1])) for _, line_y in panel.lines]
        _line_names(panel.line_names, ends, colours, Rect(box.x + box.w, box.y, names + page.u(8), box.h), page)
    for level, _ in panel.levels_at:
        y = float(py(level))
        page.path([box.x, box.x + box.w], [y, y], theme.accent, page.u(1.5), dashed=True)
    if panel.focus is not None:
        _named_point(panel.focus, (x0, x1, y0, y1), box, page)
    places = np.clip(px([x for x, _, _ in panel.stops]), box.x, box.x + box.w)
    edges = [box.x, *(places[1:] + places[:-1]) / 2, box.x + box.w]
    for n, (_, asks, words) in enumerate(panel.stops):
        page.picks.append(Pick(Rect(float(edges[n]), box.y, float(edges[n + 1] - edges[n]), box.h), asks, words))


def _line_names(names: tuple[str, ...], ends: list[float], colours: list[str], room: Rect, page: Page) -> None:
    """Write each line's name at its end, moved apart where names would overlap."""
    height, at, foot = page.u(14), room.y - page.u(14), room.y + room.h
    order, places = sorted(range(len(names)), key=lambda n: ends[n]), list(ends)
    for n in order:
        at = places[n] = max(at + height, ends[n])
    for n in reversed(order):
        places[n] = min(places[n], foot)
        foot = places[n] - height
    for n in order:
        colour = colours[n % len(colours)]
        page.words(room.x + page.u(6), places[n], names[n], size=11, colour=colour, room=room.w - page.u(6), mono=True)


def _named_point(
    focus: tuple[float, float, str], limits: tuple[float, float, float, float], box: Rect, page: Page
) -> None:
    """Paint the named dot; if it lies beyond the axes, an arrow at their edge with its position."""
    theme, (fx, fy, words), (x0, x1, y0, y1) = page.theme, focus, limits
    inside = x0 <= fx <= x1 and y0 <= fy <= y1
    x = box.x + (min(max(fx, x0), x1) - x0) / (x1 - x0) * box.w
    y = box.y + box.h - (min(max(fy, y0), y1) - y0) / (y1 - y0) * box.h
    if inside:
        page.marks.append(Dots(np.array([x]), np.array([y]), theme.accent, page.u(4)))
    else:
        words = page.say(Phrase("{1} beyond, at {2}", words, f"({short(fx)}, {short(fy)})"))
        across, up = (fx > x1) - (fx < x0), (fy > y1) - (fy < y0)
        length, half = page.u(9), page.u(5)
        size = math.hypot(across, up)
        dx, dy = across / size, -up / size
        tail = x - dx * length, y - dy * length
        page.path(
            [tail[0] - dy * half, x, tail[0] + dy * half],
            [tail[1] + dx * half, y, tail[1] - dx * half],
            theme.accent,
            page.u(2.5),
        )
    right = x > box.x + box.w * 0.6
    above = y - box.y > page.u(24)  # clear of the line that the dot lies on
    gap = page.u(4 if inside else 16)
    room = (x - box.x if right else box.x + box.w - x) - gap
    size = page.fitting(words, room, (11, 10, 9), bold=True)
    page.words(x + (-gap if right else gap), y + page.u(-14 if above else 14), words, size=size, bold=True,
               colour=theme.accent, align="right" if right else "left", room=room)  # fmt: skip


def _band_colour(page: Page) -> str:
    return mix(page.theme.accent, page.theme.panel, 0.16)


def _above(panel: CurvePanel, outside: np.ndarray, room: Rect, page: Page) -> float:
    """Write line names and points beyond the limits above the axes, where they cover nothing. Returns their height."""
    end = _named_lines(panel, room, page)
    height = page.u(_NAMES) if end > room.x else 0.0
    if outside.any():
        words = _beyond_words(panel, outside, room.w, page)
        if page.width(words, size=10) > room.x + room.w - end:
            end, height = room.x, height + page.u(_NAMES)
        height = max(height, page.u(_NAMES))
        page.words(end, room.y + height - page.u(10), words, size=10, colour=page.theme.dim, room=room.x + room.w - end)
    return height


def _named_lines(panel: CurvePanel, room: Rect, page: Page) -> float:
    """Name the level lines and the band; returns where their line of text continues."""
    names = [words for _, words in panel.levels_at if words != "0"]
    x, y, end = room.x, room.y + page.u(8), room.x + room.w
    for words in names:
        page.path([x, x + page.u(18)], [y, y], page.theme.accent, page.u(1.5), dashed=True)
        x += page.u(24)
        x += page.words(x, y, words, size=10, colour=page.theme.dim, room=end - x) + page.u(14)
    if panel.band is not None and end - x > page.u(24) + page.width(page.say(Phrase("± scale")), size=10):
        page.fill(Rect(x, y - page.u(5), page.u(18), page.u(10)), _band_colour(page))
        x += page.u(24)
        x += page.words(x, y, page.say(Phrase("± scale")), size=10, colour=page.theme.dim) + page.u(14)
    return x


def _outside(panel: CurvePanel, limits: tuple[float, float, float, float]) -> np.ndarray:
    """Which points lie outside the axes."""
    if panel.points is None:
        return np.zeros(0, bool)
    x0, x1, y0, y1 = limits
    x, y = panel.points
    return np.asarray((x < x0) | (x > x1) | (y < y0) | (y > y1))


def _beyond_words(panel: CurvePanel, outside: np.ndarray, room: float, page: Page) -> str:
    """How many points lie beyond the axes, and the values of as many of the largest as there is room for."""
    assert panel.points is not None
    x, y = (values[outside] for values in panel.points)
    words = page.say(Phrase("{1} beyond the axes", Count(len(y))))
    if not panel.stems:
        return words
    order = np.argsort(-np.abs(y), kind="stable")
    values = [
        page.say(Phrase("{1} {2} {3}", number(float(y[n])), Phrase("at"), short(float(x[n])))) for n in order[:_LISTED]
    ]
    for count in range(len(values), 0, -1):
        longer = f"{words}: {', '.join(values[:count])}" + (", …" if count < len(y) else "")
        if page.width(longer, size=10) <= room:
            return longer
    return words


def _marks(low: float, high: float, length: float, page: Page, *, ends: bool) -> list[float]:
    """The numbers for an axis of this length: at least two round ones, and `ends` if asked for, none too close."""
    apart = page.u(13) * (high - low) / max(length, 1.0)
    count = max(2, int(length / page.u(36)))
    while len(found := ticks(low, high, count)) < 2 and count < 8:
        count += 1
    if ends:
        zero = [0.0] if low < 0 < high else []
        found = [low, *zero, *(t for t in found if t), high]
        order = (0, len(found) - 1, *range(1, len(found) - 1))
        kept: list[float] = []
        for tick in (found[n] for n in order):
            if all(abs(tick - other) >= apart for other in kept):
                kept.append(tick)
        found = sorted(kept)
    return found


def _rounded_out(value: float) -> float:
    """The next number away from zero that has two significant digits."""
    if not value or not math.isfinite(value):
        return value
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return math.copysign(math.ceil(abs(value) / unit - 1e-9) * unit, value)


def _limits(panel: CurvePanel, ys: list[np.ndarray], xs: tuple[float, float]) -> tuple[float, float]:
    if panel.x_range is not None and panel.points is not None:
        x, y = panel.points
        ys = [*(line for _, line in panel.lines), y[(x >= xs[0]) & (x <= xs[1])]]
    everything = np.concatenate([np.ravel(y) for y in ys])
    if panel.stems:
        # One huge dimension must not flatten the others; it is drawn only up to the edge, and its value is written.
        reach = diverging(everything).high * 1.15
        low, high = float(everything.min()), float(everything.max())
        if max(-low, high) > 2 * reach:
            low, high = max(low, -reach), min(high, reach)
    else:
        low, high = float(everything.min()), float(everything.max())
    for level, _ in panel.levels_at:
        low, high = min(low, level), max(high, level)
    if panel.band:
        # A band much wider than the data in front of it (one huge dimension makes it so) is cut off at the edges.
        more = (high - low) / 2
        low, high = min(low, max(panel.band[0], low - more)), max(high, min(panel.band[1], high + more))
    margin = (high - low) * 0.06 or 1.0
    if panel.stems:
        return _rounded_out(low - margin / 2), _rounded_out(high + margin / 2)
    return low - margin, high + margin


def _points(panel: CurvePanel, outside: np.ndarray, px, py, hue: str, page: Page) -> None:  # type: ignore[no-untyped-def] # two local closures
    assert panel.points is not None
    x, y = panel.points
    if not panel.stems:
        x, y = x[~outside], y[~outside]
        page.marks.append(Dots(px(x), py(y), mix(hue, page.theme.panel, 0.65), page.u(1.8)))
        return
    base = panel.levels_at[0][0] if panel.levels_at else 0.0
    tops, foot = py(y), float(py(base))
    stems_x = np.repeat(px(x), 3)
    stems_y = np.stack([np.full(len(tops), foot), tops, np.full(len(tops), np.nan)], 1).ravel()
    page.path(stems_x, stems_y, hue, page.u(1))
    # An arrowhead where a stem continues beyond the frame.
    for at, edge in zip(px(x[outside]), tops[outside], strict=True):
        back = page.u(7) if edge < foot else -page.u(7)
        page.path([at - page.u(4), at, at + page.u(4)], [edge + back, edge, edge + back], page.theme.accent, page.u(2))


def ruler_extent(panel: RulerPanel, _width: float, _page: Page) -> Extent:
    """Least and wanted height: a bar with the number above it and ticks below."""
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
