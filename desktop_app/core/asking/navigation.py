"""Navigation through the steps of the forward pass: by operation, by block, by head.

Functions that move take a state and return the new state.
"""

from collections.abc import Sequence
from dataclasses import replace

from desktop_app.core.places import BLOCK, IN, Step
from desktop_app.core.session.state import WALK, State
from desktop_app.core.workspaces import WORKSPACES

_ALONG = frozenset(spec.key for spec in WORKSPACES if spec.along)


def current_step(state: State, steps: Sequence[Step]) -> Step | None:
    """The state's current step; None if the model does not have it."""
    return next((s for s in steps if s.key == state.step), None)


def at_workspace(state: State, key: str) -> State:
    """The state at a workspace; it retains the step of the forward pass, for the way back."""
    return replace(state, workspace=key)


def at_step(state: State, step: Step) -> State:
    """The state at `step`, whose block becomes the displayed one.

    A workspace that shows all steps (`along`) stays in front.
    """
    front = state.workspace if state.workspace in _ALONG else WALK
    return replace(state, workspace=front, step=step.key, layer=state.layer if step.layer is None else step.layer)


def by_steps(state: State, steps: Sequence[Step], by: int) -> State:
    """The state `by` operations further, or back if negative, but not past the first or the last one."""
    step = current_step(state, steps)
    if step is None:
        return state
    return at_step(state, steps[min(max(step.index + by, 0), len(steps) - 1)])


def by_block(state: State, steps: Sequence[Step], by: int) -> State:
    """The state at the same operation in the next (1) or previous (-1) block; at the ends, into or out of them."""
    step = current_step(state, steps)
    if step is None:
        return state
    blocks = [s for s in steps if s.spec.part == BLOCK]
    if step.layer is None:
        entering = (step.spec.part == IN) == (by > 0)
        return at_step(state, blocks[0] if by > 0 else blocks[-1]) if entering else state
    same = [s for s in blocks if s.spec is step.spec and s.layer == step.layer + by]
    outside = blocks[-1].index + 1 if by > 0 else blocks[0].index - 1
    return at_step(state, same[0] if same else steps[outside])


def by_head(state: State, n_head: int, by: int) -> State:
    """The state with the head `by` further, wrapping around."""
    return replace(state, head=(state.head + by) % n_head)
