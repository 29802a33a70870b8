"""The widget of the next-token bars: painted as in figures, scrollable, operated by mouse and keyboard."""

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QMenu, QWidget

from desktop_app.core.asking.intents import Append, Choosing, Explain, Pin, Steer
from desktop_app.core.panels import BarsPanel
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.paint_charts import bars_extent, paint_bars
from desktop_app.figures.paint_common import ROW
from desktop_app.figures.theme import LIGHT, Theme
from desktop_app.ui import fonts
from desktop_app.ui.picture.painted_pane import PaintedPane
from desktop_app.ui.picture.painting import rectangle

LEAST_ROWS = 6
_SHIFT = Qt.KeyboardModifier.ShiftModifier

_KEYS: dict[tuple[Qt.Key, Qt.KeyboardModifier], Choosing] = {
    (Qt.Key.Key_P, Qt.KeyboardModifier.NoModifier): Pin,
    (Qt.Key.Key_W, Qt.KeyboardModifier.NoModifier): Explain,
    (Qt.Key.Key_W, _SHIFT): lambda token: Explain(against=token),
}
"""Key and modifier -> the intent that they emit, given the token of the current bar."""


class BarsView(PaintedPane):
    """Shows a BarsPanel, and emits what the user asks for: to append a bar's token, to pin it, and so on.

    The current bar is the one under the pointer, or the one that the arrow keys have reached; it is outlined.
    """

    asked = Signal(object)  # an Intent about the token of a bar
    opened = Signal(int)  # the id of a token: show how its probability was computed
    resized = Signal()  # after the bars were laid out at a new size

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Next tokens")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self._panel = BarsPanel()
        self._theme: Theme = LIGHT
        self._scale = 1.0
        self._page = Page(LIGHT, fonts.measure)
        self._current = -1  # index of the current bar among those that can be clicked, the page's picks; -1 for none
        self._laid_out = False  # whether there has been a layout yet

    def show_panel(self, panel: BarsPanel, theme: Theme, scale: float) -> None:
        """Show a panel in a theme, with lengths and type enlarged by `scale`."""
        if self._laid_out and (panel, theme, scale) == (self._panel, self._theme, self._scale):
            return
        self._panel, self._theme, self._scale = panel, theme, scale
        self._lay_out()

    @property
    def panel(self) -> BarsPanel:
        """The panel that is shown."""
        return self._panel

    def rows_that_fit(self) -> int:
        """How many bars fit into the viewport, with a row left over for a separator line.

        At least LEAST_ROWS: if there is no room for so many, the view scrolls.
        """
        row = ROW * self._scale
        return max(LEAST_ROWS, int((self.viewport().height() - row) / row))

    def fits(self, panel: BarsPanel) -> bool:
        """Whether the bars and separator lines of a panel fit into the viewport without scrolling."""
        page = Page(self._theme, fonts.measure, self._scale)
        return page.u(bars_extent(panel, self.viewport().width() - 4.0, page)[1]) <= self.viewport().height()

    def _lay_out(self) -> None:
        page = Page(self._theme, fonts.measure, self._scale)
        width = self.viewport().width() - 4.0
        height = page.u(bars_extent(self._panel, width, page)[1])
        paint_bars(self._panel, Rect(0, 2, width, height), page)
        self._page = page
        self._laid_out = True
        self.verticalScrollBar().setRange(0, max(0, round(height - self.viewport().height())))
        self.verticalScrollBar().setPageStep(self.viewport().height())
        self.verticalScrollBar().setSingleStep(round(ROW))
        self._current = min(self._current, len(page.picks) - 1)
        self.viewport().update()

    def resizeEvent(self, event: object) -> None:
        self._lay_out()
        self.resized.emit()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        self.draw_page(painter, self._page, event.rect())
        if 0 <= self._current < len(self._page.picks):
            painter.setPen(QPen(QColor(self._theme.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            outline = rectangle(self._page.picks[self._current].rect).adjusted(0.5, 0.5, -0.5, -0.5)
            painter.drawRoundedRect(outline, 4, 4)
        painter.resetTransform()
        self.draw_ring(painter, self._theme.accent)
        painter.end()

    def _bar_at(self, point: QPoint) -> int:
        """The index of the bar at a point of the viewport; -1 if there is none."""
        y = point.y() + self.verticalScrollBar().value()
        return next((n for n, p in enumerate(self._page.picks) if p.rect.y <= y < p.rect.y + p.rect.h), -1)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        bar = self._bar_at(event.position().toPoint())
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if bar >= 0 else Qt.CursorShape.ArrowCursor)
        if bar != self._current:
            self._current = bar
            self.viewport().update()

    def leaveEvent(self, event: object) -> None:
        if not self.hasFocus():  # with the focus, the arrow keys go on from the current bar
            self._current = -1
            self.viewport().update()

    def _token(self, index: int) -> int | None:
        """The token that a click on a bar appends; None if there is no such bar, or if a click does something else."""
        if not 0 <= index < len(self._page.picks):
            return None
        intent = self._page.picks[index].at(0)
        return intent.token if isinstance(intent, Append) else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        token = self._token(self._bar_at(event.position().toPoint()))
        if token is not None and event.button() == Qt.MouseButton.LeftButton:
            self.asked.emit(Append(token))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        by_mouse = event.reason() == QContextMenuEvent.Reason.Mouse
        token = self._token(self._bar_at(event.pos()) if by_mouse else self._current)
        if token is None:
            return
        menu = QMenu(self)
        menu.addAction("Append", lambda: self.asked.emit(Append(token)))
        menu.addAction("Pin or unpin", lambda: self.asked.emit(Pin(token)))
        menu.addAction("Open the arithmetic", lambda: self.opened.emit(token))
        menu.addAction("Why this token", lambda: self.asked.emit(Explain(target=token)))
        menu.addAction("Why not this token", lambda: self.asked.emit(Explain(against=token)))
        menu.addAction("Steer towards it", lambda: self.asked.emit(Steer(token)))
        menu.popup(event.globalPos())
        menu.aboutToHide.connect(menu.deleteLater)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down) and not event.modifiers():
            step = 1 if key == Qt.Key.Key_Down else -1
            self._current = min(max(self._current + step, 0), len(self._page.picks) - 1)
            self.viewport().update()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            token = self._token(self._current)
            if token is not None:
                self.asked.emit(Append(token))
        elif key == Qt.Key.Key_O and not event.modifiers():
            token = self._token(self._current)
            if token is not None:
                self.opened.emit(token)
        elif (key, event.modifiers()) in _KEYS:
            token = self._token(self._current)
            if token is not None:
                self.asked.emit(_KEYS[Qt.Key(key), event.modifiers()](token))
        else:
            super().keyPressEvent(event)
