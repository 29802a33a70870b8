"""Views of weights: a matrix, or the part of it that one head uses, as a heatmap with its size and distribution."""

import math
from dataclasses import dataclass

import numpy as np

from desktop_app.core.levels import PERCENTILE, Levels, diverging, number
from desktop_app.core.panels import (
    AnyPanel,
    Array,
    Bar,
    BarsPanel,
    CurvePanel,
    Hue,
    Line,
    MapPanel,
    Source,
    Strip,
    StripsPanel,
    TextPanel,
    View,
    column,
    row,
)
from desktop_app.core.views.common import wrap_width
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Capital, Count, Phrase, joined
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.weights import all_weights

_SAMPLE = 2_000_000  # a distribution of more numbers than this is computed from every n-th number
_MOST_BINS = 80
_TALL = 512  # the maximum number of rows that a picture shows separately
_TAILS = 0.05  # per cent at each end that a histogram of many numbers gives as a count instead of drawing it
_FEW = 10_000
_PERCENTILES = (50, 90, 99, PERCENTILE)

_PARTS = {"Q": (0, Hue.QUERY, Phrase("Query")), "K": (1, Hue.KEY, Phrase("Key")), "V": (2, Hue.VALUE, Phrase("Value"))}
_HUES = {"attn": Hue.ATTENTION, "mlp": Hue.MLP, "unembed": Hue.ACCENT}


@dataclass(frozen=True)
class Part:
    """A weight, or the part of a weight that belongs to Q, K or V or to a head: `blocks.3.attn.W_Q` of head 5.

    `rows` and `cols` are the ranges of the part in `weight`, which is a name in the table of weights. A vector only has
    columns.
    """

    name: str
    weight: str
    axes: tuple[str, ...]
    cols: tuple[int, int]
    rows: tuple[int, int] | None = None
    head: int | None = None
    meaning: str = ""
    hue: Hue = Hue.RESIDUAL

    @property
    def title(self) -> str:
        """The name, with the head if it belongs to one head."""
        return self.name if self.head is None else Phrase("{1} · head {2}", self.name, self.head)

    @property
    def source(self) -> Source:
        """The weight, and the index in it of each cell of the part."""
        if self.rows is None:
            return Source(self.weight, ("col",), first_col=self.cols[0])
        return Source(self.weight, ("row", "col"), first_row=self.rows[0], first_col=self.cols[0])

    def of(self, weights: Array) -> Array:
        """The part's numbers, taken from the whole weight."""
        cols = slice(*self.cols)
        return weights[cols] if self.rows is None else weights[slice(*self.rows), cols]


def weight_names(config: Config) -> tuple[str, ...]:
    """Every weight that can be opened, in the order of the forward pass; W_Q, W_K, W_V and biases are separate."""
    names: list[str] = []
    for name, _, _ in all_weights(config):
        if name.endswith("_QKV"):
            names += [name.removesuffix("QKV") + letter for letter in _PARTS]
        else:
            names.append(name)
    return tuple(names)


def has_heads(name: str) -> bool:
    """Whether the weight with that name consists of one part per head."""
    return name.rsplit(".", 1)[-1] in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")


