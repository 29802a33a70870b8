"""The table of weights: the name used here, the name in a checkpoint, axes and meaning."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.phrase import Phrase


@dataclass(frozen=True)
class WeightSpec:
    """One weight. `{L}` stands for the block's number; `axes` are names as in `Config.size`, or "qkv".

    `matrix` marks weights that a checkpoint may store transposed (Linear instead of Conv1D).
    """

    name: str
    stored: str
    axes: tuple[str, ...]
    meaning: str
    matrix: bool = False

    def is_absent(self, config: Config) -> bool:
        """Whether a model with this config lacks the weight, as nanoGPT may lack biases; it then counts as zeros."""
        return not config.bias and self.stored.endswith(".bias")

    def is_tied(self, config: Config) -> bool:
        """Whether the weight is the embedding under another name, in a model of this config."""
        return self.name == UNEMBEDDING and config.tie_word_embeddings

    def shape(self, config: Config) -> tuple[int, ...]:
        """The shape of the weight in a model of this config."""
        return tuple(3 * config.n_embd if a == "qkv" else config.size(a, 0) for a in self.axes)


UNEMBEDDING = "unembed.W_U"
"""Its rows are the embedding's if the head is tied."""

_B = "blocks.{L}."
_H = "h.{L}."
_LN_1, _LN_2, _LAST = Phrase("layer norm {1}", 1), Phrase("layer norm {1}", 2), Phrase("final layer norm")
_QKV, _OUT = Phrase("query, key and value"), Phrase("attention output")
_UP, _DOWN = Phrase("MLP up"), Phrase("MLP down")

WEIGHTS: tuple[WeightSpec, ...] = (
    WeightSpec("embed.W_E", "wte.weight", ("d_vocab", "d_model"), Phrase("token embedding")),
    WeightSpec("pos_embed.W_pos", "wpe.weight", ("n_ctx", "d_model"), Phrase("position embedding")),
    WeightSpec(_B + "ln1.w", _H + "ln_1.weight", ("d_model",), Phrase("{1}, gain", _LN_1)),
    WeightSpec(_B + "ln1.b", _H + "ln_1.bias", ("d_model",), Phrase("{1}, bias", _LN_1)),
    WeightSpec(_B + "attn.W_QKV", _H + "attn.c_attn.weight", ("d_model", "qkv"), _QKV, matrix=True),
    WeightSpec(_B + "attn.b_QKV", _H + "attn.c_attn.bias", ("qkv",), Phrase("{1}, bias", _QKV)),
    WeightSpec(_B + "attn.W_O", _H + "attn.c_proj.weight", ("d_model", "d_model"), _OUT, matrix=True),
    WeightSpec(_B + "attn.b_O", _H + "attn.c_proj.bias", ("d_model",), Phrase("{1}, bias", _OUT)),
    WeightSpec(_B + "ln2.w", _H + "ln_2.weight", ("d_model",), Phrase("{1}, gain", _LN_2)),
    WeightSpec(_B + "ln2.b", _H + "ln_2.bias", ("d_model",), Phrase("{1}, bias", _LN_2)),
    WeightSpec(_B + "mlp.W_in", _H + "mlp.c_fc.weight", ("d_model", "d_mlp"), _UP, matrix=True),
    WeightSpec(_B + "mlp.b_in", _H + "mlp.c_fc.bias", ("d_mlp",), Phrase("{1}, bias", _UP)),
    WeightSpec(_B + "mlp.W_out", _H + "mlp.c_proj.weight", ("d_mlp", "d_model"), _DOWN, matrix=True),
    WeightSpec(_B + "mlp.b_out", _H + "mlp.c_proj.bias", ("d_model",), Phrase("{1}, bias", _DOWN)),
    WeightSpec("ln_final.w", "ln_f.weight", ("d_model",), Phrase("{1}, gain", _LAST)),
    WeightSpec("ln_final.b", "ln_f.bias", ("d_model",), Phrase("{1}, bias", _LAST)),
    # [d_vocab, d_model], as stored; the embedding itself if the head is tied.
    WeightSpec(UNEMBEDDING, "lm_head.weight", ("d_vocab", "d_model"), Phrase("unembedding")),
)


def expand(template: str, layer: int | None) -> str:
    """The name with the block's number in place of {L}."""
    return template if layer is None else template.replace("{L}", str(layer))


def all_weights(config: Config) -> Iterator[tuple[str, str, WeightSpec]]:
    """(name, stored name, spec) of every weight of a model, in the order of the forward pass."""
    blocks = [spec for spec in WEIGHTS if "{L}" in spec.name]
    first = WEIGHTS.index(blocks[0])
    for spec in WEIGHTS[:first]:
        yield spec.name, spec.stored, spec
    for layer in range(config.n_layer):
        for spec in blocks:
            yield expand(spec.name, layer), expand(spec.stored, layer), spec
    for spec in WEIGHTS[first + len(blocks) :]:
        yield spec.name, spec.stored, spec


def unembedding_name(config: Config) -> str:
    """The name of the weight from which logits are computed: the embedding's if the head is tied."""
    return WEIGHTS[0].name if config.tie_word_embeddings else UNEMBEDDING


def summed_axis(name: str) -> int:
    """The axis of a matrix over which a product sums: d_model of the unembedding, the first axis of the others."""
    return 1 if name == UNEMBEDDING else 0


def matrices(config: Config) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every weight used in a matrix product: the blocks' matrices and the unembedding."""
    return {name: spec.shape(config) for name, _, spec in all_weights(config) if spec.matrix or name == UNEMBEDDING}


def own_weights(config: Config) -> Iterator[tuple[str, str, WeightSpec]]:
    """The weights that have parameters: without absent biases and tied unembeddings."""
    for name, stored, spec in all_weights(config):
        if not spec.is_absent(config) and not spec.is_tied(config):
            yield name, stored, spec


def parameter_count(config: Config) -> int:
    """Number of parameters of the model; a tied unembedding counts once."""
    return sum(prod(spec.shape(config)) for _, _, spec in own_weights(config))
