"""One number in words: where it stands, by the tensor's own axes, and what it is."""

from dataclasses import dataclass

from desktop_app.core.levels import number
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
    """The cell `index` of tensor `name`, its value read from the trace."""
    tensor = scene.trace.table[name]
    places = []
    row = index[tensor.spec.row_axis]
    for axis, i in zip(tensor.axes, index, strict=True):
        if axis in ("pos", "query", "key"):
            word = "token" if axis == "pos" else axis
            places.append(f"{word} {scene.tokenizer.quoted(scene.trace.ids[i])} at {i}")
        elif axis == "d_vocab":
            places.append(f"token {scene.tokenizer.quoted(i)}")
        elif axis == "d_mlp":
            places.append(f"neuron {i}")
        elif axis == "head":
            places.append(f"head {i}")
        elif axis != "one":
            places.append(f"dimension {i}")
    head = index[0] if tensor.spec.per_head else None
    rest = tuple(i for n, i in enumerate(index) if n != tensor.spec.row_axis and not (tensor.spec.per_head and n == 0))
    vector = scene.trace.read(name, head=head, row=row)
    value = float(vector[rest]) if rest else float(vector)
    text = str(int(value)) if name == "tokens" else number(value)
    return Readout(text, name, ", ".join(places), tensor.spec.formula, tensor.spec.meaning, tensor.inputs)
