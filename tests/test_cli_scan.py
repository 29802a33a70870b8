"""`logitscope scan`: what it says, what it refuses before it starts, and its exit codes."""

import json
import shutil
from types import SimpleNamespace

import pytest

from desktop_app import cli
from desktop_app.core.evidence import scan as scans
from desktop_app.core.evidence.runner import Here
from desktop_app.core.library.progress import in_bytes
from desktop_app.gpt2 import machine
from tests.checkpoints import TINY, write_checkpoint
from tests.core.evidence.texts_and_model import LENGTH, opened, write_model, write_texts

pytest.importorskip("distributed", reason="needs the packages of ./run scan")
pytest.importorskip("pyarrow", reason="needs the packages of ./run scan")

from desktop_app.core.evidence import cluster


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("texts") / "texts")


class InThisProcess(Here):
    """Stands for two workers: their processes have tests of their own."""

    workers = 2

    def __init__(self, *_settings):
        super().__init__()

    def __enter__(self):
        return self

    def __exit__(self, *_reason):
        pass


@pytest.fixture
def command(capfd, monkeypatch):
    """Runs a command in this process: (exit code, stdout, stderr)."""
    monkeypatch.setattr(cluster, "Cluster", InThisProcess)

    def run(*arguments):
        status = cli.main(["scan", *map(str, arguments), "--window", str(LENGTH)])
        return status, *capfd.readouterr()

    return run


def test_it_says_what_it_will_take_then_what_it_wrote(command, model, texts, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(scans, "measure", lambda _scan: (1.5, 1000))
    status, said, _ = command(texts, "--out", out, "--model", model)
    lines = said.splitlines()
    windows = json.loads((out / "scan.json").read_text())["windows"]
    needs = scans.needs(scans.prepare(scans.Request((str(texts),), tmp_path / "o", LENGTH), *opened(model)), 1000)
    minutes = round(1.5 * windows / 2 / 60)  # a window took 1.5 s, and there are two workers
    assert status == 0
    assert lines[0].endswith(
        f"in {windows} windows; about {minutes} minutes on 2 workers, "
        f"{in_bytes(needs.client + 2 * needs.worker)} of memory here, {in_bytes(needs.disk)} of disk"
    )
    assert lines[1].startswith(f"{windows} windows, ")
    assert {line.rpartition(": ")[0].rpartition("/")[2] for line in lines[2:]} == {
        *(f"{name}.parquet" for name in ("neurons", "passages", "heads", "positions", "tokens", "windows")),
        *("evidence.npz", "scan.json"),
    }
    status, said, err = command(texts, "--out", out, "--model", model)
    assert (status, err) == (0, "") and said.endswith("out: this scan is complete.\n")


def test_too_little_disk_is_refused_with_the_numbers_and_it_goes_on_where_there_is_room(
    command, model, texts, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=12_000))
    status, said, err = command(texts, "--out", out, "--model", model)
    assert (status, err.count("\n")) == (2, 1) and "of disk" in said
    assert f"MB of disk in {out}, where {in_bytes(12_000)} are free and " in err
    assert err.endswith(" are already its own; free some space, or give fewer --tokens.\n")
    assert not list(out.glob("*.parquet")) and json.loads((out / "scan.json").read_text())["done"] == 0
    monkeypatch.undo()
    monkeypatch.setattr(cluster, "Cluster", InThisProcess)
    assert command(texts, "--out", out, "--model", model)[0] == 0


def test_too_little_memory_is_refused_with_the_numbers(command, model, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 100_000_000)
    status, _, err = command(texts, "--out", tmp_path / "out", "--model", model)
    assert (status, err.count("\n")) == (2, 1)
    assert "of memory on this machine with 2 workers, and 100 MB are free; give fewer --workers." in err


def test_what_is_broken_is_named_and_the_exit_code_says_so(command, model, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("a good text " * 9)
    (folder / "b.txt").write_bytes(b"\xff\xfe")
    (folder / "c.jsonl").write_text('{"text": "another good text"}\n{"text": 3}\n')
    status, said, err = command(folder, "--out", tmp_path / "out", "--model", model)
    assert status == 1 and said.startswith("2 texts, ")
    first, second, third = err.replace("logitscope: ", "").splitlines()
    assert first.startswith(f"{folder / 'b.txt'}: is not UTF-8")
    assert second == f"{folder / 'c.jsonl'}, text 1: has no text 'text'."
    assert third == "2 texts are left out; the others are scanned."
    assert (tmp_path / "out" / "neurons.parquet").exists()


def test_a_text_that_cannot_be_spelled_is_named_and_the_rest_counts(command, tmp_path):
    model = write_checkpoint(tmp_path / "model", TINY)  # its vocabulary has the first of the bytes alone
    (tmp_path / "t.jsonl").write_text('{"text": "ABCABC"}\n{"text": "ABC\\u00e9"}\n')
    status, said, err = command(tmp_path / "t.jsonl", "--out", tmp_path / "out", "--model", model)
    assert status == 1 and said.startswith("1 text, 6 tokens in 1 window; ")
    assert f"{tmp_path / 't.jsonl'}, text 1: " in err and "1 text is left out; the others are scanned." in err


def test_several_kinds_of_processors_are_said(command, model, texts, tmp_path, monkeypatch):
    kinds = iter(range(10**6))
    monkeypatch.setattr("desktop_app.core.evidence.runner.processor", lambda: f"Chip {next(kinds) % 2}")
    status, _, err = command(texts, "--out", tmp_path / "out", "--model", model)
    assert status == 0
    assert "Several kinds of processors computed this, so the last digits may differ: Chip 0, Chip 1." in err
    assert json.loads((tmp_path / "out" / "scan.json").read_text())["processors"] == ["Chip 0", "Chip 1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "0"], "--workers is 0; it must be a whole number from 1."),
        (["--tokens", "0"], "--tokens is 0"),
        (["--scheduler", "tcp://127.0.0.1:8786", "--workers", "2"], "a scheduler has its own; leave it out"),
        (["--scheduler", "tcp://10.0.0.7:8786"], "is on another machine and not encrypted"),
        (["--scheduler", "somewhere"], "is not the address of a scheduler"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(command, model, texts, tmp_path, arguments, words):
    status, said, err = command(texts, "--out", tmp_path / "out", "--model", model, *arguments)
    assert (status, said, err.count("\n")) == (2, "", 1) and words in err
    assert not (tmp_path / "out").exists()


def test_without_the_extra_it_says_how_to_get_it(command, model, texts, tmp_path, monkeypatch):
    monkeypatch.setattr("desktop_app.cli.scan.find_spec", lambda name: None if name == "distributed" else True)
    status, said, err = command(texts, "--out", tmp_path / "out", "--model", model)
    assert (status, said) == (2, "") and "Scanning needs distributed, which this installation lacks" in err
