"""Figures of edited passes and of two prompts: what they show and say, in German too; lists and decks of them."""

import csv
import io
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from pptx import Presentation
from safetensors.numpy import save_file

from desktop_app.cli import main
from desktop_app.core.caption import caption
from desktop_app.core.comparing.compare import MODES, difference
from desktop_app.core.comparing.compare import less as compared_panel
from desktop_app.core.edits.targets import targets_at
from desktop_app.core.opening.cells import Cell, Region
from desktop_app.core.opening.opened import clicked, linked, readout_of, view_of, wants_of
from desktop_app.core.panels import (
    BarsPanel,
    CurvePanel,
    GridPanel,
    MapPanel,
    StripsPanel,
    TextPanel,
    WaterfallPanel,
    panels_of,
)
from desktop_app.core.panels import column as panel_box
from desktop_app.core.products import completed
from desktop_app.core.runs import asked_of, compute_passes
from desktop_app.core.scene import make_moment
from desktop_app.core.session.fields import Change
from desktop_app.core.session.session_file import from_json, to_json
from desktop_app.core.session.state import State, ViewOptions
from desktop_app.core.steps import build_view, find_step
from desktop_app.core.steps import wants_of as wants_of_view
from desktop_app.core.views import across
from desktop_app.core.workspaces import WORKSPACES
from desktop_app.figures import fonts, language
from desktop_app.figures.data import data_csv
from desktop_app.figures.export import Options, in_language, job_of, lay_out, make_job
from desktop_app.figures.language import Translator
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Page, Words
from desktop_app.figures.theme import LIGHT
from desktop_app.gpt2.errors import ModelError
from tests.figures.test_language import OTHERS
from tests.scenes import CONFIG, open_tiny, shown_steps

TEXT, OTHER = "the cat sat", "the dog sat"
EDIT = "blocks.1.attn.z[1]=0"
PATTERN = "blocks.1.attn.pattern"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny", CONFIG | {"n_layer": 3})


def moment(model, compare="after", *, edits=(EDIT,), other=OTHER, **state):
    made = State(text=TEXT, edits=tuple(map(Change, edits)), other=other, layer=1, head=1, **state)
    made = replace(made, view=replace(made.view, compare=compare))
    passes = compute_passes(model.engine, model.tokenizer, asked_of(made, model.tokenizer))
    return make_moment(model.name, model.checkpoint, model.tokenizer, passes, made)


def view(model, name, compare="after", **state):
    scene = moment(model, compare, **state)
    step = find_step(name, model.config)
    scene = completed(scene, lambda s: wants_of_view(s, step), model)
    return scene, build_view(scene, step)


def main_grid(shown):
    return next(p for p in panels_of(shown.content) if isinstance(p, GridPanel) and not p.small)


def test_after_before_and_the_change_are_the_two_passes_numbers_and_their_difference(model):
    found = {mode: main_grid(view(model, "blocks.2.attn.pattern", mode)[1]) for mode in ("after", "before", "change")}
    scene = moment(model)
    after, before = (t.read("blocks.2.attn.pattern", head=1) for t in (scene.trace, scene.before.trace))
    shown = ~np.isnan(found["after"].values)
    assert np.array_equal(found["after"].values[shown], after[shown])
    assert np.array_equal(found["before"].values[shown], before[shown])
    assert np.array_equal(found["change"].values[shown], (after - before)[shown])
    assert found["change"].levels.diverging
    assert np.abs(after - before).max() > 1e-4


def test_three_pictures_side_by_side_are_named_and_the_first_two_on_one_scale(model):
    _, shown = view(model, "blocks.2.attn.scaled", "both")
    first, second, change = panels_of(shown.content)
    assert [p.title for p in (first, second, change)] == ["after", "before", "after − before"]
    assert first.levels == second.levels
    assert [p.source.written for p in (first, second, change)] == [
        f"{name}blocks.2.attn.scaled" for name in ("", "before:", "change:")
    ]


