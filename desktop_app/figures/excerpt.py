"""A part of a view for a figure: its main picture alone, chosen heads side by side, a range of tokens."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from desktop_app.core.compare import main_panel
from desktop_app.core.levels import Levels, diverging
from desktop_app.core.panels import (
    AnyPanel,
    Box,
    GridPanel,
    MapPanel,
    MultiplesPanel,
    Source,
    StripsPanel,
    TokensPanel,
    View,
    column,
    panels_of,
    row,
)
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.phrase import Phrase
from desktop_app.gpt2.tensors import tensor_table

_POSITIONS = ("pos", "query", "key")


@dataclass(frozen=True)
class Excerpt:
    """The part of a view to draw: its main picture alone (`panel`), or the panel with the title `only`; several
    `heads` side by side; only `tokens`, from the first position up to, but not including, the second.
    """

    panel: bool = False
    heads: tuple[int, ...] = ()
    tokens: tuple[int | None, int | None] | None = None
    only: str = ""


WHOLE = Excerpt()
"""The whole view."""


def read_heads(text: str) -> tuple[int, ...]:
    """The heads of a list like "1" or "1,5,9". Raises ExportError."""
    if not re.fullmatch(r"\s*-?\d{1,4}\s*(,\s*-?\d{1,4}\s*)*", text):
        raise ExportError(f"--head is {text[:40]!r}; it must be a head's number, or several like 1,5,9.", option="head")
    return tuple(dict.fromkeys(int(part) for part in text.split(",")))


def read_tokens(text: str) -> tuple[int | None, int | None]:
    """The range given as "3:20", "3:" or ":20", as in Python: 20 is excluded. Raises ExportError."""
    match = re.fullmatch(r"\s*(\d{1,7})?\s*:\s*(\d{1,7})?\s*", text)
    if match is None or match[1] is match[2] is None:
        raise ExportError(
            f"--tokens is {text[:40]!r}; it must be a range of positions like 3:20 (20 left out).", option="tokens"
        )
    first, stop = (None if part is None else int(part) for part in match.groups())
    if first is not None and stop is not None and first >= stop:
        raise ExportError(
            f"--tokens {text.strip()} has no token in it; the first number must be the smaller one.", option="tokens"
        )
    return first, stop


def within(wanted: tuple[int | None, int | None] | None, count: int) -> tuple[int, int] | None:
    """The range in a text of `count` tokens; None for all of it. Raises ExportError if it exceeds the text."""
    if wanted is None:
        return None
    first, stop = wanted[0] or 0, count if wanted[1] is None else wanted[1]
    if stop > count or first >= count:
        raise ExportError(
            f"--tokens {first}:{stop} is outside the text's {count} tokens; they go from 0 to {count - 1}."
        )
    return None if (first, stop) == (0, count) else (first, stop)


def titles_of(view: View) -> tuple[str, ...]:
    """The titles of a view's panels, each once."""
    return tuple(dict.fromkeys(panel.title for panel in panels_of(view.content) if panel.title))


def panel_called(view: View, title: str) -> AnyPanel:
    """The panel of that title, or of the only title that contains it. Raises ExportError, listing the titles."""
    titles, wanted = titles_of(view), title.casefold().strip()
    found = [own for own in titles if own.casefold() == wanted] or [own for own in titles if wanted in own.casefold()]
    if len(found) != 1 or not wanted:
        raise ExportError(
            f"No single picture of this figure is called {title[:60]!r}; there are: {'; '.join(titles) or 'none'}."
        )
    return next(panel for panel in panels_of(view.content) if panel.title == found[0])


def side_by_side(views: Mapping[int, View], tensors: Sequence[str], *, fixed: bool) -> Box:
    """The main pictures of several heads' views, two or three in a row, each under its head.

    They share a scale fitted to their values, unless their scales are `fixed`.
    """
    found: list[AnyPanel] = []
    for head, view in views.items():
        panel = replace(main_panel(view, tensors), title=Phrase("head {1}", head), note="")
        found.append(replace(panel, beside=True) if isinstance(panel, GridPanel) else panel)
    if not fixed:
        found = list(panels_of(_scaled(column(*found), Phrase("the heads shown"), together=True)))
    across = 2 if len(found) in (2, 4) else 3
    panels = found
    return column(*(row(*panels[n : n + across]) for n in range(0, len(panels), across)))


def unmarked(view: View) -> View:
    """The view without the outline of the selected token: in a paper, an outline that nobody chose would mislead."""

    def walk(box: Box) -> Box:
        children = tuple(
            walk(c) if isinstance(c, Box) else replace(c, selected=None) if isinstance(c, GridPanel | MapPanel) else c
            for c in box.children
        )
        return replace(box, children=children, wide=None if box.wide is None else walk(box.wide))

    return replace(view, content=walk(view.content))


def cut(view: View, tokens: tuple[int, int], config: Config, labels: Sequence[str], *, fixed: bool) -> View:
    """The view with only the rows and columns of these tokens; scales are fitted to those unless they are `fixed`.

    Raises ExportError if no rows of the view are tokens.
    """
    span = range(*tokens)
    changed: list[AnyPanel] = []

    def walk(box: Box) -> Box:
        children = tuple(walk(c) if isinstance(c, Box) else one(c) for c in box.children)
        return replace(box, children=children, wide=None if box.wide is None else walk(box.wide))

    def one(panel: AnyPanel) -> AnyPanel:
        found = _cut_panel(panel, span, config, labels)
        if found is not panel:
            changed.append(found)
        return found

    content = walk(view.content)
    if not changed:
        raise ExportError("--tokens is for views with a row for each token, and this one has none; leave it out.")
    return replace(view, content=content if fixed else _scaled(content, Phrase("the tokens shown")))


