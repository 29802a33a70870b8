"""Animated operations of one head: scores, a row's softmax, the weighted sum of values, and the key-value cache."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from desktop_app.core.levels import diverging, number, percent
from desktop_app.core.motion.beats import Beat, eased, text_at
from desktop_app.core.motion.parts import dot_parts, shown_share, strip_panel
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.links import computed_from
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    Box,
    Hue,
    MapPanel,
    Source,
    column,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import token_name
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.phrase import Phrase

_KEYS = 16
_NO_SUM = "…"  # shown in place of a sum that has no meaning


def scores(scene: Scene) -> tuple[Beat, ...]:
    """For each key, the products of the query's and the key's components, added up to the score."""
    query, name = scene.token, scene.block("attn.scores")
    keys = _shown_keys(scene, query)
    opened = [dot_parts(scene, Cell(name, (scene.head, query, j))) for j in keys]
    totals = [float(products.sum()) for _, _, products, _ in opened]
    q_levels, k_levels = diverging(opened[0][0]), diverging(*(o[1] for o in opened))
    p_levels = diverging(*(o[2] for o in opened))
    labels = [Phrase("k of {1}", scene.labels[j]) for j in keys]
    # The axis includes every score and every partial sum, so that it does not change from beat to beat.
    running = np.concatenate([np.cumsum(o[2]) for o in opened])
    axis = tuple(Bar("", end, "") for end in (float(running.min()), float(running.max())))
    peers = *(Bar(scene.labels[j], v, number(v), marked=True) for j, v in zip(keys, totals, strict=True)), *axis

    def beat(n: int, j: int) -> Beat:
        cell = Cell(name, (scene.head, query, j))
        q, k, products, _ = opened[n]

        def panels(t: float) -> Box:
            done = shown_share(products, t)
            sums = [*totals[:n], float(np.nansum(done))]
            bars = tuple(
                Bar(scene.labels[key], value, number(value) if m <= n else "", marked=m == n)
                for m, (key, value) in enumerate(zip(keys, [*sums, *[0.0] * (len(keys) - n - 1)], strict=True))
            )
            return column(
                strip_panel(q, Phrase("q of {1}", scene.labels[query]), Hue.QUERY, q_levels),
                strip_panel(k, labels[n], Hue.KEY, k_levels, operator="×", others=labels),
                strip_panel(done, Phrase("products"), Hue.ACCENT, p_levels, operator="="),
                BarsPanel(
                    title=Phrase("Scores of the row"),
                    note=_left_out(scene, query, keys),
                    bars=bars,
                    hue=Hue.ATTENTION,
                    peers=peers,
                ),
            )

        words = Phrase("query {1} · key {2} = {3}", token_name(scene, query), token_name(scene, j), number(totals[n]))
        return Beat(words, (cell,), computed_from(scene.trace, cell), (totals[n],), panels)

    return tuple(beat(n, j) for n, j in enumerate(keys))


def softmax(scene: Scene) -> tuple[Beat, ...]:
    """One query's row: scaled, masked, exponentiated, summed, divided."""
    query, head, trace = scene.token, scene.head, scene.trace
    count = len(trace)
    rows = {
        part: trace.read(scene.block(f"attn.{part}"), head=head, row=query).astype(np.float64)
        for part in ("scores", "scaled", "masked", "pattern")
    }
    keys = _shown_keys(scene, query)
    hidden = [j for j in range(count) if not np.isfinite(rows["masked"][j])][: max(0, _KEYS - len(keys))]
    shown = sorted({*keys, *hidden})
    rest = [j for j in range(scene.reach(query)) if np.isfinite(rows["masked"][j]) and j not in shown]
    seen = np.isfinite(rows["masked"])
    largest = float(rows["masked"][seen].max())
    exps = np.where(seen, np.exp(np.where(seen, rows["masked"], largest) - largest), 0.0)
    total = float(exps.sum())
    shares = exps / total

    def stage(
        words: str,
        before: Array,
        after: Array,
        makes: str = "",
        text: Callable[[float], str] = number,
        *,
        masks: bool = True,
    ) -> Beat:
        """The beat in which the row changes from `before` to `after`.

        `after` is `attn.{makes}`, or a stage of the softmax that is in no tensor. Keys that are not shown are combined
        into one bar, with the sum of their exponentials or shares; other sums have no meaning.
        """
        sums = [float(row[rest].sum()) if row is exps or row is shares else 0.0 for row in (before, after)]
        bars_from, bars_to = np.where(np.isfinite(before), before, 0.0), np.where(np.isfinite(after), after, 0.0)

        def bars(t: float) -> tuple[Bar, ...]:
            now = bars_from + (bars_to - bars_from) * eased(t)
            summed = text_at(number(sums[0]) if sums[0] else _NO_SUM, text(sums[1]) if sums[1] else _NO_SUM, t)
            more = Bar(Phrase("{1} others", len(rest)), sums[0] + (sums[1] - sums[0]) * eased(t), summed)
            return tuple(
                Bar(
                    scene.labels[j],
                    float(now[j]),
                    text_at(number(float(before[j])), text(float(after[j])), t),
                    "" if seen[j] or t < 0.5 or not masks else Phrase("hidden"),
                    kept=bool(seen[j]) or not masks or t < 0.5,
                )
                for j in shown
            ) + ((more,) if rest else ())

        def panels(t: float) -> Box:
            panel = BarsPanel(
                title=words,
                note=Phrase("query {1}", scene.labels[query]),
                bars=bars(t),
                hue=Hue.ATTENTION,
                peers=(*bars(0.0), *bars(1.0)),
            )
            return column(panel)

        name = scene.block(f"attn.{makes or 'pattern'}")
        cells = tuple(Cell(name, (head, query, j)) for j in shown)
        results = rows[makes] if makes else after
        read = computed_from(trace, cells[0])
        return Beat(words, cells if makes else (), read, tuple(float(results[j]) for j in shown), panels)

    width, divisor = scene.config.d_head, scene.config.score_divisor(scene.layer)
    by = f"{divisor:.3g}"
    scaled = Phrase("scaled: divided by √{1} = {2}", width, by)
    if divisor != width**0.5:
        scaled = Phrase("scaled: divided by {1}", by)
    masked = Phrase("masked: later keys become −∞")
    if trace.run.mask != CAUSAL:
        masked = Phrase("masked: hidden keys become −∞")
    less = rows["masked"] - largest
    return (
        stage(scaled, rows["scores"], rows["scaled"], "scaled", masks=False),
        stage(masked, rows["scaled"], rows["masked"], "masked"),
        stage(Phrase("less the largest, {1}", number(largest)), rows["masked"], less),
        stage(Phrase("exponentiated"), less, exps),
        stage(Phrase("divided by their sum, {1}", number(total)), exps, shares, "pattern", percent),
    )


