"""Views show what the model computed: every cell, bar and curve agrees with the trace and an independent pass."""

import re
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from desktop_app.core.asking.commands import COMMANDS
from desktop_app.core.asking.intents import Append
from desktop_app.core.lessons.examples import examples
from desktop_app.core.levels import percent
from desktop_app.core.opening.cells import Cell, read_cell
from desktop_app.core.opening.describe import describe
from desktop_app.core.opening.view import chain
from desktop_app.core.panels import (
    BarsPanel,
    CurvePanel,
    GridPanel,
    MapPanel,
    MultiplesPanel,
    ProsePanel,
    RulerPanel,
    StripsPanel,
    TokensPanel,
    folded,
    has_carpets,
)
from desktop_app.core.probabilities import bars_panel, found_words
from desktop_app.core.program.bundle import resource
from desktop_app.core.session.state import State, ViewOptions
from desktop_app.core.steps import STEPS, build_view, find_step, step_list
from desktop_app.gpt2.config import parse_config
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.sampling import Sampling, uniform
from desktop_app.gpt2.tensors import tensor_table
from tests import reference
from tests.checkpoints import random_weights
from tests.scenes import BUNDLED, CONFIG, open_tiny, panels, panels_of, scene_of, shown_steps

LAYER, HEAD, TOKEN = 1, 2, 7
OPS = [step.op for step in STEPS]
PARSED = parse_config(CONFIG, "test")


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
def scene(model):
    return scene_of(model, layer=LAYER, head=HEAD, token=TOKEN)


@pytest.fixture(scope="module")
def expected(tiny):
    """Every tensor of the tiny model's pass, from the independent forward pass in float64."""
    ids = scene_of(tiny).trace.ids
    return reference.forward(random_weights(CONFIG), CONFIG, list(ids))


def step_of(scene, op):
    return next(s for s in shown_steps(scene.config, scene.layer) if s.spec.op == op)


def pictures(panel):
    """(values [r, c], source, panel) for every picture of cells in a panel."""
    if isinstance(panel, StripsPanel):
        for strip in panel.strips:
            yield np.asarray(strip.values)[None, :], strip.source
    elif isinstance(panel, MapPanel | GridPanel):
        yield panel.values, panel.source
    elif isinstance(panel, MultiplesPanel):
        for head, values in enumerate(panel.values):
            yield values, replace(panel.source, index=(head, *panel.source.index[1:]))


def cells(values, rng, count=60):
    rows, columns = values.shape
    corners = {(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)}
    return corners | {(int(rng.integers(rows)), int(rng.integers(columns))) for _ in range(count)}


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    "options",
    [
        ViewOptions(),
        ViewOptions(pattern_scale="sqrt", limits="layer", skip_first=True, sort_neurons=True),
        ViewOptions(keys_down=True, skip_first=True),
    ],
    ids=["plain", "options", "turned"],
)
def test_every_cell_shows_the_number_of_the_trace_that_its_source_names(scene, op, options):
    scene = replace(scene, state=replace(scene.state, view=options))
    rng = np.random.default_rng(1)
    for panel in panels_of(scene, step_of(scene, op)):
        for values, source in pictures(panel):
            if source is None:
                continue
            tensor = scene.trace[source.name]
            for row, column in cells(values, rng):
                shown = values[row, column]
                index = source.at(row, column)
                if np.isnan(shown):
                    assert hidden(panel, scene, row, column), (panel.title, source.name, row, column)
                else:
                    assert shown == tensor[index], (panel.title, source.name, index)
                    assert not hidden(panel, scene, row, column)


def hidden(panel, scene, row, column):
    """Whether the mask or the switch for position 0 hides a cell."""
    if isinstance(panel, StripsPanel):
        return False
    skip = scene.state.view.skip_first
    if isinstance(panel, MapPanel):
        return skip and row == 0 and panel.title not in ("Values v", "Weight × value")
    stage = panel.source.name.rsplit(".", 1)[1]
    query, key = (column, row) if scene.state.view.keys_down else (row, column)
    return (stage in ("masked", "pattern") and key > query) or (skip and key == 0)


