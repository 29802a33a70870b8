"""Two models side by side in the window: opened, compared, removed, and freed."""

import gc
import shutil
from dataclasses import replace
from weakref import ref

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from desktop_app.core.edits.changes import with_edits
from desktop_app.core.model import open_model
from desktop_app.core.session.last_session import last_file
from desktop_app.core.session.session_file import load_session
from tests.checkpoints import write_checkpoint
from tests.ui.conftest import BYTES
from tests.ui.driver import NONE

PATTERN = "blocks.1.attn.pattern"


@pytest.fixture(scope="session")
def twin(tmp_path_factory):
    """A model with the tiny one's shape and tokens, but other weights."""
    return write_checkpoint(tmp_path_factory.mktemp("models") / "twin", BYTES, seed=5)


def put_beside(desk, folder):
    desk.window.do("beside_model")
    (dialog,) = desk.window.findChildren(QFileDialog)
    dialog.fileSelected.emit(str(folder))
    dialog.close()
    desk.settle()


def chip(desk):
    return desk.window.edits_bar.chips[-1]


def test_another_model_stands_beside_until_it_is_taken_away_and_is_let_go(desk, twin):
    desk.go(PATTERN)
    put_beside(desk, twin)
    assert {"this model", "other model", "this − other"} <= set(desk.words())
    expected = open_model(twin).engine.trace(desk.scene.trace.ids)
    assert np.array_equal(desk.scene.other.trace.logits(-1), expected.logits(-1))
    assert chip(desk).text() == "other model: twin"
    desk.write("Hello, yes")
    assert desk.scene.other.trace.ids == desk.scene.trace.ids
    gone = ref(desk.scene.passes.guest)
    desk.press(Qt.Key.Key_Delete, NONE, chip(desk))
    desk.settle()
    assert desk.state.beside == ""
    assert desk.state.view.compare == "after"
    assert not desk.window.edits_bar.isVisible()
    desk.bot.waitUntil(lambda: gc.collect() >= 0 and gone() is None, timeout=20_000)
    desk.window.do("undo")
    desk.settle()
    assert desk.scene.other.name == "twin"


def test_edits_are_of_this_model_and_take_from_the_other(desk, twin):
    desk.c.set(replace(desk.state, beside=str(twin)))
    desk.settle()
    desk.c.set(with_edits(desk.state, "blocks.1.resid_pre=other"))
    desk.settle()
    assert np.array_equal(desk.scene.trace["blocks.1.resid_pre"], desk.scene.other.trace["blocks.1.resid_pre"])
    assert np.array_equal(desk.scene.before.trace["embed"], desk.scene.trace["embed"])


def test_a_model_of_another_shape_is_refused_and_the_pass_is_shown_alone(desk, other):
    put_beside(desk, other)
    assert "only models of the same shape can be compared" in desk.trouble()
    assert "only models of the same shape" in chip(desk).toolTip()
    assert desk.scene.other is None
    desk.write("Hello")
    assert desk.scene.trace.ids == desk.c.model.tokenizer.encode("Hello").ids


def test_a_model_that_memory_does_not_hold_beside_the_open_one_is_not_opened(desk, twin, monkeypatch):
    lanes = "desktop_app.ui.desks.lanes"
    monkeypatch.setattr(f"{lanes}.memory_warning", lambda folder, _tokens: f"{folder.name} needs 9 TB.")
    monkeypatch.setattr(f"{lanes}.open_model", None)
    put_beside(desk, twin)
    assert "twin needs 9 TB." in desk.trouble()
    assert desk.scene.other is None


def test_the_open_model_may_become_one_that_the_other_does_not_fit(desk, twin, other):
    put_beside(desk, twin)
    desk.c.open_model(other)
    desk.settle()
    assert desk.c.model.folder == other
    assert desk.scene.other is None
    assert "only models of the same shape" in chip(desk).toolTip()
    desk.window.do("undo")
    desk.settle()
    assert desk.scene.other.name == "twin"


def test_the_same_model_beside_itself_is_not_opened_twice(desk, tiny):
    put_beside(desk, tiny)
    assert desk.scene.passes.guest is desk.c.model
    assert desk.scene.other.trace is desk.scene.trace


def test_a_window_closes_while_another_model_is_being_opened(open_desk, tiny, twin):
    desk = open_desk(tiny, "Hello, you")
    desk.c.set(replace(desk.state, beside=str(twin)))
    desk.window.close()


def test_the_model_beside_comes_back_with_the_session_and_is_told_of_where_it_is_gone(open_desk, tiny, twin, tmp_path):
    there = tmp_path / "gone"
    shutil.copytree(twin, there)
    desk = open_desk(tiny, "Hello, you")
    desk.c.set(replace(desk.state, beside=str(there)))
    desk.settle()
    assert desk.scene.other is not None
    desk.window.close()
    assert load_session(last_file()).beside == str(there)
    again = open_desk(None, None, None)
    assert again.scene.other is not None
    again.window.close()
    shutil.rmtree(there)
    alone = open_desk(None, None, None)
    assert alone.scene.other is None
    assert alone.scene.trace.ids
    assert chip(alone).toolTip().count("\n") >= 1
