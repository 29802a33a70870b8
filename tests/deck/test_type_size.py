"""The decks read back: no word of a lecture or a story is smaller than 12 points, and none is over another."""

import os
import re
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from PIL import Image
from pptx import Presentation

from desktop_app.core.lessons.stories import shipped
from desktop_app.core.library.find import find_model
from desktop_app.core.model import open_model
from desktop_app.figures.deck import pieces, powerpoint
from desktop_app.figures.deck.lecture import Lecture
from desktop_app.figures.deck.template import own_design
from desktop_app.figures.deck.told import slides as story_slides
from desktop_app.figures.marks import Words
from tests.checkpoints import write_checkpoint
from tests.scenes import BUNDLED, scene_of

LEAST = 12.0
DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
SLOW = bool(os.environ.get("LOGITSCOPE_SLOW"))  # as in CI; all stories take a minute
OWN = [name for name in shipped() if not name.startswith("gpt2")] if SLOW else ["heads", "neurons", "size"]
OTHERS = [name for name in shipped() if name.startswith("gpt2")] if SLOW else ["gpt2-heads"]


class Measured(pieces.Draw):
    """Makes blank pictures, and keeps the type size of every word that would be in them."""

    def __init__(self, folder):
        super().__init__(folder, "x")
        self.sizes = []

    def _picture(self, paint, rect, page, name, alt):
        own = replace(page, marks=[], cells=[], picks=[])
        paint(rect, own)
        self.sizes += [(mark.size, mark.text) for mark in own.marks if isinstance(mark, Words) and mark.text.strip()]
        return pieces.Picture(rect, name, "blank.png", "blank.svg", alt)


@pytest.fixture(scope="module")
def bundled():
    return open_model(BUNDLED)


@pytest.fixture(scope="module")
def twelve(tmp_path_factory):
    """A model with as many blocks and heads as GPT-2 small, and the bundled model's vocabulary."""
    folder = tmp_path_factory.mktemp("models") / "twelve"
    size = open_model(BUNDLED).config.vocab_size
    write_checkpoint(folder, {"n_layer": 12, "n_head": 12, "n_embd": 96, "vocab_size": size, "n_positions": 128})
    for name in ("vocab.json", "merges.txt"):
        (folder / name).write_bytes((BUNDLED / name).read_bytes())
    return open_model(folder)


def deck_of(walk, folder):
    """(the deck's file, the type size and text of every word in its pictures)."""
    design, draw, parts = own_design("light"), Measured(folder), []
    Image.new("RGBA", (1, 1)).save(folder / "blank.png")
    (folder / "blank.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    for slide in walk:
        *_, room, _ = powerpoint.words_above(slide, design)
        composed = pieces.compose(
            slide.view.content, room, pieces.Look("light", 1.0, slide.large, slide.language), draw
        )
        assert slide.kind != "step" or composed, slide.title
        for piece in composed:
            assert piece.place.y + piece.place.h <= room.y + room.h + 6, (slide.title, piece)
        parts.append(composed)
    powerpoint.build(design, [slide.without_content() for slide in walk], parts, folder, folder / "deck.pptx")
    return folder / "deck.pptx", draw.sizes


def sizes_in(path):
    """The type sizes in points that a deck's slides, charts, layouts and master give, each with its part's name."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if re.match(r"ppt/(slides|charts|slideLayouts|slideMasters)/[^/]+\.xml$", name):
                for element in ElementTree.fromstring(archive.read(name)).iter():
                    if element.tag in (f"{DRAWING}rPr", f"{DRAWING}defRPr") and "sz" in element.attrib:
                        yield int(element.get("sz")) / 100, name


def check(walk, folder):
    path, drawn = deck_of(walk, folder)
    read = list(sizes_in(path))
    assert min(read)[0] >= LEAST - 0.01, min(read)
    assert not drawn or min(drawn)[0] >= LEAST - 0.01, min(drawn)
    titles = [slide.shapes.title.text_frame.text for slide in Presentation(path).slides]
    assert len(set(titles)) == len(titles) == len(walk)


@pytest.mark.parametrize("name", OWN)
def test_no_word_of_a_story_that_ships_is_smaller_than_12_points(name, tmp_path):
    opened = {}
    check(list(story_slides(shipped()[name], lambda n: opened.setdefault(n, open_model(find_model(n))))), tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_nor_of_a_story_on_a_model_of_12_blocks_with_12_heads(twelve, name, tmp_path):
    check(list(story_slides(shipped()[name], lambda _: twelve)), tmp_path)


@pytest.mark.parametrize("language", ["en", "de"])
def test_nor_of_a_lecture(bundled, twelve, language, tmp_path):
    for model in (bundled, twelve):
        check(
            list(Lecture(scene_of(model, "The cat sat on the mat. The cat sat on"), model, language).slides()), tmp_path
        )


def test_a_value_before_a_cut_has_a_bar_and_a_number_of_its_own(bundled, tmp_path):
    """One bar framing another would cross the number at the shorter one's end."""
    walk = list(Lecture(scene_of(bundled, "The cat sat on the mat. The cat sat on"), bundled).slides())
    path, _ = deck_of(walk, tmp_path)
    pairs = [s.chart for slide in Presentation(path).slides for s in slide.shapes if s.has_chart]
    pairs = [chart for chart in pairs if len(chart.plots[0].series) == 2]
    assert pairs
    for chart in pairs:
        (plot,) = chart.plots
        assert plot.overlap == 0 and all(series.data_labels.show_value for series in plot.series)
        assert plot.series[0].name != plot.series[1].name
