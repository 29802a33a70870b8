"""Directions in the window: cosines are those of plain numpy, rulers are kept and steer a pass, reasons are said."""

import numpy as np
import pytest

from desktop_app.core.analysis import rulers
from desktop_app.core.asking.commands import COMMANDS
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import readout_of, view_of
from desktop_app.core.panels import BarsPanel, CloudPanel, MapPanel, TextPanel
from desktop_app.core.products import completed
from desktop_app.core.session.state import State, ViewOptions
from desktop_app.core.steps import build_view, workspaces
from desktop_app.core.views import directions
from desktop_app.gpt2.errors import LogitscopeError
from tests.scenes import CONFIG, open_tiny, panels, scene_of


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny", CONFIG | {"n_layer": 3})


def scene(model, direction="", shows="sum", **state):
    view = ViewOptions(direction=direction, directions=shows)
    return completed(scene_of(model, "abcab", view=view, **state), directions.wants, model)


def shown(own):
    place = next(w for w in workspaces(own.config) if w.key == "directions")
    return list(panels(build_view(own, place).content))


def centred(model):
    table = model.checkpoint.weights["embed.W_E"].astype(np.float64)
    return table - table.mean(0)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_without_a_direction_the_neighbours_of_the_selected_token_are_shown(model):
    own = scene(model, token=1)
    rows, token = centred(model), own.trace.ids[1]
    expected = sorted((-cosine(r, rows[token]), t) for t, r in enumerate(rows) if t != token)
    bars = next(p for p in shown(own) if isinstance(p, BarsPanel)).bars
    assert [bar.source[1][0] for bar in bars] == [t for _, t in expected[: len(bars)]]
    assert [bar.value for bar in bars] == pytest.approx([-c for c, _ in expected[: len(bars)]], abs=1e-5)


def test_a_sum_is_drawn_with_its_arrows_and_every_number_opens(model):
    own = scene(model, "'a' - 'b' + 'c' = 'd'")
    rows = centred(model)
    a, b, c, d = (model.tokenizer.encode(letter).ids[0] for letter in "abcd")
    wanted = rows[a] - rows[b] + rows[c]
    bars, cloud = shown(own)
    for bar in bars.bars:
        cell = Cell(*bar.source)
        assert bar.value == pytest.approx(cosine(rows[cell.index[0]], wanted), abs=1e-5)
        strips = [s for p in panels(view_of(own, cell).content) for s in getattr(p, "strips", ())]
        assert strips[0].values @ strips[1].values == pytest.approx(bar.value, abs=1e-5)
    better = sum(cosine(r, wanted) > cosine(rows[d], wanted) for t, r in enumerate(rows) if t not in (a, b, c))
    assert bars.note == f"'d' has rank {better + 1}"
    (start, end), (third, total) = cloud.arrows
    assert [cloud.labels[n] for n in (start, end, third, total)] == ["b", "a", "c", "the sum"]
    one, other = cloud.points[end] - cloud.points[start], cloud.points[total] - cloud.points[third]
    assert one == pytest.approx(other, abs=1e-6)  # the same vector as from b to a
    assert readout_of(own, Cell("directions.cosine", (300,))).value == "1.000"


def test_a_ruler_lies_against_the_text_at_every_block(model):
    own = scene(model, "blocks.1.mlp.W_out[5]", "ruler")
    vector = model.checkpoint.weights["blocks.1.mlp.W_out"][5].astype(np.float64)
    grid = next(p for p in shown(own) if isinstance(p, MapPanel))
    for point, name in enumerate(rulers.points(model.config)):
        for position in range(5):
            x = own.trace.read(name, row=position).astype(np.float64)
            expected = cosine(x - x.mean(), vector - vector.mean())
            assert grid.values[point, position] == pytest.approx(expected, abs=1e-6)
            cell = Cell("directions.ruler", (point, position))
            assert float(readout_of(own, cell).value.replace("−", "-")) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_the_text_in_a_plane_is_its_own_components(model):
    own = scene(model, shows="plane", layer=2)
    (cloud,) = shown(own)
    assert isinstance(cloud, CloudPanel)
    x = own.trace.read("blocks.2.resid_post").astype(np.float64)
    x -= x.mean(-1, keepdims=True)
    x /= np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    x -= x.mean(0)
    assert np.linalg.norm(cloud.points, axis=0) == pytest.approx(np.linalg.svd(x)[1][:2], rel=1e-5)
    ends = [cloud.labels[int(cloud.points[:, 0].argmin())], cloud.labels[int(cloud.points[:, 0].argmax())]]
    assert all(end.split()[0] in cloud.x_label for end in ends)


