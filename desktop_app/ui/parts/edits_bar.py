"""The edits of the pass as buttons (chips) under the text, with menus to widen, scale, rewrite or remove each."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QAction, QContextMenuEvent, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QPushButton, QScrollArea, QSlider, QToolButton, QWidget

from desktop_app.ui.parts.buttons import tip_of_action, tool

_STEPS, _MOST = 20, 10.0
"""Slider ticks per unit of strength, and the slider's range to either side of 0."""
_SHOWN = 60
"""Visible characters of an edit on its chip; its tooltip has all."""


@dataclass(frozen=True)
class EditChip:
    """One chip: its edit's text, whether it is on, why it has no effect (if it has none), and its strength (if any).

    `acts` are the names of the actions in its menu: "switch", "widen", "align", "write", "remove".
    """

    text: str
    on: bool = True
    idle: str = ""
    strength: float | None = None
    everywhere: bool = False
    acts: tuple[str, ...] = ("switch", "widen", "write", "remove")


_TITLES: dict[str, Callable[[EditChip], str]] = {
    "switch": lambda chip: "Switch off" if chip.on else "Switch on",
    "widen": lambda chip: "Only at the selected token" if chip.everywhere else "At every position",
    "align": lambda _chip: "Align otherwise",
    "write": lambda _chip: "Rewrite …",
    "remove": lambda _chip: "Remove",
}
_KEYS = {
    Qt.Key.Key_Space: "switch",
    Qt.Key.Key_Return: "switch",
    Qt.Key.Key_W: "widen",
    Qt.Key.Key_A: "align",
    Qt.Key.Key_F2: "write",
    Qt.Key.Key_Delete: "remove",
    Qt.Key.Key_Backspace: "remove",
}
_HINT = "Space: off and on · W: every position or this · F2: rewrite · Delete: remove"


class _Chip(QPushButton):
    """A button that emits the chosen action."""

    asked = Signal(str)
    moved = Signal(int)
    chosen = Signal()

    def __init__(self, chip: EditChip, parent: QWidget) -> None:
        super().__init__(parent)
        self.chip = chip
        self.setObjectName("editChip")
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setChecked(chip.on and not chip.idle)
        short = chip.text if len(chip.text) <= _SHOWN else f"{chip.text[: _SHOWN - 1]}…"
        self.setText(f"{short}  (does not apply here)" if chip.idle else short)
        self.setToolTip("\n".join(filter(None, (chip.text, chip.idle, _HINT))))
        self.setAccessibleName(f"{chip.text}, {'on' if chip.on else 'off'}")
        self.clicked.connect(self._clicked)

    def _clicked(self) -> None:
        # undo Qt's toggling, because the state determines which edits are on
        self.setChecked(self.chip.on and not self.chip.idle)
        self.asked.emit("switch" if "switch" in self.chip.acts else self.chip.acts[0])

    def menu_at(self, point: QPoint) -> None:
        """Open the menu of the chip's actions."""
        menu = QMenu(self)
        for name in self.chip.acts:
            action = QAction(_TITLES[name](self.chip), menu)
            action.triggered.connect(lambda _checked=False, name=name: self.asked.emit(name))
            menu.addAction(action)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(point)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.menu_at(event.globalPos())

    def focusInEvent(self, event: object) -> None:
        super().focusInEvent(event)  # type: ignore[arg-type] # the event is Qt's own
        self.chosen.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.moved.emit(1 if key == Qt.Key.Key_Right else -1)
        elif (name := _KEYS.get(key, "")) in self.chip.acts and not event.modifiers():
            self.asked.emit(name)
        else:
            super().keyPressEvent(event)


