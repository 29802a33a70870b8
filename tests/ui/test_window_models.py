"""The Models dialog, its menu and its downloads: two clicks to a model, cancelling, failures, and what remains."""

import os
import shutil
import threading
from itertools import pairwise

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QApplication, QMessageBox

from desktop_app.core import model as models
from desktop_app.core.library.cache import find_snapshot
from desktop_app.core.library.folders import remember_folder, remembered_folders
from desktop_app.core.library.references import HubName
from desktop_app.core.program.bundle import default_model
from desktop_app.gpt2.checkpoint import load_checkpoint
from desktop_app.gpt2.engine import Engine
from tests.checkpoints import write_checkpoint
from tests.hub.fixtures import NAME, hub
from tests.ui.conftest import BYTES
from tests.ui.driver import pixels
from tests.ui.test_window_files import drop

__all__ = ["hub"]

GPT2 = "openai-community/gpt2"


def dialog_of(desk):
    desk.window.do("open_models")
    QApplication.processEvents()
    return desk.window.library.dialog


def choose(dialog, reference):
    dialog.table.selectRow([row.reference for row in dialog._rows].index(reference))
    assert dialog.chosen.reference == reference
    return dialog.chosen


def texts(dialog):
    """The table as displayed: reference -> texts of its row."""
    table = dialog.table
    return {
        row.reference: [table.item(n, at).text() for at in range(table.columnCount())]
        for n, row in enumerate(dialog._rows)
    }


def answer(words):
    """Press the button with this text in the open question."""
    (box,) = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox) and w.isVisible()]
    said = f"{box.text()}\n{box.informativeText()}"
    next(b for b in box.buttons() if b.text() == words).click()
    return said


def test_two_clicks_get_gpt2_small_and_open_it(desk, hub, tiny):
    hub.add(GPT2, tiny)
    menu = desk.window.models.menu()
    menu.aboutToShow.emit()
    (offer,) = [a for a in menu.actions() if a.text().startswith("Get GPT-2 small")]
    assert "551 MB" in offer.text()
    offer.trigger()
    desk.until(lambda: desk.c.model.name == GPT2)
    desk.settle()
    assert desk.scene is not None and desk.window.models.text().startswith(f"{GPT2} · 2 blocks")
    menu.aboutToShow.emit()
    assert not [a for a in menu.actions() if a.text().startswith("Get GPT-2 small")]


def test_the_list_says_what_a_model_needs_and_where_it_is(desk, other):
    remember_folder(other)
    rows = texts(dialog_of(desk))
    assert rows["bundled"][:2] == ["Storybook GPT-2", "came with the program"]
    assert "open" not in [row[1] for row in rows.values()], "the model that is open is none of these"
    assert rows[GPT2][1:5] == ["not fetched", "124 M", "12 × 12 × 768", "551 MB"]
    assert rows[str(other)][1] == "on this machine" and rows[str(other)][3] == "3 × 4 × 24"
    header = desk.window.library.dialog.table.horizontalHeaderItem(5).text()
    assert header == f"Memory at {len(desk.scene.trace)} tokens"


def test_the_open_model_is_marked_in_the_list(desk, other):
    desk.window.library.open_folder(other)
    desk.settle()
    rows = texts(dialog_of(desk))
    assert [reference for reference, row in rows.items() if row[1] == "open"] == [str(other)]


def test_a_typed_name_is_fetched_and_then_opens_with_enter(desk, hub):
    dialog = dialog_of(desk)
    desk.type(NAME, dialog.field)
    desk.press(Qt.Key.Key_Return)
    assert dialog.strip.isVisible() and NAME in dialog.words.text()
    desk.until(lambda: not dialog.strip.isVisible())
    assert dialog.chosen.reference == NAME and dialog.act.text() == "Open"
    desk.press(Qt.Key.Key_Return, widget=dialog.table)
    desk.until(lambda: desk.c.model.name == NAME)
    desk.settle()
    assert not dialog.isVisible()


def test_progress_is_told_in_bytes_speed_and_time_left(desk, hub):
    hub.piece, hub.delay = 2048, 0.02
    seen = []
    desk.window.library.downloads.progress.connect(lambda p: seen.append(p.words()))
    desk.window.library.get(HubName(NAME))
    desk.until(lambda: any(words.startswith("model.safetensors") and " left" in words for words in seen))
    assert any("kB/s" in words for words in seen)
    desk.window.library.cancel()


def test_a_cancelled_download_ends_at_once_and_goes_on_from_there(desk, hub, tiny):
    hub.piece, hub.delay = 2048, 0.05
    dialog = dialog_of(desk)
    library = desk.window.library
    library.get(HubName(NAME))
    desk.until(lambda: bool(hub.asked("model.safetensors", "storage")))
    desk.until(lambda: dialog.bar.value() > 300)
    dialog.cancel.click()
    assert not dialog.strip.isVisible(), "what was asked for is done before anything else"
    desk.until(lambda: not library.downloads.busy)
    assert find_snapshot(HubName(NAME)) is None
    row = choose(dialog, NAME) if NAME in texts(dialog) else None
    assert row is None or not row.ready
    hub.delay = 0
    hub.requests.clear()
    library.get(HubName(NAME))
    desk.until(lambda: library.fetching is None)
    assert find_snapshot(HubName(NAME)) is not None
    assert "range" in hub.asked("model.safetensors", "storage")[0]["headers"]


