"""The formulas of the tensor table, each a `formula.Formula`. Formulas are defined nowhere else.

In a pattern, h is the head, i the row (a position), j the column, n the summation index, t the token. `compute` works
on any slice of rows, and of heads where the operands have heads.

Sources: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3 (GPT-2); Vaswani et al.
2017, "Attention Is All You Need", section 3.2 (attention).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.activations import ACTIVATIONS
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.formula import TOKEN, Columns, Formula, Letters, Operand, Pattern, Place, Site, first, itself
from desktop_app.gpt2.mask import Mask
from desktop_app.gpt2.phrase import Phrase
from desktop_app.gpt2.rounding import rounded

if TYPE_CHECKING:
    from desktop_app.gpt2.nodes import Nodes

Array = NDArray[Any]

_VECTOR, _GRID = ("i", "j"), ("h", "i", "j")
_ROW, _GRID_ROW = ("i", "n"), ("h", "i", "n")
_OF_ROW = ("i", 0)  # one number per row


def multiplied(place: Place, x: Array) -> Array:
    """The vectors [..., d] that are multiplied by a matrix: `x` itself or, in an int8 model, `x` rounded."""
    return rounded(x) if place.config.int8 else x


# Rows of tables

ROWS_OF_TABLE = Formula(
    compute=lambda _place, tokens, table: table[tokens],
    emit=lambda nodes, _site, out, tokens, table: nodes.op("Gather", table, tokens, out=out, axis=0),
    cell=_VECTOR,
    reads=(Operand("token", ("i",), Phrase("token")), Operand("w", (TOKEN, "j"), "W_E[{t}]")),
    numpy="w",
    kind="gather",
    numbers="W_E[{t}, {j}]",
    magnitude=itself,
)
"""Row `table[token]` for each token: [pos, d_model]."""

ROWS_OF_POSITIONS = Formula(
    compute=lambda place, table: table[place.rows],
    emit=lambda nodes, site, out, w: nodes.op("Gather", w, site.positions, out=out, axis=0),
    cell=_VECTOR,
    reads=(Operand("w", _VECTOR, "W_pos[{i}]"),),
    numpy="w",
    kind="gather",
    numbers="W_pos[{i}, {j}]",
    magnitude=itself,
)
"""Row `table[position]` for each position: [pos, d_model]."""

# The residual stream

ADD = Formula(
    compute=lambda _place, a, b: a + b,
    emit=lambda nodes, _site, out, a, b: nodes.op("Add", a, b, out=out),
    cell=_VECTOR,
    reads=(Operand("a", _VECTOR), Operand("b", _VECTOR)),
    numpy="a + b",
    numbers="{a} + {b} = {result}",
)
"""Elementwise sum."""

SAME = Formula(
    compute=lambda _place, a: a,
    emit=lambda nodes, _site, out, a: nodes.op("Identity", a, out=out),
    cell=_VECTOR,
    reads=(Operand("a", _VECTOR),),
    numpy="a",
    numbers="{result}",
)
"""The input unchanged."""


def given(cell: Pattern) -> Formula:
    """The formula of an input that is not computed, like the typed ids; `cell` gives its axes."""
    return Formula(
        compute=lambda _place, a: a,
        emit=lambda nodes, _site, out, a: nodes.op("Identity", a, out=out),
        cell=cell,
        reads=(),
        numpy="",
    )


def _edit(cell: tuple[str, ...]) -> Formula:
    return Formula(
        compute=lambda _place, x, keep, put: keep * x + put,
        emit=lambda nodes, _site, out, x, keep, put: nodes.op("Add", nodes.op("Mul", x, keep), put, out=out),
        cell=cell,
        reads=(Operand("x", cell, Phrase("before")), Operand("keep", cell, "keep"), Operand("put", cell, "put")),
        numpy="keep * x + put",
        numbers="{keep} · {x} + {put} = {result}",
    )


EDIT, EDIT_OF_HEADS = _edit(_VECTOR), _edit(_GRID)
"""The effect of an edit on a tensor: keep * x + put, elementwise."""

# Layer norm. Ba et al. 2016, eq. 4.


def _mean_terms(_letters: Letters, operands: Sequence[Array]) -> Mapping[str, float | str]:
    return {"sum": float(operands[0].sum()), "count": str(operands[0].size)}


MEAN = Formula(
    compute=lambda _place, x: x.mean(-1, keepdims=True),
    emit=lambda nodes, _site, out, x: nodes.op("ReduceMean", x, nodes.ints(-1), out=out, keepdims=1),
    cell=_OF_ROW,
    reads=(Operand("x", _ROW, "x"),),
    numpy="x.mean()",
    numpy_whole="x.mean(-1, keepdims=True)",
    kind="mean",
    numbers="({sum}) / {count} = {result}",
    terms=_mean_terms,
)
"""Mean over d_model: [pos, 1]."""


def _scale(place: Place, x: Array, mean: Array) -> Array:
    centred = x - mean
    variance = (centred * centred).mean(-1, keepdims=True)
    return np.sqrt(variance + x.dtype.type(place.config.layer_norm_epsilon))


def _emit_scale(nodes: "Nodes", _site: Site, out: str, x: str, mean: str) -> None:
    centred = nodes.op("Sub", x, mean)
    variance = nodes.op("ReduceMean", nodes.op("Mul", centred, centred), nodes.ints(-1), keepdims=1)
    nodes.op("Sqrt", nodes.op("Add", variance, nodes.real(nodes.config.layer_norm_epsilon)), out=out)


def _scale_terms(_letters: Letters, operands: Sequence[Array]) -> Mapping[str, float | str]:
    x, mean = operands
    return {"variance": float(((x - mean) ** 2).mean())}


SCALE = Formula(
    compute=_scale,
    emit=_emit_scale,
    cell=_OF_ROW,
    reads=(Operand("x", _ROW, "x"), Operand("mean", _OF_ROW, Phrase("mean μ"))),
    numpy="np.sqrt(((x - mean) ** 2).mean() + {eps!r})",
    numpy_whole="np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + {eps!r})",
    kind="spread",
    numbers="√({variance} + {eps}) = {result}",
    settings=lambda config, _layer: {"eps": config.layer_norm_epsilon},
    terms=_scale_terms,
    constants=(("ε", "eps"),),
    magnitude=itself,
)
"""sqrt(variance + eps) over d_model, the variance with divisor d_model: [pos, 1]."""


def _normalized_size(sizes: Sequence[Array], _result: Array) -> Array:
    x, mean, scale = sizes
    return (x + mean) / scale


NORMALIZED = Formula(
    compute=lambda _place, x, mean, scale: (x - mean) / scale,
    emit=lambda nodes, _site, out, x, mean, scale: nodes.op("Div", nodes.op("Sub", x, mean), scale, out=out),
    cell=_VECTOR,
    reads=(
        Operand("x", _VECTOR, "x"),
        Operand("mean", _OF_ROW, Phrase("mean μ")),
        Operand("scale", _OF_ROW, Phrase("scale σ")),
    ),
    numpy="(x - mean) / scale",
    numbers="({x} − {mean}) / {scale} = {result}",
    magnitude=_normalized_size,
)
"""(x - mean) / scale: [pos, d_model]."""

GAIN_AND_BIAS = Formula(
    compute=lambda _place, x, w, b: x * w + b,
    emit=lambda nodes, _site, out, x, w, b: nodes.op("Add", nodes.op("Mul", x, w), b, out=out),
    cell=_VECTOR,
    reads=(Operand("x", _VECTOR, "x̂"), Operand("w", ("j",), "w"), Operand("b", ("j",), "b")),
    numpy="x * w + b",
    numbers="{x} · {w} + {b} = {result}",
)
"""x * w + b, elementwise: [pos, d_model]."""

# Products with weights

AFFINE = Formula(
    compute=lambda place, x, w, b: multiplied(place, x) @ w + b,
    emit=lambda nodes, _site, out, x, w, b: nodes.product(x, w, b, out=out),
    cell=_VECTOR,
    reads=(Operand("x", _ROW, "x"), Operand("W", ("n", "j"), "W"), Operand("b", ("j",), "b")),
    numpy="x @ W + b",
    kind="dot",
    rounds=True,
)
"""x . W + b."""


def _heads(place: Place, x: Array, w: Array, b: Array) -> Array:
    flat = multiplied(place, x) @ w + b
    # A single column, which belongs to one head, becomes [1, pos, 1].
    return flat.reshape(len(x), -1, min(place.config.d_head, flat.shape[1])).transpose(1, 0, 2)


def _projection(part: int) -> Formula:
    letter = "qkv"[part]

    def emit(nodes: "Nodes", _site: Site, out: str, x: str, w: str, b: str) -> None:
        config = nodes.config
        stem = out.removesuffix(letter)
        parts = [f"_{stem}{name}" for name in "qkv"]
        nodes.split(nodes.product(x, w, b), parts, (config.n_embd,) * 3, axis=1)
        heads = nodes.ints(-1, config.n_head, config.d_head)
        nodes.op("Transpose", nodes.op("Reshape", parts[part], heads), out=out, perm=[1, 0, 2])

    return Formula(
        compute=_heads,
        emit=emit,
        cell=_GRID,
        reads=(
            Operand("x", _ROW, "x"),
            Operand("W", ("n", Columns(part)), f"W_{letter.upper()}"),
            Operand("b", (Columns(part),), f"b_{letter.upper()}"),
        ),
        numpy="x @ W + b",
        numpy_whole="(x @ W + b).reshape(-1, {heads}, {d_head}).transpose(1, 0, 2)",
        settings=lambda config, _layer: {"heads": config.n_head, "d_head": config.d_head},
        kind="dot",
        rounds=True,
    )


QUERY, KEY, VALUE = (_projection(part) for part in range(3))
"""Queries, keys and values: each a third of x . W_QKV + b_QKV, split into heads: [head, pos, d_head]."""

UNEMBED = Formula(
    compute=lambda place, x, w: multiplied(place, x) @ w.T,
    emit=lambda nodes, _site, out, x, w: nodes.product(x, w, out=out, turned=True),
    cell=_VECTOR,
    reads=(Operand("x", _ROW, "x"), Operand("W_U", ("j", "n"), "W_U[{j}]")),
    numpy="x @ W_U",
    numpy_whole="x @ W_U.T",
    kind="dot",
    rounds=True,
)
"""Dot product with every token's row of W_U: [pos, d_vocab]."""

