"""Recomputes every tensor of a trace from its direct inputs, in float64 numpy, and reports where it differs most.

Each tensor is computed from the traced values of its inputs, not from recomputed ones, so that a fault shows at the
tensor where it arose and not at later ones. A difference is judged relative to the sum of the absolute values of the
terms that were added up, to which float32 rounding is proportional. For an operand that the trace derives instead of
storing, the sum of absolute terms is used in place of its absolute value.
"""

import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Closing
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.edit import Edit, sites_of
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.formula import Place, itself
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.rounding import GROUP
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.tensors import Tensor, tensor_table
from desktop_app.gpt2.trace import Trace
from desktop_app.gpt2.weights import matrices, summed_axis

Array = NDArray[Any]

TOLERANCE = 1e-5
"""The largest difference, relative to the sum of absolute terms, that counts as rounding."""

_ROWS = 64  # positions checked at once, so that the logits of a long text are not in memory twice
_TINY = 1e-30  # the smallest divisor of a difference, so that underflow in float32 does not count as an error

_Rows = Callable[[str, int, int], Array]
"""(tensor, start, stop) -> the tensor's values at these positions, for every head."""


@dataclass(frozen=True)
class Finding:
    """The worst cell of one tensor: index, absolute difference, and difference relative to the sum of absolute terms.

    `traced` and `recomputed` are the two values of this cell.
    """

    name: str
    index: tuple[int, ...]
    absolute: float
    relative: float
    traced: float
    recomputed: float

    @property
    def good(self) -> bool:
        """Whether the tensor agrees with its formula up to rounding."""
        return self.relative <= TOLERANCE


def check(trace: Trace, weights: Mapping[str, Array]) -> Iterator[Finding]:
    """One finding for each computed tensor of `trace`, in the order of the forward pass.

    For a tensor that the trace derives, the check is trivial, because it uses the same formula. `check_pass` takes
    every tensor from the graph instead.
    """

    judge = _judge(trace, weights)
    yield from (judge.worst(tensor) for tensor in trace.table.values() if tensor.inputs)


def check_pass(
    engine: Engine,
    ids: Sequence[int],
    weights: Mapping[str, Array] | None = None,
    stop: Stop | None = None,
    *,
    edits: Sequence[Edit] = (),
    mask: str = CAUSAL,
) -> Iterator[Finding]:
    """Findings for a full pass over `ids` with every tensor taken from the graph, for any length of text.

    With `edits` or a `mask` the changed pass is checked; an edited tensor is recomputed from its `.before`, `.keep` and
    `.put`. `weights` are the model's unless given. A tensor is in memory only as long as later ones are computed from
    it. Raises as `Engine.run` does.
    """
    table = tensor_table(engine.config, sites_of(edits), mask)
    held: dict[str, Array] = {}

    def rows(name: str, start: int, end: int) -> Array:
        return held[name][(slice(None),) * table[name].spec.row_axis + (slice(start, end),)]

    last_use = {source: name for name, tensor in table.items() for source in tensor.inputs}
    judge = _Judge(engine.config, len(ids), table, engine.checkpoint.weights if weights is None else weights, rows)
    for name, array in zip(table, engine.tensors(ids, list(table), stop, edits=edits, mask=mask), strict=True):
        held[name] = array
        if table[name].inputs:
            yield judge.worst(table[name])
        for source in [source for source in held if last_use.get(source, source) == name]:
            del held[source]


def sizes_at(trace: Trace, weights: Mapping[str, Array], name: str, row: int) -> Array:
    """The magnitude of each value of tensor `name`, as an operand, at position `row`; has the tensor's other axes.

    For a stored tensor this is the absolute value, for a derived one the sum of the absolute terms.
    """
    return _judge(trace, weights).size(name, row, row + 1).squeeze(trace.table[name].spec.row_axis)


