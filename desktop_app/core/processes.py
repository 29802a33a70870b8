"""Worker processes that live and die with the program that started them, and run nothing of the current directory."""

import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from desktop_app.core import crashes, logs
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.system import deaf_to_interrupts, give_way

log = logging.getLogger(__name__)
_SAFE_PATH = "PYTHONSAFEPATH"
_NO_THREAD = "can't start new thread"  # Python's words for it
_lock = threading.RLock()


def worker_pool(count: int, *, polite: bool = False) -> ProcessPoolExecutor:
    """A pool of fresh processes, since a fork of a program with threads and a window may hang; they end with this one.

    They start as tasks are submitted, which is to be done within `starting_workers`. `polite` ones give way to whatever
    else wants the processor: a window that goes on being used.
    """
    with starting_workers():  # the pool's own locks start a process already
        return ProcessPoolExecutor(
            count, mp_context=get_context("spawn"), initializer=_begin, initargs=(polite, *watched_by())
        )


@contextmanager
def starting_workers() -> Iterator[None]:
    """Processes that this thread starts within neither hear Ctrl+C nor look for modules in the current directory.

    Raises LogitscopeError where the system lets none start.
    """
    _stand_somewhere()
    with _safe_path(), deaf_to_interrupts():
        try:
            yield
        except (RuntimeError, OSError) as reason:
            if isinstance(reason, RuntimeError) and _NO_THREAD not in str(reason):
                raise
            raise LogitscopeError(
                f"No process can be started to work in: {getattr(reason, 'strerror', None) or reason}. There may be "
                "too little memory, or a limit on processes (ulimit)."
            ) from reason


def end_workers(pool: ProcessPoolExecutor, *, now: bool) -> None:
    """Wait until the processes of a pool have ended, with their tasks if not `now`; those that never began, too."""
    processes = list((pool._processes or {}).values())
    if now:
        for process in processes:
            process.terminate()
    try:
        pool.shutdown(wait=True, cancel_futures=True)
    except RuntimeError as reason:  # the thread that would wait for them could not be started
        log.info("The pool has no thread: %s", reason)
        for process in processes:
            process.kill()
            process.join()


def _stand_somewhere() -> None:
    """Leave a working directory that has been deleted: no process can be started from one."""
    try:
        Path.cwd()
    except FileNotFoundError:  # that is what is asked
        os.chdir(os.sep)


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


def _begin(polite: bool, level: str | None, crash_file: Path | None) -> None:
    """In a worker: give way to others if asked, and end with the process that asked, even if that is killed."""
    if polite:
        give_way()
    be_watched(level, crash_file)
    end_with_parent()


def watched_by() -> tuple[str | None, Path | None]:
    """What `be_watched` takes, in a process that is about to start another."""
    return logs.level(), crashes.crash_file()


def be_watched(level: str | None, crash_file: Path | None) -> None:
    """In a worker: its faults go into the program's log, its crash into the program's file of crashes."""
    logs.start_in_worker(level)
    if crash_file is not None:
        crashes.watch(crash_file)


def end_with_parent() -> None:
    """In a worker: end when the process that started it has ended, however that came."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
