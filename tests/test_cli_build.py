"""`logitscope build`: its keys are the command's options; what is drawn again and what not; errors name the line."""

import json
import subprocess
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from pathlib import Path

import pytest

from desktop_app import cli
from desktop_app.figures import build
from tests.checkpoints import TINY, write_checkpoint

ROOT = Path(__file__).resolve().parent.parent
CONFIG = TINY | {"vocab_size": 300, "n_positions": 64}
LISTING = """
[defaults]
model = "tiny"
prompt = "A cat?"
size = "column"

[[figure]]
name = "pattern"
step = "pattern"
layer = 1
head = 2

[[figure]]
name = "sub/weights"
format = ["svg", "png"]
dpi = 60
step = "weights:blocks.0.attn.W_Q"
data = ["csv", "json"]

[[figure]]
name = "says.svg"
step = "probabilities"
temperature = 0.5
top-k = 7
no-caption = true
lang = "de"
"""
FILES = {"pattern.svg", "sub/weights.svg", "sub/weights.png", "sub/weights.csv", "sub/weights.json", "says.svg"}


@pytest.fixture
def place(tmp_path):
    write_checkpoint(tmp_path / "tiny", CONFIG)
    build.model_digest.cache_clear()
    return tmp_path


@pytest.fixture
def built(place, capfd):
    """Writes the listing and builds it: (exit code, stdout, stderr)."""

    def run(text=LISTING, *arguments):
        (place / "figures.toml").write_text(text, encoding="utf-8")
        status = cli.main(["build", str(place / "figures.toml"), "--jobs", "1", *arguments])
        return status, *capfd.readouterr()

    return run


def files_in(place):
    return {
        str(p.relative_to(place)): p.read_bytes()
        for p in place.rglob("*")
        if p.is_file() and "tiny" not in p.parts and p.name not in ("figures.toml", "figures.built.json")
    }


ONCE = LISTING.replace('format = ["svg", "png"]', 'format = "png"')


def test_every_listed_figure_is_made_once_and_then_left_alone(built, place):
    status, out, err = built(ONCE)
    assert (status, err) == (0, "")
    assert "3 figures: 3 made, 0 unchanged." in out
    first = files_in(place)
    assert set(first) == FILES - {"sub/weights.svg"}
    status, out, _ = built(ONCE)
    assert status == 0
    assert "3 figures: 0 made, 3 unchanged." in out
    assert files_in(place) == first


def test_a_figure_in_two_formats_has_its_data_once(built, place):
    status, out, _ = built(LISTING)
    assert status == 0
    assert "4 figures: 4 made" in out
    assert set(files_in(place)) == FILES


def test_the_figures_are_those_of_the_command(built, place, capfd):
    built(ONCE)
    alone = place / "alone.svg"
    arguments = ["--model", str(place / "tiny"), "--step", "blocks.1.attn.pattern", "--head", "2", "--size", "column"]
    assert cli.main(["figure", "A cat?", *arguments, "--out", str(alone)]) == 0
    capfd.readouterr()
    assert alone.read_bytes() == (place / "pattern.svg").read_bytes()
    says = (place / "says.svg").read_text()
    assert "Was das Modell sagt" in says
    assert "A cat?” ·" not in says.split("</metadata>")[1]  # no caption


