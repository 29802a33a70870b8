"""The cells from which a cell was computed, and the cells computed from it, as regions of tensors to highlight."""

from collections.abc import Sequence

from desktop_app.core.opening.cells import Cell, Region
from desktop_app.gpt2.formula import TOKEN, bind, fill
from desktop_app.gpt2.tensors import Tensor
from desktop_app.gpt2.trace import Trace


def letters_of(trace: Trace, tensor: Tensor, index: Sequence[int]) -> dict[str, int]:
    """The values of the letters in the tensor's formula for its cell `index`."""
    formula = tensor.spec.formula
    letters = bind(formula.cell, index, trace.config) or {}
    if any(TOKEN in operand.at for operand in formula.reads):
        letters[TOKEN] = trace.ids[letters["i"]]
    return letters


def computed_from(trace: Trace, cell: Cell) -> tuple[Region, ...]:
    """The operands of a cell of a tensor, in the order of the tensor's inputs."""
    tensor = trace.table[cell.name]
    letters = letters_of(trace, tensor, cell.index)
    return tuple(
        Region(name, fill(operand.at, letters, trace.config))
        for name, operand in zip(tensor.inputs, tensor.spec.formula.reads, strict=False)
    )


def feeds(trace: Trace, cell: Cell) -> tuple[Region, ...]:
    """The cells of other tensors that are directly computed from a cell of a tensor or of a weight."""
    found = []
    for tensor in trace.table.values():
        formula = tensor.spec.formula
        for name, operand in zip(tensor.inputs, formula.reads, strict=False):
            letters = bind(operand.at, cell.index, trace.config) if name == cell.name else None
            if letters is None:
                continue
            # A row of the token table is read wherever its token occurs, a row of the position table at that position.
            token = letters.pop(TOKEN, None)
            rows = [{}] if token is None else [{"i": i} for i, own in enumerate(trace.ids) if own == token]
            found += [
                Region(tensor.name, fill(formula.cell, letters | row, trace.config))
                for row in rows
                if (letters | row).get("i", 0) < len(trace)
            ]
    return tuple(found)
