"""The kinds of panels, one row each: size, painter, and functions that give the content as numbers and in words."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

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
    SheetPanel,
    StripsPanel,
    TextPanel,
    TokensPanel,
    WaterfallPanel,
)
from desktop_app.figures import (
    paint_arcs,
    paint_charts,
    paint_cloud,
    paint_curves,
    paint_graph,
    paint_heat,
    paint_sheet,
    paint_strips,
    paint_text,
    paint_thumbnails,
    paint_waterfall,
    panel_phrases,
    panel_words,
    tables,
)
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.paint_common import Extent
from desktop_app.figures.tables import Table


@dataclass(frozen=True)
class PanelKind:
    """Everything about a kind of panel except its fields."""

    extent: Callable[[Any, float, Page], Extent]
    """Returns the minimum and preferred height in design units, for a width in units of the page."""
    paint: Callable[[Any, Rect, Page], None]
    """Draws the panel: adds marks within a rectangle of the page."""
    least_width: float
    """The width in design units below which the panel is placed under its neighbour instead of beside it."""
    tables: Callable[[Any], Iterator[Table]]
    """Returns its numbers as tables, for CSV and JSON."""
    words: Callable[[Any], str]
    """Returns a description in one or two sentences, for readers who cannot see it."""
    phrases: Callable[[Any, Callable[[str], str]], dict[str, Any]]
    """Returns the fields that contain words, other than title and note, translated."""
    most: Callable[[Any, float], float] = lambda _panel, wanted: wanted
    """Returns the maximum height that it can use, given its preferred height, on a page with more space."""


KINDS: dict[type[Panel], PanelKind] = {
    TokensPanel: PanelKind(
        paint_text.tokens_extent,
        paint_text.paint_tokens,
        150,
        tables.tokens_table,
        panel_words.tokens_words,
        panel_phrases.nothing,
    ),
    ProsePanel: PanelKind(
        paint_text.prose_extent,
        paint_text.paint_prose,
        150,
        tables.prose_table,
        panel_words.prose_words,
        panel_phrases.nothing,
    ),
    TextPanel: PanelKind(
        paint_text.text_extent,
        paint_text.paint_text,
        200,
        tables.text_table,
        panel_words.text_words,
        panel_phrases.text_phrases,
    ),
    StripsPanel: PanelKind(
        paint_strips.strips_extent,
        paint_strips.paint_strips,
        240,
        tables.strips_table,
        panel_words.strips_words,
        panel_phrases.strips_phrases,
        lambda panel, wanted: wanted + 30 * sum(-(-len(s.values) // panel.wrap) for s in panel.strips),
    ),
    MapPanel: PanelKind(
        paint_heat.map_extent,
        paint_heat.paint_map,
        150,
        tables.map_table,
        panel_words.map_words,
        panel_phrases.map_phrases,
        lambda panel, wanted: wanted + 46 * len(panel.values),
    ),
    GridPanel: PanelKind(
        paint_heat.grid_extent,
        paint_heat.paint_grid,
        290,
        tables.grid_table,
        panel_words.grid_words,
        panel_phrases.nothing,
        lambda panel, wanted: wanted if panel.small else 1.8 * wanted,
    ),
    MultiplesPanel: PanelKind(
        paint_thumbnails.multiples_extent,
        paint_thumbnails.paint_multiples,
        150,
        tables.multiples_table,
        panel_words.multiples_words,
        panel_phrases.multiples_phrases,
        lambda _panel, wanted: 3 * wanted,
    ),
    AtlasPanel: PanelKind(
        paint_thumbnails.atlas_extent,
        paint_thumbnails.paint_atlas,
        200,
        tables.atlas_table,
        panel_words.atlas_words,
        panel_phrases.nothing,
        lambda _panel, wanted: 3 * wanted,
    ),
    ShadedPanel: PanelKind(
        paint_text.shaded_extent,
        paint_text.paint_shaded,
        200,
        tables.shaded_table,
        panel_words.shaded_words,
        panel_phrases.nothing,
    ),
    ArcsPanel: PanelKind(
        paint_arcs.arcs_extent,
        paint_arcs.paint_arcs,
        240,
        tables.arcs_table,
        panel_words.arcs_words,
        panel_phrases.nothing,
        lambda _panel, wanted: 1.4 * wanted,
    ),
    BarsPanel: PanelKind(
        paint_charts.bars_extent,
        paint_charts.paint_bars,
        200,
        tables.bars_table,
        panel_words.bars_words,
        panel_phrases.bars_phrases,
        lambda panel, wanted: wanted + 22 * len(panel.bars),
    ),
    WaterfallPanel: PanelKind(
        paint_waterfall.waterfall_extent,
        paint_waterfall.paint_waterfall,
        260,
        tables.waterfall_table,
        panel_words.waterfall_words,
        panel_phrases.waterfall_phrases,
        lambda panel, wanted: wanted + 8 * len(panel.rises),
    ),
    GraphPanel: PanelKind(
        paint_graph.graph_extent,
        paint_graph.paint_graph,
        260,
        tables.graph_table,
        panel_words.graph_words,
        panel_phrases.graph_phrases,
        lambda _panel, wanted: 2.2 * wanted,
    ),
    CurvePanel: PanelKind(
        paint_curves.curve_extent,
        paint_curves.paint_curve,
        180,
        tables.curve_table,
        panel_words.curve_words,
        panel_phrases.curve_phrases,
        lambda _panel, wanted: 1.8 * wanted,
    ),
    CloudPanel: PanelKind(
        paint_cloud.cloud_extent,
        paint_cloud.paint_cloud,
        240,
        tables.cloud_table,
        panel_words.cloud_words,
        panel_phrases.cloud_phrases,
        lambda _panel, wanted: 4 * wanted,
    ),
    RulerPanel: PanelKind(
        paint_charts.ruler_extent,
        paint_charts.paint_ruler,
        200,
        tables.ruler_table,
        panel_words.ruler_words,
        panel_phrases.ruler_phrases,
    ),
    SheetPanel: PanelKind(
        paint_sheet.sheet_extent,
        paint_sheet.paint_sheet,
        240,
        tables.sheet_table,
        panel_words.sheet_words,
        panel_phrases.sheet_phrases,
        lambda _panel, wanted: 9 * wanted,
    ),
}
"""All kinds; a test compares them with `AnyPanel`."""
