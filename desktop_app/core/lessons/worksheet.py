"""Exercises on paper about a pass: numbers rounded so that the given results follow from them, and the answers.

Products of rounded numbers are exact decimals. Terms that an exercise leaves out are given as one number, chosen so
that the sum equals the model's number, rounded. Where a result has to be rounded again (exponentials, divisions), the
answer is computed from the rounded numbers, and the answer key also shows the model's number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.scene import Scene
from desktop_app.gpt2.errors import ExportError

_SHOWN_DIMS, _SHOWN_KEYS, _SHOWN_TOKENS = 5, 4, 14


@dataclass(frozen=True)
class Entry:
    """One cell of an exercise's table. If `asked`, it is blank except in the answer key."""

    text: str
    asked: bool = False


@dataclass(frozen=True)
class Exercise:
    """One exercise: the task, a table with blank cells, and the model's number for the answer key."""

    level: str
    title: str
    task: tuple[str, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    own: str


def exact(value: float, places: int) -> Decimal:
    """A number rounded to `places` decimals."""
    return Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)


def written(value: Decimal) -> str:
    """A decimal as text with a minus sign (U+2212); zero has none."""
    text = f"{value:f}"
    return text.removeprefix("-") if not value else text.replace("-", "\u2212")


def _given(value: Decimal) -> Entry:
    return Entry(written(value))


def _asked(value: Decimal) -> Entry:
    return Entry(written(value), asked=True)


def _places(values: NDArray[np.floating]) -> int:
    """The number of decimals, at most four, with which the largest number has at least two significant digits."""
    largest = float(np.abs(values).max(initial=0.0))
    return 1 if largest >= 1 else min(4, 1 - int(np.floor(np.log10(largest)))) if largest > 0 else 1


def _where(scene: Scene, position: int) -> str:
    return f"{scene.tokenizer.quoted(scene.trace.ids[position])} (position {position})"


def dot(scene: Scene) -> Exercise:
    """A score: the five largest products of a query and a key, the given sum of the other products, and the scaling."""
    layer, head, query = scene.layer, scene.head, scene.token
    block = f"blocks.{layer}.attn."
    pattern = scene.trace.read(f"{block}pattern", head=head, row=query)
    key = int(np.argmax(pattern))
    q = scene.trace.read(f"{block}q", head=head, row=query).astype(np.float64)
    k = scene.trace.read(f"{block}k", head=head, row=key).astype(np.float64)
    score = float(scene.trace.read(f"{block}scores", head=head, row=query)[key])
    dims = np.sort(np.argsort(-np.abs(q * k), kind="stable")[:_SHOWN_DIMS])
    a, b = _places(q[dims]), _places(k[dims])
    rows, total = [], Decimal(0)
    for d in dims:
        left, right = exact(q[d], a), exact(k[d], b)
        rows.append((Entry(str(int(d))), _given(left), _given(right), _asked(left * right)))
        total += left * right
    goal = exact(score, a + b)
    rest = len(q) - len(dims)
    if rest:
        rows.append((Entry(f"the other {rest}"), Entry(""), Entry(""), _given(goal - total)))
    else:
        goal = total
    divisor = exact(scene.config.score_divisor(layer), 2)
    scaled = exact(float(goal / divisor), 2)
    rows.append((Entry("score"), Entry(""), Entry("sum"), _asked(goal)))
    rows.append((Entry("scaled score"), Entry(""), Entry(f"\u00f7 {written(divisor)}"), _asked(scaled)))
    own = float(scene.trace.read(f"{block}scaled", head=head, row=query)[key])
    return Exercise(
        "dot",
        "One attention score",
        (
            f"Block {layer}, head {head}: how well does the query of {_where(scene, query)} match the key of "
            f"{_where(scene, key)}?",
            "Multiply the two numbers of each row, add up, and divide by the scale.",
        ),
        ("dimension", "query", "key", "product"),
        tuple(rows),
        f"The model's scaled score, unrounded: {own:.4f}.",
    )


def _strongest(row: NDArray[np.floating]) -> list[int]:
    return sorted(np.argsort(-row, kind="stable")[:_SHOWN_KEYS].tolist())


def softmax(scene: Scene) -> Exercise:
    """The softmax of a row of scores: exponentials, their sum, and the weights of the strongest keys."""
    layer, head, query = scene.layer, scene.head, scene.token
    block = f"blocks.{layer}.attn."
    scores = scene.trace.read(f"{block}scaled", head=head, row=query)[: query + 1].astype(np.float64)
    pattern = scene.trace.read(f"{block}pattern", head=head, row=query)[: query + 1]
    keys = _strongest(pattern)
    off = {key: exact(scores[key] - scores.max(), 2) for key in keys}
    powers = {key: exact(float(np.exp(float(off[key]))), 3) for key in keys}
    others = exact(
        float(np.exp(scores - scores.max()).sum() - sum(np.exp(scores[key] - scores.max()) for key in keys)), 3
    )
    others = others if query + 1 > len(keys) else Decimal("0.000")
    total = sum(powers.values(), others)
    rows = [
        (
            Entry(f"{scene.labels[key]} {key}"),
            _given(off[key]),
            _asked(powers[key]),
            _asked(exact(float(powers[key] / total), 2)),
        )
        for key in keys
    ]
    if query + 1 > len(keys):
        rows.append((Entry(f"the other {query + 1 - len(keys)}"), Entry(""), _given(others), Entry("")))
    rows.append((Entry("sum"), Entry(""), _asked(total), Entry("")))
    own = ", ".join(f"{scene.labels[key]} {key}: {float(pattern[key]):.4f}" for key in keys)
    return Exercise(
        "softmax",
        "One softmax",
        (
            f"Block {layer}, head {head}: how does {_where(scene, query)} distribute its attention?",
            "The largest score of the row was subtracted from all of them. Write e to the power of each (three "
            "decimals), add them up with the given sum for the other tokens, and divide each by the sum (two "
            "decimals).",
        ),
        ("key", "score \u2212 largest", "e^", "attention"),
        tuple(rows),
        f"The model's attention, unrounded: {own}.",
    )


