"""Slides as a PPTX file: the program's own master or an organisation's template, with each slide's pieces."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pptx import Presentation
from pptx.opc.constants import RELATIONSHIP_TYPE as RT
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.util import Pt

from desktop_app.figures.deck import shapes
from desktop_app.figures.deck.charts import add_chart
from desktop_app.figures.deck.master import EMU, FOOT, HEADLINE, LEAD, LEAD_AT, NAMESPACES, PLACE, WIDTH
from desktop_app.figures.deck.pieces import SLACK, Chart, Heading, Picture, Piece, Table
from desktop_app.figures.deck.template import Design
from desktop_app.figures.deck.walk import TITLE, Slide
from desktop_app.figures.marks import Page, Rect
from desktop_app.figures.theme import THEMES, Theme
from desktop_app.figures.xml_text import escape

_LEAD_SIZES = (15.0, 14.0, 13.0, 12.0)
_TITLE_SIZES = (28.0, 26.0, 24.0)
_LONG_TITLE_SIZES = (26.0, 24.0, 22.0, 20.0, 18.0, 16.0)
"""Type sizes of a title that fits on one line, and of one that takes two lines."""
_LINE_SIZES = (20.0, 18.0, 16.0, 14.0, 12.0)
_OPENING_SIZES = (44.0, 40.0, 36.0, 32.0, 28.0, 24.0)
# the footer of an organisation's template may be too small for larger sizes
_FOOTER_SIZES = (12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0)
_UNDER = 20.0  # points between a title and what follows it if there is no lead
_BOLD = 1.1  # factor by which bold text is wider still in a program without Arial or a font of the same widths
_INSET = 15.0  # the default left and right margin of a placeholder, in points
# the first date that a ZIP file can contain; with a fixed date, the file is the same on any day
_WHEN = (1980, 1, 1, 0, 0, 0)
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_SVG_TYPE = "image/svg+xml"


def words_above(slide: Slide, design: Design) -> tuple[Rect, Rect, Rect, float]:
    """The rectangles of place, lead and pictures, and the lead's type size.

    In a template, the three rectangles share the layout's free area. On the program's master, the place has a
    placeholder of its own, so its rectangle is empty, and the pictures have the whole area below the lead.
    """
    room, scale = design.room, design.scale
    if design.own:
        size, lines = _fitting(slide.lead, 880, _LEAD_SIZES, 2)
        down = _title_of(slide)[1] - HEADLINE.h
        lead = Rect(LEAD_AT.x, LEAD_AT.y + down, LEAD_AT.w, max(LEAD_AT.h, lines * size * 1.25))
        top = down + lead.h - LEAD_AT.h if slide.lead else down + LEAD_AT.y + _UNDER - room.y
        return Rect(0, 0, 0, 0), lead, room.inset(top=top), size
    place = Rect(room.x, room.y, room.w, 15 * scale)
    size, lines = _fitting(slide.lead, room.w / scale, _LEAD_SIZES[1:], 2)
    lead = Rect(room.x, room.y + 18 * scale, room.w, (lines * size * 1.25 + 6) * scale)
    top = lead.y + lead.h + 4 * scale
    return place, lead, Rect(room.x, top, room.w, room.y + room.h - top), size * scale


def _title_of(slide: Slide) -> tuple[float, float]:
    """On the program's master: the type size of a title, and the height of its one or two lines."""
    size, lines = _fitting(slide.title, 880 / _BOLD, _TITLE_SIZES, 1, bold=True)
    if lines > 1:
        size, lines = _fitting(slide.title, 880 / _BOLD, _LONG_TITLE_SIZES, 2, bold=True)
    return size, HEADLINE.h if lines == 1 else lines * size * 1.2


def _fitting(text: str, width: float, sizes: Sequence[float], most: int, *, bold: bool = False) -> tuple[float, int]:
    """The first (the largest) of `sizes` in which a text takes at most `most` lines, and the number of lines.

    The last of `sizes` if the text fits in none.
    """
    from desktop_app.figures import fonts

    lines = 1
    for size in sizes:
        page = Page(THEMES["light"], fonts.width, size / 13)
        lines = len(page.wrap(text, width / SLACK, bold=bold))
        if lines <= most:
            return size, lines
    return sizes[-1], lines


def build(design: Design, slides: Sequence[Slide], pieces: Sequence[Sequence[Piece]], folder: Path, out: Path) -> None:
    """Write the deck to `out`, with pictures from `folder`."""
    deck = Presentation(io.BytesIO(design.data))
    maker = _Maker(deck, design, folder)
    for slide, parts in zip(slides, pieces, strict=True):
        maker.add(slide, parts)
    _name_notes_master(deck)
    properties = deck.part.package.core_properties if not design.own else None
    if properties is None:
        _own_properties(deck, slides)
    else:
        properties.title = _title(slides)
    packed = io.BytesIO()
    deck.save(packed)
    _write(packed, out)


