"""A GPT-2 checkpoint folder: config and weights, found, named, checked, and mapped where that is possible."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.config import Config, load_config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.jsonfile import read_json
from desktop_app.gpt2.safetensors_file import SafetensorsFile
from desktop_app.gpt2.weights import WeightSpec, all_weights, expand

_INDEX = "model.safetensors.index.json"
_INDEX_LIMIT = 1 << 26
# Causal masks that old checkpoints carry along; they hold no parameters.
_BUFFER = re.compile(r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)")
_WEIGHT_TYPES = ("F32", "F16", "BF16", "F64")


@dataclass(frozen=True)
class StoredWeight:
    """How a checkpoint's file has a weight: its name there, dtype as the header says it, shape, where its bytes begin.

    `turned` says that it is stored transposed (Linear).
    """

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    turned: bool


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model's folder after every check. `weights` are read-only float32 arrays under the names of WEIGHTS.

    They are mapped from their files where those hold them as they are needed (float32, not transposed).
    `stored` says for each how it is stored; a tied unembedding is where the embedding is.
    """

    folder: Path
    config: Config
    weights: Mapping[str, NDArray[np.float32]]
    stored: Mapping[str, StoredWeight]

    @property
    def name(self) -> str:
        """The folder's name, or `owner/name` for a snapshot in the hub's cache (models--owner--name/snapshots/HASH)."""
        folder = self.folder.resolve() if self.folder.name in ("", "..") else self.folder.absolute()
        repository = folder.parent.parent.name
        if folder.parent.name == "snapshots" and repository.startswith("models--"):
            return repository.removeprefix("models--").replace("--", "/")
        return folder.name or str(folder)

    def layer_weights(self, layer: int) -> dict[str, NDArray[np.float32]]:
        """The weights of one block under their names without `blocks.L.`."""
        prefix = expand("blocks.{L}.", layer)
        return {n.removeprefix(prefix): w for n, w in self.weights.items() if n.startswith(prefix)}


def load_checkpoint(folder: Path, on_stage: Callable[[str], None] = lambda _stage: None) -> Checkpoint:
    """Open the checkpoint in `folder`. `on_stage` hears the name of each stage as it begins, and may raise to end it.

    Raises ModelError, in one sentence that names the file and what to do, for anything that is missing, extra,
    misshapen, not finite, or stored in a form that is never opened (pickles).
    """
    try:
        return _load(folder, on_stage)
    except OSError as reason:
        raise ModelError(f"{reason.filename or folder} cannot be read: {reason.strerror or reason}.") from reason


def _load(folder: Path, on_stage: Callable[[str], None]) -> Checkpoint:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ModelError(f"{folder} {what}; give the folder that holds config.json and model.safetensors.")
    on_stage("reading the config")
    config = load_config(folder / "config.json")
    on_stage("opening the weights")
    stored = _merge(_open_files(folder), folder)
    config = _settle_head(config, stored, folder)
    transposed = _is_linear(config, stored, folder)

    weights: dict[str, NDArray[np.float32]] = {}
    forms: dict[str, StoredWeight] = {}
    for name, stored_name, spec in all_weights(config):
        if name == "unembed.W_U" and config.tie_word_embeddings:
            weights[name], forms[name] = weights["embed.W_E"], forms["embed.W_E"]
            continue
        if name.endswith(".ln1.w"):  # a block begins
            on_stage(f"checking the weights, block {name.split('.')[1]} of {config.n_layer}")
        if stored_name not in stored:
            raise ModelError(f"{folder}: the weight {stored_name} is missing; the checkpoint is incomplete.")
        file, full_name = stored.pop(stored_name)
        turned = transposed and spec.matrix
        weights[name] = _weight(file, full_name, spec, config, turned)
        entry = file.entries[full_name]
        forms[name] = StoredWeight(file.path, full_name, entry.dtype, entry.shape, entry.start, turned)
    if stored:
        extra = sorted(full_name for _, full_name in stored.values())
        more = f" and {len(extra) - 3} more" if len(extra) > 3 else ""
        raise ModelError(
            f"{folder}: {', '.join(repr(n[:80]) for n in extra[:3])}{more} is no weight of this GPT-2; "
            "config.json and the weights do not belong together, or this is another architecture."
        )
    return Checkpoint(folder, config, MappingProxyType(weights), MappingProxyType(forms))


_Stored = dict[str, tuple[SafetensorsFile, str]]


def _open_files(folder: Path) -> Iterator[SafetensorsFile]:
    single, index = folder / "model.safetensors", folder / _INDEX
    if single.exists():
        yield SafetensorsFile(single)
        return
    if index.exists():
        yield from _open_shards(folder, index)
        return
    found = sorted(p for p in folder.glob("*.safetensors"))
    if len(found) == 1:
        yield SafetensorsFile(found[0])
        return
    if found:
        raise ModelError(
            f"{folder} has {len(found)} safetensors files but no {_INDEX} that says which holds what; "
            "add the index, or leave one file."
        )
    pickles = sorted(p.name for end in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in folder.glob(end))
    if pickles:
        raise ModelError(
            f"{folder} has only {pickles[0]!r}, a pickle, which can run code when it is opened and never is here; "
            "save the model as safetensors (save_pretrained does) or fetch model.safetensors."
        )
    raise ModelError(f"{folder} has no weights; put model.safetensors there.")


