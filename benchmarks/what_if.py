"""Edited passes: sweeps beside TransformerLens, one edit beside a pass, a strength slider, memory of two runs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.passes import ids_of
from benchmarks.peers import Peers
from benchmarks.shapes import checkpoint
from benchmarks.table import Row, against, bounded, interleaved, timed
from desktop_app.core.analysis import what_if
from desktop_app.core.bundle import default_model
from desktop_app.core.model import open_model
from desktop_app.core.passes import Asked
from desktop_app.core.runs import compute_passes
from desktop_app.gpt2.edit import parse_edits

_MUTED = "144 heads muted in turn, 16 tokens, against TransformerLens in 12 batches"
_PATCHED = "resid_pre patched over 12 blocks x 16 positions, against TransformerLens in 12 batches"
_REACH = 0.4
_UPDATES = 20  # a second, of a slider


def missing() -> Iterator[Row]:
    """The rows that need the peers, not measured."""
    yield Row(_MUTED, "no --peers", None, _REACH)
    yield Row(_PATCHED, "no --peers", None, _REACH)


def rows(root: Path, venv: Path | None, runs: int) -> Iterator[Row]:
    """Every row of this module; those that need the peers only with their environment."""
    folder = checkpoint(root, "small")
    model = open_model(folder)
    engine = model.engine
    engine.prepack()
    ids = ids_of(model, 128)
    plain = engine.trace(ids)
    edits = parse_edits(["blocks.6.attn.z[3]=0"], model.config, len(ids))
    engine.trace(ids, edits=edits, reuse=plain)  # the graphs of the blocks are built once
    times = interleaved(
        lambda: timed(lambda: engine.trace(ids, edits=edits, reuse=plain)),
        lambda: timed(lambda: engine.trace(ids)),
        runs=runs,
    )
    yield against("a head of block 6 muted at 128 tokens, against a pass without edits", *times, 1.0)
    yield _slider(runs)
    if venv is None:
        return
    ids = ids_of(model, 16)
    clean = engine.trace(ids)
    corrupt = engine.trace((*ids[:3], (ids[3] + 1) % model.config.vocab_size, *ids[4:]), reuse=clean)
    tokens = {"target": 5, "against": 6}
    with Peers(venv, folder) as peers:
        times = interleaved(
            lambda: timed(lambda: what_if.ablate(engine, clean, **tokens)),
            lambda: peers.seconds("transformer_lens ablation", ids),
            runs=runs,
        )
        yield against(_MUTED, *times, _REACH)
        times = interleaved(
            lambda: timed(lambda: what_if.patch(engine, clean, corrupt, **tokens)),
            lambda: peers.seconds("transformer_lens patching", ids),
            runs=runs,
        )
        yield against(_PATCHED, *times, _REACH)


def _slider(runs: int) -> Row:
    """A steering edit of the bundled model whose strength changes, its passes as the window asks for them."""
    model = open_model(default_model())
    model.engine.prepack()
    ids, made = ids_of(model, 20), []

    def move() -> None:
        text = f"blocks.1.resid_pre+={len(made) / 10:g}*tokens[5, 6]"
        made.append(compute_passes(model.engine, model.tokenizer, Asked(ids, (text,)), made[-1] if made else None))

    move()
    move()
    [seconds] = interleaved(lambda: timed(move), runs=3 * runs)
    return bounded("a steering edit moved, 20 tokens of the bundled model", 1000 * float(np.median(seconds)),
                   1000 / _UPDATES, "ms")  # fmt: skip
