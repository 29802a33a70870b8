"""The painter of curves: axes with round numbers, lines, points, stems, horizontal lines, bands, and a named point."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from desktop_app.core.levels import diverging, number, short
from desktop_app.core.panels import CurvePanel, Hue
from desktop_app.figures.marks import Array, Dots, Page, Pick, Rect, Strands
from desktop_app.figures.paint_common import Extent, heading, heading_height
from desktop_app.figures.theme import mix
from desktop_app.gpt2.phrase import Count, Phrase

_NAMES = 18.0  # height of a line of words above the axes
_LISTED = 6
# width of the sample of a line in the legend, with the gap after it; and the space between two names
_SWATCH, _APART = 19.0, 16.0
_REACH = 8.0
_STOPS = 40.0  # width of the vertical axis' labels in panels whose axes are alike

_LINE_HUES = (Hue.ACCENT, Hue.KEY, Hue.VALUE, Hue.MLP, Hue.QUERY, Hue.RESIDUAL)
"""The colours of several named lines, in order."""


def curve_extent(panel: CurvePanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: those of a wide, low box, plus the rows of a legend."""
    body = Rect(0, 0, width, page.u(120))
    fixed = heading_height(panel) + _NAMES * len(_legend_rows(panel, body, page))
    return fixed + 120, fixed + min(max(150, width / page.scale * 0.5), 280)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two limits, in steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def decades(low: float, high: float, plus: float, count: int) -> list[tuple[float, str]]:
    """Marks of a logarithmic axis from `low` to `high`: pairs of log10(n + `plus`) and the words for n.

    About `count` powers of ten; on an axis too short for two of them also their multiples by 2 and 5, or every n.
    """
    powers = range(math.floor(low), math.floor(high) + 1)
    every = [0.0] * bool(plus) + [10.0**n for n in powers if n >= 0]
    for counts in (
        every[:: 1 + len(every) // max(2, count + 1)],
        sorted({*every, *(m * 10.0**n for n in powers if n >= 0 for m in (2, 5))}),
        [float(n) for n in range(math.ceil(10.0**low - plus), min(math.floor(10.0**high - plus), 12) + 1)],
    ):
        marks = [(math.log10(n + plus), Count(int(n)) if n < 1e6 else short(n)) for n in counts if n + plus > 0]
        found = [(place, words) for place, words in marks if low - 1e-9 <= place <= high + 1e-9]
        if len(found) > 1:
            break
    return found


def paint_curve(panel: CurvePanel, rect: Rect, page: Page) -> None:
    """Paint axes with round numbers, named horizontal lines and bands, lines, points, and the named point."""
    theme = page.theme
    body = heading(panel, rect, page)
    told, panel = panel, _on_logs(_with_gaps(panel))
    xs = [a for a, _ in panel.lines] + ([panel.points[0]] if panel.points else [])
    ys = [b for _, b in panel.lines] + ([panel.points[1]] if panel.points else [])
    if not xs and panel.focus is not None:
        xs, ys = [np.array([panel.focus[0]])], [np.array([panel.focus[1]])]
    if not xs:  # values are hidden: axes without a scale
        page.fill(body.inset(left=page.u(26), bottom=page.u(36)), theme.panel, stroke=theme.line)
        middle = body.x + body.w / 2
        page.words(middle, body.y + body.h - page.u(9), panel.x_label, size=11, colour=theme.dim, align="center")
        return
    x0, x1 = panel.x_range or _extremes(xs)
    x1 = x1 if x1 > x0 else x0 + _apart_from(x0)
    y0, y1 = _limits(panel, ys, (x0, x1))
    outside = _outside(panel, (x0, x1, y0, y1))
    legend = _legend_rows(panel, body, page)
    above = _NAMES * (len(legend) + outside.any())
    high = body.h - page.u(56 + above)
    if panel.y_plus is not None:
        marks = decades(y0, y1, panel.y_plus, int(high / page.u(18)))
    else:
        marks = [(tick, short(tick)) for tick in _marks(y0, y1, high, page, ends=panel.stems)]
    left = max((page.width(words, size=10) for _, words in marks), default=0) + page.u(26 if panel.y_label else 12)
    colours = [theme.hues[h] for h in _LINE_HUES] if panel.line_names else [theme.hues[panel.hue]]
    _legend(panel, legend, colours, body, page)
    written = page.u(_NAMES) * len(legend)
    left = max(left, page.u(_STOPS)) if panel.stops else left
    top = page.u(4) + written + _above(panel, outside, body.inset(left=left, top=written), page)
    names = 0.0 if legend else _widest(panel, page)
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
    for tick, words in marks:
        y = float(py(tick))
        page.path([box.x - page.u(4), box.x], [y, y], theme.faint)
        page.words(box.x - page.u(7), y, words, size=10, colour=theme.dim, align="right")
    if panel.x_plus is not None:
        along = decades(x0, x1, panel.x_plus, int(box.w / page.u(60)))
    else:
        along = [(tick, short(tick)) for tick in _at_least_two(x0, x1, round(box.w / page.u(70)))]
    for tick, words in along:
        x = float(px(tick))
        page.path([x, x], [box.y + box.h, box.y + box.h + page.u(4)], theme.faint)
        page.words(x, box.y + box.h + page.u(11), words, size=10, colour=theme.dim, align="center")
    page.words(box.x + box.w / 2, box.y + box.h + page.u(27), panel.x_label, size=11, colour=theme.dim, align="center")
    if panel.y_label:
        page.words(
            rect.x + page.u(6), box.y + box.h / 2, panel.y_label, size=11, colour=theme.dim, align="center", angle=90
        )
    if panel.stops and panel.focus is not None:
        page.path([float(px(panel.focus[0]))] * 2, [box.y, box.y + box.h], theme.accent, page.u(1))
    if panel.points is not None:
        _points(panel, outside, px, py, theme.hues[panel.hue], page)
    drawn = [(px(x), py(y)) for x, y in panel.lines]
    for n, (line_x, line_y) in enumerate(drawn):
        page.path(line_x, line_y, colours[n % len(colours)], page.u(2), dashed=_dashed(n, colours))
    if panel.line_names and not legend:
        ends = [float(line_y[-1]) for _, line_y in drawn]
        _line_names(panel.line_names, ends, colours, Rect(box.x + box.w, box.y, names + page.u(8), box.h), page)
    for level, _ in panel.levels_at:
        y = float(py(level))
        page.path([box.x, box.x + box.w], [y, y], theme.accent, page.u(1.5), dashed=True)
    if panel.focus is not None:
        levels = [(np.array([box.x, box.x + box.w]), np.full(2, float(py(level)))) for level, _ in panel.levels_at]
        _named_point(panel.focus, (x0, x1, y0, y1), box, drawn + levels, page)
    places = np.clip(px([x for x, _, _ in panel.stops]), box.x, box.x + box.w)
    edges = [box.x, *(places[1:] + places[:-1]) / 2, box.x + box.w]
    for n, (_, asks, words) in enumerate(panel.stops):
        page.picks.append(Pick(Rect(float(edges[n]), box.y, float(edges[n + 1] - edges[n]), box.h), asks, words))
    if panel.source is not None:
        _answer(told, drawn if panel.points is None else [(px(panel.points[0]), py(panel.points[1]))], box, page)


def _answer(panel: CurvePanel, drawn: list[tuple[Array, Array]], box: Rect, page: Page) -> None:
    """Make each of the points or, if there are none, each point of the lines respond to the pointer."""
    x, y = (np.concatenate([line[axis] for line in drawn]) for axis in (0, 1))
    values = np.concatenate([line for _, line in panel.lines] if panel.points is None else [panel.points[1]])
    held = box.inset(*(-page.u(_REACH),) * 4)  # points at the edges respond from both sides
    ends = np.stack([x, y, x, y], 1)
    page.cells.append(
        Strands(
            held, 1, len(ends), values[None], panel.source, panel.title,
            density=page.density, ends=ends, reach=page.u(_REACH),
        )
    )  # fmt: skip


def _dashed(n: int, colours: list[str]) -> bool:
    """Whether line `n` is dashed, because there are more lines than hues and its hue is used for the second time."""
    return n // len(colours) % 2 == 1


def _widest(panel: CurvePanel, page: Page) -> float:
    return max((page.width(name, size=11, mono=True) for name in panel.line_names), default=0.0)


def _legend_rows(panel: CurvePanel, body: Rect, page: Page) -> list[list[int]]:
    """The lines in each row of a legend above the axes; none if names fit at the ends of their lines."""
    if not panel.line_names or panel.lines == ():
        return []
    high = body.h - page.u(60)
    # Curves over a training are in panels one below the other whose axes align, so names are never beside the axes.
    beside = not (panel.stops or panel.named_above)
    if beside and _widest(panel, page) <= body.w / 4 and len(panel.line_names) * page.u(14) <= high:
        return []
    rows: list[list[int]] = [[]]
    end = 0.0
    for n, name in enumerate(panel.line_names):
        wide = page.u(_SWATCH) + page.width(name, size=11) * (1 + page.slack)
        if rows[-1] and end + wide > body.w:
            rows.append([])
            end = 0.0
        rows[-1].append(n)
        end += wide + page.u(_APART)
    return rows


def _legend(panel: CurvePanel, rows: list[list[int]], colours: list[str], body: Rect, page: Page) -> None:
    """Write each line's name after a short sample of the line."""
    for down, row in enumerate(rows):
        x, y = body.x, body.y + page.u(_NAMES) * (down + 0.5)
        for n in row:
            colour = colours[n % len(colours)]
            page.path([x, x + page.u(_SWATCH - 5)], [y, y], colour, page.u(2), dashed=_dashed(n, colours))
            x += page.u(_SWATCH)
            room = body.x + body.w - x
            x += page.words(x, y, panel.line_names[n], size=11, colour=page.theme.dim, room=room) + page.u(_APART)


def _line_names(names: tuple[str, ...], ends: list[float], colours: list[str], room: Rect, page: Page) -> None:
    """Write each line's name at its end; names that would overlap are moved apart."""
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
    focus: tuple[float, float, str],
    limits: tuple[float, float, float, float],
    box: Rect,
    lines: list[tuple[Array, Array]],
    page: Page,
) -> None:
    """Paint the point, and its name where it covers no line; if it is beyond the axes, an arrow with its position."""
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
    if not words:
        return
    right = x > box.x + box.w * 0.6
    above = y - box.y > page.u(24)  # not on the line to which the point belongs
    gap = page.u(4 if inside else 16)
    room = (x - box.x if right else box.x + box.w - x) - gap
    size = page.fitting(words, room, (11, 10, 9), bold=True)
    long, half = min(page.width(words, size=size, bold=True), room), page.u(7)
    found: list[tuple[float, Rect]] = []
    for up in (above, not above):
        for far in (14, 28, 42, 56):
            at = y + page.u(-far if up else far)
            own = Rect(x - gap - long if right else x + gap, at - half, long, 2 * half)
            if box.y <= own.y and own.y + own.h <= box.y + box.h:
                found.append((at, own))
    free = (at for at, own in found if not any(_crosses(line, own) for line in lines))
    at = next(free, y + page.u(-14 if above else 14))
    page.words(x + (-gap if right else gap), at, words, size=size, bold=True,
               colour=theme.accent, align="right" if right else "left", room=room)  # fmt: skip


