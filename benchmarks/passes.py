"""Forward passes: the cost of capturing tensors and of an edit of the text, time of a text's grids, time to cancel."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.shapes import checkpoint, text
from benchmarks.table import Row, against, bounded, interleaved, ms, percentile, timed
from desktop_app.core.model import Model, open_model
from desktop_app.core.scene import make_scene
from desktop_app.core.session.state import State
from desktop_app.core.steps import build_view, step_list
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import Cancelled
from desktop_app.gpt2.session import Stop, make_session
from desktop_app.gpt2.tensors import past_inputs, tensor_table

_PIECE = 1 << 20  # weights read at once


class FullPass:
    """A pass with the logits of all positions that captures the tensors named in `only`.

    As in the program, a text of more than `chunk` tokens runs in chunks, each on the keys and values of those before
    it; `only` must then name all keys and values.
    """

    def __init__(self, checkpoint: Checkpoint, only: frozenset[str], chunk: int = 1 << 30) -> None:
        self._chunk, self._names = chunk, sorted(only | {"logits"})
        self._session = make_session(checkpoint, only=frozenset(self._names), packed=True)
        c = checkpoint.config
        self._inputs = past_inputs(c)
        nothing = np.zeros((c.n_head, 0, c.d_head), np.float32)
        self._past: dict[str, NDArray[np.float32]] = dict.fromkeys(self._inputs, nothing)

    def __call__(self, ids: Sequence[int]) -> list[list[Any]]:
        found: list[list[Any]] = []
        past = self._past
        for start in range(0, len(ids), self._chunk):
            if found:
                new = dict(zip(self._names, found[-1], strict=True))
                past = {name: np.concatenate([past[name], new[own]], 1) for name, own in self._inputs.items()}
            feeds = {"input_ids": np.asarray(ids[start : start + self._chunk], np.int64), **past}
            found.append(list(self._session.run(self._names, feeds)))
        return found


def without_grids(checkpoint: Checkpoint) -> frozenset[str]:
    """The names of all tensors except attention grids."""
    return frozenset(n for n, row in tensor_table(checkpoint.config).items() if "key" not in row.axes)


def rows(root: Path, runs: int) -> Iterator[Row]:
    """Every row of this module."""
    model = open_model(checkpoint(root, "small"))
    model.engine.prepack()
    yield from exposing(model, runs)
    yield from prompts(model, runs)
    yield from edits(model, runs)
    yield from long_texts(model, runs)
    yield stopping(model, runs)


def exposing(model: Model, runs: int) -> Iterator[Row]:
    bare = FullPass(model.checkpoint, frozenset())
    captured = FullPass(model.checkpoint, without_grids(model.checkpoint))
    for tokens in (8, 128, 512):
        ids = ids_of(model, tokens)
        works = (lambda ids=ids: timed(lambda: captured(ids)), lambda ids=ids: timed(lambda: bare(ids)))
        times = interleaved(*works, runs=runs)
        yield against(f"every non-grid tensor captured, against logits alone, {tokens} tokens", *times, 1.05)


def prompts(model: Model, runs: int) -> Iterator[Row]:
    full, ids = FullPass(model.checkpoint, frozenset(tensor_table(model.checkpoint.config))), ids_of(model, 128)
    times = interleaved(lambda: timed(lambda: model.engine.trace(ids)), lambda: timed(lambda: full(ids)), runs=runs)
    yield against("a new prompt of 128 tokens, against the full pass with all logits", *times, 0.75)


def edits(model: Model, runs: int) -> Iterator[Row]:
    """The last of 128 tokens is changed and a step's view rebuilt; then a token is inserted in the middle."""
    engine, ids = model.engine, ids_of(model, 128)
    before = engine.trace(ids)
    step = next(s for s in step_list(model.config) if s.key == "blocks.5.attn.pattern")
    letters = iter(range(10_000))
    computed = []

    def edit() -> None:
        changed = (*ids[:-1], 97 + next(letters) % 26)
        trace = engine.trace(changed, reuse=before)
        computed.append(trace.computed)
        build_view(make_scene("", model.checkpoint, model.tokenizer, trace, State(step=step.key, layer=5)), step)

    times = interleaved(lambda: timed(edit), lambda: read_weights(model.checkpoint), runs=runs)
    yield against("the last of 128 tokens edited, against reading all weights once", *times, 1.6)
    yield bounded("... tokens computed", max(computed), 1, "tokens")
    middle = engine.trace((*ids[:60], 120, *ids[60:]), reuse=before)
    yield bounded("a word comes into the middle: tokens computed", middle.computed, 128 + 1 - 60, "tokens")


