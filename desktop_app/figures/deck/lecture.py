"""A lecture about one text: at most 18 slides, each with a finding of this pass as its title.

The numbers in titles are measured on the pass, and the words are in resources/lecture, so that titles are true for any
model and text. If a pass does not have a finding (a head with a clear target, a text to guess), there is no slide for
it.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

from desktop_app.core.caption import sampling_words, tokens_words
from desktop_app.core.model import Model
from desktop_app.core.panels import Line, TextPanel, View, column
from desktop_app.core.program.bundle import ENGLISH
from desktop_app.core.scene import Scene
from desktop_app.figures.deck import lecture_blocks, lecture_input, lecture_output
from desktop_app.figures.deck.lecture_material import Frame, Material
from desktop_app.figures.deck.walk import CLOSING, Slide
from desktop_app.figures.export import Job, described
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.phrase import joined

log = logging.getLogger(__name__)

_RECALLED = ("tokens", "embed", "previous", "look", "writers", "without", "arising", "next", "positions")


class Lecture:
    """The slides of one scene. `chosen` is the (block, head) that the user named; if None, one is chosen."""

    def __init__(
        self, scene: Scene, model: Model, language: str = ENGLISH, chosen: tuple[int, int] | None = None
    ) -> None:
        self._material = Material(scene, model, language, chosen)

    def slides(self, *, captions: bool = True) -> Iterator[Slide]:
        """Every slide for which this pass has a finding, in order."""
        frames = [made for make in _ORDER if (made := self._made(make)) is not None]
        titles: dict[str, int] = {}
        findings: dict[str, str] = {}
        for number, (part, frame) in enumerate([*frames, ("end", lecture_output.closing(self._material))], 1):
            slide = self._slide(frame, part, number, len(frames) + 1, captions=captions)
            if frame.kind == CLOSING:
                slide = _recalling(slide, tuple(text for key, text in findings.items() if key in _RECALLED))
            titles[slide.title] = titles.get(slide.title, 0) + 1
            if titles[slide.title] > 1:  # two findings about one text can have the same title
                slide = _titled(slide, f"{slide.title} ({titles[slide.title]})")
            findings[frame.key] = slide.title
            yield slide

    def _made(self, make: "tuple[str, Callable[[Material], Frame | None]]") -> tuple[str, Frame] | None:
        part, build = make
        try:
            frame = build(self._material)
        except LogitscopeError as reason:  # for example an edited pass, whose attention scores cannot be decomposed
            log.info("%s made no slide: %s", build.__name__, reason)
            return None
        return None if frame is None else (part, frame)

    def _slide(self, frame: Frame, part: str, number: int, count: int, *, captions: bool) -> Slide:
        own = self._material
        values = {name: own.say(value) if isinstance(value, str) else value for name, value in frame.values.items()}
        said = {name: text.format(**values) for name, text in own.words[frame.key].items()}
        view = View(said[f"title{frame.variant}"], said["lead"], frame.content)
        scene = own.scene
        parts = [scene.name, tokens_words(len(scene.trace))]
        parts += [sampling_words(scene)] if frame.sampled else []
        caption = own.say(joined(" · ", parts)) if captions else ""
        notes = "\n\n".join((own.word("point_at", what=said["point"]), said["lead"], said["say"]))
        job = Job(view, caption, described(view, caption))
        place = own.words["parts"][part]
        return Slide(
            frame.key,
            number,
            place,
            place,
            number / count,
            job,
            view.lead,
            notes,
            frame.kind,
            ask=frame.ask,
            language=own.language,
            large=True,
            say=said["say"],
        )


def _recalling(slide: Slide, lines: tuple[str, ...]) -> Slide:
    """The last slide, with the titles of earlier slides."""
    content = column(TextPanel(lines=tuple(Line(f"{n}", text) for n, text in enumerate(lines, 1))))
    view = replace(slide.view, content=content)
    return replace(slide, job=replace(slide.job, view=view), lines=lines)


def _titled(slide: Slide, title: str) -> Slide:
    return replace(slide, job=replace(slide.job, view=replace(slide.view, title=title)))


_ORDER: tuple[tuple[str, Callable[[Material], Frame | None]], ...] = (
    ("begin", lecture_input.title),
    ("begin", lecture_output.ask_next),
    ("begin", lecture_input.whole),
    ("input", lecture_input.tokens),
    ("input", lecture_input.embed),
    ("attention", lecture_blocks.previous),
    ("attention", lecture_blocks.ask_look),
    ("attention", lecture_blocks.looks),
    ("attention", lecture_blocks.writers),
    ("attention", lecture_blocks.without),
    ("mlp", lecture_blocks.mlp),
    ("mlp", lecture_blocks.arising),
    ("output", lecture_output.following),
    ("output", lecture_output.temperature),
    ("output", lecture_output.cuts),
    ("output", lecture_output.draw),
    ("output", lecture_output.positions),
)
"""(part of the lecture, function that makes its slide), in order; a closing slide follows them.

The question of how the text continues is asked before any slide gives the answer.
"""
