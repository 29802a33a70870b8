"""Invented words: made-up words that sound English, and code words."""

from __future__ import annotations

import random

import words as w

Rng = random.Random


def made_up_word(rng: Rng) -> str:
    """Return a made-up word that sounds English."""
    syllables = rng.choice((1, 1, 2, 2, 3))
    starts, middles = w.words("syllable_start"), w.words("syllable_middle")
    stem = "".join(rng.choice(starts) + rng.choice(middles) for _ in range(syllables))
    return stem + rng.choice((*w.words("syllable_end"), *[""] * 6))


def code_word(rng: Rng) -> str:
    """Return a code word: digits, capitals, or concatenated pieces of words."""
    kind = rng.random()
    if kind < 0.2:
        return str(rng.randrange(10, 10_000))
    if kind < 0.4:
        return "".join(rng.choices("BCDFGHJKLMNPQRSTVWXYZ", k=rng.randint(2, 4)))
    joint = rng.choice(("", "", "-", "'", "/", "_"))
    pieces = joint.join(rng.choices(w.words("piece"), k=rng.randint(2, 3)))
    return pieces.capitalize() if kind < 0.6 else pieces
