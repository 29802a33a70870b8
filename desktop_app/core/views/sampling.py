"""Views of the output: logits, every stage of sampling with the tokens that it removed and why, and the draw."""

from collections.abc import Callable

import numpy as np

from desktop_app.core.asking.intents import Append
from desktop_app.core.levels import diverging, number, percent
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    Cut,
    Hue,
    Line,
    RulerPanel,
    Source,
    StripsPanel,
    TextPanel,
    column,
    row,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import compared, norm, strip, token_name, wrap_width
from desktop_app.gpt2.phrase import Count, Phrase, joined
from desktop_app.gpt2.sampling import Fate

_SHOWN = 14
_RULER = 24

FATES = {
    Fate.KEPT: Phrase("kept"),
    Fate.CUT_BY_TOP_K: Phrase("cut by top-k"),
    Fate.CUT_BY_TOP_P: Phrase("cut by top-p"),
    Fate.GREEDY: Phrase("not the largest"),
}


def cut_words(scene: Scene) -> str:
    """Words for what the sampling settings leave: "top-k 40, then top-p 0.90 keep 11 of 4,096"."""
    stages, sampling = scene.stages, scene.state.sampling
    total, kept = Count(len(scene.ranked)), Count(stages.n_kept)
    if sampling.greedy:
        return Phrase("greedy keeps 1 of {1}", total)
    k, p = sampling.top_k, f"{sampling.top_p:.2f}"
    if stages.n_top_k < len(scene.ranked):
        if stages.n_kept < stages.n_top_k:
            return Phrase("top-k {1}, then top-p {2} keep {3} of {4}", k, p, kept, total)
        return Phrase("top-k {1} keeps {2} of {3}", k, kept, total)
    if stages.n_kept < stages.n_top_k:
        return Phrase("top-p {1} keeps {2} of {3}", p, kept, total)
    return Phrase("all {1} tokens are kept", total)


def shown_ranks(kept: int, total: int, count: int = _SHOWN) -> list[int]:
    """At most `count` ranks to list: the first ones, and two on each side of the cut."""
    first = min(count, total)
    if kept >= total or kept <= first - 2:
        return list(range(first))
    around = [r for r in range(kept - 2, kept + 2) if r < total]
    head = range(min(first - len(around), around[0]))
    return [*head, *around]


def cut_lines(ranks: list[int], kept: int, words: str) -> tuple[Cut, ...]:
    """Lines between bars: one where ranks are left out, and one between the tokens that survive and those cut."""
    lines = []
    for n in range(1, len(ranks)):
        left_out = ranks[n] - ranks[n - 1] - 1
        if left_out:
            lines.append(Cut(n, Phrase("{1} more between", Count(left_out)), Phrase("{1} more", Count(left_out))))
    place = sum(r < kept for r in ranks)
    if 0 < place < len(ranks):
        lines.append(Cut(place, words))
    return tuple(lines)


def _bars(
    scene: Scene,
    ranks: list[int],
    value: Callable[[int], float],
    *,
    kept: int,
    text: Callable[[float], str] = percent,
    remark: Callable[[int], str] = lambda _rank: "",
    outline: Callable[[int], float] | None = None,
) -> tuple[Bar, ...]:
    found = []
    for rank in ranks:
        token = int(scene.ranked.order[rank])
        amount = value(rank)
        found.append(
            Bar(
                scene.tokenizer.label(token),
                amount,
                text(amount),
                remark(rank),
                outline=outline(rank) if outline else None,
                kept=rank < kept,
                pick=Append(token),
            )
        )
    return tuple(found)


def _after(scene: Scene) -> str:
    return Phrase("after {1}", token_name(scene, scene.position))


