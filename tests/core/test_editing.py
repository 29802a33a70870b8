"""What can be edited under the pointer, in every view: each edit offered can be run, and changes that target."""

import json

import numpy as np
import pytest

from desktop_app.core.asking.commands import find_command
from desktop_app.core.edits.editing import ACTIONS, EDGE, READ_ACROSS, STEER, Target, actions_for, filled, texts_of
from desktop_app.core.edits.targets import put_across, targets_at
from desktop_app.core.opening.cells import Cell
from desktop_app.core.passes import Asked
from desktop_app.core.products import completed
from desktop_app.core.runs import asked_of, compute_passes
from desktop_app.core.scene import make_moment
from desktop_app.core.session.state import State, ViewOptions, with_option
from desktop_app.core.steps import build_view, step_list, workspaces
from desktop_app.figures import fonts
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Page
from desktop_app.figures.theme import LIGHT
from desktop_app.gpt2.errors import LogitscopeError
from tests.scenes import open_tiny

TEXT, OTHER = "Hello, you", "Jello, you"
KEPT = "what: 'a' - 'b'"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


def moment(model, **state):
    own = State(text=TEXT, other=OTHER, layer=1, head=1, token=5, unfolded=(0, 1), **state)
    return make_moment(
        model.name,
        model.checkpoint,
        model.tokenizer,
        compute_passes(model.engine, model.tokenizer, asked_of(own, model.tokenizer)),
        own,
    )


def cells(scene, place):
    """One cell of each name in the view of a place."""
    page = Page(LIGHT, fonts.width)
    place_view(build_view(scene, place), 1200, 800, page)
    found = {}
    for shown in page.cells:
        if shown.source is not None:
            found.setdefault(shown.source.name, Cell(shown.source.name, shown.source.at(0, shown.start)))
    return list(found.values())


NOT_OF_THE_PASS = (
    "logits",
    "predictions",
    "masks",
    "directions",
    "map",
    "superposition.pair",
    "check",
    "census",
    "tokens",
)
"""Prefixes of cells that do not belong to anything editable: outputs, weights, the mask lab."""


def test_whatever_is_shown_offers_edits_that_can_be_run(model):
    scene, seen = moment(model), set()
    for place in (*step_list(model.config), *workspaces(model.config)):
        beside = place.index < 0
        own = completed(scene, place.spec.wants, model)
        for cell in cells(own, place):
            targets = targets_at(own, cell, place if beside else None)
            if not targets:
                assert cell.name.startswith(NOT_OF_THE_PASS), (place.key, cell)
            for target in targets:
                for action in actions_for(target, other=True, kept=[KEPT]):
                    seen.add((target.kind, action.id.partition(":")[0], target.places, action))
    texts = {}
    for kind, name, places, action in seen:
        given = {"set": ["1.5"], "prompts": ["2", "a", "b"], "add": ['4*tokens["a"]'], "edge": ["0", "0"]}.get(
            name, [field.usual for field in action.fields]
        )
        texts.setdefault((kind, name), texts_of(Target("", places, kind), action, *given))
    assert {name for _, name in texts} == {*(action.id for action in ACTIONS), "kept"}
    ids, other = (model.tokenizer.encode(text).ids for text in (TEXT, OTHER))
    for (kind, name), edits in texts.items():
        asked = Asked(ids, edits, other=other)
        if name == "edge" and "blocks.0" in edits[0]:
            continue  # no head precedes block 0
        if name == "cut" and edits[0].endswith("0, 0]=-inf"):
            continue  # the only key of the first query
        if name == "mean" and "attn.scaled" in edits[0]:
            continue
        passes = compute_passes(model.engine, model.tokenizer, asked)
        assert passes.trace.run.changes or name in ("other", "across"), (kind, name, edits)


def test_what_stands_for_a_head_a_look_or_a_neuron_in_a_workspace_is_edited_there(model):
    scene = moment(model)
    for key, name, first in (
        ("flow", "flow.node", "mlp_out of ',' at 5"),
        ("circuits", "circuits.head", "head 0 of block 0"),
        ("look", "blocks.1.attn.scaled", "attention of head 1 from ',' at 5"),
        ("superposition", "superposition.up", "neuron"),
    ):
        place = next(own for own in workspaces(model.config) if own.key == key)
        options = {"superposition": "neurons"} if key == "superposition" else {}
        own = moment(model, view=ViewOptions(**options)) if options else scene
        own = completed(own, place.spec.wants, model)
        cell = next(cell for cell in cells(own, place) if cell.name == name)
        assert targets_at(own, cell, place)[0].words.startswith(first), key