def weigh(scene: Scene) -> tuple[Beat, ...]:
    """The rows of values, each times its weight, added one by one to z."""
    query, head, trace = scene.token, scene.head, scene.trace
    pattern = trace.read(scene.block("attn.pattern"), head=head, row=query).astype(np.float64)
    values = trace.read(scene.block("attn.v"), head=head).astype(np.float64)
    keys = _shown_keys(scene, query)
    rest = [j for j in range(scene.reach(query)) if j not in keys]
    groups: list[list[int]] = [[j] for j in keys] + ([rest] if rest else [])
    terms = [sum((pattern[j] * values[j] for j in group), np.zeros(values.shape[1])) for group in groups]
    sums = np.cumsum(terms, 0)
    v_levels, z_levels = diverging(values[keys]), diverging(sums)
    cell = Cell(scene.block("attn.z"), (head, query, 0))
    made = tuple(Cell(cell.name, (head, query, n)) for n in range(values.shape[1]))
    others = [Phrase("{1} others", len(rest))] if rest else []
    labels = [*(Phrase("v of {1}", scene.labels[j]) for j in keys), *others]

    def beat(n: int) -> Beat:
        group = groups[n]
        j = group[0]
        before = sums[n - 1] if n else np.zeros(values.shape[1])
        named = Phrase("v of {1}", token_name(scene, j)) if len(group) == 1 else labels[n]
        weight = float(pattern[group].sum())

        def panels(t: float) -> Box:
            done = eased(t)
            bars = tuple(
                Bar(
                    scene.labels[g[0]] if len(g) == 1 else Phrase("others"),
                    float(pattern[g].sum()),
                    percent(float(pattern[g].sum())),
                    marked=m == n,
                )
                for m, g in enumerate(groups)
            )
            first = values[j] if len(group) == 1 else terms[n] / max(weight, 1e-30)
            return column(
                BarsPanel(
                    title=Phrase("Weights of the row"),
                    bars=bars,
                    hue=Hue.ATTENTION,
                    reach=1.0,
                    peers=tuple(replace(bar, marked=True) for bar in bars),
                ),
                strip_panel(first, labels[n], Hue.VALUE, v_levels, others=labels),
                strip_panel(terms[n] * done, number(weight), Hue.ACCENT, z_levels, operator="×"),
                strip_panel(before + terms[n] * done, Phrase("z so far"), Hue.VALUE, z_levels, operator="Σ"),
            )

        words = Phrase("{1} of {2}", percent(weight), named)
        results = tuple(map(float, sums[n]))
        last = n == len(groups) - 1
        return Beat(words, made if last else (), computed_from(trace, cell), results, panels)

    return tuple(beat(n) for n in range(len(groups)))


