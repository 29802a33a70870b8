"""Which steps a deck has, and the text about each."""

import re
from dataclasses import replace

import numpy as np
import pytest

from desktop_app.core.panels import panels_of
from desktop_app.core.runs import asked_of, compute_passes
from desktop_app.core.scene import make_moment
from desktop_app.core.session.fields import Change
from desktop_app.core.session.state import State
from desktop_app.core.steps import step_list
from desktop_app.figures.deck.notes import plain
from desktop_app.figures.deck.walk import choose, slides
from desktop_app.gpt2.errors import ExportError
from tests.scenes import scene_of


def keys(items):
    return [item.key for item in items]


def test_the_overview_has_input_one_block_in_full_each_other_as_one_slide_and_the_output(tiny):
    found = keys(choose(tiny.config, "overview", 1))
    full = [s.key for s in step_list(tiny.config) if s.layer == 1]
    assert found[:6] == ["text", "tokens", "embed", "pos_embed", "sum", "blocks.0"]
    assert found[6:22] == full and found[22:] == [s.key for s in step_list(tiny.config) if s.spec.part == "out"]


def test_all_is_every_step_and_a_block_is_its_own(tiny):
    assert keys(choose(tiny.config, "all")) == [s.key for s in step_list(tiny.config)]
    assert {item.step.layer for item in choose(tiny.config, "block", 1)} == {1}


def test_a_list_keeps_its_order_and_takes_patterns_tensors_and_whole_blocks(tiny):
    found = choose(tiny.config, ["probabilities", "blocks.*.attn.pattern", "blocks.1", "logits", "blocks.0.mlp.post"])
    assert keys(found) == [
        "probabilities", "blocks.0.attn.pattern", "blocks.1.attn.pattern", "blocks.1", "logits", "blocks.0.mlp.post"
    ]  # fmt: skip
    assert [item.whole for item in found] == [False, False, False, True, False, False]


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["tokns"], "tokens"),
        (["blocks.0.attn.patern"], "blocks.0.attn.pattern"),
        (["blocks.7"], "blocks.0"),
        (["blocks.9.*"], "blocks.*.attn.pattern"),
        ([], "at least one"),
    ],
)
def test_an_unknown_step_is_told_with_names_like_it(tiny, names, hint):
    with pytest.raises(ExportError, match=re.escape(hint)):
        choose(tiny.config, names)


def test_a_block_that_is_not_there_is_told_with_those_that_are(tiny):
    with pytest.raises(ExportError, match="from 0 to 1"):
        choose(tiny.config, "overview", 2)


def test_every_slide_says_where_it_stands_and_what_the_trace_holds(scene):
    walk = list(slides(scene, choose(scene.config, "all")))
    assert [slide.number for slide in walk] == list(range(1, len(walk) + 1))
    assert walk[0].place == "Input · step 1 of 45" and walk[-1].place == "Output · step 45 of 45"
    assert walk[5].place == "Block 0 of 0–1 · step 6 of 45" and walk[30].part == "Block 1 of 0–1"
    for slide, step in zip(walk, step_list(scene.config), strict=True):
        assert step.text.lead in slide.notes and step.text.explain in slide.notes
        assert plain(step.text.formula) in slide.notes and "<su" not in slide.notes
    pattern = next(s for s in walk if s.key == "blocks.1.attn.pattern")
    row = scene.trace["blocks.1.attn.pattern"][1, 6]
    assert f"{row.max():.4f}" in pattern.notes and f"at {int(np.argmax(row))})" in pattern.notes


def test_a_whole_block_shows_the_sum_that_it_makes(scene):
    (slide,) = slides(scene, choose(scene.config, ["blocks.1"]))
    lengths = [
        np.linalg.norm(scene.trace[f"blocks.1.{n}"][6]) for n in ("resid_pre", "attn_out", "mlp_out", "resid_post")
    ]
    said = [float(found) for found in re.findall(r"length ([\d.]+)", slide.notes)]
    np.testing.assert_allclose(said, lengths, rtol=1e-3)


def test_captions_can_be_left_out(tiny):
    scene = scene_of(tiny, "ab")
    assert not next(slides(scene, choose(tiny.config, ["text"]), captions=False)).job.caption


def test_workspaces_are_slides_with_their_numbers(tiny):
    scene = scene_of(tiny, "The cat (sat)")
    why, flow = slides(scene, choose(tiny.config, ["why", "flow"]), model=tiny)
    assert (why.place, flow.place) == ("Why this token", "Flow")
    logits = scene.trace.logits(-1).astype(np.float64)
    assert f"the model's own +{logits.max() - logits.mean():.3f}" in why.notes
    assert "edges of 4 % or more" in flow.notes and "The thickest edges of attention: blocks." in flow.notes


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_slide_of_a_workspace_makes_one_point_and_keeps_the_rest_of_its_lead_for_the_notes(tiny, language):
    scene = scene_of(tiny, "The cat (sat)")
    names = ["circuits", "directions", "map", "superposition", "sweep", "masks", "flow", "why"]
    for slide in slides(scene, choose(tiny.config, names), model=tiny, language=language):
        assert len(list(panels_of(slide.job.view.content))) <= 2
        assert slide.large
        whole = str(slide.job.view.lead)
        # One picture is all that a slide has room for, so its sentence speaks of no list and no counts beside it.
        assert not {"list", "counts", "Liste", "Anzahlen"} & set(slide.lead.split())
        assert slide.lead and whole.startswith(slide.lead) and whole in slide.notes


def test_three_pictures_side_by_side_stay_together_on_a_slide(tiny):
    state = State(text="The cat (sat)", edits=(Change("blocks.0.attn.z[0]=0"),))
    state = replace(state, view=replace(state.view, compare="both"))
    passes = compute_passes(tiny.engine, tiny.tokenizer, asked_of(state, tiny.tokenizer))
    scene = make_moment(tiny.name, tiny.checkpoint, tiny.tokenizer, passes, state)
    (slide,) = slides(scene, choose(tiny.config, ["lens"]), model=tiny)
    assert [panel.title for panel in panels_of(slide.job.view.content)] == ["after", "before", "after − before"]
