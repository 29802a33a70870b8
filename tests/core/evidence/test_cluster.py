"""On Dask's workers a scan gives the same bytes: any number of them, one killed, the client or scheduler killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from desktop_app.core.evidence import runner
from desktop_app.core.evidence import scan as scans
from desktop_app.core.evidence.scan import Request, count, finish, prepare
from desktop_app.gpt2.errors import LogitscopeError
from tests.core.evidence.texts_and_model import LENGTH, opened, write_model, write_texts

pytest.importorskip("distributed", reason="needs the packages of ./run scan")
pytest.importorskip("pyarrow", reason="needs the packages of ./run scan")

from desktop_app.core.evidence.cluster import Cluster, check_address

slow = pytest.mark.skipif(
    os.environ.get("LOGITSCOPE_SLOW") != "yes", reason="starts and kills processes for a minute; LOGITSCOPE_SLOW=yes"
)
# Dask leaves what it is closing to the garbage collector where a peer was killed.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:distributed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:distributed"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("texts"), 20)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    for module in (runner, scans):
        monkeypatch.setattr(module, "BATCH", 8)
        monkeypatch.setattr(module, "SHARD", 4)
    monkeypatch.setattr(scans, "_SAVE_EVERY", 0.0)


def prepared(model, texts, out):
    return prepare(Request((str(texts),), out, LENGTH), *opened(model))


def run(model, texts, out, cluster, progress=lambda _done, _all: None):
    made = prepared(model, texts, out)
    count(made, cluster, progress)
    finish(made)
    return bytes_of(out)


def bytes_of(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file() and path.name[0] != "."}


def test_schedulers_are_reached_on_this_machine_or_by_tls_only():
    for right in ("local", "tcp://127.0.0.1:8786", "tcp://127.0.0.2:1", "tcp://localhost:8786", "tcp://[::1]:8786"):
        check_address(right)
    check_address("tls://node7.cluster:8786")
    for beyond in ("tcp://192.168.1.4:8786", "tcp://node7:8786", "tcp://0.0.0.0:8786"):
        with pytest.raises(LogitscopeError, match="without encryption"):
            check_address(beyond)
    for wrong in ("node7", "http://127.0.0.1:8786", "tcp://127.0.0.1", "tcp://127.0.0.1:x", ""):
        with pytest.raises(LogitscopeError, match="is no address"):
            check_address(wrong)


@slow
def test_one_worker_two_workers_and_a_killed_one_give_the_same_bytes(model, texts, tmp_path):
    with Cluster(workers=1) as cluster:
        alone = run(model, texts, tmp_path / "one", cluster)
    killed = []
    with Cluster(workers=2) as cluster:
        assert cluster.workers == 2

        def kill(_done, _all):
            if not killed:
                killed.append(cluster.pids()[0])
                os.kill(killed[0], signal.SIGKILL)

        assert run(model, texts, tmp_path / "two", cluster, kill) == alone
    assert killed
    with Cluster(workers=3) as cluster:
        import dask

        assert run(model, texts, tmp_path / "three", cluster) == alone
        assert dask.config.get("distributed.worker.memory.spill") is False


def free_port(host):
    with socket.socket() as found:
        found.bind((host, 0))
        return found.getsockname()[1]


@contextmanager
def processes():
    """What starts a process of Dask's own command line; all are ended after."""
    started = []

    def start(*words):
        started.append(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "dask", *words],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"},
            )
        )
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()


@slow
def test_two_machines_and_a_scheduler_that_is_killed_and_started_again(model, texts, tmp_path):
    """Two machines are two addresses of the loopback."""
    with Cluster(workers=1) as cluster:
        alone = run(model, texts, tmp_path / "one", cluster)
    port = free_port("127.0.0.2")
    address = f"tcp://127.0.0.2:{port}"
    scheduler = ("scheduler", "--host", "127.0.0.2", "--port", str(port), "--no-dashboard")
    with processes() as start:

        def workers():
            for host in ("127.0.0.3", "127.0.0.4"):
                start("worker", address, "--host", host, "--nthreads", "1", "--no-dashboard", "--memory-limit", "0")

        first = start(*scheduler)
        workers()
        said = []
        restarted = []

        def restart(_done, _all):
            if not restarted:
                first.kill()
                first.wait()
                restarted.append(start(*scheduler))
                workers()

        with Cluster(address, say=said.append) as cluster:
            deadline = time.monotonic() + 60
            while cluster.workers < 2 and time.monotonic() < deadline:
                time.sleep(0.2)
            assert cluster.workers == 2
            assert run(model, texts, tmp_path / "restarted", cluster, restart) == alone
    assert restarted
    assert said and "went away" in said[0]


@slow
def test_a_client_that_is_killed_and_run_again_ends_with_the_same_bytes(model, texts, tmp_path):
    with Cluster(workers=1) as cluster:
        alone = run(model, texts, tmp_path / "one", cluster)
    out = tmp_path / "killed"
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from desktop_app.core.evidence import runner, scan as scans\n"
        "from tests.core.evidence.test_cluster import prepared\n"
        "from desktop_app.core.evidence.runner import Here\n"
        "for module in (runner, scans): module.BATCH, module.SHARD = 8, 4\n"
        "scans._SAVE_EVERY = 0.0\n"
        "made = prepared(*map(Path, sys.argv[1:]))\n"
        "scans.count(made, Here(), lambda done, _: done == 3 and os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    words = [sys.executable, "-P", "-c", code, str(model), str(texts), str(out)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
    assert subprocess.run(words, env=env, check=False).returncode == -signal.SIGKILL
    made = prepared(model, texts, out)
    assert made.done == 2  # the third was counted, and not yet saved
    with Cluster(workers=2) as cluster:
        count(made, cluster)
    finish(made)
    assert bytes_of(out) == alone
