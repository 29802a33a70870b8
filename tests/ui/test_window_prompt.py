"""Typing and pasting: the editor keeps every character, ids follow, and only the last state is computed and shown."""

import json
import threading
from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QKeySequence, QTextCursor

from desktop_app.core.asking.commands import COMMANDS
from desktop_app.core.lessons.examples import examples
from desktop_app.core.program.bundle import bundled_models
from desktop_app.core.session.session_file import save_session
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.tokenizer import Tokenizer
from tests.ui.driver import CTRL, SHIFT, pixels

ODD = {
    "no-break space": "a\u00a0b",
    "carriage returns": "a\rb\r\nc\n\rd",
    "line and paragraph separators": "a\u2028b\u2029c",
    "tabs": "\ta\tb\t",
    "an emoji of many parts": "👩‍👩‍👧‍👦 ok 🏳️‍🌈",
    "NUL": "a\0b",
    "controls": "\x01\x02\x1b[31m\x7f\x85\x0b\x0c\x1c\x1e",
    "combining marks": "e\u0301 ạ̈",
    "right to left": "שלום \u202eabc\u202c",
    "byte order marks": "a\ufeffb\ufeff",  # Qt drops one at the start of the clipboard
    "noncharacters": "\ufdd0\ufdd1\ufdeb\ufdeba\ufdec\ufded\ufdee\ufdef\uffff\ufffe",
    "spaces at the ends": "  a  \n\n ",
    "HTML": "<b>bold</b> &amp; <br>",
    "object replacement": "a\ufffcb\ufffd",
}


@pytest.mark.parametrize("kind", ODD)
def test_pasted_text_survives_exactly(desk, kind):
    desk.write(ODD[kind])
    assert desk.window.prompt.text() == ODD[kind]
    assert desk.state.text == ODD[kind]
    assert desk.scene.trace.ids == desk.scene.tokenizer.encode(ODD[kind]).ids
    assert not desk.trouble()


def test_copied_text_is_what_was_pasted(desk, qapp):
    for text in ODD.values():
        desk.write(text)
        desk.press(Qt.Key.Key_A, CTRL, desk.window.prompt)
        desk.press(Qt.Key.Key_C, CTRL)
        assert qapp.clipboard().mimeData().text() == text


def test_every_character_of_the_basic_plane_survives(desk):
    every = "".join(chr(c) for c in range(0x10000) if not 0xD800 <= c < 0xE000)
    desk.window.prompt.clear()
    desk.paste(every)
    assert desk.window.prompt.text() == every


def test_what_stands_in_a_session_is_shown_exactly(desk):
    for text in (*ODD.values(), "\ufeffa", "\ufeff"):
        desk.c.set(replace(desk.state, text=text))
        desk.settle()
        assert desk.window.prompt.text() == text
        assert desk.scene.trace.ids == desk.scene.tokenizer.encode(text).ids


def test_typing_keeps_the_focus(desk):
    for letter in "abc":
        desk.window.prompt.setFocus() if letter == "a" else None
        desk.press(Qt.Key(ord(letter.upper())))
        desk.settle()
        assert desk.window.prompt.hasFocus()
    assert desk.window.prompt.text() == "Hello, youabc"


def test_text_becomes_ids_while_it_is_typed(desk):
    desk.write("ab")
    desk.type("c d")
    desk.settle()
    assert desk.scene.trace.ids == desk.scene.tokenizer.encode("abc d").ids
    assert desk.window.count.text() == "5 of 48 tokens"
    assert len(desk.scene.labels) == 5


def test_enter_is_a_new_line(desk):
    desk.write("ab")
    desk.press(Qt.Key.Key_Return)
    desk.type("c")
    desk.press(Qt.Key.Key_Enter)
    desk.press(Qt.Key.Key_Return, SHIFT)
    desk.settle()
    assert desk.window.prompt.text() == "ab\nc\n\n"
    assert desk.scene.trace.ids == desk.scene.tokenizer.encode("ab\nc\n\n").ids


