"""Which position of one text corresponds to which of another: by position if they are equally long, else by a rule."""

from difflib import SequenceMatcher

Alignment = tuple[int | None, ...]
"""For each position of a text the corresponding one of the other text; None where there is none."""

TOKENS, START, END = "tokens", "start", "end"
RULES = {TOKENS: "by matching tokens", START: "from the first token on", END: "from the last token back"}
"""How texts of different lengths are aligned, and the words for it."""


def aligned(ids: tuple[int, ...], others: tuple[int, ...], rule: str = TOKENS) -> Alignment:
    """The positions of `others` that correspond to those of `ids`.

    Texts of equal length are aligned position by position. By tokens, the longest runs that both share are matched, and
    the differing tokens between them are matched from their end backwards, so that names of several tokens meet at
    their last token.
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
