"""Reduces a view to the part that a figure shows: one of its panels, several heads side by side, a range of tokens."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from desktop_app.core.comparing.compare import main_panel
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
from desktop_app.core.passes import OTHER
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ExportError
from desktop_app.gpt2.phrase import Phrase
from desktop_app.gpt2.tensors import tensor_table

_POSITIONS = ("pos", "query", "key")
"""The axes of tensors whose indices are positions in the text."""


@dataclass(frozen=True)
class Excerpt:
    """The part of a view to draw; all of it by default. The options --panel, --head, --tokens and --only choose it.

    - `panel`: only the main panel.
    - `heads`: the main panels of these heads, side by side, instead of one head's view; empty for no such choice.
    - `tokens`: only the rows and columns of the positions from the first number up to, but not including, the second;
      where one is None, from the start or to the end of the text.
    - `only`: only the panel with this title, or with a title that contains it; "" for all panels.
    """

    panel: bool = False
    heads: tuple[int, ...] = ()
    tokens: tuple[int | None, int | None] | None = None
    only: str = ""


WHOLE = Excerpt()
"""The whole view."""


def read_heads(text: str) -> tuple[int, ...]:
    """The heads that "1" or "1,5,9" lists, each once. Raises ExportError if `text` is no such list."""
    if not re.fullmatch(r"\s*-?\d{1,4}\s*(,\s*-?\d{1,4}\s*)*", text):
        raise ExportError(
            f"--head is {text[:40]!r}; give one head by its number, or several, like 1,5,9.", option="head"
        )
    return tuple(dict.fromkeys(int(part) for part in text.split(",")))


def read_tokens(text: str) -> tuple[int | None, int | None]:
    """The range of positions given as "3:20", "3:" or ":20", with None for an end that is left out.

    As in a Python slice, position 20 is excluded. Raises ExportError if `text` is no such range, or an empty one.
    """
    match = re.fullmatch(r"\s*(\d{1,7})?\s*:\s*(\d{1,7})?\s*", text)
    if match is None or match[1] is match[2] is None:
        raise ExportError(
            f"--tokens is {text[:40]!r}; give a range of positions, like 3:20 (20 is excluded).", option="tokens"
        )
    first, stop = (None if part is None else int(part) for part in match.groups())
    if first is not None and stop is not None and first >= stop:
        raise ExportError(
            f"--tokens {text.strip()} contains no token; the first number must be less than the second.",
            option="tokens",
        )
    return first, stop


def within(wanted: tuple[int | None, int | None] | None, count: int) -> tuple[int, int] | None:
    """`wanted` with its open ends filled in for a text of `count` tokens; None if that is the whole text.

    `wanted` may be None, for the whole text. Raises ExportError if the range extends beyond the text.
    """
    if wanted is None:
        return None
    first, stop = wanted[0] or 0, count if wanted[1] is None else wanted[1]
    if stop > count or first >= count:
        raise ExportError(
            f"--tokens {first}:{stop} is outside the text's {count} tokens, which are at positions 0 to {count - 1}."
        )
    return None if (first, stop) == (0, count) else (first, stop)


def titles_of(view: View) -> tuple[str, ...]:
    """The titles of a view's panels, in their order and without repetitions."""
    return tuple(dict.fromkeys(panel.title for panel in panels_of(view.content) if panel.title))


def panel_called(view: View, title: str) -> AnyPanel:
    """The panel with this title, or with the only title that contains it; case is ignored.

    Raises ExportError, which lists the titles, if no title or more than one matches.
    """
    titles, wanted = titles_of(view), title.casefold().strip()
    exact = [one for one in titles if one.casefold() == wanted]
    matching = exact or [one for one in titles if wanted in one.casefold()]
    if len(matching) != 1 or not wanted:
        raise ExportError(
            f"{title[:60]!r} does not name exactly one picture of this figure; the titles are: "
            f"{'; '.join(titles) or 'none'}."
        )
    return next(panel for panel in panels_of(view.content) if panel.title == matching[0])


