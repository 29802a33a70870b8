"""The table of panel kinds: none is missing, and every row is complete."""

from typing import get_args

from desktop_app.core.panels import AnyPanel, Box, TextPanel, View, formula_line
from desktop_app.figures import fonts
from desktop_app.figures.kinds import KINDS
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Page, Words
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
