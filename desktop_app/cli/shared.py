"""Code that several commands share: arguments, the prompt, and text made safe for a terminal."""

import argparse
import logging
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from desktop_app.core.library.secrecy import without_secrets
from desktop_app.core.program.private import hide
from desktop_app.gpt2.errors import LogitscopeError

if TYPE_CHECKING:
    from desktop_app.core.model import Model
    from desktop_app.core.passes import Asked
    from desktop_app.gpt2.checkpoint import Checkpoint
    from desktop_app.gpt2.config import Config
    from desktop_app.gpt2.engine import Engine
    from desktop_app.gpt2.run import Run
    from desktop_app.gpt2.sampling import Sampling
    from desktop_app.gpt2.tokenizer import Tokenizer

_STDIN_LIMIT = 1 << 22


def asked(arguments: argparse.Namespace, tokenizer: "Tokenizer | None", ids: Sequence[int]) -> "Asked":
    """The request for a pass over these ids, with the given edits, mask and other prompt. Raises LogitscopeError."""
    from desktop_app.core.passes import Asked
    from desktop_app.gpt2.mask import CAUSAL

    other = None
    if arguments.other is not None:
        if tokenizer is None:
            raise LogitscopeError("This model has no tokenizer that could read --other; leave it out.")
        from desktop_app.core.session.state import State, encode

        text = checked_text(arguments.other, "--other")
        other = encode(State(text, start=arguments.bos, space=arguments.prefix_space), tokenizer)
    mask = arguments.mask or CAUSAL
    return Asked(tuple(ids), tuple(arguments.edit), mask, other, arguments.align or "tokens")


def sampling_of(arguments: argparse.Namespace) -> "Sampling":
    """The sampling settings that were given. Raises SamplingError."""
    from desktop_app.gpt2.sampling import Sampling

    return Sampling(
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        greedy=arguments.greedy,
        seed=arguments.seed,
    )


def model_folder(arguments: argparse.Namespace) -> Path:
    """The folder of the model of --model, or of the bundled one; warns if there may not be enough memory for it.

    Raises LogitscopeError.
    """
    from desktop_app.core.program.bundle import default_model

    if arguments.model is None:
        return default_model()
    from desktop_app.core.library.find import find_model
    from desktop_app.core.model import memory_warning

    folder = find_model(arguments.model)
    if words := memory_warning(folder, 1):
        say(f"{words} Continuing anyway.")
    return folder


def choose_provider(arguments: argparse.Namespace) -> None:
    """Compute with the provider that --provider names. Raises ModelError if it is not available."""
    if arguments.provider is not None:
        from desktop_app.gpt2.provider import choose

        choose(arguments.provider)


def open_checkpoint(arguments: argparse.Namespace) -> "Checkpoint":
    """The checkpoint of --model, rounded if --int8 was given. Raises LogitscopeError."""
    from desktop_app.gpt2.checkpoint import load_checkpoint
    from desktop_app.gpt2.int8 import round_checkpoint

    choose_provider(arguments)
    checkpoint = load_checkpoint(model_folder(arguments))
    for words in checkpoint.remarks:
        say(words)
    return round_checkpoint(checkpoint) if arguments.int8 else checkpoint


def open_for(folder: Path, *, int8: bool, text: bool) -> "Model":
    """Open the model in `folder`, and report what is ignored there. Unless `text`, its tokenizer may be unusable.

    Raises LogitscopeError.
    """
    from desktop_app.core.model import open_model

    model = open_model(folder, int8=int8, text=text)
    for words in model.remarks:
        say(words)
    return model


def prompt_text(arguments: argparse.Namespace) -> str | None:
    """The given text, read from standard input for "-"; None if no text was given. Raises LogitscopeError."""
    text: str | None = arguments.text
    if text is None:
        return None
    if text != "-":
        return checked_text(text, "TEXT")
    data = sys.stdin.buffer.read(_STDIN_LIMIT + 1)
    if len(data) > _STDIN_LIMIT:
        raise LogitscopeError(f"Standard input has more than {_STDIN_LIMIT >> 20} MB; no model takes so much text.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LogitscopeError(f"Standard input is not UTF-8 text (byte {error.start}); convert it first.") from error


def checked_text(text: str, what: str) -> str:
    """`text`, if it is valid Unicode. Bytes of an argument that are not UTF-8 arrive as lone surrogates.

    Raises LogitscopeError otherwise.
    """
    hide(text)
    for position, char in enumerate(text):
        if "\ud800" <= char <= "\udfff":
            raise LogitscopeError(
                f"{what} is not UTF-8 text (character {position}); give it as UTF-8.", option=what.lstrip("-")
            )
    return text


def prompt_ids(
    arguments: argparse.Namespace, config: "Config", text: str | None, tokenizer: "Tokenizer | None"
) -> tuple[int, ...]:
    """The token ids of the prompt. Raises LogitscopeError if it is empty or not valid for the model."""
    if text is not None and tokenizer is not None:
        from desktop_app.core.session.state import State, encode

        return encode(State(text, start=arguments.bos, space=arguments.prefix_space), tokenizer)
    from desktop_app.gpt2.token_ids import parse_ids

    return parse_ids(arguments.ids, config.vocab_size)


def asked_pass(arguments: argparse.Namespace, checkpoint: "Checkpoint", text: str | None) -> "tuple[Engine, Run]":
    """The engine of the model, and the requested pass. Raises LogitscopeError if the model cannot run that pass."""
    from desktop_app.core.runs import changes
    from desktop_app.gpt2.engine import Engine
    from desktop_app.gpt2.run import Run
    from desktop_app.gpt2.tokenizer import Tokenizer

    config = checkpoint.config
    tokenizer = None if text is None else Tokenizer.load(checkpoint.folder, vocab_size=config.vocab_size)
    ids = prompt_ids(arguments, config, text, tokenizer)
    engine = Engine(checkpoint)
    engine.check_ids(ids)
    return engine, Run(checkpoint.key, ids, *changes(engine, tokenizer, asked(arguments, tokenizer, ids)))


class Terminal(logging.Handler):
    """Writes warnings and errors, including tracebacks, to standard error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(logging.Formatter("logitscope: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless its exception is about to be raised, because Python prints that one itself."""
        if not getattr(record, "raised", False):
            with suppress(OSError):  # standard error may be closed or full
                print(shown(without_secrets(self.format(record))), file=sys.stderr)


def say(message: str) -> None:
    """Write a sentence to standard error."""
    print("logitscope:", shown(message).replace("\n", "\\n"), file=sys.stderr)


_UNSAFE_FORMATS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def shown(text: str) -> str:
    """`text` made safe for a terminal: characters that move the cursor, recolour or reorder text become escapes."""
    return "".join(
        char
        if char in "\n\t" or (unicodedata.category(char) not in {"Cc", "Zl", "Zp"} and char not in _UNSAFE_FORMATS)
        else f"\\x{ord(char):02x}"
        if ord(char) < 256
        else f"\\u{ord(char):04x}"
        for char in text
    )


def size_of(path: Path) -> str:
    """The size of a file in words."""
    size = float(path.stat().st_size)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
