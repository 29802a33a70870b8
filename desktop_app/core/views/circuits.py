"""The circuits workspace: from the weights alone, which heads read what earlier heads write, and which heads copy.

Its cells are:

- `circuits.q[layer1, head1, layer2, head2]`, and the same for `k` and `v`: a pair of heads;
- `circuits.pair[kind, earlier, later]`: a pair in the graph, with heads numbered across all blocks;
- `circuits.head[layer, head]`: a node of the graph;
- `circuits.copying[layer, head]` and `circuits.copying_through_mlp[layer, head]`: a copying score.
"""

import math
from dataclasses import replace

import numpy as np

from desktop_app.core.analysis import circuits as analysis
from desktop_app.core.analysis.circuits import KINDS, Circuits
from desktop_app.core.edits import editing
from desktop_app.core.edits.editing import Target
from desktop_app.core.levels import Levels, number
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    GraphPanel,
    Hue,
    Knot,
    Line,
    MapPanel,
    Source,
    Strand,
    TextPanel,
    View,
    column,
    row,
)
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import State, with_option
from desktop_app.core.views import circuits_opened
from desktop_app.core.views.head_page import name
from desktop_app.core.views.head_weights import through_mlp
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Count, Phrase

HUES = {"q": Hue.QUERY, "k": Hue.KEY, "v": Hue.VALUE}
WORDS = {"q": "query", "k": "key", "v": "value"}
_AS = {"q": "query, {1}", "k": "key, {1}", "v": "value, {1}"}
_READS = {
    "q": "{1} as the query of {2} reads it; {3} above random matrices",
    "k": "{1} as the key of {2} reads it; {3} above random matrices",
    "v": "{1} as the value of {2} reads it; {3} above random matrices",
}
PAIR, HEAD = "circuits.pair", "circuits.head"
_COPYING = ("copying_through_mlp", "copying")
_MOST, _LISTED = 40, 10  # pairs in the graph, where more are a tangle, and in the list


def _compute(work: Work) -> Circuits:
    return analysis.kept(work.model.checkpoint, stop=work.stop, progress=work.progress)


WANT = Want(Product("circuits", Phrase("Composing every pair of heads"), _compute, of_text=False, quick=False))


