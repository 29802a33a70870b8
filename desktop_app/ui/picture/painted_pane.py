"""The base of the painted panes: no frame, and a ring that shows the keyboard focus."""

from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFocusEvent, QPainter, QPen
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from desktop_app.figures.marks import Page
from desktop_app.ui.picture.painting import draw_marks

_BY_KEYBOARD = (
    Qt.FocusReason.TabFocusReason,
    Qt.FocusReason.BacktabFocusReason,
    Qt.FocusReason.ShortcutFocusReason,
)


class PaintedPane(QAbstractScrollArea):
    """A scroll area that paints itself. Focus by keyboard is shown by a ring, focus by a click is not."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self._ringed = False

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._ringed = event.reason() in _BY_KEYBOARD
        super().focusInEvent(event)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._ringed = False
        super().focusOutEvent(event)
        self.viewport().update()

    def draw_page(self, painter: QPainter, page: Page, seen: QRect) -> None:
        """Draw the part of a page that is `seen` in the viewport, on the panel's colour. Moves the painter's origin."""
        scrolled = self.verticalScrollBar().value()
        painter.fillRect(self.viewport().rect(), QColor(page.theme.panel))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(0, -scrolled)
        draw_marks(painter, page.marks, seen.top() + scrolled, seen.bottom() + 1 + scrolled)

    def draw_ring(self, painter: QPainter, colour: str) -> None:
        """Draw the ring if it should be visible; `painter` must have the viewport's origin."""
        if self._ringed:
            painter.setPen(QPen(QColor(colour), 1, Qt.PenStyle.DotLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(self.viewport().rect()).adjusted(1, 1, -2, -2))
