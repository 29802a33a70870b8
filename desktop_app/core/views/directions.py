"""The directions workspace: sums of embeddings and their neighbours, cosines with a direction, the text in a plane.

Its cells are `directions.cosine[token]`, the cosine of a token's row of W_E with the direction (the index after the
last token stands for the direction itself); `directions.ruler[point, pos]`, the cosine of the residual stream at a
token with the direction; and `directions.place[pos, axis]`, a coordinate in the plane.
"""

from dataclasses import dataclass

import numpy as np

from desktop_app.core.analysis import directions as analysis
from desktop_app.core.analysis import rulers
from desktop_app.core.analysis.directions import WITHOUT, Nearest, Plane, Rows, Term
from desktop_app.core.analysis.expression import Sum
from desktop_app.core.analysis.folding import normed
from desktop_app.core.analysis.rulers import Ruler
from desktop_app.core.asking.intents import Select
from desktop_app.core.levels import diverging, fraction_text, number, percent
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
    AnyPanel,
    Bar,
    BarsPanel,
    Box,
    CloudPanel,
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
from desktop_app.core.views.common import rows_as_numpy, rows_named, rows_note, token_name
from desktop_app.core.views.dot import dot_panels
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import LogitscopeError, ModelError
from desktop_app.gpt2.phrase import Count, Phrase, Sentences, joined
from desktop_app.gpt2.trace import Trace

_NEAR, _ENDS, _DRAWN = 12, 8, 5

_LEADS = {
    "sum": "",
    "ruler": Sentences(
        Phrase(
            "The cosine between a direction and every token's row, and between it and this text's tokens through the "
            "blocks."
        ),
        Phrase("A large cosine says that a vector points that way, not that anything reads it."),
    ),
    "plane": Sentences(
        Phrase("This text's residual stream, normed, in the plane of its two largest principal components."),
        Phrase("A plane leaves most directions out: what is close in it need not be close in the full space."),
    ),
}


@dataclass(frozen=True, eq=False)
class Found:
    """A requested direction: `vector` [d_model] and the tokens at its two ends, or the `reason` why there is none."""

    reason: str = ""
    ruler: Ruler | None = None
    table: Rows | None = None
    vector: Array | None = None
    near: Nearest | None = None
    far: Nearest | None = None


def _compute(work: Work, text: str, token: int, without: int) -> Found:
    model = work.model
    try:
        ruler = rulers.parse_ruler(text, model.tokenizer) if text.strip() else Ruler("", Sum((Term(1, token),)))
        work.progress(0.1)
        table = analysis.rows(model.checkpoint, without=without)

        def run(prompt: str) -> Trace:
            return model.engine.trace(model.tokenizer.encode(prompt).ids, stop=work.stop)

        vector = rulers.vector_of(model.checkpoint, ruler, run, without=without)
    except LogitscopeError as reason:
        return Found(str(reason))
    left_out = tuple(dict.fromkeys(t.token for t in ruler.of.terms)) if isinstance(ruler.of, Sum) else ()
    answer = ruler.of.answer if isinstance(ruler.of, Sum) else None
    near = analysis.nearest(table, vector, left_out=left_out, answer=answer, top=_NEAR)
    far = analysis.nearest(table, -vector, left_out=left_out, top=_NEAR)
    return Found("", ruler, table, vector, near, far)


_DIRECTION = Product("directions", Phrase("Comparing every token's row"), _compute, of_text=False, quick=False)


def _without(scene: Scene) -> int:
    return WITHOUT if scene.state.view.rows == "trimmed" else 0


def want(scene: Scene) -> Want:
    """The request for the typed direction, or for the selected token's row."""
    view = scene.state.view
    token = -1 if view.direction.strip() else scene.trace.ids[scene.token]
    return Want(_DIRECTION, (view.direction, token, _without(scene)))


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    return (want(scene),)


