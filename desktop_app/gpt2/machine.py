"""The resources of this machine."""

from pathlib import Path

import psutil


def available_memory() -> int | None:
    """The bytes that can be allocated without swapping; None if that is unknown.

    This is the system's estimate (Linux's MemAvailable), limited by what the control group (a container) has left.
    """
    try:
        free = int(psutil.virtual_memory().available)
    except (OSError, ValueError, psutil.Error):  # the system does not report it
        return None
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text("ascii").strip()
        if limit != "max":
            free = min(free, int(limit) - int((group / "memory.current").read_text("ascii")))
    except (OSError, ValueError):  # there is no control group of this kind
        return free
    return max(free, 0)
