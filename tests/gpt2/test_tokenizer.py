"""Tokens: ids and spans as in transformers, exact round trips, display forms of tokens, and finding them."""

import json
import re
import shutil
from pathlib import Path

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from desktop_app.gpt2 import display
from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.token_ids import check_ids, parse_ids
from desktop_app.gpt2.tokenizer import Encoding, Tokenizer
from desktop_app.gpt2.vocabulary import BYTE_ALPHABET, AddedToken, Vocabulary

DATA = Path(__file__).parents[1] / "data"
SMALL = Tokenizer.load(DATA / "small_bpe")
EOT = "<|endoftext|>"
LETTERS = Tokenizer(Vocabulary({"A": 0, "B": 1, "C": 2}, ()))

# Every code point but lone surrogates, with those that are hard for this tokenizer more frequent.
texts = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(
            [EOT, " ", "  ", "\n", "\r\n", "\t", "\u00a0", "'s", "'S", "123", "the ", "é", "▁", "👩‍👩‍👧", "<|"]
        ),
    ),
    max_size=12,
).map("".join)


def golden(name):
    return json.loads((DATA / f"golden_{name}.json").read_text())


@pytest.fixture(scope="module")
def gpt2(shared_data):
    folder = shared_data / "gpt2-tokenizer"
    if not (folder / "vocab.json").exists():
        pytest.skip(f"needs GPT-2's vocab.json and merges.txt in {folder}, which are not part of the repository")
    return Tokenizer.load(folder, vocab_size=50257)


def as_json(added=(), **changes):
    """The tokenizer.json of the small vocabulary, with changes."""
    document = json.loads((DATA / "small_bpe_json" / "tokenizer.json").read_text())
    document["added_tokens"] += added
    return document | changes


# --- ids and spans against transformers


@pytest.mark.parametrize("folder", ["small_bpe", "small_bpe_json"])
def test_ids_and_spans_of_a_small_vocabulary_equal_transformers(folder):
    tokenizer = Tokenizer.load(DATA / folder)
    for case in golden("small_bpe"):
        encoding = tokenizer.encode(case["text"])
        assert list(encoding.ids) == case["ids"], ascii(case["text"])
        assert [list(span) for span in encoding.spans] == case["spans"], ascii(case["text"])


def test_ids_and_spans_of_gpt2_equal_transformers(gpt2):
    for case in golden("gpt2"):
        encoding = gpt2.encode(case["text"])
        assert list(encoding.ids) == case["ids"], ascii(case["text"])
        assert [list(span) for span in encoding.spans] == case["spans"], ascii(case["text"])
        assert gpt2.decode(encoding.ids) == case["text"]


@pytest.fixture(scope="module")
def reference():
    transformers = pytest.importorskip("transformers")
    return transformers.GPT2TokenizerFast.from_pretrained(DATA / "small_bpe")


@settings(deadline=None)
@given(text=texts)
def test_ids_of_any_text_equal_transformers(reference, text):
    theirs = reference(text, return_offsets_mapping=True)
    assert SMALL.encode(text) == Encoding(tuple(theirs["input_ids"]), tuple(map(tuple, theirs["offset_mapping"])))


def test_ids_of_books_equal_transformers(gpt2, shared_data):
    transformers = pytest.importorskip("transformers")
    reference = transformers.GPT2TokenizerFast.from_pretrained(shared_data / "gpt2-tokenizer")
    books = sorted((shared_data.parent / "corpus").glob("pg*.txt"))[:6]
    if not books:
        pytest.skip("needs the books of the reference data, which are not part of the repository")
    for book in books:
        text = book.read_text(encoding="utf-8")[:200_000]
        assert list(gpt2.encode(text).ids) == reference(text, verbose=False)["input_ids"]


ADDED = [("<a>", 660, True), ("<a><b>", 661, False), ("<b>", 662, True), ("foo bar", 663, False), ("the", 664, False)]
ADDED += [("<b><b>", 665, True), ("foo bar!", 666, False)]
ADDED_JSON = [
    {"id": number, "content": text, "special": special, "normalized": not special}
    | {"single_word": False, "lstrip": False, "rstrip": False}
    for text, number, special in ADDED
]
# The library numbers added tokens from the end of the vocabulary on; only the numbers in the file count.
OURS = {657 + index: number for index, (_, number, _) in enumerate(ADDED)}


