"""The numbers behind a figure as CSV (one line a number) or JSON (one object a panel), each with the cell it stands in.

float32 numbers are written with as few digits as read back to the same float32; what is not there (masked) has no line
in CSV and is null in JSON.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.panels import (
    AnyPanel,
    ArcsPanel,
    Array,
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
    Source,
    StripsPanel,
    TextPanel,
    TokensPanel,
    WaterfallPanel,
    panels_of,
)
from desktop_app.figures.export import Job
from desktop_app.gpt2.errors import ExportError

LIMIT = 4_000_000
"""Numbers that are written, at most: a gigabyte of CSV serves nobody."""
COLUMNS = ("panel", "title", "series", "row", "column", "row_label", "column_label", "tensor", "index", "value")


@dataclass(frozen=True)
class Table:
    """One series of a panel: numbers [row, column] with labels, and the tensor's cell that each stands for."""

    series: str
    values: Array
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    source: Source | None = None
    cells: tuple[tuple[str, tuple[int, ...]] | None, ...] = ()
    """Of a column of numbers, the cell of each that is one."""


def data_csv(job: Job) -> bytes:
    """Every number of the figure, a line each; row and column say where it stands, as masked ones have none.

    The header says if they are of an edited pass.

    Raises ExportError if there are more than LIMIT.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    badge = job.view.badge
    writer.writerow((*COLUMNS[:-1], f"{COLUMNS[-1]} ({badge})") if badge else COLUMNS)
    for number, panel, tables in _tables(job):
        for table in tables:
            for row, column in np.argwhere(_there(table.values)).tolist():
                value = table.values[row, column]
                labels = table.rows[row] if table.rows else "", table.columns[column] if table.columns else ""
                tensor, index = _cell(table, row, column)
                where = "" if index is None else " ".join(map(str, index))
                writer.writerow((number, panel.title, table.series, row, column, *labels, tensor, where, str(value)))
    return out.getvalue().encode("utf-8")


def data_json(job: Job) -> bytes:
    """Title, lead, caption and every panel's numbers. Raises ExportError if there are more than LIMIT."""
    found = []
    for _, panel, tables in _tables(job):
        series = [
            {
                "series": table.series,
                "values": [[_number(v) for v in line] for line in table.values],
                **({"rows": table.rows} if table.rows else {}),
                **({"columns": table.columns} if table.columns else {}),
                **_where(table),
            }
            for table in tables
        ]
        found.append({"kind": type(panel).__name__.removesuffix("Panel").lower(), "title": panel.title,
                      "note": panel.note, "series": series})  # fmt: skip
    whole: dict[str, Any] = {"title": job.view.title, "lead": job.view.lead, "caption": job.caption}
    whole |= {"pass": job.view.badge} if job.view.badge else {}
    whole |= {"panels": found}
    return (json.dumps(whole, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode("utf-8")


WRITERS: dict[str, Callable[[Job], bytes]] = {"csv": data_csv, "json": data_json}


def data_kinds(text: str) -> tuple[str, ...]:
    """The kinds that a list such as `csv,json` names. Raises ExportError."""
    kinds = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    for kind in kinds:
        if kind not in WRITERS:
            raise ExportError(f"There is no data as {kind[:40]!r}; choose csv, json or both.")
    return kinds


def _tables(job: Job) -> list[tuple[int, AnyPanel, list[Table]]]:
    panels = list(panels_of(job.view.content))
    if any(isinstance(panel, GridPanel) and not panel.small for panel in panels):
        # Thumbnails beside a large grid are a way to others, and would be nine tenths of the file.
        panels = [p for p in panels if not (isinstance(p, MultiplesPanel) or (isinstance(p, GridPanel) and p.small))]
    found = [(n, panel, list(_of(panel))) for n, panel in enumerate(panels, 1)]
    count = sum(np.count_nonzero(_there(table.values)) for _, _, tables in found for table in tables)
    if count > LIMIT:
        raise ExportError(
            f"The data behind this figure are {count:,} numbers, and at most {LIMIT:,} are written; show a part of it "
            f"(one head, a shorter text), or write the tensors with logitscope trace."
        )
    return found


def _of(panel: AnyPanel) -> Iterator[Table]:
    if isinstance(panel, StripsPanel):
        for strip in panel.strips:
            yield Table(strip.label, np.asarray(strip.values)[None, :], source=strip.source)
    elif isinstance(panel, MapPanel):
        yield Table("values", panel.values, panel.row_labels, panel.column_labels, panel.source)
    elif isinstance(panel, GridPanel):
        yield Table("values", panel.values, panel.labels, panel.labels, panel.source)
    elif isinstance(panel, MultiplesPanel):
        for head, name in enumerate(panel.names):
            source = None if panel.source is None else replace(panel.source, index=(head, *panel.source.index[1:]))
            yield Table(name, panel.values[head], source=source)
    elif isinstance(panel, WaterfallPanel):
        labels = tuple(rise.label for rise in panel.rises)
        yield Table("values", _column([rise.value for rise in panel.rises]), labels, source=panel.source)
        yield Table("starts", _column([rise.start for rise in panel.rises]), labels)
    elif isinstance(panel, GraphPanel):
        names = tuple(knot.label for knot in panel.knots)
        edges = tuple(f"{names[strand.upper]} ← {names[strand.lower]}" for strand in panel.strands)
        kinds = tuple(panel.kinds[strand.kind][0] for strand in panel.strands)
        weights = [strand.weight * (panel.full or 1.0) for strand in panel.strands]
        yield Table("nodes", np.array([[knot.weight for knot in panel.knots]]), (), names, panel.node_source)
        yield Table("edges", np.array([weights]), (), edges, panel.edge_source)
        for kind in dict.fromkeys(kinds):
            own = [n for n, other in enumerate(kinds) if other == kind]
            yield Table(kind, np.array([[weights[n] for n in own]]), (), tuple(edges[n] for n in own))
    elif isinstance(panel, AtlasPanel):
        for layer, head in np.ndindex(*panel.values.shape[:2]):
            yield Table(f"block {layer}, head {head}", panel.values[layer, head])
        yield Table("heads", panel.numbers, source=panel.source)
    elif isinstance(panel, ArcsPanel):
        yield Table("values", panel.values, panel.pieces, panel.pieces, panel.source)
    elif isinstance(panel, ShadedPanel):
        source = panel.source
        if source is not None:
            source = replace(source, index=tuple(panel.selected or 0 if i == "row" else i for i in source.index))
        yield Table("values", panel.values[None, :], columns=panel.pieces, source=source)
    elif isinstance(panel, BarsPanel):
        labels = tuple(bar.label for bar in panel.bars)
        yield Table("values", _column([b.value for b in panel.bars]), labels, cells=tuple(b.source for b in panel.bars))
        outlined = [b for b in panel.bars if b.outline is not None]
        if outlined:
            yield Table("outline", _column([b.outline for b in outlined]), tuple(b.label for b in outlined))
    elif isinstance(panel, CurvePanel):
        for n, (x, y) in enumerate(panel.lines):
            yield Table(f"line {n}", np.stack([np.asarray(x, float), np.asarray(y, float)], 1), columns=("x", "y"))
        if panel.points is not None:
            yield Table("points", np.stack([np.asarray(v, float) for v in panel.points], 1), columns=("x", "y"))
        if panel.levels_at:
            yield Table("levels", _column([v for v, _ in panel.levels_at]), tuple(w for _, w in panel.levels_at))
    elif isinstance(panel, CloudPanel):
        each = () if panel.source is None or panel.source.each is None else panel.source.each
        cells = tuple((panel.source.name, index) for index in each) if panel.source is not None else ()
        yield Table("points", panel.points, panel.labels, ("x", "y"), cells=cells)
        if panel.kind is not None:
            yield Table("kinds", np.array([[panel.kinds[int(k)][0]] for k in panel.kind], object), panel.labels)
    elif isinstance(panel, RulerPanel):
        ends = np.stack([panel.edges[:-1], panel.edges[1:]], 1)
        yield Table("intervals", ends, panel.labels, ("from", "to"))
        yield Table("u", _column([panel.u]))
    elif isinstance(panel, TokensPanel):
        yield Table("ids", _column([chip.id for chip in panel.chips]), tuple(chip.label for chip in panel.chips))
    elif isinstance(panel, TextPanel):
        words = np.array([[line.text, line.remark] for line in panel.lines], object).reshape(-1, 2)
        yield Table("lines", words, tuple(line.label for line in panel.lines), ("text", "remark"))
    elif isinstance(panel, ProsePanel):
        yield Table("text", np.array([["".join(panel.pieces)]], object))


def _column(values: list[Any]) -> Array:
    return np.array(values).reshape(-1, 1)


def _cell(table: Table, row: int, column: int) -> tuple[str, tuple[int, ...] | None]:
    if table.cells and (cell := table.cells[row]) is not None:
        return cell
    if table.source is None:
        return "", None
    return table.source.name, table.source.at(row, column)


def _where(table: Table) -> dict[str, Any]:
    """The tensor and its index, in which "row" and "column" stand for what runs, from `first` on."""
    source = table.source
    if any(table.cells):
        return {"cells": [None if cell is None else {"tensor": cell[0], "index": cell[1]} for cell in table.cells]}
    if source is None:
        return {}
    found: dict[str, Any] = {"tensor": source.name, "index": ["column" if i == "col" else i for i in source.index]}
    if source.each is not None:
        found["index"] = source.each
    if source.cols is not None:
        found["columns_at"] = source.cols
    if source.rows is not None:
        found["rows_at"] = source.rows
    if source.group > 1:
        found["group"] = source.group
    if source.first_row or source.first_col:
        found["first"] = {"row": source.first_row, "column": source.first_col}
    return found


def _there(values: Array) -> NDArray[np.bool_]:
    """Where there is a number, or words."""
    return ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)


def _number(value: Any) -> Any:
    """As JSON has it: infinities, which it does not know, as words."""
    if isinstance(value, str):
        return value
    if not np.isfinite(value):
        return None if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return int(value) if isinstance(value, np.integer) else float(str(value))
