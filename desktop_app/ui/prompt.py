"""The prompt editor: plain text of several lines that grows and keeps every character."""

import re

from PySide6.QtCore import QEvent, QMimeData, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetrics,
    QKeyEvent,
    QKeySequence,
    QResizeEvent,
    QTextCharFormat,
    QTextCursor,
    QTextOption,
)
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QTextEdit, QWidget

_PARAGRAPH, _LINE = "\u2029", "\u2028"
_MOST_LINES = 4
_LONG_LINE = 20_000
"""Lines longer than this are broken anywhere: Qt's search for word ends takes time in the square of a word's
length (50 s for a million letters), and a line of this length fits hardly any context."""

# A text document turns a carriage return and four more characters into a new line, and Qt drops a byte order mark in
# front. The document therefore has one of Unicode's noncharacters, which are meant for internal use, in place of each;
# if a text contains a noncharacter itself, the document has two in its place.
_HELD = {"\r": "\ufdef", _LINE: "\ufdee", _PARAGRAPH: "\ufded", "\ufeff": "\ufdec"}
_ESCAPE = "\ufdeb"
_HELD |= {char: _ESCAPE + chr(0x61 + n) for n, char in enumerate(("\ufdd0", "\ufdd1", _ESCAPE, *_HELD.values()))}
_MEANT = {held: char for char, held in _HELD.items()} | {_PARAGRAPH: "\n", _LINE: "\n"}
_TO_HOLD = re.compile("|".join(_HELD))
_TO_READ = re.compile("|".join(sorted(_MEANT, key=len, reverse=True)))


def to_document(text: str) -> str:
    """A prompt in the form that the document holds."""
    return _TO_HOLD.sub(lambda found: _HELD[found[0]], text)


def from_document(raw: str) -> str:
    """The prompt that a document's raw text stands for."""
    return _TO_READ.sub(lambda found: _MEANT[found[0]], raw)


class PromptEditor(QPlainTextEdit):
    """Emits `edited` with the current text after each change by the user."""

    edited = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("prompt")
        self.setAccessibleName("Prompt")
        self.setPlaceholderText("Type a prompt")
        # The program has its own undo, which covers everything the result depends on.
        self.setUndoRedoEnabled(False)
        self.setTabChangesFocus(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._ours = False
        self.textChanged.connect(self._on_change)
        self.document().documentLayout().documentSizeChanged.connect(self._grow)

    def text(self) -> str:
        """The prompt, every character as it was typed or pasted."""
        return from_document(self.document().toRawText())

    def show_text(self, text: str, added: int, colour: str) -> None:
        """Show `text`, whose last `added` characters were appended rather than typed; the caret stays if possible."""
        if text != self.text():
            self._ours = True
            caret, at_end = self.textCursor().position(), self.textCursor().atEnd()
            held = to_document(text)
            self._break_for(_longest_line(held))
            self.setPlainText(held)
            cursor = self.textCursor()
            cursor.movePosition(QTextCursor.MoveOperation.End)
            if not at_end:
                cursor.setPosition(min(caret, cursor.position()))
            self.setTextCursor(cursor)
            self._ours = False
        self._mark_added(added, colour)

    def _mark_added(self, added: int, colour: str) -> None:
        if not added:
            self.setExtraSelections([])
            return
        selection = QTextEdit.ExtraSelection()
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        # Positions count UTF-16 units.
        units = len(self.text()[-added:].encode("utf-16-le", "surrogatepass")) // 2
        cursor.setPosition(max(0, cursor.position() - units), QTextCursor.MoveMode.KeepAnchor)
        look = QTextCharFormat()
        look.setForeground(QColor(colour))
        selection.cursor = cursor
        selection.format = look
        self.setExtraSelections([selection])

    def _on_change(self) -> None:
        if not self._ours:
            text = self.text()
            self._break_for(_longest_line(text))
            self.edited.emit(text)

    def _break_for(self, longest: int) -> None:
        """Break lines at the ends of words, or anywhere if the longest line has very many characters."""
        anywhere = longest > _LONG_LINE
        mode = QTextOption.WrapMode.WrapAnywhere if anywhere else QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere
        if mode != self.wordWrapMode():
            self.setWordWrapMode(mode)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Accept text only: a model's folder dropped here is left to the window."""
        return source.hasText() and not source.hasUrls()

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Paste only plain text, with its carriage returns and no-break spaces."""
        if source.hasText():
            held = to_document(source.text())
            if len(held) > _LONG_LINE:  # before it is laid out; the surrounding text is handled after the change
                self._break_for(_longest_line(held))
            self.insertPlainText(held)

    def createMimeDataFromSelection(self) -> QMimeData:
        data = QMimeData()
        data.setText(from_document(self.textCursor().selectedText()))
        return data

    def event(self, event: QEvent) -> bool:
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and (event.matches(QKeySequence.StandardKey.Undo) or event.matches(QKeySequence.StandardKey.Redo))
        ):
            event.ignore()  # the editor would claim the keys, though its own undo is off
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        # Page keys step through the pass from anywhere, since lecture clickers send them; Ctrl+Return appends.
        stepping = (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if event.key() in stepping or (enter and event.modifiers() & Qt.KeyboardModifier.ControlModifier):
            event.ignore()
            return
        super().keyPressEvent(event)

    def _height(self) -> int:
        lines = max(1, min(_MOST_LINES, int(self.document().size().height())))
        line = QFontMetrics(self.font()).lineSpacing()
        return int(lines * line + 2 * self.document().documentMargin() + 14)

    def _grow(self) -> None:
        self.setFixedHeight(self._height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._grow()  # a new width breaks the lines elsewhere

    def sizeHint(self) -> QSize:
        return QSize(400, self._height())

    def refit(self) -> None:
        """Adjust the height after a change of the type size."""
        self._grow()


def _longest_line(text: str) -> int:
    """The number of characters in the longest line."""
    return len(text) if len(text) <= _LONG_LINE else max(map(len, text.split("\n")))
