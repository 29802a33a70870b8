"""The model to compare with the open one: opened when a state first needs it, released when none does."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from desktop_app.core.comparing.beside import why_not
from desktop_app.core.model import Doubt, Model
from desktop_app.gpt2.checkpoint import name_of
from desktop_app.ui.desks.lanes import FreeLane, LoadLane


class GuestDesk(QObject):
    """Holds at most one model, and only if it fits into memory together with the open model."""

    changed = Signal()  # the model has been opened, or cannot be opened
    failed = Signal(str)

    def __init__(self, freeing: FreeLane, parent: QObject) -> None:
        super().__init__(parent)
        self._freeing = freeing
        self._model: Model | None = None
        self._folder = ""
        self._reason = ""
        # the key of the open model, and why the two models cannot be compared
        self._judged: tuple[int, str] | None = None
        self.lane = LoadLane("guest", self)
        self.lane.answered.connect(self._take)
        self.lane.failed.connect(self._refuse)

    @property
    def reason(self) -> str:
        """A sentence that says why there is no second model; "" if there is one, or if none was requested."""
        if self._reason or not self._folder or self._model is not None:
            return self._reason
        return f"{name_of(Path(self._folder))} is being opened."

    def of(self, folder: str, host: Model, tokens: int) -> Model | None:
        """The model in `folder` if it is open and can be compared with `host`; else None.

        A `folder` that has not been requested yet starts to open, in place of the previous one. If `folder` is the
        host's own, the result is `host`. An empty `folder` gives None, and releases the model that was open.
        """
        own = bool(folder) and Path(folder).absolute() == host.folder.absolute()
        wanted = "" if own else folder
        if wanted != self._folder:
            self.drop()
            self._folder = wanted
            if wanted:
                self.lane.request(Path(wanted), tokens=tokens, anyway=False)
        if own:
            return host
        if self._model is None:
            return None
        if self._judged is None or self._judged[0] != host.checkpoint.key:
            self._judged = (host.checkpoint.key, why_not(host, self._model))
            self._reason = self._judged[1]
            if self._reason:
                self.failed.emit(self._reason)
        return None if self._reason else self._model

    def drop(self) -> None:
        """Release the model, or stop opening it."""
        self.lane.cancel()
        if self._model is not None:
            self._freeing.hold(self._model)
            self._freeing.free_soon()
        self._model, self._folder, self._reason, self._judged = None, "", "", None

    def drop_rewritten(self) -> bool:
        """Release the model if its files have changed since it was opened; return whether they had."""
        gone = self._model is not None and self._model.checkpoint.is_rewritten()
        if gone:
            self.drop()
        return gone

    def _take(self, model: Model | Doubt) -> None:
        if isinstance(model, Doubt):
            self._refuse(model.words)
            return
        self._model = model
        self.changed.emit()

    def _refuse(self, words: str) -> None:
        self._reason = words
        self.failed.emit(words)
        self.changed.emit()

    def close(self) -> None:
        """End the thread and release the model."""
        self.lane.close()
        self._model = None
