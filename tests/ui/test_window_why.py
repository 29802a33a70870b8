"""The "why" and "flow" workspaces in the window, by keyboard: unfolding, opening, choosing tokens, undo."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from desktop_app.core.views import why
from desktop_app.ui.dialogs.token_chooser import TokenChooser
from tests.ui.driver import CTRL, SHIFT

KEY = Qt.Key


def show(desk, key):
    desk.press(key, CTRL, desk.window.canvas)
    desk.settle()


def rows(desk):
    """The cells of the waterfall, and the numbers of its rows."""
    cells = next(c for c in desk.window.canvas.page.cells if c.source and c.source.name == why.CELLS)
    return cells, list(cells.source.rows)


def test_a_block_unfolds_and_a_part_of_it_opens_by_keyboard_alone(desk):
    desk.go("text")
    show(desk, KEY.Key_4)
    assert desk.c.step.key == "why"
    parts = len(desk.scene.made(why.want(desk.scene)).parts)
    desk.press(KEY.Key_Return)  # on the cell cursor in the waterfall
    _, codes = rows(desk)
    for _ in range(codes.index(parts + 1)):
        desk.press(KEY.Key_Down)
    assert desk.readout().name == "block 1"
    desk.press(KEY.Key_Return)
    desk.settle()
    assert desk.state.unfolded == (1,) and desk.c.path == ()
    assert desk.readout().name == "block 1"  # the cursor is where it was
    desk.press(KEY.Key_Down)
    desk.press(KEY.Key_Down)
    assert desk.readout().name == "blocks.1.attn.result.1"
    desk.press(KEY.Key_Return)
    desk.settle()
    assert desk.window.inspector.isVisible() and len(desk.c.path) == 1
    assert (desk.state.workspace, desk.state.step, desk.state.head) == ("why", "blocks.1.attn.pattern", 1)
    show(desk, KEY.Key_1)
    assert desk.c.step.key == "blocks.1.attn.pattern"


def test_a_click_while_a_pass_is_under_way_keeps_what_was_typed(desk):
    show(desk, KEY.Key_4)
    cells, _ = rows(desk)
    desk.type("!")
    desk.window.canvas.opened.emit(cells, 0, 0)
    desk.settle()
    assert desk.state.text == "Hello, you!"


def test_tokens_are_chosen_from_the_bars_and_from_a_dialog_and_undone(desk):
    bars = desk.window.probabilities.bars
    desk.press(KEY.Key_Down, widget=bars)
    first, second = (int(token) for token in desk.scene.ranked.order[:2])
    desk.press(KEY.Key_W)
    desk.settle()
    assert (desk.state.workspace, desk.state.target) == ("why", first)
    desk.press(KEY.Key_Down, widget=bars)
    desk.press(KEY.Key_W, SHIFT)
    desk.settle()
    assert desk.state.against == second
    quoted = desk.scene.tokenizer.quoted
    assert f"Why {quoted(first)} rather than {quoted(second)}" in desk.words()
    assert desk.window.actions_["why_against"].isChecked()

    desk.window.do("why_target")
    dialog = QApplication.activeModalWidget() or desk.window.findChild(TokenChooser)
    assert dialog.list.count() > 1
    desk.type("q", dialog.field)
    desk.press(KEY.Key_Return, widget=dialog.field)
    desk.settle()
    assert desk.scene.tokenizer.label(desk.state.target) == "q"
    desk.window.do("undo")
    desk.settle()
    assert desk.state.target == first
    desk.window.do("why_none")
    desk.settle()
    assert desk.state.against is None and f"Where the logit of {quoted(first)} comes from" in desk.words()


def test_the_flow_is_walked_with_the_cursor_and_its_lines_open(desk):
    show(desk, KEY.Key_6)
    assert desk.c.step.key == "flow"
    desk.press(KEY.Key_Return)
    desk.press(KEY.Key_Right)
    assert " ← " in desk.readout().name
    desk.press(KEY.Key_Return)
    desk.settle()
    (opened,) = desk.c.path
    assert opened.name == "flow.edge" and len(opened.index) == 4 and desk.window.inspector.isVisible()
    before = len(desk.scene.made(desk.c.step.spec.wants(desk.scene)[0]).kinds)
    desk.window.do("flow_10")
    desk.settle()
    assert len(desk.scene.made(desk.c.step.spec.wants(desk.scene)[0]).kinds) < before


def test_a_line_of_the_flow_is_found_by_the_pointer(desk):
    show(desk, KEY.Key_6)
    edges = next(c for c in desk.window.canvas.page.cells if c.source and c.source.name == "flow.edge")
    x0, y0, x1, y1 = edges.ends[0]
    desk.hover_canvas(x0 + 0.4 * (x1 - x0), y0 + 0.4 * (y1 - y0))
    assert " ← " in desk.readout().name
    desk.hover_canvas(edges.rect.x + 2, edges.rect.y + 2)
    assert desk.readout() is None
