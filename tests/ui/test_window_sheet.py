"""The sheet in the window: zooming from the whole to a number and back, following the steps, and interruptions."""

from itertools import pairwise

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from desktop_app.core.opening.cells import Cell
from desktop_app.figures.export import Options
from desktop_app.figures.marks import Fill, Page, Words
from desktop_app.figures.paint_sheet import paint_here, paint_words
from desktop_app.figures.sheet_tiles import TILE
from desktop_app.figures.theme import LIGHT
from desktop_app.ui import fonts
from desktop_app.ui.picture import painting, sheet_view
from tests.ui.driver import CTRL, colours, pixels

TEXT = "the cat sat on the mat"


@pytest.fixture
def at_once(monkeypatch):
    """Without animation, so that the requested view is shown at once."""
    monkeypatch.setattr(sheet_view, "moves", lambda: False)


@pytest.fixture
def desk(open_desk, tiny, at_once):
    desk = open_desk(tiny, TEXT)
    desk.go("blocks.1.attn.pattern")
    desk.window.do("workspace:sheet")
    desk.settle()
    return desk


def sheet_of(desk):
    (sheet,) = desk.window.canvas.sheets
    return sheet


def seen(sheet):
    """The plates that are at least partly in view."""
    return [sheet.panel.sheet.plates[n] for n in sheet.panel.sheet.seen(sheet.shot.view)]


def on_screen(sheet, name, index):
    (box,) = sheet.panel.sheet.region_boxes(name, index)
    place = sheet.shot.place(box)
    return QPoint(round(place.x + place.w / 2), round(place.y + place.h / 2))


def click(sheet, name, index):
    QTest.mouseClick(
        sheet.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, on_screen(sheet, name, index)
    )


def wheel(sheet, at, up, times=1):
    for _ in range(times):
        event = QWheelEvent(
            QPointF(at), QPointF(sheet.viewport().mapToGlobal(at)), QPoint(), QPoint(0, 120 if up else -120),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(sheet.viewport(), event)


def test_all_of_the_pass_is_seen_and_in_colours(desk):
    sheet = sheet_of(desk)
    assert len(seen(sheet)) == len(sheet.panel.sheet.plates)
    assert sheet.tiles.made and colours(pixels(desk.window.canvas)) > 100
    assert sheet.panel.place.startswith("Block 1 · Head 0")


def test_until_the_first_picture_is_drawn_the_sheet_says_that_it_works(desk, monkeypatch):
    sheet, said = sheet_of(desk), []
    draw = painting._PAINTERS[Words]

    def listen(painter, mark):
        said.append(mark.text)
        draw(painter, mark)

    monkeypatch.setitem(painting._PAINTERS, Words, listen)
    sheet.viewport().grab()
    assert "Laying the pass out …" not in said
    sheet.tiles._tiles.clear()  # as before the first one arrives
    sheet.viewport().grab()
    assert "Laying the pass out …" in said


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (1092, 614)])
def test_no_note_lies_on_a_picture_of_the_whole_sheet(desk, size):
    desk.window.resize(*size)
    desk.settle()
    sheet = sheet_of(desk)
    sheet.viewport().grab()
    shot, page = sheet.shot, Page(LIGHT, fonts.measure, sheet._scale)
    notes = sheet._say_scale(shot, page)
    lowest = max(shot.place(plate.box).y + shot.place(plate.box).h for plate in sheet.panel.sheet.plates)
    assert notes.h and lowest <= notes.y and min(shot.place(p.box).y for p in sheet.panel.sheet.plates) >= 0