@pytest.mark.parametrize("name", ["blocks.1.attn.pattern", "blocks.1.resid_post"])
def test_rounding_where_two_passes_are_alike_does_not_set_the_limits_of_their_difference(model, name):
    # Two texts that begin alike: up to the first token that differs, their passes do by rounding alone.
    one = next(p for p in panels_of(view(model, name, edits=())[1].content) if isinstance(p, GridPanel | MapPanel))
    rounding = np.random.default_rng(0).choice([-1e-7, 1e-7], one.values.shape)
    other = replace(one, values=one.values + rounding)
    other.values[-2:] += np.linspace(0.1, 0.2, other.values.shape[1])
    taken = compared_panel(one, other)
    assert taken.levels.high == pytest.approx(0.2, rel=0.02)
    assert not taken.levels.apart
    alike = compared_panel(one, replace(one, values=one.values + rounding))
    assert np.nanmax(np.abs(alike.values)) < alike.levels.high / 10, "rounding is pale"


ACROSS = "blocks.1.attn.z[1]=across"


def test_a_head_that_reads_the_other_prompt_has_a_grid_whose_numbers_open(model, tmp_path, monkeypatch):
    scene, shown = view(model, PATTERN, edits=(ACROSS,), other="the big cat sat")
    grid = next(iter(panels_of(shown.content)))
    assert isinstance(grid, MapPanel)
    q = scene.trace["blocks.1.attn.q"][1].astype(np.float64)
    k = scene.other.trace["blocks.1.attn.k"][1].astype(np.float64)
    raised = np.exp(q @ k.T / np.sqrt(q.shape[1]))
    expected = raised / raised.sum(1, keepdims=True)
    assert grid.values.shape == (11, 15)
    assert np.allclose(grid.values, expected, atol=1e-6)
    cell = grid.source.cell(3, 14)
    assert cell == Cell("blocks.1.attn.across", (1, 3, 14))
    readout = readout_of(scene, cell)
    assert float(readout.value) == pytest.approx(expected[3, 14], rel=1e-3)
    assert "in the other prompt" in readout.place
    opened = view_of(scene, cell)
    strips = [strip for p in panels_of(opened.content) if isinstance(p, StripsPanel) for strip in p.strips]
    assert {s.source.written for s in strips if s.source} == {"blocks.1.attn.q", "other:blocks.1.attn.k"}
    (bars,) = (p for p in panels_of(opened.content) if p.title == "Exponentials of the row")
    assert sum(bar.value for bar in bars.bars if bar.marked) == pytest.approx(raised[3, 14] / raised[3].max(), rel=1e-4)
    assert [str(*target.places) for target in targets_at(scene, cell, None)] == ["blocks.1.attn.z[1]"]
    monkeypatch.chdir(tmp_path)
    for passed, file in ((scene, "trace.safetensors"), (scene.other, "other.safetensors")):
        save_file({name: passed.trace[name] for name in ("blocks.1.attn.q", "blocks.1.attn.k")}, file)
    space = {}
    exec(across.as_numpy(scene, cell), space)
    assert space["result"] == pytest.approx(expected[3, 14], rel=1e-5)
    for wrong in ((1, 3, 15), (0, 3, 3), (1, 3), (1, -1, 0)):
        with pytest.raises(ModelError, match="no edit makes this head read the other prompt"):
            view_of(scene, replace(cell, index=wrong))


@pytest.mark.parametrize("compare", ["change", "both"])
def test_what_has_no_counterpart_is_not_shown_as_a_difference(model, compare):
    _, shown = view(model, PATTERN, compare, edits=(ACROSS,))
    grids = [p for p in panels_of(shown.content) if isinstance(p, GridPanel) and not p.small]
    assert not any(isinstance(p, MapPanel) for p in panels_of(shown.content))
    assert np.nanmax(np.abs(grids[-1].values)) < 1e-6, "the edit comes after the head's own pattern"
    grid = GridPanel(values=np.ones((2, 2)))
    more, fewer = (replace(shown, content=panel_box(*[grid] * n)) for n in (2, 1))
    assert all("not compared" in panel.note for panel in panels_of(difference(more, fewer).content))


