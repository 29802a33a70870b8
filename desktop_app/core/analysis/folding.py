"""Heads from their weights alone: their matrices with the layer norm folded in, and the representation of tokens.

A layer norm is (x - mean) / s * w + b. For any scale s, a matrix that reads its output reads x through

    W' = C (w * W)        C = I - 1/d, so that each column of W' has mean 0

Hence W_Q', W_K', W_V' are folded with ln1 and W_U' with the final norm. W_O does not read the output of a layer norm
and is unchanged. Biases are left out: they are the same for every token. A head is W_OV = W_V' W_O and W_QK = W_Q'
W_K'^T, [d_model, d_model] of rank d_head; only their factors are ever stored.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits", "Layer norm" and "Splitting".
"""

import threading
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Progress, unheard
from desktop_app.core.analysis.parts import output_matrices
from desktop_app.gpt2 import formulas as f
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.formula import Place
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.weights import UNEMBEDDING

Array = NDArray[Any]

QUERY, KEY, VALUE = 0, 1, 2
"""Indices of the three parts of W_QKV."""

_ROWS = 2048  # rows of the vocabulary processed at once; their hidden vectors are four times as wide


def read_matrices(checkpoint: Checkpoint, layer: int, part: int) -> Array:
    """W_Q', W_K' or W_V' (`part`) of each head of a block, with ln1 folded in: [head, d_model, d_head]."""
    config, width = checkpoint.config, checkpoint.config.n_embd
    whole = checkpoint.weights[f"blocks.{layer}.attn.W_QKV"][:, part * width : (part + 1) * width]
    folded = whole * checkpoint.weights[f"blocks.{layer}.ln1.w"][:, None]
    folded -= folded.mean(0)
    return folded.reshape(width, config.n_head, config.d_head).transpose(1, 0, 2)


def write_matrices(checkpoint: Checkpoint, layer: int) -> Array:
    """W_O of each head of a block: [head, d_head, d_model]."""
    return output_matrices(checkpoint, layer)


def unembedded(checkpoint: Checkpoint, vectors: Array) -> Array:
    """What vectors [..., d_model] add to every logit through W_U', for a final scale of 1: [..., d_vocab]."""
    return along_unembedding(checkpoint, vectors) @ checkpoint.weights[UNEMBEDDING].T


def along_unembedding(checkpoint: Checkpoint, vectors: Array) -> Array:
    """Vectors [..., d_model] as W_U reads them: centred, times the final norm's gain."""
    return (vectors - vectors.mean(-1, keepdims=True)) * checkpoint.weights["ln_final.w"]


def require_head(checkpoint: Checkpoint, layer: int, head: int) -> None:
    """Raise ModelError if there is no such block or head."""
    config = checkpoint.config
    if not 0 <= layer < config.n_layer:
        raise ModelError(f"There is no block {layer}; this model's blocks are 0 to {config.n_layer - 1}.")
    if not 0 <= head < config.n_head:
        raise ModelError(f"There is no head {head}; this model's heads are 0 to {config.n_head - 1}.")


def embeddings(checkpoint: Checkpoint, ids: Array | None = None, *, through_mlp: bool = True) -> Array:
    """The representation of tokens in later blocks, [token, d_model]: E_t, or with `through_mlp` E_t + MLP_0(ln2(E_t)).

    Block 0's attention and the positions are left out, because they do not depend on the token alone. The result has a
    row for every token unless `ids` are given. It is computed in pieces.
    """
    table = checkpoint.weights["embed.W_E"]
    if not through_mlp:
        return table if ids is None else table[ids]
    which = np.arange(len(table)) if ids is None else np.asarray(ids)
    return _through_mlp(checkpoint, which, Stop(), unheard)


_kept: WeakKeyDictionary[Checkpoint, Array] = WeakKeyDictionary()
_lock = threading.Lock()


def kept_embeddings(checkpoint: Checkpoint, *, stop: Stop | None = None, progress: Progress = unheard) -> Array:
    """`embeddings` of the whole vocabulary through block 0's MLP, cached for as long as the checkpoint is in memory."""
    with _lock:
        found = _kept.get(checkpoint)
    if found is None:
        every = np.arange(checkpoint.config.vocab_size)
        found = _through_mlp(checkpoint, every, stop or Stop(), progress)
        found.flags.writeable = False
        with _lock:
            _kept[checkpoint] = found
    return found


def _through_mlp(checkpoint: Checkpoint, ids: Array, stop: Stop, progress: Progress) -> Array:
    weights, table = checkpoint.weights, checkpoint.weights["embed.W_E"]
    place = Place(checkpoint.config, 0, np.arange(1))
    names = ("ln2.w", "ln2.b", "mlp.W_in", "mlp.b_in", "mlp.W_out", "mlp.b_out")
    gain, bias, up, up_bias, down, down_bias = (weights[f"blocks.0.{name}"] for name in names)
    found = np.empty((len(ids), table.shape[1]), np.float32)
    for start in range(0, len(ids), _ROWS):
        stop.check()
        x = table[ids[start : start + _ROWS]]
        mean = f.MEAN.compute(place, x)
        flat = f.NORMALIZED.compute(place, x, mean, f.SCALE.compute(place, x, mean))
        flat = f.GAIN_AND_BIAS.compute(place, flat, gain, bias)
        post = f.ACTIVATION.compute(place, f.AFFINE.compute(place, flat, up, up_bias))
        found[start : start + len(x)] = x + f.AFFINE.compute(place, post, down, down_bias)
        progress(min(1.0, (start + _ROWS) / len(ids)))
    return found


def normed(checkpoint: Checkpoint, vectors: Array) -> Array:
    """Vectors [..., d_model] centred and divided by their scale, as a layer norm does before its gain."""
    centred = vectors - vectors.mean(-1, keepdims=True)
    scale = np.sqrt(np.square(centred).mean(-1, keepdims=True) + checkpoint.config.layer_norm_epsilon)
    found: Array = centred / scale
    return found
