"""The training run of which the open model is a snapshot: moving along it, playing it, loading ahead."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget

from desktop_app.core.edits.changes import beside_model
from desktop_app.core.library.training import Curves, Training, curves_of, training_of
from desktop_app.core.model import Model, memory_warning, open_model
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import State
from desktop_app.gpt2.session import Stop
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.desks.lanes import Lane
from desktop_app.ui.training_clip import TrainingClip

_PLAY_MS = 500
_AHEAD = (1, -1, 2, -2)
"""Which neighbours are opened in advance, as offsets along the snapshots, the likeliest first."""


class TrainingDesk(QObject):
    """Holds the training of the open model. Going to a snapshot opens another model with the same text."""

    changed = Signal()

    def __init__(self, controller: Controller, window: QWidget) -> None:
        super().__init__(window)
        self._controller = controller
        self.clip = TrainingClip(controller, window)
        self.training: Training | None = None
        self.curves = Curves()
        self.ahead = Lane("ahead", self)
        self._number: int | None = None
        self._way = 1
        self._going: Path | None = None
        self._shown: Path | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_PLAY_MS)
        self._timer.timeout.connect(self._play_on)
        controller.model_changed.connect(self._on_model)
        controller.scene_changed.connect(self._on_scene)
        controller.trouble.connect(self._on_trouble)
        controller.state_changed.connect(self._on_state)

    @property
    def number(self) -> int | None:
        """The index of the snapshot that is open or being opened; None if the open model is not one of them."""
        return self._number

    @property
    def _place(self) -> int:
        """The index of the snapshot; if the open model is not one of them, the number of snapshots."""
        after = 0 if self.training is None else len(self.training.snapshots)
        return after if self._number is None else self._number

    @property
    def moving(self) -> bool:
        """Whether a snapshot requested by this desk is being opened."""
        return self._going is not None

    def go_to(self, number: int) -> None:
        """Open a snapshot by its index, limited to existing ones; the rest of the state does not change."""
        if self.training is None:
            return
        number = min(max(number, 0), len(self.training.snapshots) - 1)
        if number == self._number:
            return
        folder = self.training.snapshots[number].folder
        self._controller.set(replace(self._controller.state, model=str(folder)), ("snapshot",))

    def go_by(self, by: int) -> None:
        """Go on, or back, by `by` snapshots, not past the last. A model that is none of them counts as one after it."""
        if self.training is not None and self._place + by < len(self.training.snapshots):
            self.go_to(self._place + by)

    def put_beside(self) -> None:
        """Open the previous snapshot for comparison with the open one; for the first snapshot, open the next."""
        if self.training is not None:
            other = self.training.snapshots[self._place - 1 if self._place else 1].folder
            self._controller.set(beside_model(self._controller.state, str(other)))

    def ask_export(self) -> None:
        """Ask for a file, and write the current view at the snapshots to it: at all in a clip, at three in a figure."""
        if self.training is not None:
            self.clip.ask(self.training, self.number)

    # Playing

    @property
    def playing(self) -> bool:
        """Whether snapshots advance automatically."""
        return self._timer.isActive()

    def set_playing(self, on: bool) -> None:
        """Play from the current snapshot, or from the first if the last is shown; or pause."""
        if on and self.training is not None:
            if self._place >= len(self.training.snapshots) - 1:
                self.go_to(0)
            self._timer.start()
        else:
            self._timer.stop()
        self.changed.emit()

    def _play_on(self) -> None:
        if self.training is None or self._place >= len(self.training.snapshots) - 1:
            self.set_playing(False)
        elif not self.moving and self._shown == self.training.snapshots[self._place].folder:
            self.go_by(1)  # only after the current one has been shown

    # Following the model

    def look_again(self) -> None:
        """Search again for snapshots of the open model, because a download may have added one."""
        model = self._controller.model
        if model is not None and not self.moving:
            self._on_model(model)

    def _on_model(self, model: Model) -> None:
        self._going = None
        training = training_of(model.folder)
        if training != self.training:
            self.training = training
            self.curves = Curves() if training is None else curves_of(training)
        self._number = None if training is None else training.at(model.folder)
        shelf = self._controller.loads.shelf
        if training is None:
            self._timer.stop()
            self.ahead.cancel()
            shelf.keep_only(set())
        else:
            shelf.keep_only({model.folder, *(snapshot.folder for snapshot in training.snapshots)})
            shelf.put(model)
            self._open_ahead(model, training)
        self.changed.emit()

    def _open_ahead(self, model: Model, training: Training) -> None:
        """Open the neighbours of the open snapshot, those in the direction of movement first, while memory allows."""
        shelf, int8 = self._controller.loads.shelf, model.config.int8
        numbers = [self._place + self._way * by for by in _AHEAD]
        folders = [training.snapshots[n].folder for n in numbers if 0 <= n < len(training.snapshots)]

        def work(stop: Stop) -> bool:
            for folder in folders:
                stop.check()
                if not shelf.has_room(model) or memory_warning(folder, 1):
                    break
                if shelf.find(folder, int8=int8) is None:
                    shelf.put(open_model(folder, stop=stop, int8=int8))
            shelf.find(model.folder, int8=int8)  # used last, so that the displayed model is dropped last
            return True

        self.ahead.submit(work)

    def _on_scene(self, scene: Scene | None) -> None:
        self._shown = None if scene is None else scene.checkpoint.folder

    def _on_trouble(self, words: str) -> None:
        if words:
            self._stay()

    def _on_state(self, state: State) -> None:
        """Set `number` to the snapshot that the state names, wherever the change came from."""
        wanted, model = Path(state.model), self._controller.model
        snapshots = () if self.training is None else self.training.snapshots
        number = next((n for n, snapshot in enumerate(snapshots) if snapshot.folder == wanted), None)
        if number is None or (model is not None and model.folder == wanted):
            if self._going is not None:
                self._stay()
        elif self._going != wanted:
            self._way = 1 if number > self._place else -1
            self._number, self._going = number, wanted
            self.changed.emit()

    def _stay(self) -> None:
        """Stop playing and opening, and set `number` to the snapshot of the open model."""
        model = self._controller.model
        self._going = None
        self._number = None if self.training is None or model is None else self.training.at(model.folder)
        self._timer.stop()
        self.changed.emit()

    def close(self) -> None:
        """Stop playing, and end the clip's export and the loading ahead."""
        self._timer.stop()
        self.clip.close()
        self.ahead.close()
