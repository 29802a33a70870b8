"""The lane that writes clips: one at a time, from figures that it makes in its own thread."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal

from desktop_app.gpt2.session import Stop
from desktop_app.ui.desks.lanes import Lane

FILES = "Clips and figures (*.gif *.webp *.mp4 *.svg *.pdf *.png)"
"""The filter of the file dialog: the formats that `ClipLane` writes."""


class ClipLane(Lane):
    """Writes one clip at a time. The answer is its path; the progress is reported meanwhile."""

    progressed = Signal(float)  # the fraction done, from 0 to 1

    def request(self, write: Callable[[Stop, Path], None], out: Path) -> None:
        """Write the file `out` by calling `write`."""

        def work(stop: Stop) -> Path:
            write(stop, out)
            return out

        self.submit(work)
