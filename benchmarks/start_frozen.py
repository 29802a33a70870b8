"""How long the frozen program takes to draw its first pass, compared with the source: `./run benchmarks.start_frozen`.

Takes the frozen program's path (build/frozen/logitscope/logitscope by default). Both start alternately on the bundled
model, offscreen, without settings; the time ends when `--smoke` prints "ready".
Exits with 1 on a miss.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.child import ROOT
from benchmarks.start import alone, program, until_ready
from benchmarks.table import against, interleaved, show

_REACH = 1.5


def main() -> int:
    frozen = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/frozen/logitscope/logitscope")
    if not frozen.is_file():
        raise SystemExit(f"{frozen} is not there; make it with: ./run package")
    with tempfile.TemporaryDirectory() as folder:
        environ = alone(Path(folder))
        times = interleaved(
            lambda: until_ready(program(Path(folder), [str(frozen)]), environ),
            lambda: until_ready(program(Path(folder)), environ),
        )
    row = against("frozen program, start to first drawn pass / source", *times, _REACH)
    print(show(row))
    return int(not row.passed)


if __name__ == "__main__":
    sys.exit(main())
