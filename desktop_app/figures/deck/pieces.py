"""The pieces of a slide: headings, native charts, native tables and pictures, each with its place and alt text."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from desktop_app.core.levels import Levels, cell_text, short
from desktop_app.core.panels import (
    AnyPanel,
    BarsPanel,
    Box,
    GridPanel,
    MultiplesPanel,
    Panel,
    ProsePanel,
    RulerPanel,
    ShadedPanel,
    TextPanel,
    TokensPanel,
    row,
)
from desktop_app.core.program.bundle import ENGLISH
from desktop_app.figures.kinds import KINDS
from desktop_app.figures.language import translator
from desktop_app.figures.layout import arrangement, height_in, places
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.paint_common import HEADING, LEGEND, legend
from desktop_app.figures.spoken import alt_of
from desktop_app.figures.theme import THEMES, Theme

TABLE_TOKENS = 24
"""Grids of more tokens are drawn as pictures: a table with more cells could be neither read nor edited."""
DPI = 300
SLACK = 1.15
"""Factor by which native text may be wider than measured, if a program has other fonts."""

LEAST_TEXT = 12.0
"""Points: the smallest text on a lecture's slide, which is 960 by 540 points."""
LARGE = LEAST_TEXT / 10  # the smallest text of a panel is 10 design units
_LARGER = (1.8, 1.6, 1.4)
"""Scales of a lecture's words and bars, largest first, for slides that have space for more than LARGE."""

_MANY = 12  # from this number of tokens on, a table gets the space of the small grids beside it
_CELLS = 256  # larger heatmaps are bitmaps in the SVG, because programs are slow to show thousands of shapes
_BLEED = 4.0
_BAR, _PAIR = 32.0, 52.0  # the maximum height of a bar, and of a bar with an outline for its value before a cut
_WORDS = (BarsPanel, ProsePanel, RulerPanel, ShadedPanel, TextPanel, TokensPanel)
"""Panels that consist of words and bars only."""
_SHRINK = (
    1.0,
    0.92,
    0.85,
    0.78,
    0.7,
    0.66,
    0.6,
    0.5,
    0.4,
    0.33,
    0.27,
    0.22,
    0.18,
    0.15,
)  # the last resort: a thousand long tokens
_HEADING = 18.0  # points: the largest heading of a chart, which should not be more prominent than the slide's title
_LEAST_BARS = 4  # the smallest number of bars to which a lecture's chart is reduced
_NAMES = 0.3  # fraction of a chart's width that its longest name may take if the chart is to be enlarged
_LEAST_TEXT = 4.5  # points: a table whose numbers would be smaller becomes a picture


@dataclass(frozen=True)
class Heading:
    """The words over a chart or a table; a picture includes them."""

    place: Rect
    title: str
    note: str
    current: bool
    size: float


@dataclass(frozen=True)
class Picture:
    """A part of the slide as PNG and SVG, given by their file names."""

    place: Rect
    name: str
    png: str
    svg: str
    alt: str


@dataclass(frozen=True)
class Chart:
    """Bars as a native chart."""

    place: Rect
    panel: BarsPanel
    size: float
    alt: str
    least: float = 0.0  # the smallest type size of its numbers


@dataclass(frozen=True)
class Table:
    """A grid as a native table: a column of labels `left` wide, a row of labels `top` high, and cells."""

    place: Rect
    panel: GridPanel
    left: float
    top: float
    upright: bool  # whether the column labels are vertical
    label_size: float
    cell_size: float
    alt: str


Piece = Heading | Picture | Chart | Table


@dataclass(frozen=True)
class Look:
    """How a slide is drawn: theme, scale of design units, and the language of the painters' words.

    On `large` slides no text is smaller than LEAST_TEXT; what does not fit at that size is left out.
    """

    theme: str
    scale: float = 1.0
    large: bool = False
    language: str = ENGLISH

    def page(self, scale: float = 1.0) -> Page:
        """A page to draw panels on."""
        from desktop_app.figures import fonts

        page = Page(THEMES[self.theme], fonts.width, self.scale * scale, DPI / 72, say=translator(self.language))
        return replace(page, least=LEAST_TEXT / LARGE) if self.large else page


def compose(content: Box, area: Rect, look: Look, draw: "Draw") -> list[Piece]:
    """The pieces of a slide, arranged in the area, in points. `draw` makes the pieces that are not native."""
    if look.large:
        content = _within(content, area, look.page(LARGE))
        if _fits(content, area, look.page(LARGE)):
            return list(_composed(content, area, look.page(_scale(content, area, look)), draw))
    content = arrangement(_with_room_for_tables(content), area.w, area.h, look.page())
    content, shrink = max(
        ((box, _largest(box, area, look)) for box in (content, _in_two_columns(content))),
        # The other arrangement is used only if it makes the text much larger.
        key=lambda choice: choice[1] - (0.1 if choice[0] is not content else 0),
    )
    return list(_composed(content, area, look.page(shrink), draw))


