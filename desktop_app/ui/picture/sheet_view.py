"""The widget that shows the sheet of the whole pass; it can be moved, zoomed and pointed at."""

import math
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import QGraphicsView, QWidget

from desktop_app.core.opening.cells import Region
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import SheetPanel
from desktop_app.core.sheet.camera import DEPTHS, closest, eased, framed, nearer, travel
from desktop_app.core.sheet.layout import Box, Plate, Sheet
from desktop_app.figures.marks import Cells, Page, Rect
from desktop_app.figures.paint_common import legend, legend_width
from desktop_app.figures.paint_sheet import HERE, Shot, paint_ground, paint_here, paint_words, wants_numbers
from desktop_app.figures.sheet_tiles import TILE, pooled_phrase, units_for
from desktop_app.figures.theme import LIGHT, Theme
from desktop_app.ui import fonts
from desktop_app.ui.picture.motion import FRAME_MS, moves
from desktop_app.ui.picture.overlay import Overlay
from desktop_app.ui.picture.painting import draw_marks, rectangle
from desktop_app.ui.picture.sheet_tiles import Ground, Key, Tiles

_FAR = 1e9
_AIMED = 4.0  # pixels: a cell of at least this width can be pointed at individually
_STEP, _NOTCH = 1.35, 1.22  # zoom factors of a key press, and of a notch of the mouse wheel
_FARTHEST = 3.0  # how many times wider than the sheet the view may be
_MOST_NUMBERS = 1200
# animation of a change of view: seconds per screen of distance, and its shortest and longest duration
_PACE, _LEAST_S, _MOST_S = 0.24, 0.3, 1.4
# height of a row of notes, and the width from which two of them fit side by side, in units of the page
_NOTES, _BESIDE = 34.0, 640.0
_COARSER = 8  # how many times coarser the substitute for a missing tile may be


