"""The bundled model: an ordinary small checkpoint that has learned English, with the figures given on its card."""

import json
from pathlib import Path

import analogies
import card
import corpus
import forward
import heads
import measure
import numpy as np
import passages
import pytest
import tokenizer as bpe
import words

from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine

BOOK = Path(__file__).with_name("data") / corpus.HELD_OUT_BOOK


def test_the_folder_holds_at_most_40_megabytes(bundled_folder):
    assert sum(path.stat().st_size for path in bundled_folder.iterdir()) <= 40_000_000


def test_it_is_a_gpt2_of_the_promised_size_with_a_tied_head(bundled_folder):
    config = json.loads((bundled_folder / "config.json").read_text())
    assert config["architectures"] == ["GPT2LMHeadModel"]
    assert config["tie_word_embeddings"] is True
    assert 6 <= config["n_layer"] <= 10
    assert 8 <= config["n_head"] <= 12
    assert config["n_positions"] >= 512
    assert not any("lm_head" in name for name in forward.load(bundled_folder).weights)


def test_its_tokenizer_gives_back_any_text(bundled_folder):
    tokenizer = bpe.load(bundled_folder)
    for text in ("Hello, World!\n", "naïve café 東京 🦀", "\t\x00\x7f  two  spaces ", "don't—won't"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_on_the_held_out_book_it_beats_a_bigram_model_of_the_same_tokenizer(figures):
    assert figures["bits_per_byte"] < figures["bigram"]


def close(measured, kept):
    """Whether two figures agree: numbers nearly, since CPUs sum in different orders, everything else exactly."""
    if isinstance(kept, dict):
        return measured.keys() == kept.keys() and all(close(measured[key], kept[key]) for key in kept)
    if isinstance(kept, list):
        return len(measured) == len(kept) and all(map(close, measured, kept))
    return measured == (pytest.approx(kept, rel=0.005, abs=0.005) if isinstance(kept, float) else kept)


def test_the_committed_weights_give_the_figures_of_the_card(figures, kept_figures):
    assert figures["bits_per_byte"] == pytest.approx(kept_figures["bits_per_byte"], abs=0.001)
    # Where two tokens are nearly equal, another CPU may choose the other one and continue from there.
    texts = {"plain": 2, "continuations": 2}
    assert [name for name in kept_figures if name not in texts and not close(figures[name], kept_figures[name])] == []
    for name, differing in texts.items():
        assert sum(not close(*pair) for pair in zip(figures[name], kept_figures[name], strict=True)) <= differing


def test_the_card_says_the_figures_that_were_kept(bundled_folder, kept_figures):
    text = (bundled_folder / "README.md").read_text(encoding="utf-8")
    assert card.report(kept_figures) in text


def test_the_app_s_engine_and_the_numpy_reference_agree_on_a_whole_window(bundled, bundled_folder):
    ids = bpe.load(bundled_folder).encode(corpus.book_text(BOOK)[5_000:6_500]).ids[:256]
    engine = Engine(load_checkpoint(bundled_folder))
    logits = engine.logits(engine.trace(ids)["ln_final.out"])
    np.testing.assert_allclose(logits, bundled.logits(np.array([ids]))[0], atol=2e-3)


def test_head_scores_are_one_for_a_head_built_to_look_one_back():
    """A model whose only head attends by position alone must score 1 as a previous-token head and 0 otherwise."""
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


def test_a_head_built_to_write_the_next_word_scores_one_as_a_successor_and_a_silent_one_does_not():
    """Head 0 maps the embedding of each word to that of the next; head 1 writes nothing."""
    size, vocab = 16, 8
    weights = {
        "wte.weight": np.eye(vocab + 1, 2 * size, dtype=np.float32),
        "wpe.weight": np.zeros((8, 2 * size), np.float32),
        "h.0.attn.c_attn.weight": np.zeros((2 * size, 6 * size), np.float32),
        "h.0.attn.c_attn.bias": np.zeros(6 * size, np.float32),
        "h.0.attn.c_proj.weight": np.zeros((2 * size, 2 * size), np.float32),
        "h.0.attn.c_proj.bias": np.zeros(2 * size, np.float32),
        "h.0.mlp.c_fc.weight": np.zeros((2 * size, size), np.float32),
        "h.0.mlp.c_fc.bias": np.zeros(size, np.float32),
        "h.0.mlp.c_proj.weight": np.zeros((size, 2 * size), np.float32),
        "h.0.mlp.c_proj.bias": np.zeros(2 * size, np.float32),
    }
    weights["h.0.attn.c_attn.weight"][:size, 4 * size : 5 * size] = np.eye(size)
    weights["h.0.attn.c_proj.weight"][:vocab, :vocab] = np.roll(np.eye(vocab), 1, axis=1)
    for name in ("h.0.ln_1", "h.0.ln_2", "ln_f"):
        weights[name + ".weight"] = np.ones(2 * size, np.float32)
        weights[name + ".bias"] = np.zeros(2 * size, np.float32)
    model = forward.Model(weights, heads=2, blocks=1, context=8, end_of_text=vocab)
    names = [str(number) for number in range(vocab)]
    scores = heads.successor_scores(model, lambda text: [int(text)], [(names, True)])
    assert scores[0, 0] == 1
    assert scores[0, 1] <= 1 / vocab


def test_the_nearest_row_to_a_sum_is_found_by_hand():
    # king - man + woman: royal and female; the mean of all rows is not a direction of its own.
    rows = {"man": [0, 1, 0], "woman": [0, 0, 1], "king": [1, 1, 0], "queen": [1, 0, 1], "apple": [-1, 0.4, 0.4]}
    embedding = np.array(list(rows.values()), dtype=float) + 7
    found = analogies.nearest(embedding, *(list(rows).index(word) for word in ("king", "man", "woman")))
    assert list(rows)[found] == "queen"


def test_the_recipe_makes_every_word_of_the_analogies_one_token():
    assert {word for analogy in analogies.ANALOGIES for word in analogy} <= set(passages.answer_words())


def test_successions_keep_words_of_one_token_and_close_only_when_whole():
    days = words.words("day")
    every = dict(measure.successions(lambda _text: [0]))
    assert every[days] is True
    assert every[words.words("number")] is False
    without_monday = dict(measure.successions(lambda text: [0, 0] if text == " Monday" else [0]))
    assert without_monday[days[1:]] is False


def test_a_text_loops_when_eight_tokens_come_twice():
    assert measure.loops([*range(8), 99, *range(8)])
    assert not measure.loops([*range(7), 99, *range(7), 98])


def test_a_greedy_continuation_takes_the_likeliest_token_each_time(bundled, bundled_folder):
    tokenizer = bpe.load(bundled_folder)
    prompts = ["The capital of", "One day"]
    for prompt, text in zip(prompts, measure.continued_greedily(bundled, tokenizer, prompts, 3), strict=True):
        ids = tokenizer.encode(prompt).ids
        for _ in range(3):
            ids.append(int(bundled.last_logits(np.array([ids]))[0].argmax()))
        assert tokenizer.decode(ids) == prompt + text
