"""What differs between Linux, macOS and Windows, each with the way of all three: the one place that asks which it is.

It imports nothing but the standard library: the check before the window opens uses it, too.
"""

import ctypes
import mmap
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

_NICE = 10


def is_root() -> bool:
    """Whether the person may install packages without asking for more rights."""
    return sys.platform != "win32" and os.geteuid() == 0


def usable_cores() -> int:
    """How many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:  # noqa: RET505 - after a bare `if`, mypy calls the rest unreachable on Linux
        return os.cpu_count() or 1


def give_way() -> None:
    """Let other programs have the processor before this one, where the system can do that."""
    if sys.platform != "win32":
        os.nice(_NICE)


def let_go(mapping: mmap.mmap) -> None:
    """Let the system take back the pages of a mapped file at once; Windows does so by itself when it needs them."""
    if sys.platform != "win32":
        mapping.madvise(mmap.MADV_DONTNEED)


def give_back_memory() -> None:
    """Let the system have what the C library keeps of memory that was freed; only glibc needs to be told."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def closing_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a program to end: Ctrl+C, a polite kill, and that its terminal was closed.

    One that is ignored (nohup) is left out: whoever started this wants it so.
    """
    if sys.platform == "win32":
        third = signal.SIGBREAK
    else:
        third = signal.SIGHUP
    asked = (signal.SIGINT, signal.SIGTERM, third)
    return tuple(number for number in asked if signal.getsignal(number) != signal.SIG_IGN)


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Processes that this thread starts within hear neither Ctrl+C nor that the terminal was closed.

    A terminal tells all of its processes; who began the work hears it and ends its workers. On Windows, which cannot
    block signals, they hear it, too.
    """
    if sys.platform == "win32":
        yield
    else:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            # multiprocessing starts this helper before its first worker, and unblocks Ctrl+C as it does.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
