"""Downscaled pictures keep the strongest cells, and the pointer finds the cell that a pixel shows."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from desktop_app.core.levels import Levels
from desktop_app.figures.marks import Cells, Rect
from desktop_app.figures.pool import pool, pooled_words

values = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    elements=st.floats(-100, 100, width=32) | st.just(float("nan")),
)
sizes = st.floats(1, 60)


def strongest(block):
    """The strongest cell of a block, by a slow loop; NaN if there is none."""
    best = float("nan")
    for value in block.ravel().tolist():
        if not math.isnan(value) and not abs(value) <= abs(best):
            best = value
    return best


def same(one, other):
    return abs(one) == abs(other) or (math.isnan(one) and math.isnan(other))


@given(values, st.integers(1, 50), st.integers(1, 50))
def test_every_pooled_cell_is_the_strongest_of_its_block(grid, rows, columns):
    pooled = pool(grid, rows, columns)
    r, c = grid.shape
    height, width = min(r, rows), min(c, columns)
    assert pooled.shape == (height, width)
    for i in range(height):
        for j in range(width):
            block = grid[i * r // height : (i + 1) * r // height, j * c // width : (j + 1) * c // width]
            assert same(float(pooled[i, j]), strongest(block))


@given(values, st.integers(1, 50), st.integers(1, 50))
def test_where_nothing_is_below_zero_half_the_work_gives_the_same(grid, rows, columns):
    sizes = np.abs(grid)
    assert np.array_equal(pool(sizes, rows, columns, signed=False), pool(sizes, rows, columns), equal_nan=True)


@pytest.mark.parametrize("signed", [True, False])
def test_pooling_a_large_picture_needs_little_room_beside_its_result(signed):
    """A map of 1,024 tokens by 3,072 neurons is pooled in every frame in which it is shown."""
    grid = np.random.default_rng(1).normal(size=(1024, 3072)).astype(np.float32)
    tracemalloc.start()
    pooled = pool(grid, 600, 800, signed=signed)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < pooled.nbytes + 2_500_000 < grid.nbytes / 2


def test_cells_beyond_the_limits_are_counted_without_a_copy():
    grid = np.random.default_rng(1).normal(size=(1024, 3072)).astype(np.float32)
    grid[3, 5] = np.inf
    tracemalloc.start()
    count = Levels(-1, 1).beyond(grid)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < grid.nbytes / 10
    assert count == (np.abs(grid) > 1).sum() - 1


def test_a_bright_diagonal_survives():
    grid = np.full((1024, 1024), 0.001)
    np.fill_diagonal(grid, 1.0)
    pooled = pool(grid, 300, 300)
    assert (np.diagonal(pooled) == 1).all()
    assert (pooled == 1).sum() <= 3 * 300


def test_the_words_say_how_many_cells_a_pixel_stands_for():
    assert pooled_words((10, 10), 10, 12) == ""
    assert pooled_words((1024, 1024), 300, 512) == "one pixel = 4 × 2, strongest shown"
    assert pooled_words((10, 3072), 40, 1000) == "one pixel = 1 × 4, strongest shown"


def picture(grid, width, height, density=1.0):
    return Cells(Rect(7, 11, width, height), *grid.shape, grid, None, "", density=density)


@given(values, sizes, sizes, st.floats(0, 0.999), st.floats(0, 0.999), st.sampled_from([1.0, 2.0, 4.0]))
def test_the_pointer_finds_the_cell_that_the_pixel_shows(grid, width, height, x, y, density):
    cells = picture(grid, width, height, density)
    row, column = cells.cell(7 + x * width, 11 + y * height)
    pooled = pool(grid, max(1, int(height * density)), max(1, int(width * density)))
    shown = pooled[int(y * pooled.shape[0]), int(x * pooled.shape[1])]
    assert same(float(grid[row, column]), float(shown))
    assert 0 <= row < grid.shape[0] and 0 <= column < grid.shape[1]


@given(st.integers(1, 30), st.integers(1, 30), st.floats(1, 9), st.data())
def test_the_middle_of_a_cell_is_that_cell(rows, columns, scale, data):
    cells = picture(np.zeros((rows, columns)), columns * scale, rows * scale)
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    place = cells.place(row, column)
    assert cells.cell(place.x + place.w / 2, place.y + place.h / 2) == (row, column)
    assert cells.rect.x <= place.x
    assert place.y + place.h <= cells.rect.y + cells.rect.h + 1e-6


@st.composite
def strips(draw):
    """A vector wrapped into rows of `stride`, or one head's part of it."""
    length, stride = draw(st.integers(1, 60)), draw(st.integers(1, 16))
    start = draw(st.integers(0, (length - 1) // stride)) * stride
    rows = draw(st.integers(1, -(-(length - start) // stride)))
    columns = stride if length >= start + stride else length - start
    return np.arange(1.0, length + 1)[None, :], start, stride, rows, columns


@given(strips(), st.floats(2, 9))
def test_cells_of_a_wrapped_strip_are_found_where_they_are_drawn(strip, scale):
    vector, start, stride, rows, columns = strip
    cells = Cells(Rect(3, 5, columns * scale, rows * scale), rows, columns, vector, None, "", start, stride)
    for n in range(start, min(vector.shape[1], start + rows * stride)):
        place = cells.place(0, n)
        assert cells.cell(place.x + place.w / 2, place.y + place.h / 2) == (0, n)


@given(strips(), st.floats(0, 0.999), st.floats(0, 0.999))
def test_any_point_of_a_strip_is_some_cell_of_its_vector(strip, x, y):
    vector, start, stride, rows, columns = strip
    cells = Cells(Rect(0, 0, 5, 2), rows, columns, vector, None, "", start, stride)
    row, column = cells.cell(x * 5, y * 2)
    assert row == 0
    assert start <= column < vector.shape[1]


def test_a_pooled_strip_gives_its_strongest_cell():
    vector = np.zeros((1, 100))
    vector[0, 37] = -9
    cells = Cells(Rect(0, 0, 10, 1), 1, 100, vector, None, "", 0, 100)
    assert cells.cell(3.5, 0.5) == (0, 37)


@pytest.mark.parametrize("point", [(-50, -50), (7, 11), (1e6, 1e6)])
def test_points_at_the_edge_and_outside_give_the_nearest_cell(point):
    cells = picture(np.zeros((4, 5)), 50, 40)
    row, column = cells.cell(*point)
    assert (row, column) == ((3, 4) if point[0] > 1000 else (0, 0))
