"""Views that compare two passes: one before and after its edits, or those of two prompts or two models.

Every view can be compared, since a view is data. Where both views have numbers, these are subtracted; if the texts
differ in length, an alignment says which positions correspond. Every cell names its pass, or the difference that it is
a number of.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from desktop_app.core.comparing.alignment import Alignment
from desktop_app.core.comparing.graph_difference import graph_difference
from desktop_app.core.levels import Levels, diverging
from desktop_app.core.panels import (
    AnyPanel,
    ArcsPanel,
    Array,
    AtlasPanel,
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
    Source,
    StripsPanel,
    View,
    WaterfallPanel,
    column,
    panels_of,
    row,
)
from desktop_app.core.passes import BEFORE, OTHER
from desktop_app.core.scene import Scene
from desktop_app.core.sheet.values import SheetValues
from desktop_app.core.views.limits import COLOURED, with_limits
from desktop_app.gpt2.phrase import Phrase

AFTER = "after"
CHANGE, DIFFER = "change", "differ"
"""The `run` of a difference's cells: `change` for a pass and its edits, `differ` for two prompts or two models."""


@dataclass(frozen=True)
class Mode:
    """A way of comparing: the passes that it shows, the label above the picture, and how the picture is composed.

    `parts` are the titles of pictures side by side; a single picture has none. `less` is the `run` of a difference's
    cells.
    """

    shows: tuple[str, ...]
    badge: str
    parts: tuple[str, ...] = ()
    less: str = ""


MODES: dict[str, Mode] = {
    AFTER: Mode(("",), Phrase("edited")),
    "before": Mode((BEFORE,), Phrase("before the edits")),
    "change": Mode(("", BEFORE), Phrase("change by the edits"), less=CHANGE),
    "both": Mode(
        ("", BEFORE),
        Phrase("before and after the edits"),
        (Phrase("after"), Phrase("before"), Phrase("after − before")),
        CHANGE,
    ),
    "other": Mode((OTHER,), Phrase("the other prompt")),
    "pair": Mode(
        ("", OTHER),
        Phrase("beside the other prompt"),
        (Phrase("this prompt"), Phrase("other prompt"), Phrase("this − other")),
        DIFFER,
    ),
}
"""The view option `compare` -> its mode."""


_OF_MODELS = {
    "other": Mode((OTHER,), Phrase("the other model")),
    "pair": Mode(
        ("", OTHER),
        Phrase("beside the other model"),
        (Phrase("this model"), Phrase("other model"), Phrase("this − other")),
        DIFFER,
    ),
}
"""The view option `compare` -> its mode, if the other pass is by another model."""


def mode_of(scene: Scene) -> Mode:
    """The chosen mode if all passes that it shows exist, else the mode that shows only the requested pass."""
    chosen = scene.state.view.compare
    mode = MODES[chosen] if scene.passes.guest is None else _OF_MODELS.get(chosen, MODES[chosen])
    return mode if all(not name or name in scene.beside for name in mode.shows) else MODES[AFTER]


def shown(scene: Scene) -> tuple[Scene, ...]:
    """The scenes that a view of this scene shows, in the chosen mode."""
    return tuple(scene.beside[name] if name else scene for name in mode_of(scene).shows)


def other_words(scene: Scene) -> str:
    """What the other pass is: the other prompt's, or the other model's."""
    return (MODES if scene.passes.guest is None else _OF_MODELS)["other"].badge


def badge_of(scene: Scene) -> str:
    """The label above every picture of the scene; "" if it shows only the model's unedited pass over the text."""
    mode = mode_of(scene)
    if mode.shows == ("",) and not scene.trace.run.changes:
        return ""
    return mode.badge


def compared(scene: Scene, build: Callable[[Scene], View], tensors: Sequence[str] = ()) -> View:
    """The view of a scene in the chosen mode. `build` makes the view of one pass; `tensors` are those that it shows."""
    mode = mode_of(scene)
    views = [build(own) for own in shown(scene)]
    named = [of_run(view, name) for view, name in zip(views, mode.shows, strict=True)]
    if mode.less:
        alignment = scene.passes.alignment if OTHER in mode.shows else ()
        taken = with_limits(difference(views[0], views[1], alignment), scene.state.view)
        less = of_run(taken, mode.less)
        view = _beside([*named, less], mode.parts, tensors) if mode.parts else less
    else:
        view = named[0]
    return replace(view, badge=badge_of(scene))


