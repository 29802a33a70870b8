"""Fused operators: they give the numbers of the reference, and the tensors that they replace are not computed."""

import numpy as np
import pytest

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.graph import OPSET, build_graph
from desktop_app.gpt2.session import Stop, make_session
from desktop_app.gpt2.tensors import past_inputs, tensor_table
from tests import reference
from tests.checkpoints import random_config, random_ids, write_random_checkpoint

SEEDS = range(12)


def kept_of(config):
    return frozenset([*(name for name, row in tensor_table(config).items() if row.spec.kept), "ln_final.out"])


@pytest.mark.parametrize("first", [0, 1, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_kept_is_the_references_with_and_without_a_past(tmp_path, seed, first):
    config, weights = write_random_checkpoint(tmp_path / "model", seed)
    checkpoint = load_checkpoint(tmp_path / "model")
    ids = random_ids(config, seed, 9)[: checkpoint.config.n_positions]
    first = min(first, len(ids) - 1)
    expected = reference.forward(weights, config, ids)
    names = sorted(kept_of(checkpoint.config))
    past = {put: expected[name][:, :first].astype(np.float32) for put, name in past_inputs(checkpoint.config).items()}
    session = make_session(checkpoint, head=False, only=frozenset(names), packed=True)
    found = Stop().run(session, names, past | {"input_ids": np.asarray(ids[first:])})
    for name, array in zip(names, found, strict=True):
        axis = tensor_table(checkpoint.config)[name].spec.row_axis
        own = np.take(expected[name], range(first, len(ids)), axis)
        np.testing.assert_allclose(array, own, rtol=0, atol=1e-5 * max(1, np.abs(own).max()), err_msg=name)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_between_is_computed(seed):
    config = parse_config(random_config(seed), "test")
    graph = build_graph(config, head=False, only=kept_of(config), fuse=True)
    kinds = [node.op_type for node in graph.graph.node]
    assert kinds.count("LayerNormalization") == 2 * config.n_layer + 1
    assert kinds.count("Gelu") == (config.n_layer if config.activation.startswith("gelu") else 0)
    assert not {"ReduceMean", "Sqrt", "Tanh", "Erf"}.intersection(kinds)
    assert kinds.count("Where") == 1  # what is hidden, once for all blocks


def test_what_is_exposed_is_computed_by_its_own_rows():
    config = parse_config(random_config(0), "test")
    only = {"blocks.0.ln1.scale", "ln_final.out"}
    kinds = [node.op_type for node in build_graph(config, head=False, only=only, fuse=True).graph.node]
    assert kinds.count("LayerNormalization") == 2 * config.n_layer


def test_the_graph_that_exposes_everything_has_none():
    config = parse_config(random_config(0), "test")
    graph = build_graph(config, fuse=True)
    assert graph.SerializeToString(deterministic=True) == build_graph(config).SerializeToString(deterministic=True)
    assert graph.opset_import[0].version == OPSET
