"""`logitscope deck`: what it writes and prints, what it refuses beforehand, and that it leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pptx import Presentation

from desktop_app import cli
from tests.checkpoints import write_checkpoint
from tests.scenes import CONFIG

ROOT = Path(__file__).resolve().parent.parent.parent
posix = pytest.mark.skipif(os.name != "posix", reason="limits and signals of POSIX")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", CONFIG)


@pytest.fixture
def deck(capfd, model, tmp_path):
    """Runs the command on the tiny model: (exit code, stdout, stderr, the file)."""

    def run(*arguments, name="deck.pptx", text="A cat?"):
        out = tmp_path / name
        status = cli.main(["deck", text, "--model", str(model), "--out", str(out), *map(str, arguments)])
        said = capfd.readouterr()
        return status, said.out, said.err, out

    return run


def command(model, out, *arguments):
    words = ["deck", "A cat sat there", "--model", str(model), "--out", str(out), *arguments]
    return [sys.executable, "-m", "desktop_app", *words]


def ended(group, seconds=20):
    """Whether no process of a group is left after a moment; kills any that is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return False


def refused(result, *words):
    status, _, err, out = result
    assert (status, err.count("\n")) == (2, 1), err
    assert all(word in err for word in words), err
    return not out.exists() and not [p for p in out.parent.iterdir() if p.name.startswith(".")]


def test_a_deck_is_written_by_workers_with_progress_and_a_summary_and_is_the_same_again(deck):
    steps = ("--steps", "tokens,blocks.*.attn.pattern,probabilities")
    status, out, err, path = deck(*steps, "--jobs", 2)
    assert status == 0 and "deck.pptx: 4 slides, " in out
    assert "drawn 4 of 4" in err and "Traceback" not in err
    assert len(Presentation(path).slides) == 4
    first = path.read_bytes()
    status, _, err, _ = deck(*steps)
    assert status == 2 and "already exists" in err and "--force" in err and path.read_bytes() == first
    assert deck(*steps, "--jobs", 1, "--force")[0] == 0
    assert path.read_bytes() == first, "whatever the number of workers"


def test_a_session_brings_its_prompt_place_and_settings(capfd, model, tmp_path):
    from desktop_app.core.session.session_file import save_session
    from desktop_app.core.session.state import State

    session, out = tmp_path / "one.logitscope", tmp_path / "deck.pptx"
    save_session(session, State(text="Say", appended=(33, 34), head=2, layer=1, model=str(model)))
    arguments = ["--session", str(session), "--out", str(out), "--steps", "blocks.1.attn.z", "--jobs", "1"]
    assert cli.main(["deck", *arguments]) == 0, capfd.readouterr().err
    deck = Presentation(out)
    assert deck.slides[0].shapes.title.text_frame.text.startswith("Block 1 · Head 2")
    assert any("5 tokens" in s.text_frame.text for s in deck.slides[0].placeholders)


def test_a_heads_page_is_that_of_the_block_and_the_head_that_are_asked_for(deck):
    status, _, _, out = deck("--steps", "heads", "--heads-show", "weights", "--block", 1, "--head", 2)
    assert status == 0
    assert Presentation(out).slides[0].shapes.title.text_frame.text.startswith("Block 1 · Head 2")
    # Of its eight most and three least promoted tokens the nine furthest from 0 are shown, and what parts them is said.
    [chart] = [shape.chart for shape in Presentation(out).slides[0].shapes if shape.has_chart]
    names, values = list(chart.plots[0].categories), list(chart.plots[0].series[0].values)
    at = names.index("— … and least —")
    assert len(names) == 10 and values[at] is None
    assert min(values[:at]) > max(values[at + 1 :])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--steps", "tokns"), ("tokns", "tokens")),
        (("--steps", "blocks.5"), ("blocks.5", "blocks.0")),
        (("--steps", ","), ("at least one",)),
        (("--block", 7), ("Block 7", "from 0 to 1")),
        (("--head", 9), ("Head 9",)),
        (("--token", 6), ("Token 6", "0 to 5")),
        (("--theme", "pink"), ("pink", "light, dark, print")),
        (("--template", "none.pptx"), ("no template none.pptx",)),
        (("--jobs", 0), ("--jobs 0",)),
        (("--temperature", 0), ("emperature",)),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_drawn(deck, arguments, words):
    assert refused(deck(*arguments), *words)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("deck.key", (), (".pptx", ".mp4")),
        ("none/deck.pptx", (), ("no folder",)),
        ("deck.pdf", ("--template", "dept.pptx"), ("template", ".pdf")),
        ("deck.gif", ("--seconds", 0), ("seconds",)),
    ],
)
def test_a_place_or_format_that_cannot_be_is_told(deck, tmp_path, name, arguments, words):
    status, _, err, out = deck(*arguments, name=name)
    assert status == 2 and all(word in err for word in words), err
    assert not out.exists() and not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told(deck, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path or not mode & os.W_OK)
    assert refused(deck("--steps", "tokens"), "is not writable")


@posix
def test_a_full_disk_is_told_and_leaves_nothing(model, tmp_path):
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    out = tmp_path / "out" / "deck.pptx"
    out.parent.mkdir()
    done = subprocess.run(
        command(model, out, "--steps", "blocks.0.attn.pattern", "--jobs", "1"),
        preexec_fn=limit, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "cannot be written" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not list(out.parent.iterdir())


@posix
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_deck_leaves_no_file_and_no_process(model, tmp_path, sent, status):
    out = tmp_path / "out" / "deck.pptx"
    out.parent.mkdir()
    running = subprocess.Popen(
        command(model, out, "--steps", "all", "--jobs", "2"),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not list(out.parent.glob(".*/*")) and time.monotonic() < deadline and running.poll() is None:
            time.sleep(0.05)
        # Like a terminal, which signals every process of the command.
        os.killpg(running.pid, sent) if sent == signal.SIGINT else running.send_signal(sent)
        _, err = running.communicate(timeout=60)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == status and "Traceback" not in err, err
    assert not list(out.parent.iterdir())
    assert ended(running.pid)


@posix
def test_workers_end_with_a_command_that_was_killed(model, tmp_path):
    out = tmp_path / "deck.pptx"
    running = subprocess.Popen(
        command(model, out, "--steps", "all", "--jobs", "2"),
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    running.kill()
    running.wait()
    assert ended(running.pid), "a worker outlived its command"
