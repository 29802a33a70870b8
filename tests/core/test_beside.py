"""A second model compared with the open one: each shows its own numbers, and unsuitable models are refused."""

import csv
import io
from dataclasses import replace
from weakref import ref

import numpy as np
import pytest

from desktop_app.cli import main
from desktop_app.core.caption import caption
from desktop_app.core.comparing.beside import open_beside, passes_of, why_not
from desktop_app.core.comparing.compare import DIFFER
from desktop_app.core.edits.targets import targets_at
from desktop_app.core.model import open_model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import readout_of, view_of
from desktop_app.core.panels import GridPanel, panels_of
from desktop_app.core.passes import OTHER, Asked
from desktop_app.core.products import completed
from desktop_app.core.runs import asked_of, compute_passes
from desktop_app.core.scene import make_moment
from desktop_app.core.session.session_file import from_json, to_json
from desktop_app.core.session.state import State, with_option
from desktop_app.core.steps import build_view, find_step, wants_of, workspaces
from desktop_app.core.views import sweep
from desktop_app.core.views.common import token_name
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from tests.checkpoints import write_checkpoint
from tests.scenes import CONFIG, open_tiny

TEXT = "the cat sat"
PATTERN = "blocks.1.attn.pattern"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "one")


@pytest.fixture(scope="module")
def guest(tmp_path_factory):
    """Another model of the same shape with the same tokens, but other weights."""
    return open_model(write_checkpoint(tmp_path_factory.mktemp("models") / "two", CONFIG, seed=7))


def moment(model, guest, compare="pair", **state):
    asked = State(text=TEXT, beside=str(guest.folder), layer=1, head=1, **state)
    asked = with_option(asked, "compare", compare)
    passes = compute_passes(model.engine, model.tokenizer, asked_of(asked, model.tokenizer), guest=guest)
    return make_moment(model.name, model.checkpoint, model.tokenizer, passes, asked)


def test_both_models_run_the_same_tokens_and_each_picture_is_one_s_own(model, guest):
    scene = moment(model, guest)
    ids = model.tokenizer.encode(TEXT).ids
    alone = guest.engine.trace(ids)
    assert np.array_equal(scene.other.trace.logits(-1), alone.logits(-1))
    assert scene.other.name == guest.name
    view = build_view(scene, find_step(PATTERN, model.config))
    one, other, change = (p for p in panels_of(view.content) if isinstance(p, GridPanel))
    mine, theirs = (t.read(PATTERN, head=1) for t in (scene.trace, alone))
    shown = ~np.isnan(one.values)
    assert np.array_equal(one.values[shown], mine[shown])
    assert np.array_equal(other.values[shown], theirs[shown])
    assert np.allclose(change.values[shown], (mine - theirs)[shown])
    assert [p.title for p in (one, other, change)] == ["this model", "other model", "this − other"]
    assert view.badge == "beside the other model"
    assert guest.name in caption(scene, find_step(PATTERN, model.config))
    assert "in the other model" in readout_of(scene, Cell(PATTERN, (1, 3, 2), OTHER)).place
    assert view_of(scene, Cell(PATTERN, (1, 3, 2), OTHER)).badge == "in the other model"
    lines = next(panel for panel in panels_of(view_of(scene, Cell(PATTERN, (1, 3, 2), DIFFER)).content)).lines
    assert [line.label for line in lines] == ["here", "in the other model", "difference"]


def test_nothing_is_edited_at_a_cell_that_this_pass_does_not_have(model, guest):
    """The pointer may still be on a picture of a longer text or a larger model."""
    scene = moment(model, guest)
    rows, neurons = len(scene.trace), model.config.d_mlp
    name = "blocks.1.mlp.post"
    assert targets_at(scene, Cell(name, (rows - 1, neurons - 1), OTHER), None)
    assert targets_at(scene, Cell(name, (rows, 0), OTHER), None) == ()
    assert targets_at(scene, Cell(name, (0, neurons), OTHER), None) == ()
    assert targets_at(scene, Cell(PATTERN, (1, rows, 0), OTHER), None) == ()
    with pytest.raises(ModelError, match=f"Position {rows} is outside the text of {rows} tokens"):
        token_name(scene, rows)


