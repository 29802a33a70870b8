"""Each kind of panel in words, for readers who cannot see it."""

from typing import Any

import numpy as np

from desktop_app.core.levels import number, percent
from desktop_app.core.panels import (
    ArcsPanel,
    AtlasPanel,
    BarsPanel,
    CloudPanel,
    CurvePanel,
    GraphPanel,
    GridPanel,
    MapPanel,
    MultiplesPanel,
    ProsePanel,
    RulerPanel,
    ShadedPanel,
    SheetPanel,
    StripsPanel,
    TextPanel,
    TokensPanel,
    WaterfallPanel,
)

_CHIPS, _LETTERS, _NAMED = 100, 400, 3


def thickest(panel: GraphPanel, kind: int = 1, count: int = _NAMED) -> str:
    """The thickest edges of one kind of a graph, by default of attention, in words."""
    own = sorted((s for s in panel.strands if s.kind == kind), key=lambda s: -s.weight)[:count]
    said = "; ".join(
        f"{panel.knots[s.upper].label} from {panel.knots[s.lower].label}, {panel.says(s.weight)}" for s in own
    )
    return f"The thickest edges of {panel.kinds[kind][0]}: {said}." if own else ""


def bars_words(panel: BarsPanel) -> str:
    """Bars, in words."""
    return "Bars: " + "; ".join(f"{b.label} {b.text}" + ("" if b.kept else ", cut") for b in panel.bars) + "."


def waterfall_words(panel: WaterfallPanel) -> str:
    """A sum as bars, in words."""
    return "A sum as bars: " + "; ".join(f"{r.label} {r.text}" for r in panel.rises) + "."


def graph_words(panel: GraphPanel) -> str:
    """Nodes and edges, in words."""
    edges, columns, (nodes, across) = len(panel.strands), len(panel.positions), panel.things
    return f"Graph of {len(panel.knots)} {nodes} and {edges} edges over {columns} {across}. {thickest(panel)}"


def grid_words(panel: GridPanel) -> str:
    """An attention grid, in words."""
    down, across = panel.values.shape
    rows, columns = ("keys", "queries") if panel.keys_down else ("queries", "keys")
    return f"Grid of {down} {rows} by {across} {columns}. {_strongest(panel.values, *panel.shown_labels)}"


def map_words(panel: MapPanel) -> str:
    """A table as colours, in words."""
    rows, columns = panel.values.shape
    said = f"Map of {rows} by {columns} numbers. {_strongest(panel.values, panel.row_labels, panel.column_labels)}"
    at = panel.selected_column
    if not panel.texts or at is None or not 0 <= at < columns:
        return said
    down = "; ".join(f"{label} {texts[at]}" for label, texts in zip(panel.row_labels, panel.texts, strict=False))
    return f"{said} Down the chosen column: {down}."


def atlas_words(panel: AtlasPanel) -> str:
    """A grid of every head of every block, in words."""
    blocks, heads = panel.values.shape[:2]
    chosen = f" Block {panel.selected[0]}, head {panel.selected[1]} is chosen." if panel.selected is not None else ""
    return f"{blocks} blocks by {heads} heads, a grid of each.{chosen}"


def sheet_words(panel: SheetPanel) -> str:
    """The whole pass, in words."""
    if panel.sheet is None:
        return ""
    blocks = sum(card.layer is not None for card in panel.sheet.cards)
    said = f"{panel.sheet.cells:,} numbers of {panel.sheet.positions} tokens and {blocks} blocks on one sheet."
    return f"{said} You are at {panel.place}." if panel.place else said


def shaded_words(panel: ShadedPanel) -> str:
    """A shaded text, in words."""
    order = np.argsort(np.where(np.isfinite(panel.values), -panel.values, np.inf), kind="stable")[:_NAMED]
    said = (f"{panel.pieces[n]} at {n}, {number(float(panel.values[n]))}" for n in order if panel.values[n] > 0)
    return f"Text of {len(panel.pieces)} tokens; most: {'; '.join(said) or 'none'}."


