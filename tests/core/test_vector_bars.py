"""The summary of a vector, shown before all its numbers, equals plain numpy on the tensors."""

import numpy as np
import pytest

from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import readout_of
from desktop_app.core.panels import Bar, BarsPanel, Box, MapPanel, TextPanel, View
from desktop_app.core.steps import build_view, find_step
from desktop_app.core.views.common import LEGIBLE, compared
from desktop_app.figures import fonts
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Fill, Page
from desktop_app.figures.theme import LIGHT
from tests.scenes import open_tiny, panels, scene_of

TOKEN = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


def shown(model, key):
    scene = scene_of(model, layer=1, head=2, token=TOKEN)
    return scene, list(panels(build_view(scene, find_step(key, model.config)).content))


def bars(found, title):
    return next(p for p in found if isinstance(p, BarsPanel) and p.title.startswith(title)).bars


@pytest.mark.parametrize(
    ("key", "tensor", "title"),
    [
        ("embed", "embed", "Strongest dimensions"),
        ("pos_embed", "pos_embed", "Strongest dimensions"),
        ("blocks.1.ln1", "blocks.1.resid_pre", "Strongest before"),
        ("blocks.1.ln2", "blocks.1.ln2.out", "Strongest after"),
        ("blocks.1.attn.concat", "blocks.1.attn.concat", "Strongest dimensions"),
        ("blocks.1.mlp_out", "blocks.1.mlp_out", "Strongest dimensions"),
    ],
)
def test_the_strongest_dimensions_are_named_with_their_signs_and_open(model, key, tensor, title):
    scene, found = shown(model, key)
    row = scene.trace.read(tensor, row=TOKEN)
    order = np.argsort(-np.abs(row), kind="stable")[:6]
    assert [(b.label, b.value) for b in bars(found, title)] == [(f"dim {i}", float(row[i])) for i in order]
    for bar in bars(found, title):
        assert readout_of(scene, Cell(*bar.source)).value == bar.text


@pytest.mark.parametrize("key", ["embed", "sum", "blocks.1.resid_mid"])
def test_other_tokens_stand_in_the_order_of_their_cosines(model, key):
    scene, found = shown(model, key)
    rows = scene.trace.read({"sum": "blocks.0.resid_pre"}.get(key, key)).astype(np.float64)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit[TOKEN]
    listed = bars(found, "Most like")
    others = np.delete(rows, TOKEN, axis=0)
    _, firsts, counts = np.unique(others, axis=0, return_index=True, return_counts=True)
    distinct = np.delete(cosines, TOKEN)[firsts]  # equal rows, of one token at several positions, are one bar
    assert [b.value for b in listed] == pytest.approx(sorted(distinct)[::-1][:6])
    assert ("," in "".join(b.label.rpartition(" ")[0] for b in listed)) == bool((counts > 1).any())
    assert all(b.value == pytest.approx(cosines[b.pick.position]) for b in listed)


def test_a_sum_says_what_changed_and_how_far_it_turned(model):
    scene, found = shown(model, "blocks.1.resid_post")
    before, after = (
        scene.trace.read(f"blocks.1.{n}", row=TOKEN).astype(np.float64) for n in ("resid_mid", "resid_post")
    )
    moved = after - before
    order = np.argsort(-np.abs(moved), kind="stable")[:6]
    assert [b.label for b in bars(found, "Changed most")] == [f"dim {i}" for i in order]
    assert [b.value for b in bars(found, "Changed most")] == pytest.approx(moved[order])
    turn = np.degrees(np.arccos(before @ after / np.linalg.norm(before) / np.linalg.norm(after)))
    words = next(p for p in found if isinstance(p, TextPanel) and p.title == "As arrows")
    assert words.lines[2].text == f"{turn:.0f}°"


def test_heads_stand_in_the_order_of_what_they_write(model):
    scene, found = shown(model, "blocks.1.attn_out")
    z = scene.trace.read("blocks.1.attn.z", row=TOKEN).astype(np.float64)
    weights = scene.checkpoint.weights["blocks.1.attn.W_O"].astype(np.float64)
    written = [np.linalg.norm(z[h] @ weights[h * 8 : (h + 1) * 8]) for h in range(3)]
    listed = bars(found, "What each head writes")
    assert [b.value for b in listed] == pytest.approx(sorted(written)[::-1])
    assert [b.pick.head for b in listed] == np.argsort(written)[::-1].tolist()


@pytest.mark.parametrize("key", ["embed", "pos_embed", "sum", "blocks.1.ln1", "blocks.1.resid_mid", "blocks.1.mlp_out"])
def test_all_numbers_as_colours_stand_last(model, key):
    _, found = shown(model, key)
    kinds = [isinstance(panel, MapPanel) for panel in found]
    assert any(kinds) and kinds == sorted(kinds)


@pytest.mark.parametrize(("times", "one"), [(1.0, True), (4.0, True), (9.0, False)])
def test_bars_side_by_side_have_one_scale_or_say_that_each_has_its_own(times, one):
    bars = Bar("short", 1.0, "1", "in three words"), Bar("a much longer name", times, "4.0000")
    given = [BarsPanel(title="one", note="by size", bars=(bar,)) for bar in bars]
    page = Page(LIGHT, fonts.width)
    place_view(View("", "", Box((compared(*given, least=LEGIBLE),))), 800, 300, page)
    small, large = (mark.rect.w for mark in page.marks if isinstance(mark, Fill))
    assert (large / small == pytest.approx(times)) == one
    assert all("own scale" in panel.note for panel, _ in page.panels) == (not one)