@settings(deadline=None)
@given(st.lists(st.sampled_from(["<a>", "<b>", "<a", "foo bar", "foo", "!", "the", " ", "x", EOT, "é"])).map("".join))
@example("<a><b><a> the foo bar!<b><b><b>")
def test_added_tokens_are_found_where_the_library_finds_them(text):
    library = tokenizers.Tokenizer.from_str(json.dumps(as_json(added=ADDED_JSON)))
    ours = ADDED_TOKENIZER.encode(text)
    expected = [OURS.get(number, number) for number in library.encode(text, add_special_tokens=False).ids]
    assert list(ours.ids) == expected
    assert ADDED_TOKENIZER.decode(ours.ids) == text


def added_tokenizer():
    small = json.loads((DATA / "small_bpe_json" / "tokenizer.json").read_text())
    vocabulary = Vocabulary(
        small["model"]["vocab"],
        tuple(map(tuple, small["model"]["merges"])),
        (
            *(AddedToken(text, number, special, normalized=not special) for text, number, special in ADDED),
            AddedToken(EOT, small["model"]["vocab"][EOT], special=True),
        ),
    )
    return Tokenizer(vocabulary)


ADDED_TOKENIZER = added_tokenizer()


def test_added_tokens_json_beside_vocab_json_is_honoured(tmp_path):
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(DATA / "small_bpe" / name, tmp_path)
    (tmp_path / "added_tokens.json").write_text('{"<pad>": 657, "foo bar": 658}')
    tokenizer = Tokenizer.load(tmp_path)
    ids = tokenizer.encode("a <pad> foo bar").ids
    assert (ids[2], ids[-1], tokenizer.size) == (657, 658, 659)
    transformers = pytest.importorskip("transformers")
    assert list(ids) == transformers.GPT2TokenizerFast.from_pretrained(tmp_path)("a <pad> foo bar")["input_ids"]


# --- round trips


@settings(deadline=None)
@given(texts)
@example("a\r\nb\rc\u00a0d\u0000\u200b\ufeff\u2028e\U0010ffff" + EOT)
def test_any_unicode_text_round_trips_exactly(text):
    encoding = SMALL.encode(text)
    assert SMALL.decode(encoding.ids) == text
    assert b"".join(map(SMALL.token_bytes, encoding.ids)) == text.encode()


@settings(deadline=None)
@given(texts)
def test_spans_cover_the_text_in_order_and_each_token_has_bytes_of_its_span_only(text):
    encoding = SMALL.encode(text)
    covered = [False] * len(text)
    for number, (start, end) in zip(encoding.ids, encoding.spans, strict=True):
        assert 0 <= start < end <= len(text)
        assert SMALL.token_bytes(number) in text[start:end].encode()
        covered[start:end] = [True] * (end - start)
    assert all(covered)
    assert list(encoding.spans) == sorted(encoding.spans)


def test_tokens_that_share_a_character_have_overlapping_spans():
    encoding = SMALL.encode("b龘b")
    assert [SMALL.token_bytes(number) for number in encoding.ids] == [b"b", b"\xe9", b"\xbe", b"\x98", b"b"]
    assert encoding.spans == ((0, 1), (1, 2), (1, 2), (1, 2), (2, 3))
    assert [SMALL.label(number) for number in encoding.ids] == ["b", "‹E9›", "‹BE›", "‹98›", "b"]


@settings(deadline=None)
@given(st.lists(st.integers(0, SMALL.size - 1)))
def test_any_ids_decode_to_their_bytes_with_replacement_characters(ids):
    joined = b"".join(SMALL.token_bytes(number) for number in ids)
    assert SMALL.decode(ids) == joined.decode("utf-8", errors="replace")


