"""Session files: what is saved is read back; damaged, hostile or newer files are refused in one sentence."""

import json
import os
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from desktop_app.core.library.find import reference_of, referred, require_here
from desktop_app.core.opening.cells import Cell
from desktop_app.core.program.bundle import bundled_models, snapshots
from desktop_app.core.session.fields import Change
from desktop_app.core.session.session_file import VERSION, from_json, load_session, save_session, to_json
from desktop_app.core.session.state import State, ViewOptions
from desktop_app.gpt2.errors import ModelError, SessionError
from desktop_app.gpt2.sampling import MAX_SEED, MAX_TOP_K, Sampling
from tests.checkpoints import write_checkpoint

text = st.text(max_size=20)  # without lone surrogates, which no text file can hold
positions = st.none() | st.integers(0, 200_000)
ids = st.lists(st.integers(0, 2**31 - 1), max_size=5).map(tuple)
models = st.just("") | text.filter(lambda t: "\0" not in t).map(lambda t: os.path.normpath(f"/models/m{t}"))
states = st.builds(
    State,
    text=text,
    appended=ids,
    start=st.booleans(),
    model=models,
    int8=st.booleans(),
    step=text.filter(bool),
    layer=st.integers(0, 511),
    head=st.integers(0, 511),
    token=positions,
    position=positions,
    sampling=st.builds(
        Sampling,
        temperature=st.floats(0.01, 100),
        top_k=st.integers(0, MAX_TOP_K),
        top_p=st.floats(0, 1, exclude_min=True),
        greedy=st.booleans(),
        seed=st.integers(0, MAX_SEED),
    ),
    draws=st.integers(0, 2**53),
    pinned=ids,
    view=st.builds(
        ViewOptions,
        pattern_scale=st.sampled_from(["linear", "sqrt", "log"]),
        limits=st.sampled_from(["view", "layer"]),
        skip_first=st.booleans(),
        keys_down=st.booleans(),
        sort_neurons=st.booleans(),
        limit=st.none() | st.floats(1e-300, 1e300),
        pattern_limit=st.none() | st.floats(1e-9, 1),
    ),
)


def session(**fields):
    return json.dumps({"logitscope": VERSION, "state": fields}).encode()


def refused(data, *words):
    with pytest.raises(SessionError) as caught:
        from_json(data, "file.logitscope")
    sentence = str(caught.value)
    assert sentence.startswith("file.logitscope")
    assert "\n" not in sentence
    assert len(sentence) < 400
    for word in words:
        assert word in sentence
    return True


@given(states)
def test_a_state_comes_back_as_it_was(state):
    data = to_json(state)
    assert data.isascii()
    assert from_json(data, "x") == state


def test_a_session_is_written_whole_and_opened_again(tmp_path):
    state = State(text="The\r\ncat\u00a0sat 🙂", appended=(3, 1), start=True, step="probabilities", token=2)
    save_session(tmp_path / "a.logitscope", state)
    assert load_session(tmp_path / "a.logitscope") == state
    assert [path.name for path in tmp_path.iterdir()] == ["a.logitscope"]


@pytest.mark.parametrize(("typed", "kept"), [("a\ud800b", "a\ufffdb"), ("\udc00", "\ufffd"), ("\ud83d\ude42", "🙂")])
def test_half_a_character_from_a_damaged_clipboard_does_not_make_a_session_unreadable(typed, kept):
    assert from_json(to_json(State(text=typed)), "x").text == kept


def test_an_escaped_half_of_a_character_is_read_and_left_to_the_tokenizer_to_refuse():
    assert from_json(b'{"logitscope": 1, "state": {"text": "a\\ud800"}}', "x").text == "a\ud800"


