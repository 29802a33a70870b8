"""The masks workspace: which pairs of query and key a mask keeps, how many they are, and how the prediction changes.

Its cells are `masks.pairs[mask, length]` and `masks.effect[mask, 0]`, in the order of the table; `masks.seen[query,
key]` is a pair under the active mask, for the shown head.
"""

from collections import Counter
from dataclasses import replace

import numpy as np

from desktop_app.core.analysis import spans
from desktop_app.core.analysis.spans import LENGTHS, Masked
from desktop_app.core.levels import Levels, number, percent, short, unit
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.opening.pass_as_numpy import pass_program, seen_in
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    Box,
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
from desktop_app.core.session.state import State
from desktop_app.core.views.common import token_name
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.mask import CAUSAL, Mask, Rule, mask_of
from desktop_app.gpt2.phrase import Count, Phrase

_SHORT = 44  # characters of the longest mask that is named; a longer one is described

BEYOND = (
    (
        Phrase("Linformer"),
        Phrase(
            "mixes all keys into a few with a learned matrix: no key is left out, none belongs to one token any more"
        ),
    ),
    (
        Phrase("Reformer"),
        Phrase("hashes queries and keys and compares those in one bucket: which pairs these are depends on the text"),
    ),
    (
        Phrase("ring attention"),
        Phrase("computes the same pairs as ordinary attention, divided among machines that pass keys and values on"),
    ),
)
"""Methods that no mask can represent, each with the reason."""


def _compute(work: Work, own: str) -> tuple[Masked, ...]:
    # The masks are compared on the pass without edits.
    trace, config = work.passes.before, work.model.config
    masks = (*spans.candidates(config, len(trace), own), spans.spans(trace, work.stop))
    return spans.compare(work.model.engine, trace, tuple(dict.fromkeys(masks)), work.stop, work.progress)


