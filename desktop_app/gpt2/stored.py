"""The tensors of a checkpoint folder under GPT-2's names, whichever program saved them.

Hugging Face's names are used unchanged. Prefixes from the module that contained the model when it was saved
(`transformer.`, and `_orig_mod.` after torch.compile) are removed, and mask buffers, which are not parameters, are left
out. So the tensors of nanoGPT and minGPT, which store their matrices transposed (Linear), can be read, too. Value,
reward and classification heads are separated, and names of other formats are recognised and reported.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.foreign import adapter, no_weights
from desktop_app.gpt2.jsonfile import read_json
from desktop_app.gpt2.safetensors_file import SafetensorsFile

INDEX = "model.safetensors.index.json"
"""The file that says in which of several files each tensor is."""

_INDEX_LIMIT = 8 << 20
_PREFIX = re.compile(r"^(_orig_mod\.)?(module\.)?(transformer\.)?")
# Causal masks in old checkpoints; they are not parameters.
_BUFFER = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")
# Names that show that the weights are in another format: which format, and what to do.
_FOREIGN = (
    (
        re.compile(r"(blocks|h)\.\d+\.attn\.(query|key|value)\.weight|tok_emb\.weight"),
        "minGPT as it was until 2022, which stores query, key and value separately; join them as docs/models.md shows",
    ),
    (
        re.compile(r"blocks\.\d+\.attn\.(W|b)_[QKVO]|embed\.W_E"),
        "TransformerLens, which keeps every head apart and folds layer norms into what follows; open the model that it "
        "was made from",
    ),
    (
        re.compile(r".*\.(lora_|ia3_|base_layer\.).*"),
        "an adapter; merge it into its base (peft: merge_and_unload, then save_pretrained)",
    ),
    (
        re.compile(r".*\.(absmax|quant_map|nested_absmax|qweight|qzeros|g_idx|scales|SCB|weight_scale)"),
        "quantized weights; open the model that they were made from",
    ),
    (
        re.compile(r"h\.\d+\.(crossattention|ln_cross_attn)\..*"),
        "cross-attention, by which a decoder reads an encoder; only a language model by itself can be opened",
    ),
)
# Heads besides the language model's, by the first part of the name; no next token depends on them.
_HEADS = {
    "v_head": "a value head",
    "value_head": "a value head",
    "reward_head": "a reward head",
    "score": "a classification or reward head",
    "classifier": "a classification head",
    "qa_outputs": "a question answering head",
    "multiple_choice_head": "a multiple choice head",
}
_TIED = ("wte.weight", "lm_head.weight")

StoredTensors = dict[str, tuple[SafetensorsFile, str]]
"""GPT-2's name -> the file, and the tensor's name in that file."""


def open_files(folder: Path) -> Iterator[SafetensorsFile]:
    """The safetensors files of a folder: the only one, or those that its index names. Raises ModelError."""
    if (fault := adapter(folder)) is not None:
        raise fault
    single, index = folder / "model.safetensors", folder / INDEX
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
            f"{folder} has {len(found)} safetensors files but no {INDEX} that says which file holds "
            "which tensor; add the index, or leave only one file."
        )
    raise no_weights(folder)


def read_index(index: Path) -> dict[str, str]:
    """Tensor -> file name, as in an index; the names are not checked. Raises ModelError if it has no such mapping."""
    mapping = read_json(index, limit=_INDEX_LIMIT, error=ModelError).get("weight_map")
    if not isinstance(mapping, dict) or not all(isinstance(v, str) for v in mapping.values()):
        raise ModelError(f"{index}: weight_map must map weight names to file names; fetch the file again.")
    return mapping


def _open_shards(folder: Path, index: Path) -> Iterator[SafetensorsFile]:
    mapping = read_index(index)
    for name in sorted(set(mapping.values())):
        if Path(name).name != name or not name.endswith(".safetensors") or "\\" in name or "\0" in name:
            raise ModelError(f"{index} points to {name[:80]!r}, which is not a safetensors file in the same folder.")
        if not (folder / name).exists():
            raise ModelError(f"{index} names {name!r}, which is not in the folder; fetch it.")
        file = SafetensorsFile(folder / name)
        listed = {tensor for tensor, shard in mapping.items() if shard == name}
        # Programs differ in whether an index lists buffers and both of a tied pair: a file may have them regardless.
        if difference := {tensor for tensor in listed ^ file.entries.keys() if not _is_spare(tensor)}:
            raise ModelError(f"{index} and {name!r} disagree about {min(difference)[:80]!r}; fetch both again.")
        yield file


def by_own_name(files: Iterable[SafetensorsFile], folder: Path) -> StoredTensors:
    """Every tensor of `files` by GPT-2's name for it, without mask buffers.

    Raises ModelError for a duplicate name, if there are no tensors, and for weights in another format.
    """
    stored: StoredTensors = {}
    for file in files:
        for full_name in file.entries:
            name = _PREFIX.sub("", full_name)
            if _BUFFER.fullmatch(name):
                continue
            if name in stored:
                raise ModelError(f"{folder}: the weight {name[:80]!r} occurs twice, with and without prefix.")
            stored[name] = (file, full_name)
    if not stored:
        raise ModelError(f"{folder} has no weights in its safetensors files; fetch model.safetensors again.")
    for pattern, what in _FOREIGN:
        if found := next(filter(pattern.fullmatch, stored), None):
            raise ModelError(f"{folder}: {found[:80]!r} belongs to {what}.")
    return stored


def take_heads(stored: StoredTensors) -> dict[str, str]:
    """Remove heads other than the language model's from `stored`, and return them: name in the file -> kind."""
    names = [name for name in stored if name.split(".")[0] in _HEADS]
    return {stored.pop(name)[1]: _HEADS[name.split(".")[0]] for name in names}


def _is_spare(full_name: str) -> bool:
    """Whether a model does not need the tensor, judging by its name: a buffer, or one of a tied pair."""
    name = _PREFIX.sub("", full_name)
    return name in _TIED or _BUFFER.fullmatch(name) is not None


def is_linear(config: Config, stored: StoredTensors, folder: Path) -> bool:
    """Whether matrices are stored [out, in] (Linear) instead of [in, out] (Conv1D), judged by c_attn's shape.

    Raises ModelError if c_attn is missing or has neither shape.
    """
    if "h.0.attn.c_attn.weight" not in stored:
        raise ModelError(f"{folder}: the weight h.0.attn.c_attn.weight is missing; this is not a GPT-2 checkpoint.")
    file, name = stored["h.0.attn.c_attn.weight"]
    shape = file.entries[name].shape
    wide = (config.n_embd, 3 * config.n_embd)
    if shape not in (wide, wide[::-1]):
        raise ModelError(
            f"{folder}: h.0.attn.c_attn.weight has shape {list(shape)}; n_embd {config.n_embd} in config.json "
            f"needs {list(wide)}."
        )
    return shape != wide