def test_weights_and_workspaces_beside_are_the_other_model_s(model, guest):
    """In the second model's picture, what is computed from weights is computed from its weights."""
    scene = moment(model, guest, "other")
    for key in ("lens", "why", "flow", "heads", "circuits"):
        place = next(own for own in workspaces(model.config) if own.key == key)
        beside = completed(scene, lambda s, place=place: wants_of(s, place), model)
        alone = State(text=TEXT, layer=1, head=1)
        passes = compute_passes(guest.engine, guest.tokenizer, asked_of(alone, guest.tokenizer))
        pinned = beside.other.state.pinned
        alone = replace(alone, pinned=pinned)
        own = make_moment(guest.name, guest.checkpoint, guest.tokenizer, passes, alone)
        own = completed(own, lambda s, place=place: wants_of(s, place), guest)
        theirs = [p for p in panels_of(build_view(own, place).content) if hasattr(p, "values")]
        shown = [p for p in panels_of(build_view(beside, place).content) if hasattr(p, "values")]
        assert len(shown) == len(theirs), key
        for a, b in zip(shown, theirs, strict=True):
            assert np.allclose(a.values, b.values, equal_nan=True, atol=1e-5), (key, a.title)


def test_a_cell_beside_opens_to_the_other_model_s_arithmetic(model, guest):
    scene = moment(model, guest)
    cell = Cell("blocks.0.mlp.pre", (3, 5), OTHER)
    view = view_of(scene, cell)
    assert view.content
    value = guest.engine.trace(scene.trace.ids)["blocks.0.mlp.pre"][3, 5]
    assert float(readout_of(scene, cell).value.replace("−", "-")) == pytest.approx(float(value), abs=2e-3)


def test_cells_of_the_other_model_are_put_into_this_one_s_pass(model, guest):
    ids = model.tokenizer.encode(TEXT).ids
    asked = Asked(ids, ("blocks.1.resid_pre=other",), beside=str(guest.folder))
    passes = compute_passes(model.engine, model.tokenizer, asked, guest=guest)
    assert np.array_equal(passes.trace["blocks.1.resid_pre"], passes.other["blocks.1.resid_pre"])
    # An edge takes what the other model's head writes, with that model's W_O.
    asked = Asked(ids, ("blocks.1.attn.k[1]+=edge[0, 2]",), beside=str(guest.folder))
    passes = compute_passes(model.engine, model.tokenizer, asked, guest=guest)
    d, weights = model.config.d_head, model.checkpoint.weights

    def result(by, trace):
        matrix = by.checkpoint.weights["blocks.0.attn.W_O"].reshape(model.config.n_head, d, -1)[2].astype(float)
        return trace["blocks.0.attn.z"][2].astype(float) @ matrix

    said = result(guest, passes.other) - result(model, passes.before)
    said = (said - said.mean(-1, keepdims=True)) / passes.before["blocks.1.ln1.scale"] * weights["blocks.1.ln1.w"]
    columns = slice(model.config.n_embd + d, model.config.n_embd + 2 * d)
    change = passes.trace["blocks.1.attn.k"] - passes.before["blocks.1.attn.k"]
    assert np.allclose(change[1], said @ weights["blocks.1.attn.W_QKV"][:, columns], atol=1e-4)


def test_another_prompt_is_run_by_the_other_model(model, guest):
    scene = moment(model, guest, other="the dog sat")
    assert scene.other.trace.ids == model.tokenizer.encode("the dog sat").ids
    assert scene.other.trace.run.model == guest.checkpoint.key
    assert "the dog sat" in caption(scene, find_step(PATTERN, model.config))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n_layer": 3}, "has 3 blocks, and one 2"),
        ({"n_head": 4}, "has 4 heads, and one 3"),
        ({"n_embd": 48}, "has 48 numbers for each token, and one 24"),
        ({"n_inner": 60}, "has 60 neurons, and one 96"),
        ({"vocab_size": 301}, "has 301 tokens, and one 300"),
    ],
)
def test_a_model_of_another_shape_is_refused_in_a_sentence(model, tmp_path, change, sentence):
    folder = write_checkpoint(tmp_path / "strange", CONFIG | change)
    with pytest.raises(ModelError) as refused:
        open_beside(model, folder)
    assert sentence in str(refused.value)
    assert str(refused.value).endswith("only models of the same shape can be compared.")


