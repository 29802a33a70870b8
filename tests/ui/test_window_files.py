"""Sessions, models, figures and the clipboard: what is written can be read back, and damaged files are reported."""

import json
import logging
import os
import re
import shutil
import threading
import xml.etree.ElementTree as ET
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication, QDialogButtonBox, QFileDialog, QMenu

from desktop_app.core.asking.intents import GoTo, Pin
from desktop_app.core.program.bundle import bundled_models
from desktop_app.core.session.state import State
from desktop_app.figures.export import Options
from desktop_app.gpt2.errors import UNEXPECTED
from desktop_app.ui.dialogs.export_dialog import ExportDialog
from tests.checkpoints import TINY, random_weights, write_checkpoint
from tests.ui.conftest import BYTES
from tests.ui.driver import CTRL, pixels


def drop(widget, path):
    """Drop a file from the file manager on the window; returns whether it was accepted."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    place = QPoint(200, 300)
    for kind in (QDragEnterEvent, QDropEvent):
        event = kind(place, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(widget, event)
        if not event.isAccepted():
            return False
    return True


# Sessions


def test_a_session_comes_back_as_it_was_saved(desk, open_desk, other, tmp_path):
    path = tmp_path / "one.logitscope"
    desk.write("A\u00a0b\r\n👩‍👩‍👧 x")
    desk.c.set(desk.state.with_sampling(temperature=2.2, top_k=30, top_p=0.8, seed=77))
    for _ in range(2):
        desk.window.do("append")
        desk.settle()
    desk.window.do("draw")
    desk.go("blocks.1.attn.pattern")
    desk.c.go_head(2)
    desk.c.set(replace(desk.state, token=3, position=5))
    desk.window.acts.follow(Pin(65))
    desk.window.do("scale_sqrt")
    saved, landed, ids = desk.state, desk.scene.landed, desk.scene.trace.ids
    desk.window.files.save_session(path)
    assert path.name in desk.notice()

    desk.write("something else")
    desk.window.do("first")
    desk.window.files.open_session(path)
    desk.settle()
    assert desk.state == saved and desk.scene.landed == landed and desk.scene.trace.ids == ids

    again = open_desk(other)
    again.window.files.open_session(path)
    again.settle()
    assert again.state == saved, "the session brings its own model along"
    assert str(again.c.model.folder) == saved.model
    assert again.scene.trace.ids == ids and again.scene.landed == landed
    assert again.window.prompt.text() == desk.window.prompt.text()


def test_opening_a_session_is_an_entry_of_undo(desk, tmp_path):
    path = tmp_path / "one.logitscope"
    desk.window.files.save_session(path)
    desk.write("later")
    desk.window.files.open_session(path)
    desk.settle()
    desk.press(Qt.Key.Key_Z, CTRL, desk.window.canvas)
    desk.settle()
    assert desk.window.prompt.text() == "later"


def session(**state):
    return json.dumps({"logitscope": 1, "state": {"text": "fine", **state}})


HOSTILE = {
    "from the future": '{"logitscope": 2, "state": {}}',
    "no session": '{"something": "else"}',
    "no JSON": "PK\x03\x04 this is a zip",
    "empty": "",
    "a list": "[]",
    "deeply nested": "[" * 100_000,
    "text of the wrong kind": session(text=["a"]),
    "negative ids": session(appended=[-1]),
    "a huge number": session(draws=10**400),
    "temperature of nothing": session(sampling={"temperature": 0}),
    "NaN": '{"logitscope": 1, "state": {"sampling": {"temperature": NaN}}}',
    "a huge list": session(appended=[1] * 300_000),
    "a number as a flag": session(start=1),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_session_that_cannot_be_used_gets_a_sentence_and_changes_nothing(desk, tmp_path, kind):
    path = tmp_path / "hostile.logitscope"
    path.write_text(HOSTILE[kind])
    state, trace, undo = desk.state, desk.scene.trace, desk.c.history.can_undo
    desk.window.files.open_session(path)
    desk.settle()
    assert "hostile.logitscope" in desk.trouble() and desk.trouble().endswith(".")
    assert "\n" not in desk.trouble() and len(desk.trouble()) < 400
    assert desk.state == state and desk.scene.trace is trace and desk.c.history.can_undo == undo
    desk.window.do("next")
    assert not desk.trouble()


FITTED = {
    "a block that is not there": {"step": "blocks.400.attn.pattern", "layer": 400},
    "a head that is not there": {"step": "blocks.0.attn.pattern", "head": 500},
    "a step that is not there": {"step": "nonsense"},
    "positions far away": {"token": 199_999, "position": 199_999},
    "ids outside the vocabulary": {"appended": [5, 2_000_000_000]},
    "pins outside the vocabulary": {"pinned": [70, 2_000_000_000]},
    "an endless number of draws": {"draws": 2**53},
}


@pytest.mark.parametrize("kind", FITTED)
def test_a_session_that_asks_for_what_is_not_there_opens_as_far_as_it_can(desk, tmp_path, kind):
    path = tmp_path / "odd.logitscope"
    path.write_text(session(**{"model": desk.state.model, **FITTED[kind]}))
    desk.window.files.open_session(path)
    desk.settle()
    assert desk.window.prompt.text() == "fine" and not desk.trouble()
    assert desk.scene.trace.ids[:4] == desk.scene.tokenizer.encode("fine").ids
    for name in ("next_head", "next", "previous_block", "back", "draw", "append"):
        desk.window.do(name)
        desk.settle()
    for op in ("scores", "pattern"):
        desk.go("blocks.0.attn.scaled")
        desk.window.acts.follow(GoTo(f"blocks.*.attn.{op}"))
        assert desk.c.step.key == f"blocks.{desk.state.layer}.attn.{op}"


def test_a_session_named_on_the_command_line_that_cannot_be_opened_is_told(open_desk, tiny, tmp_path):
    path = tmp_path / "bad.logitscope"
    path.write_text("{}")
    desk = open_desk(tiny, "hi", path)
    assert "bad.logitscope" in desk.trouble()
    assert desk.scene is not None, "the window opens all the same"


def test_a_session_named_on_the_command_line_opens_though_its_model_is_gone(open_desk, tiny, tmp_path):
    path = tmp_path / "moved.logitscope"
    path.write_text(session(model="/no/such/folder", step="blocks.1.mlp.pre", layer=1))
    desk = open_desk(tiny, None, path)
    assert desk.window.prompt.text() == "fine" and desk.c.step.key == "blocks.1.mlp.pre"


def test_a_session_that_cannot_be_written_is_told(desk, tmp_path):
    desk.window.files.save_session(tmp_path / "missing" / "none.logitscope")
    assert "none.logitscope" in desk.trouble() and desk.trouble().endswith(".")


# Models


def test_the_old_model_stays_until_the_new_one_has_passed_its_checks(desk, other, tiny):
    seen = []
    desk.c.loading.connect(lambda stage: seen.append((stage, desk.c.model.config.n_layer)))
    desk.c.open_model(other)
    desk.settle()
    assert [layers for stage, layers in seen if stage] == [2] * (len(seen) - 1) and len(seen) > 3
    assert desk.c.model.config.n_layer == 3 and "3 blocks × 4 heads" in desk.window.models.text()
    assert desk.window.prompt.text() == "Hello, you", "the prompt goes along"
    assert desk.scene.checkpoint is desk.c.model.checkpoint
    assert len(desk.c.steps) == 13 + 3 * 16
    assert desk.window.scrubber.place.text().endswith(f"of {len(desk.c.steps)}")


BROKEN = {
    "no such folder": shutil.rmtree,
    "no config": lambda p: (p / "config.json").unlink(),
    "no weights": lambda p: (p / "model.safetensors").unlink(),
    "truncated weights": lambda p: os.truncate(p / "model.safetensors", 5000),
    "an absurd config": lambda p: (p / "config.json").write_text(json.dumps({**BYTES, "n_layer": 10**9})),
    "no tokenizer": lambda p: (p / "vocab.json").unlink(),
    "a damaged tokenizer": lambda p: (p / "vocab.json").write_text('{"a": "b"'),
    "pickled weights only": lambda p: (p / "model.safetensors").rename(p / "pytorch_model.bin"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_model_that_cannot_be_opened_gets_a_sentence_and_the_old_one_lives(desk, tmp_path, kind):
    folder = write_checkpoint(tmp_path / "broken", BYTES)
    BROKEN[kind](folder)
    model, trace, picture = desk.c.model, desk.scene.trace, pixels(desk.window.canvas)
    desk.c.open_model(folder)
    desk.settle()
    assert "broken" in desk.trouble() and desk.trouble().endswith(".") and "\n" not in desk.trouble()
    assert desk.c.model is model and desk.scene.trace is trace and desk.state.model == str(model.folder)
    assert not desk.c.history.can_undo
    desk.type("!")
    desk.settle()
    assert not desk.trouble() and len(desk.scene.trace) == 11
    assert picture.size


def test_weights_that_are_not_numbers_are_refused(desk, tmp_path):
    weights = random_weights(BYTES)
    weights["h.1.mlp.c_fc.weight"][3, 3] = float("nan")
    desk.c.open_model(write_checkpoint(tmp_path / "nan", BYTES, weights))
    desk.settle()
    assert "h.1.mlp.c_fc.weight" in desk.trouble() and desk.c.model.folder.name == "tiny"


def test_a_model_that_cannot_spell_the_prompt_shows_nothing_of_the_old_one(desk, tmp_path):
    few = write_checkpoint(tmp_path / "few", TINY)
    desk.write("snow ☃ man")
    desk.go("blocks.1.attn.pattern")
    desk.click_canvas(max(desk.window.canvas.page.cells, key=lambda c: c.rect.w).place(5, 1))
    desk.c.open_model(few)
    desk.settle()
    assert desk.c.model.folder == few
    assert "☃" in desk.trouble() or "2603" in desk.trouble()
    assert desk.scene is None and not desk.c.path, "numbers of the old model are not the new one's"
    assert not desk.bars() and not any(re.search(r"\d\.\d", w) for w in desk.words())
    for name in ("next", "previous_head", "append", "export", "theme", "larger", "play"):
        desk.window.do(name)
    desk.settle()
    desk.write("man")
    assert not desk.trouble() and len(desk.scene.trace) == 3 and desk.c.is_current
    assert desk.bars() and desk.words()


def test_a_prompt_too_long_for_the_new_model_is_told(desk, other, tiny):
    desk.c.open_model(other)
    desk.settle()
    desk.write("x" * 60)
    assert not desk.trouble()
    desk.c.open_model(tiny)
    desk.settle()
    assert "12" in desk.trouble() and desk.scene is None
    desk.write("x" * 48)
    assert not desk.trouble() and len(desk.scene.trace) == 48


def test_the_menu_opens_every_model_that_came_with_the_program(desk):
    for action in desk.window.models.menu().actions():
        if action.data() in bundled_models():
            action.trigger()
            desk.settle()
            assert desk.c.model.folder == bundled_models()[action.data()]
            assert desk.window.models.text().startswith(f"{action.text()} · ")
            desk.window.do("next")


def test_the_menu_opens_the_sorter_as_it_learned_and_the_text_stays(desk):
    desk.c.open_model(bundled_models()["sorter"])
    desk.settle()
    desk.write("CBAABC")
    desk.go("probabilities")
    chance = []
    for n in (0, 5, 11):
        menus = {menu.title(): menu for menu in desk.window.models.menu().findChildren(QMenu)}
        assert sorted(menus) == ["Training snapshots of Learner", "Training snapshots of Letter sorter"]
        below = menus["Training snapshots of Letter sorter"]
        action = below.actions()[n]
        action.trigger()
        desk.settle()
        assert desk.window.models.text().startswith(f"Letter sorter {action.text()} · ")
        assert desk.state.text == "CBAABC" and desk.state.step == "probabilities"
        chance.append(desk.scene.ranked.logits[desk.scene.ranked.rank_of(0)] - desk.scene.ranked.logits.mean())
    assert chance[0] < chance[1] < chance[2], "A comes first, and it is learned"


@pytest.mark.parametrize("place", ["canvas", "prompt", "map"])
def test_a_dropped_folder_opens_as_a_model(desk, other, place):
    assert drop(getattr(desk.window, place).viewport(), other)
    desk.settle()
    assert desk.c.model.folder == other and desk.window.prompt.text() == "Hello, you"


def test_of_two_models_asked_for_the_last_one_opens(desk, other, tiny):
    desk.c.open_model(other)
    desk.c.open_model(tiny)
    desk.c.open_model(other)
    desk.settle()
    assert desk.c.model.folder == other
    assert len([s for s in desk.c.history._past]) == 1


def test_a_model_that_opens_ends_a_run(desk, other):
    desk.c.run_on(30)
    desk.until(lambda: len(desk.state.appended) >= 2)
    desk.c.open_model(other)
    desk.settle()
    count = len(desk.state.appended)
    assert not desk.c.running and desk.c.model.folder == other and desk.c.is_current
    desk.settle()
    assert len(desk.state.appended) == count


def test_a_dropped_session_opens(desk, tmp_path):
    path = tmp_path / "a.logitscope"
    path.write_text(session(model=desk.state.model))
    assert drop(desk.window, path)
    desk.settle()
    assert desk.window.prompt.text() == "fine"


def test_whatever_else_is_dropped_gets_a_sentence(desk, tmp_path):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(b"no")
    assert drop(desk.window, path)
    assert "holiday.jpg" in desk.notice() and desk.window.prompt.text() == "Hello, you"


def test_typing_while_another_model_loads_is_kept(desk, other):
    desk.c.open_model(other)
    desk.type("?!")
    desk.settle()
    assert desk.window.prompt.text() == "Hello, you?!"
    assert len(desk.scene.trace) == 12 and desk.c.model.folder == other


def test_typing_while_undo_brings_a_model_back_is_kept(desk, other):
    desk.c.open_model(other)
    desk.settle()
    desk.c.undo()
    desk.type("?")
    desk.settle()
    assert desk.window.prompt.text() == "Hello, you?" and desk.c.model.folder.name == "tiny"


# Figures


def wait_for(desk, path):
    desk.settle()
    assert path.exists(), desk.trouble() or desk.notice()


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_the_view_is_written_as_a_figure(desk, tmp_path, kind):
    desk.go("blocks.1.attn.pattern")
    path = tmp_path / f"figure.{kind}"
    desk.window.files.export_figure(Options(kind, dpi=96), path)
    wait_for(desk, path)
    data = path.read_bytes()
    if kind == "svg":
        words = "".join(ET.fromstring(data).itertext())
        assert "blocks.1.attn.pattern" in words and "Hello" in words and "tiny" in words
    elif kind == "pdf":
        assert data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF")
    else:
        image = QImage.fromData(data)
        assert (image.width(), image.height()) == (1280, 720)
    assert path.name in desk.notice()
    assert sorted(tmp_path.iterdir()) == [path], "nothing half-written is left"
    assert desk.window.files.folder == str(tmp_path)


def test_a_figure_shows_the_moment_at_which_it_was_asked_for(desk, tmp_path):
    desk.go("blocks.0.attn.pattern")
    path = tmp_path / "then.svg"
    desk.window.files.export_figure(Options("svg"), path)
    desk.go("logits")
    desk.type(" now")
    wait_for(desk, path)
    words = "".join(ET.parse(path).getroot().itertext())
    assert "blocks.0.attn.pattern" in words and "now" not in words


def test_two_figures_asked_for_at_once_are_both_written(desk, tmp_path):
    for n in (1, 2):
        desk.window.files.export_figure(Options("svg"), tmp_path / f"{n}.svg")
    wait_for(desk, tmp_path / "2.svg")
    assert (tmp_path / "1.svg").exists()


def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_left(desk, tmp_path):
    path = tmp_path / "missing" / "figure.svg"
    desk.window.files.export_figure(Options("svg"), path)
    desk.settle()
    assert "figure.svg" in desk.trouble() and desk.trouble().endswith(".")
    assert list(tmp_path.iterdir()) == []
    good = tmp_path / "good.svg"
    desk.window.files.export_figure(Options("svg"), good)
    wait_for(desk, good)
    assert not desk.trouble(), "a figure that worked takes the complaint of the last one away"


def test_a_worker_that_was_killed_is_told_and_the_next_figure_works(desk, tmp_path):
    first = tmp_path / "first.svg"
    desk.window.files.export_figure(Options("svg"), first)
    wait_for(desk, first)
    for process in desk.window.files.exports._pool._processes.values():
        process.kill()
        process.join()
    desk.window.files.export_figure(Options("svg"), tmp_path / "second.svg")
    desk.settle()
    if not (tmp_path / "second.svg").exists():
        assert "again" in desk.trouble() + desk.notice()
        desk.window.files.export_figure(Options("svg"), tmp_path / "second.svg")
        wait_for(desk, tmp_path / "second.svg")


@pytest.mark.parametrize("end", ["cancelled", "broken"])
def test_a_figure_that_a_closing_window_ends_is_no_fault(desk, tmp_path, monkeypatch, caplog, end):
    """The pool's futures are cancelled, or its process ends, before the waiting thread has read either."""
    asked = threading.Event()

    class Never(Executor):
        def submit(self, *_arguments):
            self.last = Future()
            asked.set()
            return self.last

    def ended(pool, *, now):
        if end == "cancelled":
            pool.last.cancel()
        else:
            pool.last.set_exception(BrokenProcessPool())

    monkeypatch.setattr("desktop_app.ui.desks.export_lane.worker_pool", lambda _count: Never())
    monkeypatch.setattr("desktop_app.ui.desks.export_lane.end_workers", ended)
    desk.window.files.export_figure(Options("svg"), tmp_path / "never.svg")
    assert asked.wait(30)
    desk.window.close()
    assert not [row for row in caplog.records if row.levelno >= logging.ERROR]
    assert list(tmp_path.iterdir()) == []


