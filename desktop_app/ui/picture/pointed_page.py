"""A page with cells that can be pointed at, highlighted and outlined, including those of sheets on it."""

from collections.abc import Iterable

from PySide6.QtCore import QPointF, QRectF, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from desktop_app.core.asking.intents import Frame
from desktop_app.core.opening.cells import Region
from desktop_app.core.opening.describe import Readout
from desktop_app.figures.marks import Cells, Page, Rect
from desktop_app.ui.picture.overlay import Overlay
from desktop_app.ui.picture.page_view import PageView
from desktop_app.ui.picture.painting import rectangle
from desktop_app.ui.picture.planes import Planes
from desktop_app.ui.picture.sheet_view import SheetView
from desktop_app.ui.picture.sheets import Sheets


class PointedPage(PageView):
    """Draws highlights over the page, and emits the cell under the pointer; a subclass handles the pointer's events."""

    asked = Signal(object)  # an Intent
    pointed = Signal(object, int, int)  # Cells or None, row, column
    opened = Signal(object, int, int)  # a cell was clicked, or Enter was pressed at it

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._at: tuple[Cells, int, int] | None = None
        self._readout: Readout | None = None
        self._marked: Region | None = None
        self._lit: tuple[tuple[Region, ...], tuple[Region, ...]] = ((), ())
        self._lit_places: tuple[list[Rect], list[Rect]] = ([], [])
        self._spotlight = False
        self._planes = Planes(lambda: self._page, self)
        self._planes.moved.connect(self._plane_moved)
        self._planes.framed.connect(lambda window: self.asked.emit(Frame(window)))
        self._sheets = Sheets(self.viewport())
        self._sheets.pointed.connect(self.pointed)
        self._sheets.opened.connect(self.opened)
        self._sheets.entered.connect(self.setFocus)
        self._sheets.asked.connect(self.asked)

    @property
    def spotlight(self) -> bool:
        """Whether everything except the cell under the pointer is dimmed."""
        return self._spotlight

    def set_spotlight(self, on: bool) -> None:
        """Switch the spotlight, a ring around the cell under the pointer with everything else dimmed."""
        self._spotlight = on
        self.viewport().update()

    def set_lit(self, sources: Iterable[Region], targets: Iterable[Region]) -> None:
        """Highlight what the cell under the pointer was computed from and what it is used for, wherever shown."""
        lit = tuple(sources), tuple(targets)
        if lit != self._lit:
            self._lit = lit
            self._sheets.set_lit(*lit)
            self._find_lit()

    def _find_lit(self) -> None:
        sources, targets = self._lit
        self._lit_places = self.lit_places(sources), self.lit_places(targets)
        self.viewport().update()

    @property
    def lit(self) -> tuple[list[Rect], list[Rect]]:
        """The highlighted rectangles: what the cell was computed from, and what it is used for."""
        return self._lit_places

    def set_marked(self, region: Region | None) -> None:
        """Outline the opened cell wherever it is shown, and keep it visible when the layout changes."""
        if region != self._marked:
            self._marked = region
            self._sheets.set_marked(region)
            self._show_marked()
            self.viewport().update()

    def _show_marked(self) -> None:
        if self._marked is None:
            return
        pointed = self._at[0].lit(self._marked) if self._at is not None else None
        places = [pointed] if pointed is not None else self.lit_places([self._marked])
        by = self.origin
        places += [Rect(p.x - by.x(), p.y - by.y(), p.w, p.h) for p in self._sheets.marked_places()]
        if places:
            # Scroll to the picture in which it was clicked, otherwise to the largest picture.
            self._show_place(max(places, key=lambda r: r.w * r.h))

    def lit_places(self, regions: Iterable[Region]) -> list[Rect]:
        """The rectangles of these cells in the displayed view."""
        found = (cells.lit(region) for region in regions for cells in self._page.cells)
        return [rect for rect in found if rect is not None]

    def set_readout(self, readout: Readout | None) -> None:
        """Set the words drawn beside the cell under the pointer."""
        self._readout = readout
        self._sheets.set_readout(readout)
        self.viewport().update()

    @property
    def readout(self) -> Readout | None:
        """The words about the cell under the pointer."""
        return self._readout

    def _point(self, cells: Cells | None, row: int, column: int) -> None:
        same = cells is None if self._at is None else cells is self._at[0] and (row, column) == self._at[1:]
        if same:
            return
        self._at = None if cells is None else (cells, row, column)
        self._readout = None
        self.pointed.emit(cells, row, column)
        self.viewport().update()

    def _pointed_at(self) -> QPointF | None:
        """The centre of the cell under the pointer, in coordinates of the viewport."""
        if self._at is None:
            return None
        cells, row, column = self._at
        return rectangle(cells.place(row, column)).center() + self.origin

    def panel_at(self) -> int | None:
        """The index of the panel under the pointer; if there is no pointer, of the largest panel."""
        if self._at is not None:
            middle = self._at[0].rect.middle
            for n, (_, rect) in enumerate(self._page.panels):
                if rect.holds(*middle):
                    return n
        rooms = [r.w * r.h for _, r in self._page.panels]
        return rooms.index(max(rooms)) if rooms else None

    def focus_panel(self, panel: int | None) -> None:
        """Show one panel alone, filling the pane; None shows all panels."""
        if panel != self._focused:
            self._focused = panel
            self._point(None, 0, 0)
            self._place()

    @property
    def sheets(self) -> list[SheetView]:
        """The sheets that are shown: one, or one for each pass that is compared."""
        return self._sheets.shown

    def close_down(self) -> None:
        """Stop the background work of the sheets."""
        self._sheets.close_down()

    # Layout and painting

    def _find_again(self, before: Page) -> None:
        self._planes.laid_out()
        # Find the same cell of the same picture in the new layout, which may have another order.
        if self._at is not None:
            cells, row, column = self._at
            again = self._page.again(cells, before)
            self._point(again if again is not None and again.has(row, column) else None, row, column)
        self._find_lit()
        self._sheets.lay(self._page, self.origin, self._theme, self._scale)

    def _settle(self) -> None:
        self._show_marked()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        super().scrollContentsBy(dx, dy)
        self._sheets.move(dx, dy)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        self._draw_picture(painter)
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

    def _plane_moved(self) -> None:
        """Redraw a plane of points while it is dragged; since it has moved, no cell is under the pointer."""
        self._point(None, 0, 0)
        self.viewport().update()
