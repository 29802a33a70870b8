"""Inputs that once caused a traceback, a hang or worse: each is accepted, or refused in one sentence.

`./run fuzz` looks for more. Add a new one as a small file in corpus/NAME/, where NAME is its parser in fuzz/targets.py.
"""

from pathlib import Path

import pytest

from fuzz.__main__ import judge
from fuzz.targets import targets

CORPUS = Path(__file__).with_name("corpus")
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def parsers(tmp_path_factory):
    return {target.name: target for target in targets(tmp_path_factory.mktemp("fuzz"))}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_past_fault_stays_mended(parsers, path):
    kind, place = judge(parsers[path.parent.name].read, path.read_bytes())
    assert kind in ("taken", "refused"), place


def test_every_parser_takes_what_it_is_given_to_begin_with(parsers):
    """Otherwise fuzzing would never reach what follows the parser's first check."""
    for target in parsers.values():
        assert any(judge(target.read, seed)[0] == "taken" for seed in target.seeds), target.name
