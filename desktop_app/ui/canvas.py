"""The central pane: draws a view, reports the cell under the pointer, and has a cell cursor for the keyboard."""

from collections.abc import Iterable
from dataclasses import replace

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from desktop_app.core.compare import MARK
from desktop_app.core.intents import Do, Frame, Select, Visit
from desktop_app.core.opening.cells import Cell, Region
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import AnyPanel, Box, SheetPanel, View, alone, follows, of_token, panels_of
from desktop_app.core.passes import OTHER
from desktop_app.figures.excerpt import titles_of
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Cells, Page, Pick, Rect
from desktop_app.figures.paint_sheet import sheet_room
from desktop_app.figures.spoken import spoken
from desktop_app.figures.theme import LIGHT, Theme
from desktop_app.ui import fonts
from desktop_app.ui.cell_cursor import CellCursor
from desktop_app.ui.moving_map import steps
from desktop_app.ui.overlay import Overlay
from desktop_app.ui.painted_pane import PaintedPane
from desktop_app.ui.painting import draw_marks, rectangle
from desktop_app.ui.planes import Planes
from desktop_app.ui.sheet_view import SheetView

_MARGIN = 24
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
"""The commands of an arrow key, alone and with Shift, while there is no cell cursor and the keys move between steps."""
_ZOOMS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


HELD = {Qt.Key.Key_B: "before", Qt.Key.Key_D: "change"}
"""Keys that show another comparison while they are held: the values before the edits, or the change by them."""


def _shape(view: View | None) -> list[type[AnyPanel]]:
    """The kinds of panels in a view; they are the same for every head and every text of a step."""
    return [type(panel) for panel in panels_of(view.content)] if view is not None else []


