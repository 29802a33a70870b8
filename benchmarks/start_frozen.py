"""How long the frozen program takes to its first drawn pass, beside the source: `python -m benchmarks.start_frozen`.

Takes the frozen program's path (build/frozen/logitscope/logitscope unless given). Both start in turns on the bundled
model, offscreen, as a person without settings would start them; what is timed ends at the line "ready" of `--smoke`.
Exits with 1 on a miss.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import against, interleaved, show

ROOT = Path(__file__).resolve().parents[1]
_REACH = 1.5


def main() -> int:
    frozen = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/frozen/logitscope/logitscope")
    if not frozen.is_file():
        raise SystemExit(f"{frozen} is not there; make it with: ./run package")
    source = [sys.executable, "-P", "-m", "desktop_app"]
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": folder, "PYTHONPATH": str(ROOT)}
        environ |= {"XDG_CONFIG_HOME": folder, "XDG_CACHE_HOME": folder}
        times = interleaved(lambda: _start([str(frozen)], environ), lambda: _start(source, environ))
    row = against("frozen program, start to first drawn pass / source", *times, _REACH)
    print(show(row))
    return int(not row.passed)


def _start(command: list[str], environ: dict[str, str]) -> float:
    """Seconds from the start of a process to its first drawn pass; the process is ended then."""
    out = Path(environ["HOME"]) / "figure.svg"
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--smoke", str(out)],
        cwd="/",
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    seconds = time.perf_counter() - begun
    process.stdout.read()
    if line != "ready\n" or process.wait():
        raise SystemExit(f"{command[0]} ended with {process.returncode} and said {line!r}")
    out.unlink()
    return seconds


if __name__ == "__main__":
    sys.exit(main())
