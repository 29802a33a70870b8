"""A story as slides: a title, a slide for each stop (two if it asks a question), and a closing slide.

Titles and sentences, and their language, are the story's own. If a stop's claims do not hold on the given model,
its notes say so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from desktop_app.core.bundle import ENGLISH
from desktop_app.core.caption import caption
from desktop_app.core.claims import Always
from desktop_app.core.compare import main_panel
from desktop_app.core.cover import HIDDEN, covered
from desktop_app.core.levels import unit
from desktop_app.core.model import Model
from desktop_app.core.panels import (
    AnyPanel,
    BarsPanel,
    Box,
    CurvePanel,
    GridPanel,
    Line,
    ProsePanel,
    RulerPanel,
    ShadedPanel,
    TextPanel,
    TokensPanel,
    View,
    column,
    panels_of,
)
from desktop_app.core.places import BESIDE, Step
from desktop_app.core.products import completed
from desktop_app.core.questions import CHOICE, LOOK, NEXT, truth_of
from desktop_app.core.runs import asked_of, compute_passes
from desktop_app.core.scene import Scene, make_moment
from desktop_app.core.steps import build_view, current_place, wants_of
from desktop_app.core.stops import Stop, claimed_state
from desktop_app.core.stories import Story
from desktop_app.figures.deck.lecture_material import arcs, first_shown, strongest_keys, words_of
from desktop_app.figures.deck.notes import plain
from desktop_app.figures.deck.walk import CLOSING, STEP, TITLE, Ask, Slide
from desktop_app.figures.export import Job, described, in_language, job_of
from desktop_app.gpt2.errors import ExportError, LogitscopeError

Open = Callable[[str], Model]
"""Opens the model that a stop is about, by its name in the story. Raises LogitscopeError."""

_GRID, _BARS, _LINES, _MOST_LINES = 8, 9, 8, 14


@dataclass(frozen=True)
class Told:
    """One stop computed on its model: what it shows, and sentences about those of its claims that do not hold there."""

    stop: Stop
    scene: Scene
    model: Model
    step: Step
    untrue: tuple[str, ...]


def tell(stop: Stop, where: str, model: Model) -> Told:
    """Compute what a stop shows on a model. Raises LogitscopeError naming the stop."""
    try:
        state = claimed_state(stop)
        passes = compute_passes(model.engine, model.tokenizer, asked_of(state, model.tokenizer))
        scene = make_moment(model.name, model.checkpoint, model.tokenizer, passes, state)
        step = current_place(state, model.config)
        if step is None:
            raise ExportError(f"{model.name} has no {state.step}.")
        scene = completed(scene, lambda s: wants_of(s, step), model)
        untrue = tuple(found.said for claim in stop.claims if not (found := claim.check(model, state)).holds)
    except LogitscopeError as reason:
        raise ExportError(f"{where}: {reason}") from reason
    return Told(stop, scene, model, step, untrue)


def slides(story: Story, open_model: Open, *, language: str = ENGLISH, captions: bool = True) -> Iterator[Slide]:
    """Every slide of a story, created on demand. Raises LogitscopeError for a stop that cannot be shown."""
    return (slide for slide, _ in leaves(story, open_model, language=language, captions=captions))


def leaves(
    story: Story, open_model: Open, *, language: str = ENGLISH, captions: bool = True
) -> Iterator[tuple[Slide, Told | None]]:
    """Every slide of a story with its stop; the first and the last have none."""
    words, count = words_of(language), count_of(story)
    end, titles, number = words["parts"]["end"], dict[str, int](), 0

    def made(title: str, lead: str, view: View, notes: str, kind: str = STEP, caption: str = "") -> Slide:
        nonlocal number
        number += 1
        titles[title] = titles.get(title, 0) + 1
        own = title if titles[title] == 1 else f"{title} ({titles[title]})"
        view = replace(view, title=own, lead=lead)
        foot = caption if captions else ""
        place = story.title if kind == STEP else end
        job = Job(view, foot, described(view, foot))
        share = number / count
        return Slide(kind, number, place, place, share, job, lead, notes, kind, language=language, large=True)

    yield made(story.title, story.say, View("", "", column(ProsePanel(pieces=(story.say,)))), story.say, TITLE), None
    for n, stop in enumerate(story.stops, 1):
        told = tell(stop, f"{story.title}, stop {n}", open_model(stop.model))
        view = shown(told)
        foot = caption(told.scene, told.step)
        job = in_language(job_of(view, foot), language)
        if stop.question is not None:
            hint = stop.question.nudge and f"\n\n{stop.question.nudge}"
            answer = truth_of(stop.question, told.model, told.scene)[1]
            ask = View("", "", _asked(told, covered(job.view)))
            asked = made(stop.question.ask, stop.title, ask, f"{answer}{hint}", caption=job.caption)
            yield replace(asked, ask=_ask(told, answer)), told
        point = words["words"]["point_at"].format(what=stop.look_for) if stop.look_for else ""
        parts = [point, stop.say, stop.notes, *(f"Not so here: {said}." for said in told.untrue)]
        notes = "\n\n".join(part for part in (*parts, plain(told.step.text.explain)) if part)
        yield made(stop.title, stop.say, job.view, notes, caption=job.caption), told
    lines = tuple(stop.title for stop in story.stops)[:_MOST_LINES]
    listed = column(TextPanel(lines=tuple(Line(f"{n}", text) for n, text in enumerate(lines, 1))))
    last = made(story.title, story.say, View("", "", listed), story.say, CLOSING)
    yield replace(last, lines=lines), None


def count_of(story: Story) -> int:
    """How many slides there will be."""
    return 2 + len(story.stops) + sum(stop.question is not None for stop in story.stops)


def shown(told: Told) -> View:
    """What a slide shows of a stop: one or two pictures of its view, so that they can be large."""
    view = build_view(told.scene, told.step)
    if told.step.spec.op == "pattern":
        return replace(view, content=_pattern(told))
    return replace(view, content=column(*(_bounded(told, panel) for panel in _picked(told, view))))


def _pattern(told: Told) -> Box:
    """A head's attention pattern: from every token if the stop is about all of them, else from the selected one."""
    scene = told.scene
    if any(isinstance(claim.statement, Always) for claim in told.stop.claims):
        return column(arcs(scene, scene.layer, scene.head))
    start, end = first_shown(scene.labels, scene.token), scene.token + 1
    row = scene.trace.read(told.step.tensors[0], head=scene.head, row=scene.token)[start:end].astype(float)
    text = ShadedPanel(pieces=scene.labels[start:end], values=row, levels=unit(), selected=scene.token - start)
    return column(text, strongest_keys(scene, scene.layer, scene.head))


