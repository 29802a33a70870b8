"""One head's weights page: what it writes when it reads a token, which keys a query prefers, and its directions.

Its cells are `heads.ov[layer, head, token read, token promoted]`, `heads.qk[layer, head, query token, key token]` and
`heads.kernel_q[layer, head, later layer, head]`, with `kernel_k` and `kernel_v`.
"""

import numpy as np

from desktop_app.core.analysis import head_circuits
from desktop_app.core.analysis.folding import (
    KEY,
    QUERY,
    VALUE,
    along_unembedding,
    embeddings,
    normed,
    read_matrices,
    require_head,
    write_matrices,
)
from desktop_app.core.analysis.head_circuits import HeadCircuits, TokenTable
from desktop_app.core.asking.intents import Measure, Open
from desktop_app.core.levels import number, percent
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
    AnyPanel,
    Bar,
    BarsPanel,
    Box,
    Cut,
    Hue,
    Line,
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
from desktop_app.core.views.dot import dot_panels
from desktop_app.core.views.head_page import name
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError, outside_vocabulary
from desktop_app.gpt2.phrase import Count, Phrase, Sentences

CELLS = ("ov", "qk", "kernel_q", "kernel_k", "kernel_v")
_SAYS = Phrase("It says what the head would do if it attended to one token alone, not that it does so in any text.")
_THROUGH, _ALONE = Phrase("tokens after block 0's MLP"), Phrase("tokens as they are embedded")
_SIDES = {
    "q": ("{1} query", "what {1} writes, {2}'s query", Hue.QUERY),
    "k": ("{1} key", "what {1} writes, {2}'s key", Hue.KEY),
    "v": ("{1} value", "what {1} writes, {2}'s value", Hue.VALUE),
}
_BARS, _WORST, _LISTED, _NEAR = 8, 3, 3, 8


def _compute(work: Work, layer: int, head: int, token: int, through_mlp: bool) -> HeadCircuits:
    return head_circuits.whole_head(
        work.model.checkpoint, layer, head, token, through_mlp=through_mlp, stop=work.stop, progress=work.progress
    )


_HEAD = Product("heads.weights", Phrase("Reading the head's weights"), _compute, of_text=False, quick=False)


def through_mlp(scene: Scene) -> bool:
    """Whether tokens are represented by their vectors after block 0's MLP instead of their rows of W_E."""
    return scene.state.view.stands_for == "mlp0"


def want(scene: Scene) -> Want:
    """The request for the shown head's weights, with the selected token as the token read."""
    return Want(_HEAD, (scene.layer, scene.head, scene.trace.ids[scene.token], through_mlp(scene)))


def page(scene: Scene) -> View:
    """The weights page of the shown head."""
    found: HeadCircuits | None = scene.made(want(scene))
    where = Phrase("Block {1} · Head {2}", scene.layer, scene.head)
    through = head_circuits.read_through_mlp(scene.layer, through_mlp(scene))
    lead = Sentences(
        Phrase(
            "What one head does by its weights alone, layer norms folded in, positions and biases left out, {1}.",
            _THROUGH if through else _ALONE,
        ),
        _SAYS,
    )
    if found is None:
        return View(
            headed(where, Phrase("by its weights")),
            lead,
            column(TextPanel(lines=(Line("", _HEAD.waiting),))),
        )
    score = Phrase("copying score {1}", f"{found.copying:+.2f}".replace("-", "−"))
    content = column(
        row(
            _bars(scene, found.ov, "Promotes when it reads {1}", Hue.VALUE),
            _bars(scene, found.qk, "Keys that {1} looks for", Hue.KEY),
        ),
        row(_directions(scene, found, "OV"), _directions(scene, found, "QK")),
        row(_typical(scene, found), _near(scene, found)),
    )
    return View(headed(where, score), lead, content)


