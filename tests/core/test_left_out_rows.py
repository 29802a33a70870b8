"""Rows of W_E without their largest components: it is said, and copied lines make the numbers that are shown."""

from dataclasses import replace

import pytest

from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import readout_of
from desktop_app.core.panels import MapPanel
from desktop_app.core.products import completed
from desktop_app.core.session.state import with_option
from desktop_app.core.steps import build_view, workspaces
from tests.scenes import open_tiny, panels, scene_of


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


def shown(model, key, **options):
    own = scene_of(model, "abcab")
    for name, value in options.items():
        own = replace(own, state=with_option(own.state, name, value))
    place = next(w for w in workspaces(model.config) if w.key == key)
    return completed(own, place.spec.wants, model), place


@pytest.mark.parametrize("rows", ["centred", "trimmed"])
@pytest.mark.parametrize(
    ("key", "cell", "options"),
    [
        ("directions", "directions.cosine", {"direction": "'a' - 'b' + 'c'"}),
        ("directions", "directions.cosine", {"direction": "blocks.1.mlp.W_out[3]"}),
        ("directions", "directions.cosine", {}),
        ("map", "map.token", {}),
        ("superposition", "superposition.pair", {}),
    ],
)
def test_copied_lines_make_the_numbers_that_are_shown(model, key, cell, options, rows):
    scene, place = shown(model, key, rows=rows, **options)
    made = {}
    exec(place.spec.numpy(scene, None), made)
    if key == "superposition":
        table = next(p for p in panels(build_view(scene, place).content) if isinstance(p, MapPanel))
        assert made["result"] == pytest.approx(table.values, abs=1e-5)
        return
    for token in (65, 80, 299):
        value = readout_of(scene, Cell(cell, (token,))).value
        assert made["result"][token] == pytest.approx(float(value.replace("−", "-")), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("key", "titles", "options"),
    [
        ("directions", ["Nearest by cosine"], {}),
        ("directions", ["Nearest by cosine"], {"direction": "'a' - 'b' + 'c' = 'd'"}),
        ("map", ["300 tokens", "Nearest by cosine"], {}),
        ("map", ["300 tokens", "Nearest by cosine"], {"map": "neighbours"}),
        ("superposition", ["Cosines between rows of W_E", "Interference"], {}),
    ],
)
def test_what_is_left_out_is_said(model, key, titles, options):
    scene, place = shown(model, key, rows="trimmed", **options)
    scene = completed(scene, place.spec.wants, model)  # the layout is wanted when its rows are there
    notes = {str(p.title): str(p.note) for p in panels(build_view(scene, place).content)}
    assert all("without the 3 largest components" in notes[title] for title in titles), notes
