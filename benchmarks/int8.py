"""Weights in int8 against float32: time per token, and memory of an open model."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.child import ask, status
from benchmarks.passes import ids_of
from benchmarks.shapes import checkpoint
from benchmarks.table import Row, against, bounded, interleaved, timed
from desktop_app.core.model import Model, open_model

_HERE = "benchmarks.int8"


def rows(root: Path, runs: int) -> Iterator[Row]:
    """Every row of this module."""
    folder = checkpoint(root, "small")
    exact, rounded = open_model(folder), open_model(folder, int8=True)
    exact.engine.prepack()
    yield against(
        "int8: one token after 127, against float32", *interleaved(edit(rounded), edit(exact), runs=runs), 0.5
    )
    taken = {kind: ask(_HERE, kind, str(folder))["own"] for kind in ("int8", "float32")}
    note = f"{taken['int8'] / 1e6:,.0f} of {taken['float32'] / 1e6:,.0f} MB, after a pass"
    yield bounded("... memory of its own, against float32", taken["int8"] / taken["float32"], 0.35, "x", note)


def edit(model: Model) -> Callable[[], float]:
    """A function that times one pass at each call, in which only the last of 128 tokens is computed."""
    ids = ids_of(model, 128)
    before = model.engine.trace(ids)
    letters = iter(range(10_000))
    return lambda: timed(lambda: model.engine.trace((*ids[:-1], 97 + next(letters) % 26), reuse=before))


def take(folder: Path, *, int8: bool) -> dict[str, int]:
    """The private bytes of a model once it is open, prepacked and has run a pass."""
    before = status()["RssAnon"]
    model = open_model(folder, int8=int8)
    model.engine.prepack()
    model.engine.trace(ids_of(model, 1))
    return {"own": status()["RssAnon"] - before}


if __name__ == "__main__":
    print(json.dumps(take(Path(sys.argv[2]), int8=sys.argv[1] == "int8")))
