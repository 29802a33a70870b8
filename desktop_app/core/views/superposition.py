"""The superposition workspace: angles between directions, how many fit, a neuron's tokens, and interference.

Its cells are `superposition.pair[one, other]`, the cosine of two tokens' rows,
`superposition.up[layer, neuron, token]`, how much a token by itself excites a neuron, `superposition.out`, what the
neuron adds to the token's logit, and `superposition.packed[limit]`, how many of the directions are nearly orthogonal.
"""

import numpy as np

from desktop_app.core.analysis import superposition as analysis
from desktop_app.core.analysis.directions import WITHOUT
from desktop_app.core.analysis.folding import along_unembedding
from desktop_app.core.analysis.superposition import WITHIN, Angles, NeuronTokens
from desktop_app.core.asking.intents import Open
from desktop_app.core.edits.editing import Target
from desktop_app.core.edits.targets import of_tensor
from desktop_app.core.levels import diverging, fraction_text, number, short
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    Box,
    CurvePanel,
    Hue,
    Line,
    MapPanel,
    Source,
    Strip,
    TextPanel,
    View,
    column,
    formula_line,
    row,
)
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.views.common import rows_as_numpy, rows_note
from desktop_app.core.views.dot import dot_panels
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Count, Phrase, joined

_PAIR, _UP, _OUT = "superposition.pair", "superposition.up", "superposition.out"
_PACKED = "superposition.packed"
_FEATURES, _SHOWN = 12, 6


def _compute(work: Work, what: str, without: int) -> Angles:
    found = analysis.directions_of(work.model.checkpoint, what, without=without)
    return analysis.angles(found, stop=work.stop, progress=work.progress)


def _of_neuron(work: Work, layer: int, neuron: int) -> NeuronTokens:
    return analysis.neuron_tokens(work.model.checkpoint, layer, neuron, stop=work.stop)


_ANGLES = Product("superposition", Phrase("Measuring every angle"), _compute, of_text=False, quick=False)
_NEURON = Product("superposition.neuron", Phrase("Reading a neuron's tokens"), _of_neuron, of_text=False, quick=False)


def _without(scene: Scene) -> int:
    return WITHOUT if scene.state.view.rows == "trimmed" else 0


def neuron_of(scene: Scene) -> int:
    """The displayed neuron: the one in the displayed block that is most active at the selected token."""
    return int(np.argmax(scene.trace.read(f"blocks.{scene.layer}.mlp.post", row=scene.token)))


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    neurons = scene.state.view.superposition == "neurons"
    what = f"blocks.{scene.layer}.mlp.W_out" if neurons else "embedding"
    return (
        Want(_ANGLES, (what, 0 if neurons else _without(scene))),
        Want(_NEURON, (scene.layer, neuron_of(scene))),
    )


def content(scene: Scene) -> View:
    """Angles, how many directions fit, the interference of the text's tokens, and a neuron's tokens."""
    angles, neuron = (scene.made(want) for want in wants(scene))
    if angles is None or neuron is None:
        words = (_ANGLES if angles is None else _NEURON).waiting
        return View("", "", column(TextPanel(lines=(Line("", words),))))
    content = column(row(_angles(scene, angles), _fit(scene, angles)), row(_features(scene), _neuron(scene, neuron)))
    return View("", "", content)


def _angles(scene: Scene, found: Angles) -> CurvePanel:
    middles = (found.edges[:-1] + found.edges[1:]) / 2
    reach = np.abs(middles) <= max(6 * max(found.spread, found.spread_random), 0.1)
    neurons = scene.state.view.superposition == "neurons"
    left_out = 0 if neurons else _without(scene)
    spread = Phrase("spread {1}, random {2}", number(found.spread), number(found.spread_random))
    return CurvePanel(
        title=Phrase("Cosines between neurons of block {1}", scene.layer)
        if neurons
        else Phrase("Cosines between rows of W_E"),
        note=joined(" · ", (spread, rows_note(left_out))) if left_out else spread,
        lines=((middles[reach], found.own[reach]), (middles[reach], found.random[reach])),
        line_names=(Phrase("this model"), Phrase("random")),
        named_above=True,
        x_label=Phrase("cosine"),
        y_label=Phrase("share of pairs"),
        hue=Hue.RESIDUAL,
    )


