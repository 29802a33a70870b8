"""`logitscope deck`: a lecture on a text, a story, or the steps of a pass, as slides, a booklet or a film."""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from desktop_app.cli.figure import state_of
from desktop_app.cli.progress_line import ProgressLine
from desktop_app.cli.shared import (
    checked_text,
    choose_provider,
    model_folder,
    open_for,
    prompt_text,
    shown,
    size_of,
)
from desktop_app.gpt2.errors import LogitscopeError

if TYPE_CHECKING:
    from desktop_app.core.model import Model
    from desktop_app.figures.deck.make import Ready
    from desktop_app.figures.deck.walk import Slide


def run(arguments: argparse.Namespace) -> int:
    from desktop_app.figures.deck.lecture import Lecture
    from desktop_app.figures.deck.make import Wish, kind_of, prepare
    from desktop_app.figures.deck.walk import LECTURE, SELECTIONS, choose, slides
    from desktop_app.figures.order import check_index
    from desktop_app.gpt2.files import refuse_existing
    from desktop_app.gpt2.token_ids import parse_ids

    out: Path = arguments.out
    refuse_existing(out, force=arguments.force)
    wish = Wish(kind_of(out), arguments.theme, arguments.template, arguments.seconds)
    if arguments.jobs is not None and not 1 <= arguments.jobs <= 64:
        raise LogitscopeError(f"--jobs {arguments.jobs} is out of range; choose from 1 to 64.")
    if arguments.story is not None:
        return _story(arguments, prepare(wish))
    state, folder = state_of(arguments, prompt_text(arguments))
    ready = prepare(wish)

    from desktop_app.core.comparing.beside import passes_of
    from desktop_app.core.runs import asked_of
    from desktop_app.core.scene import make_moment
    from desktop_app.core.session.state import encode

    # A model given by --model takes precedence over the session's.
    choose_provider(arguments)
    named = folder if folder is not None and arguments.model is None else model_folder(arguments)
    model = open_for(named, int8=state.int8, text=arguments.ids is None)
    names: str | list[str] = arguments.steps
    if names not in SELECTIONS:
        names = [name for part in arguments.steps.split(",") if (name := part.strip())]
    block = min(state.layer, model.config.n_layer - 1) if arguments.block is None else arguments.block
    check_index("block", block, model.config.n_layer)
    items = () if names == LECTURE else choose(model.config, names, block)
    given = arguments.ids
    ids = encode(state, model.tokenizer) if given is None else parse_ids(given, model.config.vocab_size)
    model.engine.check_ids(ids)
    state = replace(state, layer=block, head=state.head if arguments.head is None else arguments.head)
    check_index("head", state.head, model.config.n_head)
    check_index("token", state.token, len(ids))
    check_index("position", state.position, len(ids))
    asked = replace(asked_of(replace(state, text="", appended=ids), model.tokenizer), ids=ids)
    passes = passes_of(model, asked, text=arguments.ids is None)
    scene = make_moment(model.name, model.checkpoint, model.tokenizer, passes, state)
    captions = not arguments.no_caption
    if names == LECTURE:
        chosen = arguments.block is not None or arguments.head is not None
        lecture = Lecture(scene, model, arguments.lang, (block, scene.head) if chosen else None)
        made = list(lecture.slides(captions=captions))
        return _write(made, len(made), ready, arguments)
    walk = slides(scene, items, model=model, captions=captions, language=arguments.lang)
    return _write(walk, len(items), ready, arguments)


def _story(arguments: argparse.Namespace, ready: "Ready") -> int:
    """Make the deck of a story: each of its stops with its own model, or all with the one given by --model."""
    from desktop_app.core.lessons.stories import find_story
    from desktop_app.figures.deck.told import slides

    story = find_story(checked_text(arguments.story, "--story"))
    choose_provider(arguments)
    models = Models(arguments)
    made = list(slides(story, models.open, language=arguments.lang, captions=not arguments.no_caption))
    return _write(made, len(made), ready, arguments)


class Models:
    """Opens the models that a story names, each only once; if --model is given, that model is used for every stop."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._open: dict[Path, Model] = {}

    def open(self, name: str) -> "Model":
        """The model of that name, or that of --model if given. Raises ModelError if it is not on this machine."""
        from desktop_app.core.library.find import find_model

        folder = find_model(name) if self._arguments.model is None else model_folder(self._arguments)
        if folder not in self._open:
            self._open[folder] = open_for(folder, int8=self._arguments.int8, text=True)
        return self._open[folder]


def _write(slides: "Iterable[Slide]", count: int, ready: "Ready", arguments: argparse.Namespace) -> int:
    """Draw the slides, assemble the file, and print a line about it."""
    from desktop_app.figures.deck.make import make_deck

    with ProgressLine() as line:

        def tell(done: int, total: int, what: str) -> None:
            if what == "writing":
                line.show("putting the file together", 1.0, at_once=True)
            else:
                line.show(f"drawn {done} of {total}", done / total)

        make_deck(slides, count, ready, arguments.out, jobs=arguments.jobs, progress=tell)
    noun = {"pptx": "slide", "pdf": "page"}.get(ready.wish.kind, "frame")
    print(f"{shown(str(arguments.out))}: {count} {noun}{'s' * (count != 1)}, {size_of(arguments.out)}")
    return 0
