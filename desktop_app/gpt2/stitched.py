"""Arrays of a pass that reuses the first positions of an earlier one; their pieces are joined only when read."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_MOST = 16  # the maximum number of pieces of one array; reading more would cost more than joining them now


class Stitched(Mapping[str, Array]):
    """Name -> array, each stored in pieces along an axis. Safe to read from several threads; arrays are read-only.

    A trace of 128 tokens of GPT-2 small has 50 MB, of which a view shows a few hundred kilobytes: joining all of it at
    every keystroke would take longer than the pass over the last token.
    """

    def __init__(self, pieces: Mapping[str, tuple[int, tuple[Array, ...]]]) -> None:
        self._pieces = dict(pieces)
        for name, (_, parts) in self._pieces.items():
            for part in parts:
                part.flags.writeable = False
            if len(parts) > _MOST:
                self._join(name)

    def _join(self, name: str) -> Array:
        axis, parts = self._pieces[name]
        if len(parts) == 1:
            return parts[0]
        joined = np.concatenate(parts, axis)
        joined.flags.writeable = False
        self._pieces[name] = (axis, (joined,))
        return joined

    def __getitem__(self, name: str) -> Array:
        return self._join(name)

    def __contains__(self, name: object) -> bool:
        return name in self._pieces

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def first(self, name: str, count: int) -> tuple[Array, ...]:
        """The first `count` rows along the array's axis, in the pieces in which they are stored."""
        axis, parts = self._pieces[name]
        found: list[Array] = []
        for part in parts:
            if count > 0:
                found.append(part[(slice(None),) * axis + (slice(0, count),)])
                count -= part.shape[axis]
        return tuple(found)
