"""The walk exported from the window: what is chosen is written, and a stopped export leaves nothing behind."""

import multiprocessing

import pytest
from PIL import Image
from pptx import Presentation
from PySide6.QtCore import Qt

from tests.ui.driver import CTRL, SHIFT


@pytest.fixture
def dialog(desk):
    desk.press(Qt.Key.Key_E, CTRL | SHIFT, desk.window.canvas)
    found = desk.window.files.decks.dialog
    assert found is not None and found.isVisible()
    return found


def select(box, key):
    box.setCurrentIndex(box.findData(key))
    assert box.currentData() == key


def check(dialog, *keys):
    select(dialog.steps, "chosen")
    for n in range(dialog.list.count()):
        entry = dialog.list.item(n)
        wanted = entry.data(Qt.ItemDataRole.UserRole) in keys
        entry.setCheckState(Qt.CheckState.Checked if wanted else Qt.CheckState.Unchecked)


def left_over(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_chosen_steps_become_slides_and_typing_goes_on_meanwhile(desk, dialog, tmp_path):
    check(dialog, "tokens", "blocks.1.attn.pattern", "probabilities")
    assert dialog.note.text() == "3 slides."
    path = tmp_path / "walk.pptx"
    dialog.order(path)
    assert dialog.running and dialog.bar.isVisible() and not dialog.start.isEnabled()
    prompt = desk.window.prompt.text()
    desk.write("other words")
    assert desk.scene.trace.ids == desk.scene.tokenizer.encode("other words").ids and dialog.running
    desk.until(path.exists)
    desk.until(lambda: desk.window.files.decks.dialog is None)
    assert "walk.pptx" in desk.notice() and not desk.trouble()
    titles = [slide.shapes.title.text_frame.text for slide in Presentation(path).slides]
    assert [t.split(" — ")[0] for t in titles] == [
        "The text is cut into tokens",
        "Block 1 · Head 0",
        "What the model says and what is drawn from",
    ]
    notes = Presentation(path).slides[0].notes_slide.notes_text_frame.text
    assert "'u'" in notes and prompt == "Hello, you", "the deck is of the prompt that stood there when it was ordered"
    assert not left_over(tmp_path)


@pytest.mark.parametrize(
    ("selection", "count"), [("overview", 5 + 16 + 1 + 8), ("all", 13 + 2 * 16), ("block", 16), ("here", 1)]
)
def test_the_dialog_says_how_many_slides_there_will_be(dialog, selection, count):
    select(dialog.steps, selection)
    assert dialog.note.text() == f"{count} slide{'s' * (count > 1)}."
    select(dialog.kind, "pdf")
    assert dialog.note.text() == f"{count} page{'s' * (count > 1)}."
    assert not dialog.template.isEnabled()


def test_unless_told_otherwise_it_is_a_lecture_in_the_chosen_language(desk, dialog, tmp_path):
    assert dialog.steps.currentData() == "lecture" and dialog.note.text() == "At most 18 slides."
    select(dialog.language, "de")
    path = tmp_path / "lecture.pptx"
    dialog.order(path)
    desk.until(path.exists)
    titles = [slide.shapes.title.text_frame.text for slide in Presentation(path).slides]
    assert titles[0] == "Was kommt nach „Hello, you“?" and len(set(titles)) == len(titles) <= 18


def test_the_step_that_is_shown_can_be_a_film_of_one_frame(desk, tmp_path):
    desk.go("blocks.1.resid_mid")
    desk.window.do("deck")
    dialog = desk.window.files.decks.dialog
    select(dialog.steps, "here")
    select(dialog.kind, "webp")
    select(dialog.theme, "dark")
    path = tmp_path / "one.webp"
    dialog.order(path)
    desk.until(path.exists)
    with Image.open(path) as film:
        assert film.size == (1280, 720) and film.convert("RGB").getpixel((2, 2)) == (0x17, 0x18, 0x1B)


def test_a_stopped_deck_leaves_nothing_and_can_be_ordered_anew(desk, dialog, tmp_path):
    select(dialog.steps, "all")
    dialog.order(tmp_path / "never.pptx")
    desk.until(lambda: bool(left_over(tmp_path)))
    dialog.cancel.click()
    assert not dialog.running and "Stopped" in dialog.note.text() and dialog.isVisible()
    desk.until(lambda: not desk.window.files.decks.lane.busy)
    assert not list(tmp_path.iterdir()) and not multiprocessing.active_children()
    select(dialog.steps, "here")
    dialog.order(tmp_path / "now.pptx")
    desk.until((tmp_path / "now.pptx").exists)


def test_a_window_closed_in_the_middle_leaves_no_file_and_no_process(desk, dialog, tmp_path):
    select(dialog.steps, "all")
    dialog.order(tmp_path / "never.pptx")
    desk.until(lambda: bool(multiprocessing.active_children()))
    desk.window.close()
    assert not list(tmp_path.iterdir()) and not multiprocessing.active_children()


def test_what_cannot_be_is_said_in_the_dialog(desk, dialog, tmp_path):
    check(dialog)
    assert "No step is chosen" in dialog.note.text()
    select(dialog.steps, "here")
    bad = tmp_path / "bad.pptx"
    bad.write_text("no zip")
    dialog.template.setText(str(bad))
    dialog.order(tmp_path / "walk.pptx")
    desk.until(lambda: not dialog.running)
    assert "bad.pptx is damaged, or not a PowerPoint file" in dialog.note.text() and dialog.start.isEnabled()
    dialog.template.clear()
    dialog.order(tmp_path / "missing" / "walk.pptx")
    desk.until(lambda: not dialog.running)
    assert "there is no folder" in dialog.note.text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.pptx"]
