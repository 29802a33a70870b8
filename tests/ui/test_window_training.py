"""The slider over training: which models have it, what moves it, and that the named snapshot is the one shown."""

import gc
import json
import os
import shutil
import threading
from collections import Counter
from dataclasses import replace
from weakref import WeakSet

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog

from desktop_app.core import model as models
from desktop_app.core.asking.intents import AtStep
from desktop_app.core.levels import number
from desktop_app.core.library.find import find_model
from desktop_app.core.library.shelf import MOST
from desktop_app.core.model import open_model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.products import completed
from desktop_app.core.program.bundle import bundled_models, snapshots
from desktop_app.core.scene import make_scene
from desktop_app.core.steps import WORKSPACES, find_step, wants_of
from desktop_app.figures.data import data_json
from desktop_app.figures.export import make_job
from tests.hub.fixtures import hub
from tests.ui.driver import ALT, CTRL, LEFT, NONE

__all__ = ["hub"]

SORTER = bundled_models()["sorter"]
STEPS = list(snapshots(SORTER))
TEXT = "CBAABCAA"


@pytest.fixture
def taught(open_desk):
    return open_desk(SORTER, TEXT)


@pytest.fixture
def branches(hub):
    """Three snapshots of the sorter as branches of a repository on the hub: step -> its name there."""
    for n, step in enumerate((0, 30, 1000)):
        hub.add("owner/sorts", snapshots(SORTER)[step], revision=f"checkpoint-{step}", commit=f"{n + 1:040x}")
    return {step: f"owner/sorts@checkpoint-{step}" for step in (0, 30, 1000)}


def fetch(desk, name):
    """Download a model as a person does: type its name into the Models dialog."""
    desk.window.do("open_models")
    dialog = desk.window.library.dialog
    dialog.field.setText("")
    desk.type(name, dialog.field)
    desk.press(Qt.Key.Key_Return, widget=dialog.field)
    desk.until(lambda: desk.window.library.fetching is None)
    return dialog


def leave(desk, dialog):
    """Close a dialog, so that keys go to the window again."""
    dialog.close()
    desk.window.activateWindow()
    QApplication.processEvents()


def numbers(words):
    """Every number of a figure's data, in order."""
    found = []

    def walk(node):
        if isinstance(node, list):
            for child in node:
                walk(child)
        elif node is None or isinstance(node, int | float):
            found.append(np.nan if node is None else float(node))

    for panel in json.loads(words)["panels"]:
        for series in panel["series"]:
            walk(series["values"])
    return np.array(found)


def alone(desk, folder):
    """What the model in `folder` shows at the desk's place, computed anew."""
    model, state = open_model(folder), desk.state
    step = find_step(desk.c.step.key, model.config)
    trace = model.engine.trace(model.tokenizer.encode(state.text).ids)
    scene = make_scene(model.name, model.checkpoint, model.tokenizer, trace, state)
    return data_json(make_job(completed(scene, lambda own: wants_of(own, step), model), step))


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
    monkeypatch.setattr("desktop_app.ui.desks.lanes.open_model", lambda folder, *_, **__: opened.append(folder))
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


def test_the_mark_goes_back_where_opening_is_stopped(taught, monkeypatch):
    waits = threading.Event()
    own = models.open_model
    monkeypatch.setattr("desktop_app.ui.desks.lanes.open_model", lambda *a, **o: waits.wait(30) and own(*a, **o))
    taught.window.training.go_to(0)
    assert taught.window.training.moving and taught.window.training.number == 0
    taught.window.do("stop_loading")
    waits.set()
    taught.settle()
    assert not taught.window.training.moving and taught.window.training.number == len(STEPS) - 1
    assert taught.window.training_bar.step.text() == "After 1,000 steps" and taught.c.model.folder == SORTER


def test_closing_while_it_plays_leaves_nothing_behind(taught):
    taught.window.training._timer.setInterval(1)
    taught.window.training.set_playing(True)
    taught.until(lambda: taught.window.training.moving)
    taught.window.close()


