"""`logitscope deck`: the whole walk as slides, a booklet or a film."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from desktop_app.cli.shared import (
    add_model,
    add_output,
    add_prompt,
    add_sampling,
    model_folder,
    prompt_ids,
    prompt_text,
    sampling_of,
    say,
    shown,
    size_of,
)
from desktop_app.gpt2.errors import LogitscopeError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_prompt(parser)
    add_model(parser)
    parser.add_argument(
        "--steps",
        metavar="WHICH",
        default="overview",
        help="overview (input, one block in full, one slide for each other block, output), all, block, or a list of "
        "names like tokens,blocks.*.attn.pattern,blocks.3,probabilities (default overview)",
    )
    parser.add_argument("--block", type=int, metavar="L", help="the block that is shown in full (default 0)")
    parser.add_argument("--head", type=int, default=0, metavar="H", help="the head, counted from 0 (default 0)")
    parser.add_argument("--token", type=int, metavar="N", help="position of the token, the query (default: the last)")
    parser.add_argument("--position", type=int, metavar="N", help="the next token after this one (default: the last)")
    parser.add_argument("--scale", choices=("linear", "sqrt", "log"), default="linear", help="colours of a pattern")
    parser.add_argument("--keys-down", action="store_true", help="attention grids with queries as columns")
    parser.add_argument("--skip-first", action="store_true", help="leave position 0 out of the colours")
    add_sampling(parser)
    parser.add_argument("--theme", help="light, dark or print (default light, or what goes with the template)")
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

    out: Path = arguments.out
    refuse_existing(out, force=arguments.force)
    wish = Wish(kind_of(out), arguments.theme, arguments.template, arguments.seconds)
    if arguments.jobs is not None and not 1 <= arguments.jobs <= 64:
        raise LogitscopeError(f"--jobs {arguments.jobs} is out of range; choose from 1 to 64.")
    sampling = sampling_of(arguments)
    text = prompt_text(arguments)
    ready = prepare(wish)

    from desktop_app.core.model import open_model
    from desktop_app.core.scene import make_scene
    from desktop_app.core.state import State, ViewOptions

    model = open_model(model_folder(arguments))
    names: str | list[str] = arguments.steps
    if names not in SELECTIONS:
        names = [name for part in arguments.steps.split(",") if (name := part.strip())]
    items = choose(model.config, names, arguments.block)
    ids = prompt_ids(arguments, model.config, text, model.tokenizer)
    model.engine.check_ids(ids)
    check_index("head", arguments.head, model.config.n_head)
    check_index("token", arguments.token, len(ids))
    check_index("position", arguments.position, len(ids))
    state = State(
        text=text or "",
        head=arguments.head,
        token=arguments.token,
        position=arguments.position,
        sampling=sampling,
        view=ViewOptions(pattern_scale=arguments.scale, skip_first=arguments.skip_first, keys_down=arguments.keys_down),
    )
    scene = make_scene(model.name, model.checkpoint, model.tokenizer, model.engine.trace(ids), state)
    walk = slides(scene, items, captions=not arguments.no_caption)
    signal.signal(signal.SIGTERM, _end)
    with _Line() as line:
        make_deck(walk, len(items), ready, out, jobs=arguments.jobs, progress=line.tell)
    noun = {"pptx": "slide", "pdf": "page"}.get(wish.kind, "frame")
    print(f"{shown(str(out))}: {len(items)} {noun}{'s' * (len(items) != 1)}, {size_of(out)}")
    return 0


def _end(_signal: int, _frame: FrameType | None) -> None:
    """Asked to end, clear away on the way out: as after Ctrl+C."""
    sys.exit(143)


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
