"""What the Evidence workspace shows: passages run through the open model, neurons that a text activates, and a search.

An evidence file has values and positions. The shading of a passage comes from a pass of the open model over it, so that
every colour was computed by that model, and the difference to the file's value can be reported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.parts import output_matrices
from desktop_app.core.evidence.findings import DECILES, FROM_EACH
from desktop_app.core.evidence.heads import result_norms
from desktop_app.core.evidence.saved import NAME, Evidence, EvidenceError, read_evidence
from desktop_app.core.library.training import snapshot_name
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.edit import parse_edits
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.phrase import Phrase
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.trace import Trace

Array = NDArray[Any]

BEFORE, AFTER = 8, 3
"""The maximum number of tokens of a passage shown before its recorded position, and after it."""

OF_DECILE = (0, FROM_EACH - 1)
"""The passages shown from each tenth: those stored with the lowest and the highest value."""


def find_evidence(checkpoint: Checkpoint, path: str) -> Evidence | str:
    """The evidence at `path` or, if that is "", in the model's folder; or a sentence that says why there is none."""
    where = Path(path) if path else checkpoint.folder / NAME
    name = snapshot_name(checkpoint.folder) or checkpoint.name
    command = f'logitscope scan TEXTS --model "{checkpoint.folder}" --out FOLDER'
    if not path and not where.is_file():
        return Phrase(
            "There is no evidence about {1} yet. Make some with {2}, then open its folder here.",
            name,
            command,
        )
    try:
        found = read_evidence(where)
    except EvidenceError as reason:
        return str(reason)
    if found.digest != checkpoint.digest:
        return (
            f"{where} is about another model, {found.model}: its weights are not those of {name}. Scan "
            f"texts with this one: {command}."
        )
    if not _fits(found, checkpoint.config):
        return f"{where} names the weights of {name}, but has another shape. Scan the texts again: {command}."
    return found


def _fits(evidence: Evidence, config: Config) -> bool:
    """Whether evidence has the shape of a model, and contains only tokens and windows that the model can read."""
    ids = [evidence.arrays[name] for name in ("ids", "pairs.query_id", "pairs.key_id")]
    return (
        evidence.shape == (config.n_layer, config.d_mlp, config.n_head)
        and all(array.min(initial=0) >= 0 and array.max(initial=0) < config.vocab_size for array in ids)
        and evidence.arrays["window_length"].max(initial=0) <= config.n_positions
    )


@dataclass(frozen=True, eq=False)
class Passage:
    """One passage: its ids up to AFTER tokens past the recorded position, that position, and the file's value there.

    `values` [pos] are the open model's values at every position of `ids`; `window` is the window's index in the
    evidence.
    """

    ids: tuple[int, ...]
    position: int
    recorded: float
    values: Array
    window: int
    decile: int | None = None

    @property
    def value(self) -> float:
        """The open model's value at the recorded position."""
        return float(self.values[self.position])


@dataclass(frozen=True, eq=False)
class Passages:
    """Passages of one neuron or head, in order; `of` is the block and number of the neuron or head."""

    of: tuple[int, int]
    found: tuple[Passage, ...]

    @property
    def apart(self) -> float:
        """The largest difference between the file's values and the model's, relative to the largest value."""
        most = max((abs(p.value) for p in self.found), default=0.0)
        return max((abs(p.value - p.recorded) for p in self.found), default=0.0) / most if most else 0.0


def activations(engine: Engine, trace: Trace, kind: str, layer: int, unit: int) -> Array:
    """The values that shade a passage, [pos]: a neuron after the activation, or the norm of a head's result."""
    if kind != "head":
        return np.array(trace.read(f"blocks.{layer}.mlp.post")[:, unit])
    matrix = output_matrices(engine.checkpoint, layer)[unit]
    z = trace.read(f"blocks.{layer}.attn.z", head=unit)
    return result_norms(z[None], (matrix @ matrix.T)[None])[0]


def read_passages(
    engine: Engine,
    evidence: Evidence,
    kind: str,
    layer: int,
    unit: int,
    stop: Stop,
    progress: Callable[[float], None],
) -> Passages:
    """Passages of a neuron ("top", "decile") or head ("head") with the model's values. Raises Cancelled on a stop."""
    passages = evidence.passages(kind)
    ranks = list(range(passages.value.shape[1]))
    if kind == "decile":
        ranks = [FROM_EACH * n + m for n in reversed(range(DECILES)) for m in reversed(OF_DECILE)]
    found = []
    for n, rank in enumerate(ranks):
        window = int(passages.window[layer, rank, unit])
        if window < 0:
            continue
        position = int(passages.position[layer, rank, unit])
        ids = evidence.ids(window)[: position + 1 + AFTER]
        trace = engine.trace(ids, stop=stop)
        values = activations(engine, trace, kind, layer, unit)
        decile = rank // FROM_EACH if kind == "decile" else None
        found.append(
            Passage(ids, position, float(passages.value[layer, rank, unit]), values.astype(np.float64), window, decile)
        )
        progress((n + 1) / len(ranks))
    return Passages((layer, unit), tuple(found))


