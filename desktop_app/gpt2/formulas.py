"""The arithmetic of the tensor table in plain numpy, one function a formula.

Each takes the place (config, block, rows of positions) and its operands in the order of the table's `inputs`, and
works on any slice of rows, and of heads where the operands have heads. GPT-2 is described in Radford et al. 2019,
"Language Models are Unsupervised Multitask Learners", section 2.3, and attention in Vaswani et al. 2017, 3.2.
"""

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.rounding import rounded

Array = NDArray[Any]


@dataclass(frozen=True)
class Place:
    """Where a formula is evaluated: config, block (0 outside blocks), absolute positions of the rows."""

    config: Config
    layer: int
    rows: NDArray[np.int64]


def multiplied(place: Place, x: Array) -> Array:
    """The vectors [..., d] that a product with a matrix takes for `x`: `x` itself, or rounded in an int8 model."""
    return rounded(x) if place.config.int8 else x


def rows_of_table(_place: Place, tokens: Array, table: Array) -> Array:
    """Row `table[token]` for each token: [pos, d_model]."""
    return table[tokens]


def rows_of_positions(place: Place, table: Array) -> Array:
    """Row `table[position]` for each position: [pos, d_model]."""
    return table[place.rows]


def add(_place: Place, left: Array, right: Array) -> Array:
    """Elementwise sum."""
    return left + right


def same(_place: Place, value: Array) -> Array:
    """The value itself."""
    return value


def mean(_place: Place, x: Array) -> Array:
    """Mean over d_model: [pos, 1]."""
    return x.mean(-1, keepdims=True)


def scale(place: Place, x: Array, mean_: Array) -> Array:
    """sqrt(variance + eps) over d_model, the variance with divisor d_model: [pos, 1]. Ba et al. 2016, eq. 4."""
    centred = x - mean_
    variance = (centred * centred).mean(-1, keepdims=True)
    return np.sqrt(variance + x.dtype.type(place.config.layer_norm_epsilon))


def normalized(_place: Place, x: Array, mean_: Array, scale_: Array) -> Array:
    """(x - mean) / scale: [pos, d_model]."""
    return (x - mean_) / scale_


def gain_and_bias(_place: Place, x: Array, w: Array, b: Array) -> Array:
    """X * w + b: [pos, d_model]."""
    return x * w + b


def _project_heads(place: Place, x: Array, w: Array, b: Array, part: int) -> Array:
    """The query (0), key (1) or value (2) third of x . W_QKV + b_QKV, cut into heads: [head, pos, d_head]."""
    d = place.config.n_embd
    third = slice(part * d, (part + 1) * d)
    flat = multiplied(place, x) @ w[:, third] + b[third]
    return flat.reshape(len(x), place.config.n_head, place.config.d_head).transpose(1, 0, 2)


def query(place: Place, x: Array, w: Array, b: Array) -> Array:
    """Queries of all heads: [head, pos, d_head]."""
    return _project_heads(place, x, w, b, 0)


def key(place: Place, x: Array, w: Array, b: Array) -> Array:
    """Keys of all heads: [head, pos, d_head]."""
    return _project_heads(place, x, w, b, 1)


def value(place: Place, x: Array, w: Array, b: Array) -> Array:
    """Values of all heads: [head, pos, d_head]."""
    return _project_heads(place, x, w, b, 2)


def scores(_place: Place, q: Array, k: Array) -> Array:
    """Dot product of every query with every key: [head, query, key]."""
    return q @ k.transpose(0, 2, 1)


def scaled(place: Place, s: Array) -> Array:
    """Scores over sqrt(d_head), and over layer + 1 where the config asks for it: [head, query, key]."""
    return s / s.dtype.type(place.config.score_divisor(place.layer))


def masked(place: Place, s: Array) -> Array:
    """-inf where the key comes after the query: [head, query, key]."""
    found = s.copy()
    np.copyto(found, -np.inf, where=later_keys(place.rows, s.shape[-1]))
    return found


def later_keys(rows: NDArray[np.int64], keys: int) -> NDArray[np.bool_]:
    """[query, key]: true where the key comes after the query, which stands at one of `rows`. Read-only."""
    return _later_keys(rows.tobytes(), keys)


@lru_cache(maxsize=4)
def _later_keys(rows: bytes, keys: int) -> NDArray[np.bool_]:
    later = np.arange(keys)[None, :] > np.frombuffer(rows, np.int64)[:, None]
    later.flags.writeable = False
    return later


def softmax(_place: Place, m: Array) -> Array:
    """exp(m - max) over its sum, along the last axis."""
    raised = m - m.max(-1, keepdims=True)
    np.exp(raised, out=raised)
    raised /= raised.sum(-1, keepdims=True)
    return raised


def weigh_values(_place: Place, pattern: Array, v: Array) -> Array:
    """Sum of value rows, each times its weight in the pattern: [head, pos, d_head]."""
    return pattern @ v


def join_heads(_place: Place, z: Array) -> Array:
    """Heads side by side: [pos, d_model]."""
    heads, rows, width = z.shape
    return z.transpose(1, 0, 2).reshape(rows, heads * width)


def affine(place: Place, x: Array, w: Array, b: Array) -> Array:
    """X . W + b."""
    return multiplied(place, x) @ w + b


def unembed(place: Place, x: Array, w: Array) -> Array:
    """Dot product with every token's row of W_U: [pos, d_vocab]."""
    return multiplied(place, x) @ w.T


def activation(place: Place, x: Array) -> Array:
    """The config's activation function, elementwise."""
    return ACTIVATION[place.config.activation](x)


def gelu_tanh(x: Array) -> Array:
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Hendrycks and Gimpel 2016, section 2."""
    inner = x.dtype.type(math.sqrt(2 / math.pi)) * (x + x.dtype.type(0.044715) * x * x * x)
    return x.dtype.type(0.5) * x * (1 + np.tanh(inner))


def gelu_erf(x: Array) -> Array:
    """0.5 x (1 + erf(x / sqrt 2)). Hendrycks and Gimpel 2016, section 2."""
    return (0.5 * x * (1 + erf(x.astype(np.float64) / math.sqrt(2)))).astype(x.dtype)


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return np.maximum(x, 0)


def silu(x: Array) -> Array:
    """x / (1 + exp(-x)), written with tanh so that large negative x do not overflow."""
    return x * (x.dtype.type(0.5) * (1 + np.tanh(x.dtype.type(0.5) * x)))


ACTIVATION = {"gelu_tanh": gelu_tanh, "gelu_erf": gelu_erf, "relu": relu, "silu": silu}


@cache
def _erf_table() -> tuple[Array, Array, Array]:
    nodes = np.linspace(-6, 6, 8193)
    values = np.array([math.erf(float(t)) for t in nodes])
    return nodes, values, 2 / math.sqrt(math.pi) * np.exp(-nodes * nodes)


def erf(x: Array) -> Array:
    """Gauss's error function in float64, within 1e-12: cubic Hermite between 8,193 exact values of math.erf."""
    nodes, values, slopes = _erf_table()
    step = nodes[1] - nodes[0]
    inside = np.clip(x, nodes[0], nodes[-1])
    left = np.minimum(((inside - nodes[0]) / step).astype(np.int64), len(nodes) - 2)
    t = (inside - nodes[left]) / step
    t2, t3 = t * t, t * t * t
    return np.asarray(
        values[left] * (2 * t3 - 3 * t2 + 1)
        + slopes[left] * step * (t3 - 2 * t2 + t)
        + values[left + 1] * (3 * t2 - 2 * t3)
        + slopes[left + 1] * step * (t3 - t2)
    )
