"""A GPT-2 checkpoint folder: its config and weights, checked, and memory-mapped where possible."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2 import foreign
from desktop_app.gpt2.config import CONFIG_LIMIT, Config, load_config
from desktop_app.gpt2.digest import weights_digest
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.foreign import adapter
from desktop_app.gpt2.jsonfile import read_json
from desktop_app.gpt2.opened import OpenedWeights
from desktop_app.gpt2.run import new_model_key
from desktop_app.gpt2.safetensors_file import Entry, SafetensorsFile
from desktop_app.gpt2.stored import StoredTensors, by_own_name, is_linear, open_files, take_heads
from desktop_app.gpt2.weights import WeightSpec, all_weights

_WEIGHT_TYPES = ("F32", "F16", "BF16", "F64")


@dataclass(frozen=True)
class StoredWeight:
    """How a checkpoint's file stores a weight: its name in the file, dtype as in the header, shape, and byte offset.

    `turned` says that it is stored transposed (as torch's Linear does). A bias that the model lacks has neither dtype
    nor name, and is treated as zeros.
    """

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    turned: bool


@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint:
    """A model's folder that passed every check. `weights` are read-only float32 arrays under the names of WEIGHTS.

    Weights stored as aligned float32 and not transposed are mapped from their files; others are converted copies.
    `stored` says how each weight is stored; a tied unembedding is stored as the embedding.
    """

    folder: Path
    config: Config
    weights: Mapping[str, NDArray[np.float32]]
    stored: Mapping[str, StoredWeight]
    remarks: tuple[str, ...] = ()
    """Sentences about what is ignored in the folder."""
    key: int = field(default_factory=new_model_key, init=False)
    """Identifies the weights in a `Run`; unique to every set of weights that is opened or rounded."""

    def __repr__(self) -> str:
        c = self.config
        form = "int8" if c.int8 else "float32"
        return f"<Checkpoint {self.name}: {c.n_layer} blocks, {c.n_head} heads, d_model {c.n_embd}, {form}>"

    @property
    def name(self) -> str:
        """The model's name, derived from its folder's (`name_of`)."""
        return name_of(self.folder)

    def require_unchanged(self) -> None:
        """Raise ModelError if one of the files was written to since the checkpoint was opened."""
        weights = getattr(self.weights, "source", self.weights)  # the weights before rounding, in a rounded model
        if isinstance(weights, OpenedWeights):
            weights.require_unchanged()

    def is_rewritten(self) -> bool:
        """Whether one of the files was written to since the checkpoint was opened."""
        try:
            self.require_unchanged()
        except ModelError:  # a file was rewritten; the caller reports it
            return True
        return False

    @cached_property
    def digest(self) -> str:
        """The fingerprint of the weights: SHA-256, in hex, over names, shapes and float32 values.

        It does not depend on how they are stored: in float16 or float32, in one file or several, transposed or not.
        """
        return weights_digest(self.weights)


def name_of(folder: Path) -> str:
    """The name of a folder, or `owner/name` for a snapshot in the hub's cache (models--owner--name/snapshots/HASH)."""
    folder = folder.resolve() if folder.name in ("", "..") else folder.absolute()
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/")
    return folder.name or str(folder)


def load_checkpoint(folder: Path, on_stage: Callable[[str], None] = lambda _stage: None) -> Checkpoint:
    """The checkpoint in `folder`. `on_stage` gets each stage's name as it begins, and may raise to abort.

    Raises ModelError, in one sentence that names the file and what to do, for anything that is missing, superfluous, of
    the wrong shape, not finite, or stored in a form that is never opened (pickles).
    """
    try:
        return _load(folder, on_stage)
    except OSError as reason:
        raise ModelError(f"{reason.filename or folder} cannot be read: {reason.strerror or reason}.") from reason


def _load(folder: Path, on_stage: Callable[[str], None]) -> Checkpoint:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ModelError(f"{folder} {what}; give the folder that holds config.json and model.safetensors.")
    if (fault := adapter(folder)) is not None:
        raise fault
    on_stage("reading the config")
    if not (folder / "config.json").exists():
        raise no_config(folder)
    config = load_config(folder / "config.json")
    on_stage("opening the weights")
    files = list(open_files(folder))
    stored = by_own_name(files, folder)
    remarks = remarks_on(folder, take_heads(stored))
    config = settle_head(config, stored, folder)
    transposed = is_linear(config, stored, folder)

    weights: dict[str, NDArray[np.float32]] = {}
    forms: dict[str, StoredWeight] = {}
    for name, stored_name, spec in all_weights(config):
        if spec.is_tied(config):
            weights[name], forms[name] = weights["embed.W_E"], forms["embed.W_E"]
            continue
        if name.endswith(".ln1.w"):  # the first weight of a block
            on_stage(f"checking the weights, block {name.split('.')[1]} of {config.n_layer}")
        if stored_name not in stored and spec.is_absent(config):
            weights[name] = np.zeros(spec.shape(config), np.float32)
            weights[name].flags.writeable = False
            forms[name] = StoredWeight(folder, "", "", spec.shape(config), 0, False)
            continue
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
            f"{folder}: {', '.join(repr(n[:80]) for n in extra[:3])}{more} is not a weight of this GPT-2; "
            "config.json and the weights do not belong together, or this is another architecture."
        )
    return Checkpoint(folder, config, OpenedWeights(weights, files), MappingProxyType(forms), remarks)


