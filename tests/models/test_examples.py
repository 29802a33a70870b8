"""What each example promises to show is there, in the model that it opens."""

import re

import numpy as np
import pytest

from desktop_app.core.bundle import bundled_models
from desktop_app.core.examples import examples, heads_by_role
from desktop_app.core.model import open_model
from desktop_app.core.steps import find_step

ALL = examples()


@pytest.fixture(scope="module")
def models():
    return {name: open_model(folder) for name, folder in bundled_models().items()}


@pytest.mark.parametrize("example", ALL, ids=[e.title for e in ALL])
def test_the_claim_of_an_example_holds(models, example):
    model = models[example.model]
    ids = model.tokenizer.encode(example.text).ids
    trace = model.engine.trace(ids)
    step = find_step(example.step, model.config)
    if example.key is not None:
        query = len(ids) - 1 if example.token is None else example.token
        pattern = trace.read(f"blocks.{step.layer}.attn.pattern", head=example.head, row=query)
        assert pattern[example.key] > 0.4
        assert int(np.argmax(pattern)) == example.key
    if example.next is not None:
        assert model.tokenizer.decode([int(np.argmax(trace.logits(-1)))]) == example.next
    assert example.key is not None or example.next is not None


@pytest.mark.parametrize("example", ALL, ids=[e.title for e in ALL])
def test_an_example_says_where_to_look_as_it_is_opened(example):
    assert example.look
    assert "{" not in example.look
    for block, head in re.findall(r"[Bb]lock (\d+), head (\d+)", example.look):
        assert (f"blocks.{block}.attn.pattern", int(head)) == (example.step, example.head)


@pytest.mark.parametrize(
    ("word", "said", "count"), [(" men", "four tokens back", 4), ("usan", "seventeen tokens back", 17)]
)
def test_a_distance_that_is_said_is_counted_from_the_next_token(models, word, said, count):
    (example,) = [example for example in ALL if said in example.look]
    tokenizer = models[example.model].tokenizer
    ids = tokenizer.encode(example.text).ids
    (token,) = tokenizer.encode(word).ids
    assert len(ids) - ids.index(token) == count


@pytest.mark.parametrize("role", ["induction", "previous-token", "successor"])
def test_a_head_that_examples_name_is_the_strongest_of_its_kind(kept_figures, role):
    score = np.array(kept_figures["heads"][role])
    assert np.unravel_index(score.argmax(), score.shape) == heads_by_role()[role]


def test_an_example_that_names_a_role_is_opened_at_its_head():
    named = [example for example in ALL if example.role]
    assert {example.role for example in named} == heads_by_role().keys()
    for example in named:
        block, head = heads_by_role()[example.role]
        assert (example.step, example.head) == (f"blocks.{block}.attn.pattern", head)


def test_there_are_twelve_examples_for_the_bundled_model_and_the_sort_is_shown_whole():
    assert sum(e.model == "bundled" for e in ALL) >= 12
    assert any(len(e.text) == 11 for e in ALL if e.model == "sorter")


def test_the_letter_sorter_goes_through_the_whole_sort(models):
    model = models["sorter"]
    text = next(e.text for e in ALL if e.model == "sorter" and len(e.text) == 11)
    letters, done = text[:6], text[6:]
    trace = model.engine.trace(model.tokenizer.encode(text).ids)
    written = "".join(model.tokenizer.decode([int(np.argmax(trace.logits(p)))]) for p in range(5, 11))
    assert written == "".join(sorted(letters))
    assert written[:5] == done
