"""One formula as one object: how it is computed, emitted as graph nodes, checked, shown in words and copied as numpy.

Its indices are given once, in einsum style: the result's cell and each operand are indexed by letters. For `scores`,
whose cell is [h, i, j], q is read at [h, i, n] and k at [h, j, n]: letters that the cell lacks run over every index.
From this follow the operands of a cell, the cells that an operand feeds, the part of a weight that a tensor needs, and
whether a row needs rows other than its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.phrase import Phrase

Array = NDArray[Any]
Letters = Mapping[str, int]
"""The values of a pattern's letters for one cell: h the head, i the row (a position), j the column, t the token."""

TOKEN = "t"
"""The letter of an axis indexed by lookup: its index is the number that the first operand holds."""


@dataclass(frozen=True)
class Columns:
    """An axis on which heads lie side by side: column j of head h, in query (0), key (1) or value (2) of W_QKV."""

    part: int = 0

    def index(self, letters: Letters, config: Config) -> int | None:
        """The index on the axis; None if `letters` lacks the head or the column."""
        if "h" not in letters or "j" not in letters:
            return None
        return self.part * config.n_embd + letters["h"] * config.d_head + letters["j"]

    def letters(self, index: int, config: Config) -> dict[str, int] | None:
        """Head and column at an index of the axis; None if the index belongs to another part."""
        part, column = divmod(index, config.n_embd)
        head, within = divmod(column, config.d_head)
        return {"h": head, "j": within} if part == self.part else None

    def range(self, config: Config) -> slice:
        """The part's range on the axis."""
        return slice(self.part * config.n_embd, (self.part + 1) * config.n_embd)


Pattern = tuple[str | int | Columns, ...]
"""One entry for each axis: a letter, a fixed index, or heads side by side."""


def bind(pattern: Pattern, index: Sequence[int], config: Config) -> dict[str, int] | None:
    """The values of the letters of `pattern` at `index`; None where no letters give that index."""
    found: dict[str, int] = {}
    for entry, i in zip(pattern, index, strict=True):
        if isinstance(entry, Columns):
            letters = entry.letters(i, config)
            if letters is None:
                return None
            found |= letters
        elif isinstance(entry, str):
            found[entry] = i
        elif entry != i:
            return None
    return found


def fill(pattern: Pattern, letters: Letters, config: Config) -> tuple[int | None, ...]:
    """The index that `letters` give; None for an axis that is read whole."""
    return tuple(
        entry.index(letters, config)
        if isinstance(entry, Columns)
        else letters.get(entry)
        if isinstance(entry, str)
        else entry
        for entry in pattern
    )


@dataclass(frozen=True)
class Place:
    """Where a formula is evaluated: config, block (0 outside blocks), absolute positions of the rows.

    `first_key` is the position of an attention grid's first column, `first_head` the number of its first head.
    """

    config: Config
    layer: int
    rows: NDArray[np.int64]
    first_key: int = 0
    first_head: int = 0


@dataclass(frozen=True)
class Site:
    """Where a formula is emitted in a graph: block, and names of the rows' positions and of the hidden keys."""

    layer: int
    positions: str
    later: str


def filled(text: str, names: Mapping[str, object]) -> str:
    """A text with its "{name}" placeholders filled in; of a phrase, those in its values."""
    if not isinstance(text, Phrase):
        return text.format(**names)
    # A value that is nothing but one name is replaced by the object itself, which may be a phrase.
    whole = {f"{{{name}}}": value for name, value in names.items()}
    return Phrase(text.key, *(whole[v] if v in whole else str(v).format(**names) for v in map(str, text.values)))


@dataclass(frozen=True)
class Operand:
    """One input: its variable in numpy lines and sentences, where it is read, and its label in the inspector.

    A label, or a value of a label that is a phrase, may name letters, "W_U[{j}]"; the default label is the last part
    of the tensor's name.
    """

    variable: str
    at: Pattern
    label: str = ""

    @property
    def own_row(self) -> bool:
        """Whether a row of the result reads only the same row of the operand."""
        return self.at[self.at[0] == "h"] == "i"

    def called(self, letters: Mapping[str, int]) -> str:
        """The label with the values of its letters put in."""
        return filled(self.label, letters)


