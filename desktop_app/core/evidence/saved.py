"""Evidence files, which the program displays: numpy arrays in a zip (.npz), read without any other package.

A file has all statistics of a scan's findings, the passages of neurons after the activation, those of heads, and the
windows that contain the passages. It identifies its model by the digest of the weights. It is untrusted data: every
array is validated before use, and nothing in it is unpickled.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.evidence.findings import DECILES, FROM_EACH, Findings, Passages
from desktop_app.core.evidence.heads import DISTANCES, SCORES
from desktop_app.core.evidence.neurons import BINS, SIDES
from desktop_app.core.evidence.tally import TOP
from desktop_app.core.evidence.windows import Windows
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.files import regular, whole_file
from desktop_app.gpt2.npz_file import read_npz

Array = NDArray[Any]

FORMAT = 1
NAME = "evidence.npz"
_STATISTICS = ("mean", "variance", "positive", "first_mean", "first_variance")


class EvidenceError(LogitscopeError):
    """An evidence file cannot be read."""


@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """The contents of an evidence file. `about` holds texts and numbers of the scan; arrays are as in `Findings`.

    A passage gives its window as an index into four arrays with an entry for each stored window: `window_start` and
    `window_length` say where the window's ids are in `ids`, `window_number` is its number in the scan, `window_file`
    the index of its file's name in `files`.
    """

    about: Mapping[str, Any]
    arrays: Mapping[str, Array]

    def __repr__(self) -> str:
        return f"<Evidence of {self.model}: {self.windows:,} windows>"

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.about["model"])

    @property
    def digest(self) -> str:
        """The digest of the model's weights."""
        return str(self.about["digest"])

    @property
    def windows(self) -> int:
        """The number of windows scanned."""
        return int(self.about["windows"])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, neurons per layer, heads per layer."""
        layers, neurons = self.arrays["post.mean"].shape
        return layers, neurons, self.arrays["norm"].shape[1]

    def passages(self, kind: str) -> Passages:
        """The passages of "top", "decile" (of neurons after the activation) or "head"."""
        return Passages(*(self.arrays[f"{kind}.{name}"] for name in ("value", "window", "position")))

    def ids(self, window: int) -> tuple[int, ...]:
        """The ids of a window, given by its index in this file."""
        start = int(self.arrays["window_start"][window])
        return tuple(self.arrays["ids"][start : start + int(self.arrays["window_length"][window])].tolist())

    def file(self, window: int) -> str:
        """The name of the file that contains a window's text."""
        return str(self.about["files"][int(self.arrays["window_file"][window])])


def _stored(found: Findings, windows: Windows) -> dict[str, Array]:
    named = {"top": found.top["post"], "decile": found.deciles["post"], "head": found.head_top}
    used = np.unique(
        np.concatenate([p.window.reshape(-1) for p in named.values()] + [found.pairs["window"].reshape(-1)])
    )
    used = used[used >= 0]
    rows = windows.index[used]
    lengths = rows["length"].astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(rows["start"] - starts[:-1], lengths) + np.arange(starts[-1])
    arrays: dict[str, Array] = {
        "ids": np.asarray(windows.ids[places]),
        "window_start": starts[:-1].astype(np.int64),
        "window_length": lengths.astype(np.int32),
        "window_number": used.astype(np.int64),
        "window_file": rows["file"].astype(np.int32),
    }
    for kind, of in named.items():
        row = np.where(of.window < 0, -1, np.searchsorted(used, of.window))
        arrays |= {f"{kind}.value": of.value, f"{kind}.window": row.astype(np.int32)}
        arrays[f"{kind}.position"] = of.position.astype(np.int16)
    for side in SIDES:
        of_side = found.neurons[side]
        arrays |= {f"{side}.{name}": getattr(of_side, name).astype(np.float32) for name in _STATISTICS}
        most = of_side.histogram.max(initial=0)
        arrays[f"{side}.histogram"] = of_side.histogram.astype(np.uint32 if most < 1 << 32 else np.int64)
    heads = found.heads
    arrays |= {name: getattr(heads, name).astype(np.float32) for name in ("norm", "norm_spread", "first_norm")}
    arrays |= {"scores": heads.scores.astype(np.float32), "spread": heads.spread.astype(np.float32)}
    arrays["distances"] = heads.distances.astype(np.float32)
    pairs = dict(found.pairs) | {"window": np.searchsorted(used, found.pairs["window"])}
    arrays |= {f"pairs.{name}": array if name == "weight" else array.astype(np.int32) for name, array in pairs.items()}
    arrays |= {"loss": found.loss.astype(np.float32), "loss_count": found.loss_count}
    if found.lens is not None:
        arrays |= dict(zip(("lens_accuracy", "lens_loss", "lens_count"), found.lens, strict=True))
    return arrays