def weight_sizes(config: Config, name: str, values: Array, axis: int = -1) -> Array:
    """The magnitude of each number of the weight `name` as an operand, where a product sums over `axis` of `values`.

    onnxruntime computes an int8 product with 128 added to each integer of the weight, and finally subtracts 128 times
    the sum of each group of the vector. The product and the number subtracted from it are both summed in float32, and
    rounded once per group. For weights that are small within their group, this exceeds the rounding of the product's
    terms.
    """
    sizes = np.abs(values)
    if not (config.int8 and name in matrices(config)):
        return sizes
    groups = -(-values.shape[axis] // GROUP)
    starts = range(0, values.shape[axis], GROUP)
    steps = np.maximum.reduceat(sizes, starts, axis) / 127
    roundings = (2 * groups + 3) * np.finfo(np.float32).eps / 2
    offsets = np.repeat(steps, GROUP, axis).take(range(values.shape[axis]), axis)
    return sizes + offsets * (128 * roundings / TOLERANCE)


def as_json(
    findings: Sequence[Finding],
    table: Mapping[str, Tensor],
    model: str,
    ids: Sequence[int],
    closings: Sequence[Closing] = (),
    changes: Sequence[str] = (),
) -> str:
    """The findings and the closings of the analyses as a JSON document, with null for an infinity or NaN."""

    def real(value: float) -> float | None:
        return value if np.isfinite(value) else None

    rows = [
        {
            "name": x.name,
            "axes": table[x.name].axes,
            "index": x.index,
            "traced": real(x.traced),
            "recomputed": real(x.recomputed),
            "absolute": real(x.absolute),
            "relative": real(x.relative),
            "good": x.good,
        }
        for x in findings
    ]
    analyses = [
        {
            "name": x.name,
            "index": x.index,
            "sum": real(x.found),
            "own": real(x.own),
            "largest": real(x.largest),
            "good": x.good,
        }
        for x in closings
    ]
    good = all(x.good for x in findings) and all(x.good for x in closings)
    whole: dict[str, object] = {"model": model, "ids": list(ids), "tolerance": TOLERANCE, "good": good}
    if changes:
        whole["edits"] = list(changes)
    return json.dumps(whole | {"tensors": rows, "analyses": analyses}, indent=1, allow_nan=False) + "\n"


class _Judge:
    """Recomputes tensors, for a chunk of positions at a time."""

    def __init__(
        self,
        config: Config,
        count: int,
        table: Mapping[str, Tensor],
        weights: Mapping[str, Array],
        rows: _Rows,
        derived: Container[str] = (),
    ) -> None:
        self._config, self._count, self._table, self._weights = config, count, table, weights
        self._rows, self._derived = rows, derived
        # Shared by all chunks of one tensor: weights, keys and values in float64, and their magnitudes.
        self._wide: dict[str, Array] = {}
        self._sizes: dict[str, Array] = {}

    def worst(self, tensor: Tensor) -> Finding:
        """The cell where `tensor` differs most from the result of its formula."""
        self._wide.clear()
        self._sizes.clear()
        chunks = [(start, min(start + _ROWS, self._count)) for start in range(0, self._count, _ROWS)]
        return max((self._worst_of(tensor, *chunk) for chunk in chunks), key=lambda finding: finding.relative)

    def _worst_of(self, tensor: Tensor, start: int, stop: int) -> Finding:
        operands = [self._operand(tensor, name, start, stop) for name in tensor.inputs]
        found = self._rows(tensor.name, start, stop).astype(np.float64)
        with np.errstate(all="ignore"):  # NaN is judged separately below
            expected = tensor.spec.formula.evaluate(self._place(tensor, start, stop), *operands)
            size = self._magnitude(tensor, expected, start, stop)
            difference = np.where(found == expected, 0.0, np.abs(found - expected))
        difference = np.where(np.isfinite(difference), difference, np.inf)
        if not all(np.isfinite(o).all() for o, n in zip(operands, tensor.inputs, strict=True) if n in self._table):
            # Where an operand is NaN, so is the result: the fault is in the operand, and is reported there.
            difference[np.isnan(expected)] = 0.0
        relative = difference / np.where(np.isfinite(size), np.maximum(size, _TINY), _TINY)
        at = np.unravel_index(int(np.argmax(relative)), relative.shape)
        index = [int(i) for i in at]
        index[tensor.spec.row_axis] += start
        numbers = (float(array[at]) for array in (difference, relative, found, expected))
        return Finding(tensor.name, tuple(index), *numbers)

    def _place(self, tensor: Tensor, start: int, stop: int) -> Place:
        return Place(self._config, tensor.layer or 0, np.arange(start, stop))

    def _operand(self, tensor: Tensor, name: str, start: int, stop: int) -> Array:
        if name not in self._weights and name not in tensor.whole:
            rows = self._rows(name, start, stop)
            return rows if name == "tokens" else rows.astype(np.float64)
        if tensor.spec.formula.kind == "gather":
            return self._weights[name]  # rows that are only gathered are exact in float32
        if name not in self._wide:
            whole = self._weights[name] if name in self._weights else self._rows(name, 0, self._count)
            self._wide[name] = whole.astype(np.float64)
        return self._wide[name]

    def _magnitude(self, tensor: Tensor, result: Array, start: int, stop: int) -> Array:
        """The sum of absolute terms of each of the tensor's values at these positions."""
        formula = tensor.spec.formula
        if formula.magnitude is itself:
            return np.abs(result)
        sizes = [
            self._fixed_size(name) if name in self._weights or name in tensor.whole else self.size(name, start, stop)
            for name in tensor.inputs
        ]
        return formula.sizes_of(self._place(tensor, start, stop), sizes, result)

    def size(self, name: str, start: int, stop: int) -> Array:
        """An operand's magnitude in float32: its absolute value, or if derived the sum of its absolute terms."""
        values = self._rows(name, start, stop)
        if name in self._derived:
            return self._magnitude(self._table[name], values, start, stop)
        return np.abs(values)

    def _fixed_size(self, name: str) -> Array:
        if name not in self._sizes:
            weight = name in self._weights
            self._sizes[name] = self._weight_sizes(name) if weight else self.size(name, 0, self._count)
        return self._sizes[name]

    def _weight_sizes(self, name: str) -> Array:
        return weight_sizes(self._config, name, self._weights[name], summed_axis(name))


def _judge(trace: Trace, weights: Mapping[str, Array]) -> _Judge:
    def rows(name: str, start: int, stop: int) -> Array:
        return trace.read_rows(name, stop, start)

    derived = {name for name in trace.table if name not in trace.captured}
    return _Judge(trace.config, len(trace), trace.table, weights, rows, derived)
