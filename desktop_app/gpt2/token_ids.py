"""Token ids as the user writes them, checked against the rows of the embedding."""

import re
from collections.abc import Sequence

from desktop_app.gpt2.errors import TokenizerError, outside_vocabulary

MAX_IDS_CHARS = 2**20


def parse_ids(text: str, vocab_size: int | None = None) -> tuple[int, ...]:
    """The ids in a text as the user writes them, `464,3797` (spaces and square brackets are allowed).

    Raises:
        TokenizerError: no ids, something that is not an id, or an id that `check_ids` refuses.
    """
    if len(text) > MAX_IDS_CHARS:
        raise TokenizerError(f"The list of ids is longer than {MAX_IDS_CHARS} characters; no model takes that many.")
    body = text.strip()
    if body.startswith("[") and body.endswith("]"):
        body = body[1:-1]
    ids = []
    for part in re.split(r"\s*,\s*|\s+", body.strip()):
        if re.fullmatch("-[0-9]+", part):
            raise TokenizerError(f"The id {part[:20]} is negative; token ids count from 0.")
        if not re.fullmatch("[0-9]{1,10}", part):
            raise TokenizerError(f"{part[:20]!a} is not a token id; write ids like 464,3797.")
        ids.append(int(part))
    if vocab_size is not None:
        check_ids(ids, vocab_size)
    return tuple(ids)


def check_ids(ids: Sequence[int], vocab_size: int) -> None:
    """Raise TokenizerError, which names the first id that is outside a vocabulary of `vocab_size` tokens, if any is."""
    for position, number in enumerate(ids):
        if not 0 <= number < vocab_size:
            raise TokenizerError(outside_vocabulary(number, vocab_size, f" at position {position}"))
