"""The circuits workspace: lines have the product's scores, opened numbers are recomputed, heads lead to their pages."""

import numpy as np
import pytest

from desktop_app.core.analysis import circuits as analysis
from desktop_app.core.analysis import head_circuits
from desktop_app.core.analysis.rulers import parse_ruler, vector_of
from desktop_app.core.asking.follow import follow
from desktop_app.core.asking.intents import Open
from desktop_app.core.model import open_model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import clicked, readout_of, view_of
from desktop_app.core.panels import BarsPanel, CurvePanel, GraphPanel, MapPanel, TextPanel
from desktop_app.core.products import completed
from desktop_app.core.program.bundle import default_model
from desktop_app.core.session.state import ViewOptions
from desktop_app.core.steps import build_view, workspaces
from desktop_app.core.views import circuits, head_weights, heads
from tests.scenes import CONFIG, open_tiny, panels, scene_of


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny", CONFIG | {"n_layer": 3})


@pytest.fixture(scope="module")
def bundled():
    return open_model(default_model())


def scene(model, wants=circuits.wants, **state):
    return completed(scene_of(model, "The blue", **state), wants, model)


def shown(own, key="circuits"):
    place = next(w for w in workspaces(own.config) if w.key == key)
    return list(panels(build_view(own, place).content))


@pytest.mark.parametrize("kind", ["all", "q", "v"])
def test_lines_are_the_pairs_beyond_random_from_the_threshold_on(model, kind):
    made = analysis.kept(model.checkpoint)
    kinds = analysis.KINDS if kind == "all" else (kind,)
    beyond = np.concatenate([made.above(k)[np.isfinite(made.above(k))] for k in kinds])
    least = float(np.round(np.sort(beyond)[-4] - 1e-4, 4))
    own = scene(model, view=ViewOptions(circuits=kind, circuits_least=max(least, 0)))
    graph = next(p for p in shown(own) if isinstance(p, GraphPanel))
    assert len(graph.strands) == (beyond >= max(least, 0)).sum()
    for n, strand in enumerate(graph.strands):
        upper, lower = graph.knots[strand.upper], graph.knots[strand.lower]
        assert lower.level < upper.level
        word = graph.kinds[strand.kind][0]
        score = made.composition[word[0]][lower.level, lower.column, upper.level, upper.column]
        assert strand.weight * graph.full == pytest.approx(score - made.random)
        assert float(readout_of(own, Cell(graph.edge_source.name, graph.edge_source.at(0, n))).value) == pytest.approx(
            score, rel=1e-3
        )


def test_a_graph_of_many_pairs_shows_the_strongest_and_says_of_how_many(model, monkeypatch):
    made = analysis.kept(model.checkpoint)
    beyond = np.concatenate([made.above(kind)[np.isfinite(made.above(kind))] for kind in analysis.KINDS])
    monkeypatch.setattr(circuits, "_MOST", 3)
    graph = next(p for p in shown(scene(model, view=ViewOptions(circuits_least=0.0))) if isinstance(p, GraphPanel))
    drawn = sorted((strand.weight * graph.full for strand in graph.strands), reverse=True)
    assert drawn == pytest.approx(np.sort(beyond)[::-1][:3])
    assert graph.title == "The 3 strongest pairs"
    assert graph.note == f"of {(beyond >= 0).sum()} with 0 or more above random"


def test_where_no_pair_reaches_the_threshold_the_largest_is_said(model):
    graph = next(p for p in shown(scene(model, view=ViewOptions(circuits_least=1.0))) if isinstance(p, GraphPanel))
    made = analysis.kept(model.checkpoint)
    largest = analysis.strongest(made, 1)[0][3] - made.random
    assert graph.strands == () and graph.note == f"no pair reaches it; the largest is {largest:+.3f}"


def test_pairs_of_the_shown_head_alone(model):
    own = scene(model, layer=1, head=2, view=ViewOptions(circuits_of="head", circuits_least=0.0))
    graph, bars = (next(p for p in shown(own) if isinstance(p, kind)) for kind in (GraphPanel, BarsPanel))
    mine = next(n for n, knot in enumerate(graph.knots) if knot.marked)
    assert graph.knots[mine].label == "L1H2"
    assert all(mine in (s.upper, s.lower) for s in graph.strands)
    assert all("L1H2" in bar.label for bar in bars.bars)


def test_a_pair_opens_to_norms_that_make_its_score(model):
    made = analysis.kept(model.checkpoint)
    own = scene(model)
    for kind in analysis.KINDS:
        cell = Cell(f"circuits.{kind}", (0, 1, 2, 0))
        lines, *ends = panels(view_of(own, cell).content)
        score = made.composition[kind][cell.index]
        assert isinstance(lines, TextPanel)
        assert float(lines.lines[1].remark.removeprefix("= ")) == pytest.approx(score, rel=1e-3)
        assert len(ends) == 2 and all(isinstance(p, BarsPanel) and p.bars for p in ends)


@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("which", ["copying", "copying_through_mlp"])
def test_a_copying_score_opens_to_its_eigenvalues(model, layer, which):
    made = analysis.kept(model.checkpoint)
    lines, curve = panels(view_of(scene(model), Cell(f"circuits.{which}", (layer, 1))).content)
    assert isinstance(curve, CurvePanel) and len(curve.points[0]) == model.config.d_head
    score = float(getattr(made, which)[layer, 1])
    assert float(lines.lines[1].remark.removeprefix("= ").replace("−", "-")) == pytest.approx(score, rel=2e-3, abs=1e-3)


