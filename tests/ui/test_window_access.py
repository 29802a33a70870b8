"""The window without a mouse and for blind users: names for screen readers, Tab order, the palette, no idle work."""

from operator import attrgetter

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QAccessible, QFocusEvent, QKeySequence
from PySide6.QtWidgets import QApplication, QMenu, QMessageBox, QTextBrowser, QWidget

from desktop_app.core.asking.commands import COMMANDS
from desktop_app.core.lessons.examples import examples
from desktop_app.core.library.catalogue import title_of
from desktop_app.core.program.bundle import default_model
from desktop_app.ui.dialogs.command_palette import CommandPalette
from desktop_app.ui.dialogs.export_dialog import ExportDialog
from desktop_app.ui.dialogs.help_page import HelpPage
from tests.ui.driver import CTRL, SHIFT, pixels


def focusable(window):
    """Visible widgets of a window that take the focus, without those inside a compound widget."""
    for widget in window.findChildren(QWidget):
        inside = widget.focusProxy() is not None or widget.objectName().startswith("qt_")
        takes = widget.focusPolicy() != Qt.FocusPolicy.NoFocus and widget.isVisible()
        if takes and widget.window() is window and not inside:
            yield widget


def spoken(widget):
    return QAccessible.queryAccessibleInterface(widget).text(QAccessible.Text.Name)


def test_everything_that_takes_the_focus_has_a_name(desk):
    desk.window.do("find_token")
    desk.go("blocks.0.attn.pattern")
    desk.click_canvas(max(desk.window.canvas.page.cells, key=lambda c: c.rect.w).place(5, 1))
    nameless = [w for w in focusable(desk.window) if not spoken(w).strip(" ↶↷◐☰✕▶◀|▾…")]
    assert nameless == []
    assert len(list(focusable(desk.window))) > 25


@pytest.mark.parametrize(("name", "kind"), [("export", ExportDialog), ("palette", CommandPalette)])
def test_everything_in_a_dialog_has_a_name(desk, name, kind):
    desk.window.do(name)
    (dialog,) = desk.window.findChildren(kind)
    assert [w for w in focusable(dialog) if not spoken(w).strip()] == []
    dialog.reject()


def walk(desk, key, modifiers, first):
    first.setFocus()
    seen = []
    for _ in range(200):
        widget = QApplication.focusWidget()
        if seen and widget is first:
            return seen
        if seen and widget is seen[-1] and isinstance(widget, QTextBrowser):
            desk.press(key, modifiers)  # in a page of text the focus stops at each link
            continue
        assert widget not in seen, f"Tab goes round without coming back, at {widget}"
        seen.append(widget)
        desk.press(key, modifiers)
    pytest.fail("Tab never comes back")


def test_tab_goes_through_every_pane_and_comes_back(desk):
    desk.go("blocks.0.attn.pattern")
    seen = walk(desk, Qt.Key.Key_Tab, Qt.KeyboardModifier.NoModifier, desk.window.prompt)
    named = [desk.window.prompt, desk.window.chips, desk.window.map, desk.window.canvas]
    named += [desk.window.probabilities.bars, desk.window.scrubber.track]
    places = [seen.index(w) for w in named]
    assert places == sorted(places), "the panes come in the order in which one uses them"
    controls = desk.window.probabilities.controls
    for widget in (controls.temperature, controls._temperature, controls.greedy, controls.seed, desk.window.export):
        assert widget in seen
    left_out = [
        w for w in focusable(desk.window)
        if w.focusPolicy() & Qt.FocusPolicy.TabFocus and w.isEnabled() and w not in seen and not w.isHidden()
    ]  # fmt: skip
    assert [spoken(w) for w in left_out] == []
    back = walk(desk, Qt.Key.Key_Backtab, SHIFT, desk.window.prompt)
    assert set(back) == set(seen)


@pytest.mark.parametrize("place", ["canvas", "map", "chips", "probabilities.bars", "scrubber.track", "prompt"])
def test_one_sees_where_the_focus_is(desk, place):
    widget = attrgetter(place)(desk.window)
    other = desk.window.export
    other.setFocus()
    without = pixels(widget)
    widget.setFocus(Qt.FocusReason.TabFocusReason)
    with_focus = pixels(widget)
    assert (without != with_focus).any(2).sum() > 40
    other.setFocus()
    QApplication.sendEvent(widget, QFocusEvent(QFocusEvent.Type.FocusOut))
    assert (pixels(widget) == without).all()