_CHARTS = (TokensPanel, RulerPanel, BarsPanel, CurvePanel, ProsePanel)
"""Panels that can be read from the back row, in order of preference; maps of vectors cannot."""


def _picked(told: Told, view: View) -> list[AnyPanel]:
    main = main_panel(view, told.step.tensors)
    if told.step.spec.part == BESIDE or isinstance(main, GridPanel):
        return [main]
    every = list({id(p): p for p in panels_of(view.content)}.values())
    charts: list[AnyPanel] = [panel for kind in _CHARTS for panel in every if isinstance(panel, kind)]
    return charts[:2] if isinstance(charts[0] if charts else None, TokensPanel | RulerPanel) else charts[:1] or [main]


def _bounded(told: Told, panel: AnyPanel) -> AnyPanel:
    """The panel reduced to what a slide has room for."""
    scene = told.scene
    if isinstance(panel, GridPanel) and len(panel.values) > _GRID:
        # A grid of so many tokens has no room for legible text; a row of it, the selected token's, does.
        row = np.array(scene.trace.read(told.step.tensors[0], head=scene.head, row=scene.token), float)
        row[~np.isfinite(row)] = np.nan
        panel = ShadedPanel(panel.title, pieces=scene.labels, values=row, levels=panel.levels, selected=scene.token)
    elif isinstance(panel, BarsPanel):
        panel = _longest(panel)
    elif isinstance(panel, TextPanel):
        panel = replace(panel, lines=panel.lines[:_LINES])
    return replace(panel, hint="")


def _longest(panel: BarsPanel) -> BarsPanel:
    """The panel with only its longest bars, in their order; its note about the others no longer applies."""
    if len(panel.bars) <= _BARS:
        return panel
    order = sorted(range(len(panel.bars)), key=lambda n: -abs(panel.bars[n].value - panel.base))
    chosen = sorted(order[:_BARS])
    cuts = tuple(cut for cut in panel.cuts if cut[0] < _BARS) if chosen == list(range(_BARS)) else ()
    return replace(panel, note="", bars=tuple(panel.bars[n] for n in chosen), cuts=cuts)


def _asked(told: Told, view: View) -> Box:
    """What is shown with a question: the text if the answer is one of its tokens, else the view with hidden numbers."""
    question, scene = told.stop.question, told.scene
    assert question is not None
    if question.kind == CHOICE:
        lines = tuple(Line(f"{n})", choice.say) for n, choice in zip("abcdef", question.choices, strict=False))
        return column(_text(scene.labels, scene.token), TextPanel(lines=lines))
    if question.kind == NEXT:
        pieces = (*scene.labels[: scene.position + 1], f" {HIDDEN} ")
        return column(_text(pieces, len(pieces) - 1))
    if question.kind == LOOK:
        return column(_text(scene.labels[: scene.token + 1], scene.token))
    return view.content


def _ask(told: Told, truth: str) -> Ask:
    """The question in a form that can be answered on the page."""
    question, scene = told.stop.question, told.scene
    assert question is not None
    is_right = truth_of(question, told.model, scene)[0]
    options: tuple[str, ...] = ()
    if question.kind == LOOK:
        options = scene.labels[: scene.token + 1]
    elif question.kind == CHOICE:
        options = tuple(choice.say for choice in question.choices)
    right = tuple(n for n in range(len(options)) if is_right(n))
    text = scene.tokenizer.decode([int(scene.ranked.order[0])]) if question.kind == NEXT else ""
    return Ask(question.kind, options, right, text, question.nudge, truth)


def _text(pieces: tuple[str, ...], selected: int) -> ShadedPanel:
    return ShadedPanel(pieces=pieces, values=np.full(len(pieces), np.nan), levels=unit(), selected=selected)