class EditsBar(QWidget):
    """Emits a chip's index with the requested action, and the strength set for the selected chip."""

    asked = Signal(int, str)
    weighed = Signal(int, float)
    released = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("editsBar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName("Edits of the pass")
        line = QHBoxLayout(self)
        line.setContentsMargins(16, 3, 16, 4)
        line.setSpacing(8)
        self._title = QLabel("Edited")
        self._title.setObjectName("dim")
        line.addWidget(self._title)
        self._area = QScrollArea()
        self._area.setObjectName("editsArea")
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QScrollArea.Shape.NoFrame)
        self._area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        line.addWidget(self._area, 1)
        self.more = tool("", "The next edits that have no room here", small=True)
        self.more.clicked.connect(self._show_more)
        line.addWidget(self.more)
        self.more.hide()
        self._moved = self._area.horizontalScrollBar()
        self._moved.valueChanged.connect(self._count_hidden)
        self._moved.rangeChanged.connect(self._count_hidden)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Strength of the edit")
        self.slider.setRange(round(-_MOST * _STEPS), round(_MOST * _STEPS))
        self.slider.setFixedWidth(140)
        self.slider.valueChanged.connect(self._weigh)
        self.slider.sliderReleased.connect(self.released)
        self.weight = QLabel()
        self.weight.setObjectName("dim")
        line.addWidget(self.slider)
        line.addWidget(self.weight)
        self._switches = QHBoxLayout()
        self._switches.setSpacing(4)
        line.addLayout(self._switches)
        self._chips: list[_Chip] = []
        self._shown: tuple[EditChip, ...] = ()
        self._chosen: int | None = None
        self.hide()

    @property
    def chips(self) -> list[_Chip]:
        """The chips, in their order."""
        return self._chips

    def add_switches(self, actions: list[QAction], words: list[str]) -> None:
        """Add buttons for these actions at the end."""
        for action, text in zip(actions, words, strict=True):
            button = tool(text, tip_of_action(action), small=True)
            button.setCheckable(True)
            button.setAccessibleName(action.text())
            button.clicked.connect(action.trigger)
            action.changed.connect(lambda a=action, b=button: self._follow(a, b))
            self._switches.addWidget(button)

    @staticmethod
    def _follow(action: QAction, button: QToolButton) -> None:
        button.setChecked(action.isChecked())
        button.setVisible(action.isEnabled())

    def show_edits(self, chips: tuple[EditChip, ...], *, edited: bool) -> None:
        """Show these chips; hide the bar if there are none."""
        self.setVisible(bool(chips))
        self._title.setText("Edited" if edited else "Beside")
        if [chip.text for chip in chips] != [chip.text for chip in self._shown] or chips != self._shown:
            self._shown = chips
            self._build()
        self._show_strength()

    def _build(self) -> None:
        focused = next((n for n, chip in enumerate(self._chips) if chip.hasFocus()), None)
        inside = QWidget()
        inside.setObjectName("editsInside")
        line = QHBoxLayout(inside)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(6)
        self._chips = []
        for n, chip in enumerate(self._shown):
            made = _Chip(chip, inside)
            made.asked.connect(lambda name, n=n: self.asked.emit(n, name))
            made.moved.connect(lambda by, n=n: self.focus_chip(n + by))
            made.chosen.connect(lambda n=n: self._choose(n))
            line.addWidget(made)
            self._chips.append(made)
        line.addStretch(1)
        self._area.setWidget(inside)
        self._area.setFixedHeight(inside.sizeHint().height() + 2)
        if focused is not None:
            self.focus_chip(focused)

    def _hidden(self) -> list[int]:
        """The chips that are not shown whole, by index."""
        left, width = self._moved.value(), self._area.viewport().width()
        return [n for n, chip in enumerate(self._chips) if chip.x() < left or chip.x() + chip.width() > left + width]

    def _count_hidden(self, *_: object) -> None:
        """Say how many chips have no room; the button itself takes some, and stays until all would fit without it."""
        overflows = self._moved.maximum() > (self.more.width() + 8 if self.more.isVisible() else 0)
        self.more.setVisible(overflows)
        if overflows:
            self.more.setText(f"+{len(self._hidden())}")

    def _show_more(self) -> None:
        """Focus the next chip that is not shown whole; after the last, the first."""
        at = next((n for n, chip in enumerate(self._chips) if chip.hasFocus()), -1)
        hidden = self._hidden()
        ahead = [n for n in hidden if n > at] or hidden
        if ahead:
            self.focus_chip(ahead[0])

    def focus_chip(self, n: int) -> None:
        """Focus chip `n`, or the nearest one that exists."""
        if self._chips:
            chip = self._chips[min(max(n, 0), len(self._chips) - 1)]
            chip.setFocus()
            self._area.ensureWidgetVisible(chip)

    def _choose(self, n: int) -> None:
        self._chosen = n
        self._show_strength()

    def _show_strength(self) -> None:
        """Show the slider for the chip selected last if it has a strength, else for the last chip that has one."""
        weighty = [n for n, chip in enumerate(self._shown) if chip.strength is not None]
        at = self._chosen if self._chosen in weighty else weighty[-1] if weighty else None
        self._chosen = at
        self.slider.setVisible(at is not None)
        self.weight.setVisible(at is not None)
        strength = self._shown[at].strength if at is not None else None
        if strength is not None:
            self.weight.setText(f"{strength:g}")
            if not self.slider.isSliderDown():
                self.slider.blockSignals(True)
                self.slider.setValue(round(min(max(strength, -_MOST), _MOST) * _STEPS))
                self.slider.blockSignals(False)

    def _weigh(self, value: int) -> None:
        if self._chosen is not None:
            self.weighed.emit(self._chosen, value / _STEPS)
