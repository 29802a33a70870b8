"""Views and panels in words, for readers who cannot see them: a screen reader's text, and the alt text of slides."""

from collections.abc import Callable
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
    Panel,
    ProsePanel,
    RulerPanel,
    ShadedPanel,
    StripsPanel,
    TextPanel,
    TokensPanel,
    View,
    WaterfallPanel,
    panels_of,
)

_CHIPS, _LETTERS, _NAMED = 100, 400, 3


def spoken(view: View) -> str:
    """The headline, the lead and every panel, in sentences; the same panel only once."""
    said = dict.fromkeys(alt_of(panel) for panel in panels_of(view.content))
    return " ".join(filter(None, (f"{view.title}." if view.title else "", view.lead, *said)))


def alt_of(panel: Panel) -> str:
    """A panel in a sentence or two."""
    name = f"{panel.title}. " if panel.title else ""
    name += f"{panel.note[0].upper()}{panel.note[1:]}. " if panel.note else ""
    words = _WORDS.get(type(panel))
    return (name + (words(panel) if words is not None else "")).strip() or "A picture of the step."


def thickest(panel: GraphPanel, kind: int = 1, count: int = _NAMED) -> str:
    """The thickest lines of one kind of a graph, of attention unless told."""
    own = sorted((s for s in panel.strands if s.kind == kind), key=lambda s: -s.weight)[:count]
    said = "; ".join(
        f"{panel.knots[s.upper].label} from {panel.knots[s.lower].label}, {panel.says(s.weight)}" for s in own
    )
    return f"The thickest lines of {panel.kinds[kind][0]}: {said}." if own else ""


def _bars(panel: BarsPanel) -> str:
    return "Bars: " + "; ".join(f"{b.label} {b.text}" + ("" if b.kept else ", cut") for b in panel.bars) + "."


def _waterfall(panel: WaterfallPanel) -> str:
    return "A sum as bars: " + "; ".join(f"{r.label} {r.text}" for r in panel.rises) + "."


def _graph(panel: GraphPanel) -> str:
    lines, columns, (nodes, across) = len(panel.strands), len(panel.positions), panel.things
    return f"Graph of {len(panel.knots)} {nodes} and {lines} lines over {columns} {across}. {thickest(panel)}"


def _grid(panel: GridPanel) -> str:
    count = len(panel.values)
    rows, columns = ("keys", "queries") if panel.keys_down else ("queries", "keys")
    return f"Grid of {count} {rows} by {count} {columns}. {_strongest(panel.values, panel.labels, panel.labels)}"


def _map(panel: MapPanel) -> str:
    rows, columns = panel.values.shape
    said = f"Map of {rows} by {columns} numbers. {_strongest(panel.values, panel.row_labels, panel.column_labels)}"
    at = panel.selected_column
    if not panel.texts or at is None or not 0 <= at < columns:
        return said
    down = "; ".join(f"{label} {texts[at]}" for label, texts in zip(panel.row_labels, panel.texts, strict=False))
    return f"{said} Down the chosen column: {down}."


def _atlas(panel: AtlasPanel) -> str:
    blocks, heads = panel.values.shape[:2]
    chosen = f" Block {panel.selected[0]}, head {panel.selected[1]} is chosen." if panel.selected is not None else ""
    return f"{blocks} blocks by {heads} heads, a grid of each.{chosen}"


def _shaded(panel: ShadedPanel) -> str:
    order = np.argsort(np.where(np.isfinite(panel.values), -panel.values, np.inf), kind="stable")[:_NAMED]
    said = (f"{panel.pieces[n]} at {n}, {number(float(panel.values[n]))}" for n in order if panel.values[n] > 0)
    return f"Text of {len(panel.pieces)} tokens; most: {'; '.join(said) or 'none'}."


