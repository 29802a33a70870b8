"""Temperature, top-k, top-p, greedy and seed: sliders, with fields for exact numbers beside them."""

import math
from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QLocale, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSlider,
    QSpinBox,
    QToolButton,
    QWidget,
)

from desktop_app.gpt2.sampling import MAX_SEED, MAX_TEMPERATURE, MAX_TOP_K, MIN_TEMPERATURE, Sampling

Field = TypeVar("Field", bound=QAbstractSpinBox)

_TICKS = 1000
_GAP, _TIGHT_GAP = 6, 2  # pixels between the rows
_LOW, _HIGH = 0.1, 5.0  # the slider's range of temperatures; the field beside it has a larger range


def temperature_at(tick: int) -> float:
    """The temperature at a slider position: equal distances are equal ratios, and exactly 1 can be set."""
    value = _LOW * (_HIGH / _LOW) ** (tick / _TICKS)
    return round(value, 2)


def temperature_tick(value: float) -> int:
    """The slider position for a temperature."""
    return round(_TICKS * math.log(min(max(value, _LOW), _HIGH) / _LOW) / math.log(_HIGH / _LOW))


def top_k_at(tick: int, size: int) -> int:
    """The k at a slider position; at the right end 0, which is off."""
    return 0 if tick >= _TICKS else max(1, round(size ** (tick / _TICKS)))


def top_k_tick(value: int, size: int) -> int:
    """The slider position for a k."""
    if value == 0 or size < 2:
        return _TICKS
    return min(_TICKS - 1, round(_TICKS * math.log(max(1, min(value, size))) / math.log(size)))


def sampling_words(sampling: Sampling) -> str:
    """The sampling settings, in one line."""
    if sampling.greedy:
        return f"T {sampling.temperature:g} · greedy"
    top_k = f"{sampling.top_k:,}" if sampling.top_k else "off"
    return f"T {sampling.temperature:g} · top-k {top_k} · top-p {sampling.top_p:g}"


class SamplingControls(QWidget):
    """Emits `changed` with (field name, value), and `released` at the end of a drag or of typing."""

    changed = Signal(str, object)
    released = Signal()
    refused = Signal(str)  # why a typed value is refused

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._vocabulary = 50257
        self._seed = 0
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(_GAP)
        self._grid = grid
        self.temperature, self._temperature = self._line(
            grid, 0, "Temperature", self._number(2, MIN_TEMPERATURE, MAX_TEMPERATURE, 0.05)
        )
        self._top_k = QSpinBox()
        self._top_k.setSpecialValueText("off")
        self._top_k.setRange(0, MAX_TOP_K)
        self.top_k, _ = self._line(grid, 1, "Top-k", self._top_k)
        self.top_p, self._top_p = self._line(grid, 2, "Top-p", self._number(2, 0.01, 1.0, 0.01))
        self.temperature.valueChanged.connect(lambda t: self._send("temperature", temperature_at(t)))
        self.top_k.valueChanged.connect(lambda t: self._send("top_k", top_k_at(t, self._vocabulary)))
        self.top_p.valueChanged.connect(lambda t: self._send("top_p", max(0.01, round(t / _TICKS, 2))))
        self._temperature.valueChanged.connect(lambda v: self._send("temperature", round(v, 4)))
        self._top_k.valueChanged.connect(lambda v: self._send("top_k", v))
        self._top_p.valueChanged.connect(lambda v: self._send("top_p", round(v, 4)))

        last = QHBoxLayout()
        last.setSpacing(8)
        self.greedy = QCheckBox("Greedy")
        self.greedy.toggled.connect(lambda on: self._send("greedy", on))
        self.seed = QLineEdit()
        self.seed.setAccessibleName("Seed")
        self.seed.setMaximumWidth(110)
        self.seed.editingFinished.connect(self._send_seed)
        self.reseed = QToolButton()
        self.reseed.setText("New")
        self.reseed.setToolTip("Another seed")
        self.reseed.setAccessibleName("New seed")
        last.addWidget(self.greedy)
        last.addStretch(1)
        label = QLabel("Seed")
        label.setObjectName("dim")
        last.addWidget(label)
        last.addWidget(self.seed)
        last.addWidget(self.reseed)
        grid.addLayout(last, 3, 0, 1, 3)

    def set_tight(self, tight: bool) -> None:
        """Move the rows closer together."""
        self._grid.setVerticalSpacing(_TIGHT_GAP if tight else _GAP)

    def _number(self, decimals: int, low: float, high: float, step: float) -> QDoubleSpinBox:
        field = QDoubleSpinBox()
        field.setLocale(QLocale.c())
        field.setDecimals(decimals)
        field.setRange(low, high)
        field.setSingleStep(step)
        return field

    def _line(self, grid: QGridLayout, row: int, name: str, field: Field) -> tuple[QSlider, Field]:
        label = QLabel(name)
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(0, _TICKS)
        slider.setPageStep(50)
        slider.setSingleStep(5)
        slider.setAccessibleName(name)
        slider.sliderReleased.connect(self.released)
        field.setAccessibleName(f"{name}, number")
        field.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        field.setKeyboardTracking(False)
        field.editingFinished.connect(self.released)
        label.setBuddy(field)
        grid.addWidget(label, row, 0)
        grid.addWidget(slider, row, 1)
        grid.addWidget(field, row, 2)
        grid.setColumnStretch(1, 1)
        return slider, field

    def _send(self, name: str, value: object) -> None:
        self.changed.emit(name, value)

    def _send_seed(self) -> None:
        text = self.seed.text().strip()
        if text.isascii() and text.isdigit() and int(text) <= MAX_SEED:
            self._send("seed", int(text))
        elif text != str(self._seed):
            self.refused.emit(f"A seed is a whole number from 0 to {MAX_SEED}.")
        self.seed.setText(str(self._seed))

    def set_scale(self, scale: float) -> None:
        """Adjust the widths of fields to a type size."""
        for field in (self._temperature, self._top_k, self._top_p):
            field.setFixedWidth(round(72 * scale))
        self.seed.setMaximumWidth(round(110 * scale))

    def show_sampling(self, sampling: Sampling, vocabulary: int) -> None:
        """Show settings without emitting them."""
        self._vocabulary = vocabulary
        moves: list[tuple[QWidget, Callable[[], object]]] = [
            (self.temperature, lambda: self.temperature.setValue(temperature_tick(sampling.temperature))),
            (self._temperature, lambda: self._temperature.setValue(sampling.temperature)),
            (self.top_k, lambda: self.top_k.setValue(top_k_tick(sampling.top_k, vocabulary))),
            (self._top_k, lambda: self._top_k.setValue(sampling.top_k)),
            (self.top_p, lambda: self.top_p.setValue(round(sampling.top_p * _TICKS))),
            (self._top_p, lambda: self._top_p.setValue(sampling.top_p)),
            (self.greedy, lambda: self.greedy.setChecked(sampling.greedy)),
        ]
        for widget, move in moves:
            # While a slider is dragged, it is not moved to the rounded position of its value.
            if isinstance(widget, QSlider) and widget.isSliderDown():
                continue
            with QSignalBlocker(widget):
                move()
        self._seed = sampling.seed
        if not self.seed.hasFocus():
            self.seed.setText(str(sampling.seed))
        for widget in (self.top_k, self._top_k, self.top_p, self._top_p):
            widget.setEnabled(not sampling.greedy)
