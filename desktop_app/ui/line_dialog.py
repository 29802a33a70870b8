"""Dialogs for one or several lines of text, which do not block; a callback gets what was typed."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QInputDialog, QLineEdit, QWidget


def ask_line(parent: QWidget, title: str, words: str, usual: str, then: Callable[[str], object]) -> None:
    """Ask for a line, `usual` by default; `then` is called with it unless the dialog is cancelled."""
    dialog = QInputDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(title)
    dialog.setLabelText(words)
    dialog.setTextValue(usual)
    dialog.resize(480, dialog.height())
    dialog.textValueSelected.connect(then)
    dialog.open()


def ask_lines(
    parent: QWidget, title: str, lines: Sequence[tuple[str, str]], then: Callable[[tuple[str, ...]], object]
) -> None:
    """Ask for a line for each (label, default); `then` is called with all unless the dialog is cancelled."""
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(title)
    form = QFormLayout(dialog)
    fields = []
    for words, usual in lines:
        field = QLineEdit(usual)
        field.setAccessibleName(words)
        form.addRow(f"{words}:", field)
        fields.append(field)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
    buttons.accepted.connect(dialog.accept)
    buttons.rejected.connect(dialog.reject)
    form.addRow(buttons)
    dialog.accepted.connect(lambda: then(tuple(field.text() for field in fields)))
    dialog.resize(480, dialog.sizeHint().height())
    dialog.open()