def _crosses(line: tuple[Array, Array], box: Rect) -> bool:
    """Whether a line, drawn from left to right, passes through a box of the page."""
    x, y = line
    left, right = max(box.x, float(x[0])), min(box.x + box.w, float(x[-1]))
    if left > right:
        return False
    inner = x[(x > left) & (x < right)]
    heights = np.interp(np.concatenate([[left], inner, [right]]), x, y)
    low, high = np.minimum(heights[1:], heights[:-1]), np.maximum(heights[1:], heights[:-1])
    return bool(((high >= box.y) & (low <= box.y + box.h)).any())


def _band_colour(page: Page) -> str:
    return mix(page.theme.accent, page.theme.panel, 0.16)


def _above(panel: CurvePanel, outside: np.ndarray, room: Rect, page: Page) -> float:
    """Above the axes, write the names of horizontal lines and the points beyond the limits; return the height taken."""
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
    """Name the horizontal lines and the band; return the x at which the line of text ends."""
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
    """Which points are outside the axes."""
    if panel.points is None:
        return np.zeros(0, bool)
    x0, x1, y0, y1 = limits
    x, y = panel.points
    return np.asarray((x < x0) | (x > x1) | (y < y0) | (y > y1))


def _beyond_words(panel: CurvePanel, outside: np.ndarray, room: float, page: Page) -> str:
    """A text with the number of points beyond the axes, and as many of their largest values as fit."""
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


