"""Operators that make several rows of the table in one step, for graphs that expose nothing of what lies between.

They are ONNX's own LayerNormalization (opset 17), Gelu (20) and Attention (23), https://onnx.ai/onnx/operators: the
same sums in another order, which read and write less memory.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.formula import Site
from desktop_app.gpt2.nodes import Nodes
from desktop_app.gpt2.tensors import Tensor, past_of

OPSET, IR_VERSION = 23, 11
"""The first that has all of them."""

_GELU = {"gelu_tanh": "tanh", "gelu_erf": "none"}
"""Activation -> what ONNX calls it."""

_GRIDS = ("scores", "scaled", "masked", "pattern")
_STEPS = ("mean", "scale", "normalized")


_Emit = Callable[..., None]


def fused(table: Mapping[str, Tensor], config: Config, only: Collection[str]) -> dict[str, Tensor]:
    """The table with such operators as formulas, where none of what they leave out is in `only`.

    Their rows read what the first of those left out reads; only their `emit` is to be used.
    """
    found = dict(table)
    for name, row in table.items():
        stem, _, end = name.rpartition(".")
        kind = "norm" if f"{stem}.normalized" in row.inputs else end
        if kind == "norm" and _none_of(stem, _STEPS, only):
            source, gain, bias = table[f"{stem}.mean"].inputs[0], *row.inputs[1:]
            found[name] = _with(row, _normalize, source, gain, bias)
        elif kind == "z" and _none_of(stem, _GRIDS, only):
            found[name] = _with(row, _attend, *(f"{stem}.{letter}" for letter in "qkv"))
        elif kind == "post" and config.activation in _GELU:
            found[name] = _with(row, _gelu, *row.inputs)
    return found


def _none_of(stem: str, ends: Collection[str], only: Collection[str]) -> bool:
    return not any(f"{stem}.{end}" in only for end in ends)


def _with(row: Tensor, emit: _Emit, *inputs: str) -> Tensor:
    formula = replace(row.spec.formula, emit=emit)
    # The operator takes keys and values of the past by themselves: nothing is put before those of the rows.
    return replace(row, spec=replace(row.spec, formula=formula), inputs=inputs, whole=frozenset())


def _normalize(nodes: Nodes, _site: Site, out: str, x: str, gain: str, bias: str) -> None:
    nodes.op("LayerNormalization", x, gain, bias, out=out, axis=-1, epsilon=nodes.config.layer_norm_epsilon)


def _gelu(nodes: Nodes, _site: Site, out: str, x: str) -> None:
    nodes.op("Gelu", x, out=out, approximate=_GELU[nodes.config.activation])


def _attend(nodes: Nodes, site: Site, out: str, q: str, k: str, v: str) -> None:
    batch = nodes.ints(0)
    new, past = ([nodes.op("Unsqueeze", name, batch) for name in names] for names in ((q, k, v), past_of(site.layer)))
    scale = 1 / nodes.config.score_divisor(site.layer)
    found = nodes.op("Attention", *new, "", *past, also=("key", "value"), is_causal=1, scale=scale)
    nodes.op("Squeeze", found, batch, out=out)
