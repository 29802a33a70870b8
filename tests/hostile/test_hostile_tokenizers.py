"""Malformed and malicious tokenizer files: each gives one clear sentence, none a crash, a hang or other ids."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from desktop_app.gpt2 import tokenizer as module
from desktop_app.gpt2 import tokenizer_files
from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.tokenizer import Tokenizer

DATA = Path(__file__).parents[1] / "data"
VOCAB = {"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}


def refused(folder, said, **kwargs):
    """Loads a folder and checks that it is refused in one clear sentence of readable length, which is returned."""
    with pytest.raises(TokenizerError, match=said) as refusal:
        Tokenizer.load(folder, **kwargs)
    sentence = str(refusal.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence.replace(str(folder), "")) < 260
    return sentence


def two_files(folder, vocab=VOCAB, merges="#version: 0.2\na b\n"):
    for name, content in (("vocab.json", vocab), ("merges.txt", merges)):
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def one_file(folder, **changes):
    """A valid tokenizer.json with some changes: a key with dots is a path to a nested field, None deletes a field."""
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False},
        "decoder": {"type": "ByteLevel"},
        "model": {"dropout": None, "unk_token": None, "fuse_unk": False, "vocab": VOCAB, "merges": ["a b"]},
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        at = document
        for parent in parents:
            at[parent] = dict(at[parent])
            at = at[parent]
        at[last] = value
    (folder / "tokenizer.json").write_text(json.dumps(document))
    return folder


def test_the_files_that_these_tests_spoil_are_good(tmp_path):
    assert Tokenizer.load(two_files(tmp_path), vocab_size=4).encode("abba<|endoftext|>").ids == (2, 1, 0, 3)
    assert Tokenizer.load(one_file(tmp_path), vocab_size=4).encode("abba<|endoftext|>").ids == (2, 1, 0, 3)


# --- folders


def test_a_folder_that_is_not_there_is_named(tmp_path):
    refused(tmp_path / "nowhere", "There is no folder .*nowhere")
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "There is no folder .*file")
    refused(tmp_path / ("x" * 300), "cannot be read")


def test_a_folder_without_a_tokenizer_says_which_files_to_look_for(tmp_path):
    refused(tmp_path, "has no tokenizer: put tokenizer.json, or vocab.json and merges.txt")


@pytest.mark.parametrize("missing", ["vocab.json", "merges.txt"])
def test_half_a_tokenizer_names_the_missing_half(tmp_path, missing):
    (two_files(tmp_path) / missing).unlink()
    refused(tmp_path, f"has no {missing}")


def test_links_out_of_the_folder_work_as_in_the_hub_cache(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    two_files(blobs)
    for name in ("vocab.json", "merges.txt"):
        (snapshot / name).symlink_to(Path("..") / "blobs" / name)
    assert Tokenizer.load(snapshot).encode("ab").ids == (2,)


def test_a_link_to_nowhere_counts_as_missing(tmp_path):
    two_files(tmp_path)
    (tmp_path / "merges.txt").unlink()
    (tmp_path / "merges.txt").symlink_to("gone")
    refused(tmp_path, "has no merges.txt")


SETTINGS = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "tokenizer.json", *SETTINGS])
def test_what_is_not_a_regular_file_is_refused_without_waiting_for_it(tmp_path, name):
    two_files(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    refused(tmp_path, f"{name} is not a regular file")
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    refused(tmp_path, f"{name} is not a regular file")


def test_a_file_of_absurd_size_is_refused_before_it_is_parsed(tmp_path):
    for name in ("vocab.json", "merges.txt", "tokenizer.json"):
        two_files(tmp_path)
        with (tmp_path / name).open("wb") as file:
            file.truncate(tokenizer_files.MAX_FILE_BYTES + 1)  # sparse: no space is taken
        refused(tmp_path, f"{name} is larger than 32 MB")


@pytest.mark.parametrize("name", ["tokenizer.json", "added_tokens.json", "tokenizer_config.json"])
def test_more_added_tokens_than_any_tokenizer_has_are_refused_before_time_is_spent_on_them(tmp_path, name):
    texts = [f"<{number}>" for number in range(tokenizer_files.MAX_ADDED + 1)]
    two_files(tmp_path)
    if name == "tokenizer.json":
        one_file(tmp_path, added_tokens=[{"content": text, "id": 4 + n} for n, text in enumerate(texts)])
    elif name == "added_tokens.json":
        (tmp_path / name).write_text(json.dumps({text: 4 + n for n, text in enumerate(texts)}))
    else:
        (tmp_path / name).write_text(json.dumps({"additional_special_tokens": texts}))
    refused(tmp_path, f"{name} adds 50,001 tokens; no GPT-2 tokenizer adds more than 50,000")


# --- JSON


@pytest.mark.parametrize("name", ["vocab.json", "tokenizer.json", *SETTINGS])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid JSON"),
        (b'{"a": 0, "b', "not valid JSON"),
        (b'{"a": 0} trailing', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON: .*digits"),
        (b'{"\xff": 0}', r"not UTF-8 text \(byte 2\)"),
        (b'{"a": 0, "b": 1, "a": 2}', "the key 'a' occurs twice"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"[]", "contains a JSON list, not an object"),
        (b"null", "not an object"),
        (b"3", "not an object"),
        (b'"text"', "not an object"),
    ],
)
def test_what_is_not_a_json_object_is_refused_naming_the_file(tmp_path, name, content, said):
    two_files(tmp_path)
    (tmp_path / name).write_bytes(content)
    assert name in refused(tmp_path, said)


def test_a_key_that_stands_twice_among_very_many_is_found_at_once(tmp_path):
    pairs = ",".join(f'"{number:x}": {number}' for number in range(300_000))
    two_files(tmp_path, vocab="{" + pairs + ', "ffff": 1}')
    refused(tmp_path, "the key 'ffff' occurs twice")


# --- vocabularies


@pytest.mark.parametrize(
    ("vocab", "said"),
    [
        ("{}", "the vocabulary is empty"),
        ('{"a": 0, "b": 0}', "'a' and 'b' both have the id 0"),
        ('{"a": -1}', "the id of 'a' is -1; ids are whole numbers from 0"),
        ('{"a": 1.0}', "the id of 'a' is 1.0"),
        ('{"a": true}', "the id of 'a' is True"),
        ('{"a": "0"}', "the id of 'a' is '0'"),
        ('{"a": null}', "the id of 'a' is None"),
        ('{"a": [0]}', "the id of 'a' is a list of 1"),
        ('{"a": {"b": {}}}', "the id of 'a' is a dict of 1"),
        ('{"a": 1e400}', r"the id of 'a' is inf|Infinity is not a JSON number"),
        ('{"a": 4294967296}', "the id of 'a' is 4294967296"),
        ('{"a": ' + "9" * 4000 + "}", "the id of 'a' is 999"),
        ('{"\\ud800": 0}', r"the entry '\\ud800' is not a token of Unicode text"),
        ('{"' + "a" * 2000 + '": 0}', "the entry 'aaaa.* is not a token"),
    ],
)
def test_a_vocabulary_that_gives_no_plain_ids_is_refused(tmp_path, vocab, said):
    refused(two_files(tmp_path, vocab=vocab, merges=""), said)
    refused(one_file(tmp_path, model__vocab=json.loads(vocab), model__merges=[]), said)


def test_a_token_outside_the_embedding_is_refused_where_a_text_has_it(tmp_path):
    extra = [{"id": 4, "content": "<pad>", "special": True}]
    tokenizer = Tokenizer.load(one_file(tmp_path, added_tokens=extra), vocab_size=4)
    assert tokenizer.encode("ab<|endoftext|>").ids == (2, 3)
    with pytest.raises(TokenizerError, match=r"Character 1 of the text begins '<pad>', the token 4, .* has 4; delete"):
        tokenizer.encode("a<pad>b")
    assert tokenizer.rowless == (4,)
    assert Tokenizer.load(tmp_path, vocab_size=2).rowless == (2, 3, 4)


def test_an_empty_token_is_harmless(tmp_path):
    tokenizer = Tokenizer.load(two_files(tmp_path, vocab=VOCAB | {"": 4}))
    assert tokenizer.encode("ab").ids == (2,)
    assert tokenizer.label(4)


# --- merges


@pytest.mark.parametrize(
    ("merges", "said"),
    [
        ("a\n", "line 1 is a list of 1, not a pair of tokens"),
        ("#version: 0.2\na b\na b c\n", "line 3 is a list of 3, not a pair"),
        ("a  b\n", "line 1 is a list of 3, not a pair"),
        ("a\tb\n", "line 1 is a list of 1, not a pair"),
        ("a b \n", "line 1 is a list of 3, not a pair"),
        (" b\n", "line 1 needs '', which is not in the vocabulary"),
        ("a c\n", "line 1 needs 'c', which is not in the vocabulary"),
        ("b a\n", "line 1 needs 'ba', which is not in the vocabulary"),
        ("a b\n#version: 0.2\n", "line 2 needs '#version:'"),
        ("a \u2028\n", r"line 1 needs '\\u2028'"),
        (b"a \xff\n", r"not UTF-8 text \(byte 2\)"),
        (b"\x00\x00\x00", "line 1 is a list of 1"),
        ("x" * 10_000, "line 1 is a list of 1"),
        ("x" * 10_000 + " b", r"line 1 needs 'xxx.*, which is not"),
    ],
)
def test_merges_that_are_no_pairs_of_tokens_are_refused_naming_the_line(tmp_path, merges, said):
    assert "merges.txt" in refused(two_files(tmp_path, merges=merges), said)


@pytest.mark.parametrize(
    ("merges", "said"),
    [
        (None, "'merges' is not a JSON list"),
        ("a b", "'merges' is not a JSON list"),
        ({"a": "b"}, "'merges' is not a JSON list"),
        ([["a"]], "merge 0 is a list of 1, not a pair"),
        (["a b", ["a", "b", "c"]], "merge 1 is a list of 3, not a pair"),
        ([["a", 1]], "merge 0 is a list of 2, not a pair"),
        ([7], "merge 0 is 7, not a pair"),
        ([None], "merge 0 is None, not a pair"),
        ([["a", "z"]], "merge 0 needs 'z'"),
    ],
)
def test_merges_in_tokenizer_json_are_checked_alike(tmp_path, merges, said):
    refused(one_file(tmp_path, model__merges=merges), said)


@pytest.mark.parametrize("merges", ["", "\n", "#version: 0.2", "#version: 0.2\r\na b\r\n\r\n", "a b"])
def test_empty_merges_blank_lines_and_other_line_ends_are_fine(tmp_path, merges):
    ids = Tokenizer.load(two_files(tmp_path, merges=merges)).encode("ab").ids
    assert ids == ((2,) if "a b" in merges else (0, 1))


def test_a_tokenizer_json_as_older_and_newer_libraries_write_it_is_accepted(tmp_path):
    assert Tokenizer.load(one_file(tmp_path, model__merges=[["a", "b"]])).encode("ab").ids == (2,)
    through = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {}}
    for harmless in (
        {"model__type": "BPE"},
        {"model__dropout": 0.0},
        {"model__continuing_subword_prefix": "", "model__end_of_word_suffix": ""},
        {"model__unk_token": "<|endoftext|>"},
        {"post_processor": None},
        {"post_processor": through},
        {"truncation": {"max_length": 1, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}},
        {"added_tokens": None},
    ):
        assert Tokenizer.load(one_file(tmp_path, **harmless)).encode("ab<|endoftext|>").ids == (2, 3), harmless


# --- what would give other ids


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"normalizer": {"type": "StripAccents"}}, "the normalizer StripAccents is not supported"),
        ({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Strip"}]}}, "normalizer Strip"),
        ({"normalizer": {"type": "Sequence"}}, "the normalizer Sequence without normalizers"),
        ({"normalizer": "NFKC"}, "the normalizer without a type"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "the normalizer Precompiled"),
        ({"pre_tokenizer": None}, "the pre-tokenizer none"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "the pre-tokenizer Whitespace"),
        ({"pre_tokenizer": {"type": "x" * 10_000}}, "the pre-tokenizer xxx"),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": []}}, "the pre-tokenizer none"),
        (
            {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "ByteLevel"}]}},
            "the pre-tokenizer Digits, ByteLevel",
        ),
        ({"pre_tokenizer__add_prefix_space": 0}, "add_prefix_space"),
        ({"pre_tokenizer__use_regex": False}, "use_regex"),
        ({"post_processor": {"type": "BertProcessing", "sep": ["a", 0], "cls": ["a", 0]}}, "BertProcessing"),
        (
            {"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "a"}}]}},
            "TemplateProcessing, which adds tokens to the text elsewhere than in front",
        ),
        ({"post_processor": {"type": "TemplateProcessing", "single": "A"}}, "TemplateProcessing"),
        (
            {
                "post_processor": {
                    "type": "TemplateProcessing",
                    "single": [{"SpecialToken": {"id": "<x>"}}, {"Sequence": {"id": "A"}}],
                }
            },
            "puts '<x>' in front, which is not an added token",
        ),
        ({"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {}}, 7]}}, "TemplateProcessing"),
        ({"post_processor": []}, "the post-processor without a type"),
        ({"model__type": "Unigram"}, "the model Unigram"),
        ({"model__type": 3}, "the model without a type"),
        ({"model__dropout": 0.1}, "the model's dropout"),
        ({"model__continuing_subword_prefix": "##"}, "the model's continuing_subword_prefix"),
        ({"model__end_of_word_suffix": "</w>"}, "the model's end_of_word_suffix"),
        ({"model__ignore_merges": True}, "the model's ignore_merges"),
        ({"model": None}, "'model' is not a JSON object"),
        ({"model": []}, "'model' is not a JSON object"),
        ({"model__vocab": None}, "the vocabulary is not a JSON object"),
        ({"model__vocab": [["a", 0]]}, "the vocabulary is not a JSON object"),
    ],
)
def test_what_would_give_other_ids_is_refused_by_name(tmp_path, changes, said):
    assert "tokenizer.json" in refused(one_file(tmp_path, **changes), said)


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ({"id": 0}, "'added_tokens' is not a JSON list"),
        ([3], "an added token is not a JSON object"),
        ([{}], "the entry None is not a token"),
        ([{"id": 9}], "the entry None is not a token"),
        ([{"content": "x"}], "the id of 'x' is None"),
        ([{"id": -1, "content": "x"}], "the id of 'x' is -1"),
        ([{"id": True, "content": "x"}], "the id of 'x' is True"),
        ([{"id": 2**32, "content": "x"}], "the id of 'x' is 4294967296"),
        ([{"id": 9, "content": ""}], "an added token is the empty string"),
        ([{"id": 9, "content": "\ud800"}], r"'\\ud800' is not a token"),
        ([{"id": 9, "content": "x"}, {"id": 10, "content": "x"}], "the added token 'x' is listed twice"),
        ([{"id": 4, "content": "x"}, {"id": 4, "content": "y"}], "'y' has the id 4 where transformers gives it 5"),
        ([{"id": 9, "content": "x"}], "'x' has the id 9 where transformers gives it 4"),
        ([{"id": 1, "content": "x"}], "'x' has the id 1 of another token"),
        ([{"id": 9, "content": "ab"}], "'ab' has the id 9 of another token"),
        ([{"id": 4, "content": "x", "lstrip": 1}], "lstrip of 'x' is 1; it must be true or false"),
    ],
)
def test_added_tokens_that_make_no_sense_are_refused_naming_them(tmp_path, added, said):
    refused(one_file(tmp_path, added_tokens=added), said)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tokenizer_config.json", {"bos_token": 3}, "a special token is not a JSON object"),
        ("tokenizer_config.json", {"bos_token": {"content": ""}}, "an added token is the empty string"),
        ("tokenizer_config.json", {"pad_token": {"content": "x", "rstrip": "no"}}, "rstrip of 'x' is 'no'"),
        ("tokenizer_config.json", {"add_bos_token": "yes"}, "add_bos_token is 'yes'; it must be true or false"),
        ("tokenizer_config.json", {"add_prefix_space": 1}, "add_prefix_space is 1"),
        ("tokenizer_config.json", {"add_eos_token": True}, "add_eos_token appends the end-of-text token to every"),
        ("tokenizer_config.json", {"additional_special_tokens": "x"}, "additional_special_tokens is not a JSON list"),
        ("tokenizer_config.json", {"added_tokens_decoder": []}, "added_tokens_decoder is not a JSON object"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"4": "x"}}, "a token of added_tokens_decoder is not"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": {"content": "x"}}}, "the id of 'x' is 'x'"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"7": {"content": "x"}}}, "transformers gives it 4"),
        ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer"}, "is a 'BertTokenizer', which does not cut"),
        ("tokenizer_config.json", {"tokenizer_class": 3}, "is a 3, which does not cut text as GPT-2's does"),
        ("config.json", {"tokenizer_class": "T5Tokenizer"}, "the tokenizer is a 'T5Tokenizer'"),
        ("special_tokens_map.json", {"eos_token": ["x"]}, "a special token is not a JSON object"),
        ("added_tokens.json", {"x": "4"}, "the id of 'x' is '4'"),
        ("added_tokens.json", {"x": 6}, "'x' has the id 6 where transformers gives it 4"),
    ],
)
def test_settings_that_make_no_sense_are_refused_naming_the_file(tmp_path, name, content, said):
    two_files(tmp_path)
    (tmp_path / name).write_text(json.dumps(content))
    if "transformers gives it" not in said:
        said = f"{name}.*{said}"
    refused(tmp_path, said)


def test_an_added_token_that_looks_like_a_pattern_is_plain_text(tmp_path):
    tokenizer = Tokenizer.load(one_file(tmp_path, added_tokens=[{"id": 4, "content": "(.*)+$"}]))
    assert tokenizer.encode("a(.*)+$b").ids == (0, 4, 1)


# --- the library's panics


PANICS = {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}


def test_a_tokenizer_json_that_panics_the_library_is_refused_without_reaching_it(tmp_path):
    one_file(tmp_path, **PANICS)
    program = (
        "import sys, tokenizers\n"
        "try: tokenizers.Tokenizer.from_file(sys.argv[1])\n"
        "except Exception: print('error')\n"
        "except BaseException as panic: print(type(panic).__name__)\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "tokenizer.json"], capture_output=True, text=True, check=True
    )
    assert outcome.stdout in ("PanicException\n", "error\n")  # later versions of the library may fix it
    refused(tmp_path, "the normalizer Precompiled is not supported")


class PanicException(BaseException):
    pass


@pytest.mark.parametrize("failure", [PanicException("called `unwrap()`\non a None"), RuntimeError("odd")])
def test_a_panic_of_the_library_while_it_builds_or_encodes_is_our_error(tmp_path, monkeypatch, failure):
    two_files(tmp_path)
    good = Tokenizer.load(tmp_path)

    class Panics:
        def __init__(self, *_args):
            raise failure

        def encode(self, *_args, **_kwargs):
            raise failure

    monkeypatch.setattr(good, "_library", Panics.__new__(Panics))
    with pytest.raises(TokenizerError, match=r"cannot encode this text: (called `unwrap\(\)` on a None|odd)\.$"):
        good.encode("ab")
    monkeypatch.setattr(module.models, "BPE", Panics)
    refused(tmp_path, "cannot use this vocabulary")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_stop_from_outside_passes_through_the_guard_against_panics(tmp_path, monkeypatch, stop):
    tokenizer = Tokenizer.load(two_files(tmp_path))

    class Stopped:
        def encode(self, *_args, **_kwargs):
            raise stop

    monkeypatch.setattr(tokenizer, "_library", Stopped())
    with pytest.raises(stop):
        tokenizer.encode("ab")


def test_a_library_that_loses_text_is_found_out(tmp_path, monkeypatch):
    tokenizer = Tokenizer.load(two_files(tmp_path))

    class Loses:
        ids = (0,)

        def encode(self, *_args, **_kwargs):
            return self

    monkeypatch.setattr(tokenizer, "_library", Loses())
    with pytest.raises(TokenizerError, match="lost a part of the text"):
        tokenizer.encode("ab")


# --- anything at all

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2**33)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(list(VOCAB)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
PLACES = ["added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model"]
PLACES += ["model__vocab", "model__merges", "model__type", "model__dropout", "pre_tokenizer__add_prefix_space"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.sampled_from(PLACES), value=anything)
def test_any_value_in_any_place_of_tokenizer_json_loads_or_is_refused(tmp_path, place, value):
    one_file(tmp_path, **{place: value})
    try:
        tokenizer = Tokenizer.load(tmp_path)
    except TokenizerError as refusal:
        assert "tokenizer.json" in str(refusal) or "library" in str(refusal)
    else:
        assert tokenizer.size > 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    vocab=st.dictionaries(st.text("abĠ▁", min_size=0, max_size=3), st.integers(-1, 8), max_size=6).map(json.dumps)
    | st.binary(max_size=20),
    merges=st.text("ab Ġ\n#", max_size=20) | st.binary(max_size=20),
    text=st.text("ab ▁", max_size=6),
)
def test_any_two_files_load_and_spell_the_text_exactly_or_are_refused(tmp_path, vocab, merges, text):
    two_files(tmp_path, vocab=vocab, merges=merges)
    try:
        tokenizer = Tokenizer.load(tmp_path)
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    except TokenizerError as refusal:
        assert str(refusal).endswith(".")
