"""Colour limits that a person set, put in place of a view's own."""

from dataclasses import replace

from desktop_app.core.panels import AnyPanel, Box, GridPanel, MapPanel, MultiplesPanel, StripsPanel, View
from desktop_app.core.state import ViewOptions


def with_limits(view: View, options: ViewOptions) -> View:
    """The view on the scale that `options` fix: diverging colours up to `limit`, patterns up to `pattern_limit`."""
    if options.limit is None and options.pattern_limit is None:
        return view
    return replace(view, content=_box(view.content, options))


def _box(box: Box, options: ViewOptions) -> Box:
    children = tuple(_box(c, options) if isinstance(c, Box) else _panel(c, options) for c in box.children)
    return replace(box, children=children, wide=_box(box.wide, options) if box.wide is not None else None)


def _panel(panel: AnyPanel, options: ViewOptions) -> AnyPanel:
    if not isinstance(panel, StripsPanel | MapPanel | GridPanel | MultiplesPanel):
        return panel
    limit = options.limit if panel.levels.diverging else options.pattern_limit
    return replace(panel, levels=panel.levels.limited(limit))
