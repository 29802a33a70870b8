"""Bars as a native PowerPoint chart that can be edited, with its numbers in an embedded spreadsheet.

A bar with an outline, such as its value before an edit or a cut, becomes two bars: one with a frame alone for the
outline, and below it the filled one for the value. Each has room for its number, which no other bar crosses.
"""

import datetime
import io
from typing import Any

from pptx.chart.data import CategoryChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION, XL_LEGEND_POSITION, XL_TICK_LABEL_POSITION, XL_TICK_MARK
from pptx.util import Pt
from xlsxwriter import Workbook

from desktop_app.core.levels import Percent
from desktop_app.core.panels import BarsPanel
from desktop_app.figures.deck.master import EMU
from desktop_app.figures.deck.pieces import Chart
from desktop_app.figures.deck.shapes import clean
from desktop_app.figures.theme import Theme
from desktop_app.figures.xml_text import escape

PERCENT = '[=0]0 %;[<0.00005]"<0.01 %";0.00 %'
"""The spreadsheet's number format for shares: percent with two decimals, but "0 %", and "<0.01 %" for the tiniest."""
NEARLY_ALL = '[<0.00005]"<0.01 %";[<0.99995]0.00 %;">99.99 %"'
"""The same for charts with a share just below 1, which PERCENT would round to 100 %.

A format can have only two conditions, so that a share of 0 reads "<0.01 %" here.
"""
NUMBER = '0.000;"−"0.000;0'
WHOLE = '#,##0;"−"#,##0;0'
"""The formats for numbers that are not shares: NUMBER with three decimals, and WHOLE for whole numbers alone."""

_MARK = "▸ "  # before the label of a marked bar
_GAP = 0.45  # between categories, as a fraction of a bar's thickness
_LEGEND = 2.5  # height of the legend, as a multiple of the chart's type size
_NUMBER_SIZE = 0.9  # type size of the numbers at bars, as a fraction of a bar's thickness
_LONGEST = 20  # characters of a separator line's text: a longer one would leave too little width for the bars
_WRITTEN = datetime.datetime(2000, 1, 1)  # the same date in every file, so that a chart always gives the same bytes

ChartRow = tuple[str, float | None, float | None]


def rows_of(panel: BarsPanel) -> list[ChartRow]:
    """(category, value, outline) for each row of the chart, from top to bottom.

    The outline is the value that a bar is compared with (`panels.Bar`), or None. A separator line is a category with
    neither.
    """
    rows: list[ChartRow] = []
    for n, bar in enumerate(panel.bars):
        rows += _lines(panel, n)
        rows.append((clean((_MARK if bar.marked else "") + bar.label), bar.value, bar.outline))
    return rows + _lines(panel, len(panel.bars))


def _lines(panel: BarsPanel, place: int) -> list[ChartRow]:
    """The separator lines directly above the bar at `place`, with texts short enough to leave room for the bars."""
    words = [cut.brief or cut.words for cut in panel.cuts if cut.place == place]
    return [(clean(f"— {text if len(text) <= _LONGEST else 'cut here'} —"), None, None) for text in words]


def _format(panel: BarsPanel) -> str:
    """The number format that suits all values of a panel."""
    if not all(isinstance(bar.text, Percent) for bar in panel.bars):
        return WHOLE if all(float(bar.value).is_integer() for bar in panel.bars) else NUMBER
    shares = [share for bar in panel.bars for share in (bar.value, bar.outline) if share is not None]
    return NEARLY_ALL if any(0.99995 <= share < 1 for share in shares) else PERCENT


def add_chart(shapes: Any, piece: Chart, theme: Theme, name: str) -> None:
    """Add a chart to a slide's shapes; `name` is the name of the new shape."""
    panel, rows = piece.panel, rows_of(piece.panel)
    numbers = _format(panel)
    outlined = any(bar.outline is not None for bar in panel.bars)
    data = CategoryChartData(number_format=escape(numbers))  # python-pptx writes it into its XML unescaped
    data.categories = [category for category, _, _ in rows]
    if outlined:
        data.add_series(_outline_words(panel), [outline for _, _, outline in rows])
    data.add_series(clean(panel.filled or panel.title) or "value", [value for _, value, _ in rows])
    place = [round(v * EMU) for v in (piece.place.x, piece.place.y, piece.place.w, piece.place.h)]
    frame = shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *place, data)
    frame.name = name
    frame._element.nvGraphicFramePr.cNvPr.set("descr", clean(piece.alt))
    chart = frame.chart
    chart.part.chart_workbook.update_from_xlsx_blob(_sheet(rows, data, numbers))
    _style(chart, piece, theme, outlined=outlined, numbers=numbers)


