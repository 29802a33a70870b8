"""Writes results of analyses to files: a numpy archive or safetensors, depending on the extension."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from desktop_app.gpt2.npz_file import stored, write_npz
from desktop_app.gpt2.safetensors_file import write_safetensors


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, str]) -> None:
    """Write the arrays of a result, integers as int64 and the others as float32, with the metadata `about`.

    The file is safetensors if its name has that extension, else a numpy archive. Safetensors cannot hold
    strings: an array of them becomes a JSON list in the metadata, under the array's name. The file appears only once it
    is complete. Raises ExportError.
    """
    if path.suffix.lower() != ".safetensors":
        write_npz(path, list(arrays), arrays.values(), about)
        return
    texts = {name: json.dumps(array.tolist()) for name, array in arrays.items() if array.dtype.kind == "U"}
    numbers = {name: stored(array) for name, array in arrays.items() if name not in texts}
    shapes = {name: (array.dtype, array.shape) for name, array in numbers.items()}
    write_safetensors(path, shapes, numbers.values(), {**about, **texts})