@pytest.mark.parametrize(
    ("size", "times"),
    [((1280, 720), 3), ((1280, 720), 30), ((1920, 1080), 3), ((1092, 614), 1), ((1092, 614), 3), ((1092, 614), 30)],
)
def test_where_one_is_is_said_on_no_picture_and_every_block_has_its_name(open_desk, bundled, at_once, size, times):
    desk = open_desk(bundled, "Once upon a time there was a " * times, size=size)
    desk.window.do("workspace:sheet")
    desk.settle()
    sheet = sheet_of(desk)
    room, plates = sheet.shot.rect, sheet.panel.sheet.plates
    for step in [step for step in desk.c.steps if step.layer in (None, 0, 7)]:
        desk.go(step.key)
        page = Page(LIGHT, fonts.measure, sheet._scale)
        paint_here(sheet.panel, sheet.shot, page)
        around = sheet.shot.place(sheet.panel.sheet.around(sheet.panel.here))
        if around.w > 0.4 * room.w:  # as the logits are, which need no label
            continue
        (words,) = (mark for mark in page.marks if isinstance(mark, Words))
        label = next(m.rect for m in page.marks if isinstance(m, Fill) and m.rect.holds(words.x, words.y) and m.radius)
        assert room.x <= label.x and label.x + label.w <= room.x + room.w, step.key
        assert room.y <= label.y and label.y + label.h <= room.y + room.h, step.key
        assert [p.name for p in plates if meet(sheet.shot.place(p.box), label)] == [], step.key
    page = Page(LIGHT, fonts.measure, sheet._scale)
    paint_words(sheet.panel, sheet.shot, page, {})
    written = [mark for mark in page.marks if isinstance(mark, Words)]
    for card in sheet.panel.sheet.cards[1:-1]:
        place = sheet.shot.place(card.box)
        own = {mark.text for mark in written if place.holds(mark.x, mark.y)}
        assert own & {f"Block {card.layer}", str(card.layer)}, card.title


def meet(one, other):
    """Whether two rectangles overlap."""
    across = one.x < other.x + other.w and other.x < one.x + one.w
    return across and one.y < other.y + other.h and other.y < one.y + one.h


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_a_number_that_is_opened_on_the_sheet_stays_in_sight(open_desk, bundled, at_once, size):
    desk = open_desk(bundled, "Once upon a time there was a little girl", size=size)
    desk.window.do("workspace:sheet")
    desk.settle()
    sheet, canvas = sheet_of(desk), desk.window.canvas
    name, index = "blocks.3.attn.scores", (2, 6, 4)
    while sheet.shot.scale * sheet.panel.sheet.plates[sheet.panel.sheet.of_tensor(name)[0]].cell_w < 60:
        wheel(sheet, on_screen(sheet, name, index), up=True)
    desk.settle()
    click(sheet, name, index)
    desk.settle()
    assert desk.state.opened == (Cell(name, index),) and desk.window.inspector.isVisible()
    at = sheet.viewport().mapTo(canvas.viewport(), on_screen(sheet, name, index))
    assert canvas.viewport().rect().contains(at)


def test_from_the_whole_to_a_single_number_and_back_by_the_wheel_and_a_click(desk):
    sheet = sheet_of(desk)
    name, index = "blocks.1.attn.scores", (2, 9, 4)
    for _ in range(60):
        wheel(sheet, on_screen(sheet, name, index), up=True)
        if len(seen(sheet)) == 1 and sheet.shot.scale * seen(sheet)[0].cell_w > 60:
            break
    desk.settle()
    n = sheet.panel.sheet.plate_at(*sheet.shot.on_sheet(*on_screen(sheet, name, index).toTuple()))
    numbers = sheet.tiles.numbers[n]
    assert numbers.values[9 - numbers.rows.start, 4 - numbers.columns.start] == desk.scene.trace[name][index]
    QTest.mouseMove(sheet.viewport(), on_screen(sheet, name, index))
    click(sheet, name, index)
    desk.settle()
    assert desk.state.opened == (Cell(name, index),)
    assert (desk.state.step, desk.state.head, desk.state.token) == (name, 2, 9)
    assert desk.state.workspace == "sheet"
    desk.window.do("workspace:sheet")
    desk.settle()
    assert len(seen(sheet)) == len(sheet.panel.sheet.plates)


def test_keys_go_nearer_and_farther_and_along_the_walk(desk):
    sheet, canvas = sheet_of(desk), desk.window.canvas
    wide = [sheet.shot.view.w]
    for _ in range(3):
        desk.press(Qt.Key.Key_Return, widget=canvas)
        wide.append(sheet.shot.view.w)
    assert wide == sorted(wide, reverse=True) and wide[0] > 5 * wide[-1]
    desk.press(Qt.Key.Key_Return, widget=canvas)
    desk.settle()
    (opened,) = desk.state.opened  # at its nearest Enter opens the token's number
    assert opened.name == "blocks.1.attn.pattern" and opened.index[:2] == (0, len(desk.scene.trace) - 1)
    desk.c.open_path(())
    desk.settle()
    desk.press(Qt.Key.Key_Right, widget=canvas)
    desk.settle()
    assert desk.state.step == "blocks.1.attn.z" and desk.state.workspace == "sheet"
    assert "blocks.1.attn.z" in {plate.name for plate in seen(sheet)}
    for _ in range(3):
        desk.press(Qt.Key.Key_Escape, widget=canvas)
    assert len(seen(sheet)) == len(sheet.panel.sheet.plates)
    desk.press(Qt.Key.Key_1, CTRL, canvas)
    desk.settle()
    assert desk.c.step.key == "blocks.1.attn.z" and not canvas.sheets


