"""An opened number: its operands, going to them and back, and the same number whatever happens around it."""

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt

from desktop_app.core.asking.intents import Evidence, GoTo, ShowHead
from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Cell
from desktop_app.figures.marks import Words
from desktop_app.gpt2.engine import Engine
from tests.ui.driver import CTRL


def shown(cells, row, column):
    """Whether a cell is in this picture: the pointer finds it where it is drawn."""
    place, rect = cells.place(row, column), cells.rect
    x, y = place.x + place.w / 2, place.y + place.h / 2
    inside = rect.x <= x < rect.x + rect.w and rect.y <= y < rect.y + rect.h
    return inside and cells.cell(x, y) == (row, column)


def opened(desk, name, index):
    """Open a cell of the current view by a click."""
    small = [p.rect for p in desk.window.canvas.page.picks if type(p.asks) in (GoTo, ShowHead)]
    for cells in desk.window.canvas.page.cells:
        # A click on a small grid chooses the whole grid.
        if cells.source is None or cells.source.name != name or cells.rect in small:
            continue
        columns = range(cells.values.shape[-1])
        rows = range(len(cells.values) if cells.stride is None else 1)
        for row in rows:
            for column in columns:
                if cells.source.at(row, column) == index and shown(cells, row, column):
                    desk.click_canvas(cells.place(row, column))
                    return
    pytest.fail(f"{name}{index} is not in the view")


def told(desk):
    return [m.text for m in desk.window.inspector.canvas.page.marks if isinstance(m, Words)]


def test_an_opened_score_shows_the_two_vectors_whose_product_it_is(desk):
    desk.go("blocks.1.attn.scores")
    opened(desk, "blocks.1.attn.scores", (0, 6, 2))
    assert desk.c.path[0].index == (0, 6, 2)
    trace = desk.scene.trace
    query, key = trace["blocks.1.attn.q"][0, 6], trace["blocks.1.attn.k"][0, 2]
    assert float(trace["blocks.1.attn.scores"][0, 6, 2]) == pytest.approx(float(query @ key), rel=1e-5)
    assert any(number(float(query.astype(np.float64) @ key)) in words for words in told(desk))
    names = {c.source.name for c in desk.window.inspector.canvas.page.cells if c.source}
    assert {"blocks.1.attn.q", "blocks.1.attn.k"} <= names


def test_one_goes_on_into_an_operand_and_back_by_the_trail(desk):
    desk.go("blocks.1.attn.scores")
    opened(desk, "blocks.1.attn.scores", (0, 6, 2))
    first = desk.c.path
    inside = desk.window.inspector.canvas
    cells = next(c for c in inside.page.cells if c.source and c.source.name == "blocks.1.attn.q")
    row, column = 0, cells.start + 3
    place = cells.place(row, column)
    bar = inside.verticalScrollBar()
    bar.setValue(int(place.y) - 20)
    desk.click(inside, place.x + place.w / 2 + inside.origin.x(), place.y + place.h / 2 + inside.origin.y())
    assert [c.name for c in desk.c.path] == ["blocks.1.attn.scores", "blocks.1.attn.q"]
    assert desk.c.path[1].index == cells.source.at(row, column)
    assert number(float(desk.scene.trace["blocks.1.attn.q"][desk.c.path[1].index])) in " ".join(told(desk))
    desk.back_to_first()
    assert desk.c.path == first
    desk.close_inspector()
    assert not desk.window.inspector.isVisible()


def test_what_is_lit_is_what_the_cell_was_computed_from(desk):
    desk.go("blocks.0.attn.scaled")
    cells = max(desk.window.canvas.page.cells, key=lambda c: c.rect.w)
    place = cells.place(5, 3)
    desk.hover_canvas(place.x + place.w / 2, place.y + place.h / 2)
    sources, targets = desk.window.canvas.lit
    small = {c.label: c for c in desk.window.canvas.page.cells if c.source and c.source.index[0] == 0}
    spots = {c.source.name: c.place(5, 3) for c in small.values()}

    def lit(rects, name):
        x, y = spots[name].x + spots[name].w / 2, spots[name].y + spots[name].h / 2
        return any(r.x <= x <= r.x + r.w and r.y <= y <= r.y + r.h for r in rects)

    assert lit(sources, "blocks.0.attn.scores") and lit(targets, "blocks.0.attn.masked")
    assert not lit(sources, "blocks.0.attn.pattern")


