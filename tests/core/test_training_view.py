"""The training workspace: its curves are those in the file, and its losses those of each snapshot's pass."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from desktop_app.core.levels import number
from desktop_app.core.library.training import Curves, curves_of, training_of
from desktop_app.core.model import open_model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.panels import BarsPanel, TextPanel
from desktop_app.core.panels import panels_of as all_panels
from desktop_app.core.products import completed
from desktop_app.core.program.bundle import bundled_models, snapshots
from desktop_app.core.steps import build_view, find_step
from desktop_app.core.views.training import as_numpy, describe, grouped, losses_of, measured, open_cell, wants
from desktop_app.core.views.training_opened import curve_view
from desktop_app.gpt2.errors import ModelError
from tests.scenes import panels_of, scene_of

SORTER = bundled_models()["sorter"]
TEXT = "CBAABCAABBC"


def test_the_loss_is_that_of_the_next_tokens_by_hand():
    # Probabilities 1/2, 1/4, 1/4 and 1/8, 1/8, 3/4: ids 0 -> 1 -> 2 are given 1/4 and 3/4.
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [1, 1, 1]]), dtype=np.float32) + 7
    assert losses_of(logits, (0, 1, 2)) == pytest.approx([-np.log(0.25), -np.log(0.75)])
    assert len(losses_of(logits[:1], (0,))) == 0


def test_curves_of_many_heads_and_tokens_go_together():
    names = ("loss", "loss when repeated", "loss of token 2", "loss of token 64", "induction L1H0", "induction L0H1",
             "best induction", "in-context score", "sorted right")  # fmt: skip
    values = {name: np.array([float(n)]) for n, name in enumerate(names)}
    found = {title: list(lines) for title, lines in grouped(Curves(np.array([5]), values))}
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
    assert sorted_right.focus[0] == 30 == of_text.focus[0]
    assert sorted_right.x_plus == 1 and sorted_right.lines[0][0].tolist() == sorted(places)
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
    assert panel.title == "No snapshots of this model's training are here"
    assert [line.text for line in panel.lines] == ["Letter sorter: 12 snapshots", "Learner: 21 snapshots"]
    homes = [Path(line.pick.folder) for line in panel.lines]
    assert homes == [bundled_models()["sorter"], bundled_models()["learner"]]


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
    found = {title: list(lines) for title, lines in grouped(curves)}
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
    assert panel.focus[:2] == (9.0, 0.6) and panel.note == "L1H0: 0.6000 here"


def test_a_model_that_is_none_of_its_snapshots_is_not_marked(tmp_path):
    home = tmp_path / "grown"
    shutil.copytree(snapshots(SORTER)[400], home)
    for step in (0, 30):
        shutil.copytree(snapshots(SORTER)[step], home / "snapshots" / str(step))
    model = open_model(home)
    scene = completed(scene_of(model, TEXT, workspace="training"), wants, model)
    view = build_view(scene, find_step("training", model.config))
    (panel,) = panels_of(scene, find_step("training", model.config))
    assert view.title == "The trained model, not one of its snapshots" and panel.focus is None
    assert len(panel.lines[0][1]) == 2, "it is none of them"


def in_training(name, step, text=TEXT):
    """The scene of a bundled model's snapshot in the training workspace, and its curves."""
    folder = bundled_models()[name]
    model = open_model(snapshots(folder)[step])
    return completed(scene_of(model, text, workspace="training"), wants, model), curves_of(training_of(folder))


@pytest.mark.parametrize("name", ["sorter", "learner"])
def test_every_point_of_every_curve_is_a_cell_with_its_number_and_opens(name):
    scene, curves = in_training(name, 30 if name == "sorter" else 320)
    columns, count = list(curves.values), 0
    for panel in panels_of(scene, find_step("training", scene.config)):
        drawn = np.concatenate([y for _, y in panel.lines])
        assert len(panel.source.each) == len(drawn)
        for index, y in zip(panel.source.each, drawn, strict=True):
            cell = Cell(panel.source.name, index)
            assert describe(scene, cell).value.split()[0] == number(float(y))
            assert open_cell(scene, cell).title.endswith(number(float(y)))
            if cell.name == "training.curve":
                assert curves.values[columns[index[0]]][index[1]] == y
            count += 1
    assert count >= (24 if name == "sorter" else 600)


def opened_lines(scene, cell):
    """The lines of what a cell opens, by label."""
    panel = next(p for p in all_panels(open_cell(scene, cell).content) if isinstance(p, TextPanel))
    return {line.label: f"{line.text}{line.remark}" for line in panel.lines}


