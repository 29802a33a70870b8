"""Arrays given in pieces read like the same arrays joined by numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_app.gpt2.stitched import Stitched


@given(st.integers(0, 1), st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 60), st.booleans())
def test_pieces_are_read_as_the_whole_and_as_its_first_rows(axis, lengths, count, read_before):
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(2, n, 3) if axis else (n, 3)) for n in lengths]
    whole = np.concatenate(parts, axis)
    stitched = Stitched({"x": (axis, tuple(parts))})
    if read_before:
        np.testing.assert_array_equal(stitched["x"], whole)
    first = np.concatenate([*stitched.first("x", count), whole[:, :0] if axis else whole[:0]], axis)
    np.testing.assert_array_equal(first, whole[:, :count] if axis else whole[:count])
    np.testing.assert_array_equal(stitched["x"], whole)


def test_what_was_taken_over_is_not_copied_until_it_is_read():
    old, new = np.arange(12.0).reshape(4, 3), np.ones((1, 3))
    stitched = Stitched({"x": (0, (old[:3], new))})
    assert all(np.shares_memory(part, old) for part in stitched.first("x", 3))
    assert not np.shares_memory(stitched["x"], old)


def test_arrays_cannot_be_changed():
    stitched = Stitched({"x": (0, (np.zeros((1, 2)), np.zeros((1, 2))))})
    with pytest.raises(ValueError, match="read-only"):
        stitched["x"][0, 0] = 1


def test_many_small_pieces_become_one():
    stitched = Stitched({"x": (0, (np.zeros((1, 2)),))})
    for _ in range(100):
        stitched = Stitched({"x": (0, (*stitched.first("x", 1000), np.ones((1, 2))))})
    assert len(stitched.first("x", 1000)) <= 17
    assert stitched["x"].sum() == 200
