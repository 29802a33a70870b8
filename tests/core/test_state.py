"""The prompt as typed text and appended ids: cutting, appending and editing it, over texts of every kind."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from desktop_app.core.session.state import State, append, cut_after, edit, encode, full_text
from desktop_app.gpt2.errors import SamplingError, TokenizerError
from desktop_app.gpt2.tokenizer import Tokenizer
from tests.checkpoints import write_byte_tokenizer

DATA = Path(__file__).resolve().parent.parent / "data"
BPE = Tokenizer.load(DATA / "small_bpe")  # 400 merges and every byte, so that most texts have several spellings

PIECES = (
    "the",
    " the",
    "re",
    "There",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\u00a0",
    "e\u0301",
    "👩‍👩‍👧",
    "🙂",
    "中",
    "é",
    "'s",
    "a",
    "<|endoftext|>",
)
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=6).map("".join)
tokens = st.one_of(
    st.integers(0, BPE.size - 1), st.sampled_from(sorted({t for p in PIECES for t in BPE.encode(p).ids}))
)
states = st.builds(
    State, text=texts, appended=st.lists(tokens, max_size=6).map(tuple), start=st.booleans(), position=st.none()
)


def ids(text):
    return BPE.encode(text).ids


def spelled(*pieces):
    """The ids of each piece encoded by itself, concatenated."""
    return tuple(token for piece in pieces for token in ids(piece))


@given(states, st.data())
def test_cutting_leaves_exactly_the_first_tokens(state, data):
    whole = encode(state, BPE)
    count = data.draw(st.integers(0, len(whole)))
    cut = cut_after(state, count, BPE)
    assert encode(cut, BPE) == whole[:count]
    assert state.text.startswith(cut.text)


@given(states, tokens, st.data())
def test_appending_at_a_position_replaces_what_stood_behind_it(state, token, data):
    whole = encode(state, BPE)
    assume(whole)
    position = data.draw(st.one_of(st.none(), st.integers(0, len(whole) - 1)))
    after = append(replace(state, position=position), token, BPE, drawn=True)
    kept = whole if position is None else whole[: position + 1]
    assert encode(after, BPE) == (*kept, token)
    assert (after.position, after.token, after.draws) == (None, None, state.draws + 1)


def test_a_token_that_was_picked_is_no_draw():
    assert append(State(text="a", draws=3), 5, BPE).draws == 3


@given(states, texts)
def test_after_an_edit_the_editor_shows_what_was_typed(state, text):
    changed, _ = edit(state, text, BPE)
    assert full_text(changed, BPE) == text


@given(states)
def test_an_edit_that_changes_nothing_changes_nothing(state):
    assert edit(state, full_text(state, BPE), BPE) == (state, "")


@given(states, texts, st.data())
def test_typing_in_front_of_appended_tokens_leaves_their_ids(state, typed, data):
    assume(typed)
    at = data.draw(st.integers(0, len(state.text)))
    text = state.text[:at] + typed
    changed, note = edit(state, text + full_text(state, BPE)[at:], BPE)
    assert note == ""
    assert changed.appended[len(changed.appended) - len(state.appended) :] == state.appended
    assert encode(changed, BPE)[-len(state.appended) or len(encode(changed, BPE)) :] == state.appended


@given(states, st.data())
def test_cutting_the_end_off_between_two_appended_tokens_leaves_the_ids_in_front(state, data):
    kept = data.draw(st.integers(0, max(0, len(state.appended) - 1)))
    shorter = replace(state, appended=state.appended[:kept])
    text = full_text(shorter, BPE)
    assume(full_text(state, BPE) == text + BPE.decode(state.appended[kept:]))  # no character is cut in two
    assert edit(state, text, BPE) == (shorter, "")


@given(states, texts)
def test_typing_behind_appended_tokens_makes_typed_text_of_them(state, typed):
    assume(typed)
    before = full_text(state, BPE)
    assume(not (state.appended and before.endswith(typed)))  # otherwise the same text could have been typed in front
    changed, _ = edit(state, before + typed, BPE)
    assume(not before[len(state.text) :] or typed[-1] != before[-1])
    assert changed == replace(state, text=before + typed, appended=())


@given(states, st.data())
def test_editing_inside_appended_tokens_leaves_those_behind(state, data):
    assume(len(state.appended) > 1)
    at = data.draw(st.integers(1, len(state.appended) - 1))
    front, back = BPE.decode(state.appended[:at]), BPE.decode(state.appended[at:])
    assume(front + back == BPE.decode(state.appended))
    changed, _ = edit(state, state.text + front + "#" + back, BPE)
    assert changed.appended[-len(state.appended[at:]) :] == state.appended[at:]
    assert full_text(changed, BPE) == state.text + front + "#" + back


def test_half_a_character_appended_survives_an_edit_in_front():
    half = ids("🙂")[:1] if len(ids("🙂")) > 1 else pytest.fail("this vocabulary spells the emoji with one token")
    state = State(text="a smile", appended=half)
    assert "\ufffd" in full_text(state, BPE)
    assert edit(state, "one smile" + BPE.decode(half), BPE) == (State(text="one smile", appended=half), "")


def test_a_character_spread_over_appended_tokens_is_deleted_whole():
    state = State(text="a ", appended=(*ids("🙂"), *ids("!")))
    assert edit(state, "a 🙂", BPE)[0] == State(text="a ", appended=ids("🙂"))
    assert edit(state, "a ", BPE)[0] == State(text="a ")


NOT_AS_TYPED = spelled(" t", "he")


def test_the_example_does_not_re_encode_to_itself():
    assert BPE.decode(NOT_AS_TYPED) == " the"
    assert len(NOT_AS_TYPED) == 2
    assert len(ids(" the")) == 1


def test_text_typed_behind_says_which_tokens_came_out_otherwise():
    changed, note = edit(State(text="one", appended=NOT_AS_TYPED), "one the!", BPE)
    assert encode(changed, BPE) == ids("one the!")
    at = len(ids("one"))
    assert note == f"Typed text is tokenized again: ·t he became ·the ! at position {at}."


def test_positions_in_the_note_count_the_start_token():
    at = len(ids("one"))
    _, note = edit(State(text="one", appended=NOT_AS_TYPED, start=True), "one the!", BPE)
    assert note.endswith(f"at position {at + 1}.")


def test_tokens_that_come_out_as_they_stood_need_no_note():
    drawn = ids(" the house")
    state = State(text="in", appended=drawn)
    assert encode(State(text="in the house"), BPE) == encode(state, BPE)
    # A typed letter may change the last token into another one; this is normal when typing.
    for text in ("in the houses", "in the house.", "in the hous"):
        assert edit(state, text, BPE) == (State(text=text), "")


def test_changing_the_odd_token_itself_needs_no_note():
    state = State(text="one", appended=NOT_AS_TYPED)
    assert edit(state, "one 2the", BPE) == (State(text="one 2t", appended=NOT_AS_TYPED[1:]), "")


def test_text_that_cannot_be_spelled_is_kept_as_it_was_typed(tmp_path):
    write_byte_tokenizer(tmp_path, 90)
    letters = Tokenizer.load(tmp_path)
    state = State(text="ab", appended=letters.encode("cd").ids)
    for text in ("aéb", "ab\ud800"):
        changed, note = edit(state, text + "cd", letters)
        assert (changed, note) == (State(text=text, appended=state.appended), "")
        with pytest.raises(TokenizerError):
            encode(changed, letters)
    assert edit(state, "abcdé", letters) == (State(text="abcdé"), "")


def test_an_edit_looks_at_the_end_again():
    state = State(text="the cat", appended=ids(" sat"), token=1, position=0)
    changed, _ = edit(state, "the dog sat", BPE)
    assert (changed.token, changed.position) == (None, None)


def test_a_prompt_of_a_thousand_appended_tokens_is_edited_at_either_end():
    drawn = ids(" the cat sat on the mat." * 150)[:1000]
    state = State(text="Once", appended=drawn)
    text = full_text(state, BPE)
    assert edit(state, "At" + text, BPE)[0].appended == drawn
    assert edit(state, text[:-1], BPE)[0].text + BPE.decode(edit(state, text[:-1], BPE)[0].appended) == text[:-1]


def test_sampling_settings_are_checked_when_they_change():
    assert State().with_sampling(top_k=5).sampling.top_k == 5
    with pytest.raises(SamplingError):
        State().with_sampling(temperature=0)
