"""A model ready for use: checkpoint, engine and tokenizer of one folder, opened in named stages that can be stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from desktop_app.core.library.cache import bytes_on_disk
from desktop_app.core.library.catalogue import title_of
from desktop_app.core.library.memory import needed, too_large
from desktop_app.core.state import State
from desktop_app.gpt2.checkpoint import Checkpoint, load_checkpoint, name_of
from desktop_app.gpt2.config import Config, load_config
from desktop_app.gpt2.endings import text_ends
from desktop_app.gpt2.engine import Engine
from desktop_app.gpt2.errors import ModelError, TokenizerError
from desktop_app.gpt2.int8 import exact_checkpoint, round_checkpoint
from desktop_app.gpt2.machine import available_memory
from desktop_app.gpt2.provider import CPU, chosen
from desktop_app.gpt2.session import Stop
from desktop_app.gpt2.tokenizer import Tokenizer
from desktop_app.gpt2.weights import parameter_count


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """One opened model. `name` is what a person calls it."""

    checkpoint: Checkpoint
    engine: Engine
    tokenizer: Tokenizer
    name: str
    ends: frozenset[int] = frozenset()
    """The ids at which a text ends."""

    def __repr__(self) -> str:
        return f"<Model {self.name}: {parameter_count(self.config):,} parameters, from {self.folder}>"

    @property
    def config(self) -> Config:
        """The model's hyper-parameters."""
        return self.checkpoint.config

    @property
    def remarks(self) -> tuple[str, ...]:
        """What of the folder is passed over, in sentences."""
        return (*self.checkpoint.remarks, *self.tokenizer.remarks)

    def has_room_to_pack(self) -> bool:
        """Whether the machine can spare the memory for `engine.prepack` and as much again."""
        free = available_memory()
        return free is not None and 2 * self.engine.packed_bytes <= free

    @cached_property
    def exact(self) -> Engine:
        """The engine of the float32 weights: the model's own, unless that computes in int8."""
        return Engine(exact_checkpoint(self.checkpoint)) if self.config.int8 else self.engine

    @property
    def folder(self) -> Path:
        """Where the model came from."""
        return self.checkpoint.folder


@dataclass(frozen=True, eq=False)
class Doubt:
    """Why a model was not opened unasked: a sentence with the numbers. `then` is what was to come with it."""

    folder: Path
    words: str
    then: State | None = None


def doubt_room(folder: Path, tokens: int) -> str:
    """Why the model in `folder` may not fit into memory with `tokens` tokens of text, in a sentence; "" if it does."""
    if title_of(folder) is not None:
        return ""  # it came with the program: there is none smaller to fall back to
    try:
        config = load_config(folder / "config.json")
    except ModelError:
        return ""  # whatever it is, opening it will say
    if needed(config, tokens).weights > 4 * bytes_on_disk(folder):
        return ""  # the config is not of these weights, and opening will say that, too
    return too_large(config, tokens, name_of(folder))


def open_model(
    folder: Path,
    on_stage: Callable[[str], None] = lambda _stage: None,
    stop: Stop | None = None,
    *,
    int8: bool = False,
    text: bool = True,
) -> Model:
    """Open the model in `folder`, with its weights rounded to int8 if asked; its name says so then.

    Args:
        folder: a checkpoint with its tokenizer files.
        on_stage: called with the name of each stage before it begins.
        stop: ends the work between two stages.
        text: whether text will be cut into tokens; without it a model opens whose tokenizer cannot be used, too, and
            its tokens are known by their ids.

    Raises:
        ModelError: the checkpoint cannot be used.
        TokenizerError: the tokenizer files cannot be used.
        Cancelled: `stop` was set.
    """
    stop = stop or Stop()

    def enter(stage: str) -> None:
        stop.check()
        on_stage(stage)

    checkpoint = load_checkpoint(folder, enter)
    enter("reading the tokenizer")
    tokenizer = _tokenizer(folder, checkpoint.config.vocab_size, text=text)
    notes = []
    if int8:
        enter("rounding the weights to int8")
        checkpoint = round_checkpoint(checkpoint)
        notes.append("int8 weights")
    if chosen() != CPU:
        notes.append(f"on {chosen()}")
    enter("building the graph")
    engine = Engine(checkpoint, stop)
    stop.check()
    name = title_of(folder) or checkpoint.name
    title = f"{name} ({', '.join(notes)})" if notes else name
    return Model(checkpoint, engine, tokenizer, title, text_ends(folder, tokenizer))


def _tokenizer(folder: Path, vocab_size: int, *, text: bool) -> Tokenizer:
    try:
        return Tokenizer.load(folder, vocab_size=vocab_size)
    except TokenizerError as reason:
        if text:
            raise
        return Tokenizer.without_text(str(reason), vocab_size)
