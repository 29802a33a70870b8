"""One head from its weights: its effect on logits by token read, its scores of token pairs, its singular directions.

With e_t the normalised representation of token t (core/analysis/folding.py),

    OV: e_t W_V' W_O W_U'                  what full attention to t adds to every logit, for a final scale of 1
    QK: (e_q W_Q')(e_k W_K')^T / divisor   the score of query token q for key token k; the config gives the divisor

Biases, which do not depend on the token, and positions are left out. Singular directions are computed from thin QR
factors: with W_V' = Q1 R1 and W_O^T = Q2 R2, the singular values of W_OV are those of R1 R2^T, [d_head, d_head]. The
projection kernel of two subspaces with orthonormal bases U and V is |U^T V|^2. Divided by the dimension of the smaller
one (d_head, unless a head's matrix has a lower rank), it is the fraction of that subspace which lies in the other,
about d_head / d_model for two unrelated subspaces.

Sources: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Millidge and Black 2022, "The Singular
Value Decompositions of Transformer Weight Matrices are Highly Interpretable"; Yamagiwa et al. 2026, arXiv 2601.10266.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Progress, unheard
from desktop_app.core.analysis.folding import (
    KEY,
    QUERY,
    VALUE,
    embeddings,
    kept_embeddings,
    normed,
    read_matrices,
    require_head,
    unembedded,
    write_matrices,
)
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import ModelError, outside_vocabulary
from desktop_app.gpt2.overflow import decomposing
from desktop_app.gpt2.session import Stop

Array = NDArray[Any]
Circuit = Literal["OV", "QK"]

_PIECE = 8192  # rows of the vocabulary normalised at once
TOP = 10
"""How many of the highest and how many of the lowest tokens a table lists."""
# numbers listed on a head's page: typical tokens, directions, tokens at each end of a direction
_TYPICAL, _DIRECTIONS, _ENDS = 8, 5, 5


@dataclass(frozen=True, eq=False, repr=False)
class TokenTable(NamedArrays):
    """For each of `tokens`, the tokens that one head's `circuit` (OV or QK) scores highest and lowest.

    `promoted` and `suppressed` are ids [token, rank], the most extreme first; their scores have the same axes. `own`
    [token] is the token's score for itself, and `own_rank` the number of tokens with a greater score: 0 for a head that
    copies.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "tokens": ("token",),
        "promoted": ("token", "rank"),
        "promoted_number": ("token", "rank"),
        "suppressed": ("token", "rank"),
        "suppressed_number": ("token", "rank"),
        "own": ("token",),
        "own_rank": ("token",),
    }

    circuit: Circuit
    layer: int
    head: int
    through_mlp: bool
    tokens: Array
    promoted: Array
    promoted_number: Array
    suppressed: Array
    suppressed_number: Array
    own: Array
    own_rank: Array

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {name: getattr(self, name) for name in self.AXES}


def read_through_mlp(layer: int, asked: bool) -> bool:
    """Whether a block's heads are taken to read tokens after block 0's MLP: if `asked`, except in block 0 itself."""
    return asked and layer > 0


def _stands_for(checkpoint: Checkpoint, layer: int, ids: Array, through_mlp: bool) -> Array:
    return normed(checkpoint, embeddings(checkpoint, ids, through_mlp=read_through_mlp(layer, through_mlp)))


def ov_rows(checkpoint: Checkpoint, layer: int, head: int, ids: Sequence[int], *, through_mlp: bool = True) -> Array:
    """What full attention to each of `ids` adds to every logit, [token, d_vocab]. Raises ModelError."""
    require_head(checkpoint, layer, head)
    _require_tokens(checkpoint, ids)
    read = _stands_for(checkpoint, layer, np.asarray(ids), through_mlp) @ read_matrices(checkpoint, layer, VALUE)[head]
    return unembedded(checkpoint, read @ write_matrices(checkpoint, layer)[head])