def test_the_dialog_asks_for_a_place_and_exports_what_it_shows(desk, tmp_path):
    desk.go("blocks.1.mlp.post")
    desk.press(Qt.Key.Key_E, CTRL, desk.window.canvas)
    (dialog,) = desk.window.findChildren(ExportDialog)
    assert dialog.isVisible() and dialog.dpi.isEnabled() == (dialog.kind.currentData() == "png")
    dialog.kind.setCurrentIndex(dialog.kind.findData("png"))
    dialog.dpi.setCurrentIndex(dialog.dpi.findData("96"))
    dialog.theme.setCurrentIndex(dialog.theme.findData("dark"))
    dialog.size_.setCurrentIndex(dialog.size_.findData("half"))
    dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Save).click()
    (place,) = dialog.findChildren(QFileDialog)
    assert place.selectedFiles()[0].endswith("block-1-mlp-post.png")
    place.fileSelected.emit(str(tmp_path / "out.png"))
    wait_for(desk, tmp_path / "out.png")
    image = QImage(str(tmp_path / "out.png"))
    assert abs(image.width() - 470 * 96 / 72) < 1 and image.pixelColor(1, 1).lightness() < 60


def test_the_dialog_exports_the_main_picture_alone_and_without_headline(desk, tmp_path):
    desk.go("blocks.1.attn.pattern")
    desk.window.do("export")
    (dialog,) = desk.window.findChildren(ExportDialog)
    dialog.kind.setCurrentIndex(dialog.kind.findData("svg"))
    dialog.panel.setChecked(True)
    dialog.title.setChecked(False)
    dialog.caption.setChecked(False)
    dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Save).click()
    (place,) = dialog.findChildren(QFileDialog)
    place.fileSelected.emit(str(tmp_path / "out.svg"))
    wait_for(desk, tmp_path / "out.svg")
    shown = [node.text for node in ET.parse(tmp_path / "out.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert "query ↓" in shown
    assert not [text for text in shown if "Block" in text or "head" in text or text in ("Scores q·k", "Pattern")]


def test_the_dialog_previews_what_it_would_write(desk, qtbot, tmp_path):
    desk.go("blocks.1.attn.pattern")
    desk.window.do("export")
    (dialog,) = desk.window.findChildren(ExportDialog)

    def shown():
        return dialog.preview._picture.toImage() if dialog.preview._picture is not None else None

    qtbot.waitUntil(lambda: shown() is not None, timeout=60_000)
    first = shown()
    assert abs(first.width() / first.height() - 16 / 9) < 0.02
    assert first.pixelColor(1, 1).lightness() > 200
    dialog.theme.setCurrentIndex(dialog.theme.findData("dark"))
    dialog.size_.setCurrentIndex(dialog.size_.findData("half"))
    dialog.language.setCurrentIndex(dialog.language.findData("de"))
    dialog.points.setValue(9)
    qtbot.waitUntil(lambda: shown().pixelColor(1, 1).lightness() < 60, timeout=60_000)
    assert 0.8 < shown().width() / shown().height() < 470 / 500 + 0.02  # half a slide, or higher if needed
    dialog.csv.setChecked(True)
    dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Save).click()
    (place,) = dialog.findChildren(QFileDialog)
    place.fileSelected.emit(str(tmp_path / "out.svg"))
    wait_for(desk, tmp_path / "out.svg")
    assert "Muster" in (tmp_path / "out.svg").read_text()
    assert "blocks.1.attn.pattern,values,0,0" in (tmp_path / "out.csv").read_text()

    (tmp_path / "two.csv").write_text("mine")
    desk.window.files.export_figure(Options("svg"), tmp_path / "two.svg", data=("csv",))
    assert "two.csv already exists" in desk.trouble()
    assert (tmp_path / "two.csv").read_text() == "mine"


def test_cancel_writes_nothing_and_stands_where_the_other_dialogs_have_it(desk, tmp_path):
    desk.window.do("export")
    (dialog,) = desk.window.findChildren(ExportDialog)
    box = dialog.findChild(QDialogButtonBox)
    cancel, save = (
        box.button(b) for b in (QDialogButtonBox.StandardButton.Cancel, QDialogButtonBox.StandardButton.Save)
    )
    assert cancel.x() < save.x(), "as in the dialog of the walk: what is done stands last"
    dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Cancel).click()
    desk.settle()
    assert not desk.window.findChildren(ExportDialog) and desk.window.files.exports._pool is None