def wants(_scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    return (WANT,)


def content(scene: Scene) -> View:
    """Heads as nodes and composing pairs as edges, a list of the strongest pairs, and the copying scores of heads."""
    found: Circuits | None = scene.made(WANT)
    if found is None:
        return View("", "", column(TextPanel(lines=(Line("", WANT.product.waiting),))))
    beside = column(_listed(scene, found), _copying(scene, found))
    return View("", "", row(_graph(scene, found), beside, weights=(5, 4)))


def _kinds(scene: Scene) -> tuple[str, ...]:
    shown = scene.state.view.circuits
    return KINDS if shown == "all" else (shown,)


Pair = tuple[str, tuple[int, int], tuple[int, int], float]


def _pairs(scene: Scene, found: Circuits) -> list[Pair]:
    """Every pair of the kinds shown, the strongest first; on request only pairs with the shown head."""
    count = scene.config.n_layer * scene.config.n_head
    pairs = analysis.strongest(found, 3 * count * count, _kinds(scene))
    if scene.state.view.circuits_of == "head":
        pairs = [pair for pair in pairs if (scene.layer, scene.head) in pair[1:3]]
    return pairs


def _graph(scene: Scene, found: Circuits) -> GraphPanel:
    least, config = scene.state.view.circuits_least, scene.config
    every = _pairs(scene, found)
    reach = [pair for pair in every if pair[3] - found.random >= least]
    shown = reach[:_MOST]
    full = _round_up(max((pair[3] - found.random for pair in shown), default=1.0))
    title = Phrase("{1} pairs with {2} or more", Count(len(shown)), f"{least:g}")
    note = Phrase("above what random matrices give")
    if len(shown) == 1:
        title = Phrase("1 pair with {1} or more", f"{least:g}")
    if len(shown) < len(reach):
        title = Phrase("The {1} strongest pairs", len(shown))
        note = Phrase("of {1} with {2} or more above random", Count(len(reach)), f"{least:g}")
    if not reach:
        largest = f"{every[0][3] - found.random:+.3f}".replace("-", "−") if every else Phrase("none")
        note = Phrase("no pair reaches it; the largest is {1}", largest)
    knots = tuple(
        Knot(head, layer, 0.2, name(layer, head), marked=(layer, head) == (scene.layer, scene.head))
        for layer in range(config.n_layer)
        for head in range(config.n_head)
    )
    strands = tuple(
        Strand(
            later[0] * config.n_head + later[1],
            earlier[0] * config.n_head + earlier[1],
            (score - found.random) / full,
            KINDS.index(kind),
        )
        for kind, earlier, later, score in shown
    )
    return GraphPanel(
        title=title,
        note=note,
        knots=knots,
        strands=strands,
        positions=tuple(range(config.n_head)),
        column_labels=tuple(f"H{n}" for n in range(config.n_head)),
        level_labels=tuple(f"L{n}" for n in range(config.n_layer)),
        kinds=tuple((Phrase(WORDS[kind]), HUES[kind]) for kind in KINDS),
        node_source=Source(HEAD, (), each=tuple(np.ndindex(config.n_layer, config.n_head))),
        edge_source=Source(PAIR, (), each=tuple(_place(scene, pair) for pair in shown)),
        full=full,
        bowed=True,
        things=("heads", "places in a block"),
    )


def _round_up(value: float) -> float:
    """`value` rounded up to 1, 2 or 5 times a power of ten: the score for an edge of full width."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _place(scene: Scene, pair: Pair) -> tuple[int, ...]:
    """The index of a pair's cell in the graph."""
    (kind, earlier, later, _), per = pair, scene.config.n_head
    return KINDS.index(kind), earlier[0] * per + earlier[1], later[0] * per + later[1]


def _listed(scene: Scene, found: Circuits) -> BarsPanel:
    pairs = _pairs(scene, found)[:_LISTED]
    bars = tuple(
        Bar(
            f"{name(*earlier)} → {name(*later)}",
            score,
            f"{score:.3f}",
            Phrase(_AS[kind], f"{score - found.random:+.3f}".replace("-", "−")),
            marked=(scene.layer, scene.head) in (earlier, later),
            source=(f"circuits.{kind}", (*earlier, *later)),
        )
        for kind, earlier, later, score in pairs
    )
    whose = name(scene.layer, scene.head) if scene.state.view.circuits_of == "head" else ""
    return BarsPanel(
        title=Phrase("Strongest pairs of {1}", whose) if whose else Phrase("Strongest pairs"),
        note=Phrase("random: {1} ± {2}", f"{found.random:.3f}", f"{found.random_spread:.2g}"),
        bars=bars,
        hue=HUES[_kinds(scene)[0]] if len(_kinds(scene)) == 1 else Hue.ATTENTION,
    )


def _tenths(value: float) -> str:
    """A score from −1 to 1 as text for a small cell: .4, −.7, 1."""
    return f"{value:z.1f}".replace("-", "−").removesuffix(".0").replace("0.", ".")


def _copying(scene: Scene, found: Circuits) -> MapPanel:
    which = _COPYING[0] if through_mlp(scene) else _COPYING[1]
    values = getattr(found, which)
    return MapPanel(
        title=Phrase("Copying score"),
        note=Phrase("through block 0's MLP") if which == _COPYING[0] else Phrase("of the embeddings alone"),
        values=values,
        levels=Levels(-1, 1, rule=Phrase("fixed, −1 to 1")),
        row_labels=tuple(f"L{n}" for n in range(len(values))),
        column_labels=tuple(f"H{n}" for n in range(values.shape[1])),
        texts=tuple(tuple(_tenths(float(v)) for v in line) for line in values),
        source=Source(f"circuits.{which}", ("row", "col")),
        hue=Hue.ATTENTION,
        selected=scene.layer,
        selected_column=scene.head,
        picks=None,
        x_label=Phrase("block ↓, head →"),
    )


# Cells


def _pair_of(scene: Scene, cell: Cell) -> Cell:
    """The cell of `circuits.q`, `k` or `v` for the pair that an edge of the graph represents. Raises ModelError."""
    per, count = scene.config.n_head, scene.config.n_layer * scene.config.n_head
    kind, earlier, later = cell.index if len(cell.index) == 3 else (-1, -1, -1)
    if not (0 <= kind < len(KINDS) and 0 <= earlier < count and 0 <= later < count):
        raise ModelError(f"There is no {cell.name}{list(cell.index)}.")
    return Cell(f"circuits.{KINDS[kind]}", (*divmod(earlier, per), *divmod(later, per)))


def _made(scene: Scene, cell: Cell) -> Circuits:
    found: Circuits | None = scene.made(WANT)
    if found is None:
        raise ModelError(f"{cell.name} is not computed yet; open it when the circuits are shown.")
    return found


def _at(scene: Scene, cell: Cell) -> tuple[Circuits, Cell, float]:
    """The circuits, the cell (for an edge, that of its pair), and the cell's number. Raises ModelError."""
    found = _made(scene, cell)
    if cell.name == PAIR:
        cell = _pair_of(scene, cell)
    what = cell.name.removeprefix("circuits.")
    array = found.composition[what] if what in KINDS else getattr(found, what) if what in _COPYING else None
    if array is None:
        raise ModelError(f"There is no {cell.name}; circuits have q, k, v, {' and '.join(_COPYING)}.")
    inside = len(cell.index) == array.ndim and all(0 <= i < n for i, n in zip(cell.index, array.shape, strict=True))
    if not inside or (what in KINDS and cell.index[0] >= cell.index[2]):
        raise ModelError(
            f"{cell.name} has no cell {list(cell.index)}; a pair is a head of an earlier and one of a later block."
        )
    return found, cell, float(array[cell.index])


def _head_of(scene: Scene, cell: Cell) -> tuple[int, int]:
    layer, head = cell.index if len(cell.index) == 2 else (-1, -1)
    if not (0 <= layer < scene.config.n_layer and 0 <= head < scene.config.n_head):
        raise ModelError(f"There is no {HEAD}{list(cell.index)}.")
    return layer, head


def describe(scene: Scene, cell: Cell) -> Readout:
    """What is shown about a pair, a head or a copying score under the pointer."""
    if cell.name == HEAD:
        at = _head_of(scene, cell)
        found = _made(scene, cell)
        score = float(found.copying_through_mlp[at])
        return Readout(
            name(*at),
            Phrase("block {1}, head {2}", at[0], at[1]),
            Phrase("copying score {1}; click for its page", number(score)),
        )
    found, own, value = _at(scene, cell)
    if len(own.index) == 2:
        return Readout(number(value), Phrase("copying score"), name(*own.index))
    kind = own.name.removeprefix("circuits.")
    place = Phrase(
        _READS[kind], name(*own.index[:2]), name(*own.index[2:]), f"{value - found.random:+.3f}".replace("-", "−")
    )
    return Readout(number(value), Phrase("composition"), place)


def targets(scene: Scene, cell: Cell) -> tuple[Target, ...]:
    """What can be edited for a cell: its head or, for a pair, the input that the later head reads, and both heads."""
    if cell.name == HEAD:
        return (editing.head(*_head_of(scene, cell)),)
    _, own, _ = _at(scene, cell)
    if len(own.index) == 2:
        return (editing.head(*own.index),)
    reads = editing.inputs(*own.index[2:])[KINDS.index(own.name.removeprefix("circuits."))]
    return reads, editing.head(*own.index[2:]), editing.head(*own.index[:2])


def choose(scene: Scene, cell: Cell) -> State | None:
    """The state after a click: a head's page of weights is shown; a pair is opened, and its later head selected."""
    if cell.name == HEAD:
        layer, head = _head_of(scene, cell)
        return with_option(replace(scene.state, workspace="heads", layer=layer, head=head), "heads", "weights")
    _, own, _ = _at(scene, cell)
    return replace(scene.state, opened=(own,), layer=own.index[-2], head=own.index[-1])


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened pair or copying score, recomputed in float64 from the weights."""
    if cell.name == HEAD:
        raise ModelError("A head is not a number; its copying score and its pairs are.")
    found, own, value = _at(scene, cell)
    readout = describe(scene, own)
    title = Phrase("{1} = {2}", readout.name, readout.value)
    if len(own.index) == 2:
        through = own.name.endswith(_COPYING[0])
        return View(title, readout.place, circuits_opened.copying(scene, own.index[0], own.index[1], through))
    kind = own.name.removeprefix("circuits.")
    return View(title, readout.place, circuits_opened.pair(scene, found, kind, own.index, value))


def as_numpy(scene: Scene, cell: Cell | None) -> str:
    """Lines of code that recompute a pair's composition from the weights; without a cell, the strongest pair's."""
    found = _made(scene, cell or Cell("circuits", ()))
    if cell is None:
        best = next(iter(analysis.strongest(found, 1, _kinds(scene))), None)
        if best is None:
            raise ModelError("A model of one block has no pairs of heads.")
        cell = Cell(f"circuits.{best[0]}", (*best[1], *best[2]))
    _, own, _ = _at(scene, cell)
    if len(own.index) == 2:
        return _copying_lines(scene, own)
    kind, (layer1, head1, layer2, head2) = own.name.removeprefix("circuits."), own.index
    width, inner = scene.config.n_embd, scene.config.d_head
    reads = {"q": "q2 @ k2.T", "k": "k2 @ q2.T", "v": "v2 @ o2"}[kind]
    return program(
        scene.checkpoint,
        f"composition of {name(layer1, head1)} into the {WORDS[kind]} of {name(layer2, head2)}",
        (
            ("w1", f"blocks.{layer1}.ln1.w", ""),
            ("W1", f"blocks.{layer1}.attn.W_QKV", ""),
            ("O1", f"blocks.{layer1}.attn.W_O", ""),
            ("w2", f"blocks.{layer2}.ln1.w", ""),
            ("W2", f"blocks.{layer2}.attn.W_QKV", ""),
            ("O2", f"blocks.{layer2}.attn.W_O", ""),
        ),
        [
            f"d, h, one, two = {width}, {inner}, {head1}, {head2}",
            "def fold(w, W, part, n):  # a head's columns of Q (0), K (1) or V (2), ln1 folded in",
            "    x = w[:, None] * W[:, part * d + n * h : part * d + (n + 1) * h]",
            "    return x - x.mean(0)",
            "ov1 = fold(w1, W1, 2, one) @ O1[one * h : (one + 1) * h]",
            "q2, k2, v2 = (fold(w2, W2, part, two) for part in range(3))",
            "o2 = O2[two * h : (two + 1) * h]",
            f"read = {reads}",
            "result = np.linalg.norm(ov1 @ read) / np.linalg.norm(ov1) / np.linalg.norm(read)",
        ],
    )


def _copying_lines(scene: Scene, own: Cell) -> str:
    layer, head = own.index
    inner, width = scene.config.d_head, scene.config.n_embd
    if own.name.endswith(_COPYING[0]):
        raise ModelError("This score needs every token's vector after block 0's MLP; copy that of W_E instead.")
    return program(
        scene.checkpoint,
        f"copying score of {name(layer, head)}",
        (
            ("w", f"blocks.{layer}.ln1.w", ""),
            ("W", f"blocks.{layer}.attn.W_QKV", ""),
            ("O", f"blocks.{layer}.attn.W_O", ""),
            ("wf", "ln_final.w", ""),
            ("E", "embed.W_E", ""),
            ("U", "unembed.W_U", ""),
        ),
        [
            f"d, h, n = {width}, {inner}, {head}",
            "v = w[:, None] * W[:, 2 * d + n * h : 2 * d + (n + 1) * h]",
            "v = v - v.mean(0)",
            "o = O[n * h : (n + 1) * h]",
            "values = np.linalg.eigvals((((o - o.mean(1, keepdims=True)) * wf) @ U.T) @ (E @ v))",
            "result = values.sum().real / np.abs(values).sum()",
        ],
    )