def _title(slides: Sequence[Slide]) -> str:
    return shapes.clean(slides[0].job.caption or slides[0].title)[:250]


class _Maker:
    """Adds one slide after another."""

    def __init__(self, deck: Any, design: Design, folder: Path) -> None:
        self._deck, self._design, self._folder = deck, design, folder
        self._theme: Theme = THEMES[design.theme]
        self._layout = deck.slide_layouts[design.layout]
        self._opening = deck.slide_layouts[0]
        self._media = 0
        self._number = 0

    def add(self, slide: Slide, pieces: Sequence[Piece]) -> None:
        """Add a slide with its title, words, pieces, footer and notes."""
        opening = slide.kind == TITLE and self._design.own
        made = self._deck.slides.add_slide(self._opening if opening else self._layout)
        self._tree = made.shapes._spTree
        self._number = max(int(i) for i in self._tree.xpath("//p:cNvPr/@id"))
        if opening:
            self._open(made, slide)
            return
        self._head(made, slide)
        if slide.lines:
            self._list(slide.lines, words_above(slide, self._design)[2])
            pieces = ()
        for piece in pieces:
            if isinstance(piece, Picture):
                self._picture(made, piece)
            elif isinstance(piece, Heading):
                self._append(shapes.text_box(self._next(), piece.title or "Note", piece.place, self._heading(piece)))
            elif isinstance(piece, Table):
                self._append(shapes.table(self._next(), piece, self._theme))
            elif isinstance(piece, Chart):
                add_chart(made.shapes, piece, self._theme, piece.panel.title or "Chart")
                self._number += 1
        self._foot(slide)
        made.notes_slide.notes_text_frame.text = shapes.clean(slide.notes)

    def _open(self, made: Any, slide: Slide) -> None:
        """Fill the first slide, which has a title and a line below it but no picture."""
        title, under = made.shapes.title, made.placeholders[1]
        title.text_frame.text, under.text_frame.text = shapes.clean(slide.title), shapes.clean(slide.lead)
        size, _ = _fitting(slide.title, 880 / _BOLD, _OPENING_SIZES, 3, bold=True)
        title.text_frame.paragraphs[0].runs[0].font.size = Pt(size)
        self._append(shapes.bar(self._next(), "Rule", Rect(40, 304, 72, 4), self._theme.accent))
        made.notes_slide.notes_text_frame.text = shapes.clean(slide.notes)

    def _list(self, lines: Sequence[str], room: Rect) -> None:
        """Add numbered sentences below each other, all in the same type size."""
        scale = self._design.scale
        step = min(room.h / len(lines), 44 * scale)
        size = min(_fitting(words, (room.w - 36 * scale) / scale, _LINE_SIZES, 1)[0] for words in lines)
        for n, words in enumerate(lines):
            at = Rect(room.x, room.y + 8 + n * step, 28 * scale, step)
            number = [shapes.run(f"{n + 1}", size * scale, colour=self._theme.words(self._theme.accent), bold=True)]
            self._append(shapes.text_box(self._next(), f"Number {n + 1}", at, number))
            beside = Rect(at.x + 36 * scale, at.y, room.w - 36 * scale, step)
            said = [shapes.run(words, size * scale, colour=self._theme.ink)]
            self._append(shapes.text_box(self._next(), f"Line {n + 1}", beside, said))

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _append(self, xml: str) -> None:
        self._tree.append(parse_xml(xml))

    def _head(self, made: Any, slide: Slide) -> None:
        title = made.shapes.title
        title.text_frame.text = shapes.clean(slide.title)
        place, lead, _, size = words_above(slide, self._design)
        if self._design.own:
            fitted, high = _title_of(slide)
            if fitted != _TITLE_SIZES[0]:
                title.text_frame.paragraphs[0].runs[0].font.size = Pt(fitted)
            words = {p.placeholder_format.idx: p for p in made.placeholders}
            words[PLACE].text_frame.text = slide.place
            words[LEAD].text_frame.text = shapes.clean(slide.lead)
            if high != HEADLINE.h or lead.h != LEAD_AT.h:
                _move(title, Rect(HEADLINE.x, HEADLINE.y, HEADLINE.w, high))
                _move(words[LEAD], lead)
            if not slide.lead:
                words[LEAD].element.getparent().remove(words[LEAD].element)
            elif size != _LEAD_SIZES[0]:
                words[LEAD].text_frame.paragraphs[0].runs[0].font.size = Pt(size)
            done = Rect(0, 0, WIDTH * slide.share, 4)
            self._append(shapes.bar(self._next(), "Progress", done, self._theme.accent))
            return
        for placeholder in list(made.placeholders):
            if placeholder.element is not title.element:
                placeholder.element.getparent().remove(placeholder.element)
        scale = self._design.scale
        accent = self._theme.words(self._theme.accent)
        where = [shapes.run(slide.place, FOOT * scale, colour=accent, bold=True)]
        self._append(shapes.text_box(self._next(), "Place", place, where))
        said = [shapes.run(slide.lead, size, colour=self._theme.dim)]
        self._append(shapes.text_box(self._next(), "Lead", lead, said))

    def _heading(self, piece: Heading) -> list[str]:
        theme = self._theme
        colour = theme.words(theme.accent) if piece.current else theme.ink
        runs = [shapes.run(piece.title, piece.size, colour=colour, bold=True)]
        if piece.note:
            gap = "   " if piece.title else ""
            runs.append(shapes.run(gap + piece.note, piece.size * 12 / 13, colour=theme.dim))
        return runs

    def _picture(self, made: Any, piece: Picture) -> None:
        self._media += 1
        related = []
        for name, kind in ((piece.png, "image/png"), (piece.svg, _SVG_TYPE)):
            suffix = name.rpartition(".")[2]
            # Media are numbered here, because python-pptx would compare each new picture with all existing ones.
            uri = PackURI(f"/ppt/media/logitscope{self._media}.{suffix}")
            part = Part(uri, kind, self._deck.part.package, (self._folder / name).read_bytes())
            related.append(made.part.relate_to(part, RT.IMAGE))
        self._append(shapes.picture(self._next(), piece, *related))

    def _caption(self, words: str, footer: Any) -> str:
        """The footer's paragraph; on the program's master it repeats the layout's format, which some programs need."""
        if self._design.own:
            return '<a:pPr algn="l"/>' + shapes.run(words, FOOT, colour=self._theme.dim)
        # The footer of an organisation's template has space for a name; a caption is longer.
        width, height = ((side or 0) / EMU for side in (footer.width, footer.height))
        size = 6.0
        for size in _FOOTER_SIZES:
            if _fitting(words, width - _INSET, (size,), 1)[1] * size * 1.2 <= height:
                break
        return shapes.run(words, size)

    def _foot(self, slide: Slide) -> None:
        """Fill the layout's placeholders for caption and number; what the layout has no placeholder for is left out."""
        found: dict[str, Any] = {}
        for placeholder in self._layout.placeholders:
            kind = placeholder.element.ph.get("type")
            if kind in ("ftr", "sldNum"):
                found[kind] = placeholder
        if "ftr" in found and slide.job.caption:
            words = self._caption(slide.job.caption, found["ftr"])
            self._append(
                shapes.copied_placeholder(self._next(), "Footer", "ftr", found["ftr"].placeholder_format.idx, words)
            )
        if "sldNum" in found:
            number = shapes.slide_number(len(self._deck.slides))
            self._append(
                shapes.copied_placeholder(
                    self._next(), "Number", "sldNum", found["sldNum"].placeholder_format.idx, number
                )
            )


