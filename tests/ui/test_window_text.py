"""No word in the window is cut off or overlaps another: every view and dialog, at sizes common in lecture halls.

All sizes, with both themes and three lengths of text, take minutes, so they run only if LOGITSCOPE_SLOW is set, as in
CI. 1366x768 at 125 % and 3840x2160 at 200 % run with real scaling, in a process each, because Qt reads its scale once.
Everything that is painted is measured where the painter draws it: the canvas, the sheet, the map, the chips, the bars,
the scrubber and the inspector; words of widgets by the widgets' own fonts.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QAbstractItemView, QApplication, QDialog, QFileDialog, QTableView, QToolButton, QWidget

from desktop_app.core.asking.commands import COMMANDS
from desktop_app.core.asking.navigation import at_workspace
from desktop_app.core.panels import has_carpets
from desktop_app.core.program.bundle import bundled_models
from desktop_app.core.workspaces import WORKSPACES
from desktop_app.figures.marks import Path as Line
from desktop_app.figures.marks import Words
from desktop_app.ui import fonts
from desktop_app.ui.parts.track import Track
from desktop_app.ui.picture import painting
from tests.figures.boxes import corners, crossed, faults, meetings
from tests.ui.test_window_looks import cut

SLOW = bool(os.environ.get("LOGITSCOPE_SLOW"))
SCALED = os.environ.get("LOGITSCOPE_SCALED", "")
"""A size and a scale to use instead, in such a separate process."""

SIZES = ((1280, 720), (1920, 1080)) if SLOW else ((1280, 720),)
if SCALED:
    SIZES = (tuple(map(int, SCALED.partition(" ")[0].split("x"))),)
THEMES = ("light", "dark") if SLOW else ("light",)
SENTENCE = "The king gave the old man a red rose, and the old man gave the king a white rose and a cup of "
TEXTS = {3: "The old king", 20: SENTENCE.strip(), 250: (10 * SENTENCE).strip()}
COUNTS = (3, 20, 250) if SLOW else (20,)
TABS = [spec.key for spec in WORKSPACES]
OPENERS = [c.id for c in COMMANDS if c.title.endswith("…") or c.id in ("help", "about")]
"""The commands that ask for something, or show a page, in a window of its own."""


@pytest.fixture
def painted(monkeypatch):
    """A function that paints a window, and returns sentences about words that overlap or are cut in its painted parts.

    A part that scrolls may cut words at its ends; the tracks at the window's foot do not scroll. The canvas paints
    into a picture, which `words_of` looks at, and the sheet over it.
    """
    drawn = {}

    def draw(painter, mark):
        place = painter.transform()
        box = [place.map(QPointF(*point)).toTuple() for point in corners(mark, fonts.measure)]
        drawn.setdefault(painter.device(), []).append((mark.text, box))
        own(painter, mark)

    own = painting._PAINTERS[Words]
    monkeypatch.setitem(painting._PAINTERS, Words, draw)

    def look(desk):
        drawn.clear()
        desk.window.grab()
        found = []
        for device, lines in drawn.items():
            if isinstance(device, QWidget):
                found += meetings([line for line in lines if line[0].strip()])
            if isinstance(device, Track):
                found += [f"{text!r} leaves its track" for text, box in lines if not _within(box, device)]
        assert any(isinstance(device, Track) for device in drawn) and len(drawn) >= 3
        return found

    return look


def _within(box, widget):
    return all(-1 <= x <= widget.width() + 1 and -2 <= y <= widget.height() + 2 for x, y in box)


def listed(dialog):
    """Entries of a dialog's lists and tables that are wider than their place."""
    found = []
    for view in (v for v in dialog.findChildren(QAbstractItemView) if v.isVisible()):
        for row in range(view.model().rowCount()):
            for column in range(view.horizontalHeader().count() if isinstance(view, QTableView) else 1):
                index = view.model().index(row, column)
                place, words = view.visualRect(index), str(index.data() or "")
                if words and place.intersects(view.viewport().rect()):
                    needed = view.fontMetrics().horizontalAdvance(words)
                    room = min(place.right() + 1, view.viewport().width()) - place.left()
                    if needed > room:
                        found.append(f"{words!r} needs {needed} of {room}")
    return found


