"""Pictures of a model with GPT-2's quirks, for three tokens up to a full context: none hides numbers or misleads."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from desktop_app.core.panels import (
    AtlasPanel,
    BarsPanel,
    CurvePanel,
    GridPanel,
    MapPanel,
    MultiplesPanel,
    ShadedPanel,
    StripsPanel,
)
from desktop_app.core.products import completed
from desktop_app.core.session.state import ViewOptions, with_option
from desktop_app.core.sheet.values import SheetValues
from desktop_app.core.steps import STEPS, build_view, workspaces
from desktop_app.core.workspaces import WORKSPACES
from desktop_app.figures import fonts
from desktop_app.figures.export import SIZES, Options, lay_out, make_job
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Fill, Page, Path, Picture, Rect, Words
from desktop_app.figures.paint_charts import paint_bars
from desktop_app.figures.paint_curves import paint_curve
from desktop_app.figures.paint_sheet import paint_legend
from desktop_app.figures.theme import LIGHT, THEMES
from tests.figures.boxes import faint, faults
from tests.quirky import COUNTS, DEAD, DEAD_AT, LARGE, MIDDLE, SINK, SINKS, open_quirky
from tests.scenes import panels, scene_of, shown_steps

LAYER = 1
OPS = [step.op for step in STEPS]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_quirky(tmp_path_factory.mktemp("models") / "quirky")


@pytest.fixture(scope="module")
def scene(model):
    """(count, state) -> the scene of so many tokens."""
    ids = np.random.default_rng(1).integers(0, 256, max(COUNTS)).tolist()

    @cache
    def trace(count):
        return model.engine.trace(tuple(ids[:count]))

    def make(count, **state):
        cut = tuple(ids[:count])
        return scene_of(model, model.tokenizer.decode(cut), cut, trace(count), **{"layer": LAYER, **state})

    return make


def view_of(scene, op):
    return build_view(scene, next(s for s in shown_steps(scene.config, LAYER) if s.spec.op == op))


def pictures(panel):
    """The arrays that a panel draws in colours."""
    if isinstance(panel, StripsPanel):
        return [np.asarray(s.values) for s in panel.strips]
    coloured = MapPanel | GridPanel | MultiplesPanel | AtlasPanel | ShadedPanel
    return [panel.values] if isinstance(panel, coloured) else []


def silent_about(job, size):
    """The pictures of a figure with cells beyond their limits of which it does not say how many; and what it says."""
    sheet = lay_out(job, Options(size=size))
    assert faults(sheet.marks, sheet.width, sheet.height) == [], size
    assert faint(sheet.marks, THEMES["light"].background) == [], size
    words = [m.text for m in sheet.marks if isinstance(m, Words)]
    found = []
    for panel in {id(p): p for p in panels(job.view.content)}.values():
        beyond = sum(panel.levels.beyond(values) for values in pictures(panel)) if pictures(panel) else 0
        if beyond and not any(f"{beyond:,} beyond" in text for text in words):
            found.append((panel.title, beyond))
    return found, words


def test_the_quirks_are_there(scene):
    for count in COUNTS:
        now = scene(count)
        first = now.trace.read(f"blocks.{LAYER}.resid_pre", row=0)
        assert np.abs(first[list(LARGE)]).min() > 2700
        assert np.abs(np.delete(first, list(LARGE))).max() < 10
        for head in range(3):
            pattern = now.trace.read(f"blocks.{LAYER}.attn.pattern", head=head, row=count - 1)
            assert (pattern[0] > 0.9) == (head in SINKS and count < 1024) or head in SINKS
            assert now.trace.read(f"blocks.{LAYER}.attn.q", head=head)[:, 0].min() > 50 or head not in SINKS
        pre = now.trace.read(f"blocks.{LAYER}.mlp.pre")
        assert np.allclose(pre[:, DEAD], DEAD_AT)
        assert -130 < now.ranked.logits.min() < now.ranked.logits.max() < -70


@pytest.mark.parametrize("op", OPS)
def test_every_picture_can_be_read_and_says_what_lies_beyond(scene, op):
    for count in COUNTS:
        now = scene(count)
        job = make_job(now, next(s for s in shown_steps(now.config, LAYER) if s.spec.op == op))
        for size in ("slide", "column"):
            assert silent_about(job, size)[0] == [], (count, size)


WORKSPACE_FORMS = [
    *(("heads", "heads", shows) for shows in ("patterns", "scores", "one", "weights", "block", "mean", "rollout")),
    *(("lens", "lens", shows) for shows in ("token", "probability", "rank", "entropy", "kl")),
    *(("look", "look", how) for how in ("relative", "raw")),
    *(("sweep", "sweep", shows) for shows in ("heads", "mlps")),
    *((key, "", "") for key in ("why", "flow", "masks", "predictions", "circuits", "map", "superposition")),
    ("directions", "direction", "blocks.1.mlp.W_out[3]"),
]
"""Every workspace that needs nothing but a model and a text, in its forms."""
LONG = {("heads", "scores"), ("heads", "one"), ("look", "raw"), ("lens", "kl"), ("masks", ""), ("predictions", "")}
"""Those that are drawn at every length here; the others at two."""


def test_the_matrix_holds_every_workspace_with_a_tab_that_a_model_and_a_text_are_enough_for():
    others = {"sheet", "training", "evidence"}  # the sheet has its own tests below; the others need files
    assert {key for key, _, _ in WORKSPACE_FORMS} == {spec.key for spec in WORKSPACES if spec.keys} - others


@pytest.mark.parametrize(("key", "option", "value"), WORKSPACE_FORMS)
def test_every_workspace_can_be_read_and_says_what_lies_beyond(model, scene, key, option, value):
    place = next(w for w in workspaces(model.config) if w.key == key)
    for count in COUNTS if (key, value) in LONG else COUNTS[:2]:
        now = scene(count)
        if option:
            now = replace(now, state=with_option(now.state, option, value))
        now = completed(now, place.spec.wants, model)
        for size in ("slide", "column"):
            assert silent_about(make_job(now, place), size)[0] == [], (count, size)


def sheet_job(model, scene, count, **view):
    place = next(w for w in workspaces(model.config) if w.key == "sheet")
    now = completed(scene(count, step=f"blocks.{LAYER}.attn.scores", view=ViewOptions(**view)), place.spec.wants, model)
    return make_job(now, place)


@pytest.mark.parametrize("count", COUNTS)
def test_no_quirk_sets_the_scale_of_a_tensor_on_the_sheet(scene, count):
    values = SheetValues(scene(count).trace)
    for name in values.trace.table:
        if name == "tokens" or name.endswith(("pattern", "scale", "mean")):
            continue
        whole = np.asarray(values.trace[name])
        if name == "logits":
            whole = whole - whole.mean(1, keepdims=True)  # as they are coloured
        high, whole = values.levels(name).high, np.abs(whole)
        rest = whole[np.isfinite(whole)]
        assert np.percentile(rest, 90) > high / 12 or name.endswith("mlp.post"), name
        if name.endswith(("attn.q", "attn.scores", "attn.scaled", "attn.masked")):
            assert high < SINK / 3.5, name
        if ".mlp." in name:
            assert high < -DEAD_AT / 2, name
        if name.endswith(("resid_pre", "resid_mid", "resid_post", "embed")):
            assert high < 100, name


def test_the_scales_of_the_sheet_hold_at_every_length(scene):
    highs = {}
    for count in COUNTS:
        values = SheetValues(scene(count).trace)
        for name in values.trace.table:
            if name != "tokens" and not name.endswith(("pattern", "scale", "mean")):
                highs.setdefault(name, []).append(values.levels(name).high)
    for name, found in highs.items():
        assert max(found) < 4.5 * min(found), (name, found)


@pytest.mark.parametrize("count", COUNTS)
def test_logits_around_minus_a_hundred_have_all_colours_on_the_sheet_and_the_legend_says_how(model, scene, count):
    job = sheet_job(model, scene, count)
    (panel,) = panels(job.view.content)
    logits = [panel.sheet.plates[n] for n in panel.sheet.of_tensor("logits")]
    levels = panel.values.levels("logits")
    assert levels.high < 40, "the logits themselves are around -100"
    at = np.concatenate([
        levels.fraction(panel.values.pooled(p, 1, range(min(p.rows, 64)))).ravel() for p in logits
    ])  # fmt: skip
    assert np.percentile(at, 10) < 0.4 and np.percentile(at, 90) > 0.6, "as many above the mean as below"
    page = Page(LIGHT, fonts.width)
    paint_legend(replace(panel, here=tuple(panel.sheet.of_tensor("logits"))), Rect(0, 0, 500, 60), page, "")
    words = [m.text for m in page.marks if isinstance(m, Words)]
    assert any("less the mean of its row" in text for text in words), words


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("size", ["poster", "page", "column"])
def test_the_sheet_says_how_many_numbers_lie_beyond_its_limits(model, scene, count, size):
    job = sheet_job(model, scene, count)
    words = silent_about(job, size)[1]
    (panel,) = panels(job.view.content)
    name = f"blocks.{LAYER}.attn.scores"
    whole = np.abs(scene(count).trace[name])
    beyond = np.count_nonzero(whole > panel.levels.high)
    assert beyond >= count, "the keys that every query looks at"
    assert name in words and any(f"{beyond:,} beyond" in text for text in words)
    total = sum(panel.values.scale(n).beyond for n in panel.values.trace.table if n != "tokens")
    assert total > beyond and any(f"{total:,} beyond in all" in text for text in words)


def test_limits_set_by_hand_are_those_of_every_tensor_of_the_sheet(model, scene):
    job = sheet_job(model, scene, 128, limit=2.0, pattern_limit=0.25)
    (panel,) = panels(job.view.content)
    words = [m.text for m in lay_out(job, Options(size="page")).marks if isinstance(m, Words)]
    for name in ("embed", "blocks.0.mlp.pre", f"blocks.{LAYER}.attn.scores"):
        assert (panel.values.levels(name).low, panel.values.levels(name).high) == (-2, 2)
    assert panel.values.levels("blocks.0.attn.pattern").high == 0.25
    beyond = np.count_nonzero(np.abs(scene(128).trace[f"blocks.{LAYER}.attn.scores"]) > 2)
    patterns = sum(np.count_nonzero(scene(128).trace[f"blocks.{n}.attn.pattern"] > 0.25) for n in range(2))
    for words_wanted in ("−2", "2", "0.25", f"{beyond:,} beyond", f"{patterns:,} beyond", "set by hand"):
        assert any(words_wanted in text for text in words), words_wanted
    free = sheet_job(model, scene, 128)
    one, other = (
        next(m.pixels for m in lay_out(j, Options(size="page")).marks if isinstance(m, Picture)) for j in (job, free)
    )
    assert (one != other).any()


@pytest.mark.parametrize("op", OPS)
def test_no_picture_is_one_flat_colour_and_none_changes_its_scale_as_the_text_grows(scene, op):
    scales = {}
    for count in COUNTS:
        for n, panel in enumerate(panels(view_of(scene(count), op).content)):
            found = [v for v in pictures(panel)]
            if not found or not panel.levels.diverging or panel.title == "Weight × value":
                continue  # keys with tiny weights contribute almost nothing, compared with the values themselves
            scales.setdefault((n, panel.title.split(":")[0]), []).append(panel.levels.high)
            sizes = np.concatenate([np.abs(v[np.isfinite(v)]).ravel() for v in found])
            # Most cells use a good part of the scale, so a few cells do not set it.
            assert np.percentile(sizes, 90) > panel.levels.high / 12, (panel.title, count)
    for title, highs in scales.items():
        assert max(highs) < 4.5 * min(highs), (title, highs)


@pytest.mark.parametrize("count", COUNTS)
def test_limits_of_scores_are_those_of_the_other_keys(scene, count):
    (large,) = (p for p in panels(view_of(scene(count), "scores").content) if type(p) is GridPanel and not p.small)
    others = np.abs(large.values[:, 1:])
    assert large.levels.high <= others.max()
    assert large.levels.high < SINK / 4
    assert large.levels.beyond(large.values) >= count


@pytest.mark.parametrize("count", COUNTS)
def test_a_few_large_query_dimensions_do_not_set_the_scale(scene, count):
    for op in ("qkv", "heads"):
        for panel in panels(view_of(scene(count), op).content):
            if pictures(panel):
                assert panel.levels.high < SINK / 4, (op, panel.title)


def test_stems_beyond_the_frame_are_marked_counted_and_told(scene):
    view = view_of(scene(128, token=0), "ln1")
    profile = next(p for p in panels(view.content) if isinstance(p, CurvePanel) and p.title.endswith("resid_pre"))
    for width, height in ((400, 170), (320, 140)):
        page = Page(LIGHT, fonts.width)
        paint_curve(profile, Rect(0, 0, width, height), page)
        words = " ".join(m.text for m in page.marks if isinstance(m, Words))
        assert "3 beyond the axes" in words
        assert "3100" in words
        assert "at 70" in words
        arrows = [m for m in page.marks if isinstance(m, Path) and len(m.x) == 3]
        assert len(arrows) == 3
        box = next(m.rect for m in page.marks if isinstance(m, Fill) and m.fill == LIGHT.panel)
        up = sorted(round(float(m.y[1] - box.y), 3) for m in arrows)
        assert up == pytest.approx([0, 0, box.h], abs=0.01), "two at the upper edge, one at the lower"
        scale = [m.text for m in page.marks if isinstance(m, Words) and m.align == "right"]
        assert "0" in scale
        assert len(scale) >= 3
        low, high = (float(t.replace("−", "-")) for t in (scale[0], scale[-1]))
        assert low < 0 < high < 100


def test_stems_that_fit_are_not_cut(scene):
    view = view_of(scene(128, token=60), "ln1")
    for panel in panels(view.content):
        if isinstance(panel, CurvePanel):
            page = Page(LIGHT, fonts.width)
            paint_curve(panel, Rect(0, 0, 400, 170), page)
            assert not any("beyond" in m.text for m in page.marks if isinstance(m, Words))


def bar_lengths(panel, width=500):
    page = Page(LIGHT, fonts.width)
    paint_bars(panel, Rect(0, 0, width, 400), page)
    return [m.rect.w for m in page.marks if isinstance(m, Fill) and m.fill == LIGHT.hues[panel.hue]]


def test_the_best_logit_has_the_longest_bar_and_the_note_says_where_bars_begin(scene):
    now = scene(16)
    panel = next(p for p in panels(view_of(now, "logits").content) if isinstance(p, BarsPanel))
    lengths = bar_lengths(panel)
    logits = np.sort(now.ranked.logits)[::-1][: len(lengths)]
    assert logits[0] < -70
    assert lengths == sorted(lengths, reverse=True)
    above = logits - now.ranked.logits.mean()
    assert np.allclose(np.array(lengths) / lengths[0], above / above[0], rtol=1e-3)
    said = re.search("bars begin at the mean of all, −(.*)", panel.note)
    assert float(said[1]) == pytest.approx(-MIDDLE, abs=10)


def test_silent_neurons_are_told_apart_and_are_not_the_strongest(scene):
    for count in COUNTS:
        now = scene(count)
        found = list(panels(view_of(now, "mlp.pre").content))
        bars = next(p for p in found if isinstance(p, BarsPanel))
        names = {int(bar.label.split()[1]) for bar in bars.bars}
        assert names.isdisjoint(DEAD)
        pre = now.trace.read(f"blocks.{LAYER}.mlp.pre", row=now.token)
        assert bars.bars[0].value == pytest.approx(pre.max())
        silent = int(re.search(r"([\d,]+) silent neurons", bars.cuts[-1][1])[1].replace(",", ""))
        assert silent >= len(DEAD)
        assert any(f"{silent:,} silent at every token" in p.note for p in found)
        assert all(p.levels.high < -DEAD_AT / 2 for p in found if pictures(p))
        post = next(p for p in panels(view_of(now, "mlp.post").content) if isinstance(p, StripsPanel))
        assert post.levels.high < -DEAD_AT / 2


def test_the_gelu_view_says_how_many_points_its_axes_leave_out(scene):
    now = scene(128)
    curve = next(p for p in panels(view_of(now, "mlp.post").content) if isinstance(p, CurvePanel))
    page = Page(LIGHT, fonts.width)
    paint_curve(curve, Rect(0, 0, 400, 200), page)
    pre = now.trace.read(f"blocks.{LAYER}.mlp.pre", row=now.token)
    outside = int(((pre < curve.x_range[0]) | (pre > curve.x_range[1])).sum())
    assert outside >= len(DEAD)
    assert any(f"{outside} beyond the axes" in m.text for m in page.marks if isinstance(m, Words))


def test_a_pattern_without_position_0_has_numbers_that_say_something(scene):
    now = scene(3, view=ViewOptions(skip_first=True))
    page = Page(LIGHT, fonts.width)
    place_view(view_of(now, "pattern"), 1200, 800, page)
    pattern = now.trace.read(f"blocks.{LAYER}.attn.pattern", head=0)
    texts = [m.text for m in page.marks if isinstance(m, Words)]
    assert "0.00" not in texts
    assert "1.00" not in texts
    assert 0 < pattern[2, 1] < 0.005
    mantissa, _, power = f"{pattern[2, 1]:.1e}".partition("e")
    assert any(t.startswith(mantissa) for t in texts), (pattern[2, 1], power)


@pytest.mark.parametrize("count", COUNTS[:2])
def test_a_pattern_without_position_0_is_coloured_up_to_its_largest_weight(scene, count):
    now = scene(count, view=ViewOptions(skip_first=True))
    for panel in panels(view_of(now, "pattern").content):
        if isinstance(panel, GridPanel) and not panel.small:
            pattern = now.trace.read(f"blocks.{LAYER}.attn.pattern", head=0)
            assert panel.levels.high == pytest.approx(pattern[:, 1:].max())
            assert panel.levels.high < 0.05
            assert np.isnan(panel.values[:, 0]).all()


@pytest.mark.parametrize("size", SIZES)
def test_the_indices_of_an_opened_number_are_never_cut(model, scene, size):
    from desktop_app.core.model import Model
    from desktop_app.figures.subject import find_cell, subject_job

    assert isinstance(model, Model)
    job = subject_job(find_cell("blocks.1.mlp_out[3,50]", model.config), model, scene(16))
    (bars,) = (p for p in panels(job.view.content) if isinstance(p, BarsPanel) and p.title == "Largest terms")
    texts = [m.text for m in lay_out(job, Options(size=size)).marks if isinstance(m, Words)]
    for bar in bars.bars:
        assert bar.label in texts


def test_bars_beside_each_other_are_as_long_as_their_numbers_say(scene):
    from desktop_app.gpt2.sampling import Sampling

    now = scene(16, sampling=Sampling(temperature=0.5, top_k=40, top_p=0.9))
    for op in ("temperature", "top_k", "top_p", "probabilities"):
        page = Page(LIGHT, fonts.width)
        place_view(view_of(now, op), 1200, 700, page)
        left, right = (p for p in panels(view_of(now, op).content) if isinstance(p, BarsPanel))
        unit = set()
        for panel in (left, right):
            fills = [m.rect.w for m in page.marks if isinstance(m, Fill) and m.fill == LIGHT.hues[panel.hue]]
            unit.add(round(max(fills) / max(b.value for b in panel.bars if b.kept), 1))
        assert len(unit) == 1, (op, unit)
