"""Themes, type sizes and window sizes: everything is readable, nothing is cut off."""

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QFontMetrics, QTextDocument, QTextFormat
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QTabBar,
    QTextBrowser,
)

from desktop_app.core.opening.cells import Cell
from desktop_app.core.panels import AtlasPanel, GridPanel, WaterfallPanel
from desktop_app.core.program.settings import TYPE_SIZES
from desktop_app.core.session.session_file import from_json, to_json
from desktop_app.figures.marks import Heat, Words
from desktop_app.ui.dialogs.line_dialog import LineDialog
from desktop_app.ui.picture.canvas import Canvas
from tests.scenes import panels
from tests.ui.driver import CTRL, pixels


def luminance(colours):
    """Relative luminance (WCAG 2.2) of [..., 3] sRGB bytes."""
    part = np.asarray(colours, float) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def strongest_contrast(picture):
    """The contrast between the background (the commonest colour) and the colour that differs most from it."""
    flat = picture.reshape(-1, 3)
    packed = flat[:, 0].astype(np.uint32) << 16 | flat[:, 1].astype(np.uint32) << 8 | flat[:, 2]
    values, counts = np.unique(packed, return_counts=True)
    common = values[counts.argmax()]
    ground = luminance([[common >> 16, common >> 8 & 255, common & 255]])[0]
    others = luminance(np.stack([values >> 16, values >> 8 & 255, values & 255], -1))
    high, low = np.maximum(others, ground), np.minimum(others, ground)
    return float(((high + 0.05) / (low + 0.05)).max())


def readable(window):
    """Visible widgets that carry text, by name."""
    for kind in (QLabel, QAbstractButton, QLineEdit, QAbstractSpinBox, QComboBox):
        for widget in window.findChildren(kind):
            text = widget.currentText() if isinstance(widget, QComboBox) else widget.text()
            inside = isinstance(widget.parentWidget(), QAbstractSpinBox | QComboBox)
            if text and widget.isVisible() and widget.width() > 2 and widget.isEnabled() and not inside:
                yield f"{type(widget).__name__} {text!r}", widget


def test_the_theme_changes_everything_and_comes_back(desk):
    desk.go("blocks.0.attn.pattern")
    light = pixels(desk.window)
    desk.press(Qt.Key.Key_T, CTRL, desk.window.canvas)
    dark = pixels(desk.window)
    assert np.median(light) > 200 and np.median(dark) < 60
    assert (light != dark).any(2).mean() > 0.9, "some part kept its old colours"
    desk.press(Qt.Key.Key_T, CTRL)
    assert (pixels(desk.window) == light).all()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_of_every_widget_can_be_read(desk, theme):
    if desk.window.theme.name != theme:
        desk.window.do("theme")
    desk.write("x" * 60)  # an error message is on the screen too
    desk.window.say("A sentence that passes.")
    desk.window.do("find_token")
    desk.type("x", desk.window.probabilities.search)
    checked = 0
    for name, widget in readable(desk.window):
        found = strongest_contrast(pixels(widget))
        assert found >= 4.4, f"{name} has a contrast of {found:.1f} only"
        checked += 1
    assert checked > 25


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_word_on_the_canvas_the_map_and_the_bars_can_be_read(desk, theme):
    if desk.window.theme.name != theme:
        desk.window.do("theme")
    look = desk.window.theme

    def rgb(colour):
        return tuple(int(colour.lstrip("#")[n : n + 2], 16) for n in (0, 2, 4))

    def contrast(one, other):
        low, high = sorted(luminance([rgb(one), rgb(other)]))
        return (high + 0.05) / (low + 0.05)

    for step in desk.c.steps[:29]:
        desk.go(step.key)
        pages = [desk.window.canvas.page, desk.window.map._page, desk.window.probabilities.bars._page]
        for page, ground in zip(pages, (look.background, look.panel, look.panel), strict=True):
            for mark in page.marks:
                if isinstance(mark, Words) and mark.text.strip():
                    best = max(contrast(mark.colour, ground), contrast(mark.colour, look.accent_fill))
                    if mark.colour in ("#000000", "#ffffff"):
                        continue  # on a cell, whose contrast the tests of figures check
                    assert best >= 4.4, f"{step.key}: {mark.text!r} in {mark.colour} has {best:.1f}"


