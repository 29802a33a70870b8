"""The workspace of all positions: each prediction compared with the token that follows in the text, and its loss.

Its cells are `predictions.loss[n]`, where n is the position that predicts.
"""

import numpy as np

from desktop_app.core.analysis import predictions as analysis
from desktop_app.core.analysis.predictions import Predictions
from desktop_app.core.asking.intents import Select
from desktop_app.core.levels import number, percent, unit
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    CurvePanel,
    Hue,
    Line,
    ShadedPanel,
    Source,
    TextPanel,
    View,
    column,
    formula_line,
)
from desktop_app.core.panels import row as beside
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import token_name
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Count, Phrase

LOSS = "predictions.loss"
_LISTED = 12
_QUICK = 2e8  # multiplications up to which the logits are computed at once, with the pass


def _compute(work: Work) -> Predictions:
    return analysis.compute(work.trace, stop=work.stop, progress=work.progress)


_PREDICTIONS = Product("predictions", Phrase("Comparing every position with the next token"), _compute)


def want(scene: Scene) -> Want:
    """The request for the comparison of every position's prediction with the token after it."""
    size = len(scene.trace) * scene.config.vocab_size * scene.config.n_embd
    return Want(_PREDICTIONS, quick="logits" in scene.trace.captured or size <= _QUICK)


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    return (want(scene),)


def content(scene: Scene) -> View:
    """The text shaded by each token's probability, the losses along the text, and the least expected tokens."""
    made: Predictions | None = scene.made(want(scene))
    if made is None:
        return View("", "", column(TextPanel(lines=(Line("", _PREDICTIONS.waiting),))))
    if not len(made):
        return View(
            "", "", column(TextPanel(lines=(Line("", Phrase("The text is one token: nothing comes after it.")),)))
        )
    return View(
        "",
        "",
        column(
            _text(scene, made),
            beside(_hardest(scene, made), column(_numbers(scene, made), _losses(made)), weights=(3, 2)),
            weights=(1, 2),
        ),
    )


def _text(scene: Scene, made: Predictions) -> ShadedPanel:
    return ShadedPanel(
        title=Phrase("Each token by the probability that it was given"),
        note=Phrase("the first has none before it"),
        pieces=scene.labels,
        values=np.concatenate(([np.nan], made.probability)),
        levels=unit(scene.state.view.pattern_scale),
        source=Source(LOSS, ("col",), first_col=-1),
        selected=scene.token,
    )


def _hardest(scene: Scene, made: Predictions) -> BarsPanel:
    """All tokens of a short text, or those of a longer text with the largest losses, in the order of the text."""
    order = sorted(np.argsort(-made.loss, kind="stable")[:_LISTED].tolist())
    quoted = scene.tokenizer.quoted
    bars = tuple(
        Bar(
            f"{scene.labels[n + 1]} {n + 1}",
            float(made.loss[n]),
            number(float(made.loss[n])),
            "" if made.rank[n] == 0 else Phrase("likeliest {1}", quoted(int(made.top_id[n]))),
            kept=bool(made.rank[n] > 0),
            marked=n + 1 == scene.token,
            pick=Select(n + 1),
            source=(LOSS, (n,)),
        )
        for n in order
    )
    title = Phrase("The loss of each token") if len(made) <= _LISTED else Phrase("The largest losses")
    return BarsPanel(title=title, note=Phrase("in nats; grey: the likeliest token came"), bars=bars, hue=Hue.ACCENT)


def _numbers(scene: Scene, made: Predictions) -> TextPanel:
    mean = made.mean_loss
    blind = number(float(np.log(scene.config.vocab_size)))
    lines = (
        Line(
            Phrase("mean loss"),
            Phrase("{1} nats", number(mean)),
            Phrase("a uniform guess has ln {1} = {2}", Count(scene.config.vocab_size), blind),
        ),
        Line(
            Phrase("perplexity"),
            number(float(np.exp(mean))),
            Phrase("as uncertain as among this many equal choices"),
        ),
        Line(
            Phrase("guessed"),
            Phrase("{1} of {2}", Count(made.right), Count(len(made))),
            Phrase("tokens that were the likeliest"),
        ),
    )
    return TextPanel(title=Phrase("In numbers"), lines=lines)


