"""The workspace of one attention score: the score as a sum over parts of the query and parts of the key."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from desktop_app.core.analysis import score as analysis
from desktop_app.core.analysis.parts import Kind, Part, fold
from desktop_app.core.analysis.score import Score
from desktop_app.core.asking.intents import AskKey
from desktop_app.core.edits.editing import Target
from desktop_app.core.edits.targets import of_tensor
from desktop_app.core.levels import Levels, number
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
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
    headed,
    row,
)
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import State
from desktop_app.core.views.common import key_bars, token_name
from desktop_app.core.views.dot import aligned, largest_terms
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.mask import CAUSAL, seen_by
from desktop_app.gpt2.phrase import Phrase
from desktop_app.gpt2.tensors import tensor_table

KEY = "look"
_SHOWN = 8  # parts shown separately on each side; the others are combined
_KEYS, _TERMS = 6, 8

_FOLDS = {
    "parts": "parts",
    "heads": "heads and MLPs",
    "sublayers": "sublayers",
    "blocks": "blocks",
    "kinds": "kinds",
}
"""Value of the option -> an entry of LEVELS of core/analysis/parts.py. Cells refer to it by its index in this table."""

_KINDS = {
    Kind.EMBED: "embed",
    Kind.POSITION: "pos_embed",
    Kind.HEAD: "heads",
    Kind.ATTENTION_BIAS: "b_O",
    Kind.MLP: "MLPs",
    Kind.MLP_BIAS: "b_out",
    Kind.ROUNDING: "int8",
    Kind.EDIT: "edit",
}


def _compute(work: Work, layer: int, head: int, query: int, key: int) -> Score:
    return analysis.compute(
        work.model.checkpoint, work.trace, layer=layer, head=head, query=query, key=key, stop=work.stop
    )


_SCORE = Product("look", Phrase("Opening the score"), _compute, quick=False)


def at_cell(config: Config, state: State, cell: Cell | None) -> State:
    """The state with this workspace open, at `cell` if that is in an attention grid and its key not after the query."""
    there = replace(state, workspace=KEY)
    tensor = None if cell is None else tensor_table(config).get(cell.name)
    if cell is None or tensor is None or tensor.axes != ("head", "query", "key") or len(cell.index) != 3:
        return there
    head, query, key = cell.index
    if key > query:
        return there
    return replace(there, layer=tensor.layer or 0, head=head, token=query, key=key)


def key_of(scene: Scene) -> int:
    """The key shown: the chosen one, or the one that the query attends to most (except key 0, if that is left out)."""
    chosen = scene.state.key
    if chosen is not None and chosen < scene.reach(scene.token):
        return chosen
    weights = scene.trace.read(scene.block("attn.pattern"), head=scene.head, row=scene.token)[
        : scene.reach(scene.token)
    ]
    start = 1 if scene.state.view.skip_first and scene.token else 0
    return start + int(np.argmax(weights[start:]))


def want(scene: Scene) -> Want:
    """The request for the decomposition of the shown score."""
    return Want(_SCORE, (scene.layer, scene.head, scene.token, key_of(scene)))


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs; none where an edit keeps the score from being a sum."""
    return () if analysis.refusal(scene.trace, scene.layer) else (want(scene),)


# Groups of parts


@dataclass(frozen=True)
class Group:
    """Parts that are shown as one: their label and their indices."""

    label: str
    members: tuple[int, ...]


