"""A canvas whose view is laid out again: the hovered, current and highlighted cells stay the same."""

import numpy as np
import pytest
from PySide6.QtCore import QRectF

from desktop_app.core.opening.cells import Region
from desktop_app.core.panels import (
    GraphPanel,
    GridPanel,
    Hue,
    Knot,
    MapPanel,
    MultiplesPanel,
    Source,
    Strand,
    View,
    column,
    row,
)
from desktop_app.core.session.state import ViewOptions
from desktop_app.core.steps import build_view
from desktop_app.figures.marks import Strands
from desktop_app.figures.theme import LIGHT
from desktop_app.ui.picture.canvas import Canvas
from desktop_app.ui.picture.overlay import card_place
from tests.scenes import CONFIG, open_tiny, scene_of, shown_steps

TALL, WIDE = (700, 1400), (1500, 420)


@pytest.fixture(scope="module")
def long_model(tmp_path_factory):
    return open_tiny(tmp_path_factory.mktemp("models") / "long", CONFIG | {"n_positions": 400})


@pytest.fixture
def canvas(qtbot):
    canvas = Canvas()
    qtbot.addWidget(canvas)
    canvas.resize(*TALL)
    canvas.show()
    return canvas


def what(canvas):
    """The cell under the pointer: name and index of its tensor, and the label of its picture."""
    cells, line, place = canvas._at
    return cells.source.name, cells.source.at(line, place), cells.label, cells.values[line, place]