def _scale(content: Box, area: Rect, look: Look) -> float:
    """The factor by which a lecture's panels are enlarged: LARGE for pictures, as much as fits for words and bars."""
    panels = _panels(content)
    if not content.across and all(isinstance(panel, _WORDS) for panel in panels):
        for scale in _LARGER:
            page = look.page(scale)
            if _fits(content, area, page) and all(_names_fit(panel, area.w, page) for panel in panels):
                return scale
    return LARGE


def _fits(content: Box, area: Rect, page: Page) -> bool:
    return height_in(content, area.w, area.h, page) <= area.h + 1


def _names_fit(panel: Panel, width: float, page: Page) -> bool:
    """Whether every name beside a bar or line leaves enough of the width to be written in full."""
    if isinstance(panel, TextPanel):
        return all(page.width(f"{line.label} {line.text}", size=13, mono=True) <= width for line in panel.lines)
    if not isinstance(panel, BarsPanel):
        return True
    labels = [bar.label for bar in panel.bars]
    if any(bar.outline is not None for bar in panel.bars) and page.scale > _LARGER[-1]:
        return False  # with two bars per row, there is no space for larger numbers
    return all(page.width(label, size=12, mono=True) <= _NAMES * width for label in labels)


def _within(content: Box, area: Rect, page: Page) -> Box:
    """The content without as many of its last bars, lines and panels as do not fit the area of a lecture's slide."""
    while not _fits(content, area, page):
        *before, last = content.children
        shorter = _shorter(last)
        if shorter is None and not before:
            return content
        content = replace(content, children=(*before, *([] if shorter is None else [shorter])), weights=())
    return content


def _shorter(panel: AnyPanel | Box) -> AnyPanel | None:
    """The panel without its last line or bar (its first bar if the last is marked); None if nothing can be left out."""
    if isinstance(panel, BarsPanel) and len(panel.bars) > _LEAST_BARS:
        left = range(1, len(panel.bars)) if panel.bars[-1].marked else range(len(panel.bars) - 1)
        return replace(panel, note="", cuts=(), bars=tuple(panel.bars[n] for n in left))
    if isinstance(panel, TextPanel) and len(panel.lines) > 1:
        return replace(panel, lines=panel.lines[:-1])
    return None


def _composed(content: Box, area: Rect, page: Page, draw: "Draw") -> Iterator[Piece]:
    content = arrangement(content, area.w, area.h, page)
    height = height_in(content, area.w, area.h, page)
    for panel, rect in places(content, Rect(area.x, area.y, area.w, min(height, area.h)), page):
        native = _native(panel, rect, page, draw)
        yield from native or [draw.panel(panel, rect, page)]


def _largest(content: Box, area: Rect, look: Look) -> float:
    """The factor by which sizes have to shrink for the panels to fit."""
    for shrink in _SHRINK:
        if height_in(content, area.w, area.h, look.page(shrink)) <= area.h + 1:
            return shrink
    return _SHRINK[-1]


def _in_two_columns(content: Box) -> Box:
    """The panels of a single column arranged in two columns, the first half on the left."""
    children = content.children
    if content.across or len(children) < 3:
        return content
    half = (len(children) + 1) // 2
    return row(*(Box(part) if len(part) > 1 else part[0] for part in (children[:half], children[half:])))


def _with_room_for_tables(content: Box) -> Box:
    """The same panels with more space for a large table; small grids beside it would be too small."""
    large = [p for p in _panels(content) if isinstance(p, GridPanel) and not p.small]
    if not large or not _MANY < len(large[0].values) <= TABLE_TOKENS:
        return content
    others = [p for p in _panels(content) if isinstance(p, MultiplesPanel)]
    return row(large[0], *others, weights=(5, *(2,) * len(others)))


def _panels(item: Any) -> list[Any]:
    return [p for child in item.children for p in _panels(child)] if isinstance(item, Box) else [item]


def _native(panel: Panel, rect: Rect, page: Page, draw: "Draw") -> list[Piece]:
    """The native pieces of a panel; an empty list if it has to be a picture."""
    head: list[Piece] = []
    if panel.title or panel.note:
        place = Rect(rect.x, rect.y, rect.w, page.u(HEADING))
        head = [Heading(place, *_heading_words(panel, rect.w, page), panel.current, min(page.u(13), _HEADING))]
    body = rect.inset(top=page.u(HEADING)) if head else rect
    if isinstance(panel, BarsPanel) and panel.bars and panel.drawn:
        # Bars are not thicker if there are few of them.
        each = _BAR if all(bar.outline is None for bar in panel.bars) else _PAIR
        high = page.u(each * (len(panel.bars) + len(panel.cuts)) + 2 * _BAR)
        place = Rect(body.x, body.y, body.w, min(body.h, high))
        return [*head, Chart(place, panel, page.u(11), alt_of(panel), LEAST_TEXT if page.u(10) >= LEAST_TEXT else 0.0)]
    if isinstance(panel, GridPanel) and not panel.small and len(panel.values) <= TABLE_TOKENS:
        table = _table(panel, body, page)
        if table is not None:
            left, width = table.place.x + table.left, body.w - table.left
            under = Rect(left, table.place.y + table.place.h + page.u(4), width, page.u(LEGEND))
            return [*head, table, draw.scale(panel.levels, panel.levels.beyond(panel.values), under, page)]
    return []


