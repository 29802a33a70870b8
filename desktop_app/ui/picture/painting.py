"""Draws marks with a QPainter; figures.draw does the same for files."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPen, QPolygonF

from desktop_app.figures.fonts_table import BASELINE
from desktop_app.figures.marks import Dots, Fill, Heat, Mark, Path, Picture, Rect, Words, reaches
from desktop_app.ui import fonts

_MANY = 1500  # from this number of discs on, they are painted into an image

pg.setConfigOptions(imageAxisOrder="row-major")


def rectangle(rect: Rect) -> QRectF:
    """A rectangle of the page as a Qt rectangle."""
    return QRectF(rect.x, rect.y, rect.w, rect.h)


@lru_cache(maxsize=256)
def _pen(colour: str, width: float = 1) -> QPen:
    return QPen(QColor(colour), width)


@lru_cache(maxsize=256)
def _brush(colour: str) -> QBrush:
    return QBrush(QColor(colour))


def draw_marks(painter: QPainter, marks: Sequence[Mark], top: float = -math.inf, bottom: float = math.inf) -> None:
    """Draw marks in order; marks outside the heights `top` to `bottom` may be left out."""
    for mark in marks:
        if not reaches(mark, top, bottom):
            continue
        _PAINTERS[type(mark)](painter, mark)


def _words(painter: QPainter, mark: Words) -> None:
    painter.setFont(fonts.font(mark.size, mark.mono, mark.bold))
    painter.setPen(_pen(mark.colour))
    shift = 0.0
    if mark.align != "left":
        width = fonts.measure(mark.text, mark.size, mono=mark.mono, bold=mark.bold)
        shift = -width if mark.align == "right" else -width / 2
    if not mark.angle:
        painter.drawText(QPointF(mark.x + shift, mark.y + BASELINE * mark.size), mark.text)
        return
    painter.save()
    painter.translate(mark.x, mark.y)
    painter.rotate(-mark.angle)
    painter.drawText(QPointF(shift, BASELINE * mark.size), mark.text)
    painter.restore()


def _fill(painter: QPainter, mark: Fill) -> None:
    box = rectangle(mark.rect)
    painter.setBrush(_brush(mark.fill) if mark.fill else Qt.BrushStyle.NoBrush)
    if mark.stroke:
        painter.setPen(_pen(mark.stroke, mark.width))
    else:
        painter.setPen(Qt.PenStyle.NoPen)
    rounded = mark.radius > 0.5
    # Boxes with neither an outline nor round corners get crisp edges.
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, rounded or bool(mark.stroke))
    if rounded:
        painter.drawRoundedRect(box, mark.radius, mark.radius)
    else:
        painter.drawRect(box)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)


def _path(painter: QPainter, mark: Path) -> None:
    # Flat caps, as in files: a thick line is no longer than a thin one.
    pen = QPen(QColor(mark.colour), mark.width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap)
    if mark.dashed:
        pen.setDashPattern([4, 3])
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    there = ~np.isnan(mark.y)
    if not (there[2:] & there[1:-1] & there[:-2]).any():
        # Lines of two points each, as from a number to its successor: hundreds of them in one call.
        pairs = np.flatnonzero(there[:-1] & there[1:])[:, None] + (0, 1)
        painter.drawPath(pg.arrayToQPath(mark.x[pairs].ravel(), mark.y[pairs].ravel(), connect="pairs"))
        return
    breaks = np.flatnonzero(~there)
    for part in np.split(np.arange(len(mark.x)), breaks):
        kept = part[~np.isnan(mark.y[part])]
        if len(kept) > 1:
            painter.drawPolyline(_polygon(mark.x[kept], mark.y[kept]))


def _dots(painter: QPainter, mark: Dots) -> None:
    if len(mark.x) > _MANY:
        low = np.floor([mark.x.min(), mark.y.min()]) - 4
        box = QRectF(*low, *(np.ceil([mark.x.max(), mark.y.max()]) + 4 - low))
        stamp_dots(painter, box, mark.x, mark.y, np.zeros(len(mark.x), int), (mark.colour,), mark.radius)
        return
    # Points drawn with a round pen: thousands of neurons in one call.
    painter.setPen(QPen(QColor(mark.colour), 2 * mark.radius, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    # Colours are opaque, so one of the points that round to the same quarter pixel is enough.
    at = np.unique(np.rint(4 * mark.x) + 1j * np.rint(4 * mark.y)) / 4
    painter.drawPoints(_polygon(at.real, at.imag))


def stamp_dots(
    painter: QPainter, box: QRectF, x: NDArray[Any], y: NDArray[Any], kind: NDArray[Any], colours: Sequence[str],
    radius: float,
) -> None:  # fmt: skip
    """Draw tens of thousands of discs at once, only inside `box`: their pixels are written into an image.

    `kind` [point] is an index into `colours`. Qt needs 95 ms for 50,257 round points, pyqtgraph's scatter 35 ms
    (29 frames a second), this 7 ms.
    """
    ratio = painter.device().devicePixelRatioF()
    width, height = max(1, math.ceil(box.width() * ratio)), max(1, math.ceil(box.height() * ratio))
    reach = math.ceil(radius * ratio)
    # With a margin all around, a disc at the edge is clipped without a check for each pixel.
    pixels = np.zeros((height + 2 * reach, width + 2 * reach), np.uint32)
    across, down = np.rint((x - box.x()) * ratio - 0.5), np.rint((y - box.y()) * ratio - 0.5)
    there = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    row = pixels.shape[1]
    at = (down[there].astype(np.int64) + reach) * row + across[there].astype(np.int64) + reach
    flat, own = pixels.reshape(-1), kind[there]
    step = np.arange(-reach, reach + 1)
    cover = np.clip(radius * ratio + 0.5 - np.hypot(step[:, None], step[None]), 0, 1)
    # The faint rims first, so that no disc overwrites the middle of another.
    for j, i in sorted(np.ndindex(*cover.shape), key=lambda place: float(cover[place])):
        if cover[j, i] > 0:
            table = np.array([_premultiplied(colour, float(cover[j, i])) for colour in colours], np.uint32)
            flat[at + (step[j] * row + step[i])] = table[own]
    inner = np.ascontiguousarray(pixels[reach : reach + height, reach : reach + width])
    image = QImage(inner.data, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied)
    painter.drawImage(QRectF(box.x(), box.y(), width / ratio, height / ratio), image)


def _premultiplied(colour: str, cover: float) -> int:
    """A colour that partly covers a pixel, in the image's format."""
    rgb = QColor(colour)
    alpha = round(255 * cover)
    red, green, blue = (part * alpha // 255 for part in (rgb.red(), rgb.green(), rgb.blue()))
    return alpha << 24 | red << 16 | green << 8 | blue


def _polygon(x: NDArray[Any], y: NDArray[Any]) -> QPolygonF:
    return pg.functions.arrayToQPolygonF(np.asarray(x, np.float64), np.asarray(y, np.float64))


def packed_image(pixels: NDArray[np.uint32]) -> QImage:
    """Pixels 0xAARRGGBB, opaque or fully transparent, as an image."""
    rows, columns = pixels.shape
    whole = np.ascontiguousarray(pixels)
    return QImage(whole.data, columns, rows, 4 * columns, QImage.Format.Format_ARGB32_Premultiplied).copy()


def heat_image(mark: Heat) -> QImage:
    """The cells as an image, one pixel per cell; missing cells are transparent."""
    fractions = np.ascontiguousarray(mark.fractions, np.float32)
    gone = np.isnan(fractions)
    table = np.asarray(mark.table, np.uint32)
    colours = 0xFF000000 | table[:, 0] << 16 | table[:, 1] << 8 | table[:, 2]
    pixels = colours.take((np.where(gone, 0, fractions) * np.float32(255)).astype(np.uint8))
    pixels[gone] = 0
    # Of the formats with transparency, this is the one that Qt scales up without converting each screen pixel.
    rows, columns = fractions.shape
    return QImage(pixels.data, columns, rows, QImage.Format.Format_ARGB32_Premultiplied).copy()


def _picture(painter: QPainter, mark: Picture) -> None:
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
    painter.drawImage(rectangle(mark.rect), packed_image(mark.pixels))


def _heat(painter: QPainter, mark: Heat) -> None:
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
    painter.drawImage(rectangle(mark.rect), heat_image(mark))


_PAINTERS: dict[type[Mark], Callable[[QPainter, Any], None]] = {
    Words: _words,
    Fill: _fill,
    Heat: _heat,
    Picture: _picture,
    Path: _path,
    Dots: _dots,
}
"""Kind of mark -> how it is drawn."""
