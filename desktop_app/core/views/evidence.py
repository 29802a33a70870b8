"""The evidence workspace: the passages of many texts where a neuron or head does most, and its effect on this prompt.

Its cells are `evidence.passage[row, column]`, a token of a shown passage (column BEFORE is the one with the recorded
value), `evidence.neuron[layer, neuron]`, and `evidence.written[token]`, what the neuron adds to a token's logit.
"""

import re
from dataclasses import replace

import numpy as np

from desktop_app.core.editing import Target, head, place
from desktop_app.core.evidence import shown
from desktop_app.core.evidence.findings import SAMPLE
from desktop_app.core.evidence.heads import DISTANCES, SCORES
from desktop_app.core.evidence.neurons import edges
from desktop_app.core.evidence.saved import Evidence
from desktop_app.core.evidence.shown import AFTER, BEFORE, Active, Found, Muted, Passage, Passages
from desktop_app.core.levels import Levels, cell_text, number, percent
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
    AnyPanel,
    Bar,
    BarsPanel,
    CurvePanel,
    Hue,
    Line,
    MapPanel,
    ShadedPanel,
    Source,
    TextPanel,
    View,
    column,
    row,
)
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.state import ASKED, State, encode, unplaced
from desktop_app.core.views.common import token_name
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from desktop_app.gpt2.phrase import Count, Phrase

_WRITTEN, _CHANGED, _PAIRS, _ACTIVE = 6, 4, 8, 10

_SCORE_WORDS = {
    "previous": Phrase("previous token"),
    "first": Phrase("first token"),
    "self": "itself",
    "duplicate": Phrase("duplicate token"),
    "induction": "induction",
    "entropy": "entropy",
    "distance": "distance",
    "share": Phrase("share of the stream"),
}
_OF_PROMPT = ("model", "int8", "text", "start", "space")  # the only settings of a pass not reset for a passage
_HEAD_LEAD = Phrase(
    "Of many texts the passages in which this head writes most into the stream, and its scores over all of them. Each "
    "token is shaded by the length of what the head adds there, in a pass of this model; that it is long does not say "
    "what it is good for."
)

_WINDOWS = {
    (False, True): "of {1} windows; computed here again, as scanned",
    (True, True): "of {1} sampled windows; computed here again, as scanned",
    (False, False): "of {1} windows; computed here again, apart from the scan by {2}",
    (True, False): "of {1} sampled windows; computed here again, apart from the scan by {2}",
}
"""(whether passages are by decile, whether the model reproduces the scan's values) -> the note on the passages."""


def _open(work: Work, path: str) -> Evidence | str:
    return shown.find_evidence(work.model.checkpoint, path)


def _passages(work: Work, evidence: "_Same", kind: str, layer: int, unit: int) -> Passages:
    return shown.read_passages(work.model.engine, evidence.value, kind, layer, unit, work.stop, work.progress)


def _written(work: Work, layer: int, neuron: int) -> Array:
    return shown.written(work.model.checkpoint, layer, neuron)


def _muted(work: Work, position: int, kind: str, layer: int, unit: int, mean: float) -> Muted | str:
    try:
        return shown.mute(work.model.engine, work.trace, position, kind, layer, unit, mean, work.stop)
    except ModelError as reason:  # shown in place of the effect
        return str(reason)


def _search(work: Work, evidence: "_Same", text: str) -> Found:
    return shown.search(evidence.value, work.model.tokenizer, text)


_EVIDENCE = Product("evidence", Phrase("Opening the evidence"), _open, of_text=False, quick=False)
_PASSAGES = Product("passages", Phrase("Reading the passages"), _passages, of_text=False, quick=False)
_WRITES = Product("written", Phrase("Reading what a neuron writes"), _written, of_text=False, quick=False)
_MUTED = Product("muted", Phrase("Muting it on this prompt"), _muted, quick=False)
_SEARCH = Product("evidence_search", Phrase("Searching the passages"), _search, of_text=False, quick=False)


class _Same:
    """Evidence as a hashable argument of a want; two are equal only if they hold the same object."""

    def __init__(self, value: Evidence) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def _of_heads(scene: Scene) -> bool:
    return scene.state.view.evidence == "heads"


def _kind(scene: Scene) -> str:
    return {"strongest": "top", "deciles": "decile", "heads": "head"}[scene.state.view.evidence]