def test_what_could_not_be_opened_again_is_not_saved_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.logitscope"
    save_session(path, State(text="good"))
    before = path.read_bytes()
    with pytest.raises(SessionError, match="text"):
        save_session(path, State(text="x" * 1_000_001))
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_the_longest_text_that_is_saved_fits_into_a_file_that_is_read(tmp_path):
    state = State(text="\U0001f642" * 1_000_000, appended=(2**31 - 1,) * 200_000)
    save_session(tmp_path / "a", state)
    assert load_session(tmp_path / "a") == state


@pytest.mark.parametrize("place", ["missing/file", "folder", "fifo"])
def test_a_place_that_cannot_be_written_is_refused_and_nothing_is_left(tmp_path, place):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SessionError, match=place.split("/")[0]):
        save_session(tmp_path / place, State())
    assert sorted(tmp_path.rglob("*")) == before


def test_fields_that_are_missing_have_their_defaults():
    assert from_json(session(), "x") == State()
    assert from_json(session(text="a"), "x") == State(text="a")


def test_fields_that_this_version_does_not_know_are_passed_over():
    assert from_json(session(text="a", novelty=[1]), "x") == State(text="a")


@pytest.mark.parametrize("version", [VERSION + 1, 99, 10**18])
def test_a_session_from_the_future_says_to_update(version):
    data = json.dumps({"logitscope": version, "state": "anything at all"}).encode()
    assert refused(data, "newer", "update")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe{\x00",
        b"{",
        b'{"logitscope": 1}',
        b'{"logitscope": 1, "state": []}',
        b'{"logitscope": true, "state": {}}',
        b'{"logitscope": "1", "state": {}}',
        b'{"logitscope": 1.0, "state": {}}',
        b'{"logitscope": 0, "state": {}}',
        b'{"logitscope": -1, "state": {}}',
        b'{"logitscope": 1, "logitscope": 1, "state": {}}',
        b'{"logitscope": 1, "state": {"text": "a", "text": "b"}}',
        b'{"logitscope": 1, "state": {"draws": ' + b"9" * 5000 + b"}}",
        b'{"logitscope": ' + b"9" * 4000 + b', "state": {}}',
        b'{"logitscope": 1, "state": {"sampling": {"temperature": NaN}}}',
        b'{"logitscope": 1, "state": {"sampling": {"temperature": 1e999}}}',
        b'{"logitscope": 1, "state": {"sampling": {"temperature": -Infinity}}}',
        b'{"logitscope": 1, "state": {"text": "\xed\xa0\x80"}}',
        b'{"logitscope": 1, "state": {"text": "half \\ud8"}}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"logitscope": 1, "state": {"pinned": ' + b"[" * 900 + b"]" * 900 + b"}}",
    ],
    ids=lambda data: data[:40].decode("latin-1") + str(len(data)),
)
def test_hostile_bytes_are_refused_in_one_sentence(data):
    assert refused(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", 3),
        ("text", None),
        ("text", ["a"]),
        ("text", "x" * 1_000_001),
        ("appended", "3"),
        ("appended", [1.5]),
        ("appended", [-1]),
        ("appended", [True]),
        ("appended", [2**31]),
        ("appended", [1] * 200_001),
        ("appended", {"0": 1}),
        ("start", 1),
        ("start", "yes"),
        ("space", 0),
        ("model", {}),
        ("model", "m" * 5000),
        ("step", 4),
        ("step", "s" * 300),
        ("layer", -1),
        ("layer", 512),
        ("layer", 1.0),
        ("layer", True),
        ("head", "0"),
        ("token", -1),
        ("token", 10**30),
        ("position", [0]),
        ("draws", -1),
        ("draws", 2**60),
        ("pinned", [[1]]),
        ("pinned", 7),
        ("sampling", []),
        ("sampling", {"temperature": "hot"}),
        ("sampling", {"temperature": 0}),
        ("sampling", {"temperature": 10**18}),
        ("sampling", {"top_k": -1}),
        ("sampling", {"top_k": 1.5}),
        ("sampling", {"top_p": 0}),
        ("sampling", {"top_p": True}),
        ("sampling", {"greedy": 0}),
        ("sampling", {"seed": 2**64}),
        ("view", "dark"),
        ("view", {"pattern_scale": "cubic"}),
        ("view", {"pattern_scale": ["log"]}),
        ("view", {"limits": {}}),
        ("view", {"skip_first": None}),
        ("view", {"limit": 0}),
        ("view", {"limit": -2.5}),
        ("view", {"limit": "2"}),
        ("view", {"limit": True}),
        ("view", {"pattern_limit": 1e301}),
        ("view", {"sort_neurons": 1}),
        ("view", {"keys_down": "yes"}),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_by_name(field, value):
    name = next(iter(value)) if isinstance(value, dict) and field in ("sampling", "view") else field
    assert refused(session(**{field: value}), name)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*State.__dataclass_fields__, "other"]), anything, max_size=5))
