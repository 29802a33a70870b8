"""Attention masks by name: which keys a query sees, for all heads or for one, and how many query-key pairs result.

A mask is written as "window:16" or "local:8+global:2", or with rules for single heads: "causal, 3.1=window:4" (block 3,
head 1). A part "+first" keeps the first token visible. `causal` is GPT-2's mask. Of the others, only `none` lets a
query see later tokens.

Sources: Child et al. 2019, "Generating Long Sequences with Sparse Transformers" (strided); Beltagy et al. 2020,
"Longformer" (window, global tokens); Sukhbaatar et al. 2019, "Adaptive Attention Span" (a window for each head); Xiao
et al. 2023, "Efficient Streaming Language Models with Attention Sinks" (the first token kept).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Phrase

Array = NDArray[Any]

CAUSAL = "causal"
"""The mask of GPT-2: a query sees the keys up to its own position."""

MOST = 1_000_000
"""The largest number in a mask's name."""


_KEPT = 1 << 21  # cells of the largest grid of hidden keys that is cached


@dataclass(frozen=True)
class Kind:
    """A kind of rule.

    `seen` takes queries q, keys k and the rule's number n (None if it has none). `counts` takes the positions of
    queries, the length of the text and n, and returns how many keys each query sees. `numpy` is `seen` as an expression
    in q and k, `words` is `seen` in English. Only under a kind marked `later` does a query see keys after itself.
    """

    seen: Callable[[Array, Array, int], Array]
    counts: Callable[[Array, int, int], Array]
    numpy: str
    words: str
    numbered: bool = True
    later: bool = False


