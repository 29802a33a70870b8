"""What a figure can show besides steps, and its numbers, which are the trace's or the weight's own."""

import csv
import io
import json

import numpy as np
import pytest

from desktop_app.core.views.weights import find_part
from desktop_app.figures.data import COLUMNS, data_csv, data_json, data_kinds
from desktop_app.figures.export import make_job
from desktop_app.figures.subject import find_cell, find_subject, subject_job
from desktop_app.gpt2.errors import ExportError, LogitscopeError, ModelError
from tests.scenes import open_tiny, panels, scene_of, shown_steps

LAYER, HEAD = 1, 2


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def scene(model):
    return scene_of(model, 'a "b", c', layer=LAYER, head=HEAD)


def job(scene, op):
    return make_job(scene, next(s for s in shown_steps(scene.config, LAYER) if s.spec.op == op))


def rows_of(data):
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"))))
    assert tuple(rows[0]) == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows[1:]]


# The subjects


def test_the_overview_has_the_grid_of_every_head(model, scene):
    made = subject_job(find_subject("overview:blocks.1.attn.pattern", scene.config), model, scene)
    (panel,) = panels(made.view.content)
    pattern = scene.trace["blocks.1.attn.pattern"]
    there = ~np.isnan(panel.values)
    assert np.array_equal(panel.values[there], pattern[there])
    assert there.sum() == len(pattern) * len(scene.trace) * (len(scene.trace) + 1) // 2
    assert made.view.title.startswith("Block 1 · All heads")


@pytest.mark.parametrize("name", ["weights:blocks.1.attn.W_Q", "blocks.1.attn.W_Q"])
def test_a_weight_needs_no_prompt_and_has_the_head_that_was_named(model, name):
    subject = find_subject(name, model.config, head=1)
    assert not subject.needs_prompt
    made = subject_job(subject, model, None)
    picture = next(p for p in panels(made.view.content) if p.values is not None)
    whole = model.checkpoint.weights["blocks.1.attn.W_QKV"]
    width = model.config.d_head
    assert np.array_equal(picture.values, whole[:, width : 2 * width])
    assert subject.part == find_part(model.config, "blocks.1.attn.W_Q", 1)


def test_with_a_layer_a_weight_s_short_name_will_do(model):
    for name in ("weights:W_in", "weights:mlp.W_in"):
        assert find_subject(name, model.config, layer=1).part.name == "blocks.1.mlp.W_in"


def test_an_opened_number_is_the_trace_s(model, scene):
    made = subject_job(find_cell("blocks.1.attn.pattern[1, 3, 1]", scene.config), model, scene)
    assert made.view.title.startswith("blocks.1.attn.pattern = ")
    assert float(made.view.title.split(" = ")[1]) == pytest.approx(
        scene.trace["blocks.1.attn.pattern"][1, 3, 1], rel=1e-3
    )
    assert "head 1" in made.view.lead
    assert made.caption.endswith("block 1 · head 1") and scene.head != 1, "the cell's head, not the selected one"


def test_figures_do_not_ask_to_be_clicked(model, scene):
    for cell in ("blocks.1.mlp.post[0,3]", "probability[5]", "blocks.0.attn.q[0,0,1]"):
        made = subject_job(find_cell(cell, scene.config), model, scene)
        assert not any("click" in panel.note or panel.hint for panel in panels(made.view.content))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("weights:blocks.0.attn.W_X", "blocks.0.attn.W_"),
        ("cencus", "census"),
        ("overview:blocks.1.resid_post", "pattern"),
        ("weights:", "W_Q"),
        ("blocks.1.attn.patern", "blocks.1.attn.pattern"),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_close_ones(model, name, words):
    with pytest.raises(ExportError, match=words):
        find_subject(name, model.config)


@pytest.mark.parametrize(
    "cell", ["", "x", "pattern[1", "blocks.0.attn.q[a]", "nothing[0]", "probability[300]", "q[-1]"]
)
def test_a_cell_that_is_no_cell_is_refused(model, scene, cell):
    with pytest.raises(LogitscopeError):
        subject_job(find_cell(cell, model.config), model, scene)


