"""The actions behind the window's commands and widgets, each under one name."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence

from desktop_app.core.asking.command import PACE, WORKSPACE
from desktop_app.core.asking.commands import COMMANDS, find_command
from desktop_app.core.asking.intents import Append, Do, Explain, GoTo, Intent, Open, Predict, Select, Show
from desktop_app.core.lessons.stops import Stop, open_in
from desktop_app.core.opening.cells import Cell
from desktop_app.core.program.bundle import bundled_models
from desktop_app.core.session.state import State
from desktop_app.core.views.look import at_cell
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.ui.appearance import Appearance
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.desks.memory import Memory
from desktop_app.ui.desks.training_desk import TrainingDesk
from desktop_app.ui.dialogs.choosers import Choosers
from desktop_app.ui.dialogs.diagnostics import diagnostics
from desktop_app.ui.dialogs.model_library import ModelLibrary
from desktop_app.ui.file_actions import FileActions
from desktop_app.ui.lessons.story_files import StoryFiles
from desktop_app.ui.lessons.telling import Telling
from desktop_app.ui.parts.frame import Frame
from desktop_app.ui.parts.inspection import Inspection
from desktop_app.ui.parts.panes import PARTS
from desktop_app.ui.picture.player import Player
from desktop_app.ui.what_if import WhatIf

_KEYS = {command.id: command.keys for command in COMMANDS}
_SWITCHED = tuple(command.id for command in COMMANDS if command.on is not None)
"""Commands that are on or off, depending on the state."""


class Acts(QObject):
    """Executes requests: each becomes a change of the state or another action of the window."""

    said = Signal(str)  # a sentence for the bottom of the view
    stale = Signal()  # the display has to be refreshed

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
        training: TrainingDesk,
        player: Player,
    ) -> None:
        super().__init__(frame)
        self._frame, self._controller, self._appearance = frame, controller, appearance
        self._inspection, self._files, self._library, self._memory = inspection, files, library, memory
        self._telling, self._training, self._player = telling, training, player
        self._story_files = StoryFiles(controller, telling, frame)
        self._story_files.said.connect(self.said)
        self._choosers = choosers = Choosers(frame, controller)
        choosers.asked.connect(self.follow)
        choosers.closed.connect(self.stale)
        self.what_if = WhatIf(frame, controller, inspection)
        self.what_if.said.connect(self.said)
        self.what_if.model_asked.connect(files.ask_beside)
        self._paging: bool | None = None
        self._met: dict[str, bool] = {}
        self._handlers = self._make_handlers()
        for name, action in frame.actions_.items():
            action.triggered.connect(lambda _checked=False, name=name: self.do(name))

    # Commands

    def do(self, name: str) -> None:
        """Run the command with this id, if it is enabled."""
        if not self._frame.actions_[name].isEnabled():
            self.enable()
            scrubber = self._frame.scrubber
            scrubber.set_playing(scrubber.playing)  # nothing started, so the button is no longer pressed
            return
        if find_command(name).change is None:
            self._handlers[name]()
        else:
            self._controller.follow(Do(name))
        if name == f"{WORKSPACE}sheet":
            for sheet in self._frame.canvas.sheets:
                sheet.show_whole()

    def _make_handlers(self) -> dict[str, Callable[[], object]]:
        """The handlers of the commands that do more than change the state."""
        c, frame, look, choosers = self._controller, self._frame, self._appearance, self._choosers
        return {
            "undo": c.undo,
            "redo": c.redo,
            "back": lambda: c.go_back(-1),
            "forward": lambda: c.go_back(1),
            "play": self._play,
            "motion": self._player.toggle,
            "motion_play": self._player.play,
            "motion_next": lambda: self._player.beat(1),
            "motion_previous": lambda: self._player.beat(-1),
            "motion_export": self._player.ask_export,
            **{name: partial(self._telling.do, name) for name in frame.actions_ if name.startswith("story_")},
            "open_story": self._story_files.ask_open,
            "edit_story": self._story_files.edit,
            "add_stop": self._story_files.add_shown,
            "cover": self._cover,
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
            "every_number": self._switch_every_number,
            "limit": frame.view_bar.ask_limit,
            **{part.command: partial(look.toggle_part, part.command) for part in PARTS},
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
            "evidence_open": self._files.ask_evidence,
            "beside_model": self._files.ask_beside,
            "why_look": self._why_look,
            "open_weight": choosers.choose_weight,
            "why_target": lambda: choosers.choose_token(lambda token: Explain(target=token)),
            "why_against": lambda: choosers.choose_token(lambda token: Explain(against=token)),
            **self.what_if.handlers(),
            "copy_numpy": self._inspection.copy_numpy,
            **{name: partial(self._set_pace, name) for name in frame.actions_ if name.startswith(PACE)},
            "snapshot_next": lambda: self._training.go_by(1),
            "snapshot_previous": lambda: self._training.go_by(-1),
            "snapshot_first": lambda: self._training.go_to(0),
            "snapshot_last": lambda: self._training.go_to(10**9),
            "snapshot_beside": self._training.put_beside,
            "snapshot_export": self._training.ask_export,
            "snapshot_play": lambda: self._training.set_playing(not self._training.playing),
            "palette": choosers.palette,
            "help": choosers.help,
            "copy_diagnostics": self._copy_diagnostics,
            "about": choosers.about,
            "quit": frame.close,
        }

    def enable(self) -> None:
        """Enable exactly those commands that can run now."""
        c = self._controller
        tokenizer = c.model.tokenizer if c.model is not None else None
        met = {
            "always": True,
            "model": c.model is not None,
            "scene": c.scene is not None,
            "undo": c.history.can_undo,
            "redo": c.history.can_redo,
            "room": c.has_room,
            "running": c.running or c.products.lane.busy or self._training.clip.lane.busy,
            "path": bool(c.path),
            "loading": c.is_loading,
            "story": bool(c.state.story),
            "motion": self._player.on,
            "training": self._training.training is not None,
            "edits": bool(c.state.edits) or c.state.mask != CAUSAL,
            "other": bool(c.state.other or c.state.beside),
            "other_prompt": bool(c.state.other),
            "beside_model": bool(c.state.beside),
            "space": tokenizer is not None and tokenizer.has_space,
            "first": tokenizer is not None and bool(tokenizer.first),
        }
        met |= {"changed": c.state.changed, "beside": c.state.changed or met["other"]}
        frame = self._frame
        if met != self._met:
            self._met = met
            for command in COMMANDS:
                frame.actions_[command.id].setEnabled(met[command.needs])
            frame.undo.setEnabled(met["undo"])
            frame.redo.setEnabled(met["redo"])
            frame.export.setEnabled(met["scene"])
        frame.probabilities.show_running(has_room=met["room"], running=c.running)

    def on(self, state: State) -> set[str]:
        """The ids of the commands that are on in this state."""
        model = self._controller.model
        if model is None:
            return set()
        return {command.id for command in COMMANDS if command.on is not None and command.on(state, model)}

    def show_checks(self, state: State) -> None:
        """Check the commands that are on. While a story is told, the keys for the next step go to its next stop."""
        if self._paging != bool(state.story):
            self._paging = bool(state.story)
            self._set_paging(told=self._paging)
        switched = self.on(state)
        for name, on in (
            ("projector", self._appearance.name == "projector"),
            *(
                (name, name == f"{PACE}{self._controller.runner.pace}")
                for name in self._frame.actions_
                if name.startswith(PACE)
            ),
            ("cover", self._telling.covering),
            ("every_number", self._memory.settings.every_number),
            *((name, name in switched) for name in _SWITCHED),
        ):
            self._frame.actions_[name].setChecked(on)

    def _set_paging(self, *, told: bool) -> None:
        """Give the keys for the next step to the story's stops while a story is told."""
        for name in ("next", "previous"):
            step, stop = self._frame.actions_[name], self._frame.actions_[f"story_{name}"]
            own, others = (stop, step) if told else (step, stop)
            paging = _KEYS[name] if own is stop else ()
            others.setShortcuts([QKeySequence(k) for k in (_KEYS[f"story_{name}"] if others is stop else ())])
            own.setShortcuts([QKeySequence(k) for k in (*paging, *_KEYS[f"story_{name}" if own is stop else name])])

    def _play(self) -> None:
        c, on = self._controller, not self._frame.scrubber.playing
        if on and c.walk_step is c.steps[-1]:
            self.go_to_index(0)
        self._frame.scrubber.set_playing(on)

    def step(self, name: str) -> None:
        """Handle `next` or `previous` from a presenter's remote: go by stops while a story is told, else by steps."""
        self.do(f"story_{name}" if self._controller.state.story else name)

    def _cover(self) -> None:
        self._telling.covering = not self._telling.covering
        self.show_checks(self._controller.state)
        self.stale.emit()

    def _switch_every_number(self) -> None:
        self._memory.choose(every_number=not self._memory.settings.every_number)
        self.show_checks(self._controller.state)
        self.stale.emit()

    def _stop(self) -> None:
        self._frame.scrubber.set_playing(False)
        self._controller.stop()
        self._controller.products.stop()
        self._training.clip.stop()
        self.stale.emit()

    def _why_look(self) -> None:
        """Decompose the score of the attention cell under the pointer or opened, else the score of the current view."""
        cell = self._inspection.cell
        if self._controller.model is not None:
            self._controller.set(at_cell(self._controller.model.config, self._controller.state, cell))

    def _copy_diagnostics(self) -> None:
        QGuiApplication.clipboard().setText(diagnostics(self._memory.settings, self._controller.model))
        self.said.emit("Copied: versions, settings and the log. Neither your text nor an access token is in it.")

    def _set_pace(self, command: str) -> None:
        self._controller.runner.pace = int(command.removeprefix(PACE))
        self.show_checks(self._controller.state)

    # Requests from widgets

    def follow(self, intent: Intent) -> None:
        """Execute a request, from whichever widget it came."""
        match intent:
            case Select(position) if self._frame.story_bar.asks_for_look:
                self._telling.answer(position)
            case Do(command):
                self.do(command)
            case Append(token):
                self._controller.append(token)
            case Show(stop):
                self.open_example(stop)
            case _:
                self._controller.follow(intent)

    def predict(self, position: int) -> None:
        """Show the probabilities after a position of the displayed text."""
        scene = self._controller.scene
        self.follow(Predict(position, scene is not None and position == len(scene.trace) - 1))

    def go_to_tensor(self, name: str) -> None:
        """Open a weight, or go to the step that shows a tensor."""
        model = self._controller.model
        if model is not None:
            self.follow(Open(Cell(name, ())) if name in model.checkpoint.weights else GoTo(name))

    def go_to_index(self, index: int) -> None:
        """Go to the step with this index in the walk."""
        if 0 <= index < len(self._controller.steps):
            self._controller.go_to(self._controller.steps[index])

    def open_example(self, example: Stop) -> None:
        """Enter an example's prompt, go to the place that it is about, and show a sentence on what to look for."""
        wanted = open_in(example, self._controller.state)
        folder = bundled_models().get(example.model)
        if folder is not None and wanted.model != str(folder):
            self._controller.open_model(folder, replace(wanted, model=str(folder)))
        else:
            self._controller.follow(Show(example))
