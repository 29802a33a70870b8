"""Opens one number: the values that it was computed from, and the same number recomputed from them in float64.

Which values these are, and how they are combined, is defined by the tensor's formula (`gpt2/formulas.py`), which this
module applies to a single cell. The number is recomputed from the traced values of its operands, not from recomputed
ones, so an error shows at the tensor where it arose.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from desktop_app.core.check import sizes_at, weight_sizes
from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Array, Cell, Region, read_cell
from desktop_app.core.opening.links import computed_from, letters_of
from desktop_app.core.panels import Source
from desktop_app.gpt2.formula import Kind, Place, filled
from desktop_app.gpt2.phrase import Phrase, joined
from desktop_app.gpt2.rounding import rounded
from desktop_app.gpt2.tensors import Tensor
from desktop_app.gpt2.trace import Trace
from desktop_app.gpt2.weights import summed_axis


@dataclass(frozen=True, eq=False)
class Vector:
    """An operand of several numbers: `values` [n] in float64. The cell of element i has the index `source.at(0, i)`."""

    label: str
    values: Array
    source: Source


@dataclass(frozen=True)
class Scalar:
    """An operand of one number.

    `cell` is None for a number that has no cell: a value from the config, such as a layer norm's epsilon, or an
    intermediate result, such as the largest score of a softmax.
    """

    label: str
    value: float
    cell: Cell | None = None


@dataclass(frozen=True, eq=False)
class Opening:
    """A number taken apart: its `value` in the trace, the value `recomputed` from its operands, and the operands.

    `kind` is the formula's, or "given" for a number that was not computed from others. `formula` is the formula in the
    notation of papers (for a given number, what it is), and `numbers` is it with this cell's numbers filled in.
    `magnitude` is the sum of the absolute values of the terms that were added up, relative to which the rounding error
    is judged; an operand that the trace derives rather than stores contributes the absolute values of its own terms.
    """

    cell: Cell
    value: float
    recomputed: float
    magnitude: float
    kind: Kind | Literal["given"]
    formula: str
    numbers: str
    vectors: tuple[Vector, ...] = ()
    scalars: tuple[Scalar, ...] = ()

    @property
    def products(self) -> Array | None:
        """The terms of a dot product, [n]; None for another kind of formula."""
        return self.vectors[0].values * self.vectors[1].values if self.kind == "dot" else None

    @property
    def difference(self) -> float:
        """The absolute difference between the traced and the recomputed value; 0 for two equal infinities."""
        return 0.0 if self.value == self.recomputed else abs(self.value - self.recomputed)


class _Number(float):
    """A number in a sentence: "{x}" puts parentheses around it if it is negative, "{x:bare}" never does."""

    def __format__(self, form: str) -> str:
        text = number(float(self))
        return f"({text})" if text.startswith("−") and form != "bare" else text


def _n(value: float) -> str:
    return f"{_Number(value)}"


def open_cell(trace: Trace, weights: Mapping[str, Array], cell: Cell) -> Opening:
    """Find the operands of one cell and recompute it from them. Raises ModelError if there is no such cell.

    A number that was not computed from others, such as a weight or a token id, has no operands: its recomputed value is
    the value itself.
    """
    value = read_cell(trace, weights, cell)
    if cell.name in weights or not trace.table[cell.name].inputs:
        what = "a learned number" if cell.name in weights else "an id from the tokenizer"
        if cell.name in trace.table and cell.name != "tokens":
            what = trace.table[cell.name].spec.written
        text = str(int(value)) if cell.name == "tokens" else number(value)
        return Opening(cell, value, value, abs(value), "given", what, text)
    return _Opener(trace, weights, cell).opening(value)


class _Opener:
    """Reads the operands of one cell and applies the formula to them."""

    def __init__(self, trace: Trace, weights: Mapping[str, Array], cell: Cell) -> None:
        self.trace, self.weights, self.cell = trace, weights, cell
        self.tensor: Tensor = trace.table[cell.name]
        self.formula = self.tensor.spec.formula
        self.letters = letters_of(trace, self.tensor, cell.index)
        self.regions = computed_from(trace, cell)
        # The numbers of each operand with all axes of its tensor, of length 1 where the cell reads only one index.
        self.operands = [np.asarray(self._read(region), np.float64) for region in self.regions]
        # The same numbers without these axes: a scalar, or [n] if the cell reads a whole axis.
        self.compact = [
            values.reshape(-1 if None in region.index else ())
            for region, values in zip(self.regions, self.operands, strict=True)
        ]
        first_key = self.letters.get("j", 0) if "key" in self.tensor.axes else 0
        self.place = Place(
            trace.config, self.tensor.layer or 0, np.array([self.letters["i"]]), first_key, self.letters.get("h", 0)
        )

    def _read(self, region: Region) -> Array:
        """The numbers of a region, with all axes of its tensor or weight.

        Of a tensor only the head and the row that the region names are read, so that opening a single cell of a long
        text does not compute the whole grid.
        """
        along = tuple(slice(None) if i is None else slice(i, i + 1) for i in region.index)
        if region.name in self.weights:
            return self.weights[region.name][along]
        spec = self.trace.table[region.name].spec
        head = region.index[0] if spec.per_head else None
        row = region.index[spec.row_axis]
        found = self.trace.read(region.name, head=head, row=row)
        if row is not None:
            found = np.expand_dims(found, 0)
        if head is not None:
            found = np.expand_dims(found, 0)
        rest = spec.row_axis + 1
        return found[(slice(None),) * rest + along[rest:]]

    def _sizes(self, region: Region, values: Array) -> Array:
        """What each of an operand's numbers, `values`, contributes to the magnitude, with the same axes."""
        if region.name in self.weights:
            return weight_sizes(self.trace.config, region.name, values, summed_axis(region.name))
        row_axis = self.trace.table[region.name].spec.row_axis
        row = region.index[row_axis]
        if region.name in self.trace.captured or row is None:
            return np.abs(values)
        sizes = np.expand_dims(sizes_at(self.trace, self.weights, region.name, row), row_axis)
        along = tuple(
            slice(None) if i is None or axis == row_axis else slice(i, i + 1) for axis, i in enumerate(region.index)
        )
        return np.asarray(sizes[along], np.float64)

    def _result(self, results: Array) -> float:
        """The result for the cell; an axis of `results` has length 1 if its operands were read at one index alone."""
        return float(results[tuple(0 if n == 1 else i for n, i in zip(results.shape, self.cell.index, strict=True))])

    def opening(self, value: float) -> Opening:
        """The opening of the cell, whose traced value is `value`."""
        formula = self.formula
        if formula.kind == "gather":
            results = self.operands[-1]
        else:
            with np.errstate(all="ignore"):  # a result of NaN is shown, not warned about
                results = np.asarray(formula.compute(self.place, *self.operands))
        result = self._result(results)
        sizes = [self._sizes(region, values) for region, values in zip(self.regions, self.operands, strict=True)]
        if formula.magnitude is not None:
            magnitude = formula.magnitude(sizes, results)
        else:
            magnitude = formula.compute(self.place, *sizes)
        vectors, scalars = self._shown()
        terms: dict[str, Any] = {
            **formula.settings(self.trace.config, self.place.layer),
            **formula.terms(self.letters, self.compact),
        }
        constants = tuple(Scalar(label, float(terms[name])) for label, name in formula.constants)
        return Opening(
            self.cell,
            value,
            result,
            self._result(np.asarray(magnitude)),
            formula.kind,
            self.tensor.spec.written,
            self._sentence(vectors, scalars, terms, result),
            vectors,
            (*scalars, *constants),
        )

    def _shown(self) -> tuple[tuple[Vector, ...], tuple[Scalar, ...]]:
        """The operands as the inspector lists them, those of several numbers and those of one number."""
        vectors: list[Vector] = []
        scalars: list[Scalar] = []
        for operand, region, values in zip(self.formula.reads, self.regions, self.compact, strict=True):
            label = operand.called(self.letters) or region.name.rsplit(".", 1)[-1]
            index = tuple(i for i in region.index if i is not None)
            if len(index) == len(region.index):
                scalars.append(Scalar(label, float(values), Cell(region.name, index)))
                continue
            source = Source(region.name, tuple("col" if i is None else i for i in region.index))
            if self.formula.rounds and self.trace.config.int8 and not vectors:
                vectors.append(Vector(Phrase("{1} in int8", label), rounded(values), source))
            else:
                vectors.append(Vector(label, values, source))
        return tuple(vectors), tuple(scalars)

    def _sentence(
        self, vectors: tuple[Vector, ...], scalars: tuple[Scalar, ...], terms: Mapping[str, Any], result: float
    ) -> str:
        """The formula with this cell's numbers filled in."""
        if self.formula.kind == "dot":
            left, right = vectors
            return _products(left, right, scalars, result)
        names: dict[str, Any] = {**self.letters, **terms}
        for operand, values in zip(self.formula.reads, self.compact, strict=True):
            if not values.ndim:
                names[operand.variable] = float(values)
        numbers = {name: _Number(value) if isinstance(value, float) else value for name, value in names.items()}
        return filled(self.formula.numbers, {**numbers, "result": number(result)})


def _products(left: Vector, right: Vector, biases: tuple[Scalar, ...], result: float) -> str:
    """A dot product as a sum: its three largest terms, how many more it has, and the biases."""
    products = left.values * right.values
    order = np.argsort(-np.abs(products), kind="stable")[:3]
    terms = [f"{_n(left.values[i])}·{_n(right.values[i])}" for i in order]
    terms += [Phrase("{1} more", len(products) - 3)] if len(products) > 3 else []
    terms += [_n(bias.value) for bias in biases]
    return Phrase("{1} = {2}", joined(" + ", terms), number(result))
