"""Sampling: the stages compared with transformers, with hand-worked numbers, and with laws of distributions."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from desktop_app.gpt2 import sampling as module
from desktop_app.gpt2.errors import SamplingError
from desktop_app.gpt2.sampling import Fate, Ranked, Sampling, stages, uniform

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_sampling.json").read_text())

logit = st.floats(-200, 200, width=32)
logits_of_any_kind = st.lists(logit, min_size=1, max_size=60).map(lambda values: np.array(values, np.float32))
temperatures = st.floats(math.log(0.01), math.log(100)).map(lambda x: min(max(math.exp(x), 0.01), 100.0))
samplings = st.builds(
    Sampling,
    temperature=temperatures,
    top_k=st.integers(0, 70),
    top_p=st.one_of(st.just(1.0), st.floats(1e-6, 1)),
    greedy=st.booleans(),
)
draws = st.one_of(st.sampled_from([0.0, 0.5, 1 - 2**-53]), st.floats(0, 1, exclude_max=True))


def run(logits, **chosen):
    return stages(Ranked(np.array(logits, np.float32)), Sampling(**chosen))


# --- against transformers


def before_cut(result, token):
    """The probability of a token after temperature, before anything is cut."""
    return float(result.probs_scaled[result.ranked.rank_of(token)])


def kept_ids(result):
    """The ids that survive every stage, in ranked order."""
    return result.ranked.order[: result.n_kept]


def test_every_kept_token_and_probability_equals_transformers():
    for case in GOLDEN["small"]:
        result = run(case["logits"], **case["settings"])
        assert sorted(kept_ids(result).tolist()) == sorted(case["kept"]), case["settings"]
        ours = [result.probability_of(number) for number in case["kept"]]
        np.testing.assert_allclose(ours, case["final"], rtol=0, atol=1e-14)


def test_logits_of_gpt2_small_give_what_transformers_gives(shared_data):
    with np.load(shared_data / "real_gpt2_logits.npz") as logits:
        ranked = {name: Ranked(logits[name]) for name in logits}
    for case in GOLDEN["gpt2"]:
        result = stages(ranked[case["logits"]], Sampling(**case["settings"]))
        shown = len(case["first_ids"])
        assert result.n_kept == case["n_kept"], case["settings"]
        assert kept_ids(result)[:shown].tolist() == case["first_ids"]
        np.testing.assert_allclose(result.final[:shown], case["first"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(result.final[-1], case["last"], rtol=1e-9, atol=1e-300)


@settings(deadline=None)
@given(
    values=st.lists(st.integers(-4000, 4000), min_size=1, max_size=60, unique=True),
    temperature=temperatures,
    top_k=st.integers(0, 70),
    top_p=st.floats(0.001, 1),
)
def test_stages_equal_transformers_on_any_logits(values, temperature, top_k, top_p):
    torch = pytest.importorskip("torch")
    warpers = pytest.importorskip("transformers")
    logits = np.array(values, np.float32) / 64
    ours = run(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    # Summed in the opposite order, a mass that equals top_p but for rounding may fall on its other side.
    assume(np.abs(ours.cumulative - top_p).min() > 1e-9)
    scores = warpers.TemperatureLogitsWarper(temperature)(None, torch.from_numpy(logits.astype(np.float64))[None])
    if top_k:
        scores = warpers.TopKLogitsWarper(top_k)(None, scores)
    if top_p < 1:
        scores = warpers.TopPLogitsWarper(top_p)(None, scores)
    theirs = torch.softmax(scores[0], dim=-1).numpy()
    assert sorted(kept_ids(ours).tolist()) == np.flatnonzero(torch.isfinite(scores[0]).numpy()).tolist()
    np.testing.assert_allclose([ours.probability_of(i) for i in range(len(logits))], theirs, rtol=0, atol=1e-12)


# --- by hand: logits log(8, 4, 2, 1, 1) are probabilities 8/16, 4/16, 2/16, 1/16, 1/16

SIXTEENTHS = np.log([1, 8, 2, 4, 1])  # ids 1, 3, 2, then 0 and 4 with equal logits


def test_the_ranking_is_descending_with_ties_to_the_lower_id():
    ranked = Ranked(SIXTEENTHS.astype(np.float32))
    assert ranked.order.tolist() == [1, 3, 2, 0, 4]
    assert [ranked.rank_of(number) for number in range(5)] == [3, 0, 2, 1, 4]
    ties = np.random.default_rng(0).integers(-4, 4, 5000).astype(np.float32)
    assert Ranked(ties).order.tolist() == sorted(range(5000), key=lambda number: (-ties[number], number))
    assert Ranked(np.array([0.0, -0.0, 0.0], np.float32)).order.tolist() == [0, 1, 2]


def test_each_stage_shows_the_numbers_worked_by_hand():
    result = run(SIXTEENTHS, temperature=0.5, top_k=3, top_p=0.9)  # squares: 64, 16, 4, 1, 1 of 86
    np.testing.assert_allclose(result.scaled, 2 * np.log([8, 4, 2, 1, 1]), atol=1e-6)
    np.testing.assert_allclose(result.probs_full, np.array([8, 4, 2, 1, 1]) / 16, rtol=1e-6)
    np.testing.assert_allclose(result.probs_scaled, np.array([64, 16, 4, 1, 1]) / 86, rtol=1e-6)
    assert result.n_top_k == 3
    np.testing.assert_allclose(result.probs_top_k, np.array([64, 16, 4]) / 84, rtol=1e-6)
    np.testing.assert_allclose(result.cumulative, np.array([64, 80, 84]) / 84, rtol=1e-6)
    assert result.n_kept == 2  # 64/84 = 0.76 < 0.9, so the second crosses the line and stays; then 80/84 = 0.95
    np.testing.assert_allclose(result.final, [0.8, 0.2], rtol=1e-6)
    assert [result.fate(rank) for rank in range(5)] == [
        Fate.KEPT,
        Fate.KEPT,
        Fate.CUT_BY_TOP_P,
        Fate.CUT_BY_TOP_K,
        Fate.CUT_BY_TOP_K,
    ]
    assert result.probability_of(3) == pytest.approx(0.2)
    assert result.probability_of(2) == 0
    assert before_cut(result, 2) == pytest.approx(4 / 86)


def test_top_p_is_measured_on_what_top_k_left_and_not_on_the_whole():
    # The first two have 12/16 = 0.75 < 0.8 of the whole, but 12/14 = 0.857 of the three that top-k leaves.
    assert run(SIXTEENTHS, top_p=0.8).n_kept == 3
    assert run(SIXTEENTHS, top_k=3, top_p=0.8).n_kept == 2


def test_a_token_with_exactly_top_p_before_it_is_cut():
    equal = np.zeros(4, np.float32)
    assert [run(equal, top_p=p).n_kept for p in (0.25, 0.5, 0.75, 0.7500001)] == [1, 2, 3, 4]


def test_of_equal_logits_at_the_edge_of_top_k_exactly_k_stay_the_lower_ids():
    result = run(SIXTEENTHS, top_k=4)
    assert kept_ids(result).tolist() == [1, 3, 2, 0]
    assert result.fate(4) is Fate.CUT_BY_TOP_K


def test_the_first_token_stays_however_small_top_p_is():
    result = run(np.zeros(1000, np.float32), top_p=5e-324)
    assert (result.n_kept, result.final.tolist(), kept_ids(result).tolist()) == (1, [1.0], [0])


def test_greedy_takes_the_highest_logit_alone_and_overrides_the_cuts():
    result = run(SIXTEENTHS, temperature=2, top_k=3, top_p=0.5, greedy=True)
    assert (result.n_kept, result.n_top_k, kept_ids(result).tolist(), result.final.tolist()) == (1, 5, [1], [1.0])
    assert [result.fate(rank) for rank in range(5)] == [Fate.KEPT] + [Fate.GREEDY] * 4
    assert result.probs_scaled[0] < 0.5  # the effect of the temperature is still visible
    assert {result.landing(u) for u in (0.0, 0.5, 1 - 2**-53)} == {0}


def test_cuts_that_are_off_cut_nothing_even_what_underflows_to_zero():
    result = run(np.arange(1000, dtype=np.float32), temperature=0.01)
    assert result.n_kept == 1000
    assert result.final[-1] == 0


# --- laws of every distribution


@settings(deadline=None)
@given(logits_of_any_kind, samplings)
def test_every_stage_is_a_distribution_in_descending_order(logits, chosen):
    result = stages(Ranked(logits), chosen)
    for probs in (result.probs_full, result.probs_scaled, result.probs_top_k, result.final):
        assert probs.sum() == pytest.approx(1, abs=1e-12)
        assert (probs >= 0).all()
        assert (np.diff(probs) <= 0).all()
    assert len(result.probs_full) == len(result.probs_scaled) == len(result.scaled) == len(logits)
    assert len(result.probs_top_k) == len(result.cumulative) == result.n_top_k
    assert len(result.final) == len(kept_ids(result)) == result.n_kept >= 1


@settings(deadline=None)
@given(logits_of_any_kind, samplings)
def test_the_fates_agree_with_the_counts_and_the_probabilities(logits, chosen):
    result = stages(Ranked(logits), chosen)
    fates = [result.fate(rank) for rank in range(len(logits))]
    assert fates[: result.n_kept] == [Fate.KEPT] * result.n_kept
    assert Fate.KEPT not in fates[result.n_kept :]
    assert fates.count(Fate.CUT_BY_TOP_K) == (0 if chosen.greedy else len(logits) - result.n_top_k)
    for rank, number in enumerate(result.ranked.order.tolist()):
        expected = result.final[rank] if fates[rank] is Fate.KEPT else 0
        assert result.probability_of(number) == expected


@settings(deadline=None)
@given(logits_of_any_kind, samplings, st.integers(1, 70), st.floats(1e-6, 1))
def test_a_larger_top_k_or_top_p_never_keeps_less(logits, chosen, more_k, more_p):
    ranked = Ranked(logits)
    fixed = {"temperature": chosen.temperature, "top_p": chosen.top_p}
    small, large = sorted((chosen.top_k or 1, more_k))
    narrow, wide = sorted((chosen.top_p, more_p))
    # With top-p on, a larger k spreads the mass, and so does not keep fewer either.
    kept = [stages(ranked, Sampling(**fixed, top_k=k)).n_kept for k in (small, large, 0)]
    assert kept == sorted(kept)
    fixed = {"temperature": chosen.temperature, "top_k": chosen.top_k}
    kept = [stages(ranked, Sampling(**fixed, top_p=p)).n_kept for p in (narrow, wide, 1.0)]
    assert kept == sorted(kept)


@settings(deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=40), samplings, st.integers(-150, 150))
def test_a_constant_added_to_all_logits_changes_no_probability(values, chosen, constant):
    plain, shifted = (
        stages(Ranked(np.array(values, np.float32) + np.float32(c)), chosen) for c in (0, constant)
    )  # whole numbers, so that float32 holds them exactly
    assert plain.n_kept == shifted.n_kept
    np.testing.assert_array_equal(plain.final, shifted.final)
    np.testing.assert_array_equal(plain.probs_full, shifted.probs_full)


@settings(deadline=None)
@given(logits_of_any_kind, temperatures)
def test_probabilities_equal_a_softmax_written_with_big_exponents(logits, temperature):
    exact = [math.exp((float(x) - float(logits.max())) / temperature) for x in logits]
    total = math.fsum(exact)
    result = stages(Ranked(logits), Sampling(temperature=temperature))
    ours = [before_cut(result, number) for number in range(len(logits))]
    np.testing.assert_allclose(ours, [x / total for x in exact], rtol=1e-9, atol=1e-300)


def test_extreme_temperatures_and_logits_stay_finite_and_exact():
    logits = np.array([-150.0, -150.5, -1e4, 3e38, -3e38], np.float32)
    for temperature in (0.01, 1, 100):
        result = run(logits, temperature=temperature)
        assert np.isfinite(result.scaled).all()
        assert result.final.tolist() == [1, 0, 0, 0, 0]
    close = run(logits[:2], temperature=0.01)
    assert close.final[1] == pytest.approx(math.exp(-50), rel=1e-12)
    even = run(logits[:2], temperature=100)
    assert even.final[1] == pytest.approx(1 / (1 + math.exp(0.005)), rel=1e-12)


# --- drawing


@settings(deadline=None)
@given(logits_of_any_kind, samplings, draws)
def test_a_draw_lands_in_the_interval_of_a_token_that_can_be_drawn(logits, chosen, u):
    result = stages(Ranked(logits), chosen)
    rank = result.landing(u)
    low, high = result.interval(rank)
    assert low <= u < high
    assert result.fate(rank) is Fate.KEPT
    assert result.final[rank] > 0


@settings(deadline=None)
@given(logits_of_any_kind, samplings)
def test_the_intervals_tile_the_line_from_0_to_1_and_are_as_wide_as_the_probabilities(logits, chosen):
    result = stages(Ranked(logits), chosen)
    intervals = [result.interval(rank) for rank in range(len(logits))]
    assert intervals[0][0] == 0
    assert all(before[1] == after[0] for before, after in pairwise(intervals))
    assert intervals[-1][1] == 1
    widths = [high - low for low, high in intervals]
    np.testing.assert_allclose(widths[: result.n_kept], result.final, rtol=0, atol=1e-13)
    assert not any(widths[result.n_kept :])
    for rank, (low, high) in enumerate(intervals):
        if low < high:  # both ends land on this rank
            assert result.landing(low) == result.landing(math.nextafter(high, 0)) == rank


def test_the_last_number_below_1_never_lands_on_a_token_that_underflowed():
    result = run([0, -1, -800, -900], temperature=0.5)
    assert result.final[2:].tolist() == [0, 0]
    assert result.landing(1 - 2**-53) == 1


def test_many_draws_come_as_often_as_their_probabilities_say():
    result = run(np.log([5, 3, 1.5, 0.4, 0.1]), temperature=1.3, top_k=4)
    n = 20_000
    counts = np.bincount([result.landing(uniform(7, draw)) for draw in range(n)], minlength=4)
    expected = n * result.final
    assert ((counts - expected) ** 2 / expected).sum() < 16.27  # chi-squared, 3 degrees of freedom, p = 0.001
    assert len(counts) == 4


def philox4x64(key, counter):
    """Philox4x64-10 in Python integers, after the paper (Salmon et al. 2011): a block of four words."""
    mask = 2**64 - 1
    k, c = list(key), list(counter)
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [second >> 64 ^ c[1] ^ k[0], second & mask, first >> 64 ^ c[3] ^ k[1], first & mask]
        k = [k[0] + 0x9E3779B97F4A7C15 & mask, k[1] + 0xBB67AE8584CAA73B & mask]
    return c


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 2))
def test_draws_are_philox_words_of_key_seed_and_counter_n_plus_1(seed, n):
    assert uniform(seed, n) == (philox4x64((seed, 0), (n + 1, 0, 0, 0))[0] >> 11) / 2**53


def test_draws_are_the_same_for_ever():
    # The generator is the published one: the known answer in the Random123 distribution for zero key and counter.
    assert philox4x64((0, 0), (0, 0, 0, 0))[:2] == [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC]
    assert [uniform(0, n) for n in range(3)] == [
        0.011546754286331562,
        0.5023796042735054,
        0.25382274039248487,
    ]


@pytest.mark.parametrize(("seed", "n"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**64)])
def test_a_seed_or_number_of_a_draw_out_of_range_is_refused(seed, n):
    with pytest.raises(SamplingError, match=r"must be from 0|numbered from 0"):
        uniform(seed, n)


@pytest.mark.parametrize("u", [1.0, -1e-9, math.nan, math.inf])
def test_a_draw_outside_0_to_1_is_refused(u):
    with pytest.raises(SamplingError, match="0 up to but not including 1"):
        run([0, 1]).landing(u)


# --- one sort per position


def test_moving_a_slider_sorts_nothing(monkeypatch):
    sorts = []
    original = module._descending
    monkeypatch.setattr(module, "_descending", lambda logits: sorts.append(1) or original(logits))
    ranked = Ranked(np.random.default_rng(0).normal(size=500).astype(np.float32))
    assert len(sorts) == 1

    def refuse(*_args, **_kwargs):
        raise AssertionError("sorted again")

    for name in ("sort", "argsort", "partition", "argpartition", "lexsort", "unique"):
        monkeypatch.setattr(np, name, refuse)
    for step in range(1, 50):
        result = stages(ranked, Sampling(temperature=step / 10, top_k=step, top_p=step / 50))
        result.landing(0.3)
        result.probability_of(step)
    assert len(sorts) == 1


def test_moving_top_k_or_top_p_exponentiates_nothing(monkeypatch):
    ranked = Ranked(np.arange(50, dtype=np.float32))
    stages(ranked, Sampling(temperature=0.7))
    monkeypatch.setattr(np, "exp", lambda *_: pytest.fail("exponentiated again"))
    assert stages(ranked, Sampling(temperature=0.7, top_k=3, top_p=0.9)).n_top_k == 3


def test_the_arrays_of_a_result_cannot_be_written_and_the_input_is_left_alone():
    logits = np.array([1, 2, 3], np.float32)
    result = stages(Ranked(logits), Sampling(top_k=2))
    names = ("scaled", "probs_full", "probs_scaled", "probs_top_k", "cumulative", "final", "cumulative_final")
    arrays = [getattr(result, name) for name in names]
    for array in (*arrays, kept_ids(result), result.ranked.order, result.ranked.logits, result.ranked.ranks):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    logits[0] = 9  # the array still belongs to the caller
    assert result.ranked.logits.tolist() == [3, 2, 1]


# --- what is refused


@pytest.mark.parametrize(
    ("field", "value", "range_said"),
    [
        ("temperature", 0.0, "from 0.01 to 100"),
        ("temperature", 0.0099, "from 0.01 to 100"),
        ("temperature", 100.1, "from 0.01 to 100"),
        ("temperature", math.nan, "from 0.01 to 100"),
        ("temperature", math.inf, "from 0.01 to 100"),
        ("temperature", 10**400, "from 0.01 to 100"),
        ("temperature", "1", "a number"),
        ("temperature", True, "a number"),
        ("temperature", None, "a number"),
        ("top_p", 0.0, "above 0 and at most 1"),
        ("top_p", 1.0000001, "above 0 and at most 1"),
        ("top_p", math.nan, "above 0 and at most 1"),
        ("top_k", -1, "from 0"),
        ("top_k", 2**31, "from 0"),
        ("top_k", 3.0, "a whole number"),
        ("top_k", False, "a whole number"),
        ("seed", -1, "from 0"),
        ("seed", 2**64, "from 0"),
        ("seed", "7", "a whole number"),
        ("greedy", 1, "true or false"),
        ("greedy", "no", "true or false"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(field, value, range_said):
    with pytest.raises(SamplingError, match=f"^{field} is .*{range_said}") as refusal:
        Sampling(**{field: value})
    assert len(str(refusal.value)) < 200


def test_the_ends_of_every_range_and_numpy_numbers_are_accepted_as_plain_numbers():
    Sampling(temperature=0.01, top_k=2**31 - 1, top_p=5e-324, seed=2**64 - 1)
    Sampling(temperature=100, top_k=0, top_p=1, seed=0)
    given_numpy = Sampling(temperature=np.float32(0.5), top_k=np.int64(3), top_p=np.float64(0.5), seed=np.uint64(4))
    assert given_numpy == Sampling(0.5, 3, 0.5, False, 4)
    assert json.loads(json.dumps(vars(given_numpy))) == vars(given_numpy)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_refused_naming_the_token(bad):
    with pytest.raises(SamplingError, match="logit of token 2 is"):
        Ranked(np.array([0, 1, bad, 3], np.float32))


@pytest.mark.parametrize("shape", [(0,), (2, 3), ()])
def test_logits_that_are_not_one_row_are_refused(shape):
    with pytest.raises(SamplingError, match="row of numbers"):
        Ranked(np.zeros(shape, np.float32))


@pytest.mark.parametrize("number", [-1, 4])
def test_an_id_or_a_rank_outside_the_vocabulary_is_refused(number):
    result = run([0, 1, 2, 3])
    for ask in (result.fate, result.interval, result.probability_of, result.ranked.rank_of):
        with pytest.raises(SamplingError, match=str(number)):
            ask(number)
