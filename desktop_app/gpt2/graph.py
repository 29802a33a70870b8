"""The ONNX graph of a GPT-2 with every tensor of the table exposed under its own name.

Inputs: `input_ids` [pos] int64, and `past.L.key`, `past.L.value` [head, past, d_head] (length 0 works). There is no
batch axis. The body ends at `ln_final.out`; the head, `logits`, is a third of a pass and can be a graph of its own.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.rounding import GROUP
from desktop_app.gpt2.tensors import Tensor, tensor_table
from desktop_app.gpt2.weights import UNEMBEDDING, all_weights

OPSET = 18
IR_VERSION = 9


class _Builder:
    """Collects nodes; every method returns the name of its result."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"_{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"node:{name}", **attributes))
        return name

    def ints(self, *values: int) -> str:
        """A 1-D int64 constant."""
        return self._constant("_i_" + "_".join(map(str, values)), np.array(values, np.int64))

    def int0(self, value: int) -> str:
        """A scalar int64 constant."""
        return self._constant(f"_n_{value}", np.array(value, np.int64))

    def real(self, value: float) -> str:
        """A scalar float32 constant."""
        return self._constant(f"_f_{np.float32(value).tobytes().hex()}", np.array(value, np.float32))

    def rounded_product(self, x: str, w: str, width: tuple[int, int], out: str | None = None) -> str:
        """`x` times the int8 weight `w`, which has this (d_in, d_out)."""
        operands = (x, w + CODES, w + SCALES)
        form = {"K": width[0], "N": width[1], "bits": 8, "block_size": GROUP, "accuracy_level": 4}
        return self.op("MatMulNBits", *operands, out=out, domain=_CONTRIB, **form)

    def _constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def split(self, x: str, names: Iterable[str], lengths: tuple[int, ...], axis: int) -> None:
        names = list(names)
        self.nodes.append(
            helper.make_node("Split", [x, self.ints(*lengths)], names, name=f"node:{names[0]}", axis=axis)
        )


def _layer_norm(b: _Builder, x: str, name: str, config: Config) -> str:
    mean = b.op("ReduceMean", x, b.ints(-1), out=f"{name}.mean", keepdims=1)
    centred = b.op("Sub", x, mean)
    variance = b.op("ReduceMean", b.op("Mul", centred, centred), b.ints(-1), keepdims=1)
    scale = b.op("Sqrt", b.op("Add", variance, b.real(config.layer_norm_epsilon)), out=f"{name}.scale")
    normalized = b.op("Div", centred, scale, out=f"{name}.normalized")
    return b.op("Add", b.op("Mul", normalized, f"{name}.w"), f"{name}.b", out=f"{name}.out")


def _affine(b: _Builder, x: str, w: str, bias: str, width: tuple[int, int], out: str | None = None) -> str:
    if b.config.int8:
        return b.op("Add", b.rounded_product(x, w, width), bias, out=out)
    return b.op("Gemm", x, w, bias, out=out)


def _activation(b: _Builder, x: str, kind: str, out: str) -> str:
    if kind == "relu":
        return b.op("Relu", x, out=out)
    if kind == "silu":
        return b.op("Mul", x, b.op("Sigmoid", x), out=out)
    if kind == "gelu_erf":
        curve = b.op("Erf", b.op("Mul", x, b.real(0.5**0.5)))
    else:
        cube = b.op("Mul", b.op("Mul", x, x), x)
        inner = b.op("Add", x, b.op("Mul", cube, b.real(0.044715)))
        curve = b.op("Tanh", b.op("Mul", inner, b.real((2 / np.pi) ** 0.5)))
    half = b.op("Mul", x, b.real(0.5))
    return b.op("Mul", half, b.op("Add", curve, b.real(1.0)), out=out)


def _attention(b: _Builder, x: str, layer: int, config: Config, hidden: str) -> str:
    name = f"blocks.{layer}.attn"
    d = config.n_embd
    qkv = _affine(b, x, f"{name}.W_QKV", f"{name}.b_QKV", (d, 3 * d))
    flat = [f"_{name}.{letter}" for letter in "qkv"]
    b.split(qkv, flat, (config.n_embd,) * 3, axis=1)
    heads = b.ints(-1, config.n_head, config.d_head)
    q, k, v = (
        b.op("Transpose", b.op("Reshape", f, heads), out=f"{name}.{letter}", perm=[1, 0, 2])
        for f, letter in zip(flat, "qkv", strict=True)
    )
    keys = b.op("Concat", f"past.{layer}.key", k, axis=1)
    values = b.op("Concat", f"past.{layer}.value", v, axis=1)
    scores = b.op("MatMul", q, b.op("Transpose", keys, perm=[0, 2, 1]), out=f"{name}.scores")
    scaled = b.op("Div", scores, b.real(config.score_divisor(layer)), out=f"{name}.scaled")
    masked = b.op("Where", hidden, b.real(-np.inf), scaled, out=f"{name}.masked")
    pattern = b.op("Softmax", masked, out=f"{name}.pattern", axis=-1)
    z = b.op("MatMul", pattern, values, out=f"{name}.z")
    side_by_side = b.op("Transpose", z, perm=[1, 0, 2])
    concat = b.op("Reshape", side_by_side, b.ints(-1, config.n_embd), out=f"{name}.concat")
    return _affine(b, concat, f"{name}.W_O", f"{name}.b_O", (d, d), out=f"blocks.{layer}.attn_out")


