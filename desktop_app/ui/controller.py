"""Holds the current state, the window's only mutable source of truth, and makes model and scene follow it."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from desktop_app.core import navigation
from desktop_app.core import state as states
from desktop_app.core.bundle import default_model
from desktop_app.core.examples import own_text
from desktop_app.core.fitted import fitted
from desktop_app.core.follow import follow, joined
from desktop_app.core.history import History, Walk, place_of, typing_key
from desktop_app.core.intents import Intent
from desktop_app.core.model import Doubt, Model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.panels import View
from desktop_app.core.places import Step
from desktop_app.core.private import hide
from desktop_app.core.runs import too_long
from desktop_app.core.scene import Scene
from desktop_app.core.state import State
from desktop_app.core.steps import step_list
from desktop_app.core.want import Want
from desktop_app.gpt2.checkpoint import name_of
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.session import Stop
from desktop_app.ui.lanes import LoadLane
from desktop_app.ui.run_on import RunOn
from desktop_app.ui.scene_desk import SceneDesk

log = logging.getLogger(__name__)


class Controller(QObject):
    """Takes states and delivers scenes. Widgets call its methods and listen to its signals, but hold no state."""

    state_changed = Signal(object)
    scene_changed = Signal(object)
    model_changed = Signal(object)
    trouble = Signal(str)  # a sentence that stays until the cause is gone; "" clears it
    notice = Signal(str)  # a temporary sentence
    given_up = Signal(object)  # the State that could not be opened at the start, if its text is not shown
    doubted = Signal(object)  # a Doubt: the user must decide whether to open the model anyway
    loading = Signal(str)  # the stage of a model being opened; "" when done
    working = Signal(bool)

    def __init__(self, state: State, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = state
        self.instead: list[State] = []  # states to start with if the first model cannot be opened
        self._begins_instead = False
        self.is_loading = False
        self.history = History()
        self.walk = Walk()
        self.runner = RunOn(self)
        self.runner.due.connect(self._run_next)
        self._prompt_trouble = ""
        self._complaint = ""
        self._wanted_state: State | None = None
        self.scenes = scenes = SceneDesk(lambda: self.state, self)
        self.passes, self.products, self.packing, self.freeing = (
            scenes.passes,
            scenes.products,
            scenes.packing,
            scenes.freeing,
        )
        self.loads = LoadLane("load", self)
        scenes.scene_changed.connect(self.scene_changed)
        scenes.opened_kept.connect(self._keep_opened)
        scenes.trouble.connect(self._say_prompt_trouble)
        scenes.failed.connect(self.complain)
        scenes.working.connect(self.working)
        scenes.answered.connect(self.runner.go_on)
        scenes.given_up.connect(self.runner.stop)
        scenes.rewritten.connect(self._open_again)
        self.loads.answered.connect(self._on_model)
        self.loads.failed.connect(self._on_load_failed)
        self.loads.stage.connect(self._on_stage)
        self.state_changed.connect(self._hide_text)
        hide(state.text)

    @property
    def model(self) -> Model | None:
        """The open model."""
        return self.scenes.model

    @property
    def scene(self) -> Scene | None:
        """The scene of the last pass."""
        return self.scenes.scene

    def _hide_text(self, state: State) -> None:
        """Keep the typed text out of the log."""
        hide(state.text if self.model is None else states.full_text(state, self.model.tokenizer))

    # Model

    def open_model(self, folder: Path, then: State | None = None, *, anyway: bool = False) -> None:
        """Open another model; the current one stays until the new one has passed its checks.

        `then` is the state to open it with; without it, the state at that moment is kept. A model that may not fit
        into memory is opened only with `anyway`; otherwise `doubted` is emitted.
        """
        self._wanted_state = then
        self.complain("")
        self._say_loading(f"opening {name_of(folder)}")
        self.loads.request(folder, then, tokens=self.scenes.tokens, int8=(then or self.state).int8, anyway=anyway)

    def cancel_loading(self) -> None:
        """Keep the current model."""
        if self.is_loading:
            self.loads.cancel()
            self.keep_model()

    def keep_model(self) -> None:
        """Give up opening another model: go on with the open one, or with the bundled one."""
        self._say_loading("")
        self._wanted_state = None
        if self.model is None:
            if not self._begins_instead:
                self._begin_instead()
        elif not self.is_open(self.state):
            # An undo asked for a model that cannot be opened: its text is not shown with the open model without asking.
            there = self.fitted(self.state)
            self.state = self.fitted(self.scenes.with_text(there))
            if there.asked != self.state.asked:
                self.history.record(there, self.state)
                self.complain(f"{self._complaint} Undo brings its text to this model.".strip())
            self.state_changed.emit(self.state)
            self.scenes.request_soon()

    def _begin_instead(self) -> None:
        """Start with the next best state: the window never lacks a model, and shows a text only with its own model."""
        wanted = self.state
        self.state = self.instead.pop(0) if self.instead else replace(wanted, model=str(default_model()))
        self._begins_instead = True
        if replace(wanted, model=self.state.model, int8=self.state.int8).asked != self.state.asked:
            self.history.record(replace(wanted, model=self.state.model, int8=self.state.int8), self.state)
            self.given_up.emit(wanted)
        self.state_changed.emit(self.state)
        self.loads.request(Path(self.state.model), int8=self.state.int8)

    def _on_stage(self, stage: str) -> None:
        # Ignore a stage that was reported before loading stopped but arrives after it.
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
        self.runner.stop()
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

    def fitted(self, state: State) -> State:
        """Adjust a state to the open model: what the model lacks is replaced by what it has."""
        return state if self.model is None else fitted(state, self.model)

    def is_open(self, state: State) -> bool:
        """Whether the open model is the one that `state` asks for."""
        model = self.model
        return model is not None and (state.model, state.int8) == (str(model.folder), model.config.int8)

    def _on_load_failed(self, words: str) -> None:
        self.complain(words)
        self._begins_instead = False
        if self.model is not None or self.instead:
            self.keep_model()  # the complaint stays above it
        else:
            self._say_loading("")
            self._wanted_state = None

    @property
    def complaint(self) -> str:
        """The shown sentence about what could not be done; "" if there is none."""
        return self._complaint

    def complain(self, words: str) -> None:
        """Report what could not be done; the sentence stays until the next change or the next complaint."""
        if words != self._complaint:
            self._complaint = words
            if words:
                log.info("Told: %s", words)
            self._say_trouble()

    # State

    def set(self, state: State, key: object = None) -> None:
        """Take over `state`. Consecutive changes with the same `key` are one undo entry."""
        if state == self.state:
            return
        before, self.state = self.state, state
        self.history.record(before, state, key)
        if place_of(before) != place_of(state):
            self.walk.visit(before)
            self.walk.visit(state)
        self.complain("")
        self._follow(before)

    def follow(self, intent: Intent) -> None:
        """Apply an intent to the state; if that is impossible, say so and keep the state."""
        try:
            self.set(follow(intent, self.state, self.model), joined(intent))
        except LogitscopeError as reason:
            self.notice.emit(str(reason))

    def _follow(self, before: State) -> None:
        """Update trace and scene after a change from `before`."""
        self.state_changed.emit(self.state)
        if self.model is None:
            return
        if (before.model, before.int8) != (self.state.model, self.state.int8) and not self.is_open(self.state):
            self.open_model(Path(self.state.model))
        elif before.asked != self.state.asked:
            self.scenes.request_soon()
        else:
            self.scenes.look()

    def undo(self) -> None:
        """Undo the last entry."""
        self.runner.stop()
        before, self.state = self.state, self.history.undo(self.state)
        self._follow(before)

    def redo(self) -> None:
        """Redo what was undone last."""
        before, self.state = self.state, self.history.redo(self.state)
        self._follow(before)

    def go_back(self, by: int) -> None:
        """Go back (-1) or forward (1) in the history of visited places."""
        before, self.state = self.state, self.fitted(self.walk.go(by, self.state))
        self._follow(before)

    def edit_text(self, text: str) -> None:
        """Take over `text`, the editor's new text."""
        if self.model is None:
            self.set(replace(self.state, text=text), "typing")
            return
        self.runner.stop()
        old = states.full_text(self.state, self.model.tokenizer)
        try:
            changed, note = states.edit(self.state, text, self.model.tokenizer)
        except LogitscopeError:
            # A text that cannot be tokenized is kept as typed; the next pass will report what is wrong with it.
            changed, note = replace(states.unplaced(self.state), text=text, appended=()), ""
        self.set(changed, typing_key(old, text))
        if note:
            self.notice.emit(note)

    def append(self, token: int, *, drawn: bool = False) -> None:
        """Append a token after the position whose probabilities are shown."""
        if self.model is None or not self.is_current:
            return
        if not self.has_room:
            self.notice.emit(f"The context of {self.model.config.n_positions:,} tokens is full: nothing can follow.")
            return
        try:
            changed = states.append(self.state, token, self.model.tokenizer, drawn=drawn)
        except LogitscopeError as reason:
            self.complain(str(reason))
            return
        self.set(changed, ("run",) if self.running else None)

    def append_drawn(self) -> None:
        """Append the token that the current draw lands on."""
        if self.scene is not None:
            self.append(int(self.scene.ranked.order[self.scene.landed]), drawn=True)

    def run_on(self, count: int) -> None:
        """Append `count` drawn tokens, one pass each; stops at an end-of-text token or when the context is full."""
        self.runner.stop()
        self.history.close_entry()
        if self.is_current:
            self.runner.begin(count)
            self._run_next()

    def stop(self) -> None:
        """Stop appending tokens; a pass that is running still finishes."""
        self.runner.stop()
        self.working.emit(self.scenes.passes.busy)

    @property
    def pending(self) -> bool:
        """Whether a pass is still to be requested for a change, or is under way."""
        return self.scenes.pending

    @property
    def running(self) -> bool:
        """Whether tokens are being appended one after the other."""
        return self.runner.left > 0

    def _run_next(self) -> None:
        scene, model = self.scene, self.model
        if not self.running or scene is None or model is None:
            self.runner.stop()
            return
        if not self.is_current:
            return  # a pass is running; its answer continues the run
        last = self.state.appended[-1] if self.state.position is None and self.state.appended else None
        if last in model.ends:
            self._end_run(f"Stopped at {model.tokenizer.label(last)}.")
        elif len(scene.trace) >= model.config.n_positions:
            self._end_run(f"Stopped at the context's end, {model.config.n_positions:,} tokens.")
        else:
            self.runner.count()
            token = int(scene.ranked.order[scene.landed])
            self.set(states.append(self.state, token, model.tokenizer, drawn=True), ("run",))
            if not self.runner.left:
                self.history.close_entry()

    def _end_run(self, words: str) -> None:
        self.runner.stop()
        self.history.close_entry()
        self.notice.emit(words)
        self.working.emit(False)

    @property
    def has_room(self) -> bool:
        """Whether a token can be appended."""
        if self.scene is None or not self.is_current:
            return False
        return self.scene.position + 1 < self.scene.config.n_positions

    @property
    def is_current(self) -> bool:
        """Whether the scene belongs to the current prompt; False while its pass runs, or if it cannot be run."""
        return self.scenes.is_current

    # Steps

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step of the model."""
        return step_list(self.model.config) if self.model is not None else ()

    @property
    def walk_step(self) -> Step | None:
        """The current step of the walk, even while a workspace is shown in its place."""
        return navigation.current_step(self.state, self.steps)

    @property
    def step(self) -> Step | None:
        """What the central pane shows: the current step of the walk, or a workspace."""
        return self.scenes.step

    def go_to(self, step: Step) -> None:
        """Go to a step and show its block."""
        self.set(navigation.at_step(self.state, step))

    def go_by(self, by: int) -> None:
        """Move on by `by` steps."""
        self.set(navigation.by_steps(self.state, self.steps, by))

    def go_block(self, by: int) -> None:
        """Go to the same operation of another block, or into or out of the blocks."""
        self.set(navigation.by_block(self.state, self.steps, by))

    def go_head(self, by: int) -> None:
        """Go to another head."""
        if self.model is not None:
            self.set(navigation.by_head(self.state, self.model.config.n_head, by))

    # Opened numbers

    @property
    def path(self) -> tuple[Cell, ...]:
        """The path of opened numbers; the last of them is shown."""
        return self.state.opened

    def open_path(self, path: tuple[Cell, ...]) -> None:
        """Show the last cell of `path` in the inspector; an empty path closes it."""
        self.set(replace(self.state, opened=path))

    def _keep_opened(self, path: tuple[Cell, ...]) -> None:
        self.state = replace(self.state, opened=path)  # not a user action, so no undo entry

    # What is shown

    @property
    def waiting_for(self) -> tuple[Want, ...]:
        """What the shown views need and do not have yet."""
        return self.scenes.waiting_for

    def present_view(self, scene: Scene, step: Step) -> View:
        """The view of a step of the current scene."""
        return self.scenes.present_view(scene, step)

    def full_scene(self) -> Callable[[Stop], Scene]:
        """A job that makes the current scene from one whole pass, for exports; it reuses no rows of an earlier pass."""
        return self.scenes.full_scene()

    def _say_prompt_trouble(self, words: str) -> None:
        self._prompt_trouble = words
        self._say_trouble()

    @property
    def offer(self) -> str:
        """A text that the open model can tokenize, if it cannot tokenize the typed one; "" otherwise."""
        if not self._prompt_trouble or self._complaint or self.model is None:
            return ""
        tokenizer = self.model.tokenizer
        try:
            if not too_long(self.state, tokenizer, self.model.config.n_positions):
                states.encode(self.state, tokenizer)
        except LogitscopeError:  # already reported: it is the reason for the offer
            return own_text(self.model)
        return ""

    def take_offer(self) -> None:
        """Replace the text that cannot be tokenized by the offered one."""
        if text := self.offer:
            self.set(replace(states.unplaced(self.state), text=text, appended=()))

    def _say_trouble(self) -> None:
        words = self._prompt_trouble
        if words and self.scene is not None:
            words = words.removesuffix(".") + "; the view still shows the text before."
        self.trouble.emit(self._complaint or words)

    def close(self) -> None:
        """End the worker threads and release the model and its pass; nothing is emitted afterwards."""
        self.runner.close()
        self.loads.close()
        self.scenes.close()
