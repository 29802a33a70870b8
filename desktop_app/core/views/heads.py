"""The heads workspace: every head of every block on this text, the heads' scores and labels, and one head's page."""

from dataclasses import replace

import numpy as np

from desktop_app.core.analysis import atlas, rollout
from desktop_app.core.analysis import heads as analysis
from desktop_app.core.analysis.atlas import Atlas
from desktop_app.core.analysis.heads import Heads, HeadsOnText
from desktop_app.core.analysis.labels import labels_of, most_like
from desktop_app.core.analysis.measures import MEASURES, SCORES
from desktop_app.core.analysis.rollout import Summary
from desktop_app.core.edits import editing
from desktop_app.core.levels import Levels, cell_text, number, unit
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
    AnyPanel,
    AtlasPanel,
    Bar,
    BarsPanel,
    GridPanel,
    Hue,
    Line,
    MapPanel,
    Source,
    TextPanel,
    View,
    column,
    row,
)
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import State, with_option
from desktop_app.core.views import head_page, head_weights
from desktop_app.core.views.common import without_first
from desktop_app.core.views.head_page import label_words, name, weight_levels
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.mask import mask_of, rules
from desktop_app.gpt2.phrase import Capital, Phrase, Sentences, joined

_LISTED = 10
_QUICK = 256  # number of tokens up to which the picture of all heads is computed at once, with the pass

_BASELINE = Sentences(
    Phrase("Attention summed up over heads and blocks."),
    Phrase(
        "It uses the attention weights alone and ignores what is read and written: a baseline to compare with, "
        "not an account of where an answer comes from."
    ),
)


# Products


def _battery(work: Work) -> Heads | str:
    begin = next(iter(work.model.tokenizer.first), None)
    try:
        return analysis.kept(work.model.engine, begin=begin, stop=work.stop, progress=work.progress)
    except ModelError as reason:  # the context is too short to repeat tokens; the view says so and shows the rest
        return str(reason)


def _on_text(work: Work, leave_first: bool) -> HeadsOnText:
    return analysis.on_text(
        work.model.checkpoint, work.trace, leave_first=leave_first, stop=work.stop, progress=work.progress
    )


def _atlas(work: Work, leave_first: bool) -> Atlas:
    return atlas.compute(work.trace, leave_first=leave_first, stop=work.stop, progress=work.progress)


def _summary(work: Work, shows: str, layer: int, leave_first: bool) -> Summary:
    if shows == "rollout":
        return rollout.rollout(work.trace, leave_first=leave_first, stop=work.stop, progress=work.progress)
    layers = (layer,) if shows == "block" else None
    return rollout.mean(work.trace, layers, leave_first=leave_first, stop=work.stop, progress=work.progress)


BATTERY = Want(Product("heads", Phrase("Measuring every head"), _battery, of_text=False, quick=False))
_TEXT = Product("heads.text", Phrase("Measuring every head on this text"), _on_text, quick=False)
_ATLAS = Product("heads.atlas", Phrase("Reading every head's pattern"), _atlas)
_SUMMARY = Product("heads.summary", Phrase("Summing up attention"), _summary, quick=False)


def _shown_want(scene: Scene) -> tuple[Want, ...]:
    """The products for the selected picture, except for the scores on the battery."""
    view, leave = scene.state.view, scene.state.view.skip_first
    if view.heads == "patterns":
        return (Want(_ATLAS, (leave,), quick=len(scene.trace) <= _QUICK),)
    if view.heads == "one":
        return (Want(_TEXT, (leave,)),)
    if view.heads == "scores":
        return ()
    if view.heads == "weights":
        return (head_weights.want(scene),)
    return (Want(_SUMMARY, (view.heads, scene.layer if view.heads == "block" else -1, leave)),)


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    return (*_shown_want(scene), BATTERY)


def battery_of(scene: Scene) -> Heads | None:
    """The scores on the battery, texts that repeat random tokens; None until they are ready, or if there are none."""
    found = scene.made(BATTERY)
    return found if isinstance(found, Heads) else None


# The view


