"""Names of columns: level where every one fits over or under its column, slanting where not; never one on another."""

import numpy as np
import pytest

from desktop_app.core.levels import unit
from desktop_app.core.panels import Bar, BarsPanel, Box, GraphPanel, GridPanel, Hue, Knot, MapPanel, View
from desktop_app.figures import fonts
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Heat, Page, Words
from desktop_app.figures.theme import LIGHT
from tests.figures.boxes import faults

NAMES = ("pos_embed", "embed", "b_K, ln1.b", "whole key")


def drawn(panel, width, height):
    page = Page(LIGHT, fonts.width)
    used = place_view(View("", "", Box((panel,))), width, height, page)
    assert faults(page.marks, width, max(used, height), fonts.width) == []
    return page


def named(page, names):
    """The marks of these words, from left to right."""
    return sorted((m for m in page.marks if isinstance(m, Words) and m.text in names), key=lambda m: m.x)


def table():
    return MapPanel(values=np.ones((2, 4)), levels=unit(), row_labels=("a", "b"), column_labels=NAMES, hue=Hue.QUERY)


@pytest.mark.parametrize(("width", "angle"), [(700, 0), (240, 55)])
def test_names_of_a_tables_columns_are_level_if_all_of_them_fit(width, angle):
    page = drawn(table(), width, 260)
    marks = named(page, NAMES)
    assert [m.text for m in marks] == list(NAMES) and {m.angle for m in marks} == {angle}
    (heat,) = [m for m in page.marks if isinstance(m, Heat) and m.fractions.shape == (2, 4)]
    middles = heat.rect.x + (np.arange(4) + 0.5) * heat.rect.w / 4
    assert np.allclose([m.x for m in marks], middles, atol=4), "each over its own column"
    assert all(m.y < heat.rect.y for m in marks)


def grid(count):
    labels = tuple(f"·t{n:03d}" for n in range(count))
    pattern = np.tril(np.ones((count, count)))
    return GridPanel(values=pattern, levels=unit(), labels=labels, selected=count - 1, head=0, op="pattern")


def test_a_grid_of_three_tokens_is_large_with_level_names():
    page = drawn(grid(3), 600, 470)
    (heat,) = [m for m in page.marks if isinstance(m, Heat) and m.fractions.shape == (3, 3)]
    assert heat.rect.w >= 300
    over = [m for m in page.marks if isinstance(m, Words) and m.text.startswith("·t") and m.align == "center"]
    assert len(over) == 3 and {m.angle for m in over} == {0}


@pytest.mark.parametrize("count", [24, 240])
def test_the_names_of_a_grids_sides_do_not_touch_its_first_row(count):
    page = drawn(grid(count), 440, 430)
    words = {m.text.split(" ")[0]: m for m in page.marks if isinstance(m, Words) and m.align == "right"}
    first, corner = words["·t000"], words["query"]
    assert corner.y + corner.size / 2 <= first.y - first.size / 2
    assert {m.angle for m in page.marks if isinstance(m, Words)} == {0, 55}


def flow(positions):
    knots = tuple(Knot(n, 0, 1.0, "") for n in range(len(positions)))
    return GraphPanel(
        column_labels=tuple(f"·tok{p}" for p in positions), positions=positions, level_labels=("0 pre", "0 post"),
        knots=knots, strands=(), kinds=(("attention", Hue.ATTENTION),),
    )  # fmt: skip


@pytest.mark.parametrize(("count", "angle"), [(3, 0), (30, -55)])
def test_a_flow_of_a_few_columns_fills_the_width_with_level_names(count, angle):
    page = drawn(flow(tuple(range(count))), 700, 300)
    marks = [m for m in page.marks if isinstance(m, Words) and m.text.startswith("·tok")]
    assert {m.angle for m in marks} == {angle}
    assert max(m.x for m in marks) > 600


def test_labels_of_bars_and_titles_are_whole_in_a_narrow_column():
    """Pairs of tokens with their positions are long names; the bars beside them can be short."""
    names = tuple(f"·rose {n} ← ·rose {n + 1}" for n in range(196, 204))
    bars = tuple(Bar(name, 0.9 - n / 50, f"{90 - 2 * n} %") for n, name in enumerate(names))
    page = drawn(BarsPanel(title="What it promotes and suppresses", bars=bars, hue=Hue.ATTENTION, reach=1.0), 290, 260)
    texts = {m.text for m in page.marks if isinstance(m, Words)}
    assert set(names) <= texts
    page = drawn(BarsPanel(title="What it promotes and suppresses", bars=bars, hue=Hue.ATTENTION, reach=1.0), 205, 260)
    assert "What it promotes and suppresses" in {m.text for m in page.marks if isinstance(m, Words)}
