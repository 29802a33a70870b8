"""Asks what to do about a session whose model is missing; only on request is its text shown with another model."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from desktop_app.core.library.find import hub_name_of
from desktop_app.core.model import Model
from desktop_app.core.session.state import State
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.dialogs.model_library import ModelLibrary


class AbsentModel(QObject):
    """Lets the user choose: say where the model is, download it, or show the text with the open model."""

    def __init__(self, controller: Controller, library: ModelLibrary, window: QWidget) -> None:
        super().__init__(window)
        self._controller, self._library, self._window = controller, library, window
        self._waiting: State | None = None
        controller.model_changed.connect(self._on_model)

    def ask(self, state: State) -> None:
        """Ask about a session once a model is open that could show its text."""
        model = self._controller.model
        if model is None:
            self._waiting = state
            return
        box = QMessageBox(self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("The session's model is not here")
        box.setTextFormat(Qt.TextFormat.PlainText)
        named = state.model[:200] if state.model.isprintable() else f"{state.model[:200]!a}"
        box.setText(f"The session's model, {named}, is not on this machine.")
        box.setInformativeText(
            f"The session is not shown yet. With {model.name} every number would be that model's, not the one "
            "seen when the session was saved."
        )
        name = hub_name_of(state.model)
        get = box.addButton(f"Get {name.repository}", QMessageBox.ButtonRole.AcceptRole) if name is not None else None
        choose = box.addButton("Choose its folder …", QMessageBox.ButtonRole.AcceptRole)
        other = box.addButton(f"Show it with {model.name}", QMessageBox.ButtonRole.AcceptRole)
        cancel = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(get or choose)
        box.setEscapeButton(cancel)

        def answer(pressed: object) -> None:
            if pressed is choose:
                self._choose(state)
            elif pressed is other:
                self._show_with_open(state)
            elif pressed is get and name is not None:
                self._library.get(name, then_open=True, then=state)

        box.buttonClicked.connect(answer)
        box.open()

    def _on_model(self, _model: Model) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self.ask(waiting)

    def _choose(self, state: State) -> None:
        dialog = QFileDialog(self._window, "The model's folder", str(Path.home()))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self._controller.open_model(Path(name), replace(state, model=name)))
        dialog.open()

    def _show_with_open(self, state: State) -> None:
        controller = self._controller
        controller.set(controller.fitted(replace(state, model=controller.state.model)))
