"""Open and run all five GPT-2 shapes with random weights, and measure time and memory.

    ./run benchmarks.real_shapes FOLDER [--sizes small xl] [--tokens 8 256 1024] [--keep]

Writes each checkpoint below FOLDER (6.2 GB for XL), measures it in a separate process, and deletes it again. Prints the
table of docs/models.md; "expected" is the estimate of core/library/memory.py.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.shapes import SIZES, shape
from desktop_app.core.library.memory import needed
from desktop_app.gpt2.config import Config, load_config
from desktop_app.gpt2.safetensors_file import write_safetensors
from desktop_app.gpt2.weights import all_weights, parameter_count
from tests.checkpoints import write_byte_tokenizer


def write_shape(folder: Path, size: str) -> Path:
    """Write a checkpoint of that shape, tensor by tensor."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(shape(size)))
    write_byte_tokenizer(folder, 50257)
    config = load_config(folder / "config.json")
    specs = {stored: spec for _, stored, spec in all_weights(config) if stored != "lm_head.weight"}
    shapes = {stored: (np.dtype(np.float32), spec.shape(config)) for stored, spec in specs.items()}
    write_safetensors(folder / "model.safetensors", shapes, _random(specs, config), {"format": "pt"})
    return folder


def _random(specs: dict[str, Any], config: Config) -> Iterator[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    for stored, spec in specs.items():
        array = (rng.random(spec.shape(config), np.float32) - np.float32(0.5)) * np.float32(0.07)
        yield array + np.float32(1) if stored.split(".")[-2].startswith("ln_") and stored.endswith("weight") else array


def measure(folder: Path, tokens: int, *, compare: bool) -> None:
    """Open the model, run one text of `tokens` tokens, and print time and memory as JSON."""
    from desktop_app.core.model import open_model

    ids = [(7 * n + 11) % 256 for n in range(tokens)]
    before = _status("VmRSS")
    start = time.perf_counter()
    model = open_model(folder)
    opened = time.perf_counter() - start
    start = time.perf_counter()
    trace = model.engine.trace(ids)
    first = time.perf_counter() - start
    logits = trace.logits(len(ids) - 1)
    assert np.isfinite(logits).all()
    answer = int(logits.argmax())
    after, peak = _status("VmRSS"), _status("VmHWM")
    apart = _apart(folder, ids, logits) if compare else None
    print(
        json.dumps(
            {
                "open": opened,
                "pass": first,
                "answer": answer,
                "apart": apart,
                "before": before,
                "after": after,
                "peak": peak,
            }
        )
    )


def _apart(folder: Path, ids: list[int], logits: NDArray[np.float32]) -> float:
    """The largest difference from transformers' logits at the last position, as a fraction of their range."""
    import torch
    from transformers import GPT2LMHeadModel

    with torch.no_grad():
        theirs = GPT2LMHeadModel.from_pretrained(folder).float()(torch.tensor([ids])).logits[0, -1].numpy()
    return float(np.abs(theirs - logits).max() / np.ptp(theirs))


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--tokens", nargs="+", type=int, default=[8, 256, 1024])
    parser.add_argument("--keep", action="store_true", help="leave the checkpoints there")
    parser.add_argument(
        "--compare", action="store_true", help="with the logits of transformers, which must be installed"
    )
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.folder, given.tokens[0], compare=given.compare)
        return
    print("| shape | parameters | tokens | opens | first pass | peak memory | expected | answer |")
    print("|---|---|---|---|---|---|---|---|")
    for size in given.sizes:
        folder = given.folder / size
        if not folder.exists():
            write_shape(folder, size)
        config = load_config(folder / "config.json")
        for tokens in given.tokens:
            command = [
                sys.executable,
                "-m",
                "benchmarks.real_shapes",
                str(folder),
                "--measure",
                "--tokens",
                str(tokens),
            ]
            command += ["--compare"] if given.compare else []
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"| {size} | | {tokens} | failed: {done.stderr.strip().splitlines()[-1]} |")
                continue
            found = json.loads(done.stdout)
            apart = "" if found["apart"] is None else f", {found['apart']:.1g} of their range from transformers' logits"
            expected = needed(config, tokens).total
            print(
                f"| {size} | {parameter_count(config):,} | {tokens:,} | {found['open']:.2f} s | {found['pass']:.2f} s "
                f"| {found['peak'] / 1e9:.2f} GB | {expected / 1e9:.2f} GB | token {found['answer']}{apart} |",
                flush=True,
            )
        if not given.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
