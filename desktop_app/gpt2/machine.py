"""What this machine has to offer."""

from pathlib import Path


def available_memory() -> int | None:
    """Bytes that new data may take without pushing other programs' memory out; None where it is not known.

    Linux's own estimate, MemAvailable, and no more than a control group (a container) leaves.
    """
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text("ascii").strip()
        if limit != "max":
            free = min(free, int(limit) - int((group / "memory.current").read_text("ascii")))
    except (OSError, ValueError):
        return free
    return max(free, 0)