@pytest.mark.parametrize("size", [(1280, 720), (1500, 900)])
def test_a_long_text_shows_whole_lines_only(desk, size):
    desk.window.resize(*size)
    desk.write("bp " * 400)
    prompt = desk.window.prompt
    line = prompt.fontMetrics().lineSpacing()
    for cursor in (QTextCursor.MoveOperation.Start, QTextCursor.MoveOperation.End):
        prompt.moveCursor(cursor)
        desk.settle()
        shown = pixels(prompt.viewport())[:, 12 : prompt.fontMetrics().horizontalAdvance("bp bp bp")]
        inked = (np.abs(shown.astype(int) - shown[0, 0]).sum(-1) > 100).any(1)
        starts, ends = (np.flatnonzero(np.diff(inked.astype(int)) == way) for way in (1, -1))
        assert 2 <= len(ends) <= 4 and len(starts) == len(ends), "a line is cut at the bottom"
        assert len(set(ends - starts)) == 1 and (ends - starts).max() <= line


def test_the_editor_grows_with_its_lines_up_to_a_few(desk):
    desk.window.resize(1280, 900)
    desk.write("one")
    low = desk.window.prompt.height()
    desk.write("one\ntwo\nthree")
    high = desk.window.prompt.height()
    line = desk.window.prompt.fontMetrics().lineSpacing()
    assert abs(high - low - 2 * line) <= 2
    desk.write("\n" * 30)
    assert desk.window.prompt.height() <= low + 4 * line
    desk.write("one")
    assert desk.window.prompt.height() == low


def test_rich_text_is_pasted_as_plain_text(desk):
    rich = QMimeData()
    rich.setHtml("<h1 style='color: red'>Big <b>bold</b></h1>")
    rich.setText("Big bold")
    desk.write("")
    desk.paste(mime=rich)
    assert desk.window.prompt.text() == "Big bold"
    before = pixels(desk.window.prompt)
    desk.write("")
    desk.write("Big bold")
    assert (pixels(desk.window.prompt) == before).all()


def test_fast_typing_runs_few_passes_and_shows_the_last_state(desk, counted):
    text = "quick brown fox jumps over the dog"
    desk.write("x")
    counted.clear()
    desk.type(text)
    desk.settle()
    assert desk.scene.trace.ids == desk.scene.tokenizer.encode("x" + text).ids
    # Keys that arrive in one turn of the event loop request one pass, and each pass computes only new positions.
    assert 1 <= len(counted.passes) <= 3
    assert sum(new for new, _ in counted.passes) <= len(text) + 3


def test_a_stale_pass_is_stopped_and_never_shown(desk, monkeypatch):
    held, begun, shown = threading.Event(), threading.Event(), []
    trace = Engine.trace

    def slow(self, ids, **options):
        if len(ids) == 3:
            begun.set()
            assert held.wait(20)
        return trace(self, ids, **options)

    monkeypatch.setattr(Engine, "trace", slow)
    desk.c.scene_changed.connect(lambda scene: shown.append(len(scene.trace)))
    desk.window.prompt.setFocus()
    desk.window.prompt.selectAll()
    desk.type("abc")
    desk.until(begun.is_set)
    desk.type("d")
    desk.until(lambda: not desk.c.scenes._due.isActive())
    held.set()
    desk.settle()
    assert shown[-1] == 4 and 3 not in shown
    assert desk.scene.state.text == "abcd"


def test_a_pass_that_takes_its_time_is_told(desk, monkeypatch):
    held = threading.Event()
    trace = Engine.trace

    def slow(self, ids, **options):
        assert held.wait(20)
        return trace(self, ids, **options)

    monkeypatch.setattr(Engine, "trace", slow)
    desk.type("!")
    desk.until(lambda: "computing" in desk.window.count.text())
    desk.window.do("draw")
    assert "computing" in desk.window.count.text()
    held.set()
    desk.settle()
    assert desk.window.count.text() == "11 of 48 tokens"


def test_stepping_goes_on_while_a_pass_is_under_way(desk, monkeypatch):
    held, begun = threading.Event(), threading.Event()
    trace = Engine.trace

    def slow(self, ids, **options):
        begun.set()
        assert held.wait(20)
        return trace(self, ids, **options)

    monkeypatch.setattr(Engine, "trace", slow)
    before = desk.scene.trace
    desk.type("!")
    desk.until(begun.is_set)
    desk.window.do("first")
    desk.window.do("next")
    assert desk.c.step.key == "tokens"
    # The view is still the old prompt's throughout: chips, caption and values are from one trace.
    assert desk.scene.trace is before and desk.scene.state.text == "Hello, you"
    assert desk.scene.state.step == "tokens"
    held.set()
    desk.settle()
    assert desk.scene.state.text == "Hello, you!" and len(desk.scene.trace) == 11


