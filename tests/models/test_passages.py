"""The generator of passages: held-out phrasings stay held out, no plain sentence gets in, and answers are unique."""

import random
import re
from collections import defaultdict
from itertools import islice, pairwise
from pathlib import Path

import corpus
import passages
import plain
import pytest
import repeats
import stories
import templates
import tokenizer as bpe
import words

TRAINING = 20_000


@pytest.fixture(scope="module")
def training() -> list[passages.Passage]:
    return list(islice(passages.training_passages(seed=1), TRAINING))


@pytest.fixture(scope="module")
def held_out() -> dict[str, list[passages.Passage]]:
    return {skill: passages.held_out_items(skill) for skill in passages.SKILLS}


@pytest.fixture(scope="module")
def unlike() -> dict[str, list[passages.Passage]]:
    return {skill: passages.held_out_items(skill, unlike=True) for skill in passages.UNLIKE}


def word_pairs(template: templates.Template) -> set[tuple[str, str]]:
    """The pairs of neighbouring words of a phrasing, a slot being one word."""
    found = re.findall(r"{[^{}]*}|[A-Za-z']+", re.sub(r"[<>]", "", template.text).lower())
    return set(pairwise(found))


def answered(passage: passages.Passage) -> str:
    """The sentence that contains the answer, from the end of the sentence before it to its own end."""
    begun = re.split(r'[.!?]"?\s+', passage.prompt)[-1]
    return begun + passage.answer + re.split(r"[.!?]", passage.rest)[0]


def test_there_are_more_than_300_phrasings_to_train_on_and_some_kept_apart_for_every_skill():
    everything = [template for found in passages.TEMPLATES.values() for template in found]
    assert len({template.text for template in everything if not template.held_out}) >= 300
    for skill in passages.SKILLS:
        apart = passages.TEMPLATES.get(skill)
        assert apart is None or sum(template.held_out for template in apart) >= 3, skill
    assert len(repeats.FRAMES_HELD_OUT) >= 2


def test_what_is_asked_of_a_held_out_item_is_nowhere_in_training(training, held_out, unlike):
    trained = "\n".join(passage.text for passage in training)
    for skill, items in (*held_out.items(), *unlike.items()):
        asked = {item.prompt + item.answer for item in items}
        assert not [text for text in asked if text in trained], skill


def test_a_phrasing_that_is_unlike_the_others_shares_no_more_than_half_of_its_word_pairs_with_any_trained_on():
    assert set(passages.UNLIKE) == set(passages.SKILLS) - {repeats.SKILL}
    for skill in passages.UNLIKE:
        trained = [word_pairs(one) for one in passages.TEMPLATES[skill] if not one.held_out]
        apart = [one for one in passages.TEMPLATES[skill] if one.unlike]
        assert len(apart) >= 10 and all(one.held_out for one in apart), skill
        for one in apart:
            pairs = word_pairs(one)
            assert max(len(pairs & other) for other in trained) <= len(pairs) / 2, one.text


def test_no_phrasing_is_trained_on_and_kept_apart_at_once():
    for skill, found in passages.TEMPLATES.items():
        texts = defaultdict(set)
        for template in found:
            texts[re.sub(r"[<>]", "", template.text)].add(template.held_out)
        assert [text for text, kinds in texts.items() if len(kinds) > 1] == [], skill


def test_no_training_passage_is_ever_held_out_whatever_the_seed():
    assert not any(passage.held_out for passage in islice(passages.training_passages(seed=12345), 5_000))


def test_no_passage_contains_a_plain_sentence(training, held_out, unlike):
    sentences = [(s, re.compile(rf"\b{re.escape(s.prompt)}\b", re.IGNORECASE)) for s in plain.SENTENCES]
    everything = "\n".join(
        [p.text for p in training] + [i.text for apart in (held_out, unlike) for items in apart.values() for i in items]
    )
    assert [s.prompt for s, pattern in sentences if pattern.search(everything)] == []