def qk_rows(
    checkpoint: Checkpoint,
    layer: int,
    head: int,
    ids: Sequence[int],
    *,
    through_mlp: bool = True,
    stop: Stop | None = None,
) -> Array:
    """The score of each of `ids` as a query for every token as a key, [token, d_vocab]. Raises ModelError, Cancelled.

    With `through_mlp`, the representation of every token is needed; it is computed once per model.
    """
    require_head(checkpoint, layer, head)
    _require_tokens(checkpoint, ids)
    through = read_through_mlp(layer, through_mlp)
    query = _stands_for(checkpoint, layer, np.asarray(ids), through) @ read_matrices(checkpoint, layer, QUERY)[head]
    asked = query @ read_matrices(checkpoint, layer, KEY)[head].T / checkpoint.config.score_divisor(layer)
    return along_tokens(checkpoint, asked.astype(np.float32), through_mlp=through, stop=stop)


def along_tokens(checkpoint: Checkpoint, directions: Array, *, through_mlp: bool, stop: Stop | None = None) -> Array:
    """The projection of every token's normalised row onto `directions` [direction, d_model]: [direction, d_vocab]."""
    stop = stop or Stop()
    rows = kept_embeddings(checkpoint, stop=stop) if through_mlp else checkpoint.weights["embed.W_E"]
    found = np.empty((len(directions), len(rows)), np.float32)
    for start in range(0, len(rows), _PIECE):
        stop.check()
        found[:, start : start + _PIECE] = directions @ normed(checkpoint, rows[start : start + _PIECE]).T
    return found


def _require_tokens(checkpoint: Checkpoint, ids: Sequence[int]) -> None:
    count = checkpoint.config.vocab_size
    for token in ids:
        if not 0 <= token < count:
            raise ModelError(outside_vocabulary(token, count))


def table(
    checkpoint: Checkpoint,
    circuit: Circuit,
    layer: int,
    head: int,
    ids: Sequence[int],
    *,
    through_mlp: bool = True,
    top: int = TOP,
    stop: Stop | None = None,
) -> TokenTable:
    """For each of `ids`, the tokens that reading it promotes and suppresses (OV), or its best and worst keys (QK)."""
    if circuit == "OV":
        rows = ov_rows(checkpoint, layer, head, ids, through_mlp=through_mlp)
    else:
        rows = qk_rows(checkpoint, layer, head, ids, through_mlp=through_mlp, stop=stop)
    tokens = np.asarray(ids, np.int64)
    own = np.take_along_axis(rows, tokens[:, None], 1)
    above = rows > own
    np.put_along_axis(above, tokens[:, None], False, 1)
    most, least = best(rows, top), best(-rows, top)
    return TokenTable(
        circuit,
        layer,
        head,
        read_through_mlp(layer, through_mlp),
        tokens,
        most,
        np.take_along_axis(rows, most, 1),
        least,
        np.take_along_axis(rows, least, 1),
        own[:, 0],
        above.sum(1),
    )


def best(rows: Array, count: int) -> Array:
    """The indices of the `count` greatest numbers of each row, the greatest first: [row, d_vocab] -> [row, rank].

    Of equal numbers the earlier one comes first.
    """
    count = min(count, rows.shape[1])
    found = np.empty((len(rows), count), np.int64)
    for n, row in enumerate(rows):
        least = np.partition(row, len(row) - count)[len(row) - count]
        among = np.flatnonzero(row >= least)
        found[n] = among[np.argsort(-row[among], kind="stable")][:count]
    return found


@decomposing()
def typical(checkpoint: Checkpoint, layer: int, head: int, *, through_mlp: bool = True, count: int = TOP) -> Array:
    """The ids of the tokens for which the head writes the longest vectors |e_t W_V' W_O|, the longest first: [rank]."""
    require_head(checkpoint, layer, head)
    through = read_through_mlp(layer, through_mlp)
    o = write_matrices(checkpoint, layer)[head].astype(np.float64)
    values, vectors = np.linalg.eigh(o @ o.T)
    reads = read_matrices(checkpoint, layer, VALUE)[head] @ (vectors * np.sqrt(np.maximum(values, 0)))
    along = along_tokens(checkpoint, reads.T.astype(np.float32), through_mlp=through)
    return best(np.square(along).sum(0)[None], count)[0]