def arcs_words(panel: ArcsPanel) -> str:
    """A text joined by arcs, in words."""
    said = f"Text of {len(panel.pieces)} tokens, joined by arcs. {_strongest(panel.values, panel.pieces, panel.pieces)}"
    if panel.selected is None:
        return said
    own = panel.values[panel.selected]
    order = np.argsort(np.where(np.isfinite(own), -own, np.inf), kind="stable")[:_NAMED]
    most = "; ".join(f"{panel.pieces[n]} at {n}, {percent(float(own[n]))}" for n in order if own[n] >= panel.least)
    return f"{said} From {panel.pieces[panel.selected]}: {most or 'none'}."


def multiples_words(panel: MultiplesPanel) -> str:
    """A grid of every head, in words."""
    return f"{len(panel.values)} grids of {max(panel.values.shape[1:])} tokens, one for each head."


def strips_words(panel: StripsPanel) -> str:
    """Vectors as strips, in words."""
    return "Vectors: " + "; ".join(" ".join(filter(None, (s.operator, s.label, s.remark))) for s in panel.strips) + "."


def tokens_words(panel: TokensPanel) -> str:
    """Tokens as chips, in words."""
    more = " …" if len(panel.chips) > _CHIPS else ""
    return "Tokens: " + " ".join(chip.label for chip in panel.chips[:_CHIPS]) + more


def prose_words(panel: ProsePanel) -> str:
    """The text, in words."""
    return f"The text: {''.join(panel.pieces)[:_LETTERS]}"


def text_words(panel: TextPanel) -> str:
    """Lines of text, in words."""
    labelled = (" ".join(filter(None, (f"{n.label}:" if n.label else "", n.text, n.remark))) for n in panel.lines)
    return ". ".join(labelled) + "."


def curve_words(panel: CurvePanel) -> str:
    """Lines against axes, in words."""
    axes = f", {panel.y_label or 'value'} against {panel.x_label}" if panel.x_label else ""
    named = zip(panel.line_names, panel.lines, strict=False)
    ends = (f"{name} ends at {number(float(y[-1]))}" for name, (_, y) in named)
    focus = panel.focus[2] if panel.focus else ""
    said = "; ".join(ends) or focus
    return f"Curve{axes}. {said}{'.' * bool(said)}".strip()


def cloud_words(panel: CloudPanel) -> str:
    """Points in a plane, in words."""
    counts = () if panel.kind is None else np.bincount(panel.kind, minlength=len(panel.kinds))
    kinds = ", ".join(f"{name}: {count:,}" for (name, _), count in zip(panel.kinds, counts, strict=False) if count)
    axes = "; ".join(filter(None, (panel.x_label, panel.y_label)))
    shown = (f"{panel.labels[n]} at {number(float(x))}, {number(float(y))}" for n, x, y in _noted(panel))
    said = (f"{len(panel.points):,} points in a plane", kinds, axes, "; ".join(shown))
    return ". ".join(filter(None, said)) + "."


def _noted(panel: CloudPanel) -> list[tuple[int, float, float]]:
    few = range(min(len(panel.points), 2 * _NAMED))
    return [(n, *panel.points[n]) for n in (panel.marked or few)]


def ruler_words(panel: RulerPanel) -> str:
    """The draw of a token, in words."""
    return f"u = {number(panel.u)} falls on {panel.labels[panel.landed]}."


def _strongest(values: Any, rows: tuple[str, ...], columns: tuple[str, ...]) -> str:
    if not values.size:
        return ""
    # Sorting would be slow: the words are made again in every frame, also of a grid of a thousand tokens.
    high, low = np.fmax.reduce(values, axis=None), np.fmin.reduce(values, axis=None)
    if not (np.isfinite(high) and np.isfinite(low)):
        values = np.where(np.isfinite(values), values, np.nan)
        high, low = np.fmax.reduce(values, axis=None), np.fmin.reduce(values, axis=None)
    if np.isnan(high):
        return ""
    at = (values == high) | (values == low) if high == -low else values == (high if high > -low else low)
    r, c = (int(n) for n in np.unravel_index(int(np.argmax(at)), values.shape))
    where = f"row {rows[r] if rows else r}, column {columns[c] if columns else c}"
    return f"The largest in magnitude, {number(float(values[r, c]))}, in {where}."