def test_no_phrasing_frame_or_story_contains_a_plain_sentence_as_it_stands():
    lines = [re.sub(r"[<>]", "", t.text) for found in passages.TEMPLATES.values() for t in found]
    lines += [line for section in stories.GRAMMAR.values() for line in section]
    lines += [*stories.BY_HAND, *("".join(frame) for frame in (*repeats.FRAMES, *repeats.FRAMES_HELD_OUT))]
    assert [line for line in lines if plain.contained(line)] == []


def test_there_are_90_plain_sentences_and_whole_words_count():
    assert len(plain.SENTENCES) == 90
    sentence = plain.Sentence("pronoun", "The boy said that", ("he",))
    assert sentence.is_continued_by(" he was cold")
    assert not sentence.is_continued_by(" her mother")
    assert plain.Sentence("bracket", "A cat (a very small one", (")", ", ")).is_continued_by(") ran")
    assert plain.Sentence("day", "Monday, Tuesday,", ("Wednesday",)).is_continued_by("\nWednesday,")
    assert not plain.Sentence("grammar", "He", ("in",)).is_continued_by(" out and in")


def test_a_plain_sentence_is_found_in_any_case_and_only_as_whole_words():
    assert plain.contained("Here we see the sky is blue.") == "the sky is"
    assert plain.contained("The sky isn't falling") == "The sky is" or plain.contained("The sky isn't falling") == ""
    assert plain.contained("A lemonade is sweet") == ""


def test_every_skill_has_items_with_different_prompts(held_out, unlike):
    for skill, items in (*held_out.items(), *unlike.items()):
        assert len({item.prompt for item in items}) == len(items) >= 100, skill


def test_a_held_out_prompt_never_has_two_answers():
    for skill, unlike in (
        *((skill, False) for skill in passages.SKILLS),
        *((skill, True) for skill in passages.UNLIKE),
    ):
        rng, answers = random.Random(skill), defaultdict(set)
        for _ in range(1_000):
            passage = passages.make(skill, rng, held_out=True, unlike=unlike)
            answers[passage.prompt].add(passage.answer)
        assert {prompt for prompt, found in answers.items() if len(found) > 1} == set(), skill


def test_the_answer_of_an_item_stands_in_its_sentence(held_out, unlike):
    for items in (*held_out.values(), *unlike.values()):
        for item in items[:20]:
            assert item.answer.strip()
            assert item.answer in answered(item)
            assert "<" not in item.text
            assert "{" not in item.text


def test_facts_are_functions_and_word_lists_have_no_word_twice():
    for one, many in (
        ("country", "capital"),
        ("grown", "young"),
        ("tinted", "hue"),
        ("one", "other"),
        ("worker", "tool"),
    ):
        rows = list(zip(words.words(one), words.words(many), strict=True))
        assert len({asked for asked, _ in rows}) == len(rows), one
    for slot in ("boy", "girl", "surname", "thing", "adjective", "quality", "animal", "place", "plant", "creature"):
        assert len(set(words.words(slot))) == len(words.words(slot)), slot
    assert not set(words.words("boy")) & set(words.words("girl"))


def test_a_list_is_cut_at_commas_alone():
    assert words.split("mended the\nfence, a\n  b c,\nd") == ["mended the fence", "a b c", "d"]


@pytest.mark.parametrize(
    ("one", "many"),
    [("dog", "dogs"), ("fox", "foxes"), ("puppy", "puppies"), ("day", "days"), ("bush", "bushes"), ("leaf", "leaves")],
)
def test_plurals(one, many):
    assert words.plural(one, {"leaf": "leaves"}) == many


