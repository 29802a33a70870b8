"""A trace: one forward pass over one text, from which every tensor of the table can be read, whole or in part."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.digest import weights_digest
from desktop_app.gpt2.edit import sites_of
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.formula import Place
from desktop_app.gpt2.mask import CAUSAL
from desktop_app.gpt2.names import no_such_tensor
from desktop_app.gpt2.run import Run, new_model_key
from desktop_app.gpt2.stitched import Stitched
from desktop_app.gpt2.tensors import Tensor, past_inputs, tensor_table
from desktop_app.gpt2.trace_file import names_to_save, read_trace, save_tensors
from desktop_app.gpt2.weights import UNEMBEDDING

Array = NDArray[Any]
_Heads = tuple[int, int] | None
"""The first head, and the one after the last; None for all heads, and for a tensor without heads."""
_Rows = tuple[int, int, int]
"""A range of positions: start, stop and step."""

_CACHE_LIMIT = 96 << 20
_GRID = ("head", "query", "key")
_PIECE = 1 << 16  # cells of a grid that are computed at once


class Trace:
    """An immutable forward pass.

    `captured` holds the tensors that the graph returned. Every other tensor of the table is computed from them by its
    formula when it is read, only for the requested head and rows; it equals the graph's output up to float32 rounding.
    Arrays are read-only. Safe to read from several threads.
    """

    def __init__(
        self,
        config: Config,
        captured: Mapping[str, Array],
        *,
        run: Run | None = None,
        weights: Mapping[str, Array] | None = None,
        unembed: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
        logit_rows: Mapping[int, Array] | None = None,
        computed: int | None = None,
    ) -> None:
        self.config = config
        self.table = tensor_table(config) if run is None else tensor_table(config, sites_of(run.edits), run.mask)
        self.captured = captured if isinstance(captured, Stitched) else self._whole(captured)
        self.run = run or Run(new_model_key(), tuple(captured["tokens"].tolist()))
        """What was computed; without `run`, an unedited pass of an unknown model."""
        self.ids = self.run.ids
        self.computed = len(self.ids) if computed is None else computed
        """How many positions this pass computed; the others were reused from an earlier trace."""
        self._weights = weights
        self._unembed = unembed
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[Any, ...], Array] = OrderedDict()
        self._cached_bytes = 0
        for row, logits in (logit_rows or {}).items():
            self._remember(("logits", row), logits)

    def _whole(self, captured: Mapping[str, Array]) -> Stitched:
        return Stitched({name: (self.table[name].spec.row_axis, (array,)) for name, array in captured.items()})

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} tokens: {len(self.table)} tensors, {len(self.captured)} of them held>"

    def __getitem__(self, name: object) -> Array:
        if not isinstance(name, str):
            raise ModelError(no_such_tensor(name, self.config))
        return self.read(name)

    def read(self, name: str, *, head: int | None = None, row: int | None = None, every: int = 1) -> Array:
        """The tensor `name`, with the axes of the table; `head` and `row` (a position) select one and drop that axis.

        A negative row counts from the end. `head` is ignored if the tensor has no heads. With `every` only every n-th
        row is computed, the last one included. Raises ModelError if there is no such tensor, head or position, or if
        the tensor cannot be derived because a saved trace was opened without its model.
        """
        if name not in self.table:
            raise ModelError(no_such_tensor(name, self.config))
        if name == "logits":
            return self._all_logits() if row is None else self.logits(row)
        spec = self.table[name].spec
        at = self.position(row) if row is not None else None
        rows = ((len(self) - 1) % every, len(self), every) if at is None else (at, at + 1, 1)
        if head is not None and not 0 <= head < self.config.n_head:
            raise ModelError(f"There is no head {head}; this model's heads are 0 to {self.config.n_head - 1}.")
        heads = (head, head + 1) if head is not None and spec.per_head else None
        found = self._read(name, heads, rows)
        if row is not None:
            found = found[:, 0] if spec.per_head else found[0, ...]  # still an array if no axis is left
        if heads is not None:
            found = found[0]
        return _frozen(found)

    def read_rows(self, name: str, stop: int, start: int = 0, *, head: int | None = None, keep: bool = True) -> Array:
        """The tensor for positions `start` to `stop`: for every head, or for one, whose axis is dropped.

        Without `keep`, derived values are not cached; this is for callers that read all tensors of a pass once.
        """
        if name == "logits" and name not in self.captured:
            return _frozen(self._unembedded(self._read("ln_final.out", None, (start, stop, 1), keep=keep)))
        found = self._read(name, None if head is None else (head, head + 1), (start, stop, 1), keep=keep)
        return _frozen(found if head is None else found[0])

    def first_rows(self, name: str, count: int) -> tuple[Array, ...]:
        """The tensor for the first `count` positions, in the pieces in which it is stored."""
        return self.captured.first(name, count) if name in self.captured else (self.read_rows(name, count),)

    def logits(self, row: int) -> NDArray[np.float32]:
        """Logits [d_vocab] after position `row`, from the end if negative. Raises ModelError as `read` does."""
        row = self.position(row)
        if "logits" in self.captured:
            return _frozen(self.captured["logits"][row])
        key = ("logits", row)
        found = self._remembered(key)
        if found is None:
            found = self._remember(key, self._unembedded(self._read("ln_final.out", None, (row, row + 1, 1)))[0])
        return found

    def past(self, length: int) -> dict[str, Array]:
        """Keys and values of the first `length` positions, as the graph's inputs."""
        return {
            name: np.ascontiguousarray(self._read(own, None, (0, length, 1)))
            for name, own in past_inputs(self.config).items()
        }

    def position(self, row: int) -> int:
        """The position counted from 0; a negative `row` counts from the end. Raises ModelError if there is none."""
        if not -len(self) <= row < len(self):
            raise ModelError(f"Position {row} is outside the text of {len(self)} tokens.")
        return row % len(self)

    def _all_logits(self) -> Array:
        if "logits" in self.captured:
            return self.captured["logits"]
        return _frozen(self._unembedded(self._read("ln_final.out", None, (0, len(self), 1))))

    def _unembedded(self, final: Array) -> Array:
        if self._unembed is not None:
            return self._unembed(final)
        formula = self.table["logits"].spec.formula
        place = Place(self.config, 0, np.arange(len(final)))
        return np.asarray(formula.evaluate(place, final, self._weight(UNEMBEDDING)))

    def _weight(self, name: str) -> Array:
        if self._weights is None:
            raise ModelError("This tensor is not in the saved trace, and deriving it needs the model; open that first.")
        return self._weights[name]

    def _read(self, name: str, heads: _Heads, rows: _Rows, *, keep: bool = True) -> Array:
        tensor = self.table[name]
        if name in self.captured:
            found = _cut(self.captured[name], tensor.spec.per_head, heads, rows)
            # numpy multiplies non-contiguous rows without BLAS, which is a hundred times slower.
            return np.ascontiguousarray(found) if rows[2] > 1 else found
        key = (name, heads, rows)
        kept = self._remembered(key)
        if kept is not None:
            return kept
        first, last = (0, self.config.n_head) if heads is None else heads
        cells = (last - first) * len(range(*rows)) * len(self)
        if tensor.axes == _GRID and cells > _PIECE:
            found = self._grid(tensor, (first, last), heads, rows)
        else:
            read = self._read if keep else partial(self._read, keep=False)
            found = self._evaluated(tensor, heads, rows, len(self), read)
        return self._remember(key, found) if keep else _frozen(found)

    def _evaluated(
        self, tensor: Tensor, heads: _Heads, rows: _Rows, keys: int, read: Callable[[str, _Heads, _Rows], Array]
    ) -> Array:
        """A tensor computed by its formula. `read` gives the inputs that a row needs only at its own position.

        A grid has columns for the first `keys` keys.
        """
        place = Place(self.config, tensor.layer or 0, np.arange(*rows), first_head=0 if heads is None else heads[0])
        operands = []
        for source in tensor.inputs:
            if source not in self.table:
                operands.append(self._weight(source))
                continue
            own = heads if self.table[source].spec.per_head else None
            # Keys and values to the end of the text: grids before the mask have columns for later tokens too.
            operands.append(
                self._read(source, own, (0, keys, 1)) if source in tensor.whole else read(source, own, rows)
            )
        return np.asarray(tensor.spec.formula.evaluate(place, *operands))

    def _grid(self, tensor: Tensor, each: tuple[int, int], heads: _Heads, rows: _Rows) -> Array:
        """A large grid, head by head and in pieces of rows; under GPT-2's causal mask, later keys are skipped.

        Intermediate grids that no caller has read exist only for the current piece, which fits into the processor's
        cache. As whole arrays they would be written to memory and read again, four times the size of a grid.
        """
        (first, last), positions = each, range(*rows)
        hidden = tensor.spec.formula.hidden if self.run.mask == CAUSAL else None
        step = max(1, _PIECE // len(self))
        together = max(1, step // len(positions))
        held: dict[str, Array] = {}
        keys = len(self)

        def read(source: str, own: _Heads, at: _Rows) -> Array:
            if source not in held:
                kept = self._remembered((source, heads, rows))
                if kept is None and source not in self.captured and self.table[source].axes == _GRID:
                    return self._evaluated(self.table[source], own, at, keys, read)
                held[source] = self._read(source, heads, rows) if kept is None else kept
            top = positions.index(at[0])
            found = held[source][:, top : top + len(range(*at))]
            found = found if own is None else found[own[0] - first : own[1] - first]
            return found[..., :keys] if self.table[source].axes == _GRID else found

        found: Array | None = None
        for head in range(first, last, together):
            some = head, min(head + together, last)
            for top in range(0, len(positions), step):
                part = positions[top : top + step]
                keys = len(self) if hidden is None else part[-1] + 1
                piece = self._evaluated(tensor, some, (part.start, part.stop, part.step), keys, read)
                if found is None:
                    found = np.empty((last - first, len(positions), len(self)), piece.dtype)
                into = found[some[0] - first : some[1] - first, top : top + step]
                into[..., :keys] = piece
                if hidden is not None:
                    into[..., keys:] = hidden
        assert found is not None
        return found

    def _remembered(self, key: tuple[Any, ...]) -> Array | None:
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
            return self._cache.get(key)

    def _remember(self, key: tuple[Any, ...], array: Array) -> Array:
        """Cache a derived array unless it is too large; return the array cached under `key`, or else `array`."""
        with self._lock:
            if key not in self._cache and array.nbytes <= _CACHE_LIMIT // 4:
                self._cache[key] = array
                self._cached_bytes += array.nbytes
                while self._cached_bytes > _CACHE_LIMIT:
                    _, dropped = self._cache.popitem(last=False)
                    self._cached_bytes -= dropped.nbytes
            return _frozen(self._cache.get(key, array))

    def save(self, path: Path, names: Sequence[str] | None = None, note: Mapping[str, str] | None = None) -> None:
        """Write the tensors `names`, by default the whole table, as `save_tensors` does. Raises ExportError."""
        edits = self.run.edits
        chosen = names_to_save(self.config, names, edits)
        digest = "" if self._weights is None else weights_digest(self._weights)
        arrays = map(self.read, chosen)
        save_tensors(path, self.config, len(self), chosen, arrays, note, digest=digest, edits=edits, mask=self.run.mask)

    @classmethod
    def load(cls, path: Path, model: Checkpoint | None = None) -> "Trace":
        """A saved trace, its tensors mapped from the file. With `model`, others are derived from that model's weights.

        Raises ModelError for any other kind of file, for a file that was changed after it was saved, and for a trace
        that another model computed.
        """
        config, tensors, run = read_trace(path, model)
        return cls(config, tensors, run=run, weights=None if model is None else model.weights)


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


def _cut(array: Array, per_head: bool, heads: _Heads, rows: _Rows) -> Array:
    if per_head:
        chosen = slice(None) if heads is None else slice(*heads)
        return array[chosen, slice(*rows)]
    return array[slice(*rows)]
