"""A temporary sentence over the bottom of the view."""

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QLabel, QWidget


class Notice(QLabel):
    """Shows one sentence at a time, above the widget at the bottom of the window."""

    def __init__(self, window: QWidget, foot: QWidget) -> None:
        super().__init__(window)
        self._window, self._foot = window, foot
        self._scale = 1.0
        self.setObjectName("trouble")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.hide()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)

    def set_scale(self, scale: float) -> None:
        """Use the margins of this type size."""
        self._scale = scale

    def say(self, words: str, *, lasting: bool = False, seconds: int = 6) -> None:
        """Show a sentence for `seconds` or, if `lasting`, until the next sentence; an empty one removes it."""
        self.setText(words)
        if not words:
            self.hide()
            return
        self._place()
        self.raise_()
        self.show()
        if lasting:
            self._timer.stop()
        else:
            self._timer.start(1000 * seconds)

    def _place(self) -> None:
        text = self.fontMetrics().horizontalAdvance(self.text()) + round(32 * self._scale)
        width = min(text, self._window.width() - 32)
        self.resize(width, self.heightForWidth(width))
        self.move(max(8, (self._window.width() - self.width()) // 2), self._foot.y() - self.height() - 12)

    def fit(self) -> None:
        """Move to the place for the window's new size; this does not change how long a sentence is shown."""
        if self.isVisible():
            self._place()

    def close_down(self) -> None:
        """Stop the timer."""
        self._timer.stop()