def main_panel(view: View, tensors: Sequence[str]) -> AnyPanel:
    """The main picture of a view: the large grid, else a panel that shows one of `tensors`, else maps before others."""

    def rank(panel: AnyPanel) -> tuple[bool, bool, bool]:
        shown = panel.strips if isinstance(panel, StripsPanel) else (panel,)
        sources = [getattr(one, "source", None) for one in shown]
        own = any(isinstance(source, Source) and source.name in tensors for source in sources)
        return not isinstance(panel, GridPanel), not own, not isinstance(panel, MapPanel | MultiplesPanel | AtlasPanel)

    return min((p for p in panels_of(view.content) if not (isinstance(p, GridPanel) and p.small)), key=rank)


def _beside(views: Sequence[View], parts: Sequence[str], tensors: Sequence[str]) -> View:
    """The main pictures of views side by side, on one colour scale except for the last one, which is a difference.

    The difference decides which panel that is, because a panel that could not be subtracted may have lost its cells
    there; views with the same kinds of panels show the same one.
    """
    panels = [main_panel(view, tensors) for view in views]
    every = [list(panels_of(view.content)) for view in views]
    at = next(n for n, panel in enumerate(every[-1]) if panel is panels[-1])
    if all([type(p) for p in own] == [type(p) for p in every[-1]] for own in every):
        panels = [own[at] for own in every]
    levels = [p.levels for p in panels[:-1] if isinstance(p, COLOURED)]
    if len(levels) == len(panels) - 1:
        common = replace(levels[0], low=min(x.low for x in levels), high=max(x.high for x in levels))
        panels[:-1] = [replace(p, levels=common) if isinstance(p, COLOURED) else p for p in panels[:-1]]
    sheets = [p.values for p in panels[:-1] if isinstance(p, SheetPanel) and p.values is not None]
    if len(sheets) == len(panels) - 1 and all(_alike(sheets[0], other) for other in sheets[1:]):
        panels[:-1] = [
            replace(p, values=p.values.coloured(p.values.colours, [v for v in sheets if v is not p.values]))
            if isinstance(p, SheetPanel) and p.values is not None
            else p
            for p in panels[:-1]
        ]
    named = [
        replace(panel, title=part, note=panel.note if panel.note in _REFUSED else "")
        for panel, part in zip(panels, parts, strict=True)
    ]
    across = [replace(p, beside=True) if isinstance(p, GridPanel) else p for p in named]
    return replace(views[0], content=column(row(*across)))


# Differences

_ALONE = ArcsPanel | CloudPanel | RulerPanel
"""Kinds of panels with numbers that cannot be subtracted."""
_OfArray = MapPanel | GridPanel | MultiplesPanel | AtlasPanel | ShadedPanel


def difference(one: View, other: View, alignment: Alignment = ()) -> View:
    """The view `one` minus the view `other`. Panels that cannot be subtracted stay as they are in `one`."""
    return replace(one, content=_box(one.content, other.content, alignment))


def _box(one: Box, other: Box, alignment: Alignment) -> Box:
    if len(one.children) != len(other.children):
        return _not_compared(one)
    children = tuple(
        _box(a, b, alignment)
        if isinstance(a, Box) and isinstance(b, Box)
        else _not_compared(a)
        if isinstance(a, Box)
        else _alone(a)
        if isinstance(b, Box)
        else less(a, b, alignment)
        for a, b in zip(one.children, other.children, strict=True)
    )
    wide = one.wide if one.wide is None or other.wide is None else _box(one.wide, other.wide, alignment)
    return replace(one, children=children, wide=wide)


def _not_compared(box: Box) -> Box:
    """A box whose counterpart has other panels: its own panels keep their numbers, and say so."""
    children = tuple(_not_compared(child) if isinstance(child, Box) else _alone(child) for child in box.children)
    return replace(box, children=children)


def _alone(panel: AnyPanel) -> AnyPanel:
    """A panel that has no counterpart keeps its numbers, and says so; panels without numbers stay as they are."""
    return replace(panel, note=OTHERS) if type(panel) in _LESS else panel


def less(one: AnyPanel, other: AnyPanel, alignment: Alignment = ()) -> AnyPanel:
    """One panel minus another of the same kind. Others keep their numbers, if they have any, and say so."""
    make = _LESS.get(type(one))
    if type(one) is type(other) and make is not None:
        return make(one, other, alignment)
    return replace(one, note=ALONE) if isinstance(one, _ALONE) else _alone(one)


