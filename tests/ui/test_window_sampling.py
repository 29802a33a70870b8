"""Temperature, top-k, top-p, greedy and seed: the bars equal plain arithmetic on the real logits."""

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QStyle, QStyleOptionSlider

from desktop_app.core.program.bundle import bundled_models, snapshots
from desktop_app.core.session.last_session import beginning, keep
from desktop_app.gpt2.sampling import MAX_SEED, Sampling, uniform
from desktop_app.ui.acts import Acts
from desktop_app.ui.parts.scrubber import Track
from tests.ui.driver import CTRL, SHIFT, pixels


def drawn_from(logits, sampling):
    """[d_vocab] the probabilities to draw from: temperature, top-k, top-p on the remaining tokens, renormalised."""
    logits = logits.astype(np.float64)
    if sampling.greedy:
        return (np.arange(len(logits)) == logits.argmax()).astype(float)
    order = np.lexsort((np.arange(len(logits)), -logits))
    weights = np.exp((logits - logits.max()) / sampling.temperature)
    kept = order[: sampling.top_k or len(order)]
    mass = weights[kept] / weights[kept].sum()
    if sampling.top_p < 1:
        before = np.concatenate([[0], np.cumsum(mass)[:-1]])
        kept, mass = kept[before < sampling.top_p], mass[before < sampling.top_p]
    found = np.zeros(len(logits))
    found[kept] = mass / mass.sum()
    return found


def assert_bars_are_right(desk):
    sampling = desk.state.sampling
    logits = desk.scene.trace.logits(desk.scene.position)
    truth = drawn_from(logits, sampling)
    shown = desk.bars()
    assert shown
    for token, bar in shown.items():
        assert bar.value == pytest.approx(truth[token], rel=1e-6, abs=1e-12)
        assert bar.kept == (truth[token] > 0)
    u = uniform(sampling.seed, desk.state.draws)
    ranked = np.lexsort((np.arange(len(truth)), -logits.astype(float)))
    landed = int(ranked[np.searchsorted(np.cumsum(truth[ranked]), u, side="right")])
    assert [t for t, b in shown.items() if b.marked] == [landed]
    assert desk.scene.tokenizer.quoted(landed) in desk.window.probabilities.u_label.text()


SETTINGS = [
    {"temperature": 0.5},
    {"temperature": 0.01},
    {"temperature": 100.0},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 100000},
    {"top_p": 0.5},
    {"top_p": 0.01},
    {"top_k": 20, "top_p": 0.6, "temperature": 1.7},
    {"greedy": True},
    {"greedy": True, "top_k": 3},
    {"seed": 12345},
]


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_bars_are_what_arithmetic_makes_of_the_logits(desk, changes):
    desk.c.set(desk.state.with_sampling(**{"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 3, **changes}))
    assert_bars_are_right(desk)


def controls(desk):
    return desk.window.probabilities.controls


def handle(slider):
    """The position of the slider's handle."""
    option = QStyleOptionSlider()
    slider.initStyleOption(option)
    part = QStyle.SubControl.SC_SliderHandle
    return slider.style().subControlRect(QStyle.ComplexControl.CC_Slider, option, part, slider).center()


def drag(slider, ways):
    """Drag the handle by these numbers of pixels, one after the other."""
    place = handle(slider)
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=place)
    for way in ways:
        place.setX(place.x() + way)
        QTest.mouseMove(slider, place)
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=place)


@pytest.mark.parametrize("name", ["temperature", "top_k", "top_p"])
def test_a_drag_moves_the_bars_without_a_pass_or_a_sort_and_is_one_entry_of_undo(desk, counted, name):
    slider = getattr(controls(desk), name)
    before = desk.state.sampling
    first = pixels(desk.window.probabilities.bars)
    counted.clear()
    drag(slider, [-4] * 12)
    assert getattr(desk.state.sampling, name) != getattr(before, name)
    desk.settle()
    assert counted.passes == [] and counted.sorts == []
    assert_bars_are_right(desk)
    assert (pixels(desk.window.probabilities.bars) != first).any()
    after = desk.state.sampling
    drag(slider, [3] * 5)
    desk.press(Qt.Key.Key_Z, CTRL)
    assert desk.state.sampling == after, "each drag is an entry of its own"
    desk.press(Qt.Key.Key_Z, CTRL)
    assert desk.state.sampling == before
    assert_bars_are_right(desk)
    desk.press(Qt.Key.Key_Z, CTRL | SHIFT)
    assert desk.state.sampling == after


def test_a_moved_slider_paints_no_steps_and_asks_a_few_times_which_commands_are_on(desk, monkeypatch):
    """It once asked in every frame, for each of a hundred actions, whether each of them was on."""
    asked, on = [], Acts.on
    monkeypatch.setattr(Acts, "on", lambda acts, state: asked.append(state) or on(acts, state))
    repainted, before = [], desk.state.sampling
    monkeypatch.setattr(Track, "update", lambda track, *_: repainted.append(track))
    drag(controls(desk).temperature, [-4])
    desk.settle()
    assert desk.state.sampling != before
    assert_bars_are_right(desk)
    assert not repainted
    assert len(asked) <= 4


def test_sliders_and_fields_agree_both_ways(desk):
    c = controls(desk)
    for ticks in range(0, 1001, 50):
        c.temperature.setValue(ticks)
        assert c._temperature.value() == desk.state.sampling.temperature
        c.top_p.setValue(ticks)
        assert c._top_p.value() == desk.state.sampling.top_p
        c.top_k.setValue(ticks)
        assert c._top_k.value() == desk.state.sampling.top_k
    for value, tick in ((0.1, 0), (5.0, 1000), (1.0, 589)):
        c._temperature.setValue(value)
        assert desk.state.sampling.temperature == value and c.temperature.value() == pytest.approx(tick, abs=1)
    c._top_k.setValue(0)
    assert c.top_k.value() == 1000 and desk.state.sampling.top_k == 0 and c._top_k.text() == "off"
    c._top_k.setValue(1)
    assert c.top_k.value() == 0
    c._top_p.setValue(0.25)
    assert c.top_p.value() == 250


@pytest.mark.parametrize("value", ["0.01", "100", "0.7", "3.33"])
def test_the_temperature_field_takes_what_the_slider_cannot_reach(desk, value):
    field = controls(desk)._temperature
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, value)
    desk.press(Qt.Key.Key_Return, widget=field)
    assert desk.state.sampling.temperature == float(value)
    assert field.value() == float(value)
    assert_bars_are_right(desk)


