"""Computes shards on Dask workers: a cluster of processes on this machine, or one given by a scheduler's address.

Every batch is a task, and so is every merge of two neighbouring tallies. What a lost worker had computed is computed
again by others. If the scheduler itself is lost, the client waits for one at the same address and resubmits all tasks
whose results it has not received. Nothing is ever spilled to disk. A scheduler must be on this machine's loopback
interface, or use TLS.
"""

import ipaddress
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import dask
from dask.distributed import Client, LocalCluster
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from desktop_app.core.evidence.runner import Batch, Job, merge_results, run_batch
from desktop_app.core.evidence.tally import Tally
from desktop_app.gpt2.errors import LogitscopeError

log = logging.getLogger(__name__)

LOCAL = "local"

_SETTINGS = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.admin.log-format": "%(message)s",
    "distributed.scheduler.allowed-failures": 20,  # how many workers may be lost while running the same task
    "distributed.scheduler.worker-ttl": None,  # a pass of a large model may hold the interpreter for a long time
}
_PATIENCE = 120.0  # seconds to wait for a lost scheduler, and for a first worker

_Result = tuple[Tally, frozenset[str]]


def check_address(address: str) -> None:
    """Raise LogitscopeError unless `address` is `local`, a loopback address over tcp, or any over tls."""
    if address == LOCAL:
        return
    parts = urlsplit(address)
    try:
        right = parts.scheme in ("tcp", "tls") and parts.hostname is not None and parts.port is not None
    except ValueError:  # not a valid port
        right = False
    if not right:
        raise LogitscopeError(
            f"--scheduler {address} is not the address of a scheduler; give one like tcp://127.0.0.1:8786, or local."
        )
    if parts.scheme == "tcp" and not _is_loopback(parts.hostname or ""):
        raise LogitscopeError(
            f"--scheduler {address} is on another machine and not encrypted, and Dask runs any code that it is "
            "sent; start scheduler and workers with TLS and give tls://..., as docs/evidence.md says."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # not an address but a host name; only "localhost" always means this machine
        return host == "localhost"


class Cluster:
    """A runner on Dask workers, as a context manager."""

    def __init__(self, scheduler: str = LOCAL, workers: int = 1, say: Callable[[str], None] = log.info) -> None:
        check_address(scheduler)
        self._address, self._count, self._say = scheduler, workers, say
        self._cluster: Any = None
        self._client: Any = None

    def __enter__(self) -> Self:
        for name in ("distributed", "distributed.worker", "distributed.nanny", "distributed.scheduler", "tornado"):
            logging.getLogger(name).setLevel(logging.ERROR)  # a lost worker is handled and reported here
        dask.config.set(_SETTINGS)
        if self._address == LOCAL:
            self._cluster = LocalCluster(
                n_workers=self._count,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
            )
            self._client = Client(self._cluster)
        else:
            self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._client, self._cluster):
            if each is not None:
                try:
                    each.close(timeout=10)
                except (OSError, TimeoutError) as reason:  # the cluster is shutting down in any case
                    log.info("closing Dask: %s", reason)

    def _connect(self) -> None:
        """Connect to the scheduler, waiting for it and for a first worker. Raises LogitscopeError."""
        try:
            self._client = Client(self._address, timeout=_PATIENCE)
            self._client.wait_for_workers(1, timeout=_PATIENCE)
        except (OSError, TimeoutError, CommClosedError) as reason:
            raise LogitscopeError(
                f"No scheduler with workers answers at {self._address}; start them (docs/evidence.md), then run this "
                "again: it continues where it stopped."
            ) from reason

    @property
    def workers(self) -> int:
        """The number of worker threads."""
        return sum(self._client.nthreads().values()) if self._client is not None else 0

    def pids(self) -> list[int]:
        """The process ids of the workers on this machine."""
        return sorted(self._client.run(os.getpid).values())

    def shards(self, job: Job, shards: Iterable[Sequence[Batch]]) -> Iterator[_Result]:
        """As in Runner. A few shards are in flight at a time: no worker is idle, and results do not pile up."""
        waiting, in_hand = iter(shards), deque[tuple[Sequence[Batch], Any]]()
        lost_since: float | None = None
        while True:
            try:
                while len(in_hand) < self._ahead(in_hand) and (shard := next(waiting, None)) is not None:
                    in_hand.append((shard, self._submit(job, shard)))
                if not in_hand:
                    return
                result = in_hand[0][1].result()
            except _LOST as reason:
                lost_since = self._lost(reason, lost_since)
                held = [shard for shard, _ in in_hand]
                in_hand = deque((shard, self._submit(job, shard)) for shard in held)
                continue
            except KilledWorker as reason:
                raise LogitscopeError(
                    "One batch has killed several workers, most likely for lack of memory; give fewer --workers."
                ) from reason
            lost_since = None
            in_hand.popleft()
            yield result

    def _ahead(self, in_hand: "deque[Any]") -> int:
        """How many shards to have in flight: two, or more if there are many workers."""
        each = len(in_hand[0][0]) if in_hand else 8
        return 2 + 2 * self.workers // max(1, each)

    def _submit(self, job: Job, shard: Sequence[Batch]) -> Any:
        """The future of a shard: its batches, merged in pairs, then pairs of pairs."""
        level = [self._client.submit(run_batch, job, batch, pure=False) for batch in shard]
        while len(level) > 1:
            level = [
                self._client.submit(merge_results, level[n : n + 2], pure=False) if n + 1 < len(level) else level[n]
                for n in range(0, len(level), 2)
            ]
        return level[0]

    def _lost(self, reason: BaseException, since: float | None) -> float:
        """Wait up to _PATIENCE for the scheduler to return; the result is the time at which it was first lost."""
        if self._cluster is not None:
            raise LogitscopeError(
                f"The cluster on this machine was lost ({type(reason).__name__}); run this again: it continues where "
                "it stopped."
            ) from reason
        since = time.monotonic() if since is None else since
        if time.monotonic() - since > _PATIENCE:
            raise LogitscopeError(
                f"The scheduler at {self._address} was lost and did not come back; run this again: it continues where "
                "it stopped."
            ) from reason
        self._say(f"The scheduler at {self._address} was lost; waiting for it.")
        try:
            self._client.close(timeout=1)
        except (OSError, TimeoutError) as failure:
            log.info("closing Dask: %s", failure)
        self._connect()
        return since


_LOST = (CommClosedError, dask.distributed.CancelledError, OSError, TimeoutError)