def test_a_saved_pass_in_a_listing_is_drawn_again_when_its_file_changes(built, place, capfd):
    listing = '[[figure]]\nname = "a.svg"\nmodel = "tiny"\nstep = "tokens"\ntrace = "t.safetensors"\n'
    for text, tokens in (("A cat", "5 tokens"), ("A cats", "6 tokens")):
        arguments = ["--model", str(place / "tiny"), "--force", "--out", str(place / "t.safetensors")]
        assert cli.main(["trace", text, *arguments]) == 0
        assert tokens in capfd.readouterr().out
        assert "1 made" in built(listing)[1]
        assert "0 made" in built(listing)[1]
    status, _, err = built(listing + 'prompt = "A cat"\n')
    assert status == 2
    assert "prompt, ids, session and trace exclude each other" in err


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (lambda place: (place / "pattern.svg").unlink(), ["pattern.svg"]),
        (lambda place: (place / "says.svg").write_text("edited by hand"), ["says.svg"]),
        (lambda place: (place / "sub" / "weights.csv").unlink(), ["sub/weights.png"]),
        (
            lambda place: write_checkpoint(place / "tiny", CONFIG, seed=5),
            ["pattern.svg", "sub/weights.png", "says.svg"],
        ),
    ],
    ids=["missing", "edited", "data missing", "another model"],
)
def test_what_has_changed_is_made_again_and_nothing_else(built, place, change, made):
    built(ONCE)
    before = files_in(place)
    change(place)
    build.model_digest.cache_clear()
    status, out, _ = built(ONCE)
    assert status == 0
    for name in ("pattern.svg", "sub/weights.png", "says.svg"):
        assert f"{name}  {'made' if name in made else 'unchanged'}" in out, name
    assert (files_in(place) == before) == (len(made) < 3)


def test_an_entry_that_changed_is_made_again(built):
    built(ONCE)
    out = built(ONCE.replace("head = 2", "head = 1"))[1]
    assert "pattern.svg  made" in out
    assert "says.svg  unchanged" in out


def test_a_changed_program_makes_everything_again(built, monkeypatch):
    built(ONCE)
    monkeypatch.setattr(build, "program", lambda: "another")
    assert "3 made" in built(ONCE)[1]