def test_a_copy_puts_a_picture_and_svg_on_the_clipboard(desk, qapp):
    desk.go("blocks.0.attn.pattern")
    desk.press(
        Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier, desk.window.canvas
    )
    desk.settle()
    data = qapp.clipboard().mimeData()
    assert data.hasImage() and qapp.clipboard().image().width() > 1000
    words = "".join(ET.fromstring(data.data("image/svg+xml").data()).itertext())
    assert "blocks.0.attn.pattern" in words
    desk.window.close()
    assert not qapp.clipboard().image().isNull(), "closing leaves the picture there"


def test_a_figure_of_appended_text_is_that_of_a_whole_pass(desk, counted, tmp_path):
    desk.window.do("append")
    desk.settle()
    counted.clear()
    desk.window.files.export_figure(Options("svg"), tmp_path / "a.svg")
    wait_for(desk, tmp_path / "a.svg")
    assert counted.passes == [(11, 0)]


def test_a_state_of_defaults_is_what_an_empty_session_means(desk, tmp_path):
    path = tmp_path / "bare.logitscope"
    path.write_text('{"logitscope": 1, "state": {}}')
    desk.window.files.open_session(path)
    desk.settle()
    assert desk.state == replace(State(), model=desk.state.model)
    assert desk.trouble(), "an empty prompt gets its sentence"


def test_the_sheet_is_exported_and_copied_though_it_reads_the_pass_while_it_is_drawn(desk, tmp_path):
    desk.window.do("workspace:sheet")
    desk.settle()
    path = tmp_path / "sheet.svg"
    desk.window.files.export_figure(Options("svg"), path)
    wait_for(desk, path)
    assert "sheet" in "".join(ET.parse(path).getroot().itertext())
    desk.window.do("copy")
    desk.until(lambda: not desk.window.files.exports.busy)
    assert UNEXPECTED not in desk.trouble()
