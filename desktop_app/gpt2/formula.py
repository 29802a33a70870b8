"""One formula as one object: how it is computed, emitted as graph nodes, checked, shown in words and copied as numpy.

What a formula reads is given once, in the style of einsum: the result's cell and each operand have a pattern of
letters, one for each axis. In `scores` the cell is [h, i, j], q is read at [h, i, n] and k at [h, j, n]. A letter that
the cell lacks, here n, runs over its whole axis. From the patterns follow the operands of a cell, the cells that an
operand feeds, the part of a weight that a tensor needs, and whether a row of the result needs other rows than its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.overflow import without_warnings
from desktop_app.gpt2.phrase import Phrase

Array = NDArray[Any]
Letters = Mapping[str, int]
"""The value of each letter for one cell: h is the head, i the row (a position), j the column, t the token id."""

TOKEN = "t"
"""The letter of an axis that is indexed by lookup: its value is the number in the first operand, a token id."""


@dataclass(frozen=True)
class Columns:
    """An axis along which heads lie side by side: d_head columns of head 0, d_head columns of head 1, and so on.

    W_QKV and b_QKV have three such sets of columns; `part` is 0 for the queries', 1 for the keys', 2 for the values'.
    Elsewhere it is 0.
    """

    part: int = 0

    def index(self, letters: Letters, config: Config) -> int | None:
        """The index of column j of head h on the axis; None if `letters` lacks h or j."""
        if "h" not in letters or "j" not in letters:
            return None
        return self.part * config.n_embd + letters["h"] * config.d_head + letters["j"]

    def letters(self, index: int, config: Config) -> dict[str, int] | None:
        """The head h and its column j at an index of the axis; None if the index belongs to another part."""
        part, column = divmod(index, config.n_embd)
        head, within = divmod(column, config.d_head)
        return {"h": head, "j": within} if part == self.part else None

    def range(self, config: Config) -> slice:
        """The indices of the axis that belong to the part."""
        return slice(self.part * config.n_embd, (self.part + 1) * config.n_embd)


Pattern = tuple[str | int | Columns, ...]
"""How a tensor is indexed, with one entry for each axis: a letter, a fixed index, or heads side by side."""


def bind(pattern: Pattern, index: Sequence[int], config: Config) -> dict[str, int] | None:
    """The values of the letters for which `pattern` gives `index`; None if there are none."""
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
    """The index that `pattern` gives for these letters; None on an axis that is read whole for lack of its letter."""
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
    """Where a formula is evaluated, for operands that may be slices of whole tensors.

    `layer` is the block, 0 outside the blocks, and `rows` [row] are the positions in the text of the operands' rows. In
    an attention grid `first_key` is the position of the first column, and `first_head` the number of the first head.
    """

    config: Config
    layer: int
    rows: NDArray[np.int64]
    first_key: int = 0
    first_head: int = 0


@dataclass(frozen=True)
class Site:
    """Where a formula is emitted in a graph: the block, and the names of two values of the graph.

    `positions` [query] has the position of each row. `hidden` [query, key], or with the head as a first axis, is true
    where the mask hides the key from the query; under GPT-2's own mask, where the key comes after the query.
    """

    layer: int
    positions: str
    hidden: str


def filled(text: str, names: Mapping[str, object]) -> str:
    """A text with each placeholder "{name}" replaced; in a phrase, whose key has to stay, those in its values."""
    if not isinstance(text, Phrase):
        return text.format(**names)
    # A value that is only a placeholder is replaced by the object itself: a phrase can still be translated then.
    whole = {f"{{{name}}}": value for name, value in names.items()}
    return Phrase(text.key, *(whole[v] if v in whole else str(v).format(**names) for v in map(str, text.values)))


@dataclass(frozen=True)
class Operand:
    """One operand of a formula: `variable` is its name in numpy lines and sentences, `at` the pattern of its index.

    `label` is its name in the inspector, by default the last part of the tensor's name. It may contain letters, as in
    "W_U[{j}]"; if it is a phrase, its values may.
    """

    variable: str
    at: Pattern
    label: str = ""

    @property
    def own_row(self) -> bool:
        """Whether each row of the result reads only the same row of this operand."""
        return self.at[self.at[0] == "h"] == "i"

    def called(self, letters: Mapping[str, int]) -> str:
        """The label with the values of its letters filled in."""
        return filled(self.label, letters)


Magnitude = Callable[[Sequence[Array], Array], Array]
"""(absolute values of the operands, results) -> the magnitude of each result: the sum of its absolute terms."""


def itself(_sizes: Sequence[Array], result: Array) -> Array:
    """The magnitude of a result that is not a sum: its absolute value."""
    return np.abs(result)


def first(sizes: Sequence[Array], _result: Array) -> Array:
    """The magnitude of a result whose error comes from the first operand alone: the magnitude of that operand."""
    return sizes[0]


Kind = Literal["few", "dot", "softmax", "mean", "spread", "gather", "curve"]
"""How a cell is made from its operands, which decides how an opened cell is drawn.

