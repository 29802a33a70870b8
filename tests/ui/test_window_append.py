"""Drawing and appending tokens, generating on, and undoing all of it."""

import numpy as np
import pytest
from PySide6.QtCore import Qt

from desktop_app.core.asking.intents import Append, Pin
from desktop_app.core.generate import Drawn, generate
from tests.checkpoints import random_weights, write_checkpoint
from tests.ui.conftest import BYTES
from tests.ui.driver import CTRL, RIGHT, SHIFT, pixels

START = "Hello, you"


def undo(desk, times=1):
    for _ in range(times):
        desk.press(Qt.Key.Key_Z, CTRL, desk.window.canvas)
        desk.settle()


def redo(desk, times=1):
    for _ in range(times):
        desk.press(Qt.Key.Key_Z, CTRL | SHIFT, desk.window.canvas)
        desk.settle()


def test_append_adds_the_token_that_the_draw_landed_on_and_computes_one_position(desk, counted):
    landed = int(desk.scene.ranked.order[desk.scene.landed])
    counted.clear()
    desk.press(Qt.Key.Key_Return, CTRL, desk.window.canvas)
    desk.settle()
    assert desk.state.appended == (landed,) and desk.state.draws == 1
    assert desk.scene.trace.ids[-1] == landed and len(desk.scene.trace) == 11
    assert counted.passes == [(1, 10)] and desk.scene.trace.computed == 1
    assert desk.window.prompt.text() == START + desk.scene.tokenizer.decode([landed])
    assert desk.scene.token == 10 and desk.scene.position == 10


def test_after_an_append_the_view_shows_one_query_against_all_keys(desk):
    desk.window.resize(1800, 1000)
    desk.go("blocks.1.attn.pattern")
    assert not any("cached" in w for w in desk.words())
    desk.window.probabilities.append.click()
    desk.settle()
    assert any("1 query × 11 keys" in w for w in desk.words())
    desk.go("append")
    assert any("1 of 11" in w for w in desk.words())
    desk.write("Something new")
    desk.go("blocks.1.attn.pattern")
    assert not any("cached" in w for w in desk.words())


def test_appended_numbers_are_those_of_a_whole_pass(desk):
    for _ in range(3):
        desk.window.do("append")
        desk.settle()
    whole = desk.c.model.engine.trace(desk.scene.trace.ids)
    assert whole.computed == 13 and desk.scene.trace.computed == 1
    for name in ("blocks.1.attn.pattern", "blocks.1.mlp.post", "ln_final.out", "logits"):
        assert np.abs(desk.scene.trace[name] - whole[name]).max() <= 1e-4 * max(1, np.abs(whole[name]).max())


def test_a_click_on_a_bar_appends_its_token(desk):
    bars = desk.window.probabilities.bars
    third = bars.panel.bars[2].pick.token
    rect = bars._page.picks[2].rect
    desk.click(bars, rect.x + 20, rect.y + rect.h / 2 - bars.verticalScrollBar().value())
    desk.settle()
    assert desk.state.appended == (third,) and desk.state.draws == 0, "what is chosen is not drawn"


def test_a_bar_of_the_view_appends_its_token_too(desk):
    desk.go("probabilities")
    pick = desk.pick(Append)
    desk.click_canvas(pick.rect)
    desk.settle()
    assert desk.state.appended == (pick.asks.token,)


def test_enter_appends_the_bar_that_the_arrows_chose(desk):
    bars = desk.window.probabilities.bars
    for _ in range(2):
        desk.press(Qt.Key.Key_Down, widget=bars)
    token = bars.panel.bars[1].pick.token
    desk.press(Qt.Key.Key_Return)
    desk.settle()
    assert desk.state.appended == (token,)


def test_appending_at_an_earlier_position_cuts_there_and_undo_restores(desk):
    left, width = desk.window.chips._edges[4]
    desk.click(desk.window.chips, left + width / 2 + 16, 20, SHIFT)
    assert desk.scene.position == 4 and desk.window.probabilities.append.isEnabled()
    desk.window.probabilities.append.click()
    desk.settle()
    assert desk.scene.trace.ids[:5] == desk.scene.tokenizer.encode("Hello").ids and len(desk.scene.trace) == 6
    assert desk.window.prompt.text().startswith("Hello") and len(desk.state.appended) == 1
    assert desk.state.position is None
    undo(desk)
    assert desk.window.prompt.text() == START and desk.state.appended == ()
    assert desk.scene.trace.ids == desk.scene.tokenizer.encode(START).ids
    redo(desk)
    assert len(desk.scene.trace) == 6


