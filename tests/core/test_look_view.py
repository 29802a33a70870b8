"""The workspace for one attention score: its sums are the model's numbers, and its parts those of plain numpy."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from desktop_app.core.analysis import heads
from desktop_app.core.model import open_model
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import readout_of, view_of
from desktop_app.core.panels import BarsPanel, MapPanel, StripsPanel, TextPanel
from desktop_app.core.products import completed
from desktop_app.core.program.bundle import default_model
from desktop_app.core.session.state import State, ViewOptions
from desktop_app.core.steps import build_view, workspaces
from desktop_app.core.views import look
from desktop_app.gpt2.errors import ModelError
from tests.checkpoints import TINY
from tests.scenes import open_tiny, panels, scene_of

CONFIG = TINY | {"vocab_size": 300, "n_layer": 4}
IDS = (65, 66, 67, 65, 66, 67, 68)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny", CONFIG)


def shown(model, ids=IDS, **state):
    scene = completed(scene_of(model, "", ids, **state), look.wants, model)
    place = next(w for w in workspaces(model.config) if w.key == "look")
    return scene, build_view(scene, place)


def table(made):
    return next(p for p in panels(made.content) if isinstance(p, MapPanel))


@pytest.mark.parametrize("parts", ["parts", "heads", "sublayers", "blocks", "kinds"])
@pytest.mark.parametrize("shows", ["relative", "raw"])
@pytest.mark.parametrize("layer", [0, 3])
def test_the_sums_at_the_edges_are_those_of_the_cells_and_the_last_is_the_model_s_number(model, parts, shows, layer):
    scene, made = shown(model, layer=layer, head=1, token=5, key=2, view=ViewOptions(look=shows, look_parts=parts))
    panel = table(made)
    values = panel.values
    np.testing.assert_allclose(values[:-1, :-1].sum(0), values[-1, :-1], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(values[:-1, :-1].sum(1), values[:-1, -1], rtol=1e-9, atol=1e-9)
    row = scene.trace.read(f"blocks.{layer}.attn.scaled", head=1, row=5)[:6].astype(np.float64)
    own = row[2] - row.mean() if shows == "relative" else row[2]
    assert values[-1, -1] == pytest.approx(own, abs=1e-4 * max(1, np.abs(values).max()))
    assert len(panel.row_labels) == len(values) and len(panel.column_labels) == values.shape[1]
    assert panel.row_labels[-1] == "whole query" and panel.column_labels[-1] == "whole key"


def test_the_parts_of_a_query_and_of_a_key_are_what_numpy_makes_of_them(model):
    """By hand: one head's result in the query times the token embedding in the key, through layer norm, W_Q, W_K."""
    scene, made = shown(model, layer=1, head=2, token=5, key=2, view=ViewOptions(look="raw", look_parts="parts"))
    w = {name: array.astype(np.float64) for name, array in model.checkpoint.weights.items()}
    trace, width, d = scene.trace, model.config.d_head, model.config.n_embd

    def through(part, position, letter):
        scale = float(trace.read("blocks.1.ln1.scale", row=position)[0])
        start = "qkv".index(letter) * d + 2 * width
        return (part - part.mean()) / scale * w["blocks.1.ln1.w"] @ w["blocks.1.attn.W_QKV"][:, start : start + width]

    result = trace.read("blocks.0.attn.z", head=1, row=5) @ w["blocks.0.attn.W_O"][width : 2 * width]
    term = through(result, 5, "q") @ through(trace.read("embed", row=2).astype(float), 2, "k") / np.sqrt(width)
    panel = table(made)
    row, column = panel.row_labels.index("L0H1"), panel.column_labels.index("embed")
    assert panel.values[row, column] == pytest.approx(term, abs=1e-5)


def test_every_cell_opens_to_two_vectors_whose_product_it_is(model):
    for shows in ("relative", "raw"):
        scene, made = shown(model, layer=3, head=0, view=ViewOptions(look=shows))
        panel = table(made)
        for row, column in np.ndindex(panel.values.shape):
            cell = Cell(panel.source.name, panel.source.at(row, column))
            opened = view_of(scene, cell)
            q, k, products = (p.strips[0].values for p in panels(opened.content) if isinstance(p, StripsPanel))
            np.testing.assert_allclose(q * k, products)
            assert products.sum() / np.sqrt(model.config.d_head) == pytest.approx(panel.values[row, column], abs=1e-9)
            assert readout_of(scene, cell).name.count(" × ") == 1


def test_all_parts_together_are_the_model_s_query_and_key(model):
    scene, made = shown(model, layer=3, head=1, token=5, key=2, view=ViewOptions(look="raw"))
    panel = table(made)
    opened = view_of(scene, Cell(panel.source.name, panel.source.at(-1, -1)))
    q, k, _ = (p.strips[0].values for p in panels(opened.content) if isinstance(p, StripsPanel))
    np.testing.assert_allclose(q, scene.trace.read("blocks.3.attn.q", head=1, row=5), atol=1e-4)
    np.testing.assert_allclose(k, scene.trace.read("blocks.3.attn.k", head=1, row=2), atol=1e-4)