def content(scene: Scene) -> View:
    """The view that the options select: every head with its scores and the search, one head's page, or a summary."""
    shows = scene.state.view.heads
    if shows == "one":
        heads = battery_of(scene)
        labels = Phrase("what it attends to") if heads is None else label_words(heads, scene.layer, scene.head)
        view = head_page.page(scene, _scores(scene, scene.made(_shown_want(scene)[0])), labels)
    elif shows == "weights":
        view = head_weights.page(scene)
    elif shows == "scores" and battery_of(scene) is None:
        view = View(Phrase("A score of every head"), "", column(_no_scores(scene)))
    elif shows in ("patterns", "scores"):
        picture = _all(scene) if shows == "patterns" else _map(scene)
        beside = column(_scores(scene, sorts=True), _finder(scene), weights=(1, 2))
        view = View(
            "" if shows == "patterns" else Phrase("A score of every head"), "", row(picture, beside, weights=(4, 3))
        )
    else:
        view = _summed(scene, shows)
    return view


def _waiting(want: Want) -> TextPanel:
    return TextPanel(lines=(Line("", want.product.waiting),))


def _all(scene: Scene) -> AtlasPanel | TextPanel:
    (want,) = _shown_want(scene)
    found: Atlas | None = scene.made(want)
    if found is None:
        return _waiting(want)
    said = [Phrase("one query in {1}", found.every)] if found.every > 1 else []
    if max(found.pooled) > 1:
        said.append(Phrase("a cell = {1} × {2}, strongest shown", found.pooled[0], found.pooled[1]))
    return AtlasPanel(
        title=Phrase("Patterns"),
        note=Phrase("{1} blocks × {2} heads", scene.config.n_layer, scene.config.n_head),
        hint=Phrase("click one for its page"),
        values=found.grids,
        levels=weight_levels(scene, found.grids),
        numbers=_numbers(scene)[1],
        source=Source("heads.head", ("row", "col")),
        selected=(scene.layer, scene.head),
        pooled=joined(" · ", said),
    )


def _numbers(scene: Scene) -> tuple[str, Array]:
    """The quantity by which heads are ordered, as text and as numbers [layer, head].

    It is a score, or the similarity to the shown head.
    """
    by = scene.state.view.heads_by
    scores = battery_of(scene)
    if scores is None:
        return by, np.full((scene.config.n_layer, scene.config.n_head), np.nan)
    if by != "like":
        return by, scores.scores[by]
    found = np.ones((scene.config.n_layer, scene.config.n_head))
    for layer, head, cosine in most_like(scores, scene.layer, scene.head):
        found[layer, head] = cosine
    return by, found


def _by(scene: Scene) -> str:
    by = scene.state.view.heads_by
    return Phrase("likeness to {1}", name(scene.layer, scene.head)) if by == "like" else SCORES[by]


def _map(scene: Scene) -> MapPanel | TextPanel:
    if battery_of(scene) is None:
        return _no_scores(scene)
    by, values = _numbers(scene)
    top = 1.0 if by not in ("distance", "share") else max(float(np.nanmax(values, initial=0)), 1e-9)
    return MapPanel(
        title=Capital(_by(scene)),
        note=Phrase("on the battery"),
        hint=Phrase("click one for its page"),
        values=values,
        levels=unit() if top == 1.0 else Levels(0.0, top, diverging=False, rule=Phrase("this view")),
        row_labels=tuple(f"L{n}" for n in range(scene.config.n_layer)),
        column_labels=tuple(f"H{n}" for n in range(scene.config.n_head)),
        texts=tuple(tuple(f"{v:.2f}" for v in line) for line in values),
        source=Source("heads.head", ("row", "col")),
        hue=Hue.ATTENTION,
        selected=scene.layer,
        selected_column=scene.head,
        picks=None,
        x_label=Phrase("block ↓, head →"),
    )


def _no_scores(scene: Scene) -> TextPanel:
    """A text shown in place of the scores: that they are being computed, or why there are none."""
    found = scene.made(BATTERY)
    if not isinstance(found, str):
        return _waiting(BATTERY)
    return TextPanel(title=Phrase("Scores"), lines=(Line("", Phrase("none"), found),))


def _scores(scene: Scene, text: HeadsOnText | None = None, *, sorts: bool = False) -> AnyPanel:
    heads = battery_of(scene)
    return _no_scores(scene) if heads is None else head_page.scores(scene, heads, text, sorts=sorts)


