"""A scan of texts, against bare passes over the same windows on one thread; and how its time scales with the texts.

Each measurement runs in a separate process with one numpy thread, as Dask's workers do.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.child import ROOT, status
from benchmarks.real_shapes import write_shape
from benchmarks.table import Row, against, bounded, interleaved, timed

_HERE = "benchmarks.evidence"
WINDOWS, LENGTH = 12, 128
HALF, TWO = 1 / 0.5, 1 / (0.5 * 0.9)
SPARE = 700e6  # bytes of a worker in addition to the weights
SIZES = (1, 20)  # MB of text
GROWTH = {"n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 128, "model_type": "gpt2"}
_BUNDLED = ROOT / "models" / "bundled"


def _started(*words: str) -> "subprocess.Popen[str]":
    alone = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", _HERE, *words]
    return subprocess.Popen(command, cwd=ROOT, env=alone, stdout=subprocess.PIPE, text=True)


def _asked(*words: str) -> dict[str, float]:
    process = _started(*words)
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}")
    return dict(json.loads(said.splitlines()[-1]))


def measure(folder: Path, what: str, windows: int) -> dict[str, float]:
    """Seconds of the passes alone ("bare") or with counting ("counted"), and the private bytes (RssAnon) afterwards."""
    import numpy as np

    from desktop_app.core.evidence.batch import Passes, Plan, tally_of
    from desktop_app.gpt2.checkpoint import load_checkpoint
    from desktop_app.gpt2.session import make_session

    checkpoint = load_checkpoint(folder)
    rng = np.random.default_rng(0)
    ids = [rng.integers(0, checkpoint.config.vocab_size, LENGTH) for _ in range(windows)]
    passes = Passes(checkpoint)
    body = make_session(checkpoint, head=False, only=["ln_final.out"], threads=1)

    def bare() -> None:
        for one in ids:
            feeds = {"input_ids": one.astype(np.int64), **passes._past}
            passes.logits(body.run(["ln_final.out"], feeds)[0])

    def counted() -> None:
        tally_of(passes, Plan(LENGTH), 0, ids)

    work = bare if what == "bare" else counted
    work()
    seconds = timed(work)
    return {"seconds": seconds, "own": float(status()["RssAnon"])}


def grow(folder: Path, megabytes: int) -> dict[str, float]:
    """Processor time of a scan of so many megabytes without its tables, in seconds, and its peak memory in bytes.

    On one thread it is the time of an undisturbed machine, so that runs at different moments can be compared. The
    memory is without the windows, which are a file that grows with the text and is mapped, not held.
    """
    from desktop_app.core.evidence.runner import Here
    from desktop_app.core.evidence.scan import Request, count, prepare
    from desktop_app.core.evidence.windows import IDS, ROWS
    from desktop_app.gpt2.checkpoint import load_checkpoint
    from desktop_app.gpt2.tokenizer import Tokenizer

    words = (ROOT / "README.md").read_text("utf-8").split()
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as made:
        text = Path(made, "text.txt")
        with text.open("w", encoding="utf-8") as file:
            while file.tell() < megabytes * 1_000_000:
                file.write(" ".join(draw.choices(words, k=2000)) + "\n")
        checkpoint = load_checkpoint(folder)
        tokenizer = Tokenizer.load(folder, vocab_size=checkpoint.config.vocab_size)

        begun = time.process_time()
        scan = prepare(Request((str(text),), Path(made, "out"), LENGTH), checkpoint, tokenizer)
        assert scan is not None
        count(scan, Here())
        seconds = time.process_time() - begun
        mapped = sum(Path(made, "out", "unfinished", name).stat().st_size for name in (IDS, ROWS))
    return {"seconds": seconds, "tokens": scan.cut["tokens"], "peak": float(status()["VmHWM"] - mapped)}


def rows(root: Path, runs: int) -> Iterator[Row]:
    """The rows of the table."""
    folder = root / "small"
    if not folder.exists():
        write_shape(folder, "small")

    def seconds(what: str) -> float:
        return _asked("measure", str(folder), what, str(WINDOWS))["seconds"]

    def two(what: str) -> float:
        both = [_started("measure", str(folder), what, str(WINDOWS)) for _ in range(2)]
        said = [process.communicate()[0] for process in both]
        return max(json.loads(one.splitlines()[-1])["seconds"] for one in said)

    few = min(runs, 3)
    counted, bare = interleaved(lambda: seconds("counted"), lambda: seconds("bare"), runs=few)
    yield against("scan of windows of GPT-2 small's shape / bare passes, one thread", counted, bare, HALF)
    counted, bare = interleaved(lambda: two("counted"), lambda: two("bare"), runs=few)
    yield against("two at once / two of bare passes at once", counted, bare, TWO)
    own = _asked("measure", str(folder), "counted", "64")["own"]
    yield bounded("memory of a scan's worker beside the mapped weights", own / 1e6, SPARE / 1e6, "MB")


def growing_rows(root: Path) -> Iterator[Row]:
    """How a scan grows with its text: some ten minutes."""
    tiny = root / "growth"
    if not tiny.exists():
        write_growth(tiny)
    small, large = (_asked("grow", str(tiny), str(size)) for size in SIZES)
    times = SIZES[1] / SIZES[0]
    note = f"{small['seconds']:.3g} s and {large['seconds']:.3g} s of the processor"
    yield bounded("a scan of 20 MB / 20 of 1 MB", large["seconds"], 1.25 * times * small["seconds"], "s", note)
    name = "memory of a scan of 20 MB, without its mapped windows / of 1 MB"
    yield bounded(name, large["peak"] / 1e6, 1.15 * small["peak"] / 1e6, "MB")


def write_growth(folder: Path) -> None:
    """A small model with the bundled model's tokenizer."""
    from tests.make_checkpoint import make_checkpoint

    folder.mkdir(parents=True)
    vocab = json.loads((_BUNDLED / "config.json").read_text("utf-8"))["vocab_size"]
    make_checkpoint(folder, GROWTH | {"vocab_size": vocab})
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(_BUNDLED / name, folder / name)


if __name__ == "__main__":
    if sys.argv[1] == "measure":
        answer = measure(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        answer = grow(Path(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(answer))
