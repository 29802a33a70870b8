"""A pane that lays a view out as a page, and zooms, scrolls and draws the page."""

from dataclasses import replace

from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPixmap, QResizeEvent
from PySide6.QtWidgets import QWidget

from desktop_app.core.panels import AnyPanel, Box, View, alone, of_token, panels_of
from desktop_app.figures.excerpt import titles_of
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.theme import LIGHT, Theme
from desktop_app.ui import fonts
from desktop_app.ui.picture.painted_pane import PaintedPane
from desktop_app.ui.picture.painting import draw_marks

_MARGIN = 24
_TOP = 30  # top margin below the tabs
_ZOOMS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


def _shape(view: View | None) -> list[type[AnyPanel]]:
    """The kinds of panels in a view; they are the same for every head and every text of a step."""
    return [type(panel) for panel in panels_of(view.content)] if view is not None else []


class PageView(PaintedPane):
    """Shows one View. A subclass may store things about a page, and finds them on the next one in `_find_again`."""

    resized = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Space for the scroll bar is always reserved; otherwise each long view would be laid out twice.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self._view: View | None = None
        self._theme: Theme = LIGHT
        self._scale = 1.0
        self._zoom = 0
        self._page = Page(LIGHT, fonts.measure)
        self._height = 0.0
        self._picture: QPixmap | None = None
        self._room_above = 0
        self._room = 0
        self._focused: int | None = None
        self._followed: int | None = None
        self.has_tabs = False
        """Whether there are tabs and switches above the page; nothing is drawn behind them."""
        self.placed = 0
        """How many times a view was laid out, for tests."""

    def _take_view(self, view: View | None, theme: Theme, scale: float) -> None:
        """Store `view` for the next layout. A panel shown alone stays alone in a view of the same kind."""
        if _shape(view) != _shape(self._view):
            self._focused = None
        self._view, self._theme, self._scale = view, theme, scale
        self._followed = None

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the view's pictures."""
        return () if self._view is None else titles_of(self._view)

    @property
    def focused(self) -> int | None:
        """The index of the panel that is shown alone; None if all are shown."""
        return self._focused

    @property
    def followed(self) -> int | None:
        """The token shown by panels that change with the pointer; None for the selected one."""
        return self._followed

    @property
    def page(self) -> Page:
        """The page as laid out last."""
        return self._page

    def set_room(self, height: int) -> None:
        """Lay the view out at least `height` high, scrolling if the pane is lower; 0: as high as the pane."""
        if height != self._room:
            self._room = height
            self._place()

    def make_room(self, height: int) -> None:
        """Reserve this additional height above the page, for switches that need a row of their own."""
        if height != self._room_above:
            self._room_above = height
            self._place()

    # Layout

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
        self._picture = None
        self.placed += 1
        self._find_again(before)
        self._set_scroll_bars(width)  # showing or hiding a scroll bar would trigger this layout again, from inside it
        self._settle()
        self.viewport().update()

    def _find_again(self, before: Page) -> None:
        """Find on the new page what was stored about the page `before`."""

    def _settle(self) -> None:
        """Scroll to what should be visible; called when the page and the scroll bars are final."""

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
        """The position of the page's corner in the viewport."""
        return QPointF(_MARGIN - self.horizontalScrollBar().value(), self._top - self.verticalScrollBar().value())

    @property
    def _top(self) -> int:
        """The height above the page, for the view's switches."""
        return max(_TOP, round(_TOP * self._scale)) + self._room_above

    def _zoom_by(self, step: int) -> None:
        """Enlarge (1), shrink (-1) or reset (0) the page."""
        self._zoom = 0 if step == 0 else min(max(self._zoom + step, 0), len(_ZOOMS) - 1)
        self._place()

    def _show_place(self, place: Rect) -> None:
        """Scroll until a rectangle of the page is visible."""
        bar = self.verticalScrollBar()
        top, bottom = int(place.y), int(place.y + place.h + self._top + _MARGIN)
        if bar.value() > top:
            bar.setValue(top)
        elif bar.value() + self.viewport().height() < bottom:
            bar.setValue(bottom - self.viewport().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()
        self.resized.emit()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._place()  # on a screen of higher resolution, more cells have a pixel each
        return super().event(event)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self._picture = None
        self.viewport().update()

    # Painting

    def _draw_picture(self, painter: QPainter) -> None:
        """Draw the page; `painter` is the viewport's. It is drawn once, and again only after a change."""
        if self._picture is None:
            self._picture = self._render()
        painter.drawPixmap(0, 0, self._picture)
        if self.has_tabs and self.verticalScrollBar().value():
            # Content that is scrolled up is hidden by the tabs and switches, instead of showing between them.
            painter.fillRect(0, 0, self.viewport().width(), self._top - 2, QColor(self._theme.background))

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
