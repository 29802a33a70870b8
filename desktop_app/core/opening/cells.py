"""Cells: single numbers of tensors and weights, and regions of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.names import no_such_tensor
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]


_MARK = ":"  # between the pass and the name, in writing


def written(run: str, name: str) -> str:
    """The name of a tensor of a pass, as files and the screen write it: `other:blocks.1.attn.z`, without "" before."""
    return f"{run}{_MARK}{name}" if run else name


@dataclass(frozen=True)
class Cell:
    """One number of a tensor or of a weight: full name, index and pass.

    `run` names the pass: "" is the requested one, `passes.BEFORE` and `passes.OTHER` are those that it is compared
    with, and `compare.CHANGE` and `compare.DIFFER` are differences.
    """

    name: str
    index: tuple[int, ...]
    run: str = ""

    @staticmethod
    def read(text: str, index: tuple[int, ...]) -> "Cell":
        """The cell whose name is written with its pass, as `written` gives it."""
        run, mark, name = text.partition(_MARK)
        return Cell(name, index, run) if mark else Cell(text, index)

    @property
    def written(self) -> str:
        """The name with the pass."""
        return written(self.run, self.name)

    def as_fields(self) -> dict[str, Any]:
        """The cell as sessions and stories keep it: `name`, with the pass, and `index`."""
        return {"name": self.written, "index": list(self.index)}


@dataclass(frozen=True)
class Region:
    """Cells of one tensor or weight; None in the index stands for the whole axis. `run` as in a `Cell`."""

    name: str
    index: tuple[int | None, ...]
    run: str = ""


def is_within(index: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape has a cell with this index, counted from 0 on every axis."""
    return len(index) == len(shape) and all(0 <= at < size for at, size in zip(index, shape, strict=True))


def read_cell(trace: Trace, weights: Mapping[str, Array], cell: Cell) -> float:
    """The number in a cell of a tensor or of a weight. Raises ModelError if there is no such cell."""
    if cell.name in weights:
        shape = weights[cell.name].shape
        if not is_within(cell.index, shape):
            raise ModelError(f"{cell.name} has shape {list(shape)}; there is no cell {list(cell.index)}.")
        return float(weights[cell.name][cell.index])
    if cell.name not in trace.table:
        raise ModelError(no_such_tensor(cell.name, trace.config))
    spec = trace.table[cell.name].spec
    shape = spec.shape(trace.config, len(trace))
    if not is_within(cell.index, shape):
        raise ModelError(f"{cell.name} has shape {list(shape)}; there is no cell {list(cell.index)}.")
    head = cell.index[0] if spec.per_head else None
    rest = cell.index[spec.row_axis + 1 :]
    return float(trace.read(cell.name, head=head, row=cell.index[spec.row_axis])[rest])
