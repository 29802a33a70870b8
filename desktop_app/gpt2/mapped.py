"""Arrays that are mapped from files: letting go of the memory that their pages take while they are not being read."""

import mmap
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.system import let_go

_PAUSE = 0.03  # seconds in which a gigabyte a second reads thirty megabytes


def release(arrays: Iterable[NDArray[Any]]) -> None:
    """Let the system take back the pages of mapped arrays; they are read from the file again when they are needed."""
    for mapping in {id(m): m for m in map(_mapping, arrays) if m is not None}.values():
        let_go(mapping)


@contextmanager
def released(arrays: Iterable[NDArray[Any]]) -> Iterator[None]:
    """Within, what is read of mapped arrays is let go of again soon, so that a copy does not stand beside it whole."""
    arrays, over = list(arrays), threading.Event()
    if not arrays:
        yield
        return

    def let_go() -> None:
        while not over.wait(_PAUSE):
            release(arrays)

    thread = threading.Thread(target=let_go, name="release")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        release(arrays)


def _mapping(array: NDArray[Any]) -> mmap.mmap | None:
    """The file mapping that an array looks into, if it is one that cannot be written to."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) and not array.flags.writeable else None
