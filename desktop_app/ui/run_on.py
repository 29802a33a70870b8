"""Running on, that is, drawing tokens one after another: how many are left, and when the next one is due."""

from time import monotonic

from PySide6.QtCore import QObject, QTimer, Signal


class RunOn(QObject):
    """Counts down, and emits when to draw the next token; it does not know what is drawn, nor from what."""

    due = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.left = 0
        """Tokens still to be drawn."""
        self.pace = 0
        """At most so many tokens per second; 0 is as fast as possible."""
        self._last = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.due)

    def begin(self, count: int) -> None:
        """Draw `count` tokens from now on."""
        self.left = count

    def stop(self) -> None:
        """Stop drawing tokens."""
        self.left = 0

    def count(self) -> None:
        """Count a token that is being drawn now."""
        self.left -= 1
        self._last = monotonic()

    def go_on(self) -> None:
        """After a pass, schedule the next token: after the window has painted, and no sooner than the pace allows."""
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
