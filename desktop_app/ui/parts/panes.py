"""Which parts of the window are shown, and how large its type is, by the window's size and the user's choices."""

from dataclasses import dataclass, field

_DESIGN = (1440, 860)
"""The window size above which type and picture are enlarged."""
_SMALLEST = (960, 540)
"""The window size in pixels, at the default type size, in which all parts still fit; the limit for larger type."""
_MOST = 4.0
_LECTURE = 650
_TIGHT = 800
"""The window height below which bars and rows are closer together."""


@dataclass(frozen=True)
class Part:
    """A part of the window; it is hidden below this width or height, in pixels at the default type size."""

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
"""The parts that can be shown and hidden, each with its command."""


def type_scale(type_size: float, width: int, height: int) -> float:
    """The type size for a window of this size; larger windows are read from a greater distance."""
    growth = min(width / _DESIGN[0], height / _DESIGN[1], _MOST)
    room = min(width / _SMALLEST[0], height / _SMALLEST[1])
    grown = min(type_size * max(growth, 1.0), room)
    return max(type_size, int(grown * 20 + 1e-9) / 20)


def lecture_scale(type_size: float, height: int) -> float:
    """The type size in a lecture: 13 design units are 2 % of the height, or more if the user chose larger type."""
    return max(1.0, int(type_size * height / _LECTURE * 20 + 1e-9) / 20)


def is_tight(scale: float, height: int) -> bool:
    """Whether rows are closer together, to leave more space for content."""
    return height / scale < _TIGHT


@dataclass
class Panes:
    """Which parts the user showed or hid, in the normal window and in a lecture; this overrides automatic hiding."""

    lecture: bool = False
    asked: dict[tuple[bool, str], bool] = field(default_factory=dict)

    def shown(self, scale: float, width: int, height: int) -> frozenset[str]:
        """The commands of the parts shown in a window of this size."""
        return frozenset(
            part.command
            for part in PARTS
            if self.asked.get(
                (self.lecture, part.command),
                not self.lecture and width / scale >= part.width and height / scale >= part.height,
            )
        )

    def toggle(self, command: str, shown: frozenset[str]) -> None:
        """Show a hidden part or hide a shown one."""
        self.asked[self.lecture, command] = command not in shown
