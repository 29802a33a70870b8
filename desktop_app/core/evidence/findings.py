"""The findings of a whole scan: the merged tally as means, spreads and lists of passages.

For a neuron's deciles, sampled windows are sorted by the neuron's largest value in each, without position 0. SAMPLE
windows are drawn by the seed, or all are used if there are fewer. From each tenth, FROM_EACH passages are stored,
evenly spaced by rank.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.evidence.neurons import SIDES
from desktop_app.core.evidence.tally import Tally, group

Array = NDArray[Any]

SAMPLE = 200
DECILES, FROM_EACH = 10, 5


def sample_of(windows: int, seed: int) -> frozenset[int]:
    """The numbers of the windows from which deciles are computed."""
    return frozenset(range(windows) if windows <= SAMPLE else Random(f"sample {seed}").sample(range(windows), SAMPLE))


@dataclass(frozen=True, eq=False)
class Neurons:
    """Statistics of every neuron, before or after the activation, over all positions from 1 on, [layer, neuron].

    `positive` is the fraction of values above zero; `first_*` are for position 0 alone. `histogram` [layer, neuron,
    bin] has counts.
    """

    mean: Array
    variance: Array
    positive: Array
    first_mean: Array
    first_variance: Array
    histogram: Array


@dataclass(frozen=True, eq=False)
class Passages:
    """Passages, [layer, rank, unit]: the value, the number of its window, and its position in that window.

    If there are fewer windows than ranks, the window of the remaining ranks is -1.
    """

    value: Array
    window: Array
    position: Array


@dataclass(frozen=True, eq=False)
class HeadFindings:
    """For every head: means of SCORES over windows, and standard deviations, [score, layer, head]; NaN without windows.

    `norm` is the mean norm of a result over positions from 1 on, `norm_spread` its standard deviation, and `first_norm`
    the mean at position 0. `distances` [layer, head, bin] are the fractions of attention at each distance.
    """

    scores: Array
    spread: Array
    norm: Array
    norm_spread: Array
    first_norm: Array
    distances: Array


@dataclass(frozen=True, eq=False)
class Findings:
    """All findings of a scan."""

    windows: int
    rows: int
    not_finite: int
    neurons: Mapping[str, Neurons]
    top: Mapping[str, Passages]
    deciles: Mapping[str, Passages]
    heads: HeadFindings
    head_top: Passages
    pairs: Mapping[str, Array]
    loss: Array
    loss_spread: Array
    loss_count: Array
    tokens: Array
    lens: tuple[Array, Array, Array] | None
    """Accuracy, loss and count of the lens at each point; None if the lens was not read."""


def findings(tally: Tally) -> Findings:
    """The findings from the tally of all windows."""
    sums = group(tally, "sum")
    windows, rows = int(sums["windows"][0]), int(sums["rows"][0])
    with np.errstate(divide="ignore", invalid="ignore"):
        score, spread = _moments(sums["head_scores"], sums["head_squares"], sums["head_windows"])
        norm, norm_variance = _moments(sums["norm"], sums["norm_squares"], rows)
        loss, loss_variance = _moments(sums["loss"], sums["loss_squares"], sums["loss_count"])
        heads = HeadFindings(
            score, np.sqrt(spread), norm, np.sqrt(norm_variance), sums["first_norm"] / windows, sums["distances"] / rows
        )
        lens = None
        if "lens_count" in sums:
            count = sums["lens_count"]
            lens = (sums["lens_correct"] / count, sums["lens_loss"] / count, count)
    return Findings(
        windows,
        rows,
        int(sums["not_finite"][0]),
        {side: _neurons(group(sums, side), rows, windows) for side in SIDES},
        {side: Passages(**group(tally, f"{side}_top")) for side in SIDES},
        {side: deciles(group(tally, "sample"), side) for side in SIDES},
        heads,
        Passages(**group(tally, "head_top")),
        group(tally, "pairs"),
        loss,
        np.sqrt(loss_variance),
        sums["loss_count"],
        sums["tokens"],
        lens,
    )


def _moments(total: Array, squares: Array, count: Array | int) -> tuple[Array, Array]:
    mean = total / count
    return mean, np.maximum(0, squares / count - mean * mean)


def _neurons(sums: Mapping[str, Array], rows: int, windows: int) -> Neurons:
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, variance = _moments(sums["sum"], sums["squares"], rows)
        first, first_variance = _moments(sums["first_sum"], sums["first_squares"], windows)
        return Neurons(mean, variance, sums["positive"] / rows, first, first_variance, sums["histogram"])


def deciles(sample: Mapping[str, Array], side: str) -> Passages:
    """FROM_EACH passages of each tenth of the sampled windows, the lowest first: [layer, decile and rank, neuron]."""
    value, place = sample[f"{side}.value"], sample[f"{side}.position"]  # [window, layer, neuron]
    count = len(value)
    bounds = [count * n // DECILES for n in range(DECILES + 1)]
    ranks = []
    for low, high in pairwise(bounds):
        size = high - low
        chosen = [low + size * (2 * n + 1) // (2 * FROM_EACH) for n in range(FROM_EACH)]
        ranks += [rank if rank not in chosen[:n] and size else -1 for n, rank in enumerate(chosen)]
    layers: list[tuple[Array, Array, Array]] = []
    for layer in range(value.shape[1]):
        order = np.argsort(value[:, layer], axis=0, kind="stable")
        picked = order[ranks] if count else np.zeros((len(ranks), value.shape[2]), np.int64)
        windows = sample["window"][picked] if count else np.zeros(picked.shape, np.int64)
        windows = np.where(np.array(ranks)[:, None] < 0, -1, windows)
        if not count:
            blank = np.zeros(picked.shape, np.float32)
            layers.append((blank, windows, blank.astype(np.int32)))
            continue
        layers.append(
            (
                np.take_along_axis(value[:, layer], picked, 0),
                windows,
                np.take_along_axis(place[:, layer], picked, 0),
            )
        )
    return Passages(*(np.stack(part) for part in zip(*layers, strict=True)))
