"""The panels of the evidence workspace: passages, the most active neurons, and what a neuron or head does."""

import numpy as np

from desktop_app.core.evidence import shown
from desktop_app.core.evidence.findings import SAMPLE
from desktop_app.core.evidence.heads import DISTANCES, SCORES
from desktop_app.core.evidence.neurons import edges
from desktop_app.core.evidence.saved import Evidence
from desktop_app.core.evidence.shown import AFTER, BEFORE, Active, Found, Muted, Passage, Passages
from desktop_app.core.levels import Levels, cell_text, number, percent
from desktop_app.core.panels import AnyPanel, Bar, BarsPanel, CurvePanel, Hue, Line, MapPanel, Source, TextPanel
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import token_name
from desktop_app.core.views.evidence_wants import (
    MUTED,
    PASSAGES,
    SEARCH,
    WRITES,
    made,
    name_of,
    of_heads,
    typed,
    unit_of,
)
from desktop_app.gpt2.phrase import Count, Phrase

_WRITTEN, _CHANGED, _PAIRS, _ACTIVE = 6, 4, 8, 10

_SCORE_WORDS = {
    "previous": Phrase("previous token"),
    "first": Phrase("first token"),
    "self": "itself",
    "duplicate": Phrase("duplicate token"),
    "induction": "induction",
    "entropy": "entropy",
    "distance": "distance",
    "share": Phrase("share of the stream"),
}

_WINDOWS = {
    (False, True): "of {1} windows; recomputed here, same as scanned",
    (True, True): "of {1} sampled windows; recomputed here, same as scanned",
    (False, False): "of {1} windows; recomputed here, differing from the scan by {2}",
    (True, False): "of {1} sampled windows; recomputed here, differing from the scan by {2}",
}
"""(whether passages are by decile, whether the model reproduces the scan's values) -> the note on the passages."""


def of_neuron(scene: Scene, evidence: Evidence) -> tuple[AnyPanel, ...]:
    """The neurons found by the search, or else the most active ones; and the tokens that the neuron promotes."""
    found = made(scene, evidence, "search")
    text = typed(scene)[0]
    listed = most_active(scene, evidence) if not text else _found(scene, found, text)
    return listed, _writes(scene, made(scene, evidence, "written"))


def _rows(passage: Passage) -> range:
    """The positions of a passage that are shown: from BEFORE tokens before the recorded one to AFTER tokens after."""
    return range(passage.position - BEFORE, passage.position + AFTER + 1)


def table(scene: Scene, evidence: Evidence) -> MapPanel | TextPanel:
    """The passages, each token shaded by its value; until the values are computed, a line of text."""
    passages = made(scene, evidence, "passages")
    heading = {
        "strongest": Phrase("Strongest passages"),
        "deciles": Phrase("Passages from each tenth of the windows"),
        "heads": Phrase("Passages where it writes most"),
    }[scene.state.view.evidence]
    if not isinstance(passages, Passages):
        return TextPanel(title=heading, lines=(Line("", PASSAGES.waiting),))
    if not passages.found:
        return TextPanel(title=heading, lines=(Line("", "", Phrase("No text of this evidence was long enough.")),))
    label = scene.tokenizer.label
    values = np.array([[p.values[n] if 0 <= n < len(p.ids) else np.nan for n in _rows(p)] for p in passages.found])
    texts = tuple(tuple(label(p.ids[n]) if 0 <= n < len(p.ids) else "" for n in _rows(p)) for p in passages.found)
    most = max(float(np.nanmax(values)), 1e-9)
    by_tenths = scene.state.view.evidence == "deciles"
    said = _WINDOWS[by_tenths, passages.apart < 1e-4]
    count = Count(min(SAMPLE, evidence.windows) if by_tenths else evidence.windows)
    return MapPanel(
        title=heading,
        note=Phrase(said, count, percent(passages.apart)),
        hint=Phrase("click one to read it as the prompt"),
        values=values,
        levels=Levels(min(0.0, float(np.nanmin(values))), most, diverging=False, rule=Phrase("this view")),
        row_labels=tuple(_label(p) for p in passages.found),
        texts=texts,
        words=True,
        source=Source("evidence.passage", ("row", "col")),
        selected_column=BEFORE,
        picks=None,
        hue=Hue.ATTENTION if of_heads(scene) else Hue.MLP,
    )


