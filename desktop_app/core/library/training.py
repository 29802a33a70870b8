"""The snapshots of one training run: where they are, their order, and what was measured during training.

Three places are searched: `snapshots/STEP/` in a model's folder (as of the bundled sorter), sibling folders named by
their step (checkpoint-400, step_000400, 400), and branches of a hub repository named in the same way, as far as they
are in the cache. `snapshots/curves.csv`, or `curves.csv` next to the folders, contains measurements made during
training: a row for each step, with the step in the first column.
"""

import csv
import io
import logging
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.library.cache import branches, missing_files, repository_of
from desktop_app.core.library.catalogue import after_steps, title_of
from desktop_app.core.library.curve_columns import Column, read_column
from desktop_app.gpt2.checkpoint import name_of
from desktop_app.gpt2.display import is_visible
from desktop_app.gpt2.errors import LogitscopeError, ModelError

log = logging.getLogger(__name__)

Array = NDArray[Any]

CURVES = "curves.csv"
_STEP = re.compile(r"(?:[A-Za-z_]{0,40}(?:checkpoint|ckpt|step|iter|snapshot)s?[-_]?)?([0-9]{1,9})", re.IGNORECASE)
_LARGEST = 4 << 20  # bytes of a file of curves
_MOST = 20_000  # maximum number of its rows
_BEYOND = 1e30  # numbers beyond this are not drawn: no measurement is so large
_NAME = 80  # characters of a column's name
_COMPARED = 16 << 20  # bytes of weights that are compared


@dataclass(frozen=True)
class Snapshot:
    """The model after `step` training steps, in `folder`."""

    step: int
    folder: Path


@dataclass(frozen=True, eq=False)
class Curves:
    """Measurements made during training: arrays `values` [point] by name, at `steps` [point], in order."""

    steps: Array = field(default_factory=lambda: np.zeros(0, int))
    values: dict[str, Array] = field(default_factory=dict)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """What the name of each of `values` says, in the same order."""
        return tuple(map(read_column, self.values))


@dataclass(frozen=True)
class Training:
    """The snapshots of one model, by step, at least two; `home` is the folder that contains them."""

    home: Path
    snapshots: tuple[Snapshot, ...]

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps, in order."""
        return tuple(snapshot.step for snapshot in self.snapshots)

    def at(self, folder: Path) -> int | None:
        """The index of the snapshot in `folder`; that of the last one if `folder` has its weights, as a finished model.

        None for any other model, such as one that was trained further or averaged.
        """
        last = len(self.snapshots) - 1
        found = next((n for n, s in enumerate(self.snapshots) if s.folder == folder), None)
        return last if found is None and _same_weights(folder, self.snapshots[last].folder) else found

    def nearest(self, step: float) -> int:
        """The index of the snapshot whose step is nearest."""
        steps = self.steps
        above = min(bisect_left(steps, step), len(steps) - 1)
        return above if above == 0 or steps[above] - step < step - steps[above - 1] else above - 1

    def named(self, step: int) -> Path:
        """The folder of the snapshot after `step` steps. Raises ModelError, with the steps available."""
        for snapshot in self.snapshots:
            if snapshot.step == step:
                return snapshot.folder
        known = ", ".join(map(str, self.steps[:30])) + (" …" if len(self.steps) > 30 else "")
        raise ModelError(f"There is no snapshot after {step} steps in {self.home}; there are {known}.")

    @property
    def name(self) -> str:
        """The display name of what was trained."""
        return title_of(self.home) or repository_of(self.home) or name_of(self.home)

    @property
    def range(self) -> str:
        """The number of snapshots, and their first and last step."""
        return f"{len(self.snapshots)} snapshots, steps {self.steps[0]:,} to {self.steps[-1]:,}"


def _same_weights(one: Path, other: Path) -> bool:
    """Whether two folders have equal tensors in `model.safetensors`; over 16 MB only if both are the same file."""
    first, second = (folder / "model.safetensors" for folder in (one, other))
    try:
        if first.samefile(second):
            return True
        if max(first.stat().st_size, second.stat().st_size) > _COMPARED:
            return False
        return _tensors_in(first.read_bytes()) == _tensors_in(second.read_bytes())
    except OSError:  # there is no such file: no weights, or shards
        return False


def _tensors_in(data: bytes) -> bytes:
    """A safetensors file without its header, whose notes may differ; the first 8 bytes give the header's length."""
    return data[8 + int.from_bytes(data[:8], "little") :]


def step_in(name: str) -> int | None:
    """The step in the name of a folder or a branch; None if there is none."""
    match = _STEP.fullmatch(name)
    return int(match[1]) if match else None


def is_model(folder: Path) -> bool:
    """Whether a folder has a config, as a model's folder does."""
    try:
        return (folder / "config.json").is_file()
    except (OSError, ValueError):  # no file can have such a name
        return False


