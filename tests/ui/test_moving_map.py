"""A plane of points that is dragged and zoomed: moving points end where the painter draws them at rest."""

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from desktop_app.core.asking.intents import Frame
from desktop_app.core.panels import CloudPanel, Hue, Source, View, column
from desktop_app.figures.layout import place_view
from desktop_app.figures.marks import Page, Words
from desktop_app.figures.theme import LIGHT
from desktop_app.ui.picture.moving_map import LEAST, MovingMap
from desktop_app.ui.picture.painting import stamp_dots
from tests.ui.driver import ALT, LEFT, NONE, SHIFT

RNG = np.random.default_rng(3)
POINTS = RNG.standard_normal((300, 2)) * (3, 1)
PANEL = CloudPanel(
    points=POINTS, labels=tuple(f"t{n}" for n in range(300)), kind=np.zeros(300, int), kinds=(("all", Hue.QUERY),),
    marked=(7,), source=Source("map.token", ("col",)), free=True, moves=True,
)  # fmt: skip


def measure(text, size, *, mono=False, bold=False):
    return 0.6 * size * len(text)


def laid_out(window=()):
    page = Page(LIGHT, measure)
    place_view(View("", "", column(replace(PANEL, window=window))), 700, 500, page)
    return page


def centre(rect):
    return rect.x() + rect.width() / 2, rect.y() + rect.height() / 2


@pytest.mark.parametrize("seed", range(6))
def test_points_move_to_where_the_painter_puts_them_in_that_window(seed):
    rng = np.random.default_rng(seed)
    moving = MovingMap(laid_out().movable[0])
    for _ in range(4):
        moving.zoom(float(rng.uniform(0.7, 2.5)), QPointF(*rng.uniform(100, 400, 2)))
        moving.pan(QPointF(*rng.uniform(-60, 60, 2)))
    x, y = moving.placed()
    place = laid_out(moving.window).movable[0]
    np.testing.assert_allclose(x, place.x, atol=1e-6)
    np.testing.assert_allclose(y, place.y, atol=1e-6)
    again = MovingMap(place)  # dragging on from there is like dragging from the start
    again.zoom(1.7)
    moving.zoom(1.7)
    np.testing.assert_allclose(again.placed()[0], moving.placed()[0], atol=1e-6)


def test_what_is_under_the_pointer_stays_there_when_one_zooms_in():
    moving = MovingMap(laid_out().movable[0])
    at = int(np.argmin(np.abs(POINTS).sum(1)))  # a point in the middle
    x, y = (float(v[at]) for v in moving.placed())
    moving.zoom(9.0, QPointF(x, y))
    assert [float(v[at]) for v in moving.placed()] == pytest.approx([x, y])
    assert moving.window[2] - moving.window[0] == pytest.approx(1 / 9)


def test_a_window_never_leaves_the_plane_nor_shrinks_to_nothing():
    moving = MovingMap(laid_out().movable[0])
    moving.pan(QPointF(300, -400))
    assert moving.window == (0.0, 0.0, 1.0, 1.0)
    for _ in range(60):
        moving.zoom(1.5, QPointF(200, 200))
    assert moving.window[2] - moving.window[0] == pytest.approx(LEAST)
    moving.pan(QPointF(1e9, 1e9))
    assert moving.window[0] == 0 and moving.window[3] == pytest.approx(1)
    for _ in range(60):
        moving.zoom(0.5)
    assert moving.window == (0.0, 0.0, 1.0, 1.0)


def test_a_window_shows_its_points_alone_and_names_more_of_them():
    whole, part = laid_out(), laid_out((0.45, 0.45, 0.55, 0.55))
    labels = [{m.text for m in page.marks if isinstance(m, Words)} & set(PANEL.labels) for page in (whole, part)]
    low, high = POINTS.min(0), POINTS.max(0)
    shares = (POINTS - low) / (high - low)
    inside = {n for n in range(300) if (abs(shares[n] - 0.5) <= 0.05).all()}
    (cells,) = part.cells
    shown = {cells.source.at(0, n)[0] for n in range(cells.columns)}
    assert inside <= shown and len(shown) < 60  # a few are in the margin
    assert len(labels[1] & {f"t{n}" for n in inside}) > len(labels[0] & {f"t{n}" for n in inside})
    for n in range(cells.columns):  # each cell is the point drawn there
        (token,) = cells.source.at(0, n)
        place = cells.place(0, n)
        assert cells.cell(place.x + place.w / 2, place.y + place.h / 2) == (0, n)
        assert part.movable[0].x[token] == pytest.approx(place.x + place.w / 2)


def test_many_dots_at_once_cover_what_qt_covers_one_by_one(qapp):
    x, y = RNG.uniform(-5, 95, 40), RNG.uniform(-5, 65, 40)
    kind = np.arange(40) % 2
    colours = ("#cc0000", "#0000cc")
    seen = []
    for many in (True, False):
        image = QImage(90, 60, QImage.Format.Format_RGB32)
        image.fill(QColor("#ffffff"))
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if many:
            stamp_dots(painter, QRectF(0, 0, 90, 60), x, y, kind, colours, 3.0)
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            for n in range(40):
                painter.setBrush(QColor(colours[n % 2]))
                painter.drawEllipse(QPointF(x[n], y[n]), 3.0, 3.0)
        painter.end()
        pixels = np.frombuffer(image.constBits(), np.uint8).reshape(60, 90, 4)[..., :3].astype(int)
        seen.append(255 - pixels.min(-1))
    # A disc may be off by half a pixel, but the covered area is the same in total.
    assert seen[0].sum() == pytest.approx(seen[1].sum(), rel=0.08)
    assert np.mean((seen[0] > 128) != (seen[1] > 128)) < 0.05


