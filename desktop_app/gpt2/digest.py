"""The digest of a model's weights, which identifies the model that computed a saved trace."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray


def weights_digest(weights: Mapping[str, NDArray[np.float32]]) -> str:
    """SHA-256, in hex, over the names, shapes and values of all weights; for an int8 model, of the float32 weights.

    Reads every weight, on all cores, at 1 GB/s per core: 0.5 s of one core for GPT-2 small, 6 s for GPT-2 XL.
    """
    exact = getattr(weights, "source", weights)
    arrays = {id(array): array for array in exact.values()}  # a tied unembedding is the embedding's array, read once
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = dict(zip(arrays, pool.map(_digest, arrays.values()), strict=True))
    lines = [f"{name} {list(array.shape)} {found[id(array)]}\n" for name, array in sorted(exact.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _digest(array: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array, "<f4").data).hexdigest()
