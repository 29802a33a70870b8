"""Paints a cloud of points: dots coloured by kind, the labels that fit, arrows between points, and axis names."""

from dataclasses import replace

import numpy as np

from desktop_app.core.panels import CloudPanel
from desktop_app.figures.marks import Array, Dots, Movable, Page, Rect, Strands, Words
from desktop_app.figures.paint_common import Extent, heading, heading_height
from desktop_app.figures.theme import mix

# Lengths in design units: heights of the plane, of the legend and of an axis name; space between frame and points.
_MIN_HEIGHT, _WANTED_HEIGHT = 220.0, 340.0
_LEGEND, _AXIS, _PAD = 24.0, 20.0, 26.0
_FADED = 0.55  # the share of their colour that unmarked points retain, over the background
_FEW = 60  # up to this many points are drawn large, and never faded
_LABELLED = 4000  # only the first so many visible points may have a label, besides marked ones
_LAYERS = 6  # many points are drawn in so many parts, so that the last kind does not cover all others
_CLEAR = 2  # squares that are kept free above and below a label among many points; twice as many at its sides
_WHOLE = (0.0, 0.0, 1.0, 1.0)  # the window that shows all points


def cloud_extent(panel: CloudPanel, _width: float, _page: Page) -> Extent:
    """The minimum and the wanted height in design units: of the heading, the plane, its x axis name and its legend."""
    fixed = heading_height(panel) + _AXIS * bool(panel.x_label) + _LEGEND * bool(panel.kinds)
    return fixed + _MIN_HEIGHT, fixed + _WANTED_HEIGHT


def paint_cloud(panel: CloudPanel, rect: Rect, page: Page) -> None:
    """Paint the panel: dots of each kind, arrows, labels, axis names below and at the left, and the legend of kinds."""
    body, theme = heading(panel, rect, page), page.theme
    foot = page.u(_AXIS) * bool(panel.x_label) + page.u(_LEGEND) * bool(panel.kinds)
    side = page.u(_AXIS) * bool(panel.y_label)
    box = body.inset(left=side, bottom=foot)
    page.fill(box, stroke=theme.line)
    x, y = _placed(panel, box.inset(*(page.u(_PAD),) * 4))
    visible = (x >= box.x) & (x <= box.x + box.w) & (y >= box.y) & (y <= box.y + box.h)
    many = len(x) > _FEW
    radius = page.u(1.1 if visible.sum() > 2000 else 1.8 if many else 3)
    colours = _colours(panel, page)
    if many and panel.marked:  # fade the others, so that the labels of the marked points can be read over them
        colours = [mix(colour, theme.background, _FADED) for colour in colours]
    kind = np.zeros(len(x), int) if panel.kind is None else panel.kind
    plain = visible.copy()
    plain[list(panel.marked)] = False
    layers = np.arange(len(x)) * _LAYERS // max(len(x), 1) if many else np.zeros(len(x), int)
    for layer, n in np.ndindex(layers.max(initial=0) + 1, len(colours)):
        dots = plain & (kind == n) & (layers == layer)
        if dots.any():
            page.marks.append(Dots(x[dots], y[dots], colours[n], radius))
    for start, end in panel.arrows:
        _arrow(x[[start, end]], y[[start, end]], page)
    attached: list[tuple[int, Words | Dots]] = []  # marks that move with a point, each with that point
    for point in panel.marked:
        if visible[point]:
            dot = Dots(x[[point]], y[[point]], theme.accent, max(radius, page.u(3)))
            attached.append((point, dot))
            page.marks.append(dot)
    labelled = _labels(panel, x, y, visible, box, page)
    for point, _ in labelled if many else ():
        if point not in panel.marked:  # among many points, the one that a label belongs to
            dot = Dots(x[[point]], y[[point]], _colours(panel, page)[kind[point]], page.u(2.4))
            attached.append((point, dot))
            page.marks.append(dot)
    attached += labelled
    if panel.moves:
        inner = box.inset(*(page.u(_PAD),) * 4)
        window = panel.window or _WHOLE
        size = inner.w, inner.h
        page.movable.append(Movable(box, size, x, y, kind, tuple(colours), radius, tuple(attached), window))
    if panel.x_label:
        page.words(box.x, box.y + box.h + page.u(11), panel.x_label, size=11, colour=theme.dim, room=box.w)
    if panel.y_label:
        page.words(
            body.x + page.u(8), box.y + box.h, page.shorten(panel.y_label, box.h, size=11),
            size=11, colour=theme.dim, angle=90,
        )  # fmt: skip
    _legend(panel, Rect(box.x, body.y + body.h - page.u(_LEGEND), box.w, page.u(_LEGEND)), page)
    if visible.any():
        shown, source = np.flatnonzero(visible), panel.source
        if source is not None and not visible.all():
            points = tuple(shown.tolist())
            source = (
                replace(source, cols=points)
                if source.each is None
                else replace(source, each=tuple(source.each[n] for n in points))
            )
        ends = np.stack([x, y, x, y], 1)[shown]  # a point is a strand that ends where it begins
        page.cells.append(
            Strands(
                box, 1, len(ends), np.zeros((1, len(ends))), source, panel.title,
                density=page.density, ends=ends, reach=page.u(8),
            )
        )  # fmt: skip


