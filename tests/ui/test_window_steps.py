"""Every step of the model is drawn from the trace, and every command for going to a step leads there."""

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from desktop_app.core.panels import Box
from desktop_app.core.program import bundle
from desktop_app.core.steps import build_view
from desktop_app.figures.marks import Heat
from desktop_app.ui.acts import Acts
from tests.ui.driver import ALT, CTRL, SHIFT, colours, pixels


def panels(box):
    for child in box.children:
        yield from panels(child) if isinstance(child, Box) else [child]


def test_every_step_is_drawn_with_its_title_and_no_empty_panel(desk):
    desk.window.do("every_number")
    desk.press(Qt.Key.Key_Home, CTRL, desk.window.canvas)
    steps = desk.c.steps
    assert len(steps) == 5 + 2 * 16 + 8
    pictures = []
    for n, step in enumerate(steps):
        assert desk.c.step is step, f"step {n}"
        view = build_view(desk.scene, step)
        assert view.title in desk.words(), f"{step.key}: the headline is cut or missing"
        picture = pixels(desk.window.canvas)
        assert colours(picture) > 20, f"{step.key} is blank"
        for panel in panels(view.content):
            assert not panel.title or any(panel.title[:8] in w for w in desk.words()), f"{step.key}: {panel.title}"
        for mark in desk.window.canvas.page.marks:
            if isinstance(mark, Heat):
                assert mark.rect.w >= 4 and mark.rect.h >= 4 and np.isfinite(mark.fractions).any(), step.key
        assert f"{n + 1} of {len(steps)}" == desk.window.scrubber.place.text()
        assert step.text.name.lower() in desk.window.scrubber.name.text()
        assert step.text.explain.split()[0] in desk.window.tabs.explain.toPlainText()
        pictures.append(picture.tobytes())
        desk.press(Qt.Key.Key_PageDown)
    assert len(set(pictures)) == len(steps), "two steps look the same"
    assert desk.c.step is steps[-1], "the last step is the end"


@pytest.mark.parametrize("op", ["scores", "scaled", "masked", "pattern"])
def test_the_colour_of_each_cell_of_the_large_grid_is_that_of_its_number(desk, op):
    desk.go(f"blocks.1.attn.{op}")
    desk.c.go_head(2)
    name = f"blocks.1.attn.{op}"
    values = desk.scene.trace.read(name, head=2)
    cells = max((c for c in desk.window.canvas.page.cells), key=lambda c: c.rect.w)
    assert cells.source.name == name
    picture = pixels(desk.window.canvas.viewport()).astype(int)
    origin = desk.window.canvas.origin
    table = np.array(desk.window.theme.table(op != "pattern"), int)[:, :3]
    seen, numbers = [], []
    for q in range(len(values)):
        for k in range(q + 1):
            place = cells.place(q, k)
            # Beside the number that is written in the middle, inside the outline of the selected row.
            x, y = place.x + place.w * 0.5 + origin.x(), place.y + place.h - 4 + origin.y()
            distance = np.abs(table - picture[int(y), int(x)]).sum(1)
            assert distance.min() <= 2, "a colour that the scale does not have"
            seen.append(int(distance.argmin()))
            numbers.append(float(values[q, k]))
    seen, numbers = np.array(seen), np.array(numbers)
    if op == "pattern":
        assert np.abs(seen - numbers * 255).max() <= 2
    else:
        # Colours change monotonically, with zero in the middle and the end colours beyond the limits.
        assert np.diff(seen[np.argsort(numbers)]).min() >= -1
        assert np.all((seen > 128) == (numbers > 0)) or np.abs(numbers[(seen > 128) != (numbers > 0)]).max() < 0.02
        assert seen.min() < 5 or seen.max() > 250


def key_walk(desk, key, modifiers, widget, count):
    places = []
    for _ in range(count):
        desk.press(key, modifiers, widget)
        places.append(desk.c.step.key)
    return places


