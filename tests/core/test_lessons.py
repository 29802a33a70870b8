"""The table of lessons: every required topic is in it, and the lessons named for a topic are about it."""

from pathlib import Path

import pytest

from desktop_app.core.census import gpt2_sizes
from desktop_app.core.lessons.stories import can_be_told, shipped
from desktop_app.core.steps import current_place

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "lessons.md"
TOPICS = (
    "tokens, vocabulary, embedding lookup, position, directions with meaning, dropout off, layer norm, Q/K/V, small "
    "query/key space, dot products, sqrt d_k, mask before softmax, rows sum to 1, relevance, weighted values and the "
    "change they make, low-rank value and output, many heads, joining, residual, MLP as questions and facts, GELU, "
    "stacked blocks, last vector to logits, temperature, top-k, top-p, softmax, sampling, decoding with one query, "
    "parameter counts, context squared, attention variants, cross-attention, superposition, training predicts every "
    "position, how an embedding is trained, how the query, key and value weights come about, what cross-attention is, "
    "how a model of many languages differs"
)


def table():
    """topic -> the lessons that the docs name for it."""
    rows = [line.split("|") for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return {row[1].strip(): row[2].strip().split(", ") for row in rows if row[1].strip() != "topic"}


def test_every_topic_has_its_lessons():
    asked = TOPICS.replace("how the query, key and value", "how the query; key and value").split(", ")
    assert {topic.replace("; ", ", ") for topic in asked} <= table().keys()


@pytest.mark.parametrize(("topic", "names"), table().items())
def test_a_lesson_is_about_what_the_table_says(topic, names):
    for name in names:
        assert name in shipped(), f"there is no lesson {name}"
        assert topic in shipped()[name].topics, f"{name} does not say that it is about {topic}"


def test_three_whole_lectures_have_ten_to_twelve_stops_for_the_bundled_model_and_for_gpt2_small():
    for name in ("next-token", "attention", "heads"):
        for story in (shipped()[name], shipped()[f"gpt2-{name}"]):
            assert 10 <= len(story.stops) <= 12, name
    assert {stop.model for stop in shipped()["gpt2-heads"].stops} == {"openai-community/gpt2"}


def test_a_lecture_of_gpt2_small_claims_nothing_of_weights_that_no_test_has():
    """Its sentences quote no token and no number of the pass: what they say is true of every GPT-2."""
    for name, story in shipped().items():
        if name.startswith("gpt2-"):
            for stop in story.stops:
                assert not stop.claims and "'" not in stop.say.replace("’", ""), (name, stop.title)
                assert stop.question is None or stop.question.kind in ("next", "look")


def test_the_lectures_of_gpt2_small_stop_at_places_that_it_has():
    config = gpt2_sizes()["GPT-2 small"]
    for name, story in shipped().items():
        for stop in story.stops if name.startswith("gpt2-") else ():
            place = current_place(stop.state, config)
            assert place is not None and stop.state.head < config.n_head, (name, stop.title)


def test_lessons_about_a_model_that_is_not_here_are_not_offered(monkeypatch):
    from desktop_app.core.lessons import stories

    assert can_be_told(shipped()["attention"])

    def absent(name):
        raise stories.ModelError(f"{name} is not here.")

    monkeypatch.setattr(stories, "find_model", absent)
    assert not can_be_told(shipped()["gpt2-heads"])
