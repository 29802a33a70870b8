"""Undo and redo over random sequences of changes; keys that make a word or a drag one entry; going back."""

import dataclasses
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_app.core.session.history import History, Walk, typing_key
from desktop_app.core.session.state import UNDOABLE, UNDOABLE_OPTIONS, State, ViewOptions
from desktop_app.gpt2.sampling import Sampling

FIELDS = {
    "text": st.text(max_size=5),
    "appended": st.lists(st.integers(0, 9), max_size=3).map(tuple),
    "start": st.none() | st.booleans(),
    "space": st.none() | st.booleans(),
    "model": st.sampled_from(["", "a", "b"]),
    "int8": st.booleans(),
    "sampling": st.sampled_from([Sampling(), Sampling(0.5), Sampling(greedy=True)]),
    "draws": st.integers(0, 3),
    "pinned": st.lists(st.integers(0, 9), max_size=2).map(tuple),
    "step": st.sampled_from(["text", "tokens"]),
    "head": st.integers(0, 3),
    "token": st.none() | st.integers(0, 3),
    "view": st.builds(
        ViewOptions,
        limit=st.none() | st.sampled_from([0.5, 2.0]),
        pattern_limit=st.none() | st.sampled_from([0.1]),
        skip_first=st.booleans(),
    ),
}
changes = st.tuples(
    st.fixed_dictionaries({}, optional=FIELDS),
    st.one_of(st.none(), st.sampled_from(["drag", ("typing", 1), ("typing", 2)])),
)


def result(state):
    options = {name: getattr(state.view, name) for name in UNDOABLE_OPTIONS}
    return {name: getattr(state, name) for name in UNDOABLE} | options


def play(history, start, steps):
    """Records every change; returns the final state, and the result after each change."""
    now, stood = start, [result(start)]
    for fields, key in steps:
        before, now = now, replace(now, **fields)
        history.record(before, now, key)
        stood.append(result(now))
    return now, stood


def undo_all(history, now):
    seen = []
    while history.can_undo:
        now = history.undo(now)
        seen.append(result(now))
    return now, seen


@given(st.lists(changes, max_size=12))
def test_undoing_everything_brings_the_start_back_and_redoing_it_the_end(steps):
    history, start = History(), State(text="start")
    end, _ = play(history, start, steps)
    first, _ = undo_all(history, end)
    assert result(first) == result(start)
    last = first
    while history.can_redo:
        last = history.redo(last)
    assert result(last) == result(end)


@given(st.lists(changes, max_size=12))
def test_undo_shows_results_that_stood_and_never_the_same_twice_in_a_row(steps):
    history = History()
    end, stood = play(history, State(), steps)
    _, seen = undo_all(history, end)
    path = [result(end), *seen]
    assert all(one != other for one, other in pairwise(path))
    places = iter(reversed(stood))
    assert all(any(shown == was for was in places) for shown in path)  # in their original order


@given(st.lists(changes, max_size=12))
def test_redo_retraces_undo(steps):
    history = History()
    end, _ = play(history, State(), steps)
    now, seen = undo_all(history, end)
    back = [result(end), *seen][::-1]
    for shown in back[1:]:
        now = history.redo(now)
        assert result(now) == shown
    assert not history.can_redo


@given(st.lists(changes, min_size=1, max_size=6), changes)
def test_a_new_change_forgets_what_was_undone(steps, change):
    history = History()
    end, _ = play(history, State(), steps)
    back = history.undo(end)
    after = replace(back, **change[0])
    history.record(back, after, change[1])
    assert history.can_redo == (result(after) == result(back) and result(back) != result(end))


def test_changes_with_one_key_in_a_row_are_one_entry():
    history, now = History(), State(text="")
    for text in ("t", "th", "the"):
        before, now = now, replace(now, text=text)
        history.record(before, now, "typing")
    assert history.undo(now).text == ""
    assert not history.can_undo


