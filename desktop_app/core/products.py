"""Products: what is computed beside a pass for the views that ask for it, and where the results are kept.

A view names what it needs (`Want`) and shows what is there; whatever shows the view has the rest computed off the
window's thread and shows it again. A result is known by the pass it was made from, so none can stand beside another.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

from desktop_app.core.model import Model
from desktop_app.core.passes import OTHER, Passes
from desktop_app.core.scene import Scene
from desktop_app.core.want import Made, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace


@dataclass(frozen=True)
class Work:
    """What a product is computed from, and how it tells of its progress: the share that is done, from 0 to 1.

    `partly` takes what is there by now of a result that takes long; it is shown until all of it is there.
    """

    model: Model
    trace: Trace
    stop: Stop
    progress: Callable[[float], None]
    passes: Passes
    partly: Callable[[object], None]


def _quiet(_told: object) -> None: ...


def are_of(passes: Passes, model: Model) -> bool:
    """Whether `model` computed the passes: while another one is opened, what is shown is still of the one before."""
    return passes.trace.run.model == model.checkpoint.key


def compute(
    want: Want,
    model: Model,
    passes: Passes,
    stop: Stop | None = None,
    progress: Callable[[float], None] = _quiet,
    partly: Callable[[object], None] = _quiet,
) -> Made:
    """The result of one want.

    Raises ModelError for passes of another model, Cancelled if stopped, and whatever the product raises.
    """
    if not are_of(passes, model):
        raise ModelError(f"This pass was not computed by {model.name}; wait until that has read the text.")
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
    """The scene with all that a view of it needs; what is made may ask for more, so it is asked again."""
    while missing := [w for w in wants(scene) if not scene.has(w) and (w.with_pass or not quick_only)]:
        scene = scene.with_made({want: compute(want, model, scene.passes, stop) for want in missing})
    return scene


class Results:
    """Results of these passes and of those before them, which undo leads back to, and what is about the model alone.

    What is of the pass without edits, or of the other prompt's, is known by that one: another edit does not undo it.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[Hashable, Want], Made] = {}
        self._shown: tuple[frozenset[Hashable], ...] = ()  # what results of these passes are known by

    def put(self, passes: Passes, made: Mapping[Want, Made]) -> None:
        """Keep what was made from passes."""
        now = _keys(passes)
        self._shown = (now, *[keys for keys in self._shown if keys != now][:1])
        self._made |= {(_about(passes, want), replace(want, of="")): result for want, result in made.items()}
        kept = frozenset().union(*self._shown)
        self._made = {key: result for key, result in self._made.items() if key[0] in kept}

    def of(self, passes: Passes, which: str = "") -> dict[Want, Made]:
        """Everything that holds for one of the passes."""
        return {
            want: made for (about, want), made in self._made.items() if about == _about(passes, replace(want, of=which))
        }


def _about(passes: Passes, want: Want) -> Hashable:
    """What a result is known by: the pass that it is of, with the other prompt's, or the model alone."""
    run = passes.of(want.of).run
    if not want.product.of_text:
        return run.model
    return (run, *passes.beside) if want.product.of_both else run


def _keys(passes: Passes) -> frozenset[Hashable]:
    runs = [trace.run for trace in passes.every]
    return frozenset([*runs, *(run.model for run in runs), *((run, *passes.beside) for run in runs)])
