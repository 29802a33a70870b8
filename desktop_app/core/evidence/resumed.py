"""What an interrupted scan left in its folder: how its texts were cut, the windows, and the tally of all shards so far.

A disk that lost power may have lost any of it, and anybody can edit files, so each part is checked against the others
before it is used. What does not fit is computed again, from the texts.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.evidence.tally import Tally, group
from desktop_app.core.evidence.windows import LEAST, Windows, open_windows
from desktop_app.gpt2.npz_file import read_npz

Array = NDArray[Any]
log = logging.getLogger(__name__)

CUT: Mapping[str, type] = {
    **dict.fromkeys(("windows", "tokens", "texts", "left_out"), int),
    "faults": list,
    "windows_digest": str,
}
"""The entries of a manifest that describe how the texts were cut, and the type of each value."""

_FAULT = (str, int, str, bool)


def cut_of(manifest: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]] | None:
    """The names of the files, and a manifest's entries about their cutting (CUT); None if any is missing or invalid."""
    files: Any = manifest.get("files")
    cut: dict[str, Any] = {name: manifest.get(name) for name in CUT}
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        return None
    if any(type(cut[name]) is not kind for name, kind in CUT.items()):
        return None
    return (files, cut) if all(_is_fault(fault) for fault in cut["faults"]) else None


def _is_fault(fault: object) -> bool:
    return isinstance(fault, list) and tuple(type(part) for part in fault) == _FAULT


def windows_of(folder: Path, cut: Mapping[str, Any], files: int, vocab_size: int) -> Windows | None:
    """The windows in `folder`, if they match `cut` and the number of `files`; else None."""
    try:
        found = open_windows(folder, vocab_size)
    except (OSError, ValueError):  # they are missing or empty
        return None
    lengths, starts = found.index["length"].astype(np.int64), found.index["start"]
    if len(found) != cut["windows"] or not np.array_equal(starts, np.cumsum(lengths) - lengths):
        return None
    numbers = found.index["file"]
    if lengths.sum() != len(found.ids) or lengths.min() < LEAST or not 0 <= numbers.min() <= numbers.max() < files:
        return None
    digest = hashlib.sha256()
    for number in range(len(found)):
        digest.update(found.index[number : number + 1].tobytes() + found[number].tobytes())
    return found if digest.hexdigest() == cut["windows_digest"] else None


@dataclass(frozen=True, eq=False)
class Counted:
    """The tally of the first `done` shards, and the processors that computed it."""

    done: int
    processors: frozenset[str]
    tally: Tally


def counted(path: Path, blank: Tally, windows: Windows, per_shard: int) -> Counted | None:
    """The tally in a file; None if there is no file, or it cannot be the tally of the first shards of these windows.

    `blank` is the tally of no windows, `per_shard` the number of windows of a shard.
    """
    try:
        tally = read_npz(path)
        done = int(tally.pop("done"))
        named = json.loads(tally.pop("processors").tobytes())
    except FileNotFoundError:  # nothing has been counted yet
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        log.warning("The tally of an interrupted scan cannot be read; counting starts again.", exc_info=True)
        return None
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return None
    if not _alike(tally, blank) or not _places_exist(tally, windows):
        return None
    read = int(tally["sum.windows"][0] + tally["sum.not_finite"][0])
    if not 1 <= done <= -(-len(windows) // per_shard) or read != min(done * per_shard, len(windows)):
        return None
    return Counted(done, frozenset(named), tally)


def _alike(tally: Tally, blank: Tally) -> bool:
    """Whether a tally has the arrays, types and shapes of `blank`, except along axes where `blank` has length 0."""
    return tally.keys() == blank.keys() and all(
        tally[name].dtype == none.dtype
        and tally[name].ndim == none.ndim
        and all(size in (own, 0) for own, size in zip(tally[name].shape, none.shape, strict=True))
        for name, none in blank.items()
    )


def _places_exist(tally: Tally, windows: Windows) -> bool:
    """Whether every window and position in a tally exists, and every pair's token ids are those at its positions."""
    lengths = windows.index["length"]
    pairs = group(tally, "pairs")
    groups: list[tuple[Tally, tuple[str, ...]]] = [
        (group(tally, f"{name}_top"), ("position",)) for name in ("pre", "post", "head")
    ]
    groups.append((pairs, ("query", "key")))
    sample = group(tally, "sample")
    for side in ("pre", "post"):
        found = group(sample, side)
        window = np.broadcast_to(sample["window"].reshape(-1, 1, 1), (len(sample["window"]), *found["value"].shape[1:]))
        groups.append(({**found, "window": window}, ("position",)))
    return all(_inside(found, names, lengths) for found, names in groups) and all(
        _tokens_match(windows, pairs, name) for name in ("query", "key")
    )


def _tokens_match(windows: Windows, pairs: Mapping[str, Array], name: str) -> bool:
    """Whether the recorded id of each pair's `name` (query or key) is the token at its recorded position."""
    there = pairs["weight"] >= 0
    places = windows.index["start"][pairs["window"][there]] + pairs[name][there]
    return np.array_equal(windows.ids[places], pairs[f"{name}_id"][there])


def _inside(found: Mapping[str, Array], names: tuple[str, ...], lengths: Array) -> bool:
    if len({array.shape for array in found.values()}) != 1:
        return False
    window = found["window"]
    if not ((window >= 0) & (window < len(lengths))).all():
        return False
    return all(((found[name] >= 0) & (found[name] < lengths[window])).all() for name in names)
