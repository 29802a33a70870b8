"""Every view on pages of every width: no words meet or leave the page, and every panel is there to be pointed at."""

import math
from dataclasses import replace

import numpy as np
import pytest

from desktop_app.core.levels import unit
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.view import opening_view
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    CurvePanel,
    Cut,
    Line,
    MapPanel,
    MultiplesPanel,
    TextPanel,
    View,
    column,
)
from desktop_app.core.probabilities import bars_panel
from desktop_app.core.session.state import ViewOptions
from desktop_app.core.steps import STEPS, build_view
from desktop_app.figures import fonts
from desktop_app.figures.export import SIZES, Options, lay_out, make_job
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Dots, Fill, Heat, Page, Rect, Words
from desktop_app.figures.marks import Path as Stroke
from desktop_app.figures.paint_charts import bars_extent, paint_bars
from desktop_app.figures.paint_curves import decades, ticks
from desktop_app.figures.theme import DARK, LIGHT
from desktop_app.gpt2.sampling import Sampling
from tests.figures.boxes import apart, corners, faults
from tests.scenes import BUNDLED, open_tiny, panels, scene_of, shown_steps

LAYER, HEAD = 1, 2
COUNTS = (1, 8, 40, 250)
WIDTHS = (520, 870, 1400)
SCALES = (1.0, 1.5)
OPS = [step.op for step in STEPS]
TEXT = "The fluffy blue creature roamed the verdant forest; “Straße”, naïve 中文 🙂 \t\u200b and <|endoftext|>. " * 9


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def bundled():
    if not (BUNDLED / "config.json").exists():
        pytest.skip("needs the bundled model, which is not in this checkout")
    from desktop_app.core.model import open_model

    return open_model(BUNDLED)