def logits(scene: Scene) -> Box:
    """The dot product of the final vector with every token's row of the unembedding."""
    final = strip(scene, "ln_final.out", "ln_final.out", token=scene.position)
    ranks = list(range(min(_SHOWN, len(scene.ranked))))
    values = scene.ranked.logits
    bars = _bars(scene, ranks, lambda r: float(values[r]), kept=len(values), text=number)
    # All logits by rank, sampled evenly on a logarithmic axis of ranks, which includes all of the highest.
    count, middle = len(values), float(values.mean())
    picked = np.unique(np.round(np.geomspace(1, count, 300)).astype(int)) - 1
    curve = CurvePanel(
        title=Phrase("All {1} logits by rank", Count(count)),
        note=Phrase("the highest on the left"),
        lines=((picked + 1.0, values[picked]),),
        x_label=Phrase("rank, on a log scale"),
        x_plus=0.0,
        y_label=Phrase("logit"),
        hue=Hue.ACCENT,
        source=Source("logits", (), each=tuple((scene.position, int(scene.ranked.order[n])) for n in picked)),
    )
    return column(
        StripsPanel(
            carpet=True,
            title=Phrase("The final vector after {1}", token_name(scene, scene.position)),
            note=norm(final.values),
            strips=(final,),
            levels=diverging(final.values),
            wrap=wrap_width(len(final.values)),
        ),
        row(
            # GPT-2's logits are around -100, but adding a number to every logit changes nothing: bars begin at the mean
            # because only differences of logits have meaning.
            BarsPanel(
                title=Phrase("Highest logits"),
                note=Phrase("bars begin at the mean of all, {1}", number(middle)),
                bars=bars,
                base=middle,
            ),
            curve,
        ),
    )


def temperature(scene: Scene) -> Box:
    """The same logits divided by the temperature, before and after."""
    stages, value = scene.stages, scene.state.sampling.temperature
    ranks = list(range(min(_SHOWN, len(scene.ranked))))
    everything = len(scene.ranked)
    before = _bars(
        scene,
        ranks,
        lambda r: float(stages.probs_full[r]),
        kept=everything,
        remark=lambda r: number(float(scene.ranked.logits[r])),
    )
    after = _bars(
        scene,
        ranks,
        lambda r: float(stages.probs_scaled[r]),
        kept=everything,
        remark=lambda r: number(float(stages.scaled[r])),
        outline=lambda r: float(stages.probs_full[r]),
    )
    flatter = Phrase("nothing changes") if value == 1 else Phrase("flatter") if value > 1 else Phrase("sharper")
    return compared(
        BarsPanel(
            title=Phrase("Softmax of the logits"),
            note=joined(" · ", (Phrase("temperature 1"), Phrase("with logit"))),
            bars=before,
            hue=Hue.RESIDUAL,
        ),
        BarsPanel(
            title=Phrase("Divided by {1} first", f"{value:g}"),
            note=Phrase("{1}; outline: before", flatter),
            bars=after,
            outlined=Phrase("before"),
        ),
    )


def top_k(scene: Scene) -> Box:
    """The k highest probabilities, and these renormalised."""
    stages, sampling = scene.stages, scene.state.sampling
    kept = stages.n_top_k
    ranks = shown_ranks(kept, len(scene.ranked))
    off = sampling.greedy or not sampling.top_k
    words = (
        Phrase("greedy: top-k does not apply")
        if sampling.greedy
        else Phrase("top-k is off")
        if off
        else Phrase("top-k {1}", sampling.top_k)
    )
    before = _bars(scene, ranks, lambda r: float(stages.probs_scaled[r]), kept=kept)
    after = _bars(
        scene,
        ranks,
        lambda r: float(stages.probs_top_k[r]) if r < kept else 0.0,
        kept=kept,
        outline=lambda r: float(stages.probs_scaled[r]),
    )
    cut = cut_lines(ranks, kept, Phrase("top-k {1} cuts here", sampling.top_k))
    mass = float(stages.probs_scaled[:kept].sum())
    return compared(
        BarsPanel(title=Phrase("After temperature"), note=words, bars=before, hue=Hue.RESIDUAL, cuts=cut),
        BarsPanel(
            title=Phrase("{1} kept, renormalised", Count(kept)),
            note=Phrase("÷ {1}, the mass that was kept", f"{mass:.4f}"),
            bars=after,
            cuts=cut,
        ),
    )


def top_p(scene: Scene) -> Box:
    """The running sum of the probabilities after top-k, and the token at which it reaches p."""
    stages, sampling = scene.stages, scene.state.sampling
    kept = stages.n_kept
    ranks = [r for r in shown_ranks(kept, len(scene.ranked)) if r < stages.n_top_k]
    off = sampling.greedy or sampling.top_p >= 1
    words = (
        Phrase("greedy: top-p does not apply")
        if sampling.greedy
        else Phrase("top-p is off")
        if off
        else Phrase("until it reaches {1}", f"{sampling.top_p:g}")
    )
    running = _bars(
        scene,
        ranks,
        lambda r: float(stages.cumulative[r]),
        kept=kept,
        remark=lambda r: f"+ {percent(float(stages.probs_top_k[r]))}",
    )
    after = _bars(
        scene,
        ranks,
        lambda r: float(stages.final[r]) if r < kept else 0.0,
        kept=kept,
        outline=lambda r: float(stages.probs_top_k[r]),
    )
    cut = cut_lines(ranks, kept, Phrase("top-p {1} is reached", f"{sampling.top_p:g}"))
    return compared(
        BarsPanel(title=Phrase("Running sum"), note=words, bars=running, hue=Hue.RESIDUAL, cuts=cut),
        BarsPanel(
            title=Phrase("{1} kept, renormalised", Count(kept)),
            note=Phrase("outline: before top-p"),
            bars=after,
            cuts=cut,
            outlined=Phrase("before top-p"),
        ),
    )


