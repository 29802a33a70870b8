"""What the window's commands and widgets do, each act under one name."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence

from desktop_app.core.bundle import bundled_models
from desktop_app.core.commands import COMMANDS, PACE
from desktop_app.core.navigation import at_workspace
from desktop_app.core.state import State, begins, spaced, unplaced
from desktop_app.core.steps import find_step
from desktop_app.core.stops import Stop, open_in
from desktop_app.core.views.look import at_cell
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.sampling import MAX_SEED
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.ui.appearance import Appearance
from desktop_app.ui.choosers import Choosers
from desktop_app.ui.controller import Controller
from desktop_app.ui.diagnostics import diagnostics
from desktop_app.ui.file_actions import FileActions
from desktop_app.ui.frame import Frame
from desktop_app.ui.inspection import Inspection
from desktop_app.ui.memory import Memory
from desktop_app.ui.model_library import ModelLibrary
from desktop_app.ui.panes import PARTS
from desktop_app.ui.story_files import StoryFiles
from desktop_app.ui.telling import Telling

_KEYS = {command.id: command.keys for command in COMMANDS}
_CHANGES = {command.id: command.change for command in COMMANDS if command.change is not None}


class Acts(QObject):
    """Turns what was asked for into a change of the state, or into what else the window does."""

    said = Signal(str)  # a sentence for the foot of the view
    stale = Signal()  # what is shown is to be shown again

    def __init__(
        self,
        frame: Frame,
        controller: Controller,
        appearance: Appearance,
        inspection: Inspection,
        files: FileActions,
        library: ModelLibrary,
        memory: Memory,
        telling: Telling,
    ) -> None:
        super().__init__(frame)
        self._frame, self._controller, self._appearance = frame, controller, appearance
        self._inspection, self._files, self._library, self._memory = inspection, files, library, memory
        self._telling = telling
        self._story_files = StoryFiles(controller, telling, frame)
        self._story_files.said.connect(self.said)
        self._choosers = choosers = Choosers(frame, controller, inspection)
        choosers.command.connect(self.do)
        choosers.example.connect(self.open_example)
        choosers.pinned.connect(self.pin)
        choosers.explained.connect(lambda name, token: self.explain(**{name: token}))
        choosers.closed.connect(self.stale)
        self._handlers = self._make_handlers()
        for name, action in frame.actions_.items():
            action.triggered.connect(lambda _checked=False, name=name: self.do(name))

    # Commands

    def do(self, name: str) -> None:
        """Run the command with this id, if it is enabled."""
        if not self._frame.actions_[name].isEnabled():
            self.enable()
            scrubber = self._frame.scrubber
            scrubber.set_playing(scrubber.playing)  # a button that was pressed in vain comes up again
            return
        c = self._controller
        change = _CHANGES.get(name)
        if change is not None:
            c.set(change(c.state))
            return
        self._handlers[name]()

    def _make_handlers(self) -> dict[str, Callable[[], object]]:
        """What the commands do that are more than a change of the state."""
        c, frame, look, choosers = self._controller, self._frame, self._appearance, self._choosers
        return {
            "undo": c.undo,
            "redo": c.redo,
            "next": lambda: c.go_by(1),
            "previous": lambda: c.go_by(-1),
            "next_block": lambda: c.go_block(1),
            "previous_block": lambda: c.go_block(-1),
            "next_head": lambda: c.go_head(1),
            "previous_head": lambda: c.go_head(-1),
            "first": lambda: self.go_to_index(0),
            "last": lambda: self.go_to_index(len(c.steps) - 1),
            "back": lambda: c.go_back(-1),
            "forward": lambda: c.go_back(1),
            "play": self._play,
            **{name: partial(self._telling.do, name) for name in frame.actions_ if name.startswith("story_")},
            "open_story": self._story_files.ask_open,
            "edit_story": self._story_files.edit,
            "add_stop": self._story_files.add_shown,
            "cover": self._cover,
            "draw": lambda: c.set(replace(c.state, draws=c.state.draws + 1), ("draw",)),
            "append": c.append_drawn,
            "run": lambda: c.run_on(frame.probabilities.count.value()),
            "stop": self._stop,
            "theme": look.switch_theme,
            "larger": lambda: look.change_type(1),
            "smaller": lambda: look.change_type(-1),
            "normal": lambda: look.change_type(0),
            "lecture": lambda: frame.lecture.set_on(not frame.lecture.on),
            "spotlight": look.toggle_spotlight,
            "focus_panel": look.toggle_panel,
            "projector": look.switch_projector,
            "limit": frame.view_bar.limit.setFocus,
            **{part.command: partial(look.toggle_part, part.command) for part in PARTS},
            "prepend": lambda: c.set(replace(unplaced(c.state), start=not self._is_on(begins))),
            "space": lambda: c.set(replace(unplaced(c.state), space=not self._is_on(spaced))),
            "focus_prompt": frame.prompt.setFocus,
            "find_token": frame.probabilities.open_search,
            "export": lambda: self._files.ask_export(look.name),
            "deck": lambda: self._files.ask_deck(look.name),
            "copy": lambda: self._files.copy_figure(look.name),
            "open_session": self._files.ask_session,
            "save_session": self._files.ask_save_session,
            "open_models": self._library.show,
            "open_model": self._library.ask_folder,
            "stop_loading": c.cancel_loading,
            "lens_translators": self._files.ask_translators,
            "why_look": self._why_look,
            "close_inspector": lambda: c.open_path(()),
            "check_all": self._inspection.check_all,
            "open_weight": choosers.choose_weight,
            "why_target": lambda: choosers.choose_token("target"),
            "why_against": lambda: choosers.choose_token("against"),
            "open_census": self._inspection.open_census,
            "copy_numpy": self._inspection.copy_numpy,
            **{name: partial(self._set_pace, name) for name in frame.actions_ if name.startswith(PACE)},
            "palette": choosers.palette,
            "help": choosers.help,
            "copy_diagnostics": self._copy_diagnostics,
            "about": choosers.about,
            "quit": frame.close,
        }

    def _is_on(self, switch: Callable[[State, Tokenizer], bool]) -> bool:
        """Whether a switch of how the text begins is on: by a person, or by the tokenizer's files."""
        model = self._controller.model
        return model is not None and switch(self._controller.state, model.tokenizer)

    def enable(self) -> None:
        """Enable what can be done now, and nothing else."""
        c = self._controller
        tokenizer = c.model.tokenizer if c.model is not None else None
        met = {
            "always": True,
            "model": c.model is not None,
            "scene": c.scene is not None,
            "undo": c.history.can_undo,
            "redo": c.history.can_redo,
            "room": c.has_room,
            "running": c.running or c.products.lane.busy,
            "path": bool(c.path),
            "loading": c.is_loading,
            "story": bool(c.state.story),
            "space": tokenizer is not None and tokenizer.has_space,
            "first": tokenizer is not None and bool(tokenizer.first),
        }
        for command in COMMANDS:
            self._frame.actions_[command.id].setEnabled(met[command.needs])
        frame = self._frame
        frame.undo.setEnabled(met["undo"])
        frame.redo.setEnabled(met["redo"])
        frame.export.setEnabled(met["scene"])
        frame.probabilities.show_running(has_room=met["room"], running=c.running)

    def show_checks(self, state: State) -> None:
        """Check what is on; while a story is told, the keys of the next step go to the next stop."""
        for name in ("next", "previous"):
            step, stop = self._frame.actions_[name], self._frame.actions_[f"story_{name}"]
            own, others = (stop, step) if state.story else (step, stop)
            paging = _KEYS[name] if own is stop else ()
            others.setShortcuts([QKeySequence(k) for k in (_KEYS[f"story_{name}"] if others is stop else ())])
            own.setShortcuts([QKeySequence(k) for k in (*paging, *_KEYS[f"story_{name}" if own is stop else name])])
        for name, on in (
            ("projector", self._appearance.name == "projector"),
            *(
                (name, name == f"{PACE}{self._controller.runner.pace}")
                for name in self._frame.actions_
                if name.startswith(PACE)
            ),
            ("cover", self._telling.covering),
            ("prepend", self._is_on(begins)),
            ("space", self._is_on(spaced)),
            *((command.id, command.on(state)) for command in COMMANDS if command.on is not None),
        ):
            self._frame.actions_[name].setChecked(on)

    def _play(self) -> None:
        c, on = self._controller, not self._frame.scrubber.playing
        if on and c.walk_step is c.steps[-1]:
            self.go_to_index(0)
        self._frame.scrubber.set_playing(on)

    def step(self, name: str) -> None:
        """What a clicker asks for, `next` or `previous`: of a story that is told the stop, else the step."""
        self.do(f"story_{name}" if self._controller.state.story else name)

    def _cover(self) -> None:
        self._telling.covering = not self._telling.covering
        self.show_checks(self._controller.state)
        self.stale.emit()

    def _stop(self) -> None:
        self._frame.scrubber.set_playing(False)
        self._controller.stop()
        self._controller.products.stop()
        self.stale.emit()

    def _why_look(self) -> None:
        """Open the score of the attention cell that is pointed at or opened; else that of what is shown."""
        cell = self._inspection.cell
        if self._controller.model is not None:
            self._controller.set(at_cell(self._controller.model.config, self._controller.state, cell))

    def _copy_diagnostics(self) -> None:
        QGuiApplication.clipboard().setText(diagnostics(self._memory.settings, self._controller.model))
        self.said.emit("Copied: versions, settings and the log. Neither your text nor a token is in it.")

    def _set_pace(self, command: str) -> None:
        self._controller.runner.pace = int(command.removeprefix(PACE))
        self.show_checks(self._controller.state)

    # What widgets ask for

    def choose_token(self, token: int) -> None:
        """Select a position of the text, by its index; where a question asks for one, that is the answer."""
        if self._frame.story_bar.asks_for_look:
            self._telling.answer(token)
            return
        self._controller.set(replace(self._controller.state, token=token, key=None))

    def choose_position(self, position: int) -> None:
        """Show the probabilities after this position."""
        scene = self._controller.scene
        last = scene is not None and position == len(scene.trace) - 1
        self._controller.set(
            replace(self._controller.state, position=None if last else position, token=position, key=None)
        )

    def pick(self, what: str, value: Any) -> None:
        """Do what a place of the picture stands for."""
        c = self._controller
        if what == "token":
            self.choose_token(int(value))
        elif what == "head":
            c.set(replace(c.state, head=int(value)))
        elif what == "key":
            key = int(value)
            c.set(replace(c.state, key=None if c.state.key == key else key))
        elif what == "stage" and c.model is not None:
            c.go_to(find_step(f"blocks.{c.state.layer}.attn.{value}", c.model.config))
        elif what == "append":
            c.append(int(value))
        elif what == "command":
            self.do(str(value))

    def pin(self, token: int) -> None:
        """Keep a token among the bars, or no longer."""
        pinned = self._controller.state.pinned
        changed = tuple(t for t in pinned if t != token) if token in pinned else (*pinned, token)
        self._controller.set(replace(self._controller.state, pinned=changed))

    def explain(self, **tokens: int) -> None:
        """Show why a token is as likely as it is (`target`), or why not another one (`against`)."""
        c = self._controller
        c.set(replace(at_workspace(c.state, "why"), **tokens))  # type: ignore[arg-type] # names are State's

    def change_sampling(self, name: str, value: object) -> None:
        """Set a field of the sampling."""
        try:
            self._controller.set(self._controller.state.with_sampling(**{name: value}), ("sampling", name))
        except LogitscopeError as reason:
            self.said.emit(str(reason))

    def new_seed(self) -> None:
        """Draw from another seed, from its first draw on."""
        seed = (self._controller.state.sampling.seed + 1) % (MAX_SEED + 1)
        self._controller.set(replace(self._controller.state.with_sampling(seed=seed), draws=0))

    def go_to_tensor(self, name: str) -> None:
        """Open a weight, or go to the step that shows a tensor."""
        c = self._controller
        if c.model is None:
            return
        if name in c.model.checkpoint.weights:
            self._inspection.open_weight(name)
        else:
            c.go_to(find_step(name, c.model.config))

    def go_to_index(self, index: int) -> None:
        """Go to a step by its place in the walk."""
        if 0 <= index < len(self._controller.steps):
            self._controller.go_to(self._controller.steps[index])

    def open_example(self, example: Stop) -> None:
        """Type an example's prompt, go where it is to be looked at, and say what is to be seen."""
        wanted = open_in(example, self._controller.state)
        folder = bundled_models().get(example.model)
        if folder is not None and wanted.model != str(folder):
            self._controller.open_model(folder, replace(wanted, model=str(folder)))
        else:
            self._controller.set(wanted)
