"""The `logitscope` command: opens the window, or runs one of the commands that need none.

Exit codes: 0 done; 1 ran and found a difference; 2 bad input, file or network. Heavy imports come late, so that
`--help` and a wrong option are answered at once.
"""

import argparse
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from desktop_app import __version__
from desktop_app.gpt2.errors import LogitscopeError

if TYPE_CHECKING:
    from desktop_app.core.steps import Step
    from desktop_app.gpt2.config import Config
    from desktop_app.gpt2.sampling import Sampling
    from desktop_app.gpt2.tokenizer import Tokenizer

_STDIN_LIMIT = 1 << 22


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (the process's own unless given); the exit code."""
    try:
        for stream in (sys.stdout, sys.stderr):
            # A terminal that cannot show a character gets its escape instead of ending the program.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        status = _dispatch(list(sys.argv[1:] if argv is None else argv))
        print(end="", flush=True)
    except LogitscopeError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away, which is its right; what Python flushes at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}.")
    except MemoryError:
        return _fail("There is not enough memory for this; shorten the text or name fewer tensors.")
    except SystemExit as ended:  # argparse has said why
        return ended.code if isinstance(ended.code, int) else 2
    return status


def _dispatch(argv: list[str]) -> int:
    command = COMMANDS.get(argv[0]) if argv else None
    if command is None:
        return _window(_window_parser().parse_args(argv))
    parser = argparse.ArgumentParser(prog=f"logitscope {argv[0]}", description=command.about, allow_abbrev=False)
    command.add_arguments(parser)
    return command.run(parser.parse_args(argv[1:]))


# The window


def _window_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.about}" for name, command in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="logitscope",
        usage="logitscope [--model DIR] [--prompt TEXT] [SESSION]\n       logitscope COMMAND ... [--help]",
        description="A desktop microscope for GPT-2. Without a command it opens the window.",
        epilog="\n".join(["commands that need no window:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_model(parser)
    parser.add_argument("--prompt", metavar="TEXT", help="the text to start with")
    parser.add_argument("session", metavar="SESSION", nargs="?", type=Path, help="a session file to open")
    parser.add_argument("--version", action="version", version=f"logitscope {__version__}")
    return parser


def _window(arguments: argparse.Namespace) -> int:
    session: Path | None = arguments.session
    if session is not None and not session.exists():
        raise LogitscopeError(
            f"{session} is neither a session file nor a command; the commands are {', '.join(COMMANDS)}."
        )
    if arguments.model is not None and not arguments.model.is_dir():
        raise LogitscopeError(f"{arguments.model} is no folder; give the one that holds config.json and the weights.")
    text = None if arguments.prompt is None else _checked(arguments.prompt, "--prompt")

    from desktop_app.launch import require_display

    require_display()

    from desktop_app.ui.app import run_window

    return run_window(arguments.model, text, session)


# What several commands share


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="DIR", type=Path, help="a checkpoint's folder (default: the bundled model)")


def _add_prompt(parser: argparse.ArgumentParser) -> None:
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("text", metavar="TEXT", nargs="?", help="the prompt; - reads it from standard input, as it is")
    prompt.add_argument("--ids", metavar="LIST", help="the prompt as token ids instead, like 464,3797")


def _add_output(parser: argparse.ArgumentParser, kind: str) -> None:
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help=f"the {kind} file to write")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="from 0.01 to 100 (default 1)")
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="keep the K likeliest (default 0: all)")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help="keep this much mass (default 1: all)")
    parser.add_argument("--greedy", action="store_true", help="always the likeliest token")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same tokens (default 0)")


def _sampling(arguments: argparse.Namespace) -> "Sampling":
    """The sampling settings that were given. Raises SamplingError."""
    from desktop_app.gpt2.sampling import Sampling

    return Sampling(
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        greedy=arguments.greedy,
        seed=arguments.seed,
    )


def _model_folder(arguments: argparse.Namespace) -> Path:
    from desktop_app.core.bundle import default_model

    folder: Path | None = arguments.model
    return default_model() if folder is None else folder


