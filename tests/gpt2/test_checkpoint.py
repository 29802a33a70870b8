"""Checkpoints in the forms found on the hub open, and give the logits that their weights imply."""

import json
import os

import numpy as np
import pytest

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.weights import parameter_count
from tests import reference
from tests.checkpoints import TINY, random_weights, safetensors_bytes, store_weights, write_checkpoint

IDS = [3, 1, 4, 1, 5]


def opens(folder, config=TINY, weights=None):
    """Whether the checkpoint opens and gives the logits of a model with these `weights`."""
    engine = Engine(load_checkpoint(folder))
    expected = reference.forward(random_weights(config) if weights is None else weights, config, IDS)["logits"]
    logits = engine.trace(IDS)["logits"]
    assert np.abs(logits - expected).max() <= 1e-4 * max(1, np.abs(expected).max())
    return engine


def is_mapped(array):
    """Whether the array is a view of a mapped file."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return isinstance(array, np.memmap)


def stored(weights):
    return {name: ("F32", array.shape, array.tobytes()) for name, array in weights.items()}


def write(folder, tensors, config=TINY):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    return folder


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_mask_buffers_of_old_checkpoints_are_passed_over(tmp_path, prefix):
    tensors = {prefix + name: row for name, row in stored(random_weights(TINY)).items()}
    for layer in range(TINY["n_layer"]):
        mask = np.tril(np.ones((1, 1, 32, 32)))
        for dtype, kind in (("F32", np.float32), ("U8", np.uint8), ("BOOL", np.bool_)):
            tensors[f"{prefix}h.{layer}.attn.bias"] = (dtype, mask.shape, mask.astype(kind).tobytes())
            tensors[f"{prefix}h.{layer}.attn.masked_bias"] = ("F32", (), np.float32(-1e4).tobytes())
            opens(write(tmp_path / dtype, tensors))


def test_a_checkpoint_of_the_bare_transformer_opens_with_a_tied_head(tmp_path):
    engine = opens(write(tmp_path, stored(random_weights(TINY)), TINY | {"architectures": ["GPT2Model"]}))
    weights = engine.checkpoint.weights
    assert weights["unembed.W_U"] is weights["embed.W_E"]
    count = sum(array.size for array in random_weights(TINY).values())
    assert parameter_count(engine.config) == count


def test_a_tied_head_stored_beside_the_embedding_is_passed_over(tmp_path):
    # Like DialoGPT and others on the hub: a prefix, a stored head, and obsolete config fields.
    weights = random_weights(TINY)
    tensors = {f"transformer.{name}": row for name, row in stored(weights).items()}
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"]
    config = TINY | {"n_ctx": 32, "attn_pdrop": 0.1, "summary_type": "cls_index", "task_specific_params": {"x": [1]}}
    opens(write(tmp_path, tensors, config))


def test_an_untied_head_is_its_own(tmp_path):
    config = TINY | {"tie_word_embeddings": False}
    weights = random_weights(config)
    tensors = {
        name if name == "lm_head.weight" else f"transformer.{name}": row for name, row in stored(weights).items()
    }
    engine = opens(write(tmp_path, tensors, config), config, weights)
    assert parameter_count(engine.config) == sum(array.size for array in weights.values())


def test_generic_field_names_of_newer_libraries_mean_the_same(tmp_path):
    names = {
        "n_embd": "hidden_size",
        "n_positions": "max_position_embeddings",
        "n_head": "num_attention_heads",
        "n_layer": "num_hidden_layers",
    }
    write(tmp_path, stored(random_weights(TINY)), {names.get(name, name): value for name, value in TINY.items()})
    opens(tmp_path)


def test_float64_weights_are_rounded_to_float32(tmp_path):
    tensors = {
        name: ("F64", array.shape, array.astype(np.float64).tobytes()) for name, array in random_weights(TINY).items()
    }
    opens(write(tmp_path, tensors))


@pytest.mark.parametrize("name", ["weights.safetensors", "a b,c:ü.safetensors"])
def test_the_only_safetensors_file_may_have_another_name(tmp_path, name):
    write_checkpoint(tmp_path, tokenizer=False)
    (tmp_path / "model.safetensors").rename(tmp_path / name)
    opens(tmp_path)


def test_weights_are_mapped_where_they_stand_and_not_copied(tmp_path):
    checkpoint = load_checkpoint(write_checkpoint(tmp_path, tokenizer=False))
    assert all(is_mapped(array) for array in checkpoint.weights.values())


def test_weights_cannot_be_written_to(tmp_path):
    for options in ({}, {"dtype": "BF16"}, {"linear": True}):
        write_checkpoint(tmp_path, tokenizer=False)
        store_weights(tmp_path, random_weights(TINY), **options)
        checkpoint = load_checkpoint(tmp_path)
        for array in checkpoint.weights.values():
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        with pytest.raises(TypeError):
            checkpoint.weights["embed.W_E"] = None


def in_hub_cache(root, shards):
    """A checkpoint as the hub's client stores it: a snapshot with links to blobs that are named by their hash."""
    store_weights(root / "plain", random_weights(TINY), shards=shards)
    (root / "plain" / "config.json").write_text(json.dumps(TINY))
    repository = root / "models--owner--name"
    snapshot = repository / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, file in enumerate(sorted((root / "plain").iterdir())):
        blob = repository / "blobs" / f"{number:064x}"
        file.rename(blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


@pytest.mark.parametrize("shards", [1, 3])
def test_links_of_the_hub_cache_are_followed_and_mapped(tmp_path, shards):
    engine = opens(in_hub_cache(tmp_path, shards))
    assert engine.checkpoint.name == "owner/name"
    assert all(is_mapped(array) for array in engine.checkpoint.weights.values())


def test_a_folder_reached_through_a_link_keeps_the_name_of_the_link(tmp_path):
    write_checkpoint(tmp_path / "real", tokenizer=False)
    (tmp_path / "link").symlink_to("real")
    assert opens(tmp_path / "link").checkpoint.name == "link"


def test_shards_in_different_folders_open_too(tmp_path):
    write_checkpoint(tmp_path / "model", tokenizer=False)
    (tmp_path / "model" / "model.safetensors").unlink()
    store_weights(tmp_path / "model", random_weights(TINY), shards=2)
    second = tmp_path / "model" / "model-00002-of-00002.safetensors"
    (tmp_path / "far").mkdir()
    second.rename(tmp_path / "far" / "blob")
    second.symlink_to(tmp_path / "far" / "blob")
    opens(tmp_path / "model")


def test_a_folder_whose_name_is_not_text_opens(tmp_path):
    folder = tmp_path / os.fsdecode(b"gpt\xff2")
    opens(write_checkpoint(folder, tokenizer=False))


def test_tensors_that_start_at_odd_bytes_open(tmp_path):
    # The format does not require alignment: a few bytes in front shift every offset.
    mapped = set()
    for size in range(1, 5):
        tensors = {"h.0.attn.bias": ("U8", (size,), bytes(size))} | stored(random_weights(TINY))
        mapped.add(is_mapped(opens(write(tmp_path, tensors)).checkpoint.weights["embed.W_E"]))
    assert mapped == {True, False}


def test_weights_of_any_finite_size_are_accepted(tmp_path):
    weights = random_weights(TINY)
    weights["wte.weight"][:] = 3e38  # finite, though their sum is not
    checkpoint = load_checkpoint(write_checkpoint(tmp_path, TINY, weights, tokenizer=False))
    assert np.array_equal(checkpoint.weights["embed.W_E"], weights["wte.weight"])
