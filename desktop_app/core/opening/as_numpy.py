"""Code for any number of a trace, or a whole tensor: a few lines of numpy that recompute it from a saved trace.

The lines need only numpy and the safetensors library. They read the tensor's direct inputs from the trace, and weights
from the checkpoint's files, under the names used there.
"""

from collections.abc import Sequence
from pathlib import Path

from desktop_app.gpt2.checkpoint import Checkpoint, StoredWeight
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.formula import TOKEN, Columns, Letters, Pattern, bind, fill
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.names import no_such_tensor
from desktop_app.gpt2.rounding import GROUP
from desktop_app.gpt2.sampling import Sampling
from desktop_app.gpt2.tensors import tensor_table
from desktop_app.gpt2.weights import all_weights, matrices, summed_axis

TRACE_FILE = Path("trace.safetensors")
"""The default path of the saved trace."""


def as_numpy(
    checkpoint: Checkpoint,
    name: str,
    index: tuple[int, ...] | None = None,
    *,
    trace_file: Path = TRACE_FILE,
    edited: frozenset[str] = frozenset(),
    mask: str = CAUSAL,
) -> str:
    """Code that computes the tensor or weight `name` in float64, or its cell `index`, as `result`, and prints it.

    In the pass of the saved trace, the tensors `edited` were edited; it ran under `mask`. Raises ModelError if the
    model has no such tensor, weight or axis.
    """
    table = tensor_table(checkpoint.config, edited, mask)
    weight_axes = {own: spec.axes for own, _, spec in all_weights(checkpoint.config)}
    if name not in table and name not in weight_axes:
        raise ModelError(no_such_tensor(name, checkpoint.config))
    axes = weight_axes[name] if name in weight_axes else table[name].axes
    if index is not None and len(index) != len(axes):
        raise ModelError(f"{name} has {len(axes)} axes; there is no cell {list(index)}.")
    where = "" if index is None else " [" + ", ".join(f"{a} {i}" for a, i in zip(axes, index, strict=True)) + "]"
    about = "a learned weight" if name in weight_axes else table[name].spec.written
    writer = _Writer(checkpoint, trace_file, f"{name}{where}: {about}")
    if name in weight_axes or not table[name].inputs:
        if index is not None and writer.is_rounded(name):
            # A number is rounded together with its neighbours along the summed axis.
            across = 1 - summed_axis(name)
            writer.read("result", name, f"[:, {index[1]}]" if across else f"[{index[0]}]")
            return writer.text([f"result = result[{index[1 - across]}]"])
        writer.read("result", name, "" if index is None else f"[{', '.join(map(str, index))}]")
        return writer.text([])
    tensor, config = table[name], checkpoint.config
    formula = tensor.spec.formula
    letters = {} if index is None else bind(formula.cell, index, config) or {}
    for source, operand in zip(tensor.inputs, formula.reads, strict=True):
        whole = _part(operand.at, source in weight_axes, config)
        writer.read(operand.variable, source, whole if index is None else _place(operand.at, letters, config))
    if formula.rounds and config.int8:
        writer.round(formula.reads[0].variable)
    lines = formula.numpy if index is not None else formula.numpy_whole or formula.numpy
    slots = {**formula.settings(config, tensor.layer or 0), **letters}
    *before, last = lines.format(**slots).split("\n")
    return writer.text([*before, f"result = {last}"])


def probabilities_as_numpy(
    checkpoint: Checkpoint,
    position: int,
    sampling: Sampling,
    token: int | None = None,
    *,
    trace_file: Path = TRACE_FILE,
) -> str:
    """Code that computes the final probability of every token after `position`, or of one, as `result`, and prints it.

    It applies the stages in order: temperature, top-k and top-p, and renormalises after each.
    """
    what = "every token" if token is None else f"token {token}"
    writer = _Writer(checkpoint, trace_file, f"the probability of {what} after position {position}")
    writer.read("logits", "logits", f"[{position}]")
    lines = ['order = np.argsort(-logits, kind="stable")  # ties by id']
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


def program(
    checkpoint: Checkpoint,
    about: str,
    reads: Sequence[tuple[str, str, str]],
    lines: Sequence[str],
    *,
    before: Sequence[str] = (),
    trace_file: Path = TRACE_FILE,
) -> str:
    """A program of `lines`, which assign `result`, preceded by lines that read what they need.

    `reads` are triples of a variable, the name of a tensor or weight, and the part of it: "[3]", or "" for all.
    `before` are lines that precede the reads.
    """
    writer = _Writer(checkpoint, trace_file, about, before)
    for variable, name, part in reads:
        writer.read(variable, name, part)
    return writer.text(list(lines))


class _Writer:
    """Collects lines that read operands, and the files from which they read."""

    def __init__(self, checkpoint: Checkpoint, trace_file: Path, about: str, before: Sequence[str] = ()) -> None:
        self._checkpoint, self._about = checkpoint, about
        self._files = {trace_file: "trace"}
        self._reads = list(before)

    def read(self, variable: str, name: str, part: str) -> None:
        """Assign a part ("[3]", or "" for all) of a tensor of the trace or of a weight to `variable`."""
        if name in self._checkpoint.stored:
            self._weight(variable, self._checkpoint.stored[name], part)
            if self.is_rounded(name):
                self.round(variable, summed_axis(name))
        else:
            wide = "" if name == "tokens" else ".astype(float)"
            self._reads.append(f'{variable} = trace.get_tensor("{name}"){part}{wide}')

    def is_rounded(self, name: str) -> bool:
        """Whether `name` is a weight that the model has rounded to int8."""
        return self._checkpoint.config.int8 and name in matrices(self._checkpoint.config)

    def round(self, variable: str, axis: int = 1) -> None:
        """Round a vector that was read, or a matrix along this axis."""
        turn = "" if axis else ".T"
        self._reads.append(f"{variable} = rounded({variable}{turn}){turn}")

    def _weight(self, variable: str, stored: StoredWeight, part: str) -> None:
        turn = ".T" if stored.turned else ""
        if not stored.dtype:
            self._reads.append(f"{variable} = np.zeros({stored.shape}){part}  # this model has no biases")
            return
        if stored.dtype == "BF16":  # numpy has no such type
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
        """The whole program: the functions that `lines` use, then `lines`."""
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
    """A path as a Python string literal, whatever characters it contains."""
    text = repr(str(path))
    return text if '"' in text or "\\" in text else f'"{text[1:-1]}"'


def _part(pattern: Pattern, is_weight: bool, config: Config) -> str:
    """The part of an operand that the whole tensor needs, as an index: "[:, 0:24]", or "" for all of it."""

    def along(entry: str | int | Columns) -> str:
        if isinstance(entry, Columns):
            part = entry.range(config)
            return f"{part.start}:{part.stop}"
        if entry == TOKEN:
            return "token"
        # The table of positions is longer than the text.
        return ':len(trace.get_tensor("tokens"))' if entry == "i" and is_weight else ":"

    return _index([along(entry) for entry in pattern])


def _place(pattern: Pattern, letters: Letters, config: Config) -> str:
    """The part of an operand that a cell needs, as an index."""
    index = fill(pattern, letters, config)
    return _index(
        ["token" if entry == TOKEN else ":" if i is None else str(i) for entry, i in zip(pattern, index, strict=True)]
    )


def _index(entries: list[str]) -> str:
    while entries and entries[-1] == ":":
        entries.pop()
    return f"[{', '.join(entries)}]" if entries else ""