STEPS_OF_WALK = ("tokens", "blocks.0.attn.pattern", "blocks.1.mlp.post", "blocks.1.resid_post", "probabilities")
SPACES = tuple(spec.key for spec in WORKSPACES if spec.keys)
# What a branch shows is computed as for any folder: two steps and four workspaces, and all where time is no matter.
OF_BRANCHES = STEPS_OF_WALK + SPACES if os.environ.get("LOGITSCOPE_SLOW") else (*STEPS_OF_WALK[1:3], *SPACES[1:5])


def visited(desk, places):
    """Go to steps of the walk and to workspaces, in turn."""
    for key in places:
        if key in SPACES:
            desk.window.do(f"workspace:{key}")
            desk.settle()
        else:
            desk.go(key)
        yield key


def check_everywhere(desk, folders, places):
    """At these places the keys lead from snapshot to snapshot, and what is shown is the snapshot's."""
    for n, place in enumerate(visited(desk, places)):
        forth, back = ((Qt.Key.Key_Home, 0), (Qt.Key.Key_Right, 1)), ((Qt.Key.Key_End, -1), (Qt.Key.Key_Left, -2))
        for key, at in back if n % 2 else forth:
            desk.press(key, CTRL | ALT, desk.window.canvas)
            desk.settle()
            assert desk.c.model.folder == folders[at], place
            assert desk.c.step.key == place and not desk.trouble()
            shown = numbers(data_json(make_job(desk.scene, desk.c.step)))
            np.testing.assert_allclose(shown, numbers(alone(desk, folders[at])), rtol=1e-4, atol=1e-4, err_msg=place)


def test_the_slider_works_at_steps_of_the_walk_and_in_every_workspace(taught):
    check_everywhere(taught, list(snapshots(SORTER).values()), STEPS_OF_WALK + SPACES)


def test_the_slider_works_on_the_learner_in_every_workspace(open_desk):
    learner = bundled_models()["learner"]
    desk = open_desk(learner, TEXT)
    check_everywhere(desk, list(snapshots(learner).values()), STEPS_OF_WALK + SPACES)


def test_branches_of_a_repository_are_fetched_and_have_the_slider_everywhere(desk, branches):
    for step, row in ((30, 30), (1000, 1000), (0, 1000)):
        dialog = fetch(desk, branches[step])
        assert dialog.chosen.reference == branches[row]
    assert dialog.chosen.state == "on this machine; 3 snapshots, steps 0 to 1,000"
    desk.press(Qt.Key.Key_Return, widget=dialog.table)
    desk.until(lambda: desk.c.model.folder == find_model(branches[1000]))
    leave(desk, dialog)
    desk.settle()
    desk.write(TEXT)
    assert not desk.window.training_bar.isHidden() and desk.window.training.training.steps == (0, 30, 1000)
    assert desk.c.model.name == "owner/sorts after 1,000 steps"
    check_everywhere(desk, [find_model(name) for name in branches.values()], OF_BRANCHES)
    QTest.mouseClick(desk.window.training_bar.track, LEFT, NONE, QPoint(12, 10))
    desk.settle()
    assert desk.c.model.name == "owner/sorts before its training"


def test_a_branch_that_is_fetched_while_its_neighbour_is_open_joins_the_slider(desk, branches):
    leave(desk, fetch(desk, branches[30]))
    desk.c.open_model(find_model(branches[30]))
    desk.settle()
    desk.write(TEXT)
    assert desk.window.training_bar.isHidden()
    leave(desk, fetch(desk, branches[1000]))
    assert not desk.window.training_bar.isHidden() and desk.window.training.number == 0
    desk.press(Qt.Key.Key_Right, CTRL | ALT, desk.window.canvas)
    desk.settle()
    assert desk.c.model.folder == find_model(branches[1000])


def test_a_model_that_is_none_of_its_snapshots_has_no_mark_and_comes_after_the_last(open_desk, tmp_path):
    home = tmp_path / "grown"
    shutil.copytree(snapshots(SORTER)[400], home)
    for step in (0, 30):
        shutil.copytree(snapshots(SORTER)[step], home / "snapshots" / str(step))
    desk = open_desk(home, TEXT)
    desk.window.do("workspace:training")
    desk.settle()
    bar = desk.window.training_bar
    assert desk.window.training.number is None and bar.step.text() == "The trained model, not a snapshot"
    assert "The trained model, not one of its snapshots" in desk.words()
    desk.window.do("snapshot_next")
    desk.settle()
    assert desk.c.model.folder == home
    desk.window.do("snapshot_previous")
    desk.settle()
    assert desk.c.model.folder == home / "snapshots" / "30" and bar.step.text() == "After 30 steps"


