"""Int8 weights in the window: off by default, shown wherever they are on, their effect reported, undone by undo."""

import numpy as np
import pytest

from desktop_app.core.model import open_model
from desktop_app.core.program.bundle import default_model


def rounded(desk):
    desk.settle()
    return desk.c.scene.config.int8


def test_weights_are_exact_unless_asked(desk):
    assert not rounded(desk)
    assert not desk.window.probabilities.exactness.isVisible()
    assert "int8" not in desk.window.models.text()
    assert not desk.window.actions_["int8"].isChecked()


def test_int8_is_named_and_its_effect_is_told(desk):
    before = desk.c.scene.trace.logits(-1)
    desk.window.do("int8")
    desk.until(lambda: desk.c.scene.config.int8)
    assert rounded(desk)
    assert "(int8 weights)" in desk.window.models.text()
    assert desk.window.actions_["int8"].isChecked()
    label = desk.window.probabilities.exactness
    assert label.isVisible()
    ours = desk.c.scene.trace.logits(-1)
    p, q = (np.exp(x.astype(float) - x.max()) / np.exp(x.astype(float) - x.max()).sum() for x in (before, ours))
    token = desk.c.model.tokenizer.quoted(int(np.abs(p - q).argmax()))
    assert token in label.text()
    assert "float32 gives it" in label.text()


def test_the_effect_follows_the_text(desk):
    desk.window.do("int8")
    desk.until(lambda: desk.c.scene.config.int8)
    desk.settle()
    said = desk.window.probabilities.exactness.text()
    desk.type(" old man and his")
    desk.settle()
    assert desk.window.probabilities.exactness.text() != said
    assert rounded(desk)


def test_undo_brings_the_exact_weights_back(desk):
    desk.window.do("int8")
    desk.until(lambda: desk.c.scene.config.int8)
    desk.settle()
    desk.window.do("undo")
    desk.until(lambda: not desk.c.scene.config.int8)
    desk.settle()
    assert not desk.window.probabilities.exactness.isVisible()
    assert "int8" not in desk.window.models.text()
    desk.window.do("redo")
    desk.until(lambda: desk.c.scene.config.int8)


@pytest.mark.parametrize("asked", [True, False])
def test_a_start_is_exact_unless_asked_whatever_was_left(qtbot, asked):
    from desktop_app.core.session.last_session import keep
    from desktop_app.core.session.state import State
    from desktop_app.ui import app

    keep(State(text="A cat", int8=True))
    window = app.open_window(int8=asked)
    qtbot.addWidget(window)
    qtbot.waitUntil(lambda: window.controller.scene is not None, timeout=20_000)
    assert window.controller.scene.config.int8 == asked
    window.close()


def test_the_same_file_makes_both(desk):
    model = open_model(default_model(), int8=True)
    assert model.exact.config == open_model(default_model()).config
