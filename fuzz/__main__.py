"""Feed mutated inputs to every parser: `./run fuzz [--seconds 120] [--seed N] [--only NAME]`.

An input that raises anything but a LogitscopeError with a message, causes a warning, or takes ten seconds of CPU time
or a minute of wall time, is saved to a file and reported; exit code 1. The same seed gives the same inputs, as many as
there is time for. Add the reduced input of a past fault to tests/hostile/corpus/NAME/.
"""

import argparse
import hashlib
import logging
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from types import FrameType

from desktop_app.gpt2.errors import LogitscopeError

_MOST_SECONDS = 10  # of CPU time: the machine may be busy
_MOST_WAITING = 60  # of wall time
_MOST_MEMORY = 8 << 30


class TooLong(Exception):
    """An input took longer than the limit."""


def _too_long(number: int, _frame: FrameType | None) -> None:
    raise TooLong("more than a minute" if number == signal.SIGALRM else f"more than {_MOST_SECONDS} s of the processor")


def _limit(processor: int, waiting: int) -> None:
    """Set the limits of CPU and wall time from now on, in seconds; 0 for no limit."""
    if hasattr(signal, "SIGALRM"):
        signal.setitimer(signal.ITIMER_PROF, processor)
        signal.alarm(waiting)


def main() -> int:
    """Read the command line and fuzz; return the exit code."""
    parser = argparse.ArgumentParser(prog="./run fuzz", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=120, help="how long; 120 by default")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other inputs")
    parser.add_argument("--only", metavar="NAME", help="one parser alone")
    parser.add_argument("--keep", metavar="DIR", type=Path, default=Path("fuzz-found"), help="where faults are kept")
    arguments = parser.parse_args()
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
        for number in (signal.SIGALRM, signal.SIGPROF):
            signal.signal(number, _too_long)
    logging.lastResort = None  # the parsers log every bad input
    with tempfile.TemporaryDirectory() as scratch:
        for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "HF_HOME"):
            os.environ[variable] = str(Path(scratch, variable))
        return _fuzz(arguments, Path(scratch))


def _fuzz(arguments: argparse.Namespace, scratch: Path) -> int:
    from fuzz.targets import targets

    chosen = [target for target in targets(scratch) if arguments.only in (None, target.name)]
    if not chosen:
        print(f"there is no parser {arguments.only!r}", file=sys.stderr)
        return 2
    counts: Counter[tuple[str, str]] = Counter()
    faults: set[str] = set()
    ends, round_ = time.monotonic() + arguments.seconds, 0
    while time.monotonic() < ends:
        for target in chosen:
            # Parsers differ widely in speed: each runs for a tenth of a second, then the next one.
            turn, number = time.monotonic() + 0.1, 0
            while time.monotonic() < turn:
                chance = random.Random(f"{arguments.seed}:{target.name}:{round_}:{number}")
                data = target.change(chance, chance.choice(target.seeds))
                number += 1
                kind, place = judge(target.read, data)
                counts[target.name, kind] += 1
                if kind == "fault" and place not in faults:
                    faults.add(place)
                    arguments.keep.mkdir(parents=True, exist_ok=True)
                    path = arguments.keep / f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
                    path.write_bytes(data)
                    print(f"{target.name}: {place}\n  kept as {path}", flush=True)
        round_ += 1
    width = max(len(target.name) for target in chosen)
    for target in chosen:
        taken, refused = counts[target.name, "taken"], counts[target.name, "refused"]
        print(
            f"{target.name:{width}}  {taken:7,} taken  {refused:7,} refused  {counts[target.name, 'fault']:5,} faults"
        )
    print(f"{sum(counts.values()):,} inputs, {len(faults)} kinds of faults.")
    return 1 if faults else 0


def judge(read, data: bytes) -> tuple[str, str]:  # type: ignore[no-untyped-def]  # any of the targets' calls
    """The outcome of an input: "taken", "refused" with a message, or "fault" and its place."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        kind, place = _outcome(read, data)
    if warned and kind != "fault":
        one = warned[0]
        kind, place = "fault", f"{one.category.__name__} at {Path(one.filename).name}:{one.lineno}: {one.message}"
    return kind, place


def _outcome(read, data: bytes) -> tuple[str, str]:  # type: ignore[no-untyped-def]  # as above
    _limit(_MOST_SECONDS, _MOST_WAITING)
    try:
        read(data)
        return "taken", ""
    except LogitscopeError as reason:
        words = str(reason)
        return ("fault", f"a sentence that is none: {words[:80]!r}") if not words.strip() else ("refused", "")
    except Exception as reason:  # noqa: BLE001 - what this looks for
        steps = [f for f in traceback.extract_tb(reason.__traceback__) if "desktop_app" in f.filename] or ["?"]
        last = steps[-1]
        where = last if isinstance(last, str) else f"{Path(last.filename).name}:{last.lineno}"
        return "fault", f"{type(reason).__name__} at {where}: {str(reason)[:100]}"
    finally:
        _limit(0, 0)


if __name__ == "__main__":
    sys.exit(main())