@pytest.mark.parametrize("name", ["temperature", "top_k", "top_p"])
def test_arrow_keys_take_a_slider_from_one_end_to_the_other(desk, name):
    slider = getattr(controls(desk), name)
    slider.setFocus()
    desk.press(Qt.Key.Key_Home)
    low = getattr(desk.state.sampling, name)
    for _ in range(220):
        desk.press(Qt.Key.Key_Right)
    assert slider.value() == slider.maximum()
    assert getattr(desk.state.sampling, name) == {"temperature": 5.0, "top_k": 0, "top_p": 1.0}[name]
    for _ in range(220):
        desk.press(Qt.Key.Key_Left)
    assert slider.value() == slider.minimum() and getattr(desk.state.sampling, name) == low


def test_greedy_takes_the_first_and_puts_the_cuts_out_of_reach(desk):
    c = controls(desk)
    c.greedy.click()
    assert desk.state.sampling.greedy and desk.window.actions_["greedy"].isChecked()
    assert not c.top_k.isEnabled() and not c._top_p.isEnabled()
    assert_bars_are_right(desk)
    desk.press(Qt.Key.Key_G, CTRL, desk.window.canvas)
    assert not desk.state.sampling.greedy and not c.greedy.isChecked() and c.top_k.isEnabled()


def test_a_seed_is_typed(desk):
    field = controls(desk).seed
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, "987654321")
    desk.press(Qt.Key.Key_Return, widget=field)
    assert desk.state.sampling.seed == 987654321
    assert_bars_are_right(desk)


@pytest.mark.parametrize("typed", ["abc", "-1", "1.5", "", str(MAX_SEED + 1), "٣"])
def test_what_is_no_seed_does_not_stay_in_the_field(desk, typed):
    desk.c.set(desk.state.with_sampling(seed=7))
    field = controls(desk).seed
    field.setFocus()
    field.selectAll()
    desk.press(Qt.Key.Key_Delete)
    field.insert(typed)
    desk.press(Qt.Key.Key_Return, widget=field)
    desk.window.canvas.setFocus()
    assert desk.state.sampling.seed == 7 and field.text() == "7"


def test_a_new_seed_draws_anew_even_after_the_last(desk):
    desk.c.set(desk.state.with_sampling(seed=MAX_SEED))
    desk.window.do("draw")
    controls(desk).reseed.click()
    assert desk.state.sampling.seed != MAX_SEED and desk.state.draws == 0
    assert_bars_are_right(desk)


def test_draws_are_numbered_and_undo_replays_them(desk):
    desk.c.set(desk.state.with_sampling(temperature=3.0, top_k=0, top_p=1.0, seed=11))
    seen = []
    for n in range(6):
        assert desk.state.draws == n
        assert f"u = {uniform(11, n):.4f}" in desk.window.probabilities.u_label.text()
        assert_bars_are_right(desk)
        seen.append(desk.scene.landed)
        desk.press(Qt.Key.Key_D, CTRL, desk.window.canvas)
        desk.c.history.close_entry()
    assert len(set(seen)) > 1
    back = []
    for _ in range(6):
        desk.press(Qt.Key.Key_Z, CTRL)
        back.append(desk.scene.landed)
    assert back == seen[::-1]


