"""The table of tensors: every intermediate of GPT-2's forward pass, its axes, meaning and formula.

The graph's outputs, the trace, the steps of the views, the inspector, the exporters and the parity tests all read it.
Names follow TransformerLens, with three differences: here a layer norm's `normalized` is before weight and bias;
`attn.scores` are neither scaled nor masked; and q, k, v, z are [head, pos, d_head].
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from types import MappingProxyType

from desktop_app.gpt2 import formulas as f
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.formula import Formula
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.gpt2.weights import UNEMBEDDING, expand


@dataclass(frozen=True)
class TensorSpec:
    """One tensor. `{L}` stands for the block's number in `name` and `inputs`.

    `inputs` are tensors and weights, in the order in which the formula reads them. `written` is the formula in the
    notation of papers. A trace that cannot store everything stores the tensors marked `kept` and derives the others
    from them.
    """

    name: str
    axes: tuple[str, ...]
    meaning: str
    written: str
    inputs: tuple[str, ...]
    formula: Formula
    kept: bool = False

    @property
    def per_head(self) -> bool:
        """Whether the first axis is the head."""
        return self.axes[0] == "head"

    @property
    def row_axis(self) -> int:
        """The index of the axis that runs over positions (as `pos` or `query`)."""
        return 1 if self.per_head else 0

    def shape(self, config: Config, rows: int, keys: int | None = None) -> tuple[int, ...]:
        """The shape for `rows` positions that attend to `keys` positions, by default the same number."""
        lengths = {"pos": rows, "query": rows, "key": rows if keys is None else keys}
        return tuple(lengths.get(axis, config.size(axis, 0)) for axis in self.axes)


_B = "blocks.{L}."
_POS_MODEL = ("pos", "d_model")
_GRID = ("head", "query", "key")
_HEADS = ("head", "pos", "d_head")


def _layer_norm(place: str, name: str, source: str) -> tuple[TensorSpec, ...]:
    mean, scale, normalized = f"{name}.mean", f"{name}.scale", f"{name}.normalized"
    return (
        TensorSpec(mean, ("pos", "one"), f"{place}: mean of the vector", "μ = Σ x / d_model", (source,), f.MEAN),
        TensorSpec(
            scale,
            ("pos", "one"),
            f"{place}: standard deviation, a little ε added",
            "σ = √(Σ (x − μ)² / d_model + ε)",
            (source, mean),
            f.SCALE,
        ),
        TensorSpec(
            normalized,
            _POS_MODEL,
            f"{place}: mean 0 and variance 1",
            "x̂ = (x − μ) / σ",
            (source, mean, scale),
            f.NORMALIZED,
        ),
        TensorSpec(
            f"{name}.out",
            _POS_MODEL,
            f"{place}: rescaled by learned gain and bias",
            "x̂ · w + b",
            (normalized, f"{name}.w", f"{name}.b"),
            f.GAIN_AND_BIAS,
        ),
    )


def _qkv(letter: str, word: str, formula: Formula) -> TensorSpec:
    inputs = (_B + "ln1.out", _B + "attn.W_QKV", _B + "attn.b_QKV")
    return TensorSpec(
        f"{_B}attn.{letter}",
        _HEADS,
        f"{word} of every head",
        f"{letter} = x W_{letter.upper()} + b_{letter.upper()}",
        inputs,
        formula,
        kept=True,
    )


_INPUT = (
    TensorSpec("tokens", ("pos",), "token ids", "the typed text, cut by the tokenizer", (), f.given(("i",)), kept=True),
    TensorSpec("embed", _POS_MODEL, "token embedding", "row W_E[token]", ("tokens", "embed.W_E"), f.ROWS_OF_TABLE),
    TensorSpec(
        "pos_embed",
        _POS_MODEL,
        "position embedding",
        "row W_pos[position]",
        ("pos_embed.W_pos",),
        f.ROWS_OF_POSITIONS,
    ),
)

_FIRST_RESID = TensorSpec(
    _B + "resid_pre",
    _POS_MODEL,
    "residual stream at the start of the block",
    "token embedding + position embedding",
    ("embed", "pos_embed"),
    f.ADD,
    kept=True,
)
_NEXT_RESID = TensorSpec(
    _B + "resid_pre",
    _POS_MODEL,
    "residual stream at the start of the block",
    "resid_post of the block before",
    ("blocks.{L-1}.resid_post",),
    f.SAME,
    kept=True,
)

_BLOCK = (
    *_layer_norm("layer norm 1", _B + "ln1", _B + "resid_pre"),
    _qkv("q", "query", f.QUERY),
    _qkv("k", "key", f.KEY),
    _qkv("v", "value", f.VALUE),
    TensorSpec(
        _B + "attn.scores",
        _GRID,
        "how well each query matches each key",
        "S_ij = q_i · k_j",
        (_B + "attn.q", _B + "attn.k"),
        f.SCORES,
    ),
    TensorSpec(_B + "attn.scaled", _GRID, "scores made comparable", "S_ij / √d_head", (_B + "attn.scores",), f.SCALED),
    TensorSpec(
        _B + "attn.masked",
        _GRID,
        "later tokens hidden",
        "−∞ where j > i, else the scaled score",
        (_B + "attn.scaled",),
        f.MASKED,
    ),
    TensorSpec(
        _B + "attn.pattern",
        _GRID,
        "how much of each value is read",
        "A_ij = exp(S_ij) / Σ_m≤i exp(S_im)",
        (_B + "attn.masked",),
        f.SOFTMAX,
    ),
    TensorSpec(
        _B + "attn.z",
        _HEADS,
        "values, weighted and added",
        "z_i = Σ_j A_ij v_j",
        (_B + "attn.pattern", _B + "attn.v"),
        f.WEIGH_VALUES,
        kept=True,
    ),
    TensorSpec(_B + "attn.concat", _POS_MODEL, "heads side by side", "[z⁰ z¹ … ]", (_B + "attn.z",), f.JOIN_HEADS),
    TensorSpec(
        _B + "attn_out",
        _POS_MODEL,
        "what attention writes",
        "concat · W_O + b_O",
        (_B + "attn.concat", _B + "attn.W_O", _B + "attn.b_O"),
        f.AFFINE,
        kept=True,
    ),
    TensorSpec(
        _B + "resid_mid",
        _POS_MODEL,
        "residual stream after attention",
        "resid_pre + attn_out",
        (_B + "resid_pre", _B + "attn_out"),
        f.ADD,
    ),
    *_layer_norm("layer norm 2", _B + "ln2", _B + "resid_mid"),
    TensorSpec(
        _B + "mlp.pre",
        ("pos", "d_mlp"),
        "neurons before the activation",
        "x W_in + b_in",
        (_B + "ln2.out", _B + "mlp.W_in", _B + "mlp.b_in"),
        f.AFFINE,
        kept=True,
    ),
    TensorSpec(
        _B + "mlp.post",
        ("pos", "d_mlp"),
        "neurons after the activation",
        "activation(pre)",
        (_B + "mlp.pre",),
        f.ACTIVATION,
    ),
    TensorSpec(
        _B + "mlp_out",
        _POS_MODEL,
        "what the MLP writes",
        "post · W_out + b_out",
        (_B + "mlp.post", _B + "mlp.W_out", _B + "mlp.b_out"),
        f.AFFINE,
        kept=True,
    ),
    TensorSpec(
        _B + "resid_post",
        _POS_MODEL,
        "residual stream after the MLP",
        "resid_mid + mlp_out",
        (_B + "resid_mid", _B + "mlp_out"),
        f.ADD,
    ),
)

_OUTPUT = (
    *_layer_norm("final layer norm", "ln_final", "blocks.{last}.resid_post"),
    TensorSpec(
        "logits",
        ("pos", "d_vocab"),
        "score of every token as the next one",
        "x · W_U[token]",
        ("ln_final.out", UNEMBEDDING),
        f.UNEMBED,
    ),
)


@dataclass(frozen=True)
class Tensor:
    """One row of the table for one model: full name, block (None outside blocks), spec, full names of its inputs.

    Of the inputs in `whole` (keys, values, weights), a row of the result also reads other rows; of the other inputs, it
    reads only the row of its own position.
    """

    name: str
    layer: int | None
    spec: TensorSpec
    inputs: tuple[str, ...]
    whole: frozenset[str]

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes."""
        return self.spec.axes

    @property
    def editable(self) -> bool:
        """Whether this tensor can be edited."""
        return self.spec.name.removeprefix(_B) in EDITABLE