# Attention

SCORES = Formula(
    compute=lambda _place, q, k: q @ k.transpose(0, 2, 1),
    emit=lambda nodes, _site, out, q, k: nodes.op("MatMul", q, nodes.op("Transpose", k, perm=[0, 2, 1]), out=out),
    cell=_GRID,
    reads=(Operand("q", _GRID_ROW, "q"), Operand("k", ("h", "j", "n"), "k")),
    numpy="q @ k",
    numpy_whole="q @ k.transpose(0, 2, 1)",
    kind="dot",
)
"""Dot product of every query with every key: [head, query, key]."""

SCALED = Formula(
    compute=lambda place, s: s / s.dtype.type(place.config.score_divisor(place.layer)),
    emit=lambda nodes, site, out, s: nodes.op("Div", s, nodes.real(nodes.config.score_divisor(site.layer)), out=out),
    cell=_GRID,
    reads=(Operand("s", _GRID, Phrase("score")),),
    numpy="s / {divisor!r}",
    numbers="{s} / {divisor} = {result}",
    settings=lambda config, layer: {"divisor": config.score_divisor(layer)},
    constants=(("divisor", "divisor"),),
)
"""Scores over sqrt(d_head) and layer + 1, or over one of them or neither, as the config says: [head, query, key]."""