@pytest.fixture(scope="module", params=["tiny", "bundled"])
def model(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def scenes(model):
    """count -> scene of so many tokens."""
    ids = model.tokenizer.encode(TEXT).ids
    sampling = Sampling(temperature=1.5, top_k=40, top_p=0.9)
    found = {}
    for count in COUNTS:
        cut = ids[:count]
        found[count] = scene_of(model, model.tokenizer.decode(cut), cut, layer=LAYER, head=HEAD, sampling=sampling)
    return found


def step_of(scene, op):
    return next(s for s in shown_steps(scene.config, scene.layer) if s.spec.op == op)


@pytest.mark.parametrize("op", OPS)
def test_words_keep_clear_of_each_other_and_on_the_page(scenes, op):
    for count, scene in scenes.items():
        view = build_view(scene, step_of(scene, op))
        for width in WIDTHS:
            for scale in SCALES:
                page = Page(LIGHT, fonts.width, scale)
                height = place_view(view, width, 700, page)
                assert faults(page.marks, width, height) == [], (count, width, scale)


@pytest.mark.parametrize("op", OPS)
def test_words_keep_clear_of_each_other_on_every_page_of_a_figure(scenes, op):
    for count in (1, 40):
        scene = scenes[count]
        job = make_job(scene, step_of(scene, op))
        for size in SIZES:
            sheet = lay_out(job, Options(size=size))
            assert faults(sheet.marks, sheet.width, sheet.height) == [], (count, size)


@pytest.mark.parametrize("op", OPS)
def test_other_ways_to_show_the_same_keep_their_words_clear_too(scenes, op):
    for options in (
        ViewOptions(pattern_scale="log", limits="layer", skip_first=True, sort_neurons=True),
        ViewOptions(pattern_scale="sqrt", keys_down=True),
    ):
        scene = replace(scenes[40], state=replace(scenes[40].state, view=options, token=3, position=5))
        page = Page(DARK, fonts.width)
        height = place_view(build_view(scene, step_of(scene, op)), 870, 700, page)
        assert faults(page.marks, 870, height) == []


@pytest.mark.parametrize("op", OPS)
def test_nothing_that_is_drawn_leaves_the_page(scenes, op):
    for scene in scenes.values():
        for width, given in ((520, 400), (1400, 700)):
            page = Page(LIGHT, fonts.width)
            height = place_view(build_view(scene, step_of(scene, op)), width, given, page)
            places = [m.rect for m in page.marks if isinstance(m, Fill | Heat)] + [c.rect for c in page.cells]
            for r in places:
                assert r.x >= -3
                assert r.y >= -3
                assert r.x + r.w <= width + 3, (op, r)
                assert r.y + r.h <= height + 3, (op, r)


@pytest.mark.parametrize("op", OPS)
def test_every_picture_of_a_view_answers_to_the_pointer(scenes, op):
    view = build_view(scenes[8], step_of(scenes[8], op))
    page = Page(LIGHT, fonts.width)
    place_view(view, 870, 700, page)
    wanted = {p.source.name for p in panels(view.content) if getattr(p, "source", None) is not None}
    wanted |= {s.source.name for p in panels(view.content) for s in getattr(p, "strips", ()) if s.source is not None}
    assert {cells.source.name for cells in page.cells if cells.source is not None} >= wanted


def test_opened_numbers_keep_their_words_clear(scenes, model):
    scene = scenes[40]
    table = scene.trace.table
    names = [n for n, row in table.items() if row.layer in (None, LAYER) and n != "tokens"]
    for name in names:
        index = tuple(0 if axis == "one" else 1 for axis in table[name].axes)
        view = opening_view(scene, Cell(name, index))
        for width in (420, 870):
            page = Page(LIGHT, fonts.width)
            height = place_view(view, width, 700, page)
            assert faults(page.marks, width, height) == [], (name, width)


@pytest.mark.parametrize("width", [240, 300, 420])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_the_bars_beside_the_window_keep_their_words_clear(scenes, width, scale):
    for sampling in (Sampling(), Sampling(top_k=3), Sampling(top_p=0.999), Sampling(greedy=True)):
        scene = replace(scenes[40], state=replace(scenes[40].state, sampling=sampling, pinned=(7, 99), draws=3))
        panel = bars_panel(scene, 20)
        page = Page(LIGHT, fonts.width, scale)
        height = page.u(bars_extent(panel, width * scale, page)[1])
        paint_bars(panel, Rect(0, 0, width * scale, height), page)
        assert faults(page.marks, width * scale, height) == []


# Painters by themselves


def painted(panel, width=500, height=300):
    page = Page(LIGHT, fonts.width)
    place_view(View("", "", column(panel)), width, height, page, heading=False)
    return page


def bars(*values, **options):
    return BarsPanel(bars=tuple(Bar(f"b{n}", v, str(v)) for n, v in enumerate(values)), **options)


def lengths(page):
    """(left, right) of each bar, in order."""
    fills = [m.rect for m in page.marks if isinstance(m, Fill) and m.fill == LIGHT.hues[BarsPanel().hue]]
    return [(r.x, r.x + r.w) for r in fills]


def test_bars_are_as_long_as_their_values():
    spans = [right - left for left, right in lengths(painted(bars(4.0, 2.0, 1.0)))]
    assert spans[1] / spans[0] == pytest.approx(0.5)
    assert spans[2] / spans[0] == pytest.approx(0.25)


@pytest.mark.parametrize("width", [200, 230, 260, 320, 500])
def test_a_name_stays_whole_before_a_remark_is_written(width):
    names = ("neuron 1015", "neuron 148")
    panel = BarsPanel(bars=tuple(Bar(name, 0.2, "0.2118", remark="activation 0.4478") for name in names))
    written = [m.text for m in painted(panel, width).marks if isinstance(m, Words)]
    assert set(names) <= set(written), "which neuron it is must be seen"


def test_negative_bars_go_the_other_way_from_the_same_zero():
    (left_a, right_a), (left_b, right_b) = lengths(painted(bars(3.0, -1.0)))
    assert right_b == pytest.approx(left_a)
    assert (right_a - left_a) / (right_b - left_b) == pytest.approx(3)


def test_bars_that_are_all_negative_take_the_whole_width():
    both, negative = (lengths(painted(bars(*v)))[-1] for v in ((3.0, -3.0), (-1.0, -3.0)))
    assert negative[1] - negative[0] > 1.9 * (both[1] - both[0])


def test_a_value_too_small_for_a_pixel_still_has_a_line_and_zero_has_none():
    assert [right - left >= 1 for left, right in lengths(painted(bars(1.0, 1e-9)))] == [True, True]
    assert len(lengths(painted(bars(1.0, 0.0)))) == 1


def test_two_lines_at_one_place_are_both_written():
    page = painted(bars(3.0, 2.0, cuts=(Cut(1, "one thing"), Cut(1, "another"))))
    words = [m.text for m in page.marks if isinstance(m, Words)]
    assert "one thing" in words
    assert "another" in words
    assert faults(page.marks, 500, 300) == []


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-1, 1, [-1, -0.5, 0, 0.5, 1]), (0.3, 0.31, None), (5, 5, [5])],
)
def test_ticks_are_round_numbers_within_the_limits(low, high, expected):
    found = ticks(low, high)
    if expected is not None:
        assert found == pytest.approx(expected)
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in found)
    assert 1 <= len(found) <= 8


