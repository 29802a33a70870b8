"""A tiny model, and decks made from it in this process, without workers."""

from pathlib import Path

import pytest
from PIL import Image

from desktop_app.figures.deck import pieces, powerpoint
from desktop_app.figures.deck.template import own_design
from desktop_app.figures.deck.walk import choose, slides
from tests.scenes import open_tiny, scene_of


class Blank(pieces.Draw):
    """Makes blank pictures: drawing is what takes longest."""

    def _picture(self, _paint, rect, _page, name, alt):
        Image.new("RGBA", (1, 1)).save(self._folder / "blank.png")
        (self._folder / "blank.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
        return pieces.Picture(rect, name, "blank.png", "blank.svg", alt)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A model of 2 blocks of 3 heads with 256 positions; every byte is a token."""
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def build(tmp_path):
    """A function that makes a PPTX of a scene's steps in this process; its pictures are blank unless `drawn`."""

    def make(scene, selection, *, theme="light", design=None, name="deck.pptx", captions=True, drawn=False) -> Path:
        design = design or own_design(theme)
        folder = tmp_path / "parts"
        folder.mkdir(exist_ok=True)
        walk = list(slides(scene, choose(scene.config, selection), captions=captions))
        parts = []
        for n, slide in enumerate(walk):
            *_, room, _ = powerpoint.words_above(slide, design)
            draw = (pieces.Draw if drawn else Blank)(folder, f"{n:04d}")
            look = pieces.Look(design.theme, design.scale, slide.large, slide.language)
            parts.append(pieces.compose(slide.view.content, room, look, draw))
        powerpoint.build(design, [slide.without_content() for slide in walk], parts, folder, tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def scene(tiny):
    """A scene of a short text, with a head and a token that are not the default."""
    return scene_of(tiny, "The cat sat", head=1, token=6)
