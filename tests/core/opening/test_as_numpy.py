"""The lines that are copied as numpy, run on a saved trace, give the number that the trace has."""

import json
from pathlib import Path

import numpy as np
import pytest

from desktop_app.core.opening.arithmetic import open_cell
from desktop_app.core.opening.as_numpy import as_numpy, probabilities_as_numpy
from desktop_app.core.opening.cells import Cell
from desktop_app.core.program.bundle import default_model
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.int8 import round_checkpoint
from desktop_app.gpt2.sampling import Ranked, Sampling, stages
from desktop_app.gpt2.tensors import tensor_table
from tests.checkpoints import TINY, random_weights, store_weights, write_checkpoint

NAMES = [
    name.replace("blocks.1.", "blocks.{L}.")
    for name in tensor_table(parse_config(TINY, "test"))
    if not name.startswith("blocks.0.")
]
# Configs and ways of storing that change what the lines must say.
MODELS = {
    "gelu, untied, float16, linear, prefix, shards": (
        {"activation_function": "gelu", "tie_word_embeddings": False, "n_inner": 37, "layer_norm_epsilon": 1e-3},
        {"dtype": "F16", "linear": True, "prefix": "transformer.", "shards": 3},
    ),
    "silu, scaled by block, bfloat16, linear": (
        {"activation_function": "silu", "scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False},
        {"dtype": "BF16", "linear": True},
    ),
    "relu": ({"activation_function": "relu"}, {}),
    "int8, untied, linear": (
        {"tie_word_embeddings": False, "n_embd": 144, "n_inner": 200},
        {"linear": True},
    ),
    "bundled": None,
}


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    """(checkpoint, trace, the file that it is saved in)."""
    folder = default_model()
    if request.param != "bundled":
        folder = tmp_path_factory.mktemp("it's a model's \\ folder")
        changes, form = MODELS[request.param]
        (folder / "config.json").write_text(json.dumps(TINY | changes))
        store_weights(folder, random_weights(TINY | changes, 5), **form)
    checkpoint = load_checkpoint(folder)
    if "int8" in request.param:
        checkpoint = round_checkpoint(checkpoint)
    ids = np.random.default_rng(0).integers(0, checkpoint.config.vocab_size, 9).tolist()
    trace = Engine(checkpoint).trace(ids, everything=True)
    file = tmp_path_factory.mktemp("trace") / "trace.safetensors"
    trace.save(file)
    return checkpoint, trace, file


def run(lines):
    """What the lines leave in `result`, with nothing imported but numpy, math and the safetensors library."""
    imported = [line for line in lines.splitlines() if "import" in line]
    assert set(imported) <= {"import math", "import numpy as np", "from safetensors import safe_open"}
    names = {}
    exec(compile(lines, "copied", "exec"), names)
    return names["result"]


def expanded(template, trace):
    return {template.replace("{L}", str(layer)) for layer in (0, trace.config.n_layer - 1)}


@pytest.mark.parametrize("template", NAMES)
def test_a_whole_tensor_is_made_again(model, template, capsys):
    checkpoint, trace, file = model
    for name in expanded(template, trace):
        result = run(as_numpy(checkpoint, name, trace_file=file))
        assert result.shape == trace[name].shape
        finite = np.isfinite(trace[name])
        assert np.array_equal(result[~finite], trace[name][~finite])
        largest = np.abs(trace[name][finite]).max()  # what float32 sums of many terms round to goes by their size
        assert np.allclose(result[finite], trace[name][finite], rtol=1e-5, atol=max(1e-5, 4e-6 * largest)), name


@pytest.mark.parametrize("template", NAMES)
def test_any_cell_is_made_again_within_rounding(model, template, capsys):
    checkpoint, trace, file = model
    rng = np.random.default_rng(2)
    for name in expanded(template, trace):
        shape = trace[name].shape
        cells = [(0,) * len(shape), tuple(n - 1 for n in shape)]
        cells += [tuple(int(rng.integers(n)) for n in shape) for _ in range(4)]
        for index in cells:
            capsys.readouterr()
            result = run(as_numpy(checkpoint, name, index, trace_file=file))
            opening = open_cell(trace, checkpoint.weights, Cell(name, index))
            assert np.ndim(result) == 0
            assert result == trace[name][index] or abs(result - trace[name][index]) <= 1e-5 * opening.magnitude
            # The lines and the inspector do the same arithmetic; an error function may differ in its last digits.
            assert result == opening.recomputed or result == pytest.approx(opening.recomputed, rel=1e-9, abs=1e-11)
            assert capsys.readouterr().out == f"{result}\n"


def test_every_weight_is_read_as_the_model_uses_it(model, capsys):
    checkpoint, _, _ = model
    for name, array in checkpoint.weights.items():
        assert np.array_equal(run(as_numpy(checkpoint, name)), array), name
        index = tuple(n // 2 for n in array.shape)
        assert run(as_numpy(checkpoint, name, index)) == array[index]


def test_weights_in_float64_are_narrowed_as_the_model_narrows_them(tmp_path, capsys):
    weights = {name: array.astype(np.float64) + 1e-9 for name, array in random_weights(TINY).items()}
    checkpoint = load_checkpoint(write_checkpoint(tmp_path, TINY, weights, tokenizer=False))
    for name in ("blocks.0.attn.W_O", "ln_final.b"):
        assert np.array_equal(run(as_numpy(checkpoint, name)), checkpoint.weights[name])


def test_lines_say_what_they_make_and_open_only_the_files_that_they_need(model):
    checkpoint, _, file = model
    lines = as_numpy(checkpoint, "blocks.1.attn.scores", (2, 3, 1), trace_file=file)
    assert lines.startswith("# blocks.1.attn.scores [head 2, query 3, key 1]: S_ij = q_i · k_j\n")
    assert "model" not in lines.replace(str(file), "")
    assert "trace" not in as_numpy(checkpoint, "pos_embed", (0, 0))
    own = 7 if checkpoint.config.int8 else 0  # the lines of rounding
    assert len(as_numpy(checkpoint, "blocks.1.attn.q", (1, 2, 3)).splitlines()) < 15 + own


def test_lines_find_the_model_from_any_folder(tmp_path, monkeypatch, capsys):
    write_checkpoint(tmp_path / "model", tokenizer=False)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text(json.dumps(TINY))
    store_weights(tmp_path / "half", random_weights(TINY), dtype="BF16")
    monkeypatch.chdir(tmp_path)
    for folder in ("model", "half"):
        checkpoint = load_checkpoint(Path(folder))
        lines = as_numpy(checkpoint, "ln_final.w")
        monkeypatch.chdir("/")
        assert np.array_equal(run(lines), checkpoint.weights["ln_final.w"])
        monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "index"), [("blocks.9.resid_pre", None), ("embed", (1,)), ("embed.W_E", (1, 2, 3)), ("tokens", ())]
)
def test_what_the_model_lacks_is_refused(model, name, index):
    with pytest.raises(ModelError):
        as_numpy(model[0], name, index)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.7, top_k=5, top_p=0.8),
        Sampling(temperature=3.0, top_p=0.05),
        Sampling(temperature=0.01, top_k=1),
        Sampling(greedy=True, top_k=3),
    ],
)
def test_final_probabilities_are_made_again(model, sampling, capsys):
    checkpoint, trace, file = model
    for position in (0, 8):
        expected = stages(Ranked(trace["logits"][position]), sampling)
        result = run(probabilities_as_numpy(checkpoint, position, sampling, trace_file=file))
        tokens = range(checkpoint.config.vocab_size)
        assert np.allclose(result, [expected.probability_of(token) for token in tokens], rtol=1e-9, atol=1e-15)
        token = int(expected.ranked.order[0])
        one = run(probabilities_as_numpy(checkpoint, position, sampling, token, trace_file=file))
        assert one == pytest.approx(expected.probability_of(token))