def test_ids_without_a_token_decode_to_a_replacement_character_and_are_labelled_by_number():
    assert LETTERS.decode([2, 50300, 0]) == "C\ufffdA"
    assert LETTERS.label(50300) == LETTERS.quoted(50300) == "id 50300"
    assert LETTERS.token_bytes(50300) == b""
    assert LETTERS.merge_steps(50300) == ()
    assert not LETTERS.is_special(50300)


# --- vocabularies of other sizes


def test_three_letters_are_a_vocabulary():
    assert LETTERS.encode("CAB") == Encoding((2, 0, 1), ((0, 1), (1, 2), (2, 3)))
    assert LETTERS.decode([2, 0, 1]) == "CAB"
    assert (LETTERS.size, LETTERS.eos_id) == (3, None)
    assert LETTERS.encode("") == Encoding((), ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ABDC", r"Character 2 of the text, 'D' \(U\+0044\), cannot be spelled .* 3 tokens"),
        ("A B", r"Character 1 of the text, '·' \(U\+0020\)"),
        ("AB\nD", r"Character 2 of the text, '\\n' \(U\+000A\)"),
        ("CA日", r"Character 2 of the text, '日' \(U\+65E5\)"),
        ("AB\u200b", r"Character 2 of the text, '\\u\{200b\}' \(U\+200B\)"),
        (EOT, r"Character 0 of the text, '<'"),
    ],
)
def test_text_that_the_vocabulary_cannot_spell_is_refused_naming_the_character(text, said):
    with pytest.raises(TokenizerError, match=said):
        LETTERS.encode(text)


@settings(deadline=None)
@given(st.one_of(texts, st.sampled_from([EOT, "foo bar!", "<a><b>", "the"]).map(lambda part: part * 9)))
def test_a_text_never_has_fewer_tokens_than_its_length_tells(text):
    for tokenizer in (SMALL, ADDED_TOKENIZER):
        assert tokenizer.least_tokens(text) <= len(tokenizer.encode(text).ids)


def test_what_a_length_tells_of_tokens_worked_by_hand():
    assert [LETTERS.least_tokens(text) for text in ("", "AB", "\ud800")] == [0, 2, 3]
    ended = Tokenizer(Vocabulary({"A": 0}, (), (AddedToken(EOT, 1, special=True),)))
    assert ended.least_tokens("A" * 27) == 3  # <|endoftext|> has 13 bytes
    spaces = Tokenizer(Vocabulary({"A": 0}, (), (AddedToken("<mask>", 1, special=True, lstrip=True),)))
    assert spaces.least_tokens(" " * 1000 + "<mask>") == 0


@settings(deadline=None)
@given(st.text())
def test_a_small_vocabulary_drops_nothing_whatever_the_text(text):
    try:
        encoding = LETTERS.encode(text)
    except TokenizerError as refusal:
        position = int(re.search(r"Character (\d+)", str(refusal))[1])
        assert set(text[:position]) <= set("ABC")
        assert text[position] not in "ABC"
    else:
        assert LETTERS.decode(encoding.ids) == text


def test_the_position_of_a_refused_character_counts_special_tokens_before_it():
    letters = Tokenizer(Vocabulary({"A": 0}, (), (AddedToken(EOT, 1, special=True),)))
    assert letters.encode("A" + EOT + "A").ids == (0, 1, 0)
    with pytest.raises(TokenizerError, match="Character 15 of the text"):
        letters.encode("A" + EOT + "AB")


def test_a_vocabulary_with_all_but_one_byte_refuses_what_needs_that_byte():
    ids = {char: number for number, char in enumerate(BYTE_ALPHABET)}
    whole = Tokenizer(Vocabulary(ids, ()))
    assert whole.decode(whole.encode("x▁").ids) == "x▁"
    del ids[BYTE_ALPHABET[0x96]]
    incomplete = Tokenizer(Vocabulary(ids, ()))
    assert incomplete.decode(incomplete.encode("é").ids) == "é"
    with pytest.raises(TokenizerError, match=r"'▁' \(U\+2581\)"):  # E2 96 81
        incomplete.encode("x▁")