def _losses(made: Predictions) -> CurvePanel:
    positions = np.arange(len(made), dtype=float)
    return CurvePanel(
        title=Phrase("The loss along the text"),
        note=Phrase("dashed: the mean"),
        points=(positions, made.loss),
        lines=((positions, made.loss),) if len(made) > 1 else (),
        levels_at=((made.mean_loss, Phrase("mean")),),
        x_label=Phrase("position that predicts"),
        y_label=Phrase("nats"),
        hue=Hue.ACCENT,
        source=Source(LOSS, (), each=tuple((n,) for n in range(len(made)))),
    )


# Cells


def _at(scene: Scene, cell: Cell) -> tuple[Predictions, int]:
    """The comparison, and the position of a cell. Raises ModelError if there is none."""
    made: Predictions | None = scene.made(want(scene))
    if made is None:
        raise ModelError(f"{cell.name} is not computed yet; open it when it is shown.")
    if cell.name != LOSS or len(cell.index) != 1 or not 0 <= cell.index[0] < len(made):
        raise ModelError(f"There is no {cell.name}{list(cell.index)}; {LOSS} has {len(made)} positions.")
    return made, cell.index[0]


def describe(scene: Scene, cell: Cell) -> Readout:
    """The readout of a cell."""
    made, n = _at(scene, cell)
    top = scene.tokenizer.quoted(int(made.top_id[n]))
    rank = Count(int(made.rank[n]) + 1)
    came = Phrase("the likeliest") if made.rank[n] == 0 else Phrase("rank {1}, likeliest {2}", rank, top)
    value, share = number(float(made.loss[n])), percent(float(made.probability[n]))
    place = Phrase("after {1} came {2}", token_name(scene, n), token_name(scene, n + 1))
    return Readout(Phrase("{1} nats, {2}, {3}", value, share, came), cell.name, place)


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of a token's loss: its probability, and the probabilities of likelier tokens."""
    made, n = _at(scene, cell)
    logits = scene.trace.logits(n).astype(np.float64)
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    came = int(made.next_id[n])
    order = np.argsort(-logits, kind="stable")[:8].tolist()
    shown = order if came in order else [*order[:-1], came]
    bars = tuple(
        Bar(
            scene.tokenizer.label(t),
            float(shares[t]),
            percent(float(shares[t])),
            Phrase("logit {1}", number(float(logits[t]))),
            marked=t == came,
            source=("logits", (n, t)),
        )
        for t in shown
    )
    p = float(shares[came])
    lines = (
        formula_line(
            "loss = −ln p",
            Phrase("p: the probability, at temperature 1, of the token that came"),
        ),
        Line(Phrase("with numbers"), f"−ln {number(p)} = {number(-np.log(max(p, 1e-300)))}"),
        Line(
            Phrase("came"),
            scene.tokenizer.quoted(came),
            Phrase("rank {1} of {2}", Count(int(made.rank[n]) + 1), Count(len(shares))),
        ),
    )
    return View(
        Phrase("The loss of {1} = {2}", token_name(scene, n + 1), number(float(made.loss[n]))),
        Phrase("What was predicted after {1}, and what came.", token_name(scene, n)),
        column(
            TextPanel(lines=lines),
            BarsPanel(
                title=Phrase("What was predicted"),
                note=Phrase("the marked one came"),
                hint=Phrase("click to open"),
                bars=bars,
            ),
        ),
    )


def as_numpy(scene: Scene, cell: Cell | None) -> str:
    """Lines of code that recompute the loss at every position, or at a cell's position."""
    which = "the loss of every position but the last" if cell is None else f"the loss after position {cell.index[0]}"
    pick = "" if cell is None else f"[{cell.index[0]}]"
    return program(
        scene.checkpoint,
        f"{which}, in nats",
        (("x", "ln_final.out", ""), ("tokens", "tokens", ""), ("W_U", "unembed.W_U", "")),
        [
            "logits = x[:-1] @ W_U.T",
            "logits -= logits.max(-1, keepdims=True)",
            "log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))",
            f"result = -log_p[np.arange(len(log_p)), tokens[1:]]{pick}",
        ],
    )
