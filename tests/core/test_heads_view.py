"""The heads workspace: its pictures, lists and pages compared with plain numpy on the trace and the weights."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from desktop_app.core.analysis import atlas, heads
from desktop_app.core.analysis.measures import MEASURES, SCORES
from desktop_app.core.levels import percent
from desktop_app.core.model import open_model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import clicked, readout_of, view_of
from desktop_app.core.panels import (
    ArcsPanel,
    AtlasPanel,
    BarsPanel,
    Box,
    GridPanel,
    MapPanel,
    ShadedPanel,
    TextPanel,
    View,
    follows,
    of_token,
)
from desktop_app.core.products import completed
from desktop_app.core.program.bundle import default_model
from desktop_app.core.session.state import ViewOptions
from desktop_app.core.steps import build_view, workspaces
from desktop_app.core.views import head_page
from desktop_app.core.views import heads as view
from desktop_app.figures import fonts
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Page, Path, Words
from desktop_app.figures.theme import LIGHT
from desktop_app.gpt2.errors import ModelError
from tests.checkpoints import TINY
from tests.scenes import open_tiny, panels, scene_of

CONFIG = TINY | {"vocab_size": 300, "n_positions": 512}
IDS = (65, 66, 67, 65, 66, 67, 68)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny", CONFIG)


@pytest.fixture(scope="module")
def bundled():
    return open_model(default_model())


def shown(model, ids=IDS, **state):
    scene = completed(scene_of(model, "", ids, **state), view.wants, model)
    place = next(w for w in workspaces(model.config) if w.key == "heads")
    return scene, build_view(scene, place)


def one(made, kind, title=""):
    return next(p for p in panels(made.content) if isinstance(p, kind) and title in p.title)


# Every head


@pytest.mark.parametrize("leave", [False, True])
def test_a_short_text_is_shown_cell_by_cell(model, leave):
    scene, made = shown(model, view=ViewOptions(skip_first=leave))
    grids = one(made, AtlasPanel).values
    assert grids.shape == (model.config.n_layer, model.config.n_head, len(IDS), len(IDS))
    for layer, head in np.ndindex(grids.shape[:2]):
        pattern = scene.trace.read(f"blocks.{layer}.attn.pattern", head=head)
        for query, key in np.ndindex(pattern.shape):
            there = key <= query and not (leave and key == 0)
            assert np.isnan(grids[layer, head, query, key]) != there
            assert not there or grids[layer, head, query, key] == pattern[query, key]


@pytest.mark.parametrize("count", [100, 300])
def test_a_cell_of_a_long_text_is_the_strongest_of_those_that_it_stands_for(model, count):
    ids = [int(i) for i in np.random.default_rng(0).integers(0, 256, count)]
    trace = model.engine.trace(ids)
    made = atlas.compute(trace)
    side = made.grids.shape[-1]
    assert side == 64 and made.every == (1 if count == 100 else 5)
    queries = range((count - 1) % made.every, count, made.every)
    whole = trace.read("blocks.1.attn.pattern", head=2)
    rows = made.grids.shape[2]
    for row in range(rows):
        own = [queries[n] for n in range(row * len(queries) // rows, (row + 1) * len(queries) // rows)]
        for column in range(side):
            keys = range(column * count // side, (column + 1) * count // side)
            seen = [whole[query, key] for query in own for key in keys if key <= query]
            cell = made.grids[1, 2, row, column]
            assert np.isnan(cell) if not seen else cell == pytest.approx(max(seen), rel=1e-5)


def test_only_a_block_s_patterns_are_in_memory_at_a_time(model, monkeypatch):
    trace, read = model.engine.trace(range(300)), []
    known = trace.read
    monkeypatch.setattr(trace, "read", lambda name, **more: read.append((name, more)) or known(name, **more))
    atlas.compute(trace)
    assert read == [(f"blocks.{n}.attn.pattern", {"every": 5}) for n in range(model.config.n_layer)]


def test_a_click_makes_a_head_the_shown_one_and_shows_its_page(model):
    scene, _ = shown(model, layer=0, head=0)
    state = clicked(scene, Cell("heads.head", (1, 2)))
    assert (state.layer, state.head, state.view.heads, state.opened) == (1, 2, "one", ())
    assert clicked(scene, Cell("heads.induction", (1, 2))).opened  # a score is a number, and opens


# Scores and the finder


@pytest.mark.parametrize("by", MEASURES)
def test_heads_stand_in_the_order_of_the_score_that_was_chosen(model, by):
    _, made = shown(model, view=ViewOptions(heads="scores", heads_by=by))
    battery = heads.kept(model.engine, begin=next(iter(model.tokenizer.first), None))
    values = {f"L{n}H{h}": v for (n, h), v in np.ndenumerate(battery.scores[by])}
    listed = one(made, BarsPanel, "All heads by ").bars
    assert [bar.label for bar in listed] == sorted(values, key=lambda name: -values[name])[: len(listed)]
    np.testing.assert_array_equal(one(made, MapPanel).values, battery.scores[by])
    assert SCORES[by] in one(made, BarsPanel, "All heads by ").title


def test_the_heads_most_like_one_are_those_whose_scores_point_the_same_way(model):
    _, made = shown(model, layer=1, head=1, view=ViewOptions(heads_by="like"))
    battery = heads.kept(model.engine, begin=next(iter(model.tokenizer.first), None))
    longest = battery.tokens.shape[1] / 2
    scores = {
        f"L{n}H{h}": np.array([battery.scores[m][n, h] / (longest if m == "distance" else 1) for m in MEASURES])
        for n, h in np.ndindex(battery.scores["first"].shape)
    }
    own = scores["L1H1"]
    cosines = {name: v @ own / np.linalg.norm(v) / np.linalg.norm(own) for name, v in scores.items()}
    listed = one(made, BarsPanel, "likeness to L1H1").bars
    assert listed[0].label == "L1H1" and listed[0].value == pytest.approx(1)
    for bar, name in zip(listed, sorted(cosines, key=lambda n: -cosines[n]), strict=False):
        assert bar.value == pytest.approx(cosines[name])


def test_a_filter_lists_heads_of_the_block_or_with_a_label_alone(bundled):
    _, made = shown(bundled, layer=3, view=ViewOptions(heads_of="block"))
    assert {bar.label[:2] for bar in one(made, BarsPanel, "Heads of block 3").bars} == {"L3"}
    _, made = shown(bundled, view=ViewOptions(heads_of="labelled"))
    assert all(bar.remark for bar in one(made, BarsPanel, "Heads with a label by").bars)


def test_the_bundled_model_s_previous_token_and_induction_heads_are_called_so(bundled):
    for by, words in (("previous", "previous token"), ("induction", "induction")):
        _, made = shown(bundled, view=ViewOptions(heads_by=by))
        first = one(made, BarsPanel, "All heads by ").bars[0]
        assert words in first.remark and first.value > 0.5
        layer, head = first.source[1]
        _, page = shown(bundled, layer=layer, head=head, view=ViewOptions(heads="one"))
        assert page.title.startswith(f"Block {layer} · Head {head} — ") and words in page.title


def test_a_score_opens_to_the_texts_that_it_is_the_mean_of(model):
    scene, _ = shown(model)
    opened = view_of(scene, Cell("heads.induction", (1, 0)))
    battery = heads.kept(model.engine, begin=next(iter(model.tokenizer.first), None))
    each = [bar.value for bar in one(opened, BarsPanel).bars]
    queries, keys = heads.cells("induction", battery.repeated)
    for ids, value in zip(battery.tokens, each, strict=True):
        pattern = model.engine.trace(ids.tolist()).read("blocks.1.attn.pattern", head=0)
        assert value == pytest.approx(float(np.mean([pattern[i, j] for i, j in zip(queries, keys, strict=True)])), 1e-4)
    assert np.mean(each) == pytest.approx(float(battery.scores["induction"][1, 0]))
    said = readout_of(scene, Cell("heads.head", (1, 0)))
    assert said.value.startswith("L1H0: ")


@pytest.mark.parametrize("index", [(99, 0), (0, 99), (0,)])
def test_a_head_that_is_not_there_is_refused(model, index):
    with pytest.raises(ModelError, match="no head"):
        readout_of(shown(model)[0], Cell("heads.induction", index))


def test_before_heads_are_measured_the_patterns_are_there_and_the_rest_says_so(model):
    scene = completed(scene_of(model, "", IDS), view.wants, model, quick_only=True)
    made = view.content(scene)
    assert one(made, AtlasPanel).values.shape[0] == model.config.n_layer
    assert any(
        "Measuring every head …" in line.text
        for p in panels(made.content)
        if isinstance(p, TextPanel)
        for line in p.lines
    )


def test_a_context_too_short_to_repeat_anything_is_told(tmp_path):
    model = open_tiny(tmp_path / "short", CONFIG | {"n_positions": 2})
    _, made = shown(model, (65, 66))
    assert any("at least 3" in p.lines[0].remark for p in panels(made.content) if isinstance(p, TextPanel) and p.lines)


# One head's page


def test_a_page_shades_the_text_by_what_the_token_looks_at_and_by_who_looks_at_it(model):
    scene, made = shown(model, layer=1, head=1, token=4, view=ViewOptions(heads="one"))
    pattern = scene.trace.read("blocks.1.attn.pattern", head=1)
    into, out_of = (p for p in panels(made.content) if isinstance(p, ShadedPanel))
    np.testing.assert_array_equal(into.values[:5], pattern[4, :5])
    np.testing.assert_array_equal(out_of.values[4:], pattern[4:, 4])
    assert np.isnan(into.values[5:]).all() and np.isnan(out_of.values[:4]).all()
    assert out_of.source.at(4, 6) == (1, 6, 4) and into.source.at(4, 2) == (1, 4, 2)
    assert one(made, GridPanel).source.name == "blocks.1.attn.pattern"


@pytest.mark.parametrize("form", ["shaded", "arcs"])
def test_what_follows_the_pointer_shows_each_token_what_it_would_show_if_chosen(model, form):
    options = ViewOptions(heads="one", heads_form=form)
    _, made = shown(model, layer=1, head=1, token=4, view=options)
    for token in range(len(IDS)):
        _, chosen = shown(model, layer=1, head=1, token=token, view=options)
        followed = [p for p in panels(of_token(made, token).content) if follows(p)]
        expected = [p for p in panels(chosen.content) if follows(p)]
        assert len(followed) == (2 if form == "shaded" else 1)
        for one_, other in zip(followed, expected, strict=True):
            assert (one_.title, one_.selected) == (other.title, other.selected)
            np.testing.assert_array_equal(one_.values, other.values)
            assert one_.source == other.source


def test_arcs_are_as_thick_as_the_weights_and_the_chosen_token_s_are_named(model):
    scene, made = shown(model, layer=1, head=1, token=5, view=ViewOptions(heads="one", heads_form="arcs"))
    pattern = scene.trace.read("blocks.1.attn.pattern", head=1)
    panel = one(made, ArcsPanel)
    assert np.isnan(panel.values[np.triu_indices(len(IDS), 1)]).all()
    np.testing.assert_array_equal(np.tril(np.nan_to_num(panel.values)), np.tril(pattern))
    page = Page(LIGHT, fonts.width)
    place_view(replace(made, content=Box((panel,))), 900, 500, page)
    arcs = [m for m in page.marks if isinstance(m, Path) and len(m.x) > 2]
    assert len(arcs) == int((np.tril(pattern) >= panel.least).sum())
    top = max(range(6), key=lambda j: pattern[5, j])
    assert percent(float(pattern[5, top])) in [m.text for m in page.marks if isinstance(m, Words)]
    width = {round(12 * float(pattern[5, j]), 6) for j in range(5) if pattern[5, j] >= 0.1}
    assert width <= {round(m.width, 6) for m in arcs}
    for cells in page.cells:
        (_, query, key) = cells.source.at(0, 0)
        assert query == 5 and cells.values[0, 0] == pattern[5, key]


@pytest.mark.parametrize("width", [900, 90])
def test_under_another_mask_arcs_lead_to_later_tokens_too(model, width):
    trace = model.engine.trace(IDS, mask="none")
    looks = ViewOptions(heads="one", heads_form="arcs")
    scene = scene_of(model, ids=IDS, trace=trace, layer=1, head=1, token=5, view=looks, mask="none")
    place = next(p for p in workspaces(model.config) if p.key == "heads")
    panel = one(build_view(completed(scene, place.spec.wants, model), place), ArcsPanel)
    pattern = trace.read("blocks.1.attn.pattern", head=1)
    np.testing.assert_array_equal(panel.values, pattern)
    page = Page(LIGHT, fonts.width)
    place_view(View("", "", Box((panel,))), width, 500, page)
    arcs = [m for m in page.marks if isinstance(m, Path) and len(m.x) > 2]
    assert len(arcs) == int((pattern >= panel.least).sum()) > len(IDS)
    assert all(np.isfinite(mark.x).all() and np.isfinite(mark.y).all() for mark in arcs)


def test_the_strongest_pairs_leave_the_first_token_out(model):
    scene, made = shown(model, layer=1, head=1, view=ViewOptions(heads="one"))
    pattern = scene.trace.read("blocks.1.attn.pattern", head=1)
    pairs = sorted(((i, j) for i in range(len(IDS)) for j in range(1, i + 1)), key=lambda at: -pattern[at])
    assert [bar.source[1][1:] for bar in one(made, BarsPanel, "Strongest").bars] == pairs[:8]
    assert head_page.strongest_pairs(np.ones((1, 1)), 8) == []


def test_under_a_mask_that_shows_later_tokens_pairs_and_copied_scores_count_them(model, tmp_path, monkeypatch):
    trace = model.engine.trace(IDS, mask="none")
    scene = scene_of(model, "", IDS, trace, layer=1, head=1, mask="none", view=ViewOptions(heads="one"))
    pattern = trace.read("blocks.1.attn.pattern", head=1)
    pairs = sorted(((i, j) for i in range(len(IDS)) for j in range(1, len(IDS))), key=lambda at: -pattern[at])
    assert head_page.strongest_pairs(pattern, 8) == pairs[:8]
    trace.save(tmp_path / "trace.safetensors")
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(view.as_numpy(scene, None), space)
    own = heads.on_text(model.checkpoint, trace)
    for name, value in space["result"].items():
        assert value == pytest.approx(float(own.scores[name][1, 1]), rel=1e-5)


def test_what_a_head_adds_is_its_z_through_its_rows_of_w_o(model):
    scene, _ = shown(model, layer=1, head=2, token=3)
    width, weight = model.config.d_head, model.checkpoint.weights["blocks.1.attn.W_O"]
    result = scene.trace.read("blocks.1.attn.z", head=2, row=3) @ weight[2 * width : 3 * width]
    length, before = head_page.result_norm(scene)
    assert length == pytest.approx(float(np.linalg.norm(result)), rel=1e-5)
    assert before == pytest.approx(float(np.linalg.norm(scene.trace.read("blocks.1.resid_pre", row=3))), rel=1e-5)


# Summaries


@pytest.mark.parametrize(("shows", "layers"), [("block", (1,)), ("mean", (0, 1))])
def test_a_mean_is_the_mean_of_the_patterns(model, shows, layers):
    scene, made = shown(model, layer=1, view=ViewOptions(heads=shows))
    patterns = [
        scene.trace.read(f"blocks.{n}.attn.pattern", head=h) for n in layers for h in range(model.config.n_head)
    ]
    values = one(made, GridPanel).values
    lower = np.tril(np.ones(values.shape, bool))
    np.testing.assert_allclose(values[lower], np.mean(patterns, 0)[lower], rtol=1e-5)
    cell = Cell("heads.summary", (5, 2))
    assert readout_of(scene, cell).name == "mean attention"
    listed = one(view_of(scene, cell), BarsPanel).bars
    assert listed[0].value == pytest.approx(max(float(p[5, 2]) for p in patterns))


def test_rollout_is_called_a_baseline_and_goes_without_the_first_token(model):
    _, made = shown(model, view=ViewOptions(heads="rollout", skip_first=True))
    assert "baseline" in made.title and "baseline" in made.lead
    values = one(made, GridPanel).values
    assert np.isnan(values[:, 0]).all()
    np.testing.assert_allclose(np.nansum(values[1:], 1), 1, rtol=1e-5)


# Copied


@pytest.mark.parametrize("leave", [False, True])
def test_the_copied_lines_make_the_scores_on_this_text_again(model, tmp_path, monkeypatch, leave):
    scene, _ = shown(model, layer=1, head=2, view=ViewOptions(heads="one", skip_first=leave))
    names = ("tokens", "blocks.1.attn.pattern")
    save_file({name: np.ascontiguousarray(scene.trace.read(name)) for name in names}, tmp_path / "trace.safetensors")
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(view.as_numpy(scene, None), space)
    made = heads.on_text(scene.checkpoint, scene.trace, leave_first=leave)
    for name, value in space["result"].items():
        assert value == pytest.approx(float(made.scores[name][1, 2]), rel=1e-5), name
    assert set(space["result"]) == {"previous", "self", "duplicate", "induction"} | ({"first"} if not leave else set())


def test_a_head_that_is_not_the_shown_one_has_its_own_page(model):
    scene, made = shown(model, layer=0, head=0, view=ViewOptions(heads="one"))
    other = replace(scene, state=replace(scene.state, layer=1, head=1))
    assert view.content(other).title.startswith("Block 1 · Head 1") and made.title.startswith("Block 0 · Head 0")