def _fit(scene: Scene, found: Angles) -> TextPanel:
    lines = tuple(
        Line(
            Phrase("within {1}", f"{within:g}"),
            Phrase("{1} of {2}", Count(own), Count(found.count)),
            Phrase("random {1}; in theory {2} or more", Count(random), _many(bound)),
            pick=Open(Cell(_PACKED, (n,))),
        )
        for n, (within, own, random, bound) in enumerate(
            zip(WITHIN, found.packed, found.packed_random, found.bound, strict=True)
        )
    )
    neurons = scene.state.view.superposition == "neurons"
    every = scene.config.d_mlp if neurons else scene.config.vocab_size
    return TextPanel(
        title=Phrase("Directions that are nearly orthogonal"),
        note=Phrase("measured on {1} of {2}, in {3} dimensions", Count(found.count), Count(every), scene.config.n_embd),
        lines=lines,
    )


def _many(bound: float) -> str:
    return Count(int(bound)) if bound < 1e7 else short(bound)


def _chosen(scene: Scene) -> list[int]:
    """The tokens whose interference is shown: those pinned, then those of the text, from the selected one backwards."""
    before = reversed(scene.trace.ids[: scene.token + 1])
    return list(dict.fromkeys([*scene.state.pinned, *before, *scene.trace.ids]))[:_FEATURES]


def _features(scene: Scene) -> MapPanel:
    ids, left_out = _chosen(scene), _without(scene)
    values = analysis.interference(analysis.rows_of(scene.checkpoint, ids, without=left_out))
    off = values - np.diag(np.diag(values))
    labels = tuple(scene.tokenizer.label(t) for t in ids)
    return MapPanel(
        title=Phrase("Interference"),
        note=rows_note(left_out) if left_out else Phrase("cosine of the rows of the text's tokens"),
        values=values,
        levels=diverging(off),
        row_labels=labels,
        column_labels=labels,
        texts=tuple(tuple(fraction_text(float(v), 2) for v in line) for line in values),
        source=Source(_PAIR, ("row", "col"), rows=tuple(ids), cols=tuple(ids)),
        hue=Hue.RESIDUAL,
        picks=None,
    )


def _neuron(scene: Scene, found: NeuronTokens) -> Box:
    place = (found.layer, found.neuron)

    def bars(title: str, cell: str, *sides: tuple[Array, Array]) -> BarsPanel:
        shown = [(int(t), float(v)) for ids, values in sides for t, v in zip(ids[:_SHOWN], values, strict=False)]
        shown.sort(key=lambda one: -one[1])
        return BarsPanel(
            title=title,
            note=f"L{place[0]}N{place[1]}",
            bars=tuple(
                Bar(scene.tokenizer.label(t), v, number(v), source=(cell, (*place, t))) for t, v in dict(shown).items()
            ),
            hue=Hue.MLP,
        )

    return column(
        bars(
            Phrase("Tokens that push it up and down"), _UP, (found.up, found.up_number), (found.down, found.down_number)
        ),
        bars(
            Phrase("Tokens that it makes likelier and less likely"),
            _OUT,
            (found.promoted, found.promoted_number),
            (found.suppressed, found.suppressed_number),
        ),
    )


# Cells


def _vectors(scene: Scene, cell: Cell) -> tuple[float, Array, Array]:
    """The number of a cell, and the two vectors whose dot product it is. Raises ModelError if there is none."""
    index, count, checkpoint = cell.index, scene.config.vocab_size, scene.checkpoint
    if cell.name == _PAIR and len(index) == 2 and all(0 <= i < count for i in index):
        one, other = analysis.rows_of(checkpoint, index, without=_without(scene))
        one, other = (v / max(float(np.linalg.norm(v)), 1e-300) for v in (one, other))
    elif cell.name in (_UP, _OUT) and len(index) == 3 and 0 <= index[2] < count:
        layer, neuron, token = index
        if cell.name == _UP:
            one, other = analysis.neuron_on(checkpoint, layer, neuron, token)
        else:
            analysis.neuron_reads(checkpoint, layer, neuron)
            own = checkpoint.weights[f"blocks.{layer}.mlp.W_out"][neuron].astype(np.float64)
            one = along_unembedding(checkpoint, own)
            other = checkpoint.weights["unembed.W_U"][token].astype(np.float64)
    else:
        raise ModelError(f"There is no {cell.name}{list(index)}; superposition has pair, up, out and packed.")
    return float(one @ other), one, other


