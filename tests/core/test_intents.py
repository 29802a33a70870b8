"""What a user asks for, as values: each intent has one effect on the state, wherever it comes from."""

from dataclasses import replace
from typing import get_args

import pytest

from desktop_app.core.asking import intents as ask
from desktop_app.core.asking.commands import COMMANDS
from desktop_app.core.asking.finding import places, tokens_spelled
from desktop_app.core.asking.follow import follow, joined
from desktop_app.core.lessons.examples import examples
from desktop_app.core.model import open_model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.program.bundle import bundled_models, snapshots
from desktop_app.core.session.fields import Change
from desktop_app.core.session.state import State
from desktop_app.core.steps import step_list
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from tests.scenes import CONFIG, open_tiny, scene_of

HERE = State(text="Hello", step="tokens", layer=1, token=2, key=1, opened=(Cell("a", (0,)), Cell("b", (1,))))
HERE = replace(HERE, edits=(Change("blocks.1.attn.z[0]*=2"),))
MUTED = Change("blocks.0.attn.z[1]=0")
WORKED = [
    (ask.GoTo("blocks.0.attn.pattern"), {"step": "blocks.0.attn.pattern", "layer": 0}),
    (ask.GoTo("blocks.*.attn.scores"), {"step": "blocks.1.attn.scores"}),
    (ask.Select(4), {"token": 4, "key": None}),
    (ask.Predict(3), {"position": 3, "token": 3, "key": None}),
    (ask.Predict(4, last=True), {"position": None, "token": 4, "key": None}),
    (ask.ShowHead(1), {"head": 1}),
    (ask.ShowHead(1, 0), {"head": 1, "step": "blocks.0.attn.pattern", "layer": 0}),
    (
        ask.Visit("blocks.0.attn.q", 1, 3),
        {"step": "blocks.0.attn.heads", "layer": 0, "head": 1, "token": 3, "key": None},
    ),
    (ask.Visit("embed"), {"step": "embed"}),
    (ask.AskKey(0), {"key": 0}),
    (ask.AskKey(1), {"key": None}),
    (ask.Append(7), {"appended": (7,), "token": None, "position": None, "key": None}),
    (ask.Pin(7), {"pinned": (7,)}),
    (ask.Explain(target=7), {"workspace": "why", "target": 7}),
    (ask.Explain(against=9), {"workspace": "why", "against": 9}),
    (ask.Open(Cell("c", (2,))), {"opened": (*HERE.opened, Cell("c", (2,)))}),
    (ask.Open(Cell("a", (0,))), {"opened": (Cell("a", (0,)),)}),
    (ask.Evidence(0, neuron=5), {"workspace": "evidence", "layer": 0, "neuron": 5, "opened": ()}),
    (
        ask.Evidence(0, head=2),
        {
            **{"workspace": "evidence", "layer": 0, "head": 2, "opened": ()},
            "view": replace(HERE.view, evidence="heads"),
        },
    ),
    (ask.Frame((0.25, 0.0, 0.5, 0.25)), {"map_window": (0.25, 0.0, 0.5, 0.25)}),
    (ask.Sample("top_k", 5), {"sampling": replace(HERE.sampling, top_k=5)}),
    (ask.Reseed(), {"sampling": replace(HERE.sampling, seed=HERE.sampling.seed + 1), "draws": 0}),
    (ask.Edit((MUTED.text,)), {"edits": (*HERE.edits, MUTED)}),
    (ask.Steer(7), {"edits": (*HERE.edits, Change("blocks.1.resid_pre+=4*tokens[7]"))}),
    (
        ask.Measure("blocks.0.attn.W_OV[1, 2].reads"),
        {
            **{"workspace": "directions", "opened": ()},
            "view": replace(HERE.view, direction="blocks.0.attn.W_OV[1, 2].reads", directions="ruler"),
        },
    ),
    (ask.Weigh(0, 3.0), {"edits": (Change("blocks.1.attn.z[0]*=3"),)}),
    (ask.UseModel("elsewhere"), {"model": "elsewhere"}),
    (ask.Do("next_head"), {"head": 1}),
    (ask.Do("next"), {"step": "embed"}),
    (ask.Do("draw"), {"draws": 1}),
    (ask.Do("close_inspector"), {"opened": ()}),
    (ask.Do("quit"), {}),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny", CONFIG)


@pytest.mark.parametrize(("intent", "changed"), WORKED, ids=[str(i) for i, _ in WORKED])
def test_an_intent_changes_these_fields_and_no_other(model, intent, changed):
    assert follow(intent, HERE, model) == replace(HERE, **changed)


def test_every_intent_is_followed(model):
    tried = {type(intent) for intent, _ in WORKED} | {ask.Show, ask.AtStep}
    assert tried == set(get_args(ask.Intent))
    (example, *_) = examples()
    assert follow(ask.Show(example), HERE, model).text == example.state.text


def test_what_a_token_was_pinned_for_is_taken_back_by_asking_again(model):
    once = follow(ask.Pin(7), HERE, model)
    assert follow(ask.Pin(7), once, model) == HERE


def test_without_a_model_what_takes_none_is_followed_and_the_rest_changes_nothing():
    assert follow(ask.Pin(7), HERE, None).pinned == (7,)
    for intent in (ask.Do("next"), ask.GoTo("embed"), ask.ShowHead(1, 0), ask.Append(3)):
        assert follow(intent, HERE, None) == HERE


def test_what_cannot_be_is_refused_in_a_sentence(model):
    for intent in (ask.GoTo("blocks.99.attn.z"), ask.Sample("temperature", 0.0)):
        with pytest.raises(LogitscopeError):
            follow(intent, HERE, model)


def test_drags_and_draws_are_one_entry_of_undo_each():
    assert joined(ask.Sample("top_k", 5)) == joined(ask.Sample("top_k", 6)) != joined(ask.Sample("top_p", 0.5))
    assert joined(ask.Do("draw")) == joined(ask.Do("draw")) is not None
    assert joined(ask.Do("next")) is None and joined(ask.Pin(1)) is None


def test_every_command_that_changes_the_state_does_so_twice_without_harm(model):
    steps = {step.key for step in step_list(model.config)} | {"text"}
    for command in COMMANDS:
        if command.change is None:
            continue
        after = follow(ask.Do(command.id), follow(ask.Do(command.id), HERE, model), model)
        assert after.step in steps and 0 <= after.head < model.config.n_head, command.id


@pytest.mark.parametrize("start", [None, False])
def test_every_command_is_followed_or_refused_in_a_sentence_where_nothing_is_typed(model, start):
    for command in COMMANDS:
        for token in (None, 3):
            try:
                follow(ask.Do(command.id), State(text="", start=start, token=token, position=token), model)
            except LogitscopeError as reason:
                assert str(reason).endswith(".")


def test_whatever_the_palette_finds_can_be_followed(model):
    scene = scene_of(model, "Hello", layer=1)
    found = [*places(model, step_list(model.config)), *tokens_spelled("e", scene)]
    words = [line for line, _ in found]
    assert len(set(words)) == len(words)
    assert {"Block 1, head 0", "Weight embed.W_E"} <= set(words)
    assert any(line.startswith("Token ") for line in words)
    for _, intent in found:
        assert follow(intent, scene.state, model) != scene.state or intent in (
            ask.GoTo(scene.state.step),
            ask.ShowHead(scene.head, scene.layer),
        )


def test_a_step_of_the_training_is_the_snapshots_model(model):
    sorter = bundled_models()["sorter"]
    state = State("CBA", model=str(sorter), layer=1)
    found = follow(ask.AtStep(30), state, open_model(sorter))
    assert found == replace(state, model=str(snapshots(sorter)[30]))
    with pytest.raises(ModelError, match="no snapshot after 31 steps"):
        follow(ask.AtStep(31), state, open_model(sorter))
    with pytest.raises(ModelError, match="tiny has no snapshots of its training"):
        follow(ask.AtStep(30), state, model)