def _typed(scene: Scene) -> tuple[str, tuple[int, int] | None]:
    """The text searched for, and the block and neuron if it names one, as "5.812" does."""
    typed = scene.state.view.evidence_find.strip()
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,6})", typed, re.ASCII)
    if match is None:
        return typed, None
    layer, neuron = int(match[1]), int(match[2])
    there = layer < scene.config.n_layer and neuron < scene.config.d_mlp
    return ("", (layer, neuron)) if there else (typed, None)


def evidence_want(scene: Scene) -> Want:
    """The want for the evidence about this model."""
    return Want(_EVIDENCE, (scene.state.evidence,))


def evidence_of(scene: Scene) -> Evidence | None:
    """The evidence about this model; None until it is loaded, or if there is none."""
    found = scene.made(evidence_want(scene))
    return found if isinstance(found, Evidence) else None


def unit_of(scene: Scene) -> tuple[int, int]:
    """Block and number of the shown neuron or head; for neurons the most active one unless one was chosen."""
    if _of_heads(scene):
        return scene.layer, scene.head
    named = _typed(scene)[1]
    if named is not None:
        return named
    if scene.state.neuron is not None:
        return scene.layer, min(scene.state.neuron, scene.config.d_mlp - 1)
    active = shown.most_active(scene.trace, scene.token, evidence_of(scene), 1)
    return int(active.layer[0]), int(active.neuron[0])


