"""The help page: what the mouse and some keys do in the window, then every command of the table with its keys."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from PySide6.QtWidgets import QDialog, QTextBrowser, QVBoxLayout, QWidget

from desktop_app.core.asking.commands import COMMANDS
from desktop_app.ui.parts.buttons import written

_NOT_COMMANDS = {
    "Mouse": (
        ("Click a cell", "open the arithmetic of its number"),
        ("Click a head or a token", "select it"),
        ("Shift+click a token above the view", "show the next-token bars after it"),
        ("Click a next-token bar", "append its token"),
        ("Ctrl+wheel", "zoom the view in or out"),
    ),
    "Keys in the view": (
        (
            "Enter, then arrow keys",
            "show a cursor and move it from cell to cell; Enter opens the cell, Esc hides the cursor",
        ),
        ("On the sheet: Enter, Esc", "zoom in on the current place, and out again"),
    ),
    "Keys in a lecture": (
        ("B or .", "make the screen black; any of these keys brings the picture back"),
        ("Esc", "show all panels again; else close the arithmetic; else end the lecture"),
    ),
}
"""Heading -> (action of the user, its effect), for actions that are not in the table of commands."""


class HelpPage(QDialog):
    """A dialog with the help as one page of text, which can be selected and copied."""

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
    """The page as HTML: a table for the mouse, one for the keys of each place, and one for each menu."""
    menus = list(dict.fromkeys(command.menu for command in COMMANDS))  # in the order of the menu
    by_menu = groupby(sorted(COMMANDS, key=lambda c: menus.index(c.menu)), key=lambda c: c.menu)
    tables = [_table(heading, rows) for heading, rows in _NOT_COMMANDS.items()]
    for menu, commands in by_menu:
        tables.append(_table(menu, [(c.title, ", ".join(map(written, c.keys)) or "in the menu") for c in commands]))
    return "".join(tables)


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f'<tr><td style="padding-right: 24px">{escape(a)}</td><td>{escape(b)}</td></tr>' for a, b in rows)
    return f'<h3 style="font-weight: 600">{escape(title)}</h3><table>{lines}</table>'
