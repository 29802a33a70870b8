"""A scan from its texts to its tables; an interrupted scan resumes where it stopped.

In its folder, the manifest `scan.json` says what is scanned and how far the scan has come; `unfinished/` has the
windows and the tally of all shards so far, and is removed once the tables are written. A shard is done once its tally
is in `unfinished/tally.npz`, which is replaced atomically, so that no interruption leaves a shard out or counts it
twice.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from desktop_app import __version__
from desktop_app.core.evidence import parquet
from desktop_app.core.evidence.batch import Plan, blank
from desktop_app.core.evidence.findings import DECILES, FROM_EACH, Findings, findings, sample_of
from desktop_app.core.evidence.resumed import counted, cut_of, windows_of
from desktop_app.core.evidence.runner import BATCH, SHARD, Batch, Job, Runner, batches, run_batch, shard_count
from desktop_app.core.evidence.saved import NAME, write_evidence
from desktop_app.core.evidence.tally import TOP, Tally, merge
from desktop_app.core.evidence.texts import find_texts, read_pieces
from desktop_app.core.evidence.windows import Cut, Windows, cut, open_windows
from desktop_app.core.library.memory import PROGRAM, needed
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import ExportError, LogitscopeError
from desktop_app.gpt2.files import alone, regular, whole_file, whole_files
from desktop_app.gpt2.jsonfile import parse_json
from desktop_app.gpt2.system import why_not_written
from desktop_app.gpt2.tensors import size_in_bytes
from desktop_app.gpt2.tokenizer import Tokenizer

MANIFEST, WORK, TALLY = "scan.json", "unfinished", "tally.npz"

_SAVE_EVERY = 20.0  # minimum number of seconds between two saved tallies


@dataclass(frozen=True)
class Request:
    """What to scan (the names of texts), and the settings.

    `tokens` is the number of tokens after which no further window begins, None for all; `column` is the column of
    tables, or key of JSONL, that has the text.
    """

    texts: tuple[str, ...]
    folder: Path
    length: int = 128
    tokens: int | None = None
    column: str = "text"
    seed: int = 0
    lens: bool = False


@dataclass
class Scan:
    """A prepared scan: its windows are cut, and `done` shards of them are counted."""

    request: Request
    checkpoint: Checkpoint
    files: list[str]
    cut: dict[str, Any]
    windows: Windows
    done: int = 0
    tally: Tally | None = None
    processors: set[str] = field(default_factory=set)

    @property
    def work(self) -> Path:
        """The folder of unfinished work."""
        return self.request.folder / WORK

    @property
    def shards(self) -> int:
        """The number of shards."""
        return shard_count(len(self.windows))

    @property
    def job(self) -> Job:
        """The job given to workers."""
        plan = Plan(
            self.request.length, self.request.seed, self.request.lens, sample_of(len(self.windows), self.request.seed)
        )
        return Job(str(self.checkpoint.folder.absolute()), self.checkpoint.digest, plan)

    def manifest(self, *, complete: bool = False) -> dict[str, Any]:
        """The contents of the manifest."""
        return {
            "logitscope": __version__,
            "model": {"name": self.checkpoint.name, "digest": self.checkpoint.digest},
            "asked": _asked(self.request, self.checkpoint),
            "files": self.files,
            **self.cut,
            "batch": BATCH,
            "shard": SHARD,
            "shards": self.shards,
            "done": self.done,
            "complete": complete,
            "processors": sorted(self.processors),
        }


def _asked(request: Request, checkpoint: Checkpoint) -> dict[str, Any]:
    """The settings that must match for a scan to resume."""
    return {
        "digest": checkpoint.digest,
        "texts": [[str(path), path.stat().st_size] for path in find_texts(request.texts)],
        "length": request.length,
        "tokens": request.tokens,
        "column": request.column,
        "seed": request.seed,
        "lens": request.lens,
        "format": 1,
    }


def prepare(
    request: Request,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    *,
    force: bool = False,
    progress: Callable[[int], None] = lambda _tokens: None,
) -> Scan | None:
    """Cut the texts into windows, or resume the scan in the folder; None if that one is complete.

    `force` discards another scan in the folder. Raises LogitscopeError if there are no texts or none is readable, if a
    window is longer than the context, if the folder contains another scan or other files, or if the disk is full.
    """
    config = checkpoint.config
    least = 3 + len(tokenizer.first)
    if not least <= request.length <= config.n_positions:
        raise LogitscopeError(
            f"A window of {request.length} tokens cannot be read; this model takes {least} to {config.n_positions:,}."
        )
    asked = _asked(request, checkpoint)
    folder = request.folder
    try:
        held = _held(folder)
        if held is not None and held.get("asked") != json.loads(json.dumps(asked)) and not force:
            raise LogitscopeError(
                f"{folder} contains a scan of other texts, of another model or with other settings; name another "
                "folder, or give --force to replace it."
            )
        if held is not None and not force:
            if held.get("complete") and all((folder / name).is_file() for name in _found(request.lens)):
                return None
            if (scan := _taken_up(request, checkpoint, held)) is not None:
                return scan
        _clear(folder)
        (folder / WORK).mkdir(parents=True)
        return _begun(request, checkpoint, tokenizer, progress)
    except OSError as reason:
        raise ExportError(f"{folder} cannot be written: {why_not_written(reason)}.") from reason


def _held(folder: Path) -> dict[str, Any] | None:
    """The manifest in a folder; {} if it cannot be read. Raises LogitscopeError if the folder contains other files."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise LogitscopeError(f"{folder} is a file; name a folder for the results.")
    others = [path.name for path in folder.iterdir() if path.name not in _own_names()]
    if others:
        raise LogitscopeError(f"{folder} contains other files ({sorted(others)[0]}); name a new or empty folder.")
    path = folder / MANIFEST
    try:
        regular(path, ExportError)
        data = path.read_bytes()
    except FileNotFoundError:
        return None  # the scan was interrupted before its windows were cut: there is nothing to lose
    try:
        return parse_json(data, what=str(path), error=ExportError)
    except ExportError:  # changed by hand: it does not match the request, and --force is needed
        return {}


