"""What a command is, and functions that make rows of the table of commands, `core/asking/commands.py`."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from desktop_app.core.asking.navigation import at_step, at_workspace, by_block, by_head, by_steps
from desktop_app.core.model import Model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.session.state import State, with_option
from desktop_app.core.steps import step_list

PACE = "pace:"
"""How the id of a command that sets the speed of generation begins; the tokens per second follow, 0 for full speed."""

WORKSPACE = "workspace:"
"""How the id of a command that shows a workspace begins; the workspace's key follows."""


@dataclass(frozen=True)
class Command:
    """A command. `keys` are its shortcuts as Qt key sequences, of which the first is shown.

    `needs` names the condition under which it is enabled, such as "scene": a pass is shown. `ui/acts.py` has them all.
    `change` returns the new state, for a command that does nothing but change the state; the window carries out a
    command without it. A `checkable` command has a check mark while it is on. `on` tells from the state whether it is;
    where `on` is None, the window knows. Repetitions of a `joined` command are one undo entry. `short` are two names
    for the command's button next to a view: one for enough room, and a shorter one.
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
    """A command that sets a view option, `field`, to `value`; the command is on while the option has this value.

    If `other` is given, the command sets the option to `other` when it is already on. `name` is the command's id.
    """

    def is_on(state: State, _model: Model) -> bool:
        return bool(getattr(state.view, field) == value)

    def change(state: State, model: Model) -> State:
        return with_option(state, field, other if other and is_on(state, model) else value)

    return Command(name, title, menu, (), "scene", True, change, is_on, short)


def switch(field: str, title: str, short: tuple[str, str]) -> Command:
    """A command that turns a view option, `field`, on or off; its id is the option's name."""

    def is_on(state: State, _model: Model) -> bool:
        return bool(getattr(state.view, field))

    def change(state: State, model: Model) -> State:
        return with_option(state, field, not is_on(state, model))

    return Command(field, title, "View", (), "scene", True, change, is_on, short)


def baseline(name: str, title: str, short: tuple[str, str], value: str) -> Command:
    """A command that sets what the explained logit is compared with: the average token ("mean") or nothing ("none")."""

    def is_on(state: State, _model: Model) -> bool:
        return state.against is None and state.view.baseline == value

    def change(state: State, _model: Model) -> State:
        return replace(with_option(state, "baseline", value), against=None)

    return Command(name, title, "View", (), "scene", True, change, is_on, short)


def showing(key: str, name: str, keys: tuple[str, ...], tab: str) -> Command:
    """A command that shows a workspace, or the walk through the forward pass, in the centre of the window.

    `key` is the workspace's key, or WALK; `keys` are the shortcuts, and `tab` is the text of its tab.
    """

    def change(state: State, _model: Model) -> State:
        return at_workspace(state, key)

    def is_on(state: State, _model: Model) -> bool:
        return state.workspace == key

    return Command(f"{WORKSPACE}{key}", name, "Go", keys, "scene", True, change, is_on, (tab, tab))


def going(by: int) -> Callable[[State, Model], State]:
    """A change that moves on by `by` steps, or back if negative."""
    return lambda state, model: by_steps(state, step_list(model.config), by)


def going_by_block(by: int) -> Callable[[State, Model], State]:
    """A change that goes to the same operation of the next (1) or previous (-1) block, or into or out of the blocks."""
    return lambda state, model: by_block(state, step_list(model.config), by)


def going_by_head(by: int) -> Callable[[State, Model], State]:
    """A change that goes on by `by` heads, from the last to the first and the other way round."""
    return lambda state, model: by_head(state, model.config.n_head, by)


def going_to(index: int) -> Callable[[State, Model], State]:
    """A change that goes to the step with this index in the list of steps; -1 is the last."""
    return lambda state, model: at_step(state, step_list(model.config)[index])


def opening(*names: str) -> Callable[[State, Model], State]:
    """A change that makes `names`, keys of workspaces without a tab, the path of the inspector.

    The inspector shows the last of its path; without names it is closed.
    """
    path = tuple(Cell(name, ()) for name in names)
    return lambda state, _model: replace(state, opened=path)
