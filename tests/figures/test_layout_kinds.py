"""The table of panel kinds: none is missing, and every row is complete."""

from typing import get_args

import numpy as np

from desktop_app.core.panels import (
    AnyPanel,
    Box,
    CloudPanel,
    CurvePanel,
    GridPanel,
    Hue,
    MultiplesPanel,
    Source,
    TextPanel,
    View,
    formula_line,
)
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


def test_grids_with_queries_left_out_name_the_tokens_that_they_show():
    """Rows are queries 1, 3 and 5 of six tokens, then of the last four; with keys down, they are the columns."""
    values = np.zeros((3, 6))
    values[1, 2] = 1
    labels, source = tuple("abcdef"), Source("blocks.0.attn.pattern", (0, "row", "col"), rows=(1, 3, 5))
    whole = GridPanel(values=values, labels=labels, source=source, every=2, small=True)
    turned = Source("blocks.0.attn.pattern", (0, "col", "row"), cols=(1, 3, 5))
    down = GridPanel(values=values.T, labels=labels, source=turned, every=2, small=True, keys_down=True)
    rest = Source("blocks.0.attn.pattern", (0, "row", "col"), rows=(3, 5), first_col=2)
    cut = GridPanel(values=values[1:, 2:], labels=labels[2:], source=rest, every=2, small=True, first=2)
    row = KINDS[GridPanel]
    assert row.words(whole) == "Grid of 3 queries by 6 keys. The largest in magnitude, 1.000, in row d, column c."
    assert row.words(down) == "Grid of 6 keys by 3 queries. The largest in magnitude, 1.000, in row c, column d."
    assert row.words(cut) == "Grid of 2 queries by 4 keys. The largest in magnitude, 1.000, in row d, column c."
    for panel, shown in ((whole, ("bdf", "abcdef")), (down, ("abcdef", "bdf")), (cut, ("df", "cdef"))):
        (table,) = row.tables(panel)
        assert ("".join(table.rows), "".join(table.columns)) == shown
    every = MultiplesPanel(values=values[None], names=("head 0",), source=source, every=2)
    assert KINDS[MultiplesPanel].words(every) == "1 grids of 6 tokens, one for each head."


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
