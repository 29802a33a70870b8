"""Names of unfinished files that identify their process, so that what a killed program leaves is deleted later."""

import logging
import os
import platform
import re
import secrets
import shutil
import time
import zlib
from pathlib import Path

import psutil

_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_NAME = re.compile(rf"\.?logitscope-{_HOST}-(\d{{1,9}})-[0-9a-f]{{8}}.*")
_AGE = 3600.0
"""Seconds for which a file must be untouched to be deleted: containers may share a host name but not process ids."""

_CLOCK = 10.0
"""Seconds by which a process must have started after a file was written not to count as its writer: clocks are set."""

_swept: set[Path] = set()
log = logging.getLogger(__name__)


def unfinished_name(prefix: str = ".") -> str:
    """A unique name, short however long the final name is, that identifies the process and host writing the file."""
    return f"{prefix}logitscope-{_HOST}-{os.getpid()}-{secrets.token_hex(4)}"


def is_gone(process: int, touched: float) -> bool:
    """Whether the process with the id `process`, which last wrote a file at the time `touched`, has ended.

    Ids are reused: a process that started after the file was written is a different one.
    """
    try:
        return psutil.Process(process).create_time() > touched + _CLOCK
    except psutil.NoSuchProcess:  # no such process: it has ended
        return True
    except (psutil.Error, OSError):  # it is alive, and its start time cannot be read
        return False


def clear_leftovers(folder: Path) -> None:
    """Delete unfinished files in `folder` that ended processes of this host left; once per folder.

    Files that cannot be read or deleted, because another user owns them, stay.
    """
    if folder in _swept:
        return
    _swept.add(folder)
    try:
        found = [entry for entry in os.scandir(folder) if _NAME.fullmatch(entry.name)]
    except OSError as reason:
        log.debug("%s cannot be listed: %s.", folder, reason.strerror or reason)
        return
    for entry in found:
        name = _NAME.fullmatch(entry.name)
        try:
            touched = entry.stat(follow_symlinks=False).st_mtime
            if name is None or time.time() - touched <= _AGE or not is_gone(int(name.group(1)), touched):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink()
        except OSError as reason:
            log.debug("%s stays: %s.", entry.path, reason.strerror or reason)
