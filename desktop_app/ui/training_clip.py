"""Exports a training run: the current view at every snapshot as a clip, or at three snapshots as a figure."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from desktop_app.core.library.training import Training
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.figures.clips import CLIPS, write_clip
from desktop_app.figures.export import Options, kind_of, render, write
from desktop_app.figures.trainings import beside_of, ends_of, frames_of, views_of
from desktop_app.gpt2.session import Stop
from desktop_app.ui.desks.clip_lane import FILES, ClipLane
from desktop_app.ui.desks.controller import Controller

SECONDS = 0.5
"""The seconds for which a clip shows each snapshot."""


class TrainingClip(QObject):
    """Asks for a file and writes it in the background with separately opened models; the window stays usable."""

    said = Signal(str, bool)  # a sentence, and whether it stays until it is replaced

    def __init__(self, controller: Controller, window: QWidget) -> None:
        super().__init__(window)
        self._controller, self._window = controller, window
        self.theme, self.folder = "light", ""
        self._name = ""  # the name of the file that is being written
        self.lane = ClipLane("training clip", self)
        self.lane.answered.connect(self._done)
        self.lane.failed.connect(self._fail)
        self.lane.progressed.connect(self._tell)

    def ask(self, training: Training, number: int | None) -> None:
        """Ask for a file, and write the current view at the snapshots to it; `number` is the index of the open one."""
        scene, step = self._controller.scene, self._controller.step
        if scene is None or step is None:
            return
        dialog = QFileDialog(self._window, "Export the training", self.folder, FILES)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("gif")
        dialog.fileSelected.connect(lambda name: self.export(training, number, scene, step, Path(name)))
        dialog.open()

    def export(self, training: Training, number: int | None, scene: Scene, step: Step, out: Path) -> None:
        """Write the view of a step of a scene: a clip of all snapshots, or a figure of the first, this and the last."""
        self.folder, self._name, theme = str(out.parent), out.name, self.theme
        clip = out.suffix.lower().removeprefix(".") in CLIPS
        snapshots = training.snapshots if clip else ends_of(training, number)

        def write_it(stop: Stop, out: Path) -> None:
            options = None if clip else Options(kind_of(out), theme=theme)
            asked, state, report = scene.passes.asked, scene.state, self.lane.progressed.emit
            views = views_of(training, snapshots, step.key, asked, state, stop, report)
            if options is None:
                jobs = frames_of(views)
                write_clip(
                    range(len(jobs)), jobs.__getitem__, out, seconds=SECONDS, theme=theme, stop=stop, polite=True
                )
            else:
                drawn = render(beside_of(views), options)
                stop.check()
                write(out, drawn)

        self.lane.request(write_it, out)
        self.said.emit(f"Drawing {out.name} …", True)

    def stop(self) -> None:
        """Stop writing the file."""
        if self._name:
            self.lane.cancel()
            self.said.emit(f"{self._name} was not written.", False)
            self._name = ""

    def _tell(self, share: float) -> None:
        if self._name:
            self.said.emit(f"Drawing {self._name} … {share:.0%} of the snapshots are read   (Ctrl+. stops)", True)

    def _done(self, path: Path) -> None:
        self._name = ""
        self.said.emit(f"Wrote {path.name}.", False)

    def _fail(self, words: str) -> None:
        self._name = ""
        self.said.emit("", False)
        self._controller.complain(words)

    def close(self) -> None:
        """Stop, and wait for that."""
        self.lane.close()
