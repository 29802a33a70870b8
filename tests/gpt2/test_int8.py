"""An int8 model computes with rounded numbers, checked against this test's own rounding, one group at a time."""

from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper, numpy_helper

from desktop_app.core.check import TOLERANCE, check, check_pass
from desktop_app.core.opening.arithmetic import open_cell
from desktop_app.core.opening.cells import Cell
from desktop_app.core.program.bundle import default_model
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.int8 import exact_checkpoint, round_checkpoint
from desktop_app.gpt2.rounding import codes_of, rounded
from desktop_app.gpt2.trace import Trace
from tests.checkpoints import TINY, random_weights, write_checkpoint

IDS = (3, 14, 15, 92, 65, 35)


def round_by_hand(vector):
    """Round each number to the nearest multiple of the largest of its group of 128, divided by 127."""
    out = []
    for start in range(0, len(vector), 128):
        group = [float(v) for v in vector[start : start + 128]]
        step = max(abs(v) for v in group) / 127
        out += [round(v / step) * step if step else 0.0 for v in group]
    return np.array(out)


def test_a_hand_worked_group():
    # The largest is 127 steps of 2; 5 is two and a half steps, and halves are rounded to even.
    np.testing.assert_allclose(rounded(np.array([254.0, 5.0, -7.0, 0.9])), [254, 4, -8, 0])


@given(hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-100, 100, width=32)))
def test_rounding_is_that_of_the_definition(vector):
    by_hand = round_by_hand(vector)
    steps = np.repeat(np.abs(vector).max() / 127, len(vector))
    # A number halfway between two steps may be rounded either way in float32; all others agree.
    off = np.abs(rounded(vector.astype(np.float64)) - by_hand)
    assert (off <= steps * 1.001 + 1e-6).all()
    assert (np.abs(rounded(vector) - vector) <= steps * 0.501 + 1e-6).all()


def codes_of_the_kernel(rows, scales):
    """The whole numbers to which onnxruntime rounds rows [n, 128], found by an int8 product with the identity."""
    codes = np.full((128, 1, 128), 128, np.uint8)  # 128 stands for zero
    codes[np.arange(128), 0, np.arange(128)] = 129
    form = {"K": 128, "N": 128, "bits": 8, "block_size": 128, "accuracy_level": 4}
    node = helper.make_node("MatMulNBits", ["x", "codes", "scales"], ["y"], domain="com.microsoft", **form)
    shape = helper.make_tensor_value_info("x", 1, ["n", 128]), helper.make_tensor_value_info("y", 1, ["n", 128])
    constants = {"codes": codes, "scales": np.ones(128, np.float32)}
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph([node], "g", [shape[0]], [shape[1]], initializers)
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.rint(session.run(None, {"x": rows})[0] / scales)


@pytest.mark.parametrize("count", [1, 3, 500])  # the kernel has one code path for a single row, and another for many
def test_a_number_between_two_steps_goes_where_the_kernel_sends_it(count):
    rng = np.random.default_rng(count)
    rows = rng.normal(size=(count, 128)).astype(np.float32)
    largest = np.abs(rows).max(1, keepdims=True)
    halves = (rng.integers(-126, 126, rows.shape) + 0.5) * (largest / 127)
    rows = np.where(np.abs(rows) == largest, rows, halves).astype(np.float32)
    whole, scales = codes_of(rows)
    np.testing.assert_array_equal(whole[:, 0], codes_of_the_kernel(rows, scales))


def random_model(folder):
    shape = TINY | {"vocab_size": 503, "n_positions": 128, "n_embd": 384, "n_layer": 4, "n_head": 6}
    return write_checkpoint(folder / "m", shape, seed=7)


def model_with_an_outlier(folder):
    """One weight is a thousand times its neighbours, which int8 rounds to zero, so that only the bias is left."""
    shape = TINY | {"n_positions": 128, "n_embd": 128, "n_head": 4}
    weights = random_weights(shape, 5)
    weights["h.1.mlp.c_proj.weight"][7, 11] = 1000
    weights["h.1.mlp.c_fc.bias"][7] = -40  # the neuron that reads it is dead
    return write_checkpoint(folder / "m", shape, weights)


MODELS = {"bundled": lambda _folder: default_model(), "random": random_model, "outlier": model_with_an_outlier}


@pytest.mark.parametrize("which", MODELS)
def test_a_long_text_is_what_its_formulas_say_and_so_is_each_opened_number(which, tmp_path):
    model = round_checkpoint(load_checkpoint(MODELS[which](tmp_path)))
    engine = Engine(model)
    ids = np.random.default_rng(11).integers(0, model.config.vocab_size, 128).tolist()
    findings = list(check_pass(engine, ids))
    assert [f.name for f in findings if not f.good] == []
    trace = engine.trace(ids)
    wrong = []
    for finding in findings:  # the worst cell of every tensor
        opened = open_cell(trace, model.weights, Cell(finding.name, finding.index))
        if opened.difference > TOLERANCE * opened.magnitude:
            wrong.append((finding.name, finding.index, opened.value, opened.recomputed))
    assert wrong == []