def test_two_prompts_stand_side_by_side_by_position_or_by_alignment(model):
    scene, shown = view(model, "blocks.1.resid_post", "pair", edits=())
    this, other, less = panels_of(shown.content)
    assert np.array_equal(less.values, scene.trace["blocks.1.resid_post"] - scene.other.trace["blocks.1.resid_post"])
    assert this.row_labels != other.row_labels
    scene, shown = view(model, "blocks.1.resid_post", "pair", edits=(), other="the big cat sat")
    this, other, less = panels_of(shown.content)
    assert [len(p.values) for p in (this, other, less)] == [11, 15, 11]
    expected = this.values - other.values[list(scene.passes.alignment)]
    assert np.allclose(less.values, expected, atol=1e-5)


def test_the_selected_token_is_its_counterpart_in_the_other_prompt(model):
    scene = moment(model, "pair", edits=(), other="the big cat sat", token=9)
    assert scene.other.token == 13


def test_bars_carry_both(model):
    _, before = view(model, "probabilities", "before")
    _, both = view(model, "probabilities", "change")
    was = {b.label: b.value for p in panels_of(before.content) if isinstance(p, BarsPanel) for b in p.bars}
    now = next(p for p in panels_of(both.content) if isinstance(p, BarsPanel) and p.bars)
    assert all(b.outline == was[b.label] for b in now.bars if b.label in was)
    assert any(b.outline != b.value for b in now.bars)


def test_a_waterfalls_change_still_adds_up(model):
    _, shown = view(model, "why", "change", target=5, against=7)
    (panel,) = (p for p in panels_of(shown.content) if isinstance(p, WaterfallPanel))
    parts = [r for r in panel.rises if not r.total]
    total = next(r for r in panel.rises if r.total)
    assert sum(r.value for r in parts) == pytest.approx(total.value, abs=1e-6)
    assert parts[-1].start + parts[-1].value == pytest.approx(total.value, abs=1e-6)


def test_the_lens_says_what_it_predicted_before_and_after(model):
    _, shown = view(model, "lens", "change", edits=("blocks.0.resid_pre=0",))
    panel = next(p for p in panels_of(shown.content) if isinstance(p, MapPanel))
    _, before = view(model, "lens", "before", edits=("blocks.0.resid_pre=0",))
    was = next(p for p in panels_of(before.content) if isinstance(p, MapPanel)).texts
    changed = [(a, b) for row, old in zip(panel.texts, was, strict=True) for a, b in zip(row, old, strict=True)]
    assert any(a == f"{b} → {a.rpartition(' → ')[2]}" for a, b in changed)


def test_a_number_of_an_edited_pass_says_what_it_was_and_opens(model):
    scene = moment(model)
    cell = Cell("blocks.2.attn.q", (0, 3, 1))
    was = float(scene.before.trace["blocks.2.attn.q"][0, 3, 1])
    assert (
        readout_of(scene, cell).place.endswith(f"was {was:.4g}".replace("-", "−")[:9])
        or "was" in readout_of(scene, cell).place
    )
    assert readout_of(scene, Cell("blocks.0.attn.q", (0, 3, 1))).place.endswith("as before")
    opened = view_of(scene, Cell("blocks.1.attn.z", (1, 3, 1)))
    labels = [b.label for p in panels_of(opened.content) if isinstance(p, BarsPanel) for b in p.bars]
    assert labels == ["before", "keep", "put"]
    assert opened.badge == "edited"


def test_cells_of_the_other_passes_read_and_open_as_theirs(model):
    scene = moment(model, "both")
    index = (0, 5, 2)
    for name, trace in (("before", scene.before.trace), ("other", scene.other.trace)):
        cell = Cell("blocks.2.attn.pattern", index, name)
        value = float(trace["blocks.2.attn.pattern"][index])
        assert float(readout_of(scene, cell).value.replace("−", "-")) == pytest.approx(value, rel=1e-2, abs=1e-5)
        assert view_of(scene, cell).badge
    change = Cell("blocks.2.attn.pattern", index, "change")
    expected = float((scene.trace["blocks.2.attn.pattern"] - scene.before.trace["blocks.2.attn.pattern"])[index])
    assert float(readout_of(scene, change).value.replace("−", "-")) == pytest.approx(expected, rel=1e-2, abs=1e-6)
    assert "before the edits" in readout_of(scene, change).place
    assert view_of(scene, change).content.children
    assert clicked(scene, change).opened == (change,)


