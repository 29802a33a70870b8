"""One head of one block as a spreadsheet: one formula per cell, from the residual stream to the head's result.

Inputs (residual stream, weights) are numbers; every other cell is a formula of earlier cells. The numbers of the trace
are written as the formulas' cached values: a program that does not calculate shows those, and one that does recomputes
them. Some sheets are transposed, as their headings say: a formula multiplies two rows, so a matrix that is read by
columns is stored with its columns as rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xlsxwriter
from numpy.typing import NDArray
from xlsxwriter.utility import xl_range_abs, xl_rowcol_to_cell

from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.files import whole_file
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

MOST_FORMULAS = 400_000
"""The maximum number of formulas in one file: those of a head of GPT-2 small for 129 tokens."""
_TOP, _LEFT = 2, 2
"""The number of rows above a sheet's numbers (title, column names), and of columns before them (position, token)."""
_A4 = 9
_PRINTED = 40  # the number of columns that can be read if all of them are on one page
_SIGNED = {
    "type": "3_color_scale",
    "min_color": "#6f9fd8",
    "mid_color": "#ffffff",
    "max_color": "#e08060",
    "mid_type": "num",
    "mid_value": 0,
}
_SHADED: dict[str, dict[str, object]] = {
    "scores": _SIGNED,
    "scaled": _SIGNED,
    "pattern": {
        "type": "2_color_scale",
        "min_color": "#ffffff",
        "max_color": "#9a78e0",
        "min_type": "num",
        "max_type": "num",
        "min_value": 0,
        "max_value": 1,
    },
}
"""Sheets whose cells are coloured by their numbers -> the kind of colour scale."""
_FORBIDDEN = {code: "\ufffd" for code in range(32)}


@dataclass(frozen=True)
class Sheet:
    """One sheet: its name, what it contains, the names of its rows and columns, its numbers, and their formulas.

    `formula` returns the formula of the cell at a row and a column of `values`, both counted from 0; None for inputs.
    """

    name: str
    about: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: Array
    formula: Callable[[int, int], str] | None = None

    def cell(self, row: int, column: int) -> str:
        """The reference to a cell from any sheet."""
        return f"'{self.name}'!{xl_rowcol_to_cell(row + _TOP, column + _LEFT)}"

    def row(self, row: int, count: int | None = None) -> str:
        """The reference to a row of numbers, or to its first `count` numbers."""
        last = _LEFT + (self.values.shape[1] if count is None else count) - 1
        return f"'{self.name}'!{xl_range_abs(row + _TOP, _LEFT, row + _TOP, last)}"


class _Book:
    """Collects sheets in the order of the computation."""

    def __init__(self) -> None:
        self.sheets: list[Sheet] = []

    def add(
        self,
        name: str,
        about: str,
        axes: tuple[Sequence[str], Sequence[str]],
        values: Array,
        formula: Callable[[int, int], str] | None = None,
    ) -> Sheet:
        sheet = Sheet(name, about, tuple(axes[0]), tuple(axes[1]), values, formula)
        self.sheets.append(sheet)
        return sheet


def sheets_of(trace: Trace, checkpoint: Checkpoint, layer: int, head: int, labels: Sequence[str]) -> tuple[Sheet, ...]:
    """The sheets of one head, in the order in which they are computed.

    `labels` are the tokens in display form. Raises ExportError for int8 weights, whose products use rounded numbers,
    and for a text that needs more than MOST_FORMULAS.
    """
    config, n = trace.config, len(trace)
    if config.int8:
        raise ExportError("Products of int8 weights use rounded numbers, which no formula here has; leave out --int8.")
    count = formula_count(config, n)
    if count > MOST_FORMULAS:
        raise ExportError(
            f"A head over {n:,} tokens needs {count:,} formulas, more than the {MOST_FORMULAS:,} that office programs "
            "handle; shorten the text."
        )
    book = _Book()
    out = _normed(book, trace, checkpoint, layer, labels)
    q, k, v = (_projected(book, out, trace, checkpoint, (layer, head, part), labels) for part in range(3))
    pattern = _pattern(book, q, k, trace, (layer, head), labels)
    own = _own(trace, head)
    weight = checkpoint.weights[f"blocks.{layer}.attn.W_O"][own].T
    dims, columns = _numbered("dim", config.n_embd), _numbered("d", config.d_head)
    z = book.add(
        "z",
        "values, each times its attention, added up",
        (labels, columns),
        trace.read(f"blocks.{layer}.attn.z", head=head),
        lambda i, d: f"=SUMPRODUCT({pattern.row(i)},{v.row(d)})",
    )
    turned = book.add("W_O_T", "the head's rows of W_O, transposed: a row makes one number", (dims, columns), weight)
    book.add(
        "result",
        "z · W_O: what the head adds to the residual stream",
        (labels, dims),
        z.values.astype(np.float64) @ weight.T,
        lambda i, m: f"=SUMPRODUCT({z.row(i)},{turned.row(m)})",
    )
    return tuple(book.sheets)


