"""Computes what views need besides the pass: in one thread, with progress, with a cache of results."""

from collections.abc import Mapping

from PySide6.QtCore import QObject, Signal

from desktop_app.core.model import Model
from desktop_app.core.passes import Passes
from desktop_app.core.products import Results, are_of
from desktop_app.core.want import Made, Want
from desktop_app.ui.desks.lanes import ProductLane


class ProductDesk(QObject):
    """Requests the products that displayed views wait for, and cancels those that no view waits for any more."""

    ready = Signal(object)  # the Passes for which there is a new result
    failed = Signal(str)
    progressed = Signal(str, float)  # what is being computed, and the fraction done; "" for nothing

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._results = Results()
        self._wanted: tuple[Want, ...] = ()
        self._about: object = None  # the wants, and the text or model they belong to
        self.lane = ProductLane("product", self)
        self.lane.answered.connect(self._take)
        self.lane.failed.connect(self._fail)
        self.lane.progress.connect(self._tell)
        self.lane.partly.connect(self._take_part)

    def of(self, passes: Passes, which: str) -> dict[Want, Made]:
        """All results for one of the passes."""
        return self._results.of(passes, which)

    def put(self, passes: Passes, made: Mapping[Want, Made]) -> None:
        """Store results that were computed together with passes."""
        self._results.put(passes, made)

    def make(self, wants: tuple[Want, ...], model: Model, passes: Passes) -> None:
        """Request exactly `wants`; if a computation for the same wants is running, it continues.

        Products that depend on the text are computed again for another text, products of the model alone are not.
        """
        if not are_of(passes, model):
            self.drop()
            return
        run = passes.trace.run
        of_text = any(want.product.of_text for want in wants)
        about = (wants, (run, *passes.beside) if of_text else run.model)
        if about != self._about:
            self.drop()
            if wants:
                self._wanted, self._about = wants, about
                self.lane.make(wants, model, passes)

    def drop(self) -> None:
        """Drop all wants, and stop their computation."""
        self.stop()
        self._wanted, self._about = (), None

    def stop(self) -> None:
        """Stop the computation; it does not start again until something else is requested."""
        if self._wanted:
            self.lane.cancel()
            self.progressed.emit("", 0.0)

    def _take(self, answer: tuple[Passes, dict[Want, Made]]) -> None:
        passes, made = answer
        self._results.put(passes, made)
        self._wanted, self._about = (), None
        self.progressed.emit("", 0.0)
        self.ready.emit(passes)

    def _take_part(self, passes: Passes, want: Want, value: object) -> None:
        if want in self._wanted:
            self._results.put(passes, {want: Made(value, whole=False)})
            self.ready.emit(passes)

    def _fail(self, words: str) -> None:
        self.progressed.emit("", 0.0)
        self.failed.emit(words)

    def _tell(self, words: str, share: float) -> None:
        if self._wanted:
            self.progressed.emit(words, share)

    def close(self) -> None:
        """End the thread and release the results."""
        self.lane.close()
        self._results, self._wanted, self._about = Results(), (), None
