"""A non-blocking dialog for one or several lines of text; the caller gets what was typed, and may refuse it."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from desktop_app.ui.parts.buttons import answers

_WIDTH = 480

Then = Callable[[tuple[str, ...]], object]
"""Gets the typed lines. A sentence that it returns says why they are refused; the dialog shows it and stays open."""


class LineDialog(QDialog):
    """A title, perhaps a sentence on what the lines are for, and a field for each (label, default)."""

    def __init__(self, parent: QWidget, title: str, lines: Sequence[tuple[str, str]], then: Then, about: str) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self._then = then
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(24, 18, 24, 16)
        self._column.setSpacing(10)
        self._words(title, "heading")
        if about:
            self._words(about, "dim")
        form = QFormLayout()
        form.setVerticalSpacing(8)
        self.fields: list[QLineEdit] = []
        for words, usual in lines:
            field = QLineEdit(usual)
            field.setAccessibleName(words)
            form.addRow(words, field)
            self.fields.append(field)
        self._column.addLayout(form)
        self.refusal = self._words("", "warning")
        self.refusal.hide()
        buttons = answers(QDialogButtonBox.StandardButton.Ok)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self._column.addWidget(buttons)
        self.fields[0].selectAll()
        self._fit()

    def _words(self, text: str, kind: str) -> QLabel:
        label = QLabel(text)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setObjectName(kind)
        label.setWordWrap(True)
        self._column.addWidget(label)
        return label

    def _fit(self) -> None:
        """Make the dialog as high as its words need at this width."""
        self.ensurePolished()
        self.resize(_WIDTH, self._column.totalHeightForWidth(_WIDTH))

    def accept(self) -> None:
        """Hand on what was typed; close unless it is refused."""
        reason = self._then(tuple(field.text() for field in self.fields))
        if not isinstance(reason, str) or not reason:
            super().accept()
            return
        self.refusal.setText(reason)
        self.refusal.show()
        self._fit()


def ask_line(
    parent: QWidget, title: str, words: str, usual: str, then: Callable[[str], object], about: str = ""
) -> None:
    """Ask for a line, `usual` by default; `then` gets it unless the dialog is cancelled."""
    ask_lines(parent, title, [(words, usual)], lambda typed: then(typed[0]), about)


def ask_lines(parent: QWidget, title: str, lines: Sequence[tuple[str, str]], then: Then, about: str = "") -> None:
    """Ask for a line for each (label, default); `then` gets them all unless the dialog is cancelled."""
    LineDialog(parent, title, lines, then, about).open()
