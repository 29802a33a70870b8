"""Sums of tokens as text: "uncle - man + woman", optionally followed by "= aunt" to request the rank of that token.

A plain word stands for the token with a leading space, as it occurs within a text; a word in quotes, like 'ing', stands
for the token exactly as written. Signs and words are separated by spaces.
"""

import re
from dataclasses import dataclass

from desktop_app.core.analysis.directions import Term
from desktop_app.gpt2.errors import LogitscopeError, TokenizerError
from desktop_app.gpt2.tokenizer import Tokenizer

_PIECE = re.compile(r"""'[^']+'(?!\S)|"[^"]+"(?!\S)|\S+""")
_SIGNS = {"+": 1, "-": -1, "\N{MINUS SIGN}": -1}
LIMIT = 400
"""The maximum number of characters in a sum."""


@dataclass(frozen=True)
class Sum:
    """The terms of a sum, and the token whose rank was requested."""

    terms: tuple[Term, ...]
    answer: int | None = None


def parse_sum(text: str, tokenizer: Tokenizer) -> Sum:
    """The sum that a text describes. Raises LogitscopeError that names the fault, TokenizerError for a bad word."""
    if len(text) > LIMIT:
        raise LogitscopeError(f"The sum has {len(text):,} characters; give at most {LIMIT}, like uncle - man + woman.")
    pieces = [match[0] for match in _PIECE.finditer(text)]
    answer = None
    if "=" in pieces:
        at = pieces.index("=")
        pieces, behind = pieces[:at], pieces[at + 1 :]
        if len(behind) != 1 or behind[0] in _SIGNS:
            raise LogitscopeError(f"After = there must be one word, as in: uncle - man + woman = aunt; got {text!r}.")
        answer = token_of(behind[0], tokenizer)
    if pieces and pieces[0] not in _SIGNS:
        pieces = ["+", *pieces]
    signs, words = pieces[::2], pieces[1::2]
    if len(signs) != len(words) or not words or any(s not in _SIGNS for s in signs) or any(w in _SIGNS for w in words):
        raise LogitscopeError(
            f"{text!r} is not a sum of tokens; separate words and signs by spaces, as in: uncle - man + woman."
        )
    terms = tuple(Term(_SIGNS[s], token_of(w, tokenizer)) for s, w in zip(signs, words, strict=True))
    return Sum(terms, answer)


def token_of(word: str, tokenizer: Tokenizer) -> int:
    """The token for which a word stands. Raises TokenizerError unless it is a single token."""
    quoted = len(word) > 2 and word[0] == word[-1] and word[0] in "'\""
    text = word[1:-1] if quoted else f" {word}"
    ids = tokenizer.encode(text).ids
    if len(ids) != 1:
        hint = "" if quoted else ", with the space before it"
        raise TokenizerError(f"{text[:40]!r} {tokenizer.counted(ids)}{hint}; a sum takes single tokens.")
    return ids[0]


def written(found: Sum, tokenizer: Tokenizer) -> str:
    """The terms of a sum in display form: the tokens' labels with their signs."""
    words = [("+" if t.sign > 0 else "\N{MINUS SIGN}", tokenizer.label(t.token).removeprefix("·")) for t in found.terms]
    text = " ".join(f"{sign} {word}" for sign, word in words)
    return text.removeprefix("+ ")
