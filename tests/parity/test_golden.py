"""Comparison with stored numbers from transformers: logits and every intermediate that its modules expose."""

import json

import numpy as np
import pytest

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from tests.checkpoints import random_weights, write_checkpoint
from tests.parity.make_golden import GOLDEN, checksum, sample


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return json.loads(str(file["about"])), {name: file[name] for name in file.files}


def test_the_file_has_a_dozen_small_models_and_one_of_the_shape_of_gpt2_small(golden):
    shapes = [case["config"] for case in golden[0]["cases"].values()]
    assert len(shapes) >= 13
    assert any((c["n_layer"], c["n_embd"], c["vocab_size"]) == (12, 768, 50257) for c in shapes)
    assert GOLDEN.stat().st_size < 1_000_000


@pytest.mark.parametrize("case", [*(f"random-{seed}" for seed in range(12)), "small"])
@pytest.mark.parametrize("everything", [True, False], ids=["graph", "derived"])
def test_every_tensor_that_transformers_shows_is_equal(golden, case, everything, tmp_path, monkeypatch):
    about, numbers = golden[0]["cases"][case], golden[1]
    weights = random_weights(about["config"], about["seed"], about["scale"], stable=True)
    assert checksum(weights) == about["checksum"], "the weights differ from those of the file; make it again"
    folder = write_checkpoint(tmp_path, about["config"], weights, tokenizer=False)
    if not everything:
        monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    trace = Engine(load_checkpoint(folder)).trace(about["ids"], everything=everything)
    for name, expected, largest in zip(
        about["names"], numbers[f"{case}/samples"], numbers[f"{case}/largest"], strict=True
    ):
        found, _ = sample(name, trace[name])
        finite = np.isfinite(expected)
        assert np.array_equal(np.isfinite(found), finite), name
        assert np.abs(found[finite] - expected[finite]).max(initial=0) <= 1e-4 * max(1, largest), name
    (folder / "model.safetensors").unlink()  # half a gigabyte for the shape of GPT-2 small
