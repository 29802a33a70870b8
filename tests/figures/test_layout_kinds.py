"""The table of panel kinds: none is missing, and what a row says is complete."""

from typing import get_args

from desktop_app.core.panels import AnyPanel
from desktop_app.figures.kinds import KINDS


def test_every_kind_of_panel_has_a_row_and_no_two_share_a_painter():
    assert set(KINDS) == set(get_args(AnyPanel))
    for column in ("paint", "extent", "tables", "words"):
        assert len({getattr(row, column) for row in KINDS.values()}) == len(KINDS), column
    assert all(row.least_width > 0 for row in KINDS.values())
