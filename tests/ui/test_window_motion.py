"""An animated operation in the window: played, scrubbed, step by step, row by row, and closed by other actions."""

import pytest
from PySide6.QtCore import Qt

from desktop_app.ui.picture import player as playing
from tests.ui.driver import CTRL, SHIFT

TEXT = "the cat sat on the mat"


@pytest.fixture
def desk(open_desk, tiny):
    desk = open_desk(tiny, TEXT)
    desk.go("blocks.1.attn.scores")
    desk.settle()
    return desk


def test_it_plays_to_its_end_and_shows_what_it_makes(desk, monkeypatch):
    monkeypatch.setattr(playing, "moves", lambda: True)
    player = desk.window.player
    player._set_pace(200.0)
    desk.press(Qt.Key.Key_F5, SHIFT, desk.window.canvas)
    assert player.on and player.playing and desk.window.motion_bar.isVisible()
    desk.until(lambda: not player.playing)
    assert player.time == player.motion.length
    assert desk.window.canvas.accessibleName().endswith("a query meets each key")
    assert f"{len(player.motion.beats)} of {len(player.motion.beats)}" in desk.window.motion_bar.words.text()
    desk.press(Qt.Key.Key_F5, SHIFT, desk.window.canvas)
    desk.settle()
    assert not player.on and not desk.window.motion_bar.isVisible()
    assert desk.window.canvas.accessibleName().endswith("every query meets every key")


def test_one_beat_by_key_and_any_moment_by_the_slider(desk):
    player = desk.window.player
    desk.window.do("motion")
    player.play()  # pauses
    player.time = 0.0
    for n in (1, 2):
        desk.press(Qt.Key.Key_Right, CTRL | SHIFT, desk.window.canvas)
        assert player.time == n
    desk.press(Qt.Key.Key_Left, CTRL | SHIFT, desk.window.canvas)
    assert player.time == 1
    desk.window.motion_bar.slider.setValue(500)
    assert player.time == pytest.approx(player.motion.length / 2)
    assert not player.playing


def test_row_by_row_fills_the_tensor(desk):
    player = desk.window.player
    desk.window.do("motion")
    desk.window.motion_bar.rows.setChecked(True)
    assert len(player.motion.beats) == len(desk.scene.trace)
    desk.window.motion_bar.rows.setChecked(False)
    assert len(player.motion.beats) <= 16


def test_where_less_motion_is_asked_for_each_beat_is_there_at_once(desk, monkeypatch):
    monkeypatch.setattr(playing, "moves", lambda: False)
    player = desk.window.player
    player._set_pace(1000.0)
    times = []
    player.shown.connect(lambda _view: times.append(player.time))
    desk.window.do("motion")
    desk.until(lambda: not player.playing)
    assert all(time == int(time) for time in times) and times[-1] == player.motion.length


@pytest.mark.parametrize("what", ["text", "step", "theme", "workspace", "model"])
def test_whatever_else_is_shown_ends_it(desk, tiny, bundled, what):
    player = desk.window.player
    desk.window.do("motion")
    assert player.on
    if what == "text":
        desk.write("another")
    elif what == "step":
        desk.window.do("next")
    elif what == "theme":
        desk.window.do("theme")
    elif what == "workspace":
        desk.window.do("workspace:lens")
    else:
        desk.c.open_model(bundled)
    desk.settle()
    assert not player.on and not player.playing and not desk.window.motion_bar.isVisible()


def test_a_step_that_does_not_move_says_so(desk):
    desk.go("text")
    desk.window.do("motion")
    assert not desk.window.player.on and "There is no animation here" in desk.window.notice.text()


def test_it_is_exported_while_one_goes_on_and_a_window_closes_in_the_middle(desk, tmp_path):
    desk.window.do("motion")
    player = desk.window.player
    out = tmp_path / "board.png"
    player.export(player.motion, "a caption", 2.0, out)
    desk.until(lambda: not player.lane.busy)
    assert out.read_bytes().startswith(b"\x89PNG")
    player.export(player.motion, "a caption", 2.0, tmp_path / "clip.gif")
    desk.window.close()
    assert not (tmp_path / "clip.gif").exists()
