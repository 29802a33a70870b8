"""Makes a deck: worker processes draw the slides, then one of them assembles the file."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desktop_app.figures.deck.template import Design, own_design, read_template
from desktop_app.figures.deck.walk import Slide
from desktop_app.figures.deck.workers import Task, Workers
from desktop_app.figures.theme import THEMES
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.files import whole_files
from desktop_app.gpt2.system import usable_cores

if TYPE_CHECKING:
    from desktop_app.gpt2.session import Stop

FORMATS = {
    "pptx": "PowerPoint slides",
    "pdf": "PDF booklet",
    "gif": "animated GIF",
    "webp": "animated WebP",
    "mp4": "MP4 film",
}
"""File suffix -> kind of file."""
Progress = Callable[[int, int, str], None]
"""Called with (slides done, slides in total, what is being done)."""


@dataclass(frozen=True)
class Wish:
    """How a deck is to be made. Without a `theme`, it is light or suits the template."""

    kind: str = "pptx"
    theme: str | None = None
    template: Path | None = None
    seconds: float = 3.0

    def __post_init__(self) -> None:
        for value, choices, what in (
            (self.kind, tuple(FORMATS), "format"),
            (self.theme, (None, *THEMES), "theme"),
        ):
            if value not in choices:
                names = ", ".join(c for c in choices if c)
                raise ExportError(f"There is no {what} {str(value)[:40]!r}; choose one of {names}.")
        if self.template is not None and self.kind != "pptx":
            raise ExportError(f"A template is for .pptx files; leave it out for a .{self.kind} file.")
        if not 0.1 <= self.seconds <= 60:
            raise ExportError(f"{self.seconds:g} seconds a step are out of range; choose from 0.1 to 60.")


def kind_of(path: Path) -> str:
    """The format for a file name. Raises ExportError."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        endings = ", ".join(f".{name}" for name in FORMATS)
        raise ExportError(f"{path.name}: the name must end in one of {endings}, which says what to write.")
    return kind


@dataclass(frozen=True)
class Ready:
    """A wish that has been checked: everything that can fail before drawing has succeeded."""

    wish: Wish
    theme: str
    design: Design | None = None
    ffmpeg: str = ""


def prepare(wish: Wish) -> Ready:
    """Read the template, and find the film's encoder. Raises ExportError that says what is missing."""
    from desktop_app.figures.deck import film  # imported where it is used, so that the window starts without it

    theme = wish.theme or "light"
    if wish.kind == "pptx":
        design = own_design(theme) if wish.template is None else read_template(wish.template, wish.theme)
        return Ready(wish, design.theme, design)
    return Ready(wish, theme, ffmpeg=film.find_ffmpeg() if wish.kind == "mp4" else "")


def make_deck(
    slides: Iterable[Slide],
    count: int,
    ready: Ready,
    out: Path,
    *,
    jobs: int | None = None,
    progress: Progress = lambda _done, _all, _what: None,
    stop: "Stop | None" = None,
    polite: bool = False,
) -> None:
    """Write the deck of `count` slides to `out`, completely or not at all.

    Each of `slides` is made when a worker is free. `polite` workers have a lower priority than a window. Raises
    ExportError, and Cancelled on a stop.
    """
    workers = max(1, min(jobs or usable_cores(), count))
    made: list[Slide] = []
    sizes: list[int] = []  # the number of slides that each task draws
    results: dict[int, Any] = {}
    with whole_files([out]) as folder, Workers(workers, stop, polite=polite) as pool:
        progress(0, count, "drawing")
        with closing(pool.each(_tasks(slides, made, sizes, ready, folder))) as finished:
            for number, result in finished:
                results[number] = result
                progress(sum(sizes[n] for n in results), count, "drawing")
        progress(count, count, "writing")
        parts = [results[n] for n in range(len(sizes))]
        pool.call(_put_together, ready, made, parts, folder, out.name)


def _tasks(slides: Iterable[Slide], made: list[Slide], sizes: list[int], ready: Ready, folder: Path) -> Iterator[Task]:
    """The workers' tasks for the slides; `made` collects the slides without their arrays."""
    from desktop_app.figures.deck import booklet, film, pieces, powerpoint

    walk, number = iter(slides), 0
    batch = booklet.BATCH if ready.wish.kind == "pdf" else 1
    while some := list(islice(walk, batch)):
        slide, prefix = some[0], f"{number:04d}"
        made += [one.without_content() for one in some]
        sizes.append(len(some))
        if ready.design is not None:
            *_, room, _ = powerpoint.words_above(slide, ready.design)
            look = pieces.Look(ready.theme, ready.design.scale, slide.large, slide.language)
            yield pieces.draw_slide, (slide.view.content, room, look, folder, prefix)
        elif ready.wish.kind == "pdf":
            yield booklet.draw_pages, (some, ready.theme, folder, prefix)
        else:
            yield film.draw_frame, (slide.job, ready.theme, ready.wish.kind, folder, prefix)
        number += 1


def _put_together(ready: Ready, slides: list[Slide], parts: list[Any], folder: Path, name: str) -> None:
    """Write the file from its parts. Runs in a worker process."""
    from desktop_app.figures.deck import booklet, film, powerpoint

    out, kind = folder / name, ready.wish.kind
    if ready.design is not None:
        powerpoint.build(ready.design, slides, parts, folder, out)
    elif kind == "pdf":
        out.write_bytes(booklet.bind([folder / part for part in parts], slides))
    else:
        frames = [folder / part for part in parts]
        film.write(kind, frames, ready.wish.seconds, out, ready.ffmpeg)
