"""The claims of each example's sentence hold, in the model that it opens and with the settings that it opens with."""

import re
from pathlib import Path

import numpy as np
import pytest

from desktop_app.core.lessons.claims import Apart
from desktop_app.core.lessons.examples import examples, heads_by_role
from desktop_app.core.lessons.stops import claimed_state
from desktop_app.core.model import open_model
from desktop_app.core.program.bundle import bundled_models, resource
from desktop_app.core.steps import find_step
from desktop_app.gpt2.display import typed

ALL = examples()
CLAIMS = [(stop, n) for stop in ALL for n in range(len(stop.claims))]


@pytest.fixture(scope="module")
def models():
    return {name: open_model(folder) for name, folder in bundled_models().items()}


@pytest.mark.parametrize(("stop", "n"), CLAIMS, ids=[f"{stop.title} {n + 1}" for stop, n in CLAIMS])
def test_the_claims_of_an_example_hold(models, stop, n):
    found = stop.claims[n].check(models[stop.model], claimed_state(stop))
    assert found.holds, found.said


@pytest.mark.parametrize("stop", ALL, ids=[stop.title for stop in ALL])
def test_an_example_says_where_to_look_as_it_is_opened_and_claims_something(models, stop):
    assert stop.say and stop.claims
    assert "{" not in stop.say
    find_step(stop.state.step, models[stop.model].config)
    for block, head in re.findall(r"[Bb]lock (\d+), head (\d+)", stop.say):
        assert (f"blocks.{block}.attn.pattern", int(head)) == (stop.state.step, stop.state.head)


@pytest.mark.parametrize("stop", ALL, ids=[stop.title for stop in ALL])
def test_every_token_that_a_sentence_quotes_is_in_the_text_or_in_a_claim(stop):
    """A sentence about a quoted token that no claim mentions would not be tested."""
    claimed = " ".join(str(claim) for claim in stop.claims)
    for quoted in re.findall(r"(?<!\w)'([^']+)'(?!\w)", stop.say):
        shown, token = f"{stop.state.text} {stop.state.other}", typed(quoted)
        assert token in shown or repr(token) in claimed or token.strip() in claimed, quoted


COUNTS = {
    w: n for n, w in enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], 1)
}


@pytest.mark.parametrize("stop", ALL, ids=[stop.title for stop in ALL])
def test_a_distance_that_is_said_is_claimed(stop):
    claimed = {claim.statement.tokens for claim in stop.claims if isinstance(claim.statement, Apart)}
    said = re.findall(r"(\w+) tokens (?:back|before|apart)", stop.say)
    assert {COUNTS[word] for word in said} <= claimed


@pytest.mark.parametrize("role", ["induction", "previous-token", "successor"])
def test_a_head_that_examples_name_is_the_strongest_of_its_kind(kept_figures, role):
    score = np.array(kept_figures["heads"][role])
    assert np.unravel_index(score.argmax(), score.shape) == heads_by_role()[role]


def test_an_example_that_names_a_role_is_opened_at_its_head():
    named = [stop for stop in ALL if stop.role]
    assert {stop.role for stop in named} == heads_by_role().keys()
    for stop in named:
        block, head = heads_by_role()[stop.role]
        assert (stop.state.step, stop.state.head) == (f"blocks.{block}.attn.pattern", head)


def test_there_are_twelve_examples_for_the_bundled_model_and_the_sort_is_shown_whole():
    assert sum(stop.model == "bundled" for stop in ALL) >= 12
    assert any(len(stop.state.text) == 11 for stop in ALL if stop.model == "sorter")


def test_the_examples_file_is_where_installed_programs_look_for_it():
    assert resource("examples.toml") == Path(__file__).resolve().parents[2] / "resources" / "examples.toml"
