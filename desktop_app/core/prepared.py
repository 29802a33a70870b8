"""The result of a pass computed in the background: its scene, and the view of the current place, already built."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from desktop_app.core.model import Model
from desktop_app.core.panels import View
from desktop_app.core.passes import Asked, Passes
from desktop_app.core.places import Step
from desktop_app.core.products import completed
from desktop_app.core.runs import compute_passes
from desktop_app.core.scene import Scene, make_moment
from desktop_app.core.session.state import State
from desktop_app.core.steps import build_view, current_place, view_key, wants_of
from desktop_app.gpt2.errors import Cancelled
from desktop_app.gpt2.session import Stop

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model's passes, their scene, and one view, built in advance because deriving its numbers may take time."""

    model: Model
    passes: Passes
    scene: Scene | None = None
    view: View | None = None
    key: tuple[object, ...] = ()

    def view_of(self, scene: Scene, step: Step) -> View:
        """The view of `scene` at a step: the prepared one if that is equal, else a new one."""
        if self.view is not None and self.key == view_key(scene, step):
            return self.view
        return build_view(scene, step)


def pass_of(
    model: Model, asked: Asked, reuse: Passes | None, state: State, guest: Model | None = None
) -> Callable[[Stop], Prepared]:
    """A function that computes the requested passes, prepared for a window in `state`; `guest` is a second model."""

    def work(stop: Stop) -> Prepared:
        passes = compute_passes(model.engine, model.tokenizer, asked, reuse, stop, strict=False, guest=guest)
        stop.check()
        try:
            return _prepared(model, passes, state, stop)
        except Cancelled:
            raise
        except Exception:
            # The pass itself is valid. The window will build the view again to show it, and report the error.
            log.exception("A pass was computed, and its view could not be prepared.")
            return Prepared(model, passes)

    return work


def _prepared(model: Model, passes: Passes, state: State, stop: Stop) -> Prepared:
    scene = make_moment(model.name, model.checkpoint, model.tokenizer, passes, state)
    place = current_place(state, model.config)
    if place is None:
        return Prepared(model, passes, scene)
    scene = completed(scene, lambda s: wants_of(s, place), model, stop, quick_only=True)
    return Prepared(model, passes, scene, build_view(scene, place), view_key(scene, place))
