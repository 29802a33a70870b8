"""The parts of a tokenizer.json that determine how text is tokenized; unsupported parts are refused by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.tokenizer_files import short

NORMAL_FORMS = ("NFC", "NFD", "NFKC", "NFKD")
LOWER_CASE = "Lowercase"

# GPT-2's regular expression for splitting text into words, built into ByteLevel; files spell it in one of two ways.
_WORDS = (
    r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""",
    r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""",
)


@dataclass(frozen=True)
class Rules:
    """How a tokenizer.json treats a text.

    `prefix_space` says whether a space is put in front; `normalizers` change the text before it is tokenized, in this
    order; `leading` are the texts of the tokens put in front of it.
    """

    prefix_space: bool = False
    normalizers: tuple[str, ...] = ()
    leading: tuple[str, ...] = ()


def read_rules(path: Path, document: Mapping[str, Any]) -> Rules:
    """The rules in `document`, which is the tokenizer.json at `path`.

    Parts that do not change ids are ignored: truncation and padding (left to the application), the decoder, and
    unk_token, fuse_unk and byte_fallback (text that cannot be encoded is refused instead). Sequences may be nested.

    Raises TokenizerError that names any part that would give other ids than GPT-2's byte-level BPE.
    """
    model = document.get("model")
    if isinstance(model, dict):  # otherwise the caller reports it
        if model.get("type", "BPE") != "BPE":
            _refuse(path, f"the model {_kind(model)}")
        for field in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"):
            if model.get(field):
                _refuse(path, f"the model's {field}")
    return Rules(
        _prefix_space(path, document.get("pre_tokenizer")),
        tuple(_normalizers(path, document.get("normalizer"))),
        tuple(_leading(path, document.get("post_processor"))),
    )


def _refuse(path: Path, what: str) -> NoReturn:
    raise TokenizerError(f"{path}: {what} is not supported; only GPT-2's plain byte-level BPE is.")


def _kind(part: object) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    return kind[:40] if isinstance(kind, str) else "none" if part is None else "without a type"


def _steps(path: Path, part: object, noun: str, inner: str) -> Iterator[dict[str, Any]]:
    """The steps of a part, with sequences flattened."""
    if part is None:
        return
    pending = [part]
    while pending:
        step = pending.pop(0)
        if not isinstance(step, dict) or not isinstance(step.get("type"), str):
            _refuse(path, f"the {noun} {_kind(step)}")
        if step["type"] == "Sequence":
            steps = step.get(inner)
            if not isinstance(steps, list):
                _refuse(path, f"the {noun} Sequence without {inner}")
            pending = [*steps, *pending]
        else:
            yield step


def _normalizers(path: Path, part: object) -> Iterator[str]:
    for step in _steps(path, part, "normalizer", "normalizers"):
        if step["type"] not in (*NORMAL_FORMS, LOWER_CASE):
            _refuse(path, f"the normalizer {_kind(step)}")
        yield step["type"]


def _prefix_space(path: Path, part: object) -> bool:
    """Whether the pre-tokenizer, which must be GPT-2's, puts a space in front."""
    steps = list(_steps(path, part, "pre-tokenizer", "pretokenizers"))
    words = len(steps) > 1 and _cuts_words(steps[0])
    if words:
        del steps[0]
    if len(steps) != 1 or steps[0]["type"] != "ByteLevel":
        _refuse(path, f"the pre-tokenizer {', '.join(map(_kind, steps)) or 'none'}")
    step = steps[0]
    space = step.get("add_prefix_space", True)
    if not isinstance(space, bool):
        _refuse(path, f"the pre-tokenizer's add_prefix_space = {short(space)}")
    if step.get("use_regex", True) is not (not words):
        _refuse(path, f"the pre-tokenizer's use_regex = {'true' if words else 'false'}")
    if words and space:
        _refuse(path, "the pre-tokenizer's add_prefix_space = true, before each word,")
    return space


def _cuts_words(step: Mapping[str, Any]) -> bool:
    pattern = step.get("pattern")
    return (
        step["type"] == "Split"
        and isinstance(pattern, dict)
        and pattern.get("Regex") in _WORDS
        and step.get("behavior") == "Isolated"
        and step.get("invert") is not True
    )


def _leading(path: Path, part: object) -> Iterator[str]:
    """The texts of the tokens that the post-processor puts in front; its treatment of text pairs is ignored."""
    for step in _steps(path, part, "post-processor", "processors"):
        if step["type"] == "ByteLevel":
            continue
        single = step.get("single") if step["type"] == "TemplateProcessing" else None
        pieces = [_piece(item) for item in single] if isinstance(single, list) else []
        if not pieces or pieces[-1] != "" or None in pieces or "" in pieces[:-1]:
            _refuse(path, f"the post-processor {_kind(step)}, which adds tokens to the text elsewhere than in front,")
        yield from (piece for piece in pieces[:-1] if piece)


def _piece(item: object) -> str | None:
    """A piece of a template: the text of a special token, "" for the text itself, None for anything else."""
    if isinstance(item, dict) and len(item) == 1:
        if isinstance(item.get("Sequence"), dict):
            return ""
        token = item.get("SpecialToken")
        if isinstance(token, dict) and isinstance(token.get("id"), str):
            return str(token["id"]) or None
    return None
