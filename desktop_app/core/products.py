"""Products: what is computed beside a pass for the views that ask for it, and where the results are kept.

A view names what it needs (`Want`) and shows what is there; whoever shows the view has the rest computed off the
window's thread and shows it again. A result is known by the pass it was made from, so none can stand beside another.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

from desktop_app.core.model import Model
from desktop_app.core.scene import Scene
from desktop_app.core.want import Made, Product, Want
from desktop_app.gpt2.run import Run
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace


@dataclass(frozen=True)
class Work:
    """What a product is computed from, and how it tells of its progress: the share that is done, from 0 to 1."""

    model: Model
    trace: Trace
    stop: Stop
    progress: Callable[[float], None]


def _quiet(_share: float) -> None: ...


def compute(
    want: Want, model: Model, trace: Trace, stop: Stop | None = None, progress: Callable[[float], None] = _quiet
) -> Made:
    """The result of one want. Raises Cancelled if stopped, and whatever the product raises."""
    work = Work(model, trace, stop or Stop(), progress)
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
    while missing := [w for w in wants(scene) if scene.result(w) is None and (w.with_pass or not quick_only)]:
        made = {want: compute(want, model, scene.trace, stop) for want in missing}
        scene = replace(scene, products={**scene.products, **made})
    return scene


class Results:
    """Results of this pass and of the one before it, which undo leads back to, and what is about the model alone."""

    def __init__(self) -> None:
        self._made: dict[tuple[Hashable, Want], Made] = {}
        self._runs: tuple[Run, ...] = ()

    def put(self, run: Run, made: Mapping[Want, Made]) -> None:
        """Keep what was made from a pass."""
        if run not in self._runs:
            self._runs = (run, *self._runs[:1])
        self._made |= {(_about(run, want.product), want): result for want, result in made.items()}
        abouts = {*self._runs, *(run.model for run in self._runs)}
        self._made = {key: result for key, result in self._made.items() if key[0] in abouts}

    def of(self, run: Run) -> dict[Want, Made]:
        """Everything that holds for a pass."""
        return {want: made for (about, want), made in self._made.items() if about == _about(run, want.product)}


def _about(run: Run, product: Product) -> Hashable:
    return run if product.of_text else run.model