def content(scene: Scene) -> View:
    """The direction's neighbours and its cosines with tokens and with the text; or the text in a plane."""
    shows = scene.state.view.directions
    if shows == "plane":
        return View(Phrase("The text in a plane, after block {1}", scene.layer), _LEADS[shows], column(_plane(scene)))
    found: Found | None = scene.made(want(scene))
    title = _title(scene, found)
    if found is None:
        return View(title, _LEADS[shows], column(TextPanel(lines=(Line("", _DIRECTION.waiting),))))
    if found.reason:
        return View(title, _LEADS[shows], column(TextPanel(lines=(Line("", "", found.reason), *_kept_lines(scene)))))
    box = _sum(scene, found) if shows == "sum" else _ruler(scene, found)
    return View(title, _LEADS[shows], box)


def _title(scene: Scene, found: Found | None) -> str:
    typed = scene.state.view.direction.strip()
    name, spec = rulers.named(typed)
    words = spec.partition(" = ")[0].strip().replace(" - ", " − ") or scene.tokenizer.quoted(
        scene.trace.ids[scene.token]
    )
    if scene.state.view.directions == "sum" and found is not None and found.near is not None and len(found.near.ids):
        return Phrase("Nearest to {1}: {2}", words, scene.tokenizer.quoted(int(found.near.ids[0])))
    return Phrase("The direction {1}", name or words)


def _bars(scene: Scene, made: Nearest, title: str, note: str, count: int, sign: float = 1.0) -> BarsPanel:
    bars = tuple(
        Bar(
            scene.tokenizer.label(int(token)),
            sign * float(cosine),
            number(sign * float(cosine)),
            source=("directions.cosine", (int(token),)),
        )
        for token, cosine in zip(made.ids[:count], made.cosines, strict=False)
    )
    return BarsPanel(title=title, note=note, bars=bars, hue=Hue.RESIDUAL, reach=1.0)


def _sum(scene: Scene, found: Found) -> Box:
    assert found.near is not None
    near = found.near
    note = rows_note(_without(scene))
    if near.rank is not None and found.ruler is not None and isinstance(found.ruler.of, Sum):
        answer = scene.tokenizer.quoted(found.ruler.of.answer or 0)
        ranked = Phrase("{1} has rank {2}", answer, Count(near.rank))
        note = joined(" · ", (ranked, note)) if _without(scene) else ranked
    return row(_bars(scene, near, Phrase("Nearest by cosine"), note, _NEAR), _drawn(scene, found), weights=(2, 3))


def _drawn(scene: Scene, found: Found) -> CloudPanel:
    """The rows of a sum, the sum and the rows nearest to it, in the plane of their first two principal components."""
    assert found.near is not None and found.table is not None and found.vector is not None
    terms = found.ruler.of.terms if found.ruler is not None and isinstance(found.ruler.of, Sum) else ()
    ids = list(dict.fromkeys([*(t.token for t in terms), *(int(t) for t in found.near.ids[:_DRAWN])]))
    alone = len(terms) == 1
    vectors = found.table.of(ids) if alone else np.concatenate([found.table.of(ids), found.vector[None]])
    plane = analysis.plane(vectors)
    label = scene.tokenizer.label
    labels = [label(t) for t in ids]
    places, cells, marked = plane.places, [(t,) for t in ids], (0,) if alone else (len(ids),)
    arrows: list[tuple[int, int]] = []
    if not alone:
        labels.append(Phrase("the sum") if terms else Phrase("the direction"))
        cells.append((scene.config.vocab_size,))
        signs = [t.sign for t in terms]
        if signs == [1, -1, 1]:  # for a - b + c, arrows go from b to a, and by the same vector from c
            a, b, c = (ids.index(t.token) for t in terms)
            arrows = [(b, a), (c, len(ids))]
        elif len(signs) == 2 and sum(signs) == 0:
            plus, minus = sorted(range(2), key=lambda n: -signs[n])
            arrows = [(ids.index(terms[minus].token), ids.index(terms[plus].token))]
    return CloudPanel(
        title=Phrase("In their own plane"),
        note=Phrase("{1} of their spread", percent(float(plane.shares[:2].sum()))),
        points=_two(places),
        labels=tuple(labels),
        marked=marked,
        arrows=tuple(arrows),
        x_label=Phrase("component {1}, {2}", 1, percent(_share(plane, 0))),
        y_label=Phrase("component {1}, {2}", 2, percent(_share(plane, 1))),
        source=Source("directions.cosine", (), each=tuple(cells)),
    )


