"""How every head attends: on a battery of repeated random tokens, and on the current text.

The battery is `sequences` texts of a begin token and the same T random tokens twice, at positions 1 to T and T + 1 to
2 T. With A the pattern, each score is the mean over the queries i named here:

    previous   A[i, i-1], i >= 2             duplicate  A[i, i-T], i in the second copy
    first      A[i, 0], i >= 1               induction  A[i, i-T+1], i in the second copy (Olsson et al. 2022)
    self       A[i, i], i >= 1               entropy    -sum A ln A / ln n_i, i >= 1: 1 for uniform attention
    distance   sum of A |i - j|, i >= 1      share      |result_i| / |resid_pre_i|, i >= 1

n_i is the number of keys that the mask lets query i see, i + 1 under GPT-2's causal mask; a query that sees only one
key has no entropy and does not count.

`without_first` has the scores of PATTERNS with key 0 left out: the sum of A on the pattern over the sum of A beyond
key 0 (`first` is then 0). For a head that mostly attends to the first token they show what else it does.
Source of the induction score: Olsson et al. 2022, "In-context Learning and Induction Heads".
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Progress, unheard
from desktop_app.core.analysis.measures import MEASURES, PATTERNS
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.core.analysis.parts import output_matrices
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.edit import parse_edits
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

SEQUENCES = 8
REPEATED = 50

_AT_ONCE = 16 << 20  # bytes of a block's patterns read at once
_ROWS = 64  # queries measured at once: their patterns and temporary arrays then fit in a core's cache


@dataclass(frozen=True, eq=False, repr=False)
class Heads(NamedArrays):
    """Scores of every head on a battery.

    `scores` of MEASURES and `without_first` of PATTERNS are [layer, head], means over the battery's texts; `spread` of
    MEASURES is the standard deviation over these texts. `uniform` is what each of PATTERNS would be for uniform
    attention to the keys that each query may see, averaged over heads. `tokens` [sequence, pos] are the texts, which
    begin with the token `begin`; `repeated` is T. `each` has MEASURES for every text, [sequence, layer, head].
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **dict.fromkeys(MEASURES, ("layer", "head")),
        **{f"{name}_spread": ("layer", "head") for name in MEASURES},
        **{f"{name}_without_first": ("layer", "head") for name in PATTERNS},
        "tokens": ("sequence", "pos"),
    }

    scores: Mapping[str, Array]
    spread: Mapping[str, Array]
    without_first: Mapping[str, Array]
    uniform: Mapping[str, float]
    tokens: Array
    begin: int
    repeated: int
    each: Mapping[str, Array]

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        found = {name: self.scores[name] for name in MEASURES} | {"tokens": self.tokens}
        found |= {f"{name}_spread": self.spread[name] for name in MEASURES}
        return found | {f"{name}_without_first": self.without_first[name] for name in PATTERNS}