def side_by_side(views: Mapping[int, View], tensors: Sequence[str], *, fixed: bool) -> Box:
    """The main panels of several heads, two or three to a row, each with its head as the title.

    `views` is head -> its view of the same step, and `tensors` are the tensors of that step. The panels share a colour
    scale fitted to their values; if `fixed`, each has the scale that it has in its view.
    """
    panels: list[AnyPanel] = []
    for head, view in views.items():
        panel = replace(main_panel(view, tensors), title=Phrase("head {1}", head), note="")
        panels.append(replace(panel, beside=True) if isinstance(panel, GridPanel) else panel)
    if not fixed:
        panels = list(panels_of(_fitted(column(*panels), Phrase("the heads shown"), together=True)))
    across = 2 if len(panels) in (2, 4) else 3
    rows = [panels[n : n + across] for n in range(0, len(panels), across)]
    return column(*(row(*in_row) for in_row in rows))


def unmarked(view: View) -> View:
    """The view with no token selected: in a paper, the outline of a token that nobody selected would mislead."""

    def walk(box: Box) -> Box:
        children = tuple(
            walk(c) if isinstance(c, Box) else replace(c, selected=None) if isinstance(c, GridPanel | MapPanel) else c
            for c in box.children
        )
        return replace(box, children=children, wide=None if box.wide is None else walk(box.wide))

    return replace(view, content=walk(view.content))


def cut(view: View, tokens: tuple[int, int], config: Config, labels: Sequence[str], *, fixed: bool) -> View:
    """The view with only the rows and columns of positions `tokens[0]` to `tokens[1]` - 1.

    `labels` are those of all tokens of the text. Colour scales are fitted to the rows and columns that remain; if
    `fixed`, they stay as they are. Raises ExportError if no panel has rows, columns or chips for these positions.
    """
    span = range(*tokens)
    changed: list[AnyPanel] = []

    def walk(box: Box) -> Box:
        children = tuple(walk(c) if isinstance(c, Box) else reduced(c) for c in box.children)
        return replace(box, children=children, wide=None if box.wide is None else walk(box.wide))

    def reduced(panel: AnyPanel) -> AnyPanel:
        part = _cut_panel(panel, span, config, labels)
        if part is not panel:
            changed.append(part)
        return part

    content = walk(view.content)
    if not changed:
        raise ExportError(
            "--tokens is for views with a row or column for each token, and this one has none; leave it out."
        )
    return replace(view, content=content if fixed else _fitted(content, Phrase("the tokens shown")))


def _cut_panel(panel: AnyPanel, span: range, config: Config, labels: Sequence[str]) -> AnyPanel:
    """The panel with only the positions in `span`; `panel` itself if it shows no positions, or none in `span`."""
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
        chosen = [n for n, position in enumerate(positions) if position in span]
        if not chosen:
            return panel
        values = values.take(chosen, axis)
        if source is not None:
            source = _source_of_part(source, axis == panel.values.ndim - 2, chosen, positions)
    fields: dict[str, Any] = {"values": values, "source": source}
    if not isinstance(panel, MultiplesPanel):
        if isinstance(panel, MapPanel) and panel.positions:
            chosen = [n for n, position in enumerate(panel.positions) if position in span]
            fields["row_labels"] = tuple(panel.row_labels[n] for n in chosen)
            fields["positions"] = tuple(panel.positions[n] for n in chosen)
            return replace(panel, **fields)
        name = "row_labels" if isinstance(panel, MapPanel) else "labels"
        to_the_end = span.stop >= len(getattr(panel, name))
        selected = panel.selected
        fields[name] = getattr(panel, name)[span.start : span.stop]
        fields["first"] = panel.first + span.start
        fields["fresh"] = panel.fresh if to_the_end else 0
        fields["selected"] = selected - span.start if selected is not None and selected in span else None
    return replace(panel, **fields)


