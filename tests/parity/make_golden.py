"""Writes golden.npz: numbers computed by transformers, for test runs without transformers and torch.

    python -m tests.parity.make_golden

Weights come from a seed, by integer arithmetic that gives the same bits in every numpy; the file has a checksum of
them. Of each tensor it has SAMPLES values, at places determined by the tensor's name, and the largest value.
"""

import json
import zlib
from pathlib import Path

import numpy as np

from tests.checkpoints import random_config, random_ids, random_weights

SAMPLES = 48
GOLDEN = Path(__file__).with_name("golden.npz")
SMALL = {
    "model_type": "gpt2",
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
}


def cases():
    """(name, config, seed and scale of the weights, ids) of every case."""
    for seed in range(12):
        config = random_config(seed)
        yield f"random-{seed}", config, seed, 0.3, random_ids(config, seed)
    yield "small", SMALL, 100, 0.05, [464, 3797, 3332, 319, 262, 2603, 50256, 0]


def checksum(weights):
    """A checksum of all weights: if it differs, the weights do too, and the golden numbers must be made again."""
    total = 0
    for name in sorted(weights):
        total = zlib.crc32(weights[name].tobytes(), zlib.crc32(name.encode(), total))
    return total


def sample(name, array):
    """SAMPLES values of the tensor `name`, and the largest absolute value of its finite ones."""
    places = np.random.Philox(key=zlib.crc32(name.encode())).random_raw(SAMPLES) % np.uint64(array.size)
    return array.reshape(-1)[places].astype(np.float32), np.abs(array[np.isfinite(array)]).max(initial=0)


def main():
    import torch
    import transformers

    from tests.parity.transformers_pass import build, tensors

    about = {"transformers": transformers.__version__, "torch": torch.__version__, "cases": {}}
    numbers = {}
    for case, config, seed, scale, ids in cases():
        weights = random_weights(config, seed, scale, stable=True)
        found = tensors(build(config, weights), ids)
        samples, largest = zip(*(sample(name, array) for name, array in found.items()), strict=True)
        numbers |= {f"{case}/samples": np.array(samples), f"{case}/largest": np.array(largest, np.float32)}
        about["cases"][case] = {
            "config": config,
            "seed": seed,
            "scale": scale,
            "ids": ids,
            "checksum": checksum(weights),
            "names": list(found),
        }
        print(case, len(found))
    np.savez_compressed(GOLDEN, about=np.array(json.dumps(about)), **numbers)
    print(f"{GOLDEN}: {GOLDEN.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