@dataclass(frozen=True, eq=False, repr=False)
class HeadsOnText(NamedArrays):
    """Scores of every head on one text, [layer, head]: for PATTERNS, the fraction of attention on the pattern.

    This is the sum of A on the pattern over the sum of A, for all queries from position 1 on and all keys that they
    see, except keys that are left out. `duplicate` is attention to earlier keys with the query's token, and `induction`
    is attention to the keys that come right after those. A score is NaN if the text has no key for its pattern, or none
    that is not left out. `entropy`, `distance` and `share` are as on the battery, over all of A.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = dict.fromkeys(MEASURES, ("layer", "head"))

    scores: Mapping[str, Array]
    leave_first: bool
    leave_self: bool

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return dict(self.scores)


def compute(
    engine: Engine,
    *,
    begin: int | None = None,
    seed: int = 0,
    sequences: int = SEQUENCES,
    repeated: int | None = None,
    edits: Sequence[str] = (),
    mask: str = CAUSAL,
    stop: Stop | None = None,
    progress: Progress = unheard,
) -> Heads:
    """Scores of every head on a battery.

    Args:
        engine: the model.
        begin: the token with which texts begin; by default the id 0.
        seed: the same seed gives the same tokens.
        sequences: the number of texts.
        repeated: T; by default REPEATED, or less if the context is too short.
        edits: the edits of every pass, in the notation that `parse_edits` reads.
        mask: which keys a query sees in every pass.
        stop: cancels within a pass or between two blocks.
        progress: receives the fraction done.

    Raises:
        ModelError: the context is too short to repeat a token, or the target of an edit does not exist.
        Cancelled: `stop` was set.
    """
    stop, config = stop or Stop(), engine.config
    tokens = battery(config, begin or 0, seed, sequences, repeated)
    count = (tokens.shape[1] - 1) // 2
    each = np.empty((len(MEASURES), sequences, config.n_layer, config.n_head))
    beyond = np.empty((len(PATTERNS), sequences, config.n_layer, config.n_head))
    for n, ids in enumerate(tokens):
        trace = engine.trace(ids.tolist(), edits=parse_edits(edits, config, len(ids)), mask=mask, stop=stop)
        for layer in range(config.n_layer):
            stop.check()
            pattern = trace.read(f"blocks.{layer}.attn.pattern")
            looks = on_battery(pattern, count)
            measured = looks | entropy_and_distance(pattern, _seen(trace, layer).sum(-1))
            measured["share"] = share_of_norm(engine.checkpoint, trace, layer)
            each[:, n, layer] = [measured[name] for name in MEASURES]
            beyond[:, n, layer] = [without_first(pattern, looks, name, count) for name in PATTERNS]
        progress((n + 1) / sequences)
    return Heads(
        scores=dict(zip(MEASURES, each.mean(1), strict=True)),
        spread=dict(zip(MEASURES, each.std(1), strict=True)),
        without_first=dict(zip(PATTERNS, beyond.mean(1), strict=True)),
        uniform=uniform(count, config, mask),
        tokens=tokens,
        begin=begin or 0,
        repeated=count,
        each=dict(zip(MEASURES, each, strict=True)),
    )


_kept: WeakKeyDictionary[Checkpoint, dict[tuple[Any, ...], Heads]] = WeakKeyDictionary()
_lock = threading.Lock()


def kept(
    engine: Engine,
    *,
    begin: int | None = None,
    seed: int = 0,
    stop: Stop | None = None,
    progress: Progress = unheard,
) -> Heads:
    """The result of `compute`, cached for as long as the checkpoint is in memory."""
    key = (begin, seed)
    with _lock:
        found = _kept.get(engine.checkpoint, {}).get(key)
    if found is None:
        found = compute(engine, begin=begin, seed=seed, stop=stop, progress=progress)
        with _lock:
            _kept.setdefault(engine.checkpoint, {})[key] = found
    return found


def battery(config: Config, begin: int, seed: int, sequences: int = SEQUENCES, repeated: int | None = None) -> Array:
    """Token ids [sequence, pos]: `begin`, T random tokens, and the same tokens again.

    Tokens are drawn from the middle of the range of ids, which byte-pair encoding orders by frequency, and without
    repetition if there are enough. Raises ModelError if the context is too short.
    """
    room = (config.n_positions - 1) // 2
    count = min(room, REPEATED if repeated is None else repeated)
    if count < 1:
        raise ModelError(
            f"A context of {config.n_positions} is too short to repeat a token; scores of heads need at least 3."
        )
    every = np.arange(config.vocab_size)
    ids = every[every != begin] if len(every) > 1 else every
    low, high = len(ids) // 8, len(ids) - len(ids) // 4
    middle = ids[low:high] if high - low >= count else ids
    rng = np.random.default_rng(seed)
    drawn = np.stack([rng.choice(middle, count, replace=len(middle) < count) for _ in range(sequences)])
    return np.concatenate([np.full((sequences, 1), begin), drawn, drawn], 1).astype(np.int64)


_CELLS: Mapping[str, Callable[[int], tuple[int, int | None]]] = {
    "previous": lambda _repeated: (2, -1),
    "first": lambda _repeated: (1, None),
    "self": lambda _repeated: (1, 0),
    "duplicate": lambda repeated: (repeated + 1, -repeated),
    "induction": lambda repeated: (repeated + 1, 1 - repeated),
}
"""Functions of T that return the first query that counts, and the key's offset from the query (None: the key is 0)."""


