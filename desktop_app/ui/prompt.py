"""The prompt editor: plain text of several lines that grows, and keeps every character that it is given."""

from PySide6.QtCore import QMimeData, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QTextEdit, QWidget

# A text document has no place for a carriage return: it would become a new line. It is shown as one of Unicode's
# noncharacters, which no text holds (they are for a program's own use), and turned back when read.
_CR = "\ufdef"
_PARAGRAPH, _LINE = "\u2029", "\u2028"
_LINE_STANDIN, _PARAGRAPH_STANDIN = "\ufdee", "\ufded"
_MOST_LINES = 4


def to_document(text: str) -> str:
    """A prompt as the document holds it."""
    return text.replace("\r", _CR).replace(_LINE, _LINE_STANDIN).replace(_PARAGRAPH, _PARAGRAPH_STANDIN)


def from_document(raw: str) -> str:
    """The prompt that a document's raw text stands for."""
    return (
        raw.replace(_PARAGRAPH, "\n")
        .replace(_LINE, "\n")
        .replace(_LINE_STANDIN, _LINE)
        .replace(_PARAGRAPH_STANDIN, _PARAGRAPH)
        .replace(_CR, "\r")
    )


class PromptEditor(QPlainTextEdit):
    """Emits `edited` with the text as it stands after each change by a person."""

    edited = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("prompt")
        self.setAccessibleName("Prompt")
        self.setPlaceholderText("Type a prompt")
        # Undo is the program's own, over everything that makes the result.
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
        """Show `text` whose last `added` characters were appended rather than typed; the caret stays if it can."""
        if text != self.text():
            self._ours = True
            caret, at_end = self.textCursor().position(), self.textCursor().atEnd()
            self.setPlainText(to_document(text))
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
            self.edited.emit(self.text())

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Paste plain text alone, its carriage returns and no-break spaces kept."""
        if source.hasText():
            self.insertPlainText(to_document(source.text()))

    def createMimeDataFromSelection(self) -> QMimeData:
        data = QMimeData()
        data.setText(from_document(self.textCursor().selectedText()))
        return data

    def keyPressEvent(self, event: QKeyEvent) -> None:
        # Page keys step through the pass from anywhere, as lecture clickers send them.
        stepping = (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
        if event.key() in stepping or (event.key() == Qt.Key.Key_Return and event.modifiers()):
            event.ignore()
            return
        super().keyPressEvent(event)

    def _height(self) -> int:
        lines = max(1, min(_MOST_LINES, int(self.document().size().height())))
        line = QFontMetrics(self.font()).lineSpacing()
        return int(lines * line + 2 * self.document().documentMargin() + 14)

    def _grow(self) -> None:
        self.setFixedHeight(self._height())

    def sizeHint(self) -> QSize:
        return QSize(400, self._height())

    def refit(self) -> None:
        """Fit the height again after the type size changed."""
        self._grow()
