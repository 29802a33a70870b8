"""Series of edited passes: the effects of ablating parts of a pass, or of patching them in from another prompt's pass.

Each edited pass is measured by its logit difference after the last position, logit[target] - logit[against]. Ablation
(muting) sets a head's z, a neuron's activation or all activations of an MLP to 0 at every position, or to a mean over
reference texts, which is closer to values that occur in practice; biases stay. Patching replaces cells by the values of
the same cells in the pass over another prompt.

Sources: Zhang and Nanda 2023, arXiv 2309.16042; Heimersheim and Nanda 2024, arXiv 2404.15255.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis import attribution
from desktop_app.core.analysis.closing import Closing, Progress, closing, unheard
from desktop_app.core.analysis.named_arrays import NamedArrays
from desktop_app.core.comparing.alignment import TOKENS, Alignment, aligned
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.edit import ALL, CUT, Cells, Edit, Range
from desktop_app.gpt2.edited import FINAL, finals
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError, outside_vocabulary
from desktop_app.gpt2.formula import Place
from desktop_app.gpt2.formulas import multiplied
from desktop_app.gpt2.phrase import Phrase
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.trace import Trace
from desktop_app.gpt2.weights import UNEMBEDDING

Array = NDArray[Any]

How = Literal["zero", "mean"]
Patched = Literal["resid_pre", "attn_out", "mlp_out", "heads"]
Direction = Literal["denoise", "noise"]

LEAST = 0.5
"""In logits: if the prompts' logit differences are closer than this, effects as a fraction of it are meaningless."""

_MUTED: Mapping[str, tuple[str, ...]] = {"heads": ("layer", "head"), "mlps": ("layer",)}
Partly = Callable[[Any], None]
"""A callback that receives the partial result so far."""

REFERENCE_TOKENS = 128
"""The maximum number of tokens taken from each reference text."""


def logit_difference(engine: Engine, final: Array, target: int, against: int) -> Array:
    """logit[target] - logit[against] for each row of `ln_final.out` [n, d_model]: [n] in float64."""
    table = engine.checkpoint.weights[UNEMBEDDING]
    x = multiplied(Place(engine.config, 0, np.arange(len(final))), final).astype(np.float64)
    # One dot product per row, so that equal rows give equal results, however many rows there are.
    return np.vecdot(x, table[target].astype(np.float64) - table[against])


@dataclass(frozen=True, eq=False, repr=False)
class Ablation(NamedArrays):
    """The results of ablating each part. `base` is the logit difference of the pass without ablation,
    from `ln_final.out`, and `own` the same from the model's logits.

    `logit_difference` is [layer, head], [layer] for whole MLPs, or [neuron] for the neurons of one block or of `which`.
    """

    what: str
    how: How
    base: float
    own: float
    logit_difference: Array
    # (block, neuron) of each ablated neuron, if the strongest neurons were chosen
    which: tuple[tuple[int, int], ...] = ()

    @property
    def AXES(self) -> Mapping[str, tuple[str, ...]]:  # a constant in the other records; here it depends on `what`
        """The axes of each array."""
        return {"base": (), "logit_difference": _MUTED.get(self.what, ("neuron",))}

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {"base": np.array(self.base), "logit_difference": self.logit_difference}

    def closings(self) -> tuple[Closing, ...]:
        """The check that the logit difference without ablation equals the difference of the model's logits."""
        return (closing("logit difference", self.base, self.own, abs(self.own)),)


def neurons_of(what: str, engine: Engine) -> int | None:
    """The block number in "neurons:L"; None for "heads" and "mlps". Raises ModelError for anything else."""
    if what in _MUTED:
        return None
    kind, colon, layer = what.partition(":")
    if kind != "neurons" or not colon or not (layer.isascii() and layer.isdigit()):
        raise ModelError(f"{what[:40]!r} cannot be muted; give heads, mlps or neurons:L, where L is a block.")
    if len(layer) > 6 or int(layer) >= engine.config.n_layer:
        raise ModelError(f"There is no block {layer[:20]}; this model's blocks are 0 to {engine.config.n_layer - 1}.")
    return int(layer)


