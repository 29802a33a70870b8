"""The scores of a head by name; what each is stands in core/analysis/heads.py."""

PATTERNS = ("previous", "first", "self", "duplicate", "induction")
"""Scores that are the weight on a pattern of keys, from 0 to 1."""

MEASURES = (*PATTERNS, "entropy", "distance", "share")
"""Every score of a head."""

SCORES = {
    "previous": "previous token",
    "first": "first token",
    "self": "itself",
    "duplicate": "duplicate token",
    "induction": "induction",
    "entropy": "entropy",
    "distance": "distance",
    "share": "share of the stream",
}
"""What a person calls each of MEASURES."""
