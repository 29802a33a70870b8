"""The training workspace: its curves are those in the file, and its losses those of each snapshot's pass."""

import shutil

import numpy as np
import pytest

from desktop_app.core.bundle import bundled_models, snapshots
from desktop_app.core.library.training import Curves
from desktop_app.core.model import open_model
from desktop_app.core.products import completed
from desktop_app.core.steps import build_view, find_step
from desktop_app.core.views.training import grouped, loss_of, measured, wants
from tests.scenes import panels_of, scene_of

SORTER = bundled_models()["sorter"]
TEXT = "CBAABCAABBC"


def test_the_loss_is_that_of_the_next_tokens_by_hand():
    # Probabilities 1/2, 1/4, 1/4 and 1/8, 1/8, 3/4: ids 0 -> 1 -> 2 are given 1/4 and 3/4.
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [1, 1, 1]]), dtype=np.float32) + 7
    assert loss_of(logits, (0, 1, 2)) == pytest.approx(-(np.log(0.25) + np.log(0.75)) / 2)
    assert np.isnan(loss_of(logits[:1], (0,)))


def test_curves_of_many_heads_and_tokens_go_together():
    names = ("loss", "loss when repeated", "loss of token 2", "loss of token 64", "induction L1H0", "induction L0H1",
             "best induction", "in-context score", "sorted right")  # fmt: skip
    values = {name: np.array([float(n)]) for n, name in enumerate(names)}
    found = {title: list(lines) for title, _, lines in grouped(Curves(np.array([5]), values))}
    assert found == {
        "loss": ["loss", "loss when repeated"],
        "loss of token n": ["2", "64"],
        "induction": ["L1H0", "L0H1"],
        "best head": ["induction"],
        "in-context score": ["in-context score"],
        "sorted right": ["sorted right"],
    }


def test_each_snapshot_reads_the_text_and_the_mark_is_the_open_one():
    places = snapshots(SORTER)
    model = open_model(places[30])
    step = find_step("workspace:training".partition(":")[2], model.config)
    scene = completed(scene_of(model, TEXT, workspace="training"), wants, model)
    sorted_right, of_text = panels_of(scene, step)
    assert sorted_right.title == "Sorted right" and sorted_right.focus[1] == pytest.approx(417 / 729, abs=1e-4)
    assert sorted_right.focus[0] == pytest.approx(np.log10(31)) == of_text.focus[0]
    for n, place in enumerate(places.values()):
        alone = open_model(place)
        trace = alone.engine.trace(alone.tokenizer.encode(TEXT).ids)
        rows = trace.read("logits").astype(np.float64)[:-1]
        rows -= rows.max(1, keepdims=True)
        p = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
        expected = -np.log(p[np.arange(len(rows)), trace.ids[1:]]).mean()
        assert of_text.lines[0][1][n] == pytest.approx(expected, abs=1e-5)


def test_a_model_without_snapshots_says_so():
    model = open_model(bundled_models()["bundled"])
    scene = completed(scene_of(model, "Hello", workspace="training"), wants, model)
    (panel,) = panels_of(scene, find_step("training", model.config))
    assert "No snapshots of this model's training" in str(panel.lines)


def test_a_training_without_a_file_of_curves_still_reads_the_text(tmp_path):
    for step in (0, 1000):
        shutil.copytree(snapshots(SORTER)[step], tmp_path / f"checkpoint-{step}")
    model = open_model(tmp_path / "checkpoint-0")
    scene = completed(scene_of(model, TEXT, workspace="training"), wants, model)
    (panel,) = panels_of(scene, find_step("training", model.config))
    assert panel.title == "Loss on this text" and len(panel.lines[0][1]) == 2


def test_a_curve_without_a_number_is_left_out_and_one_of_a_name_like_a_groups_is_not_lost():
    nan, one = np.array([np.nan, np.nan]), np.array([1.0, 2.0])
    curves = Curves(np.array([0, 5]), {"loss": nan, "score": one, "induction L0H0": one, "induction": one})
    found = {title: list(lines) for title, _, lines in grouped(curves)}
    assert found == {"score": ["score"], "induction": ["L0H0", "induction"]}
    assert grouped(Curves(np.zeros(0, int), {"loss": np.zeros(0)})) == []


def test_the_first_snapshot_is_marked_at_step_zero():
    (panel,) = measured(Curves(np.array([0, 9]), {"score": np.array([0.5, 2.0])}), 0)
    assert panel.focus[:2] == (0.0, 0.5) and panel.note == "0.5000 here"
    (panel,) = measured(Curves(np.array([0, 9]), {"score": np.array([0.5, 2.0])}), None)
    assert panel.focus is None and panel.note == "not measured at this step"


def test_of_several_curves_the_one_that_changed_most_is_marked_and_named():
    values = {"induction L0H0": np.array([0.02, 0.03]), "induction L1H0": np.array([0.01, 0.6])}
    (panel,) = measured(Curves(np.array([0, 9]), values), 9)
    assert panel.focus[:2] == (1.0, 0.6) and panel.note == "L1H0 0.6000 here"


def test_a_model_that_is_none_of_its_snapshots_is_not_marked(tmp_path):
    home = tmp_path / "grown"
    shutil.copytree(snapshots(SORTER)[400], home)
    for step in (0, 30):
        shutil.copytree(snapshots(SORTER)[step], home / "snapshots" / str(step))
    model = open_model(home)
    scene = completed(scene_of(model, TEXT, workspace="training"), wants, model)
    view = build_view(scene, find_step("training", model.config))
    (panel,) = panels_of(scene, find_step("training", model.config))
    assert view.title == "The model itself, none of its snapshots" and panel.focus is None
    assert len(panel.lines[0][1]) == 2, "it is none of them"