def formula_count(config: Config, tokens: int) -> int:
    """The number of formulas of one head for a text of `tokens` tokens."""
    return tokens * (3 + 3 * config.n_embd + 4 * config.d_head + 4 * tokens)


def _own(trace: Trace, head: int) -> slice:
    """The head's columns among those of all heads."""
    return slice(head * trace.config.d_head, (head + 1) * trace.config.d_head)


def _normed(book: _Book, trace: Trace, checkpoint: Checkpoint, layer: int, labels: Sequence[str]) -> Sheet:
    """Add the sheets from the residual stream to the head's input, and return the last of them."""
    block, weights, dims = f"blocks.{layer}.", checkpoint.weights, _numbered("dim", trace.config.n_embd)
    x = trace[f"{block}resid_pre"]
    resid = book.add("resid_pre", "the residual stream that the block reads", (labels, dims), x)
    gain = book.add("ln1_w", "gain of layer norm 1", (("w",), dims), weights[f"{block}ln1.w"][None])
    shift = book.add("ln1_b", "bias of layer norm 1", (("b",), dims), weights[f"{block}ln1.b"][None])
    mean = book.add(
        "mean",
        "mean of the row",
        (labels, ("mean",)),
        x.astype(np.float64).mean(-1, keepdims=True),
        lambda i, _: f"=AVERAGE({resid.row(i)})",
    )
    scale = book.add(
        "scale",
        "square root of the row's variance + epsilon",
        (labels, ("scale",)),
        trace[f"{block}ln1.scale"],
        lambda i, _: f"=SQRT(VARP({resid.row(i)})+{trace.config.layer_norm_epsilon!r})",
    )
    normed = book.add(
        "normalized",
        "the row less its mean, divided by its scale",
        (labels, dims),
        trace[f"{block}ln1.normalized"],
        lambda i, j: f"=({resid.cell(i, j)}-{mean.cell(i, 0)})/{scale.cell(i, 0)}",
    )
    return book.add(
        "ln1_out",
        "normalized, times gain, plus bias: what the head reads",
        (labels, dims),
        trace[f"{block}ln1.out"],
        lambda i, j: f"={normed.cell(i, j)}*{gain.cell(0, j)}+{shift.cell(0, j)}",
    )


def _projected(
    book: _Book,
    out: Sheet,
    trace: Trace,
    checkpoint: Checkpoint,
    which: tuple[int, int, int],
    labels: Sequence[str],
) -> Sheet:
    """Add and return the sheet of queries (part 0), keys (1) or values (2, transposed: `z` reads columns of them)."""
    (layer, head, part), config, own = which, trace.config, _own(trace, which[1])
    letter, block = "qkv"[part], f"blocks.{layer}.attn."
    columns = slice(part * config.n_embd + own.start, part * config.n_embd + own.stop)
    names, dims = _numbered("d", config.d_head), _numbered("dim", config.n_embd)
    matrix = checkpoint.weights[f"{block}W_QKV"][:, columns].T
    upper = letter.upper()
    w = book.add(
        f"W_{upper}_T", f"the head's W_{upper}, transposed: a row makes one number of {letter}", (names, dims), matrix
    )
    bias = checkpoint.weights[f"{block}b_QKV"][columns][:, None]
    b = book.add(f"b_{upper}_T", f"the bias of {letter}, transposed", (names, ("b",)), bias)
    values = trace.read(f"{block}{letter}", head=head)

    def of(i: int, d: int) -> str:
        return f"=SUMPRODUCT({out.row(i)},{w.row(d)})+{b.cell(d, 0)}"

    if part < 2:
        return book.add(letter, f"{letter}: ln1_out · W_{upper} + bias", (labels, names), values, of)
    about = "v: ln1_out · W_V + bias, transposed: a column is a token's value"
    return book.add("v_T", about, (names, labels), values.T, lambda d, i: of(i, d))


