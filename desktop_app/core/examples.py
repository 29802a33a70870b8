"""Example prompts, from resources/examples.toml: what to type, where to look, and a claim that tests hold true."""

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from desktop_app.core.bundle import bundled_models, resource
from desktop_app.core.state import State
from desktop_app.gpt2.tokenizer import Tokenizer


@dataclass(frozen=True)
class Example:
    """A prompt, the step and head at which it is opened, and `look`: what is to be seen there.

    `token` is the selected position (None: the last). The claim is either `key`, a position that head `head` of the
    step's block reads with more than 0.4 of its attention from `token`, or `next`, the most likely next token. `role`
    names the head by what it does, where the file does.
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
    role: str | None = None


@cache
def heads_by_role() -> dict[str, tuple[int, int]]:
    """The bundled model's heads that the examples look at, by what they do: role -> (block, head)."""
    return {role: (block, head) for role, (block, head) in _file()["heads"].items()}


@cache
def examples() -> tuple[Example, ...]:
    """All examples; the first is what the very first start shows."""
    return tuple(_example(row) for row in _file()["example"])


def reference_texts(tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    """The example texts as token ids: means of activations are taken over them unless other texts are given."""
    return [tuple(tokenizer.encode(example.text).ids) for example in examples()]


def sentence_at(state: State, folder: str) -> str:
    """What an example says is to be seen where `state` looks, in the model of `folder`; nothing anywhere else."""
    for example in examples():
        model = bundled_models().get(example.model)
        if model is not None and str(model) == folder and replace(open_in(example, state), draws=state.draws) == state:
            return example.look
    return ""


def _file() -> dict[str, Any]:
    return tomllib.loads(resource("examples.toml").read_text(encoding="utf-8"))


def _example(row: dict[str, Any]) -> Example:
    """A row of the file; one that names a role is opened at that head, and `{Head}` in its text says which it is."""
    if "role" not in row:
        return Example(**row)
    block, head = heads_by_role()[row["role"]]
    look = row["look"].replace("{Head}", f"Block {block}, head {head}")
    return Example(**{**row, "look": look, "step": f"blocks.{block}.attn.pattern", "head": head})


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
        draws=0,
    )
