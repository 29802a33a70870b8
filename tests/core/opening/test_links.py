"""Cells light what they came from and what they feed: held to what really changes when a number changes."""

import numpy as np
import pytest

from desktop_app.core.opening.cells import Cell, Region
from desktop_app.core.opening.links import computed_from, feeds
from desktop_app.core.panels import Source
from desktop_app.figures.marks import Cells, Rect
from desktop_app.gpt2.formula import Place
from desktop_app.gpt2.tensors import tensor_table
from tests.scenes import open_tiny, scene_of

CELLS = 4  # of each tensor


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return scene_of(open_tiny(tmp_path_factory.mktemp("models") / "tiny"), "The cat sat")


def values_of(scene, name):
    weights = scene.checkpoint.weights
    values = weights[name] if name in weights else scene.trace[name]
    return values.astype(np.int64 if name == "tokens" else np.float64)


def recompute(scene, tensor, changed):
    """A tensor from its inputs, with some of these replaced."""
    operands = [changed[n] if n in changed else values_of(scene, n) for n in tensor.inputs]
    place = Place(scene.config, tensor.layer or 0, np.arange(len(scene.trace)))
    return tensor.spec.formula.evaluate(place, *operands)


def differs(scene, tensor, changed):
    """Which cells of a tensor are others once some inputs are replaced."""
    return ~np.isclose(recompute(scene, tensor, changed), recompute(scene, tensor, {}), 1e-12, 1e-12, equal_nan=True)


def covered(shape, regions):
    mask = np.zeros(shape, bool)
    for region in regions:
        mask[tuple(slice(None) if i is None else i for i in region.index)] = True
    return mask


def later(length):
    """[query, key]: keys that come after the query."""
    return np.triu(np.ones((length, length), bool), 1)


def hidden(tensor, source, cell, length):
    """Cells of `tensor` that read a cell of `source`, and cannot change with it: the mask or a weight of 0 is between.

    Of a row with a single score, that of the first query, the softmax is 1 whatever the score.
    """
    part = tensor.name.rsplit(".", 1)[-1]
    if part == "masked":
        return later(length)
    if part == "pattern":
        return later(length) | (np.arange(length) == 0)[:, None]
    if part == "z" and source.endswith(".v"):
        return (np.arange(length) < cell.index[1])[:, None]
    return np.zeros((), bool)


def names(scene):
    """The tensors outside the blocks, and those of the first and the last one."""
    last = f"blocks.{scene.config.n_layer - 1}."
    return [n for n in scene.trace.table if not n.startswith("blocks.") or n.startswith(("blocks.0.", last))]


def cells(rng, name, shape):
    return [Cell(name, tuple(int(rng.integers(n)) for n in shape)) for _ in range(CELLS)]


def moved(values, index, name, scene):
    """The values of a tensor with one cell another: a little more, or of tokens another token."""
    values = values.copy()
    values[index] = (values[index] + 1) % scene.config.vocab_size if name == "tokens" else values[index] + 0.37
    return values


def test_what_a_cell_feeds_is_what_a_change_of_it_changes(scene):
    rng, count = np.random.default_rng(0), 0
    weights = [n for n in scene.checkpoint.weights if not n.startswith("blocks.0.")]
    for name in [*names(scene), *weights]:
        values = values_of(scene, name)
        for cell in cells(rng, name, values.shape):
            if not np.isfinite(values[cell.index]):
                continue
            regions = feeds(scene.trace, cell)
            after = [t for t in scene.trace.table.values() if name in t.inputs]
            assert {region.name for region in regions} <= {tensor.name for tensor in after}
            for tensor in after:
                changed = differs(scene, tensor, {name: moved(values, cell.index, name, scene)})
                lit = covered(changed.shape, [r for r in regions if r.name == tensor.name])
                assert not (changed & ~lit).any(), f"{cell} changes {tensor.name} where nothing is lit"
                expected = lit & ~hidden(tensor, name, cell, len(scene.trace))
                assert np.array_equal(changed, expected), f"{cell} lights what it does not change in {tensor.name}"
                count += int(changed.any())
    assert count > 4 * len(scene.trace.table) / 2


def test_every_tensor_s_formula_has_a_letter_for_each_of_its_axes(scene):
    edited = frozenset(name for name, tensor in scene.trace.table.items() if tensor.editable)
    assert edited
    for table in (scene.trace.table, tensor_table(scene.config, edited)):
        assert {name for name, t in table.items() if len(t.spec.formula.cell) != len(t.axes)} == set()


def test_an_id_was_computed_from_nothing(scene):
    assert computed_from(scene.trace, Cell("tokens", (2,))) == ()


def test_a_row_of_a_table_feeds_the_tokens_that_look_it_up(scene):
    ids = scene.trace.ids
    again = next(i for i in range(len(ids)) if ids.count(ids[i]) > 1)
    rows = [i for i, token in enumerate(ids) if token == ids[again]]
    assert [region.index for region in feeds(scene.trace, Cell("embed.W_E", (ids[again], 5)))] == [(i, 5) for i in rows]
    absent = next(token for token in range(scene.config.vocab_size) if token not in ids)
    assert feeds(scene.trace, Cell("embed.W_E", (absent, 5))) == ()
    assert feeds(scene.trace, Cell("pos_embed.W_pos", (len(ids), 0))) == ()


def test_what_a_cell_came_from_is_what_can_change_it(scene):
    rng = np.random.default_rng(1)
    for name in names(scene):
        tensor = scene.trace.table[name]
        if not tensor.inputs:
            continue
        for cell in cells(rng, name, scene.trace[name].shape):
            regions = computed_from(scene.trace, cell)
            assert [region.name for region in regions] == list(tensor.inputs)
            for source, region in zip(tensor.inputs, regions, strict=True):
                values = values_of(scene, source)
                lit = covered(values.shape, [region])
                # All that is dark may change at once and the cell stays; each that is lit changes it alone.
                if source != "tokens":
                    noise = np.where(lit, values, values + 0.37)
                    assert not differs(scene, tensor, {source: noise})[cell.index], f"{source} changes {cell} unlit"
                for index in map(tuple, np.argwhere(lit)):
                    changes = differs(scene, tensor, {source: moved(values, index, source, scene)})[cell.index]
                    read = Cell(source, tuple(int(i) for i in index))
                    deaf = np.broadcast_to(hidden(tensor, source, read, len(scene.trace)), scene.trace[name].shape)
                    unheard = not np.isfinite(values[index]) or bool(deaf[cell.index])
                    assert changes or unheard, f"{read} is lit for {cell} and does not change it"


def test_lit_cells_of_a_grid_are_its_row():
    cells = Cells(Rect(10, 20, 40, 40), 4, 4, np.zeros((4, 4)), Source("a", (2, "row", "col")), "")
    assert cells.lit(Region("a", (2, 1, None))) == Rect(10, 30, 40, 10)
    assert cells.lit(Region("a", (1, 1, None))) is None
    assert cells.lit(Region("b", (2, 1, None))) is None


def test_lit_cells_of_heads_side_by_side_are_one_head():
    cells = Cells(Rect(0, 0, 60, 10), 1, 6, np.zeros((1, 6)), Source("q", ("group", 3, "within"), group=3), "", 0, 6)
    assert cells.lit(Region("q", (1, 3, None))) == Rect(30, 0, 30, 10)
    assert cells.lit(Region("q", (1, 3, 2))) == Rect(50, 0, 10, 10)
