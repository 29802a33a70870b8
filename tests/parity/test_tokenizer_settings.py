"""Folders with every setting that transformers reads give its ids; settings that would give others are refused."""

import json
from dataclasses import replace
from itertools import product

import pytest

from desktop_app.core.session.state import State, encode
from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.vocabulary import BYTE_ALPHABET

transformers = pytest.importorskip("transformers", reason="the live comparison needs transformers")

pytestmark = pytest.mark.filterwarnings("ignore")
BYTES = {char: byte for byte, char in enumerate(BYTE_ALPHABET)}
VOCAB = BYTES | {"Ġt": 256, "he": 257, "Ġthe": 258}
MERGES = [("Ġ", "t"), ("h", "e"), ("Ġt", "he")]
ROWS = 300
TEXTS = (
    "",
    "the the",
    " the\n the",
    "<s>the <x> the</s>",
    "<pad>é<|endoftext|> the<mask>",
    "  <x>\t the<x>the <y><y>\u00a0",
    "a_<x>b <x>, <x>",
    "\nthe",
    "abc",
)


def added(number, text, **flags):
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": number, "content": text} | plain | flags


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
SPACED = BYTE_LEVEL | {"add_prefix_space": True}
WORDS = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
SPLIT = {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Isolated", "invert": False}
AFTER = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}


def template(*pieces):
    single = [{"Sequence": {"id": "A", "type_id": 0}} if p == "A" else {"SpecialToken": {"id": p, "type_id": 0}}
              for p in pieces]  # fmt: skip
    tokens = {p: {"id": p, "ids": [VOCAB.get(p, 259)], "tokens": [p]} for p in pieces if p != "A"}
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


def one_file(*tokens, vocab=VOCAB, merges=MERGES, **changes):
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(tokens),
        "normalizer": None,
        "pre_tokenizer": BYTE_LEVEL,
        "post_processor": AFTER,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocab,
            "merges": [" ".join(pair) for pair in merges],
        },
    }
    return {"tokenizer.json": document | changes}


def two_files(vocab=VOCAB, merges=MERGES, **config):
    lines = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges)
    return {"vocab.json": vocab, "merges.txt": lines} | ({"tokenizer_config.json": config} if config else {})


def config(**fields):
    return {"tokenizer_config.json": fields}


