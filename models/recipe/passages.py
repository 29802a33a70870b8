"""Short English passages that exercise one skill each, for training and, from combinations kept apart, for evaluation.

A passage is a prompt, the answer that continues it, and a rest. Facts keep whole phrasings apart for evaluation, the
other skills keep combinations apart: two names, a name and a surname, a noun and a number. Whether a combination is
kept apart is decided by a hash of it, so training and evaluation can never disagree. Beyond that, a sentence whose
hash marks it as kept apart never occurs in training, and a held-out item consists of such sentences only.

    python passages.py --seed 3 --count 20        prints some
"""

# ruff: noqa: E501 (a phrasing reads best on one line)

from __future__ import annotations

import argparse
import hashlib
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import phrasings as p
import words as w

Rng = random.Random


@dataclass(frozen=True)
class Passage:
    """One passage; `prompt + answer + rest` is its text.

    `combination` is what is kept apart from training (empty where a whole phrasing is), `others` are further
    combinations that occur in the text, and `choices` is the number of answers that make sense, which gives chance.
    """

    skill: str
    prompt: str
    answer: str
    rest: str
    choices: int
    combination: tuple[str, ...] = ()
    others: tuple[tuple[str, ...], ...] = ()
    held_out_phrasing: bool = False

    @property
    def text(self) -> str:
        """The whole passage."""
        return self.prompt + self.answer + self.rest


def with_articles(text: str) -> str:
    """Write `an` before the vowels of the word lists (`an owl`, but `a ewe`)."""
    return re.sub(r"\b([aA]) (?=[aeiou])(?!ewe\b)", r"\1n ", text)


def kept_apart(parts: tuple[str, ...]) -> bool:
    """Tell by a hash whether a combination (about one in five) is held out of training."""
    return hashlib.blake2b("|".join(parts).encode(), digest_size=8).digest()[0] % 5 == 0


def sentences(text: str) -> list[str]:
    """Cut a text after full stops, question and exclamation marks, with any closing quote."""
    return [part.strip() for part in re.split(r'(?<=[.!?])"?\s+', text) if part.strip()]


def answered(passage: Passage) -> str:
    """Return the passage up to the end of the sentence that holds the answer."""
    end = re.search(r'[.!?]"?(\s|$)', passage.rest)
    return passage.prompt + passage.answer + passage.rest[: end.end() if end else None].rstrip()


def is_held_out(passage: Passage) -> bool:
    """Tell whether a passage may be used for evaluation: nothing in it occurs in training."""
    if not passage.combination:
        return passage.held_out_phrasing
    return kept_apart(passage.combination) and all(kept_apart((s,)) for s in sentences(answered(passage)))


def is_for_training(passage: Passage) -> bool:
    """Tell whether a passage may be trained on: no combination and no sentence of it is kept apart."""
    if not passage.combination:
        return not passage.held_out_phrasing
    combinations = (passage.combination, *passage.others)
    parts = (*combinations, *((s,) for s in sentences(passage.text)))
    return not any(kept_apart(part) for part in parts)


# --- facts: whole phrasings are held out -----------------------------------------------------------------------


def _fact(
    skill: str, facts: list[tuple[str, str]], phrasings: tuple[str, ...], held_out: tuple[str, ...]
) -> Callable[[Rng], Passage]:
    choices = len({answer for _, answer in facts})
    phrasings_of = {False: phrasings, True: held_out}

    def make(rng: Rng) -> Passage:
        apart = rng.random() < 0.3
        question, answer = rng.choice(facts)
        name = rng.choice(w.BOYS + w.GIRLS)
        prompt = rng.choice(phrasings_of[apart]).format(q=question, a=answer, name=name)
        if prompt.startswith(question):
            prompt = prompt[0].upper() + prompt[1:]
        tail = '."' if prompt.count('"') % 2 else rng.choice(p.TAILS).format(name=rng.choice(w.BOYS + w.GIRLS))
        return Passage(skill, prompt, f" {answer}", tail, choices, held_out_phrasing=apart)

    return make


# --- names and made-up words that return -----------------------------------------------------------------------


