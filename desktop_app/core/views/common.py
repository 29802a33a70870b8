"""Functions shared by views: strips and maps of a tensor, with colour scales, sources and the state's options."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from desktop_app.core.asking.intents import Intent
from desktop_app.core.levels import Levels, diverging, number, percent
from desktop_app.core.panels import Array, Bar, BarsPanel, Box, Hue, MapPanel, Source, Strip, StripsPanel, row
from desktop_app.core.scene import Scene
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Phrase, joined

WIDEST = 128
"""The maximum number of cells in one row of a strip."""

LEGIBLE = 0.2
"""The least length of one panel's longest bar, relative to that of a panel beside it, for one scale for both."""


def wrap_width(length: int, group: int = 0) -> int:
    """The number of cells per row: at most WIDEST, preferably a divisor of `length`, and a multiple of `group`."""
    unit = group or 1
    count = length // unit
    best = next(n for n in range(count, 0, -1) if count % n == 0 and (n * unit <= WIDEST or n == 1))
    # A length without such a divisor, like a prime, is wrapped at WIDEST, and the last row is shorter.
    return best * unit if best > 1 or unit > 1 or count == 1 else min(length, WIDEST)


def norm(vector: Array) -> str:
    """The Euclidean norm of a vector, as text."""
    return Phrase("length {1}", number(float(np.linalg.norm(vector))))


def token_name(scene: Scene, position: int) -> str:
    """A token as named in sentences: its text in quotes, and its position. Raises ModelError outside the text."""
    if not 0 <= position < len(scene.trace):
        raise ModelError(f"Position {position} is outside the text of {len(scene.trace)} tokens.")
    return Phrase("{1} at {2}", scene.tokenizer.quoted(scene.trace.ids[position]), position)


def differs(by: str, good: bool) -> str:
    """A sentence with the recomputed number's difference from the model's, and whether rounding explains it."""
    if by == "0":
        return Phrase("the same number")
    key = "differs by {1}: rounding" if good else "differs by {1}: more than rounding"
    return Phrase(key, by)


def rows_note(left_out: int) -> str:
    """A note on which rows of W_E are compared: centred, or also without the `left_out` largest components."""
    return Phrase("without the {1} largest components", left_out) if left_out else Phrase("rows less their mean")


def rows_named(left_out: int) -> str:
    """What is subtracted from those rows, for the title of code."""
    return "less the mean row" + (f" and the {left_out} largest components" if left_out else "")


def rows_as_numpy(left_out: int) -> list[str]:
    """Lines of code that compute those rows of `E`, as `centred`."""
    lines = ["centred = E - E.mean(0)"]
    if left_out:
        lines += [
            f"axes = np.linalg.svd(centred, full_matrices=False)[2][:{left_out}]",
            "centred -= centred @ axes.T @ axes",
        ]
    return lines


def strip(
    scene: Scene,
    name: str,
    label: str,
    *,
    token: int | None = None,
    hue: Hue = Hue.RESIDUAL,
    operator: str = "",
    remark: str = "",
) -> Strip:
    """The row of tensor `name`, [pos, ...], for one token (by default the selected one)."""
    position = scene.token if token is None else token
    values = scene.trace.read(name, row=position)
    source = Source(name, (position, "col"))
    return Strip(label, values, source, hue, operator, remark)


def heads_strip(scene: Scene, name: str, label: str, *, hue: Hue, operator: str = "") -> Strip:
    """The row of tensor `name`, [head, pos, d_head], for the selected token, with its heads concatenated."""
    values = scene.trace.read(name, row=scene.token).reshape(-1)
    source = Source(name, ("group", scene.token, "within"), group=scene.config.d_head)
    return Strip(label, values, source, hue, operator)


def vector(scene: Scene, own: Strip, title: str = "", note: str = "", *, by_head: bool = False) -> StripsPanel:
    """A panel with one vector on its own colour scale. If `by_head`, it concatenates heads, and one is outlined."""
    width = scene.config.d_head if by_head else 0
    return StripsPanel(
        carpet=True,
        title=title,
        note=note,
        strips=(own,),
        levels=diverging(own.values),
        wrap=wrap_width(len(own.values), width),
        group=width,
        selected_group=scene.head if by_head else None,
    )


def key_bars(
    scene: Scene,
    weights: Array,
    keys: Sequence[int],
    cell: Callable[[int], tuple[str, tuple[int, ...]]],
    *,
    pick: Callable[[int], Intent] | None = None,
    marked: int | None = None,
) -> tuple[Bar, ...]:
    """A bar for each of the given keys of a query; `cell` returns the source cell of a key's weight."""
    return tuple(
        Bar(
            scene.labels[j],
            float(weights[j]),
            percent(float(weights[j])),
            Phrase("at {1}", j),
            marked=j == marked,
            pick=None if pick is None else pick(j),
            source=cell(j),
        )
        for j in keys
    )


def compared(*panels: BarsPanel, least: float = 0.0) -> Box:
    """Panels side by side whose bars have the same scale, so that a longer bar is a larger number.

    If on it the longest bar of one panel would be shorter than `least` times that of another, each has its own scale
    and says so.
    """
    bars = tuple(bar for panel in panels for bar in panel.bars)
    longest = [max((abs(bar.value - panel.base) for bar in panel.bars), default=0.0) for panel in panels]
    if min(longest) < least * max(longest):
        notes = (joined(" · ", filter(None, (panel.note, Phrase("own scale")))) for panel in panels)
        return row(*(replace(panel, note=note) for panel, note in zip(panels, notes, strict=True)))
    return row(*(replace(panel, peers=bars) for panel in panels))


def without_first(scene: Scene, values: Array, axis: int) -> Array:
    """The values, with NaN at position 0 if the state leaves it out."""
    if not scene.state.view.skip_first or values.shape[axis] < 2:
        return values
    values = np.array(values, copy=True)
    values[(slice(None),) * axis + (0,)] = np.nan
    return values


def token_map(
    scene: Scene,
    name: str,
    title: str,
    *,
    head: int | None = None,
    hue: Hue = Hue.RESIDUAL,
    levels: Levels | None = None,
    x_label: str = "",
    note: str = "",
    carpet: bool = True,
) -> MapPanel:
    """Tensor `name` for all tokens as a map [pos, feature]; if it has heads, for one head.

    `carpet` is as in `Panel`: the window hides the map unless the user asks for it.
    """
    values = scene.trace.read(name, head=head)
    shown = without_first(scene, values, 0)
    index: tuple[int | str, ...] = ("row", "col") if head is None else (head, "row", "col")
    return MapPanel(
        title=title,
        note=note,
        values=shown,
        levels=levels or diverging(shown),
        row_labels=scene.labels,
        source=Source(name, index),
        hue=hue,
        selected=scene.token,
        fresh=scene.fresh,
        x_label=x_label or Phrase("{1} dimensions", values.shape[1]),
        carpet=carpet,
    )
