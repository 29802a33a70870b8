"""Text to tokens and back: GPT-2's byte-level BPE, with the span, the display form and the merges of each token."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from tokenizers import AddedToken as _LibraryToken
from tokenizers import Tokenizer as _Library
from tokenizers import models, pre_tokenizers

from desktop_app.gpt2 import display
from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.tokenizer_settings import AddedToken
from desktop_app.gpt2.vocabulary import BYTE_ALPHABET, Vocabulary, bytes_of, normalized, read_vocabulary

_NO_TOKEN = "\ufffd".encode()
_COUNTED = 6  # tokens that a sentence about a text lists


@dataclass(frozen=True)
class Encoding:
    """The tokens of a text. `spans[i]` is the [start, end) range of the characters whose bytes token i holds.

    If tokens share a character, each holding some of its bytes, their spans overlap.
    """

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class MergeStep:
    """One of the merges by which a token is built from single bytes."""

    pieces: tuple[str, ...]
    """Display labels of all pieces after this merge."""
    pair: tuple[str, str]
    """Display labels of the two pieces that this merge joined."""
    at: int
    """Index in `pieces` of the piece that the merge made."""
    rank: int
    """The merge's rank: its line in merges.txt, counted from 0. The merge with the lowest rank is applied first."""


class Tokenizer:
    """A byte-level BPE tokenizer; its ids equal those of transformers' GPT2TokenizerFast. Immutable once built."""

    def __init__(self, vocabulary: Vocabulary, *, vocab_size: int | None = None) -> None:
        """Build the tokenizer; `vocab_size` is the number of rows of the embedding, if known.

        Raises:
            TokenizerError: the tokenizers library refuses the vocabulary.
        """
        # A token that no file names but transformers assumes exists only if the model has a row for it.
        rows = {*vocabulary.ids.values(), *range(len(vocabulary.ids), vocab_size or 0)}
        added = [token for token in vocabulary.added if not token.assumed or token.id in rows]
        tokens = {number: bytes_of(token) for token, number in vocabulary.ids.items()}
        tokens.update((token.id, token.text.encode()) for token in added)
        self._bytes = tokens
        self._added = {token.id: token for token in added}
        self._vocabulary = vocabulary
        self._id_limit = vocab_size if vocab_size is not None else max(tokens, default=-1) + 1
        with _library_errors("The tokenizers library cannot use this vocabulary"):
            self._splitter = _splitter(added, split_special=vocabulary.split_special) if added else None
            self._library = _Library(models.BPE(dict(vocabulary.ids), list(vocabulary.merges)))
            self._library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        # In a character vocabulary, an entry may be a character that stands for a byte in the byte alphabet.
        self._spelled = {
            byte for byte, char in enumerate(BYTE_ALPHABET) if tokens.get(vocabulary.ids.get(char, -1)) == bytes([byte])
        }
        self._reason = ""

    def __repr__(self) -> str:
        return f"<Tokenizer of {len(self._bytes):,} tokens>"

    @classmethod
    def load(cls, folder: Path, *, vocab_size: int | None = None) -> "Tokenizer":
        """The tokenizer of a checkpoint folder, read as `read_vocabulary` says.

        Raises:
            TokenizerError: files that are missing, malformed, or of another kind of tokenizer.
        """
        return cls(read_vocabulary(folder), vocab_size=vocab_size)

    @classmethod
    def without_text(cls, reason: str, vocab_size: int) -> "Tokenizer":
        """A tokenizer for a model whose own is missing or unusable: it knows tokens by id only.

        It refuses to encode text, with the sentence `reason`.
        """
        bare = cls(Vocabulary({}, ()), vocab_size=vocab_size)
        bare._reason = reason
        return bare

    def cuts_like(self, other: "Tokenizer") -> bool:
        """Whether `other` has the same tokens with the same ids and splits every text in the same way."""
        mine, theirs = self._vocabulary, other._vocabulary
        same = (mine.ids, mine.merges, mine.normalizers, mine.split_special) == (
            theirs.ids,
            theirs.merges,
            theirs.normalizers,
            theirs.split_special,
        )
        return same and self._added == other._added and self._bytes == other._bytes

    @property
    def size(self) -> int:
        """The number of tokens; the embedding may have more rows."""
        return len(self._bytes)

    @property
    def rowless(self) -> tuple[int, ...]:
        """The ids of tokens that have no row in the embedding; text that needs one of them is refused."""
        return tuple(sorted(number for number in self._bytes if number >= self._id_limit))

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences for a user who types a text: that it cannot be tokenized, or that some tokens have no row."""
        if self._reason:
            return (f"{self._reason.removesuffix('.')}; tokens are shown by their ids.",)
        if not (rowless := self.rowless):
            return ()
        more = f" and {len(rowless) - 1} more tokens have" if len(rowless) > 1 else " has"
        return (
            f"{self.quoted(rowless[0])}{more} no row in the embedding of {self._id_limit}; a text that needs one is "
            "refused.",
        )

    @property
    def eos_id(self) -> int | None:
        """The id of the end-of-text token named by the tokenizer's files; None if there is none, or it has no row."""
        end = self._vocabulary.end
        return end if end in self._added and end < self._id_limit else None

    @property
    def first(self) -> tuple[int, ...]:
        """The ids that a text may begin with, like that of `<s>` or `<|endoftext|>`; empty if one has no row."""
        first = self._vocabulary.first
        return first if all(number in self._added and number < self._id_limit for number in first) else ()

    @property
    def begins(self) -> bool:
        """Whether a text begins with `first`, according to the tokenizer's files."""
        return self._vocabulary.begins

    @property
    def prefix_space(self) -> bool:
        """Whether the tokenizer's files put a space in front of a text that does not begin with one."""
        return self._vocabulary.prefix_space

    @property
    def has_space(self) -> bool:
        """Whether a space can be encoded, so that one can be put in front of a text."""
        return 0x20 in self._spelled

    def is_special(self, token_id: int) -> bool:
        """Whether this is the id of a special token, which is matched as a whole and never made by merging."""
        return token_id in self._added and self._added[token_id].special

    def is_added(self, token_id: int) -> bool:
        """Whether this is the id of an added token, special or not, which no merges produce."""
        return token_id in self._added

    def encode(self, text: str, *, prefix_space: bool = False) -> Encoding:
        """The tokens of `text`. Added tokens such as `<|endoftext|>` are recognised when typed as whole strings.

        With `prefix_space`, a space is put in front of the text, and of what follows an added token, unless there is
        one already or the vocabulary has none. That space is not part of the text, so a token that consists of it alone
        has an empty span.

        Raises:
            TokenizerError: a lone surrogate; a character that a vocabulary without all bytes cannot encode; a text that
                the tokenizer's normalizer would change; or a token without a row in the embedding.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise TokenizerError(
                f"Character {error.start} of the text is U+{ord(text[error.start]):04X}, half of a surrogate pair, "
                f"which no Unicode text holds; delete it."
            ) from error
        if self._reason and text:
            raise TokenizerError(self._reason)
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        for start, piece, added in self._split(text):
            if added is not None:
                ids.append(added)
                spans.append((start, start + len(piece)))
            elif piece:
                self._check_normal(piece, start)
                padded = prefix_space and self.has_space and not piece.startswith(" ")
                self._encode_piece(" " * padded + piece, start, ids, spans, padded=padded)
        for number, (start, _) in zip(ids, spans, strict=True):
            if number >= self._id_limit:
                raise TokenizerError(
                    f"Character {start} of the text begins {self.quoted(number)}, the token {number}, for which the "
                    f"model has no row: its embedding has {self._id_limit}; delete it."
                )
        return Encoding(tuple(ids), tuple(spans))

    def least_tokens(self, text: str) -> int:
        """A lower bound on the number of tokens of `text`, from the text's length and that of the longest token.

        It is 0 if an added token absorbs any number of spaces around it.
        """
        return -(-len(text.encode(errors="surrogatepass")) // self._longest) if self._longest else 0

    @cached_property
    def _longest(self) -> int:
        """The number of bytes of the longest token; 0 if some token absorbs any number of spaces."""
        endless = any(token.lstrip or token.rstrip for token in self._added.values())
        return 0 if endless else max(map(len, self._bytes.values()), default=0)

    def _check_normal(self, piece: str, start: int) -> None:
        normal = normalized(piece, self._vocabulary.normalizers)
        if normal != piece:
            at = next((n for n, (a, b) in enumerate(zip(piece, normal, strict=False)) if a != b), len(normal))
            names = ", ".join(self._vocabulary.normalizers)
            raise TokenizerError(
                f"This model's tokenizer first changes the text (normalizer {names}), from character {start + at} on; "
                f"type the changed text, which continues with {display.quoted(normal[at : at + 12].encode())}."
            )

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the tokens: their bytes joined and decoded as UTF-8, with U+FFFD for invalid bytes.

        A special token stands for its text. An id without a token gives U+FFFD.
        """
        return b"".join(self._bytes.get(number, _NO_TOKEN) for number in ids).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of a token; empty for an id without a token."""
        return self._bytes.get(token_id, b"")

    def label(self, token_id: int) -> str:
        """The display form of a token, as `display.label` says; `id 50300` for an id without a token."""
        data = self._bytes.get(token_id)
        return f"id {token_id}" if data is None else display.label(data)

    def quoted(self, token_id: int) -> str:
        """The token quoted for a sentence, `' creature'`, as `display.quoted` says; or `id 50300`."""
        data = self._bytes.get(token_id)
        return f"id {token_id}" if data is None else display.quoted(data)

    def counted(self, ids: Sequence[int]) -> str:
        """How many tokens a text is, for a sentence: "is 2 tokens ('a', 'b')", with the first few; or "is empty"."""
        if not ids:
            return "is empty"
        words = ", ".join(map(self.quoted, ids[:_COUNTED])) + (", …" if len(ids) > _COUNTED else "")
        return f"is {len(ids):,} token{'s' if len(ids) > 1 else ''} ({words})"

    def merge_steps(self, token_id: int) -> tuple[MergeStep, ...]:
        """The merges that build a token from bytes, in order: the lowest rank first, then the leftmost pair.

        Empty for single bytes, added tokens, ids without a token, and the rare entry that no sequence of merges
        produces.
        """
        if token_id in self._added or token_id not in self._bytes:
            return ()
        target = self._entries[token_id]
        pieces, steps = list(target), []
        while len(pieces) > 1:
            pairs = list(pairwise(pieces))
            at = min(range(len(pairs)), key=lambda index: self._ranks.get(pairs[index], len(self._ranks)))
            rank = self._ranks.get(pairs[at])
            if rank is None:
                return ()
            pieces[at : at + 2] = ["".join(pairs[at])]
            left, right = (display.label(bytes_of(piece)) for piece in pairs[at])
            shown = tuple(display.label(bytes_of(piece)) for piece in pieces)
            steps.append(MergeStep(shown, (left, right), at, rank))
        return tuple(steps)

    def find(self, text: str) -> list[int]:
        """The ids that the user may mean by `text`, likeliest first; empty if there are none.

        The text may be `#1234` or `id 1234`; a quoted form like `' Paris'`, matched exactly; or plain text. Plain text
        means the token with that text, the same with a leading space, a label copied from the screen, or else the first
        token of the text.
        """
        try:
            plain = [form.encode() for form in (text, " " + text, display.typed(text)) if text]
        except UnicodeEncodeError:  # no token contains a lone surrogate
            return []
        found: list[int | None]
        if match := re.fullmatch(r"\s*(?:#|id\s)\s*([0-9]{1,10})\s*", text, re.ASCII | re.IGNORECASE):
            number = int(match[1])
            found = [number if number < self._id_limit else None, self._by_bytes.get(plain[0])]
        elif (exact := display.unquote(text.strip())) is not None:
            found = [self._by_bytes.get(exact), self._by_bytes.get(plain[0])]
        else:
            found = [self._by_bytes.get(form) for form in plain]
            if not any(number is not None for number in found):
                with suppress(TokenizerError):  # a text that cannot be encoded has no first token
                    found += self.encode(text).ids[:1]
        return list(dict.fromkeys(number for number in found if number is not None))

    @cached_property
    def _by_bytes(self) -> dict[bytes, int]:
        # added tokens come last, so that they take precedence
        return {data: number for number, data in self._bytes.items()}

    @cached_property
    def _entries(self) -> dict[int, str]:
        return {number: token for token, number in self._vocabulary.ids.items()}

    @cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        return {pair: rank for rank, pair in enumerate(self._vocabulary.merges)}

    def _split(self, text: str) -> Iterator[tuple[int, str, int | None]]:
        """The text split at added tokens: (start, piece, id of the added token or None), in order."""
        at = 0
        if self._splitter is not None:
            library, numbers = self._splitter
            with _library_errors("The tokenizers library cannot encode this text"):
                found = library.encode(text, add_special_tokens=False)
            for number, (start, stop) in zip(found.ids, found.offsets, strict=True):
                yield at, text[at:start], None
                yield start, text[start:stop], numbers[number]
                at = stop
        yield at, text[at:], None

    def _encode_piece(
        self, piece: str, start: int, ids: list[int], spans: list[tuple[int, int]], *, padded: bool
    ) -> None:
        """Append the tokens of a piece between added tokens. If `padded`, its first space is not part of the text."""
        owner: list[int] = []  # for each byte, the index of its character in the whole text
        for position, char in enumerate(piece, start - padded):
            data = char.encode()
            if not self._spelled.issuperset(data):
                raise TokenizerError(
                    f"Character {position} of the text, {display.quoted(data)} (U+{ord(char):04X}), cannot be spelled "
                    f"with this model's vocabulary of {self.size} tokens; delete or replace it."
                )
            owner += [position] * len(data)
        with _library_errors("The tokenizers library cannot encode this text"):
            new = self._library.encode(piece, add_special_tokens=False).ids
        at = 0
        for number in new:
            end = at + len(self._bytes[number])
            spans.append((max(start, owner[at]), owner[end - 1] + 1))
            at = end
        if b"".join(self._bytes[number] for number in new) != piece.encode():
            raise TokenizerError(
                "The tokenizers library lost a part of the text; the tokenizer files are inconsistent."
            )
        ids += new


def _splitter(added: Sequence[AddedToken], *, split_special: bool) -> tuple[_Library, list[int]]:
    """A tokenizer of the library that finds only the added tokens, and their ids."""
    library = _Library(models.BPE())
    library.add_tokens(
        [
            _LibraryToken(
                token.text,
                special=token.special,
                normalized=token.normalized,
                lstrip=token.lstrip,
                rstrip=token.rstrip,
                single_word=token.single_word,
            )
            for token in added
        ]
    )
    library.encode_special_tokens = split_special
    return library, [token.id for token in added]


@contextmanager
def _library_errors(what: str) -> Iterator[None]:
    """Turn errors of the tokenizers library into TokenizerError, including its panics, which are no `Exception`."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise TokenizerError(f"{what}: {' '.join(str(error).split())[:200]}.") from error
        raise
