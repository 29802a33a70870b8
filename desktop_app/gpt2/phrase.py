"""Displayed text that can be translated: an English string that stores the parts from which it was made.

`Phrase("head {1}", 3)` is the string "head 3". Code that shows English needs no more. For another language, the key
"head {1}" is looked up in its table (`figures/language.py`), and the values are inserted into the translation. A string
of any other type is data (a token, the name of a tensor, a formula) and is never translated, even if it is English.
"""

from collections.abc import Iterable
from typing import Self


class Phrase(str):
    """English text. `key` has placeholders {1}, {2} ... for `values`: phrases, counts, or objects inserted as text."""

    __slots__ = ("key", "values")
    key: str
    values: tuple[object, ...]

    def __new__(cls, key: str, *values: object) -> Self:
        """The text of `key` with the values inserted."""
        made = super().__new__(cls, key.format("", *values) if values else key)
        made.key, made.values = key, values
        return made

    def __reduce__(self) -> tuple[type[str], tuple[object, ...]]:
        return type(self), (self.key, *self.values)


class Capital(Phrase):
    """Another phrase with a capital first letter, as at the beginning of a sentence or a heading."""

    __slots__ = ()

    def __new__(cls, words: str) -> Self:
        """`words` with a capital first letter."""
        made = str.__new__(cls, capital(words))
        made.key, made.values = "{1}", (words,)
        return made

    def __reduce__(self) -> tuple[type[str], tuple[object, ...]]:
        return Capital, self.values


class Sentences(Phrase):
    """Consecutive sentences, each a separate phrase; the first can be used alone."""

    __slots__ = ()

    def __new__(cls, *sentences: str) -> Self:
        """All of them, separated by spaces."""
        key = " ".join(f"{{{n}}}" for n in range(1, len(sentences) + 1))
        return super().__new__(cls, key, *sentences)

    def __reduce__(self) -> tuple[type[str], tuple[object, ...]]:
        return Sentences, self.values

    @property
    def first(self) -> str:
        """The first sentence, which is a phrase if it was given as one."""
        first = self.values[0]
        assert isinstance(first, str)
        return first


def first_sentence(lead: str) -> str:
    """The part of a lead that is shown where it has to be short, as in a lecture: its first sentence."""
    return lead.first if isinstance(lead, Sentences) else lead


def capital(text: str) -> str:
    """A text with a capital first letter."""
    return text[:1].upper() + text[1:]


class Count(str):
    """A number with thousands separators, which differ between languages."""

    __slots__ = ("decimals", "number")
    number: float
    decimals: int

    def __new__(cls, number: float, decimals: int = 0) -> Self:
        """`number` with `decimals` decimals."""
        made = super().__new__(cls, f"{number:,.{decimals}f}")
        made.number, made.decimals = number, decimals
        return made

    def __reduce__(self) -> tuple[type[str], tuple[object, ...]]:
        return Count, (self.number, self.decimals)

    def apart(self, sign: str) -> str:
        """The number with `sign` as thousands separator."""
        return f"{self.number:,.{self.decimals}f}".replace(",", sign)


def joined(sign: str, parts: Iterable[str]) -> str:
    """`sign.join(parts)` as a phrase, so that each part can still be translated."""
    parts = tuple(parts)
    if len(parts) < 2:
        return "".join(parts) if not parts else parts[0]
    return Phrase(sign.join(f"{{{n}}}" for n in range(1, len(parts) + 1)), *parts)
