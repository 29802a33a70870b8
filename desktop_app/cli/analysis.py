"""Code shared by the analysis commands: arguments, the pass, tables, and the closing checks."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from desktop_app import __version__
from desktop_app.cli.progress_line import ProgressLine
from desktop_app.cli.shared import (
    asked,
    checked_text,
    open_checkpoint,
    prompt_ids,
    say,
    shown,
    size_of,
)
from desktop_app.gpt2.errors import LogitscopeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from desktop_app.core.analysis.closing import Closing
    from desktop_app.gpt2.edit import Edit
    from desktop_app.gpt2.engine import Engine
    from desktop_app.gpt2.tokenizer import Tokenizer
    from desktop_app.gpt2.trace import Trace

_ENDINGS = (".npz", ".safetensors")


def refuse_output(arguments: argparse.Namespace) -> None:
    """Raise LogitscopeError, before any computation, if it is certain that --out cannot be written."""
    from desktop_app.gpt2.errors import ExportError
    from desktop_app.gpt2.files import refuse_existing

    if arguments.out is None:
        return
    if arguments.out.suffix.lower() not in _ENDINGS:
        raise ExportError(f"{arguments.out} ends in neither .npz nor .safetensors; name one of them.")
    refuse_existing(arguments.out, force=arguments.force)


@dataclass(frozen=True, eq=False)
class Opened:
    """A model with its tokenizer, and the ids of the prompt (empty for a command without a prompt)."""

    engine: "Engine"
    tokenizer: "Tokenizer | None"
    ids: tuple[int, ...]
    text: str | None
    edits: tuple["Edit", ...] = ()
    mask: str = "causal"

    @cached_property
    def trace(self) -> "Trace":
        """The pass over the prompt, with the requested edits."""
        return self.engine.trace(self.ids, edits=self.edits, mask=self.mask)

    def of(self, arguments: argparse.Namespace, text: str) -> "Opened":
        """The same model and edits with the prompt `text`. Raises LogitscopeError."""
        from desktop_app.core.runs import changes

        config = self.engine.config
        ids = prompt_ids(arguments, config, text, self.tokenizer)
        self.engine.check_ids(ids)
        made = changes(self.engine, self.tokenizer, asked(arguments, self.tokenizer, ids))
        return Opened(self.engine, self.tokenizer, ids, text, *made)

    def quoted(self, token: int) -> str:
        """A token quoted for use in a sentence."""
        return shown(self.tokenizer.quoted(token)) if self.tokenizer is not None else f"id {token}"

    def token(self, arguments: argparse.Namespace, name: str) -> int | None:
        """The token of --NAME or --NAME-id; None if neither was given. Raises LogitscopeError."""
        given: int | None = getattr(arguments, f"{name}_id")
        text: str | None = getattr(arguments, name)
        config = self.engine.config
        if given is not None and not 0 <= given < config.vocab_size:
            raise LogitscopeError(f"--{name}-id is {given}; the model's ids are 0 to {config.vocab_size - 1:,}.")
        if text is None:
            return given
        if self.tokenizer is None:
            raise LogitscopeError(
                f"{self.engine.checkpoint.folder} has no tokenizer that could read --{name}; give --{name}-id."
            )
        ids = self.tokenizer.encode(checked_text(text, f"--{name}")).ids
        if len(ids) != 1:
            raise LogitscopeError(f"--{name} {shown(text[:40])!r} {self.tokenizer.counted(ids)}; give one token.")
        return ids[0]

    def where(self, position: int) -> str:
        """A position in words."""
        return f"after {self.quoted(self.ids[position])}, position {position}"


def open_model(arguments: argparse.Namespace, text: str | None, *, prompt: bool = True) -> Opened:
    """Open the model of --model and encode the prompt. Raises LogitscopeError."""
    from desktop_app.core.runs import changes
    from desktop_app.gpt2.engine import Engine
    from desktop_app.gpt2.errors import TokenizerError
    from desktop_app.gpt2.run import Run
    from desktop_app.gpt2.tokenizer import Tokenizer

    checkpoint = open_checkpoint(arguments)
    tokenizer = None
    try:
        tokenizer = Tokenizer.load(checkpoint.folder, vocab_size=checkpoint.config.vocab_size)
    except TokenizerError:
        if text is not None:
            raise
        # A prompt given as ids needs no tokenizer.
    ids = prompt_ids(arguments, checkpoint.config, text, tokenizer) if prompt else ()
    engine = Engine(checkpoint)
    if not prompt:
        return Opened(engine, tokenizer, ids, text)
    engine.check_ids(ids)
    edits, mask = changes(engine, tokenizer, asked(arguments, tokenizer, ids))
    made = Run(checkpoint.key, ids, edits, mask).changes
    if made and arguments.out is None:
        print(f"The pass is edited: {shown(', '.join(made))}.")
    return Opened(engine, tokenizer, ids, text, edits, mask)


def finish(
    arguments: argparse.Namespace,
    opened: Opened,
    arrays: Mapping[str, "NDArray[Any]"],
    about: Mapping[str, object],
    closings: Sequence["Closing"],
) -> int:
    """Write the arrays if --out was given, report sums that do not add up, and return the exit code."""
    from desktop_app.core.analysis.files import write_arrays

    if arguments.out is not None:
        config = opened.engine.config
        note = {"model": opened.engine.checkpoint.name, "logitscope": __version__}
        note |= {"weights": "int8"} if config.int8 else {}
        note |= {"prompt": opened.text} if opened.text is not None else {}
        note |= {"edits": json.dumps(arguments.edit)} if arguments.edit else {}
        note |= {name: given for name in ("mask", "other") if (given := vars(arguments).get(name))}
        note |= {name: str(value) for name, value in about.items() if value is not None}
        write_arrays(arguments.out, arrays, note)
        print(f"{shown(str(arguments.out))}: {len(arrays)} arrays, {size_of(arguments.out)}")
    wrong = [closing for closing in closings if not closing.good]
    for closing in wrong:
        say(f"This does not add up: {closing.name} gives {closing.found:.9g}, the model {closing.own:.9g}.")
    return 1 if wrong else 0


@contextmanager
def tell(what: str) -> Iterator[Callable[[float], None]]:
    """Yield a callback that shows the fraction done on a line of the terminal; the line is cleared at the end."""
    with ProgressLine(live_only=True) as line:
        yield lambda share: line.show(f"{what} {share:.0%}", share)


def print_table(rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Print rows of cells in columns; the first `left` columns are aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            f"{cell:{width}}" if n < left else f"{cell:>{width}}"
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())
