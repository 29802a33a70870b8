"""The slider over a training run: snapshots, curves measured during it, and a mark that can be dragged."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from desktop_app.core.levels import short
from desktop_app.core.library.catalogue import after_steps
from desktop_app.core.library.training import Curves, Training
from desktop_app.core.panels import Hue
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.theme import Theme
from desktop_app.ui.parts.buttons import tip_of, tool
from desktop_app.ui.parts.track import Label, Track, Ways

Array = NDArray[Any]

_NAMED = 3
_EXPORT = "Export what is shown at every snapshot as a clip, or at three of them as a figure"
_HUES = (Hue.ACCENT, Hue.ATTENTION, Hue.VALUE)
"""The colours of the first curves, in order."""


def along(training: Training, steps: Array) -> Array:
    """Positions of steps among the snapshots: 0 is the first one, 1 the second, and so on."""
    found: Array = np.interp(steps, training.steps, np.arange(len(training.steps)))
    return found


def _here(training: Training, number: int | None) -> str:
    """Words for the snapshot that is open."""
    return "the trained model, not a snapshot" if number is None else after_steps(training.steps[number])


_WAYS = Ways("snapshot_previous", "snapshot_next", "snapshot_first", "snapshot_last", play="snapshot_play")


class SnapshotTrack(Track):
    """Draws ticks and the mark, and over the snapshots a line for each of the first curves, scaled to its own range."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_WAYS, parent)
        self._training: Training | None = None
        self._curves = Curves()
        self._number: int | None = None

    def show_training(self, training: Training, curves: Curves, number: int | None, theme: Theme, scale: float) -> None:
        """Show the current place in the training; no mark for a model that is not one of its snapshots."""
        self._training, self._curves, self._number, self._theme, self._scale = training, curves, number, theme, scale
        self.setFixedHeight(round((58 if curves.values else 30) * scale))
        count = len(training.steps)
        place = _here(training, number) if number is None else f"{_here(training, number)}, {number + 1} of {count}"
        self.setAccessibleName(f"Training: {place}")
        self.update()

    def _x(self, place: Array) -> Array:
        """The x coordinates on the widget of positions among the snapshots, as `along` gives them."""
        count = len(self._training.steps) if self._training is not None else 2
        edge = 10 * self._scale
        found: Array = edge + place / (count - 1) * max(1.0, self.width() - 2 * edge)
        return found

    def number_at(self, x: float) -> int:
        """The index of the snapshot nearest to `x` on the widget."""
        assert self._training is not None
        return int(np.abs(self._x(np.arange(len(self._training.steps))) - x).argmin())

    def place_at(self, x: float) -> int | None:
        return self.number_at(x) if self._training is not None else None

    def draw(self, page: Page) -> None:
        if self._training is None:
            return
        theme = page.theme
        line = self.height() - page.u(20)
        every = self._x(np.arange(len(self._training.steps)))
        for hue, values in zip(_HUES, self._curves.values.values(), strict=False):
            self._curve(page, hue, values, line - page.u(4))
        page.fill(Rect(float(every[0]), line, float(every[-1] - every[0]), page.u(2)), theme.line)
        for x in every:
            page.fill(Rect(float(x) - page.u(1), line - page.u(2), page.u(2), page.u(6)), theme.faint)
        if self._number is not None:
            here = float(every[self._number])
            page.path([here, here], [0, line], theme.ink, page.u(1.2))
            page.fill(Rect(here - page.u(5), line - page.u(4), page.u(10), page.u(10)), theme.accent, radius=page.u(5))
        self._names(page, every, line + page.u(13))

    def _curve(self, page: Page, hue: Hue, values: Array, bottom: float) -> None:
        assert self._training is not None
        there = np.isfinite(values)
        if there.sum() < 2:
            return
        low, high = values[there].min(), values[there].max()
        x = self._x(along(self._training, self._curves.steps[there]))
        y = bottom - (values[there] - low) / max(high - low, 1e-12) * (bottom - page.u(4))
        page.path(x, y, self._theme.hues[hue], page.u(1.6))

    def _names(self, page: Page, every: Array, y: float) -> None:
        """Write steps under the ticks: the open snapshot's, then those at the ends, then others that fit."""
        assert self._training is not None
        labels: list[Label] = []
        own = () if self._number is None else (self._number,)
        for n in dict.fromkeys((*own, 0, len(every) - 1, *range(len(every)))):
            words, shown = f"{self._training.steps[n]:,}", n == self._number
            left = float(every[n]) - page.width(words, size=10) / 2
            labels.append((left, words, self._theme.ink if shown else self._theme.dim, shown))
        self.write_apart(page, labels, y, page.u(8))


class TrainingBar(QWidget):
    """The track with its buttons, and the curves' values at the mark; hidden if a model has no snapshots."""

    command = Signal(str)
    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("scrubber")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        line = QHBoxLayout(self)
        line.setContentsMargins(16, 6, 16, 4)
        line.setSpacing(8)
        self.play = self._button("▶ Training", "snapshot_play")
        self.play.setCheckable(True)
        for button in (self._button("◀", "snapshot_previous"), self.play, self._button("▶", "snapshot_next")):
            line.addWidget(button)
        self.track = SnapshotTrack()
        self.track.chosen.connect(self.chosen)
        self.track.command.connect(self.command)
        line.addWidget(self.track, 1)
        words = QVBoxLayout()
        words.setSpacing(0)
        self.step = QLabel()
        self.step.setObjectName("heading")
        self.values = [QLabel() for _ in range(_NAMED)]
        for label in (self.step, *self.values):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setMinimumWidth(190)
            words.addWidget(label)
        words.addStretch(1)
        line.addLayout(words)
        line.addWidget(self._button("Beside", "snapshot_beside"))
        line.addWidget(self._button("Export …", "snapshot_export", _EXPORT))
        self.hide()

    def _button(self, sign: str, name: str, tip: str = "") -> QToolButton:
        button = tool(sign, tip_of(name, tip))
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda: self.command.emit(name))
        return button

    def show_training(
        self,
        training: Training | None,
        curves: Curves,
        number: int | None,
        theme: Theme,
        scale: float,
        *,
        playing: bool,
    ) -> None:
        """Show a training at one of its snapshots; nothing if there is none."""
        self.setVisible(training is not None)
        if training is None:
            return
        self.track.show_training(training, curves, number, theme, scale)
        words = _here(training, number)
        self.step.setText(words[0].upper() + words[1:])
        lines = self._lines(curves, None if number is None else training.steps[number])
        for n, label in enumerate(self.values):
            label.setVisible(n < len(lines))
            if n < len(lines):
                label.setText(lines[n])
                label.setStyleSheet(f"color: {theme.words(theme.hues[_HUES[n]])}; font-size: {round(11 * scale)}px;")
        self.play.setChecked(playing)
        self.play.setText("❚❚ Training" if playing else "▶ Training")

    @staticmethod
    def _lines(curves: Curves, step: int | None) -> list[str]:
        """The first curves by name, with their values at a step if measured there."""
        found = []
        for name, values in list(curves.values.items())[:_NAMED]:
            there = [short(value) for value in values[curves.steps == step] if np.isfinite(value)]
            found.append(" ".join((name[:40], *there)))
        return found
