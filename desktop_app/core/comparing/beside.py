"""A second model to compare with the open one: which models qualify, how it is opened, and passes of both."""

from pathlib import Path

from desktop_app.core.model import Model, open_model
from desktop_app.core.passes import Asked, Passes
from desktop_app.core.runs import compute_passes
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.session import Stop

_SHAPE = {
    "n_layer": "{} blocks",
    "n_head": "{} heads",
    "n_embd": "{} numbers for each token",
    "d_mlp": "{} neurons",
    "vocab_size": "{} tokens",
}


def why_not(model: Model, guest: Model) -> str:
    """A sentence that says why `guest` cannot be compared with `model`; "" if it can.

    Both must split texts into the same tokens, and have the same width and the same numbers of blocks, heads and
    neurons: otherwise nothing in one model corresponds to anything in the other.
    """
    for name, words in _SHAPE.items():
        ours, theirs = (_size(own.config, name) for own in (model, guest))
        if ours != theirs:
            said = f"{guest.name} has {words.format(f'{theirs:,}')}, and {model.name} {ours:,}"
            return f"{said}; only models of the same shape can be compared."
    if not model.tokenizer.cuts_like(guest.tokenizer):
        said = f"{guest.name} tokenizes texts differently from {model.name}"
        return f"{said}; only models with the same tokens can be compared."
    return ""


def _size(config: Config, name: str) -> int:
    return int(getattr(config, name))


def open_beside(model: Model, folder: Path, stop: Stop | None = None, *, text: bool = True) -> Model:
    """The model in `folder`, for comparison with `model`; `model` itself if the folder is its own.

    Raises ModelError if the two cannot be compared, and the errors of `open_model`.
    """
    if folder.absolute() == model.folder.absolute():
        return model
    guest = open_model(folder, stop=stop, text=text)
    if reason := why_not(model, guest):
        raise ModelError(reason)
    return guest


def passes_of(model: Model, asked: Asked, *, text: bool = True, stop: Stop | None = None) -> Passes:
    """The requested passes, including that of the second model, which is opened for this.

    Raises LogitscopeError, and Cancelled on a stop.
    """
    guest = open_beside(model, Path(asked.beside), stop, text=text) if asked.beside else None
    return compute_passes(model.engine, model.tokenizer, asked, stop=stop, guest=guest)
