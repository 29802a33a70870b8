"""Short stories: from a grammar of plots (`data/stories/grammar.txt`), and hand-written ones (`by_hand.txt`)."""

from __future__ import annotations

import random
import re

import words as w
from templates import Template

Rng = random.Random
BY_HAND_SHARE = 0.08
_CALL = re.compile(r"\[([a-z ]+)\]")
_BREAK = re.compile(r" ?\\n ?")  # a line break, as it is written in the files


def read_grammar() -> dict[str, list[str]]:
    """Read the sections of the grammar, each a list of alternatives.

    Raises:
        ValueError: a line refers to a missing section.
    """
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in (w.DATA / "stories" / "grammar.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            current = sections.setdefault(line.removeprefix("== "), [])
        elif line and not line.startswith("#"):
            current.append(line)
    for lines in sections.values():
        for called in (name for line in lines for name in _CALL.findall(line)):
            if called not in sections:
                raise ValueError(f"The stories' grammar has no section [{called}]; write one or correct the name.")
    return sections


GRAMMAR = read_grammar()
BY_HAND = [text for text in (w.DATA / "stories" / "by_hand.txt").read_text(encoding="utf-8").split("\n\n") if text]


def _expand(section: str, rng: Rng) -> str:
    return _CALL.sub(lambda call: _expand(call[1], rng), rng.choice(GRAMMAR[section]))


def story(rng: Rng) -> str:
    """Return one story; a slot is filled with the same word throughout."""
    if rng.random() < BY_HAND_SHARE:
        return _BREAK.sub("\n", rng.choice(BY_HAND).strip())
    return _BREAK.sub("\n", Template("stories", _expand("story", rng)).fill(rng).text)
