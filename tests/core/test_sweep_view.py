"""The sweep workspace: its numbers are the commands', partial results are shown, and a cell leads to its pass."""

from dataclasses import replace

import numpy as np
import pytest

from desktop_app.core.analysis import what_if
from desktop_app.core.caption import caption
from desktop_app.core.edits.reference import reference_texts
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import clicked, readout_of, view_of
from desktop_app.core.panels import BarsPanel, MapPanel, TextPanel, panels_of
from desktop_app.core.passes import Asked
from desktop_app.core.products import compute
from desktop_app.core.runs import asked_of, compute_passes
from desktop_app.core.scene import make_moment
from desktop_app.core.session.fields import Change
from desktop_app.core.session.state import State
from desktop_app.core.steps import build_view, find_step, wants_of
from desktop_app.core.views import sweep
from desktop_app.core.want import Made
from desktop_app.gpt2.edited import finals
from desktop_app.gpt2.errors import ModelError
from tests.scenes import CONFIG, open_tiny

TEXT, OTHER = "the cat sat", "the dog sat"
TOKENS = {"target": 33, "against": 44}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny", CONFIG | {"n_layer": 3})


def moment(model, other=OTHER, *, edits=(), mask="causal", **view):
    state = State(text=TEXT, other=other, mask=mask, edits=tuple(map(Change, edits)), **TOKENS)
    state = replace(state, view=replace(state.view, **view))
    passes = compute_passes(model.engine, model.tokenizer, asked_of(state, model.tokenizer))
    return make_moment(model.name, model.checkpoint, model.tokenizer, passes, state)


def swept(model, **how):
    """The scene with its sweep computed, and the partial results that were reported."""
    scene, step, told = moment(model, **how), find_step("sweep", model.config), []
    for want in wants_of(scene, step):
        scene = scene.with_made({want: compute(want, model, scene.passes, partly=told.append)})
    return scene, step, told


def picture(scene, step, kind=MapPanel):
    return next(p for p in panels_of(build_view(scene, step).content) if isinstance(p, kind))


@pytest.mark.parametrize("how", ["zero", "mean"])
def test_muting_each_head_is_what_the_command_gives(model, how):
    scene, step, _ = swept(model, sweep="heads", sweep_how=how)
    texts = reference_texts(model.tokenizer)
    expected = what_if.ablate(model.engine, scene.trace, how=how, reference=texts, **TOKENS)
    assert np.allclose(picture(scene, step).values, expected.logit_difference - expected.base)


@pytest.mark.parametrize("what", ["resid_pre", "attn_out", "mlp_out", "from_heads"])
@pytest.mark.parametrize("way", ["in", "out"])
def test_putting_cells_of_the_other_prompt_is_what_the_command_gives(model, what, way):
    scene, step, _ = swept(model, sweep=what, sweep_way=way)
    kind, direction = "heads" if what == "from_heads" else what, "denoise" if way == "in" else "noise"
    clean, corrupt = scene.other.trace, scene.trace
    expected = what_if.patch(model.engine, clean, corrupt, what=kind, direction=direction, **TOKENS)
    start = expected.corrupt if way == "in" else expected.clean
    shown = expected.logit_difference - start if expected.refused else expected.effect
    assert np.allclose(picture(scene, step).values, shown)


@pytest.mark.parametrize(
    ("view", "cell", "text", "place"),
    [
        ({"sweep": "heads", "sweep_how": "zero"}, (1, 2), "blocks.1.attn.z[2]=0", "blocks.1.attn.pattern"),
        ({"sweep": "mlps", "sweep_how": "mean"}, (2, 0), "blocks.2.mlp.post=mean", "blocks.2.mlp.post"),
        ({"sweep": "resid_pre"}, (1, 5), "blocks.1.resid_pre[5]=other", "blocks.1.ln1"),
        ({"sweep": "mlp_out", "sweep_way": "out"}, (0, 5), "blocks.0.mlp_out[5]=other", "blocks.0.mlp_out"),
        ({"sweep": "from_heads"}, (2, 1), "blocks.2.attn.z[1]=other", "blocks.2.attn.pattern"),
    ],
)
def test_a_cell_leads_to_that_very_run(model, view, cell, text, place):
    scene, _, _ = swept(model, **view)
    at = Cell("sweep.effect", cell)
    state = clicked(scene, at)
    assert ([c.text for c in state.edits], state.workspace, state.step) == ([text], "walk", place)
    passes = compute_passes(model.engine, model.tokenizer, asked_of(state, model.tokenizer))
    logits = passes.trace.logits(-1).astype(float)
    found = scene.made(wants_of(scene, find_step("sweep", model.config))[0]).logit_difference
    found = found if found.ndim == 2 else found[:, None]
    assert logits[TOKENS["target"]] - logits[TOKENS["against"]] == pytest.approx(found[cell], abs=1e-4)
    assert view_of(scene, at).content.children
    assert readout_of(scene, at).place