def test_a_cell_of_parts_that_are_folded_now_opens_all_the_same(model):
    scene, made = shown(model, layer=3, head=1, view=ViewOptions(look_parts="parts"))
    shown_ids = set(table(made).source.rows)
    hidden = next(n for n in range(15) if n not in shown_ids)
    assert readout_of(scene, Cell("look.relative", (0, hidden, 0))).value
    for index in [(0, 999, 0), (9, 0, 0), (0, 0), (0, -1, 0)]:
        with pytest.raises(ModelError):
            readout_of(scene, Cell("look.relative", index))


@pytest.mark.parametrize("skip", [False, True])
def test_the_key_is_the_one_that_is_looked_at_most_unless_one_is_chosen(model, skip):
    scene, _ = shown(model, layer=2, head=1, token=4, view=ViewOptions(skip_first=skip))
    weights = scene.trace.read("blocks.2.attn.pattern", head=1, row=4)[:5].copy()
    weights[0] = 0 if skip else weights[0]
    assert look.key_of(scene) == int(np.argmax(weights))
    assert look.key_of(replace(scene, state=replace(scene.state, key=3))) == 3
    later = replace(scene, state=replace(scene.state, key=6))  # a key that this query cannot see
    assert look.key_of(later) == int(np.argmax(weights))


@pytest.mark.parametrize("op", ["scores", "scaled", "masked", "pattern"])
def test_a_cell_of_any_attention_grid_leads_to_its_score(model, op):
    state = look.at_cell(model.config, State(), Cell(f"blocks.2.attn.{op}", (1, 5, 3)))
    assert (state.workspace, state.layer, state.head, state.token, state.key) == ("look", 2, 1, 5, 3)


@pytest.mark.parametrize("cell", [None, Cell("blocks.2.attn.q", (1, 5, 3)), Cell("blocks.2.attn.scaled", (1, 3, 5))])
def test_without_such_a_cell_the_score_of_what_is_shown_is_opened(model, cell):
    before = State(layer=1, head=2, token=3)
    assert look.at_cell(model.config, before, cell) == replace(before, workspace="look")


def test_the_mean_of_a_row_under_another_mask_is_not_said_to_be_over_all_earlier_keys(model):
    trace = model.engine.trace(IDS, mask="window:2")
    scene = completed(scene_of(model, "", IDS, trace, layer=1, head=1, token=4, mask="window:2"), look.wants, model)
    (cell,) = [Cell("look.relative", (1, *(side.shown[-1] for side in look._shown(scene)[1:3])))]
    words = [line.remark for line in next(panels(look.open_cell(scene, cell).content)).lines]
    assert not any("keys 0 to" in word for word in words)
    assert any("the keys that the query sees" in word for word in words)


def test_before_the_score_is_opened_the_view_says_so(model):
    scene = scene_of(model, "", IDS)
    (panel,) = panels(look.content(scene).content)
    assert isinstance(panel, TextPanel) and panel.lines[0].text == "Opening the score …"


@pytest.mark.parametrize("shows", ["relative", "raw"])
def test_the_copied_lines_make_every_term_again(model, tmp_path, monkeypatch, shows):
    scene, _ = shown(model, layer=3, head=1, token=5, key=2, view=ViewOptions(look=shows))
    arrays = {name: np.ascontiguousarray(scene.trace.read(name)) for name in scene.trace.table if name != "logits"}
    save_file(arrays, tmp_path / "trace.safetensors")
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(look.as_numpy(scene, None), space)
    score = scene.made(look.want(scene))
    expected = score.relative if shows == "relative" else score.terms
    np.testing.assert_allclose(space["result"], expected, atol=1e-6)


def test_an_induction_head_s_score_opens_to_the_previous_token_head_as_the_largest_key_part():
    """The textbook circuit, in the bundled model; which heads form it is measured, not hard-coded."""
    model = open_model(default_model())
    battery = heads.kept(model.engine, begin=next(iter(model.tokenizer.first), None))
    strongest = {
        name: np.unravel_index(int(np.argmax(battery.scores[name])), battery.scores[name].shape)
        for name in ("induction", "previous")
    }
    layer, head = map(int, strongest["induction"])
    ids = model.tokenizer.encode(" blick wug dax fep tov blick wug dax fep tov").ids
    scene, made = shown(model, ids, layer=layer, head=head, token=len(ids) - 1)
    assert look.key_of(scene) == len(ids) // 2  # the token after the word's first occurrence
    assert table(made).column_labels[0] == "L{}H{}".format(*strongest["previous"])
    closes = next(p for p in panels(made.content) if isinstance(p, BarsPanel) and p.title == "It adds up")
    assert closes.bars[0].value == pytest.approx(closes.bars[1].value, abs=1e-3)


def test_what_rounds_to_nothing_has_no_sign():
    assert look._texts(np.array([[-0.001, 2.1], [0.004, -2.12]]), 2.12) == (("0.00", "2.10"), ("0.00", "−2.12"))
