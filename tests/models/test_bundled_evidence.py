"""The shipped evidence is about the shipped model, and has that model's numbers."""

import numpy as np
import pytest

from desktop_app.core.evidence.saved import NAME, read_evidence
from desktop_app.core.program.bundle import default_model
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine


def test_shipped_evidence_is_of_the_shipped_model_and_its_numbers_are_the_models():
    path = default_model() / NAME
    assert path.stat().st_size <= 12_000_000
    evidence, checkpoint = read_evidence(path), load_checkpoint(default_model())
    config = checkpoint.config
    assert evidence.digest == checkpoint.digest, "run packaging/evidence.py"
    assert evidence.shape == (config.n_layer, config.d_mlp, config.n_head)
    assert len(set(evidence.about["files"])) > 40 and evidence.windows > 1000
    engine, top = Engine(checkpoint), evidence.passages("top")
    for layer, neuron, rank in ((0, 5, 0), (3, 700, 10), (5, 812, 19)):
        position = int(top.position[layer, rank, neuron])
        ids = evidence.ids(int(top.window[layer, rank, neuron]))
        there = engine.trace(ids[: position + 1]).read(f"blocks.{layer}.mlp.post", row=position)[neuron]
        assert top.value[layer, rank, neuron] == pytest.approx(there, rel=1e-3, abs=1e-4)
    assert (np.diff(top.value, axis=1) <= 0).all()
