"""Worker processes that end with the program that started them, and import nothing from the current directory."""

import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

from desktop_app.core.program import crashes, logs
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.system import give_way, interrupts_blocked, most_workers

log = logging.getLogger(__name__)
_SAFE_PATH = "PYTHONSAFEPATH"
_NO_THREAD = "can't start new thread"  # the text of Python's error
_lock = threading.RLock()
_T = TypeVar("_T")


def worker_pool(count: int, *, polite: bool = False) -> ProcessPoolExecutor:
    """A pool of up to `count` worker processes that end with this process.

    They are spawned, because a fork with threads may hang. Workers start when tasks are submitted, which must be done
    within `starting_workers`. `polite` workers have a low priority, so that the window stays responsive.
    """
    workers = min(count, most_workers())
    with starting_workers():  # creating the pool's locks starts a process as well
        return ProcessPoolExecutor(
            workers,
            mp_context=get_context("spawn"),
            initializer=_begin,
            initargs=(polite, *watched_by()),
        )


@contextmanager
def starting_workers() -> Iterator[None]:
    """In this context, processes that this thread starts ignore Ctrl+C and do not import from the current directory.

    Raises LogitscopeError if the system cannot start one.
    """
    _stand_somewhere()
    with _safe_path(), interrupts_blocked():
        try:
            yield
        except (RuntimeError, OSError) as reason:
            if isinstance(reason, RuntimeError) and _NO_THREAD not in str(reason):
                raise
            raise LogitscopeError(
                f"No worker process can be started: {getattr(reason, 'strerror', None) or reason}. There may be "
                "too little memory, or a limit on processes (ulimit)."
            ) from reason


def results_of(futures: list[Future[_T]]) -> list[_T]:
    """The results of `futures`, which is emptied; waits for them, and raises what the first that failed raised.

    If the caller kept a failed future, there would be a reference cycle: the future holds its exception, whose
    traceback holds the caller's variables. These, a whole model among them, would stay in memory until the next garbage
    collection.
    """
    found = []
    futures.reverse()
    try:
        while futures:
            found.append(futures.pop().result())
    finally:
        futures.clear()
    return found


def end_workers(pool: ProcessPoolExecutor, *, now: bool) -> None:
    """End the processes of a pool, after their tasks or with `now` at once, and wait until they have ended."""
    processes = list((pool._processes or {}).values())
    if now:
        for process in processes:
            process.terminate()
    try:
        pool.shutdown(wait=True, cancel_futures=True)
    except RuntimeError as reason:  # the pool's own thread could not be started
        log.info("The pool has no thread: %s", reason)
        for process in processes:
            process.kill()
            process.join()


def _stand_somewhere() -> None:
    """Change to the root folder if the working directory has been deleted, because no process can be started there."""
    try:
        Path.cwd()
    except FileNotFoundError:  # it has been deleted
        os.chdir(os.sep)


@contextmanager
def _safe_path() -> Iterator[None]:
    """In this context PYTHONSAFEPATH is set: a worker starts as `python -c`, which would search the current directory.

    The variable is restored afterwards, so that other processes started by a user's script find modules as usual.
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
    """In a worker: lower its priority on request, and end with the parent process, even if that is killed."""
    if polite:
        give_way()
    be_watched(level, crash_file)
    end_with_parent()


def watched_by() -> tuple[str | None, Path | None]:
    """The arguments for `be_watched`, in a process that is about to start another."""
    return logs.level(), crashes.crash_file()


def be_watched(level: str | None, crash_file: Path | None) -> None:
    """In a worker: write its errors to the program's log and a crash to the program's crash file."""
    logs.start_in_worker(level)
    if crash_file is not None:
        crashes.watch(crash_file)


def end_with_parent() -> None:
    """In a worker: end when the process that started it has ended, for any reason."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
