"""Any number of a trace, or a whole tensor, as a few lines of numpy that make it again from a saved trace.

The lines need numpy and the safetensors library alone. They read the tensor's direct inputs from the trace, and the
weights from the checkpoint's own files under the names that these have there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desktop_app.gpt2 import formulas as f
from desktop_app.gpt2.checkpoint import Checkpoint, StoredWeight
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.int8 import summed_axis
from desktop_app.gpt2.rounding import GROUP
from desktop_app.gpt2.sampling import Sampling
from desktop_app.gpt2.tensors import Tensor, tensor_table
from desktop_app.gpt2.weights import all_weights, matrices

TRACE_FILE = Path("trace.safetensors")
"""Where the lines look for the saved trace unless told."""


def as_numpy(
    checkpoint: Checkpoint, name: str, index: tuple[int, ...] | None = None, *, trace_file: Path = TRACE_FILE
) -> str:
    """Lines that leave in `result` the tensor or weight `name` in float64, or its cell `index`, and print it.

    Raises ModelError where the model has no such tensor, weight or axis.
    """
    table = tensor_table(checkpoint.config)
    weight_axes = {own: spec.axes for own, _, spec in all_weights(checkpoint.config)}
    if name not in table and name not in weight_axes:
        raise ModelError(f"This model has no tensor {name[:80]!r}.")
    axes = weight_axes[name] if name in weight_axes else table[name].axes
    if index is not None and len(index) != len(axes):
        raise ModelError(f"{name} has {len(axes)} axes; there is no cell {list(index)}.")
    where = "" if index is None else " [" + ", ".join(f"{a} {i}" for a, i in zip(axes, index, strict=True)) + "]"
    about = "a learned weight" if name in weight_axes else table[name].spec.formula
    writer = _Writer(checkpoint, trace_file, f"{name}{where}: {about}")
    if name in weight_axes or not table[name].inputs:
        if index is not None and writer.is_rounded(name):
            # A number is rounded with its neighbours along the axis that is summed over.
            across = 1 - summed_axis(name)
            writer.read("result", name, f"[:, {index[1]}]" if across else f"[{index[0]}]")
            return writer.text([f"result = result[{index[1 - across]}]"])
        writer.read("result", name, "" if index is None else f"[{', '.join(map(str, index))}]")
        return writer.text([])
    tensor, recipe = table[name], _RECIPES[table[name].spec.compute]
    slots = _slots(tensor, checkpoint.config, index)
    for source, operand in zip(tensor.inputs, recipe.operands, strict=True):
        part = operand.whole if index is None else operand.cell
        writer.read(operand.variable, source, part.format(**slots))
    if any(writer.is_rounded(source) for source in tensor.inputs):
        writer.round(recipe.operands[0].variable)
    *before, last = (recipe.whole if index is None else recipe.cell).format(**slots).split("\n")
    return writer.text([*before, f"result = {last}"])


def probabilities_as_numpy(
    checkpoint: Checkpoint,
    position: int,
    sampling: Sampling,
    token: int | None = None,
    *,
    trace_file: Path = TRACE_FILE,
) -> str:
    """Lines that leave in `result` the final probability of every token after `position`, or of one, and print it.

    They run the stages in order: temperature, top-k, top-p, each renormalised.
    """
    what = "every token" if token is None else f"token {token}"
    writer = _Writer(checkpoint, trace_file, f"the probability of {what} after position {position}")
    writer.read("logits", "logits", f"[{position}]")
    lines = ['order = np.argsort(-logits, kind="stable")  # equal ones by id']
    if sampling.greedy:
        lines.append("p = np.where(np.arange(len(order)) == 0, 1.0, 0.0)  # greedy")
    else:
        lines += [
            f"p = np.exp((logits[order] - logits.max()) / {sampling.temperature!r})  # temperature",
            "p /= p.sum()",
        ]
        if sampling.top_k:
            lines += [f"p[{sampling.top_k}:] = 0  # top-k", "p /= p.sum()"]
        if sampling.top_p < 1:
            lines += [
                f"p[1:][np.cumsum(p)[:-1] >= {sampling.top_p!r}] = 0  # top-p: the token that crosses the line stays",
                "p /= p.sum()",
            ]
    lines += ["probabilities = np.zeros(len(p))", "probabilities[order] = p"]
    return writer.text([*lines, f"result = probabilities{'' if token is None else f'[{token}]'}"])


class _Writer:
    """Collects the lines that read operands, and the files that they need."""

    def __init__(self, checkpoint: Checkpoint, trace_file: Path, about: str) -> None:
        self._checkpoint, self._about = checkpoint, about
        self._files = {trace_file: "trace"}
        self._reads: list[str] = []

    def read(self, variable: str, name: str, part: str) -> None:
        """Let `variable` be the part `part` ("[3]", or "" for all) of a tensor of the trace or of a weight."""
        if name in self._checkpoint.stored:
            self._weight(variable, self._checkpoint.stored[name], part)
            if self.is_rounded(name):
                self.round(variable, summed_axis(name))
        else:
            wide = "" if name == "tokens" else ".astype(float)"
            self._reads.append(f'{variable} = trace.get_tensor("{name}"){part}{wide}')

    def is_rounded(self, name: str) -> bool:
        """Whether it is a weight that the model has in int8."""
        return self._checkpoint.config.int8 and name in matrices(self._checkpoint.config)

    def round(self, variable: str, axis: int = 1) -> None:
        """Round a vector or a matrix that was read, along this axis of a matrix."""
        turn = "" if axis else ".T"
        self._reads.append(f"{variable} = rounded({variable}{turn}){turn}")

    def _weight(self, variable: str, stored: StoredWeight, part: str) -> None:
        turn = ".T" if stored.turned else ""
        if not stored.dtype:
            self._reads.append(f"{variable} = np.zeros({stored.shape}){part}  # this model has no biases")
            return
        if stored.dtype == "BF16":  # which numpy has no type for
            self._reads += [
                f"# {stored.name}, in bfloat16: the upper half of a float32",
                f'bits = np.memmap({_quoted(stored.file.absolute())}, "<u2", "r", {stored.offset}, {stored.shape})',
                f'{variable} = (bits.astype("<u4") << 16).view("<f4"){turn}{part}.astype(float)',
            ]
            return
        files = sorted({form.file for form in self._checkpoint.stored.values() if form.dtype})
        model = "model" if len(files) == 1 else f"model_{files.index(stored.file)}"
        self._files[stored.file.absolute()] = model
        narrow = '.astype("f4")' if stored.dtype == "F64" else ""  # the model runs in float32
        self._reads.append(f'{variable} = {model}.get_tensor("{stored.name}"){narrow}{turn}{part}.astype(float)')

    def text(self, lines: list[str]) -> str:
        """The whole program, `lines` after what they need."""
        needs_trace = any("trace.get_tensor" in line for line in self._reads)
        opened = [
            f'{variable} = safe_open({_quoted(file)}, "numpy")'
            for file, variable in self._files.items()
            if variable != "trace" or needs_trace
        ]
        imports = ["import math"] if any("math." in line for line in lines) else []
        imports += ["import numpy as np", *(["from safetensors import safe_open"] if opened else [])]
        if any("rounded(" in line for line in self._reads):
            imports += _ROUNDED
        return "\n".join([f"# {self._about}", *imports, "", *opened, *self._reads, *lines, "print(result)", ""])


_ROUNDED = [
    "",
    "def rounded(x):  # to int8: along the last axis, each 128 numbers share a scale",
    f"    groups = np.zeros((*x.shape[:-1], -(-x.shape[-1] // {GROUP}), {GROUP}), np.float32)",
    "    groups.reshape(*x.shape[:-1], -1)[..., : x.shape[-1]] = x",
    "    largest = np.abs(groups).max(-1, keepdims=True)",
    "    whole = np.rint(groups * (np.float32(127) / np.where(largest > 0, largest, 1)))",
    "    return (whole * (largest / np.float32(127))).reshape(*x.shape[:-1], -1)[..., : x.shape[-1]].astype(float)",
]


def _quoted(path: Path) -> str:
    """A path as a Python string, whatever is in it."""
    text = repr(str(path))
    return text if '"' in text or "\\" in text else f'"{text[1:-1]}"'


@dataclass(frozen=True)
class _Operand:
    """One input: the variable that it is read into, and which part of it a cell and the whole tensor need."""

    variable: str
    cell: str
    whole: str = ""


@dataclass(frozen=True)
class _Recipe:
    """A formula in numpy, for a cell and for the whole tensor; the last line is the result.

    `{slots}` are filled in: the cell's index by axis, and numbers of the config.
    """

    operands: tuple[_Operand, ...]
    cell: str
    whole: str


def _slots(tensor: Tensor, config: Config, index: tuple[int, ...] | None) -> dict[str, Any]:
    part = {f.query: 0, f.key: 1, f.value: 2}.get(tensor.spec.compute, 0)
    slots: dict[str, Any] = {
        "first": part * config.n_embd,
        "last": (part + 1) * config.n_embd,
        "heads": config.n_head,
        "d_head": config.d_head,
        "d_model": config.n_embd,
        "eps": config.layer_norm_epsilon,
        "divisor": config.score_divisor(tensor.layer or 0),
        "activation": _ACTIVATIONS[config.activation],
    }
    if index is not None:
        *head, row, col = index
        slots |= {"head": head[0] if head else 0, "row": row, "col": col}
        slots["column"] = slots["first"] + slots["head"] * config.d_head + col
        slots["z_head"], slots["z_col"] = divmod(col, config.d_head)
    return slots


_ACTIVATIONS = {
    "gelu_tanh": "0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))",
    "gelu_erf": "0.5 * x * (1 + np.vectorize(math.erf)(x / 2**0.5))",
    "relu": "np.maximum(x, 0)",
    "silu": "x / (1 + np.exp(-x))",
}


def _alike(expression: str, *operands: _Operand) -> _Recipe:
    """A formula that reads the same for a cell as for the whole."""
    return _Recipe(operands, expression, expression)


_CELL, _GRID_CELL = "[{row}, {col}]", "[{head}, {row}, {col}]"
_PROJECTION = _Recipe(
    (
        _Operand("x", "[{row}]"),
        _Operand("W", "[:, {column}]", "[:, {first}:{last}]"),
        _Operand("b", "[{column}]", "[{first}:{last}]"),
    ),
    "x @ W + b",
    "(x @ W + b).reshape(-1, {heads}, {d_head}).transpose(1, 0, 2)",
)

_RECIPES: dict[Callable[..., Any], _Recipe] = {
    f.rows_of_table: _alike("w", _Operand("token", "[{row}]"), _Operand("w", "[token, {col}]", "[token]")),
    f.rows_of_positions: _alike("w", _Operand("w", _CELL, '[:len(trace.get_tensor("tokens"))]')),
    f.add: _alike("a + b", _Operand("a", _CELL), _Operand("b", _CELL)),
    f.same: _alike("a", _Operand("a", _CELL)),
    f.mean: _Recipe((_Operand("x", "[{row}]"),), "x.mean()", "x.mean(-1, keepdims=True)"),
    f.scale: _Recipe(
        (_Operand("x", "[{row}]"), _Operand("mean", "[{row}, 0]")),
        "np.sqrt(((x - mean) ** 2).mean() + {eps!r})",
        "np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + {eps!r})",
    ),
    f.normalized: _alike(
        "(x - mean) / scale", _Operand("x", _CELL), _Operand("mean", "[{row}, 0]"), _Operand("scale", "[{row}, 0]")
    ),
    f.gain_and_bias: _alike("x * w + b", _Operand("x", _CELL), _Operand("w", "[{col}]"), _Operand("b", "[{col}]")),
    f.query: _PROJECTION,
    f.key: _PROJECTION,
    f.value: _PROJECTION,
    f.scores: _Recipe(
        (_Operand("q", "[{head}, {row}]"), _Operand("k", "[{head}, {col}]")), "q @ k", "q @ k.transpose(0, 2, 1)"
    ),
    f.scaled: _alike("s / {divisor!r}", _Operand("s", _GRID_CELL)),
    f.masked: _Recipe(
        (_Operand("s", _GRID_CELL),),
        "-np.inf if {col} > {row} else s  # key > query",
        "np.where(np.tri(s.shape[-1], dtype=bool), s, -np.inf)",
    ),
    f.softmax: _Recipe(
        (_Operand("m", "[{head}, {row}]"),),
        "e = np.exp(m - m.max())\ne[{col}] / e.sum()",
        "e = np.exp(m - m.max(-1, keepdims=True))\ne / e.sum(-1, keepdims=True)",
    ),
    f.weigh_values: _alike("pattern @ v", _Operand("pattern", "[{head}, {row}]"), _Operand("v", "[{head}, :, {col}]")),
    f.join_heads: _Recipe(
        (_Operand("z", "[{z_head}, {row}, {z_col}]"),), "z", "z.transpose(1, 0, 2).reshape(-1, {d_model})"
    ),
    f.affine: _alike("x @ W + b", _Operand("x", "[{row}]"), _Operand("W", "[:, {col}]"), _Operand("b", "[{col}]")),
    f.activation: _alike("{activation}", _Operand("x", _CELL)),
    f.unembed: _Recipe((_Operand("x", "[{row}]"), _Operand("W_U", "[{col}]")), "x @ W_U", "x @ W_U.T"),
}
"""Each formula of the tensor table in numpy; operands in the order of the table's inputs."""