def words_of(desk):
    """Sentences about words on the canvas, as the window's own fonts draw them.

    At the size of a projector's screen and above, no word of a short text is abbreviated, not even on the map.
    """
    page, canvas = desk.window.canvas.page, desk.window.canvas
    width = canvas.viewport().width()
    shortened = []
    # Passages in the evidence come from other texts, and have the length of a scan's window.
    if desk.window.width() >= 1280 and len(desk.scene.trace) < 30 and desk.state.workspace != "evidence":
        marks = (*page.marks, *desk.window.map._page.marks)
        ends = {m.text for m in marks if isinstance(m, Words) and m.text.endswith("…") and len(m.text) > 1}
        shortened = [f"{text!r} is shortened" for text in sorted(ends)]
    return faults(page.marks, width, max(canvas._height, canvas.viewport().height()), fonts.measure) + shortened


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("size", SIZES)
def test_no_word_of_any_view_is_cut_or_meets_another(open_desk, bundled, painted, size, count, theme):
    desk = open_desk(bundled, TEXTS[count], size=size)
    if desk.window.theme.name != theme:
        desk.window.do("theme")

    def faults_here():
        return words_of(desk) + cut(desk.window) + painted(desk)

    assert not SCALED or desk.window.devicePixelRatioF() == float(SCALED.partition(" ")[2])
    found = {}
    steps = [step for step in desk.c.steps if step.layer in (None, 2)]
    for step in steps:
        desk.go(step.key)
        found[step.key] = faults_here()
    desk.window.do("every_number")
    for step in steps:
        if has_carpets(desk.c.present_view(desk.scene, step)):
            desk.go(step.key)
            found[f"{step.key}, every number"] = faults_here()
    for key in TABS:
        desk.c.set(at_workspace(desk.state, key))
        desk.settle()
        found[key] = faults_here()
        sources = [cells.source for cells in desk.window.canvas.page.cells if cells.source is not None]
        for source in sources[:1] if (theme, count) == ("light", 20) else ():
            opened = source.cell(0, 0)
            desk.c.open_path((opened,))
            desk.settle()
            assert desk.window.inspector.isVisible(), opened
            inspector = desk.window.inspector.canvas
            height = max(inspector._height, inspector.viewport().height())
            inside = faults(inspector.page.marks, inspector.viewport().width(), height, fonts.measure)
            found[f"{key}, {opened.name} opened"] = faults_here() + inside
            desk.c.open_path(())
            desk.settle()
    assert {key: sentences for key, sentences in found.items() if sentences} == {}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("count", (3, 20, 120) if SLOW else (20,))
@pytest.mark.parametrize("size", SIZES)
def test_no_word_over_a_training_is_cut_meets_another_or_lies_on_a_curve(open_desk, size, count, theme):
    desk = open_desk(bundled_models()["learner"], "K3R8WMZQ5T" * (count // 10) or "K3R", size=size)
    if desk.window.theme.name != theme:
        desk.window.do("theme")
    desk.c.set(at_workspace(desk.state, "training"))
    for n in (20, 0, 9):
        desk.window.training.go_to(n)
        desk.settle()
        curves = [m for m in desk.window.canvas.page.marks if isinstance(m, Line) and len(m.x) > 4]
        assert len(curves) > 15
        assert words_of(desk) + cut(desk.window) + crossed(desk.window.canvas.page.marks, curves) == []


def test_tabs_are_whole_and_named_and_none_can_be_pressed_where_there_is_no_pass(open_desk):
    desk = open_desk(bundled_models()["learner"], 100 * "and so ", size=(1920, 1080), settle=False)
    desk.until(lambda: bool(desk.trouble()))
    QApplication.processEvents()  # the layout follows
    assert desk.scene is None and cut(desk.window) == []
    tabs = desk.window.workspaces.findChildren(QToolButton)
    names = [tab.text() for tab in tabs]
    assert len(names) > 8 and all(names) and not any(tab.isEnabled() for tab in tabs)
    desk.write("and so ")
    assert all(tab.isEnabled() for tab in tabs) and [tab.text() for tab in tabs] == names


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("size", SIZES)
def test_no_word_of_any_dialog_is_cut(open_desk, bundled, size, count, theme):
    desk = open_desk(bundled, TEXTS[count], size=size)
    if desk.window.theme.name != theme:
        desk.window.do("theme")
    desk.go("blocks.2.attn.pattern")
    desk.c.set(replace(desk.state, other="The old queen"))
    desk.settle()
    found, opened = {}, set()
    for name in OPENERS:
        desk.window.do(name)
        QApplication.processEvents()
        for dialog in [d for d in desk.window.findChildren(QDialog) if d.isVisible()]:
            if not isinstance(dialog, QFileDialog):
                opened.add(name)
                found[name] = cut(dialog) + listed(dialog)
                if dialog.width() > desk.window.width() or dialog.height() > desk.window.height():
                    found[name].append(f"{dialog.width()}x{dialog.height()} is larger than the window")
            dialog.close()
        QApplication.processEvents()
    assert {name: sentences for name, sentences in found.items() if sentences} == {}
    asking = {"export", "deck", "palette", "help", "about", "open_models", "why_target", "open_weight", "edit_write"}
    assert opened >= asking | {"edit_steer", "edit_across", "mask_write", "other_write", "add_stop"}


@pytest.mark.skipif(not SLOW or bool(SCALED), reason="takes minutes: LOGITSCOPE_SLOW=yes")
@pytest.mark.parametrize(("size", "scale"), [("1920x1080", "2.0"), ("1092x614", "1.25")])
def test_no_word_is_cut_where_a_pixel_is_not_a_point(size, scale):
    """3840x2160 at 200 % and 1366x768 at 125 %."""
    environment = {**os.environ, "LOGITSCOPE_SCALED": f"{size} {scale}"}
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(Path(__file__))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
