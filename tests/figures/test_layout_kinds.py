"""The table of panel kinds: none is missing, and every row is complete."""

from typing import get_args

import numpy as np

from desktop_app.core.panels import AnyPanel, Box, CloudPanel, CurvePanel, Hue, TextPanel, View, formula_line
from desktop_app.figures import fonts
from desktop_app.figures.kinds import KINDS
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Dots, Page, Path, Words
from desktop_app.figures.theme import LIGHT


def test_every_kind_of_panel_has_a_row_and_no_two_share_a_painter():
    assert set(KINDS) == set(get_args(AnyPanel))
    for column in ("paint", "extent", "tables", "words"):
        assert len({getattr(row, column) for row in KINDS.values()}) == len(KINDS), column
    assert all(row.least_width > 0 for row in KINDS.values())


def test_the_indices_of_a_formula_stand_below_it_and_names_are_left_whole():
    panel = TextPanel(lines=(formula_line("A_ij = exp(S_ij) / Σ_m≤i exp(S_im) + resid_pre + √d_head"),))
    page = Page(LIGHT, fonts.width)
    place_view(View("", "", Box((panel,))), 900, 300, page)
    marks = [m for m in page.marks if isinstance(m, Words) and m.mono]
    low = {m.text for m in marks if m.size < max(m.size for m in marks)}
    assert low == {"ij", "m≤i", "im", "head"}
    line = next(m.y for m in marks if m.text.startswith("A"))
    assert all((m.y > line) == (m.text in low) for m in marks)
    assert any("resid_pre" in m.text for m in marks) and not any("_i" in m.text for m in marks)


def test_names_of_lines_that_end_at_the_same_place_are_above_them_each_after_its_line():
    x = np.linspace(0, 1, 20)
    lines = ((x, x * (1 - x)), (x, 2 * x * (1 - x)))
    page = Page(LIGHT, fonts.width)
    panel = CurvePanel(lines=lines, line_names=("low", "high"), named_above=True)
    place_view(View("", "", Box((panel,))), 600, 300, page)
    drawn = [m for m in page.marks if isinstance(m, Path) and len(m.x) == len(x)]
    for name, line in zip(panel.line_names, drawn, strict=True):
        words = next(m for m in page.marks if isinstance(m, Words) and m.text == name)
        sample = [m for m in page.marks if isinstance(m, Path) and m.colour == line.colour and len(m.x) == 2]
        assert any(m.y[0] == words.y and 0 < words.x - m.x[-1] < 10 for m in sample)
        assert words.y < line.y.min()


def test_labels_of_a_cloud_keep_apart_and_cover_no_marked_point():
    points = np.random.default_rng(0).standard_normal((2000, 2))
    panel = CloudPanel(
        points=points, labels=tuple(f"t{n}" for n in range(2000)), kind=np.arange(2000) % 2,
        kinds=(("one", Hue.QUERY), ("other", Hue.KEY)), marked=tuple(range(8)),
    )  # fmt: skip
    page = Page(LIGHT, fonts.width)
    place_view(View("", "", Box((panel,))), 900, 600, page)
    labels = [m for m in page.marks if isinstance(m, Words) and m.text in panel.labels]
    boxes = [(m.x, m.x + page.width(m.text, size=11, mono=True, bold=m.bold), m.y) for m in labels]
    assert len(labels) > 40
    for n, (left, right, y) in enumerate(boxes):
        for other_left, other_right, other_y in boxes[:n] if not labels[n].bold else ():
            apart = max(left - other_right, other_left - right), abs(y - other_y) - 13
            assert apart[0] > 12 or apart[1] > 6
    dots = [m for m in page.marks if isinstance(m, Dots) and len(m.x) == 1]
    marked = [(m.x[0], m.y[0]) for m in dots if m.colour == LIGHT.accent]
    assert len(marked) == 8
    assert not any(a < x < b and abs(y - middle) < 6 for a, b, middle in boxes for x, y in marked)
    # Each other label has a dot of its token's colour beside it; the legend has one of each.
    hues = [LIGHT.hues[Hue.QUERY], LIGHT.hues[Hue.KEY]]
    own = [hues[int(m.text[1:]) % 2] for m in labels if not m.bold]
    assert sorted(m.colour for m in dots) == sorted([*own, *hues, *[LIGHT.accent] * 8])
