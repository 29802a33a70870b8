"""Runs a checkpoint's graph in onnxruntime: whole passes, continued passes, logits, each of which can be stopped."""

import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import Cancelled, ModelError
from desktop_app.gpt2.graph import PLACEHOLDER, build_graph
from desktop_app.gpt2.tensors import size_in_bytes, tensor_table
from desktop_app.gpt2.trace import Trace

CAPTURE_LIMIT = 256 << 20
"""Bytes up to which a trace takes every tensor from the graph; a larger one keeps a few and derives the rest."""

STREAM_LIMIT = 1 << 29
"""Bytes of tensors that one pass of `Engine.tensors` exposes."""

_LOGIT_ROWS = 32  # positions a run of the head, so that a stop takes effect within tens of milliseconds

Past = Mapping[str, NDArray[np.float32]]
"""`past.L.key` and `past.L.value` -> [head, past, d_head]."""


class Stop:
    """Stops a pass from another thread; made for one request, passed to every call that works on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[ort.RunOptions] = set()
        self._wanted = False

    def set(self) -> None:
        """Stop the running session at once, and every later one before it starts."""
        with self._lock:
            self._wanted = True
            for options in self._running:
                options.terminate = True

    @property
    def wanted(self) -> bool:
        """Whether a stop was asked for."""
        return self._wanted

    def check(self) -> None:
        """Raise Cancelled if a stop was asked for."""
        if self._wanted:
            raise Cancelled("Stopped.")

    def run(self, session: ort.InferenceSession, names: Sequence[str], feeds: dict[str, Any]) -> list[Any]:
        """`session.run`, ended by `set`. Raises Cancelled then."""
        options = ort.RunOptions()
        with self._lock:
            self.check()
            self._running.add(options)
        try:
            return list(session.run(list(names), feeds, options))
        except Exception as reason:  # onnxruntime's own classes; which one a termination raises is not documented
            self.check()
            raise ModelError(f"onnxruntime could not run the model: {str(reason)[:300]}") from reason
        finally:
            with self._lock:
                self._running.discard(options)


class Engine:
    """A checkpoint ready to run. Threads may share it; onnxruntime sessions are safe to run concurrently."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.config = checkpoint.config
        self.table = tensor_table(self.config)
        self._all = [n for n in self.table if n != "logits"]
        self._kept = [n for n, row in self.table.items() if row.spec.kept]
        self._lean_names = frozenset([*self._kept, "ln_final.out"])
        self.packed = False
        # Whatever a graph exposes takes memory in every run, asked for or not: 3 GB at 1,024 tokens of GPT-2 small. So
        # two graphs share the weights: one exposes every tensor, the other what a long trace keeps.
        self._full = _session(checkpoint, head=False)
        self._lean = _session(checkpoint, head=False, only=self._lean_names)
        self._head = _session(checkpoint, body=False)

    def prepack(self) -> None:
        """Pack the weights of what runs most: slower to make, a copy of the weights, faster to run.

        Traces that take every tensor from the graph stay on the weights as they are.
        """
        if not self.packed:
            lean = _session(self.checkpoint, head=False, only=self._lean_names, packed=True)
            head = _session(self.checkpoint, body=False, packed=True)
            self._lean, self._head, self.packed = lean, head, True

    def run(
        self, ids: Sequence[int], past: Past | None, names: Sequence[str], stop: Stop | None = None
    ) -> dict[str, NDArray[Any]]:
        """The named tensors (not logits) for `ids`, which stand after `past`. q, k, v hold the new positions only.

        Raises ModelError for ids outside the vocabulary or a text longer than the context, Cancelled on a stop.
        """
        past = past or self.empty_past()
        length = next(iter(past.values())).shape[1]
        self.check_ids(ids, length)
        feeds = {"input_ids": np.asarray(ids, np.int64), **past}
        session = self._lean if self._lean_names.issuperset(names) else self._full
        return dict(zip(names, (stop or Stop()).run(session, names, feeds), strict=True))

    def logits(self, final: NDArray[np.float32], stop: Stop | None = None) -> NDArray[np.float32]:
        """Logits [pos, d_vocab] of rows of `ln_final.out` [pos, d_model], some positions at a time."""
        stop = stop or Stop()
        out = np.empty((len(final), self.config.vocab_size), np.float32)
        for start in range(0, len(final), _LOGIT_ROWS):
            rows = np.ascontiguousarray(final[start : start + _LOGIT_ROWS])
            out[start : start + _LOGIT_ROWS] = stop.run(self._head, ["logits"], {"ln_final.out": rows})[0]
        return out

    def trace(
        self,
        ids: Sequence[int],
        *,
        reuse: Trace | None = None,
        stop: Stop | None = None,
        everything: bool = False,
    ) -> Trace:
        """The forward pass over `ids`, the last position's logits included.

        `reuse` is an earlier trace: if it is of this model, what it shares at the start is not computed again. With
        `everything` all tensors come from one full pass whatever their size. Raises as `run` does.
        """
        ids = tuple(int(i) for i in ids)
        stop = stop or Stop()
        if everything or (reuse is not None and not reuse.is_of(self.checkpoint.weights)):
            reuse = None
        shared = reuse.shared_prefix(ids) if reuse is not None else 0
        if shared and reuse is not None:
            new = self.run(ids[shared:], reuse.past(shared), [*self._kept, "ln_final.out"], stop)
            final = new.pop("ln_final.out")
            captured = {
                name: np.concatenate([reuse.read_rows(name, shared), new[name]], self.table[name].spec.row_axis)
                for name in self._kept
            }
        else:
            fits = everything or size_in_bytes(self.config, len(ids)) <= CAPTURE_LIMIT
            captured = self.run(ids, None, self._all if fits else [*self._kept, "ln_final.out"], stop)
            final = captured["ln_final.out"] if fits else captured.pop("ln_final.out")
        last = self.logits(final[-1:], stop)[0]
        return Trace(
            self.config,
            captured,
            weights=self.checkpoint.weights,
            unembed=self.logits,
            logit_rows={len(ids) - 1: last},
            computed=len(ids) - shared,
        )

    def tensors(self, ids: Sequence[int], names: Sequence[str], stop: Stop | None = None) -> Iterator[NDArray[Any]]:
        """The named tensors of the full pass over `ids`, one after the other, all taken from the graph.

        The pass is repeated where memory asks for it, each time exposing up to STREAM_LIMIT bytes of tensors. Raises
        as `run` does.
        """
        ids = tuple(int(i) for i in ids)
        stop = stop or Stop()
        self.check_ids(ids)
        feeds = {"input_ids": np.asarray(ids, np.int64), **self.empty_past()}
        one_pass = size_in_bytes(self.config, len(ids)) <= STREAM_LIMIT
        for group in self._groups(names, len(ids)):
            sources = list(dict.fromkeys("ln_final.out" if name == "logits" else name for name in group))
            session = self._full
            if not one_pass:
                session = _session(self.checkpoint, head=False, only=frozenset(sources), fuse=False)
            found = dict(zip(sources, stop.run(session, sources, feeds), strict=True))
            for name in group:
                yield self.logits(found["ln_final.out"], stop) if name == "logits" else found[name]
            found.clear()  # before the next pass, which needs the room

    def _groups(self, names: Sequence[str], positions: int) -> Iterator[list[str]]:
        """`names` in runs of at most STREAM_LIMIT bytes each, or of one name."""
        group: list[str] = []
        total = 0
        for name in names:
            size = 4 * prod(self.table["ln_final.out" if name == "logits" else name].spec.shape(self.config, positions))
            if group and total + size > STREAM_LIMIT:
                yield group
                group, total = [], 0
            group.append(name)
            total += size
        if group:
            yield group

    def empty_past(self) -> dict[str, NDArray[np.float32]]:
        """The past of a text that starts here."""
        nothing = np.zeros((self.config.n_head, 0, self.config.d_head), np.float32)
        return {f"past.{n}.{part}": nothing for n in range(self.config.n_layer) for part in ("key", "value")}

    def check_ids(self, ids: Sequence[int], past: int = 0) -> None:
        """Raise ModelError if `ids` cannot stand after `past` tokens: none, unknown to the embedding, or too many."""
        if not len(ids):
            raise ModelError("There is nothing to run: the prompt is empty; type at least one character.")
        for position, token in enumerate(ids):
            if not 0 <= token < self.config.vocab_size:
                raise ModelError(
                    f"Token id {token} at position {past + position} is outside the model's vocabulary "
                    f"(0 to {self.config.vocab_size - 1:,})."
                )
        excess = past + len(ids) - self.config.n_positions
        if excess > 0:
            raise ModelError(
                f"The text has {past + len(ids):,} tokens, {excess:,} more than the model's context of "
                f"{self.config.n_positions:,}; shorten it."
            )


