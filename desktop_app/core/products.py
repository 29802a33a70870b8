"""Products: analyses computed in addition to a pass for the views that need them, and a cache of their results.

A view names what it needs (`Want`) and shows what has been computed; the window computes the rest in a thread, and then
shows the view again. The key of a result includes the pass from which it was computed, so that it never appears with
another pass.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

from desktop_app.core.model import Model
from desktop_app.core.passes import OTHER, Passes
from desktop_app.core.scene import Scene
from desktop_app.core.want import Made, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.overflow import without_warnings
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace


@dataclass(frozen=True)
class Work:
    """What a product is computed from. `progress` is called with the fraction that is done, from 0 to 1.

    `partly` is called with partial results of a long computation, which are shown until it is complete.
    """

    model: Model
    trace: Trace
    stop: Stop
    progress: Callable[[float], None]
    passes: Passes
    partly: Callable[[object], None]


def _quiet(_told: object) -> None: ...


def are_of(passes: Passes, model: Model) -> bool:
    """Whether `model` computed the passes: while another model is opening, earlier passes are still shown."""
    return passes.trace.run.model == model.checkpoint.key


@without_warnings
def compute(
    want: Want,
    model: Model,
    passes: Passes,
    stop: Stop | None = None,
    progress: Callable[[float], None] = _quiet,
    partly: Callable[[object], None] = _quiet,
) -> Made:
    """Compute the result of one request.

    Raises ModelError for passes of another model, Cancelled on a stop, and the product's own errors.
    """
    if not are_of(passes, model):
        raise ModelError(f"This pass was not computed by {model.name}; wait until that model has run the text.")
    if want.of == OTHER and passes.guest is not None:
        model = passes.guest
    work = Work(model, passes.of(want.of), stop or Stop(), progress, passes, partly)
    with model.engine.sparing(len(work.trace)):
        return Made(want.product.compute(work, *want.args))


def completed(
    scene: Scene,
    wants: Callable[[Scene], Iterable[Want]],
    model: Model,
    stop: Stop | None = None,
    *,
    quick_only: bool = False,
) -> Scene:
    """The scene with every product that its view needs. A result may need others, so `wants` is called repeatedly."""
    while missing := [w for w in wants(scene) if not scene.has(w) and (w.with_pass or not quick_only)]:
        scene = scene.with_made({want: compute(want, model, scene.passes, stop) for want in missing})
    return scene


class Results:
    """A cache of results for the current passes, for the previous ones (for undo), and for the weights alone.

    A result for the unedited pass, or for the other prompt's pass, has that pass in its key, so it survives further
    edits.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[Hashable, Want], Made] = {}
        self._shown: tuple[frozenset[Hashable], ...] = ()  # keys of the current and of the previous passes

    def put(self, passes: Passes, made: Mapping[Want, Made]) -> None:
        """Add results that were computed from these passes."""
        now = _keys(passes)
        self._shown = (now, *[keys for keys in self._shown if keys != now][:1])
        self._made |= {(_about(passes, want), replace(want, of="")): result for want, result in made.items()}
        kept = frozenset().union(*self._shown)
        self._made = {key: result for key, result in self._made.items() if key[0] in kept}

    def of(self, passes: Passes, which: str = "") -> dict[Want, Made]:
        """All results for one of the passes."""
        return {
            want: made for (about, want), made in self._made.items() if about == _about(passes, replace(want, of=which))
        }


def _about(passes: Passes, want: Want) -> Hashable:
    """The key of a result: its pass, with the other prompt's if it reads both; the model if it reads weights only."""
    run = passes.of(want.of).run
    if not want.product.of_text:
        return run.model
    return (run, *passes.beside) if want.product.of_both else run


def _keys(passes: Passes) -> frozenset[Hashable]:
    runs = [trace.run for trace in passes.every]
    return frozenset([*runs, *(run.model for run in runs), *((run, *passes.beside) for run in runs)])
