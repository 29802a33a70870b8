"""The central pane: draws a view, reports the cell under the pointer, and has a cell cursor for the keyboard."""

from PySide6.QtCore import QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QCursor, QFocusEvent, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from desktop_app.core.asking.intents import Do, Select
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import View, follows
from desktop_app.core.passes import OTHER
from desktop_app.figures.marks import Cells, Page
from desktop_app.figures.spoken import spoken
from desktop_app.figures.theme import Theme
from desktop_app.ui.picture.cell_cursor import CellCursor, word_ahead
from desktop_app.ui.picture.moving_map import steps
from desktop_app.ui.picture.painting import rectangle
from desktop_app.ui.picture.pointed_page import PointedPage

_ARROWS = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
}
"""Arrow keys -> rows down and columns across."""
_NAME = "View of the current step"
_GOING = {
    Qt.Key.Key_Left: ("previous", "previous_block"),
    Qt.Key.Key_Right: ("next", "next_block"),
    Qt.Key.Key_Up: ("previous_head", "previous_head"),
    Qt.Key.Key_Down: ("next_head", "next_head"),
}
"""The commands of an arrow key, alone and with Shift, when there is no cell cursor: they move between steps."""

HELD = {Qt.Key.Key_B: "before", Qt.Key.Key_D: "change"}
"""Keys that show a comparison while they are held: the values before the edits, or the change by them."""


