"""Superposition: how nearly orthogonal directions are, how many fit into d_model, and which tokens neurons respond to.

At most d directions in d dimensions can be orthogonal, but many more can be nearly so. The cosine of two random
directions exceeds e in magnitude with a probability of at most 2 exp(-d e^2 / 2). Among N random directions there are N
(N - 1) / 2 pairs, so the expected number of pairs beyond e is less than N^2 exp(-d e^2 / 2). For

    N = exp(d e^2 / 4)

this bound is 1, so there are N directions with all cosines within e (the argument of Johnson and Lindenstrauss 1984).

This N is a lower bound, from theory, on how many directions fit. `packed` is measured instead: it goes through the
model's directions in order, and selects each direction whose cosines with all those selected before are within e. The
displayed text says which number is which.
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
MOST = 2000  # directions that are compared at most, which makes two million pairs
_EDGES = 81  # edges between the bins of the histogram of cosines, -1 and 1 included: one more than bins


@dataclass(frozen=True, eq=False, repr=False)
class Angles(NamedArrays):
    """Cosines between pairs of directions and, for comparison, between pairs of as many random directions in d_model.

    `own` [bin] is the share of pairs whose cosine falls into each bin between consecutive `edges` [bin + 1]; `spread`
    is the standard deviation of the cosines. `packed` [within] is how many of the `count` directions the function
    `packed` keeps for each limit in WITHIN, and `bound` [within] is N as defined at the top of this module. `random`,
    `spread_random` and `packed_random` are the same as `own`, `spread` and `packed` for the random directions.
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
    """The directions to examine: at most MOST, evenly spaced in their table, [direction, d_model], each of length 1.

    `what` is "embedding" for the rows of W_E minus their mean and minus their first `without` principal components, or
    "blocks.L.mlp.W_out" for the output directions of block L's neurons. Rows of length 0 are left out.
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
    """Measure the cosines of all pairs of `directions` [direction, d_model], which must have length 1.

    The random directions for comparison are drawn with `seed`. Raises Cancelled.
    """
    stop = stop or Stop()
    count, width = directions.shape
    drawn = np.random.default_rng(seed).standard_normal((count, width))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    edges = np.linspace(-1, 1, _EDGES)
    measured = []
    for n, vectors in enumerate((directions, drawn)):
        stop.check()
        cosines = vectors @ vectors.T
        pairs = cosines[np.triu_indices(count, 1)]
        shares = np.histogram(np.clip(pairs, -1, 1), edges)[0] / max(len(pairs), 1)
        measured.append((shares, [packed(cosines, e) for e in WITHIN], float(pairs.std()) if len(pairs) else 0.0))
        progress((n + 1) / 2)
    (own, kept, spread), (random, kept_random, spread_random) = measured
    bound = np.exp(width * np.square(WITHIN) / 4)
    return Angles(edges, own, random, np.array(kept), np.array(kept_random), bound, count, spread, spread_random)


def packed(cosines: Array, within: float) -> int:
    """How many directions are selected, given their `cosines` [direction, direction].

    In order, each direction is selected unless its cosine with one selected before exceeds `within` in magnitude.
    """
    free = np.ones(len(cosines), bool)
    kept = 0
    for n in range(len(cosines)):
        if free[n]:
            kept += 1
            free &= np.abs(cosines[n]) <= within
    return kept


def interference(vectors: Array) -> Array:
    """The cosine of every pair of `vectors` [vector, d_model]: [vector, vector], 0 for a vector of length 0."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    found: Array = unit @ unit.T
    return found


@dataclass(frozen=True, eq=False, repr=False)
class NeuronTokens(NamedArrays):
    """The tokens that excite and inhibit a neuron most, and those whose logits it raises and lowers most.

    `up` and `down` are the ids of the tokens with the largest and the smallest dot product between the direction that
    the neuron reads (`neuron_reads`) and the token's normalised representation: its row of W_E, for a neuron after
    block 0 with the output of block 0's MLP added. `promoted` and `suppressed` are those to whose logits the neuron's
    row of W_out adds most and least, for a final scale of 1. Each is [rank], the strongest first, and the array with
    the suffix `_number` has the dot products or logits.
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
    """The direction that a neuron reads, [d_model] in float64: its column of W_in with ln2's gain folded in, centred.

    Its dot product with a normalised vector is the neuron's input from that vector, without biases. Raises ModelError
    for a neuron that does not exist.
    """
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
    """Find the `top` tokens of each kind for one neuron.

    Raises ModelError for a neuron that does not exist, Cancelled on a stop.
    """
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
    """A token's normalised representation, and the direction that a neuron reads: [d_model] each, in float64.

    Their dot product is the number by which `NeuronTokens` ranks the token for `up` and `down`.
    """
    row = embeddings(checkpoint, np.array([token]), through_mlp=layer > 0).astype(np.float64)
    return normed(checkpoint, row)[0], neuron_reads(checkpoint, layer, neuron)


def rows_of(checkpoint: Checkpoint, ids: Sequence[int], *, without: int = 0) -> Array:
    """The rows of W_E of some tokens, as in `directions_of` but of their own lengths: [token, d_model] in float64."""
    return rows(checkpoint, without=without).of(ids)
