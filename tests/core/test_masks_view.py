"""The mask lab: pairs counted by hand, windows that contain a head's attention, and effects from real passes."""

from dataclasses import replace

import numpy as np
import pytest

from desktop_app.core.analysis import score, spans
from desktop_app.core.caption import alt_text
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.opened import clicked, readout_of, view_of
from desktop_app.core.panels import BarsPanel, GridPanel, MapPanel, TextPanel, panels_of
from desktop_app.core.products import completed
from desktop_app.core.runs import asked_of, compute_passes
from desktop_app.core.scene import make_moment
from desktop_app.core.session.state import State, ViewOptions
from desktop_app.core.steps import build_view, find_step, text_of, wants_of
from desktop_app.gpt2.mask import mask_of
from tests.scenes import CONFIG, open_tiny

TEXT = "the cat sat on a mat"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny", CONFIG | {"n_layer": 3})


def moment(model, mask="causal", **state):
    made = State(text=TEXT, mask=mask, layer=1, head=2, **state)
    passes = compute_passes(model.engine, model.tokenizer, asked_of(made, model.tokenizer))
    scene, step = (
        make_moment(model.name, model.checkpoint, model.tokenizer, passes, made),
        find_step("masks", model.config),
    )
    return completed(scene, lambda s: wants_of(s, step), model), step


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("op", ["scores", "scaled", "masked", "pattern", "z"])
def test_the_words_of_a_step_under_another_mask_are_not_those_of_the_causal_one(model, op, turned):
    causal = ("later", "came before", "look back", "diagonal", "comes after")
    scene, _ = moment(model, "none", view=ViewOptions(keys_down=turned))
    step = find_step(f"blocks.1.attn.{op}", model.config)
    view, text = build_view(scene, step), text_of(scene, step)
    words = [view.title, view.lead, *(p.note for p in panels_of(view.content)), alt_text(scene, step)]
    if op != "masked":  # its explanation names the mask that GPT-2 has
        words += [text.explain, text.formula]
    assert not [(word, said) for word in causal for said in words if word in said]


def of(scene, step, kind):
    return [p for p in panels_of(build_view(scene, step).content) if isinstance(p, kind)]


def test_a_window_for_each_head_is_the_smallest_that_holds_its_attention(model):
    trace = model.engine.trace(model.tokenizer.encode(TEXT).ids)
    mask = mask_of(spans.spans(trace), model.config)
    count, queries = len(trace), np.arange(len(trace))
    distance = queries[:, None] - queries[None, :]
    smaller = 0
    for layer in range(3):
        for head in range(model.config.n_head):
            pattern = trace.read(f"blocks.{layer}.attn.pattern", head=head).astype(float)
            rule = mask.of(layer, head)
            window = count if rule.parts[0][0] == "causal" else rule.parts[0][1]
            assert pattern[distance < window].sum() >= 0.95 * count - 1e-6
            assert window == 1 or pattern[distance < window - 1].sum() < 0.95 * count
            smaller += window < count
    assert smaller > 3


def test_effects_are_those_of_passes_under_the_masks(model):
    scene, step = moment(model)
    rows = scene.made(wants_of(scene, step)[0])
    plain = np.exp(scene.trace.logits(-1).astype(float))
    plain /= plain.sum()
    for row in rows:
        logits = np.exp(model.engine.trace(scene.trace.ids, mask=row.mask).logits(-1).astype(float))
        logits /= logits.sum()
        assert row.token == logits.argmax()
        assert row.probability == pytest.approx(logits.max(), rel=1e-4)
        assert row.kl == pytest.approx((plain * np.log(plain / logits)).sum(), abs=1e-5)
    assert rows[0].mask == "causal"
    assert rows[0].kl == 0
    assert len({row.mask for row in rows}) == len(rows)


def test_the_table_counts_the_pairs_here_and_at_longer_lengths(model):
    scene, step = moment(model)
    (table,) = of(scene, step, MapPanel)
    count, rows = len(scene.trace), scene.made(wants_of(scene, step)[0])
    assert table.column_labels == ("here", "1k tokens", "8k tokens", "128k tokens")
    assert rows[0].pairs == (count * (count + 1) / 2, 1024 * 1025 / 2, 8192 * 8193 / 2, 131072 * 131073 / 2)
    assert rows[1].pairs == (count**2, 1024**2, 8192**2, 131072**2)
    window = next(r for r in rows if r.mask.startswith("window:") and "+" not in r.mask)
    n = int(window.mask.removeprefix("window:"))
    assert window.pairs[1] == sum(min(q + 1, n) for q in range(1024))


