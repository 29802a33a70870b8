"""Lecture mode: only the picture on the full screen with one sentence, and the keys of a presenter's remote."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QLabel, QMainWindow, QSizePolicy, QWidget

from desktop_app.figures.theme import Theme
from desktop_app.ui.lessons.presenter import Presenter, other_screen

_SENTENCE = 0.028
"""The sentence's type size as a fraction of the window's height, legible from the last row of a lecture hall."""
_STEPPING = {Qt.Key.Key_PageDown: "next", Qt.Key.Key_PageUp: "previous"}
_BLANKING = (Qt.Key.Key_B, Qt.Key.Key_Period)


class Lecture(QObject):
    """While a lecture is on, takes the keys of a remote before any field does. The window shows and hides its parts."""

    changed = Signal()
    command = Signal(str)

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.leave: Callable[[], bool] = lambda: False
        """Does what Esc does first; returns whether there was anything to do. If not, Esc ends the lecture."""
        self._before = Qt.WindowState.WindowNoState
        self._geometry = window.geometry()
        self.presenter = Presenter(window)
        self.on = False
        self.sentence = QLabel()
        self.sentence.setAccessibleName("What to look at")
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self.sentence.setWordWrap(True)
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.sentence.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.sentence.hide()
        self._blank = QWidget(window)
        self._blank.setAccessibleName("Blank screen")
        self._blank.setStyleSheet("background: #000000;")
        self._blank.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._blank.hide()

    @property
    def is_blank(self) -> bool:
        """Whether the screen is black."""
        return not self._blank.isHidden()

    def set_on(self, on: bool) -> None:
        """Start or end the lecture."""
        if on == self.on:
            return
        self.on = on
        app = QApplication.instance()
        assert app is not None
        if on:
            self._before, self._geometry = self._window.windowState(), self._window.geometry()
            app.installEventFilter(self)
            room = other_screen(self._window)
            if room is not None:
                # The presenter's notes take the window's screen, and the window moves to the screen that the audience
                # sees.
                self.presenter.begin(self._window.screen())
                self._window.setGeometry(room.geometry())
            self._window.setWindowState(self._before | Qt.WindowState.WindowFullScreen)
        else:
            app.removeEventFilter(self)
            self._blank.hide()
            self._window.setWindowState(self._before & ~Qt.WindowState.WindowFullScreen)
            if self.presenter.isVisible():
                self.presenter.end()
                # Set again after the window has left full screen, because until then it may be held on that screen.
                self._window.setGeometry(self._geometry)
                QTimer.singleShot(0, self._window, lambda: self._window.setGeometry(self._geometry))
        self.sentence.setVisible(on)
        self.changed.emit()

    def say(self, words: str, theme: Theme, notes: str = "", next_step: str = "") -> None:
        """Show the sentence of this place; notes and the next step are shown on the lecturer's screen."""
        if self.presenter.isVisible():
            self.presenter.tell(words, notes, next_step, theme)
        size = max(13, round(_SENTENCE * self._window.height()))
        self.sentence.setStyleSheet(
            f"font-size: {size}px; color: {theme.ink}; background: {theme.panel}; padding: {size // 3}px {size}px;"
        )
        self.sentence.setText(words)
        self._blank.resize(self._window.size())

    def _show_blank(self, on: bool) -> None:
        self._blank.resize(self._window.size())
        self._blank.raise_()
        self._blank.setVisible(on)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take the keys that a remote sends, whatever has the focus; dialogs keep their keys."""
        kind = event.type()
        if kind not in (QEvent.Type.KeyPress, QEvent.Type.ShortcutOverride) or not isinstance(event, QKeyEvent):
            return False
        inside = isinstance(watched, QWidget) and watched.window() in (self._window, self.presenter)
        if not inside or QApplication.activeModalWidget() is not None or QApplication.activePopupWidget() is not None:
            return False
        key = Qt.Key(event.key())
        plain = event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)
        if not plain or key not in (*_BLANKING, *_STEPPING, Qt.Key.Key_Escape):
            return False
        if kind == QEvent.Type.ShortcutOverride:
            event.accept()  # the event arrives again as a key press
            return True
        if self.is_blank:
            self._show_blank(False)
        elif key in _BLANKING:
            self._show_blank(True)
        elif key in _STEPPING:
            self.command.emit(_STEPPING[key])
        elif not self.leave():
            self.set_on(False)
        return True
