"""Tiles of the sheet: drawn in a thread when they become visible, and cached up to a limit."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from desktop_app.core.sheet.layout import Plate, Sheet
from desktop_app.core.sheet.values import SheetValues
from desktop_app.figures.paint_sheet import Numbers
from desktop_app.figures.sheet_tiles import TILE, compose
from desktop_app.figures.theme import Theme
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.system import give_back_memory
from desktop_app.ui.desks.lanes import Lane
from desktop_app.ui.picture.painting import packed_image

_KEPT = 160  # tiles of 256 KB each: enough for three windows
_KEPT_NUMBERS = 64
Key = tuple[int, int, int]
"""(units per pixel, column of the tile, row of the tile)"""


@dataclass(frozen=True, eq=False)
class Ground:
    """What tiles are drawn from; tiles drawn from anything else cannot be used."""

    sheet: Sheet
    values: SheetValues | None
    theme: Theme

    def same_numbers(self, other: "Ground") -> bool:
        """Whether both show the same numbers, whatever their colours."""
        one, two = self.values, other.values
        same = one is two if one is None or two is None else one.same_numbers(two)
        return self.sheet is other.sheet and same

    def same_picture(self, other: "Ground") -> bool:
        """Whether tiles drawn from one are valid for the other."""
        one, two = self.values, other.values
        colours = one is two or (one is not None and two is not None and one.same_colours(two))
        return self.same_numbers(other) and self.theme == other.theme and colours


class Tiles(QObject):
    """Caches the tiles of one sheet that were visible last, and draws the visible ones, one after the other."""

    arrived = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.lane = Lane("sheet", self)
        self.lane.answered.connect(self._take)
        self.lane.failed.connect(self._fail)
        self._ground: Ground | None = None
        self._tiles: OrderedDict[Key, QImage] = OrderedDict()
        self._numbers: OrderedDict[int, Numbers] = OrderedDict()
        self._wanted: list[Key] = []
        self._wanted_numbers: list[tuple[int, range, range]] = []
        self._asked: object = None
        self._given_up: set[object] = set()
        self._untidy = False  # whether drawing tiles has left memory behind that is not used now
        self.made = 0
        """How many tiles were drawn, for tests."""

    def show(self, ground: Ground) -> None:
        """Make tiles from these inputs from now on."""
        before = self._ground
        if before is not None and before.same_picture(ground):
            return
        self._ground = ground
        self.lane.cancel()
        self._asked = None
        self._tiles.clear()
        self._given_up.clear()
        if before is None or not before.same_numbers(ground):
            self._numbers.clear()

    def drop(self) -> None:
        """Release everything."""
        self.lane.cancel()
        self._ground = self._asked = None
        self._tiles.clear()
        self._numbers.clear()

    def get(self, key: Key) -> QImage | None:
        """A tile, if it is cached."""
        found = self._tiles.get(key)
        if found is not None:
            self._tiles.move_to_end(key)
        return found

    @property
    def numbers(self) -> dict[int, Numbers]:
        """The cached numbers, by plate."""
        return dict(self._numbers)

    @property
    def held(self) -> int:
        """Bytes of the cached tiles."""
        return sum(image.sizeInBytes() for image in self._tiles.values())

    def want(self, keys: Sequence[Key], numbers: Sequence[tuple[int, range, range]]) -> None:
        """Set what is visible, the most urgent first; earlier requests that are not visible any more are dropped."""
        self._wanted = [key for key in keys if key not in self._tiles and key not in self._given_up]
        self._wanted_numbers = [want for want in numbers if not self._has(want) and want not in self._given_up]
        self._next()

    def _has(self, want: tuple[int, range, range]) -> bool:
        plate, rows, columns = want
        there = self._numbers.get(plate)
        return there is not None and (
            there.rows.start <= rows.start
            and there.rows.stop >= rows.stop
            and there.columns.start <= columns.start
            and there.columns.stop >= columns.stop
        )

    def _next(self) -> None:
        ground = self._ground
        if ground is None or self._asked is not None:
            return
        if not (self._wanted or self._wanted_numbers):
            if self._untidy:
                self._untidy = False
                self.lane.submit(lambda _stop: give_back_memory(), in_turn=True)
            return
        if self._wanted:
            key = self._wanted.pop(0)
            self._asked = key

            def work(stop: Stop) -> tuple[Any, ...]:
                units, column, row = key
                origin = row * TILE, column * TILE
                size = TILE, TILE
                pixels = compose(ground.sheet, ground.values, ground.theme, units, origin, size, stop.check)
                return ground, key, packed_image(pixels)

            self.lane.submit(work, in_turn=True)
            return
        want = self._wanted_numbers.pop(0)
        self._asked = want
        plate: Plate = ground.sheet.plates[want[0]]

        def read(_stop: Stop) -> tuple[Any, ...]:
            assert ground.values is not None
            cells, shades = ground.values.cells(plate, *want[1:]), ground.values.shades(plate, *want[1:])
            return ground, want, Numbers(want[1], want[2], cells, shades)

        self.lane.submit(read, in_turn=True)

    def _take(self, answer: tuple[Any, ...]) -> None:
        ground, key, made = answer
        self._asked = None
        if ground is not self._ground:
            self._next()
            return
        if isinstance(made, Numbers):
            self._numbers[key[0]] = made
            self._numbers.move_to_end(key[0])
            while len(self._numbers) > _KEPT_NUMBERS:
                self._numbers.popitem(last=False)
        else:
            self.made += 1
            self._untidy = True
            self._tiles[key] = made
            while len(self._tiles) > _KEPT:
                self._tiles.popitem(last=False)
        self.arrived.emit()
        self._next()

    def _fail(self, _words: str) -> None:
        """Ignore the failure, which is in the log; what cannot be made is not requested again."""
        self._given_up.add(self._asked)
        self._asked = None
        self._next()

    def close(self) -> None:
        """End the thread and release the pass."""
        self._wanted, self._wanted_numbers = [], []
        self.drop()
        self.lane.close()
