"""What a command is, and how rows of the table of commands are made."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from desktop_app.core.model import Model
from desktop_app.core.navigation import at_step, at_workspace, by_block, by_head, by_steps
from desktop_app.core.opening.cells import Cell
from desktop_app.core.state import State, with_option
from desktop_app.core.steps import step_list

PACE = "pace:"
"""The prefix of ids of commands that set the speed of generation; tokens per second follow, 0 for full speed."""

WORKSPACE = "workspace:"
"""The prefix of ids of commands that show a workspace; its key follows."""


@dataclass(frozen=True)
class Command:
    """A command. `keys` are Qt key sequences, of which the first is shown; `needs` says when it is enabled.

    For a command that only changes the state, `change` returns the new state and `on` says whether the command is on;
    the window carries out the others. Repetitions of a `joined` command are one undo entry. `short` are a longer and a
    shorter name for its button next to a view.
    """

    id: str
    title: str
    menu: str
    keys: tuple[str, ...] = ()
    needs: str = "model"
    checkable: bool = False
    change: Callable[[State, Model], State] | None = None
    on: Callable[[State, Model], bool] | None = None
    short: tuple[str, str] = ("", "")
    joined: bool = False


def choice(
    name: str,
    title: str,
    short: tuple[str, str],
    field: str,
    value: str,
    other: str = "",
    menu: str = "View",
) -> Command:
    """A command that sets a view option to `value`, or back to `other` if it has one and is on."""

    def is_on(state: State, _model: Model) -> bool:
        return bool(getattr(state.view, field) == value)

    def change(state: State, model: Model) -> State:
        return with_option(state, field, other if other and is_on(state, model) else value)

    return Command(name, title, menu, (), "scene", True, change, is_on, short)


def switch(field: str, title: str, short: tuple[str, str]) -> Command:
    """A command that turns a view option on and off."""

    def is_on(state: State, _model: Model) -> bool:
        return bool(getattr(state.view, field))

    def change(state: State, model: Model) -> State:
        return with_option(state, field, not is_on(state, model))

    return Command(field, title, "View", (), "scene", True, change, is_on, short)


def baseline(name: str, title: str, short: tuple[str, str], value: str) -> Command:
    """A command that sets the baseline of the explained logit: the average token, or none."""

    def is_on(state: State, _model: Model) -> bool:
        return state.against is None and state.view.baseline == value

    def change(state: State, _model: Model) -> State:
        return replace(with_option(state, "baseline", value), against=None)

    return Command(name, title, "View", (), "scene", True, change, is_on, short)


def showing(key: str, name: str, keys: tuple[str, ...], tab: str) -> Command:
    """A command that shows a workspace in the centre, or returns to the walk through the forward pass."""

    def change(state: State, _model: Model) -> State:
        return at_workspace(state, key)

    def is_on(state: State, _model: Model) -> bool:
        return state.workspace == key

    return Command(f"{WORKSPACE}{key}", name, "Go", keys, "scene", True, change, is_on, (tab, tab))


def going(by: int) -> Callable[[State, Model], State]:
    """Move on by `by` steps."""
    return lambda state, model: by_steps(state, step_list(model.config), by)


def going_by_block(by: int) -> Callable[[State, Model], State]:
    """Go to the same operation of another block, or into or out of the blocks."""
    return lambda state, model: by_block(state, step_list(model.config), by)


def going_by_head(by: int) -> Callable[[State, Model], State]:
    """Go to another head."""
    return lambda state, model: by_head(state, model.config.n_head, by)


def going_to(index: int) -> Callable[[State, Model], State]:
    """Go to the step with this index."""
    return lambda state, model: at_step(state, step_list(model.config)[index])


def opening(*names: str) -> Callable[[State, Model], State]:
    """Show workspaces that have no tab, one after the other; without names, close the one that is shown."""
    path = tuple(Cell(name, ()) for name in names)
    return lambda state, _model: replace(state, opened=path)
