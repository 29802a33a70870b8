"""Bars as a native PowerPoint chart that can be edited, with its numbers in an embedded spreadsheet.

A value before a cut is a framed bar of its own above the other, so that neither crosses the other's number.
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
"""A number format for shares: always percent with the same number of decimals, so that a column can be compared."""
NEARLY_ALL = '[<0.00005]"<0.01 %";[<0.99995]0.00 %;">99.99 %"'
"""The same for charts in which a share is just below 1: a format can have only two conditions."""
NUMBER = '0.000;"−"0.000;0'
WHOLE = '#,##0;"−"#,##0;0'
_DRAWN = "▸ "
_GAP = 0.45  # between categories, in bars
_LEGEND = 2.5  # height of the legend, in type sizes
_LINE = 0.9  # type size of numbers at bars, in heights of a bar
_SHORT = 20  # characters: longer words would take the chart's width
_WRITTEN = datetime.datetime(2000, 1, 1)

ChartRow = tuple[str, float | None, float | None]


def rows_of(panel: BarsPanel) -> list[ChartRow]:
    """(category, value, value before a cut) from top to bottom; a separator line is a category without values."""
    rows: list[ChartRow] = []
    for n, bar in enumerate(panel.bars):
        rows += _lines(panel, n)
        rows.append((clean((_DRAWN if bar.marked else "") + bar.label), bar.value, bar.outline))
    return rows + _lines(panel, len(panel.bars))


def _lines(panel: BarsPanel, above: int) -> list[ChartRow]:
    """The separator lines below `above` bars, in words short enough to leave room for the bars."""
    words = [cut.brief or cut.words for cut in panel.cuts if cut.place == above]
    return [(clean(f"— {text if len(text) <= _SHORT else 'cut here'} —"), None, None) for text in words]


def _format(panel: BarsPanel) -> str:
    if not all(isinstance(bar.text, Percent) for bar in panel.bars):
        return WHOLE if all(float(bar.value).is_integer() for bar in panel.bars) else NUMBER
    shares = [share for bar in panel.bars for share in (bar.value, bar.outline) if share is not None]
    return NEARLY_ALL if any(0.99995 <= share < 1 for share in shares) else PERCENT


def add_chart(shapes: Any, piece: Chart, theme: Theme, name: str) -> None:
    """Add the chart to a slide's shapes."""
    panel, rows = piece.panel, rows_of(piece.panel)
    numbers = _format(panel)
    before = any(bar.outline is not None for bar in panel.bars)
    data = CategoryChartData(number_format=escape(numbers))  # python-pptx writes it into its XML unescaped
    data.categories = [category for category, _, _ in rows]
    if before:
        data.add_series(_before_words(panel), [outline for _, _, outline in rows])
    data.add_series(clean(panel.filled or panel.title) or "value", [value for _, value, _ in rows])
    place = [round(v * EMU) for v in (piece.place.x, piece.place.y, piece.place.w, piece.place.h)]
    frame = shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *place, data)
    frame.name = name
    frame._element.nvGraphicFramePr.cNvPr.set("descr", clean(piece.alt))
    chart = frame.chart
    chart.part.chart_workbook.update_from_xlsx_blob(_sheet(rows, data, numbers))
    _style(chart, piece, theme, before=before, numbers=numbers)


def _before_words(panel: BarsPanel) -> str:
    return clean(panel.outlined) or "before"


def _style(chart: Any, piece: Chart, theme: Theme, *, before: bool, numbers: str) -> None:
    panel = piece.panel
    chart.has_title = False
    chart.font.size = Pt(round(piece.size, 1))
    chart.font.color.rgb = _rgb(theme.ink)
    chart.has_legend = before
    if before:
        chart.legend.position = XL_LEGEND_POSITION.BOTTOM
        chart.legend.include_in_layout = False
    plot = chart.plots[0]
    plot.gap_width, plot.overlap, plot.vary_by_categories = round(100 * _GAP), 0, False
    names = chart.category_axis
    names.reverse_order = True
    names.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    names.major_tick_mark = XL_TICK_MARK.NONE
    names.has_major_gridlines = False
    names.format.line.color.rgb = _rgb(theme.line)
    amounts = chart.value_axis
    amounts.visible = False
    amounts.has_major_gridlines = False
    measured = panel.peers or panel.bars
    least = min(bar.value for bar in measured) - panel.base
    most = max(panel.reach, *(max(bar.value, bar.outline or panel.base) - panel.base for bar in measured))
    # Numbers are at the ends of their bars and need space there; for bars below the base that is next to the names.
    amounts.minimum_scale = panel.base + (0 if least >= 0 else least - 0.3 * max(-least, most))
    amounts.maximum_scale = panel.base + (most + 0.25 * max(-least, most) if most > 0 else 0)
    if panel.base:
        amounts.crosses_at = panel.base
    *framed, series = plot.series
    size = _number_size(piece, len(plot.categories)) if before else piece.size
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
    """Write each bar's number at its end."""
    labels = series.data_labels
    labels.show_value = True
    labels.position = XL_LABEL_POSITION.OUTSIDE_END
    labels.number_format, labels.number_format_is_linked = numbers, False
    labels.font.size = Pt(round(size, 1))
    labels.font.color.rgb = _rgb(colour)
    labels._element.txPr.bodyPr.set("wrap", "none")  # LibreOffice breaks "97.51 %" in two otherwise


def _number_size(piece: Chart, rows: int) -> float:
    """The type size at which numbers of two bars a row do not touch each other."""
    return min(piece.size, max(piece.least, _LINE * (piece.place.h - _LEGEND * piece.size) / rows / (2 + _GAP)))


def _places(panel: BarsPanel) -> list[int]:
    """The category number of each bar; separator lines are counted too."""
    return [n + sum(cut.place <= n for cut in panel.cuts) for n in range(len(panel.bars))]


def _paint(shape: Any, colour: str) -> None:
    shape.fill.solid()
    shape.fill.fore_color.rgb = _rgb(colour)
    shape.line.fill.background()


def _rgb(colour: str) -> RGBColor:
    return RGBColor.from_string(colour[1:].upper())


def _sheet(rows: list[ChartRow], data: CategoryChartData, numbers: str) -> bytes:
    """The chart's numbers in the sheet that python-pptx expects, but text stays text: a token "=1" is not a formula."""
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
