"""Labels of figures in other languages: a finished view is put into words of a table in resources/languages.

Views are made in English. What is written on a figure is looked up as a whole or as a template, such as
"{1} of {2} neurons above zero"; names of tensors, tokens and numbers stay as they are.
"""

import re
import tomllib
from dataclasses import replace
from functools import cache

from desktop_app.core.bundle import resource
from desktop_app.core.panels import (
    AnyPanel,
    Box,
    View,
)
from desktop_app.core.steps import texts
from desktop_app.figures.kinds import KINDS
from desktop_app.figures.panel_phrases import Say
from desktop_app.gpt2.phrase import Capital, Count, Phrase

ENGLISH = "en"
_PLACE = re.compile(r"\{(=?\d)\}")
_TENSOR = re.compile(r"[A-Za-z]+\d?(?:[._]\w+)+(?:\[[\d, ]+\])?(?: = \S+)?")  # W_E[12], blocks.0.attn.q = 0.31
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+")
_GAP = "\u00a0"


@cache
def languages() -> tuple[str, ...]:
    """The languages that there are, English first."""
    return (ENGLISH, *sorted(path.stem for path in resource("languages").glob("*.toml")))


def language_name(language: str) -> str:
    """What a language calls itself."""
    return "English" if language == ENGLISH else translator_of(language).name


class Translator:
    """Looks words up in the table of one language. `missed` collects what the table does not have."""

    def __init__(self, language: str) -> None:
        table = tomllib.loads(resource("languages", f"{language}.toml").read_text(encoding="utf-8"))
        self.name: str = table["name"]
        words = {_flat(key): _flat(key) for key in table["keep"]}
        words |= {_flat(key): _flat(value) for key, value in table["labels"].items()}
        for op, said in table["steps"].items():
            words |= {getattr(texts()[op], part): _flat(value) for part, value in said.items()}
        self._words = {key.replace("{=", "{"): value for key, value in words.items()}
        self._exact = {key: value for key, value in words.items() if "{" not in key}
        templates = sorted((key for key in words if "{" in key), key=lambda k: -len(_PLACE.sub("", k)))
        self._templates = [(_pattern(key), _order(key), words[key]) for key in templates]
        self._said: dict[str, str] = {}
        self.missed: set[str] = set()

    def __call__(self, text: str) -> str:
        """The text in this language; as it is where the table does not have it."""
        if isinstance(text, Phrase | Count):
            return self._told(text)
        if text not in self._said:
            self._said[text] = self._look_up(text)
        return self._said[text]

    def _told(self, text: Phrase | Count) -> str:
        """A phrase by its key, and its values likewise."""
        if isinstance(text, Count):
            return text.apart(_GAP)
        if isinstance(text, Capital):
            return _capital(self(str.__str__(text) if not isinstance(text.values[0], Phrase) else text.values[0]))
        words = self._words.get(text.key)
        if words is None and any(c.isalpha() for c in _PLACE.sub("", text.key)):
            self.missed.add(text.key)
        values = [self._value(n, value, words) for n, value in enumerate(text.values, 1)]
        words = text.key if words is None else words.replace("{=", "{")
        return words.format("", *values) if values else words

    def _value(self, place: int, value: object, words: str | None) -> object:
        """A value of a phrase; one that is no phrase yet is looked up where its place asks for it."""
        if not isinstance(value, str) or isinstance(value, Phrase | Count):
            return self(value) if isinstance(value, str) else value
        return self(value) if words is not None and f"{{={place}}}" in words else grouped(value)

    def _look_up(self, text: str) -> str:
        if not re.search("[A-Za-z]{2}", text) or _TENSOR.fullmatch(text):
            return grouped(text)
        for found in (text, text[:1].lower() + text[1:]):
            if found in self._exact:
                return self._exact[found] if found == text else _capital(self._exact[found])
        for pattern, order, said in self._templates:
            match = pattern.fullmatch(text)
            if match:
                held = {place.strip("="): text for place, text in zip(order, match.groups(), strict=True)}
                parts = _PLACE.split(said)
                return "".join(self._held(held, part) if n % 2 else part for n, part in enumerate(parts))
        self.missed.add(text)
        return text

    def _held(self, held: dict[str, str], place: str) -> str:
        """What stands at a place of a template: as it is, or put into other words where the place asks for that."""
        text = held[place.strip("=")]
        return self(text) if place.startswith("=") else grouped(text)


def grouped(text: str) -> str:
    """A number with spaces between its thousands: a comma is a decimal sign to half of all readers."""
    return text.replace(",", _GAP) if _GROUPED.fullmatch(text) else text


def _flat(text: str) -> str:
    return " ".join(text.split())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _pattern(key: str) -> re.Pattern[str]:
    return re.compile("(.+)".join(map(re.escape, _PLACE.split(key)[::2])), re.DOTALL)


def _order(key: str) -> list[str]:
    return _PLACE.findall(key)


@cache
def translator_of(language: str) -> Translator:
    """The table of a language other than English, read once."""
    return Translator(language)


def translator(language: str) -> Say:
    """What puts English words into a language of `languages()`."""
    return _as_it_is if language == ENGLISH else translator_of(language)


def _as_it_is(text: str) -> str:
    return text


def translated(view: View, say: Say) -> View:
    """The view in another language."""
    where, dash, title = ("", "", "") if isinstance(view.title, Phrase) else view.title.rpartition(" — ")
    head = f"{say(where)}{dash}{say(title)}" if dash else say(view.title)
    lead = say(view.lead) if view.lead else ""
    return View(_capital(head), lead, _box(view.content, say), say(view.badge) if view.badge else "")


def _box(box: Box, say: Say) -> Box:
    children = tuple(_box(c, say) if isinstance(c, Box) else _panel(c, say) for c in box.children)
    return replace(box, children=children, wide=_box(box.wide, say) if box.wide is not None else None)


def _panel(panel: AnyPanel, say: Say) -> AnyPanel:
    more = KINDS[type(panel)].phrases(panel, say)
    return replace(panel, title=say(panel.title), note=_joined(panel.note, say), **more)


def _joined(note: str, say: Say) -> str:
    """A note's parts, each by itself."""
    return say(note) if isinstance(note, Phrase) else " · ".join(map(say, note.split(" · ")))


def caption_in(words: str, say: Say) -> str:
    """A caption: the prompt in its quotes stays, the parts after it are put into other words."""
    if isinstance(words, Phrase):
        return say(words)
    prompt, mark, rest = words.rpartition("” · ")
    return prompt + mark + " · ".join(map(say, rest.split(" · ")))
