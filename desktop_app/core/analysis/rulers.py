"""Rulers: directions in the residual stream along which tokens and streams are measured, and passes are steered.

A ruler is written as an expression that says how it is computed:

    woman - man                                a sum of tokens' rows of W_E, each less the mean of all rows
    blocks.3.mlp.W_out[17]                     what a neuron writes, its row of W_out
    blocks.5.attn.W_OV[1, 0].reads             a singular direction of a head: head 1, direction 0; or .writes
    "He is" - "She is" at blocks.3.resid_pre   the difference of two prompts' last vectors at that point

and may be preceded by a name, as in "gender: woman - man".
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis import head_circuits
from desktop_app.core.analysis.directions import rows, summed
from desktop_app.core.analysis.expression import Sum, parse_sum
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.edit import Cells, Edit
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

_NAMED = re.compile(r"\s*([^\s:\"'\[\]]{1,40})\s*:\s+(.*)", re.DOTALL)
_NEURON = re.compile(r"blocks\.(\d{1,3})\.mlp\.W_out\[(\d{1,6})\]", re.ASCII)
_SINGULAR = re.compile(r"blocks\.(\d{1,3})\.attn\.W_(OV|QK)\[(\d{1,3}),\s*(\d{1,4})\]\.(reads|writes)", re.ASCII)
_PROMPTS = re.compile(r'"([^"]+)"\s+[-\N{MINUS SIGN}]\s+"([^"]+)"\s+at\s+(\S+)')


@dataclass(frozen=True)
class Neuron:
    """What a neuron writes: its row of W_out."""

    layer: int
    neuron: int


@dataclass(frozen=True)
class Singular:
    """One side of a singular direction of a head's W_OV or W_QK.

    For W_OV `reads` is the direction that the head reads and `writes` the one that it writes; for W_QK `reads` is the
    direction that the query reads and `writes` the one that the key reads.
    """

    circuit: head_circuits.Circuit
    layer: int
    head: int
    number: int
    writes: bool


@dataclass(frozen=True)
class Prompts:
    """The difference of the vectors at the last tokens of two prompts, at one point of the residual stream."""

    one: str
    other: str
    site: str


@dataclass(frozen=True)
class Ruler:
    """A direction: `of` says how it is computed; `name` is the name given to it, or ""."""

    name: str
    of: Sum | Neuron | Singular | Prompts


def named(text: str) -> tuple[str, str]:
    """The name in front of a ruler ("" if it has none), and the rest of the text."""
    match = _NAMED.fullmatch(text)
    return (match[1], match[2]) if match is not None else ("", text)


def parse_ruler(text: str, tokenizer: Tokenizer) -> Ruler:
    """The ruler that a text describes. Raises LogitscopeError that names the fault."""
    name, spec = named(text)
    spec = spec.strip()
    if (match := _NEURON.fullmatch(spec)) is not None:
        return Ruler(name, Neuron(int(match[1]), int(match[2])))
    if (match := _SINGULAR.fullmatch(spec)) is not None:
        circuit: head_circuits.Circuit = "OV" if match[2] == "OV" else "QK"
        return Ruler(name, Singular(circuit, int(match[1]), int(match[3]), int(match[4]), match[5] == "writes"))
    if (match := _PROMPTS.fullmatch(spec)) is not None:
        return Ruler(name, Prompts(match[1], match[2], match[3]))
    if spec.startswith("blocks."):
        raise LogitscopeError(
            f"{spec[:60]!r} is not a direction; write blocks.3.mlp.W_out[17], or blocks.5.attn.W_OV[1, 0].reads."
        )
    return Ruler(name, parse_sum(spec, tokenizer))


Run = Callable[[str], Trace]
"""Computes the pass over a prompt."""


def vector_of(checkpoint: Checkpoint, ruler: Ruler, run: Run, *, without: int = 0) -> Array:
    """The direction itself, [d_model] in float64. For tokens, the first `without` principal components are removed.

    Raises ModelError for a block, head, neuron or tensor that does not exist, and anything that `run` raises.
    """
    of, config = ruler.of, checkpoint.config
    if isinstance(of, Sum):
        found: Array = summed(rows(checkpoint, without=without), of.terms)
    elif isinstance(of, Neuron):
        if not (of.layer < config.n_layer and of.neuron < config.d_mlp):
            raise ModelError(
                f"There is no neuron {of.neuron} of block {of.layer}; this model has {config.n_layer} blocks of "
                f"{config.d_mlp:,} neurons."
            )
        found = checkpoint.weights[f"blocks.{of.layer}.mlp.W_out"][of.neuron].astype(np.float64)
    elif isinstance(of, Singular):
        made = head_circuits.singular(checkpoint, of.circuit, of.layer, of.head)
        if of.number >= len(made.values):
            raise ModelError(f"A head has {len(made.values)} singular directions, from 0 on; there is no {of.number}.")
        found = (made.writes if of.writes else made.reads)[of.number]
    else:
        if of.site not in sites(config):
            raise ModelError(f"{of.site[:40]!r} is not a point of the residual stream, like blocks.0.resid_pre.")
        one, other = (run(text).read(of.site, row=-1).astype(np.float64) for text in (of.one, of.other))
        found = one - other
    if not np.linalg.norm(found) > 0:
        why = "the two prompts have the same vector there" if isinstance(of, Prompts) else "the neuron writes nothing"
        raise ModelError(f"This direction is zero: {why}.")
    return found


def sites(config: Config) -> tuple[str, ...]:
    """The points of the residual stream at which a direction can be read, or added to the stream."""
    return tuple(
        f"blocks.{n}.{name}" for n in range(config.n_layer) for name in ("resid_pre", "resid_mid", "resid_post")
    )


def steering(direction: Array, site: str, scale: float, start: int = 0) -> Edit:
    """The edit that adds `scale` times a direction to a point of the residual stream from position `start` on."""
    put = Cells.of((scale * direction)[None].astype(np.float32))
    return Edit(site, ((start, None), (0, None)), keep=1.0, put=put)


def points(config: Config) -> Sequence[str]:
    """The points at which a text is measured along a ruler: the start of every block, and the end of the last."""
    return (*(f"blocks.{n}.resid_pre" for n in range(config.n_layer)), f"blocks.{config.n_layer - 1}.resid_post")
