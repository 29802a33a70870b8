"""The hyper-parameters of a GPT-2, read from `config.json`: bounds are checked, unsupported fields refused by name."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.jsonfile import read_json

ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu": "gelu_erf",
    "gelu_python": "gelu_erf",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
"""Name of the activation in `config.json` -> the formula for it, by this program's name; several share a formula."""

CONFIG_LIMIT = 1 << 20

# Newer libraries write generic names where GPT-2's files have abbreviated ones.
_ALIASES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}

# Fields that could change the numbers, with the values at which they do not.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "add_cross_attention": (False, None),
    "is_encoder_decoder": (False, None),
    "is_causal": (True, None),
    "cross_attention_hidden_size": (None,),
    "pruned_heads": ({}, None),
    "quantization_config": (None,),
    "quantization": (None,),
    "compression_config": (None,),
    "position_embedding_type": ("absolute", None),
    "rope_scaling": (None,),
    "rope_parameters": (None,),
    "rotary": (False, None),
    "sliding_window": (None,),
    "attention_bias": (True, None),
    "multi_query": (False, None),
    "num_key_value_heads": (None,),
    "final_logit_softcapping": (None,),
    "logit_scale": (None, 1, 1.0),
    "adapters": ({}, None),
}


@dataclass(frozen=True)
class Config:
    """The hyper-parameters of a GPT-2, under the names of Hugging Face's GPT2Config."""

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = field(default=False, compare=False)
    tie_word_embeddings: bool = True
    bias: bool = True
    """Whether the model has biases. A nanoGPT model may lack them, and computes as if all were zero."""
    says_tied: bool = field(default=True, compare=False)
    """False if a config in nanoGPT's form does not state whether W_U is tied to W_E; then the weights decide."""
    int8: bool = False
    """Whether matrix products round their operands to int8 (`gpt2/int8.py`). Never read from config.json."""

    @property
    def d_head(self) -> int:
        """Width of one head: n_embd / n_head."""
        return self.n_embd // self.n_head

    @property
    def d_mlp(self) -> int:
        """The number of neurons of one MLP: n_inner, or 4 x n_embd if the config does not give it."""
        return self.n_inner or 4 * self.n_embd

    @property
    def activation(self) -> str:
        """The formula for `activation_function`: gelu_tanh, gelu_erf, relu or silu."""
        return ACTIVATIONS[self.activation_function]

    def score_divisor(self, layer: int) -> float:
        """The number by which `attn.scores` of block `layer` are divided to give `attn.scaled`."""
        divisor = float(self.d_head) ** 0.5 if self.scale_attn_weights else 1.0
        return divisor * (layer + 1 if self.scale_attn_by_inverse_layer_idx else 1)

    def size(self, axis: str, positions: int) -> int:
        """The length of a named axis of the tensor table for a text of `positions` tokens."""
        sizes = {
            "head": self.n_head,
            "d_model": self.n_embd,
            "d_head": self.d_head,
            "d_mlp": self.d_mlp,
            "d_vocab": self.vocab_size,
            "n_ctx": self.n_positions,
            "one": 1,
        }
        return sizes.get(axis, positions)


MOST_BLOCKS = MOST_HEADS = 512
"""The largest number of blocks that a model may have, and of heads in each block."""

_INTEGERS: dict[str, tuple[int, int]] = {
    "vocab_size": (1, 2_000_000),
    "n_positions": (1, 131_072),
    "n_embd": (1, 32_768),
    "n_layer": (1, MOST_BLOCKS),
    "n_head": (1, MOST_HEADS),
    "n_inner": (1, 262_144),
}
_FLAGS = (
    "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx",
    "reorder_and_upcast_attn",
    "tie_word_embeddings",
)


def load_config(path: Path) -> Config:
    """The config in the file `path`. Raises ModelError that names the file, the field and the bound."""
    return parse_config(read_json(path, limit=CONFIG_LIMIT, error=ModelError), str(path))