def test_a_download_that_fails_is_told_in_the_dialog_and_can_be_tried_again(desk, hub):
    dialog = dialog_of(desk)
    dialog.field.setText("owner/nothing")
    dialog.get.click()
    desk.until(dialog.trouble.isVisible)
    assert "has no model owner/nothing" in dialog.trouble.text() and not dialog.strip.isVisible()
    dialog.field.setText(NAME)
    dialog.get.click()
    assert not dialog.trouble.isVisible()
    desk.until(lambda: desk.window.library.fetching is None)
    assert find_snapshot(HubName(NAME)) is not None


def test_what_is_no_name_is_refused_without_asking_anybody(desk, hub):
    dialog = dialog_of(desk)
    for text in ("../../etc", "a b", "owner/name/more", "owner/name@", "@"):
        dialog.field.setText(text)
        dialog.get.click()
        assert "write owner/name" in dialog.trouble.text()
    assert not hub.requests


def test_a_process_that_is_ended_from_outside_is_told(desk, hub):
    import multiprocessing

    hub.piece, hub.delay = 1024, 0.05
    dialog = dialog_of(desk)
    desk.window.library.get(HubName(NAME))
    desk.until(lambda: dialog.bar.value() > 100)
    (child,) = multiprocessing.active_children()
    child.kill()
    desk.until(dialog.trouble.isVisible)
    assert "ended unexpectedly" in dialog.trouble.text()


def test_a_window_that_closes_takes_its_download_along(open_desk, tiny, hub):
    hub.piece, hub.delay = 1024, 0.05
    desk = open_desk(tiny, "a")
    desk.window.library.get(HubName(NAME))
    desk.until(lambda: bool(hub.asked("model.safetensors", "storage")))
    desk.window.close()  # open_desk checks that no thread or process is left
    assert find_snapshot(HubName(NAME)) is None


def test_a_download_is_deleted_after_a_question_and_a_folder_only_leaves_the_list(desk, hub, other, own_home):
    remember_folder(other)
    library = desk.window.library
    dialog = dialog_of(desk)
    library.get(HubName(NAME))
    desk.until(lambda: library.fetching is None)
    choose(dialog, NAME)
    desk.press(Qt.Key.Key_Delete, widget=dialog.table)
    assert "Hugging Face cache" in answer("Keep") and NAME in texts(dialog)
    dialog.remove.click()
    answer("Delete")
    assert NAME not in texts(dialog) and not list(own_home.rglob("*.safetensors"))
    choose(dialog, str(other))
    dialog.remove.click()
    assert remembered_folders() == () and (other / "model.safetensors").is_file()


def test_the_open_model_is_not_deleted(desk, hub):
    library = desk.window.library
    dialog = dialog_of(desk)
    library.get(HubName(NAME), then_open=True)
    desk.until(lambda: desk.c.model.name == NAME)
    row = choose(dialog_of(desk), NAME)
    library.remove(row)
    assert "is the model that is open" in dialog.trouble.text() and find_snapshot(HubName(NAME)) is not None


def test_a_dropped_folder_is_remembered_once_it_has_opened(desk, other, tmp_path):
    (tmp_path / "empty").mkdir()
    assert drop(desk.window.canvas.viewport(), tmp_path / "empty")
    desk.settle()
    assert remembered_folders() == ()
    assert drop(desk.window.canvas.viewport(), other)
    desk.settle()
    assert remembered_folders() == (other,)


# Memory


def test_a_model_too_large_is_told_with_the_numbers_and_opened_only_if_one_says_so(desk, other, tiny, monkeypatch):
    monkeypatch.setattr("desktop_app.core.library.memory.available_memory", lambda: 1_000_000)
    desk.window.library.open_folder(other)
    desk.settle()
    assert desk.c.model.folder == tiny
    said = answer("Keep the open model")
    assert "other needs about 20" in said and "1 MB are free" in said
    desk.settle()
    assert desk.c.model.folder == tiny and desk.state.model == str(tiny)
    desk.window.library.open_folder(other)
    desk.settle()
    answer("Open anyway")
    desk.settle()
    assert desk.c.model.folder == other and remembered_folders() == (other,)


def test_a_start_with_a_model_too_large_shows_the_bundled_one_while_it_asks(open_desk, other, monkeypatch):
    monkeypatch.setattr("desktop_app.core.library.memory.available_memory", lambda: 1_000_000)
    desk = open_desk(other, "text")
    assert desk.c.model.folder == default_model() and desk.scene is not None
    answer("Open anyway")
    desk.settle()
    assert desk.c.model.folder == other


# Loading


