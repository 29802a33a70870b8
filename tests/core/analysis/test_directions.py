"""Directions among embeddings: analogies beside the recipe's own measurement, components beside numpy's."""

import json

import numpy as np
import pytest

from desktop_app.core.analysis import directions
from desktop_app.core.analysis.directions import Term
from desktop_app.core.analysis.expression import parse_sum, token_of, written
from desktop_app.core.model import open_model
from desktop_app.core.program.bundle import default_model
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.errors import LogitscopeError, ModelError, TokenizerError
from tests.checkpoints import TINY, random_weights, write_checkpoint
from tests.conftest import ROOT
from tests.scenes import open_tiny

MEASURED = json.loads((ROOT / "tests" / "models" / "data" / "bundled.json").read_text())["analogies"]


@pytest.fixture(scope="module")
def bundled():
    return open_model(default_model())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.parametrize("one", MEASURED, ids=lambda one: one["answer"])
def test_the_analogies_of_the_bundled_model_come_out_as_its_recipe_measured_them(bundled, one):
    """The recipe measures all ten with code of its own; where it found another word, that one comes first here, too."""
    asked = parse_sum(f"{one['asked']} = {one['found']}", bundled.tokenizer)
    made = directions.arithmetic(bundled.checkpoint, asked.terms, answer=asked.answer)
    assert bundled.tokenizer.decode([int(made.ids[0])]).strip() == one["found"]
    assert made.rank == 1
    assert set(made.left_out).isdisjoint(made.ids.tolist())