def test_workers_make_the_same_bytes(built, place):
    built(ONCE)
    first = files_in(place)
    command = [
        sys.executable,
        "-m",
        "desktop_app",
        "build",
        str(place / "figures.toml"),
        "--jobs",
        "2",
        "--force",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert files_in(place) == first


def test_a_worker_that_is_killed_fails_its_figure_and_no_more(built, place, monkeypatch):
    class Dying:
        def submit(self, *_arguments):
            future = Future()
            future.set_exception(BrokenProcessPool("killed"))
            return future

    monkeypatch.setattr(build, "_workers", lambda _count: nullcontext(Dying()))
    status, out, err = built(ONCE)
    assert status == 2
    assert "0 made, 0 unchanged, 3 failed." in out
    assert err.count("ended unexpectedly") == 3
    assert files_in(place) == {}


def test_a_file_that_no_build_wrote_is_not_replaced_unasked(built, place):
    (place / "pattern.svg").write_text("mine")
    status, _, err = built(ONCE)
    assert status == 2
    assert "line 7" in err
    assert "--force" in err
    assert files_in(place) == {"pattern.svg": b"mine"}
    assert built(ONCE, "--force")[0] == 0
    assert (place / "pattern.svg").read_bytes() != b"mine"


def test_a_figure_that_fails_leaves_the_others_and_is_named(built, place):
    status, out, err = built(ONCE.replace("head = 2", "head = 2\ntoken = 77"))
    assert status == 2
    assert "figures.toml, line 7, pattern.svg: Token 77 is outside the prompt's tokens" in err
    assert "2 made, 0 unchanged, 1 failed." in out
    assert not (place / "pattern.svg").exists()
    assert (place / "says.svg").exists()
    assert "says.svg  unchanged" in built(ONCE)[1]


def test_a_disk_that_fills_leaves_what_was_there(built, place, monkeypatch):
    built(ONCE)
    before = files_in(place)

    def fails(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fails)
    status, _, err = built(ONCE.replace("head = 2", "head = 0"))
    assert status == 2
    assert "No space left" in err
    monkeypatch.undo()
    assert files_in(place) == before
    assert not list(place.rglob(".logitscope-*"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[figure]]\nname = 'a'\nsetp = 'text'\n", ["line 3", "'setp'", "step"]),
        ("[defaults]\nszie = 'page'\n[[figure]]\nname = 'a'\n", ["[defaults]", "szie", "size"]),
        ("[[figures]]\nname = 'a'\n", ["'figures'", "figure"]),
        ("[[figure]]\nname = 'a'\nprompt = 'x'\nstep = 'text'\n[[figure]]\nprompt = 'x'\n", ["line 5", "name"]),
        ("[[figure]]\nname = 'a'\nprompt = 'x'\nstep = 'text'\nhead = 'two'\n", ["line 5", "head", "two"]),
        ("[[figure]]\nname = 'a'\nprompt = 'x'\nstep = 'text'\ntransparent = 1\n", ["line 5", "true or false"]),
        ("[[figure]]\nname = 'a'\nprompt = 3\nstep = 'text'\n", ["line 3", "text"]),
        ("[[figure]]\nname = '../a'\nprompt = 'x'\nstep = 'text'\n", ["line 2", "inside the listing"]),
        ("[[figure]]\nname = '/a'\nprompt = 'x'\nstep = 'text'\n", ["inside the listing"]),
        ("[[figure]]\nname = 'a'\nformat = 'gif'\nprompt = 'x'\nstep = 'text'\n", ["svg, pdf, png"]),
        ("[[figure]]\nname = 'a'\nprompt = 'x'\nids = [1]\nstep = 'text'\n", ["exclude"]),
        ("[[figure]]\nname = 'a'\nprompt = 'x'\n", ["step"]),
        ("[[figure]]\nname = 'a'\nprompt = 'x'\nstep = 'text'\ntheme = 'pink'\n", ["line", "print"]),
        (2 * "[[figure]]\nname = 'a'\nprompt = 'x'\nstep = 'text'\n", ["line 5", "a.svg", "line 1", "already"]),
        (  # one file on Windows and macOS
            "".join(f"[[figure]]\nname = '{name}'\nprompt = 'x'\nstep = 'text'\n" for name in "aA"),
            ["line 5", "a.svg", "line 1", "already"],
        ),
        ("[[figure]]\nname = \n", ["not TOML", "line 2"]),
        ("", ["no figure"]),
        ("figure = 3", ["double brackets"]),
    ],
)
def test_a_fault_is_told_with_its_line_before_anything_is_made(built, place, text, words):
    status, out, err = built(text)
    assert (status, out) == (2, "")
    for word in words:
        assert word in err, err
    assert files_in(place) == {}


def test_an_unknown_step_is_told_with_the_closest_and_the_others_are_made(built):
    status, out, err = built(ONCE.replace('"pattern"\nlayer', '"blocks.1.attn.patern"\nlayer'))
    assert status == 2
    assert "line 7" in err
    assert "blocks.1.attn.pattern" in err
    assert "2 made" in out


def test_what_is_no_longer_listed_is_said_and_left(built, place):
    built(ONCE)
    shorter = ONCE[: ONCE.rindex("[[figure]]")]
    out = built(shorter)[1]
    assert "says.svg is no longer listed" in out
    assert (place / "says.svg").exists()
    assert "says.svg" not in json.loads((place / "figures.built.json").read_text())["outputs"]


def test_a_damaged_record_is_told(built, place):
    built(ONCE)
    (place / "figures.built.json").write_text('{"logitscope": 1, "outputs": {"a": 3}}')
    status, _, err = built(ONCE)
    assert status == 2
    assert "figures.built.json" in err
    assert "--force" in err


def test_a_listing_that_is_not_there_is_told(capfd, tmp_path):
    assert cli.main(["build", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capfd.readouterr().err


def test_a_model_may_be_named_as_the_command_takes_it(built):
    status, _, _ = built(LISTING.replace('"tiny"', '"bundled"').split('[[figure]]\nname = "sub')[0])
    assert status == 0
    status, _, err = built(LISTING.replace('"tiny"', '"owner/none"'))
    assert status == 2 and "models get owner/none" in err
