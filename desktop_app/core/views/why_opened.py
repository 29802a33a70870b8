"""Opened bars of the waterfall: a part's dot product, a head's contribution by token, an MLP's by neuron."""

from collections.abc import Sequence

import numpy as np

from desktop_app.core.analysis.attribution import Attribution, frozen_scale, mean_row
from desktop_app.core.analysis.parts import Kind, Part, output_matrices, vector_of
from desktop_app.core.levels import diverging, number, percent
from desktop_app.core.panels import (
    AnyPanel,
    Array,
    Bar,
    BarsPanel,
    Box,
    Hue,
    Line,
    ShadedPanel,
    Source,
    Strip,
    TextPanel,
    column,
    formula_line,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import differs
from desktop_app.core.views.dot import dot_panels
from desktop_app.gpt2.mask import reach
from desktop_app.gpt2.phrase import Count, Phrase, joined
from desktop_app.gpt2.weights import UNEMBEDDING

_LISTED = 10


def part(scene: Scene, found: Attribution, which: Part, value: float) -> Box:
    """The part's vector, the direction, their dot product, and the parts of a head's or an MLP's contribution."""
    vector = vector_of(scene.checkpoint, scene.trace, which, found.position)
    scale = frozen_scale(scene.trace, found.position)
    again = float(vector @ found.direction)
    size = float(np.abs(vector * found.direction).sum())
    good = abs(again - value) <= 1e-4 * max(1.0, size)
    lines = (
        formula_line(
            "part · u / s",
            Phrase("u = w_f ⊙ {1}, less its mean; s the final norm's scale", _difference(scene, found)),
        ),
        Line(Phrase("with numbers"), f"{number(again * scale)} / {number(scale)}", Phrase("the scale is held fixed")),
        Line(
            Phrase("recomputed"),
            number(again),
            Phrase("in float64 from these vectors; {1}", differs(number(abs(again - value)), good)),
        ),
    )
    left = Strip(which.name, vector, _source(which, found.position), Hue.QUERY)
    right = Strip("u / s", found.direction, None, Hue.KEY, "×")
    opened: list[AnyPanel | Box] = []
    if which.kind is Kind.HEAD and found.head_source is not None:
        opened += _by_source(scene, found, which)
    if which.kind is Kind.MLP and found.neuron is not None:
        opened.append(_by_neuron(scene, found, which))
    return column(TextPanel(lines=lines), *opened, *dot_panels(left, right), _read_from(scene, found, scale))


def _difference(scene: Scene, found: Attribution) -> str:
    label = scene.tokenizer.quoted
    other = {"none": "", "mean": " − mean of W_U"}.get(found.baseline, "")
    if found.against is not None:
        other = f" − W_U[{label(found.against)}]"
    return f"(W_U[{label(found.target)}]{other})"


def _source(which: Part, position: int) -> Source | None:
    """The cells that hold a part's vector; None if no tensor holds it."""
    if which.layer is None:
        return Source(which.name, (position, "col"))
    if which.kind in (Kind.ATTENTION_BIAS, Kind.MLP_BIAS):
        return Source(which.name, ("col",))
    return None


def _read_from(scene: Scene, found: Attribution, scale: float) -> BarsPanel:
    bars = [Bar("s", scale, number(scale), "ln_final.scale", source=("ln_final.scale", (found.position, 0)))]
    for token in (found.target, found.against):
        if token is not None:
            logit = float(scene.trace.logits(found.position)[token])
            label = scene.tokenizer.label(token)
            bars.append(Bar(label, logit, number(logit), Phrase("logits"), source=("logits", (found.position, token))))
    return BarsPanel(title=Phrase("With"), hint=Phrase("click one to open it"), bars=tuple(bars), drawn=False)


def keys_of(scene: Scene, found: Attribution, layer: int, head: int) -> int:
    """How many tokens, counted from the first, include every one that a head sees from the attributed position."""
    return reach(scene.trace.run.mask, scene.config, layer, head, found.position, len(scene.trace))


def _by_source(scene: Scene, found: Attribution, which: Part) -> tuple[AnyPanel, ...]:
    """The text coloured by what the head adds from each token, and the largest of these numbers as bars."""
    assert found.head_source is not None
    assert which.layer is not None
    assert which.head is not None
    keys = keys_of(scene, found, which.layer, which.head)
    values = found.head_source[which.layer, which.head, :keys]
    at = which.layer, which.head
    looks = scene.trace.read(f"blocks.{which.layer}.attn.pattern", head=which.head, row=found.position)
    order = np.argsort(-np.abs(values), kind="stable")[:_LISTED]
    bars = [
        Bar(
            scene.labels[key],
            float(values[key]),
            number(float(values[key])),
            Phrase("attention {1}", percent(float(looks[key]))),
            source=("why.source", (*at, int(key))),
        )
        for key in order
    ]
    rest = float(found.head_rounding[at])
    if rest:
        bars.append(Bar(Phrase("rounding to int8"), rest, number(rest)))
    seen = np.full(len(scene.labels), np.nan)
    seen[:keys] = values
    return (
        ShadedPanel(
            title=Phrase("By the token that it read from"),
            pieces=scene.labels,
            values=seen,
            levels=diverging(values),
            source=Source("why.source", (*at, "col")),
            selected=found.position,
        ),
        BarsPanel(
            title=Phrase("The largest contributions"),
            note=Phrase("all {1} add up to {2}", Count(len(values)), number(float(values.sum()) + rest)),
            bars=(*bars, *_others(values, order)),
            hue=Hue.ATTENTION,
        ),
    )


def source(scene: Scene, found: Attribution, which: Part, key: int) -> Box:
    """What a head adds from one token: its attention weight times the contribution of that token's value."""
    assert which.layer is not None
    assert which.head is not None
    block = f"blocks.{which.layer}.attn."
    value = scene.trace.read_rows(block + "v", key + 1, key)[which.head, 0].astype(np.float64)
    worth = output_matrices(scene.checkpoint, which.layer)[which.head] @ found.direction
    cell = (which.head, found.position, key)
    weight = float(scene.trace.read(block + "pattern", head=which.head, row=found.position)[key])
    own = float(value @ worth)
    lines = (
        formula_line(
            "pattern · v W_O · u / s",
            Phrase("its attention to that token, times what that token's value contributes"),
        ),
        Line(Phrase("with numbers"), f"{number(weight)} × {number(own)}", ""),
        Line(Phrase("recomputed"), number(weight * own), Phrase("in float64 from these vectors")),
    )
    left = Strip(Phrase("v"), value, Source(block + "v", (which.head, key, "col")), Hue.VALUE)
    looked = Bar(Phrase("pattern"), weight, percent(weight), block + "pattern", source=(block + "pattern", cell))
    return column(
        TextPanel(lines=lines),
        *dot_panels(left, Strip("W_O u / s", worth, None, Hue.KEY, "×")),
        BarsPanel(title=Phrase("With"), hint=Phrase("click one to open it"), bars=(looked,), drawn=False),
    )


def _by_neuron(scene: Scene, found: Attribution, which: Part) -> BarsPanel:
    assert found.neuron is not None
    assert which.layer is not None
    values = found.neuron[which.layer]
    name = f"blocks.{which.layer}.mlp.post"
    post = scene.trace.read(name, row=found.position)
    order = np.argsort(-np.abs(values), kind="stable")[:_LISTED]
    worth = scene.checkpoint.weights[f"blocks.{which.layer}.mlp.W_out"][order] @ found.direction
    bars = [
        Bar(
            Phrase("neuron {1}", n),
            float(values[n]),
            number(float(values[n])),
            f"{number(float(post[n]))} × {number(float(own))}",
            source=(name, (found.position, int(n))),
        )
        for n, own in zip(order, worth, strict=True)
    ]
    return BarsPanel(
        title=Phrase("By neuron"),
        note=joined(
            " · ",
            (
                Phrase("its activation × what its row of W_out contributes"),
                Phrase("all {1} add up to {2}", Count(len(values)), number(float(values.sum()))),
            ),
        ),
        bars=(*bars, *_others(values, order)),
        hue=Hue.MLP,
    )


def _others(values: Array, order: Array) -> tuple[Bar, ...]:
    """Everything that is not listed, as one bar."""
    left = len(values) - len(order)
    rest = float(values.sum() - values[order].sum())
    return (Bar(Phrase("{1} others", Count(left)), rest, number(rest), kept=False),) if left else ()


def constant(scene: Scene, found: Attribution) -> Box:
    """The constant: the dot product of the final norm's bias with the unembedding, not divided by the scale."""
    weights = scene.checkpoint.weights
    column_ = weights[UNEMBEDDING][found.target].astype(np.float64)
    if found.against is not None:
        column_ = column_ - weights[UNEMBEDDING][found.against]
    elif found.baseline == "mean":
        column_ = column_ - mean_row(scene.checkpoint)
    bias = weights["ln_final.b"].astype(np.float64)
    lines = (
        formula_line(
            f"b_f · {_difference(scene, found)}",
            Phrase("added after the scale, the same for every text"),
        ),
        Line(Phrase("recomputed"), number(float(bias @ column_)), Phrase("in float64")),
    )
    left = Strip("ln_final.b", bias, Source("ln_final.b", ("col",)), Hue.QUERY)
    return column(TextPanel(lines=lines), *dot_panels(left, Strip("W_U", column_, None, Hue.KEY, "×")))


def together(found: Attribution, own: Sequence[tuple[str, float, int]], cells: str) -> Box:
    """A sum of parts. `own` are a block's parts, as (label, value, number of its cell); if empty, all parts by kind."""
    bars = [Bar(label, value, number(value), source=(cells, (code,))) for label, value, code in own]
    if not own:
        kinds = {part.kind: float(found.of_kind(part.kind).sum()) for part in found.parts}
        sums = [*((kind.value, value) for kind, value in kinds.items()), (Phrase("final norm bias"), found.constant)]
        bars = [Bar(label, value, number(value)) for label, value in sums]
    total = sum(bar.value for bar in bars)
    return column(
        BarsPanel(title=Phrase("Added up"), note=Phrase("to {1}", number(total)), bars=tuple(bars), hue=Hue.RESIDUAL)
    )
