"""Every tensor of the table, from every kind of small checkpoint, equals an independent float64 forward pass."""

import numpy as np
import pytest

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from tests import reference
from tests.checkpoints import ACTIVATIONS, random_config, random_ids, write_random_checkpoint

SEEDS = range(16)


def close(array, expected, tolerance=1e-4):
    """Assert equality within `tolerance` x max(1, largest expected value), with infinities in the same places."""
    finite = np.isfinite(expected)
    assert array.shape == expected.shape
    assert np.array_equal(np.isfinite(array), finite)
    assert np.array_equal(array[~finite], expected[~finite])
    limit = tolerance * max(1.0, np.abs(expected[finite]).max(initial=0))
    assert np.abs(array[finite] - expected[finite]).max(initial=0) <= limit
    return True


@pytest.fixture(params=SEEDS)
def case(request, tmp_path):
    """(engine, ids, every tensor as the reference computes it)."""
    config, weights = write_random_checkpoint(tmp_path, request.param)
    ids = random_ids(config, request.param)
    return Engine(load_checkpoint(tmp_path)), ids, reference.forward(weights, config, ids)


def test_the_cases_cover_what_configs_can_say():
    configs = [random_config(seed) for seed in SEEDS]
    assert {config["activation_function"] for config in configs} == set(ACTIVATIONS)
    assert {config["n_layer"] for config in configs} == {1, 2, 3, 4}
    assert {1, 3, 5, 7} <= {config["n_head"] for config in configs}
    for field, values in {
        "tie_word_embeddings": {True, False},
        "scale_attn_weights": {None, False},
        "scale_attn_by_inverse_layer_idx": {None, True},
        "reorder_and_upcast_attn": {None, True},
    }.items():
        assert {config.get(field) for config in configs} == values
    assert len({config.get("n_inner") for config in configs}) > 2


def test_every_tensor_from_the_graph_equals_the_reference(case):
    engine, ids, expected = case
    trace = engine.trace(ids, everything=True)
    assert set(trace.table) == set(expected)
    for name in trace.table:
        assert close(trace[name], expected[name]), name
        assert trace[name].dtype == (np.int64 if name == "tokens" else np.float32), name


def test_every_derived_tensor_equals_the_reference(case, monkeypatch):
    engine, ids, expected = case
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    trace = engine.trace(ids)
    assert len(trace.captured) < len(trace.table) / 2
    for name in trace.table:
        assert close(trace[name], expected[name]), name


def test_rows_of_every_pattern_sum_to_one_and_look_at_nothing_later(case):
    engine, ids, _ = case
    trace = engine.trace(ids)
    for layer in range(engine.config.n_layer):
        pattern = trace[f"blocks.{layer}.attn.pattern"]
        assert np.abs(pattern.sum(-1, dtype=np.float64) - 1).max() < 1e-6
        assert not np.triu(pattern, 1).any()
        assert (pattern >= 0).all()


def test_decoding_token_by_token_gives_the_logits_of_the_full_pass(case):
    engine, ids, expected = case
    past, rows = engine.empty_past(), []
    for token in ids:
        parts = {
            name: name.replace("past", "blocks").replace("key", "attn.k").replace("value", "attn.v") for name in past
        }
        new = engine.run([token], past, [*parts.values(), "ln_final.out"])
        past = {name: np.concatenate([past[name], new[part]], axis=1) for name, part in parts.items()}
        rows.append(engine.logits(new["ln_final.out"])[0])
    assert close(np.array(rows), expected["logits"])


def test_a_stitched_trace_equals_a_full_one(case):
    engine, ids, _ = case
    full = engine.trace(ids, everything=True)
    for shared in {1, len(ids) // 2, len(ids) - 1} - {0, len(ids)}:
        other = [(token + 1) % engine.config.vocab_size for token in ids[shared:]]
        stitched = engine.trace(ids, reuse=engine.trace([*ids[:shared], *other]))
        assert stitched.computed == len(ids) - shared
        for name in full.table:
            assert close(stitched[name], full[name], 1e-5), name


def test_growing_a_text_token_by_token_stays_equal_to_a_full_pass(case):
    engine, ids, expected = case
    trace = engine.trace(ids[:1])
    for stop in range(2, len(ids) + 1):
        trace = engine.trace(ids[:stop], reuse=trace)
        assert trace.computed == 1
    for name in trace.table:
        assert close(trace[name], expected[name]), name
