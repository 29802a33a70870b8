"""Edits in the window: by right click, key, drag or typed text; shown as chips, compared, and kept in sessions."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QContextMenuEvent, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QPushButton

from desktop_app.core.opening.cells import Cell
from desktop_app.core.passes import OTHER
from desktop_app.core.prepared import pass_of
from desktop_app.core.session.fields import Change
from desktop_app.core.session.last_session import last_file
from desktop_app.core.session.session_file import load_session
from desktop_app.core.session.state import with_option
from desktop_app.figures.marks import Strands
from desktop_app.gpt2.edit import Cells, Edit, parse_edits
from desktop_app.ui.dialogs.line_dialog import LineDialog
from tests.ui.driver import ALT, CTRL, LEFT, NONE, SHIFT

PATTERN = "blocks.1.attn.pattern"


def cells_of(desk, name):
    """The largest grid of a tensor on the canvas; points of curves are cells too."""
    cells = (c for c in desk.window.canvas.page.cells if not isinstance(c, Strands))
    found = [c for c in cells if c.source is not None and c.source.written == name]
    return max(found, key=lambda c: c.rect.w * c.rect.h)


def middle(desk, name, row, column):
    place = cells_of(desk, name).place(row, column)
    return place.x + place.w / 2, place.y + place.h / 2


def right_click(desk, name, row, column):
    x, y = desk.to_canvas(*middle(desk, name, row, column))
    view = desk.window.canvas.viewport()
    point = QPoint(round(x), round(y))
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, point, view.mapToGlobal(point))
    QApplication.sendEvent(view, event)


def choose(desk, target, action):
    """Choose, in the open menu, the entry that begins with `target`, and in its submenu the one with `action`."""
    own = next(menu for menu in desk.window.acts.what_if.submenus if menu.title().startswith(target))
    next(a for a in own.actions() if a.text().startswith(action)).trigger()
    desk.window.acts.what_if.menu_shown.close()
    desk.settle()


def edits(desk):
    return [change.text for change in desk.state.edits if change.on]


def chip(desk, n=0):
    return desk.window.edits_bar.chips[n]


def test_a_right_click_mutes_a_head_and_every_view_shows_what_follows(desk):
    before = desk.scene.trace.logits(-1)
    desk.go(PATTERN)
    right_click(desk, PATTERN, 6, 2)
    choose(desk, "Head 0 of block 1", "Mute: 0")
    assert edits(desk) == ["blocks.1.attn.z[0]=0"]
    engine, ids = desk.c.model.engine, desk.scene.trace.ids
    expected = engine.trace(ids, edits=parse_edits(edits(desk), engine.config, len(ids)))
    assert np.allclose(desk.scene.trace.logits(-1), expected.logits(-1), atol=1e-5)
    assert "edited" in desk.words()
    assert desk.window.edits_bar.isVisible()
    assert chip(desk).text() == "blocks.1.attn.z[0]=0"
    # The bars show both values.
    probabilities = np.exp(before - before.max())
    probabilities /= probabilities.sum()
    for token, bar in desk.bars().items():
        assert bar.outline == pytest.approx(float(probabilities[token]), rel=1e-3)
    desk.window.do("undo")
    desk.settle()
    assert edits(desk) == []
    assert not desk.window.edits_bar.isVisible()
    assert np.array_equal(desk.scene.trace.logits(-1), before)


def test_a_sentence_that_nothing_can_be_edited_goes_when_something_can(desk):
    desk.go("tokens")
    desk.window.acts.what_if.menu(None, QPoint(5, 5))
    assert "Nothing shown here can be edited" in desk.notice()
    desk.go(PATTERN)
    right_click(desk, PATTERN, 6, 2)
    assert desk.notice() == ""
    choose(desk, "Head 0 of block 1", "Mute: 0")
    desk.go("tokens")
    desk.window.do("edit_zero")
    assert "nothing shown here can be edited" in desk.notice()
    desk.go("blocks.0.mlp.post")
    desk.window.do("edit_zero")
    assert desk.notice() == ""
    assert edits(desk)[-1] == "blocks.0.mlp.post=0"


def test_a_key_cuts_the_look_under_the_cell_cursor(desk):
    desk.go(PATTERN)
    canvas = desk.window.canvas
    desk.press(Qt.Key.Key_Return, NONE, canvas)
    for _ in range(3):
        desk.press(Qt.Key.Key_Down, NONE, canvas)
    desk.press(Qt.Key.Key_Right, NONE, canvas)
    desk.press(Qt.Key.Key_U, CTRL, canvas)
    desk.settle()
    assert edits(desk) == ["blocks.1.attn.scaled[0, 3, 1]=-inf"]
    assert desk.scene.trace.read(PATTERN, head=0)[3, 1] == 0


@pytest.mark.parametrize(
    ("name", "at", "target", "action", "expected"),
    [
        ("blocks.0.mlp.post", (4, 7), "Neuron 7 of block 0", "Mute: 0", "blocks.0.mlp.post[:, 7]=0"),
        ("blocks.0.resid_post", (2, 3), "Resid_pre of", "Mute: its mean", "blocks.1.resid_pre[2]=mean"),
        ("embed", (1, 3), "This number", "Mute: 0", "embed[1, 3]=0"),
    ],
)
def test_a_neuron_a_row_or_a_number_is_edited_where_it_is_shown(desk, name, at, target, action, expected):
    desk.window.do("every_number")
    desk.go(name)
    right_click(desk, name, *at)
    choose(desk, target, action)
    assert edits(desk) == [expected]
    assert desk.trouble() == ""


def asked(desk):
    """The open dialog and its fields."""
    (dialog,) = (d for d in desk.window.findChildren(LineDialog) if d.isVisible())
    return dialog, dialog.fields


def test_a_number_is_asked_for_and_a_bad_one_is_refused_with_a_sentence_while_the_dialog_stays(desk):
    desk.go("blocks.1.attn.z")
    right_click(desk, "blocks.1.attn.z", 2, 1)
    choose(desk, "Head 0 of block 1", "Scale")
    dialog, (field,) = asked(desk)
    assert "Head 0 of block 1" in [label.text() for label in dialog.findChildren(QLabel)]
    for typed, sentence in (("x", "'x', which is neither a number nor"), (" ", "Multiply it by is still empty.")):
        field.setText(typed)
        desk.press(Qt.Key.Key_Return, NONE, field)
        desk.settle()
        assert dialog.isVisible()
        assert sentence in dialog.refusal.text()
        assert dialog.refusal.isVisible()
        assert edits(desk) == []
    field.setText("0.25")
    desk.press(Qt.Key.Key_Return, NONE, field)
    desk.settle()
    assert edits(desk) == ["blocks.1.attn.z[0]*=0.25"]
    assert not [d for d in desk.window.findChildren(LineDialog) if d.isVisible()]


def test_buttons_of_a_dialog_carry_words_alone(desk):
    desk.window.do("edit_write")
    dialog, _ = asked(desk)
    assert all(button.text() and button.icon().isNull() for button in dialog.findChildren(QPushButton))


def test_a_bar_of_why_and_a_step_of_the_map_are_muted_by_a_right_click(desk):
    desk.window.do("workspace:why")
    desk.settle()
    desk.c.set(replace(desk.state, unfolded=(1,)))
    desk.settle()
    cells = cells_of(desk, "why.term")
    count = 0
    for row in range(cells.rows):
        right_click(desk, "why.term", row, 0)
        if any(menu.title() == "Head 2 of block 1" for menu in desk.window.acts.what_if.submenus):
            choose(desk, "Head 2 of block 1", "Mute: 0")
            count += 1
            break
        if desk.window.acts.what_if.menu_shown is not None:
            desk.window.acts.what_if.menu_shown.close()
    assert count == 1
    assert edits(desk) == ["blocks.1.attn.z[2]=0"]
    step = next(s for s in desk.c.steps if s.key == "blocks.0.mlp.post")
    desk.window.map.menu_asked.emit(step, False, QPoint(5, 5))
    choose(desk, "MLP of block 0", "Mute: 0")
    assert edits(desk) == ["blocks.1.attn.z[2]=0", "blocks.0.mlp.post=0"]


def test_chips_are_switched_widened_weighed_and_removed_by_keys(desk):
    desk.c.set(
        replace(desk.state, edits=(Change("blocks.1.attn.z[0, 3]=0"), Change("blocks.0.resid_pre+=2*tokens[65]")))
    )
    desk.settle()
    desk.press(Qt.Key.Key_K, CTRL, desk.window.canvas)
    assert chip(desk).hasFocus()
    desk.press(Qt.Key.Key_W)
    desk.settle()
    assert edits(desk)[0] == "blocks.1.attn.z[0]=0"
    desk.press(Qt.Key.Key_W)
    desk.settle()
    assert edits(desk)[0] == "blocks.1.attn.z[0, 9]=0"  # the selected token is the last
    desk.press(Qt.Key.Key_Space)
    desk.settle()
    assert edits(desk) == ["blocks.0.resid_pre+=2*tokens[65]"]
    assert not chip(desk).isChecked()
    desk.press(Qt.Key.Key_Right)
    assert chip(desk, 1).hasFocus()
    slider = desk.window.edits_bar.slider
    assert slider.isVisible()
    undos = len(desk.c.history._past)
    for value in (50, 60, 70):
        slider.setValue(value)
        desk.settle()
    assert edits(desk) == ["blocks.0.resid_pre+=3.5*tokens[65]"]
    assert len(desk.c.history._past) == undos + 1
    assert desk.window.edits_bar.weight.text() == "3.5"
    desk.press(Qt.Key.Key_Delete, NONE, chip(desk, 1))
    desk.settle()
    assert [change.text for change in desk.state.edits] == ["blocks.1.attn.z[0, 9]=0"]


def test_passes_are_shown_while_a_slider_moves_without_pause(desk, monkeypatch):
    desk.c.set(replace(desk.state, edits=(Change("blocks.0.resid_pre+=2*tokens[65]"),)))
    desk.settle()
    gate, shown, stopped = threading.Event(), [], []

    def slow(*arguments):
        work = pass_of(*arguments)

        def run(stop):
            gate.wait(60)
            stopped.append(stop.wanted)
            return work(stop)

        return run

    monkeypatch.setattr("desktop_app.ui.desks.scene_desk.pass_of", slow)
    desk.c.scenes.scene_changed.connect(lambda scene: shown.append(scene.trace.run.changes))
    slider, lane = desk.window.edits_bar.slider, desk.c.scenes.passes
    for value in (50, 60, 70):
        slider.setValue(value)
        desk.until(lambda: lane.busy)
        QTest.qWait(5)
    gate.set()
    desk.settle()
    # the first is shown though others were asked for meanwhile; of those, only the last is computed
    assert [changes[0] for changes in dict.fromkeys(shown)][-2:] == [
        "blocks.0.resid_pre+=2.5*tokens[65]",
        "blocks.0.resid_pre+=3.5*tokens[65]",
    ]
    assert stopped == [False, False]


def test_chips_without_room_are_counted_and_a_button_goes_through_them(desk):
    bar = desk.window.edits_bar
    desk.c.set(replace(desk.state, edits=(Change("blocks.1.attn.z[0, 3]=0"),)))
    desk.settle()
    assert not bar.more.isVisible()
    desk.c.set(replace(desk.state, edits=tuple(Change(f"blocks.1.attn.z[0, {n}]=0") for n in range(8))))
    desk.settle()
    assert bar.more.isVisible()

    def is_whole(one):
        left = bar._area.mapToGlobal(QPoint(0, 0)).x()
        x = one.mapToGlobal(QPoint(0, 0)).x()
        return left <= x and x + one.width() <= left + bar._area.width()

    assert bar.more.text() == f"+{sum(not is_whole(one) for one in bar.chips)}"
    seen = {one.text() for one in bar.chips if is_whole(one)}
    for _ in bar.chips:
        desk.click(bar.more, 4, 4)
        QApplication.processEvents()
        seen |= {one.text() for one in bar.chips if is_whole(one)}
    assert seen == set(edits(desk))
    desk.c.set(replace(desk.state, edits=()))
    desk.settle()
    assert not bar.isVisible()


def test_before_and_the_change_are_shown_while_a_key_is_held(desk):
    desk.go(PATTERN)
    top = desk.window.canvas.page.panels[0][1].y
    desk.c.set(replace(desk.state, edits=(Change("blocks.0.attn.z[1]=0"),)))
    desk.settle()
    assert desk.window.canvas.page.panels[0][1].y == top, "the badge is beside the title and takes no room"
    canvas = desk.window.canvas
    canvas.setFocus()
    for key, badge in ((Qt.Key.Key_B, "before the edits"), (Qt.Key.Key_D, "change by the edits")):
        QTest.keyPress(canvas, key)
        desk.settle()
        assert badge in desk.words()
        QTest.keyRelease(canvas, key)
        desk.settle()
        assert "edited" in desk.words()
    assert desk.state.view.compare == "after"
    desk.press(Qt.Key.Key_S, CTRL | SHIFT, canvas)
    desk.settle()
    assert {"after", "before", "after − before"} <= set(desk.words())


def test_the_map_shows_the_cone_of_what_can_have_changed(desk):
    desk.go(PATTERN)
    assert desk.window.map._cone is None
    desk.c.set(replace(desk.state, edits=(Change("blocks.0.mlp.post[4:, 2]=0"),)))
    desk.settle()
    cone = desk.window.map._cone
    changed = [step.key for step in desk.c.steps if cone.has(step)]
    assert changed[0] == "blocks.0.mlp.post"
    assert cone.position == 4
    trace, before = desk.scene.trace, desk.scene.before.trace
    for step in desk.c.steps:
        for name in step.tensors:
            if not cone.has(step):
                assert np.allclose(trace[name], before[name], atol=1e-6), name
            if name.endswith(("scores", "scaled")):
                continue  # before the mask, queries have scores with later keys, too
            rows = trace[name][:, :4] if trace.table[name].spec.per_head else trace[name][:4]
            was = before[name][:, :4] if trace.table[name].spec.per_head else before[name][:4]
            finite = np.isfinite(was)
            assert np.allclose(rows[finite], was[finite], atol=1e-5), name


def test_two_prompts_stand_side_by_side_and_a_row_is_dragged_from_one_to_the_other(desk):
    desk.window.do("every_number")
    desk.go("blocks.1.resid_mid")
    desk.c.set(replace(desk.state, other="Jello, you", view=replace(desk.state.view, compare="pair")))
    desk.settle()
    name = "blocks.1.resid_mid"
    assert {"this prompt", "other prompt", "this − other"} <= set(desk.words())
    view = desk.window.canvas.viewport()

    def send(kind, point, buttons):
        where = QPointF(*point)
        event = QMouseEvent(kind, where, QPointF(view.mapToGlobal(where)), LEFT, buttons, NONE)
        QApplication.sendEvent(view, event)

    bar = desk.window.canvas.verticalScrollBar()
    bar.setValue(0)
    origin = desk.window.canvas.origin
    a, b = middle(desk, f"other:{name}", 0, 2), middle(desk, name, 0, 2)
    send(QEvent.Type.MouseButtonPress, (a[0] + origin.x(), a[1] + origin.y()), LEFT)
    send(QEvent.Type.MouseMove, (b[0] + origin.x(), b[1] + origin.y()), LEFT)
    send(QEvent.Type.MouseButtonRelease, (b[0] + origin.x(), b[1] + origin.y()), Qt.MouseButton.NoButton)
    desk.settle()
    assert edits(desk) == [f"{name}[0]=other"]
    assert np.allclose(desk.scene.trace[name][0], desk.scene.other.trace[name][0])


def test_a_row_is_taken_up_and_put_by_keys(desk):
    desk.window.do("every_number")
    desk.go("blocks.1.resid_mid")
    desk.c.set(replace(desk.state, other="Jello, you two", view=replace(desk.state.view, compare="pair")))
    desk.settle()
    name = "blocks.1.resid_mid"
    canvas = desk.window.canvas
    canvas.setFocus()
    desk.c.open_path((Cell(name, (13, 0), OTHER),))
    desk.settle()
    desk.window.do("edit_take")
    assert "Copied" in desk.notice()
    desk.c.open_path((Cell(name, (9, 0)),))
    desk.settle()
    desk.window.do("edit_put")
    desk.settle()
    assert not desk.notice()
    assert edits(desk) == [f"{name}[9]=other[13]"]


def test_edits_that_have_no_place_in_a_text_wait_for_one_that_has(desk):
    desk.c.set(replace(desk.state, edits=(Change("blocks.1.attn.z[0, 8]=0"),)))
    desk.settle()
    assert "edited" in desk.words() or desk.scene.trace.run.changes
    desk.write("Hell")
    desk.settle()
    assert desk.trouble() == ""
    assert desk.scene.trace.run.changes == ()
    assert "pos 8 does not exist" in chip(desk).toolTip()
    desk.write("Hello, you")
    desk.settle()
    assert desk.scene.trace.run.changes == ("blocks.1.attn.z[0, 8]=0",)


def test_a_mask_is_written_and_shown_and_removed(desk):
    desk.go(PATTERN)
    desk.window.do("mask_write")
    dialog, (field,) = asked(desk)
    assert field.text() == "causal"
    field.setText("window:0")
    dialog.accept()
    assert dialog.isVisible()
    assert "window:0" in dialog.refusal.text()
    field.setText("window:2")
    dialog.accept()
    desk.settle()
    assert desk.state.mask == "window:2"
    pattern = desk.scene.trace.read(PATTERN, head=0)
    assert np.count_nonzero(pattern) == 2 * len(pattern) - 1
    assert chip(desk).text() == "mask window:2"
    desk.press(Qt.Key.Key_Delete, NONE, chip(desk))
    desk.settle()
    assert desk.state.mask == "causal"


def test_running_on_goes_on_with_the_edit(desk):
    desk.c.set(replace(desk.state.with_sampling(greedy=True), edits=(Change("blocks.0.resid_pre+=30*tokens[66]"),)))
    desk.settle()
    desk.c.run_on(3)
    desk.settle()
    engine, model = desk.c.model.engine, desk.c.model
    ids = list(model.tokenizer.encode("Hello, you").ids)
    for _ in range(3):
        direction = model.checkpoint.weights["embed.W_E"][66] * 30
        edit = Edit("blocks.0.resid_pre", ((0, None), (0, None)), 1, Cells.of(direction[None]))
        ids.append(int(engine.trace(ids, edits=(edit,)).logits(-1).argmax()))
    assert desk.scene.trace.ids == tuple(ids)


def test_an_edit_survives_closing_and_a_last_file(open_desk, tiny, tmp_path):
    desk = open_desk(tiny, "Hello, you")
    wanted = (Change("blocks.1.attn.z[0]=mean"), Change("embed*=2", on=False))
    desk.c.set(replace(desk.state, edits=wanted, mask="window:4", other="Jello, you"))
    desk.settle()
    logits = desk.scene.trace.logits(-1)
    desk.window.close()
    kept = load_session(last_file())
    assert (kept.edits, kept.mask, kept.other) == (wanted, "window:4", "Jello, you")
    raw = json.loads(last_file().read_text("utf-8"))["state"]["edits"]
    assert raw == [{"text": "blocks.1.attn.z[0]=mean", "on": True}, {"text": "embed*=2", "on": False}]
    again = open_desk(None, None, None)
    assert again.state.edits == wanted
    assert np.allclose(again.scene.trace.logits(-1), logits, atol=1e-5)


def test_a_kept_direction_steers_from_the_menu_of_a_row_and_its_chip_has_a_slider(desk):
    desk.window.do("every_number")
    desk.c.set(replace(desk.state, rulers=("tilt: 'a' - 'b'",)))
    desk.settle()
    name = "blocks.1.resid_pre"
    desk.go("blocks.0.resid_post")
    right_click(desk, "blocks.0.resid_post", 3, 2)
    choose(desk, "Resid_pre of", "Add tilt")
    expected = "blocks.1.resid_pre[3]+=4*direction[\"tilt: 'a' - 'b'\"]"
    assert edits(desk) == [expected]
    assert desk.window.edits_bar.slider.isVisible()
    desk.window.edits_bar.slider.setValue(-30)
    desk.settle()
    assert edits(desk) == [expected.replace("4*", "-1.5*")]
    rows = desk.c.model.checkpoint.weights["embed.W_E"]
    a, b = (desk.c.model.tokenizer.encode(text).ids[0] for text in "ab")
    change = desk.scene.trace[name] - desk.scene.before.trace[name]
    assert np.allclose(change[3], -1.5 * (rows[a] - rows[b]), atol=1e-4)


def test_a_direction_is_added_to_the_pass_from_its_workspace_by_a_key(desk):
    desk.window.do("workspace:directions")
    desk.settle()
    desk.c.set(with_option(desk.state, "direction", "'a' - 'b'"))
    desk.settle()
    desk.press(Qt.Key.Key_S, CTRL | ALT, desk.window.canvas)
    desk.settle()
    assert edits(desk) == [f"blocks.{desk.state.layer}.resid_pre+=4*direction[\"'a' - 'b'\"]"]
    assert chip(desk).isVisible()


@pytest.mark.parametrize(
    ("command", "given", "expected"),
    [
        ("edit_steer", [None, None, "good", "bad"], 'blocks.1.resid_pre+=2*prompts["good", "bad"]'),
        ("edit_edge", [None, None, "v", "0", "2"], "blocks.1.attn.v[1]+=edge[0, 2]"),
        ("edit_across", [None, ":2"], "blocks.1.attn.z[:2]=across"),
    ],
)
def test_what_takes_several_numbers_is_asked_for_in_a_dialog(desk, command, given, expected):
    desk.c.set(replace(desk.state, layer=1, head=1, step=PATTERN, other="Jello, you"))
    desk.settle()
    desk.window.do(command)
    _, fields = asked(desk)
    assert len(fields) == len(given)
    assert all(field.accessibleName() for field in fields)
    for field, text in zip(fields, given, strict=True):
        if text is not None:
            field.setText(text)
    desk.press(Qt.Key.Key_Return, NONE, fields[-1])
    desk.settle()
    assert edits(desk) == [expected]
    assert desk.scene.trace.run.changes == (expected,)


def test_edits_that_take_from_another_prompt_wait_while_there_is_none(desk):
    desk.c.set(replace(desk.state, other="Jello, you", edits=(Change("blocks.1.resid_pre[0]=other"),)))
    desk.settle()
    assert len(desk.scene.trace.run.changes) == 1
    desk.press(Qt.Key.Key_Delete, NONE, chip(desk, 1))
    desk.settle()
    assert desk.trouble() == ""
    assert desk.scene.trace.run.changes == ()
    assert "needs another prompt" in chip(desk).toolTip()
    desk.window.do("undo")
    desk.settle()
    assert len(desk.scene.trace.run.changes) == 1
