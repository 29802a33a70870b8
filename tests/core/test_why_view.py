"""The "why" workspace: the waterfall's bars equal plain numpy on the residual stream, and end at the logit."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from desktop_app.core.analysis import what_if
from desktop_app.core.edits.reference import reference_texts
from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import clicked, readout_of, view_of
from desktop_app.core.panels import BarsPanel, CurvePanel, TextPanel, WaterfallPanel
from desktop_app.core.products import completed
from desktop_app.core.session.session_file import from_json, to_json
from desktop_app.core.session.state import State, ViewOptions
from desktop_app.core.steps import build_view, workspaces
from desktop_app.core.views import why
from desktop_app.gpt2.edit import ALL, Cells, Edit
from desktop_app.gpt2.edited import finals
from desktop_app.gpt2.errors import ModelError
from tests.quirky import open_quirky
from tests.scenes import open_tiny, panels, scene_of

TEXT = "Hello, you"
STATES = (
    {},
    {"target": 7, "view": ViewOptions(baseline="none")},
    {"target": 7, "against": 101, "position": 3},
    {"pinned": (33, 2), "unfolded": (0, 1)},
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def quirky(tmp_path_factory):
    return open_quirky(tmp_path_factory.mktemp("models") / "quirky")


def scene(model, **state):
    return completed(scene_of(model, TEXT, **state), why.wants, model)


def waterfall(own):
    place = next(w for w in workspaces(own.config) if w.key == "why")
    (panel,) = panels(build_view(own, place).content)
    assert isinstance(panel, WaterfallPanel)
    return panel


def code_of(own, label, nth=0):
    panel = waterfall(own)
    return [code for rise, code in zip(panel.rises, panel.source.rows, strict=True) if rise.label == label][nth]


def direction(own):
    """u / s, the constant, and the model's own number, in float64 from weights and logits."""
    w = {name: array.astype(np.float64) for name, array in own.checkpoint.weights.items() if "blocks" not in name}
    target, logits = why.target_of(own), own.trace.logits(own.position).astype(np.float64)
    column, number = w["unembed.W_U"][target], logits[target]
    if own.state.against is not None:
        column, number = column - w["unembed.W_U"][own.state.against], number - logits[own.state.against]
    elif own.state.view.baseline == "mean":
        column, number = column - w["unembed.W_U"].mean(0), number - logits.mean()
    u = w["ln_final.w"] * column
    scale = float(own.trace.read("ln_final.scale", row=own.position)[0])
    return (u - u.mean()) / scale, w["ln_final.b"] @ column, number


@pytest.mark.parametrize("state", STATES)
def test_every_bar_is_what_was_written_along_the_direction_of_the_token(model, state):
    own = scene(model, **state)
    along, constant, number = direction(own)

    def worth(after, before=None):
        vector = own.trace.read(after, row=own.position).astype(np.float64)
        return (vector - (0 if before is None else own.trace.read(before, row=own.position))) @ along

    bars = {rise.label: rise.value for rise in waterfall(own).rises if not rise.deeper}
    expected = {"token embedding": worth("embed"), "position embedding": worth("pos_embed")}
    for n in range(model.config.n_layer):
        expected[f"block {n}"] = worth(f"blocks.{n}.resid_post", f"blocks.{n}.resid_pre")
    expected |= {why.CONSTANT: constant, why.SUM: number, why.OWN: number}
    assert bars == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("state", STATES)
def test_each_bar_begins_where_the_one_before_it_ends_and_the_last_ends_at_the_models_number(model, state):
    rises = waterfall(scene(model, **state)).rises
    moving = [rise for rise in rises if not rise.total and not rise.unfolded]
    assert moving[0].start == 0
    for one, next_ in pairwise(moving):
        assert next_.start == pytest.approx(one.start + one.value, abs=1e-9)
    totals = [rise for rise in rises if rise.total]
    assert [rise.start for rise in totals] == [0, 0]
    assert moving[-1].start + moving[-1].value == pytest.approx(totals[0].value, abs=1e-9)
    largest = max(abs(rise.value) for rise in moving)
    assert abs(totals[0].value - totals[1].value) <= 1e-4 * max(1, largest)
    assert totals[1].remark.endswith(": rounding")


