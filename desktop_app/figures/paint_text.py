"""Painters of text: tokens as chips, running text, text on coloured ground, and lines of label, text and remark."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from desktop_app.core.asking.intents import Select
from desktop_app.core.panels import Chip, Line, ProsePanel, ShadedPanel, Source, TextPanel, TokensPanel
from desktop_app.figures.marks import Page, Pick, Rect
from desktop_app.figures.paint_common import LEGEND, Extent, heading, heading_height, legend

_MANY = 160  # up to this many tokens, chips have a second line
_LINE, _MORE, _UNDER, _PROSE_LINE = 24.0, 19.0, 17.0, 28.0
_LONG, _COLUMN_GAP = 12, 28.0  # the number of lines from which a list is set in columns, and the gap between columns


def _chip_size(panel: TokensPanel) -> tuple[float, float]:
    """The height of a chip, and the gap between two chips, in design units."""
    return (26, 4) if len(panel.chips) > _MANY else (42, 6)


def _flow(panel: TokensPanel, width: float, page: Page) -> Iterator[tuple[Chip, float, float, float]]:
    """(chip, x, y, width) of each token, broken into lines."""
    height, gap = _chip_size(panel)
    x = y = 0.0
    for chip in panel.chips:
        w = page.width(chip.label, size=13, mono=True)
        if height > 30:
            w = max(w, page.width(f"{chip.position} · {chip.id}", size=10))
        w = min(w + page.u(14), width)
        if x and x + w > width:
            x, y = 0.0, y + page.u(height + gap)
        yield chip, x, y, w
        x += w + page.u(gap)


def tokens_extent(panel: TokensPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: all lines of chips."""
    height, gap = _chip_size(panel)
    bottom = 0.0
    for _, _, y, _ in _flow(panel, width, page):
        bottom = y / page.scale + height + gap
    return heading_height(panel) + bottom + 8, heading_height(panel) + bottom + 8


def paint_tokens(panel: TokensPanel, rect: Rect, page: Page) -> None:
    """Paint tokens in reading order; the selected and the appended ones are highlighted."""
    body = heading(panel, rect, page)
    height, _ = _chip_size(panel)
    theme = page.theme
    first_added = len(panel.chips) - panel.added
    for chip, x, y, w in _flow(panel, body.w, page):
        box = Rect(body.x + x, body.y + y, w, page.u(height))
        chosen = chip.position == panel.selected
        page.fill(box, theme.accent_fill if chosen else theme.panel, stroke=theme.accent if chosen else theme.line,
                  width=page.u(1.5 if chosen else 1), radius=page.u(5))  # fmt: skip
        if chip.position >= first_added:
            page.fill(Rect(box.x + page.u(5), box.y + box.h - page.u(3), w - page.u(10), page.u(2)), theme.accent)
        middle = box.y + (page.u(14) if height > 30 else box.h / 2)
        page.words(box.x + w / 2, middle, chip.label, size=13, mono=True, align="center", bold=chosen, room=w)
        if height > 30:
            page.words(box.x + w / 2, box.y + page.u(30), f"{chip.position} · {chip.id}", size=10,
                       colour=theme.dim, align="center", room=w)  # fmt: skip
        page.picks.append(Pick(box, Select(chip.position), f"{chip.label} · id {chip.id} · {chip.detail}"))


def _prose_lines(panel: ProsePanel, width: float, page: Page) -> list[list[tuple[str, bool]]]:
    """The text as lines of (words, whether they were appended), broken at newlines and at the width."""
    lines: list[list[tuple[str, bool]]] = [[]]
    x = 0.0
    first_added = len(panel.pieces) - panel.added
    for n, piece in enumerate(panel.pieces):
        w = page.width(piece, size=15, mono=True)
        if lines[-1] and (x + w > width or lines[-1][-1][0].endswith("↵")):
            lines.append([])
            x = 0.0
        x += w
        if lines[-1] and lines[-1][-1][1] == (n >= first_added):
            lines[-1][-1] = lines[-1][-1][0] + piece, n >= first_added
        else:
            lines[-1].append((piece, n >= first_added))
    return lines


