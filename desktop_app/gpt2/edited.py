"""Edited passes: only blocks and positions that an edit can change are computed again.

Under the causal mask, an edit changes neither earlier blocks nor earlier positions. Those are taken from the pass
without the edit, keys and values included. The rest runs block by block, in graphs of the same formulas and weights
that also contain the edits. Rows of many passes can run together: each row sees the keys of its own pass and, at
earlier positions, those of the unedited pass. Under another mask every position is computed, since any position may
attend to any other.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.edit import Edit, Made, Rows, keep_and_put, require_inside, sites_of
from desktop_app.gpt2.fused import fused
from desktop_app.gpt2.graph import HIDDEN, POSITIONS, between, build_piece
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.gpt2.provider import CPU, chosen
from desktop_app.gpt2.run import Run
from desktop_app.gpt2.session import Stop, session_of
from desktop_app.gpt2.stitched import Stitched
from desktop_app.gpt2.tensors import Tensor, past_of, tensor_table
from desktop_app.gpt2.trace import Trace

if TYPE_CHECKING:
    from desktop_app.gpt2.engine import Engine

Array = NDArray[Any]
_SESSIONS = 64  # sessions cached for the next pass; each takes one or two megabytes, and threads
_SHARED = 16  # the same, where blocks share graphs: the first, the last, and one for those between, for several edits
# rows of several passes that run at once: enough for fast products, few enough for the memory of their grids
_TOGETHER = 256
_SHORT = 128  # up to this number of rows a session keeps its arena for the next pass
FINAL = "ln_final.out"


class Pieces:
    """The graphs of single blocks (pieces) with edits in them, created on first use. Thread-safe.

    Blocks of the same form share a graph, to which their weights are passed as inputs: every session has a thread for
    each core, and a model has up to 48 blocks.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        config = checkpoint.config
        # Other providers copy input weights in every run, and int8 weights are packed when a session is created; in
        # both cases weights are part of the graph.
        self._feeds = chosen() == CPU and not config.int8
        self._alike = self._feeds and not config.scale_attn_by_inverse_layer_idx
        self._most = _SHARED if self._alike else _SESSIONS
        self._lock = threading.Lock()
        self._sessions: OrderedDict[tuple[Any, ...], ort.InferenceSession] = OrderedDict()

    def run(
        self,
        table: Mapping[str, Tensor],
        feeds: Mapping[str, Array],
        only: Sequence[str],
        stop: Stop,
        *,
        fuse: bool = True,
    ) -> dict[str, Array]:
        """The tensors `only` for some rows, computed from the tensors and other inputs in `feeds`; it may hold more."""
        given = tuple(name for name in feeds if name in table)
        rows = {row.name: row for row in between(table, given, only)}
        needed = {source for row in rows.values() for source in row.inputs}.difference(rows)
        given = tuple(name for name in given if name in needed)
        block = self._stands_for(rows.values())
        kept = (row for row in table.values() if row.name in rows or row.name in needed)
        own = {row.name: row for row in (_moved(row, block, 1) for row in kept)}
        # For a long text, memory is returned at once: otherwise each block's session would keep an arena, which cannot
        # shrink while outputs in it are in use.
        arena = len(feeds["input_ids"]) <= _SHORT
        graph = tuple(_at(name, block, 1) for name in given), tuple(_at(name, block, 1) for name in only)
        session = self._session(own, *graph, stop, fuse=fuse, arena=arena)
        keys = feeds[HIDDEN].shape[-1]
        inputs = {}
        for put in session.get_inputs():
            name = _at(put.name, 1, block)
            inputs[put.name] = feeds[name] if name in feeds else self._checkpoint.weights[name]
        # Not in onnxruntime's arena: outputs there would keep all of it allocated.
        shapes = (table[name].spec.shape(self._checkpoint.config, len(feeds["input_ids"]), keys) for name in only)
        found = stop.run(session, graph[1], inputs, into=[np.empty(shape, np.float32) for shape in shapes])
        return dict(zip(only, found, strict=True))

    def _stands_for(self, rows: Iterable[Tensor]) -> int:
        """The block for which block 1's names are used in the graph of these rows; 1 if the graph uses real names.

        The first block also contains the embeddings and the last one the final layer norm, so these have graphs of
        their own.
        """
        layers = {row.layer for row in rows}
        layer = layers.pop() if self._alike and len(layers) == 1 else None
        return layer or 1

    def _session(
        self,
        table: Mapping[str, Tensor],
        given: tuple[str, ...],
        only: tuple[str, ...],
        stop: Stop,
        *,
        fuse: bool,
        arena: bool,
    ) -> ort.InferenceSession:
        edits = tuple(row.name for row in between(table, given, only) if f"{row.name}.before" in table)
        key = (given, only, edits, fuse, arena)
        with self._lock:
            if key in self._sessions:
                self._sessions.move_to_end(key)
                return self._sessions[key]
        operators = fuse and chosen() == CPU  # as in the whole graph; fused operators are untested on other providers
        if operators:
            table = fused(table, self._checkpoint.config, {*only, *given})
        model = build_piece(self._checkpoint.config, table, given, only, fuse=operators, feed=self._feeds)
        made = session_of(model, self._checkpoint, stop, fuse=fuse, arena=arena)
        if fuse:  # without `fuse` the graph exposes all of a block, and is used only once
            with self._lock:
                self._sessions[key] = made
                while len(self._sessions) > self._most:
                    self._sessions.popitem(last=False)
        return made


