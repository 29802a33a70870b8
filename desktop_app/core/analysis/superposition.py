"""Superposition: how nearly orthogonal directions are, how many fit into d_model, and which tokens neurons respond to.

In d dimensions d directions can be orthogonal; many more can be nearly so. For N random directions the probability that
one pair's cosine exceeds e in magnitude is at most 2 exp(-d e^2 / 2), and there are N (N - 1) / 2 pairs, so at least

    N = exp(d e^2 / 4)

directions with all cosines within e exist (the argument of Johnson and Lindenstrauss 1984). That is a bound; `packed`
is measured: how many of the existing rows are kept if each is taken in turn, unless its cosine with a row already taken
exceeds e. The displayed text says which number is which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Progress, unheard
from desktop_app.core.analysis.directions import rows
from desktop_app.core.analysis.folding import embeddings, normed, unembedded
from desktop_app.core.analysis.head_circuits import along_tokens, best
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.session import Stop

Array = NDArray[Any]

WITHIN = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""The limits on the cosine for which `packed` is measured."""
MOST = 2000  # rows among which angles are measured: two million pairs
_BINS = 81


@dataclass(frozen=True, eq=False, repr=False)
class Angles(NamedArrays):
    """Cosines between pairs of directions, compared with as many random directions of the same width.

    `edges` [bin + 1]; `own` and `random` [bin] are shares of the pairs. `packed`, `packed_random` [within] are how many
    of `count` were kept within each of WITHIN; `bound` [within] is N as defined above. `spread` and `spread_random` are
    the standard deviations of the cosines.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "edges": ("edge",),
        "own": ("bin",),
        "random": ("bin",),
        "packed": ("within",),
        "packed_random": ("within",),
        "bound": ("within",),
    }

    edges: Array
    own: Array
    random: Array
    packed: Array
    packed_random: Array
    bound: Array
    count: int
    spread: float
    spread_random: float

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {name: getattr(self, name) for name in self.AXES}


def directions_of(checkpoint: Checkpoint, what: str, *, without: int = 0) -> Array:
    """The directions to examine: "embedding", the rows of W_E less their mean, or the outputs of a block's neurons.

    "blocks.L.mlp.W_out" names the latter. At most MOST of them, evenly spaced: [direction, d_model], each of length 1.
    """
    if what == "embedding":
        table = rows(checkpoint, without=without)
        found = table.of(np.unique(np.linspace(0, len(table.table) - 1, MOST).astype(int)))
    else:
        weight = checkpoint.weights[what]
        found = weight[np.unique(np.linspace(0, len(weight) - 1, MOST).astype(int))].astype(np.float64)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    kept: Array = (found / np.where(lengths > 0, lengths, 1))[lengths[:, 0] > 0]
    return kept


def angles(directions: Array, *, seed: int = 0, stop: Stop | None = None, progress: Progress = unheard) -> Angles:
    """Measure the pairs of directions [direction, d_model] of length 1, and of random ones. Raises Cancelled."""
    stop = stop or Stop()
    count, width = directions.shape
    other = np.random.default_rng(seed).standard_normal((count, width))
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    edges = np.linspace(-1, 1, _BINS)
    made = []
    for n, vectors in enumerate((directions, other)):
        stop.check()
        cosines = vectors @ vectors.T
        pairs = cosines[np.triu_indices(count, 1)]
        shares = np.histogram(np.clip(pairs, -1, 1), edges)[0] / max(len(pairs), 1)
        made.append((shares, [packed(cosines, e) for e in WITHIN], float(pairs.std()) if len(pairs) else 0.0))
        progress((n + 1) / 2)
    (own, kept, spread), (random, kept_random, spread_random) = made
    bound = np.exp(width * np.square(WITHIN) / 4)
    return Angles(edges, own, random, np.array(kept), np.array(kept_random), bound, count, spread, spread_random)


def packed(cosines: Array, within: float) -> int:
    """How many directions remain if those with a |cosine| above `within` to an earlier remaining one are dropped."""
    free = np.ones(len(cosines), bool)
    kept = 0
    for n in range(len(cosines)):
        if free[n]:
            kept += 1
            free &= np.abs(cosines[n]) <= within
    return kept


def interference(vectors: Array) -> Array:
    """The cosine of every two vectors [vector, d_model]: [vector, vector]."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    flat = vectors / np.where(lengths > 0, lengths, 1)
    found: Array = flat @ flat.T
    return found


@dataclass(frozen=True, eq=False, repr=False)
class NeuronTokens(NamedArrays):
    """The tokens that excite and inhibit a neuron most, and those that its output makes more and less likely.

    `up` and `down` are ids by the dot product of the token's normalised row (through block 0's MLP in later blocks)
    with what the neuron reads; `promoted` and `suppressed` by what its row of W_out adds to the logits, for a final
    scale of 1. Each comes with its numbers, the strongest first: [rank].
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        f"{name}{end}": ("rank",) for name in ("up", "down", "promoted", "suppressed") for end in ("", "_number")
    }

    layer: int
    neuron: int
    up: Array
    up_number: Array
    down: Array
    down_number: Array
    promoted: Array
    promoted_number: Array
    suppressed: Array
    suppressed_number: Array

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {name: getattr(self, name) for name in self.AXES}


def neuron_reads(checkpoint: Checkpoint, layer: int, neuron: int) -> Array:
    """What a neuron reads, [d_model] in float64: its column of W_in with ln2 folded in."""
    config = checkpoint.config
    if not (0 <= layer < config.n_layer and 0 <= neuron < config.d_mlp):
        raise ModelError(
            f"There is no neuron {neuron} of block {layer}; this model has {config.n_layer} blocks of "
            f"{config.d_mlp:,} neurons."
        )
    column = checkpoint.weights[f"blocks.{layer}.mlp.W_in"][:, neuron] * checkpoint.weights[f"blocks.{layer}.ln2.w"]
    found: Array = column.astype(np.float64)
    return found - found.mean()


def neuron_tokens(
    checkpoint: Checkpoint, layer: int, neuron: int, *, top: int = 8, stop: Stop | None = None
) -> NeuronTokens:
    """Measure one neuron. Raises ModelError for a neuron that does not exist, Cancelled on a stop."""
    reads = neuron_reads(checkpoint, layer, neuron).astype(np.float32)
    along = along_tokens(checkpoint, reads[None], through_mlp=layer > 0, stop=stop)
    logits = unembedded(checkpoint, checkpoint.weights[f"blocks.{layer}.mlp.W_out"][neuron][None])
    ends: list[Array] = []
    for values in (along, -along, logits, -logits):
        ids = best(values, top)[0]
        source = along if len(ends) < 4 else logits
        ends += [ids, source[0, ids]]
    return NeuronTokens(layer, neuron, *ends)


def neuron_on(checkpoint: Checkpoint, layer: int, neuron: int, token: int) -> tuple[Array, Array]:
    """A token's normalised row and what the neuron reads, [d_model] each; `up` and `down` list their dot products."""
    row = embeddings(checkpoint, np.array([token]), through_mlp=layer > 0).astype(np.float64)
    return normed(checkpoint, row)[0], neuron_reads(checkpoint, layer, neuron)


def rows_of(checkpoint: Checkpoint, ids: Sequence[int], *, without: int = 0) -> Array:
    """The centred rows of some tokens, [token, d_model]."""
    return rows(checkpoint, without=without).of(ids)
