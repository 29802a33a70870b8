"""What a figure can show, by name: a step, a workspace, all heads of a block, a weight, a number opened, the census."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from desktop_app.core.caption import caption
from desktop_app.core.comparing.compare import main_panel
from desktop_app.core.model import Model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import view_of
from desktop_app.core.opening.opened import wants_of as opened_wants
from desktop_app.core.opening.view import PROBABILITY
from desktop_app.core.panels import MultiplesPanel, View, column, moved, panels_of
from desktop_app.core.places import Step
from desktop_app.core.products import completed
from desktop_app.core.scene import Scene
from desktop_app.core.steps import build_view, find_step, step_list, workspaces
from desktop_app.core.steps import wants_of as place_wants
from desktop_app.core.views.census import census_view, rank_panel
from desktop_app.core.views.weights import Part, find_part, has_heads, weight_names, weight_view
from desktop_app.core.want import Want
from desktop_app.figures.excerpt import Excerpt, cut, panel_called, side_by_side, unmarked, within
from desktop_app.figures.export import Job, described, job_of, make_job
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.names import answer
from desktop_app.gpt2.phrase import Phrase

_CELL = re.compile(r"\s*([\w.]+)\s*\[\s*(\d{1,9}(?:\s*,\s*\d{1,9}){0,3})\s*\]\s*", re.ASCII)
_PART_OF_EDIT = re.compile(r"\.(before|keep|put)$")


@dataclass(frozen=True)
class Subject:
    """What is to be drawn. `step` is the step that is shown, or that an opened number belongs to."""

    route: "Route"
    step: Step
    part: Part | None = None
    cell: Cell | None = None

    @property
    def needs_prompt(self) -> bool:
        """Whether the subject needs a text; otherwise it only needs the model."""
        return self.route.of_text


def find_subject(name: str, config: Config, *, layer: int | None = None, head: int | None = None) -> Subject:
    """The subject with a certain name.

    It is a step or tensor (`blocks.2.attn.pattern`, or `pattern` with a layer), `overview:` with one of the four grids,
    `weights:` with a weight, `census`, `check`, or a workspace, with the prefix `workspace:` if a step of the block has
    the same name. Raises ExportError that suggests the closest names, and ModelError for a head that does not exist.
    """
    if name in _NAMED:
        return _NAMED[name]("", config, layer, head)
    kind, colon, rest = name.partition(":")
    if colon and kind in _PREFIXED:
        return _PREFIXED[kind](rest, config, layer, head)
    if name in weight_names(config):
        return _weights(name, config, layer, head)
    return Subject(STEP, _step(name, layer, config))


def _census(_rest: str, config: Config, _layer: int | None, _head: int | None) -> Subject:
    return Subject(CENSUS, step_list(config)[0])


def _overview(rest: str, config: Config, layer: int | None, _head: int | None) -> Subject:
    step = _step(rest or "pattern", 0 if layer is None and not rest else layer, config)
    if not step.spec.grids:
        raise ExportError(f"{step.key} has no grid of every head; scores, scaled, masked and pattern have.")
    return Subject(OVERVIEW, step)


def _workspace(rest: str, config: Config, _layer: int | None, _head: int | None) -> Subject:
    found = {w.key: w for w in workspaces(config)}.get(rest)
    if found is None:
        raise ExportError(f"There is no workspace {rest[:40]!r}; there are {', '.join(_tabs(config))}.")
    return Subject(STEP, found)


def _weights(rest: str, config: Config, layer: int | None, head: int | None) -> Subject:
    return Subject(WEIGHTS, step_list(config)[0], _part(rest, config, layer, head))


_Finder = Callable[[str, Config, int | None, int | None], Subject]
_NAMED: dict[str, _Finder] = {"census": _census, "overview": _overview}
"""Names that stand for something other than a step, a tensor or a weight."""
_PREFIXED: dict[str, _Finder] = {"overview": _overview, "workspace": _workspace, "weights": _weights}
"""Prefix before a colon -> the function that finds the subject named by the rest."""


def _tabs(config: Config) -> list[str]:
    return [place.key for place in workspaces(config) if place.spec.keys]


def find_cell(text: str, config: Config, position: int | None = None) -> Subject:
    """The subject of a cell such as "blocks.2.attn.pattern[3, 5, 1]" or "probability[262]" (a token's probability).

    Cells of workspaces have their names from the window, "lens.kl[4, 2]". Raises ExportError.
    """
    match = _CELL.fullmatch(text)
    if match is None:
        raise ExportError(f"{text[:60]!r} does not name a number; write it like 'blocks.0.attn.pattern[3,5,1]'.")
    name, index = match[1], tuple(int(i) for i in match[2].split(","))
    steps = step_list(config)
    if name == PROBABILITY:
        if len(index) != 1 or index[0] >= config.vocab_size:
            raise ExportError(f"{text[:60]!r}: a probability has the id of a token, from 0 to {config.vocab_size - 1}.")
        # The state determines after which position the probability is.
        cell = Cell(PROBABILITY, (position or 0, *index))
        return Subject(CELL, next(s for s in steps if s.key == "probabilities"), cell=cell)
    if name in weight_names(config) or name.endswith(("W_QKV", "b_QKV")):
        return Subject(CELL, steps[0], cell=Cell(name, index))
    place = next((w for w in workspaces(config) if w.spec.open and w.key == name.partition(".")[0]), None)
    if place is not None:
        return Subject(CELL, place, cell=Cell(name, index))
    return Subject(CELL, find_step(_PART_OF_EDIT.sub("", name), config), cell=Cell(name, index))


def _step(name: str, layer: int | None, config: Config) -> Step:
    """The step with that name; if a layer is given, `pattern` suffices. Raises ExportError."""
    if layer is not None:
        own = [step for step in step_list(config) if step.layer == layer]
        full = [name, f"blocks.{layer}.{name}", f"blocks.{layer}.attn.{name}"]
        for step in own:
            if step.spec.op == name or step.key in full or not set(full).isdisjoint(step.tensors):
                return step
    try:
        step = find_step(name, config)
    except ExportError as reason:
        if layer is not None and (theirs := answer((name, layer), config)):
            raise ExportError(f"There is no step {name[:80]!r} in this model; {theirs}") from reason
        near = get_close_matches(name, _NAMED, 1, 0.7)
        raise ExportError(f"There is no step {name[:80]!r}; did you mean {near[0]}?") if near else reason from reason
    if None not in (layer, step.layer) and step.layer != layer:
        raise ExportError(f"{name} is in block {step.layer}, not in block {layer}; leave --layer out.")
    return step


def _part(name: str, config: Config, layer: int | None, head: int | None) -> Part:
    full = f"blocks.{layer}.{name}"
    names = weight_names(config)
    for candidate in (name, full, full.replace(f".{name}", f".attn.{name}"), full.replace(f".{name}", f".mlp.{name}")):
        if candidate in names:
            return find_part(config, candidate, head if has_heads(candidate) else None)
    near = get_close_matches(name, names, 3, 0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "try blocks.0.attn.W_Q or embed.W_E."
    raise ExportError(f"This model has no weight {name[:80]!r}; {hint}")


def wants_of(subject: Subject, scene: Scene) -> tuple[Want, ...]:
    """The products that the subject's figure reads."""
    if subject.cell is not None:
        return opened_wants(scene, subject.cell)
    return place_wants(scene, subject.step) if subject.route is STEP else ()


def subject_job(subject: Subject, model: Model, scene: Scene | None) -> Job:
    """The figure of a subject; `scene` may be None only if the subject needs no prompt.

    Raises ModelError for a number that does not exist.
    """
    return subject.route.job(subject, model, scene)


def _census_job(_subject: Subject, model: Model, _scene: Scene | None) -> Job:
    return job_of(census_view(model.name, model.config, rank_panel(model.checkpoint, 0, 0)), model.name)


def _weights_job(subject: Subject, model: Model, _scene: Scene | None) -> Job:
    assert subject.part is not None
    return job_of(weight_view(model.checkpoint, subject.part, model.tokenizer), model.name)


def _step_job(subject: Subject, model: Model, scene: Scene | None) -> Job:
    assert scene is not None
    return make_job(completed(scene, lambda s: wants_of(subject, s), model), subject.step)


def _overview_job(subject: Subject, _model: Model, scene: Scene | None) -> Job:
    assert scene is not None
    return job_of(overview(scene, subject.step), caption(scene, subject.step))


def _cell_job(subject: Subject, model: Model, scene: Scene | None) -> Job:
    assert scene is not None
    assert subject.cell is not None
    view = view_of(completed(scene, lambda s: wants_of(subject, s), model), subject.cell)
    return job_of(view, caption(scene, subject.step, cell=subject.cell))


@dataclass(frozen=True)
class Route:
    """How one kind of subject becomes a figure.

    `of_text`: whether it needs a text, not only the model. `heads`: whether it has a main picture for each head;
    `heads_job` can show these side by side.
    """

    job: Callable[[Subject, Model, Scene | None], Job]
    of_text: bool = True
    heads: bool = False


CENSUS = Route(_census_job, of_text=False)
WEIGHTS = Route(_weights_job, of_text=False)
STEP = Route(_step_job, heads=True)
OVERVIEW = Route(_overview_job, heads=True)
CELL = Route(_cell_job)


def heads_job(subject: Subject, model: Model, scene: Scene, part: Excerpt) -> Job:
    """The main pictures of several heads side by side, at the step of the subject."""
    scenes = {head: replace(scene, state=replace(scene.state, head=head)) for head in part.heads}
    views = {
        head: build_view(completed(own, lambda s: place_wants(s, subject.step), model), subject.step)
        for head, own in scenes.items()
    }
    first = views[part.heads[0]]
    layer = scene.layer if subject.step.layer is None else subject.step.layer
    title = moved(first.title, Phrase("Block {1} · Heads {2}", layer, ", ".join(map(str, part.heads))))
    fixed = scene.state.view.limits == "layer"
    view = View(title, first.lead, side_by_side(views, subject.step.tensors, fixed=fixed), first.badge)
    return job_of(view, caption(scene, subject.step))


def excerpt_job(job: Job, part: Excerpt, step: Step, scene: Scene | None) -> Job:
    """The figure of a part of the view; its caption names tokens and heads.

    Raises ExportError for a part that is missing.
    """
    view, words = job.view, job.caption
    if part.panel and not part.heads:
        view = replace(view, content=column(main_panel(view, step.tensors)))
    if (part.panel or part.heads) and scene is not None and scene.state.token is None:
        view = unmarked(view)
    if part.only:
        view = replace(view, content=column(panel_called(view, part.only)))
    tokens = None if scene is None else within(part.tokens, len(scene.trace))
    if scene is not None:
        words = caption(scene, step, part.heads, tokens) if part.heads or tokens else words
        if tokens is not None:
            fixed = scene.state.view.limits == "layer"
            view = cut(view, tokens, scene.config, scene.labels, fixed=fixed)
    if view is job.view and words == job.caption:
        return job
    return Job(view, words, described(view, words))


def overview(scene: Scene, step: Step) -> View:
    """The grids of all heads of a block at one stage, as large as the page allows."""
    view = build_view(replace(scene, state=replace(scene.state, layer=step.layer or 0)), step)
    (panel,) = {id(p): p for p in panels_of(view.content) if isinstance(p, MultiplesPanel)}.values()
    return View(
        moved(view.title, Phrase("Block {1} · All heads", step.layer)),
        view.lead,
        column(replace(panel, title="", note="")),
        view.badge,
    )
