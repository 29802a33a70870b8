"""A checkpoint with its matrices rounded to int8, for speed: what is rounded, how, and the rounded numbers themselves.

The matrix products of such a model (`Config.int8`) round both operands. In groups of 128 numbers along the axis that is
summed over, each number becomes k/127 of the group's largest magnitude, where k is an integer from -127 to 127. This
is what onnxruntime's MatMulNBits computes at accuracy level 4. Everything else stays float32: the embeddings, layer
norms, biases, the products without weights (attention scores, weighted values) and the sums.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.provider import CPU, chosen
from desktop_app.gpt2.rounding import codes_of, rounded
from desktop_app.gpt2.weights import matrices, summed_axis

Array = NDArray[Any]


class RoundedWeights(Mapping[str, NDArray[np.float32]]):
    """The weights of an int8 model, rounded from the float32 `source` on access; only the last two are cached.

    A session of onnxruntime multiplies by the same integers (`codes`), in another memory layout.
    """

    def __init__(self, source: Mapping[str, NDArray[np.float32]], config: Config) -> None:
        self.source = source
        self.rounded = frozenset(matrices(config))
        self._read = lru_cache(maxsize=2)(self._round)

    def _round(self, name: str) -> NDArray[np.float32]:
        found = rounded(self.source[name], summed_axis(name)).astype(np.float32, copy=False)
        found.flags.writeable = False
        return found

    def codes(self, name: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """A weight's integers plus 128, [out, group, GROUP], and its scales, [out, group]."""
        weight = self.source[name]
        whole, scales = codes_of(weight if summed_axis(name) == 1 else weight.T)
        return (whole + np.float32(128)).astype(np.uint8), scales

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self._read(name) if name in self.rounded else self.source[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.source)

    def __len__(self) -> int:
        return len(self.source)

    def __contains__(self, name: object) -> bool:
        return name in self.source


def round_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """The same model with its matrices in int8. Raises ModelError if a provider other than the CPU is in use."""
    if chosen() != CPU:
        # OpenVINO, for one, multiplies the rounded weights by vectors that it does not round.
        raise ModelError(f"int8 weights only work on the CPU, not on {chosen()}; choose one or the other.")
    config = replace(checkpoint.config, int8=True)
    return replace(checkpoint, config=config, weights=RoundedWeights(checkpoint.weights, config))


def exact_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """The float32 model that an int8 one was made from; any other model unchanged."""
    if not isinstance(checkpoint.weights, RoundedWeights):
        return checkpoint
    return replace(checkpoint, config=replace(checkpoint.config, int8=False), weights=checkpoint.weights.source)
