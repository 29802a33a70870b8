"""Workers do not hear Ctrl+C, the first one of a program least of all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import multiprocessing, signal
from desktop_app.gpt2.system import deaf_to_interrupts

def blocked():
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

def tell(pipe):
    pipe.send(blocked())

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    with deaf_to_interrupts():
        context.Process(target=tell, args=(there,)).start()
    print(here.recv(), blocked())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX's")
def test_the_first_worker_does_not_hear_an_interrupt_and_its_parent_still_does(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, script]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "False"]
