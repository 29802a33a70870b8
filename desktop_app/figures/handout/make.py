"""Makes the bytes of a hand-out from its sections."""

from collections.abc import Iterable

from desktop_app.core.program.bundle import ENGLISH
from desktop_app.figures.deck.lecture_material import words_of
from desktop_app.figures.handout.leaves import Leaf
from desktop_app.figures.handout.page import Handout


def handout(leaves: Iterable[Leaf], model: str, language: str = ENGLISH) -> tuple[bytes, int, list[str]]:
    """The page, the number of its sections, and what was left out to keep it small. Raises ExportError."""
    page: Handout | None = None
    count = 0
    for leaf in leaves:
        if page is None:
            page = Handout(leaf.slide.title, language)
        page.add(leaf)
        count += 1
    assert page is not None  # a lecture has a first and a last slide, and so has a story
    data, left = page.finish(words_of(language)["handout"]["about"].format(model=model))
    return data, count, left
