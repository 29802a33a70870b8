"""The check: a fault planted in the graph is reported at the tensor it is in, and a correct model has none."""

import json
import re
import weakref

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from desktop_app.core.check import TOLERANCE, as_json, check, check_pass
from desktop_app.gpt2 import session as session_module
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.trace import Trace
from desktop_app.gpt2.weights import all_weights
from tests.checkpoints import TINY, random_config, random_ids, random_weights, write_checkpoint, write_random_checkpoint

IDS = (3, 1, 4, 1, 5, 9, 2, 6, 5)
UNTIED = TINY | {"tie_word_embeddings": False}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load_checkpoint(write_checkpoint(tmp_path_factory.mktemp("model"), UNTIED, tokenizer=False))


def wrong(findings):
    """Names of the tensors that the check finds wrong."""
    return [finding.name for finding in findings if not finding.good]


def findings_of(engine, ids=IDS, weights=None):
    """Findings of both kinds of check, which must agree on a trace that holds every tensor of the graph."""
    weights = engine.checkpoint.weights if weights is None else weights
    trace = engine.trace(ids, everything=True)
    one, other = list(check(trace, weights)), list(check_pass(engine, ids, weights))
    assert wrong(one) == wrong(other)
    return one


@pytest.fixture
def engine_with(checkpoint, monkeypatch):
    """An engine with modified graphs: `change(graph)` is called for each graph before it is loaded."""

    def make(change):
        build = session_module.build_graph

        def changed(*args, **options):
            model = build(*args, **options)
            change(model.graph)
            return model

        monkeypatch.setattr(session_module, "build_graph", changed)
        return Engine(checkpoint)

    return make


def node_of(graph, output):
    """The node that makes `output`, or None: a graph of the head alone has no blocks."""
    return next((node for node in graph.node if output in node.output), None)


# Correct models


@pytest.mark.parametrize("seed", range(12))
def test_a_clean_model_of_any_config_shows_nothing(tmp_path, seed):
    write_random_checkpoint(tmp_path, seed)
    engine = Engine(load_checkpoint(tmp_path))
    findings = findings_of(engine, random_ids(random_config(seed), seed))
    assert wrong(findings) == []
    assert [finding.name for finding in findings] == [name for name in engine.table if name != "tokens"]


@pytest.mark.parametrize("seed", range(6))
def test_a_text_that_grew_on_its_cache_shows_nothing(tmp_path, seed, monkeypatch):
    config, _ = write_random_checkpoint(tmp_path, seed)
    engine = Engine(load_checkpoint(tmp_path))
    ids = random_ids(config, seed, config["n_positions"])
    trace = engine.trace(ids[:1])
    for length in range(2, len(ids) + 1):
        trace = engine.trace(ids[:length], reuse=trace)
    assert trace.computed == 1
    assert wrong(check(trace, engine.checkpoint.weights)) == []


@pytest.fixture(scope="module")
def long_engine(tmp_path_factory):
    """A model with GPT-2's context, huge position embeddings in a few dimensions, and enough blocks for a long pass."""
    config = TINY | {"n_positions": 1024, "n_embd": 64, "n_head": 2, "n_layer": 2, "vocab_size": 500}
    weights = random_weights(config, 3, 0.15)
    weights["wpe.weight"][0, [3, 17, 40]] = 3000
    folder = write_checkpoint(tmp_path_factory.mktemp("long"), config, weights, tokenizer=False)
    return Engine(load_checkpoint(folder))


def test_a_full_context_of_1024_tokens_shows_nothing(long_engine, monkeypatch):
    ids = np.random.default_rng(0).integers(0, 500, 1024).tolist()
    # So small that the pass runs block by block, and that a trace derives most of its tensors.
    monkeypatch.setattr("desktop_app.gpt2.engine.STREAM_LIMIT", 30 << 20)
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    assert wrong(check_pass(long_engine, ids)) == []
    trace = long_engine.trace(ids)
    assert "blocks.0.attn.pattern" not in trace.captured
    assert wrong(check(trace, long_engine.checkpoint.weights)) == []


