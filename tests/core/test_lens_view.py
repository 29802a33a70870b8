"""The lens workspace: its cells equal those of the same arithmetic in plain numpy."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import readout_of, view_of
from desktop_app.core.panels import BarsPanel, CurvePanel, MapPanel
from desktop_app.core.products import completed
from desktop_app.core.session.state import ViewOptions
from desktop_app.core.steps import build_view, workspaces
from desktop_app.core.views import lens
from desktop_app.core.want import Made
from desktop_app.figures import fonts
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Heat, Page, Words
from desktop_app.figures.theme import LIGHT
from desktop_app.gpt2.errors import ModelError
from tests.scenes import open_tiny, panels, scene_of

TEXT = "Hello, you"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def place(model):
    return next(w for w in workspaces(model.config) if w.key == "lens")


def scene(model, **state):
    return completed(scene_of(model, TEXT, **state), lens.wants, model)


def distribution(model, trace, point, position):
    """Softmax of the logits that a point would give, in float64."""
    y = trace.read(point, row=position).astype(np.float64)
    w = {name: array.astype(np.float64) for name, array in model.checkpoint.weights.items() if "blocks" not in name}
    normed = (y - y.mean()) / np.sqrt(y.var() + model.config.layer_norm_epsilon) * w["ln_final.w"] + w["ln_final.b"]
    raised = np.exp(w["unembed.W_U"] @ normed - (w["unembed.W_U"] @ normed).max())
    return raised / raised.sum()


def points_of(config):
    inside = [f"blocks.{n}.{part}" for n in range(config.n_layer) for part in ("resid_mid", "resid_post")]
    return ["blocks.0.resid_pre", *inside]


@pytest.mark.parametrize("shows", ["token", "probability", "rank", "entropy", "kl"])
def test_every_cell_says_what_its_point_would_predict(model, place, shows):
    pinned = (101, 7)
    own = scene(model, pinned=pinned, view=ViewOptions(lens=shows))
    grid, curves = panels(build_view(own, place).content)
    assert isinstance(grid, MapPanel) and isinstance(curves, CurvePanel)
    points = points_of(model.config)
    assert grid.values.shape == (len(points), len(own.trace))
    assert curves.source.name == "lens.target_probability"
    drawn = np.concatenate([y for _, y in curves.lines])
    for n, (target, point, position) in enumerate(curves.source.each):
        expected = distribution(model, own.trace, points[point], position)[pinned[target]]
        assert drawn[n] == pytest.approx(expected, rel=1e-4, abs=1e-6) and position == own.token
    for row, point in enumerate(points):
        for position in range(len(own.trace)):
            p = distribution(model, own.trace, point, position)
            final = distribution(model, own.trace, points[-1], position)
            expected = {
                "token": p.max(),
                "probability": p[pinned[0]],
                "rank": 1 + int((p > p[pinned[0]]).sum()),
                "entropy": -(p * np.log(p)).sum(),
                "kl": (final * np.log(final / p)).sum(),
            }[shows]
            assert grid.values[row, position] == pytest.approx(expected, rel=1e-4, abs=1e-6)
            if shows == "token":
                assert grid.texts[row][position] == model.tokenizer.label(int(p.argmax()))
    for n, token in enumerate(pinned):
        _, ys = curves.lines[n]
        through = [distribution(model, own.trace, point, own.token)[token] for point in points]
        np.testing.assert_allclose(ys, through, rtol=1e-4, atol=1e-7)
    assert curves.line_names == tuple(model.tokenizer.label(t) for t in pinned)


def test_the_last_row_is_the_models_own_prediction(model, place):
    own = scene(model)
    grid = next(panels(build_view(own, place).content))
    assert grid.texts[-1][-1] == model.tokenizer.label(int(own.ranked.order[0]))
    assert grid.values[-1, -1] == pytest.approx(float(own.stages.probs_scaled[0]), rel=1e-5)


def test_a_cell_opens_to_the_same_prediction_and_the_readout_says_it(model):
    own = scene(model, pinned=(101,))
    cell = Cell("lens.top_probability", (3, 2))
    p = distribution(model, own.trace, points_of(model.config)[3], 2)
    top = next(x for x in panels(view_of(own, cell).content) if isinstance(x, BarsPanel))
    assert [b.value for b in top.bars[:8]] == pytest.approx(np.sort(p)[::-1][:8].tolist(), rel=1e-9)
    assert top.bars[-1].value == pytest.approx(p[101]) and top.bars[-1].marked
    said = readout_of(own, Cell("lens.target_rank", (0, 3, 2)))
    assert said.value.startswith(f"rank {1 + int((p > p[101]).sum()):,}, ")
    assert said.name == points_of(model.config)[3]


@pytest.mark.parametrize("cell", [None, Cell("lens.kl", (2, 3))])
def test_the_copied_lines_make_the_prediction_again(model, tmp_path, monkeypatch, cell):
    own = scene(model, token=4)
    points = points_of(model.config)
    save_file({name: np.ascontiguousarray(own.trace.read(name)) for name in points}, tmp_path / "trace.safetensors")
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(lens.as_numpy(own, cell), space)
    point, position = (points[2], 3) if cell else (points[-1], 4)
    np.testing.assert_allclose(space["result"], distribution(model, own.trace, point, position), rtol=1e-9)


@pytest.mark.parametrize("index", [(99, 0), (0, 99), (-1, 0), (0,)])
def test_a_cell_that_is_not_there_is_refused(model, index):
    with pytest.raises(ModelError, match="no cell"):
        readout_of(scene(model), Cell("lens.kl", index))


def test_before_it_is_computed_the_view_says_so(model, place):
    (panel,) = panels(build_view(scene_of(model, TEXT), place).content)
    assert panel.lines[0].text == "Reading every point through the unembedding …"


def test_a_grid_with_a_part_of_the_tokens_says_which_they_are(model, place):
    def note(count, token):
        own = scene_of(model, "a" * count, token=token, view=ViewOptions(lens="entropy"))
        return str(next(iter(panels(build_view(completed(own, lens.wants, model), place).content))).note)

    assert "tokens" not in note(8, 2)
    assert note(40, 39).endswith("the last 12 of 40 tokens, all below")
    assert note(40, 20).endswith("tokens 11 to 22 of 40, all below")


def test_a_long_text_on_a_large_vocabulary_is_not_computed_with_the_pass(model):
    short = scene_of(model, TEXT)
    assert lens.want(short).with_pass
    wide = replace(short.checkpoint, config=replace(model.config, n_embd=768, n_layer=12, vocab_size=50257))
    assert not lens.want(replace(short, checkpoint=wide)).with_pass


def test_of_a_long_text_the_words_are_those_around_the_selected_token(model, place):
    """The close-up is a part of the whole, with cells named and selected by their positions in the text."""
    own = completed(scene_of(model, "The cat sat on the mat; " * 3, token=30), lens.wants, model)
    close, _, whole = panels(build_view(own, place).content)
    assert len(own.trace) == whole.values.shape[1] > 20 and not whole.texts
    first = close.first_column
    assert first <= 30 < first + close.values.shape[1] and close.selected_column == 30 - first
    np.testing.assert_array_equal(close.values, whole.values[:, first : first + close.values.shape[1]])
    assert close.source.at(2, 1) == (2, first + 1) and whole.source.at(2, 1) == (2, 1)
    p = distribution(model, own.trace, points_of(model.config)[2], first + 1)
    assert close.texts[2][1] == model.tokenizer.label(int(p.argmax()))


@pytest.fixture
def translators(model, tmp_path):
    """A file of translators, block 1's without a bias, and its contents."""
    rng, width = np.random.default_rng(3), model.config.n_embd
    inside = {f"lens.{n}.weight": rng.normal(size=(width, width)).astype(np.float32) for n in range(2)}
    inside["lens.0.bias"] = rng.normal(size=width).astype(np.float32)
    save_file(inside, tmp_path / "tuned.safetensors")
    return tmp_path / "tuned.safetensors", inside


