"""Numbers as text, compared with a handwritten table; colour limits that a few enormous activations do not affect."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_app.core.levels import cell_text, diverging, fraction_text, number, percent, short, unit

INF = math.inf
MINUS = "−"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1.000"),
        (-1.5, "−1.500"),
        (0.612345, "0.6123"),
        (12.345678, "12.35"),
        (999.94, "999.9"),
        (999.96, "1000"),
        (9.99996, "10.00"),
        (3141.59, "3142"),
        (99999.6, "1.00·10⁵"),
        (-2.5e7, "−2.50·10⁷"),
        (0.001, "0.001000"),
        (0.00099996, "0.001000"),
        (0.000123, "1.23·10⁻⁴"),
        (-5e-324, "−4.94·10⁻³²⁴"),
        (1.7e308, "1.70·10³⁰⁸"),
        (INF, "∞"),
        (-INF, "−∞"),
        (math.nan, "not a number"),
    ],
)
def test_a_number_has_four_digits_and_a_real_minus_sign(value, words):
    assert number(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (5.0, "5"),
        (-5.45, "−5.45"),
        (0.25, "0.25"),
        (100.0, "100"),
        (1200.0, "1200"),
        (99999.0, "10⁵"),
        (-1e-9, "−10⁻⁹"),
        (2.5e6, "2.5·10⁶"),
        (0.1 + 0.2, "0.3"),
        (-INF, "−∞"),
    ],
)
def test_a_tick_has_no_zeros_at_its_end(value, words):
    assert short(value) == words


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.0, "0 %"),
        (0.224, "22.4 %"),
        (0.0995, "10.0 %"),
        (0.0949, "9.5 %"),
        (0.0041, "0.41 %"),
        (0.00003, "0.0030 %"),
        (0.0000314, "0.0031 %"),
        (1e-6, "0.00010 %"),
        (9.6e-7, "9.6·10⁻⁵ %"),
        (4.2e-9, "4.2·10⁻⁷ %"),
        (1e-300, "1.0·10⁻²⁹⁸ %"),
        (0.999, "99.9 %"),
        (0.9996, "99.96 %"),
        (0.99997, "99.997 %"),
        (0.9999999, ">99.9999 %"),
        (1.0, "100.0 %"),
    ],
)
def test_a_percentage_says_neither_nothing_nor_certain_of_what_is_not(probability, words):
    assert percent(probability) == words


def read_back(words):
    """The number that the text stands for."""
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    mantissa, _, power = words.replace(MINUS, "-").partition("·10")
    if not power and mantissa.lstrip("-").startswith("10") and not mantissa.isascii():
        sign, power = mantissa.split("10", 1)
        mantissa = f"{sign}1"
    return float(mantissa) * 10.0 ** int(power.translate(digits) or 0)


@given(st.floats(-1e250, 1e250).filter(lambda x: x == 0 or abs(x) > 1e-250))
def test_the_words_of_a_number_say_that_number(value):
    assert read_back(number(value)) == pytest.approx(value, rel=6e-3)
    assert read_back(short(value)) == pytest.approx(value, rel=6e-3)
    assert "-" not in number(value) + short(value)


@given(st.floats(0, 1))
def test_the_words_of_a_probability_say_that_probability(probability):
    words = percent(probability)
    assert words.endswith(" %")
    if words.startswith(">"):
        assert 0.999999 < probability < 1
    else:
        assert read_back(words[:-2]) / 100 == pytest.approx(probability, rel=0.06, abs=1e-310)
    assert (words == "100.0 %") == (probability == 1)
    assert (words == "0 %") == (100 * probability == 0)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_limits_stand_at_the_percentile_and_count_what_lies_beyond():
    values = normal(1000, 50)
    levels = diverging(values)
    assert levels.low == -levels.high
    assert levels.high == pytest.approx(float(np.percentile(np.abs(values), 99.5)), rel=0.01)
    assert levels.beyond(values) == int((np.abs(values) > levels.high).sum())
    assert 200 <= levels.beyond(values) <= 300


@pytest.mark.parametrize("width", [24, 64, 256, 768, 1600])
def test_three_enormous_dimensions_do_not_blind_a_vector_of_any_width(width):
    plain = normal(width)
    planted = plain.copy()
    planted[[1, 5, 9]] = (3000, -2800, 900)
    levels = diverging(planted)
    assert levels.high <= 1.2 * np.abs(plain).max()
    assert levels.beyond(planted) >= 3
    fractions = levels.fraction(planted)
    assert fractions[1] == 1
    assert fractions[5] == 0
    assert np.std(np.delete(fractions, [1, 5, 9])) > 0.1


def test_several_vectors_on_one_scale_survive_their_outliers():
    vectors = [normal(24, seed=n) for n in range(3)]
    for vector in vectors:
        vector[[1, 5, 9]] = 3000
    assert diverging(*vectors).high < 4


sides = st.integers(1, 64) | st.sampled_from([96, 255, 256, 400, 512, 768, 1000, 1023, 1024])
tables = st.tuples(sides, sides, st.integers(0, 2**32))
"""Rows, columns and a seed; includes sides at which a stride through the cells would hit the same columns again."""


def even(rows, columns, seed):
    """Numbers of either sign with magnitudes from 1 to 3: none is an outlier."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(1, 3, (rows, columns)) * rng.choice([-1, 1], (rows, columns))).astype(np.float32)


