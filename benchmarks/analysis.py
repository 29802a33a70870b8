"""Lens, attribution and head scores, against TransformerLens, bare matrix products and a forward pass."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.passes import ids_of
from benchmarks.peers import Peers
from benchmarks.shapes import checkpoint
from benchmarks.table import Row, against, bounded, interleaved, ms, timed
from desktop_app.core.analysis import attribution, circuits, flow, head_circuits, heads, lens
from desktop_app.core.model import Model, open_model
from desktop_app.gpt2.multiply import times_rows
from desktop_app.gpt2.weights import UNEMBEDDING

_LENS = "every point's likeliest token at 16 positions, against TransformerLens"
_ATTRIBUTED = "attribution of every head with its pass, {} tokens, against TransformerLens"
_HEADS = "scores of every head on two times 50 tokens with the pass, against TransformerLens"
_LONG = {16: 0.5, 128: 0.5}


def missing() -> Iterator[Row]:
    """The rows that need the peers (other libraries), marked as not measured."""
    yield Row(_LENS, "no --peers", None, 0.6)
    for tokens, reach in _LONG.items():
        yield Row(_ATTRIBUTED.format(tokens), "no --peers", None, reach)
    yield Row(_HEADS, "no --peers", None, 0.6)


def rows(root: Path, venv: Path | None, runs: int) -> Iterator[Row]:
    """Every row of this module; those that need the peers only if their environment is given."""
    folder = checkpoint(root, "small")
    model = open_model(folder)
    model.engine.prepack()
    yield products(model, runs)
    yield from long_texts(model, runs)
    yield from weights_alone(model, runs)
    if venv is not None:
        with Peers(venv, folder) as peers:
            yield from beside(model, peers, runs)


def products(model: Model, runs: int) -> Row:
    """A lens on 128 positions against only its products with W_U, which are the least work it can do.

    By the faster of numpy and onnxruntime, in pieces whose logits stay in a core's cache.
    """
    config, trace = model.config, model.engine.trace(ids_of(model, 128))
    points = len(lens.points(config))
    vectors = np.random.default_rng(0).standard_normal((points * len(trace), config.n_embd)).astype(np.float32)
    table = model.checkpoint.weights[UNEMBEDDING]
    room = np.empty((len(vectors), 1024), np.float32)

    def by_numpy() -> None:
        for start in range(0, len(table) - 1024, 1024):
            np.matmul(vectors, table[start : start + 1024].T, out=room)
        np.matmul(vectors, table[start + 1024 :].T)

    def by_onnxruntime() -> None:
        def piece(at: tuple[int, int]) -> None:
            row, token = at
            times_rows(vectors[row : row + 800], table[token : token + 512])

        pieces = product(range(0, len(vectors), 800), range(0, len(table), 512))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(piece, pieces):
                pass

    ours, *bare = interleaved(
        lambda: timed(lambda: lens.compute(model.checkpoint, trace)),
        lambda: timed(by_numpy),
        lambda: timed(by_onnxruntime),
        runs=max(3, runs // 3),
    )
    name = f"lens of {points} points at 128 positions, against its bare matrix products"
    row = against(name, ours, min(bare, key=np.median), 1.15)
    numpy_, onnxruntime_ = (ms(float(np.median(times))) for times in bare)
    return replace(row, value=f"{row.value}; numpy {numpy_}, onnxruntime {onnxruntime_}")


def long_texts(model: Model, runs: int) -> Iterator[Row]:
    """The scores of every head on 1,024 tokens, and the information flow below the last of 256 tokens."""
    engine, ids = model.engine, ids_of(model, 1024)
    traces = []

    def run() -> None:
        traces[:] = [engine.trace(ids)]

    times = interleaved(
        lambda: timed(lambda: heads.on_text(model.checkpoint, traces[-1])) if traces else 0.0,
        lambda: timed(run),
        runs=max(3, runs // 3),
    )
    yield against("1,024 tokens: scores of every head, against one pass", *times, 1.3)
    trace = engine.trace(ids_of(model, 256))
    [seconds] = interleaved(lambda: timed(lambda: flow.compute(model.checkpoint, trace)), runs=max(3, runs // 3))
    yield bounded("256 tokens: the flow below the last", 1000 * float(np.median(seconds)), 1000, "ms")


def weights_alone(model: Model, runs: int) -> Iterator[Row]:
    """Composition of every pair of heads, and one head's OV table for its most typical tokens."""
    checkpoint = model.checkpoint
    [seconds] = interleaved(lambda: timed(lambda: circuits.compositions(checkpoint)), runs=max(3, runs // 3))
    yield bounded("composition of every pair of heads", float(np.median(seconds)), 3, "s")
    ids = head_circuits.typical(checkpoint, 5, 1).tolist()  # computes the vectors of all tokens once, before timing
    [seconds] = interleaved(lambda: timed(lambda: head_circuits.table(checkpoint, "OV", 5, 1, ids)), runs=runs)
    yield bounded("OV table of a head for ten tokens", 1000 * float(np.median(seconds)), 200, "ms")


def beside(model: Model, peers: Peers, runs: int) -> Iterator[Row]:
    """Rows against TransformerLens doing the same work, interleaved."""
    engine, weights = model.engine, model.checkpoint

    def pair(name: str, ids: Sequence[int], work: str, ours: Callable[[], object], reach: float) -> Row:
        times = interleaved(lambda: timed(ours), lambda: peers.seconds(f"transformer_lens {work}", ids), runs=runs)
        return against(name, *times, reach)

    ids = ids_of(model, 16)
    trace = engine.trace(ids)
    yield pair(_LENS, ids, "lens", lambda: lens.compute(weights, trace), 0.6)
    for tokens, reach in _LONG.items():
        ids = ids_of(model, tokens)

        def attribute(ids: Sequence[int] = ids) -> None:
            made = engine.trace(ids)
            attribution.compute(weights, made, target=5, against=6, sources=False, neurons=False)

        yield pair(_ATTRIBUTED.format(tokens), ids, "attribution", attribute, reach)
    ids = heads.battery(model.config, 256, 0, 1)[0].tolist()
    yield pair(_HEADS, ids, "heads", lambda: heads.compute(engine, begin=256, sequences=1), 0.6)
