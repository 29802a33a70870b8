"""Paints all tensors of a pass on one sheet: backgrounds below the pictures, and above them the labels that fit.

A window shows any part of the sheet and draws the pictures as tiles. A figure shows all of it, in one picture.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from desktop_app.core.levels import Levels, cell_text
from desktop_app.core.panels import Array, Hue, SheetPanel
from desktop_app.core.sheet.camera import framed
from desktop_app.core.sheet.layout import Box, Card, Plate, Sheet, roads
from desktop_app.figures.marks import Page, Picture, Rect
from desktop_app.figures.paint_common import LEGEND, heading, heading_height, legend
from desktop_app.figures.sheet_tiles import compose, pooled_phrase, units_for
from desktop_app.figures.theme import mix
from desktop_app.gpt2.phrase import Count, Phrase

_MOST_PIXELS = 36_000_000  # the maximum number of pixels of a figure's picture; A0 at 150 dpi has 35 million
_LEAST_WORD, _LEAST_ROW, _LEAST_INDEX = 9.0, 9.0, 26.0  # design units: labels with less space than this are left out
_NAMES, _REMARK = 14.0, 13.0  # design units: the line above the colour bars, and a line below them
_WIDE = 420.0  # design units: in a narrower figure, the remarks take two lines
_NUMBER = (34.0, 15.0)  # the minimum width and height of a cell that shows its number, in design units
HERE = 32.0
"""The height of the strip above the blocks in which the label of the current step is, in design units."""
_NEAR = 0.9  # the maximum scale of labels on the sheet, whatever the scale of the page's text
# approximate width of a letter, as a fraction of its size; in every frame, hundreds of labels are tested for space
_EACH = 0.62
_UPWARDS = (("attn_out", "resid_mid"), ("mlp_out", "resid_post"))
_DOWNWARDS = (("resid_pre", "ln1.normalized"), ("ln1.normalized", "ln1.out"), ("ln2.normalized", "ln2.out"))


@dataclass(frozen=True)
class Shot:
    """Maps the part `view` of the sheet to the rectangle `rect` of the page."""

    view: Box
    rect: Rect

    @property
    def scale(self) -> float:
        """The number of units of the page per unit of the sheet."""
        return self.rect.w / self.view.w

    def place(self, box: Box) -> Rect:
        """The rectangle on the page of a box of the sheet."""
        s = self.scale
        return Rect(self.x(box.x), self.y(box.y), box.w * s, box.h * s)

    def x(self, x: float) -> float:
        """A horizontal position of the sheet in coordinates of the page."""
        return self.rect.x + (x - self.view.x) * self.scale

    def y(self, y: float) -> float:
        """A vertical position of the sheet in coordinates of the page."""
        return self.rect.y + (y - self.view.y) * self.scale

    def on_sheet(self, x: float, y: float) -> tuple[float, float]:
        """A point of the page in coordinates of the sheet."""
        return self.view.x + (x - self.rect.x) / self.scale, self.view.y + (y - self.rect.y) / self.scale


@dataclass(frozen=True)
class Numbers:
    """The values in a part of a plate (the picture of one tensor), whose cells have space for their numbers.

    `shades` are the numbers by which these cells are coloured.
    """

    rows: range
    columns: range
    values: Array
    shades: Array


def sheet_extent(panel: SheetPanel, width: float, page: Page) -> tuple[float, float]:
    """Minimum and preferred height; in a figure, the preferred one is that of the whole sheet at this width."""
    sheet = panel.sheet
    fixed = heading_height(panel) + _key_height(width / page.scale)
    if sheet is None:
        return fixed, fixed
    high = width / page.scale * sheet.height / sheet.width
    return (120.0, 400.0) if page.live else (fixed + min(high, 260.0), fixed + high)


def paint_sheet(panel: SheetPanel, rect: Rect, page: Page) -> None:
    """Paint the whole sheet; in a window, which shows and zooms the sheet itself, only its surroundings."""
    body = heading(panel, rect, page)
    if panel.sheet is None:
        return
    room = sheet_room(panel, rect, page)
    if not page.live:
        shot = Shot(framed(panel.sheet.box, room.w, room.h, 0.0), room)
        # shares the list of marks; labels of a poster are read at close range
        near = replace(page, scale=min(page.scale, _NEAR))
        paint_ground(panel.sheet, shot, near)
        said = _paint_picture(panel, shot, page)
        paint_words(panel, shot, near, {})
        high = page.u(_key_height(body.w / page.scale))
        paint_legend(panel, Rect(body.x, body.y + body.h - high, body.w, high), page, said)
    for n in panel.here:
        _answer(panel, n, room, page)


def _key_height(width: float) -> float:
    """The height of the scales below a sheet of this width, both in design units: one or two lines of remarks."""
    return _NAMES + LEGEND + (_REMARK if width >= _WIDE else 2 * _REMARK)


def paint_legend(panel: SheetPanel, rect: Rect, page: Page, pooled: str) -> None:
    """Paint two colour scales under the names of their tensors, with limits and the number of cells beyond them.

    The first is the scale of the current tensor or, if that is an attention pattern, of the residual stream. The second
    is that of patterns, unless all scales are centred on zero. Below, it says how many cells of all tensors are beyond
    the limits, and what a pixel represents.
    """
    values, sheet = panel.values, panel.sheet
    if values is None or sheet is None:
        return
    names = tuple(dict.fromkeys(plate.name for plate in sheet.plates if plate.axes > 1))
    patterns = tuple(name for name in names if not values.is_diverging(name))
    own = panel.tensor if values.is_diverging(panel.tensor) else "blocks.0.resid_pre"
    wide = rect.w * (0.6 if patterns else 1.0)
    scales: list[tuple[str, str, tuple[str, ...], float, float]] = [(own, own, (own,), rect.x, wide - page.u(16))]
    if patterns:
        scales.append((page.say(Phrase("patterns")), patterns[0], patterns, rect.x + wide, rect.w - wide))
    for title, name, counted, x, room in scales:
        page.words(x, rect.y + page.u(7), title, size=11, colour=page.theme.dim, room=room)
        place = Rect(x, rect.y + page.u(_NAMES), room, page.u(LEGEND))
        legend(values.levels(name), place, page, values.beyond(counted))
    total = values.beyond(names)
    remarks = [page.say(Phrase("{1} beyond in all", Count(total)))] if total else []
    remarks += [page.say(pooled)] if pooled else []
    lines = [" · ".join(remarks)] if rect.w / page.scale >= _WIDE else remarks
    for n, line in enumerate(lines):
        size = page.fitting(line, rect.w, (11, 10, 9, 8, 7))
        y = rect.y + page.u(_NAMES + LEGEND + (n + 0.5) * _REMARK)
        page.words(rect.x, y, line, size=size, colour=page.theme.dim, room=rect.w)


def _answer(panel: SheetPanel, n: int, room: Rect, page: Page) -> None:
    """In an exported figure, register the cells of plate `n`, so that values can be looked up by position."""
    if panel.sheet is None or panel.values is None or page.live or panel.values.units > 1:
        return
    plate = panel.sheet.plates[n]
    values = panel.values.cells(plate, range(plate.rows), range(plate.columns))
    place = Shot(framed(panel.sheet.box, room.w, room.h, 0.0), room).place(plate.box)
    page.put_cells(place, (plate.rows, plate.columns), values, plate.source, plate.label)


def sheet_room(panel: SheetPanel, rect: Rect, page: Page) -> Rect:
    """The sheet's rectangle within its panel."""
    return rect.inset(
        top=page.u(heading_height(panel)), bottom=0 if page.live else page.u(_key_height(rect.w / page.scale))
    )


