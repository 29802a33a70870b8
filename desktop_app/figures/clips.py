"""Clips: a sequence of figures as an animated GIF or WebP, or as MP4 where ffmpeg is found.

`write_clip` takes any figures, such as moments of an animated operation or a view at each snapshot of a training run.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from desktop_app.core.caption import caption
from desktop_app.core.motion.beats import Motion, frame_times
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.figures.deck.workers import Task, Workers
from desktop_app.figures.export import Job, job_of
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.files import whole_files
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.system import usable_cores

CLIPS = ("gif", "webp", "mp4")
RATE = 10  # frames a second
MOST_FRAMES = 1200
Frame = TypeVar("Frame", bound=Hashable)


def clip_kind(path: Path) -> str:
    """The kind of clip that a file's name asks for. Raises ExportError."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in CLIPS:
        raise ExportError(f"{path.name}: a clip's name ends in .gif, .webp or .mp4, which says what to write.")
    return kind


def clip_times(motion: Motion, pace: float) -> Sequence[float]:
    """The times of a clip's frames at `pace` beats a second. Raises ExportError for too many frames."""
    times = frame_times(motion, RATE, pace)
    if len(times) > MOST_FRAMES:
        raise ExportError(
            f"{len(motion.beats)} beats at {pace:g} a second are {len(times):,} frames, and a clip has {MOST_FRAMES:,} "
            "at most; choose a higher pace."
        )
    return times


def moment(motion: Motion, words: str) -> Callable[[float], Job]:
    """The figure of a motion at any time; `words` are the caption."""
    return lambda time: job_of(motion.view(time), words)


def motion_words(scene: Scene, step: Step) -> str:
    """The caption of an animated operation."""
    return caption(scene, step)


def write_clip(
    frames: Sequence[Frame],
    figure: Callable[[Frame], Job],
    out: Path,
    *,
    seconds: float = 1 / RATE,
    theme: str = "light",
    progress: Callable[[int, int], None] = lambda _done, _count: None,
    stop: Stop | None = None,
    polite: bool = False,
) -> None:
    """Draw the figure of each frame, shown for `seconds`, and write them as one clip; it appears whole or not at all.

    Equal frames are drawn once, and a figure is made when there is a worker for it: those of a long text are large.
    Raises ExportError, and Cancelled when `stop` is set.
    """
    from desktop_app.figures.deck import film  # imported where it is used, so that the window starts without it

    kind = clip_kind(out)
    ffmpeg = film.find_ffmpeg() if kind == "mp4" else ""
    if not frames:
        raise ExportError("A clip needs at least one frame.")
    distinct = list(dict.fromkeys(frames))
    count = len(distinct)
    with whole_files([out]) as folder, Workers(min(usable_cores(), count), stop, polite=polite) as pool:
        names: dict[Frame, str] = {}
        with closing(pool.each(_tasks(map(figure, distinct), film.draw_frame, theme, kind, folder))) as finished:
            for number, name in finished:
                names[distinct[number]] = name
                progress(len(names), count)
        pool.call(film.write, kind, [folder / names[frame] for frame in frames], seconds, folder / out.name, ffmpeg)


def _tasks(jobs: Iterable[Job], draw: Callable[..., str], theme: str, kind: str, folder: Path) -> Iterator[Task]:
    for number, job in enumerate(jobs):
        yield draw, (job, theme, kind, folder, f"{number:05d}")
