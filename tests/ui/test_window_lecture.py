"""Lecture mode and layout: the picture alone, a presenter's keys, and parts that fold in a small window."""

import math

import numpy as np
import pytest
from PySide6.QtCore import Qt

from desktop_app.core.lessons.examples import examples
from desktop_app.figures.marks import Words
from tests.ui.driver import CTRL, pixels

KEY = Qt.Key
TWENTY = "One day a little bird sat in the old tree and sang a song to the dog and the cat."


@pytest.fixture
def lecture(desk):
    desk.go("blocks.1.attn.pattern")
    desk.press(KEY.Key_F11, widget=desk.window.canvas)
    desk.settle()
    return desk


def test_a_lecture_is_the_picture_with_one_sentence_on_the_whole_screen(lecture):
    window = lecture.window
    assert window.isFullScreen()
    for part in (window.top_bar, window.chip_bar, window.left, window.right, window.scrubber, window.view_bar):
        assert not part.isVisible(), part.objectName()
    assert not window.workspaces.isVisible()
    sentence = window.lecture.sentence
    assert sentence.isVisible() and sentence.text() and ". " not in sentence.text()
    assert sentence.fontInfo().pixelSize() >= 0.026 * window.height()
    assert sentence.heightForWidth(sentence.width()) <= sentence.height()
    assert window.canvas.width() >= 0.99 * window.width()
    assert 13 * window.canvas.page.scale >= 0.0195 * window.height(), "what the last row can read"
    lecture.press(KEY.Key_F11)
    lecture.settle()
    assert not window.isFullScreen() and window.top_bar.isVisible() and window.right.isVisible()
    assert not sentence.isVisible()


def test_what_one_asks_for_comes_on_a_key_and_goes_again(lecture):
    window = lecture.window
    parts = {KEY.Key_F2: window.left, KEY.Key_F3: window.right, KEY.Key_F7: window.chip_bar}
    for key, part in parts.items():
        lecture.press(key)
        assert part.isVisible()
        lecture.press(key)
        assert not part.isVisible()
    lecture.press(KEY.Key_F3)
    assert not window.probabilities.controls.isVisible() and window.probabilities.settings.isVisible()
    lecture.press(KEY.Key_F4)
    assert window.probabilities.controls.isVisible() and not window.probabilities.settings.isVisible()


@pytest.mark.parametrize("focus", ["canvas", "temperature", "search"])
def test_a_clickers_keys_do_the_same_whatever_has_the_focus(lecture, focus):
    window = lecture.window
    for command in ("bars", "sampling", "find_token"):
        window.do(command)
    p = window.probabilities
    field = {"canvas": window.canvas, "temperature": p.controls._temperature, "search": p.search}[focus]
    at = lecture.c.step.index
    lecture.press(KEY.Key_PageDown, widget=field)
    lecture.settle()
    assert lecture.c.step.index == at + 1
    lecture.press(KEY.Key_PageUp, widget=field)
    lecture.settle()
    assert lecture.c.step.index == at
    for key in (KEY.Key_B, KEY.Key_Period):
        lecture.press(key, widget=field)
        assert window.lecture.is_blank and pixels(window).max() == 0
        lecture.press(key, widget=field)
        assert not window.lecture.is_blank and pixels(window).max() > 0
    assert lecture.state.sampling.temperature == 1.0 and p.search.text() == ""
    lecture.press(KEY.Key_Escape, widget=field)
    assert not window.isFullScreen()


def test_outside_a_lecture_the_same_keys_are_letters(desk):
    desk.type("b.", desk.window.prompt)
    desk.settle()
    assert desk.window.prompt.text() == "Hello, youb." and not desk.window.lecture.is_blank


def test_esc_takes_one_thing_back_at_a_time(lecture):
    window = lecture.window
    cells = max(window.canvas.page.cells, key=lambda c: c.rect.w)
    lecture.click_canvas(cells.place(3, 1))
    assert lecture.c.path
    lecture.press(KEY.Key_F9, widget=window.canvas)
    assert window.canvas.focused is not None
    lecture.press(KEY.Key_Escape)
    assert window.canvas.focused is None and lecture.c.path
    lecture.press(KEY.Key_Escape)
    assert not lecture.c.path and window.isFullScreen()
    lecture.press(KEY.Key_Return, widget=window.canvas)
    assert window.canvas.has_cursor
    lecture.press(KEY.Key_Escape)
    assert not window.canvas.has_cursor and window.isFullScreen()
    lecture.press(KEY.Key_Escape)
    assert not window.isFullScreen()


