"""The numbers of each kind of panel as tables, written to CSV and JSON with the tensor cell of each number."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from desktop_app.core.opening.cells import written
from desktop_app.core.panels import (
    ArcsPanel,
    Array,
    AtlasPanel,
    Bar,
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
    Source,
    StripsPanel,
    TextPanel,
    TokensPanel,
    WaterfallPanel,
)


@dataclass(frozen=True)
class Table:
    """One series of a panel: numbers or words [row, column] with labels, and the tensor cell of each number."""

    series: str
    values: Array
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    source: Source | None = None
    cells: tuple[tuple[str, tuple[int, ...]] | None, ...] = ()
    """For a column of numbers: the cell of each number, None for numbers that are not a cell of a tensor."""


def tokens_table(panel: TokensPanel) -> Iterator[Table]:
    """Numbers of tokens as chips."""
    yield Table("ids", _column([chip.id for chip in panel.chips]), tuple(chip.label for chip in panel.chips))


def prose_table(panel: ProsePanel) -> Iterator[Table]:
    """The text itself, in one cell."""
    yield Table("text", np.array([["".join(panel.pieces)]], object))


def text_table(panel: TextPanel) -> Iterator[Table]:
    """The text and the remark of each line."""
    words = np.array([[line.text, line.remark] for line in panel.lines], object).reshape(-1, 2)
    yield Table("lines", words, tuple(line.label for line in panel.lines), ("text", "remark"))


def strips_table(panel: StripsPanel) -> Iterator[Table]:
    """Numbers of vectors as strips."""
    for strip in panel.strips:
        yield Table(strip.label, np.asarray(strip.values)[None, :], source=strip.source)


def map_table(panel: MapPanel) -> Iterator[Table]:
    """Numbers of a table as colours."""
    yield Table("values", panel.values, panel.row_labels, panel.column_labels, panel.source)


def grid_table(panel: GridPanel) -> Iterator[Table]:
    """Numbers of an attention grid."""
    yield Table("values", panel.values, *panel.shown_labels, panel.source)


def multiples_table(panel: MultiplesPanel) -> Iterator[Table]:
    """Numbers of a grid of every head."""
    for head, name in enumerate(panel.names):
        source = None if panel.source is None else replace(panel.source, index=(head, *panel.source.index[1:]))
        yield Table(name, panel.values[head], source=source)


def atlas_table(panel: AtlasPanel) -> Iterator[Table]:
    """Numbers of a grid of every head of every block."""
    for layer, head in np.ndindex(*panel.values.shape[:2]):
        yield Table(f"block {layer}, head {head}", panel.values[layer, head])
    yield Table("heads", panel.numbers, source=panel.source)


def shaded_table(panel: ShadedPanel) -> Iterator[Table]:
    """Numbers of a shaded text."""
    source = panel.source
    if source is not None:
        source = replace(source, index=tuple(panel.selected or 0 if i == "row" else i for i in source.index))
    yield Table("values", panel.values[None, :], columns=panel.pieces, source=source)


def sheet_table(panel: SheetPanel) -> Iterator[Table]:
    """Numbers of the current step's pictures; `logitscope trace` writes those of a whole pass."""
    for n in panel.here:
        if panel.sheet is not None and panel.values is not None and panel.values.units == 1:
            plate = panel.sheet.plates[n]
            values = panel.values.cells(plate, range(plate.rows), range(plate.columns))
            source = replace(plate.source, run=panel.run)
            yield Table(plate.label, values, panel.labels, source=source)


def arcs_table(panel: ArcsPanel) -> Iterator[Table]:
    """Numbers of a text joined by arcs."""
    yield Table("values", panel.values, panel.pieces, panel.pieces, panel.source)


def bars_table(panel: BarsPanel) -> Iterator[Table]:
    """Numbers of bars."""
    labels = tuple(bar.label for bar in panel.bars)
    yield Table("values", _column([b.value for b in panel.bars]), labels, cells=tuple(_cell(bar) for bar in panel.bars))
    outlined = [b for b in panel.bars if b.outline is not None]
    if outlined:
        yield Table("outline", _column([b.outline for b in outlined]), tuple(b.label for b in outlined))


def _cell(bar: Bar) -> tuple[str, tuple[int, ...]] | None:
    return None if bar.source is None else (written(bar.run, bar.source[0]), bar.source[1])


def waterfall_table(panel: WaterfallPanel) -> Iterator[Table]:
    """Numbers of a sum as bars."""
    labels = tuple(rise.label for rise in panel.rises)
    yield Table("values", _column([rise.value for rise in panel.rises]), labels, source=panel.source)
    yield Table("starts", _column([rise.start for rise in panel.rises]), labels)


def graph_table(panel: GraphPanel) -> Iterator[Table]:
    """Numbers of nodes and edges."""
    names = tuple(knot.label for knot in panel.knots)
    edges = tuple(f"{names[strand.upper]} ← {names[strand.lower]}" for strand in panel.strands)
    kinds = tuple(panel.kinds[strand.kind][0] for strand in panel.strands)
    weights = [strand.weight * (panel.full or 1.0) for strand in panel.strands]
    yield Table("nodes", np.array([[knot.weight for knot in panel.knots]]), (), names, panel.node_source)
    yield Table("edges", np.array([weights]), (), edges, panel.edge_source)
    for kind in dict.fromkeys(kinds):
        own = [n for n, other in enumerate(kinds) if other == kind]
        yield Table(kind, np.array([[weights[n] for n in own]]), (), tuple(edges[n] for n in own))


def curve_table(panel: CurvePanel) -> Iterator[Table]:
    """Numbers of lines against axes."""
    for n, (x, y) in enumerate(panel.lines):
        yield Table(f"line {n}", np.stack([np.asarray(x, float), np.asarray(y, float)], 1), columns=("x", "y"))
    if panel.points is not None:
        yield Table("points", np.stack([np.asarray(v, float) for v in panel.points], 1), columns=("x", "y"))
    if panel.levels_at:
        yield Table("levels", _column([v for v, _ in panel.levels_at]), tuple(w for _, w in panel.levels_at))


def cloud_table(panel: CloudPanel) -> Iterator[Table]:
    """Numbers of points in a plane."""
    each = () if panel.source is None or panel.source.each is None else panel.source.each
    cells = tuple((panel.source.written, index) for index in each) if panel.source is not None else ()
    yield Table("points", panel.points, panel.labels, ("x", "y"), cells=cells)
    if panel.kind is not None:
        yield Table("kinds", np.array([[panel.kinds[int(k)][0]] for k in panel.kind], object), panel.labels)


def ruler_table(panel: RulerPanel) -> Iterator[Table]:
    """The interval of each token, and the number `u` that chooses one of them."""
    ends = np.stack([panel.edges[:-1], panel.edges[1:]], 1)
    yield Table("intervals", ends, panel.labels, ("from", "to"))
    yield Table("u", _column([panel.u]))


def _column(values: list[Any]) -> Array:
    return np.array(values).reshape(-1, 1)
