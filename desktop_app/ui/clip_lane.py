"""The lane that writes clips: one at a time, from figures that it makes in its own thread."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal

from desktop_app.gpt2.session import Stop
from desktop_app.ui.lanes import Lane

FILES = "Clips and figures (*.gif *.webp *.mp4 *.svg *.pdf *.png)"
"""The file dialog's filter for what `ClipLane` writes."""


class ClipLane(Lane):
    """Writes one clip at a time; answers with its path, and reports the progress."""

    progressed = Signal(float)  # the share that is done, from 0 to 1

    def request(self, write: Callable[[Stop, Path], None], out: Path) -> None:
        """Have `write` make the file `out`."""

        def work(stop: Stop) -> Path:
            write(stop, out)
            return out

        self.submit(work)
