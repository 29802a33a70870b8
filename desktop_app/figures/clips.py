"""Clips: a sequence of figures as an animated GIF or WebP, or as MP4 where ffmpeg is found.

`write_clip` takes any figures, such as moments of an animated operation or a view at each snapshot of a training run.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from desktop_app.core.caption import caption
from desktop_app.core.motion.beats import Motion, frame_times
from desktop_app.core.places import Step
from desktop_app.core.scene import Scene
from desktop_app.figures.deck import film
from desktop_app.figures.deck.workers import Task, Workers
from desktop_app.figures.export import Job, job_of
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.files import whole_files
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.system import usable_cores

CLIPS = ("gif", "webp", "mp4")
RATE = 10  # frames a second
MOST_FRAMES = 1200


def clip_kind(path: Path) -> str:
    """The kind of clip that a file's name asks for. Raises ExportError."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in CLIPS:
        raise ExportError(f"{path.name}: a clip's name ends in .gif, .webp or .mp4, which says what to write.")
    return kind


def moments(motion: Motion, words: str, pace: float) -> list[Job]:
    """The figures of an animated operation at `pace` beats a second, one for each frame; `words` are the caption.

    Raises ExportError for more frames than a clip may have.
    """
    times = frame_times(motion, RATE, pace)
    if len(times) > MOST_FRAMES:
        raise ExportError(
            f"{len(motion.beats)} beats at {pace:g} a second are {len(times):,} frames, and a clip has {MOST_FRAMES:,} "
            "at most; choose a higher pace."
        )
    made: dict[float, Job] = {}
    for time in times:
        if time not in made:
            made[time] = job_of(motion.view(time), words)
    return [made[time] for time in times]


def motion_words(scene: Scene, step: Step) -> str:
    """The caption of an animated operation."""
    return caption(scene, step)


def write_clip(
    jobs: Sequence[Job],
    out: Path,
    *,
    seconds: float = 1 / RATE,
    theme: str = "light",
    progress: Callable[[int, int], None] = lambda _done, _count: None,
    stop: Stop | None = None,
    polite: bool = False,
) -> None:
    """Draw each figure as a frame shown for `seconds`, and write them as one clip; it appears whole or not at all.

    A figure that is repeated in succession is drawn once. Raises ExportError, and Cancelled when `stop` is set.
    """
    kind = clip_kind(out)
    ffmpeg = film.find_ffmpeg() if kind == "mp4" else ""
    if not jobs:
        raise ExportError("A clip needs at least one frame.")
    distinct = list({id(job): job for job in jobs}.values())
    count = len(distinct)
    with whole_files([out]) as folder, Workers(min(usable_cores(), count), stop, polite=polite) as pool:
        names: dict[int, str] = {}
        with closing(pool.each(_tasks(distinct, theme, kind, folder))) as finished:
            for number, name in finished:
                names[id(distinct[number])] = name
                progress(len(names), count)
        pool.call(film.write, kind, [folder / names[id(job)] for job in jobs], seconds, folder / out.name, ffmpeg)


def _tasks(jobs: Iterable[Job], theme: str, kind: str, folder: Path) -> Iterator[Task]:
    for number, job in enumerate(jobs):
        yield film.draw_frame, (job, theme, kind, folder, f"{number:05d}")