def ablate(
    engine: Engine,
    trace: Trace,
    *,
    target: int,
    against: int,
    what: str = "heads",
    how: How = "zero",
    reference: Iterable[Sequence[int]] = (),
    stop: Stop | None = None,
    progress: Progress = unheard,
    partly: Partly = unheard,
) -> Ablation:
    """Ablate every part of one kind, one at a time, and measure each pass.

    Args:
        engine: the model.
        trace: the pass without ablation; edits that it has stay in effect.
        target: the token whose logit counts.
        against: the token whose logit is subtracted.
        what: "heads", "mlps", "neurons:L", or "strongest": the neurons with the largest absolute direct contributions
            to the logit difference.
        how: the replacement, "zero" or the "mean" over `reference`.
        reference: texts, as ids.
        stop: cancels within a pass.
        progress: receives the fraction done.
        partly: receives the results so far, NaN where there are none yet.

    Raises:
        ModelError: a token or block that does not exist, or no reference text for a mean.
        Cancelled: `stop` was set.
    """
    config = engine.config
    _require_tokens(engine, target, against)
    layer = None if what == STRONGEST else neurons_of(what, engine)
    which = strongest(engine, trace, target, against, stop) if what == STRONGEST else ()
    mean = means(engine, reference, stop) if how == "mean" else None
    every: tuple[Range, ...] = (ALL, ALL)
    if what == "heads":
        places = [
            (f"blocks.{n}.attn.z", ((h, h + 1), *every)) for n in range(config.n_layer) for h in range(config.n_head)
        ]
        shape: tuple[int, ...] = (config.n_layer, config.n_head)
    elif what == STRONGEST:
        places = [(f"blocks.{n}.mlp.post", (ALL, (k, k + 1))) for n, k in which]
        shape = (len(which),)
    elif layer is None:
        places = [(f"blocks.{n}.mlp.post", every) for n in range(config.n_layer)]
        shape = (config.n_layer,)
    else:
        places = [(f"blocks.{layer}.mlp.post", (ALL, (k, k + 1))) for k in range(config.d_mlp)]
        shape = (config.d_mlp,)
    edits = [(_mute(site, where, mean),) for site, where in places]
    base = _of_trace(engine, trace, target, against)
    own = _own(trace, target, against)

    def made(found: Array) -> Ablation:
        return Ablation(what, how, base, own, found.reshape(shape), which)

    return made(_sweep(engine, trace, edits, target, against, stop, progress, lambda found: partly(made(found))))


STRONGEST, _STRONG = "strongest", 50


