"""The help page: every command and its keys, from the command table, and what the pointer does."""

from html import escape
from itertools import groupby

from PySide6.QtWidgets import QDialog, QTextBrowser, QVBoxLayout, QWidget

from desktop_app.core.commands import COMMANDS
from desktop_app.ui.buttons import written

_POINTER = (
    ("Click a cell", "open the arithmetic of its number"),
    ("Click a head or a token", "select it"),
    ("Shift and click a token", "show the distribution after it"),
    ("Click a bar", "append its token"),
    ("Ctrl and the wheel", "enlarge the view"),
    ("Enter in the view, then arrows", "walk through its cells; Enter opens one, Esc ends"),
    ("In a lecture: B or .", "black screen, and back"),
    ("In a lecture: Esc", "show all panels again, close the arithmetic, end the lecture"),
)


class HelpPage(QDialog):
    """One page of text that can be read through and copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys and commands")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.page = QTextBrowser()
        self.page.setAccessibleName("Keys and commands")
        self.page.setOpenLinks(False)
        self.page.document().setDocumentMargin(20)
        self.page.setHtml(help_html())
        column.addWidget(self.page)
        if parent is not None:
            self.resize(min(720, parent.width() - 40), min(760, parent.height() - 40))


def help_html() -> str:
    """The table of commands as a page, menu by menu."""
    menus = sorted({command.menu: n for n, command in reversed(list(enumerate(COMMANDS)))}.items(), key=lambda m: m[1])
    order = [menu for menu, _ in menus]
    by_menu = groupby(sorted(COMMANDS, key=lambda c: order.index(c.menu)), key=lambda c: c.menu)
    parts = [_table("Pointer", _POINTER)]
    for menu, commands in by_menu:
        parts.append(_table(menu, [(c.title, ", ".join(map(written, c.keys)) or "in the menu") for c in commands]))
    return "".join(parts)


def _table(title: str, rows: "list[tuple[str, str]] | tuple[tuple[str, str], ...]") -> str:
    lines = "".join(f'<tr><td style="padding-right: 24px">{escape(a)}</td><td>{escape(b)}</td></tr>' for a, b in rows)
    return f'<h3 style="font-weight: 600">{escape(title)}</h3><table>{lines}</table>'
