"""Shapes of a slide as XML: text, pictures with their SVG, and tables of coloured cells."""

from collections.abc import Iterable

import numpy as np

from desktop_app.core.levels import cell_text
from desktop_app.figures.deck.master import EMU, NAMESPACES, plain_colour, transform
from desktop_app.figures.deck.pieces import Picture, Table, cell_colour, corner
from desktop_app.figures.marks import Rect
from desktop_app.figures.theme import Theme, words_on
from desktop_app.figures.xml_text import escape, quoteattr

_MONO = '<a:latin typeface="Courier New" panose="02070309020205020404" pitchFamily="49" charset="0"/>'
_SANS = '<a:latin typeface="+mn-lt"/>'
_NO_LINE = "".join(f'<a:{side} w="0"><a:noFill/></a:{side}>' for side in ("lnL", "lnR", "lnT", "lnB"))
_SVG = "{96DAC541-7B7A-43D3-8B79-37D633B846F1}"
_DECORATIVE = "{C183D7F6-B498-43B3-948B-1728B52AA6E4}"
_NO_STYLE = "{2D5ABB26-0587-4C30-8999-92F81FD0307C}"


def clean(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return "".join(
        c for c in text if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
    )


def run(
    text: str, size: float, *, colour: str | None = None, bold: bool = False, mono: bool = False, cell: bool = False
) -> str:
    """A run of text in one format; without a colour, in the colour of the presentation's text."""
    fill = f"<a:solidFill>{plain_colour(colour)}</a:solidFill>" if colour else ""
    style = f'lang="en-GB" sz="{round(size * 100)}" b="{int(bold)}" dirty="0"'
    inner = f"{fill}{_MONO if mono else _SANS}"
    if not text:
        return f"<a:endParaRPr {style}>{inner}</a:endParaRPr>" if cell else ""
    return f"<a:r><a:rPr {style}>{inner}</a:rPr><a:t>{escape(clean(text))}</a:t></a:r>"


def text_box(number: int, name: str, place: Rect, runs: Iterable[str], *, anchor: str = "t") -> str:
    """A text box of fixed size."""
    return (
        f'<p:sp {NAMESPACES}><p:nvSpPr><p:cNvPr id="{number}" name={quoteattr(clean(name))}/><p:cNvSpPr txBox="1"/>'
        f'<p:nvPr/></p:nvSpPr><p:spPr>{transform(place)}<a:prstGeom prst="rect"><a:avLst/></a:prstGeom>'
        f'<a:noFill/></p:spPr><p:txBody><a:bodyPr wrap="square" lIns="0" tIns="0" rIns="0" bIns="0" anchor="{anchor}">'
        "<a:normAutofit/></a:bodyPr>"
        f"<a:lstStyle/><a:p>{''.join(runs)}</a:p></p:txBody></p:sp>"
    )


def bar(number: int, name: str, place: Rect, colour: str) -> str:
    """A filled rectangle marked as decorative for screen readers."""
    extension = (
        f'<a:extLst><a:ext uri="{_DECORATIVE}"><adec:decorative '
        'xmlns:adec="http://schemas.microsoft.com/office/drawing/2017/decorative" val="1"/></a:ext></a:extLst>'
    )
    return (
        f'<p:sp {NAMESPACES}><p:nvSpPr><p:cNvPr id="{number}" name={quoteattr(name)} descr="">{extension}</p:cNvPr>'
        f"<p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr>{transform(place)}"
        f'<a:prstGeom prst="rect"><a:avLst/></a:prstGeom><a:solidFill>{plain_colour(colour)}</a:solidFill>'
        "<a:ln><a:noFill/></a:ln></p:spPr></p:sp>"
    )


def copied_placeholder(number: int, name: str, kind: str, index: int, content: str) -> str:
    """A footer or slide number where the layout has it."""
    return (
        f'<p:sp {NAMESPACES}><p:nvSpPr><p:cNvPr id="{number}" name={quoteattr(name)}/><p:cNvSpPr><a:spLocks noGrp="1"/>'
        f'</p:cNvSpPr><p:nvPr><p:ph type="{kind}" sz="quarter" idx="{index}"/></p:nvPr></p:nvSpPr><p:spPr/><p:txBody>'
        f"<a:bodyPr/><a:lstStyle/><a:p>{content}</a:p></p:txBody></p:sp>"
    )


def slide_number(value: int) -> str:
    """The field that programs fill with the slide's number."""
    return (
        '<a:fld id="{5D2B3D4E-7A54-4B62-9A6C-6B1F0E1D2C3B}" type="slidenum"><a:rPr lang="en-GB"/>'
        f"<a:t>{value}</a:t></a:fld>"
    )


def picture(number: int, piece: Picture, png: str, svg: str) -> str:
    """A picture with the relations `png` and `svg`; programs that support SVG show the latter."""
    extension = (
        f'<a:extLst><a:ext uri="{_SVG}"><asvg:svgBlip '
        f'xmlns:asvg="http://schemas.microsoft.com/office/drawing/2016/SVG/main" r:embed="{svg}"/></a:ext></a:extLst>'
    )
    return (
        f'<p:pic {NAMESPACES}><p:nvPicPr><p:cNvPr id="{number}" name={quoteattr(clean(piece.name))} '
        f'descr={quoteattr(clean(piece.alt))}/><p:cNvPicPr><a:picLocks noChangeAspect="1"/></p:cNvPicPr><p:nvPr/>'
        f'</p:nvPicPr><p:blipFill><a:blip r:embed="{png}">{extension}</a:blip><a:stretch><a:fillRect/></a:stretch>'
        f'</p:blipFill><p:spPr>{transform(piece.place)}<a:prstGeom prst="rect"><a:avLst/></a:prstGeom></p:spPr></p:pic>'
    )


def table(number: int, piece: Table, theme: Theme) -> str:
    """A grid as a table: labels of rows and columns, and cells in the painter's colours with their numbers."""
    panel, count = piece.panel, len(piece.panel.values)
    width, height = (piece.place.w - piece.left) / count, (piece.place.h - piece.top) / count
    columns = "".join(f'<a:gridCol w="{round(w * EMU)}"/>' for w in (piece.left, *(width,) * count))
    chosen_row = None if panel.keys_down else panel.selected
    chosen_column = panel.selected if panel.keys_down else None
    head = [_cell(run(corner(panel), min(piece.label_size, 10), colour=theme.dim), piece.label_size, align="r")]
    for n, label in enumerate(panel.labels):
        head.append(_label(label, piece, theme, chosen=n == chosen_column, column=True))
    rows = [_row(head, piece.top)]
    for r, line in enumerate(panel.values):
        cells = [_label(panel.labels[r], piece, theme, chosen=r == chosen_row, column=False)]
        for c, value in enumerate(np.asarray(line, float)):
            colour = cell_colour(float(value), panel.levels, theme)
            words = run(
                cell_text(float(value), share=not panel.levels.diverging),
                piece.cell_size,
                colour=words_on(colour),
                cell=True,
            )
            edges = _edges(theme, row=r == chosen_row, column=c == chosen_column)
            cells.append(_cell(words, piece.cell_size, fill=colour, edges=edges))
        rows.append(_row(cells, height))
    return (
        f'<p:graphicFrame {NAMESPACES}><p:nvGraphicFramePr><p:cNvPr id="{number}" name={quoteattr(clean(panel.title))} '
        f'descr={quoteattr(clean(piece.alt))}/><p:cNvGraphicFramePr><a:graphicFrameLocks noGrp="1"/>'
        f"</p:cNvGraphicFramePr><p:nvPr/></p:nvGraphicFramePr>{transform(piece.place, 'p:xfrm')}<a:graphic>"
        '<a:graphicData uri="http://schemas.openxmlformats.org/drawingml/2006/table"><a:tbl><a:tblPr firstRow="1" '
        f'firstCol="1"><a:tableStyleId>{_NO_STYLE}</a:tableStyleId></a:tblPr><a:tblGrid>{columns}</a:tblGrid>'
        f"{''.join(rows)}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )


def _row(cells: list[str], height: float) -> str:
    return f'<a:tr h="{round(height * EMU)}">{"".join(cells)}</a:tr>'


def _label(text: str, piece: Table, theme: Theme, *, chosen: bool, column: bool) -> str:
    colour = theme.words(theme.accent) if chosen else theme.ink
    # About as many characters of a monospaced font as fit.
    room = (
        (piece.top if piece.upright else (piece.place.w - piece.left) / len(piece.panel.labels))
        if column
        else piece.left
    )
    fits = max(1, int((room - 4) / (0.62 * piece.label_size)))
    words = text if len(text) <= fits else text[: max(1, fits - 1)] + "…"
    upright = column and piece.upright
    align = "l" if upright else "ctr" if column else "r"
    size = piece.label_size
    return _cell(run(words, size, colour=colour, bold=chosen, mono=True, cell=True), size, align=align, upright=upright)


def _cell(
    words: str, size: float, *, fill: str | None = None, align: str = "ctr", upright: bool = False, edges: str = ""
) -> str:
    paint = f"<a:solidFill>{plain_colour(fill)}</a:solidFill>" if fill else "<a:noFill/>"
    turned = ' vert="vert270"' if upright else ""
    # A margin only between a label and its row or column of cells, so that the row is as high as measured.
    sides = f'marL="0" marR="{3 * EMU if align == "r" else 0}" marT="0" marB="{3 * EMU if upright else 0}"'
    # Lines of a fixed height, whatever the font, because programs make a row higher if its text does not fit.
    height = f'<a:lnSpc><a:spcPts val="{round(size * 115)}"/></a:lnSpc>'
    return (
        f'<a:tc><a:txBody><a:bodyPr/><a:lstStyle/><a:p><a:pPr algn="{align}">{height}</a:pPr>{words}</a:p></a:txBody>'
        f'<a:tcPr{turned} {sides} anchor="ctr">'
        f"{edges or _NO_LINE}{paint}</a:tcPr></a:tc>"
    )


def _edges(theme: Theme, *, row: bool, column: bool) -> str:
    """The lines around the selected query; "" elsewhere."""
    if not row and not column:
        return ""
    line = f'w="19050"><a:solidFill>{plain_colour(theme.accent)}</a:solidFill>'
    sides = {"lnL": column, "lnR": column, "lnT": row, "lnB": row}
    return "".join(f"<a:{s} {line}</a:{s}>" if on else f'<a:{s} w="0"><a:noFill/></a:{s}>' for s, on in sides.items())
