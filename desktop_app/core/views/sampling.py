"""Views of the way out: logits, then every stage of sampling with what it cut and why, and the draw."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from desktop_app.core.intents import Append
from desktop_app.core.levels import diverging, number, percent
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    Hue,
    Line,
    RulerPanel,
    StripsPanel,
    TextPanel,
    column,
    row,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import norm, strip, token_name, wrap_width
from desktop_app.gpt2.sampling import Fate

_SHOWN = 14
_RULER = 24

FATES = {
    Fate.KEPT: "kept",
    Fate.CUT_BY_TOP_K: "cut by top-k",
    Fate.CUT_BY_TOP_P: "cut by top-p",
    Fate.GREEDY: "not the largest",
}


def cut_words(scene: Scene) -> str:
    """What the sampling settings keep, in words: "top-k 40, then top-p 0.90 keep 11 of 4,096"."""
    stages, sampling = scene.stages, scene.state.sampling
    total = f"{len(scene.ranked):,}"
    if sampling.greedy:
        return f"greedy keeps 1 of {total}"
    names = []
    if stages.n_top_k < len(scene.ranked):
        names.append(f"top-k {sampling.top_k}")
    if stages.n_kept < stages.n_top_k:
        names.append(f"top-p {sampling.top_p:.2f}")
    if not names:
        return f"all {total} tokens are kept"
    verb = "keeps" if len(names) == 1 else "keep"
    return f"{', then '.join(names)} {verb} {stages.n_kept:,} of {total}"


def shown_ranks(kept: int, total: int, count: int = _SHOWN) -> list[int]:
    """At most `count` ranks to list: the first ones, and two on each side of the cut wherever that lies."""
    first = min(count, total)
    if kept >= total or kept <= first - 2:
        return list(range(first))
    around = [r for r in range(kept - 2, kept + 2) if r < total]
    head = range(min(first - len(around), around[0]))
    return [*head, *around]


def cut_lines(ranks: list[int], kept: int, words: str) -> tuple[tuple[int, str], ...]:
    """Lines between bars: where ranks are left out, and where the cut is."""
    lines = []
    for n in range(1, len(ranks)):
        left_out = ranks[n] - ranks[n - 1] - 1
        if left_out:
            lines.append((n, f"{left_out:,} more between"))
    place = sum(r < kept for r in ranks)
    if 0 < place < len(ranks):
        lines.append((place, words))
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


def _compared(*panels: BarsPanel) -> Box:
    """Panels side by side whose bars are drawn on one scale: a longer bar is a larger number."""
    bars = tuple(bar for panel in panels for bar in panel.bars)
    return row(*(replace(panel, peers=bars) for panel in panels))


def _after(scene: Scene) -> str:
    return f"after {token_name(scene, scene.position)}"


def logits(scene: Scene) -> Box:
    """The final vector against every token's row of the unembedding."""
    final = strip(scene, "ln_final.out", "ln_final.out", token=scene.position)
    ranks = list(range(min(_SHOWN, len(scene.ranked))))
    values = scene.ranked.logits
    bars = _bars(scene, ranks, lambda r: float(values[r]), kept=len(values), text=number)
    # All of them by rank, thinned on a logarithmic axis of ranks so that the top is not lost.
    count, middle = len(values), float(values.mean())
    picked = np.unique(np.round(np.geomspace(1, count, 300)).astype(int)) - 1
    curve = CurvePanel(
        title=f"All {count:,} logits by rank",
        note="left the best; powers of ten",
        lines=((np.log10(picked + 1.0), values[picked]),),
        x_label="rank (log₁₀)",
        y_label="logit",
        hue=Hue.ACCENT,
    )
    return column(
        StripsPanel(
            title=f"The final vector {_after(scene)}",
            note=norm(final.values),
            strips=(final,),
            levels=diverging(final.values),
            wrap=wrap_width(len(final.values)),
        ),
        row(
            # A number added to every logit changes nothing, and GPT-2's lie about -100: only how far one stands above
            # the others means something.
            BarsPanel(
                title="Highest logits", note=f"bars begin at the mean of all, {number(middle)}", bars=bars, base=middle
            ),
            curve,
        ),
    )


def temperature(scene: Scene) -> Box:
    """The same logits divided by the temperature, before and after."""
    stages, value = scene.stages, scene.state.sampling.temperature
    ranks = list(range(min(_SHOWN, len(scene.ranked))))
    everything = len(scene.ranked)
    before = _bars(scene, ranks, lambda r: float(stages.probs_full[r]), kept=everything,
                   remark=lambda r: number(float(scene.ranked.logits[r])))  # fmt: skip
    after = _bars(scene, ranks, lambda r: float(stages.probs_scaled[r]), kept=everything,
                  remark=lambda r: number(float(stages.scaled[r])),
                  outline=lambda r: float(stages.probs_full[r]))  # fmt: skip
    flatter = "nothing changes" if value == 1 else "flatter" if value > 1 else "sharper"
    return _compared(
        BarsPanel(title="Softmax of the logits", note="temperature 1 · with logit", bars=before, hue=Hue.RESIDUAL),
        BarsPanel(title=f"Divided by {value:g} first", note=f"{flatter}; outline: before", bars=after,
                  outlined="before"),
    )  # fmt: skip


