"""Runs a checkpoint's graph: whole passes, continued passes and logits. Each run can be stopped."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from math import prod
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.edit import Edit
from desktop_app.gpt2.edited import Pieces, edited_tensors, edited_trace
from desktop_app.gpt2.errors import ModelError, outside_vocabulary
from desktop_app.gpt2.int8 import RoundedWeights
from desktop_app.gpt2.mapped import release, released
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.gpt2.run import Run
from desktop_app.gpt2.session import Stop, make_session
from desktop_app.gpt2.stitched import Stitched
from desktop_app.gpt2.tensors import past_inputs, size_in_bytes, tensor_table
from desktop_app.gpt2.trace import Trace
from desktop_app.gpt2.weights import matrices

CAPTURE_LIMIT = 256 << 20
"""Bytes. Until weights are prepacked, a trace up to this size takes every tensor from the graph. Any other trace takes
a few, and derives the rest from them."""

STREAM_LIMIT = 1 << 28
"""Bytes. Up to this size `Engine.tensors` computes a pass in one run; a larger one runs block by block."""

# positions for which logits are computed at once, so that a stop takes effect within tens of milliseconds
_LOGIT_ROWS = 64

CHUNK = 256
"""How many positions of a long text run at once."""

Past = Mapping[str, NDArray[np.float32]]
"""`past.L.key` and `past.L.value` -> [head, past position, d_head]."""


class Engine:
    """A checkpoint ready to run. Thread-safe, since onnxruntime sessions may run concurrently."""

    def __init__(self, checkpoint: Checkpoint, stop: Stop | None = None) -> None:
        self.checkpoint = checkpoint
        self.config = checkpoint.config
        self.table = tensor_table(self.config)
        self._all = [n for n in self.table if n != "logits"]
        self._kept = [n for n, row in self.table.items() if row.spec.kept]
        self._lean_names = frozenset([*self._kept, "ln_final.out"])
        self.packed = self.config.int8  # int8 weights are always packed
        self.pieces = Pieces(checkpoint)
        """The graphs of single blocks, for edited passes."""
        self._shrinks_left = 0  # number of following runs that still shrink the session's arena, after a long text
        self._full: ort.InferenceSession | None = None
        self._lean: ort.InferenceSession | None = None
        self._swapping = threading.Lock()  # held while a session is replaced, in whichever thread
        with released(self._source.values() if self.config.int8 else ()):
            self._head = make_session(checkpoint, stop, body=False)
            # create the session that runs first, so that a model that cannot run is refused here
            self._graph(self.packed, stop)

    def __repr__(self) -> str:
        return f"<Engine of {self.checkpoint.name}: weights {'packed' if self.packed else 'not packed'}>"

    def __del__(self) -> None:
        # onnxruntime takes 30 ms to free a session and holds the GIL. Freeing one by one lets other threads run in
        # between.
        for session in ("_lean", "_head", "_full"):
            self.__dict__.pop(session, None)

    def _graph(self, lean: bool, stop: Stop | None = None) -> ort.InferenceSession:
        """The session that exposes every tensor or, if `lean`, those that a trace cannot derive; created on first use.

        Every tensor that a graph exposes takes memory in every run, requested or not: 3 GB at 1,024 tokens of GPT-2
        small. Hence two graphs, which share the weights.
        """
        with self._swapping:
            if lean:
                self._lean = self._lean or make_session(self.checkpoint, stop, head=False, only=self._lean_names)
                return self._lean
            self._full = self._full or make_session(self.checkpoint, stop, head=False)
            return self._full

    @property
    def _source(self) -> Mapping[str, NDArray[np.float32]]:
        """The weights as stored in the checkpoint's files."""
        weights = self.checkpoint.weights
        return weights.source if isinstance(weights, RoundedWeights) else weights

    @property
    def packed_bytes(self) -> int:
        """The number of bytes by which prepacking increases memory: a copy of every matrix used in a matrix product.

        0 if the weights are packed already.
        """
        return 0 if self.packed else sum(4 * prod(shape) for shape in matrices(self.config).values())

    def prepack(self, stop: Stop | None = None) -> None:
        """Prepack the weights of the graphs that run most, which takes one or two seconds and a copy of the matrices.

        Afterwards, passes over a few tokens take half the time, and traces hold only tensors that they cannot derive.
        Until it is done, other threads run with the unpacked weights. Raises Cancelled if `stop` was set.
        """
        if not self.packed:
            with released(self._source.values()):
                head = make_session(self.checkpoint, stop, body=False, packed=True)
                lean = make_session(self.checkpoint, stop, head=False, only=self._lean_names, packed=True)
            with self._swapping:
                self._head, self._lean, self.packed = head, lean, True
                # This also frees the session's arena, up to twice the memory of a trace. An export creates the session
                # again.
                self._full = None

    def run(
        self,
        ids: Sequence[int],
        past: Past | None,
        names: Sequence[str],
        stop: Stop | None = None,
    ) -> dict[str, NDArray[Any]]:
        """The named tensors (not logits) for `ids`, which follow the tokens of `past`.

        q, k and v contain the new positions only. Raises ModelError for ids outside the vocabulary or a text longer
        than the context, Cancelled on a stop.
        """
        past = past or self.empty_past()
        length = next(iter(past.values())).shape[1]
        self.check_ids(ids, length)
        self.checkpoint.require_unchanged()
        feeds = {"input_ids": np.asarray(ids, np.int64), **past}
        exposed = size_in_bytes(self.config, len(ids), length + len(ids))
        large = exposed > CAPTURE_LIMIT
        lean = (large or self.packed) and self._lean_names.issuperset(names)
        session = self._graph(lean)
        # The arena that a long text needed is shrunk during the short runs after it. Shrinking takes time, so not
        # during the long run itself; and the first short run is not enough, because the long trace may still be shown
        # then.
        shrink, self._shrinks_left = (
            self._shrinks_left > 0 and not large,
            3 if large else max(0, self._shrinks_left - 1),
        )
        into = None
        if lean:
            # Views of onnxruntime's arena would keep all of it alive, and copies would take a twentieth of the pass.
            shapes = {name: self.table[name].spec.shape(self.config, len(ids), length + len(ids)) for name in names}
            into = [np.empty(shape, np.int64 if name == "tokens" else np.float32) for name, shape in shapes.items()]
        found = (stop or Stop()).run(session, names, feeds, shrink=shrink, into=into)
        return dict(zip(names, found, strict=True))

    def give_back(self) -> None:
        """Release the mapped weight pages that views and the inspector have read, if passes use a packed copy."""
        if self.packed:
            release(self._source.values())

    def sparing(self, count: int) -> AbstractContextManager[None]:
        """A context in which weight pages are released soon after they are read, for a long text and packed weights.

        For a short text this does nothing: its trace is small, and reading the file again would take longer than the
        computation.
        """
        long = size_in_bytes(self.config, count) > CAPTURE_LIMIT
        return released(self._source.values() if self.packed and long else ())

    def logits(self, final: NDArray[np.float32], stop: Stop | None = None) -> NDArray[np.float32]:
        """Logits [pos, d_vocab] for rows of `ln_final.out` [pos, d_model], computed a few positions at a time."""
        stop = stop or Stop()
        self.checkpoint.require_unchanged()
        out = np.empty((len(final), self.config.vocab_size), np.float32)
        for start in range(0, len(final), _LOGIT_ROWS):
            rows = np.ascontiguousarray(final[start : start + _LOGIT_ROWS])
            out[start : start + _LOGIT_ROWS] = stop.run(self._head, ["logits"], {"ln_final.out": rows})[0]
        return out

    def trace(
        self,
        ids: Sequence[int],
        *,
        edits: Sequence[Edit] = (),
        mask: str = CAUSAL,
        reuse: Trace | None = None,
        stop: Stop | None = None,
        everything: bool = False,
    ) -> Trace:
        """The forward pass over `ids`, with `edits` and under a `mask`, including the last position's logits.

        `reuse` is an earlier trace. If it is of the same model, the common prefix of both texts is not computed again;
        if it is the pass without the edits, neither is anything that the edits cannot change. With `everything`, all
        tensors of a pass without edits come from one full run, whatever their size. Raises as `run` does, and
        ModelError for edits of cells that do not exist.
        """
        ids = tuple(int(i) for i in ids)
        stop = stop or Stop()
        mask = str(mask_of(mask, self.config))
        if edits or mask != CAUSAL:
            self.check_ids(ids)
            self.checkpoint.require_unchanged()
            return edited_trace(self, ids, tuple(edits), reuse, stop, mask)
        run = Run(self.checkpoint.key, ids)
        shared = run.reusable(reuse.run) if reuse is not None and not everything else 0
        fits = not self.packed and size_in_bytes(self.config, len(ids)) <= CAPTURE_LIMIT
        if not shared and (everything or fits):
            captured: Mapping[str, NDArray[Any]] = self.run(ids, None, self._all, stop)
            final = captured["ln_final.out"]
        else:
            source = () if self.packed or len(ids) - shared <= CHUNK else self._source.values()
            with released(source):  # a long text needs the memory that these pages take
                captured, final = self._run_on(ids, reuse if shared else None, shared, stop)
        last = self.logits(final[-1:], stop)[0]
        return Trace(
            self.config,
            captured,
            run=run,
            weights=self.checkpoint.weights,
            unembed=self.logits,
            logit_rows={len(ids) - 1: last},
            computed=len(ids) - shared,
        )

    def _run_on(
        self, ids: tuple[int, ...], before: Trace | None, shared: int, stop: Stop
    ) -> tuple[Stitched, NDArray[np.float32]]:
        """The tensors that a trace of `ids` stores, and `ln_final.out` of the last chunk.

        The first `shared` positions are taken from `before`. A long text runs in chunks, each using the keys and values
        of those before it. That gives the same sums as a single run, except those that the causal mask discards. A stop
        takes effect sooner, and attention grids take less memory.
        """
        while True:
            end = min(shared + CHUNK, len(ids))
            past = before.past(shared) if before is not None else None
            new = self.run(ids[shared:end], past, [*self._kept, "ln_final.out"], stop)
            final = new.pop("ln_final.out")
            held: dict[str, tuple[int, tuple[NDArray[Any], ...]]] = {}
            for name in self._kept:
                first = before.first_rows(name, shared) if before is not None else ()
                held[name] = (self.table[name].spec.row_axis, (*first, new[name]))
            if end == len(ids):
                return Stitched(held), final
            before, shared = Trace(self.config, Stitched(held), weights=self.checkpoint.weights), end

    def tensors(
        self,
        ids: Sequence[int],
        names: Sequence[str],
        stop: Stop | None = None,
        *,
        edits: Sequence[Edit] = (),
        mask: str = CAUSAL,
    ) -> Iterator[NDArray[Any]]:
        """The named tensors of the full pass over `ids`, in the order of the table, all taken from the graph.

        With `edits` or a `mask` the table is `tensor_table` with these, and every block is computed separately. The
        pass over a long text is computed in pieces (what precedes the blocks, each block, and what follows them), each
        from the output of the previous piece, so that only one block's tensors are in memory. Raises as `run` does.
        """
        ids = tuple(int(i) for i in ids)
        stop = stop or Stop()
        self.check_ids(ids)
        self.checkpoint.require_unchanged()
        mask = str(mask_of(mask, self.config))
        if edits or mask != CAUSAL:
            yield from edited_tensors(self, ids, names, tuple(edits), stop, mask)
            return
        feeds = {"input_ids": np.asarray(ids, np.int64), **self.empty_past()}
        if size_in_bytes(self.config, len(ids)) <= STREAM_LIMIT:
            sources = list(dict.fromkeys("ln_final.out" if name == "logits" else name for name in names))
            found = dict(zip(sources, stop.run(self._graph(lean=False), sources, feeds), strict=True))
            for name in names:
                yield self.logits(found["ln_final.out"], stop) if name == "logits" else found[name]
            return
        for piece, given, left in self._pieces(names):
            release(self._source.values())  # a piece needs only its own weights
            wanted = list(dict.fromkeys([*("ln_final.out" if name == "logits" else name for name in piece), *left]))
            session = make_session(self.checkpoint, stop, head=False, only=wanted, given=given, fuse=False)
            found = dict(zip(wanted, stop.run(session, wanted, feeds), strict=True))
            del session
            for name in given:
                del feeds[name]
            feeds |= {name: found[name] for name in left}
            for name in piece:
                if name == "logits":
                    yield self.logits(found["ln_final.out"], stop)
                else:
                    yield found[name] if name == "ln_final.out" else found.pop(name)
            found.clear()  # frees the memory for the next piece

    def _pieces(self, names: Sequence[str]) -> Iterator[tuple[list[str], list[str], list[str]]]:
        """The pieces of a pass: (`names` that it computes, tensors that it needs, tensors that it passes on)."""
        pieces = [list(rows) for _, rows in groupby(self.table.values(), lambda row: row.layer)]
        last = max(n for n, rows in enumerate(pieces) if not {row.name for row in rows}.isdisjoint(names))
        given: list[str] = []
        for n, rows in enumerate(pieces[: last + 1]):
            own = {row.name for row in rows} - {"logits"}
            later = {source for rest in pieces[n + 1 : last + 1] for row in rest for source in row.inputs}
            left = [name for name in self.table if name in later and name in own]
            yield [row.name for row in rows if row.name in names], given, left
            given = left

    def empty_past(self) -> dict[str, NDArray[np.float32]]:
        """Past keys and values of length 0, for the start of a text."""
        nothing = np.zeros((self.config.n_head, 0, self.config.d_head), np.float32)
        return dict.fromkeys(past_inputs(self.config), nothing)

    def check_ids(self, ids: Sequence[int], past: int = 0) -> None:
        """Raise ModelError if `ids` cannot follow `past` tokens: there are none or too many, or one is out of range."""
        if not len(ids):
            raise ModelError("There is nothing to run: the prompt is empty; type at least one character.")
        for position, token in enumerate(ids):
            if not 0 <= token < self.config.vocab_size:
                where = f" at position {past + position}"
                raise ModelError(outside_vocabulary(token, self.config.vocab_size, where))
        excess = past + len(ids) - self.config.n_positions
        if excess > 0:
            raise ModelError(
                f"The text has {past + len(ids):,} tokens, {excess:,} more than the model's context of "
                f"{self.config.n_positions:,}; shorten it."
            )
