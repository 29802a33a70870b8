"""Runs a checkpoint's graph in onnxruntime: whole passes, continued passes, logits, each of which can be stopped."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import Cancelled, ModelError
from desktop_app.gpt2.graph import build_graph
from desktop_app.gpt2.tensors import size_in_bytes, tensor_table
from desktop_app.gpt2.trace import Trace

CAPTURE_LIMIT = 256 << 20
"""Bytes up to which a trace takes every tensor from the graph; a larger one keeps a few and derives the rest."""

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
        self._kept = [n for n, row in self.table.items() if row.spec.kept]
        self._all = [n for n in self.table if n != "logits"]
        self.mapped = _common_folder(checkpoint) is not None
        self._body = _session(checkpoint, head=False, mapped=self.mapped)
        self._head = _session(checkpoint, body=False, mapped=self.mapped)

    def prepack(self) -> None:
        """Replace mapped sessions by ones with packed weights: slower to make, a copy of the weights, faster to run."""
        if self.mapped:
            body = _session(self.checkpoint, head=False, mapped=False)
            head = _session(self.checkpoint, body=False, mapped=False)
            self._body, self._head, self.mapped = body, head, False

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
        return dict(zip(names, (stop or Stop()).run(self._body, names, feeds), strict=True))

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

        `reuse` is an earlier trace of the same model: what it shares at the start is not computed again. With
        `everything` all tensors come from the graph whatever their size. Raises as `run` does.
        """
        ids = tuple(int(i) for i in ids)
        stop = stop or Stop()
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


def _common_folder(checkpoint: Checkpoint) -> Path | None:
    """The one folder that every weight can be mapped from, or None."""
    if len(checkpoint.places) < len(checkpoint.weights):
        return None
    folders = {place.file.parent for place in checkpoint.places.values()}
    return folders.pop() if len(folders) == 1 else None


def _session(checkpoint: Checkpoint, *, body: bool = True, head: bool = True, mapped: bool) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Idle threads must not burn a laptop's battery.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    places: dict[str, tuple[str, int, int]] = {}
    folder = _common_folder(checkpoint) if mapped else None
    if folder is not None:
        places = {n: (p.file.name, p.offset, p.length) for n, p in checkpoint.places.items()}
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
        options.add_session_config_entry("session.disable_prepacking", "1")
    model = build_graph(checkpoint.config, places, body=body, head=head)
    if folder is None:
        names = [tensor.name for tensor in model.graph.initializer if tensor.name in checkpoint.weights]
        values = [ort.OrtValue.ortvalue_from_numpy(checkpoint.weights[name]) for name in names]
        options.add_external_initializers(names, values)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