def test_the_same_key_after_a_pause_or_after_undo_is_a_new_entry():
    history = History()
    one, two, three = State(text="a"), State(text="ab"), State(text="abc")
    history.record(State(), one, "typing")
    history.close_entry()
    history.record(one, two, "typing")
    assert history.undo(two).text == "a"
    history.record(one, three, "typing")
    assert history.undo(three).text == "a"


def test_a_drag_that_ends_where_it_began_leaves_no_entry():
    history = History()
    start = State()
    moved = start.with_sampling(temperature=0.5)
    history.record(start, moved, "drag")
    history.record(moved, start, "drag")
    assert not history.can_undo


def test_undo_brings_a_limit_back_and_leaves_switches_and_the_selected_token():
    history, before = History(), State(text="one", token=2, view=ViewOptions(limit=3.0, skip_first=True))
    after = replace(before, view=replace(before.view, limit=5.0))
    history.record(before, after)
    now = replace(after, token=1, view=replace(after.view, skip_first=False))
    undone = history.undo(now)
    assert undone.view == ViewOptions(limit=3.0, skip_first=False)
    assert undone.token == 1
    assert history.redo(undone) == now


def test_undo_leaves_where_one_looks_alone_except_for_positions_in_the_text():
    history = History()
    before = State(text="a", step="tokens")
    after = replace(before, text="ab")
    history.record(before, after)
    now = replace(after, step="probabilities", layer=3, head=2, token=1, position=1)
    undone = history.undo(now)
    assert (undone.step, undone.layer, undone.head) == ("probabilities", 3, 2)
    assert (undone.token, undone.position) == (None, None)


def test_with_nothing_to_undo_nothing_happens():
    state = State(text="a", token=0)
    assert History().undo(state) is state
    assert History().redo(state) is state


@pytest.mark.parametrize("text", ["The cat sat", "two  spaces and\nnew lines", "ein Wort"])
def test_typing_letter_by_letter_is_one_entry_a_word(text):
    keys = [typing_key(text[:n], text[: n + 1]) for n in range(len(text))]
    assert None not in keys
    assert len(set(keys)) == len(text.split())
    deleting = [typing_key(text[: n + 1], text[:n]) for n in reversed(range(len(text)))]
    assert len(set(deleting)) == len(text.split())
    assert not set(keys) & set(deleting)


def test_a_letter_in_another_word_starts_another_entry():
    assert typing_key("one two", "one twoo") == typing_key("one twoo", "one twooo")
    assert typing_key("one two", "onee two") != typing_key("one two", "one twoo")


@pytest.mark.parametrize(("before", "after"), [("a", "a pasted text"), ("abc", ""), ("ab", "cd"), ("abcd", "xbc")])
def test_a_paste_is_an_entry_of_its_own(before, after):
    assert typing_key(before, after) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=8))
def test_the_walk_goes_back_the_way_it_came(places):
    walk = Walk()
    visited = []
    for step, layer, head in places:
        walk.visit(State(step=step, layer=layer, head=head))
        if not visited or visited[-1] != (step, layer, head):
            visited.append((step, layer, head))
    now = State()
    for step, layer, head in reversed(visited[:-1]):
        now = walk.go(-1, now)
        assert (now.step, now.layer, now.head) == (step, layer, head)
    assert walk.go(-1, now) == now
    for step, layer, head in visited[1:]:
        now = walk.go(1, now)
        assert (now.step, now.layer, now.head) == (step, layer, head)
    assert walk.go(1, now) == now


def test_the_same_prompt_is_the_same_pass_whatever_one_looks_at():
    """A field that changes numbers and were not asked for would show the numbers of another pass."""
    of_a_pass = {
        *("text", "appended", "start", "space"),  # the ids
        *("model", "int8", "edits", "mask"),  # what is computed on them
        *("other", "alignment", "beside"),  # the passes that are shown beside it
    }
    state, another = State(text="a", appended=(1,)), object()
    asks = {f.name for f in dataclasses.fields(State) if replace(state, **{f.name: another}).asked != state.asked}
    assert asks == of_a_pass