def order(scene: Scene, heads: Heads) -> list[tuple[int, int]]:
    """The heads that the options select, in the chosen order."""
    _, values = _numbers(scene)
    flat = np.argsort(-values.reshape(-1), kind="stable")
    found = [divmod(int(n), values.shape[1]) for n in flat]
    which = scene.state.view.heads_of
    if which == "block":
        found = [at for at in found if at[0] == scene.layer]
    elif which == "labelled":
        found = [at for at in found if labels_of(heads, *at)]
    return found


def _finder(scene: Scene) -> AnyPanel:
    heads = battery_of(scene)
    if heads is None:
        return TextPanel()
    by, values = _numbers(scene)
    found = order(scene, heads)
    longest = max(float(np.nanmax(values, initial=0)), 1e-9) if by in ("distance", "share") else 1.0
    by_ = _by(scene)
    titles = {
        "all": Phrase("All heads by {1}", by_),
        "labelled": Phrase("Heads with a label by {1}", by_),
        "block": Phrase("Heads of block {1} by {2}", scene.layer, by_),
    }
    bars = tuple(
        Bar(
            name(*at),
            float(values[at]) / longest,
            cell_text(float(values[at])),
            joined(", ", (label.words for label in labels_of(heads, *at))),
            marked=at == (scene.layer, scene.head),
            source=("heads.head", at),
        )
        for at in found[:_LISTED]
    )
    left = len(found) - len(bars)
    return BarsPanel(
        title=titles[scene.state.view.heads_of],
        note=Phrase("and {1} below", left) if left else "",
        hint="" if left else Phrase("click one for its page"),
        bars=bars,
        hue=Hue.KEY,
        reach=1.0,
    )


def _summed(scene: Scene, shows: str) -> View:
    (want,) = _shown_want(scene)
    made: Summary | None = scene.made(want)
    titles = {
        "block": Phrase("Mean over the heads of block {1}", scene.layer),
        "mean": Phrase("Mean over all heads of all blocks"),
        "rollout": Phrase("Attention rollout, a baseline"),
    }
    if made is None:
        return View(titles[shows], _BASELINE, column(_waiting(want)))
    later = np.triu(np.ones(made.grid.shape, bool), 1)
    if any(rule.later for rule in rules(mask_of(scene.trace.run.mask, scene.config))):
        later[:] = False  # under this mask, queries also see later keys
    values = without_first(scene, np.where(later, np.nan, made.grid), 1)
    left = (
        Phrase("without the first token, rows renormalised to 1") if made.leave_first else Phrase("each row sums to 1")
    )
    turned = scene.state.view.keys_down
    grid = GridPanel(
        title=Phrase("Rollout") if shows == "rollout" else Phrase("Mean pattern"),
        note=left,
        values=values.T if turned else values,
        levels=weight_levels(scene, values),
        labels=scene.labels,
        source=Source("heads.summary", ("col", "row") if turned else ("row", "col")),
        selected=scene.token,
        keys_down=turned,
    )
    return View(titles[shows], _BASELINE, row(grid, head_page.row_of(scene, made), weights=(5, 3)))


# Cells


def _at(scene: Scene, cell: Cell) -> tuple[int, int]:
    """The head that a cell belongs to. Raises ModelError if it belongs to none."""
    layer, head = cell.index if len(cell.index) == 2 else (-1, -1)
    if not (0 <= layer < scene.config.n_layer and 0 <= head < scene.config.n_head):
        raise ModelError(f"There is no head {list(cell.index)} in this model.")
    return layer, head


def _scored(scene: Scene, cell: Cell) -> Heads:
    heads = battery_of(scene)
    if cell.name.removeprefix("heads.") not in MEASURES:
        raise ModelError(
            f"There is no {cell.name}; a head's scores are {', '.join(MEASURES)}, like heads.{MEASURES[0]}."
        )
    if heads is None:
        found = scene.made(BATTERY)
        raise ModelError(found if isinstance(found, str) else f"{cell.name} is not measured yet.")
    return heads


def _summary_of(scene: Scene, cell: Cell) -> Summary:
    made: Summary | None = next((scene.made(w) for w in _shown_want(scene) if w.product is _SUMMARY), None)
    query, key = cell.index if len(cell.index) == 2 else (-1, -1)
    if made is None:
        raise ModelError(f"{cell.name} is of a mean or of rollout, and neither is shown; choose one.")
    if not (0 <= query < len(made.grid) and 0 <= key < len(made.grid)):
        raise ModelError(f"{cell.name} has no cell {list(cell.index)}; the text has {len(made.grid)} tokens.")
    return made