def test_appended_text_is_marked_in_the_editor_and_under_the_chips(desk):
    plain = pixels(desk.window.prompt)
    token = desk.scene.tokenizer.encode("W").ids[0]
    desk.c.append(token)
    desk.settle()
    (selection,) = desk.window.prompt.extraSelections()
    assert selection.cursor.selectedText() == "W"
    assert (pixels(desk.window.prompt) != plain).any()
    undo(desk)
    assert desk.window.prompt.extraSelections() == []


def test_typing_after_an_appended_token_goes_on_from_it(desk):
    desk.c.append(desk.scene.tokenizer.encode("!").ids[0])
    desk.settle()
    desk.type("?")
    desk.settle()
    assert desk.window.prompt.text() == START + "!?"
    assert desk.scene.trace.ids == desk.scene.tokenizer.encode(START + "!?").ids


def test_half_a_character_is_shown_as_such_and_stays_an_id(desk):
    first, second = desk.scene.tokenizer.encode("é").ids
    desk.c.append(first)
    desk.settle()
    assert desk.window.prompt.text() == START + "\ufffd"
    assert desk.scene.trace.ids[-1] == first
    desk.c.append(second)
    desk.settle()
    assert desk.window.prompt.text() == START + "é" and desk.state.appended == (first, second)


def test_run_on_appends_what_generation_draws(desk):
    desk.c.set(desk.state.with_sampling(temperature=2.0, top_k=0, top_p=1.0, seed=5))
    model = desk.c.model
    wanted = [
        event.token
        for event in generate(model.engine, desk.scene.trace.ids, desk.state.sampling, 12, ends={256})
        if isinstance(event, Drawn)
    ]
    desk.window.probabilities.count.setValue(12)
    desk.window.probabilities.run.click()
    desk.settle()
    assert list(desk.state.appended) == wanted and desk.state.draws == len(wanted)
    undo(desk)
    assert desk.state.appended == () and desk.state.draws == 0, "a run is one entry of undo"
    redo(desk)
    assert list(desk.state.appended) == wanted
    assert desk.window.probabilities.run.isVisible() and not desk.window.probabilities.stop.isVisible()


def test_stop_ends_a_run_where_it_is(desk):
    desk.c.run_on(30)
    desk.until(lambda: len(desk.state.appended) >= 3)
    assert desk.c.running and desk.window.actions_["stop"].isEnabled()
    desk.press(Qt.Key.Key_Period, CTRL, desk.window.canvas)
    count = len(desk.state.appended)
    desk.settle()
    assert not desk.c.running and len(desk.state.appended) == count < 30
    assert desk.window.probabilities.run.isVisible() and desk.window.probabilities.run.isEnabled()
    assert not desk.window.probabilities.stop.isVisible()
    undo(desk)
    assert desk.state.appended == ()


def test_typing_ends_a_run(desk):
    desk.c.run_on(30)
    desk.until(lambda: len(desk.state.appended) >= 2)
    desk.type("x")
    desk.settle()
    assert not desk.c.running and len(desk.scene.trace) < 30
    assert desk.scene.trace.ids[-1] == desk.scene.tokenizer.encode("x").ids[0]


def test_a_run_ends_at_the_contexts_end_and_says_so(desk):
    desk.c.set(desk.state.with_sampling(temperature=1.0, top_k=1, seed=1))
    if desk.scene.ranked.order[0] == 256:
        pytest.skip("this model ends its text at once")
    desk.c.run_on(500)
    desk.settle()
    if desk.state.appended[-1] != 256:
        assert len(desk.scene.trace) == 48
        assert "context" in desk.notice() and "48" in desk.notice()
        assert not desk.window.probabilities.append.isEnabled() and not desk.window.actions_["append"].isEnabled()
    before = desk.state
    desk.c.append(65)
    desk.c.run_on(3)
    desk.settle()
    assert desk.state == before
    left, width = desk.window.chips._edges[0]
    desk.window.chips.horizontalScrollBar().setValue(0)
    desk.click(desk.window.chips, left + width / 2 + 16, 20, button=RIGHT)
    assert desk.scene.position == 0 and desk.window.probabilities.append.isEnabled()


