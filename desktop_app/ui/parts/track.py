"""A line of places to click, drag along or step through by keys: the base class of the bars at the bottom."""

from collections.abc import Iterable
from typing import NamedTuple

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop_app.figures.marks import Page
from desktop_app.figures.theme import LIGHT, Theme
from desktop_app.ui import fonts
from desktop_app.ui.picture.painting import draw_marks

Label = tuple[float, str, str, bool]
"""(left edge, words, colour, whether they are bold)"""


class Ways(NamedTuple):
    """The commands by which keys move along a track; "" for none. Without a `far` command, Shift has no effect."""

    previous: str
    next: str
    first: str
    last: str
    far_previous: str = ""
    far_next: str = ""
    play: str = ""


_KEYS: dict[Qt.Key, tuple[str, str]] = {
    Qt.Key.Key_Left: ("previous", "far_previous"),
    Qt.Key.Key_Right: ("next", "far_next"),
    Qt.Key.Key_Home: ("first", ""),
    Qt.Key.Key_End: ("last", ""),
    Qt.Key.Key_Space: ("play", ""),
}
"""Key -> direction of movement, and direction with Shift."""


class Track(QWidget):
    """Emits the index of the place that is clicked or dragged to, and the command of a key.

    A subclass draws the track and says which place is at a point.
    """

    chosen = Signal(int)
    command = Signal(str)

    def __init__(self, ways: Ways, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ways = ways._asdict()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._theme: Theme = LIGHT
        self._scale = 1.0

    def place_at(self, x: float) -> int | None:
        """The index of the place at a point of the track; None if there is none."""
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
        """Write labels in order of importance; a label that would be closer than `gap` to another is left out."""
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
        near, far = _KEYS.get(Qt.Key(event.key()), ("", ""))
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        asked = (shift and self._ways.get(far)) or self._ways.get(near)
        if not asked:
            super().keyPressEvent(event)
        else:
            self.command.emit(asked)