def settle_head(config: Config, stored: StoredTensors, folder: Path) -> Config:
    """The config with the decision whether the head is tied; a tied head's copy of the embedding leaves `stored`.

    If only one of a tied pair is stored, under either name, it serves as both.
    """
    if (
        "wte.weight" not in stored
        and "lm_head.weight" in stored
        and (config.tie_word_embeddings or not config.says_tied)
    ):
        stored["wte.weight"] = stored.pop("lm_head.weight")
        return replace(config, tie_word_embeddings=True)
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
        return config  # reported as missing later
    (head_file, head_name), (file, name) = stored["lm_head.weight"], stored["wte.weight"]
    head, embedding = head_file.read(head_name), file.read(name)
    if head.shape != embedding.shape or not np.array_equal(head, embedding):
        if not config.says_tied:
            return replace(config, tie_word_embeddings=False)
        raise ModelError(
            f"{folder}: lm_head.weight differs from wte.weight, but they are tied unless config.json says otherwise; "
            'set "tie_word_embeddings": false if the head is its own.'
        )
    del stored["lm_head.weight"]
    return replace(config, tie_word_embeddings=True)


def remarks_on(folder: Path, heads: Mapping[str, str]) -> tuple[str, ...]:
    """Sentences about what is ignored in a folder. `heads` maps names of tensors to what they are."""
    remarks = []
    for what in dict.fromkeys(heads.values()):
        names = [name for name, kind in heads.items() if kind == what]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        remarks.append(f"{names[0][:80]}{more}, {what}, is ignored: next-token predictions do not depend on it.")
    if read_json(folder / "config.json", limit=CONFIG_LIMIT, error=ModelError).get("auto_map"):
        remarks.append(
            "config.json requests custom code (auto_map), which is never run here: the numbers are plain GPT-2's."
        )
    return tuple(remarks)


def no_config(folder: Path) -> ModelError:
    """The error for a folder without config.json: it says what the folder is, or the shape that its weights show."""
    if (words := foreign.no_config(folder)) is not None:
        return words
    try:
        stored = by_own_name(open_files(folder), folder)
        (vocab, width), (positions, _) = (
            file.entries[name].shape for file, name in (stored["wte.weight"], stored["wpe.weight"])
        )
    except (ModelError, KeyError, ValueError):  # the weights do not show the shape either
        return ModelError(f"{folder / 'config.json'} does not exist; check the folder's name.")
    shape = {"vocab_size": vocab, "n_positions": positions, "n_embd": width}
    shape["n_layer"] = len({name.split(".")[1] for name in stored if name.startswith("h.")})
    return ModelError(
        f"{folder} has no config.json; write one that says {json.dumps(shape)} and n_head, the number of heads, which "
        "cannot be inferred from the weights."
    )


def storage_fault(entry: Entry, spec: WeightSpec, config: Config, turned: bool) -> str:
    """What is wrong with how a weight is stored, judged from the header alone; "" if nothing is."""
    shape = spec.shape(config)
    expected = shape[::-1] if turned else shape
    if entry.shape != expected:
        return f"has shape {list(entry.shape)}; config.json needs {list(expected)}"
    if entry.dtype not in _WEIGHT_TYPES:
        return f"is stored as {entry.dtype}; weights must be F32, F16, BF16 or F64"
    return ""


def as_float32(array: NDArray[Any], turned: bool) -> tuple[NDArray[np.float32], bool]:
    """A stored matrix in the form used for computing, and whether all of its numbers are finite."""
    # If the sum is finite, so is every term; this takes one read. A sum of finite terms may overflow, though, so a sum
    # that is not finite proves nothing.
    with np.errstate(all="ignore"):
        # The format does not align arrays; an unaligned array is copied.
        weight = np.require(array.T if turned else array, np.float32, ["C", "ALIGNED"])
        return weight, bool(np.isfinite(weight.sum())) or bool(np.isfinite(weight).all())


def _weight(
    file: SafetensorsFile, full_name: str, spec: WeightSpec, config: Config, turned: bool
) -> NDArray[np.float32]:
    if fault := storage_fault(file.entries[full_name], spec, config, turned):
        raise ModelError(f"{file.path}: {full_name} {fault}.")
    weight, finite = as_float32(file.read(full_name), turned)
    if not finite:
        raise ModelError(
            f"{file.path}: {full_name} holds values that are not finite (NaN or infinity); "
            "the checkpoint is damaged or its training diverged."
        )
    weight.flags.writeable = False
    return weight