def _limit(scene: Scene, cell: Cell) -> tuple[Angles, int]:
    """The measured angles, and the index in WITHIN of a count's limit. Raises ModelError if there is none."""
    found: Angles | None = scene.made(wants(scene)[0])
    if found is None:
        raise ModelError(f"{cell.name} is not computed yet; open it when superposition is shown.")
    if len(cell.index) != 1 or not 0 <= cell.index[0] < len(WITHIN):
        raise ModelError(f"There is no {cell.name}{list(cell.index)}; the limits are 0 to {len(WITHIN) - 1}.")
    return found, cell.index[0]


def _packed(scene: Scene, cell: Cell) -> View:
    """The view of an opened count: how it is measured, that of random directions, and the bound."""
    (found, n), width = _limit(scene, cell), scene.config.n_embd
    readout = describe(scene, cell)
    lines = (
        formula_line(Phrase("keep v if |cos(v, k)| ≤ ε for every k kept before"), Phrase("in the order of the table")),
        Line(Phrase("this model"), Count(found.packed[n]), Phrase("of {1} directions", Count(found.count))),
        Line(Phrase("random"), Count(found.packed_random[n]), Phrase("of as many random ones")),
        formula_line("N = exp(d ε² / 4)", Phrase("at least so many fit into d dimensions, in theory")),
        Line(Phrase("with numbers"), f"exp({width} · {WITHIN[n]:g}² / 4)", f"= {number(float(found.bound[n]))}"),
    )
    return View(Phrase("{1} = {2}", readout.name, readout.value), readout.place, column(TextPanel(lines=lines)))


def describe(scene: Scene, cell: Cell) -> Readout:
    """The readout of a number."""
    if cell.name == _PACKED:
        found, n = _limit(scene, cell)
        within = Phrase("within {1}", f"{WITHIN[n]:g}")
        return Readout(Count(found.packed[n]), Phrase("nearly orthogonal directions"), within)
    value, _, _ = _vectors(scene, cell)
    quoted = scene.tokenizer.quoted
    if cell.name == _PAIR:
        return Readout(
            number(value), Phrase("cosine"), Phrase("{1} and {2}", quoted(cell.index[0]), quoted(cell.index[1]))
        )
    neuron = f"L{cell.index[0]}N{cell.index[1]}"
    if cell.name == _UP:
        return Readout(number(value), Phrase("input to {1}", neuron), Phrase("from {1} alone", quoted(cell.index[2])))
    return Readout(number(value), Phrase("output of {1}", neuron), Phrase("for {1}", quoted(cell.index[2])))


def targets(scene: Scene, cell: Cell) -> tuple[Target, ...]:
    """What can be edited for a cell: its neuron."""
    if cell.name == _PACKED:
        return ()
    _vectors(scene, cell)
    return (
        () if cell.name == _PAIR else of_tensor(scene, Cell(f"blocks.{cell.index[0]}.mlp.post", (0, cell.index[1])))[:1]
    )


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened number: the two vectors whose dot product it is, or how it is counted."""
    if cell.name == _PACKED:
        return _packed(scene, cell)
    value, one, other = _vectors(scene, cell)
    readout = describe(scene, cell)
    formula = {
        _PAIR: "cos = (a / |a|) · (b / |b|)",
        _UP: Phrase("e · (w ⊙ W_in), the norm folded in"),
        _OUT: Phrase("(W_out, centred ⊙ w_f) · W_U"),
    }[cell.name]
    labels = {
        _PAIR: (Phrase("one row"), Phrase("the other")),
        _UP: (Phrase("the token"), Phrase("what it reads")),
        _OUT: (Phrase("what it writes"), "W_U"),
    }
    strips = (
        Strip(label, v, None, hue)
        for label, v, hue in zip(labels[cell.name], (one, other), (Hue.RESIDUAL, Hue.MLP), strict=True)
    )
    first, second = strips
    lines = (
        formula_line(formula),
        Line(Phrase("with numbers"), Phrase("Σ of {1} products", len(one)), f"= {number(value)}"),
    )
    return View(
        Phrase("{1} = {2}", readout.name, readout.value),
        readout.place,
        column(TextPanel(lines=lines), *dot_panels(first, second)),
    )


def as_numpy(scene: Scene, _cell: Cell | None) -> str:
    """Lines of code that recompute the interference of the text's tokens from the embedding."""
    return program(
        scene.checkpoint,
        "the cosines between rows of W_E, all less their mean",
        (("E", "embed.W_E", ""),),
        [
            *rows_as_numpy(_without(scene)),
            f"chosen = centred[{_chosen(scene)}]",
            "chosen /= np.linalg.norm(chosen, axis=1, keepdims=True)",
            "result = chosen @ chosen.T",
        ],
    )
