"""Numpy archives (.npz): written for readers that have only numpy, and read as outside data."""

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from desktop_app.gpt2.files import whole_file

LIMIT = 2 << 30  # bytes: the limit for all arrays of a file

# dtype kinds that a file may hold; numpy converts others, such as complex numbers and dates, only with a warning
_KINDS = "biufU"

ABOUT = "about"
"""The entry that holds the metadata, as JSON in a zero-dimensional string array."""


def write_npz(path: Path, names: Sequence[str], arrays: Iterable[NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write tensors one after the other, uncompressed and with a fixed date, so that equal tensors give equal bytes.

    Integers and booleans become int64, strings stay strings, everything else becomes float32. Nothing in the file is
    pickled: `numpy.load` reads it without options. The file appears under `path` only when it is complete. Raises
    ExportError.
    """
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, ABOUT, np.array(json.dumps(dict(metadata))))
        for name, array in zip(names, arrays, strict=True):
            _add(archive, name, stored(array))


def read_npz(path: Path, *, limit: int = LIMIT) -> dict[str, NDArray[Any]]:
    """The arrays of an archive by name. Nothing is unpickled, and no more than `limit` bytes are unpacked.

    Raises OSError as opening does, and ValueError if the file is not such an archive, or is damaged or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > limit:
                raise ValueError(f"more than {limit >> 30} GB unpacked")
            found = {}
            for item in archive.infolist():
                with archive.open(item) as member:
                    found[item.filename.removesuffix(".npy")] = array = npy.read_array(member, allow_pickle=False)
                if array.dtype.kind not in _KINDS:
                    raise ValueError(f"an array of {array.dtype}, where numbers or text are expected")
            return found
    except (OSError, ValueError):
        raise
    except Exception as reason:  # whatever the readers of zip, deflate and npy raise for invalid bytes
        raise ValueError(f"{type(reason).__name__}: {reason}") from reason


def stored(array: NDArray[Any]) -> NDArray[Any]:
    """An array in a dtype that files store: int64, float32 or text."""
    kinds = {"i": np.int64, "u": np.int64, "b": np.int64, "U": None}
    return np.asarray(array, kinds.get(array.dtype.kind, np.float32), order="C")


def _add(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    # ZipInfo's default date is 1980, the earliest that the format can hold.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        npy.write_array(member, array, version=(1, 0), allow_pickle=False)
