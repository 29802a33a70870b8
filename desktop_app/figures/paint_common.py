"""Code that painters share: headings, colour bars, heatmap cells with their limits, and rows of token labels."""

import re
from functools import lru_cache

import numpy as np

from desktop_app.core.levels import Levels, cell_text, short
from desktop_app.core.panels import Array, Panel
from desktop_app.figures.marks import Heat, Page, Rect
from desktop_app.figures.pool import pixels, pool, pooled_words
from desktop_app.figures.theme import mix
from desktop_app.gpt2.phrase import Count, Phrase, joined

Extent = tuple[float, float]
"""Minimum and preferred height, in design units."""

HEADING = 26.0
LEGEND = 24.0
FOOT = 16.0
"""How far a picture may reach into the empty margin at the foot of a window, in design units."""
ROW = 22.0
_LEAST_BAR = 24.0
_LEAST_LETTERS = 5  # in cells too narrow for so many letters, words are left out if most of them do not fit
_FINER = 0.25  # the step by which the type size is reduced until a text fits
_SMALLEST = 0.65  # the smallest type size of text in a cell, as a fraction of the usual size
_MARK = 13.0  # width of the sample cell that precedes the number of cells beyond the limits
_HIGHEST_ROW = 64.0
"""The maximum height of a map's row of cells."""


def heading_height(panel: Panel) -> float:
    """The height that a panel's title takes, in design units."""
    return HEADING if panel.title or panel.aside else 0.0


def heading(panel: Panel, rect: Rect, page: Page) -> Rect:
    """Draw title and note; return the rectangle below them."""
    if not (panel.title or panel.aside):
        return rect
    y = rect.y + page.u(9)
    colour = page.theme.accent if panel.current else page.theme.ink
    size = page.fitting(panel.title, rect.w / (1 + page.slack), (13, 12, 11, 10), bold=True)
    used = page.words(rect.x, y, panel.title, size=size, bold=True, colour=colour, room=rect.w)
    gap = page.u(10) + used * page.slack if used else 0
    room = rect.w - used - gap
    note, size = _note(panel.aside, room, page)
    page.words(rect.x + used + gap, y, note, size=size, colour=page.theme.dim)
    return rect.inset(top=page.u(HEADING))


def _note(text: str, room: float, page: Page) -> tuple[str, float]:
    """A note and its type size, smaller if there is little space; its last clauses are left out until it fits."""
    room /= 1 + page.slack
    if page.width(text, size=12) <= room:
        return text, 12
    for shown in _whole_clauses(text):
        for size in (12, 11, 10):
            if page.width(shown, size=size) <= room:
                return shown, size
    return "", 12


def _whole_clauses(text: str) -> list[str]:
    """A text, and the same text without its last clause, its last two clauses and so on."""
    clauses = re.split(r"(?<=[^\s])(?:; | · |, )", text)
    ends = [text.find(clause) + len(clause) for clause in clauses]
    return [text, *(text[:end] for end in reversed(ends[:-1]))]


def clauses_in(text: str, room: float, size: float, page: Page) -> str:
    """As many whole clauses of a remark as fit; if the first is too long by itself, its beginning."""
    found = _whole_clauses(text)
    return next((shown for shown in found if page.width(shown, size=size) <= room), found[-1])