def test_a_click_on_the_curves_opens_the_snapshot_there_and_undo_leads_back(taught):
    taught.window.do("workspace:training")
    taught.settle()
    for step in (30, 0, 1000):
        taught.click_canvas(taught.pick(AtStep(step)).rect)
        assert taught.window.training.number == STEPS.index(step), "the mark is there at once"
        taught.settle()
        assert step_of(taught) == step and taught.state.workspace == "training"
    taught.window.do("undo")
    taught.settle()
    assert step_of(taught) == 0 and taught.window.training.number == 0


def test_an_opened_number_is_the_snapshots_own(taught):
    cell = Cell("blocks.1.attn.pattern", (2, 5, 3))
    taught.go("blocks.1.attn.pattern")
    taught.c.open_path((cell,))
    for n in (1, 8):
        taught.window.training.go_to(n)
        taught.settle()
        model = open_model(snapshots(SORTER)[STEPS[n]])
        expected = model.engine.trace(model.tokenizer.encode(TEXT).ids).read("blocks.1.attn.pattern")[2, 5, 3]
        assert taught.c.path == (cell,) and taught.window.inspector.isVisible()
        said = [m.text for m in taught.window.inspector.canvas.page.marks if hasattr(m, "text")]
        assert any(number(float(expected)) in words for words in said), (expected, said)


def test_two_snapshots_stand_side_by_side_and_the_slider_moves_one_of_them(taught):
    name = "blocks.1.attn.pattern"
    taught.go(name)
    taught.window.training.go_to(5)
    taught.settle()
    taught.window.do("snapshot_beside")
    taught.settle()
    assert {"this model", "other model", "this − other"} <= set(taught.words())
    ids = taught.scene.trace.ids
    other = open_model(snapshots(SORTER)[STEPS[4]]).engine.trace(ids).read(name)
    for n in (5, 9, 4, 0):
        taught.window.training.go_to(n)
        taught.settle()
        assert taught.scene.checkpoint.folder == snapshots(SORTER)[STEPS[n]]
        assert taught.scene.other.checkpoint.folder == snapshots(SORTER)[STEPS[4]]
        np.testing.assert_allclose(taught.scene.other.trace.read(name), other, atol=1e-6)
        assert "this − other" in taught.words() and not taught.trouble()


def test_the_list_and_the_menu_show_a_training_as_one_model_with_its_range(taught):
    taught.window.training.go_to(7)
    taught.settle()
    taught.window.do("open_models")
    dialog = taught.window.library.dialog
    states = {row.reference: dialog.table.item(n, 1).text() for n, row in enumerate(dialog._rows)}
    assert [reference for reference in states if reference.startswith("sorter")] == ["sorter"]
    assert states["sorter"] == "open after 50 steps; 12 snapshots, steps 0 to 1,000"
    assert states["learner"] == "came with the program; 21 snapshots, steps 0 to 700"
    taught.c.open_model(SORTER)
    taught.settle()
    taught.window.do("open_models")
    assert dialog.table.item([row.reference for row in dialog._rows].index("sorter"), 1).text().startswith("open; 12")


def counting(monkeypatch, *places):
    """Counts what is opened, by folder, and keeps track of the models that are alive."""
    opened, alive = Counter(), WeakSet()
    own = models.open_model

    def opens(folder, *arguments, **options):
        model = own(folder, *arguments, **options)
        opened[folder] += 1
        alive.add(model)
        return model

    for place in places:
        monkeypatch.setattr(f"desktop_app.{place}.open_model", opens)
    return opened, alive