def test_the_opened_number_follows_the_prompt(desk):
    desk.window.do("every_number")
    desk.go("blocks.0.ln1")
    opened(desk, "blocks.0.ln1.out", (9, 4))
    for text in ("Hello, You", "Goodbye, now"):
        desk.write(text)
        value = number(float(desk.scene.trace["blocks.0.ln1.out"][9, 4]))
        assert any(value in words for words in told(desk))
        assert value in desk.window.tabs.inspect.toPlainText()


def test_a_number_of_the_weights_opens_too_and_every_opened_view_fits(desk):
    desk.window.do("every_number")
    desk.go("blocks.0.attn_out")
    opened(desk, "blocks.0.attn_out", (9, 2))
    page = desk.window.inspector.canvas.page
    weights = [c for c in page.cells if c.source and "W_O" in c.source.name]
    assert weights, "the column of W_O that made it"
    width = desk.window.inspector.canvas.viewport().width()
    assert all(c.rect.x + c.rect.w <= width for c in page.cells)


def test_every_tensor_is_checked_against_its_own_operands(desk):
    name = next(n for n, a in desk.window.actions_.items() if "heck" in a.text())
    desk.window.do(name)
    desk.settle()
    words = " ".join(told(desk))
    assert "blocks.1.mlp.pre" in words or str(len(desk.scene.trace.table)) in words
    desk.press(Qt.Key.Key_Escape, widget=desk.window.canvas)
    assert not desk.window.inspector.isVisible()


def test_lines_of_numpy_make_the_opened_number_again(desk, qapp, tmp_path, monkeypatch):
    desk.go("blocks.1.attn.pattern")
    opened(desk, "blocks.1.attn.pattern", (0, 7, 3))
    desk.window.inspection.copy_numpy()
    lines = qapp.clipboard().text()
    assert "import numpy" in lines
    desk.scene.trace.save(tmp_path / "trace.safetensors")
    monkeypatch.chdir(tmp_path)
    namespace, printed = {}, []
    pytest.importorskip("safetensors")
    exec(compile(lines, "copied", "exec"), {**namespace, "print": lambda *a: printed.extend(a)})
    value = float(desk.scene.trace["blocks.1.attn.pattern"][0, 7, 3])
    assert any(
        isinstance(v, float | np.floating) and float(v) == pytest.approx(value, rel=1e-4) for v in np.ravel(printed)
    )


def test_the_inspector_works_by_keyboard_alone(desk):
    desk.go("blocks.0.attn.pattern")
    desk.press(Qt.Key.Key_Return, widget=desk.window.canvas)
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Return):
        desk.press(key)
    assert desk.c.path[0].index == (0, 2, 1) and desk.window.inspector.isVisible()
    desk.press(Qt.Key.Key_Down)
    assert "at 3" in desk.readout().place, "the cursor goes on walking"
    desk.press(Qt.Key.Key_Escape)
    desk.press(Qt.Key.Key_Escape)
    assert not desk.window.inspector.isVisible()
    desk.press(Qt.Key.Key_Z, CTRL)
    assert desk.window.prompt.text() == "Hello, you", "opening numbers is nothing to undo"


