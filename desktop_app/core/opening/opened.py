"""The view, shown under the central pane, of what the user opened: a number, a weight, or a workspace without a tab.

A cell names the pass that it belongs to, or the difference that it is a number of (core/comparing/compare.py).
"""

from dataclasses import fields, replace

from desktop_app.core.comparing.compare import CHANGE, DIFFER, badge_of, of_run
from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Cell, Region, read_cell
from desktop_app.core.opening.describe import Readout, describe
from desktop_app.core.opening.links import computed_from, feeds
from desktop_app.core.opening.view import PROBABILITY, opening_view
from desktop_app.core.panels import Line, TextPanel, View, column
from desktop_app.core.passes import BEFORE, OTHER
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import State
from desktop_app.core.steps import build_view, wants_of_place, workspaces
from desktop_app.core.views import across
from desktop_app.core.views.weights import find_part, has_heads, weight_view
from desktop_app.core.want import Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.overflow import without_warnings
from desktop_app.gpt2.phrase import Phrase, joined

_LESS = {CHANGE: BEFORE, DIFFER: OTHER}
"""The `run` of a difference -> the pass that is subtracted."""

_WORDS = {BEFORE: Phrase("before the edits"), OTHER: Phrase("in the other prompt")}
_IN_MODEL = Phrase("in the other model")


def _where(scene: Scene, which: str) -> str:
    """Words for the end of a sentence that say to which pass a number belongs."""
    return _IN_MODEL if which == OTHER and scene.passes.guest is not None else _WORDS[which]


def located(scene: Scene, cell: Cell) -> tuple[str, Scene, Cell]:
    """The name of the pass to which a cell belongs ("" for the requested one), the pass's scene, and the cell in it.

    For a difference it is the cell from which the other is subtracted. Raises ModelError if there is no such pass.
    """
    if not cell.run:
        return "", scene, cell
    own = replace(cell, run="")
    if cell.run in _LESS:
        if _LESS[cell.run] in scene.beside:
            return "", scene, own
    elif cell.run in scene.beside:
        return cell.run, scene.beside[cell.run], own
    raise ModelError(f"There is no longer a pass {cell.run[:20]!r} to compare with this one.")


def linked(scene: Scene, cell: Cell) -> tuple[tuple[Region, ...], tuple[Region, ...]]:
    """What a cell of a tensor was computed from, and what it is used for, in its own pass; nothing for a difference."""
    own = scene if not cell.run else scene.beside.get(cell.run)
    if own is None or cell.name not in own.trace.table:
        return (), ()
    both = computed_from(own.trace, cell), feeds(own.trace, cell)
    before, after = (tuple(replace(region, run=cell.run) for region in regions) for regions in both)
    return before, after


def workspace_of(scene: Scene, cell: Cell) -> Step | None:
    """The workspace that a cell without an index names, or whose products contain the cell; None if there is none."""
    if cell.name in scene.trace.table:
        return None
    key = cell.name.partition(".")[0] if cell.index else cell.name
    return next((w for w in workspaces(scene.config) if w.key == key), None)


def wants_of(scene: Scene, cell: Cell) -> tuple[Want, ...]:
    """The products that the view of `cell` reads."""
    place = workspace_of(scene, cell)
    if place is None:
        return ()
    names = [located(scene, cell)[0], *([_LESS[cell.run]] if cell.run in _LESS else [])]
    return wants_of_place(scene, place, tuple(dict.fromkeys(names)))


@without_warnings
def readout_of(scene: Scene, cell: Cell) -> Readout:
    """What is shown about a cell under the pointer. Raises ModelError if there is no such cell."""
    which, own, bare = located(scene, cell)
    found = _readout(own, bare)
    if cell.run not in _LESS:
        if not which:
            return _with_before(scene, bare, found)
        return replace(found, place=Phrase("{1}, {2}", found.place, _where(scene, which)))
    theirs = _readout(*_counterpart(scene, cell.run, bare))
    where = _where(scene, _LESS[cell.run])
    change = _difference(own, bare, *_counterpart(scene, cell.run, bare))
    if change is None:  # a workspace gives its numbers only as text, perhaps with a token or a unit
        value = Phrase("{1} less {2}", found.value, theirs.value)
        return replace(found, value=value, place=joined("; ", (where, found.place)))
    less = Phrase("{1} less {2} {3}; {4}", found.value, theirs.value, where, found.place)
    return replace(found, value=f"{change:+.4g}".replace("-", "−"), place=less)


def _readout(scene: Scene, cell: Cell) -> Readout:
    place = workspace_of(scene, cell)
    if across.is_of(cell):
        return across.describe(scene, cell)
    if place is None or place.spec.describe is None:
        return describe(scene, cell.name, cell.index)
    return place.spec.describe(scene, cell)


def _with_before(scene: Scene, cell: Cell, found: Readout) -> Readout:
    """The readout of a number of an edited pass, with the number before the edits."""
    before = scene.before
    if before is None or cell.name not in before.trace.table or not cell.index:
        return found
    was = read_cell(before.trace, before.checkpoint.weights, cell)
    now = read_cell(scene.trace, scene.checkpoint.weights, cell)
    words = Phrase("as before") if was == now else Phrase("was {1}", number(was))
    return replace(found, place=joined("; ", filter(None, (found.place, words))))