KINDS: dict[str, Kind] = {
    CAUSAL: Kind(lambda q, k, _n: k <= q, lambda q, _count, _n: q + 1, "(k <= q)", "up to itself", numbered=False),
    "none": Kind(
        lambda q, k, _n: np.ones(np.broadcast_shapes(q.shape, k.shape), bool),
        lambda q, count, _n: np.full_like(q, count),
        "(k >= 0)",
        "every token, later ones too",
        numbered=False,
        later=True,
    ),
    "window": Kind(
        lambda q, k, n: (k <= q) & (k > q - n),
        lambda q, _count, n: np.minimum(q + 1, n),
        "(k <= q) & (k > q - {n})",
        "the last {1}",
    ),
    "strided": Kind(
        lambda q, k, n: (k <= q) & ((k > q - n) | ((q - k) % n == 0)),
        lambda q, _count, n: np.minimum(q + 1, n) + q // n,
        "(k <= q) & ((k > q - {n}) | ((q - k) % {n} == 0))",
        "the last {1} and every {1}th before them",
    ),
    "local": Kind(
        lambda q, k, n: (k <= q) & (k // n == q // n),
        lambda q, _count, n: q % n + 1,
        "(k <= q) & (k // {n} == q // {n})",
        "those of its own block of {1}",
    ),
    "global": Kind(
        lambda q, k, n: (k <= q) & (k < n),
        lambda q, _count, n: np.minimum(q + 1, n),
        "(k <= q) & (k < {n})",
        "the first {1}",
    ),
}
FIRST = "first"
"""Another name for global:1, which keeps the first token visible."""

_PART = re.compile(r"([a-z]+)(?::(\d{1,7}))?", re.ASCII)
_HEAD = re.compile(r"(\d{1,3})\.(\d{1,3})\s*=(.*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class Rule:
    """Which keys a query sees: the union over the rule's parts, each a kind and a number."""

    parts: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        names = (f"{name}:{n}" if KINDS[name].numbered else name for name, n in self.parts)
        return "+".join(FIRST if name == "global:1" else name for name in names)

    @property
    def words(self) -> str:
        """What a query sees, in words that end a sentence."""
        first, *rest = (Phrase(KINDS[name].words, n) for name, n in self.parts)
        return reduce(lambda said, more: Phrase("{1} and {2}", said, more), rest, first)

    @property
    def numpy(self) -> str:
        """A numpy expression for whether the query at q sees the key at k."""
        return " | ".join(f"({KINDS[name].numpy.format(n=n)})" for name, n in self.parts)

    @property
    def later(self) -> bool:
        """Whether a query sees keys after it."""
        return any(KINDS[name].later for name, _ in self.parts)

    def seen(self, queries: Array, keys: Array) -> NDArray[np.bool_]:
        """[query, key]: true where the query sees the key; both by position."""
        q, k = queries[:, None], keys[None, :]
        found = np.zeros((len(queries), len(keys)), bool)
        for name, n in self.parts:
            found |= KINDS[name].seen(q, k, n)
        return found

    def pairs(self, count: int) -> int:
        """The number of query-key pairs that one head computes in a text of `count` tokens."""
        if len(self.parts) == 1:
            (name, n), every = self.parts[0], np.arange(count, dtype=np.int64)
            return int(KINDS[name].counts(every, count, n).sum())
        if self.later:
            return count * count
        # Start from the pairs of one part, and add those pairs of "global" parts that it does not contain.
        (name, n), *firsts = sorted(self.parts, key=lambda part: part[0] == "global")
        if any(other != "global" for other, _ in firsts):
            return sum(int(self.seen(np.arange(at, at + 1), np.arange(at + 1)).sum()) for at in range(count))
        every = np.arange(count, dtype=np.int64)
        total = KINDS[name].counts(every, count, n)
        for key in range(min(max(most for _, most in firsts), count)):
            at = np.array([key])
            total[key:] += ~KINDS[name].seen(every[key:], at, n)
        return int(total.sum())


def _hidden(rule: Rule, queries: Array, keys: Array) -> NDArray[np.bool_]:
    """[query, key]: true where the rule hides the key. Read-only if it comes from the cache."""
    if not 0 < len(queries) * len(keys) <= _KEPT:
        return ~rule.seen(queries, keys)
    return _kept_hidden(rule, queries.astype(np.int64).tobytes(), keys.astype(np.int64).tobytes())


@lru_cache(maxsize=4)
def _kept_hidden(rule: Rule, queries: bytes, keys: bytes) -> NDArray[np.bool_]:
    """`_hidden` for up to `_KEPT` pairs, cached because each grid of a view and every block of a pass needs it."""
    hidden = ~rule.seen(np.frombuffer(queries, np.int64), np.frombuffer(keys, np.int64))
    hidden.flags.writeable = False
    return hidden


GPT2 = Rule(((CAUSAL, 0),))


@dataclass(frozen=True)
class Mask:
    """The rule for all heads, and the rules of single heads that differ, by (block, head)."""

    rule: Rule
    heads: tuple[tuple[tuple[int, int], Rule], ...] = ()

    def __str__(self) -> str:
        own = (f"{layer}.{head}={rule}" for (layer, head), rule in self.heads)
        return ", ".join([str(self.rule), *own])

    def of(self, layer: int, head: int) -> Rule:
        """The rule of one head."""
        return dict(self.heads).get((layer, head), self.rule)

    def own(self, layer: int) -> dict[int, Rule]:
        """The rules of those heads of a block that have a rule of their own, by head."""
        return {head: rule for (block, head), rule in self.heads if block == layer}

    def hidden(self, config: Config, layer: int, queries: Array, keys: Array) -> NDArray[np.bool_]:
        """[head, query, key], or [1, query, key] if all heads have the same rule: true where a key is hidden."""
        common = _hidden(self.rule, queries, keys)[None]
        own = self.own(layer)
        if not own:
            return common
        found = np.repeat(common, config.n_head, 0)
        for head, rule in own.items():
            found[head] = ~rule.seen(queries, keys)
        return found

    def pairs(self, config: Config, count: int) -> float:
        """The number of query-key pairs that a head computes in a text of `count` tokens, on average over all heads."""
        heads = config.n_layer * config.n_head
        own = sum(rule.pairs(count) for _, rule in self.heads)
        return (own + self.rule.pairs(count) * (heads - len(self.heads))) / heads


def parse_mask(text: str, config: Config) -> Mask:
    """The mask that `text` describes. Raises ModelError that names the invalid part."""
    rule, heads = GPT2, dict[tuple[int, int], Rule]()
    for n, part in enumerate(text.split(",")):
        match = _HEAD.fullmatch(part.strip())
        if match is None:
            if n:
                raise ModelError(
                    f"The mask {text[:60]!r}: every rule after the first must name a head, like 3.1=window:4."
                )
            rule = _rule(part, text)
            continue
        layer, head = int(match[1]), int(match[2])
        if layer >= config.n_layer or head >= config.n_head:
            raise ModelError(f"The mask {text[:60]!r}: there is no head {head} in block {layer} of this model.")
        heads[layer, head] = _rule(match[3], text)
    return Mask(rule, tuple(sorted((at, own) for at, own in heads.items() if own != rule)))


def _rule(text: str, whole: str) -> Rule:
    parts: list[tuple[str, int]] = []
    for part in text.split("+"):
        match = _PART.fullmatch(part.strip())
        name = match[1] if match is not None else ""
        if match is not None and name == FIRST and match[2] is None:
            parts.append(("global", 1))
            continue
        if match is None or name not in KINDS:
            known = ", ".join(f"{kind}:N" if row.numbered else kind for kind, row in KINDS.items())
            raise ModelError(
                f"The mask {whole[:60]!r}: {part.strip()[:30]!r} is not a rule; choose from {known}, first."
            )
        if KINDS[name].numbered != (match[2] is not None):
            how = "needs a number, like {0}:16" if KINDS[name].numbered else "does not take a number"
            raise ModelError(f"The mask {whole[:60]!r}: {how.format(name).join((f'{name} ', '.'))}")
        number = int(match[2] or 0)
        if KINDS[name].numbered and not 1 <= number <= MOST:
            raise ModelError(f"The mask {whole[:60]!r}: {name}:{number} is out of range; choose from 1 to {MOST:,}.")
        parts.append((name, number))
    found = tuple(dict.fromkeys(parts))
    if all(name == "global" for name, _ in found):
        raise ModelError(f"The mask {whole[:60]!r} does not let every token see itself; add window:1.")
    return Rule(found)


@lru_cache(maxsize=64)
def mask_of(text: str, config: Config) -> Mask:
    """`parse_mask`, cached."""
    return parse_mask(text, config)


def rules(mask: Mask) -> Iterator[Rule]:
    """Every rule of a mask, beginning with the rule for all heads."""
    yield mask.rule
    for _, rule in mask.heads:
        yield rule


def seen_by(mask: str, config: Config, layer: int, head: int, query: int, count: int) -> NDArray[np.bool_]:
    """[key]: true where a query of one head sees the key, in a text of `count` tokens under the named mask."""
    return mask_of(mask, config).of(layer, head).seen(np.array([query]), np.arange(count))[0]


def reach(mask: str, config: Config, layer: int, head: int, query: int, count: int) -> int:
    """How many keys, counted from the first, include every key that the query can see.

    These are the keys up to the query itself, or all `count` keys if the rule lets it see later ones.
    """
    return count if mask_of(mask, config).of(layer, head).later else query + 1
