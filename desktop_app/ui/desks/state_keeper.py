"""Holds the current state, the window's only mutable source of truth, and makes the scene follow it."""

import logging
from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from desktop_app.core.asking import navigation
from desktop_app.core.asking.follow import follow, joined
from desktop_app.core.asking.intents import Intent
from desktop_app.core.model import Model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.panels import View
from desktop_app.core.places import Step
from desktop_app.core.program.private import hide
from desktop_app.core.scene import Scene
from desktop_app.core.session import state as states
from desktop_app.core.session.fitted import fitted
from desktop_app.core.session.history import History, Walk, place_of
from desktop_app.core.session.state import State
from desktop_app.core.steps import step_list
from desktop_app.core.want import Want
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.session import Stop
from desktop_app.ui.desks.scene_desk import SceneDesk

log = logging.getLogger(__name__)


class StateKeeper(QObject):
    """Takes states and delivers scenes; keeps the history of changes and what is said about them."""

    state_changed = Signal(object)
    scene_changed = Signal(object)
    trouble = Signal(str)  # a sentence that stays until the cause is gone; "" clears it
    notice = Signal(str)  # a temporary sentence
    working = Signal(bool)

    def __init__(self, state: State, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = state
        self.history = History()
        self.walk = Walk()
        self._prompt_trouble = ""
        self._complaint = ""
        self.scenes = scenes = SceneDesk(lambda: self.state, self)
        scenes.scene_changed.connect(self.scene_changed)
        scenes.opened_kept.connect(self._keep_opened)
        scenes.trouble.connect(self._say_prompt_trouble)
        scenes.failed.connect(self.complain)
        scenes.working.connect(self.working)
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

    def fitted(self, state: State) -> State:
        """A state adjusted to the open model: what the model lacks (a block or a token, for example) is replaced."""
        return state if self.model is None else fitted(state, self.model)

    # State

    def set(self, state: State, key: object = None) -> None:
        """Replace the state. Consecutive changes with the same `key` are undone together."""
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
        """Apply an intent to the state; if that is impossible, report why and keep the state."""
        try:
            self.set(follow(intent, self.state, self.model), joined(intent))
        except LogitscopeError as reason:
            self.notice.emit(str(reason))

    def _follow(self, before: State) -> None:
        """Update the pass and the scene after a change of the state from `before`."""
        self.state_changed.emit(self.state)
        if self.model is not None:
            self._look_again(before)

    def _look_again(self, before: State) -> None:
        """Request the pass of the state or, if it is the pass run last, make a new scene of it."""
        if before.asked != self.state.asked:
            self.scenes.request_soon()
        else:
            self.scenes.refresh()

    def undo(self) -> None:
        """Undo the last entry."""
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

    @property
    def pending(self) -> bool:
        """Whether a pass is running, or has to be requested for a change."""
        return self.scenes.pending

    @property
    def is_current(self) -> bool:
        """Whether the scene is the open model's on the current prompt; False while its pass runs or cannot be run."""
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
        """The place shown in the central pane: the current step of the walk, or a workspace."""
        return self.scenes.step

    def go_to(self, step: Step) -> None:
        """Go to a step and show its block."""
        self.set(navigation.at_step(self.state, step))

    def go_by(self, by: int) -> None:
        """Go forward by `by` steps."""
        self.set(navigation.by_steps(self.state, self.steps, by))

    def go_block(self, by: int) -> None:
        """Go to the same operation in another block, or from outside the blocks into them and back."""
        self.set(navigation.by_block(self.state, self.steps, by))

    def go_head(self, by: int) -> None:
        """Go to another head."""
        if self.model is not None:
            self.set(navigation.by_head(self.state, self.model.config.n_head, by))

    # Opened numbers

    @property
    def path(self) -> tuple[Cell, ...]:
        """The path of opened cells, the last of which is shown."""
        return self.state.opened

    def open_path(self, path: tuple[Cell, ...]) -> None:
        """Show the last cell of `path` in the inspector; an empty path closes the inspector."""
        self.set(replace(self.state, opened=path))

    def _keep_opened(self, path: tuple[Cell, ...]) -> None:
        self.state = replace(self.state, opened=path)  # not an action of the user, so there is nothing to undo

    # For the display

    @property
    def waiting_for(self) -> tuple[Want, ...]:
        """The products that the shown views need and that are not computed yet."""
        return self.scenes.waiting_for

    def present_view(self, scene: Scene, step: Step) -> View:
        """The view of a step of the current scene."""
        return self.scenes.present_view(scene, step)

    def full_scene(self) -> Callable[[Stop], Scene]:
        """A function that makes the current scene from a complete pass, for exports, without reusing rows."""
        return self.scenes.full_scene()

    # Messages

    @property
    def complaint(self) -> str:
        """The sentence shown about what could not be done; "" if there is none."""
        return self._complaint

    def complain(self, words: str) -> None:
        """Report what could not be done. The sentence is shown until the next change or the next such report."""
        if words != self._complaint:
            self._complaint = words
            if words:
                log.info("Told: %s", words)
            self._say_trouble()

    def _say_prompt_trouble(self, words: str) -> None:
        self._prompt_trouble = words
        self._say_trouble()

    def _say_trouble(self) -> None:
        words = self._prompt_trouble
        if words and self.scene is not None:
            words = words.removesuffix(".") + "; the view still shows the previous text."
        self.trouble.emit(self._complaint or words)