def cells(name: str, repeated: int) -> tuple[Array, Array]:
    """The queries over which a score of PATTERNS is averaged, and the key of each."""
    first, offset = _CELLS[name](repeated)
    queries = np.arange(first, 2 * repeated + 1)
    return queries, np.zeros_like(queries) if offset is None else queries + offset


def on_battery(pattern: Array, repeated: int) -> dict[str, Array]:
    """Scores of PATTERNS from patterns [head, query, key] of one of the battery's texts: name -> [head]."""
    found = {}
    for name in PATTERNS:
        queries, keys = cells(name, repeated)
        found[name] = pattern[:, queries, keys].mean(-1)
    return found


def without_first(pattern: Array, looks: Mapping[str, Array], name: str, repeated: int) -> Array:
    """A score of PATTERNS with key 0 left out: the weight on the pattern over all weight beyond key 0."""
    if name == "first":
        return np.zeros(len(pattern))
    beyond = 1 - pattern[:, cells(name, repeated)[0], 0].mean(-1, dtype=np.float64)
    return looks[name] / np.maximum(beyond, 1e-12)


def uniform(repeated: int, config: Config, mask: str = CAUSAL) -> dict[str, float]:
    """Each score of PATTERNS for uniform attention to the keys that a query may see, averaged over the heads."""
    every = np.arange(2 * repeated + 1)
    found = dict.fromkeys(PATTERNS, 0.0)
    layers = range(config.n_layer) if mask_of(mask, config).heads else range(1)
    for layer in layers:
        seen = ~mask_of(mask, config).hidden(config, layer, every, every)
        alike = seen / seen.sum(-1, keepdims=True)
        for name in PATTERNS:
            queries, keys = cells(name, repeated)
            found[name] += float(alike[:, queries, keys].mean()) / len(layers)
    return found


def _seen(trace: Trace, layer: int) -> NDArray[np.bool_]:
    """Which keys a query sees: [head, query, key], or [1, query, key] if all heads have the same mask."""
    every = np.arange(len(trace))
    return ~mask_of(trace.run.mask, trace.config).hidden(trace.config, layer, every, every)


def entropy_and_distance(pattern: Array, seen: Array) -> dict[str, Array]:
    """Mean entropy, relative to uniform attention, and mean distance in tokens, of patterns [head, query, key].

    Both are means over queries from position 1 on. `seen` [head, query], or [1, query], is the number of keys that a
    query sees. Both are NaN for a text of one token; the entropy also for heads whose queries see only one key.
    """
    count = pattern.shape[-1]
    if count < 2:
        return dict.fromkeys(("entropy", "distance"), np.full(len(pattern), np.nan))
    counts = np.broadcast_to(seen, (len(pattern), count))[:, 1:]
    entropy, distance = np.empty((2, *counts.shape), pattern.dtype)
    every = np.arange(count, dtype=pattern.dtype)
    for start in range(1, count, _ROWS):
        rows = slice(start, min(start + _ROWS, count))
        # Keys after the last one that any of these queries attends to add only 0, so they are skipped. In a long text
        # under the causal mask they are about half of the grid.
        keys = slice(0, 1 + int(np.flatnonzero(pattern[:, rows].any((0, 1))).max(initial=0)))
        looks = pattern[:, rows, keys]
        logs = np.maximum(looks, 1e-30)  # a weight of 0 adds 0
        entropy[:, start - 1 : rows.stop - 1] = -np.vecdot(looks, np.log(logs, out=logs))
        distance[:, start - 1 : rows.stop - 1] = np.vecdot(looks, np.abs(every[rows, None] - every[keys]))
    several = counts > 1
    shares = np.divide(entropy, np.log(counts), out=np.zeros(counts.shape), where=several)
    weights = several.sum(-1)
    entropy = np.divide(shares.sum(-1), weights, out=np.full(len(pattern), np.nan), where=weights > 0)
    return {"entropy": entropy, "distance": distance.mean(-1)}


