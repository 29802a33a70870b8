"""Phrasings with slots, read from `data/phrasings/*.txt` (one file for each skill), and how their slots are filled.

A line is a phrasing. `{country}` is a slot of words.toml, `{country2}` another row of the same table, `{day+1}` the row
after `{day}`, `{Animal}` begins with a capital, `{x|y}` is x or y (which may contain slots), `{madeup}` an invented
word. The text in `<...>` is the answer by which the skill is measured. A line without an answer is for training only.
Phrasings after the line `## held out` are never trained on: they were drawn by chance from all that were written. Nor
are those after `## held out, unlike the others`, which share no more than half of their word pairs with any phrasing
that is trained on. `## choices 2` gives the number of sensible answers if it
differs from the number of words that can fill the answer's slot.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import words as w
from invented import made_up_word

Rng = random.Random
HELD_OUT = "## held out"
UNLIKE = "## held out, unlike the others"
MADE_UP = "madeup"
_SLOT = re.compile(r"\{([A-Za-z_]+)(\d*)([+-]\d+)?\}")
_CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")
_CHOICES = re.compile(r"^## choices (\d+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Passage:
    """One passage: `prompt + answer + rest` is its text.

    `choices` is the number of sensible answers, which sets the chance level; `held_out` marks a phrasing that is never
    trained on; the answer is empty if the passage has none.
    """

    skill: str
    prompt: str
    answer: str
    rest: str
    choices: int
    held_out: bool = False

    @property
    def text(self) -> str:
        """The whole passage."""
        return self.prompt + self.answer + self.rest

    def is_answered_by(self, token: str, first: str) -> bool:
        """Tell whether a token answers: the first of the answer, or all of it and a mark (`".` closes a quote, too)."""
        more = token.removeprefix(self.answer)
        return token == first or (more != token and not more[:1].isalnum())


def with_articles(text: str) -> str:
    """Write `an` before a vowel (`an owl`), but not before `ewe`, `one`, `uni...`, `use...`."""
    return re.sub(r"\b([aA]) (?=<?[aeiouAEIO])(?!<?(?:ewe\b|one\b|uni|use|Eu))", r"\1n ", text)


@dataclass(frozen=True)
class Slot:
    """A slot: a column, an index (different indices draw different rows of its table), and an offset in rows."""

    column: str
    index: str
    offset: int
    capital: bool

    @staticmethod
    def of(match: re.Match[str]) -> Slot:
        """Parse a slot from a match."""
        column = match[1] if match[1] in w.SLOTS else match[1].lower()
        return Slot(column, match[2], int(match[3] or 0), match[1][0].isupper() and column != match[1])

    @property
    def key(self) -> tuple[int, str]:
        """The key by which a row is drawn: one for each table and index, shared by all columns of the table."""
        return (0 if self.column == MADE_UP else id(w.SLOTS[self.column]), self.index)


@dataclass(frozen=True)
class Template:
    """One phrasing of a skill; `choices` as in `Passage`, or 0 to count the words of the answer's slot.

    `unlike` marks a held-out phrasing that was written to resemble none that is trained on.
    """

    skill: str
    text: str
    held_out: bool = False
    stated_choices: int = 0
    unlike: bool = False

    @cached_property
    def slots(self) -> list[Slot]:
        """The slots in order.

        Raises:
            ValueError: a slot names no column, or two answers are marked.
        """
        if self.text.count("<") > 1:
            raise ValueError(f"A phrasing of {self.skill} has two answers; mark one: {self.text}")
        found = [Slot.of(match) for match in _SLOT.finditer(self.text)]
        for slot in found:
            if slot.column not in w.SLOTS and slot.column != MADE_UP:
                raise ValueError(f"In the phrasings of {self.skill} no slot is called {{{slot.column}}}: {self.text}")
        return found

    @cached_property
    def choices(self) -> int:
        """The number of sensible answers: as stated, or the number of different words for the answer's slot."""
        answer = re.search(r"<([^<>]*)>", self.text)
        if not answer:
            return 0
        slot = _SLOT.search(answer[1])
        if self.stated_choices or not slot or Slot.of(slot).column == MADE_UP:
            return self.stated_choices or 2
        return len(set(w.words(Slot.of(slot).column)))

    def _draw(self, rng: Rng) -> dict[tuple[int, str], int | str]:
        """Draw a row for every table and index; no two rows begin with the same word."""
        tables = {slot.key: w.SLOTS.get(slot.column) for slot in self.slots}
        offsets = {key: [slot.offset for slot in self.slots if slot.key == key] for key in tables}
        while True:
            rows: dict[tuple[int, str], int | str] = {}
            firsts = []
            for key, table in tables.items():
                if table is None:
                    rows[key] = made_up_word(rng)
                    continue
                low, high = 0, len(table.rows)
                if table.order == "sequence":
                    low, high = max(0, -min(offsets[key])), high - max(0, *offsets[key])
                row = rng.randrange(low, high)
                rows[key] = row
                firsts.append(table.rows[row][0])
            if len(firsts) == len(set(firsts)):
                return rows

    def fill(self, rng: Rng) -> Passage:
        """Return a passage with every slot filled."""
        rows = self._draw(rng)

        def word(match: re.Match[str]) -> str:
            slot = Slot.of(match)
            row = rows[slot.key]
            if isinstance(row, str):
                found = row
            else:
                column = w.words(slot.column)
                found = column[(row + slot.offset) % len(column)]
            return found[0].upper() + found[1:] if slot.capital else found

        text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), _SLOT.sub(word, self.text))
        text = with_articles(text)
        start, end = text.find("<"), text.find(">")
        if start < 0:
            return Passage(self.skill, text, "", "", 0, self.held_out)
        prompt = text[:start].removesuffix(" ")
        answer = text[len(prompt) : end].replace("<", "")
        return Passage(self.skill, prompt, answer, text[end + 1 :], self.choices, self.held_out)


def read(folder: Path = w.DATA / "phrasings") -> dict[str, list[Template]]:
    """Read the phrasings of every skill; a skill's name is that of its file."""
    skills = {}
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        stated = _CHOICES.search(text)
        text, _, unlike = text.partition(UNLIKE + "\n")
        training, _, held_out = text.partition(HELD_OUT + "\n")
        skills[path.stem] = [
            Template(path.stem, line.strip(), lines is not training, int(stated[1]) if stated else 0, lines is unlike)
            for lines in (training, held_out, unlike)
            for line in lines.splitlines()
            if line.strip() and not line.startswith("#")
        ]
    return skills
