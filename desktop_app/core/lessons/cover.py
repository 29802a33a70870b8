"""Views with their numbers hidden, so that they can be guessed: only the layout remains."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.panels import (
    AnyPanel,
    ArcsPanel,
    AtlasPanel,
    Bar,
    BarsPanel,
    Box,
    CloudPanel,
    CurvePanel,
    GraphPanel,
    GridPanel,
    MapPanel,
    MultiplesPanel,
    RulerPanel,
    ShadedPanel,
    SheetPanel,
    Strip,
    StripsPanel,
    TextPanel,
    View,
    WaterfallPanel,
)

HIDDEN = "?"
"""The text shown in place of a hidden number or word."""
_NOTE = "covered"


def _blank(values: NDArray[Any]) -> NDArray[Any]:
    return np.full(values.shape, np.nan)


def _bars(bars: tuple[Bar, ...]) -> tuple[Bar, ...]:
    """Hidden bars. Bars are sorted, so labels would give answers away and are hidden as well."""
    return (Bar(HIDDEN, 0.0, HIDDEN),) * len(bars)


def _strips(strips: tuple[Strip, ...]) -> tuple[Strip, ...]:
    return tuple(replace(strip, values=_blank(strip.values), remark="") for strip in strips)


def _grid(panel: Any) -> Any:
    return replace(panel, values=_blank(panel.values), note=_NOTE)


def cover_bars(panel: BarsPanel) -> BarsPanel:
    """The panel with bars that have neither lengths nor labels."""
    return replace(panel, note=_NOTE, bars=_bars(panel.bars), peers=_bars(panel.peers), cuts=(), base=0.0, reach=1.0)


_COVERS: dict[type, Callable[[Any], AnyPanel]] = {
    StripsPanel: lambda p: replace(p, note=_NOTE, strips=_strips(p.strips), peers=_strips(p.peers)),
    MapPanel: lambda p: replace(_grid(p), texts=tuple((HIDDEN,) * len(row) for row in p.texts)),
    GridPanel: _grid,
    MultiplesPanel: _grid,
    AtlasPanel: lambda p: replace(_grid(p), numbers=_blank(p.numbers)),
    ShadedPanel: lambda p: replace(_grid(p), others=None if p.others is None else _blank(p.others)),
    ArcsPanel: _grid,
    CloudPanel: lambda p: replace(
        p, note=_NOTE, points=np.zeros((0, 2)), labels=(), kind=None, kinds=(), marked=(), arrows=()
    ),
    BarsPanel: cover_bars,
    WaterfallPanel: lambda p: replace(
        p, note=_NOTE, rises=tuple(replace(r, value=0.0, start=0.0, text=HIDDEN, remark="") for r in p.rises)
    ),
    GraphPanel: lambda p: replace(p, note=_NOTE, strands=()),
    CurvePanel: lambda p: replace(
        p, note=_NOTE, lines=(), points=None, focus=None, levels_at=(), band=None, y_holds=None, line_names=()
    ),
    SheetPanel: lambda p: replace(p, note=_NOTE, values=None),
    RulerPanel: lambda p: replace(p, note=_NOTE, edges=(0.0, 1.0), labels=(HIDDEN,), u=0.0, landed=0),
    TextPanel: lambda p: replace(p, note=_NOTE, lines=tuple(replace(n, text=HIDDEN, remark="") for n in p.lines)),
}
"""Kind of panel -> the function that hides its numbers. The others have none: tokens and prose."""


def cover_panel(panel: AnyPanel) -> AnyPanel:
    """The panel with its numbers hidden; headings, axes and the tokens of the text stay."""
    cover = _COVERS.get(type(panel))
    return panel if cover is None else cover(panel)


def _cover_box(box: Box) -> Box:
    children = tuple(_cover_box(child) if isinstance(child, Box) else cover_panel(child) for child in box.children)
    return replace(box, children=children, wide=None if box.wide is None else _cover_box(box.wide))


def covered(view: View) -> View:
    """The view with the numbers of its panels hidden."""
    return replace(view, content=_cover_box(view.content))
