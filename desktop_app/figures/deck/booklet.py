"""A walk through the steps of a pass as a PDF booklet: for each step a page with picture, explanation and numbers."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from desktop_app.figures.deck.walk import Slide
from desktop_app.figures.kinds import KINDS
from desktop_app.figures.layout import arrangement, height_in, places
from desktop_app.figures.marks import Mark, Page, Rect
from desktop_app.figures.paper import HEIGHT, WIDTH
from desktop_app.figures.theme import THEMES, Theme

_MARGIN = 48.0
_SCALE = 9.5 / 13  # points per design unit, for body text of 9.5 points
_SHRINK = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
_DENSITY = 4.0  # pixels per point, for large heatmaps

_CELLS = 1024  # larger heatmaps are drawn as bitmaps, because thousands of cells per page make a booklet slow
BATCH = 12
"""How many pages one process draws: making their font subset takes longer than drawing one page."""


def draw_pages(slides: Sequence[Slide], theme: str, folder: Path, prefix: str) -> str:
    """Draw some pages into a PDF file, and return the name of the file. Runs in a worker process."""
    from desktop_app.figures import draw

    laid_out = (lay_out(slide, THEMES[theme]) for slide in slides)
    figures = (draw.make_figure(marks, WIDTH, height, THEMES[theme], cells=_CELLS) for marks, height in laid_out)
    name = f"{prefix}.pdf"
    (folder / name).write_bytes(draw.pdf_of_pages(figures))
    return name


def lay_out(slide: Slide, theme: Theme) -> tuple[list[Mark], float]:
    """The marks of a page, and its height: A4 unless the step needs more."""
    from desktop_app.figures import fonts

    width, left = WIDTH - 2 * _MARGIN, _MARGIN
    page = Page(theme, fonts.width, _SCALE, _DENSITY)
    accent = theme.words(theme.accent)
    y = _MARGIN
    page.words(left, y, slide.place, size=12, bold=True, colour=accent, room=width)
    y += page.u(26)
    for words in page.wrap(slide.title, width, size=22, bold=True):
        page.words(left, y, words, size=22, bold=True, room=width)
        y += page.u(28)
    y += page.u(2)
    for words in page.wrap(slide.lead, width, size=14):
        page.words(left, y, words, size=14, colour=theme.dim, room=width)
        y += page.u(20)
    y += page.u(10)
    below = [line for part in slide.notes.split("\n")[2:] for line in (page.wrap(part, width) or [""])]
    foot = page.wrap(slide.job.caption, width - page.u(60), size=11)
    line, small = page.u(19), page.u(15)
    fixed = len(below) * line + len(foot) * small + page.u(40) + _MARGIN
    room = HEIGHT - y - fixed
    content = arrangement(slide.view.content, width, room, page)
    height = room
    for shrink in _SHRINK:
        inner = Page(theme, fonts.width, _SCALE * shrink, _DENSITY)
        height = height_in(content, width, room, inner)
        if height <= room + 1:
            break
    inner.marks = page.marks
    for panel, rect in places(content, Rect(left, y, width, height), inner):
        KINDS[type(panel)].paint(panel, rect, inner)
    y += height + page.u(26)
    for text in below:
        page.words(left, y, text, room=width)
        y += line if text else line / 2
    bottom = max(HEIGHT, y + len(foot) * small + _MARGIN)
    for n, text in enumerate(reversed(foot)):
        page.words(left, bottom - _MARGIN - n * small, text, size=11, colour=theme.dim, room=width)
    page.words(WIDTH - _MARGIN, bottom - _MARGIN, f"{slide.number}", size=11, colour=theme.dim, align="right")
    return list(page.marks), bottom


def bind(pages: Sequence[Path], slides: Sequence[Slide]) -> bytes:
    """One PDF of all pages. Its outline has the parts of the walk, collapsed, and the steps in each part."""
    from pypdf import PdfWriter
    from pypdf.generic import BooleanObject, DictionaryObject, NameObject, TextStringObject

    book = PdfWriter()
    for path in pages:
        book.append(path, import_outline=False)
    title = slides[0].job.caption or slides[0].title
    book.metadata = {"/Title": title, "/Creator": "Logitscope"}
    book.page_mode = "/UseOutlines"
    shown = DictionaryObject({NameObject("/DisplayDocTitle"): BooleanObject(True)})
    book.root_object.update({NameObject("/ViewerPreferences"): shown, NameObject("/Lang"): TextStringObject("en")})
    part, under = "", None
    for number, slide in enumerate(slides):
        if under is None or slide.part != part:
            part = slide.part
            under = book.add_outline_item(title=part, page_number=number, is_open=False)
        book.add_outline_item(title=slide.title, page_number=number, parent=under)
    out = BytesIO()
    book.write(out)
    return out.getvalue()
