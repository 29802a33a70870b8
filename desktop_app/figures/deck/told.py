"""A story as slides: a title, a slide for each stop (two if it asks a question), and a closing slide.

Titles, sentences and their language come from the story. If a stop's claims do not hold on the given model, the notes
of its slide say so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from desktop_app.core.caption import caption
from desktop_app.core.lessons.claims import Always
from desktop_app.core.lessons.cover import HIDDEN, covered
from desktop_app.core.lessons.questions import CHOICE, LOOK, NEXT, truth_of
from desktop_app.core.lessons.stops import Stop, claimed_state
from desktop_app.core.lessons.stories import Story
from desktop_app.core.levels import diverging, number, unit
from desktop_app.core.model import Model
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    Hue,
    Line,
    MapPanel,
    ProsePanel,
    ShadedPanel,
    Source,
    Strip,
    StripsPanel,
    TextPanel,
    View,
    column,
    panels_of,
    row,
)
from desktop_app.core.places import BESIDE, Step
from desktop_app.core.products import completed
from desktop_app.core.program.bundle import ENGLISH
from desktop_app.core.runs import asked_of, compute_passes
from desktop_app.core.scene import Scene, make_moment
from desktop_app.core.steps import build_view, current_place, text_of, wants_of
from desktop_app.core.views.common import token_name
from desktop_app.figures.deck import lecture_output
from desktop_app.figures.deck.lecture_material import BARS, Material, arcs, first_shown, strongest_keys, words_of
from desktop_app.figures.deck.notes import plain
from desktop_app.figures.deck.reduced import bounded, pictures
from desktop_app.figures.deck.walk import CLOSING, STEP, TITLE, Ask, Slide
from desktop_app.figures.export import Job, described, in_language, job_of
from desktop_app.gpt2.errors import ExportError, LogitscopeError
from desktop_app.gpt2.phrase import Phrase

Open = Callable[[str], Model]
"""Opens the model that a stop names. Raises LogitscopeError."""

_MOST_LINES = 14


@dataclass(frozen=True)
class Told:
    """One stop computed on its model: what it shows, and sentences about its claims that do not hold there."""

    stop: Stop
    scene: Scene
    model: Model
    step: Step
    untrue: tuple[str, ...]
    language: str = ENGLISH


def tell(stop: Stop, where: str, model: Model, language: str = ENGLISH) -> Told:
    """What a stop shows on a model. Raises LogitscopeError that names the stop."""
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
    return Told(stop, scene, model, step, untrue, language)


def slides(story: Story, open_model: Open, *, language: str = ENGLISH, captions: bool = True) -> Iterator[Slide]:
    """Every slide of a story, made one by one on request. Raises LogitscopeError if a stop cannot be shown."""
    return (slide for slide, _ in leaves(story, open_model, language=language, captions=captions))


def leaves(
    story: Story, open_model: Open, *, language: str = ENGLISH, captions: bool = True
) -> Iterator[tuple[Slide, Told | None]]:
    """Every slide of a story with its stop; the first and the last slide have none."""
    words, count = words_of(language), count_of(story)
    end, titles, number = words["parts"]["end"], dict[str, int](), 0
    before = set[object]()

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
        told = tell(stop, f"{story.title}, stop {n}", open_model(stop.model), language)
        at = () if told.step.spec.part == BESIDE else (told.scene.layer, told.scene.head, told.scene.token)
        what = told.step.key, told.scene.trace.run, at
        view = another(told) if what in before else shown(told)
        before.add(what)
        foot = caption(told.scene, told.step)
        job = in_language(job_of(view, foot), language)
        if stop.question is not None:
            hint = stop.question.nudge and f"\n\n{stop.question.nudge}"
            answer = truth_of(stop.question, told.model, told.scene)[1]
            ask = View("", "", _asked(told, covered(job.view)))
            asked = made(stop.question.ask, "", ask, f"{answer}{hint}", caption=job.caption)
            yield replace(asked, ask=_ask(told, answer)), told
        point = words["words"]["point_at"].format(what=stop.look_for) if stop.look_for else ""
        untrue = [f"Not so here: {said}." for said in told.untrue]
        explained = plain(text_of(told.scene, told.step).explain)
        notes = "\n\n".join(part for part in (point, stop.say, stop.notes, *untrue, explained) if part)
        slide = made(stop.title, stop.say, job.view, notes, caption=job.caption)
        yield replace(slide, say=" ".join(filter(None, (*untrue, explained)))), told
    lines = tuple(stop.title for stop in story.stops)[:_MOST_LINES]
    listed = column(TextPanel(lines=tuple(Line(f"{n}", text) for n, text in enumerate(lines, 1))))
    last = made(
        words["words"]["summary"].format(title=story.title), story.say, View("", "", listed), story.say, CLOSING
    )
    yield replace(last, lines=lines), None


def count_of(story: Story) -> int:
    """The number of slides of a story."""
    return 2 + len(story.stops) + sum(stop.question is not None for stop in story.stops)


def shown(told: Told) -> View:
    """The part of a stop's view that its slide shows: one or two pictures, so that they can be large."""
    view = build_view(told.scene, told.step)
    own = _OWN.get(told.step.spec.op)
    content = own(told) if own is not None else None
    return replace(view, content=content or pictures(told.step, view))


