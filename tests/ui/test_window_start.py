"""The start of the window: without a last session, with one, and with a damaged one."""

import json
import shutil

import pytest
from PySide6.QtCore import QPoint

from desktop_app.core.lessons.examples import examples
from desktop_app.core.program.bundle import bundled_models
from desktop_app.core.program.settings import load_settings, settings_file
from desktop_app.core.session.last_session import aside_file, keep, last_file, load_last
from desktop_app.core.session.session_file import load_session
from desktop_app.core.session.state import WALK
from tests.ui.driver import colours, pixels


def test_the_first_start_shows_the_whole_pass_with_the_place_of_the_first_example_on_it(open_desk):
    desk = open_desk()
    first = examples()[0]
    assert desk.window.prompt.text() == first.state.text
    assert (desk.state.step, desk.state.head) == (first.state.step, first.state.head)
    assert desk.c.step.key == "sheet" and desk.c.walk_step.key == first.state.step
    (sheet,) = desk.window.canvas.sheets
    shown = {sheet.panel.sheet.plates[n].name for n in sheet.panel.here}
    assert shown == {first.state.step} and f"Head {first.state.head}" in sheet.panel.place
    desk.window.do("workspace:walk")
    desk.settle()
    assert desk.c.step.key == first.state.step
    assert desk.scene.trace.ids == desk.scene.tokenizer.encode(first.state.text).ids
    assert first.state.step in desk.words()
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
    ids = first.scene.trace.ids
    first.window.close()

    second = open_desk(tiny, size=None)
    assert second.window.prompt.text() == first.window.prompt.text()
    assert second.state == state
    assert second.window.theme.name == dark
    assert second.window.scale == 1.15
    assert second.window.scrubber.steps_a_second == 4.0
    assert (second.window.width(), second.window.height()) == (1111, 777)
    assert second.window.splitter.sizes() == sizes
    assert second.scene.trace.ids == ids


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
    "wrong types": json.dumps({"theme": 3, "type_size": "big", "geometry": None, "speed": "fast"}),
    "numbers out of range": json.dumps({"type_size": 99.0, "speed": -1.0, "theme": "pink"}),
    "geometry of rubbish": json.dumps({"geometry": "zz not hex", "splitter": "ffff"}),
    "geometry of lone surrogates": '{"geometry": "\\ud800", "splitter": "\\udfff"}',
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_settings_start_as_the_first_time(open_desk, bundled, kind):
    settings_file().parent.mkdir(parents=True)
    settings_file().write_text(DAMAGED[kind])
    desk = open_desk(bundled)
    assert desk.window.prompt.text() == examples()[0].state.text
    assert desk.scene is not None and not desk.trouble()
    desk.window.close()
    assert json.loads(settings_file().read_text())["type_size"] == 1.0


LAST = {
    "rubbish": b'{"logitscope": 1, "state": {"text": 5}}',
    "from the future": b'{"logitscope": 99}',
    "cut off": b'{"logitscope": 1, "sta',
    "lone surrogates": b'{"logitscope": 1, "state": {"text": "\\ud800"',
}


@pytest.mark.parametrize("kind", LAST)
def test_a_damaged_last_session_starts_as_the_first_time(open_desk, bundled, kind):
    last_file().parent.mkdir(parents=True)
    last_file().write_bytes(LAST[kind])
    desk = open_desk(bundled)
    assert desk.window.prompt.text() == examples()[0].state.text and not desk.trouble()
    desk.window.close()
    assert load_session(last_file()).text == examples()[0].state.text


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


def test_a_restart_opens_the_model_that_was_open_last(open_desk, tiny):
    first = open_desk(tiny, "of the tiny one")
    ids = first.scene.trace.ids
    first.window.close()
    second = open_desk()
    assert second.c.model.folder == tiny and second.state == first.state and not second.trouble()
    assert second.scene.trace.ids == ids


@pytest.mark.parametrize("fault", ["gone", "broken"])
def test_a_restart_whose_model_is_gone_says_so_and_shows_no_other_model_s_numbers_of_its_text(
    open_desk, tmp_path, tiny, fault
):
    place = tmp_path / "mine"
    shutil.copytree(tiny, place)
    first = open_desk(place, "of my own model")
    first.window.do("append")
    first.settle()
    left = first.state
    first.window.close()
    place.rename(tmp_path / "away") if fault == "gone" else (place / "model.safetensors").write_bytes(b"cut")

    second = open_desk()
    assert second.c.model.folder == bundled_models()["bundled"]
    assert str(place) in second.trouble() and str(aside_file()) in second.trouble()
    assert second.window.prompt.text() == examples()[0].state.text
    assert second.scene.trace.ids == second.scene.tokenizer.encode(examples()[0].state.text).ids
    assert load_session(aside_file()) == left
    second.window.do("undo")  # undone deliberately, so the text may be shown with this model
    second.settle()
    assert second.state.text == "of my own model" and second.scene.state.text == "of my own model"
    assert second.c.model.folder == bundled_models()["bundled"]


