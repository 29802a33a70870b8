"""The bundled model: an ordinary small checkpoint that has learned English, measured as its card says."""

import json
import re
from pathlib import Path

import corpus
import evaluate
import forward
import heads
import numpy as np
import pytest
import tokenizer as bpe

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine

BOOK = Path(__file__).with_name("data") / corpus.HELD_OUT_BOOK


@pytest.fixture(scope="module")
def bits(bundled, bundled_folder) -> float:
    text = corpus.book_text(BOOK)
    return evaluate.book_bits_per_byte(bundled, bpe.load(bundled_folder).encode(text).ids, len(text.encode()))


def test_the_folder_holds_at_most_24_megabytes(bundled_folder):
    assert sum(path.stat().st_size for path in bundled_folder.iterdir()) <= 24_000_000


def test_it_is_a_gpt2_of_the_promised_size_with_a_tied_head(bundled_folder):
    config = json.loads((bundled_folder / "config.json").read_text())
    assert config["architectures"] == ["GPT2LMHeadModel"]
    assert config["tie_word_embeddings"] is True
    assert 4 <= config["n_layer"] <= 8
    assert 4 <= config["n_head"] <= 8
    assert config["n_positions"] >= 256
    assert not any("lm_head" in name for name in forward.load(bundled_folder).weights)


def test_its_tokenizer_gives_back_any_text(bundled_folder):
    tokenizer = bpe.load(bundled_folder)
    for text in ("Hello, World!\n", "naïve café 東京 🦀", "\t\x00\x7f  two  spaces ", "don't—won't"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_on_the_held_out_book_it_beats_a_bigram_model_of_the_same_tokenizer(bits, bundled_folder):
    assert bits < evaluate.bigram_figure(bundled_folder, None)


def test_the_card_states_the_bits_per_byte_that_the_weights_give(bits, bundled_folder):
    card = (bundled_folder / "README.md").read_text(encoding="utf-8")
    stated = re.search(r"whole book, held out \| ([\d.]+) bits per byte", card)
    assert stated
    assert float(stated[1]) == pytest.approx(bits, abs=0.0011)


def test_the_app_s_engine_and_the_numpy_reference_agree_on_a_whole_window(bundled, bundled_folder):
    ids = bpe.load(bundled_folder).encode(corpus.book_text(BOOK)[5_000:6_500]).ids[:256]
    engine = Engine(load_checkpoint(bundled_folder))
    logits = engine.logits(engine.trace(ids)["ln_final.out"])
    np.testing.assert_allclose(logits, bundled.logits(np.array([ids]))[0], atol=2e-3)


def test_head_scores_are_one_for_a_head_built_to_look_one_back():
    """A model whose only head is steered by position alone must score 1 as a previous-token head and 0 elsewhere."""
    size, vocab = 64, 100
    positions = np.eye(size, dtype=np.float32)[:, :]
    weights = {
        "wte.weight": np.zeros((vocab + 1, size), np.float32),
        "wpe.weight": positions,
        "h.0.attn.c_attn.weight": np.concatenate(
            # The query of position i is the unit vector of i - 1, the key of position j that of j.
            (200 * np.roll(np.eye(size), -1, axis=1), np.eye(size), np.zeros((size, size))),
            axis=1,
            dtype=np.float32,
        ),
        "h.0.attn.c_attn.bias": np.zeros(3 * size, np.float32),
        "h.0.attn.c_proj.weight": np.zeros((size, size), np.float32),
        "h.0.attn.c_proj.bias": np.zeros(size, np.float32),
        "h.0.mlp.c_fc.weight": np.zeros((size, size), np.float32),
        "h.0.mlp.c_fc.bias": np.zeros(size, np.float32),
        "h.0.mlp.c_proj.weight": np.zeros((size, size), np.float32),
        "h.0.mlp.c_proj.bias": np.zeros(size, np.float32),
    }
    for name in ("h.0.ln_1", "h.0.ln_2", "ln_f"):
        weights[name + ".weight"] = np.ones(size, np.float32)
        weights[name + ".bias"] = np.zeros(size, np.float32)
    model = forward.Model(weights, heads=1, blocks=1, context=size, end_of_text=vocab)
    scores = heads.scores(model, sequences=2, length=30)
    assert scores["previous-token"] == pytest.approx(1, abs=0.01)
    for kind in ("first-token", "induction", "duplicate-token", "same-position"):
        assert scores[kind] == pytest.approx(0, abs=0.02), kind