class SheetView(pg.GraphicsView):  # type: ignore[misc] # pyqtgraph has no types
    """Shows a SheetPanel. The keyboard focus stays with the pane below, which forwards its keys."""

    pointed = Signal(object, int, int)  # Cells or None, row, column under the pointer
    opened = Signal(object, int, int)
    chosen = Signal(str, object, object)  # a picture was clicked: its tensor, its head or None, a token or None
    # the user moved the view: this widget, and the part of the sheet that it now shows
    moved_by_hand = Signal(object, object)
    entered = Signal()  # the keyboard focus has to go to the pane below
    _panel: SheetPanel | None = None  # defined here because pyqtgraph asks for sizes during its constructor
    _whole = True
    _marked: Region | None = None

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, useOpenGL=False)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.FullViewportUpdate)
        self.setMouseTracking(True)
        self.box = pg.ViewBox(lockAspect=True, enableMenu=False, invertY=True, defaultPadding=0)
        self.setCentralItem(self.box)
        self._item = _Picture(self)
        self.box.addItem(self._item, ignoreBounds=True)
        self.box.sigRangeChanged.connect(self._moved)
        self.tiles = Tiles(self)
        self.tiles.arrived.connect(self._repaint)
        self._theme: Theme = LIGHT
        self._scale = 1.0
        self._at: tuple[int, int, int] | None = None
        self._readout: Readout | None = None
        self._lit: tuple[tuple[Region, ...], tuple[Region, ...]] = ((), ())
        self._pressed: QPointF | None = None
        self._depth = 0
        self._stays = False
        self._way: Any = None
        self._begun = self._takes = 0.0
        self._timer = QTimer(self, interval=FRAME_MS)
        self._timer.timeout.connect(self._travel)
        self._ask = QTimer(self, interval=0, singleShot=True)
        self._ask.timeout.connect(self._want)
        self.frames = 0
        """How many times the sheet was painted, for tests and benchmarks."""

    # Content

    def show_panel(self, panel: SheetPanel, theme: Theme, scale: float) -> None:
        """Show a sheet: all of it if the text or the model changed, else the same part as before."""
        before = self._panel
        sheet = panel.sheet
        assert sheet is not None
        self._panel, self._theme, self._scale = panel, theme, scale
        self.setBackground(theme.background)
        self.tiles.show(Ground(sheet, panel.values, theme))
        if before is None or before.sheet is not sheet:
            self._timer.stop()
            self._point(None)
            margin = sheet.width * 0.5
            self.box.setLimits(
                xMin=-margin, xMax=sheet.width + margin, yMin=-margin, yMax=sheet.height + margin,
                minXRange=closest(sheet), maxXRange=sheet.width * _FARTHEST,
            )  # fmt: skip
            self.show_whole(at_once=True)
        elif before.here != panel.here or before.token != panel.token:
            self._follow()
        self._want_soon()
        self._repaint()

    @property
    def panel(self) -> SheetPanel | None:
        """The panel that is shown."""
        return self._panel

    @property
    def shot(self) -> Shot:
        """The visible part of the sheet, and where it is on the screen."""
        (left, right), (top, low) = self.box.viewRange()
        place = self.viewport().rect()
        return Shot(Box(left, top, right - left, low - top), Rect(0, 0, place.width(), place.height()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._panel is None:
            return
        if self._whole:
            self.show_whole(at_once=True)
        else:
            self._keep_marked()

    def set_marked(self, region: Region | None) -> None:
        """Outline the opened cell, and keep it visible when the view becomes lower."""
        self._marked = region
        self._keep_marked()
        self._repaint()

    def _keep_marked(self) -> None:
        boxes = self._marked_boxes()
        view = self.shot.view
        if self._whole or not boxes or self._timer.isActive():
            return
        x, y = boxes[0].x + boxes[0].w / 2, boxes[0].y + boxes[0].h / 2
        if not view.holds(x, y):
            self._show(Box(x - view.w / 2, y - view.h / 2, view.w, view.h))

    def _marked_boxes(self) -> list[Box]:
        panel, marked = self._panel, self._marked
        if panel is None or panel.sheet is None or marked is None or marked.run != panel.run:
            return []
        return panel.sheet.region_boxes(marked.name, marked.index)

    @property
    def marked_place(self) -> Rect | None:
        """Where the opened cell is shown, in pixels of the viewport."""
        boxes = self._marked_boxes()
        return self.shot.place(boxes[0]) if boxes and _meet(boxes[0], self.shot.view) else None

    # Moving around

    def show_whole(self, *, at_once: bool = False) -> None:
        """Show the whole sheet."""
        self._depth = 0
        if self._panel is not None and self._panel.sheet is not None:
            self._go(self._panel.sheet.box, at_once=at_once, whole=True, margin=0.01)

    def go_nearer(self, by: int) -> bool:
        """Zoom in on the current place by one level (1) or out (-1); return False at the last level."""
        panel = self._panel
        if panel is None or panel.sheet is None or not 0 <= self._depth + by < len(DEPTHS):
            return False
        self._depth += by
        depth = DEPTHS[self._depth]
        if self._depth == 0:
            self.show_whole()
        else:
            self._go(nearer(panel.sheet, panel.here, depth, panel.token))
        return True

    def go_to_plate(self, n: int) -> None:
        """Move to a picture, so that it fills the view."""
        panel = self._panel
        if panel is None or panel.sheet is None:
            return
        self._depth = 2
        self._go(panel.sheet.plates[n].box.grown(panel.sheet.gap))

    def zoom(self, by: int) -> None:
        """Zoom in (1) or out (-1) around the centre of the view; 0 shows the whole sheet."""
        if by == 0:
            self.show_whole()
            return
        shot = self.shot
        factor = _STEP**-by
        w, h = shot.view.w * factor, shot.view.h * factor
        x, y = shot.view.x + shot.view.w / 2, shot.view.y + shot.view.h / 2
        self._go(Box(x - w / 2, y - h / 2, w, h), margin=0)

    def _follow(self) -> None:
        """Move to the new step, head or token of the walk, unless the whole sheet is shown."""
        panel = self._panel
        if panel is None or panel.sheet is None or not panel.here or self._whole or self._stays:
            return
        shot = self.shot
        boxes = [nearer(panel.sheet, panel.here, depth, panel.token) for depth in DEPTHS]
        wide = [framed(box, shot.rect.w, shot.rect.h).w for box in boxes]
        # Keep the current level of zoom, also after the user zoomed.
        self._depth = min(range(1, len(DEPTHS)), key=lambda n: abs(math.log(wide[n] / shot.view.w)))
        self._go(boxes[self._depth])

    def _go(self, box: Box, *, at_once: bool = False, whole: bool = False, margin: float = 0.06) -> None:
        shot = self.shot
        foot = self._foot(shot) if whole else 0.0
        target = framed(box, shot.rect.w, shot.rect.h - foot, margin)
        above = 0.0
        if whole and self._panel is not None and self._panel.sheet is not None:
            # The label of the current step is above the blocks, beside the inputs.
            blocks, strip = self._panel.sheet.blocks_from, HERE * self._scale
            below = Box(box.x, blocks, box.w, box.h - blocks)
            if strip < shot.rect.h / 8:
                target = max(target, framed(below, shot.rect.w, shot.rect.h - foot - strip, 0.0), key=lambda b: b.w)
            above = max(0.0, strip * target.w / shot.rect.w - blocks)
        units = target.w / max(shot.rect.w, 1.0)
        free = units * (shot.rect.h - foot) - box.h
        target = Box(target.x, box.y - max(free / 2, min(above, free)), target.w, units * shot.rect.h)
        self._whole = whole
        self._timer.stop()
        if at_once or not self.isVisible() or not moves():
            self._show(target)
            return
        way, length = travel(shot.view, target)
        self._way, self._begun = way, monotonic()
        self._takes = min(_MOST_S, _LEAST_S + _PACE * length)
        self._timer.start()

    def _foot(self, shot: Shot) -> float:
        """The height of the notes at the lower edge: they cover no picture of the whole sheet if there is space."""
        foot = (1 if shot.rect.w > _BESIDE * self._scale else 2) * _NOTES * self._scale
        return foot if foot < shot.rect.h / 4 else 0.0

    def _travel(self) -> None:
        t = min(1.0, (monotonic() - self._begun) / self._takes)
        self._show(self._way(eased(t)))
        if t >= 1:
            self._timer.stop()

    @property
    def travelling(self) -> bool:
        """Whether an animated change of view is running."""
        return self._timer.isActive()

    def _show(self, view: Box) -> None:
        self.box.setRange(QRectF(view.x, view.y, view.w, view.h), padding=0, disableAutoRange=True)

    def _moved(self, *_: object) -> None:
        self._want_soon()
        self._repaint()
        if self._pressed is not None and not self._whole:
            self.moved_by_hand.emit(self, self.shot.view)

    def move_along(self, other: "SheetView", view: Box) -> None:
        """Show the same part as another widget with a sheet of the same layout, which the user moved."""
        panel = self._panel
        if other is self or panel is None or other.panel is None or panel.sheet is not other.panel.sheet:
            return
        self._whole = False
        self._timer.stop()
        self._show(view)

    def _repaint(self) -> None:
        self._item.update()
        self.viewport().update()

    # Tiles

    def _want_soon(self) -> None:
        if not self._ask.isActive():
            self._ask.start()

    def _keys(self, shot: Shot) -> tuple[int, list[Key]]:
        """The level of detail and the keys of the visible tiles, those in the centre first."""
        panel = self._panel
        assert panel is not None and panel.sheet is not None
        units = units_for(1 / (shot.scale * self.devicePixelRatioF()))
        side, view, sheet = TILE * units, shot.view, panel.sheet
        columns = range(max(0, int(view.x // side)), int(min(sheet.width - 1, view.x + view.w) // side) + 1)
        rows = range(max(0, int(view.y // side)), int(min(sheet.height - 1, view.y + view.h) // side) + 1)
        x, y = (view.x + view.w / 2) / side, (view.y + view.h / 2) / side
        keys = [(units, column, row) for row in rows for column in columns]
        return units, sorted(keys, key=lambda k: abs(k[1] + 0.5 - x) + abs(k[2] + 0.5 - y))

    def _want(self) -> None:
        panel = self._panel
        if panel is None or panel.sheet is None or not self.isVisible():
            return
        shot = self.shot
        _, keys = self._keys(shot)
        numbers: list[tuple[int, range, range]] = []
        for n in panel.sheet.seen(shot.view) if panel.values is not None else ():
            plate = panel.sheet.plates[n]
            if wants_numbers(plate, shot.scale, self._scale):
                rows, columns = _cells_in(plate, shot.view)
                if 0 < len(rows) * len(columns) <= _MOST_NUMBERS:
                    numbers.append((int(n), rows, columns))
        self.tiles.want(keys, numbers)

    # Painting

    def paint_all(self, painter: QPainter) -> None:
        """Paint everything, in pixels of the viewport."""
        panel = self._panel
        if panel is None or panel.sheet is None:
            return
        self.frames += 1
        shot = self.shot
        below = Page(self._theme, fonts.measure, self._scale)
        paint_ground(panel.sheet, shot, below)
        draw_marks(painter, below.marks)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        units, keys = self._keys(shot)
        drawn = [self._tile(painter, shot, key) for key in keys]
        above = Page(self._theme, fonts.measure, self._scale)
        paint_words(panel, shot, above, self.tiles.numbers)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        self._light(painter, shot)
        paint_here(panel, shot, above)
        draw_marks(painter, above.marks)
        self._say(painter, shot, units, waits=not any(drawn) and panel.values is not None)

    def _tile(self, painter: QPainter, shot: Shot, key: Key) -> bool:
        """Draw a tile, or its part of a coarser one; return whether there is one."""
        units, column, row = key
        side = TILE * units
        place = rectangle(shot.place(Box(column * side, row * side, side, side)))
        found = self.tiles.get(key)
        if found is not None:
            painter.drawImage(place, found)
            return True
        coarser = 2
        while coarser <= _COARSER:
            rough = self.tiles.get((units * coarser, column // coarser, row // coarser))
            if rough is not None:
                part = TILE / coarser
                at = QRectF(column % coarser * part, row % coarser * part, part, part)
                painter.drawImage(place, rough, at)
                return True
            coarser *= 2
        return False

    def _light(self, painter: QPainter, shot: Shot) -> None:
        """Outline what the cell under the pointer was computed from (solid), and what it is used for (dashed)."""
        panel = self._panel
        assert panel is not None and panel.sheet is not None
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for regions, style in zip(self._lit, (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine), strict=True):
            painter.setPen(QPen(QColor(self._theme.ink), 1.5, style))
            for region in (region for region in regions if region.run == panel.run):
                for box in panel.sheet.region_boxes(region.name, region.index):
                    if _meet(box, shot.view):
                        painter.drawRect(rectangle(shot.place(box)).adjusted(-1, -1, 1, 1))
        painter.setPen(QPen(QColor(self._theme.accent), 2.5))
        for box in self._marked_boxes():
            painter.drawRect(rectangle(shot.place(box)).adjusted(-2, -2, 2, 2))
        if self._at is not None:
            plate = panel.sheet.plates[self._at[0]]
            place = rectangle(shot.place(plate.cell_box(*self._at[1:])))
            painter.setPen(QPen(QColor(self._theme.accent), 2))
            painter.drawRect(place.adjusted(-1, -1, 1, 1))

    def _say(self, painter: QPainter, shot: Shot, units: int, *, waits: bool) -> None:
        panel = self._panel
        assert panel is not None and panel.sheet is not None
        page = Page(self._theme, fonts.measure, self._scale)
        if waits:
            wide, high = page.width(panel.waiting, size=13) + page.u(24), page.u(28)
            note = Rect((shot.rect.w - wide) / 2, (shot.rect.h - high) / 2, wide, high)
            page.fill(note, self._theme.panel, stroke=self._theme.line, radius=page.u(14))
            page.words(note.x + page.u(12), note.y + high / 2, panel.waiting, size=13, colour=self._theme.dim)
        if self._at is not None:
            plate = panel.sheet.plates[self._at[0]]
            place = rectangle(shot.place(plate.cell_box(*self._at[1:])))
            over = Overlay(painter, page, QRectF(self.viewport().rect()))
            over.say(self._readout or self._named(plate, units), place)
        seen = [panel.sheet.plates[n] for n in panel.sheet.seen(shot.view)]
        widest = max(seen, key=lambda p: p.columns, default=None)
        words, less = (
            ("", "") if widest is None else (pooled_phrase(widest, units), pooled_phrase(widest, units, brief=True))
        )
        middle = panel.sheet.plate_at(shot.view.x + shot.view.w / 2, shot.view.y + shot.view.h / 2)
        # the top of the picture, with its name, is not visible
        if middle is not None and panel.sheet.plates[middle].y < shot.view.y:
            plate = panel.sheet.plates[middle]
            words = less = plate.name if plate.head is None else f"{plate.name}, head {plate.head}"
        taken = self._say_scale(shot, page)
        if words:
            wide, high = page.width(words, size=11) + page.u(16), page.u(20)
            # the inspector shows the rest, as it does for a picture under the pointer
            if wide + page.u(24) > shot.rect.w - taken.w:
                words, wide = less, page.width(less, size=11) + page.u(16)
            beside = wide + page.u(24) <= shot.rect.w - taken.w
            corner = Rect(page.u(8), (shot.rect.h if beside else taken.y) - high - page.u(8), wide, high)
            page.fill(corner, self._theme.panel, stroke=self._theme.line, radius=page.u(10))
            page.words(corner.x + page.u(8), corner.y + high / 2, words, size=11, colour=self._theme.dim)
        draw_marks(painter, page.marks)

    def _say_scale(self, shot: Shot, page: Page) -> Rect:
        """Draw the colour scale of one tensor, once it is known, and return its rectangle.

        It consists of the limits, and of the number of cells beyond them.
        """
        panel = self._panel
        assert panel is not None and panel.sheet is not None
        low = Rect(shot.rect.w, shot.rect.h, 0, 0)
        name = self._scaled(panel.sheet, shot)
        scale = panel.values.known(name) if panel.values is not None and name else None
        pad, high = page.u(10), page.u(24)
        most = shot.rect.w - page.u(16) - 2 * pad
        if scale is None or most < page.u(120):
            return low
        named = page.width(name, size=11) + page.u(12)
        own = legend_width(scale.levels, page, scale.beyond)
        stacked = named + own > most
        wide = min(most, max(named, own) if stacked else named + own)
        tall = high + (page.u(16) if stacked else 0)
        place = Rect(shot.rect.w - wide - 2 * pad - page.u(8), shot.rect.h - tall - page.u(6), wide + 2 * pad, tall)
        page.fill(place, self._theme.panel, stroke=self._theme.line, radius=page.u(10))
        x, y = place.x + pad, place.y + (page.u(11) if stacked else high / 2)
        page.words(x, y, name, size=11, colour=self._theme.dim, room=wide)
        left = x if stacked else x + named
        bar = Rect(left, place.y + tall - high + page.u(4), place.x + pad + wide - left, high)
        legend(scale.levels, bar, page, scale.beyond)
        return place

    def _scaled(self, sheet: Sheet, shot: Shot) -> str:
        """The tensor whose scale is shown: under the pointer, else the current one if visible, or the central one."""
        panel = self._panel
        assert panel is not None
        if self._at is not None:
            return sheet.plates[self._at[0]].name
        if any(_meet(sheet.plates[n].box, shot.view) for n in sheet.of_tensor(panel.tensor)):
            return panel.tensor
        middle = sheet.plate_at(shot.view.x + shot.view.w / 2, shot.view.y + shot.view.h / 2)
        return "" if middle is None else sheet.plates[middle].name

    def _named(self, plate: Plate, units: int) -> Readout:
        """What is shown for a picture under the pointer whose cells are too small to be pointed at."""
        assert self._panel is not None
        meaning = ""
        if self._panel.values is not None:
            meaning = self._panel.values.trace.table[plate.name].spec.meaning
        head = f", head {plate.head}" if plate.head is not None else ""
        pooled = pooled_phrase(plate, units)
        return Readout(f"{plate.label}{head}", plate.name, f"{meaning}{'; ' if pooled else ''}{pooled}")

    # Pointing

    def set_readout(self, readout: Readout | None) -> None:
        """Set the words about the cell under the pointer."""
        self._readout = readout
        self._repaint()

    def set_lit(self, sources: Sequence[Region], targets: Sequence[Region]) -> None:
        """Set the cells that the cell under the pointer was computed from, and those it is used for."""
        self._lit = tuple(sources), tuple(targets)
        self._repaint()

    def _plate_at(self, point: QPointF) -> tuple[int, int, int] | None:
        panel = self._panel
        if panel is None or panel.sheet is None:
            return None
        at = self.shot.on_sheet(point.x(), point.y())
        n = panel.sheet.plate_at(*at)
        return None if n is None else (n, *panel.sheet.plates[n].cell_at(*at))

    def _can_aim(self, n: int) -> bool:
        assert self._panel is not None and self._panel.sheet is not None
        plate, scale = self._panel.sheet.plates[n], self.shot.scale
        return min(plate.cell_w, plate.cell_h) * scale >= _AIMED and self._panel.values is not None

    def _cells(self, n: int) -> Cells:
        """A plate (the picture of one tensor) as Cells of a page, for the code that describes cells."""
        panel = self._panel
        assert panel is not None and panel.sheet is not None
        plate = panel.sheet.plates[n]
        source = replace(plate.source, run=panel.run)
        return Cells(self.shot.place(plate.box), plate.rows, plate.columns, np.zeros((0, 0)), source, plate.label)

    def _point(self, at: tuple[int, int, int] | None) -> None:
        if at == self._at:
            return
        self._at, self._readout = at, None
        if at is None or not self._can_aim(at[0]):
            self.pointed.emit(None, 0, 0)
        else:
            self.pointed.emit(self._cells(at[0]), at[1], at[2])
        self._repaint()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        if self._pressed is None:
            self._point(self._plate_at(event.position()))
        elif (event.position() - self._pressed).manhattanLength() > 6:
            self._whole = False
            self._timer.stop()

    def leaveEvent(self, event: Any) -> None:
        super().leaveEvent(event)
        self._point(None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.entered.emit()
        self._pressed = event.position()
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        pressed, self._pressed = self._pressed, None
        if pressed is None or event.button() != Qt.MouseButton.LeftButton:
            return
        if (event.position() - pressed).manhattanLength() > 6:
            return
        at = self._plate_at(event.position())
        if at is None:
            return
        assert self._panel is not None and self._panel.sheet is not None
        plate = self._panel.sheet.plates[at[0]]
        aimed, cells = self._can_aim(at[0]), self._cells(at[0])
        row = at[1] if plate.cell_h * self.shot.scale >= _AIMED else None
        self._stays = True  # no change of view, because the clicked picture is visible
        self.chosen.emit(plate.name, plate.head, row)
        self._stays = False
        if aimed:
            self.opened.emit(cells, at[1], at[2])

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        at = self._plate_at(event.position())
        if at is not None:
            self.go_to_plate(at[0])

    def wheelEvent(self, event: Any) -> None:
        """Zoom around the pointer. Replaces pyqtgraph's zoom, which starts from the state that was painted last."""
        panel = self._panel
        if panel is None or panel.sheet is None:
            return
        self._whole = False
        self._timer.stop()
        shot, at = self.shot, event.position()
        x, y = shot.on_sheet(at.x(), at.y())
        wide = shot.view.w * _NOTCH ** (-event.angleDelta().y() / 120)
        factor = min(max(wide, closest(panel.sheet)), _FARTHEST * panel.sheet.width) / shot.view.w
        left, top = x - (x - shot.view.x) * factor, y - (y - shot.view.y) * factor
        self._show(Box(left, top, shot.view.w * factor, shot.view.h * factor))
        self._point(self._plate_at(at))
        self.moved_by_hand.emit(self, self.shot.view)
        event.accept()

    def take_key(self, event: QKeyEvent) -> bool:
        """Handle a key; return False if the sheet does not use it."""
        if event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier & ~Qt.KeyboardModifier.ShiftModifier:
            return False
        key = event.key()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            return self.go_nearer(1) or self._open_nearest()
        if key == Qt.Key.Key_Escape:
            return self.go_nearer(-1)
        if key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom(1)
            return True
        if key == Qt.Key.Key_Minus:
            self.zoom(-1)
            return True
        return False

    def _open_nearest(self) -> bool:
        """Open the cell of the selected token that is nearest to the centre, once the view cannot zoom in further.

        Returns False if there is none.
        """
        panel = self._panel
        if panel is None or panel.sheet is None or not panel.here or not self._can_aim(panel.here[0]):
            return False
        view = self.shot.view
        plate = panel.sheet.plates[panel.here[0]]
        _, column = plate.cell_at(view.x + view.w / 2, view.y + view.h / 2)
        self.opened.emit(self._cells(panel.here[0]), min(panel.token, plate.rows - 1), column)
        return True

    def close_down(self) -> None:
        """End the thread and the timers, and release the pass."""
        self._timer.stop()
        self._ask.stop()
        self._panel = None
        self.tiles.close()
        self.close()

    def show_nothing(self) -> None:
        """Show nothing, and release the pass."""
        self._timer.stop()
        self._panel = self._at = None
        self._lit = ((), ())
        self.tiles.drop()
        self.hide()


class _Picture(pg.GraphicsObject):  # type: ignore[misc] # pyqtgraph has no types
    """The only item in the view box; `SheetView` paints it, in pixels of the viewport."""

    def __init__(self, view: SheetView) -> None:
        super().__init__()
        self._view = view

    def boundingRect(self) -> QRectF:
        return QRectF(-_FAR, -_FAR, 2 * _FAR, 2 * _FAR)

    def paint(self, painter: QPainter, *_: object) -> None:
        painter.save()
        painter.resetTransform()
        self._view.paint_all(painter)
        painter.restore()


def _meet(one: Box, other: Box) -> bool:
    across = one.x < other.x + other.w and one.x + one.w > other.x
    return across and one.y < other.y + other.h and one.y + one.h > other.y


def _cells_in(plate: Plate, view: Box) -> tuple[range, range]:
    """The rows and columns of a plate that overlap a part of the sheet."""
    top, left = plate.cell_at(view.x, view.y)
    low, right = plate.cell_at(view.x + view.w, view.y + view.h)
    return range(top, low + 1), range(left, right + 1)
