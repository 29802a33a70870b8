"""What can be edited at the cell, step or part under the pointer: a head, a neuron, a row, an attention weight, etc."""

from collections.abc import Callable, Mapping

from desktop_app.core.edits.editing import (
    HEAD,
    INPUT,
    LOOK,
    NUMBER,
    ROW,
    Place,
    Target,
    block,
    head,
    heads,
    inputs,
    mlp,
)
from desktop_app.core.opening.cells import Cell, is_within
from desktop_app.core.places import BLOCK, Step
from desktop_app.core.scene import Scene
from desktop_app.core.views import across
from desktop_app.core.views.common import token_name
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Phrase


def row(scene: Scene, site: str, position: int) -> Target:
    """The target for the vector of one token at a site."""
    return Target(
        Phrase("{1} of {2}", site.rpartition(".")[2], token_name(scene, position)), (Place(site, (position,)),), ROW
    )


def look(scene: Scene, layer: int, n: int, query: int, key: int) -> Target:
    """The target for the attention of one query to one key in one head."""
    words = Phrase("attention of head {1} from {2} to {3}", n, token_name(scene, query), token_name(scene, key))
    return Target(words, (Place(f"blocks.{layer}.attn.scaled", (n, query, key)),), LOOK)


Index = tuple[int, ...]
Rule = Callable[[Scene, str, int, Index], tuple[Target, ...]]


def _grid(scene: Scene, _name: str, layer: int, index: Index) -> tuple[Target, ...]:
    n, query, key = index
    at = Target(
        Phrase("head {1} at {2}", n, token_name(scene, query)), (Place(f"blocks.{layer}.attn.z", (n, query)),), HEAD
    )
    return look(scene, layer, n, query, key), head(layer, n), at, heads(layer), *inputs(layer, n)


def _of_head(scene: Scene, name: str, layer: int, index: Index) -> tuple[Target, ...]:
    n, position, column = index
    letter = name.rpartition(".")[2]
    kind = HEAD if letter == "z" else INPUT
    at = Target(
        Phrase("{1} of head {2} at {3}", letter, n, token_name(scene, position)), (Place(name, (n, position)),), kind
    )
    whole = (heads(layer),) if letter == "z" else tuple(t for t in inputs(layer, n) if t.places[0].site == name)
    return head(layer, n), *whole, at, _number(name, index[:2], column)


def _number(name: str, index: Index, column: int) -> Target:
    at = Place(name, (*index, column))
    return Target(Phrase("this number, {1}", f"{name.rpartition('.')[2]}[{at.indices}]"), (at,), NUMBER)


def _neurons(scene: Scene, _name: str, layer: int, index: Index) -> tuple[Target, ...]:
    position, neuron = index
    site = f"blocks.{layer}.mlp.post"
    return (
        Target(Phrase("neuron {1} of block {2}", neuron, layer), (Place(site, (":", neuron)),)),
        Target(Phrase("neuron {1} at {2}", neuron, token_name(scene, position)), (Place(site, (position, neuron)),)),
        mlp(layer),
        Target(Phrase("MLP of block {1} at {2}", layer, token_name(scene, position)), (Place(site, (position,)),)),
    )


def _vector(scene: Scene, name: str, _layer: int, index: Index) -> tuple[Target, ...]:
    position, column = index
    whole = Target(Phrase("{1} of every token", name.rpartition(".")[2]), (Place(name),), ROW)
    return row(scene, name, position), whole, _number(name, (position,), column)


def _joined(scene: Scene, _name: str, layer: int, index: Index) -> tuple[Target, ...]:
    position, column = index
    n, within = divmod(column, scene.config.d_head)
    return _of_head(scene, f"blocks.{layer}.attn.z", layer, (n, position, within))


def _instead(site: str) -> Rule:
    """The rule for a tensor that cannot be edited itself: the corresponding row of the tensor `site` is edited."""

    def rule(scene: Scene, _name: str, layer: int, index: Index) -> tuple[Target, ...]:
        name = site.format(layer=layer, next=layer + 1)
        if "{next}" in site and layer + 1 == scene.config.n_layer:
            return (*_vector(scene, f"blocks.{layer}.mlp_out", layer, (index[0], 0))[:2],)
        return _vector(scene, name, layer, (index[0], 0))[:2]

    return rule


def _last(scene: Scene, _name: str, _layer: int, index: Index) -> tuple[Target, ...]:
    """The rule for tensors computed from the last block's output: what its MLP writes at the position is edited."""
    return _vector(scene, f"blocks.{scene.config.n_layer - 1}.mlp_out", 0, (index[0], 0))[:2]


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("attn.scores", "attn.scaled", "attn.masked", "attn.pattern"), _grid),
    **dict.fromkeys(("attn.q", "attn.k", "attn.v", "attn.z"), _of_head),
    **dict.fromkeys(("mlp.pre", "mlp.post"), _neurons),
    **dict.fromkeys(("embed", "resid_pre", "attn_out", "resid_mid", "mlp_out"), _vector),
    "attn.concat": _joined,
    "resid_post": _instead("blocks.{next}.resid_pre"),
    "pos_embed": _instead("blocks.0.resid_pre"),
    **{f"ln1.{end}": _instead("blocks.{layer}.resid_pre") for end in ("mean", "scale", "normalized", "out")},
    **{f"ln2.{end}": _instead("blocks.{layer}.resid_mid") for end in ("mean", "scale", "normalized", "out")},
    **{f"ln_final.{end}": _last for end in ("mean", "scale", "normalized", "out")},
}
"""End of a tensor's name -> the function that lists what can be edited at a cell of it, the most likely first."""


