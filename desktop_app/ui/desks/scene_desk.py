"""Makes a scene from a state: requests a pass if the text has changed, otherwise reuses the last one."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal

from desktop_app.core.edits.changes import differ_in_strength
from desktop_app.core.model import Model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import check_cell, wants_of
from desktop_app.core.panels import View
from desktop_app.core.passes import Passes
from desktop_app.core.places import Step
from desktop_app.core.prepared import Prepared, pass_of
from desktop_app.core.runs import asked_of, compute_passes, too_long
from desktop_app.core.scene import Scene, make_moment
from desktop_app.core.session.state import ASKED, State
from desktop_app.core.steps import build_view, current_place
from desktop_app.core.steps import wants_of as wants_of_view
from desktop_app.core.want import Want
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from desktop_app.gpt2.session import Stop
from desktop_app.ui.desks.guest_desk import GuestDesk
from desktop_app.ui.desks.lanes import FreeLane, Lane
from desktop_app.ui.desks.product_desk import ProductDesk

CHECKED = Cell("check", ())
"""The cell, as in the path of opened cells, that stands for the check of every tensor."""


class SceneDesk(QObject):
    """Holds the open model, its last pass and the scene of that pass. Reads the current state when it needs it."""

    scene_changed = Signal(object)
    opened_kept = Signal(object)  # the path of opened cells, without those that do not exist in the new scene
    trouble = Signal(str)  # why the text cannot be run; "" once it can be
    failed = Signal(str)  # why something else could not be computed
    working = Signal(bool)
    answered = Signal()  # the pass over the current text is done
    given_up = Signal()  # there will be no pass over the current text
    rewritten = Signal()  # the model's files have changed since it was opened

    def __init__(self, state: Callable[[], State], parent: QObject) -> None:
        """`state` is a function that returns the current state."""
        super().__init__(parent)
        self._state = state
        self.model: Model | None = None
        self.scene: Scene | None = None
        self._passes: Passes | None = None
        self._prepared: Prepared | None = None
        # The state whose prompt was requested last, and the state whose prompt the trace belongs to.
        self._asked = self._computed = state()
        self.passes = Lane("pass", self)
        self.products = ProductDesk(self)
        self.packing = Lane("pack", self)
        self.freeing = FreeLane("free", self)
        self.guests = GuestDesk(self.freeing, self)
        self.guests.changed.connect(self.request_soon)
        self.guests.failed.connect(self.failed)
        self.passes.answered.connect(self._on_pass)
        self.passes.failed.connect(self._on_pass_failed)
        self.passes.idle.connect(self._on_idle)
        self.products.ready.connect(self._on_product)
        self.products.failed.connect(self.failed)
        self.products.lane.idle.connect(self._on_products)
        # Typing and dragging cause many changes in one turn of the event loop; one request covers them all.
        self._due = QTimer(self)
        self._due.setSingleShot(True)
        self._due.timeout.connect(self.request)
        self._behind = False  # the running pass is shown first, then the current state is requested

    def take(self, model: Model) -> None:
        """Use a newly opened model, and discard what was computed with the previous one."""
        self.freeing.hold(self.model, self._passes, self.scene)
        self.model = model
        self.packing.cancel()
        self.products.drop()
        self._passes = None

    @property
    def pending(self) -> bool:
        """Whether a pass is running, or has to be requested for a change."""
        return self._due.isActive() or self.passes.busy or self._behind

    @property
    def tokens(self) -> int:
        """The number of tokens of the last text that was run."""
        return len(self._passes.trace) if self._passes is not None else 1

    def with_text(self, state: State) -> State:
        """`state` with the text, and everything else that determines the pass, as requested last."""
        return replace(state, **{name: getattr(self._asked, name) for name in ASKED})

    # Running passes

    def request_soon(self) -> None:
        """Request the pass over the text after the pending changes."""
        self._due.start(0)

    def request(self) -> None:
        """Request the pass over the current text.

        A running pass is stopped, but not one that differs in strengths of edits alone: a slider that is moved without
        pause would stop every pass before it is shown.
        """
        if self.model is None:
            return
        model, state = self.model, self._state()
        self._behind = self.passes.busy and differ_in_strength(state, self._asked)
        if self._behind:
            return
        try:
            if words := too_long(state, model.tokenizer, model.config.n_positions):
                raise ModelError(words)
            asked = asked_of(state, model.tokenizer, strict=False)
            model.engine.check_ids(asked.ids)
        except LogitscopeError as reason:
            self.passes.cancel()
            self._give_up(str(reason))
            return
        self.trouble.emit("")
        self._asked = state
        guest = self.guests.of(state.beside, model, self.tokens)
        if self._passes is not None and self._passes.asked == asked and self._passes.guest is guest:
            self._computed = self._asked
            self.passes.cancel()
            self.refresh()
            self.answered.emit()
            return
        self.working.emit(True)
        self.passes.submit(pass_of(model, asked, self._passes, state, guest))

    def _on_pass(self, prepared: Prepared) -> None:
        if prepared.model is not self.model:
            return
        self._prepared = prepared
        self.freeing.hold(self._passes, self.scene)
        self._passes, self._computed = prepared.passes, self._asked
        if prepared.scene is not None:
            self.products.put(prepared.passes, prepared.scene.all_made)
        # Without this, a check of the previous text would be repeated with every letter typed.
        opened = self._state().opened
        if CHECKED in opened:
            self.opened_kept.emit(tuple(cell for cell in opened if cell != CHECKED))
        self.refresh()
        self.freeing.free_soon(prepared.model.engine.give_back)
        self.answered.emit()

    def _give_up(self, words: str) -> None:
        """Report why there is no pass over the current text; an earlier view stays if the open model computed it."""
        self.given_up.emit()
        if self._passes is None and self.scene is not None:
            self.scene = None
            self.opened_kept.emit(())
            self.scene_changed.emit(None)
        self.freeing.free_soon()
        self.trouble.emit(words)

    def _on_pass_failed(self, words: str) -> None:
        self._give_up(words)
        if self.model is not None and self.model.checkpoint.is_rewritten():
            self.rewritten.emit()
        elif self.guests.drop_rewritten():
            self.request_soon()

    def _on_idle(self) -> None:
        if self._behind:
            self.request_soon()
            return
        self.working.emit(False)
        model = self.model
        if model is None or self._passes is None or model.engine.packed or self.packing.busy:
            return
        # The first pass used the weights as stored in the file; later passes run faster on a prepacked copy.
        if model.has_memory_to_pack():
            self.packing.submit(model.engine.prepack)

    # Making the scene

    def refresh(self) -> None:
        """Make the scene that shows the last pass as the current state says."""
        passes = self._passes
        if passes is None or self.model is None:
            return
        # While the next pass is running or cannot be run, the trace and its display belong to the previous prompt.
        state = replace(self._state(), **{f: getattr(self._computed, f) for f in ASKED})
        try:
            before = (self._prepared.scene if self._prepared is not None else None) or self.scene
            scene = make_moment(
                self.model.name,
                self.model.checkpoint,
                self.model.tokenizer,
                passes,
                state,
                before,
                partial(self.products.of, passes),
            )
        except LogitscopeError as reason:
            self._prepared = None
            self.trouble.emit(str(reason))
            return
        self.scene = scene
        self._keep_opened(scene)
        self.products.make(self.waiting_for, self.model, passes)
        self.scene_changed.emit(self.scene)
        self._prepared = None  # used above, or prepared for another step

    def _keep_opened(self, scene: Scene) -> None:
        """Close the opened cells that do not exist in the new pass."""
        opened = scene.state.opened
        kept: list[Cell] = []
        for cell in opened:
            try:
                check_cell(scene, cell)
            except (LogitscopeError, IndexError):  # the new pass has no such cell
                break
            kept.append(cell)
        if len(kept) < len(opened):
            self.scene = replace(scene, state=replace(scene.state, opened=tuple(kept)))
            self.opened_kept.emit(tuple(kept))

    @property
    def is_current(self) -> bool:
        """Whether the scene is the open model's on the current prompt; False while its pass runs or cannot be run."""
        if self.scene is None or self.model is None or self.scene.checkpoint is not self.model.checkpoint:
            return False
        return self.scene.state.asked == self._state().asked

    @property
    def step(self) -> Step | None:
        """The place shown in the central pane: the current step of the walk, or a workspace."""
        return current_place(self._state(), self.model.config) if self.model is not None else None

    @property
    def waiting_for(self) -> tuple[Want, ...]:
        """The products that the shown views need and that are not computed yet."""
        scene, place = self.scene, self.step
        if scene is None or place is None:
            return ()
        opened = self._state().opened
        wants = (*wants_of_view(scene, place), *(wants_of(scene, opened[-1]) if opened else ()))
        return tuple(dict.fromkeys(want for want in wants if not scene.has(want)))

    def _on_product(self, passes: Passes) -> None:
        # Products that depend only on the model are also valid for a text typed in the meantime.
        if self._passes is not None and self._passes.trace.run.model == passes.trace.run.model:
            self.refresh()

    def _on_products(self) -> None:
        # The computation read weights as stored in the file, and left memory behind that is not used now.
        if self.model is not None:
            self.freeing.free_soon(self.model.engine.give_back)

    def present_view(self, scene: Scene, step: Step) -> View:
        """The view of a step of the current scene."""
        return build_view(scene, step) if self._prepared is None else self._prepared.view_of(scene, step)

    def full_scene(self) -> Callable[[Stop], Scene]:
        """A function that makes the current scene from a complete pass, for exports, without reusing rows."""
        assert self.scene is not None
        scene, model = self.scene, self.model

        def work(stop: Stop) -> Scene:
            passes = scene.passes
            stitched = any(trace.computed < len(trace) for trace in (passes.before, passes.other or passes.before))
            if not stitched or model is None:
                return scene
            passes = compute_passes(
                model.engine, model.tokenizer, passes.asked, stop=stop, strict=False, guest=passes.guest
            )
            return make_moment(scene.name, scene.checkpoint, scene.tokenizer, passes, scene.state)

        return work

    def close(self) -> None:
        """End the worker threads, and release the model and its pass; no signals are emitted afterwards.

        A closed window is freed at the next garbage collection, but its model's threads have to end now.
        """
        self._due.stop()
        self._behind = False
        self.passes.close()
        self.products.close()
        self.packing.close()
        self.guests.close()
        self.freeing.close()
        self.model = self.scene = self._passes = self._prepared = None