@pytest.mark.parametrize("cell", ["blocks.0.attn.q[0,0,99]", "blocks.0.attn.q[0,0]", "embed[99,0]"])
def test_a_cell_outside_its_tensor_is_refused_with_the_shape(model, scene, cell):
    with pytest.raises(ModelError, match="shape"):
        subject_job(find_cell(cell, model.config), model, scene)


# The data behind


@pytest.mark.parametrize("op", ["pattern", "mlp.post", "embed", "heads", "resid_mid"])
def test_every_number_of_a_csv_file_is_the_one_that_stands_in_the_tensor(scene, op):
    seen = 0
    for row in rows_of(data_csv(job(scene, op))):
        if row["tensor"] and row["value"]:
            index = tuple(map(int, row["index"].split()))
            name = row["tensor"]
            array = scene.trace[name] if name in scene.trace.table else scene.checkpoint.weights[name]
            assert np.float32(row["value"]) == array[index]
            seen += 1
    assert seen > 30


def test_weights_come_with_their_place_in_the_whole_matrix(model):
    made = subject_job(find_subject("weights:blocks.1.attn.W_K", model.config, head=2), model, None)
    for row in rows_of(data_csv(made)):
        if row["tensor"]:
            index = tuple(map(int, row["index"].split()))
            assert np.float32(row["value"]) == model.checkpoint.weights["blocks.1.attn.W_QKV"][index]


def test_masked_cells_are_empty_and_labels_survive_quotes_and_commas(scene):
    rows = [r for r in rows_of(data_csv(job(scene, "pattern"))) if r["title"] == "blocks.1.attn.pattern"]
    for row in rows:
        assert (row["value"] == "") == (int(row["column"]) > int(row["row"]))
        assert row["row_label"] == scene.labels[int(row["row"])]
        assert row["column_label"] == scene.labels[int(row["column"])]
    assert '"' in {row["row_label"] for row in rows}


def test_json_has_the_same_numbers_title_and_caption(scene):
    made = job(scene, "pattern")
    data = json.loads(data_json(made))
    assert data["title"] == made.view.title
    assert data["caption"] == made.caption
    large = next(p for p in data["panels"] if p["title"] == "blocks.1.attn.pattern")
    (series,) = large["series"]
    assert series["tensor"] == "blocks.1.attn.pattern"
    assert series["index"] == [HEAD, "row", "column"]
    values = np.array(series["values"], dtype=np.float32)
    pattern = scene.trace["blocks.1.attn.pattern"][HEAD]
    assert np.array_equal(np.isnan(values), np.triu(np.ones_like(pattern), 1).astype(bool))
    assert np.array_equal(np.nan_to_num(values), pattern)


def test_probabilities_in_json_are_those_of_the_model(scene):
    data = json.loads(data_json(job(scene, "probabilities")))
    bars = next(p for p in data["panels"] if p["title"] == "What the model says")["series"][0]
    values = [value for (value,) in bars["values"]]
    logits = scene.trace["logits"][-1].astype(np.float64)
    expected = np.sort(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())[::-1][: len(values)]
    assert values == pytest.approx(expected.tolist(), rel=1e-5)


def test_every_step_has_data_in_both_forms(scene):
    for step in shown_steps(scene.config, LAYER):
        made = make_job(scene, step)
        assert len(rows_of(data_csv(made))) > 0
        assert json.loads(data_json(made))["panels"]


def test_kinds_of_data_are_a_list_of_two():
    assert data_kinds("") == ()
    assert data_kinds("csv") == ("csv",)
    assert data_kinds("JSON, csv,json") == ("json", "csv")
    with pytest.raises(ExportError, match="csv"):
        data_kinds("xlsx")


def test_more_numbers_than_anybody_reads_are_refused(scene, monkeypatch):
    monkeypatch.setattr("desktop_app.figures.data.LIMIT", 30)
    with pytest.raises(ExportError, match="30"):
        data_csv(job(scene, "pattern"))