@example({"sampling": {"seed": -1}})
@example({"beside": "0"})
def test_any_json_in_any_field_is_a_state_or_a_session_error(fields):
    try:
        state = from_json(session(**fields), "x")
    except SessionError:
        return
    # Nothing in a session depends on the current directory: models are stored with their absolute paths.
    model, beside = (name and referred(reference_of(name)) for name in (state.model, state.beside))
    assert from_json(to_json(state), "x") == replace(state, model=model, beside=beside)


@given(states, st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
def test_a_few_wrong_bytes_give_a_state_or_a_session_error(state, at, noise):
    data = to_json(state)
    at %= len(data)
    with suppress(SessionError):
        from_json(data[:at] + noise + data[at + len(noise) :], "x")


@given(states, st.integers(0, 10_000))
def test_a_file_that_was_cut_short_is_refused(state, at):
    data = to_json(state)
    assert refused(data[: at % len(data)])


def test_a_damaged_session_is_not_to_be_fetched_from_a_hub_it_never_came_from(tmp_path):
    path = tmp_path / "lecture.logitscope"
    for data in (b'{"logitscope": 1, "text": "The', b'{"logitscope": 1, "text": "\xff"}'):
        path.write_bytes(data)
        with pytest.raises(SessionError, match="get a complete copy") as refusal:
            load_session(path)
        assert "fetch" not in str(refusal.value)


def test_files_that_are_none_and_files_that_are_too_large_are_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "huge").write_bytes(b"")
    os.truncate(tmp_path / "huge", 100 << 20)  # sparse: it takes no space on disk
    for name, word in (("fifo", "not a file"), ("huge", "16,777,216"), ("absent", "not exist"), (".", "not a file")):
        with pytest.raises(SessionError, match=word) as caught:
            load_session(tmp_path / name)
        assert str(tmp_path) in str(caught.value)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.logitscope"
    save_session(path, State(text="old"))

    def fails(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fails)
    with pytest.raises(SessionError, match="No space left"):
        save_session(path, State(text="new"))
    assert load_session(path) == State(text="old")
    assert len(list(tmp_path.iterdir())) == 1


