"""The scrubber: every step on one line, block by block, with buttons to step and to play."""

from typing import NamedTuple

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from desktop_app.core.places import BLOCK, IN, Step
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.theme import Theme, mix
from desktop_app.ui.parts.buttons import tip_of, tool
from desktop_app.ui.parts.track import Label, Track, Ways

_SPEEDS = (0.5, 1.0, 2.0, 4.0)  # steps per second


class Segment(NamedTuple):
    """A part of the track: its name, a shorter name, its first step, the number of its steps, and its place."""

    name: str
    short: str
    first: int
    steps: int
    x: float
    width: float

    def holds(self, step: int) -> bool:
        """Whether a step is in this part."""
        return self.first <= step < self.first + self.steps


_WAYS = Ways("previous", "next", "first", "last", "previous_block", "next_block")


class StepTrack(Track):
    """One segment for the steps before the blocks, for each block and for the steps after; emits a step's index."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_WAYS, parent)
        self.setAccessibleName("Scrubber over all steps")
        self.setMouseTracking(True)
        self._steps: tuple[Step, ...] = ()
        self._current = 0

    def show_steps(self, steps: tuple[Step, ...], current: int, theme: Theme, scale: float) -> None:
        """Show the current step."""
        shown = self._steps, self._current, self._theme, self._scale
        if shown == (steps, current, theme, scale):  # as often happens while a slider moves
            return
        self._steps, self._current, self._theme, self._scale = steps, current, theme, scale
        self.setFixedHeight(round(34 * scale))
        self.update()

    def _segments(self) -> list[Segment]:
        parts: list[tuple[str, str, int, int]] = []
        for step in self._steps:
            ends = "in" if step.spec.part == IN else "out"
            name, short = (f"block {step.layer}", f"{step.layer}") if step.spec.part == BLOCK else (ends, ends)
            if parts and parts[-1][0] == name:
                parts[-1] = (name, short, parts[-1][2], parts[-1][3] + 1)
            else:
                parts.append((name, short, step.index, 1))
        gap = 3.0 if len(parts) < 60 else 1.0
        room = self.width() - gap * (len(parts) - 1)
        # Beside many blocks, the first and the last segment would be too narrow to be clicked; they have a minimum
        # width.
        least = min(26.0 * self._scale, room / 6)
        total = max(len(self._steps), 1)
        widths = [max(least if name == short else 0, room * count / total) for name, short, _, count in parts]
        shrink = room / sum(widths) if widths else 1
        found, x = [], 0.0
        for part, width in zip(parts, widths, strict=True):
            found.append(Segment(*part, x, width * shrink))
            x += width * shrink + gap
        return found

    def draw(self, page: Page) -> None:
        theme = page.theme
        top, height = page.u(8), page.u(6)
        segments = self._segments()
        for part in segments:
            passed = (self._current - part.first + 1) / part.steps
            page.fill(Rect(part.x, top, part.width, height), theme.line, radius=page.u(3))
            if passed > 0:
                colour = theme.accent if part.holds(self._current) else mix(theme.accent, theme.panel, 0.45)
                page.fill(Rect(part.x, top, part.width * min(passed, 1), height), colour, radius=page.u(3))
        if segments:
            self._name_parts(segments, top + page.u(18), page)

    def _name_parts(self, segments: list[Segment], y: float, page: Page) -> None:
        """Draw names under the segments: always the current one's, then those at the ends, then others that fit."""
        whole = all(page.width(part.name, size=10) + page.u(4) < part.width for part in segments)
        current = next((n for n, part in enumerate(segments) if part.holds(self._current)), 0)
        labels: list[Label] = []
        for n in dict.fromkeys((current, 0, len(segments) - 1, *range(len(segments)))):
            colour = page.theme.ink if n == current else page.theme.dim
            labels.append((segments[n].x, segments[n].name if whole else segments[n].short, colour, False))
        self.write_apart(page, labels, y, page.u(6))

    def step_at(self, x: float) -> int:
        """The index of the step at a point of the track."""
        for part in self._segments():
            if x < part.x + part.width + 2:
                return part.first + min(part.steps - 1, max(0, int((x - part.x) / part.width * part.steps)))
        return max(0, len(self._steps) - 1)

    def place_at(self, x: float) -> int | None:
        return self.step_at(x) if self._steps else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        index = self.place_at(event.position().x())
        if index is None:
            return
        step = self._steps[index]
        where = f"block {step.layer} · " if step.layer is not None else ""
        self.setToolTip(f"{index + 1} of {len(self._steps)}: {where}{step.text.name}")