@dataclass(frozen=True)
class Side:
    """The parts of the query or of the key.

    `groups` are all groups by their numbers, which are indices of cells; `shown` are the numbers of the groups
    displayed. The last of these contains all parts. The one before it contains those not shown separately, if there are
    any.
    """

    groups: Mapping[int, Group]
    shown: tuple[int, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the shown groups."""
        return tuple(self.groups[n].label for n in self.shown)

    def summed(self, values: Array) -> Array:
        """`values`, whose first axis is parts, summed within each of the shown groups."""
        return np.stack([values[list(self.groups[n].members)].sum(0) for n in self.shown])


def sides(score: Score, parts: str, *, relative: bool) -> tuple[Side, Side]:
    """The parts of both sides, grouped as the option says, in the order of descending sums."""
    by_query, by_key = score.by_query_part(relative=relative), score.by_key_part(relative=relative)
    return (
        _side(score.query_parts, parts, by_query, Phrase("whole query")),
        _side(score.key_parts, parts, by_key, Phrase("whole key")),
    )


def _side(parts: Sequence[Part], level: str, sums: Array, total: str) -> Side:
    folded = fold(parts, _FOLDS[level])
    order = np.argsort(-np.abs(folded.summed(sums)), kind="stable").tolist()
    count = len(order)
    shown = order if count <= _SHOWN + 1 else order[:_SHOWN]
    groups = {n: Group(_label([parts[m] for m in members], level), members) for n, members in enumerate(folded.members)}
    if len(shown) < count:
        left = tuple(m for n in order[len(shown) :] for m in folded.members[n])
        groups[count] = Group(Phrase("{1} others", count - len(shown)), left)
        shown = [*shown, count]
    groups[count + 1] = Group(total, tuple(range(len(parts))))
    return Side(groups, (*shown, count + 1))


def _label(members: Sequence[Part], level: str) -> str:
    """The label of a part, or of a group of parts."""
    first = members[0]
    if first.kind is Kind.NORM_BIAS:
        return f"{first.name.rpartition('.')[2]}, ln1.b"
    if level == "kinds" or first.layer is None:
        return _KINDS[first.kind]
    if level == "blocks":
        return Phrase("block {1}", first.layer)
    attends = first.kind in (Kind.HEAD, Kind.ATTENTION_BIAS)
    if level == "sublayers":
        return f"{'attn' if attends else 'mlp'} {first.layer}"
    if first.kind is Kind.HEAD:
        return f"L{first.layer}H{first.head}"
    if first.kind is Kind.MLP:
        return Phrase("mlp {1}", first.layer)
    return Phrase("biases {1}", first.layer) if level == "heads" else Phrase("{1} {2}", _KINDS[first.kind], first.layer)


def table(score: Score, query: Side, key: Side, *, relative: bool) -> Array:
    """The numbers shown, [query part, key part]; the last row and the last column are sums."""
    terms = score.relative if relative else score.terms
    return key.summed(query.summed(terms).T).T


def _shown(scene: Scene) -> tuple[Score, Side, Side, Array] | None:
    score: Score | None = scene.made(want(scene))
    if score is None:
        return None
    relative = scene.state.view.look == "relative"
    query, key = sides(score, scene.state.view.look_parts, relative=relative)
    return score, query, key, table(score, query, key, relative=relative)


# The view


def content(scene: Scene) -> View:
    """The table of parts with its sums, the total next to the model's number, and the keys that can be chosen."""
    key = key_of(scene)
    where = Phrase("Block {1} · Head {2}", scene.layer, scene.head)
    why = Phrase("why {1} looks at {2}", token_name(scene, scene.token), token_name(scene, key))
    title = headed(where, why)
    found = _shown(scene)
    if found is None:
        if said := analysis.refusal(scene.trace, scene.layer):
            return View(title, "", column(TextPanel(lines=(Line("", "", said),)), _keys(scene, key)))
        return View(title, "", column(TextPanel(lines=(Line("", _SCORE.waiting),))))
    score, query_side, key_side, values = found
    relative = scene.state.view.look == "relative"
    inner = np.abs(values).copy()
    inner[-1, -1] = 0  # the total does not count for the colour scale, since it would make the other cells pale
    limit = float(inner.max()) or 1.0
    picture = MapPanel(
        title=Phrase("Query parts × key parts"),
        note=Phrase("largest sums first; less the row's mean")
        if relative
        else Phrase("largest sums first; scale included"),
        values=values,
        levels=Levels(-limit, limit, rule=Phrase("this view")),
        row_labels=query_side.labels,
        column_labels=key_side.labels,
        source=Source(
            f"look.{scene.state.view.look}",
            (list(_FOLDS).index(scene.state.view.look_parts), "row", "col"),
            rows=query_side.shown,
            cols=key_side.shown,
        ),
        hue=Hue.QUERY,
        picks=None,
        x_label=Phrase("query part ↓, key part →"),
        texts=_texts(values, limit),
        sums=True,
    )
    return View(title, "", column(picture, row(_closes(scene, score, values), _keys(scene, key)), weights=(3, 1)))


def _texts(values: Array, limit: float) -> tuple[tuple[str, ...], ...]:
    """The numbers of the table as text, all with as many decimals as give the largest at most three digits."""
    decimals = min(max(2 - math.floor(math.log10(limit)), 0), 6) if limit > 0 else 0
    return tuple(tuple(f"{v:z.{decimals}f}".replace("-", "−") for v in line) for line in values)


def _closes(scene: Scene, score: Score, values: Array) -> BarsPanel:
    """The sum of all cells, and the number that the model computed."""
    total, at = float(values[-1, -1]), (score.head, score.query, score.key)
    relative = scene.state.view.look == "relative"
    own = score.relative_score if relative else score.score
    bars = [Bar(Phrase("sum"), total, number(total), Phrase("of all cells"))]
    if relative:
        mean = score.score - own
        bars.append(Bar(Phrase("score − mean"), own, number(own), Phrase("the model's")))
        bars.append(Bar(Phrase("mean"), mean, number(mean), Phrase("of the row")))
    source = (f"blocks.{score.layer}.attn.scaled", at)
    bars.append(Bar(Phrase("score"), score.score, number(score.score), Phrase("the model's"), source=source))
    return BarsPanel(
        title=Phrase("It adds up"),
        note=Phrase("differs by {1}", number(abs(total - own))),
        hint=Phrase("click the score to open it"),
        bars=tuple(bars),
        hue=Hue.ACCENT,
    )


def _keys(scene: Scene, key: int) -> BarsPanel:
    """The keys that the query attends to most, and the shown key; a click chooses another key."""
    tensor = scene.block("attn.pattern")
    weights = scene.trace.read(tensor, head=scene.head, row=scene.token)[: scene.reach(scene.token)]
    shown = np.argsort(-weights, kind="stable")[:_KEYS].tolist()
    shown = shown if key in shown else [*shown[: _KEYS - 1], key]
    bars = key_bars(scene, weights, shown, lambda j: (tensor, (scene.head, scene.token, j)), pick=AskKey, marked=key)
    title = Phrase("What {1} looks at", token_name(scene, scene.token))
    return BarsPanel(title=title, hint=Phrase("click a key to ask about it"), bars=bars, hue=Hue.ATTENTION)


# Cells


@dataclass(frozen=True, eq=False)
class Pair:
    """A cell of the table: labels and parts of both sides, its number, and the vectors whose dot product it is."""

    score: Score
    labels: tuple[str, str]
    members: tuple[tuple[int, ...], tuple[int, ...]]
    value: float
    query: Array
    key: Array


def pair_of(scene: Scene, cell: Cell) -> Pair:
    """The parts and vectors of a cell. Raises ModelError if the cell is not shown."""
    score: Score | None = scene.made(want(scene))
    if score is None:
        said = analysis.refusal(scene.trace, scene.layer)
        raise ModelError(said or f"{cell.name} is not computed yet; open it when the score is shown.")
    level, *at = cell.index if len(cell.index) == 3 else (-1, -1, -1)
    if cell.name not in ("look.relative", "look.raw") or not 0 <= level < len(_FOLDS):
        raise ModelError(f"There is no {cell.name}{list(cell.index)}; a score has look.relative and look.raw.")
    relative = cell.name == "look.relative"
    both = sides(score, list(_FOLDS)[level], relative=relative)
    if not all(n in side.groups for side, n in zip(both, at, strict=True)):
        raise ModelError(f"This score does not have these parts: {cell.name}{list(cell.index)}.")
    asking, answering = (side.groups[n] for side, n in zip(both, at, strict=True))
    keys = score.key_vectors - score.mean_key_vectors if relative else score.key_vectors
    terms = score.relative if relative else score.terms
    # In the table, the group of all parts is labelled as the whole query or key; in the words on a cell it is "all".
    labels = (Phrase("all") if n == side.shown[-1] else side.groups[n].label for side, n in zip(both, at, strict=True))
    return Pair(
        score,
        (next(labels), next(labels)),
        (asking.members, answering.members),
        float(terms[np.ix_(asking.members, answering.members)].sum()),
        score.query_vectors[list(asking.members)].sum(0),
        keys[list(answering.members)].sum(0),
    )


def describe(scene: Scene, cell: Cell) -> Readout:
    """What is shown about a cell of the table under the pointer."""
    pair = pair_of(scene, cell)
    return Readout(
        number(pair.value),
        Phrase("{1} × {2}", *pair.labels),
        Phrase("query {1}, key {2}", token_name(scene, pair.score.query), token_name(scene, pair.score.key)),
    )


def targets(scene: Scene, cell: Cell) -> tuple[Target, ...]:
    """What can be edited for a cell: the attention score that the table decomposes."""
    pair_of(scene, cell)
    score = f"blocks.{scene.layer}.attn.scaled"
    return of_tensor(scene, Cell(score, (scene.head, scene.token, key_of(scene))))


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened cell: the two vectors whose dot product it is, and where in the model they come from."""
    pair = pair_of(scene, cell)
    products = pair.query * pair.key
    total = float(products.sum())
    again = total / pair.score.divisor
    made_of = Phrase("q and k: the parts through layer norm's frozen scale, W_Q and W_K")
    if cell.name == "look.relative":
        made_of = Phrase(
            "q and k: the parts through layer norm's frozen scale, W_Q and W_K, less its mean over keys 0 to {1}",
            pair.score.query,
        )
        if scene.trace.run.mask != CAUSAL:
            made_of = Phrase(
                "q and k: the parts through layer norm's frozen scale, W_Q and W_K, less its mean over the keys that "
                "the query sees"
            )
    lines = (
        formula_line(
            Phrase("q · k / scale"),
            made_of,
        ),
        Line(Phrase("with numbers"), f"{number(total)} / {number(pair.score.divisor)}"),
        Line(Phrase("recomputed"), number(again), Phrase("differs by {1}", number(abs(again - pair.value)))),
    )
    query, key = Strip("q", pair.query, None, Hue.QUERY), Strip("k", pair.key, None, Hue.KEY, "×")
    made = (
        *_made_by(pair.score.query_parts, pair.members[0], pair.score.query, Phrase("query")),
        *_made_by(pair.score.key_parts, pair.members[1], pair.score.key, Phrase("key")),
    )
    largest = largest_terms(query, key)
    written = BarsPanel(title=Phrase("Written by"), hint=Phrase("click to open"), bars=made, hue=Hue.RESIDUAL)
    return View(
        Phrase("{1} × {2} = {3}", *pair.labels, number(pair.value)),
        Phrase("query {1}, key {2}", token_name(scene, pair.score.query), token_name(scene, pair.score.key)),
        column(TextPanel(lines=lines), *aligned(query, key), row(largest, written) if made else largest),
    )


_WRITERS = {Kind.EMBED: "embed", Kind.POSITION: "pos_embed", Kind.MLP: "mlp_out", Kind.HEAD: "attn.z"}


def _made_by(parts: Sequence[Part], members: tuple[int, ...], position: int, side: str) -> tuple[Bar, ...]:
    """For a single part, a bar that links to its tensor; none for a group."""
    part = parts[members[0]]
    name = _WRITERS.get(part.kind)
    if len(members) > 1 or name is None:
        return ()
    name = name if part.layer is None else f"blocks.{part.layer}.{name}"
    index = (part.head, position, 0) if part.head is not None else (position, 0)
    return (Bar(side, 0.0, name, Phrase("position {1}", position), source=(name, index)),)


def as_numpy(scene: Scene, _cell: Cell | None) -> str:
    """Lines of code that recompute every term. Raises ModelError for a model rounded to int8."""
    config, layer, head = scene.config, scene.layer, scene.head
    if config.int8:
        raise ModelError("The parts of a score are not written as numpy for weights rounded to int8; switch that off.")
    query, key, block = scene.token, key_of(scene), f"blocks.{layer}"
    width, start = config.d_head, head * config.d_head
    columns = {c: f"{n * config.n_embd + start}:{n * config.n_embd + start + width}" for n, c in enumerate("qk")}
    reads = [("embed", "embed", ""), ("pos_embed", "pos_embed", ""), ("scale", f"{block}.ln1.scale", "[:, 0]")]
    reads += [("w", f"{block}.ln1.w", ""), ("b", f"{block}.ln1.b", "")]
    for c in "qk":
        reads += [(f"W_{c}", f"{block}.attn.W_QKV", f"[:, {columns[c]}]")]
        reads += [(f"b_{c}", f"{block}.attn.b_QKV", f"[{columns[c]}]")]
    for n in range(layer):
        names = {"z": "attn.z", "W_O": "attn.W_O", "b_O": "attn.b_O", "mlp": "mlp_out", "b_out": "mlp.b_out"}
        reads += [(f"{variable}_{n}", f"blocks.{n}.{name}", "") for variable, name in names.items()]
    before = ", ".join(f"(z_{n}, W_O_{n}, b_O_{n}, mlp_{n}, b_out_{n})" for n in range(layer))
    lines = [
        f"blocks = [{before}]",
        "def parts(t):  # what wrote the residual stream at position t: embeddings, heads, biases, MLPs",
        "    found = [embed[t], pos_embed[t]]",
        "    for z, W_O, b_O, mlp, b_out in blocks:",
        f"        found += [z[h, t] @ W_O[h * {width} : (h + 1) * {width}] for h in range({config.n_head})]",
        "        found += [b_O, mlp[t] - b_out, b_out]",
        "    return np.array(found)",
        "def through(t, W, bias):  # layer norm with its scale frozen, then W; its bias is a separate part",
        "    x = parts(t)",
        "    return np.vstack([(x - x.mean(-1, keepdims=True)) / scale[t] * w @ W, b @ W + bias])",
        f"q, k = through({query}, W_q, b_q), through({key}, W_k, b_k)",
    ]
    if scene.state.view.look == "relative":
        seen = seen_by(scene.trace.run.mask, config, scene.layer, head, query, len(scene.trace))
        keys = (
            f"range({query + 1})"
            if seen[: query + 1].all() and seen.sum() == query + 1
            else str(np.flatnonzero(seen).tolist())
        )
        lines.append(f"k -= np.mean([through(t, W_k, b_k) for t in {keys}], 0)  # less the row's mean")
    lines.append(f"result = q @ k.T / {config.score_divisor(layer)!r}  # [query part, key part]")
    return program(scene.checkpoint, f"parts of {block}.attn.scaled[{head}, {query}, {key}]", reads, lines)
