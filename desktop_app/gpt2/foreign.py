"""Recognises folders and files that this program cannot open as a checkpoint: what they are, and what to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desktop_app.gpt2.errors import LogitscopeError, ModelError
from desktop_app.gpt2.jsonfile import read_json

_CONVERT = "open it with the program that made it, and save it from there as config.json and model.safetensors"
_SAVE = "load it with transformers and save it with save_pretrained, which writes model.safetensors"


@dataclass(frozen=True)
class _Kind:
    """A kind of folder: glob patterns of `files` that identify it, `what` it is, and what to do about it (`cure`)."""

    files: tuple[str, ...]
    what: str
    cure: str


# Files that trainers write next to weights.
_NO_MODEL = ("training_args", "optimizer.", "scheduler.", "scaler.", "rng_state")

_WEIGHTS = (
    _Kind(
        ("*.gguf", "ggml-model*.bin"),
        "a model of llama.cpp, most often quantized",
        "fetch the model that it was made from",
    ),
    _Kind(
        ("*.onnx",), "an ONNX graph, and foreign graphs are never run here", "fetch the model that it was exported from"
    ),
    _Kind(
        ("model.ckpt.data-*", "model.ckpt.index", "model.ckpt.meta"),
        "OpenAI's own release, a TensorFlow checkpoint",
        "fetch the same model as openai-community/gpt2, -medium, -large or -xl",
    ),
    _Kind(("*.h5", "*.pb", "*.ckpt.index", "*.ckpt.meta", "*.tflite"), "a TensorFlow model", _SAVE),
    _Kind(("*.msgpack",), "a Flax model", _SAVE),
    _Kind(("*.ot",), "a model of rust-bert", "fetch the model that it was made from"),
    _Kind(("*.mlmodel", "*.mlpackage"), "a Core ML model", "fetch the model that it was made from"),
    _Kind(("*.npz",), "a numpy archive, the format of MLX models", _CONVERT),
    _Kind(("*.distcp", "pytorch_model_fsdp*"), "a checkpoint in shards of PyTorch FSDP", _SAVE),
    _Kind(("zero_pp_rank_*", "global_step*"), "a checkpoint of DeepSpeed", "make weights of it with zero_to_fp32.py"),
    _Kind(
        ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl"),
        "a pickle, which can run code when it is opened, and is never opened here",
        "save the model as safetensors (save_pretrained does) or fetch model.safetensors",
    ),
)

_TOKENIZERS = (
    _Kind(("vocab.txt",), "BERT's WordPiece vocabulary", ""),
    _Kind(("*.spm", "spiece.model", "sentencepiece*.model", "tokenizer.model"), "a SentencePiece model", ""),
    _Kind(("*.tiktoken",), "a tiktoken vocabulary", ""),
    _Kind(("meta.pkl",), "nanoGPT's list of characters, a pickle", ""),
)


def adapter(folder: Path) -> ModelError | None:
    """The error for a folder with an adapter, which modifies a base model's weights; None if there is none."""
    path = folder / "adapter_config.json"
    if not path.exists():
        return None
    base = _value(path, "base_model_name_or_path")
    of = f" of {base[:80]!r}" if isinstance(base, str) else ""
    return ModelError(
        f"{folder} holds an adapter{of} (adapter_config.json), which is not a model by itself; merge it into its base "
        "(peft: merge_and_unload, then save_pretrained) and open that folder."
    )


def no_weights(folder: Path) -> ModelError:
    """The error for a folder without safetensors files: what it is, and what to do."""
    if inner := checkpoints_below(folder):
        return ModelError(
            f"{folder} has no weights itself, but contains a trainer's checkpoint folders, like {inner[-1]!r}; "
            "open one of them."
        )
    if kind := _found(folder, _WEIGHTS):
        name, found = kind
        return ModelError(f"{folder} has only {name!r}, {found.what}; {found.cure}.")
    return ModelError(f"{folder} has no weights; put model.safetensors there.")


def no_config(folder: Path) -> ModelError | None:
    """The error for a folder without config.json, if its files tell what it is; None if they do not."""
    if inner := checkpoints_below(folder):
        return ModelError(
            f"{folder} has no config.json itself, but contains a trainer's checkpoint folders, like {inner[-1]!r}; "
            "open one of them."
        )
    if (kind := _found(folder, _WEIGHTS)) and not any(folder.glob("*.safetensors")):
        name, found = kind
        return ModelError(f"{folder} has no config.json, only {name!r}, {found.what}; {found.cure}.")
    return None


def checkpoints_below(folder: Path) -> list[str]:
    """The names of the folders in a trainer's output folder that each hold a model, in the order of their steps."""
    found = [path.name for path in folder.glob("checkpoint-*") if (path / "config.json").is_file()]
    return sorted(found, key=lambda name: (len(name), name))


def tokenizer_of_another_kind(folder: Path) -> str:
    """A sentence on the tokenizer of a folder without a byte-level BPE; "" if its files do not tell."""
    if (folder / "encoder.json").exists() and (folder / "vocab.bpe").exists():
        return (
            f"{folder} has its tokenizer files under OpenAI's names; copy encoder.json to vocab.json and vocab.bpe to "
            "merges.txt."
        )
    if kind := _found(folder, _TOKENIZERS):
        name, found = kind
        cure = (
            "write vocab.json and merges.txt of its characters, as docs/models.md shows"
            if name == "meta.pkl"
            else "only GPT-2's byte-level BPE cuts text here, but commands take token ids (--ids)"
        )
        return f"{folder} has {name!r} for a tokenizer, {found.what}; {cure}."
    return ""


def _found(folder: Path, kinds: tuple[_Kind, ...]) -> tuple[str, _Kind] | None:
    for kind in kinds:
        names = {path.name for pattern in kind.files for path in folder.glob(pattern)}
        if names := {name for name in names if not name.startswith(_NO_MODEL)}:
            return min(names)[:80], kind
    return None


def _value(path: Path, name: str) -> Any:
    try:
        return read_json(path, limit=1 << 20, error=ModelError).get(name)
    except LogitscopeError:  # an unreadable file says nothing about the folder
        return None
