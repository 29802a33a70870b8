"""Builds the nodes of an ONNX graph."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.rounding import GROUP
from desktop_app.gpt2.weights import matrices, summed_axis

CODES, SCALES = ".codes", ".scales"
"""Suffixes of an int8 weight's name: for its integers [d_out, group, GROUP], and its scales [d_out x group]."""

CONTRIB = "com.microsoft"
"""The domain of onnxruntime's own operators."""


class Nodes:
    """Collects nodes; methods that add one node or constant return the name of its result.

    An operation without a given name is added only once: a second call with the same operands returns the same result.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._made: dict[Any, Any] = {}

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """Add one operator; its result has the name `out`, if given."""
        key = (kind, inputs, repr(attributes))
        if out is None and key in self._made:
            return str(self._made[key])
        name = out or f"_{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"node:{name}", **attributes))
        if out is None:
            self._made[key] = name
        return name

    def split(self, x: str, names: Sequence[str], lengths: Sequence[int], axis: int) -> None:
        """Cut `x` along `axis` into results of these names."""
        if (x, *names) not in self._made:
            self._made[x, *names] = names
            ends = self.ints(*lengths)
            self.nodes.append(helper.make_node("Split", [x, ends], list(names), name=f"node:{names[0]}", axis=axis))

    def product(self, x: str, w: str, bias: str = "", *, out: str | None = None, turned: bool = False) -> str:
        """`x` . `w` + `bias`, with `w` transposed if `turned`; an int8 model rounds `x` and `w`."""
        if self.config.int8:
            form: dict[str, Any] = {
                "K": self._width(w, 0),
                "N": self._width(w, 1),
                "bits": 8,
                "block_size": GROUP,
                "accuracy_level": 4,
            }
            operands = (x, w + CODES, w + SCALES)
            if not bias:
                return self.op("MatMulNBits", *operands, out=out, domain=CONTRIB, **form)
            return self.op("Add", self.op("MatMulNBits", *operands, domain=CONTRIB, **form), bias, out=out)
        turn: dict[str, Any] = {"transB": 1} if turned else {}
        return self.op("Gemm", x, w, *([bias] if bias else []), out=out, **turn)

    def _width(self, weight: str, end: int) -> int:
        """The length of the vectors that a product with a weight takes (`end` 0) or returns (1)."""
        axis = summed_axis(weight)
        return self._matrices[weight][1 - axis if end else axis]

    @cached_property
    def _matrices(self) -> dict[str, tuple[int, ...]]:
        return matrices(self.config)

    def ints(self, *values: int) -> str:
        """A 1-D int64 constant."""
        return self._constant("_i_" + "_".join(map(str, values)), np.array(values, np.int64))

    def int0(self, value: int) -> str:
        """A scalar int64 constant."""
        return self._constant(f"_n_{value}", np.array(value, np.int64))

    def real(self, value: float) -> str:
        """A scalar float32 constant."""
        return self._constant(f"_f_{np.float32(value).tobytes().hex()}", np.array(value, np.float32))

    def _constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(value, name)
        return name
