"""Short English passages, each for one skill: for training and, in held-out phrasings, for evaluation.

    python passages.py --seed 3 --count 20          prints some passages
    python passages.py --held-out capitals          prints evaluation items

No passage contains any of the plain sentences that the model is tested on (`plain.py`).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice

import plain
import repeats
import stories
import templates
import words as w
from templates import Passage

Rng = random.Random
TEMPLATES = templates.read()
STORY = "stories"
# Relative frequencies of skills; those not listed have 3.
SHARES = {
    "capitals": 8, "colours": 8, "opposites": 9, "pronouns": 9, "number agreement": 9, "giver and receiver": 13,
    "counting": 7, "everyday sentences": 9, "repeated lists": 4, "places": 7, "returning names": 8, "made-up words": 9,
    "words with several meanings": 9, "adjectives before nouns": 8, "repeated sentences": 7, "plurals": 9, "seasons": 6,
    "tools and trades": 8, "young of animals": 7, "closing quotes and brackets": 5, "days": 4, "months": 4, STORY: 6,
}  # fmt: skip
FRAMED = {"capitals", "colours", "counting", "days", "months", "opposites", "places", "plurals", "seasons",
          "tools and trades", "young of animals"}  # fmt: skip
FRAMED_SHARE = 0.25
FRAMES = [line for line in (w.DATA / "frames.txt").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
PROPER = {word.split(" ")[0] for slot in ("name", "surname", "country", "capital", "nation", "people_word", "day",
          "month", "sight", "town", "land") for word in w.words(slot)} - {"the"} | {"I"}  # fmt: skip
# First words of letters and commands, which no frame fits.
NOT_STATED = {"Dear", "Write", "Count", "Say", "Do", "Tell", "Name", "Fill", "Take", "Go", "Look", "Learn", "Imagine",
              "Think", "Turn", "Never", "Give", "Put", "Ask", "Show", "Find", "Now", "Well", "Let", "Complete",
              "Backwards", "Opposites", "Listen", "Call", "Draw", "Bring", "Guess", "Remember", "Please", "Repeat",
              "Read", "Paint", "Add", "Exactly", "Again", "Wait", "Try", "Thanks", "Thank", "Spell", "Grammar",
              "Page", "Good", "Open", "News", "Chapter", "Letter", "List", "Set", "Match", "Shall", "Pair"}  # fmt: skip


def framed(passage: Passage, rng: Rng) -> Passage:
    """Put a beginning like "We all know that" before a passage.

    Lists, commands, letters, questions and quotations remain as they are.
    """
    first = passage.prompt.split(" ", 1)[0]
    if not first.isalpha() or first in NOT_STATED or "?" in passage.text:
        return passage
    before, _, _ = rng.choice(FRAMES).partition("{…}")
    before, small, _ = before.partition("{,…}")
    start = passage.prompt
    if small and first not in PROPER:
        start = start[0].lower() + start[1:]
    return replace(passage, prompt=templates.Template("frames", before).fill(rng).text + start)


def _phrased(skill: str, rng: Rng, held_out: bool, unlike: bool = False) -> Passage:
    among = [one for one in TEMPLATES[skill] if (one.held_out, one.unlike) == (held_out, unlike)]
    passage = rng.choice(among).fill(rng)
    return framed(passage, rng) if not held_out and skill in FRAMED and rng.random() < FRAMED_SHARE else passage


def _story(rng: Rng, held_out: bool) -> Passage:
    return Passage(STORY, stories.story(rng), "", "", 0, held_out)


MAKERS: dict[str, Callable[[Rng, bool], Passage]] = {
    **{skill: partial(_phrased, skill) for skill in TEMPLATES},
    repeats.SKILL: repeats.repeated,
    STORY: _story,
}
# The skills that are measured: those with an answer in their passages.
SKILLS = sorted(
    [repeats.SKILL, *(skill for skill, found in TEMPLATES.items() if any("<" in one.text for one in found))]
)
# Those that have phrasings unlike any that are trained on.
UNLIKE = sorted(skill for skill, found in TEMPLATES.items() if any(one.unlike for one in found))


def make(skill: str, rng: Rng, held_out: bool = False, unlike: bool = False) -> Passage:
    """Draw one passage of a skill, from the training phrasings or the held-out ones, without any plain sentence."""
    while True:
        passage = _phrased(skill, rng, True, unlike=True) if unlike else MAKERS[skill](rng, held_out)
        if not plain.contained(passage.text):
            return passage


def training_passages(seed: int | str) -> Iterator[Passage]:
    """Yield an endless stream of training passages, deterministic by seed."""
    rng = Rng(seed)
    skills = list(MAKERS)
    shares = [SHARES.get(skill, 3) for skill in skills]
    while True:
        yield make(rng.choices(skills, shares)[0], rng)


def held_out_items(skill: str, count: int = 240, seed: int = 0, unlike: bool = False) -> list[Passage]:
    """Return `count` evaluation items of a skill with different prompts, deterministic by seed.

    With `unlike`, of the phrasings written to resemble none that is trained on. It returns fewer if the phrasings
    cannot be filled in that many ways.
    """
    rng = Rng(f"{skill} {seed}")
    items: dict[str, Passage] = {}
    for _ in range(10 * count):
        passage = make(skill, rng, held_out=True, unlike=unlike)
        items.setdefault(passage.prompt, passage)
        if len(items) == count:
            break
    return list(items.values())


def answer_words() -> list[str]:
    """Return the key words of the passages, which should be one token each with their leading space."""
    slots = sorted(w.SLOTS.keys() - {"syllable_start", "syllable_middle", "syllable_end", "piece", "past_act"})
    listed = {word for slot in slots for cell in w.words(slot) for word in cell.replace("-", " ").split()}
    return sorted(listed | {"wand", "ground", "cheek"})


def first_words() -> list[str]:
    """Return the words that should be one token each without a leading space, at the beginning of a text."""
    slots = ("name", "day", "month", "season", "number", "country", "capital")
    return sorted({word[0].upper() + word[1:] for slot in slots for word in w.words(slot)} | {"The", "One", "Once"})


def main() -> None:
    """Print some passages."""
    parser = argparse.ArgumentParser(description="Print generated passages.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--held-out", metavar="SKILL", choices=SKILLS, help="print items held out of training")
    parser.add_argument("--skill", metavar="SKILL", choices=list(MAKERS), help="print passages of one skill")
    args = parser.parse_args()
    if args.held_out:
        for item in held_out_items(args.held_out, args.count, args.seed):
            print(f"{item.prompt} >>{item.answer}<<{item.rest}")
        return
    wanted = (p for p in training_passages(args.seed) if args.skill in (None, p.skill))
    for passage in islice(wanted, args.count):
        print(passage.text)


if __name__ == "__main__":
    main()
