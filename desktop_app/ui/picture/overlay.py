"""What is drawn over a picture: highlighted cells, the cell under the pointer with its words, the spotlight."""

from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QTransform

from desktop_app.core.opening.cells import Region
from desktop_app.core.opening.describe import Readout
from desktop_app.figures.marks import Cells, Page, Rect, Words
from desktop_app.ui import fonts
from desktop_app.ui.picture.painting import draw_marks, rectangle

_RING, _DIM = 6.0, 0.72
_CARD_GAP = 12.0
_NEAR = 16.0  # the maximum distance of labels from their picture


def card_place(cell: QRectF, w: float, h: float, seen: QRectF) -> tuple[float, float]:
    """The corner of a card of this size: inside the visible part and, if there is space for both, not over its cell.

    The card is beside the cell, or below or above a cell that is as wide as the picture.
    """
    y = min(max(seen.top() + 4, cell.center().y() - h / 2), seen.bottom() - h - 4)
    for x in (cell.right() + _CARD_GAP, cell.left() - _CARD_GAP - w):
        if seen.left() + 4 <= x <= seen.right() - 4 - w:
            return x, y
    x = min(max(seen.left() + 4, cell.center().x() - w / 2), seen.right() - 4 - w)
    for y in (cell.bottom() + _CARD_GAP, cell.top() - _CARD_GAP - h):
        if seen.top() + 4 <= y <= seen.bottom() - 4 - h:
            break
    return x, y


class Overlay:
    """Draws onto a painter whose origin is the page's corner; `seen` is the visible part of the page."""

    def __init__(self, painter: QPainter, page: Page, seen: QRectF) -> None:
        self._painter, self._page, self._seen = painter, page, seen

    def dim_rest(self, cells: Cells, row: int, column: int) -> None:
        """Draw a ring around a cell, and dim everything except its row and column up to it, with their labels."""
        painter, seen = self._painter, self._seen
        place = rectangle(cells.place(row, column))
        rest = QPainterPath()
        rest.addRect(seen)
        kept = QPainterPath()
        ring = _RING * self._page.scale
        kept.addRoundedRect(place.adjusted(-ring, -ring, ring, ring), ring, ring)
        if cells.stride is None and cells.rows > 1:
            box = rectangle(cells.rect)
            kept.addRect(QRectF(box.left(), place.top(), place.left() - box.left(), place.height()))
            kept.addRect(QRectF(place.left(), box.top(), place.width(), place.top() - box.top()))
            for label in self._labels(box, place):
                kept = kept.united(label)
        shade = QColor(self._page.theme.background)
        shade.setAlphaF(_DIM)
        painter.fillPath(rest.subtracted(kept), shade)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(self._page.theme.accent), ring / 2))
        painter.drawRoundedRect(place.adjusted(-ring, -ring, ring, ring), ring, ring)

    def _labels(self, box: QRectF, place: QRectF) -> list[QPainterPath]:
        """Paths around the words beside a cell's row and over its column, in the picture that fills `box`."""
        page, near, found = self._page, self._page.u(_NEAR), []
        for mark in page.marks:
            if not isinstance(mark, Words):
                continue
            beside = mark.align == "right" and box.left() - near < mark.x <= box.left()
            above = box.top() - near < mark.y <= box.top() and place.left() <= mark.x <= place.right()
            if above or (beside and place.top() <= mark.y <= place.bottom()):
                wide = page.measure(mark.text, mark.size, mono=mark.mono, bold=mark.bold)
                left = {"left": 0.0, "center": -wide / 2, "right": -wide}[mark.align]
                words = QPainterPath()
                words.addRect(QRectF(left, -0.7 * mark.size, wide, 1.4 * mark.size))
                turn = QTransform().translate(mark.x, mark.y).rotate(-mark.angle)
                found.append(turn.map(words))
        return found

    def light(self, marked: Region | None, lit: tuple[list[Rect], list[Rect]]) -> None:
        """Outline the opened cell, what the cell under the pointer was computed from, and what it is used for."""
        painter = self._painter
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if marked is not None:
            painter.setPen(QPen(QColor(self._page.theme.accent), 2.5))
            for cells in self._page.cells:
                rect = cells.lit(marked)
                line = cells.lit_line(marked.index) if rect is not None else None
                if line is not None:
                    painter.drawLine(QLineF(*line))
                elif rect is not None:
                    painter.drawRect(rectangle(rect).adjusted(-2, -2, 2, 2))
        # Solid lines for what it was computed from, dashed ones for what it is used for: not by colour alone.
        for rects, style in zip(lit, (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine), strict=True):
            painter.setPen(QPen(QColor(self._page.theme.ink), 1.5, style))
            for rect in rects:
                painter.drawRect(rectangle(rect).adjusted(-1, -1, 1, 1))

    def point_at(self, cells: Cells, row: int, column: int, readout: Readout | None) -> None:
        """Outline the cell under the pointer, with its row and column, and describe it."""
        painter = self._painter
        place = rectangle(cells.place(row, column))
        place.setSize(place.size().expandedTo(QRectF(0, 0, 3, 3).size()))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if cells.stride is None and cells.rows > 1:
            painter.setPen(QPen(QColor(self._page.theme.accent), 1, Qt.PenStyle.DotLine))
            box = rectangle(cells.rect)
            painter.drawRect(QRectF(box.left(), place.top(), box.width(), place.height()))
            painter.drawRect(QRectF(place.left(), box.top(), place.width(), box.height()))
        painter.setPen(QPen(QColor(self._page.theme.accent), 2))
        line = cells.line(column)
        if line is not None:
            painter.drawLine(QLineF(*line))
        else:
            painter.drawRect(place.adjusted(-1, -1, 1, 1))
        if readout is not None:
            self.say(readout, place)

    def say(self, readout: Readout, place: QRectF) -> None:
        """Draw words on a small card beside a rectangle, inside the visible part."""
        scratch = Page(self._page.theme, fonts.measure, self._page.scale)
        lines = [readout.name, *scratch.wrap(readout.place, scratch.u(300), size=12)]
        widths = [scratch.width(t, size=12, mono=n == 0) for n, t in enumerate(lines)]
        w = max([*widths, scratch.width(readout.value, size=18, bold=True)]) + scratch.u(24)
        h = scratch.u(38 + 18 * len(lines))
        x, y = card_place(place, w, h, self._seen)
        scratch.fill(Rect(x, y, w, h), self._page.theme.panel, stroke=self._page.theme.faint, radius=scratch.u(6))
        scratch.words(x + scratch.u(12), y + scratch.u(18), readout.value, size=18, bold=True)
        for n, line in enumerate(lines):
            scratch.words(x + scratch.u(12), y + scratch.u(40 + 18 * n), line, size=12, mono=n == 0,
                          colour=self._page.theme.ink if n == 0 else self._page.theme.dim)  # fmt: skip
        draw_marks(self._painter, scratch.marks)