def test_tensors_are_let_go_once_nothing_more_is_computed_from_them(checkpoint, monkeypatch):
    engine = Engine(checkpoint)
    names = list(engine.table)
    alive = {}

    class Watched(np.ndarray):
        pass  # an array itself cannot be weakly referenced

    def tensors(_ids, wanted, _stop, *, edits, mask):
        assert not edits and mask == CAUSAL
        for name in wanted:
            array = np.array(full[name]).view(Watched)
            alive[name] = weakref.ref(array)
            yield array
            del array

    full = engine.trace(IDS, everything=True)
    monkeypatch.setattr(engine, "tensors", tensors)
    most = 0
    for _ in check_pass(engine, IDS):
        most = max(most, sum(reference() is not None for reference in alive.values()))
    assert len(alive) == len(names)
    assert most < len(names) / 3


# Wrong models


WEIGHTS = {
    "embed.W_E": ["embed"],
    "pos_embed.W_pos": ["pos_embed"],
    "blocks.1.ln1.w": ["blocks.1.ln1.out"],
    "blocks.1.ln1.b": ["blocks.1.ln1.out"],
    "blocks.0.attn.W_O": ["blocks.0.attn_out"],
    "blocks.0.attn.b_O": ["blocks.0.attn_out"],
    "blocks.1.ln2.w": ["blocks.1.ln2.out"],
    "blocks.1.ln2.b": ["blocks.1.ln2.out"],
    "blocks.0.mlp.W_in": ["blocks.0.mlp.pre"],
    "blocks.0.mlp.b_in": ["blocks.0.mlp.pre"],
    "blocks.1.mlp.W_out": ["blocks.1.mlp_out"],
    "blocks.1.mlp.b_out": ["blocks.1.mlp_out"],
    "ln_final.w": ["ln_final.out"],
    "ln_final.b": ["ln_final.out"],
    "unembed.W_U": ["logits"],
}


def faulty(checkpoint, tmp_path, name, index, factor=1.02):
    """An engine whose weight `name` differs in one entry from the checkpoint's."""
    stored = random_weights(UNTIED)
    own = {ours: theirs for ours, theirs, _ in all_weights(checkpoint.config)}[name]
    assert np.array_equal(stored[own], checkpoint.weights[name])
    stored[own][index] *= factor
    return Engine(load_checkpoint(write_checkpoint(tmp_path, UNTIED, stored, tokenizer=False)))


@pytest.mark.parametrize("name", WEIGHTS)
def test_one_wrong_weight_is_named_by_the_tensor_that_uses_it(checkpoint, tmp_path, name):
    shape = checkpoint.weights[name].shape
    # A row of the embedding matters only if its token is in the text.
    index = (IDS[2], 7) if name == "embed.W_E" else tuple(min(4, length - 1) for length in shape)
    engine = faulty(checkpoint, tmp_path, name, index)
    assert wrong(findings_of(engine, weights=checkpoint.weights)) == WEIGHTS[name]


@pytest.mark.parametrize(("part", "letter"), list(enumerate("qkv")))
@pytest.mark.parametrize("kind", ["W_QKV", "b_QKV"])
def test_one_wrong_weight_of_a_head_is_named_by_its_query_key_or_value(checkpoint, tmp_path, kind, part, letter):
    column = part * 24 + 1 * 8 + 5  # head 1, dimension 5
    engine = faulty(checkpoint, tmp_path, f"blocks.1.attn.{kind}", (11, column) if kind == "W_QKV" else column)
    [finding] = [f for f in findings_of(engine, weights=checkpoint.weights) if not f.good]
    assert finding.name == f"blocks.1.attn.{letter}"
    assert (finding.index[0], finding.index[2]) == (1, 5)


def test_a_wrong_weight_of_a_tied_head_is_named_twice(tmp_path):
    clean = load_checkpoint(write_checkpoint(tmp_path / "clean", tokenizer=False))
    stored = random_weights(TINY)
    stored["wte.weight"][IDS[0], 5] += 0.1
    engine = Engine(load_checkpoint(write_checkpoint(tmp_path / "faulty", TINY, stored, tokenizer=False)))
    assert wrong(findings_of(engine, weights=clean.weights)) == ["embed", "logits"]


