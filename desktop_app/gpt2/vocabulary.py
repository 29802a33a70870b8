"""Reads and validates a byte-level BPE vocabulary, from tokenizer.json or from vocab.json and merges.txt."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.foreign import tokenizer_of_another_kind
from desktop_app.gpt2.tokenizer_files import (
    as_id,
    as_list,
    as_object,
    as_token,
    check_count,
    read_object,
    read_text,
    short,
)
from desktop_app.gpt2.tokenizer_json import LOWER_CASE, Rules, read_rules
from desktop_app.gpt2.tokenizer_settings import END_OF_TEXT, NEXT, AddedToken, Settings, read_settings, token_with_id


def _byte_alphabet() -> str:
    """The 256 characters with which byte-level BPE writes the bytes 0 to 255, as published with GPT-2.

    A byte whose Latin-1 character is printable stands for itself; the others take U+0100, U+0101, ... in order.
    """
    itself = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in itself else next(others)) for byte in range(256))


BYTE_ALPHABET = _byte_alphabet()
_FILES = ("tokenizer.json", "vocab.json", "merges.txt")
_BYTE_OF = {char: byte for byte, char in enumerate(BYTE_ALPHABET)}


def bytes_of(token: str) -> bytes:
    """The bytes that a vocabulary entry stands for. An entry outside the byte alphabet stands for its UTF-8 text."""
    try:
        return bytes([_BYTE_OF[char] for char in token])
    except KeyError:  # an added token, which is written literally
        return token.encode()


@dataclass(frozen=True)
class Vocabulary:
    """Validated tokenizer data: ids by vocabulary entry, merges by rank, added tokens, and rules for texts.

    Entries are written in the byte alphabet; an entry that is not is never produced by merging. Ids are unique and may
    have gaps. Every merge joins two entries into a third; a merge that occurs twice has the later rank.
    """

    ids: Mapping[str, int]
    merges: tuple[tuple[str, str], ...]
    added: tuple[AddedToken, ...] = ()
    prefix_space: bool = False
    """Whether a space is put in front of a text, and of what follows an added token, unless there is one already."""
    first: tuple[int, ...] = ()
    """The ids to put in front of a text: those of the post-processor, else bos_token, else eos_token."""
    begins: bool = False
    """Whether the ids `first` are put in front of a text by default."""
    end: int | None = None
    """The id of eos_token."""
    split_special: bool = False
    """Whether special tokens in a text are tokenized like other text."""
    normalizers: tuple[str, ...] = ()
    """Applied to a text before tokenization, in order: Unicode normal forms, or Lowercase."""


def normalized(text: str, normalizers: Iterable[str]) -> str:
    """The text with a vocabulary's normalizers applied."""
    for name in normalizers:
        text = text.lower() if name == LOWER_CASE else unicodedata.normalize(name, text)  # type: ignore[arg-type] # a form's name
    return text


