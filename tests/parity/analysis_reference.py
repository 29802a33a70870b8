"""Attribution in plain numpy, from tensors that hooks took from transformers: every part is computed explicitly.

`found` is the result of `transformers_pass.tensors`; `weights` have their stored names and are float64.
"""

import numpy as np


def wide(weights):
    return {name: array.astype(np.float64) for name, array in weights.items()}


def parts(weights, config, found, layer, position):
    """Name -> vector of every part of `resid_pre` of block `layer` at a position, in the order of the pass."""
    made = {"embed": found["embed"][position], "pos_embed": found["pos_embed"][position]}
    width = config["n_embd"] // config["n_head"]
    for block in range(layer):
        matrix = weights[f"h.{block}.attn.c_proj.weight"]
        for head in range(config["n_head"]):
            z = found[f"blocks.{block}.attn.z"][head, position].astype(np.float64)
            made[f"blocks.{block}.attn.result.{head}"] = z @ matrix[head * width : (head + 1) * width]
        made[f"blocks.{block}.attn.b_O"] = weights[f"h.{block}.attn.c_proj.bias"]
        post = found[f"blocks.{block}.mlp.post"][position].astype(np.float64)
        made[f"blocks.{block}.mlp"] = post @ weights[f"h.{block}.mlp.c_proj.weight"]
        made[f"blocks.{block}.mlp.b_out"] = weights[f"h.{block}.mlp.c_proj.bias"]
    return {name: vector.astype(np.float64) for name, vector in made.items()}


def scale_of(x, config):
    return np.sqrt(x.astype(np.float64).var(-1) + config.get("layer_norm_epsilon", 1e-5))


def head_table(weights):
    return weights.get("lm_head.weight", weights["wte.weight"])


def attribution(weights, config, found, position, column):
    """(name -> contribution, constant) for a column of the unembedding, or a difference of columns."""
    last = config["n_layer"]
    scale = scale_of(found[f"blocks.{last - 1}.resid_post"][position], config)
    made = {
        name: ((vector - vector.mean()) / scale * weights["ln_f.weight"]) @ column
        for name, vector in parts(weights, config, found, last, position).items()
    }
    return made, weights["ln_f.bias"] @ column


def sources(weights, config, found, position, column):
    """[layer, head, key]: the contribution of what each head wrote from each key, computed like that of any part."""
    last, width = config["n_layer"], config["n_embd"] // config["n_head"]
    scale = scale_of(found[f"blocks.{last - 1}.resid_post"][position], config)
    count = len(found["tokens"])
    made = np.zeros((last, config["n_head"], count))
    for block in range(last):
        for head in range(config["n_head"]):
            matrix = weights[f"h.{block}.attn.c_proj.weight"][head * width : (head + 1) * width]
            for key in range(count):
                weight = float(found[f"blocks.{block}.attn.pattern"][head, position, key])
                vector = weight * found[f"blocks.{block}.attn.v"][head, key].astype(np.float64) @ matrix
                made[block, head, key] = ((vector - vector.mean()) / scale * weights["ln_f.weight"]) @ column
    return made


def neurons(weights, config, found, position, column):
    """[layer, d_mlp]: the contribution of what each neuron wrote, computed like that of any part."""
    last = config["n_layer"]
    scale = scale_of(found[f"blocks.{last - 1}.resid_post"][position], config)
    made = []
    for block in range(last):
        written = found[f"blocks.{block}.mlp.post"][position][:, None] * weights[f"h.{block}.mlp.c_proj.weight"]
        made.append(((written - written.mean(-1, keepdims=True)) / scale * weights["ln_f.weight"]) @ column)
    return np.array(made)


def score(weights, config, found, cell):
    """(names of query parts, of key parts, terms [query part, key part]) of a cell (block, head, query, key)."""
    layer, head, query, key = cell
    d, width = config["n_embd"], config["n_embd"] // config["n_head"]
    sides = []
    for letter, position in (("q", query), ("k", key)):
        first = "qkv".index(letter) * d + head * width
        matrix = weights[f"h.{layer}.attn.c_attn.weight"][:, first : first + width]
        bias = weights[f"h.{layer}.attn.c_attn.bias"][first : first + width]
        scale = scale_of(found[f"blocks.{layer}.resid_pre"][position], config)
        made = {
            name: ((vector - vector.mean()) / scale * weights[f"h.{layer}.ln_1.weight"]) @ matrix
            for name, vector in parts(weights, config, found, layer, position).items()
        }
        made[f"blocks.{layer}.attn.b_{letter.upper()}"] = weights[f"h.{layer}.ln_1.bias"] @ matrix + bias
        sides.append(made)
    divisor = width**0.5 if config.get("scale_attn_weights", True) else 1.0
    if config.get("scale_attn_by_inverse_layer_idx"):
        divisor *= layer + 1
    queries, keys = (np.array(list(side.values())) for side in sides)
    return list(sides[0]), list(sides[1]), queries @ keys.T / divisor


def battery_scores(patterns, repeated):
    """Scores of one text's patterns [layer, head, query, key], computed cell by cell: name -> [layer, head]."""
    layers, heads, count, _ = patterns.shape
    names = ("previous", "first", "self", "duplicate", "induction", "entropy", "distance")
    found = {name: np.zeros((layers, heads)) for name in names}
    for layer in range(layers):
        for head in range(heads):
            a = patterns[layer, head].astype(np.float64)
            later = range(1, count)
            second = range(repeated + 1, count)
            means = {
                "previous": [a[i, i - 1] for i in range(2, count)],
                "first": [a[i, 0] for i in later],
                "self": [a[i, i] for i in later],
                "duplicate": [a[i, i - repeated] for i in second],
                "induction": [a[i, i - repeated + 1] for i in second],
                "entropy": [-sum(p * np.log(p) for p in a[i, : i + 1] if p > 0) / np.log(i + 1) for i in later],
                "distance": [sum(a[i, j] * (i - j) for j in range(i + 1)) for i in later],
            }
            for name, values in means.items():
                found[name][layer, head] = np.mean(values)
    return found
