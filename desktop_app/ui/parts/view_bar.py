"""Small switches in the corner of the view: commands that change how a step shows its numbers, and a colour limit."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QAbstractScrollArea, QHBoxLayout, QLineEdit, QSlider, QToolButton, QWidget

from desktop_app.core.asking.command import WORKSPACE
from desktop_app.core.asking.commands import COMMANDS
from desktop_app.core.places import Entry
from desktop_app.ui.dialogs.line_dialog import ask_line

_LIMIT = "Colours end at this number in every view; empty: at each view's own limits"
_MARGIN = 16
_APART = 4  # from the pane's scroll bar
_AROUND = 10  # padding and frame of the field
_TICKS = 200
_TYPED = 26  # visible characters of a typed text
_SHORT = {
    command.id: command.short
    for command in COMMANDS
    if any(command.short) and not command.id.startswith((WORKSPACE, "compare_"))
}
"""A switch's long and short name, of which the long one is used if there is space."""


class ViewBar(QWidget):
    """Shows the actions of one step as buttons, and a field for its colour limit; it paints nothing itself."""

    limit_typed = Signal(str)
    refused = Signal(str)  # why a limit cannot be set
    needs_room = Signal(int)  # the height of the bar's own row; 0 if it is beside the tabs
    entered = Signal(str, object)  # a view option, and its new number or text

    def __init__(self, actions: dict[str, QAction], beside: QWidget, parent: QAbstractScrollArea) -> None:
        super().__init__(parent)
        self._pane, self._beside = parent, beside
        self._buttons: dict[str, QToolButton] = {}
        self._line = line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(2)
        for name in _SHORT:
            button = QToolButton()
            button.setObjectName("small")
            button.setCheckable(actions[name].isCheckable())
            button.setToolTip(actions[name].text())
            button.setAccessibleName(actions[name].text())
            button.clicked.connect(actions[name].trigger)
            line.addWidget(button)
            self._buttons[name] = button
        self._names = tuple(self._buttons)  # the commands that are shown
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _TICKS)
        self.slider.setPageStep(_TICKS // 10)
        self.slider.valueChanged.connect(self._take_slid)
        self.typed = QLineEdit()
        self.typed.setObjectName("small")
        self.typed.editingFinished.connect(self._take_typed)
        for field in (self.slider, self.typed):
            line.insertWidget(0, field)
        self._entry: Entry | None = None
        self._entered: object = None
        self.limit = QLineEdit()
        self.limit.setObjectName("small")
        self.limit.setPlaceholderText("limit")
        self.limit.setToolTip(_LIMIT)
        self.limit.setAccessibleName("Limit of the colours")
        self.limit.editingFinished.connect(self._take_limit)
        line.addWidget(self.limit)
        self._shown_limit = ""
        self._has_limit = False

    def show_limit(self, limit: float | None, *, there: bool) -> None:
        """Show the colour limit if the view has colours (`there`); called before `show_options`."""
        self._shown_limit = "" if limit is None else f"{limit:g}"
        if self.limit.text() != self._shown_limit:
            self.limit.setText(self._shown_limit)
        self._has_limit = there

    def ask_limit(self) -> None:
        """Put the caret into the field for the limit; if it is hidden, as in a lecture, ask in a dialog."""
        if self.limit.isVisible():
            self.limit.setFocus()
            self.limit.selectAll()
        elif self._has_limit:
            ask_line(self.window(), "Limit of the colours", _LIMIT, self._shown_limit, self.limit_typed.emit)
        else:
            self.refused.emit("Nothing in this view is shown in colours.")

    def _take_limit(self) -> None:
        typed = self.limit.text()
        if typed != self._shown_limit:
            self.limit_typed.emit(typed)
        if self.limit.hasFocus():
            self._pane.setFocus()  # there, Ctrl+Z undoes the change and arrow keys work

    def show_entry(self, entry: Entry | None, value: object) -> None:
        """Show the view's text field or slider with its value; called before `show_options`."""
        self._entry, self._entered = entry, value
        for field, there in (
            (self.slider, entry is not None and entry.top is not None),
            (self.typed, entry is not None and entry.top is None),
        ):
            field.setVisible(there)
            if entry is not None:
                field.setToolTip(entry.title)
                field.setAccessibleName(entry.title)
        if entry is not None and entry.top is not None and not self.slider.isSliderDown():
            self.slider.blockSignals(True)
            self.slider.setValue(round(float(str(value)) / entry.top * _TICKS))
            self.slider.blockSignals(False)
        elif entry is not None and entry.top is None:
            self.typed.setPlaceholderText(entry.hint)
            if self.typed.text() != value:
                self.typed.setText(str(value))

    def _take_slid(self, ticks: int) -> None:
        if self._entry is not None and self._entry.top is not None:
            self.entered.emit(self._entry.option, round(ticks / _TICKS * self._entry.top, 6))

    def _take_typed(self) -> None:
        if self._entry is not None and self.typed.text() != self._entered:
            self.entered.emit(self._entry.option, self.typed.text())
        if self.typed.hasFocus():
            self._pane.setFocus()

    def show_options(self, names: tuple[str, ...], on: set[str]) -> None:
        """Show the switches `names`, with those in `on` pressed, and move the bar into its corner."""
        before, self._names = self._names, tuple(name for name in self._buttons if name in names)
        for name in {*before, *self._names}:
            self._buttons[name].setVisible(name in names)
        for name in self._names:
            self._buttons[name].setChecked(name in on)
        self.setVisible(bool(names) or self._has_limit or self._entry is not None)
        self.place()

    def place(self) -> None:
        """Move to the upper right corner of the pane, with the longest names that fit; the limit is hidden last.

        If even the shortest do not fit beside the tabs, the bar gets a separate row below them.
        """
        right = self._pane.width() - _APART - self._pane.verticalScrollBar().sizeHint().width()
        whole = right - _MARGIN
        beside = whole - (0 if self._beside.isHidden() else self._beside.geometry().right())
        below = not self._fit(beside) and not self._beside.isHidden()
        if below:
            self._fit(whole)
        self.adjustSize()
        top = self._beside.geometry().bottom() + 4 if below else 4
        self.move(right - self.width(), top)
        self.needs_room.emit(self.height() + 6 if below and not self.isHidden() else 0)

    def _fit(self, room: int) -> bool:
        """Use the longest names that fit into `room`; return whether any do."""
        for length, digits in ((0, 8), (1, 6), (1, 4), (1, 0)):
            for name in self._names:
                self._buttons[name].setText(_SHORT[name][length])
            digit = self.typed.fontMetrics().horizontalAdvance("0")
            self.typed.setFixedWidth(digit * (_TYPED - 13 * length))
            self.slider.setFixedWidth(digit * (14 - 5 * length))
            self.limit.setVisible(self._has_limit and digits > 0)
            self.limit.setPlaceholderText("limit" if digits > 4 else "±")
            self.limit.setFixedWidth(self.limit.fontMetrics().horizontalAdvance("0" * digits) + _AROUND)
            self._line.activate()
            if self.sizeHint().width() <= room:
                return True
        return False
