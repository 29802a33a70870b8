"""How time and memory scale with the text and with the model: `./run benchmarks.growth FOLDER [--json FILE]`.

Makes a checkpoint of each shape below FOLDER (6.2 GB for XL) and deletes it again. Each point is measured in a separate
process. The exponent between two points is that of the power law through them: 1 if twice the tokens take twice
the time. A pass is computed as in the window once the weights are prepacked: the graph gives the few tensors from which
the others are derived.
"""

import argparse
import json
import math
import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.child import ask, status
from benchmarks.real_shapes import write_shape
from benchmarks.shapes import SIZES
from benchmarks.table import timed, write_between

_HERE = "benchmarks.growth"
TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024)


def measure(folder: Path, tokens: int) -> dict[str, float]:
    """One pass over `tokens` tokens, with prepacked weights: seconds, and peak bytes above those of the open model."""
    from benchmarks.passes import ids_of
    from desktop_app.core.model import open_model
    from desktop_app.gpt2.weights import parameter_count

    model = open_model(folder)
    model.engine.prepack()
    ids = ids_of(model, tokens)
    model.engine.trace(ids[:4])
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    before = status()["VmRSS"]
    seconds = [timed(lambda: model.engine.trace(ids)) for _ in range(5)]
    peak = status()["VmHWM"] - before
    return {"seconds": statistics.median(seconds), "peak": peak, "parameters": parameter_count(model.config)}


def by_tokens(root: Path) -> Iterator[tuple[float, float, float]]:
    """(tokens, seconds, bytes) for GPT-2 small's shape."""
    folder = root / "small"
    if not folder.exists():
        write_shape(folder, "small")
    for tokens in TOKENS:
        found = ask(_HERE, "measure", str(folder), str(tokens))
        yield tokens, found["seconds"], found["peak"]


def by_shape(root: Path, tokens: int = 64) -> Iterator[tuple[str, float, float, float]]:
    """(size, parameters, seconds, bytes) for a text of `tokens` tokens on each of GPT-2's shapes."""
    for size in SIZES:
        folder = root / size
        made = not folder.exists()
        if made:
            write_shape(folder, size)
        found = ask(_HERE, "measure", str(folder), str(tokens))
        if made:
            shutil.rmtree(folder)
        yield size, found["parameters"], found["seconds"], found["peak"]


def exponents(x: Sequence[float], y: Sequence[float]) -> list[float]:
    """The exponent between each point and the previous one; none for the first."""
    points = list(zip(x, y, strict=True))
    return [math.log(b[1] / a[1]) / math.log(b[0] / a[0]) for a, b in pairwise(points)]


def tokens_table(points: Sequence[tuple[float, float, float]]) -> list[str]:
    """The lines of the table by text length."""
    slopes = ["", *(f"{s:.2f}" for s in exponents([p[0] for p in points], [p[1] for p in points]))]
    return [
        "| tokens | a pass | exponent | memory above the open model's |",
        "|---|---|---|---|",
        *(
            f"| {count:,} | {1000 * seconds:.3g} ms | {slope} | {peak / 1e6:,.0f} MB |"
            for (count, seconds, peak), slope in zip(points, slopes, strict=True)
        ),
    ]


def shapes_table(points: Sequence[tuple[str, float, float, float]]) -> list[str]:
    """The lines of the table by model shape."""
    slopes = ["", *(f"{s:.2f}" for s in exponents([p[1] for p in points], [p[2] for p in points]))]
    lines = ["| shape | blocks x width | parameters | a pass of 64 tokens | exponent |", "|---|---|---|---|---|"]
    for (size, parameters, seconds, _), slope in zip(points, slopes, strict=True):
        blocks, width, _ = SIZES[size]
        lines.append(f"| {size} | {blocks} x {width} | {parameters / 1e6:,.0f} M | {1000 * seconds:.3g} ms | {slope} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--write", metavar="FILE", type=Path, help="put the tables into this document")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    tokens = list(by_tokens(given.folder))
    shapes = list(by_shape(given.folder))
    found = "\n".join([*tokens_table(tokens), "", *shapes_table(shapes)])
    print(found)
    if given.write is not None:
        write_between(given.write, "growth", found)
    if given.json is not None:
        given.json.write_text(json.dumps({"tokens": tokens, "shapes": shapes}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        main()
