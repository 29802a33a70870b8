"""Marks on a QPainter: the screen's counterpart of figures.draw."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPen, QPolygonF

from desktop_app.figures.fonts_table import BASELINE
from desktop_app.figures.marks import Dots, Fill, Heat, Mark, Path, Rect, Words, reaches
from desktop_app.ui import fonts

pg.setConfigOptions(imageAxisOrder="row-major")


def rectangle(rect: Rect) -> QRectF:
    """A place as Qt's own."""
    return QRectF(rect.x, rect.y, rect.w, rect.h)


@lru_cache(maxsize=256)
def _pen(colour: str, width: float = 1) -> QPen:
    return QPen(QColor(colour), width)


@lru_cache(maxsize=256)
def _brush(colour: str) -> QBrush:
    return QBrush(QColor(colour))


def draw_marks(painter: QPainter, marks: Sequence[Mark], top: float = -math.inf, bottom: float = math.inf) -> None:
    """Draw marks in their order, of which at least those that reach between two heights will be seen."""
    for mark in marks:
        if not reaches(mark, top, bottom):
            continue
        if isinstance(mark, Words):
            _words(painter, mark)
        elif isinstance(mark, Fill):
            _fill(painter, mark)
        elif isinstance(mark, Heat):
            _heat(painter, mark)
        elif isinstance(mark, Path):
            _path(painter, mark)
        elif isinstance(mark, Dots):
            _dots(painter, mark)


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
    # Crisp edges for boxes, smooth ones for round corners.
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, rounded or bool(mark.stroke))
    if rounded:
        painter.drawRoundedRect(box, mark.radius, mark.radius)
    else:
        painter.drawRect(box)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)


def _path(painter: QPainter, mark: Path) -> None:
    # Lines end where they end, as in files: a thick one is no longer for being thick.
    pen = QPen(QColor(mark.colour), mark.width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap)
    if mark.dashed:
        pen.setDashPattern([4, 3])
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    there = ~np.isnan(mark.y)
    if not (there[2:] & there[1:-1] & there[:-2]).any():
        # Lines of two points each, as from a number to the one it becomes: hundreds of them in one call.
        pairs = np.flatnonzero(there[:-1] & there[1:])[:, None] + (0, 1)
        painter.drawPath(pg.arrayToQPath(mark.x[pairs].ravel(), mark.y[pairs].ravel(), connect="pairs"))
        return
    breaks = np.flatnonzero(~there)
    for part in np.split(np.arange(len(mark.x)), breaks):
        kept = part[~np.isnan(mark.y[part])]
        if len(kept) > 1:
            painter.drawPolyline(_polygon(mark.x[kept], mark.y[kept]))


def _dots(painter: QPainter, mark: Dots) -> None:
    # Points drawn with a round pen: thousands of neurons in one call.
    painter.setPen(QPen(QColor(mark.colour), 2 * mark.radius, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    # Colours are opaque, so of those that fall on one quarter of a pixel one is enough.
    at = np.unique(np.rint(4 * mark.x) + 1j * np.rint(4 * mark.y)) / 4
    painter.drawPoints(_polygon(at.real, at.imag))


def _polygon(x: NDArray[Any], y: NDArray[Any]) -> QPolygonF:
    return pg.functions.arrayToQPolygonF(np.asarray(x, np.float64), np.asarray(y, np.float64))


def heat_image(mark: Heat) -> QImage:
    """The cells as a picture, one pixel a cell; cells that are not there are transparent."""
    fractions = np.ascontiguousarray(mark.fractions, np.float32)
    gone = np.isnan(fractions)
    table = np.asarray(mark.table, np.uint32)
    colours = 0xFF000000 | table[:, 0] << 16 | table[:, 1] << 8 | table[:, 2]
    pixels = colours.take((np.where(gone, 0, fractions) * np.float32(255)).astype(np.uint8))
    pixels[gone] = 0
    # Of the formats with transparency this is the one that Qt enlarges without converting each pixel of the screen.
    rows, columns = fractions.shape
    return QImage(pixels.data, columns, rows, QImage.Format.Format_ARGB32_Premultiplied).copy()


def _heat(painter: QPainter, mark: Heat) -> None:
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
    painter.drawImage(rectangle(mark.rect), heat_image(mark))
