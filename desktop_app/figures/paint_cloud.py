"""The painter of points in a plane: dots by kind, labels as they fit, arrows between some, and what the axes are."""

import numpy as np

from desktop_app.core.panels import CloudPanel
from desktop_app.figures.marks import Array, Dots, Page, Rect, Strands
from desktop_app.figures.paint_common import heading, heading_height
from desktop_app.figures.theme import mix

Extent = tuple[float, float]
_LEAST, _WANTED = 220.0, 340.0
_LEGEND, _AXIS, _PAD = 24.0, 20.0, 26.0
_FEW = 60  # points that are drawn large
_LABELLED = 4000  # points of which a label is tried


def cloud_extent(panel: CloudPanel, _width: float, _page: Page) -> Extent:
    """A plane that can be read, its axes and its legend."""
    fixed = heading_height(panel) + _AXIS * bool(panel.x_label) + _LEGEND * bool(panel.kinds)
    return fixed + _LEAST, fixed + _WANTED


def paint_cloud(panel: CloudPanel, rect: Rect, page: Page) -> None:
    """Dots of each kind, arrows, labels, the axes' words at the foot and the side, and what the colours are."""
    body, theme = heading(panel, rect, page), page.theme
    foot = page.u(_AXIS) * bool(panel.x_label) + page.u(_LEGEND) * bool(panel.kinds)
    side = page.u(_AXIS) * bool(panel.y_label)
    box = body.inset(left=side, bottom=foot)
    page.fill(box, stroke=theme.line)
    x, y = _placed(panel, box.inset(*(page.u(_PAD),) * 4))
    many = len(x) > _FEW
    radius = page.u(1.1 if len(x) > 2000 else 1.8 if many else 3)
    for n, colour in enumerate(_colours(panel, page)):
        own = np.ones(len(x), bool) if panel.kind is None else panel.kind == n
        own[list(panel.marked)] = False
        if own.any():
            page.marks.append(Dots(x[own], y[own], colour, radius))
    for start, end in panel.arrows:
        _arrow(x[[start, end]], y[[start, end]], page)
    if panel.marked:
        at = list(panel.marked)
        page.marks.append(Dots(x[at], y[at], theme.accent, max(radius, page.u(3))))
    _labels(panel, x, y, box, page)
    if panel.x_label:
        page.words(box.x, box.y + box.h + page.u(11), panel.x_label, size=11, colour=theme.dim, room=box.w)
    if panel.y_label:
        page.words(
            body.x + page.u(8), box.y + box.h, page.shorten(panel.y_label, box.h, size=11),
            size=11, colour=theme.dim, angle=90,
        )  # fmt: skip
    _legend(panel, Rect(box.x, body.y + body.h - page.u(_LEGEND), box.w, page.u(_LEGEND)), page)
    if len(x):
        ends = np.stack([x, y, x, y], 1)
        page.cells.append(
            Strands(
                box, 1, len(x), np.zeros((1, len(x))), panel.source, panel.title,
                density=page.density, ends=ends, reach=page.u(8),
            )
        )  # fmt: skip


def _placed(panel: CloudPanel, box: Rect) -> tuple[Array, Array]:
    """Where each point stands on the page; both axes have one scale unless they are free."""
    points = np.asarray(panel.points, float).reshape(-1, 2)
    if not len(points):
        return np.zeros(0), np.zeros(0)
    low, high = points.min(0), points.max(0)
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
    """A line with a head, short of both points."""
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


def _labels(panel: CloudPanel, x: Array, y: Array, box: Rect, page: Page) -> None:
    """Labels of marked points, then of the others in their order, wherever none stands yet."""
    theme, height = page.theme, page.u(13)
    taken: set[tuple[int, int]] = set()
    cell = page.u(6)
    for start, end in panel.arrows:
        ways = (np.linspace(line[start], line[end], 200)[6:-6] / cell for line in (x, y))
        taken |= {(int(i), int(j)) for i, j in zip(*ways, strict=True)}
    marked = set(panel.marked)
    others = (n for n in range(min(len(x), _LABELLED)) if n not in marked)
    for n in (*panel.marked, *others):
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
            break


def _legend(panel: CloudPanel, rect: Rect, page: Page) -> None:
    x, y = rect.x, rect.y + rect.h / 2 + page.u(4)
    for (words, _), colour in zip(panel.kinds, _colours(panel, page), strict=False):
        room = rect.x + rect.w - x - page.u(12)
        if room < page.u(30):
            break
        page.marks.append(Dots(np.array([x + page.u(4)]), np.array([y]), colour, page.u(3.5)))
        x += page.u(12)
        x += page.words(x, y, words, size=11, colour=page.theme.dim, room=room) * (1 + page.slack) + page.u(14)
