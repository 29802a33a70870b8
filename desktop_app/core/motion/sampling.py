"""Animated operations of sampling: the temperature, the running sum of top-p, and the draw."""

import itertools
from dataclasses import replace

import numpy as np

from desktop_app.core.levels import percent
from desktop_app.core.motion.beats import Beat, eased, text_at
from desktop_app.core.panels import Bar, BarsPanel, Box, Hue, RulerPanel, column
from desktop_app.core.scene import Scene
from desktop_app.gpt2.phrase import Phrase
from desktop_app.gpt2.sampling import stages

_BARS, _RULER = 12, 24


def _label(scene: Scene, rank: int) -> str:
    return scene.tokenizer.label(int(scene.ranked.order[rank]))


def _quoted(scene: Scene, rank: int) -> str:
    return scene.tokenizer.quoted(int(scene.ranked.order[rank]))


def temperature(scene: Scene) -> tuple[Beat, ...]:
    """The same logits while the temperature goes from 1 down to 0.5, up to 2, and to the chosen value."""
    chosen = scene.state.sampling.temperature
    count = min(_BARS, len(scene.ranked))

    def at(degrees: float) -> tuple[float, ...]:
        found = stages(scene.ranked, replace(scene.state.sampling, temperature=degrees))
        return tuple(map(float, found.probs_scaled[:count]))

    def beat(low: float, high: float) -> Beat:
        def panels(t: float) -> Box:
            now = low * (high / low) ** eased(t)
            bars = tuple(Bar(_label(scene, r), p, percent(p)) for r, p in enumerate(at(now)))
            return column(
                BarsPanel(
                    title=Phrase("Temperature {1}", f"{now:.2f}"),
                    note=Phrase("softmax of logits / temperature"),
                    bars=bars,
                    hue=Hue.ACCENT,
                    reach=1.0,
                )
            )

        return Beat(Phrase("from {1} to {2}", f"{low:g}", f"{high:g}"), (), (), at(high), panels)

    way = [1.0, 0.5, 2.0, chosen]
    return tuple(beat(one, other) for one, other in itertools.pairwise(way))


def top_p(scene: Scene) -> tuple[Beat, ...]:
    """The probabilities of tokens, the largest first, are added up until the sum reaches top-p."""
    found, p = scene.stages, scene.state.sampling.top_p
    count = min(_BARS, found.n_top_k, found.n_kept if p < 1 else _BARS)
    listed = min(found.n_top_k, count + 2)

    def beat(rank: int) -> Beat:
        before = float(found.cumulative[rank - 1]) if rank else 0.0
        after = float(found.cumulative[rank])

        def panels(t: float) -> Box:
            now = before + (after - before) * eased(t)
            bars = tuple(
                Bar(
                    _label(scene, r),
                    float(found.probs_top_k[r]) * (eased(t) if r == rank else 1.0 if r < rank else 0.0),
                    percent(float(found.probs_top_k[r])),
                    kept=r <= rank,
                    marked=r == rank,
                )
                for r in range(listed)
            )
            total = Bar(
                Phrase("the sum"),
                now,
                text_at(percent(before), percent(after), t),
                Phrase("of {1}", f"{p:g}"),
                outline=p,
            )
            return column(
                BarsPanel(
                    title=Phrase("Running sum"), bars=(total,), hue=Hue.ACCENT, reach=1.0, outlined=Phrase("top-p")
                ),
                BarsPanel(title=Phrase("Tokens, the likeliest first"), bars=bars, hue=Hue.ACCENT, reach=1.0),
            )

        crossed = p < 1 and after >= p
        key = "{1} makes it {2}: {3} is reached" if crossed else "{1} makes it {2}"
        words = Phrase(key, _quoted(scene, rank), percent(after), f"{p:g}")
        return Beat(words, (), (), (after,), panels)

    return tuple(beat(rank) for rank in range(max(1, count)))


def draw(scene: Scene) -> tuple[Beat, ...]:
    """A marker moves along the final probabilities, laid end to end from 0 to 1, and stops at the number drawn."""
    found, u, landed = scene.stages, scene.u, scene.landed
    count = max(min(_RULER, found.n_kept), landed + 1)
    edges = (0.0, *map(float, found.cumulative_final[:count]))
    labels = [_label(scene, rank) for rank in range(count)]
    if count < found.n_kept:
        edges, labels = (*edges, 1.0), [*labels, "…"]
    begun = np.asarray(edges)
    shares = {rank: float(found.final[rank]) for rank in sorted({*range(min(_BARS, found.n_kept)), landed})}

    def panels(t: float) -> Box:
        now = u * eased(t)
        over = min(int(np.searchsorted(begun[1:], now, side="right")), len(labels) - 1)
        return column(
            RulerPanel(
                title=f"u = {u:.4f}",
                note=Phrase("on the final probabilities"),
                edges=edges,
                labels=tuple(labels),
                u=now,
                landed=over,
            ),
            BarsPanel(
                title=Phrase("Tokens, the likeliest first"),
                bars=tuple(Bar(_label(scene, r), p, percent(p), marked=r == over) for r, p in shares.items()),
                hue=Hue.ACCENT,
                reach=1.0,
            ),
        )

    low, high = found.interval(landed)
    words = Phrase(
        "u = {1} lies between {2} and {3}: {4}", f"{u:.4f}", f"{low:.4f}", f"{high:.4f}", _quoted(scene, landed)
    )
    return (Beat(words, (), (), (u, low, high), panels),)
