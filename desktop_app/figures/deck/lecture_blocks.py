"""Slides of a lecture on what the blocks do: what a head attends to, and where the prediction arises."""

from dataclasses import replace

import numpy as np

from desktop_app.core import measured
from desktop_app.core.lessons.questions import LOOK
from desktop_app.core.levels import share_text, unit
from desktop_app.core.measured import Look
from desktop_app.core.panels import Bar, BarsPanel, CurvePanel, Hue, ShadedPanel, Source, column, panels_of
from desktop_app.core.steps import build_view, find_step
from desktop_app.figures.deck.lecture_material import (
    ARCS,
    BARS,
    Frame,
    Material,
    arcs,
    capital,
    first_shown,
    plain,
    signed,
    strongest_keys,
)
from desktop_app.figures.deck.walk import Ask
from desktop_app.gpt2.phrase import Count
from desktop_app.gpt2.sampling import Ranked


def previous(own: Material) -> Frame | None:
    """The head that attends to the previous token, if there is one."""
    found = measured.previous_token(own.scene)
    if found is None:
        return None
    layer, head, good, count = found
    panel = arcs(own.scene, layer, head)
    panel = replace(panel, note=own.word("last", count=ARCS) if len(own.scene.trace) > ARCS else "")
    values = {"head": f"L{layer}H{head}", "number": head, "layer": layer, "good": good, "count": count}
    return Frame("previous", column(panel), {**values, "misses": count - good})


def _shaded(own: Material, look: Look) -> ShadedPanel:
    """The text up to the query, or up to the key if a mask shows later ones, on the colours of the query's weights."""
    scene, end = own.scene, max(look.query, look.key) + 1
    start = min(first_shown(scene.labels, end - 1), look.query)
    weights = scene.trace.read(f"blocks.{look.layer}.attn.pattern", head=look.head, row=look.query)
    return ShadedPanel(
        note=own.word("last", count=end - start) if start else "",
        pieces=scene.labels[start:end],
        values=np.asarray(weights[start:end], float),
        levels=unit(),
        source=Source(f"blocks.{look.layer}.attn.pattern", (look.head, look.query, "col"), first_col=start),
        selected=look.query - start,
    )


def _of_look(own: Material, look: Look) -> dict[str, object]:
    return {
        "head": look.name,
        "number": look.head,
        "layer": look.layer,
        "query": own.at(look.query),
        "key": own.at(look.key),
        "at": look.key,
        "share": share_text(look.weight),
    }


def ask_look(own: Material) -> Frame | None:
    """The question which key the chosen head attends to."""
    if own.look is None or own.look.query < 2:
        return None
    shown = _shaded(own, own.look)
    covered = replace(shown, values=np.full_like(shown.values, np.nan), source=None)
    values = _of_look(own, own.look)
    truth = own.words["look"]["title"].format(**values)
    key = own.look.key - (max(own.look.query, own.look.key) + 1 - len(shown.pieces))
    ask = Ask(LOOK, shown.pieces, (key,), truth=truth) if key >= 0 else None
    return Frame("ask_look", column(covered), values, ask=ask)


def looks(own: Material) -> Frame | None:
    """Which key the chosen head attends to."""
    look, scene = own.look, own.scene
    if look is None:
        return None
    bars = strongest_keys(scene, look.layer, look.head)
    ids = scene.trace.ids
    variant = "_duplicate" if look.key < look.query and ids[look.key] == ids[look.query] else ""
    if look.key and look.key - 1 < look.query and ids[look.key - 1] == ids[look.query]:
        variant = "_induction"
    shown = column(_shaded(own, look), bars)
    return Frame("look", shown, _of_look(own, look), variant)


def writers(own: Material) -> Frame | None:
    """What wrote the key to which the chosen head attends."""
    if own.look is None:
        return None
    found = measured.writers_of_key(own.scene, own.look)
    if found[0][1] <= 0:
        return None
    shown = found[:BARS]
    bars = tuple(Bar(own.part(part), value, signed(value)) for part, value in shown)
    values = {
        "part": own.part(found[0][0]),
        "Part": capital(own.part(found[0][0])),
        "value": signed(found[0][1]),
        "total": signed(sum(value for _, value in found)),
        "shown": len(shown),
    }
    panel = BarsPanel(bars=bars, hue=Hue.KEY)
    return Frame("writers", column(panel), {**_of_look(own, own.look), **values})


def without(own: Material) -> Frame | None:
    """The next token when the chosen head is ablated."""
    if own.look is None or own.scene.token != own.scene.position:
        return None
    after = measured.without_head(own.model, own.scene, own.look).ranked
    values = {
        "head": own.look.name,
        "top": own.quoted(own.top),
        "before": share_text(float(own.scene.ranked.probs[0])),
        "after": share_text(float(after.probs[after.rank_of(own.top)])),
        "first": own.quoted(int(after.order[0])),
    }
    before = own.scene.ranked
    tokens = list(dict.fromkeys([int(t) for t in before.order[:4]] + [int(t) for t in after.order[:4]]))
    tokens.sort(key=after.rank_of)
    return Frame("without", column(_changed(own, tokens, before, after)), values)


def _changed(own: Material, tokens: list[int], before: Ranked, after: Ranked) -> BarsPanel:
    """The probabilities of some tokens after a change, with outlines for those before the change."""

    def share(ranked: Ranked, token: int) -> float:
        return float(ranked.probs[ranked.rank_of(token)])

    bars = tuple(
        Bar(
            own.quoted(t),
            share(after, t),
            share_text(share(after, t)),
            outline=share(before, t),
            marked=t == own.top,
        )
        for t in tokens
    )
    filled = own.word("without", head=own.look.name if own.look else "")
    return BarsPanel(bars=bars, outlined=own.word("before"), filled=filled)


def mlp(own: Material) -> Frame:
    """How many neurons of a block are active."""
    scene = own.scene
    layer = own.look.layer if own.look is not None else scene.config.n_layer - 1
    step = find_step(f"blocks.{layer}.mlp.post", scene.config)
    view = build_view(plain(scene, layer), step)
    curve = next(p for p in panels_of(view.content) if isinstance(p, CurvePanel))
    after = scene.trace.read(f"blocks.{layer}.mlp.post", row=scene.token)
    values = {
        "active": Count(int((after > 0).sum())),
        "neurons": Count(len(after)),
        "layer": layer,
        "token": own.at(scene.token),
        "strongest": int(np.argmax(np.abs(after))),
    }
    curve = replace(
        curve,
        title="",
        note="",
        x_label=own.say(curve.x_label),
        y_label=own.say(curve.y_label),
        focus=curve.focus and (*curve.focus[:2], own.say(curve.focus[2])),
    )
    return Frame("mlp", column(curve), values)


def arising(own: Material) -> Frame | None:
    """The block from which on the predicted token is the likeliest."""
    found = measured.arising(own.scene)
    block = measured.leads_from(found)
    if len(found) < 2 or found[-1].leads != own.top:
        return None
    picked = sorted({*np.linspace(0, len(found) - 1, min(len(found), 12)).round().astype(int).tolist(), block})
    bars = tuple(
        Bar(
            own.word("after_block", block=found[n].block, token=own.quoted(found[n].leads)),
            found[n].share,
            share_text(found[n].share),
            marked=n == block,
        )
        for n in picked
    )
    values = {"top": own.quoted(own.top), "block": block, "share": share_text(found[-1].share)}
    return Frame("arising", column(BarsPanel(bars=bars)), values)
