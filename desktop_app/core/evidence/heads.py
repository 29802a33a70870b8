"""Statistics of every head of a block on a window: scores, distances, norms, and the pairs of tokens with most weight.

The scores are those of core/analysis/heads.py on one text: the sum of A on a pattern over the sum of A, for queries
from position 1 on; `*_without_first` leave key 0 out. A window without any key of a pattern has no score for that
pattern, and does not count. A distance histogram has the fraction of attention in each of DISTANCES.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.heads import entropy_and_distance, text_patterns
from desktop_app.core.analysis.measures import MEASURES, PATTERNS

Array = NDArray[Any]

BEYOND = tuple(f"{name}_without_first" for name in PATTERNS if name != "first")
SCORES = (*MEASURES, *BEYOND)
"""The scores of a head on a text."""

DISTANCES = (0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)
"""The smallest distance, query position minus key position, of each bin; the last bin is unbounded."""


def distance_masks(length: int) -> Array:
    """[cell, bin] over the cells of [query, key]: 1 if the query sees the key and their distance is in the bin.

    All cells of query 0 are 0.
    """
    apart = np.arange(length)[:, None] - np.arange(length)[None]
    bins = np.searchsorted(DISTANCES, apart, side="right") - 1
    masks = np.stack([(bins == n) & (apart >= 0) for n in range(len(DISTANCES))], -1)
    masks[0] = False
    return masks.reshape(-1, len(DISTANCES)).astype(np.float32)


def window_patterns(ids: Array) -> Array:
    """A mask for each of PATTERNS in a text, [pattern, query, key], with zeros for query 0, which sees only one key."""
    masks = np.stack(list(text_patterns(ids.tolist()).values()))
    masks[:, 0] = 0
    return masks


def scores(pattern: Array, masks: Array, present: Sequence[bool], present_beyond: Sequence[bool]) -> Array:
    """All of SCORES except `share`, [score, head], from patterns [head, query, key].

    A score is NaN if the window has no key of the pattern. `masks` is [pattern, query, key]. `present` and
    `present_beyond` [pattern] say whether the window has a key of the pattern, and whether it has one other than key 0.
    """
    heads, queries = len(pattern), pattern.shape[1] - 1
    on = pattern.reshape(heads, -1) @ masks.reshape(len(PATTERNS), -1).T  # [head, pattern]
    on_first = pattern[:, 1:, 0]
    at_first = np.einsum("hq,pq->hp", on_first, masks[:, 1:, 0])
    beyond = queries - on_first.sum(1, dtype=np.float64)
    found = {}
    for n, name in enumerate(PATTERNS):
        found[name] = on[:, n] / queries if present[n] else np.full(heads, np.nan)
        if name != "first":
            there = present_beyond[n]
            part = (on[:, n] - at_first[:, n]) / np.maximum(beyond, 1e-12)
            found[f"{name}_without_first"] = part if there else np.full(heads, np.nan)
    found |= entropy_and_distance(pattern, np.arange(1, queries + 2)[None])
    return np.stack([found[name].astype(np.float64) for name in SCORES if name != "share"])


def result_norms(z: Array, inner: Array) -> Array:
    """|z W_O| of each head and position, [head, pos]; `inner` [head, d_head, d_head] is W_O W_O^T of each head."""
    return np.sqrt(np.maximum(0, np.vecdot(z @ inner, z)))


def pairs(pattern: Array, ids: Array) -> dict[str, Array]:
    """For each query from position 1 on, the key other than key 0 to which a head attends most; arrays [head, query].

    `weight` is the attention to that key, `key` and `query` are positions, `key_id` and `query_id` token ids.
    """
    looks = pattern[:, 1:, 1:]
    key = looks.argmax(-1)
    weight = np.take_along_axis(looks, key[..., None], -1)[..., 0]
    query = np.broadcast_to(np.arange(1, len(ids)), key.shape)
    key = key + 1
    return {
        "weight": weight,
        "query": query.astype(np.int32),
        "key": key.astype(np.int32),
        "query_id": ids[query].astype(np.int64),
        "key_id": ids[key].astype(np.int64),
    }


def greatest_pairs(found: dict[str, Array], count: int) -> dict[str, Array]:
    """The `count` pairs with the largest weights of each head; of pairs with the same ids, only one is included.

    That is the one with the largest weight or, of equal weights, the earliest. The arrays in `found` are [head, pair],
    in the order of windows, those of the result [head, rank]; a rank for which there is no pair has the weight -1.
    """
    order = np.argsort(-found["weight"], axis=1, kind="stable")
    found = {name: np.take_along_axis(array, order, 1) for name, array in found.items()}
    pair = (found["query_id"] << 32) | found["key_id"]
    # Later duplicates of a pair are left out: after a stable sort by pair, all except the first of each.
    by_pair = np.argsort(pair, axis=1, kind="stable")
    ordered = np.take_along_axis(pair, by_pair, 1)
    repeated = np.zeros(pair.shape, bool)
    np.put_along_axis(repeated, by_pair[:, 1:], ordered[:, 1:] == ordered[:, :-1], 1)
    found["weight"] = np.where(repeated, np.float32(-1), found["weight"])
    kept = np.argsort(-found["weight"], axis=1, kind="stable")[:, :count]
    return {name: np.take_along_axis(array, kept, 1) for name, array in found.items()}