def test_ids_may_have_gaps_up_to_the_rows_of_the_embedding():
    gaps = Vocabulary({"A": 0, "B": 7}, ())
    tokenizer = Tokenizer(gaps, vocab_size=8)
    assert tokenizer.encode("BA").ids == (7, 0)
    assert (tokenizer.label(3), tokenizer.size) == ("id 3", 2)
    with pytest.raises(TokenizerError, match=r"Character 1 of the text begins 'B', the token 7, .* has 7; delete"):
        Tokenizer(gaps, vocab_size=7).encode("AB")


def test_a_token_outside_the_byte_alphabet_is_its_own_text_and_is_never_produced():
    tokenizer = Tokenizer(Vocabulary({"a": 0, "▁a": 1}, ()))
    assert (tokenizer.decode([1, 0]), tokenizer.label(1)) == ("▁aa", "▁a")
    with pytest.raises(TokenizerError, match="'▁'"):
        tokenizer.encode("▁a")


@pytest.mark.parametrize(("text", "position", "code"), [("ab\ud800", 2, "D800"), ("\udfffab", 0, "DFFF")])
def test_a_lone_surrogate_is_refused_in_one_sentence(text, position, code):
    with pytest.raises(TokenizerError, match=rf"^Character {position} of the text is U\+{code}.*\.$"):
        SMALL.encode(text)


# --- the special token


def test_endoftext_typed_in_the_text_is_the_special_token():
    eos = SMALL.eos_id
    assert eos == SMALL.size - 1
    assert SMALL.encode(EOT).ids == (eos,)
    encoding = SMALL.encode(f"a{EOT}{EOT}b")
    assert encoding.ids[1:3] == (eos, eos)
    assert encoding.spans == ((0, 1), (1, 14), (14, 27), (27, 28))
    assert SMALL.is_special(eos)
    assert not SMALL.is_special(0)
    assert (SMALL.label(eos), SMALL.decode([eos])) == (EOT, EOT)


def test_nothing_is_prepended_or_appended():
    assert SMALL.encode("").ids == ()
    assert SMALL.eos_id not in SMALL.encode("x").ids


# --- what is shown of a token


@pytest.mark.parametrize(
    ("data", "label", "quoted"),
    [
        (b" creature", "·creature", "'·creature'"),
        (b"\n\n", "↵↵", r"'\n\n'"),
        (b"\t\r", "⇥␍", r"'\t\r'"),
        ("\u00a0".encode(), "⍽", r"'\u{a0}'"),
        (b"\xe2\x96", "‹E2 96›", r"'\xe2\x96'"),
        (b" \xf0\x9f\x98", "·‹F0 9F 98›", r"'·\xf0\x9f\x98'"),
        (b"\x80a", "‹80›a", r"'\x80a'"),
        ("é日😀".encode(), "é日😀", "'é日😀'"),
        (
            "\u200b\u202e\u2066\ufeff".encode(),
            r"\u{200b}\u{202e}\u{2066}\u{feff}",
            r"'\u{200b}\u{202e}\u{2066}\u{feff}'",
        ),
        (b"\x00\x1b\x7f", r"\u{0}\u{1b}\u{7f}", r"'\u{0}\u{1b}\u{7f}'"),
        ("\u2028\u2029\u0085".encode(), r"\u{2028}\u{2029}\u{85}", r"'\u{2028}\u{2029}\u{85}'"),
        ("\u3000\u00ad\ufe0f\u3164".encode(), r"\u{3000}\u{ad}\u{fe0f}\u{3164}", r"'\u{3000}\u{ad}\u{fe0f}\u{3164}'"),
        ("\ue000".encode(), r"\u{e000}", r"'\u{e000}'"),
        (b"it's \\", "it's·\\", r"'it\'s·\\'"),
        (b'"', '"', "'\"'"),
        ("\u0301".encode(), "◌\u0301", r"'\u{301}'"),
        ("e\u0301".encode(), "e\u0301", "'e\u0301'"),
        (" \u0301".encode(), "·◌\u0301", r"'·\u{301}'"),
        (b"\xed\xa0\x80", "‹ED A0 80›", r"'\xed\xa0\x80'"),  # a surrogate encoded as if it were a character
        ("·".encode(), "·", r"'\u{b7}'"),  # the label of a space, too; a quoted form stands for one token alone
        (b"", "‹›", "''"),
    ],
)
def test_a_token_is_shown_with_everything_invisible_made_visible(data, label, quoted):
    assert display.label(data) == label
    assert display.quoted(data) == quoted


