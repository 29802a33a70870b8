"""One head's page: what it attends to in this text, its scores, its strongest pairs, and what it adds to the stream."""

import numpy as np

from desktop_app.core.analysis.heads import Heads, HeadsOnText
from desktop_app.core.analysis.labels import labels_of
from desktop_app.core.analysis.measures import MEASURES, PATTERNS, SCORES
from desktop_app.core.analysis.parts import head_rows, output_matrices
from desktop_app.core.analysis.rollout import Summary
from desktop_app.core.asking.intents import Do, GoTo
from desktop_app.core.levels import Levels, number, percent, unit
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.panels import (
    AnyPanel,
    ArcsPanel,
    Bar,
    BarsPanel,
    GridPanel,
    Hue,
    Line,
    ShadedPanel,
    Source,
    TextPanel,
    View,
    column,
    formula_line,
    headed,
    row,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import key_bars, token_name, without_first
from desktop_app.gpt2.mask import mask_of, rules
from desktop_app.gpt2.phrase import Phrase, Sentences

_SHORT = 60  # tokens; the shaded text of a longer prompt is below the grid, not above it
_PAIRS, _KEYS = 8, 12

LEAD = Sentences(
    Phrase("What one head attends to in this text, and its scores on a battery of repeated random tokens."),
    Phrase(
        "A label says what the head does on that battery; what it reads from "
        "the tokens that it attends to is another question."
    ),
)

_FORMULAS = {
    "previous": "mean of A[i, i−1], i ≥ 2",
    "first": "mean of A[i, 0], i ≥ 1",
    "self": "mean of A[i, i], i ≥ 1",
    "duplicate": "mean of A[i, i−T], i in the second copy",
    "induction": "mean of A[i, i−T+1], i in the second copy",
    "entropy": "mean of −Σ A ln A / ln(i+1), i ≥ 1",
    "distance": "mean of Σ A |i−j|, i ≥ 1",
    "share": "mean of |result| / |resid_pre|, i ≥ 1",
}


def name(layer: int, head: int) -> str:
    """A head's name as it is usually written."""
    return f"L{layer}H{head}"


def label_words(heads: Heads, layer: int, head: int) -> str:
    """The head's labels as text, or a note that it has none."""
    found = [label.words for label in labels_of(heads, layer, head)]
    return Phrase("{1} and {2}", *found[:2]) if len(found) > 1 else found[0] if found else Phrase("no label")


def weight_levels(scene: Scene, values: Array) -> Levels:
    """The colour scale of attention weights: 0 to 1, or up to the largest weight if position 0 is left out."""
    levels = unit(scene.state.view.pattern_scale)
    if not scene.state.view.skip_first or not np.isfinite(values).any():
        return levels
    top = float(np.nanmax(values, initial=1e-6))
    return Levels(0, top, False, levels.power, levels.decades, rule=Phrase("up to the largest weight that is left"))


def scores(scene: Scene, heads: Heads, text: HeadsOnText | None = None, *, sorts: bool = False) -> BarsPanel:
    """The shown head's scores. A click opens a score or, if `sorts`, orders the heads by it."""
    at = scene.layer, scene.head
    bars = []
    for measure in MEASURES:
        value, spread, remark = float(heads.scores[measure][at]), float(heads.spread[measure][at]), ""
        if text is not None:
            own = float(text.scores[measure][at])
            remark = Phrase("none here") if np.isnan(own) else Phrase("here {1}", f"{own:.2f}")
        longest = heads.tokens.shape[1] / 2 if measure == "distance" else 1.0
        beyond = measure in PATTERNS and measure != "first"
        bars.append(
            Bar(
                measure,
                value / longest,
                f"{value:.2f} ± {spread:.2f}",
                remark,
                outline=float(heads.without_first[measure][at]) if beyond else None,
                pick=Do(f"heads_by_{measure}") if sorts else None,
                source=(f"heads.{measure}", at),
                marked=sorts and measure == scene.state.view.heads_by,
            )
        )
    return BarsPanel(
        title=Phrase("{1}: {2}", name(*at), label_words(heads, *at)),
        note=Phrase("outlined: beyond the first token"),
        hint=Phrase("click one to order by it") if sorts else "",
        bars=tuple(bars),
        hue=Hue.ATTENTION,
        reach=1.0,
    )


def page(scene: Scene, scored: AnyPanel, labels: str) -> View:
    """The page of the shown head; `scored` is the panel with its scores, `labels` its labels as text."""
    title = headed(Phrase("Block {1} · Head {2}", scene.layer, scene.head), labels)
    beside = column(scored, _pairs(scene), _writes(scene))
    if scene.state.view.heads_form == "arcs":
        return View(title, LEAD, row(_arcs(scene), beside))
    short = len(scene.trace) <= _SHORT
    shaded = row(_looks_at(scene), _looked_at(scene)) if short else column(_looks_at(scene), _looked_at(scene))
    below = row(_grid(scene), beside, weights=(5, 4))
    content = column(shaded, below, weights=(1, 3)) if short else column(below, shaded)
    return View(title, LEAD, content)


def _pattern(scene: Scene) -> tuple[str, Array]:
    """The name of the pattern's tensor, and the head's pattern [query, key], NaN where keys are hidden or left out."""
    tensor = scene.block("attn.pattern")
    values = scene.trace.read(tensor, head=scene.head)
    rule, every = mask_of(scene.trace.run.mask, scene.config).of(scene.layer, scene.head), np.arange(len(values))
    return tensor, without_first(scene, np.where(rule.seen(every, every), values, np.nan), 1)


def _grid(scene: Scene) -> GridPanel:
    tensor, values = _pattern(scene)
    turned = scene.state.view.keys_down
    return GridPanel(
        title=Phrase("Pattern"),
        note=Phrase("each query sums to 1"),
        values=values.T if turned else values,
        levels=weight_levels(scene, values),
        labels=scene.labels,
        source=Source(tensor, (scene.head, *(("col", "row") if turned else ("row", "col")))),
        selected=scene.token,
        head=scene.head,
        keys_down=turned,
    )


def _arcs(scene: Scene) -> ArcsPanel:
    tensor, values = _pattern(scene)
    titles = _titles(scene, "What {1} looks at")
    return ArcsPanel(
        title=titles[scene.token],
        hint=Phrase("point at a token to see its own"),
        pieces=scene.labels,
        values=values,
        source=Source(tensor, (scene.head, "row", "col")),
        selected=scene.token,
        titles=titles,
    )


def _titles(scene: Scene, words: str) -> tuple[str, ...]:
    return tuple(Phrase(words, token_name(scene, n)) for n in range(len(scene.trace)))


def _looks_at(scene: Scene) -> ShadedPanel:
    tensor, values = _pattern(scene)
    titles = _titles(scene, "What {1} looks at")
    return ShadedPanel(
        title=titles[scene.token],
        hint=Phrase("point at a token to see its own"),
        pieces=scene.labels,
        values=values[scene.token],
        levels=weight_levels(scene, values),
        source=Source(tensor, (scene.head, "row", "col")),
        selected=scene.token,
        others=values,
        titles=titles,
    )


def _looked_at(scene: Scene) -> ShadedPanel:
    tensor, values = _pattern(scene)
    titles = _titles(scene, "Tokens that look at {1}")
    return ShadedPanel(
        title=titles[scene.token],
        pieces=scene.labels,
        values=values[:, scene.token],
        levels=weight_levels(scene, values),
        source=Source(tensor, (scene.head, "col", "row")),
        selected=scene.token,
        others=values.T,
        titles=titles,
    )


def strongest_pairs(pattern: Array, count: int) -> list[tuple[int, int]]:
    """The `count` largest weights of a pattern [query, key], as (query, key), in descending order, without key 0."""
    seen = pattern[:, 1:]
    order = np.argsort(-seen, axis=None, kind="stable")[:count]
    found = [(int(n) // max(seen.shape[1], 1), int(n) % max(seen.shape[1], 1) + 1) for n in order]
    return [(query, key) for query, key in found if pattern[query, key] > 0]


def _pairs(scene: Scene) -> BarsPanel:
    tensor = scene.block("attn.pattern")
    pattern, labels = scene.trace.read(tensor, head=scene.head), scene.labels
    bars = tuple(
        Bar(
            f"{labels[i]} {i} ← {labels[j]} {j}",
            float(pattern[i, j]),
            percent(float(pattern[i, j])),
            source=(tensor, (scene.head, i, j)),
        )
        for i, j in strongest_pairs(pattern, _PAIRS)
    )
    note = (
        Phrase("query ← key, beyond the first token") if bars else Phrase("this text has none beyond the first token")
    )
    return BarsPanel(title=Phrase("Strongest pairs"), note=note, bars=bars, hue=Hue.ATTENTION, reach=1.0)


def result_norm(scene: Scene) -> tuple[float, float]:
    """Two norms at the selected token: of what the shown head adds, z W_O, and of the stream before the block."""
    z = head_rows(scene.trace, scene.layer, scene.token, scene.token + 1)[scene.head, 0]
    result = z @ output_matrices(scene.checkpoint, scene.layer)[scene.head].astype(np.float64)
    before = scene.trace.read(scene.block("resid_pre"), row=scene.token).astype(np.float64)
    return float(np.linalg.norm(result)), float(np.linalg.norm(before))


def _writes(scene: Scene) -> TextPanel:
    result, before = result_norm(scene)
    share = Phrase("{1} of the stream's length {2}", percent(result / before), number(before)) if before else ""
    return TextPanel(
        lines=(
            Line(Phrase("writes"), number(result), share),
            Line(
                Phrase("in the walk"),
                scene.block("attn.pattern"),
                hue=Hue.ACCENT,
                pick=GoTo("blocks.*.attn.pattern"),
            ),
        )
    )


# Summaries and opened cells


def _furthest(scene: Scene) -> int:
    """The number of keys, counted from the first, that any head may see from the selected token."""
    later = any(rule.later for rule in rules(mask_of(scene.trace.run.mask, scene.config)))
    return len(scene.trace) if later else scene.token + 1


def row_of(scene: Scene, made: Summary) -> BarsPanel:
    """The keys with the largest weights in the selected token's row of a summary."""
    weights = made.grid[scene.token, : _furthest(scene)]
    order = np.argsort(-weights, kind="stable")[:_KEYS].tolist()
    bars = key_bars(scene, weights, order, lambda j: ("heads.summary", (scene.token, j)))
    left = len(weights) - len(bars)
    return BarsPanel(
        title=Phrase("The row of {1}", token_name(scene, scene.token)),
        note=Phrase("and {1} smaller", left) if left else Phrase("largest first"),
        bars=bars,
        hue=Hue.ATTENTION,
        reach=1.0,
    )


_ROLLOUT = "R_l = (mean over heads of A_l / 2 + I / 2) · R_(l−1), R_0 = I"


def open_summary(scene: Scene, cell: Cell, summary: Summary, words: str) -> View:
    """The view of an opened cell of a summary: how it is computed, and every head's weight or every token's part."""
    query, key = cell.index
    value = float(summary.grid[query, key])
    place = Phrase("query {1}, key {2}", token_name(scene, query), token_name(scene, key))
    title = Phrase("{1} = {2}", words, number(value))
    if summary.factors is not None:
        factor, before = summary.factors
        parts = factor[query] * before[:, key]
        through = tuple(
            Bar(token_name(scene, int(k)), float(parts[k]), number(float(parts[k])),
                f"{number(float(factor[query, k]))} × {number(float(before[k, key]))}")
            for k in np.argsort(-parts, kind="stable")[:_KEYS] if parts[k] > 0
        )  # fmt: skip
        rolled = (
            formula_line(_ROLLOUT),
            Line(Phrase("with numbers"), Phrase("Σ of {1} products", len(parts)), f"= {number(value)}"),
        )
        note = Phrase("the last block's factor × rollout of the blocks before")
        shares = BarsPanel(title=Phrase("Through each token"), note=note, bars=through, hue=Hue.ATTENTION)
        return View(title, place, column(TextPanel(lines=rolled), shares))
    layers = (scene.layer,) if scene.state.view.heads == "block" else tuple(range(scene.config.n_layer))
    found = []
    for layer in layers:
        tensor = f"blocks.{layer}.attn.pattern"
        weights = scene.trace.read(tensor, row=query)[:, key]
        found += [
            (float(weight), name(layer, head), (tensor, (head, query, key))) for head, weight in enumerate(weights)
        ]
    found.sort(key=lambda one: -one[0])
    bars = tuple(Bar(label, weight, percent(weight), source=at) for weight, label, at in found[:_KEYS])
    lines: tuple[Line, ...] = (
        formula_line(Phrase("mean of A over the heads")),
        Line(Phrase("with numbers"), f"{number(sum(w for w, _, _ in found))} / {len(found)}"),
    )
    if scene.state.view.skip_first:
        lines = (
            *lines,
            Line("", Phrase("then renormalised to 1"), Phrase("the row without its first key is divided by its sum")),
        )
    return View(
        title,
        place,
        column(
            TextPanel(lines=lines),
            BarsPanel(title=Phrase("Heads that attend there most"), bars=bars, hue=Hue.ATTENTION),
        ),
    )


def open_score(heads: Heads, measure: str, at: tuple[int, int]) -> View:
    """The view of an opened score of a head, which is a mean: its values for each text of the battery."""
    value, spread = float(heads.scores[measure][at]), float(heads.spread[measure][at])
    each = heads.each[measure][:, at[0], at[1]]
    count, repeated = len(each), heads.repeated
    lines = [
        formula_line(_FORMULAS[measure], f"T = {repeated}"),
        Line(
            Phrase("with numbers"),
            f"{number(float(each.sum()))} / {count}",
            Phrase("± {1} between the texts", number(spread)),
        ),
    ]
    if measure in PATTERNS:
        lines.append(Line(Phrase("uniform attention"), number(heads.uniform[measure])))
        lines.append(Line(Phrase("beyond the first token"), number(float(heads.without_first[measure][at]))))
    bars = tuple(Bar(Phrase("text {1}", n), float(v), number(float(v))) for n, v in enumerate(each))
    return View(
        Phrase("{1} of {2} = {3}", SCORES[measure], name(*at), number(value)),
        Phrase("Each of {1} texts is a begin token, {2} random tokens, and the same again.", count, repeated),
        column(
            TextPanel(lines=tuple(lines)),
            BarsPanel(title=Phrase("Text by text"), note=Phrase("of the battery"), bars=bars, hue=Hue.ATTENTION),
        ),
    )
