"""The same pass by transformers and TransformerLens, which run in their own environment, in alternating rounds."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.passes import FullPass, ids_of, without_grids
from benchmarks.shapes import checkpoint
from benchmarks.table import Row, against, interleaved, timed
from desktop_app.core.model import open_model
from desktop_app.gpt2.engine import CHUNK

TRANSFORMERS = {
    "AuthenticAMD": {8: 0.33, 128: 0.70, 512: 0.80},
    "GenuineIntel": {8: 0.60, 128: 0.80, 512: 0.85},
}
"""Processor vendor -> tokens -> target: PyTorch multiplies faster on Intel. Other vendors have AMD's targets."""
SDPA = (8, 128, 512)
LENS = {8: 0.25, 32: 0.40, 128: 0.55, 512: 0.70}
_EDIT = 0.10


class Peers:
    """The other libraries' worker process, as a context manager."""

    def __init__(self, venv: Path, folder: Path) -> None:
        worker = Path(__file__).with_name("peer_worker.py")
        self._process = subprocess.Popen(
            [venv / "bin" / "python", worker, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> "Peers":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def seconds(self, peer: str, ids: Sequence[int]) -> float:
        """Seconds that one pass takes in that process. Raises RuntimeError if the library cannot run."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"peer": peer, "ids": list(ids)}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"{peer} could not run in {self._process.args}; install it there.")
        return float(json.loads(line)["seconds"])


def names() -> Iterator[tuple[str, str, int, float]]:
    """(name, library, tokens, target) of every row."""
    vendor = machine_vendor()
    for tokens, reach in TRANSFORMERS.get(vendor, TRANSFORMERS["AuthenticAMD"]).items():
        name = f"full pass, against transformers eager, {tokens} tokens ({vendor or 'unknown processor'})"
        yield name, "transformers", tokens, reach
    for tokens in SDPA:
        # transformers' fastest pass: it keeps no tensors, and its attention never stores whole grids.
        yield f"full pass, against transformers sdpa with logits alone, {tokens} tokens", "sdpa", tokens, 1.0
    for tokens, reach in LENS.items():
        yield f"full pass, against TransformerLens run_with_cache, {tokens} tokens", "transformer_lens", tokens, reach


def machine_vendor() -> str:
    """The processor's vendor as Linux names it; empty where that is unknown."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("vendor_id")), "")


_EDITED = "the last of 128 tokens edited, against transformers' full pass"


def missing() -> Iterator[Row]:
    """The rows, marked as not measured."""
    for name, _, _, reach in names():
        yield Row(name, "no --peers", None, reach)
    yield Row(_EDITED, "no --peers", None, _EDIT)


def rows(root: Path, venv: Path, runs: int) -> Iterator[Row]:
    """Every row of this module."""
    folder = checkpoint(root, "small")
    model = open_model(folder)
    model.engine.prepack()
    full = FullPass(model.checkpoint, without_grids(model.checkpoint), CHUNK)
    with Peers(venv, folder) as peers:
        for name, peer, tokens, reach in names():
            ids = ids_of(model, tokens)
            ours, theirs = interleaved(
                lambda ids=ids: timed(lambda: full(ids)),
                lambda peer=peer, ids=ids: peers.seconds(peer, ids),
                runs=runs,
            )
            yield against(name, ours, theirs, reach)
        ids = ids_of(model, 128)
        before, letters = model.engine.trace(ids), iter(range(10_000))
        ours, theirs = interleaved(
            lambda: timed(lambda: model.engine.trace((*ids[:-1], 97 + next(letters) % 26), reuse=before)),
            lambda: peers.seconds("transformers", ids),
            runs=runs,
        )
        yield against(_EDITED, ours, theirs, _EDIT)