def test_one_panel_alone_is_larger_and_stays_while_heads_are_walked(lecture):
    canvas = lecture.window.canvas
    cells = min((c for c in canvas.page.cells if c.source), key=lambda c: c.rect.w)
    before = cells.rect.w
    lecture.hover_canvas(cells.rect.x + cells.rect.w / 2, cells.rect.y + cells.rect.h / 2)
    lecture.press(KEY.Key_F9, widget=canvas)
    assert len(canvas.page.panels) == 1 and max(c.rect.w for c in canvas.page.cells) > 2 * before
    lecture.press(KEY.Key_Down, CTRL)
    lecture.settle()
    assert len(canvas.page.panels) == 1
    lecture.press(KEY.Key_F9)
    assert len(canvas.page.panels) > 1


def test_the_pointer_dims_all_but_its_cell(lecture):
    canvas = lecture.window.canvas
    plain = pixels(canvas).astype(int)
    cells = max(canvas.page.cells, key=lambda c: c.rect.w)
    place = cells.place(4, 2)
    lecture.hover_canvas(place.x + place.w / 2, place.y + place.h / 2)
    canvas.set_readout(None)
    lit = pixels(canvas).astype(int)
    x, y = (round(v) for v in (canvas.origin.x() + place.x + place.w / 2, canvas.origin.y() + place.y + place.h / 2))
    assert (lit[y, x] == plain[y, x]).all()
    ground = plain[1, 1]
    ink = np.abs(plain - ground).sum(-1) > 300
    assert np.abs(lit - ground).sum(-1)[ink].mean() < 0.6 * np.abs(plain - ground).sum(-1)[ink].mean()


def test_the_pointer_lights_the_labels_of_its_cell_and_no_other_words(open_desk, bundled):
    """The ring is near the bottom; straight above it are the titles of the panel and of the view."""
    desk = open_desk(bundled, TWENTY)
    desk.go("blocks.1.attn.pattern")
    desk.press(KEY.Key_F11, widget=desk.window.canvas)
    desk.settle()
    canvas = desk.window.canvas
    cells = max((c for c in canvas.page.cells if c.source), key=lambda c: c.rect.w)
    row, column = cells.rows - 2, 4
    place = cells.place(row, column)
    desk.hover_canvas(place.x + place.w / 2, place.y + place.h / 2)
    canvas.set_readout(None)
    lit = pixels(canvas).astype(int)
    canvas.set_spotlight(False)
    plain = pixels(canvas).astype(int)
    own = {desk.scene.labels[column], desk.scene.labels[row]}
    lit_words = []
    for mark in canvas.page.marks:
        if isinstance(mark, Words) and mark.text.strip() and not place.holds(mark.x, mark.y):
            left = {"left": 0, "center": -0.5, "right": -1}[mark.align]
            wide = canvas.page.measure(mark.text, mark.size, mono=mark.mono, bold=mark.bold)
            ends = [(left + share) * wide for share in (0.1, 0.9)]
            turn = math.radians(mark.angle)
            xs = sorted(canvas.origin.x() + mark.x + end * math.cos(turn) for end in ends)
            ys = sorted(canvas.origin.y() + mark.y - end * math.sin(turn) for end in ends)
            box = slice(int(ys[0]) - 3, int(ys[1]) + 3), slice(int(xs[0]), int(xs[1]) + 1)
            ink = np.abs(plain[box] - plain[2, 2]).sum(-1) > 150
            if ink.any() and (lit[box] == plain[box]).all(-1)[ink].mean() > 0.2:
                lit_words.append(mark.text)
    assert own <= set(lit_words)
    assert not [words for words in lit_words if words not in desk.scene.labels], "titles are dimmed"


def test_an_examples_sentence_stays_with_its_place_and_covers_nothing(open_desk, bundled):
    example = examples()[0]
    desk = open_desk(bundled, example.state.text)
    window = desk.window
    window.open_example(example)
    desk.settle()
    words = window.place_words
    assert words.isVisible() and words.label.text() == example.say
    assert words.label.heightForWidth(words.label.width()) <= words.label.height()
    assert words.geometry().top() >= window.centre.geometry().bottom()
    desk.window.do("next")
    desk.settle()
    assert not words.isVisible()
    desk.window.do("previous")
    desk.settle()
    assert words.isVisible()
    words.close_button.click()
    desk.window.do("draw")
    desk.settle()
    assert not words.isVisible()