@pytest.mark.parametrize(
    ("counts", "plus", "room", "expected"),
    [
        ((1, 6144), 0, 5, {0: "1", 1: "10", 2: "100", 3: "1,000"}),
        ((0, 1000), 1, 8, {0: "0", math.log10(2): "1", math.log10(11): "10", math.log10(101): "100"}),
        ((1, 50257), 0, 3, {0: "1", 2: "100", 4: "10,000"}),
        ((1, 7), 0, 5, {0: "1", math.log10(2): "2", math.log10(5): "5"}),
        ((3, 4), 0, 5, {math.log10(3): "3", math.log10(4): "4"}),
    ],
)
def test_a_logarithmic_axis_has_counts_at_their_logarithms(counts, plus, room, expected):
    marks = dict(decades(*(math.log10(n + plus) for n in counts), plus, room))
    assert marks.items() >= expected.items() and len(marks) <= max(room, 5)


def test_points_of_a_curve_lie_at_the_logarithms_of_their_counts():
    x, y = np.array([1.0, 10.0, 100.0, 1000.0]), np.array([4.0, 3.0, 2.0, 1.0])
    page = painted(CurvePanel(lines=((x, y),), x_plus=0.0, focus=(100.0, 2.0, "here")))
    (line,) = (m for m in page.marks if isinstance(m, Stroke) and len(m.x) == 4)
    named = {
        m.text: m.x for m in page.marks if isinstance(m, Words) and m.text in {"1", "10", "100", "1,000"} and m.y > 250
    }
    assert np.diff(line.x) == pytest.approx([np.ptp(line.x) / 3] * 3)
    assert [named[word] for word in ("1", "10", "100", "1,000")] == pytest.approx(line.x.tolist())
    (dot,) = (m for m in page.marks if isinstance(m, Dots))
    assert dot.x[0] == pytest.approx(line.x[2])


def test_a_level_line_is_named_where_it_covers_nothing():
    x = np.arange(50.0)
    panel = CurvePanel(points=(x, np.sin(x)), levels_at=((0.2, "mean 0.2"),), band=(-0.5, 0.9), stems=True)
    page = painted(panel)
    (box,) = (m.rect for m in page.marks if isinstance(m, Fill) and m.stroke == LIGHT.line)
    (name,) = (m for m in page.marks if isinstance(m, Words) and m.text == "mean 0.2")
    assert max(y for _, y in corners(name)) <= box.y + 1


def test_a_named_point_beyond_the_axes_says_so_and_where_it_is():
    x = np.linspace(-4, 4, 50)
    inside = painted(CurvePanel(lines=((x, x),), focus=(2.0, 2.0, "neuron 7")))
    assert "neuron 7" in [m.text for m in inside.marks if isinstance(m, Words)]
    assert any(isinstance(m, Dots) for m in inside.marks)
    beyond = painted(CurvePanel(lines=((x, x),), focus=(60.0, 60.0, "neuron 7")))
    assert "neuron 7 beyond, at (60, 60)" in [m.text for m in beyond.marks if isinstance(m, Words)]
    assert not any(isinstance(m, Dots) for m in beyond.marks), "no dot where the point is not"
    assert faults(beyond.marks, 500, 300) == []


def test_the_axis_of_the_activation_reaches_to_the_neuron_that_is_named(scenes):
    for scene in scenes.values():
        curve = next(
            p for p in panels(build_view(scene, step_of(scene, "mlp.post")).content) if p.__class__ is CurvePanel
        )
        x, _, _ = curve.focus
        assert curve.lines[0][0].min() <= x
        assert x <= curve.lines[0][0].max() or x > 16


