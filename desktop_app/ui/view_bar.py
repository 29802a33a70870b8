"""Small switches in the corner of the view: the commands that change how this step shows its numbers, and a limit."""

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QToolButton, QWidget

from desktop_app.core.commands import COMMANDS, WORKSPACE

_LIMIT = "Colours end at this number in every view; empty: at each view's own limits"
_MARGIN = 16
_SHORT = {
    command.id: command.short for command in COMMANDS if any(command.short) and not command.id.startswith(WORKSPACE)
}
"""What a switch is called where there is room, and where there is little."""


class ViewBar(QWidget):
    """Shows the actions of one step as buttons, and a field for its colours' limit; it draws nothing of its own."""

    limit_typed = Signal(str)

    def __init__(self, actions: dict[str, QAction], beside: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self._pane, self._beside = parent, beside
        self._buttons: dict[str, QToolButton] = {}
        self._line = line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        for name in _SHORT:
            button = QToolButton()
            button.setObjectName("small")
            button.setCheckable(actions[name].isCheckable())
            button.setToolTip(actions[name].text())
            button.setAccessibleName(actions[name].text())
            button.clicked.connect(actions[name].trigger)
            line.addWidget(button)
            self._buttons[name] = button
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
        """Show the limit that is set, `there` where the view has colours; before `show_options`."""
        self._shown_limit = "" if limit is None else f"{limit:g}"
        if self.limit.text() != self._shown_limit:
            self.limit.setText(self._shown_limit)
        self._has_limit = there

    def _take_limit(self) -> None:
        typed = self.limit.text()
        if typed != self._shown_limit:
            self.limit_typed.emit(typed)
        if self.limit.hasFocus():
            self._pane.setFocus()  # where Ctrl+Z takes it back, and arrows go on

    def show_options(self, names: tuple[str, ...], on: set[str]) -> None:
        """Show the switches `names`, those in `on` pressed; the bar moves into its corner."""
        for name, button in self._buttons.items():
            button.setVisible(name in names)
            button.setChecked(name in on)
        self.setVisible(bool(names) or self._has_limit)
        self.place()

    def place(self) -> None:
        """Sit in the upper right corner of the pane, with the longest names that fit; the limit gives way last."""
        room = self._pane.width() - 2 * _MARGIN
        if not self._beside.isHidden():
            room -= self._beside.geometry().right()
        for length, limit in ((0, True), (1, True), (1, False)):
            for name, button in self._buttons.items():
                button.setText(_SHORT[name][length])
            self.limit.setVisible(self._has_limit and limit)
            self.limit.setFixedWidth(self.limit.fontMetrics().horizontalAdvance("0" * (9 - 2 * length)))
            self._line.activate()
            if self.sizeHint().width() <= room:
                break
        self.adjustSize()
        self.move(self._pane.width() - self.width() - _MARGIN, 4)
