"""Edits of a pass as values: x' = keep * x + put at chosen cells of a named tensor, written "SITE[INDEX]=VALUE"."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ExportError, ModelError
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.gpt2.names import no_such_tensor
from desktop_app.gpt2.tensors import EDITABLE, Tensor, tensor_table

Array = NDArray[Any]
Range = tuple[int, int | None]
"""Indices along an axis: from the first number up to, not including, the second; None means to the end of the axis."""

ALL: Range = (0, None)
CUT = "attn.scaled"
"""The only tensor that may be set to -inf: the softmax that follows gives such a key a weight of 0."""

_LOOK = "attn.scaled[1, 3, 0]=-inf"
_WRITTEN = re.compile(
    r"\s*(?P<site>[^\s\[\]=*+]+)\s*(?:\[(?P<index>[^\[\]]*)\])?\s*(?P<how>=|\*=|\+=)\s*(?P<value>[^=\s].*)", re.DOTALL
)
_PLACE = re.compile(r"(-?\d{1,9})", re.ASCII)
_SPAN = re.compile(r"(\d{1,9})?:(\d{1,9})?", re.ASCII)


@dataclass(frozen=True)
class Cells:
    """The numbers that an edit puts, as a hashable value: float32, one for each cell, or length 1 along an axis."""

    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, array: Array) -> "Cells":
        """The numbers of an array."""
        return cls(array.shape, np.ascontiguousarray(array, np.float32).tobytes())

    @property
    def array(self) -> NDArray[np.float32]:
        """The numbers as a read-only array."""
        return np.frombuffer(self.data, np.float32).reshape(self.shape)


@dataclass(frozen=True)
class Edit:
    """x' = keep * x + put at some cells of the tensor `site`: those in the ranges `where`, one range for each axis.

    Positions and keys count from the first token of the text. For numbers that come from elsewhere, `written` is the
    edit as the user typed it, like "blocks.1.attn.z[2]=mean", and `source` names where they come from, like "mean".
    Neither affects the result.
    """

    site: str
    where: tuple[Range, ...]
    keep: float = 0.0
    put: float | Cells = 0.0
    written: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """The edit as a user writes it. Raises ExportError if its numbers come from another pass and have no text."""
        if isinstance(self.put, Cells) and not self.written:
            raise ExportError(f"{self.site} has numbers of another pass, which cannot be written as an edit's text.")
        return str(self)

    def __str__(self) -> str:
        if self.written:
            return self.written
        where = [span_words(span) for span in self.where]
        while where and where[-1] == ":":
            where.pop()
        index = f"[{', '.join(where)}]" if where else ""
        put = "…" if isinstance(self.put, Cells) else repr(float(self.put)).removesuffix(".0")
        if self.keep == 0:
            return f"{self.site}{index}={put}"
        scaled = f"{self.site}{index}*={repr(float(self.keep)).removesuffix('.0')}"
        added = f"{self.site}{index}+={put}"
        return added if self.keep == 1 else scaled if self.put == 0.0 else f"{scaled}, then {added}"


def parse_edit(text: str, config: Config, positions: int) -> Edit:
    """The edit that "SITE[INDEX]=VALUE" describes, for a text of `positions` tokens.

    `=` replaces the cells by VALUE, `*=` multiplies them by it, and `+=` adds it. An index is a number (from the end if
    negative) or a range a:b. `:`, or leaving out an index at the end, means all. Raises ModelError that says what is
    wrong.
    """
    edit, source = read_edit(text, config, positions)
    if source:
        raise ModelError(f"The edit {text[:80]!r} puts {source[:30]!r}, which is not a number.")
    return edit


def read_edit(text: str, config: Config, positions: int) -> tuple[Edit, str]:
    """The edit that a text describes, and its VALUE if that is not a number; "" if it is.

    If VALUE is not a number, the edit puts 0 or, with `*=`, has keep 0. Raises ModelError as `parse_edit` does.
    """
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise ModelError(f"The edit {text[:80]!r} is not of the form SITE[INDEX]=VALUE, like blocks.1.attn.z[2]=0.")
    tensor = _site(match["site"], config)
    how = match["how"]
    try:
        value, source = float(match["value"]), ""
    except ValueError:  # VALUE names a source of numbers, which the caller resolves
        value, source = 0.0, match["value"].strip()
    if abs(value) > float(np.finfo(np.float32).max) and not (
        value == -math.inf and how != "*=" and tensor.name.endswith(CUT)
    ):
        said = f"The edit {text[:80]!r} puts a number that is not finite"
        raise ModelError(f"{said}; only -inf can be, and at {CUT} alone, like blocks.0.{_LOOK}.")
    if math.isnan(value):
        raise ModelError(f"The edit {text[:80]!r} puts nan, which is not a number.")
    where = read_index(match["index"], tensor, config, positions, text)
    keep, put = {"=": (0.0, value), "*=": (value, 0.0), "+=": (1.0, value)}[how]
    return Edit(tensor.name, where, keep, put), source


def widened(text: str, index: str) -> str:
    """The text of an edit with the content of its brackets replaced by `index`; without brackets if that is empty.

    Raises ModelError if `text` is not an edit.
    """
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise ModelError(f"The edit {text[:80]!r} is not of the form SITE[INDEX]=VALUE, like blocks.1.attn.z[2]=0.")
    return f"{match['site']}{f'[{index}]' if index else ''}{match['how']}{match['value'].strip()}"


def put_from(edit: Edit, put: Array, written: str, source: str = "") -> Edit:
    """The edit with its numbers replaced by `put`, shaped like the site's cells or of length 1 along an axis."""
    return replace(edit, put=Cells.of(put), written=written, source=source)