def through(model, trace, point, position, inside):
    """What a point would predict after its translator, if it has one."""
    layer = {"blocks.0.resid_pre": 0, "blocks.0.resid_post": 1}.get(point)
    y = trace.read(point, row=position).astype(np.float64)
    if layer is not None:
        y = y @ inside[f"lens.{layer}.weight"] + inside.get(f"lens.{layer}.bias", 0)
    w = {name: model.checkpoint.weights[name] for name in ("ln_final.w", "ln_final.b", "unembed.W_U")}
    normed = (y - y.mean()) / np.sqrt(y.var() + model.config.layer_norm_epsilon) * w["ln_final.w"] + w["ln_final.b"]
    raised = np.exp(w["unembed.W_U"] @ normed - (w["unembed.W_U"] @ normed).max())
    return raised / raised.sum()


def test_translators_are_put_before_the_final_norm_at_the_inputs_of_blocks_alone(
    model, place, translators, tmp_path, monkeypatch
):
    path, inside = translators
    own = scene(model, translators=str(path), pinned=(101,))
    grid = next(panels(build_view(own, place).content))
    assert [label.endswith(" T") for label in grid.row_labels] == [True, False, True, False, False]
    assert "T: through a translator" in grid.note
    model.engine.trace(own.trace.ids, everything=True).save(tmp_path / "trace.safetensors")
    monkeypatch.chdir(tmp_path)
    for row, point in enumerate(points_of(model.config)):
        expected = through(model, own.trace, point, 3, inside)
        assert grid.values[row, 3] == pytest.approx(expected.max(), rel=1e-3)
        bars = next(x for x in panels(view_of(own, Cell("lens.kl", (row, 3))).content) if isinstance(x, BarsPanel))
        assert bars.bars[0].value == pytest.approx(expected.max(), rel=1e-5)
        space = {}
        exec(lens.as_numpy(own, Cell("lens.kl", (row, 3))), space)
        np.testing.assert_allclose(space["result"], expected, rtol=1e-5)


