"""Makes the figures of a listing, but only those whose inputs or files have changed since they were last made.

A small file next to the figures records, for each of them, the digest of everything it was made from (model, prompt,
options, program), and the digest of the files written. A figure is up to date if both still match.
"""

import hashlib
import json
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import desktop_app
from desktop_app import __version__
from desktop_app.core.comparing.beside import passes_of
from desktop_app.core.model import Model, open_model
from desktop_app.core.passes import Asked, Passes
from desktop_app.core.program.bundle import default_model, resource
from desktop_app.core.program.processes import end_workers, starting_workers, worker_pool
from desktop_app.core.session.session_file import to_json
from desktop_app.figures.listing import ListedFigure
from desktop_app.figures.order import Order, files_of, make, write_files
from desktop_app.gpt2.errors import ExportError, LogitscopeError
from desktop_app.gpt2.files import refuse_existing, whole_file
from desktop_app.gpt2.jsonfile import read_json

log = logging.getLogger(__name__)

_VERSION = 1
_MODEL_FILES = (".json", ".safetensors", ".txt")
_DRAWN_WITH = ("matplotlib", "numpy", "onnxruntime")
_BEGUN = {"inputs": "", "written": ""}
"""The record of a figure that has not been made yet."""
_ENDED = "its process ended unexpectedly; build again, with --jobs 1 if memory is short."
_PASSES, _MODELS = 4, 2  # numbers of passes and models kept in memory for entries that share them


@dataclass(frozen=True)
class Report:
    """The result of a build: names of figures made and of figures up to date, and sentences about those that failed."""

    made: tuple[str, ...]
    kept: tuple[str, ...]
    failed: tuple[str, ...]
    unlisted: tuple[str, ...]  # files made for an earlier version of the listing, which does not contain them any more


Progress = Callable[[int, int, str, str], None]
"""(number done, total, name, and "made", "unchanged" or "failed")"""


class Record:
    """The record of earlier builds: file name -> fingerprints of its inputs and of its bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outputs: dict[str, dict[str, str]] = {}
        if not path.exists():
            return
        raw = read_json(path, limit=16 << 20, error=ExportError)
        outputs = raw.get("outputs")
        rows = outputs.values() if isinstance(outputs, dict) and raw.get("logitscope") == _VERSION else [None]
        if not all(isinstance(row, dict) and set(row) == {"inputs", "written"} for row in rows):
            raise ExportError(f"{path} is not what logitscope build wrote; delete it, and build again with --force.")
        self.outputs = dict(outputs or {})

    def save(self) -> None:
        """Write the record atomically."""
        text = json.dumps({"logitscope": _VERSION, "outputs": dict(sorted(self.outputs.items()))}, indent=1)
        with whole_file(self.path) as file:
            file.write(f"{text}\n".encode())


def build(
    entries: list[ListedFigure],
    record: Record,
    *,
    jobs: int = 1,
    force: bool = False,
    progress: Progress = lambda *_: None,
) -> Report:
    """Make the figures that are not up to date. A figure that fails does not stop the others.

    Each figure is recorded as soon as it is made.

    Raises ExportError before anything is made if a file to be written exists and is not from a build, unless `force`.
    """
    inputs = {entry.name: fingerprint(entry.order) for entry in entries}
    todo = [e for e in entries if force or not _up_to_date(e, record, inputs[e.name])]
    strange = [
        f"{entry.where}: {path} already exists and no build wrote it; give --force to replace it, or another name."
        for entry in todo
        for path in entry.order.files
        if not force and entry.name not in record.outputs and path.exists()
    ]
    for entry in todo:
        for path in entry.order.files:
            path.parent.mkdir(parents=True, exist_ok=True)
            refuse_existing(path, force=True)
    if strange:
        raise ExportError(*strange)
    # This is recorded before the first figure is made, so that after a kill the next build recognises the files.
    begun = [entry.name for entry in todo if entry.name not in record.outputs]
    if begun:
        record.outputs |= dict.fromkeys(begun, _BEGUN)
        record.save()
    kept = [e.name for e in entries if e not in todo]
    made: list[str] = []
    failed: list[str] = []
    done = 0
    for name in kept:
        done += 1
        progress(done, len(entries), name, "unchanged")
    try:
        for entry, files in _made(todo, jobs):
            done += 1
            try:
                if isinstance(files, LogitscopeError):
                    raise files
                write_files(entry.order, files)
            except LogitscopeError as reason:
                failed.append(f"{entry.where}, {entry.name}: {reason}")
                progress(done, len(entries), entry.name, "failed")
                continue
            record.outputs[entry.name] = {"inputs": inputs[entry.name], "written": _written(entry.order)}
            record.save()
            made.append(entry.name)
            progress(done, len(entries), entry.name, "made")
    finally:
        listed = {e.name for e in entries}
        unlisted = sorted(set(record.outputs) - listed)
        never = {
            e.name for e in todo if record.outputs.get(e.name) == _BEGUN and not any(map(Path.exists, e.order.files))
        }
        record.outputs = {name: row for name, row in record.outputs.items() if name in listed - never}
        if begun or unlisted:
            record.save()
    return Report(tuple(made), tuple(kept), tuple(failed), tuple(unlisted))


def _up_to_date(entry: ListedFigure, record: Record, inputs: str) -> bool:
    known = record.outputs.get(entry.name)
    return known is not None and known["inputs"] == inputs and known["written"] == _written(entry.order)


def _written(order: Order) -> str:
    """The fingerprint of the files on disk; "" if one is missing."""
    digests = [_digest(path) for path in order.files]
    return hashlib.sha256("".join(digests).encode()).hexdigest() if all(digests) else ""


def _digest(path: Path) -> str:
    """The sha256 of a file; "" if it cannot be read. A pipe counts as unreadable: reading would block."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as reason:
        log.info("%s cannot be read, so the figure is rebuilt: %s.", path, reason.strerror or reason)
        return ""