def made_up_word(rng: Rng) -> str:
    """Return a word that sounds English and is not."""
    syllables = rng.choice((1, 2, 2, 3))
    stem = "".join(rng.choice(w.SYLLABLE_STARTS) + rng.choice(w.SYLLABLE_MIDDLES) for _ in range(syllables))
    return stem + rng.choice(w.SYLLABLE_ENDS)


def _names(rng: Rng) -> Passage:
    first, last = rng.choice(w.BOYS + w.GIRLS), rng.choice(w.SURNAMES)
    place, thing = rng.choice(w.PLACES), rng.choice(w.OBJECTS)
    title = rng.choice(("Mr.", "Captain", "Doctor")) if first in w.BOYS else rng.choice(("Mrs.", "Miss", "Lady"))
    adjective = rng.choice(w.ADJECTIVES)
    prompt, answer = rng.choice((
        (f'A {adjective} child came to the {place}. "I am {first} {last}," said the child. "Welcome, {first}', last),
        (f"There was a letter for {first} {last} on the {place} table. The {thing} was also for {first}", last),
        (f"{title} {last} and {first} lived near the {place}. They had a {thing}. It belonged to {title}", last),
        (f"{first} {last} was {adjective}. Nobody in the {place} had ever met anyone like {first}", last),
        (f"In the {place} lived {title} {last}, who had a {thing}. The {adjective} children called out to {title}", last),
        (f'"Who took the {thing}?" asked {title} {last} in the {place}. "I did not take it, {title}', last),
        (f"{title} {last} met {first} in the {place}. {first} gave the {adjective} {thing} to {title}", last),
        (f"{first} {last} wrote a name on the {thing}. The name on the {thing} was {first}", last),
        (f"I know {first} {last} of the {place}. You will find the {thing} with {first}", last),
    ))  # fmt: skip
    rest = '!"' if "Welcome" in prompt else '."' if prompt.count('"') % 2 else "."
    return Passage("returning names", prompt, f" {answer}", rest, len(w.SURNAMES), (first, last))


def _made_up(rng: Rng) -> Passage:
    word, name, place = made_up_word(rng), rng.choice(w.BOYS + w.GIRLS), rng.choice(w.PLACES)
    thing, adjective, animal = rng.choice(w.OBJECTS), rng.choice(w.ADJECTIVES), rng.choice(w.ANIMALS)
    colour = rng.choice(w.THING_ADJECTIVES)
    prompt, rest = rng.choice((
        (f"{name} found a strange {animal} called a {word}. Nobody in the {place} had ever seen a", f". The {word} was very {adjective}."),
        (f'"What is a {word}?" asked {name}. "A {word} is a kind of {animal}. Everyone in the {place} has a', f'," said the {word}.'),
        (f"Once there was a {adjective} {animal} whose name was {word}. In the {place} everybody loved", "."),
        (f"In the {place} there is a {colour} thing that they call the {word}. {name} was afraid of the", f", but the {word} was {adjective}."),
        (f"The word on the {thing} was {word}. {name} read it twice: {word},", f", {word}."),
        (f"{name} had a {colour} {word}. It was the only one in the {place}, and {name} loved that", " very much."),
        (f'The secret word was "{word}". {name} went to the {place}, knocked at the door, and said "', '", and the door opened.'),
        (f"A {word} is like a {thing}, but {colour}. If you see a {thing} in the {place}, it may be a", "."),
        (f"The {word} sat in the {place}. {name} looked at the {word}, and the {animal} looked at the", " too."),
    ))  # fmt: skip
    answer = word if prompt.endswith('"') else f" {word}"
    return Passage("made-up words", prompt, answer, rest, 4, (word,))


_COMMON = sorted(
    {*w.OBJECTS, *w.PLACES, *w.ADJECTIVES, *w.THING_ADJECTIVES, *w.ANIMALS, *w.NUMBERS, *w.PLURALS.values()}
)


