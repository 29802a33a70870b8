"""The next-token bars: the figures' bar painter in a scrolling widget with mouse and keyboard control."""

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QMenu, QWidget

from desktop_app.core.intents import Append, Choosing, Explain, Pin, Steer
from desktop_app.core.panels import BarsPanel
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.paint_charts import bars_extent, paint_bars
from desktop_app.figures.theme import LIGHT, Theme
from desktop_app.ui import fonts
from desktop_app.ui.painted_pane import PaintedPane
from desktop_app.ui.painting import rectangle

_SHIFT = Qt.KeyboardModifier.ShiftModifier

_KEYS: dict[tuple[Qt.Key, Qt.KeyboardModifier], Choosing] = {
    (Qt.Key.Key_P, Qt.KeyboardModifier.NoModifier): Pin,
    (Qt.Key.Key_W, Qt.KeyboardModifier.NoModifier): Explain,
    (Qt.Key.Key_W, _SHIFT): lambda token: Explain(against=token),
}
"""Key -> the intent about the selected bar's token that it emits."""


class BarsView(PaintedPane):
    """Shows a BarsPanel. Emits what the user asks for about the token of a bar, such as to append or pin it."""

    asked = Signal(object)  # an Intent about one of the tokens
    opened = Signal(int)  # show how this token's probability was computed
    resized = Signal()

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
        self._hover = -1
        self.painted = 0
        """How many times bars were laid out; read by tests."""

    def show_panel(self, panel: BarsPanel, theme: Theme, scale: float) -> None:
        """Show these bars."""
        if self.painted and (panel, theme, scale) == (self._panel, self._theme, self._scale):
            return
        self._panel, self._theme, self._scale = panel, theme, scale
        self._lay_out()

    @property
    def panel(self) -> BarsPanel:
        """The panel that is shown."""
        return self._panel

    def rows_that_fit(self) -> int:
        """How many bars fit the height together with one separator line."""
        return max(6, int((self.viewport().height() - 22 * self._scale) / (22 * self._scale)))

    def fits(self, panel: BarsPanel) -> bool:
        """Whether all of these bars and their separator lines fit."""
        page = Page(self._theme, fonts.measure, self._scale)
        return page.u(bars_extent(panel, self.viewport().width() - 4.0, page)[1]) <= self.viewport().height()

    def _lay_out(self) -> None:
        page = Page(self._theme, fonts.measure, self._scale)
        width = self.viewport().width() - 4.0
        height = page.u(bars_extent(self._panel, width, page)[1])
        paint_bars(self._panel, Rect(0, 2, width, height), page)
        self._page = page
        self.painted += 1
        self.verticalScrollBar().setRange(0, max(0, round(height - self.viewport().height())))
        self.verticalScrollBar().setPageStep(self.viewport().height())
        self.verticalScrollBar().setSingleStep(22)
        self._hover = min(self._hover, len(page.picks) - 1)
        self.viewport().update()

    def resizeEvent(self, event: object) -> None:
        self._lay_out()
        self.resized.emit()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        self.draw_page(painter, self._page, event.rect())
        if 0 <= self._hover < len(self._page.picks):
            painter.setPen(QPen(QColor(self._theme.accent), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rectangle(self._page.picks[self._hover].rect).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.resetTransform()
        self.draw_ring(painter, self._theme.accent)
        painter.end()

    def _at(self, point: QPoint) -> int:
        y = point.y() + self.verticalScrollBar().value()
        return next((n for n, p in enumerate(self._page.picks) if p.rect.y <= y < p.rect.y + p.rect.h), -1)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        hover = self._at(event.position().toPoint())
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if hover >= 0 else Qt.CursorShape.ArrowCursor)
        if hover != self._hover:
            self._hover = hover
            self.viewport().update()

    def leaveEvent(self, event: object) -> None:
        if not self.hasFocus():
            self._hover = -1
            self.viewport().update()

    def _token(self, index: int) -> int | None:
        if not 0 <= index < len(self._page.picks):
            return None
        asked = self._page.picks[index].at(0)
        return asked.token if isinstance(asked, Append) else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        token = self._token(self._at(event.position().toPoint()))
        if token is not None and event.button() == Qt.MouseButton.LeftButton:
            self.asked.emit(Append(token))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        token = self._token(self._at(event.pos()) if event.reason() == QContextMenuEvent.Reason.Mouse else self._hover)
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
            self._hover = min(max(self._hover + step, 0), len(self._page.picks) - 1)
            self.viewport().update()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            token = self._token(self._hover)
            if token is not None:
                self.asked.emit(Append(token))
        elif key == Qt.Key.Key_O and not event.modifiers():
            token = self._token(self._hover)
            if token is not None:
                self.opened.emit(token)
        elif (key, event.modifiers()) in _KEYS:
            token = self._token(self._hover)
            if token is not None:
                self.asked.emit(_KEYS[Qt.Key(key), event.modifiers()](token))
        else:
            super().keyPressEvent(event)