def later_keys(rows: NDArray[np.int64], keys: int, first_key: int = 0) -> NDArray[np.bool_]:
    """[query, key]: true where the key comes after the query. `rows` are the positions of queries. Read-only."""
    return _later_keys(rows.tobytes(), keys, first_key)


@lru_cache(maxsize=16)
def _later_keys(rows: bytes, keys: int, first_key: int) -> NDArray[np.bool_]:
    later = np.arange(first_key, first_key + keys)[None, :] > np.frombuffer(rows, np.int64)[:, None]
    later.flags.writeable = False
    return later


def _masked(place: Place, s: Array) -> Array:
    return np.where(later_keys(place.rows, s.shape[-1], place.first_key), s.dtype.type(-np.inf), s)


def _masked_terms(letters: Letters, _operands: Sequence[Array]) -> Mapping[str, float | str]:
    query, key = letters["i"], letters["j"]
    later = Phrase("key {1} comes after query {2}: −∞", key, query)
    return {"why": later if key > query else Phrase("key {1} is not after query {2}", key, query)}


MASKED = Formula(
    compute=_masked,
    emit=lambda nodes, site, out, s: nodes.op("Where", site.hidden, nodes.real(-np.inf), s, out=out),
    cell=_GRID,
    reads=(Operand("s", _GRID, Phrase("scaled score")),),
    numpy="-np.inf if {j} > {i} else s  # key > query",
    numpy_whole="np.where(np.tri(s.shape[-1], dtype=bool), s, -np.inf)",
    numbers=Phrase("{1}, so {2}", "{why}", "{result}"),
    terms=_masked_terms,
    magnitude=lambda sizes, result: np.where(np.isfinite(result), sizes[0], np.inf),
    hidden=-np.inf,
)
"""-inf where the key comes after the query: [head, query, key]."""


