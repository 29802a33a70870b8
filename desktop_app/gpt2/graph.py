"""The ONNX graph of a GPT-2 with every tensor of the table exposed under its own name.

Inputs: `input_ids` [pos] int64, and `past.L.key`, `past.L.value` [head, past, d_head] (length 0 works). There is no
batch axis. The body ends at `ln_final.out`; the head, `logits`, takes a third of a pass and can be a separate graph.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import onnx
from onnx import TensorProto, helper

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.formula import Site
from desktop_app.gpt2.fused import OPSET as FUSED_OPSET
from desktop_app.gpt2.fused import fused
from desktop_app.gpt2.nodes import CODES, CONTRIB, SCALES, Nodes
from desktop_app.gpt2.rounding import GROUP
from desktop_app.gpt2.tensors import Tensor, past_of, tensor_table
from desktop_app.gpt2.weights import UNEMBEDDING, all_weights, summed_axis, unembedding_name

OPSET = 18
IR_VERSION = 9


def _prologue(nodes: Nodes) -> tuple[str, str]:
    """Add the nodes before the first formula; return the names of the positions and of the mask of hidden keys."""
    nodes.op("Identity", "input_ids", out="tokens")
    # Absolute positions: the new tokens follow the past.
    any_past = next(iter(past_of(0)))
    past = nodes.op("Gather", nodes.op("Shape", any_past), nodes.int0(1), axis=0)
    new = nodes.op("Gather", nodes.op("Shape", "input_ids"), nodes.int0(0), axis=0)
    total = nodes.op("Add", past, new)
    positions = nodes.op("Range", past, total, nodes.int0(1))
    every_key = nodes.op("Range", nodes.int0(0), total, nodes.int0(1))
    # [query, key]: true where the key comes after the query.
    columns, rows = nodes.op("Unsqueeze", every_key, nodes.ints(0)), nodes.op("Unsqueeze", positions, nodes.ints(1))
    return positions, nodes.op("Greater", columns, rows)


def _with_past(nodes: Nodes, layer: int, there: Collection[str]) -> dict[str, str]:
    """A block's keys and values, if the graph has them -> the same, preceded by those of the past."""
    return {own: nodes.op("Concat", past, own, axis=1) for past, own in past_of(layer).items() if own in there}


def _emit(nodes: Nodes, row: Tensor, there: Collection[str], positions: str, hidden: str) -> None:
    """Add the nodes of one tensor, by its formula, to a graph that has the tensors `there`."""
    layer = row.layer or 0
    names = {"tokens": "input_ids"}
    if not nodes.config.int8:
        names[UNEMBEDDING] = unembedding_name(nodes.config)
    if not row.whole.isdisjoint(past_of(layer).values()):
        names |= _with_past(nodes, layer, there)
    operands = (names.get(name, name) for name in row.inputs)
    row.spec.formula.emit(nodes, Site(layer, positions, hidden), row.name, *operands)


def _value(name: str, kind: int, shape: Iterable[int | str], meaning: str = "") -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape), doc_string=meaning)


def _output(row: Tensor, config: Config) -> onnx.ValueInfoProto:
    symbols = {"pos": "pos", "query": "pos", "key": "key"}
    shape: list[int | str] = [symbols.get(axis) or config.size(axis, 0) for axis in row.axes]
    kind = TensorProto.INT64 if row.name == "tokens" else TensorProto.FLOAT
    return _value(row.name, kind, shape, f"{row.spec.meaning}: {row.spec.written}; [{', '.join(row.axes)}]")


PLACEHOLDER = "weights"
"""The file that the weights of a built graph refer to. Nothing reads it: the caller provides the data."""


def placeholder(name: str, shape: tuple[int, ...], kind: int = TensorProto.FLOAT) -> onnx.TensorProto:
    """An initializer whose data the caller provides."""
    tensor = TensorProto(name=name, data_type=kind, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=PLACEHOLDER)
    return tensor


