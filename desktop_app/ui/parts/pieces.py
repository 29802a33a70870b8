"""Very long lines of a text document, each stored as several blocks.

Qt lays out a block as a whole, for each new width and type size, and its search for word boundaries takes time
quadratic in a word's length: a line of a million characters would block the window for seconds. Qt lays out only
visible blocks, so a long line is cut into several. A block whose line continues in the next block is marked in its user
state. That stays correct when Qt merges blocks, because the merged block takes the state of the later one.
"""

from collections.abc import Sequence

from PySide6.QtGui import QTextBlock, QTextCursor, QTextDocument

PARAGRAPH = "\u2029"
"""The separator of two blocks in the raw text of a document."""
_PIECE = 10_000  # characters; hardly any GPT-2 has a longer context
_GOES_ON, _ENDS = 1, -1  # Qt's state of a new block is -1


def pieces(text: str) -> list[tuple[str, bool]]:
    """The blocks for a text in the document's form: (text, whether the line continues in the next block)."""
    found = []
    for line in text.replace("\n", PARAGRAPH).split(PARAGRAPH):
        starts = range(0, len(line), _PIECE) if len(line) > 2 * _PIECE else range(1)
        found += [(line[at : at + _PIECE] if len(starts) > 1 else line, at != starts[-1]) for at in starts]
    return found


def joined(raw: str, first: QTextBlock) -> str:
    """Raw text that begins in the block `first`, without the separators inside a line."""
    parts, block = [], first
    for number, part in enumerate(raw.split(PARAGRAPH)):
        if number:
            parts.append("" if block.userState() == _GOES_ON else PARAGRAPH)
            block = block.next()
        parts.append(part)
    return "".join(parts)


def insert(cursor: QTextCursor, parts: Sequence[tuple[str, bool]]) -> None:
    """Insert blocks at the cursor, replacing its selection; the text after the cursor joins the last block."""
    cursor.beginEditBlock()
    cursor.removeSelectedText()
    block, behind = cursor.block(), cursor.block().userState()
    cursor.insertText(PARAGRAPH.join(part for part, _ in parts))
    for _, goes_on in parts[:-1]:
        block.setUserState(_GOES_ON if goes_on else _ENDS)
        block = block.next()
    block.setUserState(behind)
    cursor.endEditBlock()


def cut_block(cursor: QTextCursor) -> bool:
    """Cut the block at the cursor if it has become long, and return whether it had. The cursor stays in its place."""
    block = cursor.block()
    parts = pieces(block.text()) if block.length() > 2 * _PIECE else []
    if len(parts) < 2:
        return False
    at, cutter, behind = block.position(), QTextCursor(block), block.userState()
    cutter.beginEditBlock()
    for part, _ in parts[:-1]:
        at += _units(part)
        cutter.setPosition(at)
        cutter.insertBlock()
        cutter.block().previous().setUserState(_GOES_ON)
        at += 1
    cutter.block().setUserState(behind)
    cutter.endEditBlock()
    return True


def over_a_cut(cursor: QTextCursor, *, forward: bool) -> None:
    """Move a cursor that is at a cut to its other side, so that deleting removes a character of the line."""
    move = QTextCursor.MoveOperation
    if cursor.hasSelection():
        return
    if forward and cursor.atBlockEnd() and cursor.block().userState() == _GOES_ON:
        cursor.movePosition(move.NextCharacter)
    elif not forward and cursor.atBlockStart() and cursor.block().previous().userState() == _GOES_ON:
        cursor.movePosition(move.PreviousCharacter)


def back_from_end(document: QTextDocument, end: str) -> int:
    """The position in the document at which its last characters begin, which are `end` in the document's form."""
    block = document.lastBlock()
    at = block.position() + block.length() - 1 - _units(end)
    while at < block.position() and block.previous().isValid():
        block = block.previous()
        at -= block.userState() == _GOES_ON
    return max(0, at)


def _units(text: str) -> int:
    """The length of a text in a document, which counts UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
