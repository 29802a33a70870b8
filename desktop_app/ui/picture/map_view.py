"""The map of the transformer: the residual stream as a vertical line through the blocks, and the current step."""

from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from desktop_app.core.edits.cone import Cone
from desktop_app.core.panels import Hue
from desktop_app.core.places import BLOCK, IN, OUT, Step
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.theme import LIGHT, Theme
from desktop_app.gpt2.config import Config
from desktop_app.ui import fonts
from desktop_app.ui.picture.painted_pane import PaintedPane

_ROW, _BLOCK_ROW, _GAP = 24.0, 32.0, 6.0


@dataclass(frozen=True)
class _Item:
    rect: Rect
    step: Step
    block: bool  # whether this is the header of a block, folded or not


class MapView(PaintedPane):
    """Emits the step that was clicked. A click on a block: its first step or, from another block, the same step."""

    chosen = Signal(object)
    command = Signal(str)
    # a step, whether its whole block is meant, and the position on the screen
    menu_asked = Signal(object, bool, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Map of the transformer")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self._steps: tuple[Step, ...] = ()
        self._current: Step | None = None
        self._theme: Theme = LIGHT
        self._scale = 1.0
        self._items: list[_Item] = []
        self._page = Page(LIGHT, fonts.measure)
        self._hover: Step | None = None
        self._config: Config | None = None
        self._cone: Cone | None = None
        self._shown: object = None

    def show_steps(
        self,
        steps: tuple[Step, ...],
        current: Step | None,
        theme: Theme,
        scale: float,
        config: Config | None,
        cone: Cone | None = None,
    ) -> None:
        """Show the steps of a model; `cone` is what edits may have changed."""
        before, shown = self._current, (steps, current, theme, scale, config, cone)
        if shown == self._shown:
            return
        self._shown = shown
        self._steps, self._current, self._theme, self._scale, self._config, self._cone = shown
        self._lay_out()
        if current is not before:
            self._show_current()

    def sizeHint(self) -> QSize:
        return QSize(round(208 * self._scale), 400)

    def resizeEvent(self, event: object) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        page = Page(self._theme, fonts.measure, self._scale)
        width = self.viewport().width()
        self._items = []
        y = page.u(12)
        spine_top = y
        current_layer = self._current.layer if self._current is not None else None
        layers = sorted({s.layer for s in self._steps if s.layer is not None})
        for step in (s for s in self._steps if s.spec.part == IN):
            y = self._row(page, step, page.u(8), y, width)
        y += page.u(_GAP)
        for layer in layers:
            inside = [s for s in self._steps if s.layer == layer]
            y = self._block(page, inside, layer, layer == current_layer, y, width)
        y += page.u(_GAP)
        for step in (s for s in self._steps if s.spec.part == OUT):
            y = self._row(page, step, page.u(8), y, width)
        spine = Rect(page.u(17) - 1, spine_top, page.u(2), y - spine_top)
        spine_page = Page(self._theme, fonts.measure, self._scale)
        spine_page.fill(spine, self._theme.line)
        page.marks[:0] = spine_page.marks
        self._page = page
        self.verticalScrollBar().setRange(0, max(0, round(y + page.u(12) - self.viewport().height())))
        self.verticalScrollBar().setPageStep(self.viewport().height())
        self.verticalScrollBar().setSingleStep(24)
        self.viewport().update()

    def _row(self, page: Page, step: Step, x: float, y: float, width: float) -> float:
        theme, height = self._theme, page.u(_ROW)
        box = Rect(x, y, width - x - page.u(8), height)
        current = step is self._current
        if current:
            page.fill(box, theme.accent_fill, radius=page.u(4))
        elif step is self._hover:
            page.fill(box, theme.background, radius=page.u(4))
        side = page.u(9)
        square = Rect(x + page.u(9) - side / 2, y + height / 2 - side / 2, side, side)
        if step.spec.hues:
            each = side / len(step.spec.hues)
            for n, hue in enumerate(step.spec.hues):
                page.fill(Rect(square.x + n * each, square.y, each, side), theme.hues[hue])
        else:
            page.fill(
                square, theme.hues[step.spec.hue] if step.spec.hue is not Hue.INK else theme.faint, radius=page.u(2)
            )
        room, name = box.w - page.u(28), self._name(step)
        if page.width(name, bold=current) > room:
            name = step.text.name  # without the widths, which the view shows
        page.words(x + page.u(24), y + height / 2, name, bold=current, room=room,
                   colour=theme.accent if current else theme.ink)  # fmt: skip
        if self._cone is not None and self._cone.has(step):
            self._mark(page, box)
        self._items.append(_Item(box, step, False))
        return y + height

    def _mark(self, page: Page, box: Rect) -> None:
        """Draw the bar at the right edge of a step that edits may have changed."""
        page.fill(Rect(box.x + box.w - page.u(4), box.y + page.u(3), page.u(3), box.h - page.u(6)), self._theme.accent)

    def _name(self, step: Step) -> str:
        if step.spec.sizes is None or self._config is None:
            return step.text.name
        before, after = (getattr(self._config, size) for size in step.spec.sizes)
        return f"{step.text.name} {before}→{after}"

    def _block(self, page: Page, steps: list[Step], layer: int, unfolded: bool, y: float, width: float) -> float:
        theme, height = self._theme, page.u(_BLOCK_ROW)
        inner = page.u(_ROW) * len(steps) + page.u(6) if unfolded else 0
        frame = Rect(page.u(6), y, width - page.u(14), height + inner)
        hovered = self._hover is not None and not unfolded and self._hover is steps[0]
        page.fill(frame, theme.background if hovered else theme.panel,
                  stroke=theme.accent if unfolded else theme.line, radius=page.u(6))  # fmt: skip
        if self._cone is not None and self._cone.has(steps[-1]):
            self._mark(page, Rect(frame.x, y, frame.w - page.u(2), height))
        name = page.words(frame.x + page.u(12), y + height / 2, f"Block {layer}", bold=unfolded)
        count = f"{len(steps)} steps"
        if name + page.width(count, size=11) + page.u(30) < frame.w:
            right = frame.x + frame.w - page.u(10)
            page.words(right, y + height / 2, count, size=11, colour=theme.dim, align="right")
        self._items.append(_Item(Rect(frame.x, y, frame.w, height), steps[0], True))
        below = y + height
        if unfolded:
            for step in steps:
                below = self._row(page, step, page.u(14), below, width - page.u(6))
        return y + height + inner + page.u(_GAP)

    def _show_current(self) -> None:
        item = next((i for i in self._items if i.step is self._current and not i.block), None)
        if item is None:
            return
        bar = self.verticalScrollBar()
        top, bottom = int(item.rect.y - 60 * self._scale), int(item.rect.y + item.rect.h + 60 * self._scale)
        if top < bar.value():
            bar.setValue(max(0, top))
        elif bottom > bar.value() + self.viewport().height():
            bar.setValue(bottom - self.viewport().height())

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        self.draw_page(painter, self._page, event.rect())
        painter.resetTransform()
        self.draw_ring(painter, self._theme.accent)
        painter.end()

    def _at(self, x: float, y: float) -> _Item | None:
        y += self.verticalScrollBar().value()
        for item in self._items:
            r = item.rect
            if r.x <= x <= r.x + r.w and r.y <= y < r.y + r.h:
                return item
        return None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        item = self._at(event.position().x(), event.position().y())
        step = item.step if item else None
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if item else Qt.CursorShape.ArrowCursor)
        if step is not self._hover:
            self._hover = step
            self._lay_out()

    def leaveEvent(self, event: object) -> None:
        self._hover = None
        self._lay_out()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        mouse = event.reason() == QContextMenuEvent.Reason.Mouse
        item = self._at(event.pos().x(), event.pos().y()) if mouse else None
        step = item.step if item is not None else self._current
        if step is not None:
            self.menu_asked.emit(step, item is not None and item.block, event.globalPos())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        item = self._at(event.position().x(), event.position().y())
        if item is None or event.button() != Qt.MouseButton.LeftButton:
            return
        step = item.step
        if item.block and self._current is not None and self._current.spec.part == BLOCK:
            # Keep the same operation visible from block to block.
            same = (s for s in self._steps if s.layer == item.step.layer and s.spec is self._current.spec)
            step = next(same, step)
        self.chosen.emit(step)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        going = {
            Qt.Key.Key_Down: "next",
            Qt.Key.Key_Up: "previous",
            Qt.Key.Key_Right: "next_block",
            Qt.Key.Key_Left: "previous_block",
            Qt.Key.Key_Home: "first",
            Qt.Key.Key_End: "last",
        }.get(Qt.Key(event.key()))
        if going is None or event.modifiers():
            super().keyPressEvent(event)
        else:
            self.command.emit(going)
