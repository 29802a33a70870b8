"""Operations that move: what a beat makes equals what opening the cell shows, and every moment of it can be drawn."""

import numpy as np
import pytest

from desktop_app.core.levels import number, percent
from desktop_app.core.motion.beats import frame_times
from desktop_app.core.motion.operations import OPERATIONS, ROW, motion_of, moves_by_row, operation_of
from desktop_app.core.opening.arithmetic import open_cell
from desktop_app.core.opening.links import computed_from
from desktop_app.core.opening.view import chain
from desktop_app.core.panels import TextPanel, panels_of
from desktop_app.core.steps import step_list
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.sampling import Sampling
from tests.scenes import CONFIG, open_tiny, scene_of, shown_steps

MOVING = [op for row in OPERATIONS for op in row.steps]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def scene(model):
    sampling = Sampling(temperature=1.5, top_k=40, top_p=0.6, seed=3)
    return scene_of(model, layer=1, head=2, token=20, sampling=sampling)


def step_of(scene, op):
    return next(s for s in shown_steps(scene.config, 1) if s.spec.op == op)


def motion(scene, op, by="cell"):
    return motion_of(scene, step_of(scene, op), by)


def opened(scene, cell):
    return open_cell(scene.trace, scene.checkpoint.weights, cell)


@pytest.mark.parametrize(("op", "by"), [(op, by) for op in MOVING for by in ("cell", ROW)])
def test_what_a_beat_makes_is_what_opening_its_cell_shows(scene, op, by):
    found = motion(scene, op, by)
    made = [(beat, n, cell) for beat in found.beats for n, cell in enumerate(beat.cells)]
    if operation_of(step_of(scene, op)).tensor is not None or op == "append":
        assert made
    for beat, n, cell in made[:: max(1, len(made) // 40)]:
        shown = opened(scene, cell)
        # As the trace has it, or recomputed in float64 as the inspector does.
        assert beat.results[n] == pytest.approx(shown.value, rel=2e-5, abs=2e-5) or beat.results[n] == shown.value
    for beat in found.beats:
        if beat.cells:
            assert tuple(beat.operands) == computed_from(scene.trace, beat.cells[0])


DIVISORS = [
    ({}, "S_ij / √d_head", "scaled: divided by √"),
    ({"scale_attn_weights": False}, "S_ij", "scaled: divided by 1"),
    ({"scale_attn_by_inverse_layer_idx": True}, "S_ij / (√d_head · (block + 1))", "scaled: divided by "),
]


@pytest.mark.parametrize(("fields", "formula", "words"), DIVISORS)
def test_scores_are_said_to_be_divided_by_what_the_config_gives(tmp_path, fields, formula, words):
    own = scene_of(open_tiny(tmp_path / "model", CONFIG | fields), layer=1, head=2, token=20)
    divisor = own.config.score_divisor(1)
    first = motion(own, "pattern").beats[0]
    assert str(first.words).startswith(words) and str(first.words).endswith(f"{divisor:.3g}")
    assert own.trace.table["blocks.1.attn.scaled"].spec.written == formula


def test_under_another_mask_no_key_is_said_to_be_hidden_because_it_comes_later(model):
    plain = scene_of(model, layer=1, head=2, token=20)
    masked = scene_of(model, layer=1, head=2, token=20, trace=model.engine.trace(plain.trace.ids, mask="window:3"))
    words = [str(motion(own, "pattern").beats[1].words) for own in (plain, masked)]
    assert words == ["masked: later keys become −∞", "masked: hidden keys become −∞"]


def numbers_of(box):
    """Every number that is drawn in a moment, as (values, texts): cells, bars, points, lines, marks."""
    values, texts = [], []
    for panel in panels_of(box):
        values += [np.ravel(strip.values) for strip in getattr(panel, "strips", ())]
        if hasattr(panel, "values"):
            values.append(np.ravel(panel.values))
        for bar in getattr(panel, "bars", ()):
            values.append(np.array([bar.value]))
            texts.append(bar.text)
        values += [np.ravel(y) for _, y in getattr(panel, "lines", ())]
        if getattr(panel, "points", None) is not None:
            values.append(np.ravel(panel.points[1]))
        if getattr(panel, "focus", None) is not None:
            values.append(np.array(panel.focus[:2]))
        values.append(np.array([at for at, _ in getattr(panel, "levels_at", ())], float))
        values.append(np.array([getattr(panel, "u", np.nan)]))
        values.append(np.array(getattr(panel, "edges", ()), float))
    return np.concatenate(values), texts


@pytest.mark.parametrize(("op", "by"), [(op, by) for op in MOVING for by in ("cell", ROW)])
def test_what_a_beat_makes_is_drawn_when_it_is_done(scene, op, by):
    beats = motion(scene, op, by).beats
    for beat in beats[:: max(1, len(beats) // 6)] + beats[-1:]:
        values, texts = numbers_of(beat.panels(1.0))
        for result in beat.results[:: max(1, len(beat.results) // 12)]:
            drawn = np.isclose(values, result, rtol=2e-5, atol=2e-6).any()
            assert drawn or number(float(result)) in texts, (beat.words, float(result))


NO_TENSOR = {"temperature", "top_p", "draw", "probabilities"}
"""What computes numbers that no tensor holds; the next test but one compares them with the stages that open."""


def test_every_row_of_the_table_is_compared_with_what_opens(scene):
    for row in OPERATIONS:
        for op in row.steps:
            makes = any(beat.cells for beat in motion(scene, op).beats)
            assert makes == (op not in NO_TENSOR), op
            assert (row.tensor is not None or op == "append") == makes, op


def read(scene, region):
    """The numbers of a region: of a tensor or of a weight."""
    whole = scene.trace[region.name] if region.name in scene.trace.table else scene.checkpoint.weights[region.name]
    return np.ravel(np.asarray(whole)[tuple(slice(None) if n is None else n for n in region.index)])


@pytest.mark.parametrize("op", [op for op in MOVING if op not in NO_TENSOR])
def test_a_beat_shows_the_operands_of_the_cell_that_it_makes(model, op):
    scene = scene_of(model, "A short text", layer=1, head=2)  # few enough tokens that each key has its bar
    beats = motion(scene, op).beats
    drawn, texts = np.zeros(0), set()
    for beat in beats:
        for t in (0.0, 0.5, 1.0):
            values, words = numbers_of(beat.panels(t))
            drawn, texts = np.concatenate([drawn, values]), texts | set(words)
        if not beat.cells:
            continue
        for region in beat.operands:
            if op == "append" and region.name.endswith(("W_QKV", "b_QKV")):
                continue  # a whole row is made, from every column of the matrix
            numbers = read(scene, region)
            if region.name.endswith("masked"):
                numbers = numbers[np.isfinite(numbers)]
            for number_ in numbers:
                said = {
                    number(float(number_)),
                    percent(float(number_)),
                } & texts or f"{number(float(number_))}" in beat.words
                assert said or np.isclose(drawn, number_, rtol=2e-5, atol=1e-6).any(), (
                    str(beat.words),
                    region,
                    number_,
                )


@pytest.mark.parametrize("op", ["qkv", "heads", "attn_out", "mlp.pre", "mlp_out", "logits"])
def test_a_product_names_the_weights_that_it_reads_and_its_line_ends_at_its_number(scene, op):
    last = motion(scene, op).beats[-1]
    (weights,) = (r for r in last.operands if ".W_" in r.name)
    _, right, _, curve = panels_of(last.panels(1.0))
    (n,) = (place for place in weights.index if place is not None)
    own = {"qkv": "W_QKV", "heads": "W_QKV", "attn_out": "W_O", "mlp.pre": "W_in", "mlp_out": "W_out", "logits": "W_U"}
    assert right.strips[0].label == (f"W_U[{n}]" if op == "logits" else f"{own[op]}[:, {n}]")
    assert np.array_equal(right.strips[0].values, read(scene, weights))
    (line,) = curve.lines
    assert line[1][-1] == pytest.approx(last.results[0])


def test_rows_of_logits_are_coloured_less_their_mean_and_keep_their_numbers(scene):
    (panel,) = panels_of(motion(scene, "logits", ROW).beats[-1].panels(1.0))
    logits = scene.trace["logits"][panel.first :]
    assert np.array_equal(panel.values, logits) and panel.levels.centred
    assert panel.shades == pytest.approx(logits - logits.mean(1, keepdims=True, dtype=float), abs=1e-5)
    (other,) = panels_of(motion(scene, "attn_out", ROW).beats[-1].panels(1.0))
    assert other.shades is other.values and not other.levels.centred


def test_the_stages_of_sampling_are_those_that_opening_a_probability_shows(scene):
    def lines(rank):
        view = chain(scene, int(scene.ranked.order[rank]))
        panel = next(p for p in panels_of(view.content) if isinstance(p, TextPanel))
        return {line.label: line.text for line in panel.lines}

    (bars,) = panels_of(motion(scene, "temperature").beats[-1].panels(1.0))
    for rank, bar in enumerate(bars.bars):
        assert bar.text == lines(rank)["softmax"]
    for rank, beat in enumerate(motion(scene, "top_p").beats):
        total, each = panels_of(beat.panels(1.0))
        assert each.bars[rank].text == lines(rank)["top-k"]
        assert total.bars[0].text == percent(beat.results[0])
    (drawn,) = motion(scene, "draw").beats
    u, low, high = drawn.results
    assert percent(high - low) == lines(scene.landed)["final"] and low <= u < high


def test_of_a_long_text_the_last_rows_are_read_and_no_others(scene, monkeypatch):
    monkeypatch.setattr("desktop_app.core.motion.rows._ROWS", 5)
    count, asked = len(scene.trace), []
    read = scene.trace.read_rows
    monkeypatch.setattr(
        scene.trace,
        "read_rows",
        lambda name, stop, start=0, **more: asked.append(start) or read(name, stop, start, **more),
    )
    beats = motion(scene, "logits", ROW).beats
    assert asked == [count - 5] and len(beats) == 5
    (panel,) = panels_of(beats[1].panels(1.0))
    assert panel.values.shape == (5, scene.config.vocab_size) and panel.first == count - 5
    assert np.array_equal(panel.values[:2], scene.trace["logits"][count - 5 : count - 3])
    assert np.isnan(panel.values[2:]).all() and panel.source.at(1, 7) == (count - 4, 7)
    assert beats[1].cells[7].index == (count - 4, 7) and len(beats[1].cells) == scene.config.vocab_size


def test_scores_grow_from_the_products_of_query_and_key(scene):
    for beat in motion(scene, "scores").beats:
        shown = opened(scene, beat.cells[0])
        q, k, products, _ = panels_of(beat.panels(1.0))
        assert np.array_equal(q.strips[0].values, shown.vectors[0].values)
        assert np.array_equal(k.strips[0].values, shown.vectors[1].values)
        assert np.array_equal(products.strips[0].values, shown.products)
        half = next(p for n, p in enumerate(panels_of(beat.panels(0.5))) if n == 2).strips[0].values
        assert np.isnan(half[len(half) // 2 :]).all() and not np.isnan(half[: len(half) // 2]).any()


def test_a_row_is_scaled_masked_exponentiated_summed_and_divided(scene):
    beats = motion(scene, "pattern").beats
    shown = opened(scene, beats[-1].cells[0])
    seen = shown.vectors[0].values
    exps = np.exp(seen - shown.scalars[0].value)
    names = {scene.labels[cell.index[2]] for cell in beats[-1].cells}
    (bars,) = panels_of(beats[-1].panels(1.0))
    (exponents,) = panels_of(beats[3].panels(1.0))
    assert not beats[2].cells and not beats[3].cells, "no tensor holds what is on the way"
    others = bars.bars[len(beats[-1].cells) :]
    left_out = sorted(range(scene.token + 1), key=lambda j: exps[j])[: scene.token + 1 - 16]
    assert [str(bar.label) for bar in others] == ["5 others"] and len(left_out) == 5
    assert others[0].value == pytest.approx(exps[left_out].sum() / exps[: scene.token + 1].sum(), rel=1e-5)
    assert others[0].text == percent(others[0].value) and exponents.bars[-1].text == number(exponents.bars[-1].value)
    assert exponents.bars[-1].value == pytest.approx(exps[left_out].sum(), rel=1e-5)
    (scaled,) = panels_of(beats[0].panels(1.0))
    assert (scaled.bars[-1].value, scaled.bars[-1].text) == (0.0, "…"), "a sum of scores means nothing"
    hidden = [bar.text for bar in next(panels_of(beats[1].panels(1.0))).bars if not bar.kept]
    assert set(hidden) <= {"−∞"} and len(hidden) == len(beats[-1].cells) - sum(bar.kept for bar in bars.bars[:-1])
    for cell, share, weight in zip(beats[-1].cells, bars.bars[:-1], exponents.bars[:-1], strict=True):
        j = cell.index[2]
        if j <= scene.token:
            assert weight.value == pytest.approx(exps[j], rel=1e-5)
            assert share.value == pytest.approx(exps[j] / exps[: scene.token + 1].sum(), rel=1e-5)
        else:
            assert share.value == 0 and not share.kept
    assert names


@pytest.mark.parametrize(
    ("op", "by", "where"),
    [
        ("sum", "cell", "Before the blocks · '{q}' at 20"),
        ("scores", "cell", "Block 1 · Head 2 · '{q}' at 20"),
        ("qkv", "cell", "Block 1 · Head 2 · '{q}' at 20"),
        ("mlp.post", "cell", "Block 1 · '{q}' at 20"),
        ("pattern", ROW, "Block 1 · Head 2"),
        ("ln_final", "cell", "After the blocks · '{q}' at 20"),
        ("logits", "cell", "After the blocks · '{p}' at 7"),
        ("temperature", "cell", "After the blocks · '{p}' at 7"),
        ("draw", "cell", "After the blocks · '{p}' at 7"),
        ("append", "cell", "Block 1 · Head 2 · '{l}' at {n}"),
    ],
)
def test_a_motion_is_headed_by_the_place_and_the_token_whose_numbers_it_shows(model, op, by, where):
    scene = scene_of(model, layer=1, head=2, token=20, position=7)
    ids, last = scene.trace.ids, len(scene.trace) - 1
    q, p, end = (scene.tokenizer.quoted(ids[n]).strip("'") for n in (20, 7, last))
    assert str(motion(scene, op, by).where) == where.format(q=q, p=p, l=end, n=last)


def test_a_row_with_more_keys_than_are_shown_says_so(model):
    for text, left_out in (("A short text", False), ("A text of more than sixteen tokens, as each byte is one", True)):
        scene = scene_of(model, text, layer=1, head=2)
        count = len(scene.trace)
        *_, bars = panels_of(motion(scene, "scores").beats[0].panels(1.0))
        assert str(bars.note) == (f"the 16 of {count} keys with the largest weights" if left_out else "")
        *_, bars = panels_of(motion(scene, "pattern").beats[-1].panels(1.0))
        assert (str(bars.bars[-1].label) == f"{count - 16} others") == left_out
        assert sum(bar.value for bar in bars.bars) == pytest.approx(1.0), "with the others, a whole row"


def test_the_storyboard_of_one_beat_is_that_beat(scene):
    found = motion(scene, "draw")
    assert str(found.storyboard().lead) == f"{found.beats[0].words}."


def test_values_weighted_and_added_are_z(scene):
    found = motion(scene, "z").beats
    total = np.array(found[-1].results)
    for n, cell in enumerate(found[-1].cells):
        assert total[n] == pytest.approx(opened(scene, cell).recomputed, rel=1e-6, abs=1e-7)
    steps = np.array([beat.results for beat in found])
    weights = scene.trace["blocks.1.attn.pattern"][2, 20]
    values = scene.trace["blocks.1.attn.v"][2].astype(np.float64)
    assert np.allclose(steps[-1], weights[:21].astype(np.float64) @ values[:21])


@pytest.mark.parametrize("op", ["ln1", "ln2", "ln_final"])
def test_a_layer_norm_s_steps_end_in_its_output(scene, op):
    mean, centred, normal, out = motion(scene, op).beats
    x = opened(scene, mean.cells[0]).vectors[0].values
    assert mean.results[0] == pytest.approx(x.mean(), rel=1e-5, abs=1e-6)
    assert centred.results[0] == pytest.approx(np.sqrt(x.var() + scene.config.layer_norm_epsilon), rel=1e-5)
    assert np.allclose(normal.results, (x - x.mean()) / centred.results[0], atol=1e-4)
    curve = next(iter(panels_of(out.panels(1.0))))
    assert np.allclose(curve.points[1], out.results)


@pytest.mark.parametrize("op", ["qkv", "attn_out", "mlp.pre", "mlp_out", "logits"])
def test_a_product_s_terms_add_up_to_the_number_that_opens(scene, op):
    beats = motion(scene, op).beats
    (cell,) = beats[-1].cells
    shown = opened(scene, cell)
    assert beats[-1].results[0] == pytest.approx(shown.recomputed, rel=1e-9)
    running = np.cumsum(shown.products)
    for beat in beats[: len(beats) - bool(shown.scalars)]:
        assert np.isclose(running, beat.results[0], rtol=1e-9).any()


def test_the_running_sum_of_top_p_and_the_draw_are_those_of_the_stages(scene):
    stages = scene.stages
    sums = [beat.results[0] for beat in motion(scene, "top_p").beats]
    assert sums == pytest.approx(list(stages.cumulative[: len(sums)]))
    (drawn,) = motion(scene, "draw").beats
    u, low, high = drawn.results
    assert u == scene.u and low <= u < high
    ruler, bars = panels_of(drawn.panels(1.0))
    ranks = sorted({*range(min(12, stages.n_kept)), scene.landed})
    assert [bar.text for bar in bars.bars] == [percent(float(stages.final[rank])) for rank in ranks]
    (marked,) = (bar for bar in bars.bars if bar.marked)
    assert marked.label == ruler.labels[ruler.landed] and marked.value == pytest.approx(high - low)
    assert ruler.labels[ruler.landed] == scene.tokenizer.label(int(scene.ranked.order[scene.landed]))


def test_bars_follow_the_temperature_and_end_at_the_chosen_one(scene):
    beats = motion(scene, "temperature").beats
    assert beats[-1].results == pytest.approx(tuple(scene.stages.probs_scaled[: len(beats[-1].results)]))
    (bars,) = panels_of(beats[0].panels(0.0))
    assert [bar.value for bar in bars.bars] == pytest.approx(list(scene.ranked.probs[: len(bars.bars)]))


@pytest.mark.parametrize(("op", "by"), [(op, by) for op in MOVING for by in ("cell", ROW)])
def test_every_moment_is_a_view_and_the_same_moment_the_same_view(scene, op, by):
    found = motion(scene, op, by)
    for time in (0.0, 0.5, found.length / 2, found.length, found.length + 3):
        view = found.view(time)
        assert view.title and view.lead and list(panels_of(view.content))
    assert found.moment(-1) == (0, 0.0) and found.moment(found.length)[1] == pytest.approx(1.0)
    times = frame_times(found, 10, 2.0)
    assert times[0] == 0 and times[-1] == found.length and list(times) == sorted(times)


def test_a_step_that_does_not_move_says_which_do(scene):
    with pytest.raises(ExportError, match="text has no animation; these steps have one"):
        motion_of(scene, next(s for s in step_list(scene.config) if s.key == "text"))
    assert moves_by_row(step_of(scene, "pattern")) and not moves_by_row(step_of(scene, "draw"))


PARTIAL = {"temperature", "scores", "qkv", "heads", "attn_out", "mlp.pre", "mlp_out", "logits"}
"""What computes every moment anew: a temperature on the way, a sum of the terms so far."""


def written(box):
    """Every number that is written in a moment: beside bars, on lines, over a ruler."""
    for panel in panels_of(box):
        yield from (bar.text for bar in getattr(panel, "bars", ()))
        yield from (str(words) for _, words in getattr(panel, "levels_at", ()))
        yield str(panel.title)


@pytest.mark.parametrize("op", [op for op in MOVING if op not in PARTIAL])
def test_no_number_is_written_that_lies_between_two_computed_ones(scene, op):
    for beat in motion(scene, op).beats:
        true = {*written(beat.panels(0.0)), *written(beat.panels(1.0))}
        for t in (0.1, 0.3, 0.49, 0.5, 0.7, 0.99):
            assert true.issuperset(written(beat.panels(t)))


def test_a_storyboard_has_each_beat_where_it_is_done(model):
    scene = scene_of(model, layer=1, head=2, token=5)
    found = motion(scene, "pattern")
    first, middle, last = found.storyboard().content.children
    for box, part, own in ((first, "scaled", number), (last, "pattern", percent)):
        values = scene.trace.read(scene.block(f"attn.{part}"), head=scene.head, row=scene.token)
        bars = next(panels_of(box)).bars[: scene.token + 1]
        assert [bar.text for bar in bars] == [own(float(value)) for value in values[: scene.token + 1]]
    assert max(bar.value for bar in next(panels_of(middle)).bars) == 0.0, "the largest, less the largest"
    assert str(found.storyboard().lead).startswith("3 of 5 beats, each where it is done. 1: scaled")
