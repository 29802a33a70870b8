"""Places that the window can show: steps of the walk through the forward pass, and workspaces besides the walk.

`StepSpec` is a row in the tables of places (core/steps.py); `Step` is such a place in one model.
"""

from collections.abc import Callable
from dataclasses import dataclass

from desktop_app.core.edits.editing import Target
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import Box, Hue, View
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import State
from desktop_app.core.want import Want
from desktop_app.gpt2.weights import expand

IN, BLOCK, OUT, BESIDE = "in", "block", "out", "beside"

SCALES = ("scale_linear", "scale_sqrt", "scale_log")
"""The options of every place that draws attention patterns: the scale of their colours."""


def _nothing(_scene: Scene) -> tuple[Want, ...]:
    return ()


def _never(_scene: Scene) -> bool:
    return False


@dataclass(frozen=True)
class Entry:
    """A view option that has an input field or slider next to the view: a number up to `top`, or a typed text.

    `title` is its label. `hint` is shown while nothing is typed.
    """

    option: str
    title: str
    hint: str = ""
    top: float | None = None


@dataclass(frozen=True)
class StepSpec:
    """One step of the walk, or one workspace. Its texts are in resources/steps.toml or workspaces.toml.

    `key` names the place, usually by the tensor that it computes, with `{L}` for the block. `tensors` are the tensors
    that it shows, by which it can also be named on the command line. `hues` are the colours of a step that makes
    several vectors; `sizes`, for a step that changes the width, are the fields of the config with the widths before and
    after.

    `content` returns the panels, or a whole view if the title states the result. `wants` names the products that the
    view reads, and `reads` the fields of the state that it depends on besides block, head, token and view options.
    `both` says whether the view itself is of both prompts: then it is shown once, whatever is compared.
    `options` are commands that change how the view shows its numbers; the window puts them next to it. `grids` says
    that the view has a grid for each head. `entry` is the input field or slider next to the view.

    `keys` are the shortcuts of a workspace that has a tab; workspaces of one `group` share a tab of that name. A
    workspace marked `along` stays in front when the user goes to a step, and shows that step.

    Cells that a workspace shows of its products have its name as prefix (`lens.kl`). For such a cell, `describe`
    returns what it contains, `open` a view of how it was computed, and `choose` the state after a click on it (None if
    a click only opens it). `edits` returns what can be edited at the current place. `numpy` returns lines of code that
    recompute the view, or such a cell, from a saved trace.
    """

    op: str
    part: str
    key: str
    hue: Hue
    tensors: tuple[str, ...]
    content: Callable[[Scene], Box | View]
    per_head: bool = False
    options: tuple[str, ...] = ()
    grids: bool = False
    wants: Callable[[Scene], tuple[Want, ...]] = _nothing
    reads: tuple[str, ...] = ()
    both: Callable[[Scene], bool] = _never
    keys: tuple[str, ...] = ()
    along: bool = False
    group: str = ""
    entry: Entry | None = None
    describe: Callable[[Scene, Cell], Readout] | None = None
    open: Callable[[Scene, Cell], View] | None = None
    choose: Callable[[Scene, Cell], State | None] | None = None
    numpy: Callable[[Scene, Cell | None], str] | None = None
    edits: Callable[[Scene, Cell], tuple[Target, ...]] | None = None
    hues: tuple[Hue, ...] = ()
    sizes: tuple[str, str] | None = None


@dataclass(frozen=True)
class Text:
    """The texts of one place; `formula` may use <sub> and <sup>."""

    name: str
    title: str
    lead: str
    explain: str
    formula: str
    short: str = ""  # the title of a workspace's tab, if its name is too long
    lead_turned: str = ""  # the lead for attention grids with queries as columns, if `lead` speaks of rows


@dataclass(frozen=True)
class Step:
    """One place in one model. `index` is the step's number in the walk, counted from 0; -1 for a workspace."""

    key: str
    layer: int | None
    index: int
    spec: StepSpec
    text: Text

    @property
    def tensors(self) -> tuple[str, ...]:
        """The full names of the tensors that the place shows."""
        return tuple(expand(t, self.layer) for t in self.spec.tensors)
