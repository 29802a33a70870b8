"""The `logitscope` command: opens the window, or runs one of the commands that need no window.

Exit codes: 0 done; 1 ran, but found a fault or a difference; 2 bad input, file or network. Each command is a separate
module that is imported only when it is called, so that `--help` and wrong options are answered at once.
"""

import argparse
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Protocol

from desktop_app import __version__
from desktop_app.cli.options import WINDOW, parser_of
from desktop_app.cli.shared import Terminal, checked_text, choose_provider, say
from desktop_app.core.asking.options import declare
from desktop_app.core.program import logs
from desktop_app.gpt2.errors import LogitscopeError
from desktop_app.gpt2.system import closing_signals
from desktop_app.switches import keep_to_own_folders

log = logging.getLogger(__name__)

COMMANDS = {
    "models": "list, download, add, remove and check models",
    "trace": "write every tensor of a forward pass to a safetensors or npz file",
    "generate": "continue a text",
    "figure": "draw the view of a step as an SVG, PDF or PNG file",
    "build": "make the figures listed in a file, except those in which nothing has changed",
    "deck": "make slides, a booklet or a film: a lecture on a text, a story, or the steps of a pass",
    "clip": "animate the operation of a step with its numbers: a GIF, WebP or MP4, or three moments as a figure",
    "handout": "make an HTML page about a text or a story, with sliders and questions, that works offline",
    "lens": "what each point of the residual stream would already predict",
    "attribute": "take a token's logit apart: what heads, MLPs and embeddings add to it",
    "score": "take an attention score apart: what each part of query and key adds to it",
    "ablate": "mute heads, MLPs or neurons one at a time, and measure one token's logit against another's",
    "patch": "patch cells of one prompt's pass into another's, and measure how far each moves the answer",
    "heads": "measure where each head attends, and label those with a clear pattern",
    "circuits": "measure from the weights how much each head reads of what earlier heads write, and which heads copy",
    "directions": "add and subtract the embeddings of tokens, and list the nearest tokens",
    "scan": "measure what excites each neuron and what each head does, on texts of any size, on one machine or many",
    "worksheet": "make a PDF of exercises to compute by hand, from one dot product to one head, with answers",
    "spreadsheet": "write one head of one block as live formulas, from the residual stream to its result",
    "check": "recompute every tensor from its inputs in float64, and compare",
    "census": "count a model's parameters by family, next to those of the GPT-2 sizes and of GPT-3",
    "onnx": "write the graph that exposes every tensor as an ONNX file",
}
"""Name of a command and of its module -> its description in one line."""


class Command(Protocol):
    """The interface of a command's module: a function `run`."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Run on the parsed options (`cli/options.py`) and return the exit code. Raises LogitscopeError, OSError."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (by default the process's) and return the exit code."""
    keep_to_own_folders()
    _open_streams()
    try:
        for stream in (sys.stdout, sys.stderr):
            # A character that the terminal cannot show is printed as an escape; it does not end the program.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        terminal = Terminal()
        with _ended_by_signals(), logs.started(terminal):
            status = _dispatch(list(sys.argv[1:] if argv is None else argv), terminal)
        print(end="", flush=True)
    except LogitscopeError as error:
        return _fail(*error.sentences)
    except KeyboardInterrupt:  # Ctrl+C: the exit code is what shells use for SIGINT
        return 130
    except BrokenPipeError:
        # The reader closed the pipe, which is no error; Python must not report one when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}.")
    except MemoryError:  # `logs.started` has logged it
        return _fail("There is not enough memory for this; shorten the text or name fewer tensors.")
    except SystemExit as ended:  # argparse has printed the reason
        return ended.code if isinstance(ended.code, int) else 2
    return status


def _dispatch(argv: list[str], terminal: Terminal) -> int:
    about = COMMANDS.get(argv[0]) if argv else None
    if about is None:
        given = _window_parser().parse_args(argv)
        _log_as_asked(given, terminal, "window")
        return _without_warnings(_window, given)
    command: Command = import_module(f"desktop_app.cli.{argv[0]}")
    given = parser_of(argv[0], about).parse_args(_with_ids(argv[1:]))
    _log_as_asked(given, terminal, argv[0])
    return _without_warnings(command.run, given)


def _without_warnings(run: Callable[[argparse.Namespace], int], given: argparse.Namespace) -> int:
    from desktop_app.gpt2.overflow import without_warnings  # with numpy, which help and version do not need

    return without_warnings(run)(given)


def _log_as_asked(given: argparse.Namespace, terminal: Terminal, what: str) -> None:
    if given.log_level is not None:
        logs.set_level(given.log_level)
        terminal.setLevel(given.log_level.upper())
    log.info("Logitscope %s, %s", __version__, what)


def _with_ids(argv: list[str]) -> list[str]:
    """The arguments with `--ids -1,2` turned into `--ids=-1,2`, because argparse would take the list for an option."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] == "--ids" and re.match(r"-[\d\s,]", word):
            joined[-1] = f"--ids={word}"
        else:
            joined.append(word)
    return joined


def _open_streams() -> None:
    """Open the null device for each standard stream that the parent process closed: no input, output discarded."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open until the end


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """In this context, a signal or the closing of the terminal ends a command like Ctrl+C, so that it can clean up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _end) for number in closing_signals() if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _fail(*sentences: str) -> int:
    with suppress(OSError):  # standard error may be closed or full, too
        for sentence in sentences:
            say(sentence)
    return 2


def _window_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {about}" for name, about in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="logitscope",
        usage="logitscope [--model MODEL] [--int8] [--provider NAME] [--prompt TEXT] [SESSION]\n"
        "       logitscope --selftest [--json]\n       logitscope COMMAND ... [--help]",
        description="A desktop microscope for GPT-2. Without a command it opens the window.",
        epilog="\n".join(["commands that need no window:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    declare(parser, WINDOW)
    parser.add_argument("--version", action="version", version=f"logitscope {__version__}")
    # For tests of packages: ui/smoke.py exercises the window and quits.
    parser.add_argument("--smoke", metavar="FILE", type=Path, help=argparse.SUPPRESS)
    return parser


def _window(arguments: argparse.Namespace) -> int:
    if arguments.selftest:
        from desktop_app.cli.selftest import run_selftest

        return run_selftest(as_json=arguments.json)
    if arguments.json:
        raise LogitscopeError("--json is a format of --selftest; give both.")
    session: Path | None = arguments.session
    if session is not None and not session.exists():
        raise LogitscopeError(
            f"{session} is neither a session file nor a command; the commands are {', '.join(COMMANDS)}."
        )
    from desktop_app.core.library.find import find_model

    folder = None if arguments.model is None else find_model(arguments.model)
    if folder is not None and not folder.is_dir():
        raise LogitscopeError(f"{folder} is not a folder; give the one that holds config.json and the weights.")
    text = None if arguments.prompt is None else checked_text(arguments.prompt, "--prompt")

    choose_provider(arguments)
    from desktop_app.launch import loading, require_display

    require_display()

    with loading():
        for module in ("core.model", "figures.export"):
            import_module(f"desktop_app.{module}")  # PySide6 reads the source of each module that is loaded after it
        from desktop_app.ui.app import run_window

    return run_window(folder, text, session, int8=arguments.int8, smoke=arguments.smoke)
