"""The sheet of a whole pass: every number in one place, what a pixel stands for, where one is, and the way about."""

import gc
import math
import pickle
import tracemalloc
import weakref
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from desktop_app.core.asking.follow import follow
from desktop_app.core.asking.intents import Visit
from desktop_app.core.levels import diverging
from desktop_app.core.session.state import State
from desktop_app.core.sheet.camera import DEPTHS, framed, here, nearer, travel
from desktop_app.core.sheet.layout import Box, lay_out_sheet, roads
from desktop_app.core.sheet.pooling import strongest
from desktop_app.core.sheet.scales import Colours, chosen_columns, natural
from desktop_app.core.sheet.values import SheetValues
from desktop_app.core.steps import find_step, step_list
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.tensors import tensor_table
from tests.checkpoints import TINY
from tests.scenes import open_tiny, scene_of

SHAPES = {
    "tiny": TINY,
    "bundled": TINY | {"n_layer": 6, "n_head": 8, "n_embd": 256, "vocab_size": 4096, "n_positions": 1024},
    "small": TINY | {"n_layer": 12, "n_head": 12, "n_embd": 768, "vocab_size": 50257, "n_positions": 1024},
    "xl": TINY | {"n_layer": 48, "n_head": 25, "n_embd": 1600, "vocab_size": 50257, "n_positions": 1024},
}


def config_of(name):
    return parse_config({k: v for k, v in SHAPES[name].items() if k != "n_inner"}, name)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def scene(model):
    return scene_of(model, layer=1, head=2)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("positions", [1, 5, 20, 64, 1000])
