"""Runs a batch of windows through a model on one thread and collects statistics of neurons, heads and positions.

Each window is a separate pass, so that no number depends on which other windows are in the batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.analysis.parts import output_matrices
from desktop_app.core.evidence import heads as of_heads
from desktop_app.core.evidence.neurons import SIDES, NeuronCounts
from desktop_app.core.evidence.tally import TOP, Tally, greatest, group
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.session import Stop, make_session
from desktop_app.gpt2.tensors import past_inputs

Array = NDArray[Any]

LENS_STRIDE = 32
"""The lens reads one position in this many of a window, and at least one."""

_LOSS_ROWS = 4  # rows of logits whose exponentials fit into the processor's cache


@dataclass(frozen=True)
class Plan:
    """The settings of a scan: tokens per window, the seed, whether the lens is read, and the sampled windows.

    `sample` holds the numbers of the windows for which every neuron's largest value is stored, for passages by decile.
    """

    length: int
    seed: int = 0
    lens: bool = False
    sample: frozenset[int] = frozenset()


def lens_points(config: Config) -> tuple[str, ...]:
    """The tensors that the lens reads: the stream at the start of each block and at the end of the last."""
    return (*(f"blocks.{n}.resid_pre" for n in range(config.n_layer)), f"blocks.{config.n_layer - 1}.resid_post")


def lens_positions(plan: Plan, window: int, length: int) -> list[int]:
    """The positions that the lens reads, one in LENS_STRIDE but neither 0 nor the last, drawn by seed and `window`."""
    places = range(1, length - 1)
    count = min(len(places), max(1, length // LENS_STRIDE))
    return sorted(Random(f"{plan.seed} {window}").sample(places, count))


class Passes:
    """Runs passes of a checkpoint on one thread, capturing only the tensors that are counted."""

    def __init__(self, checkpoint: Checkpoint, *, lens: bool = False, stop: Stop | None = None) -> None:
        self.checkpoint, self.config, self.stop = checkpoint, checkpoint.config, stop or Stop()
        blocks = range(self.config.n_layer)
        parts = ("mlp.pre", "mlp.post", "attn.pattern", "attn.z", "resid_pre")
        self.names = [f"blocks.{layer}.{part}" for layer in blocks for part in parts]
        if lens:
            self.names.append(lens_points(self.config)[-1])
        self.names.append("ln_final.out")
        self._body = make_session(checkpoint, stop, head=False, only=self.names, threads=1)
        self._head = make_session(checkpoint, stop, body=False, threads=1)
        nothing = np.zeros((self.config.n_head, 0, self.config.d_head), np.float32)
        self._past = dict.fromkeys(past_inputs(self.config), nothing)
        self.inner = np.stack([_inner(checkpoint, layer) for layer in blocks])

    def run(self, ids: Array) -> tuple[dict[str, Array], Array]:
        """The tensors of a window by name, and its logits [pos, d_vocab]."""
        feeds = {"input_ids": ids.astype(np.int64), **self._past}
        found = dict(zip(self.names, self.stop.run(self._body, self.names, feeds), strict=True))
        return found, self.logits(found["ln_final.out"])

    def logits(self, final: Array) -> Array:
        """Logits [row, d_vocab] for rows of `ln_final.out`."""
        return self.stop.run(self._head, ["logits"], {"ln_final.out": final})[0]

    def lens(self, stream: Array) -> Array:
        """Logits for rows of the residual stream [row, d_model], normalised by the rows' own mean and scale."""
        weights, centred = self.checkpoint.weights, stream - stream.mean(-1, keepdims=True)
        scale = np.sqrt(np.square(centred).mean(-1, keepdims=True) + np.float32(self.config.layer_norm_epsilon))
        return self.logits(centred / scale * weights["ln_final.w"] + weights["ln_final.b"])


def _inner(checkpoint: Checkpoint, layer: int) -> Array:
    matrices = output_matrices(checkpoint, layer)
    return matrices @ matrices.transpose(0, 2, 1)


def losses(logits: Array, targets: Array) -> Array:
    """-ln softmax(logits)[target] of each row, float64."""
    found = np.empty(len(logits))
    for start in range(0, len(logits), _LOSS_ROWS):
        rows = logits[start : start + _LOSS_ROWS]
        most = rows.max(-1, keepdims=True)
        total = np.exp(rows - most).sum(-1, dtype=np.float64)
        own = np.take_along_axis(rows, targets[start : start + _LOSS_ROWS, None].astype(np.int64), 1)
        found[start : start + _LOSS_ROWS] = np.log(total) - (own - most)[:, 0].astype(np.float64)
    return found