@pytest.fixture
def slow(monkeypatch):
    """Opening a model stops at its second block until this event is set."""
    go_on = threading.Event()
    load = models.load_checkpoint

    def slowly(folder, on_stage):
        def stage(words):
            on_stage(words)
            if "block 1" in words:
                while not go_on.wait(0.01):
                    on_stage(words)

        return load(folder, stage)

    monkeypatch.setattr(models, "load_checkpoint", slowly)
    yield go_on
    go_on.set()


def test_opening_shows_its_stages_and_can_be_stopped_while_the_old_model_answers(desk, other, tiny, slow):
    dialog = dialog_of(desk)
    desk.c.open_model(other)
    desk.until(lambda: "block 1 of 3" in desk.notice())
    assert "Checking the weights, block 1 of 3" in dialog.words.text() and dialog.strip.isVisible()
    assert desk.c.model.folder == tiny and desk.window.actions_["stop_loading"].isEnabled()
    desk.window.prompt.setFocus()
    desk.c.edit_text("still here")
    desk.until(lambda: len(desk.scene.trace) == 10)
    dialog.cancel.click()
    desk.settle()
    assert desk.c.model.folder == tiny and not desk.notice() and not dialog.strip.isVisible()
    assert not desk.window.actions_["stop_loading"].isEnabled() and not desk.trouble()


def test_a_start_whose_model_is_stopped_goes_on_with_the_bundled_one(open_desk, other, slow):
    desk = open_desk(other, "text", settle=False)
    desk.until(lambda: desk.c.is_loading and bool(desk.notice()))
    desk.window.do("stop_loading")
    slow.set()
    desk.settle()
    assert desk.c.model.folder == default_model()


def test_a_model_that_fails_in_the_dialog_says_so_there_and_keeps_the_old_one(desk, tiny, tmp_path):
    broken = shutil.copytree(tiny, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0notjson!")
    remember_folder(broken)
    dialog = dialog_of(desk)
    choose(dialog, str(broken))
    dialog.act.click()
    desk.settle()
    assert "broken" in dialog.trouble.text() and dialog.isVisible()
    assert desk.c.model.folder == tiny


# Access and looks


def test_everything_in_the_dialog_has_a_name_and_tab_reaches_it(desk, hub):
    dialog = dialog_of(desk)
    library = desk.window.library
    hub.piece, hub.delay = 512, 0.05
    library.get(HubName(NAME))
    desk.until(dialog.strip.isVisible)
    wanted = {dialog.table, dialog.act, dialog.add, dialog.field, dialog.cancel}
    choose(dialog, "bundled")
    reached = set()
    dialog.table.setFocus()
    for _ in range(12):
        reached.add(QApplication.focusWidget())
        desk.press(Qt.Key.Key_Tab)
    assert wanted <= reached
    for widget in reached:
        assert QAccessible.queryAccessibleInterface(widget).text(QAccessible.Text.Name)
    desk.press(Qt.Key.Key_Escape, widget=dialog.table)
    assert not dialog.isVisible() and library.fetching is not None, "closing the dialog does not end the download"
    library.cancel()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("steps", [-2, 0, 5])
def test_the_dialog_keeps_its_words_whole_at_every_type_size_and_theme(desk, theme, steps):
    if desk.window.theme.name != theme:
        desk.window.do("theme")
    for _ in range(abs(steps)):
        desk.window.do("larger" if steps > 0 else "smaller")
    dialog = dialog_of(desk)
    dialog.show_trouble("owner/name is not there. " * 6)
    QApplication.processEvents()
    room = dialog.screen().availableSize()
    assert dialog.width() <= room.width() and dialog.height() <= room.height()
    for button in (dialog.act, dialog.remove, dialog.add, dialog.get):
        assert button.width() >= button.sizeHint().width() and button.height() >= button.sizeHint().height()
    boxes = [dialog.table, dialog.about, dialog.act, dialog.field, dialog.trouble]
    edges = [(w.mapTo(dialog, w.rect().topLeft()).y(), w.height()) for w in boxes]
    for (top, height), (below, _) in pairwise(edges):
        assert top + height <= below, "nothing lies on anything else"
    picture = pixels(dialog)
    assert (picture[4, 4].mean() < 60) == (theme == "dark")


def test_a_model_file_that_is_written_to_is_noticed_told_and_read_anew(open_desk, tmp_path):
    old = write_checkpoint(tmp_path / "old", BYTES) / "model.safetensors"
    new = write_checkpoint(tmp_path / "new", BYTES, seed=5) / "model.safetensors"
    desk = open_desk(old.parent, "Hello")
    before, told = desk.scene.trace.logits(-1).copy(), []
    desk.c.trouble.connect(told.append)
    shutil.copyfile(new, old)
    os.utime(old, ns=(1, 1))
    desk.type("!")
    desk.until(lambda: desk.scene is not None and desk.state.text == "Hello!" and not desk.c.is_loading)
    desk.settle()
    assert any("was written to while it was open" in words for words in told)
    assert desk.trouble() == ""
    expected = Engine(load_checkpoint(new.parent)).trace(desk.scene.trace.ids).logits(-1)
    assert np.allclose(desk.scene.trace.logits(-1), expected, atol=1e-5)
    assert not np.allclose(expected, before)