@pytest.mark.parametrize("run", ["before", "other"])
def test_what_is_opened_inside_another_pass_belongs_to_that_pass(model, run):
    """The operands that an opened number of another pass shows are that pass's own, and open to its numbers."""
    scene = moment(model, "both")
    own = scene.beside[run]
    name = "blocks.2.attn.scores"
    view = view_of(scene, Cell(name, (0, 5, 2), run))
    strips = [strip for p in panels_of(view.content) if isinstance(p, StripsPanel) for strip in p.strips]
    query = next(strip for strip in strips if strip.source and strip.source.name == "blocks.2.attn.q")
    cell = query.source.cell(0, 3)
    assert cell == Cell("blocks.2.attn.q", (0, 5, 3), run)
    value = float(own.trace["blocks.2.attn.q"][0, 5, 3])
    assert float(readout_of(scene, cell).value.replace("−", "-")) == pytest.approx(value, rel=1e-2, abs=1e-4)
    assert value != pytest.approx(float(scene.trace["blocks.2.attn.q"][0, 5, 3]), rel=1e-3)


def test_links_of_a_cell_stay_in_its_pass_and_a_difference_has_none(model):
    scene = moment(model, "both")
    sources, targets = linked(scene, Cell("blocks.2.attn.scores", (0, 5, 2), "other"))
    assert Region("blocks.2.attn.q", (0, 5, None), "other") in sources
    assert targets == (Region("blocks.2.attn.scaled", (0, 5, 2), "other"),)
    assert linked(scene, Cell("blocks.2.attn.scores", (0, 5, 2), "change")) == ((), ())
    assert linked(scene, Cell("blocks.2.attn.scores", (0, 5, 2), "gone")) == ((), ())


def test_a_path_of_opened_cells_is_written_with_its_passes_and_read_back(model):
    path = (Cell("blocks.2.attn.pattern", (0, 5, 2), "other"), Cell("blocks.2.attn.scaled", (0, 5, 2), "change"))
    state = replace(moment(model, "both").state, opened=path)
    written = to_json(state)
    assert b'"other:blocks.2.attn.pattern"' in written  # as sessions have always had it
    assert from_json(written, "here").opened == path


def test_folding_in_the_view_before_the_edits_folds(model):
    scene, _ = view(model, "why", "before")
    count = len(scene.before.made(wants_of_view(scene.before, find_step("why", model.config))[0]).parts)
    state = clicked(scene, Cell("why.term", (count + 1,), "before"))
    assert state.unfolded == (1,)
    assert state.edits == scene.state.edits


def test_only_an_edited_picture_says_so(model):
    plain = moment(model, edits=(), other="")
    step = find_step(PATTERN, model.config)
    assert build_view(plain, step).badge == ""
    for compare, mode in MODES.items():
        scene = moment(model, compare)
        job = make_job(scene, step)
        assert job.view.badge == mode.badge
        assert EDIT in job.caption
        words = [m.text for m in lay_out(job, Options(caption=False, title=False)).marks if isinstance(m, Words)]
        assert mode.badge in words
        header = next(csv.reader(io.StringIO(data_csv(job).decode())))
        assert header[-1] == f"value ({mode.badge})"
    assert "edited" not in caption(plain, step)


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("compare", MODES)
def test_a_table_has_every_word_of_what_is_compared(model, code, compare, monkeypatch):
    table = Translator(code)
    monkeypatch.setattr(language, "translator_of", lambda _code: table)
    scene = moment(model, compare, other="the big cat sat", view=ViewOptions())
    names = [spec.key for spec in WORKSPACES if spec.keys and spec.key not in ("heads", "circuits", "flow")]
    for step in [*shown_steps(model.config, 1), *(find_step(name, model.config) for name in names)]:
        made = completed(scene, lambda s, step=step: wants_of_view(s, step), model)
        job = make_job(made, step)
        lay_out(job, Options(language=code))
    for name in ("before", "other", "change", "differ"):
        cell = Cell("blocks.1.attn.pattern", (0, 0, 0), name)
        made = completed(scene, partial(wants_of, cell=cell), model)
        in_language(job_of(view_of(made, cell), ""), code)
    assert sorted(table.missed - {model.name}) == []


