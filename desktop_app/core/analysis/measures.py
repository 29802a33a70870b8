"""The scores of a head by name; core/analysis/heads.py defines each of them."""

from desktop_app.gpt2.phrase import Phrase

PATTERNS = ("previous", "first", "self", "duplicate", "induction")
"""Scores that measure the attention to certain keys, from 0 to 1."""

MEASURES = (*PATTERNS, "entropy", "distance", "share")
"""Every score of a head."""

SCORES = {
    "previous": Phrase("previous token"),
    "first": Phrase("first token"),
    "self": Phrase("itself"),
    "duplicate": Phrase("duplicate token"),
    "induction": Phrase("induction"),
    "entropy": Phrase("entropy"),
    "distance": Phrase("distance"),
    "share": Phrase("share of the stream"),
}
"""The display name of each of MEASURES."""
