"""Which position of one text stands for which of another: by position where they are as long, else by a rule."""

from difflib import SequenceMatcher

Alignment = tuple[int | None, ...]
"""For each position of a text the one of the other text; None where that has none."""

TOKENS, START, END = "tokens", "start", "end"
RULES = {TOKENS: "by matching tokens", START: "from the first token on", END: "from the last token back"}
"""How texts of different lengths are aligned, and how it is said."""


def aligned(ids: tuple[int, ...], others: tuple[int, ...], rule: str = TOKENS) -> Alignment:
    """The positions of `others` that those of `ids` stand for.

    Texts of equal length stand position by position. By tokens, the longest stretches that both have are matched, and
    between them what differs is matched from its end back, so that names of several tokens meet at their last.
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
