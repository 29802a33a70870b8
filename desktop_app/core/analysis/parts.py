"""The residual stream as the sum of what was written into it: embeddings, the outputs of heads and MLPs, and biases.

    x = embed + pos_embed + sum over earlier blocks of (result of each head + b_O + MLP without b_out + b_out)

A head's result is its z times its rows of W_O. What an edit adds to the stream, or to something written into it, is a
separate part. The effect of an edit further upstream, such as an edit of z, is contained in the part that it changes.
No function here computes the parts at every position: they are computed at one position, as a weighted sum over
positions, or projected onto a direction.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits", "Residual stream".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.closing import Closing, closing
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.formula import Place
from desktop_app.gpt2.formulas import JOIN_HEADS, multiplied
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]


class Kind(Enum):
    """The kind of a part; the value is its displayed name."""

    EMBED = "token embedding"
    POSITION = "position embedding"
    HEAD = "heads"
    ATTENTION_BIAS = "attention biases"
    MLP = "MLPs"
    MLP_BIAS = "MLP biases"
    NORM_BIAS = "layer norm and projection bias"
    ROUNDING = "rounding to int8"
    EDIT = "edits"


@dataclass(frozen=True)
class Part:
    """One part: its name, its kind, and the block and head that wrote it (None where that does not apply).

    For an edit, the part is the change that the edit made to `tensor`.
    """

    name: str
    kind: Kind
    layer: int | None = None
    head: int | None = None
    tensor: str = ""


def parts(trace: Trace, layer: int) -> tuple[Part, ...]:
    """The parts of `resid_pre` of block `layer`; of the last `resid_post` if `layer` is the number of blocks."""
    edits = tuple(
        Part(f"edit of {name}", Kind.EDIT, trace.table[name].layer, tensor=name) for name in _edited(trace, layer)
    )
    return (*_written(trace.config, layer), *edits)


_STREAM = ("resid_pre", "attn_out", "resid_mid", "mlp_out")


def _edited(trace: Trace, layer: int) -> list[str]:
    """The edited tensors among the stream and what is written into it, up to `resid_pre` of block `layer`."""
    names = [f"blocks.{n}.{end}" for n in range(layer) for end in _STREAM]
    return [name for name in (*names, f"blocks.{layer}.resid_pre") if f"{name}.before" in trace.table]


def before_edit(trace: Trace, name: str) -> str:
    """The name of the tensor's value before its edit, if it is edited; otherwise its name."""
    return f"{name}.before" if f"{name}.before" in trace.table else name


def edited_site(trace: Trace, ends: Sequence[str]) -> str:
    """The first edited tensor of the pass whose name ends in one of `ends`; "" if there is none."""
    return next((edit.site for edit in trace.run.edits if edit.site.endswith(tuple(ends))), "")


@lru_cache(maxsize=256)
def _written(config: Config, layer: int) -> tuple[Part, ...]:
    found = [Part("embed", Kind.EMBED), Part("pos_embed", Kind.POSITION)]
    for n in range(layer):
        found += [Part(f"blocks.{n}.attn.result.{h}", Kind.HEAD, n, h) for h in range(config.n_head)]
        found += [
            Part(f"blocks.{n}.attn.b_O", Kind.ATTENTION_BIAS, n),
            Part(f"blocks.{n}.mlp", Kind.MLP, n),
            Part(f"blocks.{n}.mlp.b_out", Kind.MLP_BIAS, n),
        ]
    return tuple(found)