@pytest.mark.parametrize("stage", ["scores", "scaled", "masked", "pattern"])
@pytest.mark.parametrize("skip_first", [False, True])
@pytest.mark.parametrize("keys_down", [False, True])
def test_grids_have_holes_exactly_where_the_mask_hides(scene, stage, skip_first, keys_down):
    scene = replace(scene, state=replace(scene.state, view=ViewOptions(skip_first=skip_first, keys_down=keys_down)))
    count = len(scene.trace)
    down, across = np.indices((count, count))
    query, key = (across, down) if keys_down else (down, across)
    for panel in panels_of(scene, step_of(scene, stage)):
        own = panel.source.name.rsplit(".", 1)[1]
        holes = (key > query) & (own in ("masked", "pattern")) | (key == 0) & skip_first
        assert np.array_equal(np.isnan(panel.values), np.broadcast_to(holes, panel.values.shape))


@pytest.mark.parametrize("op", OPS)
def test_every_cell_is_what_an_independent_forward_pass_gives(tiny, expected, op):
    scene = scene_of(tiny, layer=LAYER, head=HEAD, token=TOKEN)
    rng = np.random.default_rng(2)
    for panel in panels_of(scene, step_of(scene, op)):
        for values, source in pictures(panel):
            if source is None:
                continue
            tensor = expected[source.name]
            limit = 1e-4 * max(1, np.abs(tensor[np.isfinite(tensor)]).max())
            for row, column in cells(values, rng):
                if not np.isnan(values[row, column]):
                    assert abs(values[row, column] - tensor[source.at(row, column)]) <= limit
        if isinstance(panel, BarsPanel):
            for bar in panel.bars:
                if bar.source is not None:
                    name, index = bar.source
                    assert bar.value == pytest.approx(expected[name][index], abs=1e-3)


def test_values_without_a_tensor_of_their_own_are_the_arithmetic_they_claim(tiny, expected):
    scene = scene_of(tiny, layer=LAYER, head=HEAD, token=TOKEN)
    block = f"blocks.{LAYER}."
    centred = next(p for p in panels_of(scene, step_of(scene, "ln1")) if isinstance(p, StripsPanel)).strips[1]
    x = expected[block + "resid_pre"][TOKEN]
    assert np.allclose(centred.values, x - x.mean(), atol=1e-4)
    weighted = panels_of(scene, step_of(scene, "z"))[2]
    pattern = expected[block + "attn.pattern"][HEAD, TOKEN, : TOKEN + 1]
    by_hand = pattern[:, None] * expected[block + "attn.v"][HEAD, : TOKEN + 1]
    assert np.allclose(weighted.values, by_hand, atol=1e-4)
    assert np.allclose(weighted.values.sum(0), expected[block + "attn.z"][HEAD, TOKEN], atol=1e-4)


def test_curves_stand_on_the_numbers_of_the_chosen_token(tiny, expected):
    scene = scene_of(tiny, layer=LAYER, head=HEAD, token=TOKEN)
    block = f"blocks.{LAYER}."
    before, after = (p for p in panels_of(scene, step_of(scene, "ln2")) if isinstance(p, CurvePanel))
    assert np.allclose(before.points[1], expected[block + "resid_mid"][TOKEN], atol=1e-4)
    assert np.allclose(after.points[1], expected[block + "ln2.out"][TOKEN], atol=1e-4)
    mean, scale = (float(expected[f"{block}ln2.{part}"][TOKEN, 0]) for part in ("mean", "scale"))
    assert before.levels_at[0][0] == pytest.approx(mean, abs=1e-4)
    assert before.band == pytest.approx((mean - scale, mean + scale), abs=1e-4)
    (curve,) = (p for p in panels_of(scene, step_of(scene, "mlp.post")) if isinstance(p, CurvePanel))
    x, y = curve.lines[0]
    assert np.allclose(y, reference.activate(x.astype(float), "gelu_new"), atol=1e-5)
    at = int(re.search(r"\d+", curve.focus[2])[0])
    assert curve.focus[1] == pytest.approx(expected[block + "mlp.post"][TOKEN, at], abs=1e-3)