def test_the_mask_that_is_on_is_shown_and_a_click_puts_on_another(model):
    scene, step = moment(model, "causal, 1.2=window:3+first")
    (grid,) = of(scene, step, GridPanel)
    q, k = np.indices(grid.values.shape)
    assert np.array_equal(~np.isnan(grid.values), (k <= q) & ((q - k < 3) | (k == 0)))
    rows = scene.made(wants_of(scene, step)[0])
    assert scene.trace.run.mask in [row.mask for row in rows]
    assert readout_of(scene, Cell("masks.seen", (9, 2))).value == "hidden"
    assert readout_of(scene, Cell("masks.seen", (9, 0))).value == "seen"
    state = clicked(scene, Cell("masks.pairs", (2, 0)))
    assert state.mask == rows[2].mask
    assert replace(state, mask=scene.state.mask) == scene.state
    assert "k > q - 3" in view_of(scene, Cell("masks.seen", (9, 2))).content.children[0].lines[1].text


def test_what_no_mask_can_show_has_a_sentence_each(model):
    scene, step = moment(model)
    beyond = next(p for p in of(scene, step, TextPanel) if p.title == "What no mask can show")
    assert [line.label for line in beyond.lines] == ["Linformer", "Reformer", "ring attention"]
    assert all(len(line.remark) > 40 for line in beyond.lines)
    assert len(of(scene, step, BarsPanel)[0].bars) == len(scene.made(wants_of(scene, step)[0]))


@pytest.mark.parametrize("mask", ["none", "window:4+first", "causal, 1.2=none"])
def test_views_show_what_the_mask_shows_and_their_sums_are_whole(model, mask):
    made = State(text=TEXT, mask=mask, layer=1, head=2, token=5)
    passes = compute_passes(model.engine, model.tokenizer, asked_of(made, model.tokenizer))
    scene = make_moment(model.name, model.checkpoint, model.tokenizer, passes, made)
    rule, every = mask_of(mask, model.config).of(1, 2), np.arange(len(scene.trace))
    seen = rule.seen(every, every)
    for name in ("pattern", "masked"):
        view = build_view(scene, find_step(f"blocks.1.attn.{name}", model.config))
        grid = next(p for p in panels_of(view.content) if isinstance(p, GridPanel) and not p.small)
        assert np.array_equal(~np.isnan(grid.values), seen)
    # The weights listed for a query are all of its weights.
    view = build_view(scene, find_step("blocks.1.attn.z", model.config))
    bars = next(p for p in panels_of(view.content) if isinstance(p, BarsPanel)).bars
    expected = scene.trace.read("blocks.1.attn.pattern", head=2)[5]
    listed = {b.source[1][2]: b.value for b in bars}
    assert all(value == pytest.approx(float(expected[key])) for key, value in listed.items())
    assert set(np.argsort(-expected)[:5].tolist()) <= set(listed)
    assert view_of(scene, Cell("blocks.1.attn.pattern", (2, 5, int(expected.argmax())))).content.children
    found = score.compute(model.checkpoint, scene.trace, layer=1, head=2, query=5, key=4)
    row = scene.trace.read("blocks.1.attn.scaled", head=2)[5].astype(float)
    assert found.relative_score == pytest.approx(row[4] - row[seen[5]].mean(), abs=1e-5)
    assert found.relative.sum() == pytest.approx(found.relative_score, abs=1e-4)


@pytest.mark.parametrize(
    "cell", [None, Cell("masks.pairs", (6, 0)), Cell("masks.pairs", (3, 1)), Cell("masks.seen", (3, 1))]
)
def test_copied_as_numpy_passes_are_run_and_pairs_counted_again(model, cell, tmp_path, monkeypatch):
    scene, step = moment(model)
    scene.trace.save(tmp_path / "trace.safetensors")
    monkeypatch.chdir(tmp_path)
    made = {}
    exec(compile(step.spec.numpy(scene, cell), "copied", "exec"), made)
    result = made["result"]
    if cell is None:
        bars = of(scene, step, BarsPanel)[0].bars
        assert len(result) == len(bars) > 5
        assert np.allclose(list(result.values()), [bar.value for bar in bars], atol=1e-5)
    elif cell.name == "masks.seen":
        assert result is True and readout_of(scene, cell).value == "seen"
    else:
        assert readout_of(scene, cell).value == f"{result:,.0f} pairs"