SHAPES = {
    "groups that fill": TINY | {"n_embd": 128, "n_head": 4},
    "a last group with room": TINY | {"n_embd": 144, "n_head": 3, "n_inner": 200},
    "one group, not full": TINY,
    "an untied head": TINY | {"tie_word_embeddings": False},
}


@pytest.fixture(params=SHAPES)
def model(request, tmp_path):
    checkpoint = load_checkpoint(write_checkpoint(tmp_path / "m", SHAPES[request.param], seed=3))
    return round_checkpoint(checkpoint)


def test_every_tensor_of_the_graph_is_what_its_formula_makes_of_rounded_operands(model):
    findings = list(check_pass(Engine(model), IDS))
    assert len(findings) == len(Engine(model).table) - 1
    assert [f.name for f in findings if not f.good] == []


def test_products_are_those_of_operands_rounded_by_hand(model):
    trace = Engine(model).trace(IDS)
    source = exact_checkpoint(model).weights
    w = source["blocks.1.mlp.W_in"]
    by_hand = np.stack([round_by_hand(column) for column in w.T.astype(np.float64)]).T
    x = np.stack([round_by_hand(row) for row in trace["blocks.1.ln2.out"]])
    np.testing.assert_allclose(trace["blocks.1.mlp.pre"], x @ by_hand + source["blocks.1.mlp.b_in"], atol=2e-5)
    unembedding = np.stack([round_by_hand(row) for row in source["unembed.W_U"].astype(np.float64)])
    final = round_by_hand(trace["ln_final.out"][-1])
    np.testing.assert_allclose(trace.logits(-1), unembedding @ final, atol=2e-5)


def test_embeddings_stay_as_they_are(model):
    trace = Engine(model).trace(IDS)
    np.testing.assert_array_equal(trace["embed"], exact_checkpoint(model).weights["embed.W_E"][list(IDS)])


def test_rounding_makes_a_difference_and_a_small_one(model):
    ours, exact = (Engine(m).trace(IDS).logits(-1) for m in (model, exact_checkpoint(model)))
    assert not np.array_equal(ours, exact)
    np.testing.assert_allclose(ours, exact, atol=0.05 * np.abs(exact).max())


def test_a_planted_fault_is_named(model):
    wrong = {name: np.array(w) for name, w in model.weights.items()}
    wrong["blocks.0.mlp.W_out"][3, 5] += 0.5
    findings = [f.name for f in check_pass(Engine(model), IDS, wrong) if not f.good]
    assert findings == ["blocks.0.mlp_out"]


def test_what_a_long_text_derives_is_rounded_too(model, monkeypatch):
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    engine = Engine(model)
    trace = engine.trace(IDS)
    assert "blocks.0.attn.pattern" not in trace.captured
    assert [f.name for f in check(trace, model.weights) if not f.good] == []
    again = engine.trace((*IDS[:-1], 9), reuse=trace)
    assert again.computed == 1
    np.testing.assert_allclose(again.logits(-1), engine.trace((*IDS[:-1], 9)).logits(-1), atol=1e-5)


def test_a_saved_pass_says_that_it_is_in_int8_and_derives_so(model, tmp_path):
    trace = Engine(model).trace(IDS)
    trace.save(tmp_path / "t.safetensors", ["tokens", "ln_final.out"])
    again = Trace.load(tmp_path / "t.safetensors", model)
    assert again.config == model.config
    assert again.config != exact_checkpoint(model).config
    np.testing.assert_allclose(again.logits(2), trace.logits(2), atol=1e-5)


def test_a_pass_of_a_model_without_biases_is_read_as_one(tmp_path):
    checkpoint = load_checkpoint(write_checkpoint(tmp_path / "m", TINY))
    bare = replace(checkpoint.config, bias=False)
    Trace(bare, {"tokens": np.array(IDS)}).save(tmp_path / "t.safetensors", ["tokens"])
    assert Trace.load(tmp_path / "t.safetensors").config == bare


def test_a_full_disk_is_told(model, monkeypatch):
    def full(*_arguments, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.open", full)
    with pytest.raises(ModelError, match=r"cannot take the weights: No space left on device"):
        Engine(model)


def test_a_group_of_zeros_stays_zero(tmp_path):
    weights = random_weights(TINY, 1)
    weights["h.0.mlp.c_fc.weight"][:] = 0
    model = round_checkpoint(load_checkpoint(write_checkpoint(tmp_path / "m", TINY, weights)))
    assert [f.name for f in check_pass(Engine(model), IDS) if not f.good] == []
    np.testing.assert_array_equal(Engine(model).trace(IDS)["blocks.0.mlp.pre"][0], model.weights["blocks.0.mlp.b_in"])
