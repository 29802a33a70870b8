"""Pixels of parts of the sheet, for the tiles in a window and for the picture in a figure."""

import math

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.sheet.layout import Box, Plate, Sheet
from desktop_app.core.sheet.pooling import factors
from desktop_app.core.sheet.values import Check, SheetValues
from desktop_app.figures.theme import Theme, rgb
from desktop_app.gpt2.phrase import Phrase

TILE = 256  # pixels of a side of a tile
Pixels = NDArray[np.uint32]
"""[row, column], each 0xAARRGGBB; 0 where there is nothing."""


def units_for(per_pixel: float) -> int:
    """How many units of the sheet one pixel of a picture covers, where a screen pixel covers `per_pixel` units.

    It is the next power of two, so that a pixel of the picture covers at least one screen pixel and none is skipped
    when the picture is drawn; at one unit and below, cells are drawn enlarged.
    """
    return int(2 ** max(0, math.ceil(math.log2(max(per_pixel, 1e-9)) - 1e-9)))


def tile_box(units: int, column: int, row: int) -> Box:
    """The part of the sheet that a tile shows."""
    side = TILE * units
    return Box(column * side, row * side, side, side)


def compose(
    sheet: Sheet,
    values: SheetValues | None,
    theme: Theme,
    units: int,
    origin: tuple[int, int],
    size: tuple[int, int],
    check: Check = lambda: None,
) -> Pixels:
    """The pixels of `size` (rows, columns) from `origin` (row, column) on, with `units` of the sheet for each pixel.

    Without values every picture has the colour of missing cells. `check` is called between steps, and may raise to
    abort. Raises ModelError as reading the pass does.
    """
    picture = np.zeros(size, np.uint32)
    top, left = origin
    for n in sheet.seen(Box(left * units, top * units, size[1] * units, size[0] * units)):
        _plate(picture, sheet.plates[n], values, theme, units, origin, check)
    return picture


def _plate(
    picture: Pixels,
    plate: Plate,
    values: SheetValues | None,
    theme: Theme,
    units: int,
    origin: tuple[int, int],
    check: Check,
) -> None:
    by_row, by_column = factors(plate, units)
    cells = math.ceil(plate.rows / by_row), math.ceil(plate.columns / by_column)
    again = max(1, plate.cell_h // units), max(1, plate.cell_w // units)  # rows and columns of pixels of a pooled cell
    begin = plate.y // units - origin[0], plate.x // units - origin[1]
    seen = [
        (max(0, -at), min(count * each, room - at))
        for at, count, each, room in zip(begin, cells, again, picture.shape, strict=True)
    ]
    if seen[0][0] >= seen[0][1] or seen[1][0] >= seen[1][1]:
        return
    rows, columns = (np.arange(*span) // each for span, each in zip(seen, again, strict=True))
    there = slice(begin[0] + seen[0][0], begin[0] + seen[0][1]), slice(begin[1] + seen[1][0], begin[1] + seen[1][1])
    if plate.axes == 1:
        picture[there] = _packed(theme.accent_fill)  # ids are names, not quantities
        return
    if values is None:
        picture[there] = _packed(theme.void)
        return
    levels = values.scale(plate.name, check).levels
    pooled = values.pooled(plate, units, range(rows[0], rows[-1] + 1), check)
    coloured = shaded(pooled[:, columns[0] : columns[-1] + 1], levels.fraction, theme, diverging=levels.diverging)
    picture[there] = coloured[np.ix_(rows - rows[0], columns - columns[0])]


def shaded(values: NDArray[np.float32], fraction: object, theme: Theme, *, diverging: bool) -> Pixels:
    """The colours of cells; missing ones have the theme's `void` colour."""
    assert callable(fraction)
    at = fraction(values)
    gone = np.isnan(at)
    table = theme.table(diverging).astype(np.uint32)
    colours = (0xFF000000 | table[:, 0] << 16 | table[:, 1] << 8 | table[:, 2]).astype(np.uint32)
    found: Pixels = colours.take((np.where(gone, 0, at) * 255).astype(np.uint8))
    found[gone] = _packed(theme.void)
    return found


def _packed(colour: str) -> int:
    red, green, blue = rgb(colour)
    return 0xFF000000 | red << 16 | green << 8 | blue


def pooled_phrase(plate: Plate, units: int, *, brief: bool = False) -> str:
    """What a pixel of a plate represents, where that is more than one cell; if `brief`, only how many."""
    rows, columns = factors(plate, units)
    rows, columns = min(rows, plate.rows), min(columns, plate.columns)
    if rows * columns == 1:
        return ""
    key = "one pixel = {1} × {2}" if brief else "one pixel = {1} × {2}, strongest shown, with its sign"
    return Phrase(key, rows, columns)