def _at_least_two(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers for an axis, but at least two, since a single one would not give a scale."""
    count = max(2, count)
    while len(found := ticks(low, high, count)) < 2 and count < 8:
        count += 1
    return found


def _marks(low: float, high: float, length: float, page: Page, *, ends: bool) -> list[float]:
    """The numbers for an axis of this length: at least two round ones, on request both `ends`, and none too close."""
    apart = page.u(13) * (high - low) / max(length, 1.0)
    found = _at_least_two(low, high, int(length / page.u(36)))
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
    """`value` rounded away from zero to two significant digits."""
    if not value or not math.isfinite(value):
        return value
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return math.copysign(math.ceil(abs(value) / unit - 1e-9) * unit, value)


def _on_logs(panel: CurvePanel) -> CurvePanel:
    """The panel with logarithms in place of the counts along its logarithmic axes."""

    def to(values: Array, plus: float | None) -> Array:
        if plus is None:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log10(np.asarray(values, float) + plus))

    def point(x: Array, y: Array) -> tuple[Array, Array]:
        return to(x, panel.x_plus), to(y, panel.y_plus)

    if panel.x_plus is None and panel.y_plus is None:
        return panel
    x_range = panel.x_range and to(np.array(panel.x_range), panel.x_plus)
    focus = panel.focus
    if focus is not None:
        x, y = point(np.array(focus[0]), np.array(focus[1]))
        focus = float(x), float(y), focus[2]
    return replace(
        panel,
        lines=tuple(point(x, y) for x, y in panel.lines),
        points=panel.points and point(*panel.points),
        focus=focus,
        x_range=None if x_range is None else (float(x_range[0]), float(x_range[1])),
        stops=tuple((float(to(np.array(x), panel.x_plus)), asks, words) for x, asks, words in panel.stops),
    )


def _with_gaps(panel: CurvePanel) -> CurvePanel:
    """The panel with gaps for infinite values, which no axis reaches, and without infinite levels and marks."""

    def gaps(values: Array) -> Array:
        return np.where(np.isfinite(values), values, np.nan)

    focus = panel.focus if panel.focus is None or all(map(math.isfinite, panel.focus[:2])) else None
    points = panel.points and (gaps(panel.points[0]), gaps(panel.points[1]))
    return replace(
        panel,
        lines=tuple((x, gaps(y)) for x, y in panel.lines),
        points=points,
        focus=focus,
        levels_at=tuple(level for level in panel.levels_at if math.isfinite(level[0])),
        band=panel.band if panel.band is not None and all(map(math.isfinite, panel.band)) else None,
    )


def _extremes(arrays: Sequence[Array]) -> tuple[float, float]:
    """The smallest and the largest finite value; 0 and 0 if there is none."""
    values = np.concatenate([np.ravel(array) for array in arrays])
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def _apart_from(value: float) -> float:
    """How far an axis extends to either side of its only value: 1, or a millionth of a value above a million."""
    return max(1.0, 1e-6 * abs(value))


def _limits(panel: CurvePanel, ys: list[np.ndarray], xs: tuple[float, float]) -> tuple[float, float]:
    if panel.x_range is not None and panel.points is not None:
        x, y = panel.points
        ys = [*(line for _, line in panel.lines), y[(x >= xs[0]) & (x <= xs[1])]]
    if panel.y_holds is not None:
        ys = [*ys, panel.y_holds]
    low, high = _extremes(ys)
    if panel.stems:
        # One huge dimension must not flatten the others: it is drawn only up to the edge, and its value is written.
        reach = diverging(np.concatenate([np.ravel(y) for y in ys])).high * 1.15
        if max(-low, high) > 2 * reach:
            low, high = max(low, -reach), min(high, reach)
    for level, _ in panel.levels_at:
        low, high = min(low, level), max(high, level)
    if panel.band:
        # A band much wider than the data in front of it (as one huge dimension makes it) is cut off at the edges.
        more = (high - low) / 2
        low, high = min(low, max(panel.band[0], low - more)), max(high, min(panel.band[1], high + more))
    margin = (high - low) * 0.06 or _apart_from(high)
    if panel.stems:
        return _rounded_out(low - margin / 2), _rounded_out(high + margin / 2)
    return low - margin, high + margin


def _points(panel: CurvePanel, outside: np.ndarray, px, py, hue: str, page: Page) -> None:  # type: ignore[no-untyped-def] # two local closures
    assert panel.points is not None
    x, y = panel.points
    if not panel.stems:
        drawn = ~outside & np.isfinite(x) & np.isfinite(y)
        x, y = x[drawn], y[drawn]
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