def test_type_size_goes_up_down_and_back(desk):
    def letters():
        return QFontMetrics(desk.window.prompt.font()).height(), desk.window.canvas.page.scale

    first = letters()
    desk.press(Qt.Key.Key_Plus, CTRL, desk.window.canvas)
    larger = letters()
    assert larger[0] > first[0] and larger[1] == 1.15
    for _ in TYPE_SIZES:
        desk.press(Qt.Key.Key_Plus, CTRL)
    assert letters()[1] == 2.0 and letters()[0] > 1.8 * first[0]
    for _ in range(2 * len(TYPE_SIZES)):
        desk.press(Qt.Key.Key_Minus, CTRL)
    assert letters()[1] == TYPE_SIZES[0] and letters()[0] < first[0]
    desk.press(Qt.Key.Key_0, CTRL)
    assert letters() == first


def cut(window):
    """Widgets whose text does not fit into them."""
    found = []
    for name, widget in readable(window):
        if isinstance(widget, QLabel):
            if widget.wordWrap():
                needed, has = widget.heightForWidth(widget.width()), widget.height()
            else:
                words, metrics = widget.text(), widget.fontMetrics()
                if widget.textFormat() != Qt.TextFormat.PlainText and "</" in words:
                    document = QTextDocument()
                    document.setDefaultFont(widget.font())
                    document.setDocumentMargin(0)
                    document.setHtml(words)
                    needed = document.idealWidth()
                else:
                    needed = metrics.horizontalAdvance(words)
                has = widget.contentsRect().width()
        elif isinstance(widget, QAbstractSpinBox):
            line = widget.findChild(QLineEdit)
            texts = [widget.text()]
            needed, has = max(line.fontMetrics().horizontalAdvance(t) for t in texts), line.width()
        elif isinstance(widget, QLineEdit):
            needed, has = 0, 1
        elif isinstance(widget, QComboBox):
            needed, has = widget.fontMetrics().horizontalAdvance(widget.currentText()), widget.width() - 18
        else:
            needed, has = widget.fontMetrics().horizontalAdvance(widget.text()), widget.width()
        if needed > has + 1:
            found.append(f"{name} needs {needed} of {has}")
    for bar in window.findChildren(QTabBar):
        if bar.isVisible() and bar.width() < bar.sizeHint().width():
            found.append("tabs")
    return found


@pytest.mark.parametrize("size", [0.8, 1.0, 1.5, 2.0])
def test_no_text_is_cut_at_any_type_size(desk, size):
    desk.window.resize(1920, 1000)
    desk.window.memory.choose(type_size=size)
    desk.window.appearance.apply()
    desk.c.set(desk.state.with_sampling(temperature=100.0, top_k=100_000, top_p=0.01, seed=123456))
    desk.settle()
    assert cut(desk.window) == []
    bars = desk.window.probabilities.bars
    assert bars.viewport().height() >= 3 * 22 * size, "room for some bars at least"


def test_the_line_of_the_prompt_is_whole_on_a_large_screen(desk):
    desk.window.resize(3840, 2160)
    desk.settle()
    prompt = desk.window.prompt
    line = prompt.cursorRect(prompt.textCursor())
    assert line.height() > 30 and line.top() >= 0 and line.bottom() <= prompt.viewport().height()


@pytest.mark.parametrize("place", [(1280, 720), (1280, 800), (1366, 768), (1920, 1080)])
def test_the_window_fits_common_screens_with_every_part_in_it(desk, place):
    desk.window.resize(*place)
    desk.settle()
    assert (desk.window.width(), desk.window.height()) == place
    frame = desk.window.rect()
    for name in ("prompt", "chips", "map", "canvas", "probabilities", "tabs", "scrubber", "export", "menu_button"):
        widget = getattr(desk.window, name)
        corner = widget.mapTo(desk.window, widget.rect().bottomRight())
        assert frame.contains(corner), f"{name} ends at {corner}, outside {place}"
    assert cut(desk.window) == []
    assert desk.window.probabilities.bars.viewport().height() >= 6 * 22
    assert desk.window.canvas.viewport().width() >= 0.4 * place[0]


def test_a_small_window_is_as_small_as_its_least_size_and_lives(desk):
    desk.window.resize(300, 200)
    desk.settle()
    least = desk.window.minimumSizeHint()
    assert desk.window.width() <= 1280 and desk.window.height() <= 720, f"the least size is {least}"
    for step in desk.c.steps[::5]:
        desk.go(step.key)
        assert desk.words()


@pytest.mark.parametrize("size", [1.5, 2.0])
def test_large_type_still_fits_a_full_hd_screen(desk, size):
    desk.window.memory.choose(type_size=size)
    desk.window.appearance.apply()
    desk.settle()
    least = desk.window.minimumSizeHint()
    assert least.width() <= 1920 and least.height() <= 1040


