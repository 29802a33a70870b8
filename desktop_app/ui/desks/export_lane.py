"""Draws figures in a worker process, because a thread would compete with the window for the GIL."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from PySide6.QtCore import QObject, Signal

from desktop_app.core.panels import SheetPanel, panels_of
from desktop_app.core.program.processes import end_workers, results_of, starting_workers, worker_pool
from desktop_app.figures.data import WRITERS
from desktop_app.figures.export import Job, Options, render
from desktop_app.gpt2.errors import ExportError, LogitscopeError
from desktop_app.gpt2.session import Stop
from desktop_app.ui.desks.lanes import Lane


class ExportLane(Lane):
    """Emits the bytes of each requested figure, in the order of the requests."""

    begun = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__("export", parent)
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()  # prevents a worker from being started while the lane closes

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = worker_pool(1)
        return self._pool

    def _end_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            end_workers(pool, now=True)

    def _begin(self, made: Job, wanted: list[Options], data: tuple[str, ...], stop: Stop) -> list[Future[bytes]]:
        """Start drawing in the worker. A caller must wait without holding the pool: a broken one holds its tasks."""
        with self._lock:
            stop.check()
            try:
                with starting_workers():
                    pool = self._workers()
                    futures = [pool.submit(render, made, options) for options in wanted]
                    return futures + [pool.submit(WRITERS[kind], made) for kind in data]
            except LogitscopeError:
                self._end_pool()  # a pool that was only half started could be waited for without end
                raise

    def request(
        self,
        job: Callable[[Stop], Job],
        wanted: list[Options],
        then: Callable[[list[bytes]], None],
        data: tuple[str, ...] = (),
    ) -> None:
        """Draw the figure made by `job` once for each of `wanted`, and its `data`; the answer is (`then`, files)."""

        def work(stop: Stop) -> tuple[Callable[[list[bytes]], None], list[bytes]]:
            made = job(stop)
            if any(isinstance(panel, SheetPanel) for panel in panels_of(made.view.content)):
                # Drawing a sheet reads the pass, which is not sent to another process; so a sheet is drawn in this
                # thread.
                return then, [
                    *(render(made, options) for options in wanted),
                    *(WRITERS[kind](made) for kind in data),
                ]
            try:
                return then, results_of(self._begin(made, wanted, data, stop))
            except (BrokenProcessPool, CancelledError) as reason:
                stop.check()  # `close` ended the worker, and these figures are not needed any more
                self._pool = None  # the next figure gets a new worker
                raise ExportError(
                    "The figure was not drawn because its process ended unexpectedly; try again."
                ) from reason

        self.begun.emit()
        self.submit(work, in_turn=True)

    def close(self) -> None:
        """Stop the lane, end the worker, and wait for both."""
        self.cancel()
        with self._lock:
            self._end_pool()
        super().close()
