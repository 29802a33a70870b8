"""Exports the walk as a deck: worker processes of lower priority draw it while the user can go on working."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

from desktop_app.core.model import Model
from desktop_app.core.products import are_of
from desktop_app.core.scene import Scene
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.system import usable_cores
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.desks.lanes import Lane

if TYPE_CHECKING:  # what makes decks is loaded when one is asked for: the window starts without it
    from desktop_app.figures.deck.walk import Slide
    from desktop_app.ui.dialogs.deck_dialog import DeckDialog, DeckOrder


class DeckLane(Lane):
    """Makes one deck at a time. The answer is the order, when its file is written."""

    progress = Signal(int, int, str)

    def request(self, full_scene: Callable[[Stop], Scene], model: Model, order: "DeckOrder") -> None:
        """Make the deck of the scene that `full_scene` returns."""
        from desktop_app.figures.deck.lecture import Lecture
        from desktop_app.figures.deck.make import make_deck, prepare
        from desktop_app.figures.deck.walk import slides

        def work(stop: Stop) -> "DeckOrder":
            ready = prepare(order.wish)
            scene = full_scene(stop)
            walk: Iterable[Slide] = slides(
                scene, order.items, model=model, captions=order.captions, language=order.language
            )
            count = len(order.items)
            if not order.items:
                walk = list(Lecture(scene, model, order.language).slides(captions=order.captions))
                count = len(walk)
            # One core is left free for the window.
            jobs = max(1, usable_cores() - 1)
            make_deck(walk, count, ready, order.path, jobs=jobs, progress=self.progress.emit, stop=stop, polite=True)
            return order

        self.submit(work)


class DeckActions(QObject):
    """Opens the dialog, and reports the outcome."""

    done = Signal(object)  # the file that was written

    def __init__(self, controller: Controller, window: QWidget) -> None:
        super().__init__(window)
        self._controller, self._window = controller, window
        self.dialog: DeckDialog | None = None
        self.lane = DeckLane("deck", self)
        self.lane.progress.connect(self._show_progress)
        self.lane.answered.connect(self._finish)
        self.lane.failed.connect(self._fail)

    def ask(self, folder: Path, theme: str) -> None:
        """Show the dialog, or bring it to the front."""
        controller = self._controller
        if self.dialog is not None:
            self.dialog.raise_()
            self.dialog.activateWindow()
            return
        if controller.model is None or controller.scene is None or controller.walk_step is None:
            return

        from desktop_app.ui.dialogs.deck_dialog import DeckDialog

        dialog = DeckDialog(controller.model.config, controller.walk_step, folder, theme, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.ordered.connect(self._begin)
        dialog.stopped.connect(self.lane.cancel)
        dialog.destroyed.connect(self._forget)
        dialog.finished.connect(self._forget)
        self.dialog = dialog
        dialog.show()

    def _forget(self) -> None:
        self.dialog = None

    def _begin(self, order: "DeckOrder") -> None:
        controller = self._controller
        model = controller.model
        fits = model is not None and all(
            i.step.layer is None or i.step.layer < model.config.n_layer for i in order.items
        )
        if controller.scene is None or model is None or not fits or not are_of(controller.scene.passes, model):
            self._fail("There is nothing to export: the model or its text has changed; open this dialog again.")
            return
        self.lane.request(controller.full_scene(), model, order)

    def _show_progress(self, done: int, count: int, what: str) -> None:
        if self.dialog is not None and self.dialog.running:
            self.dialog.show_progress(done, count, what)

    def _finish(self, order: "DeckOrder") -> None:
        if self.dialog is not None:
            self.dialog.finish()
        self.done.emit(order.path)

    def _fail(self, words: str) -> None:
        if self.dialog is not None:
            self.dialog.fail(words)

    def close(self) -> None:
        """End the workers and wait for them; an unfinished deck leaves no file."""
        self.lane.close()
