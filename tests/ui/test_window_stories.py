"""A story in the real window: one key goes on, its place is kept, a question hides the numbers until answered."""

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from desktop_app.core.lessons.cover import HIDDEN
from desktop_app.core.lessons.stories import load_story
from desktop_app.core.session.session_file import load_session
from desktop_app.ui.dialogs.story_dialog import StoryDialog
from tests.ui.driver import CTRL, SHIFT

STORY = """
title = "Mine"
[[stop]]
title = "one"
text = "Hello, you"
step = "tokens"
say = "Here are tokens."
[[stop]]
title = "two"
text = "Hello, you"
step = "blocks.0.attn.pattern"
layer = 0
head = 1
token = 5
say = "Here is a pattern."
question = { ask = "Where to?", look = true, nudge = "Think." }
[[stop]]
title = "three"
text = "Another"
step = "logits"
say = "Here are logits."
question = { ask = "How many letters?", choices = [
    { say = "seven", claims = [{ count = 7 }] }, { say = "nine", claims = [{ count = 9 }] } ] }
"""


@pytest.fixture
def desk(open_desk, tiny, tmp_path):
    path = tmp_path / "mine.story.toml"
    path.write_text(STORY.replace("[[stop]]", f"[[stop]]\nmodel = '{tiny}'"))
    desk = open_desk(tiny, "at first")
    desk.window.acts._story_files.open(path)
    desk.settle()
    return desk


def bar(desk):
    return desk.window.story_bar


def test_one_key_goes_from_stop_to_stop_and_back(desk):
    assert desk.window.prompt.text() == "Hello, you" and desk.c.step.key == "tokens"
    assert "1 of 3" in bar(desk).heading.text() and bar(desk).say.text() == "Here are tokens."
    desk.press(Qt.Key.Key_PageDown, widget=desk.window.canvas)
    desk.settle()
    assert desk.c.step.key == "blocks.0.attn.pattern" and desk.scene.token == 5
    desk.press(Qt.Key.Key_PageDown, widget=desk.window.prompt)
    desk.settle()
    assert desk.window.prompt.text() == "Another" and "3 of 3" in bar(desk).heading.text()
    desk.press(Qt.Key.Key_PageDown, widget=desk.window.canvas)  # this was the last stop
    desk.settle()
    assert "3 of 3" in bar(desk).heading.text()
    desk.press(Qt.Key.Key_PageUp, widget=desk.window.canvas)
    desk.settle()
    assert "2 of 3" in bar(desk).heading.text() and not desk.trouble()


def test_leaving_the_place_and_coming_back_keeps_it_and_without_a_story_the_key_is_the_step_s(desk):
    desk.window.do("next_block")
    desk.settle()
    assert desk.c.step.key != "tokens"
    assert bar(desk).say.isHidden() and bar(desk).back.isVisible() and "1 of 3" in bar(desk).heading.text()
    bar(desk).back.click()
    desk.settle()
    assert desk.c.step.key == "tokens" and bar(desk).say.isVisible() and not bar(desk).back.isVisible()
    bar(desk).close_button.click()
    desk.settle()
    assert bar(desk).isHidden() and not desk.state.story
    desk.press(Qt.Key.Key_PageDown, widget=desk.window.canvas)
    desk.settle()
    assert desk.c.step.key == "embed"


def test_a_question_covers_the_view_until_it_is_answered(desk):
    desk.window.do("story_next")
    desk.settle()
    pattern = desk.scene.trace["blocks.0.attn.pattern"][1, 5]
    most = int(np.argmax(pattern))
    grids = [c.values for c in desk.window.canvas.page.cells if c.source is not None]
    assert grids and all(np.isnan(values).all() for values in grids)
    assert bar(desk).ask.text() == "Where to? Click a token of the text above." and bar(desk).say.isHidden()
    assert all(b.label == HIDDEN for b in desk.window.probabilities.bars.panel.bars)
    wrong = (most + 1) % 6
    desk.window.chips.chosen.emit(wrong)
    desk.settle()
    assert "Think." in bar(desk).verdict.text() and desk.scene.token == 5
    assert all(np.isnan(c.values).all() for c in desk.window.canvas.page.cells if c.source is not None)
    desk.window.chips.chosen.emit(most)
    desk.settle()
    assert bar(desk).verdict.text().startswith("Right") and bar(desk).say.text() == "Here is a pattern."
    assert bar(desk).say.isVisible() and bar(desk).reveal.isHidden()
    assert any(np.isfinite(c.values).any() for c in desk.window.canvas.page.cells if c.source is not None)
    assert any(b.label != HIDDEN for b in desk.window.probabilities.bars.panel.bars)
    desk.window.chips.chosen.emit(2)  # once answered, a click chooses a token of the text again
    desk.settle()
    assert desk.scene.token == 2


