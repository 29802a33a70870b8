"""One number in words: where it stands, by the tensor's own axes, and what it is."""

from dataclasses import dataclass

from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Cell, read_cell
from desktop_app.core.scene import Scene


@dataclass(frozen=True)
class Readout:
    """A cell as it is shown under the pointer: exact value, tensor, place by axes, formula."""

    value: str
    name: str
    place: str
    formula: str = ""
    meaning: str = ""
    inputs: tuple[str, ...] = ()


def describe(scene: Scene, name: str, index: tuple[int, ...]) -> Readout:
    """The cell `index` of a tensor or a weight, its value read from where it stands."""
    value = read_cell(scene.trace, scene.checkpoint.weights, Cell(name, index))
    if name in scene.checkpoint.weights:
        axes = scene.weight_axes[name]
        return Readout(number(value), name, ", ".join(_place(scene, a, i) for a, i in zip(axes, index, strict=True)))
    tensor = scene.trace.table[name]
    places = [_place(scene, axis, i) for axis, i in zip(tensor.axes, index, strict=True)]
    text = str(int(value)) if name == "tokens" else number(value)
    words = ", ".join(p for p in places if p)
    return Readout(text, name, words, tensor.spec.written, tensor.spec.meaning, tensor.inputs)


def _place(scene: Scene, axis: str, i: int) -> str:
    """One index in words, by the axis that it runs along."""
    if axis in ("pos", "query", "key"):
        word = "token" if axis == "pos" else axis
        return f"{word} {scene.tokenizer.quoted(scene.trace.ids[i])} at {i}"
    if axis == "d_vocab":
        return f"token {scene.tokenizer.quoted(i)}"
    if axis == "qkv":
        part, column = divmod(i, scene.config.n_embd)
        head, dimension = divmod(column, scene.config.d_head)
        return f"{('query', 'key', 'value')[part]} of head {head}, dimension {dimension}"
    words = {"d_mlp": "neuron", "head": "head", "n_ctx": "position", "one": ""}
    word = words.get(axis, "dimension")
    return f"{word} {i}" if word else ""
