"""The same view at each snapshot of a training run, for clips; tokens and place in the pass stay the same."""

from dataclasses import replace

from desktop_app.core.caption import caption
from desktop_app.core.library.catalogue import after_steps
from desktop_app.core.library.training import Training
from desktop_app.core.model import open_model
from desktop_app.core.panels import headed
from desktop_app.core.products import completed
from desktop_app.core.scene import make_scene
from desktop_app.core.state import State
from desktop_app.core.steps import build_view, find_step, wants_of
from desktop_app.figures.export import Job, job_of
from desktop_app.gpt2.phrase import Capital


def views_of(training: Training, name: str, ids: tuple[int, ...], state: State, *, captions: bool = True) -> list[Job]:
    """A figure of the step or workspace `name` for each snapshot, headed by the progress of the training.

    Raises LogitscopeError where a snapshot cannot be opened or has no such step.
    """
    made = []
    for snapshot in training.snapshots:
        model = open_model(snapshot.folder, int8=state.int8, text=False)
        step = find_step(name, model.config)
        model.engine.check_ids(ids)
        scene = make_scene(model.name, model.checkpoint, model.tokenizer, model.engine.trace(ids), state)
        scene = completed(scene, lambda shown, step=step: wants_of(shown, step), model)  # type: ignore[misc] # bound now
        view = build_view(scene, step)
        view = replace(view, title=headed(Capital(after_steps(snapshot.step)), view.title))
        made.append(job_of(view, caption(scene, step) if captions else ""))
    return made
