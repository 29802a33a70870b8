"""Edited passes: sweeps against TransformerLens, one edit against a pass, a strength slider, memory of two runs."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.child import ask, status
from benchmarks.loading import weight_bytes
from benchmarks.passes import ids_of
from benchmarks.peers import Peers
from benchmarks.shapes import checkpoint
from benchmarks.table import Row, against, bounded, interleaved, timed
from desktop_app.core.analysis import what_if
from desktop_app.core.model import open_model
from desktop_app.core.passes import Asked
from desktop_app.core.program.bundle import default_model
from desktop_app.core.runs import compute_passes
from desktop_app.gpt2.edit import parse_edits

_MUTED = "144 heads muted in turn, 16 tokens, against TransformerLens in 12 batches"
_PATCHED = "resid_pre patched over 12 blocks x 16 positions, against TransformerLens in 12 batches"
_REACH = 0.4
_UPDATES = 20  # per second, while a slider is moved
_HERE = "benchmarks.what_if"
_BESIDE = 1.8  # GB that two runs of 1,024 tokens may take in addition to the weights


def missing() -> Iterator[Row]:
    """The rows that need the peers (other libraries), marked as not measured."""
    yield Row(_MUTED, "no --peers", None, _REACH)
    yield Row(_PATCHED, "no --peers", None, _REACH)


def rows(root: Path, venv: Path | None, runs: int) -> Iterator[Row]:
    """Every row of this module; those that need the peers only if their environment is given."""
    folder = checkpoint(root, "small")
    model = open_model(folder)
    engine = model.engine
    engine.prepack()
    ids = ids_of(model, 128)
    plain = engine.trace(ids)
    edits = parse_edits(["blocks.6.attn.z[3]=0"], model.config, len(ids))
    engine.trace(ids, edits=edits, reuse=plain)  # builds the edited blocks' graphs, which are kept, before timing
    # The edit affects only the upper half of the blocks: its pass computes half as many blocks as a full one.
    times = interleaved(
        lambda: timed(lambda: engine.trace(ids, edits=edits, reuse=plain)),
        lambda: timed(lambda: engine.trace(ids)),
        runs=runs,
    )
    yield against("a head of block 6 muted at 128 tokens, against a pass without edits", *times, 1.0)
    low = parse_edits(["blocks.0.attn.z[3]=0"], model.config, len(ids))
    engine.trace(ids, edits=low, reuse=plain)
    times = interleaved(
        lambda: timed(lambda: engine.trace(ids, edits=low, reuse=plain)),
        lambda: timed(lambda: engine.trace(ids)),
        runs=runs,
    )
    yield against("a head of block 0 muted at 128 tokens, against a pass without edits", *times, 1.0)
    yield _slider(runs)
    found = ask(_HERE, str(folder))
    bound = found["weights"] / 1e9 + _BESIDE
    note = "a pass and the same edited; mapped weights and the packed copy too"
    yield bounded(f"two runs of 1,024 tokens: peak memory, against weights + {_BESIDE:g} GB", found["peak"] / 1e9,
                  bound, "GB", note)  # fmt: skip
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
    """A steering edit of the bundled model with changing strength; passes are requested as by the window."""
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


def two_runs(folder: Path) -> dict[str, float]:
    """Memory of a pass over the whole context, and of the same with a head of the first block muted, both kept."""
    from desktop_app.gpt2.system import give_back_memory

    model = open_model(folder)
    model.engine.prepack()
    give_back_memory()
    ids = ids_of(model, model.config.n_positions)
    asked = Asked(ids, ("blocks.0.attn.z[3]=0",))
    passes = compute_passes(model.engine, model.tokenizer, asked)
    assert passes.trace is not passes.before
    return {"peak": status()["VmHWM"], "weights": weight_bytes(model)}


if __name__ == "__main__":
    print(json.dumps(two_runs(Path(sys.argv[1]))))