@dataclass(frozen=True, eq=False, repr=False)
class Directions(NamedArrays):
    """The singular directions of a head's W_OV or W_QK, in order of descending singular value.

    `values` [direction] are the singular values. `reads` and `writes` [direction, d_model] have length 1. For W_OV they
    are the direction that is read and the direction that is written as a result; for W_QK, the query's direction and
    the key's. The sign of a pair is arbitrary: `singular` makes the largest component of `reads` positive, `whole_head`
    the dot product of `reads` with a token that is largest in magnitude.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "values": ("direction",),
        "reads": ("direction", "d_model"),
        "writes": ("direction", "d_model"),
    }

    circuit: Circuit
    layer: int
    head: int
    values: Array
    reads: Array
    writes: Array

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {name: getattr(self, name) for name in self.AXES}


def factors(checkpoint: Checkpoint, circuit: Circuit, layer: int, head: int) -> tuple[Array, Array]:
    """The two factors of a head's W_OV or W_QK, [d_model, d_head] and [d_head, d_model], in float64."""
    require_head(checkpoint, layer, head)
    if circuit == "OV":
        pair = read_matrices(checkpoint, layer, VALUE)[head], write_matrices(checkpoint, layer)[head]
    else:
        pair = read_matrices(checkpoint, layer, QUERY)[head], read_matrices(checkpoint, layer, KEY)[head].T
    return pair[0].astype(np.float64), pair[1].astype(np.float64)


@decomposing()
def singular(checkpoint: Checkpoint, circuit: Circuit, layer: int, head: int, count: int | None = None) -> Directions:
    """The first `count` singular directions (by default all d_head). Raises ModelError if there is no such head."""
    left, right = factors(checkpoint, circuit, layer, head)
    (q1, r1), (q2, r2) = np.linalg.qr(left), np.linalg.qr(right.T)
    u, values, vt = np.linalg.svd(r1 @ r2.T)
    reads, writes = (q1 @ u).T[:count], (vt @ q2.T)[:count]
    # Both directions of a pair may change sign. Making the largest component positive gives the same sign everywhere.
    signs = np.sign(reads[np.arange(len(reads)), np.abs(reads).argmax(1)])[:, None]
    return Directions(circuit, layer, head, values[:count], reads * signs, writes * signs)


SIDES = ("q", "k", "v", "o")
"""The subspaces of a head in the residual stream: what its query, key and value read, and what it writes."""


@decomposing()
def basis(checkpoint: Checkpoint, layer: int, side: str) -> Array:
    """Orthonormal bases of the subspaces (SIDES) that the heads of a block read or write: [head, d_model, d_head].

    If a head's matrix has a lower rank, the last columns are zeros.
    """
    if side == "o":
        matrices = write_matrices(checkpoint, layer).transpose(0, 2, 1)
    else:
        matrices = read_matrices(checkpoint, layer, SIDES.index(side))
    q, r = np.linalg.qr(matrices)
    turned, sizes, _ = np.linalg.svd(r)
    least = sizes[:, :1] * matrices.shape[1] * np.finfo(matrices.dtype).eps
    found: Array = (q @ turned) * (sizes > least)[:, None, :]
    return found


def shared(one: Array, other: Array) -> Array:
    """|U^T V|^2 over the dimension of the smaller subspace, for bases [..., d_model, d_head].

    It is 1 if one subspace contains the other, and 0 if one is empty.
    """
    both = np.square(one.swapaxes(-1, -2) @ other).sum((-1, -2))
    ranks = np.minimum(*(np.square(x).sum((-1, -2)).round() for x in (one, other)))
    found: Array = both / np.maximum(ranks, 1)
    return found


def projection_kernel(
    checkpoint: Checkpoint, layer: int, head: int, side: str, other: str, *, stop: Stop | None = None
) -> Array:
    """`shared` of one head's subspace `side` with every head's subspace `other`, [layer, head]; 1 if they are equal.

    Both are among SIDES. Raises ModelError if there is no such head, Cancelled on a stop.
    """
    require_head(checkpoint, layer, head)
    stop, config = stop or Stop(), checkpoint.config
    own = basis(checkpoint, layer, side)[head]
    found = np.empty((config.n_layer, config.n_head))
    for n in range(config.n_layer):
        stop.check()
        found[n] = shared(own, basis(checkpoint, n, other))
    return found