@pytest.fixture
def ends_soon(open_desk, tmp_path):
    """A window on a model that predicts <|endoftext|> with certainty from the first token on."""
    weights = random_weights({**BYTES, "tie_word_embeddings": False})
    weights["lm_head.weight"][:] = 0
    weights["ln_f.weight"][:] = 0
    weights["ln_f.bias"][:] = 1
    weights["lm_head.weight"][256] = 1
    config = {**BYTES, "tie_word_embeddings": False}
    return open_desk(write_checkpoint(tmp_path / "ends", config, weights), "abc")


def test_a_run_ends_at_endoftext_and_says_so(ends_soon):
    desk = ends_soon
    desk.c.run_on(20)
    desk.settle()
    assert desk.state.appended == (256,)
    assert "<|endoftext|>" in desk.notice()
    assert desk.window.prompt.text() == "abc<|endoftext|>"


def test_undo_and_redo_go_over_everything(desk, other, tiny):
    states = [desk.state]

    def did(action):
        action()
        desk.settle()
        desk.c.history.close_entry()
        states.append(desk.state)

    did(lambda: desk.type("!"))
    did(lambda: desk.window.probabilities.controls.temperature.setValue(900))
    did(lambda: desk.window.do("draw"))
    did(lambda: desk.window.do("append"))
    did(lambda: desk.window.do("prepend"))
    did(lambda: desk.window.acts.follow(Pin(70)))
    did(lambda: desk.c.open_model(other))
    did(lambda: desk.type("?"))
    did(desk.window.probabilities.controls.greedy.click)
    keys = ("text", "appended", "start", "model", "sampling", "draws", "pinned")

    def told(state):
        return tuple(getattr(state, k) for k in keys)

    for state in states[-2::-1]:
        undo(desk)
        assert told(desk.state) == told(state)
        assert str(desk.c.model.folder) == state.model
        assert desk.window.prompt.text() == state.text + desk.c.model.tokenizer.decode(state.appended)
        assert desk.scene.checkpoint is desk.c.model.checkpoint and desk.c.is_current
    assert not desk.window.actions_["undo"].isEnabled()
    for state in states[1:]:
        redo(desk)
        assert told(desk.state) == told(state)
        assert str(desk.c.model.folder) == state.model
    assert not desk.window.actions_["redo"].isEnabled()


def test_something_new_after_undo_forgets_what_was_undone(desk):
    desk.window.do("append")
    desk.settle()
    undo(desk)
    desk.type("x")
    desk.settle()
    assert not desk.window.actions_["redo"].isEnabled()
    redo(desk)
    assert desk.window.prompt.text() == START + "x"


def test_undo_of_a_model_that_is_gone_says_so_and_keeps_the_open_one(desk, tmp_path, tiny):
    import shutil

    gone = write_checkpoint(tmp_path / "gone", BYTES, seed=4)
    desk.c.open_model(gone)
    desk.settle()
    desk.c.open_model(tiny)
    desk.settle()
    shutil.rmtree(gone)
    undo(desk)
    assert "gone" in desk.trouble()
    assert desk.state.model == str(desk.c.model.folder) and desk.c.is_current
    desk.window.do("next")
    assert not desk.trouble(), "a sentence about what was tried stays until one goes on"


def test_pressing_append_again_and_again_loses_nothing_that_was_shown(desk):
    for _ in range(8):
        desk.window.probabilities.append.click()
        desk.bot.wait(1)
    desk.settle()
    ids = desk.scene.trace.ids
    assert 1 <= len(desk.state.appended) <= 8 and ids[10:] == desk.state.appended
    assert desk.state.draws == len(desk.state.appended)


def test_a_token_drawn_from_a_models_earlier_weights_is_not_appended(open_desk, tmp_path):
    """Between the opening of a model that has been trained on and its first pass, the view shows the earlier one."""
    folder = write_checkpoint(tmp_path / "trained on", BYTES)
    desk = open_desk(folder, "Hello, you")
    write_checkpoint(tmp_path / "later", BYTES, seed=1)
    (tmp_path / "later" / "model.safetensors").replace(folder / "model.safetensors")
    desk.c.model_changed.connect(lambda _model: desk.c.append_drawn())
    desk.c.open_model(folder)
    desk.settle()
    assert desk.scene.checkpoint is desk.c.model.checkpoint
    assert desk.state.appended == () and not desk.trouble()