def code_word(rng: Rng) -> str:
    """Return a word of a secret code: digits, capitals, or pieces of words stuck together."""
    kind = rng.random()
    if kind < 0.2:
        return str(rng.randrange(10, 10_000))
    if kind < 0.4:
        return "".join(rng.choices("BCDFGHJKLMNPQRSTVWXYZ", k=rng.randint(2, 4)))
    joint = rng.choice(("", "", "-", "'", "/", "_"))
    pieces = joint.join(rng.choices(w.PIECES, k=rng.randint(2, 3)))
    return pieces.capitalize() if kind < 0.6 else pieces


def _repeated(rng: Rng) -> Passage:
    makers = (
        lambda: rng.choice(_COMMON),
        lambda: made_up_word(rng),
        lambda: code_word(rng),
        lambda: rng.choice(w.BOYS + w.GIRLS + w.SURNAMES),
        lambda: rng.choice(w.PIECES),
    )
    shares = rng.choice(((6, 4, 0, 2, 0), (4, 3, 2, 1, 1), (1, 1, 6, 0, 2), (1, 0, 0, 0, 0), (0, 1, 3, 1, 4)))
    count = rng.randint(4, 12) if rng.random() < 0.6 else rng.randint(13, 30)
    found: dict[str, None] = {}  # no word twice, so that only one word can follow another
    while len(found) < count:
        found.setdefault(rng.choices(makers, shares)[0]())
    items = tuple(found)
    glue = rng.choice((" ", " ", ", ", "; ", " and "))
    cut = rng.randint(2, count - 1)
    first, a, b = glue.join(items), rng.choice(w.BOYS), rng.choice(w.GIRLS)
    animal = rng.choice(("parrot", "child", "echo", "old man", "sailor", "raven"))
    opening, rest = rng.choice((
        (f"{a} said: {first}. The {animal} said it after him: ", "."),
        (f'"{first}," said {b}. "', f'," said the {animal}.'),
        (f"{b} wrote on the wall: {first}. Then she read it aloud: ", "."),
        (f"The song of the {animal} went: {first}. And once more: ", "."),
        (f"The secret code was {first}. {a} wrote it down: ", "."),
        (f"{first}. ", "."),
        (f"{first}{glue}", "."),
        (f"{first}{glue}", f"{glue}{first}."),
    ))  # fmt: skip
    prompt = opening + glue.join(items[:cut]) + glue.rstrip()
    tail = glue.join(items[cut + 1 :])
    rest = (glue + tail if tail else "") + rest
    return Passage("repeated lists", prompt, f" {items[cut]}", rest, count, items)


# --- who gave what to whom -------------------------------------------------------------------------------------


def _giving(rng: Rng) -> Passage:
    a, b = rng.sample(w.BOYS + w.GIRLS, 2)
    thing, place, adjective = rng.choice(w.OBJECTS), rng.choice(w.PLACES), rng.choice(w.THING_ADJECTIVES)
    second = rng.choice([thing_ for thing_ in w.OBJECTS if thing_ != thing])
    he, him = ("he", "him") if a in w.BOYS else ("she", "her")
    both = f"{a} and {b}" if rng.random() < 0.5 else f"{b} and {a}"
    boy, girl = rng.choice(w.BOYS), rng.choice(w.GIRLS)
    kind = rng.randrange(10)
    if kind >= 8:  # the pronoun picks the name by its gender
        pair = (boy, girl) if rng.random() < 0.5 else (girl, boy)
        who = rng.choice((boy, girl))
        pronoun = "He" if who == boy else "She"
        prompt = rng.choice((
            f"{pair[0]} and {pair[1]} went to the {place}. {pronoun} carried a {adjective} {thing}. The {thing} belonged to",
            f"{pair[0]} met {pair[1]} near the {place}. {pronoun} had lost a {adjective} {thing}. The one who had lost the {thing} was",
        ))  # fmt: skip
        return Passage("giver and receiver", prompt, f" {who}", ".", 2, pair)
    prompt, answer, rest = (
        (f"When {both} went to the {place}, {a} gave a {adjective} {thing} to", b, "."),
        (f"{a} gave {b} a {adjective} {thing} in the {place}. Now the {thing} belongs to", b, "."),
        (f"{a} gave {b} a {adjective} {thing} in the {place}. For this {b} thanked", a, f", and {he} smiled."),
        (f"{a} took the {adjective} {thing} from {b}. Now the one who has the {thing} is", a, "."),
        (f"{a} lent a {adjective} {thing} to {b}. The next day {b} gave the {thing} back to", a, "."),
        (f"{both} were in the {place}. {a} had a {adjective} {thing}, so {b} asked {him} for it, and got the {thing} from", a, "."),
        (f"{a} has a {thing} and {b} has a {second}. The {thing} in the {place} belongs to", a, "."),
        (f"{both} were friends. One day {a} found a {thing} in the {place} and showed the {thing} to", b, "."),
    )[kind]  # fmt: skip
    return Passage("giver and receiver", prompt, f" {answer}", rest, 2, (a, b))