@decomposing()
def copying_of(checkpoint: Checkpoint, layer: int, head: int, *, through_mlp: bool, norm: bool = True) -> Array:
    """The eigenvalues from which a head's copying score is computed, complex, [d_head].

    Tokens are represented by normalised rows or, with `norm` False, by the unchanged rows of W_E. Raises ModelError if
    there is no such head.
    """
    require_head(checkpoint, layer, head)
    v, o = read_matrices(checkpoint, layer, VALUE)[head], write_matrices(checkpoint, layer)[head]
    if norm:
        read = along_tokens(checkpoint, v.T, through_mlp=read_through_mlp(layer, through_mlp)).T
    else:
        read = checkpoint.weights["embed.W_E"] @ v
    found: Array = np.linalg.eigvals((unembedded(checkpoint, o) @ read).astype(np.float64))
    return found


def score_of(values: Array) -> float:
    """The copying score of eigenvalues; 0 if they are all zero."""
    sizes = float(np.abs(values).sum())
    return float(values.sum().real) / sizes if sizes else 0.0


@dataclass(frozen=True, eq=False, repr=False)
class HeadCircuits:
    """Everything that a head's page shows of its weights: a chosen token, typical tokens, and singular directions.

    `ov` and `qk` are for the chosen token, `typical` for the tokens for which the head writes the longest vectors.
    `read` and `written` [direction, rank] are, by circuit, the tokens farthest along the singular `directions`, with
    their projections. `kernel` [layer, head], for each of SIDES but the last, compares the subspace that the head
    writes with those that the query, key and value of every later head read; it is NaN in the head's block and earlier
    ones.
    """

    ov: TokenTable
    qk: TokenTable
    typical: TokenTable
    directions: Mapping[str, Directions]
    read: Mapping[str, tuple[Array, Array]]
    written: Mapping[str, tuple[Array, Array]]
    kernel: Mapping[str, Array]
    copying: float


def whole_head(
    checkpoint: Checkpoint,
    layer: int,
    head: int,
    token: int,
    *,
    through_mlp: bool = True,
    stop: Stop | None = None,
    progress: Progress = unheard,
) -> HeadCircuits:
    """The weights of one head as `HeadCircuits`. Raises ModelError, and Cancelled on a stop."""
    stop, config = stop or Stop(), checkpoint.config
    through = read_through_mlp(layer, through_mlp)
    if through:
        kept_embeddings(checkpoint, stop=stop, progress=lambda share: progress(0.8 * share))
    qk = table(checkpoint, "QK", layer, head, [token], through_mlp=through_mlp, stop=stop)
    ids = typical(checkpoint, layer, head, through_mlp=through_mlp, count=_TYPICAL).tolist()
    tables = [table(checkpoint, "OV", layer, head, which, through_mlp=through_mlp) for which in ([token], ids)]
    directions: dict[str, Directions] = {}
    read, written = {}, {}
    for circuit in ("OV", "QK"):
        made = singular(checkpoint, "OV" if circuit == "OV" else "QK", layer, head, _DIRECTIONS)
        along = along_tokens(checkpoint, made.reads.astype(np.float32), through_mlp=through, stop=stop)
        if circuit == "OV":
            other = unembedded(checkpoint, made.writes.astype(np.float32))
        else:
            other = along_tokens(checkpoint, made.writes.astype(np.float32), through_mlp=through, stop=stop)
        # Signs are chosen so that the token with the largest |projection| is on the positive side, which is the one
        # shown.
        turned = np.where(np.abs(along.min(1)) > along.max(1), -1.0, 1.0)[:, None]
        directions[circuit] = Directions(
            made.circuit, layer, head, made.values, made.reads * turned, made.writes * turned
        )
        read[circuit], written[circuit] = (_farthest(values * turned) for values in (along, other))
    own = basis(checkpoint, layer, "o")[head]
    kernel = {side: np.full((config.n_layer, config.n_head), np.nan) for side in SIDES[:3]}
    for later in range(layer + 1, config.n_layer):
        stop.check()
        for side, found in kernel.items():
            found[later] = shared(own, basis(checkpoint, later, side))
    score = score_of(copying_of(checkpoint, layer, head, through_mlp=through_mlp))
    progress(1.0)
    return HeadCircuits(tables[0], qk, tables[1], directions, read, written, kernel, score)


def _farthest(values: Array) -> tuple[Array, Array]:
    ids = best(values, _ENDS)
    return ids, np.take_along_axis(values, ids, 1)
