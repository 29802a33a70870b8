"""The workspace that explains a token: its logit as a waterfall chart over the parts of the residual stream.

Its cells are `why.term[n]` and `why.source[layer, head, key]`, which is what a head adds by attending to a position.
The n of a term counts first the parts in the order of the attribution, then the blocks, then what the final norm's bias
adds, the sum of all terms, and the number that the model computed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from desktop_app.core.analysis import attribution as analysis
from desktop_app.core.analysis.attribution import Attribution, Baseline
from desktop_app.core.analysis.parts import Kind, Part
from desktop_app.core.edits.editing import ROW, Place, Target, block, head, mlp
from desktop_app.core.edits.targets import look
from desktop_app.core.levels import number, short
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import Line, Rise, Source, TextPanel, View, WaterfallPanel, column
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import State
from desktop_app.core.views import why_effects, why_numpy, why_opened
from desktop_app.core.views.common import differs, token_name
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Phrase, joined

CELLS, SOURCES = "why.term", "why.source"
CONSTANT, SUM, OWN = Phrase("final norm bias"), Phrase("sum of the parts"), Phrase("the model's own")


def _compute(work: Work, target: int, against: int | None, baseline: Baseline, position: int) -> Attribution:
    return analysis.compute(
        work.model.checkpoint,
        work.trace,
        target=target,
        against=against,
        baseline=baseline,
        position=position,
        stop=work.stop,
    )


_WHY = Product("why", Phrase("Measuring every part"), _compute)

_LABELS = {
    Kind.EMBED: Phrase("token embedding"),
    Kind.POSITION: Phrase("position embedding"),
    Kind.ATTENTION_BIAS: Phrase("attention bias"),
    Kind.MLP: Phrase("MLP"),
    Kind.MLP_BIAS: Phrase("MLP bias"),
    Kind.ROUNDING: Phrase("rounding to int8"),
}


def target_of(scene: Scene) -> int:
    """The id of the explained token: the chosen one, else the first pinned one, else the likeliest."""
    state = scene.state
    if state.target is not None:
        return state.target
    return state.pinned[0] if state.pinned else int(scene.ranked.order[0])


def want(scene: Scene) -> Want:
    """The request for the attribution at the position whose next token is shown."""
    return Want(_WHY, (target_of(scene), _against(scene), scene.state.view.baseline, scene.position))


def _against(scene: Scene) -> int | None:
    """The id of the token that is compared with the explained one; None if no different token was chosen."""
    return scene.state.against if scene.state.against != target_of(scene) else None


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    own = want(scene)
    return (own, *why_effects.want(scene, target_of(scene), _against(scene)))


def content(scene: Scene) -> View:
    """The waterfall, from 0 to the logit or to the difference of two logits."""
    found: Attribution | None = scene.made(want(scene))
    if found is None:
        return View(_title(scene), "", column(TextPanel(lines=(Line("", _WHY.waiting),))))
    return View(_title(scene), "", column(_waterfall(scene, found)))


def _title(scene: Scene) -> str:
    quoted, (_, against, baseline, _) = scene.tokenizer.quoted, want(scene).args
    if isinstance(against, int):
        return Phrase("Why {1} rather than {2}", quoted(target_of(scene)), quoted(against))
    if baseline == "mean":
        return Phrase("Why {1} rather than the average token", quoted(target_of(scene)))
    return Phrase("Where the logit of {1} comes from", quoted(target_of(scene)))


@dataclass(frozen=True)
class Term:
    """A row of the waterfall: the number of its cell, its label, and what it adds. For a block, `part` is None."""

    code: int
    label: str
    value: float
    part: Part | None = None
    layer: int | None = None


def label_of(part: Part) -> str:
    """The label of a part within its block."""
    if part.kind is Kind.EDIT:
        return part.name
    return Phrase("head {1}", part.head) if part.kind is Kind.HEAD else _LABELS[part.kind]


def terms(scene: Scene, found: Attribution) -> dict[int, Term]:
    """Every row that may be shown, by the number of its cell."""
    values = found.contribution
    rows = [Term(n, label_of(p), float(values[n]), p, p.layer) for n, p in enumerate(found.parts)]
    for layer in range(scene.config.n_layer):
        own = sum(float(v) for v, p in zip(values, found.parts, strict=True) if p.layer == layer)
        rows.append(Term(len(rows), Phrase("block {1}", layer), own, None, layer))
    last = ((CONSTANT, found.constant), (SUM, found.total), (OWN, found.own))
    rows += [Term(len(rows) + n, *words) for n, words in enumerate(last)]
    return {row.code: row for row in rows}


def _shown(scene: Scene, found: Attribution) -> Iterator[Term]:
    """The rows in order: each block, followed by its parts if it is unfolded."""
    every = terms(scene, found)
    count, layers = len(found.parts), scene.config.n_layer
    parts = [every[n] for n in range(count)]
    yield from (term for term in parts if term.part and term.part.kind in (Kind.EMBED, Kind.POSITION))
    for layer in range(layers):
        yield every[count + layer]
        if layer in scene.state.unfolded:
            yield from (term for term in parts if term.layer == layer)
    yield from (term for term in parts if term.part and term.part.kind is Kind.ROUNDING)
    yield from (every[count + layers + n] for n in range(3))


def _waterfall(scene: Scene, found: Attribution) -> WaterfallPanel:
    rows, rises, at = list(_shown(scene, found)), [], 0.0
    unfolded, total = scene.state.unfolded, len(found.parts) + scene.config.n_layer + 1
    moving = [t for t in rows if t.code < total and (t.part or t.layer not in unfolded)]
    largest = max(moving, key=lambda t: abs(t.value))
    say = aligned([t.value for t in rows])
    for term in rows:
        is_block = term.part is None and term.layer is not None
        rises.append(
            Rise(
                label=term.label,
                value=term.value,
                start=0.0 if term.code >= total else at,
                text=say(term.value),
                remark=_remark(scene, found, term, say),
                unfolded=term.layer in unfolded if is_block else None,
                deeper=term.part is not None and term.layer is not None,
                total=term.code >= total,
                marked=term is largest,
            )
        )
        if term in moving:
            at += term.value
    difference = found.against is not None or found.baseline == "mean"
    return WaterfallPanel(
        title=Phrase("Part by part to the difference of the logits")
        if difference
        else Phrase("Part by part to the logit"),
        note=Phrase("after {1}", token_name(scene, found.position)),
        rises=tuple(rises),
        source=Source(CELLS, ("row",), rows=tuple(t.code for t in rows)),
        x_label=Phrase("logits"),
    )


def signed(value: float) -> str:
    """A number with its sign."""
    return ("+" if value > 0 else "") + number(value)


def aligned(values: list[float]) -> Callable[[float], str]:
    """A formatter for signed numbers that uses the decimals with which the largest of `values` has four digits.

    A smaller number that these decimals would round to 0 is shown with one significant digit.
    """
    size = max(map(abs, values))
    decimals = 3 if size < 10 else 2 if size < 100 else 1 if size < 1000 else 0

    def say(value: float) -> str:
        text = f"{value:+.{decimals}f}"
        return text.replace("-", "−") if float(text) or not value else _brief(float(f"{value:.1g}"))

    return say


def _brief(value: float) -> str:
    return ("+" if value > 0 else "") + short(value)


def effect_of(scene: Scene, term: Term) -> float | None:
    """How much ablating a row's part or block changes the explained number; None if that was not requested."""
    return why_effects.of(scene, wants(scene)[1:], term.part, term.layer)


