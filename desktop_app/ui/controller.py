"""Holds the current state, the only mutable truth of the window; turns its changes into passes and scenes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

from PySide6.QtCore import QObject, QTimer, Signal

from desktop_app.core import navigation
from desktop_app.core import state as states
from desktop_app.core.bundle import default_model
from desktop_app.core.history import History, Walk, place_of, typing_key
from desktop_app.core.model import Doubt, Model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import check_cell, wants_of
from desktop_app.core.panels import View
from desktop_app.core.places import BESIDE, Step
from desktop_app.core.prepared import Prepared, pass_of
from desktop_app.core.private import hide
from desktop_app.core.scene import Scene, make_scene
from desktop_app.core.state import ASKED, WALK, State
from desktop_app.core.steps import build_view, current_place, find_step, step_list, workspaces
from desktop_app.core.want import Want
from desktop_app.gpt2.checkpoint import name_of
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.run import Run
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace
from desktop_app.ui.lanes import FreeLane, Lane, LoadLane
from desktop_app.ui.product_desk import ProductDesk

CHECKED = Cell("check", ())
"""The check of every tensor, as it is opened."""


def _of(token: int | None, count: int) -> int | None:
    """The token, if a vocabulary of `count` has it."""
    return token if token is not None and token < count else None


class Controller(QObject):
    """State in, scenes out. Widgets call its methods and listen to its signals; none keeps a state of its own."""

    state_changed = Signal(object)
    scene_changed = Signal(object)
    model_changed = Signal(object)
    trouble = Signal(str)  # a sentence that stays until the cause is gone; "" takes it away
    notice = Signal(str)  # a sentence that passes
    given_up = Signal(object)  # the State of the start that could not be opened, where its text is not shown
    doubted = Signal(object)  # a Doubt: somebody must say whether to open the model all the same
    loading = Signal(str)  # the stage of a model being opened; "" when done
    working = Signal(bool)

    def __init__(self, state: State, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = state
        self.model: Model | None = None
        self.scene: Scene | None = None
        self.instead: list[State] = []  # what to begin with if the first model cannot be opened
        self._begins_instead = False
        self.is_loading = False
        self.history = History()
        self.walk = Walk()
        self._trace: Trace | None = None
        self._prepared: Prepared | None = None
        self._left_to_run = 0
        self._last_run = 0.0
        self._run_timer = QTimer(self)
        self._run_timer.setSingleShot(True)
        self._run_timer.timeout.connect(self._run_next)
        self.pace = 0
        """Tokens a second at most, when running on; 0 is as fast as possible."""
        self._prompt_trouble = ""
        self._complaint = ""
        self._wanted_state: State | None = None
        # The state whose prompt was asked for last, and the one whose prompt the trace stands for.
        self._asked = self._computed = state
        self.passes = Lane("pass", self)
        self.loads = LoadLane("load", self)
        self.products = ProductDesk(self)
        self.packing = Lane("pack", self)
        self.freeing = FreeLane("free", self)
        self.passes.answered.connect(self._on_pass)
        self.passes.failed.connect(self._on_pass_failed)
        self.passes.idle.connect(self._on_idle)
        self.products.ready.connect(self._on_product)
        self.products.failed.connect(self.complain)
        self.loads.answered.connect(self._on_model)
        self.loads.failed.connect(self._on_load_failed)
        self.loads.stage.connect(self._on_stage)
        # Typing and dragging give many changes in one turn of the event loop; one request answers them all.
        self._due = QTimer(self)
        self._due.setSingleShot(True)
        self._due.timeout.connect(self._request)
        self.state_changed.connect(self._hide_text)
        hide(state.text)

    def _hide_text(self, state: State) -> None:
        """No line of the log may hold what is typed."""
        hide(state.text if self.model is None else states.full_text(state, self.model.tokenizer))

    # Model

    def open_model(self, folder: Path, then: State | None = None, *, anyway: bool = False) -> None:
        """Open another model; the present one stays until the new one has passed its checks.

        `then` is the state that comes with it; without one, the state of that moment goes on. A model that may not fit
        into memory is opened only `anyway`; otherwise `doubted` tells of it.
        """
        self._wanted_state = then
        self.complain("")
        self._say_loading(f"opening {name_of(folder)}")
        tokens = len(self._trace) if self._trace is not None else 1
        self.loads.request(folder, then, tokens=tokens, int8=(then or self.state).int8, anyway=anyway)

    def cancel_loading(self) -> None:
        """Keep the present model."""
        if self.is_loading:
            self.loads.cancel()
            self.keep_model()

    def keep_model(self) -> None:
        """Another model will not come after all: go on with the one that is open, or with the bundled one."""
        self._say_loading("")
        self._wanted_state = None
        if self.model is None:
            if not self._begins_instead:
                self._begin_instead()
        elif not self._is_open(self.state):
            # An undo asked for a model that is gone: the state says which one is open.
            self.state = self.fitted(self.state)
            self.state_changed.emit(self.state)
            self._due.start(0)

    def _begin_instead(self) -> None:
        """Begin with the next best: never a window without a model, and no text under a model that it is not of."""
        wanted = self.state
        self.state = self.instead.pop(0) if self.instead else replace(wanted, model=str(default_model()))
        self._begins_instead = True
        if replace(wanted, model=self.state.model, int8=self.state.int8).asked != self.state.asked:
            self.history.record(replace(wanted, model=self.state.model, int8=self.state.int8), self.state)
            self.given_up.emit(wanted)
        self.state_changed.emit(self.state)
        self.loads.request(Path(self.state.model), int8=self.state.int8)

    def _on_stage(self, stage: str) -> None:
        # A stage that was on its way when opening was stopped is no news.
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
        self.freeing.hold(self.model, self._trace, self.scene)
        self.model = model
        self.packing.cancel()
        self.products.drop()
        self._trace = None
        self._left_to_run = 0
        before, self.state = self.state, self.fitted(wanted)
        if not first:
            self.history.record(before, self.state)
        self.model_changed.emit(model)
        if model.remarks:
            self.notice.emit(" ".join(model.remarks))
        self.state_changed.emit(self.state)
        self._request()

    def fitted(self, state: State) -> State:
        """The state with what the open model lacks (a block, a head, a step, a token) replaced by what it has."""
        if self.model is None:
            return state
        config = self.model.config
        try:
            found = find_step(state.step, config)
            step, own = (found.key, found.layer) if found.spec.part != BESIDE else ("tokens", None)
        except LogitscopeError:
            step, own = "tokens", None
        known = all(t < config.vocab_size for t in state.appended)
        tabs = (WALK, *(w.key for w in workspaces(config) if w.spec.keys))
        return replace(
            state,
            model=str(self.model.folder),
            int8=self.model.config.int8,
            workspace=state.workspace if state.workspace in tabs else WALK,
            step=step,
            layer=min(state.layer, config.n_layer - 1) if own is None or state.workspace != WALK else own,
            head=min(state.head, config.n_head - 1),
            appended=state.appended if known else (),
            pinned=tuple(t for t in state.pinned if t < config.vocab_size),
            target=_of(state.target, config.vocab_size),
            against=_of(state.against, config.vocab_size),
            unfolded=tuple(n for n in state.unfolded if n < config.n_layer),
        )

    def _is_open(self, state: State) -> bool:
        """Whether the open model is the one that `state` asks for."""
        model = self.model
        return model is not None and (state.model, state.int8) == (str(model.folder), model.config.int8)

    def _on_load_failed(self, words: str) -> None:
        self.complain(words)
        self._begins_instead = False
        if self.model is not None or self.instead:
            self.keep_model()  # with what went wrong above it
        else:
            self._say_loading("")
            self._wanted_state = None

    @property
    def complaint(self) -> str:
        """What could not be done, as it stands there; "" if nothing does."""
        return self._complaint

    def complain(self, words: str) -> None:
        """Say what could not be done; the sentence stays until the next change, or until the next complaint."""
        if words != self._complaint:
            self._complaint = words
            self._say_trouble()

    # State

    def set(self, state: State, key: object = None) -> None:
        """Take over `state`. Changes in a row with the same `key` are one entry of undo."""
        if state == self.state:
            return
        before, self.state = self.state, state
        self.history.record(before, state, key)
        if place_of(before) != place_of(state):
            self.walk.visit(before)
            self.walk.visit(state)
        self.complain("")
        self._follow(before)

    def _follow(self, before: State) -> None:
        """Bring trace and scene after a change from `before`."""
        self.state_changed.emit(self.state)
        if self.model is None:
            return
        if (before.model, before.int8) != (self.state.model, self.state.int8) and not self._is_open(self.state):
            self.open_model(Path(self.state.model))
        elif before.asked != self.state.asked:
            self._due.start(0)
        else:
            self._make_scene()

    def undo(self) -> None:
        """Take back the last entry."""
        self._left_to_run = 0
        before, self.state = self.state, self.history.undo(self.state)
        self._follow(before)

    def redo(self) -> None:
        """Do again what undo took back."""
        before, self.state = self.state, self.history.redo(self.state)
        self._follow(before)

    def go_back(self, by: int) -> None:
        """Back (-1) or forward (1) along the way one has walked."""
        before, self.state = self.state, self.fitted(self.walk.go(by, self.state))
        self._follow(before)

    def edit_text(self, text: str) -> None:
        """The editor's text became `text`."""
        if self.model is None:
            self.set(replace(self.state, text=text), "typing")
            return
        self._left_to_run = 0
        old = states.full_text(self.state, self.model.tokenizer)
        try:
            changed, note = states.edit(self.state, text, self.model.tokenizer)
        except LogitscopeError:
            # A text that cannot be spelled is kept as typed; the pass will say what is wrong with it.
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
        self.set(changed, ("run",) if self._left_to_run else None)

    def append_drawn(self) -> None:
        """Append the token that the current draw lands on."""
        if self.scene is not None:
            self.append(int(self.scene.ranked.order[self.scene.landed]), drawn=True)

    def run_on(self, count: int) -> None:
        """Append `count` drawn tokens, one pass after the other; stops at the end of text or of the context."""
        self._left_to_run = 0
        self.history.close_entry()
        if self.is_current:
            self._left_to_run = count
            self._run_next()

    def stop(self) -> None:
        """Stop running on, playing aside, and whatever pass is under way."""
        self._left_to_run = 0
        self.working.emit(self.passes.busy)

    @property
    def pending(self) -> bool:
        """Whether a change waits for its pass to be asked for, or the pass for its answer."""
        return self._due.isActive() or self.passes.busy

    @property
    def running(self) -> bool:
        """Whether tokens are being appended one after the other."""
        return self._left_to_run > 0

    def _run_next(self) -> None:
        if self._left_to_run <= 0 or self.scene is None or self.model is None:
            self._left_to_run = 0
            return
        if not self.is_current:
            return  # a pass is under way, and its answer will go on from here
        last = self.state.appended[-1] if self.state.position is None and self.state.appended else None
        if last in self.model.ends:
            self._end_run(f"Stopped at {self.model.tokenizer.label(last)}.")
        elif len(self.scene.trace) >= self.model.config.n_positions:
            self._end_run(f"Stopped at the context's end, {self.model.config.n_positions:,} tokens.")
        else:
            self._left_to_run -= 1
            self._last_run = monotonic()
            token = int(self.scene.ranked.order[self.scene.landed])
            changed = states.append(self.state, token, self.model.tokenizer, drawn=True)
            self.set(changed, ("run",))
            if not self._left_to_run:
                self.history.close_entry()

    def _end_run(self, words: str) -> None:
        self._left_to_run = 0
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
        """Whether the scene is that of the prompt as it stands; not while its pass runs, or if it cannot be run."""
        return self.scene is not None and self.scene.state.asked == self.state.asked

    # Steps

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step of the model."""
        return step_list(self.model.config) if self.model is not None else ()

    @property
    def walk_step(self) -> Step | None:
        """The current step of the walk, also while a workspace stands in front of it."""
        return navigation.current_step(self.state, self.steps)

    @property
    def step(self) -> Step | None:
        """What the centre shows: the current step of the walk, or a workspace."""
        return current_place(self.state, self.model.config) if self.model is not None else None

    def go_to(self, step: Step) -> None:
        """Go to a step; its block becomes the shown one."""
        self.set(navigation.at_step(self.state, step))

    def go_by(self, by: int) -> None:
        """Go `by` steps on."""
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
        """The way through opened numbers; the last is shown."""
        return self.state.opened

    def open_path(self, path: tuple[Cell, ...]) -> None:
        """Show the last cell of `path` taken apart; an empty path closes the inspector."""
        self.set(replace(self.state, opened=path))

    def _keep_path(self) -> None:
        """Drop what the new trace no longer has."""
        assert self.scene is not None
        kept: list[Cell] = []
        for cell in self.path:
            try:
                check_cell(self.scene, cell)
            except (LogitscopeError, IndexError):
                break
            kept.append(cell)
        if len(kept) < len(self.path):
            self.state = replace(self.state, opened=tuple(kept))
            self.scene = replace(self.scene, state=replace(self.scene.state, opened=tuple(kept)))

    # Products

    @property
    def waiting_for(self) -> tuple[Want, ...]:
        """What the shown views need and do not have yet."""
        scene, place = self.scene, self.step
        if scene is None or place is None:
            return ()
        wants = (*place.spec.wants(scene), *(wants_of(scene, self.path[-1]) if self.path else ()))
        return tuple(dict.fromkeys(want for want in wants if scene.result(want) is None))

    def _on_product(self, run: Run) -> None:
        # What is about the model alone is there for the text that has been typed meanwhile, too.
        if self._trace is not None and self._trace.run.model == run.model:
            self._make_scene()

    # Passes

    def _request(self) -> None:
        if self.model is None:
            return
        model = self.model
        try:
            ids = states.encode(self.state, model.tokenizer)
            model.engine.check_ids(ids)
        except LogitscopeError as reason:
            self.passes.cancel()
            self._left_to_run = 0
            if self._trace is None and self.scene is not None:
                # What the model before this one computed is not this model's.
                self.scene, self.state = None, replace(self.state, opened=())
                self.scene_changed.emit(None)
            self.freeing.free_soon()
            self._say_prompt_trouble(str(reason))
            return
        self._say_prompt_trouble("")
        self._asked = self.state
        if self._trace is not None and self._trace.ids == ids:
            self._computed = self._asked
            self.passes.cancel()
            self._make_scene()
            self._run_soon()
            return
        self.working.emit(True)
        self.passes.submit(pass_of(model, ids, self._trace, self.state))

    def _say_prompt_trouble(self, words: str) -> None:
        self._prompt_trouble = words
        self._say_trouble()

    def _say_trouble(self) -> None:
        words = self._prompt_trouble
        if words and self.scene is not None:
            words = words.removesuffix(".") + "; the view still shows the text before."
        self.trouble.emit(self._complaint or words)

    def _on_pass(self, prepared: Prepared) -> None:
        if prepared.model is not self.model:
            return
        self._prepared = prepared
        self.freeing.hold(self._trace, self.scene)
        self._trace, self._computed = prepared.trace, self._asked
        if prepared.scene is not None:
            self.products.put(prepared.trace.run, prepared.scene.products)
        # A check of the text before is not made again with every letter.
        if any(cell == CHECKED for cell in self.path):
            self.state = replace(self.state, opened=tuple(cell for cell in self.path if cell != CHECKED))
        self._make_scene()
        self.freeing.free_soon(prepared.model.engine.give_back)
        self._run_soon()

    def _on_idle(self) -> None:
        self.working.emit(False)
        model = self.model
        if model is None or self._trace is None or model.engine.packed or self.packing.busy:
            return
        # The first answer came from the weights as they lie in the file; those after it come faster from a copy.
        if model.has_room_to_pack():
            self.packing.submit(model.engine.prepack)

    def _run_soon(self) -> None:
        if self._left_to_run:
            # After the window has painted this pass, and not sooner after the last token than was asked for.
            waited = 1000 * (monotonic() - self._last_run)
            self._run_timer.start(max(0, round(1000 / self.pace - waited)) if self.pace else 0)

    def _on_pass_failed(self, words: str) -> None:
        self._left_to_run = 0
        self.freeing.free_soon()
        self._say_prompt_trouble(words)
        if self.model is not None and self.model.checkpoint.is_rewritten():
            self.open_model(self.model.folder)

    def _make_scene(self) -> None:
        if self._trace is None or self.model is None:
            return
        # While the next pass runs, or cannot be run, the trace and whatever is said of it are of the prompt before.
        of = self._computed
        state = replace(self.state, **{f: getattr(of, f) for f in ASKED})
        try:
            before = (self._prepared.scene if self._prepared is not None else None) or self.scene
            self.scene = make_scene(
                self.model.name,
                self.model.checkpoint,
                self.model.tokenizer,
                self._trace,
                state,
                before,
                self.products.of(self._trace.run),
            )
        except LogitscopeError as reason:
            self._prepared = None
            self._say_prompt_trouble(str(reason))
            return
        self._keep_path()
        self.products.make(self.waiting_for, self.model, self._trace)
        self.scene_changed.emit(self.scene)
        self._prepared = None  # taken over, or of another step

    def present_view(self, scene: Scene, step: Step) -> View:
        """The view of a step of the present scene."""
        return build_view(scene, step) if self._prepared is None else self._prepared.view_of(scene, step)

    def full_scene(self) -> Callable[[Stop], Scene]:
        """A job that makes the present scene from one whole pass, for exports: never from a stitched trace."""
        assert self.scene is not None
        scene, model = self.scene, self.model

        def work(stop: Stop) -> Scene:
            if scene.trace.computed == len(scene.trace) or model is None:
                return scene
            trace = model.engine.trace(scene.trace.ids, stop=stop)
            return make_scene(scene.name, scene.checkpoint, scene.tokenizer, trace, scene.state)

        return work

    def close(self) -> None:
        """End the lanes and let go of the model and its pass; nothing is emitted afterwards.

        A closed window is freed when Python next looks for cycles, which its model's threads must not wait for.
        """
        self._left_to_run = 0
        self._run_timer.stop()
        self._due.stop()
        self.passes.close()
        self.products.close()
        self.loads.close()
        self.packing.close()
        self.freeing.close()
        self.model = self.scene = self._trace = self._prepared = None
