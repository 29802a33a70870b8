"""Makes checkpoint folders for tests: random weights in the Hugging Face layout, written by the safetensors library."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

TINY = {
    "model_type": "gpt2",
    "vocab_size": 97,
    "n_positions": 32,
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 3,
}


def random_weights(config, seed=0, scale=0.3):
    """Hugging Face names -> float32 arrays, large enough that attention and GELU leave their linear range."""
    rng = np.random.default_rng(seed)
    d, inner = config["n_embd"], config.get("n_inner") or 4 * config["n_embd"]

    def normal(*shape):
        return rng.normal(0, scale, shape).astype(np.float32)

    weights = {"wte.weight": normal(config["vocab_size"], d), "wpe.weight": normal(config["n_positions"], d)}
    for layer in range(config["n_layer"]):
        h = f"h.{layer}."
        weights |= {
            h + "ln_1.weight": 1 + normal(d),
            h + "ln_1.bias": normal(d),
            h + "attn.c_attn.weight": normal(d, 3 * d),
            h + "attn.c_attn.bias": normal(3 * d),
            h + "attn.c_proj.weight": normal(d, d),
            h + "attn.c_proj.bias": normal(d),
            h + "ln_2.weight": 1 + normal(d),
            h + "ln_2.bias": normal(d),
            h + "mlp.c_fc.weight": normal(d, inner),
            h + "mlp.c_fc.bias": normal(inner),
            h + "mlp.c_proj.weight": normal(inner, d),
            h + "mlp.c_proj.bias": normal(d),
        }
    weights |= {"ln_f.weight": 1 + normal(d), "ln_f.bias": normal(d)}
    if config.get("tie_word_embeddings") is False:
        weights["lm_head.weight"] = normal(config["vocab_size"], d)
    return weights


def write_checkpoint(folder: Path, config=TINY, weights=None, *, seed=0, tokenizer=True) -> Path:
    """A complete checkpoint in `folder`; its tokenizer spells single bytes only, as far as the vocabulary reaches."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(random_weights(config, seed) if weights is None else weights, folder / "model.safetensors")
    if tokenizer:
        write_byte_tokenizer(folder, config["vocab_size"])
    return folder


def write_byte_tokenizer(folder: Path, vocab_size: int) -> None:
    """vocab.json of up to 256 byte symbols, printable ASCII first, and a merges.txt without merges."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in visible]
    symbols = [chr(b) for b in visible] + [chr(256 + n) for n in range(len(rest))]
    symbols.insert(0, symbols.pop(len(visible) + rest.index(32)))  # the space, so that small vocabularies have it
    vocab = {symbol: n for n, symbol in enumerate(symbols[:vocab_size])}
    if vocab_size > 256:
        vocab["<|endoftext|>"] = 256
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n")
