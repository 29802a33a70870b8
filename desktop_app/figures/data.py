"""The numbers of a figure as CSV (a line for each number) or JSON (an object for each panel), with their tensor cells.

float32 numbers are written with the fewest digits that read back to the same float32; a masked number has no line in
CSV and is null in JSON.
"""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.panels import (
    AnyPanel,
    Array,
    GridPanel,
    MultiplesPanel,
    panels_of,
)
from desktop_app.figures.export import Job
from desktop_app.figures.kinds import KINDS
from desktop_app.figures.tables import Table
from desktop_app.gpt2.errors import ExportError

LIMIT = 4_000_000
"""The most numbers that are written; more would make a gigabyte of CSV."""
COLUMNS = ("panel", "title", "series", "row", "column", "row_label", "column_label", "tensor", "index", "value")


def data_csv(job: Job) -> bytes:
    """Every number of the figure, one on each line, with its row and column, since masked numbers have no line.

    The header says whether the numbers are from an edited pass.

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
            raise ExportError(f"Data cannot be written as {kind[:40]!r}; choose csv, json or both.")
    return kinds


def _tables(job: Job) -> list[tuple[int, AnyPanel, list[Table]]]:
    panels = list(panels_of(job.view.content))
    if any(isinstance(panel, GridPanel) and not panel.small for panel in panels):
        # Thumbnails beside a large grid only link to other grids, and would be nine tenths of the file.
        panels = [p for p in panels if not (isinstance(p, MultiplesPanel) or (isinstance(p, GridPanel) and p.small))]
    found = [(n, panel, list(KINDS[type(panel)].tables(panel))) for n, panel in enumerate(panels, 1)]
    count = sum(np.count_nonzero(_there(table.values)) for _, _, tables in found for table in tables)
    if count > LIMIT:
        raise ExportError(
            f"The data behind this figure are {count:,} numbers, and at most {LIMIT:,} are written; show a part of it "
            f"(one head, a shorter text), or write the tensors with logitscope trace."
        )
    return found


def _cell(table: Table, row: int, column: int) -> tuple[str, tuple[int, ...] | None]:
    if table.cells and (cell := table.cells[row]) is not None:
        return cell
    if table.source is None:
        return "", None
    return table.source.written, table.source.at(row, column)


def _where(table: Table) -> dict[str, Any]:
    """The tensor and its index, in which "row" and "column" mark the axes that vary, counted from `first`."""
    source = table.source
    if any(table.cells):
        return {"cells": [None if cell is None else {"tensor": cell[0], "index": cell[1]} for cell in table.cells]}
    if source is None:
        return {}
    found: dict[str, Any] = {"tensor": source.written, "index": ["column" if i == "col" else i for i in source.index]}
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
    """True where there is a number, or a word."""
    return ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)


def _number(value: Any) -> Any:
    """The value for JSON: infinities, which JSON lacks, as words."""
    if isinstance(value, str):
        return value
    if not np.isfinite(value):
        return None if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return int(value) if isinstance(value, np.integer) else float(str(value))