def find_part(config: Config, name: str, head: int | None = None) -> Part:
    """The weight with that name, or one head's part of it. Raises ModelError if there is no such weight or head.

    W_Q, W_K and W_V of a head are columns of W_QKV; W_O of a head is rows of W_O.
    """
    letter = name[-1:]
    whole = f"{name[:-1]}QKV" if name[:-1].endswith(("attn.W_", "attn.b_")) and letter in _PARTS else name
    spec = {own: spec for own, _, spec in all_weights(config)}.get(whole)
    if spec is None:
        raise ModelError(f"This model has no weight {name[:80]!r}.")
    if head is not None and not has_heads(name):
        raise ModelError(f"{name} is not divided among heads; leave the head out.")
    if head is not None and not 0 <= head < config.n_head:
        raise ModelError(f"There is no head {head}; this model's heads are 0 to {config.n_head - 1}.")

    shape, axes, meaning = spec.shape(config), list(spec.axes), spec.meaning
    rows = (0, shape[0]) if len(shape) == 2 else None
    cols = (0, shape[-1])
    hue = _HUES.get(name.split(".")[-2], Hue.RESIDUAL)
    width = config.d_head
    if whole != name:
        part, hue, meaning = _PARTS[letter]
        start = part * config.n_embd
        cols = (start, start + config.n_embd) if head is None else (start + head * width, start + (head + 1) * width)
        axes[-1] = "d_model" if head is None else "d_head"
        meaning = Phrase("{1}, bias", meaning) if rows is None else meaning
    elif head is not None:
        rows, axes[0] = (head * width, (head + 1) * width), "d_head"
    return Part(name, whole, tuple(axes), cols, rows, head, meaning, hue)


def weight_view(checkpoint: Checkpoint, part: Part, tokenizer: Tokenizer | None = None) -> View:
    """A weight as a heatmap (a vector as a strip), with its description and the distribution of its numbers.

    With `tokenizer`, rows that belong to tokens are labelled.
    """
    values = part.of(checkpoint.weights[part.weight])
    levels = _levels(values)
    labels: tuple[str, ...] = ()
    if tokenizer is not None and part.axes[0] == "d_vocab":
        labels = tuple(tokenizer.label(token) for token in range(len(values)))
    lead = Phrase("{1}: {2} learned numbers, the same for every prompt.", Capital(part.meaning), _shape(values))
    content = column(
        _picture(part, values, levels, labels),
        row(
            _facts(checkpoint, part, values), _sizes(values, part.hue), _histogram(values, part.hue), weights=(4, 3, 4)
        ),
    )
    return View(part.title, lead, content)


