"""A dialog for one line of text that blocks nothing; the caller gets what was written."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QInputDialog, QWidget


def ask_line(parent: QWidget, title: str, words: str, usual: str, then: Callable[[str], object]) -> None:
    """Ask for a line that is `usual` unless changed; `then` is called with it unless the dialog is left."""
    dialog = QInputDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(title)
    dialog.setLabelText(words)
    dialog.setTextValue(usual)
    dialog.resize(480, dialog.height())
    dialog.textValueSelected.connect(then)
    dialog.open()