def _placed(panel: CloudPanel, box: Rect) -> tuple[Array, Array]:
    """The points' x and y [point] on the page, whose y axis points down.

    The part of the plane that `panel.window` selects is centred in `box`, with the same scale on both axes; if
    `panel.free`, each axis has the scale at which that part fills the box.
    """
    points = np.asarray(panel.points, float).reshape(-1, 2)
    if not len(points):
        return np.zeros(0), np.zeros(0)
    low, high = points.min(0), points.max(0)
    if panel.window:
        start, end = np.array(panel.window).reshape(2, 2)  # as fractions of the whole
        low, high = low + start * (high - low), low + end * (high - low)
    size = np.maximum(high - low, 1e-12)
    scale = np.array([box.w, box.h]) / size
    if not panel.free:
        scale[:] = scale.min()
    middle = (low + high) / 2
    from_middle = (points - middle) * scale
    return box.x + box.w / 2 + from_middle[:, 0], box.y + box.h / 2 - from_middle[:, 1]


def _colours(panel: CloudPanel, page: Page) -> list[str]:
    """The colour of each kind; a single one if `panel.kind` is None, which means that all points are alike."""
    if panel.kind is None:
        return [page.theme.hues[panel.kinds[0][1]] if panel.kinds else page.theme.dim]
    return [page.theme.hues[hue] for _, hue in panel.kinds]


def _arrow(x: Array, y: Array, page: Page) -> None:
    """Draw an arrow from the first of two points to the second, short of both; none if they are too close together."""
    forward = np.array([x[1] - x[0], y[1] - y[0]])
    length = float(np.hypot(*forward))
    if length < page.u(16):
        return
    forward = forward / length
    sideways, colour = np.array([-forward[1], forward[0]]), page.theme.ink
    start, end = np.array([x[0], y[0]]) + page.u(6) * forward, np.array([x[1], y[1]]) - page.u(6) * forward
    page.path([start[0], end[0]], [start[1], end[1]], colour, page.u(1.4))
    for side in (1, -1):
        barb = end - page.u(8) * forward + side * page.u(4) * sideways
        page.path([end[0], barb[0]], [end[1], barb[1]], colour, page.u(1.4))


