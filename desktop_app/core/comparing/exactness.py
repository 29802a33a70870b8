"""The effect of int8 weights: a prompt's probabilities compared with those from the original float32 weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.levels import percent
from desktop_app.core.model import Model
from desktop_app.gpt2.formulas import softmax
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.tokenizer import Tokenizer


@dataclass(frozen=True)
class Effect:
    """How the probabilities after one position, at temperature 1 without top-k and top-p, differ from float32's.

    `token` is the token whose probability differs most; `exact` and `rounded` are its two probabilities. `moved` is the
    probability mass that moved to other tokens (the total variation distance). `same_first` says whether the likeliest
    token is the same.
    """

    token: int
    exact: float
    rounded: float
    moved: float
    same_first: bool

    @property
    def difference(self) -> float:
        """The largest difference of one token's probability."""
        return abs(self.rounded - self.exact)


def compare(exact: NDArray[np.float32], rounded: NDArray[np.float32]) -> Effect:
    """The effect of rounding on logits [d_vocab] after one position."""
    p, q = softmax(exact.astype(np.float64)), softmax(rounded.astype(np.float64))
    token = int(np.argmax(np.abs(p - q)))
    return Effect(
        token, float(p[token]), float(q[token]), float(np.abs(p - q).sum() / 2), int(p.argmax()) == int(q.argmax())
    )


def effect_of_rounding(
    model: Model, ids: Sequence[int], position: int, rounded: NDArray[np.float32], stop: Stop | None = None
) -> Effect:
    """Compute the logits after `position` with the float32 weights, and compare. Raises as `Engine.run` does."""
    final = model.exact.run(ids[: position + 1], None, ["ln_final.out"], stop)["ln_final.out"]
    return compare(model.exact.logits(final[-1:], stop)[0], rounded)


def words_of(effect: Effect, tokenizer: Tokenizer) -> str:
    """The effect in a sentence or two."""
    if effect.difference < 5e-7:
        return "int8 weights: the same probabilities as float32, to six digits."
    first = "the likeliest token is the same" if effect.same_first else "the likeliest token is another"
    token = tokenizer.quoted(effect.token)
    return (
        f"int8 weights: at temperature 1 {token} has {percent(effect.rounded)}, float32 gives it "
        f"{percent(effect.exact)}; no token differs more, and {first}."
    )
