"""Attention masks compared: how many query-key pairs each of them computes, and how it changes the prediction.

Sukhbaatar et al. 2019, "Adaptive Attention Span in Transformers", learn a separate window for each head. Here a head's
window is measured on a text: the smallest window that contains a given fraction of the head's attention.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.gpt2.config import Config
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

LENGTHS = (1_024, 8_192, 131_072)
"""Lengths of text, in tokens, for which the pairs of a mask are counted in addition to the text's own length."""
_ROUNDING = 1e-9  # nats: a KL divergence up to this counts as zero
HELD = 0.95
"""The fraction of a head's attention that its window contains."""


@dataclass(frozen=True, eq=False)
class Masked:
    """The effect of a mask.

    `pairs` is how many query-key pairs a head computes on average, for the text's own length and for each of LENGTHS.
    The rest is the likeliest next token with its probability, and KL(prediction under the causal mask || under this
    one), in nats.
    """

    mask: str
    pairs: tuple[float, ...]
    token: int
    probability: float
    kl: float


def candidates(config: Config, count: int, own: str = CAUSAL) -> tuple[str, ...]:
    """Masks worth comparing on a text of `count` tokens, with sizes small enough to hide some of its pairs."""
    window = max(2, min(16, count // 2))
    block = max(2, min(16, -(-count // 3)))
    found = [CAUSAL, "none", f"window:{window}", f"window:{window}+first", f"strided:{max(2, round(count**0.5))}"]
    found += [f"local:{block}", f"local:{block}+global:{max(1, block // 4)}"]
    return tuple(dict.fromkeys([*found, str(mask_of(own, config))]))


def spans(trace: Trace, stop: Stop | None = None) -> str:
    """The mask in which each head has the smallest window that contains HELD of its attention, over all queries.

    It is the causal mask with an additional window for each head that does not need the whole text.
    """
    stop, count = stop or Stop(), len(trace)
    distance = np.subtract.outer(np.arange(count), np.arange(count))
    parts = [CAUSAL]
    for layer in range(trace.config.n_layer):
        stop.check()
        pattern = trace.read(f"blocks.{layer}.attn.pattern").astype(np.float64)
        for head in range(trace.config.n_head):
            held = np.array([pattern[head][distance == d].sum() for d in range(count)]).cumsum()
            window = int(np.searchsorted(held, HELD * held[-1])) + 1
            if window < count:
                parts.append(f"{layer}.{head}=window:{window}")
    return str(mask_of(", ".join(parts), trace.config))


def compare(
    engine: Engine,
    trace: Trace,
    masks: Sequence[str],
    stop: Stop | None = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> tuple[Masked, ...]:
    """The effect of each mask on the prediction after the last position.

    Raises ModelError if `trace` itself has a mask other than GPT-2's, Cancelled on a stop.
    """
    if trace.run.mask != CAUSAL:
        raise ModelError("Masks are compared with the pass under GPT-2's causal mask; remove the mask first.")
    config, count, plain = engine.config, len(trace), _log_softmax(trace.logits(-1))
    found = []
    for n, text in enumerate(masks):
        mask = mask_of(text, config)
        masked = engine.trace(trace.ids, edits=trace.run.edits, mask=str(mask), reuse=trace, stop=stop)
        logs = _log_softmax(masked.logits(-1))
        best = int(logs.argmax())
        kl = float((np.exp(plain) * (plain - logs)).sum())
        pairs = tuple(mask.pairs(config, length) for length in (count, *LENGTHS))
        found.append(Masked(str(mask), pairs, best, float(np.exp(logs[best])), kl if kl > _ROUNDING else 0.0))
        progress((n + 1) / len(masks))
    return tuple(found)


def _log_softmax(logits: Array) -> Array:
    x = logits.astype(np.float64)
    x = x - x.max()
    return np.asarray(x - np.log(np.exp(x).sum()))
