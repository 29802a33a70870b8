"""Any number opens under the view and leads to its operands and back, and the window highlights related cells."""

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

from desktop_app.core.asking.intents import Open
from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Cell
from desktop_app.figures.marks import Words
from desktop_app.ui.desks.scene_desk import CHECKED


def inside_words(desk):
    return [m.text for m in desk.window.inspector.canvas.page.marks if isinstance(m, Words)]


def cells_of(canvas, name):
    return next(c for c in canvas.page.cells if c.source is not None and c.source.name == name)


def click_cell(desk, canvas, cells, row, column):
    """Click a cell of a canvas, scrolled into view."""
    place = cells.place(row, column)
    canvas.verticalScrollBar().setValue(int(place.y) - canvas.viewport().height() // 2)
    origin = canvas.origin
    desk.click(canvas, place.x + place.w / 2 + origin.x(), place.y + place.h / 2 + origin.y())


def test_a_clicked_cell_opens_to_its_arithmetic_and_escape_closes_it(desk):
    desk.go("blocks.1.attn.z")
    canvas = desk.window.canvas
    cells = cells_of(canvas, "blocks.1.attn.z")
    click_cell(desk, canvas, cells, 0, 2)
    assert desk.c.path and desk.c.path[-1].name == "blocks.1.attn.z"
    value = float(desk.scene.trace.read("blocks.1.attn.z", head=desk.scene.head, row=desk.scene.token)[2])
    assert f"blocks.1.attn.z = {number(value)}" in inside_words(desk)
    assert desk.window.inspector.isVisible()
    desk.press(Qt.Key.Key_Escape, widget=desk.window.inspector.canvas)
    assert not desk.c.path and not desk.window.inspector.isVisible()


def test_operands_open_in_turn_and_the_trail_leads_back(desk):
    desk.go("blocks.1.attn.scores")
    desk.c.open_path((Cell("blocks.1.attn.scores", (0, 3, 1)),))
    inner = desk.window.inspector.canvas
    click_cell(desk, inner, cells_of(inner, "blocks.1.attn.q"), 0, 4)
    assert desk.c.path[-1] == Cell("blocks.1.attn.q", (0, 3, 4))
    click_cell(desk, inner, cells_of(inner, "blocks.1.ln1.out"), 0, 5)
    assert [c.name for c in desk.c.path] == ["blocks.1.attn.scores", "blocks.1.attn.q", "blocks.1.ln1.out"]
    desk.back_to_first()
    assert desk.c.path == (Cell("blocks.1.attn.scores", (0, 3, 1)),)


def test_pointing_at_a_pattern_lights_the_row_of_scores_that_it_came_from(desk):
    desk.go("blocks.1.attn.pattern")
    canvas = desk.window.canvas
    masked = next(c for c in canvas.page.cells if c.source is not None and c.source.name == "blocks.1.attn.masked")
    grid = max((c for c in canvas.page.cells if c.label == "blocks.1.attn.pattern"), key=lambda c: c.rect.w)
    place = grid.place(4, 2)
    desk.hover_canvas(place.x + place.w / 2, place.y + place.h / 2)
    row = masked.place(4, 0)
    assert any(abs(r.y - row.y) < 0.5 and abs(r.w - masked.rect.w) < 0.5 for r in canvas.lit[0])


def test_what_is_opened_follows_the_prompt_or_is_closed(desk):
    desk.c.open_path((Cell("blocks.0.attn.pattern", (0, 2, 1)),))
    desk.write("something else entirely")
    assert desk.c.path == (Cell("blocks.0.attn.pattern", (0, 2, 1)),)
    value = float(desk.scene.trace.read("blocks.0.attn.pattern", head=0, row=2)[1])
    assert f"blocks.0.attn.pattern = {number(value)}" in inside_words(desk)
    desk.write("a")
    assert desk.c.path == () and not desk.window.inspector.isVisible()


def test_the_check_of_every_tensor_finds_all_of_them_good(desk):
    desk.window.do("check_all")
    desk.settle()
    assert desk.c.path == (CHECKED,)
    computed = sum(bool(t.inputs) for t in desk.scene.trace.table.values())
    assert f"{computed} of {computed} tensors agree with their formulas" in inside_words(desk)
    desk.write("another text")
    assert CHECKED not in desk.c.path and not desk.scene.products


def test_census_and_weights_open_and_say_the_models_own_numbers(desk):
    desk.window.do("open_census")
    assert desk.c.path == (Cell("census", ()),)
    total = sum(w.size for n, w in desk.scene.checkpoint.weights.items() if n != "unembed.W_U")
    assert any(f"{total:,} parameters" in words for words in inside_words(desk))
    desk.window.acts.follow(Open(Cell("blocks.1.attn.W_O", ())))
    inner = desk.window.inspector.canvas
    cells = max((c for c in inner.page.cells if c.source is not None), key=lambda c: c.rect.w * c.rect.h)
    click_cell(desk, inner, cells, 3, 2)
    opened = desk.c.path[-1]
    assert opened.name == "blocks.1.attn.W_O"
    value = float(desk.scene.checkpoint.weights["blocks.1.attn.W_O"][opened.index])
    assert f"blocks.1.attn.W_O = {number(value)}" in inside_words(desk)


def test_the_copied_lines_of_numpy_make_the_number_again(desk, tmp_path, monkeypatch):
    cell = Cell("blocks.1.attn.pattern", (1, 3, 2))
    desk.c.open_path((cell,))
    desk.window.do("copy_numpy")
    monkeypatch.chdir(tmp_path)
    desk.scene.trace.save(tmp_path / "trace.safetensors")
    names = {}
    exec(QGuiApplication.clipboard().text(), names)
    assert np.isclose(float(names["result"]), desk.scene.trace.read(cell.name, head=1, row=3)[2], rtol=1e-6)


def test_a_step_without_an_opened_number_is_copied_whole(desk, tmp_path, monkeypatch):
    desk.go("blocks.1.attn.pattern")
    desk.window.do("copy_numpy")
    monkeypatch.chdir(tmp_path)
    desk.scene.trace.save(tmp_path / "trace.safetensors")
    names = {}
    exec(QGuiApplication.clipboard().text(), names)
    assert np.allclose(names["result"], desk.scene.trace["blocks.1.attn.pattern"], atol=1e-6)


def test_what_is_pinned_stays_while_other_cells_are_clicked(desk):
    desk.go("blocks.1.attn.z")
    desk.c.open_path((Cell("blocks.1.attn.z", (0, 1, 1)),))
    desk.window.inspector.pin.setChecked(True)
    canvas = desk.window.canvas
    click_cell(desk, canvas, cells_of(canvas, "blocks.1.attn.z"), 0, 3)
    assert desk.c.path == (Cell("blocks.1.attn.z", (0, 1, 1)),)
    desk.window.inspector.pin.setChecked(False)
    click_cell(desk, canvas, cells_of(canvas, "blocks.1.attn.z"), 0, 3)
    assert desk.c.path != (Cell("blocks.1.attn.z", (0, 1, 1)),)


def test_a_probability_opens_to_its_chain_from_the_bars(desk):
    token = int(desk.scene.ranked.order[2])
    for _ in range(3):
        desk.press(Qt.Key.Key_Down, widget=desk.window.probabilities.bars)
    desk.press(Qt.Key.Key_O, widget=desk.window.probabilities.bars)
    assert desk.c.path[-1].index == (desk.scene.position, token)
    assert any(words.startswith("probability of ") for words in inside_words(desk))