"few": from a handful of numbers. "dot": as the dot product of two vectors, to which a bias may be added. "softmax",
"mean" and "spread" (the standard deviation): from a whole row. "gather": read from a table. "curve": as the value of a
function of one variable.
"""

Terms = Callable[[Letters, Sequence[Array]], Mapping[str, float | str]]
"""(letters, operands of the cell) -> by name, further values that the cell's sentence may contain."""

Settings = Callable[[Config, int], Mapping[str, float | str]]
"""(config, block) -> by name, the values that the formula takes from the config."""


def _nothing(*_of: object) -> dict[str, float | str]:
    return {}


@dataclass(frozen=True)
class Formula:
    """A formula with everything that the program needs to know about it.

    `compute(place, *operands)` returns the results, for any matching slices of the operands' rows, heads and columns.
    `emit(nodes, site, out, *operands)` adds the same computation to a graph: `nodes` is a `nodes.Nodes`, and `out` and
    `operands` are the names of the result and of the operands. `cell` is the pattern of the result's index, and `reads`
    are the operands in the order in which both take them.

    `numpy` is the code that computes one cell from the operands' variables; its last line is an expression, the result.
    `numpy_whole` is the code for the whole tensor, if that is different. `numbers` is the sentence that shows a cell's
    numbers; it is empty for kind "dot", whose sentence is made from the products. All three have placeholders: "{h}"
    stands for a letter and "{eps}" for one of the `settings`. `numbers` may also contain the variables of those
    operands that are one number, the names of `terms`, and "{result}". `constants` are (label, name) of those settings
    and terms that the inspector lists among the operands.

    `magnitude` computes the sum of the absolute terms of each result; None if the formula itself does so when it is
    applied to the operands' absolute values, as for sums of products. `hidden` is the result where GPT-2's mask hides
    the key from the query, or None if that is not the same everywhere. `rounds` marks a product with a weight, whose
    first operand is rounded in an int8 model.
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

    @without_warnings
    def evaluate(self, place: Place, *operands: Array) -> Array:
        """The results at `place`, from operands that are whole except that rows and heads may be a slice.

        `compute` takes only the part of a weight that the formula reads, such as the keys' third of W_QKV.
        """
        if self._of_parts:
            parts = [
                _part(operand.at, array, place.config) for operand, array in zip(self.reads, operands, strict=True)
            ]
            return self.compute(place, *parts)
        return self.compute(place, *operands)

    @cached_property
    def _of_parts(self) -> bool:
        """Whether even the whole tensor reads only a part of some operand."""
        return any(isinstance(entry, Columns) for operand in self.reads for entry in operand.at)

    def sizes_of(self, place: Place, sizes: Sequence[Array], result: Array) -> Array:
        """The magnitude of each result; `sizes` are the operands' absolute values, in shapes that `evaluate` takes."""
        return self.evaluate(place, *sizes) if self.magnitude is None else self.magnitude(sizes, result)


def _part(pattern: Pattern, array: Array, config: Config) -> Array:
    """The part of an operand that the formula reads."""
    return array[tuple(entry.range(config) if isinstance(entry, Columns) else slice(None) for entry in pattern)]