def strongest(
    engine: Engine, trace: Trace, target: int, against: int, stop: Stop | None = None
) -> tuple[tuple[int, int], ...]:
    """(block, neuron) of the neurons with the largest absolute direct contributions to the logit difference."""
    found = attribution.compute(engine.checkpoint, trace, target=target, against=against, sources=False, stop=stop)
    assert found.neuron is not None  # `attribution.compute` was asked for neurons
    flat = np.abs(found.neuron).reshape(-1)
    order = np.argsort(-flat, kind="stable")[:_STRONG]
    return tuple((int(n) // engine.config.d_mlp, int(n) % engine.config.d_mlp) for n in order)


def _mute(site: str, where: tuple[Range, ...], means: Mapping[str, Array] | None) -> Edit:
    """The edit that sets cells at every position to 0, or to their mean."""
    if means is None:
        return Edit(site, where)
    return Edit(site, where, put=Cells.of(means[site][tuple(slice(*span) for span in where)]))


_kept: WeakKeyDictionary[Checkpoint, dict[tuple[tuple[int, ...], ...], dict[str, Array]]] = WeakKeyDictionary()
_lock = threading.Lock()


def means(engine: Engine, reference: Iterable[Sequence[int]], stop: Stop | None = None) -> Mapping[str, Array]:
    """Each editable tensor but `attn.scaled`, averaged over all positions of the texts; its position axis has length 1.

    Cached with the checkpoint. Raises ModelError if there is no text, Cancelled on a stop.
    """
    most = min(REFERENCE_TOKENS, engine.config.n_positions)
    texts = tuple(tuple(ids[:most]) for ids in reference if len(ids))
    if not texts:
        raise ModelError("There is no reference text to take a mean over; mute by zero.")
    with _lock:
        found = _kept.get(engine.checkpoint, {}).get(texts)
    if found is not None:
        return found
    names = [row.name for row in engine.table.values() if row.editable and not row.name.endswith(CUT)]
    sums: dict[str, Array] = {}
    for ids in texts:
        trace = engine.trace(ids, stop=stop)
        for name in names:
            axis = trace.table[name].spec.row_axis
            sums[name] = sums.get(name, 0.0) + trace[name].sum(axis, dtype=np.float64, keepdims=True)
    count = sum(map(len, texts))
    made = {name: total / count for name, total in sums.items()}
    with _lock:
        _kept.setdefault(engine.checkpoint, {})[texts] = made
    return made


@dataclass(frozen=True, eq=False, repr=False)
class Patch(NamedArrays):
    """The results of patching each cell. `clean` and `corrupt` are the logit differences of the two unpatched passes.

    `logit_difference` [layer, pos] or [layer, head] is measured for each patched pass. Positions are those of the
    patched prompt; where a token has no counterpart in the other prompt, the number is NaN. `effect` is how far the
    logit difference moves from that of the patched prompt (0) to that of the other prompt (1); NaN if the two are less
    than LEAST apart.
    """

    what: Patched
    direction: Direction
    clean: float
    corrupt: float
    logit_difference: Array

    @property
    def AXES(self) -> Mapping[str, tuple[str, ...]]:  # as in Ablation
        """The axes of each array."""
        cells = ("layer", "head" if self.what == "heads" else "pos")
        return {"clean": (), "corrupt": (), "logit_difference": cells, "effect": cells}

    @property
    def refused(self) -> str:
        """A sentence that says why `effect` is not defined; "" if it is."""
        apart = abs(self.clean - self.corrupt)
        if apart >= LEAST:
            return ""
        return Phrase(
            "The two prompts' logit differences are {1} apart; below {2} an effect is meaningless.",
            f"{apart:.3f}",
            f"{LEAST:g}",
        )

    @property
    def effect(self) -> Array:
        """(LD - LD of the patched prompt) / (LD of the other - LD of the patched prompt); LD: the logit difference."""
        if self.refused:
            return np.full(self.logit_difference.shape, np.nan)
        ends = (self.corrupt, self.clean) if self.direction == "denoise" else (self.clean, self.corrupt)
        return (self.logit_difference - ends[0]) / (ends[1] - ends[0])

    def arrays(self) -> dict[str, Array]:
        """The arrays written to a file."""
        return {
            "clean": np.array(self.clean),
            "corrupt": np.array(self.corrupt),
            "logit_difference": self.logit_difference,
            "effect": self.effect,
        }


def patch(
    engine: Engine,
    clean: Trace,
    corrupt: Trace,
    *,
    target: int,
    against: int,
    what: Patched = "resid_pre",
    direction: Direction = "denoise",
    alignment: str = TOKENS,
    stop: Stop | None = None,
    progress: Progress = unheard,
    partly: Partly = unheard,
) -> Patch:
    """Patch each cell of one prompt's pass into the other's, one at a time, and measure the effect.

    "denoise" patches cells of `clean` into `corrupt`, which shows what restores the clean answer; "noise" patches cells
    of `corrupt` into `clean`, which shows what the clean answer needs. A cell is one block's tensor at one position or,
    for heads, one head's z at every position. If the prompts differ in length, `alignment` (one of RULES) says which
    position of one corresponds to which of the other.

    Raises ModelError for a token that does not exist, Cancelled on a stop.
    """
    _require_tokens(engine, target, against)
    config = engine.config
    base, source = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
    places = aligned(base.ids, source.ids, alignment)
    edits: list[tuple[Edit, ...] | None] = []
    for n in range(config.n_layer):
        name = f"blocks.{n}.attn.z" if what == "heads" else f"blocks.{n}.{what}"
        here, there = base[name], _at(source[name], places, -2)
        if what == "heads":
            edits += [_head_from(name, k, here[k], there[k], places) for k in range(config.n_head)]
            continue
        for k, place in enumerate(places):
            same = np.array_equal(here[k], there[k])
            put = () if same else (Edit(name, ((k, k + 1), ALL), put=Cells.of(there[k][None])),)
            edits.append(None if place is None else put)
    own = [_of_trace(engine, trace, target, against) for trace in (clean, corrupt)]

    def made(found: Array) -> Patch:
        return Patch(what, direction, own[0], own[1], found.reshape(config.n_layer, -1))

    return made(_sweep(engine, base, edits, target, against, stop, progress, lambda found: partly(made(found))))


def _at(values: Array, places: Alignment, axis: int) -> Array:
    """The values at `places` along an axis; where a place is None, the value is arbitrary."""
    return values.take([0 if place is None else place for place in places], axis)


def _head_from(name: str, head: int, here: Array, there: Array, places: Alignment) -> tuple[Edit, ...]:
    """The edits that set a head's z [pos, d_head]: one for each run of consecutive positions with a counterpart."""
    known = np.array([place is not None for place in places])
    differs = (here != there).any(-1) & known
    found = []
    edges = np.flatnonzero(np.diff(known.astype(np.int8), prepend=0, append=0))
    for start, stop in edges.reshape(-1, 2).tolist():
        if differs[start:stop].any():
            # earlier positions are equal, so they need not be computed again
            first = start + int(np.argmax(differs[start:stop]))
            last = None if stop == len(known) else stop
            put = Cells.of(there[None, first:stop])
            found.append(Edit(name, ((head, head + 1), (first, last), ALL), put=put))
    return tuple(found)


def _sweep(
    engine: Engine,
    trace: Trace,
    edits: Sequence[tuple[Edit, ...] | None],
    target: int,
    against: int,
    stop: Stop | None,
    progress: Progress,
    partly: Partly = unheard,
) -> Array:
    """The logit difference of the pass with each group of edits, [group]; NaN where a group is None."""
    done, found = 0, np.full(len(edits), np.nan)
    present = [n for n, group in enumerate(edits) if group is not None]

    def report(which: Sequence[int], rows: Array) -> None:
        nonlocal done
        done += len(which)
        found[[present[n] for n in which]] = logit_difference(engine, rows, target, against)
        progress(done / len(present))
        partly(found.copy())

    own = trace.run.edits
    plain = engine.trace(trace.ids, mask=trace.run.mask, stop=stop) if own else trace
    variants = [(*own, *(edits[n] or ())) for n in present]
    whole = np.full(len(edits), np.nan)
    whole[present] = logit_difference(engine, finals(engine, plain, variants, stop, report), target, against)
    return whole


def effects(
    engine: Engine,
    trace: Trace,
    variants: Sequence[tuple[Edit, ...]],
    *,
    target: int,
    against: int | None = None,
    mean: bool = False,
    stop: Stop | None = None,
    progress: Progress = unheard,
) -> Array:
    """How much each variant of edits, added to the edits of the pass, changes a logit at the last position: [variant].

    The logit is measured relative to the logit of `against` or, with `mean`, relative to the mean over the vocabulary.
    Raises ModelError for a token that does not exist, Cancelled on a stop.
    """
    _require_tokens(engine, target, *(() if against is None else (against,)))
    table = engine.checkpoint.weights[UNEMBEDDING]
    direction = table[target].astype(np.float64)
    if against is not None:
        direction = direction - table[against]
    elif mean:
        direction = direction - table.mean(0, dtype=np.float64)
    done = 0

    def report(which: Sequence[int], _rows: Array) -> None:
        nonlocal done
        done += len(which)
        progress(done / len(variants))

    own = trace.run.edits
    plain = engine.trace(trace.ids, mask=trace.run.mask, stop=stop) if own else trace
    found = finals(engine, plain, [(*own, *edits) for edits in variants], stop, report)
    every = np.concatenate([trace.read(FINAL, row=-1)[None], found])
    x = multiplied(Place(engine.config, 0, np.arange(len(every))), every).astype(np.float64)
    numbers = np.vecdot(x, direction)
    return np.asarray(numbers[1:] - numbers[0])


def _of_trace(engine: Engine, trace: Trace, target: int, against: int) -> float:
    return float(logit_difference(engine, trace.read(FINAL, row=-1)[None], target, against)[0])


def _own(trace: Trace, target: int, against: int) -> float:
    logits = trace.logits(-1)
    return float(logits[target]) - float(logits[against])


def _require_tokens(engine: Engine, *tokens: int) -> None:
    for token in tokens:
        if not 0 <= token < engine.config.vocab_size:
            raise ModelError(outside_vocabulary(token, engine.config.vocab_size))


PATCHED: tuple[str, ...] = get_args(Patched)
"""What can be patched."""