class Scrubber(QWidget):
    """Buttons, the track, and the step's name."""

    chosen = Signal(int)
    command = Signal(str)
    played = Signal(bool)  # playing started or stopped, for whatever reason

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("bottomBar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        line = QHBoxLayout(self)
        line.setContentsMargins(16, 8, 16, 8)
        line.setSpacing(8)
        self._button(line, "|◀", "first")
        self._button(line, "◀", "previous")
        self.play = self._button(line, "▶ Play", "play")
        self.play.setCheckable(True)
        self._button(line, "▶", "next")
        self._button(line, "▶|", "last")
        self.speed = QComboBox()
        self.speed.setAccessibleName("Speed")
        self.speed.addItems([f"{s:g} a second" for s in _SPEEDS])
        self.speed.setCurrentIndex(1)
        self.speed.currentIndexChanged.connect(lambda _: self._set_interval())
        line.addWidget(self.speed)
        self.track = StepTrack()
        self.track.chosen.connect(self.chosen)
        self.track.command.connect(self.command)
        line.addWidget(self.track, 1)
        words = QVBoxLayout()
        words.setSpacing(0)
        self.place = QLabel()
        self.place.setObjectName("heading")
        self.name = QLabel()
        self.name.setObjectName("dim")
        for label in (self.place, self.name):
            label.setAlignment(Qt.AlignmentFlag.AlignRight)
            label.setMinimumWidth(190)
            words.addWidget(label)
        line.addLayout(words)
        self._timer = QTimer(self)
        self._timer.timeout.connect(lambda: self.command.emit("next"))
        self._steps: tuple[Step, ...] = ()

    def set_tight(self, tight: bool) -> None:
        """Reduce the margins above and below."""
        layout = self.layout()
        assert layout is not None
        layout.setContentsMargins(16, 3 if tight else 8, 16, 3 if tight else 8)

    def _button(self, line: QHBoxLayout, text: str, command: str) -> QToolButton:
        button = tool(text, tip_of(command))
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda: self.command.emit(command))
        line.addWidget(button)
        return button

    def show_steps(self, steps: tuple[Step, ...], current: Step | None, theme: Theme, scale: float) -> None:
        """Show the current step."""
        self._steps = steps
        index = current.index if current is not None else 0
        self.track.show_steps(steps, index, theme, scale)
        self.place.setText(f"{index + 1} of {len(steps)}" if steps else "")
        if current is not None:
            where = f"block {current.layer} · " if current.layer is not None else ""
            self.name.setText(f"{where}{current.text.name.lower()}")
        if self.playing and index == len(steps) - 1:
            self.set_playing(False)

    @property
    def playing(self) -> bool:
        """Whether steps advance automatically."""
        return self._timer.isActive()

    @property
    def steps_a_second(self) -> float:
        """The chosen speed, in steps per second."""
        return _SPEEDS[self.speed.currentIndex()]

    def set_speed(self, steps_a_second: float) -> None:
        """Choose a speed."""
        if steps_a_second in _SPEEDS:
            self.speed.setCurrentIndex(_SPEEDS.index(steps_a_second))

    def _set_interval(self) -> None:
        self._timer.setInterval(round(1000 / self.steps_a_second))

    def set_playing(self, on: bool) -> None:
        """Play or pause."""
        self._set_interval()
        if on:
            self._timer.start()
        else:
            self._timer.stop()
        self.play.setChecked(on)
        self.play.setText("❚❚ Pause" if on else "▶ Play")
        self.played.emit(on)
