"""The view of whatever is opened under the centre: one number, a whole weight, or a workspace without a tab."""

from desktop_app.core.opening.cells import Cell, read_cell
from desktop_app.core.opening.view import PROBABILITY, opening_view
from desktop_app.core.panels import View
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.core.steps import build_view, workspaces
from desktop_app.core.views.weights import find_part, has_heads, weight_view
from desktop_app.core.want import Want


def workspace_of(scene: Scene, cell: Cell) -> Step | None:
    """The workspace that a name without an index stands for, if it does."""
    return None if cell.index else next((w for w in workspaces(scene.config) if w.key == cell.name), None)


def wants_of(scene: Scene, cell: Cell) -> tuple[Want, ...]:
    """The products that the view of `cell` reads."""
    place = workspace_of(scene, cell)
    return () if place is None else place.spec.wants(scene)


def check_cell(scene: Scene, cell: Cell) -> None:
    """Raise ModelError where the model or the text has no such number, weight or workspace."""
    if workspace_of(scene, cell) is None:
        if cell.index and cell.name != PROBABILITY:
            read_cell(scene.trace, scene.checkpoint.weights, cell)
        elif not cell.index:
            find_part(scene.config, cell.name, scene.head if has_heads(cell.name) else None)


def view_of(scene: Scene, cell: Cell) -> View:
    """What `cell` opens to; an empty index means a workspace or a whole weight.

    Raises ModelError where there is no such thing.
    """
    place = workspace_of(scene, cell)
    if place is not None:
        return build_view(scene, place)
    if not cell.index:
        part = find_part(scene.config, cell.name, scene.head if has_heads(cell.name) else None)
        return weight_view(scene.checkpoint, part, scene.tokenizer)
    return opening_view(scene, cell)