Magnitude = Callable[[Sequence[Array], Array], Array]
"""(absolute values of the operands, result) -> the sum of the absolute terms of each result."""


def itself(_sizes: Sequence[Array], result: Array) -> Array:
    """The magnitude of a result that is not a sum: its absolute value."""
    return np.abs(result)


def first(sizes: Sequence[Array], _result: Array) -> Array:
    """The magnitude of a result that is as exact as the first operand."""
    return sizes[0]


Kind = Literal["few", "dot", "softmax", "mean", "spread", "gather", "curve"]
"""How operands make a cell, which decides how an opened cell is drawn: a handful of numbers; the dot product of two
vectors, perhaps with a bias; a row's softmax, mean or spread; a number read from a table; a point of a curve.
"""

Terms = Callable[[Letters, Sequence[Array]], Mapping[str, float | str]]
"""(letters, operands of the cell) -> further numbers for the cell's sentence, by name."""

Settings = Callable[[Config, int], Mapping[str, float | str]]
"""(config, block) -> the formula's values from the config, by name."""


def _nothing(*_of: object) -> dict[str, float | str]:
    return {}


@dataclass(frozen=True)
class Formula:
    """A complete formula.

    `compute` takes a place and the operands, on any matching slices of rows, heads and columns, and returns the
    results. `emit` takes `nodes.Nodes`, a site, the result's name and those of the operands, and
    adds the same to a graph. `cell` and each operand's `at` say what is read.

    `numpy` are the lines that compute a cell from the variables, the last one being the result, and `numpy_whole` those
    for the whole tensor where they differ; both may name letters and `settings`. `numbers` is the sentence into which a
    cell's numbers are put; it may also name the variables, the `result` and `terms`; for a "dot" it is made from the
    products. `constants` are the settings and terms that are shown as operands: (label, name).

    `magnitude` is None where the formula applied to the operands' absolute values gives the sum of the absolute terms,
    as for sums of products. `hidden` is the result for a key that GPT-2's mask hides from the query, where that is the
    same for all of them. `rounds` marks a product with a weight: in an int8 model its first operand is rounded.
    """

    compute: Callable[..., Array]
    emit: Callable[..., object]
    cell: Pattern
    reads: tuple[Operand, ...]
    numpy: str
    numpy_whole: str = ""
    kind: Kind = "few"
    numbers: str = ""
    settings: Settings = _nothing
    terms: Terms = _nothing
    constants: tuple[tuple[str, str], ...] = ()
    magnitude: Magnitude | None = None
    hidden: float | None = None
    rounds: bool = False

    def evaluate(self, place: Place, *operands: Array) -> Array:
        """The results for the rows of `place`, from operands that are whole except for rows and heads."""
        if self._of_parts:
            parts = [
                _part(operand.at, array, place.config) for operand, array in zip(self.reads, operands, strict=True)
            ]
            return self.compute(place, *parts)
        return self.compute(place, *operands)

    @cached_property
    def _of_parts(self) -> bool:
        """Whether some operand is only read in part, even for the whole tensor."""
        return any(isinstance(entry, Columns) for operand in self.reads for entry in operand.at)

    def sizes_of(self, place: Place, sizes: Sequence[Array], result: Array) -> Array:
        """The sum of the absolute terms of each result, from the operands' absolute values, whole as for `evaluate`."""
        return self.evaluate(place, *sizes) if self.magnitude is None else self.magnitude(sizes, result)


def _part(pattern: Pattern, array: Array, config: Config) -> Array:
    return array[tuple(entry.range(config) if isinstance(entry, Columns) else slice(None) for entry in pattern)]