def _bars(scene: Scene, made: TokenTable, title: str, hue: Hue) -> BarsPanel:
    """The best entries of a token's table, then the worst; the token itself is marked."""
    token, cell = int(made.tokens[0]), f"heads.{made.circuit.lower()}"
    most = [(int(t), float(v)) for t, v in zip(made.promoted[0][:_BARS], made.promoted_number[0], strict=False)]
    least = [(int(t), float(v)) for t, v in zip(made.suppressed[0][:_WORST], made.suppressed_number[0], strict=False)]
    shown = [*most, *reversed(least)]
    bars = tuple(
        Bar(
            scene.tokenizer.label(t),
            value,
            number(value),
            marked=t == token,
            source=(cell, (made.layer, made.head, token, t)),
        )
        for t, value in shown
    )
    rank = Phrase("itself at rank {1}", Count(int(made.own_rank[0]) + 1))
    return BarsPanel(
        title=Phrase(title, scene.tokenizer.quoted(token)),
        note=rank,
        bars=bars,
        hue=hue,
        cuts=(Cut(len(most), Phrase("… and least")),),
    )


def _typical(scene: Scene, found: HeadCircuits) -> TextPanel:
    made, label = found.typical, scene.tokenizer.label
    lines = tuple(
        Line(
            "",
            f"{label(int(token))} → {'  '.join(label(int(t)) for t in made.promoted[n][:_LISTED])}",
            Phrase("least: {1}", "  ".join(label(int(t)) for t in made.suppressed[n][: _LISTED - 1])),
            pick=Open(Cell("heads.ov", (made.layer, made.head, int(token), int(made.promoted[n][0])))),
        )
        for n, token in enumerate(made.tokens)
    )
    return TextPanel(
        title=Phrase("Tokens for which it writes most"), note=Phrase("and what each promotes"), lines=lines
    )


def _near(scene: Scene, found: HeadCircuits) -> AnyPanel:
    """The later heads that can read most of what this head writes."""
    chance = scene.config.d_head / scene.config.n_embd
    every = [
        (float(values[at]), side, at)
        for side, values in found.kernel.items()
        for at in np.ndindex(*values.shape)
        if np.isfinite(values[at])
    ]
    every.sort(key=lambda one: -one[0])
    bars = tuple(
        Bar(
            Phrase(_SIDES[side][0], name(*at)),
            value,
            percent(value),
            source=(f"heads.kernel_{side}", (scene.layer, scene.head, *at)),
        )
        for value, side, at in every[:_NEAR]
    )
    note = Phrase("{1} by chance", percent(chance)) if bars else Phrase("no block comes after")
    return BarsPanel(title=Phrase("Heads that can read what it writes"), note=note, bars=bars, hue=Hue.ATTENTION)


def _directions(scene: Scene, found: HeadCircuits, circuit: str) -> TextPanel:
    label = scene.tokenizer.label
    (read, _), (written, _) = found.read[circuit], found.written[circuit]
    ends = [["  ".join(label(int(t)) for t in ids) for ids in side] for side in (read, written)]
    values = found.directions[circuit].values
    place = f"blocks.{scene.layer}.attn.W_{circuit}[{scene.head}, {{}}].reads"
    lines = tuple(
        Line(
            number(float(value)),
            one,
            Phrase("writes: {1}" if circuit == "OV" else "keys: {1}", other),
            pick=Measure(place.format(n)),
        )
        for n, (value, one, other) in enumerate(zip(values, *ends, strict=True))
    )
    title = Phrase("Directions of W_OV") if circuit == "OV" else Phrase("Directions of W_QK")
    note = Phrase("singular value, tokens read") if circuit == "OV" else Phrase("singular value, query tokens")
    hint = Phrase("click one to place all tokens along it")
    return TextPanel(title=title, note=note, hint=hint, lines=lines)


# Cells