def blank(config: Config, plan: Plan) -> Tally:
    """The tally of zero windows: every array of a tally, with length 0 along axes that grow with the windows."""
    layers, heads, neurons = config.n_layer, config.n_head, config.d_mlp
    of_head, scores = (layers, heads), (len(of_heads.SCORES), layers, heads)
    counts: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("windows", "not_finite", "rows"), (1,)),
        **{"head_windows": scores, "loss_count": (plan.length,), "tokens": (config.vocab_size,)},
        **(dict.fromkeys(("lens_correct", "lens_count"), (layers + 1,)) if plan.lens else {}),
    }
    sums: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("head_scores", "head_squares"), scores),
        "distances": (*of_head, len(of_heads.DISTANCES)),
        **dict.fromkeys(("norm", "norm_squares", "first_norm"), of_head),
        **dict.fromkeys(("loss", "loss_squares"), (plan.length,)),
        **({"lens_loss": (layers + 1,)} if plan.lens else {}),
    }
    found: Tally = {f"sum.{name}": np.zeros(shape, np.int64) for name, shape in counts.items()}
    found |= {f"sum.{name}": np.zeros(shape) for name, shape in sums.items()}
    for side in SIDES:
        for name, array in NeuronCounts(neurons).arrays().items():
            found[f"sum.{side}.{name}"] = np.zeros((layers, *array.shape), array.dtype)
    places = {
        f"{name}_top": (layers, 0, units) for name, units in (("pre", neurons), ("post", neurons), ("head", heads))
    }
    places |= {f"sample.{side}": (0, layers, neurons) for side in SIDES}
    for name, shape in places.items():
        found |= {f"{name}.value": np.zeros(shape, np.float32), f"{name}.position": np.zeros(shape, np.int32)}
        if name.endswith("_top"):
            found[f"{name}.window"] = np.zeros(shape, np.int64)
    found["sample.window"] = np.zeros(0, np.int64)
    found["pairs.weight"] = np.full((*of_head, TOP), -1, np.float32)
    found |= {f"pairs.{name}": np.zeros((*of_head, TOP), np.int32) for name in ("query", "key")}
    return found | {f"pairs.{name}": np.zeros((*of_head, TOP), np.int64) for name in ("query_id", "key_id", "window")}


def tally_of(passes: Passes, plan: Plan, start: int, windows: Sequence[Array]) -> Tally:
    """The tally of `windows`, of which the first has the number `start`."""
    counter = _Counter(passes, plan)
    for number, ids in enumerate(windows, start):
        counter.add(number, ids)
    return counter.tally()


