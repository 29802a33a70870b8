"""Muting and patching: results that hold for any weights, how much of a pass runs again, and what is refused."""

import numpy as np
import pytest

from desktop_app.core.analysis import what_if
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.edit import ALL, Cells, Edit, parse_edits
from desktop_app.gpt2.edited import Pieces
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import Cancelled, ModelError
from desktop_app.gpt2.int8 import round_checkpoint
from desktop_app.gpt2.session import Stop
from tests.checkpoints import TINY, write_checkpoint

CLEAN = (3, 1, 4, 1, 5, 9, 2, 6)
CORRUPT = (3, 1, 4, 8, 5, 9, 2, 6)
TOKENS = {"target": 56, "against": 75}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return Engine(load_checkpoint(write_checkpoint(folder, TINY | {"n_layer": 3}, tokenizer=False)))


@pytest.fixture(scope="module")
def clean(engine):
    return engine.trace(CLEAN)


@pytest.fixture(scope="module")
def corrupt(engine, clean):
    return engine.trace(CORRUPT, reuse=clean)


@pytest.fixture
def ran(monkeypatch):
    """The number of rows in each run of a single block's graph."""
    rows, run = [], Pieces.run

    def watched(self, table, feeds, *arguments, **options):
        rows.append(len(feeds["positions"]))
        return run(self, table, feeds, *arguments, **options)

    monkeypatch.setattr(Pieces, "run", watched)
    return rows


@pytest.mark.parametrize("what", what_if.PATCHED)
@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_patching_from_the_same_prompt_changes_nothing_and_runs_nothing(engine, clean, ran, what, direction):
    found = what_if.patch(engine, clean, engine.trace(CLEAN), what=what, direction=direction, **TOKENS)
    assert np.array_equal(found.logit_difference, np.full_like(found.logit_difference, found.clean))
    assert ran == []
    assert np.isnan(found.effect).all()
    assert "0.000 apart" in found.refused


@pytest.mark.parametrize("what", what_if.PATCHED)
def test_what_is_put_there_is_what_was_there_leaves_the_bits_close(engine, clean, what):
    name = "blocks.1.attn.z" if what == "heads" else f"blocks.1.{what}"
    edit = Edit(name, (ALL,) * clean[name].ndim, put=Cells.of(clean[name]))
    assert np.allclose(engine.trace(CLEAN, edits=(edit,), reuse=clean)["logits"], clean["logits"], atol=1e-5)


def test_all_of_the_residual_stream_has_an_effect_of_one(engine, clean, corrupt):
    """At the only position that differs in block 0, and in any block at all positions together."""
    for direction in ("denoise", "noise"):
        found = what_if.patch(engine, clean, corrupt, direction=direction, **TOKENS)
        assert not found.refused
        assert found.effect[0, 3] == pytest.approx(1, abs=1e-4)
        assert np.array_equal(found.effect[:, :3], np.zeros((3, 3)))  # both prompts have the same tokens there
    for layer in range(3):
        name = f"blocks.{layer}.resid_pre"
        edited = engine.trace(CORRUPT, edits=(Edit(name, (ALL, ALL), put=Cells.of(clean[name])),), reuse=corrupt)
        difference = edited.logits(-1)[56] - edited.logits(-1)[75]
        assert (difference - found.corrupt) / (found.clean - found.corrupt) == pytest.approx(1, abs=1e-4)


def test_only_positions_from_the_patch_on_run(engine, clean, corrupt, ran):
    what_if.patch(engine, clean, corrupt, **TOKENS)
    # Positions 3 to 7 of the first block differ; all of them run together: 5 + 4 + 3 + 2 + 1 rows, of position 3 alone
    # in the first block, whose others have the same embedding there.
    assert ran == [5, 5, 5, 15, 15, 15]


def test_muting_keeps_the_bias_and_is_refused_without_texts_for_a_mean(engine, clean):
    found = what_if.ablate(engine, clean, **TOKENS)
    assert found.logit_difference.shape == (3, 3)
    assert found.base == pytest.approx(float(clean.logits(-1)[56] - clean.logits(-1)[75]), abs=1e-5)
    assert all(closing.good for closing in found.closings())
    with pytest.raises(ModelError, match="no reference text to take a mean over; mute by zero"):
        what_if.ablate(engine, clean, how="mean", **TOKENS)


