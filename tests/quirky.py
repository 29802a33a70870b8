"""A small checkpoint with planted quirks of GPT-2 that can make figures misleading; random weights lack them.

Three dimensions in the thousands at position 0; heads whose every query attends to key 0, through a bias that makes one
dimension of their queries large at every token; neurons far below zero at every token; logits around -100.
"""

import numpy as np

from tests.checkpoints import TINY, random_weights
from tests.scenes import open_tiny

CONFIG = TINY | {
    **{"vocab_size": 300, "n_positions": 1024, "n_embd": 96, "n_head": 3, "n_layer": 2},
    "activation_function": "gelu_new",
}
COUNTS = (3, 128, 400, 1024)
LARGE = {13: 3000.0, 37: -2800.0, 70: 3100.0}
"""Dimensions with huge values at position 0 and nearly zero elsewhere."""
SINKS = (0, 1)
"""Heads that attend to the first token; head 2 does not."""
SINK = 62.0
DEAD, DEAD_AT = tuple(range(5, 384, 16)), -12.0
MIDDLE = -100.0
_SHARED = 36  # a dimension with the same value in every token's embedding


def quirky_weights():
    """Hugging Face names -> float32 arrays."""
    weights, d = random_weights(CONFIG, 3, 0.1), CONFIG["n_embd"]
    width, dims = d // CONFIG["n_head"], list(LARGE)
    weights["wte.weight"][:, dims] *= 0.01
    weights["wpe.weight"][:, dims] *= 0.01
    weights["wpe.weight"][0, dims] = list(LARGE.values())
    # At position 0 the layer norm gives each of the three about sqrt(d / 3), with its sign, and the others nearly 0.
    left = np.sign(list(LARGE.values())) / (3 * (d / 3) ** 0.5)
    for layer in range(CONFIG["n_layer"]):
        h = f"h.{layer}."
        for norm in ("ln_1", "ln_2"):
            weights[h + norm + ".weight"][dims], weights[h + norm + ".bias"][dims] = 1, 0
        matrix, bias = weights[h + "attn.c_attn.weight"], weights[h + "attn.c_attn.bias"]
        for head in SINKS:
            query, key = head * width, d + head * width
            matrix[:, [query, key]] = 0
            bias[[query, key]] = SINK, 0
            matrix[dims, key] = left
        weights[h + "mlp.c_fc.weight"][:, DEAD] = 0
        weights[h + "mlp.c_fc.bias"][list(DEAD)] = DEAD_AT
        # Nothing is written to the three dimensions, so they keep their values.
        for out in ("attn.c_proj", "mlp.c_proj"):
            weights[h + out + ".weight"][:, dims] = 0
            weights[h + out + ".bias"][dims] = 0
    weights["wte.weight"][:, _SHARED] = 1
    weights["ln_f.weight"][_SHARED], weights["ln_f.bias"][_SHARED] = 0.01, MIDDLE
    return weights


def open_quirky(folder):
    """The opened model."""
    return open_tiny(folder, CONFIG, quirky_weights())
