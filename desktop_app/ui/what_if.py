"""Edits made by the user: right clicks, keys and buttons become changes of the state."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtWidgets import QMenu

from desktop_app.core.asking.intents import Edit, Weigh
from desktop_app.core.comparing.alignment import RULES
from desktop_app.core.edits import changes
from desktop_app.core.edits.editing import (
    ACTIONS,
    EDGE,
    LOOK,
    READ_ACROSS,
    STEER,
    Action,
    Place,
    Target,
    actions_for,
    texts_of,
)
from desktop_app.core.edits.recipes import parse_recipe
from desktop_app.core.edits.targets import put_across, targets_at, targets_of_step
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import workspace_of
from desktop_app.core.passes import OTHER
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import State, full_text, with_option
from desktop_app.gpt2.checkpoint import name_of
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.ui.desks.controller import Controller
from desktop_app.ui.dialogs.line_dialog import ask_line, ask_lines
from desktop_app.ui.parts.buttons import keys_of
from desktop_app.ui.parts.edits_bar import EditChip, EditsBar
from desktop_app.ui.parts.frame import Frame
from desktop_app.ui.parts.inspection import Inspection

_ACTIONS = {action.id: action for action in ACTIONS}

_NO_PASS = "There is no pass to edit any longer."
_EDIT = "Edit"
_EDIT_ABOUT = (
    "TENSOR[INDEX]=VALUE, also *= and +=. An index is a number, a range a:b or : for all of an axis; a value is a "
    "number, mean, other or what else docs/what-if.md lists."
)
_MASK_ABOUT = (
    "causal, none, window:16, strided:8 or local:64+global:4, each also with +first. Rules for single heads follow "
    "after commas: causal, 3.1=window:4 is another mask for head 1 of block 3."
)


def _plain(words: str) -> str:
    """A menu's text in which an ampersand is literal, not the mark of a shortcut key."""
    return words.replace("&", "&&")


