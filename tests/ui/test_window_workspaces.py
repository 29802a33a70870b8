"""Workspaces beside the walk: keys, tabs, what they do not change, and products that arrive late."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QFileDialog
from safetensors.numpy import save_file

from desktop_app.core import products
from desktop_app.core.asking.intents import Pin
from desktop_app.core.opening.cells import Cell
from desktop_app.core.workspaces import WORKSPACES
from tests.ui.driver import CTRL, SHIFT

ALT = Qt.KeyboardModifier.AltModifier
TABS = [spec.key for spec in WORKSPACES if spec.keys]
# In the sheet arrow keys go from step to step, and training curves have no cells.
BESIDE = [spec.key for spec in WORKSPACES if spec.keys and not spec.along and spec.key != "training"]
ARROWS = (Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Down, Qt.Key.Key_Up)


def test_one_key_shows_the_lens_and_another_the_walk_where_it_was_left(desk):
    desk.go("blocks.1.attn.pattern")
    desk.press(Qt.Key.Key_3, CTRL, desk.window.canvas)
    desk.settle()
    assert desk.c.step.key == "lens" and "The likeliest token" in desk.words()
    desk.press(Qt.Key.Key_1, CTRL, desk.window.canvas)
    desk.settle()
    assert desk.c.step.key == "blocks.1.attn.pattern"
    assert desk.window.map._current is desk.c.walk_step  # the map still shows this step


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
    desk.window.acts.follow(Pin(token))
    desk.settle()
    assert desk.scene.tokenizer.label(token) in desk.words()


def test_what_takes_long_is_stopped_by_a_key_and_the_window_goes_on(desk, monkeypatch):
    entered, made = threading.Event(), products.compute

    def slow(want, model, passes, stop, progress, partly):
        entered.set()
        progress(0.5)
        while True:
            stop.check()

    monkeypatch.setattr("desktop_app.ui.desks.lanes.compute", slow)
    monkeypatch.setattr("desktop_app.core.products.compute", slow)
    desk.window.do("check_all")
    desk.until(entered.is_set)
    assert desk.window.actions_["stop"].isEnabled()
    desk.window.do("stop")
    desk.settle()
    monkeypatch.setattr("desktop_app.ui.desks.lanes.compute", made)
    monkeypatch.setattr("desktop_app.core.products.compute", made)
    desk.window.do("close_inspector")
    desk.window.do("check_all")
    desk.settle()
    words = [m.text for m in desk.window.inspector.canvas.page.marks if hasattr(m, "text")]
    assert any("tensors agree with their formulas" in line for line in words)


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


@pytest.mark.parametrize("key", BESIDE)
def test_arrow_keys_move_the_cell_cursor_of_a_workspace_and_never_lead_out_of_it(desk, key):
    canvas, step = desk.window.canvas, desk.c.walk_step
    desk.window.do(f"workspace:{key}")
    desk.settle()
    desk.press(ARROWS[0], widget=canvas)
    assert canvas.has_cursor and canvas.readout is not None
    seen = set()
    for arrow in ARROWS * 3:
        desk.press(arrow, widget=canvas)
        desk.settle()
        seen.add((canvas._at[0].what, canvas._at[1:]))
        assert canvas.readout is not None and desk.state.workspace == key and desk.c.walk_step is step
    assert len(seen) > 1, "the cursor stands still"
    desk.press(Qt.Key.Key_Escape, widget=canvas)
    assert not canvas.has_cursor
    desk.press(ARROWS[1], SHIFT, widget=canvas)
    assert desk.state.workspace == key


@pytest.mark.parametrize("key", BESIDE)
def test_enter_on_the_cell_cursor_opens_what_a_click_opens(desk, key):
    desk.window.do(f"workspace:{key}")
    desk.settle()
    before = desk.state
    desk.press(Qt.Key.Key_Return, widget=desk.window.canvas)
    if key == "masks":  # the cursor begins on the mask that is in use
        desk.press(Qt.Key.Key_Down, widget=desk.window.canvas)
    desk.press(Qt.Key.Key_Return, widget=desk.window.canvas)
    desk.settle()
    assert desk.state != before and desk.state.workspace == {"circuits": "heads", "sweep": "walk"}.get(key, key)
    shown = desk.state.layer, desk.state.head, desk.state.view.heads
    assert desk.c.path or key in ("sweep", "masks", "map", "evidence") or shown in ((0, 0, "one"), (0, 0, "weights"))


def test_arrows_go_through_the_tokens_of_a_shaded_text(desk):
    desk.window.do("workspace:heads")
    desk.window.do("heads_one")
    desk.settle()
    canvas = desk.window.canvas
    token = next(c for c in canvas.page.cells if c.rows * c.columns == 1 and c.source.name.endswith("attn.pattern"))
    canvas._cursor.at = (token, 0, 0)
    canvas._move_cursor(0, 0)
    head, _, key = canvas._at[0].source.index
    for arrow, there in ((Qt.Key.Key_Right, key + 1), (Qt.Key.Key_Right, key + 2), (Qt.Key.Key_Left, key + 1)):
        desk.press(arrow, widget=canvas)
        assert canvas._at[0].source.index == (head, there, there), "the shades follow, as they follow the pointer"
        assert canvas.followed == there


@pytest.mark.parametrize("key", TABS)
def test_a_screen_reader_is_told_what_is_shown_and_what_the_cursor_is_on(desk, key):
    canvas = desk.window.canvas
    spoken = QAccessible.queryAccessibleInterface(canvas)
    desk.window.do(f"workspace:{key}")
    desk.settle()
    said = spoken.text(QAccessible.Text.Description)
    assert canvas._view.title in said and canvas._view.lead in said and len(said) > len(canvas._view.lead) + 100
    assert canvas._view.title in spoken.text(QAccessible.Text.Name)
    if key not in BESIDE:
        return  # it has no cell cursor: Enter zooms in
    desk.press(Qt.Key.Key_Return, widget=canvas)
    assert canvas.readout.value in spoken.text(QAccessible.Text.Name)
    assert canvas.readout.place in spoken.text(QAccessible.Text.Name)
    desk.press(Qt.Key.Key_Escape, widget=canvas)
    assert canvas._view.title in spoken.text(QAccessible.Text.Name)


@pytest.mark.parametrize("key", BESIDE)
def test_an_opened_number_of_a_workspace_comes_back_with_its_session(desk, open_desk, tiny, key, tmp_path):
    desk.window.do(f"workspace:{key}")
    desk.settle()
    cells = [c for c in desk.window.canvas.page.cells if c.source and c.source.name.startswith(f"{key}.")]
    source = next(c.source for c in reversed(cells) if c.source.name != "heads.head") if key != "heads" else None
    cell = Cell("heads.induction", (1, 2)) if source is None else source.cell(0, 0)
    desk.c.open_path((cell,))
    desk.settle()
    shown = desk.window.inspector.canvas._view
    desk.window.files.save_session(tmp_path / "lesson.logitscope")
    again = open_desk(tiny, session=tmp_path / "lesson.logitscope")
    assert again.c.path == (cell,) and again.window.inspector.isVisible()
    assert again.window.inspector.canvas._view.title == shown.title
    assert "…" not in again.window.inspector.canvas._view.title


def test_a_number_that_a_new_text_s_product_has_not_is_closed(desk):
    desk.window.do("workspace:flow")
    desk.settle()
    last = 2 * desk.scene.config.n_layer
    desk.c.open_path((Cell("flow.node", (last, desk.scene.token)),))
    desk.settle()
    assert desk.c.path
    desk.type(" and more")
    desk.settle()
    assert desk.c.path == (), "the graph goes down from another token now"
    assert not desk.window.inspector.isVisible()


def test_the_lens_reads_through_translators_from_a_file_and_without_them_again(desk, tmp_path):
    width = desk.scene.config.n_embd
    save_file({f"lens.{n}.weight": np.eye(width, dtype=np.float32) for n in (0, 1)}, tmp_path / "tuned.safetensors")
    desk.window.do("lens_translators")
    (dialog,) = desk.window.findChildren(QFileDialog)
    dialog.fileSelected.emit(str(tmp_path / "tuned.safetensors"))
    dialog.close()
    desk.settle()
    assert desk.state.workspace == "lens" and "0 pre T" in desk.words()
    assert desk.window.actions_["lens_translators"].isChecked()
    desk.window.do("lens_translators")
    desk.settle()
    assert "0 pre T" not in desk.words() and "0 pre" in desk.words()


def test_a_file_of_other_translators_gets_a_sentence_and_changes_nothing(desk, tmp_path):
    save_file({"lens.0.weight": np.eye(3, dtype=np.float32)}, tmp_path / "other.safetensors")
    before = desk.state
    desk.window.files.use_translators(tmp_path / "other.safetensors")
    assert desk.state == before and "other.safetensors" in desk.c.complaint
