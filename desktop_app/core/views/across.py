"""Attention across prompts: an edit (`=across`) makes a head's own queries read the other prompt's keys and values.

Its cells are `blocks.L.attn.across[head, query, key]`, with the other prompt's keys. They are no tensor of the pass,
whose own pattern stays as it is; the edit puts the values of the other prompt, weighted by them, into `attn.z`.
"""

import numpy as np

from desktop_app.core.edits.editing import Target, head
from desktop_app.core.edits.recipes import ACROSS, across_pattern
from desktop_app.core.levels import cell_text, number, percent, unit
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
    Array,
    Bar,
    BarsPanel,
    Hue,
    Line,
    MapPanel,
    Source,
    Strip,
    TextPanel,
    View,
    column,
    formula_line,
)
from desktop_app.core.passes import OTHER
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import token_name
from desktop_app.core.views.dot import dot_panels
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Phrase, joined
from desktop_app.gpt2.tensors import scaled_by

_END = f".attn.{ACROSS}"
_TERMS = 8
_WRITTEN = 16  # tokens up to which every weight is written in its cell


def is_of(cell: Cell) -> bool:
    """Whether a cell is a weight on the other prompt."""
    return cell.name.endswith(_END) and bool(cell.index)


def weights(scene: Scene, layer: int, n: int) -> Array | None:
    """The weights of head `n` of a block on the other prompt, [query, key]; None if no edit makes it read that text."""
    other = scene.passes.other
    edits = [e for e in scene.trace.run.edits if e.site == f"blocks.{layer}.attn.z" and e.source == ACROSS]
    spans = [edit.where[0] for edit in edits]
    if other is None or not any(a <= n < (scene.config.n_head if b is None else b) for a, b in spans):
        return None
    found: Array = across_pattern(scene.trace, other, layer)[n]
    return found


def panel(scene: Scene) -> MapPanel | None:
    """The picture for the shown head; None if it reads its own text alone."""
    values = weights(scene, scene.layer, scene.head)
    if values is None or scene.passes.other is None:
        return None
    small = max(values.shape) <= _WRITTEN
    return MapPanel(
        title=Phrase("Head {1} reads the other prompt", scene.head),
        note=Phrase("rows: its queries; columns: that prompt's keys, none of them masked"),
        values=values,
        levels=unit(scene.state.view.pattern_scale),
        row_labels=scene.labels,
        column_labels=tuple(map(scene.tokenizer.label, scene.passes.other.ids)),
        texts=tuple(tuple(cell_text(float(v), share=True) for v in line) for line in values) if small else (),
        source=Source(f"blocks.{scene.layer}{_END}", (scene.head, "row", "col")),
        hue=Hue.ATTENTION,
        selected=scene.token,
    )


def _row(scene: Scene, cell: Cell) -> tuple[int, int, int, int, Array]:
    """The cell's block, head, query and key, and its query's weights. Raises ModelError if there is no such cell."""
    block, index = cell.name.removeprefix("blocks.").removesuffix(_END), cell.index
    there = block.isdecimal() and int(block) < scene.config.n_layer and len(index) == 3
    found = weights(scene, int(block), index[0]) if there else None
    if found is None or not all(0 <= i < n for i, n in zip(index[1:], found.shape, strict=True)):
        raise ModelError(f"There is no {cell.name}{list(index)}: no edit makes this head read the other prompt there.")
    return int(block), *index, found[index[1]]


def describe(scene: Scene, cell: Cell) -> Readout:
    """The readout of a cell."""
    _, n, query, key, row = _row(scene, cell)
    other = scene.beside[OTHER]
    words = (
        Phrase("head {1}", n),
        Phrase("query {1} at {2}", scene.tokenizer.quoted(scene.trace.ids[query]), query),
        Phrase("key {1} in the other prompt", token_name(other, key)),
    )
    return Readout(number(float(row[key])), cell.name, joined(", ", words))


def targets(scene: Scene, cell: Cell) -> tuple[Target, ...]:
    """What can be edited at a cell: the head."""
    layer, n, *_ = _row(scene, cell)
    return (head(layer, n),)


def as_numpy(scene: Scene, cell: Cell) -> str:
    """Lines that compute a weight from traces of both prompts."""
    layer, n, query, key, _ = _row(scene, cell)
    return "\n".join(
        (
            "import numpy as np",
            "from safetensors.numpy import load_file",
            "",
            'here, there = load_file("trace.safetensors"), load_file("other.safetensors")  # of the two prompts',
            f'query, keys = here["blocks.{layer}.attn.q"][{n}, {query}], there["blocks.{layer}.attn.k"][{n}]',
            f"scaled = keys @ query / {scene.config.score_divisor(layer)!r}",
            "weights = np.exp(scaled - scaled.max())",
            "weights /= weights.sum()",
            f"result = weights[{key}]",
            "print(result)",
            "",
        )
    )


def open_cell(scene: Scene, cell: Cell) -> View:
    """A weight taken apart: the row's softmax, and the query times the other prompt's key."""
    layer, n, query, key, row = _row(scene, cell)
    other, readout = scene.beside[OTHER], describe(scene, cell)
    q_name, k_name = f"blocks.{layer}.attn.q", f"blocks.{layer}.attn.k"
    q, keys = scene.trace.read(q_name, head=n, row=query), other.trace.read(k_name, head=n)
    divisor = scene.config.score_divisor(layer)
    scaled = keys.astype(np.float64) @ q.astype(np.float64) / divisor
    raised = np.exp(scaled - scaled.max())
    order = sorted({*np.argsort(-row, kind="stable")[:_TERMS].tolist(), key})
    bars = tuple(
        Bar(
            other.labels[j],
            float(raised[j]),
            number(float(raised[j])),
            Phrase("exp({1} − max) → {2}", number(float(scaled[j])), percent(float(row[j]))),
            marked=j == key,
            source=(cell.name, (n, query, j)),
        )
        for j in order
    )
    left_out = len(row) - len(order)
    note = Phrase("{1} smaller ones are not listed", left_out) if left_out else ""
    one, every = (scaled_by(scene.config, f"q_i · k_{letter}") for letter in "jm")
    lines = (
        formula_line(f"A_ij = exp({one}) / Σ_m exp({every})"),
        Line(Phrase("with numbers"), f"{number(float(raised[key]))} / {number(float(raised.sum()))}"),
        Line(one, number(float(scaled[key])), f"{number(float(scaled[key] * divisor))} / {divisor:.4g}"),
    )
    queries = Strip(Phrase("its query"), q, Source(q_name, (n, query, "col")), Hue.QUERY)
    theirs = Strip(Phrase("that key"), keys[key], Source(k_name, (n, key, "col"), run=OTHER), Hue.KEY, operator="×")
    return View(
        f"{cell.name} = {readout.value}",
        readout.place,
        column(
            TextPanel(lines=lines),
            BarsPanel(title=Phrase("Exponentials of the row"), note=note, bars=bars, hue=Hue.ATTENTION),
            *dot_panels(queries, theirs),
        ),
    )
