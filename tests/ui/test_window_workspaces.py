"""Workspaces beside the walk: keys, tabs, what they leave in place, and products that come late."""

import threading
from dataclasses import replace

from PySide6.QtCore import Qt

from desktop_app.core import products
from desktop_app.core.opening.cells import Cell
from tests.ui.driver import CTRL

ALT = Qt.KeyboardModifier.AltModifier


def test_one_key_shows_the_lens_and_another_the_walk_where_it_was_left(desk):
    desk.go("blocks.1.attn.pattern")
    desk.press(Qt.Key.Key_3, CTRL, desk.window.canvas)
    desk.settle()
    assert desk.c.step.key == "lens" and "The likeliest token" in desk.words()
    desk.press(Qt.Key.Key_1, CTRL, desk.window.canvas)
    desk.settle()
    assert desk.c.step.key == "blocks.1.attn.pattern"
    assert desk.window.map._current is desk.c.walk_step  # the map never left it


def test_a_click_on_the_map_leads_out_of_a_workspace(desk):
    desk.window.do("workspace:lens")
    desk.settle()
    desk.go("embed")
    assert desk.state.workspace == "walk" and desk.c.step.key == "embed"


def test_back_leads_from_a_workspace_and_from_an_opened_cell(desk):
    desk.window.do("workspace:lens")
    desk.settle()
    desk.c.open_path((Cell("lens.kl", (1, 2)),))
    desk.settle()
    assert desk.window.inspector.isVisible()
    desk.window.do("back")
    desk.settle()
    assert desk.c.path == () and not desk.window.inspector.isVisible() and desk.state.workspace == "lens"
    desk.window.do("back")
    desk.settle()
    assert desk.state.workspace == "walk"


def test_the_lens_follows_what_is_typed_and_what_is_pinned(desk):
    desk.window.do("workspace:lens")
    desk.settle()
    desk.type("!")
    desk.settle()
    grid = next(c for c in desk.window.canvas.page.cells if c.source and c.source.name == "lens.top_probability")
    assert grid.columns == len(desk.scene.trace)
    token = int(desk.scene.ranked.order[5])
    desk.window._pin(token)
    desk.settle()
    assert desk.scene.tokenizer.label(token) in desk.words()


def test_what_takes_long_is_stopped_by_a_key_and_the_window_goes_on(desk, monkeypatch):
    entered, made = threading.Event(), products.compute

    def slow(want, model, trace, stop, progress):
        entered.set()
        progress(0.5)
        while True:
            stop.check()

    monkeypatch.setattr("desktop_app.ui.lanes.compute", slow)
    monkeypatch.setattr("desktop_app.core.products.compute", slow)
    desk.window.do("check_all")
    desk.until(entered.is_set)
    assert desk.window.actions_["stop"].isEnabled()
    desk.window.do("stop")
    desk.settle()
    monkeypatch.setattr("desktop_app.ui.lanes.compute", made)
    monkeypatch.setattr("desktop_app.core.products.compute", made)
    desk.window.do("close_inspector")
    desk.window.do("check_all")
    desk.settle()
    words = [m.text for m in desk.window.inspector.canvas.page.marks if hasattr(m, "text")]
    assert any("tensors are what their formulas say" in line for line in words)


def test_a_step_shows_its_own_block_whatever_block_a_workspace_looked_at(desk):
    desk.go("blocks.1.attn.pattern")
    desk.window.do("workspace:heads")
    desk.settle()
    desk.c.set(replace(desk.state, layer=0))
    desk.settle()
    desk.window.do("workspace:walk")
    desk.settle()
    shown = {c.source.name for c in desk.window.canvas.page.cells if c.source is not None}
    assert {name.split(".")[1] for name in shown} == {"1"}
    assert any(words.startswith("Block 1 · Head") for words in desk.words())
