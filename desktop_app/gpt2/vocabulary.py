"""Reads a byte-level BPE vocabulary from tokenizer.json, or from vocab.json and merges.txt, trusting neither."""

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.jsonfile import parse_json

END_OF_TEXT = "<|endoftext|>"
MAX_FILE_BYTES = 32 * 2**20  # the tokenizer.json of GPT-2 has 3.5 MB, of large multilingual ones some 20
MAX_ID = 2**24
MAX_TOKEN_CHARS = 1024


def _byte_alphabet() -> str:
    """The 256 characters by which byte-level BPE writes the bytes 0 to 255, as published with GPT-2.

    A byte whose Latin-1 character is printable stands for itself; the others take U+0100, U+0101, ... in order.
    """
    itself = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in itself else next(others)) for byte in range(256))


BYTE_ALPHABET = _byte_alphabet()
_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json")
_BYTE_OF = {char: byte for byte, char in enumerate(BYTE_ALPHABET)}


def bytes_of(token: str) -> bytes:
    """The bytes that a vocabulary entry stands for; an entry outside the byte alphabet stands for its own text."""
    try:
        return bytes([_BYTE_OF[char] for char in token])
    except KeyError:
        return token.encode()


@dataclass(frozen=True)
class AddedToken:
    """A string that is one token wherever it stands in the text, before any merging."""

    text: str
    id: int
    special: bool
    normalized: bool = False  # the library looks for these after the others


@dataclass(frozen=True)
class Vocabulary:
    """Validated tokenizer data: ids by vocabulary entry, merges by rank, added tokens.

    Entries are written in the byte alphabet (one that is not is never produced by merging), ids are unique and
    may have gaps, and every merge joins two entries into a third.
    """

    ids: Mapping[str, int]
    merges: tuple[tuple[str, str], ...]
    added: tuple[AddedToken, ...] = ()


def read_vocabulary(folder: Path) -> Vocabulary:
    """Reads the tokenizer files of a checkpoint folder, as transformers does.

    Either tokenizer.json, if there is one; or vocab.json and merges.txt, with added_tokens.json if there is one.

    Raises:
        TokenizerError: no tokenizer files, or files that are malformed, too large, or ask for something that
            would give other ids than GPT-2's byte-level BPE.
    """
    try:
        is_folder = folder.is_dir()
        present = {name for name in _FILES if (folder / name).exists()}
    except OSError as error:
        raise TokenizerError(f"{folder} cannot be read: {error.strerror or error}.") from error
    if not is_folder:
        raise TokenizerError(f"There is no folder {folder}; name the folder that holds the model's files.")
    if "tokenizer.json" in present:
        return _from_tokenizer_json(folder / "tokenizer.json")
    missing = [name for name in ("vocab.json", "merges.txt") if name not in present]
    if len(missing) == 2:
        raise TokenizerError(
            f"{folder} holds no tokenizer: put tokenizer.json, or vocab.json and merges.txt, beside the weights."
        )
    if missing:
        raise TokenizerError(f"{folder} has no {missing[0]}; vocab.json and merges.txt belong together.")
    return _from_vocab_and_merges(folder, has_added="added_tokens.json" in present)


def _from_vocab_and_merges(folder: Path, *, has_added: bool) -> Vocabulary:
    vocab_path, merges_path, added_path = (folder / name for name in ("vocab.json", "merges.txt", "added_tokens.json"))
    ids = _check_ids(vocab_path, _read_object(vocab_path))
    added: tuple[AddedToken, ...] = ()
    if has_added:
        entries = _read_object(added_path)
        added = _check_added(added_path, [{"content": text, "id": number} for text, number in entries.items()], ids)
    # Not splitlines(): it would also cut at characters that a merge may hold.
    lines = [line.removesuffix("\r") for line in _read_text(merges_path).split("\n")]
    if lines[0].startswith("#version"):
        lines[0] = ""
    pairs = [(f"line {number}", line.split(" ")) for number, line in enumerate(lines, 1) if line]
    return Vocabulary(ids, _check_merges(merges_path, pairs, ids), _with_end_of_text(added, ids))


def _from_tokenizer_json(path: Path) -> Vocabulary:
    document = _read_object(path)
    _refuse_other_algorithms(path, document)
    model = _object(path, "'model'", document.get("model"))
    ids = _check_ids(path, model.get("vocab"))
    merges = _list(path, "'merges'", model.get("merges"))
    pairs = [
        (f"merge {rank}", merge.split(" ") if isinstance(merge, str) else merge) for rank, merge in enumerate(merges)
    ]
    added = _check_added(path, _list(path, "'added_tokens'", document.get("added_tokens") or []), ids)
    return Vocabulary(ids, _check_merges(path, pairs, ids), _with_end_of_text(added, ids))