def _paint_picture(panel: SheetPanel, shot: Shot, page: Page) -> str:
    """Paint all numbers as one picture; return what one of its pixels represents."""
    sheet = panel.sheet
    assert sheet is not None
    density = min(page.density, math.sqrt(_MOST_PIXELS / (shot.rect.w * shot.rect.h)))
    units = max(units_for(1 / (shot.scale * density)), 1 if panel.values is None else panel.values.units)
    size = -(-sheet.height // units), -(-sheet.width // units)
    pixels = compose(sheet, panel.values, page.theme, units, (0, 0), size)
    place = shot.place(Box(0, 0, size[1] * units, size[0] * units))
    page.marks.append(Picture(place, pixels))
    largest = max(sheet.plates, key=lambda p: p.columns)
    return pooled_phrase(largest, units)


def paint_ground(sheet: Sheet, shot: Shot, page: Page) -> None:
    """Paint what is below the pictures: each block's background, and the stream as a line through all blocks."""
    theme = page.theme
    for card in sheet.cards:
        place = _within(shot.place(card.box), shot.rect, page.u(12))
        if place is not None:
            page.fill(place, theme.panel, stroke=theme.line, radius=min(page.u(8), sheet.gap * shot.scale))
    width = min(max(0.35 * sheet.gap * shot.scale, page.u(1.2)), page.u(14))
    colour = mix(theme.hues[Hue.RESIDUAL], theme.panel, 0.45)
    for way in roads(sheet):
        x, y = (np.array([shot.x(p[0]) for p in way]), np.array([shot.y(p[1]) for p in way]))
        if x.max() < shot.rect.x or x.min() > shot.rect.x + shot.rect.w:
            continue
        far = page.u(40)  # lines of thousands of pixels are slow to draw, and their ends are not visible
        x = x.clip(shot.rect.x - far, shot.rect.x + shot.rect.w + far)
        if y.max() < shot.rect.y - far or y.min() > shot.rect.y + shot.rect.h + far:
            continue
        page.path(x, y.clip(shot.rect.y - far, shot.rect.y + shot.rect.h + far), colour, width / theme.stroke)


def _within(place: Rect, rect: Rect, margin: float) -> Rect | None:
    """A rectangle clipped to the visible one extended by `margin`; None if it is outside."""
    left, top = max(place.x, rect.x - margin), max(place.y, rect.y - margin)
    right = min(place.x + place.w, rect.x + rect.w + margin)
    low = min(place.y + place.h, rect.y + rect.h + margin)
    return Rect(left, top, right - left, low - top) if right > left and low > top else None


def paint_words(panel: SheetPanel, shot: Shot, page: Page, numbers: Mapping[int, Numbers]) -> None:
    """Paint what is above the pictures: names, tokens, indices and numbers, where there is space for them."""
    sheet = panel.sheet
    assert sheet is not None
    gap = sheet.gap * shot.scale
    for card in sheet.cards:
        if _within(shot.place(card.box), shot.rect, 0) is not None:
            _title(card, sheet, shot, page)
            if page.u(3) <= gap:
                _arrows(sheet, card, shot, page)
            if gap < page.u(_LEAST_WORD + 2):
                _operations(sheet, card, shot, page)
    close = gap >= page.u(_LEAST_WORD + 2)
    tall = sheet.plates[0].cell_h * shot.scale >= page.u(_LEAST_ROW)
    tokens = sheet.plates[0].box.h * shot.scale / max(1, sheet.positions) >= page.u(_LEAST_ROW)
    if not (close or tall or tokens):
        return
    for n in sheet.seen(shot.view):
        plate = sheet.plates[n]
        if close:
            _name(plate, shot, page, gap)
        scale = None if panel.values is None else panel.values.known(plate.name)
        if int(n) in numbers and scale is not None:
            _cells(plate, numbers[int(n)], scale.levels, shot, page)
        if tall:
            _rows(panel, plate, shot, page, gap)
            _columns(plate, shot, page, gap)


def _title(card: Card, sheet: Sheet, shot: Shot, page: Page) -> None:
    """Paint a block's name on the band above its pictures or, if that is too low, in the empty corner below them.

    In a corner that is too small for the name, it is the block's number.
    """
    place, band = shot.place(card.box), 2 * sheet.gap * shot.scale
    words = page.say(card.title)
    indent = sheet.gap * shot.scale
    if band >= page.u(14):
        size = min(18.0, 0.4 * band / page.scale)
        x = max(place.x + indent, shot.rect.x + page.u(8))
        if place.y + band > shot.rect.y + page.u(8):
            page.words(x, place.y + 0.28 * band, words, size=size, bold=True, room=place.x + place.w - x)
        return
    if card.layer is None:
        return
    first = [sheet.plates[n] for n in card.plates[:5]]
    low = max(shot.y(p.box.y + p.box.h) for p in first)
    free = place.y + place.h - low
    room = (first[0].box.w + 4 * sheet.gap) * shot.scale
    for name in (words, str(card.layer)):
        size = min(15.0, 0.62 * free / page.scale, room / (len(name) * _EACH) / page.scale)
        if size >= _LEAST_WORD - 2:
            page.words(place.x + indent, low + free / 2, name, size=size, bold=True)
            return


def _operations(sheet: Sheet, card: Card, shot: Shot, page: Page) -> None:
    """Write the operations above their columns of heads while the pictures have no space for names."""
    if not card.lanes:
        return
    high = sheet.plates[card.plates[0]].box.h * shot.scale
    if high < page.u(_LEAST_WORD + 3):
        return
    tops = [box.y for _, box in card.lanes]
    for n in card.plates:
        plate = sheet.plates[n]
        if plate.head is None or plate.y != tops[0]:
            continue
        place = shot.place(plate.box)
        if _fits(plate.label, 10, place.w + sheet.gap * shot.scale, page):
            colour = page.theme.hues[plate.hue]
            page.words(place.x + place.w / 2, place.y - page.u(7), plate.label, size=10, colour=colour, align="center")


def _arrows(sheet: Sheet, card: Card, shot: Shot, page: Page) -> None:
    """Draw which pictures write to the residual stream and which read it, as short arrows between stacked pictures."""
    places = {
        sheet.plates[n].label: shot.place(sheet.plates[n].box) for n in card.plates if sheet.plates[n].head is None
    }
    colour = mix(page.theme.hues[Hue.RESIDUAL], page.theme.panel, 0.8)
    for pairs, sign in ((_UPWARDS, 1), (_DOWNWARDS, -1)):
        for one, other in pairs:
            if one not in places or other not in places:
                continue
            upper, lower = (other, one) if sign > 0 else (one, other)
            x = places[upper].x + 0.8 * places[upper].w
            top, low = places[upper].y + places[upper].h, places[lower].y
            if not (shot.rect.x < x < shot.rect.x + shot.rect.w and shot.rect.y - 99 < top < shot.rect.y + shot.rect.h):
                continue
            head = min(page.u(3), (low - top) / 3)
            tip, tail = (top + 1, low - 1) if sign > 0 else (low - 1, top + 1)
            away = head if sign > 0 else -head
            page.path([x, x, np.nan, x - head, x, x + head], [tail, tip, np.nan, tip + away, tip, tip + away], colour)


def _fits(words: str, size: float, room: float, page: Page) -> bool:
    return len(words) * size * _EACH * page.scale <= room


def _name(plate: Plate, shot: Shot, page: Page, gap: float) -> None:
    """Write a picture's name in the gap above it, or above its visible part if the picture extends beyond the view."""
    place = shot.place(plate.box)
    size = min(13.0, 0.62 * gap / page.scale)
    x, y = max(place.x, shot.rect.x + page.u(6)), place.y - 0.42 * gap
    words = plate.label if plate.head is None else f"H{plate.head} {plate.label}"
    room = place.x + place.w + (gap if plate.head is None or plate.label == "z" else 0.9 * gap) - x
    if not _fits(words, size, room, page):
        words = plate.label
    if y > shot.rect.y and _fits(words, size, room, page):
        page.words(x, y, words, size=size, colour=page.theme.hues[plate.hue], mono=True)


def _rows(panel: SheetPanel, plate: Plate, shot: Shot, page: Page, gap: float) -> None:
    """Write the tokens beside their rows: in the gap to the left, or over the left edge of the visible part."""
    place, high = shot.place(plate.box), plate.cell_h * shot.scale
    beside = place.x > shot.rect.x + page.u(30)
    right = place.x - page.u(4) if beside else shot.rect.x + page.u(8)
    if beside and (gap < page.u(36) or plate.axes == 1):
        return
    if not beside and place.x + place.w < shot.rect.x + page.u(90):
        return
    first = max(0, int((shot.rect.y - place.y) / high))
    last = min(plate.rows, int((shot.rect.y + shot.rect.h - place.y) / high) + 1)
    size = min(13.0, max(_LEAST_WORD, 0.7 * high / page.scale))
    for row in range(first, last):
        y = place.y + (row + 0.5) * high
        chosen = row == panel.token
        words = panel.labels[row] if row < len(panel.labels) else ""
        room = gap - page.u(10) if beside else page.u(90)
        words = page.shorten(words, room, size=size, mono=True)
        colour = page.theme.accent if chosen else page.theme.ink
        if beside:
            page.words(right, y, words, size=size, mono=True, bold=chosen, colour=colour, align="right")
        else:
            wide = page.width(words, size=size, mono=True, bold=chosen) + page.u(10)
            page.fill(Rect(right - page.u(5), y - page.u(size * 0.75), wide, page.u(size * 1.5)), page.theme.panel)
            page.words(right, y, words, size=size, mono=True, bold=chosen, colour=colour)


def _columns(plate: Plate, shot: Shot, page: Page, gap: float) -> None:
    """Write the indices of columns above them, as many as fit."""
    wide = plate.cell_w * shot.scale
    if plate.columns < 2 or wide < page.u(4):
        return
    step = 1
    while step * wide < page.u(_LEAST_INDEX):
        step *= 2
    place = shot.place(plate.box)
    over = place.y > shot.rect.y + page.u(14)
    if over and gap < page.u(26):
        return
    y = place.y - page.u(7) if over else shot.rect.y + page.u(10)
    if over and gap < page.u(40):
        return
    first = max(0, int((shot.rect.x - place.x) / wide))
    last = min(plate.columns, int((shot.rect.x + shot.rect.w - place.x) / wide) + 1)
    for column in range(first - first % step, last, step):
        if column >= first:
            x = place.x + (column + 0.5) * wide
            if not over:
                page.fill(Rect(x - page.u(13), y - page.u(7), page.u(26), page.u(14)), page.theme.panel)
            page.words(x, y, str(plate.first + column), size=9, colour=page.theme.dim, align="center")


def wants_numbers(plate: Plate, scale: float, page_scale: float = 1.0) -> bool:
    """Whether a plate's cells have space for their numbers at `scale` units of the page per unit of the sheet."""
    wide, high = plate.cell_w * scale / page_scale, plate.cell_h * scale / page_scale
    return plate.axes == 2 and wide >= _NUMBER[0] and high >= _NUMBER[1]


def _cells(plate: Plate, numbers: Numbers, levels: Levels, shot: Shot, page: Page) -> None:
    """Write each cell's number."""
    if not wants_numbers(plate, shot.scale, page.scale):
        return
    table = page.theme.table(levels.diverging)
    fractions = np.nan_to_num(levels.fraction(numbers.shades))
    wide = plate.cell_w * shot.scale
    texts = [[cell_text(float(v), share=not levels.diverging) for v in line] for line in numbers.values]
    longest = max((len(text) for line in texts for text in line), default=0)
    size = min(16.0, wide / page.scale / max(4, longest) * 1.5)
    for r, row in enumerate(numbers.rows):
        for c, column in enumerate(numbers.columns):
            text = texts[r][c]
            if not text:
                continue
            place = shot.place(plate.cell_box(row, column))
            ground = "#{:02x}{:02x}{:02x}".format(*table[int(fractions[r, c] * 255)])
            page.words(place.x + place.w / 2, place.y + place.h / 2, text, size=size, on=ground, align="center")


def paint_here(panel: SheetPanel, shot: Shot, page: Page) -> None:
    """Mark the current step: a frame around its pictures, the selected token's row, and a label that points to them."""
    sheet = panel.sheet
    if sheet is None or not panel.here:
        return
    theme = page.theme
    around = shot.place(sheet.around(panel.here))
    for n in panel.here[:200]:
        plate = sheet.plates[n]
        place = _within(shot.place(plate.box), shot.rect, page.u(20))
        if place is None:
            continue
        grown = Rect(place.x - page.u(2), place.y - page.u(2), place.w + page.u(4), place.h + page.u(4))
        page.fill(grown, stroke=theme.accent, width=page.u(2))
        row = plate.cell_box(min(panel.token, plate.rows - 1), 0)
        line = _within(shot.place(Box(row.x, row.y, plate.box.w, row.h)), shot.rect, page.u(20))
        if line is not None and line.h >= page.u(3):
            page.fill(line, stroke=theme.accent, width=page.u(1))
    if around.w > 0.4 * shot.rect.w or around.h > 0.4 * shot.rect.h:
        return  # the step fills the view, so it needs no label
    words = page.say(Phrase("you are here: {1}", panel.place))
    if page.width(words, size=12, bold=True) + page.u(28) > shot.rect.w:  # one of several sheets side by side
        words = page.say(panel.place)
    card = sheet.card_of(panel.here[0])
    # Beside the first and last pictures, which are in no block, there is room.
    near = (around,) if card.layer is not None else (around, shot.place(card.box))
    wide, high = page.width(words, size=12, bold=True) + page.u(20), page.u(HERE - 8)
    above = () if card is sheet.cards[-1] else _above_blocks(around, wide, high, sheet, shot, page)
    pill = _beside(near, wide, high, sheet, shot, page, above)
    page.fill(pill, theme.accent_fill, stroke=theme.accent, radius=page.u(12))
    page.words(pill.x + page.u(10), pill.y + pill.h / 2, words, size=12, bold=True)


def _above_blocks(near: Rect, wide: float, high: float, sheet: Sheet, shot: Shot, page: Page) -> tuple[Rect, ...]:
    """The place of a label above all blocks, beside the inputs and as near to `near` as that allows, if it is visible.

    Between the pictures of the blocks is no space for it when all of the sheet is shown.
    """
    room, edge, inputs = shot.rect, page.u(4), sheet.cards[0]
    left = shot.x(max(sheet.boxes[n, 2] for n in inputs.plates)) + page.u(8)
    right, y = room.x + room.w - wide - edge, shot.y(sheet.blocks_from) - high - page.u(2)
    if y < room.y + page.u(2) or left > right:
        return ()
    return (Rect(min(max(near.x + near.w / 2 - wide / 2, left), right), y, wide, high),)


def _beside(
    near: tuple[Rect, ...], wide: float, high: float, sheet: Sheet, shot: Shot, page: Page, before: tuple[Rect, ...]
) -> Rect:
    """The visible place of a label: in one of `before`, or else above, beside or below one of `near`.

    It is where it covers the least of the pictures, and it covers the first of `near`, the pictures that it names, only
    if there is no other place.
    """
    gap, edge, room = page.u(8), page.u(4), shot.rect
    places = [
        place
        for box in near
        for place in (
            (box.x + box.w / 2 - wide / 2, box.y - high - gap),
            (box.x + box.w + gap, box.y + box.h / 2 - high / 2),
            (box.x - wide - gap, box.y + box.h / 2 - high / 2),
            (box.x + box.w / 2 - wide / 2, box.y + box.h + gap),
        )
    ]
    inside = [
        Rect(
            min(max(x, room.x + edge), room.x + room.w - wide - edge),
            min(max(y, room.y + edge), room.y + room.h - high - edge),
            wide,
            high,
        )
        for x, y in places
    ]

    def covered(label: Rect) -> tuple[bool, float]:
        """Whether the label covers what it names, and the area of pictures that it covers."""
        own = near[0]
        named = (
            label.x < own.x + own.w and label.x + wide > own.x and label.y < own.y + own.h and label.y + high > own.y
        )
        (x, y), w, h = shot.on_sheet(label.x, label.y), label.w / shot.scale, label.h / shot.scale
        left, top, right, low = sheet.boxes[sheet.seen(Box(x, y, w, h))].T
        across, down = np.minimum(right, x + w) - np.maximum(left, x), np.minimum(low, y + h) - np.maximum(top, y)
        return named, float((across * down).sum())

    return min((*before, *inside), key=covered)
