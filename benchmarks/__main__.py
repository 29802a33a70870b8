"""Measure everything this program is meant to be fast at, on this machine: `./run benchmarks [--quick]`.

Prints a table and exits with 1 if a row misses its target.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from benchmarks import (
    analysis,
    evidence,
    int8,
    loading,
    long_use,
    passes,
    peers,
    products,
    sheet,
    start,
    what_if,
    window,
)
from benchmarks.table import RUNS, Row, markdown, show, write_between, write_json
from desktop_app.gpt2.machine import available_memory


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three rounds instead of nine: an impression, no proof")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows to this file too")
    peer = parser.add_mutually_exclusive_group()
    peer.add_argument(
        "--peers", metavar="VENV", type=Path, help="an environment with transformers and transformer-lens"
    )
    peer.add_argument("--no-peers", action="store_true", help="leave the rows that need it out")
    parser.add_argument("--only", metavar="WORD", help="only rows of modules with this name: " + ", ".join(_PARTS))
    parser.add_argument(
        "--write", metavar="FILE", type=Path, help="put the table into this document, under its processor's maker"
    )
    parser.add_argument("--models", metavar="DIR", type=Path, help="keep the checkpoints that are made here")
    arguments = parser.parse_args()
    runs = 3 if arguments.quick else RUNS
    print(describe())
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.models or Path(scratch)
        root.mkdir(parents=True, exist_ok=True)
        for row in rows(arguments, root, runs):
            found.append(row)
            print(show(row), flush=True)
    if arguments.json is not None:
        write_json(arguments.json, found)
    if arguments.write is not None:
        mark = f"table of {peers.machine_vendor()}"
        write_between(arguments.write, mark, f"{describe()}; {date.today():%-d %B %Y}.\n\n{markdown(found)}")
    missed = [row for row in found if not row.passed]
    print(f"{len(found)} rows, {len(missed)} missed.")
    return 1 if missed else 0


_PARTS = (
    *("loading", "passes", "products", "int8", "peers", "analysis", "evidence", "what_if", "window", "sheet", "start"),
    *("long_use", "growing_scans"),
)
_ON_REQUEST = {"long_use", "growing_scans"}
"""Parts that take longer than all others together: measured with `--only` alone."""


def rows(arguments: argparse.Namespace, root: Path, runs: int) -> Iterator[Row]:
    asked = {arguments.only} if arguments.only is not None else set(_PARTS) - _ON_REQUEST
    parts = [part for part in _PARTS if part in asked]
    for part in parts:
        if part == "loading":
            yield from loading.rows(root, runs)
        elif part == "passes":
            yield from passes.rows(root, runs)
        elif part == "products":
            yield from products.rows(root, arguments.peers, runs)
            if arguments.peers is None and not arguments.no_peers:
                yield from products.missing()
        elif part == "int8":
            yield from int8.rows(root, runs)
        elif part == "analysis":
            yield from analysis.rows(root, arguments.peers, runs)
            if arguments.peers is None and not arguments.no_peers:
                yield from analysis.missing()
        elif part == "evidence":
            yield from evidence.rows(root, runs)
        elif part == "growing_scans":
            yield from evidence.growing_rows(root)
        elif part == "what_if":
            yield from what_if.rows(root, arguments.peers, runs)
            if arguments.peers is None and not arguments.no_peers:
                yield from what_if.missing()
        elif part == "window":
            yield from window.rows(root, runs)
        elif part == "sheet":
            yield from sheet.rows(root, runs)
        elif part == "long_use":
            yield from long_use.rows(root, runs)
        elif part == "start":
            yield from start.rows(runs)
        elif arguments.peers is not None:
            yield from peers.rows(root, arguments.peers, runs)
        elif not arguments.no_peers:
            yield from peers.missing()


def describe() -> str:
    """The machine, in one line."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = {line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line}
        model = ", ".join(sorted(names))
    memory = available_memory()
    free = f"{memory / 1e9:.0f} GB of memory free" if memory is not None else "memory not known"
    return f"{model or platform.processor()}, {os.cpu_count()} cores, {free}; Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