@dataclass(frozen=True, eq=False)
class Active:
    """Neurons of all blocks, the most active first: the block, index and value of each, and how unusual that value is.

    `unusual` is the value minus the neuron's mean over the texts, in units of its standard deviation; NaN without
    evidence.
    """

    layer: Array
    neuron: Array
    value: Array
    unusual: Array


def most_active(trace: Trace, position: int, evidence: Evidence | None, count: int = 12) -> Active:
    """The most active neurons at a position: those farthest above their means or, without evidence, the largest."""
    blocks = range(trace.config.n_layer)
    values = np.stack([trace.read(f"blocks.{layer}.mlp.post", row=position) for layer in blocks]).astype(np.float64)
    unusual = np.full(values.shape, np.nan)
    if evidence is not None:
        spread = np.sqrt(np.maximum(evidence.arrays["post.variance"].astype(np.float64), 1e-12))
        unusual = (values - evidence.arrays["post.mean"]) / spread
    order = np.argsort(-(values if evidence is None else unusual).reshape(-1), kind="stable")[:count]
    layer, neuron = np.unravel_index(order, values.shape)
    return Active(layer, neuron, values[layer, neuron], unusual[layer, neuron])


def written(checkpoint: Checkpoint, layer: int, neuron: int) -> Array:
    """What a neuron adds to the logits: its row of W_out through the final norm's gain and the unembedding, [d_vocab].

    The mean over tokens is subtracted. The unit is logits per unit of activation, for a final norm's scale of 1.
    """
    weights = checkpoint.weights
    row = weights[f"blocks.{layer}.mlp.W_out"][neuron].astype(np.float64)
    through = weights["unembed.W_U"] @ ((row - row.mean()) * weights["ln_final.w"]).astype(np.float32)
    return (through - through.mean()).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Muted:
    """The prediction after a position, without and with the ablation of a unit: log probabilities [d_vocab], and KL."""

    edit: str
    before: Array
    after: Array
    kl: float


def mute(
    engine: Engine, trace: Trace, position: int, kind: str, layer: int, unit: int, mean: float, stop: Stop
) -> Muted:
    """The effect of setting a neuron to `mean`, or a head's z to 0, at every position.

    Raises ModelError, Cancelled.
    """
    place = f"blocks.{layer}.attn.z[{unit}]=0" if kind == "head" else f"blocks.{layer}.mlp.post[:, {unit}]={mean:.9g}"
    run = trace.run
    edits = (*run.edits, *parse_edits((place,), trace.config, len(trace)))
    edited = engine.trace(trace.ids, edits=edits, mask=run.mask, reuse=None if run.changes else trace, stop=stop)
    before, after = (_log_softmax(run.logits(position)) for run in (trace, edited))
    return Muted(place, before, after, float((np.exp(before) * (before - after)).sum()))


def _log_softmax(logits: Array) -> Array:
    wide = logits.astype(np.float64)
    wide = wide - wide.max()
    return wide - np.log(np.exp(wide).sum())


@dataclass(frozen=True, eq=False)
class Found:
    """Neurons whose strongest passages have their recorded position within an occurrence of the search text.

    `hits` is the number of such passages among the TOP; `windows` the number of windows in which the text occurs.
    """

    layer: Array
    neuron: Array
    hits: Array
    windows: int


def search(evidence: Evidence, tokenizer: Tokenizer, text: str, count: int = 12) -> Found:
    """Search the windows that contain passages for a text, ignoring the case of A to Z; return the neurons found."""
    wanted = text.encode().lower()  # of bytes, `lower` changes ASCII letters alone
    lengths = evidence.arrays["window_length"]
    hit = np.zeros((len(lengths), int(lengths.max(initial=1))), bool)
    pieces: dict[int, bytes] = {}
    windows = 0
    for window in range(len(lengths)):
        ids = evidence.ids(window)
        data = [pieces[i] if i in pieces else pieces.setdefault(i, tokenizer.token_bytes(i)) for i in ids]
        whole = b"".join(data).lower()
        at = whole.find(wanted) if wanted else -1
        if at < 0:
            continue
        windows += 1
        ends = np.cumsum([len(piece) for piece in data])
        while at >= 0:
            first = int(np.searchsorted(ends, at, side="right"))
            last = int(np.searchsorted(ends, at + len(wanted) - 1, side="right"))
            hit[window, first : last + 1] = True
            at = whole.find(wanted, at + len(wanted))
    top = evidence.passages("top")
    there = (top.window >= 0) & hit[np.maximum(top.window, 0), top.position]
    hits = there.sum(1)  # [layer, neuron]
    strength = np.where(there, top.value, 0).sum(1, dtype=np.float64)
    order = np.lexsort((-strength.reshape(-1), -hits.reshape(-1)))[:count]
    order = order[hits.reshape(-1)[order] > 0]
    layer, neuron = np.unravel_index(order, hits.shape)
    return Found(layer, neuron, hits[layer, neuron], windows)
