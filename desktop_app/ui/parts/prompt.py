"""The prompt editor: multi-line plain text that grows with its content and preserves every character."""

import math
import re

from PySide6.QtCore import QEvent, QMimeData, QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontInfo,
    QFontMetrics,
    QKeyEvent,
    QKeySequence,
    QPaintEvent,
    QResizeEvent,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QTextEdit, QWidget

from desktop_app.ui.parts.pieces import PARAGRAPH, back_from_end, cut_block, insert, joined, over_a_cut, pieces

_LINE = "\u2028"
_MOST_LINES, _MOST_TIGHT = 4, 2  # the maximum number of lines, in a normal and in a low window
_AROUND = 14 / 15  # padding and frame above and below the lines, as a fraction of the type size
# A text document turns a carriage return and four more characters into a new line, and Qt drops a byte order mark at
# the start. In the document, each of these is therefore replaced by one of Unicode's noncharacters, which are meant for
# internal use; a noncharacter in the text itself is replaced by two.
_HELD = {"\r": "\ufdef", _LINE: "\ufdee", PARAGRAPH: "\ufded", "\ufeff": "\ufdec"}
_ESCAPE = "\ufdeb"
_HELD |= {char: _ESCAPE + chr(0x61 + n) for n, char in enumerate(("\ufdd0", "\ufdd1", _ESCAPE, *_HELD.values()))}
_MEANT = {held: char for char, held in _HELD.items()} | {PARAGRAPH: "\n", _LINE: "\n"}
_TO_HOLD = re.compile("|".join(_HELD))
_TO_READ = re.compile("|".join(sorted(_MEANT, key=len, reverse=True)))


def to_document(text: str) -> str:
    """A prompt in the form in which the document holds it."""
    return _TO_HOLD.sub(lambda found: _HELD[found[0]], text)


def from_document(raw: str) -> str:
    """The prompt for a document's raw text."""
    return _TO_READ.sub(lambda found: _MEANT[found[0]], raw)


class PromptEditor(QPlainTextEdit):
    """Emits `edited` with the current text after each change by the user."""

    edited = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("prompt")
        self.setAccessibleName("Prompt")
        self.setPlaceholderText("Type a prompt")
        # The program has an undo history that covers everything on which the result depends.
        self.setUndoRedoEnabled(False)
        self.setTabChangesFocus(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._ours = False
        self._cut = False  # whether a line of the document may be cut into several blocks
        self._tight = False
        self.textChanged.connect(self._on_change)
        self.document().documentLayout().documentSizeChanged.connect(self._grow)

    def text(self) -> str:
        """The prompt, with every character as it was typed or pasted."""
        raw = self.document().toRawText()
        return from_document(joined(raw, self.document().firstBlock()) if self._cut else raw)

    def show_text(self, text: str, added: int, colour: str) -> None:
        """Show `text`, whose last `added` characters were appended, not typed; the caret keeps its place if it can."""
        if text != self.text():
            self._ours = True
            caret, at_end = self.textCursor().position(), self.textCursor().atEnd()
            self.clear()
            self._cut = False
            self._insert(to_document(text))
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
        at = back_from_end(self.document(), to_document(self.text()[-added:]))
        cursor.setPosition(at, QTextCursor.MoveMode.KeepAnchor)
        look = QTextCharFormat()
        look.setForeground(QColor(colour))
        selection.cursor = cursor
        selection.format = look
        self.setExtraSelections([selection])

    def _on_change(self) -> None:
        if not self._ours:
            self._ours = True
            self._cut |= cut_block(self.textCursor())
            self._ours = False
            self.edited.emit(self.text())

    def _insert(self, held: str) -> None:
        """Insert text in the document's form at the caret, replacing the selection."""
        parts = pieces(held)
        self._cut |= any(goes_on for _, goes_on in parts)
        if self._cut:
            cursor = self.textCursor()
            insert(cursor, parts)
            self.setTextCursor(cursor)
        else:
            self.insertPlainText(held)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Accept text only; a dropped folder of a model is handled by the window."""
        return source.hasText() and not source.hasUrls()

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Paste plain text only, with its carriage returns and no-break spaces."""
        if source.hasText():
            self._insert(to_document(source.text()))

    def createMimeDataFromSelection(self) -> QMimeData:
        data = QMimeData()
        cursor = self.textCursor()
        first = self.document().findBlock(cursor.selectionStart())
        data.setText(from_document(joined(cursor.selectedText(), first)))
        return data

    def event(self, event: QEvent) -> bool:
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and (event.matches(QKeySequence.StandardKey.Undo) or event.matches(QKeySequence.StandardKey.Redo))
        ):
            event.ignore()  # otherwise the editor would use the keys, although its undo is off
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        # Page keys step through the pass wherever the focus is, because presenters' remotes send them; Ctrl+Return
        # appends.
        stepping = (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if event.key() in stepping or (enter and event.modifiers() & Qt.KeyboardModifier.ControlModifier):
            event.ignore()
            return
        if self._cut and event.matches(QKeySequence.StandardKey.InsertParagraphSeparator):
            self._insert(PARAGRAPH)
            return
        if self._cut and event.key() in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete):
            cursor = self.textCursor()
            over_a_cut(cursor, forward=event.key() == Qt.Key.Key_Delete)
            self.setTextCursor(cursor)
        super().keyPressEvent(event)

    def _height(self) -> int:
        most = _MOST_TIGHT if self._tight else _MOST_LINES
        lines = max(1, min(most, int(self.document().size().height())))
        line = QFontMetrics(self.font()).lineSpacing()
        around = _AROUND * QFontInfo(self.font()).pixelSize()  # padding and frame grow with the type
        return math.ceil(lines * line + 2 * self.document().documentMargin() + around)

    def _grow(self) -> None:
        self.setFixedHeight(self._height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._grow()  # at a new width, lines break at other places

    def sizeHint(self) -> QSize:
        return QSize(400, self._height())

    def set_tight(self, tight: bool) -> None:
        """Show fewer lines of a long text; also adjusts the height to a new type size."""
        self._tight = tight
        self._grow()

    def paintEvent(self, event: QPaintEvent) -> None:
        # Without this, the padding below the last line would show the upper part of the next line.
        whole = QRect(0, 0, self.viewport().width(), self._whole_lines())
        super().paintEvent(QPaintEvent(event.rect().intersected(whole)))

    def _whole_lines(self) -> int:
        """The height of the viewport up to the first line that does not fit completely."""
        bottom = self.viewport().height()
        block, offset = self.firstVisibleBlock(), self.contentOffset()
        while block.isValid() and (top := self.blockBoundingGeometry(block).translated(offset).top()) < bottom:
            for n in range(block.layout().lineCount()):
                line = block.layout().lineAt(n)
                if top + line.y() > 0 and top + line.y() + line.height() > bottom:
                    return math.ceil(top + line.y())
            block = block.next()
        return bottom