def scaled_by(config: Config, score: str) -> str:
    """A score over its divisor, which depends on the config, in the notation of papers: in GPT-2, `score` / √d_head."""
    divisors = ["√d_head"] * config.scale_attn_weights + ["(block + 1)"] * config.scale_attn_by_inverse_layer_idx
    product = " · ".join(divisors)
    return f"{score} / ({product})" if len(divisors) > 1 else " / ".join([score, *divisors])


def _place(spec: TensorSpec, layer: int | None, config: Config) -> Tensor:
    def full(template: str) -> str:
        name = template.replace("{last}", str(config.n_layer - 1))
        if layer is not None:
            name = name.replace("{L-1}", str(layer - 1))
        return expand(name, layer)

    if spec.name == _B + "attn.scaled":
        spec = replace(spec, written=scaled_by(config, "S_ij"))
    inputs = tuple(full(i) for i in spec.inputs)
    whole = {name for name, operand in zip(inputs, spec.formula.reads, strict=False) if not operand.own_row}
    return Tensor(full(spec.name), layer, spec, inputs, frozenset(whole))


EDITABLE = (
    *("embed", "resid_pre", "attn.q", "attn.k", "attn.v", "attn.scaled", "attn.z", "attn_out", "resid_mid", "mlp.post"),
    "mlp_out",
)
"""The tensors that can be edited; names within blocks lack the prefix `blocks.L.`."""


