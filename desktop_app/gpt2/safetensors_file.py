"""One safetensors file: a header checked byte by byte, memory-mapped tensors, and a writer that streams.

The format (https://huggingface.co/docs/safetensors, "Format"): 8 bytes of little-endian header length, a JSON header of
name -> {dtype, shape, data_offsets}, then the tensors without gaps. Files are not read by the safetensors library, for
three reasons: arrays are views of the mapped file, and bfloat16, for which numpy has no type, is converted; any fault
in a file is reported in one sentence that names the file; and a false offset must not lead outside the data.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.errors import ExportError, LogitscopeError, ModelError
from desktop_app.gpt2.files import regular, whole_file
from desktop_app.gpt2.jsonfile import parse_json

_HEADER_LIMIT = 8 << 20
"""Bytes. The header of GPT-2 XL has 60,000; the library accepts 100 million, whose JSON takes gigabytes and seconds."""
_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
_NUMPY = {
    "BOOL": np.dtype(np.bool_), "U8": np.dtype(np.uint8), "I8": np.dtype(np.int8),
    "U16": np.dtype("<u2"), "I16": np.dtype("<i2"), "U32": np.dtype("<u4"), "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"), "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8"),
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: dtype as in the header, shape, and the place of its bytes in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def _stamp(path: Path) -> tuple[int, int, int, int]:
    """A value that changes if a file is replaced (device, inode) or written to (size, time)."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class SafetensorsFile:
    """A checked, memory-mapped safetensors file.

    Raises `error` (ModelError by default), which names the file, if the header is incomplete, too large or not JSON, or
    if tensors overlap, leave gaps, reach past the end or are not as long as shape and dtype say.
    """

    def __init__(self, path: Path, error: type[LogitscopeError] = ModelError) -> None:
        self.path = path
        self.metadata: dict[str, str] = {}
        self.entries: dict[str, Entry] = {}
        try:
            size = regular(path, error).st_size
            with path.open("rb") as file:
                head = file.read(8)
                length = int.from_bytes(head, "little")
                if len(head) < 8 or length > size - 8:
                    raise error(
                        f"{path} is cut off or is not a safetensors file ({size:,} bytes long); fetch it again."
                    )
                if length > _HEADER_LIMIT:
                    raise error(
                        f"{path} has a header of {length:,} bytes, more than the {_HEADER_LIMIT:,} allowed; it is "
                        "not opened."
                    )
                raw = file.read(length)
            self._data: NDArray[np.uint8] = np.memmap(path, np.uint8, "r").view(np.ndarray)
            self._seen = _stamp(path)
        except OSError as reason:
            raise error(f"{path} cannot be read: {reason.strerror or reason}.") from reason
        header = parse_json(raw, what=f"The header of {path}", error=error)
        self._read_header(header, 8 + length, size, error)

    def _read_header(self, header: dict[str, Any], base: int, size: int, error: type[LogitscopeError]) -> None:
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise error(f"{self.path}: __metadata__ must map names to texts; the file is damaged.")
        if any("\ud800" <= char <= "\udfff" for text in (*header, *metadata, *metadata.values()) for char in text):
            raise error(f"{self.path}: a name in its header is not Unicode text; the file is damaged, fetch it again.")
        self.metadata = metadata
        for name, row in header.items():
            self.entries[name] = self._entry(name, row, base, size, error)
        expected = base
        for name, entry in sorted(self.entries.items(), key=lambda item: (item[1].start, item[1].stop)):
            if entry.start != expected:
                fault = "overlaps the one before it" if entry.start < expected else "leaves a gap before it"
                raise error(f"{self.path}: tensor {name[:80]!r} {fault}; the file is damaged, fetch it again.")
            expected = entry.stop
        if expected != size:
            raise error(f"{self.path}: its tensors end at byte {expected:,} but the file has {size:,}; fetch it again.")

    def _entry(self, name: str, row: Any, base: int, size: int, error: type[LogitscopeError]) -> Entry:
        def whole(values: Any) -> bool:
            return isinstance(values, list) and all(
                isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 1 << 48 for v in values
            )

        where = f"{self.path}: tensor {name[:80]!r}"
        if not isinstance(row, dict) or row.keys() != {"dtype", "shape", "data_offsets"}:
            raise error(f"{where} must have dtype, shape and data_offsets, and nothing else; the file is damaged.")
        dtype, shape, offsets = row["dtype"], row["shape"], row["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
            raise error(f"{where} has the unknown dtype {str(dtype)[:40]!r}.")
        if not whole(shape) or len(shape) > 8 or not whole(offsets) or len(offsets) != 2:
            raise error(f"{where} has an impossible shape or offsets; the file is damaged.")
        # The library multiplies in 64 bits and rejects an overflow, even if a later zero would make the product 0.
        if prod(length or 1 for length in shape) >= 1 << 48:
            raise error(f"{where} has the impossible shape {str(shape)[:80]}; the file is damaged.")
        start, stop = base + offsets[0], base + offsets[1]
        if stop < start or stop > size:
            raise error(
                f"{where} should end at byte {stop:,} but the file has {size:,}: it is cut off, fetch it again."
            )
        if stop - start != prod(shape) * _ITEM_BYTES[dtype]:
            raise error(
                f"{where} has {stop - start:,} bytes, but its shape {shape} of {dtype} needs "
                f"{prod(shape) * _ITEM_BYTES[dtype]:,}; the file is damaged."
            )
        return Entry(dtype, tuple(shape), start, stop)

    def require_unchanged(self) -> None:
        """Raise ModelError if the file was written to since it was opened, since mapped numbers may have changed.

        Replacing the file by a rename, or deleting it, does no harm: the old contents stay mapped.
        """
        try:
            now = _stamp(self.path)
        except OSError:  # deleted: its contents stay mapped
            return
        if now != self._seen and now[:2] == self._seen[:2]:
            raise ModelError(
                f"{self.path} was written to while it was open, so its numbers have changed; open it again."
            )

    def is_as_sealed(self) -> bool:
        """Whether the digest in the metadata matches the file, all of which is read; False if there is no digest."""
        length = int.from_bytes(self._data[:8].tobytes(), "little")
        head = self._data[: 8 + length].tobytes()
        seal = self.metadata.get(SEAL, "")
        digest = hashlib.sha256(head.replace(_written(seal), _written(_UNSEALED)))
        digest.update(self._data[8 + length :].data)
        return digest.hexdigest() == seal

    def read(self, name: str) -> NDArray[Any]:
        """The tensor as stored, a read-only view of the mapped file; for BF16, a copy in float32."""
        entry = self.entries[name]
        raw = self._data[entry.start : entry.stop]
        if entry.dtype == "BF16":
            # bfloat16 is the upper half of a float32.
            wide = raw.view("<u2").astype(np.uint32) << 16
            return wide.view(np.float32).reshape(entry.shape)
        if entry.dtype not in _NUMPY:
            raise ModelError(f"{self.path}: tensor {name!r} is stored as {entry.dtype}, which cannot be read.")
        return raw.view(_NUMPY[entry.dtype]).reshape(entry.shape)


SEAL = "sha256"
"""The metadata entry that holds the digest of the whole file, computed with zeros in place of the digest."""

_UNSEALED = "0" * 64


def _written(seal: str) -> bytes:
    """A seal as written in the header. No other text can match it, because quotation marks in texts are escaped."""
    return f'"{SEAL}":"{seal}"'.encode()


_CODES = {np.dtype(np.int64): "I64", np.dtype(np.float32): "F32"}


def write_safetensors(
    path: Path,
    shapes: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]],
    arrays: Iterable[NDArray[Any]],
    metadata: Mapping[str, str],
    progress: Callable[[int], None] = lambda _written: None,
    *,
    sealed: bool = False,
) -> None:
    """Write tensors one after the other, so that only one need be in memory at a time.

    `shapes` gives name -> (dtype, shape) in order (int64 and float32 are supported), and `arrays` yields the tensors in
    the same order. The file appears under `path` only when it is complete. Raises ExportError.

    If `sealed`, the metadata contain a digest of the whole file, which `is_as_sealed` verifies.
    """
    header: dict[str, Any] = {"__metadata__": {**metadata, SEAL: _UNSEALED} if sealed else dict(metadata)}
    offset = 0
    for name, (dtype, shape) in shapes.items():
        length = prod(shape) * dtype.itemsize
        header[name] = {
            "dtype": _CODES[dtype],
            "shape": list(shape),
            "data_offsets": [offset, offset + length],
        }
        offset += length
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)  # tensors are aligned to 8 bytes, so that they can be mapped

    head = len(raw).to_bytes(8, "little") + raw
    digest = hashlib.sha256(head)
    with whole_file(path) as file:
        file.write(head)
        for (name, (dtype, shape)), array in zip(shapes.items(), arrays, strict=True):
            if array.shape != shape:
                raise ExportError(f"{name} has shape {array.shape} but {shape} was declared.")
            data = np.ascontiguousarray(array, dtype).data
            file.write(data)
            if sealed:
                digest.update(data)
            progress(file.tell())
        if sealed:
            file.seek(head.index(_written(_UNSEALED)))
            file.write(_written(digest.hexdigest()))