def prose_extent(panel: ProsePanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: as many lines as the text needs."""
    height = heading_height(panel) + len(_prose_lines(panel, width, page)) * _PROSE_LINE + 8
    return height, height


def paint_prose(panel: ProsePanel, rect: Rect, page: Page) -> None:
    """Paint running text; appended text has the accent colour."""
    body = heading(panel, rect, page)
    for n, line in enumerate(_prose_lines(panel, body.w, page)):
        x, y = body.x, body.y + page.u((n + 0.5) * _PROSE_LINE)
        for words, added in line:
            x += page.words(x, y, words, size=15, mono=True, room=body.x + body.w - x + 1,
                            colour=page.theme.accent if added else page.theme.ink)  # fmt: skip


_SHADED = ((24, 22.0), (60, 17.0), (160, 14.0), (400, 12.0))
"""(tokens, type size): the type size of texts of up to that many tokens; longer texts have the smallest size."""


def _shaded_size(panel: ShadedPanel) -> float:
    return next((size for most, size in _SHADED if len(panel.pieces) <= most), 11.0)


def _shaded_flow(panel: ShadedPanel, width: float, page: Page) -> Iterator[tuple[int, float, float, float]]:
    """(position, x, y, width) of each token, broken into lines."""
    size = _shaded_size(panel)
    x = y = 0.0
    for n, piece in enumerate(panel.pieces):
        w = min(page.width(piece, size=size, mono=True, bold=n == panel.selected) + page.u(6), width)
        if x and x + w > width:
            x, y = 0.0, y + page.u(1.7 * size)
        yield n, x, y, w
        x += w + page.u(2)
        if piece.endswith("↵"):
            x, y = 0.0, y + page.u(1.7 * size)


def shaded_extent(panel: ShadedPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: as many lines as the text needs."""
    bottom = max((y for _, _, y, _ in _shaded_flow(panel, width, page)), default=0.0) / page.scale
    height = heading_height(panel) + bottom + 1.7 * _shaded_size(panel) + LEGEND
    return height, height


def paint_shaded(panel: ShadedPanel, rect: Rect, page: Page) -> None:
    """Paint tokens in reading order, each on the colour of its value, with a frame around the selected token."""
    body = heading(panel, rect, page)
    size, bottom = _shaded_size(panel), body.y
    table, fractions = page.theme.table(panel.levels.diverging), panel.levels.fraction(panel.values)
    for n, x, y, w in _shaded_flow(panel, body.w, page):
        box = Rect(body.x + x, body.y + y, w, page.u(1.5 * size))
        there, chosen = not np.isnan(panel.values[n]), n == panel.selected
        ground = "#{:02x}{:02x}{:02x}".format(*table[int(fractions[n] * 255)]) if there else None
        if ground is not None or chosen:
            page.fill(box, ground, stroke=page.theme.accent if chosen else None, width=page.u(2), radius=page.u(3))
        page.words(box.x + w / 2, box.y + box.h / 2, panel.pieces[n], size=size, mono=True, bold=chosen, on=ground,
                   colour=None if chosen else page.theme.dim, align="center", room=w)  # fmt: skip
        if panel.source is not None and there:
            page.put_cells(box, (1, 1), panel.values[n : n + 1, None], _fixed(panel, n), panel.pieces[n])
        page.picks.append(Pick(box, Select(n), panel.pieces[n]))
        bottom = max(bottom, box.y + page.u(1.7 * size))
    if np.isnan(panel.values).all():
        return  # values are hidden, so no colour has a meaning
    under = Rect(body.x, bottom, body.w, page.u(LEGEND))
    legend(panel.levels, under, page, panel.levels.beyond(panel.values))


def _fixed(panel: ShadedPanel, position: int) -> Source | None:
    """The cell that the token at this position shows."""
    source = panel.source
    return None if source is None else Source(source.name, source.at(panel.selected or 0, position), run=source.run)


def text_extent(panel: TextPanel, width: float, page: Page) -> Extent:
    """Minimum and preferred height: one row per line; a long list is set in several columns if they fit."""
    grid = _grid(panel, width, page)
    height = max(sum(_line_height(*_wrapped(line, grid, page)) for line in part) for part in _parts(panel, grid.count))
    return heading_height(panel) + height + 8, heading_height(panel) + height + 8


@dataclass(frozen=True)
class _Grid:
    """The columns of a text panel: their number and width, and the widths of labels and texts in them."""

    count: int
    width: float
    label: float
    text: float


def _grid(panel: TextPanel, width: float, page: Page) -> _Grid:
    labels = max((page.width(x.label, size=12) for x in panel.lines), default=0) + page.u(16)
    texts = max((page.width(x.text, size=13, mono=True) for x in panel.lines), default=0) + page.u(16)
    count = 1
    if len(panel.lines) >= _LONG:
        remark, gap = max(page.width(x.remark, size=12) for x in panel.lines), page.u(_COLUMN_GAP)
        count = max(1, min(4, int((width + gap) / (labels + texts + remark + gap))))
        width = (width - gap * (count - 1)) / count
    label = min(width * 0.3 if count == 1 else labels, labels)
    return _Grid(count, width, label, min(texts, width - label))


def _parts(panel: TextPanel, count: int) -> list[tuple[Line, ...]]:
    rows = max(1, math.ceil(len(panel.lines) / count))
    return [panel.lines[n : n + rows] for n in range(0, max(1, len(panel.lines)), rows)]


def _wrapped(line: Line, grid: _Grid, page: Page) -> tuple[list[str], list[str]]:
    """The lines of a text and of the remark under it; no lines for the remark if it is beside the text."""
    room = grid.width - grid.label
    fits = page.width(line.text, size=13, mono=True) * (1 + page.slack) <= room
    texts = [line.text] if fits else page.wrap(line.text, room, size=13, mono=True)
    if len(texts) == 1 and grid.label + grid.text + page.width(line.remark, size=12) <= grid.width:
        return texts, []
    return texts, page.wrap(line.remark, room, size=12)


def paint_text(panel: TextPanel, rect: Rect, page: Page) -> None:
    """Paint lines of label, text and remark. A long text is wrapped; a remark that does not fit is put under it."""
    body = heading(panel, rect, page)
    grid = _grid(panel, body.w, page)
    for n, part in enumerate(_parts(panel, grid.count)):
        x, y = body.x + n * (grid.width + page.u(_COLUMN_GAP)), body.y
        for line in part:
            y += _line(line, x, y, grid, page)


def _line(line: Line, x: float, y: float, grid: _Grid, page: Page) -> float:
    """Draw one line; return its height."""
    middle, start = y + page.u(_LINE / 2), x + grid.label
    page.words(x, middle, line.label, size=12, colour=page.theme.dim, room=grid.label - page.u(6))
    texts, under = _wrapped(line, grid, page)
    for n, words in enumerate(texts):
        at = middle + page.u(n * _MORE)
        if line.formula:
            _formula(words, start, at, page.theme.hues[line.hue], page)
            continue
        page.words(start, at, words, size=13, mono=True, colour=page.theme.hues[line.hue], room=grid.text)
    if len(texts) == 1 and not under:
        page.words(start + grid.text, middle, line.remark, size=12, colour=page.theme.dim)
    if line.pick is not None:
        place = Rect(x, y, grid.width, page.u(_line_height(texts, under)))
        page.picks.append(Pick(place, line.pick, line.label))
    for n, words in enumerate(under):
        page.words(start, middle + page.u((len(texts) - 1) * _MORE + 20 + n * _UNDER), words, size=12,
                   colour=page.theme.dim, room=grid.width - grid.label)  # fmt: skip
    return page.u(_line_height(texts, under))


_INDEX = re.compile(r"(?<![A-Za-z]{2})(?<=[A-Za-zΣ])_([A-Za-z]+(?:≤[a-z]+)?)")
"""A subscript after a single letter or Σ, as in x_i; the underscore in resid_pre is part of a name."""


def _formula(words: str, x: float, y: float, colour: str, page: Page) -> None:
    """Draw a formula with small subscripts in place of underscores, which makes it no wider."""
    for n, piece in enumerate(_INDEX.split(words)):
        if n % 2:
            x += page.words(x, y + page.u(4), piece, size=10, mono=True, colour=colour)
        elif piece:
            x += page.words(x, y, piece, size=13, mono=True, colour=colour)


def _line_height(texts: list[str], under: list[str]) -> float:
    return _LINE + (len(texts) - 1) * _MORE + len(under) * _UNDER + (4 if under else 0)
