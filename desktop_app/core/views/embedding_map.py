"""The map of embeddings: every token's row as a point, coloured by kind; and the chosen token's nearest neighbours.

Its cells are `map.token[token]`, the cosine of a token's row with that of the chosen token.
"""

import unicodedata
from dataclasses import dataclass, replace

import numpy as np

from desktop_app.core.analysis import directions as analysis
from desktop_app.core.analysis.directions import WITHOUT, Nearest, Plane, Rows
from desktop_app.core.analysis.kept_layout import kept_layout
from desktop_app.core.analysis.layout import Layout
from desktop_app.core.levels import number, percent
from desktop_app.core.opening.as_numpy import program
from desktop_app.core.opening.cells import Array, Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import (
    AnyPanel,
    Bar,
    BarsPanel,
    CloudPanel,
    Hue,
    Line,
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
from desktop_app.core.session.state import State, with_option
from desktop_app.core.views.common import rows_as_numpy, rows_named, rows_note
from desktop_app.core.views.dot import dot_panels
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Count, Phrase, joined
from desktop_app.gpt2.tokenizer import Tokenizer

KINDS = (
    (Phrase("space in front"), Hue.QUERY),
    (Phrase("no space in front"), Hue.VALUE),
    (Phrase("capital"), Hue.KEY),
    (Phrase("digits"), Hue.INK),
    (Phrase("other script"), Hue.ATTENTION),
    (Phrase("signs and bytes"), Hue.RESIDUAL),
)
"""The kinds of tokens. A token that fits several kinds has the last of them; one with letters is not `digits`."""
_NEAR = 14
CELL = "map.token"


def kind_of(text: str) -> int:
    """The index in KINDS for a token's text."""
    bare = text.strip()
    letters = [c for c in bare if c.isalpha()]
    if not bare or "\ufffd" in bare or (not letters and not any(c.isdigit() for c in bare)):
        return 5
    if letters and not any("LATIN" in unicodedata.name(c, "") for c in letters):
        return 4
    if not letters:
        return 3
    if bare[0].isupper():
        return 2
    return 0 if text.startswith(" ") else 1


def kinds_of(tokenizer: Tokenizer, count: int) -> Array:
    """The kind of every token, [token]."""
    found = np.full(count, 5)
    for token in range(count):
        found[token] = kind_of(tokenizer.token_bytes(token).decode("utf-8", "replace"))
    return found


@dataclass(frozen=True, eq=False)
class _Tokens:
    """Every token's row, its place in the plane of the first two components, its kind [token] and its label."""

    table: Rows
    plane: Plane
    kinds: Array
    labels: tuple[str, ...]


def _rows(work: Work, without: int) -> _Tokens:
    count, tokenizer = work.model.config.vocab_size, work.model.tokenizer
    known = min(count, tokenizer.size)
    kinds = np.full(count, 5)
    kinds[:known] = kinds_of(tokenizer, known)
    labels = tuple(tokenizer.label(token) for token in range(count))
    table = analysis.rows(work.model.checkpoint, without=without)
    return _Tokens(table, analysis.plane_of_rows(table), kinds, labels)


def _near(work: Work, token: int, without: int) -> Nearest:
    table = analysis.rows(work.model.checkpoint, without=without)
    return analysis.nearest(table, table.of([token])[0], left_out=(token,), top=_NEAR)


def _layout(work: Work, without: int) -> Layout:
    table = analysis.rows(work.model.checkpoint, without=without)
    return kept_layout(work.model.checkpoint, table, stop=work.stop, progress=work.progress)


_ROWS = Product("map", Phrase("Reading every token's row"), _rows, of_text=False, quick=False)
_NEAREST = Product("map.near", Phrase("Comparing every token's row"), _near, of_text=False, quick=False)
_LAYOUT = Product("map.layout", Phrase("Laying out every token by its neighbours"), _layout, of_text=False, quick=False)


def _without(scene: Scene) -> int:
    return WITHOUT if scene.state.view.rows == "trimmed" else 0


def chosen(scene: Scene) -> int:
    """The token whose neighbours are shown: the one searched for or clicked, else the token selected in the text."""
    token = _found(scene)
    token = scene.state.map_token if token is None else token
    return scene.trace.ids[scene.token] if token is None or token >= scene.config.vocab_size else token


def _found(scene: Scene) -> int | None:
    """The first token that matches the search."""
    typed = scene.state.view.map_find
    return next((t for t in scene.tokenizer.find(typed) if t < scene.config.vocab_size), None) if typed else None


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs. The layout is requested after the plane of components, which is shown first."""
    without = _without(scene)
    found = (Want(_ROWS, (without,)), Want(_NEAREST, (chosen(scene), without)))
    ready = scene.state.view.map == "neighbours" and scene.made(found[0]) is not None
    return (*found, Want(_LAYOUT, (without,))) if ready else found


def content(scene: Scene) -> View:
    """The map, and the chosen token's nearest neighbours in the embedding space."""
    made = [scene.made(want) for want in wants(scene)]
    title = Phrase("Every token in a plane, around {1}", scene.tokenizer.quoted(chosen(scene)))
    if scene.state.view.map_find and _found(scene) is None:
        title = Phrase("No token of this vocabulary is spelled {1}", repr(scene.state.view.map_find))
    if made[0] is None:
        return View(title, "", column(TextPanel(lines=(Line("", _ROWS.waiting),))))
    layout = made[2] if len(made) > 2 else None
    return View(title, "", row(_cloud(scene, made[0], made[1], layout), _bars(scene, made[1]), weights=(2, 1)))


def _cloud(scene: Scene, rows: _Tokens, near: Nearest | None, layout: Layout | None) -> CloudPanel:
    table, plane, labels = rows.table, rows.plane, rows.labels
    places = plane.places if layout is None else layout.places
    if places.shape[1] < 2:
        places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    if layout is not None:
        note: str = Phrase(
            "keeps {1} of true neighbours, components {2}", percent(layout.kept), percent(layout.kept_by_components)
        )
        axes = ("", "")
    else:
        waits = scene.state.view.map == "neighbours"
        note = _LAYOUT.waiting if waits else Phrase("two components of {1}", scene.config.n_embd)
        ends = [(labels[int(places[:, n].argmin())], labels[int(places[:, n].argmax())]) for n in range(2)]
        first = len(table.left_out)
        share = [float(plane.shares[n]) if n < len(plane.shares) else 0.0 for n in range(2)]
        axes = tuple(
            Phrase("component {1}, {2}: {3}", first + n + 1, percent(share[n]), f"{ends[n][0]} … {ends[n][1]}")
            for n in range(2)
        )  # type: ignore[assignment] # two of them
    if table.left_out.size:
        note = joined(" · ", (note, rows_note(len(table.left_out))))
    pinned = tuple(token for token in scene.state.pinned if token < len(places))
    shown = () if near is None else tuple(int(t) for t in near.ids[:_NEAR])
    return CloudPanel(
        title=Phrase("{1} tokens", Count(len(places))),
        note=note,
        points=places,
        labels=labels,
        hint=Phrase("drag it, turn the wheel or press + and −; 0 shows all"),
        kind=rows.kinds,
        kinds=KINDS,
        marked=tuple(dict.fromkeys((chosen(scene), *pinned, *shown))),
        x_label=axes[0],
        y_label=axes[1],
        source=Source(CELL, ("col",)),
        free=True,
        window=_window(scene, places),
        moves=True,
    )


def _window(scene: Scene, places: Array) -> tuple[float, ...]:
    """The visible part of the plane, as fractions; it is moved, at the same size, to contain the token searched for."""
    window = scene.state.map_window
    if not window or _found(scene) is None:
        return window
    low, high = places.min(0), places.max(0)
    x, y = (places[chosen(scene)] - low) / np.maximum(high - low, 1e-12)
    x0, y0, x1, y1 = window
    if x0 <= x <= x1 and y0 <= y <= y1:
        return window
    left, lower = (min(max(at - size / 2, 0.0), 1 - size) for at, size in ((x, x1 - x0), (y, y1 - y0)))
    return float(left), float(lower), float(left + x1 - x0), float(lower + y1 - y0)


def _bars(scene: Scene, near: Nearest | None) -> AnyPanel:
    if near is None:
        return TextPanel(lines=(Line("", _NEAREST.waiting),))
    bars = tuple(
        Bar(scene.tokenizer.label(int(t)), float(c), number(float(c)), source=(CELL, (int(t),)))
        for t, c in zip(near.ids, near.cosines, strict=True)
    )
    without = _without(scene)
    note = rows_note(without) if without else Phrase("in all dimensions")
    return BarsPanel(title=Phrase("Nearest by cosine"), note=note, bars=bars, hue=Hue.RESIDUAL, reach=1.0)


# Cells


def _vectors(scene: Scene, cell: Cell) -> tuple[float, Array, Array]:
    rows = scene.made(wants(scene)[0])
    if rows is None:
        raise ModelError(f"{cell.name} is not computed yet; open it when the map is shown.")
    if cell.name != CELL or len(cell.index) != 1 or not 0 <= cell.index[0] < scene.config.vocab_size:
        raise ModelError(f"There is no {cell.name}{list(cell.index)}; the map has {CELL}[token].")
    one, other = rows.table.of([cell.index[0], chosen(scene)])
    one, other = (v / max(float(np.linalg.norm(v)), 1e-300) for v in (one, other))
    return float(one @ other), one, other


def describe(scene: Scene, cell: Cell) -> Readout:
    """The readout of a token: its name, and the cosine of its row."""
    value, _, _ = _vectors(scene, cell)
    token = scene.tokenizer.quoted(cell.index[0])
    return Readout(
        number(value), Phrase("cosine of {1}", token), Phrase("with {1}", scene.tokenizer.quoted(chosen(scene)))
    )


def choose(scene: Scene, cell: Cell) -> State | None:
    """The state after a click: the clicked token becomes the chosen one or, if it was chosen already, is opened."""
    _vectors(scene, cell)
    if cell.index[0] == chosen(scene):
        return None
    return replace(with_option(scene.state, "map_find", ""), map_token=cell.index[0])


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened cosine: the two rows of length 1 whose dot product it is."""
    value, one, other = _vectors(scene, cell)
    readout = describe(scene, cell)
    lines = (
        formula_line("cos = (a / |a|) · (b / |b|)", rows_note(_without(scene))),
        Line(Phrase("with numbers"), Phrase("Σ of {1} products", len(one)), f"= {number(value)}"),
    )
    strips = (
        Strip(Phrase("the vector"), one, None, Hue.RESIDUAL),
        Strip(Phrase("the direction"), other, None, Hue.ACCENT),
    )
    return View(
        Phrase("{1} = {2}", readout.name, readout.value),
        readout.place,
        column(TextPanel(lines=lines), *dot_panels(*strips)),
    )


def as_numpy(scene: Scene, _cell: Cell | None) -> str:
    """Lines of code that recompute the cosine of every token's row with the chosen token's row."""
    return program(
        scene.checkpoint,
        f"the cosine of every token's row, {rows_named(_without(scene))}, with the chosen token's",
        (("E", "embed.W_E", ""),),
        [*rows_as_numpy(_without(scene)), f"one = centred[{chosen(scene)}]",
         "result = centred @ one / np.linalg.norm(centred, axis=1) / np.linalg.norm(one)"],
    )  # fmt: skip
