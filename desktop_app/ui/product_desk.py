"""Where views get what they need beside the pass: one thread computes it, with progress, and results are kept."""

from collections.abc import Mapping

from PySide6.QtCore import QObject, Signal

from desktop_app.core.model import Model
from desktop_app.core.products import Results
from desktop_app.core.want import Made, Want
from desktop_app.gpt2.run import Run
from desktop_app.gpt2.trace import Trace
from desktop_app.ui.lanes import ProductLane


class ProductDesk(QObject):
    """Told what the shown views wait for, it has that computed, and no longer what nobody looks at any more."""

    ready = Signal(object)  # the Run that something is there for now
    failed = Signal(str)
    progressed = Signal(str, float)  # what is computed, and the share that is done; "" when nothing is

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._results = Results()
        self._wanted: tuple[Want, ...] = ()
        self._about: object = None  # these, and the text or the model that they are of
        self.lane = ProductLane("product", self)
        self.lane.answered.connect(self._take)
        self.lane.failed.connect(self._fail)
        self.lane.progress.connect(self._tell)

    def of(self, run: Run) -> dict[Want, Made]:
        """Everything that is there for a pass."""
        return self._results.of(run)

    def put(self, run: Run, made: Mapping[Want, Made]) -> None:
        """Take over what was made together with a pass."""
        self._results.put(run, made)

    def make(self, wants: tuple[Want, ...], model: Model, trace: Trace) -> None:
        """Have `wants` computed, and nothing else; what is under way for the same goes on.

        What is of a text is not the same for another one; what is of the model alone is.
        """
        about = (wants, trace.run if any(want.product.of_text for want in wants) else trace.run.model)
        if about != self._about:
            self.drop()
            if wants:
                self._wanted, self._about = wants, about
                self.lane.make(wants, model, trace)

    def drop(self) -> None:
        """Nothing is waited for any more."""
        self.stop()
        self._wanted, self._about = (), None

    def stop(self) -> None:
        """Leave what is being computed as it is; it is not begun again until something else is waited for."""
        if self._wanted:
            self.lane.cancel()
            self.progressed.emit("", 0.0)

    def _take(self, answer: tuple[Run, dict[Want, Made]]) -> None:
        run, made = answer
        self._results.put(run, made)
        self._wanted, self._about = (), None
        self.progressed.emit("", 0.0)
        self.ready.emit(run)

    def _fail(self, words: str) -> None:
        self.progressed.emit("", 0.0)
        self.failed.emit(words)

    def _tell(self, words: str, share: float) -> None:
        if self._wanted:
            self.progressed.emit(words, share)

    def close(self) -> None:
        """End the thread, and let go of what was computed."""
        self.lane.close()
        self._results, self._wanted, self._about = Results(), (), None