def _label(passage: Passage) -> str:
    value = cell_text(passage.recorded)
    return value if passage.decile is None else f"{passage.decile + 1}: {value}"


def most_active(scene: Scene, evidence: Evidence | None) -> BarsPanel:
    """The neurons that are most active at the selected token."""
    active = shown.most_active(scene.trace, scene.token, evidence, _ACTIVE)
    note = (
        Phrase("by how far above its mean over the texts") if evidence is not None else Phrase("after the activation")
    )
    return BarsPanel(
        title=Phrase("Most active at {1}", scene.tokenizer.quoted(scene.trace.ids[scene.token])),
        note=note,
        hint=Phrase("click one for its evidence"),
        bars=tuple(_active_bars(scene, active)),
        hue=Hue.MLP,
    )


def _active_bars(scene: Scene, active: Active) -> list[Bar]:
    bars = []
    here = unit_of(scene)
    for layer, neuron, value, unusual in zip(active.layer, active.neuron, active.value, active.unusual, strict=True):
        known = bool(np.isfinite(unusual))
        bars.append(
            Bar(
                name_of(layer, neuron),
                float(unusual if known else value),
                f"{unusual:.1f} σ" if known else number(float(value)),
                number(float(value)) if known else "",
                marked=(int(layer), int(neuron)) == here,
                source=("evidence.neuron", (int(layer), int(neuron))),
            )
        )
    return bars


def _found(scene: Scene, found: object, text: str) -> AnyPanel:
    title = Phrase("Neurons that peak on {1}", f"{text!r}")
    if not isinstance(found, Found):
        return TextPanel(title=title, lines=(Line("", SEARCH.waiting),))
    if not len(found.layer):
        where = Phrase("No neuron's strongest passages peak there. It occurs in no window.")
        if found.windows:
            where = Phrase("No neuron's strongest passages peak there. It occurs in {1} windows.", Count(found.windows))
        return TextPanel(title=title, lines=(Line("", "", where),))
    here = unit_of(scene)
    bars = tuple(
        Bar(
            name_of(layer, neuron),
            float(hits),
            Phrase("{1} of {2}", hits, 20),
            marked=(int(layer), int(neuron)) == here,
            source=("evidence.neuron", (int(layer), int(neuron))),
        )
        for layer, neuron, hits in zip(found.layer, found.neuron, found.hits, strict=True)
    )
    return BarsPanel(
        title=title, note=Phrase("of their strongest passages"), hint=Phrase("click one"), bars=bars, hue=Hue.MLP
    )


def _writes(scene: Scene, written: object) -> AnyPanel:
    title = Phrase("What it promotes and suppresses")
    if not isinstance(written, np.ndarray):
        return TextPanel(title=title, lines=(Line("", WRITES.waiting),))
    by_size = np.argsort(-written, kind="stable")
    picked = (*by_size[:_WRITTEN].tolist(), *by_size[-2:].tolist())
    bars = tuple(
        Bar(
            scene.tokenizer.label(token),
            float(written[token]),
            number(float(written[token])),
            source=("evidence.written", (token,)),
        )
        for token in picked
    )
    return BarsPanel(
        title=title, note=Phrase("logit per unit of activation, from the weights alone"), bars=bars, hue=Hue.RESIDUAL
    )


