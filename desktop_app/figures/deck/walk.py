"""Which steps a deck shows and in which order, and what each slide says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial

from desktop_app.core.asking.navigation import at_step
from desktop_app.core.caption import alt_text, caption
from desktop_app.core.comparing.compare import compared, mode_of
from desktop_app.core.model import Model
from desktop_app.core.panels import Box, View, headed
from desktop_app.core.places import BESIDE, IN, OUT, Step
from desktop_app.core.products import completed
from desktop_app.core.program.bundle import ENGLISH
from desktop_app.core.scene import Scene, make_moment
from desktop_app.core.session.state import WALK
from desktop_app.core.steps import as_compared, build_view, find_step, step_list, text_of, wants_of
from desktop_app.core.views import block
from desktop_app.figures.deck.notes import notes
from desktop_app.figures.deck.reduced import pictures
from desktop_app.figures.export import Job, described, in_language
from desktop_app.figures.language import translator
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.phrase import Phrase, first_sentence, joined

STEP, TITLE, CLOSING = "step", "title", "closing"
"""Kinds of slides: each has a layout of its own if the master has one for it."""
MOST_SLIDES = 18
"""The maximum number of slides of a lecture."""
LECTURE, OVERVIEW, ALL, BLOCK = "lecture", "overview", "all", "block"
SELECTIONS = {
    LECTURE: "at most 18 slides, each with a finding of this text as its title",
    OVERVIEW: "input, one block in full, one slide for each other block, output",
    ALL: "every step",
    BLOCK: "one block",
}
"""Name of a selection -> what it contains."""


@dataclass(frozen=True)
class Item:
    """One slide to be made: a step, or a `whole` block, which is represented by its last step."""

    step: Step
    whole: bool = False

    @property
    def key(self) -> str:
        """The step's name, or the block's."""
        return f"blocks.{self.step.layer}" if self.whole else self.step.key


@dataclass(frozen=True)
class Ask:
    """A question on a slide, in a form that can be answered on the page.

    `kind` is the kind of a story's question. `options` are the choices, and `right` the indices of the right ones.
    Without choices, `text` is the text of the token that has to be typed. `truth` states the answer.
    """

    kind: str
    options: tuple[str, ...] = ()
    right: tuple[int, ...] = ()
    text: str = ""
    nudge: str = ""
    truth: str = ""


@dataclass(frozen=True)
class Slide:
    """The content of one slide, page or frame; small enough to be sent to another process."""

    key: str
    number: int  # counted from 1
    part: str  # "Input", "Block 3 of 0–11" or "Output"
    place: str  # `part` with the step's number
    share: float  # its place along the walk, from 0 to 1
    job: Job
    lead: str
    notes: str
    kind: str = STEP
    say: str = ""  # the part of the notes that is also printed, for readers without a lecturer
    ask: Ask | None = None
    language: str = ENGLISH
    lines: tuple[str, ...] = ()  # of a closing slide: the titles that it repeats
    large: bool = False  # whether its text has at least 12 points, because its panels are few and bounded

    def without_content(self) -> "Slide":
        """The slide without its arrays."""
        view = self.job.view
        return replace(self, job=replace(self.job, view=View(view.title, view.lead, Box(()))))

    @property
    def view(self) -> View:
        """What the slide shows."""
        return self.job.view

    @property
    def title(self) -> str:
        """Its headline."""
        return self.job.view.title


def choose(config: Config, selection: str | Sequence[str] = OVERVIEW, block: int | None = None) -> tuple[Item, ...]:
    """The items of a named selection, or of a list of names.

    A name is a step, a tensor, a whole block ("blocks.3") or a pattern such as "blocks.*.attn.pattern". `block` is the
    block shown in full, by default 0. Raises ExportError that suggests the closest names.
    """
    steps = step_list(config)
    chosen = block or 0
    if not 0 <= chosen < config.n_layer:
        raise ExportError(f"There is no block {chosen}; the model's blocks go from 0 to {config.n_layer - 1}.")
    if not isinstance(selection, str):
        if not selection:
            raise ExportError("No step is chosen; choose at least one.")
        return tuple(item for name in selection for item in _named(name, config))
    if selection == ALL:
        return tuple(Item(s) for s in steps)
    if selection == BLOCK:
        return tuple(Item(s) for s in steps if s.layer == chosen)
    if selection != OVERVIEW:
        raise ExportError(f"There is no selection {selection[:40]!r}; choose one of {', '.join(SELECTIONS)}.")
    last = {s.layer: s for s in steps if s.layer is not None}
    found = [Item(s) for s in steps if s.spec.part == IN]
    for layer in range(config.n_layer):
        found += [Item(s) for s in steps if s.layer == layer] if layer == chosen else [Item(last[layer], True)]
    return (*found, *(Item(s) for s in steps if s.spec.part == OUT))


def _named(name: str, config: Config) -> list[Item]:
    """The items of one name of a list."""
    steps = step_list(config)
    blocks = {f"blocks.{s.layer}": Item(s, True) for s in steps if s.layer is not None}
    if any(c in name for c in "*?["):
        found = [Item(s) for s in steps if fnmatchcase(s.key, name)]
        found = found or [item for key, item in blocks.items() if fnmatchcase(key, name)]
        if not found:
            raise ExportError(f"No step's name is like {name[:80]!r}; try blocks.*.attn.pattern or blocks.0.*.")
        return found
    if name in blocks:
        return [blocks[name]]
    if name.startswith("blocks.") and name.count(".") == 1:
        near = get_close_matches(name, blocks, 2, 0.5)
        raise ExportError(f"There is no block {name[:80]!r} in this model; did you mean {' or '.join(near)}?")
    return [Item(find_step(name, config))]


def slides(
    scene: Scene,
    items: Sequence[Item],
    *,
    model: Model | None = None,
    captions: bool = True,
    language: str = ENGLISH,
) -> Iterator[Slide]:
    """Each item of the walk as a slide, created on demand; `model` computes what workspaces need.

    `language` applies to titles, leads, labels and captions; the explanations in the notes stay English.
    """
    for number, item in enumerate(items, 1):
        state = at_step(replace(scene.state, workspace=WALK), item.step)
        here = make_moment(scene.name, scene.checkpoint, scene.tokenizer, scene.passes, state, scene)
        if model is not None:
            here = completed(here, partial(wants_of, step=item.step), model)
        yield _in_language(_slide(here, item, number, captions=captions), language)


def _slide(scene: Scene, item: Item, number: int, *, captions: bool) -> Slide:
    step, total, part = item.step, len(step_list(scene.config)), _part(item.step, scene.config)
    if item.whole:
        view = compared(
            scene,
            lambda own: View(headed(Phrase("Block {1}", step.layer), block.TITLE), block.LEAD, block.whole_block(own)),
        )
        words = caption(scene, step)
        job = Job(view, words, f"{view.title}. {view.lead} {words}")
        first = step.index - sum(s.layer == step.layer for s in step_list(scene.config)) + 1
        place = joined(" · ", (part, Phrase("steps {1} to {2} of {3}", first + 1, step.index + 1, total)))
        said = notes(scene, step, view, (block.EXPLAIN, block.FORMULA))
    else:
        view = build_view(scene, step)
        alone = not mode_of(as_compared(scene, step)).parts  # three pictures side by side are legible already
        if step.spec.part == BESIDE and alone:
            view = replace(view, content=pictures(step, view))
        words = caption(scene, step)
        job = Job(view, words, described(view, words) if step.spec.part == BESIDE else alt_text(scene, step))
        at = Phrase("step {1} of {2}", step.index + 1, total)
        place = part if step.spec.part == BESIDE else joined(" · ", (part, at))
        text = text_of(scene, step)
        said = notes(scene, step, view, (text.explain, text.formula))
    job = job if captions else replace(job, caption="")
    large = step.spec.part == BESIDE
    lead = first_sentence(view.lead) if large else view.lead
    return Slide(item.key, number, part, place, (step.index + 1) / total, job, lead, said, large=large)


def _in_language(slide: Slide, language: str) -> Slide:
    if language == ENGLISH:
        return slide
    say = translator(language)
    job = in_language(slide.job, language)
    notes = slide.notes.replace(slide.job.view.lead, job.view.lead, 1)
    lead = say(slide.lead) if slide.large else job.view.lead
    return replace(
        slide, language=language, job=job, part=say(slide.part), place=say(slide.place), lead=lead, notes=notes
    )


def _part(step: Step, config: Config) -> str:
    if step.spec.part == BESIDE:
        return step.text.name
    if step.layer is None:
        return Phrase("Input") if step.spec.part == IN else Phrase("Output")
    # Counted from 0 as everywhere else: "block 3 of 6" would not say whether blocks count from 0 or 1.
    if config.n_layer == 1:
        return Phrase("Block {1}", step.layer)
    return Phrase("Block {1} of 0–{2}", step.layer, config.n_layer - 1)