def _own_names() -> set[str]:
    return {MANIFEST, WORK, f".{MANIFEST}.lock", *_found(lens=True)}


def _found(lens: bool) -> list[str]:
    """The names of the files that a complete scan has."""
    return [NAME, *(f"{name}.parquet" for name in parquet.TABLES if lens or name != "lens")]


def _clear(folder: Path) -> None:
    for name in _own_names() - {WORK, f".{MANIFEST}.lock"}:
        (folder / name).unlink(missing_ok=True)
    if (folder / WORK).exists():
        shutil.rmtree(folder / WORK)


def _begun(request: Request, checkpoint: Checkpoint, tokenizer: Tokenizer, progress: Callable[[int], None]) -> Scan:
    paths = find_texts(request.texts)
    files: dict[str, None] = {}

    def read() -> Iterator[Any]:
        for path in paths:
            for piece in read_pieces(path, request.column):
                files.setdefault(piece.file)
                yield piece

    work = request.folder / WORK
    made = cut(
        read(),
        tokenizer,
        checkpoint.config.vocab_size,
        work,
        length=request.length,
        limit=request.tokens,
        progress=progress,
    )
    if not made.windows:
        why = f": {made.faults[0].file} {made.faults[0].words.rstrip('.')}" if made.faults else ""
        _clear(request.folder)
        raise LogitscopeError(f"There is no text to read{why}.")
    scan = Scan(
        request,
        checkpoint,
        list(files),
        _words_of(made),
        open_windows(work, checkpoint.config.vocab_size),
    )
    _write_manifest(scan)
    return scan


def _words_of(made: Cut) -> dict[str, Any]:
    faults = [[fault.file, fault.record, fault.words, fault.whole] for fault in made.faults]
    return {
        "windows": made.windows,
        "tokens": made.tokens,
        "texts": made.pieces,
        "left_out": made.left_out,
        "faults": faults,
        "windows_digest": made.digest,
    }


def _taken_up(request: Request, checkpoint: Checkpoint, held: Mapping[str, Any]) -> Scan | None:
    """The scan of a manifest, with its counts so far; None if its windows are not those that were cut."""
    if (found := cut_of(held)) is None:
        return None
    files, made = found
    windows = windows_of(request.folder / WORK, made, len(files), checkpoint.config.vocab_size)
    if windows is None:
        return None
    scan = Scan(request, checkpoint, files, made, windows)
    kept = counted(scan.work / TALLY, blank(checkpoint.config, scan.job.plan), windows, SHARD * BATCH)
    if kept is not None:
        scan.done, scan.processors, scan.tally = kept.done, set(kept.processors), kept.tally
    return scan