def _wanted(scene: Scene, evidence: Evidence) -> dict[str, Want]:
    """The wants of a view with evidence, by name."""
    layer, unit = unit_of(scene)
    same, kind = _Same(evidence), _kind(scene)
    mean = 0.0 if _of_heads(scene) else float(evidence.arrays["post.mean"][layer, unit])
    found = {"passages": Want(_PASSAGES, (same, kind, layer, unit))}
    if not _of_heads(scene):
        found["written"] = Want(_WRITES, (layer, unit))
    found["muted"] = Want(_MUTED, (scene.token, kind, layer, unit, mean))
    text = _typed(scene)[0]
    if text and not _of_heads(scene):
        found["search"] = Want(_SEARCH, (same, text))
    return found


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs: the evidence, and what is computed from it for the shown neuron or head."""
    evidence = evidence_of(scene)
    return (evidence_want(scene), *(() if evidence is None else _wanted(scene, evidence).values()))


def _made(scene: Scene, evidence: Evidence, what: str) -> object:
    want = _wanted(scene, evidence).get(what)
    return None if want is None else scene.made(want)


def _name(layer: int, unit: int) -> str:
    return f"{layer}.{unit}"


def content(scene: Scene) -> View:
    """Shaded passages, next to what the neuron or head does elsewhere and on this prompt."""
    layer, unit = unit_of(scene)
    title = (
        Phrase("What head {1} does", _name(layer, unit))
        if _of_heads(scene)
        else Phrase("What excites neuron {1}", _name(layer, unit))
    )
    lead = _HEAD_LEAD if _of_heads(scene) else ""
    evidence = evidence_of(scene)
    if evidence is None:
        said = scene.made(evidence_want(scene))
        words = TextPanel(lines=(Line("", "" if said else _EVIDENCE.waiting, said or ""),))
        return View(title, lead, column(words, _active(scene, None), weights=(1, 2)))
    table, spread = _table(scene, evidence), _spread(scene, evidence, layer, unit)
    of_unit = _head_panels(scene, evidence, layer, unit) if _of_heads(scene) else _neuron_panels(scene, evidence)
    beside = (*of_unit, _effect(scene, evidence))
    wide = row(column(table, spread, weights=(3, 1)), column(*beside), weights=(5, 2))
    return View(title, lead, replace(column(table, row(*beside), spread, weights=(3, 2, 1)), wide=wide))


def _neuron_panels(scene: Scene, evidence: Evidence) -> tuple[AnyPanel, ...]:
    found = _made(scene, evidence, "search")
    text = _typed(scene)[0]
    listed = _active(scene, evidence) if not text else _found(scene, found, text)
    return listed, _writes(scene, _made(scene, evidence, "written"))


def _rows(passage: Passage) -> range:
    """The shown positions of a passage, from BEFORE tokens before the recorded one to AFTER tokens after it."""
    return range(passage.position - BEFORE, passage.position + AFTER + 1)


def _table(scene: Scene, evidence: Evidence) -> MapPanel | TextPanel:
    passages = _made(scene, evidence, "passages")
    heading = {
        "strongest": Phrase("Strongest passages"),
        "deciles": Phrase("Passages from each tenth of the windows"),
        "heads": Phrase("Passages where it writes most"),
    }[scene.state.view.evidence]
    if not isinstance(passages, Passages):
        return TextPanel(title=heading, lines=(Line("", _PASSAGES.waiting),))
    if not passages.found:
        return TextPanel(title=heading, lines=(Line("", "", Phrase("No text of this evidence was long enough.")),))
    label = scene.tokenizer.label
    values = np.array([[p.values[n] if 0 <= n < len(p.ids) else np.nan for n in _rows(p)] for p in passages.found])
    texts = tuple(tuple(label(p.ids[n]) if 0 <= n < len(p.ids) else "" for n in _rows(p)) for p in passages.found)
    most = max(float(np.nanmax(values)), 1e-9)
    by_tenths = scene.state.view.evidence == "deciles"
    said = _WINDOWS[by_tenths, passages.apart < 1e-4]
    count = Count(min(SAMPLE, evidence.windows) if by_tenths else evidence.windows)
    return MapPanel(
        title=heading,
        note=Phrase(said, count, percent(passages.apart)),
        hint=Phrase("click one to read it as the prompt"),
        values=values,
        levels=Levels(min(0.0, float(np.nanmin(values))), most, diverging=False, rule=Phrase("this view")),
        row_labels=tuple(_label(p) for p in passages.found),
        texts=texts,
        source=Source("evidence.passage", ("row", "col")),
        selected_column=BEFORE,
        picks=None,
        hue=Hue.ATTENTION if _of_heads(scene) else Hue.MLP,
    )


def _label(passage: Passage) -> str:
    value = cell_text(passage.recorded)
    return value if passage.decile is None else f"{passage.decile + 1}: {value}"


def _active(scene: Scene, evidence: Evidence | None) -> BarsPanel:
    active = shown.most_active(scene.trace, scene.token, evidence, _ACTIVE)
    note = (
        Phrase("by how far above its mean over the texts") if evidence is not None else Phrase("after the activation")
    )
    return BarsPanel(
        title=Phrase("Most active at {1}", scene.tokenizer.quoted(scene.trace.ids[scene.token])),
        note=note,
        hint=Phrase("click one for its evidence"),
        bars=tuple(_active_bars(scene, active)),
        hue=Hue.MLP,
    )


def _active_bars(scene: Scene, active: Active) -> list[Bar]:
    bars = []
    here = unit_of(scene)
    for layer, neuron, value, unusual in zip(active.layer, active.neuron, active.value, active.unusual, strict=True):
        known = bool(np.isfinite(unusual))
        bars.append(
            Bar(
                _name(layer, neuron),
                float(unusual if known else value),
                f"{unusual:.1f} σ" if known else number(float(value)),
                number(float(value)) if known else "",
                marked=(int(layer), int(neuron)) == here,
                source=("evidence.neuron", (int(layer), int(neuron))),
            )
        )
    return bars


def _found(scene: Scene, found: object, text: str) -> AnyPanel:
    title = Phrase("Neurons that peak on {1}", f"{text!r}")
    if not isinstance(found, Found):
        return TextPanel(title=title, lines=(Line("", _SEARCH.waiting),))
    if not len(found.layer):
        where = Phrase("No neuron's strongest passages peak there. It stands in no window.")
        if found.windows:
            where = Phrase("No neuron's strongest passages peak there. It stands in {1} windows.", Count(found.windows))
        return TextPanel(title=title, lines=(Line("", "", where),))
    here = unit_of(scene)
    bars = tuple(
        Bar(
            _name(layer, neuron),
            float(hits),
            Phrase("{1} of {2}", hits, 20),
            marked=(int(layer), int(neuron)) == here,
            source=("evidence.neuron", (int(layer), int(neuron))),
        )
        for layer, neuron, hits in zip(found.layer, found.neuron, found.hits, strict=True)
    )
    return BarsPanel(
        title=title, note=Phrase("of their strongest passages"), hint=Phrase("click one"), bars=bars, hue=Hue.MLP
    )


def _writes(scene: Scene, written: object) -> AnyPanel:
    title = Phrase("What it writes for")
    if not isinstance(written, np.ndarray):
        return TextPanel(title=title, lines=(Line("", _WRITES.waiting),))
    by_size = np.argsort(-written, kind="stable")
    picked = (*by_size[:_WRITTEN].tolist(), *by_size[-2:].tolist())
    bars = tuple(
        Bar(
            scene.tokenizer.label(token),
            float(written[token]),
            number(float(written[token])),
            source=("evidence.written", (token,)),
        )
        for token in picked
    )
    return BarsPanel(title=title, note=Phrase("logit a unit, by the weights alone"), bars=bars, hue=Hue.RESIDUAL)


def _effect(scene: Scene, evidence: Evidence) -> AnyPanel:
    title = Phrase("Muted on this prompt")
    muted = _made(scene, evidence, "muted")
    if isinstance(muted, str):
        return TextPanel(title=title, lines=(Line("", "", muted),))
    if not isinstance(muted, Muted):
        return TextPanel(title=title, lines=(Line("", _MUTED.waiting),))
    before, after = np.exp(muted.before), np.exp(muted.after)
    order = np.argsort(-np.abs(after - before), kind="stable")[:_CHANGED]
    key = "to 0; KL {1} nats after {2}" if _of_heads(scene) else "to its mean; KL {1} nats after {2}"
    return BarsPanel(
        title=title,
        note=Phrase(key, number(muted.kl), token_name(scene, scene.token)),
        bars=tuple(
            Bar(scene.tokenizer.label(int(t)), float(after[t]), percent(float(after[t])), outline=float(before[t]))
            for t in order
        ),
        outlined=Phrase("before"),
    )


def _spread(scene: Scene, evidence: Evidence, layer: int, unit: int) -> CurvePanel:
    if _of_heads(scene):
        shares = evidence.arrays["distances"][layer, unit].astype(float)
        bins = [n for n, least in enumerate(DISTANCES) if least < int(evidence.about["length"])]
        return CurvePanel(
            title=Phrase("How far it looks"),
            note=Phrase("share of attention by distance, query less key"),
            lines=((np.array([float(DISTANCES[n]) for n in bins]), shares[bins]),),
            x_label=Phrase("tokens back, each point the least of its bin"),
        )
    counts = evidence.arrays["post.histogram"][layer, unit].astype(float)
    bounds = edges()
    middles = np.concatenate([[bounds[0]], (bounds[1:] + bounds[:-1]) / 2, [bounds[-1]]])
    used = np.flatnonzero(counts)
    span = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
    mean, positive = (float(evidence.arrays[f"post.{name}"][layer, unit]) for name in ("mean", "positive"))
    here = float(scene.trace.read(f"blocks.{layer}.mlp.post", row=scene.token)[unit])
    return CurvePanel(
        title=Phrase("All positions of the texts"),
        note=Phrase(
            "mean {1}; {2} above 0; {3} at {4}",
            number(mean),
            percent(positive),
            number(here),
            token_name(scene, scene.token),
        ),
        lines=((middles[span], np.log10(1 + counts[span])),),
        x_label=Phrase("activation; upwards: how many positions, in powers of ten"),
    )


def _head_panels(scene: Scene, evidence: Evidence, layer: int, unit: int) -> tuple[AnyPanel, ...]:
    scores, spread = evidence.arrays["scores"][:, layer, unit], evidence.arrays["spread"][:, layer, unit]
    lines = tuple(
        Line(words, number(float(scores[SCORES.index(name)])), f"± {number(float(spread[SCORES.index(name)]))}")
        for name, words in _SCORE_WORDS.items()
        if np.isfinite(scores[SCORES.index(name)])
    )
    pairs = {name: evidence.arrays[f"pairs.{name}"][layer, unit] for name in ("weight", "query_id", "key_id")}
    quoted = scene.tokenizer.quoted
    looks = tuple(
        Line(cell_text(float(pairs["weight"][n])), f"{quoted(int(pairs['query_id'][n]))} → "
             f"{quoted(int(pairs['key_id'][n]))}")
        for n in range(min(_PAIRS, len(pairs["weight"])))
        if pairs["weight"][n] >= 0
    )  # fmt: skip
    return (
        TextPanel(title=Phrase("Scores on the texts"), note=Phrase("mean and spread over windows"), lines=lines),
        TextPanel(title=Phrase("Strongest looks"), note=Phrase("query → key, each pair once"), lines=looks),
    )


# Cells


def _passage(scene: Scene, cell: Cell) -> tuple[Evidence, Passage, int]:
    """The evidence, and the passage and position of a cell. Raises ModelError if there is none."""
    evidence = evidence_of(scene)
    passages = None if evidence is None else _made(scene, evidence, "passages")
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
    written = None if evidence is None else _made(scene, evidence, "written")
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
            return Readout("no token", "passage", "its window begins later, or ends before")
        value = number(float(passage.values[position]))
        where = f"{scene.tokenizer.quoted(passage.ids[position])} in {evidence.file(passage.window)}"
        return Readout(value, "passage", where)
    if cell.name == "evidence.neuron":
        layer, neuron = _neuron(scene, cell)
        here = float(scene.trace.read(f"blocks.{layer}.mlp.post", row=scene.token)[neuron])
        return Readout(
            number(here), Phrase("neuron {1}", _name(layer, neuron)), Phrase("at {1}", token_name(scene, scene.token))
        )
    token, written = _token(scene, cell)
    return Readout(number(float(written[token])), "logit a unit of activation", scene.tokenizer.quoted(token))


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
    except LogitscopeError:  # the passage cuts a character in two, so its ids are used instead of text
        as_text = False
    return asked if as_text else replace(asked, text="", appended=tuple(rest))


def choose(scene: Scene, cell: Cell) -> State | None:
    """The state after a click: a passage becomes the prompt, a neuron the shown one."""
    if cell.name == "evidence.passage":
        _, passage, _ = _passage(scene, cell)
        return prompt_of(scene.state, scene, passage, unit_of(scene))
    if cell.name == "evidence.neuron":
        layer, neuron = _neuron(scene, cell)
        named = _typed(scene)[1] is not None
        view = replace(scene.state.view, evidence_find="") if named else scene.state.view
        return replace(scene.state, layer=layer, neuron=neuron, view=view)
    return None


def open_cell(scene: Scene, cell: Cell) -> View:
    """A whole passage, or a token's number with the two vectors that it is computed from."""
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
        lead = Phrase("The model's own number on this prompt; it opens to the sum that it is made of.")
        return View(
            Phrase("Neuron {1}", _name(layer, neuron)),
            lead,
            column(BarsPanel(title=Phrase("Here"), bars=(bar,), hue=Hue.MLP)),
        )
    token, written = _token(scene, cell)
    layer, neuron = unit_of(scene)
    lines = (
        Line(Phrase("formula"), "(row of W_out less its mean) ⊙ w_final · W_U[token], less the mean over tokens"),
        Line(
            Phrase("with numbers"), number(float(written[token])), f"blocks.{layer}.mlp.W_out[{neuron}], {token} of W_U"
        ),
    )
    title = Phrase("What neuron {1} adds to {2}", _name(layer, neuron), scene.tokenizer.quoted(token))
    lead = Phrase(
        "By the weights alone, a unit of activation, before the final norm's scale; later blocks may change it."
    )
    return View(title, lead, column(TextPanel(lines=lines)))


