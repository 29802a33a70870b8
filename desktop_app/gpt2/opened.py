"""The weights of an opened checkpoint; each access first checks their files."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.safetensors_file import SafetensorsFile


class OpenedWeights(Mapping[str, NDArray[np.float32]]):
    """Read-only arrays by name, mapped from `files`.

    Access raises ModelError if a file was written to in the meantime. Otherwise other numbers would be read under the
    same name or, if the file is shorter now, the process would be killed (SIGBUS). The check takes one or two
    microseconds. It comes before each pass, not during it: a file that is cut while a pass or a packing reads it still
    kills the process.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]], files: Iterable[SafetensorsFile]) -> None:
        self._arrays = dict(arrays)
        self._files = tuple(files)

    def require_unchanged(self) -> None:
        """Raise ModelError if a file was written to since it was opened."""
        for file in self._files:
            file.require_unchanged()

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        array = self._arrays[name]
        self.require_unchanged()
        return array

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)
