"""Circuits from the weights: how strongly each head reads what each earlier head writes, and which heads copy.

With the factors of core/analysis/folding.py, for head 1 of an earlier block and head 2 of a later one,

    Q: |W_OV1 W_QK2| / (|W_OV1| |W_QK2|)     how strongly head 2's query reads what head 1 writes
    K: |W_OV1 W_QK2^T| / (the same)          the same for its key
    V: |W_OV1 W_OV2| / (|W_OV1| |W_OV2|)     the same for its value

where |.| is the Frobenius norm. No [d_model, d_model] matrix is formed. With V, O, Q and K for W_V', W_O, W_Q' and W_K'
of a head, and M^(1/2) for the symmetric square root of a Gram matrix M,
|V1 O1 Q2 K2^T| = |(V1^T V1)^(1/2) (O1 Q2) (K2^T K2)^(1/2)|. Even unrelated matrices score about 1/sqrt(d_model); this
baseline is measured on random matrices of the same shape.

The copying score of a head is sum(eigenvalues) / sum |eigenvalues| of W_E W_V' W_O W_U', a [d_vocab, d_vocab] matrix
whose nonzero eigenvalues are those of W_O (W_U' W_E) W_V', [d_head, d_head]. It is 1 if all
eigenvalues are positive: the head raises the logits of the combinations of tokens that it reads, so it copies. It is -1
if all are negative. Blocks after the first read little of W_E directly. So there is a second score: for them a token's
row of W_E is replaced by its normalised vector after block 0's MLP, and for block 0 by the normalised row of W_E.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Progress, unheard
from desktop_app.core.analysis.folding import (
    KEY,
    QUERY,
    VALUE,
    along_unembedding,
    kept_embeddings,
    normed,
    read_matrices,
    write_matrices,
)
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.overflow import decomposing
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.weights import UNEMBEDDING

Array = NDArray[Any]

KINDS = ("q", "k", "v")
"""The inputs through which a later head reads: its query, its key or its value."""

_DRAWS = 24  # pairs of random heads on which the baseline is measured
_PIECE = 8192  # rows of the vocabulary multiplied at once


@dataclass(frozen=True, eq=False, repr=False)
class Circuits(NamedArrays):
    """Composition of every pair of heads, and the copying score of each head.

    `composition[kind]` [layer1, head1, layer2, head2], for each of KINDS, is the raw score; NaN unless layer1 < layer2.
    `random` and `random_spread` are the mean and standard deviation of the same score for random matrices. `copying`
    [layer, head] uses W_E, `copying_through_mlp` the representation of tokens after block 0's MLP.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **{f"composition_{kind}": ("layer1", "head1", "layer2", "head2") for kind in KINDS},
        "composition_random": (),
        "composition_random_spread": (),
        "copying": ("layer", "head"),
        "copying_through_mlp": ("layer", "head"),
    }

    composition: Mapping[str, Array]
    random: float
    random_spread: float
    copying: Array
    copying_through_mlp: Array

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        found = {f"composition_{kind}": self.composition[kind] for kind in KINDS}
        found |= {
            "composition_random": np.array(self.random),
            "composition_random_spread": np.array(self.random_spread),
        }
        return found | {"copying": self.copying, "copying_through_mlp": self.copying_through_mlp}

    def above(self, kind: str) -> Array:
        """Composition minus the mean for random matrices, [layer1, head1, layer2, head2]."""
        return self.composition[kind] - self.random


def compute(checkpoint: Checkpoint, *, stop: Stop | None = None, progress: Progress = unheard) -> Circuits:
    """Measure every pair of heads, and every head. Raises Cancelled on a stop."""
    stop = stop or Stop()
    composition = compositions(checkpoint, stop=stop, progress=lambda share: progress(0.6 * share))
    mean, spread = random_composition(checkpoint.config)
    plain = copying(checkpoint, stop=stop)
    progress(0.7)
    through = copying(checkpoint, through_mlp=True, stop=stop, progress=lambda share: progress(0.7 + 0.3 * share))
    return Circuits(composition, mean, spread, plain, through)


_kept: WeakKeyDictionary[Checkpoint, Circuits] = WeakKeyDictionary()
_lock = threading.Lock()


def kept(checkpoint: Checkpoint, *, stop: Stop | None = None, progress: Progress = unheard) -> Circuits:
    """The result of `compute`, cached for as long as the checkpoint is in memory."""
    with _lock:
        found = _kept.get(checkpoint)
    if found is None:
        found = compute(checkpoint, stop=stop, progress=progress)
        with _lock:
            _kept[checkpoint] = found
    return found


