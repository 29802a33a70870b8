"""The cell cursor: marks one cell on a page and is moved by keys, within a picture of cells and to other pictures."""

from desktop_app.core.asking.intents import Select
from desktop_app.core.panels import follows
from desktop_app.figures.marks import Cells, Page

Place = tuple[Cells, int, int]
"""A picture of cells, and the row and column of one of its cells."""


class CellCursor:
    """The state of the cursor: `at` is the place of its cell, or None while the cursor is off."""

    def __init__(self) -> None:
        self.at: Place | None = None

    def start(self, page: Page) -> bool:
        """Put the cursor on the first cell of the page's largest picture; return False if the page has no picture."""
        largest = _largest(page)
        self.at = None if largest is None else (largest, 0, largest.start)
        return self.at is not None

    def leave(self) -> None:
        """Turn the cursor off."""
        self.at = None

    def keep(self, page: Page, before: Page) -> None:
        """Carry the cursor over to a new layout, `page`, from the old one, `before`.

        It stays in the same picture or, if that is gone, enters the largest one. It keeps its row and column if the
        picture has them, and otherwise goes to the picture's first cell.
        """
        if self.at is None:
            return
        cells, row, column = self.at
        picture = page.again(cells, before) or _largest(page)
        if picture is None:
            self.at = None
        else:
            self.at = (picture, row, column) if picture.has(row, column) else (picture, 0, picture.start)

    def move(self, page: Page, down: int, across: int) -> Place:
        """Move by `down` rows and `across` columns, stopping at the picture's edge; return the new place.

        From a picture of a single cell, such as a word or a bar, the cursor moves to the nearest other such picture in
        that direction. The cursor must be on.
        """
        assert self.at is not None
        cells, row, column = self.at
        target = cells.moved(row, column, down, across)
        if target == (row, column) and (down or across) and cells.rows * cells.columns == 1:
            cells = page.neighbour(cells, down, across)
            target = (0, cells.start)
        self.at = (cells, *target)
        return self.at

    def switch(self, page: Page, by: int) -> Place:
        """Move `by` pictures further in the page's list of pictures, which wraps around, to the picture's first cell.

        Returns the new place. The cursor must be on.
        """
        assert self.at is not None
        index = next(n for n, cells in enumerate(page.cells) if cells is self.at[0])
        cells = page.cells[(index + by) % len(page.cells)]
        self.at = (cells, 0, cells.start)
        return self.at


def _largest(page: Page) -> Cells | None:
    return max(page.cells, key=lambda c: c.rect.w * c.rect.h, default=None)


def word_ahead(page: Page, x: float, y: float, down: int, across: int) -> tuple[float, float] | None:
    """The centre of the next word up, down, left or right of (x, y), in the text panel that contains this point.

    The direction is `down` or `across`, one of them 1 or -1 and the other 0. Only a panel whose numbers change with the
    word under the pointer counts (`panels.follows`); None if there is no such panel at the point, or no word ahead.
    Words without a number, which have no cell, are found, too.
    """
    text = next((rect for panel, rect in page.panels if follows(panel) and rect.holds(x, y)), None)
    if text is None:
        return None
    here = page.pick_at(x, y)
    x, y = (x, y) if here is None else here.rect.middle
    candidates = []
    for pick in page.picks:
        centre = pick.rect.middle
        ahead = (centre[1] - y) * down + (centre[0] - x) * across
        sideways = abs((centre[0] - x) * down) + abs((centre[1] - y) * across)
        if isinstance(pick.asks, Select) and text.holds(*centre) and ahead > max(1, sideways):
            candidates.append((ahead + 3 * sideways, *centre))
    return min(candidates)[1:] if candidates else None
