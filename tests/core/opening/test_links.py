"""Cells light what they came from and what they feed: held to what really changes when a number changes."""

import numpy as np
import pytest

from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.links import computed_from, feeds
from desktop_app.core.panels import Source
from desktop_app.figures.marks import Cells, Rect
from desktop_app.gpt2.formula import Place
from tests.scenes import open_tiny, scene_of


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return scene_of(open_tiny(tmp_path_factory.mktemp("models") / "tiny"))


def recompute(scene, tensor, changed):
    """A tensor from its inputs, with some of these replaced."""
    weights = scene.checkpoint.weights
    operands = [
        changed.get(n, weights[n] if n in weights else scene.trace[n]).astype(np.float64 if n != "tokens" else np.int64)
        for n in tensor.inputs
    ]
    place = Place(scene.config, tensor.layer or 0, np.arange(len(scene.trace)))
    return tensor.spec.formula.evaluate(place, *operands)


def covered(shape, index):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(None) if i is None else i for i in index)] = True
    return mask


def names(scene):
    last = f"blocks.{scene.config.n_layer - 1}."
    return [n for n in scene.trace.table if not n.startswith("blocks.") or n.startswith(last)]


def test_what_a_cell_feeds_is_where_a_change_of_it_shows(scene):
    rng = np.random.default_rng(0)
    for name in names(scene):
        if name == "tokens":
            continue
        value = scene.trace[name].astype(np.float64)
        index = tuple(int(rng.integers(n)) for n in value.shape)
        if not np.isfinite(value[index]):
            continue
        value[index] += 0.5
        for region in feeds(scene.trace, Cell(name, index)):
            tensor = scene.trace.table[region.name]
            changed = ~np.isclose(recompute(scene, tensor, {name: value}), recompute(scene, tensor, {}), equal_nan=True)
            lit = covered(changed.shape, region.index)
            assert not (changed & ~lit).any(), f"{name}{index} changes {region.name} where nothing is lit"


def test_what_a_cell_came_from_is_all_that_can_change_it(scene):
    rng = np.random.default_rng(1)
    for name in names(scene):
        tensor = scene.trace.table[name]
        if not tensor.inputs or name == "embed":
            continue
        shape = tensor.spec.shape(scene.config, len(scene.trace))
        index = tuple(int(rng.integers(n)) for n in shape)
        regions = computed_from(scene.trace, Cell(name, index))
        noise = {}
        for source in tensor.inputs:
            values = scene.checkpoint.weights.get(source)
            values = (scene.trace[source] if values is None else values).astype(np.float64)
            keep = np.zeros(values.shape, bool)
            for region in regions:
                if region.name == source:
                    keep |= covered(values.shape, region.index)
            noise[source] = np.where(keep, values, values + 0.3)
        assert np.isclose(recompute(scene, tensor, noise)[index], recompute(scene, tensor, {})[index]), name


def test_lit_cells_of_a_grid_are_its_row():
    cells = Cells(Rect(10, 20, 40, 40), 4, 4, np.zeros((4, 4)), Source("a", (2, "row", "col")), "")
    assert cells.lit("a", (2, 1, None)) == Rect(10, 30, 40, 10)
    assert cells.lit("a", (1, 1, None)) is None
    assert cells.lit("b", (2, 1, None)) is None


def test_lit_cells_of_heads_side_by_side_are_one_head():
    cells = Cells(Rect(0, 0, 60, 10), 1, 6, np.zeros((1, 6)), Source("q", ("group", 3, "within"), group=3), "", 0, 6)
    assert cells.lit("q", (1, 3, None)) == Rect(30, 0, 30, 10)
    assert cells.lit("q", (1, 3, 2)) == Rect(50, 0, 10, 10)