def test_arrows_in_the_view_go_by_operation_block_and_head(desk):
    canvas = desk.window.canvas
    desk.go("blocks.0.attn.pattern")
    assert key_walk(desk, Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier, canvas, 2) == [
        "blocks.0.attn.z",
        "blocks.0.attn.concat",
    ]
    desk.press(Qt.Key.Key_Left)
    assert desk.c.step.key == "blocks.0.attn.z"
    desk.press(Qt.Key.Key_Right, SHIFT)
    assert desk.c.step.key == "blocks.1.attn.z" and desk.state.layer == 1
    desk.press(Qt.Key.Key_Right, SHIFT)
    assert desk.c.step.key == "ln_final"
    desk.press(Qt.Key.Key_Left, SHIFT)
    assert desk.state.layer == 1
    desk.press(Qt.Key.Key_Left, SHIFT)
    desk.press(Qt.Key.Key_Left, SHIFT)
    assert desk.c.step.layer is None
    desk.go("blocks.0.attn.pattern")
    heads = []
    for _ in range(4):
        desk.press(Qt.Key.Key_Down)
        heads.append(desk.scene.head)
        assert f"Head {desk.scene.head}" in " ".join(desk.words())
    assert heads == [1, 2, 0, 1]
    desk.press(Qt.Key.Key_Up)
    assert desk.scene.head == 0


@pytest.mark.parametrize("place", ["prompt", "canvas", "map", "chips", "probabilities"])
def test_page_keys_step_from_anywhere(desk, place):
    desk.window.do("find_token")
    widget = getattr(desk.window, place)
    widget = getattr(widget, "search", widget)
    at = desk.c.step.index
    desk.press(Qt.Key.Key_PageDown, widget=widget)
    assert desk.c.step.index == at + 1
    desk.press(Qt.Key.Key_PageDown, CTRL, widget)
    assert desk.state.layer == 1 or desk.c.step.layer is not None
    desk.press(Qt.Key.Key_PageUp, CTRL, widget)
    desk.press(Qt.Key.Key_PageUp, widget=widget)
    assert desk.window.prompt.text() == "Hello, you"


@pytest.mark.parametrize("spin", ["_temperature", "_top_k", "temperature", "top_p", "seed"])
def test_page_keys_step_from_the_sampling_controls_too(desk, spin):
    desk.go("blocks.0.ln1")
    before = desk.state.sampling
    desk.press(Qt.Key.Key_PageDown, widget=getattr(desk.window.probabilities.controls, spin))
    assert desk.c.step.key == "blocks.0.attn.qkv"
    assert desk.state.sampling == before


def test_each_row_of_the_map_leads_to_its_step(desk):
    for layer in (0, 1):
        desk.go(f"blocks.{layer}.ln1")
        items = [i for i in desk.window.map._items if not i.block]
        assert {i.step.layer for i in items} == {None, layer}
        assert [i.step.index for i in items] == sorted(i.step.index for i in items)
        for n in range(len(items)):
            item = [i for i in desk.window.map._items if not i.block][n]
            area = desk.window.map
            area.verticalScrollBar().setValue(int(item.rect.y) - 50)
            y = item.rect.y + item.rect.h / 2 - area.verticalScrollBar().value()
            desk.click(area, item.rect.x + 60, y)
            assert desk.c.step is item.step
            if item.step.layer is None:
                desk.go(f"blocks.{layer}.ln1")


def test_the_map_lights_the_current_step(desk):
    desk.go("blocks.1.mlp.post")
    items = {i.step.key: i.rect for i in desk.window.map._items if not i.block}
    picture = pixels(desk.window.map.viewport()).astype(int)
    shift = desk.window.map.verticalScrollBar().value()

    def ground(rect):
        return picture[int(rect.y + 3 - shift), int(rect.x + rect.w - 8)]

    lit, plain = items["blocks.1.mlp.post"], items["blocks.1.mlp.pre"]
    accent = desk.window.theme.accent_fill.lstrip("#")
    assert tuple(ground(lit)) == tuple(int(accent[n : n + 2], 16) for n in (0, 2, 4))
    assert tuple(ground(plain)) == (255, 255, 255)