def parse_config(raw: dict[str, Any], where: str) -> Config:
    """A Config from parsed JSON; `where` names its source in errors.

    Fields that do not affect the forward pass (dropout, initialisation, summary heads, generation defaults) are
    ignored. A field that does affect it, but is not supported here, is refused by name.
    """
    own_form = "block_size" in raw and "n_positions" not in raw
    if own_form:
        raw = _from_nanogpt(raw, where)
    kind = raw.get("model_type", "gpt2")
    if kind != "gpt2":
        raise ModelError(f"{where}: model_type is {_short(kind)}; only checkpoints of type 'gpt2' can be opened.")
    for name, neutral in _NEUTRAL.items():
        if name in raw and not any(raw[name] is n or raw[name] == n for n in neutral):
            raise ModelError(
                f"{where}: {name} is {_short(raw[name])}, which plain GPT-2 does not have and which changes the "
                "numbers; it is not supported."
            )
    fields = dict(raw)
    for alias, name in _ALIASES.items():
        if alias in raw:
            if name in raw and raw[name] != raw[alias]:
                raise ModelError(f"{where}: {alias} and {name} name the same thing but differ; remove one.")
            fields[name] = raw[alias]

    values: dict[str, Any] = {}
    for name, (low, high) in _INTEGERS.items():
        if name not in fields or (name == "n_inner" and fields[name] is None):
            continue
        value = fields[name]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ModelError(f"{where}: {name} is {_short(value)}; it must be a whole number from {low} to {high:,}.")
        values[name] = value
    for name in _FLAGS:
        if name not in fields:
            continue
        value = fields[name]
        if not isinstance(value, bool):
            raise ModelError(f"{where}: {name} is {_short(value)}; it must be true or false.")
        values[name] = value
    if "activation_function" in fields:
        value = fields["activation_function"]
        if not isinstance(value, str) or value not in ACTIVATIONS:
            raise ModelError(
                f"{where}: activation_function is {_short(value)}; it must be one of {', '.join(ACTIVATIONS)}."
            )
        values["activation_function"] = value
    if "layer_norm_epsilon" in fields:
        value = fields["layer_norm_epsilon"]
        if not isinstance(value, int | float) or isinstance(value, bool) or not 1e-12 <= value <= 1:
            raise ModelError(f"{where}: layer_norm_epsilon is {_short(value)}; it must be from 1e-12 to 1.")
        values["layer_norm_epsilon"] = float(value)

    if own_form:
        values |= {"bias": raw["bias"], "says_tied": "tie_word_embeddings" in raw}
    config = Config(**values)
    if config.n_embd % config.n_head:
        raise ModelError(f"{where}: n_embd {config.n_embd} cannot be split into n_head {config.n_head} equal heads.")
    return config


def _from_nanogpt(raw: dict[str, Any], where: str) -> dict[str, Any]:
    """The arguments of a nanoGPT or a minGPT as fields of GPT2Config.

    Both call the context length block_size and use model_type for a size. minGPT (recognised by its embd_pdrop)
    computes GELU by the tanh formula, nanoGPT by the error function; a field activation_function overrides either.
    """
    for name in ("n_layer", "n_head", "n_embd", "vocab_size"):
        # These libraries have other defaults than GPT-2, and a wrong number of heads would run and give wrong results.
        if raw.get(name) is None:
            raise ModelError(f"{where} has block_size, as in nanoGPT and minGPT, but no {name}; add it.")
    bias = raw.get("bias", True)
    if not isinstance(bias, bool):
        raise ModelError(f"{where}: bias is {_short(bias)}; it must be true or false.")
    fields = {name: value for name, value in raw.items() if name not in ("model_type", "block_size", "dropout")}
    fields["n_positions"] = raw["block_size"]
    fields["bias"] = bias
    fields.setdefault("activation_function", "gelu_new" if "embd_pdrop" in raw else "gelu")
    return fields


def _short(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
