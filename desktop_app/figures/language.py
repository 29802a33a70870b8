"""Figures in other languages: a finished view is translated by a table in resources/languages.

Views are made of phrases (`gpt2/phrase.py`). The table translates the key of each, such as "{1} of {2} neurons above
zero"; text that is not a phrase (a token, a tensor's name, a number) stays unchanged, even if it reads like one.
"""

import tomllib
from dataclasses import replace
from functools import cache
from string import Formatter

from desktop_app.core.panels import (
    AnyPanel,
    Box,
    View,
)
from desktop_app.core.program.bundle import ENGLISH, resource
from desktop_app.core.steps import texts
from desktop_app.figures.kinds import KINDS
from desktop_app.figures.panel_phrases import Say
from desktop_app.gpt2.phrase import Capital, Count, Phrase, capital

_GAP = "\u00a0"  # separates thousands: a comma would be read as a decimal sign in many languages


def language_name(language: str) -> str:
    """A language's name for itself."""
    return "English" if language == ENGLISH else translator_of(language).name


class Translator:
    """Puts phrases into one language. `missed` collects the keys that its table does not have."""

    def __init__(self, language: str) -> None:
        table = tomllib.loads(resource("languages", f"{language}.toml").read_text(encoding="utf-8"))
        self.name: str = table["name"]
        self._words = {_flat(key): _flat(key) for key in table["keep"]}
        self._words |= {_flat(key): _flat(value) for key, value in table["labels"].items()}
        for op, said in table["steps"].items():
            for part, value in said.items():
                own = getattr(texts()[op], part)
                keys = [own] if isinstance(value, str) else own.values
                self._words |= {str(k): _flat(v) for k, v in zip(keys, _listed(value), strict=True)}
        self.missed: set[str] = set()

    def __call__(self, text: str) -> str:
        """The text in this language; unchanged where it is not a phrase, or is not in the table."""
        if isinstance(text, Count):
            return text.apart(_GAP)
        if not isinstance(text, Phrase):
            return text
        values = [self(value) if isinstance(value, str) else value for value in text.values]
        if isinstance(text, Capital):
            return capital(str(values[0]))
        words = self._words.get(text.key)
        if words is None:
            words = text.key
            if has_words(words):
                self.missed.add(words)
        return words.format("", *values) if values else words


def has_words(key: str) -> bool:
    """Whether a key has more than signs between its values, and so needs translation."""
    return any(c.isalpha() for literal, *_ in Formatter().parse(key) for c in literal)


def _listed(words: str | list[str]) -> list[str]:
    return [words] if isinstance(words, str) else words


def _flat(text: str) -> str:
    return " ".join(text.split())


@cache
def translator_of(language: str) -> Translator:
    """The table of a language other than English, read once."""
    return Translator(language)


def translator(language: str) -> Say:
    """The function that translates English words into a language of `languages()`."""
    return _as_it_is if language == ENGLISH else translator_of(language)


def _as_it_is(text: str) -> str:
    return text


def translated(view: View, say: Say) -> View:
    """The view in another language."""
    return View(capital(say(view.title)), say(view.lead), _box(view.content, say), say(view.badge))


def _box(box: Box, say: Say) -> Box:
    children = tuple(_box(c, say) if isinstance(c, Box) else _panel(c, say) for c in box.children)
    return replace(box, children=children, wide=_box(box.wide, say) if box.wide is not None else None)


def _panel(panel: AnyPanel, say: Say) -> AnyPanel:
    more = KINDS[type(panel)].phrases(panel, say)
    return replace(panel, title=say(panel.title), note=say(panel.note), **more)
