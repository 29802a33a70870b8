"""Time from the start of the process to a responsive window with the bundled model's first pass drawn."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.child import ROOT
from benchmarks.table import Row, against, interleaved

_EMPTY = """
import numpy, onnxruntime, pyqtgraph
from PySide6.QtWidgets import QApplication, QWidget
app = QApplication([])
window = QWidget()
window.resize(1440, 900)
window.show()
window.repaint()
print("ready", flush=True)
"""


def rows(runs: int) -> Iterator[Row]:
    """The one row of this module."""
    empty = [sys.executable, "-c", _EMPTY]
    with tempfile.TemporaryDirectory() as folder:
        environ = alone(Path(folder))
        times = interleaved(
            lambda: until_ready(program(Path(folder)), environ), lambda: until_ready(empty, environ), runs=runs
        )
    yield against("start to the first pass drawn, against imports and an empty window", *times, 2.0)


def alone(folder: Path) -> dict[str, str]:
    """Environment variables without settings, with `folder` as home; offscreen unless QT_QPA_PLATFORM is set."""
    environ = {"QT_QPA_PLATFORM": "offscreen", **os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as for users: every start but the first runs from cached bytecode
    return environ | {"XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}


def program(folder: Path, command: Sequence[str] = (sys.executable, "-P", "-m", "desktop_app")) -> list[str]:
    """The command line that starts the window as a user does; it prints "ready" when the first pass is drawn."""
    return [*command, "--smoke", str(folder / "figure.svg")]


def until_ready(command: list[str], environ: dict[str, str]) -> float:
    """Seconds from the start of a process until it prints "ready"; returns once the process has ended."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, cwd="/", env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    seconds = time.perf_counter() - begun
    process.stdout.read()
    if line != "ready\n" or process.wait():
        raise SystemExit(f"{command[0]} ended with {process.returncode} and said {line!r}")
    (Path(environ["HOME"]) / "figure.svg").unlink(missing_ok=True)
    return seconds
