"""Workers do not receive Ctrl+C, not even the first one that a program starts."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import multiprocessing, signal
from desktop_app.gpt2.system import interrupts_blocked

def blocked():
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

def tell(pipe):
    pipe.send(blocked())

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    with interrupts_blocked():
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


@pytest.mark.parametrize("command", ["deck", "build"])
def test_where_no_thread_can_start_a_deck_is_refused_in_a_sentence_and_a_build_draws_alone(
    tmp_path, capsys, monkeypatch, command
):
    """As under a limit on memory or processes; waiting for a pool without its thread would never end."""
    from concurrent.futures.process import _ExecutorManagerThread

    from desktop_app.cli import main

    def no_thread(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_ExecutorManagerThread, "start", no_thread)
    monkeypatch.chdir(tmp_path)
    figure = '[[figure]]\nname = "{0}.svg"\nprompt = "A"\nstep = "tokens"\n'
    (tmp_path / "figures.toml").write_text(figure.format("one") + figure.format("two"))
    if command == "deck":
        assert main(["deck", "A", "--steps", "tokens,probabilities", "--jobs", "2", "--out", "a.pptx"]) == 2
        assert "No worker process can be started" in capsys.readouterr().err
    else:
        assert main(["build", "figures.toml", "--jobs", "2"]) == 0
        assert (tmp_path / "one.svg").exists() and (tmp_path / "two.svg").exists()
    assert not (tmp_path / "a.pptx").exists() and not multiprocessing.active_children()
