"""Lists that occur twice in a passage (of common words, made-up ones, codes, names): the first predicts the second."""

from __future__ import annotations

import random

import words as w
from invented import code_word, made_up_word
from templates import Passage

Rng = random.Random
SKILL = "repeated lists"
GLUES = (" ", " ", ", ", ", ", "; ", " and ")
# Each row: relative frequencies of common words, made-up words, codes, names and word pieces; a list uses one row.
SHARES = ((6, 4, 0, 2, 0), (4, 3, 2, 1, 1), (1, 1, 6, 0, 2), (1, 0, 0, 0, 0), (1, 0, 0, 0, 0), (0, 1, 3, 1, 4))
# The text around a repeated list: before, between, after.
FRAMES = (
    ("{a} said: ", ". The parrot said it after him: ", "."),
    ('"', '," said {b}. "', '," said the echo.'),
    ("{b} wrote on the wall: ", ". Then she said it aloud: ", "."),
    ("The song of the {animal} went: ", ". And once more: ", "."),
    ("The secret code was ", ". {a} wrote it down: ", "."),
    ("", ". ", "."),
    ("", "{glue}", "."),
    ("", "{glue}", "{glue}{list}."),
)
FRAMES_HELD_OUT = (
    ("In the morning {b} called out: ", ". In the evening she called out again: ", "."),
    ("The list of {a}: ", ". The list of {b}: ", "."),
)
_COMMON = sorted({
    word
    for slot in ("animal", "animals", "thing", "things", "place", "adjective", "quality", "colour_word", "food",
                 "number", "person", "plant", "furniture")
    for word in w.words(slot)
})  # fmt: skip


def words(rng: Rng) -> tuple[str, ...]:
    """Draw 2 to 30 different words, so that each word determines the next one."""
    makers = (
        lambda: rng.choice(_COMMON),
        lambda: made_up_word(rng),
        lambda: code_word(rng),
        lambda: rng.choice((*w.words("name"), *w.words("surname"))),
        lambda: rng.choice(w.words("piece")),
    )
    shares, count = rng.choice(SHARES), rng.choice((rng.randint(3, 6), rng.randint(4, 12), rng.randint(13, 30)))
    found: dict[str, None] = {}
    while len(found) < count:
        found.setdefault(rng.choices(makers, shares)[0]())
    return tuple(found)


def repeated(rng: Rng, held_out: bool) -> Passage:
    """Return a repeated list; the answer is a word of the second copy that comes after at least two words of it."""
    items, glue = words(rng), rng.choice(GLUES)
    cut = rng.randint(min(2, len(items) - 1), len(items) - 1)
    before, between, after = (
        part.format(
            a=rng.choice(w.words("boy")), b=rng.choice(w.words("girl")), animal=rng.choice(w.words("animal")),
            glue=glue, list=glue.join(items),
        )
        for part in rng.choice(FRAMES_HELD_OUT if held_out else FRAMES)
    )  # fmt: skip
    prompt = before + glue.join(items) + between + glue.join(items[:cut]) + glue.rstrip()
    rest = "".join(glue + item for item in items[cut + 1 :]) + after
    return Passage(SKILL, prompt, f" {items[cut]}", rest, len(items), held_out)