@pytest.mark.parametrize("type_size", [1.0, 1.5])
@pytest.mark.parametrize("place", [(960, 540), (1024, 768), (1093, 614), (1280, 720), (1920, 1080)])
def test_nothing_leaves_a_small_screen(open_desk, bundled, place, type_size):
    desk = open_desk(bundled, TWENTY)
    window = desk.window
    while window.settings.type_size < type_size:
        window.do("larger")
    window.resize(*place)
    desk.settle()
    assert (window.width(), window.height()) == place
    parts = ("prompt", "chips", "canvas", "probabilities", "tabs", "scrubber", "menu_button", "export")
    for name in parts:
        part = getattr(window, name)
        if part.isVisible():
            corner = part.mapTo(window, part.rect().bottomRight())
            assert window.rect().contains(corner), f"{name} ends at {corner} in {place}"
    assert window.canvas.viewport().width() >= 0.4 * place[0]


def test_a_projectors_screen_has_bars_words_and_a_picture_of_a_size(open_desk, bundled):
    desk = open_desk(bundled, TWENTY, size=(1280, 720))
    desk.go("blocks.1.attn.pattern")
    window = desk.window
    bars = window.probabilities.bars
    assert len(bars.panel.bars) >= 8 and bars.verticalScrollBar().maximum() == 0
    page = window.tabs.explain
    text = page.toPlainText()
    cursor = page.cursorForPosition(page.viewport().rect().bottomRight())
    assert cursor.position() >= text.index("A_ij") if "A_ij" in text else cursor.blockNumber() >= 1
    lines = page.viewport().height() / page.fontMetrics().lineSpacing()
    assert lines >= 5
    canvas = window.canvas
    (grid,) = (r for p, r in canvas.page.panels if getattr(p, "head", None) is not None and not p.small)
    assert grid.w * grid.h >= 0.45 * canvas.viewport().width() * canvas.viewport().height()
    assert grid.y + grid.h + canvas.origin.y() <= canvas.viewport().height()


@pytest.mark.parametrize("times", [1, 11])
def test_a_projectors_screen_has_eight_bars_and_whole_formulas_whatever_the_prompts_length(open_desk, bundled, times):
    desk = open_desk(bundled, " ".join([TWENTY] * times), size=(1280, 720))
    bars, page = desk.window.probabilities.bars, desk.window.tabs.explain
    for step in (step for step in desk.c.steps if step.layer in (None, 1)):
        desk.go(step.key)
        layout, formula = page.document().documentLayout(), page.document().begin().next()
        assert formula.text() and layout.blockBoundingRect(formula).bottom() <= page.viewport().height(), step.key
    assert len(bars.panel.bars) >= 8 and bars.verticalScrollBar().maximum() == 0


def test_type_and_picture_grow_with_the_window(open_desk, bundled):
    desk = open_desk(bundled, TWENTY, size=(1280, 720))
    desk.go("blocks.1.attn.pattern")

    def seen():
        canvas = desk.window.canvas
        return canvas.page.scale, max(c.rect.w for c in canvas.page.cells)

    sizes = []
    for place in ((1280, 720), (1920, 1080), (3840, 2160)):
        desk.window.resize(*place)
        desk.settle()
        sizes.append(seen())
    assert sizes == sorted(sizes) and sizes[2][0] >= 2 * sizes[0][0] and sizes[2][1] > 2 * sizes[0][1]
    desk.window.resize(1280, 720)
    desk.settle()
    before = seen()
    for _ in range(3):
        desk.window.do("larger")
    desk.settle()
    assert seen()[1] > before[1], "the picture grows with the type"


def test_what_is_scrolled_up_does_not_show_through_the_tabs(open_desk, bundled):
    desk = open_desk(bundled, TWENTY, size=(1280, 720))
    desk.go("blocks.1.attn.scores")
    canvas = desk.window.canvas
    foot = max(bar.geometry().bottom() for bar in (desk.window.workspaces, desk.window.view_bar))
    still = pixels(canvas)[: foot + 1]
    canvas.verticalScrollBar().setValue(canvas.verticalScrollBar().maximum())
    assert canvas.verticalScrollBar().value() > 40
    moved = pixels(canvas)[: foot + 1]
    room = slice(0, canvas.viewport().width())
    assert (still[:, room] == moved[:, room]).all()
