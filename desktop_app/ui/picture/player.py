"""Animates the operation of the current step: each moment of the animation is a view in the central pane."""

from pathlib import Path
from time import monotonic

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from desktop_app.core.motion.beats import Motion
from desktop_app.core.motion.operations import CELL, ROW, motion_of, moves_by_row, operation_of
from desktop_app.core.panels import View
from desktop_app.figures.clips import CLIPS, clip_times, moment, motion_words, write_clip
from desktop_app.figures.export import Options, job_of, kind_of, render, write
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.session import Stop
from desktop_app.ui.desks.clip_lane import FILES, ClipLane
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.picture.motion import FRAME_MS, moves
from desktop_app.ui.picture.motion_bar import MotionBar


class Player(QObject):
    """Holds the current animation and its time. Showing anything else in the central pane ends it."""

    shown = Signal(object)  # the View of this moment
    ended = Signal()
    said = Signal(str)

    def __init__(self, controller: Controller, bar: MotionBar, window: QWidget) -> None:
        super().__init__(window)
        self._controller, self.bar, self._window = controller, bar, window
        self.motion: Motion | None = None
        self.time = 0.0
        self._pace, self._by = 2.0, CELL
        self._last = 0.0
        self._timer = QTimer(self, interval=FRAME_MS)
        self._timer.timeout.connect(self._tick)
        self.lane = ClipLane("clip", self)
        self.lane.answered.connect(lambda path: self.said.emit(f"Wrote {path.name}."))
        self.lane.failed.connect(self.said)
        self.theme = "light"
        self.folder = ""
        bar.scrubbed.connect(self._scrub)
        bar.paced.connect(self._set_pace)
        bar.by_row.connect(self._set_by)

    @property
    def on(self) -> bool:
        """Whether an animation is shown."""
        return self.motion is not None

    @property
    def playing(self) -> bool:
        """Whether the animation is playing."""
        return self._timer.isActive()

    def toggle(self) -> None:
        """Show the animation of this step's operation from its beginning, or end it."""
        if self.on:
            self.end()
        elif self._make():
            self.time = 0.0
            self.play()

    def _make(self) -> bool:
        c = self._controller
        scene, step = c.scene, c.walk_step
        if scene is None or step is None:
            return False
        if c.step is not step or operation_of(step) is None:
            self.said.emit(
                "There is no animation here; go to a step of the walk that computes something, such as scores or GELU."
            )
            return False
        by = self._by if moves_by_row(step) else CELL
        try:
            self.motion = motion_of(scene, step, by)
        except LogitscopeError as reason:
            self.said.emit(str(reason))
            return False
        self._words = motion_words(scene, step)
        self.bar.show_rows(there=moves_by_row(step), on=by == ROW)
        self.bar.show()
        return True

    def play(self) -> None:
        """Play the animation, from its beginning if it is at its end; pause it if it is playing."""
        if self.motion is None:
            return
        if self.playing:
            self._timer.stop()
        else:
            if self.time >= self.motion.length:
                self.time = 0.0
            self._last = monotonic()
            # If the user prefers less motion, each beat appears at once and stays for its duration.
            self._timer.setInterval(FRAME_MS if moves() else round(1000 / self._pace))
            self._timer.start()
        self._show()

    def beat(self, by: int) -> None:
        """Go to the end of the next beat (1) or of the previous one (-1)."""
        if self.motion is None:
            return
        self._timer.stop()
        at = int(self.time + 1e-9)
        self.time = min(max(float(at + by if by > 0 or self.time == at else at), 0.0), self.motion.length)
        self._show()

    def _tick(self) -> None:
        motion, now = self.motion, monotonic()
        if motion is None:
            self._timer.stop()
            return
        self.time += (now - self._last) * self._pace if moves() else 1.0
        self._last = now
        if self.time >= motion.length:
            self.time = motion.length
            self._timer.stop()
        self._show()

    def _show(self) -> None:
        motion = self.motion
        if motion is None:
            return
        view = motion.view(self.time)
        self.bar.show_moment(view.lead, self.time / motion.length, playing=self.playing)
        self.shown.emit(view)

    @property
    def view(self) -> View | None:
        """The view of the current moment."""
        return None if self.motion is None else self.motion.view(self.time)

    def _scrub(self, share: float) -> None:
        if self.motion is not None:
            self._timer.stop()
            self.time = share * self.motion.length
            self._show()

    def _set_pace(self, pace: float) -> None:
        self._pace = pace

    def _set_by(self, row: bool) -> None:
        self._by = ROW if row else CELL
        if self.on and self._make():
            self.time = 0.0
            self._show()

    def leave(self) -> None:
        """Drop the animation, because something else is shown."""
        self._timer.stop()
        self.motion = None
        self.bar.hide()

    def end(self) -> None:
        """End the animation and show the step again."""
        if self.on:
            self.leave()
            self.ended.emit()

    def ask_export(self) -> None:
        """Ask for a file, and write the animation to it."""
        if self.motion is None:
            return
        motion, words, pace = self.motion, self._words, self._pace
        dialog = QFileDialog(self._window, "Export clip", self.folder, FILES)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("gif")
        dialog.fileSelected.connect(lambda name: self.export(motion, words, pace, Path(name)))
        dialog.open()

    def export(self, motion: Motion, words: str, pace: float, out: Path) -> None:
        """Write an animation to a file in the background."""
        self.folder = str(out.parent)
        self.said.emit(f"Drawing {out.name} …")
        theme = self.theme

        def write_it(stop: Stop, out: Path) -> None:
            if out.suffix.lower().removeprefix(".") in CLIPS:
                times = clip_times(motion, pace)
                write_clip(times, moment(motion, words), out, theme=theme, stop=stop, polite=True)
            else:
                write(out, render(job_of(motion.storyboard(), words), Options(kind_of(out), theme=theme)))

        self.lane.request(write_it, out)

    def close(self) -> None:
        """Stop the animation, cancel the clip that is being written, and wait for its thread to end."""
        self.leave()
        self.lane.close()