def _counterpart(scene: Scene, run: str, cell: Cell) -> tuple[Scene, Cell]:
    """The scene that is subtracted, and the cell in it that corresponds by the alignment. Raises ModelError."""
    there = scene.beside[_LESS[run]]
    if run == CHANGE or cell.name not in scene.trace.table:
        return there, cell
    alignment, axes = scene.passes.alignment, scene.trace.table[cell.name].axes
    index = []
    for axis, i in zip(axes, cell.index, strict=True):
        place = alignment[i] if axis in ("pos", "query", "key") else i
        if place is None:
            raise ModelError(f"{cell.name}{list(cell.index)} has no counterpart in the other prompt.")
        index.append(place)
    return there, Cell(cell.name, tuple(index))


def _difference(one: Scene, cell: Cell, other: Scene, theirs: Cell) -> float | None:
    if cell.name not in one.trace.table or theirs.name not in other.trace.table:
        return None
    return read_cell(one.trace, one.checkpoint.weights, cell) - read_cell(other.trace, other.checkpoint.weights, theirs)


def clicked(scene: Scene, cell: Cell) -> State:
    """The state after a click on a cell of the central pane: it is opened, unless its workspace handles the click."""
    which, own, bare = located(scene, cell)
    place = workspace_of(own, bare)
    chosen = place.spec.choose(own, bare) if place is not None and place.spec.choose is not None else None
    if chosen is None:
        return replace(scene.state, opened=(cell,))
    if own is scene:
        return _renamed(chosen, cell) if cell != bare else chosen
    if which == OTHER:
        return replace(scene.state, opened=(cell,)) if chosen.opened else scene.state
    changed = {
        f.name: getattr(chosen, f.name) for f in fields(chosen) if getattr(chosen, f.name) != getattr(own.state, f.name)
    }
    return _renamed(replace(scene.state, **changed), cell)


def _renamed(state: State, cell: Cell) -> State:
    """The state with `cell` in place of the same cell of the requested pass in the path of opened cells."""
    bare = replace(cell, run="")
    return replace(state, opened=tuple(cell if one == bare else one for one in state.opened))


def unready(scene: Scene, cell: Cell) -> tuple[Want, ...]:
    """The products that the view of `cell` reads and that are not computed yet."""
    return tuple(want for want in wants_of(scene, cell) if not scene.has(want))


@without_warnings
def check_cell(scene: Scene, cell: Cell) -> None:
    """Raise ModelError if the model or the text has no such number, weight or workspace.

    For a number of a workspace, this cannot be checked until its products are computed; until then, nothing is raised.
    """
    _, own, bare = located(scene, cell)
    if cell.run in _LESS:
        _counterpart(scene, cell.run, bare)
    if workspace_of(own, bare) is not None:
        if bare.index and not unready(scene, cell):
            readout_of(scene, cell)
    elif not bare.index:
        find_part(own.config, bare.name, own.head if has_heads(bare.name) else None)
    elif across.is_of(bare):
        across.describe(own, bare)
    elif bare.name != PROBABILITY:
        read_cell(own.trace, own.checkpoint.weights, bare)


@without_warnings
def view_of(scene: Scene, cell: Cell) -> View:
    """The view of an opened cell; a cell with an empty index stands for a workspace or a whole weight.

    Raises ModelError if it does not exist.
    """
    which, own, bare = located(scene, cell)
    place = workspace_of(own, bare)
    if place is not None and not bare.index:
        return of_run(build_view(own, place), which)
    if waited := unready(scene, cell):
        return View(cell.written, "", column(TextPanel(lines=(Line("", waited[0].product.waiting),))))
    if cell.run in _LESS:
        return _change_view(scene, cell, bare)
    if place is not None and place.spec.open is not None:
        view = place.spec.open(own, bare)
    elif across.is_of(bare):
        view = across.open_cell(own, bare)
    elif not bare.index:
        part = find_part(own.config, bare.name, own.head if has_heads(bare.name) else None)
        return weight_view(own.checkpoint, part, own.tokenizer)
    else:
        view = opening_view(own, bare)
    badge = _where(scene, which) if which else badge_of(scene) if scene.trace.run.changes else ""
    return replace(of_run(view, which), badge=badge)


def _change_view(scene: Scene, cell: Cell, bare: Cell) -> View:
    """The view of a difference: both numbers, the difference, and the number of the requested pass, opened."""
    readout, there = readout_of(scene, cell), _counterpart(scene, cell.run, bare)
    own = view_of(scene, bare)
    lines = (
        Line(Phrase("here"), _readout(scene, bare).value),
        Line(_where(scene, _LESS[cell.run]), _readout(*there).value),
        Line(Phrase("difference"), readout.value),
    )
    title = Phrase("{1}: difference {2}", bare.name, readout.value)
    return View(title, readout.place, column(TextPanel(lines=lines), *own.content.children), badge_of(scene))
