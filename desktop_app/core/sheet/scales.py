"""The colour scales of the sheet's tensors: their limits, and how many numbers lie beyond them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from desktop_app.core.levels import Levels, diverging, unit
from desktop_app.core.panels import Array
from desktop_app.core.silent import heard_limits, is_silent
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.phrase import Phrase

MOST = 1 << 22
"""For a tensor with more numbers, limits are computed from whole columns, drawn at random with a fixed seed."""

_THIS = Phrase("this tensor")


@dataclass(frozen=True)
class Colours:
    """Settings for a whole sheet: the scale of patterns, and limits set by the user, if any, as in `ViewOptions`."""

    scale: str = "linear"
    limit: float | None = None
    pattern_limit: float | None = None

    def fixed(self, name: str) -> Levels | None:
        """The scale of a tensor if it does not depend on the tensor's numbers; else None."""
        if not is_diverging(name):
            return unit(self.scale).limited(self.pattern_limit)
        return None if self.limit is None else Levels(-1, 1).limited(self.limit)


@dataclass(frozen=True)
class Scale:
    """The colour scale of a tensor, and the exact number of its cells beyond the limits."""

    levels: Levels
    beyond: int


def is_diverging(name: str) -> bool:
    """Whether a tensor has a scale centred on zero: all do, except patterns, whose scale is 0 to 1."""
    return not name.endswith("attn.pattern")


def is_centred(name: str) -> bool:
    """Whether the mean of its row is subtracted from a tensor's number before it is coloured.

    It is for logits: GPT-2's are around -100, and adding a number to every logit of a position changes no probability.
    """
    return name == "logits"


def chosen_columns(count: int, most: int, table: int) -> Array:
    """Indices of at most `most` of `count` columns, drawn without replacement: the same at every call for a table."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(table).choice(count, most, replace=False))


def natural(name: str, config: Config, tables: Iterable[Array]) -> Levels:
    """The limits of a tensor computed from its numbers, which are given as tables [row, column].

    Outliers and silent neurons do not determine them (`core/levels.py`, `core/silent.py`).
    """
    found = tuple(tables)
    if name.endswith("mlp.pre"):
        heard = [table[:, ~is_silent(config, np.fmax.reduce(table, axis=0))] for table in found]
        return heard_limits(np.concatenate(heard, 1), (np.concatenate(found, 1),), _THIS)
    return diverging(*found, rule=_THIS)


def joint(scales: Iterable[Levels]) -> Levels:
    """One scale for the same tensor in several passes: the widest of their scales."""
    first, *others = scales
    high = max((first.high, *(other.high for other in others)))
    return replace(first, low=-high if first.diverging else first.low, high=high)