def _outline_words(panel: BarsPanel) -> str:
    """What the legend calls the outlines."""
    return clean(panel.outlined) or "before"


def _style(chart: Any, piece: Chart, theme: Theme, *, outlined: bool, numbers: str) -> None:
    panel = piece.panel
    chart.has_title = False
    chart.font.size = Pt(round(piece.size, 1))
    chart.font.color.rgb = _rgb(theme.ink)
    chart.has_legend = outlined
    if outlined:
        chart.legend.position = XL_LEGEND_POSITION.BOTTOM
        chart.legend.include_in_layout = False
    plot = chart.plots[0]
    plot.gap_width, plot.overlap, plot.vary_by_categories = round(100 * _GAP), 0, False
    category_axis = chart.category_axis
    category_axis.reverse_order = True
    category_axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    category_axis.major_tick_mark = XL_TICK_MARK.NONE
    category_axis.has_major_gridlines = False
    category_axis.format.line.color.rgb = _rgb(theme.line)
    value_axis = chart.value_axis
    value_axis.visible = False
    value_axis.has_major_gridlines = False
    measured = panel.peers or panel.bars
    lowest = min(bar.value for bar in measured) - panel.base
    highest = max(panel.reach, *(max(bar.value, bar.outline or panel.base) - panel.base for bar in measured))
    # The axis extends beyond the bars, since the number at the end of each needs room: to the right, and where bars
    # go left from the base also to the left, next to the category names.
    longest = max(-lowest, highest)
    value_axis.minimum_scale = panel.base + (0 if lowest >= 0 else lowest - 0.3 * longest)
    value_axis.maximum_scale = panel.base + (highest + 0.25 * longest if highest > 0 else 0)
    if panel.base:
        value_axis.crosses_at = panel.base
    *framed, series = plot.series
    size = _number_size(piece, len(plot.categories)) if outlined else piece.size
    series.invert_if_negative = False
    _paint(series.format, theme.hues[panel.hue])
    _number(series, numbers, size, theme.ink)
    cut = [n for n, bar in zip(_places(panel), panel.bars, strict=True) if not bar.kept]
    for n in cut:
        _paint(series.points[n].format, theme.faint)
    for frame in framed:
        frame.invert_if_negative = False
        frame.format.fill.background()
        frame.format.line.color.rgb = _rgb(theme.ink)
        frame.format.line.width = Pt(1)
        _number(frame, numbers, size, theme.dim)


def _number(series: Any, numbers: str, size: float, colour: str) -> None:
    """Write the number of each bar of a series at the bar's end."""
    labels = series.data_labels
    labels.show_value = True
    labels.position = XL_LABEL_POSITION.OUTSIDE_END
    labels.number_format, labels.number_format_is_linked = numbers, False
    labels.font.size = Pt(round(size, 1))
    labels.font.color.rgb = _rgb(colour)
    labels._element.txPr.bodyPr.set("wrap", "none")  # otherwise LibreOffice breaks "97.51 %" into two lines


def _number_size(piece: Chart, rows: int) -> float:
    """The type size at which the numbers of a row's two bars do not touch, between `piece.least` and `piece.size`."""
    return min(piece.size, max(piece.least, _NUMBER_SIZE * (piece.place.h - _LEGEND * piece.size) / rows / (2 + _GAP)))


def _places(panel: BarsPanel) -> list[int]:
    """The index of each bar among the chart's categories, which include the separator lines."""
    return [n + sum(cut.place <= n for cut in panel.cuts) for n in range(len(panel.bars))]


def _paint(shape: Any, colour: str) -> None:
    shape.fill.solid()
    shape.fill.fore_color.rgb = _rgb(colour)
    shape.line.fill.background()


def _rgb(colour: str) -> RGBColor:
    return RGBColor.from_string(colour[1:].upper())


def _sheet(rows: list[ChartRow], data: CategoryChartData, numbers: str) -> bytes:
    """The embedded workbook with the chart's numbers, in the cells where python-pptx expects them.

    Unlike python-pptx's own, it keeps every text as text: a token "=1" does not become a formula.
    """
    buffer = io.BytesIO()
    plain = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = Workbook(buffer, plain)
    book.set_properties({"created": _WRITTEN})
    sheet, look = book.add_worksheet(), book.add_format({"num_format": numbers})
    for column, series in enumerate(data, 1):
        sheet.write_string(0, column, series.name)
    for n, (category, *values) in enumerate(rows, 1):
        sheet.write_string(n, 0, category)
        for column, value in enumerate(values[: len(data)], 1):
            if value is not None:
                sheet.write_number(n, column, value, look)
    sheet.set_column(0, 0, 24)
    book.close()
    return buffer.getvalue()