# --- number, brackets, adjectives ------------------------------------------------------------------------------


def _agreement(rng: Rng) -> Passage:
    noun, other = rng.sample(sorted(w.PLURALS), 2)
    plural = rng.random() < 0.5
    subject = w.PLURALS[noun] if plural else noun
    attractor = w.PLURALS[other] if rng.random() < 0.5 else other
    near = rng.choice(("near", "behind", "beside", "next to", "in front of"))
    name, adjective = (
        rng.choice(w.BOYS + w.GIRLS),
        rng.choice(("old", "beautiful", "small", "big", "new", "strange", "white")),
    )
    place = rng.choice(w.PLACES)
    past = rng.random() < 0.5
    when = rng.choice(
        ("Yesterday", "Last year", "Long ago", "That evening") if past else ("Today", "Now", "Look!", "I see that")
    )
    the = "The" if when == "Look!" else "the"
    comma = "" if when in ("Look!", "I see that") else ","
    gap = rng.choice((
        f"{near} the {attractor}", f"{near} the {attractor}", f"that {name} saw {near} the {attractor}",
        f"{near} the {attractor} in the {place}",
    ))  # fmt: skip
    verb = {(True, True): "were", (True, False): "was", (False, True): "are", (False, False): "is"}[past, plural]
    prompt = f"{when}{comma} {the} {subject} {gap}"
    return Passage("number agreement", prompt, f" {verb}", f" {adjective}.", 2, (subject, attractor))


def _closing(rng: Rng) -> Passage:
    noun, other = rng.sample(sorted(w.PLURALS), 2)
    one, two = rng.sample(w.ADJECTIVES, 2)
    place, name = rng.choice(w.PLACES), rng.choice(w.BOYS + w.GIRLS)
    opener, closer = rng.choice((("(", ")"), ('"', '"'), ("[", "]")))
    prompt, rest = {
        "(": (
            (f"The {noun} (the one near the {other}", f" was {one}."),
            (f"The {one} {noun} (and also the {two} {other}", f" belonged to {name}."),
            (f"{name} (who had a {one} {noun} and a {other}", f" came to the {place}."),
            (f"In the {place} there was a {one} {noun} (but no {other}", " for many years."),
        ),
        '"': (
            (f'The sign on the {place} said "{one} {noun} and {other}', f" in {two} letters."),
            (f'They called the {noun} "the {one} {other}', f" because it was {two}."),
            (f'{name} wrote "my {one} {noun} and my {other}', f" on the wall of the {place}."),
            (f'The book was called "The {noun} and the {other}', f" and {name} loved it."),
        ),
        "[": (
            (f"The {noun} [see the picture of the {other}", f" was {one}."),
            (f"{name} wrote a list [a {one} {noun} and a {other}", f" in the {place}."),
            (f"The {one} {noun} [not the {two} {other}", f" stood in the {place}."),
            (f"In the {place} [between the {noun} and the {other}", f" stood {name}."),
        ),
    }[opener][rng.randrange(4)]
    return Passage("closing quotes and brackets", prompt, closer, rest, 3, (noun, other))


