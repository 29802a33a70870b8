"""Stories: files are read as written, saved stories are read back, and files that are not stories are refused."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from desktop_app.core.lessons.cover import HIDDEN, covered
from desktop_app.core.lessons.questions import grade, read_question, truth_of
from desktop_app.core.lessons.stops import OPENING, open_in, read_stop
from desktop_app.core.lessons.stories import (
    find_story,
    load_story,
    read_story,
    save_story,
    shipped,
    stop_of,
    with_stop,
)
from desktop_app.core.opening.cells import Cell
from desktop_app.core.panels import BarsPanel, GridPanel, panels_of
from desktop_app.core.session.state import State, ViewOptions
from desktop_app.core.steps import build_view, step_list
from desktop_app.gpt2.errors import SessionError
from desktop_app.gpt2.sampling import Sampling
from tests.scenes import open_tiny, scene_of

TEXT = "Hello, you"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


MINE = State(
    text='He said "no\\yes"\n\tand\x7f left – \U0001f600',
    appended=(3, 5),
    workspace="lens",
    step="blocks.1.attn.pattern",
    layer=1,
    head=1,
    token=2,
    position=4,
    key=1,
    target=7,
    opened=(Cell("lens.kl", (2, 1)),),
    sampling=Sampling(1.5, 3, 0.5, seed=12),
    view=ViewOptions(lens="kl", skip_first=True, limit=2.5),
)


def test_a_stop_of_what_is_shown_comes_back_from_its_file_as_it_was(tmp_path):
    story = read_story(b'title = "t"\n[[stop]]\ntitle = "first"\ntext = "a"', tmp_path / "a.story.toml")
    story = with_stop(story, replace(stop_of(MINE, "mine", 'Look: "there"'), look_for="x", notes="y\nz"))
    save_story(tmp_path / "b.story.toml", story)
    again = load_story(tmp_path / "b.story.toml")
    assert [stop.title for stop in again.stops] == ["first", "mine"]
    stop = again.stops[1]
    assert (stop.say, stop.look_for, stop.notes) == ('Look: "there"', "x", "y\nz")
    assert open_in(stop, State()) == MINE


def test_what_a_stop_leaves_open_stays_and_what_was_asked_of_another_text_does_not():
    stop = read_stop({"title": "t", "text": "new", "step": "tokens"}, "a file")
    opened = open_in(stop, MINE)
    assert (opened.head, opened.view) == (MINE.head, MINE.view)
    assert (opened.text, opened.appended, opened.step, opened.workspace) == ("new", (), "tokens", "walk")
    assert (opened.token, opened.position, opened.key, opened.target, opened.opened) == (None, None, None, None, ())
    assert opened.sampling == OPENING


def test_claims_and_questions_survive_editing(tmp_path):
    for story in shipped().values():
        path = tmp_path / story.file.name
        save_story(path, story)
        again = load_story(path)
        assert [s.claims for s in again.stops] == [s.claims for s in story.stops]
        assert [s.question for s in again.stops] == [s.question for s in story.stops]
        assert [open_in(s, State()) for s in again.stops] == [open_in(s, State()) for s in story.stops]
        assert again.topics == story.topics


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a story"),
        ("title = 1", "title is 1"),
        ("title = ", "not a TOML file"),
        ('title = "t"\nstop = 3', "is not a story"),
        ('title = "t"\n[[stop]]', "stop 1: title is missing"),
        ('title = "t"\n[[stop]]\ntitle = "s"\ntetx = "a"', "'tetx' is not a field of a stop"),
        ('title = "t"\n[[stop]]\ntitle = "s"\nlayer = -1', "layer is -1"),
        ('title = "t"\n[[stop]]\ntitle = "s"\nrole = "nobody"', "role is 'nobody'"),
        ('title = "t"\n[[stop]]\ntitle = "s"\nstep = "blocks.x.ln1"', "a block's step"),
        ('title = "t"\n[[stop]]\ntitle = "s"\nstep = "blocks."', "a block's step"),
        ('title = "t"\n[[stop]]\ntitle = "s"\nclaims = [{ next = "a" }]', "stop 1: claim 1: the claim says nothing"),
        ('title = "t"\n[[stop]]\ntitle = "s"\nsampling = { temperature = 0 }', "temperature"),
        ('title = "t"\n[[stop]]\ntitle = "s"\nquestion = { ask = "?" }', "one of next = true"),
        ('title = "t"\n[[stop]]\ntitle = "s"\nquestion = { ask = "?", choices = [] }', "2 to 6"),
        ('title = "t"\n[[stop]]\ntitle = "s"\nquestion = 3', "stop 1: question"),
        ('title = "t"\n[heads]\na = [1]\n[[stop]]\ntitle = "s"', "heads must be"),
        ('title = "t"\nnumber = "a"\n[[stop]]\ntitle = "s"', "number is 'a'"),
        ('title = "t"\ntopics = [1]\n[[stop]]\ntitle = "s"', "topics must be"),
    ],
)
def test_what_is_no_story_is_refused_by_name(tmp_path, text, words):
    path = tmp_path / "s.story.toml"
    path.write_text(text)
    with pytest.raises(SessionError, match=words) as caught:
        load_story(path)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_and_places_that_are_no_file_are_refused(tmp_path):
    with pytest.raises(SessionError, match="not a TOML file"):
        read_story(b"\xff\xfe", tmp_path / "x")
    with pytest.raises(SessionError, match="larger"):
        read_story(b"#" * ((4 << 20) + 1), tmp_path / "x")
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SessionError, match="not a file"):
            load_story(path)
    with pytest.raises(SessionError, match="is not a story of the program"):
        find_story("nothing")


def test_the_shipped_lectures_stand_in_the_order_in_which_they_build_on_each_other():
    assert list(shipped())[:3] == ["next-token", "attention", "heads"]


def test_a_shipped_story_is_found_by_its_name():
    for name, story in shipped().items():
        assert find_story(name) is story and "/" not in name


# Questions


def test_the_next_token_and_the_strongest_look_are_graded_on_the_pass(model):
    scene = scene_of(model, TEXT, layer=1, head=1, token=5)
    best = model.tokenizer.decode([int(np.argmax(scene.trace.logits(-1)))])
    question = read_question({"ask": "?", "next": True}, "a file")
    assert grade(question, best, model, scene).right and grade(question, f" {best} ", model, scene).right
    assert not grade(question, best + "x", model, scene).right
    row = scene.trace["blocks.1.attn.pattern"][1, 5]
    question = read_question({"ask": "?", "look": True}, "a file")
    assert [grade(question, n, model, scene).right for n in range(6)] == [n == np.argmax(row) for n in range(6)]


def test_choices_are_right_where_their_claims_hold_on_the_model_at_hand(model):
    scene = scene_of(model, TEXT)
    best = model.tokenizer.decode([int(np.argmax(scene.trace.logits(-1)))])
    raw = {
        "ask": "?",
        "choices": [{"say": "yes", "claims": [{"count": len(TEXT)}]}, {"say": "no", "claims": [{"count": 3}]}],
    }
    question = read_question(raw, "a file")
    assert grade(question, 0, model, scene).right and not grade(question, 1, model, scene).right
    assert "yes" in truth_of(question, model, scene)[1]
    both = read_question({"ask": "?", "choices": [{"say": a, "claims": [{"count": 99}]} for a in "ab"]}, "a file")
    assert not grade(both, 0, model, scene).right and "None" in truth_of(both, model, scene)[1]
    assert best


# Covering


def numbers(panel):
    """All numbers that a panel shows."""
    values = [np.asarray(getattr(panel, "values", np.zeros(0)))]
    values += [strip.values for strip in getattr(panel, "strips", ())]
    return np.concatenate([v.ravel() for v in values])


def test_a_covered_view_has_no_number_and_keeps_its_panels_titles_and_sources(model):
    scene = scene_of(model, TEXT, layer=1, head=1)
    seen = set()
    for step in step_list(model.config):
        view = build_view(scene, step)
        hidden = covered(view)
        assert (hidden.title, hidden.lead) == (view.title, view.lead)
        for before, after in zip(panels_of(view.content), panels_of(hidden.content), strict=True):
            assert type(before) is type(after) and before.title == after.title
            assert np.isnan(numbers(after)).all()
            assert getattr(before, "source", None) == getattr(after, "source", None)
            if isinstance(after, BarsPanel):
                assert len(after.bars) == len(before.bars)
                assert {(bar.label, bar.value, bar.text, bar.source, bar.pick) for bar in after.bars} <= {
                    (HIDDEN, 0.0, HIDDEN, None, None)
                }
            if isinstance(after, GridPanel):
                assert after.labels == before.labels
            seen.add(type(after).__name__)
    assert {"StripsPanel", "GridPanel", "BarsPanel", "MultiplesPanel", "CurvePanel", "RulerPanel", "TextPanel"} <= seen


def test_every_kind_of_panel_with_numbers_is_covered_what_it_shows_of_other_tokens_too():
    from desktop_app.core import panels
    from desktop_app.core.lessons.cover import _COVERS, cover_panel

    assert set(get_args(panels.AnyPanel)) - set(_COVERS) == {panels.TokensPanel, panels.ProsePanel}
    looks, names = np.array([[1.0, 0.0], [0.25, 0.75]]), ("of a", "of b")
    arcs = panels.ArcsPanel(pieces=("a", "b"), values=looks, titles=names)
    assert np.isnan(cover_panel(arcs).of_token(1).values).all()
    shaded = panels.ShadedPanel(pieces=("a", "b"), values=looks[0], others=looks, titles=names)
    assert np.isnan(cover_panel(shaded).of_token(1).values).all()
    cloud = panels.CloudPanel(points=looks, labels=("a", "b"), marked=(0,), arrows=((0, 1),))
    assert (len(cover_panel(cloud).points), cover_panel(cloud).labels, cover_panel(cloud).arrows) == (0, (), ())