def targets_at(scene: Scene, cell: Cell, place_: Step | None) -> tuple[Target, ...]:
    """What can be edited at a cell, the most likely first; `place_` is the step or workspace that shows the cell."""
    name = cell.name
    for end in (".before", ".keep", ".put"):
        name = name.removesuffix(end)
    own = Cell(name, cell.index)
    if across.is_of(own):
        return across.targets(scene, own)
    if name in scene.trace.table:
        return of_tensor(scene, own)
    return () if place_ is None or place_.spec.edits is None else place_.spec.edits(scene, own)


def of_tensor(scene: Scene, cell: Cell) -> tuple[Target, ...]:
    """What can be edited at a cell of a tensor, the most likely first.

    Nothing, if this pass has no such cell: the pointer may be on a cell of a longer text, or of a larger model.
    """
    tensor = scene.trace.table[cell.name]
    if not is_within(cell.index, tensor.spec.shape(scene.config, len(scene.trace))):
        return ()
    rule = _RULES.get(cell.name.split(".", 2)[-1] if tensor.layer is not None else cell.name)
    return () if rule is None else rule(scene, cell.name, tensor.layer or 0, cell.index)


def put_across(scene: Scene, source: Cell, target: Cell, place_: Step | None) -> str:
    """The edit that patches the target at a cell of the other prompt into the target at a cell of this prompt.

    Both must be the same kind of target at the same site: two rows, two heads or two neurons. Raises ModelError if they
    are not, or if nothing can be patched.
    """
    assert scene.other is not None  # `source` is a cell of the other prompt
    theirs = _whole(targets_at(scene.other, source, place_), source)
    ours = _whole(targets_at(scene, target, place_), target)
    if theirs is None or ours is None:
        raise ModelError("This cannot be put into another pass; a head, a row, a neuron or a number can.")
    if theirs.site != ours.site:
        raise ModelError(
            f"{theirs.site} of the other prompt goes into {theirs.site} of this one; it was put on {ours.site}."
        )
    whole_head = ours.site.endswith("attn.z") and len(ours.index) < 2
    aligned = len(scene.trace) == len(scene.other.trace) or whole_head
    return f"{ours}=other" if theirs.index == ours.index and aligned else f"{ours}=other[{theirs.indices}]"


def _whole(targets: tuple[Target, ...], cell: Cell) -> Place | None:
    """What to patch when a cell is dragged: in an attention grid the head, elsewhere the target at its position."""
    if not targets:
        return None
    if targets[0].kind == LOOK:
        return targets[1].places[0]
    position = cell.index[_position_axis(cell.name)]
    found = [target.places[0] for target in targets if target.kind != NUMBER]
    at = (p for p in found if p.index[(axis := _position_axis(p.site)) : axis + 1] == (position,))
    return next(at, targets[0].places[0])


def _position_axis(name: str) -> int:
    """The axis of the positions in a tensor that can be edited: after that of the heads, if it has one."""
    return 1 if name.endswith(("attn.q", "attn.k", "attn.v", "attn.z")) else 0


def _rows(name: str, layer: int) -> Target:
    """The target for every row of a tensor of the residual stream."""
    return Target(Phrase("{1} of block {2}", name, layer), (Place(f"blocks.{layer}.{name}"),), ROW)


def targets_of_step(config: Config, step: Step, n: int, *, whole_block: bool = False) -> tuple[Target, ...]:
    """What can be edited at a step of the forward pass, or in a whole block; `n` is the index of the shown head."""
    if step.layer is None:
        return (Target(Phrase("token embedding"), (Place("embed"),), ROW),) if step.spec.op == "embed" else ()
    layer = step.layer
    if whole_block:
        return (
            block(layer),
            mlp(layer),
            Target(Phrase("attention of block {1}", layer), (Place(f"blocks.{layer}.attn_out"),), ROW),
        )
    if step.spec.op.startswith("mlp"):
        return mlp(layer), _rows("mlp_out", layer)
    if step.spec.op in ("resid_mid", "ln2"):
        return (_rows("resid_mid", layer),)
    if step.spec.op in ("attn_out", "concat"):
        return _rows("attn_out", layer), head(layer, n)
    if step.spec.op == "ln1":
        return (_rows("resid_pre", layer),)
    if step.spec.op == "resid_post" and layer + 1 < config.n_layer:
        return (_rows("resid_pre", layer + 1),)
    return (head(layer, n),) if step.spec.part == BLOCK and step.spec.op != "resid_post" else ()