def test_the_strongest_neurons_are_muted_and_their_cells_are_those_neurons(model):
    scene, step, _ = swept(model, sweep="strongest", sweep_how="zero")
    found = scene.made(wants_of(scene, step)[0])
    bars = picture(scene, step, BarsPanel).bars
    assert len(bars) == len(found.which) == 50
    assert [abs(b.value) for b in bars] == sorted((abs(b.value) for b in bars), reverse=True)
    row = bars[0].source[1][0]
    layer, neuron = found.which[row]
    assert bars[0].label == f"neuron {neuron} of block {layer}"
    state = clicked(scene, Cell("sweep.effect", (row, 0)))
    assert state.edits == (Change(f"blocks.{layer}.mlp.post[:, {neuron}]=0"),)


def test_what_is_done_is_shown_before_all_is(model, monkeypatch):
    monkeypatch.setattr("desktop_app.gpt2.edited._TOGETHER", 20)  # a pass or two at once
    scene, step, told = swept(model, sweep="heads", sweep_how="zero")
    assert len(told) > 3
    want = wants_of(scene, step)[0]
    early = scene.with_made({want: Made(told[1], whole=False)})
    assert not early.has(want)
    values, whole = picture(early, step).values, picture(scene, step).values
    done = np.isfinite(values)
    assert 0 < done.sum() < done.size
    assert np.array_equal(values[done], whole[done])
    lines = picture(early, step, TextPanel).lines
    assert [line.text for line in lines if line.label == "done"] == [f"{done.sum()} / {done.size}"]
    hidden = Cell("sweep.effect", tuple(map(int, np.argwhere(~done)[0])))
    assert readout_of(early, hidden).value == "not done yet"
    assert clicked(early, hidden) == early.state


def test_without_another_prompt_it_says_what_is_missing(model):
    scene = moment(model, "", sweep="resid_pre")
    step = find_step("sweep", model.config)
    assert wants_of(scene, step) == ()
    assert "takes cells from another prompt" in picture(scene, step, TextPanel).lines[0].text


@pytest.mark.parametrize("compare", ["before", "change", "both", "other", "pair"])
def test_patching_is_of_both_prompts_and_shown_once_whatever_is_compared(model, compare):
    how = {"sweep": "resid_pre", "edits": ["blocks.0.attn.z[1]=0"]}
    scene, step, _ = swept(model, compare=compare, **how)
    once, _, _ = swept(model, **how)
    assert len(wants_of(scene, step)) == 1
    shown, expected = (build_view(one, step) for one in (scene, once))
    assert shown.badge == expected.badge == "edited"
    (own,), (one,) = ([p for p in panels_of(v.content) if isinstance(p, MapPanel)] for v in (shown, expected))
    assert np.array_equal(own.values, one.values)
    assert caption(scene, step) == caption(once, step)
    assert "the other prompt: the dog sat" in caption(scene, step)


def test_the_caption_of_an_edit_that_reads_the_other_prompt_names_that_prompt(model):
    step = find_step("blocks.1.attn.pattern", model.config)
    for edit, named in (("blocks.1.resid_pre[5]=other", True), ("blocks.1.attn.z[1]=across", True), ("embed=0", False)):
        assert ("the other prompt: the dog sat" in caption(moment(model, edits=[edit]), step)) is named


def test_a_muted_sweep_without_its_counterpart_says_that_it_is_not_compared(model):
    scene = moment(model, sweep="heads", sweep_how="zero", compare="pair")
    step = find_step("sweep", model.config)
    own, _ = wants_of(scene, step)
    scene = scene.with_made({own: compute(own, model, scene.passes)})
    first, *_, last = panels_of(build_view(scene, step).content)
    assert np.array_equal(first.values, last.values, equal_nan=True)
    assert (first.note, last.note) == ("", "not compared: other parts")