def test_a_pointer_says_which_tensor_and_near_enough_which_number_and_lights_what_it_came_from(desk):
    sheet = sheet_of(desk)
    QTest.mouseMove(sheet.viewport(), on_screen(sheet, "blocks.0.mlp.pre", (3, 5)))
    assert sheet._at is not None and sheet._readout is None  # cells are too small to point at
    sheet.go_to_plate(sheet.panel.sheet.of_tensor("blocks.1.attn.scores", 1)[0])
    desk.settle()
    QTest.mouseMove(sheet.viewport(), QPoint(1, 1))
    QTest.mouseMove(sheet.viewport(), on_screen(sheet, "blocks.1.attn.scores", (1, 7, 3)))
    assert sheet._readout.name == "blocks.1.attn.scores"
    sources, _ = sheet._lit
    assert {(r.name, r.index) for r in sources} == {
        ("blocks.1.attn.q", (1, 7, None)),
        ("blocks.1.attn.k", (1, 3, None)),
    }


def test_travel_goes_from_step_to_step_and_ends_there(open_desk, tiny, monkeypatch):
    monkeypatch.setattr(sheet_view, "moves", lambda: True)
    monkeypatch.setattr(sheet_view, "_MOST_S", 0.2)
    desk = open_desk(tiny, TEXT)
    desk.window.do("workspace:sheet")
    desk.settle()
    sheet = sheet_of(desk)
    desk.go("blocks.0.ln1")
    desk.press(Qt.Key.Key_Return, widget=desk.window.canvas)
    desk.press(Qt.Key.Key_Return, widget=desk.window.canvas)
    desk.until(lambda: not sheet.travelling)
    desk.window.do("last")
    assert sheet.travelling
    frames = sheet.frames
    desk.until(lambda: not sheet.travelling)
    assert "logits" in {plate.name for plate in seen(sheet)} and sheet.frames > frames


def test_tiles_that_are_not_seen_are_dropped(desk, monkeypatch):
    monkeypatch.setattr("desktop_app.ui.picture.sheet_tiles._KEPT", 6)
    sheet = sheet_of(desk)
    for n in range(0, len(sheet.panel.sheet.plates), 9):
        sheet.go_to_plate(n)
        desk.settle()
    assert sheet.tiles.made > 12 and sheet.tiles.held <= 6 * 4 * TILE**2


def test_another_text_scale_theme_and_model_make_it_anew(desk, open_desk, bundled):
    sheet = sheet_of(desk)
    looks = [pixels(desk.window.canvas)]
    for act in ("scale_log", "theme"):
        desk.window.do(act)
        desk.settle()
        looks.append(pixels(desk.window.canvas))
    desk.write("something else, longer than the first")
    looks.append(pixels(desk.window.canvas))
    for one, other in pairwise(looks):
        assert not np.array_equal(one, other)
    assert sheet.panel.sheet.positions == len(desk.scene.trace)
    desk.c.open_model(bundled)
    desk.settle()
    assert len(sheet_of(desk).panel.sheet.cards) == desk.c.model.config.n_layer + 2


def test_a_window_closes_in_the_middle_of_making_tiles(open_desk, tiny):
    desk = open_desk(tiny, TEXT * 2)
    desk.window.do("workspace:sheet")
    desk.until(lambda: bool(desk.window.canvas.sheets))
    sheet = sheet_of(desk)
    sheet.zoom(1)
    desk.window.close()
    assert not sheet.tiles.lane.busy or sheet.tiles.lane._closed


def told(sheet):
    """The words in which a sheet says its scale."""
    page = Page(LIGHT, fonts.measure, 1.0)
    sheet._say_scale(sheet.shot, page)
    return [mark.text for mark in page.marks if isinstance(mark, Words)]


