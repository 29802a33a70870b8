"""Lanes: worker threads for passes, loading, packing and freeing, whose results arrive in the window's thread."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from desktop_app.core.library.shelf import Shelf
from desktop_app.core.model import Doubt, Model, memory_warning, open_model
from desktop_app.core.passes import Passes
from desktop_app.core.products import compute
from desktop_app.core.session.state import State
from desktop_app.core.want import Made, Want
from desktop_app.gpt2.errors import Cancelled, LogitscopeError, fault_words
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.system import give_back_memory

_FREE_MS = 200
log = logging.getLogger(__name__)


class Lane(QObject):
    """Runs jobs one after the other in one thread. A new job replaces those before it, unless it is queued."""

    answered = Signal(object)
    failed = Signal(str)
    idle = Signal()
    _returned = Signal(int, object, object)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._generation = 0
        self._stop = Stop()
        self._pending = 0
        self._closed = False
        self._returned.connect(self._receive)

    @property
    def busy(self) -> bool:
        """Whether a job is running or waiting."""
        return self._pending > 0

    def submit(self, job: Callable[[Stop], Any], *, in_turn: bool = False) -> None:
        """Run `job` with a Stop as argument. Unless `in_turn`, the previous job is stopped and its result dropped.

        Does nothing once the lane is closed, because the window may close while a handler that submits a job is
        running.
        """
        if self._closed:
            return
        if not in_turn:
            self.cancel()
        self._pending += 1
        stop, generation = self._stop, self._generation
        self._executor.submit(self._run, job, stop, generation)

    def cancel(self) -> None:
        """Stop the job now; its result is not delivered."""
        self._stop.set()
        self._stop = Stop()
        self._generation += 1

    def _run(self, job: Callable[[Stop], Any], stop: Stop, generation: int) -> None:
        result, trouble = None, None
        try:
            stop.check()
            result = job(stop)
        except Cancelled:  # the result is not needed any more
            pass
        except LogitscopeError as reason:
            trouble = str(reason)
            log.info("%s: %s", self._name, trouble, exc_info=reason.__cause__)
        except MemoryError:
            log.info("%s: there is not enough memory.", self._name, exc_info=True)
            trouble = "There is not enough memory for this; try a shorter prompt or a smaller model."
        except Exception as reason:
            # An error in the program: it is reported, logged with its traceback, and the window keeps running.
            log.exception("%s failed with an error.", self._name)
            trouble = fault_words(reason)
        self._returned.emit(generation, result, trouble)

    def _receive(self, generation: int, result: object, trouble: object) -> None:
        self._pending -= 1
        if generation == self._generation:
            if trouble is not None:
                self.failed.emit(str(trouble))
            elif result is not None:
                self.answered.emit(result)
        if not self._pending:
            self.idle.emit()

    def close(self) -> None:
        """Stop the job, and wait until the thread has ended."""
        self._closed = True
        self.cancel()
        self._executor.shutdown(wait=True, cancel_futures=True)


class FreeLane(Lane):
    """Frees objects that are no longer shown, because freeing hundreds of megabytes takes longer than one frame."""

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(name, parent)
        self._old: list[object] = []
        self._then: Callable[[], None] | None = None
        self._timer = QTimer(self, interval=_FREE_MS, singleShot=True)
        self._timer.timeout.connect(self._free)

    def hold(self, *old: object) -> None:
        """Keep `old` alive, so that its last reference is dropped in this lane's thread."""
        self._old += old

    def free_soon(self, then: Callable[[], None] | None = None) -> None:
        """Free everything held as soon as its replacement has been painted, and return the memory to the system.

        `then` is called before the memory is returned, to release more.
        """
        if then is not None:
            self._then = then
        if not self._timer.isActive():
            self._timer.start()

    def _free(self) -> None:
        old, self._old, then, self._then = self._old, [], self._then, None
        self.submit(partial(_release, old, then), in_turn=True)

    def close(self) -> None:
        self._timer.stop()
        super().close()
        self._old, self._then = [], None


def _release(old: list[object], then: Callable[[], None] | None, _stop: Stop) -> None:
    while old:
        old.pop()  # one by one, so that other threads can run in between
    if then is not None:
        then()
    give_back_memory()


class ProductLane(Lane):
    """Computes products for the views that are shown."""

    progress = Signal(str, float)
    partly = Signal(object, object, object)  # the passes, a want, and its partial result

    def make(self, wants: Sequence[Want], model: Model, passes: Passes) -> None:
        """Compute `wants` one after the other; the answer is the passes and all results."""

        def work(stop: Stop) -> tuple[Passes, dict[Want, Made]]:
            made = {}
            for want in wants:
                told = partial(self.progress.emit, want.product.words)
                made[want] = compute(want, model, passes, stop, told, partial(self.partly.emit, passes, want))
            return passes, made

        self.submit(work)


class LoadLane(Lane):
    """Opens models; those on the `shelf` are open already."""

    stage = Signal(str)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(name, parent)
        self.shelf = Shelf()

    def request(
        self, folder: Path, then: State | None = None, *, tokens: int = 0, int8: bool = False, anyway: bool = True
    ) -> None:
        """Open the model in `folder`, with weights rounded if `int8`. Reports the stages; the answer is the Model.

        Without `anyway`, for a model that may not fit into memory with a text of `tokens` tokens, the answer is a
        Doubt, which contains `then`.
        """

        def work(stop: Stop) -> Model | Doubt:
            if (kept := self.shelf.find(folder, int8=int8)) is not None:
                return kept
            words = "" if anyway else memory_warning(folder, tokens)
            return Doubt(folder, words, then) if words else open_model(folder, self.stage.emit, stop, int8=int8)

        self.submit(work)

    def close(self) -> None:
        super().close()
        self.shelf.keep_only(set())