@pytest.mark.parametrize("op", ["scores", "pattern"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_cell_of_a_long_text_stays_the_one_pointed_at_when_the_pictures_change_places(canvas, long_model, op, turned):
    scene = scene_of(long_model, "ab cd efg" * 40, layer=1, view=ViewOptions(keys_down=turned))
    assert len(scene.trace) > 300
    step = next(s for s in shown_steps(scene.config, 1) if s.spec.op == op)
    canvas.show_view(build_view(scene, step), LIGHT, 1.0)
    told = []
    canvas.pointed.connect(lambda cells, line, place: told.append(cells and cells.source.at(line, place)))
    order = [cells.label for cells in canvas.page.cells]
    for label in dict.fromkeys(order):
        cells = next(c for c in canvas.page.cells if c.label == label)
        canvas._point(cells, len(cells.values) - 1, cells.values.shape[1] - 1)
        before, told[:] = what(canvas), []
        for size in (WIDE, TALL):
            canvas.resize(*size)
            assert what(canvas)[:3] == before[:3]
            assert canvas._at[0] in canvas.page.cells
        for _ in range(3):
            canvas.zoom(1)
            assert what(canvas)[:3] == before[:3]
        canvas.zoom(0)
        assert set(told) <= {before[1]}
    canvas.resize(*WIDE)
    assert [cells.label for cells in canvas.page.cells] != order, "the pictures did change places"


def grid(name, count=6, **more):
    values = np.arange(count * count, dtype=float).reshape(count, count)
    return GridPanel(
        title=name, values=values, labels=tuple("abcdef"[:count]), source=Source(name, (0, "row", "col")), **more
    )


def test_a_picture_that_is_gone_takes_the_pointer_along(canvas):
    canvas.show_view(View("", "", column(grid("one"), grid("two"))), LIGHT, 1.0)
    told = []
    canvas._point(canvas.page.cells[1], 5, 5)
    canvas.pointed.connect(lambda cells, *_: told.append(cells))
    canvas.show_view(View("", "", column(grid("one", 2))), LIGHT, 1.0)
    assert canvas._at is None
    assert told == [None], "who listens is told, and puts out what was lit"


def test_the_cursor_stays_in_its_picture_when_that_changes_places(canvas):
    one, two = grid("one"), grid("two")
    view = View("", "", column(one, two))
    canvas.show_view(view, LIGHT, 1.0)
    canvas.start_cursor()
    canvas._switch_cells(1)
    canvas._move_cursor(2, 3)
    before = what(canvas)
    canvas.show_view(View("", "", column(two, one)), LIGHT, 1.0)
    assert what(canvas) == before
    canvas.show_view(View("", "", column(one)), LIGHT, 1.0)
    assert canvas.has_cursor
    assert what(canvas)[0] == "one"


def test_what_is_lit_moves_along_with_its_picture(canvas):
    values = np.zeros((40, 8))
    panel = MapPanel(title="map", values=values, source=Source("map", ("row", "col")))
    heads = MultiplesPanel(values=np.zeros((2, 40, 8)), names=("a", "b"), source=Source("heads", (0, "row", "col")))
    canvas.show_view(View("", "", row(panel, heads)), LIGHT, 1.0)
    regions = (Region("map", (3, 4)), Region("heads", (1, 2, None)))
    canvas.set_lit(regions, (Region("map", (None, 1)),))
    for size in (WIDE, TALL):
        canvas.resize(*size)
        sources, targets = canvas.lit
        assert sources == canvas.lit_places(regions)
        assert len(sources) == 2
        assert targets == canvas.lit_places((Region("map", (None, 1)),))
    canvas.show_view(View("", "", column(grid("one"))), LIGHT, 1.0)
    assert canvas.lit == ([], [])


def test_zooming_keeps_the_pointed_cell_where_it_is(canvas):
    canvas.show_view(View("", "", column(grid("one"), grid("two"))), LIGHT, 1.0)
    cells = canvas.page.cells[1]
    canvas._point(cells, 3, 2)

    def seen():
        place = canvas._at[0].place(3, 2)
        return place.y + place.h / 2 + canvas.origin.y(), place.x + place.w / 2 + canvas.origin.x()

    before = seen()
    for _ in range(4):
        canvas.zoom(1)
        assert seen() == pytest.approx(before, abs=2)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_cursor_in_a_picture_that_has_fewer_cells_now_stands_in_one_that_is_there(canvas, rows):
    def view(columns):
        values = np.arange(rows * columns, dtype=float).reshape(rows, columns)
        names = tuple(f"r{n}" for n in range(rows))
        panel = MapPanel(title="a", values=values, row_labels=names, source=Source("embed", ("row", "col")))
        return View("t", "", column(panel))

    canvas.show_view(view(6), LIGHT, 1.0)
    cells = canvas.page.cells[0]
    canvas._cursor.at = (cells, rows - 1, 5)
    canvas._move_cursor(0, 0)
    canvas.show_view(view(3), LIGHT, 1.0)
    found, line, place = canvas._cursor.at
    assert found in canvas.page.cells and found.has(line, place)
    canvas.leave_cursor()
    canvas._point(found, rows - 1, 2)
    canvas.show_view(view(2), LIGHT, 1.0)
    assert canvas._at is None


def test_a_cursor_on_a_line_of_a_graph_that_has_fewer_lines_now_stands_on_one_that_is_there(canvas):
    def view(count):
        knots = tuple(Knot(n, 0, 1.0, f"k{n}") for n in range(count + 1))
        strands = tuple(Strand(n, n + 1, 1.0, 0) for n in range(count))
        panel = GraphPanel(
            title="g", knots=knots, strands=strands, positions=tuple(range(count + 1)),
            column_labels=tuple("abcdefgh"[: count + 1]), kinds=(("x", Hue.INK),),
            node_source=Source("why.part", ("col",)), edge_source=Source("why.part", ("col",)),
        )  # fmt: skip
        return View("t", "", column(panel))

    canvas.show_view(view(5), LIGHT, 1.0)
    lines = max((c for c in canvas.page.cells if isinstance(c, Strands)), key=lambda c: c.values.shape[-1])
    canvas._cursor.at = (lines, 0, lines.values.shape[-1] - 1)
    canvas._move_cursor(0, 0)
    canvas.show_view(view(1), LIGHT, 1.0)
    found, line, place = canvas._cursor.at
    assert found in canvas.page.cells and found.has(line, place)


@pytest.mark.parametrize(
    "cell",
    [(100, 100, 20, 20), (0, 0, 20, 20), (780, 560, 20, 20), (0, 250, 800, 22), (0, 0, 800, 22), (0, 578, 800, 22)],
)
def test_the_card_of_a_cell_is_in_sight_and_does_not_cover_it(cell):
    seen, cell = QRectF(0, 0, 800, 600), QRectF(*cell)
    x, y = card_place(cell, 300, 80, seen)
    card = QRectF(x, y, 300, 80)
    assert seen.contains(card) and not card.intersects(cell)
