"""Running on: how many tokens are still to be drawn, and when the next one is due."""

from time import monotonic

from PySide6.QtCore import QObject, QTimer, Signal


class RunOn(QObject):
    """Counts down, and tells when the next token is to be drawn; what is drawn, and what from, is not its concern."""

    due = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.left = 0
        """Tokens still to be drawn."""
        self.pace = 0
        """Tokens a second at most; 0 is as fast as possible."""
        self._last = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.due)

    def begin(self, count: int) -> None:
        """Draw `count` tokens from now on."""
        self.left = count

    def stop(self) -> None:
        """Draw none any more."""
        self.left = 0

    def count(self) -> None:
        """A token is being drawn now."""
        self.left -= 1
        self._last = monotonic()

    def go_on(self) -> None:
        """The pass is there: the next token after the window has painted it, and not sooner than the pace has it."""
        if self.left:
            waited = 1000 * (monotonic() - self._last)
            self._timer.start(max(0, round(1000 / self.pace - waited)) if self.pace else 0)

    @property
    def waits_ms(self) -> int:
        """How long until the next token is due; -1 where none is."""
        return self._timer.remainingTime()

    def close(self) -> None:
        """Nothing is due any more."""
        self.left = 0
        self._timer.stop()