def test_muting_goes_on_top_of_the_edits_of_a_pass(engine, clean):
    own = parse_edits(["blocks.1.mlp_out[2:]*=0.5"], engine.config, len(CLEAN))
    edited = engine.trace(CLEAN, edits=own, reuse=clean)
    found = what_if.ablate(engine, edited, **TOKENS)
    for layer, head in ((0, 1), (2, 0)):
        both = (*own, Edit(f"blocks.{layer}.attn.z", ((head, head + 1), ALL, ALL)))
        logits = engine.trace(CLEAN, edits=both, reuse=clean).logits(-1)
        assert found.logit_difference[layer, head] == pytest.approx(float(logits[56] - logits[75]), abs=1e-4)


def test_int8_weights_are_muted_and_patched(tmp_path):
    rounded = Engine(round_checkpoint(load_checkpoint(write_checkpoint(tmp_path / "m", tokenizer=False))))
    one, other = rounded.trace(CLEAN), rounded.trace(CORRUPT)
    assert what_if.patch(rounded, one, other, **TOKENS).effect[0, 3] == pytest.approx(1, abs=1e-3)
    found = what_if.ablate(rounded, one, **TOKENS)
    assert all(closing.good for closing in found.closings())


def test_a_sweep_tells_how_far_it_is_and_stops(engine, clean):
    heard = []
    what_if.ablate(engine, clean, what="neurons:1", progress=heard.append, **TOKENS)
    assert heard == sorted(heard)
    assert len(heard) > 1
    assert heard[-1] == 1
    stop = Stop()
    with pytest.raises(Cancelled):
        what_if.ablate(engine, clean, what="neurons:1", stop=stop, progress=lambda _share: stop.set(), **TOKENS)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("neurons", "'neurons' cannot be muted; give heads, mlps or neurons:L"),
        ("neurons:x", "'neurons:x' cannot be muted"),
        ("neurons:3", "no block 3; this model's blocks are 0 to 2"),
        ("neurons:99999999999", "no block 99999999999"),
    ],
)
def test_what_cannot_be_muted_is_refused(engine, clean, what, sentence):
    with pytest.raises(ModelError, match=sentence):
        what_if.ablate(engine, clean, what=what, **TOKENS)


LONGER = (3, 1, 7, 7, 4, 8, 5, 9, 2, 6)  # CORRUPT with two more tokens
STANDS_FOR = {"into the longer": (0, 1, None, None, 2, 3, 4, 5, 6, 7), "into the shorter": (0, 1, 4, 5, 6, 7, 8, 9)}


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize("what", ["mlp_out", "heads"])
def test_of_prompts_of_different_lengths_cells_are_put_by_the_tokens_that_match(engine, clean, direction, what):
    corrupt = engine.trace(LONGER)
    found = what_if.patch(engine, clean, corrupt, what=what, direction=direction, **TOKENS)
    way = "into the longer" if direction == "denoise" else "into the shorter"
    base, source = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
    places = STANDS_FOR[way]
    for layer in range(3):
        if what == "mlp_out":
            assert found.logit_difference.shape == (3, len(base))
            for pos, place in enumerate(places):
                if place is None:
                    assert np.isnan(found.logit_difference[layer, pos])
                    continue
                name = f"blocks.{layer}.mlp_out"
                put = Cells.of(source[name][place][None])
                edited = engine.trace(base.ids, edits=(Edit(name, ((pos, pos + 1), ALL), put=put),))
                expected = edited.logits(-1)[56] - edited.logits(-1)[75]
                assert found.logit_difference[layer, pos] == pytest.approx(expected, abs=1e-4)
        else:
            name = f"blocks.{layer}.attn.z"
            edits = [
                Edit(name, ((1, 2), (pos, pos + 1), ALL), put=Cells.of(source[name][1, place][None, None]))
                for pos, place in enumerate(places)
                if place is not None
            ]
            edited = engine.trace(base.ids, edits=tuple(edits))
            expected = edited.logits(-1)[56] - edited.logits(-1)[75]
            assert found.logit_difference[layer, 1] == pytest.approx(expected, abs=1e-4)


def test_tokens_that_are_not_there_are_refused(engine, clean):
    with pytest.raises(ModelError, match="97"):
        what_if.ablate(engine, clean, target=97, against=3)