def read_weights(checkpoint: Checkpoint) -> float:
    """Seconds that two threads take to read every byte of the weights once, by the faster of two ways.

    They are a dot product of each piece with one vector, which stays in the cache, and the maximum of each piece.
    """
    pieces = [
        piece
        for weight in checkpoint.weights.values()
        for piece in np.array_split(weight.reshape(-1), weight.size // _PIECE + 1)
    ]
    other = np.ones(_PIECE // 64, np.float32)

    def dot(piece: NDArray[np.float32]) -> float:
        rows = len(piece) // len(other)
        return float((piece[: rows * len(other)].reshape(rows, -1) @ other).sum()) if rows else float(piece.sum())

    def greatest(piece: NDArray[np.float32]) -> float:
        return float(piece.max())

    with ThreadPoolExecutor(2) as pool:
        return min(timed(lambda way=way: list(pool.map(way, pieces, chunksize=8))) for way in (dot, greatest))


def long_texts(model: Model, runs: int) -> Iterator[Row]:
    """The grid of one head, and those of all heads of all blocks, at 1,024 tokens, from a trace that keeps no grids."""
    engine, ids = model.engine, ids_of(model, 1024)
    rng = np.random.default_rng(0)
    steps = [s for s in step_list(model.config) if s.spec.op == "pattern"]
    passes, grids, thumbnails = [], [], []
    for _ in range(max(3, runs // 3)):
        begun = time.perf_counter()
        trace = engine.trace(ids)
        passes.append(time.perf_counter() - begun)
        scene = make_scene("", model.checkpoint, model.tokenizer, trace, State())
        begun = time.perf_counter()
        for step in steps:
            build_view(_at(scene, layer=step.layer or 0), step)  # with the thumbnails of all heads
        thumbnails.append(time.perf_counter() - begun)
        for _ in range(runs):
            step, head = steps[rng.integers(len(steps))], int(rng.integers(model.config.n_head))
            at = _at(scene, layer=step.layer or 0, head=head)
            grids.append(timed(lambda at=at, step=step: build_view(at, step)))
    note = f"median of {len(grids)}; 99th percentile {ms(percentile(grids))}"
    yield bounded("1,024 tokens: a grid opens", 1000 * statistics.median(grids), 30, "ms", note)
    name = f"1,024 tokens: all {model.config.n_head * len(steps)} thumbnails, against one pass"
    yield against(name, thumbnails, passes, 1.3)


def _at(scene: Any, **changes: int) -> Any:
    return make_scene(
        scene.name, scene.checkpoint, scene.tokenizer, scene.trace, replace(scene.state, **changes), scene
    )


def stopping(model: Model, runs: int) -> Row:
    """A pass over 1,024 tokens, cancelled at moments spread over its whole duration."""
    engine, ids = model.engine, ids_of(model, 1024)
    whole = timed(lambda: engine.trace(ids))
    late = []
    for n in range(2 * runs):
        stop, ended = Stop(), []

        def work(stop: Stop = stop, ended: list[float] = ended) -> None:
            try:
                engine.trace(ids, stop=stop)
            except Cancelled:
                ended.append(time.perf_counter())

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(whole * (n + 0.5) / (2 * runs))
        asked = time.perf_counter()
        stop.set()
        thread.join()
        if ended:
            late.append(ended[0] - asked)
    note = f"{len(late)} stops, median {ms(statistics.median(late))}"
    return bounded("1,024 tokens: a pass stops", 1000 * max(late), 50, "ms", note)


def ids_of(model: Model, tokens: int) -> tuple[int, ...]:
    return model.tokenizer.encode(text(tokens)).ids
