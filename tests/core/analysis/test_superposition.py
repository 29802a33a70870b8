"""Superposition and the map: counts of a worked example, numpy's own cosines, neighbours found exactly and kept."""

import numpy as np
import pytest

from desktop_app.core.analysis import directions, kept_layout, layout, superposition
from desktop_app.core.views.embedding_map import KINDS, kind_of
from desktop_app.gpt2.errors import Cancelled, ModelError
from desktop_app.gpt2.session import Stop
from tests.checkpoints import random_weights
from tests.scenes import CONFIG, open_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


def test_directions_are_kept_if_every_two_are_within_the_cosine():
    # At 0, 10, 90 and 100 degrees: for 0.2 the second is too close to the first, and the fourth too close to the third.
    turned = np.radians([0, 10, 90, 100])
    vectors = np.stack([np.cos(turned), np.sin(turned)], 1)
    assert superposition.packed(vectors @ vectors.T, 0.2) == 2
    assert superposition.packed(vectors @ vectors.T, 0.99) == 4
    assert superposition.packed(np.eye(5), 0.0) == 5


def test_angles_of_random_directions_spread_by_one_over_the_root_of_the_width():
    vectors = np.random.default_rng(1).standard_normal((400, 64))
    made = superposition.angles(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    assert made.spread == pytest.approx(64**-0.5, rel=0.02) and made.spread_random == pytest.approx(64**-0.5, rel=0.02)
    assert made.own.sum() == pytest.approx(1) and made.random.sum() == pytest.approx(1)
    assert made.bound == pytest.approx([np.exp(64 * e * e / 4) for e in superposition.WITHIN])
    assert (np.diff(made.packed) >= 0).all() and made.packed[-1] <= made.count == 400


def test_interference_is_the_cosine_of_the_centred_rows(model):
    table = model.checkpoint.weights["embed.W_E"].astype(np.float64)
    centred = table - table.mean(0)
    found = superposition.interference(superposition.rows_of(model.checkpoint, [4, 80]))
    expected = centred[4] @ centred[80] / np.linalg.norm(centred[4]) / np.linalg.norm(centred[80])
    assert found == pytest.approx(np.array([[1, expected], [expected, 1]]), abs=1e-5)


def test_a_neurons_tokens_are_the_ends_of_what_it_reads_and_writes(model):
    w = {name: array.astype(np.float64) for name, array in model.checkpoint.weights.items()}
    for layer, neuron in ((0, 3), (1, 50)):
        made = superposition.neuron_tokens(model.checkpoint, layer, neuron)
        if layer == 0:
            e = w["embed.W_E"]
            e = e - e.mean(1, keepdims=True)
            e /= np.sqrt((e**2).mean(1, keepdims=True) + 1e-5)
            pushed = e @ (w["blocks.0.ln2.w"] * w["blocks.0.mlp.W_in"][:, neuron])
            assert made.up.tolist() == np.argsort(-pushed)[:8].tolist()
            assert made.down_number == pytest.approx(np.sort(pushed)[:8], rel=1e-3, abs=1e-4)
        written = w[f"blocks.{layer}.mlp.W_out"][neuron]
        logits = ((written - written.mean()) * w["ln_final.w"]) @ w["unembed.W_U"].T
        assert made.promoted.tolist() == np.argsort(-logits)[:8].tolist()
        assert made.suppressed.tolist() == np.argsort(logits)[:8].tolist()
    with pytest.raises(ModelError, match="no neuron 96"):
        superposition.neuron_tokens(model.checkpoint, 0, 96)


# The map


def test_neighbours_are_the_greatest_cosines(model):
    table = directions.rows(model.checkpoint)
    rows = table.of(range(300))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -2)
    ids, values = layout.neighbours(table, 5)
    assert values == pytest.approx(-np.sort(-cosines, axis=1)[:, :5], abs=1e-5)
    assert np.take_along_axis(cosines, ids, 1) == pytest.approx(values, abs=1e-5)


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    """Ten groups of thirty tokens, each around its own centre: more groups than a plane has dimensions."""
    weights, rng = random_weights(CONFIG, 3), np.random.default_rng(5)
    centres = rng.standard_normal((10, 24))
    weights["wte.weight"][:] = np.repeat(centres, 30, 0) + rng.normal(0, 0.25, (300, 24))
    return directions.rows(open_tiny(tmp_path_factory.mktemp("models") / "clustered", CONFIG, weights).checkpoint)


def test_a_layout_keeps_more_neighbours_than_two_components_and_is_the_same_again(clustered):
    made = layout.compute(clustered)
    assert made.kept > made.kept_by_components + 0.1
    groups = np.arange(300) // 30
    off = np.linalg.norm(made.places[:, None] - made.places[None], axis=-1)
    np.fill_diagonal(off, np.inf)
    assert (groups[off.argmin(1)] == groups).mean() > 0.95  # the nearest in the plane belongs to the same group
    again = layout.compute(clustered)
    assert np.array_equal(made.places, again.places)
    assert not np.array_equal(made.places, layout.compute(clustered, seed=1).places)


def test_shares_of_kept_neighbours_are_counted():
    places = np.array([[0.0, 0], [1, 0], [10, 0], [11, 0]])
    assert layout.kept_neighbours(places, np.array([[1], [0], [3], [2]])) == 1.0
    assert layout.kept_neighbours(places, np.array([[1], [0], [0], [2]])) == 0.75


def test_a_layout_stops(clustered):
    stop = Stop()
    with pytest.raises(Cancelled):
        layout.compute(clustered, stop=stop, progress=lambda _share: stop.set())


def test_a_layout_is_made_once_for_a_model_and_a_damaged_one_anew(model, monkeypatch):
    table = directions.rows(model.checkpoint)
    made = kept_layout.kept_layout(model.checkpoint, table)
    path = kept_layout.path_of(model.checkpoint, 0)
    assert path.is_file()
    monkeypatch.setattr(kept_layout, "compute", lambda *_args, **_kw: pytest.fail("it is kept"))
    again = kept_layout.kept_layout(model.checkpoint, table)
    assert again.places == pytest.approx(made.places, abs=1e-4)
    assert (again.kept, again.kept_by_components) == pytest.approx((made.kept, made.kept_by_components))
    monkeypatch.undo()
    for damage in (b"", b"PK", path.read_bytes()[:-40]):
        path.write_bytes(damage)
        assert kept_layout.kept_layout(model.checkpoint, table).places.shape == (300, 2)
    with path.open("wb") as file:  # the right shapes, and no real numbers
        np.savez(file, places=np.ones((300, 2), complex), kept=np.ones(2))
    assert kept_layout.kept_layout(model.checkpoint, table).places == pytest.approx(made.places, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (" cat", 0),
        ("ing", 1),
        (" Paris", 2),
        ("The", 2),
        (" 42", 3),
        (" кот", 4),
        ("中", 4),
        ("!", 5),
        ("\ufffd", 5),
        ("\n", 5),
    ],
)
def test_kinds_of_tokens(text, kind):
    assert kind_of(text) == kind
    assert KINDS[kind]
