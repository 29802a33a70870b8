"""The activation functions that a config can name, each as a numpy function, as graph nodes and as numpy code."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from desktop_app.gpt2.nodes import Nodes

Array = NDArray[Any]


@dataclass(frozen=True)
class Activation:
    """One elementwise function: `compute` on arrays, `emit` for graph nodes from `x` to `out`, `numpy` as code in x."""

    compute: Callable[[Array], Array]
    emit: Callable[["Nodes", str, str], str]
    numpy: str


@cache
def _erf_table() -> tuple[Array, Array, Array]:
    nodes = np.linspace(-6, 6, 8193)
    values = np.array([math.erf(float(t)) for t in nodes])
    return nodes, values, 2 / math.sqrt(math.pi) * np.exp(-nodes * nodes)


def erf(x: Array) -> Array:
    """The error function in float64, within 1e-12: cubic Hermite interpolation between 8,193 values of math.erf."""
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


def _half_times_one_plus(nodes: "Nodes", curve: str, x: str, out: str) -> str:
    half = nodes.op("Mul", x, nodes.real(0.5))
    return nodes.op("Mul", half, nodes.op("Add", curve, nodes.real(1.0)), out=out)


def gelu_tanh(x: Array) -> Array:
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Hendrycks and Gimpel 2016, section 2."""
    inner = x.dtype.type(math.sqrt(2 / math.pi)) * (x + x.dtype.type(0.044715) * x * x * x)
    return x.dtype.type(0.5) * x * (1 + np.tanh(inner))


def _emit_gelu_tanh(nodes: "Nodes", x: str, out: str) -> str:
    cube = nodes.op("Mul", nodes.op("Mul", x, x), x)
    inner = nodes.op("Add", x, nodes.op("Mul", cube, nodes.real(0.044715)))
    curve = nodes.op("Tanh", nodes.op("Mul", inner, nodes.real((2 / np.pi) ** 0.5)))
    return _half_times_one_plus(nodes, curve, x, out)


def gelu_erf(x: Array) -> Array:
    """0.5 x (1 + erf(x / sqrt 2)). Hendrycks and Gimpel 2016, section 2."""
    return (0.5 * x * (1 + erf(x.astype(np.float64) / math.sqrt(2)))).astype(x.dtype)


def _emit_gelu_erf(nodes: "Nodes", x: str, out: str) -> str:
    curve = nodes.op("Erf", nodes.op("Mul", x, nodes.real(0.5**0.5)))
    return _half_times_one_plus(nodes, curve, x, out)


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return np.maximum(x, 0)


def silu(x: Array) -> Array:
    """x / (1 + exp(-x)), computed by tanh so that large negative x do not overflow."""
    return x * (x.dtype.type(0.5) * (1 + np.tanh(x.dtype.type(0.5) * x)))


ACTIVATIONS = {
    "gelu_tanh": Activation(
        gelu_tanh, _emit_gelu_tanh, "0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))"
    ),
    "gelu_erf": Activation(gelu_erf, _emit_gelu_erf, "0.5 * x * (1 + np.vectorize(math.erf)(x / 2**0.5))"),
    "relu": Activation(relu, lambda nodes, x, out: nodes.op("Relu", x, out=out), "np.maximum(x, 0)"),
    "silu": Activation(
        silu, lambda nodes, x, out: nodes.op("Mul", x, nodes.op("Sigmoid", x), out=out), "x / (1 + np.exp(-x))"
    ),
}
"""The functions by the names in `Config.activation`."""
