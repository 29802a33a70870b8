"""A cache of opened models that are likely to be needed next, such as snapshots of one training run."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

from desktop_app.core.library.memory import needed
from desktop_app.core.model import Model
from desktop_app.gpt2.machine import available_memory

MOST = 8
"""The maximum number of models in the cache."""
_BYTES = 1 << 30  # limit on the memory of all cached models; a quarter of the free memory if that is less

Key = tuple[Path, bool]


class Shelf:
    """Models by folder and whether they are rounded to int8; the least recently used is dropped first.

    May be used from any thread.
    """

    def __init__(self, most: int = MOST, limit: int | None = None) -> None:
        self._kept: OrderedDict[Key, tuple[Model, object]] = OrderedDict()
        self._most, self._limit = most, limit
        self._lock = threading.Lock()

    def find(self, folder: Path, *, int8: bool) -> Model | None:
        """The model, if it is cached and its files have not changed since it was opened."""
        with self._lock:
            found = self._kept.get((folder, int8))
            if found is None:
                return None
            model, stamp = found
            if model.checkpoint.is_rewritten() or stamp != stamp_of(folder):
                del self._kept[folder, int8]
                return None
            self._kept.move_to_end((folder, int8))
            return model

    def put(self, model: Model) -> None:
        """Cache a model, and drop others until all fit; a model that is too large for the cache is not added."""
        with self._lock:
            self._kept[model.folder, model.config.int8] = (model, stamp_of(model.folder))
            self._kept.move_to_end((model.folder, model.config.int8))
            limit = self.limit()
            while self._kept and (len(self._kept) > self._most or self._bytes() > limit):
                self._kept.popitem(last=False)

    def has_room(self, model: Model) -> bool:
        """Whether another model of the same size could be cached without dropping this one."""
        return 2 * needed(model.config, 1).weights <= self.limit()

    def limit(self) -> int:
        """Bytes that all models may take together."""
        if self._limit is not None:
            return self._limit
        free = available_memory()
        return _BYTES if free is None else min(_BYTES, free // 4)

    def keep_only(self, folders: set[Path]) -> None:
        """Drop all models except those in these folders."""
        with self._lock:
            for key in [key for key in self._kept if key[0] not in folders]:
                del self._kept[key]

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders of the cached models, the least recently used first."""
        with self._lock:
            return tuple(folder for folder, _ in self._kept)

    def _bytes(self) -> int:
        return sum(needed(model.config, 1).weights for model, _ in self._kept.values())


def stamp_of(folder: Path) -> Hashable:
    """A value that changes if a file in the folder is written, replaced, added or removed."""
    try:
        found = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    except OSError:  # the folder is gone, or is being deleted: unequal to any earlier stamp
        return object()
    return tuple((name, facts.st_ino, facts.st_size, facts.st_mtime_ns) for name, facts in found)