class WhatIf(QObject):
    """Connects the cell under the pointer, the buttons of the edits, and the controller's state."""

    said = Signal(str)
    model_asked = Signal()  # the user wants to choose another model for comparison

    def __init__(self, frame: Frame, controller: Controller, inspection: Inspection) -> None:
        super().__init__(frame)
        self._frame, self._controller, self._inspection = frame, controller, inspection
        self._bar: EditsBar = frame.edits_bar
        self._bar.asked.connect(self._ask_chip)
        self._bar.weighed.connect(self._weigh)
        self._bar.released.connect(controller.history.close_entry)
        frame.canvas.menu_asked.connect(self.menu)
        frame.canvas.dropped.connect(self._put)
        frame.canvas.held.connect(self._hold)
        frame.map.menu_asked.connect(self._menu_of_step)
        self._taken: Cell | None = None
        self._before_hold: str | None = None
        self._refused_last = False
        self.menu_shown: QMenu | None = None
        self.submenus: list[QMenu] = []

    def handlers(self) -> dict[str, Callable[[], object]]:
        """The handlers of the commands for edits."""
        return {
            "edit_mute": partial(self._default, "mean"),
            "edit_zero": partial(self._default, "zero"),
            "edit_other": partial(self._default, "other"),
            "edit_take": self._take,
            "edit_put": self._put_taken,
            "edit_menu": self._menu_by_key,
            "edit_write": self._write,
            "edit_steer": partial(self._form, STEER),
            "edit_edge": partial(self._form, EDGE),
            "edit_across": partial(self._form, READ_ACROSS),
            "edit_chips": lambda: self._bar.focus_chip(0),
            "mask_write": self._write_mask,
            "other_write": self._write_other,
        }

    def _set(self, state: State, key: object = None) -> None:
        self._controller.set(state, key)

    # Targets

    def _targets(self, cell: Cell | None) -> tuple[Target, ...]:
        scene = self._controller.scene
        if scene is None or cell is None:
            return ()
        try:
            return targets_at(scene, cell, workspace_of(scene, cell))
        except LogitscopeError as reason:  # a view whose numbers are not computed yet
            self._refuse(str(reason))
            return ()

    def _here(self) -> tuple[Target, ...]:
        """What can be edited at the cell under the pointer or the opened cell, else at the step."""
        found = self._targets(self._inspection.cell)
        scene, step = self._controller.scene, self._controller.walk_step
        if found or scene is None or step is None:
            return found
        return targets_of_step(scene.config, step, scene.head)

    def _default(self, name: str) -> None:
        """Apply the default edit to the target: a single attention weight is set to 0, anything else is ablated."""
        found = self._here()
        if not found:
            self._refuse(
                "Point at a head, a neuron, a row or an attention weight first; nothing shown here can be edited."
            )
            return
        target = found[0]
        if target.kind == LOOK:
            name = "cut" if name != "other" else name
        action = _ACTIONS[name]
        if action.other and not self._controller.state.other:
            self._refuse("There is no other prompt to take it from; write one first.")
            return
        self._make(target, action)

    def _make(self, target: Target, action: Action) -> None:
        if not action.fields:
            self._say(self._add(*texts_of(target, action)))
            return
        self._ask(target, action, target.words[0].upper() + target.words[1:], [f.usual for f in action.fields])

    def _ask(self, target: Target, action: Action, title: str, usual: Sequence[str]) -> None:
        """Ask for the values of an action's fields, and add the resulting edits."""

        def made(given: tuple[str, ...]) -> str:
            if left := [label for label, text in zip(labels, given, strict=True) if not text.strip()]:
                return f"{left[0]} is still empty."
            return self._add(*texts_of(target, action, *given))

        labels = [field.label for field in action.fields]
        ask_lines(self._frame, title, list(zip(labels, usual, strict=True)), made, action.about)

    def _form(self, action: Action) -> None:
        """Ask for a complete edit; the shown block and head are filled in if the action has fields for them."""
        scene = self._controller.scene
        if scene is None:
            return
        if action.other and scene.other is None:
            self._refuse("There is no other prompt to take it from; write one first.")
            return
        layer, head = str(scene.layer), str(scene.head)
        shown = {STEER: (f"blocks.{layer}.resid_pre",), EDGE: (layer, head), READ_ACROSS: (layer,)}[action]
        usual = [*shown, *(field.usual for field in action.fields[len(shown) :])]
        self._ask(Target("", (Place(""),)), action, action.title, usual)

    def _say(self, reason: str) -> None:
        """Show the reason why an edit was refused, unless it is empty; dialogs show their own."""
        if reason:
            self._refuse(reason)

    def _refuse(self, words: str) -> None:
        """Say why nothing is edited; the sentence goes with the next edit or menu, which show that it is outdated."""
        self._refused_last = True
        self.said.emit(words)

    def _relieve(self) -> None:
        if self._refused_last:
            self._refused_last = False
            self.said.emit("")

    def _add(self, *texts: str) -> str:
        """Add edits, if all of them can be parsed and name something that this pass has; else say why not."""
        reason = self._refused(*texts)
        if not reason:
            self._relieve()
            self._controller.follow(Edit(texts))
        return reason

    def _refused(self, *texts: str) -> str:
        """Why one of these edits cannot be made in the shown pass, in a sentence; "" if all can."""
        scene, model = self._controller.scene, self._controller.model
        if scene is None or model is None:
            return _NO_PASS
        try:
            for text in texts:
                parse_recipe(text, model.engine, len(scene.trace))
        except LogitscopeError as reason:
            return str(reason)
        return ""

    # Comparison while a key is held

    def _hold(self, compare: str) -> None:
        state = self._controller.state
        if compare and self._before_hold is None and state.changed:
            self._before_hold = state.view.compare
            self._set(with_option(state, "compare", compare))
        elif not compare and self._before_hold is not None:
            compare, self._before_hold = self._before_hold, None
            self._set(with_option(state, "compare", compare))

    # Patching from the other prompt

    def _take(self) -> None:
        cell = self._inspection.cell
        if cell is None or cell.run != OTHER:
            self.said.emit(f"Point at a cell of the other prompt; {keys_of('compare_pair')} shows both side by side.")
            return
        self._taken = cell
        self.said.emit(f"Copied: point at a cell of this prompt and press {keys_of('edit_put')} to patch it in there.")

    def _put_taken(self) -> None:
        cell = self._inspection.cell
        if self._taken is None or cell is None:
            self.said.emit(
                f"First copy a cell of the other prompt ({keys_of('edit_take')}), then point at a cell of this one."
            )
            return
        self._put(self._taken, cell)

    def _put(self, source: Cell, target: Cell) -> None:
        """Patch a part of the other prompt's pass into this pass."""
        scene = self._controller.scene
        if scene is None or scene.other is None:
            return
        try:
            text = put_across(scene, source, target, workspace_of(scene, target))
        except LogitscopeError as reason:
            self.said.emit(str(reason))
            return
        self.said.emit(self._add(text))  # "" removes the sentence that says what to do with a copied cell

    # Menus

    def menu(self, cell: Cell | None, point: QPoint) -> None:
        """Show the menu of actions for what a cell represents."""
        self._offer(self._targets(cell), point)

    def _menu_of_step(self, step: Step, whole_block: bool, point: QPoint) -> None:
        scene = self._controller.scene
        if scene is not None:
            self._offer(targets_of_step(scene.config, step, scene.head, whole_block=whole_block), point)

    def _menu_by_key(self) -> None:
        self._offer(self._here(), self._frame.canvas.menu_place())

    def _offer(self, targets: tuple[Target, ...], point: QPoint) -> None:
        if not targets:
            self._refuse("Nothing shown here can be edited; heads, neurons, rows and attention weights can.")
            return
        self._relieve()
        if self.menu_shown is not None:
            self.menu_shown.deleteLater()
        self.menu_shown = menu = QMenu(self._frame)
        self.submenus = []
        for target in targets:
            own = menu.addMenu(_plain(target.words[0].upper() + target.words[1:]))
            self.submenus.append(own)
            state = self._controller.state
            for action in actions_for(target, other=bool(state.other), kept=state.rulers):
                own.addAction(_plain(action.title), partial(self._make, target, action))
        menu.popup(point)

    # Dialogs

    def _write(self) -> None:
        ask_line(self._frame, "An edit", _EDIT, "blocks.0.attn.z[0]=0", self._add, _EDIT_ABOUT)

    def _write_mask(self) -> None:
        shown = self._controller.state.mask
        ask_line(self._frame, "Which keys a query sees", "Mask", shown, self._take_mask, _MASK_ABOUT)

    def _take_mask(self, text: str) -> str:
        if self._controller.model is None:
            return _NO_PASS
        try:
            mask = str(mask_of(text.strip() or CAUSAL, self._controller.model.config))
        except LogitscopeError as reason:
            return str(reason)
        self._set(replace(self._controller.state, mask=mask))
        return ""

    def _write_other(self) -> None:
        state, model = self._controller.state, self._controller.model
        usual = state.other or (full_text(state, model.tokenizer) if model is not None else state.text)
        about = "A second pass is run over it, to compare with and to take values from; an empty text removes it."
        ask_line(self._frame, "The other prompt", "Text", usual, self._take_other, about)

    def _take_other(self, text: str) -> None:
        self._set(changes.beside(self._controller.state, text))

    # Buttons of the edits

    def show(self, state: State, scene: Scene | None) -> None:
        """Show the state's edits, its mask, and the other prompt."""
        idle = {} if scene is None else scene.passes.idle
        found = []
        for n, change in enumerate(state.edits):
            found.append(
                EditChip(
                    change.text,
                    change.on,
                    idle.get(change.text, ""),
                    changes.strength(state, n),
                    self._is_everywhere(change.text, scene),
                )
            )
        if state.mask != CAUSAL:
            found.append(EditChip(f"mask {state.mask}", True, idle.get(state.mask, ""), acts=("write", "remove")))
        if state.other:
            apart = scene is not None and scene.other is not None and len(scene.other.trace) != len(scene.trace)
            said = f"other prompt: {' '.join(state.other.split())}" + (f" · {RULES[state.alignment]}" if apart else "")
            found.append(EditChip(said, acts=("write", *(("align",) if apart else ()), "remove")))
        if state.beside:
            name = name_of(Path(state.beside)) if scene is None or scene.other is None else scene.other.name
            reason = self._controller.scenes.guests.reason
            found.append(EditChip(f"other model: {name}", not reason, reason, acts=("write", "remove")))
        self._bar.show_edits(tuple(found), edited=state.changed or bool(state.edits))

    @staticmethod
    def _is_everywhere(text: str, scene: Scene | None) -> bool:
        if scene is None:
            return False
        try:
            return changes.is_everywhere(text, scene.config, len(scene.trace))
        except LogitscopeError:  # the edit's button says that the edit does not apply
            return False

    def _ask_chip(self, n: int, what: str) -> None:
        state, count = self._controller.state, len(self._controller.state.edits)
        masked = state.mask != CAUSAL
        if n < count:
            self._change_edit(n, what)
        elif n == count and masked:
            self._write_mask() if what == "write" else self._set(replace(state, mask=CAUSAL))
        elif n == len(self._bar.chips) - 1 and state.beside:
            self.model_asked.emit() if what == "write" else self._set(changes.beside_model(state, ""))
        elif what == "align":
            rules = list(RULES)
            self._set(replace(state, alignment=rules[(rules.index(state.alignment) + 1) % len(rules)]))
        elif what == "write":
            self._write_other()
        else:
            self._set(changes.beside(state, ""))

    def _change_edit(self, n: int, what: str) -> None:
        state, scene = self._controller.state, self._controller.scene
        text = state.edits[n].text
        if what == "switch":
            self._set(changes.switched(state, n))
        elif what == "remove":
            self._set(changes.removed(state, n))
        elif what == "write":
            ask_line(self._frame, "An edit", _EDIT, text, partial(self._rewrite, n), _EDIT_ABOUT)
        elif scene is not None:
            try:
                everywhere = changes.is_everywhere(text, scene.config, len(scene.trace))
                position = scene.token if everywhere else None
                self._say(self._rewrite(n, changes.at_positions(text, scene.config, len(scene.trace), position)))
            except LogitscopeError as reason:
                self.said.emit(str(reason))

    def _rewrite(self, n: int, text: str) -> str:
        if n >= len(self._controller.state.edits):
            return "This edit has been removed meanwhile."
        reason = self._refused(text)
        if not reason:
            self._set(changes.rewritten(self._controller.state, n, text))
        return reason

    def _weigh(self, n: int, strength: float) -> None:
        state = self._controller.state
        if n < len(state.edits) and changes.strength(state, n) is not None:
            self._controller.follow(Weigh(n, strength))
