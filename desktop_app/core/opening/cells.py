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