def _arcs(panel: ArcsPanel) -> str:
    said = f"Text of {len(panel.pieces)} tokens, joined by arcs. {_strongest(panel.values, panel.pieces, panel.pieces)}"
    if panel.selected is None:
        return said
    own = panel.values[panel.selected]
    order = np.argsort(np.where(np.isfinite(own), -own, np.inf), kind="stable")[:_NAMED]
    most = "; ".join(f"{panel.pieces[n]} at {n}, {percent(float(own[n]))}" for n in order if own[n] >= panel.least)
    return f"{said} From {panel.pieces[panel.selected]}: {most or 'none'}."


def _multiples(panel: MultiplesPanel) -> str:
    return f"{len(panel.values)} grids of {panel.values.shape[1]} tokens, one for each head."


def _strips(panel: StripsPanel) -> str:
    return "Vectors: " + "; ".join(" ".join(filter(None, (s.operator, s.label, s.remark))) for s in panel.strips) + "."


def _tokens(panel: TokensPanel) -> str:
    more = " …" if len(panel.chips) > _CHIPS else ""
    return "Tokens: " + " ".join(chip.label for chip in panel.chips[:_CHIPS]) + more


def _prose(panel: ProsePanel) -> str:
    return f"The text: {''.join(panel.pieces)[:_LETTERS]}"


def _text(panel: TextPanel) -> str:
    labelled = (" ".join(filter(None, (f"{n.label}:" if n.label else "", n.text, n.remark))) for n in panel.lines)
    return ". ".join(labelled) + "."


def _curve(panel: CurvePanel) -> str:
    axes = f", {panel.y_label or 'value'} against {panel.x_label}" if panel.x_label else ""
    named = zip(panel.line_names, panel.lines, strict=False)
    ends = (f"{name} ends at {number(float(y[-1]))}" for name, (_, y) in named)
    focus = panel.focus[2] if panel.focus else ""
    said = "; ".join(ends) or focus
    return f"Curve{axes}. {said}{'.' * bool(said)}".strip()


def _cloud(panel: CloudPanel) -> str:
    counts = () if panel.kind is None else np.bincount(panel.kind, minlength=len(panel.kinds))
    kinds = ", ".join(f"{name}: {count:,}" for (name, _), count in zip(panel.kinds, counts, strict=False) if count)
    axes = "; ".join(filter(None, (panel.x_label, panel.y_label)))
    shown = (f"{panel.labels[n]} at {number(float(x))}, {number(float(y))}" for n, x, y in _noted(panel))
    said = (f"{len(panel.points):,} points in a plane", kinds, axes, "; ".join(shown))
    return ". ".join(filter(None, said)) + "."


def _noted(panel: CloudPanel) -> list[tuple[int, float, float]]:
    few = range(min(len(panel.points), 2 * _NAMED))
    return [(n, *panel.points[n]) for n in (panel.marked or few)]


def _ruler(panel: RulerPanel) -> str:
    return f"u = {number(panel.u)} falls on {panel.labels[panel.landed]}."


_WORDS: dict[type[Panel], Callable[[Any], str]] = {
    BarsPanel: _bars,
    WaterfallPanel: _waterfall,
    GraphPanel: _graph,
    GridPanel: _grid,
    MapPanel: _map,
    AtlasPanel: _atlas,
    ShadedPanel: _shaded,
    ArcsPanel: _arcs,
    MultiplesPanel: _multiples,
    StripsPanel: _strips,
    TokensPanel: _tokens,
    ProsePanel: _prose,
    TextPanel: _text,
    CurvePanel: _curve,
    CloudPanel: _cloud,
    RulerPanel: _ruler,
}


def _strongest(values: Any, rows: tuple[str, ...], columns: tuple[str, ...]) -> str:
    sizes = np.where(np.isfinite(values), np.abs(values), -1)
    if not sizes.size or sizes.max() < 0:
        return ""
    r, c = (int(n) for n in np.unravel_index(int(np.argmax(sizes)), sizes.shape))
    where = f"row {rows[r] if rows else r}, column {columns[c] if columns else c}"
    return f"The largest in size, {number(float(values[r, c]))}, in {where}."
