"""A plane of points while it is dragged and zoomed: redrawn for each frame, laid out again when it comes to rest."""

import math
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter

from desktop_app.figures.marks import Dots, Mark, Movable, Words
from desktop_app.ui.picture.painting import draw_marks, rectangle, stamp_dots

LEAST = 1 / 4000
"""The smallest part of the plane that can be shown, as a fraction of its width."""


class MovingMap:
    """A movable part (`window`) of a plane of points; `place` is the plane's last layout."""

    def __init__(self, place: Movable) -> None:
        self.place = place
        self.window = place.window
        self._box = rectangle(place.box)

    @property
    def box(self) -> QRectF:
        """The plane's rectangle on the page."""
        return self._box

    def pan(self, by: QPointF) -> None:
        """Move the content with the pointer."""
        x0, y0, x1, y1 = self.window
        across, down = -by.x() / self._inner(0) * (x1 - x0), by.y() / self._inner(1) * (y1 - y0)
        self.window = _inside(x0 + across, y0 + down, x1 + across, y1 + down)

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Enlarge by `factor` around a fixed point of the page, or around the centre."""
        at = self._box.center() if at is None else at
        x0, y0, x1, y1 = self.window
        middle = self._box.center()
        u = 0.5 + (at.x() - middle.x()) / self._inner(0)
        v = 0.5 - (at.y() - middle.y()) / self._inner(1)
        # The same factor along both axes, limited by the longer one.
        factor = min(factor, max(x1 - x0, y1 - y0) / LEAST)
        px, py = x0 + u * (x1 - x0), y0 + v * (y1 - y0)
        self.window = _inside(
            px - (px - x0) / factor, py - (py - y0) / factor, px + (x1 - px) / factor, py + (y1 - py) / factor
        )

    def _inner(self, axis: int) -> float:
        """The length along x or y on the page in which the visible part is drawn: the box without its margin."""
        return max(1.0, self.place.inner[axis])

    def placed(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The points' positions on the page for the visible part, x and y [point]."""
        found = []
        for axis, points in enumerate((self.place.x, self.place.y)):
            middle = (self._box.center().x(), self._box.center().y())[axis]
            was = (self.place.window[axis], self.place.window[axis + 2])
            now = (self.window[axis], self.window[axis + 2])
            size, sign = self._inner(axis), 1 - 2 * axis
            shift = sign * ((was[0] + was[1]) - (now[0] + now[1])) / 2 / (now[1] - now[0]) * size
            found.append(middle + (points - middle) * ((was[1] - was[0]) / (now[1] - now[0])) + shift)
        return found[0], found[1]

    def draw(self, painter: QPainter, background: str, line: str) -> None:
        """Draw the points, and the labels of the last layout, each at its point."""
        place = self.place
        x, y = self.placed()
        painter.save()
        painter.setClipRect(self._box)
        painter.fillRect(self._box, QColor(background))
        stamp_dots(painter, self._box, x, y, place.kind, place.colours, place.radius)
        moved: list[Mark] = []
        for n, mark in place.along:
            across, down = float(x[n] - place.x[n]), float(y[n] - place.y[n])
            if isinstance(mark, Words):
                moved.append(replace(mark, x=mark.x + across, y=mark.y + down))
            else:
                moved.append(Dots(mark.x + across, mark.y + down, mark.colour, mark.radius))
        draw_marks(painter, moved)
        painter.setPen(QColor(line))
        painter.drawRect(self._box.adjusted(0, 0, -1, -1))
        painter.restore()


def _inside(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
    """A part of that size, moved so that it lies inside the whole plane."""
    w, h = min(1.0, x1 - x0), min(1.0, y1 - y0)
    left, low = min(max(x0, 0.0), 1 - w), min(max(y0, 0.0), 1 - h)
    return left, low, min(1.0, left + w), min(1.0, low + h)


def steps(degrees: int) -> float:
    """The zoom factor for a turn of the wheel; `degrees` counts eighths of a degree."""
    return math.pow(1.25, degrees / 120)
