"""A line in pieces is edited like a whole one: random edits, against the same edits of a Python string."""

import random

from PySide6.QtCore import QMimeData, Qt
from PySide6.QtGui import QTextCursor
from PySide6.QtTest import QTest

from desktop_app.ui.parts import pieces
from desktop_app.ui.parts.prompt import PromptEditor, to_document

# Four and one units wide, a new line, and a separator that the document holds as another character. (A noncharacter
# would be two characters of the document, between which the caret may stand.)
ALPHABET = "ab \n😀\u2028"


def some(chance, most):
    return "".join(chance.choices(ALPHABET, k=chance.randrange(most)))


def select(editor, text, start, stop):
    cursor = editor.textCursor()
    for at, mode in ((start, QTextCursor.MoveMode.MoveAnchor), (stop, QTextCursor.MoveMode.KeepAnchor)):
        cursor.setPosition(pieces.back_from_end(editor.document(), to_document(text[at:])), mode)
    editor.setTextCursor(cursor)


def test_edits_of_a_line_in_pieces_are_those_of_a_string(qtbot, monkeypatch):
    monkeypatch.setattr(pieces, "_PIECE", 5)
    editor, chance, cuts = PromptEditor(), random.Random(1), 0
    qtbot.addWidget(editor)
    for _ in range(25):
        text = some(chance, 60)
        editor.show_text(text, 0, "red")
        for _ in range(20):
            start = chance.randrange(len(text) + 1)
            stop = chance.choice((start, chance.randrange(len(text) + 1)))
            select(editor, text, start, stop)
            low, high = sorted((start, stop))
            if low != high:
                assert editor.createMimeDataFromSelection().text() == text[low:high]
            match chance.randrange(5):
                case 0:
                    pasted = QMimeData()
                    pasted.setText(more := some(chance, 40))
                    editor.insertFromMimeData(pasted)
                case 1:
                    QTest.keyClick(editor, Qt.Key.Key_Return)
                    more = "\n"
                case 2:
                    QTest.keyClicks(editor, more := "q")
                case 3:
                    QTest.keyClick(editor, Qt.Key.Key_Backspace)
                    more, low = "", max(low - 1, 0) if low == high else low
                case _:
                    QTest.keyClick(editor, Qt.Key.Key_Delete)
                    more, high = "", high + 1 if low == high else high
            text = text[:low] + more + text[high:]
            assert editor.text() == text
            blocks = editor.document().blockCount()
            cuts += blocks > text.count("\n") + 1
    assert cuts > 100  # most of these texts have a line in pieces


def test_what_a_model_added_is_marked_in_a_line_in_pieces(qtbot, monkeypatch):
    monkeypatch.setattr(pieces, "_PIECE", 5)
    editor, text = PromptEditor(), "abc\n" + "0123456789" * 3
    qtbot.addWidget(editor)
    for added in range(1, len(text)):
        editor.show_text(text, added, "red")
        (marked,) = editor.extraSelections()
        editor.setTextCursor(marked.cursor)
        assert editor.createMimeDataFromSelection().text() == text[-added:]
