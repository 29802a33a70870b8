"""What a person can ask for, as values: a menu, a key, the palette, a click, an example and a test say the same thing.

`core/follow.py` says what each makes of the state.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from desktop_app.core.opening.cells import Cell

if TYPE_CHECKING:
    from desktop_app.core.stops import Stop


@dataclass(frozen=True)
class Do:
    """Run the command with this id (`core/commands.py`)."""

    command: str


@dataclass(frozen=True)
class GoTo:
    """Go to a step by its key; in `blocks.*.` the star is the block that is shown."""

    step: str


@dataclass(frozen=True)
class Select:
    """Select a position of the text: the query."""

    position: int


@dataclass(frozen=True)
class Predict:
    """Select a position and show the probabilities after it; those at the end follow it as the text grows."""

    position: int
    last: bool = False


@dataclass(frozen=True)
class ShowHead:
    """Show another head, of the block that is shown, or its pattern in the walk where `layer` names a block."""

    head: int
    layer: int | None = None


@dataclass(frozen=True)
class Visit:
    """Go to the step that shows a tensor, to one head of it and one token where they are given."""

    tensor: str
    head: int | None = None
    token: int | None = None


@dataclass(frozen=True)
class AskKey:
    """Ask why the selected token looks at this position; asked twice, at whichever it looks at most."""

    key: int


@dataclass(frozen=True)
class Append:
    """Append a token, by its id, after the position whose probabilities are shown."""

    token: int


@dataclass(frozen=True)
class Pin:
    """Keep a token, by its id, among the bars, or no longer."""

    token: int


@dataclass(frozen=True)
class Explain:
    """Explain a token's logit, or measure the explained one against another's."""

    target: int | None = None
    against: int | None = None


@dataclass(frozen=True)
class Steer:
    """Add the direction of a token, by its id, to the residual stream of the block that is shown."""

    token: int


@dataclass(frozen=True)
class Edit:
    """Change the pass by these edits, as they are written."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Weigh:
    """Make the edit at this place of the list so strong."""

    at: int
    strength: float


@dataclass(frozen=True)
class Open:
    """Take a cell apart, or a weight, whose cell has no index; opened on the way already, go back to it."""

    cell: Cell


@dataclass(frozen=True)
class Evidence:
    """Show the passages of a neuron, or of a head, of a block."""

    layer: int
    neuron: int | None = None
    head: int | None = None


@dataclass(frozen=True)
class Frame:
    """Show this part of the plane: x and y from, x and y to, in shares of the whole; () is all of it."""

    window: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sample:
    """Set a field of the sampling settings."""

    name: str
    value: object


@dataclass(frozen=True)
class Reseed:
    """Draw from the next seed, from its first draw on."""


@dataclass(frozen=True)
class Show:
    """Type the prompt of an example or of a lesson's stop, and look where it says."""

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
    | Edit
    | Weigh
    | Open
    | Evidence
    | Frame
    | Sample
    | Reseed
    | Show
)

Choosing = Callable[[int], Intent]
"""What a click on one of several things in a row asks for, by its number: a class above, like `Select`."""
