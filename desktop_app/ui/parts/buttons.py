"""Buttons and lists of choices, and tooltips with the shortcut of a command from the table of commands."""

from collections.abc import Iterable

from PySide6.QtGui import QAction, QIcon, QKeySequence
from PySide6.QtWidgets import QComboBox, QDialogButtonBox, QPushButton, QToolButton

from desktop_app.core.asking.commands import find_command


def keys_of(name: str) -> str:
    """The first shortcut of a command as written on this system; "" if it has none."""
    return written(next(iter(find_command(name).keys), ""))


def tip_of(name: str, words: str = "") -> str:
    """A tooltip: what a command does (its title, or other `words`), and its shortcut."""
    return _with_keys(words or find_command(name).title, keys_of(name))


def tip_of_action(action: QAction) -> str:
    """A tooltip: the title of an action, and its shortcut."""
    return _with_keys(action.text(), written(action.shortcut()))


def written(keys: str | QKeySequence) -> str:
    """A shortcut as written on this system."""
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)


def _with_keys(words: str, keys: str) -> str:
    return f"{words} ({keys})" if keys else words


def tool(text: str, tip: str, *, small: bool = False) -> QToolButton:
    """A button with a symbol or a word. Its tooltip is also its name for screen readers."""
    button = QToolButton()
    if small:
        button.setObjectName("small")
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button


def push(words: str, tip: str) -> QPushButton:
    """A button with words."""
    button = QPushButton(words)
    button.setToolTip(tip)
    return button


def answers(yes: QDialogButtonBox.StandardButton) -> QDialogButtonBox:
    """The buttons at the end of a dialog, without icons: `yes`, which stands out, and one that cancels the dialog."""
    box = QDialogButtonBox(yes | QDialogButtonBox.StandardButton.Cancel)
    box.button(yes).setObjectName("primary")
    for button in box.buttons():
        button.setIcon(QIcon())  # the buttons are made before the style sheet that forbids icons applies
    return box


def choice(rows: Iterable[tuple[str, str]], name: str) -> QComboBox:
    """A list of choices from (value, title), with its name for screen readers."""
    box = QComboBox()
    box.setAccessibleName(name)
    for value, title in rows:
        box.addItem(title, value)
    return box
