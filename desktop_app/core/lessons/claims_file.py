"""Reads claims from files.

A claim is an inline table in a TOML file. Its first key says what is claimed about the text and settings that its
sentence belongs to:

    { next = " creature", rank = 1 }              the next token: its rank, from 1, or its share after the cuts
    { next = " were", above = 0.5, kept = true }
    { looks = [5, 1], to = 5, above = 0.4, most = true }    a head's weight on a key, from the selected token
    { answers = [5, 1], to = 5, part = [3, 5] }   which head's output at a key adds most to a head's score
    { always = [3, 5], back = 1, above = 0.25 }   a head's weight on the key 1 back, at all queries or a `share` of them
    { apart = [" men", " horse"], tokens = 3 }    the smallest distance from the first token to the second
    { cell = "blocks.0.ln1.scale", index = [3, 0], above = 2.0 }    a number of a tensor or of a weight
    { drawn = " seven" }                          the token that the draw lands on
    { count = 18 }                                how many tokens the text has
    { left = 9 }                                  how many tokens can be drawn after the cuts
    { active = 1, below = 0.05 }                  the fraction of a block's neurons that is above zero
    { loss = true, above = 9.5 }                  the mean loss of the text's tokens, in nats
    { near = " blue", to = " golden", rank = 1 }  the rank of a row of W_E among those nearest to another
    { sum = "uncle - man + woman", to = " aunt", rank = 1 }    the rank of a row of W_E among those nearest to a sum
    { composes = [3, 5], into = [5, 1], by = "key", since = 2, most = true }    how much a head reads of an earlier one
    { copies = [5, 1], above = 0.9 }              a head's copying score
    { spread = true, above = 1.2 }                how widely cosines between rows spread, against random vectors
    { ends = "AABBCC" }                           what greedy generation gives, for as many tokens as that text has

`above` and `below` are strict bounds on the measured number. Any claim may change the following before it is measured:
`text`, `mute` (heads), `edits` (written as for --edit), `token`, `temperature`, `top_k`, `top_p`; an `ends` claim may
change `text` alone. A `drawn` claim may give the draw's `u`.
"""

from collections.abc import Mapping
from typing import Any

from desktop_app.core.lessons.claims import (
    Active,
    Always,
    Answers,
    Apart,
    Bounds,
    Change,
    Claim,
    Composes,
    Copies,
    Count,
    Drawn,
    Ends,
    Head,
    Heads,
    Left,
    Looks,
    Loss,
    Near,
    Next,
    Number,
    Spread,
    Statement,
    Sum,
)
from desktop_app.core.opening.cells import Cell
from desktop_app.core.session.fields import Kind, Reader, choice, flag, real, text, whole
from desktop_app.core.session.state import TEXT_LIMIT
from desktop_app.gpt2.config import MOST_BLOCKS
from desktop_app.gpt2.errors import SessionError
from desktop_app.gpt2.sampling import MAX_TOP_K

_WORD = text(200)
_READ_BY = {"query": "q", "key": "k", "value": "v"}
_SHARE, _COUNT = real, whole(0, 200_000)