def cache(scene: Scene) -> tuple[Beat, ...]:
    """The newest token's key and value: the rows computed now, next to those in the key-value cache."""
    last, head = len(scene.trace) - 1, scene.head

    def part(letter: str, hue: Hue) -> Beat:
        name = scene.block(f"attn.{letter}")
        values = scene.trace.read(name, head=head)
        levels = diverging(values)
        cells = tuple(Cell(name, (head, last, n)) for n in range(values.shape[1]))
        x = scene.trace.read(scene.block("ln1.out"), row=last)

        def panels(t: float) -> Box:
            now = np.array(values, np.float64)
            now[last, round(t * now.shape[1]) :] = np.nan
            return column(
                strip_panel(x, Phrase("x of {1}", scene.labels[last]), Hue.RESIDUAL, diverging(x)),
                MapPanel(
                    title=Phrase("{1}, head {2}", name, head),
                    note=Phrase("{1} rows are kept, one is computed", last),
                    values=now,
                    levels=levels,
                    row_labels=scene.labels,
                    source=Source(name, (head, "row", "col")),
                    hue=hue,
                    selected=last,
                    fresh=1,
                    x_label=Phrase("{1} dimensions", now.shape[1]),
                ),
            )

        words = Phrase("the new row of {1}; the {2} above it come from the cache", letter, last)
        return Beat(words, cells, computed_from(scene.trace, cells[0]), tuple(map(float, values[last])), panels)

    return part("k", Hue.KEY), part("v", Hue.VALUE)


def _shown_keys(scene: Scene, query: int) -> list[int]:
    """The keys that a query sees; if there are many, those that it attends to most, in the order of the text."""
    pattern = scene.trace.read(scene.block("attn.pattern"), head=scene.head, row=query)
    seen = [j for j in range(scene.reach(query)) if np.isfinite(_masked_row(scene, query)[j])]
    strongest = sorted(seen, key=lambda j: -pattern[j])[:_KEYS]
    return sorted(strongest)


def _left_out(scene: Scene, query: int, keys: Sequence[int]) -> str:
    """A note on which keys are shown; "" if all that the query sees are shown."""
    count = sum(np.isfinite(_masked_row(scene, query)[: scene.reach(query)]))
    if len(keys) == count:
        return ""
    return Phrase("the {1} of {2} keys with the largest weights", len(keys), int(count))


def _masked_row(scene: Scene, query: int) -> Array:
    return scene.trace.read(scene.block("attn.masked"), head=scene.head, row=query)