def _labels(panel: CloudPanel, x: Array, y: Array, visible: Array, box: Rect, page: Page) -> list[tuple[int, Words]]:
    """Draw labels of visible points, marked ones first, then the others in order; return each point with its label.

    A label goes to the right of its point, else to the left, above or below, for marked points also obliquely: the
    first of these places that is within the box and covers no arrow, no marked point and no earlier label. If all are
    ruled out, the point has no label. Labels of unmarked points among many keep a distance from all others.
    """
    drawn: list[tuple[int, Words]] = []
    theme, height = page.theme, page.u(13)
    taken: set[tuple[int, int]] = set()  # squares of the page, [across, down], that arrows and labels occupy
    near: set[tuple[int, int]] = set()  # those and the squares around labels, which only marked points' labels may use
    square, apart = page.u(6), _CLEAR if len(x) > _FEW else 0
    dots = np.array([(x[n], y[n]) for n in panel.marked if visible[n]]).reshape(-1, 2)
    for start, end in panel.arrows:
        # Squares along the arrow, except at its ends.
        along = (np.linspace(line[start], line[end], 200)[6:-6] / square for line in (x, y))
        taken |= {(int(i), int(j)) for i, j in zip(*along, strict=True)}
    near |= taken
    marked = set(panel.marked)
    others = (int(n) for n in np.flatnonzero(visible)[:_LABELLED] if n not in marked)
    for n in (*(n for n in panel.marked if visible[n]), *others):
        if not panel.labels or not panel.labels[n]:
            continue
        text, bold = panel.labels[n], n in marked
        width = page.width(text, size=11, mono=True, bold=bold) * (1 + page.slack)
        beside, above = page.u(6), page.u(13)
        right, over = x[n] + beside, x[n] - width / 2
        places = [(right, y[n]), (right - 2 * beside - width, y[n]), (over, y[n] - above), (over, y[n] + above)]
        if bold:
            places += [(left, y[n] + rise) for rise in (-above, above) for left in (x[n], x[n] - width)]
        for left, middle in places:
            inside = box.x + page.u(2) <= left and left + width <= box.x + box.w - page.u(2)
            if not inside or not box.y + height / 2 <= middle <= box.y + box.h - height / 2:
                continue
            covered = (left - page.u(3) < dots[:, 0]) & (dots[:, 0] < left + width + page.u(3))
            if (covered & (np.abs(dots[:, 1] - middle) < height / 2 + page.u(2))).any():
                continue
            across = int(left / square), int((left + width) / square)
            down = int((middle - height / 2) / square), int((middle + height / 2) / square)
            needed = _squares(across, down)
            if needed & (taken if bold else near):
                continue
            taken |= needed
            near |= _squares(across, down, apart)
            if apart:  # a label is read over many dots
                page.fill(
                    Rect(left - page.u(2), middle - height / 2, width + page.u(4), height), theme.background,
                    radius=page.u(3),
                )  # fmt: skip
            colour = theme.accent if bold else mix(theme.ink, theme.background, 0.85)
            page.words(left, middle, text, size=11, mono=True, bold=bold, colour=colour)
            label = page.marks[-1]
            if isinstance(label, Words):
                drawn.append((n, label))
            break
    return drawn


def _squares(across: tuple[int, int], down: tuple[int, int], apart: int = 0) -> set[tuple[int, int]]:
    """The squares from the first to the last in both directions, and `apart` more on every side, twice that across."""
    rows = range(down[0] - apart, down[1] + apart + 1)
    return {(i, j) for i in range(across[0] - 2 * apart, across[1] + 2 * apart + 1) for j in rows}


def _legend(panel: CloudPanel, rect: Rect, page: Page) -> None:
    """Draw a dot and the name of each kind in one row, as many as there is room for."""
    x, y = rect.x, rect.y + rect.h / 2 + page.u(4)
    for (name, _), colour in zip(panel.kinds, _colours(panel, page), strict=False):
        room = rect.x + rect.w - x - page.u(12)
        if room < page.u(30):
            break
        page.marks.append(Dots(np.array([x + page.u(4)]), np.array([y]), colour, page.u(3.5)))
        x += page.u(12)
        x += page.words(x, y, name, size=11, colour=page.theme.dim, room=room) * (1 + page.slack) + page.u(14)
