"""The columns of a file of curves: what each name says about the measurement.

A name is `loss`, or any other quantity, and may go on to say at which tokens, or of which head, it was measured:

    loss of token 8             at one position of the texts
    loss of tokens 8 to 15      the mean over some positions
    induction L1H0              of head 0 of block 1
    best induction              the largest of the heads'
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NAME = re.compile(r"(best )?(.+?)(?: of token (\d+)| of tokens (\d+) to (\d+)| (L\d+H\d+))?")
CHANGE = "in-context score"
"""The name of the quantity "loss late in the texts minus loss early in them"."""


@dataclass(frozen=True)
class Column:
    """One column: its `name` in the file, and the `quantity` that was measured.

    `token` is the position at which it was measured, or `span` the first and the last position over which the mean was
    taken; `head` is the head, as L1H0. `best` says that it is the largest value over all heads.
    """

    name: str
    quantity: str
    token: int | None = None
    span: tuple[int, int] | None = None
    head: str = ""
    best: bool = False

    @property
    def is_loss(self) -> bool:
        """Whether the name says that it is a loss."""
        return "loss" in self.name


def read_column(name: str) -> Column:
    """The column with this name. A name in none of these forms is taken whole as the quantity."""
    match = _NAME.fullmatch(name)
    if match is None:
        return Column(name, name)
    best, quantity, token, first, last, head = match.groups()
    return Column(
        name,
        quantity,
        None if token is None else int(token),
        None if first is None else (int(first), int(last)),
        head or "",
        best is not None,
    )


def parts_of(column: Column, columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns from which a column is computed; () if it is not computed from others, or if they are missing.

    The best head's number is the largest of the heads' numbers. The in-context score is the loss over the later span
    minus the loss over the earlier one, in this order.
    """
    if column.best:
        return tuple(other for other in columns if other.head and other.quantity == column.quantity and not other.best)
    if column.name == CHANGE:
        spans = sorted(
            (other for other in columns if other.quantity == "loss" and other.span), key=_start, reverse=True
        )
        return tuple(spans) if len(spans) == 2 else ()
    return ()


def _start(column: Column) -> int:
    return column.span[0] if column.span is not None else 0
