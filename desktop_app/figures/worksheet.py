"""Worksheets as PDF: a page with boxes to write in for each exercise, followed by the same pages with the answers."""

from collections.abc import Sequence

from desktop_app.core.lessons.worksheet import Exercise
from desktop_app.figures.marks import Mark, Page, Rect
from desktop_app.figures.paper import HEIGHT, WIDTH
from desktop_app.figures.theme import THEMES

_MARGIN, _SCALE = 54.0, 10.5 / 13  # points; and points per design unit, for body text of 10.5 points
_ROW, _FIRST = 36, 150  # design units: height of a row, least width of the first column


def worksheet_pdf(exercises: Sequence[Exercise], about: Sequence[str]) -> bytes:
    """The pages with blanks, then the same with answers. `about` are lines at the foot of each page: model, prompt."""
    from desktop_app.figures import draw

    theme = THEMES["print"]
    pages = [lay_out(exercise, about, n, key=key) for key in (False, True) for n, exercise in enumerate(exercises, 1)]
    return draw.pdf_of_pages(draw.make_figure(marks, WIDTH, HEIGHT, theme) for marks in pages)


def lay_out(exercise: Exercise, about: Sequence[str], number: int, *, key: bool) -> list[Mark]:
    """The marks of one page."""
    from desktop_app.figures import fonts

    theme = THEMES["print"]
    page = Page(theme, fonts.width, _SCALE)
    width, y = WIDTH - 2 * _MARGIN, _MARGIN
    which = f"Exercise {number}: answers" if key else f"Exercise {number}"
    page.words(_MARGIN, y, which, size=13, bold=True, colour=theme.accent)
    if not key:
        page.words(WIDTH - _MARGIN, y, "Name: ______________________", size=13, align="right", colour=theme.dim)
    y += page.u(30)
    page.words(_MARGIN, y, exercise.title, size=24, bold=True)
    y += page.u(34)
    for paragraph in exercise.task:
        for line in page.wrap(paragraph, width, size=14):
            page.words(_MARGIN, y, line, size=14)
            y += page.u(21)
        y += page.u(8)
    y = _table(exercise, y + page.u(14), width, page, key=key) + page.u(26)
    if key:
        for line in page.wrap(exercise.own, width, size=12):
            page.words(_MARGIN, y, line, size=12, colour=theme.dim)
            y += page.u(18)
    foot = [line for words in about for line in page.wrap(words, width, size=11)][-6:]
    for n, line in enumerate(reversed(foot)):
        page.words(_MARGIN, HEIGHT - _MARGIN - n * page.u(16), line, size=11, colour=theme.dim)
    return list(page.marks)


def _table(exercise: Exercise, y: float, width: float, page: Page, *, key: bool) -> float:
    """Draw columns with their headings, and a box for each blank; returns where the table ends."""
    theme, count = page.theme, len(exercise.head)
    widest = max(page.width(row[0].text, size=13, mono=True) for row in exercise.rows)
    first = min(max(page.u(_FIRST), widest + page.u(16)), width / 3)
    other = (width - first) / (count - 1)
    lefts = [_MARGIN, *(_MARGIN + first + n * other for n in range(count - 1))]
    for n, words in enumerate(exercise.head):
        if n:
            page.words(
                lefts[n] + other - page.u(12), y, words, size=11, bold=True, align="right", room=other - page.u(12)
            )
        else:
            page.words(lefts[n], y, words, size=11, bold=True, room=first)
    y += page.u(14)
    page.path([_MARGIN, _MARGIN + width], [y, y], theme.ink, page.u(1))
    for row in exercise.rows:
        middle = y + page.u(_ROW / 2)
        for n, entry in enumerate(row):
            if n == 0:
                page.words(lefts[0], middle, entry.text, size=13, mono=True, room=first - page.u(8))
                continue
            box = Rect(lefts[n] + page.u(6), y + page.u(5), other - page.u(12), page.u(_ROW - 10))
            if entry.asked:
                page.fill(box, None, stroke=theme.ink, radius=page.u(3))
            if not entry.asked or key:
                colour = theme.accent if entry.asked else theme.ink
                page.words(
                    box.x + box.w - page.u(6),
                    middle,
                    entry.text,
                    size=13,
                    mono=True,
                    bold=entry.asked,
                    align="right",
                    colour=colour,
                )
        y += page.u(_ROW)
        page.path([_MARGIN, _MARGIN + width], [y, y], theme.line, page.u(0.75))
    return y
