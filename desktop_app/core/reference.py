"""The texts over which means of activations are taken: those of the bundled examples."""

import tomllib
from functools import cache

from desktop_app.core.bundle import resource
from desktop_app.gpt2.tokenizer import Tokenizer


@cache
def _texts() -> tuple[str, ...]:
    raw = tomllib.loads(resource("examples.toml").read_text(encoding="utf-8"))
    return tuple(row["text"] for row in raw["example"])


def reference_texts(tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    """The example texts as token ids."""
    return [tuple(tokenizer.encode(text).ids) for text in _texts()]
