"""Which cells a cell was computed from, and which it feeds next, as regions of tensors: for lighting them up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from desktop_app.core.arithmetic import Array, Cell, open_cell
from desktop_app.gpt2 import formulas as f
from desktop_app.gpt2.trace import Trace


@dataclass(frozen=True)
class Region:
    """Cells of one tensor: an index in which None stands for every place along that axis."""

    name: str
    index: tuple[int | None, ...]


def computed_from(trace: Trace, weights: Mapping[str, Array], cell: Cell) -> tuple[Region, ...]:
    """The operands of a cell."""
    opening = open_cell(trace, weights, cell)
    vectors = (
        Region(v.source.name, tuple(i if isinstance(i, int) else None for i in v.source.index)) for v in opening.vectors
    )
    scalars = (Region(s.cell.name, s.cell.index) for s in opening.scalars if s.cell is not None)
    return (*vectors, *scalars)


def feeds(trace: Trace, cell: Cell) -> tuple[Region, ...]:
    """The cells of the next tensors that a cell goes into."""
    found = []
    for tensor in trace.table.values():
        for place, name in enumerate(tensor.inputs):
            if name == cell.name:
                index = _FEEDS.get((tensor.spec.compute, place), _same)(cell.index, trace)
                found.append(Region(tensor.name, index))
    return tuple(found)


_Index = tuple[int | None, ...]
_Rule = Callable[[tuple[int, ...], Trace], _Index]


def _same(index: tuple[int, ...], _trace: Trace) -> _Index:
    return index


def _row(index: tuple[int, ...], _trace: Trace) -> _Index:
    return (index[0], None)


def _head_row(index: tuple[int, ...], _trace: Trace) -> _Index:
    return (index[0], index[1], None)


def _single(index: tuple[int, ...], _trace: Trace) -> _Index:
    return (index[0], 0)


def _every_head(index: tuple[int, ...], _trace: Trace) -> _Index:
    return (None, index[0], None)


def _as_key(index: tuple[int, ...], _trace: Trace) -> _Index:
    return (index[0], None, index[1])


def _joined(index: tuple[int, ...], trace: Trace) -> _Index:
    return (index[1], index[0] * trace.config.d_head + index[2])


_FEEDS: dict[tuple[Any, int], _Rule] = {
    (f.rows_of_table, 0): lambda index, _trace: (index[0], None),
    (f.mean, 0): _single,
    (f.scale, 0): _single,
    (f.scale, 1): _single,
    (f.normalized, 1): _row,
    (f.normalized, 2): _row,
    (f.query, 0): _every_head,
    (f.key, 0): _every_head,
    (f.value, 0): _every_head,
    (f.scores, 0): _head_row,
    (f.scores, 1): _as_key,
    (f.softmax, 0): _head_row,
    (f.weigh_values, 0): _head_row,
    (f.weigh_values, 1): lambda index, _trace: (index[0], None, index[2]),
    (f.join_heads, 0): _joined,
    (f.affine, 0): _row,
    (f.unembed, 0): _row,
}
"""(formula, place of the operand) -> the part of the result that it goes into; elsewhere the same place."""
