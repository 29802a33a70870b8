"""Directions among the token embeddings: neighbours, a - b + c, and how far tokens and texts lie along any vector.

The mean of all rows of W_E is subtracted from each row, since what all rows share says nothing about a single token. On
request the first principal components are removed as well: a few directions with most of the variance and little
meaning (Mu and Viswanath 2018, "All-but-the-Top", arXiv 1702.01417), like GPT-2's outlier dimensions.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.head_circuits import best
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.overflow import decomposing
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

WITHOUT = 3
"""The number of principal components that are removed on request."""

_PIECE = 8192  # rows of the vocabulary processed at once
_ROUNDING = 1e-12  # what is smaller than this share of the vectors added up is due to rounding


@dataclass(frozen=True, eq=False, repr=False)
class Rows:
    """The rows of W_E minus `mean` [d_model], and minus their components along `left_out` [component, d_model].

    `shares` [component] and `axes` [component, d_model] are the principal components of the centred rows before any is
    removed: their shares of the variance and their directions, of length 1, in order of descending variance. `lengths`
    [token] are the norms of the rows after removal. The table itself is not copied.
    """

    table: Array
    mean: Array
    left_out: Array
    shares: Array
    axes: Array
    lengths: Array

    def __repr__(self) -> str:
        return f"<Rows of {len(self.table):,} tokens, {len(self.left_out)} components left out>"

    def of(self, ids: Array | Sequence[int]) -> Array:
        """The rows of some tokens, [token, d_model] in float64."""
        rows = self.table[np.asarray(ids)].astype(np.float64) - self.mean
        return rows - (rows @ self.left_out.T) @ self.left_out

    def along(self, direction: Array) -> Array:
        """Every row's dot product with a direction [d_model]: [token]."""
        kept = direction - (self.left_out @ direction) @ self.left_out
        found: Array = self.table @ kept.astype(np.float32) - float(self.mean @ kept)
        return found

    def cosines(self, direction: Array) -> Array:
        """Cosine of every row with a direction [d_model]: [token]; 0 where either has length 0."""
        kept = direction - (self.left_out @ direction) @ self.left_out
        size = self.lengths * float(np.linalg.norm(kept))
        return np.divide(self.along(direction), size, out=np.zeros(len(self.table)), where=size > 0)


_kept: WeakKeyDictionary[Checkpoint, dict[int, Rows]] = WeakKeyDictionary()
_lock = threading.Lock()


def rows(checkpoint: Checkpoint, *, without: int = 0) -> Rows:
    """The centred rows of W_E without their first `without` principal components; cached with the checkpoint."""
    with _lock:
        found = _kept.get(checkpoint, {}).get(without)
    if found is None:
        found = _rows(checkpoint.weights["embed.W_E"], without)
        with _lock:
            _kept.setdefault(checkpoint, {})[without] = found
    return found


def _rows(table: Array, without: int) -> Rows:
    mean = table.mean(0, dtype=np.float64)
    covariance = np.zeros((len(mean),) * 2)
    for start in range(0, len(table), _PIECE):
        centred = table[start : start + _PIECE] - mean.astype(np.float32)
        covariance += centred.T @ centred
    shares, axes = _principal(covariance)
    left_out = axes[:without]
    squares = np.empty(len(table))
    for start in range(0, len(table), _PIECE):
        centred = table[start : start + _PIECE] - mean.astype(np.float32)
        centred -= (centred @ left_out.T.astype(np.float32)) @ left_out.astype(np.float32)
        squares[start : start + _PIECE] = np.square(centred, dtype=np.float64).sum(1)
    return Rows(table, mean, left_out, shares, axes, np.sqrt(squares))


@decomposing()
def _principal(covariance: Array) -> tuple[Array, Array]:
    """Shares of the variance, and principal directions, from a sum of outer products.

    Signs are chosen so that the component with the largest magnitude is positive.
    """
    values, vectors = np.linalg.eigh(covariance)
    values, axes = np.maximum(values[::-1], 0), vectors.T[::-1]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    total = values.sum()
    return values / total if total > 0 else values, axes


