"""Models of the published shapes open and run, from sparse files of zeros, which take no space on the disk."""

import json
import os

import numpy as np
import pytest

from desktop_app.core.library.memory import needed
from desktop_app.core.model import open_model
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.machine import available_memory
from desktop_app.gpt2.weights import all_weights, parameter_count
from tests.checkpoints import write_byte_tokenizer

# Blocks, heads, width, and the parameters that the hub shows for each.
SHAPES = {
    "distilgpt2": (6, 12, 768, 81_912_576),
    "gpt2": (12, 12, 768, 124_439_808),
    "gpt2-medium": (24, 16, 1024, 354_823_168),
    "gpt2-large": (36, 20, 1280, 774_030_080),
    "gpt2-xl": (48, 25, 1600, 1_557_611_200),
}
LARGE = ("gpt2-medium", "gpt2-large", "gpt2-xl")


def write_holes(folder, config):
    """Write a checkpoint whose weights are all zero, with the mask buffers that the hub's files have."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    write_byte_tokenizer(folder, config["vocab_size"])
    parsed = parse_config(config, "test")
    shapes = {stored: spec.shape(parsed) for _, stored, spec in all_weights(parsed) if stored != "lm_head.weight"}
    context = config["n_positions"]
    shapes |= {f"h.{layer}.attn.bias": (1, 1, context, context) for layer in range(config["n_layer"])}
    header, offset = {}, 0
    for name, shape in shapes.items():
        length = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + length]}
        offset += length
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)  # padded as by the library, since unaligned tensors are copied
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + offset)
    return parsed


@pytest.mark.parametrize("name", SHAPES)
def test_a_published_shape_opens_and_answers(tmp_path, name):
    if name in LARGE and not os.environ.get("LOGITSCOPE_LARGE"):
        pytest.skip("set LOGITSCOPE_LARGE=1 to open the shapes of medium, large and XL (11 GB of memory)")
    blocks, heads, width, parameters = SHAPES[name]
    config = {"vocab_size": 50257, "n_positions": 1024, "n_layer": blocks, "n_head": heads, "n_embd": width}
    parsed = write_holes(tmp_path / name, config)
    assert parameter_count(parsed) == parameters
    free = available_memory()
    if free is not None and free < needed(parsed, 4).total:
        pytest.skip(f"{name} needs {needed(parsed, 4).total:,} bytes of memory, {free:,} are free")
    model = open_model(tmp_path / name)
    trace = model.engine.trace(model.tokenizer.encode("abcd").ids)
    # With all weights zero, every token is equally likely.
    assert np.array_equal(trace.logits(3), np.zeros(50257, np.float32))
    assert trace[f"blocks.{blocks - 1}.attn.pattern"].shape == (heads, 4, 4)
    (tmp_path / name / "model.safetensors").unlink()