def _at(name: str, block: int, other: int) -> str:
    """The name at block `other` of a tensor, weight or input of `block` or of the block before it."""
    for step in (0, 1):
        for stem in ("blocks", "past"):
            if name.startswith(f"{stem}.{block - step}."):
                return f"{stem}.{other - step}.{name.split('.', 2)[2]}"
    return name


def _moved(row: Tensor, block: int, other: int) -> Tensor:
    """The row of the table for the same tensor at block `other`."""
    layer = None if row.layer is None else row.layer - block + other
    inputs = tuple(_at(name, block, other) for name in row.inputs)
    whole = frozenset(_at(name, block, other) for name in row.whole)
    return replace(row, name=_at(row.name, block, other), layer=layer, inputs=inputs, whole=whole)


def first_of(edits: Sequence[Edit], config: Config) -> tuple[int, int]:
    """The first block and the first position that an edit changes."""
    table = tensor_table(config)
    layer = min(table[edit.site].layer or 0 for edit in edits)
    return layer, min(edit.where[table[edit.site].spec.row_axis][0] for edit in edits)


def edited_trace(
    engine: "Engine",
    ids: tuple[int, ...],
    edits: tuple[Edit, ...],
    reuse: Trace | None,
    stop: Stop,
    mask: str = CAUSAL,
) -> Trace:
    """The pass over `ids` with edits. `reuse` may be the pass without them, or an edited one that this continues.

    Reused arrays are shared with the earlier trace, not copied. Under a mask other than GPT-2's none can be reused.
    Raises ModelError for edits of cells that do not exist.
    """
    config, count = engine.config, len(ids)
    run = Run(engine.checkpoint.key, ids, edits, mask)
    given = keep_and_put(edits, config, count, mask)
    table = tensor_table(config, sites_of(edits), mask)
    shared = run.reusable(reuse.run) if reuse is not None else 0
    base: Trace | None
    if mask != CAUSAL:
        base, layer, start = None, 0, 0
    elif reuse is not None and shared:
        base, layer, start = reuse, 0, shared
    else:
        plain = Run(engine.checkpoint.key, ids)
        base = reuse if reuse is not None and reuse.run == plain else engine.trace(ids, reuse=reuse, stop=stop)
        layer, start = first_of(edits, config)
    rows = _Cone(config, base, ids, start, mask)
    cut = {name: _from(array, table[name], start) for name, array in given.items()}
    held: dict[str, tuple[int, tuple[Array, ...]]] = {}
    feeds: dict[str, Array] = {}
    changed: set[str] = set()
    for block in range(config.n_layer):
        own = _of_block(table, block, config)
        changed |= set(own) if shared or base is None else _changed(table, own, changed)
        kept = [name for name in own if table[name].spec.kept and name not in given]
        for name in kept:
            if base is not None and (block < layer or name not in changed):
                held[name] = (table[name].spec.row_axis, base.first_rows(name, count))
        if block < layer:
            continue
        only = [name for name in kept if name in changed]
        feeds |= rows.inputs(block) | cut
        if base is not None and not shared:
            feeds |= _unchanged(own, changed, base, start)
        found = engine.pieces.run(table, feeds, [*(n for n in only if n != "tokens"), *_left(block, config)], stop)
        found["tokens"] = rows.ids
        for name in only:
            first = base.first_rows(name, start) if base is not None else ()
            held[name] = (table[name].spec.row_axis, (*first, found[name]))
        feeds = {name: found[name] for name in _left(block, config)}
    for name, array in given.items():
        held[name] = (table[name].spec.row_axis, (array,))
    last = engine.logits(feeds[FINAL][-1:], stop)[0]
    return Trace(
        config,
        Stitched(held),
        run=run,
        weights=engine.checkpoint.weights,
        unembed=engine.logits,
        logit_rows={count - 1: last},
        computed=count - start,
    )


