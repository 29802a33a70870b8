"""`logitscope deck`: the whole walk as slides, a booklet or a film."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from desktop_app.cli.figure import add_view_options, state_of
from desktop_app.cli.shared import (
    add_begin,
    add_edits,
    add_engine,
    add_model,
    add_output,
    add_sampling,
    choose_provider,
    model_folder,
    open_for,
    prompt_text,
    say,
    shown,
    size_of,
)
from desktop_app.gpt2.errors import LogitscopeError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("text", metavar="TEXT", nargs="?", help="the prompt; - reads it from standard input, as it is")
    prompt.add_argument("--ids", metavar="LIST", help="the prompt as token ids instead, like 464,3797")
    prompt.add_argument("--session", metavar="FILE", type=Path, help="prompt, place and settings of a saved session")
    add_model(parser)
    add_begin(parser)
    add_engine(parser)
    add_edits(parser)
    parser.add_argument(
        "--steps",
        metavar="WHICH",
        default="overview",
        help="overview (input, one block in full, one slide for each other block, output), all, block, or a list of "
        "names like tokens,blocks.*.attn.pattern,blocks.3,probabilities (default overview)",
    )
    parser.add_argument("--block", type=int, metavar="L", help="the block that is shown in full (default 0)")
    parser.add_argument("--head", type=int, metavar="H", help="the head, counted from 0 (default 0)")
    parser.add_argument("--token", type=int, metavar="N", help="position of the token, the query (default: the last)")
    parser.add_argument("--position", type=int, metavar="N", help="the next token after this one (default: the last)")
    parser.add_argument("--limits", choices=("view", "layer"), help="colours of scores by this head, or all of a block")
    parser.add_argument("--keys-down", action="store_true", help="attention grids with queries as columns")
    parser.add_argument("--skip-first", action="store_true", help="leave position 0 out of the colours")
    parser.add_argument("--sort-neurons", action="store_true", help="the most active neurons first")
    add_view_options(parser)
    add_sampling(parser)
    parser.set_defaults(temperature=None, top_k=None, top_p=None, seed=None)  # a session's own, where there is one
    parser.add_argument(
        "--theme", help="light, dark, print or projector (default light, or what goes with the template)"
    )
    parser.add_argument(
        "--template", metavar="FILE", type=Path, help="a .pptx or .potx whose master and layouts to use"
    )
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="of each step in a film (default 3)")
    parser.add_argument("--no-caption", action="store_true", help="leave out prompt, model and settings at the foot")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes that draw (default: as many as cores)")
    add_output(parser, "PPTX, PDF, GIF, WebP or MP4")


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

    from desktop_app.core.runs import asked_of, compute_passes
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
    passes = compute_passes(model.engine, model.tokenizer, asked)
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
        """So many of so many slides are done."""
        words = "putting the file together" if what == "writing" else f"drawn {done} of {count}"
        if self._live:
            print(f"\r\033[Klogitscope: {words}", end="", file=sys.stderr, flush=True)
        elif what == "writing" or done * 10 // count > self._said:
            self._said = done * 10 // count
            say(words)