def _summary_cell(scene: Scene, cell: Cell) -> float:
    return float(_summary_of(scene, cell).grid[cell.index])


def _by_weights(cell: Cell) -> bool:
    return cell.name.removeprefix("heads.") in head_weights.CELLS


def describe(scene: Scene, cell: Cell) -> Readout:
    """What is shown about a head, or its score, under the pointer."""
    if _by_weights(cell):
        return head_weights.describe(scene, cell)
    if cell.name == "heads.summary":
        query, key = (scene.tokenizer.quoted(scene.trace.ids[i]) for i in cell.index[:2])
        return Readout(number(_summary_cell(scene, cell)), _by_summary(scene), Phrase("query {1}, key {2}", query, key))
    at = _at(scene, cell)
    if cell.name != "heads.head":
        heads = _scored(scene, cell)
        measure = cell.name.removeprefix("heads.")
        value, spread = float(heads.scores[measure][at]), float(heads.spread[measure][at])
        return Readout(
            number(value), SCORES[measure], Phrase("{1}, ± {2} between texts of the battery", name(*at), number(spread))
        )
    heads_ = battery_of(scene)
    if heads_ is None:
        return Readout(name(*at), Phrase("block {1}, head {2}", at[0], at[1]), Phrase("not measured yet"))
    value = float(_numbers(scene)[1][at])
    return Readout(
        Phrase("{1}: {2}", name(*at), label_words(heads_, *at)),
        Phrase("block {1}, head {2}", at[0], at[1]),
        Phrase("{1} {2}", _by(scene), number(value)),
    )


def _by_summary(scene: Scene) -> str:
    return Phrase("attention rollout") if scene.state.view.heads == "rollout" else Phrase("mean attention")


def targets(scene: Scene, cell: Cell) -> tuple[editing.Target, ...]:
    """What can be edited for a cell: its head; nothing for a summary."""
    return () if cell.name == "heads.summary" else (editing.head(*_at(scene, cell)),)


def choose(scene: Scene, cell: Cell) -> State | None:
    """The state after a click: the clicked head is shown, with its page."""
    if cell.name != "heads.head":
        return None
    layer, head = cell.index
    return with_option(replace(scene.state, layer=layer, head=head), "heads", "one")


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened score: the values whose mean it is."""
    if _by_weights(cell):
        return head_weights.open_cell(scene, cell)
    if cell.name == "heads.summary":
        return head_page.open_summary(scene, cell, _summary_of(scene, cell), _by_summary(scene))
    at = _at(scene, cell)
    if cell.name == "heads.head":
        raise ModelError(f"A head's place in the picture is not a number; its scores are, like heads.{MEASURES[0]}.")
    return head_page.open_score(_scored(scene, cell), cell.name.removeprefix("heads."), at)


def as_numpy(scene: Scene, _cell: Cell | None) -> str:
    """Lines of code that recompute the shown head's scores on this text."""
    base, head = f"blocks.{scene.layer}.attn", scene.head
    return program(
        scene.checkpoint,
        f"scores of {name(scene.layer, head)} on this text (those of the battery: logitscope heads)",
        (("A", f"{base}.pattern", f"[{head}]"), ("ids", "tokens", "")),
        [
            "n = len(ids)",
            "i, j = np.arange(n)[:, None], np.arange(n)[None, :]",
            "counted = (i >= 1) & (j >= 0)" + (" & (j > 0)" if scene.state.view.skip_first else ""),
            "same = (ids[:, None] == ids[None, :]) & (j < i)",
            "after = np.pad(same, ((0, 0), (1, 0)))[:, :n]  # after an earlier occurrence of the query's token",
            "masks = {'previous': j == i - 1, 'first': j == 0, 'self': j == i, 'duplicate': same, 'induction': after}",
            "there = {name: mask & counted for name, mask in masks.items() if (mask & counted).any()}",
            "result = {name: A[mask].sum() / A[counted].sum() for name, mask in there.items()}",
        ],
    )
