"""Example prompts, from resources/examples.toml."""

import tomllib
from dataclasses import dataclass
from functools import cache

from desktop_app.core.bundle import resource


@dataclass(frozen=True)
class Example:
    """A prompt and the step and head at which it is opened."""

    title: str
    text: str
    step: str
    head: int = 0


@cache
def examples() -> tuple[Example, ...]:
    """All examples; the first is what the very first start shows."""
    raw = tomllib.loads(resource("examples.toml").read_text(encoding="utf-8"))
    return tuple(Example(**row) for row in raw["example"])
