"""Example prompts, from resources/examples.toml: what to type, where to look, and a claim that tests hold true."""

import tomllib
from dataclasses import dataclass, replace
from functools import cache

from desktop_app.core.bundle import resource
from desktop_app.core.state import State


@dataclass(frozen=True)
class Example:
    """A prompt, the step and head at which it is opened, and `look`: what is to be seen there.

    `token` is the selected position (None: the last). The claim is either `key`, a position that head `head` of the
    step's block reads with more than 0.4 of its attention from `token`, or `next`, the most likely next token.
    """

    title: str
    text: str
    look: str
    step: str
    head: int = 0
    token: int | None = None
    key: int | None = None
    next: str | None = None
    model: str = "bundled"


@cache
def examples() -> tuple[Example, ...]:
    """All examples; the first is what the very first start shows."""
    raw = tomllib.loads(resource("examples.toml").read_text(encoding="utf-8"))
    return tuple(Example(**row) for row in raw["example"])


def open_in(example: Example, state: State) -> State:
    """The state with the example's prompt, looked at where the example says."""
    layer = int(example.step.split(".")[1]) if example.step.startswith("blocks.") else state.layer
    return replace(
        state,
        text=example.text,
        appended=(),
        start=None,
        space=None,
        token=example.token,
        position=None,
        step=example.step,
        layer=layer,
        head=example.head,
    )