class Canvas(PointedPage):
    """Shows one View. Emits what the user asks for, and the cell under the pointer. Does not hold any values."""

    menu_asked = Signal(object, object)  # a Cell or None, and the position on the screen for its menu
    dropped = Signal(object, object)  # the Cell that was dragged, and the Cell on which it was dropped
    held = Signal(str)  # the comparison to show while a key is held; "" when it is released

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._named = _NAME
        self.setAccessibleName(_NAME)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self._cursor = CellCursor()
        self._dragged: tuple[Cells, int, int, Cell] | None = None
        self._planes.moved.connect(self._cursor.leave)
        self.walks = True
        """Whether arrow keys move between steps when there is no cell cursor; if not, they start the cursor."""

    def show_view(self, view: View | None, theme: Theme, scale: float) -> None:
        """Show `view`; the cell cursor keeps its place if possible."""
        self._take_view(view, theme, scale)
        self._named = _NAME if view is None else f"{_NAME}: {view.title}"
        self.setAccessibleName(self._named)
        self.setAccessibleDescription("" if view is None else spoken(view))
        self._point(None, 0, 0)
        self.set_lit((), ())
        self._place()

    @property
    def has_cursor(self) -> bool:
        """Whether the arrow keys move a cell cursor."""
        return self._cursor.at is not None

    def set_readout(self, readout: Readout | None) -> None:
        """Set the words drawn beside the cell under the pointer. At the cell cursor, a screen reader speaks them."""
        super().set_readout(readout)
        here = self.has_cursor and readout is not None
        said = f"{readout.value}, {readout.name}, {readout.place}" if here and readout is not None else ""
        if (said or self._named) != self.accessibleName():
            self.setAccessibleName(said or self._named)

    def _find_again(self, before: Page) -> None:
        super()._find_again(before)
        self._cursor.keep(self._page, before)

    def _settle(self) -> None:
        if self.has_cursor:
            self._move_cursor(0, 0)
        else:
            super()._settle()

    # Pointer

    def _follow(self, x: float, y: float) -> None:
        """Let panels that change with the pointer show the numbers of the token at this point."""
        for panel, rect in self._page.panels:
            if follows(panel) and rect.holds(x, y):
                pick = self._page.pick_at(x, y)
                asked = None if pick is None else pick.at(y)
                token = asked.position if isinstance(asked, Select) else self._followed
                break
        else:
            token = None
        if token != self._followed:
            self._followed = token
            self._place()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._dragged is not None:
            return
        point = event.position() - self.origin
        if self._planes.held:
            if self._planes.drag(point):
                self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
            return
        self._follow(point.x(), point.y())
        cells = self._page.cells_at(point.x(), point.y())
        pick = self._page.pick_at(point.x(), point.y())
        self.viewport().setCursor(
            Qt.CursorShape.PointingHandCursor
            if pick
            else Qt.CursorShape.CrossCursor
            if cells
            else Qt.CursorShape.ArrowCursor
        )
        if cells is None:
            self._point(None, 0, 0)
        else:
            self._point(cells, *cells.cell(point.x(), point.y()))

    def leaveEvent(self, event: object) -> None:
        if not self.has_cursor:
            self._point(None, 0, 0)
            self._follow_none()

    def _follow_none(self) -> None:
        if self._followed is not None:
            self._followed = None
            self._place()

    def _cell_at(self, x: float, y: float) -> Cell | None:
        """The cell of a tensor or product under a point of the page."""
        cells = self._page.cells_at(x, y)
        if cells is None or cells.source is None:
            return None
        return cells.source.cell(*cells.cell(x, y))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Mouse:
            point = QPointF(event.pos()) - self.origin
            self.menu_asked.emit(self._cell_at(point.x(), point.y()), event.globalPos())
        elif self._at is not None and self._at[0].source is not None:
            cells, row, column = self._at
            cell = cells.source.cell(row, column) if cells.source is not None else None
            self.menu_asked.emit(cell, self.menu_place())

    def menu_place(self) -> QPoint:
        """Where on the screen a menu that a key opens belongs: at the cell under the cell cursor, else the pointer."""
        if not self.has_cursor or self._at is None:
            return QCursor.pos()
        cells, row, column = self._at
        place = rectangle(cells.place(row, column)).center() + self.origin
        return self.viewport().mapToGlobal(place.toPoint())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._planes.held and event.button() == Qt.MouseButton.LeftButton:
            self.viewport().unsetCursor()
            if not self._planes.release():
                self._click(event.position() - self.origin)
            return
        dragged, self._dragged = self._dragged, None
        if dragged is None or event.button() != Qt.MouseButton.LeftButton:
            return
        self.viewport().unsetCursor()
        point = event.position() - self.origin
        there = self._cell_at(point.x(), point.y())
        cells, row, column, cell = dragged
        if there is not None and not there.run:
            self.dropped.emit(cell, there)
        else:
            self.opened.emit(cells, row, column)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        point = event.position() - self.origin
        cell = self._cell_at(point.x(), point.y())
        if cell is not None and cell.run == OTHER:
            # A cell of the other text may be dragged onto its counterpart; released where it was pressed, it opens.
            cells = self._page.cells_at(point.x(), point.y())
            assert cells is not None
            self._dragged = (cells, *cells.cell(point.x(), point.y()), cell)
            self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
            return
        if self._planes.press(point):
            return  # released without having been dragged, so this is a click
        self._click(point)

    def _click(self, point: QPointF) -> None:
        """Handle a click at a point of the page."""
        # Look up both before emitting, because opening a number changes the layout.
        cells, pick = self._page.cells_at(point.x(), point.y()), self._page.pick_at(point.x(), point.y())
        # A click on a small grid selects the grid, not a cell; a click on a head's part of a strip does both.
        if cells is not None and (pick is None or cells.stride is not None):
            row, column = cells.cell(point.x(), point.y())
            self._cursor.leave()
            self._point(cells, row, column)
            self.opened.emit(cells, row, column)
            if self._at is not None:
                self._show_place(self._at[0].place(*self._at[1:]))  # the inspector may cover the cell now
        if pick is not None:
            self.asked.emit(pick.at(point.y()))

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            step = 1 if event.angleDelta().y() > 0 else -1
            self.zoom(step)
            event.accept()
            return
        if self._planes.zoom(steps(event.angleDelta().y()), event.position() - self.origin):
            event.accept()
            return
        super().wheelEvent(event)

    def zoom(self, step: int) -> None:
        """Enlarge (1), shrink (-1) or reset (0) the view; labels appear when cells are large enough."""
        before = self._pointed_at()
        self._zoom_by(step)
        after = self._pointed_at()
        if before is not None and after is not None:
            # Scroll so that the cell under the pointer keeps its place in the window.
            moved = (after - before).toPoint()
            for bar, by in ((self.horizontalScrollBar(), moved.x()), (self.verticalScrollBar(), moved.y())):
                bar.setValue(bar.value() + by)

    # Cell cursor

    def start_cursor(self) -> None:
        """Put the cell cursor into the largest picture of cells."""
        if self._cursor.start(self._page):
            self._move_cursor(0, 0)
            self._follow_cursor()

    def leave_cursor(self) -> None:
        """Turn the cell cursor off."""
        self._cursor.leave()
        self._point(None, 0, 0)
        self._follow_none()

    def _move_cursor(self, down: int, across: int) -> None:
        cells, row, column = self._cursor.move(self._page, down, across)
        self._at = None
        self._point(cells, row, column)
        self._show_place(cells.place(row, column))

    def _follow_cursor(self) -> None:
        """Let panels that change with the pointer follow the cursor, after the user moved it."""
        if self._cursor.at is not None:
            cells, row, column = self._cursor.at
            self._follow_at(rectangle(cells.place(row, column)).center())

    def _follow_at(self, place: QPointF) -> None:
        self._follow(place.x(), place.y())
        # The new layout may have other cells at this word; the cursor stays on the word.
        there = self._page.cells_at(place.x(), place.y()) if self._followed is not None else None
        if there is not None:
            self._cursor.at = (there, *there.cell(place.x(), place.y()))
            self._move_cursor(0, 0)

    def _go(self, down: int, across: int) -> None:
        """Move the cursor by an arrow key; in a text that changes with the cursor, to the next word."""
        assert self._cursor.at is not None
        cells, row, column = self._cursor.at
        here = cells.place(row, column).middle
        word = word_ahead(self._page, *here, down, across) if self._followed is not None else None
        if word is not None:
            self._follow_at(QPointF(*word))
            return
        self._move_cursor(down, across)
        self._follow_cursor()

    def _switch_cells(self, by: int) -> None:
        self._cursor.switch(self._page, by)
        self._move_cursor(0, 0)
        self._follow_cursor()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() in HELD and not event.isAutoRepeat():
            self.held.emit("")
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.held.emit("")  # the key may be released while another widget has the focus
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in HELD and not event.modifiers():
            if not event.isAutoRepeat():
                self.held.emit(HELD[Qt.Key(event.key())])
            return
        if self._sheets.take_key(event):
            return
        key, plain = (
            event.key(),
            event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier),
        )
        if self.has_cursor and key in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            self._switch_cells(1 if key == Qt.Key.Key_Tab else -1)
            return
        if self.has_cursor and plain:
            if key in _ARROWS:
                self._go(*_ARROWS[Qt.Key(key)])
                return
            if key == Qt.Key.Key_Escape:
                self.leave_cursor()
                return
            if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._at is not None:
                self.opened.emit(*self._at)
                return
        elif plain and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.start_cursor()
            return
        elif plain and key == Qt.Key.Key_Escape:
            self.asked.emit(Do("close_inspector"))
            return
        if self._planes.steer(event):
            return
        if plain and not self.walks and key in _ARROWS:
            self.start_cursor()
            return
        if self.walks and (plain or event.modifiers() == Qt.KeyboardModifier.ShiftModifier):
            shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            going = _GOING.get(Qt.Key(key))
            if going is not None:
                self.asked.emit(Do(going[shift]))
                return
        super().keyPressEvent(event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        if self.has_cursor:
            return False
        return super().focusNextPrevChild(forward)
