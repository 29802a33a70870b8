"""From logits to the next token in visible stages: temperature, top-k, top-p, renormalise, draw. Exact, in float64.

Tokens are ranked once per position, by descending logit; ties go to the lower id. Dividing by a temperature keeps that
order, and so does each cut, so the tokens that survive are always a prefix of the ranking. Moving a slider therefore
never sorts.
"""

import math
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from desktop_app.gpt2.errors import SamplingError

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.intp]
Array = TypeVar("Array", Floats, Ids)

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0
MAX_TOP_K = 2**31 - 1
MAX_SEED = 2**64 - 1


@dataclass(frozen=True)
class Sampling:
    """The user's settings. `top_k` = 0 and `top_p` = 1 switch these cuts off; `greedy` overrides both.

    Raises:
        SamplingError: a field out of its range; the message names the field and the range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    greedy: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("temperature", "top_p"):
            self._check_type(name, (int, float, np.floating), "a number")
        for name in ("top_k", "seed"):
            self._check_type(name, (int, np.integer), "a whole number")
        if not isinstance(self.greedy, bool):
            raise SamplingError(f"greedy is {self.greedy!r:.40}; it must be true or false.")
        # Each condition states what is valid, so that NaN, for which every comparison is false, is refused.
        for name, is_right, needed in (
            (
                "temperature",
                MIN_TEMPERATURE <= self.temperature <= MAX_TEMPERATURE,
                f"from {MIN_TEMPERATURE} to {MAX_TEMPERATURE:g}",
            ),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1 (1 switches it off)"),
            ("top_k", 0 <= self.top_k <= MAX_TOP_K, f"from 0 (off) to {MAX_TOP_K}"),
            ("seed", 0 <= self.seed <= MAX_SEED, f"from 0 to {MAX_SEED}"),
        ):
            if not is_right:
                raise SamplingError(
                    f"{name} is {getattr(self, name)!r:.40}; it must be {needed}.", option=name.replace("_", "-")
                )
        for name, kind in (("temperature", float), ("top_p", float), ("top_k", int), ("seed", int)):
            object.__setattr__(self, name, kind(getattr(self, name)))

    def _check_type(self, name: str, types: tuple[type, ...], wanted: str) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, types):
            raise SamplingError(f"{name} is {value!r:.40}; it must be {wanted}.", option=name.replace("_", "-"))


class Fate(Enum):
    """Whether a token was kept or cut, and why."""

    KEPT = "kept"
    CUT_BY_TOP_K = "cut by top-k"
    CUT_BY_TOP_P = "cut by top-p"
    GREEDY = "greedy takes the first only"


class Ranked:
    """The logits of one position in descending order.

    Attributes:
        order: [d_vocab] token ids, by descending logit; of equal logits the lower id comes first.
        logits: [d_vocab] float64, in that order.
    """

    def __init__(self, logits: npt.NDArray[np.floating]) -> None:
        """Sort `logits` [d_vocab] of any float dtype.

        Raises:
            SamplingError: `logits` is not a single row of finite numbers.
        """
        if logits.ndim != 1 or logits.size == 0:
            raise SamplingError(f"Logits of one position are a row of numbers, not of shape {logits.shape}.")
        if not np.isfinite(logits).all():
            bad = int(np.flatnonzero(~np.isfinite(logits))[0])
            raise SamplingError(
                f"The logit of token {bad} is {logits[bad]}: the model's weights or input produced numbers "
                f"that are not finite."
            )
        self.order: Ids = _frozen(_descending(logits))
        self.logits: Floats = _frozen(logits[self.order].astype(np.float64))
        self._last_tempered: tuple[float, Floats, Floats] | None = None

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def ranks(self) -> Ids:
        """[d_vocab] the rank of each token id, counted from 0."""
        ranks = np.empty_like(self.order)
        ranks[self.order] = np.arange(len(self))
        return _frozen(ranks)

    def rank_of(self, token_id: int) -> int:
        """The rank of a token id, counted from 0. Raises SamplingError if the id is outside the vocabulary."""
        if not 0 <= token_id < len(self):
            raise SamplingError(f"The id {token_id} is outside the vocabulary, 0 to {len(self) - 1}.")
        return int(self.ranks[token_id])

    @cached_property
    def probs(self) -> Floats:
        """[d_vocab] softmax of the logits at temperature 1, in ranked order."""
        weights, cumulative = self._weigh(1.0)
        return _frozen(weights / cumulative[-1])

    def tempered(self, temperature: float) -> tuple[Floats, Floats]:
        """exp((logits - largest) / temperature), [d_vocab] in ranked order, and its cumulative sums.

        The last result is cached, so that nothing is exponentiated again while only top-k or top-p changes.
        """
        last = self._last_tempered  # read only once, because another thread may replace it
        if last is None or last[0] != temperature:
            last = (temperature, *self._weigh(temperature))
            self._last_tempered = last
        return last[1:]

    def _weigh(self, temperature: float) -> tuple[Floats, Floats]:
        # The largest exponent is 0, so nothing overflows; far smaller terms underflow to 0, which is correct.
        weights = np.exp((self.logits - self.logits[0]) / temperature)
        return _frozen(weights), _frozen(np.cumsum(weights))


@dataclass(frozen=True, eq=False)
class Stages:
    """Every stage of sampling at one position. All arrays are float64, read-only and in ranked order.

    With `greedy`, top-k and top-p do not apply, as in transformers: every token survives them, and the last stage keeps
    rank 0 alone.
    """

    ranked: Ranked
    sampling: Sampling
    scaled: Floats
    """[d_vocab] logits / temperature."""
    probs_full: Floats
    """[d_vocab] softmax of the logits, before any stage."""
    probs_scaled: Floats
    """[d_vocab] softmax after temperature."""
    n_top_k: int
    """How many tokens survive top-k: exactly k. If logits are equal at the boundary, lower ids survive."""
    probs_top_k: Floats
    """[n_top_k] renormalised after top-k."""
    cumulative: Floats
    """[n_top_k] running sum of `probs_top_k`, including each token itself; it is compared with top-p."""
    n_kept: int
    """How many tokens survive every stage, at least 1."""
    final: Floats
    """[n_kept] the probabilities to draw from, with sum 1."""
    cumulative_final: Floats
    """[n_kept] running sum of `final`; the last number is exactly 1."""

    def fate(self, rank: int) -> Fate:
        """Whether the token at `rank` survives or is cut, and by which stage."""
        self._check_rank(rank)
        if rank < self.n_kept:
            return Fate.KEPT
        if self.sampling.greedy:
            return Fate.GREEDY
        return Fate.CUT_BY_TOP_K if rank >= self.n_top_k else Fate.CUT_BY_TOP_P

    def probability_of(self, token_id: int) -> float:
        """The probability of drawing a token, after all stages; 0 if it was cut."""
        rank = self.ranked.rank_of(token_id)
        return float(self.final[rank]) if rank < self.n_kept else 0.0

    def landing(self, u: float) -> int:
        """The rank whose interval contains `u`, which is in [0, 1). The probability of that rank is never zero."""
        if not 0 <= u < 1:
            raise SamplingError(f"A draw lands at a number from 0 up to but not including 1, not at {u}.")
        return int(np.searchsorted(self.cumulative_final, u, side="right"))

    def interval(self, rank: int) -> tuple[float, float]:
        """The part [low, high) of [0, 1) in which a draw selects `rank`; empty for a token that was cut."""
        self._check_rank(rank)
        if rank >= self.n_kept:
            return 1.0, 1.0
        return float(self.cumulative_final[rank - 1]) if rank else 0.0, float(self.cumulative_final[rank])

    def _check_rank(self, rank: int) -> None:
        if not 0 <= rank < len(self.ranked):
            raise SamplingError(
                f"There is no rank {rank}; the ranks of this vocabulary are 0 to {len(self.ranked) - 1}."
            )


def stages(ranked: Ranked, sampling: Sampling) -> Stages:
    """The result of every stage, in the order and with the semantics of transformers' logits processors.

    Temperature divides the logits. Top-k keeps the k highest. Top-p (Holtzman et al. 2019, section 3.1) works on the
    distribution renormalised after top-k. It keeps each token for which the probabilities of all more probable tokens
    add up to less than `top_p`: the token that crosses the line is kept, and at least one token is. The rest is
    renormalised.
    """
    weights, sums = ranked.tempered(sampling.temperature)
    d_vocab = len(ranked)
    n_top_k = d_vocab
    if sampling.top_k and not sampling.greedy:
        n_top_k = min(sampling.top_k, d_vocab)
    cumulative = sums[:n_top_k] / sums[n_top_k - 1]
    n_kept = n_top_k
    if sampling.greedy:
        n_kept = 1
    elif sampling.top_p < 1:
        # The crossing token is the first at which the running sum reaches top_p.
        n_kept = int(np.searchsorted(cumulative, sampling.top_p, side="left")) + 1
    probs_scaled = _frozen(weights / sums[-1])
    return Stages(
        ranked=ranked,
        sampling=sampling,
        scaled=_frozen(ranked.logits / sampling.temperature),
        probs_full=ranked.probs,
        probs_scaled=probs_scaled,
        n_top_k=n_top_k,
        probs_top_k=probs_scaled if n_top_k == d_vocab else _frozen(weights[:n_top_k] / sums[n_top_k - 1]),
        cumulative=_frozen(cumulative),
        n_kept=n_kept,
        final=_frozen(weights[:n_kept] / sums[n_kept - 1]),
        cumulative_final=_frozen(sums[:n_kept] / sums[n_kept - 1]),
    )


def uniform(seed: int, n: int) -> float:
    """The number in [0, 1) for draw number `n` (from 0): the same on every machine and in every version.

    It is made of the upper 53 bits of the first 64-bit word of Philox4x64-10 with key (seed, 0) and counter n + 1,
    divided by 2**53 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). Philox is a function of key
    and counter without state.

    Raises:
        SamplingError: `n` is negative, or the seed is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise SamplingError(f"seed is {seed}; it must be from 0 to {MAX_SEED}.", option="seed")
    if not 0 <= n <= MAX_SEED:
        raise SamplingError(f"Draws are numbered from 0, not {n}.")
    # numpy increments the counter before it generates a word. Raw words are stable across numpy's versions.
    word = int(np.random.Philox(key=seed, counter=n).random_raw())
    return math.ldexp(word >> 11, -53)


def _descending(logits: npt.NDArray[np.floating]) -> Ids:
    """The ids by descending logit, ties by ascending id. This is the only sort for a position."""
    return np.argsort(-logits, kind="stable")


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
