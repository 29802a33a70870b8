"""Navigation goes to the neighbouring steps, blocks and heads, and never beyond the ends."""

from dataclasses import replace

import pytest

from desktop_app.core.asking.navigation import at_step, by_block, by_head, by_steps, current_step
from desktop_app.core.session.state import State
from desktop_app.core.steps import step_list
from desktop_app.gpt2.config import parse_config

STEPS = step_list(parse_config({"n_layer": 3, "n_head": 4, "n_embd": 8, "vocab_size": 9, "n_positions": 9}, "test"))


def at(key):
    return at_step(State(), next(s for s in STEPS if s.key == key))


def test_one_step_after_the_other_reaches_every_step_once():
    state, seen = State(step="text"), ["text"]
    for _ in range(len(STEPS) - 1):
        state = by_steps(state, STEPS, 1)
        seen.append(state.step)
    assert seen == [s.key for s in STEPS]
    assert by_steps(state, STEPS, 1) == state


def test_the_first_step_has_none_before_it():
    assert by_steps(at("text"), STEPS, -1).step == "text"


@pytest.mark.parametrize(
    ("key", "by", "expected"),
    [
        ("blocks.0.attn.pattern", 1, "blocks.1.attn.pattern"),
        ("blocks.2.attn.pattern", 1, "ln_final"),
        ("blocks.0.mlp_out", -1, "sum"),
        ("tokens", 1, "blocks.0.ln1"),
        ("tokens", -1, "tokens"),
        ("logits", -1, "blocks.2.resid_post"),
        ("logits", 1, "logits"),
    ],
)
def test_by_block_keeps_the_operation_and_leaves_at_the_ends(key, by, expected):
    assert by_block(at(key), STEPS, by).step == expected


def test_entering_a_block_shows_that_block():
    assert at("blocks.2.ln1").layer == 2
    assert at_step(replace(State(), layer=2), STEPS[0]).layer == 2


def test_heads_go_round():
    assert by_head(State(head=3), 4, 1).head == 0
    assert by_head(State(head=0), 4, -1).head == 3


def test_a_step_that_the_model_lacks_is_no_step():
    assert current_step(State(step="blocks.7.ln1"), STEPS) is None
    assert by_steps(State(step="blocks.7.ln1"), STEPS, 1).step == "blocks.7.ln1"