@pytest.mark.parametrize("width", [220, 320, 420, 700])
def test_small_grids_of_ten_heads_leave_no_hole_in_their_last_row(width):
    patterns = np.ones((10, 8, 8), np.float32)
    panel = MultiplesPanel(values=patterns, levels=unit(), names=tuple(f"head {n}" for n in range(10)))
    page = painted(panel, width, 330)
    rows = {}
    for cells in page.cells:
        rows.setdefault(round(cells.rect.y), []).append(cells.rect.x)
    assert len({len(row) for row in rows.values()}) == 1, rows


def test_a_grid_of_one_token_is_no_stamp(scenes):
    page = Page(LIGHT, fonts.width)
    place_view(build_view(scenes[1], step_of(scenes[1], "pattern")), 900, 560, page)
    assert max(cells.rect.w for cells in page.cells) >= 200


def test_headings_of_the_stages_are_whole_where_the_window_is_small(scenes):
    for width, height in ((700, 540), (760, 430), (520, 700)):
        page = Page(LIGHT, fonts.width)
        place_view(build_view(scenes[8], step_of(scenes[8], "scores")), width, height, page)
        assert {"Scores q·k", "Scaled", "Masked", "Pattern"} <= {m.text for m in page.marks if isinstance(m, Words)}


@pytest.mark.parametrize("op", [op for op in OPS if op not in ("text", "tokens", "append", "draw", "top_k", "top_p")])
def test_a_few_tokens_fill_a_large_page(scenes, op):
    page = Page(LIGHT, fonts.width)
    assert place_view(build_view(scenes[8], step_of(scenes[8], op)), 1300, 900, page) > 0.66 * 900


def test_a_long_list_stands_in_columns():
    lines = tuple(Line(f"tensor {n}", "1.2", "differs by 0") for n in range(60))
    tall, wide = (painted(TextPanel(lines=lines), width=width, height=2000) for width in (300, 1200))
    heights = [max(m.y for m in page.marks if isinstance(m, Words)) for page in (tall, wide)]
    assert heights[1] < 0.5 * heights[0]
    for page in (tall, wide):
        assert [m.text for m in page.marks if isinstance(m, Words)].count("1.2") == 60


@pytest.mark.parametrize("width", [300, 500, 1200])
def test_a_formula_longer_than_its_line_goes_on_below_to_its_result(width):
    text = "(-4.523)·0.05753 + 1.817·0.1307 + (-1.811)·(-0.08240) + 1,021 more + 0.08900 = 1.403"
    page = painted(TextPanel(lines=(Line("with numbers", text), Line("recomputed", "1.403", "differs by 0"))), width)
    words = [m for m in page.marks if isinstance(m, Words) and m.mono]
    assert " ".join(m.text for m in words) == f"{text} 1.403"
    assert [m.y for m in words] == sorted({m.y for m in words}), "each on a line of its own"


def test_a_short_text_fits_a_slide_without_becoming_small(bundled):
    scene = scene_of(bundled, "The Eiffel Tower is in")
    assert place_view(build_view(scene, step_of(scene, "text")), 860, 400, Page(LIGHT, fonts.width)) < 400


def test_one_enormous_dimension_does_not_flatten_a_profile():
    x = np.arange(30.0)
    y = np.sin(x)
    y[3] = 3000
    page = painted(CurvePanel(points=(x, y), levels_at=((0.0, "0"),), band=(-500, 600), stems=True))
    labels = [m.text for m in page.marks if isinstance(m, Words)]
    assert "1" in labels
    assert not {"3000", "500", "−500"} & set(labels)


def test_a_table_narrower_than_its_neighbours_stands_under_them_instead_of_beside():
    from desktop_app.core.panels import row

    tables = tuple(MapPanel(title=f"map {n}", values=np.ones((4, 4)), row_labels=("a",) * 4) for n in range(3))
    for width, beside in ((900, True), (300, False)):
        page = Page(LIGHT, fonts.width)
        place_view(View("", "", row(*tables)), width, 900, page, heading=False)
        assert (len({cells.rect.y for cells in page.cells}) == 1) == beside


def test_a_low_page_gives_the_large_grid_its_height_in_either_arrangement(scenes):
    view = build_view(scenes[40], step_of(scenes[40], "pattern"))
    sides = []
    for content in (replace(view.content, wide=None), view.content.wide):
        page = Page(LIGHT, fonts.width)
        place_view(replace(view, content=content), 918, 460, page)
        sides.append(max(cells.rect.w for cells in page.cells))
    assert min(sides) > 0.6 * 460
    page = Page(LIGHT, fonts.width)
    place_view(view, 918, 460, page)
    assert max(cells.rect.w for cells in page.cells) == sides[1]