def top_k(scene: Scene) -> Box:
    """The k highest are kept and renormalised."""
    stages, sampling = scene.stages, scene.state.sampling
    kept = stages.n_top_k
    ranks = shown_ranks(kept, len(scene.ranked))
    off = sampling.greedy or not sampling.top_k
    words = "greedy: top-k does not apply" if sampling.greedy else "top-k is off" if off else f"top-k {sampling.top_k}"
    before = _bars(scene, ranks, lambda r: float(stages.probs_scaled[r]), kept=kept)
    after = _bars(
        scene,
        ranks,
        lambda r: float(stages.probs_top_k[r]) if r < kept else 0.0,
        kept=kept,
        outline=lambda r: float(stages.probs_scaled[r]),
    )
    cut = cut_lines(ranks, kept, f"top-k {sampling.top_k} cuts here")
    mass = float(stages.probs_scaled[:kept].sum())
    return _compared(
        BarsPanel(title="After temperature", note=words, bars=before, hue=Hue.RESIDUAL, cuts=cut),
        BarsPanel(
            title=f"{kept:,} kept, renormalised",
            note=f"÷ {mass:.4f}, the mass that was kept",
            bars=after,
            cuts=cut,
        ),
    )


def top_p(scene: Scene) -> Box:
    """The running sum of what top-k left, and the token at which it reaches p."""
    stages, sampling = scene.stages, scene.state.sampling
    kept = stages.n_kept
    ranks = [r for r in shown_ranks(kept, len(scene.ranked)) if r < stages.n_top_k]
    off = sampling.greedy or sampling.top_p >= 1
    words = (
        "greedy: top-p does not apply"
        if sampling.greedy
        else "top-p is off"
        if off
        else f"until it reaches {sampling.top_p:g}"
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
    cut = cut_lines(ranks, kept, f"top-p {sampling.top_p:g} is reached")
    return _compared(
        BarsPanel(title="Running sum", note=words, bars=running, hue=Hue.RESIDUAL, cuts=cut),
        BarsPanel(title=f"{kept:,} kept, renormalised", note="outline: before top-p", bars=after, cuts=cut,
                  outlined="before top-p"),
    )  # fmt: skip


def probabilities(scene: Scene) -> Box:
    """What the model said and what will be drawn from, side by side, and what became of each token."""
    stages = scene.stages
    ranks = shown_ranks(stages.n_kept, len(scene.ranked))
    raw = _bars(scene, ranks, lambda r: float(stages.probs_full[r]), kept=len(scene.ranked),
                remark=lambda r: f"logit {number(float(scene.ranked.logits[r]))}")  # fmt: skip
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
        Line("kept", f"{stages.n_kept:,} of {len(scene.ranked):,}", cut_words(scene)),
        Line("most likely", scene.tokenizer.quoted(top), percent(float(stages.final[0]))),
        Line(
            "entropy",
            f"{entropy:.2f} bits",
            f"of what the model said: as unsure as between {2**entropy:,.1f} equal choices",
        ),
    )
    return column(
        _compared(
            BarsPanel(title="What the model says", note=_after(scene), bars=raw, hue=Hue.RESIDUAL),
            BarsPanel(
                title="What is drawn from",
                note="outline: before the cut",
                outlined="before the cut",
                bars=final,
                cuts=cut_lines(ranks, stages.n_kept, cut_words(scene)),
            ),
        ),
        TextPanel(title="In numbers", lines=facts),
    )  # fmt: skip


def draw(scene: Scene) -> Box:
    """A number u in [0, 1) and the token whose interval holds it."""
    stages, u, landed = scene.stages, scene.u, scene.landed
    count = min(stages.n_kept, _RULER)
    edges = [0.0, *(float(stages.cumulative_final[r]) for r in range(count))]
    labels = [scene.tokenizer.label(int(scene.ranked.order[r])) for r in range(count)]
    if stages.n_kept > count:
        edges.append(1.0)
        labels.append(f"{stages.n_kept - count:,} more")
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
                f"from {low:.4f} to {high:.4f}",
                marked=rank == landed,
                pick=Append(token),
            )
        )
    token = int(scene.ranked.order[landed])
    sampling = scene.state.sampling
    lines = (
        Line("u", f"{u:.6f}", f"number {scene.state.draws} of seed {sampling.seed}: the same whenever it is asked for"),
        Line("lands on", scene.tokenizer.quoted(token), f"rank {landed}, id {token}", Hue.ACCENT),
    )
    return column(
        RulerPanel(
            title="The unit interval, cut by the probabilities",
            note=_after(scene),
            edges=tuple(edges),
            labels=tuple(labels),
            u=u,
            landed=min(landed, len(labels) - 1),
        ),
        TextPanel(title="The draw", lines=lines),
        BarsPanel(title="Around the place where it lands", bars=tuple(bars)),
    )