def test_neurons_that_write_most_are_ranked_by_what_they_write(tiny, expected):
    scene = scene_of(tiny, layer=LAYER, token=TOKEN)
    bars = next(p for p in panels_of(scene, step_of(scene, "mlp_out")) if isinstance(p, BarsPanel)).bars
    rows = random_weights(CONFIG)[f"h.{LAYER}.mlp.c_proj.weight"]
    written = np.abs(expected[f"blocks.{LAYER}.mlp.post"][TOKEN])[:, None] * np.abs(rows)
    lengths = np.sqrt((written**2).sum(1))
    assert [int(bar.label.split()[1]) for bar in bars] == np.argsort(-lengths)[: len(bars)].tolist()
    assert [bar.value for bar in bars] == pytest.approx(np.sort(lengths)[::-1][: len(bars)].tolist(), rel=1e-3)


def test_nearest_rows_are_those_of_largest_cosine(tiny):
    scene = scene_of(tiny, token=TOKEN)
    table = random_weights(CONFIG)["wte.weight"].astype(float)
    own = scene.trace.ids[TOKEN]
    cosines = table @ table[own] / np.linalg.norm(table, axis=1) / np.linalg.norm(table[own])
    order = [i for i in np.argsort(-cosines, kind="stable") if i != own]
    bars = next(p for p in panels_of(scene, step_of(scene, "embed")) if isinstance(p, BarsPanel)).bars
    assert [bar.label for bar in bars] == [tiny.tokenizer.label(int(i)) for i in order[: len(bars)]]
    assert [bar.value for bar in bars] == pytest.approx([cosines[i] for i in order[: len(bars)]], abs=1e-5)


# Sampling, compared with an independent implementation


SETTINGS = [
    Sampling(),
    Sampling(temperature=0.3),
    Sampling(temperature=30.0, top_k=5),
    Sampling(top_k=1),
    Sampling(top_p=0.6),
    Sampling(top_k=40, top_p=0.9, seed=3),
    Sampling(temperature=2.0, top_p=0.999999),
    Sampling(greedy=True),
]


def by_hand(logits, sampling):
    """Every stage of sampling by token id: probabilities before and after each cut."""
    logits = logits.astype(float)

    def softmax(x):
        raised = np.exp(x - x.max())
        return raised / raised.sum()

    order = np.argsort(-logits, kind="stable")
    said, scaled = softmax(logits), softmax(logits / sampling.temperature)
    k = len(logits) if sampling.greedy or not sampling.top_k else min(sampling.top_k, len(logits))
    after_k = np.where(np.isin(np.arange(len(logits)), order[:k]), scaled, 0)
    after_k = after_k / after_k.sum()
    running = np.cumsum(after_k[order])
    kept = int((running - after_k[order] < sampling.top_p).sum()) if sampling.top_p < 1 else k
    kept = 1 if sampling.greedy else min(kept, k)
    final = np.where(np.isin(np.arange(len(logits)), order[:kept]), after_k, 0)
    final = final / final.sum()
    rising = np.empty(len(logits))
    rising[order] = running
    return {"said": said, "scaled": scaled, "after_k": after_k, "running": rising, "final": final, "logits": logits}