def _body(b: _Builder, config: Config) -> str:
    b.op("Identity", "input_ids", out="tokens")
    # Absolute positions: the new tokens stand after whatever the past holds.
    past = b.op("Gather", b.op("Shape", "past.0.key"), b.int0(1), axis=0)
    new = b.op("Gather", b.op("Shape", "input_ids"), b.int0(0), axis=0)
    total = b.op("Add", past, new)
    positions = b.op("Range", past, total, b.int0(1))
    every_key = b.op("Range", b.int0(0), total, b.int0(1))
    # [query, key]: true where the key comes after the query.
    hidden = b.op("Greater", b.op("Unsqueeze", every_key, b.ints(0)), b.op("Unsqueeze", positions, b.ints(1)))
    embed = b.op("Gather", "embed.W_E", "input_ids", out="embed", axis=0)
    pos_embed = b.op("Gather", "pos_embed.W_pos", positions, out="pos_embed", axis=0)
    resid = b.op("Add", embed, pos_embed, out="blocks.0.resid_pre")
    for layer in range(config.n_layer):
        name = f"blocks.{layer}"
        if layer:
            resid = b.op("Identity", resid, out=f"{name}.resid_pre")
        out = _attention(b, _layer_norm(b, resid, f"{name}.ln1", config), layer, config, hidden)
        resid = b.op("Add", resid, out, out=f"{name}.resid_mid")
        x = _layer_norm(b, resid, f"{name}.ln2", config)
        up, down = (config.n_embd, config.d_mlp), (config.d_mlp, config.n_embd)
        pre = _affine(b, x, f"{name}.mlp.W_in", f"{name}.mlp.b_in", up, out=f"{name}.mlp.pre")
        post = _activation(b, pre, config.activation, out=f"{name}.mlp.post")
        out = _affine(b, post, f"{name}.mlp.W_out", f"{name}.mlp.b_out", down, out=f"{name}.mlp_out")
        resid = b.op("Add", resid, out, out=f"{name}.resid_post")
    return _layer_norm(b, resid, "ln_final", config)


def _value(name: str, kind: int, shape: Iterable[int | str], meaning: str = "") -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape), doc_string=meaning)


def _output(row: Tensor, config: Config) -> onnx.ValueInfoProto:
    symbols = {"pos": "pos", "query": "pos", "key": "key"}
    shape: list[int | str] = [symbols.get(axis) or config.size(axis, 0) for axis in row.axes]
    kind = TensorProto.INT64 if row.name == "tokens" else TensorProto.FLOAT
    return _value(row.name, kind, shape, f"{row.spec.meaning}: {row.spec.formula}; [{', '.join(row.axes)}]")


PLACEHOLDER = "weights"
"""The file that the weights of a built graph point to. Nothing reads it: whoever takes the graph provides the data."""


CODES, SCALES = ".codes", ".scales"
"""What the name of an int8 weight goes on with: its whole numbers [d_out, group, GROUP], its scales [d_out x group]."""

_CONTRIB = "com.microsoft"


def _placeholder(name: str, shape: tuple[int, ...], kind: int = TensorProto.FLOAT) -> onnx.TensorProto:
    """An initializer whose bytes are to come from elsewhere."""
    tensor = TensorProto(name=name, data_type=kind, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=PLACEHOLDER)
    return tensor


def unembedding_name(config: Config) -> str:
    """The weight that gives the logits: the embedding itself where the head is tied."""
    return "embed.W_E" if config.tie_word_embeddings else UNEMBEDDING


def _weights(config: Config, used: Collection[str]) -> Iterator[onnx.TensorProto]:
    """The initializers that nodes read, in the order of the forward pass."""
    for name, _, spec in all_weights(config):
        shape = spec.shape(config)
        if name in used:
            yield _placeholder(name, shape)
        if name + CODES in used:
            d_in, d_out = reversed(shape) if name == UNEMBEDDING else shape
            groups = -(-d_in // GROUP)
            yield _placeholder(name + CODES, (d_out, groups, GROUP), TensorProto.UINT8)
            yield _placeholder(name + SCALES, (d_out * groups,))


def build_graph(
    config: Config, *, body: bool = True, head: bool = True, only: Collection[str] | None = None
) -> onnx.ModelProto:
    """The graph as an ONNX model; its weights are initializers without data.

    With `body` alone the outputs end at `ln_final.out`; with `head` alone that is the input. `only` names the outputs
    to expose where that is not every one: whatever is exposed takes memory during a run, asked for or not.
    """
    b = _Builder(config)
    final = _body(b, config) if body else "ln_final.out"
    if head and config.int8:
        b.rounded_product(final, UNEMBEDDING, (config.n_embd, config.vocab_size), out="logits")
    elif head:
        b.op("Gemm", final, unembedding_name(config), out="logits", transB=1)

    inputs, outputs = [], []
    if body:
        inputs.append(_value("input_ids", TensorProto.INT64, ["pos"]))
        for layer in range(config.n_layer):
            for part in ("key", "value"):
                shape: list[int | str] = [config.n_head, "past", config.d_head]
                inputs.append(_value(f"past.{layer}.{part}", TensorProto.FLOAT, shape))
    else:
        inputs.append(_value("ln_final.out", TensorProto.FLOAT, ["pos", config.n_embd]))
    for row in tensor_table(config).values():
        if (head if row.name == "logits" else body) and (only is None or row.name in only):
            outputs.append(_output(row, config))

    used = {name for node in b.nodes for name in node.input}
    graph = helper.make_graph(b.nodes, "gpt2", inputs, outputs, [*_weights(config, used), *b.constants.values()])
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), *([helper.make_opsetid(_CONTRIB, 1)] if config.int8 else [])],
        ir_version=IR_VERSION,
        producer_name="logitscope",
    )
