"""What a pass answers with: its scene and the view of the place one is at, made before the window takes them over."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from desktop_app.core.model import Model
from desktop_app.core.panels import View
from desktop_app.core.places import Step
from desktop_app.core.products import completed
from desktop_app.core.scene import Scene, make_scene
from desktop_app.core.state import State
from desktop_app.core.steps import build_view, current_place, view_key
from desktop_app.gpt2.errors import Cancelled
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A pass of a model, its scene and one view of that, whose numbers may take time to derive."""

    model: Model
    trace: Trace
    scene: Scene | None = None
    view: View | None = None
    key: tuple[object, ...] = ()

    def view_of(self, scene: Scene, step: Step) -> View:
        """The view of a step: the prepared one if it is that, else a new one."""
        if self.view is not None and self.key == view_key(scene, step):
            return self.view
        return build_view(scene, step)


def pass_of(model: Model, ids: tuple[int, ...], reuse: Trace | None, state: State) -> Callable[[Stop], Prepared]:
    """A job that computes the pass over `ids` and prepares it for a window in `state`."""

    def work(stop: Stop) -> Prepared:
        trace = model.engine.trace(ids, reuse=reuse, stop=stop)
        stop.check()
        try:
            return _prepared(model, trace, state, stop)
        except Cancelled:
            raise
        except Exception:
            # The pass is good: whoever shows it will try the same again, and tell.
            log.exception("A pass was computed, and its view could not be prepared.")
            return Prepared(model, trace)

    return work


def _prepared(model: Model, trace: Trace, state: State, stop: Stop) -> Prepared:
    scene = make_scene(model.name, model.checkpoint, model.tokenizer, trace, state)
    place = current_place(state, model.config)
    if place is None:
        return Prepared(model, trace, scene)
    scene = completed(scene, place.spec.wants, model, stop, quick_only=True)
    return Prepared(model, trace, scene, build_view(scene, place), view_key(scene, place))