def test_every_field_of_the_state_is_in_the_file():
    changed = State(
        text="a",
        appended=(1,),
        start=True,
        space=True,
        model="/m",
        int8=True,
        edits=(Change("blocks.0.attn.z[1]=mean"), Change("embed*=2", on=False)),
        mask="window:3",
        other="b",
        alignment="end",
        beside="/other",
        workspace="lens",
        opened=(Cell("embed.W_E", ()), Cell("blocks.0.attn.pattern", (0, 1, 2))),
        step="tokens",
        layer=1,
        head=1,
        token=1,
        position=1,
        key=1,
        sampling=Sampling(0.5, 5, 0.5, True, 5),
        draws=1,
        pinned=(2,),
        target=3,
        against=4,
        translators="/lens/of/m.safetensors",
        unfolded=(1,),
        rulers=("woman - man",),
        map_token=5,
        map_window=(0.25, 0.0, 0.5, 1.0),
        neuron=5,
        evidence="/scans/books",
        story="next-token",
        stop=3,
        view=ViewOptions(
            pattern_scale="log",
            limits="layer",
            skip_first=True,
            keys_down=True,
            sort_neurons=True,
            lens_of="attn_out",
            lens="rank",
            compare="change",
            sweep="mlps",
            sweep_how="zero",
            sweep_way="out",
            effects=True,
            baseline="none",
            flow="0.1",
            heads="one",
            heads_form="arcs",
            heads_by="like",
            heads_of="labelled",
            look="raw",
            look_parts="blocks",
            circuits="k",
            circuits_least=0.25,
            circuits_of="head",
            stands_for="embedding",
            directions="ruler",
            rows="trimmed",
            map="neighbours",
            map_find="cat",
            evidence="heads",
            evidence_find="dog",
            superposition="neurons",
            direction="gender: woman - man",
            limit=2.5,
            pattern_limit=0.1,
        ),
    )
    default = State()
    for part, plain in ((changed, default), (changed.sampling, default.sampling), (changed.view, default.view)):
        for name in type(part).__dataclass_fields__:
            assert getattr(part, name) != getattr(plain, name), f"the test leaves {name} at its default"
    assert from_json(to_json(changed), "x") == changed
    assert from_json(to_json(replace(changed, token=None)), "x").token is None


def test_a_session_names_a_model_so_that_it_is_found_on_another_machine(tmp_path, monkeypatch):
    def named(folder):
        return json.loads(to_json(State(model=str(folder))))["state"]["model"]

    sorter = bundled_models()["sorter"]
    assert named(sorter) == "sorter" and named(snapshots(sorter)[50]) == "sorter@50"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    commit = "0123456789" * 4
    fetched = write_checkpoint(tmp_path / "hub" / "models--ann--small" / "snapshots" / commit)
    assert named(fetched) == f"ann/small@{commit}"
    assert named("/some/where") == "/some/where" and named("") == ""
    monkeypatch.chdir(tmp_path)
    assert named("here") == str(tmp_path / "here")  # the next start may be in another directory
    for name in ("sorter", "sorter@50", "ann"):
        (tmp_path / name).mkdir()  # a folder in the current directory is not one of these models
    for folder in (sorter, snapshots(sorter)[50], fetched):
        assert from_json(to_json(State(model=str(folder))), "it").model == str(folder)


@pytest.mark.parametrize("gone", ["sorter@51", "ann/small@" + "0" * 40, "/no/where", "here", "sorter@x", "a\0b"])
def test_a_session_s_model_that_is_not_here_is_a_sentence(gone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    state = from_json(json.dumps({"logitscope": 1, "state": {"model": gone}}).encode(), "it")
    assert state.model == gone
    with pytest.raises(ModelError, match="is not here"):
        require_here(state.model)


FIRST_FORM = {
    "text": "Hello, you\n \u00fc",
    "appended": [3, 5],
    "start": True,
    "model": "models/bundled",
    "int8": True,
    "step": "blocks.1.attn.pattern",
    "layer": 1,
    "head": 2,
    "token": 4,
    "position": 3,
    "sampling": {"temperature": 0.5, "top_k": 7, "top_p": 0.25, "greedy": True, "seed": 9},
    "draws": 6,
    "pinned": [1, 2],
    "view": {
        "pattern_scale": "log",
        "limits": "layer",
        "skip_first": True,
        "keys_down": True,
        "sort_neurons": True,
    },
}
"""All fields that sessions had before there were workspaces, as such a version wrote them."""


def test_a_session_from_before_workspaces_opens_with_all_that_it_says():
    state = from_json(json.dumps({"logitscope": 1, "state": FIRST_FORM}).encode("ascii"), "it")
    nested = ("sampling", "view")
    said = {name: tuple(v) if isinstance(v, list) else v for name, v in FIRST_FORM.items() if name not in nested}
    assert state == replace(
        State(), sampling=Sampling(**FIRST_FORM["sampling"]), view=ViewOptions(**FIRST_FORM["view"]), **said
    )