@pytest.mark.parametrize("sampling", SETTINGS, ids=str)
@pytest.mark.parametrize("position", [None, 3])
def test_bars_show_every_stage_of_sampling(model, sampling, position):
    scene = scene_of(model, sampling=sampling, position=position, pinned=(5, 250))
    at = len(scene.trace) - 1 if position is None else position
    truth = by_hand(scene.trace.logits(at), sampling)
    shown = {
        "logits": ["logits"],
        "temperature": ["said", "scaled"],
        "top_k": ["scaled", "after_k"],
        "top_p": ["running", "final"],
        "probabilities": ["said", "final"],
        "draw": ["final"],
    }
    for op, stages in shown.items():
        bars = [p for p in panels_of(scene, step_of(scene, op)) if isinstance(p, BarsPanel)]
        assert len(bars) == len(stages)
        for panel, stage in zip(bars, stages, strict=True):
            for bar in panel.bars:
                assert isinstance(bar.pick, Append)
                token = bar.pick.token
                assert bar.label == model.tokenizer.label(token)
                assert bar.value == pytest.approx(float(truth[stage][token]), rel=1e-6, abs=1e-12)
                if op in ("top_p", "probabilities") and stage == "final":
                    assert bar.kept == (truth["final"][token] > 0)
    panel = bars_panel(scene, 12)
    assert {5, 250} <= {bar.pick.token for bar in panel.bars}
    for bar in panel.bars:
        assert bar.value == pytest.approx(float(truth["final"][bar.pick.token]), rel=1e-6, abs=1e-12)
        assert bar.outline == pytest.approx(float(truth["scaled"][bar.pick.token]), rel=1e-6)
        # A column must not mix two kinds of numbers without saying so.
        was = "" if bar.kept else "was "
        assert bar.text == was + percent(float(truth["final" if bar.kept else "scaled"][bar.pick.token]))
        assert f" · {bar.text} · {'kept' if bar.kept else 'cut'}" in found_words(scene, bar.pick.token)
    assert sum(bar.marked for bar in panel.bars) == 1


@pytest.mark.parametrize("sampling", SETTINGS, ids=str)
def test_the_draw_lands_where_the_running_sum_passes_u(tiny, sampling):
    for draws in range(12):
        scene = scene_of(tiny, sampling=sampling, draws=draws)
        u = uniform(sampling.seed, draws)
        final = by_hand(scene.trace.logits(-1), sampling)["final"]
        order = np.argsort(-scene.trace.logits(-1), kind="stable")
        rank = int((np.cumsum(final[order]) <= u).sum())
        (ruler,) = (p for p in panels_of(scene, step_of(scene, "draw")) if isinstance(p, RulerPanel))
        assert ruler.u == u
        assert ruler.edges[ruler.landed] <= u < ruler.edges[ruler.landed + 1]
        assert list(ruler.edges) == sorted(ruler.edges)
        assert (ruler.edges[0], ruler.edges[-1]) == (0, pytest.approx(1))
        (marked,) = (bar for bar in bars_panel(scene, 10).bars if bar.marked)
        assert marked.pick == Append(int(order[rank]))


# One number in words


def test_describe_reads_the_right_cell_of_every_tensor_of_the_table(tiny, expected):
    scene = scene_of(tiny, layer=LAYER)
    rng = np.random.default_rng(3)
    for name, tensor in expected.items():
        indices = {tuple(0 for _ in tensor.shape), tuple(n - 1 for n in tensor.shape)}
        indices |= {tuple(int(rng.integers(n)) for n in tensor.shape) for _ in range(25)}
        for index in indices:
            readout = describe(scene, name, index)
            assert readout.name == name
            value = read_back(readout.value)
            if np.isinf(tensor[index]):
                assert value == tensor[index]
            else:
                assert value == pytest.approx(tensor[index], rel=6e-3, abs=2e-4)


def read_back(words):
    words = words.replace("−", "-").replace("∞", "inf")
    mantissa, _, power = words.partition("·10")
    return float(mantissa) * 10.0 ** int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)


def test_describe_names_the_place_by_its_axes(tiny):
    scene = scene_of(tiny, text="a cat")
    where = describe(scene, "blocks.0.attn.pattern", (1, 4, 2)).place
    assert where == "head 1, query 't' at 4, key 'c' at 2"
    assert describe(scene, "blocks.1.mlp.post", (1, 40)).place == "token '·' at 1, neuron 40"
    assert describe(scene, "embed", (0, 3)).place == "token 'a' at 0, dimension 3"
    assert describe(scene, "blocks.0.ln1.mean", (0, 0)).place == "token 'a' at 0"
    assert describe(scene, "tokens", (2,)).value == str(scene.trace.ids[2])