def write_evidence(path: Path, found: Findings, windows: Windows, about: Mapping[str, Any]) -> None:
    """Write the file, the same bytes for the same findings. Raises ExportError."""
    said = {"format": FORMAT, "windows": found.windows, **about}
    arrays = {"about": np.frombuffer(json.dumps(said, sort_keys=True).encode(), np.uint8), **_stored(found, windows)}
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data.getvalue(), zipfile.ZIP_DEFLATED, 9)


def read_evidence(path: Path) -> Evidence:
    """Read an evidence file. Raises EvidenceError if it is not one, is damaged, or is too large."""
    try:
        if path.is_dir():
            path = path / NAME
        regular(path, EvidenceError)
        arrays = read_npz(path)
        about = json.loads(arrays.pop("about").tobytes())
        _check(about, arrays)
    except OSError as reason:
        raise EvidenceError(f"{path} cannot be read: {reason.strerror or reason}.") from reason
    except EvidenceError:
        raise
    except Exception as reason:  # anything that zip, npy and JSON readers raise for invalid bytes
        raise EvidenceError(
            f"{path} is not a readable evidence file ({type(reason).__name__}: {str(reason)[:120]}); scan again."
        ) from reason
    return Evidence(about, arrays)


def _check(about: Any, arrays: Mapping[str, Array]) -> None:
    """Raise ValueError, KeyError or TypeError unless every array has the right shape and every index is in range."""
    if about["format"] != FORMAT:
        raise ValueError(f"format {about['format']}, where {FORMAT} is known")
    named = {"model": str, "digest": str, "windows": int, "length": int, "files": list}
    for name, expected in named.items():
        if type(about[name]) is not expected:
            raise ValueError(f"{name} is no {expected.__name__}")
    if not all(isinstance(name, str) for name in about["files"]):
        raise ValueError("file names are not text")
    layers, neurons = arrays["post.mean"].shape
    heads = arrays["norm"].shape[1]
    shapes: dict[str, tuple[int, ...]] = {}
    for side in SIDES:
        shapes |= {f"{side}.{name}": (layers, neurons) for name in _STATISTICS}
        shapes[f"{side}.histogram"] = (layers, neurons, BINS)
    for name in ("norm", "norm_spread", "first_norm"):
        shapes[name] = (layers, heads)
    shapes |= dict.fromkeys(("scores", "spread"), (len(SCORES), layers, heads))
    shapes["distances"] = (layers, heads, len(DISTANCES))
    most = {"top": TOP, "decile": DECILES * FROM_EACH, "head": TOP}
    for kind, limit in most.items():
        ranks = min(limit, arrays[f"{kind}.value"].shape[1])
        units = heads if kind == "head" else neurons
        shapes |= {f"{kind}.{name}": (layers, ranks, units) for name in ("value", "window", "position")}
    ranks = min(TOP, arrays["pairs.weight"].shape[2])
    pairs = ("weight", "query", "key", "query_id", "key_id", "window")
    shapes |= {f"pairs.{name}": (layers, heads, ranks) for name in pairs}
    indices = ("window", "position", "query", "key", "query_id", "key_id")
    for name, shape in shapes.items():
        kinds = "iu" if name.rpartition(".")[2] in indices else "iuf"
        if arrays[name].shape != shape or arrays[name].dtype.kind not in kinds:
            raise ValueError(f"{name} is {arrays[name].dtype} {list(arrays[name].shape)}, not {list(shape)}")
    starts, lengths = arrays["window_start"].astype(np.int64), arrays["window_length"].astype(np.int64)
    count = len(starts)
    of_windows = [arrays[f"window_{name}"] for name in ("start", "length", "number", "file")]
    if any(array.shape != (count,) or array.dtype.kind not in "iu" for array in of_windows):
        raise ValueError("the arrays of windows differ in length")
    if arrays["ids"].ndim != 1 or arrays["ids"].dtype.kind not in "iu":
        raise ValueError("its tokens are not a list of ids")
    if count and (
        starts.min() < 0
        or lengths.min() < 1
        or (starts + lengths).max() > len(arrays["ids"])
        or not 0 <= arrays["window_file"].min() <= arrays["window_file"].max() < len(about["files"])
    ):
        raise ValueError("a window lies outside the ids")
    for kind in (*most, "pairs"):
        window = arrays[f"{kind}.window"].astype(np.int64)
        there = window >= 0
        if kind == "pairs":
            there &= arrays["pairs.weight"] >= 0
        if (window[there] >= count).any():
            raise ValueError(f"{kind} names a window that does not exist")
        for name in ("query", "key") if kind == "pairs" else ("position",):
            place = arrays[f"{kind}.{name}"].astype(np.int64)[there]
            if ((place < 0) | (place >= lengths[window[there]])).any():
                raise ValueError(f"{kind} names a position that does not exist")