def test_every_command_is_in_a_menu_and_in_the_palette(desk):
    listed = {m.title(): [a.text() for a in m.actions()] for m in desk.window.menu_button.menu().findChildren(QMenu)}
    for command in COMMANDS:
        assert command.title in listed[command.menu]
    assert sum(map(len, listed.values())) == len(COMMANDS)
    desk.press(Qt.Key.Key_P, CTRL | SHIFT, desk.window.canvas)
    (palette,) = desk.window.findChildren(CommandPalette)
    listed = [palette.list.item(n).text() for n in range(palette.list.count())]
    for command in COMMANDS:
        if command.id != "palette":
            assert any(line.startswith(command.title) for line in listed)


def test_no_two_commands_share_a_key():
    keys = [k for c in COMMANDS for k in c.keys]
    assert len(keys) == len(set(keys))


def test_the_palette_narrows_and_runs_what_was_chosen(desk):
    desk.go("tokens")
    desk.window.do("palette")
    (palette,) = desk.window.findChildren(CommandPalette)
    desk.type("next bl", palette.field)
    shown = [palette.list.item(n).text() for n in range(palette.list.count()) if not palette.list.item(n).isHidden()]
    assert len(shown) == 1 and shown[0].startswith("Next block")
    assert palette.none.isHidden()
    for typed, nothing in (("zzzzq", True), ("", False), ("next bl", False)):
        palette.field.setText(typed)
        assert palette.none.isVisible() == nothing, typed
    desk.press(Qt.Key.Key_Return, widget=palette.field)
    assert desk.state.layer == 0 and desk.c.step.layer == 0
    desk.settle()
    assert not desk.window.findChildren(CommandPalette), "it is gone when it has done its work"


def test_the_palette_is_walked_with_arrows_and_left_with_escape(desk):
    desk.window.do("palette")
    (palette,) = desk.window.findChildren(CommandPalette)
    palette.field.setFocus()
    first = palette.list.currentRow()
    desk.press(Qt.Key.Key_Down, widget=palette.field)
    assert palette.list.currentRow() == first + 1
    before = desk.state
    desk.press(Qt.Key.Key_Escape, widget=palette.field)
    desk.settle()
    assert desk.state == before and not desk.window.findChildren(CommandPalette)


def test_what_cannot_be_done_now_cannot_be_chosen(desk):
    desk.window.do("palette")
    (palette,) = desk.window.findChildren(CommandPalette)
    desk.type("redo", palette.field)
    desk.press(Qt.Key.Key_Return, widget=palette.field)
    assert palette.isVisible(), "there is nothing to redo"
    palette.reject()


def test_about_says_what_this_is_and_never_blocks(desk):
    desk.window.do("about")
    (box,) = desk.window.findChildren(QMessageBox)
    assert "MIT" in box.text() and "LGPL" in box.text()
    desk.window.do("next")
    box.close()


def test_an_idle_window_has_no_timer_awake(desk):
    desk.window.do("append")
    desk.settle()
    desk.window.canvas.setFocus()
    desk.window.say("")
    # The last timer frees what is no longer shown.
    desk.until(lambda: not any(t.isActive() for t in desk.window.findChildren(QTimer)))


def opened_menu(desk, button):
    """Click the button; returns the texts of the menu that opens, and closes it again. None if no menu opens."""
    found = []

    def look():
        menu = QApplication.activePopupWidget()
        if isinstance(menu, QMenu):
            shown = [a for a in menu.actions() if menu.actionGeometry(a).height() > 0 and not a.isSeparator()]
            found.append((menu.pos(), [a.text().replace("&", "") for a in shown]))
            menu.close()

    # The click returns only when the menu has closed, so it is read from the event loop that the menu runs.
    QTimer.singleShot(0, look)
    desk.click(button, button.width() / 2, button.height() / 2)
    return found[0] if found else None


def test_menus_open_where_one_clicks_and_hold_what_they_say(desk):
    window = desk.window
    desk.until(lambda: bool(window.models.menu().actions()))
    expected = {
        window.models: {title_of(default_model()), "Models …", "Open a model folder …"},
        window.examples: {example.title for example in examples()},
        window.menu_button: {"File", "Edit", "Go", "Sample", "View", "Inspect", "Help"},
    }
    for button, words in expected.items():
        place, texts = opened_menu(desk, button)
        assert words <= set(texts) and all(texts)
        assert (place - button.mapToGlobal(QPoint(0, 0))).manhattanLength() < 600


