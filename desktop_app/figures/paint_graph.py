"""The painter of graphs: nodes in columns and on levels, joined by edges as wide as their weights."""

import math
from itertools import pairwise

import numpy as np

from desktop_app.core.panels import GraphPanel
from desktop_app.figures.marks import Array, Dots, Page, Rect, Strands
from desktop_app.figures.paint_common import Extent, heading, heading_height, label_words, labels_width
from desktop_app.figures.theme import mix

_LEVEL = 13.0
_MOST_LABEL = 110.0
_LEGEND = 28.0
_THICK = (5.0, 13.0)  # width of an edge of weight 1, if columns are close together and if they are not
_MANY = 20  # more curved edges than this are drawn thinner, since they cross
_SHARES = (0.05, 0.2, 0.5, 1.0)
_COS, _SIN = math.cos(math.radians(55)), math.sin(math.radians(55))
_GAP = 0.7  # width of a gap for positions left out, as a fraction of a column's width
_WIDEST = 320.0
_POINTS = 24  # number of points of a curved edge
_FINE = 0.7  # width of background lines
_MARGIN = 22  # distance between the lowest level and the labels of columns


def graph_extent(panel: GraphPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: a fixed height for each level with a name, and the column labels below."""
    fixed = heading_height(panel) + _LEGEND + _label_height(panel, width, page) / page.scale + 34
    levels = sum(bool(words) for words in panel.level_labels)
    return fixed + max(90, _LEVEL * levels), fixed + max(240, 1.7 * _LEVEL * levels)


def _label_room(panel: GraphPanel, width: float, page: Page) -> float:
    """The length of the longest label. Where positions are left out, each label includes its position."""
    room = labels_width(panel.column_labels, 0.7 * width, 0.3 * width, page, 11, tokens=False)
    if _leaves_out(panel):
        room += page.width(f" {panel.positions[-1]}", size=11, mono=True)
    return min(room, page.u(_MOST_LABEL))


def _is_level(panel: GraphPanel, width: float, page: Page) -> bool:
    """Whether the labels of columns need not slant: each fits under its column."""
    most = 1.4 * page.u(_WIDEST) if len(panel.positions) < 2 else min(0.8 * width / _span(panel), page.u(_WIDEST))
    return 1.1 * _label_room(panel, width, page) <= most


def _label_height(panel: GraphPanel, width: float, page: Page) -> float:
    return page.u(12) if _is_level(panel, width, page) else _label_room(panel, width, page) * _SIN


def _span(panel: GraphPanel) -> float:
    """The width of all columns and of the gaps where positions are left out, in columns."""
    gaps = sum(later != earlier + 1 for earlier, later in pairwise(panel.positions))
    return max(len(panel.positions) - 0.5 + _GAP * gaps, 1.0)


def _leaves_out(panel: GraphPanel) -> bool:
    return bool(panel.positions) and len(panel.positions) <= panel.positions[-1]


def paint_graph(panel: GraphPanel, rect: Rect, page: Page) -> None:
    """Paint edges, the widest on top, nodes over them, names of levels at the left and of columns at the bottom."""
    body = heading(panel, rect, page)
    theme, room = page.theme, _label_room(panel, rect.w, page)
    left = max((page.width(words, size=10) for words in panel.level_labels), default=0.0) + page.u(12)
    flat = _is_level(panel, rect.w, page)
    foot = page.u(_LEGEND + _MARGIN) + _label_height(panel, rect.w, page)
    box = body.inset(
        left=left, top=page.u(12), right=max(room * (0.5 if flat else _COS), page.u(20)) + page.u(4), bottom=foot
    )
    x, gaps, unit = _columns(panel, box, page)
    thick = min(max(0.16 * unit, page.u(_THICK[0])), page.u(_THICK[1]), 0.5 * unit)
    if panel.bowed and len(panel.strands) > _MANY:
        thick = min(thick, page.u(_THICK[0]))
    levels = max(len(panel.level_labels) - 1, 1)

    def py(level: int) -> float:
        return box.y + box.h * (1 - level / levels)

    for level, words in enumerate(panel.level_labels):
        if words:
            page.words(box.x - page.u(8), py(level), words, size=10, colour=theme.dim, align="right")
            page.path([box.x, box.x + box.w], [py(level)] * 2, theme.line, page.u(_FINE))
    for gap in gaps if unit > page.u(8) else ():
        page.path([gap, gap], [box.y, box.y + box.h], theme.line, page.u(_FINE), dashed=True)
    at = np.array([(x[knot.column], py(knot.level)) for knot in panel.knots]).reshape(-1, 2)
    ends = _ends(panel, at, min(page.u(8), 0.45 * unit))
    for n in sorted(range(len(panel.strands)), key=lambda n: panel.strands[n].weight):
        colour = _shade(theme.hues[panel.kinds[panel.strands[n].kind][1]], page)
        page.path(*_way(panel, n, ends[n], unit), colour, _width(panel.strands[n].weight, thick, page))
    for knot, (kx, ky) in zip(panel.knots, at, strict=True):
        size = page.u(2.2 + 2.6 * math.sqrt(knot.weight)) * min(1.0, max(unit / page.u(14), 0.4))
        page.marks.append(Dots(np.array([kx]), np.array([ky]), theme.accent if knot.marked else theme.ink, size))
    _labels(panel, x, box, room, page, level=flat)
    under = Rect(box.x, body.y + body.h - page.u(_LEGEND), rect.x + rect.w - box.x, page.u(_LEGEND))
    _legend(panel, under, thick, page)
    right = max(box.x + box.w, ends[:, [0, 2]].max(initial=0.0))  # edges side by side go beyond the last column
    whole = Rect(box.x - page.u(8), box.y - page.u(8), right - box.x + page.u(16), box.h + page.u(16))
    reached = ends
    if panel.bowed and len(ends):  # the pointer selects a curved edge by its middle
        ways = [_way(panel, n, ends[n], unit) for n in range(len(panel.strands))]
        reached = np.array(
            [(x[len(x) // 3], y[len(y) // 3], x[-1 - len(x) // 3], y[-1 - len(y) // 3]) for x, y in ways]
        )
    for points, values, source in (
        (reached, [strand.weight for strand in panel.strands], panel.edge_source),
        (np.hstack([at, at]), [knot.weight for knot in panel.knots], panel.node_source),
    ):
        if len(points):
            page.cells.append(
                Strands(
                    whole, 1, len(points), np.array([values]), source, panel.title,
                    density=page.density, ends=points, reach=page.u(7),
                )
            )  # fmt: skip


def _columns(panel: GraphPanel, box: Rect, page: Page) -> tuple[list[float], list[float], float]:
    """The x of each column, the x of each gap where positions are left out, and the width of a column."""
    at, places, gaps = 0.5, [], []
    for n, position in enumerate(panel.positions):
        if n and position != panel.positions[n - 1] + 1:
            gaps.append(at + _GAP / 2 - 0.5)
            at += _GAP
        places.append(at)
        at += 1
    unit = min(box.w / _span(panel), page.u(_WIDEST))
    return [box.x + p * unit for p in places], [box.x + g * unit for g in gaps], unit


def _ends(panel: GraphPanel, at: Array, apart: float) -> Array:
    """[edge, (x, y of the upper end, x, y of the lower end)]; edges between the same two nodes run side by side."""
    seen: dict[tuple[int, int], int] = {}
    ends = np.empty((len(panel.strands), 4))
    for n, strand in enumerate(panel.strands):
        nth = seen[strand.upper, strand.lower] = seen.get((strand.upper, strand.lower), -1) + 1
        ends[n] = (*at[strand.upper], *at[strand.lower])
        ends[n, [0, 2]] += apart * ((nth + 1) // 2) * (1 if nth % 2 else -1)
    return ends


def _way(panel: GraphPanel, n: int, ends: Array, unit: float) -> tuple[Array, Array]:
    """The points of an edge: a straight line, or a curve that bends further inwards the more levels it passes."""
    strand = panel.strands[n]
    passed = panel.knots[strand.upper].level - panel.knots[strand.lower].level - 1
    if not panel.bowed or passed < 1:
        return ends[[0, 2]], ends[[1, 3]]
    t = np.linspace(0, 1, _POINTS)
    side = 1 if panel.knots[strand.upper].column + panel.knots[strand.lower].column < len(panel.positions) else -1
    bow = side * unit * min(0.45 + 0.12 * passed, 0.9) * 4 * t * (1 - t)
    return ends[0] + t * (ends[2] - ends[0]) + bow, ends[1] + t * (ends[3] - ends[1])


def _width(weight: float, thick: float, page: Page) -> float:
    return max(page.u(0.8), thick * weight)


def _shade(colour: str, page: Page) -> str:
    """A colour lighter than the nodes, which are drawn on it, and still distinct from the background."""
    return mix(colour, page.theme.background, 0.75)


def _labels(panel: GraphPanel, x: list[float], box: Rect, room: float, page: Page, *, level: bool) -> None:
    """Write the labels of columns, slanting down to the right, as many as fit, or all of them level."""
    lowest, end = box.y + box.h + page.u(16), -math.inf
    chosen = [knot.column for knot in panel.knots if knot.marked]
    near = page.u(14)
    for n, words in enumerate(panel.column_labels):
        held = n in chosen
        if not held and (x[n] - end < near or any(abs(x[c] - x[n]) < near for c in chosen)):
            continue
        step = 2 if _leaves_out(panel) else 1
        said = label_words(words, panel.positions[n], step, room, page, 11)
        page.words(x[n] - (0 if level else page.u(2)), lowest, said, size=11, mono=True, angle=0 if level else -55,
                   align="center" if level else "left", room=room, bold=held,
                   colour=page.theme.accent if held else None)  # fmt: skip
        end = x[n]


def _legend(panel: GraphPanel, rect: Rect, thick: float, page: Page) -> None:
    """Show what the colours mean, and the width of edges for some shares."""
    theme, x, y = page.theme, rect.x, rect.y + rect.h / 2
    for words, hue in panel.kinds:
        page.fill(Rect(x, y - page.u(3), page.u(16), page.u(6)), _shade(theme.hues[hue], page))
        x += page.u(22)
        x += page.words(x, y, words, size=11, colour=theme.dim, room=rect.x + rect.w - x) * (1 + page.slack) + page.u(
            14
        )
    for share in _SHARES:
        words = f"{100 * share:g} %" if panel.full is None else panel.says(share)
        if x + page.u(40) + page.width(words, size=11) > rect.x + rect.w:
            break
        page.path([x, x + page.u(16)], [y, y], theme.faint, _width(share, thick, page))
        x += page.u(20)
        x += page.words(x, y, words, size=11, colour=theme.dim) + page.u(10)