def test_the_boxes_of_this_test_see_words_that_meet():
    level = Words(0, 0, "level", 12, "#000000")
    assert not apart(corners(level), corners(replace(level, x=5)))
    assert apart(corners(level), corners(replace(level, y=20)))
    assert not apart(corners(level), corners(replace(level, angle=45, y=2)))
    assert apart(corners(replace(level, angle=55)), corners(replace(level, angle=55, x=16)))
    assert faults([level, replace(level, x=3)], 100, 100)
    assert faults([replace(level, x=90)], 100, 100)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_weight_its_value_and_their_product_stand_in_one_row(scenes, width):
    """The view is read across: the weight of a key, the key's value, what it sends."""
    for count, scene in scenes.items():
        page = Page(LIGHT, fonts.width)
        place_view(build_view(scene, step_of(scene, "z")), width, 700, page)
        bars = [c for c in page.cells if c.source is not None and c.source.name.endswith("attn.pattern")]
        keys = [c.source.index[-1] for c in bars]
        value, product = (c for c in page.cells if c.rows == len(bars) > 1 or (count == 1 and c.label in _MULTIPLIED))
        pattern = scene.trace[scene.block("attn.pattern")][HEAD, scene.token]
        values = scene.trace[scene.block("attn.v")][HEAD]
        np.testing.assert_array_equal(value.values, values[keys])
        np.testing.assert_allclose(product.values, pattern[keys, None] * values[keys], rtol=1e-6)
        assert keys == sorted(keys) and len(keys) == min(count, 20)
        for n, bar in enumerate(bars):
            assert value.source.at(n, 0) == (HEAD, keys[n], 0)
            if value.rect.x > bar.rect.x + bar.rect.w:  # on a narrow page they stand one under the other
                place = value.place(n, 0)
                assert (bar.rect.y, bar.rect.h) == pytest.approx((place.y, place.h))
                assert product.place(n, 0).y == pytest.approx(place.y)


_MULTIPLIED = ("Values v", "Weight × value")


@pytest.mark.parametrize("columns", [8, 13, 14])
def test_a_number_in_a_cell_is_made_smaller_rather_than_cut(columns):
    texts = (("-0.0083", "0.12", "-1.20", "0.00047") * 4)[:columns]
    panel = MapPanel(values=np.zeros((6, columns)), row_labels=("block 0",) * 6, texts=(texts,) * 6, picks=None)
    page = painted(panel, 640)
    shown = [mark.text for mark in page.marks if isinstance(mark, Words) and mark.text in texts]
    assert len(shown) == 6 * columns and faults(page.marks, 640, 400) == []


@pytest.mark.parametrize("width", [400, 480, 560, 640])
def test_a_number_that_does_not_fit_its_cell_is_left_out_and_never_cut(width):
    texts = (("2.2·10⁻¹³", "22,945", "0.12", "−1,250") * 4)[:14]
    panel = MapPanel(values=np.zeros((6, 14)), row_labels=("block 0",) * 6, texts=(texts,) * 6, picks=None)
    shown = [mark.text for mark in painted(panel, width).marks if isinstance(mark, Words)]
    assert not [text for text in shown if "…" in text]
    cut = painted(replace(panel, words=True), width).marks
    assert width != 560 or [mark for mark in cut if isinstance(mark, Words) and "…" in mark.text], "words are cut"


def test_a_number_is_not_cut_where_widths_are_not_proportional_to_the_type_size():
    def wider(text, size, **kind):  # as in the window, where each glyph takes whole pixels
        return math.ceil(fonts.width("0", size, **kind) * 1.02) * len(text)

    texts = (("2.2·10⁻¹³", "22,945", "0.12", "−1,250") * 3,) * 6
    panel = MapPanel(values=np.zeros((6, 12)), row_labels=("block 0",) * 6, texts=texts, picks=None)
    for width in range(560, 900, 10):
        page = Page(LIGHT, wider)
        place_view(View("", "", column(panel)), width, 300, page, heading=False)
        assert not [mark.text for mark in page.marks if isinstance(mark, Words) and "…" in mark.text], width
