"""On Dask's workers a scan gives the same bytes: any number of them, one killed, the client or scheduler killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
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
        with pytest.raises(LogitscopeError, match="not encrypted"):
            check_address(beyond)
    for wrong in ("node7", "http://127.0.0.1:8786", "tcp://127.0.0.1", "tcp://127.0.0.1:x", ""):
        with pytest.raises(LogitscopeError, match="is not the address"):
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
        assert run(model, texts, tmp_path / "three", cluster) == alone


@slow
def test_a_cluster_of_this_machine_listens_on_loopback_alone_and_spills_nothing():
    with Cluster(workers=2) as cluster:
        pids = [os.getpid(), *cluster.pids()]
        listening = [
            connection.laddr.ip
            for pid in pids
            for connection in psutil.Process(pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert len(listening) >= 3 and set(listening) == {"127.0.0.1"}
        limits = cluster._client.run(memory_of_worker).values()
    assert list(limits) == [(False, False, False, False, 0)] * 2


def memory_of_worker(dask_worker):
    """When a worker spills, pauses and ends: its settings, and its limit of memory."""
    manager = dask_worker.memory_manager
    names = ("memory_target_fraction", "memory_spill_fraction", "memory_pause_fraction")
    import dask

    ends = dask.config.get("distributed.worker.memory.terminate")
    return (*(getattr(manager, name) for name in names), ends, manager.memory_limit or 0)


def free_port(host):
    with socket.socket() as found:
        found.bind((host, 0))
        return found.getsockname()[1]


ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}


@contextmanager
def processes():
    """What starts a process of Dask's own command line; all are ended after."""
    started = []

    def start(*words, **environment):
        started.append(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "dask", *words],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT | environment,
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
    assert said and "was lost" in said[0]


@slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate")
def test_a_scheduler_beyond_loopback_is_reached_by_tls_as_the_docs_say(model, texts, tmp_path):
    with Cluster(workers=1) as cluster:
        alone = run(model, texts, tmp_path / "one", cluster)
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=scan", "-keyout", "key.pem"]
    subprocess.run([*made, "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True)
    comm, certificate = "DASK_DISTRIBUTED__COMM__", str(tmp_path / "cert.pem")
    tls = {f"{comm}REQUIRE_ENCRYPTION": "True", f"{comm}TLS__CA_FILE": certificate}
    for who in ("CLIENT", "SCHEDULER", "WORKER"):
        tls |= {f"{comm}TLS__{who}__CERT": certificate, f"{comm}TLS__{who}__KEY": str(tmp_path / "key.pem")}
    address = f"tls://127.0.0.2:{free_port('127.0.0.2')}"
    where = ("--protocol", "tls", "--host", "127.0.0.2", "--port", address.rpartition(":")[2], "--no-dashboard")
    own = ("--host", "127.0.0.3", "--nthreads", "1", "--no-dashboard", "--memory-limit", "0")
    scan = ("scan", texts, "--out", tmp_path / "tls", "--model", model, "--window", LENGTH, "--scheduler")
    with processes() as start:
        start("scheduler", *where, **tls)
        start("worker", address, *own, **tls)

        def scanned(to, environment):
            words = [sys.executable, "-P", "-c", SCAN, *map(str, scan), to]
            return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=200)

        done = scanned(address, ENVIRONMENT | tls)
        assert done.returncode == 0, done.stderr
        assert bytes_of(tmp_path / "tls") == alone
        assert scanned(address.replace("tls", "tcp", 1).replace("127.0.0.2", "192.0.2.1"), ENVIRONMENT).returncode == 2


SCAN = (
    "import sys\n"
    "from desktop_app.cli import main\n"
    "from desktop_app.core.evidence import runner, scan\n"
    "for module in (runner, scan): module.BATCH, module.SHARD = 8, 4\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


@slow
def test_a_disk_that_fills_while_it_counts_loses_nothing(model, texts, tmp_path):
    """A disk of a few megabytes, in a mount namespace of its own, which another file fills in the middle."""
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine makes no namespaces")
    with Cluster(workers=1) as cluster:
        alone = run(model, texts, tmp_path / "one", cluster)
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    words = [sys.executable, "-P", "-c", FILLS, *map(str, (model, texts, disk, kept))]
    mount = f'mount -t tmpfs -o size=8m none "{disk}" && exec "$@"'
    environment = ENVIRONMENT | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stdout
    assert bytes_of(kept) == alone


FILLS = (
    "import shutil, sys\n"
    "from pathlib import Path\n"
    "from desktop_app.core.evidence import runner, scan as scans\n"
    "from desktop_app.core.evidence.runner import Here\n"
    "from desktop_app.gpt2.errors import LogitscopeError\n"
    "from tests.core.evidence.test_cluster import prepared\n"
    "for module in (runner, scans): module.BATCH, module.SHARD = 8, 4\n"
    "scans._SAVE_EVERY = 0.0\n"
    "model, texts, disk, kept = map(Path, sys.argv[1:])\n"
    "other = disk / 'other'\n"
    "def fill(done, _):\n"
    "    if done == 2:\n"
    "        try: other.write_bytes(bytes(8 << 20))\n"
    "        except OSError as reason: print(reason)\n"
    "try: scans.count(prepared(model, texts, disk / 'out'), Here(), fill)\n"
    "except LogitscopeError as reason: print(reason)\n"
    "else: sys.exit('it was not told')\n"
    "other.unlink()\n"
    "made = prepared(model, texts, disk / 'out')\n"
    "assert 0 < made.done < made.shards, made.done\n"
    "scans.count(made, Here())\n"
    "scans.finish(made)\n"
    "shutil.copytree(disk / 'out', kept)\n"
)


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
    environment = ENVIRONMENT | {"OPENBLAS_NUM_THREADS": "1"}
    assert subprocess.run(words, env=environment, check=False).returncode == -signal.SIGKILL
    made = prepared(model, texts, out)
    assert made.done == 2  # the third was counted, and not yet saved
    with Cluster(workers=2) as cluster:
        count(made, cluster)
    finish(made)
    assert bytes_of(out) == alone
