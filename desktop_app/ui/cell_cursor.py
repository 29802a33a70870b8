"""The cell cursor: a cell of a page, moved by arrow keys within a picture and from one picture to the next."""

from desktop_app.core.intents import Select
from desktop_app.core.panels import follows
from desktop_app.figures.marks import Cells, Page

Place = tuple[Cells, int, int]
"""A picture of cells, and a row and column in it."""


class CellCursor:
    """Holds the cursor's cell in `at`; None while there is no cursor."""

    def __init__(self) -> None:
        self.at: Place | None = None

    def start(self, page: Page) -> bool:
        """Go into the largest picture of cells; return whether there is one."""
        largest = _largest(page)
        self.at = None if largest is None else (largest, 0, largest.start)
        return self.at is not None

    def leave(self) -> None:
        """Remove the cursor."""
        self.at = None

    def keep(self, page: Page, before: Page) -> None:
        """After a new layout, stay in the same cell of the same picture if it still exists; `before` is the old one."""
        if self.at is None:
            return
        cells, row, column = self.at
        here = page.again(cells, before) or _largest(page)
        stays = here is not None and here.has(row, column)  # the same picture may have fewer cells now
        self.at = None if here is None else (here, row, column) if stays else (here, 0, here.start)

    def move(self, page: Page, down: int, across: int) -> Place:
        """Move by so many rows and columns; from a picture of a single cell (a word, a bar), to its neighbour."""
        assert self.at is not None
        cells, row, column = self.at
        there = cells.moved(row, column, down, across)
        if there == (row, column) and (down or across) and cells.rows * cells.columns == 1:
            cells = page.neighbour(cells, down, across)
            there = (0, cells.start)
        self.at = (cells, *there)
        return self.at

    def switch(self, page: Page, by: int) -> Place:
        """Go to the first cell of the picture that comes `by` pictures later on the page."""
        assert self.at is not None
        at = next(n for n, cells in enumerate(page.cells) if cells is self.at[0])
        cells = page.cells[(at + by) % len(page.cells)]
        self.at = (cells, 0, cells.start)
        return self.at


def _largest(page: Page) -> Cells | None:
    return max(page.cells, key=lambda c: c.rect.w * c.rect.h, default=None)


def word_ahead(page: Page, x: float, y: float, down: int, across: int) -> tuple[float, float] | None:
    """The middle of the nearest word in a direction from a point, in the text that follows the pointer there, if any.

    A word is also found if no number is shown for it.
    """
    text = next((rect for panel, rect in page.panels if follows(panel) and rect.holds(x, y)), None)
    if text is None:
        return None
    own = page.pick_at(x, y)
    x, y = (x, y) if own is None else own.rect.middle
    ahead = []
    for pick in page.picks:
        word = pick.rect.middle
        far = (word[1] - y) * down + (word[0] - x) * across
        aside = abs((word[0] - x) * down) + abs((word[1] - y) * across)
        if isinstance(pick.asks, Select) and text.holds(*word) and far > max(1, aside):
            ahead.append((far + 3 * aside, *word))
    return min(ahead)[1:] if ahead else None