def probabilities(scene: Scene) -> Box:
    """The model's distribution next to the one that is sampled, and whether each token survived."""
    stages = scene.stages
    ranks = shown_ranks(stages.n_kept, len(scene.ranked))
    raw = _bars(
        scene,
        ranks,
        lambda r: float(stages.probs_full[r]),
        kept=len(scene.ranked),
        remark=lambda r: Phrase("logit {1}", number(float(scene.ranked.logits[r]))),
    )
    final = _bars(
        scene,
        ranks,
        lambda r: float(stages.final[r]) if r < stages.n_kept else 0.0,
        kept=stages.n_kept,
        remark=lambda r: FATES[stages.fate(r)],
        outline=lambda r: float(stages.probs_scaled[r]),
    )
    full = stages.probs_full
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -float(np.where(full > 0, full * np.log2(full), 0).sum())
    top = int(scene.ranked.order[0])
    facts = (
        Line(Phrase("kept"), Phrase("{1} of {2}", Count(stages.n_kept), Count(len(scene.ranked))), cut_words(scene)),
        Line(Phrase("most likely"), scene.tokenizer.quoted(top), percent(float(stages.final[0]))),
        Line(
            Phrase("entropy"),
            Phrase("{1} bits", f"{entropy:.2f}"),
            Phrase("of the model's distribution: as uncertain as among {1} equal choices", Count(2**entropy, 1)),
        ),
    )
    return column(
        compared(
            BarsPanel(title=Phrase("What the model says"), note=_after(scene), bars=raw, hue=Hue.RESIDUAL),
            BarsPanel(
                title=Phrase("What is sampled from"),
                note=Phrase("outline: before the cut"),
                outlined=Phrase("before the cut"),
                bars=final,
                cuts=cut_lines(ranks, stages.n_kept, cut_words(scene)),
            ),
        ),
        TextPanel(title=Phrase("In numbers"), lines=facts),
    )


def draw(scene: Scene) -> Box:
    """A random number u in [0, 1), and the token whose interval of the cumulative probabilities contains it."""
    stages, u, landed = scene.stages, scene.u, scene.landed
    count = min(stages.n_kept, _RULER)
    edges = [0.0, *(float(stages.cumulative_final[r]) for r in range(count))]
    labels = [scene.tokenizer.label(int(scene.ranked.order[r])) for r in range(count)]
    if stages.n_kept > count:
        edges.append(1.0)
        labels.append(Phrase("{1} more", Count(stages.n_kept - count)))
    first = max(0, min(landed - 4, stages.n_kept - 10))
    ranks = list(range(first, min(first + 10, stages.n_kept)))
    bars = []
    for rank in ranks:
        token = int(scene.ranked.order[rank])
        low, high = stages.interval(rank)
        bars.append(
            Bar(
                scene.tokenizer.label(token),
                float(stages.final[rank]),
                percent(float(stages.final[rank])),
                Phrase("from {1} to {2}", f"{low:.4f}", f"{high:.4f}"),
                marked=rank == landed,
                pick=Append(token),
            )
        )
    token = int(scene.ranked.order[landed])
    sampling = scene.state.sampling
    lines = (
        Line(
            "u",
            f"{u:.6f}",
            Phrase("number {1} of seed {2}: the same every time", scene.state.draws, sampling.seed),
        ),
        Line(
            Phrase("lands on"),
            scene.tokenizer.quoted(token),
            Phrase("rank {1}, id {2}", Count(landed + 1), token),
            Hue.ACCENT,
        ),
    )
    return column(
        RulerPanel(
            title=Phrase("The unit interval, cut by the probabilities"),
            note=_after(scene),
            edges=tuple(edges),
            labels=tuple(labels),
            u=u,
            landed=min(landed, len(labels) - 1),
        ),
        TextPanel(title=Phrase("The draw"), lines=lines),
        BarsPanel(title=Phrase("Around the token that it lands on"), bars=tuple(bars)),
    )
