"""The view, shown under the central pane, of what the user opened: a number, a weight, or a workspace without a tab.

A cell that belongs to another pass than the requested one has the prefix of that pass, `before:` or `other:`; a cell of
a difference has `change:` or `differ:` (core/compare.py).
"""

from dataclasses import fields, replace

from desktop_app.core.compare import CHANGE, DIFFER, MARK, badge_of
from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Cell, Region, read_cell
from desktop_app.core.opening.describe import Readout, describe
from desktop_app.core.opening.view import PROBABILITY, opening_view
from desktop_app.core.panels import Line, TextPanel, View, column
from desktop_app.core.passes import BEFORE, OTHER
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.core.state import State
from desktop_app.core.steps import build_view, wants_of_place, workspaces
from desktop_app.core.views import across
from desktop_app.core.views.weights import find_part, has_heads, weight_view
from desktop_app.core.want import Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.overflow import without_warnings
from desktop_app.gpt2.phrase import Phrase, joined

_LESS = {CHANGE: BEFORE, DIFFER: OTHER}
"""The prefix of a difference -> the pass that is subtracted."""

_WORDS = {BEFORE: Phrase("before the edits"), OTHER: Phrase("in the other prompt")}
_IN_MODEL = Phrase("in the other model")


def _where(scene: Scene, which: str) -> str:
    """Words for the end of a sentence that say to which pass a number belongs."""
    return _IN_MODEL if which == OTHER and scene.passes.guest is not None else _WORDS[which]


def located(scene: Scene, cell: Cell) -> tuple[str, Scene, Cell]:
    """The name of the pass to which a cell belongs ("" for the requested one), the pass's scene, and the cell in it.

    For a difference it is the cell from which the other is subtracted. Raises ModelError if there is no such pass.
    """
    name, mark, rest = cell.name.partition(MARK)
    if not mark:
        return "", scene, cell
    own = Cell(rest, cell.index)
    if name in _LESS:
        if _LESS[name] in scene.beside:
            return "", scene, own
    elif name in scene.beside:
        return name, scene.beside[name], own
    raise ModelError(f"There is no longer a pass {name[:20]!r} to compare with this one.")


def named_after(name: str, regions: tuple[Region, ...]) -> tuple[Region, ...]:
    """The regions with the prefix of the pass `name`; unchanged if `name` is ""."""
    return tuple(replace(r, name=f"{name}{MARK}{r.name}") for r in regions) if name else regions


def workspace_of(scene: Scene, cell: Cell) -> Step | None:
    """The workspace that a cell without an index names, or whose products contain the cell; None if there is none."""
    bare = cell.name.rpartition(MARK)[2]
    if bare in scene.trace.table:
        return None
    key = bare.partition(".")[0] if cell.index else bare
    return next((w for w in workspaces(scene.config) if w.key == key), None)


def wants_of(scene: Scene, cell: Cell) -> tuple[Want, ...]:
    """The products that the view of `cell` reads."""
    place = workspace_of(scene, cell)
    if place is None:
        return ()
    names = [""] if MARK not in cell.name else [located(scene, cell)[0]]
    names += [_LESS[name] for name in (cell.name.partition(MARK)[0],) if name in _LESS]
    return wants_of_place(scene, place, tuple(dict.fromkeys(names)))


@without_warnings
def readout_of(scene: Scene, cell: Cell) -> Readout:
    """What is shown about a cell under the pointer. Raises ModelError if there is no such cell."""
    name = cell.name.partition(MARK)[0] if MARK in cell.name else ""
    which, own, bare = located(scene, cell)
    found = _readout(own, bare)
    if name not in _LESS:
        if not which:
            return _with_before(scene, bare, found)
        return replace(found, place=Phrase("{1}, {2}", found.place, _where(scene, which)))
    theirs = _readout(*_counterpart(scene, name, bare))
    where = _where(scene, _LESS[name])
    change = _difference(own, bare, *_counterpart(scene, name, bare))
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


def _counterpart(scene: Scene, name: str, cell: Cell) -> tuple[Scene, Cell]:
    """The scene that is subtracted, and the cell in it that corresponds by the alignment. Raises ModelError."""
    there = scene.beside[_LESS[name]]
    if name == CHANGE or cell.name not in scene.trace.table:
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
    """The state with `cell` in place of the same cell without a prefix in the path of opened cells."""
    bare = Cell(cell.name.rpartition(MARK)[2], cell.index)
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
    if (name := cell.name.partition(MARK)[0]) in _LESS and MARK in cell.name:
        _counterpart(scene, name, bare)
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
    name = cell.name.partition(MARK)[0] if MARK in cell.name else ""
    which, own, bare = located(scene, cell)
    place = workspace_of(own, bare)
    if place is not None and not bare.index:
        return build_view(own, place)
    if waited := unready(scene, cell):
        return View(cell.name, "", column(TextPanel(lines=(Line("", waited[0].product.waiting),))))
    if name in _LESS:
        return _change_view(scene, cell, name, bare)
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
    return replace(view, badge=badge)


def _change_view(scene: Scene, cell: Cell, name: str, bare: Cell) -> View:
    """The view of a difference: both numbers, the difference, and the number of the requested pass, opened."""
    readout, there = readout_of(scene, cell), _counterpart(scene, name, bare)
    own = view_of(scene, bare)
    lines = (
        Line(Phrase("here"), _readout(scene, bare).value),
        Line(_where(scene, _LESS[name]), _readout(*there).value),
        Line(Phrase("difference"), readout.value),
    )
    title = Phrase("{1}: difference {2}", bare.name, readout.value)
    return View(title, readout.place, column(TextPanel(lines=lines), *own.content.children), badge_of(scene))