def _prompt_text(arguments: argparse.Namespace) -> str | None:
    """The text that was given, standard input read; None where it was ids. Raises LogitscopeError."""
    text: str | None = arguments.text
    if text is None:
        return None
    if text != "-":
        return _checked(text, "TEXT")
    data = sys.stdin.buffer.read(_STDIN_LIMIT + 1)
    if len(data) > _STDIN_LIMIT:
        raise LogitscopeError(f"Standard input has more than {_STDIN_LIMIT >> 20} MB; no model takes so much text.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LogitscopeError(f"Standard input is not UTF-8 text (byte {error.start}); convert it first.") from error


def _checked(text: str, what: str) -> str:
    """`text` if it is Unicode: bytes of an argument that are not UTF-8 arrive as lone surrogates."""
    for position, char in enumerate(text):
        if "\ud800" <= char <= "\udfff":
            raise LogitscopeError(f"{what} is not UTF-8 text (character {position}); give it as UTF-8.")
    return text


def _prompt_ids(
    arguments: argparse.Namespace, config: "Config", text: str | None, tokenizer: "Tokenizer | None"
) -> tuple[int, ...]:
    """The token ids of the prompt. Raises LogitscopeError for an empty one and for what the model cannot take."""
    if text is not None and tokenizer is not None:
        return tokenizer.encode(text).ids
    from desktop_app.gpt2.tokenizer import parse_ids

    return parse_ids(arguments.ids, config.vocab_size)


def _say(message: str) -> None:
    for line in message.split("\n"):
        print(f"logitscope: {_shown(line)}", file=sys.stderr)


def _fail(message: str) -> int:
    _say(message)
    return 2


_UNSAFE_FORMATS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _shown(text: str) -> str:
    """`text` as a terminal may have it: whatever moves the cursor, recolours or reorders text is an escape."""
    return "".join(
        char
        if char in "\n\t" or (unicodedata.category(char) not in {"Cc", "Zl", "Zp"} and char not in _UNSAFE_FORMATS)
        else f"\\x{ord(char):02x}"
        if ord(char) < 256
        else f"\\u{ord(char):04x}"
        for char in text
    )


# trace


def _trace_arguments(parser: argparse.ArgumentParser) -> None:
    _add_prompt(parser)
    _add_model(parser)
    parser.add_argument(
        "--names",
        metavar="GLOB",
        nargs="+",
        action="extend",
        help="only these tensors, like 'blocks.0.attn.*' (tokens always comes along)",
    )
    _add_output(parser, "safetensors")


def _trace(arguments: argparse.Namespace) -> int:
    from desktop_app.gpt2.files import refuse_existing

    refuse_existing(arguments.out, force=arguments.force)
    text = _prompt_text(arguments)

    from desktop_app.gpt2.checkpoint import load_checkpoint
    from desktop_app.gpt2.engine import Engine
    from desktop_app.gpt2.tensors import match_names
    from desktop_app.gpt2.tokenizer import Tokenizer
    from desktop_app.gpt2.trace import names_to_save, save_tensors

    checkpoint = load_checkpoint(_model_folder(arguments))
    config = checkpoint.config
    names = names_to_save(config, match_names(arguments.names, config) if arguments.names else None)
    tokenizer = None if text is None else Tokenizer.load(checkpoint.folder, vocab_size=config.vocab_size)
    ids = _prompt_ids(arguments, config, text, tokenizer)
    note = {"model": checkpoint.name, "logitscope": __version__}
    if text is not None:
        note["prompt"] = text
    engine = Engine(checkpoint)
    engine.check_ids(ids)
    save_tensors(arguments.out, config, len(ids), names, engine.tensors(ids, names), note)
    print(f"{_shown(str(arguments.out))}: {len(names)} tensors of {len(ids)} tokens, {_size(arguments.out)}")
    return 0


# generate


def _generate_arguments(parser: argparse.ArgumentParser) -> None:
    _add_prompt(parser)
    _add_model(parser)
    parser.add_argument("-n", type=int, default=20, metavar="N", help="how many tokens at most (default 20)")
    _add_sampling(parser)


def _generate(arguments: argparse.Namespace) -> int:
    if arguments.n < 1:
        raise LogitscopeError(f"-n is {arguments.n}; it must be at least 1.")
    text = _prompt_text(arguments)

    from codecs import getincrementaldecoder

    from desktop_app.core.generate import Drawn, End, generate
    from desktop_app.core.model import open_model

    sampling = _sampling(arguments)
    model = open_model(_model_folder(arguments))
    ids = _prompt_ids(arguments, model.config, text, model.tokenizer)
    # A character may be spread over several tokens; it is printed when its last byte is there.
    decoder = getincrementaldecoder("utf-8")(errors="replace")

    def write(token: int | None) -> None:
        data = b"" if token is None else model.tokenizer.token_bytes(token) or "\ufffd".encode()
        piece = decoder.decode(data, final=token is None)
        print(_shown(piece) if sys.stdout.isatty() else piece, end="", flush=True)

    for token in ids:
        write(token)
    count = 0
    for event in generate(model.engine, ids, sampling, arguments.n, end_of_text=model.tokenizer.eos_id):
        if isinstance(event, Drawn):
            count += 1
            if event.token != model.tokenizer.eos_id:
                write(event.token)
            continue
        write(None)
        print(flush=True)
        if event.reason is End.END_OF_TEXT:
            _say(f"The model ended the text with <|endoftext|>, its token {count} of {arguments.n}.")
        elif event.reason is End.CONTEXT:
            _say(f"The context of {model.config.n_positions:,} tokens is full after {count} of {arguments.n} tokens.")
    return 0


# figure


def _figure_arguments(parser: argparse.ArgumentParser) -> None:
    _add_prompt(parser)
    _add_model(parser)
    parser.add_argument(
        "--step", metavar="NAME", required=True, help="what to show: a step or a tensor, like blocks.2.attn.pattern"
    )
    parser.add_argument("--layer", type=int, metavar="L", help="the block, where the step's name does not say it")
    parser.add_argument("--head", type=int, default=0, metavar="H", help="the head, counted from 0 (default 0)")
    parser.add_argument("--token", type=int, metavar="N", help="position of the token, the query (default: the last)")
    parser.add_argument("--position", type=int, metavar="N", help="the next token after this one (default: the last)")
    parser.add_argument("--scale", choices=("linear", "sqrt", "log"), default="linear", help="colours of a pattern")
    _add_sampling(parser)
    parser.add_argument("--size", default="slide", help="slide, half (a slide), column, page or poster")
    parser.add_argument("--theme", default="light", help="light, dark or print")
    parser.add_argument("--dpi", type=int, default=200, help="dots per inch of a PNG (default 200)")
    parser.add_argument("--no-caption", action="store_true", help="leave out prompt, model and settings at the foot")
    parser.add_argument("--transparent", action="store_true", help="no background")
    _add_output(parser, "SVG, PDF or PNG")


def _figure(arguments: argparse.Namespace) -> int:
    from desktop_app.figures.export import Options, kind_of, make_job, render, write
    from desktop_app.gpt2.files import refuse_existing

    refuse_existing(arguments.out, force=arguments.force)
    options = Options(
        kind=kind_of(arguments.out),
        size=arguments.size,
        theme=arguments.theme,
        dpi=arguments.dpi,
        caption=not arguments.no_caption,
        transparent=arguments.transparent,
    )
    sampling = _sampling(arguments)
    text = _prompt_text(arguments)

    from desktop_app.core.model import open_model
    from desktop_app.core.scene import make_scene
    from desktop_app.core.state import State, ViewOptions

    model = open_model(_model_folder(arguments))
    step = _step(arguments.step, arguments.layer, model.config)
    _check_index("head", arguments.head, model.config.n_head)
    ids = _prompt_ids(arguments, model.config, text, model.tokenizer)
    model.engine.check_ids(ids)
    _check_index("token", arguments.token, len(ids))
    _check_index("position", arguments.position, len(ids))
    state = State(
        text=text or "",
        step=step.key,
        layer=arguments.layer or 0 if step.layer is None else step.layer,
        head=arguments.head,
        token=arguments.token,
        position=arguments.position,
        sampling=sampling,
        view=ViewOptions(pattern_scale=arguments.scale),
    )
    scene = make_scene(model.name, model.checkpoint, model.tokenizer, model.engine.trace(ids), state)
    job = make_job(scene, step)
    write(arguments.out, render(job, options))
    print(f"{_shown(str(arguments.out))}: {job.view.title}, {_size(arguments.out)}")
    return 0


def _step(name: str, layer: int | None, config: "Config") -> "Step":
    """The step of that name; with a layer `pattern` will do. Raises ExportError."""
    from desktop_app.core.steps import find_step, step_list
    from desktop_app.gpt2.errors import ExportError

    _check_index("layer", layer, config.n_layer)
    if layer is not None:
        own = [step for step in step_list(config) if step.layer == layer]
        full = [name, f"blocks.{layer}.{name}", f"blocks.{layer}.attn.{name}"]
        for step in own:
            if step.spec.op == name or step.key in full or not set(full).isdisjoint(step.tensors):
                return step
    step = find_step(name, config)
    if None not in (layer, step.layer) and step.layer != layer:
        raise ExportError(f"{name} stands in block {step.layer}, not in block {layer}; leave --layer out.")
    return step


def _check_index(what: str, number: int | None, count: int) -> None:
    if number is not None and not 0 <= number < count:
        whole = "prompt's tokens" if what in ("token", "position") else f"model's {what}s"
        only = "only 0 is there" if count == 1 else f"they go from 0 to {count - 1}"
        raise LogitscopeError(f"--{what} {number} is outside the {whole}; {only}.")


# check


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    _add_prompt(parser)
    _add_model(parser)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the findings to this file too")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")


