"""The window's models: the model button's menu, the dialog, downloads, and the question about too little memory."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QMenu, QMessageBox, QToolButton, QWidget

from desktop_app.core.library.catalogue import HubEntry, after_steps, hub_entries
from desktop_app.core.library.find import full_name
from desktop_app.core.library.folders import remember_folder
from desktop_app.core.library.listing import BUNDLED, HUB, ModelRow, list_bundled, list_models
from desktop_app.core.library.progress import Progress, in_bytes
from desktop_app.core.library.references import HubName, parse_hub_name
from desktop_app.core.library.remove import remove_model
from desktop_app.core.model import Doubt, Model
from desktop_app.core.program.bundle import snapshots
from desktop_app.core.session.state import State
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.desks.download_lane import DownloadLane
from desktop_app.ui.dialogs.models_dialog import ModelsDialog

_FIRST = "openai-community/gpt2"  # the model that the menu offers to download


class ModelLibrary(QObject):
    """Lets the user choose a model from any source, and hands it to the controller."""

    said = Signal(str)

    def __init__(self, button: QToolButton, controller: Controller, window: QWidget) -> None:
        super().__init__(window)
        self._controller, self._window = controller, window
        self.downloads = DownloadLane(self)
        self.downloads.progress.connect(self._on_progress)
        self.downloads.answered.connect(self._on_download)
        self.downloads.failed.connect(self._on_download_failed)
        self.fetching: HubName | None = None
        self._open_when_here = False
        self._then: State | None = None  # the state in which the downloaded model is to be opened
        self._asked_folder: Path | None = None
        self.dialog: ModelsDialog | None = None
        controller.doubted.connect(self._ask_about_memory)
        controller.model_changed.connect(self._on_model)
        controller.loading.connect(self._on_loading)
        controller.trouble.connect(self._on_trouble)
        self.menu = QMenu(button)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(lambda: self._fill(list_models()))
        button.setMenu(self.menu)
        self._fill(list(list_bundled()))  # only bundled models: startup does not wait for a cache that may be large

    # The menu

    def _fill(self, rows: list[ModelRow]) -> None:
        self.menu.clear()
        for below in self.menu.findChildren(QMenu):
            below.deleteLater()
        if self._controller.is_loading:
            self.menu.addAction("Stop opening the model", self._controller.cancel_loading)
            self.menu.addSeparator()
        for bundled in (True, False):
            for row in rows:
                if row.ready and (row.kind == BUNDLED) == bundled:
                    action = self.menu.addAction(row.title, lambda r=row: self.open_row(r))
                    action.setToolTip(row.about)
                    action.setData(row.reference)
                    self._add_snapshots(row)
            self.menu.addSeparator()
        entry = next((e for e in hub_entries() if e.repository == _FIRST), None)
        if entry is not None and not any(row.reference == _FIRST and row.ready for row in rows):
            self._offer(entry)
        self.menu.addAction("Models …", self.show)
        self.menu.addAction("Open a model folder …", self.ask_folder)

    def _add_snapshots(self, row: ModelRow) -> None:
        """Add a submenu with a bundled model's training snapshots, if it has any."""
        kept = snapshots(row.folder) if row.kind == BUNDLED and row.folder is not None else {}
        if kept:
            menu = QMenu(f"Training snapshots of {row.title}", self.menu)
            self.menu.addMenu(menu)
            for steps, folder in kept.items():
                menu.addAction(after_steps(steps), lambda f=folder: self._controller.open_model(f))

    def _offer(self, entry: HubEntry) -> None:
        words = f"Get {entry.title}, {in_bytes(entry.download)}"
        action = self.menu.addAction(words, lambda: self.get(HubName(entry.repository), then_open=True))
        action.setEnabled(self.fetching is None)

    # Opening

    def ask_folder(self) -> None:
        """Ask for a model's folder, and open it."""
        dialog = QFileDialog(self._window, "Open a model folder", str(Path.home()))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self.open_folder(Path(name)))
        dialog.open()

    def open_folder(self, folder: Path) -> None:
        """Open the model in a folder; once it has opened, the folder is remembered."""
        self._asked_folder = folder
        self._controller.open_model(folder)

    def open_row(self, row: ModelRow) -> None:
        """Open a model from the list."""
        if row.folder is not None:
            self._controller.open_model(row.folder)

    def _on_model(self, model: Model) -> None:
        asked, self._asked_folder = self._asked_folder, None
        if asked is not None and asked == model.folder:
            self._try(lambda: remember_folder(asked))
        if self.dialog is not None:
            self.dialog.show_loading("")
            self.dialog.accept()

    def _on_loading(self, stage: str) -> None:
        if self.dialog is not None:
            self.dialog.show_loading(stage)

    def _on_trouble(self, words: str) -> None:
        if self.dialog is not None and self.dialog.is_opening:
            self.dialog.show_trouble(words)

    def _ask_about_memory(self, doubt: Doubt) -> None:
        box = QMessageBox(self.dialog if self.dialog is not None and self.dialog.isVisible() else self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("More than the free memory")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(doubt.words)
        box.setInformativeText(
            "If you open it anyway, it may be slow, or the system may end the program. The model that is open stays "
            "until you choose."
        )
        anyway = box.addButton("Open anyway", QMessageBox.ButtonRole.AcceptRole)
        keep = box.addButton("Keep the open model", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        box.buttonClicked.connect(lambda pressed: self._answer(doubt, go_on=pressed is anyway))
        box.open()

    def _answer(self, doubt: Doubt, *, go_on: bool) -> None:
        if go_on:
            self._controller.open_model(doubt.folder, doubt.then, anyway=True)
        else:
            self._asked_folder = None
            self._controller.keep_model()

    # Downloads

    def get(self, name: HubName, *, then_open: bool = False, then: State | None = None) -> None:
        """Download a model, one at a time; the dialog shows the progress. `then` is the state in which to open it."""
        self.show()
        assert self.dialog is not None
        if self.fetching is not None:
            self.dialog.show_trouble(f"{self.fetching} is being fetched; one download runs at a time.")
            return
        self.fetching, self._open_when_here, self._then = name, then_open, then
        self.dialog.show_trouble("")
        self.dialog.show_progress(f"{name}: contacting the hub …", None)
        self.downloads.request(name)

    def get_text(self, text: str) -> None:
        """Download the model whose name was typed."""
        try:
            self.get(full_name(parse_hub_name(text)))
        except LogitscopeError as reason:
            assert self.dialog is not None
            self.dialog.show_trouble(str(reason))

    def cancel(self) -> None:
        """Stop the download. Data received so far stay, and the next download resumes from them."""
        name, self.fetching = self.fetching, None
        self.downloads.cancel()
        if self.dialog is not None and name is not None:
            self.dialog.show_progress("", None)
            self.dialog.fill(*self._list())

    def _on_progress(self, progress: Progress) -> None:
        if self.fetching is not None and self.dialog is not None:
            part = progress.done / progress.total if progress.total else None
            self.dialog.show_progress(f"{self.fetching} · {progress.words()}", part)

    def _on_download(self, folder: Path) -> None:
        name, self.fetching = self.fetching, None
        if self.dialog is not None:
            self.dialog.show_progress("", None)
            rows, tokens, opened = self._list()
            # A branch may be part of the row for the training run of which it is a snapshot.
            chosen = next((row.reference for row in rows if row.is_of(folder)), str(name))
            self.dialog.fill(rows, tokens, opened, choose=chosen)
        if self._open_when_here:
            self._controller.open_model(folder, self._then and replace(self._then, model=str(folder)))
        else:
            self.said.emit(f"{name} is here.")

    def _on_download_failed(self, words: str) -> None:
        self.fetching = None
        if self.dialog is not None:
            self.dialog.show_progress("", None)
            self.dialog.show_trouble(words)
            self.dialog.fill(*self._list())
        if self.dialog is None or not self.dialog.isVisible():
            self._controller.complain(words)

    # The dialog

    def show(self) -> None:
        """Open the dialog, or bring it to the front."""
        if self.dialog is None:
            self.dialog = ModelsDialog(self._window)
            self.dialog.open_asked.connect(self.open_row)
            self.dialog.get_asked.connect(lambda row: self.get(parse_hub_name(row.reference)))
            self.dialog.name_asked.connect(self.get_text)
            self.dialog.remove_asked.connect(self._ask_to_remove)
            self.dialog.folder_asked.connect(self._ask_to_add)
            self.dialog.cancel_asked.connect(self.cancel)
            self.dialog.stop_asked.connect(self._controller.cancel_loading)
        self.dialog.show_trouble("")
        self.dialog.fill(*self._list())
        self.dialog.show()
        self.dialog.raise_()
        self.dialog.activateWindow()

    def _list(self) -> tuple[list[ModelRow], int, Path | None]:
        scene, model = self._controller.scene, self._controller.model
        return list_models(), len(scene.trace) if scene is not None else 1, None if model is None else model.folder

    def _ask_to_add(self) -> None:
        dialog = QFileDialog(self.dialog, "Add a model folder to the list", str(Path.home()))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self.add_folder(Path(name)))
        dialog.open()

    def add_folder(self, folder: Path) -> None:
        """Add a folder to the list."""
        self._try(lambda: remember_folder(folder), choose=str(folder.absolute()))

    def _ask_to_remove(self, row: ModelRow) -> None:
        fetched = row.kind not in (BUNDLED, HUB) and row.reference != str(row.folder)
        if not fetched and row.kind != HUB:
            self.remove(row)  # a folder is only taken off the list, not deleted
            return
        box = QMessageBox(self.dialog)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("Delete a download")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(f"Delete {row.reference} from this machine?")
        box.setInformativeText("Other programs that use the Hugging Face cache will not find it either.")
        delete = box.addButton("Delete", QMessageBox.ButtonRole.DestructiveRole)
        keep = box.addButton("Keep", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        box.buttonClicked.connect(lambda pressed: self.remove(row) if pressed is delete else None)
        box.open()

    def remove(self, row: ModelRow) -> None:
        """Delete a downloaded model, or take a folder off the list."""
        model = self._controller.model
        if model is not None and row.folder is not None and row.kind != BUNDLED and model.folder == row.folder:
            if self.dialog is not None:
                self.dialog.show_trouble(f"{row.reference} is the model that is open; open another one first.")
            return
        self._try(lambda: self.said.emit(remove_model(row.reference)))

    def _try(self, act: Callable[[], object], choose: str = "") -> None:
        words = ""
        try:
            act()
        except LogitscopeError as reason:
            words = str(reason)
        if self.dialog is not None:
            self.dialog.fill(*self._list(), choose=choose)
            self.dialog.show_trouble(words)
        elif words:
            self._controller.complain(words)

    def close(self) -> None:
        """End the download and its process."""
        self.fetching = None
        self.downloads.close()
        if self.dialog is not None:
            self.dialog.close()
