"""Memory-mapped arrays: releasing their pages while they are not being read."""

import mmap
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.system import release_pages

_PAUSE = 0.03  # seconds; thirty megabytes are read in that time, at a gigabyte per second


def release(arrays: Iterable[NDArray[Any]]) -> None:
    """Let the system drop the pages of mapped arrays; they are read from the file again when needed."""
    for mapping in {id(m): m for m in map(_mapping, arrays) if m is not None}.values():
        release_pages(mapping)


@contextmanager
def released(arrays: Iterable[NDArray[Any]]) -> Iterator[None]:
    """In this context mapped pages are released soon after being read, so that copying does not double the memory."""
    arrays, over = list(arrays), threading.Event()
    if not arrays:
        yield
        return

    def release_loop() -> None:
        while not over.wait(_PAUSE):
            release(arrays)

    thread = threading.Thread(target=release_loop, name="release")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        release(arrays)


def _mapping(array: NDArray[Any]) -> mmap.mmap | None:
    """The file mapping of which an array is a view, if the mapping is read-only; else None."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) and not array.flags.writeable else None
