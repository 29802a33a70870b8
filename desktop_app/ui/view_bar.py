"""Small switches in the corner of the view: the commands that change how this step shows its numbers."""

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

_SHORT = {
    "scale_linear": "linear",
    "scale_sqrt": "√",
    "scale_log": "log",
    "skip_first": "without position 0",
    "keys_down": "queries as columns",
    "sort_neurons": "sorted",
    "layer_limits": "one scale for the block",
}


class ViewBar(QWidget):
    """Shows the actions of one step as buttons; it draws nothing of its own."""

    def __init__(self, actions: dict[str, QAction], parent: QWidget) -> None:
        super().__init__(parent)
        self._buttons: dict[str, QToolButton] = {}
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        for name, short in _SHORT.items():
            button = QToolButton()
            button.setObjectName("small")
            button.setText(short)
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
        self.adjustSize()
        self.place()

    def place(self) -> None:
        """Sit in the upper right corner of the parent."""
        parent = self.parentWidget()
        if parent is not None:
            self.move(parent.width() - self.width() - 16, 4)