# The tables


@pytest.mark.parametrize("blocks", [1, 2, 6, 48])
def test_there_are_13_steps_and_16_more_for_each_block(blocks):
    steps = step_list(parse_config(CONFIG | {"n_layer": blocks}, "test"))
    assert len(steps) == 13 + 16 * blocks
    assert len({step.key for step in steps}) == len(steps)
    assert [step.index for step in steps] == list(range(len(steps)))


def test_every_tensor_of_the_table_names_the_step_that_shows_it(tiny):
    scene = scene_of(tiny, head=HEAD)
    for name, row in tensor_table(tiny.config).items():
        step = find_step(name, tiny.config)
        assert step.layer in (row.layer, None)
        shown = set()
        for panel in panels_of(replace(scene, state=replace(scene.state, layer=step.layer or 0)), step):
            shown |= {source.name for _, source in pictures(panel) if source is not None}
        told = name in ("tokens", "logits") or name.endswith((".mean", ".scale"))  # shown in words and bars
        assert told or name in shown, name


def test_every_step_is_found_by_its_key():
    for step in step_list(PARSED):
        assert find_step(step.key, PARSED) is step


def test_an_unknown_step_is_answered_with_the_closest_names():
    with pytest.raises(ExportError, match=r"blocks\.1\.attn\.pattern"):
        find_step("blocks.1.attn.patern", PARSED)
    with pytest.raises(ExportError, match="try"):
        find_step("???", PARSED)


def test_the_words_are_those_of_the_table_and_none_is_empty():
    raw = tomllib.loads(resource("steps.toml").read_text(encoding="utf-8"))
    assert {name for name in raw if "/" not in name} == set(OPS)
    assert {name.split("/")[0] for name in raw} == set(OPS)
    assert len(OPS) == len(set(OPS))
    for entry in raw.values():
        assert set(entry) <= {"name", "title", "lead", "lead_turned", "explain", "formula"}
        assert all(part.strip() for words in entry.values() for part in ([words] if isinstance(words, str) else words))
    for step in step_list(PARSED):
        assert all((step.text.name, step.text.title, step.text.lead, step.text.explain, step.text.formula))
        assert step.text.formula.count("<sub>") == step.text.formula.count("</sub>")
        assert step.text.formula.count("<sup>") == step.text.formula.count("</sup>")


@pytest.mark.parametrize(
    "changed",
    [
        {"activation_function": "relu"},
        {"activation_function": "silu"},
        {"activation_function": "gelu"},
        {"scale_attn_weights": False},
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False},
        {"tie_word_embeddings": False},
    ],
    ids=str,
)
def test_models_of_another_config_have_words_of_their_own(changed):
    usual, own = (
        {step.spec.op: step.text for step in step_list(parse_config(CONFIG | extra, "test"))} for extra in ({}, changed)
    )
    assert sum(usual[op] != own[op] for op in OPS) == 1


def test_commands_and_their_shortcuts_are_unique():
    assert len({command.id for command in COMMANDS}) == len(COMMANDS)
    keys = [key for command in COMMANDS for key in command.keys]
    assert len(set(keys)) == len(keys)
    assert all(option in {c.id for c in COMMANDS} for step in STEPS for option in step.options)


def test_every_example_opens_at_its_step(bundled):
    for example in examples():
        if example.model != "bundled":
            continue
        step = find_step(example.state.step, bundled.config)
        scene = scene_of(
            bundled, example.state.text, layer=step.layer or 0, head=example.state.head, token=example.state.token
        )
        assert example.state.head < bundled.config.n_head
        assert len(scene.trace) <= bundled.config.n_positions
        assert build_view(scene, step).title


# Texts of every kind and length


@pytest.mark.parametrize(
    "text", [" ", "a", "\r\n\t", "👩‍👩‍👧", "e\u0301\u00a0\u200b", "<|endoftext|>", "a\u202eb\x1b["]
)
def test_any_text_has_every_view(tiny, text):
    scene = scene_of(tiny, text, sampling=Sampling(top_k=3))
    for step in step_list(tiny.config):
        at = replace(scene, state=replace(scene.state, layer=step.layer or 0))
        found = panels_of(at, step)
        assert found
        chips = [p for p in found if isinstance(p, TokensPanel)]
        assert all(len(p.chips) == len(scene.trace) for p in chips)