def _refuse_other_algorithms(path: Path, document: dict[str, Any]) -> None:
    """Refuses by name every setting of tokenizer.json under which our ids would differ from the file's meaning.

    Not looked at, since they change no id: truncation and padding (the app's own affair), the decoder, unk_token and
    fuse_unk (text that cannot be spelled is refused instead).
    """

    def refuse(what: str) -> NoReturn:
        raise TokenizerError(f"{path}: {what} is not supported; only GPT-2's plain byte-level BPE is.")

    if document.get("normalizer") is not None:
        refuse(f"the normalizer {_type_name(document['normalizer'])}")
    splitter = document.get("pre_tokenizer")
    if not isinstance(splitter, dict) or _type_name(splitter) != "ByteLevel":
        refuse(f"the pre-tokenizer {_type_name(splitter)}")
    if splitter.get("add_prefix_space", True) is not False:
        refuse("the pre-tokenizer's add_prefix_space = true")
    if splitter.get("use_regex", True) is not True:
        refuse("the pre-tokenizer's use_regex = false")
    after = document.get("post_processor")
    if after is not None and _type_name(after) != "ByteLevel" and not _adds_nothing(after):
        refuse(f"the post-processor {_type_name(after)}, which adds tokens to the text,")
    model = document.get("model")
    if not isinstance(model, dict):
        return  # reported by the caller
    if model.get("type", "BPE") != "BPE":
        refuse(f"the model {_type_name(model)}")
    for field in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"):
        if model.get(field):
            refuse(f"the model's {field}")


def _type_name(part: object) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    return kind[:40] if isinstance(kind, str) else "none" if part is None else "without a type"


def _adds_nothing(template: Any) -> bool:
    """Whether a post-processor is the template that hands the text through, which transformers writes for GPT-2."""
    single = template.get("single") if isinstance(template, dict) else None
    return (
        _type_name(template) == "TemplateProcessing"
        and isinstance(single, list)
        and [list(item) for item in single if isinstance(item, dict)] == [["Sequence"]]
        and len(single) == 1
    )


def _check_ids(path: Path, vocab: object) -> dict[str, int]:
    ids = _object(path, "the vocabulary", vocab)
    if not ids:
        raise TokenizerError(f"{path}: the vocabulary is empty.")
    owner: dict[int, str] = {}
    for token, number in ids.items():
        _check_entry(path, token, number)
        if owner.setdefault(number, token) is not token:
            raise TokenizerError(f"{path}: {owner[number]!r} and {token!r} both have the id {number}.")
    return ids


def _check_entry(path: Path, token: object, number: object) -> None:
    if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARS or not _is_encodable(token):
        raise TokenizerError(f"{path}: the entry {_short(token)} is not a token of Unicode text.")
    if type(number) is not int or not 0 <= number <= MAX_ID:
        raise TokenizerError(
            f"{path}: the id of {_short(token)} is {_short(number)}; ids are whole numbers from 0 to {MAX_ID}."
        )


def _check_merges(path: Path, pairs: Iterable[tuple[str, Any]], ids: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    seen: dict[tuple[str, str], None] = {}  # in order of rank
    for where, pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise TokenizerError(f"{path}: {where} is {_short(pair)}, not a pair of tokens.")
        left, right = pair
        for token in (left, right, left + right):
            if not token or token not in ids:
                raise TokenizerError(f"{path}: {where} needs {_short(token)}, which is not in the vocabulary.")
        if (left, right) in seen:
            raise TokenizerError(f"{path}: {where} repeats the merge of {_short(left)} and {_short(right)}.")
        seen[left, right] = None
    return tuple(seen)


def _check_added(path: Path, entries: list[Any], ids: Mapping[str, int]) -> tuple[AddedToken, ...]:
    taken = {number: token for token, number in ids.items()}
    added: dict[str, AddedToken] = {}
    for entry in entries:
        fields = _object(path, "an added token", entry)
        text, number = fields.get("content"), fields.get("id")
        _check_entry(path, text, number)
        assert isinstance(text, str) and isinstance(number, int)  # by _check_entry
        if not text or text in added:
            raise TokenizerError(f"{path}: the added token {_short(text)} is empty or named twice.")
        if taken.setdefault(number, text) != text or ids.get(text, number) != number:
            raise TokenizerError(f"{path}: the added token {_short(text)} has the id {number} of another token.")
        for flag in ("single_word", "lstrip", "rstrip"):
            if fields.get(flag):
                raise TokenizerError(f"{path}: the added token {_short(text)} asks for {flag}, not supported.")
        special = fields.get("special", False) is True
        added[text] = AddedToken(text, number, special, normalized=fields.get("normalized", not special) is True)
    return tuple(added.values())


def _with_end_of_text(added: tuple[AddedToken, ...], ids: Mapping[str, int]) -> tuple[AddedToken, ...]:
    """GPT-2's own special token is special even if no file says so, as in transformers."""
    if END_OF_TEXT not in ids or any(token.text == END_OF_TEXT for token in added):
        return added
    return (*added, AddedToken(END_OF_TEXT, ids[END_OF_TEXT], special=True))


def _read_bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise TokenizerError(f"{path} is not a regular file.")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TokenizerError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(data) > MAX_FILE_BYTES:
        raise TokenizerError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MB; no GPT-2 tokenizer is.")
    return data


def _read_text(path: Path) -> str:
    try:
        return _read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path} is not UTF-8 text (byte {error.start}); fetch the file again.") from error


def _read_object(path: Path) -> dict[str, Any]:
    return parse_json(_read_bytes(path), what=str(path), error=TokenizerError)


def _object(path: Path, what: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TokenizerError(f"{path}: {what} is not a JSON object.")
    return value


def _list(path: Path, what: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TokenizerError(f"{path}: {what} is not a JSON list.")
    return value


def _is_encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _short(value: object) -> str:
    """A foreign value inside one sentence: escaped to ASCII and never long."""
    if isinstance(value, (list, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    text = ascii(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 80 else text[:77] + "..."