def legend(
    levels: Levels, rect: Rect, page: Page, beyond: int, pooled: str = "", label: str = "", *, marked: bool = False
) -> None:
    """Draw a colour bar with its limits, the number of cells beyond them, what a pixel represents, and a label.

    If cells beyond the limits are `marked`, a sample of such a cell is drawn before their number.
    """
    theme, say = page.theme, page.say
    low, high = short(levels.low), short(levels.high)
    ends = page.width(low, size=11) + page.width(high, size=11) + page.u(24)
    mark = page.u(_MARK) if marked else 0.0
    rooms = rect.w - ends - mark, rect.w - mark
    first, second, above = _legend_words(levels, rooms, page, beyond, say(pooled), label)
    beside = page.width(first, size=11) + (mark if above else 0)
    bar = min(page.u(96), max(page.u(8), rect.w - ends - beside))
    # at the same height whether or not there is a second line, so that the bar does not move when it appears
    x, y = rect.x, rect.y + page.u(8)
    x += page.words(x, y, low, size=11, colour=theme.dim) + page.u(6)
    place = Rect(x, y - page.u(4), bar, page.u(8))
    # A log or root scale compresses the numbers between the ends, not the colours of the bar.
    shades = np.linspace(0, 1, 64)[None, :: -1 if levels.turned else 1]
    page.marks.append(Heat(place, shades, theme.table(levels.diverging)))
    page.fill(place, stroke=theme.line)
    x += bar + page.u(6)
    x += page.words(x, y, high, size=11, colour=theme.dim) + page.u(12)
    if marked and above:
        x += _marked_cell(levels, x, y, page)
    page.words(x, y, first, size=11, colour=theme.dim, room=rect.x + rect.w - x)
    if second:
        x, y = rect.x, y + page.u(10.7)
        x += _marked_cell(levels, x, y, page) if marked and not above else 0
        room = rect.x + rect.w - x
        page.words(x, y, second, size=page.fitting(second, room, (10, 9, 8)), colour=theme.dim, room=room)


def _marked_cell(levels: Levels, x: float, y: float, page: Page) -> float:
    """Draw a sample of a cell beyond the limits; return its width."""
    side = page.u(_MARK - 4)
    cell = Rect(x, y - side / 2, side, side)
    page.fill(cell, "#{:02x}{:02x}{:02x}".format(*page.theme.table(levels.diverging)[-1]))
    page.fill(Rect(cell.x + side * 0.55, cell.y, side * 0.45, side * 0.45), page.theme.background)
    return page.u(_MARK)


def legend_width(levels: Levels, page: Page, beyond: int) -> float:
    """The width at which a colour bar has all of its words in one line."""
    ends = page.width(short(levels.low), size=11) + page.width(short(levels.high), size=11) + page.u(24)
    first, *_ = _legend_words(levels, (np.inf, np.inf), page, beyond, "", "")
    return ends + page.u(96) + page.width(first, size=11) + page.u(1)


def _legend_words(
    levels: Levels, rooms: tuple[float, float], page: Page, beyond: int, pooled: str, label: str
) -> tuple[str, str, bool]:
    """The words beside a colour bar, those below it, and whether the former begin with the number of cells beyond.

    `rooms` are the widths for the two. If there is too little space, the label is left out first, then the rule; words
    without which the bar would be misleading go below.
    """
    say = page.say
    scale, outside, rule = (
        say(levels.scale_name),
        say(Phrase("{1} beyond", Count(beyond))) if beyond else "",
        _rule(levels, page),
    )
    choices = (
        ((outside, scale, rule, pooled, label), ()),
        ((outside, scale, rule, pooled), ()),
        ((outside, scale, pooled), ()),
        ((outside, scale), (pooled,)),
        ((outside,), (scale, pooled)),
        ((), (outside, scale, pooled)),
        ((), (outside, scale)),
    )
    joined = [tuple(" · ".join(part for part in line if part) for line in choice) for choice in choices]
    for first, second in joined:
        bar = page.u(_LEAST_BAR if second else 96)
        if bar + page.width(first, size=11) <= rooms[0] and page.width(second, size=9) <= rooms[1]:
            break
    return first, second, bool(outside) and first.startswith(outside)


def _rule(levels: Levels, page: Page) -> str:
    if not levels.rule:
        return ""
    rule = levels.rule
    if levels.apart:
        key = "without {1} outlying line" if levels.apart == 1 else "without {1} outlying lines"
        rule = joined(", ", (rule, Phrase(key, levels.apart)))
    return page.say(Phrase("limits: {1}", rule))