def test_a_model_asked_for_that_cannot_be_opened_leaves_what_was_open_last(open_desk, tmp_path, tiny):
    first = open_desk(tiny, "still here")
    first.window.close()
    second = open_desk(tmp_path / "nowhere")
    assert "nowhere" in second.trouble() and second.c.model.folder == tiny
    assert second.window.prompt.text() == "still here" and not aside_file().exists()


def test_a_restart_whose_model_has_no_room_asks_and_brings_its_text_back(open_desk, tiny, monkeypatch):
    first = open_desk(tiny, "a large one")
    first.window.close()
    monkeypatch.setattr(
        "desktop_app.ui.desks.lanes.memory_warning", lambda folder, _tokens: "too large" if folder == tiny else ""
    )
    asked = []
    library = "desktop_app.ui.dialogs.model_library.ModelLibrary"
    monkeypatch.setattr(f"{library}._ask_about_memory", lambda _self, d: asked.append(d))
    second = open_desk()
    assert len(asked) == 1 and second.c.model.folder == bundled_models()["bundled"]
    assert second.window.prompt.text() == examples()[0].state.text
    second.window.library._answer(asked[0], go_on=True)
    second.settle()
    assert second.c.model.folder == tiny and second.window.prompt.text() == "a large one"


def test_a_change_is_kept_within_a_second_also_while_one_goes_on_typing(open_desk, tiny, monkeypatch):
    desk = open_desk(tiny, "kept")
    desk.until(lambda: load_last() == desk.state)
    written = []
    monkeypatch.setattr("desktop_app.ui.desks.autosave.keep", lambda state: (written.append(state.text), keep(state)))
    assert desk.window.autosave._timer.interval() <= 500 and not desk.window.autosave._timer.isActive()
    desk.type("a")
    due = desk.window.autosave._timer.remainingTime()
    desk.bot.wait(20)
    desk.type("b")  # the next letter does not postpone it
    assert 0 <= desk.window.autosave._timer.remainingTime() < due
    desk.until(lambda: load_last().text == "keptab")
    assert written == ["keptab"]
    desk.go("blocks.1.attn.pattern")
    desk.until(lambda: load_last().step == "blocks.1.attn.pattern")
    desk.bot.wait(20)
    assert len(written) == 2  # nothing is written if nothing changed


def test_a_session_that_cannot_be_kept_is_told_once(open_desk, tiny, own_home, caplog):
    (own_home / "state" / "logitscope").write_text("a file where the folder should be")
    desk = open_desk(tiny, "text")
    desk.until(lambda: "session cannot be kept" in desk.notice())
    assert desk.scene is not None
    desk.window.close()
    assert "session cannot be kept" in caplog.text


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
        assert desk.window.prompt.text() == example.state.text and not desk.trouble()
        assert desk.c.model.folder == bundled_models()[example.model]
        place = example.state.step if example.state.workspace == WALK else example.state.workspace
        assert desk.c.step.key == place
        assert example.role is None or desk.scene.head == example.state.head
        assert example.say == (desk.notice() or example.say)
        assert colours(pixels(desk.window.canvas)) > 50
    assert desk.c.history.can_undo


def test_the_window_says_which_model_is_open(desk):
    assert "tiny" in desk.window.models.text() and "2 blocks × 3 heads" in desk.window.models.text()


def test_what_is_remembered_is_a_session_that_opens(open_desk, tiny):
    desk = open_desk(tiny, "as it was")
    desk.window.close()
    assert load_session(last_file()) == desk.state


def test_an_unplugged_screen_does_not_hide_the_window(open_desk, tiny, qapp):
    first = open_desk(tiny, "far away")
    first.window.move(QPoint(9000, 9000))
    first.window.close()
    second = open_desk(tiny, size=None)
    assert qapp.primaryScreen().geometry().intersects(second.window.frameGeometry())


def test_settings_that_cannot_be_kept_do_not_keep_the_window_open(open_desk, tiny, own_home, caplog):
    desk = open_desk(tiny, "text")
    (own_home / "config" / "logitscope").write_text("a file where the folder should be")
    assert desk.window.close()
    assert "settings.json cannot be written" in caplog.text


def test_the_weights_are_packed_after_the_first_answer_and_only_where_there_is_room(open_desk, tiny, monkeypatch):
    roomy = open_desk(tiny, "some")
    roomy.until(lambda: roomy.c.model.engine.packed)
    monkeypatch.setattr("desktop_app.core.model.available_memory", lambda: 1000)
    tight = open_desk(tiny, "no")
    tight.type("more")
    tight.settle()
    assert not tight.c.model.engine.packed and tight.c.scene is not None
