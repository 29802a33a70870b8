"""Dialogs that ask where to go or what to look at, and the pages of the Help menu."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QDialog, QMessageBox

from desktop_app import __version__
from desktop_app.core.examples import examples
from desktop_app.core.places import Step
from desktop_app.core.probabilities import found_words
from desktop_app.core.steps import find_step
from desktop_app.core.views.weights import weight_names
from desktop_app.ui.command_palette import Chooser, CommandPalette
from desktop_app.ui.controller import Controller
from desktop_app.ui.frame import Frame
from desktop_app.ui.help_page import HelpPage
from desktop_app.ui.inspection import Inspection
from desktop_app.ui.token_chooser import TokenChooser


class Choosers(QObject):
    """Opens one dialog at a time, never blocking the window; each gives what was chosen by a signal."""

    command = Signal(str)
    example = Signal(object)
    pinned = Signal(int)
    explained = Signal(str, int)  # a State's field for tokens that are explained, and the token
    closed = Signal()  # a dialog whose switch is to show again what is

    def __init__(self, frame: Frame, controller: Controller, inspection: Inspection) -> None:
        super().__init__(frame)
        self._frame, self._controller, self._inspection = frame, controller, inspection

    @staticmethod
    def _open(dialog: QDialog) -> None:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def palette(self) -> None:
        """Find anything."""
        dialog = CommandPalette(self._frame.actions_, self._frame, self._places(), self._tokens_spelled)
        dialog.chosen.connect(self.command)
        self._open(dialog)

    def _places(self) -> list[tuple[str, Callable[[], object]]]:
        """Steps, heads, tensors and examples, each with what goes there."""
        c = self._controller
        found: list[tuple[str, Callable[[], object]]] = []
        if c.model is not None:
            for step in c.steps:
                where = f"Block {step.layer} · " if step.layer is not None else ""
                found.append((f"{where}{step.text.name}    {step.key}", partial(c.go_to, step)))
            for layer in range(c.model.config.n_layer):
                step = find_step(f"blocks.{layer}.attn.pattern", c.model.config)
                for head in range(c.model.config.n_head):
                    found.append((f"Block {layer}, head {head}", partial(self._go_to_head, step, head)))
            names = weight_names(c.model.config)
            found += [(f"Weight {name}", partial(self._inspection.open_weight, name)) for name in names]
        found += [(f"Example: {example.title}", partial(self.example.emit, example)) for example in examples()]
        return found

    def _go_to_head(self, step: Step, head: int) -> None:
        self._controller.set(replace(self._controller.state, head=head))
        self._controller.go_to(step)

    def _tokens_spelled(self, text: str) -> list[tuple[str, Callable[[], object]]]:
        """Tokens of the vocabulary that are spelled so; one that is chosen is pinned among the bars."""
        scene = self._controller.scene
        if scene is None:
            return []
        # What is no token as a whole is left to the other rows, unlike in Find, which takes its first token.
        ids = [i for i in scene.tokenizer.find(text) if i < len(scene.ranked)]
        if not text.startswith(("#", "'")):
            ids = [i for i in ids if scene.tokenizer.decode((i,)).strip() == text.strip()]
        return [(f"Token {found_words(scene, i)}", partial(self.pinned.emit, i)) for i in ids]

    def choose_weight(self) -> None:
        """Ask which weight to open."""
        model = self._controller.model
        if model is None:
            return
        rows = ((name, name, True) for name in weight_names(model.config))
        dialog = Chooser("Weights", "Find a weight, as in blocks.2.attn.W_Q", rows, self._frame)
        dialog.chosen.connect(self._inspection.open_weight)
        self._open(dialog)

    def choose_token(self, name: str) -> None:
        """Ask which token is explained, or which one it is measured against."""
        scene = self._controller.scene
        if scene is None:
            return
        dialog = TokenChooser(scene, self._frame)
        dialog.chosen.connect(lambda token: self.explained.emit(name, int(token)))
        dialog.finished.connect(lambda _: self.closed.emit())
        self._open(dialog)

    def help(self) -> None:
        """Keys and commands."""
        page = HelpPage(self._frame)
        page.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        page.show()

    def about(self) -> None:
        """What this program is, and under which licences."""
        box = QMessageBox(self._frame)
        box.setWindowTitle("About Logitscope")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(
            f"Logitscope {__version__}\n\nA desktop microscope for GPT-2. Every number and colour on the screen was "
            "computed by the loaded model on the typed prompt.\n\nMIT licence. Uses Qt for Python under the LGPL, "
            "and the fonts Inter and JetBrains Mono under the Open Font License."
        )
        self._open(box)
