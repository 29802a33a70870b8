"""`logitscope scan`: what excites every neuron and what every head does, over texts of any size."""

import argparse
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING

from desktop_app.cli.analysis import tell
from desktop_app.cli.shared import open_checkpoint, say, shown, size_of
from desktop_app.gpt2.errors import LogitscopeError

if TYPE_CHECKING:
    from desktop_app.core.evidence.scan import Scan

_NAMED = 10  # the maximum number of faults that are reported one by one


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.core.evidence.scan import Request, count, finish, prepare
    from desktop_app.gpt2.system import usable_cores
    from desktop_app.gpt2.tokenizer import Tokenizer

    _require_extra()
    from desktop_app.core.evidence.cluster import LOCAL, Cluster, check_address

    check_address(arguments.scheduler)
    workers = usable_cores() if arguments.workers is None else arguments.workers
    for name, value in (("workers", workers), ("tokens", arguments.tokens)):
        if value is not None and value < 1:
            raise LogitscopeError(f"--{name} is {value}; it must be a whole number from 1.")
    if arguments.scheduler != LOCAL and arguments.workers is not None:
        raise LogitscopeError(
            "--workers sets how many workers to start here, but a scheduler has its own; leave it out."
        )
    request = Request(
        tuple(arguments.texts),
        arguments.out,
        arguments.window,
        arguments.tokens,
        arguments.column,
        arguments.seed,
        arguments.lens,
    )
    checkpoint = open_checkpoint(arguments)
    tokenizer = Tokenizer.load(checkpoint.folder, vocab_size=checkpoint.config.vocab_size)
    scan = prepare(request, checkpoint, tokenizer, force=arguments.force)
    if scan is None:
        print(f"{shown(str(request.folder))}: this scan is complete.")
        return 0
    _say_faults(scan)
    if scan.done:
        print(f"Resuming after {scan.done} of {scan.shards} parts.")
    with Cluster(arguments.scheduler, workers, say) as cluster:
        _say_needs(scan, cluster.workers, local=arguments.scheduler == LOCAL)
        with tell("scanning") as heard:
            count(scan, cluster, lambda done, total: heard(done / total))
    found = finish(scan)
    if len(scan.processors) > 1:
        kinds = ", ".join(sorted(scan.processors))
        say(f"Several kinds of processors computed this, so the last digits may differ: {kinds}.")
    if found.not_finite:
        say(f"{_many(found.not_finite, 'window')} gave numbers that are not finite, and were not counted.")
    print(f"{_many(found.windows, 'window')}, {_many(found.rows, 'position')} after the first")
    for path in sorted(request.folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            print(f"{shown(str(path))}: {size_of(path)}")
    return 1 if scan.cut["left_out"] or found.not_finite else 0


def _require_extra() -> None:
    missing = [name for name in ("distributed", "pyarrow") if find_spec(name) is None]
    if missing:
        raise LogitscopeError(
            f"Scanning needs {' and '.join(missing)}, which this installation lacks; in a checkout ./run scan installs "
            "it, elsewhere `pip install 'logitscope[scan]'` does."
        )


def _say_faults(scan: "Scan") -> None:
    faults, left_out = scan.cut["faults"], scan.cut["left_out"]
    for file, record, words, whole in faults[:_NAMED]:
        rest = "; the rest of it is left out" if whole and record else ""
        where = "" if whole else f", text {record}"
        say(f"{shown(file)}{where}: {shown(words.rstrip('.'))}{rest}.")
    if left_out:
        say(f"{left_out:,} {'text is' if left_out == 1 else 'texts are'} left out; the others are scanned.")


def _say_needs(scan: "Scan", workers: int, *, local: bool) -> None:
    """Report how much disk and memory the scan needs. Raises LogitscopeError if there is not enough of either."""
    from desktop_app.core.evidence.scan import measure, needs
    from desktop_app.core.library.progress import in_bytes
    from desktop_app.gpt2.machine import available_memory

    seconds, tally = measure(scan)
    need = needs(scan, tally)
    left = seconds * len(scan.windows) * (1 - scan.done / scan.shards) / max(1, workers)
    memory = need.client + (workers * need.worker if local else 0)
    print(
        f"{_many(scan.cut['texts'], 'text')}, {_many(scan.cut['tokens'], 'token')} in "
        f"{_many(len(scan.windows), 'window')}; about {_time(left)} on {_many(workers, 'worker')}, "
        f"{in_bytes(memory)} of memory here, {in_bytes(need.disk)} of disk"
    )
    folder = scan.request.folder
    free_disk, free_memory = shutil.disk_usage(folder).free, available_memory()
    taken = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if need.disk > free_disk + taken:
        raise LogitscopeError(
            f"This scan needs about {in_bytes(need.disk)} of disk in {folder}, where {in_bytes(free_disk)} are free "
            f"and {in_bytes(taken)} are already its own; free some space, or give fewer --tokens."
        )
    if free_memory is not None and memory > free_memory:
        raise LogitscopeError(
            f"This scan needs about {in_bytes(memory)} of memory on this machine with {_many(workers, 'worker')}, and "
            f"{in_bytes(free_memory)} are free; give fewer --workers."
        )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"