def test_it_says_where_colours_end_and_how_many_numbers_lie_beyond(desk):
    sheet, trace = sheet_of(desk), desk.scene.trace
    assert told(sheet)[:3] == ["blocks.1.attn.pattern", "0", "1"]
    name = "blocks.0.mlp.pre"
    QTest.mouseMove(sheet.viewport(), QPoint(1, 1))
    QTest.mouseMove(sheet.viewport(), on_screen(sheet, name, (3, 5)))
    high = sheet.panel.values.levels(name).high
    beyond = np.count_nonzero(np.abs(trace[name]) > high)
    assert beyond and told(sheet)[0] == name and f"{beyond:,} beyond" in told(sheet)[-1]


def test_a_limit_that_is_typed_is_that_of_the_sheet(desk):
    sheet = sheet_of(desk)
    desk.go("blocks.1.attn.scores")
    desk.window.do("workspace:sheet")
    desk.settle()
    before = pixels(desk.window.canvas)
    desk.window.view_bar.limit_typed.emit("0.5")
    desk.settle()
    assert desk.state.view.limit == 0.5
    beyond = np.count_nonzero(np.abs(desk.scene.trace["blocks.1.attn.scores"]) > 0.5)
    assert (
        told(sheet)[1:3] == ["−0.5", "0.5"]
        and f"{beyond:,} beyond" in told(sheet)[-1]
        and "set by hand" in told(sheet)[-1]
    )
    assert not np.array_equal(before, pixels(desk.window.canvas))


def test_the_change_by_an_edit_is_the_difference_of_two_passes(desk):
    from desktop_app.core.asking.intents import Edit

    desk.window.acts.follow(Edit(("blocks.0.attn.z[1]*=0",)))
    desk.settle()
    desk.window.do("compare_change")
    desk.settle()
    sheet = sheet_of(desk)
    name = "blocks.1.attn.pattern"
    n = sheet.panel.sheet.of_tensor(name, 2)[0]
    plate = sheet.panel.sheet.plates[n]
    cells = sheet.panel.values.cells(plate, range(plate.rows), range(plate.columns))
    low = np.tri(plate.rows, dtype=bool)
    passes = desk.scene.passes
    assert np.array_equal(cells[low], (passes.trace[name][2] - passes.before[name][2])[low])
    assert sheet.panel.run == "change"
    sheet.go_to_plate(n)
    desk.settle()
    QTest.mouseMove(sheet.viewport(), QPoint(1, 1))
    QTest.mouseMove(sheet.viewport(), on_screen(sheet, name, (2, 9, 4)))
    assert sheet._readout is not None and not desk.trouble()


def test_covered_the_sheet_shows_no_number(desk):
    desk.window.do("cover")
    desk.settle()
    sheet = sheet_of(desk)
    assert sheet.panel.values is None
    sheet.go_to_plate(0)
    desk.settle()
    assert not sheet.tiles.numbers


def test_edited_the_sheet_shows_both_passes_side_by_side(desk):
    from desktop_app.core.asking.intents import Edit

    desk.window.acts.follow(Edit(("blocks.0.attn.z[1]*=0",)))
    desk.settle()
    desk.window.do("compare_both")
    desk.settle()
    sheets = desk.window.canvas.sheets
    assert [s.panel.title for s in sheets] == ["after", "before", "after − before"]
    after, before, less = (s.panel.values for s in sheets)
    for name in ("blocks.0.attn.z", "blocks.1.resid_post"):
        assert after.levels(name).high == before.levels(name).high > 0
        assert less.levels(name).high < after.levels(name).high
    wheel(sheets[0], QPoint(40, 60), up=True, times=8)
    views = [s.shot.view for s in sheets]
    for other in views[1:]:
        assert (other.x, other.y, other.w) == pytest.approx((views[0].x, views[0].y, views[0].w), rel=0.02)
    assert views[0].w < sheets[0].panel.sheet.width


def test_it_is_exported_from_the_window_as_any_figure(desk, tmp_path):

    out = tmp_path / "poster.png"
    desk.window.files.export_figure(Options("png", "poster", dpi=60), out)
    desk.until(out.exists)
    assert out.read_bytes().startswith(b"\x89PNG") and not desk.trouble()