def _cut_panel(panel: AnyPanel, span: range, config: Config, labels: Sequence[str]) -> AnyPanel:
    if isinstance(panel, TokensPanel):
        chips = tuple(chip for chip in panel.chips if chip.position in span)
        added = sum(chip.position >= len(panel.chips) - panel.added for chip in chips)
        return replace(panel, chips=chips, added=added)
    if not isinstance(panel, MapPanel | GridPanel | MultiplesPanel):
        return panel
    rows, columns = (_positions(panel, axis, config, labels) for axis in ("row", "col"))
    if rows is None and columns is None:
        return panel
    values, source = panel.values, panel.source
    for axis, positions in ((values.ndim - 2, rows), (values.ndim - 1, columns)):
        if positions is None:
            continue
        kept = [n for n, position in enumerate(positions) if position in span]
        if not kept:
            return panel
        values = values.take(kept, axis)
        if source is not None:
            source = _shifted(source, axis == panel.values.ndim - 2, kept, positions)
    fields: dict[str, Any] = {"values": values, "source": source}
    if not isinstance(panel, MultiplesPanel):
        if isinstance(panel, MapPanel) and panel.positions:
            kept = [n for n, position in enumerate(panel.positions) if position in span]
            fields["row_labels"] = tuple(panel.row_labels[n] for n in kept)
            fields["positions"] = tuple(panel.positions[n] for n in kept)
            return replace(panel, **fields)
        name = "row_labels" if isinstance(panel, MapPanel) else "labels"
        last = span.stop >= len(getattr(panel, name))
        chosen = panel.selected
        fields[name] = getattr(panel, name)[span.start : span.stop]
        fields["first"] = panel.first + span.start
        fields["fresh"] = panel.fresh if last else 0
        fields["selected"] = chosen - span.start if chosen is not None and chosen in span else None
    return replace(panel, **fields)


def _positions(panel: Any, axis: str, config: Config, labels: Sequence[str]) -> Sequence[int] | None:
    """The positions that a picture's rows or columns represent; None if they are not positions."""
    if axis == "row" and isinstance(panel, MapPanel) and panel.positions:
        return panel.positions
    count = panel.values.shape[-2 if axis == "row" else -1]
    if panel.source is None:  # made from several tensors: identified by the labels of its rows
        known = isinstance(panel, MapPanel) and axis == "row" and panel.row_labels == tuple(labels[:count])
        return range(count) if known else None
    table = tensor_table(config)
    axes = table[panel.source.name].axes if panel.source.name in table else ()
    if not any(i == axis and a in _POSITIONS for i, a in zip(panel.source.index, axes, strict=False)):
        return None
    listed = panel.source.rows if axis == "row" else panel.source.cols
    first = panel.source.first_row if axis == "row" else panel.source.first_col
    return listed if listed is not None else range(first, first + count)


def _shifted(source: Source, down: bool, kept: Sequence[int], positions: Sequence[int]) -> Source:
    """The source of a picture reduced to the `kept` rows (or columns)."""
    listed = isinstance(positions, tuple)
    if down:
        rows = tuple(positions[n] for n in kept) if listed else None
        return replace(source, rows=rows, first_row=source.first_row if listed else positions[kept[0]])
    cols = tuple(positions[n] for n in kept) if listed else None
    return replace(source, cols=cols, first_col=source.first_col if listed else positions[kept[0]])


def _scaled(content: Box, rule: str, *, together: bool = False) -> Box:
    """The panels with scales fitted to their values; they share scales as before, or all share one if `together`."""
    groups: dict[Levels, list[Any]] = {}
    for panel in {id(p): p for p in panels_of(content)}.values():
        if isinstance(panel, GridPanel | MapPanel | MultiplesPanel | StripsPanel):
            groups.setdefault(_shared(panel.levels, together), []).append(panel)
    made = {key: _limits(panels, rule) for key, panels in groups.items()}

    def walk(box: Box) -> Box:
        children = tuple(walk(c) if isinstance(c, Box) else one(c) for c in box.children)
        return replace(box, children=children, wide=None if box.wide is None else walk(box.wide))

    def one(panel: AnyPanel) -> AnyPanel:
        if isinstance(panel, StripsPanel | MapPanel | GridPanel | MultiplesPanel):
            return replace(panel, levels=made[_shared(panel.levels, together)])
        return panel

    return walk(content)


def _shared(levels: Levels, together: bool) -> Levels:
    """The key that panels with one scale have in common: it includes the limits, unless all panels share one scale."""
    return replace(levels, low=0, high=1, apart=0) if together else levels


def _limits(panels: Sequence[Any], rule: str) -> Levels:
    arrays = [a for p in panels for a in ([s.values for s in p.strips] if isinstance(p, StripsPanel) else [p.values])]
    levels: Levels = panels[0].levels
    if levels.diverging:
        return diverging(*arrays, rule=rule)
    if all(p.levels.high == 1 for p in panels):  # probabilities, from 0 to 1
        return levels
    return replace(levels, high=max(float(np.nanmax(a, initial=1e-6)) for a in arrays), rule=rule)