@pytest.mark.parametrize("text", ["中文 naïve 🙂.\nNext  line\r\n", " x" * 40, "y" * 60 + "\t\n\n"])
@pytest.mark.parametrize("appended", [(), (40, 41)])
def test_the_text_is_shown_whole_and_uncut(tiny, text, appended):
    ids = (*tiny.tokenizer.encode(text).ids, *appended)
    scene = scene_of(tiny, text, ids, appended=appended)
    (prose,) = (p for p in panels_of(scene, step_of(scene, "text")) if isinstance(p, ProsePanel))
    shown = dict(zip(" \n\t\r", "·↵⇥␍", strict=True))
    whole = "".join(shown.get(char, char) for char in tiny.tokenizer.decode(ids))
    assert "".join(prose.pieces) == whole
    assert "".join(prose.pieces[len(prose.pieces) - prose.added :]) == tiny.tokenizer.decode(appended)
    assert max(map(len, prose.pieces)) <= 49


def test_a_prompt_that_fills_the_context_has_every_view(model):
    ids = [(7 * n) % model.config.vocab_size for n in range(model.config.n_positions)]
    trace = model.engine.trace(ids)
    scene = scene_of(model, "", trace=trace, layer=LAYER)
    for step in shown_steps(model.config, LAYER):
        assert panels_of(scene, step)


def test_an_appended_token_marks_what_was_computed(tiny):
    first = tiny.engine.trace(tiny.tokenizer.encode("a cat").ids)
    ids = (*first.ids, 40)
    scene = scene_of(tiny, "a cat", trace=tiny.engine.trace(ids, reuse=first), appended=(40,))
    grids = [p for p in panels_of(scene, step_of(scene, "pattern")) if isinstance(p, GridPanel)]
    assert all(p.fresh == 1 for p in grids)
    assert any("1 query × 6 keys" in p.note for p in grids)
    whole = scene_of(tiny, "a cat", trace=tiny.engine.trace(ids), appended=(40,))
    assert all(p.fresh == 0 for p in panels_of(whole, step_of(whole, "pattern")) if isinstance(p, GridPanel))
    for one, other in zip(panels_of(scene, step_of(scene, "z")), panels_of(whole, step_of(whole, "z")), strict=True):
        if isinstance(one, MapPanel):
            assert np.allclose(one.values, other.values, atol=1e-5)


# Enormous activations


def test_three_enormous_dimensions_at_position_0_leave_every_view_readable(tiny, tmp_path):
    weights = random_weights(CONFIG)
    weights["wpe.weight"][0, [2, 11, 17]] = (3000, -3000, 3000)
    planted = open_tiny(tmp_path / "planted", weights=weights)
    for token in (0, TOKEN):
        for op in OPS:
            plain_scene, scene = (scene_of(m, layer=LAYER, head=HEAD, token=token) for m in (tiny, planted))
            step = step_of(scene, op)
            for plain, panel in zip(panels_of(plain_scene, step), panels_of(scene, step), strict=True):
                for (before, _), (after, _) in zip(pictures(plain), pictures(panel), strict=True):
                    usual, now = contrast(before, plain.levels), contrast(after, panel.levels)
                    # Not layer norms at position 0: there the three dimensions determine mean and deviation.
                    if token or not op.startswith("ln"):
                        assert now >= usual / 8, (op, panel.title, token)


def contrast(values, levels):
    """The share of the colour scale that the middle half of the cells spans."""
    fractions = levels.fraction(values[np.isfinite(values)])
    return float(np.subtract(*np.percentile(fractions, [75, 25]))) if fractions.size else 0.0


def test_the_state_without_a_prompt_is_the_first_step():
    assert State().step == step_list(PARSED)[0].key


