"""What a view is made from: the model, the trace of the text, the state, and the sampling stages at one position."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from desktop_app.core.passes import BEFORE, OTHER, Passes, alone
from desktop_app.core.session.state import State
from desktop_app.core.want import Made, Want
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.mask import reach
from desktop_app.gpt2.sampling import Ranked, Stages, stages, uniform
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.trace import Trace
from desktop_app.gpt2.weights import all_weights

_FOLLOWED = 3  # how many of the likeliest tokens are followed through the pass, if none is pinned


@dataclass(frozen=True)
class Scene:
    """A snapshot of everything that views, captions and the probability panel read; they read nothing else.

    `beside` has the scenes of the other passes. A view can be compared with the same view in `before`, the pass without
    the edits, or in `other`, the pass over the other prompt or of the other model. In those scenes the corresponding
    tokens are selected.
    """

    name: str
    checkpoint: Checkpoint
    tokenizer: Tokenizer
    trace: Trace
    state: State
    ranked: Ranked
    labels: tuple[str, ...]
    """The display form of each token."""
    products: Mapping[Want, Made] = field(default_factory=dict)
    """The products (results of analyses) computed for the pass so far."""
    beside: Mapping[str, "Scene"] = field(default_factory=dict)
    """The scenes of the other passes, by the pass's name, as in `Want.of`."""
    together: Passes | None = None

    @property
    def passes(self) -> Passes:
        """All passes of the scene; only that of `trace` if no others were given."""
        return self.together or alone(self.trace)

    @property
    def before(self) -> "Scene | None":
        """The scene without edits; None if nothing is edited."""
        return self.beside.get(BEFORE)

    @property
    def other(self) -> "Scene | None":
        """The scene of the other prompt or model; None if there is none."""
        return self.beside.get(OTHER)

    def result(self, want: Want) -> Made | None:
        """The result for a request, perhaps partial; None if there is none yet. Each new result is a new object."""
        if want.of:
            return self.beside[want.of].result(replace(want, of=""))
        return self.products.get(want)

    def has(self, want: Want) -> bool:
        """Whether there is a complete result for a request."""
        found = self.result(want)
        return found is not None and found.whole

    def made(self, want: Want) -> Any:
        """The value computed for a request, perhaps partial; None if there is none yet."""
        found = self.result(want)
        return None if found is None else found.value

    @property
    def all_made(self) -> dict[Want, Made]:
        """Every result by its request; for another pass, `Want.of` is the pass's name."""
        found = dict(self.products)
        for name, scene in self.beside.items():
            found |= {replace(want, of=name): made for want, made in scene.products.items()}
        return found

    def with_made(self, made: Mapping[Want, Made]) -> "Scene":
        """The scene with more results."""
        own = {want: result for want, result in made.items() if not want.of}
        beside = {
            name: scene.with_made({replace(w, of=""): result for w, result in made.items() if w.of == name})
            for name, scene in self.beside.items()
        }
        return replace(self, products={**self.products, **own}, beside=beside)

    @property
    def config(self) -> Config:
        """The model's config."""
        return self.checkpoint.config

    @property
    def layer(self) -> int:
        """The block that is shown."""
        return min(self.state.layer, self.config.n_layer - 1)

    @property
    def head(self) -> int:
        """The head that is shown."""
        return min(self.state.head, self.config.n_head - 1)

    @property
    def token(self) -> int:
        """The position of the selected token (the query); by default the last."""
        last = len(self.trace) - 1
        return last if self.state.token is None else min(self.state.token, last)

    @property
    def position(self) -> int:
        """The position whose next-token distribution is shown; by default the last."""
        last = len(self.trace) - 1
        return last if self.state.position is None else min(self.state.position, last)

    @cached_property
    def weight_axes(self) -> dict[str, tuple[str, ...]]:
        """The names of the axes of every weight."""
        return {name: spec.axes for name, _, spec in all_weights(self.config)}

    @property
    def fresh(self) -> int:
        """How many positions were computed after a token was appended, if the others were reused; 0 if none were."""
        return 1 if self.state.appended and self.trace.computed == 1 and len(self.trace) > 1 else 0

    @cached_property
    def stages(self) -> Stages:
        """The sampling stages at `position`."""
        return stages(self.ranked, self.state.sampling)

    @cached_property
    def u(self) -> float:
        """The number in [0, 1) of the current draw."""
        return uniform(self.state.sampling.seed, self.state.draws)

    @cached_property
    def landed(self) -> int:
        """The rank that the current draw selects."""
        return self.stages.landing(self.u)

    def reach(self, query: int) -> int:
        """The number of keys, counted from key 0, up to the last one that a query of the shown head may attend to."""
        return reach(self.trace.run.mask, self.config, self.layer, self.head, query, len(self.trace))

    def block(self, name: str) -> str:
        """Full name of a tensor of the shown block."""
        return f"blocks.{self.layer}.{name}"


def make_scene(
    name: str,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    trace: Trace,
    state: State,
    before: Scene | None = None,
    products: Mapping[Want, Made] | None = None,
) -> Scene:
    """The scene of one pass. Labels and ranking are taken from the scene `before` if pass and position match."""
    last = len(trace) - 1
    position = last if state.position is None else min(state.position, last)
    same = before is not None and before.trace is trace
    if before is not None and same and before.position == position:
        ranked = before.ranked
    else:
        ranked = Ranked(trace.logits(position))
    labels = before.labels if before is not None and same else tuple(tokenizer.label(i) for i in trace.ids)
    return Scene(name, checkpoint, tokenizer, trace, state, ranked, labels, products or {})


def make_moment(
    name: str,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    passes: Passes,
    state: State,
    last: Scene | None = None,
    products: Callable[[str], Mapping[Want, Made]] = lambda _which: {},
) -> Scene:
    """The scene of the requested pass, with those of the other passes. `products` returns a pass's results by name."""

    def scene(which: str, own: State, was: Scene | None) -> Scene:
        by = (name, checkpoint, tokenizer)
        if which == OTHER and passes.guest is not None:
            by = (passes.guest.name, passes.guest.checkpoint, passes.guest.tokenizer)
        return make_scene(*by, passes.of(which), own, was, products(which))

    own, beside = scene("", state, last), {}
    # The scenes of all passes explain and follow the same tokens: the likeliest of this pass, if none is pinned.
    named = state if state.pinned else replace(state, pinned=tuple(map(int, own.ranked.order[:_FOLLOWED])))
    if passes.before is not passes.trace:
        beside[BEFORE] = scene(BEFORE, named, last.before if last is not None else None)
    if passes.other is not None:
        beside[OTHER] = scene(OTHER, _other_state(named, passes), last.other if last is not None else None)
    return replace(own, beside=beside, together=passes)


def _other_state(state: State, passes: Passes) -> State:
    """The state for viewing the other prompt: the same place, with positions mapped by the alignment."""

    def there(position: int | None) -> int | None:
        known = position is not None and position < len(passes.alignment)
        return passes.alignment[position] if known and position is not None else None

    token, position, key = map(there, (state.token, state.position, state.key))
    state = replace(state, text=state.other, appended=()) if state.other else state
    return replace(state, token=token, position=position, key=key)
