"""The first moment of the window: with nothing remembered, with a memory, with a damaged one."""

import json

import pytest
from PySide6.QtCore import QPoint

from desktop_app.core.bundle import bundled_models
from desktop_app.core.examples import examples
from desktop_app.core.session_file import from_json
from desktop_app.core.settings import load_settings, settings_file
from tests.ui.driver import colours, pixels


def test_the_first_start_shows_the_first_example_stepped_to_its_head(open_desk):
    desk = open_desk()
    first = examples()[0]
    assert desk.window.prompt.text() == first.text
    assert (desk.state.step, desk.state.head) == (first.step, first.head)
    assert desk.c.step.key == first.step
    assert desk.scene.trace.ids == desk.scene.tokenizer.encode(first.text).ids
    assert first.step in desk.words()
    assert colours(pixels(desk.window.canvas)) > 200
    assert not desk.trouble()


def test_a_prompt_that_was_asked_for_is_shown(open_desk, tiny):
    desk = open_desk(tiny, "asked for")
    assert desk.window.prompt.text() == "asked for"
    assert desk.scene.trace.ids == desk.scene.tokenizer.encode("asked for").ids


def test_typing_while_the_first_model_loads_is_kept(open_desk, tiny):
    desk = open_desk(tiny, "before", settle=False)
    assert desk.c.model is None
    desk.type(" and after")
    desk.settle()
    assert desk.window.prompt.text() == "before and after"
    assert len(desk.scene.trace) == len("before and after")


def test_the_second_start_has_the_prompt_the_place_the_settings_and_the_geometry_of_the_first(open_desk, tiny):
    first = open_desk(tiny, "remember me", size=(1111, 777))
    first.window.splitter.setSizes([300, 500, 300])
    first.go("blocks.1.attn.pattern")
    first.window.do("next_head")
    first.window.do("theme")
    first.window.do("larger")
    first.window.scrubber.set_speed(4.0)
    first.window.probabilities.controls.temperature.setValue(100)
    first.window.do("append")
    first.settle()
    dark, sizes, state = first.window.theme.name, first.window.splitter.sizes(), first.state
    first.window.close()

    second = open_desk(tiny, size=None)
    assert second.window.prompt.text() == first.window.prompt.text()
    assert second.state == state
    assert second.window.theme.name == dark
    assert second.window.scale == 1.15
    assert second.window.scrubber.steps_a_second == 4.0
    assert (second.window.width(), second.window.height()) == (1111, 777)
    assert second.window.splitter.sizes() == sizes
    assert second.scene.trace.ids == first.scene.trace.ids


def test_a_prompt_that_was_asked_for_goes_before_the_remembered_one(open_desk, tiny):
    first = open_desk(tiny, "the old one")
    first.window.do("append")
    first.settle()
    first.window.close()
    second = open_desk(tiny, "the new one")
    assert second.window.prompt.text() == "the new one"
    assert second.state.appended == ()


