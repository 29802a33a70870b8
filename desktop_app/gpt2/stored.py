"""The tensors that a checkpoint's folder holds, under GPT-2's own names, whoever saved them.

Hugging Face's names are taken as they are. Prefixes that say who held the model when it was saved (`transformer.`, and
`_orig_mod.` after torch.compile) are cut off, and mask buffers, which hold no parameters, are left out; so the tensors
of nanoGPT and minGPT are read too, which store their matrices transposed (Linear).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.jsonfile import read_json
from desktop_app.gpt2.safetensors_file import SafetensorsFile

_INDEX = "model.safetensors.index.json"
_INDEX_LIMIT = 1 << 26
_PREFIX = re.compile(r"^(_orig_mod\.)?(module\.)?(transformer\.)?")
# Causal masks that old checkpoints carry along; they hold no parameters.
_BUFFER = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")
# minGPT as it was until 2022: queries, keys and values apart, and other names.
_APART = re.compile(r"(blocks|h)\.\d+\.attn\.(query|key|value)\.weight|tok_emb\.weight")

StoredTensors = dict[str, tuple[SafetensorsFile, str]]
"""GPT-2's own name -> the file, and the tensor's name in it."""


def open_files(folder: Path) -> Iterator[SafetensorsFile]:
    """The safetensors files of a folder: the one, or those that its index names. Raises ModelError."""
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


def by_own_name(files: Iterator[SafetensorsFile], folder: Path) -> StoredTensors:
    """Every tensor of `files` by GPT-2's own name for it, mask buffers left out.

    Raises ModelError for a name that is there twice, for no tensors at all, and for the older minGPT's layout.
    """
    stored: StoredTensors = {}
    for file in files:
        for full_name in file.entries:
            name = _PREFIX.sub("", full_name)
            if _BUFFER.fullmatch(name):
                continue
            if name in stored:
                raise ModelError(f"{folder}: the weight {name[:80]!r} is there twice, with and without prefix.")
            stored[name] = (file, full_name)
    if not stored:
        raise ModelError(f"{folder} has no weights in its safetensors files; fetch model.safetensors again.")
    if apart := next(filter(_APART.fullmatch, stored), None):
        raise ModelError(
            f"{folder}: {apart!r} is of minGPT as it was until 2022, which keeps query, key and value apart; join them "
            "as docs/models.md shows."
        )
    return stored


def is_linear(config: Config, stored: StoredTensors, folder: Path) -> bool:
    """Whether matrices are stored [out, in] (Linear) instead of [in, out] (Conv1D), told by c_attn's shape.

    Raises ModelError if c_attn is missing or has neither shape.
    """
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