def test_a_list_of_figures_holds_an_edited_one_and_makes_it_again_byte_for_byte(model, tmp_path):
    listing = tmp_path / "figures.toml"
    listing.write_text(
        f"""[defaults]
model = "{model.folder}"
prompt = "{TEXT}"
step = "{PATTERN}"
[[figure]]
name = "plain"
[[figure]]
name = "edited"
edit = ["{EDIT}", "blocks.2.attn.z[0]=mean"]
mask = "window:4"
compare = "change"
data = "csv"
""",
        encoding="utf-8",
    )
    assert main(["build", str(listing), "--jobs", "1"]) == 0
    first = {path.name: path.read_bytes() for path in tmp_path.glob("*.svg")}
    assert len(first) == 2
    assert first["edited.svg"] != first["plain.svg"]
    assert main(["build", str(listing), "--jobs", "1", "--force"]) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.svg")} == first
    assert "value (change by the edits)" in (tmp_path / "edited.csv").read_text(encoding="utf-8").split("\n")[0]


def test_every_slide_of_an_edited_deck_says_so(model, tmp_path, capsys):
    out = tmp_path / "deck.pptx"
    arguments = ["deck", TEXT, "--model", str(model.folder), "--edit", EDIT, "--steps", f"tokens,{PATTERN},blocks.2"]
    assert main([*arguments, "--out", str(out), "--jobs", "1"]) == 0
    capsys.readouterr()
    for slide in Presentation(out).slides:
        words = " ".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame)
        assert f"edited: {EDIT}" in words


@pytest.mark.parametrize("edit", ["blocks.1.attn.z[1]=across", "blocks.1.attn.z[1] = across "])
def test_a_head_that_reads_across_is_shown_as_a_rectangle(model, edit):
    scene, shown = view(model, PATTERN, edits=(edit,), other="the big cat sat")
    panel = next(p for p in panels_of(shown.content) if isinstance(p, MapPanel))
    assert panel.values.shape == (11, 15)
    assert np.allclose(panel.values.sum(1), 1, atol=1e-5)
    z = panel.values @ scene.passes.other["blocks.1.attn.v"][1]
    assert np.allclose(z, scene.trace["blocks.1.attn.z"][1], atol=1e-5)
    _, before = view(model, PATTERN, "before", edits=(edit,), other="the big cat sat")
    assert not any(isinstance(p, MapPanel) for p in panels_of(before.content))


def graph_weights(panel):
    """The cell of each edge -> its weight, less where the graph of a difference says so."""
    weights = [s.weight * (panel.full or 1) * (-1 if panel.kinds[s.kind][0] == "less" else 1) for s in panel.strands]
    return dict(zip(panel.edge_source.each, weights, strict=True))


def test_a_graph_of_a_change_has_the_differences_of_the_edges_of_both_graphs(model):
    def graph(compare):
        return next(p for p in panels_of(view(model, "flow", compare, token=2)[1].content))

    after, before, change = (graph_weights(graph(mode)) for mode in ("after", "before", "change"))
    expected = {cell: after.get(cell, 0) - before.get(cell, 0) for cell in after | before}
    expected = {cell: value for cell, value in expected.items() if abs(value) > 1e-5}
    assert expected
    assert change == pytest.approx(expected)
    shown = graph("change")
    assert (shown.edge_source.written, shown.node_source.written) == ("change:flow.edge", "change:flow.node")
    nodes = dict(zip(shown.node_source.each, shown.knots, strict=True))
    for cell, (upper, lower) in zip(shown.edge_source.each, ((s.upper, s.lower) for s in shown.strands), strict=True):
        assert shown.knots[upper] is nodes[cell[0], cell[1]]
        assert shown.positions[shown.knots[lower].column] == cell[2]


