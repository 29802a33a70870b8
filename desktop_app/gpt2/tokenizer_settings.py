"""What a folder's files say of text beside vocabulary and merges: special tokens, a leading space, a first token.

As transformers 5 reads them: tokenizer_config.json; where that has no `added_tokens_decoder`, special_tokens_map.json
over it, and added_tokens.json beside it. Where transformers 4 gives other ids, docs/models.md says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.tokenizer_files import as_flag, as_id, as_list, as_object, as_token, read_object, short

END_OF_TEXT = "<|endoftext|>"
NEXT = -1

_CONFIG, _MAP, _ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_ASSUMED = ("bos_token", "eos_token", "unk_token")
_LISTS = ("additional_special_tokens", "extra_special_tokens")
_FLAGS = ("lstrip", "rstrip", "single_word")

# Classes of transformers that cut text as GPT-2's does, and those that do whatever tokenizer.json says.
_GPT2 = ("GPT2Tokenizer", "CodeGenTokenizer")
_GENERIC = ("PreTrainedTokenizer", "TokenizersBackend", "PythonBackend")


@dataclass(frozen=True)
class AddedToken:
    """A string that is one token wherever it stands in the text, before any merging."""

    text: str
    id: int
    """NEXT where no file says it: transformers takes the next that is free."""
    special: bool
    normalized: bool = False  # the library looks for these after the others
    lstrip: bool = False
    """It takes the white space in front of it along; `rstrip`, that behind it."""
    rstrip: bool = False
    single_word: bool = False
    """It is found only where no letter or digit touches it."""
    assumed: bool = False
    """No file names it; transformers gives it to every GPT-2 tokenizer."""


@dataclass(frozen=True)
class Settings:
    """The settings of a folder's tokenizer.

    `declared` are tokens with the ids that files give them; `named` those that have a part to play (bos_token, ...), in
    the order in which transformers adds them; `extra` other special ones. None in `named`: set to none on purpose.
    """

    is_gpt2: bool
    """Whether it is GPT-2's own class, for which tokenizer_config.json and not tokenizer.json settles the space."""
    prefix_space: bool
    add_bos: bool
    split_special: bool
    declared: tuple[AddedToken, ...]
    named: Mapping[str, AddedToken | None]
    extra: tuple[AddedToken, ...]


def read_settings(folder: Path, *, one_file: bool) -> Settings:
    """The settings in a folder's files; `one_file` says that it has a tokenizer.json.

    Raises TokenizerError for files that are malformed, or that ask for what would give other ids.
    """
    path = folder / _CONFIG
    config = read_object(path) if path.exists() else {}
    is_gpt2 = _is_gpt2(folder, config, one_file=one_file)
    decoder = config.get("added_tokens_decoder")
    declared: list[AddedToken] = []
    named, where = {name: value for name, value in config.items() if _is_name(name, value)}, dict.fromkeys(config, path)
    extra = [token for name in _LISTS for token in _listed(path, name, config.get(name))]
    if decoder is not None:
        for number, value in as_object(path, "added_tokens_decoder", decoder).items():
            fields = as_object(path, "a token of added_tokens_decoder", value)
            known = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else number
            declared.append(token_with_id(path, fields, known))
    else:
        specials = folder / _MAP
        if specials.exists():
            found = read_object(specials)
            named |= {name: value for name, value in found.items() if _is_name(name, value)}
            where |= dict.fromkeys(found, specials)
            extra = [*extra, *(token for name in _LISTS for token in _listed(specials, name, found.get(name)))]
        added = folder / _ADDED
        if added.exists():
            parts = {_text(value) for value in named.values()} | {token.text for token in extra}
            for text, number in read_object(added).items():
                special = text in parts
                declared.append(token_with_id(added, {"content": text, "special": special}, number))
    if config.get("add_eos_token") and not one_file:  # beside tokenizer.json, transformers passes it over
        raise TokenizerError(
            f"{path}: add_eos_token puts the end of the text behind every prompt, where the next token would be "
            "predicted; set it to false."
        )
    return Settings(
        is_gpt2=is_gpt2,
        prefix_space=as_flag(path, "add_prefix_space", config.get("add_prefix_space")),
        add_bos=as_flag(path, "add_bos_token", config.get("add_bos_token")) and not one_file,
        split_special=as_flag(path, "split_special_tokens", config.get("split_special_tokens")),
        declared=tuple(declared),
        named=_named(named, where, is_gpt2=is_gpt2),
        extra=tuple(extra),
    )