class Canvas(PaintedPane):
    """Shows one View. Emits what the user asks for and which cell is pointed at; holds no values itself."""

    asked = Signal(object)  # an Intent
    pointed = Signal(object, int, int)  # Cells or None, row, column
    opened = Signal(object, int, int)  # a cell was clicked or Enter was pressed on it
    menu_asked = Signal(object, object)  # a Cell or None, and the screen position of its menu
    dropped = Signal(object, object)  # the Cell that was dragged, and the Cell it was dropped on
    held = Signal(str)  # what to show while a key is held down; "" on its release
    resized = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._named = _NAME
        self.setAccessibleName(_NAME)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        # The bar's width is always reserved: if it came and went, each long view would be laid out twice.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self._view: View | None = None
        self._theme: Theme = LIGHT
        self._scale = 1.0
        self._zoom = 0
        self._page = Page(LIGHT, fonts.measure)
        self._height = 0.0
        self._picture: QPixmap | None = None
        self._at: tuple[Cells, int, int] | None = None
        self._readout: Readout | None = None
        self._marked: Region | None = None
        self._lit: tuple[tuple[Region, ...], tuple[Region, ...]] = ((), ())
        self._lit_places: tuple[list[Rect], list[Rect]] = ([], [])
        self._cursor = CellCursor()
        self._room_above = 0
        self._dragged: tuple[Cells, int, int, Cell] | None = None
        self._focused: int | None = None
        self._followed: int | None = None
        self._room = 0
        self._spotlight = False
        self._planes = Planes(lambda: self._page, self)
        self._planes.moved.connect(self._plane_moved)
        self._planes.framed.connect(lambda window: self.asked.emit(Frame(window)))
        self._sheets: list[SheetView] = []
        self.walks = True
        """Whether arrow keys without a cell cursor move between steps; if not, they start the cursor."""
        self.placed = 0
        """How many times a view was laid out; read by tests."""

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the view's pictures."""
        return () if self._view is None else titles_of(self._view)

    def show_view(self, view: View | None, theme: Theme, scale: float) -> None:
        """Show `view`; the cell cursor stays where possible."""
        if _shape(view) != _shape(self._view):
            self._focused = None
        self._view, self._theme, self._scale = view, theme, scale
        self._followed = None
        self._named = _NAME if view is None else f"{_NAME}: {view.title}"
        self.setAccessibleName(self._named)
        self.setAccessibleDescription("" if view is None else spoken(view))
        self._point(None, 0, 0)
        self.set_lit((), ())
        self._place()

    @property
    def focused(self) -> int | None:
        """The panel of the view that is shown alone, if any."""
        return self._focused

    def panel_at(self) -> int | None:
        """The panel under the pointer; without a pointer, the largest one."""
        if self._at is not None:
            place = self._at[0].rect
            x, y = place.x + place.w / 2, place.y + place.h / 2
            for n, (_, r) in enumerate(self._page.panels):
                if r.x <= x < r.x + r.w and r.y <= y < r.y + r.h:
                    return n
        rooms = [r.w * r.h for _, r in self._page.panels]
        return rooms.index(max(rooms)) if rooms else None

    def focus_panel(self, panel: int | None) -> None:
        """Show one panel alone, filling the pane; None shows all again."""
        if panel != self._focused:
            self._focused = panel
            self._point(None, 0, 0)
            self._place()

    def set_room(self, height: int) -> None:
        """Lay the view out for a pane of at least this height, scrolling in a lower one; 0: the pane's own height."""
        if height != self._room:
            self._room = height
            self._place()

    @property
    def spotlight(self) -> bool:
        """Whether all but the cell under the pointer is dimmed."""
        return self._spotlight

    def set_spotlight(self, on: bool) -> None:
        """Switch the spotlight: a ring around the cell under the pointer, with everything else dimmed."""
        self._spotlight = on
        self.viewport().update()

    def set_lit(self, sources: Iterable[Region], targets: Iterable[Region]) -> None:
        """Highlight what the cell under the pointer was computed from, and what it feeds, wherever they are shown."""
        lit = tuple(sources), tuple(targets)
        if lit != self._lit:
            self._lit = lit
            for sheet in self._sheets:
                sheet.set_lit(*lit)
            self._find_lit()

    def _find_lit(self) -> None:
        sources, targets = self._lit
        self._lit_places = self.lit_places(sources), self.lit_places(targets)
        self.viewport().update()

    @property
    def lit(self) -> tuple[list[Rect], list[Rect]]:
        """Places that are highlighted: what the pointed cell was computed from, and what it feeds."""
        return self._lit_places

    def set_marked(self, region: Region | None) -> None:
        """Outline the opened cell wherever it is shown, and keep it visible when the layout changes."""
        if region != self._marked:
            self._marked = region
            for sheet in self._sheets:
                sheet.set_marked(region)
            self._show_marked()
            self.viewport().update()

    def _show_marked(self) -> None:
        if self._marked is None:
            return
        pointed = self._at[0].lit(self._marked.name, self._marked.index) if self._at is not None else None
        places = [pointed] if pointed is not None else self.lit_places([self._marked])
        if places:
            # Scroll to the picture in which it was clicked, or else to its largest one.
            self._show_place(max(places, key=lambda r: r.w * r.h))

    def lit_places(self, regions: Iterable[Region]) -> list[Rect]:
        """The places of these cells in the view that is shown."""
        found = (cells.lit(region.name, region.index) for region in regions for cells in self._page.cells)
        return [rect for rect in found if rect is not None]

    def set_readout(self, readout: Readout | None) -> None:
        """Set the words drawn beside the cell under the pointer; at the cell cursor, a screen reader speaks them."""
        self._readout = readout
        for sheet in self._sheets:
            sheet.set_readout(readout)
        here = self.has_cursor and readout is not None
        said = f"{readout.value}, {readout.name}, {readout.place}" if here and readout is not None else ""
        if (said or self._named) != self.accessibleName():
            self.setAccessibleName(said or self._named)
        self.viewport().update()

    @property
    def page(self) -> Page:
        """Marks and places of the last layout."""
        return self._page

    @property
    def readout(self) -> Readout | None:
        """The words for the cell that is pointed at."""
        return self._readout

    @property
    def has_cursor(self) -> bool:
        """Whether the arrow keys move a cell cursor."""
        return self._cursor.at is not None

    def _place(self) -> None:
        page = Page(self._theme, fonts.measure, self._scale, self.devicePixelRatioF(), live=True)
        zoom = _ZOOMS[self._zoom]
        width = max(200.0, self.viewport().width() - 2 * _MARGIN) * zoom
        height = max(200.0, max(self.viewport().height(), self._room) - self._top - _MARGIN) * zoom
        view = self._view
        if view is not None and self._followed is not None:
            view = of_token(view, self._followed)
        if view is not None and self._focused is not None:
            view = replace(view, content=Box((alone(tuple(panels_of(view.content))[self._focused]),)))
        self._height = place_view(view, width, height, page) if view is not None else 0.0
        before, self._page = self._page, page
        self._planes.laid_out()
        self._picture = None
        self.placed += 1
        # Find the same cell of the same picture in the new layout, which may have another order.
        if self._at is not None:
            cells, row, column = self._at
            again = page.again(cells, before)
            self._point(again if again is not None and again.has(row, column) else None, row, column)
        self._cursor.keep(page, before)
        self._find_lit()
        self._show_sheets()
        self._set_scroll_bars(width)  # showing or hiding a bar triggers this layout again, from inside it
        if self.has_cursor:
            self._move_cursor(0, 0)
        else:
            self._show_marked()
        self.viewport().update()

    # The sheet of the whole pass, which has its own zoom

    @property
    def sheets(self) -> list[SheetView]:
        """The sheets that are shown: one, or one for each of the compared passes."""
        return [sheet for sheet in self._sheets if sheet.panel is not None]

    def _show_sheets(self) -> None:
        shown = [(panel, rect) for panel, rect in self._page.panels if isinstance(panel, SheetPanel) and panel.sheet]
        while len(self._sheets) < len(shown):
            sheet = SheetView(self.viewport())
            sheet.pointed.connect(self.pointed)
            sheet.opened.connect(self.opened)
            sheet.entered.connect(self.setFocus)
            sheet.chosen.connect(self._visit)
            self._sheets.append(sheet)
        for sheet, (panel, rect) in zip(self._sheets, shown, strict=False):
            place = rectangle(sheet_room(panel, rect, self._page)).translated(self.origin)
            sheet.setGeometry(place.toRect())
            sheet.show_panel(panel, self._theme, self._scale)
            sheet.show()
        for sheet in self._sheets[len(shown) :]:
            sheet.let_go()

    def _visit(self, tensor: str, head: object, token: object) -> None:
        self.asked.emit(
            Visit(tensor, head if isinstance(head, int) else None, token if isinstance(token, int) else None)
        )

    def close_down(self) -> None:
        """Stop the background work of the sheets."""
        for sheet in self._sheets:
            sheet.close_down()
        self._sheets = []

    def _set_scroll_bars(self, width: float) -> None:
        tall = int(self._height + self._top + _MARGIN - self.viewport().height())
        wide = int(width + 2 * _MARGIN - self.viewport().width())
        self.verticalScrollBar().setRange(0, max(0, tall))
        self.verticalScrollBar().setEnabled(tall > 0)
        self.verticalScrollBar().setPageStep(self.viewport().height())
        self.verticalScrollBar().setSingleStep(24)
        self.horizontalScrollBar().setRange(0, max(0, wide))
        self.horizontalScrollBar().setPageStep(self.viewport().width())

    @property
    def origin(self) -> QPointF:
        """Where the page's corner lies in the viewport."""
        return QPointF(_MARGIN - self.horizontalScrollBar().value(), self._top - self.verticalScrollBar().value())

    @property
    def _top(self) -> int:
        """Height above the page for the view's switches."""
        return max(_MARGIN, round(_MARGIN * self._scale)) + self._room_above

    def make_room(self, height: int) -> None:
        """Leave this much more room above the page, for switches that need a separate row."""
        if height != self._room_above:
            self._room_above = height
            self._place()

    # Painting

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()
        self.resized.emit()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._place()  # on a finer screen more cells get a pixel each
        return super().event(event)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self._picture = None
        for sheet in self.sheets:
            sheet.move(sheet.x() + dx, sheet.y() + dy)
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        if self._picture is None:
            self._picture = self._render()
        painter.drawPixmap(0, 0, self._picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(self.origin)
        if self._planes.moving is not None:
            self._planes.moving.draw(painter, self._theme.background, self._theme.line)
            painter.end()
            return
        over = Overlay(painter, self._page, QRectF(self.viewport().rect()).translated(-self.origin))
        if self._spotlight and self._at is not None:
            over.dim_rest(*self._at)
        over.light(self._marked, self._lit_places)
        if self._at is not None:
            over.point_at(*self._at, self._readout)
        painter.resetTransform()
        self.draw_ring(painter, self._theme.accent)
        painter.end()

    def _render(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        picture = QPixmap(self.viewport().size() * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(QColor(self._theme.background))
        painter = QPainter(picture)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
        painter.translate(self.origin)
        draw_marks(painter, self._page.marks, -self.origin.y(), self.viewport().height() - self.origin.y())
        painter.end()
        return picture

    def _plane_moved(self) -> None:
        """Redraw a plane of points while it is dragged; it has moved, so no cell is pointed at any more."""
        self._point(None, 0, 0)
        self._cursor.leave()
        self.viewport().update()

    # Pointer

    def _cells_at(self, x: float, y: float) -> Cells | None:
        for cells in reversed(self._page.cells):
            if cells.reaches(x, y):
                return cells
        return None

    def _pick_at(self, x: float, y: float) -> Pick | None:
        for pick in reversed(self._page.picks):
            r = pick.rect
            if r.x <= x < r.x + r.w and r.y <= y < r.y + r.h:
                return pick
        return None

    def _follow(self, x: float, y: float) -> None:
        """Make panels that follow the pointer show the numbers of the token at this place."""
        for panel, rect in self._page.panels:
            if follows(panel) and rect.x <= x < rect.x + rect.w and rect.y <= y < rect.y + rect.h:
                pick = self._pick_at(x, y)
                asked = None if pick is None else pick.at(y)
                token = asked.position if isinstance(asked, Select) else self._followed
                break
        else:
            token = None
        if token != self._followed:
            self._followed = token
            self._place()

    @property
    def followed(self) -> int | None:
        """The token whose numbers the panels that follow the pointer show; None for the selected one."""
        return self._followed

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._dragged is not None:
            return
        point = event.position() - self.origin
        if self._planes.held:
            if self._planes.drag(point):
                self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
            return
        self._follow(point.x(), point.y())
        cells = self._cells_at(point.x(), point.y())
        pick = self._pick_at(point.x(), point.y())
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

    def _point(self, cells: Cells | None, row: int, column: int) -> None:
        same = cells is None if self._at is None else cells is self._at[0] and (row, column) == self._at[1:]
        if same:
            return
        self._at = None if cells is None else (cells, row, column)
        self._readout = None
        self.pointed.emit(cells, row, column)
        self.viewport().update()

    def _cell_at(self, x: float, y: float) -> Cell | None:
        """The cell of a tensor or product under a point of the page."""
        cells = self._cells_at(x, y)
        if cells is None or cells.source is None:
            return None
        return Cell(cells.source.name, cells.source.at(*cells.cell(x, y)))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Mouse:
            point = QPointF(event.pos()) - self.origin
            self.menu_asked.emit(self._cell_at(point.x(), point.y()), event.globalPos())
        elif self._at is not None and self._at[0].source is not None:
            cells, row, column = self._at
            place = rectangle(cells.place(row, column)).center() + self.origin
            cell = Cell(cells.source.name, cells.source.at(row, column)) if cells.source is not None else None
            self.menu_asked.emit(cell, self.viewport().mapToGlobal(place.toPoint()))

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
        if there is not None and there.name != cell.name and MARK not in there.name:
            self.dropped.emit(cell, there)
        else:
            self.opened.emit(cells, row, column)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        point = event.position() - self.origin
        cell = self._cell_at(point.x(), point.y())
        if cell is not None and cell.name.startswith(f"{OTHER}{MARK}"):
            # A cell of the other text may be dragged onto its counterpart; released in place, it opens.
            cells = self._cells_at(point.x(), point.y())
            assert cells is not None
            self._dragged = (cells, *cells.cell(point.x(), point.y()), cell)
            self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
            return
        if self._planes.press(point):
            return  # released without a drag, this is a click
        self._click(point)

    def _click(self, point: QPointF) -> None:
        """Handle a click at a point of the page."""
        # Look up both before emitting: opening a number changes the layout.
        cells, pick = self._cells_at(point.x(), point.y()), self._pick_at(point.x(), point.y())
        # A click on a small grid chooses it as a whole, not a cell; one on a head's piece of a strip does both.
        if cells is not None and (pick is None or cells.stride is not None):
            row, column = cells.cell(point.x(), point.y())
            self._cursor.leave()
            self._point(cells, row, column)
            self.opened.emit(cells, row, column)
            if self._at is not None:
                self._show_place(self._at[0].place(*self._at[1:]))  # the inspector may cover it now
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
        """Enlarge (1), shrink (-1) or reset (0) the view itself; labels appear as cells grow."""
        self._zoom = 0 if step == 0 else min(max(self._zoom + step, 0), len(_ZOOMS) - 1)
        before = self._pointed_at()
        self._place()
        after = self._pointed_at()
        if before is not None and after is not None:
            # Scroll so that the pointed cell stays at its place in the window.
            moved = (after - before).toPoint()
            for bar, by in ((self.horizontalScrollBar(), moved.x()), (self.verticalScrollBar(), moved.y())):
                bar.setValue(bar.value() + by)

    def _pointed_at(self) -> QPointF | None:
        """The centre of the pointed cell, in coordinates of the viewport."""
        if self._at is None:
            return None
        cells, row, column = self._at
        return rectangle(cells.place(row, column)).center() + self.origin

    # Cell cursor

    def start_cursor(self) -> None:
        """Put the cursor into the largest picture of cells."""
        if self._cursor.start(self._page):
            self._move_cursor(0, 0)
            self._follow_cursor()

    def leave_cursor(self) -> None:
        """Remove the cursor."""
        self._cursor.leave()
        self._point(None, 0, 0)
        self._follow_none()

    def _move_cursor(self, down: int, across: int) -> None:
        cells, row, column = self._cursor.move(self._page, down, across)
        self._at = None
        self._point(cells, row, column)
        self._show_place(cells.place(row, column))

    def _follow_cursor(self) -> None:
        """Make panels that follow the pointer follow the cursor; called after a user's move, not after a new layout."""
        if self._cursor.at is not None:
            cells, row, column = self._cursor.at
            self._follow_at(rectangle(cells.place(row, column)).center())

    def _follow_at(self, place: QPointF) -> None:
        self._follow(place.x(), place.y())
        # The new layout may have other cells at this word; the cursor stays on the word.
        there = self._cells_at(place.x(), place.y()) if self._followed is not None else None
        if there is not None:
            self._cursor.at = (there, *there.cell(place.x(), place.y()))
            self._move_cursor(0, 0)

    def _go(self, down: int, across: int) -> None:
        """Move the cursor by an arrow key; in a text that follows the cursor, to the next word instead."""
        assert self._cursor.at is not None
        cells, row, column = self._cursor.at
        here = rectangle(cells.place(row, column)).center()
        panel = next((rectangle(r) for p, r in self._page.panels if follows(p) and rectangle(r).contains(here)), None)
        own = self._pick_at(here.x(), here.y())
        here = here if own is None else rectangle(own.rect).center()
        ahead = []
        for pick in self._page.picks if panel is not None and self._followed is not None else ():
            word = rectangle(pick.rect).center()
            way = word - here
            far, aside = way.y() * down + way.x() * across, abs(way.x() * down) + abs(way.y() * across)
            if isinstance(pick.asks, Select) and panel is not None and panel.contains(word) and far > max(1, aside):
                ahead.append((far + 3 * aside, word.x(), word.y()))
        if ahead:
            self._follow_at(QPointF(*min(ahead)[1:]))
            return
        self._move_cursor(down, across)
        self._follow_cursor()

    def _switch_cells(self, by: int) -> None:
        self._cursor.switch(self._page, by)
        self._move_cursor(0, 0)
        self._follow_cursor()

    def _show_place(self, place: Rect) -> None:
        bar = self.verticalScrollBar()
        top, bottom = int(place.y), int(place.y + place.h + self._top + _MARGIN)
        if bar.value() > top:
            bar.setValue(top)
        elif bar.value() + self.viewport().height() < bottom:
            bar.setValue(bottom - self.viewport().height())

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() in HELD and not event.isAutoRepeat():
            self.held.emit("")
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.held.emit("")  # the key's release may go to another widget
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in HELD and not event.modifiers():
            if not event.isAutoRepeat():
                self.held.emit(HELD[Qt.Key(event.key())])
            return
        if any([sheet.take_key(event) for sheet in self.sheets]):
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
