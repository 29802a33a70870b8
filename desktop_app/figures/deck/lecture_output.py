"""Slides of a lecture on the output: the next token, sampling, and how good the predictions are."""

from dataclasses import replace

import numpy as np

from desktop_app.core.lessons.cover import HIDDEN
from desktop_app.core.lessons.questions import NEXT
from desktop_app.core.levels import share_text, unit
from desktop_app.core.panels import Array, Bar, BarsPanel, Box, RulerPanel, ShadedPanel, column, panels_of
from desktop_app.core.steps import build_view, find_step
from desktop_app.figures.deck.lecture_material import BARS, SHADED, Frame, Material, likeliest, plain
from desktop_app.figures.deck.walk import CLOSING, Ask
from desktop_app.gpt2.phrase import Count
from desktop_app.gpt2.sampling import stages

# temperatures to show if the user did not set one: the first that changes the probabilities visibly
_SHOWN = (0.5, 2.0, 5.0)
_VISIBLE = 0.05


def ask_next(own: Material) -> Frame:
    """The question how the text continues."""
    scene = own.scene
    start, end = max(0, scene.position + 1 - SHADED), scene.position + 1
    pieces = (*scene.labels[start:end], f" {HIDDEN} ")
    shown = ShadedPanel(
        note=own.word("last", count=SHADED) if start else "",
        pieces=pieces,
        values=np.full(len(pieces), np.nan),
        levels=unit(),
        selected=len(pieces) - 1,
    )
    values = {"top": own.quoted(own.top), "share": share_text(float(scene.ranked.probs[0]))}
    truth = own.words["next"]["title"].format(**values)
    ask = Ask(NEXT, text=scene.tokenizer.decode([own.top]), truth=truth)
    return Frame("ask_next", column(shown), {"end": own.end()}, ask=ask)


def following(own: Material) -> Frame | None:
    """The likeliest next tokens."""
    ranked = own.scene.ranked
    if len(ranked) < 2:
        return None
    shown = min(BARS, len(ranked))
    values = {
        "top": own.quoted(own.top),
        "share": share_text(float(ranked.probs[0])),
        "second": own.quoted(int(ranked.order[1])),
        "second_share": share_text(float(ranked.probs[1])),
        "vocab": Count(len(ranked)),
        "shown": shown,
        "together": share_text(float(ranked.probs[:shown].sum())),
    }
    return Frame("next", column(likeliest(own)), values)


def temperature(own: Material) -> Frame:
    """What the temperature does to the probabilities of the next token."""
    scene, sampling = own.scene, own.scene.state.sampling
    tried = (sampling.temperature,) if sampling.temperature != 1 and not sampling.greedy else _SHOWN
    for chosen in tried:
        made = stages(scene.ranked, replace(sampling, temperature=chosen, greedy=False))
        if abs(float(made.probs_scaled[0] - made.probs_full[0])) >= _VISIBLE:
            break
    bars = tuple(
        Bar(
            own.quoted(int(scene.ranked.order[n])),
            float(made.probs_scaled[n]),
            share_text(float(made.probs_scaled[n])),
            outline=float(made.probs_full[n]),
            marked=n == 0,
        )
        for n in range(min(BARS, len(scene.ranked)))
    )
    values = {
        "t": f"{chosen:g}",
        "top": own.quoted(own.top),
        "before": share_text(float(made.probs_full[0])),
        "after": share_text(float(made.probs_scaled[0])),
    }
    panel = BarsPanel(
        bars=bars,
        outlined=own.word("temperature", t="1"),
        filled=own.word("temperature", t=f"{chosen:g}"),
    )
    return Frame("temperature", column(panel), values)