def _adjective(rng: Rng) -> Passage:
    noun, other = rng.sample(w.ANIMALS, 2)
    one, two = rng.sample(w.ADJECTIVES, 2)
    name, place = rng.choice(w.BOYS + w.GIRLS), rng.choice(w.PLACES)
    if rng.random() < 0.5:
        first, second = (f"the {noun} was {one}", f"the {other} was {two}")
        was = rng.choice((f"{first} and {second}", f"{second} and {first}"))
    else:
        first, second = (f"a {one} {noun}", f"a {two} {other}")
        was = f"there were {first} and {second}" if rng.random() < 0.5 else f"there were {second} and {first}"
    prompt = rng.choice((
        f"In the {place} {was}. {name} looked at the {one}",
        f"{was[0].upper()}{was[1:]} in the {place}. {name} gave some bread to the {one}",
        f"That day {was}. {name} went home to the {place} with the {one}",
        f"In the {place} {was}. Everybody felt sorry for the {one}",
        f"Near the {place} {was}. The {name} family wanted the {one}",
    ))  # fmt: skip
    rest = rng.choice((".", f", and not at the {two} {other}." if "looked" in prompt else "."))
    return Passage("adjectives before nouns", prompt, f" {noun}", rest, 2, (one, noun), ((two, other),))


# --- days, months, counting ------------------------------------------------------------------------------------


def _calendar(skill: str, cycle: list[str], unit: str, preposition: str) -> Callable[[Rng], Passage]:
    def make(rng: Rng) -> Passage:
        at = rng.randrange(len(cycle))
        now, after, before = cycle[at], cycle[(at + 1) % len(cycle)], cycle[at - 1]
        a, b = rng.sample(w.BOYS + w.GIRLS, 2)
        one, two = rng.sample(w.ACTIVITIES, 2)
        run = [cycle[(at + step) % len(cycle)] for step in range(-2, 2)]
        kind = rng.randrange(9)
        prompt, answer, rest = (
            (f"{a} said that the {unit} after {now} is", after, "."),
            (f"{a} said that the {unit} before {now} is", before, "."),
            (f"{a} counted the {unit}s: {run[0]}, {run[1]}, {run[2]},", run[3], "."),
            (f"{a} {one} {preposition} {now}. The next {unit}, {b} {two}. That was {preposition}", after, "."),
            (f"{a} {one} {preposition} {now}, and {b} {two} one {unit} later, {preposition}", after, "."),
            (f"{preposition.title()} {now} {a} {one}. One {unit} before that, {b} {two}. That was {preposition}", before, "."),
            (f'"Today it is {now}," said {a}. "The {unit} after that will be' if unit == "day"
             else f'"It is {now}," said {a}. "The next {unit} will be', after, f'," said {b}.'),
            (f"First comes {now}, said {a}, and then comes", after, "."),
            (f"{a} {one} {preposition} {now} and {two} again the same {unit}. It was still", now, "."),
        )[kind]  # fmt: skip
        return Passage(skill, prompt, f" {answer}", rest, len(cycle), (skill, str(kind), now, a))

    return make


def _counting(rng: Rng) -> Passage:
    at = rng.randrange(1, len(w.NUMBERS) - 2)
    now, after, before = w.NUMBERS[at], w.NUMBERS[at + 1], w.NUMBERS[at - 1]
    things = w.PLURALS[rng.choice(sorted(w.PLURALS.keys() - w.PEOPLE))]
    name, place = rng.choice(w.BOYS + w.GIRLS), rng.choice(w.PLACES)
    start = max(0, at - rng.randint(1, 4))
    count = ", ".join(w.NUMBERS[start : at + 1])
    prompt, answer, rest = rng.choice((
        (f"{name} counted the {things}: {count},", after, "."),
        (f"There were {now} {things} in the {place}. One more came, and then there were", after, "."),
        (f"There were {now} {things} in the {place}. One went away, and then there were", before, "."),
        (f"{name} had {now} {things}. Then {name} got one more and had", after, "."),
        (f"{name} had {now} {things}, lost one of them, and now has only", before, "."),
        (f"{name} saw {now} {things}. I saw the same number of {things}: I saw", now, "."),
        (f"{name} counted {now} {things} in the {place}, and the next number is", after, "."),
    ))  # fmt: skip
    if answer == "one":
        return _counting(rng)
    return Passage("counting", prompt, f" {answer}", rest, len(w.NUMBERS), (things, now))