def combine(
    checkpoint: Checkpoint, trace: Trace, layer: int, start: int, weights_of_rows: Array, stop: Stop | None = None
) -> Array:
    """Each part of `resid_pre` of block `layer`, summed over positions with weights: [part, d_model] in float64.

    Position `start + n` has the weight `weights_of_rows[n]`; a single weight of 1 gives the parts at that position. The
    order is that of `parts`.
    """
    stop = stop or Stop()
    config, total = checkpoint.config, float(weights_of_rows.sum())
    by_row = np.asarray(weights_of_rows, np.float64)
    end = start + len(by_row)

    def summed(name: str) -> Array:
        return by_row @ trace.read_rows(name, end, start).astype(np.float64)

    found = np.empty((len(parts(trace, layer)), config.n_embd))
    found[0], found[1] = summed("embed"), summed("pos_embed")
    at = 2
    for n in range(layer):
        stop.check()
        # [head, d_head] x [head, d_head, d_model]: since results are linear in z, the sum over z is taken first.
        z = by_row @ head_rows(trace, n, start, end)
        found[at : at + config.n_head] = (z.astype(np.float32)[:, None, :] @ output_matrices(checkpoint, n))[:, 0]
        at += config.n_head
        bias = {name: bias_of(checkpoint, n, name).astype(np.float64) for name in ("attn.b_O", "mlp.b_out")}
        found[at] = total * bias["attn.b_O"]
        found[at + 1] = summed(before_edit(trace, f"blocks.{n}.mlp_out")) - total * bias["mlp.b_out"]
        found[at + 2] = total * bias["mlp.b_out"]
        at += 3
    for n, name in enumerate(_edited(trace, layer), at):
        found[n] = summed(name) - summed(f"{name}.before")
    return found


def vector_of(checkpoint: Checkpoint, trace: Trace, part: Part, row: int) -> Array:
    """One part of the residual stream at position `row`, [d_model] in float64; `part` must be one of `parts`."""
    if part.kind is Kind.EDIT:
        after, before = (
            trace.read(name, row=row).astype(np.float64) for name in (part.tensor, f"{part.tensor}.before")
        )
        return np.asarray(after - before)
    if part.layer is None:
        return trace.read(part.name, row=row).astype(np.float64)
    if part.kind is Kind.HEAD:
        assert part.head is not None
        z = head_rows(trace, part.layer, row, row + 1)[part.head, 0]
        found: Array = z.astype(np.float32) @ output_matrices(checkpoint, part.layer)[part.head]
        return found.astype(np.float64)
    name = "attn.b_O" if part.kind is Kind.ATTENTION_BIAS else "mlp.b_out"
    bias = bias_of(checkpoint, part.layer, name).astype(np.float64)
    if part.kind is Kind.MLP:
        name = before_edit(trace, f"blocks.{part.layer}.mlp_out")
        return trace.read(name, row=row).astype(np.float64) - bias
    return bias


def project(
    checkpoint: Checkpoint, trace: Trace, layer: int, row: int, direction: Array, stop: Stop | None = None
) -> Array:
    """The dot product of each part of `resid_pre` of block `layer` at position `row` with `direction`: [part], float64.

    Equals the result of `combine` times `direction` [d_model], but does not compute the parts: W_O is multiplied by the
    direction first.
    """
    stop = stop or Stop()
    config = checkpoint.config
    narrow, wide = direction.astype(np.float32), direction.astype(np.float64)

    def along(vector: Array) -> float:
        return float(vector.astype(np.float64) @ wide)

    found = np.empty(len(parts(trace, layer)))
    found[0], found[1] = along(trace.read("embed", row=row)), along(trace.read("pos_embed", row=row))
    at = 2
    for n in range(layer):
        stop.check()
        by_head = output_matrices(checkpoint, n) @ narrow  # [head, d_head]
        found[at : at + config.n_head] = np.vecdot(head_rows(trace, n, row, row + 1)[:, 0], by_head)
        at += config.n_head
        bias = along(bias_of(checkpoint, n, "mlp.b_out"))
        found[at] = along(bias_of(checkpoint, n, "attn.b_O"))
        found[at + 1] = along(trace.read(before_edit(trace, f"blocks.{n}.mlp_out"), row=row)) - bias
        found[at + 2] = bias
        at += 3
    for n, name in enumerate(_edited(trace, layer), at):
        found[n] = along(trace.read(name, row=row)) - along(trace.read(f"{name}.before", row=row))
    return found


def head_rows(trace: Trace, layer: int, start: int, end: int) -> Array:
    """The vectors that each head's rows of W_O are multiplied by, at positions `start` to `end`.

    [head, pos, d_head] in float64: z, or in an int8 model z rounded.
    """
    z = trace.read_rows(f"blocks.{layer}.attn.z", end, start)
    if trace.config.int8:
        place = Place(trace.config, layer, np.arange(start, end))
        flat = multiplied(place, JOIN_HEADS.compute(place, z))
        z = flat.reshape(end - start, trace.config.n_head, trace.config.d_head).transpose(1, 0, 2)
    return z.astype(np.float64)