def test_a_block_that_unfolds_shows_the_parts_that_it_is_the_sum_of(model):
    folded = scene(model)
    code = code_of(folded, "block 1")
    unfolded = completed(replace(folded, state=clicked(folded, Cell(why.CELLS, (code,)))), why.wants, model)
    assert unfolded.state.unfolded == (1,)
    rises, before = waterfall(unfolded).rises, waterfall(folded).rises
    at = next(n for n, rise in enumerate(rises) if rise.label == "block 1")
    heads = model.config.n_head
    parts = rises[at + 1 : at + heads + 4]
    assert [rise.label for rise in parts] == [
        *(f"head {n}" for n in range(heads)), "attention bias", "MLP", "MLP bias"
    ]  # fmt: skip
    assert sum(rise.value for rise in parts) == pytest.approx(rises[at].value, abs=1e-9)
    assert rises[-2:] == before[-2:]
    again = replace(unfolded, state=clicked(unfolded, Cell(why.CELLS, (code,))))
    assert waterfall(again).rises == before


def test_a_part_opens_and_the_walk_goes_to_its_place(model):
    own = scene(model, unfolded=(1,), step="text")
    cell = Cell(why.CELLS, (code_of(own, "head 2"),))
    state = clicked(own, cell)
    assert (state.opened, state.step, state.layer, state.head) == ((cell,), "blocks.1.attn.pattern", 1, 2)
    assert state.workspace == own.state.workspace
    logit = clicked(own, Cell(why.CELLS, (code_of(own, why.OWN),)))
    assert logit.opened == (Cell("logits", (own.position, why.target_of(own))),)


@pytest.mark.parametrize("label", ["token embedding", "head 0", "attention bias", "MLP", "MLP bias", why.CONSTANT])
def test_an_opened_part_is_the_dot_product_that_its_bar_says(model, label):
    own = scene(model, unfolded=(0,))
    cell = Cell(why.CELLS, (code_of(own, label),))
    bar = next(rise for rise in waterfall(own).rises if rise.label == label)
    found = list(panels(view_of(own, cell).content))
    (running,) = (panel for panel in found if isinstance(panel, CurvePanel))
    assert running.lines[0][1][-1] == pytest.approx(bar.value, rel=1e-4, abs=1e-6)
    assert readout_of(own, cell).value == f"{why.signed(bar.value)} logits"
    if label in ("head 0", "MLP"):
        opened = next(panel for panel in found if isinstance(panel, BarsPanel) and "add up" in panel.note)
        assert sum(b.value for b in opened.bars) == pytest.approx(bar.value, rel=1e-4, abs=1e-6)
        for b in opened.bars:
            if b.source is not None and b.source[0] == why.SOURCES:
                source = Cell(*b.source)
                assert readout_of(own, source).value == f"{why.signed(b.value)} logits"
                lines = next(iter(panels(view_of(own, source).content))).lines
                assert lines[-1].text == number(b.value)


def test_under_a_mask_that_shows_later_tokens_a_head_is_broken_down_by_all_of_them(model):
    trace = model.engine.trace(scene(model).trace.ids, mask="none")
    early = scene_of(model, TEXT, trace=trace, mask="none", position=2, unfolded=(0,))
    own = completed(early, why.wants, model)
    opened = view_of(own, Cell("why.term", (code_of(own, "head 1"),)))
    largest = next(
        p for p in panels(opened.content) if isinstance(p, BarsPanel) and p.title == "The largest contributions"
    )
    whole = next(rise.value for rise in waterfall(own).rises if rise.label == "head 1")
    assert sum(bar.value for bar in largest.bars) == pytest.approx(whole, abs=1e-5)
    assert str(largest.note).startswith(f"all {len(trace)} add up")
    last = Cell("why.source", (0, 1, len(trace) - 1))
    assert readout_of(own, last)


def test_all_that_has_no_vector_of_its_own_adds_up_too(model):
    own = scene(model)
    for label in (why.SUM, "block 1"):
        cell = Cell(why.CELLS, (code_of(own, label),))
        (bars,) = panels(view_of(own, cell).content)
        expected = next(rise.value for rise in waterfall(own).rises if rise.label == label)
        assert sum(bar.value for bar in bars.bars) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("state", STATES)
