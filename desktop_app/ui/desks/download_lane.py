"""Downloads run in a separate process: a process that waits for the network can be killed, a thread cannot."""

import multiprocessing
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from desktop_app.core.library.progress import Progress
from desktop_app.core.library.references import HubName
from desktop_app.core.library.worker import fetch
from desktop_app.core.program.processes import starting_workers, watched_by
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.session import Stop
from desktop_app.ui.desks.lanes import Lane

_LOOK_EVERY = 0.03  # seconds between two checks for a stop


class DownloadLane(Lane):
    """Downloads one model at a time. The answer is the snapshot's folder."""

    progress = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__("download", parent)

    def request(self, name: HubName) -> None:
        """Download `name`, or resume its download."""
        self.submit(lambda stop: self._fetch(name, stop))

    def _fetch(self, name: HubName, stop: Stop) -> Path:
        # Spawn, not fork: a fork of a program with threads and a window may hang.
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=fetch, args=(str(name), there, *watched_by()), daemon=True)
        try:
            with starting_workers():
                process.start()
            there.close()
            while True:
                stop.check()
                if here.poll(_LOOK_EVERY):
                    message: Any = here.recv()
                    if isinstance(message, Progress):
                        self.progress.emit(message)
                    elif isinstance(message, Path):
                        return message
                    else:
                        raise ModelError(message)
        except EOFError as reason:
            raise ModelError(
                f"The download of {name} ended unexpectedly; get it again: it continues where it stopped."
            ) from reason
        finally:
            if process.pid is not None:
                process.kill()
                process.join()
            here.close()
