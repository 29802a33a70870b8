"""Lays out a view on a page: headline, lead, and panels that share the space, each drawn by its painter."""

import math
from collections.abc import Iterator
from typing import Any

from desktop_app.core.panels import (
    Box,
    GridPanel,
    View,
)
from desktop_app.figures.kinds import KINDS
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.paint_common import Extent
from desktop_app.gpt2.overflow import without_warnings

_SMALL_GRID, _GRID_BESIDE = 60.0, 150.0

_GAP_ACROSS = 28.0
_GAP_DOWN = 18.0
_TITLE = 28.0
_LEAD = 20.0
_WIDE = 1.6  # ratio of width to height from which on a box's `wide` arrangement is used, if it has one


@without_warnings
def place_view(view: View, width: float, height: float, page: Page, *, heading: bool = True) -> float:
    """Draw `view` on a page of this width; panels that can grow fill `height`. Returns the height used.

    Content that does not fit makes the page higher and is not made smaller: a screen scrolls, a figure grows.
    """
    lines = page.wrap(view.title, width, size=20, bold=True) if heading else []
    after = page.width(lines[0], size=20, bold=True) * (1 + page.slack) + page.u(14) if len(lines) == 1 else width
    beside = bool(view.badge) and after + _badge_width(view.badge, page) <= width
    y = 0.0
    if beside:
        _badge(view.badge, Rect(after, page.u(4), width - after, page.u(20)), page)
    elif view.badge:
        _badge(view.badge, Rect(0, page.u(5), width, page.u(20)), page)
        y = page.u(33)
    if heading:
        for line in lines:
            page.words(0, y + page.u(14), line, size=20, bold=True, room=width)
            y += page.u(_TITLE)
        y += page.u(6)
        for line in page.wrap(view.lead, min(width, page.u(860) * (1 + page.slack))):
            page.words(0, y + page.u(8), line, colour=page.theme.dim)
            y += page.u(_LEAD)
        y += page.u(12)
    if page.live:
        page.room = height - y
    content = arrangement(view.content, width, height - y, page)
    room = height_in(content, width, height - y, page)
    for panel, rect in places(content, Rect(0, y, width, room), page):
        page.panels.append((panel, rect))
        KINDS[type(panel)].paint(panel, rect, page)
    return y + room


def _badge_width(words: str, page: Page) -> float:
    return page.width(words, size=11, bold=True) * (1 + page.slack) + page.u(18)


def _badge(words: str, room: Rect, page: Page) -> None:
    """Draw a badge that says which pass the view shows: after a title of one line, else above everything."""
    pill = Rect(room.x, room.y, min(_badge_width(words, page), room.w), room.h)
    page.fill(pill, page.theme.accent_fill, stroke=page.theme.accent, radius=page.u(10))
    page.words(
        room.x + page.u(9), room.y + room.h / 2, words, size=11, bold=True, colour=page.theme.accent, room=room.w
    )


def arrangement(content: Box, width: float, height: float, page: Page) -> Box:
    """The panels of a view, arranged for the space: in a wide, low one as in `wide`, if that needs no more height."""
    if content.wide is None or not 0 < height < width / _WIDE:
        return content
    low, high = _extent(content.wide, width, page)[0], _extent(content, width, page)[0]
    return content.wide if low <= high else content


def height_in(content: Box, width: float, height: float, page: Page) -> float:
    """How much of `height` the panels take: at least what they need; if `height` is infinite, what they prefer."""
    least, wanted = _extent(content, width, page)
    most = wanted if math.isinf(height) else _most(content, width, page)
    return min(max(height, page.u(least)), page.u(most))


def _most(item: Any, width: float, page: Page) -> float:
    """The maximum height that an item can use."""
    if not isinstance(item, Box):
        wanted = _extent(item, width, page)[1]
        return KINDS[type(item)].most(item, wanted)
    if _beside(item, width, page):
        widths = _widths(item, width, page)
        return max(_most(child, w, page) for child, w in zip(item.children, widths, strict=True))
    return sum(_most(child, width, page) for child in item.children) + _GAP_DOWN * (len(item.children) - 1)


def _extent(item: Any, width: float, page: Page) -> Extent:
    if not isinstance(item, Box):
        # The size is needed several times in one layout, and is slow to compute for a thousand tokens.
        key = (id(item), width)
        if key not in page.extents:
            least, wanted = KINDS[type(item)].extent(item, width, page)
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
    """Whether the children are placed side by side: the box asks for it, and all of them have enough space."""
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
        return KINDS[type(item)].least_width
    # The minimum width of a row within a row is that of one child, since its children can be placed below each other.
    return max(_least_width(child) for child in item.children)


def _widths(box: Box, width: float, page: Page) -> list[float]:
    weights = box.weights or (1.0,) * len(box.children)
    free = width - page.u(_GAP_ACROSS) * (len(box.children) - 1)
    return [free * w / sum(weights) for w in weights]


def places(item: Any, rect: Rect, page: Page) -> Iterator[tuple[Any, Rect]]:
    """Each panel in a box, in order, with its rectangle on the page."""
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
    """Each child's height: its minimum, then more by weight up to its preference, then up to its maximum."""
    extents = [_extent(child, rect.w, page) for child in box.children]
    weights = box.weights if box.weights and not box.across else (1.0,) * len(extents)
    heights = [page.u(least) for least, _ in extents]
    free = rect.h - sum(heights) - page.u(_GAP_DOWN) * (len(extents) - 1)
    most = [_most(child, rect.w, page) for child in box.children]
    for limits in ([wanted for _, wanted in extents], most):
        free -= _share(heights, [page.u(limit) for limit in limits], weights, free)
    return heights


def _share(heights: list[float], limits: list[float], weights: tuple[float, ...], free: float) -> float:
    """Increase `heights` by weight, up to their `limits`; return how much of `free` was used."""
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