def _value(scene: Scene, cell: Cell) -> tuple[float, Array | None, Array | None]:
    """The number of a cell, in float64, and for `ov` and `qk` the two vectors [d_head] whose dot product it is."""
    what = cell.name.removeprefix("heads.")
    if what not in CELLS or len(cell.index) != 4:
        raise ModelError(f"There is no {cell.name}{list(cell.index)}.")
    layer, head, one, other = cell.index
    checkpoint = scene.checkpoint
    require_head(checkpoint, layer, head)
    if what.startswith("kernel"):
        require_head(checkpoint, one, other)
        own, read = _bases(scene, cell)
        return float(head_circuits.shared(own, read)), None, None
    for token in (one, other):
        if not 0 <= token < scene.config.vocab_size:
            raise ModelError(outside_vocabulary(token, scene.config.vocab_size))
    through = head_circuits.read_through_mlp(layer, through_mlp(scene))
    rows = normed(checkpoint, embeddings(checkpoint, np.array([one, other]), through_mlp=through).astype(np.float64))
    if what == "ov":
        left = rows[0] @ read_matrices(checkpoint, layer, VALUE)[head]
        towards = checkpoint.weights["unembed.W_U"][other].astype(np.float64)
        right = along_unembedding(checkpoint, write_matrices(checkpoint, layer)[head].astype(np.float64)) @ towards
    else:
        left = rows[0] @ read_matrices(checkpoint, layer, QUERY)[head] / scene.config.score_divisor(layer)
        right = rows[1] @ read_matrices(checkpoint, layer, KEY)[head]
    return float(left @ right), left, right


def _bases(scene: Scene, cell: Cell) -> tuple[Array, Array]:
    """Bases, [d_model, d_head], of the subspaces that a kernel's cell compares: written by one, read by the other."""
    layer, head, other_layer, other = cell.index
    own = head_circuits.basis(scene.checkpoint, layer, "o")[head].astype(np.float64)
    return own, head_circuits.basis(scene.checkpoint, other_layer, cell.name[-1])[other].astype(np.float64)


def describe(scene: Scene, cell: Cell) -> Readout:
    """The readout of a number of the page."""
    value, _, _ = _value(scene, cell)
    layer, head, one, other = cell.index
    what = cell.name.removeprefix("heads.")
    if what.startswith("kernel"):
        place = Phrase(_SIDES[what[-1]][1], name(layer, head), name(one, other))
        return Readout(percent(value), Phrase("shared subspace"), place)
    read, found = (scene.tokenizer.quoted(t) for t in (one, other))
    if what == "ov":
        return Readout(
            number(value), Phrase("OV of {1}", name(layer, head)), Phrase("reads {1}, promotes {2}", read, found)
        )
    return Readout(number(value), Phrase("QK of {1}", name(layer, head)), Phrase("query {1}, key {2}", read, found))


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened number: the two vectors of the head whose dot product it is."""
    value, left, right = _value(scene, cell)
    readout = describe(scene, cell)
    title, what = Phrase("{1} = {2}", readout.name, readout.value), cell.name.removeprefix("heads.")
    if left is None or right is None:
        own, read = _bases(scene, cell)
        ranks = [round(float(np.square(x).sum())) for x in (own, read)]
        lines = (
            formula_line(
                "|Uᵀ V|² / rank",
                Phrase("U, V: orthonormal bases of the two subspaces; of the smaller one"),
            ),
            Line(
                Phrase("with numbers"),
                f"{number(value * min(ranks))} / {min(ranks)}",
                Phrase("of ranks {1} and {2}", *ranks),
            ),
            Line(Phrase("by chance"), number(scene.config.d_head / scene.config.n_embd), Phrase("d_head / d_model")),
        )
        return View(title, readout.place, column(TextPanel(lines=lines)))
    return View(title, readout.place, _dot(what, value, left, right))


def _dot(what: str, value: float, left: Array, right: Array) -> Box:
    formula = {
        "ov": "(e W_V′) · (W_O W_U′[token])",
        "qk": "(e_q W_Q′ / the config's scale) · (e_k W_K′)",
    }[what]
    labels = ("e W_V′", "W_O W_U′") if what == "ov" else (Phrase("query"), Phrase("key"))
    hues = (Hue.VALUE, Hue.ACCENT) if what == "ov" else (Hue.QUERY, Hue.KEY)
    lines = (
        formula_line(formula, Phrase("e: the token's row, normed; layer norms folded in")),
        Line(Phrase("with numbers"), Phrase("Σ of {1} products", len(left)), f"= {number(value)}"),
    )
    one, other = (Strip(label, x, None, hue) for label, x, hue in zip(labels, (left, right), hues, strict=True))
    return column(TextPanel(lines=lines), *dot_panels(one, other))
