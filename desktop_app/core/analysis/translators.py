"""Translators of a lens: a matrix and a bias for each block's input, from a safetensors file.

`lens.L.weight` [d_model, d_model] and `lens.L.bias` [d_model] (zeros if absent) map the vectors x of `resid_pre` of
block L, as rows, to x . weight + bias, which the final layer norm and W_U then read. The tuned lens (Belrose et al.
2023, arXiv 2303.08112) and lenses from mean Jacobians have this form. For a tuned lens stored in torch's convention, h
+ h A^T + b, the weight is identity + A^T.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.safetensors_file import SafetensorsFile

Array = NDArray[Any]

_FLOATS = ("F32", "F16", "BF16", "F64")


class Translators(Protocol):
    """Maps the vectors at the start of a block to what the final layer norm reads."""

    def apply(self, layer: int, x: Array) -> Array:
        """Rows of `resid_pre` of block `layer`, [pos, d_model], translated."""


@dataclass(frozen=True, eq=False)
class TranslatorsFile:
    """A validated file of translators; each one is read when it is used, and not cached."""

    file: SafetensorsFile
    biased: frozenset[int]

    def apply(self, layer: int, x: Array) -> Array:
        """Rows of `resid_pre` of block `layer`, [pos, d_model], translated. Raises ModelError for inf or NaN."""
        found = x @ self._read(f"lens.{layer}.weight")
        return found + self._read(f"lens.{layer}.bias") if layer in self.biased else found

    def _read(self, name: str) -> Array:
        array = np.require(self.file.read(name), np.float32, ["C", "ALIGNED"])
        if not np.isfinite(array).all():
            raise ModelError(f"{self.file.path}: {name} holds values that are not finite; fit it again.")
        return array


def load_translators(path: Path, config: Config) -> TranslatorsFile:
    """The translators in the file `path`, one for each block of a model with this config.

    Raises ModelError that names the tensor, if the file is damaged, incomplete, made for another model, or has
    additional tensors.
    """
    file = SafetensorsFile(path)
    width, biased = config.n_embd, set()
    left = set(file.entries)
    for layer in range(config.n_layer):
        for name, shape in ((f"lens.{layer}.weight", (width, width)), (f"lens.{layer}.bias", (width,))):
            entry = file.entries.get(name)
            if entry is None:
                if len(shape) == 1:
                    continue
                raise ModelError(
                    f"{path} has no {name}; a model of {config.n_layer} blocks needs one [{width}, {width}] for each."
                )
            if entry.shape != shape or entry.dtype not in _FLOATS:
                raise ModelError(
                    f"{path}: {name} is {entry.dtype} {list(entry.shape)}; this model needs floating-point numbers "
                    f"{list(shape)}."
                )
            left.discard(name)
            if len(shape) == 1:
                biased.add(layer)
    if left:
        raise ModelError(
            f"{path}: {min(left)[:80]!r} is not a translator of this model, whose blocks are 0 to "
            f"{config.n_layer - 1}; name them lens.L.weight and lens.L.bias."
        )
    return TranslatorsFile(file, frozenset(biased))