GENERIC = config(tokenizer_class="PreTrainedTokenizerFast")
EOT = added(259, "<|endoftext|>")
S = added(259, "<s>")
X = {"content": "<x>", "lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}

CASES = {
    "vocab.json and merges.txt alone": two_files(),
    "the end of text is an entry": two_files(VOCAB | {"<|endoftext|>": 259}),
    "named in tokenizer_config.json": two_files(bos_token="<s>", eos_token="</s>", pad_token="<pad>"),
    "named as objects": two_files(
        unk_token=X | {"__type": "AddedToken"},
        bos_token=X | {"__type": "AddedToken", "content": "<s>", "lstrip": True}),
    "named in special_tokens_map.json": two_files() | {
        "special_tokens_map.json": {"bos_token": X | {"content": "<s>"}, "eos_token": "</s>", "pad_token": "<pad>"}},
    "the map goes before the config": two_files(pad_token="<x>") | {"special_tokens_map.json": {"pad_token": "<pad>"}},
    "a decoder goes before the map": two_files(added_tokens_decoder={"259": X}) | {
        "special_tokens_map.json": {"pad_token": "<pad>"}, "added_tokens.json": {"<y>": 259}},
    "added_tokens_decoder": two_files(
        added_tokens_decoder={"259": X, "260": X | {"content": "<y>", "special": False, "normalized": True}}),
    "added_tokens.json": two_files() | {"added_tokens.json": {"<y>": 260, "<x>": 259}},
    "additional_special_tokens": two_files(additional_special_tokens=["<x>", "<y>"], pad_token="<pad>"),
    "extra_special_tokens": two_files(extra_special_tokens=["<x>"]),
    "extra_special_tokens by name": two_files(extra_special_tokens={"image_token": "<x>"}),
    "a token of the model's own": two_files(image_token="<x>"),
    "named after the assumed ones": two_files(pad_token="<pad>", mask_token="<mask>"),
    "a bos_token of none": two_files(bos_token=None, add_bos_token=True),
    "the end is an ordinary word": two_files(eos_token="he"),
    "add_prefix_space": two_files(add_prefix_space=True),
    "add_bos_token": two_files(add_bos_token=True),
    "both": two_files(add_bos_token=True, add_prefix_space=True, bos_token="<s>"),
    "split_special_tokens": two_files(split_special_tokens=True, pad_token="<pad>", added_tokens_decoder={
        "259": X | {"special": False, "normalized": True}}),
    "merges written twice": two_files(
        VOCAB | {"ab": 259, "bc": 260}, [*MERGES, ("a", "b"), ("b", "c"), ("a", "b")]),
    "no first line": two_files() | {"merges.txt": "Ġ t\nh e\nĠt he\n"},
    "what is named is special": two_files(split_special_tokens=True, pad_token="<x>", added_tokens_decoder={
        "259": X | {"special": False, "normalized": True}}),
    "settings of no matter": two_files(
        errors="ignore", model_max_length=4, padding_side="left", chat_template="{{ x }}", truncation_side="left",
        clean_up_tokenization_spaces=True),
    "CodeGen's name for it": two_files(tokenizer_class="CodeGenTokenizer"),
    "tokenizer.json": one_file(EOT),
    "without its end of text": one_file(),
    "added in another order": one_file(added(260, "<x>"), added(259, "<y>")),
    "lstrip": one_file(EOT, added(260, "<x>", lstrip=True)),
    "rstrip": one_file(EOT, added(260, "<x>", rstrip=True)),
    "both strips": one_file(EOT, added(260, "<x>", rstrip=True, lstrip=True), added(261, "<y>", lstrip=True)),
    "single_word": one_file(EOT, added(260, "<x>", single_word=True)),
    "normalized and not": one_file(added(259, "<x", normalized=True, special=False), added(260, "<x>")),
    "named beside tokenizer.json": one_file(EOT) | config(pad_token="<pad>", bos_token="<s>"),
    "the map beside tokenizer.json": one_file(EOT) | {"special_tokens_map.json": {"pad_token": "<pad>"}},
    "added beside tokenizer.json": one_file(EOT) | {"added_tokens.json": {"<x>": 260}},
    "the same with other flags": one_file(EOT, added(260, "<x>")) | config(
        added_tokens_decoder={"259": {k: v for k, v in EOT.items() if k != "id"}, "260": X | {"lstrip": True}}),
    "the file's space gives way": one_file(EOT, pre_tokenizer=SPACED),
    "the config's space": one_file(EOT) | config(add_prefix_space=True, add_bos_token=True),
    "a sequence of one": one_file(EOT, pre_tokenizer={"type": "Sequence", "pretokenizers": [BYTE_LEVEL]}),
    "its words written out": one_file(EOT, pre_tokenizer={
        "type": "Sequence", "pretokenizers": [SPLIT, BYTE_LEVEL | {"use_regex": False}]}),
    "an empty normalizer": one_file(EOT, normalizer={"type": "Sequence", "normalizers": []}),
    "no post-processor": one_file(EOT, post_processor=None),
    "a template that adds nothing": one_file(EOT, post_processor=template("A")),
    "a template": one_file(S, post_processor=template("<s>", "A")),
    "a template in a sequence": one_file(S, post_processor={
        "type": "Sequence", "processors": [AFTER, template("<s>", "A")]}),
    "byte_fallback": one_file(EOT, model=one_file()["tokenizer.json"]["model"] | {"byte_fallback": True}),
    "truncation and padding": one_file(EOT, truncation={
        "max_length": 1, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}),
    "another class": one_file(EOT) | GENERIC,
    "another class, named": one_file(EOT) | config(
        tokenizer_class="PreTrainedTokenizerFast", bos_token="<s>", eos_token="</s>", add_bos_token=True),
    "another class, the file's space": one_file(EOT, pre_tokenizer=SPACED) | GENERIC,
    "another class, a space in a sequence": one_file(
        EOT, pre_tokenizer={"type": "Sequence", "pretokenizers": [SPACED]}) | GENERIC,
    "another class, its words written out": one_file(EOT, pre_tokenizer={
        "type": "Sequence", "pretokenizers": [SPLIT, BYTE_LEVEL | {"use_regex": False}]}) | GENERIC,
    "another class in config.json": one_file(EOT, pre_tokenizer=SPACED) | {
        "config.json": {"model_type": "gpt2", "vocab_size": ROWS, "tokenizer_class": "PreTrainedTokenizerFast"}},
    "another class, a template": one_file(S, post_processor=template("<s>", "A")) | GENERIC,
    "another class, normal": one_file(EOT, normalizer={"type": "NFC"}) | GENERIC,
    "another class, small letters": one_file(EOT, normalizer={
        "type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "NFC"}]}) | GENERIC,
}  # fmt: skip


def write(folder, files):
    standard = {"config.json": {"model_type": "gpt2", "vocab_size": ROWS}}
    for name, content in (standard | files).items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text, encoding="utf-8", newline="")


def theirs(folder):
    # While loading, transformers reports a list that mixes strings and objects as an error; the ids are not affected.
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("name", CASES)
def test_every_setting_gives_the_ids_of_transformers(tmp_path, name):
    write(tmp_path, CASES[name])
    tokenizer, reference = Tokenizer.load(tmp_path, vocab_size=ROWS), theirs(tmp_path)
    for text in TEXTS:
        expected = reference(text)["input_ids"]
        assert list(encode(State(text), tokenizer)) == expected, text
    if reference.eos_token is not None:  # otherwise <|endoftext|> ends a text here, if there is one
        assert tokenizer.eos_id == reference.eos_token_id
    if reference.bos_token is not None:
        assert tokenizer.first == (reference.bos_token_id,) or name.endswith(("template", "sequence"))


@pytest.mark.parametrize(("begin", "space"), [*product([True, False], repeat=2)])
def test_a_person_may_switch_both_against_the_files(tmp_path, begin, space):
    """transformers' own switches, set by the user against what the folder says."""
    write(tmp_path, two_files(add_bos_token=not begin, add_prefix_space=not space, bos_token="<s>"))
    tokenizer = Tokenizer.load(tmp_path, vocab_size=ROWS)
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path, add_bos_token=begin, add_prefix_space=space)
    for text in TEXTS:
        assert list(encode(State(text, start=begin, space=space), tokenizer)) == reference(text)["input_ids"], text
    by_the_files = encode(State("the"), tokenizer)
    assert by_the_files == encode(replace(State("the"), start=not begin, space=not space), tokenizer)


@pytest.mark.parametrize(
    ("files", "text", "said"),
    [
        (one_file(EOT, normalizer={"type": "NFC"}), "the e\u0301", r"changes the text \(normalizer NFC\), .* 4 on"),
        (one_file(EOT, normalizer={"type": "NFKC"}) | GENERIC, "ﬁ", "type the changed text, which continues with 'fi'"),
        (one_file(EOT, normalizer={"type": "Lowercase"}) | GENERIC, "the The", r"\(normalizer Lowercase\), .* 4 on"),
    ],
)
def test_a_text_that_a_normalizer_would_change_is_refused(tmp_path, files, text, said):
    write(tmp_path, files)
    tokenizer = Tokenizer.load(tmp_path, vocab_size=ROWS)
    with pytest.raises(TokenizerError, match=said):
        tokenizer.encode(text)
    assert list(tokenizer.encode("the").ids) == theirs(tmp_path)("the")["input_ids"]


def test_a_token_without_a_row_is_refused_where_a_text_needs_it_and_nowhere_else(tmp_path):
    write(tmp_path, two_files(VOCAB | {"<|endoftext|>": 259}, pad_token="<pad>"))
    tokenizer, reference = Tokenizer.load(tmp_path, vocab_size=260), theirs(tmp_path)
    assert reference.pad_token_id == 260  # one more than the last row
    assert list(tokenizer.encode("the <|endoftext|>").ids) == reference("the <|endoftext|>")["input_ids"]
    with pytest.raises(TokenizerError, match=r"Character 4 of the text begins '<pad>', the token 260, .* has 260"):
        tokenizer.encode("the <pad>")
    assert tokenizer.rowless == (260,)
