"""Opens one number: the values that it was computed from, and the same number recomputed from them in float64.

What a tensor is computed from and how stands in the tensor table; here each of the table's formulas is taken apart for
a single cell. Recomputed values take the traced operands as they are, so an error shows at the tensor that made it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.check import sizes_at, weight_sizes
from desktop_app.core.levels import number
from desktop_app.core.panels import Source
from desktop_app.gpt2 import formulas as f
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.rounding import rounded
from desktop_app.gpt2.tensors import Tensor
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]


@dataclass(frozen=True)
class Cell:
    """One number of a tensor or of a weight: its full name and index."""

    name: str
    index: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Vector:
    """An operand of many numbers, [n] float64, and which cells these are (element i is `source.at(0, i)`)."""

    label: str
    values: Array
    source: Source


@dataclass(frozen=True)
class Scalar:
    """An operand of one number; `cell` is where it stands, None for a constant of the config."""

    label: str
    value: float
    cell: Cell | None = None


@dataclass(frozen=True, eq=False)
class Opening:
    """One number opened.

    `kind` says how the operands make it: "dot" (sum of the products of two vectors, plus a bias), "softmax" (one
    vector, the row), "mean", "spread" (one vector), "few" (a handful of scalars) or "given". `numbers` is the formula
    with this cell's numbers put in, `magnitude` the sum of the absolute terms: what rounding is measured against. An
    operand that the trace does not hold but derives counts there for the terms that it is itself made of.
    """

    cell: Cell
    value: float
    recomputed: float
    magnitude: float
    kind: str
    formula: str
    numbers: str
    vectors: tuple[Vector, ...] = ()
    scalars: tuple[Scalar, ...] = ()

    @property
    def products(self) -> Array | None:
        """The terms of a dot product, [n]."""
        return self.vectors[0].values * self.vectors[1].values if self.kind == "dot" else None

    @property
    def difference(self) -> float:
        """How far the traced value is from the recomputed one; 0 for two equal infinities."""
        return 0.0 if self.value == self.recomputed else abs(self.value - self.recomputed)


class _Place:
    """Reads the operands of one cell."""

    def __init__(self, trace: Trace, weights: Mapping[str, Array], cell: Cell) -> None:
        self.trace, self.weights, self.cell = trace, weights, cell
        self.tensor: Tensor = trace.table[cell.name]
        self.inputs = self.tensor.inputs
        self.index = cell.index
        self.row = cell.index[self.tensor.spec.row_axis]
        self.head = cell.index[0] if self.tensor.spec.per_head else None

    def scalar(self, name: str, index: tuple[int, ...], label: str = "") -> Scalar:
        cell = Cell(name, index)
        return Scalar(label or name.rsplit(".", 1)[-1], read_cell(self.trace, self.weights, cell), cell)

    def vector(self, name: str, index: tuple[int | str, ...], label: str = "") -> Vector:
        """The cells of `name` along the axis that `index` calls "col"."""
        along: Any = tuple(slice(None) if i == "col" else i for i in index)
        if name in self.weights:
            values = self.weights[name][along]
        else:
            spec = self.trace.table[name].spec
            head = index[0] if spec.per_head else None
            row: Any = index[spec.row_axis]
            # One row is read where one is enough: a grid of a long text is not made for a single cell.
            part: Any = {} if head is None else {"head": head}
            if row == "col":
                values = self.trace.read(name, **part)[along[spec.row_axis :]]
            else:
                values = self.trace.read(name, **part, row=row)[along[spec.row_axis + 1 :]]
        return Vector(label or name.rsplit(".", 1)[-1], np.asarray(values, np.float64), Source(name, index))

    def multiplied(self, name: str, row: int) -> Vector:
        """The row of `name` that a product with a matrix takes: in an int8 model, rounded."""
        x = self.vector(name, (row, "col"), "x")
        if not self.trace.config.int8:
            return x
        return Vector("x in int8", rounded(x.values), x.source)

    def sizes(self, vector: Vector) -> Array:
        """How large each element counts in the sum of absolute terms."""
        name, index = vector.source.name, vector.source.index
        if name in self.weights:
            return weight_sizes(self.trace.config, name, vector.values)
        row = None if self._counts_itself(name) else index[self.trace.table[name].spec.row_axis]
        if not isinstance(row, int):
            return np.abs(vector.values)
        return self._derived_sizes(name, index)

    def size(self, scalar: Scalar) -> float:
        """How large an operand counts in the sum of absolute terms."""
        cell = scalar.cell
        if cell is None or self._counts_itself(cell.name):
            return abs(scalar.value)
        return float(self._derived_sizes(cell.name, cell.index))

    def _counts_itself(self, name: str) -> bool:
        return name in self.weights or name in self.trace.captured

    def _derived_sizes(self, name: str, index: tuple[int | str, ...]) -> Array:
        axis = self.trace.table[name].spec.row_axis
        sizes = sizes_at(self.trace, self.weights, name, int(index[axis]))
        rest = (*index[:axis], *index[axis + 1 :])
        along: Any = tuple(slice(None) if i == "col" else i for i in rest)
        return np.asarray(sizes[along], np.float64)

    def opening(
        self,
        kind: str,
        recomputed: float,
        magnitude: float,
        numbers: str,
        vectors: tuple[Vector, ...] = (),
        scalars: tuple[Scalar, ...] = (),
    ) -> Opening:
        value = read_cell(self.trace, self.weights, self.cell)
        return Opening(
            self.cell, value, recomputed, magnitude, kind, self.tensor.spec.formula, numbers, vectors, scalars
        )

    def dot(self, left: Vector, right: Vector, bias: Scalar | None = None) -> Opening:
        products = left.values * right.values
        extra = bias.value if bias is not None else 0.0
        size = float((self.sizes(left) * self.sizes(right)).sum()) + abs(extra)
        total = float(products.sum()) + extra
        order = np.argsort(-np.abs(products), kind="stable")[:3]
        terms = " + ".join(f"{_n(left.values[i])}·{_n(right.values[i])}" for i in order)
        more = f" + {len(products) - 3} more" if len(products) > 3 else ""
        plus = f" + {_n(extra)}" if bias is not None else ""
        words = f"{terms}{more}{plus} = {number(total)}"
        return self.opening("dot", total, size, words, (left, right), (bias,) if bias is not None else ())


def _n(value: float) -> str:
    text = number(float(value))
    return f"({text})" if text.startswith("−") else text


def read_cell(trace: Trace, weights: Mapping[str, Array], cell: Cell) -> float:
    """The number in a cell of a tensor or of a weight. Raises ModelError where there is no such cell."""
    if cell.name in weights:
        shape = weights[cell.name].shape
        if len(cell.index) != len(shape) or not all(0 <= i < n for i, n in zip(cell.index, shape, strict=True)):
            raise ModelError(f"{cell.name} has shape {list(shape)}; there is no cell {list(cell.index)}.")
        return float(weights[cell.name][cell.index])
    if cell.name not in trace.table:
        raise ModelError(f"This model has no tensor {cell.name[:80]!r}.")
    spec = trace.table[cell.name].spec
    shape = spec.shape(trace.config, len(trace))
    if len(cell.index) != len(shape) or not all(0 <= i < n for i, n in zip(cell.index, shape, strict=True)):
        raise ModelError(f"{cell.name} has shape {list(shape)}; there is no cell {list(cell.index)}.")
    head = cell.index[0] if spec.per_head else None
    rest = cell.index[spec.row_axis + 1 :]
    return float(trace.read(cell.name, head=head, row=cell.index[spec.row_axis])[rest])


def open_cell(trace: Trace, weights: Mapping[str, Array], cell: Cell) -> Opening:
    """Take one cell of a tensor apart. Raises ModelError where there is no such cell.

    A weight, or a token id, was not computed from anything here: it opens to itself.
    """
    value = read_cell(trace, weights, cell)
    if cell.name in weights or cell.name == "tokens":
        what = "a learned number" if cell.name in weights else "an id from the tokenizer"
        said = str(int(value)) if cell.name == "tokens" else number(value)
        return Opening(cell, value, value, abs(value), "given", what, said)
    place = _Place(trace, weights, cell)
    return _OPENERS[place.tensor.spec.compute](place)


def _lookup(p: _Place) -> Opening:
    if len(p.inputs) == 2:
        token = p.scalar("tokens", (p.row,), "token")
        source = p.scalar(p.inputs[1], (int(token.value), p.index[1]), f"W_E[{int(token.value)}]")
        return p.opening(
            "few", source.value, abs(source.value), f"W_E[{int(token.value)}, {p.index[1]}]", (), (token, source)
        )
    source = p.scalar(p.inputs[0], (p.row, p.index[1]), f"W_pos[{p.row}]")
    return p.opening("few", source.value, abs(source.value), f"W_pos[{p.row}, {p.index[1]}]", (), (source,))


def _add(p: _Place) -> Opening:
    left, right = (p.scalar(name, p.index) for name in p.inputs)
    total = left.value + right.value
    words = f"{_n(left.value)} + {_n(right.value)} = {number(total)}"
    return p.opening("few", total, p.size(left) + p.size(right), words, (), (left, right))


def _same(p: _Place) -> Opening:
    source = p.scalar(p.inputs[0], p.index)
    return p.opening("few", source.value, p.size(source), number(source.value), (), (source,))


def _mean(p: _Place) -> Opening:
    x = p.vector(p.inputs[0], (p.row, "col"), "x")
    n = len(x.values)
    total = float(x.values.mean())
    words = f"({_n(float(x.values.sum()))}) / {n} = {number(total)}"
    return p.opening("mean", total, float(p.sizes(x).mean()), words, (x,))


def _scale(p: _Place) -> Opening:
    x = p.vector(p.inputs[0], (p.row, "col"), "x")
    mean = p.scalar(p.inputs[1], (p.row, 0), "mean μ")
    eps = p.trace.config.layer_norm_epsilon
    variance = float(((x.values - mean.value) ** 2).mean())
    root = float(np.sqrt(variance + eps))
    words = f"√({number(variance)} + {number(eps)}) = {number(root)}"
    return p.opening("spread", root, root, words, (x,), (mean, Scalar("ε", eps)))


def _normalized(p: _Place) -> Opening:
    x = p.scalar(p.inputs[0], p.index, "x")
    mean, scale = p.scalar(p.inputs[1], (p.row, 0), "mean μ"), p.scalar(p.inputs[2], (p.row, 0), "scale σ")
    result = (x.value - mean.value) / scale.value
    words = f"({_n(x.value)} − {_n(mean.value)}) / {_n(scale.value)} = {number(result)}"
    return p.opening("few", result, (p.size(x) + p.size(mean)) / scale.value, words, (), (x, mean, scale))


def _gain_and_bias(p: _Place) -> Opening:
    x = p.scalar(p.inputs[0], p.index, "x̂")
    w, b = p.scalar(p.inputs[1], p.index[1:], "w"), p.scalar(p.inputs[2], p.index[1:], "b")
    result = x.value * w.value + b.value
    words = f"{_n(x.value)} · {_n(w.value)} + {_n(b.value)} = {number(result)}"
    return p.opening("few", result, p.size(x) * abs(w.value) + abs(b.value), words, (), (x, w, b))


def _projection(part: int) -> Callable[[_Place], Opening]:
    letter = "QKV"[part]

    def opener(p: _Place) -> Opening:
        head, row, d = p.index
        column = part * p.trace.config.n_embd + head * p.trace.config.d_head + d
        x = p.multiplied(p.inputs[0], row)
        w = p.vector(p.inputs[1], ("col", column), f"W_{letter}")
        return p.dot(x, w, p.scalar(p.inputs[2], (column,), f"b_{letter}"))

    return opener


def _scores(p: _Place) -> Opening:
    head, query, key = p.index
    q, k = p.vector(p.inputs[0], (head, query, "col"), "q"), p.vector(p.inputs[1], (head, key, "col"), "k")
    return p.dot(q, k)


def _scaled(p: _Place) -> Opening:
    score = p.scalar(p.inputs[0], p.index, "score")
    divisor = p.trace.config.score_divisor(p.tensor.layer or 0)
    result = score.value / divisor
    words = f"{_n(score.value)} / {number(divisor)} = {number(result)}"
    return p.opening("few", result, p.size(score) / divisor, words, (), (score, Scalar("divisor", divisor)))


def _masked(p: _Place) -> Opening:
    score = p.scalar(p.inputs[0], p.index, "scaled score")
    _, query, key = p.index
    result = -np.inf if key > query else score.value
    why = f"key {key} comes after query {query}: −∞" if key > query else f"key {key} is not after query {query}"
    return p.opening("few", result, p.size(score), f"{why}, so {number(result)}", (), (score,))


def _softmax(p: _Place) -> Opening:
    head, query, key = p.index
    rows = p.vector(p.inputs[0], (head, query, "col"), "masked")
    top = float(rows.values.max())
    weights = np.exp(rows.values - top)
    total = float(weights.sum())
    result = float(weights[key] / total)
    words = f"exp({_n(rows.values[key])} − {_n(top)}) / {number(total)} = {number(result)}"
    scalars = (Scalar("largest of the row", top), Scalar("sum of exponentials", total))
    # A probability's rounding error is that of its exponent, which is measured against the row's scores.
    sizes = p.sizes(rows)[: query + 1]
    size = max(1.0, float(sizes[np.isfinite(sizes)].max(initial=0))) * max(result, 1e-9)
    return p.opening("softmax", result, size, words, (rows,), scalars)


def _weigh(p: _Place) -> Opening:
    head, query, d = p.index
    pattern = p.vector(p.inputs[0], (head, query, "col"), "pattern")
    values = p.vector(p.inputs[1], (head, "col", d), "v")
    return p.dot(pattern, values)


def _join(p: _Place) -> Opening:
    head, d = divmod(p.index[1], p.trace.config.d_head)
    source = p.scalar(p.inputs[0], (head, p.row, d), f"z of head {head}")
    return p.opening("few", source.value, p.size(source), number(source.value), (), (source,))


def _affine(p: _Place) -> Opening:
    row, column = p.index
    x, w = p.multiplied(p.inputs[0], row), p.vector(p.inputs[1], ("col", column), "W")
    return p.dot(x, w, p.scalar(p.inputs[2], (column,), "b"))


def _activation(p: _Place) -> Opening:
    x = p.scalar(p.inputs[0], p.index, "x")
    function = f.ACTIVATION[p.trace.config.activation]
    result = float(function(np.array([x.value]))[0])
    words = f"{p.trace.config.activation_function}({number(x.value)}) = {number(result)}"
    return p.opening("few", result, p.size(x), words, (), (x,))


def _unembed(p: _Place) -> Opening:
    row, token = p.index
    x, w = p.multiplied(p.inputs[0], row), p.vector(p.inputs[1], (token, "col"), f"W_U[{token}]")
    return p.dot(x, w)


_OPENERS: dict[Callable[..., Any], Callable[[_Place], Opening]] = {
    f.rows_of_table: _lookup,
    f.rows_of_positions: _lookup,
    f.add: _add,
    f.same: _same,
    f.mean: _mean,
    f.scale: _scale,
    f.normalized: _normalized,
    f.gain_and_bias: _gain_and_bias,
    f.query: _projection(0),
    f.key: _projection(1),
    f.value: _projection(2),
    f.scores: _scores,
    f.scaled: _scaled,
    f.masked: _masked,
    f.softmax: _softmax,
    f.weigh_values: _weigh,
    f.join_heads: _join,
    f.affine: _affine,
    f.activation: _activation,
    f.unembed: _unembed,
}
"""How each formula of the tensor table is taken apart for one cell."""
