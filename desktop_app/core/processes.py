"""Worker processes that live and die with the program that started them, and run nothing of the current directory."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from typing import Any

_SAFE_PATH = "PYTHONSAFEPATH"
_lock = threading.RLock()


def worker_pool(
    count: int, initializer: Callable[..., object] | None = None, initargs: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """A pool of fresh processes, since a fork of a program with threads and a window may hang.

    They start as tasks are submitted, which is to be done within `starting_workers`.
    """
    with starting_workers():  # the pool's own locks start a process already
        return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=initializer, initargs=initargs)


@contextmanager
def starting_workers() -> Iterator[None]:
    """Processes that this thread starts within neither hear Ctrl+C nor look for modules in the current directory."""
    with _safe_path(), deaf_to_interrupts():
        yield


@contextmanager
def _safe_path() -> Iterator[None]:
    """A worker begins as `python -c`, which looks for modules in the current directory first, unless it is told so.

    The variable is taken back: what else is started from here, by a person's script, finds its modules as ever.
    """
    with _lock:
        before = os.environ.get(_SAFE_PATH)
        os.environ[_SAFE_PATH] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[_SAFE_PATH]
            else:
                os.environ[_SAFE_PATH] = before


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Processes that this thread starts within do not hear Ctrl+C.

    A terminal sends it to all of its processes; who began the work hears it and ends its workers.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # multiprocessing starts this helper before its first worker, and unblocks the signal as it does.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
