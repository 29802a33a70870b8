"""The letter sorter: it sorts every possible input, and its snapshots show how it learns to."""

import json

import evaluate
import forward
import numpy as np
import pytest

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.tokenizer import Tokenizer


def test_it_sorts_all_729_inputs_when_fed_with_its_own_output(sorter_folder):
    assert evaluate.sorted_right(forward.load(sorter_folder)) == 1.0


def test_the_app_s_own_engine_writes_the_sorted_letters(sorter_folder):
    engine, tokenizer = Engine(load_checkpoint(sorter_folder)), Tokenizer.load(sorter_folder)
    for letters in ("CBAABC", "AAAAAA", "CCCCCC", "BACBAC", "CABABB"):
        ids = list(tokenizer.encode(letters).ids)
        assert len(ids) == 6
        for _ in range(6):
            final = engine.trace(ids)["ln_final.out"]
            ids.append(int(engine.logits(final)[-1].argmax()))
        assert tokenizer.decode(ids[6:]) == "".join(sorted(letters))


def test_twelve_snapshots_go_from_chance_to_perfect(sorter_folder):
    paths = sorted(path for path in (sorter_folder / "snapshots").iterdir() if path.is_dir())
    assert len(paths) == 12
    assert int(paths[0].name) == 0
    shares = [evaluate.sorted_right(forward.load(path)) for path in (paths[0], paths[-1])]
    assert shares[0] < 0.02
    assert shares[1] == 1.0


def test_the_last_snapshot_is_the_model(sorter_folder):
    last = forward.load(max(path for path in (sorter_folder / "snapshots").iterdir() if path.is_dir()))
    model = forward.load(sorter_folder)
    assert all(np.array_equal(tensor, last.weights[name]) for name, tensor in model.weights.items())


def test_its_vocabulary_is_three_letters_and_no_merge(sorter_folder):
    assert json.loads((sorter_folder / "vocab.json").read_text()) == {"A": 0, "B": 1, "C": 2}
    lines = (sorter_folder / "merges.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#version")] == []


def test_it_has_three_blocks_three_heads_and_about_85_000_parameters(sorter_folder):
    model = forward.load(sorter_folder)
    assert (model.blocks, model.heads) == (3, 3)
    assert sum(tensor.size for tensor in model.weights.values()) == pytest.approx(85_000, rel=0.02)