def _positions(panel: Any, axis: str, config: Config, labels: Sequence[str]) -> Sequence[int] | None:
    """The positions that the rows (`axis` "row") or columns ("col") of a panel stand for; None if for other things."""
    if axis == "row" and isinstance(panel, MapPanel) and panel.positions:
        return panel.positions
    count = panel.values.shape[-2 if axis == "row" else -1]
    if panel.source is None:  # computed from several tensors: its rows are positions if their labels are the tokens'
        labelled = isinstance(panel, MapPanel) and axis == "row" and panel.row_labels == tuple(labels[:count])
        return range(count) if labelled else None
    table = tensor_table(config)
    here = panel.source.run != OTHER and panel.source.name in table  # the other prompt has positions of its own
    axes = table[panel.source.name].axes if here else ()
    if not any(i == axis and a in _POSITIONS for i, a in zip(panel.source.index, axes, strict=False)):
        return None
    listed = panel.source.rows if axis == "row" else panel.source.cols
    first = panel.source.first_row if axis == "row" else panel.source.first_col
    return listed if listed is not None else range(first, first + count)


def _source_of_part(source: Source, of_rows: bool, chosen: Sequence[int], positions: Sequence[int]) -> Source:
    """The source of a panel that is reduced to the `chosen` rows (to the `chosen` columns if not `of_rows`).

    `positions` are those of all rows (columns) before the reduction: a range if they are consecutive, else a tuple.
    """
    listed = isinstance(positions, tuple)
    if of_rows:
        rows = tuple(positions[n] for n in chosen) if listed else None
        return replace(source, rows=rows, first_row=source.first_row if listed else positions[chosen[0]])
    cols = tuple(positions[n] for n in chosen) if listed else None
    return replace(source, cols=cols, first_col=source.first_col if listed else positions[chosen[0]])


def _fitted(content: Box, rule: str, *, together: bool = False) -> Box:
    """The panels with colour scales fitted to their values; `rule` names these values next to the scale.

    Panels that shared a scale share the fitted one, too; if `together`, so do those whose scales differ in limits only.
    """
    groups: dict[Levels, list[Any]] = {}
    for panel in {id(p): p for p in panels_of(content)}.values():  # each once, though it may be in two layouts
        if isinstance(panel, GridPanel | MapPanel | MultiplesPanel | StripsPanel):
            groups.setdefault(_scale_key(panel.levels, together), []).append(panel)
    fitted = {key: _levels_of(panels, rule) for key, panels in groups.items()}

    def walk(box: Box) -> Box:
        children = tuple(walk(c) if isinstance(c, Box) else rescaled(c) for c in box.children)
        return replace(box, children=children, wide=None if box.wide is None else walk(box.wide))

    def rescaled(panel: AnyPanel) -> AnyPanel:
        if isinstance(panel, StripsPanel | MapPanel | GridPanel | MultiplesPanel):
            return replace(panel, levels=fitted[_scale_key(panel.levels, together)])
        return panel

    return walk(content)


def _scale_key(levels: Levels, together: bool) -> Levels:
    """What is equal in panels that share a scale: their levels, or if `together` their levels without the limits."""
    return replace(levels, low=0, high=1, apart=0) if together else levels


def _levels_of(panels: Sequence[Any], rule: str) -> Levels:
    """A colour scale of the kind that `panels` have, fitted to the values of all; for probabilities it is 0 to 1."""
    arrays = [a for p in panels for a in ([s.values for s in p.strips] if isinstance(p, StripsPanel) else [p.values])]
    levels: Levels = panels[0].levels
    if levels.diverging:
        return diverging(*arrays, rule=rule)
    if all(p.levels.high == 1 for p in panels):  # probabilities
        return levels
    return replace(levels, high=max(float(np.nanmax(a, initial=1e-6)) for a in arrays), rule=rule)