def test_a_mask_that_lets_a_query_see_one_later_key_is_named(engine_with):
    def change(graph):
        if (where := node_of(graph, "blocks.1.attn.masked")) is None:
            return
        # True where the key comes after the query, but at query 2, key 5.
        later = np.triu(np.ones((len(IDS), len(IDS)), bool), 1)
        later[2, 5] = False
        graph.initializer.append(numpy_helper.from_array(later, "holed"))
        where.input[0] = "holed"

    [finding] = [f for f in findings_of(engine_with(change)) if not f.good]
    assert finding.name == "blocks.1.attn.masked"
    assert finding.index[1:] == (2, 5)
    assert finding.recomputed == -np.inf
    assert np.isfinite(finding.traced)


def test_a_mask_that_compares_wrongly_is_named_in_every_block(engine_with):
    def change(graph):
        for node in graph.node:
            if node.op_type == "Greater":  # key > query becomes >=: no query sees itself
                node.op_type = "GreaterOrEqual"

    # Then the first query sees no key, so everything after it is NaN, which is not reported as a second fault.
    assert wrong(findings_of(engine_with(change))) == ["blocks.0.attn.masked", "blocks.1.attn.masked"]


def test_the_other_form_of_gelu_is_named(engine_with):
    def change(graph):
        if (last := node_of(graph, "blocks.0.mlp.post")) is None:
            return
        # x/2 (1 + tanh(...)) becomes x/2 (1 + erf(x / sqrt 2)).
        x = "blocks.0.mlp.pre"
        place = list(graph.node).index(last)
        half = last.input[0]
        graph.initializer.append(numpy_helper.from_array(np.array(0.5**0.5, np.float32), "root"))
        graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "one"))
        new = [
            onnx.helper.make_node("Mul", [x, "root"], ["e0"]),
            onnx.helper.make_node("Erf", ["e0"], ["e1"]),
            onnx.helper.make_node("Add", ["e1", "one"], ["e2"]),
            onnx.helper.make_node("Mul", [half, "e2"], ["blocks.0.mlp.post"]),
        ]
        nodes = [*graph.node[:place], *new, *graph.node[place + 1 :]]
        del graph.node[:]
        graph.node.extend(nodes)

    [finding] = [f for f in findings_of(engine_with(change)) if not f.good]
    assert finding.name == "blocks.0.mlp.post"
    assert finding.absolute < 1e-3  # so close are the two forms


def swap_heads(graph, name, axis):
    """Change `name` to its own value with the first two of three entries along `axis` swapped."""
    if (node := node_of(graph, name)) is None:
        return
    place = list(graph.node).index(node)
    node.output[0] = f"{name}.before"
    order = numpy_helper.from_array(np.array([1, 0, 2]), f"{name}.order")
    graph.initializer.append(order)
    swap = onnx.helper.make_node("Gather", [f"{name}.before", order.name], [name], axis=axis)
    nodes = [*graph.node[: place + 1], swap, *graph.node[place + 1 :]]
    del graph.node[:]
    graph.node.extend(nodes)


@pytest.mark.parametrize("name", ["blocks.0.attn.q", "blocks.1.attn.z"])
def test_two_swapped_heads_are_named_where_they_were_swapped(engine_with, name):
    assert wrong(findings_of(engine_with(lambda graph: swap_heads(graph, name, 0)))) == [name]


def test_heads_joined_in_another_order_are_named(engine_with):
    def change(graph):
        if (join := node_of(graph, "blocks.1.attn.concat")) is not None:
            swap_heads(graph, join.input[0], 1)

    assert wrong(findings_of(engine_with(change))) == ["blocks.1.attn.concat"]


def test_a_forgotten_scale_or_epsilon_is_named(engine_with):
    def change(graph):
        scaled, scale = node_of(graph, "blocks.0.attn.scaled"), node_of(graph, "blocks.1.ln2.scale")
        if scaled is None or scale is None:
            return
        graph.initializer.append(numpy_helper.from_array(np.array(8**0.5 * 1.001, np.float32), "divisor"))
        scaled.input[1] = "divisor"
        graph.initializer.append(numpy_helper.from_array(np.array(1e-3, np.float32), "larger"))
        node_of(graph, scale.input[0]).input[1] = "larger"

    assert wrong(findings_of(engine_with(change))) == ["blocks.0.attn.scaled", "blocks.1.ln2.scale"]


