"""One number in words: its place, by the axes of its tensor, and its meaning."""

from dataclasses import dataclass

from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Cell, read_cell
from desktop_app.core.scene import Scene
from desktop_app.gpt2.phrase import Phrase, joined


@dataclass(frozen=True)
class Readout:
    """What is shown about the cell under the pointer: exact value, tensor, place by axes, and formula."""

    value: str
    name: str
    place: str
    formula: str = ""
    meaning: str = ""
    inputs: tuple[str, ...] = ()


def describe(scene: Scene, name: str, index: tuple[int, ...]) -> Readout:
    """The readout of the cell `index` of a tensor or a weight."""
    value = read_cell(scene.trace, scene.checkpoint.weights, Cell(name, index))
    if name in scene.checkpoint.weights:
        axes = scene.weight_axes[name]
        return Readout(
            number(value), name, joined(", ", (_place(scene, a, i) for a, i in zip(axes, index, strict=True)))
        )
    tensor = scene.trace.table[name]
    places = [_place(scene, axis, i) for axis, i in zip(tensor.axes, index, strict=True)]
    text = str(int(value)) if name == "tokens" else number(value)
    words = joined(", ", filter(None, places))
    return Readout(text, name, words, tensor.spec.written, tensor.spec.meaning, tensor.inputs)


def _place(scene: Scene, axis: str, i: int) -> str:
    """One index in words, by its axis."""
    if axis in ("pos", "query", "key"):
        word = {"pos": "token {1} at {2}", "query": "query {1} at {2}", "key": "key {1} at {2}"}[axis]
        return Phrase(word, scene.tokenizer.quoted(scene.trace.ids[i]), i)
    if axis == "d_vocab":
        return Phrase("token {1}", scene.tokenizer.quoted(i))
    if axis == "qkv":
        part, column = divmod(i, scene.config.n_embd)
        head, dimension = divmod(column, scene.config.d_head)
        words = ("query", "key", "value")[part]
        return Phrase("{1} of head {2}, dimension {3}", Phrase(words), head, dimension)
    counted = {"d_mlp": "neuron {1}", "head": "head {1}", "n_ctx": "position {1}", "one": ""}
    key = counted.get(axis, "dimension {1}")
    return Phrase(key, i) if key else ""
