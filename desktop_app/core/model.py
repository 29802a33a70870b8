"""A model ready for use: checkpoint, engine and tokenizer of one folder, opened in named stages that can be stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from desktop_app.core.library.cache import bytes_on_disk
from desktop_app.core.library.catalogue import title_of
from desktop_app.core.library.memory import needed, too_large
from desktop_app.core.library.training import snapshot_name
from desktop_app.core.session.state import State
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
    """One opened model. `name` is its display name."""

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
        """Sentences about what is ignored in the folder, and about what its tokenizer lacks."""
        return (*self.checkpoint.remarks, *self.tokenizer.remarks)

    def has_memory_to_pack(self) -> bool:
        """Whether the free memory is at least twice what `engine.prepack` takes."""
        free = available_memory()
        return free is not None and 2 * self.engine.packed_bytes <= free

    @cached_property
    def exact(self) -> Engine:
        """An engine with float32 weights: the model's engine or, for an int8 model, another one."""
        return Engine(exact_checkpoint(self.checkpoint)) if self.config.int8 else self.engine

    @property
    def folder(self) -> Path:
        """The folder from which the model was opened."""
        return self.checkpoint.folder


@dataclass(frozen=True, eq=False)
class Doubt:
    """Why to ask the user before opening a model: a sentence with numbers. `then` is the state to show afterwards."""

    folder: Path
    words: str
    then: State | None = None


def memory_warning(folder: Path, tokens: int) -> str:
    """A sentence that says why the model in `folder` may not fit into memory with `tokens` tokens; "" if it fits."""
    if title_of(folder) is not None:
        return ""  # it ships with the program, so there is no smaller model to use instead
    try:
        config = load_config(folder / "config.json")
    except ModelError:
        return ""  # opening the model will report the problem
    if needed(config, tokens).weights > 4 * bytes_on_disk(folder):
        return ""  # the config does not match the weights, which opening will report as well
    return too_large(config, tokens, name_of(folder))


def open_model(
    folder: Path,
    on_stage: Callable[[str], None] = lambda _stage: None,
    stop: Stop | None = None,
    *,
    int8: bool = False,
    text: bool = True,
) -> Model:
    """Open the model in `folder`; with `int8`, its weights are rounded, and its name says so.

    Args:
        folder: a checkpoint with its tokenizer files.
        on_stage: called with the name of each stage before it begins.
        stop: cancels the work between two stages.
        text: whether text will be tokenized. If not, a model with an unusable tokenizer can be opened as well, and its
            tokens are shown by their ids.

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
    name = title_of(folder) or snapshot_name(folder) or checkpoint.name
    title = f"{name} ({', '.join(notes)})" if notes else name
    return Model(checkpoint, engine, tokenizer, title, text_ends(folder, tokenizer))


def _tokenizer(folder: Path, vocab_size: int, *, text: bool) -> Tokenizer:
    try:
        return Tokenizer.load(folder, vocab_size=vocab_size)
    except TokenizerError as reason:
        if text:
            raise
        return Tokenizer.without_text(str(reason), vocab_size)