def edited_tensors(
    engine: "Engine",
    ids: tuple[int, ...],
    names: Sequence[str],
    edits: tuple[Edit, ...],
    stop: Stop,
    mask: str = CAUSAL,
) -> Iterator[Array]:
    """Like `Engine.tensors`, for a pass with edits: every tensor of the edited table from graphs, block by block."""
    config = engine.config
    given = keep_and_put(edits, config, len(ids), mask)
    table = tensor_table(config, sites_of(edits), mask)
    rows = _Cone(config, None, ids, 0, mask)
    feeds: dict[str, Array] = {}
    wanted = set(names)
    last = max(_block_of(row, config) for row in table.values() if row.name in wanted)
    for block in range(last + 1):
        own = _of_block(table, block, config)
        here = [name for name in own if name in wanted]
        left = _left(block, config)
        computed = [name for name in here if name not in given and name not in ("tokens", "logits", *left)]
        feeds |= rows.inputs(block) | given
        found = engine.pieces.run(table, feeds, [*computed, *left], stop, fuse=False) | given | {"tokens": rows.ids}
        for name in here:
            yield engine.logits(found[FINAL], stop) if name == "logits" else found[name]
        feeds = {name: found[name] for name in left}


def finals(
    engine: "Engine",
    plain: Trace,
    variants: Sequence[tuple[Edit, ...]],
    stop: Stop | None = None,
    progress: Callable[[Sequence[int], Array], None] = lambda _which, _rows: None,
) -> NDArray[np.float32]:
    """`ln_final.out` after the last position for many edited passes over the same text: [variant, d_model].

    `plain` is the pass without edits. Passes with edits of the same sites run together. After each batch, `progress`
    gets the indices of its variants and their rows. Raises ModelError for edits of cells that do not exist.
    """
    stop = stop or Stop()
    config, count = engine.config, len(plain)
    out = np.empty((len(variants), config.n_embd), np.float32)
    out[:] = plain.read(FINAL, row=-1)
    for edits in variants:
        require_inside(edits, config, count)
    alike = sorted(range(len(variants)), key=lambda n: (sorted(sites_of(variants[n])), n))
    for sites, group in groupby(alike, key=lambda n: sites_of(variants[n])):
        if not sites:
            continue
        batch: list[int] = []
        for n in group:
            length = sum(count - _start(variants[m], plain) for m in [*batch, n])
            if batch and length > _TOGETHER:
                _run_together(engine, plain, variants, batch, out, stop)
                progress(batch, out[batch])
                batch = []
            batch.append(n)
        _run_together(engine, plain, variants, batch, out, stop)
        progress(batch, out[batch])
    return out


def _start(edits: Sequence[Edit], plain: Trace) -> int:
    """The first position that the edits of a pass can change: 0 under any mask other than GPT-2's."""
    return first_of(edits, plain.config)[1] if plain.run.mask == CAUSAL else 0