def _edited(row: Tensor) -> Iterator[Tensor]:
    """The rows of the table for an edited tensor: its value before the edit, keep, put, and the result."""
    spec, name = row.spec, row.name
    before = replace(spec, meaning=f"{spec.meaning}, before the edit", kept=False)
    yield replace(row, name=f"{name}.before", spec=before)
    for part, meaning in (("keep", "the edit: the factor"), ("put", "the edit: what is added")):
        formula, written = f.given(spec.formula.cell), "given with the edit"
        given = replace(spec, inputs=(), formula=formula, meaning=meaning, written=written, kept=True)
        yield Tensor(f"{name}.{part}", row.layer, given, (), frozenset())
    inputs = tuple(f"{name}.{part}" for part in ("before", "keep", "put"))
    formula = f.EDIT_OF_HEADS if spec.per_head else f.EDIT
    after = replace(spec, meaning=f"{spec.meaning}, edited", written="keep · x + put", inputs=inputs, formula=formula)
    yield Tensor(name, row.layer, after, inputs, frozenset())


def _under(mask: str, config: Config, row: Tensor) -> Tensor:
    """A row of the table under a `mask` other than GPT-2's."""
    if row.spec.name == _B + "attn.masked":
        written = f"−∞ where the mask {mask} hides j from i, else the scaled score"
        formula = f.masked_by(mask_of(mask, config))
        return replace(row, spec=replace(row.spec, meaning="hidden tokens removed", written=written, formula=formula))
    if row.spec.name == _B + "attn.pattern":
        return replace(
            row, spec=replace(row.spec, written="A_ij = exp(S_ij) / Σ exp(S_im) over the keys m that i sees")
        )
    return row


@lru_cache(maxsize=64)
def tensor_table(config: Config, edited: frozenset[str] = frozenset(), mask: str = CAUSAL) -> Mapping[str, Tensor]:
    """Name -> row, in the order of the forward pass, for a model with this config.

    Each edited tensor X has rows for its value before the edit (`X.before`, with X's formula), for `X.keep` and for
    `X.put`, and is computed from them. A `mask` other than GPT-2's determines which keys are hidden.
    """
    if mask != CAUSAL:
        plain = tensor_table(config, edited)
        return MappingProxyType({name: _under(mask, config, row) for name, row in plain.items()})
    if edited:
        plain = tensor_table(config)
        return MappingProxyType(
            {own.name: own for row in plain.values() for own in (_edited(row) if row.name in edited else (row,))}
        )

    def rows() -> Iterator[Tensor]:
        for spec in _INPUT:
            yield _place(spec, None, config)
        for layer in range(config.n_layer):
            yield _place(_NEXT_RESID if layer else _FIRST_RESID, layer, config)
            for spec in _BLOCK:
                yield _place(spec, layer, config)
        for spec in _OUTPUT:
            yield _place(spec, None, config)

    return MappingProxyType({row.name: row for row in rows()})


def past_of(layer: int) -> dict[str, str]:
    """The graph's inputs for a block's past keys and values -> the tensors that hold the new keys and values."""
    return {f"past.{layer}.{part}": f"blocks.{layer}.attn.{part[0]}" for part in ("key", "value")}


def past_inputs(config: Config) -> dict[str, str]:
    """`past_of` for every block, in the order of the graph's inputs."""
    return {name: own for layer in range(config.n_layer) for name, own in past_of(layer).items()}


@lru_cache(maxsize=256)
def size_in_bytes(config: Config, positions: int, keys: int | None = None, *, kept_only: bool = False) -> int:
    """The bytes of a pass over `positions` tokens: every tensor except the logits, or only those marked `kept`.

    The tokens attend to `keys` positions, by default the same number.
    """
    return sum(
        4 * prod(row.spec.shape(config, positions, keys))
        for row in tensor_table(config).values()
        if row.name != "logits" and (row.spec.kept or not kept_only)
    )