def _pattern(book: _Book, q: Sheet, k: Sheet, trace: Trace, which: tuple[int, int], labels: Sequence[str]) -> Sheet:
    """Add the sheets from queries and keys to the pattern (rows are queries, columns keys); return the last of them."""
    (layer, head), axes, n = which, (labels, labels), len(trace)
    block, divisor = f"blocks.{layer}.attn.", trace.config.score_divisor(layer)
    scores = book.add(
        "scores",
        "q of the row's token times k of the column's",
        axes,
        trace.read(f"{block}scores", head=head),
        lambda i, j: f"=SUMPRODUCT({q.row(i)},{k.row(j)})",
    )
    scaled = book.add(
        "scaled",
        f"scores divided by {divisor:.7g}",
        axes,
        trace.read(f"{block}scaled", head=head),
        lambda i, j: f"={scores.cell(i, j)}/{divisor!r}",
    )
    hidden = np.triu(np.ones((n, n), bool), 1)
    seen = np.where(hidden, -np.inf, scaled.values.astype(np.float64))
    power = np.exp(seen - seen.max(-1, keepdims=True))
    exps = book.add(
        "exp",
        "exponentials, the row's largest score subtracted before; later tokens are masked and have 0",
        axes,
        power,
        lambda i, j: "=0" if j > i else f"=EXP({scaled.cell(i, j)}-MAX({scaled.row(i, i + 1)}))",
    )
    sums = book.add(
        "sum",
        "sum of the row's exponentials",
        (labels, ("sum",)),
        power.sum(-1, keepdims=True),
        lambda i, _: f"=SUM({exps.row(i)})",
    )
    return book.add(
        "pattern",
        "exponentials divided by their sum: each row adds up to 1",
        axes,
        trace.read(f"{block}pattern", head=head),
        lambda i, j: f"={exps.cell(i, j)}/{sums.cell(i, 0)}",
    )


def _numbered(word: str, count: int) -> tuple[str, ...]:
    return tuple(f"{word} {n}" for n in range(count))


def write_spreadsheet(path: Path, sheets: Sequence[Sheet], about: Sequence[tuple[str, str]]) -> int:
    """Write the sheets after one that describes them; returns the number of formulas.

    The file appears whole or not at all. Raises ExportError.
    """
    with whole_file(path, ExportError) as file:
        # Text stays text: what begins with "=" or looks like an address is written literally.
        options = {
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "in_memory": True,
        }
        book = xlsxwriter.Workbook(file, options)
        looks = _Looks(
            book.add_format({"bold": True}),
            book.add_format({"font_color": "#6b6b6b"}),
            book.add_format({"font_color": "#6b6b6b", "align": "right"}),
            book.add_format({"num_format": "0.0000"}),
        )
        first = book.add_worksheet("about")
        first.set_column(0, 0, 18)
        first.set_column(1, 1, 100)
        _print_on_a_page_width(first)
        for n, (name, words) in enumerate((*about, *((s.name, s.about) for s in sheets))):
            first.write_string(n, 0, name.translate(_FORBIDDEN), looks.bold)
            first.write_string(n, 1, words.translate(_FORBIDDEN)[:30_000])
        count = sum(_write(book, sheet, looks) for sheet in sheets)
        book.close()
    return count


@dataclass(frozen=True)
class _Looks:
    """Formats of titles, of names of rows, of names of columns, and of numbers."""

    bold: Any
    row: Any
    column: Any
    number: Any


def _print_on_a_page_width(page: Any) -> None:
    page.set_landscape()
    page.set_paper(_A4)
    page.fit_to_pages(1, 0)


def _write(book: Any, sheet: Sheet, looks: _Looks) -> int:
    page = book.add_worksheet(sheet.name)
    page.freeze_panes(_TOP, _LEFT)
    page.set_column(0, 0, 4)
    page.write_string(0, 0, f"{sheet.name}: {sheet.about}", looks.bold)
    for j, name in enumerate(sheet.columns):
        page.write_string(1, _LEFT + j, name.translate(_FORBIDDEN), looks.column)
    for i, name in enumerate(sheet.rows):
        page.write_number(_TOP + i, 0, i, looks.row)
        page.write_string(_TOP + i, 1, name.translate(_FORBIDDEN), looks.row)
        for j in range(len(sheet.columns)):
            value = float(sheet.values[i, j])
            if not np.isfinite(value):
                raise ExportError(f"{sheet.name} has {value} at row {i}, column {j}, which a spreadsheet cannot hold.")
            if sheet.formula is None:
                page.write_number(_TOP + i, _LEFT + j, value, looks.number)
            else:
                page.write_formula(_TOP + i, _LEFT + j, sheet.formula(i, j), looks.number, value)
    if len(sheet.columns) <= _PRINTED:
        _print_on_a_page_width(page)
    if sheet.name in _SHADED:
        last = _TOP + len(sheet.rows) - 1, _LEFT + len(sheet.columns) - 1
        page.conditional_format(_TOP, _LEFT, *last, dict(_SHADED[sheet.name]))
    return 0 if sheet.formula is None else sheet.values.size