def _run_together(
    engine: "Engine",
    plain: Trace,
    variants: Sequence[tuple[Edit, ...]],
    batch: Sequence[int],
    out: NDArray[np.float32],
    stop: Stop,
) -> None:
    config, count = engine.config, len(plain)
    edits = [edit for n in batch for edit in variants[n]]
    mask = plain.run.mask
    table = tensor_table(config, sites_of(edits), mask)
    layer, _ = first_of(edits, config)
    starts = [_start(variants[n], plain) for n in batch]
    ends = np.cumsum([count - start for start in starts])
    spans = [slice(int(end) - (count - start), int(end)) for start, end in zip(starts, ends, strict=True)]
    positions = np.concatenate([np.arange(start, count) for start in starts])
    owner = np.repeat(np.arange(len(batch)), [count - start for start in starts])
    first = np.repeat(starts, [count - start for start in starts])
    every = np.arange(count)
    # A row sees the keys of the unedited pass before its own pass's first row, and from there on the keys of its own
    # pass that the mask allows.
    plain_keys, others = every[None, :] >= first[:, None], owner[None, :] != owner[:, None]
    rows = Rows(positions, np.concatenate([every, positions]))
    given: dict[str, Array] = {}
    for site in sorted(sites_of(edits)):
        made = Made(tensor_table(config)[site], config, rows)
        for n, own in zip(batch, spans, strict=True):
            for edit in variants[n]:
                if edit.site == site:
                    made.add(edit, own)
        given |= {f"{site}.keep": made.keep, f"{site}.put": made.put}
    frame = {"input_ids": np.asarray(plain.ids, np.int64)[positions], POSITIONS: positions}
    feeds: dict[str, Array] = {}
    changed: set[str] = set()
    for block in range(layer, config.n_layer):
        own_rows = _of_block(table, block, config)
        changed |= _changed(table, own_rows, changed)
        hidden = mask_of(mask, config).hidden(config, block, positions, positions) | others
        frame[HIDDEN] = np.concatenate([np.broadcast_to(plain_keys, (len(hidden), *plain_keys.shape)), hidden], axis=2)
        feeds |= frame | given | {name: plain.read(own) for name, own in past_of(block).items()}
        feeds |= {
            name: np.ascontiguousarray(array.take(positions, table[name].spec.row_axis))
            for name, array in _unchanged(own_rows, changed, plain, 0).items()
        }
        feeds = engine.pieces.run(table, feeds, _left(block, config), stop)
    out[list(batch)] = feeds[FINAL][ends - 1]


class _Cone:
    """Inputs of a piece that are not tensors of its rows, for the rows of one pass from position `start` on."""

    def __init__(self, config: Config, base: Trace | None, ids: tuple[int, ...], start: int, mask: str) -> None:
        self._base, self._start, self._config, self._mask = base, start, config, mask_of(mask, config)
        self.ids = np.asarray(ids[start:], np.int64)
        self._positions, self._keys = np.arange(start, len(ids)), np.arange(len(ids))

    def inputs(self, block: int) -> dict[str, Array]:
        """Past keys and values, token ids, positions and hidden keys, for this block's piece."""
        past = {}
        for name, own in past_of(block).items():
            none = np.zeros((self._config.n_head, 0, self._config.d_head), np.float32)
            past[name] = none if self._base is None else np.ascontiguousarray(self._base.read_rows(own, self._start))
        hidden = self._mask.hidden(self._config, block, self._positions, self._keys)
        return past | {"input_ids": self.ids, POSITIONS: self._positions, HIDDEN: hidden}


def _block_of(row: Tensor, config: Config) -> int:
    """The block whose piece computes a tensor: the first includes the embeddings, the last the final layer norm."""
    if row.layer is not None:
        return row.layer
    return config.n_layer - 1 if row.name.startswith(("ln_final.", "logits")) else 0


def _of_block(table: Mapping[str, Tensor], block: int, config: Config) -> list[str]:
    return [row.name for row in table.values() if _block_of(row, config) == block]


def _left(block: int, config: Config) -> tuple[str, ...]:
    """The tensors that a block passes on to the next piece."""
    return (FINAL,) if block == config.n_layer - 1 else (f"blocks.{block}.resid_post",)


def _changed(table: Mapping[str, Tensor], own: Sequence[str], changed: Collection[str]) -> set[str]:
    """The tensors in `changed`, and those of a block's tensors `own` that differ because of them."""
    found = set(changed)
    for name in own:
        if f"{name}.before" in table or not found.isdisjoint(table[name].inputs):
            found.add(name)
    return found


def _unchanged(own: Sequence[str], changed: Collection[str], base: Trace, start: int) -> dict[str, Array]:
    """A block's unchanged tensors from position `start` on, read from `base` so that they are not computed again."""
    found = {}
    for name in own:
        if name in changed or name.endswith((".keep", ".put")):
            continue
        source = name.removesuffix(".before")
        if base.table[source].spec.kept and name != "tokens":
            found[name] = np.ascontiguousarray(base.read_rows(source, len(base), start))
    return found


def _from(array: Array, tensor: Tensor, start: int) -> Array:
    """The rows of a tensor from position `start` on."""
    return np.ascontiguousarray(array[(slice(None),) * tensor.spec.row_axis + (slice(start, None),)])
