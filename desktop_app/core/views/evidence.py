"""The evidence workspace: passages of many texts in which a neuron or head is most active, and its effect here.

Its cells are `evidence.passage[row, column]`, a token of a passage (the token in column BEFORE has the recorded value);
`evidence.neuron[layer, neuron]`; and `evidence.written[token]`, what the neuron adds to a token's logit.
"""

from dataclasses import replace

import numpy as np

from desktop_app.core.analysis.folding import along_unembedding
from desktop_app.core.edits.editing import Place, Target, head
from desktop_app.core.evidence.saved import Evidence
from desktop_app.core.evidence.shown import AFTER, BEFORE, Passage, Passages
from desktop_app.core.levels import Levels, number
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
    Bar,
    BarsPanel,
    Hue,
    Line,
    ShadedPanel,
    Source,
    Strip,
    TextPanel,
    View,
    column,
    formula_line,
    row,
)
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import ASKED, State, encode, unplaced
from desktop_app.core.views.common import token_name
from desktop_app.core.views.dot import dot_panels
from desktop_app.core.views.evidence_panels import most_active, muted_here, of_head, of_neuron, over_all, table
from desktop_app.core.views.evidence_wants import (
    EVIDENCE,
    evidence_of,
    evidence_want,
    made,
    name_of,
    of_heads,
    typed,
    unit_of,
)
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from desktop_app.gpt2.phrase import Count, Phrase
from desktop_app.gpt2.weights import UNEMBEDDING

# settings of the pass that are not reset when a passage becomes the prompt: the model stays, and `text`, `start` and
# `space` are the passage's
_OF_PROMPT = ("model", "int8", "text", "start", "space")
_HEAD_LEAD = Phrase(
    "The passages of many texts in which this head writes most into the stream, and its scores over all texts. Each "
    "token is shaded by the length of what the head adds there, in a pass of this model; a large length does not say "
    "what it is good for."
)


def content(scene: Scene) -> View:
    """Passages with shaded tokens, next to what the neuron or head does in other texts and in this prompt."""
    layer, unit = unit_of(scene)
    title = (
        Phrase("What head {1} does", name_of(layer, unit))
        if of_heads(scene)
        else Phrase("What excites neuron {1}", name_of(layer, unit))
    )
    lead = _HEAD_LEAD if of_heads(scene) else ""
    evidence = evidence_of(scene)
    if evidence is None:
        said = scene.made(evidence_want(scene))
        words = TextPanel(lines=(Line("", "" if said else EVIDENCE.waiting, said or ""),))
        return View(title, lead, column(words, most_active(scene, None), weights=(1, 2)))
    passages, everywhere = table(scene, evidence), over_all(scene, evidence, layer, unit)
    of_unit = of_head(scene, evidence, layer, unit) if of_heads(scene) else of_neuron(scene, evidence)
    beside = (*of_unit, muted_here(scene, evidence))
    wide = row(column(passages, everywhere, weights=(3, 1)), column(*beside), weights=(5, 2))
    return View(title, lead, replace(column(passages, row(*beside), everywhere, weights=(3, 2, 1)), wide=wide))


# Cells


def _passage(scene: Scene, cell: Cell) -> tuple[Evidence, Passage, int]:
    """The evidence, and the passage and position of a cell. Raises ModelError if there is none."""
    evidence = evidence_of(scene)
    passages = None if evidence is None else made(scene, evidence, "passages")
    if evidence is None or not isinstance(passages, Passages):
        raise ModelError(f"{cell.name} is not read yet; open it when the passages are shown.")
    rank, at = cell.index if len(cell.index) == 2 else (-1, -1)
    if not 0 <= rank < len(passages.found) or not 0 <= at <= BEFORE + AFTER:
        count = f"{len(passages.found)} passages of {BEFORE + AFTER + 1} tokens"
        raise ModelError(f"{cell.name} has no cell {list(cell.index)}; there are {count}.")
    passage = passages.found[rank]
    position = passage.position - BEFORE + at
    return evidence, passage, position


def _neuron(scene: Scene, cell: Cell) -> tuple[int, int]:
    if cell.name != "evidence.neuron":
        raise ModelError(f"There is no {cell.name}; evidence has passage, neuron and written.")
    layer, neuron = cell.index if len(cell.index) == 2 else (-1, -1)
    if not (0 <= layer < scene.config.n_layer and 0 <= neuron < scene.config.d_mlp):
        shape = f"{scene.config.n_layer} blocks of {scene.config.d_mlp:,} neurons"
        raise ModelError(f"{cell.name} has no cell {list(cell.index)}; there are {shape}.")
    return layer, neuron


