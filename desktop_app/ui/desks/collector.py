"""Python's garbage collection, in the window's thread alone.

Python collects in whichever thread happens to allocate. Qt's objects may be destroyed only in the thread that owns
them, and PySide lets other threads run while an object is half destroyed: a collection in a worker would then destroy a
widget in the wrong thread, or visit what has gone, and end the process. So automatic collection is off while a window
is open, and a timer in the window's thread does the same work (as Kovid Goyal described it on the PyQt mailing list in
August 2011).
"""

import gc

from PySide6.QtCore import QObject, QTimer

_EVERY_MS = 1_000


class GarbageCollector(QObject):
    """Collects in its parent's thread, once a second if Python would have collected since."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._timer = QTimer(self, interval=_EVERY_MS)
        self._timer.timeout.connect(self.collect)
        self.start()

    def start(self) -> None:
        """Turn automatic collection off and collect by the timer."""
        gc.disable()
        self._timer.start()

    def stop(self) -> None:
        """Stop the timer; automatic collection stays off."""
        self._timer.stop()

    def collect(self) -> None:
        """If the count of new objects has passed its threshold, collect the two young generations, or all when due.

        The second generation comes along each time because what a lane leaves behind, such as a figure of matplotlib,
        holds much memory and is often older than a second. It takes 1 to 3 ms.
        """
        (new, _, old), (most_new, _, most_old) = gc.get_count(), gc.get_threshold()
        if new > most_new:
            gc.collect(2 if old > most_old else 1)
