"""Views of attention: queries, keys and values, the four stages of the grid, and what each head reads and writes."""

from dataclasses import replace

import numpy as np

from desktop_app.core.asking.intents import Select
from desktop_app.core.levels import Levels, diverging, unit
from desktop_app.core.panels import (
    Array,
    BarsPanel,
    Box,
    GridPanel,
    Hue,
    MapPanel,
    MultiplesPanel,
    Source,
    Strip,
    StripsPanel,
    column,
    row,
)
from desktop_app.core.scene import Scene
from desktop_app.core.views.across import panel as across_panel
from desktop_app.core.views.common import (
    heads_strip,
    key_bars,
    strip,
    token_map,
    token_name,
    vector,
    without_first,
    wrap_width,
)
from desktop_app.core.views.vector_bars import by_head, strongest
from desktop_app.gpt2.mask import CAUSAL, mask_of
from desktop_app.gpt2.phrase import Phrase, joined

_STAGES = {
    "scores": (Phrase("Scores q·k"), Phrase("before scaling")),
    "scaled": (Phrase("Scaled"), "÷ √d_head"),
    "masked": (Phrase("Masked"), Phrase("−∞ where the key is later")),
    "pattern": (Phrase("Pattern"), Phrase("each query sums to 1")),
}
_LETTERS = (
    ("q", Hue.QUERY, Phrase("queries"), "Queries of head {1}"),
    ("k", Hue.KEY, Phrase("keys"), "Keys of head {1}"),
    ("v", Hue.VALUE, Phrase("values"), "Values of head {1}"),
)
_SHOWN_KEYS = 20


def qkv(scene: Scene) -> Box:
    """The queries, keys and values of all heads, computed from one vector."""
    source = strip(scene, scene.block("ln1.out"), "ln1.out")
    strips = tuple(heads_strip(scene, scene.block(f"attn.{c}"), c, hue=hue) for c, hue, *_ in _LETTERS)
    width = scene.config.d_head
    return column(
        vector(scene, source, Phrase("In: {1}", token_name(scene, scene.token))),
        StripsPanel(
            title=Phrase("Out: three vectors of the same width"),
            note=Phrase("{1} heads of {2} side by side", scene.config.n_head, width),
            strips=strips,
            levels=diverging(*(s.values for s in strips), rule=Phrase("shared by q, k and v")),
            wrap=wrap_width(scene.config.n_embd, width),
            group=width,
            selected_group=scene.head,
        ),
        row(*(_all_heads(scene, c, hue, word) for c, hue, word, _ in _LETTERS)),
    )


def _all_heads(scene: Scene, letter: str, hue: Hue, word: str) -> MapPanel:
    values = scene.trace[scene.block(f"attn.{letter}")]
    flat = values.transpose(1, 0, 2).reshape(len(scene.trace), -1)
    shown = without_first(scene, flat, 0)
    source = Source(scene.block(f"attn.{letter}"), ("group", "row", "within"), group=scene.config.d_head)
    return MapPanel(
        title=Phrase("{1} of every token", letter),
        note=word,
        values=shown,
        levels=diverging(shown),
        row_labels=scene.labels,
        source=source,
        hue=hue,
        selected=scene.token,
        fresh=scene.fresh,
        x_label=Phrase("{1} heads × {2}", scene.config.n_head, scene.config.d_head),
        carpet=True,
    )


def heads(scene: Scene) -> Box:
    """The query, key and value split into heads; one head's queries, keys and values for every token."""
    width = scene.config.d_head
    strips = tuple(heads_strip(scene, scene.block(f"attn.{c}"), c, hue=hue) for c, hue, *_ in _LETTERS)
    maps = (
        token_map(
            scene,
            scene.block(f"attn.{c}"),
            Phrase(words, scene.head),
            head=scene.head,
            hue=hue,
            x_label=Phrase("d_head = {1}", width),
            carpet=False,
        )
        for c, hue, _, words in _LETTERS
    )
    return column(
        row(*maps),
        StripsPanel(
            carpet=True,
            title=Phrase("Every head's piece for {1}", token_name(scene, scene.token)),
            note=Phrase("head {1} is outlined", scene.head),
            strips=strips,
            levels=diverging(*(s.values for s in strips), rule=Phrase("shared by q, k and v")),
            wrap=wrap_width(scene.config.n_embd, width),
            group=width,
            selected_group=scene.head,
        ),
    )


_LONG = 256  # up to this number of tokens, small grids show every query
_THUMBNAIL = 96  # the number of queries that a small grid shows of a longer text, about one per pixel


