"""Colour limits set by the user: which one applies to a view, and the view with that limit."""

import math
from dataclasses import replace

from desktop_app.core.panels import (
    AnyPanel,
    AtlasPanel,
    Box,
    GridPanel,
    MapPanel,
    MultiplesPanel,
    ShadedPanel,
    SheetPanel,
    StripsPanel,
    View,
)
from desktop_app.core.session.state import ViewOptions
from desktop_app.gpt2.errors import LogitscopeError

MOST = 1e300
COLOURED = StripsPanel | MapPanel | GridPanel | MultiplesPanel | AtlasPanel | ShadedPanel


def with_limits(view: View, options: ViewOptions) -> View:
    """The view with the limits set in `options`: diverging colours up to `limit`, patterns up to `pattern_limit`."""
    if options.limit is None and options.pattern_limit is None:
        return view
    return replace(view, content=_box(view.content, options))


def limit_field(view: View) -> str | None:
    """The view option for the limit of this view's largest picture; None if nothing is shown in colours."""
    found = next((p for p in _coloured(view.content) if not (isinstance(p, GridPanel) and p.small)), None)
    if found is None:
        return None
    if isinstance(found, SheetPanel):  # its levels are computed where it is drawn
        around_zero = found.values is None or found.values.is_diverging(found.tensor)
    else:
        around_zero = found.levels.diverging
    return "limit" if around_zero else "pattern_limit"


def read_limit(text: str) -> float | None:
    """The typed limit; None for an empty text. Raises LogitscopeError for anything except a number above 0."""
    if not text.strip():
        return None
    try:
        limit = float(text.strip().replace(",", ".").replace("±", ""))
    except ValueError:  # refused below, together with numbers out of range
        limit = math.nan
    if not 0 < limit <= MOST:
        raise LogitscopeError(f"A colour limit is a number above 0, like 2.5; {text[:40]!r} is not.")
    return limit


def _ends(panel: COLOURED) -> bool:
    """Whether a panel's colours show magnitudes; a scale without a rule, as for masks, does not."""
    return bool(panel.levels.rule)


def _coloured(box: Box) -> list[COLOURED | SheetPanel]:
    found: list[COLOURED | SheetPanel] = []
    for child in box.children:
        if isinstance(child, Box):
            found += _coloured(child)
        elif isinstance(child, SheetPanel) or (isinstance(child, COLOURED) and _ends(child)):
            found.append(child)
    return found


def _box(box: Box, options: ViewOptions) -> Box:
    children = tuple(_box(c, options) if isinstance(c, Box) else _panel(c, options) for c in box.children)
    return replace(box, children=children, wide=_box(box.wide, options) if box.wide is not None else None)


def _panel(panel: AnyPanel, options: ViewOptions) -> AnyPanel:
    if isinstance(panel, SheetPanel) and panel.values is not None:
        colours = replace(panel.values.colours, limit=options.limit, pattern_limit=options.pattern_limit)
        return replace(panel, values=panel.values.coloured(colours, panel.values.beside))
    if not isinstance(panel, COLOURED) or not _ends(panel):
        return panel
    limit = options.limit if panel.levels.diverging else options.pattern_limit
    return replace(panel, levels=panel.levels.limited(limit))
