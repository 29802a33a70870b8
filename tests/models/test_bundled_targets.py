"""What the bundled model must reach: held-out bits per byte, every skill, and heads that do what textbooks say."""

from pathlib import Path

import corpus
import evaluate
import heads
import passages
import pytest
import tokenizer as bpe

BOOK = Path(__file__).with_name("data") / corpus.HELD_OUT_BOOK


def test_the_held_out_book_needs_at_most_1_52_bits_per_byte(bundled, bundled_folder):
    text = corpus.book_text(BOOK)
    ids = bpe.load(bundled_folder).encode(text).ids
    assert evaluate.book_bits_per_byte(bundled, ids, len(text.encode())) <= 1.52


@pytest.mark.parametrize("skill", passages.MAKERS)
def test_every_skill_is_right_on_at_least_90_percent_of_200_held_out_items(bundled, bundled_folder, skill):
    tokenizer = bpe.load(bundled_folder)
    accuracy, _chance = evaluate.skill_accuracy(bundled, lambda text: tokenizer.encode(text).ids, skill, 200)
    assert accuracy >= 0.9


def test_a_head_looks_one_back_and_another_continues_what_came_before(bundled):
    scores = heads.scores(bundled)
    assert scores["previous-token"].max() >= 0.7
    assert scores["induction"].max() >= 0.5
