"""The planes of points on a page while the user drags or zooms them; afterwards they are laid out again."""

from collections.abc import Callable

from PySide6.QtCore import QObject, QPointF, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent

from desktop_app.figures.marks import Page
from desktop_app.ui.picture.moving_map import MovingMap
from desktop_app.ui.picture.painting import rectangle

_REST_MS = 180  # milliseconds after the last wheel event at which a zoomed plane is laid out
_DRAG = 4  # pixels by which a pressed pointer has to move to start a drag
_ENLARGING = {Qt.Key.Key_Plus: 1.25, Qt.Key.Key_Equal: 1.25, Qt.Key.Key_Minus: 0.8}
_PUSHING = {Qt.Key.Key_Left: (1, 0), Qt.Key.Key_Right: (-1, 0), Qt.Key.Key_Up: (0, 1), Qt.Key.Key_Down: (0, -1)}
_WHOLE = (0.0, 0.0, 1.0, 1.0)


class Planes(QObject):
    """Moves the planes of the page that `page` returns, one at a time."""

    moved = Signal()  # a plane has moved since its last layout, and has to be redrawn
    framed = Signal(object)  # a plane came to rest: its visible part, or () for all of it

    def __init__(self, page: Callable[[], Page], parent: QObject) -> None:
        super().__init__(parent)
        self._page = page
        self.moving: MovingMap | None = None
        """The plane that was moved, until the page is laid out with it."""
        self._pressed: QPointF | None = None  # the point at which a plane is held
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._let_rest)

    @property
    def held(self) -> bool:
        """Whether the pointer holds a plane."""
        return self._pressed is not None

    def laid_out(self) -> None:
        """Take note of a new layout of the page, with the moved plane or with another view."""
        self._rest.stop()
        self.moving = None

    def at(self, point: QPointF | None) -> MovingMap | None:
        """The plane at `point`, or the page's first plane if `point` is None; None if there is none.

        For the plane that is being moved it returns the MovingMap in use.
        """
        for place in self._page().movable:
            if point is None or rectangle(place.box).contains(point):
                return self.moving if self.moving is not None and self.moving.place is place else MovingMap(place)
        return None

    def press(self, point: QPointF) -> bool:
        """Hold the plane at a point; return whether there is one."""
        self._pressed = point if self.at(point) is not None else None
        return self.held

    def drag(self, point: QPointF) -> bool:
        """Move the held plane with the pointer; return whether the pointer moved far enough for a drag."""
        if self._pressed is None:
            return False
        by = point - self._pressed
        plane = self.at(self._pressed) if self.moving is None else self.moving
        if plane is None or (self.moving is None and by.manhattanLength() < _DRAG):
            return False
        self._rest.stop()
        plane.pan(by)
        self._pressed = point
        self._move(plane)
        return True

    def release(self) -> bool:
        """Release the held plane; return whether it was dragged, not only clicked."""
        self._pressed = None
        if self.moving is None:
            return False
        self._let_rest()
        return True

    def zoom(self, factor: float, at: QPointF | None) -> bool:
        """Enlarge the plane at a point, or the first one; return whether there is one."""
        plane = self.at(at)
        if plane is None:
            return False
        plane.zoom(factor, at)
        self._move(plane)
        self._rest.start()
        return True

    def steer(self, event: QKeyEvent) -> bool:
        """Handle a key: plus and minus zoom a plane, 0 shows all of it, Shift with an arrow moves it.

        Returns whether the key was used.
        """
        key = Qt.Key(event.key())
        shortcut = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
        if not self._page().movable or event.modifiers() & shortcut:
            return False
        if key in _ENLARGING:
            return self.zoom(_ENLARGING[key], None)
        if key == Qt.Key.Key_0:
            self.laid_out()
            self.framed.emit(())
            return True
        if key in _PUSHING and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._push(*_PUSHING[key])
            return True
        return False

    def _push(self, across: float, down: float) -> None:
        plane = self.at(None)
        if plane is not None:
            plane.pan(QPointF(across * plane.box.width() / 6, down * plane.box.height() / 6))
            self._move(plane)
            self._rest.start()

    def _move(self, plane: MovingMap) -> None:
        self.moving = plane
        self.moved.emit()

    def _let_rest(self) -> None:
        """Lay the plane out where it was moved to, with the labels that fit there."""
        self._rest.stop()
        if self.moving is not None:
            window = self.moving.window
            self.framed.emit(() if window == _WHOLE else window)