def _two(places: Array) -> Array:
    """Places with two coordinates, even if there is only one component."""
    return np.pad(places, ((0, 0), (0, 2 - places.shape[1]))) if places.shape[1] < 2 else places


def _share(plane: Plane, axis: int) -> float:
    return float(plane.shares[axis]) if axis < len(plane.shares) else 0.0


def _ruler(scene: Scene, found: Found) -> Box:
    assert found.near is not None and found.far is not None and found.vector is not None
    ends = (
        _bars(scene, found.near, Phrase("Tokens on this side"), rows_note(_without(scene)), _ENDS),
        _bars(scene, found.far, Phrase("Tokens on the other side"), "", _ENDS, -1.0),
    )
    points = rulers.points(scene.config)
    values = analysis.on_ruler(scene.trace, points, found.vector)
    grid = MapPanel(
        title=Phrase("This text through the blocks"),
        note=Phrase("cosine of the stream with the direction"),
        values=values,
        levels=diverging(values),
        row_labels=tuple(_short(point) for point in points),
        column_labels=scene.labels,
        selected_column=scene.token,
        column_picks=Select,
        picks=None,
        texts=tuple(tuple(fraction_text(float(v), 2) for v in line) for line in values),
        source=Source("directions.ruler", ("row", "col")),
        hue=Hue.ACCENT,
    )
    lines = _kept_lines(scene)
    kept = (TextPanel(title=Phrase("Kept by name"), lines=lines),) if lines else ()
    return column(row(*ends), grid, *kept, weights=(3, 4, 1)[: 2 + len(kept)])


def _kept_lines(scene: Scene) -> tuple[Line, ...]:
    return tuple(Line(rulers.named(text)[0] or "·", rulers.named(text)[1]) for text in scene.state.rulers)


def _short(point: str) -> str:
    _, layer, name = point.split(".")
    return f"{layer} {name.removeprefix('resid_')}"


def _stream(scene: Scene) -> tuple[Array, Plane]:
    """The normalised residual stream after the shown block, [pos, d_model], and its plane."""
    x = normed(scene.checkpoint, scene.trace.read(f"blocks.{scene.layer}.resid_post").astype(np.float64))
    return x, analysis.plane(x)


def _plane(scene: Scene) -> AnyPanel:
    _, plane = _stream(scene)
    places = _two(plane.places)

    def axis(n: int) -> str:
        low, high = (scene.labels[int(k)] for k in (places[:, n].argmin(), places[:, n].argmax()))
        return Phrase("component {1}, {2}: {3}", n + 1, percent(_share(plane, n)), f"{low} … {high}")

    return CloudPanel(
        title=Phrase("{1} tokens after block {2}", Count(len(places)), scene.layer),
        hint=Phrase("click one for its coordinates"),
        points=places,
        labels=tuple(f"{label} {n}" for n, label in enumerate(scene.labels)),
        marked=(scene.token,),
        x_label=axis(0),
        y_label=axis(1),
        source=Source("directions.place", (), each=tuple((n, 0) for n in range(len(places)))),
    )


# Cells


def _found(scene: Scene, cell: Cell) -> Found:
    found: Found | None = scene.made(want(scene))
    if found is None:
        raise ModelError(f"{cell.name} is not computed yet; open it when the direction is shown.")
    if found.reason:
        raise ModelError(found.reason)
    return found