def test_translators_that_went_away_or_are_of_another_model_are_told_in_the_view(model, place, translators):
    path, _ = translators
    own = scene(model, translators=str(path))
    path.unlink()
    assert "tuned.safetensors" in view_of(own, Cell("lens.kl", (0, 1))).lead
    again = scene(model, translators=str(path))
    (panel,) = panels(build_view(again, place).content)
    assert "tuned.safetensors" in panel.lines[0].text
    save_file({"lens.0.weight": np.zeros((3, 3), np.float32)}, path)
    (panel,) = panels(build_view(scene(model, translators=str(path)), place).content)
    assert "[3, 3]; this model needs" in panel.lines[0].text


@pytest.mark.parametrize("what", ["attn_out", "mlp_out"])
def test_what_one_sublayer_writes_is_read_alone_and_said_to_be_no_prediction(model, place, what):
    own = scene(model, view=ViewOptions(lens_of=what, lens="kl"), translators="/not/used")
    view = build_view(own, place)
    assert "not a prediction" in view.lead
    grid = next(panels(view.content))
    assert grid.row_labels == (f"0 {what[:-4]}", f"1 {what[:-4]}") and "last row" not in grid.note
    final = distribution(model, own.trace, points_of(model.config)[-1], 2)
    for row in (0, 1):
        p = distribution(model, own.trace, f"blocks.{row}.{what}", 2)
        assert grid.values[row, 2] == pytest.approx(float((final * np.log(final / p)).sum()), rel=1e-3)
    assert "not a prediction" in view_of(own, Cell("lens.kl", (1, 2))).lead


@pytest.mark.parametrize(("letters", "columns"), [(2, 20), (4, 16), (7, 10), (13, 7)])
def test_as_many_columns_have_words_as_leave_them_whole(model, place, letters, columns):
    own = scene_of(model, "a" * 20)
    own = completed(own, lens.wants, model)
    label = replace(own, tokenizer=_Labels(own.tokenizer, "x" * letters))
    close = next(panel for panel in panels(build_view(label, place).content) if isinstance(panel, MapPanel))
    assert len(close.texts[0]) == columns and close.column_labels[-1] == own.labels[-1]


@pytest.mark.parametrize(("shows", "size"), [("probability", 1e-20), ("rank", 99999), ("entropy", 3.0), ("kl", 1e-5)])
def test_as_many_columns_have_numbers_as_leave_them_whole(model, place, shows, size):
    own = completed(scene_of(model, "a" * 20, view=ViewOptions(lens=shows)), lens.wants, model)
    made = own.made(lens.want(own))
    name = {"probability": "target_probability", "rank": "target_rank"}.get(shows, shows)
    made = replace(made, **{name: np.full_like(getattr(made, name), size)})
    own = own.with_made({lens.want(own): Made(made)})
    page = Page(LIGHT, fonts.width)
    place_view(build_view(own, place), 680, 480, page)
    close = next(panel for panel in panels(build_view(own, place).content) if isinstance(panel, MapPanel))
    written = [m.text for m in page.marks if isinstance(m, Words)]
    texts = [text for line in close.texts for text in line]
    assert len(close.texts[0]) >= 12 and written.count(texts[0]) >= len(texts)
    assert not [text for text in written if text.endswith("…")]


class _Labels:
    """A tokenizer whose tokens all look alike."""

    def __init__(self, tokenizer, words):
        self._tokenizer, self._words = tokenizer, words

    def label(self, _token):
        return self._words

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)


def test_the_likeliest_rank_has_the_strongest_colour_and_the_scale_says_so(model, place):
    own = scene(model, view=ViewOptions(lens="rank"))
    grid = next(panel for panel in panels(build_view(own, place).content) if isinstance(panel, MapPanel))
    shades = grid.levels.fraction(np.array([1.0, 2.0, 10.0, grid.levels.high]))
    assert shades[0] == 1 and shades[-1] == 0 and (np.diff(shades) < 0).all()
    page = Page(LIGHT, fonts.width)
    place_view(build_view(own, place), 900, 700, page)
    bar = next(m for m in page.marks if isinstance(m, Heat) and m.fractions.shape == (1, 64))
    assert bar.fractions[0, 0] == 1 and bar.fractions[0, -1] == 0