def _remark(scene: Scene, found: Attribution, term: Term, say: Callable[[float], str]) -> str:
    """The remark after a bar: the effect of ablation, the largest part, or how close the sum is to the model's."""
    if term.label == OWN:
        closing = found.closings()[0]
        by = short(float(f"{closing.difference:.1g}"))
        return differs(by, closing.good)
    if (effect := effect_of(scene, term)) is not None:
        return Phrase("muting it {1}", say(effect))
    if term.part is None and term.layer is not None:
        inside = [(float(v), p) for v, p in zip(found.contribution, found.parts, strict=True) if p.layer == term.layer]
        value, part = max(inside, key=lambda pair: abs(pair[0]))
        return Phrase("largest: {1} {2}", label_of(part), say(value))
    if term.part is None or term.layer is None:
        return ""
    if term.part.kind is Kind.HEAD and found.head_source is not None:
        sources = found.head_source[term.layer, term.part.head]
        key = int(abs(sources).argmax())
        return Phrase("from {1} {2}", scene.labels[key], say(float(sources[key])))
    if term.part.kind is Kind.MLP and found.neuron is not None:
        neuron = int(abs(found.neuron[term.layer]).argmax())
        return Phrase("neuron {1} {2}", neuron, say(float(found.neuron[term.layer, neuron])))
    return ""


# Cells


def _at(scene: Scene, cell: Cell) -> tuple[Attribution, Term]:
    """The attribution, and the row of a cell. Raises ModelError if there is none."""
    found: Attribution | None = scene.made(want(scene))
    if found is None:
        raise ModelError(f"{cell.name} is not computed yet for the current settings; open it once the view shows it.")
    term = terms(scene, found).get(cell.index[0]) if cell.name == CELLS and len(cell.index) == 1 else None
    if term is None:
        raise ModelError(f"There is no {cell.name}{list(cell.index)}.")
    return found, term


def _source_at(scene: Scene, cell: Cell) -> tuple[Attribution, Part, int]:
    """The attribution, and the head and position of a cell of `why.source`. Raises ModelError if there is none."""
    found: Attribution | None = scene.made(want(scene))
    layer, head, key = cell.index if len(cell.index) == 3 else (-1, -1, -1)
    part = next((p for p in found.parts if (p.layer, p.head) == (layer, head)), None) if found is not None else None
    if found is None or part is None or not 0 <= key < why_opened.keys_of(scene, found, layer, head):
        raise ModelError(f"There is no {cell.name}{list(cell.index)}.")
    return found, part, key