MAKERS: dict[str, Callable[[Rng], Passage]] = {
    "capitals": _fact("capitals", list(w.CAPITALS.items()), p.CAPITAL, p.CAPITAL_HELD_OUT),
    "animals and their young": _fact("animals and their young", list(w.YOUNG.items()), p.YOUNG, p.YOUNG_HELD_OUT),
    "colours of things": _fact(
        "colours of things",
        [(thing, colour) for colour, things in w.COLOURS.items() for thing in things],
        p.COLOUR,
        p.COLOUR_HELD_OUT,
    ),
    "opposites": _fact(
        "opposites",
        [(a, b) for a, b in w.OPPOSITES] + [(b, a) for a, b in w.OPPOSITES],
        p.OPPOSITE,
        p.OPPOSITE_HELD_OUT,
    ),
    "returning names": _names,
    "made-up words": _made_up,
    "repeated lists": _repeated,
    "giver and receiver": _giving,
    "number agreement": _agreement,
    "closing quotes and brackets": _closing,
    "adjectives before nouns": _adjective,
    "days": _calendar("days", w.DAYS, "day", "on"),
    "months": _calendar("months", w.MONTHS, "month", "in"),
    "counting": _counting,
}
# Skills that are slow to learn get more of the training text.
SHARES = {
    "capitals": 6,
    "colours of things": 4,
    "opposites": 9,
    "returning names": 1,
    "made-up words": 1,
    "closing quotes and brackets": 1,
    "giver and receiver": 5,
    "number agreement": 7,
    "adjectives before nouns": 4,
    "days": 3,
    "months": 3,
    "counting": 3,
}


def make(skill: str, rng: Rng) -> Passage:
    """Draw one passage of a skill, held out or not."""
    passage = MAKERS[skill](rng)
    return replace(passage, prompt=with_articles(passage.prompt), rest=with_articles(passage.rest))


def training_passages(seed: int) -> Iterator[Passage]:
    """Yield passages without end, deterministic by seed; none of them is held out."""
    rng = Rng(seed)
    skills = list(MAKERS)
    shares = [SHARES.get(skill, 2) for skill in skills]
    while True:
        skill = rng.choices(skills, shares)[0]
        passage = make(skill, rng)
        while not is_for_training(passage):
            passage = make(skill, rng)
        yield passage


def held_out_items(skill: str, count: int = 240, seed: int = 0) -> list[Passage]:
    """Return `count` evaluation items of a skill with different prompts, deterministic by seed."""
    rng = Rng(f"{skill} {seed}")
    items: dict[str, Passage] = {}
    while len(items) < count:
        passage = make(skill, rng)
        if is_held_out(passage):
            items.setdefault(passage.prompt, passage)
    return list(items.values())


def answer_words() -> list[str]:
    """Return the words that stand as answers and should be one token each."""
    facts = [*w.CAPITALS, *w.CAPITALS.values(), *w.YOUNG, *w.YOUNG.values(), *w.COLOURS]
    listed = [*w.BOYS, *w.GIRLS, *w.SURNAMES, *w.DAYS, *w.MONTHS, *w.NUMBERS, *w.ANIMALS]
    return sorted({*facts, *listed, *(word for pair in w.OPPOSITES for word in pair)})


def main() -> None:
    """Print some passages."""
    parser = argparse.ArgumentParser(description="Print generated passages.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--held-out", metavar="SKILL", choices=list(MAKERS), help="print items held out of training")
    args = parser.parse_args()
    if args.held_out:
        for item in held_out_items(args.held_out, args.count, args.seed):
            print(f"{item.prompt} >>{item.answer}<<")
        return
    for _, passage in zip(range(args.count), training_passages(args.seed), strict=False):
        print(passage.text)


if __name__ == "__main__":
    main()
