"""The same view at the snapshots of a training run: a figure of each, for clips, or some of them side by side.

All show the same tokens at the same place, with their colours on one scale.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from desktop_app.core.caption import caption
from desktop_app.core.comparing.beside import passes_of
from desktop_app.core.comparing.compare import main_panel
from desktop_app.core.levels import Levels
from desktop_app.core.library.catalogue import after_steps
from desktop_app.core.library.training import Snapshot, Training
from desktop_app.core.model import open_model
from desktop_app.core.panels import AnyPanel, Box, GridPanel, View, column, headed, row
from desktop_app.core.passes import Asked
from desktop_app.core.places import Step
from desktop_app.core.products import completed
from desktop_app.core.scene import Scene, make_moment
from desktop_app.core.session.state import State
from desktop_app.core.steps import build_view, find_step, wants_of
from desktop_app.core.views.limits import COLOURED
from desktop_app.figures.export import Job, job_of
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.phrase import Capital, Phrase
from desktop_app.gpt2.session import Stop

MOST_BESIDE = 4
"""Snapshots side by side in one figure, at most."""


@dataclass(frozen=True)
class Shown:
    """The view of a step at a snapshot, and its caption; `together` is the caption if other snapshots are beside it."""

    snapshot: Snapshot
    step: Step
    view: View
    caption: str
    together: str


def views_of(
    training: Training,
    snapshots: Sequence[Snapshot],
    name: str,
    asked: Asked,
    state: State,
    stop: Stop | None = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> list[Shown]:
    """The view of the step or workspace `name` at each of the snapshots, one of which is open at a time.

    Raises LogitscopeError where a snapshot cannot be opened or has no such step, Cancelled if stopped.
    """
    found = []
    for n, snapshot in enumerate(snapshots):
        scene, step = _moment(snapshot, name, asked, state, stop or Stop())
        of_all = caption(replace(scene, name=training.name), step)
        found.append(Shown(snapshot, step, build_view(scene, step), caption(scene, step), of_all))
        progress((n + 1) / len(snapshots))
    boxes = _on_one_scale([shown.view.content for shown in found])
    return [replace(shown, view=replace(shown.view, content=box)) for shown, box in zip(found, boxes, strict=True)]


def _moment(snapshot: Snapshot, name: str, asked: Asked, state: State, stop: Stop) -> tuple[Scene, Step]:
    stop.check()
    model = open_model(snapshot.folder, stop=stop, int8=state.int8, text=False)
    step = find_step(name, model.config)
    model.engine.check_ids(asked.ids)
    scene = make_moment(
        model.name, model.checkpoint, model.tokenizer, passes_of(model, asked, text=False, stop=stop), state
    )
    return completed(scene, lambda shown: wants_of(shown, step), model, stop), step


def frames_of(views: Sequence[Shown], *, captions: bool = True) -> list[Job]:
    """A figure of each view, headed by the progress of the training: the frames of a clip."""
    return [job_of(_headed(shown), shown.caption if captions else "") for shown in views]


def _headed(shown: Shown) -> View:
    return replace(shown.view, title=headed(Capital(after_steps(shown.snapshot.step)), shown.view.title))


def beside_of(views: Sequence[Shown], *, captions: bool = True) -> Job:
    """One figure: the main pictures of a few views side by side, each under its number of training steps.

    Raises ExportError for more of them than fit.
    """
    if len(views) > MOST_BESIDE:
        raise ExportError(f"{len(views)} snapshots do not fit side by side; name {MOST_BESIDE} at most.")
    panels: list[AnyPanel] = []
    for shown in views:
        panel = main_panel(shown.view, shown.step.tensors)
        panel = replace(panel, title=Capital(after_steps(shown.snapshot.step)), note="")
        panels.append(replace(panel, beside=True) if isinstance(panel, GridPanel) else panel)
    last = views[-1]
    return job_of(replace(last.view, content=column(row(*panels))), last.together if captions else "")


def some_of(training: Training, steps: Sequence[int]) -> tuple[Snapshot, ...]:
    """The snapshots after these numbers of steps, in order. Raises ModelError for one that is missing."""
    folders = {training.named(step) for step in steps}
    return tuple(snapshot for snapshot in training.snapshots if snapshot.folder in folders)


def ends_of(training: Training, number: int | None = None) -> tuple[Snapshot, ...]:
    """The first snapshot, the last, and one between them: the one with index `number`, by default the middle one."""
    last = len(training.snapshots) - 1
    return tuple(training.snapshots[n] for n in sorted({0, last // 2 if number is None else number, last}))


def _on_one_scale(boxes: Sequence[Box]) -> list[Box]:
    """The boxes, which have the same panels, with one colour scale for the panels at the same place in all of them."""
    if len({len(box.children) for box in boxes}) != 1:
        return list(boxes)
    columns = [_alike(children) for children in zip(*(box.children for box in boxes), strict=True)]
    wide = [box.wide for box in boxes if box.wide is not None]
    wider: Sequence[Box | None] = _on_one_scale(wide) if len(wide) == len(boxes) else [box.wide for box in boxes]
    return [
        replace(box, children=tuple(children[n] for children in columns), wide=wider[n]) for n, box in enumerate(boxes)
    ]


def _alike(children: Sequence[AnyPanel | Box]) -> Sequence[AnyPanel | Box]:
    inner = [child for child in children if isinstance(child, Box)]
    if len(inner) == len(children):
        return _on_one_scale(inner)
    coloured = [child for child in children if isinstance(child, COLOURED)]
    if len(coloured) < len(children) or len({_scale(panel.levels) for panel in coloured}) > 1:
        return children
    low, high = min(p.levels.low for p in coloured), max(p.levels.high for p in coloured)
    if all((panel.levels.low, panel.levels.high) == (low, high) for panel in coloured):
        return children
    rule = Phrase("all snapshots")
    return [replace(p, levels=replace(p.levels, low=low, high=high, rule=rule, apart=0)) for p in coloured]


def _scale(levels: Levels) -> tuple[object, ...]:
    return levels.diverging, levels.power, levels.decades, levels.turned
