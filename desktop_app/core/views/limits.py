"""Colour limits set by the user: which one applies to a view, and the view with it."""

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
    StripsPanel,
    View,
)
from desktop_app.core.state import ViewOptions
from desktop_app.gpt2.errors import LogitscopeError

MOST = 1e300
COLOURED = StripsPanel | MapPanel | GridPanel | MultiplesPanel | AtlasPanel | ShadedPanel


def with_limits(view: View, options: ViewOptions) -> View:
    """The view on the scale that `options` fix: diverging colours up to `limit`, patterns up to `pattern_limit`."""
    if options.limit is None and options.pattern_limit is None:
        return view
    return replace(view, content=_box(view.content, options))


def limit_field(view: View) -> str | None:
    """The view option that fixes the limit of this view's largest picture; None if nothing is shown in colours."""
    found = [p for p in _coloured(view.content) if not (isinstance(p, GridPanel) and p.small)]
    if not found:
        return None
    return "limit" if found[0].levels.diverging else "pattern_limit"


def read_limit(text: str) -> float | None:
    """The typed limit, None for an empty text. Raises LogitscopeError for anything but a number above 0."""
    if not text.strip():
        return None
    try:
        limit = float(text.strip().replace(",", ".").replace("±", ""))
    except ValueError:  # rejected below, as other numbers are
        limit = math.nan
    if not 0 < limit <= MOST:
        raise LogitscopeError(f"A colour limit is a number above 0, like 2.5; {text[:40]!r} is none.")
    return limit


def _coloured(box: Box) -> list[COLOURED]:
    found: list[COLOURED] = []
    for child in box.children:
        if isinstance(child, Box):
            found += _coloured(child)
        elif isinstance(child, COLOURED):
            found.append(child)
    return found


def _box(box: Box, options: ViewOptions) -> Box:
    children = tuple(_box(c, options) if isinstance(c, Box) else _panel(c, options) for c in box.children)
    return replace(box, children=children, wide=_box(box.wide, options) if box.wide is not None else None)


def _panel(panel: AnyPanel, options: ViewOptions) -> AnyPanel:
    if not isinstance(panel, COLOURED):
        return panel
    limit = options.limit if panel.levels.diverging else options.pattern_limit
    return replace(panel, levels=panel.levels.limited(limit))
