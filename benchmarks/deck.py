"""Time to make a deck of all 205 steps of a model of GPT-2 small's shape: `./run benchmarks.deck [KIND ...]`.

Random weights, an eight-token text, two processes. Prints the wall time of each kind (pptx by default), its CPU time
and the file's size; the target for pptx is 90 s on two idle cores. Exits with 1 on a miss.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from desktop_app.core.model import open_model
from desktop_app.core.scene import make_scene
from desktop_app.core.session.state import State
from desktop_app.figures.deck.make import Wish, make_deck, prepare
from desktop_app.figures.deck.walk import choose, slides
from tests.checkpoints import random_weights, write_checkpoint

_SMALL = {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
_REACH = 90.0
_JOBS = 2


def worked() -> float:
    """CPU seconds of this process and its terminated children."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in both)


def main() -> int:
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder) / "small", _SMALL, random_weights(_SMALL, 1, 0.02))
        model = open_model(Path(folder) / "small")
        trace = model.engine.trace(list(b"A walk. "))
        scene = make_scene(model.name, model.checkpoint, model.tokenizer, trace, State())
        items = choose(model.config, "all")
        print(f"{len(items)} steps, {_JOBS} processes, load before: {os.getloadavg()[0]:.1f}")
        for kind in sys.argv[1:] or ["pptx"]:
            out = Path(folder) / f"deck.{kind}"
            begun, before = time.perf_counter(), worked()
            make_deck(slides(scene, items), len(items), prepare(Wish(kind)), out, jobs=_JOBS)
            took, work = time.perf_counter() - begun, worked() - before
            missed |= kind == "pptx" and took > _REACH
            print(f"{kind:5} {took:6.1f} s, {work:6.1f} s of work, {out.stat().st_size / 1e6:.1f} MB")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
