"""The view of an opened number: its operands, how they are combined, and the number recomputed from them."""

import numpy as np

from desktop_app.core.asking.intents import Evidence, Intent
from desktop_app.core.check import TOLERANCE
from desktop_app.core.levels import diverging, number, percent
from desktop_app.core.opening.arithmetic import Opening, Scalar, Vector, open_cell
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import describe
from desktop_app.core.panels import (
    AnyPanel,
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    Hue,
    Line,
    MapPanel,
    Source,
    Strip,
    StripsPanel,
    TextPanel,
    View,
    column,
    formula_line,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import differs, wrap_width
from desktop_app.core.views.dot import dot_panels
from desktop_app.core.views.sampling import FATES
from desktop_app.gpt2.activations import ACTIVATIONS
from desktop_app.gpt2.mask import reach
from desktop_app.gpt2.phrase import Count, Phrase

_TERMS = 8
PROBABILITY = "probability"
"""The name of cells (position, token) with final probabilities; `chain` is the view of such a cell."""


def opening_view(scene: Scene, cell: Cell) -> View:
    """The view of an opened cell: its arithmetic. Raises ModelError if there is no such cell."""
    if cell.name == PROBABILITY:
        return chain(scene, cell.index[1])
    opening = open_cell(scene.trace, scene.checkpoint.weights, cell)
    readout = describe(scene, cell.name, cell.index)
    title = f"{cell.name} = {readout.value}"
    return View(title, readout.place, column(_summary(opening), *_operands(scene, opening)))


def _summary(opening: Opening) -> TextPanel:
    lines = [formula_line(opening.formula), Line(Phrase("with numbers"), opening.numbers)]
    if opening.kind != "given":
        share = opening.difference / max(opening.magnitude, 1e-30)
        good = share <= TOLERANCE or opening.difference == 0
        lines.append(
            Line(
                Phrase("recomputed"),
                number(opening.recomputed),
                Phrase("in float64 from these operands; {1}", differs(number(opening.difference), good)),
                Hue.INK if good else Hue.KEY,
            )
        )
    return TextPanel(lines=(*lines, *_evidence(opening.cell)))


_OF_HEADS = ("attn.pattern", "attn.z", "attn.scores")


def _evidence(cell: Cell) -> tuple[Line, ...]:
    """A link from a neuron's or a head's number to passages of many texts."""
    block, _, rest = cell.name.removeprefix("blocks.").partition(".")
    if rest in ("mlp.pre", "mlp.post") and block.isdecimal():
        pick: Intent = Evidence(int(block), neuron=cell.index[1])
        return (Line(Phrase("evidence"), Phrase("passages that excite this neuron"), pick=pick),)
    if rest in _OF_HEADS and block.isdecimal():
        return (
            Line(
                Phrase("evidence"),
                Phrase("passages where this head writes most"),
                pick=Evidence(int(block), head=cell.index[0]),
            ),
        )
    return ()


def _operands(scene: Scene, opening: Opening) -> tuple[AnyPanel | Box, ...]:
    """The operands, drawn as fits the kind of formula, otherwise as values."""
    drawn = {"dot": _dot, "softmax": _softmax, "mean": _vector, "spread": _vector, "given": _nothing}
    return drawn.get(opening.kind, _plain)(scene, opening)


def _nothing(_scene: Scene, _opening: Opening) -> tuple[AnyPanel | Box, ...]:
    return ()


def _strip(vector: Vector, hue: Hue, operator: str = "") -> Strip:
    return Strip(vector.label, vector.values, vector.source, hue, operator)


def _dot(scene: Scene, opening: Opening) -> tuple[AnyPanel | Box, ...]:
    left, right = opening.vectors
    bias = opening.scalars[0].value if opening.scalars else None
    panels = dot_panels(_strip(left, Hue.QUERY), _strip(right, Hue.KEY, "×"), bias)
    return (*panels, *((_scalars(scene, Phrase("and the bias"), opening.scalars),) if opening.scalars else ()))


def _block_and_head(opening: Opening) -> tuple[int, int]:
    return int(opening.cell.name.split(".")[1]), opening.cell.index[0]


def _softmax(scene: Scene, opening: Opening) -> tuple[AnyPanel | Box, ...]:
    scores = opening.vectors[0]
    _, query, key = opening.cell.index
    end = reach(scene.trace.run.mask, scene.config, *_block_and_head(opening), query, len(scene.trace))
    seen = scores.values[:end]
    weights = np.exp(seen - opening.scalars[0].value)
    shares = weights / weights.sum()
    order = sorted({*np.argsort(-shares, kind="stable")[:_TERMS].tolist(), *([key] if key < end else [])})
    name, index = scores.source.name, opening.cell.index
    bars = tuple(
        Bar(
            scene.labels[j],
            float(weights[j]),
            number(float(weights[j])),
            Phrase("exp({1} − max) → {2}", number(float(seen[j])), percent(float(shares[j]))),
            marked=j == key,
            source=(name, (index[0], query, j)),
        )
        for j in order
    )
    left_out = len(seen) - len(order)
    return (
        BarsPanel(
            title=Phrase("Exponentials of the row"),
            note=Phrase("{1} smaller ones are not listed", left_out)
            if left_out
            else Phrase("the largest score is subtracted first"),
            bars=bars,
            hue=Hue.ATTENTION,
        ),
        _scalars(scene, Phrase("The row"), opening.scalars, Phrase("from the row")),
        MapPanel(
            title=Phrase("The row of scores"),
            note=Phrase("after the mask"),
            values=np.where(np.isfinite(scores.values), scores.values, np.nan)[None, :],
            levels=diverging(seen),
            row_labels=(scores.label,),
            column_labels=scene.labels,
            selected_column=key,
            source=scores.source,
            picks=None,
        ),
    )


def _vector(scene: Scene, opening: Opening) -> tuple[AnyPanel | Box, ...]:
    x = opening.vectors[0]
    mean = opening.recomputed if opening.kind == "mean" else opening.scalars[0].value
    band = None if opening.kind == "mean" else (mean - opening.recomputed, mean + opening.recomputed)
    panels: list[AnyPanel | Box] = [
        StripsPanel(
            title=Phrase("The vector"),
            strips=(_strip(x, Hue.RESIDUAL),),
            levels=diverging(x.values),
            wrap=wrap_width(len(x.values)),
        ),
        CurvePanel(
            title=Phrase("Its dimensions"),
            points=(np.arange(len(x.values)), x.values),
            levels_at=((mean, Phrase("mean {1}", number(mean))),),
            band=band,
            x_label=Phrase("dimension"),
            stems=True,
            hue=Hue.RESIDUAL,
        ),
    ]
    if opening.scalars:
        panels.append(_scalars(scene, Phrase("With"), opening.scalars))
    return tuple(panels)


def _plain(scene: Scene, opening: Opening) -> tuple[AnyPanel | Box, ...]:
    panels: list[AnyPanel | Box] = [
        StripsPanel(strips=(_strip(x, Hue.RESIDUAL),), levels=diverging(x.values), wrap=wrap_width(len(x.values)))
        for x in opening.vectors
    ]
    if opening.scalars:
        panels.append(_scalars(scene, Phrase("Made from"), opening.scalars))
    if opening.kind == "gather":
        source = opening.scalars[-1]
        assert source.cell is not None
        table, index = source.cell.name, source.cell.index[0]
        values = scene.checkpoint.weights[table][index]
        strip = Strip(source.label, values, Source(table, (index, "col")))
        panels.append(
            StripsPanel(
                title=Phrase("The whole row of the table"),
                strips=(strip,),
                levels=diverging(values),
                wrap=wrap_width(len(values)),
            )
        )
    if opening.kind == "curve":
        x = opening.scalars[0].value
        reach = max(4.0, abs(x) * 1.2)
        grid = np.linspace(-reach, reach, 400, dtype=np.float32)
        panels.append(
            CurvePanel(
                title=scene.config.activation_function,
                lines=((grid, ACTIVATIONS[scene.config.activation].compute(grid)),),
                focus=(x, opening.recomputed, f"{number(x)} → {number(opening.recomputed)}"),
                x_label=Phrase("before"),
                y_label=Phrase("after"),
            )
        )
    return tuple(panels)


def _scalars(
    scene: Scene, title: str, scalars: tuple[Scalar, ...], otherwise: str = Phrase("from the config")
) -> BarsPanel:
    bars = []
    for s in scalars:
        where = s.cell.name if s.cell is not None else otherwise
        source = (s.cell.name, s.cell.index) if s.cell is not None else None
        if where == "tokens":
            bars.append(Bar(s.label, s.value, str(int(s.value)), scene.tokenizer.quoted(int(s.value)), source=source))
        else:
            length = s.value if np.isfinite(s.value) else 0.0
            bars.append(Bar(s.label, length, number(s.value), where, source=source))
    # These are different quantities, such as a maximum and a sum, and have no common scale.
    return BarsPanel(title=title, hint=Phrase("click one to open it"), bars=tuple(bars), drawn=False)


def chain(scene: Scene, token: int) -> View:
    """The stages from a token's logit to its final probability."""
    stages, sampling = scene.stages, scene.state.sampling
    rank = scene.ranked.rank_of(token)
    logit, scaled = float(scene.ranked.logits[rank]), float(stages.scaled[rank])
    best, middle = float(stages.scaled[0]), float(scene.ranked.logits.mean())
    total = float(np.exp(stages.scaled - best).sum())
    lines = [
        Line(
            Phrase("logit"),
            number(logit),
            Phrase("rank {1} of {2}; open it below", Count(rank + 1), Count(len(scene.ranked))),
        ),
        Line(Phrase("÷ temperature"), number(scaled), f"{number(logit)} / {sampling.temperature:g}"),
        Line(
            Phrase("softmax"),
            percent(float(stages.probs_scaled[rank])),
            Phrase("exp({1} − {2}) / {3}", number(scaled), number(best), number(total)),
        ),
    ]
    k_mass = float(stages.probs_scaled[: stages.n_top_k].sum())
    if rank < stages.n_top_k:
        words = Phrase("÷ {1}, the mass of {2} kept", f"{k_mass:.4f}", Count(stages.n_top_k))
        lines.append(Line(Phrase("top-k"), percent(float(stages.probs_top_k[rank])), words))
        p_mass = float(stages.probs_top_k[: stages.n_kept].sum())
        before = float(stages.cumulative[rank]) - float(stages.probs_top_k[rank])
        stands, mass = f"{before:.4f}", f"{p_mass:.4f}"
        if rank < stages.n_kept:
            words = Phrase(
                "{1} of the mass comes before it; ÷ {2}, the mass of {3} kept", stands, mass, Count(stages.n_kept)
            )
            lines.append(Line(Phrase("top-p"), percent(float(stages.final[rank])), words))
        else:
            words = Phrase("{1} of the mass comes before it: {2}", stands, FATES[stages.fate(rank)])
            lines.append(Line(Phrase("top-p"), "0 %", words))
    else:
        lines.append(Line(Phrase("top-k"), "0 %", FATES[stages.fate(rank)]))
    final = float(stages.final[rank]) if rank < stages.n_kept else 0.0
    lines.append(Line(Phrase("final"), percent(final), Phrase("the probability of drawing it"), Hue.ACCENT))
    bar = Bar(Phrase("logit"), logit, number(logit), Phrase("logits"), source=("logits", (scene.position, token)))
    title = Phrase("probability of {1} = {2}", scene.tokenizer.quoted(token), percent(final))
    content = column(
        TextPanel(title=Phrase("From logit to probability"), lines=tuple(lines)),
        BarsPanel(
            title=Phrase("Where it begins"),
            note=Phrase("the bar begins at the mean of all, {1}", number(middle)),
            hint=Phrase("click to open"),
            bars=(bar,),
            hue=Hue.RESIDUAL,
            base=middle,
        ),
    )
    return View(title, Phrase("after position {1}, in the order in which the stages run", scene.position), content)