def test_slots_of_one_table_agree_and_indices_differ():
    template = templates.Template("t", "{country} {capital} {country2} {capital2} {day} {day+1} {Animal}")
    capitals = dict(zip(words.words("country"), words.words("capital"), strict=True))
    days = words.words("day")
    for seed in range(50):
        a, b, c, d, day, after, animal = template.fill(random.Random(seed)).text.split()
        assert (capitals[a], capitals[c]) == (b, d)
        assert a != c
        assert days[(days.index(day) + 1) % 7] == after
        assert animal[0].isupper()


def test_a_sequence_never_runs_over_its_ends():
    template = templates.Template("t", "{number} {number+3}")
    numbers = words.words("number")
    for seed in range(200):
        first, later = template.fill(random.Random(seed)).text.split()
        assert numbers.index(later) == numbers.index(first) + 3


@pytest.mark.parametrize("text", ["{nothing}", "<a> <b>"])
def test_a_phrasing_that_is_wrong_is_named(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        templates.Template("t", text).fill(random.Random(0))


def test_stories_are_many_and_keep_their_hero():
    told = {stories.story(random.Random(seed)) for seed in range(1_000)}
    assert len(told) > 1_000 * (1 - stories.BY_HAND_SHARE)  # those by hand come again
    assert len(stories.BY_HAND) >= 30
    assert not any(re.search(r"[\[\]{}<>|]", story) for story in told)


def test_the_same_seed_gives_the_same_passages():
    texts = [[p.text for p in islice(passages.training_passages(seed=7), 200)] for _ in range(2)]
    assert texts[0] == texts[1]


def test_a_beginning_is_put_before_plain_statements_alone_and_takes_their_capital_where_they_have_it_from_their_place():
    def begun(prompt: str, rest: str = ".") -> set[str]:
        passage = passages.Passage("days", prompt, " Tuesday", rest, 7)
        return {passages.framed(passage, random.Random(seed)).text for seed in range(1_000)}

    assert "We all know that after Monday comes Tuesday." in begun("After Monday comes")
    assert "You see, Monday comes before Tuesday." in begun("Monday comes before")
    assert "Remember this: After Monday comes Tuesday." in begun("After Monday comes")
    for whole in ("Monday,", '"After Monday?" "It is'):
        assert begun(whole) == {whole + " Tuesday."}
    assert begun("After Monday comes", "?") == {"After Monday comes Tuesday?"}


def test_a_token_answers_if_it_begins_the_answer_or_closes_with_it():
    quote = passages.Passage("quotes", 'She said "no', '"', ".", 3)
    assert quote.is_answered_by('"', '"') and quote.is_answered_by('".', '"')
    assert not quote.is_answered_by(".", '"')
    animal = passages.Passage("animals", "The", " cat", " ran.", 3)
    assert animal.is_answered_by(" cat", " cat") and animal.is_answered_by(" cat.", " cat")
    assert animal.is_answered_by(" c", " c")
    assert not animal.is_answered_by(" cats", " cat") and not animal.is_answered_by(" dog", " cat")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a owl", "an owl"),
        ("A old ewe", "An old ewe"),
        ("a ewe", "a ewe"),
        ("a unicorn", "a unicorn"),
        ("a cat", "a cat"),
        ("a umbrella", "an umbrella"),
        ("a <owlet>", "an <owlet>"),
        ("a <ewe>", "a <ewe>"),
    ],
)
def test_articles_suit_the_vowels_of_the_lists(text, written):
    assert templates.with_articles(text) == written


def test_packed_rows_begin_with_a_passage_or_with_the_end_of_a_text(bundled_folder: Path):
    tokenizer, end = bpe.load(bundled_folder), bpe.end_of_text(bundled_folder)
    rows = corpus.passage_rows(tokenizer, 3_000, 5, end, 129)
    starts = [tokenizer.decode(row[row != end][:3].tolist()) for row in rows]
    assert len(rows) > 100
    assert 0.1 < (rows[:, 0] == end).mean() < 0.4
    assert not any(start.startswith((" ", "\n")) for start in starts)
