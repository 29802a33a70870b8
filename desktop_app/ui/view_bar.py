"""Small switches in the corner of the view: the commands that change how this step shows its numbers."""

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

_MARGIN = 16
_SHORT = {
    "scale_linear": ("linear", "lin"),
    "scale_sqrt": ("√", "√"),
    "scale_log": ("log", "log"),
    "skip_first": ("without position 0", "without 0"),
    "keys_down": ("queries as columns", "turned"),
    "sort_neurons": ("sorted", "sorted"),
    "layer_limits": ("one scale for the block", "one scale"),
}
"""What a switch is called where there is room, and where there is little."""


class ViewBar(QWidget):
    """Shows the actions of one step as buttons; it draws nothing of its own."""

    def __init__(self, actions: dict[str, QAction], parent: QWidget) -> None:
        super().__init__(parent)
        self._pane = parent
        self._buttons: dict[str, QToolButton] = {}
        self._line = line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        for name in _SHORT:
            button = QToolButton()
            button.setObjectName("small")
            button.setCheckable(True)
            button.setToolTip(actions[name].text())
            button.setAccessibleName(actions[name].text())
            button.clicked.connect(actions[name].trigger)
            line.addWidget(button)
            self._buttons[name] = button

    def show_options(self, names: tuple[str, ...], on: set[str]) -> None:
        """Show the switches `names`, those in `on` pressed; the bar moves into its corner."""
        for name, button in self._buttons.items():
            button.setVisible(name in names)
            button.setChecked(name in on)
        self.setVisible(bool(names))
        self.place()

    def place(self) -> None:
        """Sit in the upper right corner of the pane, with the longest names that fit."""
        room = self._pane.width() - 2 * _MARGIN
        for length in (0, 1):
            for name, button in self._buttons.items():
                button.setText(_SHORT[name][length])
            self._line.activate()
            if self.sizeHint().width() <= room:
                break
        self.adjustSize()
        self.move(self._pane.width() - self.width() - _MARGIN, 4)