def test_a_score_opens_to_the_two_means_that_it_is_the_difference_of_and_the_best_head_to_its_heads():
    scene, curves = in_training("learner", 440)
    columns, row = list(curves.values), int(np.flatnonzero(curves.steps == 440)[0])
    late, early = (curves.values[f"loss of tokens {span}"][row] for span in ("112 to 127", "8 to 15"))
    cell = Cell("training.curve", (columns.index("in-context score"), row))
    said = opened_lines(scene, cell)
    assert f"{number(late)} − {number(early)} → {number(late - early)}" in said["made of"]
    (bars,) = (p for p in all_panels(open_cell(scene, cell).content) if isinstance(p, BarsPanel))
    assert [bar.value for bar in bars.bars] == [late, early]
    assert [columns[bar.source[1][0]] for bar in bars.bars] == ["loss of tokens 112 to 127", "loss of tokens 8 to 15"]
    best = opened_lines(scene, Cell("training.curve", (columns.index("best induction"), row)))
    assert best["made of"].endswith(f"→ {number(curves.values['best induction'][row])}")
    between = int(np.flatnonzero(curves.steps == 430)[0])  # neither a snapshot, nor were the two means measured
    lines = opened_lines(scene, Cell("training.curve", (columns.index("in-context score"), between)))
    assert "made of" not in lines and "There is no snapshot of this step." in lines[""]


def test_a_name_is_no_proof_a_column_that_is_not_its_parts_largest_is_not_said_to_be():
    curves = Curves(np.array([0, 5]), {"best x": np.array([1.0, 2.0]), "x L0H0": np.array([1.0, 3.0])})
    training = training_of(SORTER)
    texts = [str(curve_view(training, curves, Cell("training.curve", (0, row))).content) for row in (0, 1)]
    assert "made of" in texts[0] and "made of" not in texts[1]


def test_only_of_the_programs_own_curves_is_said_what_was_measured(tmp_path):
    shutil.copytree(SORTER, tmp_path / "sorter")
    for home, known in ((SORTER, True), (tmp_path / "sorter", False)):
        training = training_of(home)
        view = curve_view(training, curves_of(training), Cell("training.curve", (0, 3)))
        assert ("729" in view.lead) == known


def test_the_loss_of_a_snapshot_opens_to_the_loss_of_every_token():
    scene, _ = in_training("sorter", 30)
    steps = list(snapshots(SORTER))
    for n in (0, steps.index(30)):
        model = open_model(snapshots(SORTER)[steps[n]])
        logits = model.engine.trace(scene.trace.ids).read("logits").astype(np.float64)[:-1]
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        expected = -np.log(p[np.arange(len(p)), scene.trace.ids[1:]])
        (bars,) = (p for p in all_panels(open_cell(scene, Cell("training.text", (n,))).content)
                   if isinstance(p, BarsPanel))  # fmt: skip
        assert [bar.value for bar in bars.bars] == pytest.approx(expected, abs=1e-5)
        own = steps[n] == 30  # of another snapshot's tokens, the pass is not here
        assert [bar.source for bar in bars.bars] == [("predictions.loss", (k,)) if own else None for k in range(len(p))]


@pytest.mark.parametrize("cell", [
    Cell("training.curve", (0, 99)), Cell("training.curve", (0,)), Cell("training.text", (12,)),
    Cell("training.text", (-1,)), Cell("training.other", (0,)),
])  # fmt: skip
def test_a_number_that_is_not_there_is_refused_in_a_sentence(cell):
    scene, _ = in_training("sorter", 30)
    for look in (describe, open_cell):
        with pytest.raises(ModelError, match="There is no"):
            look(scene, cell)


def test_copied_lines_make_the_open_snapshots_loss_and_no_other_number(tmp_path, monkeypatch):
    scene, _ = in_training("sorter", 30)
    at = list(snapshots(SORTER)).index(30)
    monkeypatch.chdir(tmp_path)
    scene.trace.save(tmp_path / "trace.safetensors")
    made = {}
    exec(compile(as_numpy(scene, Cell("training.text", (at,))), "copied", "exec"), made)
    assert float(made["result"]) == pytest.approx(float(scene.made(wants(scene)[1])[at].mean()), abs=1e-5)
    for cell, words in (
        (Cell("training.text", (0,)), "another snapshot"),
        (Cell("training.curve", (0, 0)), "read from a file"),
    ):
        with pytest.raises(ModelError, match=words):
            as_numpy(scene, cell)
