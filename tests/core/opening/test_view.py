"""The view of an opened number says that number, shows its operands' cells, and makes it again."""

import numpy as np
import pytest

from desktop_app.core.levels import number, percent
from desktop_app.core.opening.cells import Cell, read_cell
from desktop_app.core.opening.view import PROBABILITY, opening_view
from desktop_app.core.panels import BarsPanel, StripsPanel, TextPanel
from desktop_app.figures import fonts
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Page, Words
from desktop_app.figures.theme import LIGHT
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.sampling import Sampling
from tests.scenes import open_tiny, panels, scene_of


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    model = open_tiny(tmp_path_factory.mktemp("models") / "tiny")
    return scene_of(model, sampling=Sampling(0.7, 20, 0.9))


def lines(view):
    return {line.label: line for p in panels(view.content) if isinstance(p, TextPanel) for line in p.lines}


def read_back(said):
    """A number as a person reads it: −1.234·10⁻⁵, −∞."""
    said = said.replace("−", "-").replace("∞", "inf").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return float(said.replace("·10", "e"))


def test_every_tensor_opens_to_a_view_that_says_its_value_and_makes_it_again(scene):
    rng = np.random.default_rng(3)
    for name, tensor in scene.trace.table.items():
        shape = tensor.spec.shape(scene.config, len(scene.trace))
        index = tuple(int(rng.integers(n)) for n in shape)
        view = opening_view(scene, Cell(name, index))
        value = scene.trace[name][index]
        before, said = view.title.split(" = ")
        assert before == name
        assert said == str(value) if name == "tokens" else read_back(said) == pytest.approx(value, rel=5.1e-4)
        if tensor.inputs:
            assert "more than rounding" not in lines(view)["recomputed"].remark, view.title
        page = Page(LIGHT, fonts.width)
        place_view(view, 700, 400, page)
        assert said in " ".join(mark.text for mark in page.marks if isinstance(mark, Words))


def test_strips_and_bars_of_an_opening_lead_to_the_cells_that_they_show(scene):
    weights = scene.checkpoint.weights
    view = opening_view(scene, Cell("blocks.1.attn.q", (1, 4, 3)))
    found = 0
    for panel in panels(view.content):
        if isinstance(panel, StripsPanel):
            for strip in panel.strips:
                for column in (0, len(strip.values) - 1) if strip.source else ():
                    cell = Cell(strip.source.name, strip.source.at(0, column))
                    assert read_cell(scene.trace, weights, cell) == pytest.approx(strip.values[column], rel=1e-6)
                    found += 1
        if isinstance(panel, BarsPanel):
            for bar in panel.bars:
                if bar.source:
                    assert read_cell(scene.trace, weights, Cell(*bar.source)) == pytest.approx(bar.value, rel=1e-6)
                    found += 1
    assert found == 5  # both ends of x and of W_Q's column, and the bias


def test_a_probability_opens_to_its_whole_chain(scene):
    stages = scene.stages
    token = int(scene.ranked.order[1])
    shown = lines(opening_view(scene, Cell(PROBABILITY, (scene.position, token))))
    assert list(shown) == ["logit", "÷ temperature", "softmax", "top-k", "top-p", "final"]
    assert shown["logit"].text == number(float(scene.trace.logits(scene.position)[token]))
    assert shown["final"].text == percent(stages.probability_of(token))


def test_a_token_that_was_cut_says_where(scene):
    token = int(scene.ranked.order[25])
    shown = lines(opening_view(scene, Cell(PROBABILITY, (scene.position, token))))
    assert "top-p" not in shown
    assert shown["top-k"].remark == "cut by top-k"
    assert shown["final"].text == "0 %"


def test_a_cell_that_is_not_there_is_refused_by_its_name(scene):
    with pytest.raises(ModelError, match=r"blocks.0.attn.scores has shape"):
        opening_view(scene, Cell("blocks.0.attn.scores", (99, 0, 0)))
    with pytest.raises(ModelError, match="no tensor"):
        opening_view(scene, Cell("blocks.0.attn.score", (0, 0, 0)))


def test_a_token_id_is_written_as_a_name_and_never_drawn_as_an_amount(scene):
    ids = scene.trace.ids
    opened = opening_view(scene, Cell("tokens", (2,)))
    assert lines(opened)["with numbers"].text == str(ids[2])
    (made_from, *_) = (
        p for p in panels(opening_view(scene, Cell("embed", (2, 1))).content) if isinstance(p, BarsPanel)
    )
    token = made_from.bars[0]
    assert (token.source, token.value, token.text) == (("tokens", (2,)), float(ids[2]), str(ids[2]))
    assert not made_from.drawn
    assert token.remark == scene.tokenizer.quoted(ids[2])