def map_height(rows: int, body: float, page: Page) -> float:
    """The height of a map's rows, if `body` is the height without the heading; the colour bar is below the rows."""
    return min(body - page.u(LEGEND), rows * page.u(_HIGHEST_ROW))


def heat(values: Array, levels: Levels, rect: Rect, page: Page) -> str:
    """Draw cells; return words that say so if several cells share a pixel, which shows the strongest."""
    page.fill(rect, page.theme.void)
    rows, columns = pixels(rect.h, page.density), pixels(rect.w, page.density)
    signed = levels.low < 0
    shown = (
        -pool(-values, rows, columns, signed=signed) if levels.turned else pool(values, rows, columns, signed=signed)
    )
    page.marks.append(Heat(rect, levels.fraction(shown), page.theme.table(levels.diverging)))
    return pooled_words(values.shape, rows, columns)


def beyond_marks(values: Array, levels: Levels, rect: Rect, page: Page) -> bool:
    """Draw a small square in the corner of cells beyond the limits, 400 at most, if cells are large enough for it.

    Returns whether any was drawn.
    """
    rows, columns = values.shape
    w, h = rect.w / columns, rect.h / rows
    if min(w, h) < page.u(5):
        return False
    side = min(min(w, h) * 0.3, page.u(8))
    colour = page.theme.background
    found = np.argwhere(levels.is_beyond(values))[:400]
    for row, column in found:
        page.fill(Rect(rect.x + (column + 1) * w - side, rect.y + row * h, side, side), colour)
    return len(found) > 0


def cell_numbers(values: Array, levels: Levels, rect: Rect, page: Page, shades: Array | None = None) -> None:
    """Write the number of each cell, if every number fits into its cell."""
    rows, columns = values.shape
    w, h = rect.w / columns, rect.h / rows
    if h < page.u(20) or w < page.u(36) or rows * columns > 900:
        return
    texts = [[cell_text(float(v), share=not levels.diverging) for v in line] for line in values]
    size = 11.0
    widest = max((page.width(t, size=size) for line in texts for t in line), default=0)
    if widest > w - page.u(4):
        size = size * (w - page.u(4)) / widest
        if size < max(8, page.least):
            return
    table = page.theme.table(levels.diverging)
    fractions = np.nan_to_num(levels.fraction(values if shades is None else shades))
    for r, line in enumerate(texts):
        for c, text in enumerate(line):
            if not text:
                continue
            ground = "#{:02x}{:02x}{:02x}".format(*table[int(fractions[r, c] * 255)])
            page.words(rect.x + (c + 0.5) * w, rect.y + (r + 0.5) * h, text, size=size, on=ground, align="center")


def cell_words(
    texts: tuple[tuple[str, ...], ...], values: Array, levels: Levels, rect: Rect, page: Page, *, words: bool
) -> None:
    """Write texts over the cells: words shortened to the width of their cells, numbers only where they fit whole.

    A shortened number could be taken for another number. None are written if cells are too small for three letters, or
    too small for five and for most of the texts.
    """
    rows, columns = values.shape
    w, h = rect.w / columns, rect.h / rows
    size = min(12.0, 0.72 * h / page.scale)
    if size < max(8, page.least) or w < page.u(26):
        return
    smallest = max(8.0, page.least, _SMALLEST * size if words else 0)
    if w - page.u(4) < _LEAST_LETTERS * page.width("n", size=size, mono=True):
        whole = (w - page.u(4)) / page.width("n", size=smallest, mono=True)
        lengths = [len(text) for line in texts for text in line]
        if sum(length > whole for length in lengths) > len(lengths) / 2:
            return
    table = page.theme.table(levels.diverging)
    fractions = np.nan_to_num(levels.fraction(values))
    for r, line in enumerate(texts):
        for c, text in enumerate(line):
            ground = "#{:02x}{:02x}{:02x}".format(*table[int(fractions[r, c] * 255)])
            x, y, room = rect.x + (c + 0.5) * w, rect.y + (r + 0.5) * h, w - page.u(4)
            # A text that is slightly too long is made smaller before it is shortened.
            own = size * min(1.0, room / max(page.width(text, size=size, mono=True), 1e-6))
            # In the window, glyphs are fitted to pixels, so widths are not quite proportional to the type size.
            while own >= smallest and page.width(text, size=own, mono=True) > room:
                own -= _FINER
            if own < smallest:
                if not words:
                    continue
                own = size
            page.words(x, y, text, size=own, on=ground, mono=True, align="center", room=room + 0.01)