def _check(arguments: argparse.Namespace) -> int:
    from desktop_app.gpt2.files import refuse_existing

    if arguments.json is not None:
        refuse_existing(arguments.json, force=arguments.force)
    text = _prompt_text(arguments)

    from desktop_app.core.check import TOLERANCE, as_json, check_pass
    from desktop_app.gpt2.checkpoint import load_checkpoint
    from desktop_app.gpt2.engine import Engine
    from desktop_app.gpt2.files import whole_file
    from desktop_app.gpt2.tokenizer import Tokenizer

    checkpoint = load_checkpoint(_model_folder(arguments))
    config = checkpoint.config
    tokenizer = None if text is None else Tokenizer.load(checkpoint.folder, vocab_size=config.vocab_size)
    ids = _prompt_ids(arguments, config, text, tokenizer)
    engine = Engine(checkpoint)
    engine.check_ids(ids)
    print(
        f"Every tensor recomputed from its direct inputs in float64; tolerance {TOLERANCE:g} of the sum of absolute "
        f"terms.\n{'tensor':{_NAME}}  {'worst':>8}  {'of sum':>8}  cell"
    )
    findings = []
    for finding in check_pass(engine, ids):
        axes = engine.table[finding.name].axes
        cell = ", ".join(f"{axis} {i}" for axis, i in zip(axes, finding.index, strict=True) if axis != "one")
        line = f"{finding.name:{_NAME}}  {finding.absolute:8.2g}  {finding.relative:8.2g}  "
        if finding.good:
            line += cell if finding.absolute else "exact"
        else:
            line += f"{cell}: WRONG, is {finding.traced:.9g}, should be {finding.recomputed:.9g}"
        print(line if finding.good else _red(line), flush=True)
        findings.append(finding)
    wrong = [finding.name for finding in findings if not finding.good]
    if arguments.json is not None:
        with whole_file(arguments.json) as file:
            file.write(as_json(findings, engine.table, checkpoint.name, ids).encode())
    verdict = f"{len(findings)} tensors of {len(ids)} tokens"
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        print(_red(f"{verdict}: {len(wrong)} not what the formula says: {', '.join(wrong[:3])}{more}"))
        return 1
    print(f"{verdict}: all are what their formulas say, up to rounding.")
    return 0


