"""onnxruntime sessions that use a checkpoint's arrays as weights, and `Stop`, which cancels their work."""

import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import Cancelled, ModelError
from desktop_app.gpt2.graph import PLACEHOLDER, build_graph
from desktop_app.gpt2.int8 import RoundedWeights
from desktop_app.gpt2.leftovers import clear_leftovers, unfinished_name
from desktop_app.gpt2.nodes import CODES, SCALES
from desktop_app.gpt2.provider import CPU, chosen, providers


class Stop:
    """Cancels loading and running from another thread. Create one for each request, and pass it to all calls for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on_set: set[Callable[[], None]] = set()
        self._wanted = False

    def set(self) -> None:
        """Cancel running passes and loading sessions now, and any later ones before they start."""
        with self._lock:
            self._wanted = True
            for end in self._on_set:
                end()

    @property
    def wanted(self) -> bool:
        """Whether `set` was called."""
        return self._wanted

    def check(self) -> None:
        """Raise Cancelled if `set` was called."""
        if self._wanted:
            raise Cancelled("Stopped.")

    def run(
        self,
        session: ort.InferenceSession,
        names: Sequence[str],
        feeds: dict[str, Any],
        *,
        shrink: bool = False,
        into: Sequence[NDArray[Any]] | None = None,
    ) -> list[Any]:
        """The outputs of `session.run`, which `set` interrupts.

        They are the arrays `into` if these are given, and otherwise lie in the session's own memory. With `shrink`, the
        memory that the session keeps for its next run is returned to the system. Raises Cancelled on a stop, ModelError
        if onnxruntime cannot run the graph.
        """
        options = ort.RunOptions()
        if shrink:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        with self._ended_by(lambda: setattr(options, "terminate", True), "run"):
            if into is None:
                return list(session.run(list(names), feeds, options))
            binding = session.io_binding()
            for name, array in feeds.items():
                binding.bind_cpu_input(name, array)
            for name, array in zip(names, into, strict=True):
                binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
            session.run_with_iobinding(binding, options)
            return list(into)

    def load(self, model: bytes | str, options: ort.SessionOptions, providers: Sequence[str]) -> ort.InferenceSession:
        """A session for `model` (a graph, or its path); `set` interrupts the loading. Raises as `run` does."""
        with self._ended_by(lambda: options.set_load_cancellation_flag(True), "load"):
            return ort.InferenceSession(model, options, providers=list(providers))

    @contextmanager
    def _ended_by(self, end: Callable[[], None], what: str) -> Iterator[None]:
        with self._lock:
            self.check()
            self._on_set.add(end)
        try:
            yield
        except Exception as reason:  # onnxruntime's classes; it does not document which one a termination raises
            self.check()
            raise ModelError(f"onnxruntime could not {what} the model: {str(reason)[:300]}") from reason
        finally:
            with self._lock:
                self._on_set.discard(end)


def make_session(
    checkpoint: Checkpoint,
    stop: "Stop | None" = None,
    *,
    body: bool = True,
    head: bool = True,
    only: Collection[str] | None = None,
    given: Collection[str] | None = None,
    packed: bool = False,
    fuse: bool = True,
    threads: int = 0,
) -> ort.InferenceSession:
    """A session for a checkpoint, made by `session_of`; unpacked and on the CPU, it takes little time and memory.

    `body`, `head`, `only` and `given` determine what it computes, as in `build_graph`.
    """
    # The operators of `fused.py` are untested on providers other than the CPU.
    fuse_rows = fuse and given is None and chosen() == CPU
    model = build_graph(checkpoint.config, body=body, head=head, only=only, given=given, fuse=fuse_rows)
    return session_of(model, checkpoint, stop, packed=packed, fuse=fuse, threads=threads)


def session_of(
    model: onnx.ModelProto,
    checkpoint: Checkpoint,
    stop: "Stop | None" = None,
    *,
    packed: bool = False,
    fuse: bool = True,
    threads: int = 0,
    arena: bool = True,
) -> ort.InferenceSession:
    """A session for a graph with the checkpoint's weights.

    On the CPU, float32 weights are used in place, not copied, unless `packed` copies the matrices into the fastest
    memory layout. Weights rounded to int8 are always packed. Other providers read all weights from a temporary file.

    Without `fuse`, onnxruntime does not optimize the graph, so that a tensor has the same bits whichever other tensors
    are outputs. The session runs on `threads` threads, or on all cores if that is 0. Without an `arena`, no memory is
    kept for the next run. Raises Cancelled if `stop` was set, ModelError if the weights cannot be written to the
    temporary file or onnxruntime cannot load the graph.
    """
    stop = stop or Stop()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Idle threads must not use up a laptop's battery.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without an arena, page faults on memory returned to the system take a third of the time of a traced pass.
    options.enable_cpu_mem_arena = arena
    if not packed and not checkpoint.config.int8:
        options.add_session_config_entry("session.disable_prepacking", "1")
    if not fuse:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    in_file = [t for t in model.graph.initializer if t.external_data]
    values = {}
    if chosen() == CPU:
        values = {
            t.name: ort.OrtValue.ortvalue_from_numpy(checkpoint.weights[t.name])
            for t in in_file
            if t.name in checkpoint.weights
        }
        in_file = [t for t in in_file if t.name not in values]
        for name, value in values.items():
            options.add_initializer(name, value)
    # onnxruntime requires the external data file to exist even if it reads nothing from it. On the CPU it reads only
    # the rounded weights, packs them and frees what it read, so that one copy is in memory. Other providers read all
    # weights.
    clear_leftovers(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=unfinished_name(""), ignore_cleanup_errors=True) as folder:
        path = Path(folder).resolve() / PLACEHOLDER
        _write_data(path, in_file, checkpoint.weights, stop)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
        source: bytes | str = model.SerializeToString()
        if chosen() != CPU:
            source = str(path.parent / "model.onnx")
            Path(source).write_bytes(model.SerializeToString())
        session = stop.load(source, options, providers())
    session.values = values  # onnxruntime holds raw pointers to these arrays, so they must live as long as the session
    return session


def _write_data(
    path: Path, tensors: Sequence[onnx.TensorProto], weights: Mapping[str, NDArray[Any]], stop: Stop
) -> None:
    """Write the data of `tensors` into the file `path`, and set offset and length in each tensor."""
    try:
        with path.open("wb") as file:
            for tensor, array in zip(tensors, _arrays([t.name for t in tensors], weights), strict=True):
                stop.check()
                file.seek(-file.tell() % 4096, 1)  # the next offset at which a memory mapping may begin
                data = np.ascontiguousarray(array)
                for key, value in (("offset", file.tell()), ("length", data.nbytes)):
                    tensor.external_data.add(key=key, value=str(value))
                file.write(data.data)
    except OSError as reason:
        raise ModelError(f"{path.parent} cannot take the weights: {reason.strerror or reason}.") from reason


def _arrays(names: Iterable[str], weights: Mapping[str, NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """The data of initializers. A weight's codes and scales must be adjacent in `names`, so that it is rounded once."""
    made: dict[str, NDArray[Any]] = {}
    for name in names:
        if isinstance(weights, RoundedWeights) and name not in weights and name not in made:
            weight = name.removesuffix(CODES).removesuffix(SCALES)
            made = dict(zip((weight + CODES, weight + SCALES), weights.codes(weight), strict=True))
        yield made[name] if name in made else weights[name]
