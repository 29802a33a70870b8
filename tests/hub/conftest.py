"""A hub on the loopback interface with one small GPT-2, to which this process's hub client is pointed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints import TINY, write_checkpoint
from tests.hub.fixtures import hub

__all__ = ["hub"]

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIG = {**TINY, "vocab_size": 257, "n_positions": 48}
REPOSITORY = "models--owner--tiny"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder from which the repository was uploaded."""
    return write_checkpoint(tmp_path_factory.mktemp("upload") / "tiny", CONFIG)


@pytest.fixture
def cache(own_home):
    """The repository's folder in this test's cache."""
    return own_home / "huggingface" / "hub" / REPOSITORY


@pytest.fixture
def command(hub):
    """A function that starts `logitscope ...` in a separate process, which reads its environment like a user's."""
    started = []

    def start(*arguments, **environment):
        env = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "0"} | environment
        process = subprocess.Popen(
            [sys.executable, "-m", "desktop_app", *map(str, arguments)],
            env=env, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def finish(command):
    """A function that runs a command to its end: (exit code, stdout, stderr)."""

    def run(*arguments, **environment):
        process = command(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return run


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("a disk can be mounted by root only")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mounting a disk is refused here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)