@pytest.mark.parametrize("what", ["resid_pre", "from_heads"])
@pytest.mark.parametrize("way", ["in", "out"])
def test_of_prompts_of_different_lengths_each_token_stands_for_its_counterpart(model, what, way):
    longer = "the big cat sat"
    scene, step, _ = swept(model, other=longer, sweep=what, sweep_way=way)
    shown = picture(scene, step)
    base = scene if way == "in" else scene.other
    if what == "resid_pre":
        assert shown.column_labels == base.labels
        alone = [n for n, column in enumerate(shown.values.T) if np.isnan(column).all()]
        assert alone == ([] if way == "in" else [3, 4, 5, 6])  # " big"
        lines = {line.label: line.text for line in picture(scene, step, TextPanel).lines}
        assert lines.get("empty") == (None if way == "in" else "4 positions")
        if way == "out":
            hidden = Cell("sweep.effect", (1, 5))
            assert readout_of(scene, hidden).value == "no counterpart"
            assert clicked(scene, hidden) == scene.state
    # A cell leads to the pass with exactly this edit.
    at = (1, 2) if what == "from_heads" else (1, len(base.trace) - 2)
    state = clicked(scene, Cell("sweep.effect", at))
    logits = compute_passes(model.engine, model.tokenizer, asked_of(state, model.tokenizer)).trace.logits(-1)
    found = scene.made(wants_of(scene, step)[0]).logit_difference[at]
    assert float(logits[TOKENS["target"]]) - float(logits[TOKENS["against"]]) == pytest.approx(found, abs=1e-4)
    assert len(picture(scene, step).values.T) == (model.config.n_head if what == "from_heads" else len(base.trace))


def test_a_sweep_of_an_edited_pass_is_on_top_of_its_edits(model):
    edit = "blocks.0.mlp_out[3]*=0.5"
    scene, step, _ = swept(model, edits=(edit,), sweep="heads", sweep_how="zero")
    plain = scene.before.trace
    texts = (edit, "blocks.2.attn.z[1]=0")
    edits = compute_passes(model.engine, model.tokenizer, Asked(plain.ids, texts)).trace.run.edits
    final = finals(model.engine, plain, [edits])
    expected = what_if.logit_difference(model.engine, final, **TOKENS)[0]
    found = scene.made(wants_of(scene, step)[0])
    assert found.logit_difference[2, 1] == pytest.approx(expected, abs=1e-5)


def as_copied(scene, step, cell, folder, monkeypatch):
    """The `result` of the copied lines."""
    scene.trace.save(folder / "trace.safetensors")
    monkeypatch.chdir(folder)
    made = {}
    exec(compile(step.spec.numpy(scene, cell), "copied", "exec"), made)
    return made["result"]


@pytest.mark.parametrize(
    "how",
    [
        {"sweep": "heads"},
        {"sweep": "mlps", "sweep_how": "mean"},
        {"sweep": "strongest", "sweep_how": "mean"},
        {"sweep": "from_heads", "sweep_way": "in"},
        {"sweep": "resid_pre", "sweep_way": "out"},
    ],
    ids=lambda how: "-".join(how.values()),
)
def test_copied_as_numpy_every_edited_pass_is_run_again(model, how, tmp_path, monkeypatch):
    scene, step, _ = swept(model, **how)
    shown = sweep._values(sweep._found(scene))
    assert np.allclose(as_copied(scene, step, None, tmp_path, monkeypatch), shown, atol=1e-4)
    cell = Cell("sweep.effect", (1, 0))
    assert np.isclose(as_copied(scene, step, cell, tmp_path, monkeypatch), shown[1, 0], atol=1e-4)


def test_under_a_mask_the_copied_passes_have_it_too(model, tmp_path, monkeypatch):
    scene, step, _ = swept(model, sweep="heads", mask="window:2, 1.0=window:1")
    shown = sweep._values(sweep._found(scene))
    assert np.allclose(as_copied(scene, step, None, tmp_path, monkeypatch), shown, atol=1e-4)


def test_what_cannot_be_copied_as_numpy_says_why(model):
    scene, step, _ = swept(model, sweep="heads", edits=["blocks.0.attn.z[1]=0"])
    with pytest.raises(ModelError, match="without edits; switch these off"):
        step.spec.numpy(scene, None)
