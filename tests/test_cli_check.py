"""`logitscope check`: one line per tensor, exit code 1 and the name of a wrong one, and what it refuses."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from desktop_app import cli
from desktop_app.gpt2 import session as session_module
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.tensors import tensor_table
from tests.checkpoints import TINY, write_checkpoint

ROOT = Path(__file__).resolve().parent.parent
CONFIG = TINY | {"vocab_size": 300}
TABLE = tensor_table(parse_config(CONFIG, "test"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", CONFIG)


@pytest.fixture
def command(capfd):
    """Runs `logitscope check` in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        status = cli.main(["check", *map(str, arguments)])
        return status, *capfd.readouterr()

    return run


@pytest.fixture
def wrong_divisor(monkeypatch):
    """Makes graphs divide the scores of block 1 by a slightly too large number."""
    build = session_module.build_graph

    def changed(*args, **options):
        graph = (made := build(*args, **options)).graph
        for node in graph.node:
            if "blocks.1.attn.scaled" in node.output:
                graph.initializer.append(numpy_helper.from_array(np.array(8**0.5 * 1.001, np.float32), "divisor"))
                node.input[1] = "divisor"
        return made

    monkeypatch.setattr(session_module, "build_graph", changed)


def test_every_computed_tensor_has_its_line_in_the_order_of_the_pass(command, model):
    status, out, err = command("A cat?", "--model", model)
    assert (status, err) == (0, "")
    head, columns, *lines = out.splitlines()
    lines, analyses, verdicts = lines[: len(TABLE) - 1], lines[len(TABLE) - 1 : -3], lines[-3:]
    assert "float64" in head
    assert "1e-05" in head
    assert columns.split() == ["tensor", "worst", "of", "sum", "cell"]
    assert [line.split()[0] for line in lines] == [name for name in TABLE if name != "tokens"]
    assert lines[0].split()[1:] == ["0", "0", "exact"]
    rounded = next(line for line in lines if line.startswith("blocks.0.attn.q "))
    _, absolute, relative, *cell = rounded.split()
    assert 0 < float(relative) < 1e-5
    assert 0 < float(absolute) < 1e-5
    assert cell[::2] == ["head", "pos", "d_head"]
    assert analyses[0] == ""
    assert "0.0001" in analyses[1]
    assert all(0 <= float(line.split()[0]) < 1e-4 for line in analyses[2:])
    for name in ("parts of", "attribution:", "score", "lens:", "heads: induction", "rollout", "flow:"):
        assert any(name in line for line in analyses[2:])
    assert verdicts == [
        "",
        f"{len(TABLE) - 1} tensors of 6 tokens: all agree with their formulas, up to rounding.",
        f"{len(analyses) - 2} results of the analyses: all are correct, up to rounding.",
    ]
    assert "\x1b" not in out


def test_a_wrong_tensor_is_named_with_both_numbers_and_the_exit_code_is_1(command, model, wrong_divisor, tmp_path):
    report = tmp_path / "report.json"
    status, out, err = command("A cat?", "--model", model, "--json", report)
    assert (status, err) == (1, "")
    lines = out.splitlines()
    wrong, *opened = [line for line in lines if "WRONG" in line]
    assert wrong.startswith("blocks.1.attn.scaled ")
    assert all("score blocks.1.attn.scaled[" in line for line in opened)  # its parts add up to the correct value
    assert lines[-2] == f"{len(TABLE) - 1} tensors of 6 tokens: 1 wrong: blocks.1.attn.scaled"
    [row] = [row for row in json.loads(report.read_text())["tensors"] if not row["good"]]
    assert row["name"] == "blocks.1.attn.scaled"
    assert row["traced"] * 1.001 == pytest.approx(row["recomputed"], rel=1e-5)
    assert f"is {row['traced']:.9g}, should be {row['recomputed']:.9g}" in wrong
    head, query, key = row["index"]
    assert f"head {head}, query {query}, key {key}:" in wrong


def test_a_report_is_written_whole_and_replaced_only_when_told(command, model, tmp_path):
    report = tmp_path / "report.json"
    assert command("--ids", "3,1,4", "--model", model, "--json", report)[0] == 0
    written = json.loads(report.read_text())
    assert written["ids"] == [3, 1, 4]
    assert written["good"] is True
    assert written["tolerance"] == 1e-5
    assert [row["name"] for row in written["tensors"]] == [name for name in TABLE if name != "tokens"]
    assert {row["good"] for row in written["analyses"]} == {True}
    assert {"name", "index", "sum", "own", "largest"} < written["analyses"][0].keys()
    status, out, err = command("A", "--model", model, "--json", report)
    assert (status, out) == (2, "")
    assert "--force" in err
    assert json.loads(report.read_text()) == written
    assert command("A", "--model", model, "--json", report, "--force")[0] == 0
    assert json.loads(report.read_text())["ids"] != [3, 1, 4]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["A" * 33], "33"),
        ([""], "empty"),
        (["--ids", "3,300"], "300"),
        (["A", "--json", "missing/report.json"], "missing"),
        (["A", "--model", "missing"], "missing"),
    ],
)
def test_bad_input_ends_with_2_and_one_sentence(command, model, tmp_path, monkeypatch, arguments, word):
    monkeypatch.chdir(tmp_path)
    if "--model" not in arguments:
        arguments = [*arguments, "--model", model]
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert word in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


PROGRAM = """
import sys
from desktop_app import cli
import desktop_app.core.check as check
check.TOLERANCE = -1.0
sys.exit(cli.main(["check", "--ids", "3,1", "--model", sys.argv[1]]))
"""


@pytest.mark.parametrize(("variables", "red"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_what_is_wrong_is_red_on_a_terminal_that_takes_colour(model, variables, red):
    """With a tolerance below zero every line is wrong."""
    terminal, end = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(model)], stdout=end, env=environment | variables, cwd=ROOT
    )
    os.close(end)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # Linux says that the other end was closed
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    assert process.wait(timeout=60) == 1
    lines = shown.decode().splitlines()
    assert (lines[2].startswith("\x1b[31m") and lines[2].endswith("\x1b[0m")) == red
    assert ("\x1b" in shown.decode()) == red
    assert "WRONG" in lines[2]
