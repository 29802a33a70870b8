"""The lecturer's screen: the sentence, notes, the next step, and a clock."""

from time import monotonic

from PySide6.QtCore import QRect, Qt, QTime, QTimer
from PySide6.QtGui import QGuiApplication, QScreen
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from desktop_app.figures.theme import Theme

_TICK_MS = 1000


def other_screen(window: QWidget) -> QScreen | None:
    """A screen other than the window's; None if there is only one."""
    return next((screen for screen in QGuiApplication.screens() if screen is not window.screen()), None)


class Presenter(QWidget):
    """A separate window for the screen that the audience does not see."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setWindowTitle("Logitscope: for the lecturer")
        self.setAccessibleName("For the lecturer")
        self.clock, self.sentence, self.notes, self.next_step = QLabel(), QLabel(), QLabel(), QLabel()
        column = QVBoxLayout(self)
        column.setContentsMargins(32, 24, 32, 24)
        column.setSpacing(24)
        for label, name in (
            (self.clock, "Clock"),
            (self.sentence, "What the audience reads"),
            (self.notes, "Notes"),
            (self.next_step, "Next step"),
        ):
            label.setAccessibleName(name)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
            column.addWidget(label, 1 if label is self.notes else 0)
        self._since = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._tick)
        self.hide()

    def begin(self, screen: QScreen) -> None:
        """Fill a screen, and start the clock."""
        self._since = monotonic()
        place: QRect = screen.availableGeometry()
        self.setScreen(screen)
        self.setGeometry(place)
        self._tick()
        self._timer.start()
        self.show()

    def end(self) -> None:
        """Hide the window, and stop the clock."""
        self._timer.stop()
        self.hide()

    def tell(self, sentence: str, notes: str, next_step: str, theme: Theme) -> None:
        """Show the sentence, the notes and the next step for the current place."""
        self.sentence.setText(sentence)
        self.notes.setText(notes)
        self.next_step.setText(f"Next: {next_step}" if next_step else "This is the last step.")
        size = max(14, self.height() // 36)
        self.setStyleSheet(
            f"QWidget {{ background: {theme.background}; }}QLabel {{ color: {theme.ink}; font-size: {size}px; }}"
        )
        for label, times in ((self.clock, 2.0), (self.sentence, 1.5), (self.next_step, 1.0)):
            label.setStyleSheet(f"font-size: {round(times * size)}px;")
        self.next_step.setStyleSheet(f"font-size: {size}px; color: {theme.dim};")

    def _tick(self) -> None:
        passed = int(monotonic() - self._since)
        self.clock.setText(f"{QTime.currentTime().toString('HH:mm')}    {passed // 60}:{passed % 60:02d}")
