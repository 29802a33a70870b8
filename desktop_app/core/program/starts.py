"""Whether the last start succeeded, so that a session that crashes the program is not opened again without asking.

A start is marked by a file, named by its process id, which is deleted when the first view is shown or the program exits
normally. A file of a process that no longer runs means that it crashed or was killed before that.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from desktop_app.core.session.last_session import aside_file, last_file
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.leftovers import is_gone

_NAME = re.compile(r"starting-(\d{1,9})")
log = logging.getLogger(__name__)


class Start:
    """One start; `failed_before` says whether a previous one ended before its first view was shown."""

    def __init__(self) -> None:
        self._mark = last_file().with_name(f"starting-{os.getpid()}")
        self.failed_before = _take_marks(self._mark.parent)
        try:
            self._mark.parent.mkdir(parents=True, exist_ok=True)
            self._mark.touch()
        except OSError as reason:  # without a mark, the next start opens the session as usual
            log.warning("The start cannot be marked: %s: %s.", self._mark, reason.strerror or reason)

    def done(self) -> None:
        """Record that the start has succeeded."""
        _clear(self._mark)


@contextmanager
def begun() -> Iterator[Start]:
    """A start, marked until it is `done` or the context ends; an unexpected exception leaves the mark."""
    start = Start()
    try:
        yield start
    except (LogitscopeError, OSError, KeyboardInterrupt, SystemExit):
        start.done()
        raise
    start.done()


def set_aside() -> Path | None:
    """Rename the last session so that it is not overwritten; return its path, or None if there is no session.

    If it cannot be renamed, this is logged, and the path is the old one.
    """
    try:
        last_file().replace(aside_file())
    except FileNotFoundError:  # there is none
        return None
    except OSError as reason:
        log.warning("The last session cannot be set aside: %s: %s.", aside_file(), reason.strerror or reason)
        return last_file()
    return aside_file()


def _take_marks(folder: Path) -> bool:
    """Delete the marks of processes that no longer run; return whether there were any."""
    found = False
    for path in folder.glob("starting-*"):
        name = _NAME.fullmatch(path.name)
        try:
            if name is not None and is_gone(int(name.group(1)), path.stat().st_mtime):
                path.unlink()
                found = True
        except OSError as reason:  # another start deleted it first, or permission is missing
            log.info("%s cannot be cleared: %s.", path, reason.strerror or reason)
    return found


def _clear(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as reason:
        log.warning("%s cannot be cleared: %s.", path, reason.strerror or reason)
