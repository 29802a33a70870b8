"""Crashes of native code (Qt, onnxruntime): every thread's traceback, in a file that the next start reads and deletes.

Python cannot catch such crashes; its faulthandler writes to a file that is already open. Each running program has its
own file, named by its process id; its worker processes write to the same file.
"""

import faulthandler
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from desktop_app.core.program.logs import log_file
from desktop_app.gpt2.leftovers import is_gone

_NAME = re.compile(r"crash-(\d{1,9})\.txt")
_LONGEST = 1 << 16
log = logging.getLogger(__name__)
_open: list[IO[bytes]] = []
"""The files to which the handler writes; each must stay open as long as the handler is enabled."""


def crash_file() -> Path | None:
    """The file to which a crash of this process is written, for passing on to workers; None if there is none."""
    return Path(os.fsdecode(_open[-1].name)) if _open else None


@contextmanager
def watched() -> Iterator[None]:
    """In this context, a crash of this process is written to its file.

    On exit, an empty file is deleted, and a handler that was enabled before writes to standard error again.
    """
    before = faulthandler.is_enabled()
    path = log_file().with_name(f"crash-{os.getpid()}.txt")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        watch(path)
    except OSError as reason:
        log.warning("Crashes cannot be recorded: %s: %s.", path.parent, reason.strerror or reason)
        yield
        return
    try:
        yield
    finally:
        faulthandler.disable()
        if before:
            faulthandler.enable()
        with _open.pop() as file:
            crashed = os.fstat(file.fileno()).st_size > 0
        if not crashed:
            _clear(path)


def _clear(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as reason:
        log.warning("%s cannot be cleared: %s.", path, reason.strerror or reason)


def watch(path: Path) -> None:
    """From now on, append a crash of this process to `path`. Raises OSError."""
    file = path.open("ab")
    _open.append(file)
    faulthandler.enable(file, all_threads=True)


def take_crashes() -> tuple[str, ...]:
    """The crash reports of programs that have ended; their files are deleted, files of running programs stay."""
    found = []
    for path in sorted(log_file().parent.glob("crash-*.txt")):
        name = _NAME.fullmatch(path.name)
        try:
            if name is None or not is_gone(int(name.group(1)), path.stat().st_mtime):
                continue
            with path.open("rb") as file:
                text = file.read(_LONGEST).decode("utf-8", "replace").strip()
            path.unlink()
        except OSError as reason:
            log.warning("%s cannot be read or cleared: %s.", path, reason.strerror or reason)
            continue
        if text:
            found.append(text)
    return tuple(found)
