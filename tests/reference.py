"""A second, independent forward pass of GPT-2 in float64 numpy, written to be read alongside the paper.

It uses nothing of the package: weights have their Hugging Face names, results the names of the tensor table.
"""

import math

import numpy as np


def layer_norm(x, w, b, eps, name, out):
    out[f"{name}.mean"] = x.mean(-1, keepdims=True)
    out[f"{name}.scale"] = np.sqrt(x.var(-1, keepdims=True) + eps)
    out[f"{name}.normalized"] = (x - out[f"{name}.mean"]) / out[f"{name}.scale"]
    out[f"{name}.out"] = out[f"{name}.normalized"] * w + b
    return out[f"{name}.out"]


def activate(x, kind):
    if kind in ("gelu_new", "gelu_pytorch_tanh"):
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if kind == "gelu":
        return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    if kind == "relu":
        return np.where(x > 0, x, 0)
    return x / (1 + np.exp(-x))


def forward(weights, config, ids):
    """Every tensor of the table as float64: name -> array. `config` is the dict of config.json."""
    weights = {n: np.asarray(w, np.float64) for n, w in weights.items()}
    n_head, width = config["n_head"], config["n_embd"]
    d_head, count = width // n_head, len(ids)
    eps = config.get("layer_norm_epsilon", 1e-5)
    out = {"tokens": np.asarray(ids)}
    out["embed"] = weights["wte.weight"][out["tokens"]]
    out["pos_embed"] = weights["wpe.weight"][:count]
    x = out["embed"] + out["pos_embed"]
    for layer in range(config["n_layer"]):
        block, stored = f"blocks.{layer}", f"h.{layer}"
        out[f"{block}.resid_pre"] = x
        h = layer_norm(x, weights[f"{stored}.ln_1.weight"], weights[f"{stored}.ln_1.bias"], eps, f"{block}.ln1", out)
        qkv = h @ weights[f"{stored}.attn.c_attn.weight"] + weights[f"{stored}.attn.c_attn.bias"]
        grids = {name: np.zeros((n_head, count, count)) for name in ("scores", "scaled", "masked", "pattern")}
        parts = {name: np.zeros((n_head, count, d_head)) for name in "qkvz"}
        for head in range(n_head):
            columns = slice(head * d_head, (head + 1) * d_head)
            q, k, v = (qkv[:, part * width : (part + 1) * width][:, columns] for part in range(3))
            for i in range(count):
                for j in range(count):
                    grids["scores"][head, i, j] = np.dot(q[i], k[j])
            scaled = grids["scores"][head].copy()
            if config.get("scale_attn_weights", True):
                scaled /= math.sqrt(d_head)
            if config.get("scale_attn_by_inverse_layer_idx", False):
                scaled /= layer + 1
            masked = scaled.copy()
            masked[np.triu_indices(count, 1)] = -np.inf
            exponentials = np.exp(masked - masked.max(-1, keepdims=True))
            pattern = exponentials / exponentials.sum(-1, keepdims=True)
            grids["scaled"][head], grids["masked"][head], grids["pattern"][head] = scaled, masked, pattern
            parts["q"][head], parts["k"][head], parts["v"][head] = q, k, v
            parts["z"][head] = pattern @ v
        out |= {f"{block}.attn.{name}": array for name, array in (grids | parts).items()}
        concat = np.concatenate(list(parts["z"]), axis=-1)
        out[f"{block}.attn.concat"] = concat
        attn_out = concat @ weights[f"{stored}.attn.c_proj.weight"] + weights[f"{stored}.attn.c_proj.bias"]
        out[f"{block}.attn_out"] = attn_out
        x = out[f"{block}.resid_mid"] = x + attn_out
        h = layer_norm(x, weights[f"{stored}.ln_2.weight"], weights[f"{stored}.ln_2.bias"], eps, f"{block}.ln2", out)
        pre = h @ weights[f"{stored}.mlp.c_fc.weight"] + weights[f"{stored}.mlp.c_fc.bias"]
        post = activate(pre, config.get("activation_function", "gelu_new"))
        mlp_out = post @ weights[f"{stored}.mlp.c_proj.weight"] + weights[f"{stored}.mlp.c_proj.bias"]
        out[f"{block}.mlp.pre"], out[f"{block}.mlp.post"], out[f"{block}.mlp_out"] = pre, post, mlp_out
        x = out[f"{block}.resid_post"] = x + mlp_out
    final = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"], eps, "ln_final", out)
    head_rows = weights.get("lm_head.weight", weights["wte.weight"])
    out["logits"] = final @ head_rows.T
    return out