def test_every_number_of_every_tensor_lies_on_the_sheet_once(name, positions):
    config = config_of(name)
    positions = min(positions, config.n_positions)
    sheet = lay_out_sheet(config, positions)
    lying = {}
    for plate in sheet.plates:
        own = lying.setdefault(plate.name, [])
        own.append((plate.head, plate.first, plate.rows, plate.columns))
    table = tensor_table(config)
    assert set(lying) == set(table)
    for tensor, row in table.items():
        shape = row.spec.shape(config, positions)
        cells = {
            (head, column) for head, first, _, columns in lying[tensor] for column in range(first, first + columns)
        }
        width = shape[-1] if len(shape) > 1 else 1
        assert (
            len(cells)
            == sum(columns for *_, columns in lying[tensor])
            == (shape[0] if row.spec.per_head else 1) * width
        )
        assert {rows for *_, rows, _ in lying[tensor]} == {positions}
    assert sheet.cells == sum(math.prod(row.spec.shape(config, positions)) for row in table.values())


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("positions", [1, 20, 64, 1000])
def test_no_two_pictures_overlap_and_each_lies_on_its_card_and_begins_at_a_whole_pixel_of_every_size(name, positions):
    sheet = lay_out_sheet(config_of(name), min(positions, SHAPES[name]["n_positions"]))
    grid = np.zeros((-(-sheet.height // sheet.gap), -(-sheet.width // sheet.gap)), np.int32)
    for plate in sheet.plates:
        assert plate.x % sheet.gap == plate.y % sheet.gap == 0
        assert math.log2(plate.cell_w).is_integer() and math.log2(plate.cell_h).is_integer()
        right, low = plate.x + plate.columns * plate.cell_w, plate.y + plate.rows * plate.cell_h
        grid[plate.y // sheet.gap : -(-low // sheet.gap), plate.x // sheet.gap : -(-right // sheet.gap)] += 1
    assert grid.max() == 1
    for card in sheet.cards:
        for n in card.plates:
            box = sheet.plates[n].box
            assert card.box.x <= box.x and box.x + box.w <= card.box.x + card.box.w
            assert card.box.y <= box.y and box.y + box.h <= card.box.y + card.box.h
            assert sheet.card_of(n) is card
    assert 0.6 < sheet.width / sheet.height < 3.2


def test_a_token_is_the_same_line_through_a_whole_line_of_pictures(scene):
    sheet = lay_out_sheet(scene.config, len(scene.trace))
    for _, lane in next(c for c in sheet.cards if c.layer == 1).lanes:
        rows = {p.cell_box(3, 0).y for p in sheet.plates if lane.holds(p.x, p.y)}
        assert len(rows) == 1


def test_the_road_leads_from_block_to_block_without_a_gap():
    sheet = lay_out_sheet(config_of("small"), 64)
    ways = list(roads(sheet))
    assert len(ways) == 12
    for one, other in pairwise(ways):
        assert one[-1] == other[0]
        assert all(a == c or b == d for (a, b), (c, d) in pairwise(one))  # straight on or round a corner


def test_a_point_of_the_sheet_is_the_cell_that_lies_there(scene):
    sheet = lay_out_sheet(scene.config, len(scene.trace))
    for n in range(0, len(sheet.plates), 7):
        plate = sheet.plates[n]
        row, column = plate.rows - 1, plate.columns // 2
        box = plate.cell_box(row, column)
        assert sheet.plate_at(box.x + box.w / 2, box.y + box.h / 2) == n
        assert plate.cell_at(box.x + box.w / 2, box.y + box.h / 2) == (row, column)
        assert sheet.region_boxes(plate.name, plate.source.at(row, column)) == [box]
    assert sheet.plate_at(-1, -1) is None


CELLS = st.floats(-100, 100, width=32) | st.just(np.float32(np.nan))
TABLES = arrays(np.float32, st.tuples(st.integers(1, 17), st.integers(1, 19)), elements=CELLS)


@settings(max_examples=60, deadline=None)
@given(TABLES, st.integers(1, 5), st.integers(1, 5))
def test_a_pixel_is_the_cell_of_largest_magnitude_of_its_block_with_its_sign(values, rows, columns):
    found = strongest(values, rows, columns)
    assert found.shape == (-(-values.shape[0] // rows), -(-values.shape[1] // columns))
    for r, c in np.ndindex(*found.shape):
        block = values[r * rows : (r + 1) * rows, c * columns : (c + 1) * columns].ravel().tolist()
        there = [v for v in block if not math.isnan(v)]
        if not there:
            assert math.isnan(found[r, c])
        else:
            assert abs(found[r, c]) == max(map(abs, there)) and found[r, c] in there


def as_coloured(name, whole):
    """A tensor's numbers as the sheet colours them: logits less the mean of their row."""
    if name != "logits":
        return whole
    return np.float32(whole) - np.float32(whole.mean(-1, keepdims=True, dtype=float))


@pytest.mark.parametrize("units", [1, 2, 4, 16, 64])
def test_what_is_shown_at_any_size_is_pooled_from_the_pass_s_own_numbers(scene, units):
    sheet, values = lay_out_sheet(scene.config, len(scene.trace)), SheetValues(scene.trace)
    names = ("blocks.1.attn.scores", "blocks.0.mlp.pre", "ln_final.scale", "logits", "blocks.1.resid_post")
    for name in names:
        whole = as_coloured(name, np.asarray(scene.trace[name]))
        for n in sheet.of_tensor(name):
            plate = sheet.plates[n]
            own = whole[plate.head] if plate.head is not None else whole
            own = own[:, plate.first : plate.first + plate.columns]
            by = max(1, units // plate.cell_h), max(1, units // plate.cell_w)
            pooled = values.pooled(plate, units, range(-(-plate.rows // by[0])))
            for r, c in [(0, 0), (pooled.shape[0] - 1, pooled.shape[1] - 1)]:
                block = own[r * by[0] : (r + 1) * by[0], c * by[1] : (c + 1) * by[1]]
                assert pooled[r, c] == pytest.approx(block.flat[np.abs(block).argmax()], rel=1e-6)


def test_what_the_mask_hides_is_not_there(scene):
    sheet, values = lay_out_sheet(scene.config, len(scene.trace)), SheetValues(scene.trace)
    for name in ("blocks.1.attn.pattern", "blocks.1.attn.masked"):
        plate = sheet.plates[sheet.of_tensor(name, 2)[0]]
        cells = values.cells(plate, range(plate.rows), range(plate.columns))
        assert np.isnan(cells[np.triu_indices(plate.rows, 1)]).all()
        shown = cells[np.tril_indices(plate.rows)]
        assert (shown == scene.trace[name][2][np.tril_indices(plate.rows)]).all()


def hidden_and_whole(scene, name):
    """A tensor with what the mask hides as NaN."""
    whole = np.array(scene.trace[name], np.float64)
    if name.endswith(("masked", "pattern")):
        whole[:, ~np.tri(whole.shape[-1], dtype=bool)] = np.nan
    return whole


@pytest.mark.parametrize("colours", [Colours(), Colours("log", 0.5, 0.1)])
def test_the_number_of_cells_beyond_a_tensor_s_limits_is_counted_over_all_of_it(scene, colours):
    values = SheetValues(scene.trace, colours)
    for name in ("blocks.1.attn.scores", "blocks.1.attn.masked", "blocks.0.attn.pattern", "logits", "ln_final.scale"):
        levels, whole = values.levels(name), as_coloured(name, hidden_and_whole(scene, name))
        outside = (whole > levels.high) | (whole < levels.low)
        assert values.scale(name).beyond == np.count_nonzero(outside & np.isfinite(whole)), name
        assert (levels.high == (0.1 if "pattern" in name else 0.5)) == (colours.limit is not None)
    assert values.beyond(["logits", "blocks.0.attn.pattern"]) == sum(
        values.scale(name).beyond for name in ("logits", "blocks.0.attn.pattern")
    )


def test_the_limits_of_a_tensor_are_those_of_all_its_numbers(scene):
    values = SheetValues(scene.trace)
    for name in ("blocks.1.attn.scores", "blocks.0.attn.q", "blocks.1.resid_post", "logits"):
        whole = as_coloured(name, hidden_and_whole(scene, name))
        found = diverging(*whole.reshape(-1, *whole.shape[-2:]), rule="this tensor")
        assert values.levels(name).high == pytest.approx(found.high, rel=1e-6), name
        assert values.levels(name).centred == (name == "logits")


def test_logits_are_coloured_less_the_mean_of_their_row_and_keep_their_numbers(scene):
    # Adding a number to every logit of a position changes nothing, and GPT-2's own are around -100.
    sheet, values = lay_out_sheet(scene.config, len(scene.trace)), SheetValues(scene.trace)
    plate = sheet.plates[sheet.of_tensor("logits")[0]]
    rows, columns = range(2, 9), range(3, 40)
    logits = np.asarray(scene.trace["logits"], float)
    assert np.array_equal(values.cells(plate, rows, columns), scene.trace["logits"][2:9, 3:40])
    less = (logits - logits.mean(1, keepdims=True))[2:9, 3:40]
    assert values.shades(plate, rows, columns) == pytest.approx(less, abs=1e-5)
    other = next(p for p in sheet.plates if p.name == "embed")
    assert np.array_equal(values.shades(other, rows, range(5)), values.cells(other, rows, range(5)))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(32, 300), st.integers(32, 300), st.integers(0, 99), st.booleans())
def test_limits_of_a_sample_leave_out_as_many_numbers_as_those_of_the_whole(heads, rows, columns, seed, sink):
    """A sample of 16,384 cells has at its 99.5th percentile a share of 0.5 +- 0.06 % above it, one in 15,000 beyond 4
    of these."""
    random = np.random.default_rng(seed)
    tables = random.standard_normal((heads, rows, columns)).astype(np.float32)
    if sink:
        tables[:, :, 0] = 60
    most = max(1, (1 << 14) // (heads * rows))
    drawn = [table[:, chosen_columns(columns, most, n)] for n, table in enumerate(tables)]
    levels = natural("blocks.0.attn.scores", None, drawn)
    rest = np.abs(tables[:, :, 1:] if sink else tables)
    cells = min(heads * rows * most, heads * rows * columns)
    share = np.count_nonzero(rest > levels.high) / rest.size
    off = 0.0005 + 4 * math.sqrt(0.005 / cells) + 4 / cells
    # A sink that is itself just less than 0.5 % of all cells leaves none of the others beyond.
    assert (0 if sink else 0.005 - off) <= share <= 0.005 + off, (share, cells)
    assert levels.high < 6, "the sink does not set it"


def test_of_a_large_tensor_columns_are_drawn_the_same_ones_every_time(scene, monkeypatch):
    monkeypatch.setattr("desktop_app.core.sheet.values.MOST", 1500)
    name = "blocks.1.attn.scores"
    one, other = SheetValues(scene.trace), SheetValues(scene.trace)
    assert one.scale(name) == other.scale(name)
    high, whole = one.levels(name).high, np.abs(scene.trace[name])
    assert np.quantile(whole, 0.97) < high <= whole.max()
    assert one.scale(name).beyond == np.count_nonzero(whole > high), "counted over all of them"
    count = len(scene.trace)
    most = max(1, 1500 // (scene.config.n_head * count))
    assert 1 <= len(chosen_columns(count, most, 0)) == most < count


def test_a_difference_of_two_passes_is_computed_cell_by_cell(model):
    one, other = scene_of(model), scene_of(model, ids=tuple(reversed(scene_of(model).trace.ids)))
    sheet, mine, theirs = lay_out_sheet(one.config, len(one.trace)), SheetValues(one.trace), SheetValues(other.trace)
    less = mine.less(theirs)
    assert less.same_numbers(mine.less(theirs)), "computed once"
    for name in ("blocks.1.attn.pattern", "blocks.1.mlp.pre", "logits"):
        plate = sheet.plates[sheet.of_tensor(name, 1)[0]]
        cells = less.cells(plate, range(plate.rows), range(plate.columns))
        own, others = (
            np.asarray(t[name])[1] if plate.head == 1 else np.asarray(t[name]) for t in (one.trace, other.trace)
        )
        wanted = (own - others)[:, plate.first : plate.first + plate.columns]
        if name.endswith("pattern"):
            wanted = np.where(np.tri(plate.rows, dtype=bool), wanted, np.nan)
        assert np.array_equal(cells, wanted, equal_nan=True)
        assert less.levels(name).diverging and less.levels(name).low == -less.levels(name).high
    assert less.coloured(Colours(limit=0.25)).levels("blocks.1.attn.pattern").high == 0.25
    mine, theirs = mine.coloured(mine.colours, [theirs]), theirs.coloured(theirs.colours, [mine])
    for name in ("blocks.1.attn.scores", "logits"):
        assert mine.levels(name).high == theirs.levels(name).high
        assert mine.levels(name).high == max(SheetValues(s.trace).levels(name).high for s in (one, other))


def test_passes_that_share_scales_and_are_subtracted_are_freed_without_pythons_search_for_cycles(model):
    """Each keeps what it computed with the other; a closed window would wait for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        one, other = (SheetValues(scene_of(model, text).trace) for text in ("ABCD", "ABXD"))
        for a, b in ((one, other), (other, one)):
            a.less(b).scale("embed")
            a.coloured(a.colours, [b]).scale("embed")
            assert a.less(b).known("embed") is not None and a.less(b).same_numbers(a.less(b))
        alive = [weakref.ref(each) for each in (one, other, one.trace, other.trace)]
        del one, other, a, b
        assert [each() for each in alive] == [None] * 4
    finally:
        gc.enable()


def test_a_difference_of_texts_of_other_lengths_follows_their_alignment(model):
    one = scene_of(model)
    ids = one.trace.ids
    other = scene_of(model, ids=(ids[0], *ids[2:]))
    alignment = (0, None, *range(1, len(ids) - 1))
    sheet, less = lay_out_sheet(one.config, len(ids)), SheetValues(one.trace).less(SheetValues(other.trace), alignment)
    rows, keys = [n for n in range(len(ids)) if n != 1], [n for n in range(len(ids)) if n != 1]
    for name in ("blocks.1.attn.scores", "blocks.1.resid_post"):
        plate = sheet.plates[sheet.of_tensor(name, 2)[0]]
        cells = less.cells(plate, range(plate.rows), range(plate.columns))
        own, others = (np.asarray(s.trace[name]) for s in (one, other))
        own, others = (own[2], others[2]) if plate.head == 2 else (own, others)
        grid = name.endswith("scores")
        assert np.array_equal(
            cells[rows][:, keys] if grid else cells[rows], own[rows][:, keys] - others if grid else own[rows] - others
        )
        assert np.isnan(cells[1]).all() and (not grid or np.isnan(cells[:, 1]).all())


def test_pooled_numbers_are_dropped_when_they_take_more_than_their_bound(scene, monkeypatch):
    monkeypatch.setattr("desktop_app.core.sheet.values._KEPT", 20_000)
    sheet, values = lay_out_sheet(scene.config, len(scene.trace)), SheetValues(scene.trace)
    for plate in sheet.plates:
        if plate.axes > 1:
            values.pooled(plate, 1, range(plate.rows))
    assert values._store.held == sum(piece.nbytes for piece in values._store.pieces.values()) <= 20_000 + 40_000


def test_a_sheet_holds_no_more_than_its_pooled_numbers(tmp_path, monkeypatch):
    """The numbers of a pass whose tensors are derived when read go by; what is held then and meanwhile is counted."""
    monkeypatch.setattr("desktop_app.gpt2.engine.CAPTURE_LIMIT", 0)
    kept, read = 200_000, 20_000
    monkeypatch.setattr("desktop_app.core.sheet.values._KEPT", kept)
    monkeypatch.setattr("desktop_app.core.sheet.values._READ", read)
    monkeypatch.setattr("desktop_app.core.sheet.values._PIECE", read)
    monkeypatch.setattr("desktop_app.core.sheet.values.MOST", read)
    scene = scene_of(open_tiny(tmp_path / "tiny"), "The cat sat on the mat. " * 10)
    trace, before = scene.trace, scene.trace._cached_bytes
    sheet, values = lay_out_sheet(scene.config, len(trace)), SheetValues(trace)
    whole = sum(4 * plate.rows * plate.columns for plate in sheet.plates)
    gc.collect()
    tracemalloc.start()
    for plate in sheet.plates:
        if plate.axes > 1:
            values.scale(plate.name)
            for units in (1, 4):
                values.pooled(plate, units, range(-(-plate.rows // units)))
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert trace._cached_bytes == before, "derived tensors go by"
    assert whole > 20 * kept and values._store.held <= kept
    assert now < 3 * kept and peak < whole / 4, "beside them, masks and the scales"


@pytest.mark.parametrize("name", ["bundled", "small"])
def test_every_step_of_the_walk_is_somewhere_on_the_sheet(name):
    config = config_of(name)
    sheet = lay_out_sheet(config, 20)
    for step in step_list(config):
        found = here(sheet, step, step.layer or 0, 3)
        assert found, step.key
        named = {sheet.plates[n].name for n in found}
        assert named & {*step.tensors, "tokens", "logits"} or step.spec.op == "qkv"
        if step.spec.per_head:
            assert {sheet.plates[n].head for n in found} == {3}


def test_what_is_clicked_on_the_sheet_is_where_the_walk_stands_and_the_sheet_stays(model):
    sheet = lay_out_sheet(model.config, 8)
    state = State(text="The cat ", workspace="sheet")
    for name in tensor_table(model.config):
        after = follow(
            Visit(name, 1 if sheet.plates[sheet.of_tensor(name)[0]].head is not None else None, 3), state, model
        )
        assert after.workspace == "sheet" and after.token == 3
        assert name in find_step(after.step, model.config).tensors
        if ".attn." in name and name.split(".")[-1] in ("q", "pattern", "z"):
            assert after.head == 1 and after.layer == int(name.split(".")[1])
    walking = follow(Visit("blocks.1.attn.z"), replace(state, workspace="walk"), model)
    assert walking.workspace == "walk" and walking.step == "blocks.1.attn.z"


def test_each_depth_is_nearer_than_the_last_and_holds_the_token(model):
    sheet = lay_out_sheet(model.config, 20)
    plates = sheet.of_tensor("blocks.1.attn.pattern", 2)
    boxes = [nearer(sheet, plates, depth, 7) for depth in DEPTHS]
    sizes = [framed(box, 900, 600).w for box in boxes]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] / sizes[-1] > 10
    token = sheet.plates[plates[0]].cell_box(7, 0)
    assert all(box.holds(token.x, token.y) for box in boxes)


@pytest.mark.parametrize(
    "other", [Box(4000, 900, 60, 40), Box(10, 10, 60, 40), Box(0, 0, 6000, 4000), Box(30, 20, 600, 400)]
)
def test_a_way_begins_and_ends_where_it_should_and_never_jumps(other):
    one = Box(0, 0, 600, 400)
    way, length = travel(one, other)
    for at, box in ((0, one), (1, other)):
        there = way(at)
        assert (there.x, there.y, there.w, there.h) == pytest.approx((box.x, box.y, box.w, box.h), abs=1e-6)
    steps = [way(n / 400) for n in range(401)]
    for a, b in pairwise(steps):
        # What is seen moves by a small share of the view from one frame to the next.
        moved = math.hypot(b.x + b.w / 2 - a.x - a.w / 2, b.y + b.h / 2 - a.y - a.h / 2)
        assert moved / a.w < 0.05 * max(1, length) and 0.9 < b.w / a.w < 1.1


@pytest.mark.parametrize("most", [10**9, 4000])
def test_what_goes_to_a_process_that_draws_gives_the_same_pixels(scene, monkeypatch, most):
    monkeypatch.setattr("desktop_app.core.sheet.values._TAKEN", most)
    sheet, values = lay_out_sheet(scene.config, len(scene.trace)), SheetValues(scene.trace)
    taken = pickle.loads(pickle.dumps(values))
    assert (taken.units == 1) == (most > 4000)
    for units in (taken.units, 4 * taken.units):
        for plate in sheet.plates[1::5]:
            rows = range(-(-plate.rows // max(1, units // plate.cell_h)))
            one, other = values.pooled(plate, units, rows), taken.pooled(plate, units, rows)
            assert np.array_equal(one, other, equal_nan=True)
            assert taken.levels(plate.name) == values.levels(plate.name)
    if most == 4000:
        with pytest.raises(ExportError, match="only pooled numbers"):
            taken.cells(sheet.plates[1], range(1), range(1))
        return
    assert taken.known("tokens") is None
    for plate in sheet.plates:  # token ids, too, which have no colours
        every = range(plate.rows), range(plate.columns)
        assert np.array_equal(taken.cells(plate, *every), values.cells(plate, *every), equal_nan=True), plate.name