def _every(scene: Scene) -> int:
    """The n for which small grids show every n-th query: in a long text, a block's heads have millions of cells."""
    return -(-len(scene.trace) // _THUMBNAIL) if len(scene.trace) > _LONG else 1


def _queries(scene: Scene, every: int) -> range:
    return range((len(scene.trace) - 1) % every, len(scene.trace), every)


def _left_out(scene: Scene, every: int) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """The positions that a small grid shows as columns and as rows; None for all positions."""
    queries = tuple(_queries(scene, every)) if every > 1 else None
    return (queries, None) if scene.state.view.keys_down else (None, queries)


def _grid(scene: Scene, stage: str, head: int | None = None, every: int = 1) -> tuple[Array, Levels]:
    """One head's grid, or every head's, as displayed (hidden cells are NaN), and its colour limits."""
    name = scene.block(f"attn.{stage}")
    shown = _shown(scene, stage, scene.trace.read(name, head=head, every=every), every)
    return shown, _levels(scene, stage, shown)


def _shown(scene: Scene, stage: str, values: Array, every: int) -> Array:
    if stage in ("masked", "pattern"):
        queries = _queries(scene, every)
        rows, mask = np.arange(queries.start, queries.stop, queries.step), mask_of(scene.trace.run.mask, scene.config)
        hidden = mask.hidden(scene.config, scene.layer, rows, np.arange(values.shape[-1]))
        if values.ndim == 2:
            hidden = hidden[scene.head if len(hidden) > 1 else 0]
        values = np.where(hidden, values.dtype.type(np.nan), values)
    return without_first(scene, values, values.ndim - 1)


def _levels(scene: Scene, stage: str, shown: Array) -> Levels:
    if stage == "pattern":
        levels = unit(scene.state.view.pattern_scale)
        if scene.state.view.skip_first and shown.shape[-1] > 1:
            top = float(np.nanmax(shown, initial=1e-6))
            levels = Levels(
                0, top, False, levels.power, levels.decades, rule=Phrase("up to the largest weight that is left")
            )
        return levels
    if shown.ndim == 2 and scene.state.view.limits == "layer":
        every = _every(scene)
        shown = _shown(scene, stage, scene.trace.read(scene.block(f"attn.{stage}"), every=every), every)
    return diverging(shown, rule=Phrase("this head") if shown.ndim == 2 else Phrase("all heads of the block"))


def _stage(scene: Scene, current: str) -> Box:
    turned = scene.state.view.keys_down
    axes = ("col", "row") if turned else ("row", "col")
    every = _every(scene)
    across, down = _left_out(scene, every)
    notes_of: dict[str, str] = {stage: note for stage, (_, note) in _STAGES.items()}
    notes_of["scaled"] = f"÷ {scene.config.score_divisor(scene.layer):.4g}"
    if scene.trace.run.mask != CAUSAL:
        notes_of["masked"] = Phrase("−∞ where the mask hides the key")
    small, grids = [], {stage: _grid(scene, stage, scene.head, every) for stage in _STAGES}
    for stage, (title, _) in _STAGES.items():
        values, levels = grids[stage]
        small.append(
            GridPanel(
                title=title,
                note=notes_of[stage],
                current=stage == current,
                values=values.T if turned else values,
                levels=levels,
                labels=scene.labels,
                source=Source(scene.block(f"attn.{stage}"), (scene.head, *axes), cols=across, rows=down),
                selected=scene.token,
                fresh=scene.fresh,
                small=True,
                op=stage,
                keys_down=turned,
                every=every,
            )
        )
    values, levels = grids[current] if every == 1 else _grid(scene, current, scene.head)
    notes: list[str] = [Phrase("head {1}", scene.head), "[key, query]" if turned else "[query, key]"]
    if scene.fresh:
        notes.append(Phrase("1 query × {1} keys new, the rest cached", len(scene.trace)))
    large = GridPanel(
        title=scene.block(f"attn.{current}"),
        note=joined(" · ", notes),
        values=values.T if turned else values,
        levels=levels,
        labels=scene.labels,
        source=Source(scene.block(f"attn.{current}"), (scene.head, *axes)),
        selected=scene.token,
        fresh=scene.fresh,
        head=scene.head,
        keys_down=turned,
    )
    every_head = all_heads(scene, current)
    beside = row(large, column(row(*small), every_head, weights=(1, 2)), weights=(5, 4))
    # The grid is as large as possible; its inputs and the other heads are secondary.
    return replace(column(row(large, every_head, weights=(2, 1)), row(*small), weights=(8, 1)), wide=beside)


def all_heads(scene: Scene, stage: str) -> MultiplesPanel:
    """One stage for every head of the block, as small grids."""
    turned, every = scene.state.view.keys_down, _every(scene)
    across, down = _left_out(scene, every)
    axes = ("col", "row") if turned else ("row", "col")
    each, shared = _grid(scene, stage, None, every)
    return MultiplesPanel(
        title=Phrase("All heads of block {1}", scene.layer),
        note=Phrase("head {1} is outlined", scene.head),
        values=each.transpose(0, 2, 1) if turned else each,
        levels=shared,
        names=tuple(Phrase("head {1}", n) for n in range(scene.config.n_head)),
        selected=scene.head,
        source=Source(scene.block(f"attn.{stage}"), (0, *axes), cols=across, rows=down),
        every=every,
    )


def scores(scene: Scene) -> Box:
    """Dot product of every query with every key."""
    return _stage(scene, "scores")


def scaled(scene: Scene) -> Box:
    """Scores over the divisor that the config gives: in GPT-2, the square root of the head's width."""
    return _stage(scene, "scaled")


def masked(scene: Scene) -> Box:
    """Scores without those that the mask hides; under GPT-2's mask, those are the scores of later keys."""
    return _stage(scene, "masked")


def pattern(scene: Scene) -> Box:
    """Softmax of every row; above it, if an edit makes the head attend to the other prompt, its weights there.

    Those weights have no counterpart in another pass, so that a comparison has the model's own pattern alone.
    """
    own = _stage(scene, "pattern")
    there = across_panel(scene) if scene.state.view.compare == "after" else None
    return own if there is None else column(there, own, weights=(1.0, 1.6))


def z(scene: Scene) -> Box:
    """For one query, the weight of each key, the values, and their weighted sum."""
    query, head, width = scene.token, scene.head, scene.config.d_head
    weights = scene.trace.read(scene.block("attn.pattern"), head=head, row=query)[: scene.reach(query)]
    values = scene.trace.read(scene.block("attn.v"), head=head)[: scene.reach(query)]
    # Each key has the same row in all three pictures, so that weight, value and product are side by side.
    order = tuple(sorted(np.argsort(-weights, kind="stable")[:_SHOWN_KEYS].tolist()))
    tensor = scene.block("attn.pattern")
    bars = key_bars(scene, weights, order, lambda j: (tensor, (head, query, j)), pick=Select)
    left = len(weights) - len(order)
    weighted = weights[:, None] * values
    result = scene.trace.read(scene.block("attn.z"), head=head, row=query)
    of_values = diverging(values)
    limits = diverging(weighted, result, rule=Phrase("shared with the sum"))
    if limits.high < of_values.high / 4:  # products with tiny weights should look as small as they are
        limits = replace(limits, low=-of_values.high / 4, high=of_values.high / 4)
    total = Strip("z", result, Source(scene.block("attn.z"), (head, query, "col")), Hue.ACCENT, "Σ")
    rows = list(order)
    labels = tuple(scene.labels[j] for j in order)
    positions = order if left else ()
    return column(
        row(
            BarsPanel(
                title=Phrase("How much {1} reads", token_name(scene, query)),
                note=Phrase("and {1} smaller", left) if left else Phrase("the row of the pattern"),
                bars=bars,
                hue=Hue.ATTENTION,
                beside_map=True,
            ),
            MapPanel(
                title=Phrase("Values v"),
                note=Phrase("of these keys") if left else Phrase("of every key"),
                values=values[rows],
                levels=of_values,
                row_labels=labels,
                source=Source(scene.block("attn.v"), (head, "row", "col"), rows=order if left else None),
                hue=Hue.VALUE,
                selected=None,
                x_label=Phrase("d_head = {1}", width),
                picks=None if left else Select,
                positions=positions,
            ),
            MapPanel(
                title=Phrase("Weight × value"),
                note=Phrase("what each key sends"),
                values=weighted[rows],
                levels=limits,
                row_labels=labels,
                hue=Hue.VALUE,
                x_label=Phrase("d_head = {1}", width),
                picks=None if left else Select,
                positions=positions,
            ),
        ),
        StripsPanel(
            title=Phrase("Added up"),
            note=scene.block("attn.z"),
            strips=(total,),
            levels=limits,
            wrap=wrap_width(width),
        ),
        weights=(4, 1),
    )


def concat(scene: Scene) -> Box:
    """The outputs of all heads concatenated into one row as wide as the residual stream."""
    width = scene.config.d_head
    one = strip(scene, scene.block("attn.concat"), "concat", hue=Hue.ATTENTION)
    return column(
        vector(
            scene,
            one,
            Phrase("Heads side by side for {1}", token_name(scene, scene.token)),
            f"{scene.config.n_head} × {width} = {scene.config.n_embd}",
            by_head=True,
        ),
        row(by_head(scene, written=False), strongest(scene, scene.block("attn.concat"), hue=Hue.ATTENTION)),
        token_map(
            scene,
            scene.block("attn.concat"),
            scene.block("attn.concat"),
            hue=Hue.ATTENTION,
            x_label=Phrase("{1} heads × {2}", scene.config.n_head, width),
        ),
    )


def attn_out(scene: Scene) -> Box:
    """The concatenated outputs times W_O, which attention adds to the residual stream."""
    before = strip(scene, scene.block("attn.concat"), "concat", hue=Hue.ATTENTION)
    after = strip(scene, scene.block("attn_out"), "attn_out", hue=Hue.ACCENT)
    return column(
        vector(scene, before, Phrase("Through W_O for {1}", token_name(scene, scene.token)), by_head=True),
        vector(scene, after, note=Phrase("each of its numbers mixes all heads")),
        row(by_head(scene, written=True), strongest(scene, scene.block("attn_out"), hue=Hue.ACCENT)),
        token_map(scene, scene.block("attn_out"), scene.block("attn_out"), hue=Hue.ATTENTION),
    )