@pytest.mark.parametrize("turned", [False, True])
def test_thumbnails_of_a_long_text_show_whole_rows_of_every_head_and_know_which(tmp_path, turned):
    model = open_tiny(tmp_path / "long", CONFIG | {"n_positions": 600})
    scene = scene_of(model, "ab cd efg" * 60, view=ViewOptions(keys_down=turned), layer=1)
    count = len(scene.trace)
    step = next(s for s in shown_steps(scene.config, 1) if s.spec.op == "pattern")
    (small,) = (p for p in panels_of(scene, step) if isinstance(p, MultiplesPanel))
    shown = small.values.transpose(0, 2, 1) if turned else small.values
    every = -(-count // 96)
    assert small.every == every > 1 and shown.shape == (3, -(-count // every), count)
    whole = scene.trace["blocks.1.attn.pattern"]
    for row in (0, 50, shown.shape[1] - 1):
        _, query, key = small.source.at(7, row) if turned else small.source.at(row, 7)
        assert (query, key) == ((count - 1) % every + every * row, 7)
        assert np.allclose(shown[:, row, : query + 1], whole[:, query, : query + 1], atol=1e-6)
        assert np.isnan(shown[:, row, query + 1 :]).all()
    grids = [p for p in panels_of(scene, step) if isinstance(p, GridPanel)]
    assert [g.every for g in grids if g.small] == [every] * 4
    for grid in grids:
        numbers = scene.trace[grid.source.name][scene.head]
        for row, column in np.ndindex(grid.values.shape):
            value = grid.values[row, column]
            head, query, key = grid.source.at(row, column)
            assert head == scene.head
            assert np.isnan(value) or value == pytest.approx(numbers[query, key], rel=1e-4, abs=1e-6)
        assert grid.small or grid.values.shape == (count, count)


FOLDED = {
    *("embed", "pos_embed", "sum", "ln1", "ln2", "ln_final", "qkv", "heads", "concat", "attn_out", "resid_mid"),
    *("resid_post", "mlp.pre", "mlp_out", "logits"),
}
"""Steps that show every number of a vector or table as colours, next to a summary of it."""


@pytest.mark.parametrize("op", OPS)
def test_folded_a_view_keeps_all_that_is_no_carpet_and_is_never_empty(scene, op):
    view = build_view(scene, step_of(scene, op))
    left = list(panels(folded(view).content))
    assert left == [panel for panel in panels(view.content) if not panel.carpet] and left
    assert has_carpets(view) == (op in FOLDED)
    if has_carpets(view) and op not in ("qkv", "heads"):
        assert any(isinstance(panel, BarsPanel | CurvePanel) for panel in left), "what the numbers say stays"


def test_the_likeliest_token_has_rank_1_wherever_ranks_are_said(model):
    scene = scene_of(model, sampling=Sampling(greedy=True))
    draw = build_view(scene, step_of(scene, "draw"))
    views = (draw, chain(scene, int(scene.ranked.order[0])))
    said = [line.remark for view in views for p in panels(view.content) for line in getattr(p, "lines", ())]
    ranks = [remark for remark in said if isinstance(remark, str) and "rank" in remark]
    assert len(ranks) == 2 and all(re.search(r"\brank 1\b", remark) for remark in ranks), ranks


def test_every_point_of_a_curve_that_is_a_cell_has_that_cells_number(scene):
    found = set()
    for op in OPS:
        for panel in panels_of(scene, step_of(scene, op)):
            if isinstance(panel, CurvePanel) and panel.source is not None:
                found.add(op)
                drawn = panel.points[1] if panel.points else np.concatenate([y for _, y in panel.lines])
                assert len(drawn) == len(panel.source.each)
                cells = [Cell(panel.source.name, index) for index in panel.source.each[::7]]
                read = [read_cell(scene.trace, {}, cell) for cell in cells]
                np.testing.assert_allclose(read, np.asarray(drawn, float)[::7], rtol=1e-6, atol=1e-7)
    assert found == {"ln1", "ln2", "ln_final", "mlp.post", "logits"}
