"""Puts a view on a page: headline, lead, and panels shared out over the room, each by its painter."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from desktop_app.core.panels import (
    ArcsPanel,
    AtlasPanel,
    BarsPanel,
    Box,
    CloudPanel,
    CurvePanel,
    GraphPanel,
    GridPanel,
    MapPanel,
    MultiplesPanel,
    Panel,
    ProsePanel,
    RulerPanel,
    ShadedPanel,
    StripsPanel,
    TextPanel,
    TokensPanel,
    View,
    WaterfallPanel,
)
from desktop_app.figures import (
    paint_arcs,
    paint_charts,
    paint_cloud,
    paint_graph,
    paint_heat,
    paint_text,
    paint_waterfall,
)
from desktop_app.figures.marks import Page, Rect

Extent = tuple[float, float]
Measurer = Callable[[Any, float, Page], Extent]
Painter = Callable[[Any, Rect, Page], None]

PAINTERS: dict[type[Panel], tuple[Measurer, Painter]] = {
    TokensPanel: (paint_text.tokens_extent, paint_text.paint_tokens),
    ProsePanel: (paint_text.prose_extent, paint_text.paint_prose),
    TextPanel: (paint_text.text_extent, paint_text.paint_text),
    StripsPanel: (paint_heat.strips_extent, paint_heat.paint_strips),
    MapPanel: (paint_heat.map_extent, paint_heat.paint_map),
    GridPanel: (paint_heat.grid_extent, paint_heat.paint_grid),
    MultiplesPanel: (paint_heat.multiples_extent, paint_heat.paint_multiples),
    AtlasPanel: (paint_heat.atlas_extent, paint_heat.paint_atlas),
    ShadedPanel: (paint_text.shaded_extent, paint_text.paint_shaded),
    ArcsPanel: (paint_arcs.arcs_extent, paint_arcs.paint_arcs),
    BarsPanel: (paint_charts.bars_extent, paint_charts.paint_bars),
    WaterfallPanel: (paint_waterfall.waterfall_extent, paint_waterfall.paint_waterfall),
    GraphPanel: (paint_graph.graph_extent, paint_graph.paint_graph),
    CurvePanel: (paint_charts.curve_extent, paint_charts.paint_curve),
    CloudPanel: (paint_cloud.cloud_extent, paint_cloud.paint_cloud),
    RulerPanel: (paint_charts.ruler_extent, paint_charts.paint_ruler),
}
"""One painter for each kind of panel: (least and wanted height for a width, draw)."""

_MOST: dict[type[Panel], Callable[[Any, float], float]] = {
    StripsPanel: lambda panel, wanted: wanted + 30 * sum(-(-len(s.values) // panel.wrap) for s in panel.strips),
    MapPanel: lambda panel, wanted: wanted + 46 * len(panel.values),
    GridPanel: lambda panel, wanted: wanted if panel.small else 1.8 * wanted,
    MultiplesPanel: lambda _panel, wanted: 3 * wanted,
    AtlasPanel: lambda _panel, wanted: 3 * wanted,
    ArcsPanel: lambda _panel, wanted: 1.4 * wanted,
    BarsPanel: lambda panel, wanted: wanted + 22 * len(panel.bars),
    WaterfallPanel: lambda panel, wanted: wanted + 8 * len(panel.rises),
    GraphPanel: lambda _panel, wanted: 2.2 * wanted,
    CurvePanel: lambda _panel, wanted: 1.8 * wanted,
    CloudPanel: lambda _panel, wanted: 4 * wanted,
}
"""The height that a panel can make use of where a page has room to spare, given what it wants; text does not grow."""

_LEAST_WIDTH: dict[type[Panel], float] = {
    TokensPanel: 150,
    ProsePanel: 150,
    TextPanel: 200,
    StripsPanel: 240,
    MapPanel: 150,
    GridPanel: 290,
    MultiplesPanel: 150,
    AtlasPanel: 240,
    ShadedPanel: 200,
    ArcsPanel: 240,
    BarsPanel: 200,
    WaterfallPanel: 260,
    GraphPanel: 260,
    CurvePanel: 180,
    CloudPanel: 240,
    RulerPanel: 200,
}
"""Design units of width below which a panel stands under its neighbour instead of beside it."""
_SMALL_GRID, _GRID_BESIDE = 60.0, 150.0

_GAP_ACROSS = 28.0
_GAP_DOWN = 18.0
_TITLE = 28.0
_LEAD = 20.0
_WIDE = 1.6  # width by height from which a box's other arrangement is taken, if it has one


def place_view(view: View, width: float, height: float, page: Page, *, heading: bool = True) -> float:
    """Draw `view` on a page of this width, filling `height` where panels can grow. Returns the height used.

    What does not fit makes the page taller instead of smaller: a screen scrolls, a figure grows.
    """
    y = _badge(view.badge, width, page) if view.badge else 0.0
    if heading:
        for line in page.wrap(view.title, width, size=20, bold=True):
            page.words(0, y + page.u(14), line, size=20, bold=True, room=width)
            y += page.u(_TITLE)
        y += page.u(6)
        for line in page.wrap(view.lead, min(width, page.u(860) * (1 + page.slack))):
            page.words(0, y + page.u(8), line, colour=page.theme.dim)
            y += page.u(_LEAD)
        y += page.u(12)
    content = arrangement(view.content, width, height - y, page)
    room = height_in(content, width, height - y, page)
    for panel, rect in places(content, Rect(0, y, width, room), page):
        page.panels.append((panel, rect))
        PAINTERS[type(panel)][1](panel, rect, page)
    return y + room


def _badge(words: str, width: float, page: Page) -> float:
    """What the view is of, on a pill above everything; returns the height that it takes."""
    top, height, wide = page.u(5), page.u(20), page.width(words, size=11, bold=True) + page.u(18)
    pill = Rect(0, top, min(wide, width), height)
    page.fill(pill, page.theme.accent_fill, stroke=page.theme.accent, radius=page.u(10))
    page.words(page.u(9), top + height / 2, words, size=11, bold=True, colour=page.theme.accent, room=width)
    return top + height + page.u(8)


def arrangement(content: Box, width: float, height: float, page: Page) -> Box:
    """The panels of a view as they are arranged in a room of this shape: the low one in a low room, if it is lower."""
    if content.wide is None or not 0 < height < width / _WIDE:
        return content
    low, high = _extent(content.wide, width, page)[0], _extent(content, width, page)[0]
    return content.wide if low <= high else content


def height_in(content: Box, width: float, height: float, page: Page) -> float:
    """How much of `height` the panels take: at least what they need; what they want where the height is not given."""
    least, wanted = _extent(content, width, page)
    most = wanted if math.isinf(height) else _most(content, width, page)
    return min(max(height, page.u(least)), page.u(most))


def _most(item: Any, width: float, page: Page) -> float:
    """The height that an item can still make use of."""
    if not isinstance(item, Box):
        wanted = _extent(item, width, page)[1]
        grown = _MOST.get(type(item))
        return wanted if grown is None else grown(item, wanted)
    if _beside(item, width, page):
        widths = _widths(item, width, page)
        return max(_most(child, w, page) for child, w in zip(item.children, widths, strict=True))
    return sum(_most(child, width, page) for child in item.children) + _GAP_DOWN * (len(item.children) - 1)


def _extent(item: Any, width: float, page: Page) -> Extent:
    if not isinstance(item, Box):
        # Asked for several times while rooms are shared out, and long to say for a thousand tokens.
        key = (id(item), width)
        if key not in page.extents:
            least, wanted = PAINTERS[type(item)][0](item, width, page)
            page.extents[key] = least, max(least, wanted)
        return page.extents[key]
    if _beside(item, width, page):
        widths = _widths(item, width, page)
        extents = [_extent(child, w, page) for child, w in zip(item.children, widths, strict=True)]
        return max(e[0] for e in extents), max(e[1] for e in extents)
    extents = [_extent(child, width, page) for child in item.children]
    gaps = _GAP_DOWN * (len(extents) - 1)
    return sum(e[0] for e in extents) + gaps, sum(e[1] for e in extents) + gaps


def _beside(box: Box, width: float, page: Page) -> bool:
    """Whether the children stand beside each other: they are meant to, and each has room enough."""
    if not box.across:
        return False
    widths = _widths(box, width, page)
    return all(page.u(_least_width(c)) <= w for c, w in zip(box.children, widths, strict=True))


def _least_width(item: Any) -> float:
    if isinstance(item, GridPanel) and item.small:
        return _SMALL_GRID
    if isinstance(item, GridPanel) and item.beside:
        return _GRID_BESIDE
    if not isinstance(item, Box):
        return _LEAST_WIDTH[type(item)]
    # A row in a row gives way first: its own children can stand under each other, unless they are small.
    return max(_least_width(child) for child in item.children)


def _widths(box: Box, width: float, page: Page) -> list[float]:
    weights = box.weights or (1.0,) * len(box.children)
    free = width - page.u(_GAP_ACROSS) * (len(box.children) - 1)
    return [free * w / sum(weights) for w in weights]


def places(item: Any, rect: Rect, page: Page) -> Iterator[tuple[Any, Rect]]:
    """Each panel of a box, in order, and where on the page it stands."""
    if not isinstance(item, Box):
        yield item, rect
    elif _beside(item, rect.w, page):
        x = rect.x
        for child, w in zip(item.children, _widths(item, rect.w, page), strict=True):
            yield from places(child, Rect(x, rect.y, w, rect.h), page)
            x += w + page.u(_GAP_ACROSS)
    else:
        y = rect.y
        for child, h in zip(item.children, _heights(item, rect, page), strict=True):
            yield from places(child, Rect(rect.x, y, rect.w, h), page)
            y += h + page.u(_GAP_DOWN)


def _heights(box: Box, rect: Rect, page: Page) -> list[float]:
    """Each child its least, the rest shared out by weight up to what each wants, then up to what each can use."""
    extents = [_extent(child, rect.w, page) for child in box.children]
    weights = box.weights if box.weights and not box.across else (1.0,) * len(extents)
    heights = [page.u(least) for least, _ in extents]
    free = rect.h - sum(heights) - page.u(_GAP_DOWN) * (len(extents) - 1)
    most = [_most(child, rect.w, page) for child in box.children]
    for limits in ([wanted for _, wanted in extents], most):
        free -= _share(heights, [page.u(limit) for limit in limits], weights, free)
    return heights


def _share(heights: list[float], limits: list[float], weights: tuple[float, ...], free: float) -> float:
    """Add to `heights` by weight, none beyond its limit; returns how much of `free` was given out."""
    given = 0.0
    for _ in heights:
        open_ = [n for n, limit in enumerate(limits) if heights[n] < limit - 0.5]
        if free - given <= 0.5 or not open_:
            break
        share = (free - given) / sum(weights[n] for n in open_)
        for n in open_:
            more = min(share * weights[n], limits[n] - heights[n])
            heights[n] += more
            given += more
    return given