class _Counter:
    def __init__(self, passes: Passes, plan: Plan) -> None:
        config = passes.config
        self.passes, self.plan, self.config = passes, plan, config
        none = blank(config, plan)
        self.neurons = {side: [NeuronCounts(config.d_mlp) for _ in range(config.n_layer)] for side in SIDES}
        self.windows: list[int] = []
        self.peaks: dict[str, list[tuple[Array, Array]]] = {side: [] for side in SIDES}  # [layer, neuron] per window
        self.head_peaks: list[tuple[Array, Array]] = []
        self.sums = {name: array for name, array in group(none, "sum").items() if "." not in name}
        self.pairs = group(none, "pairs")
        self.masks: dict[int, Array] = {}

    def add(self, number: int, ids: Array) -> None:
        found, logits = self.passes.run(ids)
        if not (np.isfinite(found["ln_final.out"]).all() and np.isfinite(logits).all()):
            self.sums["not_finite"] += 1
            return
        self.windows.append(number)
        self.sums["windows"] += 1
        self.sums["rows"] += len(ids) - 1
        self.sums["tokens"] += np.bincount(ids, minlength=self.config.vocab_size)
        loss = losses(logits[:-1], ids[1:])
        self.sums["loss"][: len(loss)] += loss
        self.sums["loss_squares"][: len(loss)] += loss * loss
        self.sums["loss_count"][: len(loss)] += 1
        for side in SIDES:
            peaks = [counts.add(found[f"blocks.{layer}.mlp.{side}"]) for layer, counts in enumerate(self.neurons[side])]
            values, places = (np.stack(part) for part in zip(*peaks, strict=True))
            self.peaks[side].append((values, places.astype(np.int32)))
        self._heads(number, ids, found)
        if self.plan.lens:
            self._lens(number, ids, found)

    def _heads(self, number: int, ids: Array, found: Mapping[str, Array]) -> None:
        length, config = len(ids), self.config
        masks = of_heads.window_patterns(ids)
        there = [bool(mask.any()) for mask in masks]
        beyond = [bool(mask[:, 1:].any()) for mask in masks]
        if length not in self.masks:
            self.masks[length] = of_heads.distance_masks(length)
        peaks, candidates = [], []
        for layer in range(config.n_layer):
            pattern, z = found[f"blocks.{layer}.attn.pattern"], found[f"blocks.{layer}.attn.z"]
            norms = of_heads.result_norms(z, self.passes.inner[layer])
            later = norms[:, 1:].astype(np.float64)
            stream = np.linalg.norm(found[f"blocks.{layer}.resid_pre"][1:].astype(np.float64), axis=-1)
            share = (norms[:, 1:] / stream).mean(-1, dtype=np.float64)
            scores = np.concatenate([of_heads.scores(pattern, masks, there, beyond), share[None]])
            counted = np.isfinite(scores)
            scores = np.where(counted, scores, 0)
            order = [*(name for name in of_heads.SCORES if name != "share"), "share"]
            rows = [of_heads.SCORES.index(name) for name in order]
            self.sums["head_scores"][rows, layer] += scores
            self.sums["head_squares"][rows, layer] += scores * scores
            self.sums["head_windows"][rows, layer] += counted
            self.sums["distances"][layer] += pattern.reshape(config.n_head, -1) @ self.masks[length]
            self.sums["norm"][layer] += later.sum(1)
            self.sums["norm_squares"][layer] += (later * later).sum(1)
            self.sums["first_norm"][layer] += norms[:, 0]
            at = norms[:, 1:].argmax(1) + 1
            peaks.append((np.take_along_axis(norms, at[:, None], 1)[:, 0], at.astype(np.int32)))
            candidates.append(of_heads.pairs(pattern, ids))
        values, places = (np.stack(part) for part in zip(*peaks, strict=True))
        self.head_peaks.append((values, places))
        new = {name: np.concatenate([each[name] for each in candidates]) for name in candidates[0]}
        new["window"] = np.full(new["key"].shape, number, np.int64)
        heads = config.n_layer * config.n_head
        both = {name: np.concatenate([self.pairs[name].reshape(heads, -1), new[name]], 1) for name in new}
        self.pairs = {
            name: array.reshape(config.n_layer, config.n_head, -1)
            for name, array in of_heads.greatest_pairs(both, TOP).items()
        }

    def _lens(self, number: int, ids: Array, found: Mapping[str, Array]) -> None:
        places = lens_positions(self.plan, number, len(ids))
        targets = ids[np.array(places) + 1]
        for n, point in enumerate(lens_points(self.config)):
            logits = self.passes.lens(found[point][places])
            self.sums["lens_correct"][n] += int((logits.argmax(-1) == targets).sum())
            self.sums["lens_loss"][n] += losses(logits, targets).sum()
            self.sums["lens_count"][n] += len(places)

    def tally(self) -> Tally:
        found: Tally = {f"sum.{name}": array for name, array in self.sums.items()}
        numbers = np.array(self.windows, np.int64)
        chosen = [n for n, number in enumerate(self.windows) if number in self.plan.sample]
        found["sample.window"] = numbers[chosen]
        shape = (self.config.n_layer, self.config.d_mlp)
        for side in SIDES:
            for name in self.neurons[side][0].arrays():
                found[f"sum.{side}.{name}"] = np.stack([counts.arrays()[name] for counts in self.neurons[side]])
            found |= _top(f"{side}_top", self.peaks[side], numbers, shape)
            values = [self.peaks[side][n] for n in chosen]
            found[f"sample.{side}.value"] = _stacked([value for value, _ in values], shape, np.float32)
            found[f"sample.{side}.position"] = _stacked([place for _, place in values], shape, np.int32)
        found |= _top("head_top", self.head_peaks, numbers, (self.config.n_layer, self.config.n_head))
        return found | {f"pairs.{name}": array for name, array in self.pairs.items()}


def _top(name: str, peaks: Sequence[tuple[Array, Array]], windows: Array, shape: tuple[int, int]) -> Tally:
    values = _stacked([value for value, _ in peaks], shape, np.float32)
    places = _stacked([place for _, place in peaks], shape, np.int32)
    best: list[dict[str, Array]] = []
    for layer in range(shape[0]):  # layer by layer: sorting takes several times the memory of the values
        value = values[None, :, layer]
        entries = {
            "value": value,
            "window": np.broadcast_to(windows[None, :, None], value.shape),
            "position": places[None, :, layer],
        }
        best.append(greatest(entries))
    return {f"{name}.{key}": np.concatenate([each[key] for each in best]) for key in best[0]}


def _stacked(arrays: Sequence[Array], shape: tuple[int, int], kind: type[np.generic]) -> Array:
    return np.stack(arrays).astype(kind) if arrays else np.zeros((0, *shape), kind)
