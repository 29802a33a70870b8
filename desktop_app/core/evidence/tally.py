"""Tallies: what is counted over windows, as arrays by name, and how tallies of neighbouring windows are merged.

Floating-point addition depends on its order. So tallies are merged in pairs, in the order of their windows, whichever
worker computed them and when, and the result always has the same bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.evidence.heads import greatest_pairs

Array = NDArray[Any]
Tally = dict[str, Array]
"""Name -> array. The part of the name before the first dot says how it is merged (RULES)."""

TOP = 20
"""How many passages of a neuron or head, and how many pairs of a head, are stored."""


def greatest(found: Mapping[str, Array]) -> dict[str, Array]:
    """The TOP entries with the largest `value` along axis 1 of arrays [layer, entry, unit]; ties go to the earlier."""
    order = np.argsort(-found["value"], axis=1, kind="stable")[:, :TOP]
    return {name: np.take_along_axis(array, order, 1) for name, array in found.items()}


def _merge_top(one: Mapping[str, Array], other: Mapping[str, Array]) -> dict[str, Array]:
    return greatest({name: np.concatenate([one[name], other[name]], 1) for name in one})


def _merge_pairs(one: Mapping[str, Array], other: Mapping[str, Array]) -> dict[str, Array]:
    layers, heads, _ = one["weight"].shape
    both = {name: np.concatenate([one[name], other[name]], 2).reshape(layers * heads, -1) for name in one}
    return {name: array.reshape(layers, heads, -1) for name, array in greatest_pairs(both, TOP).items()}


def _merge_sample(one: Mapping[str, Array], other: Mapping[str, Array]) -> dict[str, Array]:
    return {name: np.concatenate([one[name], other[name]]) for name in one}


def _merge_sums(one: Mapping[str, Array], other: Mapping[str, Array]) -> dict[str, Array]:
    return {name: one[name] + other[name] for name in one}


RULES: Mapping[str, Callable[[Mapping[str, Array], Mapping[str, Array]], dict[str, Array]]] = {
    "sum": _merge_sums,
    "pre_top": _merge_top,
    "post_top": _merge_top,
    "head_top": _merge_top,
    "pairs": _merge_pairs,
    "sample": _merge_sample,
}
"""The group of a name -> the function that merges the group's arrays of two tallies, the earlier windows first."""


def group(tally: Mapping[str, Array], name: str) -> dict[str, Array]:
    """The arrays of one group, by the rest of their names."""
    return {key.removeprefix(f"{name}."): array for key, array in tally.items() if key.startswith(f"{name}.")}


def merge(one: Tally, other: Tally) -> Tally:
    """The merged tally of both; `one` has the earlier windows."""
    found: Tally = {}
    for name, rule in RULES.items():
        merged = rule(group(one, name), group(other, name)) if any(key.startswith(f"{name}.") for key in one) else {}
        found |= {f"{name}.{key}": array for key, array in merged.items()}
    return found


def merge_all(tallies: Sequence[Tally]) -> Tally:
    """The merged tally of several, given in the order of their windows: merged in pairs, then pairs of pairs."""
    level = list(tallies)
    while len(level) > 1:
        level = [merge(*level[n : n + 2]) if n + 1 < len(level) else level[n] for n in range(0, len(level), 2)]
    return level[0]
