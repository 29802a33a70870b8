"""A trace: one forward pass over one text, every tensor of the table readable, whole or by head and row."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config, parse_config
from desktop_app.gpt2.digest import weights_digest
from desktop_app.gpt2.edit import Cells, Edit, keep_and_put, put_from, read_edit, sites_of
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.formula import Place
from desktop_app.gpt2.jsonfile import parse_json
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.gpt2.names import no_such_tensor
from desktop_app.gpt2.npz_file import write_npz
from desktop_app.gpt2.run import Run, new_model_key
from desktop_app.gpt2.safetensors_file import SafetensorsFile, write_safetensors
from desktop_app.gpt2.stitched import Stitched
from desktop_app.gpt2.tensors import past_inputs, tensor_table
from desktop_app.gpt2.weights import UNEMBEDDING

Array = NDArray[Any]
_CACHE_LIMIT = 96 << 20
_FORMAT = "logitscope.trace.2"
_WITHOUT_DIGESTS = "logitscope.trace.1"
_MADE_WITH = "weights_sha256"
_EDITS, _MASK = "edits", "mask"


def names_to_save(config: Config, names: Sequence[str] | None = None, edits: Sequence[Edit] = ()) -> list[str]:
    """The names that a saved trace has, in the order of the table: `names` or all.

    They always include `tokens`, and the `put` of every edit whose numbers do not follow from its text.
    """
    always = {"tokens", *(f"{edit.site}.put" for edit in edits if isinstance(edit.put, Cells))}
    return [n for n in tensor_table(config, sites_of(edits)) if names is None or n in names or n in always]


def save_tensors(
    path: Path,
    config: Config,
    positions: int,
    names: Sequence[str],
    arrays: Iterable[Array],
    note: Mapping[str, str] | None = None,
    *,
    digest: str = "",
    edits: Sequence[Edit] = (),
    mask: str = CAUSAL,
) -> None:
    """Write tensors of `positions` tokens under their own names; `tokens` as int64, the rest as float32.

    The metadata name the `edits` of the pass, and its `mask` where that is not GPT-2's.

    The file is safetensors, sealed, or a numpy archive where the name ends in .npz. `arrays` yields the tensors in the
    order of `names`, so that only one need be in memory. `digest` is the checkpoint's, which `load` compares.
    Raises ExportError.
    """
    about = {"format": _FORMAT, "config": json.dumps(asdict(config)), **(note or {})}
    if digest:
        about[_MADE_WITH] = digest
    if edits:
        about[_EDITS] = json.dumps([edit.text for edit in edits])
    if mask != CAUSAL:
        about[_MASK] = mask
    if path.suffix.lower() == ".npz":
        write_npz(path, names, arrays, about)
        return
    table = tensor_table(config, sites_of(edits))
    shapes = {
        name: (np.dtype(np.int64 if name == "tokens" else np.float32), table[name].spec.shape(config, positions))
        for name in names
    }
    write_safetensors(path, shapes, arrays, about, sealed=True)


class Trace:
    """An immutable forward pass.

    `captured` holds tensors as the graph gave them. Every other tensor of the table is derived from them by the
    table's own formula when it is read, for the requested head and row alone, and equals the graph's output within
    float32 error. Arrays are read-only. Safe to read from several threads.
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
        """What was computed; a trace without a run, read from a file, counts as a pass of some other model."""
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
        """The tensor `name`, with the axes of the table; `head` and `row` (a position) pick one and drop the axis.

        A negative row counts from the end; `head` is ignored where the tensor has no heads. Of all rows only every
        `every`-th is computed, including the last. Raises ModelError if there is no such tensor, head or
        position, or if the tensor cannot be derived because a saved trace was opened without its model.
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
            found = found[:, 0] if spec.per_head else found[0, ...]  # an array even where no axis is left
        if heads is not None:
            found = found[0]
        return _frozen(found)

    def read_rows(self, name: str, stop: int, start: int = 0, *, head: int | None = None) -> Array:
        """The tensor for positions `start` to `stop` alone: every head, or one, whose axis is dropped."""
        if name == "logits" and name not in self.captured:
            return _frozen(self._unembedded(self._read("ln_final.out", None, (start, stop, 1))))
        found = self._read(name, None if head is None else (head, head + 1), (start, stop, 1))
        return _frozen(found if head is None else found[0])

    def first_rows(self, name: str, count: int) -> tuple[Array, ...]:
        """The tensor for the first `count` positions, in as many pieces as it is held in."""
        return self.captured.first(name, count) if name in self.captured else (self.read_rows(name, count),)

    def logits(self, row: int) -> NDArray[np.float32]:
        """Logits [d_vocab] after position `row` (negative counts from the end). Raises ModelError as `read` does."""
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
        """A row counted from 0; a negative one counts from the end. Raises ModelError if the text has no such row."""
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

    def _read(self, name: str, heads: tuple[int, int] | None, rows: tuple[int, int, int]) -> Array:
        tensor = self.table[name]
        if name in self.captured:
            found = _cut(self.captured[name], tensor.spec.per_head, heads, rows)
            # numpy multiplies non-contiguous rows without its fast routines, a hundred times as slowly.
            return np.ascontiguousarray(found) if rows[2] > 1 else found
        key = (name, heads, rows)
        kept = self._remembered(key)
        if kept is not None:
            return kept
        place = Place(self.config, tensor.layer or 0, np.arange(*rows), first_head=0 if heads is None else heads[0])
        operands = []
        for source in tensor.inputs:
            if source not in self.table:
                operands.append(self._weight(source))
                continue
            # Keys and values up to the end: the grids before the mask have columns for later tokens too.
            wanted = (0, len(self), 1) if source in tensor.whole else rows
            operands.append(self._read(source, heads if self.table[source].spec.per_head else None, wanted))
        return self._remember(key, np.asarray(tensor.spec.formula.evaluate(place, *operands)))

    def _remembered(self, key: tuple[Any, ...]) -> Array | None:
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
            return self._cache.get(key)

    def _remember(self, key: tuple[Any, ...], array: Array) -> Array:
        """Cache a derived array for the next reader, as memory allows; returns the array that readers of `key` get."""
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
        """Open a saved trace, its tensors mapped from the file; with `model`, the others are derived from its weights.

        Raises ModelError for any other kind of file, for one that was changed since, and if a model other than `model`
        computed it.
        """
        file = SafetensorsFile(path)
        if file.metadata.get("format") == _WITHOUT_DIGESTS:
            raise ModelError(
                f"{path} was saved by an earlier Logitscope, which kept no digests of its model and its numbers; "
                "save it again with logitscope trace."
            )
        if file.metadata.get("format") != _FORMAT or "tokens" not in file.entries:
            raise ModelError(f"{path} is not a trace saved by Logitscope.")
        if not file.is_as_sealed():
            raise ModelError(f"{path} is not as it was saved: something in it was changed; save it again.")
        raw = parse_json(file.metadata.get("config", "").encode(), what=f"The config in {path}", error=ModelError)
        # A config.json of GPT-2 has no `bias` and no `int8`, but both change the numbers.
        own = (raw.get("bias") is not False, raw.get("int8") is True)
        config = replace(parse_config(raw, str(path)), bias=own[0], int8=own[1])
        positions = file.entries["tokens"].shape
        edits = _saved_edits(file, config, positions)
        mask = str(mask_of(file.metadata.get(_MASK, CAUSAL), config))
        table = tensor_table(config, sites_of(edits), mask)
        for name, entry in file.entries.items():
            fits = name in table and len(positions) == 1 and 0 < positions[0] <= config.n_positions
            dtype = "I64" if name == "tokens" else "F32"
            if not fits or entry.shape != table[name].spec.shape(config, positions[0]) or entry.dtype != dtype:
                raise ModelError(f"{path}: the tensor {name[:80]!r} does not fit the trace's own config.")
        ids = file.read("tokens")
        if not 0 <= ids.min() <= ids.max() < config.vocab_size:
            raise ModelError(f"{path}: token ids from {ids.min()} to {ids.max()} do not fit the trace's own config.")
        if model is not None:
            _require_made_by(model, config, file)
        return cls(
            config,
            # The numbers of edits follow from their texts; a file with some of the tensors need not have them.
            {name: file.read(name) for name in file.entries} | keep_and_put(edits, config, positions[0], mask),
            run=Run(new_model_key(), tuple(ids.tolist()), edits, mask),
            weights=None if model is None else model.weights,
        )


def _saved_edits(file: SafetensorsFile, config: Config, positions: tuple[int, ...]) -> tuple[Edit, ...]:
    if _EDITS not in file.metadata:
        return ()
    wrapped = f'{{"edits": {file.metadata[_EDITS]}}}'.encode()
    texts = parse_json(wrapped, what=f"The edits in {file.path}", error=ModelError)["edits"]
    if len(positions) != 1 or not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ModelError(f"{file.path} names edits that are not a list of texts; save it again.")
    found = []
    for text in texts:
        edit, source = read_edit(text, config, positions[0])
        if source:  # the numbers are in the file, as the tensor `.put`
            put = f"{edit.site}.put"
            shape = tensor_table(config)[edit.site].spec.shape(config, positions[0])
            if put not in file.entries or (file.entries[put].dtype, file.entries[put].shape) != ("F32", shape):
                raise ModelError(f"{file.path} lacks the numbers put into {edit.site}; save it again with all tensors.")
            edit = put_from(edit, file.read(put)[tuple(slice(*span) for span in edit.where)], text)
        found.append(edit)
    return tuple(found)


def _require_made_by(model: Checkpoint, config: Config, file: SafetensorsFile) -> None:
    """Raise ModelError unless `model` computed the file: else one model's numbers would be shown as another's."""
    maker = file.metadata.get("model", "")
    named = f" ({maker[:80]!a})" if maker else ""
    if config != model.config:
        ours, theirs = replace(model.config, int8=False), replace(config, int8=False)
        if ours == theirs:
            how = "rounded to int8" if config.int8 else "exact"
            raise ModelError(f"{file.path} was saved with weights that are {how}; open {model.name} the same way.")
        raise ModelError(
            f"{file.path} was saved with a model of another shape{named} than {model.name}; specify that model."
        )
    if file.metadata.get(_MADE_WITH) != model.digest:
        raise ModelError(f"{file.path} was computed by another model{named} than {model.name}; specify that model.")


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


def _cut(array: Array, per_head: bool, heads: tuple[int, int] | None, rows: tuple[int, int, int]) -> Array:
    if per_head:
        chosen = slice(None) if heads is None else slice(*heads)
        return array[chosen, slice(*rows)]
    return array[slice(*rows)]