@given(tables)
def test_the_limit_is_the_percentile_of_all_cells_whatever_the_shape(table):
    values = even(*table)
    assert diverging(values).high == np.percentile(np.abs(values), 99.5, method="higher")


@given(tables, st.booleans(), st.floats(1, 1e4), st.floats(0, 1))
def test_no_column_and_no_row_sets_the_scale_at_any_length(table, turned, factor, where):
    values = even(*table)
    if len(values[0]) > 1 and len(values) > 1:
        values[:, int(where * (len(values[0]) - 1))] = 3 * factor
    high = diverging(values.T if turned else values).high
    # Numbers up to four times as large as the rest are not outliers.
    assert 1 <= high <= (12.001 if min(values.shape) > 1 else 3)
    if factor > 4 and min(values.shape) > 1:
        assert high <= 3


@given(tables, st.floats(4.1, 1e4))
def test_a_few_dimensions_that_are_large_in_every_token_do_not_set_the_scale(table, factor):
    rows, columns, seed = table
    few = min(max(2, columns // 20), columns // 2)
    values = even(max(rows, 2), columns, seed)
    values[:, np.random.default_rng(seed).choice(columns, few, replace=False)] = 3 * factor
    levels = diverging(values)
    assert levels.high <= (3 if few else 1.001 * np.abs(values).max())
    assert levels.beyond(values) >= few * len(values)


@given(tables, st.integers(0, 3))
def test_limits_do_not_depend_on_where_a_cell_stands(table, large):
    rng = np.random.default_rng(table[2])
    values = rng.standard_t(3, table[:2])
    values[:, :large] *= 50
    mixed = values[rng.permutation(len(values))][:, rng.permutation(values.shape[1])]
    assert diverging(mixed) == diverging(values)
    assert diverging(values.T).high == pytest.approx(diverging(values).high, rel=3)


@pytest.mark.parametrize("sink", [20, 60, 500])
def test_a_picture_of_a_text_that_grows_keeps_its_colours(sink):
    highs = []
    for count in (2, 3, 5, 8, 16, 50, 128, 199, 200, 201, 256, 400, 512, 1000, 1023, 1024):
        scores = normal(count, count)
        scores[:, 0] = sink
        highs.append(diverging(np.where(np.tri(count, dtype=bool), scores, -np.inf)).high)
    assert min(highs[4:]) > 2
    assert max(highs) < 4.6


def test_nine_large_dimensions_of_a_vector_are_beyond_and_said():
    q = normal(768)
    q[::86] = 100
    assert diverging(q).high < 4
    assert diverging(q).beyond(q) >= 9


def test_what_is_merely_large_is_not_cut_off():
    values = np.linspace(-1, 1, 24)
    values[3] = 15
    assert diverging(values).high == 15
    assert diverging(values).beyond(values) == 0


def test_masked_cells_and_cells_that_are_not_there_do_not_count():
    values = normal(20, 20)
    same = diverging(values)
    more = np.concatenate([values, np.full((20, 3), -np.inf), np.full((20, 3), np.nan)], axis=1)
    assert diverging(more) == same


@pytest.mark.parametrize("values", [np.zeros((3, 3)), np.zeros((0, 4)), np.full(5, np.nan), np.full(4, -np.inf)])
def test_nothing_to_show_still_has_limits(values):
    levels = diverging(values)
    assert levels.high > 0
    assert levels.beyond(values) == 0


def test_one_lone_value_among_zeros_is_the_limit():
    values = np.zeros(10_000)
    values[7] = 3
    assert diverging(values).high == 3


def test_fractions_are_monotone_and_stay_between_the_ends():
    x = np.concatenate([[-np.inf], np.linspace(-2, 2, 101), [np.inf]])
    for levels in (diverging(np.linspace(-1, 1, 999)), unit(), unit("sqrt"), unit("log")):
        fractions = levels.fraction(x)
        assert fractions.min() == 0
        assert fractions.max() == 1
        assert (np.diff(fractions) >= 0).all()
        assert np.isnan(levels.fraction(np.array([np.nan]))).all()


def test_a_head_that_rests_on_the_first_token_can_be_read_on_the_other_scales():
    rest = np.array([0.05 / 40])
    assert unit("linear").fraction(rest)[0] < 0.01
    assert unit("sqrt").fraction(rest)[0] > 0.03
    assert unit("log").fraction(rest)[0] > 0.2
    for scale in ("linear", "sqrt", "log"):
        assert unit(scale).fraction(np.array([0.95]))[0] > 0.9
        assert (unit(scale).low, unit(scale).high) == (0, 1)


@pytest.mark.parametrize(
    ("value", "words", "share"),
    [
        (0.2236, "0.22", "0.22"),
        (0.998, "1.00", "0.998"),
        (0.9996, "1.00", "0.9996"),
        (0.99999, "1.00", ">0.9999"),
        (1.0, "1.00", "1.00"),
        (0.0203, "0.020", "0.020"),
        (0.00312, "0.0031", "0.0031"),
        (0.00024, "2.4·10⁻⁴", "2.4·10⁻⁴"),
        (0.0999, "0.10", "0.10"),
        (0.0, "0", "0"),
        (-0.004, "−0.0040", None),
        (-1.239, "−1.24", None),
        (9.999, "10.0", None),
        (-87.64, "−87.6", None),
        (99.96, "100", None),
        (-3076.1, "−3076", None),
        (2.5e6, "2.5·10⁶", None),
        (INF, "∞", None),
        (-INF, "−∞", None),
        (math.nan, "", ""),
    ],
)
def test_the_number_in_a_cell_is_never_nothing_and_never_all(value, words, share):
    assert cell_text(value) == words
    if share is not None:
        assert cell_text(value, share=True) == share


def test_limits_that_are_set_by_hand_hold_and_say_so():
    values = normal(40, 40)
    levels = diverging(values).limited(0.5)
    assert (levels.low, levels.high, levels.rule) == (-0.5, 0.5, "set by hand")
    assert levels.beyond(values) == int((np.abs(values) > 0.5).sum())
    assert diverging(values).limited(None) == diverging(values)
    pattern = unit("log").limited(0.1)
    assert (pattern.low, pattern.high, pattern.decades) == (0, 0.1, 4)
    assert pattern.beyond(np.array([0.05, 0.1, 0.2, math.nan])) == 1


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [(-0.004, 2, ".00"), (-0.25, 2, "−.25"), (1.0, 2, "1.00"), (-0.04, 1, ".0"), (0.96, 1, "1.0")],
)
def test_a_fraction_has_no_leading_zero_and_no_sign_where_it_rounds_to_nothing(value, places, text):
    assert fraction_text(value, places) == text


def test_few_cells_of_a_large_grid_are_sorted_whatever_its_width(monkeypatch):
    """The sample that gives the threshold takes from all columns, even if they are as many as a power of two."""
    cells = np.random.default_rng(3).normal(size=(1024, 1024)).astype(np.float32)
    cells[:, [0, 512]] *= 0.01
    cells[np.triu_indices(1024, 1)] = np.nan
    sorted_, partition = [], np.partition
    monkeypatch.setattr(np, "partition", lambda a, *more, **how: sorted_.append(a.size) or partition(a, *more, **how))
    diverging(cells)
    assert sorted_ and max(sorted_) < cells.size / 20
