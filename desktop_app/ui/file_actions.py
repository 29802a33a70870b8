"""The window's input and output: sessions, model folders, figures, and the clipboard."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QByteArray, QMimeData, QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QFileDialog, QWidget
from shiboken6 import Shiboken

from desktop_app.core.analysis.translators import load_translators
from desktop_app.core.asking.navigation import at_workspace
from desktop_app.core.edits.changes import beside_model
from desktop_app.core.library.find import is_here
from desktop_app.core.opening.opened import wants_of
from desktop_app.core.products import are_of, completed
from desktop_app.core.session.session_file import load_session, save_session
from desktop_app.core.session.state import with_option
from desktop_app.core.steps import wants_of as wants_of_view
from desktop_app.figures.excerpt import WHOLE, Excerpt
from desktop_app.figures.export import Job, Options, make_job, make_path_job
from desktop_app.figures.order import write_together
from desktop_app.figures.subject import excerpt_job
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.session import Stop
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.desks.export_lane import ExportLane
from desktop_app.ui.dialogs.deck_actions import DeckActions
from desktop_app.ui.dialogs.export_dialog import ExportDialog

_SESSIONS = "Logitscope sessions (*.logitscope)"
_TRANSLATORS = "Translators (*.safetensors)"


class FileActions(QObject):
    """Asks for files without blocking the window, and reports the outcome."""

    said = Signal(str, bool)  # a sentence, and whether it stays until it is replaced
    # the State of a session whose model is missing, so that the user can decide what to do
    model_absent = Signal(object)

    def __init__(self, controller: Controller, window: QWidget, folder: str) -> None:
        super().__init__(window)
        self._controller = controller
        self._window = window
        self.folder = folder
        """The folder of the file used last; "" before the first."""
        self.pictures: Callable[[], tuple[str, ...]] = lambda: ()
        """A function that returns the titles of the view's pictures, each of which can be exported separately."""
        self.exports = ExportLane(self)
        self.exports.answered.connect(lambda answer: answer[0](answer[1]))
        self.exports.failed.connect(self._fail)
        self.decks = DeckActions(controller, window)
        self.decks.done.connect(self._deck_done)

    def _start_folder(self) -> str:
        return self.folder or str(Path.home())

    def _fail(self, words: str) -> None:
        self.said.emit("", False)
        self._controller.complain(words)

    def _done(self, words: str) -> None:
        self._controller.complain("")
        self.said.emit(words, False)

    # Sessions

    def ask_session(self) -> None:
        """Ask for a session file and open it."""
        dialog = QFileDialog(self._window, "Open session", self._start_folder(), f"{_SESSIONS};;All files (*)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        self._choose(dialog, self.open_session)

    def _choose(self, dialog: QFileDialog, then: Callable[[Path], None]) -> None:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: then(Path(name)))
        dialog.open()

    def open_session(self, path: Path, model: Path | None = None) -> None:
        """Open a session file, with `model` instead of its own if given. On failure, the open session stays.

        If the session's model is missing, `model_absent` is emitted, and nothing of the session is shown yet.
        """
        controller = self._controller
        try:
            state = load_session(path)
        except LogitscopeError as reason:
            controller.complain(str(reason))
            return
        controller.complain("")
        named = str(model) if model is not None else controller.state.model
        if model is not None or not state.model:
            state = replace(state, model=named)
        if controller.is_open(state):
            controller.set(controller.fitted(state))
        elif state.model == named or is_here(state.model):
            controller.open_model(Path(state.model), state)
        else:
            self.model_absent.emit(state)

    def ask_save_session(self) -> None:
        """Ask for a file, and save the session in it."""
        dialog = QFileDialog(self._window, "Save session", self._start_folder(), _SESSIONS)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("logitscope")
        self._choose(dialog, self.save_session)

    def save_session(self, path: Path) -> None:
        """Write the state to a session file."""
        try:
            save_session(path, self._controller.state)
        except LogitscopeError as reason:
            self._controller.complain(str(reason))
            return
        self.folder = str(path.parent)
        self._done(f"Saved {path.name}.")

    # Translators of the lens

    def ask_translators(self) -> None:
        """Ask for a file of translators for the lens; if one is in use, stop using it instead."""
        controller = self._controller
        if controller.state.translators:
            controller.set(replace(controller.state, translators=""))
            return
        dialog = QFileDialog(self._window, "Translators of a lens", self._start_folder(), _TRANSLATORS)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        self._choose(dialog, self.use_translators)

    def ask_evidence(self) -> None:
        """Ask for the folder of a scan; if one is in use, return to the evidence that comes with the model."""
        controller = self._controller
        if controller.state.evidence:
            controller.set(replace(controller.state, evidence=""))
            return
        dialog = QFileDialog(self._window, "The folder of a scan", self._start_folder())
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        self._choose(dialog, self.use_evidence)

    def use_evidence(self, folder: Path) -> None:
        """Show the evidence in a scan's folder; if it has none about the open model, the view says so."""
        controller = self._controller
        controller.set(replace(at_workspace(controller.state, "evidence"), evidence=str(folder)))

    def ask_beside(self) -> None:
        """Ask for the folder of a model to compare with the open one."""
        dialog = QFileDialog(self._window, "Another model beside this one", self._beside_folder())
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        self._choose(dialog, self.put_beside)

    def _beside_folder(self) -> str:
        """The folder where the dialog starts: that of the model's snapshots, else the parent of the model's folder."""
        state = self._controller.state
        folder = Path(state.beside or state.model)
        own = folder / "snapshots"
        return str(own if own.is_dir() else folder.parent)

    def put_beside(self, folder: Path) -> None:
        """Open a second model for comparison with the open one."""
        self._controller.set(beside_model(self._controller.state, str(folder)))

    def use_translators(self, path: Path) -> None:
        """Apply the translators of a file to the lens, if they belong to the open model."""
        controller = self._controller
        if controller.model is None:
            return
        try:
            load_translators(path, controller.model.config)
        except LogitscopeError as reason:
            controller.complain(str(reason))
            return
        shown = with_option(at_workspace(controller.state, "lens"), "lens_of", "stream")
        controller.set(replace(shown, translators=str(path)))

    # Figures

    def ask_export(self, theme: str, *, opened: bool = False) -> None:
        """Ask for format, size and file, and export the view or the opened number."""
        step, path = self._controller.step, self._controller.path
        if step is None or (opened and not path):
            return
        name = path[-1].name if opened else step.key
        name = name.replace("blocks.", "block-").replace(".", "-").replace(":", "-")
        pictures = () if opened else self.pictures()
        dialog = ExportDialog(name, Path(self._start_folder()), theme, self._window, pictures)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.chosen.connect(
            lambda options, excerpt, place, data: self.export_figure(
                options, place, data=data, opened=opened, excerpt=excerpt
            )
        )
        job = self._job(opened=opened)
        if job is not None:
            self._give_previews(dialog, job)
        dialog.open()

    def _give_previews(self, dialog: ExportDialog, job: Callable[[Stop], Job]) -> None:
        """Draw the previews that `dialog` requests while it is open; the figure's data are computed only once."""
        made: list[Job] = []

        def once(part: Callable[[Job], Job], stop: Stop) -> Job:
            if not made:
                made.append(job(stop))
            return part(made[0])

        def show(files: list[bytes] | None) -> None:
            if Shiboken.isValid(dialog):
                dialog.show_preview(files[0] if files else None)

        dialog.preview_wanted.connect(
            lambda options, excerpt: self.exports.request(partial(once, self._part(excerpt)), [options], show)
        )
        failed = self.exports.failed.connect(lambda _words: show(None))
        dialog.finished.connect(lambda _result: self.exports.failed.disconnect(failed))

    def export_figure(
        self,
        options: Options,
        path: Path,
        *,
        data: tuple[str, ...] = (),
        opened: bool = False,
        excerpt: Excerpt = WHOLE,
    ) -> None:
        """Write the current view, the opened number or a part of the view to `path`, with its numbers next to it."""
        self.folder = str(path.parent)
        beside = [path.with_suffix(f".{kind}") for kind in data]
        strange = [place.name for place in beside if place.exists() and not path.exists()]
        if strange:  # the file dialog asked only whether to replace the figure itself
            self._controller.complain(f"{' and '.join(strange)} already exists; give the figure another name.")
            return

        def done(files: list[bytes]) -> None:
            try:
                write_together([path, *beside], files)
            except LogitscopeError as reason:
                self._controller.complain(str(reason))
            else:
                self._done(f"Wrote {path.name}.")

        self._request([options], done, opened=opened, data=data, excerpt=excerpt)

    def copy_figure(self, theme: str) -> None:
        """Copy the current view to the clipboard, as a picture and as SVG."""

        def done(files: list[bytes]) -> None:
            data = QMimeData()
            data.setImageData(QImage.fromData(files[0]))
            data.setData("image/svg+xml", QByteArray(files[1]))
            QGuiApplication.clipboard().setMimeData(data)
            self._done("The figure is on the clipboard, as a picture and as SVG.")

        self._request([Options("png", theme=theme), Options("svg", theme=theme)], done)

    def _job(self, *, opened: bool = False) -> Callable[[Stop], Job] | None:
        """A function that makes the figure of the current view or of the opened number; None if nothing is shown."""
        controller, step, model = self._controller, self._controller.step, self._controller.model
        if controller.scene is None or step is None or model is None:
            return None
        if not are_of(controller.scene.passes, model):
            self.said.emit(f"{model.name} has not read the text yet; the figure can be made when it has.", False)
            return None
        cell = controller.path[-1] if opened and controller.path else None
        full_scene = controller.full_scene()

        def job(stop: Stop) -> Job:
            if cell is None:
                return make_job(completed(full_scene(stop), lambda s: wants_of_view(s, step), model, stop), step)
            return make_path_job(completed(full_scene(stop), lambda s: wants_of(s, cell), model, stop), step, cell)

        return job

    def _request(
        self,
        wanted: list[Options],
        done: Callable[[list[bytes]], None],
        *,
        opened: bool = False,
        data: tuple[str, ...] = (),
        excerpt: Excerpt = WHOLE,
    ) -> None:
        job = self._job(opened=opened)
        if job is not None:
            self.said.emit("Drawing the figure …", True)
            part = self._part(excerpt)
            self.exports.request(lambda stop: part(job(stop)), wanted, done, data)

    def _part(self, excerpt: Excerpt) -> Callable[[Job], Job]:
        """A function that makes the figure of a part from the figure of the whole view."""
        step, scene = self._controller.step, self._controller.scene
        return lambda job: job if step is None else excerpt_job(job, excerpt, step, scene)

    # Exporting the walk

    def ask_deck(self, theme: str) -> None:
        """Ask for steps, format and file, and export the walk."""
        self.decks.ask(Path(self._start_folder()), theme)

    def _deck_done(self, path: Path) -> None:
        self.folder = str(path.parent)
        self._done(f"Wrote {path.name}.")

    def close(self) -> None:
        """End the worker. What was copied to the clipboard stays there as plain data."""
        self.exports.close()
        self.decks.close()
        clipboard = QGuiApplication.clipboard()
        data = clipboard.mimeData()
        # Qt would access a Python object after the interpreter has ended. (ownsClipboard() does not work everywhere.)
        if data is not None and Shiboken.createdByPython(data):
            if data.hasImage():
                clipboard.setImage(clipboard.image())
            else:
                clipboard.setText(data.text())