def output_matrices(checkpoint: Checkpoint, layer: int) -> Array:
    """W_O of each head of a block: [head, d_head, d_model], a view of the weight."""
    config = checkpoint.config
    whole = checkpoint.weights[f"blocks.{layer}.attn.W_O"]
    return whole.reshape(config.n_head, config.d_head, config.n_embd)


def bias_of(checkpoint: Checkpoint, layer: int, name: str) -> Array:
    """A bias that is a separate part: `attn.b_O` or `mlp.b_out` of a block, [d_model]."""
    return checkpoint.weights[f"blocks.{layer}.{name}"]


@dataclass(frozen=True, eq=False, repr=False)
class Parts(NamedArrays):
    """The parts of the residual stream at one position.

    `vectors` [part, d_model] is in the order of `parts`. `whole` [d_model] is `tensor` at that position as the model
    computed it.
    """

    AXES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "parts": ("part",),
        "vectors": ("part", "d_model"),
        "whole": ("d_model",),
    }

    tensor: str
    position: int
    parts: tuple[Part, ...]
    vectors: Array
    whole: Array

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {"parts": names_of(self.parts), "vectors": self.vectors, "whole": self.whole}

    def closings(self) -> tuple[Closing, ...]:
        """The check that the parts add up to the stream."""
        name = f"parts of {self.tensor}: their sum"
        return (closing(name, self.vectors.sum(0), self.whole, np.abs(self.vectors).max(0)),)


def compute(checkpoint: Checkpoint, trace: Trace, *, layer: int, position: int, stop: Stop | None = None) -> Parts:
    """The parts of `resid_pre` of block `layer` at one position (of the last `resid_post` if `layer` is past the end).

    A negative position counts from the end. Raises ModelError for a position outside the text, Cancelled on a stop.
    """
    tensor = f"blocks.{layer}.resid_pre" if layer < checkpoint.config.n_layer else f"blocks.{layer - 1}.resid_post"
    whole = trace.read(tensor, row=position)
    row = position % len(trace)
    vectors = combine(checkpoint, trace, layer, row, np.ones(1), stop)
    return Parts(tensor, row, parts(trace, layer), vectors, whole)


def names_of(which: Sequence[Part]) -> Array:
    """The parts' names as an array of strings."""
    return np.array([part.name for part in which])


LEVELS = ("parts", "heads and MLPs", "sublayers", "blocks", "kinds")
"""Ways of grouping parts, from fine to coarse.

`heads and MLPs` combines a block's two biases, `sublayers` its heads with b_O and its MLP with b_out, `blocks`
everything in a block, and `kinds` all parts of one kind across blocks.
"""


@dataclass(frozen=True)
class Fold:
    """Groups of parts: the groups' names, and the indices of the parts in each group."""

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]

    def summed(self, values: Array, axis: int = 0) -> Array:
        """`values` with the axis of parts summed within each group."""
        along = np.moveaxis(values, axis, 0)
        return np.moveaxis(np.stack([along[list(group)].sum(0) for group in self.members]), 0, axis)


def fold(which: Sequence[Part], level: str) -> Fold:
    """The groups of `which` at one of LEVELS."""
    groups: dict[str, list[int]] = {}
    for index, part in enumerate(which):
        groups.setdefault(_group(part, level), []).append(index)
    return Fold(tuple(groups), tuple(map(tuple, groups.values())))


_SUBLAYER = {Kind.HEAD: "attn", Kind.ATTENTION_BIAS: "attn", Kind.MLP: "mlp", Kind.MLP_BIAS: "mlp"}


def _group(part: Part, level: str) -> str:
    if level == "kinds":
        return part.kind.value
    if level == "parts" or part.layer is None or part.kind not in _SUBLAYER:
        return part.name
    if level == "blocks":
        return f"blocks.{part.layer}"
    if level == "sublayers":
        return f"blocks.{part.layer}.{_SUBLAYER[part.kind]}"
    return f"blocks.{part.layer} biases" if part.kind in (Kind.ATTENTION_BIAS, Kind.MLP_BIAS) else part.name