ALONE = Phrase("not compared")
OTHERS = Phrase("not compared: other parts")
APART = Phrase("not compared: another part of the text")
_REFUSED = (ALONE, OTHERS, APART)


def _values(one: _OfArray, other: _OfArray, alignment: Alignment) -> AnyPanel:
    """`one` minus `other`, for panels that show one array."""
    values = _subtracted(one.values, other.values, one.source, other.source, alignment)
    if values is None:
        return replace(one, note=APART)
    more: dict[str, Any] = {"values": values, "levels": _levels([values], one.levels)}
    if isinstance(one, MapPanel) and isinstance(other, MapPanel) and one.texts:
        more["texts"] = _texts(one, other)
    if isinstance(one, AtlasPanel) and isinstance(other, AtlasPanel):
        more["numbers"] = one.numbers - other.numbers
    return replace(one, **more)


_ROUNDING = 1e-5
"""Rounding alone can make a number of two passes differ by up to this fraction of the scale on which it is shown."""


def _levels(differences: Sequence[Array], shown: Levels) -> Levels:
    """The limits of differences between numbers that are shown on the scale `shown`.

    Two passes have much in common: all that comes before an edit or before the first token in which texts differ. What
    differs there by rounding alone does not set the limits; if nothing else differs, the limits keep it pale.
    """
    least = _ROUNDING * max(abs(shown.low), abs(shown.high))
    apart = [np.where(np.isfinite(values) & (np.abs(values) > least), values, np.nan) for values in differences]
    if any(np.isfinite(values).any() for values in apart):
        return diverging(*apart)
    return replace(diverging(*differences), low=-least, high=least, apart=0)


def _texts(one: MapPanel, other: MapPanel) -> tuple[tuple[str, ...], ...]:
    if [len(line) for line in one.texts] != [len(line) for line in other.texts]:
        return ()
    return tuple(
        tuple(a if a == b else f"{b} → {a}" for a, b in zip(own, theirs, strict=True))
        for own, theirs in zip(one.texts, other.texts, strict=True)
    )


def _subtracted(
    one: Array, other: Array, source: Source | None, others: Source | None, alignment: Alignment
) -> Array | None:
    """One array minus the other, cell by cell; None if they show different parts of a text or differ in shape."""
    if one.ndim != other.ndim:
        return None
    if source is not None and others is not None:
        if (source.first_row, source.first_col) != (others.first_row, others.first_col):
            return None
        for axis, name in ((-2, "rows"), (-1, "cols")):
            here, there = getattr(source, name), getattr(others, name)
            if here is not None and there is not None and here != there and other.ndim > 1:
                place = {cell: n for n, cell in enumerate(there)}
                other = _at(other, [place.get(cell) for cell in here], axis)
    for axis in range(one.ndim):
        if one.shape[axis] != other.shape[axis]:
            if len(alignment) != one.shape[axis] or max(n or 0 for n in alignment) >= other.shape[axis]:
                return None
            other = _at(other, alignment, axis)
    with np.errstate(invalid="ignore"):  # cells hidden in both are NaN, so their difference is NaN
        return np.asarray(one - other)


def _at(values: Array, places: Sequence[int | None], axis: int) -> Array:
    """The values at the indices `places` along an axis; NaN where a place is None."""
    found = np.array(values.take([0 if n is None else n for n in places], axis), float)
    missing = [n for n, place in enumerate(places) if place is None]
    np.moveaxis(found, axis, 0)[missing] = np.nan
    return found


def _alike(one: SheetValues, other: SheetValues) -> bool:
    """Whether two passes have tensors of the same shapes, except for the number of tokens."""
    return replace(one.trace.config, int8=False) == replace(other.trace.config, int8=False)


def _sheets(one: SheetPanel, other: SheetPanel, alignment: Alignment) -> AnyPanel:
    if one.values is None or other.values is None:
        return one
    if not _alike(one.values, other.values):
        return replace(one, values=None, note=Phrase("not compared: models of different shapes"))
    return replace(one, values=one.values.less(other.values, alignment))


def _strips(one: StripsPanel, other: StripsPanel, _alignment: Alignment) -> AnyPanel:
    if [len(s.values) for s in one.strips] != [len(s.values) for s in other.strips]:
        return replace(one, note=OTHERS)
    strips = tuple(
        replace(a, values=np.asarray(a.values - b.values)) for a, b in zip(one.strips, other.strips, strict=True)
    )
    return replace(one, strips=strips, levels=_levels([s.values for s in strips], one.levels))


