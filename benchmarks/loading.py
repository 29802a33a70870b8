"""Opening a model and holding a long text: time and memory, each in a separate process."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import ask, status
from benchmarks.shapes import checkpoint
from benchmarks.table import Row, bounded, timed

_HERE = "benchmarks.loading"
_LOOKED_AT = (
    *(("heads", shows) for shows in ("patterns", "scores", "one", "mean", "rollout")),
    *((key, "patterns") for key in ("why", "look", "flow")),
)
"""Workspaces, and the form that the one of heads has. The lens takes too long at this length: a part is computed."""


def rows(root: Path, runs: int) -> Iterator[Row]:
    """Every row of this module."""
    folder = str(checkpoint(root, "small"))
    ask(_HERE, "open", folder)  # warms the file cache
    found = [ask(_HERE, "open", folder) for _ in range(runs)]
    weights = found[0]["weights"]
    ready = median(f["open"] for f in found)
    yield bounded("GPT-2 small opens: first answer possible", ready, 0.15, "s", "weights mapped, warm file cache")
    grown = max(f["grown"] for f in found) / weights
    yield bounded("... its own memory above the process before", grown, 0.2, "x the weights")
    yield bounded("... packed after that", median(f["pack"] for f in found), 1.0, "s")
    peak = max(f["peak"] for f in found) / weights
    note = "all the process's, mapped pages too"
    yield bounded("... peak", peak, 1.4, "x the weights", note)
    long = ask(_HERE, "long", folder)
    bound = long["weights"] / 1e9 + 1.0
    note = "the packed copy, mapped pages, all heads of all blocks, a grid, heads, lens, why, look, flow; results kept"
    yield bounded("1,024 tokens: peak memory, against weights + 1.0 GB", long["peak"] / 1e9, bound, "GB", note)


def weight_bytes(model: Any) -> int:
    """The bytes of all parameters in float32; a tied unembedding counts once."""
    from desktop_app.gpt2.weights import parameter_count

    return 4 * parameter_count(model.config)


def open_and_pack(folder: Path) -> dict[str, float]:
    from desktop_app.core import model as models  # all imports happen before measuring

    before = status()
    opened: list[models.Model] = []
    seconds = timed(lambda: opened.append(models.open_model(folder)))
    grown = status()["RssAnon"] - before["RssAnon"]
    pack = timed(opened[0].engine.prepack)
    return {
        "open": seconds,
        "grown": grown,
        "pack": pack,
        "peak": status()["VmHWM"],
        "weights": weight_bytes(opened[0]),
    }


def hold(folder: Path) -> dict[str, float]:
    """A pass over 1,024 tokens, every head of every block, one grid, and the workspaces' views with what they need.

    Results are kept, as the window keeps them. The lens covers 130 positions only: it reads 64 at a time, so further
    positions take no more memory.
    """
    from dataclasses import replace

    from benchmarks.passes import ids_of
    from desktop_app.core.analysis import lens
    from desktop_app.core.model import open_model
    from desktop_app.core.products import completed
    from desktop_app.core.scene import make_scene
    from desktop_app.core.session.state import State, with_option
    from desktop_app.core.steps import build_view, step_list, workspaces
    from desktop_app.gpt2.system import give_back_memory

    model = open_model(folder)
    model.engine.prepack()
    trace = model.engine.trace(ids_of(model, model.config.n_positions))
    scene = make_scene("", model.checkpoint, model.tokenizer, trace, State())
    for step in step_list(model.config):
        if step.spec.op == "pattern":  # one grid, and the thumbnails of all heads
            state = replace(scene.state, layer=step.layer or 0)
            at = make_scene("", model.checkpoint, model.tokenizer, trace, state, scene)
            build_view(at, step)
    last = replace(State(), layer=model.config.n_layer - 1)  # its scores have the most parts
    scene = make_scene("", model.checkpoint, model.tokenizer, trace, last, scene)
    places = {place.key: place for place in workspaces(model.config)}
    for key, shows in _LOOKED_AT:
        place = places[key]
        scene = replace(scene, state=with_option(last, "heads", shows))
        scene = completed(scene, place.spec.wants, model)
        build_view(scene, place)
        give_back_memory()  # as the window does after each
    with model.engine.sparing(model.config.n_positions):
        lens.compute(model.checkpoint, trace, end=130)
    return {"peak": status()["VmHWM"], "weights": weight_bytes(model)}


if __name__ == "__main__":
    print(json.dumps({"open": open_and_pack, "long": hold}[sys.argv[1]](Path(sys.argv[2]))))
