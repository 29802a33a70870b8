"""A line of places to click, drag along or step through with keys: the base class of the bars at the bottom."""

from collections.abc import Iterable, Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop_app.figures.marks import Page
from desktop_app.figures.theme import LIGHT, Theme
from desktop_app.ui import fonts
from desktop_app.ui.painting import draw_marks

Label = tuple[float, str, str, bool]
"""Left edge, words, colour, and whether they are bold."""


class Track(QWidget):
    """Emits the number of the place that is clicked or dragged to, and the command of a key.

    A subclass draws it and says which place is at a point.
    """

    chosen = Signal(int)
    command = Signal(str)

    def __init__(self, keys: Mapping[tuple[Qt.Key, bool], str], parent: QWidget | None = None) -> None:
        """`keys`: (key, with Shift) -> command; without an entry for Shift, Shift changes nothing."""
        super().__init__(parent)
        self._keys = keys
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._theme: Theme = LIGHT
        self._scale = 1.0

    def place_at(self, x: float) -> int | None:
        """The number of the place at a point of the track; None while there is none."""
        raise NotImplementedError

    def draw(self, page: Page) -> None:
        """Put the marks of the track on a page of the widget's size."""
        raise NotImplementedError

    def paintEvent(self, event: QPaintEvent) -> None:
        page = Page(self._theme, fonts.measure, self._scale)
        self.draw(page)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_marks(painter, page.marks)
        if self.hasFocus():
            painter.setPen(QPen(QColor(self._theme.accent), 1, Qt.PenStyle.DotLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def write_apart(self, page: Page, labels: Iterable[Label], y: float, gap: float) -> None:
        """Write labels in order of importance; one that would come nearer than `gap` to another is left out."""
        taken: list[tuple[float, float]] = []
        for left, words, colour, bold in labels:
            wide = page.width(words, size=10)
            x = max(0.0, min(left, self.width() - wide))
            if all(x + wide + gap <= start or end + gap <= x for start, end in taken):
                page.words(x, y, words, size=10, colour=colour, bold=bold)
                taken.append((x, x + wide))

    def _choose(self, event: QMouseEvent) -> None:
        place = self.place_at(event.position().x())
        if place is not None:
            self.chosen.emit(place)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._choose(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._choose(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        key = Qt.Key(event.key())
        asked = self._keys.get((key, shift)) or self._keys.get((key, False))
        if asked is None:
            super().keyPressEvent(event)
        else:
            self.command.emit(asked)