@pytest.mark.parametrize("size", [(1280, 720), (1092, 614), (1920, 1080)])
def test_a_grid_is_seen_whole_with_its_last_row_and_its_scale(open_desk, bundled, size):
    desk = open_desk(bundled, "One, two, three, four, five, six, seven, eight, nine, ten, one, two,", size=size)
    for op in ("scores", "scaled", "masked", "pattern"):
        desk.go(f"blocks.2.attn.{op}")
        canvas = desk.window.canvas
        (rect,) = (rect for panel, rect in canvas.page.panels if isinstance(panel, GridPanel) and not panel.small)
        assert canvas.origin.y() + rect.y + rect.h <= canvas.viewport().height(), op


@pytest.mark.parametrize("size", [(1280, 720), (1092, 614)])
def test_pictures_of_heads_and_of_why_end_above_the_windows_foot(open_desk, bundled, size):
    text = "One, two, three, four, five, six, seven, eight, nine, ten, one, two, three, four, five, six, seven, eight,"
    desk = open_desk(bundled, f"{text} nine,", size=size)
    for workspace, kind in (("heads", AtlasPanel), ("why", WaterfallPanel)):
        desk.window.do(f"workspace:{workspace}")
        desk.settle()
        canvas = desk.window.canvas
        (rect,) = (rect for panel, rect in canvas.page.panels if isinstance(panel, kind))
        marks = (m for m in canvas.page.marks if isinstance(m, Words) and rect.x <= m.x < rect.x + rect.w)
        lowest = max(m.y + m.size / 2 for m in marks if rect.y <= m.y < rect.y + rect.h)
        assert canvas.origin.y() + lowest <= canvas.viewport().height(), workspace


@pytest.mark.parametrize(("width", "size"), [(900, 1.0), (1280, 1.0), (1920, 2.0)])
def test_the_switches_of_a_view_are_all_in_sight(desk, width, size):
    while desk.window.scale < size:
        desk.window.do("larger")
    desk.window.resize(width, 700)
    desk.settle()
    seen = 0
    for step in desk.c.steps[5:22]:
        desk.go(step.key)
        bar = desk.window.view_bar
        if bar.isVisible():
            assert desk.window.canvas.rect().contains(bar.geometry()), step.key
            assert bar.geometry().right() < desk.window.canvas.viewport().geometry().right(), step.key
            seen += 1
    assert seen >= 4


@pytest.mark.parametrize(("width", "size"), [(900, 1.0), (1280, 1.0), (1920, 1.0), (1920, 1.5), (1920, 2.0)])
def test_the_switches_of_a_view_hide_none_of_its_words(desk, width, size):
    while desk.window.scale < size:
        desk.window.do("larger")
    desk.window.resize(width, 1000)
    desk.settle()
    for step in desk.c.steps[5:22]:
        desk.go(step.key)
        bar = desk.window.view_bar
        if not bar.isVisible():
            continue
        box = bar.geometry()
        origin = desk.window.canvas.origin
        for mark in desk.window.canvas.page.marks:
            if isinstance(mark, Words) and not mark.angle:
                x, y = mark.x + origin.x(), mark.y + origin.y()
                page = desk.window.canvas.page
                wide = page.measure(mark.text, mark.size, mono=mark.mono, bold=mark.bold)
                if mark.align != "left":
                    continue
                apart = x > box.right() or x + wide < box.left() or y - mark.size / 2 > box.bottom()
                assert apart or y + mark.size / 2 < box.top(), f"{step.key}: {mark.text!r} is under the switches"


@pytest.mark.parametrize("width", [900, 1280, 1920])
def test_the_prompt_has_room_to_write_at_every_type_size(desk, width):
    for _ in TYPE_SIZES:
        desk.window.resize(width, 900)
        desk.settle()
        desk.settle()  # a further row makes the bar higher in the next turn of the event loop
        prompt = desk.window.prompt
        assert prompt.width() >= 30 * prompt.fontMetrics().averageCharWidth(), f"at {desk.window.scale}"
        corners = [w.geometry() for w in (prompt, desk.window.models, desk.window.examples, desk.window.menu_button)]
        assert not any(a.intersects(b) for n, a in enumerate(corners) for b in corners[:n])
        desk.window.do("larger")
    prompt.setFocus()
    desk.type("!")
    desk.settle()
    desk.window.resize(1900, 900)
    desk.window.do("normal")
    desk.settle()
    desk.settle()
    assert prompt.hasFocus() and prompt.text() == "Hello, you!"
    assert prompt.y() == desk.window.models.y(), "in one row again"