def test_a_model_of_other_tokens_is_refused_in_a_sentence(model, tmp_path):
    folder = write_checkpoint(tmp_path / "strange", CONFIG)
    text = (folder / "tokenizer.json").read_text("utf-8") if (folder / "tokenizer.json").exists() else None
    path = folder / ("tokenizer.json" if text is not None else "vocab.json")
    text = path.read_text("utf-8")
    assert '"a": 65' in text or '"a":65' in text
    swapped = text.replace('"a": 65', '"a": 9999').replace('"a":65', '"a":9999')
    swapped = swapped.replace('"b": 66', '"b": 65').replace('"b":66', '"b":65')
    path.write_text(swapped.replace("9999", "66"), "utf-8")
    assert "tokenizes texts differently from one" in why_not(model, open_model(folder))


def test_the_same_folder_is_the_same_model_and_nothing_differs(model):
    passes = passes_of(model, Asked(model.tokenizer.encode(TEXT).ids, beside=str(model.folder)))
    assert passes.guest is model
    assert passes.other is passes.before


def test_a_sweep_puts_no_cells_of_another_model(model, guest):
    scene = moment(model, guest)
    scene = replace(scene, state=with_option(scene.state, "sweep", "resid_pre"))
    assert "this same model's pass over another prompt" in sweep.fits(scene)
    assert sweep.wants(scene) == ()


def test_a_session_keeps_the_model_beside(model, guest):
    state = State(text=TEXT, model=str(model.folder), beside=str(guest.folder))
    assert from_json(to_json(state), "here").beside == str(guest.folder)
    assert from_json(to_json(State(text=TEXT)), "here").beside == ""


def test_a_figure_of_two_models_has_both_and_says_so(model, guest, tmp_path, capsys):
    out = tmp_path / "both.svg"
    options = ["--model", str(model.folder), "--beside", str(guest.folder), "--compare", "pair", "--head", "1"]
    assert main(["figure", TEXT, "--step", PATTERN, "--data", "csv", "--out", str(out), *options]) == 0
    assert guest.name in out.read_text("utf-8")
    text = out.with_suffix(".csv").read_text("utf-8")
    assert "beside the other model" in text
    rows = [row for row in csv.reader(io.StringIO(text)) if row and not row[0].startswith("#")]
    theirs = guest.engine.trace(model.tokenizer.encode(TEXT).ids).read(PATTERN, head=1)
    numbers = {round(float(x), 5) for row in rows for x in row if x.replace(".", "").replace("-", "").isdigit()}
    assert round(float(theirs[5, 2]), 5) in numbers
    assert main(["figure", TEXT, "--step", PATTERN, "--out", str(tmp_path / "no.svg"), "--beside", "sorter"]) == 2
    assert "can be compared" in capsys.readouterr().err


def test_a_model_beside_is_freed_with_its_passes(model, tmp_path):
    folder = write_checkpoint(tmp_path / "two", CONFIG, seed=3)
    passes = passes_of(model, Asked(model.tokenizer.encode(TEXT).ids, beside=str(folder)))
    gone = ref(passes.guest)
    del passes
    assert gone() is None


def test_what_is_asked_of_a_model_that_is_not_there_is_refused(model, tmp_path):
    asked = Asked((1, 2), beside=str(tmp_path / "nothing"))
    with pytest.raises(LogitscopeError):
        passes_of(model, asked)
    with pytest.raises(ModelError, match="is to be compared with this model, but is not open"):
        compute_passes(model.engine, model.tokenizer, asked)
    assert compute_passes(model.engine, model.tokenizer, asked, strict=False).other is None