def _bars(one: BarsPanel, other: BarsPanel, _alignment: Alignment) -> AnyPanel:
    """Bars with both values: filled for `one`, outlined for `other`."""
    theirs = {bar.label: bar.value for bar in other.bars}
    return replace(one, bars=tuple(replace(bar, outline=theirs.get(bar.label, bar.outline)) for bar in one.bars))


def _graphs(one: GraphPanel, other: GraphPanel, alignment: Alignment) -> AnyPanel:
    if one.level_labels != other.level_labels:
        return replace(one, note=OTHERS)
    if any(n != place for n, place in enumerate(alignment)):
        return replace(one, note=APART)
    return graph_difference(one, other)


def _rises(one: WaterfallPanel, other: WaterfallPanel, _alignment: Alignment) -> AnyPanel:
    theirs = {rise.label: rise for rise in other.rises}
    if [rise.label for rise in one.rises] != [rise.label for rise in other.rises]:
        return replace(one, note=OTHERS)
    rises = []
    for rise, was in zip(one.rises, other.rises, strict=True):
        value = rise.value - was.value
        words = f"{value:+.3f}".replace("-", "−")
        rises.append(replace(rise, value=value, start=rise.start - was.start, text=words, remark="", marked=False))
    moved = [n for n, rise in enumerate(rises) if not rise.total and not rise.unfolded]
    if moved:
        largest = max(moved, key=lambda n: abs(rises[n].value))
        rises[largest] = replace(rises[largest], marked=True)
    assert len(theirs) <= len(rises)
    return replace(one, rises=tuple(rises))


def _curves(one: CurvePanel, other: CurvePanel, _alignment: Alignment) -> AnyPanel:
    same = len(one.lines) == len(other.lines) and one.line_names == other.line_names
    if not same or any(not np.array_equal(a[0], b[0]) for a, b in zip(one.lines, other.lines, strict=True)):
        return replace(one, source=None, note=OTHERS)
    lines = tuple((x, np.asarray(y - b[1])) for (x, y), b in zip(one.lines, other.lines, strict=True))
    points, source = one.points, one.source
    if points is not None and other.points is not None and np.array_equal(points[0], other.points[0]):
        points = (points[0], np.asarray(points[1] - other.points[1]))
    elif points is not None:
        return replace(one, source=None, note=ALONE)  # no curve of differences has these points
    return replace(one, lines=lines, points=points, levels_at=(), band=None, focus=None, source=source, y_plus=None)


_LESS: Mapping[type[Any], Callable[[Any, Any, Alignment], AnyPanel]] = {
    MapPanel: _values,
    GridPanel: _values,
    MultiplesPanel: _values,
    AtlasPanel: _values,
    ShadedPanel: _values,
    StripsPanel: _strips,
    SheetPanel: _sheets,
    BarsPanel: _bars,
    WaterfallPanel: _rises,
    GraphPanel: _graphs,
    CurvePanel: _curves,
}
"""Kind of panel -> the function that subtracts two of them. Other kinds have no numbers, or no corresponding parts."""


# The pass that cells belong to


def of_run(view: View, run: str) -> View:
    """The view with cells of the pass or difference `run`; unchanged if that is "", the requested pass."""
    return replace(view, content=_of_run(view.content, run)) if run else view


def _of_run(box: Box, run: str) -> Box:
    children = tuple(_of_run(c, run) if isinstance(c, Box) else _panel_of(c, run) for c in box.children)
    return replace(box, children=children, wide=None if box.wide is None else _of_run(box.wide, run))


def _panel_of(panel: AnyPanel, run: str) -> AnyPanel:
    def called(source: Source | None) -> Source | None:
        return None if source is None else replace(source, run=run)

    if isinstance(panel, StripsPanel):
        return replace(panel, strips=tuple(replace(s, source=called(s.source)) for s in panel.strips))
    if isinstance(panel, BarsPanel):
        return replace(panel, bars=tuple(replace(bar, run=run) for bar in panel.bars))
    if isinstance(panel, SheetPanel):
        return replace(panel, run=run)
    if isinstance(panel, GraphPanel):
        return replace(panel, node_source=called(panel.node_source), edge_source=called(panel.edge_source))
    if isinstance(panel, _OfArray | WaterfallPanel | CurvePanel):
        return replace(panel, source=called(panel.source))
    return panel