def test_a_long_sentence_stays_inside_the_window(desk):
    desk.window.say("This model is called " + "a very long name of a folder " * 20 + "and cannot be opened.")
    notice = desk.window.notice
    assert desk.window.rect().contains(notice.geometry())
    text = notice.fontMetrics().boundingRect(notice.contentsRect(), Qt.TextFlag.TextWordWrap, notice.text())
    assert text.height() <= notice.height()


def test_a_long_sentence_of_trouble_is_shown_whole(desk):
    desk.c.complain("/somewhere/" + "deep/" * 80 + "model cannot be opened: there is no config.json in it.")
    desk.settle()
    label = desk.window.trouble
    assert label.isVisible() and label.heightForWidth(label.width()) <= label.height()
    assert desk.window.width() == 1280


def test_the_dark_theme_is_dark_before_anything_is_computed(open_desk, tiny, tmp_path):
    first = open_desk(tiny, "a")
    if first.window.theme.name != "dark":
        first.window.do("theme")
    first.window.close()
    desk = open_desk(tmp_path / "nowhere", "a")
    for part in (desk.window.canvas, desk.window.map, desk.window.chips, desk.window.probabilities.bars):
        assert np.median(pixels(part)) < 60, f"{part.accessibleName()} is light"


def test_on_a_fine_screen_more_cells_have_a_pixel_of_their_own(open_desk, bundled, monkeypatch):
    desk = open_desk(bundled, "the cat sat on the mat " * 30)
    desk.window.resize(1280, 720)
    desk.go("blocks.0.attn.pattern")

    def finest():
        return max(m.fractions.shape[1] / m.rect.w for m in desk.window.canvas.page.marks if isinstance(m, Heat))

    assert finest() <= 1
    monkeypatch.setattr(Canvas, "devicePixelRatioF", lambda _canvas: 2.0)
    QApplication.sendEvent(desk.window.canvas, QEvent(QEvent.Type.DevicePixelRatioChange))  # as on another screen
    assert finest() > 1
    assert desk.window.canvas._render().width() == 2 * desk.window.canvas.viewport().width()


def test_switches_of_the_view_change_what_is_drawn_and_no_number(desk):
    desk.go("blocks.0.attn.pattern")
    trace = desk.scene.trace
    plain = pixels(desk.window.canvas)
    for name in ("scale_sqrt", "scale_log", "skip_first"):
        desk.window.do(name)
        assert (pixels(desk.window.canvas) != plain).any(), name
    desk.window.do("skip_first")
    desk.window.do("scale_linear")
    assert (pixels(desk.window.canvas) == plain).all()
    assert desk.scene.trace is trace
    desk.go("blocks.0.mlp.post")
    plain = pixels(desk.window.canvas)
    desk.window.do("sort_neurons")
    assert (pixels(desk.window.canvas) != plain).any()


def test_words_beside_the_bars_follow_the_type_size_there_and_back(desk):
    page = desk.window.tabs.explain
    sizes = []
    for command in ("larger", "smaller"):
        before = page.document().size().height()
        desk.window.do(command)
        desk.settle()
        assert page.document().defaultFont() == page.font()
        sizes.append((before, page.document().size().height()))
    assert sizes[0] == sizes[1][::-1]
    assert sizes[0][0] != sizes[0][1]


def test_a_limit_that_is_typed_holds_in_every_view_is_undone_and_is_in_the_session(desk):
    desk.window.resize(1280, 720)  # a projector's screen has room for the field beside all switches
    desk.window.do("every_number")
    canvas, field = desk.window.canvas, desk.window.view_bar.limit

    def limits():
        view = canvas._view
        return {p.levels.high for p in panels(view.content) if hasattr(p, "levels") and p.levels.diverging}

    def type_limit(words):
        field.setFocus()
        field.selectAll()
        QTest.keyClicks(field, words) if words else QTest.keyClick(field, Qt.Key.Key_Delete)
        QTest.keyClick(field, Qt.Key.Key_Return)

    desk.go("blocks.0.attn.scores")
    own = limits()
    assert field.isVisible() and field.text() == ""
    trace = desk.scene.trace
    type_limit("2.5")
    assert limits() == {2.5} and canvas.hasFocus()
    assert desk.scene.trace is trace, "none of it changes a number"
    desk.go("blocks.1.resid_post")
    assert limits() == {2.5} and field.text() == "2.5"
    assert from_json(to_json(desk.state), "").view.limit == 2.5
    desk.go("blocks.0.attn.pattern")
    assert field.text() == "", "a pattern has a scale of its own"
    type_limit("0,25")
    (large,) = (p for p in panels(canvas._view.content) if isinstance(p, GridPanel) and not p.small)
    assert (large.levels.low, large.levels.high) == (0, 0.25)
    assert any(m.text.startswith("0.25") for m in canvas.page.marks if isinstance(m, Words))
    desk.press(Qt.Key.Key_Z, CTRL, widget=canvas)
    assert field.text() == ""
    desk.go("blocks.0.attn.scores")
    assert field.text() == "2.5"
    for wrong in ("no", "0", "-1", "nan", "inf"):
        type_limit(wrong)
        assert field.text() == "2.5" and limits() == {2.5}
        assert "number above 0" in desk.window.notice.text()
    type_limit("")
    assert limits() == own
    desk.go("text")
    assert not field.isVisible(), "nothing here is in colours"
    desk.window.do("limit")
    assert "Nothing in this view" in desk.notice()


