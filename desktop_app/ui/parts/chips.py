"""The tokens of the prompt in boxes (chips) under the editor, in one painted, scrolling strip."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from desktop_app.core.edits.cone import first_changed
from desktop_app.core.panels import Hue
from desktop_app.core.scene import Scene
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.theme import LIGHT, Theme
from desktop_app.ui import fonts
from desktop_app.ui.picture.painted_pane import PaintedPane
from desktop_app.ui.picture.painting import draw_marks

_HEIGHT, _GAP, _MARGIN = 40, 6, 16


class Chips(PaintedPane):
    """Shows the tokens. A click emits `chosen` with the token's position, a Shift- or right-click `position_chosen`."""

    chosen = Signal(int)
    position_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Tokens")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._scene: Scene | None = None
        self._theme: Theme = LIGHT
        self._scale = 1.0
        self._edges: list[tuple[float, float]] = []
        self._shown: object = None
        self._first_changed: int | None = None
        self._tight = False

    def set_tight(self, tight: bool) -> None:
        """Reduce the margins above and below."""
        self._tight = tight
        self.setFixedHeight(self.sizeHint().height())

    def show_scene(self, scene: Scene | None, theme: Theme, scale: float) -> None:
        """Show the scene's tokens, scrolled so that the selected one is visible."""
        before, was = (self._scene.trace if self._scene is not None else None, self._scale), self._shown
        self._scene, self._theme, self._scale = scene, theme, scale
        if scene is not None:
            changed = bool(scene.trace.run.changes)
            self._first_changed = first_changed(scene.trace) if changed else None
            self._shown = (scene.trace, scene.token, scene.state.position, len(scene.state.appended), theme, scale)
            if was == self._shown:
                return  # another step of the same tokens
        if before != (scene.trace if scene is not None else None, scale):
            self.setFixedHeight(self.sizeHint().height())
            self._edges = _edges(scene, scale) if scene is not None else []
            self._set_range()
        if scene is not None:
            self._show(scene.token)
        else:
            self._shown = None
        self.viewport().update()

    def sizeHint(self) -> QSize:
        return QSize(300, round((_HEIGHT + (8 if self._tight else 16)) * self._scale))

    def _set_range(self) -> None:
        total = sum(self._edges[-1]) if self._edges else 0
        self.horizontalScrollBar().setRange(0, max(0, round(total + 2 * _MARGIN - self.viewport().width())))
        self.horizontalScrollBar().setPageStep(self.viewport().width())

    def resizeEvent(self, event: object) -> None:
        self._set_range()
        if self._scene is not None:
            self._show(self._scene.token)

    def _show(self, token: int) -> None:
        if not 0 <= token < len(self._edges):
            return
        left, width = self._edges[token]
        bar = self.horizontalScrollBar()
        seen = self.viewport().width() - 2 * _MARGIN
        if left < bar.value():
            bar.setValue(int(left) - 40)
        elif left + width > bar.value() + seen:
            bar.setValue(int(left + width - seen) + 40)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.fillRect(self.viewport().rect(), QColor(self._theme.panel))
        scene = self._scene
        if scene is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        offset = _MARGIN - self.horizontalScrollBar().value()
        page = Page(self._theme, fonts.measure, self._scale)
        first_added = len(scene.trace) - len(scene.state.appended)
        top = (4 if self._tight else 8) * self._scale
        for n, (left, width) in enumerate(self._edges):
            x = left + offset
            if x + width < 0 or x > self.viewport().width():
                continue
            chosen = n == scene.token
            box = Rect(x, top, width, _HEIGHT * self._scale)
            page.fill(
                box,
                self._theme.accent_fill if chosen else self._theme.background,
                stroke=self._theme.accent if chosen else self._theme.line,
                width=1.5 if chosen else 1,
                radius=page.u(6),
            )
            page.words(x + width / 2, top + page.u(14), scene.labels[n], mono=True, align="center", bold=chosen)
            page.words(x + width / 2, top + page.u(30), f"{n} · {scene.trace.ids[n]}", size=10, align="center",
                       colour=self._theme.dim)  # fmt: skip
            if self._first_changed is not None and n >= self._first_changed:
                page.fill(Rect(x, top + page.u(_HEIGHT) - 2, width, 2.5), self._theme.hues[Hue.KEY])
            if n >= first_added:
                page.fill(Rect(x + 6, top + page.u(_HEIGHT) - 3, width - 12, 2), self._theme.accent)
            if n == scene.position and scene.state.position is not None:
                page.words(
                    x + width / 2, top + page.u(_HEIGHT + 4), "▲", size=9, align="center", colour=self._theme.accent
                )
        draw_marks(painter, page.marks)
        self.draw_ring(painter, self._theme.accent)
        painter.end()

    def _at(self, x: float) -> int | None:
        x -= _MARGIN - self.horizontalScrollBar().value()
        return next((n for n, (left, width) in enumerate(self._edges) if left <= x <= left + width), None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        token = self._at(event.position().x())
        if token is not None:
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier or event.button() == Qt.MouseButton.RightButton:
                self.position_chosen.emit(token)
            else:
                self.chosen.emit(token)

    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta()
        bar = self.horizontalScrollBar()
        bar.setValue(bar.value() - (delta.x() or delta.y()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        scene = self._scene
        if scene is not None and event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            token = scene.token + (1 if event.key() == Qt.Key.Key_Right else -1)
            if 0 <= token < len(scene.trace):
                self.chosen.emit(token)
            return
        if scene is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            self.position_chosen.emit(scene.token)
            return
        super().keyPressEvent(event)

    def viewportEvent(self, event: object) -> bool:
        if isinstance(event, QHelpEvent) and self._scene is not None:
            token = self._at(event.pos().x())
            if token is not None:
                one = self._scene.trace.ids[token]
                data = self._scene.tokenizer.token_bytes(one).hex(" ").upper()
                words = f"{self._scene.tokenizer.quoted(one)}\nposition {token} · id {one} · bytes {data}"
                QToolTip.showText(event.globalPos(), words + "\nShift+click: next-token bars after this one", self)
            return True
        return super().viewportEvent(event)  # type: ignore[arg-type] # the event is Qt's own


def _edges(scene: Scene, scale: float) -> list[tuple[float, float]]:
    """The left edge and the width of each chip."""
    edges, x = [], 0.0
    for n, label in enumerate(scene.labels):
        id_width = fonts.measure(f"{n} · {scene.trace.ids[n]}", 10 * scale)
        width = max(fonts.measure(label, 13 * scale, mono=True), id_width)
        edges.append((x, width + 16 * scale))
        x += width + (16 + _GAP) * scale
    return edges
