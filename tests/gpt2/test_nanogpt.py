"""nanoGPT's and minGPT's checkpoints as safetensors: names, layouts, masks, configs, missing biases."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from desktop_app import cli
from desktop_app.core.opening.as_numpy import as_numpy
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.weights import parameter_count
from tests import reference
from tests.checkpoints import TINY, random_weights, write_byte_tokenizer

SIZES = {name: TINY[name] for name in ("n_layer", "n_head", "n_embd", "vocab_size")}
NANO = {**SIZES, "block_size": 32, "bias": True, "dropout": 0.2}  # nanoGPT's model_args
MINI = {**SIZES, "block_size": 32, "model_type": "gpt-mini", "embd_pdrop": 0.1, "resid_pdrop": 0.1, "attn_pdrop": 0.1}
IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 89]
PLAIN = {**TINY, "activation_function": "gelu"}


def store(folder, weights, config, *, prefix="transformer.", masks=False):
    """Store weights with Hugging Face's names as nn.Linear has them, [out, in], with the head besides the embedding."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, array in weights.items():
        matrix = array.ndim == 2 and name.split(".")[-2] in ("c_attn", "c_proj", "c_fc")
        full = (
            name.replace("lm_head", f"{prefix.removesuffix('transformer.')}lm_head")
            if "lm_head" in name
            else prefix + name
        )
        tensors[full] = np.ascontiguousarray(array.T) if matrix else array
    if masks:
        for layer in range(SIZES["n_layer"]):
            tensors[f"{prefix}h.{layer}.attn.bias"] = np.tril(np.ones((1, 1, 32, 32), np.float32))
    save_file(tensors, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    write_byte_tokenizer(folder, SIZES["vocab_size"])
    return folder


def logits(folder):
    engine = Engine(load_checkpoint(folder))
    return engine.trace(IDS)["logits"]


def close(found, weights, config):
    expected = reference.forward(weights, config, IDS)["logits"]
    return np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("prefix", ["transformer.", "_orig_mod.transformer.", "module.transformer.", ""])
@pytest.mark.parametrize("masks", [False, True])
def test_a_nanogpt_opens_with_the_logits_of_its_formulas(tmp_path, prefix, masks):
    weights = random_weights(TINY)
    weights["lm_head.weight"] = weights["wte.weight"]  # in nanoGPT the same tensor, saved twice
    folder = store(tmp_path / "m", weights, NANO, prefix=prefix, masks=masks)
    assert close(logits(folder), weights, PLAIN)
    assert load_checkpoint(folder).config.tie_word_embeddings


def test_a_nanogpt_without_biases_computes_as_if_they_were_zero(tmp_path):
    weights = random_weights(TINY)
    zeroed = {n: np.zeros_like(w) if n.endswith(".bias") else w for n, w in weights.items()}
    kept = {n: w for n, w in weights.items() if not n.endswith(".bias")}
    folder = store(tmp_path / "m", kept, {**NANO, "bias": False})
    assert close(logits(folder), zeroed, PLAIN)
    with pytest.raises(ModelError, match=r"the weight h\.0\.ln_1\.bias is missing"):
        load_checkpoint(store(tmp_path / "n", kept, NANO))


def test_a_mingpt_opens_with_its_own_head_and_its_own_gelu(tmp_path):
    weights = random_weights({**TINY, "tie_word_embeddings": False})
    folder = store(tmp_path / "m", weights, MINI, masks=True)
    tied = {**TINY, "activation_function": "gelu_new", "tie_word_embeddings": False}
    assert close(logits(folder), weights, tied)
    assert not load_checkpoint(folder).config.tie_word_embeddings


def test_a_field_of_the_config_overrules_the_guess_about_gelu(tmp_path):
    weights = random_weights(TINY)
    folder = store(tmp_path / "m", weights, {**NANO, "activation_function": "gelu_new"})
    assert close(logits(folder), weights, {**TINY, "activation_function": "gelu_new"})


def test_the_two_configs_are_read_as_what_they_say():
    nano, mini = parse_config({**NANO, "bias": False}, "nano"), parse_config(MINI, "mini")
    assert (nano.n_positions, nano.activation, nano.bias) == (32, "gelu_erf", False)
    assert (mini.n_positions, mini.activation, mini.bias) == (32, "gelu_tanh", True)


def test_weights_without_a_config_say_all_but_the_number_of_heads(tmp_path):
    folder = store(tmp_path / "m", random_weights(TINY), None)
    said = r'write one that says {"vocab_size": 97, "n_positions": 32, "n_embd": 24, "n_layer": 2} and n_head'
    with pytest.raises(ModelError, match=said.replace("{", r"\{")):
        load_checkpoint(folder)
    with pytest.raises(ModelError, match=r"config\.json does not exist"):
        load_checkpoint(tmp_path)


def test_mingpt_as_it_was_before_is_told_how_to_join_its_parts(tmp_path):
    folder = store(tmp_path / "m", random_weights(TINY), MINI)
    tensors = load_file(folder / "model.safetensors")
    tensors = {"tok_emb.weight": tensors.pop("transformer.wte.weight"), **tensors}
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"until 2022, which stores query, key and value separately"):
        load_checkpoint(folder)


def test_absent_biases_are_no_parameters_and_copy_as_zeros(tmp_path, capsys):
    weights = {n: w for n, w in random_weights(TINY).items() if not n.endswith(".bias")}
    checkpoint = load_checkpoint(store(tmp_path / "m", weights, {**NANO, "bias": False}))
    assert parameter_count(checkpoint.config) == sum(w.size for w in weights.values())
    trace = Engine(checkpoint).trace(IDS, everything=True)
    trace.save(tmp_path / "trace.safetensors")
    for name in ("blocks.1.mlp.b_in", "ln_final.b", "blocks.0.mlp.pre", "blocks.1.ln2.out"):
        names = {}
        exec(as_numpy(checkpoint, name, trace_file=tmp_path / "trace.safetensors"), names)
        expected = checkpoint.weights[name] if name in checkpoint.weights else trace[name]
        assert np.allclose(names["result"], expected, atol=1e-5)


def test_check_knows_that_absent_biases_are_no_fault(tmp_path, capfd):
    weights = {n: w for n, w in random_weights(TINY).items() if not n.endswith(".bias")}
    folder = store(tmp_path / "m", weights, {**NANO, "bias": False})
    assert cli.main(["models", "check", str(folder)]) == 0
    assert f"{len(weights)} of {len(weights)} tensors are sound" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["n_layer", "n_head", "n_embd", "vocab_size"])
@pytest.mark.parametrize("args", [NANO, MINI])
def test_a_size_that_is_left_out_is_asked_for_and_never_guessed(args, name):
    for raw in ({k: v for k, v in args.items() if k != name}, args | {name: None}):
        with pytest.raises(ModelError, match=rf"config.json .* no {name}; add it"):
            parse_config(raw, "config.json")


@pytest.mark.parametrize("value", [0, 1, None, "False"])
def test_biases_are_there_or_not_and_nothing_between(value):
    with pytest.raises(ModelError, match=r"bias is .*must be true or false"):
        parse_config(NANO | {"bias": value}, "config.json")
