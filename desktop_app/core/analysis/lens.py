"""The logit lens: what each point of the residual stream would predict if the model ended there.

    LN_f(y) W_U        with LN_f's mean and scale computed from y itself

where y is the stream at the start of block 0, then after each attention and each MLP. The last point is the model's
output. With translators, the points at the starts of blocks become LN_f(y T + c) W_U; points after attention and the
model's output have no translator and do not change (`translated` says which points have one). On request, the output of
attention or of an MLP alone is read in the same way; that is not a prediction.

Logits are computed for a batch of rows and a piece of the vocabulary at a time; only the requested results are stored.

Sources: nostalgebraist 2020, "interpreting GPT: the logit lens"; Belrose et al. 2023, arXiv 2303.08112.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

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
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace
from desktop_app.gpt2.weights import UNEMBEDDING

Array = NDArray[Any]

_ROWS = 1600  # vectors multiplied by W_U at once: enough that the time to read W_U does not matter
_CELLS = 1 << 22  # logits in memory at once

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

    Args: checkpoint: the model that made `trace`. trace: the pass. what: the residual stream, or only the outputs of
    attention or of MLPs. targets: ids of tokens whose logits, probabilities and ranks are returned. translators:
    applied before the final layer norm at the starts of blocks; only for the stream. start: the first position. end:
    the position after the last. stop: cancels between two pieces of the vocabulary. progress: receives the fraction
    done.

    Raises: ModelError: a token or positions that do not exist, or a translator that cannot be used. Cancelled: `stop`
    was set.
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
    found = _Read(len(read), end - start, targets)
    step = max(1, _ROWS // len(read))
    starts = range(start, end, step)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in starts:
            rows = slice(first, min(first + step, end))
            vectors = np.stack(
                [_final(checkpoint, trace, name, rows, layers.get(name), translators, stop) for name in read]
            )
            before, share = (first - start) / (end - start), (rows.stop - first) / (end - start)

            def within(done: float, before: float = before, share: float = share) -> None:
                progress(before + share * done)

            part = _unembed(vectors, table, targets, pool, stop, within)
            found.put(slice(rows.start - start, rows.stop - start), part)
    return Lens(
        points=names,
        translated=np.array([name in layers for name in names]),
        start=start,
        top_id=found.top_id[: len(names)],
        top_probability=found.top_probability[: len(names)],
        entropy=found.entropy[: len(names)],
        kl=found.kl[: len(names)],
        targets=tuple(targets),
        target_logit=found.target_logit[:, : len(names)],
        target_probability=found.target_probability[:, : len(names)],
        target_rank=found.target_rank[:, : len(names)],
        own_logits=trace.logits(end - 1) if names[-1] == output else None,
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


class _Read:
    """Results computed from the logits [point, pos]; filled position by position, or vocabulary piece by piece."""

    def __init__(self, count: int, length: int, targets: Sequence[int]) -> None:
        shape, each = (count, length), (len(targets), count, length)
        self.top_id = np.zeros(shape, np.int64)
        self.top_probability, self.entropy, self.kl = (np.empty(shape, np.float32) for _ in range(3))
        self.target_logit, self.target_probability = (np.empty(each, np.float32) for _ in range(2))
        self.target_rank = np.zeros(each, np.int64)

    def put(self, rows: slice, part: "_Read") -> None:
        """Copy the results of `part` into the given positions."""
        for name, array in vars(self).items():
            array[..., rows] = getattr(part, name)


class _Sums:
    """Running softmax sums over pieces of the vocabulary, relative to the greatest logit so far; [point, pos], float64.

    With m that maximum: `mass` is the sum of e^(l - m), `weighted` the sum of e^(l - m) (l - m), and `cross` the sum of
    e^(f - m_f) (l - m), where f are the model's logits. When a greater logit appears, the sums are rescaled to the new
    maximum, so that no logit is read twice (Milakov and Gimelshein 2018, arXiv 1805.02867).
    """

    def __init__(self, shape: tuple[int, ...], piece: int) -> None:
        self._ones = np.ones(piece, np.float32)
        self.most = np.full(shape, -1e300)
        self.mass, self.weighted, self.cross = (np.zeros(shape) for _ in range(3))
        self._own = threading.local()

    def _scratch(self, shape: tuple[int, int]) -> Array:
        """Scratch memory of the calling thread, reused because the system has to clear newly allocated memory."""
        size = shape[0] * shape[1]
        if getattr(self._own, "buffer", np.empty(0)).size < size:
            self._own.buffer = np.empty(size, np.float32)
        buffer: Array = self._own.buffer
        return buffer[:size].reshape(shape)

    def add(self, point: int, logits: Array, most: Array) -> Array:
        """Add `logits` [pos, piece] with maxima `most` to the sums, overwrite them by l - m, and return e^(l - m)."""
        before = self.most[point]
        after = np.maximum(before, most)
        shrink, moved = np.exp(before - after), self.mass[point] * (before - after)
        logits -= after.astype(np.float32)[:, None]
        raised = np.exp(logits, out=self._scratch(logits.shape))
        self.weighted[point] = shrink * (self.weighted[point] + moved) + np.vecdot(raised, logits)
        self.mass[point] = shrink * self.mass[point] + raised @ self._ones[: raised.shape[-1]]
        self.most[point] = after
        return raised


def _unembed(
    vectors: Array, table: Array, targets: Sequence[int], pool: ThreadPoolExecutor, stop: Stop, progress: Progress
) -> _Read:
    """Results from the logits of `vectors` [point, pos, d_model]; the last point is the model's output."""
    count, length, width = vectors.shape
    flat = vectors.reshape(-1, width)
    piece = min(len(table), max(256, _CELLS // len(flat)))
    found, sums = _Read(count, length, targets), _Sums((count, length), piece)
    for at, token in enumerate(targets):
        found.target_logit[at] = (flat @ table[token]).reshape(count, length)
    buffers = [np.empty(len(flat) * piece, np.float32) for _ in range(2)]
    every = np.arange(length)

    def take(point: int, logits: Array, start: int) -> Array:
        """Add a point's logits [pos, piece] to the sums, and overwrite them by l - m; token `start` comes first."""
        best = logits.argmax(-1)
        most = logits[every, best]
        greater = most > sums.most[point]
        found.top_id[point, greater] = start + best[greater]
        for at, token in enumerate(targets):
            above = logits > found.target_logit[at, point, :, None]
            if start <= token < start + logits.shape[-1]:
                above[:, token - start] = False  # a logit is never greater than itself, regardless of rounding
            found.target_rank[at, point] += np.count_nonzero(above, axis=-1)
        return sums.add(point, logits, most)

    def take_all(logits: Array, start: int) -> list[Future[None]]:
        """Add the logits of every point [point, pos, piece] to the sums, while the next matrix product runs."""
        own_most, own_mass = sums.most[-1].copy(), sums.mass[-1].copy()
        own = take(count - 1, logits[-1], start).copy()  # this thread's memory may be used for another point
        shrink = np.exp(own_most - sums.most[-1])

        def compare(point: int) -> None:
            before = sums.most[point].copy()
            take(point, logits[point], start)
            moved = own_mass * (before - sums.most[point])
            sums.cross[point] = shrink * (sums.cross[point] + moved) + np.vecdot(own, logits[point])

        return [pool.submit(compare, point) for point in range(count - 1)]

    # While one piece is added to the sums, the next is multiplied: idle BLAS threads would slow the thread pool down.
    taken: list[Future[None]] = []
    for n, start in enumerate(range(0, len(table), piece)):
        stop.check()
        rows = table[start : start + piece]
        logits = np.matmul(flat, rows.T, out=buffers[n % 2][: len(flat) * len(rows)].reshape(len(flat), len(rows)))
        for one in taken:
            one.result()
        taken = take_all(logits.reshape(count, length, len(rows)), start)
        progress(min(1.0, (start + piece) / len(table)))
    for one in taken:
        one.result()
    sums.cross[-1] = sums.weighted[-1]
    log_mass, own_mass = np.log(sums.mass), sums.mass[-1]
    found.top_probability[:] = 1 / sums.mass
    # Entropy and KL are never negative; values below zero are due to rounding.
    found.entropy[:] = np.maximum(0, log_mass - sums.weighted / sums.mass)
    found.kl[:] = np.maximum(0, (sums.weighted[-1] - sums.cross) / own_mass - np.log(own_mass) + log_mass)
    found.target_probability[:] = np.exp(found.target_logit - sums.most) / sums.mass
    return found