def test_nothing_is_appended_to_a_prompt_whose_pass_is_not_there_yet(desk, monkeypatch):
    held, begun = threading.Event(), threading.Event()
    trace = Engine.trace

    def slow(self, ids, **options):
        begun.set()
        assert held.wait(20)
        return trace(self, ids, **options)

    monkeypatch.setattr(Engine, "trace", slow)
    desk.type("!")
    desk.until(begun.is_set)
    desk.press(Qt.Key.Key_Return, CTRL)
    desk.window.probabilities.append.click()
    desk.window.probabilities.run.click()
    desk.c.append(65)
    assert desk.state.appended == () and not desk.c.running
    held.set()
    desk.settle()
    assert desk.window.prompt.text() == "Hello, you!"
    desk.press(Qt.Key.Key_Return, CTRL)
    desk.settle()
    assert len(desk.state.appended) == 1


@pytest.mark.parametrize("kind", ["a refusal", "a fault of the program", "too little memory"])
def test_a_pass_that_fails_is_told_and_the_next_one_works(desk, monkeypatch, kind, caplog):
    trace = Engine.trace
    reasons = {"a refusal": ModelError("The model cannot"), "too little memory": MemoryError()}
    reason = reasons.get(kind, RuntimeError("a bug"))

    def failing(self, ids, **options):
        if len(ids) == 11:
            raise reason
        return trace(self, ids, **options)

    monkeypatch.setattr(Engine, "trace", failing)
    before = desk.scene.trace
    desk.type("!")
    desk.settle()
    told = {"a refusal": "The model cannot", "too little memory": "memory"}.get(kind, "a bug")
    assert told in desk.trouble()
    assert desk.scene.trace is before and not desk.window.actions_["append"].isEnabled()
    faults = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.exc_info[1] for record in faults] == ([reason] if kind == "a fault of the program" else [])
    desk.type("!")
    desk.settle()
    assert not desk.trouble() and len(desk.scene.trace) == 12 and desk.c.is_current


def test_an_empty_prompt_gets_a_sentence_and_the_old_view_lives_on(desk):
    before, view = desk.scene.trace, pixels(desk.window.canvas)
    desk.write("")
    assert "empty" in desk.trouble() or "prompt" in desk.trouble()
    assert desk.trouble().endswith(".")
    assert desk.scene.trace is before
    assert (pixels(desk.window.canvas)[100:] != 255).any() and view.size
    step = desk.c.step.index
    desk.press(Qt.Key.Key_PageDown)
    assert desk.c.step.index == step + 1
    assert not desk.window.probabilities.append.isEnabled() and not desk.window.probabilities.run.isEnabled()
    desk.c.append(65)
    desk.c.run_on(3)
    desk.settle()
    assert desk.state.appended == () and desk.window.prompt.text() == ""
    desk.type("a")
    desk.settle()
    assert not desk.trouble() and desk.scene.trace.ids == desk.scene.tokenizer.encode("a").ids
    assert desk.window.probabilities.append.isEnabled()


def test_too_long_a_prompt_says_how_many_tokens_are_too_many(desk):
    desk.write("x" * 48)
    assert not desk.trouble() and len(desk.scene.trace) == 48
    desk.type("yyy")
    desk.settle()
    assert "3" in desk.trouble() and "48" in desk.trouble()
    assert len(desk.scene.trace) == 48, "the last good result stays"
    assert desk.window.prompt.text() == "x" * 48 + "yyy"
    for _ in range(2):
        desk.press(Qt.Key.Key_Backspace)
    desk.settle()
    assert "1" in desk.trouble()
    desk.press(Qt.Key.Key_Backspace)
    desk.settle()
    assert not desk.trouble() and len(desk.scene.trace) == 48


def test_a_lone_surrogate_is_refused_in_one_sentence(desk):
    before = desk.scene.trace
    desk.c.edit_text("a\ud800b")
    desk.settle()
    assert "D800" in desk.trouble() and desk.trouble().count(". ") == 0
    assert desk.scene.trace is before
    desk.write("fine")
    assert not desk.trouble() and len(desk.scene.trace) == 4


def test_a_character_that_the_vocabulary_lacks_is_named(open_desk, tmp_path):
    from tests.checkpoints import TINY, write_checkpoint

    desk = open_desk(write_checkpoint(tmp_path / "few", TINY), "abc")
    desk.write("ab☃")
    assert "☃" in desk.trouble() or "2603" in desk.trouble()
    assert len(desk.scene.trace) == 3


