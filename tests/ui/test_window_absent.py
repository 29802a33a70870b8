"""A session, or an undo, whose model is missing: another model's numbers are not shown for its text unasked."""

import json
import shutil
from dataclasses import replace

from PySide6.QtWidgets import QFileDialog, QMessageBox

from desktop_app.core.session.session_file import to_json
from desktop_app.core.session.state import State
from tests.hub.fixtures import NAME, hub
from tests.hub.server import COMMIT

__all__ = ["hub"]


def absent(tmp_path, model):
    path = tmp_path / "absent.logitscope"
    state = replace(State(), text="of another model", model=str(model), step="blocks.1.mlp.pre", layer=1)
    data = json.loads(to_json(state))
    data["state"]["model"] = str(model)  # as written, not resolved from the current directory
    path.write_text(json.dumps(data))
    return path


def question(desk):
    (box,) = [box for box in desk.window.findChildren(QMessageBox) if box.isVisible()]
    return box, {button.text(): button for button in box.buttons()}


def test_a_session_whose_model_is_gone_shows_nothing_before_somebody_says_with_what(desk, tmp_path):
    state, trace = desk.state, desk.scene.trace
    desk.window.files.open_session(absent(tmp_path, tmp_path / "gone"))
    desk.settle()
    box, buttons = question(desk)
    assert str(tmp_path / "gone") in box.text() and list(buttons) == [
        "Choose its folder …", f"Show it with {desk.c.model.name}", "Cancel",
    ]  # fmt: skip
    assert desk.state == state and desk.scene.trace is trace and not desk.trouble()
    buttons["Cancel"].click()
    desk.settle()
    assert desk.state == state and desk.scene.trace is trace


def test_a_session_whose_model_has_no_name_for_the_hub_is_asked_about_like_any_other(desk, tmp_path):
    for name in ("\0\ud800 ☃", "relative", "owner/na me@x", "/" + 300 * "long"):
        desk.window.files.open_session(absent(tmp_path, name))
        _, buttons = question(desk)
        assert len(buttons) == 3 and desk.window.prompt.text() == "Hello, you"
        buttons["Cancel"].click()


def test_a_session_whose_model_is_gone_is_shown_with_the_open_one_on_purpose(desk, tmp_path):
    desk.window.files.open_session(absent(tmp_path, tmp_path / "gone"))
    _, buttons = question(desk)
    buttons[f"Show it with {desk.c.model.name}"].click()
    desk.settle()
    assert desk.window.prompt.text() == "of another model" and desk.c.step.key == "blocks.1.mlp.pre"
    assert desk.state.model == str(desk.c.model.folder)
    desk.window.do("undo")
    desk.settle()
    assert desk.window.prompt.text() == "Hello, you"


def test_a_session_whose_model_has_moved_opens_with_the_folder_that_is_chosen(desk, other, tmp_path):
    desk.window.files.open_session(absent(tmp_path, tmp_path / "gone"))
    _, buttons = question(desk)
    buttons["Choose its folder …"].click()
    (dialog,) = [d for d in desk.window.findChildren(QFileDialog) if d.isVisible()]
    dialog.fileSelected.emit(str(other))
    dialog.close()
    desk.settle()
    assert desk.c.model.folder == other and desk.state.model == str(other)
    assert desk.window.prompt.text() == "of another model" and desk.scene.state.text == "of another model"


def test_a_session_of_a_model_of_the_hub_can_have_it_fetched(desk, hub, tmp_path):
    desk.window.files.open_session(absent(tmp_path, f"{NAME}@{COMMIT}"))
    _, buttons = question(desk)
    buttons[f"Get {NAME}"].click()
    desk.until(lambda: desk.c.model.folder.name == COMMIT)
    desk.settle()
    assert desk.window.prompt.text() == "of another model" and desk.c.step.key == "blocks.1.mlp.pre"


def test_a_start_with_a_session_whose_model_is_gone_asks_when_its_own_model_is_there(open_desk, tiny, tmp_path):
    first = open_desk(tiny, "as it was left")
    first.window.close()
    desk = open_desk(None, None, absent(tmp_path, tmp_path / "gone"))
    question(desk)[1]["Cancel"].click()
    assert desk.window.prompt.text() == "as it was left" and desk.c.model.folder == tiny


def test_a_model_named_beside_a_session_is_meant_for_it(open_desk, tiny, other, tmp_path):
    desk = open_desk(other, None, absent(tmp_path, tiny))
    assert desk.c.model.folder == other and desk.window.prompt.text() == "of another model"


def test_a_session_of_rounded_weights_opens_rounded_where_the_exact_ones_are_open(desk, tmp_path):
    path = tmp_path / "rounded.logitscope"
    path.write_bytes(to_json(replace(desk.state, text="rounded", int8=True)))
    desk.window.files.open_session(path)
    desk.settle()
    assert desk.c.model.config.int8 and desk.state.int8 and desk.scene.state.text == "rounded"


def test_an_undo_to_a_model_that_is_gone_does_not_put_its_text_under_the_open_one(open_desk, tiny, other, tmp_path):
    place = tmp_path / "mine"
    shutil.copytree(other, place)
    desk = open_desk(place, "of my own model")
    desk.c.open_model(tiny)
    desk.settle()
    desk.write("of the tiny one")
    shutil.rmtree(place)
    desk.window.do("undo")  # the text
    desk.settle()
    desk.window.do("undo")  # the model, with the same text
    desk.settle()
    assert desk.c.model.folder == tiny and desk.state.text == "of my own model" and str(place) in desk.trouble()


def test_an_undo_to_another_text_of_a_model_that_is_gone_keeps_the_open_one_s(open_desk, tiny, other, tmp_path):
    place = tmp_path / "mine"
    shutil.copytree(other, place)
    desk = open_desk(place, "of my own model")
    desk.c.open_model(tiny, replace(desk.state, model=str(tiny), text="of the tiny one"))
    desk.settle()
    shutil.rmtree(place)
    desk.window.do("undo")
    desk.settle()
    assert desk.c.model.folder == tiny and desk.state.text == "of the tiny one" == desk.window.prompt.text()
    assert desk.scene.state.text == "of the tiny one"
    assert str(place) in desk.trouble() and "Undo opens its text with this model" in desk.trouble()
    desk.window.do("undo")  # deliberately
    desk.settle()
    assert desk.state.text == "of my own model" == desk.scene.state.text and desk.c.model.folder == tiny