def _weights(config: Config, used: Collection[str]) -> Iterator[onnx.TensorProto]:
    """The initializers that nodes read, in the order of the forward pass."""
    for name, _, spec in all_weights(config):
        shape = spec.shape(config)
        if name in used:
            yield placeholder(name, shape)
        if name + CODES in used:
            axis = summed_axis(name)
            d_in, d_out = shape[axis], shape[1 - axis]
            groups = -(-d_in // GROUP)
            yield placeholder(name + CODES, (d_out, groups, GROUP), TensorProto.UINT8)
            yield placeholder(name + SCALES, (d_out * groups,))


def between(table: Mapping[str, Tensor], given: Collection[str], only: Collection[str]) -> list[Tensor]:
    """The rows of the table needed to compute the tensors `only` from the tensors `given`."""
    needed: set[str] = set()
    behind = list(only)
    while behind:
        name = behind.pop()
        if name in table and name not in needed and name not in given:
            needed.add(name)
            behind += table[name].inputs
    return [row for row in table.values() if row.name in needed]


def build_graph(
    config: Config,
    *,
    body: bool = True,
    head: bool = True,
    only: Collection[str] | None = None,
    given: Collection[str] | None = None,
    fuse: bool = False,
) -> onnx.ModelProto:
    """The graph as an ONNX model; its weights are initializers without data.

    With `body` alone, the outputs end at `ln_final.out`; with `head` alone, that is the input. `only` names the
    outputs, by default all: every exposed tensor takes memory during a run, requested or not. If `given` is not None,
    even if it is empty, its tensors are inputs, and the graph computes `only` from them and nothing more. With `fuse`,
    the operators of `fused.py`, which need a later opset, compute the tensors that are not exposed.
    """
    nodes = Nodes(config)
    positions, hidden = _prologue(nodes) if body else ("", "")
    table = tensor_table(config)
    rows = [row for row in table.values() if (head if row.name == "logits" else body)]
    fuse = fuse and only is not None
    if fuse:
        table = fused(table, config, only or ())
    if fuse or given is not None:
        rows = between(table, given or (), only or ())
    there = {row.name for row in rows}.union(given or ())
    for row in rows:
        if row.inputs:
            _emit(nodes, row, there, positions, hidden)

    inputs = []
    if body:
        inputs.append(_value("input_ids", TensorProto.INT64, ["pos"]))
        for layer in range(config.n_layer):
            for name in past_of(layer):
                inputs.append(_value(name, TensorProto.FLOAT, [config.n_head, "past", config.d_head]))
    else:
        inputs.append(_value("ln_final.out", TensorProto.FLOAT, ["pos", config.n_embd]))
    inputs += [_output(table[name], config) for name in given or ()]
    outputs = [_output(row, config) for row in rows if only is None or row.name in only]

    return _model(nodes, inputs, outputs, FUSED_OPSET if fuse else OPSET)


POSITIONS, HIDDEN = "positions", "hidden"
"""Inputs of a graph from `build_piece`: the position of each row [pos], and true where a key is hidden from a row,
[head, pos, key] or, if all heads are alike, [1, pos, key]."""


def build_piece(
    config: Config,
    table: Mapping[str, Tensor],
    given: Collection[str],
    only: Collection[str],
    *,
    fuse: bool = False,
    feed: bool = False,
) -> onnx.ModelProto:
    """The graph that computes the tensors `only` from those `given` and nothing more, in a pass that may be edited.

    The positions of rows, and the keys hidden from each, are inputs, so that rows of several passes can run together.
    As in the whole graph, past keys and values precede those of the rows. `keep` and `put` of edits are among the
    `given`. With `fuse`, the table comes from `fused.py`, whose operators need a later opset. With `feed`, the weights
    are inputs as well, so that the graph can be used for any block of the same form.
    """
    nodes = Nodes(config)
    rows = between(table, given, only)
    there = {row.name for row in rows}.union(given)
    for row in rows:
        if row.name == "tokens":
            nodes.op("Identity", "input_ids", out="tokens")
        else:
            _emit(nodes, row, there, POSITIONS, HIDDEN)
    used = {name for node in nodes.nodes for name in node.input}
    inputs = [
        _value("input_ids", TensorProto.INT64, ["pos"]),
        _value(POSITIONS, TensorProto.INT64, ["pos"]),
        _value(HIDDEN, TensorProto.BOOL, ["heads", "pos", "key"]),
        *(
            _value(name, TensorProto.FLOAT, [config.n_head, "past", config.d_head])
            for layer in range(config.n_layer)
            for name in past_of(layer)
        ),
        *(_output(table[name], config) for name in given),
        *(_value(weight.name, weight.data_type, weight.dims) for weight in (_weights(config, used) if feed else ())),
    ]
    outputs = [_output(table[name], config) for name in only]
    opset = FUSED_OPSET if fuse else OPSET
    return _model(nodes, [put for put in inputs if put.name in used], outputs, opset)


def _model(
    nodes: Nodes,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    opset: int = OPSET,
) -> onnx.ModelProto:
    """The model of all nodes, with those of their weights that are not `inputs`."""
    config = nodes.config
    used = {name for node in nodes.nodes for name in node.input}.difference(put.name for put in inputs)
    initializers = [*_weights(config, used), *nodes.constants.values()]
    operators = [("", opset), *([(CONTRIB, 1)] if config.int8 else [])]
    graph = helper.make_graph(nodes.nodes, "gpt2", inputs, outputs, initializers)
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(*own) for own in operators],
        ir_version=IR_VERSION,
        producer_name="logitscope",
    )
