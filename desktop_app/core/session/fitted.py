"""A state adjusted to a model."""

from dataclasses import replace
from pathlib import Path

from desktop_app.core.model import Model
from desktop_app.core.places import BESIDE
from desktop_app.core.session.state import WALK, State
from desktop_app.core.steps import find_step, workspaces
from desktop_app.gpt2.errors import LogitscopeError


def fitted(state: State, model: Model) -> State:
    """The state with everything that the model lacks (a block, a head, a step, a token) replaced by something it has.

    If the state belonged to another model, its count of draws starts again from 0.
    """
    config = model.config
    try:
        found = find_step(state.step, config)
        step, own = (found.key, found.layer) if found.spec.part != BESIDE else ("tokens", None)
    except LogitscopeError:  # this model has no such step
        step, own = "tokens", None
    known = all(t < config.vocab_size for t in state.appended)
    tabs = (WALK, *(w.key for w in workspaces(config) if w.spec.keys))
    return replace(
        state,
        model=str(model.folder),
        int8=config.int8,
        workspace=state.workspace if state.workspace in tabs else WALK,
        step=step,
        layer=min(state.layer, config.n_layer - 1) if own is None or state.workspace != WALK else own,
        head=min(state.head, config.n_head - 1),
        appended=state.appended if known else (),
        draws=state.draws if Path(state.model) == model.folder else 0,
        pinned=tuple(t for t in state.pinned if t < config.vocab_size),
        target=_of(state.target, config.vocab_size),
        against=_of(state.against, config.vocab_size),
        unfolded=tuple(n for n in state.unfolded if n < config.n_layer),
    )


def _of(token: int | None, count: int) -> int | None:
    """The token id if a vocabulary of `count` tokens contains it, else None."""
    return token if token is not None and token < count else None