def parse_edits(texts: Iterable[str], config: Config, positions: int) -> tuple[Edit, ...]:
    """The edits written in `texts`, in order. Raises ModelError."""
    return tuple(parse_edit(text, config, positions) for text in texts)


def sites_of(edits: Iterable[Edit]) -> frozenset[str]:
    """The names of the tensors that are edited."""
    return frozenset(edit.site for edit in edits)


def _site(name: str, config: Config) -> Tensor:
    table = tensor_table(config)
    if name not in table:
        raise ModelError(no_such_tensor(name, config))
    if not table[name].editable:
        raise ModelError(f"{name} cannot be edited; these can: {', '.join(EDITABLE)}.")
    return table[name]


def span_words(span: Range) -> str:
    """A range as it is written in an index."""
    start, stop = span
    if stop == start + 1:
        return str(start)
    return f"{start or ''}:{'' if stop is None else stop}"


def read_index(index: str | None, tensor: Tensor, config: Config, positions: int, text: str) -> tuple[Range, ...]:
    """The ranges that an index describes, one for each axis; `text` is the edit, for the error. Raises ModelError."""
    parts = [] if index is None or not index.strip() else [part.strip() for part in index.split(",")]
    axes, sizes = tensor.axes, tensor.spec.shape(config, positions)
    if len(parts) > len(axes):
        raise ModelError(f"The edit {text[:80]!r} has {len(parts)} indices; {tensor.name} is [{', '.join(axes)}].")
    found: list[Range] = []
    for part, axis, size in zip(parts, axes, sizes, strict=False):
        place, span = _PLACE.fullmatch(part), _SPAN.fullmatch(part)
        if place is not None and -size <= int(part) < size:
            found.append((int(part) % size, int(part) % size + 1))
        elif span is not None and int(span[1] or 0) < int(span[2] or size) <= size:
            found.append((int(span[1] or 0), int(span[2]) if span[2] else None))
        elif place is None and span is None:
            raise ModelError(
                f"The edit {text[:80]!r}: {part[:20]!r} is not an index; give a number, a range a:b or `:`."
            )
        else:
            raise ModelError(f"The edit {text[:80]!r}: {axis} {part} does not exist; {axis} goes from 0 to {size - 1}.")
    return (*found, *[ALL] * (len(axes) - len(found)))