def test_copied_lines_make_the_waterfall_and_its_parts_again(model, state, tmp_path, monkeypatch):
    own = scene(model, **{**state, "unfolded": (0, 1)})
    monkeypatch.chdir(tmp_path)
    model.engine.trace(own.trace.ids, everything=True).save(tmp_path / "trace.safetensors")

    def run(cell=None):
        names = {}
        exec(why.as_numpy(own, cell), names)
        return names["result"]

    panel = waterfall(own)
    folded = [rise.value for rise in panel.rises if not rise.deeper][:-2]
    assert run().tolist() == pytest.approx(folded, rel=1e-4, abs=1e-5)
    for rise, code in zip(panel.rises, panel.source.rows, strict=True):
        if rise.deeper:
            assert run(Cell(why.CELLS, (code,))) == pytest.approx(rise.value, rel=1e-4, abs=1e-6)


def test_logits_of_a_hundred_below_zero_close_and_say_so(quirky):
    for position in (0, 6):
        own = scene(quirky, view=ViewOptions(baseline="none"), position=position)
        rises = waterfall(own).rises
        assert rises[-1].value == pytest.approx(float(own.trace.logits(position).max()))
        assert rises[-1].value < -50
        assert rises[-1].remark.endswith(": rounding")


def test_sessions_keep_the_tokens_and_what_is_unfolded(tmp_path):
    view = ViewOptions(baseline="none", flow="0.1")
    state = State(text=TEXT, target=7, against=101, unfolded=(0, 3), workspace="why", view=view)
    assert from_json(to_json(state), "a test") == state


@pytest.mark.parametrize("index", [(999,), (-1,), (0, 0)])
def test_a_cell_that_is_not_there_is_refused(model, index):
    with pytest.raises(ModelError, match="There is no why"):
        readout_of(scene(model), Cell(why.CELLS, index))


def test_before_it_is_computed_the_view_says_so(model):
    own = scene_of(model, TEXT)
    place = next(w for w in workspaces(own.config) if w.key == "why")
    (panel,) = panels(build_view(own, place).content)
    assert isinstance(panel, TextPanel)


def test_the_effect_of_muting_stands_beside_each_bar_when_it_is_asked_for(model):
    texts = reference_texts(model.tokenizer)
    own = scene(model, view=ViewOptions(effects=True), target=5, against=9, unfolded=(0, 1))
    panel = waterfall(own)
    found = what_if.ablate(model.engine, own.trace, target=5, against=9, how="mean", reference=texts)
    for layer in (0, 1):
        for n in range(model.config.n_head):
            change = float(found.logit_difference[layer, n] - found.base)
            (term,) = [t for t in why.terms(own, own.made(why.want(own))).values()
                       if t.part and (t.part.layer, t.part.head) == (layer, n)]  # fmt: skip
            assert why.effect_of(own, term) == pytest.approx(change, abs=1e-5)
    said = {rise.label: rise.remark for rise in panel.rises if rise.remark.startswith("muting it")}
    heads = {f"head {n}" for n in range(model.config.n_head)}
    assert set(said) == heads | {"MLP", "block 0", "block 1", "token embedding"}
    # At positions other than the last nothing is muted, and the bars are those without effects.
    other = scene(model, view=ViewOptions(effects=True), target=5, position=3)
    assert not any(rise.remark.startswith("muting it") for rise in waterfall(other).rises)
    # A block is muted as a whole, including its biases.
    edits = [Edit(f"blocks.1.{end}", (ALL, ALL), put=Cells.of(what_if.means(model.engine, texts)[f"blocks.1.{end}"]))
             for end in ("attn_out", "mlp_out")]  # fmt: skip
    final = finals(model.engine, own.trace, [tuple(edits)])
    change = what_if.logit_difference(model.engine, final, 5, 9)[0] - found.base
    block = next(t for t in why.terms(own, own.made(why.want(own))).values() if t.label == "block 1")
    assert why.effect_of(own, block) == pytest.approx(change, abs=1e-5)
