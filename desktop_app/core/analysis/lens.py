"""The logit lens: what each point of the residual stream would predict if the model ended there.

    LN_f(y) W_U        with LN_f's mean and scale computed from y itself

where y is the stream at the start of block 0, then after each attention and each MLP. The last point is the model's
output. With translators, the points at the starts of blocks become LN_f(y T + c) W_U; points after attention and the
model's output have no translator and do not change (`translated` says which points have one). On request, the output of
attention or of an MLP alone is read in the same way; that is not a prediction.

Logits are computed for a batch of rows and a piece of the vocabulary at a time, each piece on one thread; only the
requested results are stored.
Sources: nostalgebraist 2020, "interpreting GPT: the logit lens"; Belrose et al. 2023, arXiv 2303.08112.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Closing, Progress, closing, unheard
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.core.analysis.translators import Translators
from desktop_app.gpt2 import formulas as f
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError, outside_vocabulary
from desktop_app.gpt2.formula import Place
from desktop_app.gpt2.multiply import times_rows
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace
from desktop_app.gpt2.weights import UNEMBEDDING

Array = NDArray[Any]

_ROWS = 800  # vectors multiplied by W_U at once: enough that the time to read W_U does not matter
_CELLS = 1 << 18  # logits of a piece: few enough for a core's cache
_NARROW = 256  # the minimum number of tokens of a piece, so that its product is fast

What = Literal["stream", "attn_out", "mlp_out"]
"""What the lens reads: the residual stream at every point, or only the output of each block's attention or MLP."""


def points(config: Config, what: What = "stream") -> tuple[str, ...]:
    """The tensors that a lens reads, in the order of the pass."""
    if what != "stream":
        return tuple(f"blocks.{n}.{what}" for n in range(config.n_layer))
    blocks = (f"blocks.{n}.{name}" for n in range(config.n_layer) for name in ("resid_mid", "resid_post"))
    return ("blocks.0.resid_pre", *blocks)


@dataclass(frozen=True, eq=False, repr=False)
class Lens(NamedArrays):
    """What each point predicts at each position.

    [point, pos], where `pos` counts from position `start` of the text: `top_id` and `top_probability` of the likeliest
    token; `entropy` of the distribution and `kl`, KL(model's output || lens), in nats.

    [target, point, pos], for each of `targets`: its logit, its probability, and its rank, which is the number of tokens
    with a greater logit (0 is the top).

    `translated` [point] says whether a translator was used. `own_logits` [d_vocab] are the model's logits at the last
    of these positions; None if the last point is not the model's output.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "points": ("point",),
        "translated": ("point",),
        "top_id": ("point", "pos"),
        "top_probability": ("point", "pos"),
        "entropy": ("point", "pos"),
        "kl": ("point", "pos"),
        "target_logit": ("target", "point", "pos"),
        "target_probability": ("target", "point", "pos"),
        "target_rank": ("target", "point", "pos"),
    }

    points: tuple[str, ...]
    translated: Array
    start: int
    top_id: Array
    top_probability: Array
    entropy: Array
    kl: Array
    targets: tuple[int, ...]
    target_logit: Array
    target_probability: Array
    target_rank: Array
    own_logits: Array | None

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file. If there is a single target, its axis is dropped."""
        found = {
            "points": np.array(self.points),
            "top_id": self.top_id,
            "top_probability": self.top_probability,
            "entropy": self.entropy,
            "kl": self.kl,
        }
        if self.translated.any():
            found["translated"] = self.translated
        if self.targets:
            cut = 0 if len(self.targets) == 1 else slice(None)
            found["target_logit"] = self.target_logit[cut]
            found["target_probability"] = self.target_probability[cut]
            found["target_rank"] = self.target_rank[cut]
        return found

    def closings(self) -> tuple[Closing, ...]:
        """The check that the last point agrees with the model's output."""
        if self.own_logits is None:
            return ()
        own = self.own_logits.astype(np.float64)
        raised = np.exp(own - own.max())
        shares = raised / raised.sum()
        entropy = -float((shares * np.log(np.maximum(shares, 1e-300))).sum())
        found = [
            closing("lens: the last point's top probability", self.top_probability[-1, -1], shares.max(), 1.0),
            closing("lens: the last point's entropy", self.entropy[-1, -1], entropy, entropy),
        ]
        if self.targets:
            logits = own[list(self.targets)]
            largest = np.abs(own).max()
            found.append(closing("lens: the last point's logits", self.target_logit[:, -1, -1], logits, largest))
        return tuple(found)