DAMAGED = {
    "not JSON": "{",
    "another kind": "[1, 2]",
    "empty": "",
    "wrong types": json.dumps({"theme": 3, "type_size": "big", "geometry": None, "speed": "fast", "session": 7}),
    "numbers out of range": json.dumps({"type_size": 99.0, "speed": -1.0, "theme": "pink"}),
    "geometry of rubbish": json.dumps({"geometry": "zz not hex", "splitter": "ffff"}),
    "geometry of lone surrogates": '{"geometry": "\\ud800", "splitter": "\\udfff"}',
    "a session of rubbish": json.dumps({"session": '{"logitscope": 1, "state": {"text": 5}}'}),
    "a session from the future": json.dumps({"session": '{"logitscope": 99}'}),
    "a session of lone surrogates": '{"session": "{\\ud800"}',
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_settings_start_as_the_first_time(open_desk, bundled, kind):
    settings_file().parent.mkdir(parents=True)
    settings_file().write_text(DAMAGED[kind])
    desk = open_desk(bundled)
    assert desk.window.prompt.text() == examples()[0].text
    assert desk.scene is not None and not desk.trouble()
    desk.window.close()
    assert json.loads(json.loads(settings_file().read_text())["session"])["state"]["text"] == examples()[0].text


def test_a_remembered_place_that_the_model_lacks_becomes_one_that_it_has(open_desk, tiny, other):
    first = open_desk(other, "here")
    first.go("blocks.2.mlp.pre")
    first.c.go_head(3)
    first.window.close()
    second = open_desk(tiny)
    assert second.c.step is not None and second.scene.layer <= 1 and second.scene.head <= 2
    assert colours(pixels(second.window.canvas)) > 20


def test_a_prompt_of_megabytes_costs_nobody_the_other_settings(open_desk, tiny):
    first = open_desk(tiny, "short")
    first.window.do("theme")
    first.c.edit_text(("ё" * 79 + "\n") * 9_000)
    first.settle()
    theme = first.window.theme.name
    first.window.close()
    assert load_settings().theme == theme


def test_a_folder_without_a_model_gets_a_sentence_and_a_window_that_lives(open_desk, tmp_path, tiny):
    desk = open_desk(tmp_path / "nowhere", "text")
    assert "nowhere" in desk.trouble() and desk.trouble().endswith(".")
    assert "Opening" not in desk.window.models.text()
    desk.c.open_model(tiny)
    desk.settle()
    assert not desk.trouble() and len(desk.scene.trace) == 4


def test_the_model_button_names_every_model_that_came_with_the_program(desk):
    titles = {a.data(): a.text() for a in desk.window.models.menu().actions()}
    assert set(bundled_models()) <= set(titles)
    assert titles["bundled"] == "Storybook GPT-2" and titles["sorter"] == "Letter sorter"


def test_each_example_opens_with_its_model_where_there_is_something_to_see(open_desk):
    desk = open_desk()
    actions = {a.text(): a for a in desk.window.examples.menu().actions()}
    for example in examples():
        actions[example.title].trigger()
        desk.settle()
        assert desk.window.prompt.text() == example.text and not desk.trouble()
        assert desk.c.model.folder == bundled_models()[example.model]
        assert desk.c.step.key == example.step and desk.scene.head == example.head
        assert example.look == (desk.notice() or example.look)
        assert colours(pixels(desk.window.canvas)) > 50
    assert desk.c.history.can_undo


def test_the_window_says_which_model_is_open(desk):
    assert "tiny" in desk.window.models.text() and "2 blocks × 3 heads" in desk.window.models.text()


def test_what_is_remembered_is_a_session_that_opens(open_desk, tiny):
    desk = open_desk(tiny, "as it was")
    desk.window.close()
    assert from_json(load_settings().session.encode(), "it") == desk.state


def test_an_unplugged_screen_does_not_hide_the_window(open_desk, tiny, qapp):
    first = open_desk(tiny, "far away")
    first.window.move(QPoint(9000, 9000))
    first.window.close()
    second = open_desk(tiny, size=None)
    assert qapp.primaryScreen().geometry().intersects(second.window.frameGeometry())


def test_settings_that_cannot_be_kept_do_not_keep_the_window_open(open_desk, tiny, own_home, capsys):
    desk = open_desk(tiny, "text")
    (own_home / "config" / "logitscope").write_text("a file where the folder should be")
    assert desk.window.close()
    assert capsys.readouterr().err.startswith("logitscope: ")


def test_the_weights_are_packed_after_the_first_answer_and_only_where_there_is_room(open_desk, tiny, monkeypatch):
    roomy = open_desk(tiny, "some")
    roomy.until(lambda: roomy.c.model.engine.packed)
    monkeypatch.setattr("desktop_app.core.model.available_memory", lambda: 1000)
    tight = open_desk(tiny, "no")
    tight.type("more")
    tight.settle()
    assert not tight.c.model.engine.packed and tight.c.scene is not None