def share_of_norm(checkpoint: Checkpoint, trace: Trace, layer: int) -> Array:
    """|result| / |resid_pre| of each head of a block, averaged over positions from 1 on: [head].

    The norm of z W_O is computed from the [d_head, d_head] Gram matrices of W_O's rows, so that no result is formed.
    """
    inner = _inner_products(checkpoint, layer)
    z = trace.read(f"blocks.{layer}.attn.z")[:, 1:]
    if not z.shape[1]:
        return np.full(len(z), np.nan)
    norms = np.sqrt(np.maximum(0, np.vecdot(z @ inner, z)))
    return (norms / np.linalg.norm(trace.read(f"blocks.{layer}.resid_pre")[1:], axis=-1)).mean(-1)


_inner: WeakKeyDictionary[Checkpoint, dict[int, Array]] = WeakKeyDictionary()


def _inner_products(checkpoint: Checkpoint, layer: int) -> Array:
    """W_O W_O^T of each head of a block: [head, d_head, d_head]; stored for as long as the checkpoint is in memory."""
    with _lock:
        stored = _inner.setdefault(checkpoint, {})
        if layer not in stored:
            matrices = output_matrices(checkpoint, layer)
            stored[layer] = matrices @ matrices.transpose(0, 2, 1)
        return stored[layer]


def on_text(
    checkpoint: Checkpoint,
    trace: Trace,
    *,
    leave_first: bool = False,
    leave_self: bool = False,
    stop: Stop | None = None,
    progress: Progress = unheard,
) -> HeadsOnText:
    """Scores of every head on the text of `trace`.

    `leave_first` excludes key 0 from the attention that counts, `leave_self` every token's attention to itself. Raises
    Cancelled on a stop.
    """
    stop, config = stop or Stop(), checkpoint.config
    counted = np.ones((len(trace),) * 2, np.float32)  # keys that a query does not see have no weight
    counted[0] = 0
    if leave_first:
        counted[:, 0] = 0
    if leave_self:
        np.fill_diagonal(counted, 0)
    on = {name: np.flatnonzero(mask * counted) for name, mask in text_patterns(trace.ids).items()}
    found = {name: np.full((config.n_layer, config.n_head), np.nan) for name in MEASURES}
    for layer in range(config.n_layer):
        seen = _seen(trace, layer).sum(-1)
        for heads, pattern in patterns(trace, layer):
            stop.check()
            flat = pattern.reshape(len(pattern), -1)
            whole = flat @ counted.reshape(-1)
            for name, places in on.items():
                if len(places):
                    with np.errstate(divide="ignore", invalid="ignore"):
                        found[name][layer, heads] = flat[:, places].sum(-1) / whole
            for name, values in entropy_and_distance(pattern, seen if len(seen) == 1 else seen[heads]).items():
                found[name][layer, heads] = values
        found["share"][layer] = share_of_norm(checkpoint, trace, layer)
        progress((layer + 1) / config.n_layer)
    return HeadsOnText(found, leave_first, leave_self)


def patterns(trace: Trace, layer: int) -> Iterator[tuple[slice, Array]]:
    """(slice of heads, attention [head, query, key]) for a block: all heads at once or, if large, one by one."""
    name, heads = f"blocks.{layer}.attn.pattern", trace.config.n_head
    if 4 * heads * len(trace) ** 2 <= _AT_ONCE:
        yield slice(0, heads), trace.read(name)
    else:
        for head in range(heads):
            yield slice(head, head + 1), trace.read(name, head=head)[None]


def text_patterns(ids: Sequence[int]) -> dict[str, Array]:
    """Name -> mask [query, key], for each of PATTERNS in a text: 1 at the keys of the pattern, none after the query."""
    tokens = np.asarray(ids)
    count = len(tokens)
    same = tokens[:, None] == tokens[None, :]
    earlier = np.tri(count, count, -1, dtype=bool)
    after = np.zeros((count, count), bool)
    after[:, 1:] = (same & earlier)[:, :-1]  # the key after an earlier occurrence of the query's token
    first = np.zeros((count, count), bool)
    first[:, 0] = True
    found = {
        "previous": np.eye(count, k=-1, dtype=bool),
        "first": first,
        "self": np.eye(count, dtype=bool),
        "duplicate": same & earlier,
        "induction": after,
    }
    return {name: mask.astype(np.float32) for name, mask in found.items()}