def test_a_second_miss_tells_what_is_so_and_keeps_the_guess(desk):
    desk.window.telling.go_to(2)
    desk.settle()
    seven, nine = bar(desk).choices
    assert (seven.text(), nine.text()) == ("seven", "nine")
    nine.click()
    nine.click()
    desk.settle()
    assert "You said 'nine'" in bar(desk).verdict.text() and "seven" in bar(desk).verdict.text()
    assert not desk.window.telling.covered


def test_reveal_is_always_a_way_on(desk):
    desk.window.telling.go_to(2)
    desk.settle()
    assert desk.window.telling.covered
    bar(desk).reveal.click()
    desk.settle()
    assert not desk.window.telling.covered and "seven" in bar(desk).verdict.text()


def test_in_a_lecture_a_clicker_shows_the_answer_before_it_goes_on(desk):
    desk.press(Qt.Key.Key_F11)
    desk.press(Qt.Key.Key_PageDown)
    desk.settle()
    sentence = desk.window.lecture.sentence
    assert desk.window.telling.number == 1 and desk.window.telling.covered and sentence.text() == "Where to?"
    desk.press(Qt.Key.Key_PageDown)
    desk.settle()
    assert desk.window.telling.number == 1 and not desk.window.telling.covered
    assert sentence.text() == "Here is a pattern."
    assert any(np.isfinite(c.values).any() for c in desk.window.canvas.page.cells if c.source is not None)
    desk.press(Qt.Key.Key_PageDown)
    desk.settle()
    assert desk.window.telling.number == 2


def test_the_story_and_its_stop_are_in_a_session(desk, tmp_path):
    desk.window.do("story_next")
    desk.settle()
    desk.window.files.save_session(tmp_path / "s.logitscope")
    state = load_session(tmp_path / "s.logitscope")
    assert (state.story, state.stop) == (str(tmp_path / "mine.story.toml"), 1)
    bar(desk).close_button.click()
    desk.window.files.open_session(tmp_path / "s.logitscope")
    desk.settle()
    assert "2 of 3" in bar(desk).heading.text()


def test_a_story_that_is_gone_is_said_and_left(desk, tmp_path):
    desk.window.files.save_session(tmp_path / "s.logitscope")
    bar(desk).close_button.click()
    (tmp_path / "mine.story.toml").unlink()
    desk.window.telling._story = None
    desk.window.files.open_session(tmp_path / "s.logitscope")
    desk.settle()
    assert bar(desk).isHidden() and not desk.state.story
    assert desk.window.prompt.text() == "Hello, you"


def test_any_view_can_be_covered_and_a_guess_is_marked(desk):
    desk.window.do("every_number")
    desk.window.do("story_close")
    desk.window.do("next_block")
    desk.settle()
    desk.press(Qt.Key.Key_H, CTRL, desk.window.canvas)
    desk.settle()
    assert desk.window.actions_["cover"].isChecked()
    cells = [c for c in desk.window.canvas.page.cells if c.source is not None]
    assert all(np.isnan(c.values).all() for c in cells)
    desk.click_canvas(cells[0].rect)
    desk.settle()
    assert not desk.c.path  # a guess opens nothing
    assert desk.window.canvas._marked is not None
    desk.press(Qt.Key.Key_H, CTRL, desk.window.canvas)
    desk.settle()
    assert any(np.isfinite(c.values).any() for c in desk.window.canvas.page.cells if c.source is not None)
    assert desk.window.canvas._marked is not None  # the guess stays marked next to the right answer
    desk.press(Qt.Key.Key_H, CTRL, desk.window.canvas)
    desk.settle()
    assert desk.window.canvas._marked is None


def test_a_story_is_put_together_in_a_dialog(desk, tmp_path):
    desk.window.do("story_next")
    desk.settle()
    desk.press(Qt.Key.Key_A, CTRL | SHIFT, desk.window.canvas)
    dialog = desk.window.findChild(StoryDialog)
    assert [s.title for s in dialog.story.stops] == ["one", "two", "Softmax → pattern", "three"]
    dialog.stop_title.setText("added")
    dialog.stop_title.textEdited.emit("added")
    dialog.fields["say"].setPlainText("A sentence.")
    dialog.buttons_["Up"].click()
    dialog.stops.setCurrentRow(3)
    dialog.buttons_["Remove"].click()
    dialog._keep()
    chooser = dialog.findChild(QFileDialog)
    chooser.fileSelected.emit(str(tmp_path / "new.story.toml"))
    chooser.close()
    desk.settle()
    again = load_story(tmp_path / "new.story.toml")
    assert [s.title for s in again.stops] == ["one", "added", "two"]
    assert again.stops[1].say == "A sentence." and again.stops[1].state.token == 5
    assert again.stops[2].question.ask == "Where to?"
    assert "of 3" in bar(desk).heading.text() and not desk.trouble()


def test_a_file_that_is_no_story_is_said_and_changes_nothing(desk, tmp_path):
    (tmp_path / "bad.toml").write_text("title = 3")
    desk.window.acts._story_files.open(tmp_path / "bad.toml")
    desk.settle()
    assert "title is 3" in desk.trouble() and desk.state.story
