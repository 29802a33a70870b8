"""The sections of a hand-out: slides of a lecture or of a story, each with the scene that it shows."""

from collections.abc import Iterator
from dataclasses import dataclass

from desktop_app.core.lessons.stories import Story
from desktop_app.core.program.bundle import ENGLISH
from desktop_app.core.scene import Scene
from desktop_app.figures.deck.lecture import Lecture
from desktop_app.figures.deck.told import Open, leaves
from desktop_app.figures.deck.walk import STEP, Slide

_TRIED = ("temperature", "top_k", "top_p", "probabilities", "draw")


@dataclass(frozen=True)
class Leaf:
    """One section. `scene` is the scene whose numbers it contains; `tries` says whether sampling sliders are added."""

    slide: Slide
    scene: Scene | None = None
    tries: bool = False


def of_lecture(lecture: Lecture, scene: Scene) -> Iterator[Leaf]:
    """The sections of a lecture about a text."""
    for slide in lecture.slides():
        yield Leaf(slide, scene if slide.kind == STEP else None, slide.key == "next")


def of_story(story: Story, open_model: Open, language: str = ENGLISH) -> Iterator[Leaf]:
    """The sections of a story; sliders appear once for each text whose sampling it shows."""
    tried: set[object] = set()
    for slide, told in leaves(story, open_model, language=language):
        if told is None:
            yield Leaf(slide)
            continue
        what = told.scene.trace.run, told.scene.position
        tries = told.step.spec.op in _TRIED and slide.ask is None and what not in tried
        if tries:
            tried.add(what)
        yield Leaf(slide, told.scene, tries)