def test_endoftext_is_prepended_only_when_asked(desk):
    ids = desk.scene.trace.ids
    desk.window.actions_["prepend"].trigger()
    desk.settle()
    assert desk.scene.trace.ids == (256, *ids)
    assert desk.window.prompt.text() == "Hello, you"
    assert desk.window.actions_["prepend"].isChecked()
    desk.window.actions_["prepend"].trigger()
    desk.settle()
    assert desk.scene.trace.ids == ids


def test_a_space_goes_in_front_only_when_asked_and_undo_takes_it_back(desk):
    ids = desk.scene.trace.ids
    space = desk.window.actions_["space"]
    assert not space.isChecked()
    space.trigger()
    desk.settle()
    assert desk.scene.trace.ids == (0, *ids)  # the byte of a space has the id 0 here
    assert desk.window.prompt.text() == "Hello, you" and space.isChecked()
    desk.window.actions_["prepend"].trigger()
    desk.settle()
    assert desk.scene.trace.ids == (256, 0, *ids)
    desk.window.do("undo")
    desk.window.do("undo")
    desk.settle()
    assert desk.scene.trace.ids == ids and not space.isChecked()


def test_a_model_that_begins_its_texts_and_puts_a_space_does_so_until_switched_off(open_desk, tmp_path):
    from tests.checkpoints import TINY, write_checkpoint

    folder = write_checkpoint(tmp_path / "begins", TINY | {"vocab_size": 300})
    settings = {"add_bos_token": True, "add_prefix_space": True, "bos_token": "<s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    desk = open_desk(folder, "abc")
    begin, space = (desk.window.actions_[name] for name in ("prepend", "space"))
    assert begin.text() == "Begin with <s>" and begin.isChecked() and space.isChecked()
    assert desk.scene.trace.ids[:2] == (257, 0)  # <s> is the next id after the end of text
    assert (desk.state.start, desk.state.space) == (None, None)  # by the model's files, not chosen by the user
    begin.trigger()
    desk.settle()
    assert desk.scene.trace.ids[:2] == (0, 65)
    space.trigger()
    desk.settle()
    assert desk.scene.trace.ids == (65, 66, 67) and not begin.isChecked() and not space.isChecked()


def test_only_what_changed_is_computed(desk, counted):
    counted.clear()
    desk.type("r")
    desk.settle()
    assert counted.passes == [(1, 10)]
    counted.clear()
    desk.press(Qt.Key.Key_Home)
    desk.type("O")
    desk.settle()
    assert counted.passes == [(12, 0)]


def test_undo_takes_words_back_and_redo_brings_them(desk):
    desk.write("The")
    for word in (" cat", " sat"):
        desk.type(word)
        desk.settle()
    texts = []
    while desk.window.prompt.text() != "Hello, you":
        desk.press(Qt.Key.Key_Z, CTRL)
        desk.settle()
        texts.append(desk.window.prompt.text())
        assert desk.scene.trace.ids == desk.scene.tokenizer.encode(texts[-1]).ids
        assert len(texts) < 12
    assert "The cat" in "|".join(texts).replace("The cat ", "The cat|") and "The" in texts
    for _ in texts:
        desk.press(Qt.Key.Key_Z, CTRL | SHIFT)
        desk.settle()
    assert desk.window.prompt.text() == "The cat sat"


OF_THE_EDITOR = {"first", "last", "motion_next", "motion_previous"}
"""While typing, Ctrl+Home and Ctrl+End go to the ends of the text, Ctrl+Shift with an arrow selects a word."""


@pytest.mark.parametrize("place", ["prompt", "canvas", "map", "chips", "scrubber.track", "probabilities.bars"])
def test_every_key_of_the_program_works_from_everywhere(desk, place):
    called = []
    for name, action in desk.window.actions_.items():
        action.triggered.disconnect()
        action.triggered.connect(lambda _=False, name=name: called.append(name))
        action.setEnabled(True)
    widget = attrgetter(place)(desk.window)
    for command in COMMANDS:
        for keys in command.keys:
            if place == "prompt" and command.id in OF_THE_EDITOR:
                continue
            pressed = QKeySequence(keys)[0]
            desk.press(pressed.key(), pressed.keyboardModifiers(), widget)
            assert called == [command.id], f"{keys} from {place}"
            called.clear()


def test_keys_of_the_program_work_from_inside_the_editor(desk):
    desk.window.prompt.setFocus()
    at = desk.c.step.index
    desk.press(Qt.Key.Key_PageDown)
    desk.press(Qt.Key.Key_PageDown)
    desk.press(Qt.Key.Key_PageUp)
    assert desk.c.step.index == at + 1
    draws = desk.state.draws
    desk.press(Qt.Key.Key_D, CTRL)
    assert desk.state.draws == draws + 1
    assert desk.window.prompt.text() == "Hello, you"


def test_a_folder_dropped_on_the_editor_is_not_typed_into_it(desk):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/somewhere/model")])
    assert not desk.window.prompt.canInsertFromMimeData(data)


def test_the_caret_stays_where_one_types(desk):
    desk.write("ac")
    desk.press(Qt.Key.Key_Left)
    desk.type("b")
    desk.settle()
    assert desk.window.prompt.textCursor().position() == 2
    desk.type("b")
    desk.settle()
    assert desk.window.prompt.text() == "abbc"


def test_a_book_is_counted_and_the_window_lives(desk):
    book = "It was the best of times, it was the worst of times.\n" * 1500
    desk.write(book)
    assert f"{len(book) - 48:,}" in desk.trouble()
    assert desk.window.prompt.text() == book
    desk.write("short")
    assert len(desk.scene.trace) == 5


def test_a_model_that_cannot_spell_the_text_offers_one_of_its_own(open_desk, bundled):
    desk = open_desk(bundled, "The old king")
    assert not desk.window.offer.isVisible()
    sorter = bundled_models()["sorter"]
    desk.c.open_model(sorter)
    desk.settle()
    assert desk.window.trouble.isVisible() and desk.window.offer.isVisible()
    example = next(e for e in examples() if e.model == "sorter")
    assert example.state.text[:20] in desk.window.offer.text()
    desk.window.offer.click()
    desk.settle()
    assert desk.state.text == example.state.text and desk.scene is not None
    assert not desk.window.trouble.isVisible() and not desk.window.offer.isVisible()
    desk.window.do("undo")
    desk.settle()
    assert desk.state.text == "The old king", "what was typed is not lost"


def test_nothing_is_offered_for_a_text_that_is_only_too_long(desk):
    desk.write("a" * 200)
    assert desk.window.trouble.isVisible() and not desk.window.offer.isVisible()


def laid_out(prompt):
    """How many characters Qt has laid out: those of the blocks that have lines."""
    blocks = (prompt.document().findBlockByNumber(n) for n in range(prompt.document().blockCount()))
    return sum(block.length() for block in blocks if block.layout().lineCount())


def test_of_a_line_of_a_million_characters_what_is_in_view_is_laid_out(desk):
    text = "abcdefghij" * 100_000
    desk.write(text)
    prompt = desk.window.prompt
    counts = [laid_out(prompt)]
    desk.window.resize(1000, 740)
    desk.settle()
    counts.append(laid_out(prompt))
    desk.press(Qt.Key.Key_Plus, CTRL)
    desk.settle()
    counts.append(laid_out(prompt))
    desk.type("x")
    counts.append(laid_out(prompt))
    assert prompt.text() == desk.state.text == text + "x"
    assert min(counts) > 0 and max(counts) < 50_000


@pytest.mark.parametrize("by", ["paste", "session", "undo"])
def test_a_line_of_very_many_characters_is_not_searched_for_words_nor_cut_into_tokens(desk, monkeypatch, tmp_path, by):
    """Both take longer for longer lines, the former quadratically; the test counts which of them start."""
    cut = Tokenizer.encode

    def encoding(tokenizer, text, **how):
        assert len(text) < 100_000
        return cut(tokenizer, text, **how)

    text = "ab" * 150_000
    monkeypatch.setattr(Tokenizer, "encode", encoding)
    if by == "session":
        save_session(tmp_path / "a.logitscope", replace(desk.state, text=text))
        desk.window.files.open_session(tmp_path / "a.logitscope")
        desk.until(lambda: desk.window.prompt.text() == text)
    else:
        desk.write(text)
    if by == "undo":
        desk.c.undo()
        desk.settle()
        assert desk.window.prompt.text() == "Hello, you"
        desk.c.redo()
    desk.settle()
    assert desk.window.prompt.text() == text == desk.state.text
    assert 0 < laid_out(desk.window.prompt) < 50_000
    assert "300,000 characters" in desk.trouble() and "shorten it" in desk.trouble()
    desk.write("AB")
    assert not desk.trouble() and len(desk.scene.trace) == 2


def test_another_prompt_that_is_too_long_is_told_before_it_is_cut(desk):
    desk.c.set(replace(desk.state, other="x" * 200_000))
    desk.settle()
    assert "The other prompt has 200,000 characters" in desk.trouble()