class TestWindow:
    @pytest.fixture
    def map_(self, desk):
        desk.window.do("workspace:map")
        desk.settle()
        return desk

    def wheel(self, desk, at, turns):
        view = desk.window.canvas.viewport()
        for _ in range(abs(turns)):
            event = QWheelEvent(
                QPointF(at), QPointF(view.mapToGlobal(at)), QPoint(), QPoint(0, 120 if turns > 0 else -120),
                Qt.MouseButton.NoButton, NONE, Qt.ScrollPhase.NoScrollPhase, False,
            )  # fmt: skip
            QApplication.sendEvent(view, event)

    def middle(self, desk):
        canvas = desk.window.canvas
        box = canvas.page.movable[0].box
        return (QPointF(box.x + box.w / 2, box.y + box.h / 2) + canvas.origin).toPoint()

    def test_the_wheel_zooms_and_the_place_is_laid_out_when_it_rests(self, map_):
        before = len(map_.window.canvas.page.cells[0].ends)
        self.wheel(map_, self.middle(map_), 8)
        assert map_.state.map_window == ()  # the wheel is still turning
        map_.until(lambda: map_.state.map_window != ())
        map_.settle()
        canvas = map_.window.canvas
        assert canvas.page.movable[0].window == map_.state.map_window
        clouds = [c for c in canvas.page.cells if c.source.name == "map.token" and hasattr(c, "ends")]
        assert not clouds or len(clouds[0].ends) < before

    def test_a_drag_moves_the_map_and_is_no_click(self, map_):
        self.wheel(map_, self.middle(map_), 3)
        map_.until(lambda: map_.state.map_window != ())
        map_.settle()
        was, token = map_.state.map_window, map_.state.map_token
        view, at = map_.window.canvas.viewport(), self.middle(map_)
        QTest.mousePress(view, LEFT, NONE, at)
        QTest.mouseMove(view, at + QPoint(20, 0))
        QTest.mouseMove(view, at + QPoint(40, 0))
        QTest.mouseRelease(view, LEFT, NONE, at + QPoint(40, 0))
        map_.settle()
        now = map_.state.map_window
        assert now[0] < was[0] and now[1] == was[1] and now[2] - now[0] == pytest.approx(was[2] - was[0])
        assert map_.state.map_token == token and map_.state.opened == ()

    def test_a_click_that_does_not_drag_chooses_the_token_under_it(self, map_):
        canvas = map_.window.canvas
        cells = next(c for c in canvas.page.cells if hasattr(c, "ends"))
        (token,) = cells.source.at(0, 5)
        place = cells.place(0, 5)
        at = (QPointF(place.x + place.w / 2, place.y + place.h / 2) + canvas.origin).toPoint()
        under = cells.source.at(*cells.cell(*(QPointF(at) - canvas.origin).toTuple()))[0]
        QTest.mouseClick(canvas.viewport(), LEFT, NONE, at)
        map_.settle()
        assert map_.state.map_token == under or (map_.state.opened and under == map_.state.opened[-1].index[0])
        assert token < map_.c.model.config.vocab_size

    def test_keys_zoom_push_and_show_all_again(self, map_):
        canvas = map_.window.canvas
        for _ in range(4):
            map_.press(Qt.Key.Key_Plus, NONE, canvas)
        map_.until(lambda: map_.state.map_window != ())
        map_.settle()
        was = map_.state.map_window
        assert was[2] - was[0] == pytest.approx(0.8**4)
        map_.press(Qt.Key.Key_Right, SHIFT, canvas)
        map_.until(lambda: map_.state.map_window != was)
        map_.settle()
        assert map_.state.map_window[0] > was[0]
        map_.press(Qt.Key.Key_0, NONE, canvas)
        map_.settle()
        assert map_.state.map_window == () and not canvas.has_cursor
        map_.press(Qt.Key.Key_Plus, ALT, canvas)  # these keys are ignored
        assert map_.state.map_window == ()

    def test_a_found_token_is_chosen_and_brought_into_sight(self, map_):
        tokenizer = map_.c.model.tokenizer
        map_.c.set(replace(map_.state, map_window=(0.0, 0.0, 0.05, 0.05)))
        map_.settle()
        for token in (11, 200):
            field = map_.window.view_bar.typed
            field.setText(f"#{token}")
            field.editingFinished.emit()
            map_.settle()
            place = map_.window.canvas.page.movable[0]
            box = place.box
            assert box.x <= place.x[token] <= box.x + box.w and box.y <= place.y[token] <= box.y + box.h
            assert f"Every token in a plane, around {tokenizer.quoted(token)}" in map_.words()
        field.setText("#99999")
        field.editingFinished.emit()
        map_.settle()
        assert any(words.startswith("No token of this vocabulary is spelled") for words in map_.words())

    def test_closing_while_it_is_dragged_leaves_nothing_behind(self, map_):
        view, at = map_.window.canvas.viewport(), self.middle(map_)
        self.wheel(map_, at, 2)
        QTest.mousePress(view, LEFT, NONE, at)
        QTest.mouseMove(view, at + QPoint(30, 9))
        map_.c.open_path(())
        map_.window.canvas.asked.emit(Frame())
        map_.window.do("workspace:lens")
        map_.settle()
        QTest.mouseMove(view, at + QPoint(60, 9))
        QTest.mouseRelease(view, LEFT, NONE, at + QPoint(60, 9))
        map_.settle()
        assert map_.state.workspace == "lens" and map_.state.map_window == ()
