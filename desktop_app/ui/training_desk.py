"""The training run that the open model is a snapshot of: moving along it, playing it, preloading neighbours."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from desktop_app.core.changes import beside_model
from desktop_app.core.library.training import Curves, Training, curves_of, training_of
from desktop_app.core.model import Model, doubt_room, open_model
from desktop_app.core.scene import Scene
from desktop_app.gpt2.session import Stop
from desktop_app.ui.controller import Controller
from desktop_app.ui.lanes import Lane

_PLAY_MS = 500
_AHEAD = (1, -1, 2, -2)
"""Which neighbours are opened in advance, as offsets along the snapshots, the likeliest first."""


class TrainingDesk(QObject):
    """Holds the training of the open model; going to a snapshot opens another model with the same text."""

    changed = Signal()

    def __init__(self, controller: Controller, parent: QObject) -> None:
        super().__init__(parent)
        self._controller = controller
        self.training: Training | None = None
        self.curves = Curves()
        self.ahead = Lane("ahead", self)
        self._way = 1
        self._going: Path | None = None
        self._shown: Path | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_PLAY_MS)
        self._timer.timeout.connect(self._play_on)
        controller.model_changed.connect(self._on_model)
        controller.scene_changed.connect(self._on_scene)
        controller.trouble.connect(self._on_trouble)

    @property
    def number(self) -> int:
        """The number of the snapshot that is open or being opened; the last one for the finished model."""
        if self.training is None:
            return 0
        model = self._controller.model
        return self.training.at(self._going or (model.folder if model is not None else Path()))

    @property
    def moving(self) -> bool:
        """Whether a snapshot requested by this desk is being opened."""
        return self._going is not None

    def go_to(self, number: int) -> None:
        """Open a snapshot by its number, limited to those that exist; text and place stay."""
        if self.training is None:
            return
        number = min(max(number, 0), len(self.training.snapshots) - 1)
        if number == self.number:
            return
        self._way = 1 if number > self.number else -1
        self._going = self.training.snapshots[number].folder
        self._controller.set(replace(self._controller.state, model=str(self._going)), ("snapshot",))
        self.changed.emit()

    def go_by(self, by: int) -> None:
        """Move on by `by` snapshots."""
        self.go_to(self.number + by)

    def put_beside(self) -> None:
        """Put the previous snapshot beside the open one for comparison, or the next one beside the first."""
        if self.training is not None:
            other = self.training.snapshots[self.number - 1 if self.number else 1].folder
            self._controller.set(beside_model(self._controller.state, str(other)))

    # Playing

    @property
    def playing(self) -> bool:
        """Whether snapshots advance by themselves."""
        return self._timer.isActive()

    def set_playing(self, on: bool) -> None:
        """Play from the current snapshot, or from the first if the last is shown; or pause."""
        if on and self.training is not None:
            if self.number == len(self.training.snapshots) - 1:
                self.go_to(0)
            self._timer.start()
        else:
            self._timer.stop()
        self.changed.emit()

    def _play_on(self) -> None:
        if self.training is None or self.number == len(self.training.snapshots) - 1:
            self.set_playing(False)
        elif not self.moving and self._shown == self.training.snapshots[self.number].folder:
            self.go_by(1)  # only once the current one has been shown

    # Following the model

    def _on_model(self, model: Model) -> None:
        self._going = None
        training = training_of(model.folder)
        if training != self.training:
            self.training = training
            self.curves = Curves() if training is None else curves_of(training)
        shelf = self._controller.loads.shelf
        if training is None:
            self._timer.stop()
            self.ahead.cancel()
            shelf.keep_only(set())
        else:
            shelf.keep_only({snapshot.folder for snapshot in training.snapshots})
            shelf.put(model)
            self._open_ahead(model, training)
        self.changed.emit()

    def _open_ahead(self, model: Model, training: Training) -> None:
        """Open the neighbours of the open snapshot, those in the direction of travel first, while memory allows."""
        here, shelf, int8 = training.at(model.folder), self._controller.loads.shelf, model.config.int8
        numbers = [here + self._way * by for by in _AHEAD]
        folders = [training.snapshots[n].folder for n in numbers if 0 <= n < len(training.snapshots)]

        def work(stop: Stop) -> bool:
            for folder in folders:
                stop.check()
                if not shelf.has_room(model) or doubt_room(folder, 1):
                    break
                if shelf.find(folder, int8=int8) is None:
                    shelf.put(open_model(folder, stop=stop, int8=int8))
            shelf.find(model.folder, int8=int8)  # the shown one is dropped last
            return True

        self.ahead.submit(work)

    def _on_scene(self, scene: Scene | None) -> None:
        self._shown = None if scene is None else scene.checkpoint.folder

    def _on_trouble(self, words: str) -> None:
        if words:
            self._going = None
            self._timer.stop()
            self.changed.emit()

    def close(self) -> None:
        """Stop playing, and end the worker thread."""
        self._timer.stop()
        self.ahead.close()
