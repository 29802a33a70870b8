"""Opens models for the state, and decides what is shown if one cannot be opened."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from desktop_app.core.model import Doubt, Model
from desktop_app.core.program.bundle import default_model
from desktop_app.core.session.state import State
from desktop_app.gpt2.checkpoint import name_of
from desktop_app.ui.desks.lanes import LoadLane
from desktop_app.ui.desks.state_keeper import StateKeeper


class ModelKeeper(StateKeeper):
    """A state keeper with a model, which is open, being opened, or replaced by an alternative."""

    model_changed = Signal(object)
    given_up = Signal(object)  # the State whose model could not be opened at the start, if its text is not shown
    doubted = Signal(object)  # a Doubt, so that the user can decide whether to open the model
    loading = Signal(str)  # the stage in the opening of a model; "" when it is done

    def __init__(self, state: State, parent: QObject | None = None) -> None:
        super().__init__(state, parent)
        self.instead: list[State] = []  # states to start with if the first model cannot be opened
        self._begins_instead = False
        self.is_loading = False
        self._wanted_state: State | None = None
        self.loads = LoadLane("load", self)
        self.scenes.rewritten.connect(self._open_again)
        self.loads.answered.connect(self._on_model)
        self.loads.failed.connect(self._on_load_failed)
        self.loads.stage.connect(self._on_stage)

    def open_model(self, folder: Path, then: State | None = None, *, anyway: bool = False) -> None:
        """Open another model; the current one stays until the new one has passed its checks.

        `then` is the state to open it with; without it, the state at the moment when it is open. A model that may not
        fit into memory is opened only with `anyway`; otherwise `doubted` is emitted.
        """
        self._wanted_state = then
        self.complain("")
        self._say_loading(f"opening {name_of(folder)}")
        self.loads.request(folder, then, tokens=self.scenes.tokens, int8=(then or self.state).int8, anyway=anyway)

    def cancel_loading(self) -> None:
        """Stop opening a model, and keep the current one."""
        if self.is_loading:
            self.loads.cancel()
            self.keep_model()

    def keep_model(self) -> None:
        """Give up opening another model: go on with the open model or, if none is open, with an alternative."""
        self._say_loading("")
        self._wanted_state = None
        if self.model is None:
            if not self._begins_instead:
                self._begin_instead()
        elif not self.is_open(self.state):
            # Undo led to a model that cannot be opened: its text is not shown with the open model unless the user
            # agrees.
            there = self.fitted(self.state)
            self.state = self.fitted(self.scenes.with_text(there))
            if there.asked != self.state.asked:
                self.history.record(there, self.state)
                self.complain(f"{self._complaint} Undo opens its text with this model.".strip())
            self.state_changed.emit(self.state)
            self.scenes.request_soon()

    def _begin_instead(self) -> None:
        """Start with the next alternative: the window always has a model, and shows a text only with its own model."""
        wanted = self.state
        self.state = self.instead.pop(0) if self.instead else replace(wanted, model=str(default_model()))
        self._begins_instead = True
        if replace(wanted, model=self.state.model, int8=self.state.int8).asked != self.state.asked:
            self.history.record(replace(wanted, model=self.state.model, int8=self.state.int8), self.state)
            self.given_up.emit(wanted)
        self.state_changed.emit(self.state)
        self.loads.request(Path(self.state.model), int8=self.state.int8)

    def _on_stage(self, stage: str) -> None:
        # Ignore a stage that was reported before loading was stopped, but arrives afterwards.
        if self.is_loading:
            self._say_loading(stage)

    def _say_loading(self, stage: str) -> None:
        self.is_loading = bool(stage)
        self.loading.emit(stage)

    def _on_model(self, model: Model | Doubt) -> None:
        self._say_loading("")
        self._begins_instead = False
        if isinstance(model, Doubt):
            if self.model is None:
                model = replace(model, then=model.then or self.state)
                self.keep_model()
            self.doubted.emit(model)
            return
        wanted = self._wanted_state or self.state
        self._wanted_state = None
        first = self.model is None
        self.scenes.take(model)
        before, self.state = self.state, self.fitted(wanted)
        if not first:
            self.history.record(before, self.state)
        self.model_changed.emit(model)
        if model.remarks:
            self.notice.emit(" ".join(model.remarks))
        self.state_changed.emit(self.state)
        self.scenes.request()

    def _open_again(self) -> None:
        if self.model is not None:
            self.open_model(self.model.folder)

    def _look_again(self, before: State) -> None:
        if (before.model, before.int8) != (self.state.model, self.state.int8) and not self.is_open(self.state):
            self.open_model(Path(self.state.model))
        else:
            super()._look_again(before)

    def is_open(self, state: State) -> bool:
        """Whether the open model is the one that `state` names."""
        model = self.model
        return model is not None and (state.model, state.int8) == (str(model.folder), model.config.int8)

    def _on_load_failed(self, words: str) -> None:
        self.complain(words)
        self._begins_instead = False
        if self.model is not None or self.instead:
            self.keep_model()  # the complaint stays on the screen
        else:
            self._say_loading("")
            self._wanted_state = None
