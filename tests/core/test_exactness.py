"""The effect of int8 on a prompt's probabilities: worked out by hand, and measured on two models."""

import numpy as np
import pytest

from desktop_app.core.comparing.exactness import compare, effect_of_rounding, words_of
from desktop_app.core.model import open_model
from tests.checkpoints import TINY, write_checkpoint


def softmax(logits):
    e = np.exp(np.asarray(logits, np.float64))
    return e / e.sum()


def test_a_hand_worked_difference():
    exact = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    effect = compare(exact, np.log(np.array([0.35, 0.4, 0.25], np.float32)))
    assert effect.token == 0
    assert (effect.exact, effect.rounded) == pytest.approx((0.5, 0.35))
    assert effect.difference == pytest.approx(0.15)
    assert effect.moved == pytest.approx(0.15)
    assert not effect.same_first


def test_a_large_logit_does_not_overflow():
    effect = compare(np.array([1000, 0], np.float32), np.array([999, 1], np.float32))
    assert effect.difference == 0
    assert effect.same_first


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("model"), TINY, seed=4)


def test_an_int8_model_is_compared_with_the_float32_model_of_its_folder(folder):
    rounded, exact = open_model(folder, int8=True), open_model(folder)
    ids = (5, 17, 42, 8)
    for position in (1, 3):
        ours = rounded.engine.trace(ids).logits(position)
        effect = effect_of_rounding(rounded, ids, position, ours)
        p, q = softmax(exact.engine.trace(ids).logits(position)), softmax(ours)
        assert effect.difference == pytest.approx(np.abs(p - q).max(), abs=1e-6)
        assert effect.token == np.abs(p - q).argmax()
        assert effect.moved == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-6)
        said = words_of(effect, rounded.tokenizer)
        assert said.startswith("int8 weights: ")
        assert rounded.tokenizer.quoted(effect.token) in said


def test_the_name_says_it(folder):
    assert open_model(folder, int8=True).name == f"{folder.name} (int8 weights)"
    assert open_model(folder).name == folder.name


def test_the_same_logits_make_no_difference(folder):
    model = open_model(folder)
    logits = model.engine.trace((1, 2)).logits(-1)
    assert "the same probabilities" in words_of(compare(logits, logits), model.tokenizer)
    assert model.exact is model.engine
