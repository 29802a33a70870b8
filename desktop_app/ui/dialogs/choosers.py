"""Dialogs for choosing where to go or what to look at, and the pages of the Help menu."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QDialog, QMessageBox

from desktop_app import __version__
from desktop_app.core.asking.finding import Found, places, tokens_spelled
from desktop_app.core.asking.intents import Do, Explain, Open
from desktop_app.core.opening.cells import Cell
from desktop_app.core.views.weights import weight_names
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.dialogs.command_palette import Chooser, CommandPalette
from desktop_app.ui.dialogs.help_page import HelpPage
from desktop_app.ui.dialogs.token_chooser import TokenChooser
from desktop_app.ui.parts.frame import Frame


class Choosers(QObject):
    """Opens one dialog at a time, without blocking the window. Each reports the choice by a signal."""

    asked = Signal(object)  # an Intent
    closed = Signal()  # a dialog was closed, so the switch that opened it has to be updated

    def __init__(self, frame: Frame, controller: Controller) -> None:
        super().__init__(frame)
        self._frame, self._controller = frame, controller

    @staticmethod
    def _open(dialog: QDialog) -> None:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def palette(self) -> None:
        """Open the palette of commands, places and tokens."""
        dialog = CommandPalette(self._frame.actions_, self._frame, self._places(), self._tokens)
        dialog.chosen.connect(lambda command: self.asked.emit(Do(command)))
        self._open(dialog)

    def _places(self) -> list[tuple[str, Callable[[], object]]]:
        return self._going(places(self._controller.model, self._controller.steps))

    def _tokens(self, text: str) -> list[tuple[str, Callable[[], object]]]:
        scene = self._controller.scene
        return [] if scene is None else self._going(tokens_spelled(text, scene))

    def _going(self, found: list[Found]) -> list[tuple[str, Callable[[], object]]]:
        return [(words, partial(self.asked.emit, intent)) for words, intent in found]

    def choose_weight(self) -> None:
        """Ask which weight to open."""
        model = self._controller.model
        if model is None:
            return
        rows = ((name, name, True) for name in weight_names(model.config))
        dialog = Chooser("Weights", "Find a weight, as in blocks.2.attn.W_Q", rows, self._frame)
        dialog.chosen.connect(lambda name: self.asked.emit(Open(Cell(name, ()))))
        self._open(dialog)

    def choose_token(self, explain: Callable[[int], Explain]) -> None:
        """Ask for the token of an intent: the one to explain, or the one to compare it with."""
        scene = self._controller.scene
        if scene is None:
            return
        dialog = TokenChooser(scene, self._frame)
        dialog.chosen.connect(lambda token: self.asked.emit(explain(int(token))))
        dialog.finished.connect(lambda _: self.closed.emit())
        self._open(dialog)

    def help(self) -> None:
        """Show the page of keys and commands."""
        page = HelpPage(self._frame)
        page.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        page.show()

    def about(self) -> None:
        """Show what this program is, and under which licences."""
        box = QMessageBox(self._frame)
        box.setWindowTitle("About Logitscope")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(
            f"Logitscope {__version__}\n\nA desktop microscope for GPT-2. Every number and colour on the screen was "
            "computed by the loaded model on the typed prompt.\n\nMIT licence. Uses Qt for Python under the LGPL, "
            "and the fonts Inter and JetBrains Mono under the Open Font License."
        )
        self._open(box)
