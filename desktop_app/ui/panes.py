"""Which parts of the window are shown, and how large its type is: by its room, by what a person asked for."""

from dataclasses import dataclass, field

_DESIGN = (1440, 860)
"""The window's size from which type and picture grow with it."""
_SMALLEST = (960, 540)
"""The room, in pixels at the plain type size, that growing must leave: all parts fit into it."""
_MOST = 4.0
_LECTURE = 650
_TIGHT = 800
"""Height below which bars and rows stand closer."""


@dataclass(frozen=True)
class Part:
    """A part that folds where the window leaves less than this, in pixels at the plain type size."""

    command: str
    width: int = 0
    height: int = 0


PARTS = (
    Part("map", width=1180),
    Part("bars", width=760),
    Part("sampling", height=690),
    Part("explain", height=470),
    Part("chips", height=400),
)
"""The parts that come and go, each by the command that shows and hides it."""


def type_scale(type_size: float, width: int, height: int) -> float:
    """The type size that a window of this size is given: larger windows are seen from further away."""
    growth = min(width / _DESIGN[0], height / _DESIGN[1], _MOST)
    room = min(width / _SMALLEST[0], height / _SMALLEST[1])
    grown = min(type_size * max(growth, 1.0), room)
    return max(type_size, int(grown * 20 + 1e-9) / 20)


def lecture_scale(type_size: float, height: int) -> float:
    """The type size of a lecture: 13 design units are 2 % of the height, and more where that was chosen."""
    return max(1.0, int(type_size * height / _LECTURE * 20 + 1e-9) / 20)


def is_tight(scale: float, height: int) -> bool:
    """Whether rows stand closer, to leave the room to what they hold."""
    return height / scale < _TIGHT


@dataclass
class Panes:
    """What a person showed or hid, in the plain window and in a lecture, over what folds by itself."""

    lecture: bool = False
    asked: dict[tuple[bool, str], bool] = field(default_factory=dict)

    def shown(self, scale: float, width: int, height: int) -> frozenset[str]:
        """The commands of the parts that a window of this size shows."""
        return frozenset(
            part.command
            for part in PARTS
            if self.asked.get(
                (self.lecture, part.command),
                not self.lecture and width / scale >= part.width and height / scale >= part.height,
            )
        )

    def toggle(self, command: str, shown: frozenset[str]) -> None:
        """Show a part that is hidden or hide one that is shown, until it is asked for again."""
        self.asked[self.lecture, command] = command not in shown
