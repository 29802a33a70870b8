"""Tabs above the view: the walk through the forward pass, step by step, and the other workspaces."""

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QMenu, QToolButton, QWidget

from desktop_app.core.asking.command import WORKSPACE
from desktop_app.core.asking.commands import COMMANDS
from desktop_app.core.workspaces import WORKSPACES
from desktop_app.ui.parts.buttons import tip_of_action

_MARGIN = 16
_TABS = {command.id: command.short[0] for command in COMMANDS if command.id.startswith(WORKSPACE)}
_GROUPS = {spec.key: spec.group for spec in WORKSPACES if spec.group}


class WorkspaceBar(QWidget):
    """Buttons for the commands that show a workspace, in the upper left corner of the pane.

    Workspaces of a group share a button with a menu. Its label is the workspace shown or, if none of the group is
    shown, the name of the group. Without a pass there is nothing to show, and the buttons are disabled.
    """

    def __init__(self, actions: dict[str, QAction], parent: QWidget) -> None:
        super().__init__(parent)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(0)
        line.setSizeConstraint(
            QHBoxLayout.SizeConstraint.SetFixedSize
        )  # its size follows the words whenever they change
        self._buttons: dict[str, QToolButton] = {}
        groups: dict[str, QToolButton] = {}
        for name, words in _TABS.items():
            action, key = actions[name], name.removeprefix(WORKSPACE)
            group = _GROUPS.get(key)
            if group in groups:
                self._buttons[key] = groups[group]
                groups[group].menu().addAction(action)
                continue
            self._buttons[key] = button = QToolButton()
            button.setObjectName("tab")
            button.setCheckable(True)
            line.addWidget(button)
            action.changed.connect(lambda a=action, b=button: b.setEnabled(a.isEnabled()))
            if group is None:
                button.setText(words)
                button.setAccessibleName(action.text())
                button.setToolTip(tip_of_action(action))
                button.clicked.connect(action.trigger)
                continue
            groups[group] = button
            button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
            button.setMenu(QMenu(button))
            button.menu().addAction(action)
            button.setAccessibleName(group)
        self.setVisible(len(self._buttons) > 1)
        self.move(_MARGIN, 4)

    def show_workspace(self, key: str) -> None:
        """Press the button of the workspace that is shown."""
        for name, button in self._buttons.items():
            group = _GROUPS.get(name)
            button.setChecked(name == key if group is None else group == _GROUPS.get(key))
            if group is not None:
                shown = _TABS[WORKSPACE + key] if group == _GROUPS.get(key) else group
                button.setText(f"{shown} ▾")
        self.setVisible(len(self._buttons) > 1)
