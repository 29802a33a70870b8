"""The claims of each shipped story hold in the model that it is about, with the settings that its stops open with."""

import re

import pytest

from desktop_app.core.lessons.questions import truth_of
from desktop_app.core.lessons.stops import claimed_state
from desktop_app.core.lessons.stories import shipped
from desktop_app.core.library.find import find_model
from desktop_app.core.model import open_model
from desktop_app.core.program.bundle import bundled_models
from desktop_app.core.scene import make_scene
from desktop_app.core.session.state import encode
from desktop_app.core.steps import find_step, workspaces
from desktop_app.gpt2.display import typed

STOPS = [
    (name, n)
    for name, story in shipped().items()
    for n, stop in enumerate(story.stops)
    if stop.model.partition("@")[0] in bundled_models()
]
CLAIMS = [(name, n, m) for name, n in STOPS for m in range(len(shipped()[name].stops[n].claims))]


@pytest.fixture(scope="module")
def models():
    return {name: open_model(find_model(name)) for name in {shipped()[a].stops[n].model for a, n in STOPS}}


@pytest.mark.parametrize(("name", "n", "m"), CLAIMS)
def test_the_claims_of_a_stop_hold(models, name, n, m):
    stop = shipped()[name].stops[n]
    found = stop.claims[m].check(models[stop.model], claimed_state(stop))
    assert found.holds, found.said


@pytest.mark.parametrize(("name", "n"), STOPS)
def test_a_stop_is_a_place_of_its_model_and_its_quotes_are_claimed_or_in_the_text(models, name, n):
    stop = shipped()[name].stops[n]
    config = models[stop.model].config
    place = stop.state.workspace
    assert place == "walk" or place in {w.key for w in workspaces(config)}
    find_step(stop.state.step, config)
    assert stop.say and "{" not in stop.say
    claimed = " ".join(str(claim) for claim in stop.claims)
    for quoted in re.findall(r"(?<!\w)'([^']+)'(?!\w)", stop.say):
        token = typed(quoted)
        assert token in stop.state.text or token.strip() in claimed, quoted


@pytest.mark.parametrize(("name", "n"), [(a, n) for a, n in STOPS if shipped()[a].stops[n].question])
def test_a_question_has_an_answer_in_its_model(models, name, n):
    stop = shipped()[name].stops[n]
    model, state = models[stop.model], claimed_state(stop)
    trace = model.engine.trace(encode(state, model.tokenizer))
    scene = make_scene(model.name, model.checkpoint, model.tokenizer, trace, state)
    assert "None of these" not in truth_of(stop.question, model, scene)[1]


def test_the_lectures_have_ten_stops_and_more():
    assert sum(story.is_lecture for story in shipped().values()) >= 3