@pytest.mark.parametrize("step", ["scores", "pattern"])
def test_a_lecture_asks_for_the_limit_in_a_dialog(desk, step):
    desk.go(f"blocks.0.attn.{step}")
    desk.window.do("lecture")
    desk.settle()
    desk.window.do("limit")
    (dialog,) = (d for d in desk.window.findChildren(LineDialog) if d.isVisible())
    dialog.fields[0].setText("0.5")
    dialog.accept()
    desk.settle()
    assert (desk.state.view.limit, desk.state.view.pattern_limit) == ((0.5, None) if step == "scores" else (None, 0.5))


def test_the_plain_type_size_takes_the_views_own_enlargement_back(desk):
    canvas = desk.window.canvas
    plain = canvas.horizontalScrollBar().maximum()
    canvas.zoom(1)
    canvas.zoom(1)
    assert canvas.horizontalScrollBar().maximum() > plain
    desk.window.do("normal")
    assert canvas.horizontalScrollBar().maximum() == plain


@pytest.mark.parametrize("size", [(1280, 720), (1092, 614), (1920, 1080)])
def test_the_bars_heading_is_whole_with_every_button_beside_it(desk, size):
    desk.window.resize(*size)
    desk.write("the cat sat on the mat")
    for position in (None, 4, 12):
        desk.c.set(replace(desk.state, position=position))
        desk.settle()
        heading = desk.window.probabilities.heading
        assert cut(desk.window) == []
        last = desk.scene.labels[desk.scene.position].replace("·", " ").strip()
        assert heading.text().endswith(f"{last}”") and heading.text().count("…") == 1


def test_every_number_as_a_colour_is_shown_when_asked_for_and_kept_for_the_next_window(open_desk, tiny):
    desk = open_desk(tiny, "Hello, you")

    def carpets():
        return [panel for panel in panels(desk.window.canvas._view.content) if panel.carpet]

    switch = desk.window.view_bar._buttons["every_number"]
    desk.go("tokens")
    assert not switch.isVisible()
    desk.go("blocks.0.resid_mid")
    assert switch.isVisible() and not switch.isChecked() and not carpets()
    switch.click()
    desk.settle()
    assert switch.isChecked() and len(carpets()) == 3
    desk.go("embed")
    assert len(carpets()) == 2 and desk.window.actions_["every_number"].isChecked()
    desk.window.close()
    again = open_desk(tiny, "Hello, you")
    again.go("blocks.0.resid_mid")
    assert [panel for panel in panels(again.window.canvas._view.content) if panel.carpet]


def test_rich_text_has_no_weight_that_its_font_has_not(desk):
    """Inter comes in regular and semibold; Qt would synthesise a bolder weight."""
    desk.go("blocks.0.attn.pattern")
    desk.c.open_path((Cell("blocks.0.attn.pattern", (0, 3, 1)),))
    desk.settle()
    desk.window.do("help")
    documents = [browser.document() for browser in desk.window.findChildren(QTextBrowser)]
    for label in desk.window.findChildren(QLabel):
        if "<" in label.text():
            documents.append(QTextDocument())
            documents[-1].setHtml(label.text())
    weights = set()
    for document in documents:
        block = document.begin()
        while block.isValid():
            weights |= {r.format.fontWeight() for r in block.textFormats() if r.format.hasProperty(_WEIGHT)}
            block = block.next()
    assert weights and weights <= {400, 600}


_WEIGHT = QTextFormat.Property.FontWeight