def test_a_right_click_on_a_bar_offers_to_append_and_to_pin(desk):
    from PySide6.QtGui import QContextMenuEvent

    bars = desk.window.probabilities.bars
    token = bars.panel.bars[1].pick.token
    rect = bars._page.picks[1].rect
    place = QPoint(30, round(rect.y + rect.h / 2))
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, bars.viewport().mapToGlobal(place))
    QApplication.sendEvent(bars.viewport(), event)
    (menu,) = bars.findChildren(QMenu)
    actions = {a.text(): a for a in menu.actions()}
    next(a for t, a in actions.items() if "in" in t and t.startswith("Pin")).trigger()
    assert desk.state.pinned == (token,)
    menu.close()
    assert [bar.pick.token for bar in bars.panel.bars if bar.pinned] == [token]
    desk.write("Something else")
    assert token in [bar.pick.token for bar in bars.panel.bars], "it stays in sight, whatever its rank"


def choose(desk, typed):
    """Type into the palette and choose the first line that it offers; returns that line."""
    desk.window.do("palette")
    (palette,) = desk.window.findChildren(CommandPalette)
    desk.type(typed, palette.field)
    line = palette.list.currentItem().text()
    desk.press(Qt.Key.Key_Return, widget=palette.field)
    desk.settle()
    return line


def test_the_palette_finds_steps_heads_weights_and_tokens(desk):
    assert "blocks.1.attn.pattern" in choose(desk, "block 1 softmax")
    assert desk.c.step.key == "blocks.1.attn.pattern"
    choose(desk, "block 0, head 2")
    assert (desk.state.layer, desk.state.head, desk.c.step.key) == (0, 2, "blocks.0.attn.pattern")
    choose(desk, "weight blocks.1.attn.W_Q")
    assert desk.c.path
    choose(desk, "'Q'")
    assert desk.scene.tokenizer.encode("Q").ids[0] in desk.state.pinned


def test_what_is_not_available_looks_so_in_the_palette(desk):
    desk.window.do("palette")
    (palette,) = desk.window.findChildren(CommandPalette)
    items = {palette.list.item(n).text().split("    ")[0]: palette.list.item(n) for n in range(palette.list.count())}
    off = {name for name, item in items.items() if not item.flags() & Qt.ItemFlag.ItemIsEnabled}
    assert "Undo" in off and "Next step" not in off

    def ink(name):
        palette.list.scrollToItem(items[name])
        rect = palette.list.visualItemRect(items[name])
        rows = pixels(palette.list.viewport())[rect.top() + 2 : rect.bottom() - 1, 6:200].astype(int)
        return np.abs(rows - rows[0, 0]).sum(-1).max()

    assert ink("Redo") < 0.7 * ink("Next block")
    palette.close()


def test_the_help_page_names_every_command_and_its_keys(desk):
    desk.press(Qt.Key.Key_F1, widget=desk.window.canvas)
    (page,) = desk.window.findChildren(HelpPage)
    words = page.page.toPlainText()
    assert page.isVisible()
    for command in COMMANDS:
        assert command.title in words
        assert all(QKeySequence(k).toString(QKeySequence.SequenceFormat.NativeText) in words for k in command.keys)
    page.close()


def test_running_on_keeps_its_pace_and_can_be_stopped(desk, counted):
    desk.window.do("pace:1")
    assert desk.window.actions_["pace:1"].isChecked() and not desk.window.actions_["pace:0"].isChecked()
    desk.c.run_on(3)
    desk.until(lambda: len(desk.state.appended) == 1 and not desk.c.pending)
    assert desk.c.runner.waits_ms > 300 and desk.c.running
    desk.window.do("stop")
    assert not desk.c.running
    desk.window.do("pace:0")
    desk.c.run_on(3)
    desk.settle()
    assert len(desk.state.appended) == 4


def test_appending_in_the_middle_says_before_what_it_cuts(desk):
    append = desk.window.probabilities.append
    assert append.text() == "Append"
    desk.window.acts.predict(3)
    desk.settle()
    assert append.text() == "Append, cut 6" and "6 tokens" in append.toolTip()
    desk.window.do("append")
    desk.settle()
    assert len(desk.scene.trace) == 5 and append.text() == "Append"