def _vectors(scene: Scene, cell: Cell) -> tuple[float, Array, Array]:
    """The number of a cell, and the two vectors whose dot product it is. Raises ModelError if there is none."""
    index = cell.index
    if cell.name == "directions.place":
        x, plane = _stream(scene)
        if len(index) != 2 or not (0 <= index[0] < len(x) and 0 <= index[1] < len(plane.axes)):
            raise ModelError(f"There is no {cell.name}{list(index)}.")
        left, right = x[index[0]] - plane.mean, plane.axes[index[1]]
        return float(left @ right), left, right
    found = _found(scene, cell)
    assert found.table is not None and found.vector is not None
    if cell.name == "directions.cosine" and len(index) == 1 and 0 <= index[0] <= scene.config.vocab_size:
        own = index[0] == scene.config.vocab_size
        left = found.vector if own else found.table.of([index[0]])[0]
        right = found.vector - (found.table.left_out @ found.vector) @ found.table.left_out
    elif cell.name == "directions.ruler" and len(index) == 2:
        points = rulers.points(scene.config)
        if not (0 <= index[0] < len(points) and 0 <= index[1] < len(scene.trace)):
            raise ModelError(f"There is no {cell.name}{list(index)}.")
        left = scene.trace.read(points[index[0]], row=index[1]).astype(np.float64)
        left, right = left - left.mean(), found.vector - found.vector.mean()
    else:
        raise ModelError(f"There is no {cell.name}{list(index)}; directions have cosine, ruler and place.")
    left, right = (v / max(float(np.linalg.norm(v)), 1e-300) for v in (left, right))
    return float(left @ right), left, right


def describe(scene: Scene, cell: Cell) -> Readout:
    """What is shown about a cosine or a coordinate under the pointer."""
    value, _, _ = _vectors(scene, cell)
    if cell.name == "directions.place":
        return Readout(number(value), Phrase("component {1}", cell.index[1] + 1), token_name(scene, cell.index[0]))
    if cell.name == "directions.ruler":
        point = rulers.points(scene.config)[cell.index[0]]
        return Readout(number(value), Phrase("cosine"), Phrase("{1} of {2}", point, token_name(scene, cell.index[1])))
    token = cell.index[0]
    place = Phrase("the direction itself") if token == scene.config.vocab_size else scene.tokenizer.quoted(token)
    return Readout(number(value), Phrase("cosine"), place)


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened cosine or coordinate: the two vectors whose dot product it is."""
    value, left, right = _vectors(scene, cell)
    readout = describe(scene, cell)
    coordinate = cell.name == "directions.place"
    formula = Phrase("(x − mean) · component") if coordinate else "cos = (a / |a|) · (b / |b|)"
    lines = (
        formula_line(formula),
        Line(Phrase("with numbers"), Phrase("Σ of {1} products", len(left)), f"= {number(value)}"),
    )
    labels = (
        (Phrase("the stream, less the mean"), Phrase("the component"))
        if coordinate
        else (Phrase("the vector"), Phrase("the direction"))
    )
    one, other = (Strip(label, x, None, hue) for label, x, hue in zip(labels, (left, right), _HUES, strict=True))
    title = Phrase("{1} = {2}", readout.name, readout.value)
    return View(title, readout.place, column(TextPanel(lines=lines), *dot_panels(one, other)))


_HUES = (Hue.RESIDUAL, Hue.ACCENT)


def as_numpy(scene: Scene, _cell: Cell | None) -> str:
    """Lines of code that recompute the cosine of every token's row. Raises ModelError for any direction
    other than a sum of tokens or a neuron's."""
    found = _found(scene, Cell("directions", ()))
    of = found.ruler.of if found.ruler is not None else None
    if not isinstance(of, Sum | rulers.Neuron):
        raise ModelError("Only sums of tokens and neurons can be recomputed from the weights.")
    reads = [("E", "embed.W_E", "")]
    if isinstance(of, Sum):
        line = f"direction = {[t.sign for t in of.terms]} @ centred[{[t.token for t in of.terms]}]"
    else:
        reads.append(("W_out", f"blocks.{of.layer}.mlp.W_out", ""))
        line = f"direction = W_out[{of.neuron}]"
    lines = [*rows_as_numpy(_without(scene)), line]
    if _without(scene):
        lines.append("direction = direction - direction @ axes.T @ axes")
    return program(
        scene.checkpoint,
        f"the cosine of every token's row, {rows_named(_without(scene))}, with a direction",
        tuple(reads),
        [
            *lines,
            "result = centred @ direction / np.linalg.norm(centred, axis=1) / np.linalg.norm(direction)",
        ],
    )
