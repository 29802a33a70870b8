"""How much memory a model needs, before it is opened."""

from dataclasses import dataclass

from desktop_app.core.library.progress import in_bytes
from desktop_app.gpt2.config import Config
from desktop_app.gpt2.engine import CAPTURE_LIMIT, CHUNK
from desktop_app.gpt2.machine import available_memory
from desktop_app.gpt2.tensors import size_in_bytes
from desktop_app.gpt2.weights import parameter_count

PROGRAM = 200_000_000
"""Bytes that the program takes in addition to the model: Python, Qt, onnxruntime, a window's pictures."""


_READ = 0.15
"""The share of the weights that is in memory at once in a pass over a long text: pages are dropped soon after use."""


@dataclass(frozen=True)
class Need:
    """Bytes that a model takes: its weights in float32, a text's trace, and the temporary memory of a pass.

    `read` is the part of the weights that a pass has in memory at once: all of them, unless the text is long.
    """

    weights: int
    trace: int
    work: int
    read: int

    @property
    def total(self) -> int:
        """The peak, including the program: opening reads every weight once."""
        return PROGRAM + max(self.weights, self.read + self.trace + self.work)


def needed(config: Config, positions: int) -> Need:
    """What a model of this shape needs for a text of `positions` tokens (cut to the model's context)."""
    positions = max(1, min(positions, config.n_positions))
    weights = 4 * parameter_count(config)
    logits = 8 * config.vocab_size
    captured = size_in_bytes(config, positions)
    if captured <= CAPTURE_LIMIT:
        return Need(weights, captured, logits, weights)
    chunk = min(positions, CHUNK)
    # In addition to the trace: onnxruntime's copy of one chunk's share of it; keys and values of all earlier chunks,
    # concatenated; some grids [head, query, key] and rows [pos, d_mlp] of one block. For measurements see
    # docs/models.md.
    past = 0 if positions == chunk else 8 * config.n_layer * positions * config.n_embd
    block = 4 * (6 * config.n_head * chunk * positions + 4 * chunk * config.d_mlp)
    work = size_in_bytes(config, chunk, kept_only=True) + past + block + logits
    read = weights if positions == chunk else int(_READ * weights)
    return Need(weights, size_in_bytes(config, positions, kept_only=True), work, read)


def too_large(config: Config, positions: int, name: str) -> str:
    """A sentence with the numbers if the model needs more memory than is available now; "" if it fits."""
    have, need = available_memory(), needed(config, positions)
    if have is None or need.total <= have:
        return ""
    text = f"a text of {positions:,} tokens"
    both = f"{in_bytes(need.weights)} for its weights, {in_bytes(need.trace + need.work)} for {text}"
    if need.read < need.weights:
        both += ", which does not need all of the weights at once"
    return f"{name} needs about {in_bytes(need.total)} of memory ({both}), and {in_bytes(have)} are free."