def cuts(own: Material) -> Frame | None:
    """Which next tokens top-k and top-p keep."""
    scene, sampling = own.scene, own.scene.state.sampling
    if sampling.greedy or (not sampling.top_k and sampling.top_p >= 1):
        sampling = replace(sampling, greedy=False, top_k=40, top_p=0.9)
    made = stages(scene.ranked, sampling)
    if made.n_kept >= len(scene.ranked):
        return None
    names = [own.word("top_k", k=sampling.top_k)] if sampling.top_k else []
    names += [own.word("top_p", p=f"{sampling.top_p:g}")] if sampling.top_p < 1 else []
    kept = made.n_kept
    values = {
        "cuts": own.word("and").join(names),
        "kept": Count(kept),
        "vocab": Count(len(scene.ranked)),
        "last": own.quoted(int(scene.ranked.order[kept - 1])),
        "lost": share_text(max(0.0, 1 - float(made.probs_scaled[:kept].sum()))),
    }
    shown = cut_to(own, kept, made.probs_scaled, made.final)
    return None if shown is None else Frame("cuts", shown, values, sampled=sampling == scene.state.sampling)


def cut_to(own: Material, kept: int, before: Array, after: Array) -> Box | None:
    """The likeliest tokens, and those around a cut that keeps `kept` tokens, by rank; None if nothing is cut."""
    count = len(own.scene.ranked)
    if kept >= count:
        return None
    shown = range(min(BARS, count)) if kept < BARS else [*range(BARS - 2), kept - 1, kept]
    bars = tuple(
        Bar(
            f"{own.quoted(int(own.scene.ranked.order[n]))}\u00a0{n + 1}",
            float(after[n]) if n < kept else 0.0,
            share_text(float(after[n]) if n < kept else 0.0),
            outline=float(before[n]),
            kept=n < kept,
        )
        for n in shown
    )
    return column(BarsPanel(bars=bars, outlined=own.word("before"), filled=own.word("after")))


def draw(own: Material) -> Frame | None:
    """Which token a draw selects."""
    scene = own.scene
    if scene.state.sampling.greedy:
        return None
    step = find_step("draw", scene.config)
    ruler = panels_of(build_view(plain(scene, scene.layer), step).content)
    ruled = next(panel for panel in ruler if isinstance(panel, RulerPanel))
    ruled = replace(ruled, title="", note="", hint="", labels=tuple(map(own.say, ruled.labels)))
    first = max(0, min(scene.landed - 3, scene.stages.n_kept - 6))
    bars = tuple(
        Bar(
            own.quoted(int(scene.ranked.order[n])),
            float(scene.stages.final[n]),
            share_text(float(scene.stages.final[n])),
            marked=n == scene.landed,
        )
        for n in range(first, min(first + 6, scene.stages.n_kept))
    )
    values = {
        "u": f"{scene.u:.4f}",
        "token": own.quoted(int(scene.ranked.order[scene.landed])),
        "seed": scene.state.sampling.seed,
    }
    return Frame("draw", column(ruled, BarsPanel(bars=bars)), values, sampled=True)


def positions(own: Material) -> Frame | None:
    """How well the tokens of the text were predicted."""
    made = own.predictions
    if len(made) < 3:
        return None
    start = max(0, len(made) - 10)
    ids = own.scene.trace.ids
    bars = tuple(
        Bar(
            f"{n + 1} {own.quoted(int(made.next_id[n]))}",
            float(made.probability[n]),
            share_text(float(made.probability[n])),
            marked=made.rank[n] == 0,
        )
        for n in range(start, len(made))
    )
    inside = made.probability[start:]
    values = {
        "right": made.right,
        "count": len(made),
        "loss": f"{made.mean_loss:.2f}",
        "easy": own.quoted(ids[start + int(inside.argmax()) + 1]),
        "hard": own.quoted(ids[start + int(inside.argmin()) + 1]),
    }
    note = own.word("last", count=len(bars)) if start else ""
    return Frame("positions", column(BarsPanel(note=note, bars=bars, reach=1.0)), values)


def closing(own: Material) -> Frame:
    """The end, to which the recalled findings are added."""
    values = {"model": own.scene.name, "top": own.quoted(own.top)}
    return Frame("closing", column(), values, kind=CLOSING)