# Faults in stored tensors, not in the graph


def with_values(checkpoint, changes):
    """A trace that holds every tensor, with other values in some cells: {(name, index): value}."""
    full = Engine(checkpoint).trace(IDS, everything=True)
    captured = {name: np.array(full[name]) for name in full.table}
    for (name, index), value in changes.items():
        captured[name][index] = value
    return Trace(full.config, captured)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("name", "index"),
    [("embed", (8, 3)), ("blocks.0.attn.k", (2, 4, 1)), ("blocks.1.attn.masked", (0, 5, 5)), ("logits", (3, 90))],
)
def test_what_is_no_number_is_found_where_it_is(checkpoint, name, index, value):
    bad = with_values(checkpoint, {(name, index): value})
    [first, *_] = [f for f in check(bad, checkpoint.weights) if not f.good]
    assert (first.name, first.index, first.absolute) == (name, index, np.inf)
    assert np.array_equal(first.traced, value, equal_nan=True)


def test_a_graph_that_makes_what_is_no_number_is_named_once(engine_with):
    def change(graph):
        if (scale := node_of(graph, "blocks.0.ln2.scale")) is not None:
            scale.op_type = "Log"  # of a variance below 1: negative
            scale.input[0] = "minus"
            graph.initializer.append(numpy_helper.from_array(np.array([-1.0], np.float32), "negative"))
            place = list(graph.node).index(scale)
            mean = onnx.helper.make_node("Mul", ["blocks.0.ln2.mean", "blocks.0.ln2.mean"], ["square"])
            minus = onnx.helper.make_node("Sub", ["negative", "square"], ["minus"])
            nodes = [*graph.node[:place], mean, minus, *graph.node[place:]]
            del graph.node[:]
            graph.node.extend(nodes)

    findings = findings_of(engine_with(change))
    assert wrong(findings) == ["blocks.0.ln2.scale"]


def test_a_hidden_cell_that_is_a_number_is_found_however_small(checkpoint):
    bad = with_values(checkpoint, {("blocks.0.attn.masked", (1, 3, 4)): -1e30})
    assert wrong(check(bad, checkpoint.weights))[0] == "blocks.0.attn.masked"


def test_a_difference_is_measured_against_the_terms_and_not_against_the_sum(checkpoint):
    """If two large terms cancel, rounding of the terms makes the sum inexact, which is not a fault."""
    terms = {("blocks.0.resid_pre", (4, 2)): 1000.0, ("blocks.0.attn_out", (4, 2)): -1000.0}
    for off, good in ((0.9, True), (1.1, False)):
        trace = with_values(checkpoint, terms | {("blocks.0.resid_mid", (4, 2)): off * TOLERANCE * 2000})
        found = {f.name: f for f in check(trace, checkpoint.weights)}["blocks.0.resid_mid"]
        assert found.good == good
        assert found.index == (4, 2)
        assert found.relative == pytest.approx(off * TOLERANCE, rel=1e-3)


# The report


def test_the_report_is_json_whatever_was_found(checkpoint):
    bad = with_values(checkpoint, {("blocks.0.attn.q", (0, 1, 2)): np.nan})
    findings = [f for f in check(bad, checkpoint.weights) if f.name.startswith("blocks.0.attn")]
    text = as_json(findings, bad.table, "tiny", IDS)
    assert not re.search(r"\b(NaN|Infinity)\b", text)
    report = json.loads(text)
    assert (report["model"], report["ids"], report["good"]) == ("tiny", list(IDS), False)
    rows = {row["name"]: row for row in report["tensors"]}
    assert rows["blocks.0.attn.q"] | {"recomputed": 0} == {
        "name": "blocks.0.attn.q",
        "axes": ["head", "pos", "d_head"],
        "index": [0, 1, 2],
        "traced": None,
        "recomputed": 0,
        "absolute": None,
        "relative": None,
        "good": False,
    }
    assert rows["blocks.0.attn.k"]["good"]
