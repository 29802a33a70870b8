"""Faults planted in the analyses are caught by `logitscope check`, which names them and exits with 1."""

import numpy as np
import pytest

from desktop_app import cli
from desktop_app.core.analysis import attribution, heads, lens, parts, score
from desktop_app.core.analysis.closing import closing
from tests.checkpoints import TINY, write_checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", TINY | {"vocab_size": 300})


def forgotten(name):
    """Makes the parts lack the bias of that name."""
    known = parts.bias_of

    def bias_of(checkpoint, layer, which):
        return known(checkpoint, layer, which) * (which != name)

    return lambda patch: patch.setattr(parts, "bias_of", bias_of)


def final_scale_everywhere(patch):
    """A lens that uses the final layer norm's scale of the last point at every point, the most common mistake."""
    known = lens.final_norm

    def cached(checkpoint, y):
        own = np.sqrt(y.var(-1, keepdims=True) + checkpoint.config.layer_norm_epsilon)
        if not hasattr(patch, "scales"):
            patch.scales = own
        return known(checkpoint, y) * own / patch.scales

    patch.setattr(lens, "final_norm", cached)


def off_by_one(patch):
    patch.setitem(heads._CELLS, "induction", lambda repeated: (repeated + 1, -repeated + 2))


FAULTS = {
    "b_O forgotten": (forgotten("attn.b_O"), ["parts of", "attribution: parts and constant", "score"]),
    "b_out forgotten": (forgotten("mlp.b_out"), ["attribution: neurons"]),
    "the scale of another block": (
        lambda patch: patch.setattr(
            attribution, "frozen_scale", lambda trace, row: float(trace.read("blocks.0.ln1.scale", row=row)[0])
        ),
        ["attribution: parts and constant"],
    ),
    "a scale of 1": (
        lambda patch: patch.setattr(score, "frozen_scales", lambda _trace, _layer, start, end: np.ones(end - start)),
        ["score"],
    ),
    "not centred": (
        lambda patch: patch.setattr(attribution, "centred", lambda vector: vector),
        ["attribution: parts and constant"],
    ),
    "the lens with a cached scale": (final_scale_everywhere, ["lens: logits of a token, recomputed"]),
    "induction off by one": (off_by_one, ["heads: induction, recomputed"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(model, monkeypatch, capfd, fault):
    plant, names = FAULTS[fault]
    plant(monkeypatch)
    status = cli.main(["check", "A cat sat. A cat", "--model", str(model)])
    out, err = capfd.readouterr()
    wrong = [line for line in out.splitlines() if "WRONG" in line]
    assert (status, err) == (1, "")
    for name in names:
        assert any(name in line for line in wrong), (name, wrong)
    assert all(any(name in line for name in (*names, "lens:")) for line in wrong), wrong
    assert " results of the analyses: " in out.splitlines()[-1] and " wrong: " in out.splitlines()[-1]
    assert "all agree with their formulas" in out


def test_the_check_finds_nothing_where_nothing_is_amiss(model, capfd):
    assert cli.main(["check", "A cat sat. A cat", "--model", str(model)]) == 0
    assert capfd.readouterr().out.splitlines()[-1].endswith("all are correct, up to rounding.")


# What counts as closing


def test_the_worst_of_several_sums_is_told_and_measured_by_its_own_largest_term():
    found = closing("sums", np.array([1.0, 1000.05]), np.array([1.0001, 1000.0]), np.array([1.0, 1000.0]))
    assert found.index == (0,)
    assert found.good
    assert not closing("sums", 1.00011, 1.0, 0.5).good


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_never_closes(value):
    assert not closing("sum", value, 1.0, 1.0).good
    assert not closing("sum", np.array([1.0, value]), np.array([1.0, value]), 1.0).good
