"""The view of a model's parameters by family, compared with the GPT-2 sizes and GPT-3."""

import numpy as np

from desktop_app.core.analysis.head_circuits import singular
from desktop_app.core.census import ATTENTION, EMBEDDINGS, MLP, Census, LowRank, census, low_rank, references
from desktop_app.core.levels import percent
from desktop_app.core.panels import Bar, BarsPanel, Box, CurvePanel, Hue, Line, TextPanel, View, column, row
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import LEGIBLE, compared
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.phrase import Count, Phrase, Sentences


def content(scene: Scene) -> View:
    """The census of the scene's model, and the rank of the shown head's W_OV."""
    return census_view(scene.name, scene.config, rank_panel(scene.checkpoint, scene.layer, scene.head))


def census_view(name: str, config: Config, rank: CurvePanel | None = None) -> View:
    """A view of the model `name` with this config: its parameter families as bars, and totals next to other sizes."""
    own, others = census(name, config), references()
    lead = Sentences(
        Phrase("{1} parameters.", Count(own.total)),
        Phrase(
            "In the blocks attention has {1} and the MLP {2}; the embeddings are {3} of all.",
            percent(own.of_blocks(*ATTENTION)),
            percent(own.of_blocks(*MLP)),
            percent(own.of_all(*EMBEDDINGS)),
        ),
    )
    return View(Phrase("Where the parameters are: {1}", name), lead, census_box(own, others, low_rank(config), rank))


def census_box(
    own: Census, others: tuple[Census, ...], low: LowRank | None = None, rank: CurvePanel | None = None
) -> Box:
    """Families of `own` and of the last of `others` as bars, what the low rank of W_OV saves, and a table of models."""
    largest = others[-1]
    models = (own, *others)
    return column(
        compared(_families(own), _families(largest), least=LEGIBLE),
        row(
            _shares(
                Phrase("Attention's share of the blocks"),
                models,
                [c.of_blocks(*ATTENTION) for c in models],
                Hue.ATTENTION,
            ),
            _shares(Phrase("The MLP's share of the blocks"), models, [c.of_blocks(*MLP) for c in models], Hue.MLP),
        ),
        row(
            _shares(
                Phrase("The embeddings' share of all"), models, [c.of_all(*EMBEDDINGS) for c in models], Hue.RESIDUAL
            ),
            *((_value(low),) if low is not None else ()),
        ),
        *((rank,) if rank is not None else ()),
        TextPanel(
            title=Phrase("Totals and sources"),
            note=Phrase("a bias counts with its matrix"),
            lines=tuple(Line(c.name, Count(c.total), c.note) for c in models),
        ),
    )


def rank_panel(checkpoint: Checkpoint, layer: int, head: int) -> CurvePanel:
    """Every singular value of a head's W_OV; those beyond its rank are 0."""
    config = checkpoint.config
    values = singular(checkpoint, "OV", layer, head).values
    rank = int((values > values[0] * config.n_embd * np.finfo(np.float32).eps).sum())
    every = np.zeros(config.n_embd)
    every[:rank] = values[:rank]
    squares = np.cumsum(np.square(every)) / max(float(np.square(every).sum()), 1e-300)
    most = int(np.searchsorted(squares, 0.9)) + 1
    return CurvePanel(
        title=Phrase("Singular values of W_OV, {1}", f"L{layer}H{head}"),
        note=Phrase("rank {1} of {2}; the first {3} hold 90 % of their squares", rank, config.n_embd, most),
        lines=((np.arange(1, config.n_embd + 1), every),),
        focus=(float(rank), float(every[rank - 1]) if rank else 0.0, Phrase("rank {1}", rank)),
        x_label=Phrase("singular value, the largest first"),
        hue=Hue.VALUE,
    )


def _value(low: LowRank) -> BarsPanel:
    """The parameters of one head's W_OV as two thin matrices, next to those of one full matrix."""
    key = "rank {1}; {2} fewer in all {3} heads" if low.saved >= 0 else "rank {1}; {2} more in all {3} heads"
    saved = Phrase(key, low.rank, Count(abs(low.saved)), Count(low.heads))
    bars = (
        Bar(Phrase("two thin"), float(low.own), Count(low.own), saved, marked=True),
        Bar(Phrase("one full"), float(low.full), Count(low.full), Phrase("rank up to {1}", low.width)),
    )
    note = Phrase("W_OV = W_V W_O")
    return BarsPanel(title=Phrase("Parameters of a head's value matrices"), note=note, bars=bars, hue=Hue.VALUE)


def _families(counted: Census) -> BarsPanel:
    bars = tuple(
        Bar(
            r.name,
            float(r.count),
            Count(r.count),
            Phrase("{1}, biases {2}", percent(r.share), Count(r.biases)) if r.biases else percent(r.share),
        )
        for r in counted.rows
    )
    return BarsPanel(title=Phrase("{1}: {2} parameters", counted.name, Count(counted.total)), bars=bars, hue=Hue.ACCENT)


def _shares(title: str, models: tuple[Census, ...], shares: list[float], hue: Hue) -> BarsPanel:
    bars = tuple(Bar(c.name, s, percent(s), marked=n == 0) for n, (c, s) in enumerate(zip(models, shares, strict=True)))
    return BarsPanel(title=title, bars=bars, hue=hue, reach=1.0)
