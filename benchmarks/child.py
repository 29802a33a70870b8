"""Runs work in a separate process, which answers with one line of JSON."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def ask(module: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """Run a benchmark module in a new process and parse its last line. Raises RuntimeError if it fails."""
    command = [python, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@contextmanager
def apart() -> Iterator[None]:
    """For a process that opens the window, offscreen unless told otherwise: it neither reads nor writes the user's
    settings and last session, in which another workspace than the walk may be open.
    """
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_CONFIG_HOME": folder, "XDG_STATE_HOME": folder}
        yield


def status() -> dict[str, int]:
    """This process's memory in bytes, as Linux counts it: RssAnon is private, RssFile mapped files, VmHWM the peak."""
    fields = (line.split() for line in Path("/proc/self/status").read_text("ascii").splitlines())
    return {f[0][:-1]: 1024 * int(f[1]) for f in fields if f and f[0] in ("RssAnon:", "RssFile:", "VmHWM:", "VmRSS:")}
