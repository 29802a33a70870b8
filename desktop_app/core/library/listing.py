"""The list of models: bundled models, remembered folders, the hub's cache, the catalogue."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from desktop_app.core.library.cache import (
    Cached,
    bytes_on_disk,
    cached_models,
    missing_files,
    partial_bytes,
)
from desktop_app.core.library.catalogue import after_steps, bundled_entries, hub_entries, hub_entry
from desktop_app.core.library.folders import remembered_folders
from desktop_app.core.library.memory import needed
from desktop_app.core.library.progress import in_bytes
from desktop_app.core.library.training import Training, is_model, training_of
from desktop_app.core.program.bundle import bundled_models
from desktop_app.gpt2.config import Config, load_config
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.weights import parameter_count

log = logging.getLogger(__name__)

BUNDLED, FOLDER, CACHED, HUB = "bundled", "folder", "cached", "hub"


@dataclass(frozen=True)
class ModelRow:
    """One model of the list.

    `reference` is its name for `--model`, `title` its display name. `disk` is in bytes: the space it takes on this
    machine, or the size of its download. `state` describes it in a few words; `ready` says whether it can be opened
    now, `begun` whether it is partly downloaded. A model with snapshots of its `training` is one row, whose state gives
    their number and range.
    """

    kind: str
    reference: str
    title: str
    about: str
    folder: Path | None
    config: Config | None
    disk: int
    state: str
    ready: bool
    begun: bool = False
    training: Training | None = None

    @property
    def parameters(self) -> int | None:
        """Number of parameters; None if there is no config to compute it from."""
        return None if self.config is None else parameter_count(self.config)

    def memory(self, positions: int) -> int | None:
        """Bytes of memory that the model needs for a text of `positions` tokens; None without a config."""
        return None if self.config is None else needed(self.config, positions).total

    def state_with(self, opened: Path | None) -> str:
        """The state; it says `open`, and not where the model is, if `opened` is this model or one of its snapshots."""
        if opened is None or not self.is_of(opened):
            return self.state
        of = () if self.training is None else self.training.snapshots
        step = next((snapshot.step for snapshot in of if snapshot.folder == opened), None)
        return _with_range("open" if step is None else f"open {after_steps(step)}", self.training)

    def is_of(self, folder: Path) -> bool:
        """Whether the model in `folder` is this one or one of its snapshots."""
        of = () if self.training is None else self.training.snapshots
        return folder in (self.folder, *(snapshot.folder for snapshot in of))

    @property
    def shape(self) -> str:
        """Blocks x heads x width."""
        c = self.config
        return "" if c is None else f"{c.n_layer} × {c.n_head} × {c.n_embd}"


def list_models() -> list[ModelRow]:
    """Every known model, without network access; the row of a damaged model says what is wrong."""
    cached = list(_cached())
    here = {row.reference for row in cached}
    return [*list_bundled(), *_remembered(), *cached, *(row for row in _catalogue() if row.reference not in here)]


def list_bundled() -> Iterator[ModelRow]:
    """The bundled models, which are few and quick to list."""
    entries = {entry.folder: entry for entry in bundled_entries()}
    for name, folder in bundled_models().items():
        entry = entries.get(name)
        title, about = (entry.title, entry.about) if entry else (name, "")
        yield _of_folder(BUNDLED, name, title, about, folder, "came with the program")


def _remembered() -> Iterator[ModelRow]:
    for folder in remembered_folders():
        yield _of_folder(FOLDER, str(folder), folder.name or str(folder), str(folder), folder, "on this machine")


def _cached() -> Iterator[ModelRow]:
    """The models in the hub's cache. The branches of a training run are one row: that of main, or else of the last."""
    for _, found in groupby(cached_models(), lambda one: one.name.repository):
        commits = list(found)
        whole = [one for one in commits if not one.missing]
        training = training_of(whole[0].folder) if whole else None
        if training is None:
            yield from (_of_commit(one, None) for one in commits)
            continue
        last = training.snapshots[-1].folder
        shown = min(whole, key=lambda one: (one.name.revision != "main", one.folder != last))
        snapshots = {snapshot.folder for snapshot in training.snapshots}
        for one in commits:
            if one is shown or one.folder not in snapshots:
                yield _of_commit(one, training if one is shown else None)


def _of_commit(found: Cached, training: Training | None) -> ModelRow:
    entry = hub_entry(found.name.repository) if found.name.revision == "main" else None
    return ModelRow(
        CACHED,
        str(found.name),
        entry.title if entry else str(found.name),
        entry.about if entry else "in the cache of the Hugging Face Hub",
        found.folder,
        _config(found.folder)[0],
        _disk(found.folder, training) + (partial_bytes(found.name.repository) if found.missing else 0),
        _begun(found.name.repository) if found.missing else _with_range("on this machine", training),
        not found.missing,
        bool(found.missing),
        training,
    )


def _begun(repository: str) -> str:
    entry, here = hub_entry(repository), partial_bytes(repository)
    if not here:
        return "incomplete"
    return f"incomplete, {in_bytes(here)}" + (f" of {in_bytes(entry.download)}" if entry else "")


def _catalogue() -> Iterator[ModelRow]:
    for entry in hub_entries():
        begun = partial_bytes(entry.repository) > 0
        yield ModelRow(
            HUB,
            entry.repository,
            entry.title,
            entry.about,
            None,
            entry.config,
            entry.download,
            _begun(entry.repository) if begun else "not fetched",
            ready=False,
            begun=begun,
        )


def _of_folder(kind: str, reference: str, title: str, about: str, folder: Path, state: str) -> ModelRow:
    training = training_of(folder)
    if training is not None and not is_model(folder):
        folder = training.snapshots[-1].folder  # a folder of checkpoints, which is not a model itself
    try:
        config, trouble = _config(folder)
        if config is not None and (missing := missing_files(folder)):
            trouble = f"{missing[0]} is missing"
    except OSError as reason:
        # For example, permission is missing or a network share is gone; the other rows are not affected.
        config, trouble = None, f"cannot be read: {reason.strerror or reason}"
    state = trouble or _with_range(state, training)
    return ModelRow(
        kind, reference, title, about, folder, config, _disk(folder, training), state, not trouble, training=training
    )


def _disk(folder: Path, training: Training | None) -> int:
    """The bytes of a model's files, including those of its snapshots."""
    snapshots = () if training is None else training.snapshots
    return sum(bytes_on_disk(place) for place in {folder, *(snapshot.folder for snapshot in snapshots)})


def _with_range(state: str, training: Training | None) -> str:
    return state if training is None else f"{state}; {training.range}"


def _config(folder: Path) -> tuple[Config | None, str]:
    """The config in a folder, and what is wrong with it, in a few words; one of them is None or ""."""
    if not folder.is_dir():
        return None, "the folder is gone"
    if not (folder / "config.json").is_file():
        return None, "config.json is missing"
    try:
        return load_config(folder / "config.json"), ""
    except LogitscopeError as reason:
        log.info("%s", reason)
        return None, "config.json cannot be used"
