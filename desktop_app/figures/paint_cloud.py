"""The painter of points in a plane: dots by kind, labels that fit, arrows between some points, and named axes."""

from dataclasses import replace

import numpy as np

from desktop_app.core.panels import CloudPanel
from desktop_app.figures.marks import Array, Dots, Movable, Page, Rect, Strands, Words
from desktop_app.figures.paint_common import heading, heading_height
from desktop_app.figures.theme import mix

Extent = tuple[float, float]
_LEAST, _WANTED = 220.0, 340.0
_LEGEND, _AXIS, _PAD = 24.0, 20.0, 26.0
_BACK = 0.55  # strength of the other points where some of many are marked
_FEW = 60  # up to this many points are drawn large
_LABELLED = 4000  # up to this many points may have a label
_WHOLE = (0.0, 0.0, 1.0, 1.0)


def cloud_extent(panel: CloudPanel, _width: float, _page: Page) -> Extent:
    """Least and wanted height: a legible plane, its axes and its legend."""
    fixed = heading_height(panel) + _AXIS * bool(panel.x_label) + _LEGEND * bool(panel.kinds)
    return fixed + _LEAST, fixed + _WANTED


def paint_cloud(panel: CloudPanel, rect: Rect, page: Page) -> None:
    """Paint dots of each kind, arrows, labels, the axes' names below and at the side, and the colour legend."""
    body, theme = heading(panel, rect, page), page.theme
    foot = page.u(_AXIS) * bool(panel.x_label) + page.u(_LEGEND) * bool(panel.kinds)
    side = page.u(_AXIS) * bool(panel.y_label)
    box = body.inset(left=side, bottom=foot)
    page.fill(box, stroke=theme.line)
    x, y = _placed(panel, box.inset(*(page.u(_PAD),) * 4))
    seen = (x >= box.x) & (x <= box.x + box.w) & (y >= box.y) & (y <= box.y + box.h)
    many = len(x) > _FEW
    radius = page.u(1.1 if seen.sum() > 2000 else 1.8 if many else 3)
    colours = _colours(panel, page)
    if many and panel.marked:  # the others step back, so that the names of the marked points can be read over them
        colours = [mix(colour, theme.background, _BACK) for colour in colours]
    kind = np.zeros(len(x), int) if panel.kind is None else panel.kind
    for n, colour in enumerate(colours):
        own = (kind == n) & seen
        own[list(panel.marked)] = False
        if own.any():
            page.marks.append(Dots(x[own], y[own], colour, radius))
    for start, end in panel.arrows:
        _arrow(x[[start, end]], y[[start, end]], page)
    along: list[tuple[int, Words | Dots]] = []
    for at in panel.marked:
        if seen[at]:
            dot = Dots(x[[at]], y[[at]], theme.accent, max(radius, page.u(3)))
            along.append((at, dot))
            page.marks.append(dot)
    along += _labels(panel, x, y, seen, box, page)
    if panel.moves:
        inner = box.inset(*(page.u(_PAD),) * 4)
        window = panel.window or _WHOLE
        page.movable.append(Movable(box, (inner.w, inner.h), x, y, kind, tuple(colours), radius, tuple(along), window))
    if panel.x_label:
        page.words(box.x, box.y + box.h + page.u(11), panel.x_label, size=11, colour=theme.dim, room=box.w)
    if panel.y_label:
        page.words(
            body.x + page.u(8), box.y + box.h, page.shorten(panel.y_label, box.h, size=11),
            size=11, colour=theme.dim, angle=90,
        )  # fmt: skip
    _legend(panel, Rect(box.x, body.y + body.h - page.u(_LEGEND), box.w, page.u(_LEGEND)), page)
    if seen.any():
        shown, source = np.flatnonzero(seen), panel.source
        if source is not None and not seen.all():
            some = tuple(shown.tolist())
            source = (
                replace(source, cols=some)
                if source.each is None
                else replace(source, each=tuple(source.each[n] for n in some))
            )
        ends = np.stack([x, y, x, y], 1)[shown]
        page.cells.append(
            Strands(
                box, 1, len(ends), np.zeros((1, len(ends))), source, panel.title,
                density=page.density, ends=ends, reach=page.u(8),
            )
        )  # fmt: skip


