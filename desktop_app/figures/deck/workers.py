"""Worker processes for long exports: without Qt, at lower priority, and never left behind."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TYPE_CHECKING, Any

from desktop_app.core.program.processes import end_workers, results_of, starting_workers, worker_pool
from desktop_app.gpt2.errors import ExportError

if TYPE_CHECKING:
    from desktop_app.gpt2.session import Stop

Task = tuple[Callable[..., Any], tuple[Any, ...]]
"""A module-level function, and its arguments."""

_LOOK = 0.1  # seconds between two checks whether to stop


class Workers:
    """A few processes that run tasks, as a context manager: they end with the `with` block, even after an exception.

    `polite` ones have a lower priority than other programs, such as a window that stays in use.
    """

    def __init__(self, count: int, stop: "Stop | None" = None, *, polite: bool = False) -> None:
        self._stop = stop
        self._count = count
        self._pool = worker_pool(count, polite=polite)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, reason: BaseException | None, where: TracebackType | None
    ) -> None:
        end_workers(self._pool, now=kind is not None)

    def each(self, tasks: Iterable[Task]) -> Generator[tuple[int, Any], None, None]:
        """(number of the task, its result) as they finish; tasks are made only as workers become free.

        Raises what a task raises, Cancelled once the work is to stop, ExportError if a process ended unexpectedly.
        """
        waiting: dict[Future[Any], int] = {}
        try:
            for number, (function, arguments) in enumerate(tasks):
                with starting_workers():
                    waiting[self._pool.submit(function, *arguments)] = number
                # One task more than there are workers, so that no worker waits for the next task to be made.
                while len(waiting) > self._count:
                    yield from self._finished(waiting)
            while waiting:
                yield from self._finished(waiting)
        except BrokenProcessPool as reason:
            raise ExportError(
                "A drawing process ended unexpectedly, perhaps for lack of memory; try again."
            ) from reason

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The result of one task."""
        return next(iter(self.each([(function, arguments)])))[1]

    def _finished(self, waiting: dict[Future[Any], int]) -> Iterator[tuple[int, Any]]:
        while True:
            if self._stop is not None:
                self._stop.check()
            done, _ = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
            if done:
                break
        finished = [(waiting.pop(future), [future]) for future in done]
        del done
        for number, one in finished:
            yield number, results_of(one)[0]
