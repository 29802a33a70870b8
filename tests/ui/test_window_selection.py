"""The readout under the pointer, selection by click, and the cell cursor: always the trace's own numbers."""

import re

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from desktop_app.core.asking.intents import GoTo, Select, ShowHead
from desktop_app.core.levels import number
from desktop_app.figures.marks import Words
from tests.ui.driver import CTRL, RIGHT, SHIFT, pixels


def index_of(readout, tensor):
    """The index that a readout names, by the tensor's axes; None if an axis is named only by text."""
    words = readout.place
    index = []
    for axis in tensor.axes:
        word = {"pos": "token", "d_mlp": "neuron", "one": None, "d_vocab": None}.get(axis, axis)
        if axis == "one":
            index.append(0)
            continue
        pattern = {
            "pos": r"token .*? at (\d+)",
            "query": r"query .*? at (\d+)",
            "key": r"key .*? at (\d+)",
            "head": r"head (\d+)",
            "d_mlp": r"neuron (\d+)",
        }.get(axis, r"dimension (\d+)")
        found = re.search(pattern, words)
        if found is None:
            return None
        index.append(int(found[1]))
        assert word is not None
    return tuple(index)


def samples(cells):
    """Some cells of a picture: corners, the middle, and some in between."""
    if cells.stride is not None:
        count = min(cells.values.shape[-1], cells.start + cells.rows * cells.stride) - cells.start
        offsets = sorted({0, 1, count // 3, count // 2, count - 1} & set(range(count)))
        return [(0, cells.start + n) for n in offsets]
    rows = {0, cells.rows // 2, cells.rows - 1}
    columns = {0, cells.columns // 3, cells.columns - 1}
    return [(r, c) for r in rows for c in columns]


def test_hovering_says_the_traces_own_number_at_every_step(desk):
    desk.window.do("every_number")
    checked = 0
    for step in desk.c.steps:
        desk.go(step.key)
        for cells in desk.window.canvas.page.cells:
            for row, column in samples(cells):
                place = cells.place(row, column)
                if min(place.w, place.h) < 2:
                    continue  # pooled: the readout is that of the strongest of several cells
                desk.hover_canvas(place.x + place.w / 2, place.y + place.h / 2)
                readout = desk.readout()
                assert readout is not None, f"{step.key}: nothing said at {row}, {column} of {cells.label}"
                painted = float(np.reshape(cells.values[row] if cells.values.ndim > 1 else cells.values, -1)[column])
                if cells.source is None:
                    assert readout.value == number(painted)
                    continue
                table = desk.scene.trace.table
                if readout.name not in table:
                    continue
                index = index_of(readout, table[readout.name])
                if index is None:
                    continue
                value = float(desk.scene.trace[readout.name][index])
                assert readout.value == number(value), f"{step.key}: {readout.name}{index}"
                assert np.isnan(painted) or painted == pytest.approx(value, rel=1e-6), (
                    f"{step.key}: {readout.name}{index} is said of a cell that shows another number"
                )
                checked += 1
    assert checked > 1000


def test_hovering_a_pattern_names_its_query_and_key(desk):
    desk.go("blocks.1.attn.pattern")
    cells = max(desk.window.canvas.page.cells, key=lambda c: c.rect.w)
    n = len(desk.scene.trace)
    # The grid by hand: row q is the query, column k the key, from the upper left corner.
    q, k = 6, 2
    desk.hover_canvas(cells.rect.x + (k + 0.5) * cells.rect.w / n, cells.rect.y + (q + 0.5) * cells.rect.h / n)
    readout = desk.readout()
    assert readout.name == "blocks.1.attn.pattern"
    assert readout.place == "head 0, query '·' at 6, key 'l' at 2"
    assert readout.value == number(float(desk.scene.trace["blocks.1.attn.pattern"][0, q, k]))
    desk.hover_canvas(2, 2)
    assert desk.readout() is None


def test_the_words_under_the_pointer_are_drawn_and_stay_inside_the_view(desk):
    desk.window.resize(1500, 1060)  # all grids are visible, so that no word is cut off where a cell is highlighted
    desk.settle()
    desk.go("blocks.0.attn.pattern")
    cells = max(desk.window.canvas.page.cells, key=lambda c: c.rect.w)
    plain = pixels(desk.window.canvas.viewport())
    for x, y in ((1, 1), (cells.rect.w - 1, 1), (1, cells.rect.h - 1), (cells.rect.w - 1, cells.rect.h - 1)):
        desk.hover_canvas(cells.rect.x + x, cells.rect.y + y)
        changed = np.argwhere((pixels(desk.window.canvas.viewport()) != plain).any(2))
        assert len(changed) > 2000
        low, high = changed.min(0), changed.max(0)
        assert (low > 0).all() and (high < np.array(plain.shape[:2]) - 1).all(), "the words are cut off"


def test_a_click_on_a_head_chooses_it_everywhere_and_nothing_else(desk):
    desk.go("blocks.1.attn.pattern")
    desk.click_canvas(desk.pick(ShowHead(2)).rect)
    assert desk.state.head == 2 and desk.scene.head == 2
    assert desk.c.step.key == "blocks.1.attn.pattern"
    assert "Block 1 · Head 2" in " ".join(desk.words())
    assert not desk.c.path, "choosing a head opens no number"
    large = max(desk.window.canvas.page.cells, key=lambda c: c.rect.w)
    assert np.array_equal(large.values[-1], desk.scene.trace["blocks.1.attn.pattern"][2, -1])
    desk.go("blocks.1.attn.heads")
    assert any("head 2" in w for w in desk.words())


def test_a_click_on_a_stage_goes_to_it(desk):
    desk.go("blocks.1.attn.pattern")
    for op in ("scores", "masked", "scaled", "pattern"):
        desk.click_canvas(desk.pick(GoTo(f"blocks.*.attn.{op}")).rect)
        assert desk.c.step.key == f"blocks.1.attn.{op}" and not desk.c.path


def test_a_click_on_a_cell_opens_it_and_goes_nowhere(desk):
    desk.go("blocks.1.attn.pattern")
    for q, k in ((5, 1), (7, 7), (9, 0)):
        cells = max(desk.window.canvas.page.cells, key=lambda c: c.rect.w)
        before = desk.state
        desk.click_canvas(cells.place(q, k))
        assert (desk.state.step, desk.state.head, desk.state.token) == (before.step, before.head, before.token)
        (cell,) = desk.c.path
        assert (cell.name, cell.index) == ("blocks.1.attn.pattern", (0, q, k))
        assert desk.window.inspector.isVisible()
        value = number(float(desk.scene.trace[cell.name][cell.index]))
        assert value in desk.window.tabs.inspect.toPlainText()


def test_an_opened_cell_stays_in_sight_and_its_mark_on_it(desk):
    desk.window.resize(1280, 720)
    desk.settle()
    desk.go("blocks.1.attn.pattern")
    canvas = desk.window.canvas
    desk.click_canvas(max(canvas.page.cells, key=lambda c: c.rect.w).place(8, 3))
    desk.settle()
    cells, row, column = canvas._at
    assert any(cells is shown for shown in canvas.page.cells), "the mark is where the cell was before"
    assert (row, column) == (8, 3)
    place = cells.place(row, column)
    top = place.y + canvas.origin.y()
    assert top >= 0 and top + place.h <= canvas.viewport().height()
    picture = pixels(canvas.viewport())
    x = place.x + place.w / 2 + canvas.origin.x()
    accent = desk.window.theme.accent.lstrip("#")
    edge = picture[round(top) - 4 : round(top) + 3, round(x)].astype(int)
    assert np.abs(edge - [int(accent[n : n + 2], 16) for n in (0, 2, 4)]).sum(1).min() < 40


def test_a_click_on_a_row_label_chooses_the_token_everywhere(desk):
    desk.window.do("every_number")
    desk.go("blocks.0.attn.pattern")
    rect = desk.pick(Select).rect
    for token in (3, 0, 9):
        desk.click(
            desk.window.canvas, *desk.to_canvas(rect.x + rect.w / 2, rect.y + (token + 0.5) * rect.h / 10)
        )  # fmt: skip
        assert desk.state.token == token and desk.scene.token == token
    desk.go("blocks.0.ln1")
    assert any("at 9" in w for w in desk.words())


def chip_centre(desk, n):
    left, width = desk.window.chips._edges[n]
    return left + width / 2 + 16 - desk.window.chips.horizontalScrollBar().value(), 20


def test_a_click_on_a_chip_chooses_the_token_everywhere(desk):
    desk.window.do("every_number")
    desk.go("blocks.0.ln1")
    for token in (2, 7):
        desk.click(desk.window.chips, *chip_centre(desk, token))
        assert desk.scene.token == token
        name = f"{desk.scene.tokenizer.quoted(desk.scene.trace.ids[token])} at {token}"
        assert any(name in w for w in desk.words())
    picture = pixels(desk.window.chips.viewport())
    fill = desk.window.theme.accent_fill.lstrip("#")
    accent = tuple(int(fill[n : n + 2], 16) for n in (0, 2, 4))
    lit = [n for n in range(10) if tuple(picture[12, round(chip_centre(desk, n)[0])]) == accent]
    assert lit == [7]


def test_arrows_walk_the_chips(desk):
    chips = desk.window.chips
    desk.click(chips, *chip_centre(desk, 4))
    desk.press(Qt.Key.Key_Right, widget=chips)
    assert desk.scene.token == 5
    for _ in range(12):
        desk.press(Qt.Key.Key_Left)
    assert desk.scene.token == 0
    for _ in range(12):
        desk.press(Qt.Key.Key_Right)
    assert desk.scene.token == 9


def expected(desk, position):
    """Softmax of the logits after a position, in float64."""
    logits = desk.scene.trace["logits"][position].astype(np.float64)
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def test_the_bars_are_those_of_any_position(desk):
    desk.c.set(desk.state.with_sampling(temperature=1.0, top_k=0, top_p=1.0))
    for position, how in ((4, "shift"), (0, "right"), (9, "shift")):
        x, y = chip_centre(desk, position)
        if how == "shift":
            desk.click(desk.window.chips, x, y, SHIFT)
        else:
            desk.click(desk.window.chips, x, y, button=RIGHT)
        assert desk.scene.position == position
        truth = expected(desk, position)
        shown = desk.bars()
        assert next(iter(shown)) == int(truth.argmax())
        for token, bar in shown.items():
            assert bar.value == pytest.approx(truth[token], rel=1e-5)
    assert desk.state.position is None, "the last position is followed, not fixed"


def test_back_to_the_last_position(desk):
    desk.click(desk.window.chips, *chip_centre(desk, 3), SHIFT)
    assert desk.window.probabilities.to_last.isVisible()
    desk.window.probabilities.to_last.click()
    assert desk.scene.position == 9 and not desk.window.probabilities.to_last.isVisible()


def test_the_cursor_walks_cell_by_cell_and_reads_each(desk):
    canvas = desk.window.canvas
    desk.go("blocks.1.attn.pattern")
    desk.press(Qt.Key.Key_Return, widget=canvas)
    assert canvas.has_cursor
    values = desk.scene.trace["blocks.1.attn.pattern"][0]

    def at():
        return tuple(int(n) for n in re.findall(r" at (\d+)", desk.readout().place))

    assert at() == (0, 0)
    moves = {Qt.Key.Key_Down: (1, 0), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Left: (0, -1)}
    where = np.array([0, 0])
    for key in [*[Qt.Key.Key_Down] * 11, *[Qt.Key.Key_Right] * 4, Qt.Key.Key_Up, *[Qt.Key.Key_Left] * 6]:
        desk.press(key)
        where = np.clip(where + moves[key], 0, 9)
        assert at() == tuple(where)
        assert desk.readout().value == number(float(values[tuple(where)]))
        assert desk.c.step.key == "blocks.1.attn.pattern", "arrows move the cursor, not the step"
    desk.press(Qt.Key.Key_Return)
    assert desk.c.path[0].index == (0, *where)
    desk.press(Qt.Key.Key_Escape)
    assert not canvas.has_cursor and desk.readout() is None
    desk.press(Qt.Key.Key_Right)
    assert desk.c.step.key == "blocks.1.attn.z"


def test_the_cursor_stays_inside_its_picture_at_every_step(desk):
    canvas = desk.window.canvas
    for step in desk.c.steps[: 5 + 16]:
        desk.go(step.key)
        if not canvas.page.cells:
            continue
        desk.press(Qt.Key.Key_Return, widget=canvas)
        seen = set()
        for key in (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Up):
            for _ in range(30):
                desk.press(key)
                cells, row, column = canvas._at
                place, box = cells.place(row, column), cells.rect
                assert box.x - 0.01 <= place.x and place.x + place.w <= box.x + box.w + 0.01, f"{step.key}: {column}"
                assert box.y - 0.01 <= place.y and place.y + place.h <= box.y + box.h + 0.01, f"{step.key}: {row}"
                seen.add((id(cells), row, column))
        assert len(seen) > 3
        desk.press(Qt.Key.Key_Escape)


def test_tab_goes_through_the_pictures_and_leaves_none_out(desk):
    canvas = desk.window.canvas
    desk.go("blocks.0.attn.pattern")
    count = len(canvas.page.cells)
    desk.press(Qt.Key.Key_Return, widget=canvas)

    def at():
        return next(n for n, cells in enumerate(canvas.page.cells) if cells is canvas._cursor.at[0])

    first, seen = at(), []
    for _ in range(count):
        desk.press(Qt.Key.Key_Tab)
        seen.append(at())
    assert sorted(seen) == list(range(count)) and seen[-1] == first
    desk.press(Qt.Key.Key_Backtab, SHIFT)
    assert at() == (first - 1) % count
    assert canvas.hasFocus()
    desk.press(Qt.Key.Key_Escape)
    desk.press(Qt.Key.Key_Tab)
    assert not canvas.hasFocus(), "without a cursor Tab goes on to the next pane"


def test_ctrl_and_the_wheel_enlarge_the_view_and_numbers_stay_right(desk):
    desk.go("blocks.0.attn.pattern")
    canvas = desk.window.canvas
    before = max(c.rect.w for c in canvas.page.cells)

    def wheel(delta):
        event = QWheelEvent(
            QPointF(50, 50), canvas.mapToGlobal(QPointF(50, 50)), QPoint(), QPoint(0, delta),
            Qt.MouseButton.NoButton, CTRL, Qt.ScrollPhase.NoScrollPhase, False
        )  # fmt: skip
        QApplication.sendEvent(canvas.viewport(), event)

    for _ in range(3):
        wheel(120)
    cells = max(canvas.page.cells, key=lambda c: c.rect.w)
    assert cells.rect.w > 1.3 * before
    place = cells.place(9, 4)
    desk.hover_canvas(place.x + place.w / 2, place.y + place.h / 2)
    assert desk.readout().place == "head 0, query 'u' at 9, key 'o' at 4"
    for _ in range(3):
        wheel(-120)
    desk.settle()  # scroll bars that are no longer needed disappear
    assert max(c.rect.w for c in canvas.page.cells) == before


def test_no_number_of_the_prompt_before_stays_in_the_inspector(desk):
    desk.go("blocks.0.attn.pattern")
    cells = max(desk.window.canvas.page.cells, key=lambda c: c.rect.w)
    desk.click_canvas(cells.place(4, 4))

    def told():
        value = number(float(desk.scene.trace["blocks.0.attn.pattern"][0, 4, 4]))
        return value in desk.window.tabs.inspect.toPlainText() and any(value in w for w in opened())

    def opened():
        return [m.text for m in desk.window.inspector.canvas.page.marks if isinstance(m, Words)]

    assert told() and "'o'" in desk.window.tabs.inspect.toPlainText()
    desk.write("Quite another text")
    assert told() and "'e'" in desk.window.tabs.inspect.toPlainText()
    desk.write("ab")
    assert not desk.c.path and not desk.window.inspector.isVisible()
    assert "blocks.0" not in desk.window.tabs.inspect.toPlainText()


def test_escape_closes_the_opened_number(desk):
    desk.window.do("every_number")
    desk.go("blocks.0.ln1")
    cells = next(c for c in desk.window.canvas.page.cells if c.stride is not None)
    desk.click_canvas(cells.place(*samples(cells)[1]))
    assert desk.window.inspector.isVisible()
    desk.press(Qt.Key.Key_Escape, widget=desk.window.canvas)
    assert not desk.window.inspector.isVisible() and not desk.c.path