def _heading_words(panel: Panel, room: float, page: Page) -> tuple[str, str]:
    title = page.shorten(panel.title, room / SLACK, bold=True)
    left = room / SLACK - page.width(title, bold=True) - page.u(10)
    note = panel.note if page.width(panel.note, size=12) <= left else ""
    return title, note


def _table(panel: GridPanel, body: Rect, page: Page) -> Table | None:
    """The table's measures; None if its numbers would be too small to read."""
    count = len(panel.values)
    room = body.h - page.u(LEGEND) - page.u(4)
    widest = max(page.width(text, size=11, mono=True) for text in panel.labels) * SLACK + page.u(6)
    left = max(min(widest, 0.3 * body.w), page.width(corner(panel), size=10) * SLACK + page.u(6))
    width = min((body.w - left) / count, page.u(72))
    upright = widest > width
    top = min(widest, 0.3 * room) if upright else page.u(22)
    height = min((room - top) / count, page.u(56))
    texts = [cell_text(float(v), share=not panel.levels.diverging) for v in panel.values.ravel()]
    broadest = max((page.width(text, size=11) for text in texts), default=0.0) or 1.0
    size = min(page.u(11), page.u(11) * (width - 2) / (broadest * SLACK), height / 1.3)
    if size < _LEAST_TEXT:
        return None
    label = min(page.u(11), height / 1.3) if not upright else min(page.u(11), height / 1.3, width / 1.3)
    place = Rect(body.x, body.y, left + count * width, top + count * height)
    return Table(place, panel, left, top, upright, label, size, alt_of(panel))


def corner(panel: GridPanel) -> str:
    """The words in a grid's corner, which say what its rows are."""
    return "key ↓" if panel.keys_down else "query ↓"


def cell_colour(value: float, levels: Levels, theme: Theme) -> str:
    """The colour of a cell, the same as in the painters' heatmaps."""
    if np.isnan(value):
        return theme.void
    fraction = float(levels.fraction(np.array(value)))
    return "#{:02x}{:02x}{:02x}".format(*theme.table(levels.diverging)[int(fraction * 255)])


class Draw:
    """Draws the panels of one slide into files of a folder whose names start with `prefix`."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix, self._count = folder, prefix, 0

    def panel(self, panel: Panel, rect: Rect, page: Page) -> Picture:
        """Draw a panel as a picture."""
        name = panel.title or type(panel).__name__.removesuffix("Panel")
        return self._picture(lambda r, p: KINDS[type(panel)].paint(panel, r, p), rect, page, name, alt_of(panel))

    def scale(self, levels: Levels, beyond: int, rect: Rect, page: Page) -> Picture:
        """Draw the colour bar of a table as a picture."""
        alt = f"Colours from {short(levels.low)} to {short(levels.high)}"
        alt += f", limits: {levels.rule}" if levels.rule else ""
        alt += f", {beyond:,} beyond" if beyond else ""
        return self._picture(lambda r, p: legend(levels, r, p, beyond), rect, page, "Colour scale", f"{alt}.")

    def _picture(self, paint: Callable[[Rect, Page], None], rect: Rect, page: Page, name: str, alt: str) -> Picture:
        from desktop_app.figures import draw

        width, height = rect.w + 2 * _BLEED, rect.h + 2 * _BLEED
        own = replace(page, marks=[], cells=[], picks=[])
        paint(Rect(_BLEED, _BLEED, rect.w, rect.h), own)
        figure = draw.make_figure(own.marks, width, height, page.theme, transparent=True, cells=_CELLS)
        self._count += 1
        files = {}
        for kind in ("png", "svg"):
            files[kind] = f"{self._prefix}-{self._count}.{kind}"
            data = draw.figure_bytes(figure, kind, dpi=DPI, title=name, outlines=True)
            (self._folder / files[kind]).write_bytes(data)
        place = Rect(rect.x - _BLEED, rect.y - _BLEED, width, height)
        return Picture(place, name, files["png"], files["svg"], alt)


def draw_slide(content: Box, area: Rect, look: Look, folder: Path, prefix: str) -> tuple[Piece, ...]:
    """The pieces of one slide, with pictures written to `folder`. Runs in a worker process."""
    return tuple(compose(content, area, look, Draw(folder, prefix)))