def test_what_is_no_direction_says_why_in_place_of_the_view(model):
    (panel,) = shown(scene(model, "uncle - man"))
    assert isinstance(panel, TextPanel) and "' uncle' is 6 tokens" in panel.lines[0].remark


# Rulers


def run(model):
    return lambda text: model.engine.trace(model.tokenizer.encode(text).ids)


def test_every_kind_of_direction_is_the_vector_that_it_names(model):
    weights, tokenizer = model.checkpoint.weights, model.tokenizer
    rows = centred(model)
    a, b = (tokenizer.encode(letter).ids[0] for letter in "ab")
    d, h = model.config.n_embd, model.config.d_head
    gain = weights["blocks.1.ln1.w"].astype(np.float64)[:, None]
    value = gain * weights["blocks.1.attn.W_QKV"][:, 2 * d + 2 * h : 2 * d + 3 * h]
    ov = (value - value.mean(0)) @ weights["blocks.1.attn.W_O"][2 * h : 3 * h]
    u, _, vt = np.linalg.svd(ov)
    ends = [run(model)(text)["blocks.2.resid_pre"][-1].astype(np.float64) for text in ("ab", "cd")]
    for text, expected in {
        "'a' - 'b'": rows[a] - rows[b],
        "blocks.2.mlp.W_out[7]": weights["blocks.2.mlp.W_out"][7],
        "blocks.1.attn.W_OV[2, 0].reads": u[:, 0],
        "up: blocks.1.attn.W_OV[2, 1].writes": vt[1],
        '"ab" - "cd" at blocks.2.resid_pre': ends[0] - ends[1],
    }.items():
        ruler = rulers.parse_ruler(text, tokenizer)
        found = rulers.vector_of(model.checkpoint, ruler, run(model))
        assert abs(cosine(found, expected)) == pytest.approx(1, abs=1e-6), text
        assert ruler.name == ("up" if text.startswith("up") else "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("blocks.9.mlp.W_out[7]", "no neuron 7 of block 9"),
        ("blocks.0.attn.W_OV[0, 99].reads", "8 singular directions"),
        ("blocks.0.attn.W_OV[9, 0].reads", "no head 9"),
        ("blocks.0.attn.W_OV", "not a direction"),
        ('"ab" - "cd" at nowhere', "not a point of the residual stream"),
        ("'a' - 'a'", "is zero"),
    ],
)
def test_a_direction_that_is_not_there_is_refused(model, text, words):
    with pytest.raises(LogitscopeError, match=words):
        rulers.vector_of(model.checkpoint, rulers.parse_ruler(text, model.tokenizer), run(model))


def test_a_direction_steers_a_pass_from_a_position_on(model):
    direction, site = np.random.default_rng(2).standard_normal(24), "blocks.1.resid_pre"
    ids = model.tokenizer.encode("abcab").ids
    plain, steered = model.engine.trace(ids), model.engine.trace(ids, edits=(rulers.steering(direction, site, 3.0, 2),))
    moved = steered[site].astype(np.float64) - plain[site]
    assert moved[:2] == pytest.approx(np.zeros((2, 24)), abs=1e-6)
    assert moved[2:] == pytest.approx(np.tile(3 * direction, (3, 1)), abs=1e-5)


def test_directions_are_kept_and_gone_through(model):
    changes = {command.id: command.change for command in COMMANDS}
    state = State(view=ViewOptions(direction="gender: woman - man"))
    state = changes["ruler_keep"](state, model)
    assert state.rulers == ("gender: woman - man",)
    other = changes["ruler_keep"](State(rulers=state.rulers, view=ViewOptions(direction="cat - dog")), model)
    assert other.rulers == ("gender: woman - man", "cat - dog")
    assert changes["ruler_next"](other, model).view.direction == "gender: woman - man"
    assert changes["ruler_keep"](other, model).rulers == ("gender: woman - man",)