def another(told: Told) -> View:
    """What a second slide of the same view shows: the view's curve or, if it has none, the same as the first slide."""
    view = build_view(told.scene, told.step)
    curves = [p for p in panels_of(view.content) if isinstance(p, CurvePanel)]
    return replace(view, content=column(bounded(curves[0]))) if curves else shown(told)


def _pattern(told: Told) -> Box:
    """A head's attention pattern: from every token if the stop is about all tokens, else from the selected one."""
    scene = told.scene
    if any(isinstance(claim.statement, Always) for claim in told.stop.claims):
        return column(arcs(scene, scene.layer, scene.head))
    start, end = first_shown(scene.labels, scene.token), scene.token + 1
    row = scene.trace.read(told.step.tensors[0], head=scene.head, row=scene.token)[start:end].astype(float)
    text = ShadedPanel(pieces=scene.labels[start:end], values=row, levels=unit(), selected=scene.token - start)
    return column(text, strongest_keys(scene, scene.layer, scene.head))


def _scores(told: Told) -> Box:
    """A row of scores over the text, and those with the largest magnitude; masked scores are left out."""
    scene, name = told.scene, told.step.tensors[0]
    row = np.array(scene.trace.read(name, head=scene.head, row=scene.token), float)
    row[~np.isfinite(row)] = np.nan
    start = first_shown(scene.labels, scene.token)
    text = ShadedPanel(
        pieces=scene.labels[start:], values=row[start:], levels=diverging(row), selected=scene.token - start
    )
    order = np.argsort(-np.where(np.isnan(row), -1, np.abs(row)), kind="stable")[: BARS - 2].tolist()
    bars = tuple(
        Bar(
            f"{scene.tokenizer.quoted(scene.trace.ids[n])} {n}",
            float(row[n]),
            number(float(row[n])),
            source=(name, (scene.head, scene.token, n)),
        )
        for n in order
        if not np.isnan(row[n])
    )
    return column(text, BarsPanel(bars=bars, hue=Hue.ATTENTION))


def _vectors(told: Told) -> Box:
    """The query, key and value of the selected token in the selected head."""
    scene = told.scene
    strips = tuple(
        Strip(Phrase(name), scene.trace.read(source.name, head=scene.head, row=scene.token), source, hue)
        for letter, hue, name in (("q", Hue.QUERY, "query"), ("k", Hue.KEY, "key"), ("v", Hue.VALUE, "value"))
        for source in [Source(scene.block(f"attn.{letter}"), (scene.head, scene.token, "col"))]
    )
    return column(
        StripsPanel(
            title=token_name(scene, scene.token),
            note=Phrase("head {1}", scene.head),
            strips=strips,
            levels=diverging(*(strip.values for strip in strips)),
            wrap=scene.config.d_head,
        )
    )


def _pieces(told: Told) -> Box:
    """The selected token's query, split into the parts of its heads."""
    scene, name = told.scene, told.scene.block("attn.q")
    values = np.asarray(scene.trace.read(name, row=scene.token), float)
    return column(
        MapPanel(
            title=Phrase("Every head's piece for {1}", token_name(scene, scene.token)),
            note=Phrase("query"),
            values=values,
            levels=diverging(values),
            row_labels=tuple(Phrase("head {1}", n) for n in range(len(values))),
            source=Source(name, ("row", scene.token, "col")),
            hue=Hue.QUERY,
            selected=scene.head,
            picks=None,
        )
    )


def _text_and_counts(told: Told) -> Box:
    """The text, and its number of characters, bytes and tokens."""
    return column(*list(panels_of(build_view(told.scene, told.step).content))[:2])


def _bends(told: Told) -> Box | None:
    """Of a training's curves, those that bend at the same time: the in-context score and the best head's scores."""
    curves = [p for p in panels_of(build_view(told.scene, told.step).content) if isinstance(p, CurvePanel)]
    return row(*curves[1:3]) if len(curves) > 2 else None


def _softened(told: Told) -> Box | None:
    return None if told.scene.state.sampling.temperature == 1 else lecture_output.temperature(_material(told)).content


def _left_by_top_k(told: Told) -> Box | None:
    stages = told.scene.stages
    return lecture_output.cut_to(_material(told), stages.n_top_k, stages.probs_scaled, stages.probs_top_k)


def _left_by_top_p(told: Told) -> Box | None:
    stages = told.scene.stages
    return lecture_output.cut_to(_material(told), stages.n_kept, stages.probs_top_k, stages.final)


def _material(told: Told) -> Material:
    return Material(told.scene, told.model, told.language, None)


_OWN: dict[str, Callable[[Told], Box | None]] = {
    "text": _text_and_counts,
    "training": _bends,
    "qkv": _vectors,
    "heads": _pieces,
    "scores": _scores,
    "scaled": _scores,
    "masked": _scores,
    "pattern": _pattern,
    "temperature": _softened,
    "top_k": _left_by_top_k,
    "top_p": _left_by_top_p,
}
"""Step -> what its slide shows, if its view is too detailed for a slide, or makes its point only side by side."""


def _asked(told: Told, view: View) -> Box:
    """What is shown with a question: the text, with the choices if there are any, or with a gap for the next token."""
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