def test_a_head_leads_to_its_page_and_a_pair_opens(model):
    own = scene(model)
    state = clicked(own, Cell(circuits.HEAD, (2, 1)))
    assert (state.workspace, state.view.heads, state.layer, state.head) == ("heads", "weights", 2, 1)
    state = clicked(own, Cell(circuits.PAIR, (1, 2, 4)))
    assert state.opened == (Cell("circuits.k", (0, 2, 1, 1)),)
    assert (state.layer, state.head) == (1, 1)


def test_copied_lines_make_a_score_again_from_the_weights(model, tmp_path, monkeypatch):
    own, made = scene(model), analysis.kept(model.checkpoint)
    monkeypatch.chdir(tmp_path)
    model.engine.trace(own.trace.ids, everything=True).save(tmp_path / "trace.safetensors")
    for cell in (
        *(Cell(f"circuits.{kind}", (0, 2, 1, 1)) for kind in analysis.KINDS),
        Cell("circuits.copying", (2, 0)),
    ):
        names = {}
        exec(circuits.as_numpy(own, cell), names)
        what = cell.name.removeprefix("circuits.")
        array = made.composition[what] if what in analysis.KINDS else made.copying
        assert names["result"] == pytest.approx(float(array[cell.index]), rel=1e-4)


# A head by its weights


def test_a_heads_page_shows_its_tables_and_every_bar_opens_to_a_dot_product(model):
    own = scene(model, heads.wants, layer=1, head=2, token=1, view=ViewOptions(heads="weights"))
    token = own.trace.ids[1]
    bars = [p for p in shown(own, "heads") if isinstance(p, BarsPanel)]
    for circuit, panel in zip(("OV", "QK"), bars, strict=False):
        made = head_circuits.table(model.checkpoint, circuit, 1, 2, [token])
        values = {bar.source[1][3]: bar.value for bar in panel.bars}
        assert list(values)[:8] == made.promoted[0][:8].tolist()
        assert list(values)[-1] == made.suppressed[0][0]
        assert panel.note == f"itself at rank {made.own_rank[0] + 1}"
        for bar in panel.bars:
            cell = Cell(*bar.source)
            assert float(readout_of(own, cell).value.replace("−", "-")) == pytest.approx(bar.value, rel=2e-3, abs=1e-4)
            strips = [s for p in panels(view_of(own, cell).content) for s in getattr(p, "strips", ())]
            left, right = strips[0].values, strips[1].values
            assert left @ right == pytest.approx(bar.value, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("circuit", ["OV", "QK"])
def test_a_singular_direction_leads_to_its_ruler(model, circuit):
    own = scene(model, heads.wants, layer=1, head=2, token=1, view=ViewOptions(heads="weights"))
    made = head_circuits.singular(model.checkpoint, circuit, 1, 2)
    page = next(p for p in shown(own, "heads") if p.title == f"Directions of W_{circuit}")
    for n, line in enumerate(page.lines):
        there = follow(line.pick, own.state, model)
        assert (there.workspace, there.view.directions) == ("directions", "ruler")
        ruler = parse_ruler(there.view.direction, model.tokenizer)
        assert vector_of(model.checkpoint, ruler, run=None) == pytest.approx(made.reads[n])
        assert float(line.label) == pytest.approx(made.values[n], rel=1e-3)


def test_a_typical_token_opens_to_what_it_promotes_most(model):
    own = scene(model, heads.wants, layer=1, head=2, token=1, view=ViewOptions(heads="weights"))
    page = next(p for p in shown(own, "heads") if p.title == "Tokens for which it writes most")
    ids = head_circuits.typical(model.checkpoint, 1, 2, count=len(page.lines)).tolist()
    table = head_circuits.table(model.checkpoint, "OV", 1, 2, ids)
    for n, line in enumerate(page.lines):
        assert line.pick == Open(Cell("heads.ov", (1, 2, ids[n], int(table.promoted[n][0]))))
        value = float(readout_of(own, line.pick.cell).value.replace("−", "-"))
        assert value == pytest.approx(table.promoted_number[n][0], rel=2e-3, abs=1e-4)


def test_who_can_read_what_a_head_writes_is_in_later_blocks_alone(model):
    own = scene(model, heads.wants, layer=1, head=0, view=ViewOptions(heads="weights"))
    near = shown(own, "heads")[-1]
    kernels = {side: head_circuits.projection_kernel(model.checkpoint, 1, 0, "o", side) for side in "qkv"}
    for bar in near.bars:
        name, index = bar.source
        assert index[:2] == (1, 0) and index[2] == 2
        assert bar.value == pytest.approx(kernels[name[-1]][index[2:]], abs=1e-6)
    last = scene(model, heads.wants, layer=2, view=ViewOptions(heads="weights"))
    assert shown(last, "heads")[-1].note == "no block comes after"


def test_the_bundled_models_induction_circuit_is_seen_in_its_weights(bundled):
    """The keys of the induction head L5H1 read what the previous-token head L3H2 writes, and L5H1 copies."""
    made = analysis.kept(bundled.checkpoint)
    later = made.composition["k"][:, :, 5, 1].copy()
    later[:2] = -1  # without blocks 0 and 1, which every later key reads
    assert np.unravel_index(np.nanargmax(later), later.shape) == (3, 2)
    own = scene(bundled, heads.wants, layer=5, head=1, view=ViewOptions(heads="weights"))
    assert build_view(own, next(w for w in workspaces(own.config) if w.key == "heads")).title.endswith("+1.00")
    found = own.made(head_weights.want(own))
    assert found.ov.own_rank.tolist() == [0]


def test_maps_of_scores_follow_the_switch(model):
    for through in (True, False):
        own = scene(model, view=ViewOptions(stands_for="mlp0" if through else "embedding"))
        grid = next(p for p in shown(own) if isinstance(p, MapPanel))
        made = analysis.kept(model.checkpoint)
        assert grid.values is (made.copying_through_mlp if through else made.copying)