def _token(scene: Scene, cell: Cell) -> tuple[int, Array]:
    if cell.name != "evidence.written":
        raise ModelError(f"There is no {cell.name}; evidence has passage, neuron and written.")
    evidence = evidence_of(scene)
    written = None if evidence is None else made(scene, evidence, "written")
    if not isinstance(written, np.ndarray):
        raise ModelError(f"{cell.name} is not computed yet; open it when it is shown.")
    if len(cell.index) != 1 or not 0 <= cell.index[0] < len(written):
        raise ModelError(f"{cell.name} has no cell {list(cell.index)}; there are {len(written):,} tokens.")
    return cell.index[0], written


def describe(scene: Scene, cell: Cell) -> Readout:
    """The readout of a cell of the workspace."""
    if cell.name == "evidence.passage":
        evidence, passage, position = _passage(scene, cell)
        if not 0 <= position < len(passage.ids):
            return Readout("no token", "passage", "outside its window")
        value = number(float(passage.values[position]))
        where = f"{scene.tokenizer.quoted(passage.ids[position])} in {evidence.file(passage.window)}"
        return Readout(value, "passage", where)
    if cell.name == "evidence.neuron":
        layer, neuron = _neuron(scene, cell)
        here = float(scene.trace.read(f"blocks.{layer}.mlp.post", row=scene.token)[neuron])
        return Readout(
            number(here), Phrase("neuron {1}", name_of(layer, neuron)), Phrase("at {1}", token_name(scene, scene.token))
        )
    token, written = _token(scene, cell)
    return Readout(number(float(written[token])), "logit per unit of activation", scene.tokenizer.quoted(token))


def prompt_of(state: State, scene: Scene, passage: Passage, unit: tuple[int, int]) -> State:
    """The state with the passage as its prompt, the recorded token selected, the same neuron or head, and no edits."""
    tokenizer, first = scene.tokenizer, scene.tokenizer.first
    begun = bool(first) and passage.ids[: len(first)] == first
    rest = passage.ids[len(first) if begun else 0 :]
    of_heads = state.view.evidence == "heads"
    placed = replace(
        unplaced(state),
        text=tokenizer.decode(rest),
        start=begun,
        space=False,
        token=passage.position,
        layer=unit[0],
        head=unit[1] if of_heads else state.head,
        neuron=state.neuron if of_heads else unit[1],
        view=replace(state.view, evidence_find=""),
        opened=(),
    )
    usual = State()
    others = {name: getattr(usual, name) for name in ASKED if name not in _OF_PROMPT}
    asked = replace(placed, **others)
    try:
        as_text = encode(asked, tokenizer) == passage.ids
    except LogitscopeError:  # the passage cuts a character in two, so its ids are used instead of its text
        as_text = False
    return asked if as_text else replace(asked, text="", appended=tuple(rest))


def choose(scene: Scene, cell: Cell) -> State | None:
    """The state after a click: a passage becomes the prompt, or a neuron is selected."""
    if cell.name == "evidence.passage":
        _, passage, _ = _passage(scene, cell)
        return prompt_of(scene.state, scene, passage, unit_of(scene))
    if cell.name == "evidence.neuron":
        layer, neuron = _neuron(scene, cell)
        named = typed(scene)[1] is not None
        view = replace(scene.state.view, evidence_find="") if named else scene.state.view
        return replace(scene.state, layer=layer, neuron=neuron, view=view)
    return None


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened cell: a whole passage, or a token's number with the two vectors it is computed from."""
    if cell.name == "evidence.passage":
        return _whole(scene, cell)
    if cell.name == "evidence.neuron":
        layer, neuron = _neuron(scene, cell)
        bar = Bar(
            f"blocks.{layer}.mlp.post",
            float(scene.trace.read(f"blocks.{layer}.mlp.post", row=scene.token)[neuron]),
            describe(scene, cell).value,
            source=(f"blocks.{layer}.mlp.post", (scene.token, neuron)),
        )
        lead = Phrase(
            "The model's own number on this prompt; it opens to the activation function at the neuron's input."
        )
        return View(
            Phrase("Neuron {1}", name_of(layer, neuron)),
            lead,
            column(BarsPanel(title=Phrase("Here"), bars=(bar,), hue=Hue.MLP)),
        )
    token, written = _token(scene, cell)
    layer, neuron = unit_of(scene)
    weights, value = scene.checkpoint.weights, float(written[token])
    writes = along_unembedding(scene.checkpoint, weights[f"blocks.{layer}.mlp.W_out"][neuron].astype(np.float64))
    reads = weights[UNEMBEDDING][token].astype(np.float64)
    product = float(writes @ reads)
    lines = (
        formula_line("(row of W_out less its mean) ⊙ w_final · W_U[token], less the mean over tokens"),
        Line(Phrase("with numbers"), f"{number(product)} − {number(product - value)}", f"= {number(value)}"),
    )
    strips = (
        Strip(Phrase("what it writes"), writes, None, Hue.MLP),
        Strip("W_U", reads, Source(UNEMBEDDING, (token, "col")), Hue.RESIDUAL),
    )
    title = Phrase("What neuron {1} adds to {2}", name_of(layer, neuron), scene.tokenizer.quoted(token))
    lead = Phrase(
        "From the weights alone, per unit of activation, before the final norm's scale; later blocks may change it."
    )
    return View(title, lead, column(TextPanel(lines=lines), *dot_panels(*strips)))