def require_inside(edits: Iterable[Edit], config: Config, positions: int) -> None:
    """Raise ModelError for an edit of cells that a text of `positions` tokens does not have."""
    table = tensor_table(config)
    for edit in edits:
        tensor = _site(edit.site, config)
        for axis, size, (start, stop) in zip(
            tensor.axes, table[edit.site].spec.shape(config, positions), edit.where, strict=True
        ):
            if max(start + 1, stop or 0) > size:
                raise ModelError(
                    f"The edit {edit}: {axis} {max(start, (stop or 0) - 1)} does not exist; there are {size}."
                )


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one or more passes: the position of each row, and the positions of the keys that the rows may see."""

    positions: NDArray[np.int64]
    keys: NDArray[np.int64]

    def shape(self, tensor: Tensor, config: Config) -> tuple[int, ...]:
        """The shape of a tensor with these rows and keys."""
        return tensor.spec.shape(config, len(self.positions), len(self.keys))


class Made:
    """`keep` and `put` of one site for some rows, in which edits are composed; without edits, the identity."""

    def __init__(self, tensor: Tensor, config: Config, rows: Rows) -> None:
        self._axes, self._rows = tensor.axes, rows
        self.keep = np.ones(rows.shape(tensor, config), np.float32)
        self.put = np.zeros_like(self.keep)

    def add(self, edit: Edit, own: slice = slice(None)) -> None:
        """Compose an edit with the earlier ones, for the rows `own` alone."""
        places, within = [], []
        for axis, size, (start, stop) in zip(self._axes, self.keep.shape, edit.where, strict=True):
            at = {"pos": self._rows.positions, "query": self._rows.positions, "key": self._rows.keys}.get(axis)
            at = np.arange(size) if at is None else at
            chosen = (at >= start) & (at < (at.max(initial=0) + 1 if stop is None else stop))
            if axis in ("pos", "query"):
                mine = np.zeros(size, bool)
                mine[own] = True
                chosen &= mine
            places.append(np.flatnonzero(chosen))
            within.append(at[chosen] - start)
        cells = np.ix_(*places)
        put: Array | float = edit.put if isinstance(edit.put, float | int) else _taken(edit.put.array, within)
        if edit.keep == 0:
            self.keep[cells], self.put[cells] = 0, put  # replaces any value, infinities too
        else:
            with np.errstate(all="ignore"):  # results that are not finite are refused after the last edit
                self.keep[cells] *= np.float32(edit.keep)
                self.put[cells] = self.put[cells] * np.float32(edit.keep) + put


def _taken(array: Array, within: Sequence[Array]) -> Array:
    """The numbers of `array` at these indices of each axis; an axis of length 1 is broadcast."""
    ends = [at if size > 1 else np.zeros(1, np.int64) for at, size in zip(within, array.shape, strict=True)]
    return np.asarray(array[np.ix_(*ends)])


def keep_and_put(edits: Iterable[Edit], config: Config, positions: int, mask: str = CAUSAL) -> dict[str, Array]:
    """`X.keep` and `X.put` of every edited tensor X, at full size, for a text of `positions` tokens.

    Raises ModelError for cells that do not exist, for edits that together give a number that is not finite, and for a
    row of scores in which every key that `mask` lets it see is set to -inf.
    """
    edits = tuple(edits)
    require_inside(edits, config, positions)
    table, every = tensor_table(config), np.arange(positions)
    made = {site: Made(table[site], config, Rows(every, every)) for site in sorted(sites_of(edits))}
    for edit in edits:
        made[edit.site].add(edit)
    found: dict[str, Array] = {}
    for site, both in made.items():
        layer = table[site].layer or 0
        _require_numbers(site, both, mask_of(mask, config).hidden(config, layer, every, every))
        found |= {f"{site}.keep": both.keep, f"{site}.put": both.put}
    return found


def _require_numbers(site: str, made: Made, hidden: Array) -> None:
    put = made.put
    cut = np.isneginf(put) if site.endswith(CUT) else np.zeros(put.shape, bool)
    if not (np.isfinite(made.keep).all() and (np.isfinite(put) | cut).all()):
        raise ModelError(f"The edits of {site} together give a number that is not finite; make them smaller.")
    if not cut.any():
        return
    lost = np.argwhere((cut | hidden).all(-1))
    if len(lost):
        head, query = lost[0]
        raise ModelError(
            f"{site}: query {query} of head {head} has every key cut that it may attend to; keep at least one."
        )
