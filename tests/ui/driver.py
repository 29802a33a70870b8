"""Helpers for tests of the window: real key presses and clicks as input, pixels and shown words as output."""

import threading

import numpy as np
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolButton

from desktop_app.figures.marks import Words
from desktop_app.ui.desks.autosave import SaveLane
from desktop_app.ui.desks.download_lane import DownloadLane
from desktop_app.ui.desks.lanes import FreeLane, Lane
from desktop_app.ui.dialogs.deck_actions import DeckLane

LONG_MS = 60_000
NONE, SHIFT, CTRL, ALT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton


class Desk:
    """An open window, and the actions of a user in it."""

    def __init__(self, window, qtbot):
        self.window, self.bot = window, qtbot
        self.c = window.controller

    # Waiting

    def settle(self):
        """Wait until no work that changes the display is running and everything is painted.

        A deck, a download, freeing memory and autosave run in the background; tests of them wait with `until`.
        """
        c, behind = self.c, (DeckLane, DownloadLane, FreeLane, SaveLane)

        def quiet():
            lanes = [lane for lane in self.window.findChildren(Lane) if not isinstance(lane, behind)]
            return not (c.pending or c.running or any(lane.busy for lane in lanes))

        for _ in range(20):  # a result may start more work: products for a view, a prepacked copy of the weights
            self.bot.waitUntil(quiet, timeout=LONG_MS)
            QApplication.processEvents()
            if quiet():
                return
        raise AssertionError("the window does not come to rest")

    def until(self, condition):
        self.bot.waitUntil(condition, timeout=LONG_MS)

    # Input

    def press(self, key, modifiers=NONE, widget=None):
        """Press a key in the focused widget, or in `widget` after giving it the focus."""
        if widget is not None:
            widget.setFocus()
        QTest.keyClick(widget or QApplication.focusWidget(), key, modifiers)

    def type(self, text, widget=None):
        widget = widget or self.window.prompt
        widget.setFocus()
        QTest.keyClicks(widget, text)

    def paste(self, text=None, mime=None):
        """Paste into the prompt through the clipboard, as Ctrl+V does."""
        data = mime or QMimeData()
        if text is not None:
            data.setText(text)
        QGuiApplication.clipboard().setMimeData(data)
        self.press(Qt.Key.Key_V, CTRL, self.window.prompt)

    def write(self, text):
        """Replace the whole prompt by select all and paste."""
        self.press(Qt.Key.Key_A, CTRL, self.window.prompt)
        self.paste(text) if text else self.press(Qt.Key.Key_Delete)
        self.settle()

    def click(self, area, x, y, modifiers=NONE, button=LEFT):
        """Click at a point of a widget, or of the viewport if it is a scroll area."""
        target = area.viewport() if hasattr(area, "viewport") else area
        QTest.mouseClick(target, button, modifiers, QPoint(round(x), round(y)))

    def back_to_first(self):
        """Click the first of the opened numbers in the inspector's trail."""
        trail = self.window.inspector.trail
        self.click(trail, 12, trail.height() / 2)

    def close_inspector(self):
        """Click the inspector's cross."""
        (cross,) = (b for b in self.window.inspector.findChildren(QToolButton) if b.text() == "✕")
        self.click(cross, cross.width() / 2, cross.height() / 2)

    def to_canvas(self, x, y):
        """A point of the page in coordinates of the canvas's viewport, scrolled into view."""
        bar = self.window.canvas.verticalScrollBar()
        bar.setValue(int(y) - self.window.canvas.viewport().height() // 2)
        origin = self.window.canvas.origin
        return x + origin.x(), y + origin.y()

    def click_canvas(self, rect):
        """Click the centre of a rectangle of the page."""
        self.click(self.window.canvas, *self.to_canvas(rect.x + rect.w / 2, rect.y + rect.h / 2))

    def hover_canvas(self, x, y):
        """Move the pointer to a point of the page."""
        QTest.mouseMove(self.window.canvas.viewport(), QPoint(1, 1))
        a, b = self.to_canvas(x, y)
        point = QPointF(a, b)
        from PySide6.QtGui import QMouseEvent

        view = self.window.canvas.viewport()
        event = QMouseEvent(
            QEvent.Type.MouseMove, point, QPointF(view.mapToGlobal(point)), Qt.MouseButton.NoButton,
            Qt.MouseButton.NoButton, NONE
        )  # fmt: skip
        QApplication.sendEvent(view, event)

    def pick(self, asks):
        """The first clickable place (`Pick`) on the page that asks for this intent, or for any of this type."""
        found = [p for p in self.window.canvas.page.picks if asks in (p.asks, type(p.asks))]
        assert found, f"nothing on the page asks for {asks}"
        return found[0]

    def go(self, key):
        """Go to a step by its key, as a click on the map does."""
        step = next(s for s in self.c.steps if s.key == key)
        self.window.map.chosen.emit(step)
        self.settle()

    # Output

    @property
    def scene(self):
        return self.c.scene

    @property
    def state(self):
        return self.c.state

    def words(self):
        """All texts on the canvas."""
        return [m.text for m in self.window.canvas.page.marks if isinstance(m, Words)]

    def bars(self):
        """The next-token bars by token id."""
        return {bar.pick.token: bar for bar in self.window.probabilities.bars.panel.bars}

    def trouble(self):
        """The persistent trouble message, or ""."""
        return self.window.trouble.text() if self.window.trouble.isVisible() else ""

    def notice(self):
        """The temporary notice, or ""."""
        return self.window.notice.text() if self.window.notice.isVisible() else ""

    def readout(self):
        return self.window.canvas.readout


def pixels(widget):
    """A widget's pixels: [y, x, 3] uint8."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def colours(picture):
    """The number of different colours in a picture."""
    red, green, blue = (picture[..., n].astype(np.uint32) for n in range(3))
    return len(np.unique(red << 16 | green << 8 | blue))


def threads():
    """The threads of this process that a window may have started: all except Qt's and the test hub's."""
    return {
        thread
        for thread in threading.enumerate()
        if not isinstance(thread, threading._DummyThread) and "process_request_thread" not in thread.name
    }
