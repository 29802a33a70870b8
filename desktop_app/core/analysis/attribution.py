"""Direct logit attribution: what each part of the residual stream adds to a logit, or to the difference of two.

For token a, or token a against token b: with d = W_U[a] - W_U[b], u = w_f * d minus its mean over d_model, and s the
final layer norm's scale at the position (frozen: treated as a constant, although it depends on the parts),

    contribution(part) = part . u / s      constant = b_f . d      sum of contributions + constant = logit a - logit b

Without b, d is W_U[a] minus the mean of all rows of W_U (softmax ignores what all logits share), or W_U[a] alone. u
is centred because the final layer norm subtracts the mean of its input; otherwise each part would also be credited with
its own mean. A contribution is not a causal effect: a later block may erase what an earlier one wrote (Janiak et al.
2023, arXiv 2310.07325).

Sources: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; nostalgebraist 2020, "interpreting
GPT: the logit lens".
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Closing, closing
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.core.analysis.parts import (
    Kind,
    Part,
    before_edit,
    head_rows,
    names_of,
    output_matrices,
    parts,
    project,
)
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.errors import ModelError, outside_vocabulary
from desktop_app.gpt2.formula import Place
from desktop_app.gpt2.formulas import multiplied
from desktop_app.gpt2.mask import reach
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace
from desktop_app.gpt2.weights import UNEMBEDDING

Array = NDArray[Any]

Baseline = Literal["token", "mean", "none"]
"""What a token's logit is measured against: another token's logit, the mean over all tokens, or nothing."""


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(NamedArrays):
    """What each part adds, after `position`, to the logit of `target` relative to another token, the mean, or nothing.

    All numbers are in logits. `contribution` [part] is in the order of `parts`. `constant` is what the final layer
    norm's bias adds. `total` is the sum of all of these; it equals `own`, the number that the model computed, up to
    rounding.

    `head_source` [layer, head, key] splits each head's contribution by the position that it attends to (0 for keys that
    the mask hides). `neuron` [layer, d_mlp] splits each MLP's contribution by neuron. Both are None if they were not
    requested.

    `direction` [d_model] is u / s: the contribution of any vector of the residual stream at this position is its dot
    product with `direction`. In an int8 model there is one more part, `rounding`: what rounding the final layer norm's
    output adds. `head_rounding` [layer, head] is what rounding or editing a head's z adds to its contribution, beyond
    the sum over source positions; it is zero if z is neither rounded nor edited.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "parts": ("part",),
        "contribution": ("part",),
        "constant": (),
        "total": (),
        "head_source": ("layer", "head", "key"),
        "neuron": ("layer", "d_mlp"),
    }

    target: int
    against: int | None
    baseline: Baseline
    position: int
    parts: tuple[Part, ...]
    contribution: Array
    constant: float
    total: float
    own: float
    direction: Array
    head_source: Array | None
    head_rounding: Array
    neuron: Array | None

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        found = {
            "parts": names_of(self.parts),
            "contribution": self.contribution,
            "constant": np.array(self.constant),
            "total": np.array(self.total),
        }
        opened = {"head_source": self.head_source, "neuron": self.neuron}
        return found | {name: array for name, array in opened.items() if array is not None}

    def of_kind(self, kind: Kind) -> Array:
        """The contributions of the parts of one kind, in the order of `parts`.

        [layer], or for heads [layer x head].
        """
        return self.contribution[[part.kind is kind for part in self.parts]]

    def closings(self) -> tuple[Closing, ...]:
        """The checks that parts add up to the model's number, positions to their head, and neurons to their MLP."""
        largest = max(np.abs(self.contribution).max(), abs(self.constant))
        found = [closing("attribution: parts and constant", self.total, self.own, largest)]
        if self.head_source is not None:
            heads = self.of_kind(Kind.HEAD).reshape(self.head_source.shape[:2])
            sums = self.head_source.sum(-1) + self.head_rounding
            largest = np.abs(self.head_source).max(-1)
            found.append(closing("attribution: sources of a head [layer, head]", sums, heads, largest))
        if self.neuron is not None:
            sums, largest = self.neuron.sum(-1), np.abs(self.neuron).max(-1)
            found.append(closing("attribution: neurons of an MLP [layer]", sums, self.of_kind(Kind.MLP), largest))
        return tuple(found)