def _session(
    checkpoint: Checkpoint,
    *,
    body: bool = True,
    head: bool = True,
    only: frozenset[str] | None = None,
    packed: bool = False,
    fuse: bool = True,
) -> ort.InferenceSession:
    """A session on the checkpoint's own arrays, of which it makes no copy: it starts at once and takes a few megabytes.

    `packed` copies the matrices into the layout that runs fastest. Without `fuse` nodes run as they stand in the graph,
    so that a tensor is the same to the bit whatever else is exposed.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Idle threads must not burn a laptop's battery, and a long text's memory goes back once it is done.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    if not packed:
        options.add_session_config_entry("session.disable_prepacking", "1")
    if not fuse:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = build_graph(checkpoint.config, body=body, head=head, only=only)
    values = {
        tensor.name: ort.OrtValue.ortvalue_from_numpy(checkpoint.weights[tensor.name])
        for tensor in model.graph.initializer
        if tensor.name in checkpoint.weights
    }
    for name, value in values.items():
        options.add_initializer(name, value)
    # onnxruntime wants to see the file that data which it never reads would come from.
    with tempfile.TemporaryDirectory(prefix="logitscope-") as folder:
        path = Path(folder).resolve() / PLACEHOLDER
        path.touch()
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    session.values = values  # onnxruntime has bare pointers to them, so they must live as long
    return session