def test_another_model_and_another_text_at_a_start_count_draws_anew_and_a_snapshot_goes_on(open_desk):
    sorter = bundled_models()["sorter"]
    desk = open_desk(sorter, "CBAAB")
    for _ in range(3):
        desk.window.do("draw")
    desk.window.training.go_to(4)
    desk.settle()
    assert desk.state.draws == 3
    keep(desk.state)
    assert beginning(None, None).state.draws == 3 and beginning(None, "another text").state.draws == 0
    desk.c.open_model(bundled_models()["learner"])
    desk.settle()
    assert desk.c.model.folder == bundled_models()["learner"] and desk.state.draws == 0
    desk.window.do("undo")
    desk.settle()
    assert desk.state.draws == 3 and desk.c.model.folder == snapshots(sorter)[25]


def test_a_slider_shows_where_the_same_draw_lands_now(desk):
    desk.c.set(desk.state.with_sampling(temperature=1.0, top_k=0, top_p=1.0))
    landed = set()
    for tick in range(0, 1001, 100):
        controls(desk).temperature.setValue(tick)
        assert desk.state.draws == 0
        assert_bars_are_right(desk)
        landed.add(desk.scene.landed)
    assert len(landed) > 1


def test_every_sampling_step_shows_the_same_final_probabilities(desk):
    desk.c.set(desk.state.with_sampling(temperature=0.8, top_k=12, top_p=0.9))
    truth = drawn_from(desk.scene.trace.logits(9), desk.state.sampling)
    from desktop_app.core.steps import build_view
    from tests.ui.test_window_steps import panels

    for key in ("top_p", "probabilities"):
        desk.go(key)
        bars = [p for p in panels(build_view(desk.scene, desk.c.step).content) if hasattr(p, "bars")][-1].bars
        for bar in bars:
            assert bar.value == pytest.approx(truth[bar.pick.token], abs=1e-9)


def test_settings_of_a_session_are_shown_in_every_control(desk):
    desk.c.set(desk.state.with_sampling(temperature=2.5, top_k=7, top_p=0.35, seed=99))
    c = controls(desk)
    assert (c._temperature.value(), c._top_k.value(), c._top_p.value(), c.seed.text()) == (2.5, 7, 0.35, "99")
    assert desk.state.sampling == Sampling(2.5, 7, 0.35, False, 99), "showing them sends nothing back"


# Finding and pinning


def test_a_token_is_found_with_its_rank_and_probability(desk):
    desk.c.set(desk.state.with_sampling(temperature=1.0, top_k=0, top_p=1.0))
    panel = desk.window.probabilities
    desk.press(Qt.Key.Key_F, CTRL, desk.window.canvas)
    desk.type("Q", panel.search)
    logits = desk.scene.trace["logits"][9].astype(float)
    token = desk.scene.tokenizer.encode("Q").ids[0]
    rank = int((logits > logits[token]).sum())
    assert f"rank {rank + 1} of" in panel.found.text().replace(",", "") and panel.found.isVisible()


def test_a_found_token_is_pinned_and_unpinned(desk):
    desk.c.set(desk.state.with_sampling(temperature=1.0, top_k=2, top_p=1.0))
    panel = desk.window.probabilities
    logits = desk.scene.trace["logits"][9]
    last = int(logits.argmin())
    assert last not in desk.bars()
    panel.find_button.click()
    QTest.keyClicks(panel.search, f"#{last}")
    desk.press(Qt.Key.Key_Return, widget=panel.search)
    assert desk.state.pinned == (last,) and panel.search.text() == ""
    bar = desk.bars()[last]
    assert bar.pinned and not bar.kept and bar.value == 0 and bar.remark == f"#{len(logits)}"
    desk.go("blocks.0.ln1")
    desk.type("!")
    desk.settle()
    assert last in desk.bars(), "a pinned token stays from prompt to prompt"
    for _ in range(2):
        desk.press(Qt.Key.Key_Z, CTRL, desk.window.canvas)
        desk.settle()
    assert desk.state.pinned == () and last not in desk.bars(), "typing and pinning are taken back one by one"


def test_p_pins_the_bar_that_the_arrows_chose(desk):
    bars = desk.window.probabilities.bars
    for _ in range(3):
        desk.press(Qt.Key.Key_Down, widget=bars)
    token = bars.panel.bars[2].pick.token
    desk.press(Qt.Key.Key_P)
    assert desk.state.pinned == (token,)
    desk.press(Qt.Key.Key_P)
    assert desk.state.pinned == ()


def test_a_token_that_is_not_there_is_said_so(desk):
    panel = desk.window.probabilities
    desk.window.do("find_token")
    desk.type("#9999", panel.search)
    assert panel.found.isVisible() and panel.found.text().endswith(".")
    desk.press(Qt.Key.Key_Return, widget=panel.search)
    assert desk.state.pinned == ()


def test_without_a_pass_the_settings_are_still_the_ones_that_will_be_used(open_desk):
    desk = open_desk(bundled_models()["sorter"], "The old king")
    assert desk.scene is None, "the sorter cannot spell it"
    controls = desk.window.probabilities.controls
    shown = (controls._temperature.value(), controls._top_k.value(), controls._top_p.value(), controls.seed.text())
    assert shown == (1.0, 0, 1.0, "0") and desk.state.sampling == Sampling()
    assert controls.top_k.value() == controls.top_k.maximum() and controls.top_p.value() == controls.top_p.maximum()
