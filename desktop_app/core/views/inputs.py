"""Views of the input: text, tokens, embeddings and their sum; and of the token that is appended for the next pass."""

import re
from collections.abc import Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from desktop_app.core.levels import diverging, number
from desktop_app.core.panels import (
    Array,
    Bar,
    BarsPanel,
    Box,
    Chip,
    Hue,
    Line,
    ProsePanel,
    StripsPanel,
    TextPanel,
    TokensPanel,
    column,
    row,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import norm, strip, token_map, token_name, vector, wrap_width
from desktop_app.core.views.vector_bars import alike, strongest, turned
from desktop_app.gpt2.checkpoint import Checkpoint
from desktop_app.gpt2.display import label
from desktop_app.gpt2.phrase import Count, Phrase, joined

_NEAREST = 10
_SHOWN_CHARACTERS = 14
_PIECE = re.compile(r"\S{1,24}[^\S\n]{0,24}\n?|[^\S\n]{1,24}\n?|\n")


def _chips(scene: Scene) -> tuple[Chip, ...]:
    return tuple(
        Chip(n, token, scene.labels[n], scene.tokenizer.token_bytes(token).hex(" ").upper())
        for n, token in enumerate(scene.trace.ids)
    )


def _tokens_panel(scene: Scene, title: str, *, note: str) -> TokensPanel:
    added = len(scene.state.appended)
    return TokensPanel(title=title, note=note, chips=_chips(scene), selected=scene.token, added=added)


def _prose(scene: Scene) -> ProsePanel:
    added = len(scene.state.appended)
    ids = scene.trace.ids
    typed, appended = (
        tuple(label(piece.encode()) for piece in _PIECE.findall(scene.tokenizer.decode(part)))
        for part in (ids[: len(ids) - added], ids[len(ids) - added :])
    )
    note = Phrase("· is a space, ↵ a new line")
    return ProsePanel(title=Phrase("The text"), note=note, pieces=(*typed, *appended), added=len(appended))


def text(scene: Scene) -> Box:
    """The prompt as typed, and its number of characters, bytes and tokens."""
    data = b"".join(scene.tokenizer.token_bytes(i) for i in scene.trace.ids)
    words = data.decode("utf-8", "replace")
    tokens = len(scene.trace)
    facts = (
        Line(Phrase("characters"), Count(len(words))),
        Line(Phrase("bytes"), Count(len(data)), Phrase("in UTF-8: the tokenizer never sees letters, only these")),
        Line(Phrase("tokens"), Count(tokens), Phrase("{1} bytes per token here", number(len(data) / tokens))),
        Line(Phrase("vocabulary"), Count(scene.config.vocab_size), Phrase("different tokens that this model knows")),
        Line(Phrase("context"), Count(scene.config.n_positions), Phrase("tokens that it can look at, at most")),
    )
    return column(
        _prose(scene),
        row(
            TextPanel(title=Phrase("In numbers"), lines=facts),
            TextPanel(
                title=Phrase("As bytes"), note=Phrase("in UTF-8, the first characters"), lines=_first_bytes(words)
            ),
            weights=(4, 3),
        ),
    )


def _first_bytes(words: str) -> tuple[Line, ...]:
    shown = words[:_SHOWN_CHARACTERS]
    lines = [Line(label(c.encode()), c.encode().hex(" ").upper(), f"U+{ord(c):04X}") for c in shown]
    if len(words) > len(shown):
        lines.append(Line("…", "", Phrase("{1} more", Count(len(words) - len(shown)))))
    return tuple(lines)


def tokens(scene: Scene) -> Box:
    """The text split into tokens, and the merges that built the selected token."""
    token = scene.trace.ids[scene.token]
    data = scene.tokenizer.token_bytes(token)
    facts = [
        Line(Phrase("token"), scene.tokenizer.quoted(token)),
        Line(Phrase("id"), str(token), Phrase("its row in the table of embeddings")),
        Line(Phrase("position"), str(scene.token), Phrase("counted from 0")),
        Line(Phrase("bytes"), data.hex(" ").upper(), Phrase("{1} in UTF-8", len(data))),
    ]
    if scene.tokenizer.is_special(token):
        facts.append(
            Line(Phrase("kind"), Phrase("special"), Phrase("never made by merging; it marks the end of a text"))
        )
    merges = [
        Line(Phrase("merge {1}", Count(step.rank)), "  ".join(step.pieces), f"{step.pair[0]} + {step.pair[1]}")
        for step in scene.tokenizer.merge_steps(token)
    ]
    if not merges:
        merges = [Line(Phrase("none"), scene.labels[scene.token], Phrase("this token is not made by merging"))]
    return column(
        _tokens_panel(scene, Phrase("Tokens"), note=joined(" · ", (Phrase("text"), Phrase("position"), Phrase("id")))),
        row(
            TextPanel(title=Phrase("Token {1}", scene.token), lines=tuple(facts)),
            TextPanel(
                title=Phrase("The merges that made it"), note=Phrase("the lowest rank goes first"), lines=tuple(merges)
            ),
            weights=(2, 3),
        ),
    )


_Rows = tuple[tuple[int, float], ...]
_lengths: WeakKeyDictionary[Checkpoint, dict[str, Array]] = WeakKeyDictionary()
_neighbours: WeakKeyDictionary[Checkpoint, dict[tuple[str, int], _Rows]] = WeakKeyDictionary()


def _row_lengths(checkpoint: Checkpoint, name: str) -> Array:
    kept = _lengths.setdefault(checkpoint, {})
    if name not in kept:
        kept[name] = np.linalg.norm(checkpoint.weights[name], axis=1) + 1e-12
    return kept[name]


def _nearest_rows(checkpoint: Checkpoint, name: str, index: int) -> _Rows:
    """The rows of a table with the largest cosines to row `index`, and the cosines; cached, as it reads all rows."""
    kept = _neighbours.setdefault(checkpoint, {})
    if (name, index) not in kept:
        table, lengths = checkpoint.weights[name], _row_lengths(checkpoint, name)
        cosines = (table @ table[index]) / (lengths * lengths[index])
        cosines[index] = -np.inf
        first = max(0, len(cosines) - _NEAREST)
        found = np.flatnonzero(cosines >= np.partition(cosines, first)[first])
        found = found[np.argsort(-cosines[found], kind="stable")][: min(_NEAREST, len(cosines) - 1)]
        kept[name, index] = tuple((int(i), float(cosines[i])) for i in found)
    return kept[name, index]


def _nearest(scene: Scene, weight: str, index: int, names: Callable[[Scene, int], str], title: str) -> BarsPanel:
    rows = _nearest_rows(scene.checkpoint, weight, index)
    bars = tuple(Bar(names(scene, row), cosine, f"{cosine:.3f}") for row, cosine in rows)
    return BarsPanel(
        title=title, note=Phrase("by cosine of the angle between rows"), bars=bars, hue=Hue.RESIDUAL, reach=1.0
    )


def _token_label(scene: Scene, token: int) -> str:
    return scene.tokenizer.label(token)


def _position_label(_scene: Scene, position: int) -> str:
    return Phrase("position {1}", position)


def nearest_tokens(scene: Scene) -> _Rows:
    """The tokens whose rows of W_E are nearest to the selected token's, and the cosines, in descending order."""
    return _nearest_rows(scene.checkpoint, "embed.W_E", scene.trace.ids[scene.token])


def embed(scene: Scene) -> Box:
    """The row of the token embedding for each token, and the tokens whose rows are nearest to the selected token's."""
    token = scene.trace.ids[scene.token]
    one = strip(scene, "embed", f"W_E[{token}]")
    return column(
        row(
            _nearest(
                scene, "embed.W_E", token, _token_label, Phrase("Rows nearest to {1}", scene.tokenizer.quoted(token))
            ),
            column(strongest(scene, "embed"), alike(scene, "embed")),
        ),
        vector(scene, one, Phrase("The row of {1}", token_name(scene, scene.token)), norm(one.values)),
        token_map(scene, "embed", "embed", note=Phrase("one row of W_E per token")),
        weights=(3, 1, 1),
    )


def pos_embed(scene: Scene) -> Box:
    """The row of the position embedding for each position, and the positions whose rows are nearest."""
    one = strip(scene, "pos_embed", f"W_pos[{scene.token}]")
    return column(
        row(
            _nearest(
                scene,
                "pos_embed.W_pos",
                scene.token,
                _position_label,
                Phrase("Rows nearest to position {1}", scene.token),
            ),
            strongest(scene, "pos_embed"),
        ),
        vector(scene, one, Phrase("The row of position {1}", scene.token), norm(one.values)),
        token_map(scene, "pos_embed", "pos_embed", note=Phrase("one row of W_pos per position, whatever the token")),
        weights=(3, 1, 1),
    )


def total(scene: Scene) -> Box:
    """Token embedding + position embedding = the residual stream."""
    strips = tuple(
        replace(s, remark=norm(s.values))
        for s in (
            strip(scene, "embed", "embed"),
            strip(scene, "pos_embed", "pos_embed", operator="+"),
            strip(scene, "blocks.0.resid_pre", "resid_pre", operator="=", hue=Hue.ACCENT),
        )
    )
    return column(
        StripsPanel(
            carpet=True,
            title=Phrase("What enters block 0 for {1}", token_name(scene, scene.token)),
            strips=strips,
            levels=diverging(*(s.values for s in strips), rule=Phrase("shared by the three")),
            wrap=wrap_width(scene.config.n_embd),
        ),
        turned(scene, "embed", "pos_embed", "blocks.0.resid_pre"),
        row(strongest(scene, "blocks.0.resid_pre"), alike(scene, "blocks.0.resid_pre")),
        token_map(scene, "blocks.0.resid_pre", "blocks.0.resid_pre", note=Phrase("the residual stream of every token")),
    )


def append(scene: Scene) -> Box:
    """The token that was sampled and appended, and what the key-value cache saves in the next pass."""
    landed = int(scene.ranked.order[scene.landed])
    count, layers = len(scene.trace), scene.config.n_layer
    added = len(scene.state.appended)
    cached = 2 * layers * count * scene.config.n_embd * 4 / 1024
    lines = (
        Line(
            Phrase("the draw"),
            scene.tokenizer.quoted(landed),
            Phrase("id {1}, at position {2} of the next pass", landed, count),
            Hue.ACCENT,
        ),
        Line(
            Phrase("this pass"),
            Phrase("{1} of {2}", scene.trace.computed, count),
            Phrase("positions computed; the others came from the cache"),
        ),
        Line(
            Phrase("next pass"),
            Phrase("{1} of {2}", 1, count + 1),
            Phrase("one query, key and value per head; the older keys and values are kept"),
        ),
        Line(
            Phrase("its scores"),
            f"1 × {count + 1}",
            Phrase("per head; without the cache {1} × {2}", count + 1, count + 1),
        ),
        Line(Phrase("the cache"), Phrase("{1} KiB", Count(cached)), Phrase("keys and values in float32")),
    )
    where = Phrase("block {1}, head {2}", scene.layer, scene.head)
    return column(
        _tokens_panel(
            scene,
            Phrase("The text so far"),
            note=Phrase("{1} appended", added) if added else Phrase("nothing appended yet"),
        ),
        TextPanel(title=Phrase("Once more, with the cache"), lines=lines),
        row(
            token_map(
                scene,
                scene.block("attn.k"),
                Phrase("Keys in the cache"),
                head=scene.head,
                hue=Hue.KEY,
                note=where,
                carpet=False,
            ),
            token_map(
                scene,
                scene.block("attn.v"),
                Phrase("Values in the cache"),
                head=scene.head,
                hue=Hue.VALUE,
                note=where,
                carpet=False,
            ),
        ),
    )