def masked_by(mask: Mask) -> Formula:
    """The formula of `attn.masked` under a mask other than GPT-2's: -inf where it hides the key from the query."""

    def compute(place: Place, s: Array) -> Array:
        keys = np.arange(place.first_key, place.first_key + s.shape[-1])
        hidden = mask.hidden(place.config, place.layer, place.rows, keys)
        if len(hidden) > 1:
            hidden = hidden[place.first_head : place.first_head + len(s)]
        return np.where(hidden, s.dtype.type(-np.inf), s)

    def terms(letters: Letters, _operands: Sequence[Array]) -> Mapping[str, float | str]:
        query, key = letters["i"], letters["j"]
        return {"query": str(query), "key": str(key)}

    def settings(_config: Config, layer: int) -> Mapping[str, float | str]:
        own = mask.own(layer)
        cell = f"{{{', '.join(f'{h}: {rule.numpy}' for h, rule in own.items())}}}.get(h, {mask.rule.numpy})"
        whole = mask.rule.numpy
        for head, rule in own.items():
            whole = f"np.where(h == {head}, {rule.numpy}, {whole})"
        return {"seen": cell if own else mask.rule.numpy, "seen_whole": whole, "mask": str(mask)}

    return replace(
        MASKED,
        compute=compute,
        numpy="h, q, k = {h}, {i}, {j}\ns if {seen} else -np.inf",
        numpy_whole="h, q, k = np.indices(s.shape)\nnp.where({seen_whole}, s, -np.inf)",
        numbers=Phrase("query {1} and key {2} under the mask {3}: {4}", "{query}", "{key}", "{mask}", "{result}"),
        settings=settings,
        terms=terms,
    )


def softmax(m: Array) -> Array:
    """The softmax along the last axis: exp(m - max) over its sum."""
    raised = m - m.max(-1, keepdims=True)
    np.exp(raised, out=raised)
    raised /= raised.sum(-1, keepdims=True)
    return raised


def _softmax_terms(letters: Letters, operands: Sequence[Array]) -> Mapping[str, float | str]:
    (m,) = operands
    top = float(m.max())
    return {"score": float(m[letters["j"]]), "top": top, "total": float(np.exp(m - top).sum())}


def _softmax_size(sizes: Sequence[Array], result: Array) -> Array:
    # The error of a probability is the error of its exponent, a difference of scores of this magnitude.
    largest = np.where(np.isfinite(sizes[0]), sizes[0], 0).max(-1, keepdims=True)
    return np.maximum(1.0, largest) * np.maximum(result, 1e-9)


SOFTMAX = Formula(
    compute=lambda _place, m: softmax(m),
    emit=lambda nodes, _site, out, m: nodes.op("Softmax", m, out=out, axis=-1),
    cell=_GRID,
    reads=(Operand("m", _GRID_ROW, Phrase("masked")),),
    numpy="e = np.exp(m - m.max())\ne[{j}] / e.sum()",
    numpy_whole="e = np.exp(m - m.max(-1, keepdims=True))\ne / e.sum(-1, keepdims=True)",
    kind="softmax",
    numbers="exp({score} − {top}) / {total} = {result}",
    terms=_softmax_terms,
    constants=((Phrase("largest of the row"), "top"), (Phrase("sum of exponentials"), "total")),
    magnitude=_softmax_size,
    hidden=0.0,
)
"""The softmax of each row: [head, query, key]."""

WEIGH_VALUES = Formula(
    compute=lambda _place, pattern, v: pattern @ v,
    emit=lambda nodes, _site, out, pattern, v: nodes.op("MatMul", pattern, v, out=out),
    cell=_GRID,
    reads=(Operand("pattern", _GRID_ROW, Phrase("pattern")), Operand("v", ("h", "n", "j"), "v")),
    numpy="pattern @ v",
    kind="dot",
)
"""Sum of the value rows, each weighted by the pattern: [head, pos, d_head]."""


def _join_heads(_place: Place, z: Array) -> Array:
    heads, rows, width = z.shape
    return z.transpose(1, 0, 2).reshape(rows, heads * width)


def _emit_join_heads(nodes: "Nodes", _site: Site, out: str, z: str) -> None:
    side_by_side = nodes.op("Transpose", z, perm=[1, 0, 2])
    nodes.op("Reshape", side_by_side, nodes.ints(-1, nodes.config.n_embd), out=out)


JOIN_HEADS = Formula(
    compute=_join_heads,
    emit=_emit_join_heads,
    cell=("i", Columns()),
    reads=(Operand("z", _GRID, Phrase("z of head {1}", "{h}")),),
    numpy="z",
    numpy_whole="z.transpose(1, 0, 2).reshape(-1, {d_model})",
    settings=lambda config, _layer: {"d_model": config.n_embd},
    numbers="{result}",
)
"""The heads' vectors side by side: [pos, d_model]."""

# The MLP

ACTIVATION = Formula(
    compute=lambda place, x: ACTIVATIONS[place.config.activation].compute(x),
    emit=lambda nodes, _site, out, x: ACTIVATIONS[nodes.config.activation].emit(nodes, x, out),
    cell=_VECTOR,
    reads=(Operand("x", _VECTOR, "x"),),
    numpy="{line}",
    kind="curve",
    numbers="{function}({x:bare}) = {result}",
    settings=lambda config, _layer: {
        "function": config.activation_function,
        "line": ACTIVATIONS[config.activation].numpy,
    },
    magnitude=first,
)
"""The activation function that the config names, elementwise."""
