"""A view as a finished figure: page size, theme, caption, and the bytes of an SVG, PDF or PNG file."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from desktop_app.core.caption import alt_text, caption
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import view_of
from desktop_app.core.panels import Box, View
from desktop_app.core.places import BESIDE, Step
from desktop_app.core.program.bundle import ENGLISH, languages
from desktop_app.core.scene import Scene
from desktop_app.core.steps import build_view
from desktop_app.figures.language import translated, translator
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Fill, Heat, Mark, Page, Picture, Rect, Words
from desktop_app.figures.theme import THEMES
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.files import whole_file

FORMATS = ("svg", "pdf", "png")
_MM = 72 / 25.4
_TEXT = 13.0  # type size of body text in design units
_FOOT_LINE = 16.0
_VECTOR_DENSITY = 4.0  # pixels per point (288 per inch), for heatmaps too large to be drawn cell by cell


@dataclass(frozen=True)
class Size:
    """A page: width and height in points (without a height, as high as the view needs), and body text in points."""

    title: str
    width: float
    height: float | None
    text: float


SIZES: dict[str, Size] = {
    "slide": Size("Slide 16:9", 960, 540, 13),
    "half": Size("Half a slide", 470, 500, 12),
    "column": Size("Paper column, 85 mm", 85 * _MM, None, 7),
    "page": Size("Paper width, 175 mm", 175 * _MM, None, 8),
    "poster": Size("Poster", 1600, 1100, 22),
    "a0": Size("A0 sheet, 1189 × 841 mm", 1189 * _MM, 841 * _MM, 30),
}
MOST_PIXELS = 250_000_000
"""The maximum number of pixels of a PNG: an A0 poster at 300 dpi has 139 million, each taking at least eight bytes."""

DPI = (96, 150, 200, 300, 600)


@dataclass(frozen=True)
class Options:
    """How a figure is made. `size` is a name of SIZES, `theme` of THEMES, `language` of a table of labels.

    `font_size` is the size of body text in points on the finished page. If it is given, it is not changed, and a page
    that is too low becomes higher. Otherwise, text on a page of fixed height is first made smaller.
    """

    kind: str = "svg"
    size: str = "slide"
    theme: str = "light"
    dpi: int = 200
    caption: bool = True
    transparent: bool = False
    font_size: float | None = None
    language: str = ENGLISH
    title: bool = True  # whether headline and lead are drawn; without them, a single picture also has no heading

    def __post_init__(self) -> None:
        for value, choices, what in (
            (self.kind, FORMATS, "format"),
            (self.size, tuple(SIZES), "size"),
            (self.theme, tuple(THEMES), "theme"),
            (self.language, languages(), "language"),
        ):
            if value not in choices:
                raise ExportError(f"There is no {what} {value[:40]!r}; choose one of {', '.join(choices)}.")
        if not 36 <= self.dpi <= 1200:
            raise ExportError(f"{self.dpi} dpi is out of range; choose from 36 to 1200.")
        if self.font_size is not None and not 4 <= self.font_size <= 48:
            raise ExportError(f"A font size of {self.font_size:g} points is out of range; choose from 4 to 48.")


@dataclass(frozen=True)
class Job:
    """Everything from which a figure is drawn; small enough to be sent to another process."""

    view: View
    caption: str
    description: str


def make_job(scene: Scene, step: Step) -> Job:
    """The figure of one step or workspace."""
    job = job_of(build_view(scene, step), caption(scene, step))
    return job if step.spec.part == BESIDE else replace(job, description=alt_text(scene, step))


def job_of(view: View, words: str) -> Job:
    """The figure of a view with its caption, without the hints that apply only in the window."""
    view = replace(view, content=_unclickable(view.content))
    return Job(view, words, described(view, words))


def _unclickable(box: Box) -> Box:
    return replace(
        box,
        children=tuple(
            _unclickable(child) if isinstance(child, Box) else replace(child, hint="") for child in box.children
        ),
        wide=None if box.wide is None else _unclickable(box.wide),
    )


def in_language(job: Job, language: str) -> Job:
    """The figure with its title, lead, labels and caption in that language."""
    if language == ENGLISH:
        return job
    say = translator(language)
    view, words = translated(job.view, say), say(job.caption)
    return Job(view, words, described(view, words))


def described(view: View, caption: str) -> str:
    """A figure described in words, for readers who cannot see it."""
    return " ".join(part for part in (f"{view.title}.", view.lead, caption) if part)


def make_path_job(scene: Scene, step: Step, cell: Cell) -> Job:
    """The figure of an opened number, weight, or workspace without a tab."""
    return job_of(view_of(scene, cell), caption(scene, step, cell=cell))


def kind_of(path: Path) -> str:
    """The format for a file name. Raises ExportError."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ExportError(f"{path.name}: the name must end in .svg, .pdf or .png, which says what to write.")
    return kind