def token_of(path: Path, fields: Mapping[str, Any]) -> AddedToken:
    """An added token as JSON has it, its id aside. Raises TokenizerError."""
    text = as_token(path, fields.get("content"))
    if not text:
        raise TokenizerError(f"{path}: the added token {short(text)} is empty or named twice.")
    special = fields.get("special", False) is True
    return AddedToken(
        text,
        NEXT,
        special,
        normalized=fields.get("normalized", not special) is True,
        **{flag: as_flag(path, f"{flag} of {short(text)}", fields.get(flag)) for flag in _FLAGS},
    )


def token_with_id(path: Path, fields: Mapping[str, Any], number: object) -> AddedToken:
    """An added token with the id that a file gives it. Raises TokenizerError."""
    token = token_of(path, fields)
    return replace(token, id=as_id(path, token.text, number))


def _is_gpt2(folder: Path, config: Mapping[str, Any], *, one_file: bool) -> bool:
    """Whether the tokenizer is of GPT-2's own class, not the one that does what tokenizer.json says.

    Raises TokenizerError for other classes.
    """
    path = folder / _CONFIG
    kind = config.get("tokenizer_class")
    if kind is None and (model := folder / "config.json").is_file():
        path, kind = model, read_object(model).get("tokenizer_class")
    if kind is None:
        return True
    name = kind.removesuffix("Fast") if isinstance(kind, str) else ""
    if name in _GPT2 or (name in _GENERIC and not one_file):
        return True
    if name in _GENERIC:
        return False
    raise TokenizerError(
        f"{path}: the tokenizer is a {short(kind)}, which does not cut text as GPT-2's does; only GPT2Tokenizer, and "
        "PreTrainedTokenizerFast with a tokenizer.json like GPT-2's, can be used."
    )


def _is_name(name: str, value: object) -> bool:
    """Whether a key names a special token: one of the seven, or a model's own like `image_token`."""
    return name in _NAMES or (name.endswith("_token") and isinstance(value, str))


def _text(value: object) -> object:
    return value.get("content") if isinstance(value, dict) else value


def _special(path: Path, value: object) -> AddedToken:
    if isinstance(value, str):
        return token_of(path, {"content": value, "special": True})
    return token_of(path, as_object(path, "a special token", value) | {"special": True})


def _listed(path: Path, name: str, value: object) -> list[AddedToken]:
    """The tokens of `additional_special_tokens` and the like: a list, or an object of named ones."""
    if value is None:
        return []
    values = value.values() if isinstance(value, dict) else as_list(path, name, value)
    # In tokenizer_config.json, an object says itself whether it is special.
    return [
        token_of(path, item) if path.name == _CONFIG and isinstance(item, dict) else _special(path, item)
        for item in values
    ]


def _named(values: Mapping[str, object], where: Mapping[str, Path], *, is_gpt2: bool) -> dict[str, AddedToken | None]:
    named: dict[str, AddedToken | None] = {}
    for name in (*_NAMES, *(name for name in values if name not in _NAMES)):
        if name in values:
            named[name] = None if values[name] is None else _special(where[name], values[name])
        elif is_gpt2 and name in _ASSUMED:
            named[name] = AddedToken(END_OF_TEXT, NEXT, special=True, assumed=True)
    return named