def compute(
    checkpoint: Checkpoint,
    trace: Trace,
    *,
    target: int,
    against: int | None = None,
    baseline: Baseline = "mean",
    position: int = -1,
    sources: bool = True,
    neurons: bool = True,
    stop: Stop | None = None,
) -> Attribution:
    """Attribute the logit of token `target` after `position` to the parts of the residual stream.

    Args:
        checkpoint: the model that made `trace`.
        trace: the pass.
        target: the token's id.
        against: the id of the token to measure it against; `baseline` is then ignored.
        baseline: without `against`, "mean" (of all tokens) or "none".
        position: counted from 0; a negative one counts from the end.
        sources: whether heads are broken down by the positions that they read from.
        neurons: whether MLPs are broken down by neuron.
        stop: cancels between two blocks.

    Raises:
        ModelError: a token or position that does not exist.
        Cancelled: `stop` was set.
    """
    stop, config, weights = stop or Stop(), checkpoint.config, checkpoint.weights
    for token in (target, against):
        if token is not None and not 0 <= token < config.vocab_size:
            raise ModelError(outside_vocabulary(token, config.vocab_size))
    logits = trace.logits(position)
    row = position % len(trace)
    kind: Baseline = "token" if against is not None else baseline
    own, column = float(logits[target]), weights[UNEMBEDDING][target].astype(np.float64)
    if against is not None:
        own, column = own - float(logits[against]), column - weights[UNEMBEDDING][against]
    elif baseline == "mean":
        own, column = own - float(logits.mean(dtype=np.float64)), column - mean_row(checkpoint)
    direction = centred(weights["ln_final.w"] * column) / frozen_scale(trace, row)

    which, contribution = (
        parts(trace, config.n_layer),
        project(checkpoint, trace, config.n_layer, row, direction, stop),
    )
    if config.int8:
        final = trace.read("ln_final.out", row=row)
        rounding = multiplied(Place(config, 0, np.array([row])), final[None])[0].astype(np.float64) - final
        which, contribution = (*which, Part("rounding", Kind.ROUNDING)), np.append(contribution, rounding @ column)
    constant = float(weights["ln_final.b"] @ column)
    return Attribution(
        target=target,
        against=against,
        baseline=kind,
        position=row,
        parts=which,
        contribution=contribution,
        constant=constant,
        total=float(contribution.sum()) + constant,
        own=own,
        direction=direction,
        head_source=_sources(checkpoint, trace, row, direction, stop) if sources else None,
        head_rounding=_head_rounding(checkpoint, trace, row, direction),
        neuron=_neurons(checkpoint, trace, row, direction, stop) if neurons else None,
    )


def centred(vector: Array) -> Array:
    """`vector` minus its mean: the final layer norm's centring, applied to the unembedding instead of the stream."""
    return vector - vector.mean()


def frozen_scale(trace: Trace, row: int) -> float:
    """The final layer norm's scale at a position."""
    return float(trace.read("ln_final.scale", row=row)[0])


_means: WeakKeyDictionary[Checkpoint, Array] = WeakKeyDictionary()
_lock = threading.Lock()


def mean_row(checkpoint: Checkpoint) -> Array:
    """The mean of all tokens' rows of W_U, [d_model]; cached for the lifetime of the checkpoint."""
    with _lock:
        found = _means.get(checkpoint)
        if found is None:
            table = checkpoint.weights[UNEMBEDDING]
            pieces = (table[start : start + 4096].sum(0, dtype=np.float64) for start in range(0, len(table), 4096))
            found = _means[checkpoint] = np.sum(list(pieces), 0) / len(table)
    return found


def _sources(checkpoint: Checkpoint, trace: Trace, row: int, direction: Array, stop: Stop) -> Array:
    """Each head's contribution by source position j, A_ij (v_j . W_O u): [layer, head, key]."""
    config = checkpoint.config
    found = np.zeros((config.n_layer, config.n_head, len(trace)))
    for n in range(config.n_layer):
        stop.check()
        by_head = output_matrices(checkpoint, n) @ direction.astype(np.float32)  # [head, d_head]
        keys = max(reach(trace.run.mask, config, n, head, row, len(trace)) for head in range(config.n_head))
        worth = (trace.read_rows(f"blocks.{n}.attn.v", keys) @ by_head[:, :, None])[:, :, 0]  # [head, key]
        found[n, :, :keys] = trace.read(f"blocks.{n}.attn.pattern", row=row)[:, :keys] * worth
    return found


def _head_rounding(checkpoint: Checkpoint, trace: Trace, row: int, direction: Array) -> Array:
    """What rounding z to int8, and edits of z, add to each head's contribution: [layer, head]."""
    config = checkpoint.config
    found = np.zeros((config.n_layer, config.n_head))
    for n in range(config.n_layer):
        made = before_edit(trace, f"blocks.{n}.attn.z")
        if not config.int8 and not made.endswith(".before"):
            continue  # z is neither rounded nor edited: the sum over source positions is the whole contribution
        lost = head_rows(trace, n, row, row + 1)[:, 0] - trace.read(made, row=row)
        found[n] = np.vecdot(lost, output_matrices(checkpoint, n) @ direction.astype(np.float32))
    return found


def _neurons(checkpoint: Checkpoint, trace: Trace, row: int, direction: Array, stop: Stop) -> Array:
    """Each neuron's contribution, its activation times (its row of W_out . `direction`): [layer, d_mlp]."""
    config = checkpoint.config
    found = np.empty((config.n_layer, config.d_mlp))
    for n in range(config.n_layer):
        stop.check()
        post = multiplied(Place(config, n, np.array([row])), trace.read_rows(f"blocks.{n}.mlp.post", row + 1, row))[0]
        worth = checkpoint.weights[f"blocks.{n}.mlp.W_out"] @ direction.astype(np.float32)
        found[n] = post.astype(np.float64) * worth
    return found