def test_an_inspector_that_was_closed_comes_back_to_another_text_unharmed(desk):
    desk.go("blocks.0.attn.scores")
    opened(desk, "blocks.0.attn.scores", (0, 9, 9))
    inside = desk.window.inspector.canvas
    desk.press(Qt.Key.Key_Return, widget=inside)
    desk.press(Qt.Key.Key_Down)
    assert inside.has_cursor and inside.readout is not None
    desk.close_inspector()
    desk.write("ab")
    desk.window.resize(1500, 950)
    desk.settle()
    opened(desk, "blocks.0.attn.scores", (0, 1, 1))
    value = number(float(desk.scene.trace["blocks.0.attn.scores"][0, 1, 1]))
    assert any(value in words for words in told(desk))


def test_closing_the_arithmetic_puts_out_what_its_rows_lit(desk):
    desk.go("blocks.0.attn.pattern")
    cells = max(desk.window.canvas.page.cells, key=lambda c: c.rect.w)
    desk.click_canvas(cells.place(5, 2))
    desk.settle()
    inside = desk.window.inspector.canvas
    row = next(c for c in inside.page.cells if c.source is not None)
    desk.window.canvas.leave_cursor()  # as when the pointer moves to the inspector
    inside._point(row, 0, 0)
    assert any(desk.window.canvas.lit)
    desk.window.do("close_inspector")
    desk.settle()
    assert not any(desk.window.canvas.lit)


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_opening_a_cell_keeps_the_picture_as_large_and_the_cell_in_sight(open_desk, bundled, size):
    desk = open_desk(bundled, "The king gave the old man a red rose, and the old man gave the king a", size=size)
    desk.go("blocks.2.attn.pattern")
    canvas = desk.window.canvas

    def grid():
        return max((c for c in canvas.page.cells if c.source), key=lambda c: c.rect.w * c.rect.h)

    before = grid().rect
    desk.click_canvas(grid().place(12, 3))
    desk.settle()
    after = grid()
    assert desk.window.inspector.isVisible()
    assert (after.rect.w, after.rect.h) == pytest.approx((before.w, before.h))
    cell = after.place(12, 3)
    top = cell.y + canvas.origin.y()
    assert 0 <= top <= canvas.viewport().height() - cell.h, "what was clicked is in sight"
    desk.window.do("close_inspector")
    desk.settle()
    assert grid().rect == before


def test_the_link_to_the_evidence_of_a_head_leads_there(desk):
    desk.go("blocks.1.attn.pattern")
    opened(desk, "blocks.1.attn.pattern", (0, 6, 2))
    inside = desk.window.inspector.canvas
    (link,) = (pick for pick in inside.page.picks if isinstance(pick.asks, Evidence))
    inside.verticalScrollBar().setValue(int(link.rect.y) - 20)
    at = inside.origin
    desk.click(inside, link.rect.x + 5 + at.x(), link.rect.y + link.rect.h / 2 + at.y())
    desk.settle()
    assert desk.state.workspace == "evidence" and desk.state.layer == 1 and desk.state.view.evidence == "heads"


def test_a_number_opened_for_a_longer_text_that_is_taken_back_before_its_pass_does_no_harm(desk):
    """As by the stop of a story and undo: the shown text is the current one again, but lacks the opened number."""
    desk.c.set(replace(desk.state, text="Hello, you all", opened=(Cell("blocks.0.resid_pre", (12, 0)),)))
    desk.c.undo()
    assert desk.c.is_current and desk.c.path
    desk.window.resize(1800, 1000)  # redraws everything in larger type, before the event loop comes to the pass
    assert desk.window.appearance.scale > 1
    desk.settle()
    assert not desk.c.path and not desk.window.inspector.isVisible()
    assert desk.words() and not desk.trouble()


def test_when_the_first_pass_of_a_model_fails_nothing_of_the_model_before_is_shown_in_its_name(
    desk, other, monkeypatch
):
    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(Engine, "run", fails)
    desk.c.open_model(other)
    desk.settle()
    assert desk.c.model.folder == other and "not enough memory" in desk.trouble()
    assert desk.scene is None and not desk.words()
    monkeypatch.undo()
    desk.write("AB")
    assert desk.scene.checkpoint is desk.c.model.checkpoint and desk.words() and not desk.trouble()
