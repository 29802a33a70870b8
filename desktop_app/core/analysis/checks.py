"""What `logitscope check` requires of the analyses: sums add up, and numbers agree when computed in another way.

Decompositions are checked against the numbers that the model computed. The lens and the scores of heads are not sums,
so they are recomputed in float64 from their definitions, without the code under test: the lens on the undivided
vocabulary, the scores by comparing tokens instead of by fixed offsets.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis import attribution, flow, heads, lens, parts, rollout, score
from desktop_app.core.analysis.closing import Closing, closing
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.edit import Edit
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace
from desktop_app.gpt2.weights import UNEMBEDDING

Array = NDArray[Any]

_PIECE = 4096  # tokens of the vocabulary converted to float64 at once
_LONGEST = 16  # number of tokens that are repeated to check the scores of heads


@dataclass(frozen=True)
class Check:
    """The checks of one analysis: its name, and a function that yields the closings for a text."""

    name: str
    closings: Callable[[Engine, Trace, Stop], Iterator[Closing]]
    unless: tuple[str, ...] = ()
    """Suffixes of tensor names: if a tensor with one of them is edited, the check is meaningless and is skipped."""


def check_analyses(
    engine: Engine, ids: Sequence[int], stop: Stop | None = None, *, edits: Sequence[Edit] = (), mask: str = CAUSAL
) -> Iterator[Closing]:
    """Every closing of every analysis of the text `ids`, most of them at its last position.

    A closing compares a sum or a recomputed number with the original. With `edits` or a `mask` the changed pass is
    checked; checks that would be meaningless there are skipped.

    Raises ModelError for ids that cannot be run, Cancelled on a stop.
    """
    stop = stop or Stop()
    trace = engine.trace(ids, edits=edits, mask=mask, stop=stop)
    for check in CHECKS:
        if check.unless and any(edit.site.endswith(check.unless) for edit in edits):
            continue
        yield from check.closings(engine, trace, stop)


def _parts(engine: Engine, trace: Trace, stop: Stop) -> Iterator[Closing]:
    layers = engine.config.n_layer
    for layer in sorted({layers // 2, layers}):
        yield from parts.compute(engine.checkpoint, trace, layer=layer, position=-1, stop=stop).closings()


def _attribution(engine: Engine, trace: Trace, stop: Stop) -> Iterator[Closing]:
    top = int(trace.logits(-1).argmax())
    yield from attribution.compute(engine.checkpoint, trace, target=top, stop=stop).closings()


def _score(engine: Engine, trace: Trace, stop: Stop) -> Iterator[Closing]:
    layer, query = engine.config.n_layer - 1, len(trace) - 1
    looks = trace.read(f"blocks.{layer}.attn.pattern", row=query)
    head, key = np.unravel_index(int(looks.argmax()), looks.shape)
    found = score.compute(engine.checkpoint, trace, layer=layer, head=int(head), query=query, key=int(key), stop=stop)
    yield from found.closings()


class _Identity:
    """Translators that change nothing: the lens with them has to equal the logit lens."""

    def apply(self, _layer: int, x: Array) -> Array:
        return x @ np.eye(x.shape[-1], dtype=x.dtype)


def _lens(engine: Engine, trace: Trace, stop: Stop) -> Iterator[Closing]:
    checkpoint, last = engine.checkpoint, len(trace) - 1
    targets = (int(trace.logits(-1).argmax()), engine.config.vocab_size // 2)
    found = lens.compute(checkpoint, trace, targets=targets, start=last, stop=stop)
    yield from found.closings()
    translated = lens.compute(checkpoint, trace, targets=targets, translators=_Identity(), start=last, stop=stop)
    largest = np.abs(found.target_logit).max()
    yield closing("lens: translated by the identity", translated.target_logit, found.target_logit, largest)
    if engine.config.int8:
        return  # a vector computed in float64 may be rounded to other integers
    logits = _lens_logits(checkpoint, trace, found.points, last, stop)
    largest = np.abs(logits).max(-1)
    shares = logits - logits.max(-1, keepdims=True)
    shares -= np.log(np.exp(shares).sum(-1, keepdims=True))
    entropy = -(np.exp(shares) * shares).sum(-1)
    divergence = (np.exp(shares[-1]) * (shares[-1] - shares)).sum(-1)
    again = logits[:, list(targets)].T
    yield closing("lens: logits of a token, recomputed [token, point]", found.target_logit[..., 0], again, largest)
    top = np.exp(shares.max(-1))
    yield closing("lens: top probability, recomputed [point]", found.top_probability[:, 0], top, largest)
    yield closing("lens: entropy, recomputed [point]", found.entropy[:, 0], entropy, largest)
    yield closing("lens: divergence, recomputed [point]", found.kl[:, 0], divergence, largest)


def _lens_logits(checkpoint: Checkpoint, trace: Trace, points: Sequence[str], row: int, stop: Stop) -> Array:
    """LN_f(y) W_U of every point at one position, [point, d_vocab], directly from the definition."""
    weights, table = checkpoint.weights, checkpoint.weights[UNEMBEDDING]
    y = np.stack([trace.read(point, row=row) for point in points]).astype(np.float64)
    y -= y.mean(-1, keepdims=True)
    y /= np.sqrt((y * y).mean(-1, keepdims=True) + checkpoint.config.layer_norm_epsilon)
    y = y * weights["ln_final.w"] + weights["ln_final.b"]
    found = np.empty((len(points), len(table)))
    for start in range(0, len(table), _PIECE):
        stop.check()
        found[:, start : start + _PIECE] = y @ table[start : start + _PIECE].astype(np.float64).T
    return found


def _heads(engine: Engine, _trace: Trace, stop: Stop) -> Iterator[Closing]:
    if engine.config.n_positions < 3:
        return  # no token can be repeated
    found = heads.compute(engine, sequences=1, repeated=_LONGEST, stop=stop)
    count = found.repeated
    # For each position, which of the T tokens it holds, and whether it is in the second copy.
    token = np.array([-1, *range(count), *range(count)])
    second = np.arange(2 * count + 1) > count
    queries, keys = np.indices((2 * count + 1, 2 * count + 1))
    after = np.roll(token, 1)  # for each key, the token before it
    cells = {
        "previous": (queries >= 2) & (keys + 1 == queries),
        "first": (queries >= 1) & (keys < 1),
        "self": (queries >= 1) & (keys == queries),
        "duplicate": second[queries] & ~second[keys] & (token[keys] == token[queries]),
        # The key after the earlier copy of the query's own token.
        "induction": second[queries] & (keys > 0) & (after[keys] == token[queries]) & ~second[keys - 1],
    }
    trace = engine.trace(found.tokens[0].tolist(), stop=stop)
    grids = [trace.read(f"blocks.{layer}.attn.pattern").astype(np.float64) for layer in range(engine.config.n_layer)]
    for name, mask in cells.items():
        rows = np.unique(queries[mask])
        again = np.array([(grid * mask).sum((1, 2)) / len(rows) for grid in grids])
        yield closing(f"heads: {name}, recomputed [layer, head]", found.scores[name], again, 1.0)
    rows = np.arange(1, 2 * count + 1)
    entropy = [-(g * np.log(np.where(g > 0, g, 1))).sum(-1)[:, 1:] / np.log(rows + 1) for g in grids]
    distance = [(g * np.abs(queries - keys)).sum(-1)[:, 1:] for g in grids]
    for name, values in (("entropy", entropy), ("distance", distance)):
        again = np.array(values).mean(-1)
        yield closing(f"heads: {name}, recomputed [layer, head]", found.scores[name], again, np.abs(again).max())
    again = np.array([_shares(engine.checkpoint, trace, layer) for layer in range(engine.config.n_layer)])
    yield closing("heads: share, recomputed [layer, head]", found.scores["share"], again, np.abs(again).max())


def _shares(checkpoint: Checkpoint, trace: Trace, layer: int) -> Array:
    """|result| / |resid_pre| of each head of a block, from the results themselves; mean over positions from 1 on."""
    z = trace.read(f"blocks.{layer}.attn.z")[:, 1:].astype(np.float64)
    width = z.shape[-1]
    matrix = checkpoint.weights[f"blocks.{layer}.attn.W_O"].astype(np.float64)
    stream = np.linalg.norm(trace.read(f"blocks.{layer}.resid_pre")[1:].astype(np.float64), axis=-1)
    results = (z[head] @ matrix[head * width : (head + 1) * width] for head in range(len(z)))
    return np.array([(np.linalg.norm(result, axis=-1) / stream).mean() for result in results])


def _rollout(_engine: Engine, trace: Trace, stop: Stop) -> Iterator[Closing]:
    yield from rollout.rollout(trace, stop=stop).closings()
    yield from rollout.rollout(trace, leave_first=True, stop=stop).closings()


def _flow(engine: Engine, trace: Trace, stop: Stop) -> Iterator[Closing]:
    yield from flow.compute(engine.checkpoint, trace, stop=stop).closings()


CHECKS = (
    Check("parts", _parts),
    Check("attribution", _attribution),
    Check("score", _score, ("attn.q", "attn.k", "attn.scaled")),
    Check("lens", _lens),
    Check("heads", _heads),
    Check("rollout", _rollout),
    Check("flow", _flow),
)