def describe(scene: Scene, cell: Cell) -> Readout:
    """What is shown about a bar under the pointer."""
    if cell.name == SOURCES:
        found, part, key = _source_at(scene, cell)
        assert found.head_source is not None
        value = float(found.head_source[part.layer, part.head, key])
        source, end = token_name(scene, key), token_name(scene, found.position)
        return Readout(
            Phrase("{1} logits", signed(value)),
            part.name,
            Phrase("from {1}, after {2}", source, end),
            "pattern · v W_O · u / s",
            inputs=(place_of(part),),
        )
    found, term = _at(scene, cell)
    name = term.label if term.part is None else term.part.name
    in_block = term.part is not None and term.layer is not None
    label = Phrase("{1} of block {2}", term.label, term.layer) if in_block else term.label
    after = Phrase("{1}, after {2}", label, token_name(scene, found.position))
    place = joined("; ", filter(None, (after, _remark(scene, found, term, aligned([term.value])))))
    inputs = (place_of(term.part),) if term.part is not None and term.part.kind is not Kind.ROUNDING else ()
    return Readout(Phrase("{1} logits", signed(term.value)), name, place, "part · u / s", inputs=inputs)


def place_of(part: Part) -> str:
    """The key of the step at which a part can be inspected, which is the name of its tensor."""
    if part.kind is Kind.EDIT:
        return part.tensor
    name = {Kind.HEAD: "attn.pattern", Kind.ATTENTION_BIAS: "attn_out", Kind.MLP: "mlp.post", Kind.MLP_BIAS: "mlp_out"}
    return part.name if part.layer is None else f"blocks.{part.layer}.{name[part.kind]}"


def targets(scene: Scene, cell: Cell) -> tuple[Target, ...]:
    """What can be edited for a bar: what writes its part or, for a source position of a head, the attention to it."""
    if cell.name == SOURCES:
        found, part, key = _source_at(scene, cell)
        assert part.layer is not None and part.head is not None
        return look(scene, part.layer, part.head, found.position, key), head(part.layer, part.head)
    _, term = _at(scene, cell)
    return of_part(term.part) if term.part is not None else () if term.layer is None else (block(term.layer),)


def of_part(part: Part) -> tuple[Target, ...]:
    """The edit target for what writes a part of the residual stream; none if that cannot be edited as a whole."""
    if part.kind is Kind.HEAD and part.layer is not None and part.head is not None:
        return (head(part.layer, part.head),)
    if part.kind is Kind.MLP and part.layer is not None:
        return (mlp(part.layer),)
    return (Target(Phrase("token embedding"), (Place("embed"),), ROW),) if part.kind is Kind.EMBED else ()


def choose(scene: Scene, cell: Cell) -> State:
    """The state after a click: a block is unfolded or folded; a part is opened at the step that shows it."""
    found, term = _at(scene, cell)
    state = scene.state
    if term.part is None and term.layer is not None:
        folded = tuple(n for n in state.unfolded if n != term.layer)
        return replace(state, unfolded=folded if term.layer in state.unfolded else tuple(sorted((*folded, term.layer))))
    if term.label == OWN:
        return replace(state, opened=(Cell("logits", (found.position, found.target)),))
    state = replace(state, opened=(cell,))
    if term.part is None or term.part.kind is Kind.ROUNDING:
        return state
    layer, head = term.layer, term.part.head
    return replace(
        state,
        step=place_of(term.part),
        token=found.position,
        layer=state.layer if layer is None else layer,
        head=state.head if head is None else head,
    )


def as_numpy(scene: Scene, cell: Cell | None) -> str:
    """Lines of code that recompute an opened part, or the folded waterfall. Raises ModelError in int8."""
    if cell is not None and cell.name == SOURCES:
        found, part, _ = _source_at(scene, cell)
        return why_numpy.as_numpy(scene, found, part)
    found, term = _at(scene, cell or Cell(CELLS, (0,)))
    return why_numpy.as_numpy(scene, found, None if cell is None else term.part)


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened bar."""
    if cell.name == SOURCES:
        found, part, key = _source_at(scene, cell)
        readout = describe(scene, cell)
        assert found.head_source is not None
        title = f"{part.name} = {signed(float(found.head_source[part.layer, part.head, key]))}"
        return View(title, readout.place, why_opened.source(scene, found, part, key))
    found, term = _at(scene, cell)
    title = Phrase("{1} = {2}", term.label if term.part is None else term.part.name, signed(term.value))
    lead = describe(scene, cell).place
    if term.part is not None and term.part.kind is not Kind.ROUNDING:
        return View(title, lead, why_opened.part(scene, found, term.part, term.value))
    if term.label == CONSTANT:
        return View(title, lead, why_opened.constant(scene, found))
    own = [
        (label_of(p), float(v), n)
        for n, (p, v) in enumerate(zip(found.parts, found.contribution, strict=True))
        if term.layer is not None and p.layer == term.layer
    ]
    return View(title, lead, why_opened.together(found, own, CELLS))
