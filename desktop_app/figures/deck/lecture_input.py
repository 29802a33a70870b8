"""Slides of a lecture on the text: its title, the whole pass, tokens and embeddings."""

from dataclasses import replace

from desktop_app.core.census import census
from desktop_app.core.levels import share_text
from desktop_app.core.panels import (
    AtlasPanel,
    BarsPanel,
    Line,
    ProsePanel,
    TextPanel,
    TokensPanel,
    column,
    panels_of,
    row,
)
from desktop_app.core.products import completed
from desktop_app.core.session.state import with_option
from desktop_app.core.steps import build_view, find_step, wants_of
from desktop_app.core.views import inputs
from desktop_app.figures.deck.lecture_material import BARS, SHADED, Frame, Material, likeliest
from desktop_app.figures.deck.walk import TITLE
from desktop_app.gpt2.phrase import Count

_CHIPS, _MERGES = 48, 5
_OPENS_WITH = 90  # characters of the end of a text that the first slide quotes


def title(own: Material) -> Frame:
    """The text and the model."""
    scene = own.scene
    config = scene.config
    pieces = [p for p in panels_of(inputs.text(scene)) if isinstance(p, ProsePanel)]
    text = " ".join(scene.tokenizer.decode(scene.trace.ids).split())
    values = {
        "end": own.end(_OPENS_WITH),
        "text": text[:2000],
        "model": scene.name,
        "layers": config.n_layer,
        "heads": config.n_head,
        "weights": Count(census(scene.name, config).total),
        "vocab": Count(config.vocab_size),
    }
    shown = column(replace(pieces[0], title="", note="", pieces=pieces[0].pieces[:SHADED]))
    return Frame("title", shown, values, kind=TITLE)


def whole(own: Material) -> Frame:
    """Every head's pattern, and the likeliest next tokens."""
    scene = own.scene
    shown = replace(scene, state=with_option(with_option(scene.state, "heads", "patterns"), "compare", "after"))
    step = find_step("heads", scene.config)
    shown = completed(shown, lambda s: wants_of(s, step), own.model)
    picture = next(p for p in panels_of(build_view(shown, step).content) if isinstance(p, AtlasPanel))
    picture = replace(picture, title="", note="", hint="", selected=None)
    values = {
        "count": len(scene.trace),
        "layers": scene.config.n_layer,
        "top": own.quoted(own.top),
        "share": share_text(float(scene.ranked.probs[0])),
    }
    bars = replace(likeliest(own, 5), title=own.word("five"))
    return Frame("whole", row(picture, bars, weights=(3, 2)), values)


def tokens(own: Material) -> Frame:
    """The text split into tokens, and the merges that built one of them."""
    scene = own.scene
    panel = next(p for p in panels_of(inputs.tokens(scene)) if isinstance(p, TokensPanel))
    count = len(panel.chips)
    note = own.word("first", count=_CHIPS) if count > _CHIPS else ""
    panel = replace(panel, title="", note=note, chips=panel.chips[:_CHIPS], selected=None)
    piece = next((n for n in range(1, min(count, _CHIPS)) if _goes_on(own, n)), None)
    merged = _merges(own) if count <= _CHIPS else None
    values = {
        "count": count,
        "vocab": Count(scene.config.vocab_size),
        "piece": own.at(piece if piece is not None else count - 1),
    }
    shown = column(panel) if merged is None else column(panel, merged)
    return Frame("tokens", shown, values, "" if piece is None else "_pieces")


def _merges(own: Material) -> TextPanel | None:
    """How the text's token with the most merges was built."""
    tokenizer = own.scene.tokenizer
    token = max(own.scene.trace.ids, key=lambda t: len(tokenizer.merge_steps(t)))
    steps = tokenizer.merge_steps(token)
    first = max(0, len(steps) - _MERGES)
    lines = tuple(Line(f"{n}", "  ".join(step.pieces)) for n, step in enumerate(steps[first:], first + 1))
    return TextPanel(title=own.word("merges", token=own.quoted(token)), lines=lines) if lines else None


def _goes_on(own: Material, position: int) -> bool:
    """Whether a token continues the word of the token before it."""
    before, here = (own.scene.tokenizer.decode([own.scene.trace.ids[n]]) for n in (position - 1, position))
    return before[-1:].isalpha() and here[:1].isalpha()


def embed(own: Material) -> Frame | None:
    """The tokens nearest to the selected one."""
    scene = own.scene
    panel = next(p for p in panels_of(inputs.embed(scene)) if isinstance(p, BarsPanel))
    if len(panel.bars) < 3:
        return None
    near = [own.quoted(token) for token, _ in inputs.nearest_tokens(scene)]
    bars = tuple(replace(b, label=name) for b, name in zip(panel.bars[:BARS], near, strict=False))
    values = {
        "token": own.at(scene.token),
        "near": f"{', '.join(near[:2])}{own.word('and')}{near[2]}",
        "width": scene.config.n_embd,
    }
    return Frame("embed", column(replace(panel, title="", note="", bars=bars)), values)