def compute(
    checkpoint: Checkpoint,
    trace: Trace,
    *,
    what: What = "stream",
    targets: Sequence[int] = (),
    translators: Translators | None = None,
    start: int = 0,
    end: int | None = None,
    stop: Stop | None = None,
    progress: Progress = unheard,
) -> Lens:
    """The lens at every point of `trace`, for positions `start` to `end` (by default all).

    Args:
        checkpoint: the model that made `trace`.
        trace: the pass.
        what: the residual stream, or only the outputs of attention or of MLPs.
        targets: ids of tokens whose logits, probabilities and ranks are returned.
        translators: applied before the final layer norm at the starts of blocks; only for the stream.
        start: the first position.
        end: the position after the last.
        stop: cancels between two pieces of the vocabulary.
        progress: receives the fraction done.

    Raises:
        ModelError: a token or positions that do not exist, or a translator that cannot be used.
        Cancelled: `stop` was set.
    """
    stop, config = stop or Stop(), checkpoint.config
    end = len(trace) if end is None else end
    if not 0 <= start < end <= len(trace):
        raise ModelError(f"Positions {start} to {end} are not all in the text of {len(trace)} tokens.")
    for token in targets:
        if not 0 <= token < config.vocab_size:
            raise ModelError(outside_vocabulary(token, config.vocab_size))
    names, output = points(config, what), f"blocks.{config.n_layer - 1}.resid_post"
    read = names if names[-1] == output else (*names, output)
    layers = _translated_layers(config, what) if translators is not None else {}
    table = checkpoint.weights[UNEMBEDDING]
    step, parts = max(1, _ROWS // len(read)), []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(start, end, step):
            rows = slice(first, min(first + step, end))
            vectors = np.stack(
                [_final(checkpoint, trace, name, rows, layers.get(name), translators, stop) for name in read]
            )
            before, share = (first - start) / (end - start), (rows.stop - first) / (end - start)

            def within(done: float, before: float = before, share: float = share) -> None:
                progress(before + share * done)

            parts.append(_unembed(vectors, table, targets, pool, stop, within))
    found = {field: np.concatenate([part[field] for part in parts], -1)[..., : len(names), :] for field in parts[0]}
    return Lens(
        points=names,
        translated=np.array([name in layers for name in names]),
        start=start,
        targets=tuple(targets),
        own_logits=trace.logits(end - 1) if names[-1] == output else None,
        **found,
    )


def _translated_layers(config: Config, what: What) -> dict[str, int]:
    """Point -> block, for each point that is the input of a block. Raises ModelError if `what` is not the stream."""
    if what != "stream":
        raise ModelError("Translators are for the residual stream; leave them out for what attention or an MLP writes.")
    return {"blocks.0.resid_pre": 0} | {f"blocks.{n - 1}.resid_post": n for n in range(1, config.n_layer)}


def layer_of_translator(config: Config, point: str) -> int | None:
    """The block whose translator is applied at a point; None if no translator is."""
    return _translated_layers(config, "stream").get(point)


def _final(
    checkpoint: Checkpoint,
    trace: Trace,
    name: str,
    rows: slice,
    layer: int | None,
    translators: Translators | None,
    stop: Stop,
) -> Array:
    """The vectors to multiply by W_U for one point: [pos, d_model]."""
    stop.check()
    y = trace.read_rows(name, rows.stop, rows.start)
    if layer is not None and translators is not None:
        y = translators.apply(layer, y)
    return final_norm(checkpoint, y)


def final_norm(checkpoint: Checkpoint, y: Array) -> Array:
    """The final layer norm of vectors [pos, d_model], using their own mean and scale; rounded in int8 models."""
    place = Place(checkpoint.config, 0, np.arange(len(y)))
    mean = f.MEAN.compute(place, y)
    flat = f.NORMALIZED.compute(place, y, mean, f.SCALE.compute(place, y, mean))
    weights = checkpoint.weights
    return f.multiplied(place, f.GAIN_AND_BIAS.compute(place, flat, weights["ln_final.w"], weights["ln_final.b"]))


class _Piece(NamedTuple):
    """Results from the logits l of one piece of the vocabulary, each [point, pos].

    `best` is the token with the greatest logit, m; `mass` is the sum of e^(l - m), `weighted` the sum of e^(l - m) (l -
    m), and `cross` the sum of e^(f - m_f) (l - m), where f are the model's logits. `above` [target, point, pos] is the
    number of logits greater than the target's.
    """

    best: Array
    most: Array
    mass: Array
    weighted: Array
    cross: Array
    above: Array


def _unembed(
    vectors: Array, table: Array, targets: Sequence[int], pool: ThreadPoolExecutor, stop: Stop, progress: Progress
) -> dict[str, Array]:
    """The arrays of a `Lens`, from `vectors` [point, pos, d_model] times W_U; the last point is the model's output."""
    count, length, width = vectors.shape
    flat = vectors.reshape(-1, width)
    size = max(_NARROW, _CELLS // len(flat))
    starts = range(0, len(table), size)
    target_logit = np.empty((len(targets), count, length), np.float32)
    if targets:
        target_logit[:] = times_rows(flat, table[list(targets)]).T.reshape(target_logit.shape)

    def read(start: int) -> _Piece:
        stop.check()
        logits = times_rows(flat, table[start : start + size]).reshape(count, length, -1)
        best = logits.argmax(-1)
        most = np.take_along_axis(logits, best[..., None], -1)
        above = np.empty(target_logit.shape, np.int64)
        for at, token in enumerate(targets):
            greater = logits > target_logit[at, ..., None]
            if start <= token < start + logits.shape[-1]:
                greater[..., token - start] = False  # a logit is never greater than itself, regardless of rounding
            above[at] = np.count_nonzero(greater, axis=-1)
        logits -= most
        raised = np.exp(logits)
        mass, weighted = np.vecdot(raised, np.ones_like(raised[0, 0])), np.vecdot(raised, logits)
        return _Piece(start + best, most[..., 0], mass, weighted, np.vecdot(raised[-1], logits), above)

    pieces = []
    for done, piece in enumerate(pool.map(read, starts), 1):
        pieces.append(piece)
        progress(done / len(starts))
    return _joined(pieces, target_logit)


def _joined(pieces: Sequence[_Piece], target_logit: Array) -> dict[str, Array]:
    """The arrays of a `Lens` from all pieces: the sums of each piece are rescaled to the maximum of all pieces.

    In this way, sums of a softmax are combined without reading a logit twice (Milakov and Gimelshein 2018, arXiv
    1805.02867).
    """
    best, most, mass, weighted, cross, above = (np.stack(each) for each in zip(*pieces, strict=True))
    first = most.argmax(0)[None]
    peak = np.take_along_axis(most, first, 0)[0].astype(np.float64)
    lower = most - peak
    shrink, mass = np.exp(lower), mass.astype(np.float64)
    total = (shrink * mass).sum(0)
    own, own_mass = shrink[:, -1:], mass[:, -1:]
    weighted = (shrink * (weighted + mass * lower)).sum(0)
    cross = (own * (cross + own_mass * lower)).sum(0)
    log = np.log(total)
    # Entropy and KL are never negative, and no logit is above the greatest; what is beyond that is due to rounding: a
    # target's logit is also computed by itself, apart from the others.
    found = {
        "top_probability": 1 / total,
        "entropy": np.maximum(0, log - weighted / total),
        "kl": np.maximum(0, (weighted[-1] - cross) / total[-1] - log[-1] + log),
        "target_logit": target_logit,
        "target_probability": np.exp(np.minimum(0, target_logit - peak)) / total,
    }
    return {name: array.astype(np.float32) for name, array in found.items()} | {
        "top_id": np.take_along_axis(best, first, 0)[0],
        "target_rank": above.sum(0),
    }