def _placed(panel: CloudPanel, box: Rect) -> tuple[Array, Array]:
    """Each point's place on the page; both axes have the same scale unless they are free."""
    points = np.asarray(panel.points, float).reshape(-1, 2)
    if not len(points):
        return np.zeros(0), np.zeros(0)
    low, high = points.min(0), points.max(0)
    if panel.window:
        part = np.array(panel.window).reshape(2, 2)
        low, high = low + part[0] * (high - low), low + part[1] * (high - low)
    size = np.maximum(high - low, 1e-12)
    scale = np.array([box.w, box.h]) / size
    if not panel.free:
        scale[:] = scale.min()
    middle = (low + high) / 2
    off = (points - middle) * scale
    return box.x + box.w / 2 + off[:, 0], box.y + box.h / 2 - off[:, 1]


def _colours(panel: CloudPanel, page: Page) -> list[str]:
    if panel.kind is None:
        return [page.theme.hues[panel.kinds[0][1]] if panel.kinds else page.theme.dim]
    return [page.theme.hues[hue] for _, hue in panel.kinds]


def _arrow(x: Array, y: Array, page: Page) -> None:
    """Draw an arrow that ends short of both points."""
    along = np.array([x[1] - x[0], y[1] - y[0]])
    length = float(np.hypot(*along))
    if length < page.u(16):
        return
    along = along / length
    aside, colour = np.array([-along[1], along[0]]), page.theme.ink
    start, end = np.array([x[0], y[0]]) + page.u(6) * along, np.array([x[1], y[1]]) - page.u(6) * along
    page.path([start[0], end[0]], [start[1], end[1]], colour, page.u(1.4))
    for way in (1, -1):
        barb = end - page.u(8) * along + way * page.u(4) * aside
        page.path([end[0], barb[0]], [end[1], barb[1]], colour, page.u(1.4))


def _labels(panel: CloudPanel, x: Array, y: Array, seen: Array, box: Rect, page: Page) -> list[tuple[int, Words]]:
    """Labels of visible marked points, then of the others in order, unless a label would cover an earlier one.

    Returns each with its point.
    """
    found: list[tuple[int, Words]] = []
    theme, height = page.theme, page.u(13)
    taken: set[tuple[int, int]] = set()
    cell = page.u(6)
    for start, end in panel.arrows:
        ways = (np.linspace(line[start], line[end], 200)[6:-6] / cell for line in (x, y))
        taken |= {(int(i), int(j)) for i, j in zip(*ways, strict=True)}
    marked = set(panel.marked)
    others = (int(n) for n in np.flatnonzero(seen)[:_LABELLED] if n not in marked)
    for n in (*(n for n in panel.marked if seen[n]), *others):
        if not panel.labels or not panel.labels[n]:
            continue
        words, bold = panel.labels[n], n in marked
        width = page.width(words, size=11, mono=True, bold=bold) * (1 + page.slack)
        beside, above = page.u(6), page.u(13)
        for left, at in (
            *((x[n] + beside, y[n]), (x[n] - beside - width, y[n])),
            *((x[n] - width / 2, y[n] - above), (x[n] - width / 2, y[n] + above)),
        ):
            inside = box.x + page.u(2) <= left and left + width <= box.x + box.w - page.u(2)
            if not inside or not box.y + height / 2 <= at <= box.y + box.h - height / 2:
                continue
            across = range(int(left / cell), int((left + width) / cell) + 1)
            down = range(int((at - height / 2) / cell), int((at + height / 2) / cell) + 1)
            place = {(i, j) for i in across for j in down}
            if place & taken:
                continue
            taken |= place
            colour = theme.accent if bold else mix(theme.ink, theme.background, 0.85)
            page.words(left, at, words, size=11, mono=True, bold=bold, colour=colour)
            drawn = page.marks[-1]
            if isinstance(drawn, Words):
                found.append((n, drawn))
            break
    return found


def _legend(panel: CloudPanel, rect: Rect, page: Page) -> None:
    x, y = rect.x, rect.y + rect.h / 2 + page.u(4)
    for (words, _), colour in zip(panel.kinds, _colours(panel, page), strict=False):
        room = rect.x + rect.w - x - page.u(12)
        if room < page.u(30):
            break
        page.marks.append(Dots(np.array([x + page.u(4)]), np.array([y]), colour, page.u(3.5)))
        x += page.u(12)
        x += page.words(x, y, words, size=11, colour=page.theme.dim, room=room) * (1 + page.slack) + page.u(14)