_NAME = 26  # wide enough for blocks.11.attn.pattern


def _red(line: str) -> str:
    """`line` in red on a terminal that may be coloured (https://no-color.org)."""
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return line if plain else f"\x1b[31m{line}\x1b[0m"


# census


def _census_arguments(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the counts to this file too")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")


def _census(arguments: argparse.Namespace) -> int:
    from desktop_app.gpt2.files import refuse_existing, whole_file

    if arguments.json is not None:
        refuse_existing(arguments.json, force=arguments.force)

    from desktop_app.core.census import as_data, as_table, census, references
    from desktop_app.gpt2.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(_model_folder(arguments))
    models = (census(checkpoint.name, checkpoint.config), *references())
    table = [[_shown(cell) for cell in line] for line in as_table(models)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for title, *cells in table:
        numbers = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        print(f"{title:{widths[0]}}  {'  '.join(numbers)}")
    print("A bias counts with its matrix.")
    for note in dict.fromkeys(model.note for model in models if model.note):
        print(_shown(f"{', '.join(model.name for model in models if model.note == note)}: {note}."))
    if arguments.json is not None:
        with whole_file(arguments.json) as file:
            file.write((json.dumps([as_data(model) for model in models], indent=1) + "\n").encode())
    return 0


# onnx


def _onnx_arguments(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    _add_output(parser, "onnx")


def _onnx(arguments: argparse.Namespace) -> int:
    from desktop_app.gpt2.files import refuse_existing

    refuse_existing(arguments.out, force=arguments.force)

    from desktop_app.gpt2.checkpoint import load_checkpoint
    from desktop_app.gpt2.export import export_onnx

    for path in export_onnx(load_checkpoint(_model_folder(arguments)), arguments.out, force=arguments.force):
        print(f"{_shown(str(path))}: {_size(path)}")
    return 0


def _size(path: Path) -> str:
    size = float(path.stat().st_size)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


@dataclass(frozen=True)
class Command:
    """One command: a line about it, its arguments, and what it does with them (returning the exit code)."""

    about: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS = {
    "trace": Command("write every tensor of a forward pass to a safetensors file", _trace_arguments, _trace),
    "generate": Command("continue a text", _generate_arguments, _generate),
    "figure": Command("draw the view of a step as an SVG, PDF or PNG file", _figure_arguments, _figure),
    "check": Command("recompute every tensor from its inputs in float64, and compare", _check_arguments, _check),
    "census": Command(
        "count a model's parameters by family, beside GPT-2's sizes and GPT-3", _census_arguments, _census
    ),
    "onnx": Command("write the graph that exposes every tensor as an ONNX file", _onnx_arguments, _onnx),
}