def read_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary in a checkpoint folder, read as transformers does.

    It is in tokenizer.json, if there is one, or else in vocab.json and merges.txt. Settings are in
    tokenizer_config.json, special_tokens_map.json and added_tokens.json.

    Raises:
        TokenizerError: no tokenizer files, or files that are malformed or too large, or whose settings would give other
            ids than GPT-2's byte-level BPE.
    """
    try:
        is_folder = folder.is_dir()
        present = {name for name in _FILES if (folder / name).exists()}
    except OSError as error:
        raise TokenizerError(f"{folder} cannot be read: {error.strerror or error}.") from error
    if not is_folder:
        raise TokenizerError(f"There is no folder {folder}; name the folder that holds the model's files.")
    if "tokenizer.json" in present:
        path = folder / "tokenizer.json"
        document = read_object(path)
        rules = read_rules(path, document)
        model = as_object(path, "'model'", document.get("model"))
        ids = _check_ids(path, model.get("vocab"))
        merges = as_list(path, "'merges'", model.get("merges"))
        pairs: list[tuple[str, Any]] = [
            (f"merge {rank}", merge.split(" ") if isinstance(merge, str) else merge)
            for rank, merge in enumerate(merges)
        ]
        declared = _declared(path, as_list(path, "'added_tokens'", document.get("added_tokens") or []))
        checked = _check_merges(path, pairs, ids)
        return _settled(path, ids, checked, rules, read_settings(folder, one_file=True), declared)
    missing = [name for name in ("vocab.json", "merges.txt") if name not in present]
    if len(missing) == 2:
        if words := tokenizer_of_another_kind(folder):
            raise TokenizerError(words)
        raise TokenizerError(
            f"{folder} has no tokenizer: put tokenizer.json, or vocab.json and merges.txt, next to the weights."
        )
    if missing:
        raise TokenizerError(f"{folder} has no {missing[0]}; vocab.json and merges.txt belong together.")
    path = folder / "vocab.json"
    ids = _check_ids(path, read_object(path))
    checked = _read_merges(folder / "merges.txt", ids)
    return _settled(path, ids, checked, Rules(), read_settings(folder, one_file=False), ())


def _settled(
    path: Path,
    ids: Mapping[str, int],
    merges: tuple[tuple[str, str], ...],
    rules: Rules,
    settings: Settings,
    declared: tuple[AddedToken, ...],
) -> Vocabulary:
    """The vocabulary, with the settings of all files combined. Raises TokenizerError where they disagree."""
    # a stable sort: of several tokens with one id, those of the settings come last
    in_order = sorted([*declared, *settings.declared], key=lambda token: token.id)
    named = [token for token in settings.named.values() if token is not None]
    special = {token.text for token in named}
    in_order = [replace(token, special=token.special or token.text in special) for token in in_order]
    added = _with_ids(path, ids, in_order, [*named, *settings.extra])
    if not merges:
        added += _characters(ids, added)
    number = {token.text: token.id for token in added}
    for token in added:
        if token.normalized and normalized(token.text, rules.normalizers) != token.text:
            raise TokenizerError(
                f"{path}: the added token {short(token.text)} is changed by the normalizer, which is not supported."
            )
    parts = {name: token for name, token in settings.named.items() if token is not None and token.text in number}
    bos, end = parts.get("bos_token"), parts.get("eos_token")
    if unknown := [text for text in rules.leading if text not in number]:
        raise TokenizerError(
            f"{path}: the post-processor puts {short(unknown[0])} in front, which is not an added token."
        )
    if end is None and "eos_token" not in settings.named:  # no file names it, so it is GPT-2's end of text
        end = next((token for token in added if token.text == END_OF_TEXT), None)
    first = rules.leading or tuple(token.text for token in (bos, end) if token is not None)[:1]
    return Vocabulary(
        ids,
        merges,
        added,
        prefix_space=settings.prefix_space if settings.is_gpt2 else rules.prefix_space,
        first=tuple(number[text] for text in first),
        begins=bool(rules.leading) or (settings.add_bos and bos is not None),
        end=None if end is None else number[end.text],
        split_special=settings.split_special,
        normalizers=rules.normalizers,
    )


def _with_ids(
    path: Path, ids: Mapping[str, int], declared: Sequence[AddedToken], further: Sequence[AddedToken]
) -> tuple[AddedToken, ...]:
    """The added tokens with the ids that the tokenizers library gives them, in order.

    A token that is an entry of the vocabulary has that entry's id; the others are numbered from the number of entries
    on. Of several with the same text, the last one's flags apply. Tokens in `further` are ignored if `declared` has
    them. Raises TokenizerError for a token to which the files give another id.
    """
    entry_of = {number: token for token, number in ids.items()}
    added: dict[str, AddedToken] = {}
    known, top = {token.text for token in declared}, len(ids) - 1
    asked = known | {token.text for token in further if not token.assumed}
    alike = dict.fromkeys(replace(token, assumed=token.text not in asked) for token in further)
    for token in (*declared, *(token for token in alike if token.text not in known)):
        number = added[token.text].id if token.text in added else ids.get(token.text, top + 1)
        if token.id not in (NEXT, number):
            if entry_of.get(token.id, token.text) != token.text or token.text in ids:
                raise TokenizerError(
                    f"{path}: the added token {short(token.text)} has the id {token.id} of another token."
                )
            raise TokenizerError(
                f"{path}: the added token {short(token.text)} has the id {token.id} where transformers gives it "
                f"{number}, the next one free; the tokenizer's files do not belong together."
            )
        if number in entry_of and token.text not in ids:
            if token.assumed:  # no file names it
                continue
            raise TokenizerError(
                f"{path}: the added token {short(token.text)} would get the id {number} of {short(entry_of[number])}; "
                "the vocabulary has gaps."
            )
        added[token.text] = replace(token, id=number)
        top = max(top, number)
    return tuple(added.values())


def _characters(ids: Mapping[str, int], added: Sequence[AddedToken]) -> tuple[AddedToken, ...]:
    """The characters that a character vocabulary lists literally, as added tokens; none for a byte vocabulary.

    A vocabulary without merges consists of characters, not of bytes, if its entries are in the order of the characters
    and none stands for a byte with which UTF-8 begins a Latin letter.
    """
    known = {token.text for token in added}
    entries = [entry for entry, _ in sorted(ids.items(), key=lambda item: item[1]) if entry not in known]
    if not all(len(entry) == 1 for entry in entries) or {BYTE_ALPHABET[0xC2], BYTE_ALPHABET[0xC3]} & {*entries}:
        return ()
    # The space and the characters below it may be written as bytes or literally.
    texts = [chr(byte) if (byte := _BYTE_OF.get(entry, 0x7F)) <= 0x20 else entry for entry in entries]
    if texts != sorted(texts):
        return ()
    return tuple(
        AddedToken(text, ids[entry], special=False, normalized=True)
        for entry, text in zip(entries, texts, strict=True)
        if not text.isascii() or entry not in _BYTE_OF
    )


def _check_ids(path: Path, vocab: object) -> dict[str, int]:
    ids = as_object(path, "the vocabulary", vocab)
    if not ids:
        raise TokenizerError(f"{path}: the vocabulary is empty.")
    owner: dict[int, str] = {}
    for token, number in ids.items():
        as_id(path, as_token(path, token), number)
        if owner.setdefault(number, token) is not token:
            raise TokenizerError(f"{path}: {owner[number]!r} and {token!r} both have the id {number}.")
    return ids


def _read_merges(path: Path, ids: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    # Not splitlines(), which also splits at characters that a merge may contain.
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    if lines[0].startswith("#version"):
        lines[0] = ""
    return _check_merges(
        path, [(f"line {number}", line.split(" ")) for number, line in enumerate(lines, 1) if line], ids
    )


def _check_merges(path: Path, pairs: Iterable[tuple[str, Any]], ids: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    checked: list[tuple[str, str]] = []  # in order of rank
    for where, pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise TokenizerError(f"{path}: {where} is {short(pair)}, not a pair of tokens.")
        left, right = pair
        for token in (left, right, left + right):
            if not token or token not in ids:
                raise TokenizerError(f"{path}: {where} needs {short(token)}, which is not in the vocabulary.")
        checked.append((left, right))
    return tuple(checked)


def _declared(path: Path, entries: list[Any]) -> tuple[AddedToken, ...]:
    """The tokens that tokenizer.json lists with their ids, each of them once."""
    check_count(path, entries)
    added: dict[str, AddedToken] = {}
    for entry in entries:
        fields = as_object(path, "an added token", entry)
        token = token_with_id(path, fields, fields.get("id"))
        if token.text in added:
            raise TokenizerError(f"{path}: the added token {short(token.text)} is listed twice.")
        added[token.text] = token
    return tuple(added.values())
