"""The sheets of whole passes on a page: one, or one per compared pass. Sheets of the same layout move together."""

from PySide6.QtCore import QObject, QPointF, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QWidget

from desktop_app.core.asking.intents import Visit
from desktop_app.core.opening.cells import Region
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import SheetPanel
from desktop_app.core.sheet.layout import Box
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.paint_sheet import sheet_room
from desktop_app.figures.theme import Theme
from desktop_app.ui.picture.painting import rectangle
from desktop_app.ui.picture.sheet_view import SheetView


class Sheets(QObject):
    """Places sheets over the rectangles of a page that show them, inside `viewport`."""

    pointed = Signal(object, int, int)  # Cells or None, row, column
    opened = Signal(object, int, int)
    entered = Signal()  # the keyboard focus has to go to the pane below
    asked = Signal(object)  # an Intent

    def __init__(self, viewport: QWidget) -> None:
        super().__init__(viewport)
        self._viewport = viewport
        self._all: list[SheetView] = []

    @property
    def shown(self) -> list[SheetView]:
        """The sheets that are shown."""
        return [sheet for sheet in self._all if sheet.panel is not None]

    def lay(self, page: Page, origin: QPointF, theme: Theme, scale: float) -> None:
        """Show the sheets of a page whose corner is at `origin`."""
        panels = [(panel, rect) for panel, rect in page.panels if isinstance(panel, SheetPanel) and panel.sheet]
        while len(self._all) < len(panels):
            self._all.append(self._made())
        for sheet, (panel, rect) in zip(self._all, panels, strict=False):
            sheet.setGeometry(rectangle(sheet_room(panel, rect, page)).translated(origin).toAlignedRect())
            sheet.show_panel(panel, theme, scale)
            sheet.show()
        for sheet in self._all[len(panels) :]:
            sheet.show_nothing()

    def _made(self) -> SheetView:
        sheet = SheetView(self._viewport)
        sheet.pointed.connect(self.pointed)
        sheet.opened.connect(self.opened)
        sheet.entered.connect(self.entered)
        sheet.chosen.connect(self._visit)
        sheet.moved_by_hand.connect(self._move_together)
        return sheet

    def _move_together(self, moved: SheetView, view: Box) -> None:
        for sheet in self.shown:
            sheet.move_along(moved, view)

    def _visit(self, tensor: str, head: object, token: object) -> None:
        self.asked.emit(
            Visit(tensor, head if isinstance(head, int) else None, token if isinstance(token, int) else None)
        )

    def move(self, dx: int, dy: int) -> None:
        """Move with the page."""
        for sheet in self.shown:
            sheet.move(sheet.x() + dx, sheet.y() + dy)

    def set_lit(self, sources: tuple[Region, ...], targets: tuple[Region, ...]) -> None:
        """Highlight these cells on every sheet."""
        for sheet in self._all:
            sheet.set_lit(sources, targets)

    def set_marked(self, region: Region | None) -> None:
        """Outline the opened cell on every sheet."""
        for sheet in self._all:
            sheet.set_marked(region)

    def marked_places(self) -> list[Rect]:
        """Where the sheets show the opened cell, in pixels of the viewport in which they are laid."""
        places = ((sheet, sheet.marked_place) for sheet in self.shown)
        return [Rect(p.x + sheet.x(), p.y + sheet.y(), p.w, p.h) for sheet, p in places if p is not None]

    def set_readout(self, readout: Readout | None) -> None:
        """Set the words beside the cell under the pointer."""
        for sheet in self._all:
            sheet.set_readout(readout)

    def take_key(self, event: QKeyEvent) -> bool:
        """Let every sheet handle a key; return whether one did."""
        return any([sheet.take_key(event) for sheet in self.shown])

    def close_down(self) -> None:
        """Stop the background work of the sheets."""
        for sheet in self._all:
            sheet.close_down()
        self._all = []
