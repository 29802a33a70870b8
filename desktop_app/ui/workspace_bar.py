"""Tabs above the view: the walk, and the workspaces beside it."""

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from desktop_app.core.commands import COMMANDS, WORKSPACE

_MARGIN = 16
_TABS = {command.id: command.short[0] for command in COMMANDS if command.id.startswith(WORKSPACE)}


class WorkspaceBar(QWidget):
    """A button for every command that shows a workspace, in the upper left corner of the pane."""

    def __init__(self, actions: dict[str, QAction], parent: QWidget) -> None:
        super().__init__(parent)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(2)
        self._buttons: dict[str, QToolButton] = {}
        for name, words in _TABS.items():
            action = actions[name]
            button = QToolButton()
            button.setObjectName("tab")
            button.setText(words)
            button.setCheckable(True)
            button.setAccessibleName(action.text())
            button.setToolTip(f"{action.text()} ({action.shortcut().toString()})")
            button.clicked.connect(action.trigger)
            line.addWidget(button)
            self._buttons[name.removeprefix(WORKSPACE)] = button
        self.setVisible(len(self._buttons) > 1)
        self.move(_MARGIN, 4)

    def show_workspace(self, key: str) -> None:
        """Press the button of the workspace that is shown."""
        for name, button in self._buttons.items():
            button.setChecked(name == key)
        self.setVisible(len(self._buttons) > 1)
        self.adjustSize()