def test_graphs_that_only_one_pass_has_edges_of_and_graphs_of_other_positions(model):
    after = next(p for p in panels_of(view(model, "flow", token=2)[1].content))
    none = replace(after, strands=(), edge_source=replace(after.edge_source, each=()))
    assert graph_weights(compared_panel(none, after)) == pytest.approx({c: -w for c, w in graph_weights(after).items()})
    assert graph_weights(compared_panel(after, none)) == pytest.approx(graph_weights(after))
    assert compared_panel(after, after).strands == ()
    assert compared_panel(after, after, (0, None, 1)).note == "not compared: another part of the text"


def test_a_score_that_an_edit_keeps_from_being_a_sum_is_refused_in_the_view_and_shown_before_the_edit(model):
    edits = ("blocks.1.attn.scaled[1, 5, 2]=-inf",)
    _, shown = view(model, "look", edits=edits, token=5)
    words = " ".join(line.remark for p in panels_of(shown.content) if isinstance(p, TextPanel) for line in p.lines)
    assert "blocks.1.attn.scaled is edited" in words
    for compare in ("before", "both"):
        _, shown = view(model, "look", compare, edits=edits, token=5)
        assert any(isinstance(p, MapPanel) for p in panels_of(shown.content))
    scene, _ = view(model, "look", edits=edits, token=5)
    with pytest.raises(ModelError, match="leave that edit out"):
        view_of(scene, Cell("look.relative", (1, 0, 0)))


def test_a_difference_of_a_workspace_s_numbers_names_both_and_not_one_as_the_difference(model):
    cell = Cell("sweep.effect", (0, 0), "change")
    scene, _ = view(model, "sweep", "change")
    after, before = (readout_of(own, Cell("sweep.effect", (0, 0))).value for own in (scene, scene.before))
    after, before = after.partition(";")[0], before.partition(";")[0]
    assert after != before
    assert readout_of(scene, cell).value == f"{after} less {before}"
    lines = next(p.lines for p in panels_of(view_of(scene, cell).content) if isinstance(p, TextPanel))
    assert [line.text for line in lines] == [after, before, f"{after} less {before}"]


@pytest.mark.parametrize("compare", ["both", "pair"])
def test_three_pictures_side_by_side_are_of_the_same_kind_at_every_step(model, compare):
    scene = moment(model, compare)
    for step in shown_steps(model.config, 2):
        kinds = [type(panel) for panel in panels_of(build_view(scene, step).content)]
        assert len(kinds) == 3
        assert len(set(kinds)) == 1, step.key


def test_pictures_side_by_side_have_whole_labels_and_no_stumps_of_words(model):
    def said(name):
        page = Page(LIGHT, fonts.width)
        place_view(view(model, name, "pair", edits=())[1], 900, 900, page)
        return [mark.text for mark in page.marks if isinstance(mark, Words)]

    assert said("why").count("token embedding") == 3
    assert said("why").count("sum of the parts") == 3
    assert not [words for words in said("lens") if words.endswith("…") and len(words) < 5]


def test_side_by_side_the_step_of_what_a_head_reads_shows_z_and_not_the_values(model):
    _, shown = view(model, "blocks.1.attn.z", "both")
    after, before, change = (p for p in panels_of(shown.content))
    assert [p.strips[0].source.name for p in (after, before, change)] == ["blocks.1.attn.z"] * 3
    assert not after.strips[0].values.any()  # the edit mutes this head
    assert before.strips[0].values.any()
    assert np.allclose(change.strips[0].values, -before.strips[0].values)


def test_an_activation_curve_whose_points_moved_along_it_says_that_it_is_not_compared(model):
    _, shown = view(model, "blocks.2.mlp.post", "change")
    (curve,) = (p for p in panels_of(shown.content) if isinstance(p, CurvePanel))
    (own,) = (p for p in panels_of(view(model, "blocks.2.mlp.post")[1].content) if isinstance(p, CurvePanel))
    assert curve.note == "not compared"
    assert curve.source is None
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(curve.lines, own.lines, strict=True))