def _levels(values: Array) -> Levels:
    """Colour limits at a percentile of |w|; for a tall matrix, of the maximum |w| over the rows that share a pixel."""
    together = -(-len(values) // _TALL)
    if values.ndim == 1 or together == 1:
        return diverging(values, rule=Phrase("{1} % of |w|", PERCENTILE))
    starts = np.arange(0, len(values), together)
    strongest = np.maximum(np.maximum.reduceat(values, starts), -np.minimum.reduceat(values, starts))
    return diverging(strongest, rule=Phrase("{1} % of the strongest |w| in every {2} rows", PERCENTILE, together))


def _shape(values: Array) -> str:
    return joined(" × ", map(Count, values.shape))


def _picture(part: Part, values: Array, levels: Levels, labels: tuple[str, ...]) -> AnyPanel:
    if values.ndim == 1:
        strip = Strip(part.name.rsplit(".", 1)[-1], values, part.source, part.hue)
        return StripsPanel(
            title=part.title, note=part.axes[0], strips=(strip,), levels=levels, wrap=wrap_width(len(values))
        )
    return MapPanel(
        title=part.title,
        note=Phrase("{1} downwards, {2} across", part.axes[0], part.axes[1]),
        values=values,
        levels=levels,
        row_labels=labels,
        source=part.source,
        hue=part.hue,
        x_label=Phrase("{1} columns", Count(values.shape[1])),
        picks=None,
    )


def _facts(checkpoint: Checkpoint, part: Part, values: Array) -> TextPanel:
    stored, shape = checkpoint.stored[part.weight], checkpoint.weights[part.weight].shape
    where = []
    if part.rows and part.rows != (0, shape[0]):
        where.append(Phrase("rows {1} to {2}", Count(part.rows[0]), Count(part.rows[1] - 1)))
    if part.cols != (0, shape[-1]):
        of = "columns {1} to {2}" if values.ndim > 1 else "entries {1} to {2}"
        where.append(Phrase(of, Count(part.cols[0]), Count(part.cols[1] - 1)))
    mean, deviation, norm = _moments(values)
    low, high = int(values.argmin()), int(values.argmax())
    lines = (
        Line(Phrase("shape"), _shape(values), f"[{', '.join(part.axes)}]"),
        Line(
            Phrase("parameters"),
            Count(values.size if stored.dtype else 0),
            Phrase("{1}, stored transposed", stored.dtype) if stored.turned else f"{stored.dtype}",
        ),
        Line(
            Phrase("in the file"),
            stored.name or Phrase("not in the file: this model has no biases"),
            joined(", ", where),
        ),
        Line(Phrase("norm"), number(norm), Phrase("root mean square {1}", number(norm / math.sqrt(values.size)))),
        Line(Phrase("mean"), number(mean), Phrase("standard deviation {1}", number(deviation))),
        Line(Phrase("smallest"), number(float(values.flat[low])), _place(values, low)),
        Line(Phrase("largest"), number(float(values.flat[high])), _place(values, high)),
    )
    return TextPanel(title=Phrase("What it is"), lines=lines)


def _sizes(values: Array, hue: Hue) -> BarsPanel:
    """Bars with percentiles of the absolute values."""
    sample, every = _sampled(values)
    sizes = [*np.percentile(np.abs(sample), _PERCENTILES).tolist(), max(float(values.max()), -float(values.min()))]
    bars = tuple(Bar(f"{p:g} %", v, number(v)) for p, v in zip((*_PERCENTILES, 100), sizes, strict=True))
    return BarsPanel(
        title=Phrase("Sizes of |w|"),
        note=Phrase("percentiles, from 1 in {1}", every) if every > 1 else Phrase("percentiles"),
        bars=bars,
        hue=hue,
    )


def _place(values: Array, flat: int) -> str:
    """The row and column of a number within the part, as text."""
    place = [int(i) for i in np.unravel_index(flat, values.shape)]
    return (
        Phrase("entry {1}", Count(place[0]))
        if len(place) == 1
        else Phrase("row {1}, column {2}", Count(place[0]), Count(place[1]))
    )


def _moments(values: Array) -> tuple[float, float, float]:
    """Mean, standard deviation and Euclidean (Frobenius) norm in float64, without a float64 copy of a large weight."""
    pieces = np.array_split(values.reshape(-1), 1 + values.size // _SAMPLE)
    mean = sum(float(piece.sum(dtype=np.float64)) for piece in pieces) / values.size
    spread = sum(float(np.square(piece - mean, dtype=np.float64).sum()) for piece in pieces) / values.size
    return mean, math.sqrt(spread), math.sqrt(values.size * (spread + mean * mean))


def _sampled(values: Array) -> tuple[Array, int]:
    """Every n-th number of a large weight, and n; every number and 1 for a small one."""
    step = -(-values.size // _SAMPLE)
    # A step that has no common factor with the length of a row reaches every column.
    while step > 1 and math.gcd(step, values.shape[-1]) > 1:
        step += 1
    return values.reshape(-1)[::step], step


def _histogram(values: Array, hue: Hue) -> CurvePanel:
    sample, every = _sampled(values)
    tails = _TAILS if sample.size > _FEW else 0
    low, high = (float(v) for v in np.percentile(sample, (tails, 100 - tails)))
    if high <= low:
        low, high = low - max(1e-3, abs(low) / 10), high + max(1e-3, abs(high) / 10)
    bins = min(max(10, math.isqrt(sample.size)), _MOST_BINS)
    counts, edges = np.histogram(sample, bins, (low, high))
    beyond = sample.size - int(counts.sum())
    steps = np.repeat(edges, 2)
    heights = np.concatenate([[0], np.repeat(counts, 2), [0]]).astype(float)
    notes: list[str] = [Phrase("{1} bins", bins)]
    notes += [Phrase("{1} beyond the ends", Count(beyond))] if beyond else []
    notes += [Phrase("from 1 in {1}", every)] if every > 1 else []
    return CurvePanel(
        title=Phrase("Distribution"),
        note=joined(", ", notes),
        lines=((steps, heights),),
        x_label=Phrase("value"),
        y_label=Phrase("count"),
        hue=hue,
    )