@dataclass(frozen=True, eq=False, repr=False)
class Nearest(NamedArrays):
    """Tokens by the cosine of their rows with `direction` [d_model], in descending order: `ids` and `cosines` [rank].

    Tokens in `left_out` are excluded. `rank` is the rank of the requested token, counted from 1; None if no token was
    requested.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "ids": ("rank",),
        "cosines": ("rank",),
        "direction": ("d_model",),
    }

    direction: Array
    ids: Array
    cosines: Array
    left_out: tuple[int, ...]
    rank: int | None = None

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {name: getattr(self, name) for name in self.AXES}


@dataclass(frozen=True)
class Term:
    """One term of a sum of tokens: +1 or -1, and the token."""

    sign: int
    token: int


def summed(table: Rows, terms: Sequence[Term]) -> Array:
    """The sum of the rows of some tokens, each with its sign: [d_model].

    Raises ModelError where nothing of the rows remains without the mean, or where the terms cancel.
    """
    ids = [term.token for term in terms]
    parts = np.array([[term.sign] for term in terms], np.float64) * table.of(ids)
    direction: Array = parts.sum(0)
    size = float(np.linalg.norm(parts))
    if not size > _ROUNDING * float(np.linalg.norm(table.table[ids].astype(np.float64))):
        rows_are = "its row equals" if len(ids) == 1 else "its rows all equal"
        apart = f", apart from the {len(table.left_out)} components that are left out" if len(table.left_out) else ""
        raise ModelError(f"This direction is zero: {rows_are} the mean of all rows{apart}.")
    if not float(np.linalg.norm(direction)) > _ROUNDING * size:
        raise ModelError("This direction is zero: its terms cancel.")
    return direction


def arithmetic(
    checkpoint: Checkpoint, terms: Sequence[Term], *, answer: int | None = None, without: int = 0, top: int = 10
) -> Nearest:
    """The tokens nearest to a sum of rows, a - b + c; the tokens of the sum are left out.

    Raises ModelError for a sum without terms, or with terms that cancel.
    """
    if not terms:
        raise ModelError("There is nothing to add up; give tokens, as in: uncle - man + woman.")
    table = rows(checkpoint, without=without)
    left_out = tuple(dict.fromkeys(term.token for term in terms))
    return nearest(table, summed(table, terms), left_out=left_out, answer=answer, top=top)


def nearest(
    table: Rows, direction: Array, *, left_out: tuple[int, ...] = (), answer: int | None = None, top: int = 10
) -> Nearest:
    """The tokens whose rows lie nearest to a direction [d_model], by cosine."""
    cosines = table.cosines(direction)
    shown = cosines.copy()
    shown[list(left_out)] = -np.inf
    ids = best(shown[None], min(top, len(shown) - len(left_out)))[0]
    rank = None
    if answer is not None:
        others = np.delete(cosines, [t for t in left_out if t != answer])
        rank = int((others > cosines[answer]).sum()) + 1
    return Nearest(direction, ids, cosines[ids], left_out, rank)


def on_ruler(trace: Trace, points: Sequence[str], direction: Array) -> Array:
    """The cosine of the residual stream with a direction [d_model], at each of `points`: [point, pos].

    The mean over d_model is subtracted from both first.
    """
    flat = direction - direction.mean()
    flat = flat / max(float(np.linalg.norm(flat)), 1e-300)
    found = np.empty((len(points), len(trace)))
    for n, point in enumerate(points):
        x = trace.read(point).astype(np.float64)
        x -= x.mean(-1, keepdims=True)
        found[n] = x @ flat / np.maximum(np.linalg.norm(x, axis=-1), 1e-300)
    return found


@dataclass(frozen=True, eq=False, repr=False)
class Plane(NamedArrays):
    """Vectors projected onto the plane of their first principal components.

    `places` [vector, axis] are their coordinates, `shares` [axis] the shares of the variance; `axes` [axis, d_model]
    have length 1, and `mean` [d_model] was subtracted first.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "places": ("vector", "axis"),
        "shares": ("axis",),
        "axes": ("axis", "d_model"),
        "mean": ("d_model",),
    }

    places: Array
    shares: Array
    axes: Array
    mean: Array

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {name: getattr(self, name) for name in self.AXES}


@decomposing()
def plane(vectors: Array, axes: int = 2) -> Plane:
    """The principal components of vectors [vector, d_model], which may be few, by singular value decomposition."""
    centred = vectors.astype(np.float64)
    mean = centred.mean(0)
    centred -= mean
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions * np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(1)])[:, None]
    total = np.square(sizes).sum()
    shares = np.square(sizes) / total if total > 0 else np.zeros(len(sizes))
    count = min(axes, len(directions))
    return Plane(centred @ directions[:count].T, shares[:count], directions[:count], mean)


def plane_of_rows(table: Rows) -> Plane:
    """Every row in the plane of the first two components not left out; their shares are of the total variance."""
    first = len(table.left_out)
    axes = table.axes[first : first + 2]
    places = np.stack([table.along(axis) for axis in axes], 1)
    return Plane(places, table.shares[first : first + 2], axes, table.mean)
