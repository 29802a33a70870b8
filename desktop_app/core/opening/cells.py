"""Cells: single numbers of tensors and weights, and regions of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.names import no_such_tensor
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]


@dataclass(frozen=True)
class Cell:
    """One number of a tensor or of a weight: full name and index."""

    name: str
    index: tuple[int, ...]


@dataclass(frozen=True)
class Region:
    """Cells of one tensor or weight; None in the index stands for the whole axis."""

    name: str
    index: tuple[int | None, ...]


def read_cell(trace: Trace, weights: Mapping[str, Array], cell: Cell) -> float:
    """The number in a cell of a tensor or of a weight. Raises ModelError if there is no such cell."""
    if cell.name in weights:
        shape = weights[cell.name].shape
        if len(cell.index) != len(shape) or not all(0 <= i < n for i, n in zip(cell.index, shape, strict=True)):
            raise ModelError(f"{cell.name} has shape {list(shape)}; there is no cell {list(cell.index)}.")
        return float(weights[cell.name][cell.index])
    if cell.name not in trace.table:
        raise ModelError(no_such_tensor(cell.name, trace.config))
    spec = trace.table[cell.name].spec
    shape = spec.shape(trace.config, len(trace))
    if len(cell.index) != len(shape) or not all(0 <= i < n for i, n in zip(cell.index, shape, strict=True)):
        raise ModelError(f"{cell.name} has shape {list(shape)}; there is no cell {list(cell.index)}.")
    head = cell.index[0] if spec.per_head else None
    rest = cell.index[spec.row_axis + 1 :]
    return float(trace.read(cell.name, head=head, row=cell.index[spec.row_axis])[rest])
