"""The view of whatever is opened under the centre: one number, a whole weight, or a workspace without a tab."""

from dataclasses import replace

from desktop_app.core.opening.cells import Cell, read_cell
from desktop_app.core.opening.describe import Readout, describe
from desktop_app.core.opening.view import PROBABILITY, opening_view
from desktop_app.core.panels import Line, TextPanel, View, column
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.core.state import State
from desktop_app.core.steps import build_view, workspaces
from desktop_app.core.views.weights import find_part, has_heads, weight_view
from desktop_app.core.want import Want


def workspace_of(scene: Scene, cell: Cell) -> Step | None:
    """The workspace that a name stands for without an index, or whose product a cell is of; None for any other."""
    if cell.name in scene.trace.table:
        return None
    key = cell.name.partition(".")[0] if cell.index else cell.name
    return next((w for w in workspaces(scene.config) if w.key == key), None)


def wants_of(scene: Scene, cell: Cell) -> tuple[Want, ...]:
    """The products that the view of `cell` reads."""
    place = workspace_of(scene, cell)
    return () if place is None else place.spec.wants(scene)


def readout_of(scene: Scene, cell: Cell) -> Readout:
    """What stands in a cell of a tensor, a weight or a product. Raises ModelError where there is no such cell."""
    place = workspace_of(scene, cell)
    if place is None or place.spec.describe is None:
        return describe(scene, cell.name, cell.index)
    return place.spec.describe(scene, cell)


def clicked(scene: Scene, cell: Cell) -> State:
    """The state after a cell of the centre was clicked: it is opened, unless its workspace does something else."""
    place = workspace_of(scene, cell)
    chosen = place.spec.choose(scene, cell) if place is not None and place.spec.choose is not None else None
    return chosen or replace(scene.state, opened=(cell,))


def unready(scene: Scene, cell: Cell) -> tuple[Want, ...]:
    """The products that the view of `cell` reads and that are not there yet."""
    return tuple(want for want in wants_of(scene, cell) if scene.result(want) is None)


def check_cell(scene: Scene, cell: Cell) -> None:
    """Raise ModelError where the model or the text has no such number, weight or workspace.

    Of a workspace's number that cannot be told before its products are there: until then it passes.
    """
    if workspace_of(scene, cell) is not None:
        if cell.index and not unready(scene, cell):
            readout_of(scene, cell)
    elif not cell.index:
        find_part(scene.config, cell.name, scene.head if has_heads(cell.name) else None)
    elif cell.name != PROBABILITY:
        read_cell(scene.trace, scene.checkpoint.weights, cell)


def view_of(scene: Scene, cell: Cell) -> View:
    """What `cell` opens to; an empty index means a workspace or a whole weight.

    Raises ModelError where there is no such thing.
    """
    place = workspace_of(scene, cell)
    if place is not None and not cell.index:
        return build_view(scene, place)
    if waited := unready(scene, cell):
        return View(cell.name, "", column(TextPanel(lines=(Line("", f"{waited[0].product.words} …"),))))
    if place is not None and place.spec.open is not None:
        return place.spec.open(scene, cell)
    if not cell.index:
        part = find_part(scene.config, cell.name, scene.head if has_heads(cell.name) else None)
        return weight_view(scene.checkpoint, part, scene.tokenizer)
    return opening_view(scene, cell)