def _write_manifest(scan: Scan, *, complete: bool = False) -> None:
    with whole_file(scan.request.folder / MANIFEST) as file:
        file.write(json.dumps(scan.manifest(complete=complete), indent=1, ensure_ascii=False).encode() + b"\n")


def _save(scan: Scan) -> None:
    said = np.frombuffer(json.dumps(sorted(scan.processors)).encode(), np.uint8)
    with whole_file(scan.work / TALLY) as file:
        kept: dict[str, Any] = {"done": np.int64(scan.done), "processors": said, **(scan.tally or {})}
        np.savez(file, **kept)
    _write_manifest(scan)


def measure(scan: Scan) -> tuple[float, int]:
    """Seconds per window in a first batch on one thread of this machine, and the bytes of the batch's tally."""
    few = Batch(0, tuple(scan.windows.batch(0, 8)))
    run_batch(scan.job, Batch(0, few.windows[:1]))  # opens the model
    start = time.perf_counter()
    tally, _ = run_batch(scan.job, few)
    seconds = (time.perf_counter() - start) / len(few.windows)
    return seconds, sum(array.nbytes for array in tally.values())


def count(scan: Scan, runner: Runner, progress: Callable[[int, int], None] = lambda _done, _all: None) -> None:
    """Count every remaining shard. The tally is saved however counting ends, including by a stop or an error.

    Raises LogitscopeError, for instance if the disk is full or a worker cannot open the model.
    """
    left = range(scan.done, scan.shards)
    saved = time.monotonic()
    dirty = False
    with alone(scan.request.folder / MANIFEST):
        try:
            results = runner.shards(scan.job, (batches(scan.windows, shard) for shard in left))
            for tally, processors in results:
                scan.tally = tally if scan.tally is None else merge(scan.tally, tally)
                scan.processors |= processors
                scan.done, dirty = scan.done + 1, True
                progress(scan.done, scan.shards)
                if time.monotonic() - saved > _SAVE_EVERY:
                    _save(scan)
                    saved, dirty = time.monotonic(), False
        finally:
            if dirty:
                _save(scan)


def finish(scan: Scan) -> Findings:
    """Write the tables and the evidence, then remove the unfinished work. Raises ExportError on a full disk."""
    assert scan.tally is not None
    found = findings(scan.tally)
    folder = scan.request.folder
    about = {
        "model": scan.checkpoint.name,
        "digest": scan.checkpoint.digest,
        "length": scan.request.length,
        "seed": scan.request.seed,
        "tokens": scan.cut["tokens"],
        "logitscope": __version__,
    }
    names = [f"{name}.parquet" for name in parquet.TABLES if name != "lens" or found.lens is not None]
    with whole_files([folder / name for name in names]) as made:
        said = {name: str(value) for name, value in about.items()}
        parquet.write_tables(made, found, scan.windows, scan.files, scan.checkpoint.config, said)
    write_evidence(folder / NAME, found, scan.windows, {**about, "files": [Path(name).name for name in scan.files]})
    _write_manifest(scan, complete=True)
    shutil.rmtree(scan.work, ignore_errors=True)
    return found


@dataclass(frozen=True)
class Needs:
    """Bytes that a scan needs: on disk, in the memory of the process that started it, and in that of each worker."""

    disk: int
    client: int
    worker: int


def needs(scan: Scan, tally: int) -> Needs:
    """What a scan needs, given the bytes of one batch's tally, without the weights: workers of a machine share them."""
    config, length = scan.checkpoint.config, scan.request.length
    neurons, heads = config.n_layer * config.d_mlp, config.n_layer * config.n_head
    sample = 2 * neurons * 8 * len(scan.job.plan.sample)
    rows = 2 * neurons * (TOP + DECILES * FROM_EACH) + 2 * heads * TOP
    whole = tally + sample
    disk = 2 * whole + 64 * rows + 2 * scan.windows.ids.nbytes + scan.windows.index.nbytes
    peaks = 2 * neurons * 8 * BATCH
    work = needed(config, length).work + size_in_bytes(config, length) + 8 * length * config.vocab_size
    return Needs(disk, PROGRAM + 4 * whole, PROGRAM + 3 * tally + peaks + work)
