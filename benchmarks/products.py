"""A pass against only its matrix products, and one of a few tokens against reading the weights: bounds on any pass.

The products are those of a pass with the logits of all positions: with every weight matrix, and the two of attention.
They run without anything in between, on random vectors, with numpy, with onnxruntime and packed weights and, in the
peers' environment, by PyTorch; the fastest of the three in a round counts.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from benchmarks.passes import FullPass, ids_of, read_weights
from benchmarks.peers import Peers
from benchmarks.shapes import checkpoint
from benchmarks.table import Row, against, interleaved, ms, timed
from desktop_app.core.model import open_model
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.engine import CHUNK
from desktop_app.gpt2.graph import IR_VERSION, OPSET, placeholder
from desktop_app.gpt2.session import session_of
from desktop_app.gpt2.weights import UNEMBEDDING, matrices

REACHES = {128: 1.15, 512: 1.15, 1024: 1.25}
_READ = 1.15

_NAME = "full pass with every kept tensor, against its bare matrix products, {} tokens"
_READING = "full pass with every kept tensor, 8 tokens, against reading all weights"


def missing() -> Iterator[Row]:
    """The rows, marked as not measured."""
    for tokens, reach in REACHES.items():
        yield Row(_NAME.format(tokens), "no --peers", None, reach)


def rows(root: Path, venv: Path | None, runs: int) -> Iterator[Row]:
    """Every row of this module; without `venv`, which has PyTorch, only the row against reading the weights."""
    folder = checkpoint(root, "small")
    model = open_model(folder)
    model.engine.prepack()
    kept = frozenset(name for name, row in model.engine.table.items() if row.spec.kept)
    full = FullPass(model.checkpoint, kept, CHUNK)
    ids = ids_of(model, 8)
    times = interleaved(lambda: timed(lambda: full(ids)), lambda: read_weights(model.checkpoint), runs=runs)
    yield against(_READING, *times, _READ)
    if venv is None:
        return
    with Peers(venv, folder) as peers:
        for tokens, reach in REACHES.items():
            yield _beside(model.checkpoint, full, ids_of(model, tokens), peers, reach, runs)


def _beside(checkpoint: Checkpoint, full: FullPass, ids: Sequence[int], peers: Peers, reach: float, runs: int) -> Row:
    count = len(ids)
    by = {"numpy": in_numpy(checkpoint, count), "onnxruntime": in_onnxruntime(checkpoint, count)}
    works = [lambda work=work: timed(work) for work in by.values()]
    times = interleaved(lambda: timed(lambda: full(ids)), *works, lambda: peers.seconds("products", ids), runs=runs)
    ours, *others = times
    fastest = [min(found) for found in zip(*others, strict=True)]
    row = against(_NAME.format(count), ours, fastest, reach)
    each = zip([*by, "PyTorch"], others, strict=True)
    note = ", ".join(f"{name} {ms(float(np.median(found)))}" for name, found in each)
    return Row(row.name, f"{row.value}; {note}", row.ratio, row.reach)


def in_numpy(checkpoint: Checkpoint, count: int) -> Callable[[], None]:
    """A function that computes the products with numpy, into memory allocated in advance."""
    config = checkpoint.config
    weights = [_matrix(checkpoint, name) for name in matrices(config)]
    given = {d_in: _random(count, d_in) for d_in in {len(w) for w in weights}}
    room = {d_out: np.empty((count, d_out), np.float32) for d_out in {w.shape[1] for w in weights}}
    rows, keys = _random(config.n_head, count, config.d_head), _random(config.n_head, config.d_head, count)
    scores = np.empty((config.n_head, count, count), np.float32)
    z = np.empty_like(rows)

    def work() -> None:
        for w in weights:
            np.matmul(given[len(w)], w, out=room[w.shape[1]])
        for _ in range(config.n_layer):
            np.matmul(rows, keys, out=scores)
            np.matmul(scores, rows, out=z)

    return work


def in_onnxruntime(checkpoint: Checkpoint, count: int) -> Callable[[], None]:
    """A function that computes the products in one onnxruntime graph, one from another; only logits are output."""
    config = checkpoint.config
    nodes, stream, heads = [], "x", "rows"
    for name, (_, d_out) in matrices(config).items():
        out = f"{name} out"
        turned = {"transB": 1} if name == UNEMBEDDING else {}
        nodes.append(helper.make_node("Gemm", [stream, name], [out], **turned))
        stream = out
        if d_out == 3 * config.n_embd:
            parts = [f"{name} {n}" for n in range(3)]
            nodes.append(helper.make_node("Split", [stream], parts, axis=1, num_outputs=3))
            stream = parts[0]
    for layer in range(config.n_layer):
        nodes.append(helper.make_node("MatMul", [heads, "keys"], [f"scores {layer}"]))
        nodes.append(helper.make_node("MatMul", [f"scores {layer}", "rows"], [f"z {layer}"]))
        heads = f"z {layer}"
    feeds = {
        "x": _random(count, config.n_embd),
        "rows": _random(config.n_head, count, config.d_head) / count,  # so that products of products stay small
        "keys": _random(config.n_head, config.d_head, count),
    }
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, put.shape) for name, put in feeds.items()]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (stream, heads)]
    weights = [placeholder(name, shape) for name, shape in matrices(config).items()]
    graph = helper.make_graph(nodes, "products", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    session = session_of(model, checkpoint, packed=True)
    return lambda: session.run(None, feeds)


def _matrix(checkpoint: Checkpoint, name: str) -> NDArray[np.float32]:
    """A weight as [d_in, d_out]."""
    weight = checkpoint.weights[name]
    return weight.T if name == UNEMBEDDING else weight


def _random(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, np.float32)
