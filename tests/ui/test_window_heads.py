"""The heads and score workspaces by keyboard and pointer: choosing a head leads to its page, steps and scores."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

from desktop_app.core.asking.intents import AskKey, Do, GoTo, Select
from desktop_app.core.opening.cells import Cell
from desktop_app.core.session.session_file import load_session, save_session
from tests.ui.driver import CTRL

ALT = Qt.KeyboardModifier.AltModifier


def cells_of(desk, name):
    return next(c for c in desk.window.canvas.page.cells if c.source and c.source.name == name)


def test_a_head_is_chosen_by_keys_and_its_page_leads_into_the_walk(desk):
    canvas = desk.window.canvas
    desk.press(Qt.Key.Key_2, CTRL, canvas)
    desk.settle()
    assert desk.c.step.key == "heads" and "Every head of every block on this text" in desk.words()
    desk.press(Qt.Key.Key_Return, widget=canvas)
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Right):
        desk.press(key)
    assert canvas.readout.value.startswith("L1H2: ") and "induction" in canvas.readout.place
    desk.press(Qt.Key.Key_Return)
    desk.settle()
    assert (desk.state.layer, desk.state.head, desk.state.view.heads) == (1, 2, "one")
    assert any(line.startswith("Block 1 · Head 2 — ") for line in desk.words())
    desk.click_canvas(desk.pick(GoTo("blocks.*.attn.pattern")).rect)
    desk.settle()
    assert desk.c.step.key == "blocks.1.attn.pattern" and desk.state.head == 2


def test_back_leads_from_a_head_s_page_to_all_heads(desk):
    desk.window.do("workspace:heads")
    desk.settle()
    place = cells_of(desk, "heads.head")
    desk.click_canvas(place.place(0, 1))
    desk.settle()
    assert desk.state.view.heads == "one"
    desk.press(Qt.Key.Key_Left, ALT, desk.window.canvas)
    desk.settle()
    assert desk.state.view.heads == "patterns" and desk.state.workspace == "heads"


def test_a_click_on_a_score_orders_the_heads_by_it(desk):
    desk.window.do("workspace:heads")
    desk.settle()
    desk.click_canvas(desk.pick(Do("heads_by_previous")).rect)
    desk.settle()
    assert "All heads by previous token" in desk.words()


def test_a_cell_of_a_grid_leads_to_its_score_by_one_key_and_a_click_chooses_another_key(desk):
    desk.go("blocks.1.attn.scaled")
    grid = max((c for c in desk.window.canvas.page.cells if c.source), key=lambda c: c.rect.w)
    desk.hover_canvas(*(grid.place(3, 1).x + 2, grid.place(3, 1).y + 2))
    desk.press(Qt.Key.Key_B, CTRL, desk.window.canvas)
    desk.settle()
    assert desk.c.step.key == "look"
    assert (desk.state.layer, desk.state.token, desk.state.key) == (1, 3, 1)
    quoted = desk.scene.tokenizer.quoted
    title = f"why {quoted(desk.scene.trace.ids[3])} at 3 looks at {quoted(desk.scene.trace.ids[1])} at 1"
    assert any(title in line for line in desk.words())
    desk.click_canvas(desk.pick(AskKey(2)).rect)
    desk.settle()
    assert desk.state.key == 2
    desk.click_canvas(desk.pick(AskKey(2)).rect)  # again: back to the key with the most attention
    desk.settle()
    assert desk.state.key is None


def test_an_opened_cell_leads_there_too_and_a_cell_of_the_table_opens(desk):
    desk.c.open_path((Cell("blocks.0.attn.pattern", (2, 4, 3)),))
    desk.settle()
    desk.window.do("why_look")
    desk.settle()
    assert (desk.state.layer, desk.state.head, desk.state.token, desk.state.key) == (0, 2, 4, 3)
    table = cells_of(desk, "look.relative")
    desk.click_canvas(table.place(0, 0))
    desk.settle()
    assert desk.window.inspector.isVisible() and desk.c.path[0].name == "look.relative"
    words = [m.text for m in desk.window.inspector.canvas.page.marks if hasattr(m, "text")]
    assert "Two vectors, aligned" in words
    desk.window.do("copy_numpy")
    assert "def through(t, W, bias)" in QGuiApplication.clipboard().text()


def test_another_token_asks_about_the_key_that_it_looks_at_most(desk):
    desk.window.do("workspace:look")
    desk.settle()
    desk.window.acts.follow(AskKey(0))
    desk.window.acts.follow(Select(2))
    desk.settle()
    assert desk.state.key is None and desk.state.token == 2


def test_a_session_comes_back_to_the_score_that_was_open(desk, tmp_path):
    desk.c.open_path((Cell("blocks.1.attn.masked", (1, 4, 2)),))
    desk.settle()
    desk.window.do("why_look")
    desk.window.do("look_raw")
    desk.window.do("look_blocks")
    desk.settle()
    save_session(tmp_path / "a.logitscope", desk.state)
    words = desk.words()
    desk.window.do("workspace:walk")
    desk.settle()
    desk.window.files.open_session(tmp_path / "a.logitscope")
    desk.settle()
    assert desk.words() == words and load_session(tmp_path / "a.logitscope").key == 2


def test_heads_measured_while_a_text_is_typed_are_there_for_the_new_one(desk):
    desk.window.do("workspace:heads")
    desk.type("!")
    desk.settle()
    assert any(line.startswith("All heads by ") for line in desk.words())
    assert cells_of(desk, "heads.head").values.shape == (2, desk.scene.config.n_head)


@pytest.mark.parametrize("form", ["shaded", "arcs"])
def test_the_text_on_a_head_s_page_follows_the_cell_cursor(desk, form):
    desk.window.do("workspace:heads")
    desk.window.do("heads_one")
    if form == "arcs":
        desk.window.do("heads_arcs")
    desk.settle()
    canvas, before = desk.window.canvas, desk.state
    desk.press(Qt.Key.Key_Return, widget=canvas)
    for _ in range(len(canvas.page.cells)):
        if canvas.readout is not None and canvas.followed is not None:
            break
        desk.press(Qt.Key.Key_Tab)
    first = canvas.followed
    seen = {first}
    words = [p.rect for p in canvas.page.picks if isinstance(p.asks, Select)]
    upright = words[0].x == words[1].x  # a column of words
    there, back = (Qt.Key.Key_Down, Qt.Key.Key_Up) if upright else (Qt.Key.Key_Right, Qt.Key.Key_Left)
    for key in (there, there, back, there, there):
        desk.press(key)
        seen.add(canvas.followed)
        assert canvas.has_cursor and f" at {canvas.followed}" in canvas.readout.place
        label = desk.scene.tokenizer.quoted(desk.scene.trace.ids[canvas.followed])
        assert f"What {label} at {canvas.followed} looks at" in desk.words()
    assert len(seen) > 2 and desk.state == before, "moving chooses nothing"
    desk.press(Qt.Key.Key_Escape)
    assert canvas.followed is None


@pytest.mark.parametrize("form", ["shaded", "arcs"])
def test_the_text_on_a_head_s_page_follows_the_pointer(desk, form):
    desk.window.do("workspace:heads")
    desk.window.do("heads_one")
    if form == "arcs":
        desk.window.do("heads_arcs")
    desk.settle()
    canvas, last = desk.window.canvas, len(desk.scene.trace) - 1
    before, placed = desk.state, canvas.placed
    assert any(line.startswith("What 'u' at 9 looks at") for line in desk.words())

    def point_at(token):
        place = next(p.rect for p in canvas.page.picks if p.asks == Select(token))
        desk.hover_canvas(place.x + place.w / 2, place.y + place.h / 2)

    point_at(2)
    assert canvas.followed == 2 and "What 'l' at 2 looks at" in desk.words()
    assert "query 'l' at 2" in canvas.readout.place
    point_at(2)
    point_at(4)
    assert canvas.followed == 4 and canvas.placed == placed + 2, "laid out once for each token"
    assert desk.state == before, "pointing chooses nothing"
    desk.hover_canvas(1, 1)
    assert canvas.followed is None and f"What 'u' at {last} looks at" in desk.words()
    point_at(3)
    desk.click_canvas(next(p.rect for p in canvas.page.picks if p.asks == Select(3)))
    desk.settle()
    assert desk.state.token == 3