@settings(deadline=None)
@given(st.binary(max_size=12) | st.text(max_size=8).map(str.encode))
def test_what_is_shown_is_one_line_of_visible_characters_and_never_empty(data):
    for shown in (display.label(data), display.quoted(data)):
        assert shown
        assert shown.isprintable()
        shown.encode()  # no surrogates
        assert not set(shown) & set("\u200b\u200d\u202e\u2066\u2069\ufe0f\u00a0\u3000")
    assert " " not in display.label(data).replace("‹", "").split("›")[-1]  # only hex runs contain spaces


@settings(deadline=None)
@given(st.binary(max_size=12) | st.text(max_size=8).map(str.encode))
def test_the_quoted_form_reads_back_to_the_same_bytes(data):
    assert display.unquote(display.quoted(data)) == data


@settings(deadline=None)
@given(st.text(max_size=20))
def test_reading_a_quoted_form_never_fails(text):
    for form in (text, f"'{text}'", f'"{text}"', f"'\\{text}'", f"'\\u{{{text}}}'"):
        assert isinstance(display.unquote(form), bytes | None)


@pytest.mark.parametrize(
    "form", ["", "'", "x", "'x", "x'", "'x\"", r"'\q'", r"'\u{110000}'", r"'\u{d800}'", "'\ud800'"]
)
def test_what_is_no_quoted_form_is_none(form):
    assert display.unquote(form) is None


# --- how a token is made


def test_the_merges_of_a_token_worked_by_hand():
    ids = {char: number for number, char in enumerate(["Ġ", "a", "b", "ab", "Ġab", "Ġaba", "aa", "zz"])}
    merges = (("a", "b"), ("Ġ", "ab"), ("a", "a"), ("Ġab", "a"))
    tokenizer = Tokenizer(Vocabulary(ids, merges))
    first, second, third = tokenizer.merge_steps(ids["Ġaba"])
    assert (first.pieces, first.pair, first.at, first.rank) == (("·", "ab", "a"), ("a", "b"), 1, 0)
    assert (second.pieces, second.pair, second.at, second.rank) == (("·ab", "a"), ("·", "ab"), 0, 1)
    assert (third.pieces, third.pair, third.at, third.rank) == (("·aba",), ("·ab", "a"), 0, 3)
    assert tokenizer.merge_steps(ids["a"]) == ()
    assert tokenizer.merge_steps(ids["zz"]) == ()  # no merge produces it


def check_merges(tokenizer, folder, token_ids):
    ranks = [line for line in (folder / "merges.txt").read_text(encoding="utf-8").split("\n")[1:] if line]
    for number in token_ids:
        steps = tokenizer.merge_steps(number)
        single = len(tokenizer.token_bytes(number)) == 1 or tokenizer.is_special(number)
        assert bool(steps) is not single
        if steps:
            assert steps[-1].pieces == (tokenizer.label(number),)
            assert len(steps) == len(tokenizer.token_bytes(number)) - 1
            left, right = ranks[steps[-1].rank].split(" ")
            joined = bytes(BYTE_ALPHABET.index(char) for char in left + right)
            assert joined == tokenizer.token_bytes(number)


def test_every_token_ends_its_merges_as_itself_by_the_merge_of_that_rank():
    check_merges(SMALL, DATA / "small_bpe", range(SMALL.size))


def test_tokens_of_gpt2_end_their_merges_as_themselves(gpt2, shared_data):
    check_merges(gpt2, shared_data / "gpt2-tokenizer", [*range(0, 50257, 23), 50256])


# --- finding a token


