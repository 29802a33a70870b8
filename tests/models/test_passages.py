"""The generator: what is held out stays out, and every item has one right answer."""

import random
from collections import defaultdict
from itertools import islice
from pathlib import Path

import passages
import pytest
import tokenizer as bpe
import words

TRAINING = 40_000


@pytest.fixture(scope="module")
def training() -> list[passages.Passage]:
    return list(islice(passages.training_passages(seed=1), TRAINING))


@pytest.fixture(scope="module")
def held_out() -> dict[str, list[passages.Passage]]:
    return {skill: passages.held_out_items(skill) for skill in passages.MAKERS}


def test_no_sentence_of_a_held_out_item_occurs_in_training(training, held_out):
    trained = {sentence for passage in training for sentence in passages.sentences(passage.text)}
    for skill, items in held_out.items():
        asked = {sentence for item in items for sentence in passages.sentences(passages.answered(item))}
        assert not asked & trained, skill


def test_no_training_passage_is_ever_held_out_whatever_the_seed():
    for passage in islice(passages.training_passages(seed=12345), 5_000):
        assert passages.is_for_training(passage)
        assert not passages.is_held_out(passage)


def test_no_held_out_combination_occurs_in_training(training, held_out):
    trained = {(p.skill, part) for p in training for part in (p.combination, *p.others) if part}
    for skill, items in held_out.items():
        assert not {(skill, item.combination) for item in items if item.combination} & trained


def test_every_skill_has_at_least_200_different_held_out_items(held_out):
    for skill, items in held_out.items():
        assert len({item.prompt for item in items}) >= 200, skill


def test_a_prompt_never_has_two_answers():
    for skill in passages.MAKERS:
        rng, answers = random.Random(skill), defaultdict(set)
        for _ in range(4_000):
            passage = passages.make(skill, rng)
            answers[passage.prompt].add(passage.answer)
        assert {prompt for prompt, found in answers.items() if len(found) > 1} == set(), skill


def test_the_facts_are_functions_and_the_word_lists_have_no_word_twice():
    opposites = [word for pair in words.OPPOSITES for word in pair]
    assert len(opposites) == len(set(opposites))
    things = [thing for listed in words.COLOURS.values() for thing in listed]
    assert len(things) == len(set(things))
    for listed in (words.BOYS + words.GIRLS, words.SURNAMES, words.OBJECTS, words.ADJECTIVES, words.ANIMALS):
        assert len(listed) == len(set(listed))


def test_the_same_seed_gives_the_same_passages():
    texts = [[p.text for p in islice(passages.training_passages(seed=7), 200)] for _ in range(2)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("text", "written"),
    [("a owl", "an owl"), ("A old ewe", "An old ewe"), ("a ewe", "a ewe"), ("a cat", "a cat"), ("a a", "an a")],
)
def test_articles_suit_the_vowels_of_the_lists(text, written):
    assert passages.with_articles(text) == written


def test_the_words_that_answer_are_one_token_each(bundled_folder: Path):
    tokenizer = bpe.load(bundled_folder)
    for word in passages.answer_words():
        assert len(tokenizer.encode(f" {word}").ids) == 1, word