def _open_shards(folder: Path, index: Path) -> Iterator[SafetensorsFile]:
    mapping = read_json(index, limit=_INDEX_LIMIT, error=ModelError).get("weight_map")
    if not isinstance(mapping, dict) or not all(isinstance(v, str) for v in mapping.values()):
        raise ModelError(f"{index}: weight_map must map weight names to file names; fetch the file again.")
    for name in sorted(set(mapping.values())):
        if Path(name).name != name or not name.endswith(".safetensors") or "\\" in name or "\0" in name:
            raise ModelError(f"{index} points to {name[:80]!r}, which is not a safetensors file beside it.")
        if not (folder / name).exists():
            raise ModelError(f"{index} names {name!r}, which is not in the folder; fetch it.")
        file = SafetensorsFile(folder / name)
        expected = {tensor for tensor, shard in mapping.items() if shard == name}
        if difference := expected ^ file.entries.keys():
            raise ModelError(f"{index} and {name!r} disagree about {min(difference)[:80]!r}; fetch both again.")
        yield file


def _merge(files: Iterator[SafetensorsFile], folder: Path) -> _Stored:
    """Every tensor by its name without `transformer.`, mask buffers left out."""
    stored: _Stored = {}
    for file in files:
        for full_name in file.entries:
            if _BUFFER.fullmatch(full_name):
                continue
            name = full_name.removeprefix("transformer.")
            if name in stored:
                raise ModelError(f"{folder}: the weight {name[:80]!r} is there twice, with and without prefix.")
            stored[name] = (file, full_name)
    if not stored:
        raise ModelError(f"{folder} has no weights in its safetensors files; fetch model.safetensors again.")
    return stored


def _settle_head(config: Config, stored: _Stored, folder: Path) -> Config:
    """Tell a tied head from an untied one; a copy of the embedding stored as tied head is passed over."""
    if "lm_head.weight" not in stored:
        if not config.tie_word_embeddings:
            raise ModelError(
                f"{folder}: tie_word_embeddings is false but lm_head.weight is missing; "
                "add the weight or set it to true."
            )
        return config
    if not config.tie_word_embeddings:
        return config
    if "wte.weight" not in stored:
        return config  # named as missing in a moment
    (head_file, head_name), (file, name) = stored["lm_head.weight"], stored["wte.weight"]
    head, embedding = head_file.read(head_name), file.read(name)
    if head.shape != embedding.shape or not np.array_equal(head, embedding):
        raise ModelError(
            f"{folder}: lm_head.weight differs from wte.weight although config.json says that they are tied; "
            'set "tie_word_embeddings": false if the head is its own.'
        )
    del stored["lm_head.weight"]
    return replace(config, tie_word_embeddings=True)


def _is_linear(config: Config, stored: _Stored, folder: Path) -> bool:
    """Whether matrices are stored [out, in] (Linear) instead of [in, out] (Conv1D), told by c_attn's shape."""
    if "h.0.attn.c_attn.weight" not in stored:
        raise ModelError(f"{folder}: the weight h.0.attn.c_attn.weight is missing; this is no GPT-2 checkpoint.")
    file, name = stored["h.0.attn.c_attn.weight"]
    shape = file.entries[name].shape
    wide = (config.n_embd, 3 * config.n_embd)
    if shape not in (wide, wide[::-1]):
        raise ModelError(
            f"{folder}: h.0.attn.c_attn.weight has shape {list(shape)}; n_embd {config.n_embd} in config.json "
            f"needs {list(wide)}."
        )
    return shape != wide


def _weight(
    file: SafetensorsFile, full_name: str, spec: WeightSpec, config: Config, turned: bool
) -> NDArray[np.float32]:
    entry = file.entries[full_name]
    shape = spec.shape(config)
    expected = shape[::-1] if turned else shape
    if entry.shape != expected:
        raise ModelError(f"{file.path}: {full_name} has shape {list(entry.shape)}; config.json needs {list(expected)}.")
    if entry.dtype not in _WEIGHT_TYPES:
        raise ModelError(f"{file.path}: {full_name} is stored as {entry.dtype}; weights must be F32, F16 or BF16.")
    array: NDArray[Any] = file.read(full_name)
    # A sum is finite only if every term is, and costs one read; overflow alone would fool it, so look again.
    with np.errstate(all="ignore"):
        # The format aligns nothing, so an array may start at an odd byte; then it is copied.
        weight = np.require(array.T if turned else array, np.float32, ["C", "ALIGNED"])
        finite = bool(np.isfinite(weight.sum())) or bool(np.isfinite(weight).all())
    if not finite:
        raise ModelError(
            f"{file.path}: {full_name} holds values that are not finite (NaN or infinity); "
            "the checkpoint is damaged or its training diverged."
        )
    weight.flags.writeable = False
    return weight
