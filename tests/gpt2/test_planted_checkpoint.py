"""The planted checkpoint for tests of views has enormous activations at position 0, and heads that attend to it."""

import numpy as np
import pytest

from desktop_app.core.model import open_model
from tests.checkpoints import random_weights
from tests.make_checkpoint import SINK, make_checkpoint, planted

CONFIG = {"model_type": "gpt2", "vocab_size": 300, "n_positions": 64, "n_embd": 96, "n_layer": 3, "n_head": 6}


@pytest.mark.parametrize("positions", [5, 40])
def test_it_has_enormous_activations_and_sinks_where_it_says(tmp_path, positions):
    model = open_model(make_checkpoint(tmp_path, CONFIG, plant=positions))
    _, dimensions, heads = planted(random_weights(CONFIG, 0, 0.05, stable=True), CONFIG, positions)
    trace = model.engine.trace(range(positions))
    for layer in range(CONFIG["n_layer"]):
        resid = trace[f"blocks.{layer}.resid_pre"]
        assert np.allclose(resid[0, dimensions], 3000, rtol=0.01)
        assert np.abs(np.delete(resid[0], dimensions)).max() < 30
        assert np.abs(resid[1:]).max() < 30
        pattern = trace[f"blocks.{layer}.attn.pattern"]
        assert np.abs(pattern[heads, -1, 0] - SINK).max() < 0.06
        assert pattern[heads, :, 0].min() > SINK - 0.06
        others = [head for head in range(CONFIG["n_head"]) if head not in heads]
        assert pattern[others, -1, 0].max() < 0.7
        assert np.abs(trace[f"blocks.{layer}.attn.v"][:, 0]).max() < 30
    assert np.isfinite(trace["logits"]).all()
