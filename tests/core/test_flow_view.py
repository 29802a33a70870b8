"""The flow workspace: nodes and edges are the product's; shares equal those from plain numpy and add up to 1."""

import numpy as np
import pytest

from desktop_app.core.analysis import flow as analysis
from desktop_app.core.analysis.flow import Edge
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import clicked, readout_of, view_of
from desktop_app.core.panels import BarsPanel, GraphPanel, TextPanel
from desktop_app.core.products import completed
from desktop_app.core.session.state import ViewOptions
from desktop_app.core.steps import build_view, workspaces
from desktop_app.core.views import flow
from desktop_app.figures import fonts
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Page, Strands
from desktop_app.figures.theme import LIGHT
from desktop_app.gpt2.errors import ModelError
from tests.scenes import open_tiny, panels, scene_of

TEXT = "Hello, you"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


def scene(model, **state):
    return completed(scene_of(model, TEXT, **state), flow.wants, model)


def place_of(own):
    return next(w for w in workspaces(own.config) if w.key == "flow")


def node_cell(own, n):
    return Cell(flow.NODES, flow.nodes_of(own.made(flow.want(own)))[n])


def edge_cell(own, n):
    return Cell(flow.EDGES, flow.edges_of(own.made(flow.want(own)))[n])


def graph(own):
    (panel,) = panels(build_view(own, place_of(own)).content)
    assert isinstance(panel, GraphPanel)
    return panel


@pytest.mark.parametrize("threshold", ["0.01", "0.1"])
def test_the_graph_is_the_product_s(model, threshold):
    own = scene(model, token=6, view=ViewOptions(flow=threshold))
    made = analysis.compute(model.checkpoint, own.trace, position=6, threshold=float(threshold))
    panel = graph(own)
    assert [(panel.positions[k.column], k.weight) for k in panel.knots] == [(n.position, n.reached) for n in made.nodes]
    assert [s.weight for s in panel.strands] == made.importance.tolist()
    assert min(s.weight for s in panel.strands) >= float(threshold)
    for strand in panel.strands:
        assert panel.knots[strand.upper].level == panel.knots[strand.lower].level + 1
    top = [k for k in panel.knots if k.marked]
    assert [(panel.positions[k.column], k.level) for k in top] == [(6, 2 * model.config.n_layer)]
    assert len(panel.level_labels) == 2 * model.config.n_layer + 1


def test_a_share_is_what_the_vector_would_lose(model):
    own = scene(model)
    last = model.config.n_layer - 1
    panel = graph(own)
    strand = next(s for s in panel.strands if s.upper == 0 and panel.kinds[s.kind][0] == "MLP")
    f, mid, out = (
        own.trace.read(f"blocks.{last}.{name}", row=own.token).astype(np.float64)
        for name in ("resid_post", "resid_mid", "mlp_out")
    )
    bias = own.checkpoint.weights[f"blocks.{last}.mlp.b_out"]
    raw = [max(np.abs(f).sum() - np.abs(f - y).sum(), 0) for y in (mid, out - bias, bias)]
    assert strand.weight == pytest.approx(raw[1] / sum(raw), rel=1e-4)


def test_what_a_node_is_made_of_adds_up_to_one_and_is_said(model):
    own = scene(model)
    for n in range(len(graph(own).knots)):
        made_of = next(panels(view_of(own, node_cell(own, n)).content))
        assert sum(bar.value for bar in made_of.bars) == pytest.approx(1, abs=1e-6)
        assert made_of.note == "shares add up to 1.000"


def test_a_line_opens_to_the_share_made_again_and_one_of_attention_to_heads_and_tokens(model):
    own = scene(model, view=ViewOptions(flow="0.01"))
    made = own.made(flow.want(own))
    assert set(made.kinds) == set(Edge)
    for n, kind in enumerate(made.kinds):
        share = float(made.importance[n])
        lines, *others = panels(view_of(own, edge_cell(own, n)).content)
        assert isinstance(lines, TextPanel)
        assert lines.lines[-1].text == readout_of(own, edge_cell(own, n)).value
        if kind is Edge.ATTENTION:
            heads, tokens = (panel for panel in others if isinstance(panel, BarsPanel))
            assert sum(bar.value for bar in heads.bars) == pytest.approx(share, abs=1e-9)
            marked = [bar for bar in tokens.bars if bar.marked]
            assert [bar.value for bar in marked] == pytest.approx([share])
            assert all(readout_of(own, Cell(*bar.source)) for bar in heads.bars)


def test_a_line_of_attention_takes_the_walk_to_its_strongest_head(model):
    own = scene(model, view=ViewOptions(flow="0.01"))
    made = own.made(flow.want(own))
    n = made.kinds.index(Edge.ATTENTION)
    layer = int(made.nodes[made.upper[n]].tensor.split(".")[1])
    state = clicked(own, edge_cell(own, n))
    expected = (f"blocks.{layer}.attn.pattern", layer, int(made.by_head[n].argmax()))
    assert (state.step, state.layer, state.head) == expected
    assert state.opened == (edge_cell(own, n),)


def test_copied_lines_make_the_shares_again(model, tmp_path, monkeypatch):
    own = scene(model, view=ViewOptions(flow="0.01"))
    monkeypatch.chdir(tmp_path)
    model.engine.trace(own.trace.ids, everything=True).save(tmp_path / "trace.safetensors")
    made, seen = own.made(flow.want(own)), set()
    for n, kind in enumerate(made.kinds):
        if kind not in seen:
            seen.add(kind)
            names = {}
            exec(flow.as_numpy(own, edge_cell(own, n)), names)
            assert names["result"] == pytest.approx(float(made.importance[n]), rel=1e-4)
    for n in (0, 1, len(made.nodes) - 1):
        names = {}
        exec(flow.as_numpy(own, node_cell(own, n)), names)
        assert names["result"].sum() == pytest.approx(1)


def test_the_pointer_finds_the_nearest_line_and_none_where_there_is_none(model):
    own = scene(model)
    page = Page(LIGHT, fonts.width)
    place_view(build_view(own, place_of(own)), 800, 600, page)
    edges, nodes = (c for c in page.cells if isinstance(c, Strands))
    for n, (x0, y0, x1, y1) in enumerate(edges.ends):
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        assert edges.reaches(x, y)
        found = edges.cell(x, y)[1]
        distance = [np.hypot(*(edges.ends[m, :2] + edges.ends[m, 2:]) / 2 - (x, y)) for m in (n, found)]
        assert found == n or distance[1] <= edges.reach * 40  # lines may cross
    assert all(nodes.cell(*ends[:2]) == (0, n) for n, ends in enumerate(nodes.ends))
    assert not edges.reaches(edges.rect.x + 1, edges.rect.y + 1)


@pytest.mark.parametrize("cell", [Cell(flow.EDGES, (9, 9, 9, 9)), Cell(flow.NODES, (-1,)), Cell("flow.other", (0,))])
def test_a_cell_that_is_not_there_is_refused(model, cell):
    with pytest.raises(ModelError, match="There is no flow"):
        readout_of(scene(model), cell)


def test_a_line_is_called_the_same_in_every_graph_that_reaches_it(model):
    fine, coarse = (scene(model, view=ViewOptions(flow=least)) for least in ("0.01", "0.1"))
    shared = flow.edges_of(coarse.made(flow.want(coarse)))
    assert set(shared) < set(flow.edges_of(fine.made(flow.want(fine))))
    for index in shared:
        cell = Cell(flow.EDGES, index)
        assert readout_of(fine, cell).value == readout_of(coarse, cell).value
