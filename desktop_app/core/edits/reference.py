"""The texts over which means of activations are taken: those of the bundled examples."""

import tomllib
from functools import cache

from desktop_app.core.program.bundle import resource
from desktop_app.gpt2.errors import TokenizerError
from desktop_app.gpt2.tokenizer import Tokenizer


@cache
def _texts() -> tuple[str, ...]:
    raw = tomllib.loads(resource("examples.toml").read_text(encoding="utf-8"))
    return tuple(row["text"] for row in raw["example"])


def reference_texts(tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    """The example texts that a vocabulary can encode, as token ids: the default for means of activations.

    Raises TokenizerError with the reason if it can encode none.
    """
    found: list[tuple[int, ...]] = []
    trouble: TokenizerError | None = None
    for text in _texts():
        try:
            found.append(tuple(tokenizer.encode(text).ids))
        except TokenizerError as reason:  # a vocabulary of a few characters
            trouble = reason
    if trouble is not None and not found:
        raise TokenizerError(f"The texts over which means are taken cannot be used here: {trouble}") from trouble
    return found