@pytest.mark.parametrize("without", [0, 2])
def test_rows_are_centred_and_less_their_first_components(tiny, without):
    table = directions.rows(tiny.checkpoint, without=without)
    plain = tiny.checkpoint.weights["embed.W_E"].astype(np.float64)
    centred = plain - plain.mean(0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    expected = centred - centred @ axes[:without].T @ axes[:without]
    assert table.of(range(300)) == pytest.approx(expected, abs=1e-5)
    assert table.lengths == pytest.approx(np.linalg.norm(expected, axis=1), abs=1e-5)
    assert table.shares == pytest.approx(sizes**2 / (sizes**2).sum(), abs=1e-6)
    direction = np.random.default_rng(1).standard_normal(24)
    kept = direction - axes[:without].T @ (axes[:without] @ direction)
    cosines = expected @ kept / np.linalg.norm(expected, axis=1) / np.linalg.norm(kept)
    assert table.cosines(direction) == pytest.approx(cosines, abs=1e-5)
    plane = directions.plane_of_rows(table)
    assert np.abs(plane.places) == pytest.approx(np.abs(centred @ axes[without : without + 2].T), abs=1e-4)
    assert plane.shares == pytest.approx(table.shares[without : without + 2])


def test_a_direction_that_is_zero_is_refused_with_its_reason(tmp_path):
    """Along three axes there are two opposite rows each, of lengths 8, 7 and 1; the last two are the mean of all."""
    config, axes = TINY | {"vocab_size": 8}, np.eye(TINY["n_embd"], dtype=np.float32)
    weights = random_weights(config)
    name = next(name for name in weights if name.endswith("wte.weight"))
    pairs = [sign * size * axes[n] for n, size in enumerate((8, 7, 1)) for sign in (1, -1)]
    weights[name] = 1 + np.stack([*pairs, 0 * axes[0], 0 * axes[0]])
    checkpoint = load_checkpoint(write_checkpoint(tmp_path / "tiny", config, weights))
    for tokens, without, reason in (
        ([6], 0, "its row equals the mean of all rows"),
        ([6, 7], 0, "its rows all equal the mean of all rows"),
        ([0, 2], 2, "its rows all equal the mean of all rows, apart from the 2 components that are left out"),
        ([0, 1], 0, "its terms cancel"),
    ):
        with pytest.raises(ModelError, match=f"^This direction is zero: {reason}\\.$"):
            directions.arithmetic(checkpoint, [Term(1, token) for token in tokens], without=without)


def test_nearest_tokens_are_the_greatest_cosines_and_ranks_count_from_one(tiny):
    made = directions.arithmetic(tiny.checkpoint, [Term(1, 5), Term(-1, 9)], answer=200, top=300)
    plain = tiny.checkpoint.weights["embed.W_E"].astype(np.float64)
    centred = plain - plain.mean(0)
    wanted = centred[5] - centred[9]
    cosines = centred @ wanted / np.linalg.norm(centred, axis=1) / np.linalg.norm(wanted)
    order = [int(t) for t in np.argsort(-cosines) if t not in (5, 9)]
    assert made.ids.tolist() == order
    assert made.cosines == pytest.approx(cosines[order], abs=1e-5)
    assert made.rank == order.index(200) + 1


def test_planted_components_dominate_until_they_are_left_out(tmp_path):
    """As in GPT-2, where a few dimensions hold most of the spread: neighbours are of them, and then of the rest."""
    from tests.checkpoints import random_weights
    from tests.scenes import CONFIG

    weights = random_weights(CONFIG, 2)
    rng = np.random.default_rng(0)
    table = weights["wte.weight"]
    table[7] = table[8] + rng.normal(0, 0.01, 24)  # two that mean the same
    for dimension in (1, 4, 20):
        table[:, dimension] = rng.normal(0, 40, 300)
    checkpoint = open_tiny(tmp_path, CONFIG, weights).checkpoint
    assert directions.rows(checkpoint).shares[:3].sum() > 0.99
    assert directions.arithmetic(checkpoint, [Term(1, 7)], answer=8).rank > 1
    assert directions.arithmetic(checkpoint, [Term(1, 7)], answer=8, without=3).rank == 1


def test_a_ruler_is_the_cosine_of_the_stream_at_every_point(tiny):
    trace = tiny.engine.trace((40, 41, 42))
    direction = np.random.default_rng(3).standard_normal(24)
    points = ("blocks.0.resid_pre", "blocks.1.resid_post")
    found = directions.on_ruler(trace, points, direction)
    flat = direction - direction.mean()
    for n, point in enumerate(points):
        for position in range(3):
            x = trace[point][position].astype(np.float64)
            x = x - x.mean()
            assert found[n, position] == pytest.approx(x @ flat / np.linalg.norm(x) / np.linalg.norm(flat), abs=1e-6)


def test_the_plane_of_few_vectors_is_their_own(tiny):
    vectors = np.random.default_rng(4).standard_normal((5, 24))
    made = directions.plane(vectors)
    centred = vectors - vectors.mean(0)
    variance = np.linalg.eigvalsh(centred @ centred.T)[::-1]
    assert made.shares == pytest.approx(variance[:2] / variance.sum())
    assert (made.places**2).sum(0) == pytest.approx(variance[:2])
    assert directions.plane(np.ones((1, 24))).shares.tolist() == [0.0]


# Sums as they are written


def test_a_word_is_the_token_with_a_space_before_it(bundled):
    tokenizer = bundled.tokenizer
    made = parse_sum("uncle - man \N{MINUS SIGN} 'ing' + woman", tokenizer)
    assert [(t.sign, tokenizer.decode([t.token])) for t in made.terms] == [
        (1, " uncle"),
        (-1, " man"),
        (-1, "ing"),
        (1, " woman"),
    ]
    assert (made.answer, parse_sum("- cat = dog", tokenizer).answer) == (None, token_of("dog", tokenizer))
    assert written(made, tokenizer) == "uncle \N{MINUS SIGN} man \N{MINUS SIGN} ing + woman"


@pytest.mark.parametrize(
    "text",
    ["", "  ", "uncle -man", "uncle man", "uncle -", "+", "a + + b", "= cat", "cat = ", "cat = dog + man", "x" * 401],
)
def test_what_is_no_sum_is_refused(bundled, text):
    with pytest.raises(LogitscopeError):
        parse_sum(text, bundled.tokenizer)


def test_a_word_of_several_tokens_is_refused_with_its_tokens(bundled):
    with pytest.raises(TokenizerError, match=r"' Warszawa' is 4 tokens \('·W', "):
        parse_sum("Warszawa - cat", bundled.tokenizer)
