"""Drawing several tokens one after another: how many are left, and when the next one is due."""

from time import monotonic

from PySide6.QtCore import QObject, QTimer, Signal


class RunOn(QObject):
    """Counts the tokens, and emits a signal when the next one is to be drawn; does not know what is drawn."""

    due = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.left = 0
        """The number of tokens still to be drawn."""
        self.pace = 0
        """The maximum number of tokens per second; 0 is as fast as possible."""
        self._last = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.due)

    def begin(self, count: int) -> None:
        """Start to draw `count` tokens."""
        self.left = count

    def stop(self) -> None:
        """Stop drawing tokens."""
        self.left = 0

    def count(self) -> None:
        """Count a token that is being drawn now."""
        self.left -= 1
        self._last = monotonic()

    def go_on(self) -> None:
        """Schedule the next token, after a pass: when the window has painted, and not before the pace allows it."""
        if self.left:
            waited = 1000 * (monotonic() - self._last)
            self._timer.start(max(0, round(1000 / self.pace - waited)) if self.pace else 0)

    @property
    def waits_ms(self) -> int:
        """Milliseconds until the next token is due; -1 if none is."""
        return self._timer.remainingTime()

    def close(self) -> None:
        """Cancel the token that is due next."""
        self.left = 0
        self._timer.stop()
