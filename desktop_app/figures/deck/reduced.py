"""What of a view a slide shows: one or two of its pictures, with so few numbers that they are legible from afar."""

from dataclasses import replace

import numpy as np

from desktop_app.core.comparing.compare import main_panel
from desktop_app.core.panels import (
    AnyPanel,
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    GraphPanel,
    GridPanel,
    MapPanel,
    ProsePanel,
    RulerPanel,
    ShadedPanel,
    TextPanel,
    TokensPanel,
    View,
    WaterfallPanel,
    column,
    panels_of,
    row,
)
from desktop_app.core.places import BESIDE, Step

_GRID, _BARS, _LINES = 8, 9, 8
_ROWS, _LEVELS, _RISES = 12, 9, 12

_KINDS: dict[str, tuple[type[AnyPanel], ...]] = {
    "sum": (TextPanel, BarsPanel),
    "resid_mid": (TextPanel, BarsPanel),
    "resid_post": (TextPanel, BarsPanel),
    "append": (TokensPanel, TextPanel),
    "circuits": (GraphPanel, BarsPanel),
    "masks": (MapPanel,),
    "superposition": (CurvePanel,),
}
"""Step -> the kinds of panels of its view that its slide shows, the last panel of each kind."""

_CHARTS = (TokensPanel, RulerPanel, BarsPanel, CurvePanel, ProsePanel)
"""Panels that can be read from the back row, in order of preference; maps of vectors cannot."""


def pictures(step: Step, view: View) -> Box:
    """The one or two pictures of the view of a step that a slide shows, reduced to what is legible there."""
    kinds = _KINDS.get(step.spec.op)
    every = list({id(p): p for p in panels_of(view.content)}.values())
    # the scores of all heads: a slide shows which are highest
    if step.spec.op == "atlas" and isinstance(every[0], MapPanel):
        return row(bounded(every[0]), bounded(every[-1]), weights=(3, 2))
    if kinds is not None:
        picked = [next((p for p in reversed(every) if isinstance(p, kind)), None) for kind in kinds]
        chosen: list[AnyPanel] = [p for p in picked if p is not None] or every[:1]
    else:
        chosen = _picked(step, view, every)
    return column(*(bounded(panel) for panel in chosen))


def _picked(step: Step, view: View, every: list[AnyPanel]) -> list[AnyPanel]:
    main = main_panel(view, step.tensors)
    if step.spec.part == BESIDE or isinstance(main, GridPanel):
        return [main]
    charts: list[AnyPanel] = [panel for kind in _CHARTS for panel in every if isinstance(panel, kind)]
    return charts[:2] if isinstance(charts[0] if charts else None, TokensPanel | RulerPanel) else charts[:1] or [main]


def bounded(panel: AnyPanel) -> AnyPanel:
    """The panel reduced to what fits on a slide."""
    if isinstance(panel, GridPanel) and len(panel.values) > _GRID:
        # A grid of so many tokens has no space for legible text, but its row for the selected token has.
        values = panel.values.T if panel.keys_down else panel.values
        at = len(values) - 1 if panel.selected is None else panel.selected
        row = np.where(np.isfinite(values[at]), values[at], np.nan)
        panel = ShadedPanel(panel.title, pieces=panel.labels, values=row, levels=panel.levels, selected=at)
    elif isinstance(panel, BarsPanel):
        panel = _longest(panel)
    elif isinstance(panel, TextPanel):
        panel = replace(panel, lines=panel.lines[:_LINES])
    elif isinstance(panel, MapPanel) and len(panel.values) > _ROWS:
        panel = _fewer_rows(panel)
    elif isinstance(panel, GraphPanel) and len(panel.level_labels) > _LEVELS:
        named, every = panel.level_labels, -(-len(panel.level_labels) // _LEVELS)
        panel = replace(panel, level_labels=tuple("" if n % every else words for n, words in enumerate(named)))
    elif isinstance(panel, WaterfallPanel) and len(panel.rises) > _RISES:
        panel = _largest_parts(panel)
    return replace(panel, hint="")


def _fewer_rows(panel: MapPanel) -> MapPanel:
    """The panel with every n-th of its rows, counted from the last, so that their labels are large enough.

    n is even: in the lens, a block has two rows, and the rows that remain are then of one kind.
    """
    count = len(panel.values)
    every = 2 * -(-count // (2 * _ROWS))
    rows = range((count - 1) % every, count, every)
    source = panel.source
    if source is not None and source.each is None:
        named = source.rows or range(source.first_row, source.first_row + count)
        source = replace(source, first_row=0, rows=tuple(named[n] for n in rows))
    chosen = panel.selected
    return replace(
        panel,
        values=panel.values[rows.start :: every],
        row_labels=panel.row_labels[rows.start :: every],
        texts=panel.texts[rows.start :: every],
        positions=panel.positions[rows.start :: every],
        selected=None if chosen is None or chosen not in rows else rows.index(chosen),
        source=source,
        fresh=0,
    )


def _largest_parts(panel: WaterfallPanel) -> BarsPanel:
    """The parts of a sum with the largest magnitude, as bars in their original order: all would not fit as steps."""
    parts = [n for n, rise in enumerate(panel.rises) if not rise.total]
    chosen = sorted(sorted(parts, key=lambda n: -abs(panel.rises[n].value))[:_BARS])
    bars = (panel.rises[n] for n in chosen)
    return BarsPanel(
        panel.title, bars=tuple(Bar(rise.label, rise.value, rise.text, marked=rise.marked) for rise in bars)
    )


def _longest(panel: BarsPanel) -> BarsPanel:
    """The panel with only its longest bars, in their original order, and without its note about the others."""
    if len(panel.bars) <= _BARS:
        return panel
    order = sorted(range(len(panel.bars)), key=lambda n: -abs(panel.bars[n].value - panel.base))
    chosen = sorted(order[:_BARS])
    above = [(cut, sum(n < cut.place for n in chosen)) for cut in panel.cuts]
    # A line with no bar left on one of its sides would separate nothing.
    cuts = tuple(cut._replace(place=n) for cut, n in above if n < len(chosen) and (n > 0 or cut.place == 0))
    return replace(panel, note="", bars=tuple(panel.bars[n] for n in chosen), cuts=cuts)
