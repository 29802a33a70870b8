"""The slider over training: which models have it, what moves it, and that the named snapshot is the one shown."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from desktop_app.core.bundle import bundled_models, snapshots
from desktop_app.core.model import open_model
from tests.ui.driver import ALT, CTRL, LEFT, NONE

SORTER = bundled_models()["sorter"]
STEPS = list(snapshots(SORTER))
TEXT = "CBAABCAA"


@pytest.fixture
def taught(open_desk):
    return open_desk(SORTER, TEXT)


def step_of(desk):
    return int(desk.c.model.folder.name) if desk.c.model.folder != SORTER else STEPS[-1]


def test_only_a_model_with_snapshots_has_a_slider(desk):
    assert desk.window.training_bar.isHidden() and not desk.window.actions_["snapshot_next"].isEnabled()
    desk.c.open_model(SORTER)
    desk.settle()
    desk.write(TEXT)
    assert not desk.window.training_bar.isHidden() and desk.window.training.number == len(STEPS) - 1
    desk.c.open_model(bundled_models()["bundled"])
    desk.settle()
    assert desk.window.training_bar.isHidden() and desk.c.loads.shelf.folders == ()


def test_keys_go_along_the_snapshots_and_the_text_and_the_place_stay(taught):
    taught.go("blocks.1.attn.pattern")
    for key, step in (
        (Qt.Key.Key_Home, 0), (Qt.Key.Key_Right, 10), (Qt.Key.Key_Right, 15), (Qt.Key.Key_Left, 10),
        (Qt.Key.Key_End, 1000), (Qt.Key.Key_Right, 1000),
    ):  # fmt: skip
        taught.press(key, CTRL | ALT, taught.window.canvas)
        taught.settle()
        assert step_of(taught) == step
        assert taught.state.text == TEXT and taught.state.step == "blocks.1.attn.pattern"
        bar = taught.window.training_bar
        assert bar.step.text() == ("Before its training" if step == 0 else f"After {step:,} steps")
        assert f"{STEPS.index(step) + 1} of {len(STEPS)}" in bar.track.accessibleName()


def test_what_is_shown_is_computed_by_the_snapshot_that_the_slider_names(taught):
    for n in (0, 6, 3):
        taught.window.training.go_to(n)
        taught.settle()
        alone = open_model(snapshots(SORTER)[STEPS[n]])
        expected = alone.engine.trace(alone.tokenizer.encode(TEXT).ids).read("blocks.1.attn.pattern")
        np.testing.assert_allclose(taught.scene.trace.read("blocks.1.attn.pattern"), expected, atol=1e-6)
        assert taught.scene.name == alone.name


def test_the_mark_is_dragged_and_the_last_place_counts(taught):
    track = taught.window.training_bar.track
    xs = track._x(np.arange(len(STEPS)))
    QTest.mousePress(track, LEFT, NONE, QPoint(int(xs[0]), 10))
    for n in range(1, 9):
        QTest.mouseMove(track, QPoint(int(xs[n]), 10))
    QTest.mouseRelease(track, LEFT, NONE, QPoint(int(xs[8]), 10))
    taught.settle()
    assert step_of(taught) == STEPS[8]
    taught.window.do("undo")  # a drag is one entry
    taught.settle()
    assert taught.c.model.folder == SORTER


def test_neighbours_are_opened_ahead_and_taken_as_they_are(taught, monkeypatch):
    taught.window.training.go_to(4)
    taught.settle()
    kept = taught.c.loads.shelf.folders
    folders = list(snapshots(SORTER).values())
    assert {folders[n] for n in (2, 3, 4, 5, 6)} <= set(kept) and len(kept) <= 8
    opened = []
    monkeypatch.setattr("desktop_app.ui.lanes.open_model", lambda folder, *_, **__: opened.append(folder))
    taught.window.training.go_to(5)
    taught.settle()
    assert step_of(taught) == STEPS[5] and opened == []


def test_playing_shows_every_snapshot_in_turn_and_ends_at_the_last(taught):
    seen = []
    taught.c.scene_changed.connect(lambda scene: scene and seen.append(scene.checkpoint.folder.name))
    taught.window.training._timer.setInterval(1)
    taught.window.do("snapshot_play")
    taught.until(lambda: not taught.window.training.playing)
    taught.settle()
    assert list(dict.fromkeys(seen))[-len(STEPS) :] == [f"{step:05d}" for step in STEPS]


def test_a_snapshot_that_is_gone_is_told_and_the_open_one_stays(taught, tmp_path):
    import shutil

    run = tmp_path / "run"
    for n in (0, 5, 11):
        shutil.copytree(snapshots(SORTER)[STEPS[n]], run / f"checkpoint-{STEPS[n]}")
    taught.c.open_model(run / "checkpoint-1000")
    taught.settle()
    shutil.rmtree(run / "checkpoint-0")
    taught.c.loads.shelf.keep_only(set())
    taught.window.training.go_to(0)
    taught.settle()
    assert taught.trouble() and step_of_run(taught) == 1000
    assert not taught.window.training.moving and taught.window.training.number == 2
    taught.window.training.go_to(1)
    taught.settle()
    assert step_of_run(taught) == STEPS[5] and not taught.trouble()


def step_of_run(desk):
    return int(desk.c.model.folder.name.rpartition("-")[2])


def test_closing_while_it_plays_leaves_nothing_behind(taught):
    taught.window.training._timer.setInterval(1)
    taught.window.training.set_playing(True)
    taught.until(lambda: taught.window.training.moving)
    taught.window.close()