@pytest.mark.parametrize("workspace", ["walk", "training"])
def test_from_end_to_end_each_snapshot_is_opened_once_with_a_pass_each_and_few_are_kept(
    open_desk, monkeypatch, counted, workspace
):
    desk = open_desk(snapshots(SORTER)[0], TEXT)
    desk.window.do(f"workspace:{workspace}")
    desk.settle()
    opened, alive = counting(monkeypatch, "ui.desks.lanes", "ui.desks.training_desk", "core.views.training")
    counted.clear()
    most = 0
    for n in range(1, len(STEPS)):
        desk.window.do("snapshot_next")
        desk.settle()
        if n % 5 == 1:
            gc.collect()
            most = max(most, len(alive))
        assert len(desk.c.loads.shelf.folders) <= MOST
    assert step_of(desk) == 1000
    assert max(opened.values()) == 1 and len(opened) <= len(STEPS) - 3, "the first three were open before"
    assert len(counted.passes) == len(STEPS) - 1
    assert most <= MOST + 1


def test_another_text_is_read_by_every_snapshot_once_and_again_by_none(taught, monkeypatch):
    taught.window.do("workspace:training")
    taught.settle()
    opened, _ = counting(monkeypatch, "core.views.training")
    taught.write("CCAB")
    assert sorted(opened.values()) == [1] * len(STEPS)
    taught.window.training.go_to(3)
    taught.settle()
    taught.write(TEXT)
    assert sum(opened.values()) == len(STEPS)


def export_to(desk, path):
    """Press the bar's button and choose a file in its dialog."""
    bar = desk.window.training_bar
    button = next(b for b in bar.findChildren(type(bar.play)) if b.text() == "Export …")
    QTest.mouseClick(button, LEFT)
    (dialog,) = desk.window.findChildren(QFileDialog)
    dialog.fileSelected.emit(str(path))
    dialog.close()
    QApplication.sendPostedEvents(dialog)


def test_a_button_exports_what_is_shown_at_every_snapshot_as_a_clip(taught, tmp_path):
    taught.go("blocks.1.attn.pattern")
    export_to(taught, tmp_path / "learned.gif")
    assert taught.window.actions_["stop"].isEnabled()
    taught.until(lambda: taught.notice() == "Wrote learned.gif.")
    with Image.open(tmp_path / "learned.gif") as film:
        assert film.n_frames == len(STEPS) and film.info["duration"] == 500
    taught.settle()
    assert step_of(taught) == 1000 and not taught.window.actions_["stop"].isEnabled()


def test_the_same_button_draws_the_first_this_and_the_last_side_by_side(taught, tmp_path):
    taught.go("blocks.1.attn.pattern")
    taught.window.training.go_to(5)
    taught.settle()
    export_to(taught, tmp_path / "three.svg")
    taught.until(lambda: taught.notice() == "Wrote three.svg.")
    drawn = (tmp_path / "three.svg").read_text(encoding="utf-8")
    at = [drawn.index(words) for words in ("Before its training", "After 30 steps", "After 1,000 steps")]
    assert at == sorted(at)


def test_an_export_is_stopped_and_nothing_is_written(taught, tmp_path):
    export_to(taught, tmp_path / "a.gif")
    taught.window.do("stop")
    assert taught.notice() == "a.gif was not written."
    taught.until(lambda: not taught.window.training.clip.lane.busy)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_is_told_in_a_sentence(taught, tmp_path):
    export_to(taught, tmp_path / "a.bmp")
    taught.until(lambda: bool(taught.trouble()))
    assert "a.bmp" in taught.trouble() and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["gif", "svg"])
def test_a_window_closes_in_the_middle_of_an_export(taught, tmp_path, kind):
    export_to(taught, tmp_path / f"a.{kind}")
    taught.window.close()
    assert list(tmp_path.iterdir()) == []


def test_an_export_shows_the_edits_and_the_model_beside(taught, tmp_path):
    from desktop_app.core.edits.changes import with_edits

    taught.c.set(with_edits(taught.state, "blocks.1.attn.z[0]=0"))
    taught.c.set(replace(taught.state, beside=str(snapshots(SORTER)[0])))
    taught.go("blocks.1.attn.z")
    export_to(taught, tmp_path / "a.svg")
    taught.until(lambda: bool(taught.notice().startswith("Wrote") or taught.trouble()))
    assert not taught.trouble() and "blocks.1.attn.z[0]=0" in (tmp_path / "a.svg").read_text(encoding="utf-8")
