"""Any tensor row by row: each token's row is filled from left to right."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from desktop_app.core.levels import diverging, unit
from desktop_app.core.motion.beats import Beat
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.links import computed_from
from desktop_app.core.panels import AnyPanel, Box, GridPanel, MapPanel, Source, column
from desktop_app.core.scene import Scene
from desktop_app.core.sheet.scales import is_centred
from desktop_app.core.views.common import token_name
from desktop_app.gpt2.phrase import Phrase

_ROWS = 40


@dataclass(frozen=True)
class _RowCells(Sequence[Cell]):
    """The cells of a row, each created on access, because a row of logits has 50,257 of them."""

    name: str
    lead: tuple[int, ...]
    columns: Array

    def __len__(self) -> int:
        return len(self.columns)

    @overload
    def __getitem__(self, at: int) -> Cell: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Cell, ...]: ...
    def __getitem__(self, at: int | slice) -> Cell | tuple[Cell, ...]:
        if isinstance(at, slice):
            return tuple(Cell(self.name, (*self.lead, int(n))) for n in self.columns[at])
        return Cell(self.name, (*self.lead, int(self.columns[at])))


def rows_of(scene: Scene, name: str) -> tuple[Beat, ...]:
    """Beats that fill each token's row from left to right; for a long text, only the last forty rows."""
    trace, count = scene.trace, len(scene.trace)
    per_head = trace.table[name].spec.per_head
    head = scene.head if per_head else None
    grid = trace.table[name].axes[-1] == "key"
    first = max(0, count - _ROWS)
    top = 0 if grid else first  # a grid is shown whole, because its rows become longer from top to bottom
    values = np.array(trace.read_rows(name, count, top, head=head), np.float32)
    if grid and name.endswith(("masked", "pattern")):
        values[~np.isfinite(trace.read(scene.block("attn.masked"), head=head))] = np.nan
    levels = unit(scene.state.view.pattern_scale) if name.endswith("pattern") else diverging(values)
    centres: tuple[float, ...] = ()
    if is_centred(name):
        means = values.mean(1, dtype=np.float64)
        centres, levels = tuple(map(float, means)), replace(diverging(values - means[:, None]), centred=True)
    lead = () if head is None else (head,)
    source = Source(name, (*lead, "row", "col"), first_row=top)

    def beat(row: int) -> Beat:
        there = np.flatnonzero(np.isfinite(values[row - top]))
        cells = _RowCells(name, (*lead, row), there)

        def panels(t: float) -> Box:
            now = values.copy()
            now[row - top + 1 :] = np.nan
            now[row - top, round(t * now.shape[1]) :] = np.nan
            panel: AnyPanel = (
                GridPanel(
                    title=name,
                    values=now,
                    levels=levels,
                    labels=scene.labels,
                    selected=row,
                    head=scene.head,
                    source=source,
                )
                if grid
                else MapPanel(
                    title=name,
                    values=now,
                    levels=levels,
                    row_labels=scene.labels[top:],
                    selected=row - top,
                    source=source,
                    x_label=Phrase("{1} columns", now.shape[1]),
                    first=top,
                    centres=centres,
                )
            )
            return column(panel)

        read = computed_from(trace, cells[0]) if len(cells) else ()
        return Beat(Phrase("the row of {1}", token_name(scene, row)), cells, read, values[row - top][there], panels)

    return tuple(beat(row) for row in range(first, count))
