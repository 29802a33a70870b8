"""What a user can request, as values: menus, keys, the palette, clicks, examples and tests all produce the same ones.

`core/asking/follow.py` says how each one changes the state.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from desktop_app.core.opening.cells import Cell

if TYPE_CHECKING:
    from desktop_app.core.lessons.stops import Stop


@dataclass(frozen=True)
class Do:
    """Run the command with this id (`core/asking/commands.py`)."""

    command: str


@dataclass(frozen=True)
class GoTo:
    """Go to the step with this key; in `blocks.*.`, the star stands for the displayed block."""

    step: str


@dataclass(frozen=True)
class Select:
    """Select a position of the text as the query."""

    position: int


@dataclass(frozen=True)
class Predict:
    """Select a position and show the probabilities after it; at the last position they follow the end of the text."""

    position: int
    last: bool = False


@dataclass(frozen=True)
class ShowHead:
    """Show another head of the displayed block; if `layer` is given, go to the step of that head's pattern."""

    head: int
    layer: int | None = None


@dataclass(frozen=True)
class Visit:
    """Go to the step that shows a tensor, and to one head and one token of it if given."""

    tensor: str
    head: int | None = None
    token: int | None = None


@dataclass(frozen=True)
class AskKey:
    """Explain why the selected token attends to this position.

    If this is requested already, go back to the position to which it attends most.
    """

    key: int


@dataclass(frozen=True)
class Append:
    """Append a token, by its id, after the position whose probabilities are shown."""

    token: int


@dataclass(frozen=True)
class Pin:
    """Pin a token, by its id, in the list of probabilities; unpin it if it is pinned."""

    token: int


@dataclass(frozen=True)
class Explain:
    """Explain a token's logit, or set the token whose logit is subtracted from the explained one."""

    target: int | None = None
    against: int | None = None


@dataclass(frozen=True)
class Steer:
    """Add the direction of a token, by its id, to the residual stream of the displayed block."""

    token: int


@dataclass(frozen=True)
class Measure:
    """Show how far all tokens, and this text's, lie along a direction, given as text (`core/analysis/rulers.py`)."""

    direction: str


@dataclass(frozen=True)
class Edit:
    """Apply these edits, given as text, to the pass."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Weigh:
    """Set the strength of the edit with this index in the list of edits."""

    at: int
    strength: float


@dataclass(frozen=True)
class Open:
    """Open a cell or, without an index, a weight in the inspector; if it is in the path already, go back to it."""

    cell: Cell


@dataclass(frozen=True)
class Evidence:
    """Show passages of many texts for a neuron or a head of a block."""

    layer: int
    neuron: int | None = None
    head: int | None = None


@dataclass(frozen=True)
class Frame:
    """Show this part of the token map: start x and y, end x and y, as fractions of the whole; () is all of it."""

    window: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sample:
    """Set a field of the sampling settings."""

    name: str
    value: object


@dataclass(frozen=True)
class Reseed:
    """Use the next seed, starting from its first draw."""


@dataclass(frozen=True)
class AtStep:
    """Open the snapshot of the model's training after this number of steps."""

    step: int


@dataclass(frozen=True)
class UseModel:
    """Open the model in this folder, over the same text and at the same place."""

    folder: str


@dataclass(frozen=True)
class Show:
    """Enter the prompt of an example or of a story's stop, and go to the place that it is about."""

    stop: "Stop"


Intent = (
    Do
    | GoTo
    | Select
    | Predict
    | ShowHead
    | Visit
    | AskKey
    | Append
    | Pin
    | Explain
    | Steer
    | Measure
    | Edit
    | Weigh
    | Open
    | Evidence
    | Frame
    | Sample
    | Reseed
    | AtStep
    | UseModel
    | Show
)

Choosing = Callable[[int], Intent]
"""A function from the index of the thing that was clicked to the intent, such as the class `Select` itself."""
