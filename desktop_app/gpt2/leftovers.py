"""Names for what is unfinished, which tell whose it is, so that what a killed program left behind is cleared later."""

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
"""Seconds that something must have lain untouched: two containers may have one name, and count processes apart."""

_CLOCK = 10.0
"""Seconds by which the time of a start and that of a file may differ on a clock that was set meanwhile."""

_swept: set[Path] = set()
log = logging.getLogger(__name__)


def unfinished_name(prefix: str = ".") -> str:
    """A name that is new in its folder, short whatever the final one, and says which process of which host has it."""
    return f"{prefix}logitscope-{_HOST}-{os.getpid()}-{secrets.token_hex(4)}"


def is_gone(process: int, touched: float) -> bool:
    """Whether the process of that number which last touched a file, at the time `touched`, has ended.

    Numbers are used again: a process that began after the file was touched is another.
    """
    try:
        return psutil.Process(process).create_time() > touched + _CLOCK
    except psutil.NoSuchProcess:  # that is the answer
        return True
    except (psutil.Error, OSError):  # it lives, and tells no more
        return False


def clear_leftovers(folder: Path) -> None:
    """Delete what processes of this host that have ended left unfinished in `folder`; once for each folder.

    What cannot be looked at or deleted, being somebody else's, stays.
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
