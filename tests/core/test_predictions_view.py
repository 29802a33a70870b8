"""The predictions at all positions compared with the actual tokens: losses equal plain arithmetic on the logits."""

import numpy as np
import pytest

from desktop_app.core.analysis.predictions import compute
from desktop_app.core.levels import number
from desktop_app.core.opening.cells import Cell
from desktop_app.core.panels import BarsPanel, CurvePanel, ShadedPanel, panels_of
from desktop_app.core.products import completed
from desktop_app.core.steps import build_view, find_step, wants_of
from desktop_app.core.views import predictions
from desktop_app.gpt2.errors import ModelError
from tests.scenes import open_tiny, scene_of

TEXT = "The cat sat on the mat; the cat sat"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "tiny")


def shown(model, text=TEXT, **state):
    scene = scene_of(model, text, **state)
    step = find_step("predictions", scene.config)
    scene = completed(scene, lambda s: wants_of(s, step), model)
    return scene, build_view(scene, step)


def plainly(trace):
    """(loss, rank from 0) of each token but the first, token by token."""
    logits, found = np.asarray(trace["logits"], np.float64), []
    for n, came in enumerate(trace.ids[1:]):
        shares = np.exp(logits[n]) / np.exp(logits[n]).sum()
        found.append((-np.log(shares[came]), int((logits[n] > logits[n][came]).sum())))
    return found


def test_every_position_has_the_loss_of_the_token_that_came(model):
    trace = model.engine.trace(model.tokenizer.encode(TEXT).ids)
    made = compute(trace)
    losses, ranks = zip(*plainly(trace), strict=True)
    np.testing.assert_allclose(made.loss, losses, atol=1e-5)
    assert made.rank.tolist() == list(ranks) and made.right == ranks.count(0)
    assert made.mean_loss == pytest.approx(np.mean(losses), abs=1e-5)
    assert made.next_id.tolist() == list(trace.ids[1:])


def test_pieces_of_the_logits_give_the_same(model, monkeypatch):
    from desktop_app.core.analysis import predictions as analysis

    trace = model.engine.trace(model.tokenizer.encode(TEXT).ids)
    whole = compute(trace)
    monkeypatch.setattr(analysis, "_AT_ONCE", 700)
    heard = []
    parts = compute(trace, progress=heard.append)
    assert len(heard) > 3 and heard[-1] == 1
    np.testing.assert_allclose(parts.loss, whole.loss, atol=1e-5)


def test_the_view_shades_each_token_by_what_it_was_given_and_opens_to_its_loss(model):
    scene, view = shown(model, token=4)
    losses = [loss for loss, _ in plainly(scene.trace)]
    text = next(p for p in panels_of(view.content) if isinstance(p, ShadedPanel))
    assert np.isnan(text.values[0])
    np.testing.assert_allclose(text.values[1:], np.exp(-np.array(losses)), atol=1e-5)
    assert text.source.at(0, 5) == (4,), "what token 5 was given, position 4 said"
    bars = next(p for p in panels_of(view.content) if isinstance(p, BarsPanel))
    for bar in bars.bars:
        name, (n,) = bar.source
        assert name == predictions.LOSS and bar.value == pytest.approx(losses[n], abs=1e-5)
    assert sorted(b.value for b in bars.bars) == pytest.approx(sorted(losses)[-12:], abs=1e-5)
    curve = next(p for p in panels_of(view.content) if isinstance(p, CurvePanel))
    assert [losses[curve.source.at(0, n)[0]] for n in range(len(losses))] == pytest.approx(curve.points[1], abs=1e-5)
    assert f"{number(losses[3])} nats" in predictions.describe(scene, Cell(predictions.LOSS, (3,))).value
    opened = predictions.open_cell(scene, Cell(predictions.LOSS, (3,)))
    came = [bar for bar in next(p for p in panels_of(opened.content) if isinstance(p, BarsPanel)).bars if bar.marked]
    assert [bar.source for bar in came] == [("logits", (3, scene.trace.ids[4]))]
    assert came[0].value == pytest.approx(np.exp(-losses[3]), rel=1e-4)


def test_a_text_of_one_token_says_that_nothing_comes_after_it(model):
    _, view = shown(model, "a")
    assert "nothing comes after it" in next(panels_of(view.content)).lines[0].text


def test_a_cell_that_is_not_there_is_told(model):
    scene, _ = shown(model)
    with pytest.raises(ModelError, match="34 positions"):
        predictions.describe(scene, Cell(predictions.LOSS, (34,)))


def test_the_lines_to_copy_make_the_losses_again(model, tmp_path, monkeypatch):
    scene, _ = shown(model)
    monkeypatch.chdir(tmp_path)
    from desktop_app.core.opening.as_numpy import TRACE_FILE

    scene.trace.save(tmp_path / TRACE_FILE.name)
    made = {}
    exec(predictions.as_numpy(scene, None).replace(str(TRACE_FILE), str(tmp_path / TRACE_FILE.name)), made)
    np.testing.assert_allclose(made["result"], [loss for loss, _ in plainly(scene.trace)], atol=1e-4)