def head_of_four(scene: Scene) -> Exercise:
    """A head's output over four tokens: attention weights times values, for two numbers of the result."""
    layer, head, query = scene.layer, scene.head, scene.token
    block = f"blocks.{layer}.attn."
    pattern = scene.trace.read(f"{block}pattern", head=head, row=query)[: query + 1]
    keys = _strongest(pattern)
    z = scene.trace.read(f"{block}z", head=head, row=query).astype(np.float64)
    dims = np.sort(np.argsort(-np.abs(z), kind="stable")[:2]).tolist()
    values = np.stack([scene.trace.read(f"{block}v", head=head, row=key)[dims] for key in keys])
    places = _places(values)
    weights = [exact(float(pattern[key]), 2) for key in keys]
    sums, rows = [Decimal(0)] * len(dims), []
    for n, key in enumerate(keys):
        row = [Entry(f"{scene.labels[key]} {key}"), _given(weights[n])]
        for m in range(len(dims)):
            value = exact(float(values[n, m]), places)
            row += [_given(value), _asked(weights[n] * value)]
            sums[m] += weights[n] * value
        rows.append(tuple(row))
    goals = [exact(float(z[d]), places + 2) for d in dims]
    last: list[Entry] = []
    for m in range(len(dims)):
        last += [Entry(""), _given(goals[m] - sums[m])]
    rows.append((Entry("others, rounding"), Entry(""), *last))
    result: list[Entry] = []
    for m in range(len(dims)):
        result += [Entry("sum"), _asked(goals[m])]
    rows.append((Entry("result"), Entry(""), *result))
    heads: list[str] = []
    for d in dims:
        heads += [f"value, dim {d}", "product"]
    own = ", ".join(f"dimension {d}: {z[d]:.5f}" for d in dims)
    return Exercise(
        "head",
        "One head on four tokens",
        (
            f"Block {layer}, head {head} at {_where(scene, query)}: two of the {len(z)} numbers that it reads out of "
            "the text.",
            "Multiply each token's value by the attention that it gets, and add up. The contribution of all other "
            "tokens is given.",
        ),
        ("key", "attention", *heads),
        tuple(rows),
        f"The model's result, unrounded: {own}.",
    )


def top_p(scene: Scene) -> Exercise:
    """Which tokens top-p keeps, by cumulative sums, and their renormalised probabilities."""
    sampling, stages = scene.state.sampling, scene.stages
    p = sampling.top_p if 0 < sampling.top_p < 1 else 0.9
    shares = stages.probs_top_k
    kept = int(np.searchsorted(stages.cumulative, p, side="left")) + 1
    shown = min(max(kept + 2, 4), _SHOWN_TOKENS, len(shares))
    for places in range(1, 5):
        percents = [exact(100 * float(share), places) for share in shares[:shown]]
        running = [sum(percents[: n + 1], Decimal(0)) for n in range(shown)]
        found = next((n + 1 for n in range(shown) if running[n] >= Decimal(repr(100 * p))), shown)
        if found == min(kept, shown):
            break
    else:
        raise ExportError("The running sum meets top-p too closely to be decided by hand; choose another top-p.")
    if kept > shown:
        raise ExportError(
            f"Top-p {p:g} keeps {kept:,} tokens here, more than a sheet has room for; choose a smaller top-p or top-k."
        )
    total = running[kept - 1]
    rows = []
    for n in range(shown):
        label = scene.tokenizer.label(int(scene.ranked.order[n]))
        new = _asked(exact(float(100 * percents[n] / total), places)) if n < kept else Entry("\u2013", asked=True)
        rows.append(
            (Entry(label), _given(percents[n]), _asked(running[n]), Entry("yes" if n < kept else "no", asked=True), new)
        )
    where = f"after {_where(scene, scene.position)}"
    own = ", ".join(f"{100 * float(share / stages.cumulative[kept - 1]):.3f} %" for share in shares[:kept])
    return Exercise(
        "top-p",
        "Top-p",
        (
            f"The next token {where}: the likeliest in percent, at temperature {sampling.temperature:g}"
            + (f" and among the top {sampling.top_k}." if sampling.top_k else "."),
            f"Add up from above. A token is kept if less than {100 * p:g} % comes before it. Then divide those that "
            "are kept by their sum, so that they add up to 100 % again.",
        ),
        ("token", "percent", "running sum", "kept?", "new percent"),
        tuple(rows),
        f"The model's shares after top-p, unrounded: {own}.",
    )


LEVELS: dict[str, Callable[[Scene], Exercise]] = {"dot": dot, "softmax": softmax, "head": head_of_four, "top-p": top_p}
"""The exercises by name, easiest first."""


def exercises(scene: Scene, levels: Sequence[str]) -> tuple[Exercise, ...]:
    """The exercises of these levels for the scene's head, selected token and settings. Raises ExportError."""
    return tuple(LEVELS[level](scene) for level in levels)
