"""Example prompts from resources/examples.toml: each is a `Stop`, with claims that tests check on its model."""

import tomllib
from dataclasses import replace
from functools import cache
from typing import Any

from desktop_app.core.lessons.claims import Heads
from desktop_app.core.lessons.stops import Stop, open_in, read_stop
from desktop_app.core.model import Model
from desktop_app.core.program.bundle import bundled_models, resource
from desktop_app.core.session.state import State
from desktop_app.gpt2.errors import LogitscopeError


@cache
def heads_by_role() -> Heads:
    """The bundled model's heads that the examples look at: role -> (block, head)."""
    return {role: (block, head) for role, (block, head) in _file()["heads"].items()}


@cache
def examples() -> tuple[Stop, ...]:
    """All examples; the first start of the program shows the first one."""
    return tuple(
        read_stop(row, f"examples.toml: example {n}", heads_by_role()) for n, row in enumerate(_file()["example"], 1)
    )


def sentence_at(state: State, folder: str) -> str:
    """The sentence of the example for the place that `state` shows, in the model in `folder`; "" anywhere else.

    Sampling settings and the number of draws do not matter, because the sentence may ask to change them.
    """
    for example in examples():
        if example.state.text != state.text:  # excludes most examples quickly, because this runs for every frame
            continue
        opened = replace(open_in(example, state), draws=state.draws, sampling=state.sampling)
        if opened == state and str(bundled_models().get(example.model)) == folder:
            return example.say
    return ""


def own_text(model: Model) -> str:
    """A text that a model can encode: its own example, another example, or its first tokens; "" if none works."""
    own = [e for e in examples() if str(bundled_models().get(e.model)) == str(model.folder)]
    first = "".join(model.tokenizer.decode((i,)) for i in range(min(6, model.config.vocab_size)))
    for text in (*(e.state.text for e in own), *(e.state.text for e in examples()), first):
        try:
            model.engine.check_ids(model.tokenizer.encode(text).ids)
        except LogitscopeError:  # the next text is tried
            continue
        if text:
            return text
    return ""


def _file() -> dict[str, Any]:
    return tomllib.loads(resource("examples.toml").read_text(encoding="utf-8"))