PLACES = {" ": 0, "#": 1, "1": 2, "'": 3, ",": 4, "Paris": 5, " Paris": 6, "·Paris": 7, "','": 8, "\n": 9, "#1": 12}
MAP = Tokenizer(
    Vocabulary({"".join(BYTE_ALPHABET[byte] for byte in text.encode()): n for text, n in PLACES.items()}, ()),
    vocab_size=12 + 1,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Paris", [5, 6]),
        (" Paris", [6]),
        ("·Paris", [7, 6]),  # the token of this text, and the one with this label
        ("' Paris'", [6]),
        ("'·Paris'", [6]),
        ('"Paris"', [5]),
        (r"'\n'", [9]),
        ("↵", [9]),
        ("','", [4, 8]),  # the quoted comma, and the token of these three characters
        ("'", [3]),
        ("#9", [9]),
        ("#1", [1, 12]),
        ("id 11", [11]),  # a row of the embedding without a token
        (" ID  12 ", [12]),
        ("#13", []),
        ("1,", [2]),  # not a token: the first one of its encoding
        ("1 London", []),  # cannot be spelled
        ("'London'", []),
        ("", []),
        (" ", [0]),
        ("\ud800", []),
    ],
)
def test_what_a_person_types_to_find_a_token_finds_it(text, found):
    assert MAP.find(text) == found


def test_a_token_of_gpt2_is_found_by_its_text_its_quoted_form_its_label_or_its_id(gpt2):
    assert gpt2.find("' Paris'") == gpt2.find('" Paris"') == gpt2.find(" Paris") == [6342]
    assert gpt2.find("Paris") == [40313, 6342]
    assert gpt2.find("·Paris")[0] == 6342
    assert gpt2.find("#6342") == gpt2.find("id 6342") == gpt2.find(" # 6342 ") == [6342]
    assert gpt2.find(EOT) == [50256]
    assert gpt2.find(r"'\n'") == [198]
    assert gpt2.find("Parisians")[0] == gpt2.encode("Parisians").ids[0]
    assert gpt2.find("'s") == [338]  # a single quote does not make a quoted form


def test_of_two_tokens_with_the_same_bytes_the_one_that_encoding_finds_is_found():
    two = Tokenizer(Vocabulary({"A": 0, "æĹ¥": 1}, (), (AddedToken("日", 2, special=False),)))
    assert two.token_bytes(1) == two.token_bytes(2)
    assert two.find("日") == list(two.encode("日").ids) == [2]


def test_every_token_is_found_first_by_its_quoted_form():
    for number in range(SMALL.size):
        assert SMALL.find(SMALL.quoted(number))[0] == number


@settings(deadline=None)
@given(st.text(max_size=12))
def test_finding_never_fails_and_only_answers_with_ids(text):
    assert all(0 <= number < SMALL.size for number in SMALL.find(text))


# --- ids as the user writes them


@pytest.mark.parametrize("text", ["464,3797", " 464, 3797 ", "[464, 3797]", "464 3797", "464\n3797", "[ 464 ,3797 ]"])
def test_ids_are_read_as_written(text):
    assert parse_ids(text, 50257) == (464, 3797)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no token id|not a token id"),
        ("464,,3797", "'' is not a token id"),
        ("464,", "'' is not a token id"),
        ("464,-1", "-1 is negative"),
        ("464,cat", "'cat' is not a token id"),
        ("1.5", "'1.5' is not a token id"),
        ("1e3", "'1e3' is not a token id"),
        ("٣", "is not a token id"),
        ("464,50257", "50257 at position 1 is outside the model's vocabulary, 0 to 50,256"),
        ("9" * 5000, "is not a token id"),
        ("1," * 2**20, "longer than"),
    ],
)
def test_what_is_no_list_of_ids_is_refused_naming_it(text, said):
    with pytest.raises(TokenizerError, match=said) as refusal:
        parse_ids(text, 50257)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(("ids", "said"), [([5, -1], "-1 at position 1"), ([10], "10 at position 0 .* 0 to 9")])
def test_ids_outside_the_embedding_are_refused(ids, said):
    with pytest.raises(TokenizerError, match=said):
        check_ids(ids, 10)
    check_ids([0, 9], 10)
    check_ids([], 10)