def label_step(count: int, length: float, page: Page, least: float = 11) -> int:
    """The smallest n for which every n-th of `count` labels along `length` fits without touching the next one."""
    return max(1, int(np.ceil(count * page.u(least) / max(length, 1))))


def labelled(count: int, step: int, chosen: int | None = None) -> list[int]:
    """Which of `count` labels are written: every `step`-th, and the chosen one instead of those too close to it."""
    found = [n for n in range(0, count, step) if chosen is None or abs(n - chosen) >= step]
    return sorted((*found, chosen)) if chosen is not None and 0 <= chosen < count else found


def row_labels(
    labels: tuple[str, ...],
    rect: Rect,
    page: Page,
    *,
    selected: int | None = None,
    fresh: int = 0,
    colour: str | None = None,
    first: int = 0,
    tokens: bool = True,
    least: float = 11,
) -> None:
    """Write labels right-aligned beside rows of equal height; the selected label is always written.

    If not every row has room for its label, those that are written are at least `least` units apart.

    If some labels are left out, the labels of `tokens` include their positions, which count from `first`.
    """
    height = rect.h / max(len(labels), 1)
    step = label_step(len(labels), rect.h, page)
    step = step if step == 1 else label_step(len(labels), rect.h, page, least)
    for n in labelled(len(labels), step, selected):
        text, chosen = labels[n], n == selected
        size = min(12, max(9, page.least, height / page.scale * 0.75)) if step == 1 else 10
        page.words(
            rect.x + rect.w - page.u(6),
            rect.y + (n + 0.5) * height,
            label_words(text, first + n, step if tokens else 1, rect.w - page.u(8), page, size),
            size=size,
            colour=page.theme.accent if chosen else (colour or page.theme.ink),
            mono=True,
            bold=chosen,
            align="right",
            room=rect.w - page.u(8),
        )
    if fresh and len(labels) > fresh:
        # A bar in the accent colour beside rows that were computed, a grey one beside rows from the cache.
        x = rect.x + rect.w - page.u(2)
        edge = rect.y + (len(labels) - fresh) * height
        page.fill(Rect(x, rect.y, page.u(2), edge - rect.y - page.u(1)), mix(page.theme.faint, page.theme.panel, 0.5))
        page.fill(Rect(x, edge, page.u(2), rect.y + rect.h - edge), page.theme.accent)


def label_words(text: str, n: int, step: int, room: float, page: Page, size: float) -> str:
    """A token's label; if other labels are left out, it includes the token's position, which is never shortened."""
    if step == 1:
        return text
    number = f" {n}"
    return page.shorten(text, room - page.width(number, size=size, mono=True), size=size, mono=True) + number


def labels_width(
    labels: tuple[str, ...], length: float, most: float, page: Page, size: float = 12, *, tokens: bool = True
) -> float:
    """The width of the widest of `labels` along a side of `length`, at most `most`; `tokens` may include positions."""
    widest = max((page.width(t, size=size, mono=True) for t in longest(labels)), default=0)
    if tokens and label_step(len(labels), length, page) > 1:
        widest += page.width(f" {len(labels)}", size=10, mono=True)
    return min(most, widest + page.u(10))


@lru_cache(maxsize=16)
def longest(labels: tuple[str, ...]) -> list[str]:
    """The 24 labels with the most characters; the widest is taken to be one of them."""
    return sorted(labels, key=len, reverse=True)[:24]