_MASKS = Product("masks", Phrase("Running the text under each mask"), _compute, quick=False)


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs: the masks to compare, including the active one."""
    return (Want(_MASKS, (scene.trace.run.mask,)),)


def _rows(scene: Scene) -> tuple[Masked, ...]:
    return scene.made(wants(scene)[0]) or ()


def _rule(scene: Scene) -> Rule:
    """The rule of the shown head under the active mask."""
    return mask_of(scene.trace.run.mask, scene.config).of(scene.layer, scene.head)


def content(scene: Scene) -> View:
    """The pairs under the active mask, the table of masks, their effects, and methods that no mask can represent."""
    rule, rows = _rule(scene), _rows(scene)
    own = scene.trace.run.mask
    title = Phrase("Mask {1}", own) if len(own) <= _SHORT else Phrase("Mask with rules for single heads")
    grid = _grid(scene, rule)
    if not rows:
        return View(title, "", column(TextPanel(lines=(Line("", _MASKS.waiting),)), grid))
    beyond = TextPanel(
        title=Phrase("What no mask can show"), lines=tuple(Line(name, "", words) for name, words in BEYOND)
    )
    return View(
        title,
        "",
        column(row(grid, _table(scene, rows), weights=(1.0, 1.9)), _effects(scene, rows), beyond),
    )


def _grid(scene: Scene, rule: Rule) -> GridPanel:
    every = np.arange(len(scene.trace))
    seen = rule.seen(every, every)
    return GridPanel(
        title=Phrase("Head {1} of block {2}", scene.head, scene.layer),
        note=Phrase("what each query sees"),
        values=np.where(seen, 1.0, np.nan),
        levels=unit(),
        labels=scene.labels,
        source=Source("masks.seen", ("row", "col")),
        selected=scene.token,
        beside=True,
    )


def _name(row_: Masked) -> str:
    return row_.mask if len(row_.mask) <= _SHORT else Phrase("rules by head")


def _amount(pairs: float) -> str:
    """A number of pairs as text: in full below a million, otherwise with two digits, as 12,340 or 5.4·10⁸."""
    return Count(pairs) if pairs < 1e6 else short(float(f"{pairs:.1e}"))


def _table(scene: Scene, rows: tuple[Masked, ...]) -> MapPanel:
    pairs = np.array([r.pairs for r in rows])
    return MapPanel(
        title=Phrase("Pairs that a head computes, on average"),
        note=Phrase("colour: share of the causal mask's pairs"),
        hint=Phrase("click a mask"),
        values=pairs / pairs[0],
        levels=Levels(0.0, 2.0, diverging=False),
        row_labels=tuple(map(_name, rows)),
        column_labels=(Phrase("here"), *(Phrase("{1}k tokens", n // 1024) for n in LENGTHS)),
        picks=None,
        texts=tuple(tuple(map(_amount, r.pairs)) for r in rows),
        source=Source("masks.pairs", ("row", "col")),
        hue=Hue.ATTENTION,
        selected=next((n for n, r in enumerate(rows) if r.mask == scene.trace.run.mask), None),
    )


def _effects(scene: Scene, rows: tuple[Masked, ...]) -> BarsPanel:
    quoted = scene.tokenizer.quoted
    return BarsPanel(
        title=Phrase("What each mask does to the prediction"),
        note=Phrase("KL from the prediction under the causal mask, in nats"),
        bars=tuple(
            Bar(
                _name(r),
                r.kl,
                number(r.kl),
                Phrase("likeliest {1} {2}", quoted(r.token), percent(r.probability)),
                marked=r.mask == scene.trace.run.mask,
                source=("masks.effect", (n, 0)),
            )
            for n, r in enumerate(rows)
        ),
        hue=Hue.ATTENTION,
    )


# Cells


def _at(scene: Scene, cell: Cell) -> Masked:
    rows = _rows(scene)
    columns = {"masks.pairs": 1 + len(LENGTHS), "masks.effect": 1}.get(cell.name, 0)
    if len(cell.index) != 2 or cell.index[0] >= len(rows) or cell.index[1] >= columns:
        raise ModelError(f"There is no {cell.name}{list(cell.index)}.")
    return rows[cell.index[0]]


def describe(scene: Scene, cell: Cell) -> Readout:
    """The readout of a cell."""
    if cell.name == "masks.seen":
        query, key = _pair(scene, cell)
        seen = bool(_rule(scene).seen(np.array([query]), np.array([key]))[0, 0])
        words = Phrase("query {1}, key {2}", token_name(scene, query), token_name(scene, key))
        return Readout(Phrase("seen") if seen else Phrase("hidden"), Phrase("mask {1}", _rule(scene)), words)
    found = _at(scene, cell)
    if cell.name == "masks.effect":
        quoted, share = scene.tokenizer.quoted(found.token), percent(found.probability)
        return Readout(Phrase("{1} nats", number(found.kl)), found.mask, Phrase("likeliest {1} {2}", quoted, share))
    length = (len(scene.trace), *LENGTHS)[cell.index[1]]
    causal = mask_of(CAUSAL, scene.config).pairs(scene.config, length)
    share = percent(found.pairs[cell.index[1]] / causal)
    words = Phrase("at {1} tokens: {2} of the causal mask's pairs", Count(length), share)
    return Readout(Phrase("{1} pairs", Count(found.pairs[cell.index[1]])), found.mask, words)


def _pair(scene: Scene, cell: Cell) -> tuple[int, int]:
    if len(cell.index) != 2 or max(cell.index) >= len(scene.trace):
        raise ModelError(f"There is no {cell.name}{list(cell.index)}.")
    return cell.index[0], cell.index[1]


def choose(scene: Scene, cell: Cell) -> State | None:
    """The state after a click: the clicked mask becomes the active one."""
    return None if cell.name == "masks.seen" else replace(scene.state, mask=_at(scene, cell).mask)


def open_cell(scene: Scene, cell: Cell) -> View:
    """Whether the mask lets the query see the key, and why."""
    readout = describe(scene, cell)
    rule = _rule(scene)
    lines = (
        Line(Phrase("rule"), str(rule), Phrase("a query sees {1}", rule.words)),
        Line(Phrase("as numpy"), rule.numpy, Phrase("q the query, k the key")),
    )
    return View(Phrase("{1}: {2}", readout.name, readout.value), readout.place, Box((TextPanel(lines=lines),)))


def as_numpy(scene: Scene, cell: Cell | None) -> str:
    """Lines of code that run the text under every mask, or recompute the number of one cell.

    For all masks they compute KL(prediction under the causal mask || under the mask), with one pass for each.
    """
    config = scene.config
    if cell is not None and cell.name == "masks.seen":
        query, key = _pair(scene, cell)
        asked = f"# whether query {query} sees key {key}\nq, k = {query}, {key}\n"
        return f"{asked}result = {_rule(scene).numpy}\nprint(result)\n"
    if cell is not None and cell.name == "masks.pairs":
        return _counted(scene, mask_of(_at(scene, cell).mask, config), (len(scene.trace), *LENGTHS)[cell.index[1]])
    rows = _rows(scene) if cell is None else (_at(scene, cell),)
    if not rows:
        raise ModelError("The masks have not been compared yet; copy the code when their table is shown.")
    lines = [
        "h, q, k = pairs(len(tokens))",
        "def logs(seen):",
        "    x = run(tokens, seen)",
        "    return x - x.max() - np.log(np.exp(x - x.max()).sum())",
        f"own, result = logs({seen_in(CAUSAL, config)}), {{}}",
        *(f"result[{r.mask!r}] = np.exp(own) @ (own - logs({seen_in(r.mask, config)}))" for r in rows),
    ]
    if cell is not None:
        lines.append(f"result = result[{rows[0].mask!r}]")
    return pass_program(scene, "KL from the causal mask's prediction after the last position, in nats", lines)


def _counted(scene: Scene, mask: Mask, length: int) -> str:
    """Lines of code that count the pairs of a mask, query by query, on average over all heads."""
    heads = scene.config.n_layer * scene.config.n_head
    counts = Counter(rule.numpy for _, rule in mask.heads)
    counts[mask.rule.numpy] += heads - len(mask.heads)
    return "\n".join(
        [
            f"# pairs that a head computes in a text of {length:,} tokens, on average",
            "import numpy as np",
            "",
            f"k, result = np.arange({length}), 0",
            f"for q in range({length}):",
            *(f"    result += {n} * np.count_nonzero({rule})" for rule, n in counts.items() if n),
            f"result /= {heads}",
            "print(result)",
            "",
        ]
    )
