"""Each position's prediction compared with the token that follows in the text, as in training.

At position i, the model assigns a probability to each token of the vocabulary; the correct answer is the text's token
at i + 1. If p is the probability of that token at temperature 1, the loss is -ln p, in nats. Training minimises the
mean loss over all positions except the last; e raised to this mean is the perplexity (Radford et al. 2019, "Language
Models are Unsupervised Multitask Learners", section 3).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Progress, unheard
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

_AT_ONCE = 1 << 22  # number of logits computed at once: 16 MB in float32


@dataclass(frozen=True, eq=False, repr=False)
class Predictions(NamedArrays):
    """All arrays are [pos], for every position except the last.

    `next_id` is the token that follows in the text, `probability` the probability that the model gave it, `loss` is -ln
    of that, in nats, and `rank` the number of tokens with a greater logit. `top_id` and `top_probability` are those of
    the likeliest token.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = dict.fromkeys(
        ("next_id", "probability", "loss", "rank", "top_id", "top_probability"), ("pos",)
    )

    next_id: Array
    probability: Array
    loss: Array
    rank: Array
    top_id: Array
    top_probability: Array

    def __len__(self) -> int:
        return len(self.next_id)

    @property
    def mean_loss(self) -> float:
        """The mean loss over all positions; NaN for a text of one token."""
        return float(self.loss.mean()) if len(self) else float("nan")

    @property
    def right(self) -> int:
        """The number of positions at which the token that follows in the text was the likeliest."""
        return int((self.rank == 0).sum())

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {name: getattr(self, name) for name in self.AXES}


def compute(trace: Trace, *, stop: Stop | None = None, progress: Progress = unheard) -> Predictions:
    """Compare the prediction at every position of `trace` except the last with the token after it.

    Raises Cancelled on a stop.
    """
    stop, count = stop or Stop(), len(trace) - 1
    next_id = np.array(trace.ids[1:], dtype=np.int64)
    found = {name: np.zeros(count) for name in ("probability", "loss", "top_probability")}
    rank, top_id = np.zeros(count, np.int64), np.zeros(count, np.int64)
    step = max(1, _AT_ONCE // trace.config.vocab_size)
    for start in range(0, count, step):
        stop.check()
        end = min(start + step, count)
        logits = trace.read_rows("logits", end, start).astype(np.float64)
        rows, own = np.arange(end - start), next_id[start:end]
        largest = logits.max(1, keepdims=True)
        whole = np.log(np.exp(logits - largest).sum(1)) + largest[:, 0]
        came = logits[rows, own]
        found["loss"][start:end] = np.maximum(whole - came, 0)
        found["probability"][start:end] = np.exp(came - whole)
        found["top_probability"][start:end] = np.exp(largest[:, 0] - whole)
        rank[start:end] = (logits > came[:, None]).sum(1)
        top_id[start:end] = logits.argmax(1)
        progress(end / count)
    return Predictions(next_id, found["probability"], found["loss"], rank, top_id, found["top_probability"])
