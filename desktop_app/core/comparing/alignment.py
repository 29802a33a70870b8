"""Aligns the positions of two texts: one to one if the texts are equally long, otherwise by a chosen rule."""

from difflib import SequenceMatcher

Alignment = tuple[int | None, ...]
"""For each position of a text, the corresponding position of the other text; None where there is none."""

TOKENS, START, END = "tokens", "start", "end"
RULES = {TOKENS: "by matching tokens", START: "from the first token on", END: "from the last token back"}
"""Rule for aligning texts of different lengths -> its description."""


def aligned(ids: tuple[int, ...], others: tuple[int, ...], rule: str = TOKENS) -> Alignment:
    """The positions of `others` that correspond to those of `ids`.

    Texts of equal length are aligned position by position. The rule TOKENS matches the longest runs of tokens that both
    texts share. The differing tokens between these runs are matched from their ends backwards, so that names of several
    tokens are aligned at their last token.
    """
    mine, theirs = len(ids), len(others)
    if mine == theirs or rule == START:
        return tuple(n if n < theirs else None for n in range(mine))
    if rule == END:
        return tuple(n + theirs - mine if n + theirs - mine >= 0 else None for n in range(mine))
    found: list[int | None] = [None] * mine
    for kind, start, stop, at, until in SequenceMatcher(None, ids, others, autojunk=False).get_opcodes():
        if kind in ("equal", "replace"):
            for back in range(1, min(stop - start, until - at) + 1):
                found[stop - back] = until - back
    return tuple(found)
