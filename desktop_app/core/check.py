"""Recomputes every tensor of a trace from its direct inputs, in float64 numpy, and says where it differs most.

Each tensor is computed from the traced values of its inputs, not from recomputed ones, so that a fault shows at the
tensor where it was made and nowhere after. A difference is judged against the sum of the absolute terms that were
added up, which is what float32 rounding is proportional to.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2 import formulas as f
from desktop_app.gpt2.formulas import Place
from desktop_app.gpt2.tensors import Tensor
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

TOLERANCE = 1e-5
"""Largest difference, against the sum of absolute terms, that counts as rounding."""

_ROWS = 64  # positions at a time, so that the logits of a long text need not be in memory twice


@dataclass(frozen=True)
class Finding:
    """The worst cell of one tensor: its index, the absolute difference, and that against the sum of absolute terms."""

    name: str
    index: tuple[int, ...]
    absolute: float
    relative: float

    @property
    def good(self) -> bool:
        """Whether the tensor is what its formula says, up to rounding."""
        return self.relative <= TOLERANCE


def check(trace: Trace, weights: Mapping[str, Array]) -> Iterator[Finding]:
    """One finding for each computed tensor, in the order of the forward pass."""
    for tensor in trace.table.values():
        if tensor.inputs:
            yield _worst(trace, weights, tensor)


def _worst(trace: Trace, weights: Mapping[str, Array], tensor: Tensor) -> Finding:
    worst = Finding(tensor.name, (0,) * len(tensor.axes), 0.0, 0.0)
    for start in range(0, len(trace), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(trace)))
        operands = [_operand(trace, weights, tensor, name, rows) for name in tensor.inputs]
        place = Place(trace.config, tensor.layer or 0, rows)
        with np.errstate(invalid="ignore"):
            expected = tensor.spec.compute(place, *operands)
            size = _MAGNITUDES[tensor.spec.compute](place, operands, expected)
            found = _rows(trace, tensor.name, rows).astype(np.float64)
            difference = np.where(found == expected, 0.0, np.abs(found - expected))
        # A number where an infinity belongs, or not a number at all, is as wrong as can be.
        difference = np.where(np.isfinite(difference), difference, np.inf)
        relative = difference / np.maximum(np.broadcast_to(size, difference.shape), 1e-30)
        at = np.unravel_index(int(np.argmax(relative)), relative.shape)
        if relative[at] > worst.relative:
            index = [int(i) for i in at]
            index[tensor.spec.row_axis] += start
            worst = Finding(tensor.name, tuple(index), float(difference[at]), float(relative[at]))
    return worst


def _operand(trace: Trace, weights: Mapping[str, Array], tensor: Tensor, name: str, rows: Array) -> Array:
    if name in weights:
        # Gathering rows in float32 and widening them is the same as widening the whole table, without its memory.
        gathers = tensor.spec.compute in (f.rows_of_table, f.rows_of_positions)
        return weights[name] if gathers else weights[name].astype(np.float64)
    if name == "tokens":
        return trace["tokens"][rows]
    whole = name in tensor.whole
    return (trace[name] if whole else _rows(trace, name, rows)).astype(np.float64)


def _rows(trace: Trace, name: str, rows: Array) -> Array:
    if name == "logits":
        return np.stack([trace.logits(int(r)) for r in rows])
    axis = trace.table[name].spec.row_axis
    return trace[name][(slice(None),) * axis + (slice(int(rows[0]), int(rows[-1]) + 1),)]


_Magnitude = Callable[[Place, Sequence[Array], Array], Array]


def _itself(_place: Place, _operands: Sequence[Array], result: Array) -> Array:
    return np.abs(result)


def _sum_of_sizes(_place: Place, operands: Sequence[Array], _result: Array) -> Array:
    return np.asarray(np.abs(operands[0]) + np.abs(operands[1]))


def _of_sizes(place: Place, operands: Sequence[Array], compute: Callable[..., Array]) -> Array:
    """The formula over absolute values: for sums of products that is the sum of absolute terms."""
    return compute(place, *(np.abs(o) for o in operands))


def _by(compute: Callable[..., Array]) -> _Magnitude:
    return lambda place, operands, _result: _of_sizes(place, operands, compute)


def _normalized(_place: Place, operands: Sequence[Array], _result: Array) -> Array:
    x, mean, scale = operands
    return (np.abs(x) + np.abs(mean)) / scale


def _softmax(_place: Place, operands: Sequence[Array], result: Array) -> Array:
    # The error of a probability is that of its exponent, in which scores of this size were subtracted.
    sizes = np.where(np.isfinite(operands[0]), np.abs(operands[0]), 0).max(-1, keepdims=True)
    return np.maximum(1.0, sizes) * np.maximum(result, 1e-9)


def _masked(_place: Place, operands: Sequence[Array], _result: Array) -> Array:
    return np.abs(operands[0])


_MAGNITUDES: dict[Callable[..., Any], _Magnitude] = {
    f.rows_of_table: _itself,
    f.rows_of_positions: _itself,
    f.add: _sum_of_sizes,
    f.same: _itself,
    f.mean: _by(f.mean),
    f.scale: _itself,
    f.normalized: _normalized,
    f.gain_and_bias: _by(f.gain_and_bias),
    f.query: _by(f.query),
    f.key: _by(f.key),
    f.value: _by(f.value),
    f.scores: _by(f.scores),
    f.scaled: _itself,
    f.masked: _masked,
    f.softmax: _softmax,
    f.weigh_values: _by(f.weigh_values),
    f.join_heads: _itself,
    f.affine: _by(f.affine),
    f.activation: lambda _place, operands, _result: np.abs(operands[0]),
    f.unembed: _by(f.unembed),
}
"""The sum of absolute terms of each formula of the tensor table."""