def _move(placeholder: Any, place: Rect) -> None:
    """Set a placeholder's position and size on this slide, instead of the layout's."""
    placeholder.left, placeholder.top, placeholder.width, placeholder.height = (
        round(side * EMU) for side in (place.x, place.y, place.w, place.h)
    )


def _name_notes_master(deck: Any) -> None:
    """List the notes master: python-pptx only adds a relation to it, and stricter readers expect it in the list."""
    root = deck.part._element
    if root.find(f"{_P}notesMasterIdLst") is not None or not deck.part.package.presentation_part.rels:
        return
    found = [r for r in deck.part.rels.values() if r.reltype == RT.NOTES_MASTER]
    if not found:
        return
    listed = parse_xml(
        f'<p:notesMasterIdLst {NAMESPACES}><p:notesMasterId r:id="{found[0].rId}"/></p:notesMasterIdLst>'
    )
    root.insert(list(root).index(root.find(f"{_P}sldMasterIdLst")) + 1, listed)


def _own_properties(deck: Any, slides: Sequence[Slide]) -> None:
    """Set title and creator, but no dates, which would make every file different."""
    xml = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{escape(_title(slides))}</dc:title><dc:creator>Logitscope</dc:creator></cp:coreProperties>"
    )
    kind = "application/vnd.openxmlformats-package.core-properties+xml"
    package = deck.part.package
    part = Part(PackURI("/docProps/core.xml"), kind, package, xml.encode())
    package.relate_to(part, RT.CORE_PROPERTIES)


def _write(packed: io.BytesIO, out: Path) -> None:
    """Write the file with its parts in order, all with the same date; what is compressed already is only stored."""
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            settled = zipfile.ZipInfo(entry.filename, _WHEN)
            settled.external_attr = 0o600 << 16
            method = zipfile.ZIP_STORED if entry.filename.endswith((".png", ".xlsx")) else zipfile.ZIP_DEFLATED
            target.writestr(settled, source.read(entry), method)