def test_texts_that_are_asked_for_are_quoted_whatever_stands_in_them():
    target = Target("", ("blocks.1.resid_pre",), "row")
    action = next(a for a in ACTIONS if a.id == "prompts")
    (text,) = texts_of(target, action, " 3 ", 'say "{0}"', "so [it] = is")
    assert text == 'blocks.1.resid_pre+=3*prompts["say \\"{0}\\"", "so [it] = is"]'


def test_edits_that_are_asked_for_whole_can_be_run(model):
    ids, other = (model.tokenizer.encode(text).ids for text in (TEXT, OTHER))
    for action, given, expected in (
        (STEER, ["blocks.1.resid_pre", "2", "a b", "c"], 'blocks.1.resid_pre+=2*prompts["a b", "c"]'),
        (EDGE, ["1", "2", "k", "0", "1"], "blocks.1.attn.k[2]+=edge[0, 1]"),
        (READ_ACROSS, ["1", "0:2"], "blocks.1.attn.z[0:2]=across"),
    ):
        assert filled(action, given) == expected
        passes = compute_passes(model.engine, model.tokenizer, Asked(ids, (expected,), other=other))
        assert passes.trace.run.changes == (expected,)


def test_several_heads_of_a_block_read_the_other_prompt_as_each_alone_does(model):
    ids, other = (model.tokenizer.encode(text).ids for text in (TEXT, OTHER))

    def z(*edits):
        return compute_passes(model.engine, model.tokenizer, Asked(ids, edits, other=other)).trace["blocks.1.attn.z"]

    both = z("blocks.1.attn.z[0]=across", "blocks.1.attn.z[2]=across")
    for head in (0, 2):
        assert np.allclose(both[head], z(f"blocks.1.attn.z[{head}]=across")[head], atol=1e-6)
    assert np.array_equal(z("blocks.1.attn.z[:]=across")[[0, 2]], both[[0, 2]])
    assert not np.allclose(both[0], z()[0], atol=1e-3)


def test_the_typed_direction_is_added_to_the_pass_and_weighed(model):
    command = find_command("ruler_steer")
    state = with_option(State(text=TEXT, layer=1, token=3), "direction", KEPT)
    changed = command.change(state, model)
    (edit,) = changed.edits
    assert edit.text == f"blocks.1.resid_pre+=4*direction[{json.dumps(KEPT)}]"
    passes = compute_passes(model.engine, model.tokenizer, asked_of(changed, model.tokenizer))
    rows = model.checkpoint.weights["embed.W_E"]
    a, b = (model.tokenizer.encode(text).ids[0] for text in "ab")
    change = passes.trace["blocks.1.resid_pre"] - passes.before["blocks.1.resid_pre"]
    assert np.allclose(change, 4 * (rows[a] - rows[b]), atol=1e-4)
    # Without a typed direction, the selected token's is used.
    bare = command.change(State(text=TEXT, layer=0, token=1), model).edits[0].text
    assert bare == f"blocks.0.resid_pre+=4*tokens[{model.tokenizer.encode(TEXT).ids[1]}]"
    with pytest.raises(LogitscopeError, match="not a sum of tokens"):
        command.change(with_option(state, "direction", "'a' -"), model)


@pytest.mark.parametrize(
    ("source", "target", "edit"),
    [
        (("attn.concat", 3, 9), ("attn.concat", 3, 9), "attn.z[1, 3]=other"),
        (("attn.concat", 1, 9), ("attn.concat", 5, 9), "attn.z[1, 5]=other[1, 1]"),
        (("attn.q", 1, 2, 0), ("attn.q", 1, 4, 0), "attn.q[1, 4]=other[1, 2]"),
        (("attn.pattern", 1, 3, 2), ("attn.pattern", 0, 3, 2), "attn.z[0]=other[1]"),
        (("mlp.post", 2, 9), ("mlp.post", 2, 9), "mlp.post[2, 9]=other"),
        (("resid_mid", 2, 0), ("resid_mid", 4, 0), "resid_mid[4]=other[2]"),
        (("ln1.out", 2, 0), ("ln1.out", 2, 0), "resid_pre[2]=other"),
    ],
)
def test_a_dragged_cell_patches_what_its_picture_shows_at_its_token(model, source, target, edit):
    scene = moment(model)
    assert (model.config.d_head, len(scene.trace)) == (8, len(scene.other.trace))
    one, other = (Cell(f"blocks.1.{name}", tuple(index)) for name, *index in (source, target))
    assert put_across(scene, Cell(one.name, one.index, "other"), other, None) == f"blocks.1.{edit}"