def snapshot_name(folder: Path) -> str | None:
    """The display name of a snapshot whose folder's name does not tell its model; None for other folders.

    Such folders are `snapshots/400` in a model's folder, and a branch's commit in the hub's cache.
    """
    if folder.parent.name != "snapshots":
        return None
    of = folder.parent.parent
    if repository_of(of) is not None:
        steps = [step_in(branch) for branch, place in branches(of).items() if place == folder]
        step = next((step for step in steps if step is not None), None)
        return None if step is None else f"{name_of(folder)} {after_steps(step)}"
    step = step_in(folder.name)
    return None if step is None else f"{name_of(of)} {after_steps(step)}"


def training_of(folder: Path) -> Training | None:
    """The training run of which the model in `folder` is a snapshot or the result; None if there is no such run."""
    for home, found in _places(folder):
        snapshots = sorted(found, key=lambda snapshot: snapshot.step)
        if len({s.step for s in snapshots}) == len(snapshots) > 1:
            return Training(home, tuple(snapshots))
    return None


def _places(folder: Path) -> Iterator[tuple[Path, list[Snapshot]]]:
    """The places where snapshots of a model's folder may be, with those found there."""
    yield folder, _named_in(folder / "snapshots")
    if folder.parent.name == "snapshots" and repository_of(folder.parent.parent) is not None:
        yield folder.parent.parent, _of_branches(folder)
    elif folder.parent.name == "snapshots" and step_in(folder.name) is not None:
        yield folder.parent.parent, _named_in(folder.parent)
    elif step_in(folder.name) is not None:
        yield folder.parent, _named_in(folder.parent)
    elif not is_model(folder):
        yield folder, _named_in(folder)


def _named_in(parent: Path) -> list[Snapshot]:
    """The models in a folder that are named by their step; links are skipped."""
    try:
        folders = [path for path in parent.iterdir() if not path.is_symlink() and is_model(path)]
    except (OSError, ValueError):  # there is no such folder, or it cannot be read
        return []
    named = ((step_in(path.name), path) for path in folders)
    return [Snapshot(step, path) for step, path in named if step is not None]


def _of_branches(folder: Path) -> list[Snapshot]:
    """The complete branches of a repository in the cache that are named by their step."""
    found: dict[int, Path] = {}
    for branch, place in branches(folder.parent.parent).items():
        step = step_in(branch)
        if step is not None and not missing_files(place):
            found[step] = place
    return [Snapshot(step, place) for step, place in found.items()]


def curves_of(training: Training) -> Curves:
    """The measurements made during training; empty if there is no file of curves, or if it cannot be used."""
    places = (training.home / "snapshots" / CURVES, training.home / CURVES)
    path = next((path for path in places if path.is_file() and not path.is_symlink()), None)
    if path is None:
        return Curves()
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        return read_curves(data, path)
    except (OSError, LogitscopeError) as reason:
        log.warning("The curves of a training run are left out: %s", reason)
        return Curves()


def read_curves(data: bytes, path: Path) -> Curves:
    """Parse a file of curves. Raises ModelError, which names the line that cannot be used."""
    if len(data) > _LARGEST:
        raise ModelError(f"{path} is larger than {_LARGEST >> 20} MB, the limit for a file of curves.")
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"))))
    except (UnicodeDecodeError, csv.Error) as reason:
        raise ModelError(f"{path} is not a table in UTF-8: {reason}.") from None
    rows = [row for row in rows if row]
    if not rows or not rows[0][1:] or rows[0][0] != "step" or len(rows) > _MOST:
        raise ModelError(f"{path} must begin with a line of names, the first of them step, and have few rows.")
    names = rows[0][1:]
    if len(set(names)) < len(names) or not all(names):
        raise ModelError(f"{path} has two columns of the same name, or one without a name.")
    for n, name in enumerate(names, 2):
        if len(name) > _NAME or not all(char == " " or is_visible(char) for char in name):
            raise ModelError(
                f"Column {n} of {path} has a name of {len(name):,} characters, or with invisible ones; "
                f"give it one of {_NAME} visible characters at most."
            )
    steps: list[int] = []
    values: list[list[float]] = []
    for n, row in enumerate(rows[1:], 2):
        try:
            step, numbers = int(row[0]), [float(cell) for cell in row[1:]]
        except ValueError:
            raise ModelError(f"Line {n} of {path} contains something that is not a number.") from None
        if len(numbers) != len(names) or step < 0 or step >= 10**9 or (steps and step <= steps[-1]):
            raise ModelError(
                f"Line {n} of {path} has {len(row)} columns instead of {len(names) + 1}, or a step out of order."
            )
        steps.append(step)
        values.append(numbers)
    table = np.array(values, float).reshape(-1, len(names))
    table[~(np.abs(table) < _BEYOND)] = np.nan
    return Curves(np.array(steps, int), {name: table[:, n] for n, name in enumerate(names)})