def _words(value: Any, refuse: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > 100 or not all(isinstance(w, str) and len(w) <= 200 for w in value):
        raise refuse("a list of texts")
    return tuple(value)


def _indices(value: Any, refuse: Any) -> tuple[int, ...]:
    whole_ones = isinstance(value, list) and all(isinstance(i, int) and not isinstance(i, bool) for i in value)
    if not whole_ones or not 1 <= len(value) <= 4 or min(value) < 0:
        raise refuse("a list of one to four whole numbers")
    return tuple(value)


def _head(heads: Heads) -> Kind:
    def read(value: Any, refuse: Any) -> Head:
        if isinstance(value, str) and value in heads:
            return heads[value]
        whole_ones = isinstance(value, list) and all(isinstance(i, int) and not isinstance(i, bool) for i in value)
        if not whole_ones or len(value) != 2 or min(value) < 0:
            named = f", or one of {', '.join(heads)}" if heads else ""
            raise refuse(f"a block and a head, like [5, 1]{named}")
        return value[0], value[1]

    return read


def _several(heads: Heads) -> Kind:
    one = _head(heads)

    def read(value: Any, refuse: Any) -> tuple[Head, ...]:
        if isinstance(value, list) and value and not isinstance(value[0], int):
            return tuple(one(item, refuse) for item in value)
        return (one(value, refuse),)

    return read


class _Row:
    """Reads the table of one claim: required keys, optional keys, and a check that there are no others."""

    def __init__(self, raw: Mapping[str, Any], where: str, heads: Heads) -> None:
        self._reader, self._raw, self._where = Reader(raw, where), raw, where
        self._left = set(raw)
        self.head, self.several = _head(heads), _several(heads)

    def must(self, name: str, kind: Kind) -> Any:
        if name not in self._raw:
            raise SessionError(f"{self._where}: {name} is missing.")
        return self.may(name, kind)

    def may(self, name: str, kind: Kind, default: Any = None) -> Any:
        self._left.discard(name)
        return self._reader.read(name, default, kind)

    def bounds(self) -> Bounds:
        return Bounds(self.may("above", _SHARE), self.may("below", _SHARE))

    def finish(self) -> None:
        if self._left:
            raise SessionError(f"{self._where}: {sorted(self._left)[0]!r} is not a field of such a claim.")

    def refuse(self, words: str) -> SessionError:
        return SessionError(f"{self._where}: {words}")


def _next(row: _Row) -> Statement:
    found = Next(row.must("next", _WORD), row.bounds(), row.may("rank", whole(1, 2**31)), row.may("kept", flag))
    if found == Next(found.word):
        raise row.refuse("the claim says nothing about the token; give rank, above, below or kept.")
    return found


def _looks(row: _Row) -> Statement:
    head, to = row.must("looks", row.head), row.must("to", _COUNT)
    found = Looks(head, to, row.bounds(), row.may("most", flag))
    if found == Looks(head, to):
        raise row.refuse("the claim says nothing about the attention; give above, below or most.")
    return found


def _always(row: _Row) -> Statement:
    head, back = row.must("always", row.head), row.must("back", _COUNT)
    bounds, most = row.bounds(), row.may("most", flag)
    if bounds == Bounds() and most is None:
        raise row.refuse("the claim says nothing about the attention; give above, below or most.")
    return Always(head, back, bounds, most, row.may("since", _COUNT), row.may("share", _SHARE, 1.0))


def _answers(row: _Row) -> Statement:
    return Answers(row.must("answers", row.head), row.must("to", _COUNT), row.must("part", row.head))


def _apart(row: _Row) -> Statement:
    words = row.must("apart", _words)
    if len(words) != 2:
        raise row.refuse("apart names two tokens.")
    return Apart((words[0], words[1]), row.must("tokens", whole(1, 200_000)))


def _number(row: _Row) -> Statement:
    return Number(Cell(row.must("cell", _WORD), row.must("index", _indices)), _bounds(row))


def _drawn(row: _Row) -> Statement:
    return Drawn(row.must("drawn", _WORD), row.may("u", _SHARE))


def _ends(row: _Row) -> Statement:
    return Ends(row.must("ends", text(TEXT_LIMIT)))


def _count(row: _Row) -> Statement:
    return Count(row.must("count", _COUNT))


def _left(row: _Row) -> Statement:
    return Left(row.must("left", _COUNT))


def _active(row: _Row) -> Statement:
    return Active(row.must("active", whole(0, MOST_BLOCKS - 1)), _bounds(row))


def _loss(row: _Row) -> Statement:
    if not row.must("loss", flag):
        raise row.refuse("loss is true where the mean loss is claimed.")
    return Loss(_bounds(row))


def _bounds(row: _Row) -> Bounds:
    bounds = row.bounds()
    if bounds == Bounds():
        raise row.refuse("the claim says nothing about the number; give above or below.")
    return bounds


def _near(row: _Row) -> Statement:
    return Near(row.must("near", _WORD), row.must("to", _WORD), row.must("rank", whole(1, 2**31)))


def _sum(row: _Row) -> Statement:
    return Sum(row.must("sum", _WORD), row.must("to", _WORD), row.must("rank", whole(1, 2**31)))


def _composes(row: _Row) -> Statement:
    pair = row.must("composes", row.head), row.must("into", row.head)
    by = row.must("by", choice(*_READ_BY))
    bounds, most, since = row.bounds(), row.may("most", flag), row.may("since", whole(0, 511), 0)
    if bounds == Bounds() and most is None:
        raise row.refuse("the claim says nothing about the pair; give above, below or most.")
    return Composes(*pair, _READ_BY[by], bounds, most, since)


def _copies(row: _Row) -> Statement:
    return Copies(row.must("copies", row.head), _bounds(row))


def _spread(row: _Row) -> Statement:
    if not row.must("spread", flag):
        raise row.refuse("spread is true where the spread of cosines is claimed.")
    return Spread(_bounds(row))


STATEMENTS = {
    "next": _next,
    "looks": _looks,
    "always": _always,
    "answers": _answers,
    "apart": _apart,
    "cell": _number,
    "drawn": _drawn,
    "ends": _ends,
    "count": _count,
    "left": _left,
    "active": _active,
    "loss": _loss,
    "near": _near,
    "sum": _sum,
    "composes": _composes,
    "copies": _copies,
    "spread": _spread,
}
"""The key that names the kind of a statement -> the function that reads it."""


def read_claims(raw: Any, where: str, heads: Heads | None = None) -> tuple[Claim, ...]:
    """The claims in a list of such tables. Raises SessionError that names the table and says what is wrong."""
    if not isinstance(raw, list) or len(raw) > 200:
        raise SessionError(f"{where}: claims must be a list of at most 200 tables.")
    return tuple(_claim(row, f"{where}: claim {n}", heads or {}) for n, row in enumerate(raw, 1))


def _claim(raw: Any, where: str, heads: Heads) -> Claim:
    kinds = [kind for kind in STATEMENTS if isinstance(raw, dict) and kind in raw]
    if len(kinds) != 1:
        raise SessionError(f"{where} must have exactly one of {', '.join(STATEMENTS)}.")
    row = _Row(raw, where, heads)
    statement = STATEMENTS[kinds[0]](row)
    change = Change(
        text=row.may("text", text(TEXT_LIMIT)),
        token=row.may("token", _COUNT),
        temperature=row.may("temperature", real),
        top_k=row.may("top_k", whole(0, MAX_TOP_K)),
        top_p=row.may("top_p", real),
        mute=row.may("mute", row.several, ()),
        edits=row.may("edits", _words, ()),
    )
    row.finish()
    if isinstance(statement, Ends) and change != Change(text=change.text):
        raise row.refuse("a claim about generated text (ends) is about the unchanged model; change text alone.")
    return Claim(statement, change)
