"""`logitscope deck`: the whole walk as slides, a booklet or a film."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from desktop_app.cli.figure import state_of
from desktop_app.cli.shared import (
    choose_provider,
    model_folder,
    open_for,
    prompt_text,
    say,
    shown,
    size_of,
)
from desktop_app.gpt2.errors import LogitscopeError


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.figures.deck.make import Wish, kind_of, make_deck, prepare
    from desktop_app.figures.deck.walk import SELECTIONS, choose, slides
    from desktop_app.figures.order import check_index
    from desktop_app.gpt2.files import refuse_existing
    from desktop_app.gpt2.token_ids import parse_ids

    out: Path = arguments.out
    refuse_existing(out, force=arguments.force)
    wish = Wish(kind_of(out), arguments.theme, arguments.template, arguments.seconds)
    if arguments.jobs is not None and not 1 <= arguments.jobs <= 64:
        raise LogitscopeError(f"--jobs {arguments.jobs} is out of range; choose from 1 to 64.")
    state, folder = state_of(arguments, prompt_text(arguments))
    ready = prepare(wish)

    from desktop_app.core.beside import passes_of
    from desktop_app.core.runs import asked_of
    from desktop_app.core.scene import make_moment
    from desktop_app.core.state import encode

    # The model that was named goes before the session's own.
    choose_provider(arguments)
    named = folder if folder is not None and arguments.model is None else model_folder(arguments)
    model = open_for(named, int8=state.int8, text=arguments.ids is None)
    names: str | list[str] = arguments.steps
    if names not in SELECTIONS:
        names = [name for part in arguments.steps.split(",") if (name := part.strip())]
    block = min(state.layer, model.config.n_layer - 1) if arguments.block is None else arguments.block
    items = choose(model.config, names, block)
    given = arguments.ids
    ids = encode(state, model.tokenizer) if given is None else parse_ids(given, model.config.vocab_size)
    model.engine.check_ids(ids)
    state = state if arguments.head is None else replace(state, head=arguments.head)
    check_index("head", state.head, model.config.n_head)
    check_index("token", state.token, len(ids))
    check_index("position", state.position, len(ids))
    asked = replace(asked_of(replace(state, text="", appended=ids), model.tokenizer), ids=ids)
    passes = passes_of(model, asked, text=arguments.ids is None)
    scene = make_moment(model.name, model.checkpoint, model.tokenizer, passes, state)
    walk = slides(scene, items, model=model, captions=not arguments.no_caption)
    with _Line() as line:
        make_deck(walk, len(items), ready, out, jobs=arguments.jobs, progress=line.tell)
    noun = {"pptx": "slide", "pdf": "page"}.get(wish.kind, "frame")
    print(f"{shown(str(out))}: {len(items)} {noun}{'s' * (len(items) != 1)}, {size_of(out)}")
    return 0


class _Line:
    """Progress on standard error: one line that changes on a terminal, a line every tenth elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._said = 0

    def __enter__(self) -> "_Line":
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def tell(self, done: int, count: int, what: str) -> None:
        """Show how many of all slides are done."""
        words = "putting the file together" if what == "writing" else f"drawn {done} of {count}"
        if self._live:
            print(f"\r\033[Klogitscope: {words}", end="", file=sys.stderr, flush=True)
        elif what == "writing" or done * 10 // count > self._said:
            self._said = done * 10 // count
            say(words)