def compositions(checkpoint: Checkpoint, *, stop: Stop | None = None, progress: Progress = unheard) -> dict[str, Array]:
    """The raw scores for each of KINDS, [layer1, head1, layer2, head2]."""
    stop, config = stop or Stop(), checkpoint.config
    layers, heads, width = config.n_layer, config.n_head, config.n_embd
    found = {kind: np.full((layers, heads, layers, heads), np.nan) for kind in KINDS}
    writes: list[Array] = []  # for each block so far, (V^T V)^(1/2) O of every head, stacked along rows
    sizes: list[Array] = []  # |W_OV| of the same heads
    for layer in range(layers):
        q, k, v = (read_matrices(checkpoint, layer, part) for part in (QUERY, KEY, VALUE))
        root = {name: _root(_gram(x)) for name, x in (("q", q), ("k", k), ("v", v))}
        o = write_matrices(checkpoint, layer)
        written, own = root["v"] @ o, _root(_gram(o.transpose(0, 2, 1)))
        # The matrices by which a later head reads what others write, and the norms to divide by.
        reads = {"q": q @ root["k"], "k": k @ root["q"], "v": v @ own}
        norms = {kind: _norms(x) for kind, x in reads.items()}
        every = np.concatenate([x.transpose(1, 0, 2).reshape(width, -1) for x in reads.values()], 1)
        for earlier in range(layer):
            stop.check()
            product = writes[earlier] @ every
            squares = np.square(product, out=product).reshape(heads, config.d_head, len(KINDS), heads, config.d_head)
            scores = np.sqrt(squares.sum((1, 4), dtype=np.float64))  # [head1, kind, head2]
            for n, kind in enumerate(KINDS):
                size = sizes[earlier][:, None] * norms[kind]
                found[kind][earlier, :, layer] = scores[:, n] / np.where(size > 0, size, 1)
            progress((layer * (layer - 1) / 2 + earlier + 1) / (layers * (layers - 1) / 2))
        writes.append(written.reshape(-1, width).astype(np.float32))
        sizes.append(_norms(written))
    return found


def _gram(x: Array) -> Array:
    """X^T X of each head's matrix X, [head, ..., d_head]: [head, d_head, d_head], returned as float64."""
    return (x.transpose(0, 2, 1) @ x).astype(np.float64)


@decomposing()
def _root(gram: Array) -> Array:
    """The symmetric square root of each Gram matrix, float32; negative eigenvalues are due to rounding."""
    values, vectors = np.linalg.eigh(gram)
    found: Array = (vectors * np.sqrt(np.maximum(values, 0))[:, None, :]) @ vectors.transpose(0, 2, 1)
    return found.astype(np.float32)


def _norms(x: Array) -> Array:
    """Frobenius norm of each head's matrix, [head]."""
    return np.sqrt(np.square(x, dtype=np.float64).sum((1, 2)))


def random_composition(config: Config, seed: int = 0) -> tuple[float, float]:
    """Mean and standard deviation of the score for heads with independent normal weights, of this model's shape.

    One number serves Q, K and V: for such matrices the three are the same product.
    """
    rng = np.random.default_rng(seed)
    width, inner = config.n_embd, config.d_head
    found = []
    for _ in range(_DRAWS):
        v1, q2, k2 = (rng.standard_normal((1, width, inner), np.float32) for _ in range(3))
        o1 = rng.standard_normal((1, inner, width), np.float32)
        written, read = _root(_gram(v1)) @ o1, q2 @ _root(_gram(k2))
        found.append(float((_norms(written @ read) / (_norms(written) * _norms(read)))[0]))
    return float(np.mean(found)), float(np.std(found))


@decomposing()
def copying(
    checkpoint: Checkpoint, *, through_mlp: bool = False, stop: Stop | None = None, progress: Progress = unheard
) -> Array:
    """The copying score of every head, [layer, head]; NaN if all eigenvalues are 0.

    With `through_mlp` tokens are represented by their vectors after block 0's MLP. Raises Cancelled on a stop.
    """
    stop, config = stop or Stop(), checkpoint.config
    found = np.full((config.n_layer, config.n_head), np.nan)
    between = _through_vocabulary(checkpoint, checkpoint.weights["embed.W_E"], stop, norm=through_mlp)
    for layer in range(config.n_layer):
        if layer == 1 and through_mlp:
            rows = kept_embeddings(checkpoint, stop=stop, progress=lambda share: progress(0.9 * share))
            between = _through_vocabulary(checkpoint, rows, stop, norm=True)
        stop.check()
        v, o = read_matrices(checkpoint, layer, VALUE), write_matrices(checkpoint, layer)
        values = np.linalg.eigvals((o @ between) @ v)  # [head, d_head]
        sizes = np.abs(values).sum(-1)
        np.divide(values.sum(-1).real, sizes, out=found[layer], where=sizes > 0)
    progress(1.0)
    return found


def _through_vocabulary(checkpoint: Checkpoint, rows: Array, stop: Stop, *, norm: bool) -> Array:
    """W_U' times the token representations `rows`, summed over the vocabulary: [d_model, d_model] in float64."""
    table = checkpoint.weights[UNEMBEDDING]
    total = np.zeros((checkpoint.config.n_embd,) * 2)
    for start in range(0, len(table), _PIECE):
        stop.check()
        some = rows[start : start + _PIECE]
        total += (normed(checkpoint, some) if norm else some).T @ table[start : start + _PIECE]
    found: Array = along_unembedding(checkpoint, np.eye(len(total))) @ total.T
    return found


def strongest(
    found: Circuits, count: int, kinds: Sequence[str] = KINDS
) -> list[tuple[str, tuple[int, int], tuple[int, int], float]]:
    """The pairs with the largest scores of the given kinds: (kind, earlier head, later head, score), the largest first.

    A head is (block, head). There are `count` of them, or all if the model has fewer.
    """
    every = np.stack([np.nan_to_num(found.composition[kind], nan=-1.0) for kind in kinds])
    order = np.argsort(-every, axis=None, kind="stable")[:count]
    pairs = []
    for at in order:
        kind, layer1, head1, layer2, head2 = (int(n) for n in np.unravel_index(at, every.shape))
        if layer1 < layer2:
            score = float(every[kind, layer1, head1, layer2, head2])
            pairs.append((kinds[kind], (layer1, head1), (layer2, head2), score))
    return pairs
