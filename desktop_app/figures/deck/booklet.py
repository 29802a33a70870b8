"""The walk as a PDF booklet: a page a step with its picture, explanation and numbers, and bookmarks for all."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from desktop_app.figures.deck.walk import Slide
from desktop_app.figures.layout import PAINTERS, arrangement, height_in, places
from desktop_app.figures.marks import Mark, Page, Rect
from desktop_app.figures.theme import THEMES, Theme
from desktop_app.gpt2.errors import ExportError

WIDTH, HEIGHT = 210 * 72 / 25.4, 297 * 72 / 25.4
_MARGIN = 48.0
_SCALE = 9.5 / 13  # of our sizes: 9.5 points of body text
_SHRINK = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
_DENSITY = 4.0  # pixels a point, for large heatmaps

_CELLS = 1024  # larger heatmaps are pictures: many thousand cells a page make a booklet slow
BATCH = 12
"""Pages that one process draws in one go: making the part of a font that they need takes longer than a page."""

_REFERENCE = re.compile(rb"\b(\d+) 0 R\b")


def draw_pages(slides: Sequence[Slide], theme: str, folder: Path, prefix: str) -> str:
    """Some pages as a PDF file; answers its name. Runs in a worker process."""
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
        PAINTERS[type(panel)][1](panel, rect, inner)
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
    """One PDF of all pages, with the walk as its outline."""
    book = _Book(title=slides[0].job.caption or slides[0].title)
    for path in pages:
        book.add(path.read_bytes())
    return book.close([(slide.part, slide.title) for slide in slides])


@dataclass
class _Entry:
    """A line of the outline: its words, the page it leads to, and the lines under it."""

    title: str
    page: int
    under: "list[_Entry]"


class _Book:
    """Puts PDF files together, as matplotlib writes them: plain objects and a plain table of them."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._objects: dict[int, bytes] = {}
        self._pages: list[int] = []
        self._next = 5  # 1 catalog, 2 pages, 3 outline, 4 information

    def add(self, data: bytes) -> None:
        """Take over the pages of a file, with all that they use."""
        objects, trailer = _parse(data)
        root = _number(rb"/Root (\d+) 0 R", trailer)
        info = re.search(rb"/Info (\d+) 0 R", trailer)
        tree = _number(rb"/Pages (\d+) 0 R", objects[root])
        dropped = {root, tree, int(info.group(1)) if info else -1}
        new = {old: self._next + n for n, old in enumerate(o for o in objects if o not in dropped)}
        self._next += len(new)
        new[tree] = 2
        for old, body in objects.items():
            if old in dropped:
                continue
            head, mark, stream = body.partition(b"\nstream\n")
            head = _REFERENCE.sub(lambda match: b"%d 0 R" % new[int(match.group(1))], head)
            self._objects[new[old]] = head + mark + stream
        kids = re.search(rb"/Kids \[(.*?)\]", objects[tree], re.DOTALL)
        self._pages += [new[int(kid)] for kid in _REFERENCE.findall(kids.group(1) if kids else b"")]

    def close(self, titles: Sequence[tuple[str, str]]) -> bytes:
        """The finished file; `titles` are (part, title) of each page."""
        kids = b" ".join(b"%d 0 R" % n for n in self._pages)
        self._objects[1] = (
            b"<< /Type /Catalog /Pages 2 0 R /Outlines 3 0 R /PageMode /UseOutlines /Lang (en) "
            b"/ViewerPreferences << /DisplayDocTitle true >> >>"
        )
        self._objects[2] = b"<< /Type /Pages /Count %d /Kids [ %s ] >>" % (len(self._pages), kids)
        self._objects[4] = b"<< /Title %s /Creator (Logitscope) >>" % _text(self._title)
        entries: list[_Entry] = []
        for page, (part, title) in zip(self._pages, titles, strict=True):
            if not entries or entries[-1].title != part:
                entries.append(_Entry(part, page, []))
            entries[-1].under.append(_Entry(title, page, []))
        first, last = self._outline(entries, 3)
        self._objects[3] = b"<< /Type /Outlines /First %d 0 R /Last %d 0 R /Count %d >>" % (first, last, len(entries))
        return self._bytes()

    def _outline(self, entries: list[_Entry], parent: int) -> tuple[int, int]:
        """Write lines of the outline; answers the first's and the last's number."""
        numbers = range(self._next, self._next + len(entries))
        self._next += len(entries)
        for n, entry in zip(numbers, entries, strict=True):
            links = b"/Prev %d 0 R " % (n - 1) if n > numbers[0] else b""
            links += b"/Next %d 0 R " % (n + 1) if n < numbers[-1] else b""
            if entry.under:
                first, last = self._outline(entry.under, n)
                links += b"/First %d 0 R /Last %d 0 R /Count -%d " % (first, last, len(entry.under))
            self._objects[n] = b"<< /Title %s /Parent %d 0 R %s/Dest [ %d 0 R /Fit ] >>" % (
                _text(entry.title),
                parent,
                links,
                entry.page,
            )
        return numbers[0], numbers[-1]

    def _bytes(self) -> bytes:
        out = bytearray(b"%PDF-1.4\n%\xac\xdc \xab\xba\n")
        places = []
        for n in range(1, self._next):
            places.append(len(out))
            out += b"%d 0 obj\n" % n + self._objects[n] + b"\nendobj\n"
        table = len(out)
        out += b"xref\n0 %d\n0000000000 65535 f \n" % self._next
        out += b"".join(b"%010d 00000 n \n" % place for place in places)
        out += b"trailer\n<< /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (self._next, table)
        return bytes(out)


def _parse(data: bytes) -> tuple[dict[int, bytes], bytes]:
    """The objects of a file by number, and its trailer. Raises ExportError for a file of another make."""
    start = _number(rb"startxref\s+(\d+)\s+%%EOF", data[-64:])
    table = re.compile(rb"xref\s+0 (\d+)\s*\n").match(data, start)
    if table is None:
        raise ExportError("This matplotlib writes PDF files of another form; a booklet needs 3.10 or 3.11.")
    count, first = int(table.group(1)), table.end()
    rows = [data[first + 20 * n : first + 20 * (n + 1)] for n in range(count)]
    places = sorted((int(row[:10]), n) for n, row in enumerate(rows) if row[17:18] == b"n")
    ends = [place for place, _ in places[1:]] + [start]
    objects = {}
    for (place, n), end in zip(places, ends, strict=True):
        body = data[place:end].partition(b" obj\n")[2].rstrip()
        objects[n] = body.removesuffix(b"endobj").rstrip(b"\n")
    return objects, data[first + 20 * count :]


def _number(pattern: bytes, data: bytes) -> int:
    match = re.search(pattern, data)
    if match is None:
        raise ExportError("This matplotlib writes PDF files of another form; a booklet needs 3.10 or 3.11.")
    return int(match.group(1))


def _text(words: str) -> bytes:
    """A string of a PDF file in any script."""
    return b"<FEFF" + words.encode("utf-16-be", "replace").hex().upper().encode() + b">"