def muted_here(scene: Scene, evidence: Evidence) -> AnyPanel:
    """The probabilities of the next token with the neuron or head, and with it ablated."""
    title = Phrase("Muted on this prompt")
    muted = made(scene, evidence, "muted")
    if isinstance(muted, str):
        return TextPanel(title=title, lines=(Line("", "", muted),))
    if not isinstance(muted, Muted):
        return TextPanel(title=title, lines=(Line("", MUTED.waiting),))
    before, after = np.exp(muted.before), np.exp(muted.after)
    order = np.argsort(-np.abs(after - before), kind="stable")[:_CHANGED]
    key = "to 0; KL {1} nats after {2}" if of_heads(scene) else "to its mean; KL {1} nats after {2}"
    return BarsPanel(
        title=title,
        note=Phrase(key, number(muted.kl), token_name(scene, scene.token)),
        bars=tuple(
            Bar(scene.tokenizer.label(int(t)), float(after[t]), percent(float(after[t])), outline=float(before[t]))
            for t in order
        ),
        outlined=Phrase("before"),
    )


def over_all(scene: Scene, evidence: Evidence, layer: int, unit: int) -> CurvePanel:
    """The distribution of a neuron's activations over the texts, or of the distances at which a head attends."""
    if of_heads(scene):
        shares = evidence.arrays["distances"][layer, unit].astype(float)
        bins = [n for n, least in enumerate(DISTANCES) if least < int(evidence.about["length"])]
        return CurvePanel(
            title=Phrase("How far back it attends"),
            note=Phrase("share of attention by distance, query less key"),
            lines=((np.array([float(DISTANCES[n]) for n in bins]), shares[bins]),),
            x_label=Phrase("tokens back; each point is at the start of its bin"),
        )
    counts = evidence.arrays["post.histogram"][layer, unit].astype(float)
    bounds = edges()
    middles = np.concatenate([[bounds[0]], (bounds[1:] + bounds[:-1]) / 2, [bounds[-1]]])
    used = np.flatnonzero(counts)
    span = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
    mean, positive = (float(evidence.arrays[f"post.{name}"][layer, unit]) for name in ("mean", "positive"))
    here = float(scene.trace.read(f"blocks.{layer}.mlp.post", row=scene.token)[unit])
    return CurvePanel(
        title=Phrase("All positions of the texts"),
        note=Phrase(
            "mean {1}; {2} above 0; {3} at {4}",
            number(mean),
            percent(positive),
            number(here),
            token_name(scene, scene.token),
        ),
        lines=((middles[span], counts[span].astype(float)),),
        x_label=Phrase("activation; upwards, positions on a log scale"),
        y_label=Phrase("positions"),
        y_plus=1.0,
    )


def of_head(scene: Scene, evidence: Evidence, layer: int, unit: int) -> tuple[AnyPanel, ...]:
    """A head's scores over the texts, and the token pairs with its largest attention weights."""
    scores, spread = evidence.arrays["scores"][:, layer, unit], evidence.arrays["spread"][:, layer, unit]
    lines = tuple(
        Line(words, number(float(scores[SCORES.index(name)])), f"± {number(float(spread[SCORES.index(name)]))}")
        for name, words in _SCORE_WORDS.items()
        if np.isfinite(scores[SCORES.index(name)])
    )
    pairs = {name: evidence.arrays[f"pairs.{name}"][layer, unit] for name in ("weight", "query_id", "key_id")}
    quoted = scene.tokenizer.quoted
    looks = tuple(
        Line(cell_text(float(pairs["weight"][n])), f"{quoted(int(pairs['query_id'][n]))} → "
             f"{quoted(int(pairs['key_id'][n]))}")
        for n in range(min(_PAIRS, len(pairs["weight"])))
        if pairs["weight"][n] >= 0
    )  # fmt: skip
    return (
        TextPanel(title=Phrase("Scores on the texts"), note=Phrase("mean and spread over windows"), lines=lines),
        TextPanel(title=Phrase("Largest attention weights"), note=Phrase("query → key, each pair once"), lines=looks),
    )