def fingerprint(order: Order) -> str:
    """A digest of everything that determines a figure's bytes."""
    options: dict[str, Any] = asdict(order.options)
    what = {
        "program": program(),
        "model": model_digest(order.model or default_model()),
        "options": options,
        "state": to_json(order.state).decode(),
        "beside": model_digest(Path(order.state.beside)) if order.state.beside else None,
        "trace": None if order.trace is None else _digest(order.trace),
        "rest": [order.step, order.cell, order.layer, order.head, order.ids, order.prompted, order.data],
        "excerpt": [asdict(order.excerpt), order.limit],
        "tokens": [order.target, order.against, order.pins],
        "translators": _digest(Path(order.state.translators)) if order.state.translators else None,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


@cache
def program() -> str:
    """The program's version and a digest of its files: another version may draw another picture."""
    digest = hashlib.sha256()
    package = Path(desktop_app.__file__).parent
    sources = [p for part in ("gpt2", "core", "figures") for p in sorted((package / part).rglob("*.py"))]
    # A frozen program has no sources: its code is in the file that was started.
    for path in [*(sources or [Path(sys.executable)]), *sorted(p for p in resource().rglob("*") if p.is_file())]:
        digest.update(path.read_bytes())
    versions = " ".join(f"{name} {metadata.version(name)}" for name in _DRAWN_WITH)
    return f"{__version__} {versions} {digest.hexdigest()}"


@cache
def model_digest(folder: Path) -> str:
    """A digest of a model's files. If the folder has none, opening the model will raise ModelError."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*")):
        if path.suffix in _MODEL_FILES and path.is_file():
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _made(entries: list[ListedFigure], jobs: int) -> Iterator[tuple[ListedFigure, "list[bytes] | LogitscopeError"]]:
    """(entry, files or error) for each entry as it is finished. Passes run in this process one by one; workers draw."""
    shared = _Shared()
    with _workers(min(jobs, len(entries))) as workers:
        pool = workers
        under_way: dict[Future[list[bytes]], ListedFigure] = {}
        for entry in entries:
            try:
                job = shared.job(entry.order)
                if pool is None:
                    yield entry, files_of(job, entry.order.options, entry.order.data)
                    continue
                try:
                    with starting_workers():
                        future = pool.submit(files_of, job, entry.order.options, entry.order.data)
                except LogitscopeError as reason:
                    log.info("%s Drawing continues in this process.", reason)
                    pool = None
                    yield entry, files_of(job, entry.order.options, entry.order.data)
                    continue
                under_way[future] = entry
            except LogitscopeError as reason:
                yield entry, reason
            except BrokenProcessPool:
                log.info("A worker process ended unexpectedly.", exc_info=True)
                yield entry, ExportError(_ENDED)
            while len(under_way) > 2 * jobs:
                yield from _finished(under_way)
        while under_way:
            yield from _finished(under_way)


def _finished(
    under_way: "dict[Future[list[bytes]], ListedFigure]",
) -> Iterator[tuple[ListedFigure, "list[bytes] | LogitscopeError"]]:
    done, _ = wait(under_way, return_when=FIRST_COMPLETED)
    for future in done:
        entry = under_way.pop(future)
        try:
            yield entry, future.result()
        except LogitscopeError as reason:
            yield entry, reason
        except BrokenProcessPool:
            log.info("A worker process ended unexpectedly.", exc_info=True)
            yield entry, ExportError(_ENDED)


@contextmanager
def _workers(count: int) -> Iterator[Executor | None]:
    """A pool of worker processes, if there is more than one; it ends with the `with` block, even after an exception."""
    if count < 2:
        yield None
        return
    pool = worker_pool(count)
    try:
        yield pool
    except BaseException:  # Ctrl+C or a signal: do not wait for figures being drawn
        end_workers(pool, now=True)
        raise
    end_workers(pool, now=False)


class _Shared:
    """Keeps models and passes open that several figures share."""

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[Path, bool], Model] = OrderedDict()
        self._passes: OrderedDict[tuple[Path, int, Asked], Passes] = OrderedDict()

    def job(self, order: Order) -> Any:
        folder, int8 = order.model or default_model(), order.state.int8
        model = _held(self._models, (folder, int8), lambda: open_model(folder, int8=int8, text=False), _MODELS)

        def passes(asked: Asked) -> Passes:
            key = (folder, model.checkpoint.key, asked)
            made: Passes = _held(self._passes, key, lambda: passes_of(model, asked, text=False), _PASSES)
            return made

        return make(order, model, passes)


def _held(store: OrderedDict[Any, Any], key: Any, make_it: Callable[[], Any], most: int) -> Any:
    if key not in store:
        store[key] = make_it()
        if len(store) > most:
            store.popitem(last=False)
    store.move_to_end(key)
    return store[key]
