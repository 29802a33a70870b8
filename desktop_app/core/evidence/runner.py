"""Computes shards of windows in this process, one batch after the other. `cluster` does the same on Dask workers.

A shard is SHARD batches of BATCH windows, whose tallies are merged in pairs; both are fixed, so that sums are computed
in the same order on any number of workers.
"""

import platform
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from desktop_app.core.evidence.batch import Passes, Plan, tally_of
from desktop_app.core.evidence.tally import Tally, merge_all
from desktop_app.core.evidence.windows import Windows
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.session import Stop

BATCH = 64
SHARD = 8


@dataclass(frozen=True)
class Job:
    """What a worker needs for a scan: the model's folder and digest, and the settings."""

    folder: str
    digest: str
    plan: Plan


@dataclass(frozen=True, eq=False)
class Batch:
    """Neighbouring windows: the number of the first, and the ids of each."""

    start: int
    windows: tuple[NDArray[Any], ...]


class Runner(Protocol):
    """Computes the shards of a scan."""

    def shards(self, job: Job, shards: Iterable[Sequence[Batch]]) -> Iterator[tuple[Tally, frozenset[str]]]:
        """The tally of each shard in order, and the processors that computed it. Raises LogitscopeError."""


def batches(windows: Windows, shard: int) -> list[Batch]:
    """The batches of a shard."""
    first = shard * SHARD * BATCH
    starts = range(first, min(first + SHARD * BATCH, len(windows)), BATCH)
    return [Batch(start, tuple(windows.batch(start, start + BATCH))) for start in starts]


def shard_count(windows: int) -> int:
    """The number of shards for this number of windows."""
    return -(-windows // (BATCH * SHARD))


_opened: dict[tuple[str, str, bool], Passes] = {}
_opening = threading.Lock()


def run_batch(job: Job, batch: Batch, stop: Stop | None = None) -> tuple[Tally, frozenset[str]]:
    """The tally of a batch, and the processor. Opens the model once per process, memory-mapped. Raises ModelError."""
    key = (job.folder, job.digest, job.plan.lens)
    with _opening:
        if key not in _opened:
            checkpoint = load_checkpoint(Path(job.folder))
            if checkpoint.digest != job.digest:
                raise ModelError(
                    f"{job.folder} on {platform.node()} has other weights than those that the scan began with; put "
                    "the same model there."
                )
            _opened.clear()
            _opened[key] = Passes(checkpoint, lens=job.plan.lens)
        passes = _opened[key]
    passes.stop = stop or Stop()
    return tally_of(passes, job.plan, batch.start, batch.windows), frozenset({processor()})


def merge_results(results: Sequence[tuple[Tally, frozenset[str]]]) -> tuple[Tally, frozenset[str]]:
    """The results of neighbouring batches, merged."""
    return merge_all([tally for tally, _ in results]), frozenset().union(*(kinds for _, kinds in results))


def processor() -> str:
    """The kind of this machine's processor, as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # systems other than Linux have no such file
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()


class Here:
    """Runs every batch in this process, on one thread."""

    def __init__(self, stop: Stop | None = None) -> None:
        self._stop = stop or Stop()

    def shards(self, job: Job, shards: Iterable[Sequence[Batch]]) -> Iterator[tuple[Tally, frozenset[str]]]:
        """As in Runner. Raises Cancelled on a stop."""
        for shard in shards:
            yield merge_results([run_batch(job, batch, self._stop) for batch in shard])