def _untitled(view: View) -> View:
    """The view without its panel's heading if there is only one panel, because the text under the figure names it."""
    children = view.content.children
    if len(children) != 1 or isinstance(children[0], Box):
        return view
    return replace(view, content=replace(view.content, children=(replace(children[0], title="", note=""),)))


@dataclass(frozen=True)
class Sheet:
    """A figure's marks, laid out on a page whose size is in points."""

    width: float
    height: float
    marks: tuple[Mark, ...]


def lay_out(job: Job, options: Options) -> Sheet:
    """Lay out the figure's marks, in points from the page's corner, including margins and caption."""
    from desktop_app.figures import fonts  # this imports matplotlib, which takes long to load

    job = in_language(job, options.language)
    view = job.view if options.title else _untitled(job.view)
    size = SIZES[options.size]
    text = options.font_size or size.text
    margin = text * 1.6
    width = size.width - 2 * margin
    density = options.dpi / 72 if options.kind == "png" else _VECTOR_DENSITY
    # On a page of fixed height, text shrinks to two thirds at most before the page becomes higher, unless its size was
    # given.
    for shrink in (1.0,) if options.font_size else (1.0, 0.92, 0.85, 0.78, 0.7, 0.66):
        # Viewers draw the text of an SVG in their fonts; DejaVu, a common substitute, is up to 15 % wider than Inter.
        slack = 0.15 if options.kind == "svg" else 0.0
        page = Page(
            THEMES[options.theme], fonts.width, text / _TEXT * shrink, density, slack, translator(options.language)
        )
        words = page.wrap(job.caption, width, size=11) if options.caption else []
        foot = page.u(_FOOT_LINE) * len(words) + (page.u(14) if words else 0)
        room = (size.height or math.inf) - 2 * margin - foot
        used = place_view(view, width, room, page, heading=options.title)
        if size.height is None or used <= room + 1:
            break
    height = max(size.height or 0, used + 2 * margin + foot)
    for n, line in enumerate(reversed(words)):
        y = height - 2 * margin - page.u(5 + n * _FOOT_LINE)
        page.words(0, y, line, size=11, colour=page.theme.dim, room=width)
    return Sheet(size.width, height, tuple(_moved(mark, margin, margin) for mark in page.marks))


def render(job: Job, options: Options) -> bytes:
    """The figure's file as bytes: the same job and options give the same bytes."""
    from desktop_app.figures import draw

    sheet, theme = lay_out(job, options), THEMES[options.theme]
    _refuse_too_many(sheet, options)
    job = in_language(job, options.language)
    figure = draw.make_figure(sheet.marks, sheet.width, sheet.height, theme, transparent=options.transparent)
    return draw.figure_bytes(figure, options.kind, dpi=options.dpi, title=job.view.title, text=job.description)


def _refuse_too_many(sheet: Sheet, options: Options) -> None:
    """Raise ExportError for a PNG with more pixels than a viewer, or this program, can hold in memory."""
    pixels = sheet.width * sheet.height * (options.dpi / 72) ** 2
    if options.kind == "png" and pixels > MOST_PIXELS:
        fitting = int(options.dpi * math.sqrt(MOST_PIXELS / pixels))
        raise ExportError(
            f"The page is {sheet.width / 72:.0f} by {sheet.height / 72:.0f} inches, at {options.dpi} dpi "
            f"{pixels / 1e6:,.0f} million pixels, and a PNG has {MOST_PIXELS / 1e6:.0f} million at most; choose "
            f"at most {fitting} dpi, or SVG or PDF, which have none."
        )


def write(path: Path, data: bytes) -> None:
    """Write a figure's file atomically. Raises ExportError."""
    with whole_file(path) as file:
        file.write(data)


def _moved(mark: Mark, dx: float, dy: float) -> Mark:
    if isinstance(mark, Fill | Heat | Picture):
        r = mark.rect
        return replace(mark, rect=Rect(r.x + dx, r.y + dy, r.w, r.h))
    if isinstance(mark, Words):  # numbers here, arrays below: separate for the type checker
        return replace(mark, x=mark.x + dx, y=mark.y + dy)
    return replace(mark, x=mark.x + dx, y=mark.y + dy)
