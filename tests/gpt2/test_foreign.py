"""Folders in other formats are recognised, and one true sentence says what they are and what to do with them."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.diagnosis import diagnose
from desktop_app.gpt2.errors import ModelError, TokenizerError
from desktop_app.gpt2.tokenizer import Tokenizer
from tests.checkpoints import TINY, write_checkpoint

ADAPTER = "adapter_config.json"


def refused(folder, *words, error=ModelError, load=load_checkpoint):
    with pytest.raises(error) as refusal:
        load(folder)
    sentence = str(refusal.value)
    assert "\n" not in sentence and sentence.endswith(".") and len(sentence.replace(str(folder), "")) < 300
    for word in words:
        assert word in sentence
    return sentence


WEIGHTS = {
    "model.Q4_K_M.gguf": "a model of llama.cpp",
    "ggml-model-f16.bin": "a model of llama.cpp",
    "model.onnx": "foreign graphs are never run",
    "tf_model.h5": "a TensorFlow model; load it with transformers",
    "flax_model.msgpack": "a Flax model",
    "rust_model.ot": "rust-bert",
    "model.mlpackage": "a Core ML model",
    "weights.npz": "the format of MLX models",
    "pytorch_model.bin": "a pickle, which can run code",
    "ckpt.pt": "a pickle",
    "model.ckpt.index": "OpenAI's own release, a TensorFlow checkpoint; fetch the same model as openai-community/gpt2",
    "__0_0.distcp": "PyTorch FSDP",
    "zero_pp_rank_0_mp_rank_00_optim_states.pt": "DeepSpeed",
}


@pytest.mark.parametrize("with_config", [True, False])
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_another_kind_are_named(tmp_path, name, with_config):
    (tmp_path / name).write_bytes(b"anything")
    if with_config:
        (tmp_path / "config.json").write_text(json.dumps(TINY))
    assert refused(tmp_path, name, WEIGHTS[name]) or with_config


def test_safetensors_go_before_whatever_else_is_there(tmp_path):
    write_checkpoint(tmp_path)
    for name in WEIGHTS:
        (tmp_path / name).write_bytes(b"anything")
    assert load_checkpoint(tmp_path).config.n_layer == TINY["n_layer"]


@pytest.mark.parametrize("beside_a_model", [True, False])
def test_an_adapter_is_told_with_its_base(tmp_path, beside_a_model):
    if beside_a_model:
        write_checkpoint(tmp_path)
    (tmp_path / ADAPTER).write_text(json.dumps({"base_model_name_or_path": "openai-community/gpt2"}))
    save_file(
        {"base_model.model.h.0.attn.c_attn.lora_A.weight": np.ones((2, 2))}, tmp_path / "adapter_model.safetensors"
    )
    refused(tmp_path, "an adapter of 'openai-community/gpt2'", "merge_and_unload")
    assert any("an adapter" in trouble for trouble in diagnose(tmp_path).troubles)


def test_a_damaged_adapter_config_is_an_adapter_all_the_same(tmp_path):
    (tmp_path / ADAPTER).write_bytes(b"{")
    refused(tmp_path, f"holds an adapter ({ADAPTER})")


@pytest.mark.parametrize("with_config", [True, False])
def test_a_trainers_folder_names_the_last_of_its_checkpoints(tmp_path, with_config):
    for name in ("training_args.bin", "optimizer.pt", "rng_state_0.pth"):
        (tmp_path / name).write_bytes(b"anything")
    for step in (500, 1500, 1000):
        write_checkpoint(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-2000").mkdir()  # an unfinished checkpoint without a model
    if with_config:
        (tmp_path / "config.json").write_text(json.dumps(TINY))
    refused(tmp_path, "a trainer's checkpoint folders, like 'checkpoint-1500'")
    assert load_checkpoint(tmp_path / "checkpoint-1500").name == "checkpoint-1500"


def test_what_trainers_write_beside_weights_is_no_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    (tmp_path / "training_args.bin").write_bytes(b"anything")
    refused(tmp_path, "has no weights; put model.safetensors there")


NAMES = {
    "blocks.0.attn.W_Q": "TransformerLens",
    "h.0.attn.c_attn.lora_A.default.weight": "an adapter",
    "transformer.h.0.attn.c_attn.base_layer.weight": "an adapter",
    "transformer.h.0.attn.c_attn.weight.absmax": "quantized weights",
    "h.0.attn.c_attn.scales": "quantized weights",
    "h.0.crossattention.c_attn.weight": "cross-attention",
    "tok_emb.weight": "minGPT as it was until 2022",
}


@pytest.mark.parametrize("name", NAMES)
def test_weights_whose_names_are_of_another_form_are_told_for_what_they_are(tmp_path, name):
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    save_file({name: np.ones((2, 2), np.float32)}, tmp_path / "model.safetensors")
    refused(tmp_path, NAMES[name])


TOKENIZERS = {
    "vocab.txt": "BERT's WordPiece vocabulary; only GPT-2's byte-level BPE cuts text here",
    "spiece.model": "a SentencePiece model",
    "tokenizer.model": "a SentencePiece model",
    "gpt2.tiktoken": "a tiktoken vocabulary",
    "meta.pkl": "nanoGPT's list of characters, a pickle; write vocab.json and merges.txt of its characters",
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_tokenizer_of_another_kind_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"anything")
    refused(tmp_path, name, TOKENIZERS[name], error=TokenizerError, load=Tokenizer.load)


def test_openais_names_are_to_be_copied(tmp_path):
    for name in ("encoder.json", "vocab.bpe"):
        (tmp_path / name).write_bytes(b"anything")
    refused(tmp_path, "copy encoder.json to vocab.json", error=TokenizerError, load=Tokenizer.load)