def _whole(scene: Scene, cell: Cell) -> View:
    evidence, passage, position = _passage(scene, cell)
    if not 0 <= position < len(passage.ids):
        raise ModelError(f"{cell.name} has no token at {list(cell.index)}, which is outside the passage's window.")
    layer, unit = unit_of(scene)
    values = np.maximum(passage.values, 0)
    levels = Levels(0.0, max(float(values.max()), 1e-9), diverging=False, rule=Phrase("this view"))
    pieces = tuple(scene.tokenizer.label(i) for i in passage.ids)
    same = abs(passage.value - passage.recorded) <= 1e-4 * max(abs(passage.value), 1e-9)
    lines = (
        Line(
            Phrase("text"),
            evidence.file(passage.window),
            Phrase("window {1}", Count(evidence.arrays["window_number"][passage.window])),
        ),
        Line(Phrase("scanned"), number(passage.recorded), Phrase("at position {1}", passage.position)),
        Line(
            Phrase("here"),
            number(passage.value),
            "rounding" if same else Phrase("more than rounding: scanned on another machine"),
        ),
    )
    shaded = ShadedPanel(title=Phrase("The passage"), pieces=pieces, values=values, levels=levels, selected=position)
    key = "A passage of head {1}: {2}" if of_heads(scene) else "A passage of neuron {1}: {2}"
    title = Phrase(key, name_of(layer, unit), number(float(passage.values[position])))
    lead = Phrase("At {1}, position {2} of the passage.", scene.tokenizer.quoted(passage.ids[position]), position)
    return View(title, lead, column(shaded, TextPanel(lines=lines), weights=(3, 1)))


def as_numpy(scene: Scene, cell: Cell | None) -> str:
    """Lines of code that recompute what the neuron adds to logits, or the norm of what the head adds by position."""
    del cell  # the lines are the same for every cell
    layer, unit = unit_of(scene)
    if of_heads(scene):
        first = unit * scene.config.d_head
        rows = f"[{first}:{first + scene.config.d_head}]"
        return program(
            scene.checkpoint,
            f"the length of what head {name_of(layer, unit)} adds at each position",
            (("z", f"blocks.{layer}.attn.z", f"[{unit}]"), ("W_O", f"blocks.{layer}.attn.W_O", rows)),
            ["result = np.linalg.norm(z @ W_O, axis=-1)"],
        )
    return program(
        scene.checkpoint,
        f"what neuron {name_of(layer, unit)} adds to the logit of every token, a unit of activation",
        (
            ("row", f"blocks.{layer}.mlp.W_out", f"[{unit}]"),
            ("w", "ln_final.w", ""),
            ("W_U", "unembed.W_U", ""),
        ),
        ["result = W_U @ ((row - row.mean()) * w)", "result -= result.mean()"],
    )


def targets(scene: Scene, cell: Cell) -> tuple[Target, ...]:
    """What can be edited for a cell: its neuron or head."""
    layer, unit = _neuron(scene, cell) if cell.name == "evidence.neuron" else unit_of(scene)
    if of_heads(scene):
        return (head(layer, unit),)
    return (Target(Phrase("neuron {1} of block {2}", unit, layer), (Place(f"blocks.{layer}.mlp.post", (":", unit)),)),)
