"""A folder's tokenizer settings other than vocabulary and merges: special tokens, a leading space, a first token.

They are read as in transformers 5: from tokenizer_config.json and, if that has no `added_tokens_decoder`, also from
special_tokens_map.json, which takes precedence, and from added_tokens.json. docs/models.md says where transformers 4
gives other ids.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.tokenizer_files import (
    as_flag,
    as_id,
    as_list,
    as_object,
    as_token,
    check_count,
    read_object,
    short,
)

END_OF_TEXT = "<|endoftext|>"
NEXT = -1

_CONFIG, _MAP, _ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_ASSUMED = ("bos_token", "eos_token", "unk_token")
_LISTS = ("additional_special_tokens", "extra_special_tokens")
_FLAGS = ("lstrip", "rstrip", "single_word")

# Classes of transformers that tokenize like GPT-2's, and those that follow tokenizer.json.
_GPT2 = ("GPT2Tokenizer", "CodeGenTokenizer")
_GENERIC = ("PreTrainedTokenizer", "TokenizersBackend", "PythonBackend")


@dataclass(frozen=True)
class AddedToken:
    """A string that is one token wherever it occurs in the text, before any merging."""

    text: str
    id: int
    """NEXT if no file gives it; transformers then assigns the next free id."""
    special: bool
    normalized: bool = False  # the tokenizers library searches for these after the others
    lstrip: bool = False
    """Whether it absorbs white space before it; `rstrip`, white space after it."""
    rstrip: bool = False
    single_word: bool = False
    """Whether it is recognised only if no letter or digit is adjacent."""
    assumed: bool = False
    """Whether no file names it, and transformers gives it to every GPT-2 tokenizer."""


@dataclass(frozen=True)
class Settings:
    """The settings of a folder's tokenizer.

    `declared` are tokens with the ids that files give them. `named` are tokens with a role (bos_token, ...), in the
    order in which transformers adds them; None means that a role is explicitly set to null. `extra` are other special
    tokens.
    """

    is_gpt2: bool
    """Whether it is of GPT-2's own class, for which tokenizer_config.json decides about a leading space."""
    prefix_space: bool
    add_bos: bool
    split_special: bool
    declared: tuple[AddedToken, ...]
    named: Mapping[str, AddedToken | None]
    extra: tuple[AddedToken, ...]


def read_settings(folder: Path, *, one_file: bool) -> Settings:
    """The settings in a folder's files; `one_file` says that it has a tokenizer.json.

    Raises TokenizerError for files that are malformed, or whose settings would give other ids.
    """
    path = folder / _CONFIG
    config = read_object(path) if path.exists() else {}
    is_gpt2 = _is_gpt2(folder, config, one_file=one_file)
    if config.get("add_eos_token") and not one_file:  # transformers ignores it if there is a tokenizer.json
        raise TokenizerError(
            f"{path}: add_eos_token appends the end-of-text token to every prompt, so that the prediction would "
            "follow it; set it to false."
        )
    named = _roles(path, config)
    extra = _extra(path, config)
    decoder = config.get("added_tokens_decoder")
    if decoder is not None:
        declared = _by_id(path, as_object(path, "added_tokens_decoder", decoder))
    else:
        specials, added = folder / _MAP, folder / _ADDED
        if specials.exists():
            found = read_object(specials)
            named |= _roles(specials, found)
            extra += _extra(specials, found)
        special = {token.text for token in (*named.values(), *extra) if token is not None}
        declared = _by_text(added, read_object(added), special) if added.exists() else []
    return Settings(
        is_gpt2=is_gpt2,
        prefix_space=as_flag(path, "add_prefix_space", config.get("add_prefix_space")),
        add_bos=as_flag(path, "add_bos_token", config.get("add_bos_token")) and not one_file,
        split_special=as_flag(path, "split_special_tokens", config.get("split_special_tokens")),
        declared=tuple(declared),
        named=_in_order(named, is_gpt2=is_gpt2),
        extra=tuple(extra),
    )


def token_of(path: Path, fields: Mapping[str, Any]) -> AddedToken:
    """An added token from its JSON, without the id. Raises TokenizerError."""
    text = as_token(path, fields.get("content"))
    if not text:
        raise TokenizerError(f"{path}: an added token is the empty string.")
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
    """Whether the tokenizer is of GPT-2's own class, not of the class that follows tokenizer.json.

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


def _roles(path: Path, fields: Mapping[str, Any]) -> dict[str, AddedToken | None]:
    """The tokens with a role: the seven roles of transformers, and a model's own, like `image_token`."""
    return {
        name: None if value is None else _special(path, value)
        for name, value in fields.items()
        if name in _NAMES or (name.endswith("_token") and isinstance(value, str))
    }


def _in_order(named: Mapping[str, AddedToken | None], *, is_gpt2: bool) -> dict[str, AddedToken | None]:
    """`named` in the order in which transformers adds the tokens, with those that every GPT-2 tokenizer has."""
    assumed = AddedToken(END_OF_TEXT, NEXT, special=True, assumed=True)
    first: dict[str, AddedToken | None] = {}
    for name in _NAMES:
        if name in named:
            first[name] = named[name]
        elif is_gpt2 and name in _ASSUMED:
            first[name] = assumed
    return first | {name: token for name, token in named.items() if name not in _NAMES}


def _extra(path: Path, fields: Mapping[str, Any]) -> list[AddedToken]:
    """The tokens of `additional_special_tokens` and similar fields: lists of tokens, or objects of name -> token."""
    tokens = []
    for name in _LISTS:
        value = fields.get(name) or []
        values = [*value.values()] if isinstance(value, dict) else as_list(path, name, value)
        check_count(path, values)
        # In tokenizer_config.json, an object itself says whether it is special.
        own = path.name == _CONFIG
        tokens += [token_of(path, v) if own and isinstance(v, dict) else _special(path, v) for v in values]
    return tokens


def _by_id(path: Path, decoder: Mapping[str, Any]) -> list[AddedToken]:
    check_count(path, decoder)
    tokens = []
    for number, value in decoder.items():
        fields = as_object(path, "a token of added_tokens_decoder", value)
        known = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else number
        tokens.append(token_with_id(path, fields, known))
    return tokens


def _by_text(path: Path, listed: Mapping[str, Any], special: Collection[str]) -> list[AddedToken]:
    check_count(path, listed)
    return [
        token_with_id(path, {"content": text, "special": text in special}, number) for text, number in listed.items()
    ]


def _special(path: Path, value: object) -> AddedToken:
    if isinstance(value, str):
        return token_of(path, {"content": value, "special": True})
    return token_of(path, as_object(path, "a special token", value) | {"special": True})
