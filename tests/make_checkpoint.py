"""Makes a checkpoint of random weights, to try by hand and for tests of views.

    python -m tests.make_checkpoint FOLDER --shape small --tokenizer DIR [--planted]

The tokenizer's files are copied from DIR; without it every byte is a token. `--planted` adds what GPT-2 has and
random weights lack: a few enormous activations at position 0, and heads that attend mostly to the first token.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

from tests.checkpoints import TINY, random_weights, store_weights, write_byte_tokenizer

GPT2 = {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024}
SHAPES = {
    "tiny": TINY | {"vocab_size": 300, "n_positions": 64},
    "distil": GPT2 | {"n_embd": 768, "n_layer": 6, "n_head": 12},
    "small": GPT2 | {"n_embd": 768, "n_layer": 12, "n_head": 12},
    "medium": GPT2 | {"n_embd": 1024, "n_layer": 24, "n_head": 16},
}
PLANTED_VALUE = 3000.0
SINK = 0.95


def planted(weights, config, positions):
    """Add PLANTED_VALUE in three dimensions at position 0, and attention sinks: (weights, dimensions, heads).

    In every block the upper half of the heads gives the first token a weight of about SINK in the last row of a text of
    `positions` tokens, and more in earlier rows, which have fewer other keys.
    """
    weights = {name: array.copy() for name, array in weights.items()}
    width, n_head = config["n_embd"], config["n_head"]
    d_head = width // n_head
    dimensions = [width // 7, width // 2, width - width // 9]
    heads = list(range((n_head + 1) // 2, n_head)) or [0]
    weights["wpe.weight"][0, dimensions] = PLANTED_VALUE
    # By how much the first key's score must exceed the others', which differ little.
    score = np.log(SINK / (1 - SINK) * max(1, positions - 1)) * d_head**0.5
    # The value of the planted dimensions at position 0 after a layer norm, nearly independent of the others.
    normalized = (width / 3 - 1) ** 0.5
    for layer in range(config["n_layer"]):
        norm = {part: weights[f"h.{layer}.ln_1.{part}"] for part in ("weight", "bias")}
        first = norm["weight"][dimensions] * normalized + norm["bias"][dimensions]
        matrix, bias = weights[f"h.{layer}.attn.c_attn.weight"], weights[f"h.{layer}.attn.c_attn.bias"]
        for head in heads:
            # The head's first coordinate: a constant in every query, and in keys a readout of the planted dimensions.
            query, key = head * d_head, width + head * d_head
            matrix[:, query], bias[query] = 0, score
            matrix[:, key], bias[key] = 0, 0
            matrix[dimensions, key] = first / (first @ first)
        # The first token is attended to without being read: its values are small.
        matrix[dimensions, 2 * width :] = 0
    return weights, dimensions, heads


def make_checkpoint(folder, shape, *, seed=0, scale=0.05, tokenizer=None, plant=None, dtype="F32"):
    """Make a checkpoint of one of SHAPES, or of a config, in `folder`; `plant` is the `positions` for `planted`."""
    config = SHAPES[shape] if isinstance(shape, str) else shape
    weights = random_weights(config, seed, scale, stable=True)
    if plant:
        weights, _, _ = planted(weights, config, plant)
    store_weights(folder, weights, dtype=dtype)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if tokenizer is None:
        write_byte_tokenizer(folder, config["vocab_size"])
    else:
        for name in ("vocab.json", "merges.txt", "tokenizer.json"):
            if (tokenizer / name).exists():
                shutil.copyfile(tokenizer / name, folder / name)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--tokenizer", type=Path, help="a folder with vocab.json and merges.txt, or tokenizer.json")
    parser.add_argument("--planted", action="store_true", help="enormous activations and sinks at position 0")
    parser.add_argument("--positions", type=int, default=32, help="the text length that the sinks are made for")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=0.05, help="standard deviation of the weights")
    parser.add_argument("--dtype", choices=["F32", "F16", "BF16"], default="F32")
    given = parser.parse_args()
    plant = given.positions if given.planted else None
    make_checkpoint(
        given.folder,
        given.shape,
        seed=given.seed,
        scale=given.scale,
        tokenizer=given.tokenizer,
        plant=plant,
        dtype=given.dtype,
    )
    print(given.folder)


if __name__ == "__main__":
    main()
