"""Commands that are killed, lose their terminal, or start in a poor environment: they leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-P", "-m", "desktop_app"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and descriptors as POSIX has them")


def start(*arguments, cwd, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("env", {})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([*PROGRAM, *map(str, arguments)], cwd=cwd, env=environment, text=True, **pipes)


def ended(process, timeout=120):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out or "", err or ""


LIST = '[defaults]\nmodel = "sorter"\nstep = "tokens"\n' + "".join(
    f'[[figure]]\nname = "f{n}"\nprompt = "{"ABC"[n % 3] * (n % 6 + 1)}"\n' for n in range(12)
)


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_build_that_is_ended_leaves_no_worker_and_goes_on_the_next_time(tmp_path, number):
    (tmp_path / "list.toml").write_text(LIST)
    process = start("build", "list.toml", "--jobs", 2, cwd=tmp_path)
    wait_for(lambda: list(tmp_path.glob("*.svg")) or process.poll() is not None)
    workers = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(number)
    status, _, err = ended(process)  # this waits for all processes that hold its pipes
    assert status in (128 + number, -number) and "Traceback" not in err
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    status, out, err = ended(start("build", "list.toml", "--jobs", 1, cwd=tmp_path))
    assert (status, err) == (0, "") and "12 figures" in out and ", 0 made" not in out
    assert not list(tmp_path.glob(".logitscope-*")) or number == signal.SIGKILL


def test_a_trace_that_is_asked_to_end_leaves_nothing(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    for seconds in (0.0, 0.3, 0.6):
        process = start(
            "trace", "Once upon a time", "--int8", "--out", tmp_path / "out.npz", "--force",
            cwd=tmp_path, env={"TMPDIR": str(temporary)},
        )  # fmt: skip
        wait_for(lambda process=process: list(temporary.iterdir()) or process.poll() is not None)
        time.sleep(seconds / 10)
        process.terminate()
        status, _, err = ended(process)
        assert status in (0, 143) and "Traceback" not in err
        assert not list(temporary.iterdir()) and not list(tmp_path.glob(".logitscope-*"))


@pytest.mark.parametrize(
    ("command", "closed", "status"),
    [
        ("figure - --model sorter --step tokens --out a.svg", 0, 2),
        ("generate - --model sorter", 0, 2),
        ("generate A --model sorter -n 1", 1, 0),
        ("census --model none-such", 2, 2),
        ("models list", 1, 0),
    ],
)
def test_a_closed_stream_is_no_traceback(tmp_path, command, closed, status):
    process = start(*command.split(), cwd=tmp_path, preexec_fn=lambda: os.close(closed), stdin=subprocess.DEVNULL)
    found, _, err = ended(process)
    assert found == status and "Traceback" not in err


def test_an_error_that_cannot_be_told_is_one_all_the_same(tmp_path):
    with Path("/dev/full").open("w") as full:
        assert ended(start("census", "--model", "none-such", cwd=tmp_path, stderr=full))[0] == 2


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_a_notebooks_backend_does_not_matter(tmp_path, backend):
    command = ("figure", "A", "--model", "sorter", "--step", "tokens", "--out", "a.svg")
    status, _, err = ended(start(*command, cwd=tmp_path, env={"MPLBACKEND": backend}))
    assert (status, err) == (0, "") and (tmp_path / "a.svg").stat().st_size > 1000


def test_workers_start_where_the_working_directory_was_deleted(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"""
import os, shutil
from desktop_app.core.program.processes import starting_workers, worker_pool
if __name__ == "__main__":
    os.chdir({str(gone)!r})
    shutil.rmtree({str(gone)!r})
    with worker_pool(1) as pool, starting_workers():
        print(pool.submit(abs, -3).result())
"""
    (tmp_path / "script.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "3"), done.stderr