def test_a_click_on_another_block_of_the_map_keeps_the_operation(desk):
    desk.go("blocks.0.attn.z")
    item = next(i for i in desk.window.map._items if i.block and i.step.layer == 1)
    area = desk.window.map
    area.verticalScrollBar().setValue(int(item.rect.y) - 50)
    desk.click(area, item.rect.x + 30, item.rect.y + item.rect.h / 2 - area.verticalScrollBar().value())
    assert desk.c.step.key == "blocks.1.attn.z"


def test_each_place_of_the_scrubber_leads_to_its_step(desk):
    track, reached = desk.window.scrubber.track, []
    for x in range(track.width()):
        desk.click(track, x, track.height() / 2)
        if not reached or reached[-1] != desk.c.step.index:
            reached.append(desk.c.step.index)
    assert reached == list(range(len(desk.c.steps)))


@pytest.mark.parametrize(("width", "size"), [(900, 1.0), (1280, 1.0), (1280, 1.5), (1920, 2.0)])
def test_every_part_of_the_scrubber_has_its_name(open_desk, bundled, width, size):
    desk = open_desk(bundled, "Once")
    desk.go("logits")
    while desk.window.scale < size:
        desk.window.do("larger")
    desk.window.resize(width, 800)
    desk.settle()
    track = desk.window.scrubber.track
    picture = pixels(track)
    ground = picture[-1, -1]
    for part in track._segments():
        below = picture[track.height() // 2 :, round(part.x) : round(part.x + part.width)]
        assert (below != ground).any(), f"{part.name} has no name"


def test_the_scrubber_is_dragged_through_the_steps(desk):
    track = desk.window.scrubber.track
    QTest.mousePress(track, Qt.MouseButton.LeftButton, pos=track.rect().center())
    middle = desk.c.step.index
    from PySide6.QtCore import QPoint

    QTest.mouseMove(track, QPoint(track.width() - 2, 8))
    QTest.mouseRelease(track, Qt.MouseButton.LeftButton, pos=QPoint(track.width() - 2, 8))
    assert middle < desk.c.step.index <= len(desk.c.steps) - 1


def test_the_buttons_of_the_scrubber_step(desk):
    from PySide6.QtWidgets import QToolButton

    buttons = {b.text(): b for b in desk.window.scrubber.findChildren(QToolButton)}
    desk.go("tokens")
    buttons["▶"].click()
    assert desk.c.step.key == "embed"
    buttons["◀"].click()
    assert desk.c.step.key == "tokens"
    buttons["▶|"].click()
    assert desk.c.step is desk.c.steps[-1]
    buttons["▶"].click()
    assert desk.c.step is desk.c.steps[-1]
    buttons["|◀"].click()
    assert desk.c.step is desk.c.steps[0]


def test_playing_goes_step_by_step_and_ends_at_the_last(desk):
    scrubber = desk.window.scrubber
    assert not scrubber.playing
    desk.window.acts.go_to_index(len(desk.c.steps) - 3)
    scrubber.set_speed(4.0)
    desk.press(Qt.Key.Key_F5)
    assert scrubber.playing and scrubber._timer.interval() == 250
    assert "Pause" in scrubber.play.text() and scrubber.play.isChecked()
    scrubber.set_speed(2.0)
    assert scrubber._timer.interval() == 500
    scrubber._timer.setInterval(5)
    desk.until(lambda: not scrubber.playing)
    assert desk.c.step is desk.c.steps[-1]
    assert "Play" in scrubber.play.text() and not scrubber.play.isChecked()
    assert not desk.window.actions_["play"].isChecked()


def test_playing_at_the_end_begins_again(desk):
    desk.window.do("last")
    desk.window.do("play")
    assert desk.window.scrubber.playing and desk.c.step is desk.c.steps[0]
    desk.window.do("play")
    assert not desk.window.scrubber.playing


@pytest.mark.parametrize("how", ["button", "key", "menu"])
def test_play_pauses_however_it_was_started(desk, how):
    window = desk.window
    start = {
        "button": window.scrubber.play.click,
        "key": lambda: desk.press(Qt.Key.Key_F5),
        "menu": window.actions_["play"].trigger,
    }[how]
    start()
    assert window.scrubber.playing and window.scrubber.play.isChecked() and window.actions_["play"].isChecked()
    start()
    assert not window.scrubber.playing
    assert not window.scrubber.play.isChecked() and not window.actions_["play"].isChecked()


def test_a_button_that_can_do_nothing_yet_does_not_stay_pressed(open_desk, tiny):
    desk = open_desk(tiny, "a", settle=False)
    desk.window.scrubber.play.click()
    assert not desk.window.scrubber.playing and not desk.window.scrubber.play.isChecked()
    desk.settle()


def test_back_and_forward_follow_the_way_one_went(desk):
    desk.go("tokens")
    desk.go("blocks.1.attn.pattern")
    desk.c.go_head(1)
    desk.go("logits")
    went = []
    for _ in range(3):
        desk.press(Qt.Key.Key_Left, ALT, desk.window.canvas)
        went.append((desk.c.step.key, desk.state.head))
    assert went == [("blocks.1.attn.pattern", 1), ("blocks.1.attn.pattern", 0), ("tokens", 0)]
    desk.press(Qt.Key.Key_Right, ALT)
    desk.press(Qt.Key.Key_Right, ALT)
    assert (desk.c.step.key, desk.state.head) == ("blocks.1.attn.pattern", 1)
    assert not desk.window.actions_["undo"].isEnabled(), "moving about is nothing to undo"


def test_going_back_to_a_block_that_another_model_lacks_stays_in_the_model(desk, other, tiny):
    desk.c.open_model(other)
    desk.settle()
    desk.go("blocks.2.attn.pattern")
    desk.c.go_head(3)
    desk.go("tokens")
    desk.c.open_model(tiny)
    desk.settle()
    for _ in range(3):
        desk.window.do("back")
        assert desk.c.step is not None and desk.c.step in desk.c.steps
        assert desk.state.layer < 2 and desk.state.head < 3


def test_stepping_computes_nothing_anew(desk, counted):
    counted.clear()
    desk.window.do("first")
    for _ in desk.c.steps:
        desk.window.do("next")
    desk.settle()
    assert counted.passes == [] and counted.sorts == []


def test_links_of_the_explanation_lead_to_their_tensors(desk):
    desk.go("blocks.1.attn.scaled")
    page = desk.window.tabs.explain
    assert "blocks.1.attn.scaled: [3 head, 10 query, 10 key]" in page.toPlainText()
    desk.window.tabs.tensor_asked.emit("blocks.1.attn.scores")
    assert desk.c.step.key == "blocks.1.attn.scores"
    desk.window.tabs.tensor_asked.emit("embed.W_E")
    # A weight is not a step; it opens under the view.
    assert desk.c.step.key == "blocks.1.attn.scores" and desk.c.path[-1].name == "embed.W_E"
    assert desk.window.inspector.isVisible()


@pytest.mark.parametrize("place", ["canvas", "map", "chips", "scrubber.track", "probabilities.bars", "prompt"])
def test_keys_of_other_keyboards_do_no_harm(desk, place):
    from operator import attrgetter

    from PySide6.QtCore import QEvent
    from PySide6.QtGui import QKeyEvent
    from PySide6.QtWidgets import QApplication

    widget = attrgetter(place)(desk.window)
    widget.setFocus()
    for key in (0, 0x424, 0x5D0, 0x1000000, 0x1100000, 0x1FFFFFF):
        for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            QApplication.sendEvent(widget, QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier, ""))
    assert desk.window.isVisible()


def test_a_step_asks_which_commands_are_on_twice_and_the_disk_nothing(desk, monkeypatch):
    desk.go("blocks.0.attn.scores")
    asked, on, folder = [], Acts.on, bundle._folder
    monkeypatch.setattr(Acts, "on", lambda self, state: (asked.append("on"), on(self, state))[1])
    monkeypatch.setattr(bundle, "_folder", lambda name: (asked.append(name), folder(name))[1])
    desk.go("blocks.0.attn.scaled")
    # Once for the state, and once for the scene that shows it.
    assert asked == ["on", "on"]