def _whole(scene: Scene, cell: Cell) -> View:
    evidence, passage, position = _passage(scene, cell)
    if not 0 <= position < len(passage.ids):
        raise ModelError(f"{cell.name} has no token at {list(cell.index)}: the window begins later, or ends before.")
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
    key = "A passage of head {1}: {2}" if _of_heads(scene) else "A passage of neuron {1}: {2}"
    title = Phrase(key, _name(layer, unit), number(float(passage.values[position])))
    lead = Phrase("At {1}, position {2} of the passage.", scene.tokenizer.quoted(passage.ids[position]), position)
    return View(title, lead, column(shaded, TextPanel(lines=lines), weights=(3, 1)))


def as_numpy(scene: Scene, cell: Cell | None) -> str:
    """Lines that recompute what the neuron adds to the logits, or the norm of what the head adds at each position."""
    del cell  # the lines are the same for every cell
    layer, unit = unit_of(scene)
    if _of_heads(scene):
        first = unit * scene.config.d_head
        rows = f"[{first}:{first + scene.config.d_head}]"
        return program(
            scene.checkpoint,
            f"the length of what head {_name(layer, unit)} adds at each position",
            (("z", f"blocks.{layer}.attn.z", f"[{unit}]"), ("W_O", f"blocks.{layer}.attn.W_O", rows)),
            ["result = np.linalg.norm(z @ W_O, axis=-1)"],
        )
    return program(
        scene.checkpoint,
        f"what neuron {_name(layer, unit)} adds to the logit of every token, a unit of activation",
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
    if _of_heads(scene):
        return (head(layer, unit),)
    return (Target(Phrase("neuron {1} of block {2}", unit, layer), (place(f"blocks.{layer}.mlp.post", ":", unit),)),)
