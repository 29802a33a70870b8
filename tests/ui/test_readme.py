"""README's list of things to try first, in the real window: what each line says happens."""

import re
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from desktop_app.core.asking.intents import Append
from desktop_app.core.lessons.examples import examples
from desktop_app.core.lessons.stories import can_be_told, shipped
from desktop_app.ui.dialogs.export_dialog import ExportDialog
from tests.ui.driver import CTRL, SHIFT

KEY = Qt.Key
README = Path(__file__).resolve().parent.parent.parent / "README.md"


def lines():
    """The numbered things to try, each as one line."""
    text = README.read_text(encoding="utf-8").split("## What to try first")[1].split("\n## ")[0]
    return [" ".join(item.split()) for item in re.split(r"\n\d+\. ", f"\n{text.strip()}")[1:]]


@pytest.fixture
def first(open_desk, bundled):
    """The window at a first start: the first example on the bundled model."""
    desk = open_desk(bundled, examples()[0].state.text)
    desk.window.open_example(examples()[0])
    desk.settle()
    return desk


def total_bars(desk):
    return {token: bar.value for token, bar in desk.bars().items()}


def test_1_page_down_and_the_right_arrow_walk_and_shift_jumps_a_block(first):
    first.go("blocks.0.attn.pattern")
    places = [first.state.step]
    for key, modifiers in (
        (KEY.Key_PageDown, Qt.KeyboardModifier.NoModifier),
        (KEY.Key_Right, Qt.KeyboardModifier.NoModifier),
    ):
        first.press(key, modifiers, first.window.canvas)
        first.settle()
        places.append(first.state.step)
    assert places == ["blocks.0.attn.pattern", "blocks.0.attn.z", "blocks.0.attn.concat"]
    first.press(KEY.Key_Right, SHIFT, first.window.canvas)
    first.settle()
    assert first.state.step == "blocks.1.attn.concat"


def test_2_the_down_arrow_takes_the_next_head_and_a_chip_is_the_query(first):
    first.go("blocks.5.attn.pattern")
    head = first.state.head
    first.press(KEY.Key_Down, widget=first.window.canvas)
    first.settle()
    assert first.state.head == (head + 1) % 10
    chip = first.window.chips
    chip.chosen.emit(5)
    first.settle()
    assert first.scene.token == 5


def test_3_views_follow_typing_and_only_what_changed_is_computed(first):
    first.press(KEY.Key_End, widget=first.window.prompt)
    first.type(" bird")
    first.settle()
    count = len(first.scene.trace)
    assert first.scene.trace.ids == first.scene.tokenizer.encode(examples()[0].state.text + " bird").ids
    assert first.scene.trace.computed < count


def test_4_temperature_moves_the_bars_and_their_cut_line(first):
    shares, kept = [], []
    for value in (1.0, 4.0):
        first.c.set(first.state.with_sampling(temperature=value))
        first.settle()
        shares.append(max(total_bars(first).values()))
        kept.append(first.scene.stages.n_kept)
    assert shares[0] > shares[1] and kept[0] < kept[1]


def test_5_append_and_a_bar_add_a_token_and_compute_one_position(first):
    count = len(first.scene.trace)
    first.window.do("append")
    first.settle()
    assert (len(first.scene.trace), first.scene.trace.computed) == (count + 1, 1)
    token = next(iter(first.bars()))
    first.c.follow(Append(token)) if hasattr(first.c, "follow") else first.window.acts.follow(Append(token))
    first.settle()
    assert first.scene.trace.ids[-1] == token and first.scene.trace.computed == 1


@pytest.mark.parametrize("where", ["canvas", "search"])
def test_6_one_undo_takes_a_run_back_wherever_the_focus_is(first, where):
    count = len(first.scene.trace)
    first.window.probabilities.run.click()
    first.until(lambda: len(first.scene.trace) >= count + 4)
    first.settle()
    if where == "search":
        first.window.probabilities.find_button.click()
    widget = first.window.canvas if where == "canvas" else first.window.probabilities.search
    first.press(KEY.Key_Z, CTRL, widget)
    first.settle()
    assert len(first.scene.trace) == count


def test_7_a_cell_opens_to_its_arithmetic_and_escape_closes_it(first):
    first.go("blocks.5.attn.pattern")
    page = first.window.canvas.page
    grid = max((c for c in page.cells if c.source is not None), key=lambda c: c.rect.w * c.rect.h)
    first.click_canvas(grid.place(13, 3))
    first.settle()
    assert first.state.opened and first.state.opened[-1].name == "blocks.5.attn.pattern"
    first.press(KEY.Key_Escape, widget=first.window.canvas)
    first.settle()
    assert not first.state.opened


def test_8_find_tells_the_rank_of_paris_and_enter_pins_it(first):
    panel = first.window.probabilities
    panel.find_button.click()
    box = QApplication.focusWidget()
    first.type(" Paris", box)
    first.settle()
    token = first.scene.tokenizer.encode(" Paris").ids[0]
    rank = first.scene.ranked.rank_of(token) + 1
    said = " ".join(label.text() for label in panel.findChildren(type(first.window.trouble)) if label.isVisible())
    assert f"rank {rank:,}" in said
    first.press(KEY.Key_Return, widget=box)
    first.settle()
    assert first.state.pinned == (token,) and token in first.bars()


def test_9_shift_and_a_chip_show_what_was_expected_after_it(first):
    first.window.chips.position_chosen.emit(3)
    first.settle()
    logits = np.asarray(first.scene.trace.logits(3))
    assert first.scene.position == 3 and int(first.scene.ranked.order[0]) == int(logits.argmax())


def test_10_ctrl_e_exports_and_ctrl_shift_e_makes_a_lecture(first):
    first.press(KEY.Key_E, CTRL, first.window.canvas)
    (dialog,) = first.window.findChildren(ExportDialog)
    assert [dialog.kind.itemData(n) for n in range(dialog.kind.count())] == ["svg", "pdf", "png"]
    dialog.reject()
    first.press(KEY.Key_E, CTRL | SHIFT, first.window.canvas)
    deck = first.window.files.decks.dialog
    assert deck is not None and deck.steps.currentData() == "lecture"
    deck.reject()


def test_11_keys_lead_to_what_they_are_said_to(first):
    places = {KEY.Key_4: "why", KEY.Key_5: "look", KEY.Key_2: "heads", KEY.Key_3: "lens", KEY.Key_6: "flow"}
    places |= {KEY.Key_7: "circuits", KEY.Key_9: "directions", KEY.Key_1: "walk"}
    for key, place in places.items():
        first.press(key, CTRL, first.window.canvas)
        assert first.state.workspace == place


def test_12_f11_is_for_a_room_and_b_makes_it_black(first):
    first.press(KEY.Key_F11, widget=first.window.canvas)
    first.settle()
    assert first.window.isFullScreen()
    first.press(KEY.Key_B)
    first.press(KEY.Key_B)
    first.press(KEY.Key_F11)
    first.settle()
    assert not first.window.isFullScreen()


def test_13_lectures_ship_and_ctrl_h_covers_a_view(first):
    titles = [action.text() for action in first.window.examples.menu().actions()]
    told = [story for story in shipped().values() if can_be_told(story)]
    assert all(any(title.startswith(story.title) for title in titles) for story in told)
    assert sum(story.is_lecture for story in told) >= 3
    first.press(KEY.Key_H, CTRL, first.window.canvas)
    first.settle()
    assert first.window.telling.covering


def test_every_line_is_tried_here():
    tried = [int(name.split("_")[1]) for name in globals() if re.match(r"test_\d+_", name)]
    assert tried == list(range(1, len(lines()) + 1))
