"""Make checkpoint folders for tests: random weights in the Hugging Face layout, written by the safetensors library."""

import hashlib
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


def random_weights(config, seed=0, scale=0.3, *, stable=False):
    """Hugging Face names -> float32 arrays, with values so large that attention and GELU are clearly nonlinear.

    With `stable` they are the same in every numpy version, for comparison with numbers computed elsewhere: numpy
    keeps the streams of its bit generators stable, but not its algorithms for normal variates.
    """
    rng = np.random.default_rng(seed)
    bits = np.random.Philox(key=seed)
    d, inner = config["n_embd"], config.get("n_inner") or 4 * config["n_embd"]

    def normal(*shape):
        if stable:
            uniform = (bits.random_raw(int(np.prod(shape))) >> 40).astype(np.float32) / np.float32(1 << 23) - 1
            return (uniform * np.float32(scale * 3**0.5)).reshape(shape)
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
    """Write a complete checkpoint into `folder`; its tokens are single bytes, as many as fit the vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(random_weights(config, seed) if weights is None else weights, folder / "model.safetensors")
    if tokenizer:
        write_byte_tokenizer(folder, config["vocab_size"])
    return folder


def write_byte_tokenizer(folder: Path, vocab_size: int) -> None:
    """Write a vocab.json of up to 256 byte symbols, printable ASCII first, and a merges.txt without merges."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in visible]
    symbols = [chr(b) for b in visible] + [chr(256 + n) for n in range(len(rest))]
    symbols.insert(0, symbols.pop(len(visible) + rest.index(32)))  # the space first, for small vocabularies
    vocab = {symbol: n for n, symbol in enumerate(symbols[:vocab_size])}
    if vocab_size > 256:
        vocab["<|endoftext|>"] = 256
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n")


ACTIVATIONS = ("gelu_new", "gelu", "relu", "silu", "swish", "gelu_pytorch_tanh")


def random_config(seed):
    """A small config; any 12 successive seeds cover every activation and flag, tied and untied heads, 1 to 4 layers."""
    rng = np.random.default_rng([seed, 1])
    n_head = (1, 2, 3, 5, 7)[seed % 5]
    config = {
        "model_type": "gpt2",
        "vocab_size": int(rng.integers(11, 130)),
        "n_positions": int(rng.integers(16, 33)),
        "n_embd": n_head * (2, 4, 5, 8)[seed % 4],
        "n_layer": 1 + seed % 4,
        "n_head": n_head,
        "activation_function": ACTIVATIONS[seed % 6],
        "layer_norm_epsilon": (1e-5, 1e-6, 1e-3)[seed % 3],
        "tie_word_embeddings": seed % 3 != 1,
    }
    if seed % 4 == 2:
        config["n_inner"] = int(rng.integers(1, 70))
    if seed % 5 == 3:
        config["scale_attn_weights"] = False
    if seed % 4 == 3:
        config["scale_attn_by_inverse_layer_idx"] = True
    if seed % 3 == 2:
        config["reorder_and_upcast_attn"] = True
    return config


def random_ids(config, seed, count=None):
    """Token ids; unless `count` is given, one seed in five fills the context and one in seven gives a single token."""
    rng = np.random.default_rng([seed, 2])
    longest = config["n_positions"]
    count = count or (longest if seed % 5 == 0 else 1 if seed % 7 == 6 else int(rng.integers(2, longest)))
    return rng.integers(0, config["vocab_size"], count).tolist()


_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def rounded(array, dtype):
    """Float32 numbers rounded to `dtype` ("F32", "F16", "BF16"), as float32."""
    if dtype == "BF16":
        bits = array.astype(np.float32).view(np.uint32)
        # Round to nearest, ties to even: bfloat16 is the upper half of a float32.
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)
    return array.astype(_DTYPES[dtype]).astype(np.float32)


def _stored_bytes(array, dtype):
    if dtype == "BF16":
        return (rounded(array, dtype).view(np.uint32) >> 16).astype("<u2").tobytes()
    return np.ascontiguousarray(array, _DTYPES[dtype]).tobytes()


def safetensors_bytes(tensors, metadata=None):
    """A safetensors file of name -> (dtype as in the header, shape, bytes); the library cannot write bfloat16."""
    header, offset = {"__metadata__": metadata or {"format": "pt"}}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)  # padded as by the library, so that the tensors are aligned for mapping
    return with_header(raw, b"".join(data for _, _, data in tensors.values()))


def sealed(data: bytes) -> bytes:
    """A safetensors file with its digest written into the metadata's `sha256`, in place of 64 zeros."""
    digest = hashlib.sha256(data).hexdigest()
    return data.replace(b'"sha256":"' + b"0" * 64, f'"sha256":"{digest}'.encode())


def with_header(header: bytes, data: bytes = b""):
    """The bytes of a safetensors file with this header, valid or not."""
    return len(header).to_bytes(8, "little") + header + data


def store_weights(folder: Path, weights, *, prefix="", linear=False, dtype="F32", shards=1):
    """Write weights in a layout found in real checkpoints; returns the weights as they will be read, in float32.

    `prefix` is put before every name but the unembedding's, `linear` transposes the matrices as minGPT and nanoGPT do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = {}
    for name, array in weights.items():
        matrix = name.split(".")[-2] in ("c_attn", "c_proj", "c_fc") and array.ndim == 2
        turned = np.ascontiguousarray(array.T) if linear and matrix else array
        full = name if name == "lm_head.weight" else prefix + name
        stored[full] = (dtype, turned.shape, _stored_bytes(turned, dtype))
    names, where = list(stored), {}
    for shard in range(shards):
        file = "model.safetensors" if shards == 1 else f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: stored[name] for name in names[shard::shards]}
        (folder / file).write_bytes(safetensors_bytes(part))
        where |= dict.fromkeys(part, file)
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return {name: rounded(array, dtype) for name, array in weights.items()}


def write_random_checkpoint(folder: Path, seed):
    """Write a checkpoint of `random_config(seed)`, its layout chosen by the seed: (config, weights as float32)."""
    config = random_config(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    weights = store_weights(
        folder,
        random_weights(config, seed),
        prefix="transformer." if seed % 2 else "",
        linear=seed % 5 in (1, 2),
        dtype=("F32", "F16", "BF16", "F32")[seed % 4],
        shards=1 + (seed // 2) % 3,
    )
    return config, weights
